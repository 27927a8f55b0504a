/* json_schema_pattern.c: regular expressions (ECMA-262, what of them is regular) as GBNF for the inside of a JSON string. Characters stand for
 * themselves, or as the short escapes of JSON where they must: a model that writes \u0061 for an a has not matched. */
#include "json_schema.h"
#include "vocab_internal.h"

#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 256
#define DEPTH_MAX 32
#define REPEAT_MAX 1000
#define LAST_CODE 0x10FFFFu

typedef struct {
    uint32_t low, high;
} range;

typedef struct {
    range at[RANGES_MAX];
    size_t n;
} range_set;

typedef struct {
    schema_writer *w;
    const char *p;
    int depth;
} reader;

static sn_status bad(reader *r, const char *what)
{
    return schema_refuse(r->w, "pattern", what);
}

/* ---- sets of characters ---- */

static sn_status add(reader *r, range_set *s, uint32_t low, uint32_t high)
{
    if (s->n == RANGES_MAX) return bad(r, "a class with too many ranges");
    s->at[s->n++] = (range){low, high};
    return SN_OK;
}

static int by_low(const void *a, const void *b)
{
    const uint32_t x = ((const range *)a)->low, y = ((const range *)b)->low;
    return (x > y) - (x < y);
}

/* Sorted, and without overlaps. */
static void tidy(range_set *s)
{
    size_t n = 0;
    qsort(s->at, s->n, sizeof *s->at, by_low);
    for (size_t i = 0; i < s->n; i++) {
        if (n > 0 && s->at[i].low <= s->at[n - 1].high + 1) {
            if (s->at[i].high > s->at[n - 1].high) s->at[n - 1].high = s->at[i].high;
        } else {
            s->at[n++] = s->at[i];
        }
    }
    s->n = n;
}

static sn_status invert(reader *r, range_set *s)
{
    range_set out = {.n = 0};
    uint32_t next = 0;
    sn_status st = SN_OK;
    tidy(s);
    for (size_t i = 0; i < s->n && st == SN_OK; i++) {
        if (s->at[i].low > next) st = add(r, &out, next, s->at[i].low - 1);
        next = s->at[i].high + 1;
    }
    if (st == SN_OK && next <= LAST_CODE) st = add(r, &out, next, LAST_CODE);
    *s = out;
    return st;
}

static bool has(const range_set *s, uint32_t c)
{
    for (size_t i = 0; i < s->n; i++)
        if (c >= s->at[i].low && c <= s->at[i].high) return true;
    return false;
}

/* One character of the set, as it stands in a JSON string. */
static sn_status put_set(reader *r, schema_text *t, range_set *s)
{
    static const char codes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    static const range never[] = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0xD800, 0xDFFF}}; /* as themselves */
    range_set plain = *s;
    sn_status st = invert(r, &plain);
    for (size_t i = 0; i < 4 && st == SN_OK; i++) st = add(r, &plain, never[i].low, never[i].high);
    if (st == SN_OK) st = invert(r, &plain);
    bool escapes = false;
    for (size_t i = 0; codes[i]; i++) escapes |= has(s, (unsigned char)codes[i]);
    if (st == SN_OK && plain.n == 0 && !escapes) st = bad(r, "a class that no character is in");
    if (st == SN_OK) st = schema_put(r->w, t, " (");
    if (st == SN_OK && plain.n > 0) {
        st = schema_put(r->w, t, "[");
        for (size_t i = 0; i < plain.n && st == SN_OK; i++)
            st = schema_put(r->w, t, "\\U%08X-\\U%08X", (unsigned)plain.at[i].low, (unsigned)plain.at[i].high);
        if (st == SN_OK) st = schema_put(r->w, t, escapes ? "] | " : "]");
    }
    if (st == SN_OK && escapes) st = schema_put(r->w, t, "\"\\\\\" [");
    for (size_t i = 0; codes[i] && st == SN_OK; i++)
        if (has(s, (unsigned char)codes[i])) st = schema_put(r->w, t, i < 2 ? "\\%c" : "%c", names[i]);
    if (st == SN_OK && escapes) st = schema_put(r->w, t, "]");
    return st == SN_OK ? schema_put(r->w, t, ")") : st;
}

