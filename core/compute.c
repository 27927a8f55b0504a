/* compute.c: which instruction set, how many threads, and the pool that keeps them. */
#include "compute.h"
#include "kernels.h"
#include "mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#include <sys/syscall.h>
#define K_X86 1
#endif

enum { MAX_THREADS = 256, SPINS = 2000, YIELDS = 100 }; /* some 50 us: longer than the gap between two products */

struct sn_compute {
    k_ops ops;
    sn_isa isa;
    size_t n_threads;
    unsigned spins;
    void *scratch; /* n_threads of K_SCRATCH_BYTES each */
    pthread_t workers[MAX_THREADS];
    size_t n_workers, n_callers;
    bool coarse;
    struct {
        pthread_mutex_t lock;
        pthread_cond_t first, last;
        size_t n_first; /* threads that want it, those not counted that let others go first */
        bool taken;
    } turn; /* of the threads that compute with this */

    /* A job is published by raising `job`; it is done when `running` falls to 0. Who waits spins first, then sleeps. Parts are
     * fixed but not who does them: thread i goes for part i, and the caller for what is left, so that a thread which the system
     * has put aside holds up only what it has begun. claimed[i] is the last job whose part i was taken. */
    void (*fn)(void *arg, size_t part, size_t n_parts);
    void *arg;
    atomic_bool stop;
    _Alignas(64) atomic_uint job;
    _Alignas(64) atomic_size_t running;
    _Alignas(64) atomic_uint sleepers; /* workers that wait for a job */
    atomic_uint caller_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct {
        _Alignas(64) atomic_uint job;
    } claimed[MAX_THREADS];
};

/* ---- instruction sets ---- */

static const char *const isa_names[SN_ISA_COUNT] = {"scalar", "avx2", "avx512", "avx512-vnni", "amx"};

const char *sn_isa_name(sn_isa isa)
{
    return isa >= 0 && isa < SN_ISA_COUNT ? isa_names[isa] : "best";
}

bool sn_isa_parse(const char *name, sn_isa *out)
{
    for (int i = 0; i < SN_ISA_COUNT; i++) {
        if (strcasecmp(name, isa_names[i]) != 0) continue;
        *out = (sn_isa)i;
        return true;
    }
    return false;
}

#ifdef K_X86
/* Which register files the system saves when it switches threads (XCR0): a CPU's flag alone does not tell. */
static uint64_t xcr0(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE)) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

/* AMX with bytes, and Linux's leave to use the tiles, which it gives a process that asks. */
static bool has_amx(uint64_t saved)
{
    enum { TILES = 3 << 17, TILES_INT8 = 1 << 24 | 1 << 25, REQUEST = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if ((saved & TILES) != TILES || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & TILES_INT8) != TILES_INT8) return false;
    return syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

bool sn_isa_usable(sn_isa isa)
{
    enum { YMM = 0x6, ZMM = 0xe6 }; /* xmm + ymm; those + mask, low and high zmm */
    unsigned a, b = 0, c = 0, d, b7 = 0, c7 = 0;
    if (isa == SN_ISA_SCALAR) return true;
    if (isa < 0 || isa >= SN_ISA_COUNT) return false;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d)) return false;
    const uint64_t saved = xcr0();
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    const bool has_avx2 = (c & bit_FMA) && (c & bit_F16C) && (c & bit_AVX) && (b7 & bit_AVX2) && (saved & YMM) == YMM;
    const bool has_avx512 = has_avx2 && (b7 & avx512) == avx512 && (saved & ZMM) == ZMM;
    const bool has_vnni = has_avx512 && (c7 & bit_AVX512VNNI);
    switch (isa) {
    case SN_ISA_AVX2: return has_avx2;
    case SN_ISA_AVX512: return has_avx512;
    case SN_ISA_AVX512_VNNI: return has_vnni;
    default: return has_vnni && has_amx(saved);
    }
}
#else
bool sn_isa_usable(sn_isa isa)
{
    return isa == SN_ISA_SCALAR;
}
#endif

sn_isa sn_isa_best(void)
{
    int isa = SN_ISA_COUNT - 1;
    while (isa > SN_ISA_SCALAR && !sn_isa_usable((sn_isa)isa)) isa--;
    return (sn_isa)isa;
}

static void ops_init(k_ops *k, sn_isa isa)
{
    k_init_scalar(k);
#ifdef K_X86
    if (isa >= SN_ISA_AVX2) k_init_avx2(k);
    if (isa >= SN_ISA_AVX512) k_init_avx512(k);
    if (isa >= SN_ISA_AVX512_VNNI) k_init_avx512vnni(k);
    if (isa >= SN_ISA_AMX) k_init_amx(k);
#else
    (void)isa;
#endif
}

/* ---- how many threads ---- */

static bool read_line(const char *path, char *line, int size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    bool ok = fgets(line, size, f) != NULL;
    fclose(f);
    return ok;
}

