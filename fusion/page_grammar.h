/* page_grammar.h: the page reader's 128 tokens and what may follow what: tools/train/language.py, allowed(), as an automaton whose every
 * step is O(1).
 *
 *   page  := "<none>" | block+                    then <eos>
 *   block := leaf | "<nav>" ("<a>" text)+ "</nav>" | "<row>" (("<col>" | "<card>") leaf+)+ "</row>"
 *          | "<table>" ("<tr>" ("<td>" text?)+)+ "</table>"
 *   leaf  := a tag of LEAVES, and its text; the fields, <button> and <img> may have none; <p> has text or <wave> */
#ifndef FUSION_PAGE_GRAMMAR_H
#define FUSION_PAGE_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tags in the order of language.TAGS; from FUS_PAGE_SPACE on a token is the printable ASCII character of its number. */
/* clang-format off */
typedef enum {
    FUS_PAGE_PAD, FUS_PAGE_BOS, FUS_PAGE_EOS, FUS_PAGE_NONE,
    FUS_PAGE_H1, FUS_PAGE_H2, FUS_PAGE_P, FUS_PAGE_BUTTON, FUS_PAGE_A, FUS_PAGE_INPUT, FUS_PAGE_AREA, FUS_PAGE_SELECT, FUS_PAGE_CHECK,
    FUS_PAGE_RADIO, FUS_PAGE_IMG, FUS_PAGE_LI, FUS_PAGE_FOOTER, FUS_PAGE_WAVE,
    FUS_PAGE_NAV, FUS_PAGE_NAV_END, FUS_PAGE_ROW, FUS_PAGE_COL, FUS_PAGE_CARD, FUS_PAGE_ROW_END,
    FUS_PAGE_TABLE, FUS_PAGE_TR, FUS_PAGE_TD, FUS_PAGE_TABLE_END,
    FUS_PAGE_N_TAG, /* tags in use */
    FUS_PAGE_SPACE = 32, FUS_PAGE_LAST_CHAR = 126, FUS_PAGE_N_TOKEN = 128
} fus_page_token;
/* clang-format on */
/* Their spellings, "<h1>" and so on: [FUS_PAGE_N_TAG]. */
extern const char *const fus_page_tags[FUS_PAGE_N_TAG];

typedef enum {
    FUS_AT_START,  /* nothing yet */
    FUS_AT_OPENED, /* behind <nav>, <row>, <table> */
    FUS_AT_PART,   /* behind <col>, <card>, <tr> */
    FUS_AT_LEAF,   /* behind a leaf's tag: no text yet */
    FUS_AT_WORD,   /* behind a character */
    FUS_AT_SPACE,  /* behind a space in a text */
    FUS_AT_WAVE,
    FUS_AT_CLOSED, /* behind </nav>, </row>, </table> */
    FUS_AT_NONE,   /* behind <none> */
    FUS_AT_END     /* behind <eos> */
} fus_page_at;
typedef struct {    /* zeros: the start, behind <bos> */
    uint8_t at;     /* fus_page_at */
    uint8_t inside; /* FUS_PAGE_NAV, _ROW, _TABLE, or 0 */
    uint8_t leaf;   /* the running leaf's tag, _TD included, or 0 */
} fus_page_state;

/* Whether the token may come next. */
bool fus_page_takes(fus_page_state s, unsigned token);
/* No text is wanting: what has begun may end here. */
bool fus_page_done(fus_page_state s);
/* The state behind it. Only for a token that may come. */
fus_page_state fus_page_accept(fus_page_state s, unsigned token);
/* The fewest tokens that end the description, <eos> included; 0 at the end. */
size_t fus_page_cost(fus_page_state s);
/* What may come next when n_left more tokens are all there is (n_left >= fus_page_cost(s)): a description that is written by this always
 * comes to its end in time. */
void fus_page_allowed(fus_page_state s, size_t n_left, bool allowed[FUS_PAGE_N_TOKEN]);
/* The first token of a shortest ending, of which characters that nobody wrote are no part but where a text must have one. */
unsigned fus_page_shortest(fus_page_state s);

#endif
