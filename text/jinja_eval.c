/* jinja_eval.c: runs the tree of a chat template. */
#include "jinja.h"

#include <math.h>
#include <string.h>

/* ---- variables ---- */
static jscope *push(jx *x, jscope *up)
{
    jscope *s = jx_alloc(x, 1, sizeof *s);
    if (s == NULL) return NULL;
    s->up = up;
    x->scope = s;
    return s;
}

static jv function(jx *x, js name, jv self)
{
    jmethod *m = jx_alloc(x, 1, sizeof *m);
    if (m == NULL) return jv_undef("");
    *m = (jmethod){name, self};
    return (jv){.kind = JV_METHOD, .method = m};
}

static jv lookup(jx *x, js name)
{
    for (const jscope *s = x->scope; s != NULL && jx_steps(x, 1); s = s->up) {
        const jv *v = jdict_find(x, &s->vars, jv_str(name));
        if (v) return *v;
    }
    if (jx_has_function(x, name)) return function(x, name, jv_undef(""));
    return (jv){.kind = JV_UNDEF, .s = name};
}

static void assign(jx *x, const jnode *to, jv v)
{
    if (x->status != SN_OK || x->scope == NULL) return;
    if (to->kind == JN_NAME) {
        jdict_set(x, &x->scope->vars, jv_str(to->s), v);
    } else if (to->kind == JN_ATTR) {
        jv space = lookup(x, to->a->s);
        if (space.kind == JV_SPACE)
            jdict_set(x, space.d, jv_str(to->s), v);
        else
            jx_fail(x, "only a namespace takes attributes");
    } else {
        jlist *l = jv_items(x, v);
        size_t i = 0;
        for (const jnode *n = to->a; n && l && x->status == SN_OK; n = n->next, i++) {
            if (i >= l->n) break;
            assign(x, n, l->v[i]);
        }
        size_t n_to = 0;
        for (const jnode *n = to->a; n; n = n->next) n_to++;
        if (l && n_to != l->n) jx_fail(x, "%zu values for %zu names", l->n, n_to);
    }
}

/* ---- attributes and items ---- */
static bool index_of(jx *x, jv at, size_t n, size_t *i)
{
    int64_t k = at.kind == JV_BOOL ? at.b : at.i;
    (void)x;
    if (at.kind != JV_INT && at.kind != JV_BOOL) return false;
    if (k < 0) k += (int64_t)n;
    if (k < 0 || (size_t)k >= n) return false;
    *i = (size_t)k;
    return true;
}

static jv item(jx *x, jv v, jv at)
{
    size_t i;
    if (v.kind == JV_UNDEF) {
        jx_fail(x, "\"%.*s\" is undefined", (int)(v.s.n < 60 ? v.s.n : 60), v.s.p ? v.s.p : "");
        return v;
    }
    if (v.kind == JV_DICT) {
        const jv *found = jdict_find(x, v.d, at);
        if (found) return *found;
    }
    if (v.kind == JV_LIST && index_of(x, at, v.l->n, &i)) return v.l->v[i];
    if (v.kind == JV_STR && at.kind == JV_INT && jx_steps(x, v.s.n / 16) && index_of(x, at, js_chars(v.s), &i)) {
        size_t from = js_offset(v.s, i);
        return jv_str(js_cut(v.s, from, from + js_offset(js_cut(v.s, from, v.s.n), 1)));
    }
    if (at.kind == JV_STR) return jx_attr(x, v, at.s, true);
    return jv_undef("an item");
}

jv jx_attr(jx *x, jv v, js name, bool item_first)
{
    if (v.kind == JV_UNDEF) return item(x, v, jv_str(name));
    if (v.kind == JV_DICT && item_first) {
        const jv *found = jdict_find(x, v.d, jv_str(name));
        if (found) return *found;
    }
    if (jx_has_method(v, name)) return function(x, name, v);
    if (v.kind == JV_DICT || v.kind == JV_SPACE) {
        const jv *found = jdict_find(x, v.d, jv_str(name));
        if (found) return *found;
    }
    return (jv){.kind = JV_UNDEF, .s = name};
}

static bool bound(jx *x, jv v, int64_t n, int64_t low, int64_t high, int64_t *out)
{
    if (v.kind == JV_NONE || v.kind == JV_UNDEF) return true;
    if (v.kind != JV_INT) {
        jx_fail(x, "a slice wants whole numbers");
        return false;
    }
    *out = v.i < 0 ? (v.i < -n ? low : v.i + n) : v.i;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return true;
}

