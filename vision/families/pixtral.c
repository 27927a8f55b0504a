/* pixtral.c: Pixtral (Agrawal et al. 2024): one tile of the picture's own aspect, a ViT with RMS norms, SwiGLU and 2-D rotary positions,
 * a two-layer MLP, and the [IMG_BREAK] row behind each row of patches but the last, behind which [IMG_END] stands in the prompt.
 * Mistral Small 3.1 (HF Mistral3) has one row for merge x merge patches: an RMS norm and a linear in front of the MLP. */
#include "../family.h"

#include "../../core/mem.h"

#include <string.h>

#define ROPE_BASE 10000 /* HF PixtralVisionConfig.rope_parameters; in no file */

typedef struct {
    size_t merge;       /* patches a side of what becomes one row; 1: Pixtral's own, without what stands next */
    sn_norm norm;       /* mm.input_norm [vit n_embd] */
    sn_linear merger;   /* mm.patch_merger [vit n_embd, vit n_embd * merge * merge], column (c * merge + y) * merge + x */
    sn_linear fc1, fc2; /* mm.1 [n_embd, vit n_embd], mm.2 [n_embd, n_embd] */
    float *row_break;   /* [n_embd]: v.token_embd.img_break */
} pixtral_adapter;

static bool pixtral_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "pixtral");
}

static sn_status pixtral_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    pixtral_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit_hparams hp;
    uint32_t merge;
    bool silu;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = sn_gguf_bool_or(g, "clip.use_silu", false, &silu, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.spatial_merge_size", 1, 16, 1, &merge, err)) != SN_OK) return st;
    if (!silu) return sn_fail(err, SN_EUNSUPPORTED, "%s: a Pixtral without SiLU is not computed", sn_gguf_path(g));
    a->merge = merge;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.2.weight", err)) != SN_OK) return st;
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_SILU, .rms = true, .gated = true, .rope_base = ROPE_BASE}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    if (merge > 1) {
        sn_bind_norm(&b, &a->norm, hp.n_embd, SN_BIAS_NONE, "mm.input_norm");
        sn_bind_linear(&b, &a->merger, hp.n_embd, hp.n_embd * merge * merge, SN_BIAS_OPTIONAL, "mm.patch_merger");
    }
    sn_bind_linear(&b, &a->fc1, m->n_embd, hp.n_embd, SN_BIAS_OPTIONAL, "mm.1"); /* w [n_embd, vit n_embd] */
    sn_bind_linear(&b, &a->fc2, m->n_embd, m->n_embd, SN_BIAS_OPTIONAL, "mm.2"); /* w [n_embd, n_embd] */
    sn_bind_f32(&b, &a->row_break, &m->n_embd, 1, false, "v.token_embd.img_break");
    return sn_bind_done(&b);
}

static void pixtral_close(vis_model *m)
{
    pixtral_adapter *a = m->adapter;

    if (!a) return;
    sn_norm_free(&a->norm);
    sn_linear_free(&a->merger);
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a->row_break);
    sn_free(a);
    m->adapter = NULL;
}

