/* Hugging Face folders against what llama.cpp's converter makes of them (tests/golden/make_convert.py), key by key and tensor by
 * tensor; and folders that are wrong. */
#include "../core/gguf.h"
#include "../core/sha256.h"
#include "../text/text.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define GOLDEN "tests/golden/convert/"

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s", path);
    char *p = malloc(1 << 20);
    assert_non_null(p);
    *n = fread(p, 1, (1 << 20) - 1, f);
    p[*n] = '\0';
    fclose(f);
    return p;
}

static void spill(const char *folder, const char *name, const void *p, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static sn_status convert(const char *dir, const char *out, sn_err *err)
{
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    *err = (sn_err){0};
    return txt_convert(dir, out, &params, err);
}

/* ---- what a file holds, in the words of expected.txt ---- */

static void hash_strings(sn_sha256 *h, const sn_kv *kv)
{
    for (size_t i = 0; i < kv->n; i++) {
        const uint64_t n = kv->strings[i].n;
        sn_sha256_add(h, &n, sizeof n);
        sn_sha256_add(h, kv->strings[i].p, kv->strings[i].n);
    }
}

static void key_line(FILE *f, const sn_kv *kv)
{
    char hex[65];
    sn_sha256 h;
    fprintf(f, "key %.*s ", (int)kv->key.n, kv->key.p);
    if (kv->type == SN_KV_STRING) {
        fprintf(f, "string ");
        for (size_t i = 0; i < kv->strings[0].n; i++) fprintf(f, "%02x", (unsigned char)kv->strings[0].p[i]);
    } else if (kv->type == SN_KV_ARRAY) {
        sn_sha256_init(&h);
        if (kv->elem == SN_KV_STRING)
            hash_strings(&h, kv);
        else
            sn_sha256_add(&h, kv->data, kv->n * sn_kv_type_bytes(kv->elem));
        sn_sha256_hex(&h, hex);
        fprintf(f, "list %d %zu %s", (int)kv->elem, kv->n, hex);
    } else {
        fprintf(f, "number %d ", (int)kv->type);
        for (size_t i = 0; i < sn_kv_type_bytes(kv->type); i++) fprintf(f, "%02x", ((const unsigned char *)kv->data)[i]);
    }
    fputc('\n', f);
}

static void tensor_line(FILE *f, const sn_tensor *t)
{
    char hex[65];
    sn_sha256 h;
    sn_sha256_init(&h);
    sn_sha256_add(&h, t->data, t->n_bytes);
    sn_sha256_hex(&h, hex);
    fprintf(f, "tensor %s %d ", t->name, (int)t->type);
    for (size_t i = t->n_dims; i-- > 0;) fprintf(f, "%zu%s", t->shape[i], i > 0 ? "x" : " ");
    fprintf(f, "%s\n", hex);
}

static void same_as_reference(const char *family)
{
    char dir[128], path[160], *have = NULL, *save = NULL;
    size_t n, n_have, n_lines = 0;
    sn_err err;
    sn_gguf *g = NULL;
    const char *out = testing_temp("", 0);
    snprintf(dir, sizeof dir, GOLDEN "%s", family);
    snprintf(path, sizeof path, "%s/expected.txt", dir);
    if (convert(dir, out, &err) != SN_OK || sn_gguf_open(&g, out, &err) != SN_OK) fail_msg("%s", err.msg);
    FILE *f = open_memstream(&have, &n_have);
    fputc('\n', f);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++)
        if (!sn_str_eq(sn_gguf_kv_at(g, i)->key, "general.name")) key_line(f, sn_gguf_kv_at(g, i));
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) tensor_line(f, sn_gguf_tensor_at(g, i));
    fclose(f);
    char *want = slurp(path, &n);
    for (char *line = strtok_r(want, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save), n_lines++) {
        char whole[4096];
        snprintf(whole, sizeof whole, "\n%s\n", line);
        if (strstr(have, whole) == NULL) fail_msg("%s: not there: %s", family, line);
    }
    assert_int_equal(n_lines, sn_gguf_n_kv(g) - 1 + sn_gguf_n_tensors(g)); /* nothing else is in it */
    sn_gguf_close(g);
    free(have);
    free(want);
}

static void files_equal_those_of_llama_cpps_converter(void **state)
{
    (void)state;
    static const char *const families[] = {"llama3", "llama2", "mistral", "smollm",  "smollm3",  "granite",
                                           "qwen2",  "qwen3",  "gemma3",  "smolvlm", "mistral3", "qwen2vl"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) same_as_reference(families[i]);
}

/* ---- folders that are wrong ---- */

static const char *const llama3_files[] = {"config.json",
                                           "tokenizer.json",
                                           "tokenizer_config.json",
                                           "model.safetensors.index.json",
                                           "model-00001-of-00002.safetensors",
                                           "model-00002-of-00002.safetensors"};
#define N_FILES (sizeof llama3_files / sizeof *llama3_files)

static void copy_folder(char *dir, size_t room)
{
    assert_int_equal(testing_folder(dir, room), 0);
    for (size_t i = 0; i < N_FILES; i++) {
        char path[160];
        size_t n;
        snprintf(path, sizeof path, GOLDEN "llama3/%s", llama3_files[i]);
        char *p = slurp(path, &n);
        spill(dir, llama3_files[i], p, n);
        free(p);
    }
}

