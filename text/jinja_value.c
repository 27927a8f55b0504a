/* jinja_value.c: the values of the chat template interpreter, the memory that they live in, and what it may cost. */
#include "jinja.h"

#include "../core/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jchunk {
    jchunk *next;
    size_t n, used;
    _Alignas(16) unsigned char bytes[];
};
#define CHUNK 65536

void jx_free(jx *x)
{
    for (jchunk *c = x->chunks, *next; c != NULL; c = next) {
        next = c->next;
        sn_free(c);
    }
    x->chunks = NULL;
}

void jx_fail(jx *x, const char *fmt, ...)
{
    char msg[256];
    va_list ap;
    if (x->status != SN_OK) return;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    for (char *p = msg; *p; p++)
        if ((unsigned char)*p < ' ') *p = ' ';
    x->status = sn_fail(x->err, SN_EFORMAT, "chat template, line %zu: %s", x->line, msg);
}

void *jx_alloc(jx *x, size_t n, size_t size)
{
    size_t bytes;
    if (x->status != SN_OK) return NULL;
    if (!sn_mul_ok(n, size, &bytes) || bytes > x->max_bytes || x->n_bytes > x->max_bytes - bytes) {
        jx_fail(x, "it wants more than %zu MiB of memory", x->max_bytes >> 20);
        return NULL;
    }
    bytes = (bytes + 15) & ~(size_t)15;
    x->n_bytes += bytes;
    if (x->chunks == NULL || x->chunks->n - x->chunks->used < bytes) {
        size_t cap = bytes > CHUNK / 4 ? bytes : CHUNK;
        jchunk *c = sn_calloc(1, sizeof *c + cap);
        if (c == NULL) {
            x->status = sn_fail(x->err, SN_ENOMEM, "chat template: out of memory");
            return NULL;
        }
        c->n = cap;
        if (x->chunks != NULL && cap == bytes) { /* a large one: what is left of the current chunk stays in use */
            c->next = x->chunks->next;
            x->chunks->next = c;
            c->used = cap;
            return c->bytes;
        }
        c->next = x->chunks;
        x->chunks = c;
    }
    void *p = x->chunks->bytes + x->chunks->used;
    x->chunks->used += bytes;
    return p;
}

bool jx_steps(jx *x, size_t n)
{
    if (x->status != SN_OK) return false;
    if (n > x->max_steps - x->n_steps) {
        jx_fail(x, "it runs for more than %zu steps", x->max_steps);
        return false;
    }
    x->n_steps += n;
    return true;
}

bool jx_enter(jx *x)
{
    if (!jx_steps(x, 1)) return false;
    if (x->depth >= JX_DEPTH) {
        jx_fail(x, "nested more than %d deep", JX_DEPTH);
        return false;
    }
    x->depth++;
    return true;
}

void jx_leave(jx *x)
{
    x->depth--;
}

/* ---- strings ---- */
void jbuf_add(jx *x, jbuf *b, js s)
{
    if (s.n == 0 || !jx_steps(x, s.n / 64)) return;
    if (s.n > b->cap - b->n) {
        size_t cap = b->cap * 2 > b->n + s.n ? b->cap * 2 : b->n + s.n + 32;
        char *p = jx_alloc(x, cap, 1);
        uint8_t *data = jx_alloc(x, cap, 1);
        if (p == NULL || data == NULL) return;
        if (b->n > 0) {
            memcpy(p, b->p, b->n);
            memcpy(data, b->data, b->n);
        }
        *b = (jbuf){p, data, b->n, cap};
    }
    memcpy(b->p + b->n, s.p, s.n);
    if (s.data)
        memcpy(b->data + b->n, s.data, s.n);
    else
        memset(b->data + b->n, 0, s.n);
    b->n += s.n;
}

