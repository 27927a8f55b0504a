/* audio.h: sound files to samples, samples to log-mel, the Whisper encoder and decoder, transcripts, and the audio encoders
 * whose output an adapter takes into a Llama. */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H

#include "../core/compute.h"
#include "../core/convert.h"
#include "../core/gguf.h"
#include "../core/pairing.h"
#include "../core/partial.h"

#define AUD_RATE_HZ 16000 /* everything behind the decoder is mono float32 at this rate */
#define AUD_N_FFT 400
#define AUD_HOP 160
#define AUD_WINDOW_S 30
#define AUD_WINDOW_SAMPLES (AUD_RATE_HZ * AUD_WINDOW_S)
#define AUD_WINDOW_FRAMES (AUD_WINDOW_SAMPLES / AUD_HOP)

/* ---- sound.c: any file libsndfile or FFmpeg reads, decoded in blocks, mixed to mono, resampled ---- */
typedef struct aud_source aud_source;
typedef struct {
    bool no_sandbox;  /* decode in this process, not in a worker (core/worker.h) */
    double timeout_s; /* for the next block from the worker; 0: core/worker.h's */
    bool accept_truncated;
} aud_open_params;
/* path "-": standard input. The sound of a video is its first audio stream. Refuses files without sound, wrong kinds, and truncated files
 * unless they are accepted, with one line. */
sn_status aud_source_open(aud_source **out, const char *path, const aud_open_params *p /* NULL: defaults */, sn_err *err);
/* Whether a file that begins with these bytes (64 KiB are enough) is of a kind that holds sound alone. */
bool aud_is_sound(const void *head, size_t n);
/* Which streams a container has; a cover picture is none. What was found goes to *sound and *moving. */
sn_status aud_container_streams(const char *path, bool *sound, bool *moving, sn_err *err);
/* `n` mono samples at AUD_RATE_HZ that are in memory already; borrowed until close. */
sn_status aud_source_from_samples(aud_source **out, const float *samples, size_t n, sn_err *err);
void aud_source_close(aud_source *s);
/* Up to n samples; *got < n only at the end. Non-finite samples become 0. */
sn_status aud_source_read(aud_source *s, float *dst, size_t n, size_t *got, sn_err *err);
/* Seconds as the file declares them, or a negative number where it does not. For progress only. */
double aud_source_seconds(const aud_source *s);
/* When it has been read to its end: how much of the file was there. */
const sn_partial *aud_source_partial(const aud_source *s);
/* The whole of it, at most max_samples (SN_ELIMIT beyond). sn_free *out. */
sn_status aud_source_read_all(aud_source *s, size_t max_samples, float **out, size_t *n, sn_err *err);

/* ---- mel.c: the log-mel spectrogram of Whisper (Radford et al. 2022; WhisperFeatureExtractor) ---- */
typedef struct aud_mel aud_mel; /* filters and tables; immutable */
sn_status aud_mel_open(aud_mel **out, size_t n_mel, const float *filters /* [n_mel, 201] or NULL: Slaney's */, sn_err *err);
void aud_mel_close(aud_mel *m);
/* log10 of the mel power before the clamp to a maximum: out [n_mel, n_frame], n_frame = n_samples / 160 frames of the sound
 * `samples` (centred, reflected at both ends), rows ld apart. */
sn_status aud_mel_log10(const aud_mel *m, sn_compute *c, const float *samples, size_t n_samples, float *out, size_t ld, sn_err *err);
/* out = (max(x, max(x) - 8) + 4) / 4 over the first n_frame columns. `maximum`: the maximum to use, or NULL for their own. */
void aud_mel_normalise(float *x, size_t n_mel, size_t n_frame, size_t ld, const float *maximum);

/* ---- encoder.c: the Whisper encoder, shared by Whisper itself and by the audio families ---- */
typedef struct aud_encoder aud_encoder;
typedef struct {
    size_t n_mel, n_embd, n_head, n_layer, n_ff, n_ctx /* positions: 1500 */;
    float eps;
    bool no_post_norm; /* leave the last layer norm to the caller */
} aud_encoder_hparams;
const aud_encoder_hparams *aud_encoder_get_hparams(const aud_encoder *e);
/* mel [n_mel, n_frame] -> out [(n_frame + 1) / 2, n_embd], n_frame <= 2 * n_ctx. Keys from n_valid on are masked in every layer
 * (n_valid = rows for none; 1 <= n_valid <= rows). */
sn_status aud_encoder_run(aud_encoder *e, const float *mel, size_t n_frame, size_t n_valid, float *out, sn_err *err);

