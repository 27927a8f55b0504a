/* grammar_match.c: a grammar as a pushdown automaton on bytes. A state is the set of stacks that the text read so far allows; states
 * and stacks are kept once each, and the steps between states are remembered, so that a step seen before costs one look-up. */
#include "grammar_match.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS ((size_t)1 << 16)
#define FRAMES_MAX ((size_t)1 << 20)
#define STATES_MAX ((size_t)1 << 15)
#define HEADS_MAX ((size_t)1 << 22)
#define STEP_MAX ((size_t)1 << 15) /* frames met in one step */

sn_status automaton_open(automaton *a, const txt_grammar *g, sn_err *err)
{
    *a = (automaton){.g = g};
    a->frame_slots = sn_alloc(SLOTS, sizeof *a->frame_slots);
    a->state_slots = sn_alloc(SLOTS, sizeof *a->state_slots);
    a->todo = sn_alloc(STEP_MAX, sizeof *a->todo);
    a->found = sn_alloc(STEP_MAX, sizeof *a->found);
    sn_status st = a->frame_slots && a->state_slots && a->todo && a->found ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
    if (st == SN_OK) st = sn_grow((void **)&a->frames, &a->cap_frames, 64, sizeof *a->frames, err);
    if (st == SN_OK) st = sn_grow((void **)&a->states, &a->cap_states, 64, sizeof *a->states, err);
    if (st == SN_OK) automaton_clear(a);
    return st;
}

void automaton_clear(automaton *a)
{
    for (size_t i = 0; i < a->n_states; i++) {
        sn_free(a->states[i].to);
        sn_free(a->states[i].mask);
    }
    memset(a->frame_slots, 0, SLOTS * sizeof *a->frame_slots);
    memset(a->state_slots, 0, SLOTS * sizeof *a->state_slots);
    a->frames[0] = (frame){0};
    a->states[0] = (state){.cost = GRAMMAR_NEVER};
    a->n_frames = a->n_states = 1;
    a->n_heads = a->n_masks = 0;
}

void automaton_close(automaton *a)
{
    for (size_t i = 0; i < a->n_states; i++) {
        sn_free(a->states[i].to);
        sn_free(a->states[i].mask);
    }
    sn_free(a->frames);
    sn_free(a->states);
    sn_free(a->heads);
    sn_free(a->frame_slots);
    sn_free(a->state_slots);
    sn_free(a->todo);
    sn_free(a->found);
}

static sn_status too_much(sn_err *err)
{
    return sn_fail(err, SN_ELIMIT, "grammar: too ambiguous");
}

static size_t mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    return (size_t)(x >> 48) & (SLOTS - 1);
}

/* The frame (at, below). */
static sn_status intern_frame(automaton *a, uint32_t at, uint32_t below, uint32_t *out, sn_err *err)
{
    uint32_t *slot = &a->frame_slots[mix((uint64_t)at << 32 | below)];
    for (*out = *slot; *out != 0; *out = a->frames[*out].next)
        if (a->frames[*out].at == at && a->frames[*out].below == below) return SN_OK;
    if (a->n_frames >= FRAMES_MAX) return too_much(err);
    sn_status st = sn_grow((void **)&a->frames, &a->cap_frames, a->n_frames + 1, sizeof *a->frames, err);
    if (st != SN_OK) return st;
    *out = (uint32_t)a->n_frames++;
    a->frames[*out] = (frame){.at = at, .below = below, .next = *slot};
    a->frames[*out].cost = grammar_cost_add(a->g->rest[at], a->frames[below].cost);
    *slot = *out;
    return SN_OK;
}

/* Notes a frame for this step, once. What can never end is left out: no text leads on from there. */
static sn_status meet(automaton *a, uint32_t f, sn_err *err)
{
    if (a->frames[f].turn == a->turn || a->frames[f].cost == GRAMMAR_NEVER) return SN_OK;
    if (a->n_todo == STEP_MAX) return too_much(err);
    a->frames[f].turn = a->turn;
    a->todo[a->n_todo++] = f;
    return SN_OK;
}

/* The alternatives of a rule, above what follows it (a rule that comes last needs no frame of its own: loops stay flat). */
static sn_status enter(automaton *a, uint32_t rule, uint32_t at, uint32_t below, sn_err *err)
{
    const grammar_rule *r = &a->g->rules[rule];
    uint32_t under = below, f = 0;
    sn_status st = a->g->symbols[at + 1] == SYMBOL_END ? SN_OK : intern_frame(a, at + 1, below, &under, err);
    for (uint32_t i = r->begin; i < r->end && st == SN_OK; i++) {
        st = intern_frame(a, i, under, &f, err);
        if (st == SN_OK) st = meet(a, f, err);
        while (a->g->symbols[i] != SYMBOL_END) i++;
    }
    return st;
}

