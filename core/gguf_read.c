/* gguf_read.c: one pass over the header with everything checked, then two sorted indices.
 *
 *   "GGUF" | version u32 | n_tensors u64 | n_kv u64
 *   n_kv x      key string | type u32 | value                            string: length u64, bytes
 *   n_tensors x name string | n_dims u32 | dims u64[], fastest first | type u32 | offset u64
 *   padding to general.alignment, then the tensors' data, offsets counted from here */
#include "cursor.h"
#include "file.h"
#include "gguf.h"
#include "mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEY 65535
#define MIN_KV_BYTES (8 + 1 + 4 + 1)             /* the least that a key and its value take in a file */
#define MIN_TENSOR_BYTES (8 + 1 + 4 + 8 + 4 + 8) /* the same for a tensor's description */
#define MIN_ALIGNMENT 8
#define MAX_ALIGNMENT 65536

struct sn_gguf {
    char *path;
    sn_map map;
    uint32_t version;
    size_t alignment, n_kv, n_tensors;
    sn_kv *kv;                 /* [n_kv], in the file's order */
    sn_str *strings;           /* of all string values, one after another */
    sn_tensor *tensors;        /* [n_tensors] */
    const sn_kv **by_key;      /* [n_kv], sorted by key */
    const sn_tensor **by_name; /* [n_tensors], sorted by name */
};

/* What grows while the header is read. */
typedef struct {
    sn_gguf *g;
    sn_cursor at;
    size_t cap_kv, cap_strings, cap_tensors;
    size_t n_strings;
} parser;

static const struct {
    const char *name;
    size_t bytes; /* 0: not of one size */
} kv_types[] = {
    [SN_KV_U8] = {"u8", 1},         [SN_KV_I8] = {"i8", 1},       [SN_KV_U16] = {"u16", 2}, [SN_KV_I16] = {"i16", 2},
    [SN_KV_U32] = {"u32", 4},       [SN_KV_I32] = {"i32", 4},     [SN_KV_F32] = {"f32", 4}, [SN_KV_BOOL] = {"bool", 1},
    [SN_KV_STRING] = {"string", 0}, [SN_KV_ARRAY] = {"array", 0}, [SN_KV_U64] = {"u64", 8}, [SN_KV_I64] = {"i64", 8},
    [SN_KV_F64] = {"f64", 8},
};

const char *sn_kv_type_name(sn_kv_type type)
{
    return (size_t)type < sizeof kv_types / sizeof kv_types[0] ? kv_types[type].name : "unknown";
}

size_t sn_kv_type_bytes(sn_kv_type type)
{
    return (size_t)type < sizeof kv_types / sizeof kv_types[0] ? kv_types[type].bytes : 0;
}

bool sn_str_eq(sn_str s, const char *z)
{
    return strlen(z) == s.n && (s.n == 0 || memcmp(s.p, z, s.n) == 0);
}

