/* decoder.c: Whisper's text decoder: pre-norm blocks of causal self-attention, cross-attention into the encoder's states and
 * an MLP; the token embedding is also the output (Radford et al. 2022, openai/whisper model.py). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "whisper.h"

#define EPS 1e-5f

static size_t row_values(const aud_decoder *d) /* of one sequence in one cache */
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    return hp->n_text_layer * hp->n_text_ctx * hp->n_embd;
}

static sn_linear *linear_at(aud_decoder_block *L, size_t i) /* for freeing and counting; NULL behind the last */
{
    sn_linear *const all[] = {&L->q, &L->k, &L->v, &L->out, &L->cq, &L->ck, &L->cv, &L->cout, &L->fc1, &L->fc2};
    return i < sizeof all / sizeof *all ? all[i] : NULL;
}

void aud_decoder_weights_free(aud_decoder_weights *d, size_t n_layer)
{
    for (size_t il = 0; d->blocks != NULL && il < n_layer; il++) {
        aud_decoder_block *L = &d->blocks[il];
        for (size_t i = 0; linear_at(L, i) != NULL; i++) sn_linear_free(linear_at(L, i));
        sn_norm_free(&L->ln1);
        sn_norm_free(&L->ln2);
        sn_norm_free(&L->ln3);
    }
    sn_free(d->blocks);
    sn_free(d->positions);
    sn_linear_free(&d->embed);
    sn_norm_free(&d->ln);
    memset(d, 0, sizeof *d);
}

size_t aud_decoder_weights_bytes(const aud_decoder_weights *d, size_t n_layer)
{
    size_t n = sn_linear_bytes(&d->embed);
    for (size_t il = 0; il < n_layer; il++)
        for (size_t i = 0; linear_at(&d->blocks[il], i) != NULL; i++) n += sn_linear_bytes(linear_at(&d->blocks[il], i));
    return n;
}

size_t aud_decoder_scratch_bytes(const aud_whisper *w, size_t n)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    const aud_decoder_block *L = &w->decoder.blocks[0];
    sn_compute *c = w->compute;
    size_t linear = sn_linear_scratch_bytes(c, &L->q, n);
    const sn_linear *const wide[] = {&L->fc1, &L->fc2, &w->decoder.embed};
    for (size_t i = 0; i < 3; i++) {
        const size_t s = sn_linear_scratch_bytes(c, wide[i], n);
        if (s > linear) linear = s;
    }
    return 3 * sn_arena_cost_f32(n * hp->n_embd) + sn_arena_cost_f32(4 * n * hp->n_embd) + linear;
}

/* The cross keys and values of a window, a block of rows at a time. */
#define WINDOW_ROWS 250
static size_t window_scratch(const aud_decoder *d)
{
    return sn_arena_cost_f32(WINDOW_ROWS * d->w->file.hp.n_embd) +
           sn_linear_scratch_bytes(d->w->compute, &d->w->decoder.blocks[0].ck, WINDOW_ROWS);
}

sn_status aud_decoder_init(aud_decoder *d, const aud_whisper *w, sn_err *err)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    memset(d, 0, sizeof *d);
    d->w = w;
    const size_t cross = hp->n_text_layer * AUD_N_AUDIO_CTX * hp->n_embd; /* <= 256 * 1500 * 8192: no overflow */
    d->cross_k = sn_calloc(cross, sizeof *d->cross_k);
    d->cross_v = sn_calloc(cross, sizeof *d->cross_v);
    d->x = sn_alloc(hp->n_text_ctx * hp->n_embd, sizeof *d->x);
    sn_status st = SN_OK;
    if (d->cross_k == NULL || d->cross_v == NULL || d->x == NULL) st = sn_fail(err, SN_ENOMEM, "no memory for the decoder's caches");
    if (st == SN_OK) st = aud_decoder_reserve(d, 1, err);
    const size_t run = aud_decoder_scratch_bytes(w, hp->n_text_ctx), window = window_scratch(d);
    if (st == SN_OK) st = sn_arena_init(&d->tmp, run > window ? run : window, err);
    if (st != SN_OK) aud_decoder_free(d);
    return st;
}

void aud_decoder_free(aud_decoder *d)
{
    sn_free(d->self_k);
    sn_free(d->self_v);
    sn_free(d->cross_k);
    sn_free(d->cross_v);
    sn_free(d->x);
    sn_arena_free(&d->tmp);
    memset(d, 0, sizeof *d);
}

size_t aud_decoder_bytes(const aud_decoder *d)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    return (2 * d->n_seq * row_values(d) + 2 * hp->n_text_layer * AUD_N_AUDIO_CTX * hp->n_embd) * sizeof(uint16_t) +
           hp->n_text_ctx * hp->n_embd * sizeof(float) + d->tmp.size;
}

