/* JSON schemas: what is taken makes a grammar that can be read, and whose shortest text is JSON. */
#include "../../text/text.h"
#include "fuzz.h"

#include <cjson/cJSON.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *gbnf = NULL;
    sn_err err = {0};
    const sn_status st = txt_grammar_from_schema((const char *)data, n, &gbnf, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (gbnf != NULL));
    if (st != SN_OK) return 0;
    char *text = fuzz_shortest_text(gbnf, strlen(gbnf));
    if (text != NULL && strlen(text) < 512) { /* cJSON goes no deeper than 1000 */
        cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
        FUZZ_MUST(json != NULL);
        cJSON_Delete(json);
    }
    free(text);
    free(gbnf);
    return 0;
}
