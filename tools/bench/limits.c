/* limits.c: what this machine can do at most: limits THREADS [ISA] prints one JSON object. Bytes a second read from memory, and operations a
 * second (a multiplication and an addition are two) in float32 and, 8 bits by 8 bits, in integers; the best of some runs. ISA: avx2 or
 * avx512-vnni (default: the best there is). */
#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 256, RUNS = 5, CHAINS = 12, TURNS = 20000000 };
#define READ_BYTES ((size_t)1 << 30)

typedef struct {
    size_t n_threads, part;
    const unsigned char *memory;
    double amount; /* done: bytes or operations */
} work;
typedef void (*limit)(work *w);

#define UNROLL _Pragma("GCC unroll 16")
#define KEEP(x) __asm__ volatile("" : "+x"(x))
#define KEEP_512(x) __asm__ volatile("" : "+v"(x))

static void read_avx2(work *w) __attribute__((target("avx2")));
static void read_avx2(work *w)
{
    const size_t n = READ_BYTES / w->n_threads / 256 * 256;
    const __m256i *p = (const __m256i *)(const void *)(w->memory + w->part * n);
    __m256i s[8];
    UNROLL for (int i = 0; i < 8; i++) s[i] = _mm256_setzero_si256();
    for (size_t k = 0; k < n / 32; k += 8) {
        _mm_prefetch((const char *)(p + k) + 4096, _MM_HINT_T0);
        _mm_prefetch((const char *)(p + k) + 4096 + 64, _MM_HINT_T0);
        _mm_prefetch((const char *)(p + k) + 4096 + 128, _MM_HINT_T0);
        _mm_prefetch((const char *)(p + k) + 4096 + 192, _MM_HINT_T0);
        UNROLL for (int i = 0; i < 8; i++) s[i] = _mm256_xor_si256(s[i], _mm256_load_si256(p + k + i));
    }
    UNROLL for (int i = 0; i < 8; i++) KEEP(s[i]);
    w->amount = (double)n;
}

static void float_avx2(work *w) __attribute__((target("avx2,fma")));
static void float_avx2(work *w)
{
    __m256 x = _mm256_set1_ps(0.5f), s[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++)
    {
        s[i] = _mm256_setzero_ps();
        KEEP(s[i]); /* else they are all one chain */
    }
    for (int k = 0; k < TURNS; k++) {
        KEEP(x);
        UNROLL for (int i = 0; i < CHAINS; i++) s[i] = _mm256_fmadd_ps(x, x, s[i]);
    }
    UNROLL for (int i = 0; i < CHAINS; i++) KEEP(s[i]);
    w->amount = 2.0 * 8 * CHAINS * TURNS;
}

static void float_avx512(work *w) __attribute__((target("avx512f")));
static void float_avx512(work *w)
{
    __m512 x = _mm512_set1_ps(0.5f), s[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++)
    {
        s[i] = _mm512_setzero_ps();
        KEEP_512(s[i]); /* else they are all one chain */
    }
    for (int k = 0; k < TURNS; k++) {
        KEEP_512(x);
        UNROLL for (int i = 0; i < CHAINS; i++) s[i] = _mm512_fmadd_ps(x, x, s[i]);
    }
    UNROLL for (int i = 0; i < CHAINS; i++) KEEP_512(s[i]);
    w->amount = 2.0 * 16 * CHAINS * TURNS;
}

/* 8-bit products as AVX2 has them: pairs to 16 bits, those to 32. */
static void integer_avx2(work *w) __attribute__((target("avx2")));
static void integer_avx2(work *w)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i x = _mm256_set1_epi8(1), s[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++)
    {
        s[i] = _mm256_setzero_si256();
        KEEP(s[i]); /* else they are all one chain */
    }
    for (int k = 0; k < TURNS; k++) {
        UNROLL for (int i = 0; i < CHAINS; i++)
        {
            KEEP(x);
            s[i] = _mm256_add_epi32(s[i], _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), ones));
        }
    }
    UNROLL for (int i = 0; i < CHAINS; i++) KEEP(s[i]);
    w->amount = 2.0 * 32 * CHAINS * TURNS;
}

static void integer_vnni(work *w) __attribute__((target("avx512f,avx512vnni")));
static void integer_vnni(work *w)
{
    __m512i x = _mm512_set1_epi8(1), s[CHAINS];
    UNROLL for (int i = 0; i < CHAINS; i++)
    {
        s[i] = _mm512_setzero_si512();
        KEEP_512(s[i]); /* else they are all one chain */
    }
    for (int k = 0; k < TURNS; k++) {
        KEEP_512(x);
        UNROLL for (int i = 0; i < CHAINS; i++) s[i] = _mm512_dpbusd_epi32(s[i], x, x);
    }
    UNROLL for (int i = 0; i < CHAINS; i++) KEEP_512(s[i]);
    w->amount = 2.0 * 64 * CHAINS * TURNS;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct {
    work w;
    limit fn;
} job;

static void *run_one(void *p)
{
    job *j = p;
    j->fn(&j->w);
    return NULL;
}

/* What all threads do a second, at best. */
static double rate(limit fn, size_t n_threads, const unsigned char *memory)
{
    static job jobs[MAX_THREADS];
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        pthread_t threads[MAX_THREADS];
        double start = now_s(), amount = 0;
        for (size_t i = 0; i < n_threads; i++) {
            jobs[i] = (job){{n_threads, i, memory, 0}, fn};
            if (pthread_create(&threads[i], NULL, run_one, &jobs[i]) != 0) exit(1);
        }
        for (size_t i = 0; i < n_threads; i++) {
            pthread_join(threads[i], NULL);
            amount += jobs[i].w.amount;
        }
        double per_s = amount / (now_s() - start);
        if (per_s > best) best = per_s;
    }
    return best;
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
    unsigned char *memory = aligned_alloc(4096, READ_BYTES + 8192); /* read ahead goes a little beyond */
    if (n < 1 || n > MAX_THREADS || memory == NULL) {
        fprintf(stderr, "limits THREADS [ISA]\n");
        return 1;
    }
    memset(memory, 1, READ_BYTES + 8192);
    const int avx2 = argc > 2 && strcmp(argv[2], "avx2") == 0;
    const int wide = !avx2 && __builtin_cpu_supports("avx512f"), vnni = wide && __builtin_cpu_supports("avx512vnni");
    printf("{\"read_bytes\": %.4g, \"float_ops\": %.4g, \"integer_ops\": %.4g, \"float\": \"%s\", \"integer\": \"%s\"}\n",
           rate(read_avx2, (size_t)n, memory), rate(wide ? float_avx512 : float_avx2, (size_t)n, memory),
           rate(vnni ? integer_vnni : integer_avx2, (size_t)n, memory), wide ? "AVX-512" : "AVX2", vnni ? "VNNI" : "AVX2");
    free(memory);
    return 0;
}
