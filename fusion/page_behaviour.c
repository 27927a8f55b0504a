/* page_behaviour.c: what the words on a page mean: what a button does, and where a link leads. */
#include "page_html.h"

#include <string.h>

enum { WORD_BYTES = 24 };

/* ---- words ---- */

static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* The next word at *s in small letters, cut where it is long; "don't" is one. False: there is none before `stop` or the end. */
static bool next_word(const char **s, char stop, char word[WORD_BYTES])
{
    size_t n = 0;
    while (**s != '\0' && **s != stop && !in_word(**s)) ++*s;
    for (; in_word(**s) || (**s == '\'' && n > 0); ++*s) {
        char c = **s;
        if (c != '\'' && n + 1 < WORD_BYTES) word[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    word[n] = '\0';
    return n > 0;
}

/* Whether the text goes on with the words of the phrase, which ends at ';' or '\0'. */
static bool begins_with(const char *text, const char *phrase)
{
    char want[WORD_BYTES], have[WORD_BYTES];
    while (next_word(&phrase, ';', want))
        if (!next_word(&text, '\0', have) || strcmp(want, have) != 0) return false;
    return true;
}

bool html_has_phrase(const char *text, const char *phrases)
{
    char word[WORD_BYTES];
    for (const char *rest = text;;) {
        const char *behind = rest;
        if (!next_word(&behind, '\0', word)) return false;
        for (const char *phrase = phrases; phrase != NULL;) {
            if (begins_with(rest, phrase)) return true;
            phrase = strchr(phrase, ';');
            if (phrase != NULL) phrase++;
        }
        rest = behind;
    }
}

/* Words that say nothing about what a text is about. */
static bool is_small_word(const char *word)
{
    return html_has_phrase(word, "a;an;the;of;to;us;our;my;your;and;all;for;in;on;at;me;here;see;view;go;open");
}

/* "drink" and "drinks" are one word. */
static bool same_word(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > nb) return same_word(b, a);
    return strncmp(a, b, na) == 0 && (nb == na || (na > 2 && nb == na + 1 && b[na] == 's'));
}

double html_likeness(const char *a, const char *b)
{
    size_t n_a = 0, n_b = 0, both = 0;
    char word[WORD_BYTES], other[WORD_BYTES];
    for (const char *s = b; next_word(&s, '\0', other);) n_b += !is_small_word(other);
    for (const char *s = a; next_word(&s, '\0', word);) {
        if (is_small_word(word)) continue;
        n_a++;
        bool found = false;
        for (const char *t = b; !found && next_word(&t, '\0', other);) found = same_word(word, other);
        both += found;
    }
    size_t longer = n_a > n_b ? n_a : n_b;
    return longer == 0 ? 0 : (double)both / (double)longer;
}

/* ---- what a button does ---- */

/* The first row with a phrase that the button has decides; so the particular stands before the general. */
static const struct {
    html_behaviour behaviour;
    const char *phrases;
} deeds[] = {
    {BEHAVIOUR_REVEAL, "punchline;punch line;reveal;answer;solution;tell me;show joke;show me;spoiler;hint;explain"},
    {BEHAVIOUR_TOP, "to top;to the top;scroll up"},
    {BEHAVIOUR_RESET, "reset;clear;cancel;start over;new game;play again;try again;refresh;restart"},
    {BEHAVIOUR_PRINT, "print"},
    {BEHAVIOUR_UPLOAD, "upload;choose file;browse;attach;add photo;add picture;add image"},
    {BEHAVIOUR_CART, "cart;basket;buy;order;check out;checkout;purchase"},
    {BEHAVIOUR_ASK, "book;reserve;sign up;register;join;join us;apply;log in;login;sign in;subscribe;newsletter;contact;contact us;"
                    "write to us;send;message;reply;comment;feedback;donate;pay;invite"},
    {BEHAVIOUR_COUNT, "like;love;vote;upvote;downvote;plus;minus;clap;follow;thumbs up;thumbs down"},
    {BEHAVIOUR_MORE, "more;less;show all;view all;see all;details;toggle;expand;show;hide;faq"},
    {BEHAVIOUR_DICE, "dice;random;roll;surprise me"},
    {BEHAVIOUR_PLAY, "play;start;stop;pause;listen;watch;resume;record"},
    {BEHAVIOUR_REMOVE, "delete;remove"},
    {BEHAVIOUR_ADD, "add;new"},
    {BEHAVIOUR_SEARCH, "search;find;filter"},
    {BEHAVIOUR_NEXT, "next;continue;skip"},
    {BEHAVIOUR_BACK, "back;previous;prev"},
};

html_behaviour html_behaviour_of(const char *words)
{
    char word[WORD_BYTES];
    const char *sign = words + strspn(words, " "), *rest = sign;
    bool bare = !next_word(&rest, '\0', word) || strcmp(word, "1") == 0; /* "+", "-", "+1", "- 1" */
    if ((sign[0] == '+' || sign[0] == '-') && bare) return BEHAVIOUR_COUNT;
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
        if (html_has_phrase(words, deeds[i].phrases)) return deeds[i].behaviour;
    return BEHAVIOUR_SAY;
}

const char *html_asked_fields(const char *words)
{
    static const struct {
        const char *phrases, *fields;
    } forms[] = {
        {"book;reserve", "Name;Date;Time;Guests"},
        {"log in;login;sign in", "User name;Password"},
        {"sign up;register;join;apply", "Name;Email;Password;Repeat password"},
        {"subscribe;newsletter", "Email"},
        {"donate;pay", "Name;Amount"},
        {"invite", "Name;Email"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (html_has_phrase(words, forms[i].phrases)) return forms[i].fields;
    return "Name;Email;Message";
}

/* ---- where words lead ---- */

/* Parts that a page has without a heading that says so. */
static bool is_about(senses_page_tag tag, const char *words)
{
    switch (tag) {
    case SENSES_PAGE_IMAGE: return html_has_phrase(words, "photos;photo;pictures;gallery;images");
    case SENSES_PAGE_INPUT:
    case SENSES_PAGE_AREA:
        return html_has_phrase(words, "contact;log in;login;sign in;sign up;register;subscribe;book;reserve;search;message;join");
    case SENSES_PAGE_TABLE: return html_has_phrase(words, "table;prices;pricing;timetable;schedule;scores;results");
    case SENSES_PAGE_ROW: return html_has_phrase(words, "menu;shop;products;services;features;team;portfolio;offers");
    default: return false;
    }
}

size_t html_find_part(const html_page *w, const char *words, size_t from, double least)
{
    const senses_page *p = w->page;
    size_t best = p->n;
    double most = 0;
    for (size_t i = from; i < p->n; i++) {
        if (p->items[i].tag != SENSES_PAGE_HEADING && p->items[i].tag != SENSES_PAGE_TITLE) continue;
        double likeness = html_likeness(words, p->items[i].text);
        if (likeness < least || likeness <= most) continue;
        most = likeness;
        best = i;
    }
    for (size_t i = from; i < p->n && best == p->n; i++)
        if (is_about(p->items[i].tag, words)) best = i;
    return best;
}
