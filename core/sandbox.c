#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- seccomp: what may be called ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH 0 /* refused below: the numbers of calls differ from processor to processor */
#endif

static const int allowed[] = {
    SYS_read,
    SYS_pread64,
    SYS_write,
    SYS_lseek,
    SYS_close,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_getpid,
    SYS_gettid,
    SYS_rt_sigreturn,
    SYS_rt_sigaction,
    SYS_sigaltstack,
    SYS_rt_sigprocmask,
    SYS_clock_gettime,
    SYS_getrandom,
    SYS_gettimeofday,
    SYS_clock_nanosleep,
    SYS_restart_syscall,
    SYS_sched_yield,
    SYS_sched_getaffinity,
};

/* What libraries ask for in passing: they go on without. */
static const int refused[] = {
    SYS_openat, SYS_newfstatat, SYS_fstat,   SYS_statx,  SYS_readlinkat, SYS_faccessat, SYS_getdents64,
    SYS_ioctl,  SYS_fcntl,      SYS_sysinfo, SYS_uname,  SYS_prlimit64,  SYS_getcpu,
#ifdef SYS_open
    SYS_open,   SYS_stat,       SYS_lstat,   SYS_access, SYS_readlink,   SYS_getrlimit,
#endif
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
#define ELSE_SKIP(test, value, n) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 0, (n)) /* n instructions, unless the test holds */
#define OTHERWISE (SN_SANITIZED ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_KILL_PROCESS)
#define N_OF(list) (sizeof(list) / sizeof *(list))

static size_t add(struct sock_filter *to, size_t at, const struct sock_filter *more, size_t n)
{
    memcpy(to + at, more, n * sizeof *more);
    return at + n;
}

static size_t add_list(struct sock_filter *to, size_t at, const int *calls, size_t n, unsigned action)
{
    for (size_t i = 0; i < n; i++) {
        const struct sock_filter rule[] = {ELSE_SKIP(BPF_JEQ, (unsigned)calls[i], 1), RETURN(action)};
        at = add(to, at, rule, N_OF(rule));
    }
    return at;
}

static bool filter_calls(void)
{
    /* The low half of an argument comes first: both processors are little-endian. */
    const struct sock_filter head[] = {LOAD(arch), ELSE_SKIP(BPF_JEQ, ARCH, 1), BPF_STMT(BPF_JMP | BPF_JA, 1),
                                       RETURN(SECCOMP_RET_KILL_PROCESS), LOAD(nr)};
    const struct sock_filter tail[] = {
        ELSE_SKIP(BPF_JEQ, SYS_tgkill, 4), /* an abort */
        LOAD(args[0]),
        ELSE_SKIP(BPF_JEQ, (unsigned)getpid(), 1),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(OTHERWISE),
        ELSE_SKIP(BPF_JEQ, SYS_mmap, 1),
        BPF_STMT(BPF_JMP | BPF_JA, 1),
        ELSE_SKIP(BPF_JEQ, SYS_mprotect, 4),
        LOAD(args[2]),
        ELSE_SKIP(BPF_JSET, PROT_EXEC, 1),
        RETURN(SECCOMP_RET_ERRNO | EACCES),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(OTHERWISE),
    };
    struct sock_filter rules[N_OF(head) + 2 * (N_OF(allowed) + N_OF(refused)) + N_OF(tail)];
    size_t n = add(rules, 0, head, N_OF(head));

    n = add_list(rules, n, allowed, N_OF(allowed), SECCOMP_RET_ALLOW);
    n = add_list(rules, n, refused, N_OF(refused), SECCOMP_RET_ERRNO | EACCES);
    n = add(rules, n, tail, N_OF(tail));
    return ARCH != 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){(unsigned short)n, rules}) == 0;
}

/* ---- Landlock: no path, no TCP, no signals, even if the filter had a hole ---- */

/* The ABI's number grows with what can be ruled; at most 0 where the kernel has no Landlock or it is switched off. */
static long landlock_abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
}

