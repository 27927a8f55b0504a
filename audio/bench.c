/* bench.c: the parts of a transcription that are measured, on a synthetic window. */
#include "whisper.h"

#include "../core/mem.h"

#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The token with the largest logit. */
static int32_t greedy(const float *logits, size_t n_vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < n_vocab; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* n greedy tokens behind the start token, one by one, the window's cross keys and values included. */
static void decode_window(aud_decoder *d, const aud_whisper *w, const float *states, size_t n, float *logits)
{
    aud_decoder_row row = {.token = w->file.vocab.special.sot};
    aud_decoder_set_window(d, states);
    for (size_t i = 0; i < n; i++) {
        row.pos = (uint32_t)i;
        aud_decoder_run(d, &row, 1);
        aud_decoder_logits(d, 0, 1, logits);
        row.token = greedy(logits, w->file.hp.n_vocab);
    }
}

sn_status aud_whisper_bench(aud_whisper *w, size_t n_tokens, double *encode_s, double *decode_s, sn_err *err)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    aud_decoder d = {0};
    uint32_t state = 1;
    float *samples = sn_alloc(AUD_WINDOW_SAMPLES, sizeof(float));
    float *mel = sn_alloc(hp->n_mel * AUD_WINDOW_FRAMES, sizeof(float));   /* [n_mel, 3000] */
    float *states = sn_alloc(AUD_N_AUDIO_CTX * hp->n_embd, sizeof(float)); /* [1500, n_embd] */
    float *logits = sn_alloc(hp->n_vocab, sizeof(float));                  /* [n_vocab] */
    sn_status st = samples && mel && states && logits ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory for a window");
    if (n_tokens > hp->n_text_ctx) n_tokens = hp->n_text_ctx;
    if (st == SN_OK) st = aud_decoder_init(&d, w, err);
    for (size_t i = 0; st == SN_OK && i < AUD_WINDOW_SAMPLES; i++) {
        state = state * 1664525u + 1013904223u; /* noise that is the same everywhere (Numerical Recipes) */
        samples[i] = (float)(int32_t)state * 0x1p-34f;
    }
    double start = now_s();
    if (st == SN_OK) st = aud_mel_log10(w->mel, w->compute, samples, AUD_WINDOW_SAMPLES, mel, AUD_WINDOW_FRAMES, err);
    if (st == SN_OK) aud_mel_normalise(mel, hp->n_mel, AUD_WINDOW_FRAMES, AUD_WINDOW_FRAMES, NULL);
    if (st == SN_OK) st = aud_encoder_run(w->encoder, mel, AUD_WINDOW_FRAMES, AUD_N_AUDIO_CTX, states, err);
    if (st == SN_OK) {
        *encode_s = now_s() - start;
        start = now_s();
        decode_window(&d, w, states, n_tokens, logits);
        *decode_s = now_s() - start;
    }
    aud_decoder_free(&d);
    sn_free(samples);
    sn_free(mel);
    sn_free(states);
    sn_free(logits);
    return st;
}
