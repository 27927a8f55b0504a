/* convert_vocab.c: the vocabulary of a Hugging Face folder. tokenizer.model is SentencePiece's (a protobuf: github.com/google/
 * sentencepiece, sentencepiece_model.proto), tokenizer.json that of Hugging Face tokenizers: byte-level BPE, or the BPE with
 * fallback to bytes that Llama 2's SentencePiece became there. */
#include "convert.h"

#include "../core/cursor.h"
#include "../core/file.h"
#include "../core/mem.h"
#include "vocab_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORD 65536
#define MAX_ADDED 20000 /* each is looked for among all; the largest vocabularies in use add some 7,000 */
#define ADDED_SCORE (-1000.0f)

/* ---- words ---- */

static sn_status set_word(txt_convert_vocab *v, size_t id, const char *p, size_t n, float score, int32_t type, sn_err *err)
{
    char *text = n <= MAX_WORD ? strndup(p, n) : NULL;
    if (text == NULL)
        return n <= MAX_WORD ? sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir)
                             : sn_fail(err, SN_ELIMIT, "%s: word %zu is too long", v->dir, id);
    free(v->words[id].text);
    v->words[id] = (txt_word){text, score, type};
    return SN_OK;
}

/* An added word that is no control token: here blanks are written as blanks. */
static sn_status set_plain(txt_convert_vocab *v, size_t id, const char *text, sn_err *err)
{
    char *plain = strdup(text), *to = plain;
    if (plain == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir);
    for (const char *p = text; *p != '\0';) {
        const bool blank = strncmp(p, "\xe2\x96\x81", 3) == 0;
        *to++ = blank ? ' ' : *p;
        p += blank ? 3 : 1;
    }
    const sn_status st = set_word(v, id, plain, (size_t)(to - plain), ADDED_SCORE, TXT_TYPE_USER, err);
    free(plain);
    return st;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Spellings that are control tokens whatever the folder says: some say of all their added tokens that they are not special. */
static bool looks_special(const char *text)
{
    static const char *const whole[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(text, whole[i]) == 0) return true;
    return (strncmp(text, "<|", 2) == 0 && ends_with(text, "|>")) ||
           (strncmp(text, "<\xef\xbd\x9c", 4) == 0 && ends_with(text, "\xef\xbd\x9c>")) ||
           (strncmp(text, "<unused", 7) == 0 && ends_with(text, ">"));
}

static sn_status set_added(txt_convert_vocab *v, size_t id, const char *text, bool special, sn_err *err)
{
    if (special || looks_special(text)) return set_word(v, id, text, strlen(text), ADDED_SCORE, TXT_TYPE_CONTROL, err);
    return set_plain(v, id, text, err);
}

int32_t txt_convert_vocab_id(const txt_convert_vocab *v, const char *text)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->words[i].text, text) == 0) return (int32_t)i;
    return -1;
}

/* A word's number in JSON; false where it is none of this vocabulary. */
static bool word_id(const txt_convert_vocab *v, const cJSON *id, size_t *out)
{
    if (!cJSON_IsNumber(id) || !(id->valuedouble >= 0 && id->valuedouble < (double)v->n)) return false;
    *out = (size_t)id->valuedouble;
    return true;
}

/* ---- tokenizer.model ---- */

static uint64_t varint(sn_cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = sn_cursor_u8(c, "a number");
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return v;
    }
    sn_cursor_fail(c, SN_EFORMAT, "a number has no end");
    return 0;
}

static void skip_field(sn_cursor *c, unsigned wire)
{
    if (wire == 0)
        varint(c);
    else if (wire == 1)
        sn_cursor_bytes(c, 8, "a field");
    else if (wire == 2)
        sn_cursor_bytes(c, varint(c), "a field");
    else if (wire == 5)
        sn_cursor_bytes(c, 4, "a field");
    else
        sn_cursor_fail(c, SN_EFORMAT, "a field of type %u", wire);
}

