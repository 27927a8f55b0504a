/* page_html.h: how a page becomes HTML, inside fusion/. The document (page_html.c) asks for its blocks (page_blocks.c), forms
 * (page_forms.c, page_fields.c) and buttons (page_buttons.c); what a button does is decided from its words (page_behaviour.c); the script and the style of the page are made of
 * what it uses (page_script.c, page_style.c).
 *
 * Names in the document come from the number of the item they belong to: part-3 a heading, form-4, field-5, answer-6, page-7 what a
 * link leads to that is not drawn, dialog-8. So any part can be pointed at before it is written. */
#ifndef FUSION_PAGE_HTML_H
#define FUSION_PAGE_HTML_H

#include "html_text.h"

/* What is done when a button is pressed, and what else the script of a page can do. */
typedef enum {
    BEHAVIOUR_SAY, /* nothing better is known: says what was pressed */
    BEHAVIOUR_REVEAL,
    BEHAVIOUR_MORE,
    BEHAVIOUR_RESET,
    BEHAVIOUR_PRINT,
    BEHAVIOUR_TOP,
    BEHAVIOUR_UPLOAD,
    BEHAVIOUR_CART,
    BEHAVIOUR_COUNT,
    BEHAVIOUR_PLAY,
    BEHAVIOUR_DICE,
    BEHAVIOUR_REMOVE,
    BEHAVIOUR_ADD,
    BEHAVIOUR_SEARCH,
    BEHAVIOUR_NEXT,
    BEHAVIOUR_BACK,
    BEHAVIOUR_ASK,       /* opens a small form of its own */
    BEHAVIOUR_JUMP,      /* goes to a part of the page */
    BEHAVIOUR_FORM,      /* no button: forms are checked */
    BEHAVIOUR_PAGE,      /* no button: a link to a part that is not drawn shows it */
    BEHAVIOUR_CHECKLIST, /* no button: items can be ticked off */
    BEHAVIOUR_COUNT_OF
} html_behaviour;

typedef struct {
    const senses_page *page;
    senses_page_style style;
    html_text out;
    uint32_t used;  /* bit b: behaviour b is on the page */
    size_t title;   /* the item that is the h1; page->n: none */
    size_t heading; /* the heading written last; page->n: none */
    size_t form;    /* the first item of the form that is being written; page->n: none */
    size_t n_navs, n_images;
    bool in_row;  /* a row is being written: rows do not nest */
    bool starred; /* fields with a star are drawn: only these must be filled in */
} html_page;

/* ---- words (page_behaviour.c) ---- */
/* Whether one of the phrases ("show more;read more") stands in the text, in whole words; case and punctuation aside. */
bool html_has_phrase(const char *text, const char *phrases);
/* How much two texts are about the same: words in common over the words of the longer one, small words aside. 0 to 1. */
double html_likeness(const char *a, const char *b);
html_behaviour html_behaviour_of(const char *words);
/* The labels of the form that a BEHAVIOUR_ASK opens: "Name;Email". */
const char *html_asked_fields(const char *words);
/* The part of the page that words lead to, least: the likeness it takes, from: the first item that counts; page->n: none. */
size_t html_find_part(const html_page *w, const char *words, size_t from, double least);

/* ---- writing ---- */
void html_add_target(html_page *w, size_t i);                /* the name of the part that item i begins, as in href="#..." */
void html_write_flow(html_page *w, size_t i, size_t end);    /* page_blocks.c: items of the page or of a column */
size_t html_write_block(html_page *w, size_t i, size_t end); /* one block; returns the item behind it */
size_t html_container_end(const html_page *w, size_t i);     /* of a nav, row or table: its last item, or page->n */
bool html_is_field(senses_page_tag tag);
/* Where the form that begins at i ends; i when none begins there. */
size_t html_form_end(const html_page *w, size_t i, size_t end);
void html_write_form(html_page *w, size_t i, size_t end);
/* A label, what is to be filled in, and the place for what is wrong with it. before: the field that a repetition must equal. */
void html_add_field(html_page *w, senses_page_tag tag, const char *name, const char *label, const char *before);
void html_write_field(html_page *w, size_t i);
void html_write_choices(html_page *w, size_t i, size_t end, bool ticked_off); /* boxes to tick or to choose from */
size_t html_write_footer(html_page *w, size_t i, size_t end);
void html_write_linked_parts(html_page *w); /* what links lead to that is not drawn */
/* The buttons from i on, with what they reveal; returns the item behind them. */
size_t html_write_buttons(html_page *w, size_t i, size_t end);

/* ---- script and style ---- */
void html_add_script(html_text *t, uint32_t used);
void html_add_style(html_text *t, senses_page_style style);

#endif
