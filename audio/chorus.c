/* chorus.c: the next tokens of several transcriptions at once: the decoder's weights are read once for all of them. */
#include "../core/together.h"
#include "whisper.h"

#include <string.h>

struct aud_chorus {
    const aud_whisper *w;
    sn_together *together;
    size_t most;   /* rows at once */
    float *x;      /* [most, n_embd] */
    float *logits; /* [most, n_vocab] */
    sn_arena tmp;
};

typedef struct {
    aud_decoder_part part;
    float *logits; /* [part.n, n_vocab] */
} voice;

static void sing(void *user, void *const *items, size_t n)
{
    aud_chorus *c = user;
    const size_t n_embd = c->w->file.hp.n_embd, n_vocab = c->w->file.hp.n_vocab;
    aud_decoder_part parts[SN_MAX_CALLERS] = {0};
    size_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        parts[i] = ((const voice *)items[i])->part;
        rows += parts[i].n;
    }
    aud_decoder_run_parts(c->w, parts, n, c->x, &c->tmp);
    sn_linear_apply(c->w->compute, c->logits, n_vocab, c->x, n_embd, &c->w->decoder.embed, rows, &c->tmp);
    const float *from = c->logits;
    for (size_t i = 0; i < n; from += parts[i++].n * n_vocab)
        memcpy(((const voice *)items[i])->logits, from, parts[i].n * n_vocab * sizeof(float));
}

sn_status aud_chorus_open(aud_chorus **out, const aud_whisper *w, sn_err *err)
{
    const size_t n_callers = sn_compute_callers(w->compute), most = n_callers * AUD_BEST_OF;
    aud_chorus *c = sn_calloc(1, sizeof *c);
    if (c == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    *c = (aud_chorus){.w = w, .most = most};
    sn_status st = sn_together_open(&c->together, w->compute, n_callers, sing, c, err);
    if (st == SN_OK)
        st = sn_arena_init(&c->tmp,
                           sn_arena_cost_f32(most * w->file.hp.n_embd) + sn_arena_cost_f32(most * w->file.hp.n_vocab) +
                               aud_decoder_scratch_bytes(w, most),
                           err);
    if (st != SN_OK) {
        aud_chorus_close(c);
        return st;
    }
    c->x = sn_arena_f32(&c->tmp, most * w->file.hp.n_embd);
    c->logits = sn_arena_f32(&c->tmp, most * w->file.hp.n_vocab);
    *out = c;
    return SN_OK;
}

void aud_chorus_close(aud_chorus *c)
{
    if (c == NULL) return;
    sn_together_close(c->together);
    sn_arena_free(&c->tmp);
    sn_free(c);
}

size_t aud_chorus_bytes(const aud_chorus *c)
{
    return c == NULL ? 0 : sizeof *c + c->tmp.size;
}

void aud_chorus_join(aud_chorus *c)
{
    if (c != NULL) sn_together_join(c->together);
}

void aud_chorus_leave(aud_chorus *c)
{
    if (c != NULL) sn_together_leave(c->together);
}

void aud_chorus_next(aud_chorus *c, const aud_decoder_part *part, float *logits)
{
    voice v = {*part, logits};
    sn_together_do(c->together, &v);
}
