/* conv.h: 3 x 3 convolutions on pictures kept as rows, pixels, channels: im2col in strips and the one matrix product. Private to vision/. */
#ifndef VISION_CONV_H
#define VISION_CONV_H

#include "../core/bind.h"
#include "../core/nn.h"

#define VIS_CONV_AREA 9 /* 3 x 3; zeros stand around the picture */

typedef struct {
    sn_linear w;   /* [n_out, 9 * n_in], column (ky * 3 + kx) * n_in + channel; bias [n_out] */
    size_t stride; /* 1 or 2 */
} vis_conv;

/* Rows or columns that are left of n. */
static inline size_t vis_conv_side(const vis_conv *k, size_t n)
{
    return (n + k->stride - 1) / k->stride;
}

/* Binds "<name>.weight" and "<name>.bias"; problems stick in b. Free with sn_linear_free(&k->w). */
void vis_conv_bind(vis_conv *k, sn_bind *b, size_t n_out, size_t n_in, size_t stride, const char *name);
/* y [side(h), side(w), n_out] = the convolution of x [h, w, n_in], with its bias, or added to what y holds. y does not overlap x.
 * Scratch of vis_conv_scratch_bytes, which does not grow with h, comes from `tmp` and is given back. */
void vis_conv_apply(sn_compute *c, float *y, const float *x, size_t w, size_t h, const vis_conv *k, bool add, sn_arena *tmp);
size_t vis_conv_scratch_bytes(const sn_compute *c, const vis_conv *k, size_t w, size_t h);

#endif
