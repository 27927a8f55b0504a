#include "worker.h"

#include "mem.h"
#include "nursery.h"
#include "sandbox.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_BYTES ((size_t)1 << 30)
#define CPU_S 3600
#define WAIT_S 120
#define MAX_FRAME ((size_t)1 << 20)

/* On the pipe, behind the birth: a head and n bytes of data, or a head with n 0 and the message of the end. */
typedef struct {
    uint32_t n, status;
} frame;

struct sn_worker_out {
    int fd, input;
    unsigned char *shared;
    size_t shared_bytes;
};

struct sn_worker {
    pid_t pid; /* 0: it is not born, or its end is known */
    int fd;
    double cpu_s, wait_s;
    size_t left; /* of the present frame's data */
    bool ended;
    sn_status status; /* once ended */
    sn_err why;
};

/* ---- in the child ---- */

static bool write_all(int fd, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        const ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

sn_status sn_worker_send(sn_worker_out *out, const void *data, size_t n, sn_err *err)
{
    const char *p = data;

    while (n > 0) {
        const size_t part = n < MAX_FRAME ? n : MAX_FRAME;
        const frame head = {(uint32_t)part, SN_OK};
        if (!write_all(out->fd, &head, sizeof head) || !write_all(out->fd, p, part))
            return sn_fail(err, SN_EIO, "cannot be handed over: %s", strerror(errno));
        p += part;
        n -= part;
    }
    return SN_OK;
}

int sn_worker_input(const sn_worker_out *out)
{
    return out->input;
}

unsigned char *sn_worker_shared(const sn_worker_out *out, size_t *n)
{
    *n = out->shared_bytes;
    return out->shared;
}

/* The parent decides itself what the keys do, and what ends it: `timeout` and a service's end tell the whole group, and the parent may finish what
 * it has begun. (Sanitizers keep their handlers of crashes: they report.) */
void sn_worker_reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    for (int s = 1; s < NSIG; s++) {
        const bool of_parent = s == SIGINT || s == SIGQUIT || s == SIGHUP || s == SIGTERM;
        struct sigaction now;
        if (SN_SANITIZED && !of_parent) continue;
        if (sigaction(s, NULL, &now) != 0 || (now.sa_handler == SIG_DFL && !of_parent)) continue;
        signal(s, of_parent ? SIG_IGN : SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static bool map_shared(sn_worker_out *out, const sn_order *o)
{
    void *data;

    if (!o->has_shared) return true;
    data = mmap(NULL, o->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->shared_fd, 0);
    if (data == MAP_FAILED) return false;
    out->shared = data;
    out->shared_bytes = o->shared_bytes;
    return true;
}

void sn_worker_child(const sn_order *o)
{
    const int fd = o->pipe_fd;
    const sn_sandbox box = {{fd, o->has_input ? o->limits.fd : fd}, o->limits.memory_bytes, o->limits.cpu_s};
    const sn_birth birth = {.pid = getpid()};
    sn_worker_out out = {.fd = fd, .input = o->limits.fd};
    sn_err err = {.code = SN_OK};
    frame end = {0, SN_OK};

    sn_worker_reset_signals();
    if (!write_all(fd, &birth, sizeof birth)) _exit(0);
    end.status = map_shared(&out, o) ? sn_sandbox_enter(&box, &err) : sn_fail(&err, SN_ENOMEM, "no memory to share");
    if (end.status == SN_OK) end.status = o->work(&out, o->arg, &err);
    if (write_all(fd, &end, sizeof end) && end.status != SN_OK) write_all(fd, err.msg, sizeof err.msg);
    _exit(0); /* not exit(): what the parent has open and buffered is not ours to write */
}

/* ---- in the parent ---- */

sn_status sn_shared_open(sn_shared *out, size_t n, sn_err *err)
{
    sn_shared s = {.fd = memfd_create("senses", MFD_CLOEXEC | MFD_ALLOW_SEALING), .data = MAP_FAILED, .n = n};
    struct rlimit files;

    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < n) { /* trying it would be a signal */
        if (s.fd >= 0) close(s.fd);
        return sn_fail(err, SN_ELIMIT, "files may not have %zu bytes", n);
    }
    if (s.fd >= 0 && ftruncate(s.fd, (off_t)n) == 0 && fcntl(s.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        s.data = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, s.fd, 0);
    if (s.data != MAP_FAILED) {
        *out = s;
        return SN_OK;
    }
    if (s.fd >= 0) close(s.fd);
    return sn_fail(err, SN_ENOMEM, "no memory to share of %zu bytes", n);
}

void sn_shared_close(sn_shared *s, size_t keep)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), kept = (keep + page - 1) / page * page;

    if (kept < s->n) munmap(s->data + kept, s->n - kept);
    close(s->fd);
}

void sn_worker_prepare(void)
{
    sn_nursery_prepare();
}

/* Where there is no nursery: the child has all that this process has. */
static sn_status fork_here(sn_worker *w, const sn_order *o, sn_err *err)
{
    sn_status st = o->limits.ready ? o->limits.ready(err) : SN_OK;
    pid_t pid;

    if (st != SN_OK) return st;
    pid = fork();
    if (pid == 0) sn_worker_child(o);
    if (pid < 0) return sn_fail(err, SN_EIO, "no process for the decoder: %s", strerror(errno));
    w->pid = pid; /* it may never tell it itself */
    return SN_OK;
}

static bool reap(sn_worker *w, int *status);
static sn_status take(sn_worker *w, void *dst, size_t n);

/* One try: *untold where the nursery was asked and no birth came, because it or the child was killed before. No byte was looked at then. */
static sn_status bear(sn_worker *w, sn_order *o, bool by_nursery, bool *untold, sn_err *err)
{
    sn_birth birth = {.pid = 0};
    int pipe_fd[2], how;
    sn_status st = SN_OK;

    if (pipe2(pipe_fd, O_CLOEXEC) != 0) return sn_fail(err, SN_EIO, "no pipe for the decoder: %s", strerror(errno));
    w->fd = pipe_fd[0];
    o->pipe_fd = pipe_fd[1];
    by_nursery = by_nursery && sn_nursery_order(o);
    if (!by_nursery) st = fork_here(w, o, err);
    close(pipe_fd[1]);
    if (st == SN_OK && (st = take(w, &birth, sizeof birth)) != SN_OK) {
        *untold = by_nursery;
        if (!by_nursery) sn_fail(err, st, "%s", w->why.msg);
    }
    if (by_nursery) {
        w->pid = sn_nursery_settle(o, !*untold);
        reap(w, &how);
    }
    if (st == SN_OK && birth.pid <= 0) st = sn_fail(err, birth.err.code == SN_OK ? SN_EIO : birth.err.code, "%s", birth.err.msg);
    if (st == SN_OK) w->pid = birth.pid;
    return st;
}

sn_status sn_worker_start(sn_worker **out, const sn_worker_limits *limits, sn_worker_fn work, const void *arg, size_t arg_bytes,
                          sn_err *err)
{
    const sn_shared *shared = limits->shared;
    sn_order o = {.limits = *limits, .work = work, .has_input = limits->fd >= 0, .has_shared = shared != NULL, .shared_fd = -1};
    sn_worker *w = sn_calloc(1, sizeof *w), fresh;
    bool untold = false;
    sn_status st;

    assert(arg_bytes <= sizeof o.arg);
    if (!w) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (arg_bytes > 0) memcpy(o.arg, arg, arg_bytes);
    if (!o.limits.memory_bytes) o.limits.memory_bytes = MEMORY_BYTES;
    if (!(o.limits.cpu_s > 0)) o.limits.cpu_s = CPU_S;
    if (!(o.limits.wait_s > 0)) o.limits.wait_s = WAIT_S;
    if (shared) {
        o.shared_fd = shared->fd;
        o.shared_bytes = shared->n;
    }
    fresh = (sn_worker){.fd = -1, .cpu_s = o.limits.cpu_s, .wait_s = o.limits.wait_s};
    *w = fresh;
    sn_nursery_prepare();
    st = bear(w, &o, true, &untold, err);
    if (untold) {
        close(w->fd);
        *w = fresh;
        st = bear(w, &o, false, &untold, err);
    }
    if (st != SN_OK) {
        sn_worker_close(w);
        return st;
    }
    *out = w;
    return SN_OK;
}

/* Waits for the child, which ends now whatever it does. False: someone else has waited for it. */
static bool reap(sn_worker *w, int *status)
{
    pid_t got;

    if (w->pid <= 0) return false;
    kill(w->pid, SIGKILL); /* of a process that has ended already it changes nothing */
    while ((got = waitpid(w->pid, status, __WALL)) < 0 && errno == EINTR) continue;
    w->pid = 0;
    return got > 0;
}

static sn_status end(sn_worker *w, sn_status status)
{
    w->ended = true;
    w->status = w->why.code = status;
    return status;
}

/* The pipe ended, but not the work. */
static sn_status end_early(sn_worker *w)
{
    int how = 0;
    const bool known = reap(w, &how);
    const int sig = known && WIFSIGNALED(how) ? WTERMSIG(how) : 0;

    if (sig == SIGXCPU) return end(w, sn_fail(&w->why, SN_ELIMIT, "takes more than %.0f s of processor time to decode", w->cpu_s));
    if (sig == SIGSYS)
        return end(w,
                   sn_fail(&w->why, SN_EFORMAT, "the decoder was stopped: it asked the system for what no decoder needs (signal %d)", sig));
    if (sig) return end(w, sn_fail(&w->why, SN_EFORMAT, "the decoder crashed (signal %d)", sig));
    return end(w, sn_fail(&w->why, SN_EFORMAT, "the decoder ended without a result"));
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Whether there is something to read within the time. It is counted in slices, so that time in which both processes are stopped
 * (^Z) does not count. */
static bool wait_readable(const sn_worker *w)
{
    for (double waited_s = 0; waited_s < w->wait_s;) {
        const double slice_s = w->wait_s - waited_s < 1 ? w->wait_s - waited_s : 1, start_s = now_s();
        const int n = poll(&(struct pollfd){.fd = w->fd, .events = POLLIN}, 1, (int)(slice_s * 1000) + 1);
        double took_s;

        if (n > 0 || (n < 0 && errno != EINTR)) return true;
        took_s = now_s() - start_s;
        waited_s += took_s < slice_s ? took_s : slice_s;
    }
    return false;
}

/* n bytes of the pipe. */
static sn_status take(sn_worker *w, void *dst, size_t n)
{
    char *p = dst;

    while (n > 0) {
        ssize_t got;
        int how;
        if (!wait_readable(w)) {
            reap(w, &how);
            return end(w, sn_fail(&w->why, SN_ELIMIT, "the decoder was stopped: it gave nothing for %g s", w->wait_s));
        }
        got = read(w->fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return end_early(w);
        p += got;
        n -= (size_t)got;
    }
    return SN_OK;
}

/* The work's own end. sn_fail makes its message one line of text, whatever it is. */
static sn_status take_end(sn_worker *w, uint32_t status)
{
    char msg[sizeof w->why.msg];
    sn_status st;

    if (status == SN_OK) return end(w, SN_OK);
    if (status > SN_ECANCELLED) status = SN_EFORMAT;
    if ((st = take(w, msg, sizeof msg)) != SN_OK) return st;
    msg[sizeof msg - 1] = '\0';
    return end(w, sn_fail(&w->why, (sn_status)status, "%s", msg));
}

sn_status sn_worker_read(sn_worker *w, void *dst, size_t n, size_t *got, sn_err *err)
{
    sn_status st = SN_OK;

    for (*got = 0; *got < n && !w->ended && st == SN_OK;) {
        if (w->left == 0) {
            frame head;
            if ((st = take(w, &head, sizeof head)) != SN_OK) break;
            if (head.n == 0) st = take_end(w, head.status);
            w->left = head.n;
        } else {
            const size_t part = n - *got < w->left ? n - *got : w->left;
            if ((st = take(w, (char *)dst + *got, part)) != SN_OK) break;
            w->left -= part;
            *got += part;
        }
    }
    if (w->ended && w->status != SN_OK) return sn_fail(err, w->status, "%s", w->why.msg);
    return SN_OK;
}

void sn_worker_close(sn_worker *w)
{
    int how;

    if (!w) return;
    if (w->pid > 0) reap(w, &how);
    if (w->fd >= 0) close(w->fd);
    sn_free(w);
}
