/* nn.c: norms, activations, rotary positions: row by row, rows shared out among the threads. */
#include "nn.h"
#include "kernels.h"
#include "quant.h"

#include <assert.h>
#include <math.h>

enum { SMALL = 8192 }; /* values: below this, waking the other threads costs more than they save */

static void run(sn_compute *c, void (*fn)(void *arg, size_t part, size_t n_parts), void *arg, size_t n_values)
{
    if (n_values < SMALL) {
        fn(arg, 0, 1);
    } else {
        sn_parallel(c, fn, arg);
    }
}

/* ---- norms ---- */

typedef struct {
    const k_ops *k;
    float *y;
    const float *x;
    const sn_norm *w;
    size_t n_tok;
    float eps;
    bool rms;
} norm_job;

static void norm_part(void *arg, size_t part, size_t n_parts)
{
    const norm_job *j = arg;
    const size_t n = j->w->n;
    size_t begin, end;
    sn_share(j->n_tok, 1, part, n_parts, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        if (j->rms) {
            j->k->rmsnorm(j->y + t * n, j->x + t * n, j->w->weight, n, j->eps);
        } else {
            j->k->layernorm(j->y + t * n, j->x + t * n, j->w->weight, j->w->bias, n, j->eps);
        }
    }
}

void sn_layernorm(sn_compute *c, float *y, const float *x, const sn_norm *w, size_t n_tok, float eps)
{
    run(c, norm_part, &(norm_job){sn_compute_ops(c), y, x, w, n_tok, eps, false}, n_tok * w->n);
}

void sn_rmsnorm(sn_compute *c, float *y, const float *x, const sn_norm *w, size_t n_tok, float eps)
{
    run(c, norm_part, &(norm_job){sn_compute_ops(c), y, x, w, n_tok, eps, true}, n_tok * w->n);
}

/* ---- value by value ---- */

typedef struct {
    const k_ops *k;
    float *y;
    const float *x, *scale;
    size_t n_rows, n;
    sn_act act;
} map_job;

static void act_part(void *arg, size_t part, size_t n_parts)
{
    const map_job *j = arg;
    size_t begin, end;
    sn_share(j->n, 64, part, n_parts, &begin, &end);
    j->k->act[j->act](j->y + begin, end - begin);
}

void sn_activate(sn_compute *c, float *x, size_t n, sn_act act)
{
    run(c, act_part, &(map_job){.k = sn_compute_ops(c), .y = x, .n = n, .act = act}, n);
}

static void swiglu_part(void *arg, size_t part, size_t n_parts)
{
    const map_job *j = arg;
    size_t begin, end;
    sn_share(j->n, 64, part, n_parts, &begin, &end);
    j->k->swiglu(j->y + begin, j->x + begin, end - begin);
}

void sn_swiglu(sn_compute *c, float *gate, const float *up, size_t n)
{
    run(c, swiglu_part, &(map_job){.k = sn_compute_ops(c), .y = gate, .x = up, .n = n}, n);
}

static void add_part(void *arg, size_t part, size_t n_parts)
{
    const map_job *j = arg;
    size_t begin, end;
    sn_share(j->n, 64, part, n_parts, &begin, &end);
    j->k->add(j->y + begin, j->x + begin, end - begin);
}

void sn_add(sn_compute *c, float *y, const float *x, size_t n)
{
    run(c, add_part, &(map_job){.k = sn_compute_ops(c), .y = y, .x = x, .n = n}, n);
}

static void mul_part(void *arg, size_t part, size_t n_parts)
{
    const map_job *j = arg;
    size_t begin, end;
    sn_share(j->n, 64, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) j->y[i] *= j->x[i];
}

void sn_mul(sn_compute *c, float *y, const float *x, size_t n)
{
    run(c, mul_part, &(map_job){.y = y, .x = x, .n = n}, n);
}

static void scale_part(void *arg, size_t part, size_t n_parts)
{
    const map_job *j = arg;
    size_t begin, end;
    sn_share(j->n_rows, 1, part, n_parts, &begin, &end);
    for (size_t t = begin; t < end; t++) j->k->mul_add(j->y + t * j->n, j->x + t * j->n, j->scale, j->n);
}

void sn_scale_rows_add(sn_compute *c, float *y, const float *x, const float *scale, size_t n_tok, size_t n)
{
    run(c, scale_part, &(map_job){.k = sn_compute_ops(c), .y = y, .x = x, .scale = scale, .n_rows = n_tok, .n = n}, n_tok * n);
}

/* ---- rotary positions ---- */

enum { MAX_PAIRS = SN_MAX_D_HEAD / 2 };

typedef struct {
    float *x;
    size_t ldx, n_tok, n_head, d_head, n_rot;
    const int32_t *pos;
    const float *inv_freq;
    bool interleaved;
} rope_job;

static void rope_part(void *arg, size_t part, size_t n_parts)
{
    const rope_job *j = arg;
    const size_t n = j->n_rot / 2, first = j->interleaved ? 2 : 1,
                 second = j->interleaved ? 1 : n; /* of pair i: i * first, that + second */
    float cosine[MAX_PAIRS], sine[MAX_PAIRS];
    size_t begin, end;
    sn_share(j->n_tok, 1, part, n_parts, &begin, &end);
    for (size_t t = begin; t < end; t++) {
        for (size_t i = 0; i < n; i++) {
            const float angle = (float)j->pos[t] * j->inv_freq[i];
            cosine[i] = cosf(angle);
            sine[i] = sinf(angle);
        }
        for (size_t h = 0; h < j->n_head; h++) {
            float *x = j->x + t * j->ldx + h * j->d_head;
            for (size_t i = 0; i < n; i++) {
                float *a = x + i * first, *b = a + second;
                const float u = *a, v = *b;
                *a = u * cosine[i] - v * sine[i];
                *b = u * sine[i] + v * cosine[i];
            }
        }
    }
}

void sn_rope(sn_compute *c, float *x, size_t ldx, size_t n_tok, size_t n_head, size_t d_head, size_t n_rot, const int32_t *pos,
             const float *inv_freq, bool interleaved)
{
    assert(n_rot <= d_head && n_rot % 2 == 0 && n_rot <= SN_MAX_D_HEAD);
    run(c, rope_part, &(rope_job){x, ldx, n_tok, n_head, d_head, n_rot, pos, inv_freq, interleaved}, n_tok * n_head * d_head);
}

/* ---- rows of scores, rows of a cache ---- */

void sn_softmax(float *x, size_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    for (size_t i = 0; i < n; i++) x[i] = (float)(x[i] / sum);
}

void sn_f32_to_f16_rows(const sn_compute *c, uint16_t *dst, size_t ld_dst, const float *src, size_t ld_src, size_t n_rows, size_t n)
{
    for (size_t r = 0; r < n_rows; r++) sn_compute_ops(c)->f32_to_f16(dst + r * ld_dst, src + r * ld_src, n);
}

void sn_f32_to_q8_0_rows(void *dst, size_t ld_dst, const float *src, size_t ld_src, size_t n_rows, size_t n)
{
    sn_block_q8_0 *to = dst;
    for (size_t r = 0; r < n_rows; r++) sn_quantize_q8_0(to + r * (ld_dst / 32), src + r * ld_src, n);
}
