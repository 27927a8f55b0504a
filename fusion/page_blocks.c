/* page_blocks.c: the blocks of a page in their order: headings, texts, pictures, lists, links, rows, tables. */
#include "page_html.h"

#include <stdlib.h>
#include <string.h>

/* ---- parts that can be led to ---- */

void html_add_target(html_page *w, size_t i)
{
    bool field = html_is_field(w->page->items[i].tag);
    html_addf(&w->out, i == w->title ? "top" : field ? "field-%zu" : "part-%zu", i);
}

/* What a link that leads nowhere on the drawing leads to: a part that is shown then, with a place to write. */
static void write_linked_part(html_page *w, size_t i)
{
    w->used |= 1u << BEHAVIOUR_PAGE;
    html_addf(&w->out, "<section id=\"page-%zu\" tabindex=\"-1\" hidden><template><h2>", i);
    html_add_escaped(&w->out, w->page->items[i].text);
    html_add(&w->out,
             "</h2><p contenteditable=\"true\" role=\"textbox\" aria-label=\"Text\">(this part is still to be written)</p></template>"
             "</section>\n");
}

/* The part of a link: an item, page->n where there is none, w->title for the top. */
static size_t link_part(const html_page *w, size_t i, bool *top)
{
    const char *words = w->page->items[i].text;
    *top = html_has_phrase(words, "home;top;start;back to top;index") || words[0] == '\0';
    return *top ? w->page->n : html_find_part(w, words, 0, 0.5);
}

static void write_link(html_page *w, size_t i)
{
    bool top;
    size_t part = link_part(w, i, &top);
    html_add(&w->out, "<a href=\"#");
    if (top)
        html_add(&w->out, "top");
    else if (part < w->page->n)
        html_add_target(w, part);
    else
        html_addf(&w->out, "page-%zu", i);
    html_add(&w->out, "\">");
    html_add_escaped(&w->out, w->page->items[i].text[0] != '\0' ? w->page->items[i].text : "Link");
    html_add(&w->out, "</a>");
}

void html_write_linked_parts(html_page *w)
{
    bool top;
    for (size_t i = 0; i < w->page->n; i++)
        if (w->page->items[i].tag == SENSES_PAGE_LINK && link_part(w, i, &top) == w->page->n && !top) write_linked_part(w, i);
}

/* ---- leaves ---- */

static void write_heading(html_page *w, size_t i)
{
    if (i == w->title) { /* "top" is the body itself */
        html_addf(&w->out, "<h1 id=\"part-%zu\">", i);
    } else {
        html_addf(&w->out, "<h2 id=\"part-%zu\" tabindex=\"-1\">", i);
    }
    html_add_escaped(&w->out, w->page->items[i].text);
    html_add(&w->out, i == w->title ? "</h1>\n" : "</h2>\n");
    w->heading = i;
}

/* A picture that is still to be put in: a landscape, a little different each time. */
static void write_image(html_page *w, size_t i)
{
    static const char *const skies[] = {"#cfe3f5", "#f6dfc8", "#d9ead3", "#e4dbf1"};
    static const char *const hills[] = {"#5b8a72", "#b0704a", "#4f7f93", "#7b68a6"};
    const char *caption = w->page->items[i].text;
    html_text svg = {0};
    size_t kind = w->n_images++ % 4;
    bool sketchy = w->style == SENSES_STYLE_SKETCHY;
    html_add(&svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 640 400\">");
    if (sketchy)
        html_addf(
            &svg,
            "<g fill=\"none\" stroke=\"#777\" stroke-width=\"5\" stroke-linecap=\"round\"><circle cx=\"%zu\" cy=\"105\" r=\"44\"/>"
            "<path d=\"M8 330Q120 %zu 205 225Q262 270 318 318Q%zu 190 470 170Q560 230 634 335\"/><path d=\"M14 372Q330 352 628 376\"/></g>",
            120 + 130 * kind, 190 + 20 * kind, 380 + 15 * kind);
    else
        html_addf(
            &svg,
            "<path fill=\"%s\" d=\"M0 0h640v400H0z\"/><circle cx=\"%zu\" cy=\"110\" r=\"46\" fill=\"#fff8e0\"/>"
            "<path fill=\"%s\" opacity=\".55\" d=\"M0 330L%zu 160 400 400H0z\"/><path fill=\"%s\" d=\"M150 400L%zu 210 640 360v40z\"/>",
            skies[kind], 120 + 130 * kind, hills[kind], 150 + 30 * kind, hills[kind], 400 + 25 * kind);
    html_add(&svg, "</svg>");
    html_addf(&w->out, "<figure id=\"part-%zu\" data-caption=\"", i);
    html_add_escaped(&w->out, caption);
    html_add(&w->out, "\"><img alt=\"");
    html_add_escaped(&w->out, caption[0] != '\0' ? caption : "Picture");
    html_add(&w->out, "\" width=\"640\" height=\"400\" src=\"data:image/svg+xml;base64,");
    html_add_base64(&w->out, svg.data != NULL ? svg.data : "", svg.n);
    html_add(&w->out, "\"></figure>\n");
    w->out.failed = w->out.failed || svg.failed;
    free(svg.data);
}

