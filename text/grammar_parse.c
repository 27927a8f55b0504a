/* grammar_parse.c: GBNF, the grammar language of llama.cpp (its grammars/README.md), read into byte-level rules. */
#include "grammar_internal.h"
#include "vocab_internal.h"

#include <string.h>

#define TEXT_MAX ((size_t)1 << 20)
#define DEPTH_MAX 64
#define REPEAT_MAX 10000u
#define RANGES_MAX 1024
#define SLOTS 4096
#define NO_REPEAT_END UINT32_MAX

typedef struct {
    txt_grammar *g;
    const char *p, *end;
    size_t line, depth;
    uint32_t slots[SLOTS]; /* of names by hash: rule + 1, the first of a chain; 0: none */
    sn_err *err;
} reader;

static sn_status bad(reader *r, const char *what)
{
    return sn_fail(r->err, SN_EFORMAT, "line %zu: %s", r->line, what);
}

static char peek(const reader *r)
{
    return r->p < r->end ? *r->p : '\0';
}

/* Over blanks and comments; over line ends only where a rule cannot end there. */
static void skip(reader *r, bool lines)
{
    while (r->p < r->end) {
        if (*r->p == '#') {
            while (r->p < r->end && *r->p != '\n' && *r->p != '\r') r->p++;
        } else if (*r->p == ' ' || *r->p == '\t') {
            r->p++;
        } else if (lines && (*r->p == '\n' || *r->p == '\r')) {
            if (*r->p == '\n') r->line++;
            r->p++;
        } else {
            return;
        }
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \xHH, \uHHHH or \UHHHHHHHH: the digits. */
static sn_status read_hex(reader *r, size_t digits, uint32_t *out)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++, r->p++) {
        const int d = r->p < r->end ? hex_digit(*r->p) : -1;
        if (d < 0) return bad(r, "an escape with too few hexadecimal digits");
        c = c << 4 | (uint32_t)d;
    }
    if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return bad(r, "an escape that names no character");
    *out = c;
    return SN_OK;
}

/* One character of a literal or a class. */
static sn_status read_char(reader *r, uint32_t *out)
{
    static const char names[] = "nrt\\\"[]-^.'/", values[] = "\n\r\t\\\"[]-^.'/";
    if (r->p >= r->end || *r->p == '\n' || *r->p == '\r') return bad(r, "a literal or class is not closed");
    if (*r->p != '\\') {
        const size_t n = txt_utf8_len(r->p, (size_t)(r->end - r->p));
        if (n == 0) return bad(r, "bytes that are not UTF-8");
        uint32_t c = (unsigned char)*r->p;
        if (n > 1) c &= 0x7Fu >> n;
        for (size_t i = 1; i < n; i++) c = c << 6 | ((unsigned char)r->p[i] & 0x3F);
        r->p += n;
        *out = c;
        return SN_OK;
    }
    r->p++;
    const char c = peek(r);
    if (r->p < r->end) r->p++;
    if (c == 'x') return read_hex(r, 2, out);
    if (c == 'u') return read_hex(r, 4, out);
    if (c == 'U') return read_hex(r, 8, out);
    const char *hit = c ? strchr(names, c) : NULL;
    if (hit == NULL) return bad(r, "an escape that is not known");
    *out = (unsigned char)values[hit - names];
    return SN_OK;
}

static sn_status read_literal(reader *r, symbol_list *l)
{
    sn_status st = SN_OK;
    r->p++;
    while (st == SN_OK && peek(r) != '"') {
        code_range c = {0};
        grammar_symbol s = 0;
        st = read_char(r, &c.low);
        c.high = c.low;
        if (st == SN_OK && c.low < 0x80)
            s = SYMBOL_SET | c.low;
        else if (st == SN_OK)
            st = grammar_class(r->g, &c, 1, false, r->line, &s, r->err);
        if (st == SN_OK) st = grammar_push(l, s, r->err);
    }
    if (st == SN_OK) r->p++;
    return st;
}

static sn_status read_class(reader *r, symbol_list *l)
{
    code_range ranges[RANGES_MAX];
    size_t n = 0;
    grammar_symbol s = 0;
    r->p++;
    const bool negated = peek(r) == '^';
    if (negated) r->p++;
    sn_status st = SN_OK;
    while (st == SN_OK && peek(r) != ']') {
        code_range c = {0};
        if (n == RANGES_MAX) return bad(r, "a class with too many ranges");
        st = read_char(r, &c.low);
        c.high = c.low;
        if (st == SN_OK && peek(r) == '-' && r->p + 1 < r->end && r->p[1] != ']') {
            r->p++;
            st = read_char(r, &c.high);
            if (st == SN_OK && c.high < c.low) st = bad(r, "a range whose end lies before its beginning");
        }
        ranges[n++] = c;
    }
    if (st != SN_OK) return st;
    r->p++;
    st = grammar_class(r->g, ranges, n, negated, r->line, &s, r->err);
    return st == SN_OK ? grammar_push(l, s, r->err) : st;
}

