/* page.c: a page as a value: made from tokens, freed, and said in words. */
#include "page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const fus_page_name fus_page_names[FUS_PAGE_N_NAME] = {
    [SENSES_PAGE_TITLE] = {FUS_PAGE_H1, "title"},
    [SENSES_PAGE_HEADING] = {FUS_PAGE_H2, "heading"},
    [SENSES_PAGE_TEXT] = {FUS_PAGE_P, "text"},
    [SENSES_PAGE_BUTTON] = {FUS_PAGE_BUTTON, "button"},
    [SENSES_PAGE_LINK] = {FUS_PAGE_A, "link"},
    [SENSES_PAGE_INPUT] = {FUS_PAGE_INPUT, "input"},
    [SENSES_PAGE_AREA] = {FUS_PAGE_AREA, "area"},
    [SENSES_PAGE_SELECT] = {FUS_PAGE_SELECT, "select"},
    [SENSES_PAGE_CHECK] = {FUS_PAGE_CHECK, "check"},
    [SENSES_PAGE_RADIO] = {FUS_PAGE_RADIO, "radio"},
    [SENSES_PAGE_IMAGE] = {FUS_PAGE_IMG, "image"},
    [SENSES_PAGE_ITEM] = {FUS_PAGE_LI, "item"},
    [SENSES_PAGE_FOOTER] = {FUS_PAGE_FOOTER, "footer"},
    [SENSES_PAGE_CELL] = {FUS_PAGE_TD, "cell"},
    [SENSES_PAGE_NAV] = {FUS_PAGE_NAV, "nav"},
    [SENSES_PAGE_NAV_END] = {FUS_PAGE_NAV_END, "end nav"},
    [SENSES_PAGE_ROW] = {FUS_PAGE_ROW, "row"},
    [SENSES_PAGE_COL] = {FUS_PAGE_COL, "col"},
    [SENSES_PAGE_CARD] = {FUS_PAGE_CARD, "card"},
    [SENSES_PAGE_ROW_END] = {FUS_PAGE_ROW_END, "end row"},
    [SENSES_PAGE_TABLE] = {FUS_PAGE_TABLE, "table"},
    [SENSES_PAGE_TR] = {FUS_PAGE_TR, "tr"},
    [SENSES_PAGE_TABLE_END] = {FUS_PAGE_TABLE_END, "end table"},
};

void fus_page_build_free(fus_page_build *b)
{
    sn_free(b->items);
    fus_text_free(&b->text);
    *b = (fus_page_build){0};
}

/* Ends the running item's text. */
static sn_status end_text(fus_page_build *b, sn_err *err)
{
    if (b->n == 0) return SN_OK;
    if (b->text.n > b->items[b->n - 1].text && b->text.p[b->text.n - 1] == ' ') b->text.n--;
    return fus_text_append(&b->text, "", 1, err);
}

static sn_status put_tag(fus_page_build *b, senses_page_tag tag, sn_err *err)
{
    sn_status st = end_text(b, err);
    if (st == SN_OK) st = sn_grow((void **)&b->items, &b->cap, b->n + 1, sizeof *b->items, err);
    if (st != SN_OK) return st;
    b->items[b->n].tag = tag;
    b->items[b->n].text = b->text.n;
    b->items[b->n++].wave = false;
    return SN_OK;
}

sn_status fus_page_put(fus_page_build *b, unsigned token, sn_err *err)
{
    if (token >= FUS_PAGE_SPACE) {
        const char c = (char)token;
        const bool first = b->n > 0 && b->text.n == b->items[b->n - 1].text;
        if (b->n == 0 || token == 127 || (c == ' ' && (first || b->text.p[b->text.n - 1] == ' '))) return SN_OK;
        return fus_text_append(&b->text, &c, 1, err);
    }
    if (token == FUS_PAGE_WAVE && b->n > 0) b->items[b->n - 1].wave = true;
    for (size_t i = 0; i < FUS_PAGE_N_NAME; i++)
        if (fus_page_names[i].token == token) return put_tag(b, (senses_page_tag)i, err);
    return SN_OK; /* <none>, <eos>: nothing to see */
}

