/* grammar_internal.h: a grammar as its parser leaves it and its matcher reads it. Private to text/. */
#ifndef TEXT_GRAMMAR_INTERNAL_H
#define TEXT_GRAMMAR_INTERNAL_H

#include "../core/mem.h"
#include "text.h"

#define GRAMMAR_NEVER UINT32_MAX /* a cost: it cannot end */

/* A symbol is its kind in the upper two bits, an index in the others. */
typedef uint32_t grammar_symbol;
#define SYMBOL_END 0u          /* of an alternative */
#define SYMBOL_SET (1u << 30)  /* one byte of sets[index] */
#define SYMBOL_RULE (2u << 30) /* rules[index] */
#define SYMBOL_KIND (3u << 30)
#define SYMBOL_INDEX (~SYMBOL_KIND)

typedef struct {
    uint64_t bits[4]; /* bit b: the byte b */
} byte_set;

typedef struct {
    char *name;          /* NULL: made for a group, a repetition or a class */
    uint32_t begin, end; /* symbols[begin .. end): its alternatives, each closed by SYMBOL_END; both 0: not defined */
    size_t line;         /* where it is defined, or else first used */
    uint32_t next;       /* named so that it has the same hash: rule + 1; 0: none */
    uint32_t cost;       /* bytes of the shortest text of it */
} grammar_rule;

struct txt_grammar {
    grammar_symbol *symbols;
    uint32_t *rest; /* [n_symbols]: bytes of the shortest text from here to the end of the alternative */
    size_t n_symbols, cap_symbols;
    grammar_rule *rules;
    size_t n_rules, cap_rules;
    byte_set *sets; /* the first 256: one byte each */
    size_t n_sets, cap_sets;
    uint32_t root;
};

typedef struct { /* the alternatives of a rule that is being read */
    grammar_symbol *at;
    size_t n, cap;
} symbol_list;

typedef struct {
    uint32_t low, high; /* code points, both included */
} code_range;

sn_status grammar_push(symbol_list *l, grammar_symbol s, sn_err *err);
/* A rule without a name. */
sn_status grammar_add_rule(txt_grammar *g, size_t line, uint32_t *index, sn_err *err);
/* Moves the alternatives of l into the rule. */
sn_status grammar_define(txt_grammar *g, uint32_t rule, const symbol_list *l, sn_err *err);
sn_status grammar_add_set(txt_grammar *g, const byte_set *set, grammar_symbol *out, sn_err *err);
/* The symbol for one character of ranges[n] (of any other one with `negated`), as its UTF-8 bytes. Sorts ranges. */
sn_status grammar_class(txt_grammar *g, code_range *ranges, size_t n, bool negated, size_t line, grammar_symbol *out, sn_err *err);
/* Costs; refuses what is undefined, can never end or is left-recursive. */
sn_status grammar_check(txt_grammar *g, sn_err *err);

static inline bool byte_set_has(const byte_set *s, unsigned char b)
{
    return s->bits[b >> 6] >> (b & 63) & 1;
}
static inline uint32_t grammar_cost_add(uint32_t a, uint32_t b)
{
    return a > GRAMMAR_NEVER - b ? GRAMMAR_NEVER : a + b;
}

#endif
