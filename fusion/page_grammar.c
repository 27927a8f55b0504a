#include "page_grammar.h"

const char *const fus_page_tags[FUS_PAGE_N_TAG] = {"<pad>",    "<bos>",  "<eos>",    "<none>",  "<h1>",     "<h2>",    "<p>",
                                                   "<button>", "<a>",    "<input>",  "<area>",  "<select>", "<check>", "<radio>",
                                                   "<img>",    "<li>",   "<footer>", "<wave>",  "<nav>",    "</nav>",  "<row>",
                                                   "<col>",    "<card>", "</row>",   "<table>", "<tr>",     "<td>",    "</table>"};

static bool is_leaf(unsigned t)
{
    return t >= FUS_PAGE_H1 && t <= FUS_PAGE_FOOTER;
}

static bool is_char(unsigned t)
{
    return t >= FUS_PAGE_SPACE && t <= FUS_PAGE_LAST_CHAR;
}

/* Leaves that may stand without text. */
static bool text_is_optional(unsigned leaf)
{
    return leaf == FUS_PAGE_BUTTON || leaf == FUS_PAGE_INPUT || leaf == FUS_PAGE_AREA || leaf == FUS_PAGE_SELECT || leaf == FUS_PAGE_IMG ||
           leaf == FUS_PAGE_TD;
}

static bool in_leaf(fus_page_state s)
{
    return s.at >= FUS_AT_LEAF && s.at <= FUS_AT_WAVE;
}

bool fus_page_done(fus_page_state s)
{
    return (s.at != FUS_AT_LEAF && s.at != FUS_AT_SPACE) || text_is_optional(s.leaf);
}

static bool takes_tag(fus_page_state s, unsigned t)
{
    switch (s.inside) {
    case FUS_PAGE_NAV: return t == FUS_PAGE_A || (t == FUS_PAGE_NAV_END && in_leaf(s));
    case FUS_PAGE_ROW:
        if (t == FUS_PAGE_COL || t == FUS_PAGE_CARD) return s.at != FUS_AT_PART;
        return s.at != FUS_AT_OPENED && (is_leaf(t) || (t == FUS_PAGE_ROW_END && in_leaf(s)));
    case FUS_PAGE_TABLE:
        if (t == FUS_PAGE_TR) return s.at != FUS_AT_PART;
        return s.at != FUS_AT_OPENED && (t == FUS_PAGE_TD || (t == FUS_PAGE_TABLE_END && in_leaf(s)));
    default: break;
    }
    if (t == FUS_PAGE_NONE) return s.at == FUS_AT_START;
    if (t == FUS_PAGE_EOS) return s.at != FUS_AT_START;
    return is_leaf(t) || t == FUS_PAGE_NAV || t == FUS_PAGE_ROW || t == FUS_PAGE_TABLE;
}

bool fus_page_takes(fus_page_state s, unsigned t)
{
    if (s.at == FUS_AT_END) return false;
    if (s.at == FUS_AT_NONE) return t == FUS_PAGE_EOS;
    if (t == FUS_PAGE_SPACE) return s.at == FUS_AT_WORD;
    if (is_char(t)) return in_leaf(s) && s.at != FUS_AT_WAVE;
    if (t == FUS_PAGE_WAVE) return s.at == FUS_AT_LEAF && s.leaf == FUS_PAGE_P;
    return fus_page_done(s) && takes_tag(s, t);
}

fus_page_state fus_page_accept(fus_page_state s, unsigned t)
{
    if (is_char(t)) {
        s.at = t == FUS_PAGE_SPACE ? FUS_AT_SPACE : FUS_AT_WORD;
        return s;
    }
    if (t == FUS_PAGE_WAVE) {
        s.at = FUS_AT_WAVE;
        return s;
    }
    s.leaf = 0;
    switch (t) {
    case FUS_PAGE_NONE: s.at = FUS_AT_NONE; break;
    case FUS_PAGE_EOS: s.at = FUS_AT_END; break;
    case FUS_PAGE_NAV:
    case FUS_PAGE_ROW:
    case FUS_PAGE_TABLE:
        s.at = FUS_AT_OPENED;
        s.inside = (uint8_t)t;
        break;
    case FUS_PAGE_COL:
    case FUS_PAGE_CARD:
    case FUS_PAGE_TR: s.at = FUS_AT_PART; break;
    case FUS_PAGE_NAV_END:
    case FUS_PAGE_ROW_END:
    case FUS_PAGE_TABLE_END:
        s.at = FUS_AT_CLOSED;
        s.inside = 0;
        break;
    default: s.at = FUS_AT_LEAF; s.leaf = (uint8_t)t;
    }
    return s;
}

size_t fus_page_cost(fus_page_state s)
{
    switch (s.at) {
    case FUS_AT_END: return 0;
    case FUS_AT_NONE: return 1;
    case FUS_AT_START: return 2;  /* <none> <eos> */
    case FUS_AT_OPENED: return 4; /* <a> x </nav>, <col> <img> </row>, <tr> <td> </table>; <eos> */
    case FUS_AT_PART: return 3;
    default: break;
    }
    return (fus_page_done(s) ? 0 : 1) + (s.inside ? 1 : 0) + 1;
}

void fus_page_allowed(fus_page_state s, size_t n_left, bool allowed[FUS_PAGE_N_TOKEN])
{
    for (unsigned t = 0; t < FUS_PAGE_N_TOKEN; t++) allowed[t] = fus_page_takes(s, t) && fus_page_cost(fus_page_accept(s, t)) < n_left;
}

unsigned fus_page_shortest(fus_page_state s)
{
    bool allowed[FUS_PAGE_N_TOKEN];

    fus_page_allowed(s, fus_page_cost(s), allowed);
    if (allowed[FUS_PAGE_IMG]) return FUS_PAGE_IMG; /* of the leaves without text, the one that says least */
    for (unsigned t = 0; t < FUS_PAGE_SPACE; t++)
        if (allowed[t]) return t;
    return '.';
}
