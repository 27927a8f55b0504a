/* page_read.h: the reader's inside, for its tests. */
#ifndef FUSION_PAGE_READ_H
#define FUSION_PAGE_READ_H

#include "page.h"
#include "page_written.h"

/* Tokens of a description: an end to repetition. The trained pair takes what its context leaves behind the picture, in seconds; a larger
 * model writes whole words with a token, and slowly. */
#define FUS_PAGE_MOST ((size_t)2048)
#define FUS_PAGE_MOST_ASKED ((size_t)600)
/* Beginnings that the trained pair keeps at once (page_search.h): 4 read a tenth of what 1 misreads, 8 no more than 4. */
#define FUS_PAGE_WIDTH ((size_t)4)
/* Log probability of a token, on average: a page that is read less surely is looked at a second time, moved by half a cell. */
#define FUS_PAGE_SURE (-0.1)
#define FUS_PAGE_SHIFT_PX ((size_t)8)

typedef struct {
    bool (*fn)(void *user, size_t n_tokens); /* NULL: none */
    void *user;
} fus_page_progress;
/* SN_ECANCELLED where p wants no more. */
sn_status fus_page_progressed(const fus_page_progress *p, size_t n_tokens, sn_err *err);

/* The description as tokens, <eos> included and `most` at most; none where there is nothing on the page. *cut: it would have gone on
 * otherwise but for its length. r: a pair trained for pages; width: of the search, 1 is greedy. */
sn_status fus_reader_tokens(senses_reader *r, const senses_image *img, size_t width, size_t most, const fus_page_progress *p, txt_ids *out,
                            bool *cut, sn_err *err);
/* senses_reader_read with a limit of its own. */
sn_status fus_reader_page(senses_reader *r, const senses_image *img, size_t most, const fus_page_progress *p, senses_page *out,
                          sn_err *err);

/* One description as text, being written by a model that chooses among tokens. Free `page` with fus_page_build_free. */
typedef struct {
    const txt_vocab *vocab;
    fus_written written;
    fus_page_build page;
    bool ended; /* the model itself chose the end */
    sn_status st;
    sn_err *err;
} fus_page_writer;
/* A fus_choose_fn, user being a fus_page_writer: the best token whose bytes may stand here. */
txt_id fus_page_choose(void *user, const float *logits, size_t n);
/* Brings the description to its end, wherever it stands. */
sn_status fus_page_close(fus_page_writer *w);

#endif
