/* granite.c: IBM Granite 3: Llama's graph with four scales (muP: Yang et al. 2022). */
#include "../decoder.h"

#include <math.h>

/* x = e * embedding, and every layer adds s * f(norm(x)). With x = s * y that is y = e / s * embedding and y += f(norm(y)):
 * a norm does not see the size of its input except through eps, which becomes eps / s^2. So the graph is Llama's. */
static sn_status granite_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    (void)hp;
    float embd = 1, residual = 1, attention = a->attn_scale, logit = 1;
    const struct {
        const char *key;
        float *value;
    } scales[] = {{"granite.embedding_scale", &embd},
                  {"granite.residual_scale", &residual},
                  {"granite.attention.scale", &attention},
                  {"granite.logit_scale", &logit}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        sn_status st = sn_gguf_f32_or(g, scales[i].key, *scales[i].value, scales[i].value, err);
        if (st != SN_OK) return st;
        if (!(*scales[i].value >= 1e-4f && *scales[i].value <= 1e4f))
            return sn_fail(err, SN_EFORMAT, "%s: %s: want 1e-4 to 1e4, file has %g", sn_gguf_path(g), scales[i].key,
                           (double)*scales[i].value);
    }
    a->embd_scale = embd / residual;
    a->eps /= residual * residual;
    a->attn_scale = attention;
    a->logit_scale = 1.0f / logit; /* the key holds HF's logits_scaling, a divisor */
    return SN_OK;
}

const txt_family txt_family_granite = {
    .arch = "granite",
    .rope_interleaved = true,
    .qkv_bias = SN_BIAS_OPTIONAL,
    .linear_bias = SN_BIAS_OPTIONAL,
    .read = granite_read,
};
