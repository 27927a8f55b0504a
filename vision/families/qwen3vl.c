/* qwen3vl.c: the eyes of Qwen3-VL (Bai et al. 2025): Qwen2-VL's tile and rotary positions, with learned ones stretched over it, and besides
 * the row that enters the decoder one for each of its first layers, of features from earlier blocks (DeepStack: Meng et al. 2024).
 *
 *   picture -> multiples of `merge` patches -> ViT -> norm v.post_ln -> [n / merge^2, merge^2 * vit n_embd] -> mm.0 -> GELU -> mm.2
 *   behind block N of v.deepstack.N: -> [n / merge^2, merge^2 * vit n_embd] -> norm -> fc1 -> GELU -> fc2
 *
 * A row is all of these side by side: [(1 + n_deep) * n_embd of the decoder]. */
#include "qwen2vl.h"

#include "../../core/mem.h"

#include <stdio.h>
#include <string.h>

#define ROPE_BASE 10000
#define EPS 1e-6f        /* of all norms, in transformers; the file says the decoder's */
#define MIN_PIXELS 65536 /* as the checkpoints are published; in no file but those that say otherwise */
#define MAX_PIXELS 16777216

typedef struct {
    sn_norm norm;       /* [vit n_embd] before, or [merge^2 * vit n_embd] behind the patches lie side by side */
    sn_linear fc1, fc2; /* [merge^2 * vit n_embd, merge^2 * vit n_embd], [decoder's n_embd, merge^2 * vit n_embd] */
} merger;

typedef struct {
    merger mergers[VIT_MAX_FEATURES]; /* [n_deep + 1]: v.deepstack.N in the order of the blocks; the last is mm */
    size_t n_deep, n_text;            /* n_text: the decoder's n_embd */
    qwen2vl_cut cut;
} qwen3vl_adapter;

static bool qwen3vl_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "qwen3vl_merger");
}

/* ---- open, close ---- */

/* The blocks whose states are used: those with a merger of their own, and the last. */
static sn_status read_features(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    qwen3vl_adapter *a = m->adapter;
    vit *v = &m->vit;
    char name[SN_MAX_NAME];

    for (size_t il = 0; il < v->hp.n_layer; il++) {
        snprintf(name, sizeof name, "v.deepstack.%zu.fc1.weight", il);
        if (!sn_gguf_tensor(g, name)) continue;
        if (a->n_deep + 1 == VIT_MAX_FEATURES)
            return sn_fail(err, SN_ELIMIT, "%s: %s: features of more than %d blocks", sn_gguf_path(g), name, VIT_MAX_FEATURES);
        v->features[a->n_deep++] = il + 1;
    }
    v->features[a->n_deep] = v->n_run = v->hp.n_layer;
    v->n_features = a->n_deep + 1;
    return SN_OK;
}

/* clip.vision.is_deepstack_layers says the same, of every block. */
static sn_status check_features(const vis_model *m, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(m->gguf, "clip.vision.is_deepstack_layers");
    const qwen3vl_adapter *a = m->adapter;
    size_t n = 0;

    if (!kv) return SN_OK;
    if (kv->type != SN_KV_ARRAY || kv->elem != SN_KV_BOOL || kv->n != m->vit.hp.n_layer)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.is_deepstack_layers: want %zu truth values", sn_gguf_path(m->gguf),
                       m->vit.hp.n_layer);
    for (size_t il = 0; il < kv->n; il++) {
        const bool has = n < a->n_deep && m->vit.features[n] == il + 1;
        if ((sn_kv_i64(kv, il) != 0) != has)
            return sn_fail(err, SN_EFORMAT, "%s: clip.vision.is_deepstack_layers and the tensors v.deepstack.%zu do not agree",
                           sn_gguf_path(m->gguf), il);
        n += has;
    }
    return SN_OK;
}

static sn_status read_cut(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    qwen3vl_adapter *a = m->adapter;
    uint32_t merge, least, most;
    sn_status st;

    if ((st = sn_gguf_u32_or(g, "clip.vision.spatial_merge_size", 1, 16, 2, &merge, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.image_min_pixels", 1, 1u << 28, MIN_PIXELS, &least, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.image_max_pixels", least, 1u << 28, least > MAX_PIXELS ? least : MAX_PIXELS, &most, err)) !=
        SN_OK)
        return st;
    a->cut = (qwen2vl_cut){merge, least, most};
    return SN_OK;
}

