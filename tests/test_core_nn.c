/* The layers against double precision on every instruction set of this CPU. */
#include "testing.h"

#include "../core/nn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 2463534242u;

static float random_float(void) /* [-1, 1) */
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return (float)(int32_t)seed * 0x1p-31f;
}

static float *random_floats(size_t n, float size)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = size * random_float();
    return x;
}

#define FOR_EACH_ISA(c, n_threads)                                                                                                         \
    for (int isa = 0; isa < SN_ISA_COUNT; isa++)                                                                                           \
        for (sn_compute *c = open_isa((sn_isa)isa, n_threads); c != NULL; sn_compute_close(c), c = NULL)

static sn_compute *open_isa(sn_isa isa, size_t n_threads)
{
    sn_compute *c = NULL;
    if (sn_isa_usable(isa)) assert_int_equal(sn_compute_open(&c, n_threads, isa, NULL), SN_OK);
    return c;
}

/* ---- norms ---- */

static void norms_agree_with_double_precision(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 8, 15, 16, 17, 33, 64, 384, 577, 2048};
    FOR_EACH_ISA(c, 2)
    {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            const size_t n = sizes[s], n_tok = 11;
            float *x = random_floats(n_tok * n, 3), *y = random_floats(n_tok * n, 1);
            sn_norm w = {random_floats(n, 2), random_floats(n, 1), n};
            for (size_t i = 0; i < n_tok * n; i++) x[i] += 1.5f;
            for (int kind = 0; kind < 3; kind++) { /* layer norm, without a bias, RMS norm */
                sn_norm used = {w.weight, kind == 0 ? w.bias : NULL, n};
                if (kind == 2) sn_rmsnorm(c, y, x, &used, n_tok, 1e-5f);
                if (kind != 2) sn_layernorm(c, y, x, &used, n_tok, 1e-5f);
                for (size_t t = 0; t < n_tok; t++) {
                    double mean = 0, squares = 0;
                    for (size_t i = 0; i < n; i++) mean += x[t * n + i] / (double)n;
                    if (kind == 2) mean = 0;
                    for (size_t i = 0; i < n; i++) squares += (x[t * n + i] - mean) * (x[t * n + i] - mean);
                    for (size_t i = 0; i < n; i++) {
                        const double want =
                            (x[t * n + i] - mean) / sqrt(squares / (double)n + 1e-5) * w.weight[i] + (kind == 0 ? w.bias[i] : 0);
                        assert_true(fabs(y[t * n + i] - want) <= 2e-6 * (1 + fabs(want)) + (n == 1 ? 1e-3 : 0));
                    }
                }
            }
            memcpy(y, x, n_tok * n * sizeof *y);
            float *in_place = y, *apart = random_floats(n_tok * n, 1);
            sn_layernorm(c, apart, x, &w, n_tok, 1e-5f);
            sn_layernorm(c, in_place, in_place, &w, n_tok, 1e-5f);
            assert_memory_equal(in_place, apart, n_tok * n * sizeof *y);
            free(apart), free(w.weight), free(w.bias), free(x), free(y);
        }
    }
}

/* ---- activations ---- */

