/* mobilevlm.c: MobileVLM (Chu et al. 2023) and MobileVLM V2 (Chu et al. 2024): LLaVA-1.5's eyes behind a projector of convolutions that
 * gives the decoder a quarter of the rows.
 *
 *   LDP:    patches -> mlp.1 -> GELU -> mlp.3 -> mb_block.1 -> mb_block.2, of stride 2
 *   LDPv2:  patches -> mlp.0 -> GELU -> mlp.2 -> averages, 12 x 12 -> x + peg.0(x)
 *
 * An mb_block is torchvision's InvertedResidual without its first matrix: depthwise 3 x 3, norm, hard swish, squeeze and excitation,
 * 1 x 1, norm, and its input on top where the stride is 1. Maps are kept as rows of places: [h * w, n_embd]. */
#include "llava.h"

#include "../../core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POOLED_SIDE 12      /* LDPv2's AdaptiveAvgPool2d, whatever comes in */
#define PROJECTOR_EPS 1e-5f /* of timm's LayerNormAct2d, in no file */
#define KERNEL_AREA 9       /* 3 x 3 */

typedef struct { /* a 3 x 3 convolution of each channel by itself; zeros stand around the map */
    float *w;    /* [9, n_embd] */
    float *bias; /* [n_embd] or NULL */
    size_t n_embd, stride;
} depthwise;

typedef struct {               /* mm.model.mb_block.N.block */
    depthwise conv;            /* 0.0 */
    sn_norm norm_in, norm_out; /* 0.1, 2.1 [n_embd] */
    sn_linear squeeze, excite; /* 1.fc1 [n_squeezed, n_embd], 1.fc2 [n_embd, n_squeezed] */
    sn_linear point;           /* 2.0 [n_embd, n_embd] */
} mb_block;

typedef struct {
    bool v2;
    sn_linear fc1, fc2; /* mm.model.mlp.{1,3} or {0,2}: [n_embd, vit width], [n_embd, n_embd] */
    mb_block blocks[2]; /* LDP */
    depthwise peg;      /* LDPv2: mm.model.peg.0 */
} mobilevlm_adapter;

static bool ldp_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "ldp");
}

static bool ldpv2_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "ldpv2");
}

/* ---- open, close ---- */

/* The file has [n_embd, 3, 3]; here the channels of one place of the kernel lie together. */
static void bind_depthwise(sn_bind *b, depthwise *k, size_t n_embd, size_t stride, sn_bias bias, const char *name)
{
    const size_t shape[3] = {n_embd, 3, 3};
    float *w = NULL;

    *k = (depthwise){.n_embd = n_embd, .stride = stride};
    sn_bind_f32(b, &w, shape, 3, false, "%s.weight", name);
    if (bias == SN_BIAS_REQUIRED) sn_bind_f32(b, &k->bias, &n_embd, 1, false, "%s.bias", name);
    if (b->status == SN_OK && !(k->w = sn_alloc(n_embd * KERNEL_AREA, sizeof *w))) b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
    for (size_t i = 0; k->w && i < n_embd; i++)
        for (size_t j = 0; j < KERNEL_AREA; j++) k->w[j * n_embd + i] = w[i * KERNEL_AREA + j];
    sn_free(w);
}

static void bind_block(sn_bind *b, mb_block *k, size_t n_embd, size_t n_squeezed, size_t which)
{
    char name[SN_MAX_NAME];

    snprintf(name, sizeof name, "mm.model.mb_block.%zu.block.0.0", which);
    bind_depthwise(b, &k->conv, n_embd, which, SN_BIAS_NONE, name); /* the second halves the map */
    sn_bind_norm(b, &k->norm_in, n_embd, SN_BIAS_REQUIRED, "mm.model.mb_block.%zu.block.0.1", which);
    sn_bind_linear(b, &k->squeeze, n_squeezed, n_embd, SN_BIAS_REQUIRED, "mm.model.mb_block.%zu.block.1.fc1", which);
    sn_bind_linear(b, &k->excite, n_embd, n_squeezed, SN_BIAS_REQUIRED, "mm.model.mb_block.%zu.block.1.fc2", which);
    sn_bind_linear(b, &k->point, n_embd, n_embd, SN_BIAS_NONE, "mm.model.mb_block.%zu.block.2.0", which);
    sn_bind_norm(b, &k->norm_out, n_embd, SN_BIAS_REQUIRED, "mm.model.mb_block.%zu.block.2.1", which);
}

