#include "together.h"
#include "compute.h"
#include "mem.h"

#include <pthread.h>
#include <time.h>

#define PATIENCE_NS 2000000L /* less than a token of the smallest model takes; who is slower is not waited for */

typedef struct request {
    void *item;
    bool done;
    struct request *next;
} request;

struct sn_together {
    size_t most;
    sn_together_fn run;
    void *user;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    size_t n_joined, n_waiting;
    request *first, **last; /* waiting, in the order they came */
    bool computing;
};

sn_status sn_together_open(sn_together **out, size_t most, sn_together_fn run, void *user, sn_err *err)
{
    sn_together *t = sn_calloc(1, sizeof *t);
    if (t == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
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

/* Computes what waits, with the lock held before and after. */
static void compute(sn_together *t)
{
    request *taken[SN_MAX_CALLERS];
    void *items[SN_MAX_CALLERS];
    size_t n = 0;
    for (; t->first != NULL && n < t->most; t->n_waiting--) {
        taken[n] = t->first;
        items[n++] = t->first->item;
        t->first = t->first->next;
    }
    if (t->first == NULL) t->last = &t->first;
    t->computing = true;
    pthread_mutex_unlock(&t->lock);
    t->run(t->user, items, n);
    pthread_mutex_lock(&t->lock);
    t->computing = false;
    for (size_t i = 0; i < n; i++) taken[i]->done = true;
    pthread_cond_broadcast(&t->changed);
}

static struct timespec from_now(long ns)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += ns;
    if (at.tv_nsec >= 1000000000L) at.tv_sec++, at.tv_nsec -= 1000000000L;
    return at;
}

void sn_together_do(sn_together *t, void *item)
{
    request mine = {.item = item};
    const struct timespec until = from_now(PATIENCE_NS);
    bool late = false;
    pthread_mutex_lock(&t->lock);
    wait_in_line(t, &mine);
    while (!mine.done) {
        if (t->computing)
            pthread_cond_wait(&t->changed, &t->lock);
        else if (late || t->n_waiting >= t->n_joined || t->n_waiting >= t->most)
            compute(t);
        else
            late = pthread_cond_timedwait(&t->changed, &t->lock, &until) != 0;
    }
    pthread_mutex_unlock(&t->lock);
}
