/* decoder.h: private to text/: a decoder's weights, what tells one family of decoders from another, and the forward pass.
 *
 * All families here share one graph, Llama's (Touvron et al. 2023): RMS norm, grouped-query attention with rotary positions,
 * SwiGLU. What differs is data in txt_family and txt_arch; a family with another graph is another file beside llama.c. */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "../core/bind.h"
#include "text.h"

/* Numbers of the graph beyond txt_hparams. The scales of Granite are folded into them, so the graph has no branch for it. */
typedef struct {
    float eps;            /* of every RMS norm */
    float rope_base;      /* theta */
    float rope_factor;    /* linear scaling: positions are divided by it */
    size_t n_rot;         /* values of a head that rotate; even, <= d_head */
    float embd_scale;     /* what embedding rows are multiplied by on their way in */
    float attn_scale;     /* what scores are multiplied by before the softmax */
    float logit_scale;    /* what logits are multiplied by: folded into out_norm at open */
    size_t no_rope_every; /* every so-manieth layer carries no positions (NoPE); 0: all do */
} txt_arch;

/* A family: one file in families/, ending in this, and one line in model.c. */
typedef struct {
    const char *arch;              /* general.architecture, and the prefix of its keys */
    bool rope_interleaved;         /* q and k are stored with the pairs of a rotation side by side */
    sn_bias qkv_bias, linear_bias; /* of q, k and v; of the other products in a layer */
    /* Reads what this family has beyond the common keys and changes `a` accordingly; NULL: nothing. */
    sn_status (*read)(txt_arch *a, const sn_gguf *g, sn_err *err);
} txt_family;

extern const txt_family txt_family_llama, txt_family_mistral3, txt_family_qwen2, txt_family_granite, txt_family_smollm3;

typedef struct {
    sn_norm attn_norm;  /* [n_embd]; HF input_layernorm */
    sn_linear q;        /* [n_head * d_head, n_embd] */
    sn_linear k, v;     /* [n_head_kv * d_head, n_embd] */
    sn_linear out;      /* [n_embd, n_head * d_head]; HF self_attn.o_proj */
    sn_norm ffn_norm;   /* [n_embd]; HF post_attention_layernorm */
    sn_linear gate, up; /* [n_ff, n_embd] */
    sn_linear down;     /* [n_embd, n_ff] */
} txt_layer;

struct txt_model {
    sn_gguf *gguf;
    sn_compute *compute; /* borrowed */
    txt_vocab *vocab;
    const txt_family *family;
    txt_hparams hp;
    txt_arch a;
    float *inv_freq;       /* [n_rot / 2] radians per position */
    const sn_tensor *embd; /* [n_vocab, n_embd], in the map; HF embed_tokens */
    sn_linear output;      /* [n_vocab, n_embd]; HF lm_head; of embd's tensor where the file ties the two */
    sn_norm out_norm;      /* [n_embd]; HF model.norm */
    txt_layer *layers;     /* [n_layer] */
};

/* Keys and values of all positions so far, F16, [n_layer, n_head_kv, n_ctx, d_head]: what one head reads is one stretch. */
typedef struct {
    uint16_t *k, *v;
    size_t n_ctx;
} txt_kv;

/* Runs n_tok positions, the first at n_past, through all layers: x [n_tok, n_embd] becomes, in its last n_out rows, what
 * enters the last norm; the rows before those end undefined. Keys and values go into kv. n_past + n_tok <= kv->n_ctx.
 * Scratch: txt_llama_scratch_bytes(m, n_tok) of `tmp`, given back. */
void txt_llama_forward(const txt_model *m, const txt_kv *kv, size_t n_past, float *x, size_t n_tok, size_t n_out, sn_arena *tmp);
/* logits [n, n_vocab] of rows x [n, n_embd], which are overwritten. */
void txt_llama_logits(const txt_model *m, float *logits, float *x, size_t n, sn_arena *tmp);
size_t txt_llama_scratch_bytes(const txt_model *m, size_t n_tok);

#endif
