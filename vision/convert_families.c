/* convert_families.c: the picture encoders of Hugging Face folders that are converted: names there and here, and the keys of each. The names and
 * keys are those of llama.cpp's converters, so that their files and ours are one. */
#include "convert.h"

#include <math.h>
#include <string.h>

/* clang-format off */
#define WEIGHT(from, to, rows, cols) {from ".weight", to ".weight", {rows, cols}, SN_EDIT_NONE, SN_AS_MATRIX, false}
#define BIAS(from, to, n) {from ".bias", to ".bias", {n}, SN_EDIT_NONE, SN_AS_MATRIX, true}
#define LINEAR(from, to, rows, cols) WEIGHT(from, to, rows, cols), BIAS(from, to, rows)
#define NORM(from, to, n) {from ".weight", to ".weight", {n}, SN_EDIT_NONE, SN_AS_F32, false}, BIAS(from, to, n)
#define PATCHES(from, as) \
    {from ".weight", "v.patch_embd.weight", {X_EMBD, X_RGB, X_PATCH, X_PATCH}, SN_EDIT_NONE, as, false}, \
    BIAS(from, "v.patch_embd", X_EMBD)
/* A block of CLIP and SigLIP. */
#define BLOCK(fc1, fc2) \
    NORM("layer_norm1", "ln1", X_EMBD), NORM("layer_norm2", "ln2", X_EMBD), \
    LINEAR("self_attn.q_proj", "attn_q", X_EMBD, X_EMBD), LINEAR("self_attn.k_proj", "attn_k", X_EMBD, X_EMBD), \
    LINEAR("self_attn.v_proj", "attn_v", X_EMBD, X_EMBD), LINEAR("self_attn.out_proj", "attn_out", X_EMBD, X_EMBD), \
    LINEAR("mlp.fc1", fc1, X_FF, X_EMBD), LINEAR("mlp.fc2", fc2, X_EMBD, X_FF), {0}
/* Queries, keys and values that are one matrix there. */
#define SPLIT(edit, to) \
    {"attn.qkv.weight", to ".weight", {X_EMBD, X_EMBD}, edit, SN_AS_MATRIX, false}, \
    {"attn.qkv.bias", to ".bias", {X_EMBD}, edit, SN_AS_MATRIX, true}
#define QKV SPLIT(SN_EDIT_Q, "attn_q"), SPLIT(SN_EDIT_K, "attn_k"), SPLIT(SN_EDIT_V, "attn_v")
#define SIZES "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"

static const sn_convert_row siglip_layer[] = {BLOCK("ffn_up", "ffn_down")};
/* clang-format on */

static void flag(sn_gguf_writer *w, const char *key, bool v)
{
    sn_gguf_set_bool(w, key, v);
}
static void text(sn_gguf_writer *w, const char *key, const char *v)
{
    sn_gguf_set_str(w, key, v, strlen(v));
}

static const char *act_of(const vis_conversion *k, const char *absent)
{
    const char *act = sn_json_str(sn_config_get(&k->part, "hidden_act"));
    return act != NULL ? act : absent;
}

/* clip.use_silu or clip.use_gelu. */
static void act_keys(vis_conversion *k, sn_gguf_writer *w)
{
    const char *act = act_of(k, "gelu");
    if (strcmp(act, "silu") == 0)
        flag(w, "clip.use_silu", true);
    else if (strcmp(act, "gelu") == 0)
        flag(w, "clip.use_gelu", true);
    else
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "hidden_act is %.40s, want silu or gelu", act);
}

/* ---- LLaVA-1.5, LLaVA-NeXT and Granite Vision: CLIP or SigLIP; the first files gave the second matrix of a block the name of the first, and so
 * it stayed ---- */
/* clang-format off */
#define LLAVA_PROJECTOR \
    LINEAR("multi_modal_projector.linear_1", "mm.0", X_TEXT, X_FEATURES), \
    LINEAR("multi_modal_projector.linear_2", "mm.2", X_TEXT, X_TEXT), \
    {"image_newline", "model.image_newline", {X_TEXT}, SN_EDIT_NONE, SN_AS_F32, true}
