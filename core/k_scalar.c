/* k_scalar.c: the kernels' specification. Plain C, for any machine; a panel is one row, a tile one row too. */
#include "kernels.h"
#include "quant.h"
#include "tensor.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void put(const k_dest *to, size_t tok, size_t row, float v)
{
    float *y = &to->y[tok * to->ldy + row];
    if (to->bias != NULL) v += to->bias[row];
    *y = to->add ? *y + v : v;
}

/* ---- quantised products ---- */

/* d = max |x| / most, code = round(x / d), ties to even. The range is symmetric, so never -128. Blocks of next to nothing become zeros; a NaN
 * becomes some code in range. */
static void quantize(void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in, const k_format *f, k_grain grain)
{
    const size_t halves = f->has_halves ? 2 : 1, code_bytes = (grain == K_FINE ? 2 : 1) * K_Q_BLOCK;
    const int most = grain == K_FINE ? K_Q_MOST : K_Q_MOST_8;
    unsigned char *p = tile;
    for (size_t b = 0; b < n_in / K_Q_BLOCK; b++) {
        for (size_t t = 0; t < n_tok; t++) {
            const float *v = x + t * ldx + b * K_Q_BLOCK;
            float max = 0;
            for (size_t i = 0; i < K_Q_BLOCK; i++) max = fabsf(v[i]) > max ? fabsf(v[i]) : max;
            const float d = max / (float)most, inverse = max > 1e-30f ? (float)most / max : 0;
            int8_t high[K_Q_BLOCK], low[K_Q_BLOCK];
            int32_t sum[2] = {0, 0};
            for (size_t i = 0; i < K_Q_BLOCK; i++) {
                const float scaled = v[i] * inverse;
                const int code = scaled >= (float)-most ? scaled <= (float)most ? (int)nearbyintf(scaled) : most : -most; /* NaN: least */
                sum[i / 16] += code;
                high[i] = (int8_t)code;
                if (grain == K_COARSE) continue;
                high[i] = (int8_t)((code + K_Q_MOST + K_Q_LOW + K_Q_LOW / 2) / K_Q_LOW - 128); /* rounded down from code + 64 */
                low[i] = (int8_t)(code - K_Q_LOW * high[i]);
            }
            const int32_t first = -f->offset * (f->has_halves ? sum[0] : sum[0] + sum[1]), second = -f->offset * sum[1];
            const float scaled_sum = d * (float)(sum[0] + sum[1]);
            memcpy(p + 4 * t, f->has_min ? (const void *)&scaled_sum : (const void *)&first, 4);
            if (f->has_halves) memcpy(p + 4 * (n_tok + t), &second, 4);
            memcpy(p + 4 * (halves * n_tok + t), &d, 4);
            memcpy(p + 4 * (halves + 1) * n_tok + code_bytes * t, high, K_Q_BLOCK);
            if (grain == K_FINE) memcpy(p + 4 * (halves + 1) * n_tok + code_bytes * t + K_Q_BLOCK, low, K_Q_BLOCK);
        }
        p += n_tok * (4 * halves + 4 + code_bytes);
    }
}

static void quantize_coarse(void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in, const k_format *f)
{
    quantize(tile, x, ldx, n_tok, n_in, f, K_COARSE);
}

static void quantize_fine(void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in, const k_format *f)
{
    quantize(tile, x, ldx, n_tok, n_in, f, K_FINE);
}

