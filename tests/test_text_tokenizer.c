/* Vocabularies and tokenizers against the ids of transformers (llama.cpp's vocabulary suites), of Hugging Face tokenizers
 * (tests/golden/make_text_tokens.py), and against what must hold of any text: nothing lost, no control token out of data. */
#include "../text/vocab_internal.h"
#include "text_gguf.h"

#include <cjson/cJSON.h>

static char *read_text(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s: cannot open", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    p[*n] = 0;
    return p;
}

static txt_vocab *open_vocab(const char *path)
{
    sn_gguf *g = NULL;
    txt_vocab *v = NULL;
    sn_err err = {0};
    if (sn_gguf_open(&g, path, &err) != SN_OK || txt_vocab_open(&v, g, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_close(g); /* the vocabulary has copied what it needs */
    return v;
}

static txt_ids ids_of(const txt_vocab *v, const char *text, size_t n, unsigned flags)
{
    txt_ids ids = {0};
    sn_err err = {0};
    if (txt_tokenize(v, text, n, flags, &ids, &err) != SN_OK) fail_msg("%s", err.msg);
    return ids;
}

/* The text of ids; free(). */
static char *text_of(const txt_vocab *v, const txt_ids *ids, size_t *n)
{
    size_t total = 0;
    for (size_t i = 0; i < ids->n; i++) total += txt_piece(v, ids->ids[i], true, NULL, 0);
    char *text = malloc(total + 1);
    assert_non_null(text);
    *n = 0;
    for (size_t i = 0; i < ids->n; i++) *n += txt_piece(v, ids->ids[i], true, text + *n, total - *n);
    assert_int_equal(*n, total);
    text[total] = 0;
    return text;
}

static void expect_round_trip(const txt_vocab *v, const char *text, size_t n)
{
    size_t n_back, lead;
    txt_ids ids = ids_of(v, text, n, TXT_PLAIN);
    char *back = text_of(v, &ids, &n_back);
    lead = txt_vocab_space_prefix(v) && n > 0; /* the blank that SentencePiece puts in front */
    assert_int_equal(n_back, n + lead);
    assert_memory_equal(back + lead, text, n);
    if (lead) assert_int_equal(back[0], ' ');
    free(back);
    txt_ids_free(&ids);
}

static void expect_ids(const txt_ids *got, const txt_id *want, size_t n_want, const char *text)
{
    bool same = got->n == n_want;
    for (size_t i = 0; same && i < n_want; i++) same = got->ids[i] == want[i];
    if (same) return;
    print_error("\"%s\"\n  want", text);
    for (size_t i = 0; i < n_want; i++) print_error(" %d", want[i]);
    print_error("\n  got ");
    for (size_t i = 0; i < got->n; i++) print_error(" %d", got->ids[i]);
    fail_msg("ids differ");
}

/* ---- llama.cpp's suites: texts in one file, ids in the other ---- */
static void check_suite(const char *vocab, const char *out)
{
    static const char between[] = "\n__ggml_vocab_test__\n";
    size_t n_inp, n_out, n_cases = 0;
    if (vocab == NULL) testing_skip("this vocabulary is fetched by make models-test");
    char *inp = read_text("tests/golden/text/vocab.inp", &n_inp), *line = read_text(out, &n_out), *lines = line;
    txt_vocab *v = open_vocab(vocab);
    for (char *text = inp; text != NULL; n_cases++) {
        char *end = strstr(text, between);
        size_t n = end ? (size_t)(end - text) : n_inp - (size_t)(text - inp);
        txt_id want[512];
        size_t n_want = 0;
        for (char *eol = strchr(line, '\n'); line < eol && n_want < 512;) {
            while (*line == ' ') line++;
            if (line < eol) want[n_want++] = (txt_id)strtol(line, &line, 10);
        }
        line++;
        txt_ids got = ids_of(v, text, n, TXT_PLAIN);
        expect_ids(&got, want, n_want, text);
        txt_ids_free(&got);
        text = end ? end + sizeof between - 1 : NULL;
    }
    assert_int_equal(n_cases, 47);
    txt_vocab_close(v);
    free(inp);
    free(lines);
}

static void suite_llama_spm(void **state)
{
    (void)state;
    check_suite("tests/golden/text/vocab_spm.gguf", "tests/golden/text/vocab_spm.out");
}

static void suite_llama_bpe(void **state)
{
    (void)state;
    check_suite(testing_model("ggml-vocab-llama-bpe.gguf"), "tests/golden/text/vocab_llama_bpe.out");
}

static void suite_gpt_2(void **state)
{
    (void)state;
    check_suite(testing_model("ggml-vocab-gpt-2.gguf"), "tests/golden/text/vocab_gpt_2.out");
}

static void suite_qwen2(void **state)
{
    (void)state;
    check_suite(testing_model("ggml-vocab-qwen2.gguf"), "tests/golden/text/vocab_qwen2.out");
}

/* ---- Hugging Face tokenizers ---- */
static void bpe_ids_are_those_of_hugging_face(void **state)
{
    (void)state;
    size_t n;
    char *json = read_text("tests/golden/text/bpe_ids.json", &n);
    cJSON *all = cJSON_Parse(json);
    const cJSON *e, *id;
    txt_vocab *v = open_vocab("tests/golden/text/bpe.gguf");
    assert_true(cJSON_GetArraySize(all) > 200);
    cJSON_ArrayForEach(e, all)
    {
        const char *text = cJSON_GetObjectItem(e, "text")->valuestring;
        txt_id want[1024];
        size_t n_want = 0;
        cJSON_ArrayForEach(id, cJSON_GetObjectItem(e, "ids")) want[n_want++] = id->valueint;
        txt_ids got = ids_of(v, text, strlen(text), TXT_PLAIN);
        expect_ids(&got, want, n_want, text);
        txt_ids_free(&got);
        expect_round_trip(v, text, strlen(text));
    }
    txt_vocab_close(v);
    cJSON_Delete(all);
    free(json);
}

static void check_words(const txt_pre *pre, const char *name, const char *text, const cJSON *lengths)
{
    txt_spans words = {0};
    sn_err err = {0};
    size_t k = 0, at = 0;
    const cJSON *len;
    if (txt_pre_split(pre, text, strlen(text), &words, &err) != SN_OK) fail_msg("%s", err.msg);
    cJSON_ArrayForEach(len, lengths)
    {
        if (k >= words.n || words.spans[k].off != at || words.spans[k].n != (size_t)len->valueint)
            fail_msg("%s: \"%s\": word %zu: want %zu + %d, got %zu + %zu", name, text, k, at, len->valueint,
                     k < words.n ? words.spans[k].off : 0, k < words.n ? words.spans[k].n : 0);
        at += (size_t)len->valueint;
        k++;
    }
    assert_int_equal(k, words.n);
    assert_int_equal(at, strlen(text));
    sn_free(words.spans);
}

static void pre_tokenizers_cut_as_hugging_face_does(void **state)
{
    (void)state;
    size_t n, n_families = 0;
    char *json = read_text("tests/golden/text/pretokens.json", &n);
    cJSON *all = cJSON_Parse(json);
    const cJSON *family, *texts = cJSON_GetObjectItem(all, "texts");
    cJSON_ArrayForEach(family, cJSON_GetObjectItem(all, "lengths"))
    {
        txt_pre *pre = NULL;
        bool whole_words, add_bos;
        sn_err err = {0};
        if (txt_pre_open(&pre, (sn_str){family->string, strlen(family->string)}, &whole_words, &add_bos, &err) != SN_OK)
            fail_msg("%s", err.msg);
        const cJSON *text = texts->child, *lengths = family->child;
        for (; text && lengths; text = text->next, lengths = lengths->next) check_words(pre, family->string, text->valuestring, lengths);
        assert_true(text == NULL && lengths == NULL);
        txt_pre_close(pre);
        n_families++;
    }
    assert_int_equal(n_families, 9);
    cJSON_Delete(all);
    free(json);
}

/* ---- text is data ---- */
static bool has_control(const txt_vocab *v, const txt_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        if (txt_vocab_is_control(v, ids->ids[i])) return true;
    return false;
}

static void check_spelling(const txt_vocab *v, txt_id control)
{
    char spelling[256], text[600];
    size_t n = txt_piece(v, control, true, spelling, sizeof spelling);
    assert_int_equal(txt_piece(v, control, false, text, sizeof text), 0); /* it has no text of its own */
    static const char *const around[][2] = {{"", ""}, {" ", " "}, {"a", "b"}, {"<", ">"}, {"\n", "\n"}, {"<|im_", "<|"}};
    for (size_t i = 0; i < sizeof around / sizeof around[0]; i++) {
        size_t len = (size_t)snprintf(text, sizeof text, "%s%.*s%s", around[i][0], (int)n, spelling, around[i][1]);
        txt_ids plain = ids_of(v, text, len, TXT_PLAIN);
        assert_false(has_control(v, &plain));
        txt_ids_free(&plain);
        expect_round_trip(v, text, len);
    }
    txt_ids parsed = ids_of(v, spelling, n, TXT_PARSE_SPECIAL);
    assert_int_equal(parsed.n, 1);
    assert_int_equal(parsed.ids[0], control);
    txt_ids_free(&parsed);
    for (size_t cut = 1; cut < n; cut++) { /* over a message and framing, both ways, and over two messages */
        for (int how = 1; how < 4; how++) {
            txt_part parts[] = {{spelling, cut, how == 1}, {spelling + cut, n - cut, how == 2}};
            txt_ids ids = {0};
            assert_int_equal(txt_tokenize_parts(v, parts, 2, &ids, NULL), SN_OK);
            assert_false(has_control(v, &ids));
            txt_ids_free(&ids);
        }
        txt_part framing[] = {{spelling, cut, true}, {spelling + cut, n - cut, true}};
        txt_ids ids = {0};
        assert_int_equal(txt_tokenize_parts(v, framing, 2, &ids, NULL), SN_OK);
        assert_int_equal(ids.n, 1);
        assert_int_equal(ids.ids[0], control);
        txt_ids_free(&ids);
    }
}

static void check_vocabulary(const char *path)
{
    if (path == NULL) return;
    txt_vocab *v = open_vocab(path);
    size_t n_control = 0;
    for (size_t i = 0; i < txt_vocab_n(v); i++) {
        if (!txt_vocab_is_control(v, (txt_id)i)) continue;
        check_spelling(v, (txt_id)i);
        n_control++;
    }
    assert_true(n_control > 0);
    txt_vocab_close(v);
}

static void text_never_becomes_a_control_token(void **state)
{
    (void)state;
    check_vocabulary("tests/golden/text/vocab_spm.gguf");
    check_vocabulary("tests/golden/text/bpe.gguf");
    check_vocabulary(testing_model("ggml-vocab-llama-bpe.gguf"));
    check_vocabulary(testing_model("ggml-vocab-qwen2.gguf"));
    check_vocabulary(testing_model("smollm2-135m-instruct-q4_1.gguf"));
}

/* SentencePiece files in which merges alone would spell </s>: llama.cpp makes the end token of it. */
static void merges_do_not_lead_to_a_control_token(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>",        "<s>", "</s>", "<0x41>", "<",   "/", "s", ">",  "</", "s>",
                                         "\xe2\x96\x81", "0",   "<0",   "x",      "<0x", "4", "1", "41", "41>"};
    const uint32_t n_tokens = sizeof tokens / sizeof tokens[0];
    gg g;
    gg_begin(&g);
    gg_str(&g, "tokenizer.ggml.model", "llama", 5);
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, n_tokens);
    gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, n_tokens);
    for (uint32_t i = 0; i < n_tokens; i++) gg_u32(&g, i == 0 ? 2 : i < 3 ? 3 : i == 3 ? 6 : 1);
    sn_gguf *file = gg_open(&g);
    txt_vocab *v = NULL;
    assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK);
    sn_gguf_close(file);
    txt_ids ids = ids_of(v, "</s>", 4, TXT_PLAIN);
    expect_ids(&ids, (txt_id[]){10, 8, 9}, 3, "</s>");
    txt_ids_free(&ids);
    ids = ids_of(v, "<0x41>", 6, TXT_PLAIN); /* nor to a byte token, which would read back as A */
    expect_ids(&ids, (txt_id[]){10, 14, 18}, 3, "<0x41>");
    txt_ids_free(&ids);
    ids = ids_of(v, "</s>", 4, TXT_PARSE_SPECIAL | TXT_ADD_BOS_EOS);
    expect_ids(&ids, (txt_id[]){1, 2}, 2, "</s>");
    txt_ids_free(&ids);
    txt_vocab_close(v);
}

