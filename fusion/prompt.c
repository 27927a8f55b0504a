#include "prompt.h"

#include <stdlib.h>
#include <string.h>

void fus_text_free(fus_text *t)
{
    sn_free(t->p);
    *t = (fus_text){0};
}

static sn_status text_push(fus_text *t, const char *p, size_t n, sn_err *err)
{
    size_t need;
    if (!sn_add_ok(t->n, n, &need)) return sn_fail(err, SN_ENOMEM, "out of memory for a prompt");
    sn_status st = sn_grow((void **)&t->p, &t->cap, need, 1, err);
    if (st != SN_OK) return st;
    if (n) memcpy(t->p + t->n, p, n);
    t->n = need;
    return SN_OK;
}

sn_status fus_text_append(fus_text *t, const char *p, size_t n, sn_err *err)
{
    while (n > 0) {
        const char *mark = memchr(p, (unsigned char)TXT_MEDIA_MARK, n);
        size_t run = mark ? (size_t)(mark - p) : n;
        sn_status st = text_push(t, p, run, err);
        if (st == SN_OK && mark) st = text_push(t, "\xEF\xBF\xBD", 3, err);
        if (st != SN_OK) return st;
        p += run + (mark != NULL);
        n -= run + (mark != NULL);
    }
    return SN_OK;
}

sn_status fus_text_append_mark(fus_text *t, sn_err *err)
{
    const char mark = TXT_MEDIA_MARK;
    return text_push(t, &mark, 1, err);
}

void fus_medium_free(fus_medium *m)
{
    vis_prepared_free(&m->tiles);
    *m = (fus_medium){0};
}

void fus_prompt_free(fus_prompt *p)
{
    txt_ids_free(&p->ids);
    sn_free(p->chunks);
    *p = (fus_prompt){0};
}

/* The text between two media, not yet tokenized: borrowed parts. */
typedef struct {
    fus_prompt *out;
    const txt_vocab *vocab;
    txt_part *parts;
    size_t n, cap;
    bool add_bos;
    sn_err *err;
} stretch;

static sn_status stretch_push(stretch *s, const char *text, size_t n, bool framing)
{
    if (n == 0) return SN_OK;
    sn_status st = sn_grow((void **)&s->parts, &s->cap, s->n + 1, sizeof *s->parts, s->err);
    if (st == SN_OK) s->parts[s->n++] = (txt_part){.text = (char *)text, .n = n, .framing = framing};
    return st;
}

static sn_status push_chunk(fus_prompt *p, fus_chunk c, sn_err *err)
{
    sn_status st = sn_grow((void **)&p->chunks, &p->cap_chunks, p->n_chunks + 1, sizeof *p->chunks, err);
    if (st == SN_OK) p->chunks[p->n_chunks++] = c;
    return st;
}

/* Tokenizes what has gathered. The first stretch of a context carries the bos token, even when it has no text. */
static sn_status stretch_flush(stretch *s)
{
    fus_prompt *p = s->out;
    size_t first = p->ids.n;
    sn_status st = SN_OK;
    if (s->add_bos && txt_vocab_add_bos(s->vocab)) st = txt_ids_push(&p->ids, txt_vocab_bos(s->vocab), s->err);
    s->add_bos = false;
    if (st == SN_OK && s->n) st = txt_tokenize_parts(s->vocab, s->parts, s->n, &p->ids, s->err);
    s->n = 0;
    if (st != SN_OK || p->ids.n == first) return st;
    p->n_pos += p->ids.n - first;
    return push_chunk(p, (fus_chunk){.first_id = first, .n_ids = p->ids.n - first}, s->err);
}

static sn_status push_rows(stretch *s, fus_chunk rows)
{
    sn_status st = stretch_flush(s);
    if (st == SN_OK) st = push_chunk(s->out, rows, s->err);
    s->out->n_pos += rows.n_rows;
    s->out->n_rows += rows.n_rows;
    return st;
}

static sn_status push_medium(stretch *s, const fus_medium *m, size_t index)
{
    sn_status st = SN_OK;
    if (m->sound) {
        const aud_model *audio = m->encoder->audio;
        const char *before = aud_model_before(audio), *after = aud_model_after(audio);
        st = stretch_push(s, before, strlen(before), true);
        if (st == SN_OK) st = push_rows(s, (fus_chunk){.medium = index, .n_rows = aud_model_n_tok(audio, m->sound->n)});
        if (st == SN_OK) st = stretch_push(s, after, strlen(after), true);
        return st;
    }
    size_t row = 0;
    for (size_t i = 0; i < m->tiles.n_tiles && st == SN_OK; i++) {
        const vis_tile *t = &m->tiles.tiles[i];
        st = stretch_push(s, t->before, strlen(t->before), true);
        const fus_chunk rows = {.medium = index, .first = row, .n_rows = t->n_tok, .map_w = t->map_w, .map_h = t->map_h};
        if (st == SN_OK) st = push_rows(s, rows);
        row += t->n_tok;
    }
    if (st == SN_OK) st = stretch_push(s, m->tiles.after, strlen(m->tiles.after), true);
    return st;
}

