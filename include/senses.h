/* senses.h: the public C API of libsenses: images and speech into a Llama, text out.
 *
 *   senses_engine   threads and instruction set; everything below borrows one
 *   senses_text     a text decoder (GGUF), immutable once open, shared by sessions
 *   senses_encoder  an image or audio encoder with its adapter into a decoder's embedding space (mmproj GGUF)
 *   senses_cache    a folder of media encoded before; may be set on encoders
 *   senses_whisper  a speech recogniser (whisper.cpp ggml-*.bin or GGUF)
 *   senses_session  one conversation: a KV cache and a sampler on a senses_text
 *
 * Rules that hold everywhere:
 *  - A function that can fail returns a senses_status and, when it is not SN_OK, leaves one line in *err (err may be
 *    NULL), "FILE: what is wrong" where a file is at fault. Output parameters are untouched on failure.
 *  - open/close own a resource; close(NULL) is allowed. A handle must outlive what was opened from it.
 *  - Strings are UTF-8 unless said otherwise; file names are bytes. "-" as an input path means standard input.
 *  - Matrices are row-major float32, last axis contiguous. Sounds are mono float32 at 16000 Hz in [-1, 1].
 *  - Nothing prints or exits. One handle is used by one thread at a time; distinct handles on distinct engines are free.
 */
#ifndef SENSES_H
#define SENSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SENSES_VERSION "0.1.0"

typedef enum {
    SN_OK = 0,
    SN_EIO,          /* the system refused: open, read, write, map */
    SN_EFORMAT,      /* a file is not what it claims to be: truncated, corrupt, of the wrong kind */
    SN_ESHAPE,       /* a tensor is missing or has the wrong type or shape */
    SN_EUNSUPPORTED, /* well-formed, but not something this program does */
    SN_ELIMIT,       /* over a limit: pixels, seconds, context */
    SN_ENOMEM,       /* out of memory */
    SN_EUSAGE,       /* the caller asked for something contradictory */
    SN_ECANCELLED    /* a callback said stop */
} senses_status;

typedef struct {
    senses_status code;
    char msg[1024]; /* one line without control characters, NUL-terminated; may hold bytes of a file name that are no UTF-8 */
} senses_error;

/* ---- engine ---- */
typedef struct senses_engine senses_engine;
/* How closely products are taken. INT8: F32, F16 and BF16 weights and what meets them in blocks of 16 bits, 1.4e-4 of a product; activations that meet
 * quantised weights of text models in blocks of 8 bits, as llama.cpp has them, but for keys, values and the output matrix. F32: float weights in
 * float32, activations that meet quantised ones in 15 bits, next to float32; prompts and encoders take nearly twice as long. Quantised weights of encoders,
 * Whisper, the page reader and models narrower than 512 always meet 15 bits, and so do Q8_0 weights where there is no VNNI ("avx2", "avx512"), whose products of
 * 8 bits would be no quicker. */
typedef enum { SENSES_PRECISION_INT8, SENSES_PRECISION_F32 } senses_precision;
typedef struct {
    size_t threads;   /* 0: one per physical core */
    const char *isa;  /* "scalar", "avx2", "avx512", "avx512-vnni", "amx"; NULL: the best this CPU has */
    size_t n_callers; /* threads that will use the engine's models at once, <= 16; 0: one */
    senses_precision precision;
} senses_engine_params;
/* Engines, encoders, text and speech models may be used by several threads at once, sessions and readers by one at a time. With n_callers set
 * the threads that write an answer or a transcript at the same time go through the weights together: the texts are the same, and come sooner. */
senses_status senses_engine_open(senses_engine **out, const senses_engine_params *p /* NULL: defaults */, senses_error *err);
void senses_engine_close(senses_engine *e);
size_t senses_engine_threads(const senses_engine *e);
const char *senses_engine_isa(const senses_engine *e);

