/* pixtral.c: Pixtral (Agrawal et al. 2024): one tile of the picture's own aspect, a ViT with RMS norms, SwiGLU and 2-D rotary positions,
 * a two-layer MLP, and the [IMG_BREAK] row behind each row of patches but the last, behind which [IMG_END] stands in the prompt. */
#include "../family.h"

#include "../../core/mem.h"

#include <string.h>

#define ROPE_BASE 10000 /* HF PixtralVisionConfig.rope_parameters; in no file */

typedef struct {
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
    if (!silu || merge != 1)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: a Pixtral with merged patches or without SiLU is not computed", sn_gguf_path(g));
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.2.weight", err)) != SN_OK) return st;
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_SILU, .rms = true, .gated = true, .rope_base = ROPE_BASE}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_linear(&b, &a->fc1, m->n_embd, hp.n_embd, SN_BIAS_OPTIONAL, "mm.1"); /* w [n_embd, vit n_embd] */
    sn_bind_linear(&b, &a->fc2, m->n_embd, m->n_embd, SN_BIAS_OPTIONAL, "mm.2"); /* w [n_embd, n_embd] */
    sn_bind_f32(&b, &a->row_break, &m->n_embd, 1, false, "v.token_embd.img_break");
    return sn_bind_done(&b);
}

static void pixtral_close(vis_model *m)
{
    pixtral_adapter *a = m->adapter;

    if (!a) return;
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a->row_break);
    sn_free(a);
    m->adapter = NULL;
}

/* HF PixtralImageProcessor: no side over image_px, both up to whole patches. */
static sn_status pixtral_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const size_t p = hp->patch_px, longer = img->w > img->h ? img->w : img->h;
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

static sn_status pixtral_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const pixtral_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d = m->vit.hp.n_embd, e = m->n_embd, w = p->tile_w[0], h = p->tile_h[0], n = vit_n_tok(&m->vit, w, h);
    const size_t n_x = w / m->vit.hp.patch_px, n_y = h / m->vit.hp.patch_px;
    const size_t linear = vis_max(sn_linear_scratch_bytes(c, &a->fc1, n), sn_linear_scratch_bytes(c, &a->fc2, n_x));
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, c, w, h), linear);
    const sn_status st = vis_reserve(m, sn_arena_cost_f32(n * d) + sn_arena_cost_f32(n * e) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, n * d), *y = sn_arena_f32(tmp, n * e); /* [n, vit n_embd], [n, n_embd] */
    vit_forward(&m->vit, c, x, p->pixels[0], w, h, tmp);
    sn_linear_apply(c, y, e, x, d, &a->fc1, n, tmp);
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
