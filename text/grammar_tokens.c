/* grammar_tokens.c: a grammar over a vocabulary: which tokens may come next, and the choice among them that can be ended in time. */
#include "grammar_match.h"
#include "vocab_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATES_KEEP ((size_t)1 << 14) /* more: the automaton is built anew before the next token */
#define MASK_BYTES_KEEP ((size_t)64 << 20)
#define TRIES 16 /* of the sampler near the end of the room, before the shortest way out is taken */

typedef struct {
    uint32_t skip;     /* the node behind all those below this one */
    uint32_t first, n; /* ids[first .. first + n) are the tokens that end here */
    uint16_t depth;
    unsigned char byte;
} node;

struct txt_trie {
    const txt_vocab *vocab;
    node *nodes; /* depth first, bytes ascending */
    size_t n_nodes, cap_nodes;
    txt_id *ids;
    size_t n_ids;
};

struct txt_matcher {
    automaton a;
    const txt_trie *trie;
    uint32_t at;
    char *text; /* what was accepted: from it the automaton is built anew */
    size_t n_text, cap_text;
    txt_ids plan; /* a way to the end from here, last token first */
    bool planned;
};

/* ---- the tree ---- */

typedef struct {
    uint32_t off, n;
    txt_id id;
} spelling;

static int by_bytes(const void *x, const void *y, void *bytes)
{
    const spelling *a = x, *b = y;
    const int c = memcmp((char *)bytes + a->off, (char *)bytes + b->off, a->n < b->n ? a->n : b->n);
    return c ? c : a->n != b->n ? (a->n > b->n) - (a->n < b->n) : (a->id > b->id) - (a->id < b->id);
}

/* The bytes of all tokens that are text, in one list. */
static sn_status collect(const txt_vocab *v, char **bytes, spelling *list, size_t *n, sn_err *err)
{
    char buf[TXT_MAX_TOKEN_BYTES];
    size_t used = 0, cap = 0;
    sn_status st = SN_OK;
    for (size_t i = 0; i < txt_vocab_n(v) && st == SN_OK; i++) {
        const txt_id id = (txt_id)i;
        if (txt_vocab_is_control(v, id) || txt_vocab_is_end(v, id)) continue;
        const size_t len = txt_piece(v, id, false, buf, sizeof buf);
        if (len == 0 || len > sizeof buf) continue;
        st = sn_grow((void **)bytes, &cap, used + len, 1, err);
        if (st != SN_OK) break;
        memcpy(*bytes + used, buf, len);
        list[(*n)++] = (spelling){(uint32_t)used, (uint32_t)len, id};
        used += len;
    }
    return st;
}

/* Puts the sorted list into nodes. way[d]: the open node of depth d. */
static sn_status build(txt_trie *t, const char *bytes, const spelling *list, size_t n, uint32_t *way, sn_err *err)
{
    size_t depth = 0;
    sn_status st = SN_OK;
    for (size_t i = 0; i < n && st == SN_OK; i++) {
        const char *p = bytes + list[i].off;
        size_t same = 0;
        while (same < depth && same < list[i].n && t->nodes[way[same]].byte == (unsigned char)p[same]) same++;
        while (depth > same) t->nodes[way[--depth]].skip = (uint32_t)t->n_nodes;
        st = sn_grow((void **)&t->nodes, &t->cap_nodes, t->n_nodes + list[i].n, sizeof *t->nodes, err);
        for (; st == SN_OK && depth < list[i].n; depth++) {
            way[depth] = (uint32_t)t->n_nodes;
            t->nodes[t->n_nodes++] = (node){.first = (uint32_t)i, .depth = (uint16_t)depth, .byte = (unsigned char)p[depth]};
        }
        if (st == SN_OK) t->nodes[way[depth - 1]].n++;
        t->ids[t->n_ids++] = list[i].id;
    }
    while (depth > 0) t->nodes[way[--depth]].skip = (uint32_t)t->n_nodes;
    return st;
}

