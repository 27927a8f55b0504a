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

static sn_compute *open_compute(void)
{
    sn_compute *c = NULL;
    sn_err err = {0};
    if (sn_compute_open(&c, 1, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static void bring_all(bool joins, bool idles, counts *c)
{
    sn_together *t = NULL;
    sn_compute *compute = open_compute();
    sn_err err = {0};
    pthread_t threads[N_THREADS];
    bringer b[N_THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, N_THREADS);
    assert_int_equal(sn_together_open(&t, compute, MOST, run, c, &err), SN_OK);
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
    sn_compute_close(compute);
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
    sn_compute *compute = open_compute();
    sn_err err = {0};
    counts c = {0};
    assert_int_equal(sn_together_open(&t, compute, MOST, run, &c, &err), SN_OK);
    bringer b = {.t = t, .joins = true};
    bring(&b);
    assert_int_equal(b.wrong, 0);
    assert_int_equal(c.n_runs, N_ITEMS);
    sn_together_close(t);
    sn_together_close(NULL);
    sn_compute_close(compute);
}

typedef struct { /* one who computes for itself */
    sn_compute *compute;
    counts *c;
    size_t runs_before; /* of what was brought, when it had the turn */
} reader;

static void *read_on(void *arg)
{
    reader *r = arg;
    sn_turn_take(r->compute); /* the test has the turn: this waits for it */
    r->runs_before = r->c->n_runs;
    sn_turn_end(r->compute);
    return NULL;
}

static void *bring_one(void *arg)
{
    bringer *b = arg;
    int item = 0;
    sn_together_do(b->t, &item);
    b->wrong = item != 1;
    return NULL;
}

/* Who wants the turn for itself has it before what is brought, however long that has waited; and all of that comes along. */
static void what_is_brought_waits_for_company(void **state)
{
    (void)state;
    sn_together *t = NULL;
    sn_compute *compute = open_compute();
    sn_err err = {0};
    counts c = {0};
    assert_int_equal(sn_together_open(&t, compute, MOST, run, &c, &err), SN_OK);
    pthread_t threads[MOST], other;
    bringer b[MOST];
    reader r = {.compute = compute, .c = &c, .runs_before = SIZE_MAX};
    sn_turn_take(compute);
    for (int i = 0; i < MOST; i++) {
        b[i] = (bringer){.t = t};
        assert_int_equal(pthread_create(&threads[i], NULL, bring_one, &b[i]), 0);
    }
    usleep(50000);
    assert_int_equal(pthread_create(&other, NULL, read_on, &r), 0);
    usleep(50000);
    assert_int_equal(c.n_runs, 0); /* the turn is taken */
    sn_turn_end(compute);
    pthread_join(other, NULL);
    assert_int_equal(r.runs_before, 0);
    for (int i = 0; i < MOST; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(b[i].wrong, 0);
    }
    assert_int_equal(c.n_items, MOST);
    sn_together_close(t);
    sn_compute_close(compute);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_computed_once),
        cmocka_unit_test(who_idles_is_not_waited_for),
        cmocka_unit_test(one_thread_needs_no_other),
        cmocka_unit_test(what_is_brought_waits_for_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
