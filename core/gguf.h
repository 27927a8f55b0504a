/* gguf.h: GGUF v2/v3 files (github.com/ggml-org/ggml, docs/gguf.md): a mapped, fully checked reader, and a writer.
 *
 * sn_gguf_open checks every count, length, type, offset and alignment against the file's size before it is used, so what
 * the getters return may be trusted: strings and arrays lie inside the map, tensors are aligned, inside the file and do not
 * overlap, names are unique. What the values mean is the caller's to check. Messages begin with the file's name. */
#ifndef CORE_GGUF_H
#define CORE_GGUF_H

#include "error.h"
#include "tensor.h"

typedef struct sn_gguf sn_gguf;

/* The ids of the file format. */
/* clang-format off */
typedef enum {
    SN_KV_U8 = 0, SN_KV_I8, SN_KV_U16, SN_KV_I16, SN_KV_U32, SN_KV_I32, SN_KV_F32, SN_KV_BOOL,
    SN_KV_STRING, SN_KV_ARRAY, SN_KV_U64, SN_KV_I64, SN_KV_F64
} sn_kv_type;
/* clang-format on */

typedef struct { /* bytes in the map, not NUL-terminated */
    const char *p;
    size_t n;
} sn_str;

typedef struct {
    sn_str key;
    sn_kv_type type, elem; /* elem: of an array; nested arrays are refused */
    size_t n;              /* elements of an array, 1 otherwise */
    const void *data;      /* the packed value(s), unaligned, little-endian */
    const sn_str *strings; /* [n] for SN_KV_STRING and arrays of strings */
} sn_kv;

const char *sn_kv_type_name(sn_kv_type type); /* "u32" */
size_t sn_kv_type_bytes(sn_kv_type type);     /* of one value; 0 for strings and arrays */

sn_status sn_gguf_open(sn_gguf **out, const char *path, sn_err *err);
void sn_gguf_close(sn_gguf *g);
const char *sn_gguf_path(const sn_gguf *g);
size_t sn_gguf_bytes(const sn_gguf *g);
void sn_gguf_forget(const sn_gguf *g, const sn_tensor *t);                    /* its data leaves memory until it is touched again */
void sn_gguf_forget_part(const sn_gguf *g, const void *data, size_t n_bytes); /* the same for a part of a tensor's */
uint32_t sn_gguf_version(const sn_gguf *g);

size_t sn_gguf_n_kv(const sn_gguf *g);
const sn_kv *sn_gguf_kv_at(const sn_gguf *g, size_t i);
const sn_kv *sn_gguf_find(const sn_gguf *g, const char *key); /* NULL: no such key */
size_t sn_gguf_n_tensors(const sn_gguf *g);
const sn_tensor *sn_gguf_tensor_at(const sn_gguf *g, size_t i);
const sn_tensor *sn_gguf_tensor(const sn_gguf *g, const char *name); /* NULL: no such tensor */

/* Scalars. The key must exist and be an integer (any width) in [min, max] / a float / a bool; otherwise SN_EFORMAT with a
 * line naming key, want and found. The _or forms give `absent` where the key does not exist, but still refuse a wrong type. */
sn_status sn_gguf_u32(const sn_gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t *out, sn_err *err);
sn_status sn_gguf_u32_or(const sn_gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t absent, uint32_t *out, sn_err *err);
sn_status sn_gguf_f32(const sn_gguf *g, const char *key, float *out, sn_err *err); /* finite */
sn_status sn_gguf_f32_or(const sn_gguf *g, const char *key, float absent, float *out, sn_err *err);
sn_status sn_gguf_bool_or(const sn_gguf *g, const char *key, bool absent, bool *out, sn_err *err);
/* A string, or {NULL, 0} where the key is absent. */
sn_status sn_gguf_str_or(const sn_gguf *g, const char *key, sn_str *out, sn_err *err);
bool sn_str_eq(sn_str s, const char *z);
/* Element i of a numeric array or scalar, converted. i < kv->n. */
double sn_kv_f64(const sn_kv *kv, size_t i);
int64_t sn_kv_i64(const sn_kv *kv, size_t i);

/* ---- writing: set keys, declare tensors, then stream the data in the order declared ---- */
typedef struct sn_gguf_writer sn_gguf_writer;

sn_status sn_gguf_create(sn_gguf_writer **out, const char *path, sn_err *err); /* a temporary until finish */
void sn_gguf_set_u32(sn_gguf_writer *w, const char *key, uint32_t v);
void sn_gguf_set_i32(sn_gguf_writer *w, const char *key, int32_t v);
void sn_gguf_set_f32(sn_gguf_writer *w, const char *key, float v);
void sn_gguf_set_bool(sn_gguf_writer *w, const char *key, bool v);
void sn_gguf_set_str(sn_gguf_writer *w, const char *key, const char *v, size_t n);
void sn_gguf_set_strs(sn_gguf_writer *w, const char *key, const sn_str *v, size_t n);
void sn_gguf_set_array(sn_gguf_writer *w, const char *key, sn_kv_type elem, const void *v, size_t n);
/* A copy of a read key. (A general.alignment is left out: files are written with 32, the default.) */
void sn_gguf_set_kv(sn_gguf_writer *w, const sn_kv *kv);
/* shape: slowest axis first, n_dims of them. */
void sn_gguf_add_tensor(sn_gguf_writer *w, const char *name, sn_type type, const size_t *shape, size_t n_dims);
/* Bytes of the next declared tensor(s): may be called many times for one tensor. */
void sn_gguf_write_data(sn_gguf_writer *w, const void *data, size_t n_bytes);
/* False: a call above has failed, and more data would be lost; sn_gguf_finish says why. */
bool sn_gguf_writable(const sn_gguf_writer *w);
/* The first problem of any call above (they are sticky), or SN_OK and the file stands under its name. Frees w. */
sn_status sn_gguf_finish(sn_gguf_writer *w, sn_err *err);
/* The same, where check (path of the finished bytes, which do not stand under their name yet) is content with them. What goes to a device or to
 * standard output is not checked. */
sn_status sn_gguf_finish_checked(sn_gguf_writer *w, sn_status (*check)(const char *path, sn_err *err), sn_err *err);
void sn_gguf_abandon(sn_gguf_writer *w);

#endif
