/* Memory that runs out at the first, second, third ... allocation while recognisers and encoders are opened and a sound goes through them: each
 * time an error comes back, and nothing leaks (the sanitized build looks). */
#include "../audio/audio.h"
#include "../core/mem.h"

#include "testing.h"
#include "whisper_bin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/audio/"

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
static const char *model;

/* Runs `work` with no allocation, one, two ..., `step` more each time, until it has enough; all before must end in SN_ENOMEM. */
static void until_enough(sn_status (*work)(sn_err *err), size_t step, size_t at_least)
{
    sn_status status = SN_ENOMEM;
    size_t n = 0;
    for (; status != SN_OK && n < 5000; n += step) {
        sn_err err = {0};
        allocations_left = n;
        status = work(&err);
        allocations_left = SIZE_MAX;
        if (status == SN_OK) continue;
        if (status != SN_ENOMEM || err.code != SN_ENOMEM || strstr(err.msg, "memory") == NULL) fail_msg("allocation %zu: %s", n, err.msg);
    }
    assert_true(n > at_least && n < 5000);
}

static sn_status open_whisper(sn_err *err)
{
    aud_whisper *w = NULL;
    const sn_status st = aud_whisper_open(&w, model, compute, err);
    aud_whisper_close(w);
    return st;
}

static sn_status transcribe(sn_err *err)
{
    aud_whisper *w = NULL;
    aud_source *s = NULL;
    aud_transcribe_params p;
    double seconds;
    aud_transcribe_defaults(&p);
    p.temperature_step = 2; /* one try */
    const aud_transcribe_callbacks none = {0};
    sn_status st = aud_whisper_open(&w, model, compute, err);
    if (st == SN_OK) st = aud_source_open(&s, "samples/silence.wav", &(aud_open_params){.no_sandbox = true}, err);
    if (st == SN_OK) st = aud_transcribe(w, s, &p, &none, NULL, &seconds, err);
    aud_source_close(s);
    aud_whisper_close(w);
    return st;
}

static sn_status hear(sn_err *err)
{
    static float sound[16000];
    aud_model *m = NULL;
    float *out = NULL;
    sn_status st = aud_model_open(&m, model, compute, err);
    if (st == SN_OK) {
        out = malloc(aud_model_n_tok(m, 16000) * aud_model_n_embd(m) * sizeof *out);
        assert_non_null(out);
        st = aud_model_encode(m, sound, 16000, out, err);
    }
    free(out);
    aud_model_close(m);
    return st;
}

static sn_status read_sound(sn_err *err)
{
    aud_source *s = NULL;
    float *samples = NULL;
    size_t n;
    sn_status st = aud_source_open(&s, model, &(aud_open_params){.no_sandbox = true}, err);
    if (st == SN_OK) st = aud_source_read_all(s, 1 << 24, &samples, &n, err);
    sn_free(samples);
    aud_source_close(s);
    return st;
}

static void recognisers_report_that_memory_is_out(void **state)
{
    (void)state;
    char gguf[128], bin[128];
    sn_err err = {0};
    snprintf(gguf, sizeof gguf, "%s", testing_temp("", 0));
    snprintf(bin, sizeof bin, "%s", testing_temp("", 0));
    if (aud_convert_ct2(GOLDEN "whisper_tiny_f16", gguf, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_true(whisper_bin_write(bin));
    assert_int_equal(sn_compute_open(&compute, 2, SN_ISA_BEST, NULL), SN_OK);
    model = gguf;
    until_enough(open_whisper, 1, 30);
    until_enough(transcribe, 3, 40);
    model = bin;
    until_enough(open_whisper, 1, 30);
    sn_compute_close(compute);
}

static void encoders_report_that_memory_is_out(void **state)
{
    (void)state;
    static const char *const models[] = {GOLDEN "front_ultravox.gguf", GOLDEN "front_voxtral.gguf", GOLDEN "front_qwen2audio.gguf"};
    assert_int_equal(sn_compute_open(&compute, 2, SN_ISA_BEST, NULL), SN_OK);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        model = models[i];
        until_enough(hear, 3, 20);
    }
    sn_compute_close(compute);
}

static void reading_sound_reports_that_memory_is_out(void **state)
{
    (void)state;
    static const char *const sounds[] = {"samples/silence.wav", "samples/queue.ogg", "samples/testpattern.mp4", "samples/newuser.flac"};
    for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++) {
        model = sounds[i];
        until_enough(read_sound, 1, 1);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(recognisers_report_that_memory_is_out),
    cmocka_unit_test(encoders_report_that_memory_is_out),
    cmocka_unit_test(reading_sound_reports_that_memory_is_out),
};
TESTING_MAIN("audio oom", tests)
