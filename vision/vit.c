/* vit.c: patches -> rows -> pre-norm blocks (Dosovitskiy et al. 2021; LayerScale: Touvron et al. 2021; 2-D rotary positions:
 * Pixtral, Agrawal et al. 2024).
 *
 *   pixels [3, h, w] --im2col, linear--> [n_patch, n_embd] --class row, positions, pre_ln--> x
 *   n_run times:  x += ls1 * out(attention(ln1 x));  x += ls2 * fc2(act(fc1(ln2 x)))
 *   post_ln */
#include "vit.h"

#include "../core/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static sn_status read_triple(float out[3], const sn_gguf *g, const char *key, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);

    if (!kv || kv->type != SN_KV_ARRAY || kv->elem != SN_KV_F32 || kv->n != 3)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want an array of 3 f32", sn_gguf_path(g), key);
    for (size_t i = 0; i < 3; i++) {
        out[i] = (float)sn_kv_f64(kv, i);
        if (!isfinite(out[i])) return sn_fail(err, SN_EFORMAT, "%s: %s: not a finite number", sn_gguf_path(g), key);
    }
    return SN_OK;
}

static sn_status read_size(size_t *out, const sn_gguf *g, const char *key, uint32_t max, sn_err *err)
{
    uint32_t v = 0;
    const sn_status st = sn_gguf_u32(g, key, 1, max, &v, err);

    *out = v;
    return st;
}

sn_status vit_read_hparams(vit_hparams *hp, const sn_gguf *g, sn_err *err)
{
    const struct {
        const char *key;
        size_t *out;
        uint32_t max;
    } sizes[] = {{"clip.vision.image_size", &hp->image_px, 4096},         {"clip.vision.patch_size", &hp->patch_px, 256},
                 {"clip.vision.embedding_length", &hp->n_embd, 65536},    {"clip.vision.feed_forward_length", &hp->n_ff, 262144},
                 {"clip.vision.attention.head_count", &hp->n_head, 1024}, {"clip.vision.block_count", &hp->n_layer, 512}};
    const char *path = sn_gguf_path(g);
    sn_status st;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if ((st = read_size(sizes[i].out, g, sizes[i].key, sizes[i].max, err)) != SN_OK) return st;
    if ((st = sn_gguf_f32(g, "clip.vision.attention.layer_norm_epsilon", &hp->eps, err)) != SN_OK) return st;
    if ((st = read_triple(hp->mean, g, "clip.vision.image_mean", err)) != SN_OK) return st;
    if ((st = read_triple(hp->std, g, "clip.vision.image_std", err)) != SN_OK) return st;
    if (hp->std[0] <= 0 || hp->std[1] <= 0 || hp->std[2] <= 0)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.image_std must be positive", path);
    if (hp->eps < 0) return sn_fail(err, SN_EFORMAT, "%s: clip.vision.attention.layer_norm_epsilon is negative", path);
    if (hp->n_embd % hp->n_head)
        return sn_fail(err, SN_EFORMAT, "%s: %zu heads do not divide the embedding length %zu", path, hp->n_head, hp->n_embd);
    hp->d_head = hp->n_embd / hp->n_head;
    if (hp->d_head > SN_MAX_D_HEAD)
        return sn_fail(err, SN_ELIMIT, "%s: heads of %zu values; the limit is %d", path, hp->d_head, SN_MAX_D_HEAD);
    if (hp->image_px < hp->patch_px || (hp->image_px / hp->patch_px) * (hp->image_px / hp->patch_px) > VIT_MAX_PATCHES)
        return sn_fail(err, SN_EFORMAT, "%s: patches of %zu pixels do not cut a picture of %zu", path, hp->patch_px, hp->image_px);
    return SN_OK;
}

/* ---- binding ---- */

static void bind_norm(const vit *v, sn_bind *b, sn_norm *w, const char *name)
{
    sn_bind_norm(b, w, v->hp.n_embd, v->opt.rms ? SN_BIAS_NONE : SN_BIAS_REQUIRED, "%s", name);
}