/* Converting llama3 with `from` become `to` (as long, where the file holds offsets) in a file fails, saying `says`; the file of before stays. */
static void refused(const char *file, const char *from, const char *to, const char *says)
{
    char dir[200], path[256];
    size_t n, n_kept;
    sn_err err;
    const char *out = testing_temp("old", 3);
    copy_folder(dir, sizeof dir);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    char *p = slurp(path, &n), *changed = NULL, *at = memmem(p, n, from, strlen(from));
    size_t n_changed;
    if (at == NULL) fail_msg("%s has no %s", file, from);
    FILE *f = open_memstream(&changed, &n_changed);
    fwrite(p, 1, (size_t)(at - p), f);
    fputs(to, f);
    fwrite(at + strlen(from), 1, n - (size_t)(at - p) - strlen(from), f);
    fclose(f);
    spill(dir, file, changed, n_changed);
    if (convert(dir, out, &err) == SN_OK) fail_msg("%s -> %s was converted", from, to);
    if (strstr(err.msg, says) == NULL || strchr(err.msg, '\n') != NULL) fail_msg("%s -> %s: %s", from, to, err.msg);
    char *kept = slurp(out, &n_kept);
    assert_string_equal(kept, "old");
    free(kept);
    free(p);
    free(changed);
    assert_int_equal(testing_folder_remove(dir), 0);
}

static void wrong_folders_are_refused_by_name(void **state)
{
    (void)state;
    static const char config[] = "config.json", index[] = "model.safetensors.index.json", part[] = "model-00001-of-00002.safetensors";
    refused(config, "\"hidden_size\": 32", "\"hidden_size\": 1e300", "hidden_size");
    refused(config, "\"hidden_size\": 32", "\"hidden_size\": 64", "want [");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": -1", "num_hidden_layers");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "model.layers.2.input_layernorm.weight is missing");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "has no place in a llama model");
    refused(config, "\"num_attention_heads\": 4", "\"num_attention_heads\": 3", "make no sense");
    refused(config, "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "mamba");
    refused(config, "\"factor\": 32.0", "\"factor\": -1", "rotary scaling");
    refused(config, "\"rope_type\": \"llama3\"", "\"rope_type\": \"longrope\"", "longrope");
    refused(config, "{", "[", "config.json: is not JSON");
    refused(index, "model-00001-of-00002.safetensors", "../model-00001-of-00002.safetensors", "outside its folder");
    refused(index, "model-00001-of-00002.safetensors", "/etc/passwd", "outside its folder");
    refused(index, "model-00001-of-00002.safetensors", "model-00009.safetensors", "model-00009.safetensors");
    refused(index, "model.embed_tokens.weight", "model.embed_tokens.weighs", "model.embed_tokens.weighs is missing");
    refused(part, "\"BF16\"", "\"F8_X\"", "data type");
    refused(part, "[0, ", "[9, ", "disagree");
    refused("tokenizer.json", "\\\\p{N}{1,3}", "\\\\p{N}{1,4}", "pre-tokenizer");
    refused("tokenizer.json", "\"type\": \"BPE\"", "\"type\": \"Unigram\"", "Unigram");
    refused("tokenizer.json", "\"vocab\"", "\"words\"", "no words");
}

static void cut_and_corrupt_files_are_refused_or_converted(void **state)
{
    (void)state;
    char dir[200], path[256];
    uint32_t seed = 5;
    sn_err err;
    const char *out = testing_temp("old", 3);
    copy_folder(dir, sizeof dir);
    for (size_t i = 0; i < 600; i++) {
        const char *file = llama3_files[i % N_FILES];
        size_t n;
        snprintf(path, sizeof path, GOLDEN "llama3/%s", file);
        char *p = slurp(path, &n);
        seed = seed * 1664525u + 1013904223u;
        const bool cut = i / N_FILES % 3 == 0;
        const size_t at = i / N_FILES % 3 == 1 ? (seed >> 8) % 2000 % n : (seed >> 8) % n; /* often in a header */
        if (!cut) p[at] = (char)(p[at] ^ (1 << (seed >> 29)));
        spill(dir, file, p, cut ? at : n);
        const sn_status st = convert(dir, out, &err);
        if (cut) assert_int_not_equal(st, SN_OK);
        if (st != SN_OK) assert_true(err.msg[0] != '\0' && strchr(err.msg, '\n') == NULL);
        free(p);
        p = slurp(path, &n);
        spill(dir, file, p, n);
        free(p);
    }
    assert_int_equal(convert(dir, out, &err), SN_OK);
    assert_int_equal(testing_folder_remove(dir), 0);
}

static bool stop(void *user, size_t done_bytes, size_t total_bytes)
{
    (void)user;
    return done_bytes > total_bytes;
}

static void types_are_chosen_and_progress_stops(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_gguf *g = NULL;
    const char *out = testing_temp("", 0);
    static const sn_type types[] = {SN_F32, SN_F16, SN_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const sn_convert_params params = {.type = types[i]};
        assert_int_equal(txt_convert(GOLDEN "qwen2", out, &params, &err), SN_OK);
        assert_int_equal(sn_gguf_open(&g, out, &err), SN_OK);
        assert_int_equal(sn_gguf_tensor(g, "blk.0.attn_q.weight")->type, types[i]);
        assert_int_equal(sn_gguf_tensor(g, "blk.0.attn_q.bias")->type, SN_F32);
        sn_gguf_close(g);
    }
    const sn_convert_params params = {.type = SN_F16, .progress = stop};
    assert_int_equal(txt_convert(GOLDEN "qwen2", out, &params, &err), SN_ECANCELLED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_those_of_llama_cpps_converter),
        cmocka_unit_test(wrong_folders_are_refused_by_name),
        cmocka_unit_test(cut_and_corrupt_files_are_refused_or_converted),
        cmocka_unit_test(types_are_chosen_and_progress_stops),
    };
    return testing_main("text convert", tests, sizeof tests / sizeof *tests, argc, argv);
}
