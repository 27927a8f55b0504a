/* mem.h: checked sizes, aligned memory, and the arena that holds a run's activations. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "error.h"

#define SN_ALIGN 64 /* bytes; one cache line, one AVX-512 register */

/* *out = a * b, or a + b; false (and *out untouched) on overflow. Every size product passes here before it reaches an
 * allocator or a pointer. */
bool sn_mul_ok(size_t a, size_t b, size_t *out);
bool sn_add_ok(size_t a, size_t b, size_t *out);

/* n * size bytes, SN_ALIGN-aligned, not zeroed / zeroed. NULL on overflow or when memory is out; n * size of 0 gives a
 * pointer that may be freed. Release with sn_free. */
void *sn_alloc(size_t n, size_t size);
/* The same of what is filled and then read from end to end, weights: where Linux gives pages of 2 MiB to who asks (transparent_hugepage), the CPU looks
 * up addresses a 512th as often. Only what fills whole ones is put in them. */
void *sn_alloc_streamed(size_t bytes);
void *sn_calloc(size_t n, size_t size);
void sn_free(void *p);

/* Keeps n bytes at p out of the processes forked from now on (their whole pages; Linux's MADV_DONTFORK): what decodes hostile media can
 * not read a model or a conversation, and its start costs nothing for them. false takes it back: before memory of sn_alloc is freed. */
void sn_keep_from_forks(void *p, size_t n, bool keep);

/* Grows *p (elements of `size` bytes, allocated by sn_alloc, *cap elements) to hold at least `need`, doubling. */
sn_status sn_grow(void **p, size_t *cap, size_t need, size_t size, sn_err *err);

/* A stack of scratch memory, sized before work starts by a *_scratch_bytes() function, so that nothing is allocated in a
 * loop. Running over is our own mistake and asserts.
 *
 *   base ├─ a ─┤pad├─ b ─┤ ............ free ............ ┤ base + size
 *                         ^ used      (peak: the highest used has been)
 */
typedef struct {
    unsigned char *base;
    size_t size, used, peak;
} sn_arena;

sn_status sn_arena_init(sn_arena *a, size_t bytes, sn_err *err);
void sn_arena_free(sn_arena *a);
void *sn_arena_alloc(sn_arena *a, size_t bytes); /* SN_ALIGN-aligned, not zeroed */
float *sn_arena_f32(sn_arena *a, size_t n);

static inline size_t sn_arena_mark(const sn_arena *a)
{
    return a->used;
}
static inline void sn_arena_reset(sn_arena *a, size_t mark)
{
    a->used = mark;
}
/* What one sn_arena_alloc(bytes) takes from an arena: for the *_scratch_bytes() sums. */
static inline size_t sn_arena_cost(size_t bytes)
{
    return (bytes + SN_ALIGN - 1) & ~(size_t)(SN_ALIGN - 1);
}
static inline size_t sn_arena_cost_f32(size_t n)
{
    return sn_arena_cost(n * sizeof(float));
}

#endif