/* The LLaVA converter of old stores the first matrix as ffn_down and the second as ffn_up. The shapes tell; where both are
 * square, the key that only that converter writes. */
static bool ffn_is_swapped(const vit *v, const sn_bind *b, size_t il)
{
    char name[SN_MAX_NAME];
    const sn_tensor *t;

    snprintf(name, sizeof name, "v.blk.%zu.ffn_up.weight", il);
    t = sn_gguf_tensor(b->gguf, name);
    if (!t || t->n_dims != 2) return false;
    if (v->hp.n_ff == v->hp.n_embd) return sn_gguf_find(b->gguf, "clip.has_llava_projector") != NULL;
    return t->shape[0] == v->hp.n_embd && t->shape[1] == v->hp.n_ff;
}

static void bind_block(const vit *v, vit_block *L, sn_bind *b, size_t il)
{
    const size_t d = v->hp.n_embd, n_ff = v->hp.n_ff;
    const bool swapped = ffn_is_swapped(v, b, il);
    char name[SN_MAX_NAME];

    snprintf(name, sizeof name, "v.blk.%zu.ln1", il);
    bind_norm(v, b, &L->ln1, name);
    snprintf(name, sizeof name, "v.blk.%zu.ln2", il);
    bind_norm(v, b, &L->ln2, name);
    if (sn_bind_has(b, "v.blk.%zu.attn_qkv.weight", il)) {
        sn_bind_linear(b, &L->qkv, 3 * d, d, SN_BIAS_OPTIONAL, "v.blk.%zu.attn_qkv", il); /* w [3*n_embd, n_embd] */
    } else {
        sn_bind_linear(b, &L->q, d, d, SN_BIAS_OPTIONAL, "v.blk.%zu.attn_q", il); /* w [n_embd, n_embd] */
        sn_bind_linear(b, &L->k, d, d, SN_BIAS_OPTIONAL, "v.blk.%zu.attn_k", il);
        sn_bind_linear(b, &L->v, d, d, SN_BIAS_OPTIONAL, "v.blk.%zu.attn_v", il);
    }
    sn_bind_linear(b, &L->out, d, d, SN_BIAS_OPTIONAL, "v.blk.%zu.attn_out", il);
    if (v->opt.gated) sn_bind_linear(b, &L->gate, n_ff, d, SN_BIAS_OPTIONAL, "v.blk.%zu.ffn_gate", il); /* w [n_ff, n_embd] */
    sn_bind_linear(b, &L->fc1, n_ff, d, SN_BIAS_OPTIONAL, swapped ? "v.blk.%zu.ffn_down" : "v.blk.%zu.ffn_up", il);
    sn_bind_linear(b, &L->fc2, d, n_ff, SN_BIAS_OPTIONAL, swapped ? "v.blk.%zu.ffn_up" : "v.blk.%zu.ffn_down", il);
    sn_bind_f32(b, &L->ls1, &d, 1, true, "v.blk.%zu.ls1.weight", il); /* [n_embd] */
    sn_bind_f32(b, &L->ls2, &d, 1, true, "v.blk.%zu.ls2.weight", il);
}

/* The convolution as a matrix: [n_embd, 3, patch, patch] in the file is [n_embd, 3 * patch * patch] here, as im2col makes its columns. */
static void bind_patches(vit *v, sn_bind *b)
{
    const size_t d = v->hp.n_embd, p = v->hp.patch_px, side = v->hp.image_px / p;
    const size_t shape[4] = {d, 3, p, p};
    float *bias = NULL, *second = NULL;

    sn_bind_f32(b, &v->patch_w, shape, 4, false, "v.patch_embd.weight");
    if (v->opt.two_frames) sn_bind_f32(b, &second, shape, 4, false, "v.patch_embd.weight.1");
    for (size_t i = 0; second && v->patch_w && i < d * 3 * p * p; i++) v->patch_w[i] += second[i];
    sn_free(second);
    sn_bind_f32(b, &bias, &d, 1, true, "v.patch_embd.bias");
    if (b->status == SN_OK) b->status = sn_linear_init(&v->patch, b->compute, SN_F32, d, 3 * p * p, v->patch_w, bias, b->err);
    sn_free(bias);
    sn_bind_f32(b, &v->class_embd, &d, 1, true, "v.class_embd");
    if (v->opt.rope_base == 0 || v->opt.stretch_pos) {
        const size_t rows[2] = {vit_n_class(v) + side * side, d};
        sn_bind_f32(b, &v->pos, rows, 2, false, "v.position_embd.weight");
    }
}

