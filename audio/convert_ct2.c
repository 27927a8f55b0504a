/* convert_ct2.c: a CTranslate2 Whisper folder as a Whisper GGUF (docs/formats.md).
 *
 * model.bin (ctranslate2/specs/model_spec.py, _serialize), little-endian and unaligned:
 *   u32 version (4 .. 6) · string "WhisperSpec" · u32 revision · u32 n, and n variables: string name, u8 rank, u32 dims
 *   (slowest first), u8 dtype, u32 bytes, data · u32 n, and n aliases: two strings. A string is a u16 length that counts the
 *   NUL at its end.
 * Queries, keys and values of self-attention are rows of one matrix there, keys and values of cross-attention of another;
 * here each is a tensor of its own, so that their names are those of whisper.cpp's files. Values of 8 and 16 bits are
 * quotients: value = code / scale, a scale for each row (8) or for all (16). */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/cursor.h"
#include "../core/mem.h"
#include "whisper.h"

#define MAX_VARIABLES 20000
#define MAX_LAYERS 256
#define MAX_NAME 128

typedef enum { CT2_F32, CT2_I8, CT2_I16, CT2_I32, CT2_F16, CT2_BF16, CT2_COUNT } ct2_type;
static const size_t type_bytes[CT2_COUNT] = {4, 1, 2, 4, 2, 2};

typedef struct {
    char name[MAX_NAME];
    ct2_type type;
    size_t n_dims, shape[SN_MAX_DIMS], n_values;
    const unsigned char *data;
} variable;

typedef struct {
    char name[MAX_NAME], target[MAX_NAME];
} alias;

typedef struct {
    const variable *var, *scale; /* scale: NULL but for 8 and 16 bits */
    char name[SN_MAX_NAME + 1];
    size_t row, n_rows, n_cols; /* rows of var, seen as [rows, n_cols] */
    size_t shape[3], n_dims;
    sn_type type; /* in the GGUF */
} output;

typedef struct {
    sn_map map; /* of model.bin */
    variable *vars;
    alias *aliases;
    size_t n_vars, n_aliases;
    sn_str *words; /* [n_words]; in `text` or `json` */
    size_t n_words, cap_words;
    sn_map text;
    cJSON *json; /* vocabulary.json */
    int32_t heads[2 * AUD_MAX_HEADS];
    size_t n_heads;
    aud_whisper_hparams hp;
    output *outs; /* [n_outs] in the order of the file */
    size_t n_outs, cap_outs;
    sn_status status; /* of the plan: the first problem sticks */
    sn_err *err;
} conversion;

/* ---- model.bin ---- */

static void read_string(sn_cursor *c, char *dst, const char *what)
{
    const size_t n = sn_cursor_u16(c, what);
    const char *p = sn_cursor_bytes(c, n, what);
    dst[0] = '\0';
    if (p == NULL) return;
    if (n == 0 || n > MAX_NAME || p[n - 1] != '\0' || memchr(p, '\0', n) != p + n - 1)
        sn_cursor_fail(c, SN_EFORMAT, "%s is not a name", what);
    else
        memcpy(dst, p, n);
}

static void read_variable(sn_cursor *c, variable *v)
{
    read_string(c, v->name, "a variable's name");
    v->n_dims = sn_cursor_u8(c, "a rank");
    v->n_values = 1;
    if (v->n_dims > SN_MAX_DIMS) {
        sn_cursor_fail(c, SN_EFORMAT, "%s has %zu dimensions", v->name, v->n_dims);
        return;
    }
    for (size_t i = 0; i < v->n_dims; i++) {
        v->shape[i] = sn_cursor_u32_in(c, 1, UINT32_MAX, "a dimension");
        if (!sn_mul_ok(v->n_values, v->shape[i], &v->n_values)) sn_cursor_fail(c, SN_EFORMAT, "%s is too large", v->name);
    }
    const unsigned type = sn_cursor_u8(c, "a data type");
    const size_t n_bytes = sn_cursor_u32(c, "a size");
    size_t want = 0;
    if (type >= CT2_COUNT)
        sn_cursor_fail(c, SN_EFORMAT, "%s has data type %u", v->name, type);
    else if (!sn_mul_ok(v->n_values, type_bytes[type], &want) || want != n_bytes)
        sn_cursor_fail(c, SN_EFORMAT, "%s has %zu bytes for %zu values", v->name, n_bytes, v->n_values);
    v->type = (ct2_type)type;
    v->data = sn_cursor_bytes(c, n_bytes, "a variable's data");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const variable *)a)->name, ((const variable *)b)->name);
}

