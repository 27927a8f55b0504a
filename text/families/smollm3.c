/* smollm3.c: SmolLM3: Llama with no positions in every fourth layer (NoPE: Yang et al. 2025). */
#include "../decoder.h"

static sn_status smollm3_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    (void)hp, (void)g, (void)err;
    a->no_rope_every = 4; /* a fact of the family: files do not carry it */
    return SN_OK;
}

const txt_family txt_family_smollm3 = {
    .arch = "smollm3",
    .rope_interleaved = true,
    .qkv_bias = SN_BIAS_NONE,
    .linear_bias = SN_BIAS_OPTIONAL,
    .read = smollm3_read,
};