/* The first half of a head's pairs turns with the row, the second with the column. Of the frequencies base^(-2i/d_head), rows have the
 * even i; columns have the odd (HF PixtralRotaryEmbedding) or, rope_halves, the same (HF Qwen2VLVisionRotaryEmbedding). */
static sn_status make_frequencies(vit *v, sn_err *err)
{
    const size_t n = v->hp.d_head / 2, half = n / 2;

    if (v->hp.d_head % 4) return sn_fail(err, SN_EUNSUPPORTED, "rotary positions in heads of %zu values", v->hp.d_head);
    v->freq_y = sn_calloc(n, sizeof(float)); /* [d_head / 2]; the other axis' share stays 0: no turn */
    v->freq_x = sn_calloc(n, sizeof(float));
    if (!v->freq_y || !v->freq_x) return sn_fail(err, SN_ENOMEM, "out of memory");
    for (size_t i = 0; i < half; i++) {
        v->freq_y[i] = (float)pow(v->opt.rope_base, -(double)(4 * i) / (double)v->hp.d_head);
        v->freq_x[half + i] = (float)pow(v->opt.rope_base, -(double)(4 * i + (v->opt.rope_halves ? 0 : 2)) / (double)v->hp.d_head);
    }
    return SN_OK;
}

void vit_bind(vit *v, sn_bind *b)
{
    if (!v->opt.no_patches) bind_patches(v, b);
    if (sn_bind_has(b, "v.pre_ln.weight")) bind_norm(v, b, &v->pre_ln, "v.pre_ln");
    if (v->opt.post_ln) bind_norm(v, b, &v->post_ln, "v.post_ln");
    if (sn_bind_has(b, "v.blk.0.attn_q_norm.weight") && b->status == SN_OK)
        b->status = sn_fail(b->err, SN_EUNSUPPORTED, "v.blk.0.attn_q_norm: normalised queries are not computed");
    if (b->status == SN_OK && !(v->blocks = sn_calloc(v->hp.n_layer, sizeof *v->blocks)))
        b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
    for (size_t il = 0; il < v->hp.n_layer && b->status == SN_OK; il++) bind_block(v, &v->blocks[il], b, il);
    if (v->opt.rope_base > 0 && b->status == SN_OK) b->status = make_frequencies(v, b->err);
}

void vit_close(vit *v)
{
    for (size_t il = 0; v->blocks && il < v->hp.n_layer; il++) {
        vit_block *L = &v->blocks[il];
        sn_linear *linears[] = {&L->q, &L->k, &L->v, &L->qkv, &L->out, &L->fc1, &L->gate, &L->fc2};
        for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) sn_linear_free(linears[i]);
        sn_norm_free(&L->ln1);
        sn_norm_free(&L->ln2);
        sn_free(L->ls1);
        sn_free(L->ls2);
    }
    sn_free(v->blocks);
    sn_linear_free(&v->patch);
    sn_free(v->patch_w);
    sn_free(v->class_embd);
    sn_free(v->pos);
    sn_norm_free(&v->pre_ln);
    sn_norm_free(&v->post_ln);
    sn_free(v->freq_y);
    sn_free(v->freq_x);
    *v = (vit){0};
}

