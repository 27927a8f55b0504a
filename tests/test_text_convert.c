/* Hugging Face folders against what llama.cpp's converter makes of them (tests/golden/make_convert.py), key by key and tensor by
 * tensor; and folders that are wrong. */
#include "../core/json.h"
#include "../core/safetensors.h"
#include "../text/text.h"
#include "converted.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/convert/"

static void files_equal_those_of_llama_cpps_converter(void **state)
{
    (void)state;
    static const char *const families[] = {"llama3",     "llama2",  "mistral", "smollm",   "smollm3",    "granite",  "qwen2",
                                           "qwen3",      "gemma3",  "smolvlm", "mistral3", "qwen2vl",    "llava",    "internvl",
                                           "qwen2audio", "qwen3vl", "tekken",  "voxtral",  "qwen2files", "gpt2files"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char dir[128];
        snprintf(dir, sizeof dir, GOLDEN "%s", families[i]);
        converted_as_expected(txt_convert, dir);
    }
}

/* Folders without tokenizer.json: texts become the ids that the folder's own tokenizer gives them (ids.json). Texts whose special tokens count
 * are among them, and none else spells one. */
static void ids_equal_those_of_the_folders_tokenizer(void **state)
{
    (void)state;
    static const char *const folders[] = {"tekken", "voxtral", "qwen2files", "gpt2files"};
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    sn_err err = {0};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char dir[128];
        sn_gguf *g = NULL;
        txt_vocab *v = NULL;
        cJSON *cases = NULL, *c;
        const char *out = testing_temp("", 0);
        snprintf(dir, sizeof dir, GOLDEN "%s", folders[i]);
        if (txt_convert(dir, out, &params, &err) != SN_OK || sn_gguf_open(&g, out, &err) != SN_OK || txt_vocab_open(&v, g, &err) != SN_OK ||
            sn_json_open_in(&cases, dir, "ids.json", &err) != SN_OK)
            fail_msg("%s", err.msg);
        assert_true(cJSON_GetArraySize(cases) > 30);
        cJSON_ArrayForEach(c, cases)
        {
            const char *text = sn_json_str(cJSON_GetArrayItem(c, 0));
            const cJSON *want = cJSON_GetArrayItem(c, 1);
            txt_ids ids = {0};
            assert_int_equal(txt_tokenize(v, text, strlen(text), TXT_PARSE_SPECIAL, &ids, &err), SN_OK);
            bool same = ids.n == (size_t)cJSON_GetArraySize(want);
            for (size_t k = 0; same && k < ids.n; k++) same = ids.ids[k] == cJSON_GetArrayItem(want, (int)k)->valueint;
            if (!same) fail_msg("%s: \"%s\"", dir, text);
            txt_ids_free(&ids);
        }
        cJSON_Delete(cases);
        txt_vocab_close(v);
        sn_gguf_close(g);
    }
}

/* ---- folders that are wrong ---- */

static const char *const llama3_files[] = {"config.json",
                                           "tokenizer.json",
                                           "tokenizer_config.json",
                                           "model.safetensors.index.json",
                                           "model-00001-of-00002.safetensors",
                                           "model-00002-of-00002.safetensors"};
#define N_FILES (sizeof llama3_files / sizeof *llama3_files)

static void refused(const char *file, const char *from, const char *to, const char *says)
{
    converted_refused(txt_convert, GOLDEN "llama3", llama3_files, N_FILES, file, from, to, says);
}

