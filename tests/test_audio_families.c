/* Adapter rows of every audio family against torch (tests/golden/make_audio_front.py), and files that lie. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../audio/audio.h"
#include "../core/gguf.h"
#include "../core/mem.h"
#include "testing.h"

#define GOLDEN "tests/golden/audio/front_"
#define JFK 176000

static sn_compute *compute(sn_isa isa)
{
    sn_compute *c;
    sn_err err = {0};
    if (sn_compute_open(&c, 2, isa, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

/* samples/jfk.wav, `times` over. */
static float *speech(size_t times)
{
    sn_err err = {0};
    aud_source *s;
    size_t got;
    float *x = malloc(times * JFK * sizeof *x);
    assert_non_null(x);
    if (aud_source_open(&s, "samples/jfk.wav", NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(aud_source_read(s, x, JFK, &got, &err), SN_OK);
    assert_int_equal(got, JFK);
    aud_source_close(s);
    for (size_t i = 1; i < times; i++) memcpy(x + i * JFK, x, JFK * sizeof *x);
    return x;
}

static aud_model *model(const char *family, sn_compute *c)
{
    char path[128];
    aud_model *m;
    sn_err err = {0};
    snprintf(path, sizeof path, GOLDEN "%s.gguf", family);
    if (aud_model_open(&m, path, c, &err) != SN_OK) fail_msg("%s", err.msg);
    return m;
}

/* Rows 0, 5, 10 ... and the last of n_tok against the stored ones. */
static void check_rows(const char *family, size_t times, size_t n_tok, sn_isa isa)
{
    char path[128];
    size_t shape[4], n_dims, n;
    float *x = speech(times), *out;
    sn_compute *c = compute(isa);
    aud_model *m = model(family, c);
    sn_err err = {0};

    snprintf(path, sizeof path, GOLDEN "%s_%zu.npy", family, times * 11);
    float *want = testing_npy(path, shape, &n_dims);
    n = aud_model_n_embd(m);
    assert_int_equal(n, shape[1]);
    assert_int_equal(aud_model_n_tok(m, times * JFK), n_tok);
    assert_int_equal(shape[0], (n_tok + 4) / 5 + 1);
    out = malloc(n_tok * n * sizeof *out);
    if (aud_model_encode(m, x, times * JFK, out, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t k = 0; k < shape[0]; k++) {
        const float *row = out + (k + 1 == shape[0] ? n_tok - 1 : 5 * k) * n;
        assert_true(testing_cosine(row, want + k * n, n) > 0.9999);
        assert_true(testing_rms_rel(row, want + k * n, n) < 5e-3);
    }
    free(out);
    free(want);
    free(x);
    aud_model_close(m);
    sn_compute_close(c);
}

static void voxtral_equals_torch(void **state)
{
    (void)state;
    check_rows("voxtral", 1, 375, SN_ISA_BEST);
    check_rows("voxtral", 3, 750, SN_ISA_BEST);
}

static void ultravox_equals_torch(void **state)
{
    (void)state;
    check_rows("ultravox", 1, 69, SN_ISA_BEST);
    check_rows("ultravox", 3, 188 + 19, SN_ISA_BEST);
}

static void qwen2audio_equals_torch(void **state)
{
    (void)state;
    check_rows("qwen2audio", 1, 275, SN_ISA_BEST);
    check_rows("qwen2audio", 3, 750, SN_ISA_BEST); /* cut to 30 s */
}

static void rows_hold_on_every_instruction_set(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++)
        if (sn_isa_usable((sn_isa)isa)) check_rows("ultravox", 1, 69, (sn_isa)isa);
}

static void counts_of_rows_follow_the_references(void **state)
{
    static const struct {
        const char *family;
        size_t n_samples, n_tok;
    } want[] = {
        {"voxtral", 1, 375},       {"voxtral", 480000, 375},   {"voxtral", 480001, 750},    {"voxtral", 640000, 750},
        {"ultravox", 1, 1},        {"ultravox", 80000, 32},    {"ultravox", 2560, 1},       {"ultravox", 2561, 2},
        {"ultravox", 480000, 188}, {"ultravox", 640000, 251},  {"qwen2audio", 1, 0},        {"qwen2audio", 321, 1},
        {"qwen2audio", 960, 1},    {"qwen2audio", 80000, 125}, {"qwen2audio", 960000, 750},
    };
    sn_compute *c = compute(SN_ISA_BEST);
    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        aud_model *m = model(want[i].family, c);
        assert_int_equal(aud_model_n_tok(m, want[i].n_samples), want[i].n_tok);
        aud_model_close(m);
    }
    sn_compute_close(c);
}

static void every_length_fills_the_rows_it_promises(void **state)
{
    static const char *const families[] = {"voxtral", "ultravox", "qwen2audio"};
    static const size_t lengths[] = {1, 159, 320, 321, 2559, 2561, 5000, 479999, 480000, 480001, 480161};
    sn_compute *c = compute(SN_ISA_BEST);
    float *x = speech(3);
    sn_err err = {0};
    (void)state;
    for (size_t f = 0; f < 3; f++) {
        aud_model *m = model(families[f], c);
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            size_t n = aud_model_n_tok(m, lengths[i]) * aud_model_n_embd(m);
            float *out = malloc((n + 1) * sizeof *out);
            for (size_t k = 0; k <= n; k++) out[k] = NAN;
            sn_status st = aud_model_encode(m, x, lengths[i], out, &err);
            assert_int_equal(st, n == 0 ? SN_EFORMAT : SN_OK);
            for (size_t k = 0; k < n; k++) assert_true(isfinite(out[k]));
            assert_true(isnan(out[n]));
            free(out);
        }
        aud_model_close(m);
    }
    free(x);
    sn_compute_close(c);
}

