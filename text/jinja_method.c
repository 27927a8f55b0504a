/* jinja_method.c: the methods of strings and dicts, and the functions, that chat templates call. */
#include "jinja.h"

#include <string.h>
#include <time.h>

typedef struct {
    jv self;
    const jlist *args;
    const jdict *named;
} in;

static jv arg(jx *x, const in *f, size_t i, const char *name)
{
    return jx_arg(x, f->args, f->named, i, name);
}

/* Argument i, which must be a string. */
static js want_str(jx *x, const in *f, size_t i, const char *name)
{
    jv v = arg(x, f, i, name);
    if (v.kind == JV_STR) return v.s;
    jx_fail(x, "a method wants a string");
    return js_z("");
}

/* ---- strings ---- */
static jv stripped(jx *x, const in *f, bool left, bool right)
{
    jv set = arg(x, f, 0, "");
    if (!jx_steps(x, set.kind == JV_STR ? f->self.s.n / 16 * (set.s.n + 1) : f->self.s.n / 16)) return f->self;
    return jv_str(js_strip(f->self.s, left, right, set.kind == JV_STR ? &set.s : NULL));
}

static jv s_strip(jx *x, const in *f)
{
    return stripped(x, f, true, true);
}

static jv s_lstrip(jx *x, const in *f)
{
    return stripped(x, f, true, false);
}

static jv s_rstrip(jx *x, const in *f)
{
    return stripped(x, f, false, true);
}

static void split_blanks(jx *x, js s, int64_t most, jlist *out)
{
    for (s = js_strip(s, true, false, NULL); s.n > 0 && x->status == SN_OK; most--) {
        size_t to = 0;
        if (most == 0)
            to = s.n;
        else
            while (to < s.n && js_blank(s.p + to, s.n - to) == 0) to++;
        jlist_add(x, out, jv_str(js_cut(s, 0, to)));
        s = js_strip(js_cut(s, to, s.n), true, false, NULL);
    }
}

static jv s_split(jx *x, const in *f)
{
    jv by = arg(x, f, 0, "sep"), most = arg(x, f, 1, "maxsplit"), out = jv_list(x, false);
    int64_t n = most.kind == JV_INT ? most.i : -1;
    js s = f->self.s;
    if (x->status != SN_OK) return out;
    if (by.kind != JV_STR) {
        split_blanks(x, s, n, out.l);
        return out;
    }
    if (by.s.n == 0) jx_fail(x, "split at nothing");
    for (size_t from = 0; x->status == SN_OK; n--) {
        size_t at = n == 0 ? SIZE_MAX : js_find(x, s, by.s, from);
        jlist_add(x, out.l, jv_str(js_cut(s, from, at == SIZE_MAX ? s.n : at)));
        if (at == SIZE_MAX) break;
        from = at + by.s.n;
    }
    return out;
}

static jv s_rsplit(jx *x, const in *f)
{
    jv most = arg(x, f, 1, "maxsplit"), all = s_split(x, &(in){f->self, &(jlist){.v = f->args->v, .n = f->args->n > 0}, f->named});
    js by = want_str(x, f, 0, "sep");
    if (x->status != SN_OK || most.kind != JV_INT || most.i < 0 || all.l->n <= (size_t)most.i + 1) return all;
    jv out = jv_list(x, false);
    jbuf b = {0};
    for (size_t i = 0, whole = all.l->n - (size_t)most.i; i < all.l->n && x->status == SN_OK; i++) {
        if (i < whole) {
            if (i > 0) jbuf_add(x, &b, by);
            jbuf_add(x, &b, all.l->v[i].s);
        }
        if (i + 1 == whole) jlist_add(x, out.l, jv_str(jbuf_str(&b)));
        if (i >= whole) jlist_add(x, out.l, all.l->v[i]);
    }
    return out;
}

static jv s_splitlines(jx *x, const in *f)
{
    jv out = jv_list(x, false);
    js s = f->self.s;
    for (size_t from = 0; from < s.n && x->status == SN_OK;) {
        size_t to = from;
        while (to < s.n && s.p[to] != '\n' && s.p[to] != '\r') to++;
        jlist_add(x, out.l, jv_str(js_cut(s, from, to)));
        from = to + 1 + (to + 1 < s.n && s.p[to] == '\r' && s.p[to + 1] == '\n');
    }
    return out;
}

/* startswith, endswith: of a string or any of a tuple. */
static jv affixed(jx *x, const in *f, bool end)
{
    jv want = arg(x, f, 0, "");
    jlist one = {.v = &want, .n = 1}, *l = want.kind == JV_LIST ? want.l : &one;
    js s = f->self.s;
    for (size_t i = 0; i < l->n && jx_steps(x, 1); i++) {
        if (l->v[i].kind != JV_STR) {
            jx_fail(x, "a method wants a string");
            break;
        }
        js w = l->v[i].s;
        if (w.n <= s.n && js_same(w, end ? js_cut(s, s.n - w.n, s.n) : js_cut(s, 0, w.n))) return jv_bool(true);
    }
    return jv_bool(false);
}

