/* convert.h: what the files that convert a Hugging Face text model share. */
#ifndef TEXT_CONVERT_H
#define TEXT_CONVERT_H

#include "../core/convert.h"

typedef struct {
    size_t n_vocab, n_ctx, n_embd, n_ff, n_layer, n_head, n_head_kv, d_head;
    double eps, theta;
} txt_shape;

/* ---- families (convert_families.c) ---- */
typedef enum { ROW_NONE, /* ends the axes */ ROW_VOCAB, ROW_EMBD, ROW_FF, ROW_Q, ROW_KV, ROW_HEAD } txt_extent;
/* Tables of sn_convert_row: those of a layer name what stands behind "model.layers.N." and "blk.N.". */
typedef struct {
    const char *model_types;                                 /* of config.json, each between two blanks */
    const char *arch;                                        /* in the GGUF */
    const sn_convert_row *whole, *layer;                     /* a row without `from` ends them */
    txt_shape defaults;                                      /* what a configuration may leave out; 0: as it follows from the others */
    bool gives_head_size, gives_vocab_size, gives_rope_size; /* keys that llama.cpp's converter writes for this family */
} txt_convert_family;

const txt_convert_family *txt_convert_family_find(const char *model_type); /* NULL: none */
/* The keys of the architecture, but those of the vocabulary. */
void txt_convert_keys(sn_gguf_writer *w, sn_config *c, const txt_convert_family *f, const txt_shape *s);
/* factors[d_head / 2] of Llama 3's rotary scaling; false where the model has none. */
bool txt_convert_rope_factors(sn_config *c, const txt_shape *s, float *factors);

/* ---- vocabulary (convert_vocab.c, convert_special.c, convert_tekken.c, convert_merges.c) ---- */
typedef struct {
    char *text;
    float score;
    int32_t type; /* TXT_TYPE_* */
} txt_word;

typedef struct {
    const char *dir;
    cJSON *tokenizer, *settings, *added; /* tokenizer.json, tokenizer_config.json, added_tokens.json; NULL: there is none */
    const char *file;                    /* where the words stand: "tokenizer.json" */
    bool pieces;                         /* SentencePiece: scores, no merges */
    bool scored;                         /* scores are written all the same: zeros, as integers */
    bool config_first;                   /* special tokens are config.json's, before those that tokenizer_config.json spells */
    const char *chat_name;               /* of the chat template, where the folder has none; NULL: not known */
    const char *pre;                     /* llama.cpp's name of the pre-tokenizer */
    txt_word *words;                     /* [n] */
    size_t n;
} txt_convert_vocab;

/* Reads the vocabulary of a folder into n_words words. Free it in any case. */
sn_status txt_convert_vocab_read(txt_convert_vocab *v, const char *dir, const char *model_type, size_t n_words, sn_err *err);
void txt_convert_vocab_free(txt_convert_vocab *v);
/* Where the vocabulary has a word of this spelling: its id, else -1. */
int32_t txt_convert_vocab_id(const txt_convert_vocab *v, const char *text);
/* Files that say it otherwise become v->tokenizer and, of tekken.json, v->settings: root is that file, n_words what config.json's model has. The
 * other, for vocab.json and merges.txt, sets v->pre. On failure v is as before. */
sn_status txt_convert_tekken(txt_convert_vocab *v, const cJSON *root, size_t n_words, sn_err *err);
sn_status txt_convert_merges(txt_convert_vocab *v, const char *model_type, sn_err *err);
/* llama.cpp's name for the pre-tokenizer that tokenizer.json describes (convert_pre.c). */
sn_status txt_convert_pre(const cJSON *tokenizer, const char *model_type, const char **name, sn_err *err);
/* All keys tokenizer.*. */
sn_status txt_convert_vocab_keys(sn_gguf_writer *w, const txt_convert_vocab *v, const sn_config *c, sn_err *err);
/* Those of special tokens, of what is put around a text, and the chat template. */
sn_status txt_convert_special_keys(sn_gguf_writer *w, const txt_convert_vocab *v, const sn_config *c, sn_err *err);

#endif
