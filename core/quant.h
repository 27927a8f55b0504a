/* quant.h: the blocks that quantised weights are stored in, as ggml lays them out, and their reference conversions.
 *
 * A block holds 32 or 256 values. `d` (and `m`, `dmin`) are IEEE halves. Blocks in a file may stand at any address: copy one
 * out with memcpy, or read its bytes. The conversions work on n / block consecutive blocks and are what every kernel is
 * tested against; those of types.c's table reach them through sn_type_get. */
#ifndef CORE_QUANT_H
#define CORE_QUANT_H

#include <stddef.h>
#include <stdint.h>

/* ---- blocks of 32: value i in the low nibble of qs[i], value i + 16 in its high nibble ---- */
typedef struct {
    uint16_t d;
    uint8_t qs[16]; /* d * (q - 8) */
} sn_block_q4_0;
typedef struct {
    uint16_t d, m;
    uint8_t qs[16]; /* d * q + m */
} sn_block_q4_1;
typedef struct {
    uint16_t d;
    uint8_t qh[4], qs[16]; /* bit i of qh is the fifth bit of value i; d * (q - 16) */
} sn_block_q5_0;
typedef struct {
    uint16_t d, m;
    uint8_t qh[4], qs[16]; /* d * q + m */
} sn_block_q5_1;
typedef struct {
    uint16_t d;
    int8_t qs[32]; /* d * q */
} sn_block_q8_0;
typedef struct {
    uint16_t d;
    uint8_t qs[16]; /* d * sn_iq4_values[q] */
} sn_block_iq4_nl;
typedef struct {
    uint8_t e;      /* the scale is 2^(e - 127) (e8m0) */
    uint8_t qs[16]; /* e2m1: scale * {0, .5, 1, 1.5, 2, 3, 4, 6} and their negatives */
} sn_block_mxfp4;

/* ---- super-blocks of 256: parts of 16 or 32 values with a small integer scale each ---- */
typedef struct {
    uint8_t scales[16]; /* of 16 values each: scale in the low nibble, minimum in the high one */
    uint8_t qs[64];     /* 2 bits a value: value 128 h + 32 k + i is at bit 2 k of qs[32 h + i] */
    uint16_t d, dmin;   /* d * scale * q - dmin * minimum */
} sn_block_q2_k;
typedef struct {
    uint8_t hmask[32];  /* third bit: of value 32 k + i at bit k of hmask[i]; 0 there means minus 4 */
    uint8_t qs[64];     /* low two bits, as in Q2_K */
    uint8_t scales[12]; /* 16 scales of 6 bits: low nibbles in bytes 0-7, high pairs in bytes 8-11 */
    uint16_t d;         /* d * (scale - 32) * q */
} sn_block_q3_k;
typedef struct {
    uint16_t d, dmin;
    uint8_t scales[12]; /* 8 scales and 8 minima of 6 bits: sn_k4_scales */
    uint8_t qs[128];    /* value 64 h + i in the low nibble of qs[32 h + i], value 64 h + 32 + i in the high one */
} sn_block_q4_k;        /* d * scale * q - dmin * minimum */
typedef struct {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];  /* fifth bit of value 32 k + i at bit k of qh[i] */
    uint8_t qs[128]; /* as in Q4_K */
} sn_block_q5_k;
typedef struct {
    uint8_t ql[128];   /* low nibbles: value 128 h + i (i < 64) in the low one of ql[64 h + i], value 128 h + 64 + i in the high one */
    uint8_t qh[64];    /* high pairs: of value 128 h + 32 k + i at bit 2 k of qh[32 h + i] */
    int8_t scales[16]; /* of 16 values each */
    uint16_t d;        /* d * scale * (q - 32) */
} sn_block_q6_k;
typedef struct {
    uint16_t d;
    uint16_t scales_h;   /* high pairs of the 8 scales */
    uint8_t scales_l[4]; /* low nibbles */
    uint8_t qs[128];     /* value 32 k + i in the low nibble of qs[16 k + i], value 32 k + 16 + i in the high one */
} sn_block_iq4_xs;       /* d * (scale - 32) * sn_iq4_values[q] */

