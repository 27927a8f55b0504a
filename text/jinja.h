/* jinja.h: inside of the chat template interpreter (jinja*.c). A template is a stranger's program: it runs with bounded steps,
 * depth and memory, and sees nothing but the conversation.
 *
 * Strings know of every byte whether the template or a message wrote it ("data"), through all that is done with them, so that
 * what a message says can never become a control token.
 *
 * The first failure sticks (jx.status); whatever is evaluated after it yields undefined, and loops end when they see it. */
#ifndef TEXT_JINJA_H
#define TEXT_JINJA_H

#include "text.h"

#define JX_DEPTH 200 /* nested syntax, nested evaluation steps, nested lists */

typedef enum {
    JT_TEXT,
    JT_NAME,
    JT_STRING,
    JT_INT,
    JT_FLOAT,
    JT_OP,      /* operators and brackets: the token's text */
    JT_VAR,     /* {{ */
    JT_VAR_END, /* }} */
    JT_TAG,     /* {% */
    JT_TAG_END, /* %} */
    JT_END
} jt_kind;
typedef struct {
    jt_kind kind;
    const char *p; /* text; a string is unescaped */
    size_t n, line;
    int64_t i;
    double f;
} jt;

typedef enum {
    JN_TEXT,
    JN_PRINT,
    JN_IF,
    JN_FOR,
    JN_SET,
    JN_SET_BLOCK,
    JN_MACRO,
    JN_CALL_BLOCK,
    JN_FILTER_BLOCK,
    JN_SCOPE,
    JN_BREAK,
    JN_CONTINUE,
    JN_CONST,
    JN_NAME,
    JN_LIST,
    JN_DICT,
    JN_ATTR,
    JN_ITEM,
    JN_SLICE,
    JN_CALL,
    JN_FILTER,
    JN_TEST,
    JN_UNARY,
    JN_BINARY,
    JN_AND,
    JN_OR,
    JN_NOT,
    JN_COMPARE,
    JN_COND,
    JN_PAIR,   /* of a dict, a; b. Of a call: keyword s, value a */
    JN_OPERAND /* of a comparison: op, a */
} jn_kind;
typedef enum {
    JO_ADD,
    JO_SUB,
    JO_MUL,
    JO_DIV,
    JO_FLOOR,
    JO_MOD,
    JO_POW,
    JO_TILDE,
    JO_EQ,
    JO_NE,
    JO_LT,
    JO_LE,
    JO_GT,
    JO_GE,
    JO_IN,
    JO_NOT_IN
} jo;

typedef struct jnode jnode;
typedef struct jx jx;
typedef struct jlist jlist;
typedef struct jdict jdict;
typedef struct jmacro jmacro;
typedef struct jmethod jmethod;

typedef enum { JV_UNDEF, JV_NONE, JV_BOOL, JV_INT, JV_FLOAT, JV_STR, JV_LIST, JV_DICT, JV_SPACE, JV_MACRO, JV_METHOD } jv_kind;
typedef struct { /* data: a byte per byte, 1 where a message wrote it; NULL: the template wrote all */
    const char *p;
    const uint8_t *data;
    size_t n;
} js;
typedef struct {
    jv_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        js s; /* of JV_UNDEF: the name that was not found */
        jlist *l;
        jdict *d; /* JV_DICT, JV_SPACE */
        const jmacro *macro;
        const jmethod *method;
    };
} jv;
struct jlist {
    jv *v;
    size_t n, cap;
    bool tuple;
};
struct jdict {
    jv *k, *v;
    size_t n, cap, cap_v;
};

struct jnode { /* by kind: names in s, children a b c, lists through next */
    jn_kind kind;
    jo op;
    size_t line;
    jnode *a, *b, *c, *next;
    js s;
    jv v;
    bool flag; /* JN_TEST: negated. JN_LIST: a tuple */
};

typedef struct jscope jscope;
struct jmacro {
    const jnode *node; /* s: name, a: parameters (JN_PAIR: s, default a), b: body */
    jscope *scope;
};
struct jmethod { /* a function or a method with the object that it belongs to */
    js name;
    jv self; /* JV_UNDEF: a function */
};
struct jscope {
    jscope *up;
    jdict vars;
};

