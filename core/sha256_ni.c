/* sha256_ni.c: SHA-256 with the instructions that x86 has for it, ten times as fast as without. */
#include "sha256.h"

#ifdef __SHA__
#include <cpuid.h>
#include <immintrin.h>

bool sn_sha256_fast_usable(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0; /* CPUs that have it have SSE4.1 */
}

/* The state is held as two vectors, {a, b, e, f} and {c, d, g, h} from the highest lane down; two rounds an instruction. */
void sn_sha256_fast(uint32_t h[8], const unsigned char *p, size_t n_blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL); /* big-endian words */
    const __m128i *k = (const __m128i *)(const void *)sn_sha256_constants;
    __m128i *state = (__m128i *)(void *)h;
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(state), 0xB1), efgh = _mm_shuffle_epi32(_mm_loadu_si128(state + 1), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, efgh, 8), cdgh = _mm_blend_epi16(efgh, badc, 0xF0);
    for (; n_blocks > 0; n_blocks--, p += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4]; /* the last 16 words of the schedule */
        for (int i = 0; i < 4; i++) w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)p + i), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            const __m128i x = _mm_add_epi32(w[i % 4], _mm_loadu_si128(k + i));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, x);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(x, 0x0E));
            if (i >= 12) continue;
            const __m128i middle = _mm_alignr_epi8(w[(i + 3) % 4], w[(i + 2) % 4], 4);
            w[i % 4] = _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), middle), w[(i + 3) % 4]);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128(state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128(state + 1, _mm_alignr_epi8(dchg, feba, 8));
}

#else
bool sn_sha256_fast_usable(void)
{
    return false;
}

void sn_sha256_fast(uint32_t h[8], const unsigned char *p, size_t n_blocks)
{
    (void)h, (void)p, (void)n_blocks;
}
#endif
