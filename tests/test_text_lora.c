/* test_text_lora.c: LoRA adapters on a decoder give what the merged weights give, in another's arithmetic and in files of ours; what does
 * not fit a model is refused before anything is computed. References: tests/golden/make_text_lora.py. */
#include "../core/file.h"
#include "../core/lora.h"
#include "../core/mem.h"
#include "../core/quantize.h"
#include "../text/text.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER "tests/golden/text/"
#define SMOLLM FOLDER "llama_smollm.gguf"
#define QWEN2 FOLDER "llama_qwen2.gguf"
#define GEMMA3 FOLDER "llama_gemma3.gguf"
enum { MANY = 300, MOST = 2 };

typedef struct {
    const char *path;
    float scale;
} lora;

typedef struct {
    sn_compute *compute;
    txt_model *model;
    size_t n_vocab;
} rig;

static rig rig_open(const char *path, const lora *loras, sn_isa isa, size_t threads)
{
    rig r = {0};
    sn_err err = {0};
    if (sn_compute_open(&r.compute, threads, isa, &err) != SN_OK || txt_model_open(&r.model, path, r.compute, &err) != SN_OK)
        fail_msg("%s", err.msg);
    for (size_t i = 0; i < MOST && loras != NULL && loras[i].path != NULL; i++)
        if (txt_model_adapt(r.model, loras[i].path, loras[i].scale, &err) != SN_OK) fail_msg("%s", err.msg);
    r.n_vocab = txt_model_hparams(r.model)->n_vocab;
    return r;
}

static void rig_close(rig *r)
{
    txt_model_close(r->model);
    sn_compute_close(r->compute);
}

/* Logits behind ids, `piece` of them at a time. free() them. */
static float *logits_of(const rig *r, const txt_id *ids, size_t n, size_t piece)
{
    sn_err err = {0};
    txt_session *s = NULL;
    float *logits = malloc(r->n_vocab * sizeof *logits);
    assert_non_null(logits);
    if (txt_session_open(&s, r->model, n, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t at = 0; at < n; at += piece)
        if (txt_session_eval_ids(s, ids + at, n - at < piece ? n - at : piece, logits, false, &err) != SN_OK) fail_msg("%s", err.msg);
    txt_session_close(s);
    return logits;
}

/* Pseudo-random ids in [3, n_vocab), the same every time. */
static void make_ids(txt_id *ids, size_t n, size_t n_vocab)
{
    uint32_t x = 54321;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (txt_id)(3 + (x >> 8) % (n_vocab - 3));
    }
}

/* Logits behind MANY ids of a model with adapters. */
static float *say(const char *path, const lora *loras)
{
    txt_id ids[MANY];
    rig r = rig_open(path, loras, SN_ISA_BEST, 1);
    make_ids(ids, MANY, r.n_vocab);
    float *logits = logits_of(&r, ids, MANY, MANY);
    rig_close(&r);
    return logits;
}

/* ---- at run time ---- */

static const struct {
    const char *base, *ids, *want;
    lora loras[MOST];
} golden[] = {
    {SMOLLM, "smollm", "smollm_a", {{FOLDER "lora_smollm_a.gguf", 1}}},
    {SMOLLM, "smollm", "smollm_b", {{FOLDER "lora_smollm_b.gguf", 1}}}, /* embedding and output, which are one tensor */
    {SMOLLM, "smollm", "smollm_ab", {{FOLDER "lora_smollm_a.gguf", 0.5f}, {FOLDER "lora_smollm_b.gguf", -1.25f}}},
    {SMOLLM, "smollm", "smollm_c", {{FOLDER "lora_smollm_c.gguf", 1}}}, /* quantised itself */
    {QWEN2, "qwen2", "qwen2_a", {{FOLDER "lora_qwen2_a.gguf", 1}}},
    {QWEN2, "qwen2", "qwen2_b", {{FOLDER "lora_qwen2_b.gguf", 1}}},
    {QWEN2, "qwen2", "qwen2_ab", {{FOLDER "lora_qwen2_a.gguf", 0.5f}, {FOLDER "lora_qwen2_b.gguf", -1.25f}}},
};

