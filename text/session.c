/* session.c: one timeline of a decoder: the KV cache, the scratch, and the cutting of input into blocks. */
#include "decoder.h"

#include <string.h>
#include <unistd.h>

/* Positions computed at once: enough that a weight read from memory is used many times, few enough that the activations of a
 * block stay in the second-level cache. */
#define MAX_BLOCK ((size_t)256)
#define MAX_TOGETHER ((size_t)SN_MAX_CALLERS) /* sessions whose tokens go through the layers in one block */

struct txt_session {
    txt_model *model;
    txt_kv kv;
    size_t n_past, n_block;
    bool writing;  /* it has joined the model's chorus */
    int32_t *next; /* [n_ctx + 1]: the position of text behind the first i places of the cache; NULL: i, as rows stand in a line */
    float *x;      /* [n_block, n_embd] */
    int32_t *pos;  /* [n_axes, n_block] */
    sn_arena tmp;
    bool (*cancel)(void *user);
    void *cancel_user;
};

static size_t block_size(size_t n_ctx)
{
    return n_ctx < MAX_BLOCK ? n_ctx : MAX_BLOCK;
}

/* Bytes of one of the two caches; false when that is beyond counting. */
static bool cache_bytes(const txt_model *m, size_t n_ctx, sn_type type, size_t *n)
{
    const sn_type_info *info = sn_type_get(type);
    return sn_mul_ok(m->hp.n_layer * m->hp.n_head_kv * m->hp.d_head / info->block * info->bytes, n_ctx, n);
}

static size_t block_bytes(const txt_model *m, size_t n_block)
{
    return sn_arena_cost_f32(n_block * m->hp.n_embd) + sn_arena_cost(m->n_axes * n_block * sizeof(int32_t)) +
           txt_llama_scratch_bytes(m, n_block);
}

size_t txt_session_bytes(const txt_model *m, size_t n_ctx, sn_type kv_type)
{
    size_t n = 0;
    if (!cache_bytes(m, n_ctx, kv_type, &n) || !sn_mul_ok(n, 2, &n)) return SIZE_MAX;
    if (!sn_add_ok(n, sizeof(txt_session) + block_bytes(m, block_size(n_ctx)), &n)) return SIZE_MAX;
    if (m->n_axes > 1 && !sn_add_ok(n, (n_ctx + 1) * sizeof(int32_t), &n)) return SIZE_MAX;
    return n;
}

/* The scratch of blocks of n_block rows. */
static sn_status take_block(txt_session *s, size_t n_block, sn_err *err)
{
    sn_arena tmp = {0};
    sn_status st = sn_arena_init(&tmp, block_bytes(s->model, n_block), err);
    if (st != SN_OK) return st;
    sn_arena_free(&s->tmp);
    s->tmp = tmp;
    s->n_block = n_block;
    s->x = sn_arena_f32(&s->tmp, n_block * s->model->hp.n_embd);
    s->pos = sn_arena_alloc(&s->tmp, s->model->n_axes * n_block * sizeof *s->pos);
    return SN_OK;
}

/* What the machine has, so that a context it can never hold is refused with a sentence and not by the system in mid-answer. */
static size_t machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t n = SIZE_MAX;
    if (pages > 0 && page > 0) (void)sn_mul_ok((size_t)pages, (size_t)page, &n);
    return n;
}

/* The model's chorus, with its first session: from then on no adapter is added. */
static sn_status open_chorus(txt_model *m, sn_err *err)
{
    if (sn_compute_callers(m->compute) == 1) return SN_OK;
    sn_turn_take(m->compute);
    sn_status st = m->chorus == NULL ? txt_chorus_open(&m->chorus, m, err) : SN_OK;
    sn_turn_end(m->compute);
    return st;
}

sn_status txt_session_open(txt_session **out, txt_model *m, size_t n_ctx, sn_err *err)
{
    return txt_session_open_as(out, m, n_ctx, SN_F16, err);
}

