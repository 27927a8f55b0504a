#include "../core/mem.h"

#include "testing.h"

#include <string.h>

static void products_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t out = 7;
    assert_true(sn_mul_ok(3, 5, &out));
    assert_int_equal(out, 15);
    assert_true(sn_mul_ok(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    out = 7;
    assert_false(sn_mul_ok(SIZE_MAX, 2, &out));
    assert_false(sn_mul_ok((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_int_equal(out, 7);
    assert_true(sn_mul_ok(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);
}

static void sums_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t out = 7;
    assert_false(sn_add_ok(SIZE_MAX, 1, &out));
    assert_int_equal(out, 7);
    assert_true(sn_add_ok(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

static void memory_is_aligned_and_whole(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = sn_alloc(n, 3);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % SN_ALIGN, 0);
        memset(p, 1, n * 3);
        sn_free(p);
        p = sn_calloc(n, 3);
        assert_non_null(p);
        for (size_t i = 0; i < n * 3; i++) assert_int_equal(p[i], 0);
        sn_free(p);
    }
}

static void impossible_sizes_give_null(void **state)
{
    (void)state;
    assert_null(sn_alloc(SIZE_MAX, 2));
    assert_null(sn_calloc(SIZE_MAX / 2, 3));
    assert_null(sn_alloc(SIZE_MAX, 1));
    assert_null(sn_alloc(SIZE_MAX - 63, 1));
}

static void growing_keeps_what_was_there_and_doubles(void **state)
{
    (void)state;
    sn_err err;
    void *p = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        assert_int_equal(sn_grow(&p, &cap, i + 1, sizeof(uint32_t), &err), SN_OK);
        ((uint32_t *)p)[i] = i;
    }
    assert_true(cap >= 1000 && cap <= 2000);
    for (uint32_t i = 0; i < 1000; i++) assert_int_equal(((uint32_t *)p)[i], i);
    size_t before = cap;
    assert_int_equal(sn_grow(&p, &cap, SIZE_MAX / 2, sizeof(uint32_t), &err), SN_ENOMEM);
    assert_int_equal(cap, before);
    assert_int_equal(((uint32_t *)p)[999], 999);
    sn_free(p);
}

static void arena_costs_add_up_to_what_is_used(void **state)
{
    (void)state;
    sn_err err;
    sn_arena a;
    size_t sizes[] = {1, 64, 65, 0, 100}, total = 0;
    for (size_t i = 0; i < 5; i++) total += sn_arena_cost(sizes[i]);
    total += sn_arena_cost_f32(17);
    assert_int_equal(sn_arena_init(&a, total, &err), SN_OK);
    for (size_t i = 0; i < 5; i++) {
        unsigned char *p = sn_arena_alloc(&a, sizes[i]);
        assert_int_equal((uintptr_t)p % SN_ALIGN, 0);
        memset(p, 0xaa, sizes[i]);
    }
    size_t mark = sn_arena_mark(&a);
    float *f = sn_arena_f32(&a, 17);
    f[16] = 1;
    assert_int_equal(a.used, total);
    sn_arena_reset(&a, mark);
    assert_ptr_equal(sn_arena_f32(&a, 17), f);
    assert_int_equal(a.peak, total);
    sn_arena_free(&a);
    assert_null(a.base);
}

static void an_arena_beyond_memory_is_refused(void **state)
{
    (void)state;
    sn_err err;
    sn_arena a = {0};
    assert_int_equal(sn_arena_init(&a, SIZE_MAX / 2 + 5, &err), SN_ENOMEM);
    assert_null(a.base);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(products_that_overflow_are_refused),
    cmocka_unit_test(sums_that_overflow_are_refused),
    cmocka_unit_test(memory_is_aligned_and_whole),
    cmocka_unit_test(impossible_sizes_give_null),
    cmocka_unit_test(growing_keeps_what_was_there_and_doubles),
    cmocka_unit_test(arena_costs_add_up_to_what_is_used),
    cmocka_unit_test(an_arena_beyond_memory_is_refused),
};
TESTING_MAIN("core_mem", tests)
