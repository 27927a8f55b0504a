/* whisper.h: what the Whisper files of this room share (Radford et al. 2022): the model file, the vocabulary, the decoder.
 *
 *   whisper.c        aud_whisper: opens a file, binds every weight
 *   whisper_bin.c    ggml-*.bin (whisper.cpp) as a table of tensors
 *   whisper_vocab.c  token ids <-> bytes, special tokens, languages, tokens that are no speech
 *   decoder.c        token rows -> logits, with the caches of self- and cross-attention
 *   chorus.c         the rows of several transcriptions at once
 *   whisper_keys.c   the keys of a GGUF that is written
 *   transcribe_*.c   windows, temperatures, timestamps, segments */
#ifndef AUDIO_WHISPER_H
#define AUDIO_WHISPER_H

#include "../core/file.h"
#include "../core/nn.h"
#include "audio.h"
#include "encoder.h"

#define AUD_MEL_BINS 201       /* of a 400-point transform */
#define AUD_MAX_LANGUAGES 100  /* large-v3 has them all, models before it 99 */
#define AUD_N_TIMESTAMPS 1501  /* <|0.00|> .. <|30.00|>, 20 ms apart */
#define AUD_N_AUDIO_CTX 1500   /* encoder rows of a window, 20 ms apart */
#define AUD_FRAMES_PER_STAMP 2 /* mel frames between two timestamps */
#define AUD_BEST_OF 5          /* texts drawn in parallel where the temperature is not 0 */
#define AUD_MAX_HEADS 256      /* alignment heads a file may name */

/* ---- whisper_vocab.c ---- */

/* Ids of the special tokens. Text tokens are those below eot; the order is one of the model family:
 * text, eot, sot, languages, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps, 1501 timestamps. */
typedef struct {
    int32_t eot, sot, language /* the first of n_languages */, translate, transcribe, sot_lm, sot_prev, no_speech, no_timestamps;
    int32_t timestamp; /* <|0.00|> */
    size_t n_languages;
} aud_special;

/* SN_EFORMAT unless n_vocab leaves 1 .. AUD_MAX_LANGUAGES languages behind eot. */
sn_status aud_special_init(aud_special *s, size_t n_vocab, size_t eot, sn_err *err);

typedef struct {
    unsigned char *bytes; /* of all words, one behind the other */
    size_t n_bytes, cap_bytes;
    uint32_t *start; /* [n + 1] into bytes; word i is bytes[start[i] .. start[i + 1]) */
    size_t n, cap;   /* cap: entries of start */
    int32_t *slots;  /* [n_slots] open-addressing hash of the words: id, or -1 */
    size_t n_slots;  /* a power of two */
    aud_special special;
    bool *suppress; /* [n_vocab]: never sampled (symbols that are not spoken, control tokens) */
    int32_t space;  /* the token " ": not at the start of a window; -1 where there is none */
} aud_vocab;

/* Words in the order of their ids; then aud_vocab_finish once. aud_vocab_free at any point after zeroing *v. */
sn_status aud_vocab_add(aud_vocab *v, const void *bytes, size_t n, sn_err *err);
/* A word in GPT-2's printable spelling of bytes ("Ġthe" for " the"), as stored in GGUF and tokenizer.json. */
sn_status aud_vocab_add_printable(aud_vocab *v, const char *utf8, size_t n, sn_err *err);
/* Words from special.eot on are dropped; there must be that many. */
sn_status aud_vocab_finish(aud_vocab *v, const aud_special *special, size_t n_vocab, sn_err *err);
void aud_vocab_free(aud_vocab *v);
/* The bytes of a text token; nothing for a special one. */
sn_str aud_vocab_bytes(const aud_vocab *v, int32_t id);
/* Byte-level BPE; words are numbered in the order of their merges, as in GPT-2. Control tokens' spellings are text.
 * *ids from sn_alloc. */