sn_status txt_session_open_as(txt_session **out, txt_model *m, size_t n_ctx, sn_type kv_type, sn_err *err)
{
    const char *path = sn_gguf_path(m->gguf);
    if (n_ctx == 0) return sn_fail(err, SN_EUSAGE, "%s: a context of 0 positions", path);
    if (n_ctx > INT32_MAX) return sn_fail(err, SN_ELIMIT, "%s: a context of %zu positions; the limit is %d", path, n_ctx, INT32_MAX);
    if (m->hp.d_head % sn_type_get(kv_type)->block != 0)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: heads of %zu values cannot be kept in blocks of %zu (--kv-type f16 keeps them)", path,
                       m->hp.d_head, sn_type_get(kv_type)->block);
    const size_t bytes = txt_session_bytes(m, n_ctx, kv_type), have = machine_bytes();
    if (bytes > have)
        return sn_fail(err, SN_ELIMIT, "%s: a context of %zu positions takes %zu MB; this machine has %zu MB", path, n_ctx, bytes >> 20,
                       have >> 20);

    txt_session *s = sn_calloc(1, sizeof *s);
    if (s == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    size_t n = 0;
    (void)cache_bytes(m, n_ctx, kv_type, &n); /* fits: bytes did */
    s->model = m;
    s->kv = (txt_kv){sn_alloc(n, 1), sn_alloc(n, 1), n_ctx, kv_type};
    sn_keep_from_forks(s->kv.k, n, true);
    sn_keep_from_forks(s->kv.v, n, true);
    sn_status st = SN_OK;
    if (m->n_axes > 1) s->next = sn_calloc(n_ctx + 1, sizeof *s->next);
    if (s->kv.k == NULL || s->kv.v == NULL || (m->n_axes > 1 && s->next == NULL))
        st = sn_fail(err, SN_ENOMEM, "out of memory for a context of %zu positions", n_ctx);
    if (st == SN_OK) st = take_block(s, block_size(n_ctx), err);
    if (st == SN_OK) st = open_chorus(m, err);
    if (st != SN_OK) {
        sn_wrap(err, "%s", path);
        txt_session_close(s);
        return st;
    }
    *out = s;
    return SN_OK;
}

void txt_session_close(txt_session *s)
{
    if (s == NULL) return;
    txt_session_write(s, false);
    size_t n = 0;
    (void)cache_bytes(s->model, s->kv.n_ctx, s->kv.type, &n);
    sn_keep_from_forks(s->kv.k, n, false);
    sn_keep_from_forks(s->kv.v, n, false);
    sn_free(s->kv.k);
    sn_free(s->kv.v);
    sn_free(s->next);
    sn_arena_free(&s->tmp);
    sn_free(s);
}

size_t txt_session_n_past(const txt_session *s)
{
    return s->n_past;
}

size_t txt_session_n_ctx(const txt_session *s)
{
    return s->kv.n_ctx;
}

void txt_session_truncate(txt_session *s, size_t n_past)
{
    if (n_past < s->n_past) s->n_past = n_past;
}

void txt_session_set_cancel(txt_session *s, bool (*fn)(void *user), void *user)
{
    s->cancel = fn;
    s->cancel_user = user;
}

/* The rows of an eval on their way through: exactly one of ids [n] and rows [n, txt_model_row_width] is given. */
typedef struct {
    const txt_id *ids;
    const float *rows;
    const txt_run *run; /* the one in which the next row lies */
    size_t at, n;       /* the next row's place in it; rows in all */
} input;

/* Whether the rows of a run go through together, as each sees all of them. */
static bool whole(const txt_model *m, const txt_run *run)
{
    return m->a.media_both_ways && run->medium;
}

/* The next row's place in the cache is `slot`: writes its position, pos[axis * n], and what follows it. */
static void place_row(txt_session *s, const txt_run *run, size_t at, size_t slot, int32_t *pos, size_t n)
{
    const size_t w = run->map_w, h = run->map_h;
    if (s->next == NULL) {
        *pos = (int32_t)slot;
        return;
    }
    const int32_t first = s->next[slot - at]; /* the position of the run's first row */
    for (size_t axis = 0; axis < s->model->n_axes; axis++) {
        const size_t step = w == 0 ? at : axis == 0 ? 0 : axis == 1 ? at / w : at % w;
        pos[axis * n] = first + (int32_t)step;
    }
    s->next[slot + 1] = first + (int32_t)(w == 0 ? at + 1 : w > h ? w : h);
}