/* Items and texts are one block. */
sn_status fus_page_finish(fus_page_build *b, senses_page *out, sn_err *err)
{
    const sn_status st = end_text(b, err);
    if (st != SN_OK) return st;
    if (b->n == 0) {
        fus_page_build_free(b);
        *out = (senses_page){0};
        return SN_OK;
    }
    const size_t items_bytes = b->n * sizeof(senses_page_item); /* no overflow: both were grown to their sizes */
    senses_page_item *items = malloc(items_bytes + b->text.n);
    if (items == NULL) return sn_fail(err, SN_ENOMEM, "out of memory for a page of %zu elements", b->n);
    char *text = memcpy((char *)items + items_bytes, b->text.p, b->text.n);
    for (size_t i = 0; i < b->n; i++)
        items[i] = (senses_page_item){.tag = b->items[i].tag, .text = text + b->items[i].text, .wave = b->items[i].wave};
    *out = (senses_page){.items = items, .n = b->n};
    fus_page_build_free(b);
    return SN_OK;
}

void senses_page_free(senses_page *p)
{
    if (p == NULL) return;
    free(p->items);
    *p = (senses_page){0};
}

/* A text of anyone's making as one line of data. */
static sn_status append_line(fus_text *t, const char *text, sn_err *err)
{
    sn_status st = SN_OK;
    for (; *text && st == SN_OK; text++) {
        const char c = (unsigned char)*text < 32 || *text == 127 ? ' ' : *text;
        st = fus_text_append(t, &c, 1, err);
    }
    return st;
}

/* Elements that people count: "the second button". Of a table one asks for rows and columns, and a text is known by its words. */
static bool is_counted(senses_page_tag tag)
{
    return fus_page_has_text(tag) && tag != SENSES_PAGE_TEXT && tag != SENSES_PAGE_CELL;
}

/* nth: which one of its kind the item is; 0: the only one. */
static sn_status append_item(fus_text *t, const senses_page_item *item, size_t nth, sn_err *err)
{
    const char *word = item->wave ? "wave" : fus_page_names[item->tag].word;
    const bool text = fus_page_has_text(item->tag) && !item->wave;
    char number[32] = "";
    if (nth > 0) snprintf(number, sizeof number, " %zu", nth);
    sn_status st = fus_text_append(t, word, strlen(word), err);
    if (st == SN_OK) st = fus_text_append(t, number, strlen(number), err);
    if (st == SN_OK && text) st = fus_text_append(t, ": ", item->text[0] ? 2 : 1, err);
    if (st == SN_OK && text) st = append_line(t, item->text, err);
    return st == SN_OK ? fus_text_append(t, "\n", 1, err) : st;
}

senses_status senses_page_text(const senses_page *p, char **text, senses_error *err)
{
    size_t n_of[FUS_PAGE_N_NAME] = {0}, seen[FUS_PAGE_N_NAME] = {0};
    fus_text t = {0};
    sn_status st = SN_OK;
    for (size_t i = 0; i < p->n; i++) {
        const unsigned tag = (unsigned)p->items[i].tag;
        if (tag >= FUS_PAGE_N_NAME) return sn_fail(err, SN_EUSAGE, "element %zu of the page: there is no kind %u", i, tag);
        n_of[tag]++;
    }
    for (size_t i = 0; i < p->n && st == SN_OK; i++) {
        const senses_page_tag tag = p->items[i].tag;
        const size_t nth = ++seen[tag];
        st = append_item(&t, &p->items[i], is_counted(tag) && n_of[tag] > 1 ? nth : 0, err);
    }
    char *copy = st == SN_OK ? malloc(t.n + 1) : NULL;
    if (st == SN_OK && copy == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory for the text of a page");
    if (copy) {
        if (t.n) memcpy(copy, t.p, t.n);
        copy[t.n] = '\0';
        *text = copy;
    }
    fus_text_free(&t);
    return st;
}
