/* jinja_lex.c: a chat template into tokens, with the blanks around tags treated as Hugging Face transformers has them treated
 * (trim_blocks, lstrip_blocks). */
#include "jinja.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    jx *x;
    js src;
    size_t at, line;
    jt *t;
    size_t n, cap;
} lexer;

static void put(lexer *l, jt t)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        jt *more = jx_alloc(l->x, cap, sizeof *more);
        if (more == NULL) return;
        if (l->n > 0) memcpy(more, l->t, l->n * sizeof *more);
        l->t = more;
        l->cap = cap;
    }
    if (t.line == 0) t.line = l->line;
    l->t[l->n++] = t;
}

static void go_to(lexer *l, size_t to)
{
    for (; l->at < to; l->at++) l->line += l->src.p[l->at] == '\n';
}

static bool at_is(const lexer *l, size_t at, const char *z)
{
    size_t n = strlen(z);
    return l->src.n - at >= n && memcmp(l->src.p + at, z, n) == 0;
}

/* Text up to the next tag; `starts_line`: a line begins here. The tag's own sign (- or +) is at its third byte. */
static void text(lexer *l, bool starts_line)
{
    size_t from = l->at, to = from;
    while (to < l->src.n && !(l->src.p[to] == '{' && to + 1 < l->src.n && memchr("{%#", l->src.p[to + 1], 3))) to++;
    js s = js_cut(l->src, from, to);
    char sign = to + 2 < l->src.n ? l->src.p[to + 2] : 0;
    if (to < l->src.n && sign == '-')
        s = js_strip(s, false, true, NULL);
    else if (to < l->src.n && sign != '+' && l->src.p[to + 1] != '{') {
        size_t bol = s.n;
        while (bol > 0 && s.p[bol - 1] != '\n') bol--;
        js rest = js_cut(s, bol, s.n);
        if ((bol > 0 || starts_line) && js_strip(rest, true, false, NULL).n == 0) s = js_cut(s, 0, bol);
    }
    if (s.n > 0) put(l, (jt){.kind = JT_TEXT, .p = s.p, .n = s.n});
    go_to(l, to);
}

/* Behind a tag's end: what it swallows. `newline`: a line break. */
static void swallow(lexer *l, bool minus, bool newline)
{
    size_t to = l->at, k;
    if (minus)
        while ((k = js_blank(l->src.p + to, l->src.n - to)) > 0) to += k;
    else if (newline && to < l->src.n && l->src.p[to] == '\n')
        to++;
    go_to(l, to);
}

static void comment(lexer *l)
{
    const char *p = memmem(l->src.p + l->at + 2, l->src.n - l->at - 2, "#}", 2);
    if (p == NULL) {
        l->x->line = l->line;
        jx_fail(l->x, "a comment without an end");
        return;
    }
    size_t end = (size_t)(p - l->src.p);
    char sign = end > l->at + 2 ? p[-1] : 0;
    go_to(l, end + 2);
    swallow(l, sign == '-', sign != '+');
}

