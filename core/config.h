/* config.h: config.json of a Hugging Face folder: numbers within limits, and one line that names the file and the key where one is not. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "json.h"

typedef struct {
    const char *path;         /* of config.json, for messages */
    const cJSON *root, *part; /* what `part`, an object inside, says goes in front; NULL: there is none */
    sn_status status;         /* the first problem of any getter below sticks */
    sn_err *err;
} sn_config;

const cJSON *sn_config_get(const sn_config *c, const char *key);
/* A whole number in [1, max]. absent 0: it must be there. */
size_t sn_config_count(sn_config *c, const char *key, size_t absent, size_t max);
/* A finite number. */
double sn_config_real(sn_config *c, const char *key, double absent);
/* The same of a value that was found already; NULL gives `absent`. */
double sn_config_real_of(sn_config *c, const cJSON *v, const char *key, double absent);
sn_status sn_config_fail(sn_config *c, sn_status code, const char *fmt, ...) SN_PRINTF(3, 4);

#endif