static jv s_startswith(jx *x, const in *f)
{
    return affixed(x, f, false);
}

static jv s_endswith(jx *x, const in *f)
{
    return affixed(x, f, true);
}

static jv s_replace(jx *x, const in *f)
{
    js s = f->self.s, what = want_str(x, f, 0, "old"), by = want_str(x, f, 1, "new");
    jv most = arg(x, f, 2, "count");
    int64_t n = most.kind == JV_INT ? most.i : -1;
    jbuf b = {0};
    size_t from = 0;
    for (; n != 0 && x->status == SN_OK && what.n > 0; n--) {
        size_t at = js_find(x, s, what, from);
        if (at == SIZE_MAX || !jx_steps(x, 1)) break;
        jbuf_add(x, &b, js_cut(s, from, at));
        jbuf_add(x, &b, by);
        from = at + what.n;
    }
    for (; what.n == 0 && n != 0 && x->status == SN_OK; n--) { /* between all characters */
        jbuf_add(x, &b, by);
        if (from >= s.n) break;
        size_t k = js_offset(js_cut(s, from, s.n), 1);
        jbuf_add(x, &b, js_cut(s, from, from + k));
        from += k;
        jx_steps(x, 1);
    }
    jbuf_add(x, &b, js_cut(s, from, s.n));
    return jv_str(jbuf_str(&b));
}

/* Letters of ASCII: 'u' upper, 'l' lower, 't' title, 'c' capitalize. */
static jv recased(jx *x, js s, char how)
{
    jbuf b = {0};
    bool inside = false;
    jbuf_add(x, &b, s);
    for (size_t i = 0; x->status == SN_OK && i < b.n; i++) {
        char c = b.p[i];
        bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        bool up = how == 'u' || (how == 't' && !inside) || (how == 'c' && i == 0);
        if ((up && lower) || (!up && upper)) b.p[i] = (char)(c ^ 0x20);
        inside = lower || upper || (unsigned char)c >= 0x80;
    }
    return jv_str(jbuf_str(&b));
}

static jv s_upper(jx *x, const in *f)
{
    return recased(x, f->self.s, 'u');
}

static jv s_lower(jx *x, const in *f)
{
    return recased(x, f->self.s, 'l');
}

static jv s_title(jx *x, const in *f)
{
    return recased(x, f->self.s, 't');
}

static jv s_capitalize(jx *x, const in *f)
{
    return recased(x, f->self.s, 'c');
}

static jv found(jx *x, const in *f, bool last)
{
    js s = f->self.s, what = want_str(x, f, 0, "");
    size_t at = js_find(x, s, what, 0);
    while (last && at != SIZE_MAX && at < s.n) {
        size_t next = js_find(x, s, what, at + 1);
        if (next == SIZE_MAX || !jx_steps(x, 1)) break;
        at = next;
    }
    return jv_int(at == SIZE_MAX ? -1 : (int64_t)js_chars(js_cut(s, 0, at)));
}

static jv s_find(jx *x, const in *f)
{
    return found(x, f, false);
}

static jv s_rfind(jx *x, const in *f)
{
    return found(x, f, true);
}

static jv s_count(jx *x, const in *f)
{
    js s = f->self.s, what = want_str(x, f, 0, "");
    int64_t n = 0;
    if (what.n == 0) return jv_int((int64_t)js_chars(s) + 1);
    for (size_t at = 0; (at = js_find(x, s, what, at)) != SIZE_MAX && jx_steps(x, 1); at += what.n) n++;
    return jv_int(n);
}

static jv s_join(jx *x, const in *f)
{
    jlist *l = jv_items(x, arg(x, f, 0, ""));
    jbuf b = {0};
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        if (i > 0) jbuf_add(x, &b, f->self.s);
        if (l->v[i].kind == JV_STR)
            jbuf_add(x, &b, l->v[i].s);
        else
            jx_fail(x, "join wants strings");
    }
    return jv_str(jbuf_str(&b));
}

