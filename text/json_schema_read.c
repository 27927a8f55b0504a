/* json_schema_read.c: a JSON schema as it is read: what of it would be taken otherwise than it is meant is refused; places within it, and
 * which of its parts exclude one another. */
#include "json_schema.h"
#include "vocab_internal.h"

#include <stdlib.h>
#include <string.h>

#define DISJOINT_DEPTH 16

/* ---- reading ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

/* cJSON keeps a member that stands there twice, where others keep the last alone. */
static sn_status refuse_twice(const cJSON *v, sn_err *err)
{
    const size_t n = (size_t)cJSON_GetArraySize(v);
    sn_status st = SN_OK;
    if (cJSON_IsObject(v) && n > 1) {
        const cJSON **list = sn_alloc(n, sizeof *list);
        size_t k = 0;
        if (list == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
        for (const cJSON *c = v->child; c; c = c->next) list[k++] = c;
        qsort(list, n, sizeof *list, by_name);
        for (size_t i = 1; i < n && st == SN_OK; i++)
            if (strcmp(list[i - 1]->string, list[i]->string) == 0)
                st = sn_fail(err, SN_EFORMAT, "\"%.60s\" stands there twice in one object", list[i]->string);
        sn_free(list);
    }
    for (const cJSON *c = v->child; c && st == SN_OK; c = c->next) st = refuse_twice(c, err);
    return st;
}

sn_status schema_read(const char *json, size_t n, cJSON **out, sn_err *err)
{
    const char *end = NULL;
    *out = NULL;
    if (n > SCHEMA_OUT_MAX) return sn_fail(err, SN_ELIMIT, "a schema of more than 1 MiB");
    for (size_t i = 0, len; i < n; i += len) {
        if ((len = txt_utf8_len(json + i, n - i)) == 0 || json[i] == '\0')
            return sn_fail(err, SN_EFORMAT, "not JSON: bytes that are not UTF-8");
        if (json[i] == '\\' && n - i > 1) len = 1 + txt_utf8_len(json + i + 1, n - i - 1); /* both of an escape */
        if (json[i] == '\\' && n - i >= 6 && memcmp(json + i, "\\u0000", 6) == 0)
            return sn_fail(err, SN_EUSAGE, "\\u0000 in a schema is not supported");
    }
    *out = cJSON_ParseWithLengthOpts(json, n, &end, false);
    while (*out && end < json + n && strchr(" \t\r\n", *end)) end++;
    if (*out == NULL || end != json + n) return sn_fail(err, SN_EFORMAT, "not JSON");
    return refuse_twice(*out, err);
}

/* ---- places ---- */

/* One step of a pointer: the bytes from p to the next '/' or the end, unescaped, are name[n]. */
static bool read_step(const char **p, char *name, size_t room)
{
    size_t n = 0;
    for (; **p && **p != '/'; ++*p, n++) {
        unsigned value = (unsigned char)**p;
        if (n + 1 >= room) return false;
        if (value == '%') { /* of a URI */
            char hex[3] = {(*p)[1], (*p)[1] ? (*p)[2] : '\0', '\0'}, *stop;
            value = (unsigned)strtoul(hex, &stop, 16);
            if (stop != hex + 2 || value == 0 || !strchr("0123456789abcdefABCDEF", hex[0])) return false;
            *p += 2;
        } else if (value == '~') {
            if ((*p)[1] != '0' && (*p)[1] != '1') return false;
            value = (*p)[1] == '0' ? '~' : '/';
            ++*p;
        }
        name[n] = (char)value;
    }
    name[n] = '\0';
    return true;
}

const cJSON *schema_find(const schema_writer *w, const cJSON *ref)
{
    char name[256];
    if (!cJSON_IsString(ref) || ref->valuestring[0] != '#') return NULL;
    const cJSON *at = w->root;
    for (const char *p = ref->valuestring + 1; at && *p;) {
        if (*p++ != '/' || !read_step(&p, name, sizeof name)) return NULL;
        if (cJSON_IsArray(at)) {
            char *stop;
            const unsigned long i = strtoul(name, &stop, 10);
            if (name[0] < '0' || name[0] > '9' || *stop || i > 1000000) return NULL;
            at = cJSON_GetArrayItem(at, (int)i);
        } else {
            at = cJSON_IsObject(at) ? schema_get(at, name) : NULL;
        }
    }
    return at;
}

/* ---- what excludes one another ---- */

enum { STRING = 1, NUMBER = 2, BOOLEAN = 4, NOTHING = 8, ARRAY = 16, OBJECT = 32, ANY = 63 };

static unsigned type_of(const cJSON *v)
{
    return cJSON_IsString(v)   ? STRING
           : cJSON_IsNumber(v) ? NUMBER
           : cJSON_IsBool(v)   ? BOOLEAN
           : cJSON_IsNull(v)   ? NOTHING
           : cJSON_IsArray(v)  ? ARRAY
                               : OBJECT;
}

/* The types that values of "type" may have. */
static unsigned types_named(const cJSON *type)
{
    static const char *const names[] = {"string", "number", "boolean", "null", "array", "object"};
    unsigned all = 0;
    if (cJSON_IsArray(type))
        for (const cJSON *one = type->child; one; one = one->next) all |= cJSON_IsString(one) ? types_named(one) : ANY;
    for (size_t i = 0; i < 6 && cJSON_IsString(type); i++)
        if (strcmp(type->valuestring, names[i]) == 0) all = 1u << i;
    if (cJSON_IsString(type) && strcmp(type->valuestring, "integer") == 0) all = NUMBER;
    return all ? all : ANY;
}

static unsigned types_of(const cJSON *s)
{
    const cJSON *type = schema_get(s, "type"), *list = schema_get(s, "enum"), *only = schema_get(s, "const");
    unsigned all = type ? types_named(type) : ANY, of_list = 0;
    if (only) all &= type_of(only);
    for (const cJSON *v = list ? list->child : NULL; v; v = v->next) of_list |= type_of(v);
    return list ? all & of_list : all;
}

/* Whether the list of values of one has nothing of the other's. */
static bool values_differ(const cJSON *a, const cJSON *b)
{
    const cJSON *const only_a = schema_get(a, "const"), *const only_b = schema_get(b, "const");
    const cJSON *first_a = only_a ? only_a : schema_get(a, "enum"), *first_b = only_b ? only_b : schema_get(b, "enum");
    if (first_a == NULL || first_b == NULL) return false;
    for (const cJSON *x = only_a ? only_a : first_a->child; x; x = only_a ? NULL : x->next)
        for (const cJSON *y = only_b ? only_b : first_b->child; y; y = only_b ? NULL : y->next)
            if (cJSON_Compare(x, y, true)) return false;
    return true;
}

static bool requires(const cJSON *s, const char *name)
{
    const cJSON *required = schema_get(s, "required");
    for (const cJSON *r = cJSON_IsArray(required) ? required->child : NULL; r; r = r->next)
        if (cJSON_IsString(r) && strcmp(r->valuestring, name) == 0) return true;
    return false;
}

/* Both require a member whose values exclude one another. */
static bool members_differ(const schema_writer *w, const cJSON *a, const cJSON *b, int depth)
{
    const cJSON *mine = schema_get(a, "properties"), *yours = schema_get(b, "properties");
    for (const cJSON *p = cJSON_IsObject(mine) ? mine->child : NULL; p; p = p->next) {
        const cJSON *q = cJSON_IsObject(yours) ? schema_get(yours, p->string) : NULL;
        if (q && requires(a, p->string) && requires(b, p->string) && schema_disjoint(w, p, q, depth + 1)) return true;
    }
    return false;
}

bool schema_disjoint(const schema_writer *w, const cJSON *a, const cJSON *b, int depth)
{
    if (depth > DISJOINT_DEPTH || !cJSON_IsObject(a) || !cJSON_IsObject(b)) return false;
    if (schema_get(a, "$ref")) return schema_disjoint(w, schema_find(w, schema_get(a, "$ref")), b, depth + 1);
    static const char *const lists[] = {"anyOf", "oneOf"};
    for (size_t i = 0; i < 2; i++) {
        const cJSON *parts = schema_get(a, lists[i]);
        if (!cJSON_IsArray(parts)) continue;
        for (const cJSON *p = parts->child; p; p = p->next)
            if (!schema_disjoint(w, p, b, depth + 1)) return false;
        return true;
    }
    if (schema_get(b, "$ref") || schema_get(b, "anyOf") || schema_get(b, "oneOf")) return schema_disjoint(w, b, a, depth + 1);
    const unsigned both = types_of(a) & types_of(b);
    return both == 0 || values_differ(a, b) || (both == OBJECT && members_differ(w, a, b, depth));
}
