/* json_schema.c: JSON schema (draft 2020-12, what of it a grammar can hold) as GBNF. Each part that may stand in several places is a rule
 * of its own, so that the grammar grows no faster than the schema. */
#include "json_schema.h"
#include "vocab_internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64
#define NAME_MAX_BYTES 512 /* of a property, where others may stand beside it */
#define EXACT_MAX 9007199254740992.0

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
    "year ::= \"000\" [1-9] | \"00\" [1-9] [0-9] | \"0\" [1-9] [0-9]{2} | [1-9] [0-9]{3}\n"
    "fours ::= \"0\" [48] | [2468] [048] | [13579] [26]\n"
    "leap-year ::= [0-9]{2} fours | fours \"00\"\n"
    "month-day ::= (\"0\" [13578] | \"1\" [02]) \"-\" (\"0\" [1-9] | [12] [0-9] | \"3\" [01]) | (\"0\" [469] | \"11\") \"-\" (\"0\" [1-9] | [12] [0-9] | \"30\") | \"02-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8])\n"
    "date ::= year \"-\" month-day | leap-year \"-02-29\"\n"
    "time ::= ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,6})? (\"Z\" | [-+] ([01] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9])\n"
    "uuid ::= hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} \"-\" hex{12}\n";
/* clang-format on */

sn_status schema_put(schema_writer *w, schema_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *s = NULL;
    const int n = vasprintf(&s, format, args);
    va_end(args);
    if (n < 0) return sn_fail(w->err, SN_ENOMEM, "out of memory");
    sn_status st = t->n + (size_t)n > SCHEMA_OUT_MAX ? sn_fail(w->err, SN_ELIMIT, "the schema is too large") : SN_OK;
    if (st == SN_OK) st = sn_grow((void **)&t->p, &t->cap, t->n + (size_t)n + 1, 1, w->err);
    if (st == SN_OK) memcpy(t->p + t->n, s, (size_t)n + 1);
    if (st == SN_OK) t->n += (size_t)n;
    free(s);
    return st;
}

sn_status schema_refuse(schema_writer *w, const char *key, const char *why)
{
    return sn_fail(w->err, SN_EUSAGE, "\"%.60s\": %s", key, why);
}

sn_status schema_count(schema_writer *w, const cJSON *s, const char *key, int otherwise, int *out)
{
    const cJSON *v = schema_get(s, key);
    *out = otherwise;
    if (v == NULL) return SN_OK;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= SCHEMA_COUNT_MAX) || v->valuedouble != floor(v->valuedouble))
        return schema_refuse(w, key, "want a whole number from 0 to 10000");
    *out = (int)v->valuedouble;
    return SN_OK;
}

/* A JSON value as a GBNF literal of its text. */
static sn_status put_json(schema_writer *w, schema_text *t, const cJSON *v)
{
    char *json = cJSON_PrintUnformatted(v);
    if (json == NULL) return sn_fail(w->err, SN_ENOMEM, "out of memory");
    sn_status st = schema_put(w, t, "\"");
    for (const char *c = json; *c && st == SN_OK; c++) {
        const bool quoted = *c == '"' || *c == '\\';
        st = (unsigned char)*c == 0x7F ? schema_put(w, t, "\\x7F") : schema_put(w, t, quoted ? "\\%c" : "%c", *c);
    }
    free(json);
    return st == SN_OK ? schema_put(w, t, "\"") : st;
}

static sn_status put_name(schema_writer *w, schema_text *t, const char *name)
{
    cJSON *text = cJSON_CreateStringReference(name);
    sn_status st = text ? put_json(w, t, text) : sn_fail(w->err, SN_ENOMEM, "out of memory");
    cJSON_Delete(text);
    return st;
}

static sn_status put_schema(schema_writer *w, schema_text *t, const cJSON *s);

