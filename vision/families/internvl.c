/* internvl.c: InternVL 1.5 to 3 (Chen et al. 2024) with its 300M ViT, and any DINOv2-shaped ViT written in its layout: tiles of the grid
 * nearest to the picture's aspect, and the whole picture behind them.
 *
 *   tile -> ViT with class row and LayerScale (post_ln where the file has one) -> class row dropped -> pixel shuffle
 *   -> layer norm mm.model.mlp.0 -> mm.model.mlp.1 -> GELU -> mm.model.mlp.3 */
#include "../family.h"

#include "../../core/mem.h"

#include <math.h>

#define PROJECTOR_EPS 1e-5f /* of mlp.0: torch's default, in no file */

typedef struct {
    sn_norm norm;       /* mm.model.mlp.0 [s * s * vit n_embd] */
    sn_linear fc1, fc2; /* mm.model.mlp.1 [n_embd, s * s * vit n_embd], mm.model.mlp.3 [n_embd, n_embd] */
    size_t shuffle;     /* s */
    size_t min_tiles, max_tiles;
} internvl_adapter;

static bool internvl_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "internvl");
}

static sn_status internvl_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    internvl_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit_hparams hp;
    uint32_t shuffle, min_tiles, max_tiles;
    size_t n_in;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.projector.scale_factor", 1, 16, 2, &shuffle, err)) != SN_OK) return st;
    if (hp.image_px / hp.patch_px % shuffle)
        return sn_fail(err, SN_EFORMAT, "%s: a scale factor of %u does not divide %zu patches", sn_gguf_path(g), shuffle,
                       hp.image_px / hp.patch_px);
    if ((st = sn_gguf_u32_or(g, "clip.vision.preproc_min_tiles", 1, 64, 1, &min_tiles, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.preproc_max_tiles", min_tiles, 64, min_tiles > 12 ? min_tiles : 12, &max_tiles, err)) != SN_OK)
        return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.model.mlp.3.weight", err)) != SN_OK) return st;
    *a = (internvl_adapter){.shuffle = shuffle, .min_tiles = min_tiles, .max_tiles = max_tiles};
    n_in = a->shuffle * a->shuffle * hp.n_embd;
    m->vit =
        (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_GELU_ERF, .post_ln = sn_gguf_tensor(g, "v.post_ln.weight") != NULL}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_norm(&b, &a->norm, n_in, SN_BIAS_REQUIRED, "mm.model.mlp.0");                  /* w, b [s*s*d] */
    sn_bind_linear(&b, &a->fc1, m->n_embd, n_in, SN_BIAS_OPTIONAL, "mm.model.mlp.1");      /* w [n_embd, s*s*d] */
    sn_bind_linear(&b, &a->fc2, m->n_embd, m->n_embd, SN_BIAS_OPTIONAL, "mm.model.mlp.3"); /* w [n_embd, n_embd] */
    return sn_bind_done(&b);
}

static void internvl_close(vis_model *m)
{
    internvl_adapter *a = m->adapter;

    if (!a) return;
    sn_norm_free(&a->norm);
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- preparing: dynamic_preprocess of InternVL's model cards ---- */

/* The grid of min..max tiles whose aspect is nearest to the picture's; of equally near ones, in the order of their number of tiles, a
 * later one is taken only where the picture has more than half its pixels. */
static void choose_grid(size_t *grid_w, size_t *grid_h, const vis_image *img, const internvl_adapter *a, size_t s)
{
    const double aspect = (double)img->w / (double)img->h, area = (double)img->w * (double)img->h;
    double best = INFINITY;

    *grid_w = *grid_h = 1;
    for (size_t n = a->min_tiles; n <= a->max_tiles; n++) {
        for (size_t w = 1; w <= n; w++) {
            double off;
            if (n % w) continue;
            off = fabs(aspect - (double)w / (double)(n / w));
            if (off > best || (off == best && area <= 0.5 * (double)(s * s) * (double)n)) continue;
            best = off;
            *grid_w = w;
            *grid_h = n / w;
        }
    }
}

/* One tile, fitted as asked. */
static sn_status prepare_square(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    vis_image square = {0};
    const sn_status st = vis_fit_square(&square, img, fit, hp, err);

    if (st == SN_OK) vis_prepared_fill(out, 0, &square, 0, 0, hp);
    vis_image_free(&square);
    return st;
}

static sn_status prepare_tiles(const vis_model *m, const vis_image *img, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const size_t s = hp->image_px, n_grid = out->grid_w * out->grid_h;
    vis_image whole = {0}, small = {0};
    sn_status st = vis_resize(&whole, img, out->grid_w * s, out->grid_h * s, VIS_BICUBIC, err);

    if (st != SN_OK) return st;
    for (size_t i = 0; i < n_grid; i++) vis_prepared_fill(out, i, &whole, i % out->grid_w * s, i / out->grid_w * s, hp);
    vis_image_free(&whole);
    if (!out->overview) return SN_OK;
    if ((st = vis_resize(&small, img, s, s, VIS_BICUBIC, err)) == SN_OK) vis_prepared_fill(out, n_grid, &small, 0, 0, hp);
    vis_image_free(&small);
    return st;
}

static sn_status internvl_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const internvl_adapter *a = m->adapter;
    const size_t s = m->vit.hp.image_px, side = s / m->vit.hp.patch_px / a->shuffle;
    size_t grid_w = 1, grid_h = 1, n_grid;
    sn_status st;

    if (fit == VIS_FIT_DEFAULT) choose_grid(&grid_w, &grid_h, img, a, s);
    n_grid = grid_w * grid_h;
    if ((st = vis_prepared_init(out, img, n_grid > 1 ? n_grid + 1 : 1, s, s, side * side, err)) != SN_OK) return st;
    out->grid_w = grid_w;
    out->grid_h = grid_h;
    out->overview = n_grid > 1;
    st = fit == VIS_FIT_DEFAULT ? prepare_tiles(m, img, out, err) : prepare_square(m, img, fit, out, err);
    if (st == SN_OK) st = vis_prepared_before(out, 0, err, "<img>");
    if (st == SN_OK) st = vis_prepared_after(out, "</img>", err);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* ---- encoding ---- */

static sn_status internvl_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const internvl_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d = m->vit.hp.n_embd, s = m->vit.hp.image_px, side = s / m->vit.hp.patch_px, s2 = a->shuffle * a->shuffle;
    const size_t n_class = vit_n_class(&m->vit), n = side * side, n_out = n / s2;
    const size_t linear = vis_max(sn_linear_scratch_bytes(c, &a->fc1, n_out), sn_linear_scratch_bytes(c, &a->fc2, n_out));
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, c, s, s), linear);
    const sn_status st =
        vis_reserve(m, sn_arena_cost_f32((n_class + n) * d) + sn_arena_cost_f32(n * d) + sn_arena_cost_f32(n_out * m->n_embd) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, (n_class + n) * d); /* [n_class + n, vit n_embd] */
    float *rows = sn_arena_f32(tmp, n * d);          /* [n / s^2, s^2 * vit n_embd] */
    float *y = sn_arena_f32(tmp, n_out * m->n_embd); /* [n / s^2, n_embd] */
    for (size_t i = 0; i < p->n_tiles; i++, out += n_out * m->n_embd) {
        vit_forward(&m->vit, c, x, p->pixels[i], s, s, tmp);
        vis_pixel_shuffle(rows, x + n_class * d, side, a->shuffle, d);
        sn_layernorm(c, rows, rows, &a->norm, n_out, PROJECTOR_EPS);
        sn_linear_apply(c, y, m->n_embd, rows, s2 * d, &a->fc1, n_out, tmp);
        sn_activate(c, y, n_out * m->n_embd, SN_ACT_GELU_ERF);
        sn_linear_apply(c, out, m->n_embd, y, m->n_embd, &a->fc2, n_out, tmp);
    }
    return SN_OK;
}

extern const vis_family vis_internvl;
const vis_family vis_internvl = {
    .name = "internvl",
    .pairing = {.tokens = {"<img>", "</img>"}, .own = "<IMG_CONTEXT>"},
    .match = internvl_match,
    .open = internvl_open,
    .close = internvl_close,
    .prepare = internvl_prepare,
    .encode = internvl_encode,
};
