/* llama.c: the forward pass of the Llama family (Touvron et al. 2023; grouped queries: Ainslie et al. 2023; RoPE: Su et al.
 * 2021; SwiGLU: Shazeer 2020; norms of queries and keys: Dehghani et al. 2023; local layers: Beltagy et al. 2020; positions in
 * three directions: Qwen2-VL, Wang et al. 2024; media that enter at several layers: DeepStack, Meng et al. 2024). */
#include "../core/nn.h"
#include "decoder.h"

#include <assert.h>

static bool is_local(const txt_model *m, size_t il)
{
    return m->a.window > 0 && (il + 1) % m->a.global_every != 0;
}

/* x [n, n_head, d_head] of the last n rows of a block: normed where the family does that, and turned. */
static void place(const txt_model *m, size_t il, const txt_block *b, float *x, size_t n, size_t n_head, const sn_norm *w)
{
    const size_t dh = m->hp.d_head, n_pair = m->a.n_rot / 2;
    const float *freq = is_local(m, il) ? m->inv_freq_local : m->inv_freq;
    const bool rope = m->a.no_rope_every == 0 || (il + 1) % m->a.no_rope_every != 0;
    if (w->n > 0) sn_rmsnorm(m->compute, x, x, w, n * n_head, m->a.eps);
    for (size_t axis = 0; rope && axis < m->n_axes; axis++)
        sn_rope(m->compute, x, n_head * dh, n, n_head, dh, m->a.n_rot, b->pos + axis * b->n_tok + (b->n_tok - n), freq + axis * n_pair,
                m->family->rope_interleaved);
}

/* x += what a branch ends in: the product of y, normed where the family does that. h [n, n_embd] is scratch. */
static void add_branch(const txt_model *m, float *x, const float *y, const sn_linear *w, const sn_norm *norm, float *h, size_t n,
                       sn_arena *tmp)
{
    const size_t d = m->hp.n_embd;
    if (norm->n == 0) {
        sn_linear_add(m->compute, x, d, y, w->n_in, w, n, tmp);
        return;
    }
    sn_linear_apply(m->compute, h, d, y, w->n_in, w, n, tmp);
    sn_rmsnorm(m->compute, h, h, norm, n, m->a.eps);
    sn_add(m->compute, x, h, n * d);
}

/* Value i of one of the two caches. */
static void *cached(const txt_kv *kv, void *base, size_t i)
{
    const sn_type_info *type = sn_type_get(kv->type);
    return (char *)base + i / type->block * type->bytes;
}

/* Keys or values x [n_tok, n_head_kv, d_head] of a stretch into layer il of one of its caches. */
static void store(const txt_model *m, size_t il, const txt_stretch *s, void *base, const float *x)
{
    const size_t dh = m->hp.d_head, n_head_kv = m->hp.n_head_kv, n_kv = n_head_kv * dh;
    for (size_t j = 0; j < n_head_kv; j++) {
        void *to = cached(s->kv, base, ((il * n_head_kv + j) * s->kv->n_ctx + s->n_past) * dh); /* of [n_layer, n_head_kv, n_ctx, d_head] */
        if (s->kv->type == SN_Q8_0)
            sn_f32_to_q8_0_rows(to, dh, x + j * dh, n_kv, s->n_tok, dh);
        else
            sn_f32_to_f16_rows(m->compute, to, dh, x + j * dh, n_kv, s->n_tok, dh);
    }
}

/* Keys and values k, v [n_tok, n_head_kv, d_head] of a block into the caches of its stretches. */
static void store_all(const txt_model *m, size_t il, const txt_block *b, const float *k, const float *v)
{
    const size_t n_kv = m->hp.n_head_kv * m->hp.d_head;
    for (const txt_stretch *s = b->stretches; s < b->stretches + b->n_stretch; k += s->n_tok * n_kv, v += s->n_tok * n_kv, s++) {
        store(m, il, s, s->kv->k, k);
        store(m, il, s, s->kv->v, v);
    }
}

/* For a [n, n_head, d_head] = queries q of the last n rows of a stretch, over all keys up to their own places, or over all of the
 * stretch's. */
static sn_attention_args attention(const txt_model *m, size_t il, const txt_stretch *s, bool both_ways, float *a, const float *q, size_t n)
{
    const size_t dh = m->hp.d_head, n_q = m->hp.n_head * dh, layer = il * m->hp.n_head_kv * s->kv->n_ctx * dh;
    return (sn_attention_args){
        .out = a,
        .ld_out = n_q,
        .q = q,
        .ld_q = n_q,
        .n_q = n,
        .k = cached(s->kv, s->kv->k, layer),
        .v = cached(s->kv, s->kv->v, layer),
        .kv_type = s->kv->type,
        .ld_kv = dh,
        .ld_head = s->kv->n_ctx * dh,
        .n_kv = s->n_past + s->n_tok,
        .n_head = m->hp.n_head,
        .n_head_kv = m->hp.n_head_kv,
        .d_head = dh,
        .scale = m->a.attn_scale,
        .causal = !both_ways,
        .first_pos = s->n_past + s->n_tok - n,
        .window = is_local(m, il) ? m->a.window : 0,
    };
}

/* The last n rows of a block, which are all of them where there are several stretches, of a row each. */
static void attend(const txt_model *m, size_t il, const txt_block *b, float *a, const float *q, size_t n)
{
    const size_t n_q = m->hp.n_head * m->hp.d_head;
    sn_attention_args all[SN_MAX_CALLERS];
    assert(b->n_stretch <= SN_MAX_CALLERS);
    if (b->n_stretch == 1) {
        all[0] = attention(m, il, b->stretches, b->both_ways, a, q, n);
        sn_attention(m->compute, all);
        return;
    }
    for (size_t i = 0; i < b->n_stretch; i++) all[i] = attention(m, il, &b->stretches[i], false, a + i * n_q, q + i * n_q, 1);
    sn_attention_each(m->compute, all, b->n_stretch);
}

