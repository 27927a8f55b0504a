/* The interpreter of chat templates against Jinja (tests/golden/make_text_jinja.py), what it keeps of who wrote what, and its
 * bounds. */
#include "../core/sha256.h"
#include "../text/text.h"
#include "text_gguf.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct tm today = {.tm_year = 126, .tm_mon = 6, .tm_mday = 30, .tm_wday = 4, .tm_yday = 210};
static const txt_jinja_setting setting = {"<B>", "<E>", &today, false};

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

/* A text with the marks of media for "<MARK>". */
static void marked(char *out, const char *text)
{
    for (; *text != '\0'; text++) {
        const bool mark = strncmp(text, "<MARK>", 6) == 0;
        *out++ = mark ? TXT_MEDIA_MARK : *text;
        text += mark ? 5 : 0;
    }
    *out = '\0';
}

/* The digest of what the parts say, <MARK> where a medium stands; "" where the program refused. */
static void digest(txt_parts *parts, sn_status st, char hex[65])
{
    sn_sha256 h;
    sn_sha256_init(&h);
    for (size_t i = 0; i < parts->n; i++)
        for (size_t k = 0; k < parts->parts[i].n; k++) {
            const char *at = &parts->parts[i].text[k];
            const bool mark = *at == TXT_MEDIA_MARK;
            sn_sha256_add(&h, mark ? "<MARK>" : at, mark ? 6 : 1);
        }
    sn_sha256_hex(&h, hex);
    if (st != SN_OK) hex[0] = 0;
    txt_parts_free(parts);
    *parts = (txt_parts){0};
}

static size_t messages_of(const cJSON *all, const cJSON *c, txt_message *m)
{
    size_t n = 0;
    const cJSON *turn;
    cJSON_ArrayForEach(turn, cJSON_GetArrayItem(cJSON_GetObjectItem(all, "conversations"), cJSON_GetArrayItem(c, 0)->valueint))
    {
        const char *text = cJSON_GetObjectItem(turn, "content")->valuestring;
        m[n++] = (txt_message){role_of(cJSON_GetObjectItem(turn, "role")->valuestring), text, strlen(text)};
    }
    return n;
}

static const char *program_of(const cJSON *t, const cJSON *chat, size_t *i)
{
    const cJSON *program = cJSON_GetObjectItem(t, "jinja");
    if (!cJSON_IsString(program)) program = cJSON_GetObjectItem(cJSON_GetArrayItem(chat, (int)(*i)++), "jinja");
    return program->valuestring;
}

static void the_models_templates_render_as_jinja_does(void **state)
{
    (void)state;
    cJSON *all = read_json("tests/golden/text/jinja.json"), *chat = read_json("tests/golden/text/chat.json");
    size_t n = 0, n_bad = 0, i = 0;
    const cJSON *t, *c;
    cJSON_ArrayForEach(t, cJSON_GetObjectItem(all, "templates"))
    {
        const char *program = program_of(t, chat, &i);
        txt_jinja *j = NULL;
        sn_err err = {0};
        const char *name = cJSON_GetObjectItem(t, "template")->valuestring;
        if (txt_jinja_open(&j, program, strlen(program), &err) != SN_OK) fail_msg("%s: %s", name, err.msg);
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(t, "cases"))
        {
            char hex[65];
            const cJSON *want = cJSON_GetArrayItem(c, 2);
            int k = cJSON_GetArrayItem(c, 0)->valueint;
            txt_message m[16];
            txt_parts parts = {0};
            const size_t n_m = messages_of(all, c, m);
            digest(&parts, txt_jinja_render(j, m, n_m, cJSON_IsTrue(cJSON_GetArrayItem(c, 1)), &setting, &parts, NULL), hex);
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
    gives("{% for p in messages[0].content %}{% if p.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ p.text }}"
          "{% endif %}{% endfor %}",
          "\xff"
          "b",
          "[\xff"
          "b]"); /* what the encoder's family writes around its rows is not written twice */
    gives("{% for p in messages[0].content %}{% if p.type == 'audio' %}Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\n{% elif p.type == "
          "'text' "
          "%}{{ p.text }}{% endif %}{% endfor %}",
          "\xff"
          "b",
          "Audio 1: [\xff]\n[b]");
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

/* ---- what a session uses of a file with a program ---- */

/* A file with a vocabulary of <B> and <E>, and the program. */
static sn_gguf *file_with(const char *program, bool add_bos)
{
    static const char *const tokens[] = {"<B>", "<E>", "a"};
    static const int32_t types[] = {3, 3, 1};
    gg g;
    gg_begin(&g);
    gg_str(&g, "general.architecture", "llama", 5);
    gg_str(&g, "tokenizer.ggml.model", "gpt2", 4);
    gg_str(&g, "tokenizer.ggml.pre", "gpt-2", 5);
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, 3);
    gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, 3);
    gg_put(&g, types, sizeof types);
    gg_strs(&g, "tokenizer.ggml.merges", NULL, 0);
    gg_int(&g, "tokenizer.ggml.bos_token_id", 0);
    gg_int(&g, "tokenizer.ggml.eos_token_id", 1);
    gg_bool(&g, "tokenizer.ggml.add_bos_token", add_bos);
    gg_str(&g, "tokenizer.chat_template", program, strlen(program));
    return gg_open(&g);
}