/* One row of the file by one row of activations. */
static void product_q(const k_dest *to, sn_type type, const void *row, const void *tile, size_t n_in, size_t n_tok, k_grain grain)
{
    const k_format *f = k_format_get(type);
    const unsigned char *p = tile;
    float sum = 0;
    assert(n_tok == 1);
    for (size_t b = 0; b < n_in / K_Q_BLOCK; b++, p += k_tile_bytes(f, grain, 1, K_Q_BLOCK)) {
        k_block w;
        int8_t high[K_Q_BLOCK], low[K_Q_BLOCK] = {0};
        float d, scaled_sum;
        int32_t dot[2] = {0, 0};
        k_block_read(&w, type, row, b);
        memcpy(&scaled_sum, p, 4);
        memcpy(&d, p + (f->has_halves ? 8 : 4), 4);
        memcpy(high, p + (f->has_halves ? 12 : 8), K_Q_BLOCK);
        if (grain == K_FINE) memcpy(low, p + (f->has_halves ? 12 : 8) + K_Q_BLOCK, K_Q_BLOCK);
        for (size_t i = 0; i < K_Q_BLOCK; i++)
            dot[i / 16] += ((int)w.code[i] - f->offset) * (grain == K_FINE ? K_Q_LOW * high[i] + low[i] : high[i]);
        if (f->has_halves) {
            sum += d * (w.d[0] * (float)dot[0] + w.d[1] * (float)dot[1]);
        } else {
            sum += d * w.d[0] * (float)(dot[0] + dot[1]);
        }
        if (f->has_min) sum += w.min * scaled_sum;
    }
    put(to, 0, 0, sum);
}

