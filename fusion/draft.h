/* draft.h: guesses of what follows, looked up in the text so far (prompt lookup decoding: Saxena 2023; Yang et al. 2023). A session computes
 * them together with the token that they follow, and takes as many as its sampler chooses itself: the text stays what it was. */
#ifndef FUSION_DRAFT_H
#define FUSION_DRAFT_H

#include "../text/text.h"

#define FUS_DRAFT_MAX ((size_t)(TXT_MAX_EXACT - 1)) /* guesses at once: so many rows get the logits that each would get alone */

typedef struct {
    txt_ids text;                  /* what was read and answered; where media were is no trace */
    txt_id ids[1 + FUS_DRAFT_MAX]; /* what is computed at once: a token, and the guesses behind it */
    size_t n_guess, n_ahead;       /* guesses of the last time; of them in the cache, and not chosen yet */
    size_t reach;                  /* guesses of the next time at most: grows where they come true */
    size_t n_proposed, n_accepted; /* ever */
} fus_draft;

void fus_draft_free(fus_draft *d);
void fus_draft_clear(fus_draft *d);
sn_status fus_draft_read(fus_draft *d, const txt_id *ids, size_t n, sn_err *err); /* the text goes on */
/* Fills d->ids with `first`, the last token of the text, and at most `most` guesses; returns how many guesses. */
size_t fus_draft_guess(fus_draft *d, txt_id first, size_t most);
void fus_draft_settle(fus_draft *d); /* no guess is ahead any more: learns how many of them came true */

#endif
