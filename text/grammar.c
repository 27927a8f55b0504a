/* grammar.c: the parts of a grammar: rules, sets of bytes, classes of characters; and what makes one unfit. */
#include "grammar_internal.h"

#include <stdlib.h>
#include <string.h>

#define SYMBOLS_MAX ((size_t)1 << 18)
#define RULES_MAX ((size_t)1 << 17)
#define SETS_MAX 4096
#define WORK_MAX ((size_t)1 << 27) /* symbols looked at until the costs stand */
#define LAST_CODE 0x10FFFFu

sn_status grammar_push(symbol_list *l, grammar_symbol s, sn_err *err)
{
    if (l->n >= SYMBOLS_MAX) return sn_fail(err, SN_ELIMIT, "the grammar is too large");
    sn_status st = sn_grow((void **)&l->at, &l->cap, l->n + 1, sizeof *l->at, err);
    if (st == SN_OK) l->at[l->n++] = s;
    return st;
}

sn_status grammar_add_rule(txt_grammar *g, size_t line, uint32_t *index, sn_err *err)
{
    if (g->n_rules >= RULES_MAX) return sn_fail(err, SN_ELIMIT, "line %zu: the grammar is too large", line);
    sn_status st = sn_grow((void **)&g->rules, &g->cap_rules, g->n_rules + 1, sizeof *g->rules, err);
    if (st != SN_OK) return st;
    *index = (uint32_t)g->n_rules;
    g->rules[g->n_rules++] = (grammar_rule){.line = line, .cost = GRAMMAR_NEVER};
    return SN_OK;
}

sn_status grammar_define(txt_grammar *g, uint32_t rule, const symbol_list *l, sn_err *err)
{
    if (g->n_symbols + l->n > SYMBOLS_MAX) return sn_fail(err, SN_ELIMIT, "line %zu: the grammar is too large", g->rules[rule].line);
    sn_status st = sn_grow((void **)&g->symbols, &g->cap_symbols, g->n_symbols + l->n, sizeof *g->symbols, err);
    if (st != SN_OK) return st;
    memcpy(g->symbols + g->n_symbols, l->at, l->n * sizeof *l->at);
    g->rules[rule].begin = (uint32_t)g->n_symbols;
    g->n_symbols += l->n;
    g->rules[rule].end = (uint32_t)g->n_symbols;
    return SN_OK;
}

sn_status grammar_add_set(txt_grammar *g, const byte_set *set, grammar_symbol *out, sn_err *err)
{
    for (size_t i = 0; i < g->n_sets; i++) {
        if (memcmp(&g->sets[i], set, sizeof *set) != 0) continue;
        *out = SYMBOL_SET | (uint32_t)i;
        return SN_OK;
    }
    if (g->n_sets >= SETS_MAX) return sn_fail(err, SN_ELIMIT, "the grammar has too many classes of characters");
    sn_status st = sn_grow((void **)&g->sets, &g->cap_sets, g->n_sets + 1, sizeof *g->sets, err);
    if (st != SN_OK) return st;
    *out = SYMBOL_SET | (uint32_t)g->n_sets;
    g->sets[g->n_sets++] = *set;
    return SN_OK;
}

/* ---- classes of characters ---- */

static void set_range(byte_set *s, unsigned low, unsigned high)
{
    for (unsigned b = low; b <= high; b++) s->bits[b >> 6] |= UINT64_C(1) << (b & 63);
}

static size_t encode(uint32_t c, unsigned char out[4])
{
    if (c < 0x80) return out[0] = (unsigned char)c, 1;
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3F));
    out[0] = (unsigned char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
    return n;
}

/* Appends to l the code points low .. high (above ASCII) as alternatives of byte ranges: the range is cut until all its characters
 * have the same length, and each byte below the first that differs takes all its values. */
static sn_status add_multibyte(txt_grammar *g, symbol_list *l, uint32_t low, uint32_t high, sn_err *err)
{
    static const uint32_t last[] = {0x7FF, 0xFFFF};
    sn_status st = SN_OK;
    uint32_t cut = high; /* the part up to here first, then the others */
    for (size_t i = 0; i < 2; i++)
        if (low <= last[i] && high > last[i] && cut > last[i]) cut = last[i];
    for (unsigned i = 1; i < 4 && cut == high; i++) {
        const uint32_t mask = (1u << (6 * i)) - 1;
        if ((low & ~mask) == (high & ~mask)) break;
        if ((low & mask) != 0)
            cut = low | mask;
        else if ((high & mask) != mask)
            cut = (high & ~mask) - 1;
    }
    if (cut != high) {
        st = add_multibyte(g, l, low, cut, err);
        return st == SN_OK ? add_multibyte(g, l, cut + 1, high, err) : st;
    }
    unsigned char a[4] = {0}, b[4] = {0};
    const size_t n = encode(low, a);
    encode(high, b);
    for (size_t i = 0; i < n && st == SN_OK; i++) {
        byte_set set = {{0}};
        grammar_symbol s = 0;
        set_range(&set, a[i], b[i]);
        st = grammar_add_set(g, &set, &s, err);
        if (st == SN_OK) st = grammar_push(l, s, err);
    }
    return st == SN_OK ? grammar_push(l, SYMBOL_END, err) : st;
}

