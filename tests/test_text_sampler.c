/* test_text_sampler.c: the sampler draws what the logits say, and always a token of the list. */
#include "../text/text.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS 20000

/* A sampler that does nothing but draw from softmax(logits). */
static txt_sampling plain(void)
{
    return (txt_sampling){.temperature = 1, .top_p = 1, .repeat_penalty = 1, .seed = 7};
}

static txt_sampler *open_sampler(txt_sampling p, size_t n_vocab)
{
    txt_sampler *s = NULL;
    sn_err err = {0};
    if (txt_sampler_open(&s, &p, n_vocab, &err) != SN_OK) fail_msg("%s", err.msg);
    return s;
}

/* One draw from a copy of logits [n]. */
static txt_id next(txt_sampler *s, const float *logits, size_t n)
{
    float *copy = malloc(n * sizeof *copy);
    memcpy(copy, logits, n * sizeof *copy);
    txt_id id = txt_sampler_next(s, copy);
    free(copy);
    assert_true(id >= 0 && (size_t)id < n);
    return id;
}

/* counts [n] of DRAWS draws. */
static void draw_many(txt_sampling p, const float *logits, size_t n, size_t *counts)
{
    txt_sampler *s = open_sampler(p, n);
    memset(counts, 0, n * sizeof *counts);
    for (size_t i = 0; i < DRAWS; i++) counts[next(s, logits, n)]++;
    txt_sampler_close(s);
}

/* Pearson's chi-square of counts against probabilities p[n] (0: must not occur), per degree of freedom. */
static double chi_square(const size_t *counts, const double *p, size_t n)
{
    double sum = 0;
    size_t free_bins = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] == 0) {
            assert_int_equal(counts[i], 0);
            continue;
        }
        const double want = p[i] * DRAWS;
        sum += ((double)counts[i] - want) * ((double)counts[i] - want) / want;
        free_bins++;
    }
    return free_bins > 1 ? sum / (double)(free_bins - 1) : 0;
}

static void normalise(double *p, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += p[i];
    for (size_t i = 0; i < n; i++) p[i] /= sum;
}

/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.05, out of order. */
enum { N = 5 };
static const double prob[N] = {0.1, 0.4, 0.05, 0.3, 0.15};

static void probs_as_logits(float *logits)
{
    for (size_t i = 0; i < N; i++) logits[i] = (float)log(prob[i]) + 3.0f; /* a shift changes nothing */
}

static void draws_follow_the_softmax(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    probs_as_logits(logits);
    draw_many(plain(), logits, N, counts);
    assert_true(chi_square(counts, prob, N) < 3.0);
}

static void temperature_flattens(void **state)
{
    (void)state;
    float logits[N];
    double want[N];
    size_t counts[N];
    txt_sampling p = plain();
    p.temperature = 2;
    probs_as_logits(logits);
    for (size_t i = 0; i < N; i++) want[i] = sqrt(prob[i]);
    normalise(want, N);
    draw_many(p, logits, N, counts);
    assert_true(chi_square(counts, want, N) < 3.0);
    assert_true(chi_square(counts, prob, N) > 10.0); /* the test can tell */
}

static void top_k_keeps_the_k_likeliest(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    double want[N] = {0, 0.4, 0, 0.3, 0.15};
    txt_sampling p = plain();
    p.top_k = 3;
    probs_as_logits(logits);
    normalise(want, N);
    draw_many(p, logits, N, counts);
    assert_true(chi_square(counts, want, N) < 3.0);
}

static void top_k_breaks_ties_by_the_lower_id(void **state)
{
    (void)state;
    const float logits[6] = {1, 2, 2, 2, 2, 1};
    size_t counts[6];
    txt_sampling p = plain();
    p.top_k = 2;
    draw_many(p, logits, 6, counts);
    assert_int_equal(counts[1] + counts[2], DRAWS);
}

static void top_p_keeps_the_smallest_nucleus(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    double want[N] = {0, 0.4, 0, 0.3, 0.15};
    txt_sampling p = plain();
    p.top_p = 0.75f; /* 0.4 + 0.3 is not enough: the third belongs to it */
    probs_as_logits(logits);
    normalise(want, N);
    draw_many(p, logits, N, counts);
    assert_true(chi_square(counts, want, N) < 3.0);
}

