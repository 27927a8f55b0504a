/* jinja_parse.c: the tokens of a chat template into a tree. Every function that fails returns NULL with x->status set. */
#include "jinja.h"

#include <string.h>

typedef struct {
    jx *x;
    jt *t;
} parser;

static jnode *expression(parser *p);
static jnode *unary(parser *p, bool filters);
static jnode *body(parser *p, const char *const *ends);

static jnode *node(parser *p, jn_kind kind)
{
    jnode *n = jx_alloc(p->x, 1, sizeof *n);
    if (n == NULL) return NULL;
    n->kind = kind;
    n->line = p->t->line;
    return n;
}

static jnode *fail(parser *p, const char *wants)
{
    p->x->line = p->t->line;
    jx_fail(p->x, "%s expected before \"%.*s\"", wants, (int)(p->t->n < 40 ? p->t->n : 40), p->t->p ? p->t->p : "");
    return NULL;
}

static bool is(const parser *p, jt_kind kind, const char *z)
{
    return p->t->kind == kind && js_eq((js){p->t->p ? p->t->p : "", NULL, p->t->n}, z);
}

static bool is_op(const parser *p, const char *z)
{
    return is(p, JT_OP, z);
}

static bool is_name(const parser *p, const char *z)
{
    return is(p, JT_NAME, z);
}

static bool skip(parser *p, jt_kind kind, const char *z)
{
    if (!is(p, kind, z)) return false;
    p->t++;
    return true;
}

static bool want_op(parser *p, const char *z)
{
    if (skip(p, JT_OP, z)) return true;
    fail(p, z);
    return false;
}

static js take_name(parser *p)
{
    if (p->t->kind != JT_NAME) {
        fail(p, "a name");
        return js_z("");
    }
    p->t++;
    return (js){p->t[-1].p, NULL, p->t[-1].n};
}

static jnode *constant(parser *p, jv v)
{
    jnode *n = node(p, JN_CONST);
    if (n) n->v = v;
    return n;
}

/* Items up to `end`, which is taken; of a dict, pairs; of a call, keywords too. */
static jnode *items(parser *p, const char *end, bool pairs, bool call)
{
    jnode *first = NULL, **last = &first;
    while (!is_op(p, end)) {
        jnode *n;
        if (pairs) {
            n = node(p, JN_PAIR);
            if (n == NULL || (n->a = expression(p)) == NULL || !want_op(p, ":") || (n->b = expression(p)) == NULL) return NULL;
        } else if (call && p->t->kind == JT_NAME && p->t[1].kind == JT_OP && js_eq((js){p->t[1].p, NULL, p->t[1].n}, "=")) {
            n = node(p, JN_PAIR);
            if (n == NULL) return NULL;
            n->s = take_name(p);
            p->t++;
            if ((n->a = expression(p)) == NULL) return NULL;
        } else
            n = expression(p);
        if (n == NULL) return NULL;
        if (n->next != NULL) return fail(p, "another form");
        *last = n;
        last = &n->next;
        if (!is_op(p, end) && !want_op(p, ",")) return NULL;
    }
    p->t++;
    if (first == NULL) first = constant(p, jv_undef("")); /* an empty list, told from a failure: see `made` */
    return first;
}

static jnode *made(parser *p, jn_kind kind, const char *end, bool pairs, bool call)
{
    jnode *n = node(p, kind);
    bool empty = is_op(p, end);
    jnode *list = items(p, end, pairs, call);
    if (n == NULL || list == NULL) return NULL;
    n->a = empty ? NULL : list;
    return n;
}

static jnode *in_parens(parser *p)
{
    jnode *n = node(p, JN_LIST);
    if (n == NULL) return NULL;
    n->flag = true;
    if (skip(p, JT_OP, ")")) return n;
    jnode *first = expression(p);
    if (first == NULL || skip(p, JT_OP, ")")) return first;
    n->a = first;
    for (jnode *last = first; skip(p, JT_OP, ",") && !is_op(p, ")");) {
        last->next = expression(p);
        if (last->next == NULL) return NULL;
        last = last->next;
    }
    return want_op(p, ")") ? n : NULL;
}

static jnode *string(parser *p)
{
    jbuf b = {0};
    const jt *first = p->t++;
    jnode *n = constant(p, jv_str((js){first->p, NULL, first->n}));
    if (n == NULL || p->t->kind != JT_STRING) return n;
    jbuf_add(p->x, &b, n->v.s);
    for (; p->t->kind == JT_STRING; p->t++) jbuf_add(p->x, &b, (js){p->t->p, NULL, p->t->n});
    n->v.s = jbuf_str(&b);
    return n;
}