/* Converters give control tokens of some families the type of user-defined or of ordinary ones. */
static void control_tokens_are_known_by_their_look(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<|im_end|>",
                                         "<end_of_turn>",
                                         "<\xef\xbd\x9c"
                                         "User\xef\xbd\x9c>",
                                         "<think>",
                                         "<|",
                                         "|>"},
                             *const merges[] = {"<| |>"};
    gg g;
    gg_begin(&g);
    gg_str(&g, "tokenizer.ggml.model", "gpt2", 4);
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, 6);
    gg_strs(&g, "tokenizer.ggml.merges", merges, 1);
    gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, 6);
    for (uint32_t i = 0; i < 6; i++) gg_u32(&g, i == 0 ? 1 : 4);
    sn_gguf *file = gg_open(&g);
    txt_vocab *v = NULL;
    assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK);
    sn_gguf_close(file);
    for (txt_id i = 0; i < 6; i++) {
        txt_ids ids = ids_of(v, tokens[i], strlen(tokens[i]), TXT_PLAIN);
        assert_int_equal(txt_vocab_is_control(v, i), i < 3);
        assert_false(has_control(v, &ids));
        txt_ids_free(&ids);
    }
    assert_true(txt_vocab_is_end(v, 0) && txt_vocab_is_end(v, 1) && !txt_vocab_is_end(v, 2));
    txt_vocab_close(v);
}

