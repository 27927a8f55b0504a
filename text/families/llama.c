/* llama.c: Llama 1 to 3, and what is published in its form: Mistral, SmolLM, SmolLM2, Vicuna, TinyLlama, Yi, ... */
#include "../decoder.h"

const txt_family txt_family_llama = {
    .arch = "llama",
    .rope_interleaved = true,     /* converters permute q and k */
    .qkv_bias = SN_BIAS_OPTIONAL, /* Yi-like and InternLM files have them */
    .linear_bias = SN_BIAS_OPTIONAL,
};