/* The CPUs' worth of time that the control group allows (cgroup v2), rounded up; `none` without a limit. */
static size_t cgroup_cpus(size_t none)
{
    char line[128];
    unsigned long long quota, period;
    if (!read_line("/sys/fs/cgroup/cpu.max", line, sizeof line)) return none;
    if (sscanf(line, "%llu %llu", &quota, &period) != 2 || quota == 0 || period == 0) return none;
    const unsigned long long cpus = (quota + period - 1) / period;
    return cpus < none ? (size_t)cpus : none;
}

/* CPUs this process may run on, two hyperthreads of a core counted once. */
static size_t usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) {
        const long online = sysconf(_SC_NPROCESSORS_ONLN);
        return online > 0 ? (size_t)online : 1;
    }
    size_t cores = 0;
    cpu_set_t counted; /* siblings of the cores counted so far */
    CPU_ZERO(&counted);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &set) || CPU_ISSET(cpu, &counted)) continue;
        cores++;
        char path[96], line[256];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        if (!read_line(path, line, sizeof line)) continue;
        for (const char *p = line; *p >= '0' && *p <= '9';) { /* "0,64" or "0-1" */
            char *end;
            long first = strtol(p, &end, 10), last = first;
            if (*end == '-') last = strtol(end + 1, &end, 10);
            for (long i = first; i <= last && i < CPU_SETSIZE; i++) CPU_SET((size_t)i, &counted);
            p = *end == ',' ? end + 1 : end;
        }
    }
    return cores > 0 ? cores : 1;
}

/* ---- the pool ---- */

static void relax(void)
{
#ifdef K_X86
    __builtin_ia32_pause();
#endif
}

/* One turn of waiting; false when it is time to sleep. */
static bool spin(const sn_compute *c, unsigned turn)
{
    if (turn >= c->spins) return false;
    if (turn < SPINS) {
        relax();
    } else {
        sched_yield();
    }
    return true;
}

/* Waits until c->job is no longer `seen`. The sleeper counts itself before its last look and the publisher looks at the count
 * after raising `job`, both in one order, so that one of the two sees the other. */
static unsigned wait_for_job(sn_compute *c, unsigned seen)
{
    for (unsigned i = 0; spin(c, i); i++) {
        const unsigned now = atomic_load_explicit(&c->job, memory_order_acquire);
        if (now != seen) return now;
    }
    pthread_mutex_lock(&c->lock);
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(&c->job) == seen) pthread_cond_wait(&c->work, &c->lock);
    atomic_fetch_sub(&c->sleepers, 1);
    pthread_mutex_unlock(&c->lock);
    return atomic_load(&c->job);
}

/* Takes part i of `job`; false when somebody has it. Whoever has taken a part may read fn and arg: they stay until it is done. */
static bool claim(sn_compute *c, size_t i, unsigned job)
{
    unsigned before = job - 1;
    return atomic_compare_exchange_strong(&c->claimed[i].job, &before, job);
}

typedef struct {
    sn_compute *c;
    size_t part;
} worker_arg;

static void *worker(void *p)
{
    worker_arg w = *(worker_arg *)p;
    sn_compute *c = w.c;
    free(p);
    for (unsigned seen = 0;;) {
        seen = wait_for_job(c, seen);
        if (atomic_load(&c->stop)) return NULL;
        if (!claim(c, w.part, seen)) continue;
        c->fn(c->arg, w.part, c->n_threads);
        if (atomic_fetch_sub(&c->running, 1) != 1 || !atomic_load(&c->caller_sleeps)) continue;
        pthread_mutex_lock(&c->lock);
        pthread_cond_signal(&c->done);
        pthread_mutex_unlock(&c->lock);
    }
}

static void publish(sn_compute *c)
{
    atomic_fetch_add(&c->job, 1);
    if (atomic_load(&c->sleepers) == 0) return;
    pthread_mutex_lock(&c->lock);
    pthread_cond_broadcast(&c->work);
    pthread_mutex_unlock(&c->lock);
}

void sn_parallel(sn_compute *c, void (*fn)(void *arg, size_t part, size_t n_parts), void *arg)
{
    if (c->n_threads == 1) {
        fn(arg, 0, 1);
        return;
    }
    c->fn = fn;
    c->arg = arg;
    atomic_store(&c->running, c->n_threads);
    publish(c);
    const unsigned job = atomic_load(&c->job);
    size_t mine = 0;
    for (size_t i = 0; i < c->n_threads; i++) {
        if (!claim(c, i, job)) continue;
        fn(arg, i, c->n_threads);
        mine++;
    }
    if (atomic_fetch_sub(&c->running, mine) == mine) return;
    for (unsigned i = 0; spin(c, i); i++) {
        if (atomic_load_explicit(&c->running, memory_order_acquire) == 0) return;
    }
    pthread_mutex_lock(&c->lock);
    atomic_store(&c->caller_sleeps, 1);
    while (atomic_load(&c->running) != 0) pthread_cond_wait(&c->done, &c->lock);
    atomic_store(&c->caller_sleeps, 0);
    pthread_mutex_unlock(&c->lock);
}

