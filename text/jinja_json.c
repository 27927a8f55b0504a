/* jinja_json.c: the tojson filter, as Python's json.dumps writes. What a message wrote stays data inside. */
#include "jinja.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned code_point(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    return n == 2   ? (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu)
           : n == 3 ? (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu)
           : n == 4 ? (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu)
                    : u[0];
}

static void json_str(jx *x, jbuf *b, js s, bool ascii)
{
    static const char named[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    jbuf_z(x, b, "\"");
    for (size_t i = 0, k; i < s.n && jx_steps(x, 1); i += k) {
        unsigned char c = (unsigned char)s.p[i];
        char esc[16] = {0};
        k = js_offset(js_cut(s, i, s.n), 1);
        for (size_t q = 0; q < sizeof named - 1; q++)
            if (c == (unsigned char)named[q]) snprintf(esc, sizeof esc, "\\%c", letters[q]);
        unsigned u = code_point(s.p + i, k);
        if (esc[0] == 0 && (c < 0x20 || (ascii && k > 1 && u < 0x10000)))
            snprintf(esc, sizeof esc, "\\u%04x", u);
        else if (esc[0] == 0 && ascii && k > 1)
            snprintf(esc, sizeof esc, "\\u%04x\\u%04x", 0xd800 + ((u - 0x10000) >> 10), 0xdc00 + ((u - 0x10000) & 0x3ff));
        if (esc[0])
            jbuf_as(x, b, esc, js_cut(s, i, i + k));
        else
            jbuf_add(x, b, js_cut(s, i, i + k));
    }
    jbuf_z(x, b, "\"");
}

static void line(jx *x, jbuf *b, const jjson *how, size_t level)
{
    if (how->indent < 0) return;
    jbuf_z(x, b, "\n");
    for (size_t i = 0; i < level * (size_t)how->indent && jx_steps(x, 1); i++) jbuf_z(x, b, " ");
}

/* The entries of d ordered by key. */
static jdict sorted(jx *x, const jdict *d)
{
    jdict out = {0};
    for (size_t i = 0; i < d->n && x->status == SN_OK; i++) {
        jdict_set(x, &out, d->k[i], d->v[i]);
        for (size_t k = out.n; k-- > 1 && jx_steps(x, 1) && jv_order(x, out.k[k], out.k[k - 1]) < 0;) {
            jv key = out.k[k], value = out.v[k];
            out.k[k] = out.k[k - 1];
            out.v[k] = out.v[k - 1];
            out.k[k - 1] = key;
            out.v[k - 1] = value;
        }
    }
    return out;
}

static void json_inside(jx *x, jbuf *b, jv v, const jjson *how, size_t level)
{
    bool dict = v.kind == JV_DICT;
    jdict d = dict ? how->sort ? sorted(x, v.d) : *v.d : (jdict){0};
    size_t n = dict ? d.n : v.l->n;
    jbuf_z(x, b, dict ? "{" : "[");
    for (size_t i = 0; i < n && x->status == SN_OK; i++) {
        if (i > 0) jbuf_add(x, b, how->item);
        line(x, b, how, level + 1);
        if (dict) {
            jv key = d.k[i];
            if (key.kind == JV_STR) {
                json_str(x, b, key.s, how->ascii);
            } else {
                jbuf_z(x, b, "\"");
                jv_json(x, b, key, how, level);
                jbuf_z(x, b, "\"");
            }
            jbuf_add(x, b, how->key);
        }
        jv_json(x, b, dict ? d.v[i] : v.l->v[i], how, level + 1);
    }
    if (n > 0) line(x, b, how, level);
    jbuf_z(x, b, dict ? "}" : "]");
}

void jv_json(jx *x, jbuf *b, jv v, const jjson *how, size_t level)
{
    if (!jx_enter(x)) return;
    switch (v.kind) {
    case JV_NONE: jbuf_z(x, b, "null"); break;
    case JV_BOOL: jbuf_z(x, b, v.b ? "true" : "false"); break;
    case JV_INT:
    case JV_FLOAT: jv_repr(x, b, v); break;
    case JV_STR: json_str(x, b, v.s, how->ascii); break;
    case JV_LIST:
    case JV_DICT: json_inside(x, b, v, how, level); break;
    default: jx_fail(x, "tojson of an undefined value"); break;
    }
    jx_leave(x);
}
