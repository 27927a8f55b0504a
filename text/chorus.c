/* chorus.c: the next tokens of several sessions in one block: the weights, which are most of what a token has to read, are read once for
 * all of them. */
#include "../core/together.h"
#include "decoder.h"

#include <string.h>

struct txt_chorus {
    const txt_model *model;
    sn_together *together;
    size_t most;   /* tokens at once */
    float *x;      /* [most, n_embd] */
    int32_t *pos;  /* [n_axes, most] */
    float *logits; /* [most, n_vocab] */
    sn_arena tmp;
};

typedef struct {
    txt_stretch stretch;
    const int32_t *pos; /* [n_axes] */
    txt_id id;
    float *logits; /* [n_vocab] */
} voice;

static void sing(void *user, void *const *items, size_t n)
{
    txt_chorus *c = user;
    const txt_model *m = c->model;
    const size_t n_vocab = m->hp.n_vocab, d = m->hp.n_embd;
    txt_stretch stretches[SN_MAX_CALLERS] = {0};
    txt_id ids[SN_MAX_CALLERS] = {0};
    for (size_t i = 0; i < n; i++) {
        const voice *v = items[i];
        stretches[i] = v->stretch;
        ids[i] = v->id;
        for (size_t axis = 0; axis < m->n_axes; axis++) c->pos[axis * n + i] = v->pos[axis];
    }
    const txt_block b = {.stretches = stretches, .n_stretch = n, .n_tok = n, .pos = c->pos};
    txt_model_embed(m, ids, n, c->x);
    for (size_t i = 0; m->a.embd_scale != 1 && i < n * d; i++) c->x[i] *= m->a.embd_scale;
    txt_llama_forward(m, &b, c->x, n, &c->tmp);
    txt_llama_logits(m, c->logits, c->x, n, &c->tmp);
    for (size_t i = 0; i < n; i++) memcpy(((voice *)items[i])->logits, c->logits + i * n_vocab, n_vocab * sizeof(float));
}

sn_status txt_chorus_open(txt_chorus **out, const txt_model *m, sn_err *err)
{
    const size_t most = sn_compute_callers(m->compute);
    txt_chorus *c = sn_calloc(1, sizeof *c);
    if (c == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    *c = (txt_chorus){.model = m, .most = most};
    sn_status st = sn_together_open(&c->together, m->compute, most, sing, c, err);
    if (st == SN_OK)
        st = sn_arena_init(&c->tmp,
                           sn_arena_cost_f32(most * m->hp.n_embd) + sn_arena_cost(m->n_axes * most * sizeof *c->pos) +
                               sn_arena_cost_f32(most * m->hp.n_vocab) + txt_llama_scratch_bytes(m, most),
                           err);
    if (st != SN_OK) {
        txt_chorus_close(c);
        return st;
    }
    c->x = sn_arena_f32(&c->tmp, most * m->hp.n_embd);
    c->pos = sn_arena_alloc(&c->tmp, m->n_axes * most * sizeof *c->pos);
    c->logits = sn_arena_f32(&c->tmp, most * m->hp.n_vocab);
    *out = c;
    return SN_OK;
}

void txt_chorus_close(txt_chorus *c)
{
    if (c == NULL) return;
    sn_together_close(c->together);
    sn_arena_free(&c->tmp);
    sn_free(c);
}

size_t txt_chorus_bytes(const txt_chorus *c)
{
    return c == NULL ? 0 : sizeof *c + c->tmp.size;
}

void txt_chorus_join(txt_chorus *c)
{
    sn_together_join(c->together);
}

void txt_chorus_leave(txt_chorus *c)
{
    sn_together_leave(c->together);
}

void txt_chorus_next(txt_chorus *c, const txt_kv *kv, size_t n_past, const int32_t *pos, txt_id id, float *logits)
{
    voice v = {.stretch = {.kv = kv, .n_past = n_past, .n_tok = 1}, .pos = pos, .id = id, .logits = logits};
    sn_together_do(c->together, &v);
}
