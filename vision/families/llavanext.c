/* llavanext.c: LLaVA-NeXT (LLaVA-1.6; Liu et al. 2024), "anyres" with "spatial_unpad": LLaVA-1.5's encoder on the whole picture and on
 * the tiles of a grid, whose patches become one map without the padding, each of its rows ended by a learned newline.
 *
 *   rows: [overview's patches] [map row 0] newline [map row 1] newline ... */
#include "llava.h"

#include "../../core/mem.h"

#include <math.h>
#include <string.h>

#define MAX_GRIDS 128
#define MAX_GRID_TILES 64

/* Features of several layers are Granite Vision's. */
static bool llavanext_match(const sn_gguf *g, sn_str projector)
{
    return sn_str_eq(projector, "mlp") && llava_is_anyres(g) && llava_n_features(g) < 2;
}

/* clip.vision.image_grid_pinpoints: h, w, h, w ... in pixels. */
static sn_status read_grids(llava_adapter *a, const sn_gguf *g, size_t s, sn_err *err)
{
    const char *key = "clip.vision.image_grid_pinpoints";
    const sn_kv *kv = sn_gguf_find(g, key);

    if (kv->type != SN_KV_ARRAY || kv->elem == SN_KV_STRING || kv->n == 0 || kv->n % 2 || kv->n > 2 * MAX_GRIDS)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want pairs of numbers", sn_gguf_path(g), key);
    a->n_grids = kv->n / 2;
    if (!(a->grids = sn_alloc(kv->n, sizeof *a->grids))) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    for (size_t i = 0; i < kv->n; i++) {
        const int64_t v = sn_kv_i64(kv, i ^ 1); /* w, h here */
        if (v < (int64_t)s || v > (int64_t)(s * MAX_GRID_TILES) || (size_t)v % s)
            return sn_fail(err, SN_EFORMAT, "%s: %s: %lld is no multiple of the tile of %zu pixels", sn_gguf_path(g), key, (long long)v, s);
        a->grids[i] = (size_t)v;
    }
    for (size_t i = 0; i < a->n_grids; i++)
        if (a->grids[2 * i] / s * (a->grids[2 * i + 1] / s) > MAX_GRID_TILES)
            return sn_fail(err, SN_ELIMIT, "%s: %s: too many tiles", sn_gguf_path(g), key);
    return SN_OK;
}

sn_status llavanext_open(vis_model *m, sn_err *err)
{
    const sn_status st = llava_open_adapter(m, true, err);

    return st == SN_OK ? read_grids(m->adapter, m->gguf, m->vit.hp.image_px, err) : st;
}

/* ---- preparing: HF LlavaNextImageProcessor ---- */

/* The grid that keeps most of the picture's pixels, then the one that wastes least. */
static void choose_grid(size_t *grid_w, size_t *grid_h, const llava_adapter *a, size_t w, size_t h)
{
    double most = 0, least_waste = INFINITY;

    *grid_w = a->grids[0];
    *grid_h = a->grids[1];
    for (size_t i = 0; i < a->n_grids; i++) {
        const double gw = (double)a->grids[2 * i], gh = (double)a->grids[2 * i + 1];
        const double scale = fmin(gw / (double)w, gh / (double)h);
        const double kept = fmin(floor((double)w * scale) * floor((double)h * scale), (double)w * (double)h), waste = gw * gh - kept;

        if (kept < most || (kept == most && waste >= least_waste)) continue;
        most = kept;
        least_waste = waste;
        *grid_w = a->grids[2 * i];
        *grid_h = a->grids[2 * i + 1];
    }
}

typedef struct { /* the part of the map of patches that shows the picture */
    size_t map_w, map_h, x, y, w, h;
} kept_part;

static kept_part unpad(const vis_prepared *p, size_t side)
{
    kept_part k = {.map_w = p->grid_w * side, .map_h = p->grid_h * side};
    const double w = (double)p->src_w, h = (double)p->src_h, map_w = (double)k.map_w, map_h = (double)k.map_h;

    if (w / h > map_w / map_h) /* rounded to 7 digits first: what floating point makes of a whole number may be just below it */
        k.y = (k.map_h - (size_t)(rint(h * (map_w / w) * 1e7) / 1e7)) / 2;
    else
        k.x = (k.map_w - (size_t)(rint(w * (map_h / h) * 1e7) / 1e7)) / 2;
    k.w = k.map_w - 2 * k.x;
    k.h = k.map_h - 2 * k.y;
    return k;
}

