/* Memory that runs out at the first, second, third ... allocation while a picture is read, an encoder is opened, and a picture goes through it:
 * each time an error comes back, and nothing leaks (the sanitized build looks). */
#include "../core/mem.h"
#include "../core/worker.h"
#include "../vision/vision.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

static size_t allocations_left = SIZE_MAX;

/* Stands before the C library's, which sn_alloc would get. */
void *aligned_alloc(size_t alignment, size_t size)
{
    void *p = NULL;
    if (allocations_left == 0) return NULL;
    allocations_left--;
    return posix_memalign(&p, alignment, size) == 0 ? p : NULL;
}

static sn_compute *compute;
static const char *encoder, *picture;

static sn_status see(sn_err *err)
{
    vis_image img = {0};
    vis_model *m = NULL;
    vis_prepared p = {0};
    float *out = NULL;
    sn_status st = vis_image_load(&img, picture, &(vis_load_params){.no_sandbox = true}, err);
    vis_faint_text t;
    if (st == SN_OK) st = vis_faint_text_find(&t, &img, err);
    if (st == SN_OK) st = vis_model_open(&m, encoder, compute, err);
    if (st == SN_OK) st = vis_model_prepare(m, &img, VIS_FIT_DEFAULT, &p, err);
    if (st == SN_OK) {
        out = malloc(p.n_tok * vis_model_n_embd(m) * sizeof *out);
        assert_non_null(out);
        st = vis_model_encode(m, &p, out, err);
    }
    free(out);
    vis_prepared_free(&p);
    vis_model_close(m);
    vis_image_free(&img);
    return st;
}

static void until_enough(size_t at_least)
{
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    for (; status != SN_OK && n < 3000; n++) {
        sn_err err = {0};
        allocations_left = n;
        status = see(&err);
        allocations_left = SIZE_MAX;
        if (status == SN_OK) continue;
        assert_int_equal(status, SN_ENOMEM);
        assert_int_equal(err.code, SN_ENOMEM);
        if (strstr(err.msg, "memory") == NULL) fail_msg("allocation %zu: %s", n, err.msg);
    }
    assert_true(n > at_least && n < 3000);
}

static void seeing_reports_that_memory_is_out(void **state)
{
    (void)state;
    static const char *const encoders[] = {"tests/golden/vision/gemma3.gguf",       "tests/golden/vision/qwen2vl.gguf",
                                           "tests/golden/vision/pixtral.gguf",      "tests/golden/vision/internvl.gguf",
                                           "tests/golden/vision/qwen25vl.gguf",     "tests/golden/vision/mobilevlm.gguf",
                                           "tests/golden/vision/mobilevlm_v2.gguf", "tests/golden/vision/granite_vision.gguf",
                                           "tests/golden/vision/llava_siglip.gguf", "tests/golden/vision/qwen3vl.gguf"};
    picture = "tests/golden/vision/files/rgb.png";
    assert_int_equal(sn_compute_open(&compute, 1, SN_ISA_BEST, NULL), SN_OK);
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        encoder = encoders[i];
        until_enough(20);
    }
    sn_compute_close(compute);
}

/* Every allocation that fails is told. */
static void read_with_less_memory(const char *path, bool no_sandbox)
{
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    for (; status != SN_OK && n < 100; n++) {
        sn_err err = {0};
        vis_image img = {0};
        allocations_left = n;
        status = vis_image_load(&img, path, &(vis_load_params){.no_sandbox = no_sandbox}, &err);
        allocations_left = SIZE_MAX;
        vis_image_free(&img);
        if (status != SN_OK && status != SN_ENOMEM) fail_msg("allocation %zu: %s", n, err.msg);
    }
    assert_true(n > 1 && n < 100);
}

static void reading_pictures_reports_that_memory_is_out(void **state)
{
    (void)state;
    static const char *const names[] = {"exif6.jpg",  "interlaced.png", "animated.gif", "rle8.bmp",
                                        "lossy.webp", "lzw.tif",        "p6.pnm",       "420.avif"};
    sn_worker_prepare(); /* before memory is short: the decoders' own process has enough, this one's share is tried */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/golden/vision/files/%s", names[i]);
        read_with_less_memory(path, true);
        read_with_less_memory(path, false);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(seeing_reports_that_memory_is_out),
    cmocka_unit_test(reading_pictures_reports_that_memory_is_out),
};
TESTING_MAIN("vision oom", tests)
