#include "../core/error.h"

#include "testing.h"

#include <string.h>

static void a_message_has_its_context_in_front_once(void **state)
{
    (void)state;
    sn_err err = {0};
    assert_int_equal(sn_fail(&err, SN_EIO, "%s: gone", "file"), SN_EIO);
    assert_int_equal(sn_wrap(&err, "%s", "file"), SN_EIO);
    assert_string_equal(err.msg, "file: gone");
    assert_int_equal(sn_wrap(&err, "reading"), SN_EIO);
    assert_string_equal(err.msg, "reading: file: gone");
    assert_int_equal(sn_fail(NULL, SN_EIO, "nobody listens"), SN_EIO);
    assert_int_equal(sn_wrap(NULL, "nobody listens"), SN_EFORMAT);
}

static void a_message_is_one_line_whatever_a_name_holds(void **state)
{
    (void)state;
    sn_err err = {0};
    const char *evil = "a\nb\x1b[31m\x7f\xff\xe2\x80\xae.gguf";
    sn_fail(&err, SN_EFORMAT, "%s: bad\r", evil);
    assert_string_equal(err.msg, "a\\x0ab\\x1b[31m\\x7f\xff\xe2\x80\xae.gguf: bad\\x0d");
    sn_wrap(&err, "%s", evil); /* it stands there already, escaped */
    assert_string_equal(err.msg, "a\\x0ab\\x1b[31m\\x7f\xff\xe2\x80\xae.gguf: bad\\x0d");
    sn_wrap(&err, "%s", "\n");
    assert_int_equal(strncmp(err.msg, "\\x0a: a\\x0ab", 12), 0);
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    static char names[2][3000];
    memset(names[0], '\n', sizeof names[0] - 1);
    memset(names[1], 'n', sizeof names[1] - 1);
    for (size_t i = 0; i < 2; i++)
        for (size_t from = 0; from < 3000; from++) { /* of any length */
            sn_err err;
            memset(&err, 'x', sizeof err);
            sn_fail(&err, SN_EFORMAT, "%s%s", names[1] + (i ? 0 : 2985), names[i] + from);
            assert_true(strnlen(err.msg, sizeof err.msg) < sizeof err.msg);
            sn_wrap(&err, "%s", names[1 - i] + from);
            assert_true(strnlen(err.msg, sizeof err.msg) < sizeof err.msg);
            assert_null(strchr(err.msg, '\n'));
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_message_has_its_context_in_front_once),
    cmocka_unit_test(a_message_is_one_line_whatever_a_name_holds),
    cmocka_unit_test(a_long_message_is_cut),
};
TESTING_MAIN("core error", tests)