static int str_compare(sn_str a, sn_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static sn_str read_string(sn_cursor *c, const char *what)
{
    uint64_t n = sn_cursor_u64(c, what);
    const char *p = sn_cursor_bytes(c, n, what);
    return p != NULL ? (sn_str){.p = p, .n = (size_t)n} : (sn_str){0};
}

/* How much of a name from the file a message shows. */
static int shown(sn_str s)
{
    return s.n > 80 ? 80 : (int)s.n;
}

static void check_bools(parser *ps, const sn_kv *kv)
{
    const unsigned char *p = kv->data;
    for (size_t i = 0; i < kv->n && ps->at.status == SN_OK; i++)
        if (p[i] > 1) sn_cursor_fail(&ps->at, SN_EFORMAT, "key %.*s: want a bool of 0 or 1, file has %u", shown(kv->key), kv->key.p, p[i]);
}

/* Notes n strings. Their place in the pool goes into kv->strings only when the pool has stopped moving: see settle_strings. */
static void read_strings(parser *ps, const sn_kv *kv, uint64_t n)
{
    sn_cursor *c = &ps->at;
    if (n > sn_cursor_left(c) / sizeof(uint64_t)) {
        sn_cursor_fail(c, SN_EFORMAT, "key %.*s: %llu strings cannot fit in the %zu bytes left (truncated or corrupt file)", shown(kv->key),
                       kv->key.p, (unsigned long long)n, sn_cursor_left(c));
        return;
    }
    void *pool = ps->g->strings;
    sn_err oom;
    if (sn_grow(&pool, &ps->cap_strings, ps->n_strings + (size_t)n, sizeof(sn_str), &oom) != SN_OK) {
        sn_cursor_fail(c, SN_ENOMEM, "%s", oom.msg);
        return;
    }
    ps->g->strings = pool;
    for (uint64_t i = 0; i < n && c->status == SN_OK; i++) ps->g->strings[ps->n_strings++] = read_string(c, "string");
}

static void read_array(parser *ps, sn_kv *kv)
{
    sn_cursor *c = &ps->at;
    uint32_t elem = sn_cursor_u32(c, "array type");
    uint64_t n = sn_cursor_u64(c, "array length");
    if (c->status != SN_OK) return;
    if (elem == SN_KV_ARRAY) {
        sn_cursor_fail(c, SN_EUNSUPPORTED, "key %.*s: an array of arrays", shown(kv->key), kv->key.p);
        return;
    }
    if (elem > SN_KV_F64) {
        sn_cursor_fail(c, SN_EFORMAT, "key %.*s: unknown array type %u", shown(kv->key), kv->key.p, elem);
        return;
    }
    kv->elem = (sn_kv_type)elem;
    if (kv->elem == SN_KV_STRING) {
        kv->data = c->base + c->pos;
        read_strings(ps, kv, n);
    } else {
        kv->data = sn_cursor_array(c, n, sn_kv_type_bytes(kv->elem), "array");
    }
    if (c->status != SN_OK) return;
    kv->n = (size_t)n;
    if (kv->elem == SN_KV_BOOL) check_bools(ps, kv);
}

static void read_kv(parser *ps)
{
    sn_cursor *c = &ps->at;
    sn_kv kv = {.n = 1};
    size_t start = c->pos;
    kv.key = read_string(c, "key");
    if (c->status == SN_OK && (kv.key.n == 0 || kv.key.n > MAX_KEY || memchr(kv.key.p, 0, kv.key.n) != NULL))
        sn_cursor_fail(c, SN_EFORMAT, "key at byte %zu: want 1 to %d bytes without NUL, file has %zu bytes", start, MAX_KEY, kv.key.n);
    uint32_t type = sn_cursor_u32(c, "value type");
    if (c->status != SN_OK) return;
    if (type > SN_KV_F64) {
        sn_cursor_fail(c, SN_EFORMAT, "key %.*s: unknown value type %u", shown(kv.key), kv.key.p, type);
        return;
    }
    kv.type = (sn_kv_type)type;
    if (kv.type == SN_KV_ARRAY) {
        read_array(ps, &kv);
    } else if (kv.type == SN_KV_STRING) {
        kv.data = c->base + c->pos;
        read_strings(ps, &kv, 1);
    } else {
        kv.data = sn_cursor_bytes(c, sn_kv_type_bytes(kv.type), "value");
        if (kv.data != NULL && kv.type == SN_KV_BOOL) check_bools(ps, &kv);
    }
    if (c->status != SN_OK) return;
    void *list = ps->g->kv;
    sn_err oom;
    if (sn_grow(&list, &ps->cap_kv, ps->g->n_kv + 1, sizeof kv, &oom) != SN_OK) {
        sn_cursor_fail(c, SN_ENOMEM, "%s", oom.msg);
        return;
    }
    ps->g->kv = list;
    ps->g->kv[ps->g->n_kv++] = kv;
}

/* The pool stands still now: each string value gets its place in it, in the order of reading. */
static void settle_strings(parser *ps)
{
    size_t used = 0;
    for (size_t i = 0; i < ps->g->n_kv; i++) {
        sn_kv *kv = &ps->g->kv[i];
        if (kv->type != SN_KV_STRING && !(kv->type == SN_KV_ARRAY && kv->elem == SN_KV_STRING)) continue;
        kv->strings = ps->g->strings != NULL ? ps->g->strings + used : NULL;
        used += kv->n;
        if (kv->type == SN_KV_STRING) kv->data = kv->strings->p;
    }
    assert(used == ps->n_strings);
}

static int compare_keys(const void *a, const void *b)
{
    return str_compare((*(const sn_kv *const *)a)->key, (*(const sn_kv *const *)b)->key);
}

static void index_keys(parser *ps)
{
    sn_gguf *g = ps->g;
    if (ps->at.status != SN_OK) return;
    g->by_key = sn_alloc(g->n_kv, sizeof *g->by_key);
    if (g->by_key == NULL) {
        sn_cursor_fail(&ps->at, SN_ENOMEM, "out of memory (%zu keys)", g->n_kv);
        return;
    }
    for (size_t i = 0; i < g->n_kv; i++) g->by_key[i] = &g->kv[i];
    qsort(g->by_key, g->n_kv, sizeof *g->by_key, compare_keys);
    for (size_t i = 1; i < g->n_kv; i++)
        if (str_compare(g->by_key[i - 1]->key, g->by_key[i]->key) == 0) {
            sn_cursor_fail(&ps->at, SN_EFORMAT, "key %.*s stands there twice", shown(g->by_key[i]->key), g->by_key[i]->key.p);
            return;
        }
}

static void read_alignment(parser *ps)
{
    if (ps->at.status != SN_OK) return;
    const sn_kv *kv = sn_gguf_find(ps->g, "general.alignment");
    ps->g->alignment = 32;
    if (kv == NULL) return;
    int64_t v = kv->type == SN_KV_U32 ? sn_kv_i64(kv, 0) : 0;
    if (v < MIN_ALIGNMENT || v > MAX_ALIGNMENT || (v & (v - 1)) != 0) {
        sn_cursor_fail(&ps->at, SN_EFORMAT, "key general.alignment: want a u32 power of two from %d to %d, file has %s %lld", MIN_ALIGNMENT,
                       MAX_ALIGNMENT, sn_kv_type_name(kv->type), (long long)sn_kv_i64(kv, 0));
        return;
    }
    ps->g->alignment = (size_t)v;
}

/* Fills n_values and n_bytes; all of it in checked arithmetic, for the dimensions are whatever the file says. */
static void size_tensor(sn_cursor *c, sn_tensor *t, const uint64_t dims[SN_MAX_DIMS], uint32_t type)
{
    const sn_type_info *info = sn_type_get(type);
    if (info == NULL) {
        sn_cursor_fail(c, SN_EUNSUPPORTED, "tensor %s: unknown type %u", t->name, type);
        return;
    }
    t->type = (sn_type)type;
    t->n_values = 1;
    for (size_t i = 0; i < t->n_dims; i++) {
        size_t *axis = &t->shape[t->n_dims - 1 - i]; /* here the file's order, fastest first, is turned round */
        *axis = (size_t)dims[i];
        if (*axis == 0 || *axis != dims[i]) {
            sn_cursor_fail(c, SN_EFORMAT, "tensor %s: axis %zu has a length of %llu", t->name, i, (unsigned long long)dims[i]);
            return;
        }
        if (!sn_mul_ok(t->n_values, *axis, &t->n_values)) {
            sn_cursor_fail(c, SN_EFORMAT, "tensor %s: its number of values overflows", t->name);
            return;
        }
    }
    if (dims[0] % info->block != 0) {
        sn_cursor_fail(c, SN_EFORMAT, "tensor %s: rows of %llu values cannot be made of %s blocks of %zu", t->name,
                       (unsigned long long)dims[0], info->name, info->block);
        return;
    }
    if (!sn_mul_ok(t->n_values / info->block, info->bytes, &t->n_bytes) || t->n_bytes > PTRDIFF_MAX)
        sn_cursor_fail(c, SN_EFORMAT, "tensor %s: its number of bytes overflows", t->name);
}

/* One tensor's description. Its offset stays in *offset until the data's start is known. */
static void read_tensor(sn_cursor *c, sn_tensor *t, uint64_t *offset)
{
    size_t start = c->pos;
    uint64_t dims[SN_MAX_DIMS] = {0};
    sn_str name = read_string(c, "tensor name");
    if (c->status == SN_OK && (name.n == 0 || name.n > SN_MAX_NAME || memchr(name.p, 0, name.n) != NULL))
        sn_cursor_fail(c, SN_EFORMAT, "tensor at byte %zu: want a name of 1 to %d bytes without NUL, file has %zu bytes", start,
                       SN_MAX_NAME, name.n);
    if (c->status != SN_OK) return;
    memcpy(t->name, name.p, name.n);
    t->name[name.n] = '\0';
    uint32_t n_dims = sn_cursor_u32(c, "number of dimensions");
    if (c->status == SN_OK && (n_dims == 0 || n_dims > SN_MAX_DIMS))
        sn_cursor_fail(c, SN_EFORMAT, "tensor %s: want 1 to %d dimensions, file has %u", t->name, SN_MAX_DIMS, n_dims);
    if (c->status != SN_OK) return;
    t->n_dims = n_dims;
    for (size_t i = 0; i < n_dims; i++) dims[i] = sn_cursor_u64(c, "dimension");
    uint32_t type = sn_cursor_u32(c, "tensor type");
    *offset = sn_cursor_u64(c, "tensor offset");
    if (c->status == SN_OK) size_tensor(c, t, dims, type);
}

/* Where the data starts, and with it each tensor's place, inside the file and aligned. */
static void place_tensors(parser *ps, const uint64_t *offsets)
{
    sn_gguf *g = ps->g;
    sn_cursor *c = &ps->at;
    if (c->status != SN_OK || g->n_tensors == 0) return;              /* a file of keys alone may end right here */
    size_t start = (c->pos + g->alignment - 1) & ~(g->alignment - 1); /* pos <= PTRDIFF_MAX: mapped */
    size_t room = start <= c->size ? c->size - start : 0;
    for (size_t i = 0; i < g->n_tensors && c->status == SN_OK; i++) {
        sn_tensor *t = &g->tensors[i];
        if (offsets[i] % g->alignment != 0)
            sn_cursor_fail(c, SN_EFORMAT, "tensor %s: offset %llu is not a multiple of the alignment %zu", t->name,
                           (unsigned long long)offsets[i], g->alignment);
        else if (offsets[i] > room || t->n_bytes > room - (size_t)offsets[i])
            sn_cursor_fail(c, SN_EFORMAT, "tensor %s: its %zu bytes at %llu end beyond the file's %zu (truncated or corrupt file)", t->name,
                           t->n_bytes, (unsigned long long)offsets[i] + start, c->size);
        else
            t->data = c->base + start + (size_t)offsets[i];
    }
}

static int compare_places(const void *a, const void *b)
{
    const sn_tensor *x = *(const sn_tensor *const *)a, *y = *(const sn_tensor *const *)b;
    const unsigned char *p = x->data, *q = y->data; /* both point into the map */
    return (p > q) - (p < q);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const sn_tensor *const *)a)->name, (*(const sn_tensor *const *)b)->name);
}