sn_status fus_prompt_build(fus_prompt *out, const txt_vocab *v, const txt_part *parts, size_t n_parts, const fus_medium *media,
                           size_t n_media, bool add_bos, sn_err *err)
{
    fus_prompt p = {0};
    stretch s = {.out = &p, .vocab = v, .add_bos = add_bos, .err = err};
    size_t used = 0;
    sn_status st = SN_OK;
    for (size_t i = 0; i < n_parts && st == SN_OK; i++) {
        const char *text = parts[i].text, *end = text + parts[i].n;
        while (text < end && st == SN_OK) {
            const char *mark = memchr(text, (unsigned char)TXT_MEDIA_MARK, (size_t)(end - text));
            size_t run = (size_t)((mark ? mark : end) - text);
            st = stretch_push(&s, text, run, parts[i].framing);
            if (st == SN_OK && mark && used < n_media) st = push_medium(&s, &media[used], used);
            used += mark != NULL;
            text += run + (mark != NULL);
        }
    }
    if (st == SN_OK) st = stretch_flush(&s);
    if (st == SN_OK && used != n_media)
        st = sn_fail(err, SN_EUSAGE, "the prompt has %zu places for media, and %zu media were given", used, n_media);
    sn_free(s.parts);
    if (st == SN_OK)
        *out = p;
    else
        fus_prompt_free(&p);
    return st;
}

/* The rows of medium `m`: out [n_rows, n_embd]. */
static sn_status encode_medium(fus_medium *m, float *out, sn_err *err)
{
    return fus_encode(m->encoder, m->sound ? NULL : &m->tiles, m->sound, out, m->cached, err);
}

static size_t medium_rows(const fus_medium *m)
{
    return m->sound ? aud_model_n_tok(m->encoder->audio, m->sound->n) : m->tiles.n_tok;
}

void fus_prompt_runs(const fus_prompt *p, txt_run *runs)
{
    for (size_t i = 0; i < p->n_chunks; i++) {
        const fus_chunk *c = &p->chunks[i];
        runs[i] = (txt_run){.n = c->n_ids + c->n_rows, .medium = c->n_rows > 0, .map_w = c->map_w, .map_h = c->map_h};
    }
}

/* dst [n, width]: tokens, with nothing in what is wider than an embedding. */
static void embed_ids(const txt_model *m, const txt_id *ids, size_t n, float *dst, size_t width)
{
    const size_t d = txt_model_hparams(m)->n_embd;

    txt_model_embed(m, ids, n, dst);
    for (size_t i = n; width > d && i-- > 0;) { /* from the last: what is read is not yet written over */
        memmove(dst + i * width, dst + i * d, d * sizeof *dst);
        memset(dst + i * width + d, 0, (width - d) * sizeof *dst);
    }
}

sn_status fus_prompt_embed(const fus_prompt *p, const txt_model *m, fus_medium *media, size_t n_media, float **out, sn_err *err)
{
    const size_t d = txt_model_row_width(m);
    size_t n_value = 0;
    sn_status st = SN_OK;
    float *rows = sn_mul_ok(p->n_pos, d, &n_value) ? sn_alloc(n_value, sizeof(float)) : NULL; /* [n_pos, d] */
    float **encoded = calloc(n_media + 1, sizeof *encoded);                                   /* each [rows, d] */
    if (rows == NULL || encoded == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory for a prompt of %zu positions", p->n_pos);
    for (size_t i = 0; i < n_media && st == SN_OK; i++) {
        encoded[i] = sn_mul_ok(medium_rows(&media[i]), d, &n_value) ? sn_alloc(n_value, sizeof(float)) : NULL;
        st = encoded[i] ? encode_medium(&media[i], encoded[i], err) : sn_fail(err, SN_ENOMEM, "out of memory for medium %zu", i + 1);
    }
    float *dst = rows;
    for (size_t i = 0; i < p->n_chunks && st == SN_OK; i++) {
        const fus_chunk *c = &p->chunks[i];
        if (c->n_rows) memcpy(dst, encoded[c->medium] + c->first * d, c->n_rows * d * sizeof(float));
        embed_ids(m, p->ids.ids + c->first_id, c->n_ids, dst, d);
        dst += (c->n_rows + c->n_ids) * d;
    }
    for (size_t i = 0; encoded && i < n_media; i++) sn_free(encoded[i]);
    free(encoded);
    if (st == SN_OK)
        *out = rows;
    else
        sn_free(rows);
    return st;
}
