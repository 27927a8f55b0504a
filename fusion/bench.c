/* bench.c: the measured parts of `senses bench`: real work on synthetic input, timed around the work alone. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

#define BENCH_SIDE_PX 1024 /* of the synthetic picture */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The state's next value: a linear congruential step (Numerical Recipes), for inputs that are the same everywhere. */
static uint32_t next_value(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

senses_status senses_bench_encoder_input(senses_encoder *c, senses_image **img, senses_sound **snd, senses_error *err)
{
    uint32_t state = 1;
    if (c->vision) {
        senses_image *i = calloc(1, sizeof *i);
        if (i) i->pixels.rgb = malloc((size_t)BENCH_SIDE_PX * BENCH_SIDE_PX * 3); /* [h, w, 3] */
        if (i == NULL || i->pixels.rgb == NULL) {
            free(i);
            return sn_fail(err, SN_ENOMEM, "out of memory for a picture");
        }
        i->pixels.w = i->pixels.h = BENCH_SIDE_PX;
        for (size_t k = 0; k < (size_t)BENCH_SIDE_PX * BENCH_SIDE_PX * 3; k++) i->pixels.rgb[k] = (unsigned char)(next_value(&state) >> 24);
        *img = i;
        return SN_OK;
    }
    senses_sound *s = calloc(1, sizeof *s);
    if (s) s->samples = sn_alloc(AUD_WINDOW_SAMPLES, sizeof(float));
    if (s == NULL || s->samples == NULL) {
        free(s);
        return sn_fail(err, SN_ENOMEM, "out of memory for a sound");
    }
    s->n = AUD_WINDOW_SAMPLES;
    for (size_t k = 0; k < s->n; k++) s->samples[k] = (float)(int32_t)next_value(&state) * 0x1p-34f;
    *snd = s;
    return SN_OK;
}

/* n tokens, all at once or one by one, on a cold cache. */
static sn_status bench_text(senses_text *t, size_t n, bool one_by_one, double *seconds, sn_err *err)
{
    const size_t n_vocab = senses_text_n_vocab(t);
    txt_session *s = NULL;
    uint32_t state = 1;
    txt_id *ids = sn_alloc(n, sizeof *ids);
    float *logits = sn_alloc(n_vocab, sizeof *logits); /* [n_vocab] */
    sn_status st = ids && logits ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory for %zu tokens", n);
    if (st == SN_OK) st = txt_session_open(&s, t->model, n, err);
    for (size_t i = 0; st == SN_OK && i < n; i++) ids[i] = (txt_id)(next_value(&state) % (uint32_t)n_vocab);
    const double start = now_s();
    if (st == SN_OK && !one_by_one) st = txt_session_eval_ids(s, ids, n, logits, false, err);
    for (size_t i = 0; st == SN_OK && one_by_one && i < n; i++) st = txt_session_eval_ids(s, &ids[i], 1, logits, false, err);
    if (st == SN_OK) *seconds = now_s() - start;
    txt_session_close(s);
    sn_free(ids);
    sn_free(logits);
    return st;
}

senses_status senses_bench_prompt(senses_text *t, size_t n, double *seconds, senses_error *err)
{
    return bench_text(t, n, false, seconds, err);
}

senses_status senses_bench_generate(senses_text *t, size_t n, double *seconds, senses_error *err)
{
    return bench_text(t, n, true, seconds, err);
}

senses_status senses_bench_whisper(senses_whisper *w, size_t n_tokens, double *encode_s, double *decode_s, senses_error *err)
{
    return aud_whisper_bench(w->model, n_tokens, encode_s, decode_s, err);
}
