/* k_avx2.c: AVX2, FMA and F16C. */
#include "kernels.h"
#include "tensor.h"

#include <immintrin.h>
#include <string.h>

/* ---- floats: 8 lanes ---- */

typedef __m256 vf;
#define VW 8
#define F_TILE 6 /* 6 tokens x 2 vectors of sums, 2 of weights, 1 token's value: 15 of 16 registers */

#define vf_load(p) _mm256_loadu_ps((const float *)(const void *)(p))
#define vf_store(p, x) _mm256_storeu_ps((p), (x))
#define vf_set1(x) _mm256_set1_ps(x)
#define vf_add(a, b) _mm256_add_ps((a), (b))
#define vf_sub(a, b) _mm256_sub_ps((a), (b))
#define vf_mul(a, b) _mm256_mul_ps((a), (b))
#define vf_div(a, b) _mm256_div_ps((a), (b))
#define vf_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define vf_fnma(a, b, c) _mm256_fnmadd_ps((a), (b), (c))
#define vf_max(a, b) _mm256_max_ps((a), (b))
#define vf_min(a, b) _mm256_min_ps((a), (b))
#define vf_abs(a) _mm256_andnot_ps(_mm256_set1_ps(-0.0f), (a))
#define vf_round(a) _mm256_round_ps((a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define vf_sign_select(x, a, b) _mm256_blendv_ps((b), (a), (x))
#define vf_load_f16(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vf_load_s8(p) _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define vf_load_bf16(p)                                                                                                                    \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), 16))
#define vf_store_f16(p, x) _mm_storeu_si128((__m128i *)(void *)(p), _mm256_cvtps_ph((x), _MM_FROUND_TO_NEAREST_INT))

