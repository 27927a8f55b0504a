/* whisper_bench.c: what a window and a token cost, for `senses bench`. */
#include <math.h>
#include <time.h>

#include "../core/mem.h"
#include "whisper.h"

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

sn_status aud_whisper_bench(aud_whisper *w, size_t n_tokens, double *encode_s, double *decode_s, sn_err *err)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    const size_t n_mel_values = hp->n_mel * AUD_WINDOW_FRAMES;
    aud_decoder d = {0};
    float *mel = sn_alloc(n_mel_values, sizeof *mel), *states = sn_alloc(AUD_N_AUDIO_CTX * hp->n_embd, sizeof *states);
    float *logits = sn_alloc(hp->n_vocab, sizeof *logits);
    sn_status st = mel == NULL || states == NULL || logits == NULL ? sn_fail(err, SN_ENOMEM, "no memory for a window") : SN_OK;
    if (st == SN_OK) st = aud_decoder_init(&d, w, err);
    if (st != SN_OK) goto done;
    for (size_t i = 0; i < n_mel_values; i++) mel[i] = 0.5f * sinf((float)i * 0.37f); /* [n_mel, AUD_WINDOW_FRAMES] */

    double start = now_s();
    st = aud_encoder_run(w->encoder, mel, AUD_WINDOW_FRAMES, AUD_N_AUDIO_CTX, states, err);
    if (st != SN_OK) goto done;
    aud_decoder_set_window(&d, states);
    *encode_s = now_s() - start;

    start = now_s();
    aud_decoder_row row = {.token = w->file.vocab.special.sot};
    for (size_t i = 0; i < n_tokens; i++) {
        row.pos = (uint32_t)(i % hp->n_text_ctx);
        aud_decoder_run(&d, &row, 1);
        aud_decoder_logits(&d, 0, 1, logits);
        for (size_t k = 0, best = 0; k < hp->n_vocab; k++)
            if (logits[k] > logits[best]) {
                best = k;
                row.token = (int32_t)k;
            }
    }
    *decode_s = now_s() - start;
done:
    aud_decoder_free(&d);
    sn_free(mel);
    sn_free(states);
    sn_free(logits);
    return st;
}
