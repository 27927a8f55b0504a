/* convert.c: the picture encoder and projector of a Hugging Face folder as an mmproj GGUF, with the keys and names of llama.cpp's converter
 * (convert_hf_to_gguf.py --mmproj; of LLaVA, which that refuses, its legacy convert_image_encoder_to_gguf.py). */
#include "convert.h"

#include "vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE (1u << 20)

const cJSON *vis_convert_processor(const vis_conversion *k, const char *key)
{
    const cJSON *places[] = {sn_json_get(k->processor, "image_processor"), k->processor, k->preprocessor};
    const cJSON *v = NULL;
    for (size_t i = 0; v == NULL && i < sizeof places / sizeof *places; i++) v = sn_json_get(places[i], key);
    return v;
}

/* The id of a token in a list of objects that name it `text` and number it `id`. */
static const cJSON *listed(const cJSON *list, const char *name_key, const char *id_key, const char *name)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, list)
    {
        const char *text = sn_json_str(sn_json_get(t, name_key));
        if (text != NULL && strcmp(text, name) == 0) return sn_json_get(t, id_key);
    }
    return NULL;
}

/* tekken.json (Mistral's own): files of before version 8 need not list their special tokens, which are these then. */
static double id_in_tekken(const cJSON *file, const char *name)
{
    static const char *const unlisted[] = {"[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]"}; /* from 10 on */
    const cJSON *list = sn_json_get(file, "special_tokens"), *id = listed(list, "token_str", "rank", name);
    if (cJSON_IsNumber(id)) return id->valuedouble;
    for (size_t i = 0; file != NULL && list == NULL && i < sizeof unlisted / sizeof *unlisted; i++)
        if (strcmp(unlisted[i], name) == 0) return (double)(10 + i);
    return -1;
}

/* Where the tokenizer's files have the token: tokenizer_config.json, tokenizer.json or, where that is not there, tekken.json. */
static sn_status id_of(const vis_conversion *k, const char *name, double *id)
{
    cJSON *settings = NULL, *tokenizer = NULL, *tekken = NULL;
    sn_status st = sn_json_open_in(&settings, k->core.dir, "tokenizer_config.json", k->core.err);
    if (st == SN_OK) st = sn_json_open_in(&tokenizer, k->core.dir, "tokenizer.json", k->core.err);
    if (st == SN_OK && tokenizer == NULL) st = sn_json_open_in(&tekken, k->core.dir, "tekken.json", k->core.err);
    const cJSON *found = listed(sn_json_get(tokenizer, "added_tokens"), "content", "id", name);
    *id = cJSON_IsNumber(found) ? found->valuedouble : id_in_tekken(tekken, name);
    const cJSON *t, *decoder = tekken == NULL ? sn_json_object(sn_json_get(settings, "added_tokens_decoder")) : NULL;
    cJSON_ArrayForEach(t, decoder)
    {
        const char *text = sn_json_str(sn_json_get(t, "content"));
        if (text != NULL && strcmp(text, name) == 0) *id = strtod(t->string, NULL);
    }
    cJSON_Delete(settings);
    cJSON_Delete(tokenizer);
    cJSON_Delete(tekken);
    return st;
}

size_t vis_convert_token(vis_conversion *k, const char *text)
{
    double id = -1;
    const sn_status st = id_of(k, text, &id);
    if (st == SN_OK && id >= 0 && id < (double)k->extents[X_VOCAB]) return (size_t)id;
    if (st == SN_OK)
        sn_config_fail(&k->whole, SN_EFORMAT, "its tokenizer has no token %s that is one of %zu words", text, k->extents[X_VOCAB]);
    else
        k->whole.status = st;
    return 0;
}

/* ---- configuration ---- */

/* A side in pixels: a number, or a list of two equal ones. */
static size_t side_of(sn_config *c, const char *key, size_t absent, size_t max)
{
    const cJSON *v = sn_config_get(c, key), *first = cJSON_GetArrayItem(v, 0), *second = cJSON_GetArrayItem(v, 1);
    if (!cJSON_IsArray(v)) return sn_config_count(c, key, absent, max);
    const double n = cJSON_IsNumber(first) ? first->valuedouble : 0;
    if (cJSON_GetArraySize(v) == 2 && n >= 1 && n <= (double)max && n == floor(n) && cJSON_IsNumber(second) && second->valuedouble == n)
        return (size_t)n;
    sn_config_fail(c, SN_EUNSUPPORTED, "%s is not one side, or two equal ones", key);
    return 1;
}