static jv all_of(js s, bool (*fn)(char c))
{
    bool yes = s.n > 0;
    for (size_t i = 0; i < s.n && yes; i++) yes = fn(s.p[i]);
    return jv_bool(yes);
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool alnum(char c)
{
    return digit(c) || letter(c);
}

static jv s_isdigit(jx *x, const in *f)
{
    return jx_steps(x, f->self.s.n / 16) ? all_of(f->self.s, digit) : jv_bool(false);
}

static jv s_isalpha(jx *x, const in *f)
{
    return jx_steps(x, f->self.s.n / 16) ? all_of(f->self.s, letter) : jv_bool(false);
}

static jv s_isalnum(jx *x, const in *f)
{
    return jx_steps(x, f->self.s.n / 16) ? all_of(f->self.s, alnum) : jv_bool(false);
}

static jv s_isspace(jx *x, const in *f)
{
    return jv_bool(jx_steps(x, f->self.s.n / 16) && f->self.s.n > 0 && js_strip(f->self.s, true, false, NULL).n == 0);
}

/* {}, {0} and {name}, without conversions. */
static jv s_format(jx *x, const in *f)
{
    js s = f->self.s;
    jbuf b = {0};
    size_t next = 0;
    for (size_t i = 0, to; i < s.n && jx_steps(x, 1); i = to) {
        to = i + 1;
        if (s.p[i] != '{' && s.p[i] != '}') {
            while (to < s.n && s.p[to] != '{' && s.p[to] != '}') to++;
            jbuf_add(x, &b, js_cut(s, i, to));
        } else if (to < s.n && s.p[to] == s.p[i]) {
            jbuf_add(x, &b, js_cut(s, i, to++));
        } else {
            while (to < s.n && s.p[to] != '}') to++;
            js name = js_cut(s, i + 1, to);
            size_t at = 0;
            for (size_t k = 0; k < name.n && k < 6 && digit(name.p[k]); k++) at = at * 10 + (size_t)(name.p[k] - '0');
            jv v = name.n == 0 ? arg(x, f, next++, "") : digit(name.p[0]) ? arg(x, f, at, "") : jv_undef("");
            const jv *named = name.n > 0 && f->named ? jdict_find(x, f->named, jv_str(name)) : NULL;
            if (named) v = *named;
            if (to >= s.n || s.p[i] == '}' || v.kind == JV_UNDEF) jx_fail(x, "format: a form that is not known here");
            jbuf_add(x, &b, jv_text(x, v));
            to++;
        }
    }
    return jv_str(jbuf_str(&b));
}

/* ---- dicts ---- */
static jv d_list(jx *x, const in *f, bool keys, bool values)
{
    jv out = jv_list(x, false);
    const jdict *d = f->self.d;
    for (size_t i = 0; i < d->n && x->status == SN_OK; i++) {
        jv pair = keys && values ? jv_list(x, true) : jv_undef("");
        if (pair.kind == JV_LIST) {
            jlist_add(x, pair.l, d->k[i]);
            jlist_add(x, pair.l, d->v[i]);
        }
        jlist_add(x, out.l, keys && values ? pair : keys ? d->k[i] : d->v[i]);
    }
    return out;
}

static jv d_items(jx *x, const in *f)
{
    return d_list(x, f, true, true);
}

static jv d_keys(jx *x, const in *f)
{
    return d_list(x, f, true, false);
}

static jv d_values(jx *x, const in *f)
{
    return d_list(x, f, false, true);
}

static jv d_get(jx *x, const in *f)
{
    const jv *v = jdict_find(x, f->self.d, arg(x, f, 0, "key"));
    if (v) return *v;
    jv other = arg(x, f, 1, "default");
    if (other.kind == JV_UNDEF && f->args->n < 2) other.kind = JV_NONE;
    return other;
}

static jv refuse(jx *x, const in *f)
{
    (void)f;
    jx_fail(x, "a template may not change a list or a dict");
    return jv_undef("");
}

/* ---- functions ---- */
static jv g_raise(jx *x, const in *f)
{
    js s = jv_text(x, arg(x, f, 0, "message"));
    jx_fail(x, "it refuses: %.*s", (int)(s.n < 160 ? s.n : 160), s.p);
    return jv_undef("");
}

static jv g_range(jx *x, const in *f)
{
    jv a = arg(x, f, 0, ""), b = arg(x, f, 1, ""), c = arg(x, f, 2, ""), out = jv_list(x, false);
    int64_t from = b.kind == JV_INT ? a.i : 0, to = b.kind == JV_INT ? b.i : a.i, by = c.kind == JV_INT ? c.i : 1;
    const int64_t most = (int64_t)1 << 40;
    if (a.kind != JV_INT || by == 0 || from < -most || from > most || to < -most || to > most || by < -most || by > most) {
        jx_fail(x, "range of what are not fit numbers");
        return out;
    }
    for (int64_t i = from; (by > 0 ? i < to : i > to) && x->status == SN_OK; i += by) {
        if (out.l == NULL || out.l->n >= 100000) jx_fail(x, "range of more than 100000");
        jlist_add(x, out.l, jv_int(i));
    }
    return out;
}

static void copy(jx *x, const jdict *from, jdict *to)
{
    for (size_t i = 0; from && i < from->n && x->status == SN_OK; i++) jdict_set(x, to, from->k[i], from->v[i]);
}

static jv g_dict(jx *x, const in *f)
{
    jv out = jv_dict(x), first = arg(x, f, 0, "");
    if (out.kind != JV_DICT) return out;
    if (first.kind == JV_DICT) copy(x, first.d, out.d);
    if (first.kind == JV_LIST)
        for (size_t i = 0; i < first.l->n && x->status == SN_OK; i++) {
            jv pair = first.l->v[i];
            if (pair.kind != JV_LIST || pair.l->n != 2)
                jx_fail(x, "dict of what are not pairs");
            else
                jdict_set(x, out.d, pair.l->v[0], pair.l->v[1]);
        }
    copy(x, f->named, out.d);
    return out;
}

static jv g_namespace(jx *x, const in *f)
{
    jv out = g_dict(x, f);
    if (out.kind == JV_DICT) out.kind = JV_SPACE;
    return out;
}

static jv g_strftime(jx *x, const in *f)
{
    char form[128] = {0}, text[256] = {0};
    js s = want_str(x, f, 0, "format");
    jbuf b = {0};
    if (x->status != SN_OK) return f->self;
    if (s.n >= sizeof form)
        jx_fail(x, "a date's form is too long");
    else
        memcpy(form, s.p, s.n);
    if (x->status == SN_OK && strftime(text, sizeof text, form, x->today) > 0) jbuf_z(x, &b, text);
    return jv_str(jbuf_str(&b));
}

static const struct {
    jv_kind of;
    const char *name;
    jv (*fn)(jx *x, const in *f);
} methods[] = {
    {JV_STR, "strip", s_strip},
    {JV_STR, "lstrip", s_lstrip},
    {JV_STR, "rstrip", s_rstrip},
    {JV_STR, "split", s_split},
    {JV_STR, "rsplit", s_rsplit},
    {JV_STR, "splitlines", s_splitlines},
    {JV_STR, "replace", s_replace},
    {JV_STR, "startswith", s_startswith},
    {JV_STR, "endswith", s_endswith},
    {JV_STR, "upper", s_upper},
    {JV_STR, "lower", s_lower},
    {JV_STR, "title", s_title},
    {JV_STR, "capitalize", s_capitalize},
    {JV_STR, "find", s_find},
    {JV_STR, "rfind", s_rfind},
    {JV_STR, "count", s_count},
    {JV_STR, "join", s_join},
    {JV_STR, "isdigit", s_isdigit},
    {JV_STR, "isalpha", s_isalpha},
    {JV_STR, "isalnum", s_isalnum},
    {JV_STR, "isspace", s_isspace},
    {JV_STR, "format", s_format},
    {JV_DICT, "items", d_items},
    {JV_DICT, "keys", d_keys},
    {JV_DICT, "values", d_values},
    {JV_DICT, "get", d_get},
    {JV_DICT, "pop", refuse},
    {JV_DICT, "update", refuse},
    {JV_DICT, "setdefault", refuse},
    {JV_DICT, "clear", refuse},
    {JV_LIST, "append", refuse},
    {JV_LIST, "pop", refuse},
    {JV_LIST, "insert", refuse},
    {JV_LIST, "extend", refuse},
    {JV_LIST, "remove", refuse},
    {JV_LIST, "sort", refuse},
    {JV_LIST, "reverse", refuse},
    {JV_LIST, "clear", refuse},
    {JV_UNDEF, "range", g_range},
    {JV_UNDEF, "namespace", g_namespace},
    {JV_UNDEF, "dict", g_dict},
    {JV_UNDEF, "strftime_now", g_strftime},
    {JV_UNDEF, "raise_exception", g_raise},
};
#define N_METHODS (sizeof methods / sizeof methods[0])

static size_t method_at(jv_kind of, js name)
{
    size_t i = 0;
    while (i < N_METHODS && !(methods[i].of == of && js_eq(name, methods[i].name))) i++;
    return i;
}

bool jx_has_method(jv v, js name)
{
    return v.kind != JV_UNDEF && method_at(v.kind, name) < N_METHODS;
}

bool jx_has_function(const jx *x, js name)
{
    return method_at(JV_UNDEF, name) < N_METHODS && (x->today != NULL || !js_eq(name, "strftime_now"));
}

jv jx_method(jx *x, const jmethod *m, const jlist *args, const jdict *named)
{
    const in f = {m->self, args, named};
    size_t i = method_at(m->self.kind, m->name);
    jv out = i < N_METHODS && x->status == SN_OK ? methods[i].fn(x, &f) : jv_undef("");
    return x->status == SN_OK ? out : jv_undef("");
}