/* message SentencePiece { string piece = 1; float score = 2; Type type = 3; } */
static sn_status read_piece(txt_convert_vocab *v, size_t id, const void *data, size_t n, sn_err *err)
{
    /* Type of the protobuf: normal, unknown, control, user defined, unused, byte. A user-defined piece is an ordinary one to
     * llama.cpp's converter; the folder's added tokens say which are not. */
    static const int32_t types[] = {TXT_TYPE_NORMAL, TXT_TYPE_NORMAL, TXT_TYPE_UNKNOWN, TXT_TYPE_CONTROL,
                                    TXT_TYPE_NORMAL, TXT_TYPE_UNUSED, TXT_TYPE_BYTE};
    sn_cursor c;
    const char *text = "";
    size_t n_text = 0;
    float score = 0;
    uint64_t type = 1;
    sn_cursor_init(&c, data, n, err);
    while (c.status == SN_OK && sn_cursor_left(&c) > 0) {
        const uint64_t tag = varint(&c);
        if (tag == (1 << 3 | 2)) {
            n_text = (size_t)varint(&c);
            text = sn_cursor_bytes(&c, n_text, "a piece");
        } else if (tag == (2 << 3 | 5)) {
            score = sn_cursor_f32(&c, "a score");
        } else if (tag == (3 << 3)) {
            type = varint(&c);
        } else {
            skip_field(&c, (unsigned)(tag & 7));
        }
    }
    if (c.status == SN_OK && (type < 1 || type >= sizeof types / sizeof *types))
        return sn_fail(err, SN_EFORMAT, "piece %zu is of type %u", id, (unsigned)type);
    if (c.status == SN_OK && memchr(text, '\0', n_text) != NULL) return sn_fail(err, SN_EFORMAT, "piece %zu holds a NUL", id);
    return c.status == SN_OK ? set_word(v, id, text, n_text, score, types[type], err) : c.status;
}

/* message ModelProto { repeated SentencePiece pieces = 1; ... } */
static sn_status read_pieces(txt_convert_vocab *v, const char *path, sn_err *err)
{
    sn_map m;
    sn_cursor c;
    sn_status st = sn_map_open(&m, path, err);
    if (st != SN_OK) return st;
    sn_cursor_init(&c, m.data, m.size, err);
    size_t id = 0;
    while (st == SN_OK && c.status == SN_OK && sn_cursor_left(&c) > 0) {
        const uint64_t tag = varint(&c);
        if (tag != (1 << 3 | 2)) {
            skip_field(&c, (unsigned)(tag & 7));
            continue;
        }
        const size_t n = (size_t)varint(&c);
        const void *p = sn_cursor_bytes(&c, n, "a piece");
        if (p != NULL && id < v->n) st = read_piece(v, id++, p, n, err);
    }
    if (st == SN_OK) st = c.status;
    if (st == SN_OK && id == 0) st = sn_fail(err, SN_EFORMAT, "is no SentencePiece model");
    if (st != SN_OK) sn_wrap(err, "%s", path);
    sn_map_close(&m);
    return st;
}

/* added_tokens.json, then added_tokens_decoder of tokenizer_config.json: the later one counts. */
static sn_status add_to_pieces(txt_convert_vocab *v, sn_err *err)
{
    const cJSON *t;
    sn_status st = SN_OK;
    size_t id;
    cJSON_ArrayForEach(t, sn_json_object(v->added))
    {
        if (st == SN_OK && word_id(v, t, &id)) st = set_word(v, id, t->string, strlen(t->string), ADDED_SCORE, TXT_TYPE_USER, err);
    }
    cJSON_ArrayForEach(t, sn_json_object(sn_json_get(v->settings, "added_tokens_decoder")))
    {
        char *end;
        const char *text = sn_json_str(sn_json_get(t, "content"));
        const unsigned long number = strtoul(t->string, &end, 10);
        if (st != SN_OK || text == NULL || *end != '\0' || end == t->string || number >= v->n) continue;
        st = set_added(v, number, text, cJSON_IsTrue(sn_json_get(t, "special")), err);
    }
    return st;
}

/* ---- tokenizer.json ---- */

static bool is_byte_word(const char *text)
{
    unsigned byte;
    int used = 0;
    return sscanf(text, "<0x%2x>%n", &byte, &used) == 1 && used == 6 && text[6] == '\0';
}

static sn_status read_words(txt_convert_vocab *v, sn_err *err)
{
    const cJSON *model = sn_json_get(v->tokenizer, "model"), *words = sn_json_object(sn_json_get(model, "vocab")), *word;
    const char *type = sn_json_str(sn_json_get(model, "type"));
    if (type != NULL && strcmp(type, "BPE") != 0)
        return sn_fail(err, SN_EUNSUPPORTED, "%s/%s: a tokenizer of type %.40s is not known, want BPE", v->dir, v->file, type);
    if (cJSON_GetArraySize(words) == 0) return sn_fail(err, SN_EFORMAT, "%s/%s: has no words", v->dir, v->file);
    sn_status st = SN_OK;
    cJSON_ArrayForEach(word, words)
    {
        size_t id;
        if (!word_id(v, word, &id))
            return sn_fail(err, SN_EFORMAT, "%s/%s: \"%.40s\" is not one of the model's %zu words", v->dir, v->file, word->string, v->n);
        st = set_word(v, id, word->string, strlen(word->string), v->pieces ? ADDED_SCORE : 0,
                      v->pieces && is_byte_word(word->string) ? TXT_TYPE_BYTE : TXT_TYPE_NORMAL, err);
        if (st != SN_OK) return st;
    }
    return st;
}

