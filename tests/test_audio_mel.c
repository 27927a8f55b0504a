/* The log-mel spectrogram against transformers' WhisperFeatureExtractor (tests/golden/make_audio_front.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../audio/audio.h"
#include "../core/mem.h"
#include "testing.h"

#define GOLDEN "tests/golden/audio/front_"
#define TOLERANCE 1e-4 /* after normalisation */

static sn_compute *compute(size_t n_threads)
{
    sn_compute *c;
    sn_err err = {0};
    if (sn_compute_open(&c, n_threads, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

/* samples/jfk.wav with zeros behind it up to n samples (at least its own 176000). */
static float *speech(size_t n)
{
    sn_err err = {0};
    aud_source *s;
    size_t got;
    float *x = calloc(n, sizeof *x);
    assert_non_null(x);
    if (aud_source_open(&s, "samples/jfk.wav", NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(aud_source_read(s, x, n, &got, &err), SN_OK);
    assert_int_equal(got, 176000);
    aud_source_close(s);
    return x;
}

/* The normalised spectrogram of x: [n_mel, n / 160]; free it. */
static float *log_mel(const float *x, size_t n, size_t n_mel, const float *filters, size_t n_threads)
{
    sn_compute *c = compute(n_threads);
    sn_err err = {0};
    aud_mel *m;
    size_t n_frame = n / AUD_HOP;
    float *out = malloc(n_mel * n_frame * sizeof *out);
    assert_non_null(out);
    assert_int_equal(aud_mel_open(&m, n_mel, filters, &err), SN_OK);
    assert_int_equal(aud_mel_log10(m, c, x, n, out, n_frame, &err), SN_OK);
    aud_mel_normalise(out, n_mel, n_frame, n_frame, NULL);
    aud_mel_close(m);
    sn_compute_close(c);
    return out;
}

static void check_window(const char *file, size_t n_mel)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(file, shape, &n_dims), *x = speech(AUD_WINDOW_SAMPLES);
    float *mel = log_mel(x, AUD_WINDOW_SAMPLES, n_mel, NULL, 2);
    assert_int_equal(shape[0], n_mel);
    for (size_t i = 0; i < n_mel; i++)
        for (size_t k = 0; k < shape[1]; k++) assert_float_equal(mel[i * AUD_WINDOW_FRAMES + 37 * k], want[i * shape[1] + k], TOLERANCE);
    free(mel);
    free(want);
    free(x);
}

static void mel_of_80_bands_equals_the_numpy_extractor(void **state)
{
    (void)state;
    check_window(GOLDEN "mel80.npy", 80);
}

static void mel_of_128_bands_equals_the_torch_extractor(void **state)
{
    (void)state;
    check_window(GOLDEN "mel128.npy", 128);
}

static void both_ends_are_reflected(void **state)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(GOLDEN "mel_short.npy", shape, &n_dims), *x = speech(176000);
    float *mel = log_mel(x + 50000, 12345, 80, NULL, 1); /* 77 frames and 25 samples */
    (void)state;
    assert_int_equal(shape[1], 77);
    assert_true(testing_max_abs(mel, want, 80 * 77) < TOLERANCE);
    free(mel);
    free(want);
    free(x);
}

static void slaney_filters_equal_the_stored_ones(void **state)
{
    size_t shape[4], n_dims;
    float *filters = testing_npy(GOLDEN "filters80.npy", shape, &n_dims), *x = speech(176000);
    float *own = log_mel(x, 176000, 80, NULL, 2), *theirs = log_mel(x, 176000, 80, filters, 2);
    (void)state;
    assert_true(testing_max_abs(own, theirs, 80 * 1100) < 2e-6);
    filters[20 * 201 + 20] *= 1.01f; /* and they are what is used */
    free(theirs);
    theirs = log_mel(x, 176000, 80, filters, 2);
    assert_true(testing_max_abs(own, theirs, 80 * 1100) > 1e-5);
    free(own);
    free(theirs);
    free(filters);
    free(x);
}

static void number_of_threads_changes_nothing(void **state)
{
    float *x = speech(176000), *one = log_mel(x, 176000 - 77, 128, NULL, 1), *three = log_mel(x, 176000 - 77, 128, NULL, 3);
    (void)state;
    assert_memory_equal(one, three, 128 * 1099 * sizeof *one);
    free(one);
    free(three);
    free(x);
}

static void silence_is_the_floor(void **state)
{
    static float x[16000];
    float *mel = log_mel(x, 16000, 80, NULL, 1);
    (void)state;
    for (size_t i = 0; i < 80 * 100; i++) assert_float_equal(mel[i], -1.5, 1e-6); /* log10(1e-10) = -10 -> (-10 + 4) / 4 */
    free(mel);
}

static void sound_shorter_than_a_window_of_the_transform_is_reflected_again(void **state)
{
    float x[170], *mel;
    (void)state;
    for (size_t i = 0; i < 170; i++) x[i] = sinf((float)i);
    for (size_t n = 160; n <= 170; n += 10) {
        mel = log_mel(x, n, 80, NULL, 1);
        for (size_t i = 0; i < 80; i++) assert_true(isfinite(mel[i]));
        free(mel);
    }
}

static void rows_may_lie_apart_and_the_maximum_may_be_given(void **state)
{
    sn_compute *c = compute(1);
    sn_err err = {0};
    aud_mel *m;
    float *x = speech(176000), *a = calloc(80 * 1200, sizeof *a), *b = calloc(80 * 1100, sizeof *b), top = 100;
    (void)state;
    assert_int_equal(aud_mel_open(&m, 80, NULL, &err), SN_OK);
    assert_int_equal(aud_mel_log10(m, c, x, 176000, a, 1200, &err), SN_OK);
    assert_int_equal(aud_mel_log10(m, c, x, 176000, b, 1100, &err), SN_OK);
    for (size_t i = 0; i < 80; i++) {
        assert_memory_equal(a + i * 1200, b + i * 1100, 1100 * sizeof *a);
        assert_true(a[i * 1200 + 1100] == 0);
    }
    aud_mel_normalise(b, 80, 1100, 1100, &top);
    for (size_t i = 0; i < 80 * 1100; i++) assert_float_equal(b[i], (100.0f - 8 + 4) / 4, 1e-5);
    aud_mel_close(m);
    sn_compute_close(c);
    free(a);
    free(b);
    free(x);
}

static void impossible_requests_are_refused(void **state)
{
    sn_compute *c = compute(1);
    sn_err err = {0};
    aud_mel *m = NULL;
    float x[400] = {0}, out[160];
    (void)state;
    assert_int_equal(aud_mel_open(&m, 0, NULL, &err), SN_EFORMAT);
    assert_int_equal(aud_mel_open(&m, 513, NULL, &err), SN_EFORMAT);
    assert_int_equal(aud_mel_open(&m, 80, NULL, &err), SN_OK);
    assert_int_equal(aud_mel_log10(m, c, x, 159, out, 1, &err), SN_EUSAGE);
    assert_int_equal(aud_mel_log10(m, c, x, 400, out, 1, &err), SN_EUSAGE); /* 2 frames do not fit in rows of 1 */
    aud_mel_close(m);
    sn_compute_close(c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(mel_of_80_bands_equals_the_numpy_extractor),
    cmocka_unit_test(mel_of_128_bands_equals_the_torch_extractor),
    cmocka_unit_test(both_ends_are_reflected),
    cmocka_unit_test(slaney_filters_equal_the_stored_ones),
    cmocka_unit_test(number_of_threads_changes_nothing),
    cmocka_unit_test(silence_is_the_floor),
    cmocka_unit_test(sound_shorter_than_a_window_of_the_transform_is_reflected_again),
    cmocka_unit_test(rows_may_lie_apart_and_the_maximum_may_be_given),
    cmocka_unit_test(impossible_requests_are_refused),
};
TESTING_MAIN("audio_mel", tests)
