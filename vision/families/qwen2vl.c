/* qwen2vl.c: the eyes of Qwen2-VL (Wang et al. 2024) and Qwen2.5-VL (Bai et al. 2025): one tile near the picture's own size, a ViT with
 * 2-D rotary positions, blocks of 2 x 2 patches side by side through a two-layer MLP. The decoder places the rows by where they lie.
 * 2.5 has RMS norms, SwiGLU and, in all blocks but each so-manieth, attention within windows.
 *
 *   picture -> multiples of 2 patches -> ViT, post_ln -> [n / 4, 4 * vit n_embd] -> mm.0 -> GELU -> mm.2 */
#include "qwen2vl.h"

#include "../../core/mem.h"

#include <math.h>
#include <string.h>

#define ROPE_BASE 10000
#define MERGE ((size_t)2) /* patches a side that become one row */
#define MIN_PIXELS 3136   /* HF Qwen2VLImageProcessor's bounds: as the checkpoints are published; in no file */
#define MAX_PIXELS 12845056
#define MAX_ASPECT 200

typedef struct {
    sn_linear fc1, fc2; /* mm.0 [4 * vit n_embd, 4 * vit n_embd], mm.2 [n_embd, 4 * vit n_embd] */
} qwen2vl_adapter;

static bool qwen2vl_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "qwen2vl_merger");
}

static bool qwen25vl_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "qwen2.5vl_merger");
}

/* clip.vision.feed_forward_length is not to be believed: the converter gives the decoder's width for Qwen2-VL, whose hidden_size that is. */
static sn_status read_n_ff(vit_hparams *hp, const sn_gguf *g, sn_err *err)
{
    const sn_tensor *t = sn_gguf_tensor(g, "v.blk.0.ffn_up.weight");
    const sn_status st = vis_tensor_rows(&hp->n_ff, g, "v.blk.0.ffn_up.weight", err);

    if (st == SN_OK && hp->n_ff == hp->n_embd) hp->n_ff = t->shape[1]; /* stored under the other's name */
    return st;
}

static sn_status open_with(vis_model *m, const vit_options *opt, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    qwen2vl_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit_hparams hp;
    size_t d4;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = read_n_ff(&hp, g, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.2.weight", err)) != SN_OK) return st;
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = *opt};
    d4 = MERGE * MERGE * hp.n_embd;
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_linear(&b, &a->fc1, d4, d4, SN_BIAS_OPTIONAL, "mm.0");        /* w [4 * vit n_embd, 4 * vit n_embd] */
    sn_bind_linear(&b, &a->fc2, m->n_embd, d4, SN_BIAS_OPTIONAL, "mm.2"); /* w [n_embd, 4 * vit n_embd] */
    return sn_bind_done(&b);
}

static sn_status qwen2vl_open(vis_model *m, sn_err *err)
{
    const vit_options opt = {
        .act = SN_ACT_GELU_QUICK, .rope_base = ROPE_BASE, .post_ln = true, .rope_halves = true, .two_frames = true, .merge = MERGE};

    return open_with(m, &opt, err);
}

