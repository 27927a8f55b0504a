/* json_schema_number.c: numbers within bounds as GBNF: digit by digit, since a grammar cannot count. */
#include "json_schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 18                /* of a whole number without bounds */
#define WHOLE_BOUND 9007199254740992 /* 2^53: beyond it JSON's numbers are not exact */
#define NUMBER_BOUND 1000000000      /* with six decimals exact as a double */

/* The digits that stand for low[n] .. high[n], of the same length. */
static sn_status put_digits(schema_writer *w, schema_text *t, const char *low, const char *high, size_t n)
{
    sn_status st = SN_OK;
    if (n == 0) return SN_OK;
    if (strspn(low, "0") >= n && strspn(high, "9") >= n) return schema_put(w, t, n == 1 ? " [0-9]" : " [0-9]{%zu}", n);
    if (low[0] == high[0] || n == 1) {
        st = low[0] == high[0] ? schema_put(w, t, " \"%c\"", low[0]) : schema_put(w, t, " [%c-%c]", low[0], high[0]);
        return st == SN_OK ? put_digits(w, t, low + 1, high + 1, n - 1) : st;
    }
    static const char nines[] = "9999999999999999999", zeros[] = "0000000000000000000";
    const bool low_whole = strspn(low + 1, "0") >= n - 1, high_whole = strspn(high + 1, "9") >= n - 1;
    const char from = (char)(low[0] + !low_whole), to = (char)(high[0] - !high_whole);
    const char *between = "";
    st = schema_put(w, t, " (");
    if (st == SN_OK && !low_whole) {
        st = schema_put(w, t, "\"%c\"", low[0]);
        if (st == SN_OK) st = put_digits(w, t, low + 1, nines, n - 1);
        between = " | ";
    }
    if (st == SN_OK && from <= to) {
        st = schema_put(w, t, "%s[%c-%c] [0-9]{%zu}", between, from, to, n - 1);
        between = " | ";
    }
    if (st == SN_OK && !high_whole) {
        st = schema_put(w, t, "%s\"%c\"", between, high[0]);
        if (st == SN_OK) st = put_digits(w, t, zeros, high + 1, n - 1);
    }
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

/* low .. high, 0 <= low <= high, as alternatives without brackets. */
static sn_status put_range(schema_writer *w, schema_text *t, long long from, long long to)
{
    sn_status st = SN_OK;
    unsigned long long low = (unsigned long long)from, high = (unsigned long long)to, end = 9; /* the largest number of so many digits */
    for (bool first = true; st == SN_OK && low <= high; end = end * 10 + 9) {
        if (low > end) continue;
        char a[24], b[24];
        snprintf(a, sizeof a, "%llu", low);
        const int n = snprintf(b, sizeof b, "%llu", high < end ? high : end);
        if (!first) st = schema_put(w, t, " |");
        if (st == SN_OK) st = put_digits(w, t, a, b, (size_t)n);
        first = false;
        low = end + 1;
    }
    return st;
}

typedef struct {
    double low, high;       /* -INFINITY, INFINITY: none */
    bool low_out, high_out; /* the bound itself is none of them */
} bounds;

static sn_status read_bounds(schema_writer *w, const cJSON *s, double limit, bounds *b, const char **key)
{
    static const char *const keys[] = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
    *b = (bounds){.low = -INFINITY, .high = INFINITY};
    *key = NULL;
    for (size_t i = 0; i < 4; i++) {
        const cJSON *v = schema_get(s, keys[i]);
        if (v == NULL) continue;
        *key = keys[i];
        if (!cJSON_IsNumber(v) || !(fabs(v->valuedouble) <= limit))
            return schema_refuse(w, keys[i],
                                 limit == NUMBER_BOUND ? "want a number within a thousand millions" : "want a number within 2^53");
        const double x = v->valuedouble;
        const bool out = i % 2;
        if (i < 2 && (x > b->low || (x == b->low && out))) b->low = x, b->low_out = out;
        if (i >= 2 && (x < b->high || (x == b->high && out))) b->high = x, b->high_out = out;
    }
    return SN_OK;
}

sn_status schema_put_integer(schema_writer *w, schema_text *t, const cJSON *s)
{
    bounds b;
    const char *key;
    long long low = -999999999999999999, high = 999999999999999999; /* DIGITS_MAX nines */
    sn_status st = read_bounds(w, s, WHOLE_BOUND, &b, &key);
    if (st != SN_OK || key == NULL) return st == SN_OK ? schema_put(w, t, "integer") : st;
    if (b.low > -INFINITY) low = (long long)ceil(b.low) + (b.low_out && ceil(b.low) == b.low);
    if (b.high < INFINITY) high = (long long)floor(b.high) - (b.high_out && floor(b.high) == b.high);
    if (low > high) return schema_refuse(w, key, "no whole number lies between the bounds");
    st = schema_put(w, t, "(");
    if (st == SN_OK && low < 0) {
        st = schema_put(w, t, "\"-\" (");
        if (st == SN_OK) st = put_range(w, t, high < 0 ? -high : 1, -low);
        if (st == SN_OK) st = schema_put(w, t, high < 0 ? ")" : ") | ");
    }
    if (st == SN_OK && high >= 0) st = put_range(w, t, low < 0 ? 0 : low, high);
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

/* Magnitudes from low to high, whole numbers, without what is left out, with up to six decimals; put in brackets. */
static sn_status put_magnitudes(schema_writer *w, schema_text *t, long long low, long long high, bool low_out, bool high_out)
{
    sn_status st = schema_put(w, t, "(");
    const char *between = "";
    if (st == SN_OK && low_out && low < high) {
        st = schema_put(w, t, "\"%lld\" \".\" [0-9]{0,5} [1-9]", low);
        between = " | ";
    }
    if (st == SN_OK && low + low_out < high) {
        st = schema_put(w, t, "%s(", between);
        if (st == SN_OK) st = put_range(w, t, low + low_out, high - 1);
        if (st == SN_OK) st = schema_put(w, t, ") (\".\" [0-9]{1,6})?");
        between = " | ";
    }
    if (st == SN_OK && !high_out && (low < high || !low_out)) st = schema_put(w, t, "%s\"%lld\" (\".\" \"0\"{1,6})?", between, high);
    return st == SN_OK ? schema_put(w, t, ")") : st;
}

sn_status schema_put_number(schema_writer *w, schema_text *t, const cJSON *s)
{
    bounds b;
    const char *key;
    sn_status st = read_bounds(w, s, NUMBER_BOUND, &b, &key);
    if (st != SN_OK || key == NULL) return st == SN_OK ? schema_put(w, t, "number") : st;
    const double low = b.low > -INFINITY ? b.low : -NUMBER_BOUND, high = b.high < INFINITY ? b.high : NUMBER_BOUND;
    if (low != floor(low) || high != floor(high)) return schema_refuse(w, key, "of numbers only whole bounds are supported");
    if (low > high || (low == high && (b.low_out || b.high_out))) return schema_refuse(w, key, "no number lies between the bounds");
    const bool below = low<0, above = high> 0 || (high == 0 && !b.high_out);
    st = schema_put(w, t, "(");
    if (st == SN_OK && below) {
        st = schema_put(w, t, "\"-\" ");
        /* 0 stands on the other side, if at all */
        if (st == SN_OK)
            st = put_magnitudes(w, t, high < 0 ? (long long)-high : 0, (long long)-low, high < 0 ? b.high_out : true, b.low_out);
        if (st == SN_OK && above) st = schema_put(w, t, " | ");
    }
    if (st == SN_OK && above) st = put_magnitudes(w, t, below ? 0 : (long long)low, (long long)high, below ? false : b.low_out, b.high_out);
    return st == SN_OK ? schema_put(w, t, ")") : st;
}