/* ---- code books: 8 (IQ3: 4) values at a time are an index into a grid, their signs and scales apart ---- */
typedef struct {
    uint16_t d;
    uint16_t qs[32]; /* of 32 values 4: four 8-bit indices; then four 7-bit signs (the eighth makes them even) below a 4-bit scale */
} sn_block_iq2_xxs;  /* d * (scale + 1/2) / 4 * sign * grid */
typedef struct {
    uint16_t d;
    uint16_t qs[32];   /* of 8 values each: a 9-bit index below 7-bit signs */
    uint8_t scales[8]; /* nibbles, of 16 values each */
} sn_block_iq2_xs;     /* as IQ2_XXS */
typedef struct {
    uint16_t d;
    uint8_t qs[32], signs[32]; /* of 8 values each: the index's low 8 bits; one sign a bit */
    uint8_t qh[8];             /* of 32 values each: the indices' high pairs */
    uint8_t scales[8];         /* nibbles, of 16 values each */
} sn_block_iq2_s;              /* as IQ2_XXS */
typedef struct {
    uint16_t d;
    uint8_t qs[64];    /* of 4 values each: the index */
    uint8_t signs[32]; /* of 32 values 4: four 7-bit signs below a 4-bit scale */
} sn_block_iq3_xxs;    /* d * (scale + 1/2) / 2 * sign * grid */
typedef struct {
    uint16_t d;
    uint8_t qs[64];    /* of 4 values each: the index's low 8 bits */
    uint8_t qh[8];     /* of 32 values each: the indices' ninth bits */
    uint8_t signs[32]; /* one a bit */
    uint8_t scales[4]; /* nibbles, of 32 values each */
} sn_block_iq3_s;      /* d * (1 + 2 scale) * sign * grid */
typedef struct {
    uint16_t d;
    uint8_t qs[32]; /* of 8 values each: the index's low 8 bits */
    uint16_t qh[8]; /* of 32 values each: four high triples, a 3-bit scale at bit 12, at bit 15 the sign of delta = 1/8 */
} sn_block_iq1_s;   /* d * (2 scale + 1) * (grid + delta) */
typedef struct {
    uint8_t qs[32];    /* as in IQ1_S */
    uint8_t qh[16];    /* a nibble for 8 values: the index's high triple, and the sign of delta */
    uint8_t scales[8]; /* four words: four 3-bit scales, of 16 values each, below a quarter of d */
} sn_block_iq1_m;      /* as IQ1_S */

/* ---- ternary: -1, 0 or 1 times d ---- */
typedef struct {
    uint8_t qs[48], qh[4]; /* five (qh: four) digits a byte, as a fraction of 3^5 in units of 1/256 */
    uint16_t d;
} sn_block_tq1_0;
typedef struct {
    uint8_t qs[64]; /* 2 bits a value, as in Q2_K */
    uint16_t d;
} sn_block_tq2_0;

_Static_assert(sizeof(sn_block_q4_0) == 18, "Q4_0");
_Static_assert(sizeof(sn_block_q4_1) == 20, "Q4_1");
_Static_assert(sizeof(sn_block_q5_0) == 22, "Q5_0");
_Static_assert(sizeof(sn_block_q5_1) == 24, "Q5_1");
_Static_assert(sizeof(sn_block_q8_0) == 34, "Q8_0");
_Static_assert(sizeof(sn_block_iq4_nl) == 18, "IQ4_NL");
_Static_assert(sizeof(sn_block_mxfp4) == 17, "MXFP4");
_Static_assert(sizeof(sn_block_q2_k) == 84, "Q2_K");
_Static_assert(sizeof(sn_block_q3_k) == 110, "Q3_K");
_Static_assert(sizeof(sn_block_q4_k) == 144, "Q4_K");
_Static_assert(sizeof(sn_block_q5_k) == 176, "Q5_K");
_Static_assert(sizeof(sn_block_q6_k) == 210, "Q6_K");
_Static_assert(sizeof(sn_block_iq4_xs) == 136, "IQ4_XS");
_Static_assert(sizeof(sn_block_iq2_xxs) == 66, "IQ2_XXS");
_Static_assert(sizeof(sn_block_iq2_xs) == 74, "IQ2_XS");
_Static_assert(sizeof(sn_block_iq2_s) == 82, "IQ2_S");
_Static_assert(sizeof(sn_block_iq3_xxs) == 98, "IQ3_XXS");
_Static_assert(sizeof(sn_block_iq3_s) == 110, "IQ3_S");
_Static_assert(sizeof(sn_block_iq1_s) == 50, "IQ1_S");
_Static_assert(sizeof(sn_block_iq1_m) == 56, "IQ1_M");
_Static_assert(sizeof(sn_block_tq1_0) == 54, "TQ1_0");
_Static_assert(sizeof(sn_block_tq2_0) == 66, "TQ2_0");