static void wrong_folders_are_refused_by_name(void **state)
{
    (void)state;
    static const char config[] = "config.json", index[] = "model.safetensors.index.json", part[] = "model-00001-of-00002.safetensors";
    refused(config, "\"hidden_size\": 32", "\"hidden_size\": 1e300", "hidden_size");
    refused(config, "\"hidden_size\": 32", "\"hidden_size\": 64", "want [");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": -1", "num_hidden_layers");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "model.layers.2.input_layernorm.weight is missing");
    refused(config, "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", "has no place in a llama model");
    refused(config, "\"num_attention_heads\": 4", "\"num_attention_heads\": 3", "make no sense");
    refused(config, "\"model_type\": \"llama\"", "\"model_type\": \"mamba\"", "mamba");
    refused(config, "\"factor\": 32.0", "\"factor\": -1", "rotary scaling");
    refused(config, "\"rope_type\": \"llama3\"", "\"rope_type\": \"longrope\"", "longrope");
    refused(config, "{", "[", "config.json: is not JSON");
    refused(index, "model-00001-of-00002.safetensors", "../model-00001-of-00002.safetensors", "outside its folder");
    refused(index, "model-00001-of-00002.safetensors", "/etc/passwd", "outside its folder");
    refused(index, "model-00001-of-00002.safetensors", "model-00009.safetensors", "model-00009.safetensors");
    refused(index, "model.embed_tokens.weight", "model.embed_tokens.weighs", "model.embed_tokens.weighs is missing");
    refused(part, "\"BF16\"", "\"F8_X\"", "data type");
    refused(part, "[0, ", "[9, ", "disagree");
    refused("tokenizer.json", "\\\\p{N}{1,3}", "\\\\p{N}{1,4}", "pre-tokenizer");
    refused("tokenizer.json", "\"type\": \"BPE\"", "\"type\": \"Unigram\"", "Unigram");
    refused("tokenizer.json", "\"vocab\"", "\"words\"", "no words");
}

static void wrong_tokenizers_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const of_tekken[] = {"config.json", "model.safetensors", "tekken.json"},
                             *const of_two[] = {"config.json", "model.safetensors", "tokenizer_config.json", "vocab.json", "merges.txt"},
                             *const of_none[] = {"config.json", "model.safetensors", "tokenizer_config.json"};
    static const struct {
        const char *file, *from, *to, *says;
    } tekken[] = {
        {"tekken.json", "\"token_bytes\": \"BA==\"", "\"token_bytes\": \"BQ==\"", "tekken.json: word 4 is not one of that rank"},
        {"tekken.json", "\"token_bytes\": \"BA==\"", "\"token_bytes\": \"B*==\"", "tekken.json: word 4 is not one of that rank"},
        {"tekken.json", "\"rank\": 300", "\"rank\": 301", "tekken.json: word 300 is not one of that rank"},
        {"tekken.json", "\\p{N}|", "\\p{N}+|", "tekken.json: its pre-tokenizer"},
        {"tekken.json", "\"version\": \"v3\"", "\"version\": \"v8\"", "names no special tokens"},
        {"tekken.json", "\"version\": \"v3\"", "\"version\": \"b3\"", "version \"b3\" is not known"},
        {"tekken.json", "\"default_num_special_tokens\": 30", "\"default_num_special_tokens\": 0", "make no sense"},
        {"tekken.json", "\"default_num_special_tokens\": 30", "\"default_num_special_tokens\": 20", "make no sense"},
        {"tekken.json", "\"vocab\"", "\"words\"", "make no sense"},
        {"tekken.json", "\"default_vocab_size\": 356", "\"default_vocab_size\": 357",
         "tekken.json: has 357 words, more than the model's 356"},
    };
    for (size_t i = 0; i < sizeof tekken / sizeof *tekken; i++)
        converted_refused(txt_convert, GOLDEN "tekken", of_tekken, 3, tekken[i].file, tekken[i].from, tekken[i].to, tekken[i].says);
    converted_refused(txt_convert, GOLDEN "qwen2files", of_two, 5, "merges.txt", "\nh e\n", "\nh e r\n",
                      "merges.txt: line 2 is not two words");
    converted_refused(txt_convert, GOLDEN "qwen2files", of_two, 5, "merges.txt", "\nh e\n", "\nhe\n",
                      "merges.txt: line 2 is not two words");
    converted_refused(txt_convert, GOLDEN "qwen2files", of_two, 5, "vocab.json", ": 7,", ": 7000,", "vocab.json: ");
    converted_refused(txt_convert, GOLDEN "qwen2files", of_two, 5, "tokenizer_config.json", "Qwen2Tokenizer", "LlamaTokenizer",
                      "tokenizer_class");
    converted_refused(txt_convert, GOLDEN "qwen2files", of_two, 4, "config.json", "qwen2", "qwen2", "merges.txt: cannot open");
    converted_refused(txt_convert, GOLDEN "qwen2files", of_none, 3, "config.json", "qwen2", "qwen2", "has no tokenizer");
}