static double act_in_double(sn_act act, double x)
{
    switch (act) {
    case SN_ACT_GELU_ERF: return 0.5 * x * erfc(-x / sqrt(2));
    case SN_ACT_GELU_TANH: return x / (1 + exp(-2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case SN_ACT_GELU_QUICK: return x / (1 + exp(-1.702 * x));
    case SN_ACT_SILU: return x / (1 + exp(-x));
    default: return x < 0 ? 0 : x;
    }
}

/* Relative where the argument of the exponential is exact to its last place (|x| small); its own rounding, half a unit of
 * 1.7 x or 1.6 (x + .04 x^3), is in every implementation in single precision. */
static void activations_agree_with_double_precision(void **state)
{
    (void)state;
    enum { N = 40001 };
    float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    FOR_EACH_ISA(c, 2)
    {
        for (int act = 0; act <= SN_ACT_RELU; act++) {
            for (size_t i = 0; i < N; i++) x[i] = ((float)i - 20000) * 0.001f;
            memcpy(y, x, N * sizeof *x);
            sn_activate(c, y, N, (sn_act)act);
            for (size_t i = 0; i < N; i++) {
                const double want = act_in_double((sn_act)act, x[i]), cube = act == SN_ACT_GELU_TANH ? 0.1 * fabs(x[i] * x[i] * x[i]) : 0;
                const double bound = fabs(want) * (3.5e-7 + 1.2e-7 * (2 * fabs(x[i]) + cube)) + 1e-37;
                if (fabs(y[i] - want) > bound) fail_msg("%s act %d (%g): %.9g, want %.9g", sn_isa_name((sn_isa)isa), act, x[i], y[i], want);
            }
        }
    }
    free(x), free(y);
}

static void activations_at_the_ends(void **state)
{
    (void)state;
    FOR_EACH_ISA(c, 1)
    {
        for (int act = 0; act <= SN_ACT_RELU; act++) {
            float x[] = {0, -0.0f, 1e30f, -1e4f, 3e38f, 1e-30f, 88, -88, 100, -100, INFINITY, NAN};
            sn_activate(c, x, sizeof x / sizeof *x, (sn_act)act);
            assert_true(x[0] == 0 && x[1] == 0);
            assert_true(x[2] == 1e30f);
            assert_true(fabsf(x[3]) < 1e-30f);
            assert_true(fabsf(x[5]) <= 1e-30f);
            assert_true(fabsf(x[6] - 88) < 1e-4f && fabsf(x[7]) < 1e-30f && fabsf(x[8] - 100) < 1e-4f && fabsf(x[9]) < 1e-30f);
            assert_true(isinf(x[10]) && x[10] > 0);
            assert_true(isnan(x[11]) || act == SN_ACT_RELU);
        }
    }
}

static void swiglu_and_sums_agree_with_double_precision(void **state)
{
    (void)state;
    FOR_EACH_ISA(c, 3)
    {
        for (size_t n = 1; n < 20000; n = n * 3 + 1) {
            float *x = random_floats(n, 8), *y = random_floats(n, 8), *z = random_floats(n, 8), *was = malloc(n * sizeof *was);
            memcpy(was, x, n * sizeof *x);
            sn_swiglu(c, x, y, n);
            for (size_t i = 0; i < n; i++) {
                const double want = act_in_double(SN_ACT_SILU, was[i]) * y[i];
                assert_true(fabs(x[i] - want) <= 1e-6 * fabs(want) + 1e-12);
            }
            memcpy(was, z, n * sizeof *z);
            sn_add(c, z, y, n);
            for (size_t i = 0; i < n; i++) assert_true(z[i] == was[i] + y[i]);
            memcpy(was, z, n * sizeof *z);
            sn_mul(c, z, y, n);
            for (size_t i = 0; i < n; i++) assert_true(z[i] == was[i] * y[i]);
            memcpy(was, z, n * sizeof *z);
            const size_t row = n < 7 ? n : 7;
            sn_scale_rows_add(c, z, y, x, n / row, row);
            for (size_t i = 0; i < n / row * row; i++) {
                assert_true(fabs(z[i] - (was[i] + (double)y[i] * x[i % row])) <= 1e-6 * (fabs(was[i]) + fabs((double)y[i] * x[i % row])));
            }
            for (size_t i = n / row * row; i < n; i++) assert_true(z[i] == was[i]);
            free(x), free(y), free(z), free(was);
        }
    }
}

static void softmax_sums_to_one_in_proportion(void **state)
{
    (void)state;
    for (size_t n = 1; n < 3000; n = n * 2 + 3) {
        float *x = random_floats(n, 10), *y = malloc(n * sizeof *y);
        double sum = 0, max = -1e9;
        memcpy(y, x, n * sizeof *x);
        sn_softmax(y, n);
        for (size_t i = 0; i < n; i++) max = fmax(max, x[i]);
        for (size_t i = 0; i < n; i++) sum += exp(x[i] - max);
        for (size_t i = 0; i < n; i++) assert_true(fabs(y[i] - exp(x[i] - max) / sum) <= 2e-6 * exp(x[i] - max) / sum + 1e-37);
        free(x), free(y);
    }
}

/* ---- positions ---- */

static void rope_turns_pairs(void **state)
{
    (void)state;
    enum { TOK = 9, HEADS = 3, D = 20, ROT = 16, LD = HEADS * D + 4 };
    FOR_EACH_ISA(c, 2)
    {
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            float x[TOK * LD], was[TOK * LD], freq[ROT / 2];
            int32_t pos[TOK];
            for (size_t i = 0; i < TOK * LD; i++) was[i] = x[i] = random_float();
            for (size_t i = 0; i < ROT / 2; i++) freq[i] = powf(10000, -2.0f * (float)i / ROT);
            for (size_t t = 0; t < TOK; t++) pos[t] = (int32_t)(t * 117);
            sn_rope(c, x, LD, TOK, HEADS, D, ROT, pos, freq, interleaved);
            for (size_t t = 0; t < TOK; t++) {
                for (size_t h = 0; h < HEADS; h++) {
                    const float *a = was + t * LD + h * D, *b = x + t * LD + h * D;
                    for (size_t i = 0; i < ROT / 2; i++) {
                        const size_t u = interleaved ? 2 * i : i, v = interleaved ? 2 * i + 1 : i + ROT / 2;
                        const double angle = (float)pos[t] * freq[i];
                        assert_true(fabs(b[u] - (a[u] * cos(angle) - a[v] * sin(angle))) < 1e-6);
                        assert_true(fabs(b[v] - (a[u] * sin(angle) + a[v] * cos(angle))) < 1e-6);
                    }
                    for (size_t i = ROT; i < D; i++) assert_true(a[i] == b[i]);
                }
            }
            for (size_t t = 0; t < TOK; t++) {
                for (size_t i = HEADS * D; i < LD; i++) assert_true(x[t * LD + i] == was[t * LD + i]);
            }
        }
    }
}

static void f16_rows_are_the_reference_conversion(void **state)
{
    (void)state;
    enum { ROWS = 3, N = 37 };
    float x[ROWS * N];
    uint16_t y[ROWS * (N + 2)] = {0};
    for (size_t i = 0; i < ROWS * N; i++) x[i] = random_float() * powf(2, (float)(i % 50) - 28);
    FOR_EACH_ISA(c, 1)
    {
        sn_f32_to_f16_rows(c, y, N + 2, x, N, ROWS, N);
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t i = 0; i < N; i++) assert_int_equal(y[r * (N + 2) + i], sn_f32_to_f16(x[r * N + i]));
            assert_int_equal(y[r * (N + 2) + N], 0);
        }
    }
}

