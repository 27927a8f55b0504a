/* jinja_filter.c: the filters and tests that chat templates use. */
#include "jinja.h"

#include <stdlib.h>
#include <string.h>

jv jx_arg(jx *x, const jlist *args, const jdict *named, size_t i, const char *name)
{
    if (i < args->n) return args->v[i];
    const jv *v = name[0] && named ? jdict_find(x, named, jv_z(name)) : NULL;
    return v ? *v : jv_undef("an argument");
}

typedef struct { /* a filter's input */
    jv v;
    const jlist *args;
    const jdict *named;
} in;

static jv arg(jx *x, const in *f, size_t i, const char *name)
{
    return jx_arg(x, f->args, f->named, i, name);
}

static js arg_text(jx *x, const in *f, size_t i, const char *name, const char *otherwise)
{
    jv v = arg(x, f, i, name);
    return v.kind == JV_UNDEF ? js_z(otherwise) : jv_text(x, v);
}

/* ---- of strings ---- */
static jv f_trim(jx *x, const in *f)
{
    js set = arg_text(x, f, 0, "chars", "");
    return jv_str(js_strip(jv_text(x, f->v), true, true, set.n > 0 ? &set : NULL));
}

static jv f_string(jx *x, const in *f)
{
    return jv_str(jv_text(x, f->v));
}

static jv f_method(jx *x, const in *f, const char *name)
{
    jmethod m = {js_z(name), jv_str(jv_text(x, f->v))};
    return jx_method(x, &m, f->args, f->named);
}

static jv f_upper(jx *x, const in *f)
{
    return f_method(x, f, "upper");
}

static jv f_lower(jx *x, const in *f)
{
    return f_method(x, f, "lower");
}

static jv f_capitalize(jx *x, const in *f)
{
    return f_method(x, f, "capitalize");
}

static jv f_title(jx *x, const in *f)
{
    return f_method(x, f, "title");
}

static jv f_replace(jx *x, const in *f)
{
    return f_method(x, f, "replace");
}

static jv f_indent(jx *x, const in *f)
{
    jv width = arg(x, f, 0, "width"), first = arg(x, f, 1, "first"), blank = arg(x, f, 2, "blank");
    js s = jv_text(x, f->v);
    jbuf b = {0}, pad = {0};
    int64_t n = width.kind == JV_INT ? width.i : 4;
    if (width.kind == JV_STR) jbuf_add(x, &pad, width.s);
    for (int64_t i = 0; width.kind != JV_STR && i < n && jx_steps(x, 1); i++) jbuf_z(x, &pad, " ");
    for (size_t from = 0, to, i = 0; from <= s.n && x->status == SN_OK; from = to + 1, i++) {
        const char *p = from < s.n ? memchr(s.p + from, '\n', s.n - from) : NULL;
        to = p ? (size_t)(p - s.p) : s.n;
        if (i == 0 ? jv_true(first) : to > from || jv_true(blank)) jbuf_add(x, &b, jbuf_str(&pad));
        jbuf_add(x, &b, js_cut(s, from, to < s.n ? to + 1 : to));
    }
    return jv_str(jbuf_str(&b));
}

static jv f_tojson(jx *x, const in *f)
{
    jbuf b = {0};
    jv ascii = arg(x, f, 0, "ensure_ascii"), indent = arg(x, f, 1, "indent"), both = arg(x, f, 2, "separators"),
       sort = arg(x, f, 3, "sort_keys");
    jjson how = {.indent = -1, .item = js_z(", "), .key = js_z(": "), .ascii = jv_true(ascii), .sort = jv_true(sort)};
    if (indent.kind == JV_INT) {
        how.indent = indent.i < 0 ? 0 : indent.i > 64 ? 64 : indent.i;
        how.item = js_z(",");
    }
    if (both.kind == JV_LIST && both.l->n == 2 && both.l->v[0].kind == JV_STR && both.l->v[1].kind == JV_STR) {
        how.item = both.l->v[0].s;
        how.key = both.l->v[1].s;
    }
    jv_json(x, &b, f->v, &how, 0);
    return jv_str(jbuf_str(&b));
}

