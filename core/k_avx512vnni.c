/* k_avx512vnni.c: AVX-512 with VNNI: the products of integers, 64 multiplications of bytes an instruction, or 32 of 16 bits. */
#include "k_vec512.h"

#include "k_put.inc"

#include "k_vnni512.h"

#include "k_quant.inc"

#define vh_dot(sum, a, b) _mm512_dpwssd_epi32((sum), (a), (b))

#include "k_int16.inc"

void k_init_avx512vnni(k_ops *k)
{
    quant_init(k);
    int16_init(k);
}
