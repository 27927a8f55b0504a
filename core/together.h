/* together.h: threads that each have a little to compute with the same weights, a token of an answer, and bring it at about the same
 * time: one of them computes all of it, so that the weights are read once. */
#ifndef CORE_TOGETHER_H
#define CORE_TOGETHER_H

#include "compute.h"

typedef struct sn_together sn_together;
/* Computes items[n], 1 <= n <= most, as the callers of sn_together_do gave them, in its turn. */
typedef void (*sn_together_fn)(void *user, void *const *items, size_t n);

/* c (borrowed): whose turn is taken for a run, after all that want it otherwise; what is brought until then comes along.
 * most: items that are taken at once, <= SN_MAX_CALLERS. */
sn_status sn_together_open(sn_together **out, sn_compute *c, size_t most, sn_together_fn run, void *user, sn_err *err);
void sn_together_close(sn_together *t);
/* Between these two a thread brings one item after another, and the others wait for it a little: half as long as a run takes. */
void sn_together_join(sn_together *t);
void sn_together_leave(sn_together *t);
/* Returns when item is computed, by this thread or another that has joined. */
void sn_together_do(sn_together *t, void *item);

#endif
