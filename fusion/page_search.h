/* page_search.h: the most probable description of a page: beam search over the page reader's tokens, held to the grammar. */
#ifndef FUSION_PAGE_SEARCH_H
#define FUSION_PAGE_SEARCH_H

#include "page_read.h"

/* Writes what m makes of rows [n, n_embd], the page as its encoder sees it: the description whose tokens' probabilities have the greatest
 * product among those that the search meets. At each length it keeps the `width` best beginnings (1 to FUS_PAGE_WIDTH; 1 is greedy), and it
 * ends when none of them is more probable than the best whole description. out: its tokens, <eos> included, `most` at most, of which
 * there must be room in m's context behind the rows and <bos>. *cut: with more room it might have become another. */
sn_status fus_page_search(txt_model *m, const float *rows, size_t n, size_t width, size_t most, const fus_page_progress *p, txt_ids *out,
                          bool *cut, sn_err *err);

#endif