/* "part-N ::= LITERAL SCHEMA" among the rules. name: of a member; NULL: the schema alone. s NULL: any value. */
static sn_status add_rule(schema_writer *w, const char *name, const cJSON *s, size_t *rule)
{
    schema_text one = {0};
    *rule = w->n_rules++;
    sn_status st = schema_put(w, &one, "part-%zu ::= ", *rule);
    if (st == SN_OK && name) st = put_name(w, &one, name);
    if (st == SN_OK && name) st = schema_put(w, &one, " \":\" \" \"? ");
    if (st == SN_OK) st = s ? put_schema(w, &one, s) : schema_put(w, &one, "value");
    if (st == SN_OK) st = schema_put(w, &w->rules, "%s\n", one.p);
    sn_free(one.p);
    return st;
}

/* ---- strings ---- */

static sn_status put_string(schema_writer *w, schema_text *t, const cJSON *s)
{
    const cJSON *format = schema_get(s, "format"), *pattern = schema_get(s, "pattern");
    int low = 0, high = -1;
    sn_status st = schema_count(w, s, "minLength", 0, &low);
    if (st == SN_OK) st = schema_count(w, s, "maxLength", -1, &high);
    if (st != SN_OK) return st;
    if (high >= 0 && high < low) return schema_refuse(w, "maxLength", "less than minLength");
    const bool bounded = low > 0 || high >= 0;
    if (pattern && (bounded || format)) return schema_refuse(w, "pattern", "not together with minLength, maxLength or format");
    if (pattern)
        return cJSON_IsString(pattern) ? schema_put_pattern(w, t, pattern->valuestring) : schema_refuse(w, "pattern", "want a string");
    if (format == NULL) {
        if (high >= 0) return schema_put(w, t, "\"\\\"\" char{%d,%d} \"\\\"\"", low, high);
        return low ? schema_put(w, t, "\"\\\"\" char{%d,} \"\\\"\"", low) : schema_put(w, t, "string");
    }
    const char *f = cJSON_IsString(format) ? format->valuestring : "";
    if (bounded) return schema_refuse(w, "format", "not together with minLength or maxLength");
    if (strcmp(f, "date-time") == 0) return schema_put(w, t, "\"\\\"\" date \"T\" time \"\\\"\"");
    if (strcmp(f, "date") != 0 && strcmp(f, "time") != 0 && strcmp(f, "uuid") != 0)
        return schema_refuse(w, "format", "only date, time, date-time and uuid are supported");
    return schema_put(w, t, "\"\\\"\" %s \"\\\"\"", f);
}

/* ---- arrays ---- */

/* Those that stand at the front, each with its own schema; *n: how many may be there. */
static sn_status put_front(schema_writer *w, schema_text *t, const cJSON *front, int low, int *high, int *n, int *open)
{
    sn_status st = SN_OK;
    *n = *open = 0;
    for (const cJSON *p = front ? front->child : NULL; p && st == SN_OK && (*high < 0 || *n < *high); p = p->next) {
        size_t rule;
        if (cJSON_IsFalse(p)) { /* nothing may stand there */
            *high = *n;
            break;
        }
        if (*n >= low) {
            st = schema_put(w, t, " (");
            ++*open;
        }
        if (st == SN_OK && *n > 0) st = schema_put(w, t, " \",\" \" \"?");
        if (st == SN_OK) st = add_rule(w, NULL, p, &rule);
        if (st == SN_OK) st = schema_put(w, t, " part-%zu", rule);
        if (++*n > DEPTH_MAX / 2) return schema_refuse(w, "prefixItems", "more than 32 of them are not supported");
    }
    return st;
}

