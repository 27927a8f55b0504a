#include "bind.h"

#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAME_ROOM 160 /* longer than any tensor name in a file, so that a name cut here is never found there */

sn_status sn_bind_init(sn_bind *b, const sn_gguf *g, sn_compute *c, sn_err *err)
{
    *b = (sn_bind){.gguf = g, .compute = c, .err = err, .status = SN_OK};
    b->used = sn_calloc(sn_gguf_n_tensors(g), sizeof *b->used);
    if (b->used == NULL) b->status = sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    return b->status;
}

/* Takes the axes of 1 off both ends; they are how files write a bias as a row or a column. */
static void trim(const size_t **shape, size_t *n_dims)
{
    while (*n_dims > 1 && (*shape)[0] == 1) {
        (*shape)++;
        (*n_dims)--;
    }
    while (*n_dims > 1 && (*shape)[*n_dims - 1] == 1) (*n_dims)--;
}

static bool same_shape(const size_t *a, size_t n_a, const size_t *b, size_t n_b)
{
    trim(&a, &n_a);
    trim(&b, &n_b);
    return n_a == n_b && memcmp(a, b, n_a * sizeof *a) == 0;
}

/* The tensor `name` where it has the shape and a type that holds weights; NULL after recording what is wrong, or where it is
 * optional and absent. */
static const sn_tensor *take(sn_bind *b, const char *name, const size_t *shape, size_t n_dims, bool optional)
{
    char want[128], have[128];
    if (b->status != SN_OK) return NULL;
    const sn_tensor *t = sn_gguf_tensor(b->gguf, name);
    if (t == NULL && optional) return NULL;
    sn_shape_text(want, sizeof want, shape, n_dims);
    if (t == NULL) {
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: want %s, file has no such tensor", name, want);
        return NULL;
    }
    const sn_type_info *info = sn_type_get(t->type);
    sn_shape_text(have, sizeof have, t->shape, t->n_dims);
    if (!same_shape(shape, n_dims, t->shape, t->n_dims)) {
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: want %s, file has %s %s", name, want, info->name, have);
        return NULL;
    }
    if (info->dequantize == NULL) {
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: want a type for weights, file has %s %s", name, info->name, have);
        return NULL;
    }
    b->used[t - sn_gguf_tensor_at(b->gguf, 0)] = true;
    return t;
}

/* A copy of `name` in f32, or NULL (see take). */
static float *take_f32(sn_bind *b, const char *name, const size_t *shape, size_t n_dims, bool optional)
{
    const sn_tensor *t = take(b, name, shape, n_dims, optional);
    if (t == NULL) return NULL;
    float *values = sn_alloc(t->n_values, sizeof *values);
    if (values == NULL) {
        b->status = sn_fail(b->err, SN_ENOMEM, "%s: out of memory (%zu values)", name, t->n_values);
        return NULL;
    }
    sn_type_get(t->type)->dequantize(values, t->data, t->n_values);
    return values;
}

/* name + suffix from a printf format; cut where it is too long, which then is a tensor that no file has. */
static void spell(char out[NAME_ROOM], const char *suffix, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, NAME_ROOM, fmt, ap);
    size_t at = n < 0 ? 0 : (size_t)n < NAME_ROOM ? (size_t)n : NAME_ROOM - 1;
    snprintf(out + at, NAME_ROOM - at, "%s", suffix);
}

void sn_bind_linear(sn_bind *b, sn_linear *w, size_t n_out, size_t n_in, sn_bias bias, const char *name, ...)
{
    char weight_name[NAME_ROOM], bias_name[NAME_ROOM];
    va_list ap;
    va_start(ap, name);
    spell(weight_name, ".weight", name, ap);
    va_end(ap);
    va_start(ap, name);
    spell(bias_name, ".bias", name, ap);
    va_end(ap);
    *w = (sn_linear){0};
    const sn_tensor *t = take(b, weight_name, (size_t[]){n_out, n_in}, 2, false);
    float *values = bias == SN_BIAS_NONE ? NULL : take_f32(b, bias_name, &n_out, 1, bias == SN_BIAS_OPTIONAL); /* [n_out] */
    if (b->status == SN_OK) {
        b->status = b->plan ? sn_linear_plan(w, b->compute, t->type, n_out, n_in, t->data, b->err)
                            : sn_linear_init(w, b->compute, t->type, n_out, n_in, t->data, values, b->err);
        if (b->status != SN_OK) sn_wrap(b->err, "%s", weight_name);
        w->coarse = b->coarse;
        if (w->packed != NULL) sn_gguf_forget(b->gguf, t); /* else a model would stand in memory twice, packed and mapped */
    }
    sn_free(values);
}

void sn_bind_norm(sn_bind *b, sn_norm *w, size_t n, sn_bias bias, const char *name, ...)
{
    char weight_name[NAME_ROOM], bias_name[NAME_ROOM];
    va_list ap;
    va_start(ap, name);
    spell(weight_name, ".weight", name, ap);
    va_end(ap);
    va_start(ap, name);
    spell(bias_name, ".bias", name, ap);
    va_end(ap);
    *w = (sn_norm){.n = n};
    w->weight = take_f32(b, weight_name, &n, 1, false);                                          /* [n] */
    if (bias != SN_BIAS_NONE) w->bias = take_f32(b, bias_name, &n, 1, bias == SN_BIAS_OPTIONAL); /* [n] */
}

void sn_bind_f32(sn_bind *b, float **out, const size_t *shape, size_t n_dims, bool optional, const char *name, ...)
{
    char full[NAME_ROOM];
    va_list ap;
    va_start(ap, name);
    spell(full, "", name, ap);
    va_end(ap);
    *out = take_f32(b, full, shape, n_dims, optional);
}

void sn_bind_tensor(sn_bind *b, const sn_tensor **out, const size_t *shape, size_t n_dims, const char *name, ...)
{
    char full[NAME_ROOM];
    va_list ap;
    va_start(ap, name);
    spell(full, "", name, ap);
    va_end(ap);
    *out = take(b, full, shape, n_dims, false);
}

bool sn_bind_has(const sn_bind *b, const char *name, ...)
{
    char full[NAME_ROOM];
    va_list ap;
    va_start(ap, name);
    spell(full, "", name, ap);
    va_end(ap);
    return sn_gguf_tensor(b->gguf, full) != NULL;
}

const sn_tensor *sn_bind_unused(const sn_bind *b)
{
    for (size_t i = 0; b->used != NULL && i < sn_gguf_n_tensors(b->gguf); i++)
        if (!b->used[i]) return sn_gguf_tensor_at(b->gguf, i);
    return NULL;
}

sn_status sn_bind_done(sn_bind *b)
{
    if (b->status != SN_OK) sn_wrap(b->err, "%s", sn_gguf_path(b->gguf));
    sn_free(b->used);
    b->used = NULL;
    return b->status;
}