#define PRODUCT_Q(type)                                                                                                                    \
    static void coarse_##type(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok)                            \
    {                                                                                                                                      \
        product_q(to, SN_##type, panel, tile, n_in, n_tok, K_COARSE);                                                                      \
    }                                                                                                                                      \
    static void fine_##type(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok)                              \
    {                                                                                                                                      \
        product_q(to, SN_##type, panel, tile, n_in, n_tok, K_FINE);                                                                        \
    }
PRODUCT_Q(Q4_0)
PRODUCT_Q(Q4_1)
PRODUCT_Q(Q5_0)
PRODUCT_Q(Q5_1)
PRODUCT_Q(Q8_0)
PRODUCT_Q(Q4_K)
PRODUCT_Q(Q5_K)
PRODUCT_Q(Q6_K)

/* ---- floats rounded to 16 bits ---- */

static float round_i16(int16_t *code, const float *x, size_t n)
{
    float max = 0, squares = 0;
    for (size_t i = 0; i < n; i++) max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    const float by = k_i16_inverse(max);
    for (size_t i = 0; i < n; i++) squares += x[i] * by * (x[i] * by);
    const float most = k_i16_most(sqrtf(squares));
    for (size_t i = 0; i < n; i++) {
        const float scaled = x[i] * (by * most);
        code[i] = scaled >= -K_I16_MOST ? (int16_t)nearbyintf(fminf(scaled, K_I16_MOST)) : -K_I16_MOST; /* NaN: least, and d is a NaN */
    }
    return max / most;
}

static void product_i16(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok)
{
    const unsigned char *w = panel, *x = tile;
    float sum = 0;
    assert(n_tok == 1);
    for (size_t first = 0, n; first < n_in; first += n) {
        int16_t a[K_I16_BLOCK], b[K_I16_BLOCK];
        float d_a, d_b;
        int64_t dot = 0;
        n = n_in - first < K_I16_BLOCK ? n_in - first : K_I16_BLOCK;
        memcpy(&d_a, w, 4);
        memcpy(&d_b, x, 4);
        memcpy(a, w + 4, 2 * n);
        memcpy(b, x + 4, 2 * n);
        for (size_t i = 0; i < n; i++) dot += (int64_t)a[i] * b[i];
        sum += d_a * d_b * (float)dot;
        w += k_i16_bytes(n, 1);
        x += k_i16_bytes(n, 1);
    }
    put(to, 0, 0, sum);
}

/* Values up to 1 have a norm of at most the root of their sum. */
static void weights_i16(void *panel, const float *s, size_t n)
{
    float max = 0, sum = 0;
    int16_t code[K_I16_BLOCK] = {0};
    for (size_t j = 0; j < n; j++) {
        max = s[j] > max ? s[j] : max;
        sum += s[j];
    }
    const float by = k_i16_inverse(max), most = k_i16_most(sqrtf(sum * by)), d = max / most;
    for (size_t j = 0; j < n; j++) code[j] = s[j] >= 0 ? (int16_t)nearbyintf(fminf(s[j] * (by * most), K_I16_MOST)) : 0;
    memcpy(panel, &d, 4);
    memcpy((unsigned char *)panel + 4, code, 2 * (n + n % 2));
}

/* ---- float products ---- */

static void product_f(const k_dest *to, const float *panel, const float *x, size_t ldk, size_t n_in, size_t n_tok)
{
    for (size_t t = 0; t < n_tok; t++) {
        float sum = 0;
        for (size_t k = 0; k < n_in; k++) sum += panel[k] * x[k * ldk + t];
        put(to, t, 0, sum);
    }
}

static uint16_t half_at(const void *p, size_t i)
{
    uint16_t h;
    memcpy(&h, (const unsigned char *)p + 2 * i, 2);
    return h;
}

static float float_at(const void *p, size_t i)
{
    float f;
    memcpy(&f, (const unsigned char *)p + 4 * i, 4);
    return f;
}

static void stream_f32(const k_dest *to, const void *panel, const float *x, size_t ldx, size_t n_in, size_t n_tok)
{
    float sum = 0;
    (void)ldx, (void)n_tok; /* one */
    for (size_t k = 0; k < n_in; k++) sum += float_at(panel, k) * x[k];
    put(to, 0, 0, sum);
}

static void stream_f16(const k_dest *to, const void *panel, const float *x, size_t ldx, size_t n_in, size_t n_tok)
{
    float sum = 0;
    (void)ldx, (void)n_tok; /* one */
    for (size_t k = 0; k < n_in; k++) sum += sn_f16_to_f32(half_at(panel, k)) * x[k];
    put(to, 0, 0, sum);
}

static void stream_bf16(const k_dest *to, const void *panel, const float *x, size_t ldx, size_t n_in, size_t n_tok)
{
    float sum = 0;
    (void)ldx, (void)n_tok; /* one */
    for (size_t k = 0; k < n_in; k++) sum += sn_bf16_to_f32(half_at(panel, k)) * x[k];
    put(to, 0, 0, sum);
}

static void tile_f(float *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in)
{
    for (size_t k = 0; k < n_in; k++) {
        for (size_t t = 0; t < n_tok; t++) tile[k * n_tok + t] = x[t * ldx + k];
    }
}

static void f16_to_f32(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = sn_f16_to_f32(half_at(src, i));
}

static void bf16_to_f32(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = sn_bf16_to_f32(half_at(src, i));
}

static void f32_to_f16(uint16_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = sn_f32_to_f16(src[i]);
}

/* ---- attention ---- */

static void softmax_step(float *s, size_t n_key, const int32_t *limit, float *m, float *l, float *o, size_t d)
{
    const size_t n = limit == NULL || (size_t)limit[0] >= n_key ? n_key : limit[0] > 0 ? (size_t)limit[0] : 0;
    float max = *m, sum = 0;
    for (size_t j = 0; j < n; j++) max = s[j] > max ? s[j] : max;
    const float shrink = *m == max ? 1 : expf(*m - max);
    for (size_t j = 0; j < n_key; j++) {
        s[j] = j < n ? expf(s[j] - max) : 0;
        sum += s[j];
    }
    for (size_t i = 0; i < d; i++) o[i] *= shrink;
    *l = *l * shrink + sum;
    *m = max;
}

static void dots_f32(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (size_t i = 0; i < d; i++) sum += q[i] * float_at(k, j * ld + i);
        s[j] = sum;
    }
}

static void dots_f16(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (size_t i = 0; i < d; i++) sum += q[i] * sn_f16_to_f32(half_at(k, j * ld + i));
        s[j] = sum;
    }
}

static void blend_f32(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < d; i++) o[i] += p[j] * float_at(v, j * ld + i);
    }
}

static void blend_f16(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d)
{
    for (size_t j = 0; j < n; j++) {
        for (size_t i = 0; i < d; i++) o[i] += p[j] * sn_f16_to_f32(half_at(v, j * ld + i));
    }
}

static void dots_q8_0(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d)
{
    const sn_block_q8_0 *row = k;
    for (size_t j = 0; j < n; j++, row += ld / 32) {
        s[j] = 0;
        for (size_t b = 0; b < d / 32; b++) {
            float sum = 0;
            for (size_t i = 0; i < 32; i++) sum += q[b * 32 + i] * (float)row[b].qs[i];
            s[j] += sum * sn_f16_to_f32(row[b].d);
        }
    }
}

