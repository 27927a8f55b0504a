/* grammar_main.c: what a grammar takes, for tests/golden/make_grammar.py. Standard input: a line of JSON a grammar, {"gbnf": TEXT} or
 * {"schema": TEXT}, with "texts": [...] that are held against it and "samples": N texts of it wanted. Output: a line of JSON each:
 * {"error": MESSAGE}, or "fits": a digit a text, and "samples": [...]. */
#include "../text/grammar_match.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_BYTES 80 /* from there on the shortest way out */

static uint32_t seed = 1;

static unsigned dice(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static bool fits(automaton *a, const char *text, sn_err *err)
{
    uint32_t at = 0;
    sn_status st = automaton_start(a, &at, err);
    for (; *text && st == SN_OK; text++) st = automaton_step(a, at, (unsigned char)*text, &at, err);
    return st == SN_OK && automaton_may_end(a, at);
}

/* A text of the grammar by chance: sometimes the byte that is nearest to the end, sometimes any. */
static char *sample(automaton *a, sn_err *err)
{
    char *out = calloc(1, 1);
    size_t n = 0;
    uint32_t at = 0;
    sn_status st = automaton_start(a, &at, err);
    const unsigned hurry = 1 + dice(6);
    for (unsigned char b; out && st == SN_OK; out[n++] = (char)b, out[n] = '\0') {
        const bool stop = automaton_may_end(a, at) && (n > SAMPLE_BYTES || dice(4) == 0);
        const bool more = automaton_shortest(a, at, &b);
        if (stop || (!more && automaton_may_end(a, at) && dice(2))) break;
        unsigned char list[256];
        unsigned n_list = 0;
        for (unsigned c = 1; c < 256 && n <= SAMPLE_BYTES && st == SN_OK; c++) {
            uint32_t to = 0;
            st = automaton_step(a, at, (unsigned char)c, &to, err);
            if (to != STATE_DEAD) list[n_list++] = (unsigned char)c;
        }
        if (n_list == 0 && !more) break;
        if (n_list > 0 && (!more || dice(8) >= hurry)) b = list[dice(n_list)];
        if (st == SN_OK) st = automaton_step(a, at, b, &at, err);
        out = realloc(out, n + 2);
        if (out == NULL) exit(1);
    }
    if (st == SN_OK) return out;
    free(out);
    return NULL;
}

static void answer(const cJSON *in, cJSON *out)
{
    const cJSON *gbnf = cJSON_GetObjectItem(in, "gbnf"), *schema = cJSON_GetObjectItem(in, "schema"), *text;
    char *made = NULL;
    txt_grammar *g = NULL;
    automaton a = {0};
    sn_err err = {0};
    sn_status st = gbnf ? SN_OK : txt_grammar_from_schema(schema->valuestring, strlen(schema->valuestring), &made, &err);
    const char *source = gbnf ? gbnf->valuestring : made;
    if (st == SN_OK) st = txt_grammar_open(&g, source, strlen(source), &err);
    if (st == SN_OK) st = automaton_open(&a, g, &err);
    uint32_t start;
    if (st == SN_OK) st = automaton_start(&a, &start, &err);
    if (st != SN_OK) {
        cJSON_AddStringToObject(out, "error", err.msg);
    } else {
        cJSON *list = cJSON_AddArrayToObject(out, "fits"), *samples = cJSON_AddArrayToObject(out, "samples");
        cJSON_ArrayForEach(text, cJSON_GetObjectItem(in, "texts"))
            cJSON_AddItemToArray(list, cJSON_CreateBool(fits(&a, text->valuestring, &err)));
        const cJSON *n = cJSON_GetObjectItem(in, "samples");
        for (int i = 0; n && i < n->valueint; i++) {
            if (a.n_states > 8192) automaton_clear(&a);
            char *one = sample(&a, &err);
            if (one) cJSON_AddItemToArray(samples, cJSON_CreateString(one));
            free(one);
        }
    }
    automaton_close(&a);
    txt_grammar_close(g);
    free(made);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        cJSON *in = cJSON_Parse(line), *out = cJSON_CreateObject();
        if (in == NULL) return 1;
        answer(in, out);
        char *text = cJSON_PrintUnformatted(out);
        puts(text);
        fflush(stdout);
        free(text);
        cJSON_Delete(in);
        cJSON_Delete(out);
    }
    free(line);
    return 0;
}
