/* nn_attention.c: attention in blocks of keys with an online softmax (Milakov & Gimelshein 2018; Dao et al. 2022).
 *
 * Many queries: those of the heads that share a key head go in panels of f_rows, one query a lane, and everything is done the other
 * way up, so that maxima and sums run down the lanes and the softmax's output is at once the next product's panel:
 *
 *     S [n_key, rows] = K · Qᵀ        panel Qᵀ [d_head, rows], tiles of keys
 *     P = exp(S - max), rescaling O   softmax_step
 *     O [d_head, rows] += Vᵀ · P      panel P [n_key, rows], V's rows as they are being the tiles
 *
 * Few queries (a token, or one with guesses of what follows): a dot product with each key and a weighted sum of the values, head by head.
 * Blocks start at multiples of BLOCK keys, so that a query's result does not depend on which others it came with. */
#include "attention.h"
#include "kernels.h"
#include "nn.h"
#include "quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 96, MAX_PANELS = 4, FEW = SN_FEW_QUERIES };

/* The score of a key before the window: below any other, and finite, so that a query that has seen nothing else yet holds numbers,
 * which its first true key shrinks to 0. */
#define UNSEEN (-1e30f)

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

typedef struct {
    sn_compute *c;
    const k_ops *k;
    const sn_attention_args *a;
    size_t group;    /* query heads a key head */
    size_t n_rows;   /* queries of such a group: n_q * group; row r is query r / group, head r % group of it */
    size_t per_item; /* rows that go through the keys together: up to MAX_PANELS panels */
    size_t items;    /* a key head's */
} attention;

/* Keys that query i sees. */
static size_t visible(const sn_attention_args *a, size_t i)
{
    return a->causal ? min_size(a->n_kv, a->first_pos + i + 1) : a->n_kv;
}

/* The first key that query i sees. */
static size_t oldest(const sn_attention_args *a, size_t i)
{
    return a->window > 0 && a->first_pos + i >= a->window ? a->first_pos + i + 1 - a->window : 0;
}

static const void *kv_row(const sn_attention_args *a, const void *base, size_t head, size_t row)
{
    const sn_type_info *type = sn_type_get(a->kv_type);
    return (const char *)base + (head * a->ld_head + row * a->ld_kv) / type->block * type->bytes;
}

static float *out_row(const attention *t, size_t head_kv, size_t row)
{
    return t->a->out + row / t->group * t->a->ld_out + (head_kv * t->group + row % t->group) * t->a->d_head;
}

/* ---- few queries ---- */

static void few_row(const attention *t, size_t head, size_t i, float *s)
{
    const sn_attention_args *a = t->a;
    const size_t head_kv = head / t->group, n = visible(a, i), d = a->d_head;
    size_t n_key;
    float q[SN_MAX_D_HEAD], *o = a->out + i * a->ld_out + head * d, max = -INFINITY, sum = 0;
    for (size_t j = 0; j < d; j++) q[j] = a->q[i * a->ld_q + head * d + j] * a->scale;
    memset(o, 0, d * sizeof(float));
    for (size_t at = oldest(a, i); at < n; at += n_key) {
        n_key = min_size(BLOCK - at % BLOCK, n - at);
        const void *k = kv_row(a, a->k, head_kv, at), *v = kv_row(a, a->v, head_kv, at);
        (a->kv_type == SN_F16 ? t->k->dots_f16 : a->kv_type == SN_Q8_0 ? t->k->dots_q8_0 : t->k->dots_f32)(s, q, k, a->ld_kv, n_key, d);
        const float block_max = t->k->max_of(s, n_key);
        if (block_max > max) {
            const float shrink = expf(max - block_max);
            t->k->scale_row(o, d, shrink);
            sum *= shrink;
            max = block_max;
        }
        sum += t->k->exp_sum(s, n_key, max);
        (a->kv_type == SN_F16 ? t->k->blend_f16 : a->kv_type == SN_Q8_0 ? t->k->blend_q8_0 : t->k->blend_f32)(o, s, v, a->ld_kv, n_key, d);
    }
    t->k->scale_row(o, d, 1 / sum);
}

typedef struct {
    sn_compute *c;
    const sn_attention_args *all;
    size_t n;
} few;

