/* The one matrix product against double precision: every type, every instruction set of this CPU, odd sizes. */
#include "testing.h"

#include "../core/kernels.h"
#include "../core/linear.h"
#include "../core/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t random_bits(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static float random_float(uint32_t *state) /* [-1, 1) */
{
    return (float)(int32_t)random_bits(state) * 0x1p-31f;
}

static const struct {
    sn_type type;
    int halves[2]; /* offsets of a block's 16-bit floats, -1: none */
} types[] = {
    {SN_F32, {-1, -1}},
    {SN_F16, {-1, -1}},
    {SN_BF16, {-1, -1}},
    {SN_Q8_0, {offsetof(sn_block_q8_0, d), -1}},
    {SN_Q4_0, {offsetof(sn_block_q4_0, d), -1}},
    {SN_Q4_1, {offsetof(sn_block_q4_1, d), offsetof(sn_block_q4_1, m)}},
    {SN_Q5_0, {offsetof(sn_block_q5_0, d), -1}},
    {SN_Q5_1, {offsetof(sn_block_q5_1, d), offsetof(sn_block_q5_1, m)}},
    {SN_Q4_K, {offsetof(sn_block_q4_k, d), offsetof(sn_block_q4_k, dmin)}},
    {SN_Q5_K, {offsetof(sn_block_q5_k, d), offsetof(sn_block_q5_k, dmin)}},
    {SN_Q6_K, {offsetof(sn_block_q6_k, d), -1}},
    {SN_Q2_K, {offsetof(sn_block_q2_k, d), offsetof(sn_block_q2_k, dmin)}},
    {SN_Q3_K, {offsetof(sn_block_q3_k, d), -1}},
    {SN_IQ4_NL, {offsetof(sn_block_iq4_nl, d), -1}},
    {SN_IQ4_XS, {offsetof(sn_block_iq4_xs, d), -1}},
};
enum { N_TYPES = sizeof types / sizeof types[0], N_FLOATS = 3 };

static void put_half(unsigned char *p, float v)
{
    const uint16_t h = sn_f32_to_f16(v);
    memcpy(p, &h, 2);
}

/* Rows of any codes with sane scales. One byte off alignment: nothing may count on it. */
static unsigned char *random_weights(size_t which, size_t n_values, uint32_t *state, unsigned char **allocated)
{
    const sn_type_info *info = sn_type_get(types[which].type);
    const size_t n_blk = n_values / info->block, bytes = n_blk * info->bytes;
    unsigned char *p = *allocated = malloc(bytes + 1);
    assert_non_null(p);
    p++;
    for (size_t i = 0; i < bytes; i++) p[i] = (unsigned char)(random_bits(state) >> 11);
    for (size_t b = 0; b < n_blk; b++) {
        unsigned char *blk = p + b * info->bytes;
        const float v = random_float(state);
        const uint16_t brain = sn_f32_to_bf16(v);
        if (types[which].type == SN_F32) memcpy(blk, &v, 4);
        if (types[which].type == SN_F16) put_half(blk, v);
        if (types[which].type == SN_BF16) memcpy(blk, &brain, 2);
        for (size_t h = 0; h < 2; h++) {
            if (types[which].halves[h] >= 0) put_half(blk + types[which].halves[h], 0.01f * random_float(state));
        }
    }
    return p;
}

/* x as the integer kernels see it: codes in [-most, most], a block of 32 of them by a scale. */
static void round_activations(double *to, const float *x, size_t n, float most)
{
    for (size_t b = 0; b < n; b += 32) {
        float max = 0;
        for (size_t i = 0; i < 32; i++) max = fmaxf(max, fabsf(x[b + i]));
        for (size_t i = 0; i < 32; i++) to[b + i] = max > 0 ? rint(x[b + i] * (most / max)) * (double)(max / most) : 0;
    }
}

/* x as the kernels of 16 bits see it: a block of 256 by a scale, the largest code 32767, or less where their norm would pass 46300. */
static void round_to_16_bits(double *to, const float *x, size_t n)
{
    for (size_t b = 0, m; b < n; b += m) {
        double max = 0, squares = 0;
        m = n - b < 256 ? n - b : 256;
        for (size_t i = 0; i < m; i++) {
            max = fmax(max, fabs((double)x[b + i]));
            squares += (double)x[b + i] * (double)x[b + i];
        }
        const double code = fmin(32767, floor(46300 / sqrt(squares) * max)) / max;
        for (size_t i = 0; i < m; i++) to[b + i] = max > 0 ? rint(x[b + i] * code) / code : 0;
    }
}

