#include "conv.h"

#include <string.h>

#define STRIP_BYTES ((size_t)1 << 20) /* of columns made at once: what a second-level cache holds */

void vis_conv_bind(vis_conv *k, sn_bind *b, size_t n_out, size_t n_in, size_t stride, const char *name)
{
    k->stride = stride;
    sn_bind_linear(b, &k->w, n_out, VIS_CONV_AREA * n_in, SN_BIAS_REQUIRED, "%s", name); /* w [n_out, 9 * n_in] */
}

/* Rows of the output whose columns are made at once. */
static size_t strip_rows(const vis_conv *k, size_t w, size_t h)
{
    const size_t row_bytes = vis_conv_side(k, w) * k->w.n_in * sizeof(float), rows = STRIP_BYTES / row_bytes + 1, all = vis_conv_side(k, h);

    return rows < all ? rows : all;
}

typedef struct {
    float *cols;
    const float *x;
    size_t w, h, n_in, stride, w_out, first, n_rows; /* output rows [first, first + n_rows) */
} im2col_job;

/* cols [n_rows * w_out, 9 * n_in]: what the kernel sees at each pixel of the output, zeros where it looks over the edge. */
static void im2col_part(void *arg, size_t part, size_t n_parts)
{
    const im2col_job *j = arg;
    const size_t n_in = j->n_in;
    size_t begin, end;

    sn_share(j->n_rows * j->w_out, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *dst = j->cols + i * VIS_CONV_AREA * n_in;
        const size_t y0 = (j->first + i / j->w_out) * j->stride, x0 = (i % j->w_out) * j->stride; /* the kernel's middle */
        const size_t left = x0 == 0, right = x0 + 1 == j->w;                                      /* its columns over the edge */
        for (size_t ky = 0; ky < 3; ky++, dst += 3 * n_in) {
            if (y0 + ky < 1 || y0 + ky > j->h) {
                memset(dst, 0, 3 * n_in * sizeof *dst);
                continue;
            }
            const float *row = j->x + (y0 + ky - 1) * j->w * n_in;
            if (left) memset(dst, 0, n_in * sizeof *dst);
            memcpy(dst + left * n_in, row + (x0 + left - 1) * n_in, (3 - left - right) * n_in * sizeof *dst);
            if (right) memset(dst + 2 * n_in, 0, n_in * sizeof *dst);
        }
    }
}

void vis_conv_apply(sn_compute *c, float *y, const float *x, size_t w, size_t h, const vis_conv *k, bool add, sn_arena *tmp)
{
    const size_t w_out = vis_conv_side(k, w), h_out = vis_conv_side(k, h), n_out = k->w.n_out, strip = strip_rows(k, w, h);
    const size_t mark = sn_arena_mark(tmp);
    im2col_job job = {.x = x, .w = w, .h = h, .n_in = k->w.n_in / VIS_CONV_AREA, .stride = k->stride, .w_out = w_out};

    job.cols = sn_arena_f32(tmp, strip * w_out * k->w.n_in); /* [strip * w_out, 9 * n_in] */
    for (job.first = 0; job.first < h_out; job.first += job.n_rows) {
        float *to = y + job.first * w_out * n_out;
        job.n_rows = strip < h_out - job.first ? strip : h_out - job.first;
        sn_parallel(c, im2col_part, &job);
        if (add)
            sn_linear_add(c, to, n_out, job.cols, k->w.n_in, &k->w, job.n_rows * w_out, tmp);
        else
            sn_linear_apply(c, to, n_out, job.cols, k->w.n_in, &k->w, job.n_rows * w_out, tmp);
    }
    sn_arena_reset(tmp, mark);
}

size_t vis_conv_scratch_bytes(const sn_compute *c, const vis_conv *k, size_t w, size_t h)
{
    const size_t n = strip_rows(k, w, h) * vis_conv_side(k, w);

    return sn_arena_cost_f32(n * k->w.n_in) + sn_linear_scratch_bytes(c, &k->w, n);
}
