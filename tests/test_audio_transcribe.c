/* Transcription: the rules of sampling against transformers' (tests/golden/make_audio_whisper.py), windows and their seams,
 * silence, and what callers may ask for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../audio/transcribe.h"
#include "../core/mem.h"
#include "testing.h"

#define GOLDEN "tests/golden/audio/"

/* ---- helpers ---- */

static sn_compute *compute(size_t n_threads)
{
    sn_compute *c;
    sn_err err = {0};
    if (sn_compute_open(&c, n_threads, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static const char *tiny(void)
{
    sn_err err = {0};
    const char *path = testing_temp("", 0);
    if (aud_convert_ct2(GOLDEN "whisper_tiny_f16", path, &err) != SN_OK) fail_msg("%s", err.msg);
    return path;
}

static const char *real(void)
{
    const char *path = testing_model("whisper-tiny.en.gguf");
    if (path == NULL) testing_skip("whisper-tiny.en.gguf is not there");
    return path;
}

static aud_whisper *opened(const char *path, sn_compute *c)
{
    aud_whisper *w;
    sn_err err = {0};
    if (aud_whisper_open(&w, path, c, &err) != SN_OK) fail_msg("%s", err.msg);
    return w;
}

/* A WAV file of mono 16-bit samples at 16 kHz. */
static const char *wav(const int16_t *x, size_t n)
{
    const uint32_t bytes = (uint32_t)(2 * n), riff = bytes + 36, rate = AUD_RATE_HZ, byte_rate = 2 * AUD_RATE_HZ, sixteen = 16;
    const uint16_t pcm = 1, mono = 1, align = 2, bits = 16;
    unsigned char *p = malloc(44 + bytes);
    assert_non_null(p);
    memcpy(p, "RIFF", 4), memcpy(p + 4, &riff, 4), memcpy(p + 8, "WAVEfmt ", 8), memcpy(p + 16, &sixteen, 4), memcpy(p + 20, &pcm, 2);
    memcpy(p + 22, &mono, 2), memcpy(p + 24, &rate, 4), memcpy(p + 28, &byte_rate, 4), memcpy(p + 32, &align, 2), memcpy(p + 34, &bits, 2);
    memcpy(p + 36, "data", 4), memcpy(p + 40, &bytes, 4), memcpy(p + 44, x, bytes);
    const char *path = testing_temp(p, 44 + bytes);
    free(p);
    return path;
}

static const char *noise(double seconds)
{
    const size_t n = (size_t)(seconds * AUD_RATE_HZ);
    int16_t *x = malloc(n * sizeof *x);
    uint32_t seed = 5;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (int16_t)((int32_t)seed >> 18);
    }
    const char *path = wav(x, n);
    free(x);
    return path;
}

typedef struct {
    char text[1 << 15];
    size_t n;
    double last_start, last_end, done;
    float lowest_temperature;
    size_t stop_after; /* progress calls; 0: never */
    size_t n_progress;
    const char *language;
    double seconds;
} heard;

static void on_segment(void *user, const aud_segment *s)
{
    heard *h = user;
    assert_true(s->end_s > s->start_s);
    assert_true(s->start_s >= h->last_start);
    h->last_start = s->start_s;
    h->last_end = s->end_s;
    if (h->n++ == 0 || s->temperature < h->lowest_temperature) h->lowest_temperature = s->temperature;
    if (strlen(h->text) + strlen(s->text) + 2 < sizeof h->text) {
        strcat(h->text, s->text);
        strcat(h->text, " ");
    }
}

static bool on_progress(void *user, double done_s, double total_s)
{
    heard *h = user;
    (void)total_s;
    assert_true(done_s > h->done);
    h->done = done_s;
    return ++h->n_progress != h->stop_after;
}

static sn_status transcribe(aud_whisper *w, const char *path, const aud_transcribe_params *params, heard *h, sn_err *err)
{
    const aud_transcribe_callbacks cb = {.segment = on_segment, .progress = on_progress, .user = h};
    aud_transcribe_params defaults;
    aud_source *src;
    aud_transcribe_defaults(&defaults);
    if (aud_source_open(&src, path, NULL, err) != SN_OK) fail_msg("%s", err->msg);
    const sn_status st = aud_transcribe(w, src, params == NULL ? &defaults : params, &cb, &h->language, &h->seconds, err);
    aud_source_close(src);
    return st;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part)) n++;
    return n;
}

/* ---- one window ---- */

