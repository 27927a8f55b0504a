/* quant_iq.c: the types with code books, and the ternary ones. */
#include "quant.h"
#include "tensor.h"

#include <string.h>

static const int8_t iq2_levels[4] = {8, 25, 43, 0}; /* the fourth stands in no grid */
static const int8_t iq1_levels[4] = {-1, 0, 1, 0};
static const int8_t iq3_xxs_levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};

/* Seven signs are stored, and the eighth makes their number even. */
static unsigned even_signs(unsigned seven)
{
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

/* 8 values of IQ2: their grid point, the signs (1 is minus) one a bit. */
static void put_iq2(float *dst, float scale, uint16_t point, unsigned signs)
{
    for (size_t j = 0; j < 8; j++) {
        const float v = scale * (float)iq2_levels[point >> (2 * j) & 3];
        dst[j] = signs >> j & 1 ? -v : v;
    }
}

/* 4 values of IQ3, the signs in the low bits. */
static void put_iq3(float *dst, float scale, const int levels[4], unsigned signs)
{
    for (size_t j = 0; j < 4; j++) {
        const float v = scale * (float)levels[j];
        dst[j] = signs >> j & 1 ? -v : v;
    }
}

void sn_dequantize_iq2_xxs(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq2_xxs)) {
        sn_block_iq2_xxs b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 8; k++) {
            const uint16_t *q = b.qs + 4 * k;
            const uint32_t tail = q[2] | (uint32_t)q[3] << 16;
            const float scale = d * (0.5f + (float)(tail >> 28)) * 0.25f;
            for (size_t j = 0; j < 4; j++)
                put_iq2(dst + i + 32 * k + 8 * j, scale, sn_iq2_xxs_grid[q[j / 2] >> (8 * (j % 2)) & 255],
                        even_signs(tail >> (7 * j) & 127));
        }
    }
}

void sn_dequantize_iq2_xs(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq2_xs)) {
        sn_block_iq2_xs b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 32; k++) {
            const float scale = d * (0.5f + (float)(b.scales[k / 4] >> (4 * (k / 2 % 2)) & 15)) * 0.25f;
            put_iq2(dst + i + 8 * k, scale, sn_iq2_xs_grid[b.qs[k] & 511], even_signs(b.qs[k] >> 9));
        }
    }
}

void sn_dequantize_iq2_s(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq2_s)) {
        sn_block_iq2_s b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 32; k++) {
            const float scale = d * (0.5f + (float)(b.scales[k / 4] >> (4 * (k / 2 % 2)) & 15)) * 0.25f;
            const unsigned index = b.qs[k] | (b.qh[k / 4] >> (2 * (k % 4)) & 3u) << 8;
            put_iq2(dst + i + 8 * k, scale, sn_iq2_s_grid[index], b.signs[k]);
        }
    }
}

void sn_dequantize_iq3_xxs(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq3_xxs)) {
        sn_block_iq3_xxs b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 64; k++) {
            uint32_t tail;
            memcpy(&tail, b.signs + 4 * (k / 8), sizeof tail);
            const float scale = d * (0.5f + (float)(tail >> 28)) * 0.5f;
            const unsigned signs = even_signs(tail >> (7 * (k / 2 % 4)) & 127);
            const uint16_t point = sn_iq3_xxs_grid[b.qs[k]];
            int levels[4];
            for (size_t j = 0; j < 4; j++) levels[j] = iq3_xxs_levels[point >> (4 * j) & 7];
            put_iq3(dst + i + 4 * k, scale, levels, signs >> (4 * (k % 2)));
        }
    }
}

void sn_dequantize_iq3_s(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq3_s)) {
        sn_block_iq3_s b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 64; k++) {
            const float scale = d * (float)(1 + 2 * (b.scales[k / 16] >> (4 * (k / 8 % 2)) & 15));
            const uint16_t point = sn_iq3_s_grid[b.qs[k] | (b.qh[k / 8] >> (k % 8) & 1u) << 8];
            int levels[4];
            for (size_t j = 0; j < 4; j++) levels[j] = 1 + 2 * (point >> (4 * j) & 7);
            put_iq3(dst + i + 4 * k, scale, levels, b.signs[k / 2] >> (4 * (k % 2)));
        }
    }
}

/* 8 values of IQ1: their grid point moved by an eighth. */
static void put_iq1(float *dst, float scale, uint16_t point, bool minus)
{
    for (size_t j = 0; j < 8; j++) dst[j] = scale * ((float)iq1_levels[point >> (2 * j) & 3] + (minus ? -0.125f : 0.125f));
}

void sn_dequantize_iq1_s(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq1_s)) {
        sn_block_iq1_s b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 32; k++) {
            const uint16_t qh = b.qh[k / 4];
            const float scale = d * (float)(2 * (qh >> 12 & 7) + 1);
            put_iq1(dst + i + 8 * k, scale, sn_iq1_grid[b.qs[k] | (qh >> (3 * (k % 4)) & 7u) << 8], qh >> 15);
        }
    }
}

void sn_dequantize_iq1_m(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq1_m)) {
        sn_block_iq1_m b;
        uint16_t words[4];
        memcpy(&b, p, sizeof b);
        memcpy(words, b.scales, sizeof words);
        const float d = sn_f16_to_f32((uint16_t)(words[0] >> 12 | words[1] >> 12 << 4 | words[2] >> 12 << 8 | words[3] >> 12 << 12));
        for (size_t k = 0; k < 32; k++) {
            const unsigned high = b.qh[k / 2] >> (4 * (k % 2)) & 15u;
            const float scale = d * (float)(2 * (words[k / 8] >> (3 * (k / 2 % 4)) & 7) + 1);
            put_iq1(dst + i + 8 * k, scale, sn_iq1_grid[b.qs[k] | (high & 7) << 8], high >> 3);
        }
    }
}

/* Digit number `digit` (the first is the most significant) of a byte that holds a fraction of 3^5: multiplied up, in eight
 * bits, until the wanted digit stands above the point. */
static int ternary(uint8_t byte, size_t digit)
{
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    const uint8_t moved = (uint8_t)(byte * powers[digit]);
    return (moved * 3 >> 8) - 1;
}

void sn_dequantize_tq1_0(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_tq1_0)) {
        sn_block_tq1_0 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 160; j++) dst[i + j] = d * (float)ternary(b.qs[j % 32], j / 32);
        for (size_t j = 0; j < 80; j++) dst[i + 160 + j] = d * (float)ternary(b.qs[32 + j % 16], j / 16);
        for (size_t j = 0; j < 16; j++) dst[i + 240 + j] = d * (float)ternary(b.qh[j % 4], j / 4);
    }
}

void sn_dequantize_tq2_0(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_tq2_0)) {
        sn_block_tq2_0 b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 256; j++) dst[i + j] = d * (float)((b.qs[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3) - 1);
    }
}