/* The picture scaled to fit gw x gh, in the middle of black. */
static sn_status fit_grid(vis_image *out, const vis_image *img, size_t gw, size_t gh, sn_err *err)
{
    const double sw = (double)gw / (double)img->w, sh = (double)gh / (double)img->h;
    size_t w = gw, h = gh;
    vis_image fitted = {0};
    sn_status st;

    if (sw < sh)
        h = (size_t)fmin(ceil((double)img->h * sw), (double)gh);
    else
        w = (size_t)fmin(ceil((double)img->w * sh), (double)gw);
    if ((st = vis_resize(&fitted, img, w, h, VIS_BICUBIC, err)) != SN_OK) return st;
    if ((st = vis_image_new(out, gw, gh, err)) == SN_OK) {
        memset(out->rgb, 0, gw * gh * 3);
        for (size_t y = 0; y < h; y++) memcpy(out->rgb + (((gh - h) / 2 + y) * gw + (gw - w) / 2) * 3, fitted.rgb + y * w * 3, w * 3);
    }
    vis_image_free(&fitted);
    return st;
}

sn_status llavanext_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const size_t s = hp->image_px, side = s / hp->patch_px;
    size_t gw, gh, n_grid;
    vis_image whole = {0}, small = {0};
    kept_part k;
    sn_status st;

    if (fit != VIS_FIT_DEFAULT)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder cuts pictures into tiles: no other fit can be chosen", sn_gguf_path(m->gguf));
    choose_grid(&gw, &gh, m->adapter, img->w, img->h);
    n_grid = (gw / s) * (gh / s);
    if ((st = vis_prepared_init(out, img, 1 + n_grid, s, s, 0, err)) != SN_OK) return st;
    out->grid_w = gw / s;
    out->grid_h = gh / s;
    out->overview = true;
    k = unpad(out, side);
    out->tiles[0].n_tok = side * side;
    out->tiles[1].n_tok = k.h * (k.w + 1); /* the map's rows go across the tiles: the first has them all */
    out->n_tok = out->tiles[0].n_tok + out->tiles[1].n_tok;
    if ((st = vis_resize(&small, img, s, s, VIS_BICUBIC, err)) == SN_OK && (st = fit_grid(&whole, img, gw, gh, err)) == SN_OK) {
        vis_prepared_fill(out, 0, &small, 0, 0, hp);
        for (size_t i = 0; i < n_grid; i++) vis_prepared_fill(out, 1 + i, &whole, i % out->grid_w * s, i / out->grid_w * s, hp);
    }
    vis_image_free(&small);
    vis_image_free(&whole);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* ---- encoding ---- */

/* out [k.h * (k.w + 1), n_embd]: the tiles' rows in the order of the map, newlines between them. */
static void arrange_map(const vis_model *m, const vis_prepared *p, const float *tiles, float *out)
{
    const llava_adapter *a = m->adapter;
    const size_t side = m->vit.hp.image_px / m->vit.hp.patch_px, d = m->n_embd;
    const kept_part k = unpad(p, side);

    for (size_t y = k.y; y < k.y + k.h; y++) {
        for (size_t x = k.x; x < k.x + k.w; x++, out += d) {
            const size_t tile = y / side * p->grid_w + x / side;
            memcpy(out, tiles + (tile * side * side + y % side * side + x % side) * d, d * sizeof *out);
        }
        memcpy(out, a->newline, d * sizeof *out);
        out += d;
    }
}

sn_status llavanext_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const size_t n = p->tiles[0].n_tok, d = m->n_embd, n_grid = p->n_tiles - 1;
    const sn_status st = vis_reserve(m, llava_scratch_bytes(m) + sn_arena_cost_f32(n_grid * n * d), err);

    if (st != SN_OK) return st;
    float *tiles = sn_arena_f32(&m->arena, n_grid * n * d); /* [n_grid, n, n_embd] */
    llava_encode_tile(m, p, 0, out);
    for (size_t i = 0; i < n_grid; i++) llava_encode_tile(m, p, 1 + i, tiles + i * n * d);
    arrange_map(m, p, tiles, out + n * d);
    return SN_OK;
}

extern const vis_family vis_llavanext;
const vis_family vis_llavanext = {
    .name = "llava-next",
    .match = llavanext_match,
    .open = llavanext_open,
    .close = llava_close_adapter,
    .prepare = llavanext_prepare,
    .encode = llavanext_encode,
};