/* The rule of that name, made when it was not yet met. */
static sn_status find_rule(reader *r, const char *name, size_t n, uint32_t *out)
{
    uint32_t *slot = &r->slots[txt_hash(0, name, n) % SLOTS];
    for (uint32_t i = *slot; i != 0; i = r->g->rules[i - 1].next) {
        const char *have = r->g->rules[i - 1].name;
        if (strlen(have) != n || memcmp(have, name, n) != 0) continue;
        *out = i - 1;
        return SN_OK;
    }
    char *copy = sn_alloc(n + 1, 1);
    if (copy == NULL) return sn_fail(r->err, SN_ENOMEM, "out of memory for a grammar");
    memcpy(copy, name, n);
    copy[n] = '\0';
    sn_status st = grammar_add_rule(r->g, r->line, out, r->err);
    if (st != SN_OK) {
        sn_free(copy);
        return st;
    }
    r->g->rules[*out].name = copy;
    r->g->rules[*out].next = *slot;
    *slot = *out + 1;
    return SN_OK;
}

static sn_status read_name(reader *r, uint32_t *rule)
{
    const char *name = r->p;
    while (r->p < r->end && is_word(*r->p)) r->p++;
    return find_rule(r, name, (size_t)(r->p - name), rule);
}

static sn_status read_alternatives(reader *r, uint32_t rule, bool nested);

static sn_status read_group(reader *r, symbol_list *l)
{
    uint32_t rule = 0;
    if (++r->depth > DEPTH_MAX) return bad(r, "groups are nested too deeply");
    r->p++;
    sn_status st = grammar_add_rule(r->g, r->line, &rule, r->err);
    if (st == SN_OK) st = read_alternatives(r, rule, true);
    if (st == SN_OK && peek(r) != ')') st = bad(r, "a group is not closed");
    if (st != SN_OK) return st;
    r->p++;
    r->depth--;
    return grammar_push(l, SYMBOL_RULE | rule, r->err);
}

static sn_status read_number(reader *r, uint32_t *out)
{
    uint32_t n = 0;
    if (peek(r) < '0' || peek(r) > '9') return bad(r, "a number is missing in a repetition");
    for (; peek(r) >= '0' && peek(r) <= '9'; r->p++) {
        n = n * 10 + (uint32_t)(*r->p - '0');
        if (n > REPEAT_MAX) return bad(r, "a repetition of more than 10000");
    }
    *out = n;
    return SN_OK;
}

/* * + ? {m} {m,} {m,n}; *any false: none of them stands here. */
static sn_status read_repeat(reader *r, bool *any, uint32_t *low, uint32_t *high)
{
    const char c = peek(r);
    *any = c != '\0' && strchr("*+?{", c) != NULL;
    if (!*any) return SN_OK;
    r->p++;
    *low = c == '+';
    *high = c == '?' ? 1 : NO_REPEAT_END;
    if (c != '{') return SN_OK;
    skip(r, false);
    sn_status st = read_number(r, low);
    *high = *low;
    skip(r, false);
    if (st == SN_OK && peek(r) == ',') {
        r->p++;
        skip(r, false);
        *high = NO_REPEAT_END;
        if (peek(r) != '}') st = read_number(r, high);
        skip(r, false);
    }
    if (st != SN_OK) return st;
    if (peek(r) != '}') return bad(r, "a repetition is not closed");
    r->p++;
    return *high < *low ? bad(r, "a repetition whose end lies before its beginning") : SN_OK;
}

/* rule ::= item tail | "" */
static sn_status define_optional(reader *r, uint32_t rule, grammar_symbol item, bool has_tail, uint32_t tail)
{
    grammar_symbol at[4] = {item, has_tail ? SYMBOL_RULE | tail : SYMBOL_END, SYMBOL_END, SYMBOL_END};
    const symbol_list l = {.at = at, .n = has_tail ? 4 : 3};
    return grammar_define(r->g, rule, &l, r->err);
}

/* Puts low copies of the item into l, and behind them a chain of optional ones, or a loop. */
static sn_status repeat(reader *r, symbol_list *l, grammar_symbol item, uint32_t low, uint32_t high)
{
    sn_status st = SN_OK;
    for (uint32_t i = 0; i < low && st == SN_OK; i++) st = grammar_push(l, item, r->err);
    if (st != SN_OK || low == high) return st;
    uint32_t rule = 0, tail = 0;
    const uint32_t n = high == NO_REPEAT_END ? 1 : high - low;
    for (uint32_t i = 0; i < n && st == SN_OK; i++) {
        st = grammar_add_rule(r->g, r->line, &rule, r->err);
        if (st == SN_OK)
            st = high == NO_REPEAT_END ? define_optional(r, rule, item, true, rule) : define_optional(r, rule, item, i > 0, tail);
        tail = rule;
    }
    return st == SN_OK ? grammar_push(l, SYMBOL_RULE | rule, r->err) : st;
}

