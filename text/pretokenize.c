/* pretokenize.c: cuts text into the words that byte-level BPE merges within, by the regular expressions of each family.
 *
 * The expressions are those of the families' tokenizer.json (Hugging Face tokenizers), with blanks written out: \s there is
 * Unicode's White_Space, PCRE2's has U+180E besides. Several expressions are applied one after the other, each to the pieces
 * that the one before left; what none matches is a word too. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "vocab_internal.h"

#include <pcre2.h>
#include <string.h>

#define MAX_STEPS 6 /* of one pre-tokenizer */
#define BLANKS "\\t-\\r\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define S "[" BLANKS "]"
#define NS "[^" BLANKS "]"
#define TRAILING_BLANKS S "+(?!" NS ")|" S "+"
#define ENGLISH "'s|'t|'re|'ve|'m|'ll|'d"
#define ENGLISH_ANY_CASE "(?i:" ENGLISH ")"
#define MARKS " ?[^" BLANKS "\\p{L}\\p{N}]+"
#define LINES S "*[\\r\\n]+"

#define GPT2 ENGLISH "| ?\\p{L}+| ?\\p{N}+|" MARKS "|" TRAILING_BLANKS
/* Llama 3 and Qwen 2 differ in how many digits make a word. */
#define LLAMA3(digits) ENGLISH_ANY_CASE "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "|" MARKS "[\\r\\n]*|" LINES "|" TRAILING_BLANKS
/* Words that change from lower to upper case are cut there. */
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(ending, digits)                                                                                                              \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" ending "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" ending "|" digits "|" MARKS          \
    "[\\r\\n/]*|" LINES "|" TRAILING_BLANKS
#define CJK "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
#define ASCII_MARKS "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"

static const char *const gpt2[] = {GPT2, NULL};
static const char *const starcoder[] = {"\\p{N}", GPT2, NULL};
static const char *const llama3[] = {LLAMA3("\\p{N}{1,3}"), NULL};
static const char *const qwen2[] = {LLAMA3("\\p{N}"), NULL};
static const char *const qwen35[] = {ENGLISH_ANY_CASE "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" BLANKS
                                                      "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" LINES "|" TRAILING_BLANKS,
                                     NULL};
static const char *const tekken[] = {CASED("", "\\p{N}"), NULL};
static const char *const gpt4o[] = {CASED(ENGLISH_ANY_CASE "?", "\\p{N}{1,3}"), NULL};
static const char *const falcon[] = {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]", NULL};
/* clang-format off */
#define CASED_LETTERS /* the letters with an upper and a lower case, as that family lists them */ \
    "[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ" \
    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏" \
    "𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+"
/* clang-format on */
static const char *const deepseek_llm[] = {"[\\r\\n]",
                                           S "?" CASED_LETTERS,
                                           S "?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+",
                                           "(?<!" S ")" S "+\\z",
                                           CJK,
                                           "\\p{N}+",
                                           NULL};
static const char *const deepseek_coder[] = {"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", CJK, "\\p{N}", NULL};
static const char *const deepseek3[] = {
    "\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
    ASCII_MARKS "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" LINES "|" TRAILING_BLANKS, NULL};
/* What llama.cpp uses for files that name no pre-tokenizer. */
static const char *const unnamed[] = {"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]", NULL};

/* The names are llama.cpp's, which writes them into the files; many families share one expression. */
static const struct {
    const char *name;
    const char *const *steps;
    bool whole_words, add_bos;
} families[] = {
    {"default", unnamed, false, false},
    {"gpt-2", gpt2, false, false},
    {"phi-2", gpt2, false, false},
    {"mpt", gpt2, false, false},
    {"olmo", gpt2, false, false},
    {"jais", gpt2, false, false},
    {"trillion", gpt2, false, false},
    {"exaone4", gpt2, false, false},
    {"gigachat", gpt2, false, false},
    {"a.x-4.0", gpt2, false, false},
    {"mellum", gpt2, false, false},
    {"granite-docling", gpt2, false, false},
    {"smollm", starcoder, false, false},
    {"starcoder", starcoder, false, false},
    {"refact", starcoder, false, false},
    {"command-r", starcoder, false, false},
    {"codeshell", starcoder, false, false},
    {"exaone", starcoder, false, false},
    {"minerva-7b", starcoder, false, false},
    {"mellum2", starcoder, false, false},
    {"llama-bpe", llama3, true, true},
    {"llama3", llama3, true, true},
    {"llama-v3", llama3, true, true},
    {"falcon3", llama3, true, true},
    {"falcon-h1", llama3, true, true},
    {"pixtral", llama3, true, true},
    {"midm-2.0", llama3, true, true},
    {"lfm2", llama3, true, true},
    {"dbrx", llama3, false, false},
    {"smaug-bpe", llama3, false, false},
    {"chatglm-bpe", llama3, false, false},
    {"glm4", llama3, true, false},
    {"qwen2", qwen2, false, false},
    {"deepseek-r1-qwen", qwen2, false, false},
    {"stablelm2", qwen2, false, false},
    {"megrez", qwen2, false, false},
    {"hunyuan", qwen2, false, false},
    {"solar-open", qwen2, false, false},
    {"grok-2", qwen2, false, false},
    {"qwen35", qwen35, false, false},
    {"tekken", tekken, true, true},
    {"gpt-4o", gpt4o, false, false},
    {"llama4", gpt4o, false, false},
    {"kanana2", gpt4o, false, false},
    {"falcon", falcon, false, false},
    {"deepseek-llm", deepseek_llm, false, false},
    {"deepseek-coder", deepseek_coder, false, false},
    {"deepseek-v3", deepseek3, false, false},
    {"hunyuan-dense", deepseek3, false, false},
};