static void bind_mergers(vis_model *m, sn_bind *b)
{
    qwen3vl_adapter *a = m->adapter;
    const size_t d = m->vit.hp.n_embd, wide = a->cut.merge * a->cut.merge * d;

    for (size_t i = 0; i < a->n_deep; i++) {
        const size_t il = m->vit.features[i] - 1;
        merger *k = &a->mergers[i];
        sn_bind_norm(b, &k->norm, wide, SN_BIAS_REQUIRED, "v.deepstack.%zu.norm", il);
        sn_bind_linear(b, &k->fc1, wide, wide, SN_BIAS_REQUIRED, "v.deepstack.%zu.fc1", il);      /* w [wide, wide] */
        sn_bind_linear(b, &k->fc2, a->n_text, wide, SN_BIAS_REQUIRED, "v.deepstack.%zu.fc2", il); /* w [n_text, wide] */
    }
    sn_bind_norm(b, &a->mergers[a->n_deep].norm, d, SN_BIAS_REQUIRED, "v.post_ln");
    sn_bind_linear(b, &a->mergers[a->n_deep].fc1, wide, wide, SN_BIAS_REQUIRED, "mm.0");      /* w [wide, wide] */
    sn_bind_linear(b, &a->mergers[a->n_deep].fc2, a->n_text, wide, SN_BIAS_REQUIRED, "mm.2"); /* w [n_text, wide] */
}

static sn_status qwen3vl_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    qwen3vl_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit *v = &m->vit;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&v->hp, g, err)) != SN_OK) return st;
    if ((st = read_features(m, err)) != SN_OK) return st;
    if ((st = check_features(m, err)) != SN_OK) return st;
    if ((st = read_cut(m, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&a->n_text, g, "mm.2.weight", err)) != SN_OK) return st;
    m->n_embd = (1 + a->n_deep) * a->n_text;
    v->hp.eps = EPS;
    v->opt = (vit_options){.act = SN_ACT_GELU_TANH,
                           .rope_base = ROPE_BASE,
                           .rope_halves = true,
                           .stretch_pos = true,
                           .two_frames = true,
                           .merge = a->cut.merge};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(v, &b);
    bind_mergers(m, &b);
    return sn_bind_done(&b);
}

static void qwen3vl_close(vis_model *m)
{
    qwen3vl_adapter *a = m->adapter;

    if (!a) return;
    for (size_t i = 0; i <= a->n_deep; i++) {
        sn_norm_free(&a->mergers[i].norm);
        sn_linear_free(&a->mergers[i].fc1);
        sn_linear_free(&a->mergers[i].fc2);
    }
    sn_free(a);
    m->adapter = NULL;
}

static sn_status qwen3vl_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const qwen3vl_adapter *a = m->adapter;

    return qwen2vl_prepare_as(m, img, fit, &a->cut, out, err);
}

/* ---- encoding ---- */

static size_t merger_scratch_bytes(const sn_compute *c, const merger *k, size_t n)
{
    return vis_max(sn_linear_scratch_bytes(c, &k->fc1, n), sn_linear_scratch_bytes(c, &k->fc2, n));
}

static sn_status qwen3vl_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const qwen3vl_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d = m->vit.hp.n_embd, width = vit_width(&m->vit), w = p->tile_w[0], h = p->tile_h[0], n = vit_n_tok(&m->vit, w, h);
    const size_t n_out = p->n_tok, wide = a->cut.merge * a->cut.merge * d;
    size_t work = 0;

    for (size_t i = 0; i <= a->n_deep; i++) work = vis_max(work, merger_scratch_bytes(c, &a->mergers[i], n_out));
    work = vis_max(vit_scratch_bytes(&m->vit, c, w, h), 2 * sn_arena_cost_f32(n * d) + work);
    const sn_status st = vis_reserve(m, sn_arena_cost_f32(n * width) + work, err);
    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, n * width); /* [n, (n_deep + 1) * vit n_embd], merged patches one behind the other */
    vit_forward(&m->vit, c, x, p->pixels[0], w, h, tmp);
    float *f = sn_arena_f32(tmp, n * d); /* [n, vit n_embd], which is [n_out, wide] */
    float *y = sn_arena_f32(tmp, n * d); /* [n_out, wide] */
    for (size_t i = 0; i <= a->n_deep; i++) {
        const merger *k = &a->mergers[i];
        const size_t block = i < a->n_deep ? i + 1 : 0; /* the last is what enters the decoder first */
        for (size_t j = 0; j < n; j++) memcpy(f + j * d, x + j * width + i * d, d * sizeof *f);
        sn_layernorm(c, f, f, &k->norm, k->norm.n == d ? n : n_out, EPS);
        sn_linear_apply(c, y, wide, f, wide, &k->fc1, n_out, tmp);
        sn_activate(c, y, n * d, SN_ACT_GELU_ERF);
        sn_linear_apply(c, out + block * a->n_text, m->n_embd, y, wide, &k->fc2, n_out, tmp);
    }
    return SN_OK;
}

extern const vis_family vis_qwen3vl;
const vis_family vis_qwen3vl = {
    .name = "qwen3vl",
    .pairing = {.tokens = {"<|vision_start|>", "<|vision_end|>"}, .arch = "qwen3vl", .named = "qwen3vl"},
    .match = qwen3vl_match,
    .open = qwen3vl_open,
    .close = qwen3vl_close,
    .prepare = qwen3vl_prepare,
    .encode = qwen3vl_encode,
};