static jv slice(jx *x, const jnode *e)
{
    jv v = jx_eval(x, e->a), none = {.kind = JV_NONE};
    jv from = e->b ? jx_eval(x, e->b) : none, to = e->c->a ? jx_eval(x, e->c->a) : none, by = e->c->b ? jx_eval(x, e->c->b) : none;
    jlist *l = v.kind == JV_LIST ? v.l : v.kind == JV_STR ? jv_items(x, v) : NULL;
    if (x->status != SN_OK) return none;
    if (l == NULL || (by.kind != JV_NONE && (by.kind != JV_INT || by.i == 0))) {
        jx_fail(x, "this value cannot be sliced so");
        return none;
    }
    int64_t n = (int64_t)l->n, step = by.kind == JV_INT ? by.i : 1, down = step < 0;
    int64_t a = down ? n - 1 : 0, b = down ? -1 : n;
    if (!bound(x, from, n, down ? -1 : 0, down ? n - 1 : n, &a) || !bound(x, to, n, down ? -1 : 0, down ? n - 1 : n, &b)) return none;
    if (step > n + 1) step = n + 1;
    if (step < -n - 1) step = -n - 1;
    jv out = jv_list(x, v.kind == JV_LIST && l->tuple);
    jbuf text = {0};
    for (int64_t i = a; (down ? i > b : i < b) && jx_steps(x, 1); i += step) {
        if (v.kind == JV_STR)
            jbuf_add(x, &text, l->v[i].s);
        else
            jlist_add(x, out.l, l->v[i]);
    }
    return v.kind == JV_STR ? jv_str(jbuf_str(&text)) : out;
}

/* ---- calls ---- */
static void arguments(jx *x, const jnode *list, jlist *args, jdict *named)
{
    for (const jnode *n = list; n && x->status == SN_OK; n = n->next) {
        if (n->kind == JN_PAIR)
            jdict_set(x, named, jv_str(n->s), jx_eval(x, n->a));
        else
            jlist_add(x, args, jx_eval(x, n));
    }
}

/* What `list` prints, in a scope of its own under `up`. */
static js captured(jx *x, const jnode *list, jscope *up)
{
    jbuf b = {0}, *out = x->out;
    jscope *scope = x->scope;
    x->out = &b;
    if (push(x, up)) jx_run(x, list);
    x->out = out;
    x->scope = scope;
    return jbuf_str(&b);
}

static jv call_macro(jx *x, const jmacro *m, const jlist *args, const jdict *named)
{
    jscope *scope = x->scope, *own = push(x, m->scope);
    size_t i = 0;
    if (own == NULL) return jv_undef("");
    for (const jnode *p = m->node->a; p && x->status == SN_OK; p = p->next, i++) {
        const jv *v = jdict_find(x, named, jv_str(p->s));
        jv value = i < args->n ? args->v[i] : v ? *v : p->a ? jx_eval(x, p->a) : (jv){.kind = JV_UNDEF, .s = p->s};
        jdict_set(x, &own->vars, jv_str(p->s), value);
    }
    const jv *caller = jdict_find(x, named, jv_z("caller"));
    if (caller) jdict_set(x, &own->vars, jv_z("caller"), *caller);
    if (args->n > i) jx_fail(x, "macro %.*s takes %zu arguments", (int)(m->node->s.n < 60 ? m->node->s.n : 60), m->node->s.p, i);
    js out = x->status == SN_OK ? captured(x, m->node->b->next, own) : js_z("");
    x->scope = scope;
    return jv_str(out);
}

jv jx_call(jx *x, jv f, const jlist *args, const jdict *named)
{
    jv out = jv_undef("");
    if (!jx_enter(x)) return out;
    if (f.kind == JV_MACRO)
        out = call_macro(x, f.macro, args, named);
    else if (f.kind == JV_METHOD)
        out = jx_method(x, f.method, args, named);
    else
        jx_fail(x, "\"%.*s\" cannot be called", f.kind == JV_UNDEF ? (int)(f.s.n < 60 ? f.s.n : 60) : 0,
                f.kind == JV_UNDEF && f.s.p ? f.s.p : "");
    jx_leave(x);
    return out;
}

static jv macro(jx *x, const jnode *n)
{
    jmacro *m = jx_alloc(x, 1, sizeof *m);
    if (m == NULL) return jv_undef("");
    *m = (jmacro){n, x->scope};
    return (jv){.kind = JV_MACRO, .macro = m};
}

static jv call(jx *x, const jnode *e, const jnode *caller)
{
    jv f = jx_eval(x, e->a);
    jlist args = {0};
    jdict named = {0};
    arguments(x, e->b, &args, &named);
    if (caller) jdict_set(x, &named, jv_z("caller"), macro(x, caller));
    x->line = e->line;
    return x->status == SN_OK ? jx_call(x, f, &args, &named) : jv_undef("");
}

