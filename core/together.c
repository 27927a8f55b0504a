#include "together.h"
#include "mem.h"

#include <pthread.h>
#include <time.h>

#define PATIENCE_NS 20000000L /* who is slower is not waited for, however long a run takes */

typedef struct request {
    void *item;
    bool done;
    struct request *next;
} request;

struct sn_together {
    sn_compute *compute;
    size_t most;
    sn_together_fn run;
    void *user;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    size_t n_joined, n_waiting;
    request *first, **last; /* waiting, in the order they came */
    bool computing;
    long patience_ns; /* half of what the last run took: longer, and who is waited for might as well come alone */
};

sn_status sn_together_open(sn_together **out, sn_compute *c, size_t most, sn_together_fn run, void *user, sn_err *err)
{
    sn_together *t = sn_calloc(1, sizeof *t);
    if (t == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    t->compute = c;
    t->most = most < SN_MAX_CALLERS ? most : SN_MAX_CALLERS;
    t->run = run;
    t->user = user;
    t->last = &t->first;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *out = t;
    return SN_OK;
}

void sn_together_close(sn_together *t)
{
    if (t == NULL) return;
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    sn_free(t);
}

void sn_together_join(sn_together *t)
{
    pthread_mutex_lock(&t->lock);
    t->n_joined++;
    pthread_mutex_unlock(&t->lock);
}

void sn_together_leave(sn_together *t)
{
    pthread_mutex_lock(&t->lock);
    t->n_joined--;
    pthread_cond_broadcast(&t->changed); /* who waited for this thread waits in vain */
    pthread_mutex_unlock(&t->lock);
}

/* With the lock held. Who waits stays in sn_together_do until it is done, and its request with it. */
static void wait_in_line(sn_together *t, request *r)
{
    *t->last = r;
    t->last = &r->next;
    t->n_waiting++;
}

static long now_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (long)at.tv_sec * 1000000000L + at.tv_nsec;
}

/* Computes what waits when the turn has come, with the lock held before and after. */
static void compute(sn_together *t)
{
    request *taken[SN_MAX_CALLERS];
    void *items[SN_MAX_CALLERS];
    size_t n = 0;
    t->computing = true;
    pthread_mutex_unlock(&t->lock);
    sn_turn_take_last(t->compute);
    pthread_mutex_lock(&t->lock);
    for (; t->first != NULL && n < t->most; t->n_waiting--) {
        taken[n] = t->first;
        items[n++] = t->first->item;
        t->first = t->first->next;
    }
    if (t->first == NULL) t->last = &t->first;
    pthread_mutex_unlock(&t->lock);
    const long start = now_ns();
    t->run(t->user, items, n);
    const long half = (now_ns() - start) / 2;
    sn_turn_end(t->compute);
    pthread_mutex_lock(&t->lock);
    t->patience_ns = half < PATIENCE_NS ? half : PATIENCE_NS;
    t->computing = false;
    for (size_t i = 0; i < n; i++) taken[i]->done = true;
    pthread_cond_broadcast(&t->changed);
}

void sn_together_do(sn_together *t, void *item)
{
    request mine = {.item = item};
    bool late = false;
    const long start = now_ns();
    pthread_mutex_lock(&t->lock);
    wait_in_line(t, &mine);
    while (!mine.done) {
        if (t->computing) {
            pthread_cond_wait(&t->changed, &t->lock);
        } else if (late || t->n_waiting >= t->n_joined || t->n_waiting >= t->most) {
            compute(t);
        } else {
            const long until = start + t->patience_ns;
            const struct timespec at = {.tv_sec = until / 1000000000L, .tv_nsec = until % 1000000000L};
            late = pthread_cond_timedwait(&t->changed, &t->lock, &at) != 0;
        }
    }
    pthread_mutex_unlock(&t->lock);
}
