/* What a store promises: it gives back what was put, bit for bit, or nothing; it stays within its size; it is private; nothing that
 * stands in its folder, and no neighbour that writes at the same time, makes it fail. */
#include "../core/store.h"

#include "testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
enum { HEAD = 160, ROWS = 5, COLS = 7, N = ROWS * COLS, ENTRY = HEAD + N * 4 };

static char top[4096], folder[4200];

static int enter(void **state)
{
    (void)state;
    if (testing_folder(top, sizeof top) != 0) return 1;
    snprintf(folder, sizeof folder, "%s/a/b", top);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    return testing_folder_remove(top);
}

static sn_store *store(size_t max_bytes)
{
    sn_store *s = NULL;
    sn_err err = {0};
    if (sn_store_open(&s, folder, max_bytes, &err) != SN_OK) fail_msg("%s", err.msg);
    return s;
}

static void fill(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = (uint32_t)(i + 1) * 2654435761u + seed * 40503u; /* any pattern of bits: NaNs, infinities, denormals */
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static const char *path_of(const char *key)
{
    static char path[4400];
    snprintf(path, sizeof path, "%s/%s.rows", folder, key);
    return path;
}

static void put(sn_store *s, const char *key, unsigned seed)
{
    float x[N];
    sn_err err = {0};
    fill(x, N, seed);
    if (sn_store_put(s, key, ROWS, COLS, x, &err) != SN_OK) fail_msg("%s", err.msg);
}

static bool has(sn_store *s, const char *key, unsigned seed)
{
    float x[N], want[N];
    fill(want, N, seed);
    return sn_store_get(s, key, ROWS, COLS, x) && memcmp(x, want, sizeof x) == 0;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void key_of(char key[65], unsigned i)
{
    snprintf(key, 65, "%064x", i);
}

/* Names that begin with `prefix`, and the bytes of all entries. */
static size_t count(const char *prefix, size_t *bytes)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    if (bytes) *bytes = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) n++;
        if (bytes && e->d_name[0] != '.' && fstatat(dirfd(d), e->d_name, &st, 0) == 0) *bytes += (size_t)st.st_size;
    }
    closedir(d);
    return n;
}

/* ---- keeping ---- */

static void what_is_put_comes_back_bit_for_bit(void **state)
{
    (void)state;
    sn_store *s = store(1 << 20);
    assert_false(has(s, KEY_A, 1));
    put(s, KEY_A, 1);
    put(s, KEY_B, 2);
    assert_true(has(s, KEY_A, 1));
    put(s, KEY_A, 3); /* replaced whole */
    assert_true(has(s, KEY_A, 3));
    sn_store_close(s);
    s = store(1 << 20);
    assert_true(has(s, KEY_B, 2));
    sn_store_close(s);
    sn_store_close(NULL);
}

static void the_folder_is_for_one_user_alone(void **state)
{
    (void)state;
    struct stat st;
    char above[4200];
    sn_store *s = NULL;
    sn_err err = {0};
    const mode_t before = umask(0);
    s = store(1 << 20);
    put(s, KEY_A, 1);
    umask(before);
    snprintf(above, sizeof above, "%s/a", top);
    assert_true(stat(above, &st) == 0 && (st.st_mode & 07777) == 0700);
    assert_true(stat(folder, &st) == 0 && (st.st_mode & 07777) == 0700);
    assert_true(stat(path_of(KEY_A), &st) == 0 && (st.st_mode & 07777) == 0600);
    sn_store_close(s);

    assert_int_equal(chmod(folder, 0770), 0);
    assert_int_equal(sn_store_open(&s, folder, 1 << 20, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "other users may write to it"));
    assert_int_equal(chmod(folder, 0700), 0);
    if (geteuid() != 0) return;
    assert_int_equal(chown(folder, 65534, 65534), 0);
    assert_int_equal(sn_store_open(&s, folder, 1 << 20, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "belongs to another user"));
    assert_int_equal(chown(folder, 0, 0), 0);
    assert_int_equal(chown(path_of(KEY_A), 65534, 65534), 0); /* a file that another user planted */
    s = store(1 << 20);
    assert_false(has(s, KEY_A, 1));
    assert_false(exists(path_of(KEY_A)));
    sn_store_close(s);
}

