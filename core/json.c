/* json.c: JSON files, read with cJSON within limits. */
#include "json.h"

#include "file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_BYTES ((size_t)256 << 20)
#define MAX_VALUES ((size_t)4 << 20) /* the largest vocabularies in use have half of that, with all their merges */

/* No fewer than the text has values, keys counted too. */
static size_t values_at_most(const unsigned char *p, size_t n)
{
    size_t found = 1;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && p[i] == '\\')
            i++;
        else if (p[i] == '"')
            quoted = !quoted;
        else if (!quoted && (p[i] == ',' || p[i] == '[' || p[i] == '{'))
            found++;
    }
    return found;
}

sn_status sn_json_parse(cJSON **out, const void *text, size_t n, const char *name, sn_err *err)
{
    *out = NULL;
    if (n > MAX_BYTES || values_at_most(text, n) > MAX_VALUES) return sn_fail(err, SN_ELIMIT, "%s: is too large", name);
    *out = cJSON_ParseWithLength(text, n);
    return *out == NULL ? sn_fail(err, SN_EFORMAT, "%s: is not JSON", name) : SN_OK;
}

sn_status sn_json_open(cJSON **out, const char *path, sn_err *err)
{
    sn_map m;
    *out = NULL;
    sn_status st = sn_map_open(&m, path, err);
    if (st != SN_OK) return st;
    st = sn_json_parse(out, m.data, m.size, path, err);
    sn_map_close(&m);
    return st;
}

sn_status sn_json_open_in(cJSON **out, const char *dir, const char *name, sn_err *err)
{
    char *path = NULL;
    *out = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    const sn_status st = access(path, F_OK) == 0 ? sn_json_open(out, path, err) : SN_OK;
    free(path);
    return st;
}

const cJSON *sn_json_get(const cJSON *o, const char *key)
{
    const cJSON *v = cJSON_IsObject(o) ? cJSON_GetObjectItemCaseSensitive(o, key) : NULL;
    return cJSON_IsNull(v) ? NULL : v;
}

const cJSON *sn_json_object(const cJSON *o)
{
    return cJSON_IsObject(o) ? o : NULL;
}

const char *sn_json_str(const cJSON *v)
{
    return cJSON_IsString(v) ? v->valuestring : NULL;
}
