/* JSON, as configurations and headers are read: what is taken is written, and read again, as the same. */
#include "../../core/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    cJSON *json = NULL, *again = NULL;
    sn_err err = {0};
    sn_status st = sn_json_parse(&json, data, n, "file", &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (json != NULL));
    if (st != SN_OK) return 0;
    for (const cJSON *v = json->child; v; v = v->next) {
        if (cJSON_IsObject(json))
            FUZZ_MUST(sn_json_get(json, v->string) != NULL || cJSON_GetObjectItemCaseSensitive(json, v->string) != NULL);
        FUZZ_MUST((sn_json_str(v) != NULL) == cJSON_IsString(v));
    }
    char *text = cJSON_PrintUnformatted(json), *twice = NULL;
    FUZZ_MUST(text != NULL);
    st = sn_json_parse(&again, text, strlen(text), "again", &err);
    FUZZ_MUST(st == SN_OK);
    twice = cJSON_PrintUnformatted(again);
    FUZZ_MUST(twice != NULL && strcmp(text, twice) == 0);
    free(twice);
    free(text);
    cJSON_Delete(again);
    cJSON_Delete(json);
    return 0;
}
