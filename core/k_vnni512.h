/* k_vnni512.h: 16 integers of 32 bits, for k_quant.inc, with AVX-512's products of bytes. After k_put.inc. */
#ifndef CORE_K_VNNI512_H
#define CORE_K_VNNI512_H

typedef __m512i vi;
#define Q_ROWS 16
#define Q_TILE 16
#define vi_load(p) _mm512_loadu_si512(p)
#define vi_set1_8(x) _mm512_set1_epi8(x)
#define vi_and(a, b) _mm512_and_si512((a), (b))
#define vi_or(a, b) _mm512_or_si512((a), (b))
#define vi_shl(a, n) _mm512_slli_epi16((a), (n))
#define vi_shr(a, n) _mm512_srli_epi16((a), (n))
#define vi_shl_32(a, n) _mm512_slli_epi32((a), (n))
#define vi_add(a, b) _mm512_add_epi32((a), (b))
#define vi_to_f(a) _mm512_cvtepi32_ps(a)
#define vi_load_u8(p) _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vi_load_i8(p) _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vi_load_aux(p) broadcast_4(p)

static inline __m512i broadcast_4(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm512_set1_epi32(v);
}

/* Weights are the unsigned operand, so the activations' sign is free and nothing saturates. */
INLINE __m512i dot_half(__m512i aux, const __m512i *w, const int8_t *code, size_t bits)
{
    (void)bits;
    UNROLL for (size_t j = 0; j < 4; j++) aux = _mm512_dpbusd_epi32(aux, w[j], broadcast_4(code + 4 * j));
    return aux;
}

INLINE __m512i dot_block(__m512i aux, const __m512i *w, const int8_t *code, size_t bits)
{
    return dot_half(dot_half(aux, w, code, bits), w + 4, code + 16, bits);
}

/* Sixteen whole floats in [-K_Q_MOST, K_Q_MOST] as two planes of bytes; their sum. */
static inline int32_t vi_store_codes(int8_t *high, int8_t *low, vf x)
{
    const __m512i v = _mm512_cvtps_epi32(x);
    const __m512i h = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(K_Q_LOW / 2)), 7);
    _mm_storeu_si128((__m128i *)(void *)high, _mm512_cvtepi32_epi8(h));
    _mm_storeu_si128((__m128i *)(void *)low, _mm512_cvtepi32_epi8(_mm512_sub_epi32(v, _mm512_slli_epi32(h, 7))));
    return _mm512_reduce_add_epi32(v);
}

#endif
