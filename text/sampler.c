/* sampler.c: from logits to a token: repeat penalty, top-k, top-p, min-p, temperature, in this order (llama.cpp's). */
#include "../core/mem.h"
#include "text.h"

#include <math.h>
#include <string.h>

#define FEW 256        /* the best tokens that are looked at before all are */
#define LEAST (-1e20f) /* a logit below is none that was computed */

typedef struct {
    float logit; /* later: weight */
    txt_id id;
} candidate;

struct txt_sampler {
    txt_sampling p;
    size_t n_vocab;
    uint64_t state[4];     /* of xoshiro256** */
    candidate *cand;       /* [n_vocab] */
    txt_id *recent;        /* [p.repeat_last]: a ring of the tokens accepted last */
    size_t n_recent, next; /* how many it holds; where the next one goes */
    uint32_t *seen, turn;  /* [n_vocab]: seen[id] == turn: penalised already in this turn */
};

/* splitmix64 (Steele et al. 2014): spreads a seed over the state, so that seeds 1 and 2 share nothing. */
static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** (Blackman & Vigna 2018), as a double in [0, 1). */
static double uniform(uint64_t s[4])
{
    const uint64_t r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return (double)(r >> 11) * 0x1p-53;
}

static sn_status check(const txt_sampling *p, sn_err *err)
{
    if (!(p->temperature >= 0 && isfinite(p->temperature)))
        return sn_fail(err, SN_EUSAGE, "temperature %g: want 0 or more", (double)p->temperature);
    if (!(p->top_p >= 0 && p->top_p <= 1)) return sn_fail(err, SN_EUSAGE, "top-p %g: want 0 to 1", (double)p->top_p);
    if (!(p->min_p >= 0 && p->min_p <= 1)) return sn_fail(err, SN_EUSAGE, "min-p %g: want 0 to 1", (double)p->min_p);
    if (!(p->repeat_penalty > 0 && isfinite(p->repeat_penalty)))
        return sn_fail(err, SN_EUSAGE, "repeat penalty %g: want more than 0", (double)p->repeat_penalty);
    return SN_OK;
}

sn_status txt_sampler_open(txt_sampler **out, const txt_sampling *p, size_t n_vocab, sn_err *err)
{
    sn_status st = check(p, err);
    if (st != SN_OK) return st;
    txt_sampler *s = sn_calloc(1, sizeof *s);
    if (s == NULL) return sn_fail(err, SN_ENOMEM, "out of memory");
    s->p = *p;
    s->n_vocab = n_vocab;
    s->cand = sn_alloc(n_vocab, sizeof *s->cand);
    s->recent = sn_alloc(p->repeat_last, sizeof *s->recent);
    s->seen = sn_calloc(n_vocab, sizeof *s->seen);
    if (s->cand == NULL || s->recent == NULL || s->seen == NULL) {
        txt_sampler_close(s);
        return sn_fail(err, SN_ENOMEM, "out of memory for a sampler of %zu tokens", n_vocab);
    }
    txt_sampler_reset(s);
    *out = s;
    return SN_OK;
}

void txt_sampler_close(txt_sampler *s)
{
    if (s == NULL) return;
    sn_free(s->cand);
    sn_free(s->recent);
    sn_free(s->seen);
    sn_free(s);
}

void txt_sampler_reset(txt_sampler *s)
{
    uint64_t x = s->p.seed;
    for (size_t i = 0; i < 4; i++) s->state[i] = splitmix(&x);
    s->n_recent = s->next = 0;
}

void txt_sampler_accept(txt_sampler *s, txt_id id)
{
    if (s->p.repeat_last == 0) return;
    s->recent[s->next] = id;
    s->next = (s->next + 1) % s->p.repeat_last;
    if (s->n_recent < s->p.repeat_last) s->n_recent++;
}

/* Keskar et al. 2019: a token seen is made less likely, once, however often it was seen. */
static void penalise(txt_sampler *s, float *logits)
{
    if (s->p.repeat_penalty == 1) return;
    if (++s->turn == 0) { /* wrapped: old marks could look new */
        memset(s->seen, 0, s->n_vocab * sizeof *s->seen);
        s->turn = 1;
    }
    for (size_t i = 0; i < s->n_recent; i++) {
        const txt_id id = s->recent[i];
        if (s->seen[id] == s->turn) continue;
        s->seen[id] = s->turn;
        logits[id] = logits[id] > 0 ? logits[id] / s->p.repeat_penalty : logits[id] * s->p.repeat_penalty;
    }
}

/* NaN becomes minus infinity; returns the lowest id of the largest logit. */
static size_t clean(float *logits, size_t n)
{
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(logits[i])) logits[i] = -INFINITY;
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

/* exp((logit - max) / temperature), where infinite logits share all there is. Below e^-60 it is nothing: a sum of doubles
 * would not notice, and most of a vocabulary lies there. */
static double weight(float logit, float max, double temperature)
{
    if (logit == max) return 1;
    const double x = ((double)logit - (double)max) / temperature;
    return x > -60 ? exp(x) : 0;
}

static bool worse(candidate a, candidate b)
{
    return a.logit < b.logit || (a.logit == b.logit && a.id > b.id);
}

/* heap[n] has its worst candidate on top; restores that below i. */
static void sift_down(candidate *heap, size_t n, size_t i)
{
    const candidate c = heap[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && worse(heap[child + 1], heap[child])) child++;
        if (!worse(heap[child], c)) break;
        heap[i] = heap[child];
    }
    heap[i] = c;
}

