/* quant_32.c: the types with blocks of 32 values. */
#include "quant.h"
#include "tensor.h"

#include <math.h>
#include <string.h>

const int8_t sn_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* ---- to float ---- */

void sn_dequantize_q4_0(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q4_0)) {
        sn_block_q4_0 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = d * (float)((b.qs[j] & 15) - 8);
            dst[i + j + 16] = d * (float)((b.qs[j] >> 4) - 8);
        }
    }
}

void sn_dequantize_q4_1(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q4_1)) {
        sn_block_q4_1 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d), m = sn_f16_to_f32(b.m);
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = d * (float)(b.qs[j] & 15) + m;
            dst[i + j + 16] = d * (float)(b.qs[j] >> 4) + m;
        }
    }
}

static uint32_t high_bits(const uint8_t qh[4])
{
    return (uint32_t)qh[0] | (uint32_t)qh[1] << 8 | (uint32_t)qh[2] << 16 | (uint32_t)qh[3] << 24;
}

void sn_dequantize_q5_0(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q5_0)) {
        sn_block_q5_0 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        const uint32_t qh = high_bits(b.qh);
        for (size_t j = 0; j < 16; j++) {
            int lo = (b.qs[j] & 15) | (int)(qh >> j & 1) << 4, hi = b.qs[j] >> 4 | (int)(qh >> (j + 16) & 1) << 4;
            dst[i + j] = d * (float)(lo - 16);
            dst[i + j + 16] = d * (float)(hi - 16);
        }
    }
}

void sn_dequantize_q5_1(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q5_1)) {
        sn_block_q5_1 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d), m = sn_f16_to_f32(b.m);
        const uint32_t qh = high_bits(b.qh);
        for (size_t j = 0; j < 16; j++) {
            int lo = (b.qs[j] & 15) | (int)(qh >> j & 1) << 4, hi = b.qs[j] >> 4 | (int)(qh >> (j + 16) & 1) << 4;
            dst[i + j] = d * (float)lo + m;
            dst[i + j + 16] = d * (float)hi + m;
        }
    }
}

void sn_dequantize_q8_0(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q8_0)) {
        sn_block_q8_0 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 32; j++) dst[i + j] = d * (float)b.qs[j];
    }
}

void sn_dequantize_iq4_nl(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_iq4_nl)) {
        sn_block_iq4_nl b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = d * (float)sn_iq4_values[b.qs[j] & 15];
            dst[i + j + 16] = d * (float)sn_iq4_values[b.qs[j] >> 4];
        }
    }
}

void sn_dequantize_mxfp4(float *dst, const void *src, size_t n)
{
    static const int8_t twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}; /* OCP MX v1.0, e2m1 */
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_mxfp4)) {
        sn_block_mxfp4 b;
        memcpy(&b, p, sizeof b);
        const float half = ldexpf(1.0f, (int)b.e - 128); /* half the scale, for the levels are doubled */
        for (size_t j = 0; j < 16; j++) {
            dst[i + j] = half * (float)twice[b.qs[j] & 15];
            dst[i + j + 16] = half * (float)twice[b.qs[j] >> 4];
        }
    }
}

/* ---- from float ---- */

/* The level below v, of 0 .. most; not-a-number is level 0. */
static uint8_t level(float v, int most)
{
    if (!(v > 0.0f)) return 0;
    return (uint8_t)(v >= (float)most ? most : (int)v);
}

static void extremes(const float *x, float *min, float *max)
{
    *min = INFINITY;
    *max = -INFINITY;
    for (size_t j = 0; j < 32; j++) {
        if (x[j] < *min) *min = x[j];
        if (x[j] > *max) *max = x[j];
    }
    if (*min > *max) *min = *max = 0.0f; /* nothing but not-a-numbers */
}

/* The value of the largest magnitude, the first of them. */
static float farthest(const float *x)
{
    float most = 0.0f;
    for (size_t j = 0; j < 32; j++)
        if (fabsf(x[j]) > fabsf(most)) most = x[j];
    return most;
}

static float inverse(float d)
{
    return d != 0.0f ? 1.0f / d : 0.0f;
}

void sn_quantize_q4_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q4_0)) {
        const float d = farthest(src + i) / -8, id = inverse(d); /* the farthest value becomes level 0, -8 d exactly */
        sn_block_q4_0 b = {.d = sn_f32_to_f16(d)};
        for (size_t j = 0; j < 16; j++)
            b.qs[j] = (uint8_t)(level(src[i + j] * id + 8.5f, 15) | level(src[i + j + 16] * id + 8.5f, 15) << 4);
        memcpy(p, &b, sizeof b);
    }
}

void sn_quantize_q4_1(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q4_1)) {
        float min, max;
        extremes(src + i, &min, &max);
        const float d = (max - min) / 15, id = inverse(d);
        sn_block_q4_1 b = {.d = sn_f32_to_f16(d), .m = sn_f32_to_f16(min)};
        for (size_t j = 0; j < 16; j++)
            b.qs[j] = (uint8_t)(level((src[i + j] - min) * id + 0.5f, 15) | level((src[i + j + 16] - min) * id + 0.5f, 15) << 4);
        memcpy(p, &b, sizeof b);
    }
}

/* Two five-bit levels into the nibbles of *qs and bits j and j + 16 of *qh. */
static void put_five(uint8_t *qs, uint8_t qh[4], size_t j, uint8_t lo, uint8_t hi)
{
    *qs = (uint8_t)((lo & 15) | (hi & 15) << 4);
    qh[j / 8] |= (uint8_t)((lo >> 4) << (j % 8));
    qh[j / 8 + 2] |= (uint8_t)((hi >> 4) << (j % 8));
}

void sn_quantize_q5_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q5_0)) {
        const float d = farthest(src + i) / -16, id = inverse(d);
        sn_block_q5_0 b = {.d = sn_f32_to_f16(d)};
        for (size_t j = 0; j < 16; j++)
            put_five(&b.qs[j], b.qh, j, level(src[i + j] * id + 16.5f, 31), level(src[i + j + 16] * id + 16.5f, 31));
        memcpy(p, &b, sizeof b);
    }
}

void sn_quantize_q5_1(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q5_1)) {
        float min, max;
        extremes(src + i, &min, &max);
        const float d = (max - min) / 31, id = inverse(d);
        sn_block_q5_1 b = {.d = sn_f32_to_f16(d), .m = sn_f32_to_f16(min)};
        for (size_t j = 0; j < 16; j++)
            put_five(&b.qs[j], b.qh, j, level((src[i + j] - min) * id + 0.5f, 31), level((src[i + j + 16] - min) * id + 0.5f, 31));
        memcpy(p, &b, sizeof b);
    }
}

void sn_quantize_q8_0(void *dst, const float *src, size_t n)
{
    unsigned char *p = dst;
    for (size_t i = 0; i < n; i += 32, p += sizeof(sn_block_q8_0)) {
        const float d = fabsf(farthest(src + i)) / 127, id = inverse(d);
        sn_block_q8_0 b = {.d = sn_f32_to_f16(d)};
        for (size_t j = 0; j < 32; j++) {
            float v = roundf(src[i + j] * id);
            b.qs[j] = (int8_t)(v >= 127.0f ? 127 : v <= -127.0f ? -127 : v == v ? (int)v : 0);
        }
        memcpy(p, &b, sizeof b);
    }
}