/* ---- what stands in the folder is not believed ---- */

static unsigned char image[ENTRY + 64];

static void read_image(void)
{
    FILE *f = fopen(path_of(KEY_A), "rb");
    assert_non_null(f);
    assert_int_equal(fread(image, 1, sizeof image, f), ENTRY);
    fclose(f);
}

static void write_image(const char *key, size_t n)
{
    FILE *f = fopen(path_of(key), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(image, 1, n, f), n);
    fclose(f);
}

static void check_refused(sn_store *s, const char *key)
{
    float x[N];
    assert_true(exists(path_of(key)));
    assert_false(sn_store_get(s, key, ROWS, COLS, x));
    assert_false(exists(path_of(key)));
}

static void what_is_cut_or_longer_is_a_miss(void **state)
{
    (void)state;
    sn_store *s = store(1 << 20);
    put(s, KEY_A, 1);
    read_image();
    for (size_t n = 0; n < ENTRY; n += n < HEAD ? 1 : 13) {
        write_image(KEY_A, n);
        check_refused(s, KEY_A);
    }
    write_image(KEY_A, ENTRY + 1);
    check_refused(s, KEY_A);
    write_image(KEY_A, ENTRY);
    assert_true(has(s, KEY_A, 1));
    sn_store_close(s);
}

