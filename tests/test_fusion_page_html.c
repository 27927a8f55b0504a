#include "../core/sha256.h"
#include "../fusion/html_text.h"
#include "page_lines.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

/* ---- helpers ---- */

/* The HTML of a page in words. free() it. */
static char *html_of(const char *lines, senses_page_style style, const char *title)
{
    char *copy = strdup(lines), *html = NULL;
    senses_error err = {0};
    senses_page page = page_from_lines(copy);
    senses_page_html_params params = {style, title};
    if (senses_page_html(&page, &params, &html, &err) != SN_OK) fail_msg("%s", err.msg);
    free(page.items);
    free(copy);
    return html;
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) n++;
    return n;
}

static void has(const char *html, const char *what)
{
    if (strstr(html, what) == NULL) fail_msg("the page has no %s:\n%s", what, strstr(html, "<body"));
}

static void has_not(const char *html, const char *what)
{
    if (strstr(html, what) != NULL) fail_msg("the page has %s", what);
}

static void stands_before(const char *html, const char *first, const char *second)
{
    const char *a = strstr(html, first), *b = strstr(html, second);
    if (a == NULL || b == NULL || a >= b) fail_msg("%s does not stand before %s", first, second);
}

/* The value of every attribute `name` is handed to `each`, as a string. */
static void for_each_value(const char *html, const char *name, void (*each)(const char *html, const char *value))
{
    char value[4096];
    for (const char *at = html; (at = strstr(at, name)) != NULL;) {
        at += strlen(name);
        size_t n = strcspn(at, "\"");
        assert_true(n < sizeof value);
        memcpy(value, at, n);
        value[n] = '\0';
        each(html, value);
    }
}

static const char *const everything =
    "title: Garden club\nnav\nlink: Home\nlink: Events\nlink: Prices\n/nav\nrow\ncol\nheading: Events\ntext: On Friday\nbutton: Show "
    "answer\ncard\n"
    "image: Rose\nimage\nbutton: Upload\n/row\ninput: Email\narea: Message\nselect: Size\nradio: Yes\nradio: No\ncheck: I agree\nbutton: "
    "Send\n"
    "item: one\nitem: two\ntable\ntr\ncell: Plant\ncell: Price\ntr\ncell: Rose\n/table\nwave\nlink: More about roses\nbutton: Sign up\n"
    "button: +\nbutton: Print\nfooter: 2024\n";

/* ---- cases ---- */

