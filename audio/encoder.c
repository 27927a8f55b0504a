/* encoder.c: the Whisper encoder (Radford et al. 2022): two convolutions, learnt positions, pre-norm blocks without a key bias,
 * a last layer norm.
 *
 *   mel [n_mel, n_frame] ─ conv1 (3 taps, stride 1) ─ GELU ─ conv2 (3 taps, stride 2) ─ GELU ─ + positions
 *   ─ n_layer x { x += out(attention(ln1 x));  x += fc2(GELU(fc1(ln2 x))) } ─ ln_post
 *
 * The scratch arena, in floats, R = n_ctx rows at most:
 *
 *   convolutions   h1 [2 R, n_embd] │ columns [CHUNK, 3 * max(n_mel, n_embd)] │ of the products
 *   a block        h [R, n_embd] │ q, k, v [R, n_embd] each │ of the products
 *                  h [R, n_embd] │ ff [R, n_ff]             │ of the products
 */
#include "encoder.h"
#include "../core/nn.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

#define TAPS 3
#define CHUNK 512 /* rows of a convolution's columns at a time */

struct aud_encoder {
    aud_encoder_hparams hp;
    aud_encoder_weights w;
    sn_compute *compute;
    sn_arena arena;
};

static sn_status in_range(const char *what, size_t value, size_t min, size_t max, sn_err *err)
{
    if (value >= min && value <= max) return SN_OK;
    return sn_fail(err, SN_EFORMAT, "audio encoder: %s is %zu, want %zu to %zu", what, value, min, max);
}

