/* attention.h: what the two ways of attention share. Private to core. */
#ifndef CORE_ATTENTION_H
#define CORE_ATTENTION_H

#include "kernels.h"

/* Keys or values at .. at + n - 1 of a head as f32 [n, d_head]; base: a->k or a->v. */
void sn_attention_rows(float *dst, const sn_attention_args *a, const k_ops *k, const void *base, size_t head_kv, size_t at, size_t n);

/* sn_attention of more than SN_FEW_QUERIES queries that all see all keys. */
void sn_attention_i16(sn_compute *c, const sn_attention_args *a);

#endif