static void markers_and_names_are_the_familys(void **state)
{
    sn_compute *c = compute(SN_ISA_BEST);
    aud_model *m = model("voxtral", c);
    (void)state;
    assert_string_equal(aud_model_family(m), "voxtral");
    assert_string_equal(aud_model_before(m), "[BEGIN_AUDIO]");
    assert_string_equal(aud_model_after(m), "");
    assert_true(aud_model_bytes(m) > 170000);
    aud_model_close(m);
    m = model("qwen2audio", c);
    assert_string_equal(aud_model_before(m), "<|audio_bos|>");
    assert_string_equal(aud_model_after(m), "<|audio_eos|>");
    aud_model_close(m);
    sn_compute_close(c);
}

static void too_much_and_no_sound_are_refused(void **state)
{
    sn_compute *c = compute(SN_ISA_BEST);
    aud_model *m = model("voxtral", c);
    sn_err err = {0};
    float one = 0;
    (void)state;
    assert_int_equal(aud_model_encode(m, &one, 0, &one, &err), SN_EFORMAT);
    assert_int_equal(aud_model_encode(m, &one, (size_t)AUD_RATE_HZ * 3600 + 1, &one, &err), SN_ELIMIT);
    aud_model_close(m);
    sn_compute_close(c);
}

/* ---- files that lie ---- */

typedef struct {
    const char *key; /* set to `value`, or left out where value is 0 */
    uint32_t value;
    const char *says;
} lie;