/* ---- parts ---- */
static void parts_are_tokenized_as_one_text(void **state)
{
    (void)state;
    char text[] = "USER: Gr\xc3\xbc\xc3\x9f"
                  "e, what  is 12345 \xe5\x8c\x97\xe4\xba\xac?\n\n ASSISTANT:";
    const size_t n = strlen(text);
    static const char *const files[] = {"tests/golden/text/vocab_spm.gguf", "tests/golden/text/bpe.gguf"};
    for (size_t f = 0; f < 2; f++) {
        txt_vocab *v = open_vocab(files[f]);
        txt_ids whole = ids_of(v, text, n, TXT_PLAIN);
        for (size_t cut = 0; cut <= n; cut++) {
            txt_part parts[] = {{text, cut, true}, {text + cut, n - cut, false}};
            txt_ids ids = {0};
            assert_int_equal(txt_tokenize_parts(v, parts, 2, &ids, NULL), SN_OK);
            expect_ids(&ids, whole.ids, whole.n, text);
            txt_ids_free(&ids);
        }
        txt_ids_free(&whole);
        txt_vocab_close(v);
    }
}

static void a_blank_goes_in_front_of_text_behind_a_control_token(void **state)
{
    (void)state;
    txt_vocab *v = open_vocab("tests/golden/text/vocab_spm.gguf");
    txt_ids ids = ids_of(v, "<s>Hello</s> Hello", 18, TXT_PARSE_SPECIAL);
    txt_id hello = txt_vocab_find(v, "\xe2\x96\x81Hello", 8);
    assert_true(hello != TXT_NO_ID && txt_vocab_bos(v) == 1 && txt_vocab_eos(v) == 2);
    expect_ids(&ids, (txt_id[]){1, hello, 2, 29871, hello}, 5, "<s>Hello</s> Hello"); /* 29871: a blank alone */
    txt_ids_free(&ids);
    txt_vocab_close(v);
}

