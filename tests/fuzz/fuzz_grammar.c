/* GBNF: a grammar, a zero, and a text that is held against it. */
#include "../../text/text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *zero = n ? memchr(data, '\0', n) : NULL;
    const size_t n_gbnf = zero ? (size_t)(zero - data) : n;
    txt_grammar *g = NULL;
    txt_matcher *m = NULL;
    sn_err err = {0};
    sn_status st = txt_grammar_open(&g, (const char *)data, n_gbnf, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (g != NULL));
    if (st != SN_OK) return 0;
    st = txt_matcher_open(&m, g, NULL, &err);
    fuzz_said(st, &err);
    bool fits = true;
    for (size_t i = n_gbnf + 1; st == SN_OK && fits && i < n; i++) {
        st = txt_matcher_accept(m, (const char *)data + i, 1, &fits, &err);
        fuzz_said(st, &err);
    }
    txt_matcher_close(m);
    txt_grammar_close(g);
    char *text = fuzz_shortest_text((const char *)data, n_gbnf);
    free(text);
    return 0;
}
