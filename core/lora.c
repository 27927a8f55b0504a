/* lora.c: reading an adapter and holding it against its model. */
#include "lora.h"

#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_RANK = 1 << 14 }; /* far above any in use: full rank is the width of a model */
#define MAX_SCALE 1e6f

#define EMBEDDING "token_embd.weight"
#define OUTPUT "output.weight"

/* ---- the file ---- */

/* The value of a string key, for a message. */
static const char *string_of(const sn_gguf *g, const char *key, char *buf, size_t room)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv == NULL || kv->type != SN_KV_STRING) return "nothing";
    snprintf(buf, room, "\"%.*s\"", kv->strings[0].n < 60 ? (int)kv->strings[0].n : 60, kv->strings[0].p);
    return buf;
}

static bool key_is(const sn_gguf *g, const char *key, const char *value)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    return kv != NULL && kv->type == SN_KV_STRING && sn_str_eq(kv->strings[0], value);
}

static sn_status check_kind(const sn_gguf *g, const sn_gguf *base, sn_err *err)
{
    static const char arch[] = "general.architecture";
    char is[80], want[80];
    const sn_kv *ours = sn_gguf_find(base, arch), *theirs = sn_gguf_find(g, arch);
    if (!key_is(g, "general.type", "adapter"))
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is not a LoRA: general.type is %s, want \"adapter\"", sn_gguf_path(g),
                       string_of(g, "general.type", is, sizeof is));
    if (!key_is(g, "adapter.type", "lora"))
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is not a LoRA: adapter.type is %s, want \"lora\"", sn_gguf_path(g),
                       string_of(g, "adapter.type", is, sizeof is));
    if (ours == NULL || theirs == NULL || ours->type != SN_KV_STRING || theirs->type != SN_KV_STRING ||
        ours->strings[0].n != theirs->strings[0].n || memcmp(ours->strings[0].p, theirs->strings[0].p, ours->strings[0].n) != 0)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is a LoRA for general.architecture %s, but %s is %s", sn_gguf_path(g),
                       string_of(g, arch, is, sizeof is), sn_gguf_path(base), string_of(base, arch, want, sizeof want));
    if (sn_gguf_find(g, "adapter.alora.invocation_tokens") != NULL)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is an activated LoRA (aLoRA), which is not supported", sn_gguf_path(g));
    return SN_OK;
}

/* ---- its pairs ---- */

/* Rows and columns of a matrix; a writer may have left out rows of 1. */
static bool matrix(const sn_tensor *t, size_t shape[2])
{
    shape[0] = t->n_dims == 2 ? t->shape[0] : 1;
    shape[1] = t->shape[t->n_dims - 1];
    return t->n_dims <= 2 && sn_type_get(t->type)->dequantize != NULL;
}

/* What was wanted of t ("[rank, 64]"), and what the file has. */
static sn_status misfit(const sn_gguf *g, const sn_tensor *t, const char *want, const sn_gguf *base, const sn_tensor *w, sn_err *err)
{
    char have[96], theirs[96];
    sn_shape_text(have, sizeof have, t->shape, t->n_dims);
    sn_shape_text(theirs, sizeof theirs, w->shape, w->n_dims);
    return sn_fail(err, SN_ESHAPE, "%s: %s: want %s for %s %s of %s, file has %s %s", sn_gguf_path(g), t->name, want, w->name, theirs,
                   sn_gguf_path(base), sn_type_get(t->type)->name, have);
}

/* Checks p's shapes; sets its rank. */
static sn_status check_shapes(const sn_gguf *g, const sn_gguf *base, sn_lora_pair *p, sn_err *err)
{
    size_t a[2], b[2], w[2];
    char want[64];
    const bool a_good = matrix(p->a, a), b_good = matrix(p->b, b);
    if (!matrix(p->base, w) || p->base->n_dims != 2)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: %s: %s of %s is no matrix of weights", sn_gguf_path(g), p->a->name, p->base->name,
                       sn_gguf_path(base));
    const size_t a_len = p->embedding ? w[0] : w[1], b_len = p->embedding ? w[1] : w[0];
    p->rank = a_good ? a[p->embedding ? 1 : 0] : 0;
    snprintf(want, sizeof want, p->embedding ? "[%zu, rank]" : "[rank, %zu]", a_len);
    if (!a_good || a[p->embedding ? 0 : 1] != a_len) return misfit(g, p->a, want, base, p->base, err);
    snprintf(want, sizeof want, "[%zu, %zu]", b_len, p->rank);
    if (!b_good || b[0] != b_len || b[1] != p->rank) return misfit(g, p->b, want, base, p->base, err);
    if (p->rank > MAX_RANK)
        return sn_fail(err, SN_ELIMIT, "%s: %s: of rank %zu; the limit is %d", sn_gguf_path(g), p->a->name, p->rank, MAX_RANK);
    return SN_OK;
}