static const sn_convert_row llava[] = {
    {"embeddings.class_embedding", "v.class_embd", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    PATCHES("embeddings.patch_embedding", SN_AS_F16),
    WEIGHT("embeddings.position_embedding", "v.position_embd", X_PLACES_CLASS, X_EMBD),
    NORM("pre_layrnorm", "v.pre_ln", X_EMBD), LLAVA_PROJECTOR, {0}};
static const sn_convert_row llava_siglip[] = {
    PATCHES("embeddings.patch_embedding", SN_AS_F16),
    WEIGHT("embeddings.position_embedding", "v.position_embd", X_PLACES, X_EMBD), LLAVA_PROJECTOR, {0}};
static const sn_convert_row llava_layer[] = {BLOCK("ffn_down", "ffn_up")};
/* clang-format on */

/* An index into the outputs of all blocks, the embeddings in front; -1 is the last. */
static void add_feature(vis_conversion *k, const cJSON *v)
{
    const double n = (double)k->shape.n_layer;
    double layer = sn_config_real_of(&k->whole, v, "vision_feature_layer", -2);
    if (layer < 0) layer += n + 1;
    if (!(layer >= 0 && layer <= n) || layer != floor(layer))
        sn_config_fail(&k->whole, SN_EFORMAT, "vision_feature_layer is none of %zu layers", k->shape.n_layer);
    else if (k->n_features == VIS_CONVERT_MAX_FEATURES)
        sn_config_fail(&k->whole, SN_ELIMIT, "vision_feature_layer has more than %d layers", VIS_CONVERT_MAX_FEATURES);
    else
        k->features[k->n_features++] = (int32_t)layer;
}

static void read_features(vis_conversion *k, const char *strategy, const char *says)
{
    const cJSON *v = sn_json_get(k->core.json, "vision_feature_layer"), *each;
    const char *select = sn_json_str(sn_json_get(k->core.json, "vision_feature_select_strategy"));
    cJSON_ArrayForEach(each, v)
    {
        add_feature(k, each);
    }
    if (!cJSON_IsArray(v)) add_feature(k, v);
    k->n_run = 0;
    for (size_t i = 0; i < k->n_features; i++)
        if ((size_t)k->features[i] > k->n_run) k->n_run = (size_t)k->features[i];
    if (k->n_run == 0) sn_config_fail(&k->whole, SN_EFORMAT, "vision_feature_layer names no layer's output");
    k->extents[X_FEATURES] = k->n_features * k->shape.n_embd;
    if (strcmp(select != NULL ? select : "default", strategy) != 0)
        sn_config_fail(&k->whole, SN_EUNSUPPORTED, "vision_feature_select_strategy is not \"%s\": %s", strategy, says);
}

static void llava_read(vis_conversion *k)
{
    k->n_projection = sn_config_count(&k->part, "projection_dim", 512, 1u << 20);
    read_features(k, "default", "the class row is not dropped");
}

static void llava_siglip_read(vis_conversion *k)
{
    const char *act = act_of(k, "gelu_pytorch_tanh");
    k->n_projection = 0; /* what the converter says of a SigLIP, which has none */
    if (strcmp(act, "gelu_pytorch_tanh") != 0)
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "hidden_act is %.40s, want gelu_pytorch_tanh", act);
    read_features(k, "full", "the first patch is dropped, as if there were a class row");
}

static void llava_keys(vis_conversion *k, sn_gguf_writer *w)
{
    flag(w, "clip.has_text_encoder", false);
    flag(w, "clip.has_llava_projector", true);
    flag(w, "clip.use_gelu", strcmp(act_of(k, "quick_gelu"), "gelu") == 0);
    sn_gguf_set_array(w, "clip.vision.feature_layer", SN_KV_I32, k->features, k->n_features);
}

static void llavanext_keys(vis_conversion *k, sn_gguf_writer *w)
{
    int32_t sides[128];
    size_t n = 0;
    const cJSON *pair, *side;
    bool sound = true;
    llava_keys(k, w);
    cJSON_ArrayForEach(pair, sn_json_get(k->core.json, "image_grid_pinpoints"))
    {
        sound = sound && cJSON_GetArraySize(pair) == 2 && n + 2 <= sizeof sides / sizeof *sides;
        cJSON_ArrayForEach(side, pair)
        {
            sound = sound && cJSON_IsNumber(side) && side->valuedouble >= 1 && side->valuedouble <= 65536;
            if (sound) sides[n++] = (int32_t)side->valuedouble;
        }
    }
    if (!sound || n == 0) sn_config_fail(&k->whole, SN_EFORMAT, "image_grid_pinpoints is not a list of up to 64 pairs of sides");
    sn_gguf_set_array(w, "clip.vision.image_grid_pinpoints", SN_KV_I32, sides, n);
    text(w, "clip.vision.image_aspect_ratio", "anyres");
    text(w, "clip.vision.mm_patch_merge_type", "spatial_unpad");
}

