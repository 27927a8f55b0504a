/* decoder.h: private to text/: a decoder's weights, what tells one family of decoders from another, and the forward pass.
 *
 * All families here share one graph, Llama's (Touvron et al. 2023): RMS norm, grouped-query attention with rotary positions,
 * SwiGLU. What differs is data in txt_family and txt_arch: further norms, layers that look back over a window only, rotations
 * that follow a picture's rows and columns. A family with another graph is another file beside llama.c. */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "../core/bind.h"
#include "../core/lora.h"
#include "text.h"

/* Numbers of the graph beyond txt_hparams. The scales of Granite are folded into them, so the graph has no branch for it. */
typedef struct {
    float eps;               /* of every RMS norm */
    float rope_base;         /* theta */
    float rope_factor;       /* linear scaling: positions are divided by it */
    size_t n_rot;            /* values of a head that rotate; even, <= d_head */
    float embd_scale;        /* what embedding rows are multiplied by on their way in */
    float attn_scale;        /* what scores are multiplied by before the softmax */
    float logit_scale;       /* what logits are multiplied by: folded into out_norm at open */
    size_t no_rope_every;    /* every so-manieth layer carries no positions (NoPE); 0: all do */
    float token_scale;       /* what the embedding rows of tokens, not those of media, are multiplied by */
    size_t window;           /* keys that a local layer looks back over; 0: no layer is local */
    size_t global_every;     /* every so-manieth layer is not local all the same; > 0 */
    float rope_base_local;   /* theta of local layers, whose positions are not divided */
    bool media_both_ways;    /* the rows of a medium attend to one another in both directions */
    size_t rope_sections[3]; /* pairs that turn with a row's time, height, width, in this order; all 0: all with its position */
    bool sections_woven;     /* not in this order: of each three pairs one turns with each, until the height's and width's are all */
    size_t n_deep;           /* layers behind each of which a medium's rows get a further n_embd values added (DeepStack) */
} txt_arch;

/* A family: one file in families/, ending in this, and one line in TXT_FAMILIES. */
typedef struct {
    const char *arch;              /* general.architecture, and the prefix of its keys */
    bool rope_interleaved;         /* q and k are stored with the pairs of a rotation side by side */
    sn_bias qkv_bias, linear_bias; /* of q, k and v; of the other products in a layer */
    bool qk_norm;                  /* each head's queries and keys are normed before they turn */
    bool post_norm;                /* what attention and feed-forward add to the stream is normed first */
    bool gelu;                     /* GELU (tanh) in the gate, in place of SiLU */
    /* Reads what this family has beyond the common keys and changes `a` accordingly; NULL: nothing. */
    sn_status (*read)(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err);
} txt_family;

/* clang-format off */
#define TXT_FAMILIES(X) \
    X(txt_family_llama) \
    X(txt_family_mistral3) \
    X(txt_family_qwen2) \
    X(txt_family_granite) \
    X(txt_family_smollm3) \
    X(txt_family_gemma3) \
    X(txt_family_qwen2vl) \
    X(txt_family_qwen3) \
    X(txt_family_qwen3vl)
/* clang-format on */
#define TXT_DECLARE_FAMILY(family) extern const txt_family family;
TXT_FAMILIES(TXT_DECLARE_FAMILY)

/* a->rope_sections of the array under `key`, which must sum up to the pairs that rotate. */
sn_status txt_read_rope_sections(txt_arch *a, const sn_gguf *g, const char *key, sn_err *err);

typedef struct {
    sn_norm attn_norm;                     /* [n_embd]; HF input_layernorm */
    sn_linear q;                           /* [n_head * d_head, n_embd] */
    sn_linear k, v;                        /* [n_head_kv * d_head, n_embd] */
    sn_linear out;                         /* [n_embd, n_head * d_head]; HF self_attn.o_proj */
    sn_norm ffn_norm;                      /* [n_embd]; HF post_attention_layernorm */
    sn_linear gate, up;                    /* [n_ff, n_embd] */
    sn_linear down;                        /* [n_embd, n_ff] */
    sn_norm q_norm, k_norm;                /* [d_head]; n 0 where the family has none, as the next two */
    sn_norm attn_post_norm, ffn_post_norm; /* [n_embd] */
} txt_layer;

