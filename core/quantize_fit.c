/* quantize_fit.c: the scale, or scale and minimum, of 16 or 32 values with the least weighted squared error.
 *
 * A guess at the scale gives levels; levels give the best scale by least squares; that gives better levels, and so on. This
 * ends in a local minimum, so it is begun at many guesses: the scales with which the farthest value falls on, a little beyond or
 * a little inside the last level. */
#include "quantize.h"

#include <math.h>
#include <string.h>

#define LARGEST 65504.0f /* of half precision */

void sn_fit_prepare(float *x, float *w, const float *src, size_t n, size_t part)
{
    for (size_t i = 0; i < n; i++) {
        float v = src[i] == src[i] ? src[i] : 0.0f;
        x[i] = v > LARGEST ? LARGEST : v < -LARGEST ? -LARGEST : v;
    }
    for (size_t i = 0; i < n; i += part) {
        float squares = 0.0f;
        for (size_t j = 0; j < part; j++) squares += x[i + j] * x[i + j];
        const float rms = sqrtf(squares / (float)part);
        for (size_t j = 0; j < part; j++) w[i + j] = rms + fabsf(x[i + j]);
    }
}

/* v rounded to a whole number in [lo, hi]. Adding 1.5 * 2^23 leaves no room for a fraction in the sum. */
static inline float nearest(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    return (v + 12582912.0f) - 12582912.0f;
}

static inline float inverse(float d)
{
    return fabsf(d) > 1e-30f ? 1.0f / d : 0.0f;
}

float sn_fit_levels(int8_t *q, const float *x, const float *w, size_t n, float scale, float min, int lo, int hi)
{
    const float id = inverse(scale), least = (float)lo, most = (float)hi;
    float error[8] = {0};
    for (size_t i = 0; i < n; i += 8) {
        for (size_t l = 0; l < 8; l++) {
            const float level = nearest((x[i + l] + min) * id, least, most), off = x[i + l] - (scale * level - min);
            q[i + l] = (int8_t)level;
            error[l] += w[i + l] * off * off;
        }
    }
    return (error[0] + error[4]) + (error[1] + error[5]) + ((error[2] + error[6]) + (error[3] + error[7]));
}

typedef struct { /* weighted sums over the values, with their levels */
    float qq, q, xq;
} sums;

static float total(const float lanes[8])
{
    return (lanes[0] + lanes[4]) + (lanes[1] + lanes[5]) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

static sums level_sums(const float *x, const float *w, size_t n, float id, float min, float least, float most)
{
    float qq[8] = {0}, q[8] = {0}, xq[8] = {0};
    for (size_t i = 0; i < n; i += 8) {
        for (size_t l = 0; l < 8; l++) {
            const float level = nearest((x[i + l] + min) * id, least, most), wq = w[i + l] * level;
            qq[l] += wq * level;
            q[l] += wq;
            xq[l] += wq * x[i + l];
        }
    }
    return (sums){.qq = total(qq), .q = total(q), .xq = total(xq)};
}

static float error_of(const float *x, const float *w, size_t n, float scale, float min, float least, float most)
{
    const float id = inverse(scale);
    float error[8] = {0};
    for (size_t i = 0; i < n; i += 8) {
        for (size_t l = 0; l < 8; l++) {
            const float off = x[i + l] - (scale * nearest((x[i + l] + min) * id, least, most) - min);
            error[l] += w[i + l] * off * off;
        }
    }
    return total(error);
}

static float farthest(const float *x, size_t n)
{
    float most = 0.0f;
    for (size_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    return most;
}

float sn_fit_scale(const float *x, const float *w, size_t n, int lo, int hi)
{
    enum { STEPS = 9 };
    const float far = farthest(x, n), least = (float)lo, most = (float)hi;
    float best = far / least, best_error = error_of(x, w, n, best, 0.0f, least, most);
    if (far == 0.0f) return 0.0f;
    for (int side = 0; side < 2; side++) {
        for (int step = 0; step < STEPS; step++) { /* the farthest value at most a level inside or beyond the last one */
            const float inside = 0.9f - 0.25f * (float)step;
            float scale = far / (side == 0 ? least + inside : most - inside);
            for (int round = 0; round < 2; round++) {
                const sums s = level_sums(x, w, n, inverse(scale), 0.0f, least, most);
                if (!(s.qq > 0.0f)) break;
                scale = s.xq / s.qq;
            }
            const float error = error_of(x, w, n, scale, 0.0f, least, most);
            if (error < best_error) {
                best_error = error;
                best = scale;
            }
        }
    }
    return best;
}

/* Least squares for scale and minimum at given levels. False: they do not determine a scale. */
static bool solve(sums s, float w, float wx, bool below_zero, float *scale, float *min)
{
    const float det = w * s.qq - s.q * s.q;
    if (!(det > 0.0f)) return false;
    *scale = (w * s.xq - wx * s.q) / det;
    *min = (s.q * s.xq - s.qq * wx) / det;
    if (below_zero && *min < 0.0f) {
        *min = 0.0f;
        *scale = s.xq / s.qq;
    }
    return *scale > 0.0f;
}

float sn_fit_affine(float *min, const float *x, const float *w, size_t n, int hi, bool below_zero)
{
    enum { STEPS = 16 };
    const float top = (float)hi;
    float low = x[0], high = x[0], weight = 0.0f, weighted = 0.0f;
    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        weight += w[i];
        weighted += w[i] * x[i];
    }
    if (below_zero && low > 0.0f) low = 0.0f;
    *min = -low;
    if (!(high > low)) return 0.0f;
    float best = (high - low) / top, best_error = error_of(x, w, n, best, -low, 0.0f, top);
    for (int step = 0; step < STEPS; step++) {
        float scale = (high - low) / (top - 1.0f + 0.2f * (float)step), m = -low;
        for (int round = 0; round < 2; round++) {
            const sums s = level_sums(x, w, n, inverse(scale), m, 0.0f, top);
            float next_scale, next_min;
            if (!solve(s, weight, weighted, below_zero, &next_scale, &next_min)) break;
            scale = next_scale;
            m = next_min;
        }
        const float error = error_of(x, w, n, scale, m, 0.0f, top);
        if (error < best_error) {
            best_error = error;
            best = scale;
            *min = m;
        }
    }
    return best;
}
