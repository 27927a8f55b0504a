/* convert.c: a Hugging Face folder's text model as GGUF, a piece at a time. */
#include "convert.h"

#include "../core/mem.h"
#include "../core/safetensors.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE (1u << 24)
#define PIECE ((size_t)1 << 20) /* bytes */

typedef struct {
    const sn_safetensor *tensor;
    char *name; /* without the parts that say that it is the text model of a larger one */
    bool used;
} source;

typedef struct {
    const source *from; /* NULL: the rotary factors */
    char name[SN_MAX_NAME + 1];
    sn_type type;
    txt_edit edit;
    size_t n_dims, shape[2]; /* written */
} output;

typedef struct {
    const char *dir;
    const txt_convert_params *params;
    cJSON *json;
    char *config_path;
    txt_config config;
    const txt_convert_family *family;
    txt_shape shape;
    sn_safetensors *weights;
    source *sources; /* [n_sources] sorted by name */
    output *outputs; /* [n_outputs] in the order of the file */
    size_t n_sources, n_outputs, cap_outputs;
    sn_type type;   /* of matrices */
    float *factors; /* [d_head / 2], NULL where there are none */
    txt_convert_vocab vocab;
    size_t done, total; /* bytes read */
} conversion;

/* ---- configuration ---- */

static size_t count_of(conversion *k, const char *key, size_t absent, size_t max)
{
    return txt_config_count(&k->config, key, absent, max);
}

static sn_status read_shape(conversion *k)
{
    txt_config *c = &k->config;
    const txt_shape *d = &k->family->defaults;
    txt_shape *s = &k->shape;
    const cJSON *rope = txt_config_get(c, "rope_parameters"), *full = sn_json_get(rope, "full_attention");
    const cJSON *theta = sn_json_get(full != NULL ? full : rope, "rope_theta");
    s->n_vocab = count_of(k, "vocab_size", d->n_vocab, MAX_SIDE);
    s->n_ctx = count_of(k, "max_position_embeddings", d->n_ctx, 1u << 30);
    s->n_embd = count_of(k, "hidden_size", d->n_embd, MAX_SIDE);
    s->n_ff = count_of(k, "intermediate_size", d->n_ff, MAX_SIDE);
    s->n_layer = count_of(k, "num_hidden_layers", d->n_layer, 1024);
    s->n_head = count_of(k, "num_attention_heads", d->n_head, 4096);
    s->n_head_kv = count_of(k, "num_key_value_heads", d->n_head_kv > 0 ? d->n_head_kv : s->n_head, 4096);
    s->eps = txt_config_real(c, "rms_norm_eps", d->eps);
    s->theta = cJSON_IsNumber(theta) ? theta->valuedouble : txt_config_real(c, "rope_theta", d->theta);
    const bool own = strcmp(k->family->arch, "granite") != 0; /* Granite's heads always share the width */
    s->d_head = s->n_embd / s->n_head;
    if (own && (d->d_head > 0 || txt_config_get(c, "head_dim") != NULL)) s->d_head = count_of(k, "head_dim", d->d_head, 65536);
    if (c->status != SN_OK) return c->status;
    if (s->d_head == 0 || s->d_head % 2 != 0 || s->n_head % s->n_head_kv != 0 || !(s->theta >= 1 && s->theta <= 1e30) ||
        !(s->eps > 0 && s->eps < 1))
        return txt_config_fail(c, SN_EFORMAT, "its numbers of heads, their size, rope_theta or rms_norm_eps make no sense");
    return SN_OK;
}

