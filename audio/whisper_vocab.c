/* whisper_vocab.c: Whisper's vocabulary: words of bytes numbered in the order of their merges (GPT-2's byte-level BPE,
 * Radford et al. 2019), special tokens behind them, and which tokens are never sampled. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <strings.h>

#include "whisper.h"

#define MAX_WORD 512 /* bytes: longer runs of letters are cut, which bounds the quadratic merge loop */

/* In the order of their tokens (openai/whisper, tokenizer.py). */
static const struct {
    const char *code, *name;
} languages[AUD_MAX_LANGUAGES] = {
    {"en", "english"},  {"zh", "chinese"},    {"de", "german"},         {"es", "spanish"},     {"ru", "russian"},    {"ko", "korean"},
    {"fr", "french"},   {"ja", "japanese"},   {"pt", "portuguese"},     {"tr", "turkish"},     {"pl", "polish"},     {"ca", "catalan"},
    {"nl", "dutch"},    {"ar", "arabic"},     {"sv", "swedish"},        {"it", "italian"},     {"id", "indonesian"}, {"hi", "hindi"},
    {"fi", "finnish"},  {"vi", "vietnamese"}, {"he", "hebrew"},         {"uk", "ukrainian"},   {"el", "greek"},      {"ms", "malay"},
    {"cs", "czech"},    {"ro", "romanian"},   {"da", "danish"},         {"hu", "hungarian"},   {"ta", "tamil"},      {"no", "norwegian"},
    {"th", "thai"},     {"ur", "urdu"},       {"hr", "croatian"},       {"bg", "bulgarian"},   {"lt", "lithuanian"}, {"la", "latin"},
    {"mi", "maori"},    {"ml", "malayalam"},  {"cy", "welsh"},          {"sk", "slovak"},      {"te", "telugu"},     {"fa", "persian"},
    {"lv", "latvian"},  {"bn", "bengali"},    {"sr", "serbian"},        {"az", "azerbaijani"}, {"sl", "slovenian"},  {"kn", "kannada"},
    {"et", "estonian"}, {"mk", "macedonian"}, {"br", "breton"},         {"eu", "basque"},      {"is", "icelandic"},  {"hy", "armenian"},
    {"ne", "nepali"},   {"mn", "mongolian"},  {"bs", "bosnian"},        {"kk", "kazakh"},      {"sq", "albanian"},   {"sw", "swahili"},
    {"gl", "galician"}, {"mr", "marathi"},    {"pa", "punjabi"},        {"si", "sinhala"},     {"km", "khmer"},      {"sn", "shona"},
    {"yo", "yoruba"},   {"so", "somali"},     {"af", "afrikaans"},      {"oc", "occitan"},     {"ka", "georgian"},   {"be", "belarusian"},
    {"tg", "tajik"},    {"sd", "sindhi"},     {"gu", "gujarati"},       {"am", "amharic"},     {"yi", "yiddish"},    {"lo", "lao"},
    {"uz", "uzbek"},    {"fo", "faroese"},    {"ht", "haitian creole"}, {"ps", "pashto"},      {"tk", "turkmen"},    {"nn", "nynorsk"},
    {"mt", "maltese"},  {"sa", "sanskrit"},   {"lb", "luxembourgish"},  {"my", "myanmar"},     {"bo", "tibetan"},    {"tl", "tagalog"},
    {"mg", "malagasy"}, {"as", "assamese"},   {"tt", "tatar"},          {"haw", "hawaiian"},   {"ln", "lingala"},    {"ha", "hausa"},
    {"ba", "bashkir"},  {"jw", "javanese"},   {"su", "sundanese"},      {"yue", "cantonese"},
};

const char *aud_language_code(size_t i)
{
    return i < AUD_MAX_LANGUAGES ? languages[i].code : NULL;
}

int aud_language_find(const char *code)
{
    for (int i = 0; i < AUD_MAX_LANGUAGES; i++)
        if (strcasecmp(code, languages[i].code) == 0 || strcasecmp(code, languages[i].name) == 0) return i;
    return -1;
}

