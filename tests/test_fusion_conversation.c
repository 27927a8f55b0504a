/* What of a conversation is read next, where the program that frames it writes earlier turns otherwise than they were read. */
#include "../fusion/conversation.h"
#include "text_gguf.h"

#include <string.h>
#include <time.h>

#define MARK "\xFF"

static txt_framing *framing_by(const char *program)
{
    static const char *const tokens[] = {"<B>", "<E>", "a"};
    static const int32_t types[] = {3, 3, 1};
    const struct tm today = {.tm_year = 126, .tm_mon = 6, .tm_mday = 30};
    txt_framing *f = NULL;
    txt_vocab *v = NULL;
    sn_err err = {0};
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
    gg_str(&g, "tokenizer.chat_template", program, strlen(program));
    sn_gguf *file = gg_open(&g);
    assert_int_equal(txt_vocab_open(&v, file, &err), SN_OK);
    if (txt_framing_open(&f, file, v, NULL, &today, &err) != SN_OK) fail_msg("%s", err.msg);
    txt_vocab_close(v);
    sn_gguf_close(file);
    return f;
}

/* The user's turn; what is to be read of it. The pictures are looked at by nobody here. */
static void asks(fus_conversation *c, const char *prompt, size_t n_media, const char *want)
{
    static const unsigned char picture;
    senses_medium media[2] = {{0}};
    txt_parts parts = {0};
    sn_err err = {0};
    char got[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < n_media; i++) media[i].image = (const void *)&picture;
    if (fus_conversation_ask(c, prompt, media, n_media, &parts, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < parts.n; n += parts.parts[i++].n) {
        assert_true(n + parts.parts[i].n < sizeof got);
        memcpy(got + n, parts.parts[i].text, parts.parts[i].n);
    }
    assert_string_equal(got, want);
    txt_parts_free(&parts);
}

static void answers(fus_conversation *c, const char *text)
{
    sn_err err = {0};
    assert_int_equal(fus_conversation_answered(c, text, strlen(text), &err), SN_OK);
}

static void conversation(fus_conversation *c, const char *program, const char *system)
{
    sn_err err = {0};
    *c = (fus_conversation){.framed = framing_by(program)};
    if (system != NULL) assert_int_equal(fus_conversation_system(c, system, &err), SN_OK);
}

static void end(fus_conversation *c)
{
    txt_framing *f = (txt_framing *)(uintptr_t)c->framed;
    fus_conversation_free(c);
    txt_framing_close(f);
}

/* As Qwen 3 drops an answer's thoughts, and LLaVA writes pictures on lines of their own, before the words. */
static void a_turn_of_several_parts_is_read_whole(void **state)
{
    static const char program[] =
        "{% for m in messages %}{% if m.role == 'user' %}<u>{% for c in m.content if c.type == 'image' %}{{ '<image>\n' }}{% endfor %}"
        "{% for c in m.content if c.type == 'text' %}{{ c.text }}|{% endfor %}"
        "{% else %}<a>{% for c in m.content %}{{ c.text.split('/think')[-1] | trim }}{% endfor %}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<a>{% endif %}";
    fus_conversation c;
    (void)state;
    conversation(&c, program, NULL);
    asks(&c, "one", 1, "<u>" MARK "\none|<a>");
    answers(&c, "hm/think a cat");
    asks(&c, "two <__media__> three", 1, "<u>" MARK "\ntwo | three|<a>");
    answers(&c, "so/think a dog");
    asks(&c, "four", 2, "<u>" MARK "\n" MARK "\nfour|<a>");
    end(&c);
}

/* An answer that was stopped before it said anything, and one of thoughts alone: what begins the answer is not read again. */
static void an_answer_that_shows_nothing_has_its_place(void **state)
{
    static const char program[] =
        "{% for m in messages %}{% if m.role == 'user' %}{% if loop.last %}[{{ today or '' }}]{% endif %}<u>{{ m.content }}|"
        "{% else %}<a>{{ m.content.split('/think')[-1] | trim }}|{% endif %}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}";
    fus_conversation c;
    (void)state;
    conversation(&c, program, NULL);
    asks(&c, "one", 0, "[]<u>one|<a>");
    answers(&c, "");
    asks(&c, "two", 0, "|[]<u>two|<a>");
    answers(&c, "hm/think");
    asks(&c, "three", 1, "|[]<u>" MARK "three|<a>");
    answers(&c, " yes");
    asks(&c, "four", 0, "|[]<u>four|<a>");
    end(&c);
}

/* What is said of a turn whose media do not come out as they went in. The turn is not one of the conversation then. */
static void a_template_that_loses_or_doubles_media_is_named(void **state)
{
    static const struct {
        const char *program, *part;
    } cases[] = {
        {"{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "writes 2 places for the 1 media of this turn"},
        {"{% for m in messages %}{{ m.content | replace('\xFF', '') }}{{ m.content[1:] }}{% endfor %}",
         "writes 0 places for the 1 media of this turn"},
    };
    static const unsigned char picture;
    const senses_medium medium = {.image = (const void *)&picture};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fus_conversation c;
        txt_parts parts = {0};
        sn_err err = {0};
        conversation(&c, cases[i].program, NULL);
        assert_int_equal(fus_conversation_ask(&c, "what", &medium, 1, &parts, &err), SN_EFORMAT);
        if (strstr(err.msg, "the chat template in ") == NULL || strstr(err.msg, cases[i].part) == NULL) fail_msg("%s", err.msg);
        assert_int_equal(c.n, 0);
        assert_int_equal(c.read.n, 0);
        assert_int_equal(parts.n, 0);
        end(&c);
    }
}

/* As Mistral's programs put the system's words before the last turn of the user's. */
static void a_system_that_wanders_is_read_again(void **state)
{
    static const char program[] =
        "{% for m in messages %}{% if m.role == 'user' %}[INST]{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content }}"
        "\n{% endif %}{{ m.content }}[/INST]{% elif m.role == 'assistant' %}{{ m.content }}</s>{% endif %}{% endfor %}";
    fus_conversation c;
    (void)state;
    conversation(&c, program, "Be brief.");
    asks(&c, "one", 0, "[INST]Be brief.\none[/INST]");
    answers(&c, "first");
    asks(&c, "two", 0, "</s>[INST]Be brief.\ntwo[/INST]");
    answers(&c, "second");
    asks(&c, "three", 0, "</s>[INST]Be brief.\nthree[/INST]");
    end(&c);
}

/* What is as it was read, to the byte, is not looked at twice. */
static void what_was_read_is_dropped(void **state)
{
    static const char program[] =
        "{% for m in messages %}<{{ m.role[0] }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}";
    fus_conversation c;
    (void)state;
    conversation(&c, program, "S");
    asks(&c, "one", 0, "<s>S<u>one<a>");
    answers(&c, "two\n");
    asks(&c, "two", 0, "<u>two<a>");
    end(&c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_shows_nothing_has_its_place),
        cmocka_unit_test(a_template_that_loses_or_doubles_media_is_named),
        cmocka_unit_test(a_turn_of_several_parts_is_read_whole),
        cmocka_unit_test(a_system_that_wanders_is_read_again),
        cmocka_unit_test(what_was_read_is_dropped),
    };
    return testing_main("fusion_conversation", tests, sizeof tests / sizeof *tests, argc, argv);
}
