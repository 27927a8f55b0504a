/* perplexity.c: how well a decoder foretells a text, as llama.cpp's perplexity tool defines it: the tokens are cut into windows, the token
 * of the beginning stands for the first of each where the model has one, and the tokens of its second half count. */
#include "internal.h"

#include <math.h>
#include <string.h>

#define WINDOW 512 /* tokens, where the caller leaves the choice to us */
#define STRETCH 64 /* rows of logits held at once */

typedef struct {         /* the rows whose next token counts */
    const float *logits; /* [n, n_vocab] */
    const txt_id *next;  /* [n] */
    size_t n, n_vocab;
    double *nll; /* [n] */
} scoring;

/* nll[i] = -log softmax(logits[i])[next[i]] */
static void score_part(void *arg, size_t part, size_t n_parts)
{
    const scoring *s = arg;
    size_t begin, end;
    sn_share(s->n, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const float *row = s->logits + i * s->n_vocab;
        size_t best = 0;
        double others = 0; /* beside the likeliest, whose share is 1 */
        for (size_t k = 1; k < s->n_vocab; k++) best = row[k] > row[best] ? k : best;
        for (size_t k = 0; k < s->n_vocab; k++) others += k == best ? 0 : (double)expf(row[k] - row[best]);
        s->nll[i] = log1p(others) - (double)(row[s->next[i]] - row[best]);
    }
}

typedef struct {
    senses_text *text;
    txt_session *kv;
    size_t n_ctx;
    txt_id *window;      /* [n_ctx] */
    float *logits;       /* [STRETCH, n_vocab] */
    double nll[STRETCH]; /* of the stretch's tokens */
    double sum, sum_of_squares;
    size_t n_scored;
} measuring;

/* One window: the first half is read, of the second each token but the first is scored. */
static sn_status measure_window(measuring *m, sn_err *err)
{
    const size_t first = m->n_ctx / 2, n_vocab = senses_text_n_vocab(m->text);
    txt_session_truncate(m->kv, 0);
    sn_status st = txt_session_eval_ids(m->kv, m->window, first, NULL, false, err);
    for (size_t at = first, n; at + 1 < m->n_ctx && st == SN_OK; at += n) {
        n = m->n_ctx - 1 - at < STRETCH ? m->n_ctx - 1 - at : STRETCH;
        st = txt_session_eval_ids(m->kv, m->window + at, n, m->logits, true, err);
        if (st != SN_OK) break;
        sn_parallel(m->text->engine->compute, score_part, &(scoring){m->logits, m->window + at + 1, n, n_vocab, m->nll});
        for (size_t i = 0; i < n; i++) {
            m->sum += m->nll[i];
            m->sum_of_squares += m->nll[i] * m->nll[i];
        }
        m->n_scored += n;
    }
    return st;
}

/* The mean's standard error, carried through the exponential. */
static void conclude(const measuring *m, senses_perplexity_result *out)
{
    const double n = (double)m->n_scored, mean = m->sum / n, variance = m->sum_of_squares / n - mean * mean;
    out->perplexity = exp(mean);
    out->error = variance > 0 && n > 1 ? sqrt(variance / (n - 1)) * out->perplexity : 0;
    out->n_scored = m->n_scored;
}

static sn_status measure(measuring *m, const txt_ids *ids, const senses_perplexity_params *p, senses_perplexity_result *out, sn_err *err)
{
    const txt_vocab *v = txt_model_vocab(m->text->model);
    const size_t n_chunks = ids->n / m->n_ctx;
    sn_status st = SN_OK;
    for (size_t i = 0; i < n_chunks && st == SN_OK; i++) {
        memcpy(m->window, ids->ids + i * m->n_ctx, m->n_ctx * sizeof *m->window);
        if (txt_vocab_add_bos(v)) m->window[0] = txt_vocab_bos(v);
        st = measure_window(m, err);
        out->n_chunks = i + 1;
        if (st != SN_OK) break;
        conclude(m, out);
        if (p->progress && !p->progress(p->user, out->n_chunks, n_chunks, out->perplexity)) st = sn_fail(err, SN_ECANCELLED, "cancelled");
    }
    return st;
}

senses_status senses_perplexity(senses_text *t, const char *text, size_t n, const senses_perplexity_params *params,
                                senses_perplexity_result *out, senses_error *err)
{
    const senses_perplexity_params p = params ? *params : (senses_perplexity_params){.n_ctx = 0};
    senses_perplexity_result r = {.n_ctx = p.n_ctx ? p.n_ctx : WINDOW};
    measuring m = {.text = t, .n_ctx = r.n_ctx};
    txt_ids ids = {0};
    size_t n_value = 0;
    if (r.n_ctx < 4) return sn_fail(err, SN_EUSAGE, "windows of %zu tokens: at least 4 are needed", r.n_ctx);
    sn_status st = txt_tokenize(txt_model_vocab(t->model), text, n, TXT_ADD_BOS_EOS, &ids, err);
    r.n_tokens = ids.n;
    if (st == SN_OK && ids.n / 2 < r.n_ctx)
        st = sn_fail(err, SN_EUSAGE, "%zu tokens of text: two windows of %zu are needed at least", ids.n, r.n_ctx);
    if (st == SN_OK) st = txt_session_open(&m.kv, t->model, r.n_ctx, err);
    if (st == SN_OK) {
        m.window = sn_alloc(r.n_ctx, sizeof *m.window);
        m.logits = sn_mul_ok(senses_text_n_vocab(t), STRETCH, &n_value) ? sn_alloc(n_value, sizeof(float)) : NULL;
        if (m.window == NULL || m.logits == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory for logits");
    }
    if (st == SN_OK) st = measure(&m, &ids, &p, &r, err);
    if (st == SN_OK) *out = r;
    txt_session_close(m.kv);
    txt_ids_free(&ids);
    sn_free(m.window);
    sn_free(m.logits);
    return st;
}
