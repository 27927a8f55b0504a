/* bpe.c: byte-level BPE (Radford et al. 2019; GPT-2, Llama 3, Qwen, SmolLM, Tekken). Every byte is a letter of an alphabet of
 * printable characters; words from the pre-tokenizer are merged by the ranks of tokenizer.ggml.merges. The ids are of the raw
 * bytes: text that is not UTF-8 is kept as it is, byte by byte. */
#include "vocab_internal.h"

#include <string.h>

/* GPT-2's alphabet: bytes that print in Latin-1 stand for themselves, the others for U+0100 onwards, in order. */
static bool prints(unsigned b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad && b <= 0xff);
}
#define N_ALPHABET 324 /* 256 and the 68 bytes that do not print */

typedef struct {
    uint16_t letter[256];     /* code point of a byte */
    int16_t byte[N_ALPHABET]; /* byte of a code point, -1: none */
} alphabet;

static alphabet alphabet_make(void)
{
    alphabet a;
    uint16_t next = 256;
    for (size_t c = 0; c < N_ALPHABET; c++) a.byte[c] = -1;
    for (unsigned b = 0; b < 256; b++) {
        a.letter[b] = prints(b) ? (uint16_t)b : next++;
        a.byte[a.letter[b]] = (int16_t)b;
    }
    return a;
}

/* All letters are below U+0800: one or two bytes of UTF-8. */
static size_t letter_put(char *p, uint16_t c)
{
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    p[0] = (char)(0xc0 | c >> 6);
    p[1] = (char)(0x80 | (c & 63));
    return 2;
}

size_t txt_bpe_spell(const unsigned char *bytes, size_t n, char *spelling)
{
    const alphabet a = alphabet_make();
    size_t at = 0;
    for (size_t i = 0; i < n; i++) at += letter_put(spelling + at, a.letter[bytes[i]]);
    return at;
}

bool txt_bpe_decode(const char *spelling, size_t n, char *buf, size_t cap, size_t *n_bytes)
{
    static const struct {
        unsigned first, last, byte;
    } moved[] = {{0x100, 0x120, 0x00}, {0x121, 0x142, 0x7f}, {0x143, 0x143, 0xad}}; /* what alphabet_make makes, inverted */
    *n_bytes = 0;
    for (size_t i = 0; i < n;) {
        unsigned c = (unsigned char)spelling[i++];
        if (c >= 0x80) {
            if (c < 0xc2 || c > 0xc5 || i == n || ((unsigned char)spelling[i] & 0xc0) != 0x80) return false;
            c = (c & 31) << 6 | ((unsigned char)spelling[i++] & 63);
        }
        if (!prints(c) || c > 0xff) {
            size_t k = 0;
            while (k < 3 && !(c >= moved[k].first && c <= moved[k].last)) k++;
            if (k == 3) return false;
            c = moved[k].byte + (c - moved[k].first);
        }
        if (*n_bytes < cap) buf[*n_bytes] = (char)c;
        ++*n_bytes;
    }
    return true;
}