sn_status aud_special_init(aud_special *s, size_t n_vocab, size_t eot, sn_err *err)
{
    const size_t fixed = 8 + AUD_N_TIMESTAMPS; /* all special tokens but the languages */
    if (n_vocab > INT32_MAX || eot >= n_vocab || n_vocab - eot <= fixed || n_vocab - eot - fixed > AUD_MAX_LANGUAGES)
        return sn_fail(err, SN_EFORMAT, "%zu tokens with end of text at %zu are not a Whisper vocabulary", n_vocab, eot);
    const size_t n = n_vocab - eot - fixed;
    s->n_languages = n;
    s->eot = (int32_t)eot;
    s->sot = s->eot + 1;
    s->language = s->eot + 2;
    s->translate = s->language + (int32_t)n;
    s->transcribe = s->translate + 1;
    s->sot_lm = s->translate + 2;
    s->sot_prev = s->translate + 3;
    s->no_speech = s->translate + 4;
    s->no_timestamps = s->translate + 5;
    s->timestamp = s->translate + 6;
    return SN_OK;
}

sn_status aud_vocab_add(aud_vocab *v, const void *bytes, size_t n, sn_err *err)
{
    if (n > UINT32_MAX - v->n_bytes) return sn_fail(err, SN_ELIMIT, "the vocabulary holds more than 4 GiB of text");
    sn_status st = sn_grow((void **)&v->bytes, &v->cap_bytes, v->n_bytes + n + 1, 1, err);
    if (st == SN_OK) st = sn_grow((void **)&v->start, &v->cap, v->n + 2, sizeof *v->start, err);
    if (st != SN_OK) return st;
    if (n > 0) memcpy(v->bytes + v->n_bytes, bytes, n);
    v->start[v->n] = (uint32_t)v->n_bytes;
    v->n_bytes += n;
    v->start[++v->n] = (uint32_t)v->n_bytes;
    return SN_OK;
}

/* GPT-2 writes the bytes that print as themselves and the other 68 as U+0100 + their number among those. */
static bool prints(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* The byte that a printable code point stands for, or -1. */
static int byte_of(unsigned cp)
{
    if (cp < 256) return prints(cp) ? (int)cp : -1;
    unsigned n = cp - 256;
    for (unsigned b = 0; b < 256; b++)
        if (!prints(b) && n-- == 0) return (int)b;
    return -1;
}

/* The code point at s[0..n), its length in *len; -1 when it is not valid UTF-8 (then *len is 1). */
static long utf8_next(const unsigned char *s, size_t n, size_t *len)
{
    static const unsigned char least[5] = {0, 0, 0x02, 0x08, 0x10}; /* of the value >> 6, >> 8 and >> 12: no overlong forms */
    *len = 1;
    if (s[0] < 0x80) return s[0];
    size_t k = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : s[0] >= 0xE0 && s[0] <= 0xEF ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    if (k == 0 || k > n) return -1;
    long cp = s[0] & (0xFF >> (k + 1));
    for (size_t i = 1; i < k; i++) {
        if ((s[i] & 0xC0) != 0x80) return -1;
        cp = cp << 6 | (s[i] & 0x3F);
    }
    if ((k == 3 && cp >> 8 < least[3]) || (k == 4 && cp >> 12 < least[4])) return -1;
    if ((cp >= 0xD800 && cp <= 0xDFFF) || cp > 0x10FFFF) return -1;
    *len = k;
    return cp;
}

sn_status aud_vocab_add_printable(aud_vocab *v, const char *utf8, size_t n, sn_err *err)
{
    sn_status st = aud_vocab_add(v, NULL, 0, err); /* then its bytes are put behind, which n_bytes of room allow */
    if (st == SN_OK) st = sn_grow((void **)&v->bytes, &v->cap_bytes, v->n_bytes + n + 1, 1, err);
    if (st != SN_OK) return st;
    const unsigned char *s = (const unsigned char *)utf8;
    for (size_t i = 0, len; i < n; i += len) {
        const long cp = utf8_next(s + i, n - i, &len);
        const int byte = cp < 0 ? -1 : byte_of((unsigned)cp);
        if (byte >= 0)
            v->bytes[v->n_bytes++] = (unsigned char)byte;
        else { /* not in that spelling: as it stands */
            memcpy(v->bytes + v->n_bytes, s + i, len);
            v->n_bytes += len;
        }
    }
    v->start[v->n] = (uint32_t)v->n_bytes;
    return SN_OK;
}

sn_str aud_vocab_bytes(const aud_vocab *v, int32_t id)
{
    sn_str s = {NULL, 0};
    if (id < 0 || id >= v->special.eot) return s;
    s.p = (const char *)v->bytes + v->start[id];
    s.n = v->start[id + 1] - v->start[id];
    return s;
}

static uint32_t hash(const unsigned char *p, size_t n) /* FNV-1a */
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 16777619u;
    return h;
}

