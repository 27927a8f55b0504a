/* qwen2vl.c: the decoder of Qwen2-VL and Qwen2.5-VL: Qwen2's, whose positions have a time, a height and a width (M-RoPE: Wang et al.
 * 2024). */
#include "../decoder.h"

static sn_status qwen2vl_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    (void)hp;
    return txt_read_rope_sections(a, g, "qwen2vl.rope.dimension_sections", err);
}

const txt_family txt_family_qwen2vl = {
    .arch = "qwen2vl",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_REQUIRED,
    .linear_bias = SN_BIAS_NONE,
    .read = qwen2vl_read,
};