/* Cuts the next block off: its rows, and whether they see one another. */
static size_t next_block(const txt_session *s, const input *in, size_t left, bool *both_ways)
{
    const txt_run *run = in->run;
    size_t n = run->n - in->at;
    *both_ways = whole(s->model, run);
    if (*both_ways) return n;
    while (n < left && n < s->n_block && !whole(s->model, run + 1)) n += (++run)->n;
    return n < s->n_block ? n : s->n_block;
}

/* The rows of a block, `done` and on, into s->x. */
static void take_rows(txt_session *s, const input *in, size_t done, txt_block *b)
{
    const txt_model *m = s->model;
    const size_t d = m->hp.n_embd, width = txt_model_row_width(m);
    if (in->ids != NULL) {
        txt_model_embed(m, in->ids + done, b->n_tok, s->x);
    } else {
        for (size_t i = 0; i < b->n_tok; i++) memcpy(s->x + i * d, in->rows + (done + i) * width, d * sizeof(float));
        if (width > d) b->deep = in->rows + done * width + d;
        b->ld_deep = width;
    }
    for (size_t i = 0; m->a.embd_scale != 1 && i < b->n_tok * d; i++) s->x[i] *= m->a.embd_scale;
}

/* n rows, block by block. All or nothing: a call that is cancelled leaves n_past where it was. */
static sn_status eval(txt_session *s, input in, float *logits, bool all, sn_err *err)
{
    const txt_model *m = s->model;
    const size_t first = s->n_past, n = in.n;
    if (n == 0) return logits == NULL || all ? SN_OK : sn_fail(err, SN_EUSAGE, "no position to compute logits for");
    if (n > s->kv.n_ctx - s->n_past)
        return sn_fail(err, SN_ELIMIT, "the context of %zu positions is full: %zu taken, %zu more wanted", s->kv.n_ctx, s->n_past, n);
    for (size_t done = 0, n_tok; done < n; done += n_tok, s->n_past += n_tok) {
        if (s->cancel != NULL && s->cancel(s->cancel_user)) {
            s->n_past = first;
            return sn_fail(err, SN_ECANCELLED, "cancelled");
        }
        while (in.at == in.run->n) in.run++, in.at = 0;
        txt_stretch stretch = {.kv = &s->kv, .n_past = s->n_past};
        txt_block b = {.stretches = &stretch, .n_stretch = 1, .pos = s->pos};
        n_tok = b.n_tok = stretch.n_tok = next_block(s, &in, n - done, &b.both_ways);
        for (size_t i = 0; i < n_tok; i++, in.at++) {
            while (in.at == in.run->n) in.run++, in.at = 0;
            place_row(s, in.run, in.at, s->n_past + i, s->pos + i, n_tok);
        }
        const size_t n_out = logits == NULL ? 0 : all ? n_tok : done + n_tok == n; /* rows whose logits are asked for */
        take_rows(s, &in, done, &b);

        s->writing ? sn_turn_take_last(m->compute) : sn_turn_take(m->compute);
        txt_llama_forward(m, &b, s->x, n_out, &s->tmp);
        if (n_out > 0)
            txt_llama_logits(m, all ? logits + done * m->hp.n_vocab : logits, s->x + (n_tok - n_out) * m->hp.n_embd, n_out, &s->tmp);
        sn_turn_end(m->compute);
    }
    return SN_OK;
}

/* One token, along with those that other sessions write. */
static sn_status next(txt_session *s, txt_id id, float *logits, sn_err *err)
{
    if (s->cancel != NULL && s->cancel(s->cancel_user)) return sn_fail(err, SN_ECANCELLED, "cancelled");
    place_row(s, &(txt_run){.n = 1}, 0, s->n_past, s->pos, 1);
    txt_chorus_next(s->model->chorus, &s->kv, s->n_past, s->pos, id, logits);
    s->n_past++;
    return SN_OK;
}

void txt_session_write(txt_session *s, bool on)
{
    if (s->model->chorus == NULL || on == s->writing) return;
    s->writing = on;
    if (on)
        txt_chorus_join(s->model->chorus);
    else
        txt_chorus_leave(s->model->chorus);
}

