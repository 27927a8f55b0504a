/* The interpreter of chat templates against Jinja (tests/golden/make_text_jinja.py), what it keeps of who wrote what, and its
 * bounds. */
#include "../core/sha256.h"
#include "../text/text.h"
#include "testing.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct tm today = {.tm_year = 126, .tm_mon = 6, .tm_mday = 30, .tm_wday = 4, .tm_yday = 210};
static const txt_jinja_setting setting = {"<B>", "<E>", &today};

static cJSON *read_json(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot open", path);
    fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *p = calloc(n + 1, 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, n, f), n);
    fclose(f);
    cJSON *j = cJSON_Parse(p);
    assert_non_null(j);
    free(p);
    return j;
}

static char *joined(const txt_parts *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->parts[i].n;
    char *all = calloc(n + 1, 1);
    assert_non_null(all);
    n = 0;
    for (size_t i = 0; i < p->n; n += p->parts[i++].n) memcpy(all + n, p->parts[i].text, p->parts[i].n);
    return all;
}

static txt_role role_of(const char *name)
{
    return strcmp(name, "system") == 0 ? TXT_SYSTEM : strcmp(name, "user") == 0 ? TXT_USER : TXT_ASSISTANT;
}

/* "" where the program refuses. */
static void digest(const txt_jinja *j, const cJSON *conversation, bool open, char hex[65])
{
    txt_message m[16];
    txt_parts parts = {0};
    size_t n = 0;
    const cJSON *c;
    cJSON_ArrayForEach(c, conversation)
    {
        const char *text = cJSON_GetObjectItem(c, "content")->valuestring;
        m[n++] = (txt_message){role_of(cJSON_GetObjectItem(c, "role")->valuestring), text, strlen(text)};
    }
    hex[0] = 0;
    if (txt_jinja_render(j, m, n, open, &setting, &parts, NULL) == SN_OK) {
        sn_sha256 h;
        sn_sha256_init(&h);
        for (size_t i = 0; i < parts.n; i++) sn_sha256_add(&h, parts.parts[i].text, parts.parts[i].n);
        sn_sha256_hex(&h, hex);
    }
    txt_parts_free(&parts);
}

static void the_models_templates_render_as_jinja_does(void **state)
{
    (void)state;
    cJSON *all = read_json("tests/golden/text/jinja.json"), *chat = read_json("tests/golden/text/chat.json");
    size_t n = 0, n_bad = 0, i = 0;
    const cJSON *t, *c;
    cJSON_ArrayForEach(t, cJSON_GetObjectItem(all, "templates"))
    {
        const cJSON *program = cJSON_GetObjectItem(t, "jinja");
        if (!cJSON_IsString(program)) program = cJSON_GetObjectItem(cJSON_GetArrayItem(chat, (int)i++), "jinja");
        txt_jinja *j = NULL;
        sn_err err = {0};
        const char *name = cJSON_GetObjectItem(t, "template")->valuestring;
        if (txt_jinja_open(&j, program->valuestring, strlen(program->valuestring), &err) != SN_OK) fail_msg("%s: %s", name, err.msg);
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(t, "cases"))
        {
            char hex[65];
            const cJSON *want = cJSON_GetArrayItem(c, 2);
            int k = cJSON_GetArrayItem(c, 0)->valueint;
            digest(j, cJSON_GetArrayItem(cJSON_GetObjectItem(all, "conversations"), k), cJSON_IsTrue(cJSON_GetArrayItem(c, 1)), hex);
            n++;
            if (strcmp(hex, cJSON_IsString(want) ? want->valuestring : "") == 0) continue;
            print_error("%s: conversation %d differs\n", name, k);
            n_bad++;
        }
        txt_jinja_close(j);
    }
    cJSON_Delete(all);
    cJSON_Delete(chat);
    assert_true(n > 1000);
    assert_int_equal(n_bad, 0);
}

static sn_status render_one(const char *program, const char *content, txt_parts *parts, sn_err *err)
{
    txt_jinja *j = NULL;
    const txt_message m = {TXT_USER, content, strlen(content)};
    sn_status s = txt_jinja_open(&j, program, strlen(program), err);
    if (s == SN_OK) s = txt_jinja_render(j, &m, 1, true, &setting, parts, err);
    txt_jinja_close(j);
    return s;
}

