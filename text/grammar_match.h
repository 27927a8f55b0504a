/* grammar_match.h: the states of a grammar as an automaton on bytes that is built while it is used. Private to text/. */
#ifndef TEXT_GRAMMAR_MATCH_H
#define TEXT_GRAMMAR_MATCH_H

#include "grammar_internal.h"

#define STATE_DEAD 0u
#define STATE_UNKNOWN UINT32_MAX

typedef struct {        /* a place in the grammar and what follows when its alternative is over: a stack with shared tails */
    uint32_t at, below; /* symbol; frame. Frame 0: the end of the text */
    uint32_t cost;      /* bytes of the shortest text from here to the end */
    uint32_t next;      /* in its hash chain */
    uint32_t turn;      /* of the step that met it last */
} frame;

typedef struct {
    uint32_t first, n; /* heads[first .. first + n), sorted: frames that wait for a byte; frame 0 among them: the text may end */
    uint32_t cost, next;
    uint32_t *to;   /* [256], NULL until needed: the state behind each byte */
    uint64_t *mask; /* [n_vocab / 64 + 1], NULL until needed: the tokens allowed */
} state;

typedef struct {
    const txt_grammar *g;
    frame *frames;
    size_t n_frames, cap_frames;
    state *states; /* 0: dead */
    size_t n_states, cap_states;
    uint32_t *heads;
    size_t n_heads, cap_heads;
    uint32_t *frame_slots, *state_slots;
    uint32_t turn;
    uint32_t *todo, *found; /* scratch of a step */
    size_t n_todo, n_found, n_masks;
} automaton;

sn_status automaton_open(automaton *a, const txt_grammar *g, sn_err *err);
void automaton_close(automaton *a);
void automaton_clear(automaton *a); /* forgets all states */
/* The state before the first byte. SN_ELIMIT: too many states or stacks. */
sn_status automaton_start(automaton *a, uint32_t *out, sn_err *err);
sn_status automaton_step(automaton *a, uint32_t from, unsigned char b, uint32_t *to, sn_err *err);
bool automaton_may_end(const automaton *a, uint32_t s);
/* The first byte of the shortest text from s; false at the end of it. */
bool automaton_shortest(const automaton *a, uint32_t s, unsigned char *b);

#endif
