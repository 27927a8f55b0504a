/* nn.h: the layers between the matrix products. Activations are f32 row-major [n_tok, n_embd]; all functions use every thread
 * of `c` and leave no state. Transcendental functions are exact to 2e-7 relative on every instruction set. */
#ifndef CORE_NN_H
#define CORE_NN_H

#include "linear.h"

#define SN_FEW_QUERIES 9  /* up to so many get from sn_attention what each would get alone, to the bit */
#define SN_MAX_D_HEAD 512 /* of sn_rope and sn_attention; check a file's value against it at open */

/* y = (x - mean) / sqrt(var + eps) * w + b, per row (Ba et al. 2016). y may be x. */
void sn_layernorm(sn_compute *c, float *y, const float *x, const sn_norm *w, size_t n_tok, float eps);
/* y = x / sqrt(mean(x^2) + eps) * w, per row (Zhang & Sennrich 2019). y may be x. */
void sn_rmsnorm(sn_compute *c, float *y, const float *x, const sn_norm *w, size_t n_tok, float eps);

typedef enum {
    SN_ACT_GELU_ERF,   /* x/2 (1 + erf(x/sqrt 2)): Whisper, DINOv2, projectors */
    SN_ACT_GELU_TANH,  /* x/2 (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3))): SigLIP */
    SN_ACT_GELU_QUICK, /* x sigmoid(1.702 x): CLIP */
    SN_ACT_SILU,       /* x sigmoid(x) */
    SN_ACT_RELU
} sn_act;
void sn_activate(sn_compute *c, float *x, size_t n, sn_act act);
/* gate[i] = silu(gate[i]) * up[i] (SwiGLU). */
void sn_swiglu(sn_compute *c, float *gate, const float *up, size_t n);
void sn_add(sn_compute *c, float *y, const float *x, size_t n); /* y += x */
void sn_mul(sn_compute *c, float *y, const float *x, size_t n); /* y *= x */
void sn_scale_rows_add(sn_compute *c, float *y, const float *x, const float *scale, size_t n_tok,
                       size_t n); /* y += x * scale[n] (LayerScale) */

/* Rotary position embedding in place on x [n_tok, n_head, d_head] (rows ldx apart), for positions pos[n_tok].
 * inv_freq [n_rot / 2] in radians per position. `interleaved`: pairs are (2i, 2i+1) (Llama GGUF), else (i, i + n_rot/2) (NeoX). */
void sn_rope(sn_compute *c, float *x, size_t ldx, size_t n_tok, size_t n_head, size_t d_head, size_t n_rot, const int32_t *pos,
             const float *inv_freq, bool interleaved);

/* Scaled dot-product attention in blocks of keys with an online softmax (Dao et al. 2022): no score matrix is made.
 * Head h of the queries reads head h / (n_head / n_head_kv) of keys and values. Query i sees keys 0 .. n_kv - 1, and where
 * `causal`, only keys up to first_pos + i, and where there is a window, only the last `window` of those up to its own position
 * first_pos + i and what follows it. All strides in elements. */
typedef struct {
    float *out;        /* [n_q, n_head * d_head], rows ld_out apart */
    const float *q;    /* [n_q, n_head, d_head], rows ld_q apart */
    const void *k, *v; /* [n_kv, n_head_kv, d_head], rows ld_kv apart; head h at offset h * ld_head */
    sn_type kv_type;   /* SN_F32, SN_F16, or SN_Q8_0: then d_head, ld_kv and ld_head are whole blocks of 32 */
    size_t n_q, n_kv, n_head, n_head_kv, d_head, ld_out, ld_q, ld_kv, ld_head;
    float scale; /* 1 / sqrt(d_head) */
    bool causal;
    size_t first_pos;
    size_t window; /* 0: none */
} sn_attention_args;
void sn_attention(sn_compute *c, const sn_attention_args *a);
/* n of them, each of at most SN_FEW_QUERIES queries, with the threads started once. */
void sn_attention_each(sn_compute *c, const sn_attention_args *a, size_t n);

void sn_softmax(float *x, size_t n); /* in place, one row */
/* Into a KV cache. */
void sn_f32_to_f16_rows(const sn_compute *c, uint16_t *dst, size_t ld_dst, const float *src, size_t ld_src, size_t n_rows, size_t n);
/* The same as Q8_0: n and ld_dst in values, whole blocks of 32. */
void sn_f32_to_q8_0_rows(void *dst, size_t ld_dst, const float *src, size_t ld_src, size_t n_rows, size_t n);

#endif
