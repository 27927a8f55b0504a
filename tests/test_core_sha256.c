#include "../core/sha256.h"

#include "testing.h"

#include <string.h>

/* NIST's examples for FIPS 180-4, and its empty message and million of "a". */
static const struct {
    const char *text, *digest;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void nist_vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof vectors / sizeof vectors[0]; i++) {
        sn_sha256 s;
        char hex[65];
        sn_sha256_init(&s);
        s.fast = s.fast && i % 2 == 0;
        sn_sha256_add(&s, vectors[i / 2].text, strlen(vectors[i / 2].text));
        sn_sha256_hex(&s, hex);
        assert_string_equal(hex, vectors[i / 2].digest);
    }
}

static void a_million_letters_in_any_pieces_give_one_digest(void **state)
{
    (void)state;
    static char letters[1000];
    memset(letters, 'a', sizeof letters);
    for (size_t step = 1; step <= sizeof letters; step = step * 3 + 1) {
        sn_sha256 s;
        char hex[65];
        sn_sha256_init(&s);
        s.fast = s.fast && step % 2 == 1; /* 1, 13 and 121, or 4, 40 and 364 at a time */
        for (size_t left = 1000000; left > 0;) {
            size_t n = step < left ? step : left;
            sn_sha256_add(&s, letters, n);
            left -= n;
        }
        sn_sha256_hex(&s, hex);
        assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void files_have_the_digest_of_their_bytes(void **state)
{
    (void)state;
    sn_err err;
    char hex[65];
    assert_int_equal(sn_sha256_file(testing_temp("abc", 3), hex, &err), SN_OK);
    assert_string_equal(hex, vectors[1].digest);
    assert_int_equal(sn_sha256_file(testing_temp("", 0), hex, &err), SN_OK);
    assert_string_equal(hex, vectors[0].digest);
    assert_int_equal(sn_sha256_file("/", hex, &err), SN_EIO);
    assert_string_equal(err.msg, "/: is not a regular file");
    assert_int_equal(sn_sha256_file("tests/golden/absent", hex, &err), SN_EIO);
    assert_string_equal(err.msg, "tests/golden/absent: cannot open: No such file or directory");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(nist_vectors_hold),
    cmocka_unit_test(a_million_letters_in_any_pieces_give_one_digest),
    cmocka_unit_test(files_have_the_digest_of_their_bytes),
};
TESTING_MAIN("core_sha256", tests)
