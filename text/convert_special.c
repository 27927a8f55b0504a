/* convert_special.c: the vocabulary's keys: words, merges, special tokens, what is put around a text, the chat template. What is
 * asked in which order is what gguf-py's SpecialVocab does, whose files llama.cpp reads. */
#include "convert.h"

#include "../core/file.h"
#include "../core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, EOT, N_SPECIAL };
static const struct {
    const char *name, *id_key, *add_key;
} specials[N_SPECIAL] = {
    {"bos", "bos_token_id", "add_bos_token"}, {"eos", "eos_token_id", "add_eos_token"},
    {"unk", "unknown_token_id", NULL},        {"sep", "seperator_token_id", "add_sep_token"}, /* the format's own spelling */
    {"pad", "padding_token_id", NULL},        {"cls", "cls_token_id", NULL},
    {"mask", "mask_token_id", NULL},          {"eot", "eot_token_id", NULL},
};

typedef struct {
    const char *text[N_SPECIAL];
    int64_t id[N_SPECIAL]; /* -1: not known */
    int adds[N_SPECIAL];   /* 1, 0; -1: not said */
} special_tokens;

static const char *content(const cJSON *v)
{
    return sn_json_str(v) != NULL ? sn_json_str(v) : sn_json_str(sn_json_get(v, "content"));
}

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static const char *special_of(const cJSON *step)
{
    return sn_json_str(sn_json_get(sn_json_get(step, "SpecialToken"), "id"));
}

/* What stands between two texts, by the template for pairs: whether it is a separator. */
static bool adds_separator(const special_tokens *s, const cJSON *pair, const char *first, const char *last)
{
    int n = cJSON_GetArraySize(pair), from = 0;
    if (first != NULL && same(special_of(cJSON_GetArrayItem(pair, 0)), first)) from++;
    if (last != NULL && same(special_of(cJSON_GetArrayItem(pair, n - 1)), last)) n--;
    bool adds = false;
    const cJSON *step = cJSON_GetArrayItem(pair, from + 1);
    for (int i = from + 1; i < n - 1; i++, step = step->next) {
        const char *text = special_of(step);
        if (text != NULL && (same(text, s->text[SEP]) || same(text, s->text[EOS])) && (i > from + 1 || last == NULL)) adds = true;
    }
    return adds;
}

static void read_template(special_tokens *s, const cJSON *processor, bool settings)
{
    const cJSON *single = sn_json_get(processor, "single"), *pair = sn_json_get(processor, "pair");
    const int n = cJSON_GetArraySize(single);
    const char *first = n > 1 ? special_of(cJSON_GetArrayItem(single, 0)) : NULL,
               *last = n > 1 ? special_of(cJSON_GetArrayItem(single, n - 1)) : NULL;
    if (first != NULL) {
        if (s->text[BOS] == NULL) s->text[BOS] = first;
        if (settings && s->text[CLS] == NULL && !same(first, s->text[BOS])) s->text[CLS] = first;
        s->adds[BOS] = same(first, s->text[BOS]) || same(first, s->text[CLS]);
    }
    if (last != NULL) {
        if (settings && s->text[EOS] != NULL && !same(last, s->text[EOS])) s->text[EOT] = s->text[EOS];
        s->text[EOS] = last;
        s->adds[EOS] = 1;
    }
    if (cJSON_GetArraySize(pair) > 0) s->adds[SEP] = adds_separator(s, pair, first, last);
}

static void read_processor(special_tokens *s, const cJSON *processor, bool settings)
{
    const char *type = sn_json_str(sn_json_get(processor, "type"));
    if (same(type, "ByteLevel")) {
        if (s->adds[BOS] < 0) s->adds[BOS] = 0;
        if (s->adds[EOS] < 0) s->adds[EOS] = 0;
    } else if (same(type, "TemplateProcessing")) {
        read_template(s, processor, settings);
    }
}

/* A token's number in JSON; -1 where it is none. */
static int64_t id_of(const cJSON *id)
{
    return cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble <= INT32_MAX ? (int64_t)id->valuedouble : -1;
}

static int64_t added_id(const cJSON *tokenizer, const char *text)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, sn_json_get(tokenizer, "added_tokens"))
    {
        if (same(sn_json_str(sn_json_get(t, "content")), text)) return id_of(sn_json_get(t, "id"));
    }
    return -1;
}