/* ---- operators ---- */
static jv numbers(jx *x, jo op, jv a, jv b)
{
    bool real = a.kind == JV_FLOAT || b.kind == JV_FLOAT || op == JO_DIV;
    int64_t i = a.kind == JV_BOOL ? a.b : a.i, k = b.kind == JV_BOOL ? b.b : b.i, r = 0;
    bool over = false;
    if (real) {
        double f = a.kind == JV_FLOAT ? a.f : (double)i, g = b.kind == JV_FLOAT ? b.f : (double)k, h = 0;
        if (g == 0 && (op == JO_DIV || op == JO_FLOOR || op == JO_MOD)) {
            jx_fail(x, "division by zero");
            return jv_undef("");
        }
        h = op == JO_ADD   ? f + g
            : op == JO_SUB ? f - g
            : op == JO_MUL ? f * g
            : op == JO_DIV ? f / g
            : op == JO_POW ? pow(f, g)
                           : floor(f / g);
        if (op == JO_MOD) h = f - g * h;
        return (jv){.kind = JV_FLOAT, .f = h};
    }
    if (op == JO_ADD) over = __builtin_add_overflow(i, k, &r);
    if (op == JO_SUB) over = __builtin_sub_overflow(i, k, &r);
    if (op == JO_MUL) over = __builtin_mul_overflow(i, k, &r);
    if (op == JO_FLOOR || op == JO_MOD) {
        over = k == 0 || (k == -1 && i == INT64_MIN);
        if (!over) {
            int64_t q = i / k, m = i % k;
            if (m != 0 && (m < 0) != (k < 0)) {
                q--;
                m += k;
            }
            r = op == JO_FLOOR ? q : m;
        }
    }
    if (op == JO_POW) {
        r = 1;
        over = k < 0 || k > 64;
        for (int64_t t = 0; t < k && !over; t++) over = __builtin_mul_overflow(r, i, &r);
    }
    if (over) jx_fail(x, "a number out of range");
    return jv_int(r);
}

static jv repeated(jx *x, jv v, int64_t n)
{
    jbuf b = {0};
    jv out = jv_list(x, v.kind == JV_LIST && v.l->tuple);
    bool empty = v.kind == JV_STR ? v.s.n == 0 : v.l->n == 0;
    for (int64_t i = 0; i < n && !empty && jx_steps(x, 1); i++) {
        if (v.kind == JV_STR) jbuf_add(x, &b, v.s);
        for (size_t k = 0; v.kind == JV_LIST && k < v.l->n && x->status == SN_OK; k++) jlist_add(x, out.l, v.l->v[k]);
    }
    return v.kind == JV_STR ? jv_str(jbuf_str(&b)) : out;
}

static jv joined(jx *x, js a, js b)
{
    jbuf out = {0};
    jbuf_add(x, &out, a);
    jbuf_add(x, &out, b);
    return jv_str(jbuf_str(&out));
}

static bool is_number(jv v)
{
    return v.kind == JV_INT || v.kind == JV_FLOAT || v.kind == JV_BOOL;
}

jv jx_binary(jx *x, jo op, jv a, jv b)
{
    if (x->status != SN_OK) return a;
    if (op == JO_TILDE) return joined(x, jv_text(x, a), jv_text(x, b));
    if (is_number(a) && is_number(b)) return numbers(x, op, a, b);
    if (op == JO_ADD && a.kind == JV_STR && b.kind == JV_STR) return joined(x, a.s, b.s);
    if (op == JO_ADD && a.kind == JV_LIST && b.kind == JV_LIST) {
        jv out = jv_list(x, a.l->tuple);
        for (size_t i = 0; i < a.l->n && x->status == SN_OK; i++) jlist_add(x, out.l, a.l->v[i]);
        for (size_t i = 0; i < b.l->n && x->status == SN_OK; i++) jlist_add(x, out.l, b.l->v[i]);
        return out;
    }
    if (op == JO_MUL && b.kind == JV_INT && (a.kind == JV_STR || a.kind == JV_LIST)) return repeated(x, a, b.i);
    if (op == JO_MUL && a.kind == JV_INT && (b.kind == JV_STR || b.kind == JV_LIST)) return repeated(x, b, a.i);
    if (a.kind == JV_UNDEF || b.kind == JV_UNDEF) {
        js name = a.kind == JV_UNDEF ? a.s : b.s;
        jx_fail(x, "\"%.*s\" is undefined", (int)(name.n < 60 ? name.n : 60), name.p ? name.p : "");
    }
    jx_fail(x, "values of these kinds do not go together");
    return jv_undef("");
}