/* n values of a row as w's products take them. */
static void as_taken(double *to, const float *x, size_t n, const sn_compute *c, const sn_linear *w, bool weights)
{
    const bool integer = k_format_get(w->type) != NULL;
    if (integer && !weights) {
        round_activations(to, x, n, w->coarse && sn_compute_ops(c)->product_q[K_COARSE][w->type] != NULL ? 127 : 127 * 128);
    } else if (w->rounded) {
        round_to_16_bits(to, x, n);
    } else {
        for (size_t i = 0; i < n; i++) to[i] = x[i];
    }
}

typedef struct {
    size_t which, n_out, n_in, n;
    bool bias, add, coarse;
} shape;

/* Largest |y - reference| / sum |w x| over the outputs. */
static double check(sn_isa isa, size_t n_threads, shape s, float *keep)
{
    uint32_t state = 12345 + (uint32_t)(s.which * 77 + s.n_out * 13 + s.n_in + s.n * 5);
    unsigned char *allocated;
    const unsigned char *data = random_weights(s.which, s.n_out * s.n_in, &state, &allocated);
    const sn_type_info *info = sn_type_get(types[s.which].type);
    const size_t ldx = s.n_in + 3, ldy = s.n_out + 5, row_bytes = s.n_in / info->block * info->bytes;
    float *x = malloc(s.n * ldx * sizeof *x), *y = malloc(s.n * ldy * sizeof *y), *bias = malloc(s.n_out * sizeof *bias);
    float *row = malloc(s.n_in * sizeof *row);
    double *rounded = malloc(s.n_in * sizeof *rounded), *weights = malloc(s.n_in * sizeof *weights), worst = 0;
    for (size_t i = 0; i < s.n * ldx; i++) x[i] = random_float(&state);
    for (size_t i = 0; i < s.n * ldy; i++) y[i] = 7;
    for (size_t i = 0; i < s.n_out; i++) bias[i] = random_float(&state);

    sn_compute *c;
    sn_linear w;
    sn_arena tmp;
    assert_int_equal(sn_compute_open(&c, n_threads, isa, NULL), SN_OK);
    sn_compute_set_coarse(c, s.coarse);
    assert_int_equal(sn_linear_init(&w, c, types[s.which].type, s.n_out, s.n_in, data, s.bias ? bias : NULL, NULL), SN_OK);
    w.coarse = s.coarse;
    assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &w, s.n), NULL), SN_OK);
    (s.add ? sn_linear_add : sn_linear_apply)(c, y, ldy, x, ldx, &w, s.n, &tmp);
    assert_int_equal(tmp.used, 0);
    assert_true(tmp.peak <= tmp.size);

    for (size_t t = 0; t < s.n; t++) {
        as_taken(rounded, x + t * ldx, s.n_in, c, &w, false);
        for (size_t r = 0; r < s.n_out; r++) {
            double sum = (s.bias ? bias[r] : 0) + (s.add ? 7 : 0), size = fabs(sum) + 1e-3;
            info->dequantize(row, data + r * row_bytes, s.n_in);
            as_taken(weights, row, s.n_in, c, &w, true);
            for (size_t k = 0; k < s.n_in; k++) {
                sum += rounded[k] * weights[k];
                size += fabs(rounded[k] * weights[k]);
            }
            worst = fmax(worst, fabs(y[t * ldy + r] - sum) / size);
        }
        for (size_t i = s.n_out; i < ldy; i++) assert_true(y[t * ldy + i] == 7); /* nothing beyond the row */
    }
    if (keep != NULL) memcpy(keep, y, s.n * ldy * sizeof *y);
    sn_linear_row(row, &w, s.n_out - 1);
    float *again = malloc(s.n_in * sizeof *again);
    info->dequantize(again, data + (s.n_out - 1) * row_bytes, s.n_in);
    assert_memory_equal(row, again, s.n_in * sizeof *row);

    sn_arena_free(&tmp);
    sn_linear_free(&w);
    sn_compute_close(c);
    free(again), free(weights), free(rounded), free(row), free(bias), free(y), free(x), free(allocated);
    return worst;
}

