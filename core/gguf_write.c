/* gguf_write.c: the header is gathered in memory and goes out with the first data; data is streamed. Version 3, alignment 32. */
#include "file.h"
#include "gguf.h"
#include "mem.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 32

typedef struct {
    unsigned char *p;
    size_t n, cap;
} buffer;

typedef struct {
    size_t at, n;
} span; /* of a key's bytes in w->keys */

struct sn_gguf_writer {
    char *path;
    sn_out out;
    sn_status status; /* the first problem */
    sn_err err;
    buffer keys;        /* the header's keys and values, as in the file */
    span *key_spans;    /* [n_kv]: to refuse a second key of one name */
    sn_tensor *tensors; /* [n_tensors] */
    size_t n_kv, cap_kv, n_tensors, cap_tensors;
    bool started;             /* the header is written */
    size_t n_done, tensor_at; /* tensors that are complete; bytes of the next one that are written */
    size_t offset;            /* of the next declared tensor in the data */
};

static bool fine(const sn_gguf_writer *w)
{
    return w->status == SN_OK;
}

/* Keeps the first problem. */
static void flunk(sn_gguf_writer *w, sn_status code, const char *what, sn_str name)
{
    if (fine(w)) w->status = sn_fail(&w->err, code, "%s: %s %.*s", w->path, what, name.n > 80 ? 80 : (int)name.n, name.p);
}

static void put(sn_gguf_writer *w, const void *bytes, size_t n)
{
    buffer *b = &w->keys;
    size_t need;
    void *p = b->p;
    if (!fine(w) || n == 0) return;
    if (!sn_add_ok(b->n, n, &need) || sn_grow(&p, &b->cap, need, 1, NULL) != SN_OK) {
        flunk(w, SN_ENOMEM, "out of memory", (sn_str){"", 0});
        return;
    }
    b->p = p;
    memcpy(b->p + b->n, bytes, n);
    b->n = need;
}

static void put_u32(sn_gguf_writer *w, uint32_t v)
{
    put(w, &v, sizeof v);
}