/* ---- media ---- */
/* What a regular file holds, told by its content, never by its name: by its first bytes, and for containers that may hold either by their
 * streams. A damaged file is still of the kind that it claims to be. NONE: text, drawings by instructions (SVG), what is unknown or
 * empty, and what is no regular file (which is not opened for long: a FIFO does not block). SN_EIO: it cannot be read. */
typedef enum { SENSES_MEDIA_NONE, SENSES_MEDIA_IMAGE, SENSES_MEDIA_SOUND, SENSES_MEDIA_VIDEO } senses_media_kind_t;
senses_status senses_media_kind(const char *path, senses_media_kind_t *out, senses_error *err);

/* Media are decoded in a process of their own, forked for each file, that can open nothing, send nothing and start nothing: a file that
 * takes over its decoder is an error, "FILE: the decoder crashed (signal 11)". The program must not ignore SIGCHLD. The parameters
 * below can switch this off (no_sandbox), and say how long to wait for the decoder to give something (timeout_s; 0: two minutes). */
/* A truncated file is refused, and the message says how much of it is there. With accept_truncated what is there is taken: of a picture the rows
 * or the coarse picture, of a sound or a video the beginning. What was taken then says so: "412 of 600 rows", "2.50 of 10.00 s"; "" when
 * nothing was missing. A file of which nothing can be shown, or that is damaged otherwise, is refused in any case. */
/* The layers that this kernel has: "seccomp, Landlock (files, TCP, signals), limits". */
const char *senses_sandbox(void);

typedef struct senses_image senses_image; /* decoded, upright RGB */
typedef struct {
    size_t max_pixels; /* 0: 100 million */
    bool no_sandbox;
    double timeout_s;
    bool accept_truncated;
} senses_image_params;
senses_status senses_image_load(senses_image **out, const char *path, const senses_image_params *p, senses_error *err);
void senses_image_close(senses_image *img);
const char *senses_image_partial(const senses_image *img); /* of a key frame: how much of the video was there */
void senses_image_size(const senses_image *img, size_t *width_px, size_t *height_px);

/* Text that hardly differs from what it stands on, which a person does not see and a model may read: lines of it are looked for in the
 * decoded pixels. What it can and cannot find is in docs/security.md. */
typedef struct {
    size_t n_glyphs;                        /* letters, or pieces of words; 0: nothing was found, and the rest is 0 */
    size_t x_px, y_px, width_px, height_px; /* of all lines found */
    double contrast;                        /* mean difference from the background, of full range: 0.005 to 0.05 */
} senses_faint_text;
senses_status senses_image_faint_text(const senses_image *img, senses_faint_text *out, senses_error *err);

/* Key frames of a video: the first of each scene, at most max_frames, and of long scenes more, evenly spaced. */
typedef struct {
    size_t max_frames; /* 0: 8; at most 1024 */
    size_t max_pixels; /* 0: 100 million */
    bool no_sandbox;
    double timeout_s;
    bool accept_truncated;
} senses_video_params;
/* A key frame, upright, and its time from the start, in order of time. The image is the callee's: senses_image_close. False stops with
 * SN_ECANCELLED. */
typedef bool (*senses_frame_fn)(void *user, senses_image *img, double time_s);
/* Reads a regular file ("-" is none). *sound (may be NULL): whether it has a sound track. A video that is truncated (and this is not accepted), or damaged in what
 * is looked at, is refused before the first frame comes; a sound with a cover picture is no video. */
senses_status senses_video_frames(const char *path, const senses_video_params *p /* NULL: defaults */, senses_frame_fn fn, void *user,
                                  bool *sound, senses_error *err);

typedef struct senses_sound senses_sound; /* a whole sound in memory, 16 kHz mono */
typedef struct {
    double max_seconds; /* 0: 3600. Longer sounds are SN_ELIMIT (transcription streams, and has no limit) */
    bool no_sandbox;
    double timeout_s;
    bool accept_truncated;
} senses_sound_params;
senses_status senses_sound_load(senses_sound **out, const char *path, const senses_sound_params *p /* NULL: defaults */, senses_error *err);
void senses_sound_close(senses_sound *s);
double senses_sound_seconds(const senses_sound *s);
const char *senses_sound_partial(const senses_sound *s);
/* How long the sound of a file says it is, without decoding it; negative where it does not say. */
senses_status senses_sound_length(const char *path, double *seconds, senses_error *err);