static jnode *primary(parser *p)
{
    static const struct {
        const char *name;
        jv v;
    } words[] = {{"true", {JV_BOOL, {.b = true}}},   {"True", {JV_BOOL, {.b = true}}}, {"false", {JV_BOOL, {.b = false}}},
                 {"False", {JV_BOOL, {.b = false}}}, {"none", {.kind = JV_NONE}},      {"None", {.kind = JV_NONE}}};
    if (p->t->kind == JT_STRING) return string(p);
    if (p->t->kind == JT_NAME) {
        jnode *n = node(p, JN_NAME);
        if (n == NULL) return NULL;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            if (is_name(p, words[i].name)) {
                n->kind = JN_CONST;
                n->v = words[i].v;
            }
        n->s = take_name(p);
        return n;
    }
    p->t++;
    if (p->t[-1].kind == JT_INT) return constant(p, jv_int(p->t[-1].i));
    if (p->t[-1].kind == JT_FLOAT) return constant(p, (jv){.kind = JV_FLOAT, .f = p->t[-1].f});
    p->t--;
    if (skip(p, JT_OP, "(")) return in_parens(p);
    if (skip(p, JT_OP, "[")) return made(p, JN_LIST, "]", false, false);
    if (skip(p, JT_OP, "{")) return made(p, JN_DICT, "}", true, false);
    return fail(p, "a value");
}

/* Behind "[": an item or a slice (a: from, b: to, c: step, as a chain of node->b). */
static jnode *subscript(parser *p, jnode *of)
{
    jnode *n = node(p, JN_ITEM), *part[3] = {NULL, NULL, NULL};
    size_t i = 0;
    if (n == NULL) return NULL;
    n->a = of;
    while (!is_op(p, "]")) {
        if (skip(p, JT_OP, ":")) {
            n->kind = JN_SLICE;
            if (++i > 2) return fail(p, "]");
        } else {
            if (part[i] != NULL) return fail(p, "]");
            if ((part[i] = expression(p)) == NULL) return NULL;
        }
    }
    p->t++;
    if (n->kind == JN_ITEM && part[0] == NULL) return fail(p, "an index");
    n->b = part[0];
    if (n->kind == JN_ITEM) return n;
    if ((n->c = node(p, JN_PAIR)) == NULL) return NULL;
    n->c->a = part[1];
    n->c->b = part[2];
    return n;
}

static jnode *call(parser *p, jnode *of)
{
    jnode *n = made(p, JN_CALL, ")", false, true);
    if (n == NULL) return NULL;
    n->b = n->a;
    n->a = of;
    return n;
}

static jnode *postfix(parser *p, jnode *n)
{
    while (n != NULL) {
        if (skip(p, JT_OP, ".")) {
            jnode *m = node(p, JN_ATTR);
            if (m == NULL) return NULL;
            m->a = n;
            if (p->t->kind == JT_INT) {
                m->kind = JN_ITEM;
                if ((m->b = primary(p)) == NULL) return NULL;
            } else
                m->s = take_name(p);
            n = m;
        } else if (skip(p, JT_OP, "["))
            n = subscript(p, n);
        else if (skip(p, JT_OP, "("))
            n = call(p, n);
        else
            break;
    }
    return p->x->status == SN_OK ? n : NULL;
}

/* Behind "is". */
static jnode *test(parser *p, jnode *of)
{
    jnode *n = node(p, JN_TEST);
    if (n == NULL) return NULL;
    n->a = of;
    n->flag = skip(p, JT_NAME, "not");
    n->s = take_name(p);
    if (p->x->status != SN_OK) return NULL;
    bool word = p->t->kind == JT_NAME && !is_name(p, "else") && !is_name(p, "or") && !is_name(p, "and") && !is_name(p, "is") &&
                !is_name(p, "if") && !is_name(p, "in") && !is_name(p, "not");
    bool none = is_op(p, "(") && p->t[1].kind == JT_OP && js_eq((js){p->t[1].p, NULL, p->t[1].n}, ")");
    if (none)
        p->t += 2;
    else if (word || p->t->kind == JT_STRING || p->t->kind == JT_INT || p->t->kind == JT_FLOAT || is_op(p, "(") || is_op(p, "[") ||
             is_op(p, "{")) {
        if ((n->b = postfix(p, primary(p))) == NULL) return NULL;
    }
    return n;
}

