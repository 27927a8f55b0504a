/* page_fields.c: fields: what their labels say about their values, and boxes to tick. */
#include "page_html.h"

#include <stdio.h>
#include <string.h>

/* What the label of a field says about its value. The first row that fits holds. */
static const struct {
    const char *phrases;
    const char *type;
    const char *complete; /* autocomplete; NULL: nothing known */
    bool optional;        /* often left out, so not asked for unless a star says so */
    bool repeats;         /* the field before it, of the same type */
} values[] = {
    {"repeat password;confirm password;password again;retype password", "password", "new-password", false, true},
    {"password;passcode", "password", "current-password", false, false},
    {"email;e mail;mail", "email", "email", false, false},
    {"phone;telephone;tel;mobile;cell", "tel", "tel", true, false},
    {"birthday;date of birth", "date", "bday", false, false},
    {"date;day;arrival;departure;check in;check out", "date", NULL, false, false},
    {"time", "time", NULL, false, false},
    {"age;guests;quantity;amount;how many;people;persons", "number", NULL, false, false},
    {"search;find", "search", NULL, true, false},
    {"card number", "text", "cc-number", false, false},
    {"first name", "text", "given-name", false, false},
    {"last name;surname;family name", "text", "family-name", false, false},
    {"user;username;user name;login", "text", "username", false, false},
    {"company", "text", "organization", true, false},
    {"name", "text", "name", false, false},
    {"street;address", "text", "address-line1", false, false},
    {"city;town", "text", "address-level2", false, false},
    {"zip;postcode;postal code", "text", "postal-code", false, false},
    {"country", "text", "country-name", false, false},
    {"optional;website;comment;comments;notes;feedback", "text", NULL, true, false},
};
enum { N_VALUES = sizeof values / sizeof values[0] };

/* What can be chosen in a list of which only the label is drawn. */
static const struct {
    const char *phrases, *choices;
} lists[] = {
    {"size", "Small;Medium;Large"},
    {"color;colour", "Red;Green;Blue;Yellow"},
    {"guests;quantity;people;persons;how many;amount", "1;2;3;4;5;6"},
    {"language", "English;Deutsch;Español;Français"},
    {"day", "Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday"},
};

bool html_is_field(senses_page_tag tag)
{
    return tag == SENSES_PAGE_INPUT || tag == SENSES_PAGE_AREA || tag == SENSES_PAGE_SELECT || tag == SENSES_PAGE_CHECK ||
           tag == SENSES_PAGE_RADIO;
}

static size_t value_of(const char *label)
{
    size_t i = 0;
    while (i < N_VALUES && !html_has_phrase(label, values[i].phrases)) i++;
    return i;
}

static bool must_be_filled(const html_page *w, senses_page_tag tag, const char *label)
{
    if (strchr(label, '*') != NULL) return true;
    if (w->starred || tag == SENSES_PAGE_SELECT || tag == SENSES_PAGE_RADIO || html_has_phrase(label, "optional")) return false;
    if (tag == SENSES_PAGE_CHECK) return html_has_phrase(label, "agree;accept;terms");
    size_t v = value_of(label);
    return v == N_VALUES || !values[v].optional;
}

/* ---- one field ---- */

/* A list of words between ';': each goes through escaping as an option. */
static void add_options(html_page *w, const char *label)
{
    const char *choices = "Option 1;Option 2;Option 3";
    for (size_t i = sizeof lists / sizeof lists[0]; i-- > 0;)
        if (html_has_phrase(label, lists[i].phrases)) choices = lists[i].choices;
    html_add(&w->out, "<option value=\"\">Choose …</option>");
    while (*choices != '\0') {
        size_t n = strcspn(choices, ";");
        html_add(&w->out, "<option>");
        html_add_bytes(&w->out, choices, n);
        html_add(&w->out, "</option>");
        choices += n + (choices[n] == ';');
    }
}