static void blanks_behind_a_control_token_of_phi_3_belong_to_it(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<|end|>", "\xe2\x96\x81", "a", "<0x0A>"};
    for (int phi = 0; phi < 2; phi++) {
        gg g;
        gg_begin(&g);
        gg_str(&g, "general.name", phi ? "Phi-3 mini" : "other", phi ? 10 : 5);
        gg_str(&g, "tokenizer.ggml.model", "llama", 5);
        gg_strs(&g, "tokenizer.ggml.tokens", tokens, 7);
        sn_gguf *file = gg_open(&g);
        txt_vocab *v = NULL;
        assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK);
        sn_gguf_close(file);
        txt_ids ids = ids_of(v, "<|end|>\n a<s> a", 15, TXT_PARSE_SPECIAL);
        expect_ids(&ids, phi ? (txt_id[]){3, 4, 5, 1, 4, 4, 5} : (txt_id[]){3, 4, 6, 4, 5, 1, 4, 4, 5}, phi ? 7 : 9, "<|end|>\\n a<s> a");
        txt_ids_free(&ids);
        txt_vocab_close(v);
    }
}

static void bos_and_eos_come_where_the_file_says_so(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        static const char *const tokens[] = {"<s>", "</s>", "a"}, *const merges[] = {"a a"};
        gg g;
        gg_begin(&g);
        gg_str(&g, "tokenizer.ggml.model", "gpt2", 4);
        gg_str(&g, "tokenizer.ggml.pre", "gpt-2", 5);
        gg_strs(&g, "tokenizer.ggml.tokens", tokens, 3);
        gg_strs(&g, "tokenizer.ggml.merges", merges, 1);
        gg_int(&g, "tokenizer.ggml.bos_token_id", 0);
        gg_int(&g, "tokenizer.ggml.eos_token_id", 1);
        gg_bool(&g, "tokenizer.ggml.add_bos_token", how & 1);
        gg_bool(&g, "tokenizer.ggml.add_eos_token", how & 2);
        sn_gguf *file = gg_open(&g);
        txt_vocab *v = NULL;
        assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK);
        sn_gguf_close(file);
        txt_ids ids = ids_of(v, "a", 1, TXT_ADD_BOS_EOS), bare = ids_of(v, "a", 1, TXT_PLAIN);
        const txt_id want[] = {0, 2, 1};
        expect_ids(&ids, want + !(how & 1), 1 + (size_t)(how & 1) + (size_t)(how >> 1), "a");
        expect_ids(&bare, want + 1, 1, "a");
        assert_true(txt_vocab_is_control(v, 0) && txt_vocab_is_control(v, 1)); /* though this file has no types */
        assert_true(txt_vocab_is_end(v, 1) && !txt_vocab_is_end(v, 0) && !txt_vocab_is_end(v, 2));
        txt_ids_free(&ids);
        txt_ids_free(&bare);
        txt_vocab_close(v);
    }
}

