/* text_gguf.h: small GGUF files for the tests of text/, written byte by byte: any value may be wrong. */
#ifndef TESTS_TEXT_GGUF_H
#define TESTS_TEXT_GGUF_H

#include "../core/gguf.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    unsigned char *p;
    size_t n, cap;
    uint64_t n_kv;
} gg;

static inline void gg_put(gg *g, const void *p, size_t n)
{
    if (g->n + n > g->cap) {
        g->cap = 2 * (g->n + n);
        g->p = realloc(g->p, g->cap);
        assert_non_null(g->p);
    }
    if (n > 0) memcpy(g->p + g->n, p, n);
    g->n += n;
}

static inline void gg_u32(gg *g, uint32_t v)
{
    gg_put(g, &v, 4);
}

static inline void gg_text(gg *g, const char *p, size_t n)
{
    uint64_t len = n;
    gg_put(g, &len, 8);
    gg_put(g, p, n);
}

static inline void gg_begin(gg *g)
{
    *g = (gg){0};
    gg_put(g, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24); /* version 3, no tensors, the number of keys comes last */
}

static inline void gg_key(gg *g, const char *key, uint32_t type)
{
    gg_text(g, key, strlen(key));
    gg_u32(g, type);
    g->n_kv++;
}

static inline void gg_str(gg *g, const char *key, const char *p, size_t n)
{
    gg_key(g, key, SN_KV_STRING);
    gg_text(g, p, n);
}

static inline void gg_int(gg *g, const char *key, uint32_t v)
{
    gg_key(g, key, SN_KV_U32);
    gg_u32(g, v);
}

static inline void gg_bool(gg *g, const char *key, bool v)
{
    gg_key(g, key, SN_KV_BOOL);
    gg_put(g, v ? "\1" : "\0", 1);
}

static inline void gg_array(gg *g, const char *key, uint32_t elem, uint64_t n)
{
    gg_key(g, key, SN_KV_ARRAY);
    gg_u32(g, elem);
    gg_put(g, &n, 8);
}

static inline void gg_strs(gg *g, const char *key, const char *const *list, size_t n)
{
    gg_array(g, key, SN_KV_STRING, n);
    for (size_t i = 0; i < n; i++) gg_text(g, list[i], strlen(list[i]));
}

/* The file, opened; fails the test where the reader refuses it. */
static inline sn_gguf *gg_open(gg *g)
{
    sn_err err = {0};
    sn_gguf *out = NULL;
    memcpy(g->p + 16, &g->n_kv, 8);
    if (sn_gguf_open(&out, testing_temp(g->p, g->n), &err) != SN_OK) fail_msg("%s", err.msg);
    free(g->p);
    return out;
}

#endif
