/* spm.c: the SentencePiece BPE of Llama 1/2, Mistral and Gemma (Kudo & Richardson 2018): characters are joined, the pair that
 * makes the token of the highest score first; characters that are no token become byte tokens. Blanks are written U+2581. */
#include "vocab_internal.h"

#include <math.h>
#include <string.h>

static const char blank[] = "\xe2\x96\x81";

/* Keys that sort like the scores, the highest first. Scores are not NaN (txt_spm_open). */
static uint32_t key_of_score(float score)
{
    uint32_t u;
    score += 0.0f; /* -0 and 0 are equal */
    memcpy(&u, &score, sizeof u);
    u = u >> 31 ? ~u : u | 0x80000000u;
    return ~u;
}

static void join(const txt_joiner *j, txt_sym *l, const txt_sym *r)
{
    size_t n = (size_t)l->n + r->n;
    if (n > j->v->longest_text) return;
    txt_id id = txt_lookup(j->v, j->text + l->off, n, TXT_CLASS_TEXT);
    if (id == TXT_NO_ID) return;
    l->joined = id;
    l->key = key_of_score(j->v->tokens[id].score);
}

sn_status txt_spm_open(txt_vocab *v, const sn_gguf *g, sn_err *err)
{
    const char *path = sn_gguf_path(g);
    for (size_t i = 0; i < v->n; i++)
        if (isnan(v->tokens[i].score)) return sn_fail(err, SN_EFORMAT, "%s: tokenizer.ggml.scores: score %zu is not a number", path, i);
    for (int b = 0; b < 256; b++) {
        char name[8] = {'<', '0', 'x', "0123456789ABCDEF"[b >> 4], "0123456789ABCDEF"[b & 15], '>'};
        v->byte_id[b] = txt_lookup(v, name, 6, TXT_CLASS_BYTE | TXT_CLASS_TEXT);
        if (v->byte_id[b] == TXT_NO_ID && v->unk != TXT_NO_ID && v->tokens[v->unk].type == TXT_TYPE_UNKNOWN) v->byte_id[b] = v->unk;
    }
    return SN_OK;
}

/* text with its blanks spelled out, behind one more blank when `prefix`; free with sn_free. */
static char *escape(const char *text, size_t n, bool prefix, size_t *n_out)
{
    size_t n_blank = prefix;
    for (size_t i = 0; i < n; i++) n_blank += text[i] == ' ';
    char *out = sn_alloc(n + 3 * n_blank, 1); /* n is limited by the caller */
    if (out == NULL) return NULL;
    char *p = out;
    if (prefix) p = (char *)memcpy(p, blank, 3) + 3;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == ' ')
            p = (char *)memcpy(p, blank, 3) + 3;
        else
            *p++ = text[i];
    }
    *n_out = (size_t)(p - out);
    return out;
}

sn_status txt_spm_tokenize(const txt_vocab *v, const char *text, size_t n, txt_ids *out, sn_err *err)
{
    sn_status s;
    txt_merge m = {0};
    size_t n_esc = 0;
    char *esc = escape(text, n, v->space_prefix, &n_esc);
    if (esc == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    if ((s = txt_merge_reserve(&m, n_esc, err)) != SN_OK) goto done;
    for (size_t i = 0; i < n_esc;) {
        size_t len = txt_utf8_len(esc + i, n_esc - i);
        if (len == 0) len = 1; /* a stray byte stands alone, so that it harms nothing beside it */
        txt_merge_push(&m, i, len, txt_lookup(v, esc + i, len, TXT_CLASS_TEXT));
        i += len;
    }
    txt_merge_run(&m, &(txt_joiner){.v = v, .text = esc, .join = join});
    for (int32_t i = m.n > 0 ? 0 : -1; i >= 0; i = m.sym[i].next) {
        const txt_sym *y = &m.sym[i];
        if (y->id != TXT_NO_ID) {
            if ((s = txt_ids_push(out, y->id, err)) != SN_OK) goto done;
            continue;
        }
        for (uint32_t k = 0; k < y->n; k++) {
            txt_id id = v->byte_id[(unsigned char)esc[y->off + k]];
            if (id != TXT_NO_ID && (s = txt_ids_push(out, id, err)) != SN_OK) goto done;
        }
    }
done:
    txt_merge_free(&m);
    sn_free(esc);
    return s;
}
