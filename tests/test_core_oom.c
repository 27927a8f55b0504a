/* Memory that runs out at the first, second, third ... allocation: each time an error comes back, and nothing leaks. */
#include "../core/bind.h"
#include "../core/gguf.h"
#include "../core/quantize.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/core/gguf_all.gguf"

static size_t allocations_left = SIZE_MAX;

/* Stands before the C library's, which sn_alloc would get. */
void *aligned_alloc(size_t alignment, size_t size)
{
    void *p = NULL;
    if (allocations_left == 0) return NULL;
    allocations_left--;
    return posix_memalign(&p, alignment, size) == 0 ? p : NULL;
}

/* Runs `work` with one allocation, two, three ..., until it has enough; all before must end in SN_ENOMEM. */
static void until_enough(sn_status (*work)(sn_err *err), size_t at_least)
{
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    for (; status != SN_OK && n < 1000; n++) {
        sn_err err = {0};
        allocations_left = n;
        status = work(&err);
        allocations_left = SIZE_MAX;
        if (status != SN_OK) {
            assert_int_equal(status, SN_ENOMEM);
            assert_int_equal(err.code, SN_ENOMEM);
            assert_non_null(strstr(err.msg, "out of memory"));
        }
    }
    assert_true(n > at_least && n < 1000);
}

static sn_status open_golden(sn_err *err)
{
    sn_gguf *g = NULL;
    sn_status status = sn_gguf_open(&g, GOLDEN, err);
    sn_gguf_close(g);
    return status;
}

static void opening_reports_that_memory_is_out(void **state)
{
    (void)state;
    until_enough(open_golden, 5);
}

static const char *out_path;

static sn_status write_file(sn_err *err)
{
    sn_gguf_writer *w = NULL;
    sn_status status = sn_gguf_create(&w, out_path, err);
    if (status != SN_OK) return status;
    sn_gguf_set_u32(w, "a", 1);
    sn_gguf_set_str(w, "b", "text", 4);
    sn_gguf_add_tensor(w, "t", SN_F32, (size_t[]){1}, 1);
    sn_gguf_write_data(w, "abcd", 4);
    return sn_gguf_finish(w, err);
}

static void writing_reports_that_memory_is_out(void **state)
{
    (void)state;
    out_path = testing_temp("", 0);
    until_enough(write_file, 4);
}

static sn_gguf *gguf;

static sn_status bind_some(sn_err *err)
{
    sn_bind b;
    sn_norm norm = {0};
    float *two = NULL;
    sn_bind_init(&b, gguf, NULL, err); /* its failure sticks, like any other */
    sn_bind_norm(&b, &norm, 5, SN_BIAS_OPTIONAL, "one");
    sn_bind_f32(&b, &two, (size_t[]){3, 4}, 2, false, "two.weight");
    sn_status status = sn_bind_done(&b);
    sn_norm_free(&norm);
    sn_free(two);
    return status;
}

static void binding_reports_that_memory_is_out(void **state)
{
    (void)state;
    sn_err err;
    assert_int_equal(sn_gguf_open(&gguf, GOLDEN, &err), SN_OK);
    until_enough(bind_some, 2);
    sn_gguf_close(gguf);
}

static sn_compute *threads;

static sn_status quantize_file(sn_err *err)
{
    senses_quantize_result r;
    return sn_requantize(threads, "tests/golden/text/llama_linear.gguf", out_path, sn_mix_find("Q8_0"),
                         &(sn_requantize_params){.again = true}, &r, err);
}

static void quantizing_reports_that_memory_is_out(void **state)
{
    (void)state;
    sn_err err;
    out_path = testing_temp("", 0);
    assert_int_equal(sn_compute_open(&threads, 2, SN_ISA_BEST, &err), SN_OK);
    until_enough(quantize_file, 8);
    sn_compute_close(threads);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(opening_reports_that_memory_is_out),
    cmocka_unit_test(writing_reports_that_memory_is_out),
    cmocka_unit_test(binding_reports_that_memory_is_out),
    cmocka_unit_test(quantizing_reports_that_memory_is_out),
};
TESTING_MAIN("core_oom", tests)
