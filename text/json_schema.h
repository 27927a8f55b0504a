/* json_schema.h: what the writers of a JSON schema's grammar share. Private to text/. */
#ifndef TEXT_JSON_SCHEMA_H
#define TEXT_JSON_SCHEMA_H

#include "../core/mem.h"
#include "text.h"

#include <cJSON.h>

#define SCHEMA_OUT_MAX ((size_t)1 << 20)
#define SCHEMA_COUNT_MAX 10000
#define SCHEMA_REFS_MAX 256

typedef struct { /* GBNF in the making; NUL-terminated once something was put */
    char *p;
    size_t n, cap;
} schema_text;

typedef struct {
    const cJSON *root;
    const cJSON *refs[SCHEMA_REFS_MAX]; /* what rule ref-N is made of */
    size_t n_refs, depth, n_rules;
    schema_text rules; /* of parts that are used more than once */
    sn_err *err;
} schema_writer;

sn_status schema_put(schema_writer *w, schema_text *t, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* SN_EUSAGE: a keyword that cannot be held, and why. */
sn_status schema_refuse(schema_writer *w, const char *key, const char *why);
static inline const cJSON *schema_get(const cJSON *s, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(s, key);
}
/* A whole number from 0 to SCHEMA_COUNT_MAX under key, or `otherwise`. */
sn_status schema_count(schema_writer *w, const cJSON *s, const char *key, int otherwise, int *out);

/* Whole numbers within minimum, maximum, exclusiveMinimum and exclusiveMaximum of s; and any numbers. */
sn_status schema_put_integer(schema_writer *w, schema_text *t, const cJSON *s);
sn_status schema_put_number(schema_writer *w, schema_text *t, const cJSON *s);
/* A string that a regular expression (of ECMA-262, as JSON schemas have them) is found in. */
sn_status schema_put_pattern(schema_writer *w, schema_text *t, const char *pattern);
/* Whether no value can be of both schemas, as far as their types, their lists of values and what they require tell. */
bool schema_disjoint(const schema_writer *w, const cJSON *a, const cJSON *b, int depth);
/* The schema as JSON. Refused: what is none, a name twice in one object, U+0000. */
sn_status schema_read(const char *json, size_t n, cJSON **out, sn_err *err);
/* What "$ref" names: "#" and a JSON pointer (RFC 6901) into the schema itself; NULL: nothing. */
const cJSON *schema_find(const schema_writer *w, const cJSON *ref);

#endif
