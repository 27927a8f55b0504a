#include "../core/cursor.h"

#include "testing.h"

#include <string.h>

static void values_are_read_in_order_and_little_endian(void **state)
{
    (void)state;
    static const unsigned char b[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xff, 0xff, 0xff, 0xff, 1,  2,
                                      3,    4,    5,    6,    7,    8,    0,    0,    0xc0, 0x3f, 'x',  'y'};
    sn_cursor c;
    sn_err err;
    sn_cursor_init(&c, b, sizeof b, &err);
    assert_int_equal(sn_cursor_u8(&c, "a"), 1);
    assert_int_equal(sn_cursor_u16(&c, "b"), 0x0302);
    assert_int_equal(sn_cursor_u32(&c, "c"), 0x07060504);
    assert_int_equal(sn_cursor_i32(&c, "d"), -1);
    assert_true(sn_cursor_u64(&c, "e") == 0x0807060504030201);
    assert_true(sn_cursor_f32(&c, "f") == 1.5f);
    assert_int_equal(sn_cursor_left(&c), 2);
    assert_memory_equal(sn_cursor_array(&c, 2, 1, "g"), "xy", 2);
    assert_int_equal(sn_cursor_left(&c), 0);
    assert_non_null(sn_cursor_bytes(&c, 0, "h"));
    assert_int_equal(c.status, SN_OK);
}

static void the_first_problem_sticks_and_later_reads_give_zeros(void **state)
{
    (void)state;
    static const unsigned char b[] = {1, 1, 1, 1, 1, 1};
    sn_cursor c;
    sn_err err;
    sn_cursor_init(&c, b, sizeof b, &err);
    assert_int_equal(sn_cursor_u32(&c, "first"), 0x01010101);
    assert_int_equal(sn_cursor_u32(&c, "second"), 0);
    assert_int_equal(c.status, SN_EFORMAT);
    assert_string_equal(err.msg, "second at byte 4: wants 4 bytes, 2 are left (truncated or corrupt file)");
    assert_int_equal(sn_cursor_u8(&c, "third"), 0); /* although there is a byte */
    assert_null(sn_cursor_bytes(&c, 0, "fourth"));
    assert_int_equal(sn_cursor_fail(&c, SN_ELIMIT, "another"), SN_EFORMAT);
    assert_non_null(strstr(err.msg, "second at byte 4"));
}

static void lengths_that_overflow_are_refused(void **state)
{
    (void)state;
    static const unsigned char b[16];
    static const uint64_t counts[] = {17, (uint64_t)1 << 61, (uint64_t)1 << 62, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        sn_cursor c;
        sn_err err;
        sn_cursor_init(&c, b, sizeof b, &err);
        assert_null(sn_cursor_array(&c, counts[i], 8, "table"));
        assert_int_equal(c.status, SN_EFORMAT);
        assert_non_null(strstr(err.msg, "table at byte 0: wants "));
        sn_cursor_init(&c, b, sizeof b, NULL);
        assert_null(sn_cursor_bytes(&c, counts[i], "blob"));
        assert_int_equal(c.status, SN_EFORMAT);
    }
}

static void values_out_of_their_range_are_refused_with_both(void **state)
{
    (void)state;
    static const unsigned char b[] = {80, 0, 0, 0, 81, 0, 0, 0};
    sn_cursor c;
    sn_err err;
    sn_cursor_init(&c, b, sizeof b, &err);
    assert_int_equal(sn_cursor_u32_in(&c, 1, 80, "n_mel"), 80);
    assert_int_equal(sn_cursor_u32_in(&c, 1, 80, "n_mel"), 1);
    assert_string_equal(err.msg, "n_mel at byte 4: want 1 to 80, file has 81");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values_are_read_in_order_and_little_endian),
    cmocka_unit_test(the_first_problem_sticks_and_later_reads_give_zeros),
    cmocka_unit_test(lengths_that_overflow_are_refused),
    cmocka_unit_test(values_out_of_their_range_are_refused_with_both),
};
TESTING_MAIN("core_cursor", tests)