static sn_status open_framing(txt_framing **f, const char *program, bool add_bos, const char *name, sn_err *err)
{
    sn_gguf *g = file_with(program, add_bos);
    txt_vocab *v = NULL;
    assert_int_equal(txt_vocab_open(&v, g, err), SN_OK);
    const sn_status st = txt_framing_open(f, g, v, name, &today, err);
    txt_vocab_close(v);
    sn_gguf_close(g);
    return st;
}

/* Conversation k of those with media; false where Jinja refuses it. */
static bool media_as_wanted(const txt_framing *f, const cJSON *all, const cJSON *want, int k)
{
    txt_message m[8];
    txt_parts parts = {0};
    char texts[8][64], hex[65];
    const cJSON *turn;
    size_t n = 0;
    cJSON_ArrayForEach(turn, cJSON_GetArrayItem(cJSON_GetObjectItem(all, "media"), k))
    {
        marked(texts[n], cJSON_GetArrayItem(turn, 1)->valuestring);
        m[n] = (txt_message){role_of(cJSON_GetArrayItem(turn, 0)->valuestring), texts[n], strlen(texts[n])};
        n++;
    }
    digest(&parts, txt_framing_render(f, m, n, true, &parts, NULL, NULL), hex);
    return !cJSON_IsString(want) || strcmp(hex, want->valuestring) == 0;
}