static size_t blocks(size_t which, size_t n)
{
    const size_t block = sn_type_get(types[which].type)->block;
    return block == 1 ? n * 32 + 7 * (n % 2) : n * block;
}

/* A code of 16 bits may be rounded the other way than here. */
static double largest_error(size_t which, bool coarse)
{
    return coarse && which < N_FLOATS ? 5e-5 : 2e-6;
}

static void every_type_and_level_agrees_with_double_precision(void **state)
{
    (void)state;
    static const size_t outs[] = {1, 3, 5, 16, 33, 70}, toks[] = {1, 2, 3, 5, 7, 8, 9, 13, 17, 31};
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        for (size_t i = 0; i < N_TYPES; i++) {
            for (size_t o = 0; o < sizeof outs / sizeof *outs; o++) {
                for (size_t t = 0; t < sizeof toks / sizeof *toks; t++) {
                    const shape s = {i, outs[o], blocks(i, 1 + (o + t) % 3), toks[t], (o + t) % 2, (o + t / 2) % 2, (o + t / 3) % 2};
                    const double worst = check((sn_isa)isa, 1 + (o + t) % 3, s, NULL);
                    if (worst > largest_error(i, s.coarse)) {
                        fail_msg("%s %s [%zu,%zu] x %zu: %g", sn_isa_name((sn_isa)isa), sn_type_get(types[i].type)->name, s.n_out, s.n_in,
                                 s.n, worst);
                    }
                }
            }
        }
    }
}

/* n floats in [-1, 1). */
static void random_floats(float *p, size_t n, uint32_t *state)
{
    for (size_t i = 0; i < n; i++) p[i] = random_float(state);
}

enum { ADD_OUT = 37, ADD_IN = 70, ADD_MOST = 40 }; /* no multiples of any panel or vector */

/* Two of ranks r and r + 3 are added to a product of n rows: largest |y - reference| over the outputs. */
static double check_added(sn_compute *c, size_t n, size_t r, bool add)
{
    static float w[ADD_OUT * ADD_IN], a[2][ADD_MOST * ADD_IN], b[2][ADD_OUT * ADD_MOST], x[ADD_MOST * ADD_IN], y[ADD_MOST * ADD_OUT];
    uint32_t state = 99 + (uint32_t)(n * 41 + r);
    sn_low_rank l[2] = {{.scale = 0.5f}, {.scale = -2}};
    sn_linear base;
    sn_arena tmp;
    double worst = 0;
    random_floats(w, ADD_OUT * ADD_IN, &state);
    random_floats(x, n * ADD_IN, &state);
    for (size_t i = 0; i < n * ADD_OUT; i++) y[i] = 7;
    assert_int_equal(sn_linear_init(&base, c, SN_F32, ADD_OUT, ADD_IN, w, NULL, NULL), SN_OK);
    for (size_t i = 0; i < 2; i++) {
        const size_t rank = r + 3 * i;
        random_floats(a[i], rank * ADD_IN, &state);
        random_floats(b[i], ADD_OUT * rank, &state);
        assert_int_equal(sn_linear_init(&l[i].a, c, SN_F32, rank, ADD_IN, a[i], NULL, NULL), SN_OK);
        assert_int_equal(sn_linear_init(&l[i].b, c, SN_F32, ADD_OUT, rank, b[i], NULL, NULL), SN_OK);
        sn_linear_attach(&base, &l[i]);
    }
    assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &base, n), NULL), SN_OK);
    (add ? sn_linear_add : sn_linear_apply)(c, y, ADD_OUT, x, ADD_IN, &base, n, &tmp);
    assert_int_equal(tmp.used, 0);
    for (size_t t = 0; t < n; t++) {
        for (size_t o = 0; o < ADD_OUT; o++) {
            double sum = add ? 7 : 0;
            for (size_t k = 0; k < ADD_IN; k++) {
                double weight = w[o * ADD_IN + k];
                for (size_t i = 0; i < 2; i++)
                    for (size_t j = 0; j < r + 3 * i; j++)
                        weight += (double)l[i].scale * (double)b[i][o * (r + 3 * i) + j] * (double)a[i][j * ADD_IN + k];
                sum += weight * (double)x[t * ADD_IN + k];
            }
            worst = fmax(worst, fabs((double)y[t * ADD_OUT + o] - sum));
        }
    }
    sn_arena_free(&tmp);
    sn_linear_free(&base);
    for (size_t i = 0; i < 2; i++) sn_linear_free(&l[i].a), sn_linear_free(&l[i].b);
    return worst;
}

