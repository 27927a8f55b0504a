/* What products and layers stand on: the thread pool, the choice of instruction set, panels and quantised tiles. */
#include "testing.h"

#include "../core/kernels.h"
#include "../core/quant.h"

#include <float.h>
#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the pool ---- */

enum { MOST = 40 };

typedef struct {
    unsigned runs[MOST]; /* by part; no part may run twice at once, so plain */
    atomic_uint total;
    size_t n_parts;
    unsigned delay;
} count_job;

static void count_part(void *arg, size_t part, size_t n_parts)
{
    count_job *j = arg;
    if (n_parts != j->n_parts) return;
    for (volatile unsigned i = 0; i < j->delay * (unsigned)(part + 1); i++) {}
    j->runs[part]++;
    atomic_fetch_add(&j->total, 1);
}

static void every_part_runs_once_and_is_done_on_return(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 9; n += n < 4 ? 1 : 5) {
        sn_compute *c;
        assert_int_equal(sn_compute_open(&c, n, SN_ISA_BEST, NULL), SN_OK);
        assert_int_equal(sn_compute_threads(c), n);
        for (unsigned round = 0; round < 3000; round++) {
            count_job j = {.n_parts = n, .delay = round % 3 == 0 ? round % 700 : 0};
            sn_parallel(c, count_part, &j);
            assert_int_equal(atomic_load(&j.total), n);
            for (size_t i = 0; i < n; i++) assert_int_equal(j.runs[i], 1);
            if (round % 1000 == 999) { /* long enough for the workers to sleep */
                const struct timespec nap = {0, 3000000};
                nanosleep(&nap, NULL);
            }
        }
        sn_compute_close(c);
    }
}

static void shares_cover_everything_once(void **state)
{
    (void)state;
    for (size_t n = 0; n < 70; n++) {
        for (size_t grain = 1; grain < 20; grain += 3) {
            for (size_t parts = 1; parts < 9; parts++) {
                size_t at = 0;
                for (size_t p = 0; p < parts; p++) {
                    size_t begin, end;
                    sn_share(n, grain, p, parts, &begin, &end);
                    assert_int_equal(begin, at);
                    assert_true(begin <= end && end <= n && (end == n || end % grain == 0));
                    at = end;
                }
                assert_int_equal(at, n);
            }
        }
    }
}

static void default_threads_stay_inside_the_affinity(void **state)
{
    (void)state;
    cpu_set_t all, one;
    sn_compute *c;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = CPU_SETSIZE - 1; i >= 0; i--) {
        if (!CPU_ISSET((size_t)i, &all)) continue;
        CPU_SET((size_t)i, &one);
        break;
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(sn_compute_open(&c, 0, SN_ISA_BEST, NULL), SN_OK);
    assert_int_equal(sn_compute_threads(c), 1);
    sn_compute_close(c);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_int_equal(sn_compute_open(&c, 0, SN_ISA_BEST, NULL), SN_OK);
    assert_true(sn_compute_threads(c) >= 1 && sn_compute_threads(c) <= (size_t)CPU_COUNT(&all));
    sn_compute_close(c);
}

static void instruction_sets_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < SN_ISA_COUNT; i++) {
        sn_isa isa = SN_ISA_BEST;
        assert_true(sn_isa_parse(sn_isa_name((sn_isa)i), &isa));
        assert_int_equal(isa, i);
        if (sn_isa_usable((sn_isa)i)) continue;
        sn_compute *c;
        sn_err err;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)i, &err), SN_EUNSUPPORTED);
        assert_null(c);
    }
    sn_isa isa = SN_ISA_AVX2;
    assert_false(sn_isa_parse("avx3", &isa));
    assert_int_equal(isa, SN_ISA_AVX2);
    assert_true(sn_isa_usable(SN_ISA_SCALAR));
    assert_true(sn_isa_usable(sn_isa_best()));
}