/* ---- attention ---- */

enum { WIDE, HALF, BLOCKS }; /* keys and values as F32, F16, Q8_0 */

typedef struct {
    size_t n_q, n_kv, n_head, n_head_kv, d_head, first_pos;
    bool causal;
    int kept;     /* WIDE, HALF (true), BLOCKS */
    bool by_head; /* the cache is [n_head_kv, n_kv, d_head] */
    float size;   /* of queries: how sharp the softmax is */
    size_t window;
} attention_case;

typedef struct {
    float *q, *k, *v;
    uint16_t *k16, *v16; /* in half precision, or blocks */
    sn_attention_args args;
} attention_data;

static attention_data attention_make(attention_case s)
{
    const size_t n = s.n_kv * s.n_head_kv * s.d_head;
    attention_data d = {.q = random_floats(s.n_q * (s.n_head * s.d_head + 3), s.size), .k = random_floats(n, 1), .v = random_floats(n, 1)};
    d.k16 = malloc(n * 2);
    d.v16 = malloc(n * 2);
    for (size_t i = 0; i < n; i++) d.k16[i] = sn_f32_to_f16(d.k[i]), d.v16[i] = sn_f32_to_f16(d.v[i]);
    for (size_t i = 0; s.kept == HALF && i < n; i++) {
        d.k[i] = sn_f16_to_f32(d.k16[i]);
        d.v[i] = sn_f16_to_f32(d.v16[i]);
    }
    if (s.kept == BLOCKS) {
        sn_f32_to_q8_0_rows(d.k16, s.d_head, d.k, s.d_head, n / s.d_head, s.d_head);
        sn_f32_to_q8_0_rows(d.v16, s.d_head, d.v, s.d_head, n / s.d_head, s.d_head);
        sn_type_get(SN_Q8_0)->dequantize(d.k, d.k16, n);
        sn_type_get(SN_Q8_0)->dequantize(d.v, d.v16, n);
    }
    d.args = (sn_attention_args){.q = d.q,
                                 .k = s.kept != WIDE ? (void *)d.k16 : d.k,
                                 .v = s.kept != WIDE ? (void *)d.v16 : d.v,
                                 .kv_type = s.kept == HALF     ? SN_F16
                                            : s.kept == BLOCKS ? SN_Q8_0
                                                               : SN_F32,
                                 .n_q = s.n_q,
                                 .n_kv = s.n_kv,
                                 .n_head = s.n_head,
                                 .n_head_kv = s.n_head_kv,
                                 .d_head = s.d_head,
                                 .ld_out = s.n_head * s.d_head + 1,
                                 .ld_q = s.n_head * s.d_head + 3,
                                 .ld_kv = s.by_head ? s.d_head : s.n_head_kv * s.d_head,
                                 .ld_head = s.by_head ? s.n_kv * s.d_head : s.d_head,
                                 .scale = 1 / sqrtf((float)s.d_head),
                                 .causal = s.causal,
                                 .first_pos = s.first_pos,
                                 .window = s.window};
    d.args.out = random_floats(s.n_q * d.args.ld_out, 1);
    return d;
}