static sn_status read_shape(vis_conversion *k)
{
    const vis_convert_family *f = k->family;
    const vis_convert_shape *d = &f->defaults;
    vis_convert_shape *s = &k->shape;
    sn_config *c = &k->part;
    *s = (vis_convert_shape){.image_px = side_of(c, "image_size", d->image_px, 65536),
                             .patch_px = side_of(c, "patch_size", d->patch_px, 1024),
                             .n_embd = sn_config_count(c, f->n_embd, d->n_embd, MAX_SIDE),
                             .n_ff = sn_config_count(c, f->n_ff, d->n_ff, MAX_SIDE),
                             .n_layer = sn_config_count(c, f->n_layer, d->n_layer, 512),
                             .n_head = sn_config_count(c, f->n_head, d->n_head, 4096),
                             .eps = sn_config_real(c, "layer_norm_eps", d->eps),
                             .merge = 1};
    if (c->status != SN_OK) return c->status;
    if (s->n_embd % s->n_head != 0 || s->n_embd / s->n_head % 2 != 0 || s->image_px < s->patch_px || !(s->eps > 0 && s->eps < 1))
        return sn_config_fail(c, SN_EFORMAT, "its numbers of heads, pixels or its layer_norm_eps make no sense");
    const size_t side = s->image_px / s->patch_px;
    k->n_run = s->n_layer;
    k->core.head = s->n_embd / s->n_head;
    k->n_text = k->n_projection = sn_config_count(&k->whole, "hidden_size", 4096, MAX_SIDE);
    const size_t extents[N_EXTENTS] = {[X_ONE] = 1,
                                       [X_RGB] = 3,
                                       [X_PATCH] = s->patch_px,
                                       [X_EMBD] = s->n_embd,
                                       [X_FF] = s->n_ff,
                                       [X_TEXT] = k->n_text,
                                       [X_PLACES] = side * side,
                                       [X_PLACES_CLASS] = side * side + 1,
                                       [X_VOCAB] = sn_config_count(&k->whole, "vocab_size", 32000, 1u << 24)};
    memcpy(k->extents, extents, sizeof extents);
    if (k->whole.status == SN_OK) f->read(k);
    k->extents[X_MERGED] = s->n_embd * s->merge * s->merge;
    return k->whole.status != SN_OK ? k->whole.status : k->part.status;
}

static sn_status read_config(vis_conversion *k, char *part_path, size_t room, sn_err *err)
{
    const cJSON *root = k->core.json, *text = sn_json_get(root, "text_config"), *vision = sn_json_get(root, "vision_config");
    const char *type = sn_json_str(sn_json_get(root, "model_type")), *part_type = sn_json_str(sn_json_get(vision, "model_type"));
    if (text == NULL) text = sn_json_get(root, "llm_config"); /* InternVL */
    snprintf(part_path, room, "%s: vision_config", k->core.config_path);
    k->whole = (sn_config){.path = k->core.config_path, .root = root, .part = text, .err = err};
    k->part = (sn_config){.path = part_path, .root = vision, .err = err};
    if (type == NULL) return sn_config_fail(&k->whole, SN_EFORMAT, "names no model_type");
    if (!cJSON_IsObject(vision)) return sn_config_fail(&k->whole, SN_EFORMAT, "has no vision_config");
    k->family = vis_convert_family_find(type, part_type);
    if (k->family == NULL)
        return sn_config_fail(&k->whole, SN_EUNSUPPORTED, "the encoder of a model of type \"%.40s\" (%.40s) cannot be converted", type,
                              part_type != NULL ? part_type : "none");
    if (sn_config_get(&k->whole, "quantization_config") != NULL)
        return sn_config_fail(&k->whole, SN_EUNSUPPORTED, "its weights are quantised already; convert the original");
    sn_status st = sn_json_open_in(&k->preprocessor, k->core.dir, "preprocessor_config.json", err);
    if (st == SN_OK) st = sn_json_open_in(&k->processor, k->core.dir, "processor_config.json", err);
    return st == SN_OK ? read_shape(k) : st;
}

/* ---- names ---- */

/* Blocks behind the one whose output is used are passed over. */
static bool name_of(const void *user, char *name)
{
    const vis_conversion *k = user;
    const size_t n = strlen(k->family->layer);
    size_t il;
    if (!sn_convert_name_of(&k->family->names, name)) return false;
    return strncmp(name, k->family->layer, n) != 0 || sscanf(name + n, "%zu", &il) != 1 || il < k->n_run || il >= k->shape.n_layer;
}

