/* quant_k.c: the types with super-blocks of 256 values and integer scales inside. */
#include "quant.h"
#include "tensor.h"

#include <string.h>

void sn_k4_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8])
{
    for (size_t k = 0; k < 8; k++) sn_k4_scale(packed, k, &scales[k], &minima[k]);
}

void sn_k3_scales(const uint8_t packed[12], int8_t scales[16])
{
    for (size_t j = 0; j < 16; j++) {
        int low = j < 8 ? packed[j] & 15 : packed[j - 8] >> 4;
        int high = packed[8 + j % 4] >> (2 * (j / 4)) & 3;
        scales[j] = (int8_t)((low | high << 4) - 32);
    }
}

void sn_dequantize_q2_k(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_q2_k)) {
        sn_block_q2_k b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d), dmin = sn_f16_to_f32(b.dmin);
        for (size_t j = 0; j < 256; j++) {
            const uint8_t s = b.scales[j / 16];
            const int q = b.qs[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3;
            dst[i + j] = d * (float)(s & 15) * (float)q - dmin * (float)(s >> 4);
        }
    }
}

void sn_dequantize_q3_k(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_q3_k)) {
        sn_block_q3_k b;
        int8_t scales[16];
        memcpy(&b, p, sizeof b);
        sn_k3_scales(b.scales, scales);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 256; j++) {
            const int low = b.qs[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3;
            const int high = b.hmask[j % 32] >> (j / 32) & 1;
            dst[i + j] = d * (float)scales[j / 16] * (float)(low - (high ? 0 : 4));
        }
    }
}

void sn_dequantize_q4_k(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_q4_k)) {
        sn_block_q4_k b;
        uint8_t scales[8], minima[8];
        memcpy(&b, p, sizeof b);
        sn_k4_scales(b.scales, scales, minima);
        const float d = sn_f16_to_f32(b.d), dmin = sn_f16_to_f32(b.dmin);
        for (size_t k = 0; k < 8; k++) {
            const float scale = d * (float)scales[k], min = dmin * (float)minima[k];
            for (size_t j = 0; j < 32; j++) dst[i + 32 * k + j] = scale * (float)(b.qs[k / 2 * 32 + j] >> (4 * (k % 2)) & 15) - min;
        }
    }
}

void sn_dequantize_q5_k(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_q5_k)) {
        sn_block_q5_k b;
        uint8_t scales[8], minima[8];
        memcpy(&b, p, sizeof b);
        sn_k4_scales(b.scales, scales, minima);
        const float d = sn_f16_to_f32(b.d), dmin = sn_f16_to_f32(b.dmin);
        for (size_t k = 0; k < 8; k++) {
            const float scale = d * (float)scales[k], min = dmin * (float)minima[k];
            for (size_t j = 0; j < 32; j++) {
                const int q = (b.qs[k / 2 * 32 + j] >> (4 * (k % 2)) & 15) | (b.qh[j] >> k & 1) << 4;
                dst[i + 32 * k + j] = scale * (float)q - min;
            }
        }
    }
}

void sn_dequantize_q6_k(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_q6_k)) {
        sn_block_q6_k b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t j = 0; j < 256; j++) {
            const int low = b.ql[j / 128 * 64 + j % 64] >> (4 * (j % 128 / 64)) & 15;
            const int high = b.qh[j / 128 * 32 + j % 32] >> (2 * (j % 128 / 32)) & 3;
            dst[i + j] = d * (float)b.scales[j / 16] * (float)((low | high << 4) - 32);
        }
    }
}

void sn_dequantize_iq4_xs(float *dst, const void *src, size_t n)
{
    const unsigned char *p = src;
    for (size_t i = 0; i < n; i += 256, p += sizeof(sn_block_iq4_xs)) {
        sn_block_iq4_xs b;
        memcpy(&b, p, sizeof b);
        const float d = sn_f16_to_f32(b.d);
        for (size_t k = 0; k < 8; k++) {
            const int scale = (b.scales_l[k / 2] >> (4 * (k % 2)) & 15) | (b.scales_h >> (2 * k) & 3) << 4;
            const float dl = d * (float)(scale - 32);
            for (size_t j = 0; j < 16; j++) {
                dst[i + 32 * k + j] = dl * (float)sn_iq4_values[b.qs[16 * k + j] & 15];
                dst[i + 32 * k + j + 16] = dl * (float)sn_iq4_values[b.qs[16 * k + j] >> 4];
            }
        }
    }
}