/* ---- of numbers ---- */
static jv f_int(jx *x, const in *f)
{
    jv v = f->v, otherwise = arg(x, f, 0, "default");
    char z[24] = {0}, *end = z;
    if (v.kind == JV_INT) return v;
    if (v.kind == JV_BOOL) return jv_int(v.b);
    if (v.kind == JV_FLOAT && v.f > -9e18 && v.f < 9e18) return jv_int((int64_t)v.f);
    if (v.kind == JV_STR) {
        js s = js_strip(v.s, true, true, NULL);
        if (s.n > 0 && s.n < 19) memcpy(z, s.p, s.n);
        int64_t i = strtoll(z, &end, 10);
        if (end != z && *end == 0) return jv_int(i);
        double d = strtod(z, &end);
        if (end != z && *end == 0 && d > -9e18 && d < 9e18) return jv_int((int64_t)d);
    }
    return otherwise.kind == JV_UNDEF ? jv_int(0) : otherwise;
}

static jv f_float(jx *x, const in *f)
{
    jv i = f_int(x, f);
    char z[64] = {0}, *end = z;
    if (f->v.kind == JV_FLOAT) return f->v;
    if (f->v.kind == JV_STR && f->v.s.n > 0 && f->v.s.n < sizeof z) {
        memcpy(z, f->v.s.p, f->v.s.n);
        double d = strtod(z, &end);
        if (*end == 0) return (jv){.kind = JV_FLOAT, .f = d};
    }
    return i.kind == JV_INT ? (jv){.kind = JV_FLOAT, .f = (double)i.i} : i;
}

static jv f_abs(jx *x, const in *f)
{
    if (f->v.kind == JV_FLOAT ? f->v.f < 0 : f->v.kind == JV_INT && f->v.i < 0) return jx_binary(x, JO_SUB, jv_int(0), f->v);
    return f->v;
}

/* ---- of lists and dicts ---- */
static jv f_length(jx *x, const in *f)
{
    jv v = f->v;
    if (v.kind == JV_STR && jx_steps(x, v.s.n / 16)) return jv_int((int64_t)js_chars(v.s));
    if (v.kind == JV_LIST) return jv_int((int64_t)v.l->n);
    if (v.kind == JV_DICT) return jv_int((int64_t)v.d->n);
    if (v.kind != JV_UNDEF) jx_fail(x, "this value has no length");
    return jv_int(0);
}

/* The attribute of v called by a, which may be a path with dots, or a number. */
static jv attribute(jx *x, jv v, jv a)
{
    if (a.kind == JV_INT) return v.kind == JV_LIST && a.i >= 0 && (size_t)a.i < v.l->n ? v.l->v[a.i] : jv_undef("an item");
    if (a.kind != JV_STR) return v;
    for (size_t from = 0, to; from <= a.s.n && x->status == SN_OK; from = to + 1) {
        const char *p = from < a.s.n ? memchr(a.s.p + from, '.', a.s.n - from) : NULL;
        to = p ? (size_t)(p - a.s.p) : a.s.n;
        v = jx_attr(x, v, js_cut(a.s, from, to), true);
    }
    return v;
}

static jv f_join(jx *x, const in *f)
{
    js by = arg_text(x, f, 0, "d", "");
    jv name = arg(x, f, 1, "attribute");
    jlist *l = jv_items(x, f->v);
    jbuf b = {0};
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        if (i > 0) jbuf_add(x, &b, by);
        jbuf_add(x, &b, jv_text(x, attribute(x, l->v[i], name)));
    }
    return jv_str(jbuf_str(&b));
}

static jv f_default(jx *x, const in *f)
{
    jv other = arg(x, f, 0, "default_value"), falsy = arg(x, f, 1, "boolean");
    bool take = f->v.kind == JV_UNDEF || (jv_true(falsy) && !jv_true(f->v));
    if (take && other.kind == JV_UNDEF && f->args->n == 0) return jv_z("");
    return take ? other : f->v;
}

