/* convert.c: the sound encoder and projector of a Hugging Face folder as an mmproj GGUF, with the keys and names of llama.cpp's converter
 * (convert_hf_to_gguf.py --mmproj). The encoders are all Whisper's. */
#include "../core/convert.h"

#include "audio.h"

#include <stdio.h>
#include <string.h>

#define MAX_SIDE (1u << 20)

/* The axes of tensors. */
typedef enum {
    X_END,  /* ends the axes */
    X_ONE,  /* 1 */
    X_TAPS, /* of a convolution: 3 */
    X_MEL,
    X_EMBD,
    X_FF,
    X_PLACES, /* rows of the encoder's output */
    X_TEXT,   /* what the decoder takes */
    X_STACK,  /* rows side by side */
    X_BOTH,   /* values and gates of the projector */
    X_HALF,   /* its values */
    N_EXTENTS
} extent;

typedef struct {
    const char *model_type, *projector;           /* of config.json; clip.projector_type */
    const char *n_embd, *n_ff, *n_layer, *n_head; /* keys of audio_config */
    size_t defaults[5];                           /* n_embd, n_ff, n_layer, n_head, n_mel: transformers' */
    const sn_convert_row *adapter;
    size_t stack; /* rows that are put side by side; 0: none; 1: config.json's stack_factor */
} family;

typedef struct {
    sn_convert core;
    sn_config whole, part; /* config.json with text_config in front; its audio_config alone */
    const family *family;
    size_t n_embd, n_ff, n_layer, n_head, n_mel, n_text, stack;
    size_t extents[N_EXTENTS];
} conversion;

/* clang-format off */
#define WEIGHT(from, to, rows, cols) {from ".weight", to ".weight", {rows, cols}, SN_EDIT_NONE, SN_AS_MATRIX, false}
#define VECTOR(from, to, n) {from, to, {n}, SN_EDIT_NONE, SN_AS_F32, false}
#define NORM(from, to) VECTOR(from ".weight", to ".weight", X_EMBD), VECTOR(from ".bias", to ".bias", X_EMBD)
#define LINEAR(from, to, rows, cols) WEIGHT(from, to, rows, cols), VECTOR(from ".bias", to ".bias", rows)
#define CONV(from, to, in) \
    {from ".weight", to ".weight", {X_EMBD, in, X_TAPS}, SN_EDIT_NONE, SN_AS_F16, false}, \
    {from ".bias", to ".bias", {X_EMBD, X_ONE}, SN_EDIT_COLUMN, SN_AS_F32, false}