static jv compared(jx *x, const jnode *e)
{
    jv a = jx_eval(x, e->a);
    for (const jnode *n = e->b; n && x->status == SN_OK; n = n->next) {
        jv b = jx_eval(x, n->a);
        bool yes = false;
        x->line = e->line;
        if (x->status != SN_OK) break;
        switch (n->op) {
        case JO_EQ: yes = jv_same(x, a, b); break;
        case JO_NE: yes = !jv_same(x, a, b); break;
        case JO_LT: yes = jv_order(x, a, b) < 0; break;
        case JO_LE: yes = jv_order(x, a, b) <= 0; break;
        case JO_GT: yes = jv_order(x, a, b) > 0; break;
        case JO_GE: yes = jv_order(x, a, b) >= 0; break;
        case JO_IN: yes = jv_in(x, a, b); break;
        default: yes = !jv_in(x, a, b); break;
        }
        if (!yes) return jv_bool(false);
        a = b;
    }
    return jv_bool(true);
}

static jv collection(jx *x, const jnode *e)
{
    jv out = e->kind == JN_LIST ? jv_list(x, e->flag) : jv_dict(x);
    for (const jnode *n = e->a; n && x->status == SN_OK; n = n->next) {
        if (e->kind == JN_LIST) {
            jlist_add(x, out.l, jx_eval(x, n));
        } else {
            jv k = jx_eval(x, n->a), v = jx_eval(x, n->b);
            if (x->status == SN_OK) jdict_set(x, out.d, k, v);
        }
    }
    return out;
}

static jv filtered(jx *x, const jnode *e)
{
    jv v = jx_eval(x, e->a);
    jlist args = {0};
    jdict named = {0};
    arguments(x, e->b, &args, &named);
    x->line = e->line;
    return x->status == SN_OK ? jx_filter(x, e->s, v, &args, &named) : v;
}

static jv tested(jx *x, const jnode *e)
{
    jv v = jx_eval(x, e->a), arg = e->b ? jx_eval(x, e->b) : jv_undef("");
    jlist args = {.v = &arg, .n = e->b != NULL, .cap = 1};
    if (x->status != SN_OK) return v;
    x->line = e->line;
    return jv_bool(jx_test(x, e->s, v, &args) != e->flag);
}

static jv evaluate(jx *x, const jnode *e)
{
    jv a;
    switch (e->kind) {
    case JN_CONST: return e->v;
    case JN_NAME: return lookup(x, e->s);
    case JN_LIST:
    case JN_DICT: return collection(x, e);
    case JN_ATTR: a = jx_eval(x, e->a); return x->status == SN_OK ? jx_attr(x, a, e->s, false) : a;
    case JN_ITEM: {
        a = jx_eval(x, e->a);
        jv at = jx_eval(x, e->b);
        return x->status == SN_OK ? item(x, a, at) : a;
    }
    case JN_SLICE: return slice(x, e);
    case JN_CALL: return call(x, e, NULL);
    case JN_FILTER: return filtered(x, e);
    case JN_TEST: return tested(x, e);
    case JN_UNARY: return jx_binary(x, e->op, jv_int(0), jx_eval(x, e->a));
    case JN_BINARY: a = jx_eval(x, e->a); return jx_binary(x, e->op, a, jx_eval(x, e->b));
    case JN_AND: a = jx_eval(x, e->a); return jv_true(a) ? jx_eval(x, e->b) : a;
    case JN_OR: a = jx_eval(x, e->a); return jv_true(a) ? a : jx_eval(x, e->b);
    case JN_NOT: return jv_bool(!jv_true(jx_eval(x, e->a)));
    case JN_COMPARE: return compared(x, e);
    case JN_COND:
        if (jv_true(jx_eval(x, e->a))) return jx_eval(x, e->b);
        return e->c ? jx_eval(x, e->c) : jv_undef("");
    default: return jv_undef("");
    }
}

jv jx_eval(jx *x, const jnode *e)
{
    if (!jx_enter(x)) return jv_undef("");
    x->line = e->line;
    jv v = evaluate(x, e);
    jx_leave(x);
    return x->status == SN_OK ? v : jv_undef("");
}