static sn_status put_array(schema_writer *w, schema_text *t, const cJSON *s)
{
    const cJSON *front = schema_get(s, "prefixItems"), *items = schema_get(s, "items");
    int low = 0, high = -1, n = 0, open = 0;
    size_t rule = 0;
    sn_status st = schema_count(w, s, "minItems", 0, &low);
    if (st == SN_OK) st = schema_count(w, s, "maxItems", -1, &high);
    if (st != SN_OK) return st;
    if (high >= 0 && high < low) return schema_refuse(w, "maxItems", "less than minItems");
    if (front && (!cJSON_IsArray(front) || front->child == NULL)) return schema_refuse(w, "prefixItems", "want a list that is not empty");
    if (cJSON_IsArray(items)) return schema_refuse(w, "items", "want a schema; for a list of them there is prefixItems");
    st = schema_put(w, t, "\"[\"");
    if (st == SN_OK) st = put_front(w, t, front, low, &high, &n, &open);
    if (cJSON_IsFalse(items) && (high < 0 || high > n)) high = n;
    if (st == SN_OK && high >= 0 && high < low) st = schema_refuse(w, "minItems", "more than there may be");
    if (st == SN_OK && (high < 0 || high > n)) {
        const int least = low > n ? low - n : 0; /* of those behind the front */
        st = add_rule(w, NULL, items, &rule);
        if (st == SN_OK && n > 0) st = schema_put(w, t, " (\",\" \" \"? part-%zu){%d,", rule, least);
        if (st == SN_OK && n == 0) st = schema_put(w, t, " (part-%zu (\",\" \" \"? part-%zu){%d,", rule, rule, least > 0 ? least - 1 : 0);
        if (st == SN_OK && high >= 0) st = schema_put(w, t, "%d", n > 0 ? high - n : high - 1);
        if (st == SN_OK) st = schema_put(w, t, n > 0 ? "}" : least > 0 ? "})" : "})?");
    }
    for (; open > 0 && st == SN_OK; open--) st = schema_put(w, t, ")?");
    return st == SN_OK ? schema_put(w, t, " \"]\"") : st;
}

/* ---- objects ---- */

