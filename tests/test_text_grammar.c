/* test_text_grammar.c: grammars accept what they say, whole characters or bytes at a time, and refuse what is none. */
#include "../text/text.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

/* Whether all of text[n] is a text of the grammar, its bytes taken one by one. */
static bool matches(const char *gbnf, const char *text)
{
    txt_grammar *g = NULL;
    txt_matcher *m = NULL;
    sn_err err = {0};
    bool fits = true;
    if (txt_grammar_open(&g, gbnf, strlen(gbnf), &err) != SN_OK || txt_matcher_open(&m, g, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    for (; *text && fits; text++)
        if (txt_matcher_accept(m, text, 1, &fits, &err) != SN_OK) fail_msg("%s", err.msg);
    fits = fits && txt_matcher_may_end(m);
    txt_matcher_close(m);
    txt_grammar_close(g);
    return fits;
}

static void refused(const char *gbnf, const char *why)
{
    txt_grammar *g = NULL;
    sn_err err = {0};
    if (txt_grammar_open(&g, gbnf, strlen(gbnf), &err) == SN_OK) fail_msg("not refused: %s", gbnf);
    if (strstr(err.msg, why) == NULL) fail_msg("'%s' does not say '%s'", err.msg, why);
}

static void test_language(void **state)
{
    (void)state;
    assert_true(matches("root ::= \"a\\n\\x41\\u00e9\\U0001F600\"", "a\nA\xC3\xA9\xF0\x9F\x98\x80"));
    assert_true(matches("# a note\nroot ::= ( # another\n  \"1\"\n  [2-4]\n)+ | x |\n  \"z\"\nx ::= \"y\"{2}\n", "1213"));
    assert_true(matches("root ::= \"y\"{2}", "yy"));
    assert_false(matches("root ::= \"y\"{2}", "yyy"));
    assert_true(matches("root ::= \"y\"{2,}", "yyyyy"));
    assert_false(matches("root ::= \"y\"{2,}", "y"));
    assert_true(matches("root ::= \"y\"{1,3} \"z\"", "yyyz"));
    assert_false(matches("root ::= \"y\"{1,3} \"z\"", "yyyyz"));
    assert_true(matches("root ::= \"a\"? \"b\"*", ""));
    assert_true(matches("root ::= \"(\" root \")\" | \"\"", "((()))"));
    assert_false(matches("root ::= \"(\" root \")\" | \"\"", "((())"));
}

static void test_characters(void **state)
{
    (void)state;
    assert_true(matches("root ::= [\xC3\xA4-\xC3\xBC]+", "\xC3\xA4\xC3\xB6\xC3\xBC"));
    assert_false(matches("root ::= [\xC3\xA4-\xC3\xBC]+", "\xC3\xBD"));
    assert_true(matches("root ::= .", "\xF4\x8F\xBF\xBF"));
    assert_false(matches("root ::= .", "\xF4\x90\x80\x80")); /* above U+10FFFF */
    assert_false(matches("root ::= .", "\xED\xA0\x80"));     /* a surrogate */
    assert_false(matches("root ::= .", "\xC0\xAF"));         /* longer than needed */
    assert_false(matches("root ::= .", "\xE2\x82"));         /* cut */
    assert_true(matches("root ::= [^a\xE2\x82\xAC]", "\xE2\x82\xAD"));
    assert_false(matches("root ::= [^a\xE2\x82\xAC]", "\xE2\x82\xAC"));
    assert_false(matches("root ::= [^a\xE2\x82\xAC]", "a"));
}

static void test_refused(void **state)
{
    (void)state;
    refused("root ::= \"a\nx ::= \"b\"", "line 1: a literal or class is not closed");
    refused("root ::= \"a\"\nx ::= (\"b\"\n", "a group is not closed");
    refused("root ::= x", "rule x is not defined");
    refused("x ::= \"a\"", "rule root is not defined");
    refused("root ::= root \"a\" | \"b\"", "left recursion in rule root");
    refused("root ::= e root | \"b\"\ne ::= \"\"", "left recursion");
    refused("root ::= (\"a\"?)*", "left recursion");
    refused("root ::= \"a\" root", "can never end");
    refused("root ::= \"a\"{99999}", "line 1: a repetition of more than 10000");
    refused("root ::= ((\"a\"{10000}){10000}){10000} \"b\" | \"\"\nroot ::= \"\"", "defined already");
    refused("root ::= \"a\"{3,2}", "end lies before");
    refused("root ::= [b-a]", "end lies before");
    refused("root ::= \"\\q\"", "an escape that is not known");
    refused("root ::= \"\\ud800\"", "names no character");
    refused("\n\nroot = \"a\"", "line 3: '::=' was expected");
    char deep[400] = "root ::= ";
    memset(deep + 9, '(', 300);
    refused(deep, "nested too deeply");
}

/* Stacks that double with each rule: an error, and soon. */
static void test_explosion(void **state)
{
    (void)state;
    char gbnf[4096] = "root ::= x0\nx40 ::= \"a\"\n";
    for (int i = 0; i < 40; i++) {
        char line[64];
        snprintf(line, sizeof line, "x%d ::= x%d \"a\" | x%d \"b\"\n", i, i + 1, i + 1);
        strcat(gbnf, line);
    }
    txt_grammar *g = NULL;
    txt_matcher *m = NULL;
    sn_err err = {0};
    assert_int_equal(txt_grammar_open(&g, gbnf, strlen(gbnf), &err), SN_OK);
    assert_int_equal(txt_matcher_open(&m, g, NULL, &err), SN_ELIMIT);
    txt_grammar_close(g);
}

static bool schema_accepts(const char *schema, const char *json)
{
    char *gbnf = NULL;
    sn_err err = {0};
    if (txt_grammar_from_schema(schema, strlen(schema), &gbnf, &err) != SN_OK) fail_msg("%s", err.msg);
    const bool good = matches(gbnf, json);
    free(gbnf);
    return good;
}

static void test_schema(void **state)
{
    (void)state;
    static const char object[] = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":[\"string\",\"null\"]},"
                                 "\"c\":{\"enum\":[\"x\\\"\",2]}},\"required\":[\"b\"]}";
    assert_true(schema_accepts(object, "{\"a\": -12, \"b\": null, \"c\": 2}"));
    assert_true(schema_accepts(object, "{\"b\": \"q\", \"c\": \"x\\\"\"}"));
    assert_true(schema_accepts(object, "{\"b\":\"\\ud83d\\ude00\"}"));
    assert_false(schema_accepts(object, "{\"b\":\"\\ud83d\"}"));
    assert_false(schema_accepts(object, "{\"a\": 1}"));
    assert_false(schema_accepts(object, "{\"a\": 01, \"b\": null}"));
    assert_true(schema_accepts("{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"}}}", "{\"b\":null}"));
    assert_true(schema_accepts("{\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{\"type\":\"null\"}}}", "{}"));
    static const char list[] = "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"minItems\":1,\"maxItems\":2}";
    assert_true(schema_accepts(list, "[true, false]"));
    assert_false(schema_accepts(list, "[]"));
    assert_false(schema_accepts(list, "[true,true,true]"));
    static const char tree[] = "{\"$defs\":{\"t\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/t\"}}},\"$ref\":\"#/$defs/t\"}";
    assert_true(schema_accepts(tree, "[[], [[]]]"));
    assert_true(schema_accepts("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-02-28\""));
    assert_false(schema_accepts("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-04-31\""));
    assert_true(schema_accepts("{\"type\":\"integer\",\"minimum\":-1,\"maximum\":3}", "-1"));
    assert_false(schema_accepts("{\"type\":\"integer\",\"minimum\":-1,\"maximum\":3}", "4"));
    char *gbnf = NULL;
    sn_err err = {0};
    static const char pattern[] = "{\"type\":\"string\",\"pattern\":\"a\"}";
    assert_int_equal(txt_grammar_from_schema(pattern, strlen(pattern), &gbnf, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "\"pattern\""));
}

static void test_fields(void **state)
{
    (void)state;
    char *json = NULL;
    sn_err err = {0};
    assert_int_equal(txt_schema_from_fields("title, n:int , kind:a|b, tags[], sizes[]:number, note?", &json, &err), SN_OK);
    assert_true(schema_accepts(json, "{\"title\":\"x\",\"n\":1,\"kind\":\"b\",\"tags\":[],\"sizes\":[1.5]}"));
    assert_false(schema_accepts(json, "{\"title\":\"x\",\"n\":1,\"kind\":\"c\",\"tags\":[],\"sizes\":[1.5]}"));
    free(json);
    assert_int_equal(txt_schema_from_fields("a, a", &json, &err), SN_EUSAGE);
    assert_int_equal(txt_schema_from_fields("a:what", &json, &err), SN_EUSAGE);
    assert_int_equal(txt_schema_from_fields("", &json, &err), SN_EUSAGE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),  cmocka_unit_test(test_characters), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_explosion), cmocka_unit_test(test_schema),     cmocka_unit_test(test_fields),
    };
    return testing_main("grammar", tests, sizeof tests / sizeof tests[0], argc, argv);
}
