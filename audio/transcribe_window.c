/* transcribe_window.c: what is said in one window: sampling under the timestamp rules of openai/whisper (decoding.py), and
 * the fallback over temperatures (transcribe.py; Radford et al. 2022, 4.5). */
#include <assert.h>
#include <math.h>
#include <string.h>
#include <zlib.h>

#include "../core/mem.h"
#include "transcribe.h"

#define MAX_INITIAL_STAMP 50 /* the first timestamp is at most 1 s */
#define NEGLIGIBLE 30.0f     /* e^-30 of the most probable: left out of sums */

sn_status aud_scribe_init(aud_scribe *s, aud_whisper *w, const aud_transcribe_params *p, sn_err *err)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    memset(s, 0, sizeof *s);
    s->w = w;
    s->params = p;
    s->random = p->seed;
    s->max_tokens = hp->n_text_ctx / 2;
    size_t longest = 1;
    for (size_t i = 0; i < w->file.vocab.n; i++)
        if (aud_vocab_bytes(&w->file.vocab, (int32_t)i).n > longest) longest = aud_vocab_bytes(&w->file.vocab, (int32_t)i).n;
    bool fits = sn_mul_ok(longest, s->max_tokens, &s->cap_text) && s->cap_text < SIZE_MAX / 4;
    s->first = sn_alloc(hp->n_vocab, sizeof *s->first);
    s->logits = sn_alloc(AUD_BEST_OF * hp->n_vocab, sizeof *s->logits);
    s->drawn = sn_alloc(AUD_BEST_OF * s->max_tokens, sizeof *s->drawn);
    s->kept = sn_alloc(s->max_tokens, sizeof *s->kept);
    s->rows = sn_alloc(hp->n_text_ctx, sizeof *s->rows);
    s->text = fits ? sn_alloc(s->cap_text + 1, 1) : NULL;
    s->clean = fits ? sn_alloc(3 * s->cap_text + 1, 1) : NULL;
    if (s->first == NULL || s->logits == NULL || s->drawn == NULL || s->kept == NULL || s->rows == NULL || s->text == NULL ||
        s->clean == NULL) {
        aud_scribe_free(s);
        return sn_fail(err, SN_ENOMEM, "no memory to transcribe");
    }
    sn_status st = aud_decoder_init(&s->decoder, w, err);
    if (st != SN_OK) aud_scribe_free(s);
    return st;
}

void aud_scribe_free(aud_scribe *s)
{
    aud_decoder_free(&s->decoder);
    sn_free(s->first);
    sn_free(s->logits);
    sn_free(s->drawn);
    sn_free(s->kept);
    sn_free(s->rows);
    sn_free(s->text);
    sn_free(s->clean);
    memset(s, 0, sizeof *s);
}

const char *aud_scribe_text(aud_scribe *s, const int32_t *tokens, size_t n)
{
    size_t k = 0;
    assert(n <= s->max_tokens);
    for (size_t i = 0; i < n; i++) {
        const sn_str word = aud_vocab_bytes(&s->w->file.vocab, tokens[i]);
        if (word.n > 0) memcpy(s->text + k, word.p, word.n);
        k += word.n;
    }
    aud_text_clean(s->clean, (const unsigned char *)s->text, k);
    return s->clean;
}

/* How many times shorter zlib makes the text: above 2.4 it repeats itself. */
static float compression_ratio(const char *text)
{
    const size_t n = strlen(text);
    unsigned char small[1 << 12];
    uLongf n_small = sizeof small;
    if (n == 0) return 0; /* as openai/whisper has it but for rounding: 0 bytes become 8 */
    /* A window's text is well below 4 kB; what does not fit even when it is compressed does not repeat itself. */
    return compress(small, &n_small, (const Bytef *)text, n) == Z_OK ? (float)n / (float)n_small : 1;
}

static double uniform(uint64_t *state) /* [0, 1): splitmix64 (Steele et al. 2014) */
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static void forbid(float *x, int32_t begin, int32_t end)
{
    for (int32_t i = begin; i < end; i++) x[i] = -INFINITY;
}

/* The largest of x[begin .. end) and where it stands; -1 where none is a number above -inf. */
static int32_t largest(const float *x, int32_t begin, int32_t end, float *value)
{
    int32_t at = -1;
    *value = -INFINITY;
    for (int32_t i = begin; i < end; i++)
        if (x[i] > *value) { /* false for NaN */
            *value = x[i];
            at = i;
        }
    return at;
}

