/* qwen2vl.c: the decoder of Qwen2-VL and Qwen2.5-VL: Qwen2's, whose positions have a time, a height and a width (M-RoPE: Wang et al.
 * 2024). */
#include "../decoder.h"

static sn_status qwen2vl_read(txt_arch *a, const txt_hparams *hp, const sn_gguf *g, sn_err *err)
{
    const char *key = "qwen2vl.rope.dimension_sections";
    const sn_kv *kv = sn_gguf_find(g, key);
    size_t sum = 0;
    (void)hp;
    if (kv == NULL || kv->type != SN_KV_ARRAY || (kv->elem != SN_KV_I32 && kv->elem != SN_KV_U32) || kv->n < 3)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want an array of at least 3 integers", sn_gguf_path(g), key);
    for (size_t i = 0; i < kv->n; i++) {
        const int64_t n = sn_kv_i64(kv, i);
        if (n < 0 || n > (i < 3 ? (int64_t)(a->n_rot / 2) : 0))
            return sn_fail(err, SN_EFORMAT, "%s: %s: value %zu is %lld", sn_gguf_path(g), key, i, (long long)n);
        if (i < 3) a->rope_sections[i] = (size_t)n;
        sum += (size_t)n;
    }
    if (sum != a->n_rot / 2)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want %zu pairs in all, file has %zu", sn_gguf_path(g), key, a->n_rot / 2, sum);
    return SN_OK;
}

const txt_family txt_family_qwen2vl = {
    .arch = "qwen2vl",
    .rope_interleaved = false,
    .qkv_bias = SN_BIAS_REQUIRED,
    .linear_bias = SN_BIAS_NONE,
    .read = qwen2vl_read,
};
