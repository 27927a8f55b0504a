#include "../core/mem.h"
#include "../core/quant.h"
#include "../core/tensor.h"

#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/core/types_"

static unsigned char *golden_bytes(const char *name, const char *suffix, size_t *n)
{
    char path[256];
    snprintf(path, sizeof path, GOLDEN "%s.%s", name, suffix);
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot open", path);
    unsigned char *bytes = malloc(65536);
    assert_non_null(bytes);
    *n = fread(bytes, 1, 65536, f);
    fclose(f);
    return bytes;
}

/* Every type that can be dequantised, but the three without blocks, against the gguf package. */
static void dequantized_blocks_are_what_the_gguf_package_gives(void **state)
{
    (void)state;
    size_t checked = 0;
    for (uint32_t id = 0; id < SN_TYPE_MAX; id++) {
        const sn_type_info *info = sn_type_get(id);
        if (info == NULL || info->dequantize == NULL || info->block == 1) continue;
        char path[256];
        size_t n_bytes, shape[4], n_dims;
        unsigned char *blocks = golden_bytes(info->name, "blocks", &n_bytes);
        snprintf(path, sizeof path, GOLDEN "%s.npy", info->name);
        float *want = testing_npy(path, shape, &n_dims);
        assert_int_equal(n_dims, 1);
        assert_int_equal(n_bytes % info->bytes, 0);
        assert_int_equal(shape[0], n_bytes / info->bytes * info->block);
        unsigned char *odd = malloc(n_bytes + 1); /* at an odd address, where no file puts them but nothing forbids it */
        float *have = malloc(shape[0] * sizeof *have);
        assert_non_null(odd);
        assert_non_null(have);
        memcpy(odd + 1, blocks, n_bytes);
        info->dequantize(have, odd + 1, shape[0]);
        for (size_t i = 0; i < shape[0]; i++)
            if (have[i] != want[i]) fail_msg("%s: value %zu is %.9g, want %.9g", info->name, i, (double)have[i], (double)want[i]);
        free(have);
        free(odd);
        free(want);
        free(blocks);
        checked++;
    }
    assert_int_equal(checked, 22);
}

static void quantized_rows_are_what_ggml_gives_bit_for_bit(void **state)
{
    (void)state;
    static const sn_type ids[] = {SN_Q4_0, SN_Q4_1, SN_Q5_0, SN_Q5_1, SN_Q8_0, SN_BF16, SN_F16};
    size_t shape[4], n_dims;
    float *x = testing_npy(GOLDEN "quant.npy", shape, &n_dims);
    size_t n = shape[0] * shape[1];
    for (size_t k = 0; k < sizeof ids / sizeof ids[0]; k++) {
        const sn_type_info *info = sn_type_get(ids[k]);
        size_t n_bytes;
        unsigned char *want = golden_bytes(info->name, "quant", &n_bytes);
        assert_int_equal(n_bytes, n / info->block * info->bytes);
        unsigned char *have = malloc(n_bytes + 1);
        assert_non_null(have);
        info->quantize(have + 1, x, n);
        for (size_t i = 0; i < n_bytes; i++)
            if (have[i + 1] != want[i])
                fail_msg("%s: byte %zu of block %zu is %u, want %u", info->name, i % info->bytes, i / info->bytes, have[i + 1], want[i]);
        free(have);
        free(want);
    }
    free(x);
}

/* The error of rounding to nearest is at most half a step of the block's scale. */
static void what_is_quantized_comes_back_within_half_a_step(void **state)
{
    (void)state;
    static const struct {
        sn_type id;
        double step; /* of the range max - min, or of the largest magnitude */
    } cases[] = {{SN_Q8_0, 1.0 / 127}, {SN_Q4_0, 2.0 / 8}, {SN_Q4_1, 2.0 / 15}, {SN_Q5_0, 2.0 / 16}, {SN_Q5_1, 2.0 / 31}};
    float x[64], y[64];
    unsigned char bytes[128];
    for (size_t i = 0; i < 64; i++) x[i] = sinf((float)i * 1.7f);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        sn_type_get(cases[k].id)->quantize(bytes, x, 64);
        sn_type_get(cases[k].id)->dequantize(y, bytes, 64);
        assert_true(testing_max_abs(x, y, 64) < cases[k].step / 2 + 1e-3);
    }
}

