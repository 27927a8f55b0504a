/* k_vnni512.h: 16 integers of 32 bits, for k_quant.inc, with AVX-512's products of bytes. After k_put.inc. */
#ifndef CORE_K_VNNI512_H
#define CORE_K_VNNI512_H

typedef __m512i vi;
#define Q_ROWS 16
#define Q_TILE 16
#define Q_WORDS 8
#define Q_GROUP 2
#define Q_GROUP_COARSE 4
#define Q_COARSE_BITS 8
#define vi_load(p) _mm512_loadu_si512(p)
#define vi_set1_8(x) _mm512_set1_epi8(x)
#define vi_and(a, b) _mm512_and_si512((a), (b))
#define vi_or(a, b) _mm512_or_si512((a), (b))
#define vi_shl(a, n) _mm512_slli_epi16((a), (n))
#define vi_shr(a, n) _mm512_srli_epi16((a), (n))
#define vi_to_f(a) _mm512_cvtepi32_ps(a)
#define vi_load_u8(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vi_load_i8(p) _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vi_load_aux(p) broadcast_4(p)

#define spread(w, bytes) memcpy((w), (bytes), Q_WORDS * sizeof(vi))

/* Weights are the unsigned operand, so the activations' sign is free and nothing saturates. Codes as k_scalar.c has them: both planes. */
INLINE void dots_fine(vi *sum, const vi *w, const unsigned char *code, size_t n_tok, size_t first, size_t n)
{
    vi high[Q_GROUP];
    UNROLL for (size_t t = 0; t < n_tok; t++) high[t] = _mm512_setzero_si512();
    UNROLL for (size_t j = first; j < first + n; j++)
    {
        UNROLL for (size_t t = 0; t < n_tok; t++)
        {
            const unsigned char *at = code + 2 * K_Q_BLOCK * t + 4 * j;
            high[t] = _mm512_dpbusd_epi32(high[t], w[j], broadcast_4(at));
            sum[t] = _mm512_dpbusd_epi32(sum[t], w[j], broadcast_4(at + K_Q_BLOCK));
        }
    }
    UNROLL for (size_t t = 0; t < n_tok; t++) sum[t] = _mm512_add_epi32(_mm512_slli_epi32(high[t], 7), sum[t]);
}

INLINE void dots_coarse(vi *sum, const vi *w, const unsigned char *code, size_t n_tok, size_t first, size_t n, size_t bits)
{
    (void)bits;
    UNROLL for (size_t j = first; j < first + n; j++)
    {
        UNROLL for (size_t t = 0; t < n_tok; t++) sum[t] = _mm512_dpbusd_epi32(sum[t], w[j], broadcast_4(code + K_Q_BLOCK * t + 4 * j));
    }
}

/* Sixteen whole floats in [-K_Q_MOST, K_Q_MOST] as the codes from `first` on; their sum. */
INLINE int32_t vi_store_fine(unsigned char *code, size_t first, vf x)
{
    const __m512i v = _mm512_cvtps_epi32(x);
    const __m512i h = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(K_Q_LOW / 2)), 7);
    _mm_storeu_si128((__m128i *)(void *)(code + first), _mm512_cvtepi32_epi8(h));
    _mm_storeu_si128((__m128i *)(void *)(code + K_Q_BLOCK + first), _mm512_cvtepi32_epi8(_mm512_sub_epi32(v, _mm512_slli_epi32(h, 7))));
    return _mm512_reduce_add_epi32(v);
}

/* The same in [-K_Q_MOST_8, K_Q_MOST_8]. */
INLINE int32_t vi_store_coarse(unsigned char *code, size_t first, vf x)
{
    const __m512i v = _mm512_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)(void *)(code + first), _mm512_cvtepi32_epi8(v));
    return _mm512_reduce_add_epi32(v);
}

#endif
