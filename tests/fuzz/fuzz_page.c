/* Pages: a description as text or as tokens, whatever a model may write, held to its grammar; and any elements as HTML, which must come out
 * well-formed, with every text in it as text. */
#include "../../fusion/page.h"
#include "../../fusion/page_written.h"
#include "fuzz.h"

#include <stdio.h>

#define MARKUP "<b9z x=\"y\">'&\""
enum { MOST = 2048, DEEP = 64 };

/* ---- the HTML ---- */

static bool is_void(const char *name, size_t n)
{
    static const char *const voids[] = {"meta",     "input",    "br",   "hr",   "img",    "link",
                                        "!doctype", "!DOCTYPE", "path", "rect", "circle", "line"};
    for (size_t i = 0; i < sizeof voids / sizeof *voids; i++)
        if (strlen(voids[i]) == n && memcmp(voids[i], name, n) == 0) return true;
    return false;
}

/* Behind the end of a tag: a '>' outside quotes. */
static const char *tag_end(const char *p, bool *self_closed)
{
    char quote = 0;
    for (; *p != '\0' && (quote != 0 || *p != '>'); p++) {
        if (quote != 0 && *p == quote)
            quote = 0;
        else if (quote == 0 && *p == '"')
            quote = *p;
        else
            FUZZ_MUST(quote != 0 || *p != '<');
    }
    FUZZ_MUST(*p == '>');
    *self_closed = p[-1] == '/';
    return p + 1;
}

static void check_well_formed(const char *html)
{
    struct {
        const char *p;
        size_t n;
    } open[DEEP];
    size_t n_open = 0;
    for (const char *p = strchr(html, '<'); p != NULL; p = strchr(p, '<')) {
        const bool closing = p[1] == '/';
        const char *name = p + 1 + closing;
        const size_t n = strcspn(name, " >/\n");
        bool self_closed;
        FUZZ_MUST(n > 0);
        p = tag_end(name, &self_closed);
        if (closing) {
            FUZZ_MUST(n_open > 0 && open[n_open - 1].n == n && memcmp(open[n_open - 1].p, name, n) == 0);
            n_open--;
        } else if (!self_closed && !is_void(name, n)) {
            FUZZ_MUST(n_open < DEEP);
            open[n_open].p = name;
            open[n_open++].n = n;
            if (n == 6 && memcmp(name, "script", 6) == 0) p = strstr(p, "</script>");
            if (p != NULL && n == 5 && memcmp(name, "style", 5) == 0) p = strstr(p, "</style>");
            FUZZ_MUST(p != NULL);
        }
    }
    FUZZ_MUST(n_open == 0);
}

static void check_html(const senses_page *page, senses_page_style style)
{
    char *html = NULL, *words = NULL;
    senses_error err = {0};
    const senses_page_html_params params = {style, page->n % 2 ? MARKUP : NULL};
    fuzz_said(senses_page_html(page, &params, &html, &err), &err);
    FUZZ_MUST(html != NULL && strstr(html, "<b9z") == NULL && strstr(html, "default-src 'none'") != NULL);
    check_well_formed(html);
    fuzz_said(senses_page_text(page, &words, &err), &err);
    free(html);
    free(words);
}

/* ---- a page from bytes ---- */

/* As a model writes it: what the grammar does not take is left away. */
static void written(const uint8_t *data, size_t n, fus_page_build *b)
{
    fus_written w = {0};
    fus_written_step step;
    sn_err err = {0};
    for (size_t i = 0; i < n; i++) {
        const bool takes = fus_written_takes(w, (const char *)data + i, 1);
        FUZZ_MUST(takes == fus_written_accept(&w, data[i], &step));
        for (size_t k = 0; takes && k < step.n; k++) fuzz_said(fus_page_put(b, step.tokens[k], &err), &err);
    }
    for (size_t left = 64; !fus_written_may_end(w); left--) { /* brought to its end as the reader does */
        FUZZ_MUST(left > 0);
        if (w.n_character > 0 || !fus_written_accept(&w, '\n', &step)) break;
        for (size_t k = 0; k < step.n; k++) fuzz_said(fus_page_put(b, step.tokens[k], &err), &err);
    }
}

static void tokens(const uint8_t *data, size_t n, fus_page_build *b)
{
    fus_page_state s = {0};
    sn_err err = {0};
    for (size_t i = 0; i < n; i++) {
        const unsigned token = data[i] % FUS_PAGE_N_TOKEN;
        if (token == FUS_PAGE_EOS || !fus_page_takes(s, token)) continue;
        s = fus_page_accept(s, token);
        if (token >= FUS_PAGE_SPACE || token != FUS_PAGE_NONE) fuzz_said(fus_page_put(b, token, &err), &err);
    }
    for (size_t left = fus_page_cost(s); left > 0; left--) {
        bool allowed[FUS_PAGE_N_TOKEN];
        const unsigned token = fus_page_shortest(s);
        fus_page_allowed(s, left, allowed);
        FUZZ_MUST(fus_page_takes(s, token) && allowed[token]);
        s = fus_page_accept(s, token);
        if (token != FUS_PAGE_EOS && token != FUS_PAGE_NONE) fuzz_said(fus_page_put(b, token, &err), &err);
    }
    FUZZ_MUST(s.at == FUS_AT_END);
}

/* Elements of a well-formed page whose texts are anything: the API takes them from anybody. */
static void any_texts(senses_page *page, const uint8_t *data, size_t n)
{
    static char text[MOST + 64];
    snprintf(text, sizeof text, "%.*s" MARKUP, (int)n, (const char *)data);
    for (size_t i = 0; i < page->n; i++)
        if (fus_page_has_text(page->items[i].tag) && page->items[i].text[0] != '\0') page->items[i].text = text + i % (strlen(text) + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2 || n > MOST) return 0;
    fus_page_build b = {0};
    senses_page page = {0};
    sn_err err = {0};
    const senses_page_style style = (senses_page_style)(data[1] % 3);
    if (data[0] & 1)
        written(data + 2, n - 2, &b);
    else
        tokens(data + 2, n - 2, &b);
    fuzz_said(fus_page_finish(&b, &page, &err), &err);
    if (page.n == 0) { /* nothing to see on it, which is no page */
        senses_page_free(&page);
        fus_page_build_free(&b);
        return 0;
    }
    check_html(&page, style);
    senses_page copy = {.items = malloc((page.n + 1) * sizeof *copy.items), .n = page.n};
    if (page.n > 0) memcpy(copy.items, page.items, page.n * sizeof *copy.items);
    any_texts(&copy, data, n);
    check_html(&copy, style);
    free(copy.items);
    senses_page_free(&page);
    fus_page_build_free(&b);
    return 0;
}