static int32_t find(const aud_vocab *v, const void *p, size_t n)
{
    for (size_t i = hash(p, n) & (v->n_slots - 1);; i = (i + 1) & (v->n_slots - 1)) {
        const int32_t id = v->slots[i];
        if (id < 0) return -1;
        const sn_str s = aud_vocab_bytes(v, id);
        if (s.n == n && memcmp(s.p, p, n) == 0) return id;
    }
}

static sn_status index_words(aud_vocab *v, sn_err *err)
{
    v->n_slots = 64;
    while (v->n_slots < 2 * (v->n + 1)) v->n_slots *= 2;
    v->slots = sn_alloc(v->n_slots, sizeof *v->slots);
    if (v->slots == NULL) return sn_fail(err, SN_ENOMEM, "no memory for the vocabulary");
    memset(v->slots, 0xFF, v->n_slots * sizeof *v->slots);
    for (size_t id = 0; id < v->n; id++) {
        const sn_str s = aud_vocab_bytes(v, (int32_t)id);
        if (s.n == 0 || find(v, s.p, s.n) >= 0) continue; /* the first of equal words counts */
        size_t i = hash((const unsigned char *)s.p, s.n) & (v->n_slots - 1);
        while (v->slots[i] >= 0) i = (i + 1) & (v->n_slots - 1);
        v->slots[i] = (int32_t)id;
    }
    return SN_OK;
}

/* Tokens of one word, merged in the order of their numbers; out has room for n. */
static size_t merge_word(const aud_vocab *v, const unsigned char *p, size_t n, int32_t *out)
{
    uint16_t start[MAX_WORD + 1]; /* part i is p[start[i] .. start[i + 1]) */
    size_t parts = n;
    for (size_t i = 0; i <= n; i++) start[i] = (uint16_t)i;
    for (;;) {
        int32_t best = INT32_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 2 <= parts; i++) {
            const int32_t id = find(v, p + start[i], (size_t)(start[i + 2] - start[i]));
            if (id >= 0 && id < best) {
                best = id;
                at = i;
            }
        }
        if (best == INT32_MAX) break;
        memmove(start + at + 1, start + at + 2, (parts - at - 1) * sizeof start[0]);
        parts--;
    }
    size_t n_out = 0;
    for (size_t i = 0; i < parts; i++) {
        const int32_t id = find(v, p + start[i], (size_t)(start[i + 1] - start[i]));
        if (id >= 0) out[n_out++] = id; /* a byte that the vocabulary lacks is lost; the real ones have all 256 */
    }
    return n_out;
}

sn_status aud_vocab_encode(const aud_vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids, sn_err *err)
{
    static const char pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"; /* GPT-2's */
    sn_status st = SN_OK;
    pcre2_match_data *match = NULL;
    int code;
    PCRE2_SIZE where;
    pcre2_code *re =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &where, NULL);
    *ids = sn_alloc(n + 1, sizeof **ids);
    *n_ids = 0;
    if (re != NULL) match = pcre2_match_data_create_from_pattern(re, NULL);
    if (match == NULL || *ids == NULL) {
        st = sn_fail(err, SN_ENOMEM, "no memory for the prompt");
        goto done;
    }
    for (size_t at = 0; at < n;) {
        size_t word = at, end = n; /* what the pattern cannot match is not valid UTF-8: taken byte by byte */
        if (pcre2_match(re, (PCRE2_SPTR)text, n, at, 0, match, NULL) > 0) {
            word = pcre2_get_ovector_pointer(match)[0];
            end = pcre2_get_ovector_pointer(match)[1];
        }
        if (word > at) end = word, word = at;
        for (size_t len; word < end; word += len) {
            len = end - word < MAX_WORD ? end - word : MAX_WORD;
            *n_ids += merge_word(v, (const unsigned char *)text + word, len, *ids + *n_ids);
        }
        at = end;
    }
done:
    pcre2_match_data_free(match);
    pcre2_code_free(re);
    if (st != SN_OK) {
        sn_free(*ids);
        *ids = NULL;
    }
    return st;
}