/* \d \w \s and their opposites; *is false: c is none of them. */
static sn_status add_named(reader *r, range_set *s, char c, bool *is)
{
    static const range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const range spaces[] = {{9, 13},          {' ', ' '},       {0x85, 0x85},     {0xA0, 0xA0},
                                   {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                   {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    const char low = (char)(c | 0x20);
    *is = low == 'd' || low == 'w' || low == 's';
    if (!*is) return SN_OK;
    const range *list = low == 'd' ? digits : low == 'w' ? words : spaces;
    const size_t n = low == 'd' ? 1 : low == 'w' ? 4 : sizeof spaces / sizeof *spaces;
    range_set one = {.n = 0};
    sn_status st = SN_OK;
    for (size_t i = 0; i < n && st == SN_OK; i++) {
        const bool doubtful = list[i].low == 0x85 || list[i].low == 0xFEFF; /* spaces to some: neither \s nor \S */
        if (low != c || !doubtful) st = add(r, &one, list[i].low, list[i].high);
    }
    if (st == SN_OK && low != c) st = invert(r, &one);
    for (size_t i = 0; i < one.n && st == SN_OK; i++) st = add(r, s, one.at[i].low, one.at[i].high);
    return st;
}

/* ---- the expression ---- */

static sn_status read_hex(reader *r, int digits, uint32_t *c)
{
    for (*c = 0; digits > 0; digits--, r->p++) {
        const char *hex = "0123456789abcdef", *hit = *r->p ? strchr(hex, *r->p | (*r->p > '9' ? 0x20 : 0)) : NULL;
        if (hit == NULL) return bad(r, "an escape with too few hexadecimal digits");
        *c = *c << 4 | (uint32_t)(hit - hex);
    }
    return *c >= 0xD800 && *c <= 0xDFFF ? bad(r, "an escape that names no character") : SN_OK;
}

/* A character, behind a backslash or not; not \d and its like. */
static sn_status read_char(reader *r, bool in_class, uint32_t *c)
{
    static const char names[] = "nrtfv0", values[] = "\n\r\t\f\v";
    if (*r->p != '\\') {
        const size_t n = txt_utf8_len(r->p, strlen(r->p));
        if (n == 0) return bad(r, "bytes that are not UTF-8");
        *c = (unsigned char)*r->p;
        if (n > 1) *c &= 0x7Fu >> n;
        for (size_t i = 1; i < n; i++) *c = *c << 6 | ((unsigned char)r->p[i] & 0x3F);
        r->p += n;
        return SN_OK;
    }
    const char e = r->p[1];
    if (e == '\0') return bad(r, "a backslash at the end");
    r->p += 2;
    if (e == 'x') return read_hex(r, 2, c);
    if (e == 'u') return read_hex(r, 4, c);
    const char *hit = strchr(names, e);
    *c = hit ? (unsigned char)values[hit - names] : (unsigned char)e;
    if (in_class && e == 'b') *c = '\b';
    if (hit && !(e == '0' && *r->p >= '0' && *r->p <= '9')) return SN_OK;
    if (strchr("^$\\.*+?()[]{}|/-\"'#&~=!<>:;,@%` ", e) || (in_class && e == 'b')) return SN_OK;
    return bad(r, "an escape that is not supported (\\b, \\p and back references are none of them)");
}

static sn_status read_class(reader *r, schema_text *t)
{
    range_set s = {.n = 0};
    sn_status st = SN_OK;
    r->p++;
    const bool negated = *r->p == '^';
    if (negated) r->p++;
    while (*r->p != ']' && st == SN_OK) {
        uint32_t low = 0, high;
        bool named = false;
        if (*r->p == '\0') return bad(r, "a class is not closed");
        if (*r->p == '\\') st = add_named(r, &s, r->p[1], &named);
        if (st == SN_OK && named) r->p += 2;
        if (st != SN_OK || (named && *r->p == '-' && r->p[1] != ']')) return st == SN_OK ? bad(r, "a range that begins with a class") : st;
        if (named) continue;
        st = read_char(r, true, &low);
        high = low;
        if (st == SN_OK && *r->p == '-' && r->p[1] != ']' && r->p[1] != '\0') {
            r->p++;
            if (*r->p == '\\' && strchr("dDwWsS", r->p[1])) return bad(r, "a range that ends with a class");
            st = read_char(r, true, &high);
        }
        if (st == SN_OK && high < low) return bad(r, "a range whose end lies before its beginning");
        if (st == SN_OK) st = add(r, &s, low, high);
    }
    if (st == SN_OK) r->p++;
    if (st == SN_OK && negated) st = invert(r, &s);
    return st == SN_OK ? put_set(r, t, &s) : st;
}

static sn_status read_alternatives(reader *r, schema_text *t, bool whole);

static sn_status read_group(reader *r, schema_text *t)
{
    r->p++;
    if (*r->p == '?' && r->p[1] != ':') return bad(r, "looking ahead or behind, and names of groups, are not supported");
    if (*r->p == '?') r->p += 2;
    if (++r->depth > DEPTH_MAX) return bad(r, "groups are nested too deeply");
    sn_status st = schema_put(r->w, t, " (");
    if (st == SN_OK) st = read_alternatives(r, t, false);
    if (st == SN_OK && *r->p != ')') st = bad(r, "a group is not closed");
    if (st != SN_OK) return st;
    r->p++;
    r->depth--;
    return schema_put(r->w, t, ")");
}

static sn_status read_number(reader *r, int *out)
{
    if (*r->p < '0' || *r->p > '9') return bad(r, "a brace that is no repetition");
    for (*out = 0; *r->p >= '0' && *r->p <= '9'; r->p++) {
        *out = *out * 10 + (*r->p - '0');
        if (*out > REPEAT_MAX) return bad(r, "a repetition of more than 1000");
    }
    return SN_OK;
}

/* * + ? {m} {m,} {m,n}, lazy or not: the same texts. */
static sn_status read_repeat(reader *r, schema_text *t)
{
    int low, high = -1;
    sn_status st;
    if (*r->p == '\0' || strchr("*+?{", *r->p) == NULL) return SN_OK;
    if (*r->p != '{') {
        st = schema_put(r->w, t, "%c", *r->p++);
    } else {
        r->p++;
        st = read_number(r, &low);
        const bool more = st == SN_OK && *r->p == ',';
        if (more) r->p++;
        if (more && *r->p != '}') st = read_number(r, &high);
        if (st == SN_OK && *r->p++ != '}') st = bad(r, "a brace that is no repetition");
        if (st == SN_OK && high >= 0 && high < low) st = bad(r, "a repetition whose end lies before its beginning");
        if (st == SN_OK) st = schema_put(r->w, t, "{%d", low);
        if (st == SN_OK && more) st = high >= 0 ? schema_put(r->w, t, ",%d", high) : schema_put(r->w, t, ",");
        if (st == SN_OK) st = schema_put(r->w, t, "}");
    }
    if (*r->p == '?') r->p++;
    return st == SN_OK && *r->p && strchr("*+?{", *r->p) ? bad(r, "a repetition of a repetition") : st;
}

static sn_status read_item(reader *r, schema_text *t)
{
    static const range ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
    range_set s = {.n = 0};
    bool named = false;
    uint32_t c = 0;
    sn_status st = SN_OK;
    if (*r->p == '(') {
        st = read_group(r, t);
    } else if (*r->p == '[') {
        st = read_class(r, t);
    } else if (strchr("^$*+?{}]", *r->p)) {
        return bad(r, *r->p == '^' || *r->p == '$' ? "^ and $ only at the ends" : "a sign that repeats nothing");
    } else {
        if (*r->p == '.') {
            for (size_t i = 0; i < 3 && st == SN_OK; i++) st = add(r, &s, ends[i].low, ends[i].high);
            if (st == SN_OK) st = invert(r, &s);
            r->p++;
        } else {
            if (*r->p == '\\') st = add_named(r, &s, r->p[1], &named);
            if (named) r->p += 2;
            if (st == SN_OK && !named) st = read_char(r, false, &c);
            if (st == SN_OK && !named) st = add(r, &s, c, c);
        }
        if (st == SN_OK) st = put_set(r, t, &s);
    }
    return st == SN_OK ? read_repeat(r, t) : st;
}

/* Up to the end, or the bracket of a group. whole: what has no ^ or $ may stand anywhere in the string. */
static sn_status read_alternatives(reader *r, schema_text *t, bool whole)
{
    sn_status st = SN_OK;
    for (bool more = true; st == SN_OK && more;) {
        const bool first = whole && *r->p == '^';
        if (first) r->p++;
        if (whole && !first) st = schema_put(r->w, t, " char*");
        if (st == SN_OK) st = schema_put(r->w, t, " \"\"");
        while (st == SN_OK && *r->p && *r->p != '|' && *r->p != ')' && !(whole && *r->p == '$' && (r->p[1] == '\0' || r->p[1] == '|')))
            st = read_item(r, t);
        const bool last = whole && *r->p == '$';
        if (last) r->p++;
        if (st == SN_OK && whole && !last) st = schema_put(r->w, t, " char*");
        more = st == SN_OK && *r->p == '|';
        if (more) {
            r->p++;
            st = schema_put(r->w, t, " |");
        }
    }
    return st;
}

sn_status schema_put_pattern(schema_writer *w, schema_text *t, const char *pattern)
{
    reader r = {.w = w, .p = pattern};
    sn_status st = schema_put(w, t, "\"\\\"\" (");
    if (st == SN_OK) st = read_alternatives(&r, t, true);
    if (st == SN_OK && *r.p) st = bad(&r, "a bracket that closes nothing");
    return st == SN_OK ? schema_put(w, t, ") \"\\\"\"") : st;
}