static void a_page_has_its_parts_in_order(void **state)
{
    (void)state;
    char *html = html_of(everything, SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(strncmp(html, "<!DOCTYPE html>\n<html lang=\"en\">", 32), 0);
    has(html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    has(html, "<title>Garden club</title>");
    assert_int_equal(count_of(html, "<h1"), 1);
    assert_int_equal(count_of(html, "<main>"), 1);
    assert_int_equal(count_of(html, "<nav"), 1);
    assert_int_equal(count_of(html, "<form"), 2); /* one drawn, one that "Sign up" asks with */
    assert_int_equal(count_of(html, "<ul>\n<li>one</li>\n<li>two</li>\n</ul>"), 1);
    has(html, "<tr><th scope=\"col\">Plant</th><th scope=\"col\">Price</th></tr>\n<tr><td>Rose</td><td></td></tr>");
    has(html, "<p class=\"wave\" aria-hidden=\"true\">~ ~ ~</p>");
    has(html, "</main>\n<footer>\n<p>2024</p>\n</footer>");
    const char *const order[] = {"Garden club</h1>", ">Events</a>", ">Events</h2>", "On Friday", "Show answer", "alt=\"Rose\"",
                                 ">Email</label>",   "<textarea",   ">Send<",       "<li>one",   "<table>",     "<footer>"};
    for (size_t i = 0; i + 1 < sizeof order / sizeof order[0]; i++) stands_before(html, order[i], order[i + 1]);
    free(html);
}

static void the_title_can_be_given(void **state)
{
    (void)state;
    char *html = html_of("title: Drawn", SENSES_STYLE_PLAIN, "Mine & yours");
    has(html, "<title>Mine &amp; yours</title>");
    has(html, ">Drawn</h1>");
    free(html);
    html = html_of("text: no title\nheading: A heading", SENSES_STYLE_PLAIN, NULL);
    has(html, "<title>A heading</title>");
    has_not(html, "<h1");
    free(html);
    html = html_of("title: One\ntitle: Two", SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(count_of(html, "<h1"), 1);
    has(html, ">Two</h2>");
    free(html);
}

/* The words of a page are data wherever they stand. */
static void texts_never_become_markup(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "</script><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "<!--", "</style>", "' onclick='x", "&lt;b&gt;"};
    static const char *const tags[] = {"title",  "heading", "text",  "button", "link", "input", "area",
                                       "select", "check",   "radio", "image",  "item", "footer"};
    for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
        for (size_t t = 0; t < sizeof tags / sizeof tags[0]; t++) {
            char lines[256];
            snprintf(lines, sizeof lines, "%s: %s Show subscribe", tags[t], bad[b]);
            char *html = html_of(lines, SENSES_STYLE_SKETCHY, NULL), *body = strstr(html, "<body>");
            has_not(body, bad[b]);
            assert_true(count_of(body, "<script") <= 1);
            has_not(body, "<img src=x");
            has_not(body, "<!--");
            free(html);
        }
    }
    char *html = html_of("text: a & b < c > d \" e ' f &lt;", SENSES_STYLE_PLAIN, NULL);
    has(html, "<p>a &amp; b &lt; c &gt; d &quot; e &#39; f &amp;lt;</p>");
    free(html);
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    char *html = html_of("text: a\xFF\xC0\xAF\xED\xA0\x80 \x01\x1B\x7F\xC2\x85 \xC3\xA4\xF0\x9F\x8C\xB7", SENSES_STYLE_PLAIN, NULL);
    for (const char *c = html; *c != '\0'; c++) assert_true((unsigned char)*c >= 0x20 || *c == '\n');
    has(html, "<p>a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD      \xC3\xA4\xF0\x9F\x8C\xB7</p>");
    free(html);
}

static void base64_is_rfc_4648s(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        html_text t = {0};
        html_add(&t, "");
        html_add_base64(&t, pairs[i][0], strlen(pairs[i][0]));
        assert_string_equal(t.data, pairs[i][1]);
        free(t.data);
    }
    html_text t = {0}; /* the digest of "", as CSP examples give it */
    html_add_csp_hash(&t, "", 0);
    assert_string_equal(t.data, "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
    free(t.data);
}

static void inline_block_is_named(const char *html, const char *open, const char *close, const char *directive)
{
    const char *from = strstr(html, open) + strlen(open), *to = strstr(from, close);
    html_text want = {0};
    html_add(&want, directive);
    html_add(&want, " ");
    html_add_csp_hash(&want, from, (size_t)(to - from));
    has(html, want.data);
    free(want.data);
}

static void the_policy_allows_the_inline_blocks_and_nothing_else(void **state)
{
    (void)state;
    for (int style = 0; style <= SENSES_STYLE_MODERN; style++) {
        char *html = html_of(everything, (senses_page_style)style, NULL);
        has(html, "content=\"default-src 'none'; style-src 'sha256-");
        has(html, "img-src data: blob:; base-uri 'none'; form-action 'none'\">");
        inline_block_is_named(html, "<style>", "</style>", "style-src");
        inline_block_is_named(html, "<script>", "</script>", "script-src");
        assert_int_equal(count_of(html, "<script"), 1);
        assert_int_equal(count_of(html, "<style"), 1);
        has_not(html, "unsafe-");
        has_not(html, " style=");
        has_not(html, " onclick");
        has_not(html, "eval(");
        has_not(html, "innerHTML");
        free(html);
    }
    char *html = html_of("title: Words\ntext: alone", SENSES_STYLE_PLAIN, NULL);
    has_not(html, "<script");
    has_not(html, "script-src");
    has_not(html, "img-src");
    free(html);
}

static void names_no_network(const char *text)
{
    static const char *const words[] = {"http:", "https:", "ftp:", "ws:", "wss:", "url(", "@import", "<link", "href=\"/", "src=\"/"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) has_not(text, words[i]);
}

/* A picture inside the page: the name of its language is an address that nobody asks for, and the only one. */
static void picture_names_no_network(const char *html, const char *value)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                      begin[] = "data:image/svg+xml;base64,";
    static const char language[] = " xmlns=\"http://www.w3.org/2000/svg\"";
    char svg[4096];
    size_t n = 0;
    uint32_t bits = 0;
    (void)html;
    assert_int_equal(strncmp(value, begin, strlen(begin)), 0);
    value += strlen(begin);
    for (size_t i = 0; value[i] != '\0' && value[i] != '='; i++) {
        const char *letter = strchr(letters, value[i]);
        assert_non_null(letter);
        bits = bits << 6 | (uint32_t)(letter - letters);
        if (i % 4 != 0) svg[n++] = (char)(bits >> (6 - 2 * (i % 4)));
        assert_true(n < sizeof svg);
    }
    svg[n] = '\0';
    assert_int_equal(strncmp(svg, "<svg", 4), 0);
    char *name = strstr(svg, language);
    assert_non_null(name);
    memset(name, ' ', strlen(language));
    names_no_network(svg);
}

static void no_page_names_the_network(void **state)
{
    (void)state;
    for (int style = 0; style <= SENSES_STYLE_MODERN; style++) {
        char *html = html_of(everything, (senses_page_style)style, NULL);
        names_no_network(html);
        assert_true(count_of(html, " src=\"") > 1);
        for_each_value(html, " src=\"", picture_names_no_network);
        free(html);
    }
}

static void named_once(const char *html, const char *value)
{
    char name[4200];
    snprintf(name, sizeof name, " id=\"%s\"", value);
    assert_int_equal(count_of(html, name), 1);
}

static void has_a_label(const char *html, const char *value)
{
    char label[4200];
    if (strncmp(value, "field-", 6) != 0 || strstr(value, "-error") != NULL) return;
    snprintf(label, sizeof label, "<label for=\"%s\"", value);
    assert_int_equal(count_of(html, label), 1);
}

static void names_are_unique_and_point_to_something(void **state)
{
    (void)state;
    char *html = html_of(everything, SENSES_STYLE_PLAIN, NULL);
    for_each_value(html, " id=\"", named_once);
    for_each_value(html, " id=\"", has_a_label);
    for_each_value(html, " for=\"", named_once);
    for_each_value(html, "aria-controls=\"", named_once);
    for_each_value(html, "aria-describedby=\"", named_once);
    for_each_value(html, "aria-labelledby=\"", named_once);
    for_each_value(html, "data-for=\"", named_once);
    assert_int_equal(count_of(html, "<img "), count_of(html, "<img alt=\""));
    has_not(html, "alt=\"\"");
    free(html);
}

static void fields_are_of_the_kind_that_their_words_say(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        {"Email", "email"}, {"Your e-mail", "email"}, {"Password", "password"}, {"Phone", "tel"}, {"Date", "date"},
        {"Time", "time"},   {"Guests", "number"},     {"Search...", "search"},  {"Name", "text"}, {"Anything", "text"},
        {"", "text"},       {"Birthday", "date"},     {"Update", "text"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char line[64], want[64];
        snprintf(line, sizeof line, "input: %s", kinds[i][0]);
        snprintf(want, sizeof want, " type=\"%s\"", kinds[i][1]);
        char *html = html_of(line, SENSES_STYLE_PLAIN, NULL);
        has(html, want);
        free(html);
    }
    char *html =
        html_of("input: Password\ninput: Repeat password\ncheck: I agree\ncheck: Newsletter\nbutton: Go", SENSES_STYLE_PLAIN, NULL);
    has(html, "data-same=\"field-0\"");
    has(html, "id=\"field-2\" name=\"field-2\" required");
    has_not(html, "name=\"field-3\" required");
    has(html, "<button type=\"submit\">Go</button>");
    free(html);
    html = html_of("input: Name*\ninput: City\nbutton: Go", SENSES_STYLE_PLAIN, NULL); /* who draws stars means the others to be free */
    assert_int_equal(count_of(html, " required"), 1);
    free(html);
}

static void buttons_do_what_their_words_say(void **state)
{
    (void)state;
    static const char *const deeds[][2] = {{"Show punchline", "reveal"},
                                           {"Push to reveal punchline", "reveal"},
                                           {"Read more", "reveal"},
                                           {"Tell me!", "reveal"},
                                           {"Reset", "reset"},
                                           {"Print", "print"},
                                           {"Back to top", "top"},
                                           {"Upload", "upload"},
                                           {"Add to cart", "cart"},
                                           {"Order now", "cart"},
                                           {"Like", "count"},
                                           {"+", "count"},
                                           {"-", "count"},
                                           {"+1", "count"},
                                           {"Play", "play"},
                                           {"Roll the dice", "dice"},
                                           {"Delete", "remove"},
                                           {"Next", "next"},
                                           {"Back", "back"},
                                           {"Book a table", "ask"},
                                           {"Subscribe", "ask"},
                                           {"Accept", "say"},
                                           {"", "say"},
                                           {"Get started", "say"},
                                           {"???", "say"}};
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        char line[64], want[64];
        snprintf(line, sizeof line, "button: %s", deeds[i][0]);
        snprintf(want, sizeof want, "<button type=\"button\" data-do=\"%s\"", deeds[i][1]);
        char *html = html_of(line, SENSES_STYLE_PLAIN, NULL), script_part[64];
        has(html, want);
        snprintf(script_part, sizeof script_part, "deeds.%s = ", deeds[i][1]);
        has(html, script_part);
        free(html);
    }
}

