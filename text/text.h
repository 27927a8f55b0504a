/* text.h: tokenizer, Llama decoder, sampler, chat templates. Knows nothing of pictures or sound: media reach the decoder as
 * rows of floats of its own width. */
#ifndef TEXT_TEXT_H
#define TEXT_TEXT_H

#include "../core/compute.h"
#include "../core/convert.h"
#include "../core/gguf.h"

/* ---- vocabulary and tokenizer (vocab.c, tokenize.c, merge.c, spm.c, bpe.c, pretokenize.c) ---- */
typedef struct txt_vocab txt_vocab; /* immutable once open */
typedef int32_t txt_id;
#define TXT_NO_ID (-1)

typedef struct { /* a growing list; zero-initialise, free with txt_ids_free */
    txt_id *ids;
    size_t n, cap;
} txt_ids;
void txt_ids_free(txt_ids *l);
sn_status txt_ids_push(txt_ids *l, txt_id id, sn_err *err);

/* Reads tokenizer.ggml.* : models "llama" (SentencePiece) and "gpt2" (byte-level BPE). Copies what it needs from g. */
sn_status txt_vocab_open(txt_vocab **out, const sn_gguf *g, sn_err *err);
void txt_vocab_close(txt_vocab *v);
size_t txt_vocab_n(const txt_vocab *v);
size_t txt_vocab_bytes(const txt_vocab *v); /* memory of its own */
txt_id txt_vocab_bos(const txt_vocab *v);   /* TXT_NO_ID where the file names none */
txt_id txt_vocab_eos(const txt_vocab *v);
bool txt_vocab_add_bos(const txt_vocab *v);
bool txt_vocab_add_eos(const txt_vocab *v);
/* SentencePiece files put a blank in front of a text, so the first piece of an answer begins with one that nobody wrote: drop it. */
bool txt_vocab_space_prefix(const txt_vocab *v);
bool txt_vocab_is_end(const txt_vocab *v, txt_id id);     /* an end-of-generation token: eos, eot, <|im_end|>, ... */
bool txt_vocab_is_control(const txt_vocab *v, txt_id id); /* has no text of its own */
/* The token spelled exactly so (control and user-defined tokens included), or TXT_NO_ID. */
txt_id txt_vocab_find(const txt_vocab *v, const char *text, size_t n);

typedef enum {
    TXT_PLAIN = 0,         /* the text is data: nothing in it becomes a control token */
    TXT_PARSE_SPECIAL = 1, /* spellings of control tokens become those tokens: templates and raw prompts only */
    TXT_ADD_BOS_EOS = 2    /* put bos in front and eos behind where the file says so */
} txt_tokenize_flags;
/* Appends the ids of n bytes of text to *out. Any bytes: what is not UTF-8 becomes byte tokens and reads back as it was; where a
 * byte-level vocabulary has no token for such a byte, U+FFFD stands for it (and a byte of UTF-8 that it lacks makes no id, as in
 * the references). User-defined tokens are found in plain text too, except those that look like control tokens (<|...|>). */
sn_status txt_tokenize(const txt_vocab *v, const char *text, size_t n, unsigned flags, txt_ids *out, sn_err *err);

/* The bytes of one token (control tokens: their spelling when `special`, else nothing). Returns the number of bytes, and
 * writes min(cap, that many). A token may be part of a UTF-8 character: join before showing. */
size_t txt_piece(const txt_vocab *v, txt_id id, bool special, char *buf, size_t cap);

/* ---- chat templates (chat.c) ---- */
typedef enum { TXT_SYSTEM, TXT_USER, TXT_ASSISTANT } txt_role;
typedef struct {
    txt_role role;
    const char *text; /* data; may hold the media marker */
    size_t n;
} txt_message;
#define TXT_MEDIA_MARK ((char)0xFF)                 /* in a message: here is a medium (a byte that UTF-8 does not have) */
typedef struct txt_chat_template txt_chat_template; /* static, one of a table */

/* The family recognised from the GGUF's own tokenizer.chat_template (or, without one, from its other metadata), or the one
 * called `name` ("chatml", "llama2", "llama3", "vicuna", "mistral-v7", "smolvlm", "zephyr", ...). `name` NULL: recognise. */
sn_status txt_chat_template_get(const txt_chat_template **out, const sn_gguf *g, const char *name, sn_err *err);
const char *txt_chat_template_name(const txt_chat_template *t);
typedef struct { /* one stretch of a rendered prompt */
    char *text;  /* owned by the list */
    size_t n;
    bool framing; /* true: from the template, parse control tokens; false: from a message, plain */
} txt_part;
typedef struct {
    txt_part *parts;
    size_t n, cap;
} txt_parts;
void txt_parts_free(txt_parts *p);
/* The whole conversation messages[n] as parts in order; joined, they are what Jinja makes of the template with
 * add_generation_prompt = `open_answer`, without the bos token's spelling (the tokenizer adds it). */