static bool is_required(const cJSON *required, const char *name)
{
    for (const cJSON *r = required ? required->child : NULL; r; r = r->next)
        if (cJSON_IsString(r) && strcmp(r->valuestring, name) == 0) return true;
    return false;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Rules for the rest of a string, without escapes, that is none of names[n], sorted, which all begin alike up to byte `at`. */
static sn_status add_other_name(schema_writer *w, const char *const *names, size_t n, size_t at, size_t *rule)
{
    schema_text one = {0}, outside = {0};
    *rule = w->n_rules++;
    sn_status st = schema_put(w, &one, "part-%zu ::= ", *rule);
    if (st == SN_OK) st = schema_put(w, &outside, "[^\\\"\\\\\\x00-\\x1F");
    const bool ends = n > 0 && names[0][at] == '\0';
    size_t i = ends, end;
    for (; i < n && st == SN_OK; i = end) {
        const size_t len = txt_utf8_len(names[i] + at, strlen(names[i] + at));
        for (end = i + 1; end < n && strncmp(names[end] + at, names[i] + at, len) == 0;) end++;
        const unsigned char c = (unsigned char)names[i][at];
        size_t next;
        if (c < 0x20 || c == '"' || c == '\\') continue; /* only escaped, which these names are not */
        st = schema_put(w, &outside, c < 0x80 ? "\\x%02X" : "%.*s", c < 0x80 ? (int)c : (int)len, names[i] + at);
        if (st == SN_OK) st = add_other_name(w, names + i, end - i, at + len, &next);
        if (st == SN_OK && c < 0x80) st = schema_put(w, &one, "\"\\x%02X\" part-%zu | ", c, next);
        if (st == SN_OK && c >= 0x80) st = schema_put(w, &one, "\"%.*s\" part-%zu | ", (int)len, names[i] + at, next);
    }
    if (st == SN_OK) st = schema_put(w, &w->rules, "%s%s] plain*%s\n", one.p, outside.p, ends ? "" : " | \"\"");
    sn_free(one.p);
    sn_free(outside.p);
    return st;
}

/* The rule of a member that is none of the properties. */
static sn_status add_other(schema_writer *w, const cJSON *properties, const cJSON *others, size_t *rule)
{
    const size_t n = (size_t)cJSON_GetArraySize(properties);
    const char **names = sn_alloc(n + 1, sizeof *names);
    size_t name = 0, value = 0, k = 0;
    if (names == NULL) return sn_fail(w->err, SN_ENOMEM, "out of memory");
    for (const cJSON *p = properties ? properties->child : NULL; p; p = p->next) names[k++] = p->string;
    sn_status st = SN_OK;
    for (size_t i = 0; i < n && st == SN_OK; i++)
        if (strlen(names[i]) > NAME_MAX_BYTES) st = schema_refuse(w, "additionalProperties", "not beside names of more than 512 bytes");
    if (n > 0) qsort(names, n, sizeof *names, by_bytes);
    if (st == SN_OK && n > 0) st = add_other_name(w, names, n, 0, &name);
    if (st == SN_OK) st = add_rule(w, NULL, cJSON_IsTrue(others) ? NULL : others, &value);
    *rule = w->n_rules++;
    if (st == SN_OK && n == 0) st = schema_put(w, &w->rules, "part-%zu ::= string \":\" \" \"? part-%zu\n", *rule, value);
    if (st == SN_OK && n > 0)
        st = schema_put(w, &w->rules, "part-%zu ::= \"\\\"\" part-%zu \"\\\":\" \" \"? part-%zu\n", *rule, name, value);
    sn_free(names);
    return st;
}

/* The rule of what follows a member: the properties from p on, in their order, and others. *any is false where there are none. */
static sn_status add_tails(schema_writer *w, const cJSON *properties, const cJSON *required, const char *other, size_t *members,
                           size_t *tails)
{
    const size_t n = (size_t)cJSON_GetArraySize(properties);
    sn_status st = SN_OK;
    size_t i = 0;
    for (const cJSON *p = properties ? properties->child : NULL; p && st == SN_OK; p = p->next, i++) {
        members[i] = SIZE_MAX; /* never there */
        if (cJSON_IsFalse(p) && is_required(required, p->string)) return schema_refuse(w, "required", "names what no value is allowed for");
        if (!cJSON_IsFalse(p)) st = add_rule(w, p->string, p, &members[i]);
        tails[i] = w->n_rules++;
    }
    tails[n] = w->n_rules++;
    i = 0;
    for (const cJSON *p = properties ? properties->child : NULL; p && st == SN_OK; p = p->next, i++) {
        if (members[i] == SIZE_MAX)
            st = schema_put(w, &w->rules, "part-%zu ::= part-%zu\n", tails[i], tails[i + 1]);
        else
            st = schema_put(w, &w->rules, "part-%zu ::= (\",\" \" \"? part-%zu)%s part-%zu\n", tails[i], members[i],
                            is_required(required, p->string) ? "" : "?", tails[i + 1]);
    }
    if (st == SN_OK && *other) return schema_put(w, &w->rules, "part-%zu ::= (\",\" \" \"? %s)*\n", tails[n], other);
    return st == SN_OK ? schema_put(w, &w->rules, "part-%zu ::= \"\"\n", tails[n]) : st;
}

/* "{", what comes first, which has no comma before it, and what follows that, "}". */
static sn_status put_members(schema_writer *w, schema_text *t, const cJSON *properties, const cJSON *required, const char *other)
{
    const size_t n = (size_t)cJSON_GetArraySize(properties);
    size_t *members = sn_alloc(n + 1, sizeof *members), *tails = sn_alloc(n + 1, sizeof *tails), i = 0;
    sn_status st = members && tails ? SN_OK : sn_fail(w->err, SN_ENOMEM, "out of memory");
    if (st == SN_OK) st = add_tails(w, properties, required, other, members, tails);
    if (st == SN_OK) st = schema_put(w, t, "\"{\" (");
    bool needed = false;
    for (const cJSON *p = properties ? properties->child : NULL; p && st == SN_OK && !needed; p = p->next, i++) {
        needed = is_required(required, p->string);
        if (members[i] != SIZE_MAX) st = schema_put(w, t, "part-%zu part-%zu%s", members[i], tails[i + 1], needed ? "" : " | ");
    }
    if (st == SN_OK && !needed) st = schema_put(w, t, *other ? "%s part-%zu | \"\"" : "\"\"", other, tails[n]);
    sn_free(members);
    sn_free(tails);
    return st == SN_OK ? schema_put(w, t, ") \"}\"") : st;
}

static sn_status put_object(schema_writer *w, schema_text *t, const cJSON *s)
{
    const cJSON *properties = schema_get(s, "properties"), *required = schema_get(s, "required"),
                *others = schema_get(s, "additionalProperties");
    char other[32] = "";
    size_t rule = 0;
    if (properties && !cJSON_IsObject(properties)) return schema_refuse(w, "properties", "want an object");
    if (required && !cJSON_IsArray(required)) return schema_refuse(w, "required", "want a list of names");
    if (others && !cJSON_IsObject(others) && !cJSON_IsBool(others)) return schema_refuse(w, "additionalProperties", "want a schema");
    for (const cJSON *r = required ? required->child : NULL; r; r = r->next)
        if (!cJSON_IsString(r) || !schema_get(properties, r->valuestring))
            return schema_refuse(w, "required", "names what is not among the properties");
    if (!properties && !cJSON_IsObject(others)) return schema_put(w, t, cJSON_IsFalse(others) ? "\"{}\"" : "object");
    if (others && !cJSON_IsFalse(others)) { /* others may be left out: nothing says that they must come */
        sn_status st = add_other(w, properties, others, &rule);
        if (st != SN_OK) return st;
        snprintf(other, sizeof other, "part-%zu", rule);
    }
    return put_members(w, t, properties, required, other);
}

/* ---- what chooses ---- */

/* The names of the types, and the keywords that tell something of values of it alone. */
static const struct {
    const char *name;
    const char *keys[6];
    sn_status (*put)(schema_writer *, schema_text *, const cJSON *);
} types[] = {
    {"string", {"minLength", "maxLength", "format", "pattern"}, put_string},
    {"array", {"items", "prefixItems", "minItems", "maxItems"}, put_array},
    {"object", {"properties", "required", "additionalProperties"}, put_object},
    {"integer", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}, schema_put_integer},
    {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}, schema_put_number},
    {"boolean", {NULL}, NULL},
    {"null", {NULL}, NULL},
};
enum { N_TYPES = sizeof types / sizeof *types };