static attention attention_of(sn_compute *c, const sn_attention_args *a)
{
    assert(a->d_head <= SN_MAX_D_HEAD && a->n_kv > 0 && a->n_head_kv > 0 && a->n_head % a->n_head_kv == 0);
    assert(a->kv_type == SN_F32 || a->kv_type == SN_F16 || (a->kv_type == SN_Q8_0 && a->d_head % 32 == 0));
    return (attention){.c = c, .k = sn_compute_ops(c), .a = a, .group = a->n_head / a->n_head_kv};
}

/* A share of each of them, so that all threads do as much whatever their lengths; which gets one head more goes round. */
static void few_part(void *arg, size_t part, size_t n_parts)
{
    const few *f = arg;
    float s[BLOCK];
    for (size_t i = 0; i < f->n; i++) {
        const attention t = attention_of(f->c, &f->all[i]);
        size_t begin, end;
        sn_share(t.a->n_q * t.a->n_head, 1, (part + i) % n_parts, n_parts, &begin, &end);
        for (size_t item = begin; item < end; item++) few_row(&t, item / t.a->n_q, item % t.a->n_q, s);
    }
}

void sn_attention_each(sn_compute *c, const sn_attention_args *a, size_t n)
{
    for (size_t i = 0; i < n; i++) assert(a[i].n_q <= FEW);
    sn_parallel(c, few_part, &(few){c, a, n});
}

/* ---- many queries ---- */

typedef struct {    /* in the thread's scratch; R = f_rows */
    float *q;       /* [n_panels][d_head, R] */
    float *o;       /* [n_panels][d_head, R] */
    float *s;       /* [BLOCK, R] */
    float *keys;    /* tiles of [d_head, f_tile] */
    float *rows;    /* [BLOCK, d_head]: keys, then values, as f32 */
    float *m, *l;   /* [n_panels, R] */
    int32_t *limit; /* [R] */
} many;

static many many_lay_out(const attention *t, float *base)
{
    const size_t R = t->k->f_rows, d = t->a->d_head;
    many w;
    w.q = base;
    w.o = w.q + MAX_PANELS * d * R;
    w.s = w.o + MAX_PANELS * d * R;
    w.keys = w.s + BLOCK * R;
    w.rows = w.keys + BLOCK * d;
    w.m = w.rows + BLOCK * d;
    w.l = w.m + MAX_PANELS * R;
    w.limit = (int32_t *)(void *)(w.l + MAX_PANELS * R);
    return w;
}
_Static_assert(sizeof(float) * (2 * MAX_PANELS * SN_MAX_D_HEAD * K_MAX_ROWS + BLOCK * K_MAX_ROWS + 2 * BLOCK * SN_MAX_D_HEAD +
                                2 * MAX_PANELS * K_MAX_ROWS + K_MAX_ROWS) <=
                   K_SCRATCH_BYTES,
               "a thread's scratch");

/* Rows first .. first + n - 1 of key head head_kv, scaled, into panels; the lanes without a row are zeros. */
static void load_queries(const attention *t, const many *w, size_t head_kv, size_t first, size_t n)
{
    const size_t R = t->k->f_rows, d = t->a->d_head, n_panels = (n + R - 1) / R;
    memset(w->q, 0, n_panels * d * R * sizeof(float));
    memset(w->o, 0, n_panels * d * R * sizeof(float));
    for (size_t r = 0; r < n_panels * R; r++) {
        w->m[r] = -INFINITY;
        w->l[r] = 0;
        if (r >= n) continue;
        const size_t i = (first + r) / t->group, h = head_kv * t->group + (first + r) % t->group;
        const float *q = t->a->q + i * t->a->ld_q + h * d;
        for (size_t j = 0; j < d; j++) w->q[(r / R * d + j) * R + r % R] = q[j] * t->a->scale;
    }
}

void sn_attention_rows(float *dst, const sn_attention_args *a, const k_ops *k, const void *base, size_t head_kv, size_t at, size_t n)
{
    const size_t d = a->d_head;
    for (size_t j = 0; j < n; j++) {
        const void *row = kv_row(a, base, head_kv, at + j);
        switch (a->kv_type) {
        case SN_F16: k->f16_to_f32(dst + j * d, row, d); break;
        case SN_Q8_0: sn_dequantize_q8_0(dst + j * d, row, d); break;
        default: memcpy(dst + j * d, row, d * sizeof(float)); break;
        }
    }
}