static void no_slot_is_empty(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        sn_compute *c;
        if (!sn_isa_usable((sn_isa)isa)) continue;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        const k_ops *k = sn_compute_ops(c);
        for (int t = 0; t < SN_TYPE_MAX; t++) assert_int_equal(k->product_q[K_FINE][t] != NULL, k_format_get((sn_type)t) != NULL);
        for (int a = 0; a < K_N_ACT; a++) assert_non_null(k->act[a]);
        assert_true(k->q_rows > 0 && k->q_rows <= K_MAX_ROWS && k->q_tile > 0 && k->q_tile <= K_MAX_TILE);
        assert_true(k->f_rows > 0 && k->f_rows <= K_MAX_ROWS && k->f_tile <= K_MAX_TILE);
        sn_compute_close(c);
    }
}

/* ---- formats ---- */

static const sn_type integer_types[] = {SN_Q4_0, SN_Q4_1, SN_Q5_0, SN_Q5_1, SN_Q8_0, SN_Q4_K, SN_Q5_K, SN_Q6_K};
enum { N_INTEGER = sizeof integer_types / sizeof *integer_types };

/* Bytes that are no NaN wherever a half may stand. */
static void fill(unsigned char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)((seed = seed * 1664525 + 1013904223) >> 24) & 0xbb;
}

static void codes_and_scales_are_the_reference_values(void **state)
{
    (void)state;
    for (size_t t = 0; t < N_INTEGER; t++) {
        const sn_type_info *info = sn_type_get(integer_types[t]);
        const k_format *f = k_format_get(integer_types[t]);
        unsigned char row[3 * 256];
        float want[3 * 256];
        fill(row, sizeof row, 7 + (unsigned)t);
        info->dequantize(want, row, 3 * info->block);
        for (size_t b = 0; b < 3 * info->block / 32; b++) {
            k_block blk;
            k_block_read(&blk, integer_types[t], row, b);
            for (size_t i = 0; i < 32; i++) {
                const double value = blk.d[i / 16] * ((int)blk.code[i] - f->offset) + (double)blk.min, w = want[b * 32 + i];
                assert_true(blk.code[i] < 1u << f->bits);
                assert_true(fabs(value - w) <= 1e-5 * (fabs(w) + fabs((double)blk.min)) + 1e-12);
            }
        }
    }
}

/* Scales and sums of codes are the same on every level, bit for bit, so that levels differ in the order of float sums alone. The codes stand
 * in an order of the level's own; the products below would show a wrong one. */
static void tiles_are_the_same_on_every_level(void **state)
{
    (void)state;
    enum { N_IN = 96, TOK = 4 };
    float x[TOK * N_IN];
    for (size_t i = 0; i < TOK * N_IN; i++) x[i] = sinf((float)(i * i)) * expf((float)(i % 23) - 9);
    for (size_t i = 0; i < 32; i++) x[32 + i] = 0;
    for (size_t i = 0; i < 32; i++) x[64 + i] = (float)i * 1e-40f;
    for (size_t i = 0; i < 32; i++) x[N_IN + i] = (float)((int)i - 16) * 0.5f; /* ties */
    for (size_t i = 0; i < 32; i++) x[N_IN + 32 + i] = i % 3 == 0 ? NAN : i % 3 == 1 ? 3e38f : -5;
    for (size_t i = 0; i < 32; i++) x[N_IN + 64 + i] = i == 5 ? -INFINITY : 1;
    for (int isa = 1; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c, *s;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        assert_int_equal(sn_compute_open(&s, 1, SN_ISA_SCALAR, NULL), SN_OK);
        for (size_t t = 0; t < N_INTEGER * K_N_GRAIN; t++) {
            const k_format *f = k_format_get(integer_types[t / K_N_GRAIN]);
            const k_grain grain = (k_grain)(t % K_N_GRAIN);
            unsigned char a[TOK * N_IN * 4], b[TOK * N_IN * 4];
            const size_t bytes = k_tile_bytes(f, grain, TOK, N_IN), step = k_tile_bytes(f, grain, TOK, K_Q_BLOCK);
            sn_compute_ops(c)->quantize[grain](a, x, N_IN, TOK, N_IN, f);
            sn_compute_ops(s)->quantize[grain](b, x, N_IN, TOK, N_IN, f);
            for (size_t at = 0; at < bytes; at += step) assert_memory_equal(a + at, b + at, TOK * (f->has_halves ? 12 : 8));
        }
        sn_compute_close(c);
        sn_compute_close(s);
    }
}

