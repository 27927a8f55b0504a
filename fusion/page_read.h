/* page_read.h: the reader's inside, for its tests. */
#ifndef FUSION_PAGE_READ_H
#define FUSION_PAGE_READ_H

#include "page.h"
#include "page_written.h"

#define FUS_PAGE_MOST ((size_t)600) /* tokens of a description: more than twice the longest trained, and an end to repetition */

typedef struct {
    bool (*fn)(void *user, size_t n_tokens); /* NULL: none */
    void *user;
} fus_page_progress;

/* The description as tokens, <eos> included and `most` at most; none where there is nothing on the page. r: a pair trained for pages. */
sn_status fus_reader_tokens(senses_reader *r, const senses_image *img, size_t most, const fus_page_progress *p, txt_ids *out, sn_err *err);

/* One description as text, being written by a model that chooses among tokens. Free `page` with fus_page_build_free. */
typedef struct {
    const txt_vocab *vocab;
    fus_written written;
    fus_page_build page;
    sn_status st;
    sn_err *err;
} fus_page_writer;
/* A fus_choose_fn, user being a fus_page_writer: the best token whose bytes may stand here. */
txt_id fus_page_choose(void *user, const float *logits, size_t n);
/* Brings the description to its end, wherever it stands. */
sn_status fus_page_close(fus_page_writer *w);

#endif
