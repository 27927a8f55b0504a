/* page_forms.c: which items of a page are one form, and what happens with it. */
#include "page_html.h"

#include <string.h>

/* Whether a row belongs to a form: only fields and buttons stand in it. */
static bool row_fits(const html_page *w, size_t i, size_t row_end, bool *fields, bool *buttons)
{
    *fields = *buttons = false;
    for (size_t k = i + 1; k < row_end; k++) {
        senses_page_tag tag = w->page->items[k].tag;
        if (html_is_field(tag))
            *fields = true;
        else if (tag == SENSES_PAGE_BUTTON)
            *buttons = true;
        else if (tag != SENSES_PAGE_COL && tag != SENSES_PAGE_CARD)
            return false;
    }
    return *fields || *buttons;
}

/* The buttons that end a form, in a line or in a row; i when none are there. */
static size_t buttons_end(const html_page *w, size_t i, size_t end)
{
    bool fields, buttons;
    size_t k = i;
    while (k < end && w->page->items[k].tag == SENSES_PAGE_BUTTON) k++;
    if (k > i || k == end || w->page->items[k].tag != SENSES_PAGE_ROW) return k;
    size_t row_end = html_container_end(w, k);
    return row_end < end && row_fits(w, k, row_end, &fields, &buttons) && !fields ? row_end + 1 : i;
}

size_t html_form_end(const html_page *w, size_t i, size_t end)
{
    const senses_page_item *items = w->page->items;
    enum { LINES_BETWEEN = 2 }; /* "Forgot password?" between the fields and the button */
    bool only_boxes = true, buttons = false;
    size_t k = i;
    while (k < end && !buttons) {
        bool fields = false;
        if (html_is_field(items[k].tag)) {
            only_boxes = only_boxes && (items[k].tag == SENSES_PAGE_CHECK || items[k].tag == SENSES_PAGE_RADIO);
            k++;
            continue;
        }
        size_t row_end = items[k].tag == SENSES_PAGE_ROW ? html_container_end(w, k) : end;
        if (row_end >= end || !row_fits(w, k, row_end, &fields, &buttons) || !fields) break;
        only_boxes = false;
        k = row_end + 1;
    }
    if (k == i) return i;
    if (buttons) return k;
    size_t b = k;
    while (b < end && b < k + LINES_BETWEEN && (items[b].tag == SENSES_PAGE_TEXT || items[b].tag == SENSES_PAGE_LINK)) b++;
    size_t behind = buttons_end(w, b, end);
    if (behind > b) return behind;
    return only_boxes ? i : k; /* boxes by themselves are a list to tick off */
}

/* What happens with a form that is filled in: "search", "add", or NULL: thanks. */
static const char *purpose(const html_page *w, size_t i, size_t end)
{
    size_t n_fields = 0, n_search = 0;
    bool adds = false;
    for (; i < end; i++) {
        const senses_page_item *item = &w->page->items[i];
        bool line = item->tag == SENSES_PAGE_INPUT;
        n_fields += line || item->tag == SENSES_PAGE_AREA || item->tag == SENSES_PAGE_SELECT;
        n_search += line && html_has_phrase(item->text, "search;find");
        if (item->tag != SENSES_PAGE_BUTTON) continue;
        n_search += html_behaviour_of(item->text) == BEHAVIOUR_SEARCH;
        adds = adds || html_behaviour_of(item->text) == BEHAVIOUR_ADD;
    }
    return n_fields != 1 ? NULL : n_search > 0 ? "search" : adds ? "add" : NULL;
}

void html_write_form(html_page *w, size_t i, size_t end)
{
    const char *then = purpose(w, i, end);
    size_t form = w->form;
    w->used |= 1u << BEHAVIOUR_FORM;
    html_addf(&w->out, "<form id=\"form-%zu\" novalidate", i);
    if (then != NULL) {
        html_addf(&w->out, " data-then=\"%s\"%s", then, strcmp(then, "search") == 0 ? " role=\"search\"" : "");
        w->used |= strcmp(then, "search") == 0 ? 1u << BEHAVIOUR_SEARCH : 1u << BEHAVIOUR_ADD | 1u << BEHAVIOUR_CHECKLIST;
    }
    if (w->heading < w->page->n) html_addf(&w->out, " aria-labelledby=\"part-%zu\"", w->heading);
    html_add(&w->out, ">\n");
    w->form = i;
    html_write_flow(w, i, end);
    w->form = form;
    html_add(&w->out, "<p class=\"done\" role=\"status\"></p>\n</form>\n");
}