static void top_p_of_zero_is_greedy(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    txt_sampling p = plain();
    p.top_p = 0;
    probs_as_logits(logits);
    draw_many(p, logits, N, counts);
    assert_int_equal(counts[1], DRAWS);
}

/* 0.4 + 0.3 of what top-k left, 0.4 + 0.3 + 0.15: top-p 0.8 takes two of it, but three of the whole. */
static void top_p_looks_at_what_top_k_left(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    double want[N] = {0, 0.4, 0, 0.3, 0};
    txt_sampling p = plain();
    p.top_k = 3;
    p.top_p = 0.8f;
    probs_as_logits(logits);
    normalise(want, N);
    draw_many(p, logits, N, counts);
    assert_true(chi_square(counts, want, N) < 3.0);
}

static void min_p_is_relative_to_the_likeliest(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    double want[N] = {0, 0.4, 0, 0.3, 0.15};
    txt_sampling p = plain();
    p.min_p = 0.3f; /* of 0.4: 0.12 */
    probs_as_logits(logits);
    normalise(want, N);
    draw_many(p, logits, N, counts);
    assert_true(chi_square(counts, want, N) < 3.0);
}

/* At temperature 4 the likeliest would hold only 0.26 and all five would be in a nucleus of 0.75. */
static void top_p_comes_before_temperature(void **state)
{
    (void)state;
    float logits[N];
    size_t counts[N];
    txt_sampling p = plain();
    p.top_p = 0.75f;
    p.temperature = 4;
    probs_as_logits(logits);
    draw_many(p, logits, N, counts);
    assert_int_equal(counts[0] + counts[2], 0);
    assert_true(counts[4] > DRAWS / 4);
}

/* The nucleus of a flat list of thousands is most of it; more than the first guess of the search. */
static void a_wide_nucleus_is_found_whole(void **state)
{
    (void)state;
    enum { WIDE = 3000 };
    static float logits[WIDE];
    txt_sampling p = plain();
    p.top_p = 0.5f;
    txt_sampler *s = open_sampler(p, WIDE);
    size_t above = 0, far = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        const txt_id id = next(s, logits, WIDE);
        if (id > 1500) above++; /* equal logits: the lower ids are in; 1500 on the edge by rounding */
        if (id > 1200) far++;
    }
    assert_int_equal(above, 0);
    assert_true(far > DRAWS / 10);
    txt_sampler_close(s);
}

static void greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
    const float logits[6] = {-1, 3, 0, 3, 3, 2};
    txt_sampling p = plain();
    p.temperature = 0;
    txt_sampler *s = open_sampler(p, 6);
    for (size_t i = 0; i < 100; i++) assert_int_equal(next(s, logits, 6), 1);
    txt_sampler_close(s);
}

static void penalty_pulls_both_signs_down_once(void **state)
{
    (void)state;
    const float logits[4] = {1.9f, 2.0f, -1.0f, -1.5f};
    txt_sampling p = plain();
    p.temperature = 0;
    p.repeat_penalty = 1.25f;
    p.repeat_last = 8;
    txt_sampler *s = open_sampler(p, 4);
    assert_int_equal(next(s, logits, 4), 1);
    for (size_t i = 0; i < 3; i++) txt_sampler_accept(s, 1); /* 2 / 1.25 = 1.6 */
    txt_sampler_accept(s, 2);
    float copy[4];
    memcpy(copy, logits, sizeof copy);
    assert_int_equal(txt_sampler_next(s, copy), 0);
    assert_true(fabsf(copy[1] - 1.6f) < 1e-6f);
    assert_true(fabsf(copy[2] + 1.25f) < 1e-6f);
    txt_sampler_close(s);
}