/* Marks what `symbol` (with `first`: its first token; else only when it is one token) becomes, bare and behind a space. */
static sn_status suppress_symbol(aud_vocab *v, const char *symbol, bool bare, bool first, sn_err *err)
{
    char spaced[16] = " ";
    strncat(spaced, symbol, sizeof spaced - 2);
    for (const char *s = bare ? spaced + 1 : spaced;; s = spaced) {
        int32_t *ids;
        size_t n;
        sn_status st = aud_vocab_encode(v, s, strlen(s), &ids, &n, err);
        if (st != SN_OK) return st;
        if (n == 1 || (n > 1 && first)) v->suppress[ids[0]] = true;
        sn_free(ids);
        if (s == spaced) return SN_OK;
    }
}

/* The tokens of openai/whisper's tokenizer.non_speech_tokens: speaker tags, brackets, notes; and the control tokens. */
static sn_status suppress_all(aud_vocab *v, sn_err *err)
{
    static const char *const symbols[] = {"\"",  "#",  "(",  ")",   "*",   "+",   "/",   ":",  ";",   "<",  "=",  ">",
                                          "@",   "[",  "\\", "]",   "^",   "_",   "`",   "{",  "|",   "}",  "~",  "「",
                                          "」",  "『", "』", "<<",  ">>",  "<<<", ">>>", "--", "---", "-(", "-[", "('",
                                          "(\"", "((", "))", "(((", ")))", "[[",  "]]",  "{{", "}}",  "♪♪", "♪♪♪"};
    static const char *const notes[] = {"♩", "♪", "♫", "♬", "♭", "♮", "♯"};
    sn_status st = suppress_symbol(v, "-", false, true, err); /* inside of words they are wanted */
    if (st == SN_OK) st = suppress_symbol(v, "'", false, true, err);
    for (size_t i = 0; st == SN_OK && i < sizeof symbols / sizeof *symbols; i++) st = suppress_symbol(v, symbols[i], true, false, err);
    for (size_t i = 0; st == SN_OK && i < sizeof notes / sizeof *notes; i++) st = suppress_symbol(v, notes[i], true, true, err);
    const aud_special *s = &v->special;
    const int32_t control[] = {s->sot, s->translate, s->transcribe, s->sot_lm, s->sot_prev, s->no_speech, s->no_timestamps};
    for (size_t i = 0; i < sizeof control / sizeof *control; i++) v->suppress[control[i]] = true;
    return st;
}

sn_status aud_vocab_finish(aud_vocab *v, const aud_special *special, size_t n_vocab, sn_err *err)
{
    if (v->n < (size_t)special->eot)
        return sn_fail(err, SN_EFORMAT, "the vocabulary has %zu words, %d are wanted", v->n, (int)special->eot);
    v->n = (size_t)special->eot;
    v->special = *special;
    v->suppress = sn_calloc(n_vocab, sizeof *v->suppress);
    if (v->suppress == NULL) return sn_fail(err, SN_ENOMEM, "no memory for the vocabulary");
    sn_status st = index_words(v, err);
    if (st != SN_OK) return st;
    v->space = find(v, " ", 1);
    return suppress_all(v, err);
}

void aud_vocab_free(aud_vocab *v)
{
    sn_free(v->bytes);
    sn_free(v->start);
    sn_free(v->slots);
    sn_free(v->suppress);
    memset(v, 0, sizeof *v);
}

size_t aud_text_clean(char *dst, const unsigned char *src, size_t n)
{
    size_t k = 0;
    for (size_t i = 0, len; i < n; i += len) {
        const long cp = utf8_next(src + i, n - i, &len);
        if (cp < 0) {
            memcpy(dst + k, "\xEF\xBF\xBD", 3);
            k += 3;
        } else if ((cp >= 0x20 && cp != 0x7F && !(cp >= 0x80 && cp < 0xA0)) || cp == '\n' || cp == '\t') {
            if (k == 0 && (cp == ' ' || cp == '\n' || cp == '\t')) continue;
            memcpy(dst + k, src + i, len);
            k += len;
        }
    }
    while (k > 0 && (dst[k - 1] == ' ' || dst[k - 1] == '\n' || dst[k - 1] == '\t')) k--;
    dst[k] = '\0';
    return k;
}