/* Refuses overlaps and names that stand there twice, and leaves by_name sorted. */
static void index_tensors(parser *ps)
{
    sn_gguf *g = ps->g;
    sn_cursor *c = &ps->at;
    if (c->status != SN_OK) return;
    g->by_name = sn_alloc(g->n_tensors, sizeof *g->by_name);
    if (g->by_name == NULL) {
        sn_cursor_fail(c, SN_ENOMEM, "out of memory (%zu tensors)", g->n_tensors);
        return;
    }
    for (size_t i = 0; i < g->n_tensors; i++) g->by_name[i] = &g->tensors[i];
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_places);
    for (size_t i = 1; i < g->n_tensors; i++) {
        const sn_tensor *a = g->by_name[i - 1], *b = g->by_name[i];
        if ((const unsigned char *)a->data + a->n_bytes > (const unsigned char *)b->data) {
            sn_cursor_fail(c, SN_EFORMAT, "tensors %s and %s overlap", a->name, b->name);
            return;
        }
    }
    qsort(g->by_name, g->n_tensors, sizeof *g->by_name, compare_names);
    for (size_t i = 1; i < g->n_tensors; i++)
        if (strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0) {
            sn_cursor_fail(c, SN_EFORMAT, "tensor %s stands there twice", g->by_name[i]->name);
            return;
        }
}