static void numbers_that_are_none_do_not_break_quantizing(void **state)
{
    (void)state;
    const float bad[4] = {NAN, INFINITY, -INFINITY, 1e-44f};
    unsigned char bytes[64];
    for (uint32_t id = 0; id < SN_TYPE_MAX; id++) {
        const sn_type_info *info = sn_type_get(id);
        if (info == NULL || info->quantize == NULL || info->block != 32) continue;
        for (size_t k = 0; k < 16; k++) {
            float x[32] = {0};
            for (size_t i = 0; i < 32; i++) x[i] = k < 4 ? bad[k] : (i % 3 == 0 ? bad[k % 4] : (float)i);
            info->quantize(bytes, x, 32); /* under the sanitizers a cast out of range would stop here */
        }
    }
}

/* The definition of IEEE half, independent of bit tricks. */
static double half_value(unsigned h)
{
    int e = (int)(h >> 10 & 31), f = (int)(h & 1023);
    double v = e == 0 ? ldexp(f, -24) : ldexp(1024 + f, e - 25);
    return h >> 15 ? -v : v;
}

static void every_half_becomes_its_float_and_comes_back(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        float f = sn_f16_to_f32((uint16_t)h);
        unsigned e = h >> 10 & 31;
        if (e == 31 && (h & 1023) != 0) {
            assert_true(isnan(f));
            assert_true(isnan(sn_f16_to_f32(sn_f32_to_f16(f))));
            continue;
        }
        if (e == 31)
            assert_true(isinf(f) && (f < 0) == (h >> 15 != 0));
        else
            assert_true((double)f == half_value(h) && (signbit(f) != 0) == (h >> 15 != 0));
        assert_int_equal(sn_f32_to_f16(f), h);
    }
}

/* Between each two neighbouring halves: below the middle, the middle (to even), above it. */
static void floats_round_to_the_nearest_half_ties_to_even(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7bff; h++) {
        double mid = (half_value(h) + half_value(h + 1)) / 2;
        float m = (float)mid;
        assert_true((double)m == mid);
        assert_int_equal(sn_f32_to_f16(m), h + (h & 1));
        assert_int_equal(sn_f32_to_f16(nextafterf(m, 0)), h);
        assert_int_equal(sn_f32_to_f16(nextafterf(m, INFINITY)), h + 1);
        assert_int_equal(sn_f32_to_f16(-m), (h + (h & 1)) | 0x8000);
    }
    assert_int_equal(sn_f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(sn_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(sn_f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(sn_f32_to_f16(1e-30f), 0);
}

static void floats_round_to_the_nearest_bfloat_ties_to_even(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 0x7f7f; h++) {
        float lo = sn_bf16_to_f32((uint16_t)h), hi = sn_bf16_to_f32((uint16_t)(h + 1));
        float mid = (float)(((double)lo + (double)hi) / 2);
        assert_int_equal(sn_f32_to_bf16(lo), h);
        assert_int_equal(sn_f32_to_bf16(mid), h + (h & 1));
        assert_int_equal(sn_f32_to_bf16(nextafterf(mid, INFINITY)), h + 1);
        assert_int_equal(sn_f32_to_bf16(-mid), (h + (h & 1)) | 0x8000);
    }
    assert_true(isnan(sn_bf16_to_f32(sn_f32_to_bf16(NAN))));
    assert_int_equal(sn_f32_to_bf16(INFINITY), 0x7f80);
}

static void unknown_ids_have_no_type(void **state)
{
    (void)state;
    assert_null(sn_type_get(4)); /* Q4_2: ggml gave it up */
    assert_null(sn_type_get(SN_TYPE_MAX));
    assert_null(sn_type_get(UINT32_MAX));
    assert_string_equal(sn_type_get(12)->name, "Q4_K");
    assert_null(sn_type_get(SN_I32)->dequantize);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(dequantized_blocks_are_what_the_gguf_package_gives), cmocka_unit_test(quantized_rows_are_what_ggml_gives_bit_for_bit),
    cmocka_unit_test(what_is_quantized_comes_back_within_half_a_step),    cmocka_unit_test(numbers_that_are_none_do_not_break_quantizing),
    cmocka_unit_test(every_half_becomes_its_float_and_comes_back),        cmocka_unit_test(floats_round_to_the_nearest_half_ties_to_even),
    cmocka_unit_test(floats_round_to_the_nearest_bfloat_ties_to_even),    cmocka_unit_test(unknown_ids_have_no_type),
};
TESTING_MAIN("core_types", tests)