sn_status txt_chat_render(const txt_chat_template *t, const txt_message *messages, size_t n, bool open_answer, txt_parts *out, sn_err *err);
/* Appends the ids of the parts as one text: control tokens are recognised only where their whole spelling lies in framing parts,
 * everything else is tokenized as if it were joined (so a word merges with the space that the framing puts in front of it), and
 * nothing in a plain part ever becomes a control token. No bos or eos is added. */
sn_status txt_tokenize_parts(const txt_vocab *v, const txt_part *parts, size_t n, txt_ids *out, sn_err *err);
/* Text that ends an answer besides the vocabulary's end tokens (old templates), or NULL. */
const char *txt_chat_stop(const txt_chat_template *t);

/* ---- chat templates as the files' own programs (jinja.c) ----
 * A Jinja program with what chat templates use of the language, rendered as Hugging Face transformers has Jinja render it (no
 * tools, no documents). It is a stranger's: steps, depth and memory are bounded, and it sees only what is passed here. */
typedef struct txt_jinja txt_jinja; /* immutable once open */
struct tm;
typedef struct {
    const char *bos, *eos;  /* spellings of the tokens; NULL: none */
    const struct tm *today; /* what strftime_now answers from; NULL: there is no such function */
    bool keeps_bos;         /* bos in front stays (the tokenizer adds none); else it is taken away */
} txt_jinja_setting;
/* SN_EFORMAT, naming the line, for what is not a program; SN_ELIMIT for one of more than 1 MiB. Copies it. */
sn_status txt_jinja_open(txt_jinja **out, const char *program, size_t n, sn_err *err);
void txt_jinja_close(txt_jinja *j);
/* Appends the conversation as txt_chat_render does: every byte that a message wrote, whatever the program did with it, is in a
 * plain part. Contents are strings, or lists of {type: "image" | "text"} where the program shows nothing of a string; with
 * TXT_MEDIA_MARK in a message, lists are tried first, and the marks stand for the placeholders that the program writes.
 * SN_EFORMAT, naming the line, where the program fails or refuses. */
sn_status txt_jinja_render(const txt_jinja *j, const txt_message *messages, size_t n, bool open_answer, const txt_jinja_setting *with,
                           txt_parts *out, sn_err *err);

/* ---- what a model's conversations are written by (framing.c) ----
 * The program in its file, and the table's entry (txt_chat_template_get) where that is named, or the program does not run. */
typedef struct txt_framing txt_framing; /* immutable once open */
/* name NULL: the file's own. Errors are those of txt_chat_template_get and txt_jinja_open. */
sn_status txt_framing_open(txt_framing **out, const sn_gguf *g, const txt_vocab *v, const char *name, const struct tm *today, sn_err *err);
void txt_framing_close(txt_framing *f);
/* by: [TXT_FRAMED_MAX], what framed it, for a person ("the built-in chat template vicuna (the file has none of its own)"); NULL: not asked. */
#define TXT_FRAMED_MAX sizeof(((sn_err *)0)->msg)
sn_status txt_framing_render(const txt_framing *f, const txt_message *messages, size_t n, bool open_answer, txt_parts *out, char *by,
                             sn_err *err);
/* Whether a file has a program of its own that can be run. */
bool txt_framing_by_file(const sn_gguf *g);
const char *txt_framing_stop(const txt_framing *f); /* as txt_chat_stop */

/* ---- decoder (llama.c, registry in families) ---- */
typedef struct txt_model txt_model;     /* immutable, shared by sessions */
typedef struct txt_session txt_session; /* one KV cache */

typedef struct {
    size_t n_vocab, n_embd, n_layer, n_head, n_head_kv, d_head, n_ff, n_ctx_train;
    char arch[32];
} txt_hparams;

/* Opens a decoder GGUF: architecture "llama" (and what else the family table has). Every key and tensor is checked. */
sn_status txt_model_open(txt_model **out, const char *path, sn_compute *c, sn_err *err);
/* The same, every key and tensor checked, but without packed copies of weights: for what it is and would take, and not to be run. */
sn_status txt_model_plan(txt_model **out, const char *path, sn_compute *c, sn_err *err);
void txt_model_close(txt_model *m);
/* Puts a LoRA adapter onto m; several add up. Before a session is opened on m. Everything is checked first: on failure m is as it was.
 * scale 0 leaves m as it was too. */