sn_status aud_decoder_reserve(aud_decoder *d, size_t n_seq, sn_err *err)
{
    if (n_seq <= d->n_seq) return SN_OK;
    const size_t row = row_values(d);
    size_t n;
    uint16_t *k = NULL, *v = NULL;
    if (sn_mul_ok(n_seq, row, &n)) {
        k = sn_calloc(n, sizeof *k);
        v = sn_calloc(n, sizeof *v);
    }
    if (k == NULL || v == NULL) {
        sn_free(k);
        sn_free(v);
        return sn_fail(err, SN_ENOMEM, "no memory for %zu texts in parallel", n_seq);
    }
    if (d->n_seq > 0) {
        memcpy(k, d->self_k, row * sizeof *k);
        memcpy(v, d->self_v, row * sizeof *v);
    }
    sn_free(d->self_k);
    sn_free(d->self_v);
    d->self_k = k;
    d->self_v = v;
    d->n_seq = n_seq;
    return SN_OK;
}

void aud_decoder_set_window(aud_decoder *d, const float *states)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    sn_compute *c = d->w->compute;
    const size_t n_embd = hp->n_embd, mark = sn_arena_mark(&d->tmp);
    float *rows = sn_arena_f32(&d->tmp, WINDOW_ROWS * n_embd); /* [WINDOW_ROWS, n_embd] */
    for (size_t il = 0; il < hp->n_text_layer; il++) {
        const aud_decoder_block *L = &d->w->decoder.blocks[il];
        for (size_t i = 0; i < AUD_N_AUDIO_CTX; i += WINDOW_ROWS) {
            const size_t n = AUD_N_AUDIO_CTX - i < WINDOW_ROWS ? AUD_N_AUDIO_CTX - i : WINDOW_ROWS;
            const size_t at = (il * AUD_N_AUDIO_CTX + i) * n_embd;
            sn_linear_apply(c, rows, n_embd, states + i * n_embd, n_embd, &L->ck, n, &d->tmp);
            sn_f32_to_f16_rows(c, d->cross_k + at, n_embd, rows, n_embd, n, n_embd);
            sn_linear_apply(c, rows, n_embd, states + i * n_embd, n_embd, &L->cv, n, &d->tmp);
            sn_f32_to_f16_rows(c, d->cross_v + at, n_embd, rows, n_embd, n, n_embd);
        }
    }
    sn_arena_reset(&d->tmp, mark);
}

/* Rows that follow one another in one sequence of one decoder: i .. *end - 1 of a part. */
static size_t end_of_sequence(const aud_decoder_part *p, size_t i)
{
    size_t end = i + 1;
    while (end < p->n && p->rows[end].seq == p->rows[i].seq) end++;
    return end;
}

/* The keys or values kv [n, n_embd] of a part's rows into its decoder's cache. */
static void store(const aud_decoder_part *p, size_t il, uint16_t *cache, const float *kv)
{
    const aud_whisper_hparams *hp = &p->d->w->file.hp;
    for (size_t i = 0; i < p->n; i++) {
        const size_t at = p->rows[i].seq * row_values(p->d) + (il * hp->n_text_ctx + p->rows[i].pos) * hp->n_embd;
        sn_f32_to_f16_rows(p->d->w->compute, cache + at, hp->n_embd, kv + i * hp->n_embd, hp->n_embd, 1, hp->n_embd);
    }
}

/* out [n, n_embd] = attention of q [n, n_embd] of n rows that stand from first_pos on, or see all keys, over n_kv keys. */
static void attend(const aud_whisper *w, float *out, const float *q, size_t n, const uint16_t *k, const uint16_t *v, size_t n_kv,
                   bool causal, size_t first_pos)
{
    const size_t n_embd = w->file.hp.n_embd, n_head = w->file.hp.n_text_head, d_head = n_embd / n_head;
    sn_attention(w->compute, &(sn_attention_args){.out = out,
                                                  .q = q,
                                                  .k = k,
                                                  .v = v,
                                                  .kv_type = SN_F16,
                                                  .n_q = n,
                                                  .n_kv = n_kv,
                                                  .n_head = n_head,
                                                  .n_head_kv = n_head,
                                                  .d_head = d_head,
                                                  .ld_out = n_embd,
                                                  .ld_q = n_embd,
                                                  .ld_kv = n_embd,
                                                  .ld_head = d_head,
                                                  .scale = 1.0f / sqrtf((float)d_head),
                                                  .causal = causal,
                                                  .first_pos = first_pos});
}

/* Each row over its own sequence, whose keys and values are in the caches. */
static void self_attention(const aud_decoder_part *p, size_t il, float *out, const float *q)
{
    const aud_decoder *d = p->d;
    const aud_whisper_hparams *hp = &d->w->file.hp;
    for (size_t i = 0, end; i < p->n; i = end) {
        end = end_of_sequence(p, i);
        const size_t base = p->rows[i].seq * row_values(d) + il * hp->n_text_ctx * hp->n_embd;
        attend(d->w, out + i * hp->n_embd, q + i * hp->n_embd, end - i, d->self_k + base, d->self_v + base, p->rows[i].pos + (end - i),
               true, p->rows[i].pos);
    }
}