/* What a form ends with stands in its part of the script: without the part, one line of it would stop all buttons of the page. */
static void a_button_without_a_form_brings_no_part_of_one(void **state)
{
    (void)state;
    static const char *const pages[] = {"button: Search",
                                        "button: New",
                                        "text: a\nbutton: Find\nbutton: Show answer",
                                        "item: a\nbutton: Add",
                                        "button: Filter\nrow\ncol\nbutton: New\n/row",
                                        "button: Add\nbutton: Sign up",
                                        "input: Search\nbutton: Go",
                                        "input: Item\nbutton: Add"};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        char *html = html_of(pages[i], SENSES_STYLE_PLAIN, NULL);
        const char *first = strstr(html, "then."), *made = strstr(html, "const then = ");
        if (first != NULL && (made == NULL || first < made)) fail_msg("%s: the script has no `then`", pages[i]);
        free(html);
    }
    char *html = html_of("button: Search\nbutton: New", SENSES_STYLE_PLAIN, NULL);
    has(html, "data-do=\"say\">Search</button>");
    has(html, "data-do=\"say\">New</button>");
    free(html);
}

static void what_nobody_drew_is_not_on_the_page_until_asked_for(void **state)
{
    (void)state;
    char *html = html_of("text: Why?\nbutton: Show punchline\ntext: And why?\nbutton: Show punchline", SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(count_of(html, "aria-expanded=\"false\""), 2);
    has(html, "aria-controls=\"answer-1\">Show punchline</button><span class=\"done\" role=\"status\"></span></p>\n<div class=\"answer\" "
              "id=\"answer-1\" hidden><template>");
    stands_before(html, "answer-1\" hidden", "And why?");
    free(html);
    html = html_of("text: Why?\nbutton: Reveal\ntext: So.\ntext: And why?\nbutton: Reveal\ntext: Because.\ntext: Bye", SENSES_STYLE_PLAIN,
                   NULL);
    has(html, "id=\"answer-1\" hidden><p>So.</p>\n</div>\n<p>And why?</p>");
    has(html, "id=\"answer-4\" hidden><p>Because.</p>\n</div>\n<p>Bye</p>");
    free(html);
}

static void links_lead_to_the_part_that_is_meant(void **state)
{
    (void)state;
    char *html =
        html_of("nav\nlink: Home\nlink: Our drinks\nlink: Photos\nlink: Log in\nlink: Jobs\n/nav\nheading: Drink\nimage: Tea\ninput: User",
                SENSES_STYLE_PLAIN, NULL);
    has(html, "<a href=\"#top\">Home</a>");
    has(html, "<a href=\"#part-7\">Our drinks</a>");
    has(html, "<a href=\"#part-8\">Photos</a>");
    has(html, "<a href=\"#field-9\">Log in</a>");
    has(html, "<a href=\"#page-5\">Jobs</a>");
    has(html, "<section id=\"page-5\" tabindex=\"-1\" hidden><template><h2>Jobs</h2>");
    free(html);
}

static void columns_are_siblings_of_one_kind(void **state)
{
    (void)state;
    char *html = html_of("row\ncol\ntext: a\ncard\ntext: b\ncol\ntext: c\n/row", SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(count_of(html, "<div class=\"col\">"), 3);
    assert_int_equal(count_of(html, "<div class=\"card\">"), 1);
    free(html);
}

static void a_field_and_its_button_in_a_row_are_one_form(void **state)
{
    (void)state;
    char *html = html_of("row\ncol\ninput: Search\ncol\nbutton: Go\n/row", SENSES_STYLE_PLAIN, NULL);
    stands_before(html, "<form id=\"form-0\" novalidate data-then=\"search\" role=\"search\"", "<div class=\"row\"");
    stands_before(html, "<button type=\"submit\">Go", "</form>");
    free(html);
    html = html_of("input: User\ntext: Forgot it?\nbutton: Go\ntext: Bye", SENSES_STYLE_PLAIN, NULL);
    stands_before(html, "<button type=\"submit\">Go", "</form>");
    stands_before(html, "</form>", "Bye");
    free(html);
    html = html_of("title: Shopping list\ncheck: Milk\ncheck: Eggs", SENSES_STYLE_PLAIN, NULL);
    has_not(html, "<form");
    has(html, "<div class=\"choices checklist\" role=\"group\"");
    free(html);
}

static void the_same_page_gives_the_same_bytes(void **state)
{
    (void)state;
    for (int style = 0; style <= SENSES_STYLE_MODERN; style++) {
        char *one = html_of(everything, (senses_page_style)style, NULL), *two = html_of(everything, (senses_page_style)style, NULL);
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
}

/* A reader's pages are well-formed; a caller's need not be. */
static void pages_that_are_not_well_formed_are_written_all_the_same(void **state)
{
    (void)state;
    static const char *const words[] = {"title: a", "text: b",  "button: show", "input: c",  "nav",     "/nav",    "link: d",
                                        "row",      "col",      "card",         "/row",      "table",   "tr",      "cell: e",
                                        "/table",   "check: f", "wave",         "footer: g", "item: h", "image: i"};
    enum { N_WORDS = sizeof words / sizeof words[0] };
    uint32_t seed = 1;
    for (int round = 0; round < 3000; round++) {
        char lines[512] = "";
        for (int k = 0; k < 12; k++) {
            seed = seed * 1664525u + 1013904223u;
            strcat(lines, words[(seed >> 16) % N_WORDS]);
            strcat(lines, "\n");
        }
        char *html = html_of(lines, SENSES_STYLE_PLAIN, NULL);
        static const char *const pairs[][2] = {
            {"<div", "</div>"}, {"<form", "</form>"}, {"<nav", "</nav>"}, {"<table>", "</table>"}, {"<footer>", "</footer>"}};
        for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
            assert_int_equal(count_of(html, pairs[i][0]), count_of(html, pairs[i][1]));
        for_each_value(html, " id=\"", named_once);
        free(html);
    }
}

/* However deep somebody nests them, the stack does not grow. */
static void rows_do_not_nest(void **state)
{
    (void)state;
    enum { N_ROWS = 100000 };
    char *html = html_of("row\ncol\nrow\ncol\ntext: a\n/row\nnav\nlink: b\n/nav\n/row", SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(count_of(html, "<div class=\"row"), 1);
    has(html, "<p>a</p>");
    free(html);
    html = html_of("row\ncol\ntable\ntr\ncell: a\n/table\nnav\nlink: b\n/nav\n/row", SENSES_STYLE_PLAIN, NULL);
    has_not(html, "<table");
    has_not(html, "<nav");
    has(html, "<p>a</p>");
    has(html, ">b</a>");
    free(html);
    char *lines = malloc(4 * N_ROWS + 9), *end = lines;
    for (size_t i = 0; i < N_ROWS; i++) end = stpcpy(end, "row\n");
    strcpy(end, "text: a\n");
    html = html_of(lines, SENSES_STYLE_PLAIN, NULL);
    assert_int_equal(count_of(html, "<div class=\"row"), 1);
    free(html);
    free(lines);
}

static void no_elements_are_no_page(void **state)
{
    (void)state;
    senses_error err = {0};
    char *html = NULL;
    senses_page none = {.n = 0};
    assert_int_equal(senses_page_html(&none, NULL, &html, &err), SN_EUSAGE);
    assert_null(html);
    senses_page_item item = {SENSES_PAGE_TEXT, "x", false};
    senses_page one = {.items = &item, .n = 1};
    senses_page_html_params odd = {.style = (senses_page_style)7};
    assert_int_equal(senses_page_html(&one, &odd, &html, &err), SN_EUSAGE);
    assert_int_equal(senses_page_html(&one, NULL, &html, NULL), SN_OK);
    free(html);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_page_has_its_parts_in_order),
    cmocka_unit_test(the_title_can_be_given),
    cmocka_unit_test(texts_never_become_markup),
    cmocka_unit_test(bytes_that_are_no_text_are_replaced),
    cmocka_unit_test(base64_is_rfc_4648s),
    cmocka_unit_test(the_policy_allows_the_inline_blocks_and_nothing_else),
    cmocka_unit_test(no_page_names_the_network),
    cmocka_unit_test(names_are_unique_and_point_to_something),
    cmocka_unit_test(fields_are_of_the_kind_that_their_words_say),
    cmocka_unit_test(buttons_do_what_their_words_say),
    cmocka_unit_test(a_button_without_a_form_brings_no_part_of_one),
    cmocka_unit_test(what_nobody_drew_is_not_on_the_page_until_asked_for),
    cmocka_unit_test(links_lead_to_the_part_that_is_meant),
    cmocka_unit_test(columns_are_siblings_of_one_kind),
    cmocka_unit_test(a_field_and_its_button_in_a_row_are_one_form),
    cmocka_unit_test(the_same_page_gives_the_same_bytes),
    cmocka_unit_test(pages_that_are_not_well_formed_are_written_all_the_same),
    cmocka_unit_test(rows_do_not_nest),
    cmocka_unit_test(no_elements_are_no_page),
};
TESTING_MAIN("fusion_page_html", tests)
