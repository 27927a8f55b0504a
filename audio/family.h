/* family.h: what an audio family is: one file in families/, ending in its descriptor, and one line in registry.c. */
#ifndef AUDIO_FAMILY_H
#define AUDIO_FAMILY_H

#include "encoder.h"

#define AUD_MAX_SAMPLES ((size_t)AUD_RATE_HZ * 3600) /* an encoder takes an hour at most: more than any context holds */

typedef struct aud_family aud_family;

/* What every family has: a Whisper encoder and a spectrogram. The adapter is the family's own. */
struct aud_model {
    const aud_family *family;
    sn_gguf *gguf;
    sn_compute *compute;
    aud_encoder *encoder;
    aud_mel *mel;
    void *adapter; /* the family's weights; freed by its close */
    size_t n_embd; /* of the rows */
};

struct aud_family {
    const char *name; /* clip.audio.projector_type, or clip.projector_type */
    sn_pairing pairing;
    const char *before, *after; /* the text around the rows */
    bool no_post_norm;          /* the family applies the encoder's last norm itself */
    /* Binds the adapter's tensors into m->adapter and sets m->n_embd; problems stick to b. */
    void (*open)(aud_model *m, sn_bind *b);
    void (*close)(aud_model *m);
    size_t (*bytes)(const aud_model *m);
    size_t (*n_tok)(const aud_model *m, size_t n_samples);
    /* *out [n_mel, *n_frame]: the spectrogram of all of it, as its windows enter the encoder. */
    sn_status (*spectrogram)(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_frame, sn_err *err);
    /* mel from spectrogram -> out [n_tok, n_embd] */
    sn_status (*encode)(aud_model *m, const float *mel, size_t n_frame, size_t n_samples, float *out, sn_err *err);
};

/* The log-mel of `samples` padded with zeros to n_padded >= n_samples, one maximum for all of it: *out [n_mel, n_padded / 160],
 * sn_free it. */
sn_status aud_padded_mel(aud_model *m, const float *samples, size_t n_samples, size_t n_padded, float **out, sn_err *err);

/* Columns [first, first + n) of mel [n_mel, n_frame] as dst [n_mel, n]; columns behind the last are `pad`. */
void aud_cut_mel(float *dst, const float *mel, size_t n_mel, size_t n_frame, size_t first, size_t n, float pad);

/* For a family's open, sticky like sn_bind_*: a whole number in 1 .. max from the metadata; the first axis of a matrix whose
 * inner width only the tensor tells (1 .. 65536). 1 after a problem. */
size_t aud_bind_u32(sn_bind *b, const char *key, uint32_t max);
size_t aud_bind_rows(sn_bind *b, const char *tensor);

extern const aud_family aud_qwen2audio, aud_ultravox, aud_voxtral;

#endif
