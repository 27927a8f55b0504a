/* test_text_model.c: a decoder file with anything wrong in it is refused at open, in one line that names the file. */
#include "../text/text.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One change to a copy of a file; a NULL key or tensor: none. */
typedef struct {
    const char *key;
    enum { DROP, AS_U32, AS_F32, AS_STRING, AS_ARRAY } how;
    double number;
    const char *string;
    const char *tensor;
    enum { GONE, ROW_LESS, COLUMN_LESS, FLAT, AS_I32, ALL_NAN } shape;
    const char *extra; /* a tensor that no family has */
} change;

static void write_key(sn_gguf_writer *w, const sn_kv *kv, const change *c)
{
    if (c->key == NULL || !sn_str_eq(kv->key, c->key)) {
        sn_gguf_set_kv(w, kv);
        return;
    }
    const uint32_t two[2] = {4, 4};
    switch (c->how) {
    case DROP: return;
    case AS_U32: sn_gguf_set_u32(w, c->key, (uint32_t)c->number); return;
    case AS_F32: sn_gguf_set_f32(w, c->key, (float)c->number); return;
    case AS_STRING: sn_gguf_set_str(w, c->key, c->string, strlen(c->string)); return;
    case AS_ARRAY: sn_gguf_set_array(w, c->key, SN_KV_U32, two, 2); return;
    }
}

/* The tensor as it is to be written; false: not at all. */
static bool changed(const sn_tensor *t, const change *c, sn_tensor *out)
{
    *out = *t;
    if (c->tensor == NULL || strcmp(t->name, c->tensor) != 0) return true;
    const size_t bytes = t->n_bytes / t->n_values; /* the files used here have no blocks */
    switch (c->shape) {
    case GONE: return false;
    case ROW_LESS: out->shape[0]--; break;
    case COLUMN_LESS: out->shape[t->n_dims - 1]--; break;
    case FLAT:
        out->n_dims = t->n_dims == 1 ? 2 : 1;
        out->shape[0] = t->n_dims == 1 ? t->n_values / 2 : t->n_values;
        out->shape[1] = 2;
        break;
    case AS_I32: out->type = bytes == 4 ? SN_I32 : SN_I16; break;
    case ALL_NAN: break;
    }
    out->n_values = 1;
    for (size_t i = 0; i < out->n_dims; i++) out->n_values *= out->shape[i];
    out->n_bytes = out->n_values * bytes;
    return true;
}

