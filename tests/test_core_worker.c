/* What a worker promises: its bytes come over whole, it can do nothing else, and whatever it does costs its own work alone. */
#include "../core/worker.h"

#include "../core/mem.h"
#include "../core/sandbox.h"
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The status of the work, with nothing or `value` as its result. */
static sn_status run(const sn_worker_limits *l, sn_worker_fn work, void *arg, int *value, sn_err *err)
{
    const sn_worker_limits usual = {.fd = -1, .wait_s = 60};
    sn_worker *w = NULL;
    size_t got;
    int ignored;
    if (sn_worker_start(&w, l ? l : &usual, work, arg, err) != SN_OK) fail_msg("%s", err->msg);
    const sn_status st = sn_worker_read(w, value ? value : &ignored, sizeof ignored, &got, err);
    if (st == SN_OK && value) assert_int_equal(got, sizeof *value);
    sn_worker_close(w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    return st;
}

static void refused(const sn_worker_limits *l, sn_worker_fn work, void *arg, sn_status want, const char *part)
{
    sn_err err = {0};
    const sn_status st = run(l, work, arg, NULL, &err);
    if (st != want || !strstr(err.msg, part)) fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", st, err.msg, want, part);
}

/* ---- good work ---- */

#define MANY 3000000
static sn_status count_up(sn_worker_out *out, void *arg, sn_err *err)
{
    sn_status st = SN_OK;
    (void)arg;
    for (int i = 0; i < MANY && st == SN_OK; i += 1000) {
        int block[1000];
        for (int k = 0; k < 1000; k++) block[k] = i + k;
        st = sn_worker_send(out, block, sizeof block, err);
    }
    return st;
}

static void what_is_sent_is_read_in_any_pieces(void **state)
{
    const sn_worker_limits l = {.fd = -1};
    static int all[MANY];
    sn_worker *w = NULL;
    sn_err err = {0};
    size_t got, at = 0;
    (void)state;
    assert_int_equal(sn_worker_start(&w, &l, count_up, NULL, &err), SN_OK);
    for (size_t n = 1; at < sizeof all; n = n * 7 % 100003 + 1, at += got) {
        if (n > sizeof all - at) n = sizeof all - at;
        assert_int_equal(sn_worker_read(w, (char *)all + at, n, &got, &err), SN_OK);
        assert_int_equal(got, n);
    }
    assert_int_equal(sn_worker_read(w, &got, 1, &at, &err), SN_OK);
    assert_int_equal(at, 0);
    sn_worker_close(w);
    for (int i = 0; i < MANY; i++) assert_int_equal(all[i], i);
}

static sn_status say_no(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out;
    snprintf(err->msg, sizeof err->msg, "%s\n\x1b[2J", (const char *)arg); /* as one who took the decoder over would */
    return SN_ELIMIT;
}

static void its_error_is_the_readers_and_one_line(void **state)
{
    char why[] = "too large";
    (void)state;
    refused(NULL, say_no, why, SN_ELIMIT, "too large\\x0a\\x1b[2J");
}

static void a_worker_left_alone_ends(void **state)
{
    const sn_worker_limits l = {.fd = -1};
    sn_worker *w = NULL;
    sn_err err = {0};
    (void)state;
    assert_int_equal(sn_worker_start(&w, &l, count_up, NULL, &err), SN_OK);
    sn_worker_close(w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static sn_status read_input(sn_worker_out *out, void *arg, sn_err *err)
{
    int value = 0;
    if (pread(*(const int *)arg, &value, sizeof value, 0) != sizeof value) return sn_fail(err, SN_EIO, "%s", strerror(errno));
    return sn_worker_send(out, &value, sizeof value, err);
}

static void the_input_stays_open_and_nothing_else(void **state)
{
    const int want = 12345;
    const char *path = testing_temp(&want, sizeof want);
    int fd = open(path, O_RDONLY | O_CLOEXEC), other = open(path, O_RDONLY | O_CLOEXEC), value = 0;
    sn_err err = {0};
    (void)state;
    if (run(&(sn_worker_limits){.fd = fd}, read_input, &fd, &value, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(value, want);
    refused(&(sn_worker_limits){.fd = fd}, read_input, &other, SN_EIO, strerror(EBADF));
    refused(&(sn_worker_limits){.fd = -1}, read_input, &fd, SN_EIO, strerror(EBADF));
    close(fd);
    close(other);
}

/* ---- harm ---- */

static sn_status crash(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    raise(SIGSEGV);
    return SN_OK;
}
static sn_status give_up(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    abort();
}
static sn_status spin(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out, (void)err;
    while (*(volatile int *)arg >= 0) *(volatile int *)arg ^= 1;
    return SN_OK;
}
static sn_status leave(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    _exit(0);
}
static sn_status take_memory(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out, (void)arg;
    for (size_t n = 0;; n += 16) {
        char *p = malloc((size_t)16 << 20);
        if (!p) return sn_fail(err, SN_ENOMEM, "out of memory after %zu MB", n);
        memset(p, 1, (size_t)16 << 20);
    }
}

static void a_crash_is_one_line(void **state)
{
    (void)state;
    refused(NULL, leave, NULL, SN_EFORMAT, "the decoder ended without a result");
    if (SN_SANITIZED) return; /* a sanitizer reports these itself, and exits */
    refused(NULL, crash, NULL, SN_EFORMAT, "the decoder crashed (signal 11)");
    refused(NULL, give_up, NULL, SN_EFORMAT, "the decoder crashed (signal 6)");
}

static void work_without_end_is_ended(void **state)
{
    int n = 0;
    (void)state;
    refused(&(sn_worker_limits){.fd = -1, .wait_s = 0.2}, spin, &n, SN_ELIMIT, "it gave nothing for 0.2 s");
    refused(&(sn_worker_limits){.fd = -1, .cpu_s = 1}, spin, &n, SN_ELIMIT, "more than 1 s of processor time");
}

static void memory_is_limited(void **state)
{
    sn_err err = {0};
    (void)state;
    if (SN_SANITIZED) return;
    assert_int_equal(run(&(sn_worker_limits){.fd = -1, .memory_bytes = (size_t)256 << 20}, take_memory, NULL, NULL, &err), SN_ENOMEM);
    assert_true(atoi(strstr(err.msg, "after") + 6) <= 256);
}

/* Each tries one thing that no decoder needs; -1 and errno, if it lives to tell. */
static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY);
}
static int try_create(void)
{
    return open("/tmp/senses-test-worker", O_WRONLY | O_CREAT, 0600);
}
static int try_stat(void)
{
    struct stat s;
    return stat("/etc/passwd", &s);
}
static int try_executable(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}
static int try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}
static int try_unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int try_fork(void)
{
    return fork();
}
static int try_exec(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}
static int try_kill(void)
{
    return kill(getppid(), SIGKILL);
}
static int try_unlink(void)
{
    return unlink("/tmp/senses-test-worker");
}
static int try_memfd(void)
{
    return memfd_create("x", 0);
}

static sn_status attempt(sn_worker_out *out, void *arg, sn_err *err)
{
    (void)out;
    if ((*(int (**)(void))arg)() >= 0) return sn_fail(err, SN_OK + 99, "it could");
    return sn_fail(err, SN_EIO, "it could not");
}

static void nothing_can_be_opened_sent_started_or_written(void **state)
{
    int (*quiet[])(void) = {try_open, try_create, try_stat, try_executable};
    int (*fatal[])(void) = {try_socket, try_unix_socket, try_fork, try_exec, try_kill, try_unlink, try_memfd};
    (void)state;
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) refused(NULL, attempt, &quiet[i], SN_EIO, "it could not");
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (SN_SANITIZED)
            refused(NULL, attempt, &fatal[i], SN_EIO, "it could not");
        else
            refused(NULL, attempt, &fatal[i], SN_EFORMAT, "asked the system for what no decoder needs");
    assert_int_equal(access("/tmp/senses-test-worker", F_OK), -1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sent_is_read_in_any_pieces),
        cmocka_unit_test(its_error_is_the_readers_and_one_line),
        cmocka_unit_test(a_worker_left_alone_ends),
        cmocka_unit_test(the_input_stays_open_and_nothing_else),
        cmocka_unit_test(a_crash_is_one_line),
        cmocka_unit_test(work_without_end_is_ended),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(nothing_can_be_opened_sent_started_or_written),
    };
    return testing_main("core_worker", tests, sizeof tests / sizeof *tests, argc, argv);
}