static void read_tensors(parser *ps, uint64_t n)
{
    sn_cursor *c = &ps->at;
    void *list = NULL, *offsets = NULL;
    size_t cap_offsets = 0;
    sn_err oom;
    for (uint64_t i = 0; i < n && c->status == SN_OK; i++) {
        sn_tensor t = {0};
        uint64_t offset = 0;
        read_tensor(c, &t, &offset);
        if (c->status != SN_OK) break;
        if (sn_grow(&list, &ps->cap_tensors, (size_t)i + 1, sizeof t, &oom) != SN_OK ||
            sn_grow(&offsets, &cap_offsets, (size_t)i + 1, sizeof offset, &oom) != SN_OK) {
            sn_cursor_fail(c, SN_ENOMEM, "%s", oom.msg);
            break;
        }
        ((sn_tensor *)list)[i] = t;
        ((uint64_t *)offsets)[i] = offset;
        ps->g->n_tensors = (size_t)i + 1;
    }
    ps->g->tensors = list;
    place_tensors(ps, offsets);
    sn_free(offsets);
    index_tensors(ps);
}

static void read_magic(parser *ps)
{
    sn_cursor *c = &ps->at;
    if (c->size < 4 || memcmp(c->base, "GGUF", 4) != 0) {
        const char *kind = sn_guess_kind(c->base, c->size);
        if (kind != NULL)
            sn_cursor_fail(c, SN_EFORMAT, "want a GGUF file, this is %s", kind);
        else
            sn_cursor_fail(c, SN_EFORMAT, "want a GGUF file, this does not begin like one");
        return;
    }
    sn_cursor_bytes(c, 4, "magic");
    uint32_t v = sn_cursor_u32(c, "version");
    if (c->status != SN_OK) return;
    if ((v & 0xffff) == 0 && v != 0)
        sn_cursor_fail(c, SN_EUNSUPPORTED, "a big-endian GGUF file: want a little-endian one");
    else if (v != 2 && v != 3)
        sn_cursor_fail(c, SN_EUNSUPPORTED, "GGUF version %u: want 2 or 3", v);
    ps->g->version = v;
}