/* ---- matrices that come back ---- */
typedef struct {
    float *data; /* [rows, cols]; free with senses_matrix_free */
    size_t rows, cols;
} senses_matrix;
void senses_matrix_free(senses_matrix *m);

/* ---- encoders with adapters (mmproj) ---- */
typedef struct senses_encoder senses_encoder;
typedef enum { SENSES_IMAGE, SENSES_AUDIO } senses_medium_kind;
typedef enum { SENSES_FIT_DEFAULT, SENSES_FIT_PAD, SENSES_FIT_CROP, SENSES_FIT_STRETCH } senses_image_fit;
senses_status senses_encoder_open(senses_encoder **out, senses_engine *e, const char *path, senses_error *err);
void senses_encoder_close(senses_encoder *c);
senses_medium_kind senses_encoder_kind(const senses_encoder *c);
const char *senses_encoder_family(const senses_encoder *c);
const char *senses_encoder_path(const senses_encoder *c);
size_t senses_encoder_n_embd(const senses_encoder *c);
/* What the decoder would see: [tokens, n_embd]. */
senses_status senses_encode_image(senses_encoder *c, const senses_image *img, senses_image_fit fit, senses_matrix *out, senses_error *err);
senses_status senses_encode_sound(senses_encoder *c, const senses_sound *s, senses_matrix *out, senses_error *err);
/* The log-mel that enters the encoder: [n_mel, frames]. */
senses_status senses_encoder_mel(senses_encoder *c, const senses_sound *s, senses_matrix *out, senses_error *err);

/* ---- cache of encoded media ---- */
/* A folder that keeps what encoders made of media, by the content of both: the next time it is read from there, the same bit for bit.
 * What cannot be kept or is damaged is encoded anew, and never an error. The folder is made where it is missing, for this user alone;
 * any number of processes may share it. */
typedef struct senses_cache senses_cache;
/* max_bytes 0: 1 GiB. What was used least lately goes first. Refused: a folder that another user owns or may write to. */
senses_status senses_cache_open(senses_cache **out, const char *dir, size_t max_bytes, senses_error *err);
void senses_cache_close(senses_cache *k);
/* From now on what c encodes, also for sessions, goes through k; NULL: no longer. Refused, and c without a cache: a file whose content
 * cannot be told for certain, since it changed after c was opened or in the last two seconds. */
senses_status senses_encoder_set_cache(senses_encoder *c, senses_cache *k, senses_error *err);
/* What the cache did for the medium encoded last ("cache hit: not encoded again"), "" without one; for -v. */
const char *senses_encoder_cache_note(const senses_encoder *c);

/* ---- text decoder ---- */
typedef struct senses_text senses_text;
senses_status senses_text_open(senses_text **out, senses_engine *e, const char *path, senses_error *err);
void senses_text_close(senses_text *t);
/* Puts a LoRA adapter (a GGUF file of llama.cpp's kind) onto t, `scale` times as strong as it was trained; any number of them add
 * up. The weights stay as they are. Before the first session on t. On failure t is as it was. */
senses_status senses_text_adapt(senses_text *t, const char *path, float scale, senses_error *err);
const char *senses_text_path(const senses_text *t);
size_t senses_text_n_embd(const senses_text *t);
size_t senses_text_n_vocab(const senses_text *t);
size_t senses_text_n_ctx_train(const senses_text *t);
/* Token ids of n bytes. special: spellings of control tokens become those tokens, and bos/eos are added as the file says;
 * otherwise the text is data. *ids is malloc'ed: free(). */
senses_status senses_tokenize(const senses_text *t, const char *text, size_t n, bool special, int32_t **ids, size_t *n_ids,
                              senses_error *err);
