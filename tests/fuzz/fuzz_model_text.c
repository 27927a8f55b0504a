/* Text decoders with a few things changed: opening, and where that succeeds, tokens in, logits out, a token of the list sampled. */
#include "../../text/text.h"
#include "fuzz.h"

static fuzz_base bases[] = {
    {.path = "tests/golden/text/llama_linear.gguf"},  {.path = "tests/golden/text/llama_smollm3.gguf"},
    {.path = "tests/golden/text/llama_qwen2.gguf"},   {.path = "tests/golden/text/llama_qwen3.gguf"},
    {.path = "tests/golden/text/llama_gemma3.gguf"},  {.path = "tests/golden/text/llama_granite.gguf"},
    {.path = "tests/golden/text/llama_qwen2vl.gguf"}, {.path = "tests/golden/text/llama_mistral3.gguf"},
    {.path = "tests/golden/page/sketch.gguf"},        {.path = "tests/golden/text/llama_smollm.gguf"},
    {.path = "tests/golden/text/llama_qwen3vl.gguf"}, {.path = "tests/golden/text/llama_llama3.gguf"},
};

static void run(txt_model *m)
{
    const txt_sampling p = {.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.1f, .repeat_last = 8};
    const size_t n_vocab = txt_model_hparams(m)->n_vocab;
    txt_session *s = NULL;
    txt_sampler *sampler = NULL;
    txt_ids ids = {0};
    sn_err err = {0};
    float *logits = malloc(n_vocab * sizeof *logits);
    sn_status st = txt_tokenize(txt_model_vocab(m), "Hi <|im_end|>", 13, TXT_ADD_BOS_EOS, &ids, &err);
    for (size_t i = 0; i < ids.n; i++) FUZZ_MUST(ids.ids[i] >= 0 && (size_t)ids.ids[i] < n_vocab);
    if (st == SN_OK) st = txt_session_open(&s, m, 8, &err);
    if (st == SN_OK) st = txt_sampler_open(&sampler, &p, n_vocab, &err);
    const txt_id first = 0;
    if (st == SN_OK) st = txt_session_eval_ids(s, ids.n ? ids.ids : &first, ids.n > 4 ? 4 : ids.n ? ids.n : 1, logits, false, &err);
    for (int i = 0; i < 2 && st == SN_OK; i++) {
        const txt_id id = txt_sampler_next(sampler, logits);
        FUZZ_MUST(id >= 0 && (size_t)id < n_vocab);
        txt_sampler_accept(sampler, id);
        st = txt_session_eval_ids(s, &id, 1, logits, false, &err);
    }
    fuzz_said(st, &err);
    txt_sampler_close(sampler);
    txt_session_close(s);
    txt_ids_free(&ids);
    free(logits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t n_file;
    unsigned char *file = fuzz_changed(bases, sizeof bases / sizeof *bases, data, n, &n_file);
    if (file == NULL) return 0;
    txt_model *m = NULL;
    sn_err err = {0};
    const sn_status st = txt_model_open(&m, fuzz_file(0, file, n_file), fuzz_compute(), &err);
    fuzz_said(st, &err);
    if (st == SN_OK) run(m);
    txt_model_close(m);
    free(file);
    return 0;
}
