#include "../core/file.h"

#include "testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a folder of a test's own ---- */

static char folder[4096];

static int enter(void **state)
{
    (void)state;
    return testing_folder(folder, sizeof folder);
}

/* The names in the folder, sorted and with commas between. */
static const char *listing(void)
{
    static char text[8192];
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort);
    assert_true(n >= 2);
    text[0] = '\0';
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
            if (text[0] != '\0') strcat(text, ",");
            strncat(text, names[i]->d_name, 300);
        }
        free(names[i]);
    }
    free(names);
    return text;
}

static const char *in_folder(const char *name)
{
    static char paths[4][8192];
    static size_t turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int leave(void **state)
{
    (void)state;
    struct dirent **names;
    int n = scandir(folder, &names, NULL, NULL);
    for (int i = 0; i < n; i++) {
        unlinkat(AT_FDCWD, in_folder(names[i]->d_name), 0);
        free(names[i]);
    }
    free(names);
    return rmdir(folder);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_content(const char *path, const char *want)
{
    char have[256] = {0};
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    (void)!fread(have, 1, sizeof have - 1, f);
    fclose(f);
    assert_string_equal(have, want);
}

/* ---- reading ---- */

static void a_file_is_mapped_whole(void **state)
{
    (void)state;
    sn_map m = {0};
    sn_err err;
    assert_int_equal(sn_map_open(&m, testing_temp("abc\0d", 5), &err), SN_OK);
    assert_int_equal(m.size, 5);
    assert_memory_equal(m.data, "abc\0d", 5);
    sn_map_close(&m);
    assert_null(m.data);
    sn_map_close(&m);
}

static void what_cannot_be_mapped_is_refused_in_one_line(void **state)
{
    (void)state;
    sn_map m = {0};
    sn_err err;
    char want[8300];
    assert_int_equal(sn_map_open(&m, in_folder("absent"), &err), SN_EIO);
    snprintf(want, sizeof want, "%s/absent: cannot open: No such file or directory", folder);
    assert_string_equal(err.msg, want);
    assert_int_equal(sn_map_open(&m, folder, &err), SN_EIO);
    snprintf(want, sizeof want, "%s: is a directory", folder);
    assert_string_equal(err.msg, want);
    put(in_folder("empty"), "");
    assert_int_equal(sn_map_open(&m, in_folder("empty"), &err), SN_EFORMAT);
    snprintf(want, sizeof want, "%s/empty: is empty", folder);
    assert_string_equal(err.msg, want);
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_int_equal(sn_map_open(&m, in_folder("fifo"), &err), SN_EIO); /* and does not wait for a writer */
    assert_non_null(strstr(err.msg, "fifo: is not a regular file"));
    assert_int_equal(sn_map_open(&m, "/dev/null", &err), SN_EIO);
    assert_int_equal(sn_map_open(&m, "/dev/null", NULL), SN_EIO);
    assert_null(m.data);
}

static void kinds_of_files_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *head;
        size_t n;
    } cases[] = {
        {"a GGUF file", "GGUF\3\0\0\0", 8},
        {"a WAV sound", "RIFF\0\0\0\0WAVEfmt ", 16},
        {"a FLAC sound", "fLaC\0", 5},
        {"an MP4 file",
         "\0\0\0\x20"
         "ftypisom",
         12},
        {"a JSON text", "{\"a\": 1}\n", 9},
        {"an HTML page", "\n <HTML>", 8},
        {"an HTML page", "\xef\xbb\xbf<!doctype html>", 18},
        {"a text file", "gr\xc3\xbc\xc3\x9f dich", 11},
        {"a safetensors file", "\x10\0\0\0\0\0\0\0{\"a\":1}", 15},
        {"a Python pickle", "\x80\x02}q", 4},
        {NULL, "\0\0\0\0", 4},
        {NULL, "abc\1", 4},
        {NULL, "\xff\xfe\0", 3},
        {NULL, "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *exact = malloc(cases[i].n + 1); /* so that reading on is seen by the sanitizer */
        assert_non_null(exact);
        memcpy(exact + 1, cases[i].head, cases[i].n);
        const char *kind = sn_guess_kind(exact + 1, cases[i].n);
        if (cases[i].kind == NULL)
            assert_null(kind);
        else
            assert_string_equal(kind != NULL ? kind : "nothing known", cases[i].kind);
        free(exact);
    }
}

/* ---- writing ---- */

static void an_output_appears_whole_at_commit_and_not_before(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    char path[8192];
    snprintf(path, sizeof path, "%s", in_folder("out"));
    put(path, "old");
    assert_int_equal(sn_out_open(&o, path, &err), SN_OK);
    fputs("new", o.stream);
    fflush(o.stream);
    assert_content(path, "old");
    assert_string_not_equal(listing(), "out"); /* beside it, in the same folder */
    assert_int_equal(sn_out_commit(&o, &err), SN_OK);
    assert_content(path, "new");
    assert_string_equal(listing(), "out");
}

static void a_discarded_output_leaves_nothing(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    assert_int_equal(sn_out_open(&o, in_folder("out"), &err), SN_OK);
    fputs("new", o.stream);
    sn_out_discard(&o);
    assert_string_equal(listing(), "");
    sn_out_discard(&o); /* a second time does nothing */
}

static void an_output_has_the_mode_that_umask_says(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    struct stat st;
    mode_t before = umask(027);
    assert_int_equal(sn_out_open(&o, in_folder("out"), &err), SN_OK);
    assert_int_equal(sn_out_commit(&o, &err), SN_OK);
    umask(before);
    assert_int_equal(stat(in_folder("out"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_link_stays_a_link_and_its_target_is_written(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    struct stat st;
    put(in_folder("target"), "old");
    assert_int_equal(symlink("target", in_folder("link")), 0);
    assert_int_equal(sn_out_open(&o, in_folder("link"), &err), SN_OK);
    fputs("new", o.stream);
    assert_int_equal(sn_out_commit(&o, &err), SN_OK);
    assert_int_equal(lstat(in_folder("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_content(in_folder("target"), "new");
    assert_string_equal(listing(), "link,target");
}

static void long_names_are_written_too(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(sn_out_open(&o, in_folder(name), &err), SN_OK);
    assert_int_equal(sn_out_commit(&o, &err), SN_OK);
    assert_string_equal(listing(), name);
}

static void outputs_that_cannot_be_made_are_refused_at_open(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    char want[8300];
    assert_int_equal(sn_out_open(&o, folder, &err), SN_EIO);
    snprintf(want, sizeof want, "%s: is a directory", folder);
    assert_string_equal(err.msg, want);
    assert_int_equal(sn_out_open(&o, in_folder("no/such/file"), &err), SN_EIO);
    snprintf(want, sizeof want, "%s/no/such/file: cannot create: No such file or directory", folder);
    assert_string_equal(err.msg, want);
    assert_string_equal(listing(), "");
}

static void a_full_device_is_named_at_commit(void **state)
{
    (void)state;
    sn_out o;
    sn_err err;
    if (access("/dev/full", W_OK) != 0) testing_skip("no /dev/full here");
    assert_int_equal(sn_out_open(&o, "/dev/full", &err), SN_OK);
    fputs("lost", o.stream);
    assert_int_equal(sn_out_commit(&o, &err), SN_EIO);
    assert_string_equal(err.msg, "/dev/full: cannot write: No space left on device");
}

/* A file size limit is the full disk that a test can have: the write fails half way. */
static void a_full_disk_leaves_the_old_file_and_no_other(void **state)
{
    (void)state;
    static char block[65536];
    sn_out o;
    sn_err err;
    struct rlimit before, small;
    char path[8192];
    snprintf(path, sizeof path, "%s", in_folder("out"));
    put(path, "old");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100000, .rlim_max = before.rlim_max};
    assert_int_equal(sn_out_open(&o, path, &err), SN_OK);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 4; i++) (void)!fwrite(block, 1, sizeof block, o.stream);
    sn_status status = sn_out_commit(&o, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, old);
    assert_int_equal(status, SN_EIO);
    assert_memory_equal(err.msg, path, strlen(path));
    assert_non_null(strstr(err.msg, ": cannot write: "));
    assert_content(path, "old");
    assert_string_equal(listing(), "out");
}

/* ---- what comes through a stream ---- */

#define STREAM_N 300000
static char stream[STREAM_N];

/* What is written to the pipe, piece by piece, in a process of its own; the end to read from. */
static int piped(pid_t *writer)
{
    int ends[2];
    for (size_t i = 0; i < sizeof stream; i++) stream[i] = (char)(i % 251);
    assert_int_equal(pipe(ends), 0);
    *writer = fork();
    if (*writer == 0) {
        close(ends[0]);
        for (size_t at = 0, n = 1; at < sizeof stream; at += n, n = n * 3 % 9973 + 1)
            if (write(ends[1], stream + at, n < sizeof stream - at ? n : sizeof stream - at) <= 0) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    return ends[0];
}

/* `skip` bytes are read before. */
static void spooled(bool on_disk, size_t skip, uint64_t most, sn_status want)
{
    static char held[STREAM_N + 1];
    int fd = -1;
    pid_t writer;
    sn_err err = {.code = SN_OK};
    const int from = piped(&writer);
    for (size_t i = 0; i < skip; i++) assert_int_equal(read(from, held, 1), 1);
    const sn_status st = sn_spool(&fd, from, most, on_disk, &err);
    close(from);
    waitpid(writer, NULL, 0);
    assert_int_equal(st, want);
    if (st != SN_OK) {
        assert_int_equal(fd, -1);
        assert_non_null(strstr(err.msg, "bytes from a pipe"));
        return;
    }
    assert_int_equal(pread(fd, held, sizeof held, 0), STREAM_N - (ssize_t)skip);
    assert_memory_equal(held, stream + skip, STREAM_N - skip);
    close(fd);
}

static void a_stream_is_held_whole_or_refused(void **state)
{
    (void)state;
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        spooled(on_disk, 0, UINT64_MAX, SN_OK);
        spooled(on_disk, 1000, STREAM_N - 1000, SN_OK);
        spooled(on_disk, 0, STREAM_N - 1, SN_ELIMIT);
    }
}

static void a_stream_beyond_the_limit_of_file_sizes_ends_no_program(void **state)
{
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100000, before.rlim_max}), 0);
    for (int on_disk = 0; on_disk < 2; on_disk++) spooled(on_disk, 0, UINT64_MAX, SN_ELIMIT); /* and no SIGXFSZ */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static void what_cannot_be_read_is_no_stream(void **state)
{
    int fd = -1;
    sn_err err;
    const int folder_fd = open("/", O_RDONLY | O_CLOEXEC);
    (void)state;
    assert_int_equal(sn_spool(&fd, folder_fd, UINT64_MAX, false, &err), SN_EIO);
    assert_non_null(strstr(err.msg, "cannot be read: "));
    close(folder_fd);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, enter, leave)
static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_file_is_mapped_whole),
    IN_FOLDER(what_cannot_be_mapped_is_refused_in_one_line),
    cmocka_unit_test(kinds_of_files_are_told_apart),
    IN_FOLDER(an_output_appears_whole_at_commit_and_not_before),
    IN_FOLDER(a_discarded_output_leaves_nothing),
    IN_FOLDER(an_output_has_the_mode_that_umask_says),
    IN_FOLDER(a_link_stays_a_link_and_its_target_is_written),
    IN_FOLDER(long_names_are_written_too),
    IN_FOLDER(outputs_that_cannot_be_made_are_refused_at_open),
    cmocka_unit_test(a_full_device_is_named_at_commit),
    IN_FOLDER(a_full_disk_leaves_the_old_file_and_no_other),
    cmocka_unit_test(a_stream_is_held_whole_or_refused),
    cmocka_unit_test(a_stream_beyond_the_limit_of_file_sizes_ends_no_program),
    cmocka_unit_test(what_cannot_be_read_is_no_stream),
};
TESTING_MAIN("core_file", tests)