/* ---- statements ---- */
static void loop_state(jx *x, const jlist *l, size_t i, jdict *d)
{
    int64_t at = (int64_t)i, n = (int64_t)l->n;
    jdict_set(x, d, jv_z("index0"), jv_int(at));
    jdict_set(x, d, jv_z("index"), jv_int(at + 1));
    jdict_set(x, d, jv_z("first"), jv_bool(i == 0));
    jdict_set(x, d, jv_z("last"), jv_bool(i + 1 == l->n));
    jdict_set(x, d, jv_z("length"), jv_int(n));
    jdict_set(x, d, jv_z("revindex"), jv_int(n - at));
    jdict_set(x, d, jv_z("revindex0"), jv_int(n - at - 1));
    jdict_set(x, d, jv_z("previtem"), i > 0 ? l->v[i - 1] : jv_undef("loop.previtem"));
    jdict_set(x, d, jv_z("nextitem"), i + 1 < l->n ? l->v[i + 1] : jv_undef("loop.nextitem"));
}

/* The items that a loop goes over: those its own condition keeps. */
static jlist *loop_items(jx *x, const jnode *n)
{
    jlist *all = jv_items(x, jx_eval(x, n->b->a));
    if (all == NULL || x->status != SN_OK || n->b->b == NULL) return x->status == SN_OK ? all : NULL;
    jv kept = jv_list(x, false);
    jscope *scope = x->scope;
    for (size_t i = 0; i < all->n && x->status == SN_OK; i++) {
        if (push(x, scope) == NULL) break;
        assign(x, n->a, all->v[i]);
        if (x->status == SN_OK && jv_true(jx_eval(x, n->b->b))) jlist_add(x, kept.l, all->v[i]);
    }
    x->scope = scope;
    return x->status == SN_OK ? kept.l : NULL;
}

static void run_for(jx *x, const jnode *n)
{
    jlist *l = loop_items(x, n);
    jscope *scope = x->scope;
    jv loop = jv_dict(x);
    for (size_t i = 0; l && i < l->n && x->status == SN_OK; i++) {
        if (push(x, scope) == NULL) break;
        loop_state(x, l, i, loop.d);
        if (x->status == SN_OK) loop.kind = JV_SPACE;
        jdict_set(x, &x->scope->vars, jv_z("loop"), loop);
        assign(x, n->a, l->v[i]);
        jx_run(x, n->c);
        bool stop = x->leave == JX_BREAK;
        x->leave = JX_ON;
        if (stop) break;
    }
    if (l && l->n == 0 && n->b->c && push(x, scope)) jx_run(x, n->b->c);
    x->scope = scope;
}

static void run_if(jx *x, const jnode *n)
{
    for (; n && n->kind == JN_IF; n = n->c)
        if (jv_true(jx_eval(x, n->a)) || x->status != SN_OK) {
            jx_run(x, n->b);
            return;
        }
    if (n) jx_run(x, n->next);
}

/* A block whose text goes through filters: n->c, around the constant that stands for the text. */
static jv run_block(jx *x, const jnode *n)
{
    jv text = jv_str(captured(x, n->b->next, x->scope));
    jnode *hole = n->c;
    if (hole == NULL || x->status != SN_OK) return text;
    while (hole->a) hole = hole->a;
    hole->v = text;
    return jx_eval(x, n->c);
}

static void run_one(jx *x, const jnode *n)
{
    x->line = n->line;
    switch (n->kind) {
    case JN_TEXT: jbuf_add(x, x->out, n->s); break;
    case JN_PRINT: {
        jv v = jx_eval(x, n->a);
        if (x->status == SN_OK) jbuf_add(x, x->out, jv_text(x, v));
        break;
    }
    case JN_IF: run_if(x, n); break;
    case JN_FOR: run_for(x, n); break;
    case JN_SET: assign(x, n->a, jx_eval(x, n->b)); break;
    case JN_SET_BLOCK: assign(x, n->a, run_block(x, n)); break;
    case JN_MACRO: jdict_set(x, &x->scope->vars, jv_str(n->s), macro(x, n)); break;
    case JN_CALL_BLOCK: {
        jv v = call(x, n->a, n->b);
        if (x->status == SN_OK) jbuf_add(x, x->out, jv_text(x, v));
        break;
    }
    case JN_FILTER_BLOCK: {
        jv v = run_block(x, n);
        if (x->status == SN_OK) jbuf_add(x, x->out, jv_text(x, v));
        break;
    }
    case JN_SCOPE: jbuf_add(x, x->out, captured(x, n->b->next, x->scope)); break;
    case JN_BREAK: x->leave = JX_BREAK; break;
    case JN_CONTINUE: x->leave = JX_CONTINUE; break;
    default: break;
    }
}

void jx_run(jx *x, const jnode *list)
{
    if (!jx_enter(x)) return;
    for (const jnode *n = list; n && x->leave == JX_ON && jx_steps(x, 1); n = n->next) run_one(x, n);
    jx_leave(x);
}