static void attention_free(attention_data *d)
{
    free(d->q), free(d->k), free(d->v), free(d->k16), free(d->v16), free(d->args.out);
}

static double attention_worst(const attention_data *d)
{
    const sn_attention_args *a = &d->args;
    double *score = malloc(a->n_kv * sizeof *score), worst = 0;
    for (size_t i = 0; i < a->n_q; i++) {
        for (size_t h = 0; h < a->n_head; h++) {
            const size_t hk = h / (a->n_head / a->n_head_kv),
                         n = a->causal && a->first_pos + i + 1 < a->n_kv ? a->first_pos + i + 1 : a->n_kv,
                         from = a->window > 0 && a->first_pos + i + 1 > a->window ? a->first_pos + i + 1 - a->window : 0;
            double max = -INFINITY, sum = 0;
            for (size_t j = from; j < n; j++) {
                score[j] = 0;
                for (size_t e = 0; e < a->d_head; e++) {
                    score[j] += (double)d->q[i * a->ld_q + h * a->d_head + e] * d->k[hk * a->ld_head + j * a->ld_kv + e] * a->scale;
                }
                max = fmax(max, score[j]);
            }
            for (size_t j = from; j < n; j++) sum += score[j] = exp(score[j] - max);
            for (size_t e = 0; e < a->d_head; e++) {
                double want = 0;
                for (size_t j = from; j < n; j++) want += score[j] / sum * d->v[hk * a->ld_head + j * a->ld_kv + e];
                worst = fmax(worst, fabs(a->out[i * a->ld_out + h * a->d_head + e] - want));
            }
        }
    }
    free(score);
    return worst;
}

