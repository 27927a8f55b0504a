/* vocab.c: the vocabulary of a GGUF file: spellings, types, the ids that matter, and bytes of a token. */
#include "vocab_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- small things ---- */
void txt_ids_free(txt_ids *l)
{
    sn_free(l->ids);
    *l = (txt_ids){0};
}

sn_status txt_ids_push(txt_ids *l, txt_id id, sn_err *err)
{
    if (l->n == l->cap) {
        sn_status s = sn_grow((void **)&l->ids, &l->cap, l->n + 1, sizeof *l->ids, err);
        if (s != SN_OK) return s;
    }
    l->ids[l->n++] = id;
    return SN_OK;
}

txt_shown txt_show(sn_str s)
{
    txt_shown out = {{0}};
    for (size_t i = 0; i < s.n && i < 60; i++) out.s[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
    return out;
}

size_t txt_utf8_len(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t len = u[0] < 0x80 ? 1 : u[0] >= 0xc2 && u[0] < 0xe0 ? 2 : u[0] >= 0xe0 && u[0] < 0xf0 ? 3 : u[0] >= 0xf0 && u[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((u[i] & 0xc0) != 0x80) return 0;
    if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) || (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
        return 0; /* longer than needed, a surrogate, beyond U+10FFFF */
    return len;
}

/* ---- spellings ---- */
uint64_t txt_hash(uint64_t seed, const char *p, size_t n)
{
    __extension__ typedef unsigned __int128 u128;
    uint64_t h = seed ^ n;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t w = 0;
        memcpy(&w, p + i, n - i < 8 ? n - i : 8);
        u128 m = (u128)(h ^ w) * 0x9e3779b97f4a7c15u;
        h = (uint64_t)m ^ (uint64_t)(m >> 64) ^ seed;
    }
    return h;
}

static unsigned class_of(uint8_t type)
{
    if (type == TXT_TYPE_CONTROL || type == TXT_TYPE_UNKNOWN) return TXT_CLASS_SPECIAL;
    return type == TXT_TYPE_BYTE ? TXT_CLASS_BYTE : TXT_CLASS_TEXT;
}

/* The slot of a token so spelled in one of the classes, or the empty one where the search ended. */
static uint32_t *slot_of(const txt_vocab *v, const char *p, size_t n, unsigned classes)
{
    size_t i = txt_hash(v->seed, p, n) & v->slot_mask;
    for (; v->slots[i] != 0; i = (i + 1) & v->slot_mask) {
        const txt_token *t = &v->tokens[v->slots[i] - 1];
        if (t->n == n && (class_of(t->type) & classes) && memcmp(v->bytes + t->off, p, n) == 0) break;
    }
    return &v->slots[i];
}

txt_id txt_lookup(const txt_vocab *v, const char *p, size_t n, unsigned classes)
{
    if (n == 0 || n > TXT_MAX_TOKEN_BYTES) return TXT_NO_ID;
    return (txt_id)*slot_of(v, p, n, classes) - 1;
}

txt_id txt_vocab_find(const txt_vocab *v, const char *text, size_t n)
{
    txt_id id = txt_lookup(v, text, n, TXT_CLASS_SPECIAL);
    if (id == TXT_NO_ID) id = txt_lookup(v, text, n, TXT_CLASS_TEXT);
    return id != TXT_NO_ID ? id : txt_lookup(v, text, n, TXT_CLASS_BYTE);
}

/* ---- opening ---- */
static bool spelled(const txt_vocab *v, size_t i, const char *z)
{
    return v->tokens[i].n == strlen(z) && memcmp(v->bytes + v->tokens[i].off, z, v->tokens[i].n) == 0;
}

static sn_status tokens_read(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    const char *path = sn_gguf_path(g);
    const sn_kv *kv = sn_gguf_find(g, "tokenizer.ggml.tokens");
    if (kv == NULL || kv->type != SN_KV_ARRAY || kv->elem != SN_KV_STRING || kv->n == 0)
        return sn_fail(err, SN_EFORMAT, "%s: tokenizer.ggml.tokens: want an array of strings, file has %s", path,
                       kv ? "another type, or an empty one" : "none");
    if (kv->n > INT32_MAX / 2) return sn_fail(err, SN_ELIMIT, "%s: tokenizer.ggml.tokens: %zu tokens", path, kv->n);
    size_t n_bytes = 0;
    for (size_t i = 0; i < kv->n; i++) {
        if (kv->strings[i].n > TXT_MAX_TOKEN_BYTES)
            return sn_fail(err, SN_ELIMIT, "%s: tokenizer.ggml.tokens: token %zu has %zu bytes, the limit is %d", path, i, kv->strings[i].n,
                           TXT_MAX_TOKEN_BYTES);
        if (!sn_add_ok(n_bytes, kv->strings[i].n, &n_bytes) || n_bytes > UINT32_MAX)
            return sn_fail(err, SN_ELIMIT, "%s: tokenizer.ggml.tokens: more than 4 GiB of text", path);
    }
    v->n = kv->n;
    v->tokens = sn_calloc(v->n, sizeof *v->tokens);
    v->bytes = sn_alloc(n_bytes, 1);
    if (v->tokens == NULL || v->bytes == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    uint32_t off = 0;
    for (size_t i = 0; i < v->n; i++) {
        v->tokens[i] = (txt_token){.off = off, .n = (uint16_t)kv->strings[i].n, .type = TXT_TYPE_NORMAL};
        if (kv->strings[i].n > 0) memcpy(v->bytes + off, kv->strings[i].p, kv->strings[i].n);
        off += (uint32_t)kv->strings[i].n;
    }
    return SN_OK;
}

/* An optional numeric array with one element a token; *kv NULL where the file has none. */
static sn_status per_token(const txt_vocab *v, const sn_gguf *g, const char *key, const sn_kv **kv, sn_err *err)
{
    *kv = sn_gguf_find(g, key);
    if (*kv == NULL) return SN_OK;
    if ((*kv)->type != SN_KV_ARRAY || (*kv)->elem == SN_KV_STRING || (*kv)->elem == SN_KV_ARRAY)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want an array of numbers", sn_gguf_path(g), key);
    if ((*kv)->n != v->n)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want one number a token, %zu, file has %zu", sn_gguf_path(g), key, v->n, (*kv)->n);
    return SN_OK;
}

/* "<0x41>" is the byte 0x41. */
static int byte_of(const char *p, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    if (n != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>' || p[3] == 0 || p[4] == 0) return -1;
    const char *hi = strchr(hex, p[3]), *lo = strchr(hex, p[4]);
    return hi && lo ? (int)(hi - hex) << 4 | (int)(lo - hex) : -1;
}

/* Spellings that no text is meant to have: <|...|> and DeepSeek's full-width form, Gemma's turns, SmolVLM's. Converters
 * give some of them another type; a message must not be able to write them. */
static bool looks_like_control(const char *p, size_t n)
{
    static const char *const known[] = {"<start_of_turn>", "<end_of_turn>", "<end_of_utterance>", "<fake_token_around_image>"};
    if (n > 4 && memcmp(p, "<|", 2) == 0 && memcmp(p + n - 2, "|>", 2) == 0) return true;
    if (n > 8 && memcmp(p, "<\xef\xbd\x9c", 4) == 0 && memcmp(p + n - 4, "\xef\xbd\x9c>", 4) == 0) return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (n == strlen(known[i]) && memcmp(p, known[i], n) == 0) return true;
    return false;
}

static sn_status types_read(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    const sn_kv *types, *scores;
    sn_status s = per_token(v, g, "tokenizer.ggml.token_type", &types, err);
    if (s == SN_OK) s = per_token(v, g, "tokenizer.ggml.scores", &scores, err);
    if (s != SN_OK) return s;
    for (size_t i = 0; i < v->n; i++) {
        txt_token *t = &v->tokens[i];
        const char *p = v->bytes + t->off;
        int64_t type = types ? sn_kv_i64(types, i) : TXT_TYPE_NORMAL;
        if (type < 0 || type > TXT_TYPE_BYTE) /* 0 is "undefined" */
            return sn_fail(err, SN_EFORMAT, "%s: tokenizer.ggml.token_type: token %zu has type %lld, want 0 to 6", sn_gguf_path(g), i,
                           (long long)type);
        t->type = type == 0 ? TXT_TYPE_NORMAL : (uint8_t)type;
        t->score = scores ? (float)sn_kv_f64(scores, i) : 0;
        int byte = byte_of(p, t->n);
        if (t->type == TXT_TYPE_BYTE && byte < 0)
            return sn_fail(err, SN_EFORMAT, "%s: token %zu (\"%s\") is of type byte, but is not spelled <0xXX>", sn_gguf_path(g), i,
                           txt_show((sn_str){p, t->n}).s);
        if (types == NULL && v->is_spm && byte >= 0) t->type = TXT_TYPE_BYTE; /* the first GGUF files */
        t->byte = byte >= 0 ? (uint8_t)byte : 0;
        if (t->type != TXT_TYPE_BYTE && looks_like_control(p, t->n)) t->type = TXT_TYPE_CONTROL;
    }
    return SN_OK;
}

/* A special id: `absent` where the key is missing (and inside the vocabulary), TXT_NO_ID for -1. */
static sn_status id_read(const txt_vocab *v, const sn_gguf *g, const char *key, txt_id absent, txt_id *out, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    *out = absent >= 0 && (size_t)absent < v->n ? absent : TXT_NO_ID;
    if (kv == NULL) return SN_OK;
    if (kv->type == SN_KV_ARRAY || kv->type == SN_KV_STRING || kv->type == SN_KV_F32 || kv->type == SN_KV_F64 || kv->type == SN_KV_BOOL)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want an integer", sn_gguf_path(g), key);
    int64_t id = sn_kv_i64(kv, 0);
    *out = TXT_NO_ID;
    if (id == -1 || id == UINT32_MAX) return SN_OK;
    if (id < 0 || (uint64_t)id >= v->n)
        return sn_fail(err, SN_EFORMAT, "%s: %s: %lld is not one of the %zu tokens", sn_gguf_path(g), key, (long long)id, v->n);
    *out = (txt_id)id;
    return SN_OK;
}

/* Tokens that end an answer: those that the file names, and control tokens of these spellings (what llama.cpp goes by). */
static void ends_mark(txt_vocab *v, const txt_id *named, size_t n_named)
{
    static const char *const known[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end|>",
                                        "<end_of_turn>",
                                        "<|endoftext|>",
                                        "<|eom_id|>",
                                        "<|eot|>",
                                        "<|end_of_text|>",
                                        "<|return|>",
                                        "<|call|>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "[EOT]",
                                        "[EOS]",
                                        "</s>",
                                        "<eos>",
                                        "<end_of_utterance>",
                                        "<|END_OF_TURN_TOKEN|>",
                                        "<|end_of_turn|>",
                                        ("<\xef\xbd\x9c"
                                         "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>")};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        txt_id id = txt_lookup(v, known[k], strlen(known[k]), TXT_CLASS_SPECIAL);
        if (id != TXT_NO_ID) v->tokens[id].is_end = true;
    }
    for (size_t k = 0; k < n_named; k++)
        if (named[k] != TXT_NO_ID) v->tokens[named[k]].is_end = true;
}

static sn_status ids_read(txt_vocab *v, const sn_gguf *g, txt_id *ends, sn_err *err)
{
    sn_status s = id_read(v, g, "tokenizer.ggml.bos_token_id", v->is_spm ? 1 : TXT_NO_ID, &v->bos, err);
    if (s == SN_OK) s = id_read(v, g, "tokenizer.ggml.eos_token_id", v->is_spm ? 2 : TXT_NO_ID, &v->eos, err);
    if (s == SN_OK) s = id_read(v, g, "tokenizer.ggml.unknown_token_id", v->is_spm ? 0 : TXT_NO_ID, &v->unk, err);
    if (s == SN_OK) s = id_read(v, g, "tokenizer.ggml.eot_token_id", TXT_NO_ID, &ends[0], err);
    if (s == SN_OK) s = id_read(v, g, "tokenizer.ggml.eom_token_id", TXT_NO_ID, &ends[1], err);
    ends[2] = v->eos;
    /* Phi-3 has its "</s>" as a user-defined token, which text may spell; next to a bos of "<s>" it is a control token (beside Gemma's
     * "<bos>" it is a tag of HTML). */
    for (size_t i = 0; s == SN_OK && v->bos != TXT_NO_ID && spelled(v, (size_t)v->bos, "<s>") && i < v->n; i++)
        if (v->tokens[i].type == TXT_TYPE_USER && (spelled(v, i, "</s>") || spelled(v, i, "<s>"))) v->tokens[i].type = TXT_TYPE_CONTROL;
    /* Files without types: what they name as begin, end and unknown is not text. */
    if (s == SN_OK && sn_gguf_find(g, "tokenizer.ggml.token_type") == NULL) {
        const txt_id named[] = {v->bos, v->eos, v->unk, ends[0], ends[1]};
        for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
            if (named[i] != TXT_NO_ID) v->tokens[named[i]].type = TXT_TYPE_CONTROL;
    }
    return s;
}

static sn_status slots_fill(txt_vocab *v, sn_err *err)
{
    size_t n_slots = 16;
    while (n_slots < 2 * v->n) n_slots *= 2;
    v->slots = sn_calloc(n_slots, sizeof *v->slots);
    if (v->slots == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    v->slot_mask = n_slots - 1;
    for (size_t i = 0; i < v->n; i++) {
        const txt_token *t = &v->tokens[i];
        if (t->n == 0) continue; /* an empty spelling is a placeholder */
        uint32_t *slot = slot_of(v, v->bytes + t->off, t->n, class_of(t->type));
        if (*slot != 0) continue; /* of equal spellings the first counts */
        *slot = (uint32_t)i + 1;
        if (class_of(t->type) == TXT_CLASS_TEXT && t->n > v->longest_text) v->longest_text = t->n;
    }
    return SN_OK;
}

static int by_spelling(const void *a, const void *b, void *vocab)
{
    const txt_vocab *v = vocab;
    const txt_token *x = &v->tokens[*(const txt_id *)a], *y = &v->tokens[*(const txt_id *)b];
    int d = memcmp(v->bytes + x->off, v->bytes + y->off, x->n < y->n ? x->n : y->n);
    if (d == 0) d = (int)x->n - (int)y->n;
    return d != 0 ? d : (x->type != TXT_TYPE_USER) - (y->type != TXT_TYPE_USER);
}

static bool in_raw_text(const txt_vocab *v, size_t i)
{
    const txt_token *t = &v->tokens[i];
    if (t->n == 0 || (class_of(t->type) != TXT_CLASS_SPECIAL && t->type != TXT_TYPE_USER)) return false;
    return *slot_of(v, v->bytes + t->off, t->n, class_of(t->type)) == i + 1; /* not a second one of that spelling */
}

static sn_status special_sort(txt_vocab *v, sn_err *err)
{
    for (size_t i = 0; i < v->n; i++) v->n_special += in_raw_text(v, i);
    v->special = sn_alloc(v->n_special, sizeof *v->special);
    if (v->special == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    size_t k = 0;
    for (size_t i = 0; i < v->n; i++)
        if (in_raw_text(v, i)) v->special[k++] = (txt_id)i;
    qsort_r(v->special, k, sizeof *v->special, by_spelling, v);
    for (size_t i = 0; i < k; i++) {
        unsigned char first = (unsigned char)*txt_spelling(v, v->special[i]);
        v->special_first[first + 1] = (uint32_t)i + 1;
        if (v->tokens[v->special[i]].type == TXT_TYPE_USER) v->user_first[first] = true;
    }
    for (size_t b = 1; b <= 256; b++)
        if (v->special_first[b] < v->special_first[b - 1]) v->special_first[b] = v->special_first[b - 1];
    return SN_OK;
}

/* Phi-3 was trained with blanks behind its control tokens taken in (rstrip in its tokenizer.json); GGUF has no key for that, and
 * llama.cpp too goes by the name. */
static sn_status strips_mark(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    char name[64] = {0};
    sn_str s;
    sn_status status = sn_gguf_str_or(g, "general.name", &s, err);
    if (status != SN_OK) return status;
    for (size_t i = 0; i < s.n && i < sizeof name - 1; i++) name[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 32 : s.p[i]);
    if (strstr(name, "phi-3") == NULL && strstr(name, "phi3") == NULL) return SN_OK;
    for (size_t i = 0; i < v->n; i++)
        v->tokens[i].strips = class_of(v->tokens[i].type) == TXT_CLASS_SPECIAL && !spelled(v, i, "<unk>") && !spelled(v, i, "<s>") &&
                              !spelled(v, i, "<|endoftext|>");
    txt_id end = txt_vocab_find(v, "</s>", 4);
    if (end != TXT_NO_ID) v->tokens[end].strips = true;
    return SN_OK;
}

static sn_status model_read(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    sn_str model;
    sn_status s = sn_gguf_str_or(g, "tokenizer.ggml.model", &model, err);
    if (s != SN_OK) return s;
    if (model.p == NULL) return sn_fail(err, SN_EFORMAT, "%s: no tokenizer.ggml.model: the file has no tokenizer", sn_gguf_path(g));
    v->is_spm = sn_str_eq(model, "llama");
    if (!v->is_spm && !sn_str_eq(model, "gpt2"))
        return sn_fail(err, SN_EUNSUPPORTED, "%s: tokenizer.ggml.model is \"%s\": \"llama\" and \"gpt2\" are supported", sn_gguf_path(g),
                       txt_show(model).s);
    v->add_bos = v->space_prefix = v->is_spm;
    return SN_OK;
}

static sn_status vocab_read(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    txt_id ends[3];
    v->seed = (uint64_t)(uintptr_t)v * 0xd1342543de82ef95u ^ (uint64_t)(uintptr_t)g;
    sn_status s = model_read(v, g, err);
    if (s == SN_OK) s = tokens_read(v, g, err);
    if (s == SN_OK) s = types_read(v, g, err);
    if (s == SN_OK) s = ids_read(v, g, ends, err);
    if (s == SN_OK) s = slots_fill(v, err);
    if (s == SN_OK) s = special_sort(v, err);
    if (s == SN_OK) s = strips_mark(v, g, err);
    if (s == SN_OK) s = v->is_spm ? txt_spm_open(v, g, err) : txt_bpe_open(v, g, err);
    if (s == SN_OK) s = sn_gguf_bool_or(g, "tokenizer.ggml.add_bos_token", v->add_bos, &v->add_bos, err);
    if (s == SN_OK) s = sn_gguf_bool_or(g, "tokenizer.ggml.add_eos_token", false, &v->add_eos, err);
    if (s == SN_OK) s = sn_gguf_bool_or(g, "tokenizer.ggml.add_space_prefix", v->space_prefix, &v->space_prefix, err);
    if (s != SN_OK) return s;
    if (!v->is_spm) v->space_prefix = false; /* files of byte-level BPE carry the key, nobody heeds it */
    v->add_bos = v->add_bos && v->bos != TXT_NO_ID;
    v->add_eos = v->add_eos && v->eos != TXT_NO_ID;
    ends_mark(v, ends, 3);
    return SN_OK;
}

sn_status txt_vocab_open(txt_vocab **out, const sn_gguf *g, sn_err *err)
{
    txt_vocab *v = sn_calloc(1, sizeof *v);
    if (v == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    sn_status s = vocab_read(v, g, err);
    if (s != SN_OK) {
        txt_vocab_close(v);
        return s;
    }
    *out = v;
    return SN_OK;
}

void txt_vocab_close(txt_vocab *v)
{
    if (v == NULL) return;
    txt_pre_close(v->pre);
    sn_free(v->rules);
    sn_free(v->special);
    sn_free(v->slots);
    sn_free(v->bytes);
    sn_free(v->tokens);
    sn_free(v);
}

/* ---- asking ---- */
size_t txt_vocab_bytes(const txt_vocab *v)
{
    size_t n = sizeof *v + v->n * sizeof *v->tokens + (v->slot_mask + 1) * sizeof *v->slots + v->n_special * sizeof *v->special;
    for (size_t i = 0; i < v->n; i++) n += v->tokens[i].n;
    return n + (v->rules ? (v->rule_mask + 1) * sizeof *v->rules : 0);
}

size_t txt_vocab_n(const txt_vocab *v)
{
    return v->n;
}

txt_id txt_vocab_bos(const txt_vocab *v)
{
    return v->bos;
}

txt_id txt_vocab_eos(const txt_vocab *v)
{
    return v->eos;
}

bool txt_vocab_add_bos(const txt_vocab *v)
{
    return v->add_bos;
}

bool txt_vocab_add_eos(const txt_vocab *v)
{
    return v->add_eos;
}

bool txt_vocab_space_prefix(const txt_vocab *v)
{
    return v->space_prefix;
}

bool txt_vocab_is_end(const txt_vocab *v, txt_id id)
{
    return id >= 0 && (size_t)id < v->n && v->tokens[id].is_end;
}

bool txt_vocab_is_control(const txt_vocab *v, txt_id id)
{
    return id >= 0 && (size_t)id < v->n && class_of(v->tokens[id].type) == TXT_CLASS_SPECIAL;
}

static size_t put(char *buf, size_t cap, const char *p, size_t n)
{
    if (cap > 0 && n > 0) memcpy(buf, p, n < cap ? n : cap);
    return n;
}

/* SentencePiece's U+2581 is a blank. */
static size_t put_spm(char *buf, size_t cap, const char *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; k++) {
        bool blank = n - i >= 3 && memcmp(p + i, "\xe2\x96\x81", 3) == 0;
        if (k < cap) buf[k] = blank ? ' ' : p[i];
        i += blank ? 3 : 1;
    }
    return k;
}

size_t txt_piece(const txt_vocab *v, txt_id id, bool special, char *buf, size_t cap)
{
    if (id < 0 || (size_t)id >= v->n) return 0;
    const txt_token *t = &v->tokens[id];
    const char *p = v->bytes + t->off;
    size_t n;
    if (class_of(t->type) == TXT_CLASS_SPECIAL) return special ? put(buf, cap, p, t->n) : 0;
    if (t->type == TXT_TYPE_BYTE) return put(buf, cap, (const char *)&t->byte, 1);
    if (v->is_spm) return put_spm(buf, cap, p, t->n);
    if (t->type != TXT_TYPE_USER && txt_bpe_decode(p, t->n, buf, cap, &n)) return n;
    return put(buf, cap, p, t->n);
}