/* A changed copy of tests/golden/text/llama_<name>.gguf; returns its name. */
static const char *copy(const char *name, const change *c)
{
    char from[256];
    const char *to = testing_temp("", 0);
    sn_gguf *g = NULL;
    sn_gguf_writer *w = NULL;
    sn_err err = {0};
    sn_tensor t;
    snprintf(from, sizeof from, "tests/golden/text/llama_%s.gguf", name);
    if (sn_gguf_open(&g, from, &err) != SN_OK || sn_gguf_create(&w, to, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) write_key(w, sn_gguf_kv_at(g, i), c);
    if (c->key != NULL && sn_gguf_find(g, c->key) == NULL) write_key(w, &(sn_kv){.key = {c->key, strlen(c->key)}}, c);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++)
        if (changed(sn_gguf_tensor_at(g, i), c, &t)) sn_gguf_add_tensor(w, t.name, t.type, t.shape, t.n_dims);
    if (c->extra != NULL) sn_gguf_add_tensor(w, c->extra, SN_F32, (size_t[]){8}, 1);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        if (!changed(sn_gguf_tensor_at(g, i), c, &t)) continue;
        unsigned char *bytes = malloc(t.n_bytes);
        memcpy(bytes, t.data, t.n_bytes);
        if (c->shape == ALL_NAN && c->tensor != NULL && strcmp(t.name, c->tensor) == 0) memset(bytes, 0xFF, t.n_bytes);
        sn_gguf_write_data(w, bytes, t.n_bytes);
        free(bytes);
    }
    if (c->extra != NULL) sn_gguf_write_data(w, (float[8]){0}, 8 * sizeof(float));
    if (sn_gguf_finish(w, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_close(g);
    return to;
}

static sn_compute *compute(void)
{
    sn_compute *c = NULL;
    sn_err err = {0};
    if (sn_compute_open(&c, 1, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

/* Opens a changed copy, which must fail with one line that starts with the file's name; `word` (may be NULL) must be in it. */
static void refused(sn_compute *c, const char *name, change what, const char *word)
{
    sn_err err = {0};
    txt_model *m = NULL;
    const char *path = copy(name, &what), *which = what.key != NULL ? what.key : what.tensor != NULL ? what.tensor : what.extra;
    const sn_status st = txt_model_open(&m, path, c, &err);
    if (st == SN_OK) fail_msg("%s, %s changed (%d, %g): opened", name, which, (int)(what.key != NULL ? what.how : what.shape), what.number);
    assert_int_equal(st, err.code);
    assert_null(m);
    if (strncmp(err.msg, path, strlen(path)) != 0 || strncmp(err.msg + strlen(path), ": ", 2) != 0) fail_msg("no file in: %s", err.msg);
    if (strstr(err.msg + strlen(path), path) != NULL) fail_msg("twice the file in: %s", err.msg);
    assert_null(strchr(err.msg, '\n'));
    if (word != NULL && strstr(err.msg, word) == NULL) fail_msg("no \"%s\" in: %s", word, err.msg);
}

static void accepted(sn_compute *c, const char *name, change what)
{
    sn_err err = {0};
    txt_model *m = NULL;
    if (txt_model_open(&m, copy(name, &what), c, &err) != SN_OK) fail_msg("%s", err.msg);
    txt_model_close(m);
}

static void copies_without_a_change_open(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3",   "smollm", "linear",  "qwen2", "granite", "smollm3",
                                        "mistral3", "gemma3", "qwen2vl", "qwen3", "qwen3vl"};
    sn_compute *c = compute();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) accepted(c, names[i], (change){0});
    sn_compute_close(c);
}

static void keys_out_of_range_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        bool required, zero_is_fine, huge_is_fine, real;
    } keys[] = {
        {"llama.block_count", .required = true},
        {"llama.embedding_length", .required = true},
        {"llama.feed_forward_length", .required = true},
        {"llama.context_length", .required = true},
        {"llama.attention.head_count", .required = true},
        {"llama.attention.head_count_kv", .required = true}, /* of this file: absent, it would be head_count */
        {"llama.attention.key_length", .required = false},
        {"llama.attention.value_length", .required = false},
        {"llama.rope.dimension_count", .required = false},
        {"llama.vocab_size", .required = false},
        {"llama.expert_count", .required = false, .zero_is_fine = true},
        {"llama.attention.layer_norm_rms_epsilon", .required = true, .zero_is_fine = true, .real = true},
        {"llama.rope.freq_base", .required = false, .real = true},
        {"llama.rope.scaling.factor", .required = false, .zero_is_fine = true, .real = true},
    };
    sn_compute *c = compute();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *key = keys[i].key;
        const int how = keys[i].real ? AS_F32 : AS_U32;
        if (keys[i].required)
            refused(c, "llama3", (change){.key = key, .how = DROP}, NULL);
        else
            accepted(c, "llama3", (change){.key = key, .how = DROP});
        if (keys[i].zero_is_fine)
            accepted(c, "llama3", (change){.key = key, .how = how, .number = 0});
        else
            refused(c, "llama3", (change){.key = key, .how = how, .number = 0}, key);
        refused(c, "llama3", (change){.key = key, .how = how, .number = keys[i].real ? 1e30 : 4294967295.0}, NULL);
        refused(c, "llama3", (change){.key = key, .how = keys[i].real ? AS_U32 : AS_F32, .number = 2}, key);
        refused(c, "llama3", (change){.key = key, .how = AS_STRING, .string = "2"}, key);
        refused(c, "llama3", (change){.key = key, .how = AS_ARRAY}, key);
        if (keys[i].real) refused(c, "llama3", (change){.key = key, .how = AS_F32, .number = NAN}, key);
        if (keys[i].real) refused(c, "llama3", (change){.key = key, .how = AS_F32, .number = -1}, key);
    }
    sn_compute_close(c);
}

static void sizes_that_disagree_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint32_t value;
        const char *word;
    } changes[] = {
        {"llama.attention.head_count", 3, "evenly"},
        {"llama.attention.head_count_kv", 3, "evenly"},
        {"llama.attention.head_count_kv", 8, "evenly"},
        {"llama.embedding_length", 65, "[703, 65]"},
        {"llama.feed_forward_length", 161, "[161, 64]"},
        {"llama.block_count", 3, "blk.2."},
        {"llama.block_count", 1, "blk.1."}, /* a layer too many in the file */
        {"llama.rope.dimension_count", 15, "15 values rotate"},
        {"llama.rope.dimension_count", 18, "18 values rotate"},
        {"llama.attention.key_length", 8, "keys of 8"},
        {"llama.attention.value_length", 8, "values of 8"},
        {"llama.vocab_size", 702, "702"},
        {"llama.vocab_size", 704, "704"},
    };
    sn_compute *c = compute();
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        refused(c, "smollm", (change){.key = changes[i].key, .how = AS_U32, .number = changes[i].value}, changes[i].word);
    sn_compute_close(c);
}