static void gather(special_tokens *s, const txt_convert_vocab *v, const sn_config *c)
{
    const cJSON *processor = sn_json_get(v->tokenizer, "post_processor"), *list = sn_json_get(processor, "processors"), *p;
    char key[32];
    for (size_t i = 0; i < N_SPECIAL; i++) {
        snprintf(key, sizeof key, "%s_token", specials[i].name);
        s->text[i] = i == EOT ? NULL : content(sn_json_get(v->settings, key));
        s->id[i] = s->adds[i] = -1;
    }
    if (v->tokenizer != NULL) {
        if (s->text[BOS] == NULL) s->text[BOS] = s->text[CLS];
        if (s->text[EOS] == NULL) s->text[EOS] = s->text[SEP];
    }
    if (list == NULL && processor != NULL) read_processor(s, processor, v->settings != NULL);
    cJSON_ArrayForEach(p, list)
    {
        read_processor(s, p, v->settings != NULL);
    }
    for (size_t i = 0; i < N_SPECIAL; i++) {
        const cJSON *flag = NULL, *id;
        snprintf(key, sizeof key, "add_%s_token", specials[i].name);
        if (s->adds[i] < 0 && cJSON_IsBool(flag = sn_json_get(v->settings, key))) s->adds[i] = cJSON_IsTrue(flag);
        if (v->settings != NULL && s->text[i] != NULL && !v->config_first) s->id[i] = added_id(v->tokenizer, s->text[i]);
        snprintf(key, sizeof key, "%s_token_id", specials[i].name);
        id = sn_json_get(c->root, key);
        if (id == NULL) id = sn_json_get(sn_json_get(c->root, "text_config"), key);
        if (s->id[i] < 0 && cJSON_IsNumber(id) && (i != EOT || s->text[EOT] != NULL)) s->id[i] = id_of(id);
        if (v->config_first && s->id[i] < 0 && s->text[i] != NULL && (i == BOS || i == EOS)) s->id[i] = txt_convert_vocab_id(v, s->text[i]);
        if (s->id[i] >= (int64_t)v->n) s->id[i] = -1;
    }
}

/* ---- chat template ---- */

static void set_template(sn_gguf_writer *w, const char *text, size_t n)
{
    sn_gguf_set_str(w, "tokenizer.chat_template", text, n);
}

/* A list of {name, template}: "default" is the template, the others are kept under their names. */
static sn_status named_templates(sn_gguf_writer *w, const cJSON *list, sn_err *err)
{
    const cJSON *t;
    sn_str names[64];
    size_t n = 0;
    cJSON_ArrayForEach(t, list)
    {
        const char *name = sn_json_str(sn_json_get(t, "name")), *text = sn_json_str(sn_json_get(t, "template"));
        char key[128];
        if (name == NULL || text == NULL || n == sizeof names / sizeof *names) continue;
        if (strlen(name) > 64 || name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] != '\0')
            return sn_fail(err, SN_EFORMAT, "a chat template has a name that is no name");
        if (strcmp(name, "default") == 0) {
            set_template(w, text, strlen(text));
            continue;
        }
        snprintf(key, sizeof key, "tokenizer.chat_template.%s", name);
        sn_gguf_set_str(w, key, text, strlen(text));
        names[n++] = (sn_str){name, strlen(name)};
    }
    if (n > 0) sn_gguf_set_strs(w, "tokenizer.chat_templates", names, n);
    return SN_OK;
}

static sn_status write_template(sn_gguf_writer *w, const txt_convert_vocab *v, sn_err *err)
{
    const cJSON *own = sn_json_get(v->settings, "chat_template");
    if (sn_json_str(own) != NULL) set_template(w, own->valuestring, strlen(own->valuestring));
    if (own != NULL) return cJSON_IsArray(own) ? named_templates(w, own, err) : SN_OK;
    char *path = NULL;
    sn_map m = {0};
    cJSON *file = NULL;
    sn_status st = SN_OK;
    if (asprintf(&path, "%s/chat_template.jinja", v->dir) < 0) return sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir);
    if (access(path, F_OK) == 0) {
        st = sn_map_open(&m, path, err);
        if (st == SN_OK) set_template(w, (const char *)m.data, m.size);
        sn_map_close(&m);
    } else {
        st = sn_json_open_in(&file, v->dir, "chat_template.json", err);
        own = sn_json_get(file, "chat_template");
        if (sn_json_str(own) != NULL) set_template(w, own->valuestring, strlen(own->valuestring));
        if (own == NULL && v->chat_name != NULL) set_template(w, v->chat_name, strlen(v->chat_name));
        cJSON_Delete(file);
    }
    free(path);
    return st;
}

/* ---- keys ---- */

sn_status txt_convert_special_keys(sn_gguf_writer *w, const txt_convert_vocab *v, const sn_config *c, sn_err *err)
{
    special_tokens s;
    char key[64];
    gather(&s, v, c);
    for (size_t i = 0; i < N_SPECIAL; i++) {
        snprintf(key, sizeof key, "tokenizer.ggml.%s", specials[i].id_key);
        if (s.id[i] >= 0) sn_gguf_set_u32(w, key, (uint32_t)s.id[i]);
        if (specials[i].add_key == NULL || s.adds[i] < 0) continue;
        snprintf(key, sizeof key, "tokenizer.ggml.%s", specials[i].add_key);
        sn_gguf_set_bool(w, key, s.adds[i]);
    }
    return v->settings != NULL ? write_template(w, v, err) : SN_OK;
}