static sn_status qwen25vl_open(vis_model *m, sn_err *err)
{
    vit_options opt = {.act = SN_ACT_SILU,
                       .rms = true,
                       .gated = true,
                       .rope_base = ROPE_BASE,
                       .post_ln = true,
                       .rope_halves = true,
                       .two_frames = true,
                       .merge = MERGE};
    uint32_t window_px, every, patch_px;
    sn_status st;

    if ((st = sn_gguf_u32(m->gguf, "clip.vision.patch_size", 1, 256, &patch_px, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(m->gguf, "clip.vision.window_size", 1, 65536, 112, &window_px, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(m->gguf, "clip.vision.n_wa_pattern", 1, 512, &every, err)) != SN_OK) return st;
    opt.window = window_px / MERGE / patch_px * MERGE;
    opt.full_every = every;
    if (opt.window == 0)
        return sn_fail(err, SN_EFORMAT, "%s: a window of %u pixels holds no block of patches of %u", sn_gguf_path(m->gguf), window_px,
                       patch_px);
    return open_with(m, &opt, err);
}

static void qwen2vl_close(vis_model *m)
{
    qwen2vl_adapter *a = m->adapter;

    if (!a) return;
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- preparing: HF smart_resize ---- */

static size_t units(double n, size_t unit)
{
    return n >= 1 ? (size_t)n * unit : unit;
}

/* Both sides to multiples of `unit`, the area within the cut's bounds. */
static void size_smart(size_t *w, size_t *h, size_t unit, const qwen2vl_cut *cut)
{
    const double u = (double)unit, area = (double)*w * (double)*h;
    const double new_area = nearbyint((double)*w / u) * u * (nearbyint((double)*h / u) * u); /* half to even, as Python rounds */
    const size_t src_w = *w, src_h = *h;

    *w = units(nearbyint((double)src_w / u), unit);
    *h = units(nearbyint((double)src_h / u), unit);
    if (new_area > cut->max_pixels) {
        const double beta = sqrt(area / cut->max_pixels);
        *w = units(floor((double)src_w / beta / u), unit);
        *h = units(floor((double)src_h / beta / u), unit);
    } else if (new_area < cut->min_pixels) {
        const double beta = sqrt(cut->min_pixels / area);
        *w = units(ceil((double)src_w * beta / u), unit);
        *h = units(ceil((double)src_h * beta / u), unit);
    }
}

sn_status qwen2vl_prepare_as(const vis_model *m, const vis_image *img, vis_fit fit, const qwen2vl_cut *cut, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const size_t unit = cut->merge * hp->patch_px;
    size_t w = img->w, h = img->h;
    vis_image fitted = {0};
    sn_status st;

    if (fit != VIS_FIT_DEFAULT)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder keeps the picture's aspect: no other fit can be chosen", sn_gguf_path(m->gguf));
    if (w > MAX_ASPECT * h || h > MAX_ASPECT * w)
        return sn_fail(err, SN_EUNSUPPORTED, "a picture of %zux%zu: this encoder reads none more than %d times as long as wide", w, h,
                       MAX_ASPECT);
    size_smart(&w, &h, unit, cut);
    if ((w / hp->patch_px) * (h / hp->patch_px) > VIT_MAX_PATCHES)
        return sn_fail(err, SN_ELIMIT, "%s: cuts a picture of %zux%zu into %zu patches of %zu pixels: at most %d", sn_gguf_path(m->gguf),
                       img->w, img->h, (w / hp->patch_px) * (h / hp->patch_px), hp->patch_px, VIT_MAX_PATCHES);
    if ((st = vis_prepared_init(out, img, 1, w, h, (w / unit) * (h / unit), err)) != SN_OK) return st;
    out->tiles[0].map_w = w / unit;
    out->tiles[0].map_h = h / unit;
    if ((st = vis_resize(&fitted, img, w, h, VIS_BICUBIC, err)) == SN_OK) {
        vis_prepared_fill(out, 0, &fitted, 0, 0, hp);
        st = vis_prepared_before(out, 0, err, "<|vision_start|>");
    }
    if (st == SN_OK) st = vis_prepared_after(out, "<|vision_end|>", err);
    vis_image_free(&fitted);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

static sn_status qwen2vl_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    return qwen2vl_prepare_as(m, img, fit, &(qwen2vl_cut){MERGE, MIN_PIXELS, MAX_PIXELS}, out, err);
}

/* ---- encoding ---- */

static sn_status qwen2vl_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const qwen2vl_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d4 = MERGE * MERGE * m->vit.hp.n_embd, e = m->n_embd, w = p->tile_w[0], h = p->tile_h[0], n_out = p->n_tok;
    const size_t n_x = w / m->vit.hp.patch_px, n_y = h / m->vit.hp.patch_px, n = n_x * n_y;
    const size_t linear = sn_arena_cost_f32(n_out * d4) + sn_arena_cost_f32(n_out * e) + 2 * sn_arena_cost(n * sizeof(int32_t)) +
                          vis_max(sn_linear_scratch_bytes(c, &a->fc1, n_out), sn_linear_scratch_bytes(c, &a->fc2, n_out));
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, c, w, h), linear);
    const sn_status st = vis_reserve(m, sn_arena_cost_f32(n_out * d4) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, n_out * d4); /* [n, vit n_embd]: the blocks' patches lie side by side, so [n / 4, 4 * vit n_embd] */
    vit_forward(&m->vit, c, x, p->pixels[0], w, h, tmp);
    float *y = sn_arena_f32(tmp, n_out * d4);   /* [n / 4, 4 * vit n_embd] */
    float *rows = sn_arena_f32(tmp, n_out * e); /* [n / 4, n_embd], in the ViT's order */
    int32_t *pos_y = sn_arena_alloc(tmp, n * sizeof *pos_y), *pos_x = sn_arena_alloc(tmp, n * sizeof *pos_x); /* [n] */
    sn_linear_apply(c, y, d4, x, d4, &a->fc1, n_out, tmp);
    sn_activate(c, y, n_out * d4, SN_ACT_GELU_ERF);
    sn_linear_apply(c, rows, e, y, d4, &a->fc2, n_out, tmp);
    vit_order(&m->vit, n_x, n_y, pos_y, pos_x);
    for (size_t i = 0; i < n_out; i++) {
        const size_t first = i * MERGE * MERGE, at = (size_t)pos_y[first] / MERGE * (n_x / MERGE) + (size_t)pos_x[first] / MERGE;
        memcpy(out + at * e, rows + i * e, e * sizeof *out);
    }
    return SN_OK;
}

extern const vis_family vis_qwen2vl, vis_qwen25vl;
const vis_family vis_qwen2vl = {
    .name = "qwen2vl",
    .pairing = {.tokens = {"<|vision_start|>", "<|vision_end|>"}, .arch = "qwen2vl", .named = "qwen2vl"},
    .match = qwen2vl_match,
    .open = qwen2vl_open,
    .close = qwen2vl_close,
    .prepare = qwen2vl_prepare,
    .encode = qwen2vl_encode,
};
const vis_family vis_qwen25vl = {
    .name = "qwen25vl",
    .pairing = {.tokens = {"<|vision_start|>", "<|vision_end|>"}, .arch = "qwen2vl", .named = "qwen25vl"},
    .match = qwen25vl_match,
    .open = qwen25vl_open,
    .close = qwen2vl_close,
    .prepare = qwen2vl_prepare,
    .encode = qwen2vl_encode,
};