/* The 16 levels of IQ4_NL and IQ4_XS. */
extern const int8_t sn_iq4_values[16];

/* Grids: IQ2 holds 8 values in pairs of bits that stand for 8, 25 and 43, IQ1 the same for -1, 0 and 1; IQ3 holds 4 values in
 * nibbles: 4 to 52 in steps of 8 and then 62 (IQ3_XXS), 1 to 15 in steps of 2 (IQ3_S). The first value is lowest. */
extern const uint16_t sn_iq2_xxs_grid[256], sn_iq2_xs_grid[512], sn_iq2_s_grid[1024], sn_iq3_xxs_grid[256], sn_iq3_s_grid[512],
    sn_iq1_grid[2048];

/* The eight 6-bit scales and minima of a Q4_K or Q5_K block, of 32 values each:
 *
 *     byte  0- 3   s4 s4 s0 s0 s0 s0 s0 s0     (s4: the two high bits of scale 4 + byte)
 *     byte  4- 7   m4 m4 m0 m0 m0 m0 m0 m0     (the same for the minima)
 *     byte  8-11   m4 m4 m4 m4 s4 s4 s4 s4     (their low nibbles) */
void sn_k4_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8]);
/* The k-th of them. */
static inline void sn_k4_scale(const uint8_t packed[12], size_t k, uint8_t *scale, uint8_t *minimum)
{
    const size_t j = k % 4;
    *scale = (uint8_t)(k < 4 ? packed[j] & 63 : (packed[8 + j] & 15) | (packed[j] >> 6) << 4);
    *minimum = (uint8_t)(k < 4 ? packed[4 + j] & 63 : packed[8 + j] >> 4 | (packed[4 + j] >> 6) << 4);
}
/* The sixteen scales of a Q3_K block, 32 already taken off. */
void sn_k3_scales(const uint8_t packed[12], int8_t scales[16]);

void sn_dequantize_q4_0(float *dst, const void *src, size_t n);
void sn_dequantize_q4_1(float *dst, const void *src, size_t n);
void sn_dequantize_q5_0(float *dst, const void *src, size_t n);
void sn_dequantize_q5_1(float *dst, const void *src, size_t n);
void sn_dequantize_q8_0(float *dst, const void *src, size_t n);
void sn_dequantize_iq4_nl(float *dst, const void *src, size_t n);
void sn_dequantize_mxfp4(float *dst, const void *src, size_t n);
void sn_dequantize_q2_k(float *dst, const void *src, size_t n);
void sn_dequantize_q3_k(float *dst, const void *src, size_t n);
void sn_dequantize_q4_k(float *dst, const void *src, size_t n);
void sn_dequantize_q5_k(float *dst, const void *src, size_t n);
void sn_dequantize_q6_k(float *dst, const void *src, size_t n);
void sn_dequantize_iq4_xs(float *dst, const void *src, size_t n);
void sn_dequantize_iq2_xxs(float *dst, const void *src, size_t n);
void sn_dequantize_iq2_xs(float *dst, const void *src, size_t n);
void sn_dequantize_iq2_s(float *dst, const void *src, size_t n);
void sn_dequantize_iq3_xxs(float *dst, const void *src, size_t n);
void sn_dequantize_iq3_s(float *dst, const void *src, size_t n);
void sn_dequantize_iq1_s(float *dst, const void *src, size_t n);
void sn_dequantize_iq1_m(float *dst, const void *src, size_t n);
void sn_dequantize_tq1_0(float *dst, const void *src, size_t n);
void sn_dequantize_tq2_0(float *dst, const void *src, size_t n);

/* Round to nearest, without a search for better scales; bit for bit what ggml's reference functions give for finite values.
 * A value that is not a number becomes the block's zero or least level, never undefined behaviour. */
void sn_quantize_q4_0(void *dst, const float *src, size_t n);
void sn_quantize_q4_1(void *dst, const float *src, size_t n);
void sn_quantize_q5_0(void *dst, const float *src, size_t n);
void sn_quantize_q5_1(void *dst, const float *src, size_t n);
void sn_quantize_q8_0(void *dst, const float *src, size_t n);

#endif