/* Everything in a file of three families with all optional parts, one tensor at a time. */
static void tensors_missing_or_misshapen_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3", "qwen2", "gemma3"};
    sn_compute *c = compute();
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        char path[256];
        sn_gguf *g = NULL;
        snprintf(path, sizeof path, "tests/golden/text/llama_%s.gguf", names[f]);
        assert_int_equal(sn_gguf_open(&g, path, NULL), SN_OK);
        for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
            const char *name = sn_gguf_tensor_at(g, i)->name;
            const bool optional = strcmp(name, "rope_freqs.weight") == 0 || strcmp(name, "output.weight") == 0;
            for (int shape = optional ? ROW_LESS : GONE; shape <= AS_I32; shape++)
                refused(c, names[f], (change){.tensor = name, .shape = shape}, name);
        }
        sn_gguf_close(g);
    }
    accepted(c, "llama3", (change){.tensor = "rope_freqs.weight", .shape = GONE});
    accepted(c, "qwen2", (change){.tensor = "output.weight", .shape = GONE}); /* tied to the embedding then */
    refused(c, "llama3", (change){.tensor = "rope_freqs.weight", .shape = ALL_NAN}, "rope_freqs.weight");
    sn_compute_close(c);
}

static void what_would_be_computed_wrongly_is_refused_by_name(void **state)
{
    (void)state;
    sn_compute *c = compute();
    refused(c, "llama3", (change){.key = "general.architecture", .how = AS_STRING, .string = "bert"}, "bert");
    refused(c, "llama3", (change){.key = "general.architecture", .how = AS_STRING, .string = "\033[2Jbad\nname"}, "known here");
    refused(c, "llama3", (change){.key = "general.architecture", .how = DROP}, "general.architecture");
    refused(c, "llama3", (change){.key = "general.architecture", .how = AS_U32, .number = 1}, "general.architecture");
    refused(c, "llama3", (change){.key = "llama.rope.scaling.type", .how = AS_STRING, .string = "yarn"}, "yarn");
    refused(c, "llama3", (change){.key = "llama.rope.scaling.type", .how = AS_U32, .number = 1}, "rope.scaling.type");
    refused(c, "llama3", (change){.key = "llama.expert_count", .how = AS_U32, .number = 8}, "experts");
    refused(c, "llama3", (change){.extra = "blk.0.attn_q_norm.weight"}, "blk.0.attn_q_norm.weight");
    accepted(c, "llama3", (change){.key = "llama.rope.scaling.type", .how = AS_STRING, .string = "none"});
    sn_compute_close(c);
}

static void the_keys_of_gemma3_qwen2vl_and_qwen3vl_are_checked(void **state)
{
    (void)state;
    const char *base = "gemma3.rope.freq_base_swa", *sections = "qwen2vl.rope.dimension_sections";
    sn_compute *c = compute();
    refused(c, "gemma3", (change){.key = base, .how = AS_F32, .number = 0}, base);
    refused(c, "gemma3", (change){.key = base, .how = AS_F32, .number = NAN}, base);
    accepted(c, "gemma3", (change){.key = base, .how = DROP});
    refused(c, "gemma3", (change){.key = "gemma3.attention.sliding_window", .how = AS_U32, .number = 4294967295.0}, "sliding_window");
    accepted(c, "gemma3", (change){.key = "gemma3.attention.sliding_window", .how = DROP});
    refused(c, "gemma3", (change){.key = "gemma3.attention.sliding_window_pattern", .how = AS_U32, .number = 0}, "pattern");
    refused(c, "gemma3", (change){.key = "gemma3.final_logit_softcapping", .how = AS_F32, .number = 30}, "softcapping");
    refused(c, "qwen2vl", (change){.key = sections, .how = DROP}, sections);
    refused(c, "qwen2vl", (change){.key = sections, .how = AS_U32, .number = 8}, sections);
    refused(c, "qwen2vl", (change){.key = sections, .how = AS_ARRAY}, sections);
    refused(c, "qwen2vl", (change){.key = "qwen2vl.rope.dimension_count", .how = AS_U32, .number = 8}, sections);
    refused(c, "qwen3vl", (change){.key = "qwen3vl.rope.dimension_sections", .how = DROP}, "qwen3vl.rope.dimension_sections");
    refused(c, "qwen3vl", (change){.key = "qwen3vl.rope.dimension_sections", .how = AS_ARRAY}, "qwen3vl.rope.dimension_sections");
    refused(c, "qwen3vl", (change){.key = "qwen3vl.n_deepstack_layers", .how = AS_U32, .number = 4}, "n_deepstack_layers"); /* of 3 */
    refused(c, "qwen3vl", (change){.key = "qwen3vl.n_deepstack_layers", .how = AS_U32, .number = 4294967295.0}, "n_deepstack_layers");
    accepted(c, "qwen3vl", (change){.key = "qwen3vl.n_deepstack_layers", .how = DROP});
    sn_compute_close(c);
}

