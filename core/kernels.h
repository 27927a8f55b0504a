/* kernels.h: the arithmetic that differs between instruction sets, one table of functions a level. Private to core.
 *
 * k_scalar.c is the specification: plain loops, never tuned. Each level starts from the level below and overwrites what it does
 * better, so that no slot is empty. Hot code reaches an instruction set through the table and no other way.
 *
 * Kernels cannot fail and take no alignment for granted. Outputs never overlap inputs unless said. Sums over k run from 0 up
 * in one chain an output, whatever the tile, so that a row's result depends neither on the threads nor on its neighbours.
 *
 * Two operand forms:
 *   panel   R rows of a weight, interleaved k-major, so that one vector holds one k (or four) of R rows. The last panel of a
 *           weight is filled up with zeros. R = 1 is the file's own order.
 *   tile    T rows of activations, T <= the level's tile, interleaved the same way, so that they are read in one stream.
 */
#ifndef CORE_KERNELS_H
#define CORE_KERNELS_H

#include "compute.h"
#include "nn.h"

#include <math.h>

enum {
    K_FEW = 8, /* rows: with so few, a product waits for its weights */
    K_Q_BLOCK = 32,
    K_Q_MOST_8 = 127,
    K_Q_LOW = 128,
    K_Q_MOST = K_Q_MOST_8 * K_Q_LOW,
    K_MAX_ROWS = 64,
    K_MAX_TILE = 16,
    K_I16_BLOCK = 256,
    K_I16_MOST = 32767,
    K_I16_NORM = 46300, /* 46300 + 8, which rounding may add to the norm of 256 codes, is below the root of 2^31 */
    K_N_ACT = SN_ACT_RELU + 1,
    K_SCRATCH_BYTES = 2 << 20
};

/* Where a product goes: rows of y, ldy floats apart, of which n_rows (<= R) are written; value = product + bias[row], added to
 * what is there when `add`. bias may be NULL. */
typedef struct {
    float *y;
    size_t ldy, n_rows;
    const float *bias;
    bool add;
} k_dest;

/* What a quantised type looks like to the integer kernels: value = d * (code - offset), or d * code + min. */
typedef struct {
    size_t block;             /* values in a block of the file: 32 or 256 */
    size_t bits;              /* of a code: 4, 5, 6, 8 */
    int offset;               /* 0 where the type has a minimum */
    bool has_min, has_halves; /* halves: the two 16s of a 32 have their own scales (Q6_K) */
} k_format;

/* block bits offset min   halves */
#define K_FORMAT_Q4_0 32, 4, 8, false, false
#define K_FORMAT_Q4_1 32, 4, 0, true, false
#define K_FORMAT_Q5_0 32, 5, 16, false, false
#define K_FORMAT_Q5_1 32, 5, 0, true, false
#define K_FORMAT_Q8_0 32, 8, 128, false, false
#define K_FORMAT_Q4_K 256, 4, 0, true, false
#define K_FORMAT_Q5_K 256, 5, 0, true, false
#define K_FORMAT_Q6_K 256, 6, 32, false, true

/* NULL where the type has no integer kernels. */
const k_format *k_format_get(sn_type type);

/* How closely activations are taken for quantised weights. FINE: codes of 15 bits in [-K_Q_MOST, K_Q_MOST], which move SmolLM2-135M's logits by
 * a KL of 1e-6. COARSE: of 8 bits in [-K_Q_MOST_8, K_Q_MOST_8]: half the work, and a KL of 1e-3. */
typedef enum { K_COARSE, K_FINE, K_N_GRAIN } k_grain;

/* A tile of T activation rows quantised for weights of a format. FINE codes are kept as two planes of bytes, code = K_Q_LOW * high + low, for
 * 8-bit products; AVX2, whose 16-bit products take them whole, keeps them as int16. For each block of 32 values:
 *
 *   +- aux[T], twice where has_halves -------+- d[T] -----------+- [T] high[32], low[32] --------------+
 *   | int32 -offset * sum(code) (of a half); | f32: value =     | int8 in [-127, 127] and in [-64, 63] |
 *   | with has_min: f32 d * sum(code)        | d * code         | or int16[32], as its level has them; |
 *   |                                        |                  | COARSE: int8 code[32] in [-127, 127] |
 *   +----------------------------------------+------------------+--------------------------------------+
 */
static inline size_t k_tile_bytes(const k_format *f, k_grain grain, size_t n_tok, size_t n_in)
{
    return n_tok * (n_in / K_Q_BLOCK) * ((f->has_halves ? 12 : 8) + (grain == K_FINE ? 2 : 1) * K_Q_BLOCK);
}

/* Float weights and their activations rounded to 16 bits, in blocks of K_I16_BLOCK values (the last may be shorter) with a scale each, whose codes
 * have a norm of K_I16_NORM at most: by Cauchy and Schwarz the products of two blocks then sum to less than 2^31, and as whole numbers wrap
 * around, what the sum passes on its way does not matter. What rounding adds to a block is 1e-4 of its norm, wherever its values are, and a row's sums
 * are the same in any company.
 *
 * A panel of R rows and a tile of T tokens look the same: for each block, d f32[R] | pairs [n / 2][R]: int16 codes k, k + 1 of a row; value = d * code;
 * an odd n gets a zero. */
static inline size_t k_i16_bytes(size_t n_in, size_t rows)
{
    return rows * (4 * ((n_in + K_I16_BLOCK - 1) / K_I16_BLOCK) + 2 * (n_in + n_in % 2));
}

/* The panel of `n_rows` rows (R of them, fewer at the end), row_bytes apart, of a float type; the tile of n_tok rows of x. */
struct k_ops;
void k_i16_panel_pack(const struct k_ops *k, void *panel, sn_type type, const void *data, size_t row_bytes, size_t n_rows, size_t n_in);
void k_i16_tile(const struct k_ops *k, void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in);