/* As near as the models without adapters are to theirs (test_text_llama.c). */
static void logits_equal_those_of_merged_weights(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        for (size_t g = 0; g < sizeof golden / sizeof *golden; g++) {
            rig r = rig_open(golden[g].base, golden[g].loras, (sn_isa)isa, 1 + g % 2);
            char path[128];
            size_t shape[4], wshape[4], n_dims;
            snprintf(path, sizeof path, FOLDER "llama_%s_ids.npy", golden[g].ids);
            float *ids = testing_npy(path, shape, &n_dims);
            snprintf(path, sizeof path, FOLDER "lora_%s_logits.npy", golden[g].want);
            float *want = testing_npy(path, wshape, &n_dims);
            assert_int_equal(wshape[1], r.n_vocab);
            for (size_t i = 0; i < wshape[0]; i++) {
                txt_id row[256];
                size_t n = 0;
                for (; n < shape[1] && ids[i * shape[1] + n] >= 0; n++) row[n] = (txt_id)ids[i * shape[1] + n];
                float *got = logits_of(&r, row, n, n);
                const double kl = testing_divergence(want + i * r.n_vocab, got, r.n_vocab);
                if (!(kl < 1e-5)) fail_msg("%s, prompt %zu, %s: KL %g", golden[g].want, i, sn_isa_name((sn_isa)isa), kl);
                free(got);
            }
            free(ids);
            free(want);
            rig_close(&r);
        }
    }
}

static void scale_0_is_the_bare_model_exactly(void **state)
{
    (void)state;
    float *bare = say(SMOLLM, NULL);
    float *with = say(SMOLLM, (lora[MOST]){{FOLDER "lora_smollm_a.gguf", 0}, {FOLDER "lora_smollm_b.gguf", -0.0f}});
    assert_memory_equal(bare, with, 703 * sizeof *bare);
    free(bare);
    free(with);
}

static void an_adapter_twice_at_half_is_the_adapter(void **state)
{
    (void)state;
    const char *b = FOLDER "lora_smollm_b.gguf";
    float *once = say(SMOLLM, (lora[MOST]){{b, 1}}), *twice = say(SMOLLM, (lora[MOST]){{b, 0.25f}, {b, 0.75f}});
    assert_true(testing_divergence(once, twice, 703) < 1e-6);
    free(once);
    free(twice);
}

static void pieces_and_threads_change_nothing(void **state)
{
    (void)state;
    static const lora both[MOST] = {{FOLDER "lora_smollm_a.gguf", 1}, {FOLDER "lora_smollm_b.gguf", 1}};
    txt_id ids[MANY];
    float *want = say(SMOLLM, both);
    make_ids(ids, MANY, 703);
    rig r = rig_open(SMOLLM, both, SN_ISA_BEST, 3);
    float *threads = logits_of(&r, ids, MANY, MANY);
    assert_memory_equal(want, threads, 703 * sizeof *want);
    for (size_t piece = 1; piece < MANY; piece = piece * 6 + 1) {
        float *got = logits_of(&r, ids, MANY, piece);
        assert_true(testing_max_abs(want, got, 703) < 2e-2);
        free(got);
    }
    free(want);
    free(threads);
    rig_close(&r);
}

static void the_weights_are_not_copied(void **state)
{
    (void)state;
    rig bare = rig_open(SMOLLM, NULL, SN_ISA_BEST, 1), with = rig_open(SMOLLM, golden[3].loras, SN_ISA_BEST, 1);
    const size_t more = txt_model_bytes(with.model) - txt_model_bytes(bare.model);
    assert_true(more > 8000 && more < 40000); /* the adapter's 12 KB in panels; the two weights that it changes have 57 KB as floats */
    assert_true(txt_session_bytes(with.model, 64, SN_F16) >= txt_session_bytes(bare.model, 64, SN_F16));
    rig_close(&bare);
    rig_close(&with);
}