static void ends_are_known_by_their_spelling(void **state)
{
    (void)state;
    txt_vocab *v = open_vocab("tests/golden/text/bpe.gguf");
    static const char *const ends[] = {"<|end_of_text|>", "<|eot_id|>"}, *const others[] = {"<|begin_of_text|>", "<|start_header_id|>",
                                                                                            "<think>", "a"};
    for (size_t i = 0; i < 2; i++) assert_true(txt_vocab_is_end(v, txt_vocab_find(v, ends[i], strlen(ends[i]))));
    for (size_t i = 0; i < 4; i++) {
        assert_true(txt_vocab_find(v, others[i], strlen(others[i])) != TXT_NO_ID);
        assert_false(txt_vocab_is_end(v, txt_vocab_find(v, others[i], strlen(others[i]))));
    }
    assert_int_equal(txt_vocab_find(v, "<|no such|>", 11), TXT_NO_ID);
    assert_int_equal(txt_vocab_find(v, "", 0), TXT_NO_ID);
    assert_false(txt_vocab_is_end(v, -1) || txt_vocab_is_end(v, INT32_MAX) || txt_vocab_is_control(v, -1));
    assert_int_equal(txt_piece(v, -1, true, NULL, 0), 0);
    assert_int_equal(txt_piece(v, INT32_MAX, true, NULL, 0), 0);
    txt_vocab_close(v);
}

/* ---- any bytes ---- */
static void bytes_that_are_not_utf8_come_back_as_they_were(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/golden/text/vocab_spm.gguf", "tests/golden/text/bpe.gguf"};
    static const char *const texts[] = {"\xff",
                                        "a\x80"
                                        "b",
                                        "\xc3",
                                        "\xe2\x96",
                                        "\xed\xa0\x80",
                                        "\xc0\xaf",
                                        "\xf8\x88\x80\x80\x80",
                                        "ok \xe5\x8c then more",
                                        "\xf4\x90\x80\x80"};
    uint32_t seed = 1;
    for (size_t f = 0; f < 2; f++) {
        txt_vocab *v = open_vocab(files[f]);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) expect_round_trip(v, texts[i], strlen(texts[i]));
        for (size_t i = 0; i < 500; i++) {
            char noise[64];
            for (size_t k = 0; k < sizeof noise; k++) noise[k] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
            expect_round_trip(v, noise, 1 + i % sizeof noise);
        }
        expect_round_trip(v, "nul \0 nul", 9);
        txt_vocab_close(v);
    }
}

static void characters_are_those_of_rfc_3629(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t len;
    } cases[] = {{"a", 1},
                 {"\xc3\xa9", 2},
                 {"\xe5\x8c\x97", 3},
                 {"\xf0\x9f\x91\x8d", 4},
                 {"\xf4\x8f\xbf\xbf", 4},
                 {"\xed\x9f\xbf", 3},
                 {"\xee\x80\x80", 3},
                 {"\x80", 0},
                 {"\xc1\x81", 0},
                 {"\xe0\x9f\xbf", 0},
                 {"\xed\xa0\x80", 0},
                 {"\xf0\x8f\xbf\xbf", 0},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf5\x80\x80\x80", 0},
                 {"\xe5\x8c", 0},
                 {"\xe5\x8c"
                  "a",
                  0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(txt_utf8_len(cases[i].p, strlen(cases[i].p)), cases[i].len);
}

/* A stray lead byte takes nothing of the text behind it. */
static void a_stray_byte_harms_nothing_beside_it(void **state)
{
    (void)state;
    txt_vocab *v = open_vocab("tests/golden/text/vocab_spm.gguf");
    txt_ids ids = ids_of(v, "\xe2Hello", 6, TXT_PLAIN), hello = ids_of(v, "Hello", 5, TXT_PLAIN);
    assert_int_equal(ids.n, 3); /* the blank in front, the byte, the word */
    assert_int_equal(ids.ids[1], txt_vocab_find(v, "<0xE2>", 6));
    assert_int_equal(ids.ids[2], txt_vocab_find(v, "Hello", 5));
    txt_ids_free(&ids);
    txt_ids_free(&hello);
    txt_vocab_close(v);
}

static void a_megabyte_of_anything_is_tokenized(void **state)
{
    (void)state;
    static const char *const units[] = {"a",  " ",   "7",  "\xff",         "\n",       "'",
                                        "aA", " \n", "<|", "\xe5\x8c\x97", "\xcc\x81", "the quick brown "};
    static const char *const files[] = {"tests/golden/text/vocab_spm.gguf", "tests/golden/text/bpe.gguf"};
    const size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t f = 0; f < 2; f++) {
        txt_vocab *v = open_vocab(files[f]);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            size_t len = strlen(units[u]);
            for (size_t i = 0; i < n; i++) text[i] = units[u][i % len];
            expect_round_trip(v, text, n);
            text[n - 1] = 'x'; /* a run that ends in something else is where look-aheads go back */
            expect_round_trip(v, text, n);
        }
        txt_vocab_close(v);
    }
    free(text);
}

