/* json.h: JSON files, read with cJSON within limits. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "error.h"

#include <cjson/cJSON.h>

/* Parses n bytes, named `name` in messages. Refuses what would take much more memory than a real file: cJSON needs some
 * 100 bytes a value. Free with cJSON_Delete. */
sn_status sn_json_parse(cJSON **out, const void *text, size_t n, const char *name, sn_err *err);
/* The same of a file; it must be there. */
sn_status sn_json_open(cJSON **out, const char *path, sn_err *err);
/* The same of DIR/NAME; *out is NULL where there is no such file. */
sn_status sn_json_open_in(cJSON **out, const char *dir, const char *name, sn_err *err);

/* Member `key` of an object; NULL where o is no object, has none, or it is null. */
const cJSON *sn_json_get(const cJSON *o, const char *key);
/* o where it is an object, else NULL: the items of a list have no names that could be read. */
const cJSON *sn_json_object(const cJSON *o);
/* The string that a value is; NULL where it is none. */
const char *sn_json_str(const cJSON *v);

#endif