static void penalty_forgets_what_is_long_past(void **state)
{
    (void)state;
    const float logits[4] = {1.9f, 2.0f, 0, 0};
    txt_sampling p = plain();
    p.temperature = 0;
    p.repeat_penalty = 1.25f;
    p.repeat_last = 2;
    txt_sampler *s = open_sampler(p, 4);
    txt_sampler_accept(s, 1);
    txt_sampler_accept(s, 3);
    assert_int_equal(next(s, logits, 4), 0);
    txt_sampler_accept(s, 3);
    assert_int_equal(next(s, logits, 4), 1);
    txt_sampler_accept(s, 1);
    txt_sampler_reset(s);
    assert_int_equal(next(s, logits, 4), 1);
    txt_sampler_close(s);
}

static void the_same_seed_gives_the_same_tokens(void **state)
{
    (void)state;
    enum { WIDE = 1000 };
    static float logits[WIDE];
    for (size_t i = 0; i < WIDE; i++) logits[i] = (float)(i % 17) * 0.3f;
    txt_sampling p = plain(), q = plain();
    q.seed = 8;
    txt_sampler *a = open_sampler(p, WIDE), *b = open_sampler(p, WIDE), *c = open_sampler(q, WIDE);
    size_t differ = 0;
    txt_id first[50];
    for (size_t i = 0; i < 50; i++) {
        first[i] = next(a, logits, WIDE);
        assert_int_equal(first[i], next(b, logits, WIDE));
        differ += first[i] != next(c, logits, WIDE);
    }
    assert_true(differ > 40);
    txt_sampler_reset(a);
    for (size_t i = 0; i < 50; i++) assert_int_equal(first[i], next(a, logits, WIDE));
    txt_sampler_close(a);
    txt_sampler_close(b);
    txt_sampler_close(c);
}

/* Whatever stands in the logits, with every combination of options: a token of the list (checked in next()), and of those that
 * have any probability where there are such. */
