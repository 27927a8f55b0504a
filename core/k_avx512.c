/* k_avx512.c: AVX-512 F, BW, VL, DQ: the float kernels. The quantised products stay AVX2's: without VNNI, twice the width gains them
 * little on the CPUs that have no more than this. */
#include "k_vec512.h"

#include "k_put.inc"

#include "k_float.inc"

/* Like the floats' products in number, for lack of one instruction that does both. */
#define vh_dot(sum, a, b) _mm512_add_epi32((sum), _mm512_madd_epi16((a), (b)))

#include "k_int16.inc"

void k_init_avx512(k_ops *k)
{
    float_init(k);
    int16_init(k);
}