/* ---- merged ---- */

static sn_status merge(const char *base, const lora *loras, const char *out, size_t threads, senses_merge_result *r, sn_err *err)
{
    sn_compute *c = NULL;
    senses_lora list[MOST];
    size_t n = 0;
    if (sn_compute_open(&c, threads, SN_ISA_BEST, err) != SN_OK) fail_msg("%s", err->msg);
    for (; n < MOST && loras[n].path != NULL; n++) list[n] = (senses_lora){loras[n].path, loras[n].scale};
    sn_status st = sn_lora_merge(c, base, list, n, out, &(senses_merge_params){0}, r, err);
    sn_compute_close(c);
    return st;
}

/* The model merged, in a file of its own; also checks that it does not depend on the threads. */
static const char *merged(const char *base, const lora *loras, senses_merge_result *r)
{
    const char *one = testing_temp("", 0), *three = testing_temp("", 0);
    sn_err err = {0};
    sn_map a, b;
    if (merge(base, loras, one, 1, r, &err) != SN_OK || merge(base, loras, three, 3, r, &err) != SN_OK) fail_msg("%s", err.msg);
    if (sn_map_open(&a, one, &err) != SN_OK || sn_map_open(&b, three, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    sn_map_close(&a);
    sn_map_close(&b);
    return one;
}

static const char *as_type(const char *base, const char *type)
{
    const char *out = testing_temp("", 0);
    sn_compute *c = NULL;
    senses_quantize_result r;
    sn_err err = {0};
    if (sn_compute_open(&c, 1, SN_ISA_BEST, &err) != SN_OK ||
        sn_requantize(c, base, out, sn_mix_find(type), &(sn_requantize_params){0}, &r, &err) != SN_OK)
        fail_msg("%s", err.msg);
    sn_compute_close(c);
    return out;
}

static void a_merged_file_says_what_the_model_with_adapters_says(void **state)
{
    (void)state;
    static const struct {
        const char *base, *type;
        lora loras[MOST];
        double kl; /* what the rounding to the base's type costs */
    } cases[] = {
        {SMOLLM, "F32", {{FOLDER "lora_smollm_a.gguf", 0.5f}, {FOLDER "lora_smollm_b.gguf", -1.25f}}, 1e-6},
        {SMOLLM, "F32", {{FOLDER "lora_smollm_c.gguf", 2}}, 1e-6},
        {SMOLLM, "F16", {{FOLDER "lora_smollm_a.gguf", 1}, {FOLDER "lora_smollm_b.gguf", 1}}, 1e-4},
        {SMOLLM, "Q8_0", {{FOLDER "lora_smollm_a.gguf", 1}}, 2e-2},
        {QWEN2, NULL, {{FOLDER "lora_qwen2_a.gguf", 0.5f}, {FOLDER "lora_qwen2_b.gguf", -1.25f}}, 1e-4},
        {GEMMA3, "F32", {{FOLDER "lora_gemma3.gguf", 1}}, 1e-6}, /* scales the embedding */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *base = cases[i].type != NULL ? as_type(cases[i].base, cases[i].type) : cases[i].base;
        senses_merge_result result;
        const size_t n_vocab = cases[i].base[sizeof FOLDER + 5] == 's' ? 703 : 264;
        float *bare = say(base, NULL), *with = say(base, cases[i].loras), *file = say(merged(base, cases[i].loras, &result), NULL);
        const double kl = testing_divergence(with, file, n_vocab), apart = testing_divergence(bare, with, n_vocab);
        if (!(kl < cases[i].kl && apart > 100 * kl)) fail_msg("case %zu: KL %g; %g from the bare model", i, kl, apart);
        free(bare);
        free(with);
        free(file);
    }
}

/* Tensors that no adapter names are the same bytes; all keep their types. */
static size_t compare_files(const sn_gguf *base, const sn_gguf *file)
{
    size_t n_changed = 0;
    assert_int_equal(sn_gguf_n_kv(base), sn_gguf_n_kv(file));
    for (size_t i = 0; i < sn_gguf_n_tensors(base); i++) {
        const sn_tensor *a = sn_gguf_tensor_at(base, i), *b = sn_gguf_tensor_at(file, i);
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->type, b->type);
        assert_memory_equal(a->shape, b->shape, a->n_dims * sizeof *a->shape);
        n_changed += memcmp(a->data, b->data, a->n_bytes) != 0;
    }
    return n_changed;
}

static void a_merged_file_differs_only_where_an_adapter_is(void **state)
{
    (void)state;
    static const struct {
        const char *base;
        lora loras[MOST];
        size_t n_changed;
        bool output; /* the tied embedding has become two */
    } cases[] = {
        {SMOLLM, {{FOLDER "lora_smollm_a.gguf", 1}}, 14, false},
        {SMOLLM, {{FOLDER "lora_smollm_b.gguf", 1}}, 5, true},
        {SMOLLM, {{FOLDER "lora_smollm_b.gguf", 0}}, 0, false},
        {GEMMA3, {{FOLDER "lora_gemma3.gguf", 1}}, 3, true}, /* the output stays what it was */
        {QWEN2, {{FOLDER "lora_qwen2_b.gguf", 1}}, 6, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sn_gguf *base = NULL, *file = NULL;
        sn_err err = {0};
        senses_merge_result r;
        const char *path = merged(cases[i].base, cases[i].loras, &r);
        if (sn_gguf_open(&base, cases[i].base, &err) != SN_OK || sn_gguf_open(&file, path, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_int_equal(compare_files(base, file), cases[i].n_changed);
        assert_int_equal(sn_gguf_n_tensors(file), sn_gguf_n_tensors(base) + cases[i].output);
        assert_int_equal(r.n_tensors, sn_gguf_n_tensors(file));
        assert_int_equal(r.n_widened, 0);
        if (i == 3) { /* its output has no adapter: the old embedding */
            const sn_tensor *old = sn_gguf_tensor(base, "token_embd.weight"), *out = sn_gguf_tensor(file, "output.weight");
            assert_non_null(out);
            assert_memory_equal(old->data, out->data, old->n_bytes);
        }
        sn_gguf_close(base);
        sn_gguf_close(file);
    }
}

static void merging_replaces_no_input(void **state)
{
    (void)state;
    sn_err err = {0};
    senses_merge_result r;
    const char *base = as_type(SMOLLM, "F16"), *adapter = testing_temp("", 0);
    sn_map m;
    if (sn_map_open(&m, FOLDER "lora_smollm_a.gguf", &err) != SN_OK) fail_msg("%s", err.msg);
    FILE *f = fopen(adapter, "wb");
    assert_int_equal(fwrite(m.data, 1, m.size, f), m.size);
    fclose(f);
    sn_map_close(&m);
    assert_int_equal(merge(base, (lora[MOST]){{adapter, 1}}, base, 1, &r, &err), SN_EUSAGE);
    assert_int_equal(merge(base, (lora[MOST]){{adapter, 1}}, adapter, 1, &r, &err), SN_EUSAGE);
    assert_int_equal(merge(base, (lora[MOST]){{adapter, 1}}, testing_temp("", 0), 1, &r, &err), SN_OK);
}

/* ---- what is refused ---- */

typedef struct {
    const char *name; /* with its suffix; NULL: none */
    sn_type type;
    size_t shape[3]; /* 0: no such axis */
} tensor;

typedef struct {
    const char *type, *kind, *arch; /* NULL: no such key */
    float alpha;
    bool alora;
    tensor tensors[3];
    sn_status status;
    const char *said[4];
} bad_file;

#define Q "blk.0.attn_q.weight"
#define F(name, ...)                                                                                                                       \
    {                                                                                                                                      \
        name, SN_F32,                                                                                                                      \
        {                                                                                                                                  \
            __VA_ARGS__                                                                                                                    \
        }                                                                                                                                  \
    }
#define GOOD "adapter", "lora", "llama", 4, false
static const bad_file bad_files[] = {
    {"model", "lora", "llama", 4, false, {{0}}, SN_EUNSUPPORTED, {"is not a LoRA", "general.type is \"model\""}},
    {NULL, "lora", "llama", 4, false, {{0}}, SN_EUNSUPPORTED, {"is not a LoRA", "general.type is nothing"}},
    {"adapter", "control_vector", "llama", 4, false, {{0}}, SN_EUNSUPPORTED, {"is not a LoRA", "adapter.type is \"control_vector\""}},
    {"adapter", NULL, "llama", 4, false, {{0}}, SN_EUNSUPPORTED, {"is not a LoRA"}},
    {"adapter", "lora", "qwen2", 4, false, {{0}}, SN_EUNSUPPORTED, {"\"qwen2\"", "\"llama\"", SMOLLM}},
    {"adapter", "lora", NULL, 4, false, {{0}}, SN_EUNSUPPORTED, {"nothing", SMOLLM}},
    {"adapter", "lora", "llama", 4, true, {{0}}, SN_EUNSUPPORTED, {"aLoRA"}},
    {"adapter", "lora", "llama", NAN, false, {{0}}, SN_EFORMAT, {"adapter.lora.alpha"}},
    {"adapter", "lora", "llama", INFINITY, false, {{0}}, SN_EFORMAT, {"adapter.lora.alpha"}},
    {"adapter", "lora", "llama", 1e30f, false, {{0}}, SN_EFORMAT, {"adapter.lora.alpha"}},
    {GOOD, {{0}}, SN_EFORMAT, {"without tensors"}},
    {GOOD, {F(Q ".lora_a", 4, 64)}, SN_EFORMAT, {Q ".lora_a", Q ".lora_b is missing"}},
    {GOOD, {F(Q ".lora_b", 64, 4)}, SN_EFORMAT, {Q ".lora_b", Q ".lora_a is missing"}},
    {GOOD, {F("blk.0.attn_norm.weight", 64)}, SN_EUNSUPPORTED, {"blk.0.attn_norm.weight", "neither"}},
    {GOOD, {F(".lora_a", 4, 64)}, SN_EUNSUPPORTED, {".lora_a", "neither"}},
    {GOOD,
     {F("blk.2.attn_q.weight.lora_a", 4, 64), F("blk.2.attn_q.weight.lora_b", 64, 4)},
     SN_EUNSUPPORTED,
     {"blk.2.attn_q.weight", SMOLLM}},
    {GOOD, {F("blk.0.attn_norm.weight.lora_a", 1, 64), F("blk.0.attn_norm.weight.lora_b", 1, 1)}, SN_EUNSUPPORTED, {"no matrix"}},
    {GOOD, {F(Q ".lora_a", 4, 48), F(Q ".lora_b", 64, 4)}, SN_ESHAPE, {Q ".lora_a", "[rank, 64]", "[64, 64]", "F32 [4, 48]"}},
    {GOOD, {F(Q ".lora_a", 4, 64), F(Q ".lora_b", 48, 4)}, SN_ESHAPE, {Q ".lora_b", "[64, 4]", "[64, 64]", "F32 [48, 4]"}},
    {GOOD, {F(Q ".lora_a", 4, 64), F(Q ".lora_b", 64, 5)}, SN_ESHAPE, {Q ".lora_b", "[64, 4]", "F32 [64, 5]"}},
    {GOOD, {F(Q ".lora_a", 64, 4), F(Q ".lora_b", 64, 4)}, SN_ESHAPE, {Q ".lora_a", "[rank, 64]", "F32 [64, 4]"}},
    {GOOD, {F(Q ".lora_a", 2, 2, 64), F(Q ".lora_b", 64, 4)}, SN_ESHAPE, {Q ".lora_a", "F32 [2, 2, 64]"}},
    {GOOD, {{Q ".lora_a", SN_I32, {4, 64}}, F(Q ".lora_b", 64, 4)}, SN_ESHAPE, {Q ".lora_a", "I32 [4, 64]"}},
    {GOOD, {F(Q ".lora_a", 20000, 64), F(Q ".lora_b", 64, 20000)}, SN_ELIMIT, {Q ".lora_a", "20000"}},
    {GOOD,
     {F("token_embd.weight.lora_a", 4, 703), F("token_embd.weight.lora_b", 64, 4)},
     SN_ESHAPE,
     {"token_embd.weight.lora_a", "[703, rank]", "[4, 703]"}},
    {GOOD,
     {F("token_embd.weight.lora_a", 703, 4), F("token_embd.weight.lora_b", 4, 64)},
     SN_ESHAPE,
     {"token_embd.weight.lora_b", "[64, 4]", "[4, 64]"}},
};

static const char *write_bad(const bad_file *f)
{
    static const float zeros[1 << 12];
    const char *path = testing_temp("", 0);
    sn_gguf_writer *w = NULL;
    sn_err err = {0};
    if (sn_gguf_create(&w, path, &err) != SN_OK) fail_msg("%s", err.msg);
    if (f->type != NULL) sn_gguf_set_str(w, "general.type", f->type, strlen(f->type));
    if (f->kind != NULL) sn_gguf_set_str(w, "adapter.type", f->kind, strlen(f->kind));
    if (f->arch != NULL) sn_gguf_set_str(w, "general.architecture", f->arch, strlen(f->arch));
    sn_gguf_set_f32(w, "adapter.lora.alpha", f->alpha);
    if (f->alora) sn_gguf_set_array(w, "adapter.alora.invocation_tokens", SN_KV_U32, &(uint32_t){5}, 1);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < 3 && f->tensors[i].name != NULL; i++) {
            const tensor *t = &f->tensors[i];
            const size_t n_dims = 1 + (t->shape[1] > 0) + (t->shape[2] > 0);
            size_t n = 1;
            for (size_t k = 0; k < n_dims; k++) n *= t->shape[k];
            if (pass == 0) sn_gguf_add_tensor(w, t->name, t->type, t->shape, n_dims);
            for (size_t some; pass == 1 && n > 0; n -= some) {
                some = n < 1 << 12 ? n : 1 << 12;
                sn_gguf_write_data(w, zeros, some * sizeof(float));
            }
        }
    }
    if (sn_gguf_finish(w, &err) != SN_OK) fail_msg("%s", err.msg);
    return path;
}

static void what_does_not_fit_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    rig r = rig_open(SMOLLM, NULL, SN_ISA_BEST, 1);
    const size_t bytes = txt_model_bytes(r.model);
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++) {
        const char *path = write_bad(&bad_files[i]), *out = testing_temp("", 0);
        sn_err err = {0}, merge_err = {0};
        senses_merge_result result;
        const sn_status status = txt_model_adapt(r.model, path, 1, &err);
        if (status != bad_files[i].status) fail_msg("file %zu: status %d, %s", i, status, err.msg);
        if (strncmp(err.msg, path, strlen(path)) != 0 || strchr(err.msg, '\n') != NULL) fail_msg("file %zu: %s", i, err.msg);
        for (size_t k = 0; k < 4 && bad_files[i].said[k] != NULL; k++)
            if (strstr(err.msg, bad_files[i].said[k]) == NULL) fail_msg("file %zu: no \"%s\" in: %s", i, bad_files[i].said[k], err.msg);
        assert_int_equal(merge(SMOLLM, (lora[MOST]){{path, 1}}, out, 1, &result, &merge_err), status);
        assert_string_equal(err.msg, merge_err.msg);
        assert_int_equal(txt_model_bytes(r.model), bytes);
    }
    txt_id ids[MANY];
    make_ids(ids, MANY, r.n_vocab);
    float *after = logits_of(&r, ids, MANY, MANY), *bare = say(SMOLLM, NULL);
    assert_memory_equal(after, bare, r.n_vocab * sizeof *bare);
    free(after);
    free(bare);
    rig_close(&r);
}