static void bytes_without_a_token_are_marked_or_left_out(void **state)
{
    (void)state;
    /* No token for 0xff (foreign to UTF-8) nor for 0x04; letters of U+FFFD: EF BF BD */
    static const char *const tokens[] = {"a", "\xc3\xaf", "\xc2\xbf", "\xc2\xbd", "<|endoftext|>"}, *const merges[] = {"a a"};
    gg g;
    gg_begin(&g);
    gg_str(&g, "tokenizer.ggml.model", "gpt2", 4);
    gg_str(&g, "tokenizer.ggml.pre", "smollm", 6);
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, 5);
    gg_strs(&g, "tokenizer.ggml.merges", merges, 1);
    gg_int(&g, "tokenizer.ggml.unknown_token_id", 4);
    sn_gguf *file = gg_open(&g);
    txt_vocab *v = NULL;
    assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK);
    sn_gguf_close(file);
    txt_ids ids = ids_of(v,
                         "a\xff\x04"
                         "a",
                         4, TXT_PLAIN);
    expect_ids(&ids, (txt_id[]){0, 1, 2, 3, 0}, 5, "a, 0xff, 0x04, a");
    txt_ids_free(&ids);
    txt_vocab_close(v);
}

static void pieces_are_cut_to_the_buffer(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/golden/text/vocab_spm.gguf", "tests/golden/text/bpe.gguf"};
    for (size_t f = 0; f < 2; f++) {
        txt_vocab *v = open_vocab(files[f]);
        for (size_t i = 0; i < txt_vocab_n(v); i++) {
            char whole[TXT_MAX_TOKEN_BYTES], part[4] = "\x7f\x7f\x7f\x7f";
            size_t n = txt_piece(v, (txt_id)i, true, whole, sizeof whole);
            assert_int_equal(txt_piece(v, (txt_id)i, true, part, 2), n);
            assert_memory_equal(part, whole, n < 2 ? n : 2);
            assert_int_equal(part[2], 0x7f);
        }
        txt_vocab_close(v);
    }
}

/* GPT-2's alphabet, both ways: every byte has one letter, and the letter decodes to the byte. */
static void every_byte_is_a_letter_that_decodes_to_it(void **state)
{
    (void)state;
    txt_vocab *v = open_vocab("tests/golden/text/bpe.gguf");
    bool seen[256] = {false};
    for (unsigned b = 0; b < 256; b++) {
        char byte = 0;
        assert_true(v->byte_id[b] != TXT_NO_ID);
        assert_int_equal(txt_piece(v, v->byte_id[b], false, &byte, 1), 1);
        assert_int_equal((unsigned char)byte, b);
        assert_false(seen[(unsigned char)byte]);
        seen[(unsigned char)byte] = true;
    }
    txt_vocab_close(v);
}

/* ---- hostile files ---- */
typedef struct {
    const char *model, *pre;
    uint32_t n_types, n_scores, type, bos;
    float score;
    const char *merge, *token;
    senses_status want;
    const char *says;
} bad_vocab;

static sn_gguf *bad_file(const bad_vocab *b)
{
    gg g;
    const char *tokens[] = {"<unk>", "<s>", "</s>", b->token ? b->token : "a"};
    const char *merges[] = {b->merge ? b->merge : "a a"};
    gg_begin(&g);
    if (*b->model) gg_str(&g, "tokenizer.ggml.model", b->model, strlen(b->model));
    gg_str(&g, "tokenizer.ggml.pre", b->pre ? b->pre : "gpt-2", strlen(b->pre ? b->pre : "gpt-2"));
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, 4);
    gg_strs(&g, "tokenizer.ggml.merges", merges, 1);
    gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, b->n_types ? b->n_types : 4);
    for (uint32_t i = 0; i < (b->n_types ? b->n_types : 4); i++) gg_u32(&g, i == 3 && b->type ? b->type : 1);
    gg_array(&g, "tokenizer.ggml.scores", SN_KV_F32, b->n_scores ? b->n_scores : 4);
    for (uint32_t i = 0; i < (b->n_scores ? b->n_scores : 4); i++) gg_put(&g, &b->score, 4);
    gg_int(&g, "tokenizer.ggml.bos_token_id", b->bos);
    return gg_open(&g);
}