/* ---- families: an encoder with its adapter, opened from an mmproj GGUF (registry.c, families/ *.c) ---- */
typedef struct aud_model aud_model;
sn_status aud_model_open(aud_model **out, const char *path, sn_compute *c, sn_err *err);
void aud_model_close(aud_model *m);
const char *aud_model_family(const aud_model *m);
/* Family i, with what it knows of its decoders; NULL behind the last. */
const char *aud_family_at(size_t i, const sn_pairing **pairing);
size_t aud_model_n_embd(const aud_model *m); /* width of the rows: must equal the decoder's */
size_t aud_model_bytes(const aud_model *m);
size_t aud_model_n_tok(const aud_model *m, size_t n_samples); /* the one place the count is decided */
/* samples -> out [n_tok, n_embd], caller-owned. */
sn_status aud_model_encode(aud_model *m, const float *samples, size_t n_samples, float *out, sn_err *err);
/* The log-mel that would enter the encoder: *out [n_mel, *n_frame], sn_free it. */
sn_status aud_model_mel(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_mel, size_t *n_frame, sn_err *err);
/* Marker text around the rows ("[BEGIN_AUDIO]"), "" where none; control tokens are parsed in them. */
const char *aud_model_before(const aud_model *m);
const char *aud_model_after(const aud_model *m);

/* ---- whisper.c, decoder.c, transcribe.c ---- */
typedef struct aud_whisper aud_whisper;                                                      /* encoder, decoder, vocabulary, filters */
sn_status aud_whisper_open(aud_whisper **out, const char *path, sn_compute *c, sn_err *err); /* ggml-*.bin or GGUF */
void aud_whisper_close(aud_whisper *w);
bool aud_whisper_multilingual(const aud_whisper *w);
size_t aud_whisper_bytes(const aud_whisper *w);
aud_encoder *aud_whisper_encoder(aud_whisper *w);
const aud_mel *aud_whisper_mel(const aud_whisper *w);

/* What a whisper.cpp ggml-*.bin holds, without opening it as a model. */
typedef struct {
    size_t n_bytes, n_vocab, n_mel, n_embd, n_audio_layer, n_text_layer;
    size_t n_tensors, n_values, type_bytes[SN_TYPE_MAX]; /* type_bytes: by sn_type */
} aud_whisper_facts;
/* *is_bin false, and *out untouched, when the file is no ggml-*.bin. */
sn_status aud_whisper_bin_facts(aud_whisper_facts *out, bool *is_bin, const char *path, sn_err *err);

typedef struct {
    const char *language; /* "en", ..., "auto"; NULL: "auto" for multilingual models, "en" otherwise */
    bool translate;       /* to English */
    bool word_timestamps;
    float temperature, temperature_step; /* first try, and what each fallback adds, up to 1 (defaults 0 and 0.2) */
    float compression_ratio_max;         /* 2.4 */
    float log_prob_min;                  /* -1.0 */
    float no_speech_max;                 /* 0.6 */
    bool condition_on_previous;          /* true */
    const char *prompt;                  /* text before the first window, or NULL; data */
    uint64_t seed;
} aud_transcribe_params;
void aud_transcribe_defaults(aud_transcribe_params *p);

typedef struct {
    double start_s, end_s;
    const char *text; /* UTF-8, valid until the callback returns */
    float avg_log_prob, no_speech_prob, compression_ratio, temperature;
} aud_segment;
typedef struct {
    void (*segment)(void *user, const aud_segment *s);           /* as they are made, in order */
    bool (*progress)(void *user, double done_s, double total_s); /* false cancels; total < 0: unknown; may be NULL */
    void *user;
} aud_transcribe_callbacks;
/* Reads `src` to its end in windows: memory does not grow with its length. *language (may be NULL) is set to the code used
 * or detected (static string). *seconds: how much sound there was. */
sn_status aud_transcribe(aud_whisper *w, aud_source *src, const aud_transcribe_params *p, const aud_transcribe_callbacks *cb,
                         const char **language, double *seconds, sn_err *err);

/* bench.c: the seconds of one window of noise: log-mel and encoder; n_tokens greedy tokens behind it. */
sn_status aud_whisper_bench(aud_whisper *w, size_t n_tokens, double *encode_s, double *decode_s, sn_err *err);

/* convert_ct2.c: a CTranslate2 Whisper folder (model.bin, vocabulary, config) as a GGUF that aud_whisper_open reads. */
sn_status aud_convert_ct2(const char *dir, const char *out_path, sn_err *err);

/* ---- conversion (convert.c) ---- */
/* Whether a model of this model_type, as config.json has it, has a sound encoder that is converted. */
bool aud_converts(const char *model_type);
/* The sound encoder and projector of a Hugging Face folder as an mmproj GGUF, with the keys, names and values of llama.cpp's converter. Weights
 * pass through in pieces. Errors as of vis_convert and txt_convert. */
sn_status aud_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err);
/* convert_whisper.c: a Hugging Face Whisper folder (model_type "whisper") as a GGUF that aud_whisper_open reads. */
sn_status aud_convert_whisper(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err);

#endif