static bool in_list(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n && list[i]; i++)
        if (strcmp(name, list[i]) == 0) return true;
    return false;
}

static bool is_note(const schema_writer *w, const cJSON *s, const char *key)
{
    static const char *const notes[] = {"title", "description", "default",    "examples", "$schema",   "$comment",
                                        "$defs", "definitions", "deprecated", "readOnly", "writeOnly", NULL};
    return in_list(key, notes, SIZE_MAX) || (s == w->root && strcmp(key, "$id") == 0); /* another $id: another place for "#" */
}

/* The type that the keywords of s are about where it names none; N_TYPES: any. */
static size_t type_meant(const cJSON *s)
{
    for (size_t i = 0; i < N_TYPES; i++)
        for (size_t k = 0; k < 6 && types[i].keys[k]; k++)
            if (schema_get(s, types[i].keys[k])) return strcmp(types[i].name, "integer") == 0 ? i + 1 : i; /* of any number */
    return N_TYPES;
}

/* Every keyword of s, beside the one that is dealt with, is known: a note, "type", or of some type. */
static sn_status check_keys(schema_writer *w, const cJSON *s, const char *but)
{
    for (const cJSON *k = s->child; k; k = k->next) {
        bool known = is_note(w, s, k->string) || strcmp(k->string, but) == 0 || strcmp(k->string, "type") == 0;
        for (size_t i = 0; i < N_TYPES && !known && *but == '\0'; i++) known = in_list(k->string, types[i].keys, 6);
        if (known) continue;
        return *but == '\0' ? schema_refuse(w, k->string, "this keyword is not supported")
                            : sn_fail(w->err, SN_EUSAGE, "\"%.60s\": not together with \"%s\"", k->string, but);
    }
    return SN_OK;
}

static sn_status put_type(schema_writer *w, schema_text *t, const cJSON *s, const cJSON *type)
{
    for (size_t i = 0; i < N_TYPES && cJSON_IsString(type); i++) {
        if (strcmp(type->valuestring, types[i].name) != 0) continue;
        return types[i].put ? types[i].put(w, t, s) : schema_put(w, t, "%s", types[i].name);
    }
    return schema_refuse(w, "type", "names no type");
}

