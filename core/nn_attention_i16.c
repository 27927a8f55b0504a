/* nn_attention_i16.c: attention of many queries that all see all keys, an encoder's, over values rounded to 16 bits (kernels.h), in blocks of keys
 * with an online softmax as nn_attention.c has it:
 *
 *     S [n_key, R] = K · Qᵀ        panel Q [R, d_head], tiles of keys
 *     P = exp(S - max), rescaling O
 *     O [d_head, R] += Vᵀ · P      panel P [R, n_key], tiles of V's columns
 *
 * The softmax itself is float32. All blocks hold the same keys for every query, so that a query's result does not depend on its company. */
#include "attention.h"
#include "kernels.h"
#include "tensor.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 128, ITEMS_A_THREAD = 4 };

typedef struct {
    sn_compute *c;
    const k_ops *k;
    const sn_attention_args *a;
    size_t group, n_rows;   /* query heads a key head; queries of such a group */
    size_t per_item, items; /* rows that go through the keys together; such items of a key head */
} attention;

typedef struct {           /* in the thread's scratch; R = i16_rows */
    float *m, *l;          /* [panel][R]: maxima and sums so far */
    float *o;              /* [panel][d_head, R] */
    float *s;              /* [BLOCK, R] */
    float *rows, *columns; /* [BLOCK, d_head] and transposed, [d_head, BLOCK] */
    unsigned char *q;      /* [panel] of R queries */
    unsigned char *p;      /* panel of R rows of BLOCK weights */
    unsigned char *keys;   /* tiles of keys */
    unsigned char *values; /* tiles of columns */
} workspace;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t panel_floats(const attention *t)
{
    return t->k->i16_rows * (2 + t->a->d_head);
}

/* Of the workspace, without what each panel takes. */
static size_t fixed_bytes(const attention *t)
{
    const size_t R = t->k->i16_rows, d = t->a->d_head;
    return sizeof(float) * (BLOCK * R + max_size(BLOCK, R) * d + d * BLOCK) + k_i16_bytes(BLOCK, R) + k_i16_bytes(d, BLOCK) +
           k_i16_bytes(BLOCK, d);
}

static size_t most_panels(const attention *t)
{
    return (K_SCRATCH_BYTES - fixed_bytes(t)) / (sizeof(float) * panel_floats(t) + k_i16_bytes(t->a->d_head, t->k->i16_rows));
}

static workspace lay_out(const attention *t, float *base)
{
    const size_t R = t->k->i16_rows, d = t->a->d_head, n_panels = t->per_item / R;
    workspace w;
    w.m = base;
    w.l = w.m + n_panels * R;
    w.o = w.l + n_panels * R;
    w.s = w.o + n_panels * d * R;
    w.rows = w.s + BLOCK * R;
    w.columns = w.rows + max_size(BLOCK, R) * d;
    w.q = (unsigned char *)(w.columns + d * BLOCK);
    w.p = w.q + n_panels * k_i16_bytes(d, R);
    w.keys = w.p + k_i16_bytes(BLOCK, R);
    w.values = w.keys + k_i16_bytes(d, BLOCK);
    return w;
}

/* Rows first .. first + n - 1 of key head head_kv, scaled, into panels; the lanes without a row are zeros. */
static void load_queries(const attention *t, const workspace *w, size_t head_kv, size_t first, size_t n)
{
    const size_t R = t->k->i16_rows, d = t->a->d_head;
    for (size_t r = 0; r < n; r += R) {
        const size_t n_rows = min_size(R, n - r);
        for (size_t i = 0; i < n_rows; i++) {
            const size_t row = first + r + i, head = head_kv * t->group + row % t->group;
            const float *q = t->a->q + row / t->group * t->a->ld_q + head * d;
            for (size_t j = 0; j < d; j++) w->rows[i * d + j] = q[j] * t->a->scale;
        }
        k_i16_panel_pack(t->k, w->q + r / R * k_i16_bytes(d, R), SN_F32, w->rows, d * sizeof(float), n_rows, d);
    }
    const size_t lanes = (n + R - 1) / R * R;
    for (size_t r = 0; r < lanes; r++) w->m[r] = -INFINITY;
    memset(w->l, 0, lanes * sizeof *w->l);
    memset(w->o, 0, lanes * d * sizeof *w->o);
}

