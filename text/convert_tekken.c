/* convert_tekken.c: Mistral's tekken.json as the tokenizer.json and tokenizer_config.json that say the same.
 *
 * The file's form is that of mistral-common (github.com/mistralai/mistral-common, tokens/tokenizers/tekken.py): special tokens come first, behind them
 * words by rank, as bytes. Neighbours are joined where what they make is a word, the one of the lowest rank first: of a word, all its cuts into two
 * words are merges, in the order of the parts' ranks, as llama.cpp's converter lists them. */
#include "convert.h"

#include "../core/mem.h"
#include "vocab_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BYTES (TXT_MAX_TOKEN_BYTES / 2) /* of a word: each is spelled with up to two */
#define MAX_SPECIAL 65536

typedef struct {
    const unsigned char *p;
    size_t n, rank;
} word;

typedef struct {
    const char *dir;
    const cJSON *config, *special; /* its parts; special NULL: the file lists none */
    unsigned char *bytes;          /* of all words */
    word *words, *sorted;          /* [n] by rank, by bytes */
    size_t n, n_special;
    int version;
} tekken;

/* What files of before version 7 leave out. */
static const char *const first_special[] = {"<unk>",
                                            "<s>",
                                            "</s>",
                                            "[INST]",
                                            "[/INST]",
                                            "[AVAILABLE_TOOLS]",
                                            "[/AVAILABLE_TOOLS]",
                                            "[TOOL_RESULTS]",
                                            "[/TOOL_RESULTS]",
                                            "[TOOL_CALLS]",
                                            "[IMG]",
                                            "<pad>",
                                            "[IMG_BREAK]",
                                            "[IMG_END]",
                                            "[PREFIX]",
                                            "[MIDDLE]",
                                            "[SUFFIX]",
                                            "[SYSTEM_PROMPT]",
                                            "[/SYSTEM_PROMPT]",
                                            "[TOOL_CONTENT]"};

static sn_status no_memory(const tekken *t, sn_err *err)
{
    return sn_fail(err, SN_ENOMEM, "%s: out of memory", t->dir);
}

/* ---- words ---- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* The bytes of base64 (RFC 4648, padded) at out, which has room for 3 of every 4 characters; SIZE_MAX where it is none. */
static size_t from_base64(const char *text, unsigned char *out)
{
    const size_t n = strlen(text);
    const size_t padding = n >= 4 && text[n - 1] == '=' ? 1 + (text[n - 2] == '=') : 0;
    unsigned held = 0;
    if (n % 4 != 0) return SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const int digit = i < n - padding ? digit_of(text[i]) : 0;
        if (digit < 0) return SIZE_MAX;
        held = held << 6 | (unsigned)digit;
        if (i % 4 != 3) continue;
        for (size_t k = 0; k < 3; k++) *out++ = (unsigned char)(held >> (16 - 8 * k));
        held = 0;
    }
    return n / 4 * 3 - padding;
}

static int by_bytes(const void *a, const void *b)
{
    const word *x = a, *y = b;
    const int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : x->n < y->n ? -1 : x->n > y->n;
}

static const word *find(const tekken *t, const unsigned char *p, size_t n)
{
    const word key = {p, n, 0};
    return bsearch(&key, t->sorted, t->n, sizeof *t->sorted, by_bytes);
}

static sn_status read_words(tekken *t, const cJSON *vocab, sn_err *err)
{
    const cJSON *entry;
    size_t room = 0, at = 0, i = 0;
    cJSON_ArrayForEach(entry, vocab)
    {
        const char *text = sn_json_str(sn_json_get(entry, "token_bytes"));
        room += text != NULL && i++ < t->n ? strlen(text) : 0;
    }
    t->bytes = sn_alloc(room, 1);
    t->words = sn_alloc(t->n, sizeof *t->words);
    t->sorted = sn_alloc(t->n, sizeof *t->sorted);
    if (t->bytes == NULL || t->words == NULL || t->sorted == NULL) return no_memory(t, err);
    i = 0;
    cJSON_ArrayForEach(entry, vocab)
    {
        if (i == t->n) break;
        const char *text = sn_json_str(sn_json_get(entry, "token_bytes"));
        const cJSON *rank = sn_json_get(entry, "rank");
        const size_t n = text != NULL ? from_base64(text, t->bytes + at) : SIZE_MAX;
        if (n == 0 || n > MAX_BYTES || !cJSON_IsNumber(rank) || rank->valuedouble != (double)i ||
            (i < 256 && (n != 1 || t->bytes[at] != i)))
            return sn_fail(err, SN_EFORMAT, "%s/tekken.json: word %zu is not one of that rank", t->dir, i);
        t->words[i] = (word){t->bytes + at, n, i};
        at += n;
        i++;
    }
    memcpy(t->sorted, t->words, t->n * sizeof *t->words);
    qsort(t->sorted, t->n, sizeof *t->sorted, by_bytes);
    for (i = 1; i < t->n; i++)
        if (by_bytes(&t->sorted[i - 1], &t->sorted[i]) == 0)
            return sn_fail(err, SN_EFORMAT, "%s/tekken.json: words %zu and %zu are one", t->dir, t->sorted[i - 1].rank, t->sorted[i].rank);
    return SN_OK;
}