static sn_status read_model(conversion *k, sn_err *err)
{
    sn_cursor c;
    char spec[MAX_NAME];
    sn_cursor_init(&c, k->map.data, k->map.size, err);
    sn_cursor_u32_in(&c, 4, 6, "version");
    read_string(&c, spec, "the specification's name");
    sn_cursor_u32(&c, "revision");
    if (c.status == SN_OK && strcmp(spec, "WhisperSpec") != 0)
        return sn_fail(err, SN_EUNSUPPORTED, "a CTranslate2 model of another kind (%s), want WhisperSpec", spec);
    const size_t n = sn_cursor_u32_in(&c, 1, MAX_VARIABLES, "number of variables");
    if (c.status != SN_OK) return c.status;
    k->vars = sn_calloc(n, sizeof *k->vars);
    if (k->vars == NULL) return sn_fail(err, SN_ENOMEM, "no memory for %zu variables", n);
    for (; c.status == SN_OK && k->n_vars < n; k->n_vars++) read_variable(&c, &k->vars[k->n_vars]);
    const size_t n_aliases = sn_cursor_u32_in(&c, 0, MAX_VARIABLES, "number of aliases");
    if (c.status != SN_OK) return c.status;
    k->aliases = sn_calloc(n_aliases, sizeof *k->aliases);
    if (k->aliases == NULL) return sn_fail(err, SN_ENOMEM, "no memory for %zu aliases", n_aliases);
    for (; c.status == SN_OK && k->n_aliases < n_aliases; k->n_aliases++) {
        read_string(&c, k->aliases[k->n_aliases].name, "an alias");
        read_string(&c, k->aliases[k->n_aliases].target, "an alias");
    }
    if (c.status == SN_OK && sn_cursor_left(&c) > 0) return sn_fail(err, SN_EFORMAT, "%zu bytes stand behind its end", sn_cursor_left(&c));
    qsort(k->vars, k->n_vars, sizeof *k->vars, by_name);
    for (size_t i = 1; i < k->n_vars; i++)
        if (by_name(&k->vars[i - 1], &k->vars[i]) == 0) return sn_fail(err, SN_EFORMAT, "%s stands there twice", k->vars[i].name);
    return c.status;
}

static int name_against_variable(const void *key, const void *v)
{
    return strcmp(key, ((const variable *)v)->name);
}

/* A variable by its name or an alias of it; NULL where there is none. */
static const variable *find(const conversion *k, const char *name)
{
    for (size_t i = 0; i < k->n_aliases; i++)
        if (strcmp(k->aliases[i].name, name) == 0) {
            name = k->aliases[i].target;
            break;
        }
    return bsearch(name, k->vars, k->n_vars, sizeof *k->vars, name_against_variable);
}

static float value_at(const variable *v, size_t i)
{
    const unsigned char *p = v->data + i * type_bytes[v->type];
    float f;
    uint16_t h;
    int32_t n;
    switch (v->type) {
    case CT2_F32: memcpy(&f, p, 4); return f;
    case CT2_I8: return (float)(int8_t)*p;
    case CT2_I16: memcpy(&h, p, 2); return (float)(int16_t)h;
    case CT2_I32: memcpy(&n, p, 4); return (float)n;
    case CT2_F16: memcpy(&h, p, 2); return sn_f16_to_f32(h);
    default: memcpy(&h, p, 2); return sn_bf16_to_f32(h);
    }
}

/* ---- the plan: which rows of which variable become which tensor ---- */