/* The bytes of one token, at most cap of them; returns how many there are. */
size_t senses_token_text(const senses_text *t, int32_t id, char *buf, size_t cap);

/* ---- session: one prompt after another on one KV cache ---- */
typedef struct senses_session senses_session;
/* How keys and values are kept: half precision, or blocks of 32 numbers of 8 bits with a scale, in about half the memory. */
typedef enum { SENSES_KV_F16, SENSES_KV_Q8 } senses_kv_type;
/* NGRAM: where the last tokens stood in the text before, those that followed then are tried together (prompt lookup decoding): the
 * same answers, sooner where they repeat what was read. */
typedef enum { SENSES_DRAFT_NONE, SENSES_DRAFT_NGRAM } senses_draft;
typedef struct {
    size_t n_ctx;         /* 0: what the first prompt and its answer need, up to the model's own */
    float temperature;    /* 0: greedy */
    size_t top_k;         /* 0: off */
    float top_p, min_p;   /* 1 and 0: off */
    float repeat_penalty; /* 1: off */
    uint64_t seed;
    const char *system;        /* NULL: the template's own default */
    const char *chat_template; /* NULL: recognised from the file */
    bool raw;                  /* no chat template: prompts are used as they are, control tokens parsed */
    senses_image_fit fit;
    const char *grammar; /* GBNF: answers are texts of it, whole ones, however few tokens are allowed; NULL: any text */
    senses_draft draft;
    senses_kv_type kv_type;
} senses_session_params;
void senses_session_defaults(senses_session_params *p);

/* One medium of a prompt, in the order of the prompt: an image or a sound through the encoder of its kind, or text from a file or
 * a transcript, which enters as data. Exactly one of image, sound and text is set. */
typedef struct {
    const senses_image *image;
    const senses_sound *sound;
    const char *text;
    size_t n_text;
} senses_medium;

#define SENSES_MEDIA_MARKER "<__media__>" /* in a prompt: here goes the next medium; those without a marker go in front */

/* GBNF text, for senses_session_params.grammar, of a JSON schema; and of fields: "title, people:int, price:number, ok:bool, kind:a|b,
 * tags[], sizes[]:int, note?" (the last may be left out). Malloc'ed: free(). SN_EUSAGE names what is not supported. */
senses_status senses_grammar_from_schema(const char *json, char **gbnf, senses_error *err);
senses_status senses_grammar_from_fields(const char *fields, char **gbnf, senses_error *err);
/* Whether an encoder and a decoder can belong together: of one width (else SN_ESHAPE), and of no two families as far as the files show
 * it (else SN_EUSAGE): by the architecture, the vocabulary and the name. The line names both files and what each is. */
senses_status senses_pair_check(const senses_text *t, const senses_encoder *c, senses_error *err);
/* encoders[n_encoders], at most one of each kind, must pass senses_pair_check. */
senses_status senses_session_open(senses_session **out, senses_text *t, senses_encoder *const *encoders, size_t n_encoders,
                                  const senses_session_params *p, senses_error *err);
void senses_session_close(senses_session *s);
/* Takes a user's turn into the context. n_predict: room to keep for the answer. A medium that no encoder takes is SN_EUSAGE.
 * Too long a prompt is SN_ELIMIT, before anything is computed, with the figures. */
senses_status senses_session_prompt(senses_session *s, const char *prompt, const senses_medium *media, size_t n_media, size_t n_predict,
                                    senses_error *err);
/* One more token of the answer: *id, and *end true when the answer is over (then *id is not part of it). */
senses_status senses_session_next(senses_session *s, int32_t *id, bool *end, senses_error *err);
/* The answer's text as whole UTF-8 characters: called with each new stretch. Returns false to stop. */
typedef bool (*senses_text_fn)(void *user, const char *utf8, size_t n);
/* Up to n_predict tokens (0: until the end or the context is full). ids (may be NULL): malloc'ed list of the new ids. */
senses_status senses_session_answer(senses_session *s, size_t n_predict, senses_text_fn fn, void *user, int32_t **ids, size_t *n_ids,
                                    senses_error *err);
