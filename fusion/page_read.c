/* page_read.c: the reader of pages: pictures to descriptions, by the pair that was trained for it or by any other that sees pictures. Both
 * are held to the grammar; the former searches (page_search.c), the latter writes greedily. */
#include "page_read.h"
#include "page_search.h"
#include "pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FAMILY "senses_page"
#define MAX_PIECE 256 /* bytes of a token's text; longer ones are not chosen */

static const char QUESTION[] =
    "List what stands on the web page in this picture, from top to bottom, an element a line: its kind, a colon, its words.\n"
    "Kinds: title, heading, text, button, link, input, area, select, check, radio, image, item, footer.\n"
    "Links in a bar stand between the lines nav and end nav. What stands side by side stands between row and end row, with the line col, "
    "or card where there is a frame, in front of each column. A table stands between table and end table: tr in front of each row, "
    "and cell for each cell. The last line is end. If there is no page, write none.\n"
    "Example:\n"
    "title: My shop\n"
    "nav\n"
    "link: Home\n"
    "link: Offers\n"
    "end nav\n"
    "input: Your name\n"
    "button: Send\n"
    "row\n"
    "card\n"
    "image:\n"
    "text: Red shoes\n"
    "card\n"
    "text: Blue shoes\n"
    "end row\n"
    "footer: Berlin\n"
    "end";

struct senses_reader {
    senses_text *text;
    senses_encoder *encoder;
    bool trained; /* the pair that was trained for pages */
};

/* ---- open and close ---- */

/* A decoder whose vocabulary is the language of pages. */
static bool speaks_pages(const senses_text *t)
{
    const txt_vocab *v = txt_model_vocab(t->model);
    if (senses_text_n_vocab(t) != FUS_PAGE_N_TOKEN || txt_vocab_n(v) != FUS_PAGE_N_TOKEN) return false;
    for (unsigned i = 0; i < FUS_PAGE_N_TAG; i++)
        if (txt_vocab_find(v, fus_page_tags[i], strlen(fus_page_tags[i])) != (txt_id)i) return false;
    for (int c = FUS_PAGE_SPACE + 1; c <= FUS_PAGE_LAST_CHAR; c++)
        if (txt_vocab_find(v, &(char){(char)c}, 1) != c) return false;
    return true;
}

static sn_status check_trained(const senses_text *t, const senses_encoder *c, sn_err *err)
{
    if (strcmp(senses_encoder_family(c), FAMILY) != 0)
        return sn_fail(err, SN_EUSAGE, "%s: writes descriptions of pages, but %s is no encoder of pages: not a pair", t->path, c->path);
    if (!speaks_pages(t))
        return sn_fail(err, SN_EUSAGE, "%s: an encoder of pages, but %s does not write descriptions of pages: not a pair", c->path,
                       t->path);
    return fus_pair_check(t, c, err);
}

static sn_status open_session(senses_session **out, senses_text *t, senses_encoder *c, sn_err *err)
{
    senses_session_params p;
    senses_session_defaults(&p);
    return senses_session_open(out, t, &c, 1, &p, err);
}

senses_status senses_reader_open(senses_reader **out, senses_text *t, senses_encoder *c, senses_error *err)
{
    if (c->vision == NULL) return sn_fail(err, SN_EUSAGE, "%s: an audio encoder; it cannot read a picture", c->path);
    const bool trained = strcmp(senses_encoder_family(c), FAMILY) == 0 || speaks_pages(t);
    senses_session *trial = NULL; /* shows whether any other pair is one */
    sn_status st = trained ? check_trained(t, c, err) : open_session(&trial, t, c, err);
    senses_session_close(trial);
    if (st != SN_OK) return st;
    senses_reader *r = calloc(1, sizeof *r);
    if (r == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    *r = (senses_reader){t, c, trained};
    *out = r;
    return SN_OK;
}

void senses_reader_close(senses_reader *r)
{
    free(r);
}

/* ---- the pair that was trained for pages ---- */

/* Moves the rows that are not all zeros to the front of rows [n, d]; returns how many there are. */
static size_t drop_empty_rows(float *rows, size_t n, size_t d)
{
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (k < d && rows[i * d + k] == 0) k++;
        if (k == d) continue;
        memmove(rows + n_kept * d, rows + i * d, d * sizeof *rows);
        n_kept++;
    }
    return n_kept;
}