static sn_status open_adapter(vis_model *m, bool v2, sn_err *err)
{
    static const char *const squeezes[] = {"mm.model.mb_block.1.block.1.fc1.weight", "mm.model.mb_block.2.block.1.fc1.weight"};
    const sn_gguf *g = m->gguf;
    mobilevlm_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    size_t n_squeezed[2];
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    a->v2 = v2;
    if ((st = llava_read_vit(m, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, v2 ? "mm.model.mlp.2.weight" : "mm.model.mlp.3.weight", err)) != SN_OK) return st;
    for (size_t i = 0; !v2 && i < 2; i++)
        if ((st = vis_tensor_rows(&n_squeezed[i], g, squeezes[i], err)) != SN_OK) return st;
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_linear(&b, &a->fc1, m->n_embd, vit_width(&m->vit), SN_BIAS_REQUIRED, "mm.model.mlp.%d", v2 ? 0 : 1);
    sn_bind_linear(&b, &a->fc2, m->n_embd, m->n_embd, SN_BIAS_REQUIRED, "mm.model.mlp.%d", v2 ? 2 : 3);
    if (v2) bind_depthwise(&b, &a->peg, m->n_embd, 1, SN_BIAS_REQUIRED, "mm.model.peg.0");
    for (size_t i = 0; !v2 && i < 2; i++) bind_block(&b, &a->blocks[i], m->n_embd, n_squeezed[i], i + 1);
    return sn_bind_done(&b);
}

static sn_status ldp_open(vis_model *m, sn_err *err)
{
    return open_adapter(m, false, err);
}

static sn_status ldpv2_open(vis_model *m, sn_err *err)
{
    return open_adapter(m, true, err);
}

static void depthwise_free(depthwise *k)
{
    sn_free(k->w);
    sn_free(k->bias);
}

static void mobilevlm_close(vis_model *m)
{
    mobilevlm_adapter *a = m->adapter;

    if (!a) return;
    for (size_t i = 0; i < 2; i++) {
        mb_block *k = &a->blocks[i];
        depthwise_free(&k->conv);
        sn_norm_free(&k->norm_in);
        sn_norm_free(&k->norm_out);
        sn_linear_free(&k->squeeze);
        sn_linear_free(&k->excite);
        sn_linear_free(&k->point);
    }
    depthwise_free(&a->peg);
    sn_linear_free(&a->fc1);
    sn_linear_free(&a->fc2);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- preparing: MobileVLM's process_images, as LLaVA-1.5's ---- */

/* Sides of the map that comes in, and of the one that goes out. */
static size_t side_in(const vis_model *m)
{
    return m->vit.hp.image_px / m->vit.hp.patch_px;
}

static size_t side_out(const vis_model *m)
{
    const mobilevlm_adapter *a = m->adapter;

    return a->v2 ? POOLED_SIDE : (side_in(m) + 1) / 2;
}

static sn_status mobilevlm_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    return llava_prepare_square(m, img, fit, side_out(m) * side_out(m), out, err);
}

/* ---- encoding ---- */

typedef struct {
    const depthwise *k;
    float *y;
    const float *x;
    size_t side, side_out;
} depthwise_job;

static void depthwise_part(void *arg, size_t part, size_t n_parts)
{
    const depthwise_job *j = arg;
    const size_t n = j->k->n_embd;
    size_t begin, end;

    sn_share(j->side_out * j->side_out, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const size_t y0 = i / j->side_out * j->k->stride, x0 = i % j->side_out * j->k->stride; /* the kernel's middle */
        float *y = j->y + i * n;
        if (j->k->bias)
            memcpy(y, j->k->bias, n * sizeof *y);
        else
            memset(y, 0, n * sizeof *y);
        for (size_t p = 0; p < KERNEL_AREA; p++) {
            const size_t at_y = y0 + p / 3, at_x = x0 + p % 3; /* one too far right and down */
            if (at_y < 1 || at_y > j->side || at_x < 1 || at_x > j->side) continue;
            const float *x = j->x + ((at_y - 1) * j->side + at_x - 1) * n, *w = j->k->w + p * n;
            for (size_t c = 0; c < n; c++) y[c] += x[c] * w[c];
        }
    }
}