static void exponentials_agree_with_double_precision(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        sn_compute *c;
        if (!sn_isa_usable((sn_isa)isa)) continue;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        const k_ops *k = sn_compute_ops(c);
        for (float at = -105; at < 90; at += 0.0173f) {
            float x[3] = {at, at + 0.001f, at + 0.002f};
            const float was[3] = {x[0], x[1], x[2]};
            k->exp_sum(x, 3, 0);
            for (size_t i = 0; i < 3; i++) {
                const double want = exp(was[i]);
                if (want > FLT_MAX) {
                    assert_true(isinf(x[i]));
                } else {
                    assert_true(fabs(x[i] - want) <= 2e-7 * want + 0x1p-148);
                }
            }
        }
        float ends[] = {-INFINITY, INFINITY, 0, -0.0f, NAN, -1e30f, 1e30f};
        k->exp_sum(ends, 7, 0);
        assert_true(ends[0] == 0 && isinf(ends[1]) && ends[2] == 1 && ends[3] == 1 && isnan(ends[4]) && ends[5] == 0 && isinf(ends[6]));
        sn_compute_close(c);
    }
}

static void conversions_are_the_reference_ones(void **state)
{
    (void)state;
    uint16_t *half = malloc(65536 * 2), *back = malloc(65536 * 2);
    float *wide = malloc(65536 * sizeof *wide);
    for (size_t i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        sn_compute *c;
        if (!sn_isa_usable((sn_isa)isa)) continue;
        assert_int_equal(sn_compute_open(&c, 1, (sn_isa)isa, NULL), SN_OK);
        const k_ops *k = sn_compute_ops(c);
        for (size_t n = 65536; n > 65536 - 40; n--) {
            k->f16_to_f32(wide, half, n);
            for (size_t i = 0; i < n; i++) {
                const float want = sn_f16_to_f32(half[i]);
                assert_true(isnan(want) ? isnan(wide[i]) : memcmp(&want, &wide[i], 4) == 0);
            }
            k->f32_to_f16(back, wide, n);
            for (size_t i = 0; i < n; i++) assert_true(isnan(wide[i]) || back[i] == half[i]);
        }
        k->bf16_to_f32(wide, half, 65535);
        for (size_t i = 0; i < 65535; i++) {
            const float want = sn_bf16_to_f32(half[i]);
            assert_true(isnan(want) ? isnan(wide[i]) : memcmp(&want, &wide[i], 4) == 0);
        }
        for (size_t i = 0; i < 1000; i++) { /* between two halves: to the nearest, ties to even */
            wide[i] = (sn_f16_to_f32((uint16_t)(i * 31)) + sn_f16_to_f32((uint16_t)(i * 31 + 1))) / 2;
            wide[i + 1000] = nextafterf(wide[i], i % 2 ? 1e9f : 0);
        }
        k->f32_to_f16(back, wide, 2000);
        for (size_t i = 0; i < 2000; i++) assert_int_equal(back[i], sn_f32_to_f16(wide[i]));
        sn_compute_close(c);
    }
    free(half), free(back), free(wide);
}

static const struct CMUnitTest cases[] = {
    cmocka_unit_test(every_part_runs_once_and_is_done_on_return),
    cmocka_unit_test(shares_cover_everything_once),
    cmocka_unit_test(default_threads_stay_inside_the_affinity),
    cmocka_unit_test(instruction_sets_have_names),
    cmocka_unit_test(no_slot_is_empty),
    cmocka_unit_test(codes_and_scales_are_the_reference_values),
    cmocka_unit_test(tiles_are_the_same_on_every_level),
    cmocka_unit_test(exponentials_agree_with_double_precision),
    cmocka_unit_test(conversions_are_the_reference_ones),
};
TESTING_MAIN("core_kernels", cases)