void sn_share(size_t n, size_t grain, size_t part, size_t n_parts, size_t *begin, size_t *end)
{
    const size_t chunks = n / grain + (n % grain != 0), each = chunks / n_parts, extra = chunks % n_parts;
    const size_t first = part * each + (part < extra ? part : extra), last = first + each + (part < extra);
    *begin = first * grain < n ? first * grain : n;
    *end = last * grain < n ? last * grain : n;
}

static sn_status start_workers(sn_compute *c, sn_err *err)
{
    for (size_t i = 1; i < c->n_threads; i++) {
        worker_arg *w = malloc(sizeof *w);
        if (w == NULL) return sn_fail(err, SN_ENOMEM, "out of memory (thread %zu)", i);
        *w = (worker_arg){c, i};
        const int rc = pthread_create(&c->workers[i - 1], NULL, worker, w);
        if (rc != 0) {
            free(w);
            return sn_fail(err, SN_ENOMEM, "cannot start thread %zu of %zu: %s", i + 1, c->n_threads, strerror(rc));
        }
        c->n_workers++;
    }
    return SN_OK;
}

sn_status sn_compute_open(sn_compute **out, size_t n_threads, sn_isa isa, sn_err *err)
{
    *out = NULL;
    if (isa == SN_ISA_BEST) isa = sn_isa_best();
    if (!sn_isa_usable(isa)) return sn_fail(err, SN_EUNSUPPORTED, "this CPU has no %s", sn_isa_name(isa));
    const size_t cores = usable_cores(), allowed = cgroup_cpus(cores);
    if (n_threads == 0) n_threads = allowed;
    if (n_threads > MAX_THREADS) n_threads = MAX_THREADS;

    sn_compute *c = sn_calloc(1, sizeof *c);
    if (c == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    c->isa = isa;
    c->n_threads = n_threads;
    c->spins = n_threads > allowed ? 0 : SPINS + YIELDS; /* with more threads than cores, who spins keeps another from working */
    ops_init(&c->ops, isa);
    c->n_callers = 1;
    pthread_mutex_init(&c->turn.lock, NULL);
    pthread_cond_init(&c->turn.first, NULL);
    pthread_cond_init(&c->turn.last, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->work, NULL);
    pthread_cond_init(&c->done, NULL);
    sn_status status = SN_OK;
    c->scratch = sn_alloc(n_threads, K_SCRATCH_BYTES);
    if (c->scratch == NULL) status = sn_fail(err, SN_ENOMEM, "out of memory (%zu threads)", n_threads);
    if (status == SN_OK) status = start_workers(c, err);
    if (status != SN_OK) {
        sn_compute_close(c);
        return status;
    }
    *out = c;
    return SN_OK;
}

void sn_compute_close(sn_compute *c)
{
    if (c == NULL) return;
    atomic_store(&c->stop, true);
    publish(c);
    for (size_t i = 0; i < c->n_workers; i++) pthread_join(c->workers[i], NULL);
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->work);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->turn.last);
    pthread_cond_destroy(&c->turn.first);
    pthread_mutex_destroy(&c->turn.lock);
    sn_free(c->scratch);
    sn_free(c);
}

void sn_turn_take(sn_compute *c)
{
    pthread_mutex_lock(&c->turn.lock);
    c->turn.n_first++;
    while (c->turn.taken) pthread_cond_wait(&c->turn.first, &c->turn.lock);
    c->turn.n_first--;
    c->turn.taken = true;
    pthread_mutex_unlock(&c->turn.lock);
}

void sn_turn_take_last(sn_compute *c)
{
    pthread_mutex_lock(&c->turn.lock);
    while (c->turn.taken || c->turn.n_first > 0) pthread_cond_wait(&c->turn.last, &c->turn.lock);
    c->turn.taken = true;
    pthread_mutex_unlock(&c->turn.lock);
}

void sn_turn_end(sn_compute *c)
{
    pthread_mutex_lock(&c->turn.lock);
    c->turn.taken = false;
    pthread_cond_signal(c->turn.n_first > 0 ? &c->turn.first : &c->turn.last);
    pthread_mutex_unlock(&c->turn.lock);
}

void sn_compute_set_callers(sn_compute *c, size_t n)
{
    c->n_callers = n == 0 ? 1 : n < SN_MAX_CALLERS ? n : SN_MAX_CALLERS;
}

size_t sn_compute_callers(const sn_compute *c)
{
    return c->n_callers;
}

void sn_compute_set_coarse(sn_compute *c, bool coarse)
{
    c->coarse = coarse;
}

bool sn_compute_coarse(const sn_compute *c)
{
    return c->coarse;
}

size_t sn_compute_threads(const sn_compute *c)
{
    return c->n_threads;
}

sn_isa sn_compute_isa(const sn_compute *c)
{
    return c->isa;
}

const k_ops *sn_compute_ops(const sn_compute *c)
{
    return &c->ops;
}

void *sn_compute_scratch(const sn_compute *c, size_t part)
{
    return (char *)c->scratch + part * K_SCRATCH_BYTES;
}