static const sn_convert_row encoder[] = {
    CONV("conv1", "a.conv1d.1", X_MEL), CONV("conv2", "a.conv1d.2", X_EMBD),
    {"embed_positions.weight", "a.position_embd.weight", {X_PLACES, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false},
    NORM("layer_norm", "a.post_ln"), {0}};
static const sn_convert_row layer[] = {
    NORM("self_attn_layer_norm", "ln1"), NORM("final_layer_norm", "ln2"),
    LINEAR("self_attn.q_proj", "attn_q", X_EMBD, X_EMBD), WEIGHT("self_attn.k_proj", "attn_k", X_EMBD, X_EMBD),
    LINEAR("self_attn.v_proj", "attn_v", X_EMBD, X_EMBD), LINEAR("self_attn.out_proj", "attn_out", X_EMBD, X_EMBD),
    LINEAR("fc1", "ffn_up", X_FF, X_EMBD), LINEAR("fc2", "ffn_down", X_EMBD, X_FF), {0}};
static const sn_convert_row ultravox[] = {
    VECTOR("multi_modal_projector.ln_pre.weight", "mm.a.norm_pre.weight", X_STACK),
    WEIGHT("multi_modal_projector.linear_1", "mm.a.mlp.1", X_BOTH, X_STACK),
    VECTOR("multi_modal_projector.ln_mid.weight", "mm.a.norm_mid.weight", X_HALF),
    WEIGHT("multi_modal_projector.linear_2", "mm.a.mlp.2", X_TEXT, X_HALF), {0}};
static const sn_convert_row voxtral[] = {
    WEIGHT("multi_modal_projector.linear_1", "mm.a.mlp.1", X_TEXT, X_STACK),
    WEIGHT("multi_modal_projector.linear_2", "mm.a.mlp.2", X_TEXT, X_TEXT), {0}};
static const sn_convert_row qwen2audio[] = {LINEAR("multi_modal_projector.linear", "mm.a.fc", X_TEXT, X_EMBD), {0}};

#define WHISPER_SIZES "d_model", "encoder_ffn_dim", "encoder_layers", "encoder_attention_heads"
static const family families[] = {
    {"ultravox", "ultravox", WHISPER_SIZES, {384, 1536, 4, 6, 80}, ultravox, 1},
    {"voxtral", "voxtral", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", {1280, 5120, 32, 20, 128}, voxtral, 4},
    {"qwen2_audio", "qwen2a", WHISPER_SIZES, {1280, 5120, 32, 20, 128}, qwen2audio, 0},
};
/* clang-format on */

static const sn_convert_names names = {"audio_tower. multi_modal_projector.", NULL, "audio_tower."};

static const family *find(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(families[i].model_type, model_type) == 0) return &families[i];
    return NULL;
}

bool aud_converts(const char *model_type)
{
    return find(model_type) != NULL;
}

/* ---- configuration ---- */

static sn_status read_shape(conversion *k)
{
    const family *f = k->family;
    sn_config *c = &k->part;
    k->n_embd = sn_config_count(c, f->n_embd, f->defaults[0], MAX_SIDE);
    k->n_ff = sn_config_count(c, f->n_ff, f->defaults[1], MAX_SIDE);
    k->n_layer = sn_config_count(c, f->n_layer, f->defaults[2], 512);
    k->n_head = sn_config_count(c, f->n_head, f->defaults[3], 4096);
    k->n_mel = sn_config_count(c, "num_mel_bins", f->defaults[4], 1024);
    k->n_text = sn_config_count(&k->whole, "hidden_size", 4096, MAX_SIDE);
    k->stack = f->stack == 1 ? sn_config_count(&k->whole, "stack_factor", 8, 64) : f->stack;
    sn_config own = k->whole;
    own.part = NULL; /* the projector's width has the name of the decoder's */
    const size_t both = f->stack == 1 ? sn_config_count(&own, "hidden_size", 4096, MAX_SIDE) : 2;
    const size_t extents[N_EXTENTS] = {[X_ONE] = 1,          [X_TAPS] = 3,
                                       [X_MEL] = k->n_mel,   [X_EMBD] = k->n_embd,
                                       [X_FF] = k->n_ff,     [X_PLACES] = sn_config_count(c, "max_source_positions", 1500, 1u << 20),
                                       [X_TEXT] = k->n_text, [X_STACK] = k->stack * k->n_embd,
                                       [X_BOTH] = both,      [X_HALF] = both / 2};
    memcpy(k->extents, extents, sizeof extents);
    if (c->status != SN_OK) return c->status;
    if (own.status != SN_OK) return own.status;
    if (k->n_embd % k->n_head != 0 || both % 2 != 0)
        return sn_config_fail(c, SN_EFORMAT, "its numbers of heads or their sizes make no sense");
    return k->whole.status;
}

static sn_status read_config(conversion *k, char *part_path, size_t room, sn_err *err)
{
    const cJSON *root = k->core.json, *audio = sn_json_get(root, "audio_config");
    const char *type = sn_json_str(sn_json_get(root, "model_type"));
    snprintf(part_path, room, "%s: audio_config", k->core.config_path);
    k->whole = (sn_config){.path = k->core.config_path, .root = root, .part = sn_json_get(root, "text_config"), .err = err};
    k->part = (sn_config){.path = part_path, .root = audio, .err = err};
    if (type == NULL) return sn_config_fail(&k->whole, SN_EFORMAT, "names no model_type");
    k->family = find(type);
    if (k->family == NULL)
        return sn_config_fail(&k->whole, SN_EUNSUPPORTED, "the encoder of a model of type \"%.40s\" cannot be converted", type);
    if (!cJSON_IsObject(audio)) return sn_config_fail(&k->whole, SN_EFORMAT, "has no audio_config");
    if (sn_config_get(&k->whole, "quantization_config") != NULL)
        return sn_config_fail(&k->whole, SN_EUNSUPPORTED, "its weights are quantised already; convert the original");
    return read_shape(k);
}

/* ---- the file ---- */

static sn_status plan(conversion *k)
{
    char from[32], to[32], what[96];
    sn_status st = sn_convert_rows(&k->core, encoder, k->extents, "", "");
    for (size_t il = 0; il < k->n_layer && st == SN_OK; il++) {
        snprintf(from, sizeof from, "layers.%zu.", il);
        snprintf(to, sizeof to, "a.blk.%zu.", il);
        st = sn_convert_rows(&k->core, layer, k->extents, from, to);
    }
    if (st == SN_OK) st = sn_convert_rows(&k->core, k->family->adapter, k->extents, "", "");
    snprintf(what, sizeof what, "the encoder of a model of type %s", k->family->model_type);
    return st == SN_OK ? sn_convert_all_taken(&k->core, what) : st;
}

static sn_status write_keys(void *user, sn_gguf_writer *w, sn_err *err)
{
    conversion *k = user;
    (void)err;
    sn_gguf_set_bool(w, "clip.has_audio_encoder", true);
    sn_gguf_set_str(w, "clip.projector_type", k->family->projector, strlen(k->family->projector));
    sn_gguf_set_u32(w, "clip.audio.projection_dim", (uint32_t)k->n_text);
    sn_gguf_set_u32(w, "clip.audio.embedding_length", (uint32_t)k->n_embd);
    sn_gguf_set_u32(w, "clip.audio.feed_forward_length", (uint32_t)k->n_ff);
    sn_gguf_set_u32(w, "clip.audio.block_count", (uint32_t)k->n_layer);
    sn_gguf_set_u32(w, "clip.audio.attention.head_count", (uint32_t)k->n_head);
    sn_gguf_set_f32(w, "clip.audio.attention.layer_norm_epsilon", (float)sn_config_real(&k->part, "layer_norm_eps", 1e-5));
    sn_gguf_set_u32(w, "clip.audio.num_mel_bins", (uint32_t)k->n_mel);
    if (k->stack > 0) sn_gguf_set_u32(w, "clip.audio.projector.stack_factor", (uint32_t)k->stack);
    return k->part.status;
}

static sn_status opens(const char *path, sn_compute *c, sn_err *err)
{
    aud_model *m = NULL;
    const sn_status st = aud_model_open(&m, path, c, err);
    aud_model_close(m);
    return st;
}

static sn_status is_encoder(const char *path, sn_err *err)
{
    return sn_convert_opens(path, opens, err);
}

sn_status aud_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    char part_path[1024];
    conversion k = {0};
    sn_status st = sn_convert_config(&k.core, dir, params, err);
    if (st == SN_OK) st = read_config(&k, part_path, sizeof part_path, err);
    if (st == SN_OK) st = sn_convert_weights(&k.core, sn_convert_name_of, &names);
    if (st == SN_OK) st = plan(&k);
    k.core.check = is_encoder;
    if (st == SN_OK) st = sn_convert_write(&k.core, out_path, "clip", "mmproj", write_keys, &k);
    sn_convert_close(&k.core);
    return st;
}