static void scales_that_are_no_scales_are_usage_errors(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 1e7f};
    rig r = rig_open(SMOLLM, NULL, SN_ISA_BEST, 1);
    for (size_t i = 0; i < 4; i++) {
        sn_err err = {0};
        assert_int_equal(txt_model_adapt(r.model, FOLDER "lora_smollm_a.gguf", bad[i], &err), SN_EUSAGE);
    }
    rig_close(&r);
}

/* The first axis of blk.0.attn_q.weight.lora_a in the file, its rank, overwritten. */
static const char *with_rank(uint64_t rank)
{
    sn_map m;
    sn_err err = {0};
    if (sn_map_open(&m, FOLDER "lora_smollm_a.gguf", &err) != SN_OK) fail_msg("%s", err.msg);
    unsigned char *bytes = malloc(m.size), *at;
    memcpy(bytes, m.data, m.size);
    at = memmem(bytes, m.size, Q ".lora_a", strlen(Q ".lora_a"));
    assert_non_null(at);
    memcpy(at + strlen(Q ".lora_a") + 4 + 8, &rank, 8); /* behind the number of axes and the first one, n_in */
    const char *path = testing_temp(bytes, m.size);
    free(bytes);
    sn_map_close(&m);
    return path;
}

static void ranks_of_nothing_and_of_everything_are_refused(void **state)
{
    (void)state;
    const uint64_t ranks[] = {0, 1, 5, UINT32_MAX, UINT64_C(1) << 60, UINT64_MAX};
    rig r = rig_open(SMOLLM, NULL, SN_ISA_BEST, 1);
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        sn_err err = {0};
        const char *path = with_rank(ranks[i]);
        assert_int_not_equal(txt_model_adapt(r.model, path, 1, &err), SN_OK);
        assert_memory_equal(err.msg, path, strlen(path));
    }
    rig_close(&r);
}

