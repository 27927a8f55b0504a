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

/* What one run of n rows takes from the arena, on top of the linear layers' own. */
static size_t run_scratch(const aud_decoder *d, size_t n)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    const aud_decoder_block *L = &d->w->decoder.blocks[0];
    sn_compute *c = d->w->compute;
    size_t linear = sn_linear_scratch_bytes(c, &L->q, n);
    const sn_linear *const wide[] = {&L->fc1, &L->fc2, &d->w->decoder.embed};
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
    const size_t run = run_scratch(d, hp->n_text_ctx), window = window_scratch(d);
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
            sn_f32_to_f16_rows(d->cross_k + at, n_embd, rows, n_embd, n, n_embd);
            sn_linear_apply(c, rows, n_embd, states + i * n_embd, n_embd, &L->cv, n, &d->tmp);
            sn_f32_to_f16_rows(d->cross_v + at, n_embd, rows, n_embd, n, n_embd);
        }
    }
    sn_arena_reset(&d->tmp, mark);
}

/* out [n, n_embd] = attention of q [n, n_embd] over each row's own sequence; the rows' keys and values go into the cache. */
static void self_attention(aud_decoder *d, size_t il, const aud_decoder_row *rows, size_t n, float *out, const float *q, float *kv,
                           const aud_decoder_block *L, const float *h)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    sn_compute *c = d->w->compute;
    const size_t n_embd = hp->n_embd;
    for (int value = 0; value < 2; value++) {
        uint16_t *cache = value ? d->self_v : d->self_k;
        sn_linear_apply(c, kv, n_embd, h, n_embd, value ? &L->v : &L->k, n, &d->tmp); /* [n, n_embd] */
        for (size_t i = 0; i < n; i++)
            sn_f32_to_f16_rows(cache + rows[i].seq * row_values(d) + (il * hp->n_text_ctx + rows[i].pos) * n_embd, n_embd, kv + i * n_embd,
                               n_embd, 1, n_embd);
    }
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && rows[end].seq == rows[i].seq; end++) {}
        const size_t base = rows[i].seq * row_values(d) + il * hp->n_text_ctx * n_embd;
        sn_attention(c, &(sn_attention_args){.out = out + i * n_embd,
                                             .q = q + i * n_embd,
                                             .k = d->self_k + base,
                                             .v = d->self_v + base,
                                             .kv_type = SN_F16,
                                             .n_q = end - i,
                                             .n_kv = rows[i].pos + (end - i),
                                             .n_head = hp->n_text_head,
                                             .n_head_kv = hp->n_text_head,
                                             .d_head = n_embd / hp->n_text_head,
                                             .ld_out = n_embd,
                                             .ld_q = n_embd,
                                             .ld_kv = n_embd,
                                             .ld_head = n_embd / hp->n_text_head,
                                             .scale = 1.0f / sqrtf((float)(n_embd / hp->n_text_head)),
                                             .causal = true,
                                             .first_pos = rows[i].pos});
    }
}

/* out [n, n_embd] = attention of q [n, n_embd] over the window: the same for every sequence. */
static void cross_attention(aud_decoder *d, size_t il, size_t n, float *out, const float *q)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    const size_t n_embd = hp->n_embd, base = il * AUD_N_AUDIO_CTX * n_embd;
    sn_attention(d->w->compute, &(sn_attention_args){.out = out,
                                                     .q = q,
                                                     .k = d->cross_k + base,
                                                     .v = d->cross_v + base,
                                                     .kv_type = SN_F16,
                                                     .n_q = n,
                                                     .n_kv = AUD_N_AUDIO_CTX,
                                                     .n_head = hp->n_text_head,
                                                     .n_head_kv = hp->n_text_head,
                                                     .d_head = n_embd / hp->n_text_head,
                                                     .ld_out = n_embd,
                                                     .ld_q = n_embd,
                                                     .ld_kv = n_embd,
                                                     .ld_head = n_embd / hp->n_text_head,
                                                     .scale = 1.0f / sqrtf((float)(n_embd / hp->n_text_head))});
}

void aud_decoder_run(aud_decoder *d, const aud_decoder_row *rows, size_t n)
{
    const aud_whisper_hparams *hp = &d->w->file.hp;
    const aud_decoder_weights *w = &d->w->decoder;
    sn_compute *c = d->w->compute;
    sn_arena *tmp = &d->tmp;
    const size_t n_embd = hp->n_embd, mark = sn_arena_mark(tmp);
    assert(n <= hp->n_text_ctx);
    float *x = d->x;                               /* [n, n_embd] */
    float *h = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *q = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *a = sn_arena_f32(tmp, n * n_embd);      /* [n, n_embd] */
    float *ff = sn_arena_f32(tmp, 4 * n * n_embd); /* [n, 4 n_embd]; before that, keys and values */

    for (size_t i = 0; i < n; i++) {
        sn_linear_row(x + i * n_embd, &w->embed, (size_t)rows[i].token);
        for (size_t j = 0; j < n_embd; j++) x[i * n_embd + j] += w->positions[rows[i].pos * n_embd + j];
    }
    for (size_t il = 0; il < hp->n_text_layer; il++) {
        const aud_decoder_block *L = &w->blocks[il];

        sn_layernorm(c, h, x, &L->ln1, n, EPS);
        sn_linear_apply(c, q, n_embd, h, n_embd, &L->q, n, tmp);
        self_attention(d, il, rows, n, a, q, ff, L, h);
        sn_linear_add(c, x, n_embd, a, n_embd, &L->out, n, tmp);

        sn_layernorm(c, h, x, &L->ln2, n, EPS);
        sn_linear_apply(c, q, n_embd, h, n_embd, &L->cq, n, tmp);
        cross_attention(d, il, n, a, q);
        sn_linear_add(c, x, n_embd, a, n_embd, &L->cout, n, tmp);

        sn_layernorm(c, h, x, &L->ln3, n, EPS);
        sn_linear_apply(c, ff, 4 * n_embd, h, n_embd, &L->fc1, n, tmp);
        sn_activate(c, ff, n * 4 * n_embd, SN_ACT_GELU_ERF);
        sn_linear_add(c, x, n_embd, ff, 4 * n_embd, &L->fc2, n, tmp);
    }
    sn_layernorm(c, x, x, &w->ln, n, EPS);
    sn_arena_reset(tmp, mark);
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