static jnode *filters(parser *p, jnode *n)
{
    while (n != NULL && p->x->status == SN_OK) {
        if (skip(p, JT_OP, "|")) {
            jnode *f = node(p, JN_FILTER);
            if (f == NULL) return NULL;
            f->s = take_name(p);
            f->a = n;
            if (skip(p, JT_OP, "(")) {
                jnode *args = made(p, JN_LIST, ")", false, true);
                if (args == NULL) return NULL;
                f->b = args->a;
            }
            n = f;
        } else if (skip(p, JT_NAME, "is"))
            n = test(p, n);
        else if (skip(p, JT_OP, "("))
            n = call(p, n);
        else
            break;
    }
    return p->x->status == SN_OK ? n : NULL;
}

static jnode *unary(parser *p, bool with_filters)
{
    jnode *n;
    if (!jx_enter(p->x)) return NULL;
    if (is_op(p, "-") || is_op(p, "+")) {
        n = node(p, JN_UNARY);
        if (n) n->op = is_op(p, "-") ? JO_SUB : JO_ADD;
        p->t++;
        if (n && (n->a = unary(p, false)) == NULL) n = NULL;
    } else
        n = postfix(p, primary(p));
    if (with_filters) n = filters(p, n);
    jx_leave(p->x);
    return n;
}

/* Operators of two sides by level, the loosest first. */
static jnode *binary(parser *p, int level)
{
    static const struct {
        const char *z;
        jo op;
        int level;
    } ops[] = {{"+", JO_ADD, 0}, {"-", JO_SUB, 0},    {"~", JO_TILDE, 1}, {"*", JO_MUL, 2},
               {"/", JO_DIV, 2}, {"//", JO_FLOOR, 2}, {"%", JO_MOD, 2},   {"**", JO_POW, 3}};
    jnode *n = level == 4 ? unary(p, true) : binary(p, level + 1);
    for (bool more = n != NULL && level < 4; more;) {
        more = false;
        for (size_t i = 0; i < sizeof ops / sizeof ops[0] && !more; i++)
            if (ops[i].level == level && is_op(p, ops[i].z)) {
                jnode *m = node(p, JN_BINARY);
                p->t++;
                if (m == NULL || (m->b = binary(p, level + 1)) == NULL) return NULL;
                m->op = ops[i].op;
                m->a = n;
                n = m;
                more = true;
            }
    }
    return n;
}

