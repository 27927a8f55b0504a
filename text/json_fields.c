/* json_fields.c: lists of fields as JSON schema. */
#include "text.h"
#include "vocab_internal.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

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
    for (size_t i = 0, n = strlen(fields), len; i < n; i += len)
        if ((len = txt_utf8_len(fields + i, n - i)) == 0) return sn_fail(err, SN_EUSAGE, "bytes that are not UTF-8");
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
