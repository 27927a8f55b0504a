/* qwen2.c: Qwen2 and Qwen2.5: biases on q, k and v; q and k are stored as trained, so the pairs of a rotation lie half a head
 * apart. */
#include "../decoder.h"

const txt_family txt_family_qwen2 = {
    .arch = "qwen2",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_REQUIRED,
    .linear_bias = SN_BIAS_NONE,
};