sn_status txt_trie_open(txt_trie **out, const txt_vocab *v, sn_err *err)
{
    uint32_t way[TXT_MAX_TOKEN_BYTES];
    char *bytes = NULL;
    size_t n = 0;
    txt_trie *t = sn_calloc(1, sizeof *t);
    spelling *list = sn_alloc(txt_vocab_n(v), sizeof *list);
    if (t) t->ids = sn_alloc(txt_vocab_n(v), sizeof *t->ids);
    sn_status st = t && list && t->ids ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory for a vocabulary's tree");
    if (st == SN_OK) st = collect(v, &bytes, list, &n, err);
    if (st == SN_OK && n > 0) {
        t->vocab = v;
        qsort_r(list, n, sizeof *list, by_bytes, bytes);
        st = build(t, bytes, list, n, way, err);
    }
    sn_free(bytes);
    sn_free(list);
    if (st == SN_OK && n == 0) st = sn_fail(err, SN_EFORMAT, "the vocabulary has no token of text");
    if (st != SN_OK) {
        txt_trie_close(t);
        return st;
    }
    *out = t;
    return SN_OK;
}

void txt_trie_close(txt_trie *t)
{
    if (t == NULL) return;
    sn_free(t->nodes);
    sn_free(t->ids);
    sn_free(t);
}

/* ---- the matcher ---- */

