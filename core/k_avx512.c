/* k_avx512.c: AVX-512 F, BW, VL, DQ. */
#include "kernels.h"

void k_init_avx512(k_ops *k)
{
    (void)k;
}
