/* quantize_k.c: the types with super-blocks of 256 values, with searched scales.
 *
 * Each part of 16 or 32 values is fitted by itself. Its scale then becomes a small integer times the super-block's, and not
 * always the nearest one: with the integer above or below, the levels may fit better. With integers and levels chosen, the
 * super-block's own scales follow by least squares; this goes round, and the best of all is kept. */
#include "quant.h"
#include "quantize.h"

#include <math.h>
#include <string.h>

enum { N = 256, MAX_PARTS = 16, ROUNDS = 3 };

typedef struct {
    uint16_t d, dmin;
    int scale[MAX_PARTS], min[MAX_PARTS];
    int8_t q[N];
    float error;
} super;

typedef struct {
    size_t part; /* values in a part: 16 or 32 */
    int lo, hi;  /* levels */
    int scale_lo, scale_hi, min_hi;
} form;

static int nearest_in(float v, int lo, int hi)
{
    if (!(v > (float)lo)) return lo;
    return v >= (float)hi ? hi : (int)lrintf(v);
}

/* The integer scale and minimum near the wanted ones with the least error, given the super-block's; the levels into s->q. */
static void choose_part(super *s, const form *f, size_t k, const float *x, const float *w, float want_scale, float want_min)
{
    const float d = sn_f16_to_f32(s->d), dmin = sn_f16_to_f32(s->dmin);
    const int scale = nearest_in(d != 0.0f ? want_scale / d : 0.0f, f->scale_lo, f->scale_hi);
    const int min = nearest_in(dmin != 0.0f ? want_min / dmin : 0.0f, 0, f->min_hi);
    float best = INFINITY;
    int8_t q[32];
    for (int i = scale - 1; i <= scale + 1; i++) {
        for (int j = min - 1; j <= min + 1; j++) {
            if (i < f->scale_lo || i > f->scale_hi || j < 0 || j > f->min_hi) continue;
            const float error = sn_fit_levels(q, x, w, f->part, d * (float)i, dmin * (float)j, f->lo, f->hi);
            if (!(error < best)) continue;
            best = error;
            s->scale[k] = i;
            s->min[k] = j;
            memcpy(s->q + k * f->part, q, f->part);
        }
    }
    s->error += best;
}

/* The super-block's scales that suit the levels and integers of *s best; false when these do not determine any. */
static bool refit(const super *s, const form *f, const float *x, const float *w, float *d, float *dmin)
{
    float aa = 0.0f, ab = 0.0f, bb = 0.0f, ax = 0.0f, bx = 0.0f; /* a: the levels times their scale, b: the minimum */
    for (size_t i = 0; i < N; i++) {
        const float a = (float)(s->scale[i / f->part] * s->q[i]), b = (float)s->min[i / f->part];
        aa += w[i] * a * a;
        ab += w[i] * a * b;
        bb += w[i] * b * b;
        ax += w[i] * a * x[i];
        bx += w[i] * b * x[i];
    }
    const float det = aa * bb - ab * ab;
    if (bb > 0.0f && det > 1e-6f * aa * bb) {
        *d = (ax * bb - bx * ab) / det;
        *dmin = (ax * ab - bx * aa) / det;
        return *dmin >= 0.0f && (*d > 0.0f || f->lo < 0);
    }
    if (!(aa > 0.0f) || bb > 0.0f) return false;
    *d = ax / aa;
    *dmin = 0.0f;
    return true;
}

static float farthest(const float *v, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(v[i]) > fabsf(most)) most = v[i];
    return most;
}

typedef struct { /* what the parts want, before it is made integers */
    float scale[MAX_PARTS], min[MAX_PARTS];
} wants;