static void put_u64(sn_gguf_writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

static void put_str(sn_gguf_writer *w, sn_str s)
{
    put_u64(w, s.n);
    put(w, s.p, s.n);
}

/* A new key and the type of its value, which the caller puts behind it. */
static void put_key(sn_gguf_writer *w, sn_str key, sn_kv_type type)
{
    if (w->started) flunk(w, SN_EUSAGE, "too late for key", key);
    if (key.n == 0 || key.n > 65535) flunk(w, SN_EUSAGE, "the length is not that of a key:", key);
    for (size_t i = 0; fine(w) && i < w->n_kv; i++)
        if (w->key_spans[i].n == key.n && memcmp(w->keys.p + w->key_spans[i].at, key.p, key.n) == 0)
            flunk(w, SN_EUSAGE, "a second key", key);
    if (!fine(w)) return;
    void *spans = w->key_spans;
    if (sn_grow(&spans, &w->cap_kv, w->n_kv + 1, sizeof(span), NULL) != SN_OK) {
        flunk(w, SN_ENOMEM, "out of memory", (sn_str){"", 0});
        return;
    }
    w->key_spans = spans;
    w->key_spans[w->n_kv++] = (span){.at = w->keys.n + sizeof(uint64_t), .n = key.n};
    put_str(w, key);
    put_u32(w, type);
}

static sn_str str_of(const char *z)
{
    return (sn_str){.p = z, .n = strlen(z)};
}

sn_status sn_gguf_create(sn_gguf_writer **out, const char *path, sn_err *err)
{
    sn_gguf_writer *w = sn_calloc(1, sizeof *w);
    if (w == NULL || (w->path = strdup(path)) == NULL) {
        sn_free(w);
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    }
    sn_status status = sn_out_open(&w->out, path, err);
    if (status != SN_OK) {
        free(w->path);
        sn_free(w);
        return status;
    }
    *out = w;
    return SN_OK;
}

void sn_gguf_set_u32(sn_gguf_writer *w, const char *key, uint32_t v)
{
    put_key(w, str_of(key), SN_KV_U32);
    put(w, &v, sizeof v);
}

void sn_gguf_set_i32(sn_gguf_writer *w, const char *key, int32_t v)
{
    put_key(w, str_of(key), SN_KV_I32);
    put(w, &v, sizeof v);
}

void sn_gguf_set_f32(sn_gguf_writer *w, const char *key, float v)
{
    put_key(w, str_of(key), SN_KV_F32);
    put(w, &v, sizeof v);
}

void sn_gguf_set_bool(sn_gguf_writer *w, const char *key, bool v)
{
    uint8_t byte = v;
    put_key(w, str_of(key), SN_KV_BOOL);
    put(w, &byte, sizeof byte);
}

void sn_gguf_set_str(sn_gguf_writer *w, const char *key, const char *v, size_t n)
{
    put_key(w, str_of(key), SN_KV_STRING);
    put_str(w, (sn_str){.p = v, .n = n});
}

static void put_array_head(sn_gguf_writer *w, sn_str key, sn_kv_type elem, size_t n)
{
    put_key(w, key, SN_KV_ARRAY);
    put_u32(w, elem);
    put_u64(w, n);
}

static void put_strs(sn_gguf_writer *w, sn_str key, const sn_str *v, size_t n)
{
    put_array_head(w, key, SN_KV_STRING, n);
    for (size_t i = 0; i < n && fine(w); i++) put_str(w, v[i]);
}

static void put_array(sn_gguf_writer *w, sn_str key, sn_kv_type elem, const void *v, size_t n)
{
    size_t bytes = sn_kv_type_bytes(elem);
    if (bytes == 0 || !sn_mul_ok(n, bytes, &bytes)) {
        flunk(w, SN_EUSAGE, "not an array of numbers:", key);
        return;
    }
    put_array_head(w, key, elem, n);
    put(w, v, bytes);
}

void sn_gguf_set_strs(sn_gguf_writer *w, const char *key, const sn_str *v, size_t n)
{
    put_strs(w, str_of(key), v, n);
}

void sn_gguf_set_array(sn_gguf_writer *w, const char *key, sn_kv_type elem, const void *v, size_t n)
{
    put_array(w, str_of(key), elem, v, n);
}

void sn_gguf_set_kv(sn_gguf_writer *w, const sn_kv *kv)
{
    if (sn_str_eq(kv->key, "general.alignment")) return; /* of the file it was read from; this one has its own */
    if (kv->type == SN_KV_ARRAY && kv->elem == SN_KV_STRING) {
        put_strs(w, kv->key, kv->strings, kv->n);
    } else if (kv->type == SN_KV_ARRAY) {
        put_array(w, kv->key, kv->elem, kv->data, kv->n);
    } else if (kv->type == SN_KV_STRING) {
        put_key(w, kv->key, SN_KV_STRING);
        put_str(w, kv->strings[0]);
    } else {
        put_key(w, kv->key, kv->type);
        put(w, kv->data, sn_kv_type_bytes(kv->type));
    }
}

void sn_gguf_add_tensor(sn_gguf_writer *w, const char *name, sn_type type, const size_t *shape, size_t n_dims)
{
    sn_tensor t = {.type = type, .n_dims = n_dims, .n_values = 1};
    const sn_str label = str_of(name);
    const sn_type_info *info = sn_type_get((uint32_t)type);
    bool sound = info != NULL && n_dims >= 1 && n_dims <= SN_MAX_DIMS && label.n >= 1 && label.n <= SN_MAX_NAME;
    for (size_t i = 0; sound && i < n_dims; i++) {
        t.shape[i] = shape[i];
        sound = shape[i] > 0 && sn_mul_ok(t.n_values, shape[i], &t.n_values);
    }
    sound = sound && shape[n_dims - 1] % info->block == 0 && sn_mul_ok(t.n_values / info->block, info->bytes, &t.n_bytes) &&
            t.n_bytes <= PTRDIFF_MAX - w->offset - ALIGNMENT;
    if (!sound) flunk(w, SN_EUSAGE, "no file can hold the shape, type or name of tensor", label);
    if (w->started) flunk(w, SN_EUSAGE, "too late for tensor", label);
    for (size_t i = 0; fine(w) && i < w->n_tensors; i++)
        if (strcmp(w->tensors[i].name, name) == 0) flunk(w, SN_EUSAGE, "a second tensor", label);
    if (!fine(w)) return;
    memcpy(t.name, name, label.n + 1);
    void *list = w->tensors;
    if (sn_grow(&list, &w->cap_tensors, w->n_tensors + 1, sizeof t, NULL) != SN_OK) {
        flunk(w, SN_ENOMEM, "out of memory", (sn_str){"", 0});
        return;
    }
    w->tensors = list;
    w->tensors[w->n_tensors++] = t;
    w->offset += (t.n_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void emit(sn_gguf_writer *w, const void *bytes, size_t n)
{
    if (fine(w) && n > 0 && fwrite(bytes, 1, n, w->out.stream) != n) w->status = sn_fail(&w->err, SN_EIO, "%s: cannot write: %m", w->path);
}

static void emit_padding(sn_gguf_writer *w, size_t written)
{
    static const unsigned char zeros[ALIGNMENT];
    emit(w, zeros, (ALIGNMENT - written % ALIGNMENT) % ALIGNMENT);
}

/* Puts the tensors' descriptions behind the keys, and writes it all. */
static void start(sn_gguf_writer *w)
{
    const uint32_t version = 3;
    const uint64_t counts[2] = {w->n_tensors, w->n_kv};
    size_t offset = 0;
    if (w->started) return;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const sn_tensor *t = &w->tensors[i];
        put_str(w, str_of(t->name));
        put_u32(w, (uint32_t)t->n_dims);
        for (size_t d = t->n_dims; d-- > 0;) put_u64(w, t->shape[d]); /* the file has the fastest axis first */
        put_u32(w, (uint32_t)t->type);
        put_u64(w, offset);
        offset += (t->n_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    }
    emit(w, "GGUF", 4);
    emit(w, &version, sizeof version);
    emit(w, counts, sizeof counts);
    emit(w, w->keys.p, w->keys.n);
    if (w->n_tensors > 0) emit_padding(w, 4 + sizeof version + sizeof counts + w->keys.n);
    w->started = true;
}

void sn_gguf_write_data(sn_gguf_writer *w, const void *data, size_t n_bytes)
{
    const unsigned char *p = data;
    if (fine(w)) start(w);
    while (fine(w) && n_bytes > 0) {
        if (w->n_done == w->n_tensors) {
            flunk(w, SN_EUSAGE, "more data than the tensors declared", (sn_str){"", 0});
            return;
        }
        const sn_tensor *t = &w->tensors[w->n_done];
        size_t n = t->n_bytes - w->tensor_at < n_bytes ? t->n_bytes - w->tensor_at : n_bytes;
        emit(w, p, n);
        p += n;
        n_bytes -= n;
        w->tensor_at += n;
        if (w->tensor_at == t->n_bytes) {
            emit_padding(w, t->n_bytes);
            w->n_done++;
            w->tensor_at = 0;
        }
    }
}

bool sn_gguf_writable(const sn_gguf_writer *w)
{
    return fine(w);
}

static void release(sn_gguf_writer *w)
{
    sn_free(w->keys.p);
    sn_free(w->key_spans);
    sn_free(w->tensors);
    free(w->path);
    sn_free(w);
}

/* What the check says begins with the temporary's name, which is nobody's. */
static void check_bytes(sn_gguf_writer *w, sn_status (*check)(const char *path, sn_err *err))
{
    const size_t n = w->out.temp != NULL ? strlen(w->out.temp) : 0;
    sn_err why = {.code = SN_OK};
    if (n == 0 || fflush(w->out.stream) != 0) return; /* the commit says that nothing can be written */
    const sn_status st = check(w->out.temp, &why);
    if (st == SN_OK) return;
    const char *said = strncmp(why.msg, w->out.temp, n) == 0 && why.msg[n] == ':' ? why.msg + n + 2 : why.msg;
    w->status = st;
    sn_fail(&w->err, st, "%s: would be no model that can be used: %s", w->path, said);
}

sn_status sn_gguf_finish_checked(sn_gguf_writer *w, sn_status (*check)(const char *path, sn_err *err), sn_err *err)
{
    if (fine(w)) start(w);
    if (fine(w) && w->n_done < w->n_tensors) flunk(w, SN_EUSAGE, "data is missing from tensor", str_of(w->tensors[w->n_done].name));
    if (fine(w) && check != NULL) check_bytes(w, check);
    sn_status status = w->status;
    if (status == SN_OK) {
        status = sn_out_commit(&w->out, err);
    } else {
        sn_out_discard(&w->out);
        sn_fail(err, status, "%s", w->err.msg);
    }
    release(w);
    return status;
}

sn_status sn_gguf_finish(sn_gguf_writer *w, sn_err *err)
{
    return sn_gguf_finish_checked(w, NULL, err);
}

void sn_gguf_abandon(sn_gguf_writer *w)
{
    if (w == NULL) return;
    sn_out_discard(&w->out);
    release(w);
}