static jv f_safe(jx *x, const in *f)
{
    (void)x;
    return f->v;
}

static jv f_list(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    jv out = jv_list(x, false);
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) jlist_add(x, out.l, l->v[i]);
    return out;
}

static jv f_first(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    return l && l->n > 0 ? l->v[0] : jv_undef("the first item");
}

static jv f_last(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    return l && l->n > 0 ? l->v[l->n - 1] : jv_undef("the last item");
}

static jv f_reverse(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    jv out = jv_list(x, false);
    jbuf b = {0};
    for (size_t i = l ? l->n : 0; i-- > 0 && x->status == SN_OK;) {
        if (f->v.kind == JV_STR)
            jbuf_add(x, &b, l->v[i].s);
        else
            jlist_add(x, out.l, l->v[i]);
    }
    return f->v.kind == JV_STR ? jv_str(jbuf_str(&b)) : out;
}

static jv f_items(jx *x, const in *f)
{
    jmethod m = {js_z("items"), f->v};
    jlist none = {0};
    if (f->v.kind == JV_UNDEF) return jv_list(x, false);
    if (f->v.kind == JV_DICT) return jx_method(x, &m, &none, NULL);
    jx_fail(x, "only a dict has items");
    return f->v;
}

static jv folded(jx *x, jv v, bool as_is)
{
    if (v.kind != JV_STR || as_is) return v;
    jmethod m = {js_z("lower"), v};
    jlist none = {0};
    return jx_method(x, &m, &none, NULL);
}

/* Stable, by a key: an attribute, or the given item of a pair. */
static jv ordered(jx *x, const jlist *l, jv by, bool as_is, bool reverse)
{
    jv out = jv_list(x, false), keys = jv_list(x, false);
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        jlist_add(x, out.l, l->v[i]);
        jlist_add(x, keys.l, folded(x, attribute(x, l->v[i], by), as_is));
        if (x->status != SN_OK) break;
        for (size_t k = i; k > 0 && jx_steps(x, 1); k--) {
            int c = jv_order(x, keys.l->v[k - 1], keys.l->v[k]);
            if (reverse ? c >= 0 : c <= 0) break;
            jv key = keys.l->v[k], v = out.l->v[k];
            keys.l->v[k] = keys.l->v[k - 1];
            out.l->v[k] = out.l->v[k - 1];
            keys.l->v[k - 1] = key;
            out.l->v[k - 1] = v;
        }
    }
    return out;
}

static jv f_dictsort(jx *x, const in *f)
{
    jv items = f_items(x, f);
    js by = arg_text(x, f, 1, "by", "key");
    return items.kind == JV_LIST
               ? ordered(x, items.l, jv_int(js_eq(by, "value")), jv_true(arg(x, f, 0, "case_sensitive")), jv_true(arg(x, f, 2, "reverse")))
               : items;
}

static jv f_sort(jx *x, const in *f)
{
    return ordered(x, jv_items(x, f->v), arg(x, f, 2, "attribute"), jv_true(arg(x, f, 1, "case_sensitive")),
                   jv_true(arg(x, f, 0, "reverse")));
}

static jv extreme(jx *x, const in *f, int sign)
{
    jlist *l = jv_items(x, f->v);
    jv best = jv_undef("an item of nothing");
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++)
        if (i == 0 || sign * jv_order(x, l->v[i], best) > 0) best = l->v[i];
    return best;
}

static jv f_min(jx *x, const in *f)
{
    return extreme(x, f, -1);
}

static jv f_max(jx *x, const in *f)
{
    return extreme(x, f, 1);
}

static jv f_sum(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    jv sum = jv_int(0);
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++)
        sum = jx_binary(x, JO_ADD, sum, attribute(x, l->v[i], arg(x, f, 0, "attribute")));
    return sum;
}

