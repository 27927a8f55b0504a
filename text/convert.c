/* convert.c: a Hugging Face folder's text model as GGUF. */
#include "convert.h"

#include "../core/mem.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_SIDE (1u << 24)

typedef struct {
    sn_convert core;
    sn_config config;
    const txt_convert_family *family;
    txt_shape shape;
    float *factors; /* [d_head / 2], NULL where there are none */
    txt_convert_vocab vocab;
} conversion;

/* ---- configuration ---- */

static size_t count_of(conversion *k, const char *key, size_t absent, size_t max)
{
    return sn_config_count(&k->config, key, absent, max);
}

static sn_status read_shape(conversion *k)
{
    sn_config *c = &k->config;
    const txt_shape *d = &k->family->defaults;
    txt_shape *s = &k->shape;
    const cJSON *rope = sn_config_get(c, "rope_parameters"), *full = sn_json_get(rope, "full_attention");
    const cJSON *theta = sn_json_get(full != NULL ? full : rope, "rope_theta");
    s->n_vocab = count_of(k, "vocab_size", d->n_vocab, MAX_SIDE);
    s->n_ctx = count_of(k, "max_position_embeddings", d->n_ctx, 1u << 30);
    s->n_embd = count_of(k, "hidden_size", d->n_embd, MAX_SIDE);
    s->n_ff = count_of(k, "intermediate_size", d->n_ff, MAX_SIDE);
    s->n_layer = count_of(k, "num_hidden_layers", d->n_layer, 1024);
    s->n_head = count_of(k, "num_attention_heads", d->n_head, 4096);
    s->n_head_kv = count_of(k, "num_key_value_heads", d->n_head_kv > 0 ? d->n_head_kv : s->n_head, 4096);
    s->eps = sn_config_real(c, "rms_norm_eps", d->eps);
    s->theta = cJSON_IsNumber(theta) ? theta->valuedouble : sn_config_real(c, "rope_theta", d->theta);
    const bool own = strcmp(k->family->arch, "granite") != 0; /* Granite's heads always share the width */
    s->d_head = s->n_embd / s->n_head;
    if (own && (d->d_head > 0 || sn_config_get(c, "head_dim") != NULL)) s->d_head = count_of(k, "head_dim", d->d_head, 65536);
    if (c->status != SN_OK) return c->status;
    if (s->d_head == 0 || s->d_head % 2 != 0 || s->n_head % s->n_head_kv != 0 || !(s->theta >= 1 && s->theta <= 1e30) ||
        !(s->eps > 0 && s->eps < 1))
        return sn_config_fail(c, SN_EFORMAT, "its numbers of heads, their size, rope_theta or rms_norm_eps make no sense");
    return SN_OK;
}

static sn_status read_config(conversion *k, sn_err *err)
{
    const cJSON *root = k->core.json, *text = sn_json_get(root, "text_config");
    if (text == NULL) text = sn_json_get(root, "llm_config"); /* InternVL */
    k->config = (sn_config){.path = k->core.config_path, .root = root, .part = text, .err = err};
    const char *model_type = sn_json_str(sn_config_get(&k->config, "model_type"));
    if (model_type == NULL) return sn_config_fail(&k->config, SN_EFORMAT, "names no model_type");
    k->family = txt_convert_family_find(model_type);
    const char *whole = sn_json_str(sn_json_get(root, "model_type")); /* that the text is a part of: may have a name of its own */
    const txt_convert_family *own = whole != NULL && k->family != NULL ? txt_convert_family_find(whole) : NULL;
    if (own != NULL) k->family = own;
    if (k->family == NULL) return sn_config_fail(&k->config, SN_EUNSUPPORTED, "a model of type \"%.40s\" cannot be converted", model_type);
    if (sn_config_get(&k->config, "quantization_config") != NULL)
        return sn_config_fail(&k->config, SN_EUNSUPPORTED, "its weights are quantised already; convert the original");
    return read_shape(k);
}

/* ---- names ---- */

static void without(char *name, const char *part)
{
    for (char *p; (p = strstr(name, part)) != NULL;) memmove(p, p + strlen(part), strlen(p + strlen(part)) + 1);
}