static bool comparison(parser *p, jo *op)
{
    static const struct {
        const char *z;
        jo op;
    } ops[] = {{"==", JO_EQ}, {"!=", JO_NE}, {"<", JO_LT}, {"<=", JO_LE}, {">", JO_GT}, {">=", JO_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (skip(p, JT_OP, ops[i].z)) {
            *op = ops[i].op;
            return true;
        }
    if (skip(p, JT_NAME, "in")) {
        *op = JO_IN;
        return true;
    }
    if (is_name(p, "not") && p->t[1].kind == JT_NAME && js_eq((js){p->t[1].p, NULL, p->t[1].n}, "in")) {
        p->t += 2;
        *op = JO_NOT_IN;
        return true;
    }
    return false;
}

static jnode *compare(parser *p)
{
    jnode *first = binary(p, 0), *n = NULL, **last = NULL;
    jo op;
    while (first != NULL && comparison(p, &op)) {
        jnode *m = node(p, JN_OPERAND);
        if (m == NULL || (m->a = binary(p, 0)) == NULL) return NULL;
        m->op = op;
        if (n == NULL) {
            if ((n = node(p, JN_COMPARE)) == NULL) return NULL;
            n->a = first;
            last = &n->b;
        }
        *last = m;
        last = &m->next;
    }
    return n ? n : first;
}

static jnode *negation(parser *p)
{
    if (!is_name(p, "not")) return compare(p);
    jnode *n = node(p, JN_NOT);
    if (!jx_enter(p->x)) return NULL;
    p->t++;
    if (n && (n->a = negation(p)) == NULL) n = NULL;
    jx_leave(p->x);
    return n;
}

static jnode *logic(parser *p, bool any)
{
    jnode *n = any ? logic(p, false) : negation(p);
    while (n != NULL && skip(p, JT_NAME, any ? "or" : "and")) {
        jnode *m = node(p, any ? JN_OR : JN_AND);
        if (m == NULL || (m->b = any ? logic(p, false) : negation(p)) == NULL) return NULL;
        m->a = n;
        n = m;
    }
    return n;
}

static jnode *expression(parser *p)
{
    if (!jx_enter(p->x)) return NULL;
    jnode *n = logic(p, true);
    while (n != NULL && skip(p, JT_NAME, "if")) {
        jnode *m = node(p, JN_COND);
        if (m == NULL || (m->a = logic(p, true)) == NULL) {
            n = NULL;
            break;
        }
        m->b = n;
        n = m;
        if (skip(p, JT_NAME, "else") && (m->c = expression(p)) == NULL) n = NULL;
    }
    jx_leave(p->x);
    return n;
}

/* An expression, or several with commas between as a tuple. */
static jnode *tuple(parser *p)
{
    jnode *n = expression(p);
    if (n == NULL || !is_op(p, ",")) return n;
    jnode *l = node(p, JN_LIST);
    if (l == NULL) return NULL;
    l->flag = true;
    l->a = n;
    while (skip(p, JT_OP, ",") && p->t->kind != JT_TAG_END && p->t->kind != JT_VAR_END) {
        if ((n->next = expression(p)) == NULL) return NULL;
        n = n->next;
    }
    return l;
}

/* ---- statements ---- */
static bool tag_end(parser *p)
{
    if (p->t->kind == JT_TAG_END) {
        p->t++;
        return true;
    }
    fail(p, "the end of the tag");
    return false;
}

/* Names to assign to: one (JN_NAME, or JN_ATTR of one), or a tuple of names. */
static jnode *target(parser *p)
{
    jnode *first = NULL, **last = &first;
    bool parens = skip(p, JT_OP, "("), many = false;
    do {
        jnode *n = node(p, JN_NAME);
        if (n == NULL) return NULL;
        n->s = take_name(p);
        if (!many && skip(p, JT_OP, ".")) {
            n->kind = JN_ATTR;
            if ((n->a = node(p, JN_NAME)) == NULL) return NULL;
            n->a->s = n->s;
            n->s = take_name(p);
        }
        *last = n;
        last = &n->next;
    } while (skip(p, JT_OP, ",") && (many = true));
    if (parens && !want_op(p, ")")) return NULL;
    if (p->x->status != SN_OK) return NULL;
    if (!many) return first;
    jnode *l = node(p, JN_LIST);
    if (l) l->a = first;
    return l;
}

static jnode *statement_if(parser *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    static const char *const end[] = {"endif", NULL};
    jnode *n = node(p, JN_IF), *at = n;
    while (at) {
        if ((at->a = tuple(p)) == NULL || !tag_end(p)) return NULL;
        at->b = body(p, ends);
        if (!skip(p, JT_NAME, "elif")) break;
        jnode *next = node(p, JN_IF);
        at->c = next;
        at = next;
    }
    if (at && skip(p, JT_NAME, "else")) {
        if (!tag_end(p) || (at->c = node(p, JN_TEXT)) == NULL) return NULL;
        at->c->next = body(p, end);
    }
    if (skip(p, JT_NAME, "endif")) return tag_end(p) ? n : NULL;
    return fail(p, "endif");
}

static jnode *statement_for(parser *p)
{
    static const char *const ends[] = {"else", "endfor", NULL};
    jnode *n = node(p, JN_FOR), *more = node(p, JN_PAIR), *none = NULL;
    if (n == NULL || more == NULL || (n->a = target(p)) == NULL) return NULL;
    if (!skip(p, JT_NAME, "in")) return fail(p, "in");
    if ((more->a = logic(p, true)) == NULL) return NULL; /* an if behind it is the loop's own */
    if (skip(p, JT_NAME, "if") && (more->b = expression(p)) == NULL) return NULL;
    if (!tag_end(p)) return NULL;
    n->b = more;
    n->c = body(p, ends);
    if (skip(p, JT_NAME, "else")) {
        if (!tag_end(p) || (none = node(p, JN_TEXT)) == NULL) return NULL;
        none->next = body(p, ends + 1);
    }
    more->c = none;
    if (skip(p, JT_NAME, "endfor")) return tag_end(p) ? n : NULL;
    return fail(p, "endfor");
}

/* The rest of a tag whose body ends with `end`. */
static jnode *block(parser *p, const char *end)
{
    const char *const ends[] = {end, NULL};
    jnode *n = node(p, JN_TEXT);
    if (n == NULL || !tag_end(p)) return NULL;
    n->next = body(p, ends);
    if (!skip(p, JT_NAME, end)) return fail(p, end);
    if (p->t->kind == JT_NAME) p->t++; /* {% endmacro name %} */
    return tag_end(p) ? n : NULL;
}

static jnode *statement_set(parser *p)
{
    jnode *n = node(p, JN_SET);
    if (n == NULL || (n->a = target(p)) == NULL) return NULL;
    if (skip(p, JT_OP, "=")) return (n->b = tuple(p)) != NULL && tag_end(p) ? n : NULL;
    n->kind = JN_SET_BLOCK;
    if (is_op(p, "|")) {
        jnode *hole = constant(p, jv_z("")); /* the body's text goes through the filters */
        if (hole == NULL || (n->c = filters(p, hole)) == NULL) return NULL;
    }
    return (n->b = block(p, "endset")) ? n : NULL;
}

static jnode *statement_filter(parser *p)
{
    jnode *n = node(p, JN_FILTER_BLOCK), *hole = constant(p, jv_z("")), *f = node(p, JN_FILTER);
    if (n == NULL || hole == NULL || f == NULL) return NULL;
    f->a = hole;
    f->s = take_name(p);
    if (skip(p, JT_OP, "(")) {
        jnode *args = made(p, JN_LIST, ")", false, true);
        if (args == NULL) return NULL;
        f->b = args->a;
    }
    if ((n->c = filters(p, f)) == NULL) return NULL;
    return (n->b = block(p, "endfilter")) ? n : NULL;
}

static bool parameters(parser *p, jnode *macro)
{
    jnode **last = &macro->a;
    if (!want_op(p, "(")) return false;
    while (!is_op(p, ")")) {
        jnode *n = *last = node(p, JN_PAIR);
        if (n == NULL) return false;
        n->s = take_name(p);
        if (skip(p, JT_OP, "=") && (n->a = expression(p)) == NULL) return false;
        last = &n->next;
        if (!is_op(p, ")") && !want_op(p, ",")) return false;
    }
    p->t++;
    return true;
}

static jnode *statement_macro(parser *p)
{
    jnode *n = node(p, JN_MACRO);
    if (n == NULL) return NULL;
    n->s = take_name(p);
    if (!parameters(p, n)) return NULL;
    return (n->b = block(p, "endmacro")) ? n : NULL;
}

static jnode *statement_call(parser *p)
{
    jnode *n = node(p, JN_CALL_BLOCK), *macro = node(p, JN_MACRO);
    if (n == NULL || macro == NULL) return NULL;
    macro->s = js_z("caller");
    if (is_op(p, "(") && !parameters(p, macro)) return NULL;
    if ((n->a = expression(p)) == NULL) return NULL;
    if (n->a->kind != JN_CALL) return fail(p, "a call");
    n->b = macro;
    return (macro->b = block(p, "endcall")) ? n : NULL;
}

static jnode *statement(parser *p)
{
    if (skip(p, JT_NAME, "if")) return statement_if(p);
    if (skip(p, JT_NAME, "for")) return statement_for(p);
    if (skip(p, JT_NAME, "set")) return statement_set(p);
    if (skip(p, JT_NAME, "macro")) return statement_macro(p);
    if (skip(p, JT_NAME, "call")) return statement_call(p);
    if (skip(p, JT_NAME, "filter")) return statement_filter(p);
    jnode *n = node(p, is_name(p, "break") ? JN_BREAK : is_name(p, "continue") ? JN_CONTINUE : JN_SCOPE);
    if (n == NULL) return NULL;
    if (n->kind != JN_SCOPE) {
        p->t++;
        return tag_end(p) ? n : NULL;
    }
    if (skip(p, JT_NAME, "generation")) return (n->b = block(p, "endgeneration")) ? n : NULL;
    return fail(p, "a known tag");
}

/* What stands up to one of the tags `ends`, whose name is then the next token; NULL: nothing, or it failed. */
static jnode *body(parser *p, const char *const *ends)
{
    jnode *first = NULL, **last = &first;
    if (!jx_enter(p->x)) return NULL;
    while (p->x->status == SN_OK && p->t->kind != JT_END) {
        jnode *n = NULL;
        if (p->t->kind == JT_TEXT) {
            if ((n = node(p, JN_TEXT)) != NULL) n->s = (js){p->t->p, NULL, p->t->n};
            p->t++;
        } else if (p->t->kind == JT_VAR) {
            p->t++;
            if ((n = node(p, JN_PRINT)) != NULL && (n->a = tuple(p)) != NULL && p->t->kind != JT_VAR_END) fail(p, "}}");
            p->t++;
        } else {
            bool ended = false;
            p->t++;
            for (size_t i = 0; ends[i] && !ended; i++) ended = is_name(p, ends[i]);
            if (ended) break;
            n = statement(p);
        }
        if (n == NULL || p->x->status != SN_OK) break;
        *last = n;
        last = &n->next;
    }
    jx_leave(p->x);
    return p->x->status == SN_OK ? first : NULL;
}

jnode *jx_parse(jx *x, js program)
{
    static const char *const none[] = {NULL};
    parser p = {.x = x, .t = jx_lex(x, program)};
    return p.t ? body(&p, none) : NULL;
}