/* The sum over x[begin .. end) of e^((x - top) / t). */
static double sum_exp(const float *x, int32_t begin, int32_t end, float top, float t)
{
    double sum = 0;
    for (int32_t i = begin; i < end; i++)
        if (x[i] > top - NEGLIGIBLE * t) sum += (double)expf((x[i] - top) / t);
    return sum;
}

void aud_scribe_rules(const aud_vocab *v, int32_t n_vocab, const int32_t *tokens, size_t n, float *x)
{
    const aud_special *s = &v->special;
    for (int32_t i = 0; i < n_vocab; i++)
        if (v->suppress[i]) x[i] = -INFINITY;
    if (n == 0) {
        forbid(x, 0, s->timestamp);
        forbid(x, s->timestamp + MAX_INITIAL_STAMP + 1, n_vocab);
        return;
    }
    const bool stamp = tokens[n - 1] >= s->timestamp, stamp_before = n < 2 || tokens[n - 2] >= s->timestamp;
    if (stamp && stamp_before)
        forbid(x, s->timestamp, n_vocab); /* a pair is complete: text, or the end */
    else if (stamp)
        forbid(x, 0, s->eot); /* a text is closed: the next begins, or the end */
    for (size_t i = n; i-- > 0;)
        if (tokens[i] >= s->timestamp) {
            forbid(x, s->timestamp, stamp && !stamp_before ? tokens[i] : tokens[i] + 1);
            break;
        }
}

/* The next token and, in *log_prob, the logarithm of its probability among those allowed. x is spent. */
static int32_t draw(aud_scribe *s, const int32_t *tokens, size_t n, float temperature, float *x, float *log_prob)
{
    const aud_vocab *v = &s->w->file.vocab;
    const int32_t n_vocab = (int32_t)s->w->file.hp.n_vocab, stamps = v->special.timestamp;
    aud_scribe_rules(v, n_vocab, tokens, n, x);

    float top_text, top_stamp;
    int32_t text = largest(x, 0, stamps, &top_text), stamp = largest(x, stamps, n_vocab, &top_stamp);
    *log_prob = -NEGLIGIBLE;
    if ((text < 0 && stamp < 0) || isinf(fmaxf(top_text, top_stamp))) return v->special.eot; /* nothing but NaN, or infinite */
    /* Together the timestamps are more probable than any one text token: then it is one of them. */
    double sum_stamp = stamp < 0 ? 0 : sum_exp(x, stamps, n_vocab, top_stamp, 1);
    if (stamp >= 0 && (text < 0 || (double)top_stamp + log(sum_stamp) > (double)top_text)) {
        text = -1;
        top_text = -INFINITY;
    }
    const int32_t begin = text < 0 ? stamps : 0;
    const float top = fmaxf(top_text, top_stamp);
    int32_t token = top_text >= top_stamp ? text : stamp;
    if (temperature > 0) {
        double left = uniform(&s->random) * sum_exp(x, begin, n_vocab, top, temperature);
        for (int32_t i = begin; i < n_vocab; i++) {
            if (!(x[i] > top - NEGLIGIBLE * temperature)) continue;
            left -= (double)expf((x[i] - top) / temperature);
            if (left <= 0) {
                token = i;
                break;
            }
        }
    }
    *log_prob = (float)((double)(x[token] - top) - log(sum_exp(x, begin, n_vocab, top, 1)));
    return token;
}

/* The prompt through the decoder, once a window: s->first behind it, and how probable it is that nothing is said. */
static float read_prompt(aud_scribe *s, const int32_t *prompt, size_t n, size_t sot)
{
    const aud_special *special = &s->w->file.vocab.special;
    const int32_t n_vocab = (int32_t)s->w->file.hp.n_vocab;
    for (size_t i = 0; i < n; i++) s->rows[i] = (aud_decoder_row){.token = prompt[i], .seq = 0, .pos = (uint32_t)i};
    sn_turn_take(s->w->compute);
    aud_decoder_run(&s->decoder, s->rows, n);
    aud_decoder_logits(&s->decoder, n - 1, 1, s->first);
    const float *x = s->first;
    if (sot != n - 1) {
        aud_decoder_logits(&s->decoder, sot, 1, s->logits);
        x = s->logits;
    }
    sn_turn_end(s->w->compute);
    float top;
    if (largest(x, 0, n_vocab, &top) < 0 || isinf(top)) return 1;
    return (float)((double)expf(x[special->no_speech] - top) / sum_exp(x, 0, n_vocab, top, 1));
}

