/* llama.c: the forward pass of the Llama family (Touvron et al. 2023; grouped queries: Ainslie et al. 2023; RoPE: Su et al.
 * 2021; SwiGLU: Shazeer 2020). */
#include "../core/nn.h"
#include "decoder.h"

/* a [n_tok, n_head, d_head] = queries q, at positions first .. first + n_tok - 1, over all keys up to their own positions. */
static void attend(const txt_model *m, const txt_kv *kv, size_t il, float *a, const float *q, size_t n_tok, size_t first)
{
    const size_t dh = m->hp.d_head, n_q = m->hp.n_head * dh, layer = il * m->hp.n_head_kv * kv->n_ctx * dh;
    const sn_attention_args args = {
        .out = a,
        .ld_out = n_q,
        .q = q,
        .ld_q = n_q,
        .n_q = n_tok,
        .k = kv->k + layer,
        .v = kv->v + layer,
        .kv_type = SN_F16,
        .ld_kv = dh,
        .ld_head = kv->n_ctx * dh,
        .n_kv = first + n_tok,
        .n_head = m->hp.n_head,
        .n_head_kv = m->hp.n_head_kv,
        .d_head = dh,
        .scale = m->a.attn_scale,
        .causal = true,
        .first_pos = first,
    };
    sn_attention(m->compute, &args);
}

/* Layer il of n_tok positions: x [n_tok, n_embd], in place. Only the last n_out rows are carried through; the others leave
 * their keys and values behind and are done, as in the last layer, whose rows nobody attends to. */
static void llama_layer(const txt_model *m, const txt_kv *kv, size_t il, size_t n_past, const int32_t *pos, float *x, size_t n_tok,
                        size_t n_out, sn_arena *tmp)
{
    const txt_layer *L = &m->layers[il];
    sn_compute *c = m->compute;
    const size_t d = m->hp.n_embd, dh = m->hp.d_head, n_head = m->hp.n_head, n_head_kv = m->hp.n_head_kv, n_ff = m->hp.n_ff;
    const size_t n_q = n_head * dh, n_kv = n_head_kv * dh, skip = n_tok - n_out, mark = sn_arena_mark(tmp);
    const bool rope = m->a.no_rope_every == 0 || (il + 1) % m->a.no_rope_every != 0;
    uint16_t *keys = kv->k + il * n_kv * kv->n_ctx;   /* [n_head_kv, n_ctx, d_head] */
    uint16_t *values = kv->v + il * n_kv * kv->n_ctx; /* [n_head_kv, n_ctx, d_head] */
    float *h = sn_arena_f32(tmp, n_tok * d);          /* [n_tok, n_embd] */
    float *k = sn_arena_f32(tmp, n_tok * n_kv);       /* [n_tok, n_head_kv, d_head] */
    float *v = sn_arena_f32(tmp, n_tok * n_kv);       /* [n_tok, n_head_kv, d_head] */
    float *q = sn_arena_f32(tmp, n_out * n_q);        /* [n_out, n_head, d_head] */
    float *a = sn_arena_f32(tmp, n_out * n_q);        /* [n_out, n_head, d_head] */
    float *gate = sn_arena_f32(tmp, n_out * n_ff);    /* [n_out, n_ff] */
    float *up = sn_arena_f32(tmp, n_out * n_ff);      /* [n_out, n_ff] */

    sn_rmsnorm(c, h, x, &L->attn_norm, n_tok, m->a.eps);
    sn_linear_apply(c, k, n_kv, h, d, &L->k, n_tok, tmp);
    sn_linear_apply(c, v, n_kv, h, d, &L->v, n_tok, tmp);
    if (rope) sn_rope(c, k, n_kv, n_tok, n_head_kv, dh, m->a.n_rot, pos, m->inv_freq, m->family->rope_interleaved);
    for (size_t j = 0; j < n_head_kv; j++) {
        sn_f32_to_f16_rows(keys + (j * kv->n_ctx + n_past) * dh, dh, k + j * dh, n_kv, n_tok, dh);
        sn_f32_to_f16_rows(values + (j * kv->n_ctx + n_past) * dh, dh, v + j * dh, n_kv, n_tok, dh);
    }
    x += skip * d; /* from here on [n_out, n_embd] */
    h += skip * d;
    if (n_out > 0) {
        sn_linear_apply(c, q, n_q, h, d, &L->q, n_out, tmp);
        if (rope) sn_rope(c, q, n_q, n_out, n_head, dh, m->a.n_rot, pos + skip, m->inv_freq, m->family->rope_interleaved);
        attend(m, kv, il, a, q, n_out, n_past + skip);
        sn_linear_add(c, x, d, a, n_q, &L->out, n_out, tmp);

        sn_rmsnorm(c, h, x, &L->ffn_norm, n_out, m->a.eps);
        sn_linear_apply(c, gate, n_ff, h, d, &L->gate, n_out, tmp);
        sn_linear_apply(c, up, n_ff, h, d, &L->up, n_out, tmp);
        sn_swiglu(c, gate, up, n_out * n_ff);
        sn_linear_add(c, x, d, gate, n_ff, &L->down, n_out, tmp);
    }
    sn_arena_reset(tmp, mark);
}

void txt_llama_forward(const txt_model *m, const txt_kv *kv, size_t n_past, float *x, size_t n_tok, size_t n_out, sn_arena *tmp)
{
    const size_t mark = sn_arena_mark(tmp);
    int32_t *pos = sn_arena_alloc(tmp, n_tok * sizeof *pos); /* [n_tok] */
    for (size_t i = 0; i < n_tok; i++) pos[i] = (int32_t)(n_past + i);
    for (size_t il = 0; il < m->hp.n_layer; il++)
        llama_layer(m, kv, il, n_past, pos, x, n_tok, il + 1 < m->hp.n_layer ? n_tok : n_out, tmp);
    sn_arena_reset(tmp, mark);
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
    return sn_arena_cost(n_tok * sizeof(int32_t)) +    /* pos */
           sn_arena_cost_f32(n_tok * m->hp.n_embd) +   /* h */
           2 * sn_arena_cost_f32(n_tok * n_kv) +       /* k, v */
           2 * sn_arena_cost_f32(n_tok * n_q) +        /* q, a */
           2 * sn_arena_cost_f32(n_tok * m->hp.n_ff) + /* gate, up */
           linear_scratch_bytes(m, n_tok);
}
