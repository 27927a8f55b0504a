/* The searching quantisers, the mixes of types, and files made smaller. */
#include "../core/file.h"
#include "../core/gguf.h"
#include "../core/mem.h"
#include "../core/quant.h"
#include "../core/quantize.h"

#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROW = 512, MOST_BYTES = ROW * 4 };

/* ---- rows ---- */

static uint64_t seed = 1;

static float uniform(void) /* in [-1, 1) */
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}

static float gauss(void)
{
    float sum = 0.0f;
    for (int i = 0; i < 12; i++) sum += uniform();
    return sum / 2.0f;
}

typedef enum {
    GAUSS,
    UNIFORM,
    ZEROS,
    CONSTANT,
    NEGATIVE,
    OUTLIER,
    HUGE_ONES,
    TINY,
    SUBNORMAL,
    POSITIVE,
    TWO_VALUES,
    SPARSE,
    UNEVEN,
    END_VALUES,
    N_KINDS
} kind; /* clang-format would put one on a line */

static void fill(float *x, kind k)
{
    for (size_t i = 0; i < ROW; i++) {
        const float g = gauss(), u = uniform();
        switch (k) {
        case GAUSS: x[i] = g * 0.02f; break;
        case UNIFORM: x[i] = u; break;
        case CONSTANT: x[i] = 0.37f; break;
        case NEGATIVE: x[i] = -1.5f; break;
        case OUTLIER: x[i] = i % 256 == 77 ? 30.0f : g * 0.02f; break;
        case HUGE_ONES: x[i] = u * 65504.0f; break;
        case TINY: x[i] = g * 2e-5f; break;
        case SUBNORMAL: x[i] = u * 1e-42f; break;
        case POSITIVE: x[i] = 1.5f + u / 2.0f; break;
        case TWO_VALUES: x[i] = u > 0.0f ? 1.0f : -3.0f; break;
        case SPARSE: x[i] = i % 19 == 3 ? g : 0.0f; break;
        case UNEVEN: x[i] = g * powf(10.0f, (float)(i / 32 % 4) - 3.0f); break;
        case END_VALUES: x[i] = i % 2 == 0 ? 65504.0f : -65504.0f; break;
        default: x[i] = 0.0f; break;
        }
    }
}

static const sn_type searched[] = {SN_Q4_0, SN_Q4_1, SN_Q5_0, SN_Q5_1, SN_Q8_0, SN_Q2_K, SN_Q3_K, SN_Q4_K, SN_Q5_K, SN_Q6_K};
enum { N_SEARCHED = sizeof searched / sizeof searched[0] };

/* y = what x becomes when it is stored in the type and read again, at odd addresses. */
static void there_and_back(float *y, const float *x, size_t n, sn_type id)
{
    const sn_type_info *type = sn_type_get((uint32_t)id);
    unsigned char *bytes = malloc(n / type->block * type->bytes + 1); /* no byte too many: a sanitizer would see it */
    assert_non_null(bytes);
    sn_quantize_best(id)(bytes + 1, x, n);
    type->dequantize(y, bytes + 1, n);
    free(bytes);
}

/* ---- rounding to nearest, in the plainest form: the scale is that of the range ---- */

typedef struct {
    sn_type id;
    size_t part;
    int lo, hi, scale_most; /* scale_most < 0: scales of both signs, no minimum */
} plain_form;

static const plain_form plain_forms[] = {
    {SN_Q2_K, 16, 0, 3, 15}, {SN_Q3_K, 16, -4, 3, -32}, {SN_Q4_K, 32, 0, 15, 63}, {SN_Q5_K, 32, 0, 31, 63}, {SN_Q6_K, 16, -32, 31, -128},
};