size_t vit_bytes(const vit *v)
{
    const size_t d = v->hp.n_embd;
    size_t n = sn_linear_bytes(&v->patch) + ((v->patch_w ? 3 * v->hp.patch_px * v->hp.patch_px * d : 0) +
                                             (v->pos ? vit_n_tok(v, v->hp.image_px, v->hp.image_px) * d : 0)) *
                                                sizeof(float);

    for (size_t il = 0; il < v->hp.n_layer; il++) {
        const vit_block *L = &v->blocks[il];
        n += sn_linear_bytes(&L->q) + sn_linear_bytes(&L->k) + sn_linear_bytes(&L->v) + sn_linear_bytes(&L->qkv) +
             sn_linear_bytes(&L->out) + sn_linear_bytes(&L->fc1) + sn_linear_bytes(&L->gate) + sn_linear_bytes(&L->fc2) +
             4 * d * sizeof(float);
    }
    return n;
}

/* ---- forward ---- */

static void norm(const vit *v, sn_compute *c, float *y, const float *x, const sn_norm *w, size_t n_tok)
{
    if (v->opt.rms)
        sn_rmsnorm(c, y, x, w, n_tok, v->hp.eps);
    else
        sn_layernorm(c, y, x, w, n_tok, v->hp.eps);
}

typedef struct { /* of one forward pass */
    size_t n_tok;
    int32_t *pos_y, *pos_x; /* [n_tok] or NULL: row by row */
    size_t n_x, n_y;        /* patches */
} places;

typedef struct {
    float *cols;
    const float *pixels;
    size_t w, h, p;
    const places *at;
} im2col_job;

/* cols [n_patch, 3 * p * p]: each patch's pixels, channel by channel, row by row. */
static void im2col_part(void *arg, size_t part, size_t n_parts)
{
    const im2col_job *j = arg;
    const size_t n_x = j->w / j->p, n_patch = n_x * (j->h / j->p), p = j->p;
    size_t begin, end;

    sn_share(n_patch, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *dst = j->cols + i * 3 * p * p;
        const size_t y0 = (j->at->pos_y ? (size_t)j->at->pos_y[i] : i / n_x) * p,
                     x0 = (j->at->pos_x ? (size_t)j->at->pos_x[i] : i % n_x) * p;
        for (size_t ch = 0; ch < 3; ch++) {
            const float *src = j->pixels + (ch * j->h + y0) * j->w + x0;
            for (size_t y = 0; y < p; y++, dst += p, src += j->w) memcpy(dst, src, p * sizeof *dst);
        }
    }
}

typedef struct {
    const vit *v;
    float *x;
    const places *at;
} stretch_job;

/* Where patch i of n lies among `side` places: the one before it, and how far behind that. */
static float between(size_t i, size_t n, size_t side, size_t *before)
{
    const float at = (float)i * (float)(side - 1) / (float)vis_max(n - 1, 1);

    *before = (size_t)at;
    return at - (float)*before;
}