/* One file with these tensors of 4 bytes each: "BEGIN-END" in the header, and n bytes of data. */
static void a_file_of(const char *header, size_t n, const char *says)
{
    char folder[] = "/tmp/senses-test-XXXXXX", path[64];
    const uint64_t n_header = strlen(header);
    sn_safetensors *s = NULL;
    sn_err err = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(&n_header, 1, sizeof n_header, f);
    fwrite(header, 1, n_header, f);
    for (size_t i = 0; i < n; i++) fputc(0, f);
    fclose(f);
    const sn_status st = sn_safetensors_open(&s, folder, &err);
    if (says == NULL ? st != SN_OK : st != SN_EFORMAT || !strstr(err.msg, says) || strncmp(err.msg, path, strlen(path)) != 0)
        fail_msg("%s: status %d, '%s'", header, (int)st, err.msg);
    sn_safetensors_close(s);
    unlink(path);
    rmdir(folder);
}

static void every_byte_is_of_one_tensor(void **state)
{
    (void)state;
#define ONE(name, begin, end) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" #begin "," #end "]}"
    a_file_of("{" ONE("b", 4, 8) "," ONE("a", 0, 4) "}", 8, NULL);
    a_file_of("{" ONE("a", 0, 4) "," ONE("b", 2, 6) "}", 6, "lie on each other");
    a_file_of("{" ONE("a", 0, 4) "," ONE("b", 8, 12) "}", 12, "4 bytes in front of b are no tensor's");
    a_file_of("{" ONE("a", 4, 8) "}", 8, "4 bytes in front of a are no tensor's");
    a_file_of("{" ONE("a", 0, 4) "}", 9, "its last 5 bytes are no tensor's");
    a_file_of("{" ONE("a", 0, 4) "}", 3, "cut short");
#undef ONE
}

static void cut_and_corrupt_files_are_refused_or_converted(void **state)
{
    (void)state;
    static const char *const tekken_files[] = {"config.json", "tekken.json", "model.safetensors"};
    converted_damaged(txt_convert, GOLDEN "llama3", llama3_files, N_FILES, 600);
    converted_damaged(txt_convert, GOLDEN "voxtral", tekken_files, 3, 300);
}

static bool stop(void *user, size_t done_bytes, size_t total_bytes)
{
    (void)user;
    return done_bytes > total_bytes;
}

static void types_are_chosen_and_progress_stops(void **state)
{
    (void)state;
    sn_err err = {0};
    sn_gguf *g = NULL;
    const char *out = testing_temp("", 0);
    static const sn_type types[] = {SN_F32, SN_F16, SN_BF16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const sn_convert_params params = {.type = types[i]};
        assert_int_equal(txt_convert(GOLDEN "qwen2", out, &params, &err), SN_OK);
        assert_int_equal(sn_gguf_open(&g, out, &err), SN_OK);
        assert_int_equal(sn_gguf_tensor(g, "blk.0.attn_q.weight")->type, types[i]);
        assert_int_equal(sn_gguf_tensor(g, "blk.0.attn_q.bias")->type, SN_F32);
        sn_gguf_close(g);
    }
    const sn_convert_params params = {.type = SN_F16, .progress = stop};
    assert_int_equal(txt_convert(GOLDEN "qwen2", out, &params, &err), SN_ECANCELLED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_those_of_llama_cpps_converter),
        cmocka_unit_test(ids_equal_those_of_the_folders_tokenizer),
        cmocka_unit_test(wrong_folders_are_refused_by_name),
        cmocka_unit_test(wrong_tokenizers_are_refused_by_name),
        cmocka_unit_test(every_byte_is_of_one_tensor),
        cmocka_unit_test(cut_and_corrupt_files_are_refused_or_converted),
        cmocka_unit_test(types_are_chosen_and_progress_stops),
    };
    return testing_main("text convert", tests, sizeof tests / sizeof *tests, argc, argv);
}
