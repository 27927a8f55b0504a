#include "mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool sn_mul_ok(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

bool sn_add_ok(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

static void *alloc_aligned(size_t n, size_t size, size_t align)
{
    size_t bytes;
    if (!sn_mul_ok(n, size, &bytes) || bytes > PTRDIFF_MAX - align) return NULL;
    if (bytes == 0) bytes = 1;
    return aligned_alloc(align, (bytes + align - 1) & ~(align - 1)); /* C11 wants a multiple of the alignment */
}

void *sn_alloc(size_t n, size_t size)
{
    return alloc_aligned(n, size, SN_ALIGN);
}

void *sn_alloc_streamed(size_t bytes)
{
    enum { HUGE_PAGE = 2 << 20 };
    if (bytes < HUGE_PAGE) return sn_alloc(bytes, 1);
    void *p = alloc_aligned(bytes, 1, HUGE_PAGE);
#ifdef MADV_HUGEPAGE
    if (p != NULL) (void)madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE); /* best effort */
#endif
    return p;
}

void *sn_calloc(size_t n, size_t size)
{
    void *p = sn_alloc(n, size);
    if (p != NULL) memset(p, 0, n * size); /* the product was checked by sn_alloc */
    return p;
}

void sn_free(void *p)
{
    free(p);
}

void sn_keep_from_forks(void *p, size_t n, bool keep)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)p + page - 1) / page * page,
                    end = ((uintptr_t)p + n) / page * page;
    /* best effort: without it all works, only slower */
    if (p != NULL && begin < end) (void)madvise((void *)begin, end - begin, keep ? MADV_DONTFORK : MADV_DOFORK);
}

sn_status sn_grow(void **p, size_t *cap, size_t need, size_t size, sn_err *err)
{
    if (need <= *cap) return SN_OK;
    size_t want = *cap < SIZE_MAX / 2 && *cap * 2 > need ? *cap * 2 : need;
    void *more = sn_alloc(want, size);
    if (more == NULL) return sn_fail(err, SN_ENOMEM, "out of memory (%zu items of %zu bytes)", want, size);
    if (*cap > 0) memcpy(more, *p, *cap * size);
    sn_free(*p);
    *p = more;
    *cap = want;
    return SN_OK;
}

sn_status sn_arena_init(sn_arena *a, size_t bytes, sn_err *err)
{
    unsigned char *base = sn_alloc(bytes, 1);
    if (base == NULL) return sn_fail(err, SN_ENOMEM, "out of memory (%zu bytes of scratch)", bytes);
    *a = (sn_arena){.base = base, .size = bytes};
    sn_keep_from_forks(base, bytes, true);
    return SN_OK;
}

void sn_arena_free(sn_arena *a)
{
    sn_keep_from_forks(a->base, a->size, false);
    sn_free(a->base);
    *a = (sn_arena){0};
}

void *sn_arena_alloc(sn_arena *a, size_t bytes)
{
    assert(bytes <= SIZE_MAX - SN_ALIGN);
    size_t cost = sn_arena_cost(bytes);
    assert(cost <= a->size - a->used); /* a *_scratch_bytes() promised too little */
    void *p = a->base + a->used;
    a->used += cost;
    if (a->used > a->peak) a->peak = a->used;
    return p;
}

float *sn_arena_f32(sn_arena *a, size_t n)
{
    assert(n <= SIZE_MAX / sizeof(float));
    return sn_arena_alloc(a, n * sizeof(float));
}