/* The added tokens of tokenizer.json; what tokenizer_config.json says of one counts more. */
static sn_status add_to_words(txt_convert_vocab *v, sn_err *err)
{
    const cJSON *settings = sn_json_get(v->settings, "added_tokens_decoder"), *t;
    sn_status st = SN_OK;
    if (cJSON_GetArraySize(sn_json_get(v->tokenizer, "added_tokens")) > MAX_ADDED || cJSON_GetArraySize(settings) > MAX_ADDED)
        return sn_fail(err, SN_ELIMIT, "%s/%s: has more than %d added tokens", v->dir, v->file, MAX_ADDED);
    cJSON_ArrayForEach(t, sn_json_get(v->tokenizer, "added_tokens"))
    {
        char number[24];
        size_t id;
        const char *text = sn_json_str(sn_json_get(t, "content"));
        if (text == NULL || !word_id(v, sn_json_get(t, "id"), &id))
            return sn_fail(err, SN_EFORMAT, "%s/%s: an added token is not one of the model's %zu words", v->dir, v->file, v->n);
        snprintf(number, sizeof number, "%zu", id);
        const cJSON *special = sn_json_get(sn_json_get(settings, number), "special");
        if (special == NULL) special = sn_json_get(t, "special");
        st = set_added(v, id, text, cJSON_IsTrue(special), err);
        if (st != SN_OK) return st;
    }
    return st;
}

/* The unknown word of a SentencePiece vocabulary, and the special tokens that tokenizer_config.json names without adding them. */
static sn_status mark_special(txt_convert_vocab *v, sn_err *err)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *named = sn_json_get(v->settings, names[i]);
        const char *text = sn_json_str(named) != NULL ? sn_json_str(named) : sn_json_str(sn_json_get(named, "content"));
        const int32_t id = text == NULL ? -1 : txt_convert_vocab_id(v, text);
        if (id >= 0 && v->words[id].type == TXT_TYPE_NORMAL) v->words[id].type = TXT_TYPE_CONTROL;
    }
    return v->n == 0 ? sn_fail(err, SN_EFORMAT, "%s: the vocabulary is empty", v->dir) : SN_OK;
}

typedef struct {
    const char *text;
    size_t id;
} spelling;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const spelling *)a)->text, ((const spelling *)b)->text);
}

/* The word that a merge makes: "a b" or ["a", "b"], without what lies between. False where it is no merge, or too long. */
static bool merged(const cJSON *merge, char *joined, size_t room)
{
    const char *whole = sn_json_str(merge), *a = NULL, *b = NULL;
    if (whole != NULL) {
        b = strchr(whole + (whole[0] == ' '), ' ');
        if (b == NULL || strlen(whole) >= room) return false;
        snprintf(joined, room, "%.*s%s", (int)(b - whole), whole, b + 1);
        return true;
    }
    a = sn_json_str(cJSON_GetArrayItem(merge, 0));
    b = sn_json_str(cJSON_GetArrayItem(merge, 1));
    return a != NULL && b != NULL && strlen(a) + strlen(b) < room && snprintf(joined, room, "%s%s", a, b) >= 0;
}

/* The pieces' scores: the earlier a merge, the better the piece that it makes. (llama.cpp's converter gives all of them -1000,
 * with which text falls into other pieces than the model was trained on.) */
static sn_status score_pieces(txt_convert_vocab *v, sn_err *err)
{
    const cJSON *merge;
    float rank = 0;
    static const size_t room = 4096;
    spelling *list = sn_alloc(v->n, sizeof *list);
    char *joined = sn_alloc(room, 1);
    if (list == NULL || joined == NULL) {
        sn_free(list);
        sn_free(joined);
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir);
    }
    for (size_t i = 0; i < v->n; i++) list[i] = (spelling){v->words[i].text, i};
    qsort(list, v->n, sizeof *list, by_text);
    cJSON_ArrayForEach(merge, sn_json_get(sn_json_get(v->tokenizer, "model"), "merges"))
    {
        const spelling key = {joined, 0};
        const spelling *found = merged(merge, joined, room) ? bsearch(&key, list, v->n, sizeof *list, by_text) : NULL;
        if (found != NULL && v->words[found->id].type == TXT_TYPE_NORMAL && v->words[found->id].score == ADDED_SCORE)
            v->words[found->id].score = -rank;
        rank++;
    }
    for (size_t i = 0; i < v->n; i++) /* letters and the like, which nothing makes: any score will do */
        if (v->words[i].type == TXT_TYPE_NORMAL && v->words[i].score == ADDED_SCORE) v->words[i].score = -rank;
    sn_free(list);
    sn_free(joined);
    return SN_OK;
}