/* The scales of rounding to nearest: the farthest value is the last level. */
static void want_range(wants *v, const form *f, const float *x)
{
    for (size_t k = 0; k < N / f->part; k++) {
        const float *xk = x + k * f->part;
        float low = 0.0f, high = xk[0];
        for (size_t i = 0; i < f->part; i++) {
            low = xk[i] < low ? xk[i] : low;
            high = xk[i] > high ? xk[i] : high;
        }
        v->scale[k] = f->min_hi > 0 ? (high - low) / (float)f->hi : farthest(xk, f->part) / (float)f->lo;
        v->min[k] = f->min_hi > 0 ? -low : 0.0f;
    }
}

static void want_fit(wants *v, const form *f, const float *x, const float *w)
{
    for (size_t k = 0; k < N / f->part; k++) {
        const float *xk = x + k * f->part, *wk = w + k * f->part;
        v->min[k] = 0.0f;
        v->scale[k] = f->min_hi > 0 ? sn_fit_affine(&v->min[k], xk, wk, f->part, f->hi, true) : sn_fit_scale(xk, wk, f->part, f->lo, f->hi);
    }
}

/* Keeps in *best what is better than it, beginning with the scales that the largest of the wanted ones ask for. */
static void search_from(super *best, const form *f, const float *x, const float *w, const wants *v, int rounds)
{
    const size_t parts = N / f->part;
    float d = farthest(v->scale, parts) / (float)(f->scale_lo < 0 ? f->scale_lo : f->scale_hi);
    float dmin = f->min_hi > 0 ? farthest(v->min, parts) / (float)f->min_hi : 0.0f;
    for (int round = 0; round < rounds; round++) {
        super s = {.d = sn_f32_to_f16(d), .dmin = sn_f32_to_f16(dmin)};
        for (size_t k = 0; k < parts; k++) choose_part(&s, f, k, x + k * f->part, w + k * f->part, v->scale[k], v->min[k]);
        if (s.error < best->error) *best = s;
        if (round + 1 < rounds && !refit(&s, f, x, w, &d, &dmin)) return;
    }
}

static void search(super *best, const form *f, const float *src)
{
    float x[N], w[N];
    wants v;
    sn_fit_prepare(x, w, src, N, f->part);
    *best = (super){.error = INFINITY};
    want_range(&v, f, x);
    search_from(best, f, x, w, &v, 1); /* so that nothing is worse than rounding to nearest */
    want_fit(&v, f, x, w);
    search_from(best, f, x, w, &v, ROUNDS);
}

/* dst = the blocks of src[n], of n_bytes each. */
static void search_all(void *dst, const float *src, size_t n, const form *f, void (*pack)(void *dst, const super *s), size_t n_bytes)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += n_bytes) {
        super s;
        search(&s, f, src + i);
        pack(p, &s);
    }
}

/* Levels of two bits: value 128 h + 32 k + i at bit 2 k of qs[32 h + i]. */
static void pack_pairs(uint8_t qs[64], const uint8_t q[N])
{
    for (size_t j = 0; j < N; j++) qs[j / 128 * 32 + j % 32] |= (uint8_t)((q[j] & 3) << (2 * (j % 128 / 32)));
}

static void pack_q2_k(void *dst, const super *s)
{
    sn_block_q2_k b = {.d = s->d, .dmin = s->dmin};
    uint8_t q[N];
    for (size_t j = 0; j < N; j++) q[j] = (uint8_t)s->q[j];
    for (size_t k = 0; k < 16; k++) b.scales[k] = (uint8_t)(s->scale[k] | s->min[k] << 4);
    pack_pairs(b.qs, q);
    memcpy(dst, &b, sizeof b);
}

void sn_search_q2_k(void *dst, const float *src, size_t n)
{
    static const form f = {.part = 16, .lo = 0, .hi = 3, .scale_lo = 0, .scale_hi = 15, .min_hi = 15};
    search_all(dst, src, n, &f, pack_q2_k, sizeof(sn_block_q2_k));
}

