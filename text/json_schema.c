/* json_schema.c: JSON schema (draft 2020-12, what of it a grammar can hold) as GBNF; and lists of fields as JSON schema. */
#include "../core/mem.h"
#include "text.h"

#include <cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64
#define COUNT_MAX 10000
#define OUT_MAX ((size_t)1 << 20)
#define REFS_MAX 256

/* clang-format off */
static const char base[] =
    "char ::= [^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" ([0-9a-cefA-CEF] hex hex hex | [dD] ([0-7] hex hex | [89abAB] hex hex \"\\\\u\" [dD] [c-fC-F] hex hex)))\n"
    "hex ::= [0-9a-fA-F]\n"
    "string ::= \"\\\"\" char* \"\\\"\"\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,17})\n"
    "number ::= integer (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?\n"
    "boolean ::= \"true\" | \"false\"\n"
    "null ::= \"null\"\n"
    "array ::= \"[\" (value (\",\" \" \"? value)*)? \"]\"\n"
    "object ::= \"{\" (string \":\" \" \"? value (\",\" \" \"? string \":\" \" \"? value)*)? \"}\"\n"
    "value ::= string | number | boolean | null | array | object\n"
    "month-day ::= (\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" [01]) | (\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\") | \"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8])\n"
    "date ::= [0-9]{4} \"-\" month-day\n"
    "time ::= ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,6})? (\"Z\" | [-+] ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])\n"
    "uuid ::= hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} \"-\" hex{12}\n";
/* clang-format on */

typedef struct {
    char *p;
    size_t n, cap;
} text;

typedef struct {
    const cJSON *root;
    const cJSON *refs[REFS_MAX]; /* what a rule ref-N was made of; NULL-terminated by n_refs */
    size_t n_refs, depth;
    sn_err *err;
} writer;

static sn_status put(writer *w, text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *s = NULL;
    const int n = vasprintf(&s, format, args);
    va_end(args);
    if (n < 0) return sn_fail(w->err, SN_ENOMEM, "out of memory");
    sn_status st = t->n + (size_t)n > OUT_MAX ? sn_fail(w->err, SN_ELIMIT, "the schema is too large") : SN_OK;
    if (st == SN_OK) st = sn_grow((void **)&t->p, &t->cap, t->n + (size_t)n + 1, 1, w->err);
    if (st == SN_OK) memcpy(t->p + t->n, s, (size_t)n + 1);
    if (st == SN_OK) t->n += (size_t)n;
    free(s);
    return st;
}

static sn_status refuse(writer *w, const char *key, const char *why)
{
    return sn_fail(w->err, SN_EUSAGE, "\"%.60s\": %s", key, why);
}

/* A JSON value as a GBNF literal of its text. */
static sn_status put_json(writer *w, text *t, const cJSON *v)
{
    char *json = cJSON_PrintUnformatted(v);
    if (json == NULL) return sn_fail(w->err, SN_ENOMEM, "out of memory");
    sn_status st = put(w, t, "\"");
    for (const char *c = json; *c && st == SN_OK; c++) {
        const bool quoted = *c == '"' || *c == '\\';
        st = (unsigned char)*c == 0x7F ? put(w, t, "\\x7F") : put(w, t, quoted ? "\\%c" : "%c", *c);
    }
    free(json);
    return st == SN_OK ? put(w, t, "\"") : st;
}

/* A whole number of at least 0 under key, or `otherwise`. */
static sn_status count_of(writer *w, const cJSON *s, const char *key, int otherwise, int *out)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(s, key);
    *out = otherwise;
    if (v == NULL) return SN_OK;
    if (!cJSON_IsNumber(v) || v->valuedouble < 0 || v->valuedouble > COUNT_MAX || v->valuedouble != floor(v->valuedouble))
        return refuse(w, key, "want a whole number from 0 to 10000");
    *out = (int)v->valuedouble;
    return SN_OK;
}

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

/* Nothing in s but the keywords of the list and notes for people. */
static sn_status only(writer *w, const cJSON *s, const char *const *list)
{
    static const char *const notes[] = {"title", "description", "default",    "examples", "$schema",   "$id", "$comment",
                                        "$defs", "definitions", "deprecated", "readOnly", "writeOnly", NULL};
    for (const cJSON *k = s->child; k; k = k->next)
        if (!in_list(k->string, list) && !in_list(k->string, notes)) return refuse(w, k->string, "this keyword is not supported here");
    return SN_OK;
}

static sn_status put_schema(writer *w, text *t, const cJSON *s);

static sn_status put_string(writer *w, text *t, const cJSON *s)
{
    static const char *const known[] = {"type", "minLength", "maxLength", "format", NULL};
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(s, "format");
    int low = 0, high = -1;
    sn_status st = only(w, s, known);
    if (st == SN_OK) st = count_of(w, s, "minLength", 0, &low);
    if (st == SN_OK) st = count_of(w, s, "maxLength", -1, &high);
    if (st != SN_OK) return st;
    if (high >= 0 && high < low) return refuse(w, "maxLength", "less than minLength");
    if (format == NULL) {
        if (high >= 0) return put(w, t, "\"\\\"\" char{%d,%d} \"\\\"\"", low, high);
        return low ? put(w, t, "\"\\\"\" char{%d,} \"\\\"\"", low) : put(w, t, "string");
    }
    const char *f = cJSON_IsString(format) ? format->valuestring : "";
    if (low > 0 || high >= 0) return refuse(w, "format", "not together with minLength or maxLength");
    if (strcmp(f, "date-time") == 0) return put(w, t, "\"\\\"\" date \"T\" time \"\\\"\"");
    if (strcmp(f, "date") != 0 && strcmp(f, "time") != 0 && strcmp(f, "uuid") != 0)
        return refuse(w, "format", "only date, time, date-time and uuid are supported");
    return put(w, t, "\"\\\"\" %s \"\\\"\"", f);
}

static sn_status put_array(writer *w, text *t, const cJSON *s)
{
    static const char *const known[] = {"type", "items", "minItems", "maxItems", NULL};
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(s, "items");
    text item = {0};
    int low = 0, high = -1;
    sn_status st = only(w, s, known);
    if (st == SN_OK) st = count_of(w, s, "minItems", 0, &low);
    if (st == SN_OK) st = count_of(w, s, "maxItems", -1, &high);
    if (st == SN_OK && high >= 0 && high < low) st = refuse(w, "maxItems", "less than minItems");
    if (st == SN_OK) st = items ? put_schema(w, &item, items) : put(w, &item, "value");
    if (st == SN_OK && high == 0) {
        st = put(w, t, "\"[]\"");
    } else if (st == SN_OK) {
        st = put(w, t, "\"[\" (%s (\",\" \" \"? %s){%d,", item.p, item.p, low > 0 ? low - 1 : 0);
        if (st == SN_OK && high > 0) st = put(w, t, "%d", high - 1);
        if (st == SN_OK) st = put(w, t, "})%s \"]\"", low > 0 ? "" : "?");
    }
    sn_free(item.p);
    return st;
}

static bool is_required(const cJSON *required, const char *name)
{
    for (const cJSON *r = required ? required->child : NULL; r; r = r->next)
        if (cJSON_IsString(r) && strcmp(r->valuestring, name) == 0) return true;
    return false;
}

static sn_status put_member(writer *w, text *t, const cJSON *p)
{
    cJSON *name = cJSON_CreateStringReference(p->string);
    sn_status st = name ? put_json(w, t, name) : sn_fail(w->err, SN_ENOMEM, "out of memory");
    cJSON_Delete(name);
    if (st == SN_OK) st = put(w, t, " \":\" \" \"? ");
    return st == SN_OK ? put_schema(w, t, p) : st;
}

/* The properties from p on, in their order. `first`: none was written yet, so that no comma stands before the next one. What is
 * optional doubles the ways on only until the first one is there: behind that each has its own comma. */
static sn_status put_members(writer *w, text *t, const cJSON *p, const cJSON *required, bool first)
{
    sn_status st = SN_OK;
    size_t open = 0;
    for (; p && st == SN_OK; p = p->next) {
        const bool needed = is_required(required, p->string);
        if (!first) {
            st = put(w, t, needed ? " \",\" \" \"? " : " (\",\" \" \"? ");
            if (st == SN_OK) st = put_member(w, t, p);
            if (st == SN_OK && !needed) st = put(w, t, ")?");
        } else if (needed) {
            st = put_member(w, t, p);
            first = false;
        } else {
            st = put(w, t, "(");
            if (st == SN_OK) st = put_member(w, t, p);
            if (st == SN_OK) st = put_members(w, t, p->next, required, false);
            if (st == SN_OK) st = put(w, t, " | ");
            open++;
        }
    }
    for (; open > 0 && st == SN_OK; open--) st = put(w, t, ")");
    return st;
}

static sn_status put_object(writer *w, text *t, const cJSON *s)
{
    static const char *const known[] = {"type", "properties", "required", "additionalProperties", NULL};
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(s, "properties");
    const cJSON *required = cJSON_GetObjectItemCaseSensitive(s, "required");
    const cJSON *others = cJSON_GetObjectItemCaseSensitive(s, "additionalProperties");
    sn_status st = only(w, s, known);
    if (st != SN_OK) return st;
    if (properties && !cJSON_IsObject(properties)) return refuse(w, "properties", "want an object");
    if (required && !cJSON_IsArray(required)) return refuse(w, "required", "want a list of names");
    for (const cJSON *r = required ? required->child : NULL; r; r = r->next)
        if (!cJSON_IsString(r) || !cJSON_GetObjectItemCaseSensitive(properties, r->valuestring))
            return refuse(w, "required", "names what is not among the properties");
    if (properties && properties->child) { /* others may be left out: nothing says that they must come */
        st = put(w, t, "\"{\" (");
        if (st == SN_OK) st = put_members(w, t, properties->child, required, true);
        return st == SN_OK ? put(w, t, ") \"}\"") : st;
    }
    if (cJSON_IsFalse(others)) return put(w, t, "\"{}\"");
    if (!cJSON_IsObject(others)) return put(w, t, "object");
    text value = {0};
    st = put_schema(w, &value, others);
    if (st == SN_OK) st = put(w, t, "\"{\" (string \":\" \" \"? %s (\",\" \" \"? string \":\" \" \"? %s)*)? \"}\"", value.p, value.p);
    sn_free(value.p);
    return st;
}

/* A whole number from low to high, both given or not (NULL): told by its list where that is short. */
static sn_status put_integer(writer *w, text *t, const cJSON *s)
{
    static const char *const known[] = {"type", "minimum", "maximum", NULL};
    const cJSON *low = cJSON_GetObjectItemCaseSensitive(s, "minimum"), *high = cJSON_GetObjectItemCaseSensitive(s, "maximum");
    sn_status st = only(w, s, known);
    if (st != SN_OK || (!low && !high)) return st == SN_OK ? put(w, t, "integer") : st;
    if (!high && cJSON_IsNumber(low) && (low->valuedouble == 0 || low->valuedouble == 1))
        return put(w, t, low->valuedouble == 0 ? "(\"0\" | [1-9] [0-9]{0,17})" : "([1-9] [0-9]{0,17})");
    if (!cJSON_IsNumber(low) || !cJSON_IsNumber(high) || fabs(low->valuedouble) > 1e9 || fabs(high->valuedouble) > 1e9 ||
        high->valuedouble - low->valuedouble > 1000 || floor(high->valuedouble) < ceil(low->valuedouble))
        return refuse(w, low ? "minimum" : "maximum", "only a minimum of 0 or 1, or a range of at most 1000 numbers, is supported");
    st = put(w, t, "(");
    for (long i = (long)ceil(low->valuedouble), first = i; i <= (long)floor(high->valuedouble) && st == SN_OK; i++)
        st = put(w, t, i == first ? "\"%ld\"" : " | \"%ld\"", i);
    return st == SN_OK ? put(w, t, ")") : st;
}

static sn_status put_type(writer *w, text *t, const cJSON *s, const char *type)
{
    static const char *const plain[] = {"type", NULL};
    if (strcmp(type, "string") == 0) return put_string(w, t, s);
    if (strcmp(type, "array") == 0) return put_array(w, t, s);
    if (strcmp(type, "object") == 0) return put_object(w, t, s);
    if (strcmp(type, "integer") == 0) return put_integer(w, t, s);
    if (strcmp(type, "number") != 0 && strcmp(type, "boolean") != 0 && strcmp(type, "null") != 0) return refuse(w, "type", "names no type");
    sn_status st = only(w, s, plain);
    return st == SN_OK ? put(w, t, "%s", type) : st;
}

/* "#/$defs/name" or "#": by a rule of its own, so that it may hold itself. */
static sn_status put_ref(writer *w, text *t, const cJSON *ref)
{
    static const char *const places[] = {"#/$defs/", "#/definitions/"};
    const cJSON *to = cJSON_IsString(ref) && strcmp(ref->valuestring, "#") == 0 ? w->root : NULL;
    for (size_t i = 0; i < 2 && cJSON_IsString(ref); i++)
        if (strncmp(ref->valuestring, places[i], strlen(places[i])) == 0)
            to = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(w->root, i ? "definitions" : "$defs"),
                                                  ref->valuestring + strlen(places[i]));
    if (to == NULL) return refuse(w, "$ref", "only \"#\" and what stands in the schema's own $defs are supported");
    size_t i = 0;
    while (i < w->n_refs && w->refs[i] != to) i++;
    if (i == REFS_MAX) return refuse(w, "$ref", "too many of them");
    if (i == w->n_refs) w->refs[w->n_refs++] = to;
    return put(w, t, "ref-%zu", i);
}