sn_status aud_vocab_encode(const aud_vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids, sn_err *err);
/* "en", ... of a language index < AUD_MAX_LANGUAGES; the index of a code or an English name ("german"), or -1. */
const char *aud_language_code(size_t i);
int aud_language_find(const char *code);
/* Whole, valid UTF-8 without control characters but \n and \t, spaces at both ends cut; what is not valid becomes U+FFFD.
 * dst has room for 3 * n + 1 bytes. Returns the length. */
size_t aud_text_clean(char *dst, const unsigned char *src, size_t n);

/* ---- the file: either kind as numbers, words and tensors ---- */
typedef struct {
    size_t n_vocab, n_mel, n_embd, n_audio_head, n_audio_layer, n_text_ctx, n_text_head, n_text_layer;
    bool multilingual;
} aud_whisper_hparams;

typedef struct {
    const char *path; /* borrowed, for messages */
    sn_map map;       /* of a .bin */
    sn_gguf *gguf;    /* of a GGUF, else NULL */
    aud_whisper_hparams hp;
    float *filters; /* [n_mel, AUD_MEL_BINS] or NULL */
    aud_vocab vocab;
    sn_tensor *tensors; /* [n_tensors] of a .bin, sorted by name */
    size_t n_tensors;
    int32_t heads[2 * AUD_MAX_HEADS]; /* (layer, head) pairs whose cross-attention follows time */
    size_t n_heads;
} aud_whisper_file;

/* whisper_bin.c: fills f (zeroed but for path and map) from a mapped ggml-*.bin. What it holds is freed by whisper.c. */
sn_status aud_whisper_bin_read(aud_whisper_file *f, sn_err *err);
/* The numbers of either kind, checked against the ranges of docs/formats.md. */
sn_status aud_whisper_hparams_check(const aud_whisper_hparams *hp, size_t n_audio_ctx, sn_err *err);

/* ---- decoder.c ---- */
typedef struct {                /* names: OpenAI's, as they stand in both kinds of file, below decoder.blocks.N. */
    sn_norm ln1;                /* attn_ln [n_embd] */
    sn_linear q, k, v, out;     /* attn.{query,key,value,out} [n_embd, n_embd]; k has no bias */
    sn_norm ln2;                /* cross_attn_ln [n_embd] */
    sn_linear cq, ck, cv, cout; /* cross_attn.* [n_embd, n_embd]; ck has no bias */
    sn_norm ln3;                /* mlp_ln [n_embd] */
    sn_linear fc1, fc2;         /* mlp.0 [4 n_embd, n_embd], mlp.2 [n_embd, 4 n_embd] */
} aud_decoder_block;

typedef struct {
    sn_linear embed;           /* decoder.token_embedding [n_vocab, n_embd], also the output */
    float *positions;          /* decoder.positional_embedding [n_text_ctx, n_embd] */
    aud_decoder_block *blocks; /* [n_text_layer] */
    sn_norm ln;                /* decoder.ln [n_embd] */
} aud_decoder_weights;

void aud_decoder_weights_free(aud_decoder_weights *d, size_t n_layer);
size_t aud_decoder_weights_bytes(const aud_decoder_weights *d, size_t n_layer);

typedef struct aud_chorus aud_chorus;

struct aud_whisper {
    aud_whisper_file file;
    sn_compute *compute; /* borrowed */
    aud_encoder *encoder;
    aud_mel *mel;
    aud_decoder_weights decoder;
    aud_chorus *chorus; /* of the transcriptions that write at once; NULL where the compute has one caller */
    char *path;         /* owned; file.path points here */
};

/* One run of token rows through the decoder: caches and scratch for up to n_seq texts that are written in parallel over the
 * same window. */
typedef struct {
    const aud_whisper *w;
    size_t n_seq;                /* room for so many */
    uint16_t *self_k, *self_v;   /* f16 [n_seq, n_layer, n_text_ctx, n_embd] */
    uint16_t *cross_k, *cross_v; /* f16 [n_layer, AUD_N_AUDIO_CTX, n_embd]: of the present window */
    float *x;                    /* [n_text_ctx, n_embd]: the last run's rows behind the final norm */
    sn_arena tmp;
} aud_decoder;

