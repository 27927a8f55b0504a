/* resize.c: Pillow's separable, anti-aliased resampling of 8-bit pictures in 22-bit fixed point (Pillow 12,
 * src/libImaging/Resample.c; matched here bit for bit): horizontal pass first, its result
 * rounded to 8 bits, then the vertical pass; an axis that keeps its size is skipped. */
#include "../core/mem.h"
#include "family.h"

#include <math.h>
#include <string.h>

#define PRECISION_BITS 22 /* 32 bits less 8 of a sample and 2 for the overshoot of a kernel with negative lobes */
#define N_CH 3

/* One axis: output i is the sum of k[i * n_max + j] * input[first[i] + j], j < n[i]. */
typedef struct {
    size_t n_out, n_max;
    size_t *first, *n; /* [n_out] */
    int32_t *k;        /* [n_out, n_max], in units of 2^-PRECISION_BITS */
} axis;

static double kernel_bilinear(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double kernel_bicubic(double x)
{
    const double a = -0.5; /* Keys 1981 */

    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static double sinc(double x)
{
    if (x == 0) return 1;
    x *= M_PI;
    return sin(x) / x;
}

static double kernel_lanczos(double x)
{
    return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
}

static const struct {
    double (*f)(double);
    double support;
} kernels[] = {[VIS_BILINEAR] = {kernel_bilinear, 1}, [VIS_BICUBIC] = {kernel_bicubic, 2}, [VIS_LANCZOS] = {kernel_lanczos, 3}};

static void axis_free(axis *a)
{
    sn_free(a->first);
    sn_free(a->n);
    sn_free(a->k);
    *a = (axis){0};
}

/* The weights of outputs begin_out .. begin_out + n_out - 1, where n_in samples are resampled to n_full. */
static sn_status axis_init(axis *a, size_t n_in, size_t n_full, size_t begin_out, size_t n_out, vis_filter f, sn_err *err)
{
    const double scale = (double)n_in / (double)n_full, stretch = scale < 1 ? 1 : scale, support = kernels[f].support * stretch;
    const double inverse = 1 / stretch;
    size_t n_k;
    double *w = NULL;

    *a = (axis){.n_out = n_out, .n_max = (size_t)ceil(support) * 2 + 1};
    if (!sn_mul_ok(a->n_max, n_out, &n_k)) goto no_memory;
    a->first = sn_alloc(n_out, sizeof *a->first);
    a->n = sn_alloc(n_out, sizeof *a->n);
    a->k = sn_calloc(n_k, sizeof *a->k);
    w = sn_alloc(a->n_max, sizeof *w);
    if (!a->first || !a->n || !a->k || !w) goto no_memory;
    for (size_t i = 0; i < n_out; i++) {
        const double centre = ((double)(begin_out + i) + 0.5) * scale, lo = centre - support + 0.5, hi = centre + support + 0.5;
        const size_t begin = lo < 0 ? 0 : (size_t)lo, end = hi > (double)n_in ? n_in : (size_t)hi;
        double sum = 0;

        a->first[i] = begin;
        a->n[i] = end - begin;
        for (size_t j = 0; j < a->n[i]; j++) sum += w[j] = kernels[f].f(((double)(begin + j) - centre + 0.5) * inverse);
        for (size_t j = 0; j < a->n[i]; j++) {
            const double v = (sum != 0 ? w[j] / sum : w[j]) * (1 << PRECISION_BITS);
            a->k[i * a->n_max + j] = (int32_t)(v < 0 ? v - 0.5 : v + 0.5); /* half away from zero */
        }
    }
    sn_free(w);
    return SN_OK;
no_memory:
    sn_free(w);
    axis_free(a);
    return sn_fail(err, SN_ENOMEM, "no memory to resize a side of %zu to %zu pixels", n_in, n_full);
}

static inline unsigned char round_8bit(int32_t sum)
{
    const int32_t v = sum >> PRECISION_BITS;
    return v < 0 ? 0 : v > 255 ? 255 : (unsigned char)v;
}

/* What a canvas of `colour` adds to each output, exactly: base [a->n_out, 3] takes the weights of inputs outside [x, x + w), which then
 * go from the axis; the rest counts from x. */
static void axis_clip(axis *a, size_t x, size_t w, const unsigned char colour[3], int32_t *base)
{
    for (size_t i = 0; i < a->n_out; i++, base += N_CH) {
        const size_t end = a->first[i] + a->n[i], lo = a->first[i] > x ? a->first[i] : x, hi = end < x + w ? end : x + w;
        int32_t *k = a->k + i * a->n_max, outside = 0;

        for (size_t j = 0; j < a->n[i]; j++)
            if (a->first[i] + j < lo || a->first[i] + j >= hi) outside += k[j];
        for (int c = 0; c < N_CH; c++) base[c] = (1 << (PRECISION_BITS - 1)) + outside * colour[c];
        a->n[i] = lo < hi ? hi - lo : 0;
        if (a->n[i]) memmove(k, k + (lo - a->first[i]), a->n[i] * sizeof *k);
        a->first[i] = a->n[i] ? lo - x : 0;
    }
}

/* dst [a->n_out, 3] from one row of the picture. */
static void resize_row(unsigned char *dst, const unsigned char *row, const axis *a, const int32_t *base)
{
    for (size_t i = 0; i < a->n_out; i++, dst += N_CH, base += N_CH) {
        const unsigned char *p = row + a->first[i] * N_CH;
        const int32_t *k = a->k + i * a->n_max;
        int32_t r = base[0], g = base[1], b = base[2];

        for (size_t j = 0; j < a->n[i]; j++, p += N_CH) {
            r += k[j] * p[0];
            g += k[j] * p[1];
            b += k[j] * p[2];
        }
        dst[0] = round_8bit(r);
        dst[1] = round_8bit(g);
        dst[2] = round_8bit(b);
    }
}

static void fill(unsigned char *dst, size_t n_px, const unsigned char colour[3])
{
    for (size_t x = 0; x < n_px; x++, dst += N_CH) memcpy(dst, colour, N_CH);
}

/* The window's part of a row of the canvas, where the axis keeps its size. */
static void copy_row(unsigned char *dst, const unsigned char *row, size_t w_in, const vis_canvas *cv, const vis_window *win)
{
    const size_t lo = win->x > cv->x ? win->x : cv->x, end = cv->x + w_in, hi = win->x + win->w < end ? win->x + win->w : end;

    if (hi <= lo || hi - lo < win->w) fill(dst, win->w, cv->colour);
    if (lo < hi) memcpy(dst + (lo - win->x) * N_CH, row + (lo - cv->x) * N_CH, (hi - lo) * N_CH);
}

/* The vertical pass: whole rows are weighed and summed; rows of the canvas beside the picture are `border`. sum [3 * w] is scratch. */
static void vertical_pass(vis_image *out, const vis_image *mid, const vis_canvas *cv, const axis *a, const unsigned char *border,
                          int32_t *restrict sum)
{
    const size_t stride = out->w * N_CH;

    for (size_t i = 0; i < a->n_out; i++) {
        unsigned char *dst = out->rgb + i * stride;

        for (size_t x = 0; x < stride; x++) sum[x] = 1 << (PRECISION_BITS - 1);
        for (size_t j = 0; j < a->n[i]; j++) {
            const size_t y = a->first[i] + j;
            const unsigned char *restrict row = y >= cv->y && y - cv->y < mid->h ? mid->rgb + (y - cv->y) * stride : border;
            const int32_t k = a->k[i * a->n_max + j];
            for (size_t x = 0; x < stride; x++) sum[x] += k * row[x];
        }
        for (size_t x = 0; x < stride; x++) dst[x] = round_8bit(sum[x]);
    }
}

/* Rows of the canvas without resampling. */
static void copy_rows(vis_image *out, const vis_image *mid, const vis_canvas *cv, size_t first, const unsigned char *border)
{
    const size_t stride = out->w * N_CH;

    for (size_t i = 0; i < out->h; i++) {
        const size_t y = first + i;
        memcpy(out->rgb + i * stride, y >= cv->y && y - cv->y < mid->h ? mid->rgb + (y - cv->y) * stride : border, stride);
    }
}

sn_status vis_image_new(vis_image *out, size_t w, size_t h, sn_err *err)
{
    size_t n;
    unsigned char *rgb;

    if (w == 0 || h == 0 || !sn_mul_ok(w, h, &n) || !sn_mul_ok(n, N_CH, &n) || !(rgb = sn_alloc(n, 1)))
        return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", w, h);
    *out = (vis_image){.w = w, .h = h, .rgb = rgb};
    return SN_OK;
}

sn_status vis_resize_window(vis_image *out, const vis_image *in, const vis_canvas *canvas, const vis_window *win, vis_filter f, sn_err *err)
{
    const vis_canvas cv = canvas ? *canvas : (vis_canvas){.w = in->w, .h = in->h};
    const bool across = win->full_w != cv.w, down = win->full_h != cv.h, as_is = !across && win->w == in->w && cv.w == in->w;
    vis_image mid = {0}, res = {0};
    axis ax = {0}, ay = {0};
    unsigned char *border = NULL;
    int32_t *sum = NULL;
    sn_status st;

    if (across && (st = axis_init(&ax, cv.w, win->full_w, win->x, win->w, f, err)) != SN_OK) goto done;
    if (down && (st = axis_init(&ay, cv.h, win->full_h, win->y, win->h, f, err)) != SN_OK) goto done;
    if (!as_is && (st = vis_image_new(&mid, win->w, in->h, err)) != SN_OK) goto done;
    if ((st = vis_image_new(&res, win->w, win->h, err)) != SN_OK) goto done;
    border = sn_alloc(win->w, N_CH);
    sum = sn_alloc(win->w * N_CH, sizeof *sum); /* [3 * w]: first the canvas' share of the horizontal pass, then sums of the vertical */
    if (!border || !sum) {
        st = sn_fail(err, SN_ENOMEM, "no memory to resize a picture");
        goto done;
    }
    if (across) axis_clip(&ax, cv.x, in->w, cv.colour, sum);
    for (size_t y = 0; !as_is && y < in->h; y++) {
        const unsigned char *row = in->rgb + y * in->w * N_CH;
        unsigned char *dst = mid.rgb + y * win->w * N_CH;

        if (across)
            resize_row(dst, row, &ax, sum);
        else
            copy_row(dst, row, in->w, &cv, win);
    }
    fill(border, win->w, cv.colour); /* weights sum to 1: one colour stays what it is */
    if (down)
        vertical_pass(&res, as_is ? in : &mid, &cv, &ay, border, sum);
    else
        copy_rows(&res, as_is ? in : &mid, &cv, win->y, border);
done:
    sn_free(sum);
    sn_free(border);
    axis_free(&ay);
    axis_free(&ax);
    vis_image_free(&mid);
    if (st == SN_OK)
        *out = res;
    else
        vis_image_free(&res);
    return st;
}

sn_status vis_resize(vis_image *out, const vis_image *in, size_t w, size_t h, vis_filter f, sn_err *err)
{
    return vis_resize_window(out, in, NULL, &(vis_window){.full_w = w, .full_h = h, .w = w, .h = h}, f, err);
}
