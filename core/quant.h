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

/* The 16 levels of IQ4_NL and IQ4_XS. */
extern const int8_t sn_iq4_values[16];

/* The eight 6-bit scales and minima of a Q4_K or Q5_K block, of 32 values each:
 *
 *     byte  0- 3   s4 s4 s0 s0 s0 s0 s0 s0     (s4: the two high bits of scale 4 + byte)
 *     byte  4- 7   m4 m4 m0 m0 m0 m0 m0 m0     (the same for the minima)
 *     byte  8-11   m4 m4 m4 m4 s4 s4 s4 s4     (their low nibbles) */
void sn_k4_scales(const uint8_t packed[12], uint8_t scales[8], uint8_t minima[8]);
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

/* Round to nearest, without a search for better scales; bit for bit what ggml's reference functions give for finite values.
 * A value that is not a number becomes the block's zero or least level, never undefined behaviour. */
void sn_quantize_q4_0(void *dst, const float *src, size_t n);
void sn_quantize_q4_1(void *dst, const float *src, size_t n);
void sn_quantize_q5_0(void *dst, const float *src, size_t n);
void sn_quantize_q5_1(void *dst, const float *src, size_t n);
void sn_quantize_q8_0(void *dst, const float *src, size_t n);

#endif