static int by_low(const void *a, const void *b)
{
    const uint32_t x = ((const code_range *)a)->low, y = ((const code_range *)b)->low;
    return (x > y) - (x < y);
}

/* Appends low .. high, which may be empty, without the surrogates, that UTF-8 does not have: ASCII into *ascii. */
static sn_status add_range(txt_grammar *g, byte_set *ascii, symbol_list *l, uint32_t low, uint32_t high, sn_err *err)
{
    sn_status st = SN_OK;
    if (low > high) return SN_OK;
    if (low < 0x80) {
        set_range(ascii, low, high < 0x7F ? high : 0x7F);
        low = 0x80;
    }
    if (low < 0xD800 && low <= high) st = add_multibyte(g, l, low, high < 0xD7FF ? high : 0xD7FF, err);
    if (low < 0xE000) low = 0xE000;
    if (st == SN_OK && low <= high) st = add_multibyte(g, l, low, high, err);
    return st;
}

sn_status grammar_class(txt_grammar *g, code_range *ranges, size_t n, bool negated, size_t line, grammar_symbol *out, sn_err *err)
{
    byte_set ascii = {{0}};
    symbol_list l = {0};
    uint32_t next = 0; /* the first code point that is not decided */
    sn_status st = SN_OK;
    if (n > 0) qsort(ranges, n, sizeof *ranges, by_low);
    for (size_t i = 0; i < n && st == SN_OK; i++) {
        const uint32_t low = ranges[i].low > next ? ranges[i].low : next;
        if (ranges[i].high < next) continue;
        st = negated ? low > next ? add_range(g, &ascii, &l, next, low - 1, err) : SN_OK
                     : add_range(g, &ascii, &l, low, ranges[i].high, err);
        next = ranges[i].high + 1;
    }
    if (st == SN_OK && negated) st = add_range(g, &ascii, &l, next, LAST_CODE, err);
    const bool has_ascii = (ascii.bits[0] | ascii.bits[1]) != 0;
    grammar_symbol plain = 0;
    uint32_t rule = 0;
    if (st == SN_OK && l.n == 0 && !has_ascii) st = sn_fail(err, SN_EFORMAT, "line %zu: a class that no character is in", line);
    if (st == SN_OK && has_ascii) st = grammar_add_set(g, &ascii, &plain, err);
    if (st == SN_OK && l.n == 0) {
        *out = plain;
    } else if (st == SN_OK) {
        if (has_ascii) st = grammar_push(&l, plain, err);
        if (st == SN_OK && has_ascii) st = grammar_push(&l, SYMBOL_END, err);
        if (st == SN_OK) st = grammar_add_rule(g, line, &rule, err);
        if (st == SN_OK) st = grammar_define(g, rule, &l, err);
        *out = SYMBOL_RULE | rule;
    }
    sn_free(l.at);
    return st;
}

/* ---- checks ---- */

static bool update_cost(txt_grammar *g, grammar_rule *r)
{
    uint32_t best = GRAMMAR_NEVER, rest = 0;
    for (uint32_t i = r->end; i-- > r->begin;) {
        const grammar_symbol s = g->symbols[i];
        if (s == SYMBOL_END) {
            if (i + 1 < r->end && rest < best) best = rest;
            rest = 0;
        } else {
            rest = grammar_cost_add(rest, (s & SYMBOL_KIND) == SYMBOL_SET ? 1 : g->rules[s & SYMBOL_INDEX].cost);
        }
        g->rest[i] = rest;
    }
    if (rest < best) best = rest;
    const bool better = best < r->cost;
    r->cost = best;
    return better;
}

/* The shortest text of each rule: from "never" downwards, until nothing changes. Both directions in turn, so that long chains of
 * rules settle quickly. */
static sn_status find_costs(txt_grammar *g, sn_err *err)
{
    size_t work = 0;
    for (bool changed = true, forward = false; changed; forward = !forward) {
        changed = false;
        work += g->n_symbols + g->n_rules;
        if (work > WORK_MAX) return sn_fail(err, SN_ELIMIT, "the grammar is too entangled");
        for (size_t i = 0; i < g->n_rules; i++) changed |= update_cost(g, &g->rules[forward ? i : g->n_rules - 1 - i]);
    }
    return SN_OK;
}