/* Merges as "a b". Blanks inside a part, of which byte-level vocabularies have none, are written as bytes are there. */
static char *merge_text(const cJSON *merge)
{
    const char *whole = sn_json_str(merge);
    char *text = NULL;
    if (whole != NULL) return strdup(whole);
    const char *parts[2] = {sn_json_str(cJSON_GetArrayItem(merge, 0)), sn_json_str(cJSON_GetArrayItem(merge, 1))};
    if (parts[0] == NULL || parts[1] == NULL) return NULL;
    text = malloc(2 * (strlen(parts[0]) + strlen(parts[1])) + 2);
    if (text == NULL) return NULL;
    char *to = text;
    for (size_t i = 0; i < 2; i++) {
        if (i == 1) *to++ = ' ';
        for (const char *p = parts[i]; *p != '\0'; p++) {
            if (*p != ' ') {
                *to++ = *p;
                continue;
            }
            *to++ = '\xc4'; /* U+0120 */
            *to++ = '\xa0';
        }
    }
    *to = '\0';
    return text;
}

static sn_status write_merges(sn_gguf_writer *w, const txt_convert_vocab *v, sn_err *err)
{
    const cJSON *merges = sn_json_get(sn_json_get(v->tokenizer, "model"), "merges"), *m;
    const size_t n = (size_t)cJSON_GetArraySize(merges);
    sn_str *list = sn_calloc(n, sizeof *list);
    size_t done = 0;
    sn_status st = list == NULL ? sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir) : SN_OK;
    cJSON_ArrayForEach(m, merges)
    {
        char *text = st == SN_OK ? merge_text(m) : NULL;
        if (text == NULL) {
            if (st == SN_OK) st = sn_fail(err, SN_EFORMAT, "%s/tokenizer.json: merge %zu is not one of two words", v->dir, done);
            break;
        }
        list[done++] = (sn_str){text, strlen(text)};
    }
    if (st == SN_OK && n > 0) sn_gguf_set_strs(w, "tokenizer.ggml.merges", list, n);
    for (size_t i = 0; i < done; i++) free((void *)(uintptr_t)list[i].p);
    sn_free(list);
    return st;
}

sn_status txt_convert_vocab_keys(sn_gguf_writer *w, const txt_convert_vocab *v, const sn_config *c, sn_err *err)
{
    const cJSON *prefix = sn_json_get(v->settings, "add_prefix_space");
    const char *model_type = sn_json_str(sn_config_get(c, "model_type"));
    const bool gemma = model_type != NULL && strncmp(model_type, "gemma", 5) == 0,
               qwen = model_type != NULL && strncmp(model_type, "qwen", 4) == 0;
    sn_str *words = sn_alloc(v->n, sizeof *words);
    int32_t *types = sn_alloc(v->n, sizeof *types);
    float *scores = sn_alloc(v->n, sizeof *scores);
    sn_status st = words == NULL || types == NULL || scores == NULL ? sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir) : SN_OK;
    for (size_t i = 0; st == SN_OK && i < v->n; i++) {
        words[i] = (sn_str){v->words[i].text, strlen(v->words[i].text)};
        types[i] = v->words[i].type;
        scores[i] = v->pieces ? v->words[i].score : 0;
    }
    if (st == SN_OK) {
        sn_gguf_set_str(w, "tokenizer.ggml.model", v->pieces ? "llama" : "gpt2", v->pieces ? 5 : 4);
        const char *pre = v->pre != NULL ? v->pre : "default";
        sn_gguf_set_str(w, "tokenizer.ggml.pre", pre, strlen(pre));
        sn_gguf_set_strs(w, "tokenizer.ggml.tokens", words, v->n);
        if (v->pieces || v->scored) sn_gguf_set_array(w, "tokenizer.ggml.scores", v->pieces ? SN_KV_F32 : SN_KV_I32, scores, v->n);
        sn_gguf_set_array(w, "tokenizer.ggml.token_type", SN_KV_I32, types, v->n);
        if (!v->pieces) st = write_merges(w, v, err);
        if (gemma && v->pieces)
            sn_gguf_set_bool(w, "tokenizer.ggml.add_space_prefix", false);
        else if (!gemma && !qwen && cJSON_IsBool(prefix))
            sn_gguf_set_bool(w, "tokenizer.ggml.add_space_prefix", cJSON_IsTrue(prefix));
    }
    if (st == SN_OK) st = txt_convert_special_keys(w, v, c, err);
    sn_free(words);
    sn_free(types);
    sn_free(scores);
    return st;
}
