/* quantize.h: making model files smaller: quantisers that search for the scales with the least weighted error, and the rules
 * that say which tensor of a model gets which type. (types.c's table holds the plain ones, that round to nearest.) */
#ifndef CORE_QUANTIZE_H
#define CORE_QUANTIZE_H

#include "compute.h"
#include "gguf.h"

/* dst = the blocks of src[n], n a multiple of the type's block. A value that is no number is taken for 0, one beyond the range
 * of half precision for that range's end. The error is never above that of rounding to nearest with the same weights. */
typedef void (*sn_quantize_fn)(void *dst, const float *src, size_t n);
/* The best quantiser of a type, NULL where there is none: F32 F16 BF16, Q4_0 Q4_1 Q5_0 Q5_1 Q8_0, Q2_K to Q6_K. */
sn_quantize_fn sn_quantize_best(sn_type type);

void sn_search_q4_0(void *dst, const float *src, size_t n);
void sn_search_q4_1(void *dst, const float *src, size_t n);
void sn_search_q5_0(void *dst, const float *src, size_t n);
void sn_search_q5_1(void *dst, const float *src, size_t n);
void sn_search_q8_0(void *dst, const float *src, size_t n);
void sn_search_q2_k(void *dst, const float *src, size_t n);
void sn_search_q3_k(void *dst, const float *src, size_t n);
void sn_search_q4_k(void *dst, const float *src, size_t n);
void sn_search_q5_k(void *dst, const float *src, size_t n);
void sn_search_q6_k(void *dst, const float *src, size_t n);

/* ---- what all searches have in common: n values (16 or 32) with one scale, or a scale and a minimum ---- */

/* x[n] made finite, and their weights: a value far out matters more, for it makes a larger part of every product. */
void sn_fit_prepare(float *x, float *w, const float *src, size_t n, size_t part);
/* q[i] = the level in [lo, hi] whose value scale * q - min is nearest to x[i]; returns the weighted squared error. scale 0: level
 * 0, or lo when that is above it. */
float sn_fit_levels(int8_t *q, const float *x, const float *w, size_t n, float scale, float min, int lo, int hi);
/* The scale with the least error of scale * q, q in [lo, hi], lo < 0. */
float sn_fit_scale(const float *x, const float *w, size_t n, int lo, int hi);
/* The scale >= 0 and minimum with the least error of scale * q - *min, q in [0, hi]; below_zero: *min is never negative. */
float sn_fit_affine(float *min, const float *x, const float *w, size_t n, int hi, bool below_zero);

/* ---- kinds of files ---- */
typedef struct {
    const char *name;   /* "Q4_K_M" */
    uint32_t file_type; /* general.file_type, the ids of llama.cpp */
    sn_type type;       /* of most matrices */
} sn_mix;

/* NULL behind the last, and for an unknown name. Upper and lower case are the same. */
const sn_mix *sn_mix_at(size_t i);
const sn_mix *sn_mix_find(const char *name);

/* types[i] = what tensor i of the model becomes: matrices the mix's type or, where they matter more, a larger one, as llama.cpp
 * chooses; vectors, norms, tables of positions and convolutions stay as they are. Rows that no block divides get a smaller block
 * or half precision; *n_fallback says how often. types has sn_gguf_n_tensors elements. */
sn_status sn_mix_types(const sn_mix *mix, const sn_gguf *g, sn_type *types, size_t *n_fallback, sn_err *err);

typedef struct {
    bool again;                                                          /* quantised weights may be quantised again */
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes); /* may be NULL; false stops */
    void *user;
} sn_requantize_params;

/* Writes in_path as out_path with the types of `mix`, all keys kept but general.file_type. Holds a few MB of weights at a time.
 * Refuses to write over its input, weights that are no numbers, and quantised weights unless p->again; *result says how far it got:
 * SN_EUSAGE with n_requantized > 0 is the last of these. */
sn_status sn_requantize(sn_compute *c, const char *in_path, const char *out_path, const sn_mix *mix, const sn_requantize_params *p,
                        senses_quantize_result *result, sn_err *err);

#endif
