/* quantize_32.c: the types with blocks of 32 values, with searched scales. */
#include "quant.h"
#include "quantize.h"

#include <math.h>
#include <string.h>

enum { N = 32 };

/* Levels of 0 to 31 as nibbles and their fifth bits; qh NULL: the levels are below 16. */
static void pack(uint8_t qs[16], uint8_t *qh, const int8_t q[N], int lo)
{
    for (size_t j = 0; j < 16; j++) {
        const uint8_t low = (uint8_t)(q[j] - lo), high = (uint8_t)(q[j + 16] - lo);
        qs[j] = (uint8_t)((low & 15) | (high & 15) << 4);
        if (qh == NULL) continue;
        qh[j / 8] |= (uint8_t)((low >> 4) << (j % 8));
        qh[j / 8 + 2] |= (uint8_t)((high >> 4) << (j % 8));
    }
}

/* The searched scale as it is stored, and the levels; never worse than the plain scale, which rounding to half precision may
 * have made the better of the two. */
static uint16_t scaled(int8_t q[N], const float *src, int lo, int hi, float plain_part)
{
    float x[N], w[N], far = 0.0f;
    int8_t other[N];
    sn_fit_prepare(x, w, src, N, N);
    for (size_t i = 0; i < N; i++) far = fabsf(x[i]) > fabsf(far) ? x[i] : far;
    const uint16_t searched = sn_f32_to_f16(sn_fit_scale(x, w, N, lo, hi)), plain = sn_f32_to_f16(far / plain_part);
    const float error = sn_fit_levels(q, x, w, N, sn_f16_to_f32(searched), 0.0f, lo, hi);
    if (sn_fit_levels(other, x, w, N, sn_f16_to_f32(plain), 0.0f, lo, hi) >= error) return searched;
    memcpy(q, other, N);
    return plain;
}

/* The same with a minimum, which is stored with the other sign. */
static void scaled_from(uint16_t *d, uint16_t *m, int8_t q[N], const float *src, int hi)
{
    float x[N], w[N], min;
    int8_t other[N];
    sn_fit_prepare(x, w, src, N, N);
    const float scale = sn_fit_affine(&min, x, w, N, hi, false);
    float low = x[0], high = x[0];
    for (size_t i = 0; i < N; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    const uint16_t plain_d = sn_f32_to_f16((high - low) / (float)hi), plain_m = sn_f32_to_f16(low);
    *d = sn_f32_to_f16(scale);
    *m = sn_f32_to_f16(-min);
    const float error = sn_fit_levels(q, x, w, N, sn_f16_to_f32(*d), -sn_f16_to_f32(*m), 0, hi);
    if (sn_fit_levels(other, x, w, N, sn_f16_to_f32(plain_d), -sn_f16_to_f32(plain_m), 0, hi) >= error) return;
    memcpy(q, other, N);
    *d = plain_d;
    *m = plain_m;
}

void sn_search_q4_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += sizeof(sn_block_q4_0)) {
        int8_t q[N];
        sn_block_q4_0 b = {.d = scaled(q, src + i, -8, 7, -8.0f)};
        pack(b.qs, NULL, q, -8);
        memcpy(p, &b, sizeof b);
    }
}

void sn_search_q4_1(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += sizeof(sn_block_q4_1)) {
        int8_t q[N];
        sn_block_q4_1 b = {0};
        scaled_from(&b.d, &b.m, q, src + i, 15);
        pack(b.qs, NULL, q, 0);
        memcpy(p, &b, sizeof b);
    }
}

void sn_search_q5_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += sizeof(sn_block_q5_0)) {
        int8_t q[N];
        sn_block_q5_0 b = {.d = scaled(q, src + i, -16, 15, -16.0f)};
        pack(b.qs, b.qh, q, -16);
        memcpy(p, &b, sizeof b);
    }
}

void sn_search_q5_1(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += sizeof(sn_block_q5_1)) {
        int8_t q[N];
        sn_block_q5_1 b = {0};
        scaled_from(&b.d, &b.m, q, src + i, 31);
        pack(b.qs, b.qh, q, 0);
        memcpy(p, &b, sizeof b);
    }
}

void sn_search_q8_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += N, p += sizeof(sn_block_q8_0)) {
        sn_block_q8_0 b = {0};
        b.d = scaled(b.qs, src + i, -127, 127, 127.0f);
        memcpy(p, &b, sizeof b);
    }
}