static void files_programs_frame_conversations_and_media(void **state)
{
    (void)state;
    cJSON *all = read_json("tests/golden/text/jinja.json"), *chat = read_json("tests/golden/text/chat.json");
    size_t n = 0, n_bad = 0, i = 0;
    const cJSON *t, *c;
    cJSON_ArrayForEach(t, cJSON_GetObjectItem(all, "templates"))
    {
        txt_framing *f = NULL;
        sn_err err = {0};
        int k = 0;
        if (open_framing(&f, program_of(t, chat, &i), true, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(t, "cases"))
        {
            txt_message m[16];
            txt_parts parts = {0};
            char hex[65];
            const cJSON *want = cJSON_GetArrayItem(c, 2);
            if (!cJSON_IsString(want)) continue; /* the program refuses: that is said, or the table's entry is written */
            const size_t n_m = messages_of(all, c, m);
            digest(&parts, txt_framing_render(f, m, n_m, cJSON_IsTrue(cJSON_GetArrayItem(c, 1)), &parts, NULL, NULL), hex);
            n++;
            n_bad += strcmp(hex, want->valuestring) != 0;
        }
        cJSON_ArrayForEach(c, cJSON_GetObjectItem(t, "media"))
        {
            n++;
            if (media_as_wanted(f, all, c, k++)) continue;
            print_error("%s: media %d differ\n", cJSON_GetObjectItem(t, "template")->valuestring, k - 1);
            n_bad++;
        }
        txt_framing_close(f);
    }
    cJSON_Delete(all);
    cJSON_Delete(chat);
    assert_true(n > 2000);
    assert_int_equal(n_bad, 0);
}

/* by: how what framed it is called, in part */
static void framed_as(const char *program, bool add_bos, const char *name, txt_role role, const char *want, const char *by)
{
    char said[TXT_FRAMED_MAX] = "";
    txt_parts parts = {0};
    txt_framing *f = NULL;
    sn_err err = {0};
    const txt_message m[] = {{role, "x", 1}, {TXT_USER, "y", 1}};
    if (open_framing(&f, program, add_bos, name, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(txt_framing_render(f, m, 2, true, &parts, said, NULL), SN_OK);
    if (strstr(said, by) == NULL) fail_msg("%s: wanted %s", said, by);
    char *all = joined(&parts);
    assert_string_equal(all, want);
    free(all);
    txt_parts_free(&parts);
    txt_framing_close(f);
}

static void what_frames_a_conversation_is_the_program_or_the_table(void **state)
{
    (void)state;
    static const char own[] = "{{ bos_token }}{% for m in messages %}({{ m.content }}){% endfor %}",
                      strict[] = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}<start_of_turn><end_of_turn>";
    framed_as(own, true, NULL, TXT_SYSTEM, "(x)(y)", "the chat template in "); /* the tokenizer adds <B> */
    framed_as(own, false, NULL, TXT_SYSTEM, "<B>(x)(y)", "the chat template in ");
    framed_as(own, true, "chatml", TXT_SYSTEM, /* another one was asked for */
              "<|im_start|>system\nx<|im_end|>\n<|im_start|>user\ny<|im_end|>\n<|im_start|>assistant\n",
              "the built-in chat template chatml (asked for)");
    framed_as("mistral-v7-tekken", true, NULL, TXT_SYSTEM, "[SYSTEM_PROMPT]x[/SYSTEM_PROMPT][INST]y[/INST]",
              "template mistral-v7-tekken (the file has none of its own)"); /* some files only name it */
    framed_as(strict, true, NULL, TXT_SYSTEM,                               /* it refuses what Gemma's entry puts into the user's turn */
              "<start_of_turn>user\nx\n\ny<end_of_turn>\n<start_of_turn>model\n",
              "template gemma (the file's own failed: chat template, line 1: it refuses: no)");
    framed_as("{% if %}<|im_start|>", true, NULL, TXT_SYSTEM, /* no program, but it is known what was meant */
              "<|im_start|>system\nx<|im_end|>\n<|im_start|>user\ny<|im_end|>\n<|im_start|>assistant\n",
              "template chatml (the file's own is no program that can be run)");
    txt_framing *f = NULL;
    sn_err err = {0};
    assert_int_equal(open_framing(&f, "{% if %}", true, NULL, &err), SN_EFORMAT);
    if (strstr(err.msg, "chat template, line 1") == NULL) fail_msg("%s", err.msg);
    assert_int_equal(open_framing(&f, "some words", true, NULL, &err), SN_EUNSUPPORTED);
    assert_int_equal(open_framing(&f, own, true, "nosuch", &err), SN_EUSAGE);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_models_templates_render_as_jinja_does),
    cmocka_unit_test(what_a_message_wrote_stays_data_whatever_is_done_with_it),
    cmocka_unit_test(media_come_out_where_the_program_writes_its_placeholder),
    cmocka_unit_test(files_programs_frame_conversations_and_media),
    cmocka_unit_test(what_frames_a_conversation_is_the_program_or_the_table),
    cmocka_unit_test(a_program_that_fails_says_where),
    cmocka_unit_test(a_hostile_program_ends_within_its_bounds),
    cmocka_unit_test(the_date_is_the_callers),
};
TESTING_MAIN("text_jinja", tests)