static void greedy_text_follows_the_rules_of_transformers(void **state)
{
    (void)state;
    size_t shape[4], n_dims;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(tiny(), c);
    aud_scribe s;
    aud_transcribe_params p;
    float *want = testing_npy(GOLDEN "whisper_tiny_greedy.npy", shape, &n_dims);
    float *mel = malloc(80 * 3000 * sizeof *mel), *states = malloc(AUD_N_AUDIO_CTX * w->file.hp.n_embd * sizeof *states);
    for (int i = 0; i < 80; i++)
        for (int j = 0; j < 3000; j++) mel[i * 3000 + j] = (float)(0.5 * sin(0.37 * i + 0.011 * j * (1 + i % 7)) + 0.25 * cos(0.05 * j));
    aud_transcribe_defaults(&p);
    p.log_prob_min = -100; /* the first try counts */
    p.compression_ratio_max = 100;
    assert_int_equal(aud_scribe_init(&s, w, &p, &err), SN_OK);
    assert_int_equal(aud_encoder_run(aud_whisper_encoder(w), mel, AUD_WINDOW_FRAMES, AUD_N_AUDIO_CTX, states, &err), SN_OK);
    aud_decoder_set_window(&s.decoder, states);
    int32_t tokens[64];
    aud_hearing h = {.tokens = tokens};
    assert_int_equal(aud_scribe_hear(&s, &w->file.vocab.special.sot, 1, 0, &h, &err), SN_OK);
    assert_int_equal(h.n + 2, shape[0]);
    for (size_t i = 0; i < h.n; i++)
        if ((float)tokens[i] != want[i]) fail_msg("token %zu is %d, want %g", i, (int)tokens[i], (double)want[i]);
    assert_true(fabsf(h.avg_log_prob - want[h.n]) < 2e-3f);
    assert_true(fabsf(h.no_speech_prob - want[h.n + 1]) < 1e-3f * want[h.n + 1]);
    assert_true(h.temperature == 0);
    aud_scribe_free(&s);
    free(want);
    free(mel);
    free(states);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void timestamps_come_in_rising_pairs(void **state)
{
    (void)state;
    sn_compute *c = compute(1);
    aud_whisper *w = opened(tiny(), c);
    const aud_special *sp = &w->file.vocab.special;
    const int32_t n_vocab = (int32_t)w->file.hp.n_vocab, t0 = sp->timestamp, word = 70;
    const struct {
        int32_t tokens[4];
        size_t n;
        bool text, end;      /* allowed? */
        int32_t first, last; /* timestamps allowed; none where last < first */
    } cases[] = {
        {{0}, 0, false, false, 0, 50},                          /* the first is a timestamp, up to 1 s */
        {{t0 + 5}, 1, true, true, 0, -1},                       /* then text */
        {{t0 + 5, word}, 2, true, true, 6, 1500},               /* then text or a later timestamp */
        {{t0 + 5, word, t0 + 9}, 3, false, true, 9, 1500},      /* its pair, not before it; or the end */
        {{t0 + 5, word, t0 + 9, t0 + 9}, 4, true, true, 0, -1}, /* the pair is whole: text, or the end */
        {{word, t0 + 9, t0 + 9, word}, 4, true, true, 10, 1500},
    };
    float *x = malloc((size_t)n_vocab * sizeof *x);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int32_t k = 0; k < n_vocab; k++) x[k] = 1;
        aud_scribe_rules(&w->file.vocab, n_vocab, cases[i].tokens, cases[i].n, x);
        if (!isinf(x[word]) != cases[i].text) fail_msg("case %zu: text", i);
        if (!isinf(x[sp->eot]) != cases[i].end) fail_msg("case %zu: end", i);
        for (int32_t k = 0; k < AUD_N_TIMESTAMPS; k++)
            if (!isinf(x[t0 + k]) != (k >= cases[i].first && k <= cases[i].last)) fail_msg("case %zu: timestamp %d", i, (int)k);
        assert_true(isinf(x[sp->sot]) && isinf(x[sp->no_speech]) && isinf(x[sp->no_timestamps]));
    }
    free(x);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void improbable_text_raises_the_temperature_to_1(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    aud_transcribe_params p;
    aud_transcribe_defaults(&p);
    p.no_speech_max = 2; /* never taken for silence */
    p.log_prob_min = 1;  /* never probable enough */
    assert_int_equal(transcribe(w, noise(4), &p, h, &err), SN_OK);
    assert_true(h->n > 0);
    assert_true(fabsf(h->lowest_temperature - 1.0f) < 1e-3f);
    p.log_prob_min = -100;
    p.compression_ratio_max = 1000;
    memset(h, 0, sizeof *h);
    assert_int_equal(transcribe(w, noise(4), &p, h, &err), SN_OK);
    assert_true(h->n > 0);
    assert_true(h->lowest_temperature == 0);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

/* ---- recordings ---- */

static void speech_becomes_text(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(real(), c);
    heard *h = calloc(1, sizeof *h);
    if (transcribe(w, GOLDEN "whisper_jfk.flac", NULL, h, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_string_equal(h->text,
                        "And so my fellow Americans ask not what your country can do for you ask what you can do for your country ");
    assert_string_equal(h->language, "en");
    assert_true(fabs(h->seconds - 11.0) < 1e-6);
    assert_true(h->last_end > 10 && h->last_end <= 11);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void no_word_is_lost_at_the_seams_of_windows(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(real(), c);
    heard *h = calloc(1, sizeof *h);
    aud_source *src;
    float *speech;
    size_t n;
    assert_int_equal(aud_source_open(&src, GOLDEN "whisper_jfk.flac", NULL, &err), SN_OK);
    assert_int_equal(aud_source_read_all(src, AUD_WINDOW_SAMPLES, &speech, &n, &err), SN_OK);
    aud_source_close(src);
    /* Five times the 11 s, 2 s apart: 30 s and 60 s lie inside of the third and the fifth. */
    const size_t step = n + 2 * AUD_RATE_HZ;
    int16_t *x = calloc(5 * step, sizeof *x);
    for (size_t k = 0; k < 5; k++)
        for (size_t i = 0; i < n; i++) x[k * step + i] = (int16_t)lrintf(speech[i] * 32000);
    if (transcribe(w, wav(x, 5 * step), NULL, h, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(count(h->text, "fellow Americans"), 5);
    assert_int_equal(count(h->text, "country"), 10);
    assert_true(fabs(h->seconds - 65) < 1e-6);
    free(x);
    sn_free(speech);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void silence_says_nothing(void **state)
{
    (void)state;
    static const int16_t zero[3 * AUD_RATE_HZ];
    int16_t hum[3 * AUD_RATE_HZ];
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(real(), c);
    heard *h = calloc(1, sizeof *h);
    assert_int_equal(transcribe(w, wav(zero, 3 * AUD_RATE_HZ), NULL, h, &err), SN_OK);
    assert_int_equal(h->n, 0);
    assert_true(fabs(h->seconds - 3) < 1e-6);
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < 3 * AUD_RATE_HZ; i++) hum[i] = (int16_t)lrint(60 * sin(0.02 * (double)i)); /* loud enough to be decoded */
    assert_int_equal(transcribe(w, wav(hum, 3 * AUD_RATE_HZ), NULL, h, &err), SN_OK);
    assert_int_equal(h->n, 0);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void what_is_too_short_for_a_word_says_nothing(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(1);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    assert_int_equal(transcribe(w, noise(0.05), NULL, h, &err), SN_OK);
    assert_int_equal(h->n, 0);
    assert_int_equal(h->n_progress, 0);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void windows_cover_the_recording_whatever_the_model_says(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    aud_transcribe_params p;
    aud_transcribe_defaults(&p);
    p.temperature_step = 0; /* one try a window */
    p.no_speech_max = 2;
    assert_int_equal(transcribe(w, noise(70.01), &p, h, &err), SN_OK);
    assert_true(h->n_progress >= 3);
    assert_true(fabs(h->done - 70.01) < 0.11);
    assert_true(h->last_end <= 70.02);
    assert_true(fabs(h->seconds - 70.01) < 1e-3);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void same_seed_gives_the_same_text_with_any_number_of_threads(void **state)
{
    (void)state;
    sn_err err = {0};
    const char *file = noise(5), *model = tiny();
    enum { N = 8 }; /* the first three with one seed and 1, 2, 3 threads */
    heard *h = calloc(N, sizeof *h);
    size_t n_other = 0;
    for (size_t i = 0; i < N; i++) {
        sn_compute *c = compute(i % 3 + 1);
        aud_whisper *w = opened(model, c);
        aud_transcribe_params p;
        aud_transcribe_defaults(&p);
        p.temperature = 2;
        p.temperature_step = 0;
        p.seed = i < 3 ? 7 : 100 + i;
        p.no_speech_max = 2;
        assert_int_equal(transcribe(w, file, &p, &h[i], &err), SN_OK);
        n_other += i >= 3 && strcmp(h[i].text, h[0].text) != 0;
        aud_whisper_close(w);
        sn_compute_close(c);
    }
    assert_string_equal(h[0].text, h[1].text);
    assert_string_equal(h[0].text, h[2].text);
    assert_true(n_other > 0);
    free(h);
}

static void weights_that_are_not_numbers_end_all_the_same(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    for (int kind = 0; kind < 3; kind++) {
        const float bad = kind == 0 ? NAN : kind == 1 ? INFINITY : -INFINITY;
        for (size_t i = 0; i < w->decoder.ln.n; i++) w->decoder.ln.weight[i] = bad;
        memset(h, 0, sizeof *h);
        assert_int_equal(transcribe(w, noise(35), NULL, h, &err), SN_OK);
        assert_true(fabs(h->done - 35) < 0.11);
    }
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

/* ---- what may be asked for ---- */

static void caller_can_stop(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(1);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    h->stop_after = 1;
    assert_int_equal(transcribe(w, noise(65), NULL, h, &err), SN_ECANCELLED);
    assert_int_equal(h->n_progress, 1);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void prompts_of_any_length_are_context(void **state)
{
    (void)state;
    char longest[20001];
    sn_err err = {0};
    sn_compute *c = compute(1);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    memset(longest, 'a', 20000);
    longest[20000] = '\0';
    const char *const prompts[] = {"", "   ", "the ", "\xff\xfe\xC0", longest};
    aud_transcribe_params p;
    aud_transcribe_defaults(&p);
    p.temperature_step = 0;
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        p.prompt = prompts[i];
        memset(h, 0, sizeof *h);
        if (transcribe(w, noise(2), &p, h, &err) != SN_OK) fail_msg("%s", err.msg);
    }
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void wishes_that_the_model_cannot_fulfil_are_refused(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_compute *c = compute(1);
    aud_whisper *w = opened(tiny(), c);
    heard *h = calloc(1, sizeof *h);
    const char *file = noise(1);
    aud_transcribe_params p;
    aud_transcribe_defaults(&p);
    p.language = "klingon";
    assert_int_equal(transcribe(w, file, &p, h, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "klingon"));
    p.language = "zh"; /* a language of the vocabulary, but the model is not multilingual */
    assert_int_equal(transcribe(w, file, &p, h, &err), SN_EUSAGE);
    p.language = "en";
    p.translate = true;
    assert_int_equal(transcribe(w, file, &p, h, &err), SN_EUSAGE);
    p.translate = false;
    p.temperature = NAN;
    assert_int_equal(transcribe(w, file, &p, h, &err), SN_EUSAGE);
    p.temperature = 0;
    assert_int_equal(transcribe(w, file, &p, h, &err), SN_OK);
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void german_is_recognised_and_translated(void **state)
{
    (void)state;
    const char *model = testing_model("whisper-base.gguf");
    if (model == NULL) testing_skip("whisper-base.gguf is not there");
    sn_err err = {0};
    sn_compute *c = compute(2);
    aud_whisper *w = opened(model, c);
    heard *h = calloc(1, sizeof *h);
    aud_transcribe_params p;
    aud_transcribe_defaults(&p);
    if (transcribe(w, GOLDEN "whisper_german.flac", &p, h, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_string_equal(h->language, "de");
    assert_non_null(strstr(h->text, "hinter diesem Portal"));
    p.translate = true;
    memset(h, 0, sizeof *h);
    if (transcribe(w, GOLDEN "whisper_german.flac", &p, h, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_non_null(strstr(h->text, "portal"));
    free(h);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(greedy_text_follows_the_rules_of_transformers),
    cmocka_unit_test(timestamps_come_in_rising_pairs),
    cmocka_unit_test(improbable_text_raises_the_temperature_to_1),
    cmocka_unit_test(speech_becomes_text),
    cmocka_unit_test(no_word_is_lost_at_the_seams_of_windows),
    cmocka_unit_test(silence_says_nothing),
    cmocka_unit_test(what_is_too_short_for_a_word_says_nothing),
    cmocka_unit_test(windows_cover_the_recording_whatever_the_model_says),
    cmocka_unit_test(same_seed_gives_the_same_text_with_any_number_of_threads),
    cmocka_unit_test(weights_that_are_not_numbers_end_all_the_same),
    cmocka_unit_test(caller_can_stop),
    cmocka_unit_test(prompts_of_any_length_are_context),
    cmocka_unit_test(wishes_that_the_model_cannot_fulfil_are_refused),
    cmocka_unit_test(german_is_recognised_and_translated),
};
TESTING_MAIN("audio_transcribe", tests)