/* Forgets the conversation, keeps the models. */
void senses_session_clear(senses_session *s);
size_t senses_session_n_past(const senses_session *s);
size_t senses_session_bytes(const senses_session *s); /* memory of its context; 0 before the first prompt */
/* Tokens that a draft proposed since the session was opened, and how many of them became part of answers. */
void senses_session_drafted(const senses_session *s, size_t *n_proposed, size_t *n_accepted);
/* Logits behind the prompt: [1, n_vocab], or with `all` one row for each of its positions (media positions included). */
senses_status senses_session_logits(senses_session *s, const char *prompt, const senses_medium *media, size_t n_media, bool all,
                                    senses_matrix *out, senses_error *err);
/* What the last prompt's media became, one line each ("2048x1536 -> 3x2 tiles + overview = 1152 tokens"), and one more where an
 * encoder has a cache ("image 1: cache hit: not encoded again"); for -v. */
const char *senses_session_notes(const senses_session *s);
/* What framed the last prompt ("the chat template in llama.gguf", "the built-in chat template vicuna (the file has none of its own)");
 * "" before it, and for raw ones; for -v. */
const char *senses_session_framed_by(const senses_session *s);

/* ---- pages: what stands on a drawn, printed or shown page ---- */
/* The elements of a page in reading order; containers open and close: NAV holds LINKs, ROW holds COLs or CARDs (which end where the
 * next begins or the row ends), TABLE holds TRs of TDs. Containers are not nested. */
typedef enum {
    SENSES_PAGE_TITLE,
    SENSES_PAGE_HEADING,
    SENSES_PAGE_TEXT,
    SENSES_PAGE_BUTTON,
    SENSES_PAGE_LINK,
    SENSES_PAGE_INPUT, /* a line to type into; its text is its label */
    SENSES_PAGE_AREA,  /* several lines to type into */
    SENSES_PAGE_SELECT,
    SENSES_PAGE_CHECK,
    SENSES_PAGE_RADIO,
    SENSES_PAGE_IMAGE, /* its text is its caption */
    SENSES_PAGE_ITEM,  /* of a list: consecutive ones are one list */
    SENSES_PAGE_FOOTER,
    SENSES_PAGE_CELL, /* of a table */
    SENSES_PAGE_NAV,  /* from here on containers: no text */
    SENSES_PAGE_NAV_END,
    SENSES_PAGE_ROW,
    SENSES_PAGE_COL,
    SENSES_PAGE_CARD,
    SENSES_PAGE_ROW_END,
    SENSES_PAGE_TABLE,
    SENSES_PAGE_TR,
    SENSES_PAGE_TABLE_END
} senses_page_tag;
typedef struct {
    senses_page_tag tag;
    const char *text; /* UTF-8, one line, data; "" for none */
    bool wave;        /* SENSES_PAGE_TEXT whose lines are drawn as waves, in place of words */
} senses_page_item;
typedef struct {
    senses_page_item *items; /* well-formed as said above; none: there is no page to see */
    size_t n;
    bool cut; /* only the beginning of the page was read: it is longer than a description may be */
} senses_page;
void senses_page_free(senses_page *p);

/* Reads pages: with the encoder of family "senses_page" and the decoder trained with it, or by asking any other pair that sees
 * pictures, whose answer is held to the same grammar. Refuses what is no pair. Both handles must outlive the reader. */
typedef struct senses_reader senses_reader;
senses_status senses_reader_open(senses_reader **out, senses_text *t, senses_encoder *c, senses_error *err);
void senses_reader_close(senses_reader *r);
/* Free *out with senses_page_free. progress (may be NULL): called with each new token; false stops with SN_ECANCELLED. */
senses_status senses_reader_read(senses_reader *r, const senses_image *img, bool (*progress)(void *user, size_t n_tokens), void *user,
                                 senses_page *out, senses_error *err);