/* ---- runs: items of a kind, one behind the other ---- */

static size_t run_end(const html_page *w, size_t i, size_t end)
{
    senses_page_tag tag = w->page->items[i].tag;
    while (i < end && w->page->items[i].tag == tag) i++;
    return i;
}

/* A list under "To do" is one to tick off. */
static bool is_checklist(const html_page *w)
{
    static const char phrases[] =
        "to do;todo;to dos;tasks;checklist;shopping list;groceries;to buy;packing list;chores;wish list;bucket list";
    const senses_page *p = w->page;
    return (w->title < p->n && html_has_phrase(p->items[w->title].text, phrases)) ||
           (w->heading < p->n && html_has_phrase(p->items[w->heading].text, phrases));
}

static size_t write_list(html_page *w, size_t i, size_t end)
{
    end = run_end(w, i, end);
    bool ticked = is_checklist(w);
    if (ticked) w->used |= 1u << BEHAVIOUR_CHECKLIST;
    html_add(&w->out, ticked ? "<ul class=\"checklist\">\n" : "<ul>\n");
    for (; i < end; i++) {
        html_add(&w->out, "<li>");
        html_add_escaped(&w->out, w->page->items[i].text);
        html_add(&w->out, "</li>\n");
    }
    html_add(&w->out, "</ul>\n");
    return end;
}

static size_t write_links(html_page *w, size_t i, size_t end)
{
    end = run_end(w, i, end);
    html_add(&w->out, "<p class=\"links\">");
    for (; i < end; i++) {
        write_link(w, i);
        if (i + 1 < end) html_add(&w->out, " ");
    }
    html_add(&w->out, "</p>\n");
    return end;
}

size_t html_write_footer(html_page *w, size_t i, size_t end)
{
    end = run_end(w, i, end);
    html_add(&w->out, "<footer>\n");
    for (; i < end; i++) {
        html_add(&w->out, "<p>");
        html_add_escaped(&w->out, w->page->items[i].text);
        html_add(&w->out, "</p>\n");
    }
    html_add(&w->out, "</footer>\n");
    return end;
}

/* ---- containers ---- */

size_t html_container_end(const html_page *w, size_t i)
{
    senses_page_tag tag = w->page->items[i].tag;
    senses_page_tag closing = tag == SENSES_PAGE_NAV   ? SENSES_PAGE_NAV_END
                              : tag == SENSES_PAGE_ROW ? SENSES_PAGE_ROW_END
                                                       : SENSES_PAGE_TABLE_END;
    while (i < w->page->n && w->page->items[i].tag != closing) i++;
    return i;
}

static void write_nav(html_page *w, size_t i, size_t end)
{
    if (w->n_navs++ == 0)
        html_add(&w->out, "<nav aria-label=\"Main\"><ul>\n");
    else
        html_addf(&w->out, "<nav aria-label=\"More links %zu\"><ul>\n", w->n_navs);
    for (i++; i < end; i++) {
        if (w->page->items[i].tag != SENSES_PAGE_LINK) continue;
        html_add(&w->out, "<li>");
        write_link(w, i);
        html_add(&w->out, "</li>\n");
    }
    html_add(&w->out, "</ul></nav>\n");
}

static bool is_column(senses_page_tag tag)
{
    return tag == SENSES_PAGE_COL || tag == SENSES_PAGE_CARD;
}

/* Columns are alike, whatever stands in them; a card is a box inside one. */
static void write_row(html_page *w, size_t i, size_t end)
{
    const senses_page_item *items = w->page->items;
    size_t n_columns = 0;
    bool tight = true; /* buttons and links alone need no equal widths */
    for (size_t k = i + 1; k < end; k++) {
        n_columns += is_column(items[k].tag);
        tight = tight && (items[k].tag == SENSES_PAGE_COL || items[k].tag == SENSES_PAGE_BUTTON || items[k].tag == SENSES_PAGE_LINK);
    }
    html_addf(&w->out, "<div class=\"row%s\" id=\"part-%zu\">\n", tight ? " tight" : n_columns > 3 ? " many" : "", i);
    for (size_t k = i + 1; k < end;) {
        bool card = items[k].tag == SENSES_PAGE_CARD;
        size_t from = is_column(items[k].tag) ? k + 1 : k, to = from;
        while (to < end && !is_column(items[to].tag)) to++;
        html_add(&w->out, card ? "<div class=\"col\"><div class=\"card\">\n" : "<div class=\"col\">\n");
        w->in_row = true;
        html_write_flow(w, from, to);
        w->in_row = false;
        html_add(&w->out, card ? "</div></div>\n" : "</div>\n");
        k = to;
    }
    html_add(&w->out, "</div>\n");
}

