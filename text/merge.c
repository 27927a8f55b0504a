/* merge.c: byte-pair merging over a linked list of symbols with a heap, for both tokenizers.
 *
 * A heap entry is key << 32 | index of the left symbol, so the smallest entry is the best pair, leftmost first. Entries are not
 * removed when a neighbour changes: an entry counts only while the symbol's present key is still the entry's. */
#include "vocab_internal.h"

#include <string.h>

void txt_merge_free(txt_merge *m)
{
    sn_free(m->sym);
    sn_free(m->heap);
    memset(m, 0, sizeof *m);
}

sn_status txt_merge_reserve(txt_merge *m, size_t n, sn_err *err)
{
    size_t entries; /* n - 1 pairs at first, two new ones for each of at most n - 1 joins */
    if (n > INT32_MAX || !sn_mul_ok(n, 3, &entries)) return sn_fail(err, SN_ELIMIT, "text of %zu symbols is too long", n);
    sn_status s = sn_grow((void **)&m->sym, &m->cap, n, sizeof *m->sym, err);
    if (s != SN_OK) return s;
    return sn_grow((void **)&m->heap, &m->cap_heap, entries, sizeof *m->heap, err);
}

void txt_merge_push(txt_merge *m, size_t off, size_t n, txt_id id)
{
    m->sym[m->n++] = (txt_sym){.off = (uint32_t)off, .n = (uint32_t)n, .id = id, .joined = TXT_NO_ID, .key = TXT_NO_JOIN};
}

static void heap_push(txt_merge *m, uint64_t e)
{
    size_t i = m->n_heap++;
    for (; i > 0 && m->heap[(i - 1) / 2] > e; i = (i - 1) / 2) m->heap[i] = m->heap[(i - 1) / 2];
    m->heap[i] = e;
}

static uint64_t heap_pop(txt_merge *m)
{
    uint64_t top = m->heap[0], e = m->heap[--m->n_heap];
    size_t i = 0;
    for (size_t child = 1; child < m->n_heap; child = 2 * i + 1) {
        if (child + 1 < m->n_heap && m->heap[child + 1] < m->heap[child]) child++;
        if (m->heap[child] >= e) break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = e;
    return top;
}

static void pair(txt_merge *m, const txt_joiner *j, int32_t left)
{
    txt_sym *l = &m->sym[left];
    l->key = TXT_NO_JOIN;
    if (l->next < 0) return;
    j->join(j, l, &m->sym[l->next]);
    if (l->key != TXT_NO_JOIN) heap_push(m, (uint64_t)l->key << 32 | (uint32_t)left);
}

void txt_merge_run(txt_merge *m, const txt_joiner *j)
{
    m->n_heap = 0;
    for (size_t i = 0; i < m->n; i++) {
        m->sym[i].prev = (int32_t)i - 1;
        m->sym[i].next = i + 1 < m->n ? (int32_t)(i + 1) : -1;
    }
    for (size_t i = 0; i < m->n; i++) pair(m, j, (int32_t)i);
    while (m->n_heap > 0) {
        uint64_t e = heap_pop(m);
        int32_t left = (int32_t)(e & UINT32_MAX);
        txt_sym *l = &m->sym[left];
        if (l->key != (uint32_t)(e >> 32)) continue; /* its pair has changed since */
        txt_sym *r = &m->sym[l->next];
        l->n += r->n;
        l->id = l->joined;
        l->next = r->next;
        r->n = 0;
        r->key = TXT_NO_JOIN;
        if (l->next >= 0) m->sym[l->next].prev = left;
        pair(m, j, left);
        if (l->prev >= 0) pair(m, j, l->prev);
    }
}