static void pack_q3_k(void *dst, const super *s)
{
    sn_block_q3_k b = {.d = s->d};
    uint8_t q[N];
    for (size_t j = 0; j < N; j++) q[j] = (uint8_t)(s->q[j] + 4);
    for (size_t j = 0; j < N; j++) b.hmask[j % 32] |= (uint8_t)((q[j] >> 2) << (j / 32));
    for (size_t k = 0; k < 16; k++) {
        const unsigned scale = (unsigned)(s->scale[k] + 32);
        b.scales[k % 8] |= (uint8_t)((scale & 15) << (k / 8 * 4));
        b.scales[8 + k % 4] |= (uint8_t)((scale >> 4) << (k / 4 * 2));
    }
    pack_pairs(b.qs, q);
    memcpy(dst, &b, sizeof b);
}

void sn_search_q3_k(void *dst, const float *src, size_t n)
{
    static const form f = {.part = 16, .lo = -4, .hi = 3, .scale_lo = -32, .scale_hi = 31, .min_hi = 0};
    search_all(dst, src, n, &f, pack_q3_k, sizeof(sn_block_q3_k));
}

/* sn_k4_scales in reverse. packed must be zero. */
static void pack_k4(uint8_t packed[12], const int scale[8], const int min[8])
{
    for (size_t j = 0; j < 4; j++) {
        packed[j] = (uint8_t)(scale[j] | (scale[4 + j] >> 4) << 6);
        packed[4 + j] = (uint8_t)(min[j] | (min[4 + j] >> 4) << 6);
        packed[8 + j] = (uint8_t)((scale[4 + j] & 15) | (min[4 + j] & 15) << 4);
    }
}

static void pack_nibbles(uint8_t qs[128], const int8_t q[N])
{
    for (size_t j = 0; j < N; j++) qs[j / 64 * 32 + j % 32] |= (uint8_t)((q[j] & 15) << (j / 32 % 2 * 4));
}

static void pack_q4_k(void *dst, const super *s)
{
    sn_block_q4_k b = {.d = s->d, .dmin = s->dmin};
    pack_k4(b.scales, s->scale, s->min);
    pack_nibbles(b.qs, s->q);
    memcpy(dst, &b, sizeof b);
}

void sn_search_q4_k(void *dst, const float *src, size_t n)
{
    static const form f = {.part = 32, .lo = 0, .hi = 15, .scale_lo = 0, .scale_hi = 63, .min_hi = 63};
    search_all(dst, src, n, &f, pack_q4_k, sizeof(sn_block_q4_k));
}

static void pack_q5_k(void *dst, const super *s)
{
    sn_block_q5_k b = {.d = s->d, .dmin = s->dmin};
    pack_k4(b.scales, s->scale, s->min);
    pack_nibbles(b.qs, s->q);
    for (size_t j = 0; j < N; j++) b.qh[j % 32] |= (uint8_t)((s->q[j] >> 4) << (j / 32));
    memcpy(dst, &b, sizeof b);
}

void sn_search_q5_k(void *dst, const float *src, size_t n)
{
    static const form f = {.part = 32, .lo = 0, .hi = 31, .scale_lo = 0, .scale_hi = 63, .min_hi = 63};
    search_all(dst, src, n, &f, pack_q5_k, sizeof(sn_block_q5_k));
}

static void pack_q6_k(void *dst, const super *s)
{
    sn_block_q6_k b = {.d = s->d};
    for (size_t k = 0; k < 16; k++) b.scales[k] = (int8_t)s->scale[k];
    for (size_t j = 0; j < N; j++) {
        const uint8_t q = (uint8_t)(s->q[j] + 32);
        b.ql[j / 128 * 64 + j % 64] |= (uint8_t)((q & 15) << (j % 128 / 64 * 4));
        b.qh[j / 128 * 32 + j % 32] |= (uint8_t)((q >> 4) << (2 * (j % 128 / 32)));
    }
    memcpy(dst, &b, sizeof b);
}

void sn_search_q6_k(void *dst, const float *src, size_t n)
{
    static const form f = {.part = 16, .lo = -32, .hi = 31, .scale_lo = -128, .scale_hi = 127, .min_hi = 0};
    search_all(dst, src, n, &f, pack_q6_k, sizeof(sn_block_q6_k));
}
