/* config.c: the numbers of config.json. */
#include "config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

const cJSON *sn_config_get(const sn_config *c, const char *key)
{
    const cJSON *v = sn_json_get(c->part, key);
    return v != NULL ? v : sn_json_get(c->root, key);
}

sn_status sn_config_fail(sn_config *c, sn_status code, const char *fmt, ...)
{
    char text[200];
    va_list args;
    if (c->status != SN_OK) return c->status;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return c->status = sn_fail(c->err, code, "%s: %s", c->path, text);
}

size_t sn_config_count(sn_config *c, const char *key, size_t absent, size_t max)
{
    const cJSON *v = sn_config_get(c, key);
    if (v == NULL && absent > 0) return absent;
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 1 && v->valuedouble <= (double)max) || v->valuedouble != floor(v->valuedouble)) {
        sn_config_fail(c, SN_EFORMAT, "%s is not a whole number from 1 to %zu", key, max);
        return 1;
    }
    return (size_t)v->valuedouble;
}

double sn_config_real_of(sn_config *c, const cJSON *v, const char *key, double absent)
{
    if (v == NULL) return absent;
    if (cJSON_IsNumber(v) && isfinite(v->valuedouble) && fabs(v->valuedouble) <= 1e30) return v->valuedouble;
    sn_config_fail(c, SN_EFORMAT, "%s is not a number that can be stored", key);
    return absent;
}

double sn_config_real(sn_config *c, const char *key, double absent)
{
    return sn_config_real_of(c, sn_config_get(c, key), key, absent);
}
