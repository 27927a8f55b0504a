#include "quant.h"
#include "tensor.h"

#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(float) == 4, "IEEE single precision");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "model files are little-endian and are mapped as they are"
#endif

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* half: s eeeee ffffffffff     single: s eeeeeeee fffffffffffffffffffffff */
float sn_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
    if (exponent != 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
    const float tiny = (float)fraction * 0x1p-24f; /* subnormal: exact in single precision */
    return float_of(sign | bits_of(tiny));
}

uint16_t sn_f32_to_f16(float f)
{
    const uint32_t u = bits_of(f), magnitude = u & 0x7fffffff;
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x1ff)); /* NaN, made quiet */
    if (magnitude >= 0x477ff000) return sign | 0x7c00;                                        /* 65520 and more round to infinity */
    if (magnitude < 0x38800000) { /* below 2^-14: adding 2^-1 puts the subnormal's unit, 2^-24, at the last place, rounded to even */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000));
    }
    const uint32_t even = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude - (112u << 23) + 0xfff + even) >> 13));
}

float sn_bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

uint16_t sn_f32_to_bf16(float f)
{
    const uint32_t u = bits_of(f);
    if ((u & 0x7fffffff) > 0x7f800000) return (uint16_t)(u >> 16 | 0x40); /* NaN, made quiet */
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* ---- rows of the types without blocks ---- */

static void dequantize_f32(float *dst, const void *src, size_t n)
{
    memcpy(dst, src, n * sizeof *dst);
}

static void quantize_f32(void *dst, const float *src, size_t n)
{
    memcpy(dst, src, n * sizeof *src);
}

static uint16_t half_at(const void *src, size_t i)
{
    uint16_t h;
    memcpy(&h, (const unsigned char *)src + i * sizeof h, sizeof h);
    return h;
}

static void dequantize_f16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = sn_f16_to_f32(half_at(src, i));
}

static void dequantize_bf16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) dst[i] = sn_bf16_to_f32(half_at(src, i));
}

static void quantize_f16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h = sn_f32_to_f16(src[i]);
        memcpy((unsigned char *)dst + i * sizeof h, &h, sizeof h);
    }
}

static void quantize_bf16(void *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t h = sn_f32_to_bf16(src[i]);
        memcpy((unsigned char *)dst + i * sizeof h, &h, sizeof h);
    }
}

/* Q8_1 and Q8_K hold activations at run time; their sizes are known, but no file's weights are stored so. */
static const sn_type_info types[SN_TYPE_MAX] = {
    [SN_F32] = {"F32", 1, 4, dequantize_f32, quantize_f32},
    [SN_F16] = {"F16", 1, 2, dequantize_f16, quantize_f16},
    [SN_BF16] = {"BF16", 1, 2, dequantize_bf16, quantize_bf16},
    [SN_Q4_0] = {"Q4_0", 32, sizeof(sn_block_q4_0), sn_dequantize_q4_0, sn_quantize_q4_0},
    [SN_Q4_1] = {"Q4_1", 32, sizeof(sn_block_q4_1), sn_dequantize_q4_1, sn_quantize_q4_1},
    [SN_Q5_0] = {"Q5_0", 32, sizeof(sn_block_q5_0), sn_dequantize_q5_0, sn_quantize_q5_0},
    [SN_Q5_1] = {"Q5_1", 32, sizeof(sn_block_q5_1), sn_dequantize_q5_1, sn_quantize_q5_1},
    [SN_Q8_0] = {"Q8_0", 32, sizeof(sn_block_q8_0), sn_dequantize_q8_0, sn_quantize_q8_0},
    [SN_Q8_1] = {"Q8_1", 32, 36, NULL, NULL},
    [SN_Q2_K] = {"Q2_K", 256, sizeof(sn_block_q2_k), sn_dequantize_q2_k, NULL},
    [SN_Q3_K] = {"Q3_K", 256, sizeof(sn_block_q3_k), sn_dequantize_q3_k, NULL},
    [SN_Q4_K] = {"Q4_K", 256, sizeof(sn_block_q4_k), sn_dequantize_q4_k, NULL},
    [SN_Q5_K] = {"Q5_K", 256, sizeof(sn_block_q5_k), sn_dequantize_q5_k, NULL},
    [SN_Q6_K] = {"Q6_K", 256, sizeof(sn_block_q6_k), sn_dequantize_q6_k, NULL},
    [SN_Q8_K] = {"Q8_K", 256, 292, NULL, NULL},
    [SN_IQ4_NL] = {"IQ4_NL", 32, sizeof(sn_block_iq4_nl), sn_dequantize_iq4_nl, NULL},
    [SN_IQ4_XS] = {"IQ4_XS", 256, sizeof(sn_block_iq4_xs), sn_dequantize_iq4_xs, NULL},
    [SN_IQ2_XXS] = {"IQ2_XXS", 256, sizeof(sn_block_iq2_xxs), sn_dequantize_iq2_xxs, NULL},
    [SN_IQ2_XS] = {"IQ2_XS", 256, sizeof(sn_block_iq2_xs), sn_dequantize_iq2_xs, NULL},
    [SN_IQ2_S] = {"IQ2_S", 256, sizeof(sn_block_iq2_s), sn_dequantize_iq2_s, NULL},
    [SN_IQ3_XXS] = {"IQ3_XXS", 256, sizeof(sn_block_iq3_xxs), sn_dequantize_iq3_xxs, NULL},
    [SN_IQ3_S] = {"IQ3_S", 256, sizeof(sn_block_iq3_s), sn_dequantize_iq3_s, NULL},
    [SN_IQ1_S] = {"IQ1_S", 256, sizeof(sn_block_iq1_s), sn_dequantize_iq1_s, NULL},
    [SN_IQ1_M] = {"IQ1_M", 256, sizeof(sn_block_iq1_m), sn_dequantize_iq1_m, NULL},
    [SN_TQ1_0] = {"TQ1_0", 256, sizeof(sn_block_tq1_0), sn_dequantize_tq1_0, NULL},
    [SN_TQ2_0] = {"TQ2_0", 256, sizeof(sn_block_tq2_0), sn_dequantize_tq2_0, NULL},
    [SN_MXFP4] = {"MXFP4", 32, sizeof(sn_block_mxfp4), sn_dequantize_mxfp4, NULL},
    [SN_I8] = {"I8", 1, 1, NULL, NULL},
    [SN_I16] = {"I16", 1, 2, NULL, NULL},
    [SN_I32] = {"I32", 1, 4, NULL, NULL},
    [SN_I64] = {"I64", 1, 8, NULL, NULL},
    [SN_F64] = {"F64", 1, 8, NULL, NULL},
};

const sn_type_info *sn_type_get(uint32_t id)
{
    return id < SN_TYPE_MAX && types[id].name != NULL ? &types[id] : NULL;
}

void sn_shape_text(char *buf, size_t room, const size_t *shape, size_t n_dims)
{
    size_t at = (size_t)snprintf(buf, room, "[");
    for (size_t i = 0; i < n_dims && at < room; i++) at += (size_t)snprintf(buf + at, room - at, "%s%zu", i > 0 ? ", " : "", shape[i]);
    if (at < room) snprintf(buf + at, room - at, "]");
}
