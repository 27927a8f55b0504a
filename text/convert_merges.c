/* convert_merges.c: vocab.json and merges.txt, with what other files add to them, as the tokenizer.json that says the same.
 *
 * Which rules cut text into words before it is merged, these files do not say: they are those of the tokenizer's class in transformers
 * (models/gpt2/tokenization_gpt2.py, models/qwen2/tokenization_qwen2.py). What is an added token and what a special one is
 * as in tokenization_utils_base.py, _from_pretrained. */
#include "convert.h"

#include "../core/file.h"
#include "../core/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const special_names[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
static const char *const special_lists[] = {"additional_special_tokens", "extra_special_tokens"};

static sn_status no_memory(const txt_convert_vocab *v, sn_err *err)
{
    return sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir);
}

static const char *content_of(const cJSON *token)
{
    return sn_json_str(token) != NULL ? sn_json_str(token) : sn_json_str(sn_json_get(token, "content"));
}

/* What the folder's files call special, sorted: a list may name as many as there are words. */
typedef struct {
    const char **text;
    size_t n, cap;
} names;

static sn_status note_name(names *s, const cJSON *token, sn_err *err)
{
    const char *text = content_of(token);
    if (text == NULL) return SN_OK;
    const sn_status st = sn_grow((void **)&s->text, &s->cap, s->n + 1, sizeof *s->text, err);
    if (st == SN_OK) s->text[s->n++] = text;
    return st;
}