static size_t put_utf8(char *p, unsigned c)
{
    if (c < 0x80) {
        p[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        p[0] = (char)(0xc0 | c >> 6);
        p[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        p[0] = (char)(0xe0 | c >> 12);
        p[1] = (char)(0x80 | (c >> 6 & 0x3f));
        p[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    p[0] = (char)(0xf0 | c >> 18);
    p[1] = (char)(0x80 | (c >> 12 & 0x3f));
    p[2] = (char)(0x80 | (c >> 6 & 0x3f));
    p[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One escape of a string, at the byte behind the backslash. Returns the bytes read; a \uXXXX is at least as long as its UTF-8. */
static size_t escape(const char *p, size_t n, char *out, size_t *m)
{
    static const char from[] = "ntr\\'\"abfv0", to[] = "\n\t\r\\'\"\a\b\f\v\0";
    size_t digits = p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
    const char *hit = memchr(from, p[0], sizeof from - 1);
    if (hit) {
        out[(*m)++] = to[hit - from];
        return 1;
    }
    char hex[9] = {0};
    if (digits > 0 && n > digits) {
        memcpy(hex, p + 1, digits);
        unsigned long c = strtoul(hex, NULL, 16);
        if (strspn(hex, "0123456789abcdefABCDEF") == digits && c < 0x110000) {
            *m += put_utf8(out + *m, (unsigned)c);
            return 1 + digits;
        }
    }
    out[(*m)++] = '\\';
    if (p[0] == '\n')
        (*m)--; /* a line goes on */
    else
        out[(*m)++] = p[0];
    return 1;
}

static void string(lexer *l)
{
    char quote = l->src.p[l->at];
    size_t end = l->at + 1, m = 0;
    while (end < l->src.n && l->src.p[end] != quote) end += l->src.p[end] == '\\' ? 2 : 1;
    if (end >= l->src.n) {
        l->x->line = l->line;
        jx_fail(l->x, "a string without an end");
        return;
    }
    char *out = jx_alloc(l->x, end - l->at, 1);
    if (out == NULL) return;
    for (size_t i = l->at + 1; i < end;) {
        if (l->src.p[i] != '\\')
            out[m++] = l->src.p[i++];
        else
            i += 1 + escape(l->src.p + i + 1, end - i - 1, out, &m);
    }
    put(l, (jt){.kind = JT_STRING, .p = out, .n = m});
    go_to(l, end + 1);
}

static bool name_byte(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static void number(lexer *l)
{
    char z[48] = {0};
    size_t n = 0, at = l->at;
    bool real = false;
    for (; at < l->src.n && n < sizeof z - 1; at++) {
        char c = l->src.p[at];
        bool point = c == '.' && !real && at + 1 < l->src.n && l->src.p[at + 1] >= '0' && l->src.p[at + 1] <= '9';
        if (c == '_') continue;
        if (!point && (c < '0' || c > '9')) break;
        real = real || point;
        z[n++] = c;
    }
    if (!real && n > 18) {
        l->x->line = l->line;
        jx_fail(l->x, "a number with too many digits");
    }
    put(l, (jt){.kind = real ? JT_FLOAT : JT_INT,
                .p = l->src.p + l->at,
                .n = at - l->at,
                .i = real ? 0 : strtoll(z, NULL, 10),
                .f = strtod(z, NULL)});
    go_to(l, at);
}

/* One token of an expression; false: none is here. */
static bool token(lexer *l, char *open, size_t *n_open)
{
    static const char *const two[] = {"==", "!=", "<=", ">=", "//", "**"};
    char c = l->src.p[l->at];
    if (name_byte(c, true)) {
        size_t to = l->at;
        while (to < l->src.n && name_byte(l->src.p[to], false)) to++;
        put(l, (jt){.kind = JT_NAME, .p = l->src.p + l->at, .n = to - l->at});
        go_to(l, to);
        return true;
    }
    if (c == '"' || c == '\'') {
        string(l);
        return true;
    }
    if (c >= '0' && c <= '9') {
        number(l);
        return true;
    }
    size_t n = 0;
    for (size_t i = 0; i < sizeof two / sizeof two[0]; i++)
        if (at_is(l, l->at, two[i])) n = 2;
    if (n == 0 && c != 0 && strchr("+-*/%~|.,:;=<>()[]{}", c)) n = 1;
    if (n == 0) return false;
    if (n == 1 && strchr("([{", c)) {
        if (*n_open >= JX_DEPTH) return false;
        open[(*n_open)++] = c;
    } else if (n == 1 && strchr(")]}", c)) {
        if (*n_open == 0 || open[--*n_open] != (c == ')' ? '(' : c == ']' ? '[' : '{')) return false;
    }
    put(l, (jt){.kind = JT_OP, .p = l->src.p + l->at, .n = n});
    go_to(l, l->at + n);
    return true;
}

/* From behind {{ or {% to its end. */
static void tag(lexer *l, bool var)
{
    char open[JX_DEPTH];
    size_t n_open = 0, k;
    const char *end = var ? "}}" : "%}";
    put(l, (jt){.kind = var ? JT_VAR : JT_TAG});
    go_to(l, l->at + 2);
    if (l->at < l->src.n && (l->src.p[l->at] == '-' || l->src.p[l->at] == '+')) go_to(l, l->at + 1);
    while (l->x->status == SN_OK && l->at < l->src.n) {
        bool signed_end = memchr("-+", l->src.p[l->at], 2) && at_is(l, l->at + 1, end) && !(var && l->src.p[l->at] == '+');
        if (n_open == 0 && (signed_end || at_is(l, l->at, end))) {
            char sign = signed_end ? l->src.p[l->at] : 0;
            put(l, (jt){.kind = var ? JT_VAR_END : JT_TAG_END});
            go_to(l, l->at + 2 + (sign != 0));
            swallow(l, sign == '-', !var && sign != '+');
            return;
        }
        if ((k = js_blank(l->src.p + l->at, l->src.n - l->at)) > 0)
            go_to(l, l->at + k);
        else if (!token(l, open, &n_open)) {
            l->x->line = l->line;
            jx_fail(l->x, "unexpected \"%.1s\"", (unsigned char)l->src.p[l->at] < 0x80 ? l->src.p + l->at : "?");
        }
    }
    l->x->line = l->line;
    jx_fail(l->x, "a tag without an end");
}

jt *jx_lex(jx *x, js program)
{
    lexer l = {.x = x, .src = program, .line = 1};
    while (x->status == SN_OK && l.at < program.n) {
        bool starts_line = l.at == 0 || program.p[l.at - 1] == '\n';
        text(&l, starts_line);
        if (l.at >= program.n) break;
        if (program.p[l.at + 1] == '#')
            comment(&l);
        else
            tag(&l, program.p[l.at + 1] == '{');
    }
    put(&l, (jt){.kind = JT_END});
    return x->status == SN_OK ? l.t : NULL;
}
