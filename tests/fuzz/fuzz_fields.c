/* Lists of fields: what is taken is a schema and a grammar, whose shortest text is an object. */
#include "../../text/text.h"
#include "fuzz.h"

#include <cjson/cJSON.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *fields = strndup((const char *)data, n), *schema = NULL, *gbnf = NULL;
    sn_err err = {0};
    if (fields == NULL) exit(1);
    sn_status st = txt_schema_from_fields(fields, &schema, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (schema != NULL));
    if (st == SN_OK) {
        st = txt_grammar_from_schema(schema, strlen(schema), &gbnf, &err);
        fuzz_said(st, &err);
        FUZZ_MUST(st == SN_OK || st == SN_ELIMIT);
    }
    if (st == SN_OK) {
        char *text = fuzz_shortest_text(gbnf, strlen(gbnf));
        cJSON *json = text ? cJSON_ParseWithOpts(text, NULL, true) : NULL;
        FUZZ_MUST(text == NULL || cJSON_IsObject(json));
        cJSON_Delete(json);
        free(text);
    }
    free(gbnf);
    free(schema);
    free(fields);
    return 0;
}