/* Tensors of encoders and what joins them to the text, and tables that are computed. */
static bool not_text(const char *name)
{
    static const char *const begins[] = {"mlp", "vit.", "encoder.", "merger.", "resampler."};
    static const char *const holds[] = {"visual.",
                                        "vision.",
                                        "vision_",
                                        "audio.",
                                        "audio_",
                                        "projector.",
                                        "image_newline",
                                        "patch_embed",
                                        "model.connector.",
                                        "patch_merger.",
                                        "rotary_emb.inv_freq",
                                        ".attention.masked_bias"};
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
        if (strncmp(name, begins[i], strlen(begins[i])) == 0) return true;
    for (size_t i = 0; i < sizeof holds / sizeof *holds; i++)
        if (strstr(name, holds[i]) != NULL) return true;
    return false;
}

/* A name without the parts that say that it is the text model of a larger one. */
static bool name_of(const void *user, char *name)
{
    (void)user;
    if (not_text(name)) return false;
    without(name, "language_model.");
    without(name, "text_model.");
    return true;
}

/* ---- the plan ---- */

static sn_status plan(conversion *k, sn_err *err)
{
    char from[64], to[32], what[64];
    const txt_shape *s = &k->shape;
    const size_t extents[] = {[ROW_VOCAB] = s->n_vocab,
                              [ROW_EMBD] = s->n_embd,
                              [ROW_FF] = s->n_ff,
                              [ROW_Q] = s->n_head * s->d_head,
                              [ROW_KV] = s->n_head_kv * s->d_head,
                              [ROW_HEAD] = s->d_head};
    sn_status st = SN_OK;
    k->core.head = s->d_head;
    k->factors = sn_alloc(s->d_head / 2, sizeof *k->factors);
    if (k->factors == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", k->core.dir);
    if (txt_convert_rope_factors(&k->config, s, k->factors))
        st = sn_convert_values(&k->core, "rope_freqs.weight", k->factors, s->d_head / 2);
    if (k->config.status != SN_OK) return k->config.status;
    if (st == SN_OK) st = sn_convert_rows(&k->core, k->family->whole, extents, "", "");
    for (size_t il = 0; il < s->n_layer && st == SN_OK; il++) {
        snprintf(from, sizeof from, "model.layers.%zu.", il);
        snprintf(to, sizeof to, "blk.%zu.", il);
        st = sn_convert_rows(&k->core, k->family->layer, extents, from, to);
    }
    snprintf(what, sizeof what, "a %s model", k->family->arch);
    return st == SN_OK ? sn_convert_all_taken(&k->core, what) : st;
}

static sn_status write_keys(void *user, sn_gguf_writer *w, sn_err *err)
{
    conversion *k = user;
    txt_convert_keys(w, &k->config, k->family, &k->shape);
    if (k->config.status != SN_OK) return k->config.status;
    return txt_convert_vocab_keys(w, &k->vocab, &k->config, err);
}

/* Whether its own reader takes what was written: configurations can contradict themselves in more ways than are known here. What that has no code for
 * may be of use elsewhere. */
static sn_status is_model(const char *path, sn_err *err)
{
    sn_compute *c = NULL;
    txt_model *m = NULL;
    sn_status st = sn_compute_open(&c, 1, SN_ISA_SCALAR, err);
    if (st == SN_OK) st = txt_model_plan(&m, path, c, err);
    txt_model_close(m);
    sn_compute_close(c);
    return st == SN_EUNSUPPORTED ? SN_OK : st;
}

sn_status txt_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    conversion k = {0};
    sn_status st = sn_convert_config(&k.core, dir, params, err);
    if (st == SN_OK) st = read_config(&k, err);
    if (st == SN_OK) st = sn_convert_weights(&k.core, name_of, NULL);
    if (st == SN_OK) st = plan(&k, err);
    if (st == SN_OK) st = txt_convert_vocab_read(&k.vocab, dir, sn_json_str(sn_config_get(&k.config, "model_type")), k.shape.n_vocab, err);
    k.core.check = is_model;
    if (st == SN_OK) st = sn_convert_write(&k.core, out_path, k.family->arch, "model", write_keys, &k);
    sn_free(k.factors);
    txt_convert_vocab_free(&k.vocab);
    sn_convert_close(&k.core);
    return st;
}
