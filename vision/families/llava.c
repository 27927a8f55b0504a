/* llava.c: LLaVA-1.5 (Liu et al. 2023) and what was made in its likeness: a CLIP or SigLIP ViT at one fixed size, its patches
 * through a two-layer MLP.
 *
 *   one square of image_px -> ViT, n_run blocks, no last norm -> patches, class row dropped -> mm.0 -> GELU -> mm.2 */
#include "llava.h"

#include "../../core/mem.h"

#include <stdio.h>
#include <string.h>

bool llava_is_anyres(const sn_gguf *g)
{
    return sn_gguf_find(g, "clip.vision.image_grid_pinpoints") && sn_gguf_tensor(g, "model.image_newline");
}

/* The first published files lack the key: they are mlp, and say so by clip.has_llava_projector. */
static bool is_mlp(const sn_gguf *g, sn_str projector)
{
    return projector.p ? sn_str_eq(projector, "mlp") : sn_gguf_find(g, "clip.has_llava_projector") != NULL;
}

static bool llava_match(const sn_gguf *g, sn_str projector)
{
    return is_mlp(g, projector) && !llava_is_anyres(g);
}

/* ---- how many blocks run ---- */

/* Whether the tensors of blocks il and il - 1 are equal byte for byte. */
static bool block_is_copy(const sn_gguf *g, size_t il)
{
    char prefix[32], name[SN_MAX_NAME + 16];
    size_t n = 0;
    const size_t n_prefix = (size_t)snprintf(prefix, sizeof prefix, "v.blk.%zu.", il);

    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *a = sn_gguf_tensor_at(g, i), *b;
        if (strncmp(a->name, prefix, n_prefix)) continue;
        snprintf(name, sizeof name, "v.blk.%zu.%s", il - 1, a->name + n_prefix);
        b = sn_gguf_tensor(g, name);
        if (!b || b->type != a->type || b->n_bytes != a->n_bytes || memcmp(a->data, b->data, a->n_bytes)) return false;
        n++;
    }
    return n > 0;
}

size_t llava_n_features(const sn_gguf *g)
{
    const sn_kv *kv = sn_gguf_find(g, "clip.vision.feature_layer");

    return kv && kv->type == SN_KV_ARRAY ? kv->n : 1;
}

/* With clip.vision.feature_layer: as many as its largest (n is the output of n blocks). Without: all that are stored, as the LLaVA
 * converter already took off the last; but for a filler, a copy of the block before it, that Moondream2's file has at its end. */
static sn_status read_features(vit *v, const sn_gguf *g, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, "clip.vision.feature_layer");
    const size_t n_layer = v->hp.n_layer;

    if (!kv) {
        v->n_run = n_layer > 1 && block_is_copy(g, n_layer - 1) ? n_layer - 1 : n_layer;
        return SN_OK;
    }
    if (kv->type == SN_KV_STRING || (kv->type == SN_KV_ARRAY && kv->elem == SN_KV_STRING) || kv->n == 0)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.feature_layer: want a number", sn_gguf_path(g));
    if (kv->n > VIT_MAX_FEATURES)
        return sn_fail(err, SN_ELIMIT, "%s: clip.vision.feature_layer: features of %zu layers side by side; the limit is %d",
                       sn_gguf_path(g), kv->n, VIT_MAX_FEATURES);
    for (size_t i = 0; i < kv->n; i++) {
        const int64_t n = sn_kv_i64(kv, i);
        if (n < 0 || (uint64_t)n > n_layer)
            return sn_fail(err, SN_EFORMAT, "%s: clip.vision.feature_layer is %lld of %zu blocks", sn_gguf_path(g), (long long)n, n_layer);
        v->features[i] = (size_t)n;
        v->n_run = vis_max(v->n_run, (size_t)n);
    }
    v->n_features = kv->n > 1 ? kv->n : 0;
    return SN_OK;
}

/* ---- open, close ---- */

sn_status llava_read_vit(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    const bool siglip = !sn_gguf_tensor(g, "v.class_embd"), layer_said = sn_gguf_find(g, "clip.vision.feature_layer") != NULL;
    vit *v = &m->vit;
    bool gelu;
    sn_status st;

    if ((st = vit_read_hparams(&v->hp, g, err)) != SN_OK) return st;
    if ((st = read_features(v, g, err)) != SN_OK) return st;
    if ((st = sn_gguf_bool_or(g, "clip.use_gelu", false, &gelu, err)) != SN_OK) return st;
    /* SigLIP's GELU is the tanh form, whatever the key says: the converter has no word for it. OpenCLIP has the exact one, OpenAI's CLIP
     * x sigmoid(1.702 x). A layer's output has no norm behind it (HF hidden_states); Moondream2's file names no layer, and is normed. */
    v->opt = (vit_options){.act = siglip ? SN_ACT_GELU_TANH
                                  : gelu ? SN_ACT_GELU_ERF
                                         : SN_ACT_GELU_QUICK,
                           .post_ln = siglip && !layer_said && sn_gguf_tensor(g, "v.post_ln.weight")};
    return SN_OK;
}