static int by_spelling(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Of tokenizer_config.json and special_tokens_map.json. */
static sn_status gather_special(names *s, const cJSON *settings, const cJSON *map, sn_err *err)
{
    const cJSON *files[] = {settings, map}, *token;
    sn_status st = SN_OK;
    for (size_t f = 0; f < 2; f++) {
        for (size_t i = 0; i < sizeof special_names / sizeof *special_names && st == SN_OK; i++)
            st = note_name(s, sn_json_get(files[f], special_names[i]), err);
        for (size_t i = 0; i < sizeof special_lists / sizeof *special_lists; i++)
            cJSON_ArrayForEach(token, sn_json_get(files[f], special_lists[i]))
            {
                if (st == SN_OK) st = note_name(s, token, err);
            }
    }
    if (s->n > 0) qsort(s->text, s->n, sizeof *s->text, by_spelling);
    return st;
}

/* <|endoftext|> is special by the classes' own defaults. */
static bool is_special(const names *s, const char *text)
{
    return strcmp(text, "<|endoftext|>") == 0 || (s->n > 0 && bsearch(&text, s->text, s->n, sizeof *s->text, by_spelling) != NULL);
}

static bool add_token(cJSON *list, double id, const char *text, bool special)
{
    cJSON *token = cJSON_CreateObject();
    const bool sound = cJSON_AddNumberToObject(token, "id", id) != NULL && cJSON_AddStringToObject(token, "content", text) != NULL &&
                       cJSON_AddBoolToObject(token, "special", special) != NULL;
    if (sound && cJSON_AddItemToArray(list, token)) return true;
    cJSON_Delete(token);
    return false;
}

/* The added tokens: those of tokenizer_config.json or else of added_tokens.json, and the special ones among the words. */
static sn_status add_tokens(const txt_convert_vocab *v, const names *s, cJSON *list, const cJSON *vocab, sn_err *err)
{
    const cJSON *decoder = sn_json_object(sn_json_get(v->settings, "added_tokens_decoder"));
    const cJSON *older = decoder == NULL ? sn_json_object(v->added) : NULL, *t;
    bool sound = list != NULL;
    cJSON_ArrayForEach(t, decoder)
    {
        char *end;
        const char *text = content_of(t);
        const unsigned long id = strtoul(t->string, &end, 10);
        if (text == NULL || *end != '\0' || end == t->string)
            return sn_fail(err, SN_EFORMAT, "%s/tokenizer_config.json: an added token has no number or no text", v->dir);
        sound = sound && add_token(list, (double)id, text, cJSON_IsTrue(sn_json_get(t, "special")) || is_special(s, text));
    }
    cJSON_ArrayForEach(t, older)
    {
        if (!cJSON_IsNumber(t)) return sn_fail(err, SN_EFORMAT, "%s/added_tokens.json: \"%.40s\" has no number", v->dir, t->string);
        sound = sound && add_token(list, t->valuedouble, t->string, is_special(s, t->string));
    }
    cJSON_ArrayForEach(t, vocab)
    {
        if (is_special(s, t->string)) sound = sound && add_token(list, t->valuedouble, t->string, true);
    }
    return sound ? SN_OK : no_memory(v, err);
}

/* merges.txt: two words a line; a first line may say its version. */
static sn_status read_merges(const txt_convert_vocab *v, cJSON *merges, sn_err *err)
{
    char *path = NULL, *text = NULL;
    sn_map m = {0};
    if (asprintf(&path, "%s/merges.txt", v->dir) < 0) return no_memory(v, err);
    sn_status st = sn_map_open(&m, path, err);
    size_t number = 0;
    for (size_t at = 0, n; at < m.size && st == SN_OK; at += n + 1) {
        const char *line = (const char *)m.data + at, *end = memchr(line, '\n', m.size - at);
        n = end != NULL ? (size_t)(end - line) : m.size - at;
        const size_t length = n > 0 && line[n - 1] == '\r' ? n - 1 : n;
        const char *blank = length > 2 ? memchr(line + 1, ' ', length - 2) : NULL;
        number++;
        if (length == 0 || (number == 1 && length >= 8 && strncmp(line, "#version", 8) == 0)) continue;
        if (blank == NULL || memchr(blank + 1, ' ', length - (size_t)(blank + 1 - line)) != NULL || memchr(line, '\0', length) != NULL) {
            st = sn_fail(err, SN_EFORMAT, "%s: line %zu is not two words", path, number);
            break;
        }
        text = strndup(line, length);
        if (text == NULL || !cJSON_AddItemToArray(merges, cJSON_CreateString(text))) st = no_memory(v, err);
        free(text);
    }
    sn_map_close(&m);
    free(path);
    return st;
}

/* llama.cpp's name for the rules of the tokenizer's class; NULL: another class. */
static const char *rules_of(const txt_convert_vocab *v, const char *model_type)
{
    const char *class = sn_json_str(sn_json_get(v->settings, "tokenizer_class"));
    if (class == NULL) class = strncmp(model_type, "qwen", 4) == 0 ? "Qwen2Tokenizer" : "(none)";
    if (strcmp(class, "Qwen2Tokenizer") == 0 || strcmp(class, "Qwen2TokenizerFast") == 0) return "qwen2";
    if (strcmp(class, "GPT2Tokenizer") == 0 || strcmp(class, "GPT2TokenizerFast") == 0) return "gpt-2";
    return NULL;
}

sn_status txt_convert_merges(txt_convert_vocab *v, const char *model_type, sn_err *err)
{
    names s = {0};
    cJSON *vocab = NULL, *map = NULL, *tokenizer = cJSON_CreateObject(), *model = cJSON_AddObjectToObject(tokenizer, "model");
    const char *rules = rules_of(v, model_type);
    sn_status st = model != NULL ? sn_json_open_in(&vocab, v->dir, "vocab.json", err) : no_memory(v, err);
    if (st == SN_OK) st = sn_json_open_in(&map, v->dir, "special_tokens_map.json", err);
    if (st == SN_OK && rules == NULL)
        st = sn_fail(err, SN_EUNSUPPORTED,
                     "%s: vocab.json and merges.txt say not how text is cut into words: want tokenizer.json, or a "
                     "tokenizer_config.json with the tokenizer_class GPT2Tokenizer or Qwen2Tokenizer",
                     v->dir);
    if (st == SN_OK && cJSON_AddItemToObject(model, "vocab", vocab))
        vocab = NULL; /* it is the model's now */
    else if (st == SN_OK)
        st = no_memory(v, err);
    if (st == SN_OK) st = read_merges(v, cJSON_AddArrayToObject(model, "merges"), err);
    if (st == SN_OK) st = gather_special(&s, v->settings, map, err);
    if (st == SN_OK)
        st = add_tokens(v, &s, cJSON_AddArrayToObject(tokenizer, "added_tokens"), sn_json_object(sn_json_get(model, "vocab")), err);
    cJSON_Delete(vocab);
    cJSON_Delete(map);
    sn_free(s.text);
    if (st != SN_OK) {
        cJSON_Delete(tokenizer);
        return st;
    }
    v->tokenizer = tokenizer;
    v->file = "vocab.json";
    v->pre = rules;
    v->config_first = true;
    return SN_OK;
}