/* cand[k] = the k largest logits, descending, the lower id first among equals. Most logits are compared once, with the worst
 * of the best so far: the whole list is never sorted (unless k is all of it). */
static void select_top(candidate *cand, size_t k, const float *logits, size_t n)
{
    for (size_t i = 0; i < k; i++) cand[i] = (candidate){logits[i], (txt_id)i};
    for (size_t i = k / 2; i-- > 0;) sift_down(cand, k, i);
    for (size_t i = k; i < n; i++) {
        if (!(logits[i] > cand[0].logit)) continue;
        cand[0] = (candidate){logits[i], (txt_id)i};
        sift_down(cand, k, 0);
    }
    for (size_t i = k; i-- > 1;) {
        const candidate worst = cand[0];
        cand[0] = cand[i];
        cand[i] = worst;
        sift_down(cand, i, 0);
    }
}

/* How many of the descending cand[n] it takes to hold top_p of `total`; n + 1 when all of them do not. */
static size_t nucleus(const candidate *cand, size_t n, double top_p, double total)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += weight(cand[i].logit, cand[0].logit, 1);
        if (sum >= top_p * total) return i + 1;
    }
    return n + 1;
}

/* The same of the top k; returns how many. */
static size_t keep_top_p(const txt_sampler *s, size_t n, float max)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) total += weight(s->cand[i].logit, max, 1);
    const size_t kept = nucleus(s->cand, n, (double)s->p.top_p, total);
    return kept < n ? kept : n; /* rounding may leave the sum a hair short of the whole */
}

/* Fills s->cand with what top-k and top-p leave, descending (in order of id when neither is on); returns how many. */
static size_t choose(txt_sampler *s, const float *logits, float max)
{
    const size_t n_vocab = s->n_vocab;
    const bool top_k = s->p.top_k > 0 && s->p.top_k < n_vocab;
    if (!top_k && s->p.top_p >= 1) {
        for (size_t i = 0; i < n_vocab; i++) s->cand[i] = (candidate){logits[i], (txt_id)i};
        return n_vocab;
    }
    size_t n = top_k ? s->p.top_k : n_vocab < 64 ? n_vocab : 64;
    double total = 0;
    select_top(s->cand, n, logits, n_vocab);
    if (top_k) return s->p.top_p < 1 ? keep_top_p(s, n, max) : n;
    for (size_t i = 0; i < n_vocab; i++) total += weight(logits[i], max, 1);
    size_t kept = nucleus(s->cand, n, (double)s->p.top_p, total);
    while (kept > n && n < n_vocab) { /* the nucleus is larger than guessed */
        n = n_vocab / 8 < n ? n_vocab : n * 8;
        select_top(s->cand, n, logits, n_vocab);
        kept = nucleus(s->cand, n, (double)s->p.top_p, total);
    }
    return kept < n ? kept : n;
}

/* Keeps of cand[n] what has at least min_p of the likeliest one's probability; returns how many. */
static size_t keep_min_p(candidate *cand, size_t n, float min_p, float max)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (weight(cand[i].logit, max, 1) >= (double)min_p) cand[kept++] = cand[i];
    return kept;
}

/* Draws from softmax(logit / temperature). */
static txt_id draw(txt_sampler *s, candidate *cand, size_t n, float max)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        cand[i].logit = (float)weight(cand[i].logit, max, (double)s->p.temperature);
        sum += (double)cand[i].logit;
    }
    double r = uniform(s->state) * sum;
    txt_id id = cand[0].id;
    for (size_t i = 0; i < n; i++) {
        if (cand[i].logit > 0) id = cand[i].id; /* so that rounding at the end falls on a token that can be */
        r -= (double)cand[i].logit;
        if (r < 0) break;
    }
    return id;
}

bool txt_sampler_next_few(txt_sampler *s, float *logits, bool (*allowed)(void *user, txt_id id), void *user, txt_id *id)
{
    const size_t want = s->p.temperature == 0 ? 1 : s->p.top_k;
    if (want == 0 || want > FEW / 2 || FEW > s->n_vocab) return false;
    penalise(s, logits);
    clean(logits, s->n_vocab);
    select_top(s->cand, FEW, logits, s->n_vocab);
    size_t n = 0;
    for (size_t i = 0; i < FEW && n < want && s->cand[i].logit > LEAST; i++)
        if (allowed(user, s->cand[i].id)) s->cand[n++] = s->cand[i];
    if (n < want) return false;
    const float max = s->cand[0].logit;
    *id = s->cand[0].id;
    if (s->p.temperature == 0) return true;
    if (s->p.top_p < 1) n = keep_top_p(s, n, max);
    if (s->p.min_p > 0) n = keep_min_p(s->cand, n, s->p.min_p, max);
    *id = draw(s, s->cand, n, max);
    return true;
}

txt_id txt_sampler_next(txt_sampler *s, float *logits)
{
    penalise(s, logits);
    const size_t best = clean(logits, s->n_vocab);
    const float max = logits[best];
    if (s->p.temperature == 0) return (txt_id)best;
    size_t n = choose(s, logits, max);
    if (s->p.min_p > 0) n = keep_min_p(s->cand, n, s->p.min_p, max);
    return draw(s, s->cand, n, max);
}