static void the_scales_of_granite_are_checked(void **state)
{
    (void)state;
    static const char *const keys[] = {"granite.embedding_scale", "granite.residual_scale", "granite.attention.scale",
                                       "granite.logit_scale"};
    static const double bad[] = {0, -1, NAN, INFINITY, 1e30};
    sn_compute *c = compute();
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < 5; j++) refused(c, "granite", (change){.key = keys[i], .how = AS_F32, .number = bad[j]}, keys[i]);
        refused(c, "granite", (change){.key = keys[i], .how = AS_STRING, .string = "1"}, keys[i]);
        accepted(c, "granite", (change){.key = keys[i], .how = DROP});
    }
    sn_compute_close(c);
}

static void weights_of_nan_give_tokens_all_the_same(void **state)
{
    (void)state;
    static const char *const tensors[] = {"token_embd.weight", "blk.0.attn_k.weight", "blk.1.ffn_down.weight", "output_norm.weight"};
    sn_compute *c = compute();
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        sn_err err = {0};
        txt_model *m = NULL;
        txt_session *s = NULL;
        txt_sampler *sampler = NULL;
        const change what = {.tensor = tensors[i], .shape = ALL_NAN};
        const txt_sampling p = {.temperature = 1, .top_k = 5, .top_p = 0.9f, .repeat_penalty = 1.1f, .repeat_last = 16};
        assert_int_equal(txt_model_open(&m, copy("llama3", &what), c, &err), SN_OK);
        const size_t n_vocab = txt_model_hparams(m)->n_vocab;
        assert_int_equal(txt_session_open(&s, m, 100, &err), SN_OK);
        assert_int_equal(txt_sampler_open(&sampler, &p, n_vocab, &err), SN_OK);
        float *logits = malloc(n_vocab * sizeof *logits);
        txt_id ids[40] = {0};
        assert_int_equal(txt_session_eval_ids(s, ids, 40, logits, false, &err), SN_OK);
        for (size_t step = 0; step < 20; step++) {
            const txt_id id = txt_sampler_next(sampler, logits);
            assert_true(id >= 0 && (size_t)id < n_vocab);
            txt_sampler_accept(sampler, id);
            assert_int_equal(txt_session_eval_ids(s, &id, 1, logits, false, &err), SN_OK);
        }
        free(logits);
        txt_sampler_close(sampler);
        txt_session_close(s);
        txt_model_close(m);
    }
    sn_compute_close(c);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    sn_compute *c = compute();
    const char *const paths[] = {"tests/golden/text/no-such-file.gguf", "tests", "Makefile", testing_temp("", 0), testing_temp("GGUF", 4)};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        sn_err err = {0};
        txt_model *m = NULL;
        assert_int_not_equal(txt_model_open(&m, paths[i], c, &err), SN_OK);
        assert_null(m);
        assert_int_equal(strncmp(err.msg, paths[i], strlen(paths[i])), 0);
        assert_null(strchr(err.msg, '\n'));
    }
    sn_compute_close(c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_without_a_change_open),
        cmocka_unit_test(keys_out_of_range_are_refused),
        cmocka_unit_test(sizes_that_disagree_are_refused),
        cmocka_unit_test(tensors_missing_or_misshapen_are_refused),
        cmocka_unit_test(what_would_be_computed_wrongly_is_refused_by_name),
        cmocka_unit_test(the_keys_of_gemma3_qwen2vl_and_qwen3vl_are_checked),
        cmocka_unit_test(the_scales_of_granite_are_checked),
        cmocka_unit_test(weights_of_nan_give_tokens_all_the_same),
        cmocka_unit_test(what_is_no_model_is_refused),
    };
    return testing_main("text model", tests, sizeof tests / sizeof *tests, argc, argv);
}