static void what_adapters_add_agrees_with_double_precision(void **state)
{
    (void)state;
    static const size_t toks[] = {1, 2, 7, 33}, ranks[] = {1, 2, 5, 16, 37};
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        sn_compute *c;
        if (!sn_isa_usable((sn_isa)isa)) continue;
        assert_int_equal(sn_compute_open(&c, 2, (sn_isa)isa, NULL), SN_OK);
        for (size_t t = 0; t < 4; t++) {
            for (size_t r = 0; r < 5; r++) {
                const double worst = check_added(c, toks[t], ranks[r], (t + r) % 2 == 1);
                if (!(worst < 1e-3)) fail_msg("%s, %zu rows, rank %zu: %g", sn_isa_name((sn_isa)isa), toks[t], ranks[r], worst);
            }
        }
        sn_compute_close(c);
    }
}

/* Enough panels and tokens that rows of panels, groups of panels and the grid of threads all come into play. */
static void large_products_agree_with_double_precision(void **state)
{
    (void)state;
    for (int isa = 1; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        for (size_t i = 0; i < 9; i++) {
            for (int coarse = 0; coarse < 2; coarse++) {
                const shape s = {i, 333, blocks(i, i < 8 ? 30 : 4), 50, true, false, coarse};
                assert_true(check((sn_isa)isa, 2, s, NULL) < largest_error(i, coarse));
            }
        }
    }
}

static void results_do_not_depend_on_the_threads(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        for (size_t i = 0; i < N_TYPES; i++) {
            static const size_t toks[] = {1, 37};
            for (size_t t = 0; t < 2; t++) {
                const shape s = {i, 65, blocks(i, 2), toks[t], true, true, i % 2};
                float one[37 * 70], more[37 * 70];
                check((sn_isa)isa, 1, s, one);
                for (size_t n = 2; n <= 5; n++) {
                    check((sn_isa)isa, n, s, more);
                    assert_memory_equal(one, more, s.n * 70 * sizeof(float));
                }
            }
        }
    }
}

/* Activations at the ends of the code range against weights at the ends of theirs: products that a 16-bit sum of two cannot hold
 * unless the kernel sees to it, and -128 times what a careless sign flip would make of it. */
static void extreme_codes_do_not_saturate(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        for (size_t i = N_FLOATS; i < 11; i++) {
            for (int fill = 0, coarse = 0; fill < 4; fill += coarse, coarse = !coarse) {
                const sn_type_info *info = sn_type_get(types[i].type);
                unsigned char row[256];
                float x[256], w[256], y[1];
                double sum = 0;
                memset(row, (const int[]){0x00, 0xff, 0x80, 0x7f}[fill], sizeof row);
                if (types[i].type == SN_Q6_K) memset(row + offsetof(sn_block_q6_k, scales), 0x80, 16);
                for (size_t h = 0; h < 2; h++) {
                    if (types[i].halves[h] >= 0) put_half(row + types[i].halves[h], 1);
                }
                for (size_t k = 0; k < 256; k++) x[k] = fill % 2 == 0 || k % 3 != 0 ? -127 : 127;
                sn_linear l;
                sn_arena tmp;
                assert_int_equal(sn_linear_init(&l, c, types[i].type, 1, info->block, row, NULL, NULL), SN_OK);
                l.coarse = coarse;
                assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &l, 1), NULL), SN_OK);
                sn_linear_apply(c, y, 1, x, info->block, &l, 1, &tmp);
                info->dequantize(w, row, info->block);
                for (size_t k = 0; k < info->block; k++) sum += (double)w[k] * x[k];
                if (fabs(y[0] - sum) > 1e-6 * fabs(sum) + 1)
                    fail_msg("%s %s: %g, want %g", sn_isa_name((sn_isa)isa), info->name, y[0], sum);
                sn_arena_free(&tmp);
                sn_linear_free(&l);
            }
        }
        sn_compute_close(c);
    }
}