static sn_status check_hparams(const aud_encoder_hparams *hp, sn_err *err)
{
    const struct {
        const char *what;
        size_t value, min, max;
    } want[] = {
        {"the number of mel bands", hp->n_mel, 1, 512}, {"the width", hp->n_embd, 1, 16384},
        {"the number of heads", hp->n_head, 1, 512},    {"the number of layers", hp->n_layer, 1, 256},
        {"the inner width", hp->n_ff, 1, 65536},        {"the number of positions", hp->n_ctx, 1, 4096},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        if (in_range(want[i].what, want[i].value, want[i].min, want[i].max, err) != SN_OK) return SN_EFORMAT;
    if (hp->n_embd % hp->n_head != 0)
        return sn_fail(err, SN_EFORMAT, "audio encoder: %zu heads do not divide a width of %zu", hp->n_head, hp->n_embd);
    if (!(hp->eps > 0 && hp->eps < 1)) return sn_fail(err, SN_EFORMAT, "audio encoder: a layer norm epsilon of %g", (double)hp->eps);
    return SN_OK;
}

sn_status aud_encoder_create(aud_encoder **out, const aud_encoder_hparams *hp, sn_compute *c, sn_err *err)
{
    if (check_hparams(hp, err) != SN_OK) return SN_EFORMAT;
    aud_encoder *e = sn_calloc(1, sizeof *e);
    if (!e) return sn_fail(err, SN_ENOMEM, "out of memory");
    e->hp = *hp;
    e->compute = c;
    e->w.blocks = sn_calloc(hp->n_layer, sizeof *e->w.blocks);
    if (!e->w.blocks) {
        aud_encoder_destroy(e);
        return sn_fail(err, SN_ENOMEM, "out of memory");
    }
    *out = e;
    return SN_OK;
}

void aud_encoder_destroy(aud_encoder *e)
{
    if (!e) return;
    for (size_t i = 0; e->w.blocks && i < e->hp.n_layer; i++) {
        aud_encoder_block *b = &e->w.blocks[i];
        sn_linear *linear[] = {&b->q, &b->k, &b->v, &b->out, &b->fc1, &b->fc2};
        for (size_t k = 0; k < sizeof linear / sizeof linear[0]; k++) sn_linear_free(linear[k]);
        sn_norm_free(&b->ln1);
        sn_norm_free(&b->ln2);
    }
    sn_free(e->w.blocks);
    sn_linear_free(&e->w.conv1);
    sn_linear_free(&e->w.conv2);
    sn_norm_free(&e->w.ln_post);
    sn_free(e->w.positions);
    sn_arena_free(&e->arena);
    sn_free(e);
}

const aud_encoder_hparams *aud_encoder_get_hparams(const aud_encoder *e)
{
    return &e->hp;
}

aud_encoder_weights *aud_encoder_get_weights(aud_encoder *e)
{
    return &e->w;
}

size_t aud_encoder_bytes(const aud_encoder *e)
{
    const aud_encoder_hparams *hp = &e->hp;
    size_t sum = e->arena.size + sn_linear_bytes(&e->w.conv1) + sn_linear_bytes(&e->w.conv2);
    for (size_t i = 0; i < hp->n_layer; i++) {
        const aud_encoder_block *b = &e->w.blocks[i];
        const sn_linear *linear[] = {&b->q, &b->k, &b->v, &b->out, &b->fc1, &b->fc2};
        for (size_t k = 0; k < sizeof linear / sizeof linear[0]; k++) sum += sn_linear_bytes(linear[k]);
    }
    return sum + (hp->n_ctx + 4 * hp->n_layer + 2) * hp->n_embd * sizeof(float);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t columns(const aud_encoder_hparams *hp)
{
    return TAPS * larger(hp->n_mel, hp->n_embd);
}

/* The most that aud_encoder_run takes. The hparams' ranges keep the products far from overflow. */
static size_t scratch_bytes(const aud_encoder *e)
{
    const aud_encoder_hparams *hp = &e->hp;
    const sn_compute *c = e->compute;
    size_t row = sn_arena_cost_f32(hp->n_ctx * hp->n_embd);
    size_t conv = sn_arena_cost_f32(2 * hp->n_ctx * hp->n_embd) + sn_arena_cost_f32(CHUNK * columns(hp)) +
                  larger(sn_linear_scratch_bytes(c, &e->w.conv1, CHUNK), sn_linear_scratch_bytes(c, &e->w.conv2, CHUNK));
    size_t square = 0, ff = 0;
    for (size_t i = 0; i < hp->n_layer; i++) {
        const aud_encoder_block *b = &e->w.blocks[i];
        const sn_linear *linear[] = {&b->q, &b->k, &b->v, &b->out};
        for (size_t k = 0; k < 4; k++) square = larger(square, sn_linear_scratch_bytes(c, linear[k], hp->n_ctx));
        ff = larger(ff, sn_linear_scratch_bytes(c, &b->fc1, hp->n_ctx));
        ff = larger(ff, sn_linear_scratch_bytes(c, &b->fc2, hp->n_ctx));
    }
    return larger(conv, row + larger(3 * row + square, sn_arena_cost_f32(hp->n_ctx * hp->n_ff) + ff));
}

sn_status aud_encoder_prepare(aud_encoder *e, sn_err *err)
{
    return sn_arena_init(&e->arena, scratch_bytes(e), err);
}

typedef struct {
    const float *src;
    float *dst; /* [n_row, n_ch * TAPS] */
    size_t n_ch, n_src, stride, first, n_row, ld_ch, ld_pos;
} im2col_job;

/* dst[r, c * 3 + tap] = src at channel c, position (first + r) * stride + tap - 1; 0 outside. */
static void im2col_part(void *arg, size_t part, size_t n_parts)
{
    const im2col_job *j = arg;
    size_t begin, end;
    sn_share(j->n_row, 1, part, n_parts, &begin, &end);
    for (size_t r = begin; r < end; r++) {
        float *dst = j->dst + r * j->n_ch * TAPS;
        for (size_t tap = 0; tap < TAPS; tap++) {
            size_t at = (j->first + r) * j->stride + tap; /* one past the position */
            if (at == 0 || at > j->n_src) {
                for (size_t c = 0; c < j->n_ch; c++) dst[c * TAPS + tap] = 0;
                continue;
            }
            const float *src = j->src + (at - 1) * j->ld_pos;
            for (size_t c = 0; c < j->n_ch; c++) dst[c * TAPS + tap] = src[c * j->ld_ch];
        }
    }
}

/* out [n_row, n_embd] = GELU(conv(src)); `j` says how src lies. */
static void convolve(aud_encoder *e, float *out, const sn_linear *w, im2col_job j, size_t n_row)
{
    size_t mark = sn_arena_mark(&e->arena), n = e->hp.n_embd;
    j.dst = sn_arena_f32(&e->arena, CHUNK * columns(&e->hp)); /* [CHUNK, n_ch * 3] */
    for (j.first = 0; j.first < n_row; j.first += CHUNK) {
        j.n_row = n_row - j.first < CHUNK ? n_row - j.first : CHUNK;
        sn_parallel(e->compute, im2col_part, &j);
        sn_linear_apply(e->compute, out + j.first * n, n, j.dst, j.n_ch * TAPS, w, j.n_row, &e->arena);
    }
    sn_activate(e->compute, out, n_row * n, SN_ACT_GELU_ERF);
    sn_arena_reset(&e->arena, mark);
}

/* x [n_row, n_embd] += out(attention(ln1 x)), over the first n_valid keys. */
static void attend(aud_encoder *e, const aud_encoder_block *b, float *x, float *h, size_t n_row, size_t n_valid)
{
    size_t mark = sn_arena_mark(&e->arena), n = e->hp.n_embd, d_head = n / e->hp.n_head;
    float *q = sn_arena_f32(&e->arena, n_row * n); /* [n_row, n_head, d_head] */
    float *k = sn_arena_f32(&e->arena, n_row * n);
    float *v = sn_arena_f32(&e->arena, n_row * n);

    sn_layernorm(e->compute, h, x, &b->ln1, n_row, e->hp.eps);
    sn_linear_apply(e->compute, q, n, h, n, &b->q, n_row, &e->arena);
    sn_linear_apply(e->compute, k, n, h, n, &b->k, n_valid, &e->arena);
    sn_linear_apply(e->compute, v, n, h, n, &b->v, n_valid, &e->arena);
    sn_attention_args a = {
        .out = h,
        .q = q,
        .k = k,
        .v = v,
        .kv_type = SN_F32,
        .n_q = n_row,
        .n_kv = n_valid,
        .n_head = e->hp.n_head,
        .n_head_kv = e->hp.n_head,
        .d_head = d_head,
        .ld_out = n,
        .ld_q = n,
        .ld_kv = n,
        .ld_head = d_head,
        .scale = 1 / sqrtf((float)d_head),
    };
    sn_attention(e->compute, &a);
    sn_linear_add(e->compute, x, n, h, n, &b->out, n_row, &e->arena);
    sn_arena_reset(&e->arena, mark);
}

/* x [n_row, n_embd] += fc2(GELU(fc1(ln2 x))). */
static void feed_forward(aud_encoder *e, const aud_encoder_block *b, float *x, float *h, size_t n_row)
{
    size_t mark = sn_arena_mark(&e->arena), n = e->hp.n_embd, n_ff = e->hp.n_ff;
    float *ff = sn_arena_f32(&e->arena, n_row * n_ff); /* [n_row, n_ff] */

    sn_layernorm(e->compute, h, x, &b->ln2, n_row, e->hp.eps);
    sn_linear_apply(e->compute, ff, n_ff, h, n, &b->fc1, n_row, &e->arena);
    sn_activate(e->compute, ff, n_row * n_ff, SN_ACT_GELU_ERF);
    sn_linear_add(e->compute, x, n, ff, n_ff, &b->fc2, n_row, &e->arena);
    sn_arena_reset(&e->arena, mark);
}

sn_status aud_encoder_run(aud_encoder *e, const float *mel, size_t n_frame, size_t n_valid, float *out, sn_err *err)
{
    const aud_encoder_hparams *hp = &e->hp;
    size_t n = hp->n_embd, n_row = (n_frame + 1) / 2;
    if (n_frame == 0 || n_frame > 2 * hp->n_ctx)
        return sn_fail(err, SN_ELIMIT, "%zu frames of sound: the audio encoder takes 1 to %zu at a time", n_frame, 2 * hp->n_ctx);
    if (n_valid == 0 || n_valid > n_row) return sn_fail(err, SN_EUSAGE, "%zu valid rows of %zu", n_valid, n_row);

    sn_arena_reset(&e->arena, 0);
    float *h1 = sn_arena_f32(&e->arena, n_frame * n); /* [n_frame, n_embd] */
    im2col_job from_mel = {.src = mel, .n_ch = hp->n_mel, .n_src = n_frame, .stride = 1, .ld_ch = n_frame, .ld_pos = 1};
    im2col_job from_h1 = {.src = h1, .n_ch = n, .n_src = n_frame, .stride = 2, .ld_ch = 1, .ld_pos = n};
    convolve(e, h1, &e->w.conv1, from_mel, n_frame);
    convolve(e, out, &e->w.conv2, from_h1, n_row); /* out [n_row, n_embd] is x from here on */
    sn_add(e->compute, out, e->w.positions, n_row * n);

    sn_arena_reset(&e->arena, 0);
    float *h = sn_arena_f32(&e->arena, n_row * n); /* [n_row, n_embd] */
    for (size_t i = 0; i < hp->n_layer; i++) {
        attend(e, &e->w.blocks[i], out, h, n_row, n_valid);
        feed_forward(e, &e->w.blocks[i], out, h, n_row);
    }
    if (!hp->no_post_norm) sn_layernorm(e->compute, out, out, &e->w.ln_post, n_row, hp->eps);
    assert(e->arena.peak <= e->arena.size);
    return SN_OK;
}

void aud_bind_conv(sn_bind *b, sn_linear *w, size_t n_out, size_t n_ch, const char *name)
{
    char full[SN_MAX_NAME + 16];
    const size_t shape[3] = {n_out, n_ch, TAPS};
    const sn_tensor *t;
    float *bias = NULL;

    if (b->status != SN_OK) return;
    sn_bind_f32(b, &bias, shape, 1, false, "%s.bias", name);
    if (b->status != SN_OK) return;
    snprintf(full, sizeof full, "%s.weight", name);
    t = sn_gguf_tensor(b->gguf, full);
    if (!t)
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: missing; want [%zu,%zu,%d]", full, n_out, n_ch, TAPS);
    else if (t->n_dims != 3 || t->shape[0] != n_out || t->shape[1] != n_ch || t->shape[2] != TAPS)
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: want [%zu,%zu,%d], the file has %zu dimensions, [%zu,%zu,%zu]", full, n_out, n_ch, TAPS,
                            t->n_dims, t->shape[0], t->n_dims > 1 ? t->shape[1] : 1, t->n_dims > 2 ? t->shape[2] : 1);
    else if (t->type != SN_F32 && t->type != SN_F16 && t->type != SN_BF16)
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: a convolution of type %s", full, sn_type_get(t->type)->name);
    else {
        b->status = sn_linear_init(w, b->compute, t->type, n_out, n_ch * TAPS, t->data, bias, b->err);
        for (size_t i = 0; b->used && i < sn_gguf_n_tensors(b->gguf); i++)
            if (sn_gguf_tensor_at(b->gguf, i) == t) b->used[i] = true;
    }
    sn_free(bias);
}