static sn_type stored_type(const variable *v, bool matrix)
{
    if (!matrix || v->type == CT2_F32) return SN_F32;
    return v->type == CT2_BF16 ? SN_BF16 : SN_F16;
}

/* Tensor `name`: the part-th [n_rows, n_cols] of the n_parts below each other in variable `from`. conv: n_cols is 3 taps for
 * each channel. */
static void add(conversion *k, const char *name, const char *from, size_t part, size_t n_parts, size_t n_rows, size_t n_cols, bool conv)
{
    if (k->status != SN_OK) return;
    const variable *v = find(k, from);
    if (v == NULL) {
        k->status = sn_fail(k->err, SN_ESHAPE, "%s is missing", from);
        return;
    }
    if (v->n_dims == 0 || v->shape[0] != n_parts * n_rows || v->n_values != n_parts * n_rows * n_cols || v->type == CT2_I32) {
        k->status = sn_fail(k->err, SN_ESHAPE, "%s: want [%zu, %zu], file has %zu values in %zu rows", from, n_parts * n_rows, n_cols,
                            v->n_values, v->n_dims == 0 ? 1 : v->shape[0]);
        return;
    }
    const variable *scale = NULL;
    if (v->type == CT2_I8 || v->type == CT2_I16) {
        char scale_name[MAX_NAME + 8];
        snprintf(scale_name, sizeof scale_name, "%s_scale", from);
        scale = find(k, scale_name);
        if (scale == NULL || scale->type != CT2_F32 || scale->n_values != (v->type == CT2_I8 ? v->shape[0] : 1)) {
            k->status = sn_fail(k->err, SN_ESHAPE, "%s has no fitting scale", from);
            return;
        }
    }
    k->status = sn_grow((void **)&k->outs, &k->cap_outs, k->n_outs + 1, sizeof *k->outs, k->err);
    if (k->status != SN_OK) return;
    output *o = &k->outs[k->n_outs++];
    *o = (output){.var = v, .scale = scale, .row = part * n_rows, .n_rows = n_rows, .n_cols = n_cols, .type = stored_type(v, n_cols > 1)};
    snprintf(o->name, sizeof o->name, "%s", name);
    o->n_dims = conv ? 3 : n_cols > 1 ? 2 : 1;
    o->shape[0] = n_rows;
    o->shape[1] = conv ? n_cols / 3 : n_cols;
    o->shape[2] = 3;
}

static void add_linear(conversion *k, const char *to, const char *from, size_t part, size_t n_parts, size_t n_out, size_t n_in, bool biased)
{
    char name[MAX_NAME], source[MAX_NAME];
    snprintf(name, sizeof name, "%s.weight", to);
    snprintf(source, sizeof source, "%s/weight", from);
    add(k, name, source, part, n_parts, n_out, n_in, false);
    snprintf(name, sizeof name, "%s.bias", to);
    snprintf(source, sizeof source, "%s/bias", from);
    if (biased) add(k, name, source, part, n_parts, n_out, 1, false);
}

static void add_norm(conversion *k, const char *to, const char *from, size_t n)
{
    char name[MAX_NAME], source[MAX_NAME];
    snprintf(name, sizeof name, "%s.weight", to);
    snprintf(source, sizeof source, "%s/gamma", from);
    add(k, name, source, 0, 1, n, 1, false);
    snprintf(name, sizeof name, "%s.bias", to);
    snprintf(source, sizeof source, "%s/beta", from);
    add(k, name, source, 0, 1, n, 1, false);
}