static sn_status put_types(schema_writer *w, schema_text *t, const cJSON *s)
{
    const cJSON *type = schema_get(s, "type");
    const size_t meant = type_meant(s);
    sn_status st = check_keys(w, s, "");
    if (st != SN_OK) return st;
    if (type && !cJSON_IsArray(type)) return put_type(w, t, s, type);
    if (!type) return meant == N_TYPES ? schema_put(w, t, "value") : types[meant].put(w, t, s);
    if (type->child == NULL) return schema_refuse(w, "type", "want a list that is not empty");
    st = schema_put(w, t, "(");
    for (const cJSON *v = type->child; v && st == SN_OK; v = v->next) {
        if (v != type->child) st = schema_put(w, t, " | ");
        if (st == SN_OK) st = put_type(w, t, s, v);
    }
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

static bool is_of_type(const cJSON *v, const cJSON *type)
{
    if (type == NULL) return true;
    if (cJSON_IsArray(type)) {
        for (const cJSON *one = type->child; one; one = one->next)
            if (is_of_type(v, one)) return true;
        return false;
    }
    const char *name = cJSON_IsString(type) ? type->valuestring : "";
    if (cJSON_IsNumber(v)) return strcmp(name, "number") == 0 || (strcmp(name, "integer") == 0 && v->valuedouble == floor(v->valuedouble));
    return strcmp(name, cJSON_IsString(v)   ? "string"
                        : cJSON_IsArray(v)  ? "array"
                        : cJSON_IsObject(v) ? "object"
                        : cJSON_IsNull(v)   ? "null"
                                            : "boolean") == 0;
}

/* Whether cJSON, which keeps numbers as doubles, writes the value as it was. */
static bool is_exact(const cJSON *v)
{
    if (cJSON_IsNumber(v) && !(fabs(v->valuedouble) < EXACT_MAX || v->valuedouble != floor(v->valuedouble))) return false;
    for (const cJSON *c = v->child; c; c = c->next)
        if (!is_exact(c)) return false;
    return true;
}

static sn_status put_values(schema_writer *w, schema_text *t, const cJSON *s, const char *key)
{
    const cJSON *list = schema_get(s, key), *type = schema_get(s, "type");
    const bool one = strcmp(key, "const") == 0;
    bool any = false;
    sn_status st = check_keys(w, s, key);
    if (st == SN_OK && !one && (!cJSON_IsArray(list) || list->child == NULL)) st = schema_refuse(w, key, "want a list that is not empty");
    if (st == SN_OK) st = schema_put(w, t, "(");
    for (const cJSON *v = one ? list : list->child; v && st == SN_OK; v = one ? NULL : v->next) {
        if (!is_exact(v)) return schema_refuse(w, key, "a number beyond 2^53");
        if (!is_of_type(v, type)) continue;
        if (any) st = schema_put(w, t, " | ");
        if (st == SN_OK) st = put_json(w, t, v);
        any = true;
    }
    if (st == SN_OK && !any) st = schema_refuse(w, key, "has no value of the type");
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

/* The parts as alternatives. */
static sn_status put_parts(schema_writer *w, schema_text *t, const cJSON *s, const char *key)
{
    const cJSON *list = schema_get(s, key);
    sn_status st = check_keys(w, s, key);
    if (st != SN_OK) return st;
    if (schema_get(s, "type")) return sn_fail(w->err, SN_EUSAGE, "\"type\": not together with \"%s\"; give it to the parts", key);
    if (!cJSON_IsArray(list) || list->child == NULL) return schema_refuse(w, key, "want a list that is not empty");
    if (strcmp(key, "allOf") == 0 && list->child->next) return schema_refuse(w, key, "only one schema in it is supported");
    if (strcmp(key, "oneOf") == 0) {
        if (cJSON_GetArraySize(list) > 256) return schema_refuse(w, key, "more than 256 parts are not supported");
        for (const cJSON *a = list->child; a; a = a->next)
            for (const cJSON *b = a->next; b; b = b->next)
                if (!schema_disjoint(w, a, b, 0))
                    return schema_refuse(w, key, "a value may be of two of its parts; if that is right, say anyOf");
    }
    st = schema_put(w, t, "(");
    for (const cJSON *v = list->child; v && st == SN_OK; v = v->next) {
        if (v != list->child) st = schema_put(w, t, " | ");
        if (st == SN_OK) st = put_schema(w, t, v);
    }
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

/* By a rule of its own, so that it may hold itself. */
static sn_status put_ref(schema_writer *w, schema_text *t, const cJSON *s)
{
    const cJSON *to = schema_find(w, schema_get(s, "$ref"));
    sn_status st = check_keys(w, s, "$ref");
    if (st != SN_OK) return st;
    if (schema_get(s, "type")) return schema_refuse(w, "type", "not together with \"$ref\"");
    if (to == NULL) return schema_refuse(w, "$ref", "names no place of the schema itself");
    size_t i = 0;
    while (i < w->n_refs && w->refs[i] != to) i++;
    if (i == SCHEMA_REFS_MAX) return schema_refuse(w, "$ref", "too many of them");
    if (i == w->n_refs) w->refs[w->n_refs++] = to;
    return schema_put(w, t, "ref-%zu", i);
}

static sn_status put_schema(schema_writer *w, schema_text *t, const cJSON *s)
{
    static const char *const parts[] = {"anyOf", "oneOf", "allOf"}, *const values[] = {"enum", "const"};
    if (cJSON_IsTrue(s)) return schema_put(w, t, "value");
    if (cJSON_IsFalse(s)) return sn_fail(w->err, SN_EUSAGE, "false: a schema that no value is of");
    if (!cJSON_IsObject(s)) return sn_fail(w->err, SN_EUSAGE, "a schema must be a JSON object");
    if (++w->depth > DEPTH_MAX) return sn_fail(w->err, SN_ELIMIT, "the schema is nested too deeply");
    sn_status st = SN_OK;
    bool done = schema_get(s, "$ref") != NULL;
    if (done) st = put_ref(w, t, s);
    for (size_t i = 0; i < 3 && !done; i++)
        if ((done = schema_get(s, parts[i]) != NULL)) st = put_parts(w, t, s, parts[i]);
    for (size_t i = 0; i < 2 && !done; i++)
        if ((done = schema_get(s, values[i]) != NULL)) st = put_values(w, t, s, values[i]);
    if (!done) st = put_types(w, t, s);
    w->depth--;
    return st;
}

static sn_status put_all(schema_writer *w, schema_text *t)
{
    sn_status st = schema_put(w, t, "root ::= ");
    if (st == SN_OK) st = put_schema(w, t, w->root);
    for (size_t i = 0; st == SN_OK && i < w->n_refs; i++) {
        st = schema_put(w, t, "\nref-%zu ::= ", i);
        if (st == SN_OK) st = put_schema(w, t, w->refs[i]);
    }
    if (st == SN_OK) st = schema_put(w, t, "\n%s", w->rules.p ? w->rules.p : "");
    return st == SN_OK ? schema_put(w, t, "plain ::= [^\"\\\\\\x00-\\x1F]\n%s", base) : st;
}

sn_status txt_grammar_from_schema(const char *json, size_t n, char **gbnf, sn_err *err)
{
    cJSON *root = NULL;
    schema_text t = {0};
    txt_grammar *g = NULL;
    sn_status st = schema_read(json, n, &root, err);
    schema_writer *w = st == SN_OK ? sn_calloc(1, sizeof *w) : NULL;
    if (st == SN_OK && w == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    if (w) w->root = root, w->err = err;
    if (st == SN_OK) st = put_all(w, &t);
    const sn_status opened = st == SN_OK ? txt_grammar_open(&g, t.p, t.n, err) : SN_OK;
    if (opened != SN_OK) st = opened;
    if (opened == SN_EFORMAT)
        st = sn_fail(err, SN_EUSAGE, "\"$ref\": a value of the schema would never end, or the schema refers to nothing but itself");
    txt_grammar_close(g);
    if (st == SN_OK && (*gbnf = strdup(t.p)) == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    sn_free(t.p);
    if (w) sn_free(w->rules.p);
    sn_free(w);
    cJSON_Delete(root);
    return st;
}