/* What comes out with what a message wrote in [ ]. */
static void gives(const char *program, const char *content, const char *want)
{
    txt_parts parts = {0};
    sn_err err = {0};
    if (render_one(program, content, &parts, &err) != SN_OK) fail_msg("%s: %s", program, err.msg);
    char got[512] = {0};
    for (size_t i = 0; i < parts.n; i++) {
        const txt_part *p = &parts.parts[i];
        size_t at = strlen(got);
        assert_true(at + p->n + 3 < sizeof got);
        snprintf(got + at, sizeof got - at, p->framing ? "%.*s" : "[%.*s]", (int)p->n, p->text);
    }
    assert_string_equal(got, want);
    txt_parts_free(&parts);
}

#define C "messages[0].content"
static void what_a_message_wrote_stays_data_whatever_is_done_with_it(void **state)
{
    (void)state;
    gives("<u>{{ " C " }}</u>", "<E>", "<u>[<E>]</u>");
    gives("{{ '<' + " C " | trim + '>' ~ 1 }}", "  a ", "<[a]>1");
    gives("{{ (" C " + '!') | upper }}", "ab", "[AB]!");
    gives("{{ ('<x>' + " C ")[1:5] }}", "abc", "x>[ab]");
    gives("{{ (" C " ~ '-')[::-1] }}", "ab", "-[ba]");
    gives("{{ " C ".split(',')[1] + '|' + " C ".replace('a', '<A>') }}", "a,b", "[b]|<A>[,b]");
    gives("{{ [" C ", 'c'] | join('+') }}", "a", "[a]+c");
    gives("{{ " C " | tojson }}", "a\"<E>\n", "\"[a\\\"<E>\\n]\"");
    gives("{{ [" C "] }}", "it's\n", "[\"[it's\\n]\"]");
    gives("{% set x %}<{{ " C " }}>{% endset %}{{ x.strip('<') }}", "a", "[a]>");
    gives("{% macro m(t) %}({{ t }}){% endmacro %}{{ m(" C ") | replace('(', '{') }}", "(", "{{)"); /* the program's own bytes */
    gives("{% for c in " C " %}{{ c }}.{% endfor %}", "ab", "[a].[b].");
    gives("{{ '{}|{0}'.format(" C ") }}", "<E>", "[<E>]|[<E>]");
    gives("{{ " C " | indent(2, first=true) }}", "a\nb", "  [a\n]  [b]");
    gives("{{ {" C ": 1} | items | list | tojson }}", "<E>", "[[\"[<E>]\", 1]]");
    gives("{{ bos_token }}{{ " C " }}", "<B>", "[<B>]"); /* only the program's own token is taken off */
    gives("{{ " C " }}", "<B>", "[<B>]");
}

static void media_come_out_where_the_program_writes_its_placeholder(void **state)
{
    (void)state;
    static const char lists[] =
        "{% for p in messages[0].content %}{% if p.type == 'image' %}<v><|image_pad|></v>{% else %}{{ p.text }}{% endif %}"
        "{% endfor %}";
    gives(lists,
          "a\xff"
          "b\xff",
          "[a]<v>[\xff]</v>[b]<v>[\xff]</v>");
    gives(lists, "\xff<|image_pad|>", "<v>[\xff]</v>[<|image_pad|>]"); /* a spelling in a message is none */
    gives("<u>{{ " C " }}</u>",
          "a\xff"
          "b",
          "<u>[a\xff"
          "b]</u>"); /* a program without lists: where the message has them */
}

static void fails(const char *program, const char *why)
{
    txt_parts parts = {0};
    sn_err err = {0};
    sn_status s = render_one(program, "x", &parts, &err);
    if (s == SN_OK || strstr(err.msg, why) == NULL) fail_msg("%.60s: status %d, \"%s\" lacks \"%s\"", program, s, err.msg, why);
    assert_null(strchr(err.msg, '\n'));
    assert_int_equal(parts.n, 0);
    txt_parts_free(&parts);
}