static void attention_agrees_with_the_plain_formula(void **state)
{
    (void)state;
    static const attention_case all[] = {
        {1, 1, 1, 1, 4, 0, false, false, false, 1, 0},
        {1, 97, 6, 2, 64, 96, true, true, true, 5, 0},
        {3, 200, 9, 3, 64, 197, true, true, true, 5, 0},
        {5, 5, 4, 4, 32, 0, true, false, false, 3, 0},
        {17, 333, 4, 2, 40, 316, true, true, false, 9, 0},
        {100, 100, 6, 6, 64, 0, false, false, false, 5, 0},
        {257, 257, 3, 1, 64, 0, true, true, true, 5, 0},
        {33, 500, 2, 2, 128, 0, false, true, false, 30, 0},
        {40, 96, 5, 5, 17, 0, false, false, true, 1, 0},
        {10, 1, 3, 1, 1, 0, false, false, false, 2, 0},
        {600, 129, 1, 1, 33, 0, false, false, false, 3, 0},
        {70, 300, 4, 2, 512, 0, false, true, true, 3, 0},
        {33, 257, 4, 2, 64, 0, false, BLOCKS, true, 3, 0},
        {200, 391, 2, 1, 80, 191, true, false, true, 100, 0},
        {2, 192, 3, 3, 7, 190, true, true, true, 2, 0},
        {64, 1000, 1, 1, 256, 100, true, false, false, 4, 0},
        {30, 50, 7, 1, 72, 20, true, true, true, 3, 0},
        {4, 300, 8, 2, 512, 296, true, true, true, 3, 0},
        /* windows: of a token, around a block of keys, and with keys behind the query (a picture's rows among themselves) */
        {1, 400, 4, 2, 64, 399, true, true, true, 3, 150},
        {3, 200, 2, 1, 32, 197, true, true, true, 3, 1},
        {400, 400, 4, 2, 32, 0, true, true, true, 9, 97},
        {100, 600, 2, 2, 64, 500, true, false, false, 5, 192},
        {130, 400, 4, 1, 40, 270, false, true, true, 5, 100},
        {65, 300, 2, 2, 16, 235, true, true, true, 30, 500},
        /* in blocks: few and many, one block a head and several, by head and by position */
        {1, 97, 6, 2, 64, 96, true, BLOCKS, true, 5, 0},
        {9, 300, 4, 1, 32, 291, true, BLOCKS, false, 5, 0},
        {3, 400, 8, 2, 512, 397, true, BLOCKS, true, 3, 150},
        {100, 300, 4, 2, 96, 200, true, BLOCKS, true, 9, 0},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        attention_data d = attention_make(all[i]);
        FOR_EACH_ISA(c, 1 + i % 3)
        {
            for (int coarse = 0; coarse < 2; coarse++) {
                const bool rounded = coarse && !all[i].causal && all[i].window == 0 && all[i].n_q > SN_FEW_QUERIES;
                sn_compute_set_coarse(c, coarse);
                for (size_t j = 0; j < all[i].n_q * d.args.ld_out; j++) d.args.out[j] = 9;
                sn_attention(c, &d.args);
                const double worst = attention_worst(&d);
                if (!(worst < (rounded ? 1e-4 : 4e-6) * (1 + all[i].size)))
                    fail_msg("%s case %zu%s: %g", sn_isa_name((sn_isa)isa), i, rounded ? ", 16 bits" : "", worst);
                for (size_t j = 0; j < all[i].n_q; j++) assert_true(d.args.out[j * d.args.ld_out + all[i].n_head * all[i].d_head] == 9);
            }
        }
        attention_free(&d);
    }
}

static void attention_does_not_depend_on_the_threads(void **state)
{
    (void)state;
    for (size_t n_q = 1, rounded = 0; n_q < 200; n_q = rounded ? n_q * 5 + 2 : n_q, rounded = !rounded) {
        attention_data d = attention_make((attention_case){n_q, 300, 6, 3, 64, 300 - n_q, !rounded, true, true, 4, 0});
        const size_t bytes = n_q * d.args.ld_out * sizeof(float);
        float *one = malloc(bytes);
        FOR_EACH_ISA(c, 1)
        {
            sn_compute_set_coarse(c, rounded);
            sn_attention(c, &d.args);
            memcpy(one, d.args.out, bytes);
            for (size_t n = 2; n < 5; n++) {
                sn_compute *more = open_isa((sn_isa)isa, n);
                sn_compute_set_coarse(more, rounded);
                sn_attention(more, &d.args);
                assert_memory_equal(one, d.args.out, bytes);
                sn_compute_close(more);
            }
        }
        free(one);
        attention_free(&d);
    }
}