static sn_status check_ids(const txt_model *m, const txt_id *ids, size_t n, sn_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= m->hp.n_vocab)
            return sn_fail(err, SN_EUSAGE, "token %d is not one of the %zu of %s", ids[i], m->hp.n_vocab, sn_gguf_path(m->gguf));
    return SN_OK;
}

sn_status txt_session_eval_ids(txt_session *s, const txt_id *ids, size_t n, float *logits, bool all, sn_err *err)
{
    const sn_status st = check_ids(s->model, ids, n, err);
    if (st != SN_OK) return st;
    if (n == 1 && s->writing && logits != NULL && s->n_past < s->kv.n_ctx) return next(s, ids[0], logits, err);
    return eval(s, (input){.ids = ids, .run = &(txt_run){.n = n}, .n = n}, logits, all, err);
}

sn_status txt_session_eval_embd(txt_session *s, const float *rows, size_t n, float *logits, bool all, sn_err *err)
{
    return eval(s, (input){.rows = rows, .run = &(txt_run){.n = n}, .n = n}, logits, all, err);
}

sn_status txt_session_eval_runs(txt_session *s, const float *rows, const txt_run *runs, size_t n_runs, float *logits, bool all, sn_err *err)
{
    size_t n = 0, most = s->n_block, map;
    for (size_t i = 0; i < n_runs; i++) {
        const txt_run *p = &runs[i];
        if ((p->map_w > 0 || p->map_h > 0) && (!sn_mul_ok(p->map_w, p->map_h, &map) || map != p->n))
            return sn_fail(err, SN_EUSAGE, "%zu rows in a map of %zux%zu", p->n, p->map_w, p->map_h);
        if (!sn_add_ok(n, p->n, &n)) return sn_fail(err, SN_ELIMIT, "more rows than can be counted");
        if (whole(s->model, p) && p->n > most) most = p->n;
    }
    sn_status st = SN_OK;
    if (most > s->n_block && n <= s->kv.n_ctx - s->n_past) st = take_block(s, most, err);
    return st == SN_OK ? eval(s, (input){.rows = rows, .run = runs, .n = n}, logits, all, err) : st;
}

/* One block; the scratch is the first session's. */
static void eval_block(txt_session *const *sessions, size_t n, const txt_id *ids, float *logits)
{
    txt_session *first = sessions[0];
    const txt_model *m = first->model;
    txt_stretch stretches[MAX_TOGETHER];
    for (size_t i = 0; i < n; i++) {
        txt_session *s = sessions[i];
        stretches[i] = (txt_stretch){.kv = &s->kv, .n_past = s->n_past, .n_tok = 1};
        place_row(s, &(txt_run){.n = 1}, 0, s->n_past++, first->pos + i, n);
    }
    const txt_block b = {.stretches = stretches, .n_stretch = n, .n_tok = n, .pos = first->pos};
    txt_model_embed(m, ids, n, first->x);
    for (size_t i = 0; m->a.embd_scale != 1 && i < n * m->hp.n_embd; i++) first->x[i] *= m->a.embd_scale;
    sn_turn_take(m->compute);
    txt_llama_forward(m, &b, first->x, n, &first->tmp);
    txt_llama_logits(m, logits, first->x, n, &first->tmp);
    sn_turn_end(m->compute);
}

sn_status txt_sessions_eval(txt_session *const *sessions, size_t n, const txt_id *ids, float *logits, sn_err *err)
{
    if (n == 0) return SN_OK;
    const sn_status st = check_ids(sessions[0]->model, ids, n, err);
    if (st != SN_OK) return st;
    for (size_t i = 0; i < n; i++)
        if (sessions[i]->n_past == sessions[i]->kv.n_ctx)
            return sn_fail(err, SN_ELIMIT, "the context of %zu positions is full", sessions[i]->kv.n_ctx);
    for (size_t at = 0, n_now; at < n; at += n_now) {
        n_now = sessions[at]->n_block < MAX_TOGETHER ? sessions[at]->n_block : MAX_TOGETHER;
        if (n_now > n - at) n_now = n - at;
        eval_block(sessions + at, n_now, ids + at, logits + at * sessions[0]->model->hp.n_vocab);
    }
    return SN_OK;
}
