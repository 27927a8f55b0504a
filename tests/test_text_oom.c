/* Memory that runs out at the first, second, third ... allocation while a decoder with adapters, a session and a sampler are opened, and
 * while adapters are merged: each time an error comes back, nothing leaks (the sanitized build looks), and once they are open nothing more
 * is allocated. */
#include "../core/lora.h"
#include "../text/text.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/text/llama_smollm.gguf"
#define LORA_A "tests/golden/text/lora_smollm_a.gguf"
#define LORA_B "tests/golden/text/lora_smollm_b.gguf"

static size_t allocations_left = SIZE_MAX, allocations;

/* Stands before the C library's, which sn_alloc would get. */
void *aligned_alloc(size_t alignment, size_t size)
{
    void *p = NULL;
    allocations++;
    if (allocations_left == 0) return NULL;
    allocations_left--;
    return posix_memalign(&p, alignment, size) == 0 ? p : NULL;
}

static sn_compute *compute;

typedef struct {
    txt_model *model;
    txt_session *session;
    txt_sampler *sampler;
} set;

static sn_status open_all(set *s, sn_err *err)
{
    const txt_sampling p = {.temperature = 1, .top_k = 10, .top_p = 0.9f, .min_p = 0.01f, .repeat_penalty = 1.1f, .repeat_last = 16};
    sn_status st = txt_model_open(&s->model, GOLDEN, compute, err);
    if (st == SN_OK) st = txt_model_adapt(s->model, LORA_A, 1, err);
    if (st == SN_OK) st = txt_model_adapt(s->model, LORA_B, 0.5f, err);
    if (st == SN_OK) st = txt_session_open(&s->session, s->model, 600, err);
    if (st == SN_OK) st = txt_sampler_open(&s->sampler, &p, txt_model_hparams(s->model)->n_vocab, err);
    return st;
}

static void close_all(set *s)
{
    txt_sampler_close(s->sampler);
    txt_session_close(s->session);
    txt_model_close(s->model);
}

static void opening_reports_that_memory_is_out(void **state)
{
    (void)state;
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    assert_int_equal(sn_compute_open(&compute, 1, SN_ISA_BEST, NULL), SN_OK);
    for (; status != SN_OK && n < 2000; n++) {
        sn_err err = {0};
        set s = {0};
        allocations_left = n;
        status = open_all(&s, &err);
        allocations_left = SIZE_MAX;
        close_all(&s);
        if (status == SN_OK) continue;
        assert_int_equal(status, SN_ENOMEM);
        assert_int_equal(err.code, SN_ENOMEM);
        if (strstr(err.msg, "out of memory") == NULL) fail_msg("allocation %zu: %s", n, err.msg);
    }
    assert_true(n > 40 && n < 2000);
    sn_compute_close(compute);
}

static void merging_reports_that_memory_is_out(void **state)
{
    (void)state;
    const senses_lora loras[] = {{LORA_A, 1}, {LORA_B, 0.5f}};
    const char *out = testing_temp("before", 6);
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    assert_int_equal(sn_compute_open(&compute, 2, SN_ISA_BEST, NULL), SN_OK);
    for (; status != SN_OK && n < 2000; n++) {
        sn_err err = {0};
        senses_merge_result r;
        allocations_left = n;
        status = sn_lora_merge(compute, GOLDEN, loras, 2, out, &(senses_merge_params){0}, &r, &err);
        allocations_left = SIZE_MAX;
        if (status == SN_OK) continue;
        assert_int_equal(status, SN_ENOMEM);
        if (strstr(err.msg, "out of memory") == NULL) fail_msg("allocation %zu: %s", n, err.msg);
        FILE *f = fopen(out, "rb");
        char have[8];
        assert_int_equal(fread(have, 1, sizeof have, f), 6); /* not replaced */
        fclose(f);
    }
    assert_true(n > 20 && n < 2000);
    sn_compute_close(compute);
}

static void working_allocates_nothing(void **state)
{
    (void)state;
    set s = {0};
    sn_err err = {0};
    txt_id ids[300] = {5, 6, 7};
    assert_int_equal(sn_compute_open(&compute, 2, SN_ISA_BEST, NULL), SN_OK);
    assert_int_equal(open_all(&s, &err), SN_OK);
    float *logits = malloc(txt_model_hparams(s.model)->n_vocab * sizeof *logits);
    const size_t before = allocations;
    assert_int_equal(txt_session_eval_ids(s.session, ids, 300, logits, false, &err), SN_OK);
    for (size_t step = 0; step < 50; step++) {
        const txt_id id = txt_sampler_next(s.sampler, logits);
        txt_sampler_accept(s.sampler, id);
        assert_int_equal(txt_session_eval_ids(s.session, &id, 1, logits, false, &err), SN_OK);
    }
    assert_int_equal(allocations, before);
    free(logits);
    close_all(&s);
    sn_compute_close(compute);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_reports_that_memory_is_out),
        cmocka_unit_test(merging_reports_that_memory_is_out),
        cmocka_unit_test(working_allocates_nothing),
    };
    return testing_main("text oom", tests, sizeof tests / sizeof *tests, argc, argv);
}