/* A row by itself is what Cauchy's and Schwarz's inequality allows at most: its norm squared, in whole numbers up to just below 2^31. */
static void a_row_of_16_bits_by_itself_does_not_overflow(void **state)
{
    (void)state;
    enum { N = 600 };
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        sn_compute_set_coarse(c, true);
        for (int fill = 0; fill < 8; fill++) {
            const float size = (const float[]){1, 1e-25f, 1e18f, 3e-30f}[fill / 2]; /* whose squares are beyond float32 */
            const size_t n_in = fill % 2 == 0 ? 256 : N;
            float x[N], y[1];
            double sum = 0;
            uint32_t seed = 7;
            for (size_t k = 0; k < n_in; k++) x[k] = fill < 2 ? (float)(k % 2) * 2 - 1 : size * random_float(&seed);
            if (fill == 7) x[100] = 1e3f * size; /* one that towers above the rest */
            for (size_t k = 0; k < n_in; k++) sum += (double)x[k] * x[k];
            sn_linear l;
            sn_arena tmp;
            assert_int_equal(sn_linear_init(&l, c, SN_F32, 1, n_in, x, NULL, NULL), SN_OK);
            assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &l, 1), NULL), SN_OK);
            sn_linear_apply(c, y, 1, x, n_in, &l, 1, &tmp);
            if (sum < 3e38 && fabs(y[0] - sum) > 1e-4 * sum + 1e-38)
                fail_msg("%s, %d: %g, want %g", sn_isa_name((sn_isa)isa), fill, y[0], sum);
            sn_arena_free(&tmp);
            sn_linear_free(&l);
        }
        sn_compute_close(c);
    }
}

/* What is no number is not made one by rounding, and spoils its own row alone. */
static void a_row_of_16_bits_keeps_its_nan(void **state)
{
    (void)state;
    enum { N = 300, OUT = 35, ROWS = 15 };
    static float w[OUT * N], x[ROWS * N], y[ROWS * OUT];
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c;
        uint32_t seed = 3;
        sn_linear l;
        sn_arena tmp;
        for (size_t i = 0; i < OUT * N; i++) w[i] = random_float(&seed);
        for (size_t i = 0; i < ROWS * N; i++) x[i] = random_float(&seed);
        w[3 * N + 299] = NAN;
        x[5 * N + 7] = INFINITY;
        x[6 * N + 270] = NAN;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        sn_compute_set_coarse(c, true);
        assert_int_equal(sn_linear_init(&l, c, SN_F32, OUT, N, w, NULL, NULL), SN_OK);
        assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &l, ROWS), NULL), SN_OK);
        sn_linear_apply(c, y, OUT, x, N, &l, ROWS, &tmp);
        for (size_t t = 0; t < ROWS; t++)
            for (size_t r = 0; r < OUT; r++) assert_int_equal(!isfinite(y[t * OUT + r]), r == 3 || t == 5 || t == 6);
        sn_arena_free(&tmp);
        sn_linear_free(&l);
        sn_compute_close(c);
    }
}

static void a_row_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    static const size_t together[] = {2, 3, 4, 5, 6, 7, 8, 9, 29};
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c;
        assert_int_equal(sn_compute_open(&c, 2, (sn_isa)isa, NULL), SN_OK);
        for (size_t j = 0; j < 2 * N_TYPES; j++) {
            enum { N = 29, OUT = 40 };
            const size_t i = j / 2;
            uint32_t seed = 99;
            const size_t n_in = blocks(i, 2);
            unsigned char *allocated;
            const void *data = random_weights(i, OUT * n_in, &seed, &allocated);
            float *x = malloc(N * n_in * sizeof *x), whole[N * OUT], single[N * OUT];
            for (size_t k = 0; k < N * n_in; k++) x[k] = random_float(&seed);
            sn_linear w;
            sn_arena tmp;
            sn_compute_set_coarse(c, j % 2);
            assert_int_equal(sn_linear_init(&w, c, types[i].type, OUT, n_in, data, NULL, NULL), SN_OK);
            w.coarse = j % 2;
            const size_t all = sn_linear_scratch_bytes(c, &w, N);
            assert_int_equal(sn_arena_init(&tmp, all > 0 ? all : 1, NULL), SN_OK); /* fewer rows take no more */
            for (size_t t = 0; t < N; t++) sn_linear_apply(c, single + t * OUT, OUT, x + t * n_in, n_in, &w, 1, &tmp);
            for (size_t k = 0; k < sizeof together / sizeof *together; k++) {
                memset(whole, 0, sizeof whole);
                sn_linear_apply(c, whole, OUT, x, n_in, &w, together[k], &tmp);
                assert_memory_equal(single, whole, together[k] * OUT * sizeof *whole);
            }
            sn_arena_free(&tmp);
            sn_linear_free(&w);
            free(x), free(allocated);
        }
        sn_compute_close(c);
    }
}

