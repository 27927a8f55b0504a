/* k_vec512.h: 16 floats, for k_float.inc, and 16 pairs of 16-bit integers, for k_int16.inc. */
#ifndef CORE_K_VEC512_H
#define CORE_K_VEC512_H

#include "kernels.h"
#include "tensor.h"

#include <immintrin.h>
#include <string.h>

typedef __m512 vf;
#define VW 16
#define F_TILE 12 /* 12 tokens x 2 vectors of sums, 2 of weights, 1 token's value: 27 of 32 registers */

#define vf_load(p) _mm512_loadu_ps(p)
#define vf_store(p, x) _mm512_storeu_ps((p), (x))
#define vf_set1(x) _mm512_set1_ps(x)
#define vf_add(a, b) _mm512_add_ps((a), (b))
#define vf_sub(a, b) _mm512_sub_ps((a), (b))
#define vf_mul(a, b) _mm512_mul_ps((a), (b))
#define vf_div(a, b) _mm512_div_ps((a), (b))
#define vf_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define vf_fnma(a, b, c) _mm512_fnmadd_ps((a), (b), (c))
#define vf_max(a, b) _mm512_max_ps((a), (b))
#define vf_min(a, b) _mm512_min_ps((a), (b))
#define vf_abs(a) _mm512_abs_ps(a)
#define vf_round(a) _mm512_roundscale_ps((a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define vf_scale(p, n) _mm512_scalef_ps((p), (n))
#define vf_sum(x) _mm512_reduce_add_ps(x)
#define vf_max_lane(x) _mm512_reduce_max_ps(x)
#define vf_sign_select(x, a, b) _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), (b), (a))
#define vf_load_n(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), (p))
#define vf_store_n(p, x, n) _mm512_mask_storeu_ps((p), (__mmask16)((1u << (n)) - 1), (x))
#define vf_load_f16(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define vf_load_f16_n(p, n) _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << (n)) - 1), (p)))
#define vf_load_s8(p) _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define vf_load_bf16(p)                                                                                                                    \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))
#define vf_store_f16(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), _mm512_cvtps_ph((x), _MM_FROUND_TO_NEAREST_INT))
#define vf_below(x, j, limit)                                                                                                              \
    _mm512_mask_blend_ps(_mm512_cmpgt_epi32_mask(_mm512_loadu_si512(limit), _mm512_set1_epi32((int)(j))),                                  \
                         _mm512_set1_ps(-__builtin_inff()), (x))

typedef __m512i vh;
#define vh_zero() _mm512_setzero_si512()
#define vh_load(p) _mm512_loadu_si512(p)
#define vh_put(p, x) _mm512_storeu_si512((p), (x))
#define vh_pair(p) broadcast_4(p)
#define vh_to_f(a) _mm512_cvtepi32_ps(a)
#define vh_store(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(x)))

#define vh_both(x, y) _mm512_or_si512(_mm512_cvtps_epi32(x), _mm512_slli_epi32(_mm512_cvtps_epi32(y), 16))

static inline __m512i broadcast_4(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

#endif
