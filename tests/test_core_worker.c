/* What a worker promises: its bytes come over whole, it can do nothing else, and whatever it does costs its own work alone. */
#include "../core/worker.h"

#include "../core/mem.h"
#include "../core/nursery.h"
#include "../core/sandbox.h"
#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* The status of the work, with nothing or `value` as its result. */
static sn_status run(const sn_worker_limits *l, sn_worker_fn work, const void *arg, size_t n, int *value, sn_err *err)
{
    const sn_worker_limits usual = {.fd = -1, .wait_s = 60};
    sn_worker *w = NULL;
    size_t got;
    int ignored;
    if (sn_worker_start(&w, l ? l : &usual, work, arg, n, err) != SN_OK) fail_msg("%s", err->msg);
    const sn_status st = sn_worker_read(w, value ? value : &ignored, sizeof ignored, &got, err);
    if (st == SN_OK && value) assert_int_equal(got, sizeof *value);
    sn_worker_close(w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    return st;
}

static void refused(const sn_worker_limits *l, sn_worker_fn work, const void *arg, size_t n, sn_status want, const char *part)
{
    sn_err err = {0};
    const sn_status st = run(l, work, arg, n, NULL, &err);
    if (st != want || !strstr(err.msg, part)) fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", st, err.msg, want, part);
}

/* ---- good work ---- */

#define MANY 3000000
static sn_status count_up(sn_worker_out *out, const void *arg, sn_err *err)
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
    assert_int_equal(sn_worker_start(&w, &l, count_up, NULL, 0, &err), SN_OK);
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

static sn_status say_no(sn_worker_out *out, const void *arg, sn_err *err)
{
    (void)out;
    snprintf(err->msg, sizeof err->msg, "%s\n\x1b[2J", (const char *)arg); /* as one who took the decoder over would */
    return SN_ELIMIT;
}

static void its_error_is_the_readers_and_one_line(void **state)
{
    char why[] = "too large";
    (void)state;
    refused(NULL, say_no, why, sizeof why, SN_ELIMIT, "too large\\x0a\\x1b[2J");
}

static void a_worker_left_alone_ends(void **state)
{
    const sn_worker_limits l = {.fd = -1};
    sn_worker *w = NULL;
    sn_err err = {0};
    (void)state;
    assert_int_equal(sn_worker_start(&w, &l, count_up, NULL, 0, &err), SN_OK);
    sn_worker_close(w);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static sn_status read_input(sn_worker_out *out, const void *arg, sn_err *err)
{
    int value = 0;
    (void)arg;
    if (pread(sn_worker_input(out), &value, sizeof value, 0) != sizeof value) return sn_fail(err, SN_EIO, "%s", strerror(errno));
    return sn_worker_send(out, &value, sizeof value, err);
}

/* Sends how many descriptors are open. */
static sn_status count_open(sn_worker_out *out, const void *arg, sn_err *err)
{
    int n = 0;
    (void)arg;
    for (int fd = SN_SANITIZED ? 3 : 0; fd < 1000; fd++) n += lseek(fd, 0, SEEK_CUR) >= 0 || errno != EBADF;
    return sn_worker_send(out, &n, sizeof n, err);
}

static void the_input_stays_open_and_nothing_else(void **state)
{
    const int want = 12345;
    const char *path = testing_temp(&want, sizeof want);
    const int fd = open(path, O_RDONLY | O_CLOEXEC), other = open(path, O_RDONLY | O_CLOEXEC);
    sn_shared shared;
    int value = 0;
    sn_err err = {0};
    (void)state;
    if (run(&(sn_worker_limits){.fd = fd}, read_input, NULL, 0, &value, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(value, want);
    refused(&(sn_worker_limits){.fd = -1}, read_input, NULL, 0, SN_EIO, strerror(EBADF));
    assert_int_equal(sn_shared_open(&shared, 4096, &err), SN_OK);
    if (run(&(sn_worker_limits){.fd = fd, .shared = &shared}, count_open, NULL, 0, &value, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(value, 2); /* and the pipe */
    sn_shared_close(&shared, 0);
    close(fd);
    close(other);
}

static sn_status fill_shared(sn_worker_out *out, const void *arg, sn_err *err)
{
    size_t n;
    unsigned char *p = sn_worker_shared(out, &n);
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(i % 251 + *(const unsigned char *)arg);
    return sn_worker_send(out, "done", 4, err);
}

static void shared_memory_is_written_and_of_one_size(void **state)
{
    const unsigned char add = 3;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    sn_shared s;
    sn_err err = {0};
    int done;
    (void)state;
    assert_int_equal(sn_shared_open(&s, 4 * page, &err), SN_OK);
    for (size_t i = 0; i < s.n; i++) assert_int_equal(s.data[i], 0);
    if (run(&(sn_worker_limits){.fd = -1, .shared = &s}, fill_shared, &add, 1, &done, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < s.n; i++) assert_int_equal(s.data[i], (i % 251 + 3) % 256);
    assert_int_equal(ftruncate(s.fd, 0), -1); /* the parent would be ended by it */
    assert_int_equal(ftruncate(s.fd, (off_t)s.n * 2), -1);
    sn_shared_close(&s, page + 1);
    assert_int_equal(s.data[2 * page - 1], (2 * page - 1) % 251 + 3);
    munmap(s.data, 2 * page);
}

static void shared_memory_is_a_file_to_a_limit_of_their_size(void **state)
{
    struct rlimit before, small;
    sn_shared s;
    sn_err err = {0};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){8192, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(sn_shared_open(&s, 8193, &err), SN_ELIMIT); /* and no SIGXFSZ */
    assert_int_equal(sn_shared_open(&s, 8192, &err), SN_OK);
    sn_shared_close(&s, 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static sn_status get_ready(sn_err *err)
{
    return sn_fail(err, SN_EUNSUPPORTED, "what it needs is missing");
}

static void what_is_missing_is_said(void **state)
{
    const sn_worker_limits l = {.fd = -1, .ready = get_ready};
    sn_worker *w = NULL;
    sn_err err = {0};
    (void)state;
    assert_int_equal(sn_worker_start(&w, &l, count_up, NULL, 0, &err), SN_EUNSUPPORTED);
    assert_string_equal(err.msg, "what it needs is missing");
    assert_null(w);
}

/* ---- what the parent has, and its threads ---- */

static char secret[16];
static sn_status tell_secret(sn_worker_out *out, const void *arg, sn_err *err)
{
    const int n = secret[0];
    (void)arg;
    return sn_worker_send(out, &n, sizeof n, err);
}

static void a_worker_has_nothing_of_what_came_later(void **state)
{
    int n = -1;
    sn_err err = {0};
    (void)state;
    strcpy(secret, "a conversation"); /* main has started the nursery */
    if (run(NULL, tell_secret, NULL, 0, &n, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(n, 0);
}

/* Takes a lock, as an allocator's, holds it until told otherwise. */
static pthread_mutex_t held_lock = PTHREAD_MUTEX_INITIALIZER, go_on = PTHREAD_MUTEX_INITIALIZER;
static sem_t is_held;
static void *hold_lock(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&held_lock);
    sem_post(&is_held);
    pthread_mutex_lock(&go_on);
    pthread_mutex_unlock(&held_lock);
    return NULL;
}
static sn_status take_lock(sn_worker_out *out, const void *arg, sn_err *err)
{
    const int yes = 1;
    (void)arg;
    pthread_mutex_lock(&held_lock);
    return sn_worker_send(out, &yes, sizeof yes, err);
}

static void a_lock_that_a_thread_holds_is_free_in_the_worker(void **state)
{
    pthread_t t;
    int yes = 0;
    sn_err err = {0};
    (void)state;
    sem_init(&is_held, 0, 0);
    pthread_mutex_lock(&go_on);
    pthread_create(&t, NULL, hold_lock, NULL);
    sem_wait(&is_held);
    const sn_status st = run(&(sn_worker_limits){.fd = -1, .wait_s = 5}, take_lock, NULL, 0, &yes, &err);
    pthread_mutex_unlock(&go_on);
    pthread_join(t, NULL);
    if (st != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(yes, 1);
}

/* As `timeout` and a service's end send it to the whole group. */
static sn_status be_ended(sn_worker_out *out, const void *arg, sn_err *err)
{
    const int yes = 1;
    (void)arg;
    raise(SIGTERM);
    raise(SIGINT);
    return sn_worker_send(out, &yes, sizeof yes, err);
}

static void what_ends_the_parent_is_its_to_heed(void **state)
{
    int yes = 0;
    sn_err err = {0};
    (void)state;
    if (run(NULL, be_ended, NULL, 0, &yes, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(yes, 1);
}

/* ---- harm ---- */

static sn_status crash(sn_worker_out *out, const void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    raise(SIGSEGV);
    return SN_OK;
}
static sn_status give_up(sn_worker_out *out, const void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    abort();
}
static sn_status spin(sn_worker_out *out, const void *arg, sn_err *err)
{
    volatile int n = 0;
    (void)out, (void)arg, (void)err;
    while (n >= 0) n ^= 1;
    return SN_OK;
}
static sn_status leave(sn_worker_out *out, const void *arg, sn_err *err)
{
    (void)out, (void)arg, (void)err;
    _exit(0);
}
static sn_status take_memory(sn_worker_out *out, const void *arg, sn_err *err)
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
    refused(NULL, leave, NULL, 0, SN_EFORMAT, "the decoder ended without a result");
    if (SN_SANITIZED) return; /* a sanitizer reports these itself, and exits */
    refused(NULL, crash, NULL, 0, SN_EFORMAT, "the decoder crashed (signal 11)");
    refused(NULL, give_up, NULL, 0, SN_EFORMAT, "the decoder crashed (signal 6)");
}

static void work_without_end_is_ended(void **state)
{
    (void)state;
    refused(&(sn_worker_limits){.fd = -1, .wait_s = 0.2}, spin, NULL, 0, SN_ELIMIT, "it gave nothing for 0.2 s");
    refused(&(sn_worker_limits){.fd = -1, .cpu_s = 1}, spin, NULL, 0, SN_ELIMIT, "more than 1 s of processor time");
}

static void memory_is_limited(void **state)
{
    sn_err err = {0};
    (void)state;
    if (SN_SANITIZED) return;
    assert_int_equal(run(&(sn_worker_limits){.fd = -1, .memory_bytes = (size_t)256 << 20}, take_memory, NULL, 0, NULL, &err), SN_ENOMEM);
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

static sn_status attempt(sn_worker_out *out, const void *arg, sn_err *err)
{
    (void)out;
    if ((*(int (*const *)(void))arg)() >= 0) return sn_fail(err, SN_OK + 99, "it could");
    return sn_fail(err, SN_EIO, "it could not");
}

static void nothing_can_be_opened_sent_started_or_written(void **state)
{
    int (*quiet[])(void) = {try_open, try_create, try_stat, try_executable};
    int (*fatal[])(void) = {try_socket, try_unix_socket, try_fork, try_exec, try_kill, try_unlink, try_memfd};
    (void)state;
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++) refused(NULL, attempt, &quiet[i], sizeof quiet[i], SN_EIO, "it could not");
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        if (SN_SANITIZED)
            refused(NULL, attempt, &fatal[i], sizeof fatal[i], SN_EIO, "it could not");
        else
            refused(NULL, attempt, &fatal[i], sizeof fatal[i], SN_EFORMAT, "asked the system for what no decoder needs");
    assert_int_equal(access("/tmp/senses-test-worker", F_OK), -1);
}

/* The nursery: the child that a plain wait does not see. 0: there is none. */
static pid_t find_nursery(void)
{
    char text[64] = "", path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 ? (pid_t)atoi(text) : 0;
}

/* Once, when every child of this process is told of: even those that a plain wait does not see. */
static bool no_child_but(pid_t nursery)
{
    siginfo_t who = {.si_pid = 0};
    const int n = waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT | __WALL);
    return nursery ? n == 0 && who.si_pid == 0 && find_nursery() == nursery : n != 0 && errno == ECHILD;
}

static void a_child_that_tells_nothing_is_waited_for(void **state)
{
    const pid_t nursery = find_nursery();
    sn_order o = {.limits = {.fd = -1, .memory_bytes = 1 << 28, .cpu_s = 1}, .work = count_up, .shared_fd = -1};
    siginfo_t how = {.si_pid = 0};
    int fd[2];
    pid_t pid;
    char byte;
    (void)state;
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    o.pipe_fd = fd[1];
    close(fd[0]); /* its birth goes nowhere, and ends it */
    assert_true(sn_nursery_order(&o));
    close(fd[1]);
    /* The next child is born after it. */
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    sn_order next = o;
    next.pipe_fd = fd[1];
    assert_true(sn_nursery_order(&next));
    close(fd[1]);
    assert_int_equal(read(fd[0], &byte, 1), 1);
    close(fd[0]);

    pid = sn_nursery_settle(&o, false);
    assert_true(pid > 0);
    assert_int_equal(waitid(P_PID, (id_t)pid, &how, WEXITED | __WALL), 0);
    if (!SN_SANITIZED) assert_int_equal(how.si_status, SIGPIPE); /* a sanitized one is left to see the error */
    pid = sn_nursery_settle(&next, false);
    assert_true(pid > 0 && pid != how.si_pid);
    assert_int_equal(waitpid(pid, NULL, __WALL), pid);
    assert_true(no_child_but(nursery));
}

static pid_t to_kill;
static void kill_it(int sig)
{
    (void)sig;
    kill(to_kill, SIGKILL);
}

/* The nursery takes an order, does not carry it out, and is killed after kill_ms; 0: the parent must end it. The work is done all the same, by a
 * child of this process. */
static void order_lost(unsigned kill_ms)
{
    const int want = 77;
    const int fd = open(testing_temp(&want, sizeof want), O_RDONLY | O_CLOEXEC);
    sn_err err = {.code = SN_OK};
    int value = 0;
    sn_worker_prepare();
    to_kill = find_nursery();
    assert_int_equal(kill(to_kill, SIGSTOP), 0);
    signal(SIGALRM, kill_it);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = kill_ms * 1000}, NULL);
    if (run(&(sn_worker_limits){.fd = fd, .wait_s = kill_ms ? 60 : 0.5}, read_input, NULL, 0, &value, &err) != SN_OK)
        fail_msg("%s", err.msg);
    signal(SIGALRM, SIG_DFL);
    close(fd);
    assert_int_equal(value, want);
    assert_int_equal(err.code, SN_OK);
    assert_true(no_child_but(0));
    sn_worker_prepare();
    assert_true(find_nursery() != to_kill);
}

static void an_order_that_dies_with_the_nursery_is_carried_out(void **state)
{
    (void)state;
    order_lost(100);
    order_lost(0);
}

/* What is in the process that was forked; its status is the line that failed. */
#define OR_EXIT(what)                                                                                                                      \
    if (!(what)) _exit(__LINE__ % 250 + 1)
static void work_in_a_fork(pid_t nursery)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    sn_shared lies_there[4]; /* where the parent's page is, this process has a hole */
    sn_worker *w = NULL;
    size_t got = 0;
    int value = 0;
    sn_err err;
    for (size_t i = 0; i < 4; i++) OR_EXIT(sn_shared_open(&lies_there[i], page, &err) == SN_OK);
    for (int i = 0; i < 2; i++) {
        OR_EXIT(sn_worker_start(&w, &(sn_worker_limits){.fd = -1, .wait_s = 60}, be_ended, NULL, 0, &err) == SN_OK);
        OR_EXIT(sn_worker_read(w, &value, sizeof value, &got, &err) == SN_OK && value == 1);
        sn_worker_close(w);
    }
    OR_EXIT(find_nursery() != 0 && find_nursery() != nursery);
    for (size_t i = 0; i < 4 * page; i++) OR_EXIT(lies_there[i / page].data[i % page] == 0);
    _exit(0);
}

static void a_process_that_was_forked_has_a_nursery_of_its_own(void **state)
{
    (void)state;
    for (int lost = 0; lost < 2; lost++) { /* also of a process that has lost its own */
        const pid_t nursery = find_nursery();
        sn_order o = {.limits = {.fd = -1}, .work = count_up, .pipe_fd = STDERR_FILENO, .shared_fd = -1};
        int how;
        if (lost) {
            assert_int_equal(kill(nursery, SIGKILL), 0);
            while (waitid(P_PID, (id_t)nursery, &(siginfo_t){0}, WEXITED | WNOWAIT | __WALL) != 0) {}
            assert_false(sn_nursery_order(&o));
        }
        const pid_t pid = fork();
        if (pid == 0) work_in_a_fork(nursery);
        assert_int_equal(waitpid(pid, &how, 0), pid);
        assert_int_equal(how, 0);
        assert_true(no_child_but(lost ? 0 : nursery));
    }
    sn_worker_prepare();
}

static void all_works_without_a_nursery(void **state)
{
    const pid_t nursery = find_nursery();
    assert_true(nursery > 0);
    assert_int_equal(kill(nursery, SIGTERM), 0); /* of a whole group, say: it goes on */
    what_is_sent_is_read_in_any_pieces(state);
    assert_int_equal(find_nursery(), nursery);
    assert_int_equal(kill(nursery, SIGKILL), 0);
    while (waitid(P_PID, (id_t)nursery, &(siginfo_t){0}, WEXITED | WNOWAIT | __WALL) != 0) {}
    what_is_sent_is_read_in_any_pieces(state);
    the_input_stays_open_and_nothing_else(state);
    shared_memory_is_written_and_of_one_size(state);
    what_is_missing_is_said(state);
    what_ends_the_parent_is_its_to_heed(state);
    a_crash_is_one_line(state);
    nothing_can_be_opened_sent_started_or_written(state);
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1); /* nor is the nursery left */
}

int main(int argc, char **argv)
{
    sn_worker_prepare();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_that_tells_nothing_is_waited_for), /* the first: a thread, and no nursery can be made anew */
        cmocka_unit_test(an_order_that_dies_with_the_nursery_is_carried_out),
        cmocka_unit_test(a_process_that_was_forked_has_a_nursery_of_its_own),
        cmocka_unit_test(what_is_sent_is_read_in_any_pieces),
        cmocka_unit_test(its_error_is_the_readers_and_one_line),
        cmocka_unit_test(a_worker_left_alone_ends),
        cmocka_unit_test(the_input_stays_open_and_nothing_else),
        cmocka_unit_test(shared_memory_is_written_and_of_one_size),
        cmocka_unit_test(shared_memory_is_a_file_to_a_limit_of_their_size),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(a_worker_has_nothing_of_what_came_later),
        cmocka_unit_test(a_lock_that_a_thread_holds_is_free_in_the_worker),
        cmocka_unit_test(what_ends_the_parent_is_its_to_heed),
        cmocka_unit_test(a_crash_is_one_line),
        cmocka_unit_test(work_without_end_is_ended),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(nothing_can_be_opened_sent_started_or_written),
        cmocka_unit_test(all_works_without_a_nursery), /* the last: there is none from here on */
    };
    return testing_main("core_worker", tests, sizeof tests / sizeof *tests, argc, argv);
}