/* y [ceil(side / stride)^2, n_embd] of x [side * side, n_embd]. */
static void depthwise_apply(sn_compute *c, float *y, const float *x, size_t side, const depthwise *k)
{
    sn_parallel(c, depthwise_part, &(depthwise_job){k, y, x, side, (side + k->stride - 1) / k->stride});
}

static float hard_sigmoid(float x)
{
    return fminf(fmaxf(x + 3, 0), 6) / 6;
}

/* x [n, n_embd] *= a factor for each channel, made of the channels' means. Scratch: scale [n_embd], squeezed [n_squeezed]. */
static void squeeze_and_excite(sn_compute *c, float *x, size_t n, const mb_block *k, float *scale, float *squeezed, sn_arena *tmp)
{
    const size_t d = k->conv.n_embd;

    memset(scale, 0, d * sizeof *scale);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++) scale[j] += x[i * d + j];
    for (size_t j = 0; j < d; j++) scale[j] /= (float)n;
    sn_linear_apply(c, squeezed, k->squeeze.n_out, scale, d, &k->squeeze, 1, tmp);
    sn_activate(c, squeezed, k->squeeze.n_out, SN_ACT_RELU);
    sn_linear_apply(c, scale, d, squeezed, k->squeeze.n_out, &k->excite, 1, tmp);
    for (size_t j = 0; j < d; j++) scale[j] = hard_sigmoid(scale[j]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < d; j++) x[i * d + j] *= scale[j];
}

/* y [n_out, n_embd] of x [side * side, n_embd], without its input on top; h [n_out, n_embd] is scratch. */
static void block_apply(sn_compute *c, float *y, const float *x, float *h, size_t side, const mb_block *k, sn_arena *tmp)
{
    const size_t d = k->conv.n_embd, half = (side + k->conv.stride - 1) / k->conv.stride, n = half * half, mark = sn_arena_mark(tmp);
    float *scale = sn_arena_f32(tmp, d), *squeezed = sn_arena_f32(tmp, k->squeeze.n_out); /* [n_embd], [n_squeezed] */

    depthwise_apply(c, h, x, side, &k->conv);
    sn_layernorm(c, h, h, &k->norm_in, n, PROJECTOR_EPS);
    for (size_t i = 0; i < n * d; i++) h[i] *= hard_sigmoid(h[i]); /* hard swish */
    squeeze_and_excite(c, h, n, k, scale, squeezed, tmp);
    sn_linear_apply(c, y, d, h, d, &k->point, n, tmp);
    sn_layernorm(c, y, y, &k->norm_out, n, PROJECTOR_EPS);
    sn_arena_reset(tmp, mark);
}

static size_t block_scratch_bytes(const sn_compute *c, const mb_block *k, size_t n)
{
    const size_t gate = vis_max(sn_linear_scratch_bytes(c, &k->squeeze, 1), sn_linear_scratch_bytes(c, &k->excite, 1));

    return sn_arena_cost_f32(k->conv.n_embd) + sn_arena_cost_f32(k->squeeze.n_out) +
           vis_max(gate, sn_linear_scratch_bytes(c, &k->point, n));
}

/* y [POOLED_SIDE^2, d]: means of x [side * side, d] over what falls on each, with the whole of what falls on it in part
 * (torch adaptive_avg_pool2d). */