/* The first row is a heading when all its cells are filled, without a number among them, and other rows follow. */
static bool has_header(const html_page *w, size_t i, size_t end)
{
    const senses_page_item *items = w->page->items;
    size_t k = i + 1;
    if (k < end && items[k].tag == SENSES_PAGE_TR) k++;
    size_t first = k;
    for (; k < end && items[k].tag == SENSES_PAGE_CELL; k++)
        if (items[k].text[0] == '\0' || strpbrk(items[k].text, "0123456789") != NULL) return false;
    return k > first + 1 && k < end;
}

static void write_table(html_page *w, size_t i, size_t end)
{
    const senses_page_item *items = w->page->items;
    size_t widest = 0, width = 0;
    for (size_t k = i + 1; k < end; k++) {
        width = items[k].tag == SENSES_PAGE_CELL ? width + 1 : 0;
        if (width > widest) widest = width;
    }
    bool header = has_header(w, i, end);
    html_addf(&w->out, "<div class=\"table\" id=\"part-%zu\" role=\"region\" aria-label=\"Table\" tabindex=\"0\"><table>\n", i);
    for (size_t k = i + 1; k < end; header = false) {
        if (items[k].tag == SENSES_PAGE_TR) k++;
        html_add(&w->out, "<tr>");
        size_t row = k;
        for (; k < end && items[k].tag != SENSES_PAGE_TR; k++) {
            html_add(&w->out, header ? "<th scope=\"col\">" : "<td>");
            html_add_escaped(&w->out, items[k].text);
            html_add(&w->out, header ? "</th>" : "</td>");
        }
        for (size_t n = k - row; n < widest; n++) html_add(&w->out, header ? "<th></th>" : "<td></td>");
        html_add(&w->out, "</tr>\n");
    }
    html_add(&w->out, "</table></div>\n");
}

/* ---- the flow ---- */

static size_t write_container(html_page *w, size_t i, size_t end)
{
    size_t last = html_container_end(w, i);
    if (last > end) last = end;
    switch (w->page->items[i].tag) {
    case SENSES_PAGE_NAV: write_nav(w, i, last); break;
    case SENSES_PAGE_ROW: write_row(w, i, last); break;
    default: write_table(w, i, last); break;
    }
    return last < end ? last + 1 : end;
}

static size_t write_fields(html_page *w, size_t i, size_t end)
{
    senses_page_tag tag = w->page->items[i].tag;
    if (tag == SENSES_PAGE_CHECK || tag == SENSES_PAGE_RADIO) {
        end = run_end(w, i, end);
        html_write_choices(w, i, end, is_checklist(w));
        return end;
    }
    html_write_field(w, i);
    return i + 1;
}

static bool is_container(senses_page_tag tag)
{
    return tag == SENSES_PAGE_NAV || tag == SENSES_PAGE_ROW || tag == SENSES_PAGE_TABLE;
}

size_t html_write_block(html_page *w, size_t i, size_t end)
{
    const senses_page_item *item = &w->page->items[i];
    if (w->in_row && is_container(item->tag)) return i + 1; /* no reader writes it: what stands in it goes into the column */
    size_t form_end = w->form == w->page->n ? html_form_end(w, i, end) : i;
    if (form_end > i) {
        html_write_form(w, i, form_end);
        return form_end;
    }
    if (html_is_field(item->tag)) return write_fields(w, i, end);
    switch (item->tag) {
    case SENSES_PAGE_TITLE:
    case SENSES_PAGE_HEADING: write_heading(w, i); break;
    case SENSES_PAGE_TEXT:
    case SENSES_PAGE_CELL:
        html_add(&w->out, item->wave ? "<p class=\"wave\" aria-hidden=\"true\">" : "<p>");
        html_add_escaped(&w->out, item->wave ? "~ ~ ~" : item->text); /* where no style is, the lines are to be seen all the same */
        html_add(&w->out, "</p>\n");
        break;
    case SENSES_PAGE_IMAGE: write_image(w, i); break;
    case SENSES_PAGE_BUTTON: return html_write_buttons(w, i, end);
    case SENSES_PAGE_LINK: return write_links(w, i, end);
    case SENSES_PAGE_ITEM: return write_list(w, i, end);
    case SENSES_PAGE_FOOTER: return html_write_footer(w, i, end);
    case SENSES_PAGE_NAV:
    case SENSES_PAGE_ROW:
    case SENSES_PAGE_TABLE: return write_container(w, i, end);
    default: break; /* the end of what never began */
    }
    return i + 1;
}

void html_write_flow(html_page *w, size_t i, size_t end)
{
    while (i < end) i = html_write_block(w, i, end);
}