/* front_voxtral.gguf with one key changed, as a temporary file. */
static const char *with_lie(const lie *l)
{
    sn_gguf *g;
    sn_gguf_writer *w;
    sn_err err = {0};
    const char *path = testing_temp("", 0);
    assert_int_equal(sn_gguf_open(&g, GOLDEN "voxtral.gguf", &err), SN_OK);
    assert_int_equal(sn_gguf_create(&w, path, &err), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) {
        const sn_kv *kv = sn_gguf_kv_at(g, i);
        if (!sn_str_eq(kv->key, l->key))
            sn_gguf_set_kv(w, kv);
        else if (l->value)
            sn_gguf_set_u32(w, l->key, l->value);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        if (strcmp(t->name, l->key) != 0) sn_gguf_add_tensor(w, t->name, t->type, t->shape, t->n_dims);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        if (strcmp(t->name, l->key) != 0) sn_gguf_write_data(w, t->data, t->n_bytes);
    }
    if (sn_gguf_finish(w, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_close(g);
    return path;
}

static void lies_are_named(void **state)
{
    static const lie lies[] = {
        {"clip.audio.embedding_length", 33, "33"},
        {"clip.audio.embedding_length", 4000000000u, "clip.audio.embedding_length"},
        {"clip.audio.attention.head_count", 5, "heads"},
        {"clip.audio.attention.head_count", 0, "clip.audio.attention.head_count"},
        {"clip.audio.block_count", 3, "a.blk.2"},
        {"clip.audio.block_count", 1u << 31, "clip.audio.block_count"},
        {"clip.audio.feed_forward_length", 63, "a.blk.0.ffn_up"},
        {"clip.audio.num_mel_bins", 80, "a.conv1d.1.weight"},
        {"clip.audio.projector.stack_factor", 7, "stack factor"},
        {"clip.audio.projector.stack_factor", 2, "mm.a.mlp.1"},
        {"clip.audio.projection_dim", 21, "mm.a.mlp.2"},
        {"clip.projector_type", 0, "clip.projector_type"},
        {"clip.has_audio_encoder", 0, "no audio encoder"},
        {"clip.audio.attention.layer_norm_epsilon", 0, "epsilon"},
        {"a.position_embd.weight", 0, "a.position_embd.weight"},
        {"a.conv1d.2.weight", 0, "a.conv1d.2.weight"},
        {"a.conv1d.2.bias", 0, "a.conv1d.2.bias"},
        {"a.blk.1.attn_v.bias", 0, "a.blk.1.attn_v.bias"},
        {"a.post_ln.bias", 0, "a.post_ln.bias"},
        {"mm.a.mlp.1.weight", 0, "mm.a.mlp.1.weight"},
    };
    sn_compute *c = compute(SN_ISA_BEST);
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const char *path = with_lie(&lies[i]);
        aud_model *m = NULL;
        sn_err err = {0};
        if (aud_model_open(&m, path, c, &err) == SN_OK) fail_msg("%s %u: opened", lies[i].key, lies[i].value);
        assert_int_equal(strncmp(err.msg, path, strlen(path)), 0);
        assert_null(strstr(err.msg + strlen(path), path)); /* the name stands there once */
        if (!strstr(err.msg, lies[i].says)) fail_msg("%s: does not say %s", err.msg, lies[i].says);
    }
    sn_compute_close(c);
}

static void other_files_are_refused(void **state)
{
    static const char *const paths[] = {"samples/jfk.wav", "tests/golden", "no/such/file", "Makefile", GOLDEN "states.npy"};
    sn_compute *c = compute(SN_ISA_BEST);
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        aud_model *m = NULL;
        sn_err err = {0};
        assert_true(aud_model_open(&m, paths[i], c, &err) != SN_OK);
        assert_int_equal(strncmp(err.msg, paths[i], strlen(paths[i])), 0);
    }
    sn_compute_close(c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(voxtral_equals_torch),
    cmocka_unit_test(ultravox_equals_torch),
    cmocka_unit_test(qwen2audio_equals_torch),
    cmocka_unit_test(rows_hold_on_every_instruction_set),
    cmocka_unit_test(counts_of_rows_follow_the_references),
    cmocka_unit_test(every_length_fills_the_rows_it_promises),
    cmocka_unit_test(markers_and_names_are_the_familys),
    cmocka_unit_test(too_much_and_no_sound_are_refused),
    cmocka_unit_test(lies_are_named),
    cmocka_unit_test(other_files_are_refused),
};
TESTING_MAIN("audio_families", tests)