sn_status llava_open_adapter(vis_model *m, bool want_newline, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    llava_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = llava_read_vit(m, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.2.weight", err)) != SN_OK) return st;
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_linear(&b, &a->fc1, m->n_embd, vit_width(&m->vit), SN_BIAS_OPTIONAL, "mm.0"); /* w [n_embd, vit width] */
    sn_bind_linear(&b, &a->fc2, m->n_embd, m->n_embd, SN_BIAS_OPTIONAL, "mm.2");          /* w [n_embd, n_embd] */
    if (want_newline) sn_bind_f32(&b, &a->newline, &m->n_embd, 1, false, "model.image_newline");
    return sn_bind_done(&b);
}

static sn_status llava_open(vis_model *m, sn_err *err)
{
    return llava_open_adapter(m, false, err);
}

void llava_close_adapter(vis_model *m)
{
    llava_adapter *a = m->adapter;

    if (!a) return;
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a->newline);
    sn_free(a->grids);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- preparing ---- */

/* CLIP's LLaVA was trained on padded squares, though HF LlavaProcessor crops; SigLIP's processor stretches (HF SiglipImageProcessor), unless
 * the file says that it was padded. */
static vis_fit default_fit(const vis_model *m)
{
    sn_str aspect = {0};

    if (m->vit.class_embd) return VIS_FIT_PAD;
    (void)sn_gguf_str_or(m->gguf, "clip.vision.image_aspect_ratio", &aspect, NULL);
    return sn_str_eq(aspect, "pad") ? VIS_FIT_PAD : VIS_FIT_STRETCH;
}

sn_status llava_prepare_square(const vis_model *m, const vis_image *img, vis_fit fit, size_t n_tok, vis_prepared *out, sn_err *err)
{
    const vit_hparams *hp = &m->vit.hp;
    const size_t s = hp->image_px;
    vis_image square = {0};
    sn_status st = vis_prepared_init(out, img, 1, s, s, n_tok, err);

    if (st != SN_OK) return st;
    st = vis_fit_square(&square, img, fit == VIS_FIT_DEFAULT ? default_fit(m) : fit, hp, err);
    if (st == SN_OK)
        vis_prepared_fill(out, 0, &square, 0, 0, hp);
    else
        vis_prepared_free(out);
    vis_image_free(&square);
    return st;
}

static sn_status llava_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const size_t side = m->vit.hp.image_px / m->vit.hp.patch_px;

    return llava_prepare_square(m, img, fit, side * side, out, err);
}

/* ---- encoding ---- */

void llava_encode_tile(vis_model *m, const vis_prepared *p, size_t i, float *out)
{
    const llava_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d = vit_width(&m->vit), n_class = vit_n_class(&m->vit), w = p->tile_w[i], h = p->tile_h[i];
    const size_t n_tok = vit_n_tok(&m->vit, w, h), n = n_tok - n_class, mark = sn_arena_mark(tmp);
    float *x = sn_arena_f32(tmp, n_tok * d), *y = sn_arena_f32(tmp, n * m->n_embd); /* [n_tok, vit width], [n, n_embd] */

    vit_forward(&m->vit, c, x, p->pixels[i], w, h, tmp);
    sn_linear_apply(c, y, m->n_embd, x + n_class * d, d, &a->fc1, n, tmp); /* the class row stays behind */
    sn_activate(c, y, n * m->n_embd, SN_ACT_GELU_ERF);
    sn_linear_apply(c, out, m->n_embd, y, m->n_embd, &a->fc2, n, tmp);
    sn_arena_reset(tmp, mark);
}

size_t llava_scratch_bytes(const vis_model *m)
{
    const llava_adapter *a = m->adapter;
    const size_t s = m->vit.hp.image_px, n_tok = vit_n_tok(&m->vit, s, s), n = n_tok - vit_n_class(&m->vit);
    const size_t linear = vis_max(sn_linear_scratch_bytes(m->compute, &a->fc1, n), sn_linear_scratch_bytes(m->compute, &a->fc2, n));

    return sn_arena_cost_f32(n_tok * vit_width(&m->vit)) + sn_arena_cost_f32(n * m->n_embd) +
           vis_max(vit_scratch_bytes(&m->vit, m->compute, s, s), linear);
}

static sn_status llava_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const sn_status st = vis_reserve(m, llava_scratch_bytes(m), err);

    if (st == SN_OK) llava_encode_tile(m, p, 0, out);
    return st;
}

extern const vis_family vis_llava;
const vis_family vis_llava = {
    .name = "llava",
    .match = llava_match,
    .open = llava_open,
    .close = llava_close_adapter,
    .prepare = llava_prepare,
    .encode = llava_encode,
};
