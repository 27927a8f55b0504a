/* vit.h: the vision transformer of CLIP, SigLIP, DINOv2, InternViT, Pixtral and Qwen2-VL: one graph, whose parts are data. Private to vision/. */
#ifndef VISION_VIT_H
#define VISION_VIT_H

#include "../core/bind.h"
#include "../core/nn.h"
#include "vision.h"

static inline size_t vis_max(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline size_t vis_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

typedef struct {                                  /* clip.vision.*, checked */
    size_t image_px, patch_px;                    /* the trained square's side, a patch's side */
    size_t n_embd, n_head, d_head, n_ff, n_layer; /* n_layer: blocks stored in the file */
    float eps, mean[3], std[3];
} vit_hparams;

typedef struct {         /* v.blk.N.* */
    sn_norm ln1, ln2;    /* [n_embd]; HF layer_norm1, layer_norm2 */
    sn_linear q, k, v;   /* [n_embd, n_embd]; attn_q, attn_k, attn_v; or */
    sn_linear qkv;       /* [3 * n_embd, n_embd]; attn_qkv */
    sn_linear out;       /* [n_embd, n_embd]; attn_out */
    sn_linear fc1, gate; /* [n_ff, n_embd]; ffn_up, ffn_gate (gated files only) */
    sn_linear fc2;       /* [n_embd, n_ff]; ffn_down */
    float *ls1, *ls2;    /* [n_embd] or NULL: LayerScale */
} vit_block;

typedef struct { /* what the family knows and the file does not say */
    sn_act act;
    bool rms;          /* RMS norms, no biases (Pixtral) */
    bool gated;        /* SwiGLU with v.blk.N.ffn_gate */
    float rope_base;   /* 0: positions are learned alone; else rows turn the first half of a head's pairs, columns the second */
    bool post_ln;      /* v.post_ln must be there, and is applied */
    bool rope_halves;  /* rows and columns turn with the same frequencies, and a pair's values lie half a head apart */
    bool stretch_pos;  /* with rope_base: positions are learned as well, for a square of image_px that is stretched over the picture */
    bool two_frames;   /* the convolution takes two frames (v.patch_embd.weight and .1): a picture is both of them */
    size_t merge;      /* rows come block by block of merge x merge patches; 0: row by row of the picture. Only with rope_base */
    size_t window;     /* patches a side, a multiple of merge: rows come window by window, and attend within theirs; 0: none */
    size_t full_every; /* every so-manieth block attends to all in spite of the windows */
    bool no_patches;   /* the family makes the rows itself, positions included, and runs vit_blocks on them */
} vit_options;

#define VIT_MAX_FEATURES 16
#define VIT_MAX_PATCHES                                                                                                                    \
    65536 /* of a tile, against absurd files: the largest pictures of Qwen2-VL and Qwen3-VL, as published, have as many */

typedef struct {
    vit_hparams hp;
    vit_options opt;
    size_t n_run; /* blocks that run, <= n_layer */
    /* 0: the output is that of the last block. Else the states behind features[i] <= n_run blocks (0: what goes into the first) come
     * side by side, and post_ln is not applied. */
    size_t n_features, features[VIT_MAX_FEATURES];
    sn_linear patch;         /* [n_embd, 3 * patch_px * patch_px] */
    float *patch_w;          /* its f32 rows, owned */
    float *class_embd;       /* [n_embd] or NULL: a class token in front of the patches */
    float *pos;              /* [n_class + n_patch, n_embd] or NULL */
    sn_norm pre_ln, post_ln; /* n 0: none */
    vit_block *blocks;       /* [n_layer] */
    float *freq_y, *freq_x;  /* [d_head / 2] or NULL: radians per row and per column */
} vit;

/* Reads and checks clip.vision.*. */
sn_status vit_read_hparams(vit_hparams *hp, const sn_gguf *g, sn_err *err);
/* Binds everything under "v."; problems stick in b. v->hp, v->opt and v->n_run are set by the caller. On failure vit_close(v). */
void vit_bind(vit *v, sn_bind *b);
void vit_close(vit *v);
size_t vit_bytes(const vit *v);

static inline size_t vit_n_class(const vit *v)
{
    return v->class_embd ? 1 : 0;
}
/* Columns of the output. */
static inline size_t vit_width(const vit *v)
{
    return (v->n_features ? v->n_features : 1) * v->hp.n_embd;
}
/* Rows of the output for a picture of w x h pixels; pixels at the right and lower edges that fill no patch are not seen. */
static inline size_t vit_n_tok(const vit *v, size_t w, size_t h)
{
    return vit_n_class(v) + (w / v->hp.patch_px) * (h / v->hp.patch_px);
}

/* Which patch of n_x x n_y each row is, pos_y and pos_x [n_x * n_y]: windows, in them merged blocks, in them patches, row by row each.
 * Windows and blocks at the right and lower edges may be smaller. */
void vit_order(const vit *v, size_t n_x, size_t n_y, int32_t *pos_y, int32_t *pos_x);
/* x [n_tok, vit_width], n_tok = vit_n_tok(v, w, h), class row first = the states behind n_run blocks (and post_ln, where asked for), or
 * the features, of pixels [3, h, w], normalised. With learned positions that
 * are not stretched, w = h = image_px. */
void vit_forward(const vit *v, sn_compute *c, float *x, const float *pixels, size_t w, size_t h, sn_arena *tmp);
size_t vit_scratch_bytes(const vit *v, const sn_compute *c, size_t w, size_t h);

/* The part of it behind the patches: x [n_x * n_y, n_embd], rows that a family made, in place. Only with no_patches, without features. */
void vit_blocks(const vit *v, sn_compute *c, float *x, size_t n_x, size_t n_y, sn_arena *tmp);
size_t vit_blocks_scratch_bytes(const vit *v, const sn_compute *c, size_t n_tok);

#endif
