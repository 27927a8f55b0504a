/* gemma3.c: Gemma 3 (Gemma Team 2025): Llama with a norm at both ends of each branch and on queries and keys, GELU, scaled
 * embeddings, five local layers to a global one, and pictures whose rows see one another. */
#include "../decoder.h"

#include <math.h>

#define LAYERS_27B 62 /* the one size whose queries are not scaled by the size of a head; no key says it */

static sn_status gemma3_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    uint32_t window = 0, every = 6;
    float softcap = 0;
    sn_status st = sn_gguf_u32_or(g, "gemma3.attention.sliding_window", 0, INT32_MAX, 0, &window, err);
    if (st == SN_OK) st = sn_gguf_u32_or(g, "gemma3.attention.sliding_window_pattern", 1, 1024, every, &every, err);
    if (st == SN_OK) st = sn_gguf_f32_or(g, "gemma3.rope.freq_base_swa", 10000, &a->rope_base_local, err);
    if (st == SN_OK) st = sn_gguf_f32_or(g, "gemma3.final_logit_softcapping", 0, &softcap, err);
    if (st != SN_OK) return st;
    if (!(a->rope_base_local >= 1 && a->rope_base_local <= 1e12f))
        return sn_fail(err, SN_EFORMAT, "%s: gemma3.rope.freq_base_swa: want 1 to 1e12, file has %g", sn_gguf_path(g),
                       (double)a->rope_base_local);
    if (softcap != 0) return sn_fail(err, SN_EUNSUPPORTED, "%s: gemma3.final_logit_softcapping is not computed", sn_gguf_path(g));
    a->window = window;
    a->global_every = every;
    a->token_scale = sqrtf((float)hp->n_embd);
    if (hp->n_layer == LAYERS_27B) a->attn_scale = 1.0f / sqrtf((float)hp->n_embd / (float)hp->n_head);
    a->media_both_ways = true;
    return SN_OK;
}

const txt_family txt_family_gemma3 = {
    .arch = "gemma3",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_NONE,
    .linear_bias = SN_BIAS_NONE,
    .qk_norm = true,
    .post_norm = true,
    .gelu = true,
    .read = gemma3_read,
};
