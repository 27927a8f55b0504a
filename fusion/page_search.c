/* page_search.c: beam search. A misread letter can lead the writer to another place of the page, from where it goes on, sure of itself; the
 * beginning that reads on where it was costs a little more at that letter and less behind it. */
#include "page_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {  /* a beginning */
    txt_id *ids;  /* [1 + most]: <bos>, and what is written */
    size_t n;     /* of ids */
    double log_p; /* of what is written, all together */
    fus_page_state state;
    size_t seat; /* whose sessions hold it, but for its last token */
} beginning;

typedef struct {
    txt_session *kv[FUS_PAGE_VIEWS]; /* a view's rows, then ids */
    txt_id *ids;                     /* [1 + most] */
    size_t n;
} page_seat;

typedef struct { /* a beginning with one more token */
    size_t from;
    unsigned token;
    double log_p;
} page_step;

typedef struct {
    const fus_page_view *views;
    size_t n_view, width, most;
    txt_id *ids; /* of all beginnings and seats */
    page_seat seats[FUS_PAGE_WIDTH];
    beginning live[FUS_PAGE_WIDTH], next[FUS_PAGE_WIDTH], best; /* best: of the whole descriptions; n 0: none yet */
    size_t n_live;
    bool cut;                                      /* for want of room a live one could not go on with its most probable token */
    float log_p[FUS_PAGE_WIDTH][FUS_PAGE_N_TOKEN]; /* of the token behind each live one */
} page_search;

static void search_close(page_search *s)
{
    for (size_t i = 0; i < s->width; i++)
        for (size_t v = 0; v < s->n_view; v++) txt_session_close(s->seats[i].kv[v]);
    sn_free(s->ids);
}

/* s: views, n_view, width and most are set, all else is zeros. */
static sn_status search_open(page_search *s, txt_model *m, sn_err *err)
{
    const size_t n_list = 3 * s->width + 1, n_most = s->most + 1;
    size_t n_ids;
    s->ids = sn_mul_ok(n_list, n_most, &n_ids) ? sn_alloc(n_ids, sizeof *s->ids) : NULL;
    if (s->ids == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a description of %zu tokens", s->most);
    for (size_t i = 0; i < s->width; i++) {
        s->seats[i].ids = s->ids + 3 * i * n_most;
        s->live[i].ids = s->ids + (3 * i + 1) * n_most;
        s->next[i].ids = s->ids + (3 * i + 2) * n_most;
        for (size_t v = 0; v < s->n_view; v++) {
            txt_session **kv = &s->seats[i].kv[v];
            sn_status st = txt_session_open(kv, m, s->views[v].n + n_most, err);
            if (st == SN_OK) st = txt_session_eval_embd(*kv, s->views[v].rows, s->views[v].n, NULL, false, err);
            if (st != SN_OK) return st;
        }
    }
    s->best.ids = s->ids + (n_list - 1) * n_most;
    s->live[0].ids[0] = FUS_PAGE_BOS;
    s->live[0].n = s->n_live = 1;
    return SN_OK;
}

/* log_p += share * log softmax(logits). */
static void add_log_softmax(float log_p[FUS_PAGE_N_TOKEN], const float logits[FUS_PAGE_N_TOKEN], float share)
{
    float most = logits[0];
    double sum = 0;
    for (size_t i = 1; i < FUS_PAGE_N_TOKEN; i++) most = fmaxf(most, logits[i]);
    for (size_t i = 0; i < FUS_PAGE_N_TOKEN; i++) sum += exp((double)(logits[i] - most));
    const float log_sum = most + (float)log(sum);
    for (size_t i = 0; i < FUS_PAGE_N_TOKEN; i++) log_p[i] += share * (logits[i] - log_sum);
}

/* Brings the beginning's seat to where it stands, but for the last token. */
static sn_status sit_down(page_search *s, const beginning *b, sn_err *err)
{
    page_seat *seat = &s->seats[b->seat];
    const size_t n = b->n - 1;
    size_t same = 0;
    while (same < seat->n && same < n && seat->ids[same] == b->ids[same]) same++;
    for (size_t v = 0; v < s->n_view; v++) {
        txt_session_truncate(seat->kv[v], s->views[v].n + same);
        const sn_status st = txt_session_eval_ids(seat->kv[v], b->ids + same, n - same, NULL, false, err);
        if (st != SN_OK) return st;
    }
    memcpy(seat->ids, b->ids, b->n * sizeof *b->ids);
    seat->n = b->n;
    return SN_OK;
}

/* log_p: what comes behind each live beginning. */
static sn_status look_ahead(page_search *s, sn_err *err)
{
    txt_session *kv[FUS_PAGE_WIDTH * FUS_PAGE_VIEWS];
    txt_id last[FUS_PAGE_WIDTH * FUS_PAGE_VIEWS];
    float logits[FUS_PAGE_WIDTH * FUS_PAGE_VIEWS][FUS_PAGE_N_TOKEN];
    size_t n = 0;
    for (size_t i = 0; i < s->n_live; i++) {
        const beginning *b = &s->live[i];
        const sn_status st = sit_down(s, b, err);
        if (st != SN_OK) return st;
        for (size_t v = 0; v < s->n_view; v++, n++) {
            kv[n] = s->seats[b->seat].kv[v];
            last[n] = b->ids[b->n - 1];
        }
    }
    const sn_status st = txt_sessions_eval(kv, n, last, logits[0], err);
    memset(s->log_p, 0, sizeof s->log_p);
    for (size_t i = 0; i < n; i++) add_log_softmax(s->log_p[i / s->n_view], logits[i], 1 / (float)s->n_view);
    return st;
}

/* The best of the tokens that may come. */
static unsigned best_allowed(const float *log_p, const bool allowed[FUS_PAGE_N_TOKEN])
{
    unsigned best = FUS_PAGE_N_TOKEN;
    for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++)
        if (allowed[t] && (best == FUS_PAGE_N_TOKEN || log_p[t] > log_p[best])) best = t;
    return best;
}

