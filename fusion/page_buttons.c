/* page_buttons.c: buttons, and what stands ready behind them. */
#include "page_html.h"

#include <stdio.h>
#include <string.h>

/* What a button of a form does beside sending it. */
static bool works_in_form(html_behaviour b)
{
    return b == BEHAVIOUR_REVEAL || b == BEHAVIOUR_UPLOAD || b == BEHAVIOUR_PRINT || b == BEHAVIOUR_RESET || b == BEHAVIOUR_COUNT ||
           b == BEHAVIOUR_PLAY || b == BEHAVIOUR_DICE || b == BEHAVIOUR_REMOVE || b == BEHAVIOUR_TOP;
}

/* Searching and adding are what a form is for: a button without one has no words to search for and no line to add. */
static html_behaviour behaviour_at(const html_page *w, size_t i, size_t *part)
{
    html_behaviour b = html_behaviour_of(w->page->items[i].text);
    *part = w->page->n;
    if (b == BEHAVIOUR_SAY || b == BEHAVIOUR_ASK || b == BEHAVIOUR_MORE) *part = html_find_part(w, w->page->items[i].text, i, 0.6);
    if (*part < w->page->n) return BEHAVIOUR_JUMP;
    return b == BEHAVIOUR_SEARCH || b == BEHAVIOUR_ADD ? BEHAVIOUR_SAY : b;
}

/* How many of the items behind a button that reveals are what it reveals: one that is drawn, or none. A line between two jokes
 * belongs to the second one unless it is the answer by its place or its words. */
static size_t drawn_answer(const html_page *w, size_t i, size_t end)
{
    const senses_page_item *items = w->page->items;
    size_t k = i + 1;
    while (k < end && items[k].tag == SENSES_PAGE_TEXT) k++;
    if (k == i + 1) return 0;
    const char *text = items[i + 1].text;
    bool asks = strchr(text, '?') != NULL;
    bool next_reveals = k < end && items[k].tag == SENSES_PAGE_BUTTON && html_behaviour_of(items[k].text) == BEHAVIOUR_REVEAL;
    if (next_reveals && k > i + 2) return !asks;
    return !asks && html_has_phrase(text, "because;answer;punchline;solution") ? 1 : 0;
}

/* What a press shows: the line that is drawn, or a place to write one. What nobody drew waits in a template, so that the page
 * as it stands is the drawing. */
static size_t write_hidden_part(html_page *w, size_t i, size_t end, bool last)
{
    const char *words = w->page->items[i].text;
    const bool more = html_behaviour_of(words) == BEHAVIOUR_MORE;
    const char *what = more ? "more text" : html_has_phrase(words, "answer;solution;explain") ? "answer" : "punchline";
    size_t drawn = last && !more ? drawn_answer(w, i, end) : 0;
    html_addf(&w->out, "<div class=\"answer\" id=\"answer-%zu\" hidden>", i);
    if (drawn > 0)
        html_write_block(w, i + 1, i + 2);
    else
        html_addf(&w->out, "<template><p contenteditable=\"true\" role=\"textbox\" aria-label=\"%s\">(the %s goes here)</p></template>",
                  what, what);
    html_add(&w->out, "</div>\n");
    return drawn;
}

/* A form of its own for a button that has none: asked for in a dialog. */
static void write_dialog(html_page *w, size_t i)
{
    const char *words = w->page->items[i].text, *labels = html_asked_fields(words);
    char label[32], name[48], before[48];
    bool starred = w->starred;
    w->starred = false;
    w->used |= 1u << BEHAVIOUR_FORM;
    html_addf(&w->out, "<dialog id=\"dialog-%zu\" aria-labelledby=\"button-%zu\"><template><form novalidate>\n<p class=\"ask\">", i, i);
    html_add_escaped(&w->out, words);
    html_add(&w->out, "</p>\n");
    for (size_t k = 0; *labels != '\0'; k++) {
        size_t n = strcspn(labels, ";");
        memcpy(label, labels, n);
        label[n] = '\0';
        labels += n + (labels[n] == ';');
        snprintf(name, sizeof name, "asked-%zu-%zu", i, k);
        snprintf(before, sizeof before, "asked-%zu-%zu", i, k - 1);
        html_add_field(w, strcmp(label, "Message") == 0 ? SENSES_PAGE_AREA : SENSES_PAGE_INPUT, name, label, k > 0 ? before : NULL);
    }
    html_add(&w->out,
             "<p class=\"actions\"><button type=\"submit\">OK</button><button type=\"button\" data-do=\"close\">Close</button></p>\n"
             "</form></template></dialog>\n");
    w->starred = starred;
}

static void write_button(html_page *w, size_t i)
{
    static const char *const names[BEHAVIOUR_COUNT_OF] = {
        [BEHAVIOUR_SAY] = "say",     [BEHAVIOUR_REVEAL] = "reveal", [BEHAVIOUR_MORE] = "reveal",   [BEHAVIOUR_RESET] = "reset",
        [BEHAVIOUR_PRINT] = "print", [BEHAVIOUR_TOP] = "top",       [BEHAVIOUR_UPLOAD] = "upload", [BEHAVIOUR_CART] = "cart",
        [BEHAVIOUR_COUNT] = "count", [BEHAVIOUR_PLAY] = "play",     [BEHAVIOUR_DICE] = "dice",     [BEHAVIOUR_REMOVE] = "remove",
        [BEHAVIOUR_NEXT] = "next",   [BEHAVIOUR_BACK] = "back",     [BEHAVIOUR_ASK] = "ask",       [BEHAVIOUR_JUMP] = "jump",
    };
    size_t part;
    const char *words = w->page->items[i].text;
    html_behaviour b = behaviour_at(w, i, &part);
    bool in_form = w->form < w->page->n;
    if (in_form && !works_in_form(b)) {
        html_add(&w->out, "<button type=\"submit\">");
    } else {
        w->used |= 1u << b;
        html_addf(&w->out, "<button type=\"button\" data-do=\"%s\"", names[b]);
        if (b == BEHAVIOUR_REVEAL || b == BEHAVIOUR_MORE) html_addf(&w->out, " aria-expanded=\"false\" aria-controls=\"answer-%zu\"", i);
        if (b == BEHAVIOUR_ASK) html_addf(&w->out, " id=\"button-%zu\" aria-haspopup=\"dialog\" data-for=\"dialog-%zu\"", i, i);
        if (b == BEHAVIOUR_JUMP) {
            html_add(&w->out, " data-for=\"");
            html_add_target(w, part);
            html_add(&w->out, "\"");
        }
        html_add(&w->out, ">");
    }
    html_add_escaped(&w->out, words[0] != '\0' ? words : "Button");
    html_add(&w->out, "</button>");
}

size_t html_write_buttons(html_page *w, size_t i, size_t end)
{
    size_t behind = i, drawn = 0, part;
    bool in_form = w->form < w->page->n;
    html_add(&w->out, "<p class=\"actions\">");
    while (behind < end && w->page->items[behind].tag == SENSES_PAGE_BUTTON) write_button(w, behind++);
    if (!in_form) html_add(&w->out, "<span class=\"done\" role=\"status\"></span>"); /* a form has one place for all it says */
    html_add(&w->out, "</p>\n");
    for (size_t k = i; k < behind; k++) {
        html_behaviour b = behaviour_at(w, k, &part);
        if (b == BEHAVIOUR_REVEAL || (b == BEHAVIOUR_MORE && !in_form)) drawn = write_hidden_part(w, k, end, k + 1 == behind);
        if (b == BEHAVIOUR_ASK && !in_form) write_dialog(w, k);
    }
    return behind + drawn;
}
