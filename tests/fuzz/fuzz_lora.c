/* LoRA adapters with a few things changed, held against the model that they are for. */
#include "../../core/lora.h"
#include "fuzz.h"

static fuzz_base bases[] = {
    {.path = "tests/golden/text/lora_smollm_b.gguf"}, {.path = "tests/golden/text/lora_smollm_c.gguf"},
    {.path = "tests/golden/text/lora_smollm_a.gguf"}, {.path = "tests/golden/text/lora_qwen2_b.gguf"},
    {.path = "tests/golden/text/lora_gemma3.gguf"},
};
static const char *const models[] = {
    "tests/golden/text/llama_smollm.gguf", "tests/golden/text/llama_smollm.gguf", "tests/golden/text/llama_smollm.gguf",
    "tests/golden/text/llama_qwen2.gguf",  "tests/golden/text/llama_gemma3.gguf",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static sn_gguf *opened[sizeof models / sizeof *models];
    size_t n_file;
    unsigned char *file = fuzz_changed(bases, sizeof bases / sizeof *bases, data, n, &n_file);
    if (file == NULL) return 0;
    const size_t which = data[0] % (sizeof bases / sizeof *bases);
    sn_err err = {0};
    if (opened[which] == NULL && sn_gguf_open(&opened[which], models[which], &err) != SN_OK) exit(1);
    sn_lora l = {0};
    const sn_status st = sn_lora_open(&l, fuzz_file(0, file, n_file), opened[which], 0.5f, &err);
    fuzz_said(st, &err);
    for (size_t i = 0; st == SN_OK && i < l.n; i++) FUZZ_MUST(l.pairs[i].rank > 0 && l.pairs[i].base != NULL);
    if (st == SN_OK) sn_lora_close(&l);
    free(file);
    return 0;
}