/* Over the window: the same for every sequence of a decoder. */
static void cross_attention(const aud_decoder_part *p, size_t il, float *out, const float *q)
{
    const size_t base = il * AUD_N_AUDIO_CTX * p->d->w->file.hp.n_embd;
    attend(p->d->w, out, q, p->n, p->d->cross_k + base, p->d->cross_v + base, AUD_N_AUDIO_CTX, false, 0);
}

void aud_decoder_run_parts(const aud_whisper *w, const aud_decoder_part *parts, size_t n_parts, float *x, sn_arena *tmp)
{
    const aud_decoder_weights *dw = &w->decoder;
    const aud_decoder_part *const end = parts + n_parts;
    sn_compute *c = w->compute;
    const size_t n_embd = w->file.hp.n_embd, mark = sn_arena_mark(tmp);
    size_t n = 0, at = 0;
    for (const aud_decoder_part *p = parts; p < end; p++) n += p->n;
    float *h = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *q = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *a = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *ff = sn_arena_f32(tmp, 4 * n * n_embd); /* [n, 4 n_embd]; before that, keys, then values */

    for (const aud_decoder_part *p = parts; p < end; p++)
        for (size_t i = 0; i < p->n; i++, at++) {
            sn_linear_row(x + at * n_embd, &dw->embed, (size_t)p->rows[i].token);
            for (size_t j = 0; j < n_embd; j++) x[at * n_embd + j] += dw->positions[p->rows[i].pos * n_embd + j];
        }
    for (size_t il = 0; il < w->file.hp.n_text_layer; il++) {
        const aud_decoder_block *L = &dw->blocks[il];

        sn_layernorm(c, h, x, &L->ln1, n, EPS);
        sn_linear_apply(c, q, n_embd, h, n_embd, &L->q, n, tmp);
        sn_linear_apply(c, ff, n_embd, h, n_embd, &L->k, n, tmp);
        sn_linear_apply(c, ff + n * n_embd, n_embd, h, n_embd, &L->v, n, tmp);
        at = 0;
        for (const aud_decoder_part *p = parts; p < end; at += p->n * n_embd, p++) {
            store(p, il, p->d->self_k, ff + at);
            store(p, il, p->d->self_v, ff + n * n_embd + at);
            self_attention(p, il, a + at, q + at);
        }
        sn_linear_add(c, x, n_embd, a, n_embd, &L->out, n, tmp);

        sn_layernorm(c, h, x, &L->ln2, n, EPS);
        sn_linear_apply(c, q, n_embd, h, n_embd, &L->cq, n, tmp);
        at = 0;
        for (const aud_decoder_part *p = parts; p < end; at += p->n * n_embd, p++) cross_attention(p, il, a + at, q + at);
        sn_linear_add(c, x, n_embd, a, n_embd, &L->cout, n, tmp);

        sn_layernorm(c, h, x, &L->ln3, n, EPS);
        sn_linear_apply(c, ff, 4 * n_embd, h, n_embd, &L->fc1, n, tmp);
        sn_activate(c, ff, n * 4 * n_embd, SN_ACT_GELU_ERF);
        sn_linear_add(c, x, n_embd, ff, 4 * n_embd, &L->fc2, n, tmp);
    }
    sn_layernorm(c, x, x, &dw->ln, n, EPS);
    sn_arena_reset(tmp, mark);
}

void aud_decoder_run(aud_decoder *d, const aud_decoder_row *rows, size_t n)
{
    assert(n <= d->w->file.hp.n_text_ctx);
    const aud_decoder_part part = {d, rows, n};
    aud_decoder_run_parts(d->w, &part, 1, d->x, &d->tmp);
}

void aud_decoder_next(aud_decoder *d, const aud_decoder_row *rows, size_t n, float *logits)
{
    const aud_decoder_part part = {d, rows, n};
    if (d->w->chorus != NULL) {
        aud_chorus_next(d->w->chorus, &part, logits);
        return;
    }
    sn_turn_take(d->w->compute);
    aud_decoder_run(d, rows, n);
    aud_decoder_logits(d, 0, n, logits);
    sn_turn_end(d->w->compute);
}

void aud_decoder_logits(aud_decoder *d, size_t first, size_t n, float *logits)
{
    const size_t n_embd = d->w->file.hp.n_embd, n_vocab = d->w->file.hp.n_vocab;
    sn_linear_apply(d->w->compute, logits, n_vocab, d->x + first * n_embd, n_embd, &d->w->decoder.embed, n, &d->tmp);
}

void aud_decoder_fork(aud_decoder *d, size_t n_seq, size_t n)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    const size_t row = row_values(d), layer = hp->n_text_ctx * hp->n_embd;
    assert(n_seq <= d->n_seq && n <= hp->n_text_ctx);
    for (size_t s = 1; s < n_seq; s++)
        for (size_t il = 0; il < hp->n_text_layer; il++) {
            memcpy(d->self_k + s * row + il * layer, d->self_k + il * layer, n * hp->n_embd * sizeof *d->self_k);
            memcpy(d->self_v + s * row + il * layer, d->self_v + il * layer, n * hp->n_embd * sizeof *d->self_v);
        }
}