static void any_flipped_bit_is_a_miss(void **state)
{
    (void)state;
    sn_store *s = store(1 << 20);
    put(s, KEY_A, 1);
    read_image();
    for (size_t bit = 0; bit < 8 * ENTRY; bit++) {
        image[bit / 8] ^= (unsigned char)(1 << bit % 8);
        write_image(KEY_A, ENTRY);
        check_refused(s, KEY_A);
        image[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    sn_store_close(s);
}

static void another_version_shape_or_name_is_a_miss(void **state)
{
    (void)state;
    sn_store *s = store(1 << 20);
    float x[N];
    put(s, KEY_A, 1);
    read_image();
    write_image(KEY_B, ENTRY); /* under another name */
    check_refused(s, KEY_B);
    image[8] = 2; /* version */
    write_image(KEY_A, ENTRY);
    check_refused(s, KEY_A);
    image[8] = 1;
    memset(image + 16, 0xFF, 16); /* a matrix of 2^64 by 2^64 */
    write_image(KEY_A, ENTRY);
    check_refused(s, KEY_A);
    put(s, KEY_A, 1);
    assert_false(sn_store_get(s, KEY_A, COLS, ROWS, x));
    put(s, KEY_A, 1);
    assert_false(sn_store_get(s, KEY_A, ROWS, COLS - 1, x));
    assert_false(sn_store_get(s, KEY_A, SIZE_MAX, 2, x)); /* a shape that has no size */
    sn_store_close(s);
}

static void what_is_no_file_is_a_miss(void **state)
{
    (void)state;
    sn_store *s = store(1 << 20);
    float x[N];
    put(s, KEY_B, 1);
    assert_int_equal(symlink(KEY_B ".rows", path_of(KEY_A)), 0);
    check_refused(s, KEY_A);
    assert_true(has(s, KEY_B, 1)); /* the link went, not what it leads to */
    assert_int_equal(mkfifo(path_of(KEY_A), 0600), 0);
    check_refused(s, KEY_A); /* and did not wait for a writer */
    assert_int_equal(mkdir(path_of(KEY_A), 0700), 0);
    assert_false(sn_store_get(s, KEY_A, ROWS, COLS, x));
    assert_int_not_equal(sn_store_put(s, KEY_A, ROWS, COLS, x, NULL), SN_OK);
    assert_int_equal(count(".new-", NULL), 0);
    sn_store_close(s);
}

/* ---- within its size ---- */

static void set_age(const char *path, time_t seconds)
{
    const struct timespec t[2] = {{.tv_sec = time(NULL) - seconds}, {.tv_sec = time(NULL) - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void what_was_used_least_lately_goes_first(void **state)
{
    (void)state;
    char key[65];
    sn_store *s = store(8 * 4096); /* an entry counts as a block of 4096: room for 7, and one to come */
    for (unsigned i = 0; i < 6; i++) {
        key_of(key, i);
        put(s, key, i);
        set_age(path_of(key), 1000 - 10 * (time_t)i);
    }
    key_of(key, 0);
    assert_true(has(s, key, 0)); /* the oldest, but used now */
    for (unsigned i = 6; i < 8; i++) {
        key_of(key, i);
        put(s, key, i);
    }
    for (unsigned i = 0; i < 8; i++) {
        key_of(key, i);
        assert_int_equal(exists(path_of(key)), i != 1); /* the second oldest went for the last */
    }
    sn_store_close(s);
}

static void it_stays_within_its_size_without_looking_each_time(void **state)
{
    (void)state;
    enum { MAX = 16 << 20, ONE = 600 << 10 };
    sn_store *s = store(MAX);
    float *x = calloc(1, ONE);
    char key[65];
    size_t bytes, most = 0, sweeps = 0, before = 0;
    for (unsigned i = 0; i < 60; i++) {
        key_of(key, i);
        assert_int_equal(sn_store_put(s, key, 1, ONE / sizeof *x, x, NULL), SN_OK);
        const size_t n = count("0", &bytes);
        if (n <= before) sweeps++;
        before = n;
        if (bytes > most) most = bytes;
    }
    assert_true(most <= MAX && most > MAX / 2);
    assert_true(sweeps > 5 && sweeps < 30);
    assert_int_not_equal(sn_store_put(s, KEY_A, 1, MAX / 2 / sizeof *x, x, NULL), SN_OK); /* one that would push out half of all */
    assert_false(exists(path_of(KEY_A)));
    free(x);
    sn_store_close(s);
}

static void what_a_killed_writer_left_is_removed(void **state)
{
    (void)state;
    char path[2][4400];
    sn_store *s = store(4096); /* looks each time */
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/.new-%d", folder, i);
        FILE *f = fopen(path[i], "wb");
        assert_non_null(f);
        fclose(f);
    }
    set_age(path[0], 4000);
    put(s, KEY_A, 1);
    assert_false(exists(path[0]));
    assert_true(exists(path[1])); /* it may still be written */
    sn_store_close(s);
}

/* ---- no folder, no room ---- */

static void where_nothing_can_be_kept_it_says_so(void **state)
{
    (void)state;
    sn_store *s = NULL;
    sn_err err = {0};
    float x[N] = {0};
    char file[4200], below[4300];
    assert_int_equal(sn_store_open(&s, "", 1 << 20, &err), SN_EUSAGE);
    assert_int_equal(sn_store_open(&s, "/dev/null/x/y", 1 << 20, &err), SN_EIO);
    assert_non_null(strstr(err.msg, "/dev/null/x/y: Not a directory"));
    snprintf(file, sizeof file, "%s/file", top);
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    fclose(f);
    snprintf(below, sizeof below, "%s/x", file);
    assert_int_equal(sn_store_open(&s, below, 1 << 20, &err), SN_EIO);
    assert_int_equal(sn_store_open(&s, file, 1 << 20, &err), SN_EIO);

    s = store(1 << 20);
    put(s, KEY_A, 1);
    struct rlimit was, small = {.rlim_cur = ENTRY - 1};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(sn_store_put(s, KEY_B, ROWS, COLS, x, &err), SN_ELIMIT); /* and no signal */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_true(has(s, KEY_A, 1));
    if (geteuid() != 0) {
        assert_int_equal(chmod(folder, 0500), 0);
        assert_int_equal(sn_store_put(s, KEY_B, ROWS, COLS, x, &err), SN_EIO);
        assert_true(has(s, KEY_A, 1)); /* what is there can still be read */
        assert_int_equal(chmod(folder, 0700), 0);
    }
    assert_int_equal(unlink(path_of(KEY_A)), 0); /* the folder goes while it is open */
    snprintf(below, sizeof below, "%s/.added", folder);
    assert_int_equal(unlink(below), 0);
    assert_int_equal(rmdir(folder), 0);
    assert_false(has(s, KEY_A, 1));
    assert_int_equal(sn_store_put(s, KEY_B, ROWS, COLS, x, &err), SN_EIO);
    sn_store_close(s);
}

static void a_counter_that_is_none_does_no_harm(void **state)
{
    (void)state;
    char path[4300], elsewhere[4300];
    sn_store *s = store(1 << 20);
    snprintf(path, sizeof path, "%s/.added", folder);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", top);
    assert_int_equal(symlink(elsewhere, path), 0);
    put(s, KEY_A, 1);
    assert_false(exists(elsewhere)); /* a link is not followed */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    put(s, KEY_B, 2);
    assert_int_equal(rmdir(path), 0);
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)1 << 40) == 0);
    close(fd);
    put(s, KEY_A, 3);
    struct stat st;
    assert_true(stat(path, &st) == 0 && st.st_size == 0);
    assert_true(has(s, KEY_A, 3) && has(s, KEY_B, 2));
    sn_store_close(s);
}

/* ---- several processes ---- */

enum { N_WRITER = 4, N_KEY = 24, N_ROUND = 6 };

/* Puts and gets the same keys as its neighbours, in another order; what it gets is right or nothing. */
static int write_and_read(unsigned writer, size_t max_bytes)
{
    sn_store *s = NULL;
    if (sn_store_open(&s, folder, max_bytes, NULL) != SN_OK) return 1;
    for (unsigned i = 0; i < N_ROUND * N_KEY; i++) {
        const unsigned k = i * (2 * writer + 5) % N_KEY;
        char key[65];
        float x[N], want[N];
        key_of(key, k);
        fill(want, N, k);
        if (sn_store_get(s, key, ROWS, COLS, x) && memcmp(x, want, sizeof x) != 0) return 2;
        if (sn_store_put(s, key, ROWS, COLS, want, NULL) != SN_OK) return 3;
    }
    sn_store_close(s);
    return 0;
}

static void run_writers(size_t max_bytes)
{
    pid_t pid[N_WRITER];
    for (unsigned w = 0; w < N_WRITER; w++) {
        pid[w] = fork();
        assert_true(pid[w] >= 0);
        if (pid[w] == 0) _exit(write_and_read(w, max_bytes));
    }
    for (unsigned w = 0; w < N_WRITER; w++) {
        int status;
        assert_int_equal(waitpid(pid[w], &status, 0), pid[w]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count(".new-", NULL), 0);
}

static void processes_do_not_disturb_one_another(void **state)
{
    (void)state;
    run_writers(1 << 20);
    sn_store *s = store(1 << 20);
    for (unsigned k = 0; k < N_KEY; k++) {
        char key[65];
        key_of(key, k);
        assert_true(has(s, key, k));
    }
    sn_store_close(s);
    run_writers(10 * 4096); /* with one removing what the other has just put */
    s = store(10 * 4096);
    put(s, KEY_A, 1);
    assert_true(count("", NULL) <= 10 + 3); /* and ".", "..", ".added" */
    sn_store_close(s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(what_is_put_comes_back_bit_for_bit, enter, leave),
    cmocka_unit_test_setup_teardown(the_folder_is_for_one_user_alone, enter, leave),
    cmocka_unit_test_setup_teardown(what_is_cut_or_longer_is_a_miss, enter, leave),
    cmocka_unit_test_setup_teardown(any_flipped_bit_is_a_miss, enter, leave),
    cmocka_unit_test_setup_teardown(another_version_shape_or_name_is_a_miss, enter, leave),
    cmocka_unit_test_setup_teardown(what_is_no_file_is_a_miss, enter, leave),
    cmocka_unit_test_setup_teardown(what_was_used_least_lately_goes_first, enter, leave),
    cmocka_unit_test_setup_teardown(it_stays_within_its_size_without_looking_each_time, enter, leave),
    cmocka_unit_test_setup_teardown(what_a_killed_writer_left_is_removed, enter, leave),
    cmocka_unit_test_setup_teardown(where_nothing_can_be_kept_it_says_so, enter, leave),
    cmocka_unit_test_setup_teardown(a_counter_that_is_none_does_no_harm, enter, leave),
    cmocka_unit_test_setup_teardown(processes_do_not_disturb_one_another, enter, leave),
};
TESTING_MAIN("core_store", tests)
