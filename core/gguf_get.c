/* gguf_get.c: the values of keys, with their types and ranges checked. */
#include "gguf.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The type of the numbers that kv holds. */
static sn_kv_type number_type(const sn_kv *kv)
{
    return kv->type == SN_KV_ARRAY ? kv->elem : kv->type;
}

static bool is_integer(sn_kv_type type)
{
    return type <= SN_KV_I32 || type == SN_KV_U64 || type == SN_KV_I64;
}

/* Element i as it lies in the file: its bytes, and zeros above them. */
static uint64_t raw(const sn_kv *kv, size_t i)
{
    uint64_t v = 0;
    size_t bytes = sn_kv_type_bytes(number_type(kv));
    assert(i < kv->n);
    memcpy(&v, (const unsigned char *)kv->data + i * bytes, bytes);
    return v;
}

static double as_f32(uint64_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static double as_f64(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

double sn_kv_f64(const sn_kv *kv, size_t i)
{
    switch (number_type(kv)) {
    case SN_KV_F32: return as_f32(raw(kv, i));
    case SN_KV_F64: return as_f64(raw(kv, i));
    case SN_KV_U64: return (double)raw(kv, i);
    default: return (double)sn_kv_i64(kv, i);
    }
}

/* d cut to a whole number, with what int64 cannot hold clamped and not-a-number as 0. */
static int64_t whole(double d)
{
    if (!(d == d)) return 0;
    if (d >= 0x1p63) return INT64_MAX;
    if (d <= -0x1p63) return INT64_MIN;
    return (int64_t)d;
}

int64_t sn_kv_i64(const sn_kv *kv, size_t i)
{
    switch (number_type(kv)) {
    case SN_KV_U8:
    case SN_KV_BOOL:
    case SN_KV_U16:
    case SN_KV_U32: return (int64_t)raw(kv, i);
    case SN_KV_I8: return (int8_t)raw(kv, i);
    case SN_KV_I16: return (int16_t)raw(kv, i);
    case SN_KV_I32: return (int32_t)raw(kv, i);
    case SN_KV_I64: return (int64_t)raw(kv, i);
    case SN_KV_U64: return raw(kv, i) > INT64_MAX ? INT64_MAX : (int64_t)raw(kv, i);
    case SN_KV_F32: return whole(as_f32(raw(kv, i)));
    case SN_KV_F64: return whole(as_f64(raw(kv, i)));
    default: return 0;
    }
}

/* What the file has, for a message. */
static void found(char *buf, size_t n, const sn_kv *kv)
{
    if (kv == NULL)
        snprintf(buf, n, "no such key");
    else if (kv->type == SN_KV_ARRAY)
        snprintf(buf, n, "an array of %zu %s", kv->n, sn_kv_type_name(kv->elem));
    else if (kv->type == SN_KV_STRING)
        snprintf(buf, n, "the string \"%.*s\"", kv->strings->n > 40 ? 40 : (int)kv->strings->n, kv->strings->p);
    else if (kv->type == SN_KV_BOOL)
        snprintf(buf, n, "the bool %s", sn_kv_i64(kv, 0) != 0 ? "true" : "false");
    else if (is_integer(kv->type))
        snprintf(buf, n, "%lld", (long long)sn_kv_i64(kv, 0));
    else
        snprintf(buf, n, "%g", sn_kv_f64(kv, 0));
}

static sn_status refuse(const sn_gguf *g, const char *key, const char *want, sn_err *err)
{
    char have[96];
    found(have, sizeof have, sn_gguf_find(g, key));
    return sn_fail(err, SN_EFORMAT, "%s: key %s: want %s, file has %s", sn_gguf_path(g), key, want, have);
}

sn_status sn_gguf_u32(const sn_gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t *out, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv == NULL || !is_integer(kv->type) || sn_kv_i64(kv, 0) < (int64_t)min || sn_kv_i64(kv, 0) > (int64_t)max) {
        char want[64];
        snprintf(want, sizeof want, "an integer from %u to %u", min, max);
        return refuse(g, key, want, err);
    }
    *out = (uint32_t)sn_kv_i64(kv, 0);
    return SN_OK;
}

sn_status sn_gguf_u32_or(const sn_gguf *g, const char *key, uint32_t min, uint32_t max, uint32_t absent, uint32_t *out, sn_err *err)
{
    if (sn_gguf_find(g, key) != NULL) return sn_gguf_u32(g, key, min, max, out, err);
    *out = absent;
    return SN_OK;
}

sn_status sn_gguf_f32(const sn_gguf *g, const char *key, float *out, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv == NULL || (kv->type != SN_KV_F32 && kv->type != SN_KV_F64) || !(fabs(sn_kv_f64(kv, 0)) <= FLT_MAX))
        return refuse(g, key, "a finite float", err);
    *out = (float)sn_kv_f64(kv, 0);
    return SN_OK;
}

sn_status sn_gguf_f32_or(const sn_gguf *g, const char *key, float absent, float *out, sn_err *err)
{
    if (sn_gguf_find(g, key) != NULL) return sn_gguf_f32(g, key, out, err);
    *out = absent;
    return SN_OK;
}

sn_status sn_gguf_bool_or(const sn_gguf *g, const char *key, bool absent, bool *out, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv != NULL && kv->type != SN_KV_BOOL) return refuse(g, key, "a bool", err);
    *out = kv != NULL ? sn_kv_i64(kv, 0) != 0 : absent;
    return SN_OK;
}

sn_status sn_gguf_str_or(const sn_gguf *g, const char *key, sn_str *out, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv != NULL && kv->type != SN_KV_STRING) return refuse(g, key, "a string", err);
    *out = kv != NULL ? kv->strings[0] : (sn_str){0};
    return SN_OK;
}