/* n_seq texts at once behind the prompt; the most probable of them goes to out. */
static void write_texts(aud_scribe *s, size_t n_prompt, size_t n_seq, float temperature, aud_hearing *out)
{
    const size_t n_vocab = s->w->file.hp.n_vocab, most = s->max_tokens;
    struct {
        size_t n;
        double sum;
        bool ended;
    } seq[AUD_BEST_OF] = {{0}};
    if (n_seq > 1) aud_decoder_fork(&s->decoder, n_seq, n_prompt);
    for (size_t i = 0; i < n_seq; i++) memcpy(s->logits + i * n_vocab, s->first, n_vocab * sizeof *s->logits);
    aud_chorus_join(s->w->chorus);
    for (size_t active = n_seq, row = 0; active > 0; row = 0) {
        /* The logits stand in the order of the sequences that have not ended. */
        for (size_t i = 0; i < n_seq; i++) {
            if (seq[i].ended) continue;
            float log_prob;
            int32_t *tokens = s->drawn + i * most;
            const int32_t token = draw(s, tokens, seq[i].n, temperature, s->logits + row++ * n_vocab, &log_prob);
            seq[i].sum += (double)log_prob;
            if (token != s->w->file.vocab.special.eot) tokens[seq[i].n++] = token;
            seq[i].ended = token == s->w->file.vocab.special.eot || seq[i].n == most || n_prompt + seq[i].n >= s->w->file.hp.n_text_ctx;
        }
        active = 0;
        for (size_t i = 0; i < n_seq; i++)
            if (!seq[i].ended)
                s->rows[active++] = (aud_decoder_row){
                    .token = s->drawn[i * most + seq[i].n - 1], .seq = (uint32_t)i, .pos = (uint32_t)(n_prompt + seq[i].n - 1)};
        if (active > 0) aud_decoder_next(&s->decoder, s->rows, active, s->logits);
    }
    aud_chorus_leave(s->w->chorus);
    size_t best = 0;
    for (size_t i = 1; i < n_seq; i++)
        if (seq[i].sum / (double)(seq[i].n + 1) > seq[best].sum / (double)(seq[best].n + 1)) best = i;
    memcpy(out->tokens, s->drawn + best * most, seq[best].n * sizeof *out->tokens);
    out->n = seq[best].n;
    out->avg_log_prob = (float)(seq[best].sum / (double)(seq[best].n + 1));
    out->temperature = temperature;
    out->compression_ratio = compression_ratio(aud_scribe_text(s, out->tokens, out->n));
}

/* Is a the better of two that both failed: repeats itself less (if only one of them does), else is more probable. */
static bool better(const aud_hearing *a, const aud_hearing *b, float ratio_max)
{
    const bool a_repeats = a->compression_ratio > ratio_max, b_repeats = b->compression_ratio > ratio_max;
    if (a_repeats != b_repeats) return b_repeats;
    return a->avg_log_prob > b->avg_log_prob;
}

sn_status aud_scribe_hear(aud_scribe *s, const int32_t *prompt, size_t n_prompt, size_t sot, aud_hearing *out, sn_err *err)
{
    const aud_transcribe_params *p = s->params;
    int32_t *best_tokens = out->tokens, *tokens = s->kept;
    const float no_speech = read_prompt(s, prompt, n_prompt, sot);
    bool any = false;
    for (size_t i = 0;; i++) {
        const float t = p->temperature + (float)i * p->temperature_step;
        const bool last = !(p->temperature_step > 0) || t + p->temperature_step > 1.0f + 1e-4f;
        aud_hearing h = {.tokens = tokens, .no_speech_prob = no_speech};
        const size_t n_seq = t > 0 ? AUD_BEST_OF : 1;
        sn_status st = aud_decoder_reserve(&s->decoder, n_seq, err);
        if (st != SN_OK) return st;
        write_texts(s, n_prompt, n_seq, t, &h);
        const bool silence = no_speech > p->no_speech_max && h.avg_log_prob < p->log_prob_min;
        const bool accepted = silence || (h.compression_ratio <= p->compression_ratio_max && h.avg_log_prob >= p->log_prob_min);
        if (accepted || !any || better(&h, out, p->compression_ratio_max)) {
            memcpy(best_tokens, h.tokens, h.n * sizeof *best_tokens);
            *out = h;
            out->tokens = best_tokens;
            any = true;
        }
        if (accepted) return SN_OK;
        if (last) {
            out->temperature = t; /* however it was found: the context behind it is not to be trusted */
            return SN_OK;
        }
    }
}

size_t aud_scribe_language(aud_scribe *s)
{
    const aud_special *special = &s->w->file.vocab.special;
    float top;
    read_prompt(s, &special->sot, 1, 0);
    const int32_t at = largest(s->first, special->language, special->language + (int32_t)special->n_languages, &top);
    return at < 0 ? 0 : (size_t)(at - special->language);
}