/* By what values are multiplied so that the largest becomes 1; next to nothing becomes zeros. */
static inline float k_i16_inverse(float largest)
{
    return largest > 1e-30f ? 1 / largest : 0;
}

/* The code of the largest value of a block, whose norm is `norm` times it (>= 1, 0 where all are 0) or less: a whole number, so that equal values are kept as they are. */
static inline float k_i16_most(float norm)
{
    return norm * K_I16_MOST > K_I16_NORM ? floorf(K_I16_NORM / norm) : norm == norm ? K_I16_MOST : norm;
}

/* y[T, R] from a panel of n_in / 32 blocks and a tile. */
typedef void k_product_q(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok);
/* y[T, R] = x[T, n_in] · panel [n_in, R] of a float type, rows of x ldx floats apart: T few, K_FEW and the level's tile at most. */
typedef void k_stream_f(const k_dest *to, const void *panel, const float *x, size_t ldx, size_t n_in, size_t n_tok);

typedef struct k_ops {
    /* Quantised weights. */
    size_t q_rows; /* R of their panels */
    size_t q_tile; /* tiles hold q_tile, or up to K_FEW and no more than q_tile */
    void (*quantize[K_N_GRAIN])(void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in, const k_format *weights);
    /* NULL: FINE: this type is expanded to f32; COARSE: it would not be quicker, and FINE serves. */
    k_product_q *product_q[K_N_GRAIN][SN_TYPE_MAX];

    /* Float weights. */
    size_t f_rows, f_tile;
    /* y[T, R] = x · panel; panel [n_in, R] f32; element (t, k) of x at x[k * ldk + t]. */
    void (*product_f)(const k_dest *to, const float *panel, const float *x, size_t ldk, size_t n_in, size_t n_tok);
    k_stream_f *stream_f32, *stream_f16, *stream_bf16;
    void (*tile_f)(float *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in); /* tile [n_in, n_tok] = xᵀ */
    void (*f16_to_f32)(float *dst, const void *src, size_t n);
    void (*bf16_to_f32)(float *dst, const void *src, size_t n);
    void (*f32_to_f16)(uint16_t *dst, const float *src, size_t n);

    /* Float weights rounded to 16 bits: see k_i16_panel_bytes. */
    size_t i16_rows, i16_tile;
    /* n <= K_I16_BLOCK values as codes; returns what a code is worth, a NaN where one of them is not finite. */
    float (*round_i16)(int16_t *code, const float *x, size_t n);
    void (*product_i16)(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok);
    /* The panel of the columns of s [n, i16_rows], n <= K_I16_BLOCK, whose values are from 0 to 1. */
    void (*weights_i16)(void *panel, const float *s, size_t n);

    /* Attention. rows = the panel of f_rows queries that goes together. */
    /* One step of the online softmax, down the columns of s [n_key, rows]: m, l [rows] are the running maximum and sum, o [d, rows]
     * the running output. s becomes exp(s - m). Where limit is given, key j of column r counts only when j < limit[r]. */
    void (*softmax_step)(float *s, size_t n_key, const int32_t *limit, float *m, float *l, float *o, size_t d);
    /* s[n] = q[d] · k[n, d]; o[d] += p[n] · v[n, d]; rows ld elements apart. */
    void (*dots_f32)(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d);
    void (*dots_q8_0)(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d); /* d, ld: whole blocks of 32 */
    void (*dots_f16)(float *s, const float *q, const void *k, size_t ld, size_t n, size_t d);
    void (*blend_f32)(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d);
    void (*blend_q8_0)(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d);
    void (*blend_f16)(float *o, const float *p, const void *v, size_t ld, size_t n, size_t d);

    /* One row each. y may be x. */
    void (*layernorm)(float *y, const float *x, const float *w, const float *b, size_t n, float eps); /* b may be NULL */
    void (*rmsnorm)(float *y, const float *x, const float *w, size_t n, float eps);
    void (*act[K_N_ACT])(float *x, size_t n);
    void (*swiglu)(float *gate, const float *up, size_t n);
    void (*add)(float *y, const float *x, size_t n);
    void (*mul_add)(float *y, const float *x, const float *scale, size_t n);
    float (*max_of)(const float *x, size_t n); /* -inf where n is 0; NaNs are passed over */
    void (*scale_row)(float *x, size_t n, float by);
    float (*exp_sum)(float *x, size_t n, float max); /* x = exp(x - max); their sum */
} k_ops;

void k_init_scalar(k_ops *k);
void k_init_avx2(k_ops *k);
void k_init_avx512(k_ops *k);
void k_init_avx512vnni(k_ops *k);
void k_init_amx(k_ops *k);

const k_ops *sn_compute_ops(const sn_compute *c);
/* Working memory of a thread of the pool, K_SCRATCH_BYTES, for the length of one sn_parallel. */
void *sn_compute_scratch(const sn_compute *c, size_t part);

/* 32 weights of a row, unpacked. */
typedef struct {
    float d[2], min;             /* d of values 0..15, 16..31; min: what d * code starts from */
    uint16_t d_f16, m_f16;       /* as in the file: of the block, or the super-block */
    uint8_t scale[2], scale_min; /* of a K type: d = d_f16 * scale, min = -m_f16 * scale_min */
    uint8_t code[K_Q_BLOCK];
} k_block;
void k_block_read(k_block *b, sn_type type, const void *row, size_t index);

/* The packed form of `rows` file rows (R of them, fewer at the end) in one panel. */
size_t k_panel_bytes(sn_type type, size_t n_in, size_t R);
void k_panel_pack(void *panel, sn_type type, const void *data, size_t n_rows, size_t n_in, size_t R);

#endif