static int by_number(const void *x, const void *y)
{
    const uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

/* The state whose heads are found[n_found]. */
static sn_status intern_state(automaton *a, uint32_t *out, sn_err *err)
{
    uint64_t hash = a->n_found;
    uint32_t cost = GRAMMAR_NEVER;
    *out = STATE_DEAD;
    if (a->n_found == 0) return SN_OK;
    qsort(a->found, a->n_found, sizeof *a->found, by_number);
    for (size_t i = 0; i < a->n_found; i++) {
        hash = (hash ^ a->found[i]) * 0x100000001B3u;
        if (a->frames[a->found[i]].cost < cost) cost = a->frames[a->found[i]].cost;
    }
    uint32_t *slot = &a->state_slots[mix(hash)];
    for (*out = *slot; *out != 0; *out = a->states[*out].next) {
        const state *s = &a->states[*out];
        if (s->n == a->n_found && memcmp(a->heads + s->first, a->found, s->n * sizeof *a->found) == 0) return SN_OK;
    }
    if (a->n_states >= STATES_MAX || a->n_heads + a->n_found > HEADS_MAX) return too_much(err);
    sn_status st = sn_grow((void **)&a->states, &a->cap_states, a->n_states + 1, sizeof *a->states, err);
    if (st == SN_OK) st = sn_grow((void **)&a->heads, &a->cap_heads, a->n_heads + a->n_found, sizeof *a->heads, err);
    if (st != SN_OK) return st;
    memcpy(a->heads + a->n_heads, a->found, a->n_found * sizeof *a->found);
    *out = (uint32_t)a->n_states++;
    a->states[*out] = (state){.first = (uint32_t)a->n_heads, .n = (uint32_t)a->n_found, .cost = cost, .next = *slot};
    a->n_heads += a->n_found;
    *slot = *out;
    return SN_OK;
}

/* From the frames in todo to those that wait for a byte. */
static sn_status settle(automaton *a, uint32_t *out, sn_err *err)
{
    sn_status st = SN_OK;
    a->n_found = 0;
    for (size_t i = 0; i < a->n_todo && st == SN_OK; i++) {
        const uint32_t id = a->todo[i], at = a->frames[id].at, below = a->frames[id].below;
        const grammar_symbol s = a->g->symbols[at];
        if (id == 0 || (s & SYMBOL_KIND) == SYMBOL_SET)
            a->found[a->n_found++] = id;
        else if (s == SYMBOL_END)
            st = meet(a, below, err);
        else
            st = enter(a, s & SYMBOL_INDEX, at, below, err);
    }
    return st == SN_OK ? intern_state(a, out, err) : st;
}

static void begin_step(automaton *a)
{
    a->n_todo = 0;
    if (++a->turn != 0) return;
    for (size_t i = 0; i < a->n_frames; i++) a->frames[i].turn = 0;
    a->turn = 1;
}

sn_status automaton_start(automaton *a, uint32_t *out, sn_err *err)
{
    const grammar_rule *r = &a->g->rules[a->g->root];
    sn_status st = SN_OK;
    begin_step(a);
    for (uint32_t i = r->begin, f = 0; i < r->end && st == SN_OK; i++) {
        st = intern_frame(a, i, 0, &f, err);
        if (st == SN_OK) st = meet(a, f, err);
        while (a->g->symbols[i] != SYMBOL_END) i++;
    }
    return st == SN_OK ? settle(a, out, err) : st;
}

sn_status automaton_step(automaton *a, uint32_t from, unsigned char b, uint32_t *to, sn_err *err)
{
    if (a->states[from].to == NULL) {
        uint32_t *row = sn_alloc(256, sizeof *row);
        if (row == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
        for (size_t i = 0; i < 256; i++) row[i] = STATE_UNKNOWN;
        a->states[from].to = row;
    }
    *to = a->states[from].to[b];
    if (*to != STATE_UNKNOWN) return SN_OK;
    sn_status st = SN_OK;
    begin_step(a);
    for (uint32_t i = 0; i < a->states[from].n && st == SN_OK; i++) {
        const uint32_t id = a->heads[a->states[from].first + i];
        uint32_t f = 0;
        if (id == 0 || !byte_set_has(&a->g->sets[a->g->symbols[a->frames[id].at] & SYMBOL_INDEX], b)) continue;
        st = intern_frame(a, a->frames[id].at + 1, a->frames[id].below, &f, err);
        if (st == SN_OK) st = meet(a, f, err);
    }
    if (st == SN_OK) st = settle(a, to, err);
    if (st == SN_OK) a->states[from].to[b] = *to;
    return st;
}

bool automaton_may_end(const automaton *a, uint32_t s)
{
    return a->states[s].n > 0 && a->heads[a->states[s].first] == 0;
}

bool automaton_shortest(const automaton *a, uint32_t s, unsigned char *b)
{
    static const unsigned char first[] = {'a', '0', ' ', 0}; /* where several bytes will do: what reads best */
    const state *at = &a->states[s];
    for (uint32_t i = 0; i < at->n; i++) {
        const uint32_t id = a->heads[at->first + i];
        if (a->frames[id].cost != at->cost || id == 0) continue;
        const byte_set *set = &a->g->sets[a->g->symbols[a->frames[id].at] & SYMBOL_INDEX];
        for (size_t k = 0; k < sizeof first; k++)
            for (unsigned c = first[k]; c < 256; c++)
                if (byte_set_has(set, (unsigned char)c)) return *b = (unsigned char)c, at->cost > 0;
    }
    return false;
}