/* The page in words, an element a line: "button: Show punchline", or "button 2: Show punchline" where there are several. As data for a
 * text decoder, or to read. Malloc'ed: free(). */
senses_status senses_page_text(const senses_page *p, char **text, senses_error *err);

typedef enum { SENSES_STYLE_PLAIN, SENSES_STYLE_SKETCHY, SENSES_STYLE_MODERN } senses_page_style;
typedef struct {
    senses_page_style style;
    const char *title; /* NULL or "": the page's own */
} senses_page_html_params;
/* The page as one self-contained, accessible HTML document that works: no network, nothing from outside. Malloc'ed: free(). */
senses_status senses_page_html(const senses_page *p, const senses_page_html_params *params /* NULL: plain */, char **html,
                               senses_error *err);

/* ---- speech ---- */
typedef struct senses_whisper senses_whisper;
senses_status senses_whisper_open(senses_whisper **out, senses_engine *e, const char *path, senses_error *err);
void senses_whisper_close(senses_whisper *w);
bool senses_whisper_multilingual(const senses_whisper *w);

typedef struct {
    const char *language;                        /* "en", ...; NULL or "auto": detected */
    bool translate, word_timestamps, no_context; /* no_context: windows do not see the text before them */
    float temperature;                           /* of the first try */
    const char *prompt;
    uint64_t seed;
    bool no_sandbox;  /* as of other media */
    double timeout_s; /* for the next stretch of sound */
    bool accept_truncated;
} senses_transcribe_params;
typedef struct {
    double start_s, end_s;
    const char *text;
    float avg_log_prob, no_speech_prob, compression_ratio, temperature;
} senses_segment;
typedef struct {
    void (*segment)(void *user, const senses_segment *s);
    bool (*progress)(void *user, double done_s, double total_s); /* false stops; total_s < 0: unknown */
    void *user;
    void (*partial)(void *user, const char *how_much); /* at the end, of a truncated file that was accepted; may be NULL */
} senses_transcribe_callbacks;
/* Reads the file in windows of 30 s: memory does not grow with its length. */
senses_status senses_transcribe(senses_whisper *w, const char *path, const senses_transcribe_params *p,
                                const senses_transcribe_callbacks *cb, const char **language, double *seconds, senses_error *err);

/* ---- files ---- */
/* SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits: of a whole regular file, and of bytes. */
senses_status senses_file_sha256(const char *path, char hex[65], senses_error *err);
void senses_sha256(const void *data, size_t n, char hex[65]);
/* A description of a model file as lines "key: value", or as one JSON object on one line; *text is malloc'ed. With an engine also what
 * the file can be paired with, and the bytes that it takes: a text model its weights, its keys and values for n_ctx positions, and what
 * it works with; an encoder its weights, which are loaded for it. */
typedef struct {
    bool json;
    senses_engine *engine; /* may be NULL */
    size_t n_ctx;          /* 0: the model's own, 4096 at most */
} senses_describe_params;
senses_status senses_describe_file(const char *path, const senses_describe_params *p, char **text, senses_error *err);
/* A model folder as GGUF. At out_path: the text model, or the Whisper, of a Hugging Face folder (config.json, *.safetensors, tokenizer), or
 * the Whisper of a CTranslate2 folder (model.bin). At mmproj_path: the image or audio encoder of a Hugging Face folder with its projector.
 * Either path may be NULL, not both. type: of matrices, "f16", "bf16" or "f32"; NULL or "auto": as the folder has them, F16 where that is
 * F32. A CTranslate2 folder takes only "auto". The files appear when all is complete. p may be NULL. */
typedef struct {
    const char *type, *mmproj_path;
    bool (*progress)(void *user, size_t done_bytes,
                     size_t total_bytes); /* of one file after the other; may be NULL; false stops: SN_ECANCELLED */
    void *user;
} senses_convert_params;
senses_status senses_convert(const char *dir, const char *out_path, const senses_convert_params *p, senses_error *err);

