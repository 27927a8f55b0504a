/* idefics3.c: Idefics3 and SmolVLM (Laurencon et al. 2024, Marafioti et al. 2025): SigLIP on tiles of image_px and on the whole picture,
 * each tile's patches shuffled s x s into one row and brought to the decoder's width by one matrix.
 *
 *   picture -> grid of tiles + overview -> each: ViT, post_ln -> pixel shuffle [n / s^2, s^2 * n_embd] -> mm.model.fc */
#include "../family.h"

#include "../../core/mem.h"

typedef struct {
    sn_linear fc;   /* mm.model.fc [n_embd, s * s * vit n_embd] */
    size_t shuffle; /* s */
    size_t long_px; /* the longer side of the picture before it is cut */
} idefics3_adapter;

static bool idefics3_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "idefics3");
}

static sn_status idefics3_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    idefics3_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit_hparams hp;
    uint32_t shuffle, long_px;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.projector.scale_factor", 1, 16, 4, &shuffle, err)) != SN_OK) return st;
    if (hp.image_px / hp.patch_px % shuffle)
        return sn_fail(err, SN_EFORMAT, "%s: a scale factor of %u does not divide %zu patches", sn_gguf_path(g), shuffle,
                       hp.image_px / hp.patch_px);
    /* older files do not say it; the processors then have four tiles a side */
    if ((st = sn_gguf_u32_or(g, "clip.vision.preproc_image_size", 1, 4096, (uint32_t)hp.image_px * 4, &long_px, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.model.fc.weight", err)) != SN_OK) return st;
    a->shuffle = shuffle;
    a->long_px = long_px;
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_GELU_TANH, .post_ln = true}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_linear(&b, &a->fc, m->n_embd, a->shuffle * a->shuffle * hp.n_embd, SN_BIAS_OPTIONAL, "mm.model.fc"); /* w [n_embd, s*s*d] */
    return sn_bind_done(&b);
}

static void idefics3_close(vis_model *m)
{
    idefics3_adapter *a = m->adapter;

    if (!a) return;
    sn_linear_free(&a->fc);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- preparing: HF Idefics3ImageProcessor ---- */

static size_t round_up(size_t n, size_t unit)
{
    return n ? (n + unit - 1) / unit * unit : unit;
}

/* The longer side to long_px, the other by the aspect, made even. */
static void size_long(size_t *w, size_t *h, size_t long_px)
{
    const double aspect = (double)*w / (double)*h;
    const bool wide = *w >= *h;
    size_t other = (size_t)(wide ? (double)long_px / aspect : (double)long_px * aspect);

    other += other % 2;
    if (other < 1) other = 1;
    *w = wide ? long_px : other;
    *h = wide ? other : long_px;
}

/* Both sides up to multiples of a tile: the longer first, the other from it and the aspect so far. */
static void size_tiled(size_t *w, size_t *h, size_t tile)
{
    const double aspect = (double)*w / (double)*h;

    if (*w >= *h) {
        *w = round_up(*w, tile);
        *h = round_up((size_t)((double)*w / aspect), tile);
    } else {
        *h = round_up(*h, tile);
        *w = round_up((size_t)((double)*h * aspect), tile);
    }
}

static sn_status mark_tiles(vis_prepared *p, sn_err *err)
{
    sn_status st = SN_OK;

    for (size_t y = 0, i = 0; p->overview && y < p->grid_h; y++)
        for (size_t x = 0; x < p->grid_w && st == SN_OK; x++, i++)
            st = vis_prepared_before(p, i, err, "%s<fake_token_around_image><row_%zu_col_%zu>", x == 0 && y > 0 ? "\n" : "", y + 1, x + 1);
    if (st == SN_OK) st = vis_prepared_before(p, p->n_tiles - 1, err, "%s<fake_token_around_image><global-img>", p->overview ? "\n\n" : "");
    if (st == SN_OK) st = vis_prepared_after(p, "<fake_token_around_image>", err);
    return st;
}

static sn_status idefics3_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const idefics3_adapter *a = m->adapter;
    const vit_hparams *hp = &m->vit.hp;
    const size_t s = hp->image_px, side = s / hp->patch_px / a->shuffle;
    size_t w = img->w, h = img->h, n_grid;
    vis_image first = {0}, whole = {0}, small = {0};
    sn_status st;

    if (fit != VIS_FIT_DEFAULT)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder cuts pictures into tiles: no other fit can be chosen", sn_gguf_path(m->gguf));
    *out = (vis_prepared){0};
    size_long(&w, &h, a->long_px);
    if ((st = vis_resize(&first, img, w, h, VIS_LANCZOS, err)) != SN_OK) goto done; /* in three steps, rounded to 8 bits in between */
    size_tiled(&w, &h, s);
    if ((st = vis_resize(&whole, &first, w, h, VIS_LANCZOS, err)) != SN_OK) goto done;
    vis_image_free(&first);
    n_grid = (w / s) * (h / s);
    if ((st = vis_prepared_init(out, img, n_grid > 1 ? n_grid + 1 : 1, s, s, side * side, err)) != SN_OK) goto done;
    out->grid_w = w / s;
    out->grid_h = h / s;
    out->overview = n_grid > 1;
    for (size_t i = 0; i < n_grid; i++) vis_prepared_fill(out, i, &whole, i % out->grid_w * s, i / out->grid_w * s, hp);
    if (out->overview) {
        if ((st = vis_resize(&small, &whole, s, s, VIS_LANCZOS, err)) != SN_OK) goto done;
        vis_prepared_fill(out, n_grid, &small, 0, 0, hp);
    }
    st = mark_tiles(out, err);
done:
    vis_image_free(&small);
    vis_image_free(&whole);
    vis_image_free(&first);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* ---- encoding ---- */

static sn_status idefics3_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const idefics3_adapter *a = m->adapter;
    sn_arena *tmp = &m->arena;
    const size_t d = m->vit.hp.n_embd, s = m->vit.hp.image_px, side = s / m->vit.hp.patch_px, s2 = a->shuffle * a->shuffle;
    const size_t n_class = vit_n_class(&m->vit), n = side * side, n_out = n / s2;
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, m->compute, s, s), sn_linear_scratch_bytes(m->compute, &a->fc, n_out));
    const sn_status st = vis_reserve(m, sn_arena_cost_f32((n_class + n) * d) + sn_arena_cost_f32(n * d) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, (n_class + n) * d); /* [n, vit n_embd] */
    float *rows = sn_arena_f32(tmp, n * d);          /* [n / s^2, s^2 * vit n_embd] */
    for (size_t i = 0; i < p->n_tiles; i++, out += n_out * m->n_embd) {
        vit_forward(&m->vit, m->compute, x, p->pixels[i], s, s, tmp);
        vis_pixel_shuffle(rows, x + n_class * d, side, a->shuffle, d);
        sn_linear_apply(m->compute, out, m->n_embd, rows, s2 * d, &a->fc, n_out, tmp);
    }
    return SN_OK;
}

extern const vis_family vis_idefics3;
const vis_family vis_idefics3 = {
    .name = "idefics3",
    .pairing = {.tokens = {"<fake_token_around_image>"}, .own = "<fake_token_around_image>"},
    .match = idefics3_match,
    .open = idefics3_open,
    .close = idefics3_close,
    .prepare = idefics3_prepare,
    .encode = idefics3_encode,
};