/* The parts of a list as alternatives. type: each is the name of a type, for s. */
static sn_status put_choice(writer *w, text *t, const cJSON *list, const char *key, const cJSON *s)
{
    sn_status st = put(w, t, "(");
    if (!cJSON_IsArray(list) || list->child == NULL) return refuse(w, key, "want a list that is not empty");
    for (const cJSON *v = list->child; v && st == SN_OK; v = v->next) {
        if (v != list->child) st = put(w, t, " | ");
        if (st != SN_OK) break;
        if (strcmp(key, "enum") == 0)
            st = put_json(w, t, v);
        else if (strcmp(key, "type") == 0)
            st = cJSON_IsString(v) ? put_type(w, t, s, v->valuestring) : refuse(w, key, "names no type");
        else
            st = put_schema(w, t, v);
    }
    return st == SN_OK ? put(w, t, ")") : st;
}

static sn_status put_keyword(writer *w, text *t, const cJSON *s)
{
    static const char *const choices[] = {"enum", "anyOf", "allOf", "$ref", "const", NULL};
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(s, "type");
    for (size_t i = 0; choices[i]; i++) {
        const char *const known[] = {choices[i], i == 0 || i == 4 ? "type" : NULL, NULL};
        const cJSON *v = cJSON_GetObjectItemCaseSensitive(s, choices[i]);
        if (v == NULL) continue;
        sn_status st = only(w, s, known);
        if (st != SN_OK) return st;
        if (i == 3) return put_ref(w, t, v);
        if (i == 4) return put_json(w, t, v);
        if (i == 2 && cJSON_GetArraySize(v) != 1) return refuse(w, "allOf", "only one schema in it is supported");
        return put_choice(w, t, v, choices[i], s);
    }
    if (cJSON_IsString(type)) return put_type(w, t, s, type->valuestring);
    if (type) return put_choice(w, t, type, "type", s);
    if (cJSON_GetObjectItemCaseSensitive(s, "properties")) return put_object(w, t, s);
    static const char *const none[] = {NULL};
    sn_status st = only(w, s, none);
    return st == SN_OK ? put(w, t, "value") : st;
}