void jbuf_as(jx *x, jbuf *b, const char *z, js of)
{
    static const uint8_t data[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    js s = js_z(z);
    if (of.data && of.n > 0 && of.data[0] && s.n <= sizeof data) s.data = data;
    jbuf_add(x, b, s);
}

void jbuf_z(jx *x, jbuf *b, const char *z)
{
    jbuf_add(x, b, js_z(z));
}

js jbuf_str(const jbuf *b)
{
    return b->n > 0 ? (js){b->p, b->data, b->n} : js_z("");
}

js js_z(const char *z)
{
    return (js){z, NULL, strlen(z)};
}

js js_cut(js s, size_t from, size_t to)
{
    return from < to ? (js){s.p + from, s.data ? s.data + from : NULL, to - from} : js_z("");
}

bool js_eq(js s, const char *z)
{
    return strlen(z) == s.n && memcmp(s.p, z, s.n) == 0;
}

bool js_same(js a, js b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

size_t js_find(jx *x, js s, js what, size_t from)
{
    if (from > s.n || !jx_steps(x, (s.n - from) / 16)) return SIZE_MAX;
    if (what.n == 0) return from;
    const char *p = memmem(s.p + from, s.n - from, what.p, what.n);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

/* Bytes of the character at p; what is not UTF-8 counts byte by byte. */
static size_t char_at(const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    size_t want = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 1;
    if (want > n) return 1;
    for (size_t i = 1; i < want; i++)
        if (((unsigned char)p[i] & 0xc0) != 0x80) return 1;
    return want;
}

size_t js_chars(js s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i += char_at(s.p + i, s.n - i)) n++;
    return n;
}

size_t js_offset(js s, size_t i)
{
    size_t at = 0;
    for (; i > 0 && at < s.n; i--) at += char_at(s.p + at, s.n - at);
    return at;
}

size_t js_blank(const char *p, size_t n)
{
    static const char *const wide[] = {"\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
                                       "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};
    if (n == 0) return 0;
    unsigned char c = (unsigned char)p[0];
    if ((c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20)) return 1;
    if (n >= 3 && memcmp(p, "\xe2\x80", 2) == 0 && (unsigned char)p[2] >= 0x80 && (unsigned char)p[2] <= 0x8a) return 3;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        size_t len = strlen(wide[i]);
        if (n >= len && memcmp(p, wide[i], len) == 0) return len;
    }
    return 0;
}

/* Bytes of the first character of p[n] where strip() would take it. */
static size_t strips(const char *p, size_t n, const js *set)
{
    if (set == NULL) return js_blank(p, n);
    size_t len = n > 0 ? char_at(p, n) : 0;
    for (size_t i = 0, k; i < set->n && len > 0; i += k) {
        k = char_at(set->p + i, set->n - i);
        if (k == len && memcmp(set->p + i, p, k) == 0) return k;
    }
    return 0;
}

js js_strip(js s, bool left, bool right, const js *set)
{
    size_t from = 0, to = s.n;
    for (size_t k; left && from < to && (k = strips(s.p + from, to - from, set)) > 0;) from += k;
    for (bool more = right; more && from < to;) {
        more = false;
        for (size_t k = 1; k <= 4 && k <= to - from && !more; k++)
            if (strips(s.p + to - k, k, set) == k) {
                to -= k;
                more = true;
            }
    }
    return js_cut(s, from, to);
}

/* ---- values ---- */
jv jv_str(js s)
{
    return (jv){.kind = JV_STR, .s = s};
}

jv jv_z(const char *z)
{
    return jv_str(js_z(z));
}

jv jv_bool(bool b)
{
    return (jv){.kind = JV_BOOL, .b = b};
}

jv jv_int(int64_t i)
{
    return (jv){.kind = JV_INT, .i = i};
}

jv jv_undef(const char *name)
{
    return (jv){.kind = JV_UNDEF, .s = js_z(name)};
}

jv jv_list(jx *x, bool tuple)
{
    jlist *l = jx_alloc(x, 1, sizeof *l);
    if (l == NULL) return jv_undef("");
    l->tuple = tuple;
    return (jv){.kind = JV_LIST, .l = l};
}

/* *p with room for one more of `size`. */
static bool grow(jx *x, jv **p, size_t *cap, size_t n)
{
    if (n < *cap) return x->status == SN_OK;
    size_t more = *cap ? *cap * 2 : 4;
    jv *v = jx_alloc(x, more, sizeof *v);
    if (v == NULL) return false;
    if (n > 0) memcpy(v, *p, n * sizeof *v);
    *p = v;
    *cap = more;
    return true;
}

void jlist_add(jx *x, jlist *l, jv v)
{
    if (l == NULL || !jx_steps(x, 1) || !grow(x, &l->v, &l->cap, l->n)) return;
    l->v[l->n++] = v;
}

jv jv_dict(jx *x)
{
    jdict *d = jx_alloc(x, 1, sizeof *d);
    return d ? (jv){.kind = JV_DICT, .d = d} : jv_undef("");
}

jv *jdict_find(jx *x, const jdict *d, jv k)
{
    if (!jx_steps(x, d->n / 4 + 1)) return NULL;
    for (size_t i = 0; i < d->n; i++)
        if (jv_same(x, d->k[i], k)) return &d->v[i];
    return NULL;
}

void jdict_set(jx *x, jdict *d, jv k, jv v)
{
    jv *at = jdict_find(x, d, k);
    if (at) {
        *at = v;
        return;
    }
    if (k.kind == JV_LIST ? !k.l->tuple : k.kind == JV_DICT) {
        jx_fail(x, "a list or a dict cannot be a key");
        return;
    }
    if (!grow(x, &d->k, &d->cap, d->n) || !grow(x, &d->v, &d->cap_v, d->n)) return;
    d->k[d->n] = k;
    d->v[d->n++] = v;
}

bool jv_true(jv v)
{
    switch (v.kind) {
    case JV_UNDEF:
    case JV_NONE: return false;
    case JV_BOOL: return v.b;
    case JV_INT: return v.i != 0;
    case JV_FLOAT: return v.f != 0;
    case JV_STR: return v.s.n > 0;
    case JV_LIST: return v.l->n > 0;
    case JV_DICT: return v.d->n > 0;
    case JV_SPACE:
    case JV_MACRO:
    case JV_METHOD: return true;
    }
    return false;
}

static bool is_number(jv v)
{
    return v.kind == JV_INT || v.kind == JV_FLOAT || v.kind == JV_BOOL;
}

static double number(jv v)
{
    return v.kind == JV_FLOAT ? v.f : v.kind == JV_INT ? (double)v.i : v.b;
}

static int64_t whole(jv v)
{
    return v.kind == JV_INT ? v.i : v.b;
}

static bool same_inside(jx *x, jv a, jv b)
{
    bool same = true;
    if (a.kind == JV_LIST) {
        if (a.l->n != b.l->n || a.l->tuple != b.l->tuple) return false;
        for (size_t i = 0; i < a.l->n && same; i++) same = jv_same(x, a.l->v[i], b.l->v[i]);
        return same;
    }
    if (a.d->n != b.d->n) return false;
    for (size_t i = 0; i < a.d->n && same; i++) {
        jv *v = jdict_find(x, b.d, a.d->k[i]);
        same = v && jv_same(x, a.d->v[i], *v);
    }
    return same;
}

bool jv_same(jx *x, jv a, jv b)
{
    if (is_number(a) && is_number(b)) return a.kind == JV_FLOAT || b.kind == JV_FLOAT ? number(a) == number(b) : whole(a) == whole(b);
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case JV_UNDEF:
    case JV_NONE: return true;
    case JV_STR: return a.s.n == b.s.n && jx_steps(x, a.s.n / 64) && js_same(a.s, b.s);
    case JV_LIST:
    case JV_DICT: {
        if (!jx_enter(x)) return false;
        bool same = same_inside(x, a, b);
        jx_leave(x);
        return same;
    }
    case JV_SPACE: return a.d == b.d;
    case JV_MACRO: return a.macro == b.macro;
    default: return false;
    }
}

int jv_order(jx *x, jv a, jv b)
{
    if (is_number(a) && is_number(b)) {
        if (a.kind != JV_FLOAT && b.kind != JV_FLOAT) return (whole(a) > whole(b)) - (whole(a) < whole(b));
        return (number(a) > number(b)) - (number(a) < number(b));
    }
    if (a.kind == JV_STR && b.kind == JV_STR) {
        size_t n = a.s.n < b.s.n ? a.s.n : b.s.n;
        if (!jx_steps(x, n / 64)) return 0;
        int c = n > 0 ? memcmp(a.s.p, b.s.p, n) : 0;
        return c != 0 ? c : (a.s.n > b.s.n) - (a.s.n < b.s.n);
    }
    if (a.kind == JV_LIST && b.kind == JV_LIST && jx_enter(x)) {
        int c = 0;
        for (size_t i = 0; i < a.l->n && i < b.l->n && c == 0 && x->status == SN_OK; i++)
            if (!jv_same(x, a.l->v[i], b.l->v[i])) c = jv_order(x, a.l->v[i], b.l->v[i]);
        jx_leave(x);
        return c != 0 ? c : (a.l->n > b.l->n) - (a.l->n < b.l->n);
    }
    jx_fail(x, "values of these kinds have no order");
    return 0;
}

bool jv_in(jx *x, jv v, jv where)
{
    if (where.kind == JV_STR) {
        if (v.kind == JV_STR) return js_find(x, where.s, v.s, 0) != SIZE_MAX;
        jx_fail(x, "only a string can be in a string");
        return false;
    }
    if (where.kind == JV_DICT) return jdict_find(x, where.d, v) != NULL;
    if (where.kind == JV_UNDEF) return false;
    jlist *l = jv_items(x, where);
    for (size_t i = 0; l && i < l->n && jx_steps(x, 1); i++)
        if (jv_same(x, l->v[i], v)) return true;
    return false;
}

jlist *jv_items(jx *x, jv v)
{
    if (v.kind == JV_LIST) return v.l;
    jv out = jv_list(x, false);
    if (out.kind != JV_LIST) return NULL;
    if (v.kind == JV_STR)
        for (size_t i = 0, k; i < v.s.n && x->status == SN_OK; i += k) {
            k = char_at(v.s.p + i, v.s.n - i);
            jlist_add(x, out.l, jv_str(js_cut(v.s, i, i + k)));
        }
    else if (v.kind == JV_DICT)
        for (size_t i = 0; i < v.d->n && x->status == SN_OK; i++) jlist_add(x, out.l, v.d->k[i]);
    else if (v.kind != JV_UNDEF)
        jx_fail(x, "this value cannot be iterated over");
    return x->status == SN_OK ? out.l : NULL;
}

/* ---- as text ---- */
static void repr_str(jx *x, jbuf *b, js s)
{
    bool single = s.n > 0 && memchr(s.p, '\'', s.n) != NULL, dbl = s.n > 0 && memchr(s.p, '"', s.n) != NULL;
    const char *quote = single && !dbl ? "\"" : "'";
    jbuf_z(x, b, quote);
    for (size_t i = 0, k; i < s.n && jx_steps(x, 1); i += k) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[8] = {0};
        k = char_at(s.p + i, s.n - i);
        if (c == '\n' || c == '\r' || c == '\t')
            snprintf(esc, sizeof esc, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (c == '\\' || c == (unsigned char)quote[0])
            snprintf(esc, sizeof esc, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            snprintf(esc, sizeof esc, "\\x%02x", c);
        if (esc[0])
            jbuf_as(x, b, esc, js_cut(s, i, i + k));
        else
            jbuf_add(x, b, js_cut(s, i, i + k));
    }
    jbuf_z(x, b, quote);
}

static void repr_float(jx *x, jbuf *b, double f)
{
    char z[40];
    if (isnan(f) || isinf(f)) {
        jbuf_z(x, b, isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(z, sizeof z, "%.*g", digits, f);
        if (strtod(z, NULL) == f) break;
    }
    if (strchr(z, 'e') && fabs(f) >= 1 && fabs(f) < 1e16) snprintf(z, sizeof z, "%.0f", f);
    jbuf_z(x, b, z);
    if (strpbrk(z, ".e") == NULL) jbuf_z(x, b, ".0");
}

static void repr_inside(jx *x, jbuf *b, jv v)
{
    size_t n = v.kind == JV_LIST ? v.l->n : v.d->n;
    bool tuple = v.kind == JV_LIST && v.l->tuple;
    jbuf_z(x, b, v.kind == JV_DICT ? "{" : tuple ? "(" : "[");
    for (size_t i = 0; i < n && x->status == SN_OK; i++) {
        if (i > 0) jbuf_z(x, b, ", ");
        jv_repr(x, b, v.kind == JV_LIST ? v.l->v[i] : v.d->k[i]);
        if (v.kind == JV_LIST) continue;
        jbuf_z(x, b, ": ");
        jv_repr(x, b, v.d->v[i]);
    }
    if (tuple && n == 1) jbuf_z(x, b, ",");
    jbuf_z(x, b, v.kind == JV_DICT ? "}" : tuple ? ")" : "]");
}

void jv_repr(jx *x, jbuf *b, jv v)
{
    char z[40];
    if (!jx_enter(x)) return;
    switch (v.kind) {
    case JV_UNDEF: jbuf_z(x, b, "Undefined"); break;
    case JV_NONE: jbuf_z(x, b, "None"); break;
    case JV_BOOL: jbuf_z(x, b, v.b ? "True" : "False"); break;
    case JV_INT:
        snprintf(z, sizeof z, "%lld", (long long)v.i);
        jbuf_z(x, b, z);
        break;
    case JV_FLOAT: repr_float(x, b, v.f); break;
    case JV_STR: repr_str(x, b, v.s); break;
    case JV_LIST:
    case JV_DICT: repr_inside(x, b, v); break;
    case JV_SPACE: jbuf_z(x, b, "<Namespace>"); break;
    case JV_MACRO: jbuf_z(x, b, "<Macro>"); break;
    case JV_METHOD: jbuf_z(x, b, "<function>"); break;
    }
    jx_leave(x);
}

js jv_text(jx *x, jv v)
{
    jbuf b = {0};
    if (v.kind == JV_STR) return v.s;
    if (v.kind == JV_UNDEF) return js_z("");
    jv_repr(x, &b, v);
    return jbuf_str(&b);
}