/* A LoRA on a model (adapter.c). */
typedef struct txt_adapter {
    sn_lora file;
    sn_low_rank *pairs;       /* [file.n]; zeros for the embedding's, which is: */
    const sn_lora_pair *embd; /* the pair of the token embedding, or NULL; its rows are read like the embedding's own */
    float *embd_b;            /* [rank, n_embd] */
    struct txt_adapter *next;
} txt_adapter;

struct txt_model {
    sn_gguf *gguf;
    sn_compute *compute; /* borrowed */
    txt_vocab *vocab;
    const txt_family *family;
    txt_hparams hp;
    txt_arch a;
    size_t n_axes;             /* of a position: 1, or 3 (time, height, width) */
    float *inv_freq;           /* [n_axes, n_rot / 2] radians per position; 0 where a pair does not turn with this axis */
    float *inv_freq_local;     /* the same of local layers, or NULL */
    const sn_tensor *embd;     /* [n_vocab, n_embd], in the map; HF embed_tokens */
    sn_linear output;          /* [n_vocab, n_embd]; HF lm_head; of embd's tensor where the file ties the two */
    sn_norm out_norm;          /* [n_embd]; HF model.norm */
    txt_layer *layers;         /* [n_layer] */
    txt_adapter *adapters;     /* in the order of the command line, or NULL */
    struct txt_chorus *chorus; /* of the sessions that write at once; NULL where the compute has one caller */
};

/* Keys and values of all positions so far, F16 or Q8_0, [n_layer, n_head_kv, n_ctx, d_head]: what one head reads is one stretch. */
typedef struct {
    void *k, *v;
    size_t n_ctx;
    sn_type type;
} txt_kv;

typedef struct { /* rows of a block that follow one another in one cache */
    const txt_kv *kv;
    size_t n_past, n_tok; /* they take its places n_past .. n_past + n_tok - 1 < n_ctx */
} txt_stretch;

typedef struct { /* rows that go through the layers together */
    const txt_stretch *stretches;
    size_t n_stretch;   /* of as many caches; several are of a row each, and SN_MAX_CALLERS at most */
    size_t n_tok;       /* in all */
    const int32_t *pos; /* [m->n_axes, n_tok]: what they turn with */
    bool both_ways;     /* each sees all of its stretch, not only those before it */
    const float *deep;  /* what is added behind the first n_deep layers, [n_tok, n_deep, n_embd], rows ld_deep apart; or NULL */
    size_t ld_deep;
} txt_block;

/* Runs a block through all layers: x [n_tok, n_embd] becomes, in its last n_out rows, what enters the last norm; the rows before
 * those end undefined. n_out is n_tok where there are several stretches. Keys and values go into the caches. What becomes of a row does
 * not depend on which others it came with. Scratch: txt_llama_scratch_bytes(m, n_tok) of `tmp`, given back. */
void txt_llama_forward(const txt_model *m, const txt_block *b, float *x, size_t n_out, sn_arena *tmp);
/* logits [n, n_vocab] of rows x [n, n_embd], which are overwritten. */
void txt_llama_logits(const txt_model *m, float *logits, float *x, size_t n, sn_arena *tmp);
size_t txt_llama_scratch_bytes(const txt_model *m, size_t n_tok);

/* chorus.c: the next tokens of several sessions in one block. */
typedef struct txt_chorus txt_chorus;
sn_status txt_chorus_open(txt_chorus **out, const txt_model *m, sn_err *err);
void txt_chorus_close(txt_chorus *c);
size_t txt_chorus_bytes(const txt_chorus *c);
void txt_chorus_join(txt_chorus *c);
void txt_chorus_leave(txt_chorus *c);
/* One token, at the place n_past of kv, pos [m->n_axes]: logits [n_vocab]. */
void txt_chorus_next(txt_chorus *c, const txt_kv *kv, size_t n_past, const int32_t *pos, txt_id id, float *logits);

void txt_adapters_free(txt_model *m);
size_t txt_adapters_bytes(const txt_model *m);
/* row [n_embd] += what the adapters add to the embedding of a token. */
void txt_adapters_embed(const txt_model *m, txt_id id, float *row);

#endif
