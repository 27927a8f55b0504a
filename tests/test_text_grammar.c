/* test_text_grammar.c: grammars accept what they say, whole characters or bytes at a time, and refuse what is none. */
#include "../text/text.h"
#include "testing.h"

#include <cjson/cJSON.h>
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
    assert_true(matches("root ::= (\"a\"? \"b\"*)*", "abba"));
    assert_false(matches("root ::= ((\"a\"?)* \"b\"?)* \"c\"", "ab"));
    assert_true(matches("root ::= ((\"a\"?)* \"b\"?)* \"c\"", "aabac"));
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
    refused("root ::= e root \"c\" | \"b\"\ne ::= \"\"", "left recursion");
    refused("root ::= (root)* \"b\"", "left recursion");
    refused("root ::= \"a\"{,2}", "a number is missing");
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
    static const char pattern[] = "{\"type\":\"string\",\"pattern\":\"(?=a)\"}";
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
    assert_int_equal(txt_schema_from_fields("caf\xe9", &json, &err), SN_EUSAGE);
    assert_int_equal(txt_schema_from_fields("", &json, &err), SN_EUSAGE);
}

/* ---- what others take (tests/golden/make_grammar.py) ---- */

static cJSON *read_cases(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot open", path);
    fseek(f, 0, SEEK_END);
    const size_t n = (size_t)ftell(f);
    rewind(f);
    char *text = calloc(n + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, n, f), n);
    fclose(f);
    cJSON *cases = cJSON_Parse(text);
    assert_true(cJSON_GetArraySize(cases) > 30);
    free(text);
    return cases;
}

static void hold(const char *gbnf, const cJSON *one, const char *name)
{
    const cJSON *text;
    cJSON_ArrayForEach(text, cJSON_GetObjectItem(one, "yes"))
    {
        if (!matches(gbnf, text->valuestring)) fail_msg("%s: not taken: %s", name, text->valuestring);
    }
    cJSON_ArrayForEach(text, cJSON_GetObjectItem(one, "no"))
    {
        if (matches(gbnf, text->valuestring)) fail_msg("%s: taken: %s", name, text->valuestring);
    }
}

static void test_like_llama_cpp(void **state)
{
    (void)state;
    cJSON *cases = read_cases("tests/golden/grammar/gbnf.json"), *one;
    cJSON_ArrayForEach(one, cases)
    {
        const char *gbnf = cJSON_GetObjectItem(one, "grammar")->valuestring;
        if (cJSON_GetObjectItem(one, "refused"))
            refused(gbnf, "line ");
        else
            hold(gbnf, one, gbnf);
    }
    cJSON_Delete(cases);
}

static void test_like_jsonschema(void **state)
{
    (void)state;
    cJSON *cases = read_cases("tests/golden/grammar/schema.json"), *one;
    cJSON_ArrayForEach(one, cases)
    {
        char *schema = cJSON_PrintUnformatted(cJSON_GetObjectItem(one, "schema")), *gbnf = NULL;
        const cJSON *key = cJSON_GetObjectItem(one, "refused");
        sn_err err = {0};
        const sn_status st = txt_grammar_from_schema(schema, strlen(schema), &gbnf, &err);
        if (key && (st == SN_OK || !strstr(err.msg, key->valuestring)))
            fail_msg("%s: %s, not %s", schema, st ? err.msg : "taken", key->valuestring);
        if (!key && st != SN_OK) fail_msg("%s: %s", schema, err.msg);
        if (!key) hold(gbnf, one, schema);
        free(gbnf);
        free(schema);
    }
    cJSON_Delete(cases);
}

/* What a schema's reader could take otherwise than others do. */
static void test_doubtful_schemas(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"type\":\"null\",\"type\":\"string\"}", "twice"},
        {"{} x", "not JSON"},
        {"{\"const\":\"\xff\"}", "UTF-8"},
        {"", "not JSON"},
        {"{\"const\":\"\\u0000\"}", "u0000"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *gbnf = NULL;
        sn_err err = {0};
        if (txt_grammar_from_schema(bad[i][0], strlen(bad[i][0]), &gbnf, &err) == SN_OK) fail_msg("taken: %s", bad[i][0]);
        if (strstr(err.msg, bad[i][1]) == NULL) fail_msg("'%s' does not say '%s'", err.msg, bad[i][1]);
    }
    assert_true(schema_accepts("{\"const\":\"\\\\u0000\"}", "\"\\\\u0000\"")); /* a backslash, and letters */
    char wide[8192] = "{\"type\":\"object\",\"properties\":{";                 /* many that may all be left out */
    for (int i = 0; i < 200; i++) sprintf(wide + strlen(wide), "%s\"p%d\":{\"type\":\"null\"}", i ? "," : "", i);
    strcat(wide, "}}");
    assert_true(schema_accepts(wide, "{\"p7\":null,\"p199\":null}"));
    assert_false(schema_accepts(wide, "{\"p199\":null,\"p7\":null}"));
    char deep[4096] = ""; /* lists in lists: the grammar grows no faster than the schema */
    for (int i = 0; i < 60; i++) strcat(deep, "{\"type\":\"array\",\"items\":");
    strcat(deep, "true");
    for (int i = 0; i < 60; i++) strcat(deep, "}");
    assert_true(schema_accepts(deep, "[[[]]]"));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),       cmocka_unit_test(test_characters),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_explosion),      cmocka_unit_test(test_schema),          cmocka_unit_test(test_fields),
        cmocka_unit_test(test_like_llama_cpp), cmocka_unit_test(test_like_jsonschema), cmocka_unit_test(test_doubtful_schemas),
    };
    return testing_main("grammar", tests, sizeof tests / sizeof tests[0], argc, argv);
}
