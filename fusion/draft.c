#include "draft.h"

#include <string.h>

#define LONGEST ((size_t)3) /* tokens that must have come before */

void fus_draft_free(fus_draft *d)
{
    txt_ids_free(&d->text);
}

void fus_draft_clear(fus_draft *d)
{
    d->text.n = d->n_guess = d->n_ahead = 0;
}

sn_status fus_draft_read(fus_draft *d, const txt_id *ids, size_t n, sn_err *err)
{
    sn_status st = SN_OK;
    for (size_t i = 0; i < n && st == SN_OK; i++) st = txt_ids_push(&d->text, ids[i], err);
    return st;
}

/* The place behind the latest occurrence of the last n tokens that something follows; 0: there is none. */
static size_t behind(const txt_ids *text, size_t n)
{
    for (size_t at = text->n; at-- > n;)
        if (memcmp(text->ids + at - n, text->ids + text->n - n, n * sizeof(txt_id)) == 0) return at;
    return 0;
}

size_t fus_draft_guess(fus_draft *d, txt_id first, size_t most)
{
    size_t at = 0, n = 0;
    d->ids[0] = first;
    if (most > d->reach) most = d->reach;
    for (size_t len = LONGEST; len > 0 && at == 0; len--)
        if (len < d->text.n) at = behind(&d->text, len);
    while (at > 0 && n < most && at + n < d->text.n) {
        d->ids[1 + n] = d->text.ids[at + n];
        n++;
    }
    return n;
}

void fus_draft_settle(fus_draft *d)
{
    const size_t n_true = d->n_guess - d->n_ahead;
    if (d->n_guess > 0) d->reach = d->n_ahead > 0 ? n_true : 2 * n_true;
    if (d->reach > FUS_DRAFT_MAX) d->reach = FUS_DRAFT_MAX;
    if (d->reach == 0) d->reach = 1;
    d->n_guess = d->n_ahead = 0;
}
