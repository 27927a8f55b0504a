/* qwen3vl.c: the dense decoders of Qwen3-VL (Bai et al. 2025): Qwen3's, whose positions have a time, a height and a width, woven over the
 * pairs of a head, and whose first layers each get features of a picture of their own (DeepStack: Meng et al. 2024). */
#include "../decoder.h"

static sn_status qwen3vl_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    uint32_t n_deep = 0;
    const sn_status st = sn_gguf_u32_or(g, "qwen3vl.n_deepstack_layers", 0, (uint32_t)hp->n_layer, 0, &n_deep, err);
    a->n_deep = n_deep;
    a->sections_woven = true;
    return st == SN_OK ? txt_read_rope_sections(a, g, "qwen3vl.rope.dimension_sections", err) : st;
}

const txt_family txt_family_qwen3vl = {
    .arch = "qwen3vl",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_NONE,
    .linear_bias = SN_BIAS_NONE,
    .qk_norm = true,
    .read = qwen3vl_read,
};