/* A GGUF model (text, encoder or speech) with its weights in smaller types. */
typedef struct {
    bool allow_requantize; /* weights that are quantised already may lose some more; without it they are refused */
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes); /* may be NULL; false stops: SN_ECANCELLED */
    void *user;
} senses_quantize_params;
typedef struct {
    size_t bytes_in, bytes_out;  /* of the weights */
    size_t n_tensors, n_changed; /* n_changed: stored in another type than before */
    size_t n_fallback;           /* tensors whose rows the wanted type does not divide: a larger type was taken */
    size_t n_requantized;        /* of n_changed: that were quantised before */
} senses_quantize_result;
/* type: one that senses_quantize_type names, in upper or lower case ("Q4_K_M": most matrices Q4_K, the ones that matter most Q6_K).
 * out_path appears when it is complete, and may not be in_path. p and result may be NULL; *result is also set on failure:
 * SN_EUSAGE with n_requantized > 0 wants allow_requantize. */
senses_status senses_quantize(senses_engine *e, const char *in_path, const char *out_path, const char *type,
                              const senses_quantize_params *p, senses_quantize_result *result, senses_error *err);
/* The names of the types, largest first; NULL behind the last. */
const char *senses_quantize_type(size_t i);

/* A GGUF model with LoRA adapters added to its weights, for good. */
typedef struct {
    const char *path;
    float scale; /* 1: as it was trained */
} senses_lora;
typedef struct {
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes); /* may be NULL; false stops: SN_ECANCELLED */
    void *user;
} senses_merge_params;
typedef struct {
    size_t bytes_out;            /* of the weights */
    size_t n_tensors, n_changed; /* n_changed: that an adapter changes */
    size_t n_widened;            /* of n_changed: that became F16, for nothing here can be stored in their type */
} senses_merge_result;
/* Keys, names and types stay; quantised weights are quantised again where they change. A token embedding that is the output as well,
 * but for an adapter, is written as two tensors. out_path appears when it is complete, and may be none of the inputs. p and
 * result may be NULL. */
senses_status senses_merge(senses_engine *e, const char *base_path, const senses_lora *loras, size_t n, const char *out_path,
                           const senses_merge_params *p, senses_merge_result *result, senses_error *err);

/* ---- measuring ---- */
/* The perplexity of a text under a decoder, as llama.cpp defines it: windows of n_ctx tokens, the token of the beginning in front of each
 * where the model has one, of each the second half scored; what fills no window at the end is left out. */
typedef struct {
    size_t n_ctx;                                                                               /* 0: 512; at least 4 */
    bool (*progress)(void *user, size_t done_windows, size_t total_windows, double perplexity); /* may be NULL; false: SN_ECANCELLED */
    void *user;
} senses_perplexity_params;
typedef struct {
    double perplexity, error;                   /* exp of the mean of -log p, and its standard error */
    size_t n_ctx, n_tokens, n_chunks, n_scored; /* tokens of the text; windows; tokens that count */
} senses_perplexity_result;
/* n bytes of text, which is data. SN_EUSAGE: less than two windows. p may be NULL. */
senses_status senses_perplexity(senses_text *t, const char *text, size_t n, const senses_perplexity_params *p,
                                senses_perplexity_result *out, senses_error *err);

/* used by `senses bench` */
senses_status senses_bench_encoder_input(senses_encoder *c, senses_image **img, senses_sound **snd,
                                         senses_error *err);                                       /* a synthetic medium */
senses_status senses_bench_prompt(senses_text *t, size_t n, double *seconds, senses_error *err);   /* n tokens at once, cold cache */
senses_status senses_bench_generate(senses_text *t, size_t n, double *seconds, senses_error *err); /* n tokens one by one */
senses_status senses_bench_whisper(senses_whisper *w, size_t n_tokens, double *encode_s, double *decode_s, senses_error *err);

#ifdef __cplusplus
}
#endif
#endif
