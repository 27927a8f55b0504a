/* convert_families.c: the text families of Hugging Face that are converted: names there and here, and the keys of each.
 * The names and keys are those of llama.cpp's converter, so that its files and ours are one. */
#include "convert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define OUTSIDE(norm_edit, embd_edit) \
    {"model.embed_tokens.weight", "token_embd.weight", {ROW_VOCAB, ROW_EMBD}, embd_edit, SN_AS_MATRIX, false}, \
    {"model.norm.weight", "output_norm.weight", {ROW_EMBD}, norm_edit, SN_AS_MATRIX, false}, \
    {"lm_head.weight", "output.weight", {ROW_VOCAB, ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, true}, {0}
#define ATTENTION(q, kv) \
    {"self_attn.q_proj.weight", "attn_q.weight", {ROW_Q, ROW_EMBD}, q, SN_AS_MATRIX, false}, \
    {"self_attn.q_proj.bias", "attn_q.bias", {ROW_Q}, q, SN_AS_MATRIX, true}, \
    {"self_attn.k_proj.weight", "attn_k.weight", {ROW_KV, ROW_EMBD}, kv, SN_AS_MATRIX, false}, \
    {"self_attn.k_proj.bias", "attn_k.bias", {ROW_KV}, kv, SN_AS_MATRIX, true}, \
    {"self_attn.v_proj.weight", "attn_v.weight", {ROW_KV, ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"self_attn.v_proj.bias", "attn_v.bias", {ROW_KV}, SN_EDIT_NONE, SN_AS_MATRIX, true}, \
    {"self_attn.o_proj.weight", "attn_output.weight", {ROW_EMBD, ROW_Q}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"self_attn.o_proj.bias", "attn_output.bias", {ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, true}
#define FEED_FORWARD \
    {"mlp.gate_proj.weight", "ffn_gate.weight", {ROW_FF, ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"mlp.gate_proj.bias", "ffn_gate.bias", {ROW_FF}, SN_EDIT_NONE, SN_AS_MATRIX, true}, \
    {"mlp.up_proj.weight", "ffn_up.weight", {ROW_FF, ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"mlp.up_proj.bias", "ffn_up.bias", {ROW_FF}, SN_EDIT_NONE, SN_AS_MATRIX, true}, \
    {"mlp.down_proj.weight", "ffn_down.weight", {ROW_EMBD, ROW_FF}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"mlp.down_proj.bias", "ffn_down.bias", {ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, true}
#define NORMS \
    {"input_layernorm.weight", "attn_norm.weight", {ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    {"post_attention_layernorm.weight", "ffn_norm.weight", {ROW_EMBD}, SN_EDIT_NONE, SN_AS_MATRIX, false}
#define HEAD_NORMS(edit) \
    {"self_attn.q_norm.weight", "attn_q_norm.weight", {ROW_HEAD}, edit, SN_AS_MATRIX, false}, \
    {"self_attn.k_norm.weight", "attn_k_norm.weight", {ROW_HEAD}, edit, SN_AS_MATRIX, false}

static const sn_convert_row outside[] = {OUTSIDE(SN_EDIT_NONE, SN_EDIT_NONE)};
/* Llama's rotary pairs lie half a head apart there, next to each other here. */
static const sn_convert_row llama_layer[] = {NORMS, ATTENTION(SN_EDIT_PAIRS, SN_EDIT_PAIRS), FEED_FORWARD, {0}};
static const sn_convert_row qwen2_layer[] = {NORMS, ATTENTION(SN_EDIT_NONE, SN_EDIT_NONE), FEED_FORWARD, {0}};
static const sn_convert_row qwen3_layer[] = {NORMS, HEAD_NORMS(SN_EDIT_NONE), ATTENTION(SN_EDIT_NONE, SN_EDIT_NONE), FEED_FORWARD, {0}};
/* Gemma's norms multiply by 1 + weight. */
static const sn_convert_row gemma3_outside[] = {OUTSIDE(SN_EDIT_PLUS_ONE, SN_EDIT_CUT)};
static const sn_convert_row gemma3_layer[] = {
    {"input_layernorm.weight", "attn_norm.weight", {ROW_EMBD}, SN_EDIT_PLUS_ONE, SN_AS_MATRIX, false},
    {"post_attention_layernorm.weight", "post_attention_norm.weight", {ROW_EMBD}, SN_EDIT_PLUS_ONE, SN_AS_MATRIX, false},
    {"pre_feedforward_layernorm.weight", "ffn_norm.weight", {ROW_EMBD}, SN_EDIT_PLUS_ONE, SN_AS_MATRIX, false},
    {"post_feedforward_layernorm.weight", "post_ffw_norm.weight", {ROW_EMBD}, SN_EDIT_PLUS_ONE, SN_AS_MATRIX, false},
    HEAD_NORMS(SN_EDIT_PLUS_ONE), ATTENTION(SN_EDIT_NONE, SN_EDIT_NONE), FEED_FORWARD, {0}};

/* The defaults are those of transformers' configuration classes: published folders leave out what equals them. */
static const txt_convert_family families[] = {
    {" llama vllama3 VLlama3 ", "llama", outside, llama_layer,
     {32000, 2048, 4096, 11008, 32, 32, 0, 0, 1e-6, 1e4}, true, true, true},
    {" mistral ", "llama", outside, llama_layer,
     {32000, 131072, 4096, 14336, 32, 32, 8, 0, 1e-6, 1e4}, true, true, true},
    {" mistral3 ", "mistral3", outside, llama_layer,
     {32000, 131072, 4096, 14336, 32, 32, 8, 0, 1e-6, 1e4}, true, true, true},
    {" smollm3 ", "smollm3", outside, llama_layer,
     {128256, 32768, 2048, 11008, 36, 16, 4, 0, 1e-6, 2e6}, false, true, true},
    {" granite ", "granite", outside, llama_layer,
     {32000, 2048, 4096, 11008, 32, 32, 0, 0, 1e-6, 1e4}, false, true, true},
    {" qwen2 ", "qwen2", outside, qwen2_layer,
     {151936, 32768, 4096, 22016, 32, 32, 32, 0, 1e-6, 1e4}, false, false, false},
    {" qwen2_vl qwen2_vl_text qwen2_5_vl qwen2_5_vl_text ", "qwen2vl", outside, qwen2_layer,
     {152064, 32768, 8192, 29568, 80, 64, 8, 0, 1e-5, 1e6}, false, false, false},
    {" qwen3 ", "qwen3", outside, qwen3_layer,
     {151936, 32768, 4096, 22016, 32, 32, 32, 128, 1e-6, 1e4}, true, false, false},
    {" qwen3_vl qwen3_vl_text ", "qwen3vl", outside, qwen3_layer,
     {151936, 128000, 4096, 22016, 32, 32, 32, 128, 1e-6, 5e5}, true, false, false},
    {" gemma3 gemma3_text ", "gemma3", gemma3_outside, gemma3_layer,
     {262208, 131072, 2304, 9216, 26, 8, 4, 256, 1e-6, 1e6}, true, false, false},
};
/* clang-format on */

const txt_convert_family *txt_convert_family_find(const char *model_type)
{
    char wanted[64];
    if (strchr(model_type, ' ') != NULL || snprintf(wanted, sizeof wanted, " %s ", model_type) >= (int)sizeof wanted) return NULL;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strstr(families[i].model_types, wanted) != NULL) return &families[i];
    return NULL;
}

/* ---- keys ---- */

typedef struct {
    sn_gguf_writer *w;
    const char *arch;
} keys;

static const char *named(const keys *k, char *room, size_t n, const char *name)
{
    snprintf(room, n, "%s.%s", k->arch, name);
    return room;
}
static void count(const keys *k, const char *name, size_t v)
{
    char key[96];
    sn_gguf_set_u32(k->w, named(k, key, sizeof key, name), (uint32_t)v);
}
static void real(const keys *k, const char *name, double v)
{
    char key[96];
    sn_gguf_set_f32(k->w, named(k, key, sizeof key, name), (float)v);
}
static void string(const keys *k, const char *name, const char *v)
{
    char key[96];
    sn_gguf_set_str(k->w, named(k, key, sizeof key, name), v, strlen(v));
}

/* The rotary parameters: rope_parameters (transformers 5) or rope_scaling, of full attention where layers differ. */
static const cJSON *rope_of(const sn_config *c)
{
    const cJSON *rope = sn_config_get(c, "rope_parameters");
    if (rope == NULL) rope = sn_config_get(c, "rope_scaling");
    const cJSON *full = sn_json_get(rope, "full_attention");
    return full != NULL ? full : rope;
}

static const char *rope_type(const cJSON *rope)
{
    const char *type = sn_json_str(sn_json_get(rope, "rope_type"));
    if (type == NULL) type = sn_json_str(sn_json_get(rope, "type"));
    return type != NULL ? type : "default";
}

static double rope_real(sn_config *c, const cJSON *rope, const char *key, double absent)
{
    return sn_config_real_of(c, sn_json_get(rope, key), key, absent);
}

static void yarn_keys(const keys *k, sn_config *c, const cJSON *rope)
{
    static const struct {
        const char *here, *there, *or_there;
    } known[] = {{"rope.scaling.yarn_ext_factor", "extrapolation_factor", NULL},
                 {"rope.scaling.yarn_attn_factor", "attention_factor", "attn_factor"},
                 {"rope.scaling.yarn_beta_fast", "beta_fast", NULL},
                 {"rope.scaling.yarn_beta_slow", "beta_slow", NULL}};
    double n_ctx = rope_real(c, rope, "original_max_position_embeddings", sn_config_real(c, "original_max_position_embeddings", 0));
    if (!(n_ctx >= 1 && n_ctx <= 1e9)) sn_config_fail(c, SN_EFORMAT, "yarn scaling has no original_max_position_embeddings");
    if (c->status == SN_OK) count(k, "rope.scaling.original_context_length", (size_t)n_ctx);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const cJSON *v = sn_json_get(rope, known[i].there);
        if (v == NULL && known[i].or_there != NULL) v = sn_json_get(rope, known[i].or_there);
        if (v != NULL) real(k, known[i].here, sn_config_real_of(c, v, known[i].there, 0));
    }
}

static void rope_keys(const keys *k, sn_config *c, const txt_shape *s)
{
    const cJSON *rope = rope_of(c), *sections = sn_json_get(rope, "mrope_section"), *v;
    const char *type = rope_type(rope);
    const bool yarn = strcmp(type, "yarn") == 0, linear = strcmp(type, "linear") == 0;
    if (!yarn && !linear && strcmp(type, "default") != 0 && strcmp(type, "llama3") != 0 && strcmp(type, "mrope") != 0)
        sn_config_fail(c, SN_EUNSUPPORTED, "rotary scaling of type %.40s is not known", type);
    if (yarn || linear) {
        string(k, "rope.scaling.type", type);
        real(k, "rope.scaling.factor", rope_real(c, rope, "factor", 1));
    }
    if (yarn) yarn_keys(k, c, rope);
    if (sections != NULL) {
        int32_t parts[4] = {0};
        size_t n = 0;
        cJSON_ArrayForEach(v, sections)
        {
            if (n < 4 && cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble <= 4096) parts[n] = v->valueint;
            n++;
        }
        char key[96];
        sn_gguf_set_array(k->w, named(k, key, sizeof key, "rope.dimension_sections"), SN_KV_I32, parts, 4);
    }
    real(k, "rope.freq_base", s->theta);
    const cJSON *sliding = sn_json_get(sn_config_get(c, "rope_parameters"), "sliding_attention");
    if (sliding == NULL ? sn_config_get(c, "rope_local_base_freq") != NULL : sn_json_get(sliding, "rope_theta") != NULL)
        real(k, "rope.freq_base_swa",
             sliding == NULL ? sn_config_real(c, "rope_local_base_freq", 1e4) : rope_real(c, sliding, "rope_theta", 1e4));
    else if (strcmp(k->arch, "gemma3") == 0)
        real(k, "rope.freq_base_swa", 1e4);
}

static void granite_keys(const keys *k, sn_config *c)
{
    static const struct {
        const char *here, *there;
    } scales[] = {{"attention.scale", "attention_multiplier"},
                  {"embedding_scale", "embedding_multiplier"},
                  {"residual_scale", "residual_multiplier"},
                  {"logit_scale", "logits_scaling"}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) real(k, scales[i].here, sn_config_real(c, scales[i].there, 1));
}

static void gemma3_keys(const keys *k, sn_config *c)
{
    const double cap = sn_config_real(c, "final_logit_softcapping", 0);
    if (cap != 0) real(k, "final_logit_softcapping", cap);
    if (sn_config_real(c, "sliding_window_pattern", 6) != 1)
        count(k, "attention.sliding_window", sn_config_count(c, "sliding_window", 4096, 1 << 30));
}

/* How many layers a picture's features enter behind: as many as its encoder gives, by its configuration beside this one. */
static void qwen3vl_keys(const keys *k, const sn_config *c)
{
    const cJSON *deep = sn_json_get(sn_json_get(c->root, "vision_config"), "deepstack_visual_indexes");
    count(k, "n_deepstack_layers", (size_t)cJSON_GetArraySize(deep));
}

void txt_convert_keys(sn_gguf_writer *w, sn_config *c, const txt_convert_family *f, const txt_shape *s)
{
    const keys k = {w, f->arch};
    count(&k, "block_count", s->n_layer);
    count(&k, "context_length", s->n_ctx);
    count(&k, "embedding_length", s->n_embd);
    count(&k, "feed_forward_length", s->n_ff);
    count(&k, "attention.head_count", s->n_head);
    count(&k, "attention.head_count_kv", s->n_head_kv);
    rope_keys(&k, c, s);
    real(&k, "attention.layer_norm_rms_epsilon", s->eps);
    const bool granite = strcmp(f->arch, "granite") == 0;
    if (f->gives_head_size || (!granite && sn_config_get(c, "head_dim") != NULL)) {
        count(&k, "attention.key_length", s->d_head);
        count(&k, "attention.value_length", s->d_head);
    }
    if (f->gives_vocab_size) count(&k, "vocab_size", s->n_vocab);
    if (f->gives_rope_size) count(&k, "rope.dimension_count", s->d_head);
    if (granite) granite_keys(&k, c);
    if (strcmp(f->arch, "gemma3") == 0) gemma3_keys(&k, c);
    if (strcmp(f->arch, "qwen3vl") == 0) qwen3vl_keys(&k, c);
}

/* As in transformers' modeling_rope_utils.py, _compute_llama3_parameters: waves much longer than the context that the model was first
 * trained with are slowed by `factor`, short ones are not, between them it changes smoothly. */
bool txt_convert_rope_factors(sn_config *c, const txt_shape *s, float *factors)
{
    const cJSON *rope = rope_of(c);
    if (strcmp(rope_type(rope), "llama3") != 0) return false;
    const float factor = (float)rope_real(c, rope, "factor", 8), low = (float)rope_real(c, rope, "low_freq_factor", 1),
                high = (float)rope_real(c, rope, "high_freq_factor", 4),
                n_ctx = (float)rope_real(c, rope, "original_max_position_embeddings", 8192);
    if (!(factor > 0 && low > 0 && high > low && n_ctx > 0)) {
        sn_config_fail(c, SN_EFORMAT, "the factors of llama3's rotary scaling make no sense");
        return false;
    }
    for (size_t i = 0; i < s->d_head / 2; i++) {
        const float slowness = (float)pow(s->theta, (float)(2 * i) / (float)s->d_head), wave = 6.2831853071795864769f / (1 / slowness);
        const float smooth = (n_ctx / wave - low) / (high - low);
        factors[i] = wave < n_ctx / high ? 1 : wave > n_ctx / low ? factor : 1 / ((1 - smooth) / factor + smooth);
    }
    return true;
}