static sn_status read_config(conversion *k, sn_err *err)
{
    if (asprintf(&k->config_path, "%s/config.json", k->dir) < 0) {
        k->config_path = NULL;
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", k->dir);
    }
    sn_status st = sn_json_open(&k->json, k->config_path, err);
    if (st != SN_OK) return st;
    const cJSON *text = sn_json_get(k->json, "text_config");
    if (text == NULL) text = sn_json_get(k->json, "llm_config"); /* InternVL */
    k->config = (txt_config){.path = k->config_path, .root = k->json, .text = text, .err = err};
    const char *model_type = sn_json_str(txt_config_get(&k->config, "model_type"));
    if (model_type == NULL) return txt_config_fail(&k->config, SN_EFORMAT, "names no model_type");
    k->family = txt_convert_family_find(model_type);
    const char *whole = sn_json_str(sn_json_get(k->json, "model_type")); /* that the text is a part of: may have a name of its own */
    const txt_convert_family *own = whole != NULL && k->family != NULL ? txt_convert_family_find(whole) : NULL;
    if (own != NULL) k->family = own;
    if (k->family == NULL) return txt_config_fail(&k->config, SN_EUNSUPPORTED, "a model of type \"%.40s\" cannot be converted", model_type);
    if (txt_config_get(&k->config, "quantization_config") != NULL)
        return txt_config_fail(&k->config, SN_EUNSUPPORTED, "its weights are quantised already; convert the original");
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

static int by_name(const void *a, const void *b)
{
    return strcmp(((const source *)a)->name, ((const source *)b)->name);
}

static sn_status list_sources(conversion *k, sn_err *err)
{
    const size_t n = sn_safetensors_n(k->weights);
    k->sources = sn_calloc(n, sizeof *k->sources);
    if (k->sources == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", k->dir);
    for (size_t i = 0; i < n; i++) {
        const sn_safetensor *t = sn_safetensors_at(k->weights, i);
        if (not_text(t->name)) continue;
        source *s = &k->sources[k->n_sources++];
        *s = (source){.tensor = t, .name = strdup(t->name)};
        if (s->name == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", k->dir);
        without(s->name, "language_model.");
        without(s->name, "text_model.");
    }
    qsort(k->sources, k->n_sources, sizeof *k->sources, by_name);
    for (size_t i = 1; i < k->n_sources; i++)
        if (by_name(&k->sources[i - 1], &k->sources[i]) == 0)
            return sn_fail(err, SN_EFORMAT, "%s: %.80s stands there twice", k->dir, k->sources[i].name);
    return SN_OK;
}

static source *find(const conversion *k, const char *name)
{
    const source key = {.name = (char *)(uintptr_t)name};
    return bsearch(&key, k->sources, k->n_sources, sizeof *k->sources, by_name);
}

/* ---- the plan ---- */

/* The type that most of the weights have is that of the first matrix that is stored in 16 bits. */
static void choose_type(conversion *k)
{
    k->type = k->params->type;
    for (size_t i = 0; k->type == SN_TYPE_MAX && i < sn_safetensors_n(k->weights); i++) {
        const sn_safetensor *t = sn_safetensors_at(k->weights, i);
        if (t->n_dims >= 2 && !not_text(t->name) && (t->type == SN_F16 || t->type == SN_BF16)) k->type = t->type;
    }
    if (k->type == SN_TYPE_MAX) k->type = SN_F16;
}

static size_t extent(const txt_shape *s, txt_extent e)
{
    switch (e) {
    case ROW_VOCAB: return s->n_vocab;
    case ROW_EMBD: return s->n_embd;
    case ROW_FF: return s->n_ff;
    case ROW_Q: return s->n_head * s->d_head;
    case ROW_KV: return s->n_head_kv * s->d_head;
    case ROW_HEAD: return s->d_head;
    case ROW_NONE: break;
    }
    return 0;
}

static sn_status add_output(conversion *k, output o, const char *prefix, const char *name, sn_err *err)
{
    snprintf(o.name, sizeof o.name, "%s%s", prefix, name);
    sn_status st = sn_grow((void **)&k->outputs, &k->cap_outputs, k->n_outputs + 1, sizeof *k->outputs, err);
    if (st == SN_OK) k->outputs[k->n_outputs++] = o;
    return st;
}

static sn_status plan_row(conversion *k, const txt_tensor_row *row, const char *from, const char *to, sn_err *err)
{
    char name[128], have[64], want[64];
    snprintf(name, sizeof name, "%s%s", from, row->from);
    source *s = find(k, name);
    if (s == NULL) return row->optional ? SN_OK : sn_fail(err, SN_ESHAPE, "%s: %s is missing", k->dir, name);
    const sn_safetensor *t = s->tensor;
    const char *path = sn_safetensors_path(k->weights, t);
    output o = {.from = s,
                .edit = row->edit,
                .n_dims = row->cols == ROW_NONE ? 1 : 2,
                .shape = {extent(&k->shape, row->rows), extent(&k->shape, row->cols)}};
    if (t->type == SN_TYPE_MAX) return sn_fail(err, SN_EUNSUPPORTED, "%s: %s is stored as %s, want F32, F16 or BF16", path, name, t->dtype);
    const bool longer = row->edit == EDIT_CUT && t->n_dims == 2 && t->shape[0] > o.shape[0];
    if (t->n_dims != o.n_dims || (t->shape[0] != o.shape[0] && !longer) || (o.n_dims == 2 && t->shape[1] != o.shape[1])) {
        sn_shape_text(want, sizeof want, o.shape, o.n_dims);
        sn_shape_text(have, sizeof have, t->shape, t->n_dims > SN_MAX_DIMS ? SN_MAX_DIMS : t->n_dims);
        return sn_fail(err, SN_ESHAPE, "%s: %s: want %s, file has %s", path, name, want, have);
    }
    s->used = true;
    o.type = o.n_dims == 1 ? SN_F32 : k->type;
    k->total += t->n_bytes;
    return add_output(k, o, to, row->to, err);
}

static sn_status plan(conversion *k, sn_err *err)
{
    char from[64], to[32];
    sn_status st = SN_OK;
    k->factors = sn_alloc(k->shape.d_head / 2, sizeof *k->factors);
    if (k->factors == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", k->dir);
    if (txt_convert_rope_factors(&k->config, &k->shape, k->factors))
        st = add_output(k, (output){.type = SN_F32, .n_dims = 1, .shape = {k->shape.d_head / 2}}, "", "rope_freqs.weight", err);
    if (k->config.status != SN_OK) return k->config.status;
    for (const txt_tensor_row *row = k->family->whole; st == SN_OK && row->from != NULL; row++) st = plan_row(k, row, "", "", err);
    for (size_t il = 0; il < k->shape.n_layer; il++) {
        snprintf(from, sizeof from, "model.layers.%zu.", il);
        snprintf(to, sizeof to, "blk.%zu.", il);
        for (const txt_tensor_row *row = k->family->layer; st == SN_OK && row->from != NULL; row++) st = plan_row(k, row, from, to, err);
    }
    for (size_t i = 0; st == SN_OK && i < k->n_sources; i++)
        if (!k->sources[i].used)
            st = sn_fail(err, SN_EUNSUPPORTED, "%s: %.80s has no place in a %s model",
                         sn_safetensors_path(k->weights, k->sources[i].tensor), k->sources[i].tensor->name, k->family->arch);
    return st;
}

/* ---- writing ---- */

/* Which row there is row r here: a head's halves are woven into one another. */
static size_t source_row(const conversion *k, txt_edit edit, size_t r)
{
    const size_t d = k->shape.d_head, at = r % d;
    return edit == EDIT_PAIRS_Q || edit == EDIT_PAIRS_KV ? r - at + at % 2 * (d / 2) + at / 2 : r;
}

/* n values, in another type. */
static sn_status change(const conversion *k, const output *o, const unsigned char *src, size_t n, float *values, void *packed, sn_err *err)
{
    const sn_safetensor *t = o->from->tensor;
    const float limit = o->type == SN_F16 ? 65504.0f : 3.4028235e38f;
    sn_type_get((uint32_t)t->type)->dequantize(values, src, n);
    for (size_t i = 0; i < n; i++) {
        if (o->edit == EDIT_PLUS_ONE) values[i] += 1;
        if (!(fabsf(values[i]) <= limit))
            return sn_fail(err, SN_EFORMAT, "%s: %s holds a value that is no finite number, or too large for %s",
                           sn_safetensors_path(k->weights, t), t->name, sn_type_get((uint32_t)o->type)->name);
    }
    sn_type_get((uint32_t)o->type)->quantize(packed, values, n);
    return SN_OK;
}

static sn_status report(conversion *k, const sn_safetensor *t, const unsigned char *p, size_t n, sn_err *err)
{
    sn_safetensors_forget(k->weights, t, p, n);
    k->done += n;
    if (k->params->progress == NULL || k->params->progress(k->params->user, k->done, k->total)) return SN_OK;
    return sn_fail(err, SN_ECANCELLED, "%s: stopped", k->dir);
}

/* Rows [r, r + n) of the output; they lie side by side there too, or n is 1. */
static sn_status write_rows(conversion *k, sn_gguf_writer *w, const output *o, size_t r, size_t n, float *values, void *packed, sn_err *err)
{
    const sn_safetensor *t = o->from->tensor;
    const size_t width = o->n_dims == 2 ? o->shape[1] : 1, bytes = sn_type_get((uint32_t)t->type)->bytes;
    const unsigned char *src = t->data + source_row(k, o->edit, r) * width * bytes;
    const size_t most = PIECE / sizeof(float);
    sn_status st = SN_OK;
    for (size_t at = 0; at < n * width && st == SN_OK; at += most) {
        const size_t count = n * width - at < most ? n * width - at : most;
        if (t->type == o->type && o->edit != EDIT_PLUS_ONE) {
            sn_gguf_write_data(w, src + at * bytes, count * bytes);
            continue;
        }
        st = change(k, o, src + at * bytes, count, values, packed, err);
        if (st == SN_OK) sn_gguf_write_data(w, packed, count * sn_type_get((uint32_t)o->type)->bytes);
    }
    return st;
}

static sn_status write_tensor(conversion *k, sn_gguf_writer *w, const output *o, float *values, void *packed, sn_err *err)
{
    const sn_safetensor *t = o->from->tensor;
    const size_t row_bytes = (o->n_dims == 2 ? o->shape[1] : 1) * sn_type_get((uint32_t)t->type)->bytes;
    const bool woven = o->edit == EDIT_PAIRS_Q || o->edit == EDIT_PAIRS_KV;
    const size_t unit = woven                   ? k->shape.d_head
                        : PIECE / row_bytes > 0 ? PIECE / row_bytes
                                                : 1; /* a woven head is done when its last row is */
    sn_status st = SN_OK;
    for (size_t r = 0; r < o->shape[0] && st == SN_OK; r += unit) {
        const size_t n = o->shape[0] - r < unit ? o->shape[0] - r : unit;
        if (!woven) st = write_rows(k, w, o, r, n, values, packed, err);
        for (size_t i = 0; woven && i < n && st == SN_OK; i++) st = write_rows(k, w, o, r + i, 1, values, packed, err);
        if (st == SN_OK && !sn_gguf_writable(w)) return SN_OK; /* sn_gguf_finish says why */
        if (st == SN_OK) st = report(k, t, t->data + r * row_bytes, n * row_bytes, err);
    }
    return st;
}

static sn_status write_keys(conversion *k, sn_gguf_writer *w, sn_err *err)
{
    const char *arch = k->family->arch, *end = k->dir + strlen(k->dir);
    while (end > k->dir && end[-1] == '/') end--;
    const char *name = end;
    while (name > k->dir && name[-1] != '/') name--;
    sn_gguf_set_str(w, "general.architecture", arch, strlen(arch));
    sn_gguf_set_str(w, "general.type", "model", 5);
    sn_gguf_set_str(w, "general.name", name, (size_t)(end - name));
    txt_convert_keys(w, &k->config, k->family, &k->shape);
    if (k->config.status != SN_OK) return k->config.status;
    sn_gguf_set_u32(w, "general.file_type", k->type == SN_F32 ? 0 : k->type == SN_F16 ? 1 : 32); /* llama.cpp's numbers */
    sn_gguf_set_u32(w, "general.quantization_version", 2);
    return txt_convert_vocab_keys(w, &k->vocab, &k->config, err);
}

static sn_status write_file(conversion *k, const char *path, sn_err *err)
{
    sn_gguf_writer *w = NULL;
    float *values = sn_alloc(PIECE, 1);
    void *packed = sn_alloc(PIECE, 1);
    sn_status st = values == NULL || packed == NULL ? sn_fail(err, SN_ENOMEM, "%s: out of memory", k->dir) : sn_gguf_create(&w, path, err);
    if (st == SN_OK) {
        st = write_keys(k, w, err);
        for (size_t i = 0; i < k->n_outputs; i++)
            sn_gguf_add_tensor(w, k->outputs[i].name, k->outputs[i].type, k->outputs[i].shape, k->outputs[i].n_dims);
        for (size_t i = 0; i < k->n_outputs && st == SN_OK && sn_gguf_writable(w); i++) {
            if (k->outputs[i].from == NULL)
                sn_gguf_write_data(w, k->factors, k->shape.d_head / 2 * sizeof *k->factors);
            else
                st = write_tensor(k, w, &k->outputs[i], values, packed, err);
        }
        if (st == SN_OK)
            st = sn_gguf_finish(w, err);
        else
            sn_gguf_abandon(w);
    }
    sn_free(values);
    sn_free(packed);
    return st;
}

sn_status txt_convert(const char *dir, const char *out_path, const txt_convert_params *params, sn_err *err)
{
    conversion k = {.dir = dir, .params = params};
    sn_status st = read_config(&k, err);
    if (st == SN_OK) st = sn_safetensors_open(&k.weights, dir, err);
    if (st == SN_OK) choose_type(&k);
    if (st == SN_OK) st = list_sources(&k, err);
    if (st == SN_OK) st = plan(&k, err);
    if (st == SN_OK) st = txt_convert_vocab_read(&k.vocab, dir, sn_json_str(txt_config_get(&k.config, "model_type")), k.shape.n_vocab, err);
    if (st == SN_OK) st = write_file(&k, out_path, err);
    for (size_t i = 0; i < k.n_sources; i++) free(k.sources[i].name);
    sn_free(k.sources);
    sn_free(k.outputs);
    sn_free(k.factors);
    txt_convert_vocab_free(&k.vocab);
    sn_safetensors_close(k.weights);
    cJSON_Delete(k.json);
    free(k.config_path);
    return st;
}
