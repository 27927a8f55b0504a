#include "nursery.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FDS 3 /* of an order: the pipe, the input, the shared memory */

/* A process has one nursery, as it has one heap. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static int orders = -1;
static pid_t nursery, owner;
static bool taken[SN_NURSERY_SLOTS];
/* A page that the parent and the nursery share, and their children lack: the system itself writes a child's number there at its birth, so
 * that the parent can wait for one that never told it. */
static volatile pid_t *born;

/* fork without what the C library does around it: only for a process of one thread, where nobody holds a lock. */
static pid_t split(unsigned long flags, volatile pid_t *number)
{
    return (pid_t)syscall(SYS_clone, flags | (number ? CLONE_PARENT_SETTID : 0), 0L, number, 0L, 0L);
}

/* ---- in the nursery ---- */

/* One order; false at the end of them. */
static bool take_order(int from, sn_order *o)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec all = {o, sizeof *o};
    struct msghdr m = {.msg_iov = &all, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    const struct cmsghdr *c;
    ssize_t n;
    int fd[MAX_FDS], i = 0;

    while ((n = recvmsg(from, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) continue;
    c = CMSG_FIRSTHDR(&m);
    if (n != sizeof *o || c == NULL || c->cmsg_len != CMSG_LEN((1u + o->has_input + o->has_shared) * sizeof(int))) return false;
    memcpy(fd, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    o->pipe_fd = fd[i++];
    o->limits.fd = o->has_input ? fd[i++] : -1;
    o->shared_fd = o->has_shared ? fd[i] : -1;
    return true;
}

/* The child tells its number itself; what went wrong before there was one is told for it. */
static void carry_out(const sn_order *o)
{
    sn_birth none = {0, {.code = SN_OK}};
    const pid_t pid = o->limits.ready && o->limits.ready(&none.err) != SN_OK ? -1 : split(CLONE_PARENT, &born[o->slot]);

    if (pid == 0) sn_worker_child(o);
    if (pid > 0) return;
    if (none.err.code == SN_OK) sn_fail(&none.err, SN_EIO, "no process for the decoder: %s", strerror(errno));
    (void)!write(o->pipe_fd, &none, sizeof none); /* nobody reads it any more: the work was given up */
}

/* The standard streams are held by nothing: a library that prints must not hit a descriptor that is something else. */
static bool let_go(int keep)
{
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; fd <= 2; fd++)
        if (!(SN_SANITIZED && fd == STDERR_FILENO) && dup2(null, fd) < 0) return false;
    return (keep == 3 || close_range(3, (unsigned)keep - 1, 0) == 0) && close_range((unsigned)keep + 1, UINT_MAX, 0) == 0;
}

/* From the children of this process: one that was taken over must not name another process to be ended. */
static bool hide_births(void)
{
    return madvise((void *)(uintptr_t)born, SN_NURSERY_SLOTS * sizeof *born, MADV_DONTFORK) == 0;
}

_Noreturn static void live(int from)
{
    const int keys[] = {SIGTERM, SIGPIPE};
    sn_order o = {.pipe_fd = -1};

    sn_worker_reset_signals();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) signal(keys[i], SIG_IGN); /* the parent may still be finishing its work */
    for (bool alive = let_go(from) && hide_births(); alive && take_order(from, &o);) {
        carry_out(&o);
        close(o.pipe_fd);
        if (o.has_input) close(o.limits.fd);
        if (o.has_shared) close(o.shared_fd);
    }
    _exit(0);
}

/* ---- in the parent ---- */

/* With the lock held. What it was still to do is not done: the pipe of such an order ends. */
static void forget(void)
{
    if (orders >= 0) close(orders);
    if (owner == getpid() && nursery > 0) {
        kill(nursery, SIGKILL);
        while (waitpid(nursery, NULL, __WALL) < 0 && errno == EINTR) continue;
    }
    orders = -1;
    nursery = 0;
}

/* With the lock held. */
static bool map_births(void)
{
    void *page;

    if (born) return madvise((void *)(uintptr_t)born, SN_NURSERY_SLOTS * sizeof *born, MADV_DOFORK) == 0;
    page = mmap(NULL, SN_NURSERY_SLOTS * sizeof *born, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (page == MAP_FAILED) return false;
    born = page;
    return true;
}

/* With the lock held. */
static void start(void)
{
    int pair[2];
    sigset_t all, before;

    if (!__libc_single_threaded || !map_births() || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
    if (pair[0] <= 2 || pair[1] <= 2) { /* of a program without standard streams */
        close(pair[0]);
        close(pair[1]);
        return;
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* no handler of the parent's runs there */
    nursery = split(0, NULL);
    if (nursery == 0) live(pair[1]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(pair[1]);
    orders = pair[0];
    owner = getpid();
    if (nursery < 0 || !hide_births()) forget();
}

void sn_nursery_prepare(void)
{
    pthread_mutex_lock(&lock);
    if (owner != 0 && owner != getpid()) { /* all is of the process that forked this one, which lacks the page */
        forget();
        born = NULL;
        memset(taken, 0, sizeof taken);
    }
    if (orders < 0) start();
    pthread_mutex_unlock(&lock);
}

/* With the lock held; -1: none. */
static int free_slot(void)
{
    for (int i = 0; i < SN_NURSERY_SLOTS; i++)
        if (!taken[i]) return i;
    return -1;
}

bool sn_nursery_order(sn_order *o)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control = {.room = {0}};
    const size_t n_fds = 1u + o->has_input + o->has_shared;
    const int fd[MAX_FDS] = {o->pipe_fd, o->has_input ? o->limits.fd : o->shared_fd, o->shared_fd};
    struct iovec all = {o, sizeof *o};
    struct msghdr m = {.msg_iov = &all, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(n_fds * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    ssize_t n = -1;

    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(n_fds * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), fd, n_fds * sizeof(int));
    pthread_mutex_lock(&lock);
    o->slot = orders >= 0 && owner == getpid() ? free_slot() : -1;
    if (o->slot >= 0) {
        taken[o->slot] = true;
        born[o->slot] = 0;
        while ((n = sendmsg(orders, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR) continue;
        if (n < 0) { /* it was killed */
            forget();
            taken[o->slot] = false;
        }
    }
    pthread_mutex_unlock(&lock);
    return n == sizeof *o;
}

pid_t sn_nursery_settle(const sn_order *o, bool told)
{
    pid_t pid = 0;

    pthread_mutex_lock(&lock);
    if (!told) {
        if (born[o->slot] == 0) forget(); /* it may still be about to: only its end makes sure */
        pid = born[o->slot];
    }
    taken[o->slot] = false;
    pthread_mutex_unlock(&lock);
    return pid;
}