/* Puts a step into the list [n] of the best ones, the best in front, of which there are `width` at most. Of equals the older one goes first. */
static size_t insert_step(page_step *list, size_t n, size_t width, page_step new)
{
    if (n == width && !(new.log_p > list[n - 1].log_p)) return n;
    size_t at = n < width ? n++ : n - 1;
    for (; at > 0 && new.log_p > list[at - 1].log_p; at--) list[at] = list[at - 1];
    list[at] = new;
    return n;
}

/* Whether there is a page is decided at once: as the shortest description of all, "none" would win over long ones that are likelier piece by
 * piece. */
static void decide_on_none(bool allowed[FUS_PAGE_N_TOKEN], const float *log_p)
{
    const bool none = best_allowed(log_p, allowed) == FUS_PAGE_NONE;
    for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++) allowed[t] = allowed[t] && (t == FUS_PAGE_NONE) == none;
}

/* The best steps from all live beginnings. */
static size_t best_steps(page_search *s, page_step best[FUS_PAGE_WIDTH])
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_live; i++) {
        const beginning *b = &s->live[i];
        bool allowed[FUS_PAGE_N_TOKEN], in_grammar[FUS_PAGE_N_TOKEN];
        fus_page_allowed(b->state, s->most - (b->n - 1), allowed); /* one at least: as long as there is room, some ending fits */
        fus_page_allowed(b->state, SIZE_MAX, in_grammar);
        s->cut = s->cut || best_allowed(s->log_p[i], allowed) != best_allowed(s->log_p[i], in_grammar);
        if (b->state.at == FUS_AT_START) decide_on_none(allowed, s->log_p[i]);
        for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++)
            if (allowed[t]) n = insert_step(best, n, s->width, (page_step){i, t, b->log_p + (double)s->log_p[i][t]});
    }
    return n;
}

static void copy_with(beginning *to, const beginning *from, const page_step *step)
{
    txt_id *ids = to->ids;
    memcpy(ids, from->ids, from->n * sizeof *ids);
    *to = *from;
    to->ids = ids;
    to->ids[to->n++] = (txt_id)step->token;
    to->log_p = step->log_p;
    to->state = fus_page_accept(from->state, step->token);
}

/* The first that goes on from a beginning keeps its seat, where it need not be read again; the others take those that are free. */
static void take_seats(page_search *s)
{
    bool taken[FUS_PAGE_WIDTH] = {false}, seated[FUS_PAGE_WIDTH];
    size_t seat_free = 0;
    for (size_t i = 0; i < s->n_live; i++) {
        seated[i] = !taken[s->live[i].seat];
        taken[s->live[i].seat] = true;
    }
    for (size_t i = 0; i < s->n_live; i++) {
        if (seated[i]) continue;
        while (taken[seat_free]) seat_free++;
        s->live[i].seat = seat_free;
        taken[seat_free] = true;
    }
}

/* One token more. */
static sn_status grow(page_search *s, sn_err *err)
{
    page_step steps[FUS_PAGE_WIDTH];
    size_t n_next = 0;
    const sn_status st = look_ahead(s, err);
    if (st != SN_OK) return st;
    const size_t n = best_steps(s, steps);
    for (size_t i = 0; i < n; i++) {
        const beginning *from = &s->live[steps[i].from];
        const bool ends = steps[i].token == FUS_PAGE_EOS;
        if (!ends)
            copy_with(&s->next[n_next++], from, &steps[i]);
        else if (s->best.n == 0 || steps[i].log_p > s->best.log_p)
            copy_with(&s->best, from, &steps[i]);
    }
    for (size_t i = 0; i < n_next; i++) {
        const beginning old = s->live[i];
        s->live[i] = s->next[i];
        s->next[i] = old;
    }
    s->n_live = n_next;
    take_seats(s);
    return SN_OK;
}

/* Probabilities only fall: the live ones, the best of which is in front, can no longer win. */
static bool is_decided(const page_search *s)
{
    return s->n_live == 0 || (s->best.n > 0 && s->live[0].log_p <= s->best.log_p);
}

sn_status fus_page_search(txt_model *m, const fus_page_view *views, size_t n_view, size_t width, size_t most, const fus_page_progress *p,
                          txt_ids *out, double *log_p, bool *cut, sn_err *err)
{
    page_search s = {.views = views, .n_view = n_view, .width = width, .most = most};
    size_t n_written = 0;
    sn_status st = search_open(&s, m, err);
    while (st == SN_OK && !is_decided(&s)) {
        st = grow(&s, err);
        if (st == SN_OK) st = fus_page_progressed(p, ++n_written, err);
    }
    for (size_t i = 1; st == SN_OK && i < s.best.n; i++) st = txt_ids_push(out, s.best.ids[i], err);
    *log_p = s.best.log_p;
    *cut = s.cut;
    search_close(&s);
    return st;
}