/* Of those that see all keys, whatever they came with. */
static void a_query_of_16_bits_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    enum { N = 150, FEWER = 47 };
    attention_data d = attention_make((attention_case){N, 300, 6, 3, 64, 0, false, true, true, 4, 0});
    const size_t row = d.args.ld_out;
    float *all = malloc(N * row * sizeof *all);
    FOR_EACH_ISA(c, 2)
    {
        sn_compute_set_coarse(c, true);
        sn_attention(c, &d.args);
        memcpy(all, d.args.out, N * row * sizeof *all);
        sn_attention_args part = d.args;
        part.q += 21 * part.ld_q;
        part.n_q = FEWER;
        sn_attention(c, &part);
        for (size_t i = 0; i < FEWER; i++) assert_memory_equal(all + (21 + i) * row, part.out + i * row, 6 * 64 * sizeof *all);
    }
    free(all);
    attention_free(&d);
}

static void attentions_at_once_are_those_one_by_one(void **state)
{
    (void)state;
    enum { N = 3, MOST = 9 * (6 * 64 + 3) };
    const attention_case cases_at_once[N] = {{1, 300, 6, 3, 64, 299, true, true, true, 4, 0},
                                             {9, 97, 5, 1, 32, 88, true, BLOCKS, true, 4, 0},
                                             {2, 1500, 6, 6, 64, 0, false, true, false, 4, 0}};
    attention_data d[N];
    sn_attention_args args[N];
    static float alone[N][MOST];
    for (size_t i = 0; i < N; i++) args[i] = (d[i] = attention_make(cases_at_once[i])).args;
    FOR_EACH_ISA(c, 2)
    {
        for (size_t i = 0; i < N; i++) {
            memset(args[i].out, 0, args[i].n_q * args[i].ld_out * sizeof(float));
            sn_attention(c, &args[i]);
            memcpy(alone[i], args[i].out, args[i].n_q * args[i].ld_out * sizeof(float));
            memset(args[i].out, 0, args[i].n_q * args[i].ld_out * sizeof(float));
        }
        sn_attention_each(c, args, N);
        for (size_t i = 0; i < N; i++) assert_memory_equal(alone[i], args[i].out, args[i].n_q * args[i].ld_out * sizeof(float));
    }
    for (size_t i = 0; i < N; i++) attention_free(&d[i]);
}

static void attention_survives_values_that_are_no_numbers(void **state)
{
    (void)state;
    for (size_t n_q = 1; n_q < 90; n_q += 40) {
        attention_data d = attention_make((attention_case){n_q, 130, 4, 2, 64, 40, true, false, false, 1, 0});
        for (size_t i = 0; i < 130 * 2 * 64; i += 3) d.k[i] = (const float[]){NAN, INFINITY, -INFINITY, 3e38f}[i % 4];
        for (size_t i = 0; i < n_q * 4 * 64; i += 5) d.q[i] = (const float[]){NAN, INFINITY, -INFINITY, 3e38f}[i % 4];
        FOR_EACH_ISA(c, 2)
        {
            sn_attention(c, &d.args);
            sn_compute_set_coarse(c, true);
            sn_attention_args all = d.args;
            all.causal = false;
            sn_attention(c, &all);
        }
        attention_free(&d);
    }
}

static const struct CMUnitTest cases[] = {
    cmocka_unit_test(norms_agree_with_double_precision),
    cmocka_unit_test(activations_agree_with_double_precision),
    cmocka_unit_test(activations_at_the_ends),
    cmocka_unit_test(swiglu_and_sums_agree_with_double_precision),
    cmocka_unit_test(softmax_sums_to_one_in_proportion),
    cmocka_unit_test(rope_turns_pairs),
    cmocka_unit_test(f16_rows_are_the_reference_conversion),
    cmocka_unit_test(attention_agrees_with_the_plain_formula),
    cmocka_unit_test(attention_does_not_depend_on_the_threads),
    cmocka_unit_test(a_query_of_16_bits_does_not_depend_on_its_neighbours),
    cmocka_unit_test(attentions_at_once_are_those_one_by_one),
    cmocka_unit_test(attention_survives_values_that_are_no_numbers),
};
TESTING_MAIN("core_nn", cases)
