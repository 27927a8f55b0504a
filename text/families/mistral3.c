/* mistral3.c: Mistral Small 3.1 and its kin: Llama's graph under a name of its own. The later ones stretch their context with
 * YaRN and are refused by that name. */
#include "../decoder.h"

const txt_family txt_family_mistral3 = {
    .arch = "mistral3",
    .rope_interleaved = true,
    .qkv_bias = SN_BIAS_OPTIONAL,
    .linear_bias = SN_BIAS_OPTIONAL,
};
