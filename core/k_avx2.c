/* k_avx2.c: AVX2, FMA and F16C. */
#include "kernels.h"

void k_init_avx2(k_ops *k)
{
    (void)k;
}
