/* The system refuses the first, second, third ... call of a kind: opening, mapping, reading, syncing, renaming. Each time an error with the
 * file's name comes back, the old file stands as it was, and no temporary is left. */
#include "../core/file.h"
#include "../core/gguf.h"
#include "../core/quantize.h"
#include "../core/store.h"

#include "testing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GOLDEN "tests/golden/text/llama_linear.gguf"
#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef enum { OPEN, MAP, READ, SYNC, RENAME, N_CALL } call;
static size_t left[N_CALL] = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}, refused;

static bool refuses(call c, int why)
{
    if (left[c] > 0) {
        left[c] -= left[c] != SIZE_MAX;
        return false;
    }
    left[c] = SIZE_MAX; /* once */
    refused++;
    errno = why;
    return true;
}

/* These stand before the C library's. */
int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    return refuses(OPEN, EMFILE) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && refuses(MAP, ENOMEM)) return MAP_FAILED; /* anonymous memory is not our subject */
    return (void *)syscall(SYS_mmap, at, n, protection, flags, fd, offset);
}

ssize_t read(int fd, void *to, size_t n)
{
    return refuses(READ, EIO) ? -1 : syscall(SYS_read, fd, to, n);
}

int fsync(int fd)
{
    return refuses(SYNC, EIO) ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    return refuses(RENAME, EACCES) ? -1 : (int)syscall(SYS_rename, from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return refuses(RENAME, EACCES) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

static char folder[512], out_path[600];
static sn_compute *threads;
static sn_store *store;

static int set_up(void **state)
{
    (void)state;
    if (testing_folder(folder, sizeof folder) != 0) return -1;
    snprintf(out_path, sizeof out_path, "%s/out", folder);
    return sn_compute_open(&threads, 1, SN_ISA_BEST, NULL) == SN_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sn_compute_close(threads);
    return testing_folder_remove(folder);
}

static size_t files_in_folder(void)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return n;
}

static void put_old(void)
{
    FILE *f = fopen(out_path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite("old", 1, 3, f), 3);
    fclose(f);
}

static void old_stands(void)
{
    char have[8];
    FILE *f = fopen(out_path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(have, 1, sizeof have, f), 3);
    fclose(f);
    assert_int_equal(files_in_folder(), 1);
}

static sn_status write_file(sn_err *err)
{
    sn_out o;
    sn_status st = sn_out_open(&o, out_path, err);
    if (st != SN_OK) return st;
    fputs("new", o.stream);
    return sn_out_commit(&o, err);
}

static sn_status quantize(sn_err *err)
{
    senses_quantize_result r;
    return sn_requantize(threads, GOLDEN, out_path, sn_mix_find("Q8_0"), &(sn_requantize_params){.again = true}, &r, err);
}

/* Each call of the kind fails once; `at_least` of them fail the work. What may fail without harm (the folder's sync) does not count. */
static void each_call_fails(call c, sn_status (*work)(sn_err *err), size_t at_least)
{
    size_t n_failed = 0, n = 0;
    for (bool reached = true; reached && n < 100; n++) {
        sn_err err = {0};
        put_old();
        left[c] = n;
        refused = 0;
        const sn_status st = work(&err);
        reached = refused > 0;
        left[c] = SIZE_MAX;
        if (st == SN_OK) continue;
        n_failed++;
        assert_int_equal(st, SN_EIO);
        assert_int_equal(err.code, SN_EIO);
        if (strstr(err.msg, out_path) == NULL && strstr(err.msg, GOLDEN) == NULL) fail_msg("call %zu: %s", n, err.msg);
        old_stands();
    }
    assert_true(n_failed >= at_least && n < 100);
}

static void an_output_is_whole_or_not_there(void **state)
{
    (void)state;
    each_call_fails(OPEN, write_file, 1);
    each_call_fails(SYNC, write_file, 1);
    each_call_fails(RENAME, write_file, 1);
}

static void a_model_is_rewritten_whole_or_not_at_all(void **state)
{
    (void)state;
    each_call_fails(OPEN, quantize, 2);
    each_call_fails(MAP, quantize, 1);
    each_call_fails(SYNC, quantize, 1);
    each_call_fails(RENAME, quantize, 1);
}

/* A store that cannot be read has nothing; what cannot be moved into place is not kept, and leaves nothing behind. */
static void a_store_believes_nothing_that_it_could_not_read(void **state)
{
    (void)state;
    const float rows[4] = {1, 2, 3, 4};
    float back[4];
    sn_err err = {0};
    unlink(out_path);
    assert_int_equal(sn_store_open(&store, folder, 1 << 20, &err), SN_OK);
    assert_int_equal(sn_store_put(store, KEY, 2, 2, rows, &err), SN_OK);
    for (size_t i = 0; i < 2; i++) { /* the head, the values */
        left[READ] = i;
        assert_false(sn_store_get(store, KEY, 2, 2, back));
        left[READ] = SIZE_MAX;
        assert_int_equal(sn_store_put(store, KEY, 2, 2, rows, &err), SN_OK);
    }
    assert_true(sn_store_get(store, KEY, 2, 2, back));
    const size_t before = files_in_folder();
    left[RENAME] = 0;
    assert_int_equal(sn_store_put(store, KEY, 2, 2, rows, &err), SN_EIO);
    assert_non_null(strstr(err.msg, folder));
    assert_int_equal(files_in_folder(), before);
    assert_true(sn_store_get(store, KEY, 2, 2, back)); /* the old one */
    sn_store_close(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_output_is_whole_or_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_model_is_rewritten_whole_or_not_at_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_believes_nothing_that_it_could_not_read, set_up, tear_down),
    };
    return testing_main("core io", tests, sizeof tests / sizeof *tests, argc, argv);
}
