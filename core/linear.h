/* linear.h: the one matrix product. All weights, of any type, go through sn_linear_apply: y[n, n_out] = x[n, n_in] · Wᵀ + b. */
#ifndef CORE_LINEAR_H
#define CORE_LINEAR_H

#include "compute.h"
#include "mem.h"
#include "tensor.h"

struct sn_low_rank;

/* A weight bound at open. `packed` is a copy in the order a kernel streams, made only where it was measured to pay, owned,
 * and counted by sn_linear_bytes. */
typedef struct {
    sn_type type;
    size_t n_out, n_in;
    size_t panel_rows; /* rows interleaved in `packed`; private to linear.c */
    bool rounded;      /* F32, F16, BF16: taken with 16 bits, and activations with it */
    bool coarse;       /* activations of quantised weights are taken with 8 bits, not 15. Set behind sn_linear_init */
    const void *data;  /* [n_out, n_in] rows of `type`, as in the file; borrowed */
    void *packed;      /* owned; layout private to linear.c; NULL when rows are streamed from `data` */
    size_t packed_bytes;
    float *bias;               /* [n_out] or NULL; owned */
    struct sn_low_rank *added; /* what adapters add to every product, or NULL; borrowed */
} sn_linear;

/* Adds scale * B (A x) to the products of a weight, without changing it (LoRA: Hu et al. 2021). */
typedef struct sn_low_rank {
    sn_linear a, b; /* [rank, n_in], [n_out, rank]; added NULL */
    float scale;
    struct sn_low_rank *next; /* the next on the same weight */
} sn_low_rank;

/* Takes rows of `type` at `data` (they must outlive w) and an optional bias [n_out] (copied). n_in must be a multiple of the
 * type's block. */
sn_status sn_linear_init(sn_linear *w, sn_compute *c, sn_type type, size_t n_out, size_t n_in, const void *data, const float *bias,
                         sn_err *err);
/* The same without the packed copy and the bias: nothing may be multiplied by w, but what it would take can be asked. */
sn_status sn_linear_plan(sn_linear *w, const sn_compute *c, sn_type type, size_t n_out, size_t n_in, const void *data, sn_err *err);
void sn_linear_free(sn_linear *w);
size_t sn_linear_bytes(const sn_linear *w);        /* memory of its own, the mapped file not counted, nor what is added */
size_t sn_linear_mapped_bytes(const sn_linear *w); /* of the mapped file that a product reads: 0 with a packed copy */
/* Puts d behind what w's products are added already. It must outlive w's use. */
void sn_linear_attach(sn_linear *w, sn_low_rank *d);

/* y[n, n_out] = x[n, n_in] · Wᵀ + b, and what adapters add. Rows of x are ldx floats apart, rows of y ldy (>= n_in, n_out). y does not overlap x.
 * No alignment is needed. Scratch of sn_linear_scratch_bytes(w, n) comes from `tmp` and is given back.
 * Quantised weights multiply activations quantised to 15 bits a block, or 8 where they are `coarse`; F32, F16 and BF16 weights multiply f32, or where they are
 * `rounded` both are taken with 16 bits a block. A row's result does not depend on the others. */
void sn_linear_apply(sn_compute *c, float *y, size_t ldy, const float *x, size_t ldx, const sn_linear *w, size_t n, sn_arena *tmp);
size_t sn_linear_scratch_bytes(const sn_compute *c, const sn_linear *w, size_t n);
/* y += ... : the residual form. */
void sn_linear_add(sn_compute *c, float *y, size_t ldy, const float *x, size_t ldx, const sn_linear *w, size_t n, sn_arena *tmp);

/* One row of W as f32, without what adapters add: the token embedding. row < n_out. */
void sn_linear_row(float *dst, const sn_linear *w, size_t row);

/* A norm's weights; free with sn_norm_free. */
typedef struct {
    float *weight, *bias; /* [n]; bias NULL for RMS norm */
    size_t n;
} sn_norm;
void sn_norm_free(sn_norm *w);

#endif