sn_status txt_model_adapt(txt_model *m, const char *path, float scale, sn_err *err);
const txt_hparams *txt_model_hparams(const txt_model *m);
const txt_vocab *txt_model_vocab(const txt_model *m);
const sn_gguf *txt_model_gguf(const txt_model *m);
size_t txt_model_bytes(const txt_model *m);        /* memory beside the mapped file */
size_t txt_model_mapped_bytes(const txt_model *m); /* of the mapped file that a forward pass reads */
/* Architecture i of the decoders known here; NULL behind the last. */
const char *txt_arch_at(size_t i);
/* Embedding rows of tokens as the decoder reads them: out [n, n_embd]. Ids must be in range. */
void txt_model_embed(const txt_model *m, const txt_id *ids, size_t n, float *out);

/* Values of a row that is given to a session: n_embd, or (1 + n) * n_embd where the decoder adds to a medium's rows behind its first n layers. What
 * is not a medium has zeros there. */
size_t txt_model_row_width(const txt_model *m);

/* A KV cache, F16, for n_ctx positions (more than the model was trained on is the caller's affair). All memory of a run is
 * taken here, but for a medium longer than a block of rows whose rows see one another; SN_ELIMIT, with the figures, when the machine
 * does not have it. */
sn_status txt_session_open(txt_session **out, txt_model *m, size_t n_ctx, sn_err *err);
void txt_session_close(txt_session *s);
/* With keys and values kept as kv_type: SN_F16, or SN_Q8_0 (half the memory), which wants heads of whole blocks: SN_EUNSUPPORTED. */
sn_status txt_session_open_as(txt_session **out, txt_model *m, size_t n_ctx, sn_type kv_type, sn_err *err);
size_t txt_session_bytes(const txt_model *m, size_t n_ctx, sn_type kv_type); /* what txt_session_open would take */
size_t txt_session_n_past(const txt_session *s);
size_t txt_session_n_ctx(const txt_session *s);
void txt_session_truncate(txt_session *s, size_t n_past); /* forget what lies behind position n_past */
/* Appends n positions given as token ids, or as embedding rows [n, txt_model_row_width]; any n: cut into blocks inside.
 * `logits` NULL, or [n_vocab] for the last position, or with `all` [n, n_vocab]. SN_ELIMIT when the context is full
 * (nothing evaluated then); SN_ECANCELLED when the session's cancel function answers true between blocks (n_past is as before
 * then); SN_EUSAGE for an id out of range. Up to TXT_MAX_EXACT positions get the logits that they would get one at a time, to the
 * bit; more of them differ in the order of attention's sums. */
#define TXT_MAX_EXACT 9 /* SN_FEW_QUERIES */
sn_status txt_session_eval_ids(txt_session *s, const txt_id *ids, size_t n, float *logits, bool all, sn_err *err);
sn_status txt_session_eval_embd(txt_session *s, const float *rows, size_t n, float *logits, bool all, sn_err *err);
/* One more token for each of n sessions of one model, none of them twice: ids [n], logits [n, n_vocab]. The same as n times
 * txt_session_eval_ids, but the weights are read once for all of them. On an error nothing is evaluated. */
sn_status txt_sessions_eval(txt_session *const *sessions, size_t n, const txt_id *ids, float *logits, sn_err *err);
/* A stretch of rows of one kind. What a decoder makes of it is its family's affair: most take all rows for a line of text; some
 * let the rows of a medium see one another in both directions, some place a picture's rows by where they lie in it. */
typedef struct {
    size_t n;            /* rows */
    bool medium;         /* the rows of one tile or one sound; else text */
    size_t map_w, map_h; /* of a tile: its rows lie in a map of map_w x map_h = n, row by row; 0: in a line */
} txt_run;
/* txt_session_eval_embd of rows [sum of n, txt_model_row_width] of which is known what they are. SN_EUSAGE for a map that does not hold n. */
sn_status txt_session_eval_runs(txt_session *s, const float *rows, const txt_run *runs, size_t n_runs, float *logits, bool all,
                                sn_err *err);
/* While an answer is written, token by token: where the compute has several callers (sn_compute_set_callers, before the model was
 * opened), the tokens of sessions that write at once go through the model together. The logits are the same. */
void txt_session_write(txt_session *s, bool on);
/* Asked before each block of an eval; true stops it. fn NULL: never. */
void txt_session_set_cancel(txt_session *s, bool (*fn)(void *user), void *user);