/* A rule on the search for loops among what can stand first (Tarjan, Depth-first search and linear graph algorithms, 1972). */
typedef struct {
    uint32_t at;         /* symbol that is looked at next */
    uint32_t order, low; /* when it was met, from 1; the earliest one open that it leads to */
    uint32_t loop;       /* the same for the rules of one loop; 0: not known yet */
} visit;

/* The next rule that can stand first in `rule`, from *at on. *grows: something of the alternative stands behind it. */
static bool next_first(const txt_grammar *g, uint32_t rule, uint32_t *at, uint32_t *to, bool *grows)
{
    while (*at < g->rules[rule].end) {
        const grammar_symbol s = g->symbols[(*at)++];
        if (s == SYMBOL_END) continue;
        const bool is_rule = (s & SYMBOL_KIND) == SYMBOL_RULE;
        *to = s & SYMBOL_INDEX;
        *grows = g->symbols[*at] != SYMBOL_END;
        if (!is_rule || g->rules[*to].cost > 0)
            while (g->symbols[*at - 1] != SYMBOL_END) ++*at;
        if (is_rule) return true;
    }
    return false;
}

/* The loops that begin at `first`. way, open: scratch [n_rules]. */
static void find_loops(const txt_grammar *g, uint32_t first, visit *of, uint32_t *way, uint32_t *open, size_t *n_open, uint32_t *n_met)
{
    size_t n_way = 0;
    uint32_t to = first;
    bool grows;
    for (bool enters = true;;) {
        if (enters) {
            of[to] = (visit){.at = g->rules[to].begin, .order = ++*n_met, .low = *n_met};
            way[n_way++] = open[(*n_open)++] = to;
        }
        const uint32_t r = way[n_way - 1];
        if (next_first(g, r, &of[r].at, &to, &grows)) {
            enters = of[to].order == 0;
            if (!enters && of[to].loop == 0 && of[to].order < of[r].low) of[r].low = of[to].order;
            continue;
        }
        enters = false;
        for (uint32_t last = r + 1; of[r].low == of[r].order && last != r;) {
            last = open[--*n_open];
            of[last].loop = of[r].order;
        }
        if (--n_way == 0) return;
        if (of[r].low < of[way[n_way - 1]].low) of[way[n_way - 1]].low = of[r].low;
    }
}

/* A loop is endless where something is left to stand behind each time round. One that comes back as the last of an alternative, as
 * in (x*)*, is not: the stack does not grow. */
static sn_status refuse_left_recursion(const txt_grammar *g, visit *of, uint32_t *way, uint32_t *open, sn_err *err)
{
    size_t n_open = 0;
    uint32_t n_met = 0, to;
    bool grows;
    for (uint32_t r = 0; r < g->n_rules; r++)
        if (of[r].order == 0) find_loops(g, r, of, way, open, &n_open, &n_met);
    for (uint32_t r = 0; r < g->n_rules; r++) {
        for (uint32_t at = g->rules[r].begin; next_first(g, r, &at, &to, &grows);) {
            if (!grows || of[r].loop != of[to].loop) continue;
            uint32_t named = r; /* a rule of the loop that its reader knows by name */
            for (uint32_t i = 0; i < g->n_rules && g->rules[named].name == NULL; i++)
                if (of[i].loop == of[r].loop && g->rules[i].name) named = i;
            const char *name = g->rules[named].name;
            return sn_fail(err, SN_EFORMAT, "line %zu: left recursion%s%.60s: a rule that begins with itself", g->rules[named].line,
                           name ? " in rule " : "", name ? name : "");
        }
    }
    return SN_OK;
}

sn_status grammar_check(txt_grammar *g, sn_err *err)
{
    for (size_t i = 0; i < g->n_rules; i++)
        if (g->rules[i].end == 0)
            return sn_fail(err, SN_EFORMAT, "line %zu: rule %.60s is not defined", g->rules[i].line, g->rules[i].name);
    g->rest = sn_calloc(g->n_symbols + 1, sizeof *g->rest);
    visit *of = sn_calloc(g->n_rules + 1, sizeof *of);
    uint32_t *way = sn_alloc(g->n_rules + 1, 2 * sizeof *way);
    sn_status st = g->rest && of && way ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory for a grammar");
    if (st == SN_OK) st = find_costs(g, err);
    if (st == SN_OK && g->rules[g->root].cost == GRAMMAR_NEVER)
        st = sn_fail(err, SN_EFORMAT, "line %zu: rule root can never end", g->rules[g->root].line);
    if (st == SN_OK) st = refuse_left_recursion(g, of, way, way + g->n_rules, err);
    sn_free(of);
    sn_free(way);
    return st;
}

void txt_grammar_close(txt_grammar *g)
{
    if (g == NULL) return;
    for (size_t i = 0; i < g->n_rules; i++) sn_free(g->rules[i].name);
    sn_free(g->rules);
    sn_free(g->symbols);
    sn_free(g->rest);
    sn_free(g->sets);
    sn_free(g);
}