static jv f_unique(jx *x, const in *f)
{
    jlist *l = jv_items(x, f->v);
    jv seen = jv_list(x, false), out = jv_list(x, false);
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        jv key = folded(x, l->v[i], false);
        if (x->status != SN_OK || jv_in(x, key, seen)) continue;
        jlist_add(x, seen.l, key);
        jlist_add(x, out.l, l->v[i]);
    }
    return out;
}

/* What map, select and their kin go over: nothing, of whatever counts as false. */
static jlist *items_if_any(jx *x, jv v)
{
    return jv_true(v) ? jv_items(x, v) : NULL;
}

static jv f_map(jx *x, const in *f)
{
    jlist *l = items_if_any(x, f->v);
    jv out = jv_list(x, false), name = jx_arg(x, &(jlist){0}, f->named, 0, "attribute"),
       other = jx_arg(x, &(jlist){0}, f->named, 0, "default");
    jv filter = arg(x, f, 0, "");
    jlist rest = {.v = f->args->n > 0 ? f->args->v + 1 : NULL, .n = f->args->n > 0 ? f->args->n - 1 : 0};
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        jv v = l->v[i];
        if (name.kind != JV_UNDEF) {
            v = attribute(x, v, name);
            if (v.kind == JV_UNDEF && other.kind != JV_UNDEF) v = other;
        } else
            v = jx_filter(x, jv_text(x, filter), v, &rest, f->named);
        jlist_add(x, out.l, v);
    }
    return out;
}

/* select, reject and their kin: first argument, with `attr`, the attribute that is tested. */
static jv chosen(jx *x, const in *f, bool attr, bool keep)
{
    jlist *l = items_if_any(x, f->v);
    jv out = jv_list(x, false), test = arg(x, f, attr, "");
    size_t used = (size_t)attr + 1;
    jlist rest = {.v = f->args->n > used ? f->args->v + used : NULL, .n = f->args->n > used ? f->args->n - used : 0};
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        jv v = attr ? attribute(x, l->v[i], arg(x, f, 0, "")) : l->v[i];
        if (x->status != SN_OK) break;
        bool yes = test.kind == JV_STR ? jx_test(x, test.s, v, &rest) : jv_true(v);
        if (yes == keep) jlist_add(x, out.l, l->v[i]);
    }
    return out;
}

static jv f_select(jx *x, const in *f)
{
    return chosen(x, f, false, true);
}

static jv f_reject(jx *x, const in *f)
{
    return chosen(x, f, false, false);
}

static jv f_selectattr(jx *x, const in *f)
{
    return chosen(x, f, true, true);
}

static jv f_rejectattr(jx *x, const in *f)
{
    return chosen(x, f, true, false);
}

static const struct {
    const char *name;
    jv (*fn)(jx *x, const in *f);
} filters[] = {
    {"trim", f_trim},
    {"string", f_string},
    {"upper", f_upper},
    {"lower", f_lower},
    {"capitalize", f_capitalize},
    {"title", f_title},
    {"replace", f_replace},
    {"indent", f_indent},
    {"tojson", f_tojson},
    {"int", f_int},
    {"float", f_float},
    {"abs", f_abs},
    {"length", f_length},
    {"count", f_length},
    {"join", f_join},
    {"default", f_default},
    {"d", f_default},
    {"safe", f_safe},
    {"list", f_list},
    {"first", f_first},
    {"last", f_last},
    {"reverse", f_reverse},
    {"items", f_items},
    {"sort", f_sort},
    {"dictsort", f_dictsort},
    {"min", f_min},
    {"max", f_max},
    {"sum", f_sum},
    {"unique", f_unique},
    {"map", f_map},
    {"select", f_select},
    {"reject", f_reject},
    {"selectattr", f_selectattr},
    {"rejectattr", f_rejectattr},
};

