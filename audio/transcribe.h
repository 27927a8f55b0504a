/* transcribe.h: what the files of the transcription share.
 *
 *   transcribe.c         the loop over windows: reads, encodes, cuts into segments, keeps the context
 *   transcribe_window.c  one window: prompt, sampling under the timestamp rules, temperatures */
#ifndef AUDIO_TRANSCRIBE_H
#define AUDIO_TRANSCRIBE_H

#include "whisper.h"

/* What one window was heard to say. */
typedef struct {
    int32_t *tokens; /* [n], text and timestamps, no end token; room for n_text_ctx / 2 */
    size_t n;
    float avg_log_prob, no_speech_prob, compression_ratio, temperature;
} aud_hearing;

/* The memory of a transcription; all of it is there before the first window but for the caches of sequences 1.., which come
 * with the first temperature above 0. */
typedef struct {
    aud_whisper *w;
    const aud_transcribe_params *params;
    aud_decoder decoder;
    float *first;          /* [n_vocab] logits behind the prompt */
    float *logits;         /* [AUD_BEST_OF, n_vocab] */
    int32_t *drawn;        /* [AUD_BEST_OF, n_text_ctx / 2] */
    int32_t *kept;         /* [n_text_ctx / 2]: the text of the present temperature */
    aud_decoder_row *rows; /* [n_text_ctx] */
    char *text, *clean;    /* [cap_text], of one hearing */
    size_t cap_text;
    size_t max_tokens; /* n_text_ctx / 2: of a window's text, and one more than of the context before it */
    uint64_t random;
} aud_scribe;

sn_status aud_scribe_init(aud_scribe *s, aud_whisper *w, const aud_transcribe_params *p, sn_err *err);
void aud_scribe_free(aud_scribe *s);
/* Hears the decoder's present window behind prompt[n_prompt] (n_prompt <= n_text_ctx / 2 + 3), whose start-of-transcript token is
 * at sot: at params->temperature, then at higher ones as long as the text repeats itself or is improbable. out->tokens is
 * the caller's. */
sn_status aud_scribe_hear(aud_scribe *s, const int32_t *prompt, size_t n_prompt, size_t sot, aud_hearing *out, sn_err *err);
/* Forbids (-inf) in the logits x[n_vocab] what the rules do not allow behind tokens[n]: symbols that are not spoken; at the
 * start, anything but a timestamp up to 1 s; timestamps but in pairs around a text and in rising order. */
void aud_scribe_rules(const aud_vocab *v, int32_t n_vocab, const int32_t *tokens, size_t n, float *x);
/* The index of the most probable language of the decoder's present window. */
size_t aud_scribe_language(aud_scribe *s);
/* The text of tokens as clean UTF-8 in s->clean, valid until the next call; timestamps and control tokens say nothing. */
const char *aud_scribe_text(aud_scribe *s, const int32_t *tokens, size_t n);

#endif
