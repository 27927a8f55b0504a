/* k_avx512vnni.c: AVX-512 with VNNI. */
#include "kernels.h"

void k_init_avx512vnni(k_ops *k)
{
    (void)k;
}