sn_status txt_matcher_open(txt_matcher **out, const txt_grammar *g, const txt_trie *trie, sn_err *err)
{
    txt_matcher *m = sn_calloc(1, sizeof *m);
    if (m == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
    m->trie = trie;
    sn_status st = automaton_open(&m->a, g, err);
    if (st == SN_OK) st = txt_matcher_reset(m, err);
    if (st != SN_OK) {
        txt_matcher_close(m);
        return st;
    }
    *out = m;
    return SN_OK;
}

void txt_matcher_close(txt_matcher *m)
{
    if (m == NULL) return;
    automaton_close(&m->a);
    txt_ids_free(&m->plan);
    sn_free(m->text);
    sn_free(m);
}

sn_status txt_matcher_reset(txt_matcher *m, sn_err *err)
{
    m->n_text = 0;
    m->planned = false;
    return automaton_start(&m->a, &m->at, err);
}

bool txt_matcher_may_end(const txt_matcher *m)
{
    return automaton_may_end(&m->a, m->at);
}

static sn_status walk(txt_matcher *m, uint32_t from, const char *p, size_t n, uint32_t *to, sn_err *err)
{
    sn_status st = SN_OK;
    *to = from;
    for (size_t i = 0; i < n && st == SN_OK && *to != STATE_DEAD; i++) st = automaton_step(&m->a, *to, (unsigned char)p[i], to, err);
    return st;
}

sn_status txt_matcher_accept(txt_matcher *m, const char *bytes, size_t n, bool *fits, sn_err *err)
{
    uint32_t to;
    sn_status st = walk(m, m->at, bytes, n, &to, err);
    *fits = st == SN_OK && to != STATE_DEAD;
    if (!*fits) return st;
    st = sn_grow((void **)&m->text, &m->cap_text, m->n_text + n, 1, err);
    if (st != SN_OK) return st;
    if (n > 0) memcpy(m->text + m->n_text, bytes, n);
    m->n_text += n;
    m->at = to;
    return SN_OK;
}

/* Keeps memory bounded: too many states are forgotten, and those of the text so far made again. */
static sn_status renew(txt_matcher *m, sn_err *err)
{
    const size_t mask = (txt_vocab_n(m->trie->vocab) / 64 + 1) * 8;
    if (m->a.n_states < STATES_KEEP && m->a.n_masks * mask < MASK_BYTES_KEEP) return SN_OK;
    automaton_clear(&m->a);
    sn_status st = automaton_start(&m->a, &m->at, err);
    return st == SN_OK ? walk(m, m->at, m->text, m->n_text, &m->at, err) : st;
}

/* The tokens that may come next, ends included, remembered by state. */
static sn_status mask_of(txt_matcher *m, const uint64_t **out, sn_err *err)
{
    const txt_trie *t = m->trie;
    const size_t n_vocab = txt_vocab_n(t->vocab);
    uint32_t way[TXT_MAX_TOKEN_BYTES + 1];
    if ((*out = m->a.states[m->at].mask) != NULL) return SN_OK;
    uint64_t *mask = sn_calloc(n_vocab / 64 + 1, sizeof *mask);
    if (mask == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
    sn_status st = SN_OK;
    way[0] = m->at;
    for (uint32_t i = 0; i < t->n_nodes && st == SN_OK;) {
        const node *k = &t->nodes[i];
        st = automaton_step(&m->a, way[k->depth], k->byte, &way[k->depth + 1], err);
        if (st != SN_OK) break;
        if (way[k->depth + 1] == STATE_DEAD) {
            i = k->skip;
            continue;
        }
        for (uint32_t j = 0; j < k->n; j++) mask[t->ids[k->first + j] >> 6] |= UINT64_C(1) << (t->ids[k->first + j] & 63);
        i++;
    }
    for (size_t id = 0; txt_matcher_may_end(m) && id < n_vocab; id++)
        if (txt_vocab_is_end(t->vocab, (txt_id)id)) mask[id >> 6] |= UINT64_C(1) << (id & 63);
    if (st != SN_OK) {
        sn_free(mask);
        return st;
    }
    m->a.states[m->at].mask = mask;
    m->a.n_masks++;
    *out = mask;
    return SN_OK;
}

/* The longest token that begins p[n], by its node; TXT_NO_ID: none. */
static txt_id longest_token(const txt_trie *t, const char *p, size_t n, size_t *used)
{
    txt_id best = TXT_NO_ID;
    for (uint32_t i = 0, depth = 0; depth < n && i < t->n_nodes;) {
        const node *k = &t->nodes[i];
        if (k->depth < depth) break;
        if (k->byte != (unsigned char)p[depth]) {
            i = k->skip;
            continue;
        }
        if (k->n > 0) best = t->ids[k->first], *used = depth + 1;
        depth++;
        i++;
    }
    return best;
}

/* A way to the end from `from`, the shortest text cut greedily into tokens: at most `most` of them, or else *found is false. */
static sn_status find_way(txt_matcher *m, uint32_t from, size_t most, txt_ids *ids, bool *found, sn_err *err)
{
    char *text = NULL;
    size_t n = 0, cap = 0;
    unsigned char b;
    sn_status st = SN_OK;
    *found = true;
    ids->n = 0;
    while (st == SN_OK && automaton_shortest(&m->a, from, &b)) {
        st = sn_grow((void **)&text, &cap, n + 1, 1, err);
        if (st == SN_OK) text[n++] = (char)b;
        if (st == SN_OK) st = automaton_step(&m->a, from, b, &from, err);
    }
    for (size_t i = 0, used = 0; st == SN_OK && *found && i < n; i += used) {
        const txt_id id = longest_token(m->trie, text + i, n - i, &used);
        *found = id != TXT_NO_ID && ids->n < most;
        if (*found) st = txt_ids_push(ids, id, err);
    }
    for (size_t i = 0; i < ids->n / 2; i++) {
        const txt_id swap = ids->ids[i];
        ids->ids[i] = ids->ids[ids->n - 1 - i];
        ids->ids[ids->n - 1 - i] = swap;
    }
    sn_free(text);
    return st;
}

/* The state behind a token. */
static sn_status after(txt_matcher *m, txt_id id, uint32_t *to, sn_err *err)
{
    char buf[TXT_MAX_TOKEN_BYTES];
    const size_t n = txt_piece(m->trie->vocab, id, false, buf, sizeof buf);
    return walk(m, m->at, buf, n, to, err);
}

static sn_status take(txt_matcher *m, txt_id id, sn_err *err)
{
    char buf[TXT_MAX_TOKEN_BYTES];
    bool fits = false;
    const size_t n = txt_piece(m->trie->vocab, id, false, buf, sizeof buf);
    sn_status st = txt_matcher_accept(m, buf, n, &fits, err);
    return st == SN_OK && !fits ? sn_fail(err, SN_EFORMAT, "the grammar and the vocabulary do not fit") : st;
}

/* scratch = logits, where the mask allows them; false: nowhere. */
static bool apply(const uint64_t *mask, const float *logits, float *scratch, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const bool good = mask[i >> 6] >> (i & 63) & 1;
        scratch[i] = good ? (logits[i] > -INFINITY ? logits[i] : -1e30f) : -INFINITY; /* NaN too becomes a number */
        any |= good;
    }
    return any;
}

/* Whether the answer can be ended within `left` tokens after `id`: sure by its bytes, or else by a way that is kept in *way. */
static sn_status can_end(txt_matcher *m, txt_id id, size_t left, txt_ids *way, bool *kept, bool *good, sn_err *err)
{
    uint32_t to;
    sn_status st = after(m, id, &to, err);
    *kept = false;
    *good = st == SN_OK && to != STATE_DEAD && m->a.states[to].cost <= left; /* a byte takes a token at most */
    if (st != SN_OK || *good || to == STATE_DEAD) return st;
    st = find_way(m, to, left, way, good, err);
    *kept = *good;
    return st;
}

/* A way to the end from where it stands is in m->plan, or *found is false. */
static sn_status make_plan(txt_matcher *m, size_t left, sn_err *err)
{
    return m->planned ? SN_OK : find_way(m, m->at, left, &m->plan, &m->planned, err);
}

typedef struct {
    txt_matcher *m;
    sn_status st;
    sn_err *err;
} asking;

static bool is_allowed(void *user, txt_id id)
{
    asking *a = user;
    const txt_vocab *v = a->m->trie->vocab;
    char buf[TXT_MAX_TOKEN_BYTES];
    uint32_t to = STATE_DEAD;
    if (txt_vocab_is_end(v, id)) return txt_matcher_may_end(a->m);
    const size_t n = txt_vocab_is_control(v, id) ? 0 : txt_piece(v, id, false, buf, sizeof buf);
    if (n > 0 && n <= sizeof buf && a->st == SN_OK) a->st = walk(a->m, a->m->at, buf, n, &to, a->err);
    return a->st == SN_OK && to != STATE_DEAD;
}

/* The sampler's choices, until one can be ended in time; the first among the likeliest, without looking at all tokens: where a string may
 * go on, most of a vocabulary is allowed, and to know it all takes longer than it is worth. *id is TXT_NO_ID for an end. */
static sn_status try_tokens(txt_matcher *m, txt_sampler *s, const float *logits, float *scratch, size_t left, txt_ids *way, bool *kept,
                            txt_id *id, bool *good, sn_err *err)
{
    const size_t n_vocab = txt_vocab_n(m->trie->vocab);
    const uint64_t *mask = NULL;
    float *trial = scratch + n_vocab;
    asking a = {m, SN_OK, err};
    memcpy(trial, logits, n_vocab * sizeof *trial);
    bool few = txt_sampler_next_few(s, trial, is_allowed, &a, id);
    sn_status st = a.st;
    for (size_t i = 0; st == SN_OK && !*good && i < TRIES; i++) {
        if (!few && mask == NULL) {
            st = mask_of(m, &mask, err);
            if (st != SN_OK || !apply(mask, logits, scratch, n_vocab)) return st;
            if (i > 0) scratch[*id] = -INFINITY;
        }
        if (!few) {
            memcpy(trial, scratch, n_vocab * sizeof *trial);
            *id = txt_sampler_next(s, trial);
            if ((mask[*id >> 6] >> (*id & 63) & 1) == 0 || scratch[*id] == -INFINITY) return SN_OK;
        }
        if (txt_vocab_is_end(m->trie->vocab, *id)) {
            *id = TXT_NO_ID;
            *good = true;
            return SN_OK;
        }
        st = can_end(m, *id, left - 1, way, kept, good, err);
        if (!*good && !few) scratch[*id] = -INFINITY;
        few = false;
    }
    return st;
}

sn_status txt_matcher_next(txt_matcher *m, txt_sampler *s, const float *logits, float *scratch, size_t left, txt_id *id, sn_err *err)
{
    txt_ids way = {0};
    bool kept = false, good = false;
    sn_status st = renew(m, err);
    *id = TXT_NO_ID;
    if (st == SN_OK && left == 0 && !txt_matcher_may_end(m)) st = sn_fail(err, SN_ELIMIT, "no room is left for an answer of the grammar");
    if (st == SN_OK && m->a.states[m->at].cost > left) {
        st = make_plan(m, left, err);
        if (st == SN_OK && !m->planned)
            st = sn_fail(err, SN_ELIMIT, "the shortest answer of the grammar takes more than the %zu tokens allowed", left);
    }
    if (st == SN_OK && left > 0) st = try_tokens(m, s, logits, scratch, left, &way, &kept, id, &good, err);
    if (st == SN_OK && good && *id == TXT_NO_ID) {
        txt_ids_free(&way);
        return SN_OK;
    }
    if (st == SN_OK && !good) {
        st = make_plan(m, left, err);
        if (st == SN_OK && !m->planned) st = sn_fail(err, SN_EFORMAT, "the vocabulary has no tokens for what the grammar asks for");
        if (st == SN_OK) *id = m->plan.n > 0 ? m->plan.ids[--m->plan.n] : TXT_NO_ID; /* the way out: its first token, if any is left */
    } else if (st == SN_OK) {
        const txt_ids old = m->plan;
        m->plan = way;
        way = old;
        m->planned = kept;
    }
    txt_ids_free(&way);
    if (st != SN_OK || *id == TXT_NO_ID) return st;
    txt_sampler_accept(s, *id);
    return take(m, *id, err);
}