/* ---- Idefics3 and SmolVLM ---- */
/* clang-format off */
static const sn_convert_row idefics3[] = {
    PATCHES("embeddings.patch_embedding", SN_AS_F32),
    {"embeddings.position_embedding.weight", "v.position_embd.weight", {X_PLACES, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    NORM("post_layernorm", "v.post_ln", X_EMBD),
    WEIGHT("connector.modality_projection.proj", "mm.model.fc", X_TEXT, X_MERGED), {0}};
/* clang-format on */

static void idefics3_read(vis_conversion *k)
{
    k->shape.merge = sn_config_count(&k->whole, "scale_factor", 2, 64);
}

static void idefics3_keys(vis_conversion *k, sn_gguf_writer *w)
{
    const cJSON *edge = sn_json_get(vis_convert_processor(k, "size"), "longest_edge");
    const double px = sn_config_real_of(&k->whole, edge, "size.longest_edge", (double)k->shape.image_px);
    sn_gguf_set_u32(w, "clip.vision.projector.scale_factor", (uint32_t)k->shape.merge);
    flag(w, "clip.use_gelu", true);
    if (!(px >= 1 && px <= 1e6))
        sn_config_fail(&k->whole, SN_EFORMAT, "size.longest_edge of preprocessor_config.json is no number of pixels");
    if (k->whole.status == SN_OK) sn_gguf_set_u32(w, "clip.vision.preproc_image_size", (uint32_t)px);
}

/* ---- Pixtral and Mistral 3 ---- */
/* clang-format off */
#define ROTARY(from, to) \
    {from ".weight", to ".weight", {X_EMBD, X_EMBD}, SN_EDIT_PAIRS, SN_AS_MATRIX, false}, \
    {from ".bias", to ".bias", {X_EMBD}, SN_EDIT_PAIRS, SN_AS_MATRIX, true}
static const sn_convert_row pixtral[] = {
    PATCHES("patch_conv", SN_AS_F16_OR_F32),
    NORM("ln_pre", "v.pre_ln", X_EMBD),
    {"multi_modal_projector.norm.weight", "mm.input_norm.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true},
    {"multi_modal_projector.patch_merger.merging_layer.weight", "mm.patch_merger.weight", {X_EMBD, X_MERGED}, SN_EDIT_NONE, SN_AS_F16_OR_F32, true},
    LINEAR("multi_modal_projector.linear_1", "mm.1", X_TEXT, X_EMBD),
    LINEAR("multi_modal_projector.linear_2", "mm.2", X_TEXT, X_TEXT),
    {"embed_tokens.weight", "v.token_embd.img_break", {X_VOCAB, X_TEXT}, SN_EDIT_ONE_ROW, SN_AS_F32, false}, {0}};
static const sn_convert_row pixtral_layer[] = {
    NORM("attention_norm", "ln1", X_EMBD), NORM("ffn_norm", "ln2", X_EMBD),
    ROTARY("attention.q_proj", "attn_q"), ROTARY("attention.k_proj", "attn_k"),
    LINEAR("attention.v_proj", "attn_v", X_EMBD, X_EMBD), LINEAR("attention.o_proj", "attn_out", X_EMBD, X_EMBD),
    LINEAR("feed_forward.gate_proj", "ffn_gate", X_FF, X_EMBD), LINEAR("feed_forward.up_proj", "ffn_up", X_FF, X_EMBD),
    LINEAR("feed_forward.down_proj", "ffn_down", X_EMBD, X_FF), {0}};
/* clang-format on */

static bool is_mistral3(const vis_conversion *k)
{
    return strcmp(sn_json_str(sn_json_get(k->core.json, "model_type")), "mistral3") == 0;
}

static void pixtral_read(vis_conversion *k)
{
    k->shape.merge = is_mistral3(k) ? sn_config_count(&k->whole, "spatial_merge_size", 2, 64) : 1;
    k->core.row = vis_convert_token(k, "[IMG_BREAK]");
}

static void pixtral_keys(vis_conversion *k, sn_gguf_writer *w)
{
    act_keys(k, w);
    if (is_mistral3(k)) sn_gguf_set_u32(w, "clip.vision.spatial_merge_size", (uint32_t)k->shape.merge);
}

/* ---- InternVL ---- */
/* clang-format off */
static const sn_convert_row internvl[] = {
    {"embeddings.class_embedding", "v.class_embd", {X_ONE, X_ONE, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    PATCHES("embeddings.patch_embedding", SN_AS_F16_OR_F32),
    {"embeddings.position_embedding", "v.position_embd.weight", {X_ONE, X_PLACES_CLASS, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    NORM("mlp1.0", "mm.model.mlp.0", X_MERGED),
    LINEAR("mlp1.1", "mm.model.mlp.1", X_TEXT, X_MERGED), LINEAR("mlp1.3", "mm.model.mlp.3", X_TEXT, X_TEXT), {0}};
static const sn_convert_row internvl_layer[] = {
    NORM("norm1", "ln1", X_EMBD), NORM("norm2", "ln2", X_EMBD), QKV, LINEAR("attn.proj", "attn_out", X_EMBD, X_EMBD),
    {"attn.q_norm.weight", "attn_q_norm.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true},
    {"attn.k_norm.weight", "attn_k_norm.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true},
    LINEAR("mlp.fc1", "ffn_up", X_FF, X_EMBD), LINEAR("mlp.fc2", "ffn_down", X_EMBD, X_FF),
    {"ls1", "ls1.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false}, {"ls2", "ls2.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false}, {0}};
/* clang-format on */

/* The same in transformers' names ("-hf" folders). */
/* clang-format off */
static const sn_convert_row internvl_hf[] = {
    {"embeddings.cls_token", "v.class_embd", {X_ONE, X_ONE, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    PATCHES("embeddings.patch_embeddings.projection", SN_AS_F16_OR_F32),
    {"embeddings.position_embeddings", "v.position_embd.weight", {X_ONE, X_PLACES_CLASS, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    {"layernorm.weight", "v.post_ln.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true}, BIAS("layernorm", "v.post_ln", X_EMBD),
    NORM("multi_modal_projector.layer_norm", "mm.model.mlp.0", X_MERGED),
    LINEAR("multi_modal_projector.linear_1", "mm.model.mlp.1", X_TEXT, X_MERGED),
    LINEAR("multi_modal_projector.linear_2", "mm.model.mlp.3", X_TEXT, X_TEXT), {0}};
static const sn_convert_row internvl_hf_layer[] = {
    NORM("layernorm_before", "ln1", X_EMBD), NORM("layernorm_after", "ln2", X_EMBD),
    LINEAR("attention.q_proj", "attn_q", X_EMBD, X_EMBD), LINEAR("attention.k_proj", "attn_k", X_EMBD, X_EMBD),
    LINEAR("attention.v_proj", "attn_v", X_EMBD, X_EMBD), LINEAR("attention.projection_layer", "attn_out", X_EMBD, X_EMBD),
    {"attention.q_norm.weight", "attn_q_norm.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true},
    {"attention.k_norm.weight", "attn_k_norm.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, true},
    LINEAR("mlp.fc1", "ffn_up", X_FF, X_EMBD), LINEAR("mlp.fc2", "ffn_down", X_EMBD, X_FF),
    {"lambda_1", "ls1.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false}, {"lambda_2", "ls2.weight", {X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false}, {0}};
/* clang-format on */

static void internvl_read(vis_conversion *k)
{
    const double ratio = sn_config_real(&k->whole, "downsample_ratio", 0.5);
    const char *norm = sn_json_str(sn_config_get(&k->part, "norm_type"));
    if (ratio > 0.01 && ratio <= 1)
        k->shape.merge = (size_t)(1.0 / ratio);
    else
        sn_config_fail(&k->whole, SN_EFORMAT, "downsample_ratio is not a number from 0.01 to 1");
    if (norm != NULL && strcmp(norm, "layer_norm") != 0)
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "norm_type is %.40s, want layer_norm", norm);
    if (strcmp(act_of(k, "gelu"), "gelu") != 0)
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "hidden_act is %.40s, want gelu", act_of(k, "gelu"));
}

static void internvl_hf_read(vis_conversion *k)
{
    const char *select = sn_json_str(sn_json_get(k->core.json, "vision_feature_select_strategy")),
               *act = sn_json_str(sn_json_get(k->core.json, "projector_hidden_act"));
    internvl_read(k);
    if (sn_config_real_of(&k->whole, sn_json_get(k->core.json, "vision_feature_layer"), "vision_feature_layer", -1) != -1)
        sn_config_fail(&k->whole, SN_EUNSUPPORTED, "vision_feature_layer is not the last");
    if (select != NULL && strcmp(select, "default") != 0)
        sn_config_fail(&k->whole, SN_EUNSUPPORTED, "vision_feature_select_strategy is not \"default\": the class row is not dropped");
    if (act != NULL && strcmp(act, "gelu") != 0)
        sn_config_fail(&k->whole, SN_EUNSUPPORTED, "projector_hidden_act is %.40s, want gelu", act);
}

/* How many tiles: a number of the file or, of the "-hf" folders, of the processor; where that has none, 1 to 12 are the rule here too. */
static void tile_key(vis_conversion *k, sn_gguf_writer *w, const char *key, const cJSON *v, const char *name)
{
    const double n = sn_config_real_of(&k->whole, v, name, 0);
    if (v == NULL || k->whole.status != SN_OK) return;
    if (!(n >= 1 && n <= 1024) || n != floor(n))
        sn_config_fail(&k->whole, SN_EFORMAT, "%s is not a number of tiles", name);
    else
        sn_gguf_set_u32(w, key, (uint32_t)n);
}

static void internvl_keys(vis_conversion *k, sn_gguf_writer *w)
{
    act_keys(k, w);
    sn_gguf_set_u32(w, "clip.vision.projector.scale_factor", (uint32_t)k->shape.merge);
    tile_key(k, w, "clip.vision.preproc_min_tiles", sn_json_get(k->core.json, "min_dynamic_patch"), "min_dynamic_patch");
    tile_key(k, w, "clip.vision.preproc_max_tiles", sn_json_get(k->core.json, "max_dynamic_patch"), "max_dynamic_patch");
}

static void internvl_hf_keys(vis_conversion *k, sn_gguf_writer *w)
{
    act_keys(k, w);
    sn_gguf_set_u32(w, "clip.vision.projector.scale_factor", (uint32_t)k->shape.merge);
    tile_key(k, w, "clip.vision.preproc_min_tiles", vis_convert_processor(k, "min_patches"), "min_patches");
    tile_key(k, w, "clip.vision.preproc_max_tiles", vis_convert_processor(k, "max_patches"), "max_patches");
}

/* ---- Qwen2-VL and Qwen2.5-VL ---- */
/* clang-format off */
#define QWEN_PATCHES \
    {"patch_embed.proj.weight", "v.patch_embd.weight", {X_EMBD, X_RGB, X_PATCH, X_PATCH}, SN_EDIT_FRAME_1, SN_AS_F16_OR_F32, false}, \
    {"patch_embed.proj.weight", "v.patch_embd.weight.1", {X_EMBD, X_RGB, X_PATCH, X_PATCH}, SN_EDIT_FRAME_2, SN_AS_F16_OR_F32, false}
static const sn_convert_row qwen2vl[] = {
    QWEN_PATCHES, NORM("merger.ln_q", "v.post_ln", X_EMBD),
    LINEAR("merger.mlp.0", "mm.0", X_MERGED, X_MERGED), LINEAR("merger.mlp.2", "mm.2", X_TEXT, X_MERGED), {0}};
static const sn_convert_row qwen2vl_layer[] = {
    NORM("norm1", "ln1", X_EMBD), NORM("norm2", "ln2", X_EMBD), QKV, LINEAR("attn.proj", "attn_out", X_EMBD, X_EMBD),
    LINEAR("mlp.fc1", "ffn_up", X_FF, X_EMBD), LINEAR("mlp.fc2", "ffn_down", X_EMBD, X_FF), {0}};
static const sn_convert_row qwen25vl_layer[] = {
    NORM("norm1", "ln1", X_EMBD), NORM("norm2", "ln2", X_EMBD), QKV, LINEAR("attn.proj", "attn_out", X_EMBD, X_EMBD),
    LINEAR("mlp.gate_proj", "ffn_gate", X_FF, X_EMBD), LINEAR("mlp.up_proj", "ffn_up", X_FF, X_EMBD),
    LINEAR("mlp.down_proj", "ffn_down", X_EMBD, X_FF), {0}};
/* clang-format on */

static void merge_read(vis_conversion *k)
{
    k->shape.merge = sn_config_count(&k->part, "spatial_merge_size", 2, 64);
    if (sn_config_count(&k->part, "temporal_patch_size", 2, 1024) != 2)
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "temporal_patch_size is not 2");
    k->shape.eps = sn_config_real_of(&k->whole, sn_json_get(k->core.json, "rms_norm_eps"), "rms_norm_eps", 1e-6);
}

/* Its hidden_size is the decoder's, and llama.cpp's converter gives that as the width of the feed-forward. */
static void qwen2vl_read(vis_conversion *k)
{
    merge_read(k);
    const double ratio = sn_config_real(&k->part, "mlp_ratio", 4);
    if (!(ratio > 0 && ratio <= 64)) sn_config_fail(&k->part, SN_EFORMAT, "mlp_ratio is not a number up to 64");
    if (k->part.status == SN_OK) k->extents[X_FF] = (size_t)((double)k->shape.n_embd * ratio);
}

static void qwen2vl_keys(vis_conversion *k, sn_gguf_writer *w)
{
    (void)k;
    (void)w;
}

/* Every how many blocks one attends to the whole picture: their indices are n - 1, 2n - 1, ... */
static void qwen25vl_keys(vis_conversion *k, sn_gguf_writer *w)
{
    const cJSON *list = sn_config_get(&k->part, "fullatt_block_indexes"), *v;
    const bool listed =
        cJSON_IsArray(list) && cJSON_IsNumber(list->child) && list->child->valuedouble >= 0 && list->child->valuedouble < 512;
    const double every = listed ? list->child->valuedouble + 1 : 8;
    double next = every - 1;
    bool sound = listed || list == NULL;
    cJSON_ArrayForEach(v, list)
    {
        sound = sound && cJSON_IsNumber(v) && v->valuedouble == next;
        next += every;
    }
    if (!sound) sn_config_fail(&k->part, SN_EFORMAT, "fullatt_block_indexes is not every n-th block");
    flag(w, "clip.use_silu", true);
    sn_gguf_set_u32(w, "clip.vision.n_wa_pattern", (uint32_t)every);
}

/* ---- Qwen3-VL ---- */
/* clang-format off */
static const sn_convert_row qwen3vl[] = {
    QWEN_PATCHES, BIAS("patch_embed.proj", "v.patch_embd", X_EMBD),
    {"pos_embed.weight", "v.position_embd.weight", {X_PLACES, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    NORM("merger.norm", "v.post_ln", X_EMBD),
    LINEAR("merger.linear_fc1", "mm.0", X_MERGED, X_MERGED), LINEAR("merger.linear_fc2", "mm.2", X_TEXT, X_MERGED), {0}};
static const sn_convert_row qwen3vl_layer[] = {
    NORM("norm1", "ln1", X_EMBD), NORM("norm2", "ln2", X_EMBD), LINEAR("attn.qkv", "attn_qkv", X_TRIPLE, X_EMBD),
    LINEAR("attn.proj", "attn_out", X_EMBD, X_EMBD), LINEAR("mlp.linear_fc1", "ffn_up", X_FF, X_EMBD),
    LINEAR("mlp.linear_fc2", "ffn_down", X_EMBD, X_FF), {0}};
static const sn_convert_row qwen3vl_feature[] = {
    NORM("norm", "norm", X_MERGED), LINEAR("linear_fc1", "fc1", X_MERGED, X_MERGED), LINEAR("linear_fc2", "fc2", X_TEXT, X_MERGED), {0}};
/* clang-format on */

/* The learned positions make a square, whose side in pixels is called the picture's. */
static void qwen3vl_read(vis_conversion *k)
{
    const cJSON *list = sn_config_get(&k->part, "deepstack_visual_indexes"), *v;
    const size_t n_places = sn_config_count(&k->part, "num_position_embeddings", 2304, 1u << 20), side = (size_t)sqrt((double)n_places);
    bool sound = list == NULL || cJSON_IsArray(list);
    merge_read(k);
    k->in_feature = qwen3vl_feature;
    k->feature_from = "deepstack_merger_list.";
    k->feature_to = "v.deepstack.";
    k->shape.eps = sn_config_real_of(&k->whole, sn_config_get(&k->whole, "rms_norm_eps"), "rms_norm_eps", 1e-6);
    k->shape.image_px = side * k->shape.patch_px;
    k->extents[X_PLACES] = n_places;
    k->extents[X_TRIPLE] = 3 * k->shape.n_embd;
    if (side * side != n_places) sn_config_fail(&k->part, SN_EFORMAT, "num_position_embeddings is no square");
    if (strcmp(act_of(k, "gelu_pytorch_tanh"), "gelu_pytorch_tanh") != 0)
        sn_config_fail(&k->part, SN_EUNSUPPORTED, "hidden_act is %.40s, want gelu_pytorch_tanh", act_of(k, ""));
    cJSON_ArrayForEach(v, list)
    {
        const double least = k->n_features > 0 ? k->features[k->n_features - 1] + 1 : 0;
        sound = sound && cJSON_IsNumber(v) && v->valuedouble >= least && v->valuedouble < (double)k->shape.n_layer &&
                v->valuedouble == floor(v->valuedouble) && k->n_features + 1 < VIS_CONVERT_MAX_FEATURES;
        if (sound) k->features[k->n_features++] = (int32_t)v->valuedouble;
    }
    if (!sound)
        sn_config_fail(&k->part, SN_EFORMAT, "deepstack_visual_indexes is not up to %d blocks in their order",
                       VIS_CONVERT_MAX_FEATURES - 1);
}

static void qwen3vl_keys(vis_conversion *k, sn_gguf_writer *w)
{
    bool deep[512] = {false}; /* what read_shape allows */
    for (size_t i = 0; i < k->n_features; i++) deep[k->features[i]] = true;
    flag(w, "clip.use_gelu", true);
    sn_gguf_set_u32(w, "clip.vision.spatial_merge_size", (uint32_t)k->shape.merge);
    sn_gguf_set_array(w, "clip.vision.is_deepstack_layers", SN_KV_BOOL, deep, k->shape.n_layer);
}

/* ---- Gemma 3 ---- */
/* clang-format off */
static const sn_convert_row gemma3[] = {
    PATCHES("embeddings.patch_embedding", SN_AS_F32),
    {"embeddings.position_embedding.weight", "v.position_embd.weight", {X_PLACES, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    NORM("post_layernorm", "v.post_ln", X_EMBD),
    {"multi_modal_projector.mm_input_projection_weight", "mm.input_projection.weight", {X_EMBD, X_TEXT}, SN_EDIT_NONE, SN_AS_F16, false},
    {"multi_modal_projector.mm_soft_emb_norm.weight", "mm.soft_emb_norm.weight", {X_EMBD}, SN_EDIT_PLUS_ONE, SN_AS_F32, false}, {0}};
/* clang-format on */

static void gemma3_read(vis_conversion *k)
{
    (void)k;
}

/* The pooling's side is written where it is not 4. */
static void gemma3_keys(vis_conversion *k, sn_gguf_writer *w)
{
    const double rows = sn_config_real_of(&k->whole, vis_convert_processor(k, "image_seq_length"), "image_seq_length", 256);
    flag(w, "clip.use_gelu", true);
    if (!(rows >= 1 && rows <= 1e6)) {
        sn_config_fail(&k->whole, SN_EFORMAT, "image_seq_length of the processor is no number of rows");
        return;
    }
    const size_t pool = k->shape.image_px / k->shape.patch_px / (size_t)sqrt(rows);
    if (pool > 0 && pool != 4) sn_gguf_set_u32(w, "clip.vision.projector.scale_factor", (uint32_t)pool);
}

/* ---- all ---- */
/* clang-format off */
#define TOWER "vision_tower. vision_model."
#define CLIP_NAMES {"vision_tower. multi_modal_projector. image_newline", ".position_ids post_layernorm.", TOWER}
#define SIGLIP_NAMES {"vision_tower. multi_modal_projector. image_newline", ".position_ids post_layernorm. vision_model.head. vision_tower.head.", TOWER}
static const vis_convert_family families[] = {
    {"llava", "clip_vision_model", "mlp", CLIP_NAMES, SIZES, "encoder.layers.", llava, llava_layer,
     {224, 32, 768, 3072, 12, 12, 0, 1e-5}, llava_read, llava_keys},
    {"llava_next", "clip_vision_model", "mlp", CLIP_NAMES, SIZES, "encoder.layers.", llava, llava_layer,
     {224, 32, 768, 3072, 12, 12, 0, 1e-5}, llava_read, llavanext_keys},
    {"llava", "siglip_vision_model", "mlp", SIGLIP_NAMES, SIZES, "encoder.layers.", llava_siglip, llava_layer,
     {224, 16, 768, 3072, 12, 12, 0, 1e-6}, llava_siglip_read, llava_keys},
    {"llava_next", "siglip_vision_model", "mlp", SIGLIP_NAMES, SIZES, "encoder.layers.", llava_siglip, llava_layer,
     {224, 16, 768, 3072, 12, 12, 0, 1e-6}, llava_siglip_read, llavanext_keys},
    {"idefics3 smolvlm", NULL, "idefics3", {"vision_model. connector.", ".position_ids", TOWER}, SIZES, "encoder.layers.", idefics3, siglip_layer,
     {224, 32, 1152, 3072, 12, 16, 0, 1e-6}, idefics3_read, idefics3_keys},
    {"llava mistral3", "pixtral", "pixtral",
     {"vision_tower. multi_modal_projector. language_model.model.embed_tokens. language_model.embed_tokens.", NULL,
      "vision_tower. language_model. model."}, SIZES, "transformer.layers.", pixtral, pixtral_layer,
     {1024, 16, 1024, 4096, 24, 16, 0, 1e-5}, pixtral_read, pixtral_keys},
    {"internvl_chat", NULL, "internvl", {"vision_model. mlp1.", NULL, TOWER}, SIZES, "encoder.layers.", internvl, internvl_layer,
     {0, 0, 0, 0, 0, 0, 0, 1e-6}, internvl_read, internvl_keys},
    {"internvl", NULL, "internvl", {"vision_tower. multi_modal_projector.", "mask_token", TOWER}, SIZES, "encoder.layer.", internvl_hf,
     internvl_hf_layer, {448, 14, 1024, 4096, 24, 16, 0, 1e-6}, internvl_hf_read, internvl_hf_keys},
    {"qwen2_vl", NULL, "qwen2vl_merger", {"visual.", NULL, "visual."}, "embed_dim", "hidden_size", "depth", "num_heads",
     "blocks.", qwen2vl, qwen2vl_layer, {560, 14, 1280, 3584, 32, 16, 0, 1e-6}, qwen2vl_read, qwen2vl_keys},
    {"qwen2_5_vl", NULL, "qwen2.5vl_merger", {"visual.", NULL, "visual."}, "hidden_size", "intermediate_size", "depth", "num_heads",
     "blocks.", qwen2vl, qwen25vl_layer, {560, 14, 3584, 3420, 32, 16, 0, 1e-6}, merge_read, qwen25vl_keys},
    {"qwen3_vl", NULL, "qwen3vl_merger", {"visual.", NULL, "visual."}, "hidden_size", "intermediate_size", "depth", "num_heads",
     "blocks.", qwen3vl, qwen3vl_layer, {768, 16, 1152, 4304, 27, 16, 0, 1e-6}, qwen3vl_read, qwen3vl_keys},
    {"gemma3", NULL, "gemma3", {"vision_tower. multi_modal_projector.", "vision_model.head. vision_tower.head. .position_ids", TOWER}, SIZES, "encoder.layers.",
     gemma3, siglip_layer, {224, 16, 768, 3072, 12, 12, 0, 1e-6}, gemma3_read, gemma3_keys},
};
/* clang-format on */

const vis_convert_family *vis_convert_family_find(const char *model_type, const char *part_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const vis_convert_family *f = &families[i];
        const bool part = part_type == NULL || f->part_types == NULL || strcmp(f->part_types, part_type) == 0;
        if (part && sn_convert_listed(f->model_types, model_type)) return f;
    }
    return NULL;
}