static sn_status parse(sn_gguf *g, sn_err *err)
{
    parser ps = {.g = g};
    sn_cursor *c = &ps.at;
    sn_cursor_init(c, g->map.data, g->map.size, err);
    read_magic(&ps);
    uint64_t n_tensors = sn_cursor_u64(c, "number of tensors");
    uint64_t n_kv = sn_cursor_u64(c, "number of keys");
    if (c->status == SN_OK && (n_kv > sn_cursor_left(c) / MIN_KV_BYTES || n_tensors > sn_cursor_left(c) / MIN_TENSOR_BYTES))
        sn_cursor_fail(c, SN_EFORMAT, "%llu keys and %llu tensors cannot fit in %zu bytes (truncated or corrupt file)",
                       (unsigned long long)n_kv, (unsigned long long)n_tensors, c->size);
    for (uint64_t i = 0; i < n_kv && c->status == SN_OK; i++) read_kv(&ps);
    if (c->status != SN_OK) return c->status;
    settle_strings(&ps);
    index_keys(&ps);
    read_alignment(&ps);
    read_tensors(&ps, n_tensors);
    return c->status;
}

sn_status sn_gguf_open(sn_gguf **out, const char *path, sn_err *err)
{
    sn_gguf *g = sn_calloc(1, sizeof *g);
    sn_status status = SN_OK;
    if (g == NULL || (g->path = strdup(path)) == NULL) {
        status = sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    status = sn_map_open(&g->map, path, err);
    if (status != SN_OK) goto done;
    status = parse(g, err);
    if (status != SN_OK) {
        sn_wrap(err, "%s", path);
        goto done;
    }
    *out = g;
    g = NULL;
done:
    sn_gguf_close(g);
    return status;
}

void sn_gguf_close(sn_gguf *g)
{
    if (g == NULL) return;
    sn_free(g->by_name);
    sn_free(g->by_key);
    sn_free(g->tensors);
    sn_free(g->strings);
    sn_free(g->kv);
    sn_map_close(&g->map);
    free(g->path);
    sn_free(g);
}

const char *sn_gguf_path(const sn_gguf *g)
{
    return g->path;
}

size_t sn_gguf_bytes(const sn_gguf *g)
{
    return g->map.size;
}

void sn_gguf_forget(const sn_gguf *g, const sn_tensor *t)
{
    sn_map_forget(&g->map, t->data, t->n_bytes);
}

void sn_gguf_forget_part(const sn_gguf *g, const void *data, size_t n_bytes)
{
    sn_map_forget(&g->map, data, n_bytes);
}

uint32_t sn_gguf_version(const sn_gguf *g)
{
    return g->version;
}

size_t sn_gguf_n_kv(const sn_gguf *g)
{
    return g->n_kv;
}

const sn_kv *sn_gguf_kv_at(const sn_gguf *g, size_t i)
{
    assert(i < g->n_kv);
    return &g->kv[i];
}

const sn_kv *sn_gguf_find(const sn_gguf *g, const char *key)
{
    const sn_str want = {.p = key, .n = strlen(key)};
    size_t lo = 0, hi = g->n_kv;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = str_compare(want, g->by_key[mid]->key);
        if (order == 0) return g->by_key[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

size_t sn_gguf_n_tensors(const sn_gguf *g)
{
    return g->n_tensors;
}

const sn_tensor *sn_gguf_tensor_at(const sn_gguf *g, size_t i)
{
    assert(i < g->n_tensors);
    return &g->tensors[i];
}

const sn_tensor *sn_gguf_tensor(const sn_gguf *g, const char *name)
{
    size_t lo = 0, hi = g->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(name, g->by_name[mid]->name);
        if (order == 0) return g->by_name[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