/* ---- what tokenizer.json says of them ---- */

typedef struct {
    const word *left, *right;
} cut;

static int by_rank(const void *a, const void *b)
{
    const size_t x = ((const cut *)a)->left->rank, y = ((const cut *)b)->left->rank; /* no two cuts of a word have one left part */
    return x < y ? -1 : x > y;
}

/* The cuts of word i into two words, as merges. */
static sn_status add_cuts(const tekken *t, size_t i, cJSON *merges, sn_err *err)
{
    cut cuts[MAX_BYTES];
    char text[2 * TXT_MAX_TOKEN_BYTES];
    const word *w = &t->words[i];
    size_t n = 0;
    for (size_t k = 1; k < w->n; k++) {
        const word *left = find(t, w->p, k), *right = left != NULL ? find(t, w->p + k, w->n - k) : NULL;
        if (right != NULL) cuts[n++] = (cut){left, right};
    }
    if (n == 0) return sn_fail(err, SN_EFORMAT, "%s/tekken.json: no two words make word %zu", t->dir, i);
    qsort(cuts, n, sizeof *cuts, by_rank);
    for (size_t k = 0; k < n; k++) {
        size_t at = txt_bpe_spell(cuts[k].left->p, cuts[k].left->n, text);
        text[at++] = ' ';
        at += txt_bpe_spell(cuts[k].right->p, cuts[k].right->n, text + at);
        text[at] = '\0';
        if (!cJSON_AddItemToArray(merges, cJSON_CreateString(text))) return no_memory(t, err);
    }
    return SN_OK;
}

static sn_status add_model(const tekken *t, cJSON *tokenizer, sn_err *err)
{
    char text[TXT_MAX_TOKEN_BYTES + 1];
    cJSON *model = cJSON_AddObjectToObject(tokenizer, "model"), *vocab = cJSON_AddObjectToObject(model, "vocab"),
          *merges = cJSON_AddArrayToObject(model, "merges");
    sn_status st = vocab != NULL && merges != NULL ? SN_OK : no_memory(t, err);
    for (size_t i = 0; i < t->n && st == SN_OK; i++) {
        text[txt_bpe_spell(t->words[i].p, t->words[i].n, text)] = '\0';
        if (cJSON_AddNumberToObject(vocab, text, (double)(t->n_special + i)) == NULL)
            st = no_memory(t, err);
        else if (i >= 256)
            st = add_cuts(t, i, merges, err);
    }
    return st;
}

/* The special tokens; those that the file has only a place for are called <SPECIAL_N>. */
static sn_status add_special(const tekken *t, cJSON *tokenizer, sn_err *err)
{
    static const size_t n_first = sizeof first_special / sizeof *first_special;
    cJSON *list = cJSON_AddArrayToObject(tokenizer, "added_tokens");
    const cJSON *entry = t->special != NULL ? t->special->child : NULL;
    for (size_t i = 0; i < t->n_special; i++) {
        char filler[32];
        const cJSON *rank = sn_json_get(entry, "rank");
        const char *name = entry != NULL ? sn_json_str(sn_json_get(entry, "token_str")) : filler;
        snprintf(filler, sizeof filler, "<SPECIAL_%zu>", i);
        if (t->special == NULL && i < n_first) name = first_special[i];
        if (name == NULL || (entry != NULL && !(cJSON_IsNumber(rank) && rank->valuedouble == (double)i)))
            return sn_fail(err, SN_EFORMAT, "%s/tekken.json: special token %zu is not one of that rank", t->dir, i);
        cJSON *token = cJSON_CreateObject();
        if (cJSON_AddNumberToObject(token, "id", (double)i) == NULL || cJSON_AddStringToObject(token, "content", name) == NULL ||
            cJSON_AddTrueToObject(token, "special") == NULL || !cJSON_AddItemToArray(list, token)) {
            cJSON_Delete(token);
            return no_memory(t, err);
        }
        if (entry != NULL) entry = entry->next;
    }
    return SN_OK;
}