/* ---- sampler (sampler.c) ----
 * The order is llama.cpp's: repeat penalty, top-k, top-p, min-p, temperature. So top-p and min-p look at the probabilities
 * before the temperature flattens or sharpens them. */
typedef struct {
    float temperature;    /* 0: greedy (the lowest id wins a tie) */
    size_t top_k;         /* 0: off */
    float top_p, min_p;   /* 1 and 0: off */
    float repeat_penalty; /* 1: off (Keskar et al. 2019) */
    size_t repeat_last;   /* tokens looked back; 0: off */
    uint64_t seed;        /* same seed and logits: same tokens, on every machine */
} txt_sampling;
typedef struct txt_sampler txt_sampler;
/* SN_EUSAGE, naming the option, for a value outside its range. n_vocab >= 1. */
sn_status txt_sampler_open(txt_sampler **out, const txt_sampling *p, size_t n_vocab, sn_err *err);
void txt_sampler_close(txt_sampler *s);
/* Always a token of the list, whatever the logits hold (NaN and infinities included). logits are scratch afterwards. */
txt_id txt_sampler_next(txt_sampler *s, float *logits);
/* The token that txt_sampler_next would choose, were the logits of all tokens that are not allowed minus infinity. False, and nothing drawn,
 * where the best tokens do not tell (too few of them are allowed, or any may be drawn): *id is not set. */
bool txt_sampler_next_few(txt_sampler *s, float *logits, bool (*allowed)(void *user, txt_id id), void *user, txt_id *id);
void txt_sampler_accept(txt_sampler *s, txt_id id); /* the repeat penalty looks back on it; id must be in range */
void txt_sampler_reset(txt_sampler *s);             /* as opened: forgets the tokens, starts the seed again */

/* ---- grammars (grammar*.c, json_schema*.c, json_fields.c) ---- */
typedef struct txt_grammar txt_grammar; /* immutable once open */
/* Reads GBNF (llama.cpp's grammars/README.md); any bytes are safe. SN_EFORMAT, naming the line, for what is none, is left-recursive,
 * or can never end; SN_ELIMIT for one that is too large. */
sn_status txt_grammar_open(txt_grammar **out, const char *text, size_t n, sn_err *err);
void txt_grammar_close(txt_grammar *g);
/* A JSON schema as GBNF (malloc'ed, NUL-terminated). SN_EUSAGE, naming the keyword, for what is not supported. */
sn_status txt_grammar_from_schema(const char *json, size_t n, char **gbnf, sn_err *err);
/* "title, people:int, tags[]" as a JSON schema (malloc'ed, NUL-terminated). */
sn_status txt_schema_from_fields(const char *fields, char **json, sn_err *err);

typedef struct txt_trie txt_trie; /* the bytes of a vocabulary's tokens as a tree; immutable once open */
sn_status txt_trie_open(txt_trie **out, const txt_vocab *v, sn_err *err);
void txt_trie_close(txt_trie *t);

typedef struct txt_matcher txt_matcher; /* how far a text has come in a grammar */
/* g (and trie, which may be NULL where only bytes are matched) must outlive it. */
sn_status txt_matcher_open(txt_matcher **out, const txt_grammar *g, const txt_trie *trie, sn_err *err);
void txt_matcher_close(txt_matcher *m);
sn_status txt_matcher_reset(txt_matcher *m, sn_err *err);
/* Goes on by bytes; *fits false where the grammar does not allow them (nothing is taken then). SN_ELIMIT: too ambiguous. */
sn_status txt_matcher_accept(txt_matcher *m, const char *bytes, size_t n, bool *fits, sn_err *err);
bool txt_matcher_may_end(const txt_matcher *m);
/* Chooses the next token under the grammar with at most `left` tokens to come, this one included, so that the answer can be ended in
 * time; scratch [2 * n_vocab]: *id is TXT_NO_ID at the end. Takes the token. SN_ELIMIT where `left` is too few for the shortest text there is. */
sn_status txt_matcher_next(txt_matcher *m, txt_sampler *s, const float *logits, float *scratch, size_t left, txt_id *id, sn_err *err);

/* ---- conversion ---- */
/* The text model of a Hugging Face folder (config.json, *.safetensors, its tokenizer) as GGUF: keys, names and values are those of
 * llama.cpp's convert_hf_to_gguf.py. Weights pass through in pieces. SN_EUNSUPPORTED: a model of another family, a tokenizer of
 * another kind, weights of another type; SN_ESHAPE: a tensor is missing, or of another shape than config.json says. */
sn_status txt_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err);

#endif