/* x [n_patch, n_embd] += the learned positions, the corners' at the corners (torch interpolate: bilinear, align_corners). */
static void stretch_part(void *arg, size_t part, size_t n_parts)
{
    const stretch_job *j = arg;
    const size_t d = j->v->hp.n_embd, side = j->v->hp.image_px / j->v->hp.patch_px;
    size_t begin, end, y, x;

    sn_share(j->at->n_tok, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const float dy = between((size_t)j->at->pos_y[i], j->at->n_y, side, &y),
                    dx = between((size_t)j->at->pos_x[i], j->at->n_x, side, &x);
        const size_t right = vis_min(x + 1, side - 1), below = vis_min(y + 1, side - 1);
        const float *corners[] = {j->v->pos + (y * side + x) * d, j->v->pos + (y * side + right) * d, j->v->pos + (below * side + x) * d,
                                  j->v->pos + (below * side + right) * d};
        const float weights[] = {(1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx};
        for (size_t c = 0; c < 4; c++)
            for (size_t k = 0; k < d; k++) j->x[i * d + k] += weights[c] * corners[c][k];
    }
}

/* x [n_tok, n_embd]: embedded patches behind the class row, with their positions. */
static void embed(const vit *v, sn_compute *c, float *x, const float *pixels, size_t w, size_t h, const places *at, sn_arena *tmp)
{
    const size_t d = v->hp.n_embd, p = v->hp.patch_px, n_tok = vit_n_tok(v, w, h), n_patch = n_tok - vit_n_class(v),
                 mark = sn_arena_mark(tmp);
    float *cols = sn_arena_f32(tmp, n_patch * 3 * p * p); /* [n_patch, 3 * p * p] */

    sn_parallel(c, im2col_part, &(im2col_job){cols, pixels, w, h, p, at});
    if (v->class_embd) memcpy(x, v->class_embd, d * sizeof *x);
    sn_linear_apply(c, x + vit_n_class(v) * d, d, cols, 3 * p * p, &v->patch, n_patch, tmp);
    if (v->opt.stretch_pos)
        sn_parallel(c, stretch_part, &(stretch_job){v, x, at});
    else if (v->pos)
        sn_add(c, x, v->pos, n_tok * d);
    sn_arena_reset(tmp, mark);
}

/* x += ls * y, or x += linear(h) at once where there is no LayerScale. y [n_tok, n_embd] is scratch. */
static void add_branch(sn_compute *c, float *x, const float *h, const sn_linear *w, const float *ls, float *y, size_t n_tok, sn_arena *tmp)
{
    if (!ls) {
        sn_linear_add(c, x, w->n_out, h, w->n_in, w, n_tok, tmp);
        return;
    }
    sn_linear_apply(c, y, w->n_out, h, w->n_in, w, n_tok, tmp);
    sn_scale_rows_add(c, x, y, ls, n_tok, w->n_out);
}

/* h [n_tok, n_embd] from qkv [n_tok, 3, n_head, d_head]; each window for itself, or all as one. */
static void attend(const vit *v, sn_compute *c, float *h, const float *qkv, const places *at, bool windows)
{
    const size_t d = v->hp.n_embd, side_x = windows ? v->opt.window : at->n_x, side_y = windows ? v->opt.window : at->n_y;

    for (size_t y = 0, row = 0, n; y < at->n_y; y += side_y)
        for (size_t x = 0; x < at->n_x; x += side_x, row += n) {
            const float *of = qkv + row * 3 * d;
            n = windows ? vis_min(side_x, at->n_x - x) * vis_min(side_y, at->n_y - y) : at->n_tok;
            sn_attention(c, &(sn_attention_args){.out = h + row * d,
                                                 .q = of,
                                                 .k = of + d,
                                                 .v = of + 2 * d,
                                                 .kv_type = SN_F32,
                                                 .n_q = n,
                                                 .n_kv = n,
                                                 .n_head = v->hp.n_head,
                                                 .n_head_kv = v->hp.n_head,
                                                 .d_head = v->hp.d_head,
                                                 .ld_out = d,
                                                 .ld_q = 3 * d,
                                                 .ld_kv = 3 * d,
                                                 .ld_head = v->hp.d_head,
                                                 .scale = 1 / sqrtf((float)v->hp.d_head)});
        }
}

/* Block il: x [n_tok, n_embd], in place; scratch goes back to tmp. */
static void block_forward(const vit *v, size_t il, sn_compute *c, float *x, const places *at, sn_arena *tmp)
{
    const vit_block *L = &v->blocks[il];
    const size_t d = v->hp.n_embd, n_ff = v->hp.n_ff, n_head = v->hp.n_head, d_head = v->hp.d_head, n_tok = at->n_tok,
                 mark = sn_arena_mark(tmp);
    float *h = sn_arena_f32(tmp, n_tok * d); /* [n_tok, n_embd] */
    float *y = sn_arena_f32(tmp, n_tok * d); /* [n_tok, n_embd] */
    const size_t inner = sn_arena_mark(tmp);
    float *qkv = sn_arena_f32(tmp, n_tok * 3 * d); /* [n_tok, 3, n_head, d_head] */

    norm(v, c, h, x, &L->ln1, n_tok);
    if (L->qkv.data) {
        sn_linear_apply(c, qkv, 3 * d, h, d, &L->qkv, n_tok, tmp);
    } else {
        sn_linear_apply(c, qkv, 3 * d, h, d, &L->q, n_tok, tmp);
        sn_linear_apply(c, qkv + d, 3 * d, h, d, &L->k, n_tok, tmp);
        sn_linear_apply(c, qkv + 2 * d, 3 * d, h, d, &L->v, n_tok, tmp);
    }
    for (size_t i = 0; v->freq_y && i < 2; i++) { /* q and k; files have the pairs interleaved */
        sn_rope(c, qkv + i * d, 3 * d, n_tok, n_head, d_head, d_head, at->pos_y, v->freq_y, !v->opt.rope_halves);
        sn_rope(c, qkv + i * d, 3 * d, n_tok, n_head, d_head, d_head, at->pos_x, v->freq_x, !v->opt.rope_halves);
    }
    attend(v, c, h, qkv, at, v->opt.window > 0 && (il + 1) % v->opt.full_every != 0);
    add_branch(c, x, h, &L->out, L->ls1, y, n_tok, tmp);

    sn_arena_reset(tmp, inner);
    float *ff = sn_arena_f32(tmp, n_tok * n_ff);                         /* [n_tok, n_ff] */
    float *gate = v->opt.gated ? sn_arena_f32(tmp, n_tok * n_ff) : NULL; /* [n_tok, n_ff] */
    norm(v, c, h, x, &L->ln2, n_tok);
    sn_linear_apply(c, ff, n_ff, h, d, &L->fc1, n_tok, tmp);
    if (gate) {
        sn_linear_apply(c, gate, n_ff, h, d, &L->gate, n_tok, tmp);
        sn_swiglu(c, gate, ff, n_tok * n_ff);
    } else {
        sn_activate(c, ff, n_tok * n_ff, v->opt.act);
    }
    add_branch(c, x, gate ? gate : ff, &L->fc2, L->ls2, y, n_tok, tmp);
    sn_arena_reset(tmp, mark);
}

/* x [n_tok, n_embd], the states behind n_run blocks, to their places in y [n_tok, n_features * n_embd]; y NULL: no features. */
static void keep_features(const vit *v, float *y, const float *x, size_t n_run, size_t n_tok)
{
    const size_t d = v->hp.n_embd, width = vit_width(v);

    for (size_t f = 0; y && f < v->n_features; f++)
        for (size_t i = 0; v->features[f] == n_run && i < n_tok; i++) memcpy(y + i * width + f * d, x + i * d, d * sizeof *y);
}

/* x [n_tok, n_embd], in place: all between the embedded patches and the output. With features, which go to y, x is what is left behind. */
static void run_blocks(const vit *v, sn_compute *c, float *x, float *y, const places *at, sn_arena *tmp)
{
    if (v->pre_ln.n) norm(v, c, x, x, &v->pre_ln, at->n_tok);
    keep_features(v, y, x, 0, at->n_tok);
    for (size_t il = 0; il < v->n_run; il++) {
        block_forward(v, il, c, x, at, tmp);
        keep_features(v, y, x, il + 1, at->n_tok);
    }
    if (v->opt.post_ln && v->n_features == 0) norm(v, c, x, x, &v->post_ln, at->n_tok);
}

void vit_order(const vit *v, size_t n_x, size_t n_y, int32_t *pos_y, int32_t *pos_x)
{
    const size_t block = v->opt.merge ? v->opt.merge : 1; /* nested from without: windows, blocks, patches */
    const size_t side_x = v->opt.window ? v->opt.window : n_x, side_y = v->opt.window ? v->opt.window : n_y;
    size_t i = 0;

    for (size_t wy = 0; wy < n_y; wy += side_y)
        for (size_t wx = 0; wx < n_x; wx += side_x)
            for (size_t by = wy; by < vis_min(wy + side_y, n_y); by += block)
                for (size_t bx = wx; bx < vis_min(wx + side_x, n_x); bx += block)
                    for (size_t y = by; y < vis_min(by + block, n_y); y++)
                        for (size_t x = bx; x < vis_min(bx + block, n_x); x++, i++) {
                            pos_y[i] = (int32_t)y;
                            pos_x[i] = (int32_t)x;
                        }
}

void vit_forward(const vit *v, sn_compute *c, float *x, const float *pixels, size_t w, size_t h, sn_arena *tmp)
{
    const size_t mark = sn_arena_mark(tmp);
    places at = {.n_tok = vit_n_tok(v, w, h), .n_x = w / v->hp.patch_px, .n_y = h / v->hp.patch_px};

    if (v->freq_y) {
        at.pos_y = sn_arena_alloc(tmp, at.n_tok * sizeof *at.pos_y); /* [n_tok] */
        at.pos_x = sn_arena_alloc(tmp, at.n_tok * sizeof *at.pos_x);
        vit_order(v, at.n_x, at.n_y, at.pos_y, at.pos_x);
    }
    float *states = v->n_features ? sn_arena_f32(tmp, at.n_tok * v->hp.n_embd) : x; /* [n_tok, n_embd] */
    embed(v, c, states, pixels, w, h, &at, tmp);
    run_blocks(v, c, states, x, &at, tmp);
    sn_arena_reset(tmp, mark);
}

void vit_blocks(const vit *v, sn_compute *c, float *x, size_t n_x, size_t n_y, sn_arena *tmp)
{
    run_blocks(v, c, x, NULL, &(places){.n_tok = n_x * n_y, .n_x = n_x, .n_y = n_y}, tmp);
}

size_t vit_blocks_scratch_bytes(const vit *v, const sn_compute *c, size_t n_tok)
{
    const size_t d = v->hp.n_embd, n_ff = v->hp.n_ff;
    size_t attention = 0, ffn = 0;

    for (size_t il = 0; il < v->n_run; il++) { /* blocks may differ in type */
        const vit_block *L = &v->blocks[il];
        if (L->qkv.data)
            attention = vis_max(attention, sn_linear_scratch_bytes(c, &L->qkv, n_tok));
        else
            attention =
                vis_max(attention, vis_max(sn_linear_scratch_bytes(c, &L->q, n_tok),
                                           vis_max(sn_linear_scratch_bytes(c, &L->k, n_tok), sn_linear_scratch_bytes(c, &L->v, n_tok))));
        attention = vis_max(attention, sn_linear_scratch_bytes(c, &L->out, n_tok));
        ffn = vis_max(ffn, vis_max(sn_linear_scratch_bytes(c, &L->fc1, n_tok), sn_linear_scratch_bytes(c, &L->fc2, n_tok)));
        if (v->opt.gated) ffn = vis_max(ffn, sn_linear_scratch_bytes(c, &L->gate, n_tok));
    }
    attention += sn_arena_cost_f32(n_tok * 3 * d);
    ffn += sn_arena_cost_f32(n_tok * n_ff) * (v->opt.gated ? 2 : 1);
    return 2 * sn_arena_cost_f32(n_tok * d) + vis_max(attention, ffn);
}

size_t vit_scratch_bytes(const vit *v, const sn_compute *c, size_t w, size_t h)
{
    const size_t n_tok = vit_n_tok(v, w, h);
    const size_t embedding = sn_arena_cost_f32(n_tok * 3 * v->hp.patch_px * v->hp.patch_px) + sn_linear_scratch_bytes(c, &v->patch, n_tok);

    return vis_max(embedding, vit_blocks_scratch_bytes(v, c, n_tok)) + (v->freq_y ? 2 * sn_arena_cost(n_tok * sizeof(int32_t)) : 0) +
           (v->n_features ? sn_arena_cost_f32(n_tok * v->hp.n_embd) : 0);
}
