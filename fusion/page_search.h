/* page_search.h: the most probable description of a page: beam search over the page reader's tokens, held to the grammar. */
#ifndef FUSION_PAGE_SEARCH_H
#define FUSION_PAGE_SEARCH_H

#include "page_read.h"

#define FUS_PAGE_VIEWS ((size_t)2)

typedef struct {       /* one look at the page */
    const float *rows; /* [n, n_embd]: as the encoder saw it */
    size_t n;
} fus_page_view;

/* Writes what m makes of 1 to FUS_PAGE_VIEWS views of one page: the description whose tokens' probabilities (of several views: their
 * geometric mean) have the greatest product among those that the search meets. At each length it keeps the `width` best beginnings (1 to
 * FUS_PAGE_WIDTH; 1 is greedy), and it ends when none of them is more probable than the best whole description. out: its tokens, <eos>
 * included, `most` at most, of which there must be room in m's context behind the rows and <bos>. *log_p: the logarithm of the product.
 * *cut: with more room it might have become another. */
sn_status fus_page_search(txt_model *m, const fus_page_view *views, size_t n_view, size_t width, size_t most, const fus_page_progress *p,
                          txt_ids *out, double *log_p, bool *cut, sn_err *err);

#endif