/* n rows of d values at src, as tiles. */
static void make_tiles(const k_ops *k, unsigned char *tiles, const float *src, size_t ld, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j += k->i16_tile)
        k_i16_tile(k, tiles + j * k_i16_bytes(d, 1), src + j * ld, ld, min_size(k->i16_tile, n - j), d);
}

static void load_block(const attention *t, const workspace *w, size_t head_kv, size_t at, size_t n)
{
    const size_t d = t->a->d_head;
    sn_attention_rows(w->rows, t->a, t->k, t->a->k, head_kv, at, n);
    make_tiles(t->k, w->keys, w->rows, d, n, d);
    sn_attention_rows(w->rows, t->a, t->k, t->a->v, head_kv, at, n);
    t->k->tile_f(w->columns, w->rows, d, n, d);
    make_tiles(t->k, w->values, w->columns, n, d, n);
}

/* y [n, R] (+)= n rows of width d in tiles, by a panel. */
static void multiply(const k_ops *k, float *y, bool add, const unsigned char *panel, const unsigned char *tiles, size_t n, size_t d)
{
    const size_t R = k->i16_rows;
    for (size_t j = 0; j < n; j += k->i16_tile) {
        const k_dest to = {y + j * R, R, R, NULL, add};
        k->product_i16(&to, panel, tiles + j * k_i16_bytes(d, 1), d, min_size(k->i16_tile, n - j));
    }
}

/* The n queries of a panel, from row `first` on. */
static void store_outputs(const attention *t, const workspace *w, size_t head_kv, size_t first, size_t panel, size_t n)
{
    const size_t R = t->k->i16_rows, d = t->a->d_head;
    t->k->tile_f(w->rows, w->o + panel * d * R, R, d, R); /* [R, d_head] */
    for (size_t i = 0; i < n; i++) {
        const size_t row = first + i, head = head_kv * t->group + row % t->group;
        float *out = t->a->out + row / t->group * t->a->ld_out + head * d;
        memcpy(out, w->rows + i * d, d * sizeof *out);
        t->k->scale_row(out, d, 1 / w->l[panel * R + i]);
    }
}

static void attend(const attention *t, const workspace *w, size_t head_kv, size_t first, size_t n)
{
    const size_t R = t->k->i16_rows, d = t->a->d_head;
    load_queries(t, w, head_kv, first, n);
    for (size_t at = 0, n_key; at < t->a->n_kv; at += n_key) {
        n_key = min_size(BLOCK, t->a->n_kv - at);
        load_block(t, w, head_kv, at, n_key);
        for (size_t i = 0; i * R < n; i++) {
            float *o = w->o + i * d * R;
            multiply(t->k, w->s, false, w->q + i * k_i16_bytes(d, R), w->keys, n_key, d);
            t->k->softmax_step(w->s, n_key, NULL, w->m + i * R, w->l + i * R, o, d);
            t->k->weights_i16(w->p, w->s, n_key);
            multiply(t->k, o, true, w->p, w->values, d, n_key);
        }
    }
    for (size_t r = 0; r < n; r += R) store_outputs(t, w, head_kv, first + r, r / R, min_size(R, n - r));
}

static void attention_part(void *arg, size_t part, size_t n_parts)
{
    const attention *t = arg;
    const workspace w = lay_out(t, sn_compute_scratch(t->c, part));
    for (size_t i = part; i < t->items * t->a->n_head_kv; i += n_parts) {
        const size_t first = i / t->a->n_head_kv * t->per_item;
        attend(t, &w, i % t->a->n_head_kv, first, min_size(t->per_item, t->n_rows - first));
    }
}

void sn_attention_i16(sn_compute *c, const sn_attention_args *a)
{
    attention t = {.c = c, .k = sn_compute_ops(c), .a = a, .group = a->n_head / a->n_head_kv};
    const size_t R = t.k->i16_rows;
    t.n_rows = a->n_q * t.group;
    /* Keys are made ready once an item, so an item is as large as memory and the threads' shares allow. */
    const size_t n_panels = (t.n_rows + R - 1) / R, fair = n_panels * a->n_head_kv / (ITEMS_A_THREAD * sn_compute_threads(c)) + 1;
    t.per_item = R * min_size(n_panels, min_size(fair, most_panels(&t)));
    t.items = (t.n_rows + t.per_item - 1) / t.per_item;
    sn_parallel(c, attention_part, &t);
}
