/* Threads that compute together: everything is computed, once, and nobody waits for who is gone. */
#include "../core/compute.h"
#include "../core/together.h"
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N_THREADS = 5, N_ITEMS = 200, MOST = 4 };

typedef struct {
    atomic_size_t n_runs, n_items, n_large;
    atomic_bool running, overlapped;
} counts;

static void run(void *user, void *const *items, size_t n)
{
    counts *c = user;
    if (atomic_exchange(&c->running, true)) c->overlapped = true;
    if (n > MOST) c->n_large++;
    for (size_t i = 0; i < n; i++) ++*(int *)items[i];
    c->n_runs++;
    c->n_items += n;
    atomic_store(&c->running, false);
}

typedef struct {
    sn_together *t;
    bool joins, idles;
    pthread_barrier_t *start; /* may be NULL */
    int wrong;
} bringer;

static void *bring(void *arg)
{
    bringer *b = arg;
    if (b->joins) sn_together_join(b->t);
    if (b->start != NULL) pthread_barrier_wait(b->start);
    for (int i = 0; i < N_ITEMS; i++) {
        int item = i;
        sn_together_do(b->t, &item);
        b->wrong += item != i + 1;
        if (b->idles && i == N_ITEMS / 2) usleep(20000); /* it is not waited for that long */
    }
    if (b->joins) sn_together_leave(b->t);
    return NULL;
}

static void bring_all(bool joins, bool idles, counts *c)
{
    sn_together *t = NULL;
    sn_err err = {0};
    pthread_t threads[N_THREADS];
    bringer b[N_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, N_THREADS);
    assert_int_equal(sn_together_open(&t, MOST, run, c, &err), SN_OK);
    for (int i = 0; i < N_THREADS; i++) {
        b[i] = (bringer){.t = t, .joins = joins, .idles = idles && i == 0, .start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, bring, &b[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(b[i].wrong, 0);
    }
    pthread_barrier_destroy(&start);
    sn_together_close(t);
    assert_int_equal(c->n_items, N_THREADS * N_ITEMS);
    assert_int_equal(c->n_large, 0);
    assert_false(c->overlapped);
}

static void every_item_is_computed_once(void **state)
{
    (void)state;
    counts c = {0};
    bring_all(false, false, &c); /* nobody has joined: nobody is waited for */
    counts joined = {0};
    bring_all(true, false, &joined);
    assert_true(joined.n_runs < N_THREADS * N_ITEMS); /* some were taken together; how many is the machine's affair */
}

static void who_idles_is_not_waited_for(void **state)
{
    (void)state;
    counts c = {0};
    bring_all(true, true, &c);
}

static void one_thread_needs_no_other(void **state)
{
    (void)state;
    sn_together *t = NULL;
    sn_err err = {0};
    counts c = {0};
    assert_int_equal(sn_together_open(&t, MOST, run, &c, &err), SN_OK);
    bringer b = {.t = t, .joins = true};
    bring(&b);
    assert_int_equal(b.wrong, 0);
    assert_int_equal(c.n_runs, N_ITEMS);
    sn_together_close(t);
    sn_together_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_computed_once),
        cmocka_unit_test(who_idles_is_not_waited_for),
        cmocka_unit_test(one_thread_needs_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