static sn_status put_schema(writer *w, text *t, const cJSON *s)
{
    if (cJSON_IsTrue(s)) return put(w, t, "value");
    if (!cJSON_IsObject(s)) return sn_fail(w->err, SN_EUSAGE, "a schema must be a JSON object");
    if (++w->depth > DEPTH_MAX) return sn_fail(w->err, SN_ELIMIT, "the schema is nested too deeply");
    sn_status st = put_keyword(w, t, s);
    w->depth--;
    return st;
}

sn_status txt_grammar_from_schema(const char *json, size_t n, char **gbnf, sn_err *err)
{
    cJSON *root = n <= OUT_MAX ? cJSON_ParseWithLength(json, n) : NULL;
    if (root == NULL) return sn_fail(err, SN_EFORMAT, "not JSON");
    writer *w = sn_calloc(1, sizeof *w);
    text t = {0};
    sn_status st = w ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory");
    if (w) w->root = root, w->err = err;
    if (st == SN_OK) st = put(w, &t, "root ::= ");
    if (st == SN_OK) st = put_schema(w, &t, root);
    for (size_t i = 0; st == SN_OK && i < w->n_refs; i++) {
        st = put(w, &t, "\nref-%zu ::= ", i);
        if (st == SN_OK) st = put_schema(w, &t, w->refs[i]);
    }
    if (st == SN_OK) st = put(w, &t, "\n%s", base);
    if (st == SN_OK && (*gbnf = strdup(t.p)) == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    sn_free(t.p);
    sn_free(w);
    cJSON_Delete(root);
    return st;
}

/* ---- fields ---- */

/* The schema of "int", "number", "bool", "string", "" (a string) or "a|b|c". */
static cJSON *value_schema(const char *type)
{
    static const char *const names[][2] = {
        {"", "string"}, {"string", "string"}, {"int", "integer"}, {"number", "number"}, {"bool", "boolean"}};
    cJSON *s = cJSON_CreateObject();
    for (size_t i = 0; s && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(type, names[i][0]) == 0) return cJSON_AddStringToObject(s, "type", names[i][1]), s;
    cJSON *list = strchr(type, '|') ? cJSON_AddArrayToObject(s, "enum") : NULL;
    for (const char *p = type; list && p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        char *word = strndup(p, strcspn(p, "|"));
        if (word) cJSON_AddItemToArray(list, cJSON_CreateString(word));
        free(word);
    }
    if (list) return s;
    cJSON_Delete(s);
    return NULL;
}

static char *trimmed(char *s)
{
    s += strspn(s, " \t\r\n");
    for (size_t n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--) s[n - 1] = '\0';
    return s;
}

/* One "name", "name:type", "name[]", "name[]:type", with "?" behind the name when it may be left out. */
static sn_status add_field(char *field, cJSON *properties, cJSON *required, sn_err *err)
{
    char *colon = strchr(field, ':'), *type = "";
    if (colon) {
        *colon = '\0';
        type = trimmed(colon + 1);
    }
    char *name = trimmed(field);
    size_t n = strlen(name);
    const bool optional = n > 0 && name[n - 1] == '?';
    if (optional) name[--n] = '\0';
    const bool list = n > 1 && strcmp(name + n - 2, "[]") == 0;
    if (list) name[n -= 2] = '\0';
    if (n == 0 || strpbrk(name, "[]?|")) return sn_fail(err, SN_EUSAGE, "a field without a name, or with a strange one: '%.60s'", name);
    if (cJSON_GetObjectItemCaseSensitive(properties, name)) return sn_fail(err, SN_EUSAGE, "field '%.60s' stands there twice", name);
    cJSON *s = value_schema(colon && *type == '\0' ? "?" : type);
    if (s == NULL) return sn_fail(err, SN_EUSAGE, "field '%.60s': '%.60s' is not string, int, number, bool or a|b", name, type);
    if (list) {
        cJSON *array = cJSON_CreateObject();
        cJSON_AddStringToObject(array, "type", "array");
        cJSON_AddItemToObject(array, "items", s);
        s = array;
    }
    cJSON_AddItemToObject(properties, name, s);
    if (!optional) cJSON_AddItemToArray(required, cJSON_CreateString(name));
    return SN_OK;
}

sn_status txt_schema_from_fields(const char *fields, char **json, sn_err *err)
{
    char *copy = strdup(fields), *rest = copy;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "type", "object");
    cJSON *properties = cJSON_AddObjectToObject(root, "properties"), *required = cJSON_AddArrayToObject(root, "required");
    cJSON_AddFalseToObject(root, "additionalProperties");
    sn_status st = copy && properties && required ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory");
    while (st == SN_OK && rest) st = add_field(strsep(&rest, ","), properties, required, err);
    if (st == SN_OK && (*json = cJSON_PrintUnformatted(root)) == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    cJSON_Delete(root);
    free(copy);
    return st;
}