static void broken_logits_give_a_token(void **state)
{
    (void)state;
    const float inf = INFINITY, max = 1e38f, nan_ = NAN;
    const struct {
        float logits[4];
        txt_id greedy;
        bool may[4];
    } cases[] = {
        {{-inf, -inf, -inf, -inf}, 0, {true, true, true, true}},    {{nan_, nan_, nan_, nan_}, 0, {true, true, true, true}},
        {{inf, 1, inf, 2}, 0, {true, false, true, false}},          {{nan_, 1, nan_, -inf}, 1, {false, true, false, false}},
        {{-inf, nan_, inf, max}, 2, {false, false, true, false}},   {{-max, max, -max, -inf}, 1, {false, true, false, false}},
        {{-inf, -inf, -max, -inf}, 2, {false, false, true, false}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (unsigned options = 0; options < 32; options++) {
            txt_sampling p = plain();
            if (options & 1) p.top_k = 3;
            if (options & 2) p.top_p = 0.9f;
            if (options & 4) p.min_p = 0.1f;
            if (options & 8) p.temperature = 1e-38f;
            if (options & 16) p.repeat_penalty = 1.5f, p.repeat_last = 4;
            txt_sampler *s = open_sampler(p, 4);
            for (size_t draw = 0; draw < 20; draw++) {
                const txt_id id = next(s, cases[i].logits, 4);
                assert_true(cases[i].may[id]);
                txt_sampler_accept(s, id);
            }
            txt_sampler_close(s);
        }
        txt_sampling p = plain();
        p.temperature = 0;
        txt_sampler *s = open_sampler(p, 4);
        assert_int_equal(next(s, cases[i].logits, 4), cases[i].greedy);
        txt_sampler_close(s);
    }
}

static void a_vocabulary_of_one_works(void **state)
{
    (void)state;
    const float one = -3;
    for (size_t top_k = 0; top_k < 3; top_k++) {
        txt_sampling p = plain();
        p.top_k = top_k;
        p.top_p = 0.5f;
        txt_sampler *s = open_sampler(p, 1);
        assert_int_equal(next(s, &one, 1), 0);
        txt_sampler_close(s);
    }
}

static void options_out_of_range_are_usage_errors(void **state)
{
    (void)state;
    txt_sampling bad[9];
    for (size_t i = 0; i < 9; i++) bad[i] = plain();
    bad[0].temperature = -1;
    bad[1].temperature = NAN;
    bad[2].temperature = INFINITY;
    bad[3].top_p = 1.5f;
    bad[4].top_p = NAN;
    bad[5].min_p = -0.1f;
    bad[6].min_p = 2;
    bad[7].repeat_penalty = 0;
    bad[8].repeat_penalty = INFINITY;
    for (size_t i = 0; i < 9; i++) {
        txt_sampler *s = NULL;
        sn_err err = {0};
        assert_int_equal(txt_sampler_open(&s, &bad[i], 10, &err), SN_EUSAGE);
        assert_null(s);
        assert_true(strlen(err.msg) > 0);
    }
}

/* ---- the best few alone ---- */

static bool by_third(void *user, txt_id id)
{
    return id % *(int *)user == 0;
}

/* The choice among the best few is the one among all, with the same dice. */
static void the_best_few_decide_as_all_do(void **state)
{
    (void)state;
    enum { N_VOCAB = 3000 };
    static const txt_sampling ways[] = {
        {.temperature = 0, .top_k = 40, .top_p = 1, .repeat_penalty = 1},
        {.temperature = 1, .top_k = 40, .top_p = 0.9f, .min_p = 0.05f, .repeat_penalty = 1.1f, .repeat_last = 64, .seed = 5},
        {.temperature = 0.7f, .top_k = 3, .top_p = 1, .repeat_penalty = 1.3f, .repeat_last = 8, .seed = 6},
    };
    float *logits = malloc(N_VOCAB * sizeof *logits), *copy = malloc(N_VOCAB * sizeof *copy);
    assert_true(logits && copy);
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        txt_sampler *few = open_sampler(ways[w], N_VOCAB), *all = open_sampler(ways[w], N_VOCAB);
        int third = 3, rare = 2999;
        for (size_t turn = 0; turn < 300; turn++) {
            txt_id a = -1, b;
            for (size_t i = 0; i < N_VOCAB; i++) logits[i] = (float)(rand() % 400) / 40; /* with many equals */
            memcpy(copy, logits, N_VOCAB * sizeof *copy);
            assert_false(w > 0 && txt_sampler_next_few(few, copy, by_third, &rare, &a)); /* too few are allowed: nothing is drawn */
            memcpy(copy, logits, N_VOCAB * sizeof *copy);
            if (!txt_sampler_next_few(few, copy, by_third, &third, &a)) fail_msg("not told");
            for (size_t i = 0; i < N_VOCAB; i++) copy[i] = i % 3 == 0 ? logits[i] : -INFINITY;
            b = txt_sampler_next(all, copy);
            assert_int_equal(a, b);
            txt_sampler_accept(few, a);
            txt_sampler_accept(all, b);
        }
        txt_sampler_close(few);
        txt_sampler_close(all);
    }
    free(logits);
    free(copy);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_follow_the_softmax),          cmocka_unit_test(temperature_flattens),
        cmocka_unit_test(top_k_keeps_the_k_likeliest),       cmocka_unit_test(top_k_breaks_ties_by_the_lower_id),
        cmocka_unit_test(top_p_keeps_the_smallest_nucleus),  cmocka_unit_test(top_p_of_zero_is_greedy),
        cmocka_unit_test(top_p_looks_at_what_top_k_left),    cmocka_unit_test(min_p_is_relative_to_the_likeliest),
        cmocka_unit_test(top_p_comes_before_temperature),    cmocka_unit_test(a_wide_nucleus_is_found_whole),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals), cmocka_unit_test(penalty_pulls_both_signs_down_once),
        cmocka_unit_test(penalty_forgets_what_is_long_past), cmocka_unit_test(the_same_seed_gives_the_same_tokens),
        cmocka_unit_test(broken_logits_give_a_token),        cmocka_unit_test(a_vocabulary_of_one_works),
        cmocka_unit_test(the_best_few_decide_as_all_do),     cmocka_unit_test(options_out_of_range_are_usage_errors),
    };
    return testing_main("text sampler", tests, sizeof tests / sizeof *tests, argc, argv);
}