static void load_keys(const attention *t, const many *w, size_t head_kv, size_t at, size_t n)
{
    const size_t T = t->k->f_tile, d = t->a->d_head;
    sn_attention_rows(w->rows, t->a, t->k, t->a->k, head_kv, at, n);
    for (size_t j = 0; j < n; j += T) t->k->tile_f(w->keys + j * d, w->rows + j * d, d, min_size(T, n - j), d);
}

/* n keys against one panel of queries, of which the first n_lanes are rows first, first + 1, ... */
static void block_step(const attention *t, const many *w, size_t panel, size_t first, size_t n_lanes, size_t at, size_t n)
{
    const size_t R = t->k->f_rows, T = t->k->f_tile, d = t->a->d_head;
    const bool masked = visible(t->a, first / t->group) < at + n;
    float *o = w->o + panel * d * R;
    for (size_t j = 0; j < n; j += T) {
        const k_dest to = {w->s + j * R, R, R, NULL, false};
        const size_t n_tok = min_size(T, n - j);
        t->k->product_f(&to, w->q + panel * d * R, w->keys + j * d, n_tok, d, n_tok);
    }
    for (size_t r = 0; r < n_lanes; r++) {
        const size_t from = oldest(t->a, (first + r) / t->group);
        for (size_t j = at; j < from && j < at + n; j++) w->s[(j - at) * R + r] = UNSEEN;
    }
    for (size_t r = 0; masked && r < R; r++) {
        const size_t seen = visible(t->a, (first + min_size(r, n_lanes - 1)) / t->group);
        w->limit[r] = seen > at ? (int32_t)min_size(seen - at, n) : 0;
    }
    t->k->softmax_step(w->s, n, masked ? w->limit : NULL, w->m + panel * R, w->l + panel * R, o, d);
    for (size_t j = 0; j < d; j += T) {
        const k_dest to = {o + j * R, R, R, NULL, true};
        t->k->product_f(&to, w->s, w->rows + j, d, n, min_size(T, d - j));
    }
}

static void many_item(const attention *t, const many *w, size_t head_kv, size_t first, size_t n)
{
    const size_t R = t->k->f_rows, d = t->a->d_head, n_kv = visible(t->a, (first + n - 1) / t->group);
    load_queries(t, w, head_kv, first, n);
    for (size_t at = oldest(t->a, first / t->group) / BLOCK * BLOCK; at < n_kv; at += BLOCK) {
        const size_t n_key = min_size(BLOCK, n_kv - at);
        load_keys(t, w, head_kv, at, n_key);
        sn_attention_rows(w->rows, t->a, t->k, t->a->v, head_kv, at, n_key);
        for (size_t p = 0; p * R < n; p++) block_step(t, w, p, first + p * R, min_size(R, n - p * R), at, n_key);
    }
    for (size_t r = 0; r < n; r++) {
        float *out = out_row(t, head_kv, first + r);
        const float scale = 1 / w->l[r];
        for (size_t j = 0; j < d; j++) out[j] = w->o[(r / R * d + j) * R + r % R] * scale;
    }
}

/* Items of causal attention differ in cost, so they are dealt out in turn instead of in runs. */
static void many_part(void *arg, size_t part, size_t n_parts)
{
    const attention *t = arg;
    const many w = many_lay_out(t, sn_compute_scratch(t->c, part));
    for (size_t i = part; i < t->items * t->a->n_head_kv; i += n_parts) {
        const size_t first = i / t->a->n_head_kv * t->per_item;
        many_item(t, &w, i % t->a->n_head_kv, first, min_size(t->per_item, t->n_rows - first));
    }
}

void sn_attention(sn_compute *c, const sn_attention_args *a)
{
    if (a->n_q <= FEW) {
        sn_attention_each(c, a, 1);
        return;
    }
    attention t = attention_of(c, a);
    if (sn_compute_coarse(c) && !a->causal && a->window == 0) {
        sn_attention_i16(c, a);
        return;
    }
    t.n_rows = a->n_q * t.group;
    t.per_item = MAX_PANELS * t.k->f_rows;
    t.items = (t.n_rows + t.per_item - 1) / t.per_item;
    sn_parallel(c, many_part, &t);
}