static void blend_q8_0(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d)
{
    const sn_block_q8_0 *row = v;
    for (size_t j = 0; j < n; j++, row += ld / 32) {
        for (size_t i = 0; i < d; i++) o[i] += p[j] * sn_f16_to_f32(row[i / 32].d) * (float)row[i / 32].qs[i % 32];
    }
}

/* ---- rows ---- */

static void layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    const float mean = (float)(sum / (double)n);
    for (size_t i = 0; i < n; i++) squares += (double)(x[i] - mean) * (x[i] - mean);
    const float scale = (float)(1 / sqrt(squares / (double)n + eps));
    for (size_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * w[i] + (b != NULL ? b[i] : 0);
}

static void rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
    const float scale = (float)(1 / sqrt(squares / (double)n + eps));
    for (size_t i = 0; i < n; i++) y[i] = x[i] * scale * w[i];
}

static void gelu_erf(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(0.5 * x[i] * erfc(-x[i] * 0.70710678118654752)); /* where 1 + erf would cancel */
}

/* (1 + tanh u) / 2 = 1 / (1 + exp(-2u)) */
static void gelu_tanh(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const float u = 0.79788456f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        x[i] = x[i] / (1 + expf(-2 * u));
    }
}

static void gelu_quick(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = x[i] / (1 + expf(-1.702f * x[i]));
}

static void silu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = x[i] / (1 + expf(-x[i]));
}

static void relu(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) x[i] = x[i] < 0 ? 0 : x[i];
}

static void swiglu(float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) gate[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void add(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += x[i];
}

static void mul_add(float *y, const float *x, const float *scale, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += x[i] * scale[i];
}

static float exp_sum(float *x, size_t n, float max)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] = expf(x[i] - max);
    return (float)sum;
}

static float max_of(const float *x, size_t n)
{
    float max = -INFINITY;
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    return max;
}

static void scale_row(float *x, size_t n, float by)
{
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

#define PRODUCTS(name)                                                                                                                     \
    [SN_Q4_0] = name##_Q4_0, [SN_Q4_1] = name##_Q4_1, [SN_Q5_0] = name##_Q5_0, [SN_Q5_1] = name##_Q5_1, [SN_Q8_0] = name##_Q8_0,           \
    [SN_Q4_K] = name##_Q4_K, [SN_Q5_K] = name##_Q5_K, [SN_Q6_K] = name##_Q6_K

void k_init_scalar(k_ops *k)
{
    *k = (k_ops){
        .q_rows = 1,
        .q_tile = 1,
        .quantize = {quantize_coarse, quantize_fine},
        .product_q = {{PRODUCTS(coarse)}, {PRODUCTS(fine)}},
        .i16_rows = 1,
        .i16_tile = 1,
        .round_i16 = round_i16,
        .product_i16 = product_i16,
        .weights_i16 = weights_i16,
        .f_rows = 1,
        .f_tile = 1,
        .product_f = product_f,
        .stream_f32 = stream_f32,
        .stream_f16 = stream_f16,
        .stream_bf16 = stream_bf16,
        .tile_f = tile_f,
        .f16_to_f32 = f16_to_f32,
        .bf16_to_f32 = bf16_to_f32,
        .f32_to_f16 = f32_to_f16,
        .softmax_step = softmax_step,
        .dots_f32 = dots_f32,
        .dots_f16 = dots_f16,
        .dots_q8_0 = dots_q8_0,
        .blend_f32 = blend_f32,
        .blend_f16 = blend_f16,
        .blend_q8_0 = blend_q8_0,
        .layernorm = layernorm,
        .rmsnorm = rmsnorm,
        .act = {[SN_ACT_GELU_ERF] = gelu_erf,
                [SN_ACT_GELU_TANH] = gelu_tanh,
                [SN_ACT_GELU_QUICK] = gelu_quick,
                [SN_ACT_SILU] = silu,
                [SN_ACT_RELU] = relu},
        .swiglu = swiglu,
        .add = add,
        .mul_add = mul_add,
        .exp_sum = exp_sum,
        .max_of = max_of,
        .scale_row = scale_row,
    };
}