/* Rules everything and allows nothing of it. The struct and its bits are Documentation/userspace-api/landlock.rst's, for headers may be
 * older than the kernel; a longer struct that ends in zeros is taken by any. */
static bool rule_files(void)
{
    const long abi = landlock_abi();
    const struct {
        uint64_t fs, net, scoped;
    } all = {
        .fs = abi >= 5   ? 0xFFFF
              : abi >= 3 ? 0x7FFF
              : abi >= 2 ? 0x3FFF
                         : 0x1FFF,
        .net = abi >= 4 ? 3 : 0,    /* TCP: bind, connect */
        .scoped = abi >= 6 ? 3 : 0, /* abstract sockets, signals */
    };
    long fd;
    bool done;

    if (abi < 1) return true;
    if ((fd = syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0)) < 0) return false;
    done = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
    close((int)fd);
    return done;
}

const char *sn_sandbox_layers(void)
{
    const long abi = landlock_abi();

    if (ARCH == 0 || prctl(PR_GET_SECCOMP) < 0) return "none: this system has no seccomp filters that are known here";
    if (abi >= 6) return "seccomp, Landlock (files, TCP, signals), limits";
    if (abi >= 4) return "seccomp, Landlock (files, TCP), limits";
    if (abi >= 1) return "seccomp, Landlock (files), limits";
    return "seccomp, limits; this kernel has no Landlock";
}

/* ---- limits and descriptors ---- */

static bool limit(int what, rlim_t n)
{
    struct rlimit now;

    if (getrlimit(what, &now) != 0) return false;
    if (now.rlim_max != RLIM_INFINITY && n > now.rlim_max) n = now.rlim_max;
    /* SIGXCPU at the first, SIGKILL at the second of two limits of time: only the first tells why */
    return setrlimit(what, &(struct rlimit){n, what == RLIMIT_CPU && n < now.rlim_max ? n + 1 : n}) == 0;
}

/* RLIMIT_AS counts all that is mapped, the models of the parent included: the limit is put on top of it. */
static bool limit_memory(size_t more_bytes)
{
    char text[64] = "";
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    const unsigned long long pages = n > 0 ? strtoull(text, NULL, 10) : 0;

    if (fd >= 0) close(fd);
    return pages > 0 && limit(RLIMIT_AS, pages * (rlim_t)sysconf(_SC_PAGESIZE) + more_bytes);
}

static bool close_all_but(int a, int b)
{
    const int low = a < b ? a : b, high = a < b ? b : a;
    const unsigned first = SN_SANITIZED ? 3 : 0;

    return (low < (int)first + 1 || close_range(first, (unsigned)low - 1, 0) == 0) &&
           (high - low < 2 || close_range(low < (int)first ? first : (unsigned)low + 1, (unsigned)high - 1, 0) == 0) &&
           close_range((unsigned)(high + 1) > first ? (unsigned)(high + 1) : first, UINT_MAX, 0) == 0;
}

static sn_status missing(sn_err *err, const char *what)
{
    return sn_fail(err, SN_EIO, "the sandbox for decoders cannot be set up (%s: %s); it can be switched off", what, strerror(errno));
}

sn_status sn_sandbox_enter(const sn_sandbox *s, sn_err *err)
{
    const rlim_t cpu_s = (rlim_t)(s->cpu_s < 1 ? 1 : s->cpu_s);

    errno = ENOSYS;
    if (!SN_SANITIZED && !limit_memory(s->memory_bytes)) return missing(err, "limits, /proc");
    if (!close_all_but(s->keep[0], s->keep[1])) return missing(err, "close_range");
    if (!limit(RLIMIT_CPU, cpu_s) || !limit(RLIMIT_FSIZE, 0) || !limit(RLIMIT_CORE, 0)) return missing(err, "limits");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return missing(err, "no_new_privs");
    if (!rule_files()) return missing(err, "Landlock");
    if (!limit(RLIMIT_NOFILE, 0)) return missing(err, "limits");
    if (!filter_calls()) return missing(err, "seccomp");
    return SN_OK;
}