jv jx_filter(jx *x, js name, jv v, const jlist *args, const jdict *named)
{
    const in f = {v, args, named};
    jv out = jv_undef("");
    if (!jx_enter(x)) return out;
    size_t i = 0;
    while (i < sizeof filters / sizeof filters[0] && !js_eq(name, filters[i].name)) i++;
    if (i < sizeof filters / sizeof filters[0])
        out = filters[i].fn(x, &f);
    else
        jx_fail(x, "no filter is called \"%.*s\"", (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "");
    jx_leave(x);
    return x->status == SN_OK ? out : jv_undef("");
}

/* ---- tests ---- */
static bool cased(js s, char from, char to)
{
    bool any = false;
    for (size_t i = 0; i < s.n; i++) {
        bool wrong = s.p[i] >= (from == 'a' ? 'A' : 'a') && s.p[i] <= (to == 'z' ? 'Z' : 'z');
        if (wrong) return false;
        any = any || (s.p[i] >= from && s.p[i] <= to);
    }
    return any;
}

/* Of one value alone; *known: there is such a test. */
static bool test_kind(js name, jv v, bool *known)
{
    const struct {
        const char *name;
        bool yes;
    } tests[] = {{"defined", v.kind != JV_UNDEF},
                 {"undefined", v.kind == JV_UNDEF},
                 {"none", v.kind == JV_NONE},
                 {"string", v.kind == JV_STR},
                 {"mapping", v.kind == JV_DICT},
                 {"sequence", v.kind == JV_STR || v.kind == JV_LIST || v.kind == JV_DICT || v.kind == JV_UNDEF},
                 {"iterable", v.kind == JV_STR || v.kind == JV_LIST || v.kind == JV_DICT || v.kind == JV_UNDEF},
                 {"number", v.kind == JV_INT || v.kind == JV_FLOAT || v.kind == JV_BOOL},
                 {"integer", v.kind == JV_INT},
                 {"float", v.kind == JV_FLOAT},
                 {"boolean", v.kind == JV_BOOL},
                 {"true", v.kind == JV_BOOL && v.b},
                 {"false", v.kind == JV_BOOL && !v.b},
                 {"callable", v.kind == JV_MACRO || v.kind == JV_METHOD},
                 {"lower", v.kind == JV_STR && cased(v.s, 'a', 'z')},
                 {"upper", v.kind == JV_STR && cased(v.s, 'A', 'Z')},
                 {"odd", v.kind == JV_INT && v.i % 2 != 0},
                 {"even", v.kind == JV_INT && v.i % 2 == 0}};
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        if (js_eq(name, tests[i].name)) {
            *known = true;
            return tests[i].yes;
        }
    *known = false;
    return false;
}

bool jx_test(jx *x, js name, jv v, const jlist *args)
{
    static const struct {
        const char *name;
        jo op;
    } ops[] = {{"equalto", JO_EQ}, {"eq", JO_EQ},       {"==", JO_EQ}, {"ne", JO_NE}, {"!=", JO_NE},          {"lt", JO_LT},
               {"<", JO_LT},       {"lessthan", JO_LT}, {"gt", JO_GT}, {">", JO_GT},  {"greaterthan", JO_GT}, {"le", JO_LE},
               {"<=", JO_LE},      {"ge", JO_GE},       {">=", JO_GE}, {"in", JO_IN}, {"divisibleby", JO_MOD}};
    bool known, yes = test_kind(name, v, &known);
    if (known) return yes;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        if (!js_eq(name, ops[i].name)) continue;
        jv to = args->n > 0 ? args->v[0] : jv_undef("");
        switch (ops[i].op) {
        case JO_EQ: return jv_same(x, v, to);
        case JO_NE: return !jv_same(x, v, to);
        case JO_LT: return jv_order(x, v, to) < 0;
        case JO_LE: return jv_order(x, v, to) <= 0;
        case JO_GT: return jv_order(x, v, to) > 0;
        case JO_GE: return jv_order(x, v, to) >= 0;
        case JO_IN: return jv_in(x, v, to);
        default: return !jv_true(jx_binary(x, JO_MOD, v, to));
        }
    }
    jx_fail(x, "no test is called \"%.*s\"", (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "");
    return false;
}