static cJSON *settings_of(const cJSON *chat_template)
{
    static const char *const named[][2] = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
    cJSON *settings = cJSON_CreateObject();
    bool sound = cJSON_AddTrueToObject(settings, "add_bos_token") != NULL && cJSON_AddFalseToObject(settings, "add_eos_token") != NULL;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        sound = sound && cJSON_AddStringToObject(settings, named[i][0], named[i][1]) != NULL;
    if (chat_template != NULL) sound = sound && cJSON_AddItemToObject(settings, "chat_template", cJSON_Duplicate(chat_template, true));
    if (sound) return settings;
    cJSON_Delete(settings);
    return NULL;
}

/* ---- all ---- */

static sn_status read_config(tekken *t, const cJSON *root, size_t n_words, sn_err *err)
{
    t->config = sn_json_get(root, "config");
    t->special = sn_json_get(root, "special_tokens");
    const cJSON *all = sn_json_get(t->config, "default_vocab_size"), *special = sn_json_get(t->config, "default_num_special_tokens");
    const char *version = sn_json_str(sn_json_get(t->config, "version"));
    const double n = cJSON_IsNumber(all) ? all->valuedouble : 0, k = cJSON_IsNumber(special) ? special->valuedouble : 0;
    if (!(k >= 1 && k <= MAX_SPECIAL && n >= k + 256 && n - k <= cJSON_GetArraySize(sn_json_get(root, "vocab"))))
        return sn_fail(err, SN_EFORMAT, "%s/tekken.json: its numbers of words and special tokens make no sense", t->dir);
    if (n > (double)n_words)
        return sn_fail(err, SN_EFORMAT, "%s/tekken.json: has %.0f words, more than the model's %zu", t->dir, n, n_words);
    if (version == NULL || sscanf(version, "v%d", &t->version) != 1 || t->version < 1 || (t->special == NULL && t->version > 7))
        return sn_fail(err, SN_EUNSUPPORTED, "%s/tekken.json: version \"%.20s\" %s", t->dir, version != NULL ? version : "(none)",
                       t->version > 7 ? "names no special tokens" : "is not known");
    t->n_special = (size_t)k;
    t->n = (size_t)n - t->n_special;
    if (cJSON_GetArraySize(t->special) > (int)t->n_special)
        return sn_fail(err, SN_EFORMAT, "%s/tekken.json: lists more than its %zu special tokens", t->dir, t->n_special);
    return SN_OK;
}

sn_status txt_convert_tekken(txt_convert_vocab *v, const cJSON *root, size_t n_words, sn_err *err)
{
    tekken t = {.dir = v->dir};
    cJSON *tokenizer = cJSON_CreateObject(), *settings = settings_of(sn_json_get(v->settings, "chat_template"));
    sn_status st = tokenizer == NULL || settings == NULL ? no_memory(&t, err) : read_config(&t, root, n_words, err);
    if (st == SN_OK) st = read_words(&t, sn_json_get(root, "vocab"), err);
    if (st == SN_OK) st = add_model(&t, tokenizer, err);
    if (st == SN_OK) st = add_special(&t, tokenizer, err);
    if (st == SN_OK) {
        const char *pattern = sn_json_str(sn_json_get(t.config, "pattern"));
        cJSON *pre = cJSON_AddObjectToObject(tokenizer, "pre_tokenizer"), *how = cJSON_AddObjectToObject(pre, "pattern");
        cJSON_AddStringToObject(pre, "type", "Split");
        if (cJSON_AddStringToObject(how, "Regex", pattern != NULL ? pattern : "") == NULL) st = no_memory(&t, err);
    }
    sn_free(t.bytes);
    sn_free(t.words);
    sn_free(t.sorted);
    if (st != SN_OK) {
        cJSON_Delete(tokenizer);
        cJSON_Delete(settings);
        return st;
    }
    cJSON_Delete(v->settings);
    v->tokenizer = tokenizer;
    v->settings = settings;
    v->file = "tekken.json";
    v->scored = true;
    v->chat_name = t.version < 7 ? "mistral-v3-tekken" : "mistral-v7-tekken";
    return SN_OK;
}