static uint64_t rule_hash(const txt_vocab *v, uint64_t key)
{
    __extension__ typedef unsigned __int128 u128;
    u128 p = (u128)(key ^ v->seed) * 0x9e3779b97f4a7c15u;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static txt_rule *rule_slot(const txt_vocab *v, uint64_t key)
{
    size_t i = rule_hash(v, key) & v->rule_mask;
    while (v->rules[i].rank != UINT32_MAX && v->rules[i].key != key) i = (i + 1) & v->rule_mask;
    return &v->rules[i];
}

/* One line of tokenizer.ggml.merges: "left right". Of equal pairs the first counts. A rule whose sides or result are not tokens
 * of text (a vocabulary that was cut, a control token) can make no id and is left out. */
static sn_status rule_read(txt_vocab *v, sn_str line, uint32_t rank, const char *path, sn_err *err)
{
    char joined[2 * TXT_MAX_TOKEN_BYTES];
    const char *space = line.n > 2 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    size_t n_left = space ? (size_t)(space - line.p) : 0, n_right = space ? line.n - n_left - 1 : 0;
    if (n_right == 0)
        return sn_fail(err, SN_EFORMAT, "%s: tokenizer.ggml.merges: entry %u (\"%s\") is not two tokens", path, rank, txt_show(line).s);
    if (n_left + n_right > v->longest_text) return SN_OK;
    memcpy(joined, line.p, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    txt_id l = txt_lookup(v, joined, n_left, TXT_CLASS_TEXT), r = txt_lookup(v, joined + n_left, n_right, TXT_CLASS_TEXT),
           both = txt_lookup(v, joined, n_left + n_right, TXT_CLASS_TEXT);
    if (l == TXT_NO_ID || r == TXT_NO_ID || both == TXT_NO_ID) return SN_OK;
    uint64_t key = (uint64_t)(uint32_t)l << 32 | (uint32_t)r;
    txt_rule *slot = rule_slot(v, key);
    if (slot->rank == UINT32_MAX) *slot = (txt_rule){.key = key, .rank = rank, .joined = both};
    return SN_OK;
}

static sn_status rules_read(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    const char *path = sn_gguf_path(g);
    const sn_kv *kv = sn_gguf_find(g, "tokenizer.ggml.merges");
    if (kv == NULL || kv->type != SN_KV_ARRAY || kv->elem != SN_KV_STRING)
        return sn_fail(err, SN_EFORMAT, "%s: tokenizer.ggml.merges: want an array of strings, file has %s", path,
                       kv ? "another type" : "none");
    if (kv->n >= UINT32_MAX / 2) return sn_fail(err, SN_ELIMIT, "%s: tokenizer.ggml.merges: %zu entries", path, kv->n);
    size_t n_slots = 16;
    while (n_slots < 2 * kv->n) n_slots *= 2;
    v->rules = sn_alloc(n_slots, sizeof *v->rules);
    if (v->rules == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; i < n_slots; i++) v->rules[i].rank = UINT32_MAX;
    v->rule_mask = n_slots - 1;
    for (size_t i = 0; i < kv->n; i++) {
        sn_status s = rule_read(v, kv->strings[i], (uint32_t)i, path, err);
        if (s != SN_OK) return s;
    }
    return SN_OK;
}

sn_status txt_bpe_open(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    sn_str pre;
    alphabet a = alphabet_make();
    for (unsigned b = 0; b < 256; b++) {
        char letter[2];
        v->byte_id[b] = txt_lookup(v, letter, letter_put(letter, a.letter[b]), TXT_CLASS_TEXT);
    }
    sn_status s = rules_read(v, g, err);
    if (s == SN_OK) s = sn_gguf_str_or(g, "tokenizer.ggml.pre", &pre, err);
    if (s != SN_OK) return s;
    if (txt_pre_open(&v->pre, pre, &v->whole_words, &v->add_bos, err) != SN_OK) return sn_wrap(err, "%s", sn_gguf_path(g));
    return SN_OK;
}

static void join(const txt_joiner *j, txt_sym *l, const txt_sym *r)
{
    if (l->id == TXT_NO_ID || r->id == TXT_NO_ID) return;
    const txt_rule *rule = rule_slot(j->v, (uint64_t)(uint32_t)l->id << 32 | (uint32_t)r->id);
    l->joined = rule->joined;
    l->key = rule->rank; /* an empty slot's rank is TXT_NO_JOIN */
}

/* The token that is the whole word, or TXT_NO_ID. */
static txt_id whole_word(const txt_vocab *v, const alphabet *a, const char *word, size_t n)
{
    char spelled[TXT_MAX_TOKEN_BYTES + 2];
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (len >= v->longest_text) return TXT_NO_ID;
        len += letter_put(spelled + len, a->letter[(unsigned char)word[i]]);
    }
    return txt_lookup(v, spelled, len, TXT_CLASS_TEXT);
}

/* A byte that this vocabulary has no token for (SmolLM2 lacks a dozen control characters and the bytes that UTF-8 does not use).
 * A byte foreign to UTF-8 becomes U+FFFD, the replacement character, where that can be written; any other makes no id, as in
 * the references (what files name as unknown token is often the end of text). */
static sn_status missing_byte(const txt_vocab *v, unsigned char b, txt_ids *out, sn_err *err)
{
    const txt_id mark[] = {v->byte_id[0xef], v->byte_id[0xbf], v->byte_id[0xbd]};
    bool foreign = b == 0xc0 || b == 0xc1 || b >= 0xf5;
    sn_status s = SN_OK;
    if (!foreign || mark[0] == TXT_NO_ID || mark[1] == TXT_NO_ID || mark[2] == TXT_NO_ID) return SN_OK;
    for (int i = 0; s == SN_OK && i < 3; i++) s = txt_ids_push(out, mark[i], err);
    return s;
}

static sn_status word_tokenize(const txt_vocab *v, const alphabet *a, txt_merge *m, const char *word, size_t n, txt_ids *out, sn_err *err)
{
    if (v->whole_words) {
        txt_id id = whole_word(v, a, word, n);
        if (id != TXT_NO_ID) return txt_ids_push(out, id, err);
    }
    sn_status s = txt_merge_reserve(m, n, err);
    if (s != SN_OK) return s;
    m->n = 0;
    for (size_t i = 0; i < n; i++) txt_merge_push(m, i, 1, v->byte_id[(unsigned char)word[i]]);
    txt_merge_run(m, &(txt_joiner){.v = v, .text = word, .join = join});
    for (int32_t i = 0; i >= 0; i = m->sym[i].next) {
        if (m->sym[i].id == TXT_NO_ID)
            s = missing_byte(v, (unsigned char)word[m->sym[i].off], out, err);
        else
            s = txt_ids_push(out, m->sym[i].id, err);
        if (s != SN_OK) return s;
    }
    return SN_OK;
}

sn_status txt_bpe_tokenize(const txt_vocab *v, const char *text, size_t n, txt_ids *out, sn_err *err)
{
    alphabet a = alphabet_make();
    txt_spans words = {0};
    txt_merge m = {0};
    sn_status s = txt_pre_split(v->pre, text, n, &words, err);
    for (size_t i = 0; s == SN_OK && i < words.n; i++) s = word_tokenize(v, &a, &m, text + words.spans[i].off, words.spans[i].n, out, err);
    txt_merge_free(&m);
    sn_free(words.spans);
    return s;
}