/* The value's type, and how a browser may help to fill it in. `before`: name of the field before, which a repetition must equal. */
static void add_type(html_page *w, const char *label, const char *before)
{
    size_t v = value_of(label);
    html_addf(&w->out, " type=\"%s\"", v < N_VALUES ? values[v].type : "text");
    if (v == N_VALUES) return;
    if (values[v].complete != NULL) html_addf(&w->out, " autocomplete=\"%s\"", values[v].complete);
    if (strcmp(values[v].type, "tel") == 0) html_add(&w->out, " pattern=\"[0-9 \\(\\)+.\\/\\-]{5,}\"");
    if (strcmp(values[v].type, "number") == 0) html_add(&w->out, " min=\"0\" step=\"any\"");
    if (values[v].repeats && before != NULL) html_addf(&w->out, " data-same=\"%s\"", before);
}

void html_add_field(html_page *w, senses_page_tag tag, const char *name, const char *label, const char *before)
{
    bool required = must_be_filled(w, tag, label);
    html_addf(&w->out, "<p class=\"field\"><label for=\"%s\"%s>", name, label[0] == '\0' ? " class=\"unseen\"" : "");
    html_add_escaped(&w->out, label[0] != '\0' ? label : "Text");
    html_addf(&w->out, "</label><%s id=\"%s\" name=\"%s\" aria-describedby=\"%s-error\"%s",
              tag == SENSES_PAGE_AREA     ? "textarea rows=\"4\""
              : tag == SENSES_PAGE_SELECT ? "select"
                                          : "input",
              name, name, name, required ? " required" : "");
    if (tag == SENSES_PAGE_INPUT) add_type(w, label, before);
    html_add(&w->out, ">");
    if (tag == SENSES_PAGE_SELECT) add_options(w, label);
    if (tag != SENSES_PAGE_INPUT) html_add(&w->out, tag == SENSES_PAGE_AREA ? "</textarea>" : "</select>");
    html_addf(&w->out, "<span class=\"error\" id=\"%s-error\"></span></p>\n", name);
}

void html_write_field(html_page *w, size_t i)
{
    const senses_page_item *item = &w->page->items[i];
    char name[48], before[48];
    bool has_before = i > 0 && w->page->items[i - 1].tag == SENSES_PAGE_INPUT && i > w->form;
    snprintf(name, sizeof name, "field-%zu", i);
    snprintf(before, sizeof before, "field-%zu", i - 1);
    html_add_field(w, item->tag, name, item->text, has_before ? before : NULL);
}

/* Boxes in one group; those to choose one from share a name. */
void html_write_choices(html_page *w, size_t i, size_t end, bool ticked_off)
{
    bool radio = w->page->items[i].tag == SENSES_PAGE_RADIO;
    html_addf(&w->out, "<div class=\"choices%s\" role=\"%s\" aria-label=\"%s\">\n", ticked_off ? " checklist" : "",
              radio ? "radiogroup" : "group", radio ? "Choose one" : "Tick what applies");
    for (size_t first = i; i < end; i++) {
        const char *label = w->page->items[i].text;
        bool required = must_be_filled(w, w->page->items[i].tag, label);
        html_addf(&w->out, "<p class=\"choice\"><input type=\"%s\" id=\"field-%zu\" name=\"field-%zu\"%s", radio ? "radio" : "checkbox", i,
                  radio ? first : i, required ? " required" : "");
        if (required) html_addf(&w->out, " aria-describedby=\"field-%zu-error\"", i);
        html_addf(&w->out, "><label for=\"field-%zu\"%s>", i, label[0] == '\0' ? " class=\"unseen\"" : "");
        html_add_escaped(&w->out, label[0] != '\0' ? label : "Choice");
        html_add(&w->out, "</label>");
        if (required) html_addf(&w->out, "<span class=\"error\" id=\"field-%zu-error\"></span>", i);
        html_add(&w->out, "</p>\n");
    }
    html_add(&w->out, "</div>\n");
}