/* A value that is no number does not get into a file. */
static void merging_no_numbers_is_refused(void **state)
{
    (void)state;
    sn_map m;
    sn_err err = {0};
    senses_merge_result r;
    if (sn_map_open(&m, FOLDER "lora_smollm_a.gguf", &err) != SN_OK) fail_msg("%s", err.msg);
    unsigned char *bytes = malloc(m.size);
    memcpy(bytes, m.data, m.size);
    memcpy(bytes + m.size - 64, &(float){NAN}, sizeof(float)); /* in the last tensor, a lora_b */
    const char *path = testing_temp(bytes, m.size), *out = testing_temp("before", 6);
    free(bytes);
    sn_map_close(&m);
    assert_int_equal(merge(SMOLLM, (lora[MOST]){{path, 1}}, out, 1, &r, &err), SN_EFORMAT);
    assert_non_null(strstr(err.msg, "no finite number"));
    if (strstr(err.msg, path) == NULL || strstr(err.msg, SMOLLM) == NULL) fail_msg("%s", err.msg); /* either may be what is wrong */
    if (sn_map_open(&m, out, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(m.size, 6);
    sn_map_close(&m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_those_of_merged_weights),
        cmocka_unit_test(scale_0_is_the_bare_model_exactly),
        cmocka_unit_test(an_adapter_twice_at_half_is_the_adapter),
        cmocka_unit_test(pieces_and_threads_change_nothing),
        cmocka_unit_test(the_weights_are_not_copied),
        cmocka_unit_test(a_merged_file_says_what_the_model_with_adapters_says),
        cmocka_unit_test(a_merged_file_differs_only_where_an_adapter_is),
        cmocka_unit_test(merging_replaces_no_input),
        cmocka_unit_test(what_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(scales_that_are_no_scales_are_usage_errors),
        cmocka_unit_test(ranks_of_nothing_and_of_everything_are_refused),
        cmocka_unit_test(merging_no_numbers_is_refused),
    };
    return testing_main("text lora", tests, sizeof tests / sizeof *tests, argc, argv);
}