sn_status fus_page_progressed(const fus_page_progress *p, size_t n_tokens, sn_err *err)
{
    return p->fn == NULL || p->fn(p->user, n_tokens) ? SN_OK : sn_fail(err, SN_ECANCELLED, "cancelled");
}

typedef struct { /* one page being read */
    senses_reader *reader;
    vis_prepared input;
    fus_page_view views[FUS_PAGE_VIEWS];
    float *rows[FUS_PAGE_VIEWS]; /* of the views */
    size_t n_view;
} page_reading;

static void reading_close(page_reading *g)
{
    for (size_t i = 0; i < FUS_PAGE_VIEWS; i++) sn_free(g->rows[i]);
    vis_prepared_free(&g->input);
}

/* One more view: the page as it lies in g->input. */
static sn_status look(page_reading *g, sn_err *err)
{
    vis_model *m = g->reader->encoder->vision;
    const size_t n_tok = g->input.n_tok, d = vis_model_n_embd(m);
    size_t n_value;
    float *rows = sn_mul_ok(n_tok, d, &n_value) ? sn_alloc(n_value, sizeof *rows) : NULL; /* [n_tok, d] */
    if (rows == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a page of %zu rows", n_tok);
    g->rows[g->n_view] = rows;
    const sn_status st = vis_model_encode(m, &g->input, rows, err);
    if (st == SN_OK) g->views[g->n_view++] = (fus_page_view){rows, drop_empty_rows(rows, n_tok, d)};
    return st;
}

/* What the decoder makes of the views so far. */
static sn_status write_page(const page_reading *g, size_t width, size_t most, const fus_page_progress *p, txt_ids *out, double *log_p,
                            bool *cut, sn_err *err)
{
    const senses_text *t = g->reader->text;
    const size_t n_ctx = senses_text_n_ctx_train(t), least = fus_page_cost((fus_page_state){0});
    size_t n = 0;
    for (size_t i = 0; i < g->n_view; i++) n = n > g->views[i].n ? n : g->views[i].n;
    if (n_ctx < n + 1 + least) return sn_fail(err, SN_ELIMIT, "%s: a page of %zu rows does not fit its context of %zu", t->path, n, n_ctx);
    if (most > n_ctx - n - 1) most = n_ctx - n - 1;
    if (most < least) most = least;
    return fus_page_search(t->model, g->views, g->n_view, width, most, p, out, log_p, cut, err);
}

/* A letter is cut by the cells' borders in one place and whole in the other: what one view misreads the other may read. */
static sn_status look_again(page_reading *g, sn_err *err)
{
    vis_prepared_shift(&g->input, FUS_PAGE_SHIFT_PX);
    return look(g, err);
}

sn_status fus_reader_tokens(senses_reader *r, const senses_image *img, size_t width, size_t most, const fus_page_progress *p, txt_ids *out,
                            bool *cut, sn_err *err)
{
    page_reading g = {.reader = r};
    double log_p;
    *cut = false;
    sn_status st = vis_model_prepare(r->encoder->vision, &img->pixels, VIS_FIT_DEFAULT, &g.input, err);
    if (st != SN_OK) return st;
    st = look(&g, err);
    if (st == SN_OK && g.views[0].n > 0) {
        st = write_page(&g, width, most, p, out, &log_p, cut, err);
        if (st == SN_OK && width > 1 && log_p < FUS_PAGE_SURE * (double)out->n) {
            st = look_again(&g, err);
            out->n = 0;
            if (st == SN_OK) st = write_page(&g, width, most, p, out, &log_p, cut, err);
        }
    }
    reading_close(&g);
    return st;
}

static sn_status read_trained(senses_reader *r, const senses_image *img, size_t most, const fus_page_progress *p, senses_page *out,
                              sn_err *err)
{
    txt_ids ids = {0};
    fus_page_build page = {0};
    bool cut;
    sn_status st = fus_reader_tokens(r, img, FUS_PAGE_WIDTH, most, p, &ids, &cut, err);
    for (size_t i = 0; i < ids.n && st == SN_OK; i++) st = fus_page_put(&page, (unsigned)ids.ids[i], err);
    if (st == SN_OK) st = fus_page_finish(&page, out, err);
    if (st == SN_OK) out->cut = cut;
    fus_page_build_free(&page);
    txt_ids_free(&ids);
    return st;
}

/* ---- any other pair ---- */

static bool may_choose(const fus_page_writer *w, txt_id id)
{
    char piece[MAX_PIECE];
    if (txt_vocab_is_end(w->vocab, id)) return fus_written_may_end(w->written);
    const size_t n = txt_piece(w->vocab, id, false, piece, sizeof piece); /* control tokens have no text */
    return n > 0 && n <= sizeof piece && fus_written_takes(w->written, piece, n);
}

static void write_piece(fus_page_writer *w, txt_id id)
{
    char piece[MAX_PIECE];
    const size_t n = txt_piece(w->vocab, id, false, piece, sizeof piece);
    for (size_t i = 0; i < n; i++) {
        fus_written_step step = {0};
        (void)fus_written_accept(&w->written, (unsigned char)piece[i], &step);
        for (size_t k = 0; k < step.n && w->st == SN_OK; k++) w->st = fus_page_put(&w->page, step.tokens[k], w->err);
    }
}

txt_id fus_page_choose(void *user, const float *logits, size_t n)
{
    fus_page_writer *w = user;
    txt_id best = TXT_NO_ID;
    float most = -INFINITY;
    if (w->st != SN_OK || w->written.page.at == FUS_AT_END) return TXT_NO_ID;
    for (size_t i = 0; i < n && i < txt_vocab_n(w->vocab); i++) { /* only what is better than the best so far is looked at closely */
        if (!(logits[i] > most) || !may_choose(w, (txt_id)i)) continue;
        most = logits[i];
        best = (txt_id)i;
    }
    w->ended = best != TXT_NO_ID && txt_vocab_is_end(w->vocab, best);
    if (best == TXT_NO_ID || w->ended) return TXT_NO_ID;
    write_piece(w, best);
    w->ended = w->written.page.at == FUS_AT_END;
    return best;
}

sn_status fus_page_close(fus_page_writer *w)
{
    fus_page_state *s = &w->written.page;
    while (w->st == SN_OK && s->at != FUS_AT_END) {
        const unsigned token = fus_page_shortest(*s);
        *s = fus_page_accept(*s, token);
        w->st = fus_page_put(&w->page, token, w->err);
    }
    return w->st;
}

static sn_status read_asked(senses_reader *r, const senses_image *img, size_t most, const fus_page_progress *p, senses_page *out,
                            sn_err *err)
{
    fus_page_writer w = {.vocab = txt_model_vocab(r->text->model), .err = err};
    senses_session *s = NULL;
    const senses_medium medium = {.image = img};
    bool end = false;
    sn_status st = open_session(&s, r->text, r->encoder, err);
    if (st == SN_OK) st = senses_session_prompt(s, QUESTION, &medium, 1, most, err);
    if (st == SN_OK) fus_session_set_choice(s, fus_page_choose, &w);
    for (size_t n = 0; st == SN_OK && !end && n < most; n++) {
        int32_t id;
        st = senses_session_next(s, &id, &end, err);
        if (st == SN_OK) st = w.st;
        if (st == SN_OK && !end) st = fus_page_progressed(p, n + 1, err);
    }
    if (st == SN_OK) st = fus_page_close(&w);
    if (st == SN_OK) st = fus_page_finish(&w.page, out, err);
    if (st == SN_OK) out->cut = !w.ended;
    fus_page_build_free(&w.page);
    senses_session_close(s);
    return st;
}

sn_status fus_reader_page(senses_reader *r, const senses_image *img, size_t most, const fus_page_progress *p, senses_page *out, sn_err *err)
{
    return r->trained ? read_trained(r, img, most, p, out, err) : read_asked(r, img, most, p, out, err);
}

senses_status senses_reader_read(senses_reader *r, const senses_image *img, bool (*progress)(void *user, size_t n_tokens), void *user,
                                 senses_page *out, senses_error *err)
{
    const fus_page_progress p = {progress, user};
    return fus_reader_page(r, img, r->trained ? FUS_PAGE_MOST : FUS_PAGE_MOST_ASKED, &p, out, err);
}
