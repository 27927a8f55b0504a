#include "worker.h"

#include "mem.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_BYTES ((size_t)1 << 30)
#define CPU_S 3600
#define WAIT_S 120
#define MAX_FRAME ((size_t)1 << 20)

/* On the pipe: a head and n bytes of data, or a head with n 0 and the message of the end. */
typedef struct {
    uint32_t n, status;
} frame;

struct sn_worker_out {
    int fd;
};

struct sn_worker {
    pid_t pid; /* 0: its end is known */
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

/* The parent's handlers mean nothing here, and it decides itself what the keys that end it do. (Sanitizers keep theirs: they report.) */
static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    for (int s = 1; s < NSIG && !SN_SANITIZED; s++) {
        const bool of_keys = s == SIGINT || s == SIGQUIT || s == SIGHUP;
        struct sigaction now;
        if (sigaction(s, NULL, &now) != 0 || (now.sa_handler == SIG_DFL && !of_keys)) continue;
        signal(s, of_keys ? SIG_IGN : SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void child(int fd, const sn_worker_limits *l, sn_worker_fn work, void *arg)
{
    const sn_sandbox box = {{fd, l->fd >= 0 ? l->fd : fd}, l->memory_bytes, l->cpu_s};
    sn_worker_out out = {fd};
    sn_err err = {.code = SN_OK};
    frame end = {0, SN_OK};

    reset_signals();
    end.status = sn_sandbox_enter(&box, &err);
    if (end.status == SN_OK) end.status = work(&out, arg, &err);
    if (write_all(fd, &end, sizeof end) && end.status != SN_OK) write_all(fd, err.msg, sizeof err.msg);
    _exit(0); /* not exit(): what the parent has open and buffered is not ours to write */
}

/* ---- in the parent ---- */

sn_status sn_worker_start(sn_worker **out, const sn_worker_limits *limits, sn_worker_fn work, void *arg, sn_err *err)
{
    sn_worker_limits l = *limits;
    sn_worker *w = sn_calloc(1, sizeof *w);
    int pipe_fd[2];

    if (!w) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (!l.memory_bytes) l.memory_bytes = MEMORY_BYTES;
    if (!(l.cpu_s > 0)) l.cpu_s = CPU_S;
    if (!(l.wait_s > 0)) l.wait_s = WAIT_S;
    *w = (sn_worker){.fd = -1, .cpu_s = l.cpu_s, .wait_s = l.wait_s};
    if (pipe2(pipe_fd, O_CLOEXEC) != 0) {
        sn_free(w);
        return sn_fail(err, SN_EIO, "no pipe for the decoder: %s", strerror(errno));
    }
    w->pid = fork();
    if (w->pid == 0) child(pipe_fd[1], &l, work, arg);
    close(pipe_fd[1]);
    if (w->pid < 0) {
        const int why = errno;
        close(pipe_fd[0]);
        sn_free(w);
        return sn_fail(err, SN_EIO, "no process for the decoder: %s", strerror(why));
    }
    w->fd = pipe_fd[0];
    *out = w;
    return SN_OK;
}

/* Waits for the child, which ends now whatever it does. False: someone else has waited for it. */
static bool reap(sn_worker *w, int *status)
{
    pid_t got;

    kill(w->pid, SIGKILL); /* of a process that has ended already it changes nothing */
    while ((got = waitpid(w->pid, status, 0)) < 0 && errno == EINTR) continue;
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
    close(w->fd);
    sn_free(w);
}
