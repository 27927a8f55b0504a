/* qwen3.c: Qwen3, the dense ones (Yang et al. 2025): Qwen2 with a norm on each head's queries and keys in place of the biases. */
#include "../decoder.h"

const txt_family txt_family_qwen3 = {
    .arch = "qwen3",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_NONE,
    .linear_bias = SN_BIAS_NONE,
    .qk_norm = true,
};