static void values_that_are_no_numbers_do_no_harm(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c;
        assert_int_equal(sn_compute_open(&c, 2, (sn_isa)isa, NULL), SN_OK);
        for (size_t j = 0; j < 2 * N_TYPES; j++) {
            uint32_t seed = 5;
            const size_t i = j / 2, n_in = blocks(i, 2), n = 6;
            unsigned char *allocated;
            unsigned char *data = random_weights(i, 20 * n_in, &seed, &allocated);
            float *x = malloc(n * n_in * sizeof *x), y[6 * 20];
            for (size_t k = 0; k < n * n_in; k++)
                x[k] = (const float[]){NAN, INFINITY, -INFINITY, 3e38f, -1e-42f, 0, 1}[random_bits(&seed) % 7];
            sn_linear w;
            sn_arena tmp;
            sn_compute_set_coarse(c, j % 2);
            assert_int_equal(sn_linear_init(&w, c, types[i].type, 20, n_in, data, NULL, NULL), SN_OK);
            w.coarse = j % 2;
            assert_int_equal(sn_arena_init(&tmp, sn_linear_scratch_bytes(c, &w, n), NULL), SN_OK);
            sn_linear_apply(c, y, 20, x, n_in, &w, n, &tmp);
            sn_arena_free(&tmp);
            sn_linear_free(&w);
            free(x), free(allocated);
        }
        sn_compute_close(c);
    }
}

static void what_cannot_be_multiplied_is_refused(void **state)
{
    (void)state;
    sn_compute *c;
    sn_linear w;
    sn_err err;
    unsigned char bytes[4096] = {0};
    assert_int_equal(sn_compute_open(&c, 1, SN_ISA_BEST, NULL), SN_OK);
    assert_int_equal(sn_linear_init(&w, c, SN_I32, 4, 32, bytes, NULL, &err), SN_EUNSUPPORTED);
    assert_int_equal(sn_linear_init(&w, c, (sn_type)63, 4, 32, bytes, NULL, &err), SN_EUNSUPPORTED);
    assert_int_equal(sn_linear_init(&w, c, SN_Q8_0, 4, 33, bytes, NULL, &err), SN_EFORMAT);
    assert_int_equal(sn_linear_init(&w, c, SN_Q4_K, 4, 32, bytes, NULL, &err), SN_EFORMAT);
    assert_int_equal(sn_linear_init(&w, c, SN_F32, 0, 32, bytes, NULL, &err), SN_EFORMAT);
    sn_compute_close(c);
}

static const struct CMUnitTest cases[] = {
    cmocka_unit_test(every_type_and_level_agrees_with_double_precision),
    cmocka_unit_test(what_adapters_add_agrees_with_double_precision),
    cmocka_unit_test(large_products_agree_with_double_precision),
    cmocka_unit_test(results_do_not_depend_on_the_threads),
    cmocka_unit_test(extreme_codes_do_not_saturate),
    cmocka_unit_test(a_row_of_16_bits_by_itself_does_not_overflow),
    cmocka_unit_test(a_row_of_16_bits_keeps_its_nan),
    cmocka_unit_test(a_row_does_not_depend_on_its_neighbours),
    cmocka_unit_test(values_that_are_no_numbers_do_no_harm),
    cmocka_unit_test(what_cannot_be_multiplied_is_refused),
};
TESTING_MAIN("core_linear", cases)
