/* k_avx512vnni.c: AVX-512 with VNNI: the quantised products, 64 multiplications an instruction. */
#include "k_vec512.h"

#include "k_put.inc"

#include "k_vnni512.h"

#include "k_quant.inc"

void k_init_avx512vnni(k_ops *k)
{
    quant_init(k);
}