/* ---- both ---- */

static sn_status fill(txt_convert_vocab *v, size_t n, sn_err *err)
{
    char text[32];
    sn_status st = SN_OK;
    v->words = sn_calloc(n, sizeof *v->words);
    if (v->words == NULL) return sn_fail(err, SN_ENOMEM, "%s: no memory for %zu words", v->dir, n);
    v->n = n;
    for (size_t i = 0; i < n && st == SN_OK; i++)
        st = set_word(v, i, text, (size_t)snprintf(text, sizeof text, "[PAD%zu]", i), v->pieces ? -10000.0f : 0, TXT_TYPE_UNUSED, err);
    return st;
}

static bool holds(const char *dir, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) return false;
    const bool found = access(path, F_OK) == 0;
    free(path);
    return found;
}

static sn_status from_pieces(txt_convert_vocab *v, size_t n, sn_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/tokenizer.model", v->dir) < 0) return sn_fail(err, SN_ENOMEM, "%s: out of memory", v->dir);
    v->pieces = true;
    sn_status st = fill(v, n, err);
    if (st == SN_OK) st = read_pieces(v, path, err);
    if (st == SN_OK) st = add_to_pieces(v, err);
    free(path);
    return st;
}

static sn_status from_words(txt_convert_vocab *v, const char *model_type, size_t n, sn_err *err)
{
    v->pieces = cJSON_IsTrue(sn_json_get(sn_json_get(v->tokenizer, "model"), "byte_fallback"));
    sn_status st = fill(v, n, err);
    if (st == SN_OK) st = read_words(v, err);
    if (st == SN_OK && v->pieces) st = score_pieces(v, err);
    if (st == SN_OK) st = add_to_words(v, err);
    if (st == SN_OK) st = mark_special(v, err);
    if (st == SN_OK && !v->pieces && v->pre == NULL && (st = txt_convert_pre(v->tokenizer, model_type, &v->pre, err)) != SN_OK)
        sn_wrap(err, "%s/%s", v->dir, v->file);
    return st;
}

static sn_status from_tekken(txt_convert_vocab *v, size_t n, sn_err *err)
{
    cJSON *root = NULL;
    sn_status st = sn_json_open_in(&root, v->dir, "tekken.json", err);
    if (st == SN_OK) st = txt_convert_tekken(v, root, n, err);
    cJSON_Delete(root);
    return st;
}

/* Which of a folder's files counts is as in llama.cpp's converter. */
sn_status txt_convert_vocab_read(txt_convert_vocab *v, const char *dir, const char *model_type, size_t n_words, sn_err *err)
{
    *v = (txt_convert_vocab){.dir = dir, .file = "tokenizer.json"};
    sn_status st = sn_json_open_in(&v->tokenizer, dir, "tokenizer.json", err);
    if (st == SN_OK) st = sn_json_open_in(&v->settings, dir, "tokenizer_config.json", err);
    if (st == SN_OK) st = sn_json_open_in(&v->added, dir, "added_tokens.json", err);
    if (st != SN_OK) return st;
    const bool tekken = v->tokenizer == NULL && holds(dir, "tekken.json");
    if (!tekken && holds(dir, "tokenizer.model")) return from_pieces(v, n_words, err);
    if (tekken)
        st = from_tekken(v, n_words, err);
    else if (v->tokenizer == NULL && holds(dir, "vocab.json"))
        st = txt_convert_merges(v, model_type, err);
    else if (v->tokenizer == NULL)
        st = sn_fail(err, SN_EFORMAT, "%s: has no tokenizer: neither tokenizer.json nor tokenizer.model, tekken.json or vocab.json", dir);
    return st == SN_OK ? from_words(v, model_type, n_words, err) : st;
}

void txt_convert_vocab_free(txt_convert_vocab *v)
{
    for (size_t i = 0; i < v->n; i++) free(v->words[i].text);
    sn_free(v->words);
    cJSON_Delete(v->tokenizer);
    cJSON_Delete(v->settings);
    cJSON_Delete(v->added);
    *v = (txt_convert_vocab){0};
}