static void vocabularies_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    char *long_token = calloc(TXT_MAX_TOKEN_BYTES + 2, 1);
    assert_non_null(long_token);
    memset(long_token, 'a', TXT_MAX_TOKEN_BYTES + 1);
    const bad_vocab cases[] = {
        {.model = "", .want = SN_EFORMAT, .says = "tokenizer.ggml.model"},
        {.model = "bert", .want = SN_EUNSUPPORTED, .says = "\"bert\""},
        {.model = "be\nrt", .want = SN_EUNSUPPORTED, .says = "\"be?rt\""},
        {.model = "gpt2", .pre = "no-such", .want = SN_EUNSUPPORTED, .says = "\"no-such\""},
        {.model = "llama", .n_types = 3, .want = SN_EFORMAT, .says = "token_type: want one number a token, 4, file has 3"},
        {.model = "llama", .n_scores = 5, .want = SN_EFORMAT, .says = "scores: want one number a token, 4, file has 5"},
        {.model = "llama", .type = 7, .want = SN_EFORMAT, .says = "token 3 has type 7"},
        {.model = "llama", .type = 6, .want = SN_EFORMAT, .says = "not spelled <0xXX>"},
        {.model = "llama", .bos = 4, .want = SN_EFORMAT, .says = "bos_token_id: 4 is not one of the 4 tokens"},
        {.model = "llama", .score = (float)(0.0 / 0.0), .want = SN_EFORMAT, .says = "not a number"},
        {.model = "llama", .token = long_token, .want = SN_ELIMIT, .says = "token 3 has 2049 bytes"},
        {.model = "gpt2", .merge = "aa", .want = SN_EFORMAT, .says = "not two tokens"},
        {.model = "gpt2", .merge = "a ", .want = SN_EFORMAT, .says = "not two tokens"},
        {.model = "gpt2", .merge = " a", .want = SN_EFORMAT, .says = "not two tokens"},
        {.model = "gpt2", .merge = "x", .want = SN_EFORMAT, .says = "not two tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sn_gguf *g = bad_file(&cases[i]);
        txt_vocab *v = NULL;
        sn_err err = {0};
        assert_int_equal(txt_vocab_open(&v, g, &err), cases[i].want);
        if (strstr(err.msg, cases[i].says) == NULL) fail_msg("want \"%s\" in: %s", cases[i].says, err.msg);
        assert_non_null(strstr(err.msg, sn_gguf_path(g)));
        assert_null(strchr(err.msg, '\n'));
        assert_null(v);
        sn_gguf_close(g);
    }
    free(long_token);
}

static void double_and_empty_spellings_are_borne(void **state)
{
    (void)state;
    static const char *const tokens[] = {"a", "", "a", "b", "", "<|x|>", "<|x|>", "ab", "ba"}, *const merges[] = {"a b", "b a", "a b",
                                                                                                                  "b q"};
    gg g;
    gg_begin(&g);
    gg_str(&g, "tokenizer.ggml.model", "gpt2", 4);
    gg_strs(&g, "tokenizer.ggml.tokens", tokens, 9);
    gg_strs(&g, "tokenizer.ggml.merges", merges, 4);
    sn_gguf *file = gg_open(&g);
    txt_vocab *v = NULL;
    assert_int_equal(txt_vocab_open(&v, file, NULL), SN_OK); /* no `pre` either: the one for files that name none */
    sn_gguf_close(file);
    txt_ids ids = ids_of(v, "aba<|x|>", 8, TXT_PARSE_SPECIAL); /* of equal merges the first counts, so "a b" goes before "b a" */
    expect_ids(&ids, (txt_id[]){7, 0, 5}, 3, "aba<|x|>");
    assert_int_equal(txt_piece(v, 1, true, NULL, 0), 0);
    txt_ids_free(&ids);
    txt_vocab_close(v);
}

static void of_user_defined_tokens_the_longest_counts_in_plain_text_too(void **state)
{
    (void)state;
    txt_vocab *v = open_vocab("tests/golden/text/bpe.gguf");
    txt_id think = txt_vocab_find(v, "<think>", 7), shorter = txt_vocab_find(v, "<think", 6);
    assert_true(think != TXT_NO_ID && shorter != TXT_NO_ID);
    for (unsigned flags = 0; flags < 2; flags++) {
        txt_ids ids = ids_of(v, "<think><think<think>", 20, flags);
        expect_ids(&ids, (txt_id[]){think, shorter, think}, 3, "<think><think<think>");
        txt_ids_free(&ids);
    }
    txt_vocab_close(v);
}