struct txt_pre {
    pcre2_code *steps[MAX_STEPS];
    size_t n;
};

void txt_pre_close(txt_pre *p)
{
    if (p == NULL) return;
    for (size_t i = 0; i < p->n; i++) pcre2_code_free(p->steps[i]);
    sn_free(p);
}

sn_status txt_pre_open(txt_pre **out, sn_str name, bool *whole_words, bool *add_bos, sn_err *err)
{
    size_t f = 0, n_families = sizeof families / sizeof families[0];
    while (f < n_families && name.n > 0 && !sn_str_eq(name, families[f].name)) f++;
    if (f == n_families)
        return sn_fail(err, SN_EUNSUPPORTED, "tokenizer.ggml.pre is \"%s\": a pre-tokenizer that is not known here", txt_show(name).s);
    txt_pre *p = sn_calloc(1, sizeof *p);
    if (p == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    for (const char *const *step = families[f].steps; *step != NULL; step++) {
        int code;
        PCRE2_SIZE at;
        pcre2_code *re = pcre2_compile((PCRE2_SPTR)*step, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &at, NULL);
        if (re == NULL) {
            txt_pre_close(p);
            return sn_fail(err, SN_ENOMEM, "PCRE2 does not compile a pre-tokenizer's expression (error %d at %zu)", code, (size_t)at);
        }
        pcre2_jit_compile(re, PCRE2_JIT_COMPLETE); /* where there is no JIT, the interpreter matches */
        p->steps[p->n++] = re;
    }
    *whole_words = families[f].whole_words;
    *add_bos = families[f].add_bos;
    *out = p;
    return SN_OK;
}

static sn_status span_push(txt_spans *l, size_t off, size_t n, sn_err *err)
{
    if (n == 0) return SN_OK;
    if (l->n == l->cap) {
        sn_status s = sn_grow((void **)&l->spans, &l->cap, l->n + 1, sizeof *l->spans, err);
        if (s != SN_OK) return s;
    }
    l->spans[l->n++] = (txt_span){off, n};
    return SN_OK;
}

typedef struct {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
} matcher;

static void matcher_close(matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_jit_stack_free(m->stack);
}

static bool matcher_open(matcher *m)
{
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create((size_t)32 << 10, (size_t)4 << 20, NULL);
    if (m->data == NULL || m->context == NULL) return false;
    if (m->stack != NULL) pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return true;
}

/* Matches and what lies between them, of one piece on its own (a look-ahead does not see beyond it). Where PCRE2 gives up
 * (a limit on stack or on backtracking), the rest of the piece is one word: text is never lost. */
static sn_status piece_split(const pcre2_code *re, matcher *m, const char *text, txt_span piece, txt_spans *out, sn_err *err)
{
    size_t done = 0, from = 0;
    const PCRE2_SIZE *ov = pcre2_get_ovector_pointer(m->data);
    while (from < piece.n && pcre2_match(re, (PCRE2_SPTR)text + piece.off, piece.n, from, PCRE2_NO_UTF_CHECK, m->data, m->context) > 0) {
        size_t begin = ov[0], end = ov[1];
        if (end <= begin) break; /* no expression matches nothing; were it so, this would not end */
        sn_status s = span_push(out, piece.off + done, begin - done, err);
        if (s == SN_OK) s = span_push(out, piece.off + begin, end - begin, err);
        if (s != SN_OK) return s;
        from = done = end;
    }
    return span_push(out, piece.off + done, piece.n - done, err);
}

/* PCRE2 wants UTF-8: a copy in which every byte that is none is a control character, so that offsets stay the same. */
static char *utf8_copy(const char *text, size_t n)
{
    char *copy = sn_alloc(n, 1);
    if (copy == NULL) return NULL;
    for (size_t i = 0; i < n;) {
        size_t len = txt_utf8_len(text + i, n - i);
        if (len == 0)
            copy[i++] = 1;
        else
            memcpy(copy + i, text + i, len), i += len;
    }
    return copy;
}

sn_status txt_pre_split(const txt_pre *p, const char *text, size_t n, txt_spans *words, sn_err *err)
{
    sn_status s = SN_ENOMEM;
    txt_spans next = {0};
    matcher m = {0};
    char *copy = utf8_copy(text, n);
    words->n = 0;
    if (copy == NULL || !matcher_open(&m)) {
        sn_fail(err, s, "out of memory");
        goto done;
    }
    s = span_push(words, 0, n, err);
    for (size_t k = 0; s == SN_OK && k < p->n; k++) {
        next.n = 0;
        for (size_t i = 0; s == SN_OK && i < words->n; i++) s = piece_split(p->steps[k], &m, copy, words->spans[i], &next, err);
        txt_spans t = *words;
        *words = next;
        next = t;
    }
done:
    matcher_close(&m);
    sn_free(next.spans);
    sn_free(copy);
    return s;
}