/* What stands behind `first` in l as one symbol. */
static sn_status fold(reader *r, symbol_list *l, size_t first, grammar_symbol *item)
{
    uint32_t rule = 0;
    if (l->n == first + 1) {
        *item = l->at[first];
        l->n = first;
        return SN_OK;
    }
    sn_status st = grammar_push(l, SYMBOL_END, r->err);
    if (st == SN_OK) st = grammar_add_rule(r->g, r->line, &rule, r->err);
    if (st == SN_OK) st = grammar_define(r->g, rule, &(symbol_list){.at = l->at + first, .n = l->n - first}, r->err);
    l->n = first;
    *item = SYMBOL_RULE | rule;
    return st;
}

static sn_status read_item(reader *r, symbol_list *l)
{
    const size_t first = l->n;
    const char c = *r->p;
    sn_status st;
    uint32_t rule = 0, low = 0, high = 0;
    grammar_symbol item = 0;
    if (c == '"') {
        st = read_literal(r, l);
    } else if (c == '[') {
        st = read_class(r, l);
    } else if (c == '(') {
        st = read_group(r, l);
    } else if (c == '.') {
        r->p++;
        st = grammar_class(r->g, NULL, 0, true, r->line, &item, r->err);
        if (st == SN_OK) st = grammar_push(l, item, r->err);
    } else {
        st = read_name(r, &rule);
        if (st == SN_OK) st = grammar_push(l, SYMBOL_RULE | rule, r->err);
    }
    bool any = true;
    for (skip(r, r->depth > 0); st == SN_OK && any; skip(r, r->depth > 0)) {
        st = read_repeat(r, &any, &low, &high);
        if (st == SN_OK && any) st = fold(r, l, first, &item);
        if (st == SN_OK && any) st = repeat(r, l, item, low, high);
    }
    return st;
}

static sn_status read_alternatives(reader *r, uint32_t rule, bool nested)
{
    symbol_list l = {0};
    sn_status st = SN_OK;
    for (bool more = true; st == SN_OK && more;) {
        skip(r, true);
        while (st == SN_OK && r->p < r->end && (strchr("\"[(.", *r->p) != NULL || is_word(*r->p))) {
            st = read_item(r, &l);
            skip(r, nested);
        }
        if (st == SN_OK) st = grammar_push(&l, SYMBOL_END, r->err);
        more = st == SN_OK && peek(r) == '|';
        if (more) r->p++;
    }
    if (st == SN_OK) st = grammar_define(r->g, rule, &l, r->err);
    sn_free(l.at);
    return st;
}

static sn_status read_rule(reader *r)
{
    uint32_t rule = 0;
    if (!is_word(peek(r))) return bad(r, "the name of a rule was expected");
    sn_status st = read_name(r, &rule);
    if (st != SN_OK) return st;
    skip(r, false);
    if (r->end - r->p < 3 || memcmp(r->p, "::=", 3) != 0) return bad(r, "'::=' was expected");
    r->p += 3;
    if (r->g->rules[rule].end != 0) return bad(r, "a rule that is defined already");
    r->g->rules[rule].line = r->line;
    st = read_alternatives(r, rule, false);
    if (st == SN_OK && r->p < r->end && peek(r) != '\n' && peek(r) != '\r') st = bad(r, "a character that has no meaning here");
    return st;
}

sn_status txt_grammar_open(txt_grammar **out, const char *text, size_t n, sn_err *err)
{
    if (n > TEXT_MAX) return sn_fail(err, SN_ELIMIT, "a grammar of more than 1 MiB");
    txt_grammar *g = sn_calloc(1, sizeof *g);
    if (g == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
    reader r = {.g = g, .p = text, .end = text + n, .line = 1, .err = err};
    sn_status st = SN_OK;
    for (unsigned b = 0; b < 256 && st == SN_OK; b++) {
        byte_set one = {{0}};
        grammar_symbol s;
        one.bits[b >> 6] = UINT64_C(1) << (b & 63);
        st = grammar_add_set(g, &one, &s, err);
    }
    if (st == SN_OK) st = find_rule(&r, "root", 4, &g->root);
    for (skip(&r, true); st == SN_OK && r.p < r.end; skip(&r, true)) st = read_rule(&r);
    if (st == SN_OK) st = grammar_check(g, err);
    if (st != SN_OK) {
        txt_grammar_close(g);
        return st;
    }
    *out = g;
    return SN_OK;
}
