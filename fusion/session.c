/* session.c: one conversation: prompts with media in, answers out, on one KV cache. */
#include "conversation.h"
#include "draft.h"
#include "pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AUTO_CTX_MIN 4096    /* positions, when the caller leaves the choice to us */
#define AUTO_CTX_ANSWER 2048 /* room for an answer of open length */
#define REPEAT_LAST 64       /* tokens that the repeat penalty looks back at */

struct senses_session {
    senses_text *text;
    senses_encoder *vision, *audio;
    senses_session_params params;
    char *system;
    txt_framing *framing; /* NULL: prompts are raw */
    fus_conversation talk;
    txt_session *kv; /* opened with the first prompt, when its size is known */
    txt_sampler *sampler;
    txt_grammar *grammar; /* NULL: any text */
    txt_matcher *matcher;
    size_t n_left;        /* tokens that the running answer may still take; 0: as many as the context has */
    fus_choose_fn choose; /* NULL: the sampler */
    void *choose_user;
    float *logits, *trial; /* [1 + n_ahead, n_vocab]; [2 * n_vocab]: scratch of what chooses */
    size_t row;            /* of logits: the one behind the last token taken */
    fus_draft draft;
    bool ready;      /* logits are those of the next token */
    txt_id pending;  /* sampled, not yet in the KV cache */
    fus_text answer; /* of the running answer */
    fus_text notes;
};

void senses_session_defaults(senses_session_params *p)
{
    *p = (senses_session_params){.temperature = 0.0f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.0f};
}

static sn_status take_encoder(senses_session *s, senses_encoder *c, sn_err *err)
{
    senses_encoder **slot = c->vision ? &s->vision : &s->audio;
    if (*slot) return sn_fail(err, SN_EUSAGE, "%s: a second encoder of the same kind as %s", c->path, (*slot)->path);
    sn_status st = fus_pair_check(s->text, c, err);
    if (st == SN_OK) *slot = c;
    return st;
}

static sn_status open_sampler(senses_session *s, sn_err *err)
{
    const senses_session_params *p = &s->params;
    const txt_sampling sampling = {
        .temperature = p->temperature,
        .top_k = p->top_k,
        .top_p = p->top_p,
        .min_p = p->min_p,
        .repeat_penalty = p->repeat_penalty,
        .repeat_last = REPEAT_LAST,
        .seed = p->seed,
    };
    return txt_sampler_open(&s->sampler, &sampling, senses_text_n_vocab(s->text), err);
}

static sn_status open_grammar(senses_session *s, sn_err *err)
{
    const txt_trie *trie = NULL;
    const char *text = s->params.grammar;
    if (text == NULL) return SN_OK;
    sn_status st = txt_grammar_open(&s->grammar, text, strlen(text), err);
    if (st != SN_OK) {
        sn_wrap(err, "grammar");
        return st;
    }
    st = fus_text_trie(s->text, &trie, err);
    return st == SN_OK ? txt_matcher_open(&s->matcher, s->grammar, trie, err) : st;
}

static sn_status open_conversation(senses_session *s, sn_err *err)
{
    if (s->params.raw) return SN_OK;
    const time_t now = time(NULL);
    struct tm today = {0};
    localtime_r(&now, &today);
    sn_status st = txt_framing_open(&s->framing, txt_model_gguf(s->text->model), txt_model_vocab(s->text->model), s->params.chat_template,
                                    &today, err);
    s->talk.framed = s->framing;
    if (st != SN_OK) {
        sn_wrap(err, "%s", s->text->path);
        return st;
    }
    return s->system ? fus_conversation_system(&s->talk, s->system, err) : SN_OK;
}

