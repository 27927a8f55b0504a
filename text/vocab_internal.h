/* vocab_internal.h: what vocab.c, tokenize.c, merge.c, spm.c, bpe.c and pretokenize.c share. Private to text/. */
#ifndef TEXT_VOCAB_INTERNAL_H
#define TEXT_VOCAB_INTERNAL_H

#include "../core/mem.h"
#include "text.h"

#define TXT_MAX_TOKEN_BYTES 2048             /* of one spelling: the longest known are runs of a few hundred blanks */
#define TXT_MAX_TEXT_BYTES ((size_t)1 << 29) /* of one input: offsets are 32 bits wide, and SentencePiece's blank is 3 bytes */

typedef enum { /* the ids of the file format */
               TXT_TYPE_NORMAL = 1,
               TXT_TYPE_UNKNOWN = 2,
               TXT_TYPE_CONTROL = 3,
               TXT_TYPE_USER = 4,
               TXT_TYPE_UNUSED = 5,
               TXT_TYPE_BYTE = 6
} txt_type;

/* Which spellings a look-up may find: text becomes CLASS_TEXT tokens only. */
enum { TXT_CLASS_TEXT = 1, TXT_CLASS_SPECIAL = 2, TXT_CLASS_BYTE = 4 };

typedef struct {
    uint32_t off; /* of its spelling in txt_vocab.bytes */
    uint16_t n;
    uint8_t type; /* txt_type */
    bool is_end;  /* ends an answer */
    bool strips;  /* blanks behind it belong to it (Phi-3) */
    uint8_t byte; /* what a TXT_TYPE_BYTE token stands for */
    float score;
} txt_token;

typedef struct {   /* merge rule: tokens (left, right) become `joined`, smallest rank first */
    uint64_t key;  /* left << 32 | right */
    uint32_t rank; /* UINT32_MAX: empty slot */
    txt_id joined;
} txt_rule;

typedef struct txt_pre txt_pre; /* a pre-tokenizer: compiled regular expressions */

struct txt_vocab {
    txt_token *tokens; /* [n] */
    size_t n;
    char *bytes;     /* all spellings, as in the file */
    uint32_t *slots; /* [slot_mask + 1] hash table of spellings: id + 1, 0 empty; at most one id a class and spelling */
    size_t slot_mask;
    uint64_t seed; /* of the hash tables: a file cannot be made to collide */
    size_t longest_text;
    txt_id *special; /* [n_special] tokens that are found in raw text, sorted by spelling, a user-defined one first */
    size_t n_special;
    uint32_t special_first[257]; /* those that begin with byte b: special[special_first[b] .. special_first[b + 1]) */
    bool user_first[256];        /* some user-defined token begins with byte b */

    bool is_spm, add_bos, add_eos, space_prefix;
    txt_id bos, eos, unk;
    txt_id byte_id[256]; /* the token of one byte, or TXT_NO_ID */

    /* byte-level BPE only */
    txt_rule *rules; /* [rule_mask + 1] */
    size_t rule_mask;
    bool whole_words; /* a word that is a token is that token, whatever the merges say (Llama 3) */
    txt_pre *pre;
};

static inline const char *txt_spelling(const txt_vocab *v, txt_id id)
{
    return v->bytes + v->tokens[id].off;
}

uint64_t txt_hash(uint64_t seed, const char *p, size_t n);
/* The token spelled p[n] in one of the classes of the mask, or TXT_NO_ID. */
txt_id txt_lookup(const txt_vocab *v, const char *p, size_t n, unsigned classes);
/* Bytes of the well-formed UTF-8 character (RFC 3629) at p[n], or 0 where there is none. */
size_t txt_utf8_len(const char *p, size_t n);
/* A string of a file for messages: at most 60 bytes, others than printable ASCII as '?'. */
typedef struct {
    char s[64];
} txt_shown;
txt_shown txt_show(sn_str s);

/* ---- merge.c: joins neighbours in a list of symbols, the best pair first ---- */
#define TXT_NO_JOIN UINT32_MAX
typedef struct {
    uint32_t off, n;    /* the bytes of the text that it covers; n 0: merged into the one before */
    int32_t prev, next; /* neighbours, -1 at the ends */
    txt_id id;          /* the token it is, or TXT_NO_ID */
    txt_id joined;      /* the token that it and its next one make */
    uint32_t key;       /* the order of that join, smaller first, leftmost first among equals; TXT_NO_JOIN: there is none */
} txt_sym;
typedef struct {
    txt_sym *sym; /* [n] */
    size_t n, cap;
    uint64_t *heap;
    size_t n_heap, cap_heap;
} txt_merge;
typedef struct txt_joiner txt_joiner;
struct txt_joiner {
    const txt_vocab *v;
    const char *text;
    /* Fills l->joined and l->key for l and the symbol r behind it. */
    void (*join)(const txt_joiner *j, txt_sym *l, const txt_sym *r);
};
void txt_merge_free(txt_merge *m);
sn_status txt_merge_reserve(txt_merge *m, size_t n, sn_err *err); /* room for n symbols */
/* Appends a symbol for n bytes at off (room must have been reserved). */
void txt_merge_push(txt_merge *m, size_t off, size_t n, txt_id id);
/* O(n log n) for n symbols, whatever the text. Starts from m->sym[0 .. m->n); needs no memory beyond what was reserved. */
void txt_merge_run(txt_merge *m, const txt_joiner *j);

/* ---- pretokenize.c ---- */
typedef struct {
    size_t off, n;
} txt_span;
typedef struct {
    txt_span *spans;
    size_t n, cap;
} txt_spans;
/* The pre-tokenizer called `name` in tokenizer.ggml.pre; *whole_words and *add_bos get its defaults. */
sn_status txt_pre_open(txt_pre **out, sn_str name, bool *whole_words, bool *add_bos, sn_err *err);
void txt_pre_close(txt_pre *p);
/* Cuts text[n] into words that cover it without gaps, in order. Bytes that are not UTF-8 count as control characters. */
sn_status txt_pre_split(const txt_pre *p, const char *text, size_t n, txt_spans *words, sn_err *err);

/* ---- spm.c, bpe.c: text without control tokens to ids. SentencePiece puts a blank in front of each such stretch, at the beginning
 * and behind a control token. ---- */
sn_status txt_spm_open(txt_vocab *v, const sn_gguf *g, sn_err *err);
sn_status txt_spm_tokenize(const txt_vocab *v, const char *text, size_t n, txt_ids *out, sn_err *err);
sn_status txt_bpe_open(txt_vocab *v, const sn_gguf *g, sn_err *err);
sn_status txt_bpe_tokenize(const txt_vocab *v, const char *text, size_t n, txt_ids *out, sn_err *err);
/* Bytes of a token's text in GPT-2's byte alphabet; false where the spelling has a character outside of it. */
bool txt_bpe_decode(const char *spelling, size_t n, char *buf, size_t cap, size_t *n_bytes);
/* The other way; spelling has room for 2 n. Returns its length. */
size_t txt_bpe_spell(const unsigned char *bytes, size_t n, char *spelling);

#endif