/* One block; `side` is encoder or decoder, and the decoder has cross-attention. */
static void add_block(conversion *k, const char *side, size_t il, size_t d, bool cross)
{
    char to[MAX_NAME], from[MAX_NAME]; /* the prefixes of both, to which parts are put */
    const int n_to = snprintf(to, sizeof to, "%s.blocks.%zu.", side, il), n_from = snprintf(from, sizeof from, "%s/layer_%zu/", side, il);
#define TO(part) (snprintf(to + n_to, sizeof to - (size_t)n_to, "%s", part), to)
#define FROM(part) (snprintf(from + n_from, sizeof from - (size_t)n_from, "%s", part), from)
    add_norm(k, TO("attn_ln"), FROM("self_attention/layer_norm"), d);
    add_linear(k, TO("attn.query"), FROM("self_attention/linear_0"), 0, 3, d, d, true);
    add_linear(k, TO("attn.key"), FROM("self_attention/linear_0"), 1, 3, d, d, false);
    add_linear(k, TO("attn.value"), FROM("self_attention/linear_0"), 2, 3, d, d, true);
    add_linear(k, TO("attn.out"), FROM("self_attention/linear_1"), 0, 1, d, d, true);
    if (cross) {
        add_norm(k, TO("cross_attn_ln"), FROM("attention/layer_norm"), d);
        add_linear(k, TO("cross_attn.query"), FROM("attention/linear_0"), 0, 1, d, d, true);
        add_linear(k, TO("cross_attn.key"), FROM("attention/linear_1"), 0, 2, d, d, false);
        add_linear(k, TO("cross_attn.value"), FROM("attention/linear_1"), 1, 2, d, d, true);
        add_linear(k, TO("cross_attn.out"), FROM("attention/linear_2"), 0, 1, d, d, true);
    }
    add_norm(k, TO("mlp_ln"), FROM("ffn/layer_norm"), d);
    add_linear(k, TO("mlp.0"), FROM("ffn/linear_0"), 0, 1, 4 * d, d, true);
    add_linear(k, TO("mlp.2"), FROM("ffn/linear_1"), 0, 1, d, 4 * d, true);
#undef TO
#undef FROM
}

static size_t count_layers(const conversion *k, const char *side)
{
    char name[MAX_NAME];
    size_t n = 0;
    for (; n <= MAX_LAYERS; n++) {
        snprintf(name, sizeof name, "%s/layer_%zu/self_attention/linear_0/weight", side, n);
        if (find(k, name) == NULL) break;
    }
    return n;
}

/* A scalar such as encoder/num_heads; files without it have heads of 64. */
static size_t count_heads(const conversion *k, const char *name)
{
    const variable *v = find(k, name);
    if (v == NULL || v->n_values != 1) return k->hp.n_embd / 64;
    const float n = value_at(v, 0);
    return n >= 1 && n <= 256 ? (size_t)n : 0;
}

/* Whisper's keys have no bias; CTranslate2 stores zeros for them in the joined one. */
static sn_status check_key_bias(const conversion *k, const char *name, size_t begin, size_t end)
{
    const variable *v = find(k, name);
    for (size_t i = begin; v != NULL && i < end && i < v->n_values; i++)
        if (value_at(v, i) != 0) return sn_fail(k->err, SN_EUNSUPPORTED, "%s gives the keys a bias", name);
    return SN_OK;
}