static float clamped(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static float over(float a, float b)
{
    return b != 0.0f ? a / b : 0.0f;
}

static float half(float v)
{
    return sn_f16_to_f32(sn_f32_to_f16(v));
}

static void plain_super(float *y, const float *x, const plain_form *f)
{
    float scale[16], min[16] = {0}, most_scale = 0.0f, most_min = 0.0f;
    for (size_t k = 0; k < 256 / f->part; k++) {
        float low = 0.0f, high = x[k * f->part], far = 0.0f;
        for (size_t i = k * f->part; i < (k + 1) * f->part; i++) {
            low = fminf(low, x[i]);
            high = fmaxf(high, x[i]);
            far = fabsf(x[i]) > fabsf(far) ? x[i] : far;
        }
        scale[k] = f->scale_most > 0 ? (high - low) / (float)f->hi : far / (float)f->lo;
        min[k] = f->scale_most > 0 ? -low : 0.0f;
        most_scale = fabsf(scale[k]) > fabsf(most_scale) ? scale[k] : most_scale;
        most_min = fmaxf(most_min, min[k]);
    }
    const float d = half(most_scale / (float)f->scale_most), dmin = f->scale_most > 0 ? half(most_min / (float)f->scale_most) : 0.0f;
    for (size_t i = 0; i < 256; i++) {
        const float top = fabsf((float)f->scale_most);
        const float s =
            d * clamped(roundf(over(scale[i / f->part], d)), f->scale_most > 0 ? 0.0f : -top, f->scale_most > 0 ? top : top - 1);
        const float m = dmin * clamped(roundf(over(min[i / f->part], dmin)), 0.0f, top);
        y[i] = s * clamped(roundf(over(x[i] + m, s)), (float)f->lo, (float)f->hi) - m;
    }
}

static void plain_there_and_back(float *y, const float *x, size_t n, sn_type id)
{
    const sn_type_info *type = sn_type_get((uint32_t)id);
    unsigned char bytes[MOST_BYTES];
    if (type->quantize != NULL) {
        type->quantize(bytes, x, n);
        type->dequantize(y, bytes, n);
        return;
    }
    for (size_t k = 0; k < sizeof plain_forms / sizeof plain_forms[0]; k++)
        for (size_t i = 0; plain_forms[k].id == id && i < n; i += 256) plain_super(y + i, x + i, &plain_forms[k]);
}

static size_t part_of(sn_type id)
{
    return id == SN_Q2_K || id == SN_Q3_K || id == SN_Q6_K ? 16 : 32;
}

/* The error that the search makes small: weighted, squared. */
static double weighted_error(const float *x, const float *y, size_t n, size_t part)
{
    double sum = 0;
    float finite[256], w[256];
    for (size_t i = 0; i < n; i += 256) {
        sn_fit_prepare(finite, w, x + i, 256, part);
        for (size_t j = 0; j < 256; j++) sum += (double)w[j] * pow((double)finite[j] - y[i + j], 2);
    }
    return sum;
}

/* ---- the quantisers ---- */

static void every_search_beats_rounding_to_nearest(void **state)
{
    (void)state;
    float x[ROW], y[ROW], plain[ROW];
    for (size_t t = 0; t < N_SEARCHED; t++) {
        for (kind k = 0; k < N_KINDS; k++) {
            for (int turn = 0; turn < 20; turn++) {
                fill(x, k);
                there_and_back(y, x, ROW, searched[t]);
                plain_there_and_back(plain, x, ROW, searched[t]);
                const double have = weighted_error(x, y, ROW, part_of(searched[t])),
                             most = weighted_error(x, plain, ROW, part_of(searched[t]));
                if (!(have <= most * (1 + 1e-6)))
                    fail_msg("%s, rows of kind %d: error %.9g, rounding to nearest has %.9g", sn_type_get((uint32_t)searched[t])->name,
                             (int)k, have, most);
            }
        }
    }
}

/* For rows like weights: how far what comes back is from what went in. The bounds are half a percent above what was measured,
 * which a search of fewer steps does not reach. */
static void weights_come_back_within_the_types_error(void **state)
{
    (void)state;
    static const struct {
        sn_type id;
        double rms;
    } bounds[] = {{SN_Q8_0, 0.00498}, {SN_Q6_K, 0.01696}, {SN_Q5_1, 0.0337}, {SN_Q5_K, 0.0345}, {SN_Q5_0, 0.0398},
                  {SN_Q4_1, 0.0697},  {SN_Q4_K, 0.0701},  {SN_Q4_0, 0.0810}, {SN_Q3_K, 0.1439}, {SN_Q2_K, 0.2665}};
    enum { N = 64 * 256 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y), *plain = malloc(N * sizeof *plain);
    assert_true(x != NULL && y != NULL && plain != NULL);
    seed = 1; /* the same weights whatever ran before */
    for (size_t i = 0; i < N; i++) x[i] = gauss() * 0.02f;
    for (size_t k = 0; k < sizeof bounds / sizeof bounds[0]; k++) {
        there_and_back(y, x, N, bounds[k].id);
        for (size_t i = 0; i < N; i += ROW) plain_there_and_back(plain + i, x + i, ROW, bounds[k].id);
        const double rms = testing_rms_rel(y, x, N), other = testing_rms_rel(plain, x, N);
        if (!(rms <= bounds[k].rms && rms < other))
            fail_msg("%s: %.5f, want %.5f at most; rounding to nearest: %.5f", sn_type_get((uint32_t)bounds[k].id)->name, rms,
                     bounds[k].rms, other);
    }
    free(x);
    free(y);
    free(plain);
}

/* llama.cpp's quantisers search, too. */
static void no_search_is_worse_than_that_of_llama_quantize(void **state)
{
    (void)state;
    size_t shape[4], n_dims;
    float *x = testing_npy("tests/golden/core/quantize_rows.npy", shape, &n_dims);
    const size_t n = shape[0] * shape[1];
    float *ours = malloc(n * sizeof *ours), *theirs = malloc(n * sizeof *theirs);
    assert_true(ours != NULL && theirs != NULL);
    for (size_t k = 0; k < sizeof plain_forms / sizeof plain_forms[0]; k++) {
        const sn_type_info *type = sn_type_get((uint32_t)plain_forms[k].id);
        unsigned char blocks[24 * 210];
        char path[64];
        snprintf(path, sizeof path, "tests/golden/core/quantize_%s.blocks", type->name);
        FILE *f = fopen(path, "rb");
        if (f == NULL) fail_msg("%s: cannot open", path);
        assert_int_equal(fread(blocks, 1, sizeof blocks, f), n / 256 * type->bytes);
        fclose(f);
        type->dequantize(theirs, blocks, n);
        there_and_back(ours, x, n, plain_forms[k].id);
        const double have = testing_rms_rel(ours, x, n), want = testing_rms_rel(theirs, x, n);
        if (!(have < want)) fail_msg("%s: error %.5f, llama-quantize's %.5f", type->name, have, want);
    }
    free(ours);
    free(theirs);
    free(x);
}

static void zeros_and_constants_stay_what_they_are(void **state)
{
    (void)state;
    float x[ROW], y[ROW];
    for (size_t t = 0; t < N_SEARCHED; t++) {
        fill(x, ZEROS);
        there_and_back(y, x, ROW, searched[t]);
        for (size_t i = 0; i < ROW; i++) assert_true(y[i] == 0.0f);
        for (kind k = CONSTANT; k <= NEGATIVE; k++) {
            fill(x, k);
            there_and_back(y, x, ROW, searched[t]);
            assert_true(testing_max_abs(y, x, ROW) < 6e-4 * fabs((double)x[0])); /* one rounding of a scale to half precision */
        }
        fill(x, SUBNORMAL);
        there_and_back(y, x, ROW, searched[t]);
        for (size_t i = 0; i < ROW; i++) assert_true(fabsf(y[i]) <= 0x1p-24f);
    }
}

/* Not-a-numbers count as zeros, what is too far as the end of the range; nothing that comes back is either. */
static void numbers_that_are_none_do_no_harm(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -1e30f, 1e-44f};
    float x[ROW], y[ROW];
    for (size_t t = 0; t < N_SEARCHED; t++) {
        for (size_t k = 0; k < 12; k++) {
            for (size_t i = 0; i < ROW; i++) x[i] = k < 6 ? bad[k] : i % 3 == 0 ? bad[k % 6] : gauss();
            there_and_back(y, x, ROW, searched[t]);
            for (size_t i = 0; i < ROW; i++) assert_true(isfinite(y[i]));
            for (size_t i = 0; k == 0 && i < ROW; i++) assert_true(y[i] == 0.0f);
        }
    }
}

