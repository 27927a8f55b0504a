/* prepare.c: what the families share between a resized picture and the encoder's input. */
#include "family.h"

#include "../core/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_INPUT_PX ((size_t)1 << 26) /* of one picture's tiles: a guard against absurd files, 60 times what real ones take */

static char *copy_text(const char *s)
{
    const size_t n = strlen(s) + 1;
    char *p = sn_alloc(n, 1);

    return p ? memcpy(p, s, n) : NULL;
}

sn_status vis_prepared_init(vis_prepared *p, const vis_image *img, size_t n_tiles, size_t w, size_t h, size_t n_tok, sn_err *err)
{
    size_t n;

    *p = (vis_prepared){0};
    if (!sn_mul_ok(w, h, &n) || !sn_mul_ok(n, n_tiles, &n) || n > MAX_INPUT_PX)
        return sn_fail(err, SN_ELIMIT, "%zu tiles of %zux%zu pixels are more than this program takes", n_tiles, w, h);
    *p = (vis_prepared){.n_tiles = n_tiles, .n_tok = n_tiles * n_tok, .grid_w = 1, .grid_h = 1, .src_w = img->w, .src_h = img->h};
    p->tiles = sn_calloc(n_tiles, sizeof *p->tiles);
    p->pixels = sn_calloc(n_tiles, sizeof *p->pixels);
    p->tile_w = sn_alloc(n_tiles, sizeof *p->tile_w);
    p->tile_h = sn_alloc(n_tiles, sizeof *p->tile_h);
    p->after = copy_text("");
    if (!p->tiles || !p->pixels || !p->tile_w || !p->tile_h || !p->after || !sn_mul_ok(w, h, &n) || !sn_mul_ok(n, 3, &n)) goto no_memory;
    for (size_t i = 0; i < n_tiles; i++) {
        p->tiles[i].n_tok = n_tok;
        p->tile_w[i] = w;
        p->tile_h[i] = h;
        if (!(p->tiles[i].before = copy_text("")) || !(p->pixels[i] = sn_alloc(n, sizeof(float)))) goto no_memory;
    }
    return SN_OK;
no_memory:
    vis_prepared_free(p);
    return sn_fail(err, SN_ENOMEM, "no memory for %zu tiles of %zux%zu pixels", n_tiles, w, h);
}

void vis_prepared_free(vis_prepared *p)
{
    for (size_t i = 0; i < p->n_tiles; i++) {
        if (p->tiles) sn_free(p->tiles[i].before);
        if (p->pixels) sn_free(p->pixels[i]);
    }
    sn_free(p->tiles);
    sn_free(p->pixels);
    sn_free(p->tile_w);
    sn_free(p->tile_h);
    sn_free(p->after);
    *p = (vis_prepared){0};
}

void vis_prepared_fill(vis_prepared *p, size_t i, const vis_image *img, size_t x, size_t y, const vit_hparams *hp)
{
    const size_t w = p->tile_w[i], h = p->tile_h[i];
    float of[3][256]; /* each of the 256 levels, as the reference rounds it: v / 255 in double, then float32 throughout */

    for (size_t ch = 0; ch < 3; ch++)
        for (int v = 0; v < 256; v++) of[ch][v] = ((float)(v * (1.0 / 255.0)) - hp->mean[ch]) / hp->std[ch];
    for (size_t ty = 0; ty < h; ty++) {
        const unsigned char *src = img->rgb + ((y + ty) * img->w + x) * 3;
        float *dst = p->pixels[i] + ty * w;
        for (size_t tx = 0; tx < w; tx++, src += 3)
            for (size_t ch = 0; ch < 3; ch++) dst[ch * h * w + tx] = of[ch][src[ch]];
    }
}

/* Padded to a square in the mean colour: LLaVA-1.5's --image_aspect_ratio pad. */
static sn_status fit_padded(vis_image *out, const vis_image *img, const vit_hparams *hp, sn_err *err)
{
    const size_t side = img->w > img->h ? img->w : img->h, s = hp->image_px;
    vis_canvas canvas = {.w = side, .h = side, .x = (side - img->w) / 2, .y = (side - img->h) / 2};

    for (int c = 0; c < 3; c++) {
        const float v = hp->mean[c] * 255;
        canvas.colour[c] = v < 0 ? 0 : v > 255 ? 255 : (unsigned char)v;
    }
    return vis_resize_window(out, img, &canvas, &(vis_window){.full_w = s, .full_h = s, .w = s, .h = s}, VIS_BICUBIC, err);
}

/* The short side to image_px, then the middle, as HF CLIPImageProcessor does. */
static sn_status fit_cropped(vis_image *out, const vis_image *img, const vit_hparams *hp, sn_err *err)
{
    const size_t s = hp->image_px;
    vis_window win = {.full_w = s, .full_h = s, .w = s, .h = s};

    if (img->w > img->h)
        win.full_w = s * img->w / img->h;
    else
        win.full_h = s * img->h / img->w;
    win.x = (win.full_w - s) / 2;
    win.y = (win.full_h - s) / 2;
    return vis_resize_window(out, img, NULL, &win, VIS_BICUBIC, err);
}

sn_status vis_fit_square(vis_image *out, const vis_image *img, vis_fit fit, const vit_hparams *hp, sn_err *err)
{
    if (fit == VIS_FIT_CROP) return fit_cropped(out, img, hp, err);
    if (fit == VIS_FIT_PAD) return fit_padded(out, img, hp, err);
    return vis_resize(out, img, hp->image_px, hp->image_px, VIS_BICUBIC, err);
}

static sn_status set_text(char **slot, const char *text, sn_err *err)
{
    char *copy = copy_text(text);

    if (!copy) return sn_fail(err, SN_ENOMEM, "out of memory");
    sn_free(*slot);
    *slot = copy;
    return SN_OK;
}

sn_status vis_prepared_before(vis_prepared *p, size_t i, sn_err *err, const char *fmt, ...)
{
    char text[128];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return set_text(&p->tiles[i].before, text, err);
}

sn_status vis_prepared_after(vis_prepared *p, const char *text, sn_err *err)
{
    return set_text(&p->after, text, err);
}

void vis_prepared_shift(vis_prepared *p, size_t px)
{
    for (size_t i = 0; i < p->n_tiles; i++) {
        const size_t w = p->tile_w[i], n_row = 3 * p->tile_h[i];
        for (size_t y = n_row; y-- > 0;) { /* from below: what is read is not yet moved */
            const size_t down = y % p->tile_h[i] < px ? y % p->tile_h[i] : px;
            float *to = p->pixels[i] + y * w;
            memmove(to + px, to - down * w, (w - px) * sizeof *to);
            for (size_t x = 0; x < px; x++) to[x] = to[px];
        }
    }
}

void vis_pixel_shuffle(float *y, const float *x, size_t side, size_t s, size_t n_embd)
{
    for (size_t by = 0; by < side; by += s)
        for (size_t bx = 0; bx < side; bx += s)
            for (size_t dy = 0; dy < s; dy++, y += s * n_embd) memcpy(y, x + ((by + dy) * side + bx) * n_embd, s * n_embd * sizeof *y);
}