static void pool_apply(float *y, const float *x, size_t side, size_t d)
{
    for (size_t i = 0; i < POOLED_SIDE * POOLED_SIDE; i++, y += d) {
        const size_t py = i / POOLED_SIDE, px = i % POOLED_SIDE;
        const size_t y0 = py * side / POOLED_SIDE, y1 = ((py + 1) * side + POOLED_SIDE - 1) / POOLED_SIDE;
        const size_t x0 = px * side / POOLED_SIDE, x1 = ((px + 1) * side + POOLED_SIDE - 1) / POOLED_SIDE;
        memset(y, 0, d * sizeof *y);
        for (size_t at_y = y0; at_y < y1; at_y++)
            for (size_t at_x = x0; at_x < x1; at_x++)
                for (size_t j = 0; j < d; j++) y[j] += x[(at_y * side + at_x) * d + j];
        for (size_t j = 0; j < d; j++) y[j] /= (float)((y1 - y0) * (x1 - x0));
    }
}

static size_t scratch_bytes(const vis_model *m)
{
    const mobilevlm_adapter *a = m->adapter;
    const sn_compute *c = m->compute;
    const size_t s = m->vit.hp.image_px, n_tok = vit_n_tok(&m->vit, s, s), n = n_tok - vit_n_class(&m->vit);
    const size_t n_out = side_out(m) * side_out(m);
    size_t work = vis_max(sn_linear_scratch_bytes(c, &a->fc1, n), sn_linear_scratch_bytes(c, &a->fc2, n));

    if (!a->v2) work = vis_max(work, vis_max(block_scratch_bytes(c, &a->blocks[0], n), block_scratch_bytes(c, &a->blocks[1], n_out)));
    work = vis_max(work, vit_scratch_bytes(&m->vit, c, s, s));
    return sn_arena_cost_f32(n_tok * vit_width(&m->vit)) + sn_arena_cost_f32(n * m->n_embd) +
           sn_arena_cost_f32(vis_max(n, n_out) * m->n_embd) + (a->v2 ? 0 : sn_arena_cost_f32(n * m->n_embd)) + work;
}

static sn_status mobilevlm_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const mobilevlm_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t s = m->vit.hp.image_px, d = vit_width(&m->vit), e = m->n_embd, side = side_in(m), n = side * side;
    const size_t n_class = vit_n_class(&m->vit);
    const sn_status st = vis_reserve(m, scratch_bytes(m), err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, (n_class + n) * d);                         /* [n_class + n, vit width] */
    float *rows = sn_arena_f32(tmp, n * e);                                  /* [n, n_embd] */
    float *h = sn_arena_f32(tmp, vis_max(n, side_out(m) * side_out(m)) * e); /* [n, n_embd], or the map that goes out */
    vit_forward(&m->vit, c, x, p->pixels[0], s, s, tmp);
    sn_linear_apply(c, h, e, x + n_class * d, d, &a->fc1, n, tmp); /* the class row stays behind */
    sn_activate(c, h, n * e, SN_ACT_GELU_ERF);
    sn_linear_apply(c, rows, e, h, e, &a->fc2, n, tmp);
    if (a->v2) {
        pool_apply(h, rows, side, e);
        depthwise_apply(c, out, h, POOLED_SIDE, &a->peg);
        sn_add(c, out, h, POOLED_SIDE * POOLED_SIDE * e);
    } else {
        float *y = sn_arena_f32(tmp, n * e); /* [n, n_embd] */
        block_apply(c, y, rows, h, side, &a->blocks[0], tmp);
        sn_add(c, rows, y, n * e);
        block_apply(c, out, rows, h, side, &a->blocks[1], tmp);
    }
    return SN_OK;
}

extern const vis_family vis_mobilevlm, vis_mobilevlm_v2;
const vis_family vis_mobilevlm = {
    .name = "mobilevlm",
    .pairing = {.named = "mobilevlm1"}, /* MobileVLM-1.7B */
    .match = ldp_match,
    .open = ldp_open,
    .close = mobilevlm_close,
    .prepare = mobilevlm_prepare,
    .encode = mobilevlm_encode,
};
const vis_family vis_mobilevlm_v2 = {
    .name = "mobilevlm-v2",
    .pairing = {.named = "mobilevlmv2"}, /* MobileVLM_V2-1.7B, -3B, -7B */
    .match = ldpv2_match,
    .open = ldpv2_open,
    .close = mobilevlm_close,
    .prepare = mobilevlm_prepare,
    .encode = mobilevlm_encode,
};