/* The partner of t, whose name ends in "a" or "b"; NULL: t is no half of a pair. `name` becomes that of their matrix. */
static const sn_tensor *partner_of(const sn_gguf *g, const sn_tensor *t, char name[SN_MAX_NAME + 1], sn_err *err)
{
    static const char suffix[] = ".lora_a";
    const size_t n = strlen(t->name), cut = sizeof suffix - 1;
    const char half = n > cut ? t->name[n - 1] : 0;
    char other[SN_MAX_NAME + 1];
    if (n <= cut || (half != 'a' && half != 'b') || memcmp(t->name + n - cut, suffix, cut - 1) != 0) {
        sn_fail(err, SN_EUNSUPPORTED, "%s: %s: a LoRA has pairs of lora_a and lora_b; this is neither", sn_gguf_path(g), t->name);
        return NULL;
    }
    memcpy(other, t->name, n + 1);
    other[n - 1] = half == 'a' ? 'b' : 'a';
    memcpy(name, t->name, n - cut);
    name[n - cut] = '\0';
    const sn_tensor *partner = sn_gguf_tensor(g, other);
    if (partner == NULL) sn_fail(err, SN_EFORMAT, "%s: %s: its partner %s is missing", sn_gguf_path(g), t->name, other);
    return partner;
}

/* The pair of t, unless t is its second half (*skip). */
static sn_status read_pair(const sn_gguf *g, const sn_gguf *base, const sn_tensor *t, sn_lora_pair *p, bool *skip, sn_err *err)
{
    char name[SN_MAX_NAME + 1];
    const sn_tensor *partner = partner_of(g, t, name, err);
    if (partner == NULL) return err != NULL ? err->code : SN_EFORMAT;
    *skip = t->name[strlen(t->name) - 1] == 'b';
    if (*skip) return SN_OK;
    *p = (sn_lora_pair){.base = sn_gguf_tensor(base, name), .a = t, .b = partner, .embedding = strcmp(name, EMBEDDING) == 0};
    if (p->base == NULL && strcmp(name, OUTPUT) == 0) {
        p->base = sn_gguf_tensor(base, EMBEDDING);
        p->tied_output = true;
    }
    if (p->base == NULL)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: %s: %s has no tensor %s; is this LoRA another model's?", sn_gguf_path(g), t->name,
                       sn_gguf_path(base), name);
    return check_shapes(g, base, p, err);
}

static sn_status read_pairs(sn_lora *l, const sn_gguf *base, float alpha, float scale, sn_err *err)
{
    const size_t n = sn_gguf_n_tensors(l->gguf);
    l->pairs = sn_calloc(n, sizeof *l->pairs);
    if (l->pairs == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(l->gguf));
    for (size_t i = 0; i < n; i++) {
        sn_lora_pair *p = &l->pairs[l->n];
        bool skip;
        sn_status status = read_pair(l->gguf, base, sn_gguf_tensor_at(l->gguf, i), p, &skip, err);
        if (status != SN_OK) return status;
        if (skip) continue;
        p->factor = alpha != 0 ? scale * alpha / (float)p->rank : scale; /* 0: files that say none, to llama.cpp */
        l->n++;
    }
    if (l->n == 0) return sn_fail(err, SN_EFORMAT, "%s: is a LoRA without tensors", sn_gguf_path(l->gguf));
    return SN_OK;
}

sn_status sn_lora_open(sn_lora *l, const char *path, const sn_gguf *base, float scale, sn_err *err)
{
    float alpha = 0;
    *l = (sn_lora){.gguf = NULL};
    if (!(fabsf(scale) <= MAX_SCALE))
        return sn_fail(err, SN_EUSAGE, "%s: a scale of %g; want -%g to %g", path, (double)scale, (double)MAX_SCALE, (double)MAX_SCALE);
    sn_status status = sn_gguf_open(&l->gguf, path, err);
    if (status == SN_OK) status = check_kind(l->gguf, base, err);
    if (status == SN_OK) status = sn_gguf_f32_or(l->gguf, "adapter.lora.alpha", 0, &alpha, err);
    if (status == SN_OK && !(fabsf(alpha) <= MAX_SCALE))
        status = sn_fail(err, SN_EFORMAT, "%s: adapter.lora.alpha: want -%g to %g, file has %g", path, (double)MAX_SCALE, (double)MAX_SCALE,
                         (double)alpha);
    if (status == SN_OK) status = read_pairs(l, base, alpha, scale, err);
    if (status != SN_OK) sn_lora_close(l);
    return status;
}

void sn_lora_close(sn_lora *l)
{
    sn_gguf_close(l->gguf);
    sn_free(l->pairs);
    *l = (sn_lora){.gguf = NULL};
}