senses_status senses_session_open(senses_session **out, senses_text *t, senses_encoder *const *encoders, size_t n_encoders,
                                  const senses_session_params *p, senses_error *err)
{
    senses_session *s = calloc(1, sizeof *s);
    if (s == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    sn_status st = SN_OK;
    s->text = t;
    s->pending = TXT_NO_ID;
    if (p)
        s->params = *p;
    else
        senses_session_defaults(&s->params);
    if (s->params.system && (s->system = strdup(s->params.system)) == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    for (size_t i = 0; i < n_encoders && st == SN_OK; i++) st = take_encoder(s, encoders[i], err);
    const size_t n_vocab = senses_text_n_vocab(t);
    s->logits = sn_alloc(n_vocab, (s->params.draft == SENSES_DRAFT_NGRAM ? 1 + FUS_DRAFT_MAX : 1) * sizeof(float));
    s->trial = sn_alloc(n_vocab, 2 * sizeof(float));
    if (st == SN_OK && (s->logits == NULL || s->trial == NULL)) st = sn_fail(err, SN_ENOMEM, "out of memory");
    if (st == SN_OK) st = open_sampler(s, err);
    if (st == SN_OK) st = open_grammar(s, err);
    if (st == SN_OK) st = open_conversation(s, err);
    if (st != SN_OK) {
        senses_session_close(s);
        return st;
    }
    *out = s;
    return SN_OK;
}

void senses_session_close(senses_session *s)
{
    if (s == NULL) return;
    fus_conversation_free(&s->talk);
    txt_framing_close(s->framing);
    txt_session_close(s->kv);
    txt_sampler_close(s->sampler);
    txt_matcher_close(s->matcher);
    txt_grammar_close(s->grammar);
    fus_draft_free(&s->draft);
    fus_text_free(&s->answer);
    fus_text_free(&s->notes);
    sn_free(s->logits);
    sn_free(s->trial);
    free(s->system);
    free(s);
}

void senses_session_clear(senses_session *s)
{
    fus_conversation_free(&s->talk);
    if (s->system && s->talk.framed) (void)fus_conversation_system(&s->talk, s->system, NULL);
    if (s->kv) txt_session_truncate(s->kv, 0);
    fus_draft_clear(&s->draft);
    s->row = 0;
    s->pending = TXT_NO_ID;
    s->ready = false;
    s->answer.n = 0;
}

size_t senses_session_n_past(const senses_session *s)
{
    return s->kv ? txt_session_n_past(s->kv) - s->draft.n_ahead : 0;
}

void senses_session_drafted(const senses_session *s, size_t *n_proposed, size_t *n_accepted)
{
    *n_proposed = s->draft.n_proposed;
    *n_accepted = s->draft.n_accepted;
}

const char *senses_session_notes(const senses_session *s)
{
    return s->notes.n ? s->notes.p : "";
}

const char *senses_session_framed_by(const senses_session *s)
{
    return s->talk.framed_by;
}

/* ---- media ---- */

static sn_status note(senses_session *s, const char *line, sn_err *err)
{
    sn_status st = SN_OK;
    if (s->notes.n) s->notes.p[s->notes.n - 1] = '\n'; /* over the NUL of the line before */
    st = fus_text_append(&s->notes, line, strlen(line) + 1, err);
    return st;
}

static sn_status ready_image(senses_session *s, const senses_image *img, fus_medium *m, size_t number, sn_err *err)
{
    if (s->vision == NULL)
        return sn_fail(err, SN_EUSAGE,
                       "%s: a text model (%s), which sees no picture without the image encoder that was trained with it (--mmproj)",
                       s->text->path, txt_model_hparams(s->text->model)->arch);
    m->encoder = s->vision;
    m->number = number;
    sn_status st = vis_model_prepare(s->vision->vision, &img->pixels, (vis_fit)s->params.fit, &m->tiles, err);
    if (st != SN_OK) return st;
    char line[160], tiles[64] = "";
    if (m->tiles.n_tiles > 1)
        snprintf(tiles, sizeof tiles, "%zux%zu tiles%s = ", m->tiles.grid_w, m->tiles.grid_h, m->tiles.overview ? " + overview" : "");
    snprintf(line, sizeof line, "image %zu: %zux%zu -> %s%zu tokens", number, img->pixels.w, img->pixels.h, tiles, m->tiles.n_tok);
    return note(s, line, err);
}

static sn_status ready_sound(senses_session *s, const senses_sound *snd, fus_medium *m, size_t number, sn_err *err)
{
    if (s->audio == NULL)
        return sn_fail(err, SN_EUSAGE,
                       "%s: a text model (%s), which hears no sound without the audio encoder that was trained with it (--mmproj)",
                       s->text->path, txt_model_hparams(s->text->model)->arch);
    m->encoder = s->audio;
    m->number = number;
    m->sound = snd;
    char line[160];
    snprintf(line, sizeof line, "audio %zu: %.1f s -> %zu tokens", number, senses_sound_seconds(snd),
             aud_model_n_tok(s->audio->audio, snd->n));
    return note(s, line, err);
}

/* Where the rows of the media came from, when there is a cache. */
static sn_status note_cache(senses_session *s, const fus_medium *media, size_t n_media, sn_err *err)
{
    sn_status st = SN_OK;
    for (size_t i = 0; i < n_media && st == SN_OK; i++) {
        char line[FUS_NOTE_MAX + 40];
        if (media[i].cached[0] == '\0') continue;
        snprintf(line, sizeof line, "%s %zu: %s", media[i].sound ? "audio" : "image", media[i].number, media[i].cached);
        st = note(s, line, err);
    }
    return st;
}

/* Cuts and counts the pictures and sounds of a prompt; text media are part of its words. */
static sn_status ready_media(senses_session *s, const senses_medium *media, size_t n_media, fus_medium *out, size_t *n_out, sn_err *err)
{
    s->notes.n = 0;
    size_t n = 0;
    sn_status st = SN_OK;
    for (size_t i = 0; i < n_media && st == SN_OK; i++) {
        if (media[i].image) st = ready_image(s, media[i].image, &out[n++], i + 1, err);
        if (media[i].sound) st = ready_sound(s, media[i].sound, &out[n++], i + 1, err);
    }
    *n_out = n;
    return st;
}

/* ---- reading a prompt ---- */

static sn_type kv_type(const senses_session *s)
{
    return s->params.kv_type == SENSES_KV_Q8 ? SN_Q8_0 : SN_F16;
}

size_t senses_session_bytes(const senses_session *s)
{
    return s->kv ? txt_session_bytes(s->text->model, txt_session_n_ctx(s->kv), kv_type(s)) : 0;
}

/* A context that fits: refused with the figures before anything is computed. */
static sn_status make_room(senses_session *s, size_t n_pos, size_t n_predict, sn_err *err)
{
    const size_t past = senses_session_n_past(s), n_train = senses_text_n_ctx_train(s->text);
    size_t need = past + n_pos + (n_predict ? n_predict : 1);
    if (s->kv == NULL) {
        size_t n_ctx = s->params.n_ctx;
        if (n_ctx == 0) {
            n_ctx = need + (n_predict ? 0 : AUTO_CTX_ANSWER);
            if (n_ctx < AUTO_CTX_MIN) n_ctx = AUTO_CTX_MIN;
            if (n_ctx > n_train) n_ctx = n_train;
        }
        if (need <= n_ctx) return txt_session_open_as(&s->kv, s->text->model, n_ctx, kv_type(s), err);
        const char *with = n_predict ? " with its answer" : "";
        if (s->params.n_ctx)
            return sn_fail(err, SN_ELIMIT, "the prompt needs %zu positions%s, the context has %zu (-c raises it)", need, with, n_ctx);
        return sn_fail(err, SN_ELIMIT, "the prompt needs %zu positions%s, the context has %zu (all that %s was trained for)", need, with,
                       n_ctx, s->text->path);
    }
    const size_t n_ctx = txt_session_n_ctx(s->kv);
    if (need <= n_ctx) return SN_OK;
    return sn_fail(err, SN_ELIMIT, "the prompt needs %zu positions more, and %zu of %zu are left: start anew or raise -c", need - past,
                   n_ctx - past, n_ctx);
}

/* Takes the guesses that were not borne out out of the cache. */
static void drop_guesses(senses_session *s)
{
    if (s->draft.n_ahead > 0) txt_session_truncate(s->kv, senses_session_n_past(s));
    fus_draft_settle(&s->draft);
    s->row = 0;
}

/* The last token of an answer enters the cache only when something follows it. */
static sn_status flush_pending(senses_session *s, sn_err *err)
{
    if (s->pending == TXT_NO_ID) return SN_OK;
    sn_status st = txt_session_eval_ids(s->kv, &s->pending, 1, NULL, false, err);
    if (st == SN_OK) s->pending = TXT_NO_ID;
    return st;
}

/* Ends a running answer: from now on it is a turn of the conversation. */
static sn_status close_answer(senses_session *s, sn_err *err)
{
    if (!s->ready && s->answer.n == 0) return SN_OK;
    sn_status st = fus_conversation_answered(&s->talk, s->answer.p ? s->answer.p : "", s->answer.n, err);
    s->answer.n = 0;
    s->ready = false;
    return st;
}

static sn_status evaluate(senses_session *s, const fus_prompt *p, fus_medium *media, size_t n_media, float *logits, bool all, sn_err *err)
{
    if (p->n_rows == 0) return txt_session_eval_ids(s->kv, p->ids.ids, p->ids.n, logits, all, err);
    float *rows = NULL; /* [n_pos, txt_model_row_width] */
    txt_run *runs = sn_alloc(p->n_chunks, sizeof *runs);
    if (runs == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    fus_prompt_runs(p, runs);
    sn_status st = fus_prompt_embed(p, s->text->model, media, n_media, &rows, err);
    if (st == SN_OK) st = txt_session_eval_runs(s->kv, rows, runs, p->n_chunks, logits, all, err);
    sn_free(runs);
    sn_free(rows);
    return st;
}

typedef struct { /* one prompt on its way */
    const char *prompt;
    const senses_medium *media;
    size_t n_media, n_predict;
    senses_matrix *all; /* NULL: only the last position's logits, into s->logits */
} question;

static sn_status read_prompt(senses_session *s, const question *q, fus_medium *ready, sn_err *err)
{
    size_t n_ready = 0;
    txt_parts parts = {0};
    fus_prompt layout = {0};
    const size_t n_read = s->talk.read.n;
    sn_status st = ready_media(s, q->media, q->n_media, ready, &n_ready, err);
    bool asked = st == SN_OK;
    if (st == SN_OK) st = fus_conversation_ask(&s->talk, q->prompt, q->media, q->n_media, &parts, err);
    asked = asked && st == SN_OK;
    if (st == SN_OK)
        st = fus_prompt_build(&layout, txt_model_vocab(s->text->model), parts.parts, parts.n, ready, n_ready, senses_session_n_past(s) == 0,
                              err);
    if (st == SN_OK && layout.n_pos == 0 && *q->prompt != '\0')
        st = sn_fail(err, SN_EFORMAT, "%s: its vocabulary has no token for anything in the prompt", s->text->path);
    if (st == SN_OK && layout.n_pos == 0) st = sn_fail(err, SN_EUSAGE, "the prompt is empty");
    if (st == SN_OK) st = make_room(s, layout.n_pos, q->n_predict, err);
    const size_t n_past = senses_session_n_past(s);
    float *logits = s->logits;
    if (st == SN_OK && q->all) {
        size_t n;
        q->all->rows = layout.n_pos;
        q->all->cols = senses_text_n_vocab(s->text);
        q->all->data = sn_mul_ok(q->all->rows, q->all->cols, &n) ? sn_alloc(n, sizeof(float)) : NULL; /* [n_pos, n_vocab] */
        logits = q->all->data;
        if (logits == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory for the logits of %zu positions", layout.n_pos);
    }
    if (st == SN_OK) st = evaluate(s, &layout, ready, n_ready, logits, q->all != NULL, err);
    if (st == SN_OK && s->params.draft == SENSES_DRAFT_NGRAM) st = fus_draft_read(&s->draft, layout.ids.ids, layout.ids.n, err);
    if (st == SN_OK) st = note_cache(s, ready, n_ready, err);
    if (st != SN_OK && s->kv) txt_session_truncate(s->kv, n_past);
    if (st != SN_OK && asked) fus_conversation_pop(&s->talk, n_read);
    for (size_t i = 0; i < n_ready; i++) fus_medium_free(&ready[i]);
    fus_prompt_free(&layout);
    txt_parts_free(&parts);
    return st;
}

static sn_status ask(senses_session *s, const question *q, sn_err *err)
{
    drop_guesses(s);
    sn_status st = flush_pending(s, err);
    if (st == SN_OK) st = close_answer(s, err);
    if (st != SN_OK) return st;
    fus_medium *ready = calloc(q->n_media + 1, sizeof *ready);
    if (ready == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    st = read_prompt(s, q, ready, err);
    if (st == SN_OK && s->matcher) st = txt_matcher_reset(s->matcher, err);
    s->ready = st == SN_OK && q->all == NULL;
    free(ready);
    return st;
}

senses_status senses_session_prompt(senses_session *s, const char *prompt, const senses_medium *media, size_t n_media, size_t n_predict,
                                    senses_error *err)
{
    return ask(s, &(question){.prompt = prompt, .media = media, .n_media = n_media, .n_predict = n_predict}, err);
}

senses_status senses_session_logits(senses_session *s, const char *prompt, const senses_medium *media, size_t n_media, bool all,
                                    senses_matrix *out, senses_error *err)
{
    senses_matrix m = {0};
    sn_status st = ask(s, &(question){.prompt = prompt, .media = media, .n_media = n_media, .all = all ? &m : NULL}, err);
    if (st == SN_OK && !all) {
        m = (senses_matrix){.rows = 1, .cols = senses_text_n_vocab(s->text)};
        m.data = sn_alloc(m.cols, sizeof(float)); /* [1, n_vocab] */
        if (m.data)
            memcpy(m.data, s->logits, m.cols * sizeof(float));
        else
            st = sn_fail(err, SN_ENOMEM, "out of memory for logits");
    }
    if (st == SN_OK)
        *out = m;
    else
        senses_matrix_free(&m);
    return st;
}

/* ---- answering ---- */

static sn_status append_piece(senses_session *s, txt_id id, sn_err *err)
{
    char buf[256];
    const txt_vocab *v = txt_model_vocab(s->text->model);
    const size_t n = txt_piece(v, id, s->params.raw, buf, sizeof buf);
    if (n <= sizeof buf) return fus_text_append(&s->answer, buf, n, err);
    char *big = malloc(n);
    if (big == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for an answer");
    txt_piece(v, id, s->params.raw, big, n);
    sn_status st = fus_text_append(&s->answer, big, n, err);
    free(big);
    return st;
}

void fus_session_set_choice(senses_session *s, fus_choose_fn fn, void *user)
{
    s->choose = fn;
    s->choose_user = user;
}

/* The logits behind the token chosen last: guessed, they are there; else it is computed, together with guesses of what follows. */
static sn_status take_pending(senses_session *s, sn_err *err)
{
    fus_draft *d = &s->draft;
    if (d->n_ahead > 0 && d->ids[s->row + 1] == s->pending) {
        d->n_ahead--;
        d->n_accepted++;
        s->row++;
        s->pending = TXT_NO_ID;
        return SN_OK;
    }
    drop_guesses(s);
    size_t n = 0, most = txt_session_n_ctx(s->kv) - txt_session_n_past(s->kv) - 1;
    if (s->n_left > 0 && s->n_left - 1 < most) most = s->n_left - 1;
    if (s->params.draft == SENSES_DRAFT_NGRAM)
        n = fus_draft_guess(d, s->pending, most);
    else
        d->ids[0] = s->pending;
    sn_status st = txt_session_eval_ids(s->kv, d->ids, 1 + n, s->logits, true, err);
    if (st != SN_OK) return st;
    d->n_ahead = d->n_guess = n;
    d->n_proposed += n;
    s->pending = TXT_NO_ID;
    return SN_OK;
}

static sn_status choose_next(senses_session *s, txt_id *next, sn_err *err)
{
    const size_t n_vocab = senses_text_n_vocab(s->text);
    const float *logits = s->logits + s->row * n_vocab;
    if (s->choose) {
        *next = s->choose(s->choose_user, logits, n_vocab);
        return SN_OK;
    }
    if (s->matcher) {
        const size_t room = txt_session_n_ctx(s->kv) - senses_session_n_past(s) + 1; /* the last token needs no position */
        return txt_matcher_next(s->matcher, s->sampler, logits, s->trial, s->n_left && s->n_left < room ? s->n_left : room, next, err);
    }
    memcpy(s->trial, logits, n_vocab * sizeof(float));
    *next = txt_sampler_next(s->sampler, s->trial);
    txt_sampler_accept(s->sampler, *next);
    return SN_OK;
}

senses_status senses_session_next(senses_session *s, int32_t *id, bool *end, senses_error *err)
{
    if (!s->ready) return sn_fail(err, SN_EUSAGE, "an answer was asked for before a prompt");
    const txt_vocab *v = txt_model_vocab(s->text->model);
    *end = false;
    if (s->pending != TXT_NO_ID) {
        if (senses_session_n_past(s) >= txt_session_n_ctx(s->kv)) {
            *end = true;
            return SN_OK;
        }
        sn_status st = take_pending(s, err);
        if (st != SN_OK) return st;
    }
    txt_id next = TXT_NO_ID;
    sn_status chosen = choose_next(s, &next, err);
    if (chosen != SN_OK) return chosen;
    if (next == TXT_NO_ID || (s->choose == NULL && txt_vocab_is_end(v, next))) {
        *end = true;
        return SN_OK;
    }
    s->pending = next;
    *id = next;
    sn_status st = s->params.draft == SENSES_DRAFT_NGRAM ? fus_draft_read(&s->draft, &next, 1, err) : SN_OK;
    return st == SN_OK ? append_piece(s, next, err) : st;
}

/* The answer's text on its way out: held back are an unfinished character and what may become the template's stop text. */
typedef struct {
    senses_text_fn fn;
    void *user;
    const char *stop; /* NULL: none */
    fus_text *text;   /* the whole answer */
    size_t shown;
    bool trim, stopped; /* trim: leading blanks belong to the frame */
} outlet;

/* Bytes at the end of p[n] that begin a UTF-8 character which is not complete yet. */
static size_t unfinished(const char *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char c = (unsigned char)p[n - back];
        const size_t want = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        if (c >= 0xC0) return want > back ? back : 0;
        if (c < 0x80) return 0;
    }
    return 0;
}

/* Bytes at the end of p[n] that begin the stop text. */
static size_t begins_stop(const char *p, size_t n, const char *stop)
{
    size_t len = strlen(stop);
    for (size_t k = n < len ? n : len; k > 0; k--)
        if (memcmp(p + n - k, stop, k) == 0) return k;
    return 0;
}

static void show(outlet *o, bool last)
{
    fus_text *t = o->text;
    size_t upto = t->n;
    if (o->trim)
        while (o->shown < upto && (t->p[o->shown] == ' ' || t->p[o->shown] == '\n')) o->shown++;
    o->trim = o->trim && o->shown == upto;
    if (o->stop && *o->stop && upto > o->shown) {
        const char *hit = memmem(t->p + o->shown, upto - o->shown, o->stop, strlen(o->stop));
        if (hit) {
            upto = (size_t)(hit - t->p);
            t->n = upto;
            o->stopped = true;
        } else if (!last) {
            upto -= begins_stop(t->p + o->shown, upto - o->shown, o->stop);
        }
    }
    if (!last && !o->stopped && upto > o->shown) upto -= unfinished(t->p + o->shown, upto - o->shown);
    if (upto > o->shown && o->fn && !o->fn(o->user, t->p + o->shown, upto - o->shown)) o->stopped = true;
    if (upto > o->shown) o->shown = upto;
}

senses_status senses_session_answer(senses_session *s, size_t n_predict, senses_text_fn fn, void *user, int32_t **ids, size_t *n_ids,
                                    senses_error *err)
{
    txt_ids list = {0};
    outlet o = {.fn = fn, .user = user, .text = &s->answer, .trim = s->talk.framed != NULL && s->matcher == NULL};
    if (s->talk.framed && s->matcher == NULL) o.stop = txt_framing_stop(s->talk.framed);
    s->answer.n = 0;
    sn_status st = SN_OK;
    if (s->kv) txt_session_write(s->kv, true);
    for (size_t n = 0; st == SN_OK && !o.stopped && (n_predict == 0 || n < n_predict); n++) {
        int32_t id = 0;
        bool end = false;
        s->n_left = n_predict ? n_predict - n : 0;
        st = senses_session_next(s, &id, &end, err);
        if (st != SN_OK || end) break;
        st = txt_ids_push(&list, id, err);
        if (st == SN_OK) show(&o, false);
    }
    if (s->kv) txt_session_write(s->kv, false);
    s->n_left = 0;
    if (st == SN_OK && !o.stopped) show(&o, true);
    if (st == SN_OK && ids) {
        int32_t *copy = malloc((list.n + 1) * sizeof *copy);
        if (copy == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory for an answer");
        if (copy && list.n) memcpy(copy, list.ids, list.n * sizeof *copy);
        if (copy) *ids = copy, *n_ids = list.n;
    }
    txt_ids_free(&list);
    return st;
}