/* HF PixtralImageProcessor: no side over image_px, both up to whole patches, or whole squares of them. */
static sn_status pixtral_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const pixtral_adapter *a = m->adapter;
    const size_t p = hp->patch_px * a->merge, longer = img->w > img->h ? img->w : img->h;
    const double ratio = (double)longer / (double)hp->image_px;
    size_t w = img->w, h = img->h, n_x, n_y;
    vis_image fitted = {0};
    sn_status st;

    if (fit != VIS_FIT_DEFAULT)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder keeps the picture's aspect: no other fit can be chosen", sn_gguf_path(m->gguf));
    if (ratio > 1) {
        w = (size_t)((double)img->w / ratio);
        h = (size_t)((double)img->h / ratio);
    }
    n_x = w > p ? (w - 1) / p + 1 : 1;
    n_y = h > p ? (h - 1) / p + 1 : 1;
    if ((st = vis_prepared_init(out, img, 1, n_x * p, n_y * p, n_y * (n_x + 1) - 1, err)) != SN_OK) return st;
    if ((st = vis_resize(&fitted, img, n_x * p, n_y * p, VIS_BICUBIC, err)) == SN_OK) {
        vis_prepared_fill(out, 0, &fitted, 0, 0, hp);
        st = vis_prepared_after(out, "[IMG_END]", err);
    }
    vis_image_free(&fitted);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* wide [n_x, d * merge * merge] = row `row` of squares of patches x [n_x * merge a row, d], channel by channel (torch's unfold). */
static void unfold(float *wide, const float *x, size_t row, size_t n_x, size_t merge, size_t d)
{
    for (size_t i = 0; i < n_x; i++) {
        for (size_t at = 0; at < merge * merge; at++) {
            const float *patch = x + ((row * merge + at / merge) * n_x * merge + i * merge + at % merge) * d;
            for (size_t c = 0; c < d; c++) wide[(i * d + c) * merge * merge + at] = patch[c];
        }
    }
}

/* The patches x [n_y * n_x * merge * merge, d], of which squares become one: merged [n_y * n_x, d]. */
static void merge_patches(const pixtral_adapter *a, sn_compute *c, float *merged, float *x, size_t n_x, size_t n_y, size_t d, float eps,
                          sn_arena *tmp)
{
    const size_t m = a->merge, mark = sn_arena_mark(tmp);
    float *wide = sn_arena_f32(tmp, n_x * d * m * m); /* [n_x, d * m * m] */
    sn_rmsnorm(c, x, x, &a->norm, n_x * n_y * m * m, eps);
    for (size_t row = 0; row < n_y; row++) {
        unfold(wide, x, row, n_x, m, d);
        sn_linear_apply(c, merged + row * n_x * d, d, wide, d * m * m, &a->merger, n_x, tmp);
    }
    sn_arena_reset(tmp, mark);
}

static sn_status pixtral_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const pixtral_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const vit_hparams *hp = &m->vit.hp;
    const size_t d = hp->n_embd, e = m->n_embd, w = p->tile_w[0], h = p->tile_h[0], n_patch = vit_n_tok(&m->vit, w, h);
    const size_t n_x = w / hp->patch_px / a->merge, n_y = h / hp->patch_px / a->merge, n = n_x * n_y, wide = d * a->merge * a->merge;
    const size_t merging = a->merge > 1 ? sn_arena_cost_f32(n_x * wide) + sn_linear_scratch_bytes(c, &a->merger, n_x) : 0;
    const size_t linear = vis_max(sn_linear_scratch_bytes(c, &a->fc1, n), sn_linear_scratch_bytes(c, &a->fc2, n_x));
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, c, w, h), vis_max(linear, merging));
    const sn_status st = vis_reserve(m, sn_arena_cost_f32(n_patch * d) + sn_arena_cost_f32(n * d) + sn_arena_cost_f32(n * e) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, n_patch * d);                                                  /* [n_patch, vit n_embd] */
    float *merged = a->merge > 1 ? sn_arena_f32(tmp, n * d) : x, *y = sn_arena_f32(tmp, n * e); /* [n, vit n_embd], [n, n_embd] */
    vit_forward(&m->vit, c, x, p->pixels[0], w, h, tmp);
    if (a->merge > 1) merge_patches(a, c, merged, x, n_x, n_y, d, hp->eps, tmp);
    sn_linear_apply(c, y, e, merged, d, &a->fc1, n, tmp);
    sn_activate(c, y, n * e, SN_ACT_GELU_ERF);
    for (size_t row = 0; row < n_y; row++, out += (n_x + 1) * e) {
        sn_linear_apply(c, out, e, y + row * n_x * e, e, &a->fc2, n_x, tmp);
        if (row + 1 < n_y) memcpy(out + n_x * e, a->row_break, e * sizeof *out);
    }
    return SN_OK;
}

extern const vis_family vis_pixtral;
const vis_family vis_pixtral = {
    .name = "pixtral",
    .pairing = {.tokens = {"[IMG_END]"}, .named = "pixtral"}, /* other Mistral vocabularies have the token too */
    .match = pixtral_match,
    .open = pixtral_open,
    .close = pixtral_close,
    .prepare = pixtral_prepare,
    .encode = pixtral_encode,
};