typedef struct {
    char *p;
    uint8_t *data;
    size_t n, cap;
} jbuf;

typedef struct jchunk jchunk;
struct jx {
    jchunk *chunks;
    size_t n_bytes, max_bytes, n_steps, max_steps, depth, line;
    sn_status status;
    sn_err *err;
    jscope *scope;
    jbuf *out;
    enum { JX_ON, JX_BREAK, JX_CONTINUE } leave;
    const struct tm *today;
};

/* ---- jinja_value.c ---- */
void jx_free(jx *x);
void *jx_alloc(jx *x, size_t n, size_t size); /* zeroed; NULL: x has failed */
void jx_fail(jx *x, const char *fmt, ...) SN_PRINTF(2, 3);
bool jx_steps(jx *x, size_t n); /* counts n steps; false: x has failed, now or before */
bool jx_enter(jx *x);           /* one level deeper, with jx_leave; false: x has failed, and no level was taken */
void jx_leave(jx *x);
void jbuf_add(jx *x, jbuf *b, js s);
void jbuf_z(jx *x, jbuf *b, const char *z);         /* framing */
void jbuf_as(jx *x, jbuf *b, const char *z, js of); /* up to 16 bytes that stand for the character `of`: data as it is */
js jbuf_str(const jbuf *b);
js js_z(const char *z);
js js_cut(js s, size_t from, size_t to);
bool js_eq(js s, const char *z);
bool js_same(js a, js b);
size_t js_find(jx *x, js s, js what, size_t from); /* SIZE_MAX: not there */
size_t js_chars(js s);
size_t js_offset(js s, size_t i);         /* of character i; n behind the last */
size_t js_blank(const char *p, size_t n); /* bytes of the blank that p begins with, 0: none */
js js_strip(js s, bool left, bool right, const js *set);
jv jv_str(js s);
jv jv_z(const char *z);
jv jv_bool(bool b);
jv jv_int(int64_t i);
jv jv_undef(const char *name);
jv jv_list(jx *x, bool tuple);
void jlist_add(jx *x, jlist *l, jv v);
jv jv_dict(jx *x);
jv *jdict_find(jx *x, const jdict *d, jv k);
void jdict_set(jx *x, jdict *d, jv k, jv v);
bool jv_true(jv v);
bool jv_same(jx *x, jv a, jv b);
int jv_order(jx *x, jv a, jv b); /* <0, 0, >0; fails for what has no order */
bool jv_in(jx *x, jv v, jv where);
jlist *jv_items(jx *x, jv v); /* what iterating gives; fails for others */
js jv_text(jx *x, jv v);      /* Python's str() */
void jv_repr(jx *x, jbuf *b, jv v);

/* ---- jinja_json.c ---- */
typedef struct {
    int64_t indent; /* < 0: one line */
    js item, key;   /* separators */
    bool ascii, sort;
} jjson;
void jv_json(jx *x, jbuf *b, jv v, const jjson *how, size_t level);

/* ---- jinja_lex.c, jinja_parse.c: into the memory of x ---- */
jt *jx_lex(jx *x, js program);
jnode *jx_parse(jx *x, js program);

/* ---- jinja_eval.c ---- */
jv jx_eval(jx *x, const jnode *e);
void jx_run(jx *x, const jnode *list);
jv jx_call(jx *x, jv f, const jlist *args, const jdict *named);
jv jx_attr(jx *x, jv v, js name, bool item_first);
jv jx_binary(jx *x, jo op, jv a, jv b);

/* ---- jinja_filter.c, jinja_method.c ---- */
jv jx_filter(jx *x, js name, jv v, const jlist *args, const jdict *named);
bool jx_test(jx *x, js name, jv v, const jlist *args);
bool jx_has_method(jv v, js name);
bool jx_has_function(const jx *x, js name);
jv jx_method(jx *x, const jmethod *m, const jlist *args, const jdict *named);
/* Argument i, or the one called name; undefined where there is neither. */
jv jx_arg(jx *x, const jlist *args, const jdict *named, size_t i, const char *name);

#endif