static inline __m256i lanes_below(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf vf_load_n(const void *p, size_t n)
{
    return _mm256_maskload_ps(p, lanes_below(n));
}

static inline void vf_store_n(float *p, vf x, size_t n)
{
    _mm256_maskstore_ps(p, lanes_below(n), x);
}

static inline vf vf_load_f16_n(const void *p, size_t n)
{
    uint16_t half[VW] = {0};
    memcpy(half, p, n * 2);
    return vf_load_f16(half);
}

/* In two steps of half the exponent, each of which is a normal number. */
static inline vf vf_scale(vf p, vf n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    const __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

static inline float vf_sum(vf x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline float vf_max_lane(vf x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

static inline vf vf_below(vf x, size_t j, const int32_t *limit)
{
    const __m256i keep = _mm256_cmpgt_epi32(_mm256_loadu_si256((const __m256i *)(const void *)limit), _mm256_set1_epi32((int)j));
    return _mm256_blendv_ps(_mm256_set1_ps(-__builtin_inff()), x, _mm256_castsi256_ps(keep));
}

#include "k_put.inc"

#include "k_float.inc"

/* ---- quantised products: 8 rows ---- */

typedef __m256i vi;
#define Q_ROWS 8
#define Q_TILE 8
#define Q_WORDS 16
#define Q_GROUP 8 /* 8 sums, a weight and an activation: 10 of 16 registers */
#define Q_GROUP_COARSE 8
#define Q_COARSE_BITS 6 /* see dots_coarse */
#define vi_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define vi_set1_8(x) _mm256_set1_epi8(x)
#define vi_and(a, b) _mm256_and_si256((a), (b))
#define vi_or(a, b) _mm256_or_si256((a), (b))
#define vi_shl(a, n) _mm256_slli_epi16((a), (n))
#define vi_shr(a, n) _mm256_srli_epi16((a), (n))
#define vi_to_f(a) _mm256_cvtepi32_ps(a)
#define vi_load_u8(p) _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define vi_load_i8(p) _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))
#define vi_load_aux(p) broadcast_4(p)

static inline __m256i broadcast_4(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

/* Products of 16 bits take a whole code at once: as many instructions as both planes of bytes would need with codes of 4 bits, which fit the
 * 16-bit sums of byte products, and half as many with wider ones, which do not. Of each word the even bytes come first, then the odd ones. */
INLINE void spread(vi w[Q_WORDS], const vi bytes[8])
{
    UNROLL for (size_t j = 0; j < 8; j++)
    {
        w[2 * j] = _mm256_and_si256(bytes[j], _mm256_set1_epi16(0xff));
        w[2 * j + 1] = _mm256_srli_epi16(bytes[j], 8);
    }
}

/* A word of weights meets all tokens before the next is read. The compiler may add whole numbers in any order, and would make all products
 * first and put them aside; the empty instruction, which might change the sum for all it knows, keeps it from that. */
INLINE void dots_fine(vi *sum, const vi *w, const unsigned char *code, size_t n_tok, size_t first, size_t n)
{
    UNROLL for (size_t i = first; i < first + n; i++)
    {
        UNROLL for (size_t t = 0; t < n_tok; t++)
        {
            sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(w[i], broadcast_4(code + 2 * K_Q_BLOCK * t + 4 * i)));
            __asm__("" : "+x"(sum[t]));
        }
    }
}

/* Products of bytes are summed in 16 bits, which hold those of 8 words of 4 bits, 4 of 5, 2 of 6: 2 * (2^bits - 1) * 127 * words < 2^15. */
INLINE void dots_coarse(vi *sum, const vi *w, const unsigned char *code, size_t n_tok, size_t first, size_t n, size_t bits)
{
    const size_t words = bits == 4 ? 8 : bits == 5 ? 4 : 2;
    UNROLL for (size_t i = first; i < first + n; i += words)
    {
        const size_t stop = first + n - i < words ? first + n : i + words;
        vi part[Q_GROUP_COARSE];
        UNROLL for (size_t t = 0; t < n_tok; t++) part[t] = _mm256_maddubs_epi16(w[i], broadcast_4(code + K_Q_BLOCK * t + 4 * i));
        UNROLL for (size_t j = i + 1; j < stop; j++)
        {
            UNROLL for (size_t t = 0; t < n_tok; t++)
            {
                part[t] = _mm256_add_epi16(part[t], _mm256_maddubs_epi16(w[j], broadcast_4(code + K_Q_BLOCK * t + 4 * j)));
                __asm__("" : "+x"(part[t]));
            }
        }
        UNROLL for (size_t t = 0; t < n_tok; t++) sum[t] = _mm256_add_epi32(sum[t], _mm256_madd_epi16(part[t], _mm256_set1_epi16(1)));
    }
}

/* Eight whole floats in [-K_Q_MOST, K_Q_MOST] as the codes from `first` on, in the order of spread(); their sum. */
INLINE int32_t vi_store_fine(unsigned char *code, size_t first, vf x)
{
    const __m256i v = _mm256_cvtps_epi32(x);
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128((__m128i *)(void *)(code + 2 * first), _mm_shufflehi_epi16(_mm_shufflelo_epi16(half, 0xd8), 0xd8));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

/* The same in [-K_Q_MOST_8, K_Q_MOST_8], in their own order. */
INLINE int32_t vi_store_coarse(unsigned char *code, size_t first, vf x)
{
    const __m256i v = _mm256_cvtps_epi32(x);
    const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)(void *)(code + first), _mm_packs_epi16(half, half));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)));
}

#include "k_quant.inc"

/* ---- floats rounded to 16 bits ---- */

typedef __m256i vh;
#define vh_zero() _mm256_setzero_si256()
#define vh_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define vh_put(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), (x))
#define vh_pair(p) broadcast_4(p)
#define vh_to_f(a) _mm256_cvtepi32_ps(a)

#define vh_both(x, y) _mm256_or_si256(_mm256_cvtps_epi32(x), _mm256_slli_epi32(_mm256_cvtps_epi32(y), 16))

/* See dots_fine for the empty instruction. */
INLINE vh vh_dot(vh sum, vh a, vh b)
{
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
    __asm__("" : "+x"(sum));
    return sum;
}

INLINE void vh_store(int16_t *p, vf x)
{
    const __m256i v = _mm256_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

#include "k_int16.inc"

void k_init_avx2(k_ops *k)
{
    float_init(k);
    quant_init(k);
    int16_init(k);
}