typedef struct {
    int32_t token;
    uint32_t seq, pos;
} aud_decoder_row;

sn_status aud_decoder_init(aud_decoder *d, const aud_whisper *w, sn_err *err);
void aud_decoder_free(aud_decoder *d);
size_t aud_decoder_bytes(const aud_decoder *d);
/* Room for n_seq texts: grows the caches, what is cached of sequence 0 stays. */
sn_status aud_decoder_reserve(aud_decoder *d, size_t n_seq, sn_err *err);
/* states [AUD_N_AUDIO_CTX, n_embd]: the encoder's output, from which every layer's cross keys and values are made. */
void aud_decoder_set_window(aud_decoder *d, const float *states);
/* n <= n_text_ctx rows; the rows of one sequence stand together, at rising, consecutive positions, the first of which
 * follows what that sequence has cached. Then d->x holds the rows' final states. */
void aud_decoder_run(aud_decoder *d, const aud_decoder_row *rows, size_t n);
/* Rows of one decoder among those that are run at once; self_k and so on are each decoder's own. */
typedef struct {
    aud_decoder *d;
    const aud_decoder_row *rows; /* [n] */
    size_t n;
} aud_decoder_part;
/* The parts of decoders of one model, x [sum of n, n_embd]: what aud_decoder_run makes of each. tmp: aud_decoder_scratch_bytes. */
void aud_decoder_run_parts(const aud_whisper *w, const aud_decoder_part *parts, size_t n_parts, float *x, sn_arena *tmp);
size_t aud_decoder_scratch_bytes(const aud_whisper *w, size_t n);
/* aud_decoder_run and the logits [n, n_vocab] of its rows, n <= AUD_BEST_OF: along with those of others who have joined the chorus. Takes
 * the turn. */
void aud_decoder_next(aud_decoder *d, const aud_decoder_row *rows, size_t n, float *logits);
/* logits [n, n_vocab] of the last run's rows first .. first + n - 1. */
void aud_decoder_logits(aud_decoder *d, size_t first, size_t n, float *logits);
/* What sequence 0 has cached at positions below n, for all sequences below n_seq. */
void aud_decoder_fork(aud_decoder *d, size_t n_seq, size_t n);

/* ---- chorus.c; c NULL: there is none, and nothing happens ---- */
sn_status aud_chorus_open(aud_chorus **out, const aud_whisper *w, sn_err *err);
void aud_chorus_close(aud_chorus *c);
size_t aud_chorus_bytes(const aud_chorus *c);
void aud_chorus_join(aud_chorus *c);
void aud_chorus_leave(aud_chorus *c);
void aud_chorus_next(aud_chorus *c, const aud_decoder_part *part, float *logits);

/* ---- whisper_keys.c: of a file that is converted ---- */
typedef struct {
    const sn_str *words; /* [n], one a row of the embedding */
    size_t n, eot;
    const int32_t *heads; /* [2 n_heads] pairs of layer and head */
    size_t n_heads;
} aud_whisper_words;
/* All keys but general.*. */
void aud_whisper_set_keys(sn_gguf_writer *w, const aud_whisper_words *v, const aud_whisper_hparams *hp);
/* Where the end of text is; SN_EFORMAT where it or one of the special tokens does not stand where the model's arithmetic expects it. */
sn_status aud_whisper_find_eot(const sn_str *words, size_t n, size_t *eot, sn_err *err);
/* alignment_heads, [[layer, head], ...], of the file DIR/NAME; neither the file nor the list must be there. */
sn_status aud_whisper_read_heads(int32_t heads[2 * AUD_MAX_HEADS], size_t *n_heads, const char *dir, const char *name,
                                 const aud_whisper_hparams *hp, sn_err *err);

#endif