/* Every byte of a vocabulary file turned over, one at a time: refused or opened, and then used, without harm. */
static void a_damaged_file_does_no_harm(void **state)
{
    (void)state;
    static const char *const tokens[] = {"<unk>",
                                         "<s>",
                                         "</s>",
                                         "<0x41>",
                                         "\xe2\x96\x81",
                                         "a",
                                         "b",
                                         "ab",
                                         "<|x|>",
                                         "\xe2\x96\x81"
                                         "ab"},
                             *const merges[] = {"a b", "\xe2\x96\x81 ab"};
    for (int spm = 0; spm < 2; spm++) {
        gg g;
        gg_begin(&g);
        gg_str(&g, "tokenizer.ggml.model", spm ? "llama" : "gpt2", spm ? 5 : 4);
        gg_strs(&g, "tokenizer.ggml.tokens", tokens, 10);
        gg_strs(&g, "tokenizer.ggml.merges", merges, 2);
        gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, 10);
        for (uint32_t i = 0; i < 10; i++) gg_u32(&g, i == 0 ? 2 : i < 3 || i == 8 ? 3 : i == 3 ? 6 : 1);
        gg_array(&g, "tokenizer.ggml.scores", SN_KV_F32, 10);
        for (uint32_t i = 0; i < 10; i++) gg_put(&g, &(float){(float)i}, 4);
        gg_int(&g, "tokenizer.ggml.eos_token_id", 2);
        memcpy(g.p + 16, &g.n_kv, 8);
        for (size_t at = 0; at < g.n; at++) {
            unsigned char kept = g.p[at];
            g.p[at] = (unsigned char)(kept ^ (1u << at % 8));
            char path[] = "/tmp/senses-test-XXXXXX";
            FILE *f = fdopen(mkstemp(path), "wb");
            assert_non_null(f);
            assert_int_equal(fwrite(g.p, 1, g.n, f), g.n);
            fclose(f);
            sn_gguf *file = NULL;
            txt_vocab *v = NULL;
            if (sn_gguf_open(&file, path, NULL) == SN_OK && txt_vocab_open(&v, file, NULL) == SN_OK) {
                txt_ids ids = ids_of(v, "a ab</s>b \xff", 11, TXT_PARSE_SPECIAL | TXT_ADD_BOS_EOS);
                for (size_t i = 0; i < ids.n; i++) assert_in_range(ids.ids[i], 0, txt_vocab_n(v) - 1);
                txt_ids_free(&ids);
            }
            txt_vocab_close(v);
            sn_gguf_close(file);
            remove(path);
            g.p[at] = kept;
        }
        free(g.p);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(suite_llama_spm),
    cmocka_unit_test(suite_llama_bpe),
    cmocka_unit_test(suite_gpt_2),
    cmocka_unit_test(suite_qwen2),
    cmocka_unit_test(bpe_ids_are_those_of_hugging_face),
    cmocka_unit_test(pre_tokenizers_cut_as_hugging_face_does),
    cmocka_unit_test(text_never_becomes_a_control_token),
    cmocka_unit_test(merges_do_not_lead_to_a_control_token),
    cmocka_unit_test(control_tokens_are_known_by_their_look),
    cmocka_unit_test(blanks_behind_a_control_token_of_phi_3_belong_to_it),
    cmocka_unit_test(parts_are_tokenized_as_one_text),
    cmocka_unit_test(a_blank_goes_in_front_of_text_behind_a_control_token),
    cmocka_unit_test(bos_and_eos_come_where_the_file_says_so),
    cmocka_unit_test(ends_are_known_by_their_spelling),
    cmocka_unit_test(bytes_that_are_not_utf8_come_back_as_they_were),
    cmocka_unit_test(characters_are_those_of_rfc_3629),
    cmocka_unit_test(a_stray_byte_harms_nothing_beside_it),
    cmocka_unit_test(a_megabyte_of_anything_is_tokenized),
    cmocka_unit_test(bytes_without_a_token_are_marked_or_left_out),
    cmocka_unit_test(pieces_are_cut_to_the_buffer),
    cmocka_unit_test(every_byte_is_a_letter_that_decodes_to_it),
    cmocka_unit_test(vocabularies_that_contradict_themselves_are_refused),
    cmocka_unit_test(double_and_empty_spellings_are_borne),
    cmocka_unit_test(of_user_defined_tokens_the_longest_counts_in_plain_text_too),
    cmocka_unit_test(a_damaged_file_does_no_harm),
};
TESTING_MAIN("text_tokenizer", tests)