static sn_status plan(conversion *k, sn_err *err)
{
    aud_whisper_hparams *hp = &k->hp;
    const variable *embed = find(k, "decoder/embeddings/weight"), *conv = find(k, "encoder/conv1/weight");
    const variable *places = find(k, "encoder/position_encodings/encodings"), *text = find(k, "decoder/position_encodings/encodings");
    if (embed == NULL || conv == NULL || places == NULL || text == NULL || embed->n_dims != 2 || conv->n_dims != 3 || places->n_dims != 2 ||
        text->n_dims != 2)
        return sn_fail(err, SN_ESHAPE, "embeddings, convolutions or positions are missing or have other dimensions than Whisper's");
    if (find(k, "decoder/projection/weight") != NULL && find(k, "decoder/projection/weight") != embed)
        return sn_fail(err, SN_EUNSUPPORTED, "the output is not the token embedding");
    *hp = (aud_whisper_hparams){.n_vocab = embed->shape[0],
                                .n_mel = conv->shape[1],
                                .n_embd = embed->shape[1],
                                .n_text_ctx = text->shape[0],
                                .n_audio_layer = count_layers(k, "encoder"),
                                .n_text_layer = count_layers(k, "decoder")};
    hp->n_audio_head = count_heads(k, "encoder/num_heads");
    hp->n_text_head = count_heads(k, "decoder/num_heads");
    hp->multilingual = hp->n_vocab >= 51865;
    sn_status st = aud_whisper_hparams_check(hp, places->shape[0], err);
    if (st != SN_OK) return st;
    if (k->n_words != hp->n_vocab) return sn_fail(err, SN_EFORMAT, "the vocabulary has %zu words, the model %zu", k->n_words, hp->n_vocab);

    const size_t d = hp->n_embd;
    k->err = err;
    add(k, "encoder.conv1.weight", "encoder/conv1/weight", 0, 1, d, 3 * hp->n_mel, true);
    add(k, "encoder.conv1.bias", "encoder/conv1/bias", 0, 1, d, 1, false);
    add(k, "encoder.conv2.weight", "encoder/conv2/weight", 0, 1, d, 3 * d, true);
    add(k, "encoder.conv2.bias", "encoder/conv2/bias", 0, 1, d, 1, false);
    add(k, "encoder.positional_embedding", "encoder/position_encodings/encodings", 0, 1, AUD_N_AUDIO_CTX, d, false);
    for (size_t il = 0; il < hp->n_audio_layer; il++) add_block(k, "encoder", il, d, false);
    add_norm(k, "encoder.ln_post", "encoder/layer_norm", d);
    add_linear(k, "decoder.token_embedding", "decoder/embeddings", 0, 1, hp->n_vocab, d, false);
    add(k, "decoder.positional_embedding", "decoder/position_encodings/encodings", 0, 1, hp->n_text_ctx, d, false);
    for (size_t il = 0; il < hp->n_text_layer; il++) add_block(k, "decoder", il, d, true);
    add_norm(k, "decoder.ln", "decoder/layer_norm", d);
    for (size_t il = 0; il < hp->n_audio_layer + hp->n_text_layer && k->status == SN_OK; il++) {
        const bool decoder = il >= hp->n_audio_layer;
        char name[MAX_NAME];
        snprintf(name, sizeof name, "%s/layer_%zu/self_attention/linear_0/bias", decoder ? "decoder" : "encoder",
                 decoder ? il - hp->n_audio_layer : il);
        k->status = check_key_bias(k, name, d, 2 * d);
        snprintf(name, sizeof name, "%s/layer_%zu/attention/linear_1/bias", "decoder", decoder ? il - hp->n_audio_layer : 0);
        if (k->status == SN_OK) k->status = check_key_bias(k, name, 0, d);
    }
    return k->status;
}

/* ---- vocabulary and configuration ---- */

static sn_status read_json(cJSON **out, const char *path, sn_err *err)
{
    sn_map m;
    sn_status st = sn_map_open(&m, path, err);
    if (st != SN_OK) return st;
    *out = cJSON_ParseWithLength((const char *)m.data, m.size);
    sn_map_close(&m);
    return *out == NULL ? sn_fail(err, SN_EFORMAT, "%s: is not JSON", path) : SN_OK;
}

static sn_status add_word(conversion *k, const char *p, size_t n, sn_err *err)
{
    sn_status st = sn_grow((void **)&k->words, &k->cap_words, k->n_words + 1, sizeof *k->words, err);
    if (st == SN_OK) k->words[k->n_words++] = (sn_str){p, n};
    return st;
}

/* vocabulary.txt: a word a line; vocabulary.json: a list. */
static sn_status read_words(conversion *k, const char *txt, const char *json, sn_err *err)
{
    sn_err ignored;
    sn_status st = SN_OK;
    if (sn_map_open(&k->text, txt, &ignored) == SN_OK) {
        const char *p = (const char *)k->text.data, *end = p + k->text.size;
        while (st == SN_OK && p < end) {
            const char *line = memchr(p, '\n', (size_t)(end - p));
            const size_t n = (size_t)((line == NULL ? end : line) - p);
            st = add_word(k, p, n > 0 && p[n - 1] == '\r' ? n - 1 : n, err);
            p = line == NULL ? end : line + 1;
        }
        return st;
    }
    st = read_json(&k->json, json, err);
    if (st != SN_OK) return st;
    const cJSON *word;
    cJSON_ArrayForEach(word, k->json)
    {
        if (!cJSON_IsString(word)) return sn_fail(err, SN_EFORMAT, "%s: is not a list of words", json);
        st = add_word(k, word->valuestring, strlen(word->valuestring), err);
        if (st != SN_OK) return st;
    }
    return SN_OK;
}

