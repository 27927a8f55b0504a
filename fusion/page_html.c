/* page_html.c: a page as one HTML document: head, landmarks, policy. */
#include "page_html.h"

#include <stdlib.h>
#include <string.h>

/* Where the top of the page ends: its title and the navigation around it. */
static size_t header_end(const html_page *w)
{
    const senses_page_item *items = w->page->items;
    size_t i = 0;
    while (i < w->page->n) {
        size_t next = i == w->title ? i + 1 : items[i].tag == SENSES_PAGE_NAV ? html_container_end(w, i) + 1 : i;
        if (next == i) break;
        i = next < w->page->n ? next : w->page->n;
    }
    return i;
}

static void write_body(html_page *w)
{
    const senses_page *p = w->page;
    size_t top = header_end(w), bottom = p->n;
    while (bottom > top && p->items[bottom - 1].tag == SENSES_PAGE_FOOTER) bottom--;
    if (top > 0) {
        html_add(&w->out, "<header>\n");
        html_write_flow(w, 0, top);
        html_add(&w->out, "</header>\n");
    }
    html_add(&w->out, "<main>\n");
    html_write_flow(w, top, bottom);
    html_write_linked_parts(w);
    html_add(&w->out, "</main>\n");
    if (bottom < p->n) html_write_footer(w, bottom, p->n);
}

/* Nothing is loaded, sent or run but the two blocks that stand in the document, known by their hashes. Pictures are the drawn
 * ones (data:) and those that a visitor chooses from their own disk (blob:). */
static void write_policy(html_page *w, html_text *out, const html_text *script, const html_text *style)
{
    html_add(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src ");
    html_add_csp_hash(out, style->data, style->n);
    if (script->n > 0) {
        html_add(out, "; script-src ");
        html_add_csp_hash(out, script->data, script->n);
    }
    bool uploads = (w->used & 1u << BEHAVIOUR_UPLOAD) != 0;
    if (w->n_images > 0 || uploads) html_add(out, uploads ? "; img-src data: blob:" : "; img-src data:");
    html_add(out, "; base-uri 'none'; form-action 'none'\">\n");
}

/* The name of the document: as asked for, else the page's title, else its first heading. */
static const char *document_title(const html_page *w, const char *asked)
{
    const senses_page *p = w->page;
    if (asked != NULL && asked[0] != '\0') return asked;
    if (w->title < p->n && p->items[w->title].text[0] != '\0') return p->items[w->title].text;
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].tag == SENSES_PAGE_HEADING && p->items[i].text[0] != '\0') return p->items[i].text;
    return "Page";
}

static void write_document(html_page *w, const char *title, html_text *out)
{
    html_text script = {0}, style = {0};
    write_body(w);
    html_add(&style, "\n");
    html_add_style(&style, w->style);
    if (w->used != 0) html_add_script(&script, w->used);
    if (!script.failed && !style.failed) {
        html_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        write_policy(w, out, &script, &style);
        html_add(
            out,
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
            "<title>");
        html_add_escaped(out, document_title(w, title));
        html_add(out, "</title>\n<style>");
        html_add_bytes(out, style.data, style.n);
        html_add(out, "</style>\n</head>\n<body>\n");
        if (w->out.data != NULL) html_add_bytes(out, w->out.data, w->out.n);
        if (script.n > 0) {
            html_add(out, "<script>");
            html_add_bytes(out, script.data, script.n);
            html_add(out, "</script>\n");
        }
        html_add(out, "</body>\n</html>\n");
    }
    out->failed = out->failed || script.failed || style.failed || w->out.failed;
    free(script.data);
    free(style.data);
}

senses_status senses_page_html(const senses_page *p, const senses_page_html_params *params, char **html, senses_error *err)
{
    static const senses_page_html_params plain = {.style = SENSES_STYLE_PLAIN};
    if (params == NULL) params = &plain;
    if (p == NULL || p->n == 0) return sn_fail(err, SN_EUSAGE, "there is no page to write: it has no elements");
    if ((unsigned)params->style > SENSES_STYLE_MODERN) return sn_fail(err, SN_EUSAGE, "there is no page style %d", (int)params->style);
    html_page w = {.page = p, .style = params->style, .title = p->n, .heading = p->n, .form = p->n};
    html_text out = {0};
    for (size_t i = 0; i < p->n; i++) {
        if (p->items[i].tag == SENSES_PAGE_TITLE && w.title == p->n) w.title = i;
        if (html_is_field(p->items[i].tag) && strchr(p->items[i].text, '*') != NULL) w.starred = true;
    }
    write_document(&w, params->title, &out);
    free(w.out.data);
    if (out.failed) {
        free(out.data);
        return sn_fail(err, SN_ENOMEM, "out of memory writing the page");
    }
    *html = out.data;
    return SN_OK;
}