static void a_program_that_fails_says_where(void **state)
{
    (void)state;
    fails("a\nb{% if %}", "line 2");
    fails("a\n\n{{ x.y }}", "line 3: \"x\" is undefined");
    fails("{% for %}", "line 1");
    fails("{{ 'a }}", "string without an end");
    fails("{% if true %}", "endif");
    fails("{{ raise_exception('no\nway') }}", "refuses: no way");
    fails("{{ 1 + 'a' }}", "line 1");
    fails("{{ messages.append(1) }}", "may not change");
    fails("{{ x | nosuch }}", "no filter is called \"nosuch\"");
    fails("{{ 9223372036854775807 }}", "too many digits");
    fails("{{ 999999999999999999 * 999999999999999999 }}", "out of range");
    fails("{{ 1 // 0 }}", "out of range");
}

/* n times a, then what stands between, then n times b. */
static char *nested(const char *a, const char *between, const char *b, size_t n)
{
    char *p = calloc(n * (strlen(a) + strlen(b)) + strlen(between) + 1, 1), *at = p;
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, a);
    at = stpcpy(at, between);
    for (size_t i = 0; i < n; i++) at = stpcpy(at, b);
    return p;
}

static void a_hostile_program_ends_within_its_bounds(void **state)
{
    (void)state;
    static const char *const nests[][3] = {{"{{(", "", ""},        {"{% if x %}", "", "{% endif %}"}, {"{{ not ", "", ""},
                                           {"{{ -", "", ""},       {"{% for a in b %}", "", ""},      {"{{ [", "", ""},
                                           {"{% set x %}", "", ""}};
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        char *p = nested(nests[i][0], nests[i][1], nests[i][2], 30000);
        fails(p, "chat template");
        free(p);
    }
    static const char *const open[] = {"{{ ", "{{ "}, *const deep[] = {"(", "not "};
    for (size_t i = 0; i < 2; i++) {
        char *mid = nested(deep[i], "x", i == 0 ? ")" : "", 30000), *p = calloc(strlen(mid) + 16, 1);
        assert_non_null(p);
        stpcpy(stpcpy(stpcpy(p, open[i]), mid), " }}");
        fails(p, "chat template");
        free(mid);
        free(p);
    }
    char *sum = nested("1 + ", "1 }}", "", 30000), *p = calloc(strlen(sum) + 4, 1);
    stpcpy(stpcpy(p, "{{ "), sum);
    fails(p, "nested");
    free(sum);
    free(p);
    fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested");
    fails("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "more than");
    fails("{% set ns = namespace(s='aaaaaaaa') %}{% for a in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "more than");
    fails("{{ 'aaaaaaaaaaaaaaaa' * 999999999999 }}", "more than");
    fails("{{ range(999999999999) }}", "range of more than");
    fails("{% set ns = namespace(l=[]) %}{% for a in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}", "nested");
    fails("{% set ns = namespace(l=[]) %}{% for a in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l == [ns.l] }}{{ ns.l | tojson "
          "}}",
          "nested");
}

static void the_date_is_the_callers(void **state)
{
    (void)state;
    gives("{{ strftime_now('%d %b %Y') if strftime_now is defined else 'no' }}{{ " C " }}", "x", "30 Jul 2026[x]");
    txt_jinja *j = NULL;
    txt_parts parts = {0};
    static const char program[] = "{{ 'date' if strftime_now is defined else 'none' }}";
    const txt_message m = {TXT_USER, "", 0};
    assert_int_equal(txt_jinja_open(&j, program, strlen(program), NULL), SN_OK);
    assert_int_equal(txt_jinja_render(j, &m, 0, true, &(txt_jinja_setting){0}, &parts, NULL), SN_OK);
    char *all = joined(&parts);
    assert_string_equal(all, "none");
    free(all);
    txt_parts_free(&parts);
    txt_jinja_close(j);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_models_templates_render_as_jinja_does),
    cmocka_unit_test(what_a_message_wrote_stays_data_whatever_is_done_with_it),
    cmocka_unit_test(media_come_out_where_the_program_writes_its_placeholder),
    cmocka_unit_test(a_program_that_fails_says_where),
    cmocka_unit_test(a_hostile_program_ends_within_its_bounds),
    cmocka_unit_test(the_date_is_the_callers),
};
TESTING_MAIN("text_jinja", tests)
