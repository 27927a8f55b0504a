/* page.h: a page in the making, from the tokens of page_grammar.h, and the words by which elements are called. */
#ifndef FUSION_PAGE_H
#define FUSION_PAGE_H

#include "page_grammar.h"
#include "prompt.h"

typedef struct { /* of a senses_page_tag */
    fus_page_token token;
    const char *word; /* "button" */
} fus_page_name;
#define FUS_PAGE_N_NAME (SENSES_PAGE_TABLE_END + 1)
extern const fus_page_name fus_page_names[FUS_PAGE_N_NAME];

static inline bool fus_page_has_text(senses_page_tag tag)
{
    return tag < SENSES_PAGE_NAV;
}

typedef struct { /* zeros: empty */
    struct {
        senses_page_tag tag;
        size_t text; /* where it begins in `text` */
        bool wave;
    } * items;
    size_t n, cap;
    fus_text text; /* of all items, each ended by a NUL but for the last */
} fus_page_build;

void fus_page_build_free(fus_page_build *b);
/* A tag, or a byte of text (from 32 on, those of UTF-8 included): spaces at the ends of a text and double ones are left away. The tokens
 * must come in the order of the grammar. */
sn_status fus_page_put(fus_page_build *b, unsigned token, sn_err *err);
/* The page, to be freed by senses_page_free; b is empty then. */
sn_status fus_page_finish(fus_page_build *b, senses_page *out, sn_err *err);

#endif