/* Layer il of a block: x [n_tok, n_embd], in place. Only the last n_out rows are carried through; the others leave their keys
 * and values behind and are done, as in the last layer, whose rows nobody attends to. */
static void llama_layer(const txt_model *m, size_t il, const txt_block *b, float *x, size_t n_out, sn_arena *tmp)
{
    const txt_layer *L = &m->layers[il];
    sn_compute *c = m->compute;
    const size_t d = m->hp.n_embd, dh = m->hp.d_head, n_head = m->hp.n_head, n_head_kv = m->hp.n_head_kv, n_ff = m->hp.n_ff;
    const size_t n_q = n_head * dh, n_kv = n_head_kv * dh, n_tok = b->n_tok, skip = n_tok - n_out, mark = sn_arena_mark(tmp);
    float *h = sn_arena_f32(tmp, n_tok * d);       /* [n_tok, n_embd] */
    float *k = sn_arena_f32(tmp, n_tok * n_kv);    /* [n_tok, n_head_kv, d_head] */
    float *v = sn_arena_f32(tmp, n_tok * n_kv);    /* [n_tok, n_head_kv, d_head] */
    float *q = sn_arena_f32(tmp, n_out * n_q);     /* [n_out, n_head, d_head] */
    float *a = sn_arena_f32(tmp, n_out * n_q);     /* [n_out, n_head, d_head] */
    float *gate = sn_arena_f32(tmp, n_out * n_ff); /* [n_out, n_ff] */
    float *up = sn_arena_f32(tmp, n_out * n_ff);   /* [n_out, n_ff] */

    sn_rmsnorm(c, h, x, &L->attn_norm, n_tok, m->a.eps);
    sn_linear_apply(c, k, n_kv, h, d, &L->k, n_tok, tmp);
    sn_linear_apply(c, v, n_kv, h, d, &L->v, n_tok, tmp);
    place(m, il, b, k, n_tok, n_head_kv, &L->k_norm);
    store_all(m, il, b, k, v);
    x += skip * d; /* from here on [n_out, n_embd] */
    h += skip * d;
    if (n_out > 0) {
        sn_linear_apply(c, q, n_q, h, d, &L->q, n_out, tmp);
        place(m, il, b, q, n_out, n_head, &L->q_norm);
        attend(m, il, b, a, q, n_out);
        add_branch(m, x, a, &L->out, &L->attn_post_norm, h, n_out, tmp);

        sn_rmsnorm(c, h, x, &L->ffn_norm, n_out, m->a.eps);
        sn_linear_apply(c, gate, n_ff, h, d, &L->gate, n_out, tmp);
        sn_linear_apply(c, up, n_ff, h, d, &L->up, n_out, tmp);
        if (m->family->gelu) {
            sn_activate(c, gate, n_out * n_ff, SN_ACT_GELU_TANH);
            sn_mul(c, gate, up, n_out * n_ff);
        } else {
            sn_swiglu(c, gate, up, n_out * n_ff);
        }
        add_branch(m, x, gate, &L->down, &L->ffn_post_norm, h, n_out, tmp);
    }
    sn_arena_reset(tmp, mark);
}

/* x [n_tok, n_embd] += what the rows bring for the stream behind layer il. */
static void add_deep(const txt_model *m, size_t il, const txt_block *b, float *x)
{
    const size_t d = m->hp.n_embd;
    for (size_t i = 0; i < b->n_tok; i++)
        for (size_t j = 0; j < d; j++) x[i * d + j] += b->deep[i * b->ld_deep + il * d + j];
}

void txt_llama_forward(const txt_model *m, const txt_block *b, float *x, size_t n_out, sn_arena *tmp)
{
    for (size_t il = 0; il < m->hp.n_layer; il++) {
        llama_layer(m, il, b, x, il + 1 < m->hp.n_layer ? b->n_tok : n_out, tmp);
        if (b->deep != NULL && il < m->a.n_deep) add_deep(m, il, b, x);
    }
}

void txt_llama_logits(const txt_model *m, float *logits, float *x, size_t n, sn_arena *tmp)
{
    sn_rmsnorm(m->compute, x, x, &m->out_norm, n, m->a.eps);
    sn_linear_apply(m->compute, logits, m->hp.n_vocab, x, m->hp.n_embd, &m->output, n, tmp);
}

/* The largest scratch that one product of n rows takes; layers may differ in type. */
static size_t linear_scratch_bytes(const txt_model *m, size_t n)
{
    size_t most = sn_linear_scratch_bytes(m->compute, &m->output, n);
    for (size_t il = 0; il < m->hp.n_layer; il++) {
        const txt_layer *L = &m->layers[il];
        const sn_linear *all[] = {&L->q, &L->k, &L->v, &L->out, &L->gate, &L->up, &L->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
            size_t bytes = sn_linear_scratch_bytes(m->compute, all[i], n);
            if (bytes > most) most = bytes;
        }
    }
    return most;
}

size_t txt_llama_scratch_bytes(const txt_model *m, size_t n_tok)
{
    const size_t n_q = m->hp.n_head * m->hp.d_head, n_kv = m->hp.n_head_kv * m->hp.d_head;
    return sn_arena_cost_f32(n_tok * m->hp.n_embd) +   /* h */
           2 * sn_arena_cost_f32(n_tok * n_kv) +       /* k, v */
           2 * sn_arena_cost_f32(n_tok * n_q) +        /* q, a */
           2 * sn_arena_cost_f32(n_tok * m->hp.n_ff) + /* gate, up */
           linear_scratch_bytes(m, n_tok);
}