static sn_status plan(vis_conversion *k)
{
    char from[64], to[32], what[96];
    sn_status st = sn_convert_rows(&k->core, k->family->whole, k->extents, "", "");
    for (size_t il = 0; il < k->n_run && st == SN_OK; il++) {
        snprintf(from, sizeof from, "%s%zu.", k->family->layer, il);
        snprintf(to, sizeof to, "v.blk.%zu.", il);
        st = sn_convert_rows(&k->core, k->family->in_layer, k->extents, from, to);
    }
    for (size_t i = 0; i < k->n_features && k->in_feature != NULL && st == SN_OK; i++) {
        snprintf(from, sizeof from, "%s%zu.", k->feature_from, i);
        snprintf(to, sizeof to, "%s%d.", k->feature_to, (int)k->features[i]);
        st = sn_convert_rows(&k->core, k->in_feature, k->extents, from, to);
    }
    snprintf(what, sizeof what, "the encoder of a model of type %.40s", sn_json_str(sn_json_get(k->core.json, "model_type")));
    return st == SN_OK ? sn_convert_all_taken(&k->core, what) : st;
}

/* ---- keys ---- */

static sn_status three(const vis_conversion *k, sn_gguf_writer *w, const char *key, const char *name, sn_err *err)
{
    float v[3];
    const cJSON *list = vis_convert_processor(k, name), *e;
    size_t n = 0;
    cJSON_ArrayForEach(e, list)
    {
        if (n < 3 && cJSON_IsNumber(e) && fabs(e->valuedouble) <= 1e6) v[n] = (float)e->valuedouble;
        n += cJSON_IsNumber(e) && fabs(e->valuedouble) <= 1e6 ? 1 : 4;
    }
    if (n != 3) return sn_fail(err, SN_EFORMAT, "%s/preprocessor_config.json: %s is not three numbers", k->core.dir, name);
    sn_gguf_set_array(w, key, SN_KV_F32, v, 3);
    return SN_OK;
}

static sn_status write_keys(void *user, sn_gguf_writer *w, sn_err *err)
{
    vis_conversion *k = user;
    const vis_convert_shape *s = &k->shape;
    sn_gguf_set_bool(w, "clip.has_vision_encoder", true);
    sn_gguf_set_str(w, "clip.projector_type", k->family->projector, strlen(k->family->projector));
    sn_gguf_set_u32(w, "clip.vision.image_size", (uint32_t)s->image_px);
    sn_gguf_set_u32(w, "clip.vision.patch_size", (uint32_t)s->patch_px);
    sn_gguf_set_u32(w, "clip.vision.embedding_length", (uint32_t)s->n_embd);
    sn_gguf_set_u32(w, "clip.vision.feed_forward_length", (uint32_t)s->n_ff);
    sn_gguf_set_u32(w, "clip.vision.block_count", (uint32_t)k->n_run);
    sn_gguf_set_u32(w, "clip.vision.attention.head_count", (uint32_t)s->n_head);
    sn_gguf_set_f32(w, "clip.vision.attention.layer_norm_epsilon", (float)s->eps);
    sn_gguf_set_u32(w, "clip.vision.projection_dim", (uint32_t)k->n_projection);
    sn_status st = three(k, w, "clip.vision.image_mean", "image_mean", err);
    if (st == SN_OK) st = three(k, w, "clip.vision.image_std", "image_std", err);
    if (st == SN_OK) k->family->keys(k, w);
    if (st == SN_OK) st = k->part.status;
    return st == SN_OK ? k->whole.status : st;
}

bool vis_converts(const char *model_type)
{
    return vis_convert_family_find(model_type, NULL) != NULL;
}

static sn_status opens(const char *path, sn_compute *c, sn_err *err)
{
    vis_model *m = NULL;
    const sn_status st = vis_model_open(&m, path, c, err);
    vis_model_close(m);
    return st;
}

static sn_status is_encoder(const char *path, sn_err *err)
{
    return sn_convert_opens(path, opens, err);
}

sn_status vis_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    char part_path[1024];
    vis_conversion k = {0};
    sn_status st = sn_convert_config(&k.core, dir, params, err);
    if (st == SN_OK) st = read_config(&k, part_path, sizeof part_path, err);
    if (st == SN_OK) st = sn_convert_weights(&k.core, name_of, &k);
    if (st == SN_OK) st = plan(&k);
    k.core.check = is_encoder;
    if (st == SN_OK) st = sn_convert_write(&k.core, out_path, "clip", "mmproj", write_keys, &k);
    cJSON_Delete(k.preprocessor);
    cJSON_Delete(k.processor);
    sn_convert_close(&k.core);
    return st;
}