/* ---- writing ---- */

static void write_tensor(sn_gguf_writer *w, const output *o, float *row, void *packed)
{
    const sn_type_info *info = sn_type_get(o->type);
    for (size_t r = o->row; r < o->row + o->n_rows; r++) {
        const float scale = o->scale == NULL ? 1 : value_at(o->scale, o->scale->n_values == 1 ? 0 : r);
        for (size_t i = 0; i < o->n_cols; i++) row[i] = value_at(o->var, r * o->n_cols + i) / scale;
        info->quantize(packed, row, o->n_cols);
        sn_gguf_write_data(w, packed, o->n_cols * info->bytes);
    }
}

static sn_status write_file(const conversion *k, const char *path, size_t eot, sn_err *err)
{
    sn_gguf_writer *w = NULL;
    size_t width = 1;
    for (size_t i = 0; i < k->n_outs; i++)
        if (k->outs[i].n_cols > width) width = k->outs[i].n_cols;
    float *row = sn_alloc(width, sizeof *row);
    void *packed = sn_alloc(width, sizeof(float));
    sn_status st = row == NULL || packed == NULL ? sn_fail(err, SN_ENOMEM, "no memory for rows of %zu", width) : SN_OK;
    if (st == SN_OK) st = sn_gguf_create(&w, path, err);
    if (st == SN_OK) {
        sn_gguf_set_str(w, "general.architecture", "whisper", 7);
        sn_gguf_set_u32(w, "general.alignment", 32);
        aud_whisper_set_keys(w, &(aud_whisper_words){k->words, k->n_words, eot, k->heads, k->n_heads}, &k->hp);
        for (size_t i = 0; i < k->n_outs; i++) sn_gguf_add_tensor(w, k->outs[i].name, k->outs[i].type, k->outs[i].shape, k->outs[i].n_dims);
        for (size_t i = 0; i < k->n_outs; i++) write_tensor(w, &k->outs[i], row, packed);
        st = sn_gguf_finish(w, err);
    }
    sn_free(row);
    sn_free(packed);
    return st;
}

sn_status aud_convert_ct2(const char *dir, const char *out_path, sn_err *err)
{
    static const char *const names[] = {"model.bin", "vocabulary.txt", "vocabulary.json"};
    char *paths[3] = {NULL};
    size_t eot = 0;
    sn_status st = SN_OK;
    conversion k = {.err = err};
    for (size_t i = 0; i < 3; i++)
        if (asprintf(&paths[i], "%s/%s", dir, names[i]) < 0) {
            paths[i] = NULL;
            st = sn_fail(err, SN_ENOMEM, "%s: no memory", dir);
            goto done;
        }
    if ((st = sn_map_open(&k.map, paths[0], err)) != SN_OK) goto done;
    if ((st = read_words(&k, paths[1], paths[2], err)) != SN_OK) goto done;
    st = read_model(&k, err);
    if (st == SN_OK) st = plan(&k, err);
    if (st == SN_OK) st = aud_whisper_find_eot(k.words, k.n_words, &eot, err);
    if (st != SN_OK) {
        sn_wrap(err, "%s", paths[0]);
        goto done;
    }
    st = aud_whisper_read_heads(k.heads, &k.n_heads, dir, "config.json", &k.hp, err);
    if (st == SN_OK) st = write_file(&k, out_path, eot, err);
done:
    for (size_t i = 0; i < 3; i++) free(paths[i]);
    sn_free(k.outs);
    sn_free(k.vars);
    sn_free(k.aliases);
    sn_free(k.words);
    cJSON_Delete(k.json);
    sn_map_close(&k.text);
    sn_map_close(&k.map);
    return st;
}
