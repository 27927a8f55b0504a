/* yuv.c: planar 8-bit luma and chroma to RGB, chroma brought to full size by the 9-3-3-1 filter that libwebp and libjpeg-turbo use.
 * (libswscale repeats chroma samples where the size stays.) */
#include "decode.h"

/* For one output place: the two source samples and their weights, which sum to 4. */
typedef struct {
    size_t a, b;
    int wa, wb;
} pair;

/* Place i of n outputs over (n + 1) / 2 samples: those lie between outputs 2k and 2k + 1, or (cosited) on output 2k. */
static pair place(size_t i, size_t n, bool subsampled, bool cosited)
{
    const size_t k = i / 2, last = (n - 1) / 2;
    const bool odd = i % 2;

    if (!subsampled) return (pair){i, i, 4, 0};
    if (cosited) return (pair){k, odd && k < last ? k + 1 : k, odd ? 2 : 4, odd ? 2 : 0};
    return (pair){k, odd ? (k < last ? k + 1 : k) : (k > 0 ? k - 1 : 0), 3, 1};
}

static unsigned char clamp(int v)
{
    return v < 0 ? 0 : v > 255 ? 255 : (unsigned char)v;
}

typedef struct { /* 16.16: R = y + rv * v, G = y - gu * u - gv * v, B = y + bu * u, with y scaled */
    int y0, y, rv, gu, gv, bu;
} coefficients;

static coefficients make_coefficients(const vis_yuv *s)
{
    const double kg = 1 - s->kr - s->kb, luma = s->full ? 1 : 255.0 / 219, chroma = (s->full ? 1 : 255.0 / 224) * 65536;

    return (coefficients){.y0 = s->full ? 0 : 16,
                          .y = (int)(luma * 65536 + 0.5),
                          .rv = (int)(2 * (1 - s->kr) * chroma + 0.5),
                          .gu = (int)(2 * (1 - s->kb) * s->kb / kg * chroma + 0.5),
                          .gv = (int)(2 * (1 - s->kr) * s->kr / kg * chroma + 0.5),
                          .bu = (int)(2 * (1 - s->kb) * chroma + 0.5)};
}

void vis_yuv_to_rgb(vis_raster *r, const vis_yuv *s)
{
    const coefficients c = make_coefficients(s);
    unsigned char *d = r->data;

    for (size_t y = 0; y < r->h; y++) {
        const pair py = place(y, r->h, s->half_h, false);
        const unsigned char *luma = s->plane[0] + (ptrdiff_t)y * s->stride[0],
                            *alpha = s->plane[3] ? s->plane[3] + (ptrdiff_t)y * s->stride[3] : NULL;
        const unsigned char *u0 = s->plane[1] + (ptrdiff_t)py.a * s->stride[1], *u1 = s->plane[1] + (ptrdiff_t)py.b * s->stride[1];
        const unsigned char *v0 = s->plane[2] + (ptrdiff_t)py.a * s->stride[2], *v1 = s->plane[2] + (ptrdiff_t)py.b * s->stride[2];

        for (size_t x = 0; x < r->w; x++, d += r->n_ch) {
            const pair px = place(x, r->w, s->half_w, s->cosited);
            const int u = ((u0[px.a] * px.wa + u0[px.b] * px.wb) * py.wa + (u1[px.a] * px.wa + u1[px.b] * px.wb) * py.wb + 8) >> 4;
            const int v = ((v0[px.a] * px.wa + v0[px.b] * px.wb) * py.wa + (v1[px.a] * px.wa + v1[px.b] * px.wb) * py.wb + 8) >> 4;
            const int l = (luma[x] - c.y0) * c.y + 32768;

            d[0] = clamp((l + c.rv * (v - 128)) >> 16);
            d[1] = clamp((l - c.gu * (u - 128) - c.gv * (v - 128)) >> 16);
            d[2] = clamp((l + c.bu * (u - 128)) >> 16);
            if (r->n_ch == 4) d[3] = alpha ? alpha[x] : 255;
        }
    }
}