static void only_some_types_can_be_made(void **state)
{
    (void)state;
    for (size_t i = 0; sn_mix_at(i) != NULL; i++) assert_non_null(sn_quantize_best(sn_mix_at(i)->type));
    assert_null(sn_quantize_best(SN_IQ4_NL));
    assert_null(sn_quantize_best(SN_I32));
    assert_ptr_equal(sn_mix_find("q4_k_m"), sn_mix_find("Q4_K_M"));
    assert_int_equal(sn_mix_find("Q4_K_M")->file_type, 15);
    assert_int_equal(sn_mix_find("Q2_K")->file_type, 10);
    assert_null(sn_mix_find("Q4_K"));
    assert_null(sn_mix_find(""));
}

/* ---- files ---- */

typedef struct {
    const char *name;
    sn_type type;
    size_t n_dims, shape[3];
} want_tensor;

static float value_of(size_t tensor, size_t i)
{
    return sinf((float)(tensor * 7919 + i) * 0.37f) * 0.05f;
}

/* A file with these tensors, its name till the seventh next. spoil: a value of the first tensor is this instead. */
static const char *file_of(const char *arch, uint32_t n_layer, const want_tensor *list, size_t n, float spoil)
{
    sn_gguf_writer *w = NULL;
    sn_err err = {0};
    char key[64];
    const char *path = testing_temp("", 0);
    if (sn_gguf_create(&w, path, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_set_str(w, "general.architecture", arch, strlen(arch));
    snprintf(key, sizeof key, "%s.block_count", arch);
    if (n_layer > 0) sn_gguf_set_u32(w, key, n_layer);
    sn_gguf_set_u32(w, "general.file_type", 0);
    sn_gguf_set_strs(w, "tokenizer.ggml.tokens", (sn_str[]){{"a", 1}, {"", 0}, {"bc", 2}}, 3);
    for (size_t k = 0; k < n; k++) sn_gguf_add_tensor(w, list[k].name, list[k].type, list[k].shape, list[k].n_dims);
    for (size_t k = 0; k < n; k++) {
        size_t count = 1;
        for (size_t d = 0; d < list[k].n_dims; d++) count *= list[k].shape[d];
        float *x = malloc(count * sizeof *x);
        unsigned char *bytes = malloc(count * sizeof *x);
        assert_true(x != NULL && bytes != NULL);
        for (size_t i = 0; i < count; i++) x[i] = value_of(k, i);
        if (k == 0 && spoil != 0.0f) x[count - 1] = spoil;
        const sn_type_info *type = sn_type_get((uint32_t)list[k].type);
        type->quantize(bytes, x, count);
        sn_gguf_write_data(w, bytes, count / type->block * type->bytes);
        free(x);
        free(bytes);
    }
    if (sn_gguf_finish(w, &err) != SN_OK) fail_msg("%s", err.msg);
    return path;
}

static sn_compute *compute(size_t n_threads)
{
    sn_compute *c = NULL;
    sn_err err = {0};
    if (sn_compute_open(&c, n_threads, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static sn_gguf *opened(const char *path)
{
    sn_gguf *g = NULL;
    sn_err err = {0};
    if (sn_gguf_open(&g, path, &err) != SN_OK) fail_msg("%s", err.msg);
    return g;
}

static const want_tensor small[] = {
    {"token_embd.weight", SN_F32, 2, {40, 512}},     {"blk.0.attn_norm.weight", SN_F32, 1, {512}},
    {"blk.0.attn_q.weight", SN_F16, 2, {96, 512}},   {"blk.0.attn_v.weight", SN_F16, 2, {32, 512}},
    {"blk.0.attn_q.bias", SN_F32, 1, {512}},         {"blk.0.ffn_up.weight", SN_BF16, 2, {16, 96}},
    {"blk.0.ffn_down.weight", SN_F32, 2, {512, 33}},
};
enum { N_SMALL = sizeof small / sizeof small[0] };

static sn_status requantized(const char *in, const char *out, const char *mix, size_t n_threads, senses_quantize_result *r, sn_err *err)
{
    sn_compute *c = compute(n_threads);
    senses_quantize_result unwanted;
    sn_status status = sn_requantize(c, in, out, sn_mix_find(mix), &(sn_requantize_params){0}, r != NULL ? r : &unwanted, err);
    sn_compute_close(c);
    return status;
}

static void a_file_keeps_its_keys_and_gets_the_types(void **state)
{
    (void)state;
    static const sn_type want[N_SMALL] = {SN_Q6_K, SN_F32, SN_Q4_K, SN_Q6_K, SN_F32, SN_Q5_0, SN_F16}; /* tied; rows of 96 and of 33 */
    const char *in = file_of("llama", 1, small, N_SMALL, 0), *out = testing_temp("", 0);
    senses_quantize_result r;
    sn_err err = {0};
    uint32_t v;
    if (requantized(in, out, "Q4_K_M", 2, &r, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf *a = opened(in), *b = opened(out);
    assert_int_equal(sn_gguf_n_tensors(b), N_SMALL);
    assert_int_equal(sn_gguf_u32(b, "general.file_type", 0, 99, &v, &err), SN_OK);
    assert_int_equal(v, 15);
    assert_int_equal(sn_gguf_u32(b, "general.quantization_version", 0, 99, &v, &err), SN_OK);
    assert_int_equal(v, 2);
    assert_int_equal(sn_gguf_n_kv(b), sn_gguf_n_kv(a) + 1);
    assert_int_equal(sn_gguf_find(b, "tokenizer.ggml.tokens")->n, 3);
    for (size_t i = 0; i < N_SMALL; i++) {
        const sn_tensor *s = sn_gguf_tensor_at(a, i), *t = sn_gguf_tensor_at(b, i);
        assert_string_equal(s->name, t->name);
        assert_memory_equal(s->shape, t->shape, sizeof s->shape);
        if (t->type != want[i]) fail_msg("%s is %s", t->name, sn_type_get((uint32_t)t->type)->name);
        if (t->type == s->type) assert_memory_equal(s->data, t->data, s->n_bytes);
    }
    assert_int_equal(r.n_tensors, N_SMALL);
    assert_int_equal(r.n_changed, 5);
    assert_int_equal(r.n_fallback, 2);
    assert_int_equal(r.n_requantized, 0);
    assert_true(r.bytes_out < r.bytes_in / 2);
    sn_gguf_close(a);
    sn_gguf_close(b);
}

static void any_number_of_threads_gives_the_same_bytes(void **state)
{
    (void)state;
    static const want_tensor large[] = {{"blk.0.ffn_up.weight", SN_F16, 2, {1200, 1024}}}; /* more than one piece */
    const char *in = file_of("llama", 1, large, 1, 0);
    sn_map one, many;
    sn_err err = {0};
    for (size_t i = 0; i < 2; i++) {
        const char *mix = i == 0 ? "Q4_K_M" : "Q8_0", *first = testing_temp("", 0);
        assert_int_equal(requantized(in, first, mix, 1, NULL, &err), SN_OK);
        assert_int_equal(sn_map_open(&one, first, &err), SN_OK);
        for (size_t n = 2; n <= 5; n += 3) {
            const char *other = testing_temp("", 0);
            assert_int_equal(requantized(in, other, mix, n, NULL, &err), SN_OK);
            assert_int_equal(sn_map_open(&many, other, &err), SN_OK);
            assert_int_equal(one.size, many.size);
            assert_memory_equal(one.data, many.data, one.size);
            sn_map_close(&many);
        }
        sn_map_close(&one);
    }
    /* and these are the bytes that one call for the whole tensor gives */
    const char *out = testing_temp("", 0);
    assert_int_equal(requantized(in, out, "Q5_K_S", 3, NULL, &err), SN_OK);
    sn_gguf *a = opened(in), *b = opened(out);
    const sn_tensor *s = sn_gguf_tensor_at(a, 0), *t = sn_gguf_tensor_at(b, 0);
    float *x = malloc(s->n_values * sizeof *x);
    unsigned char *want = malloc(t->n_bytes);
    assert_true(x != NULL && want != NULL);
    sn_type_get(SN_F16)->dequantize(x, s->data, s->n_values);
    assert_int_equal(t->type, SN_Q5_K);
    sn_search_q5_k(want, x, s->n_values);
    assert_memory_equal(want, t->data, t->n_bytes);
    free(want);
    free(x);
    sn_gguf_close(a);
    sn_gguf_close(b);
}

/* What a 32-layer Llama gets is what llama.cpp gives it. */
static void mixes_are_those_of_llama_quantize(void **state)
{
    (void)state;
    enum { LAYERS = 32, A_LAYER = 3 };
    static const char *const parts[A_LAYER] = {"attn_v", "ffn_down", "attn_q"};
    static const bool more[LAYERS] = {1, 1, 1, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1};
    static const struct {
        const char *mix;
        sn_type embedding, output, usual, larger;
    } wants[] = {{"Q4_K_M", SN_Q4_K, SN_Q6_K, SN_Q4_K, SN_Q6_K}, {"Q5_K_M", SN_Q5_K, SN_Q6_K, SN_Q5_K, SN_Q6_K},
                 {"Q6_K", SN_Q6_K, SN_Q6_K, SN_Q6_K, SN_Q6_K},   {"Q8_0", SN_Q8_0, SN_Q8_0, SN_Q8_0, SN_Q8_0},
                 {"Q4_0", SN_Q4_0, SN_Q6_K, SN_Q4_0, SN_Q4_0},   {"F16", SN_F16, SN_F16, SN_F16, SN_F16}};
    want_tensor list[2 + LAYERS * A_LAYER] = {{"token_embd.weight", SN_F32, 2, {2, 256}}, {"output.weight", SN_F32, 2, {2, 256}}};
    static char names[LAYERS * A_LAYER][32];
    for (size_t i = 0; i < LAYERS * A_LAYER; i++) { /* the last layer first: the order in the file is no matter */
        snprintf(names[i], sizeof names[i], "blk.%zu.%s.weight", LAYERS - 1 - i / A_LAYER, parts[i % A_LAYER]);
        list[2 + i] = (want_tensor){names[i], SN_F32, 2, {1 + 1, 256}};
    }
    const size_t n = sizeof list / sizeof list[0];
    const char *path = file_of("llama", LAYERS, list, n, 0);
    sn_gguf *g = opened(path);
    for (size_t k = 0; k < sizeof wants / sizeof wants[0]; k++) {
        sn_type types[2 + LAYERS * A_LAYER];
        size_t n_fallback;
        sn_err err = {0};
        assert_int_equal(sn_mix_types(sn_mix_find(wants[k].mix), g, types, &n_fallback, &err), SN_OK);
        assert_int_equal(n_fallback, 0);
        assert_int_equal(types[0], wants[k].embedding);
        assert_int_equal(types[1], wants[k].output);
        for (size_t i = 0; i < LAYERS * A_LAYER; i++) {
            const bool larger = i % A_LAYER < 2 && more[LAYERS - 1 - i / A_LAYER];
            if (types[2 + i] != (larger ? wants[k].larger : wants[k].usual))
                fail_msg("%s: %s is %s", wants[k].mix, names[i], sn_type_get((uint32_t)types[2 + i])->name);
        }
    }
    sn_gguf_close(g);
}

static void what_is_no_matrix_is_left_alone(void **state)
{
    (void)state;
    static const want_tensor list[] = {
        {"v.position_embd.weight", SN_F32, 2, {16, 64}},
        {"v.patch_embd.weight", SN_F16, 3, {8, 3, 64}},
        {"a.conv1d.1.weight", SN_F16, 3, {4, 8, 32}},
        {"mm.a.norm_pre.weight", SN_F32, 1, {64}},
        {"v.blk.0.ln1.weight", SN_F32, 1, {64}},
        {"mm.start_head.weight", SN_F32, 2, {1, 64}},
        {"blk.0.ffn_gate_inp.weight", SN_F32, 2, {8, 64}},
        {"blk.0.attn_q_norm.weight", SN_F32, 2, {2, 64}},
        {"decoder.positional_embedding", SN_F32, 2, {16, 64}},
        {"v.blk.0.attn_q.weight", SN_F16, 2, {16, 64}},
        {"blk.0.ffn_up_exps.weight", SN_F16, 3, {2, 4, 64}},
    };
    const size_t n = sizeof list / sizeof list[0];
    sn_type types[sizeof list / sizeof list[0]];
    size_t n_fallback;
    sn_err err = {0};
    sn_gguf *g = opened(file_of("clip", 0, list, n, 0));
    assert_int_equal(sn_mix_types(sn_mix_find("Q8_0"), g, types, &n_fallback, &err), SN_OK);
    for (size_t i = 0; i < n; i++)
        if (types[i] != (i < n - 2 ? list[i].type : SN_Q8_0)) fail_msg("%s is %s", list[i].name, sn_type_get((uint32_t)types[i])->name);
    sn_gguf_close(g);
}

/* ---- what cannot be done ---- */

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static void numbers_that_are_none_are_refused_by_name(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
    for (size_t i = 0; i < 4; i++) {
        const char *in = file_of("llama", 1, small, N_SMALL, bad[i]), *out = testing_temp("", 0);
        sn_err err = {0};
        unlink(out);
        assert_int_equal(requantized(in, out, "Q4_K_M", 2, NULL, &err), SN_EFORMAT);
        assert_int_equal(strncmp(err.msg, in, strlen(in)), 0);
        assert_non_null(strstr(err.msg, "token_embd.weight"));
        assert_false(is_there(out));
    }
}

static void a_file_is_not_written_over_itself(void **state)
{
    (void)state;
    const char *in = file_of("llama", 1, small, N_SMALL, 0);
    char other[4200];
    sn_err err = {0};
    sn_map before, after;
    assert_int_equal(sn_map_open(&before, in, &err), SN_OK);
    assert_int_equal(requantized(in, in, "Q8_0", 1, NULL, &err), SN_EUSAGE);
    snprintf(other, sizeof other, "%s.link", in);
    assert_int_equal(symlink(in, other), 0);
    assert_int_equal(requantized(in, other, "Q8_0", 1, NULL, &err), SN_EUSAGE);
    unlink(other);
    assert_int_equal(link(in, other), 0);
    assert_int_equal(requantized(in, other, "Q8_0", 1, NULL, &err), SN_EUSAGE);
    unlink(other);
    assert_int_equal(sn_map_open(&after, in, &err), SN_OK);
    assert_int_equal(before.size, after.size);
    sn_map_close(&before);
    sn_map_close(&after);
}

static void quantized_weights_are_not_quantized_again_unasked(void **state)
{
    (void)state;
    const char *in = file_of("llama", 1, small, N_SMALL, 0), *once = testing_temp("", 0), *twice = testing_temp("", 0);
    senses_quantize_result r;
    sn_err err = {0};
    assert_int_equal(requantized(in, once, "Q8_0", 1, NULL, &err), SN_OK);
    unlink(twice);
    assert_int_equal(requantized(once, twice, "Q4_0", 1, &r, &err), SN_EUSAGE);
    assert_true(r.n_requantized > 0);
    assert_false(is_there(twice));
    assert_int_equal(requantized(once, twice, "Q8_0", 1, &r, &err), SN_OK); /* nothing is to be done */
    assert_int_equal(r.n_changed, 0);
    assert_int_equal(requantized(once, twice, "F16", 1, &r, &err), SN_OK); /* what is larger loses nothing more */
    assert_int_equal(r.n_requantized, 0);
    sn_compute *c = compute(1);
    assert_int_equal(sn_requantize(c, once, twice, sn_mix_find("Q4_K_M"), &(sn_requantize_params){.again = true}, &r, &err), SN_OK);
    sn_compute_close(c);
    assert_true(r.n_requantized > 0);
    sn_gguf_close(opened(twice));
}

static bool stop_later(void *user, size_t done, size_t total)
{
    size_t *calls = user;
    assert_true(done <= total);
    return ++*calls < 3;
}

static bool go_on(void *user, size_t done, size_t total)
{
    *(bool *)user = done == total;
    return true;
}

static void stopping_leaves_nothing(void **state)
{
    (void)state;
    const char *in = file_of("llama", 1, small, N_SMALL, 0), *out = testing_temp("", 0);
    sn_compute *c = compute(2);
    senses_quantize_result r;
    sn_err err = {0};
    size_t calls = 0;
    bool complete = false;
    unlink(out);
    sn_requantize_params p = {.progress = stop_later, .user = &calls};
    assert_int_equal(sn_requantize(c, in, out, sn_mix_find("Q8_0"), &p, &r, &err), SN_ECANCELLED);
    assert_int_equal(calls, 3);
    assert_false(is_there(out));
    p = (sn_requantize_params){.progress = go_on, .user = &complete};
    assert_int_equal(sn_requantize(c, in, out, sn_mix_find("Q8_0"), &p, &r, &err), SN_OK);
    assert_true(complete);
    sn_compute_close(c);
}

/* A disk that is full is noticed when it is, not after the last tensor. */
static void a_full_disk_stops_the_work(void **state)
{
    (void)state;
    static const want_tensor large[] = {
        {"a.weight", SN_F32, 2, {1200, 1024}}, {"b.weight", SN_F32, 2, {1200, 1024}}, {"c.weight", SN_F32, 2, {1200, 1024}}};
    const char *in = file_of("llama", 1, large, 3, 0);
    sn_compute *c = compute(1);
    senses_quantize_result r;
    sn_err err = {0};
    bool complete = false;
    sn_requantize_params p = {.progress = go_on, .user = &complete};
    assert_int_equal(sn_requantize(c, in, "/dev/full", sn_mix_find("Q8_0"), &p, &r, &err), SN_EIO);
    assert_non_null(strstr(err.msg, "/dev/full: cannot write: No space left"));
    assert_false(complete);
    sn_compute_close(c);
}

static void truncated_files_and_parts_are_refused(void **state)
{
    (void)state;
    const char *in = file_of("llama", 1, small, N_SMALL, 0), *out = testing_temp("", 0);
    sn_map all;
    sn_err err = {0};
    unlink(out);
    assert_int_equal(sn_map_open(&all, in, &err), SN_OK);
    for (size_t n = 1; n < all.size; n += n < 1024 ? 37 : 40009) {
        const char *cut = testing_temp(all.data, n);
        assert_int_equal(requantized(cut, out, "Q8_0", 1, NULL, &err), SN_EFORMAT);
        assert_int_equal(strncmp(err.msg, cut, strlen(cut)), 0);
    }
    sn_map_close(&all);
    sn_gguf_writer *w = NULL;
    const char *part = testing_temp("", 0);
    assert_int_equal(sn_gguf_create(&w, part, &err), SN_OK);
    sn_gguf_set_u32(w, "split.count", 2);
    assert_int_equal(sn_gguf_finish(w, &err), SN_OK);
    assert_int_equal(requantized(part, out, "Q8_0", 1, NULL, &err), SN_EUNSUPPORTED);
    assert_false(is_there(out));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_search_beats_rounding_to_nearest),
    cmocka_unit_test(weights_come_back_within_the_types_error),
    cmocka_unit_test(no_search_is_worse_than_that_of_llama_quantize),
    cmocka_unit_test(zeros_and_constants_stay_what_they_are),
    cmocka_unit_test(numbers_that_are_none_do_no_harm),
    cmocka_unit_test(only_some_types_can_be_made),
    cmocka_unit_test(a_file_keeps_its_keys_and_gets_the_types),
    cmocka_unit_test(any_number_of_threads_gives_the_same_bytes),
    cmocka_unit_test(mixes_are_those_of_llama_quantize),
    cmocka_unit_test(what_is_no_matrix_is_left_alone),
    cmocka_unit_test(numbers_that_are_none_are_refused_by_name),
    cmocka_unit_test(a_file_is_not_written_over_itself),
    cmocka_unit_test(quantized_weights_are_not_quantized_again_unasked),
    cmocka_unit_test(stopping_leaves_nothing),
    cmocka_unit_test(a_full_disk_stops_the_work),
    cmocka_unit_test(truncated_files_and_parts_are_refused),
};
TESTING_MAIN("core_quantize", tests)
