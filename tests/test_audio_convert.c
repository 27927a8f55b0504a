/* Hugging Face folders' sound encoders against what llama.cpp's converter makes of them (tests/golden/make_convert_encoders.py), key by key and tensor
 * by tensor; and folders that are wrong. */
#include "../audio/audio.h"
#include "../core/gguf.h"
#include "converted.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/convert_encoders/"

static void files_equal_those_of_llama_cpps_converter(void **state)
{
    (void)state;
    converted_as_expected(aud_convert, GOLDEN "ultravox");
    converted_as_expected(aud_convert, GOLDEN "voxtral");
    converted_as_expected(aud_convert, GOLDEN "qwen2audio");
}

/* ---- Whisper ---- */

/* What transformers calls a part of OpenAI's names. */
static const struct {
    const char *openai, *transformers;
} parts[] = {{".blocks.", ".layers."},
             {".attn_ln.", ".self_attn_layer_norm."},
             {".cross_attn_ln.", ".encoder_attn_layer_norm."},
             {".mlp_ln.", ".final_layer_norm."},
             {".attn.", ".self_attn."},
             {".cross_attn.", ".encoder_attn."},
             {".query.", ".q_proj."},
             {".key.", ".k_proj."},
             {".value.", ".v_proj."},
             {".out.", ".out_proj."},
             {".mlp.0.", ".fc1."},
             {".mlp.2.", ".fc2."},
             {".ln_post.", ".layer_norm."},
             {".ln.", ".layer_norm."},
             {".token_embedding.", ".embed_tokens."},
             {".positional_embedding", ".embed_positions.weight"}};

static void in_transformers(char *name, size_t room, const char *openai)
{
    snprintf(name, room, "model.%s", openai);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *at = strstr(name, parts[i].openai), rest[128];
        if (at == NULL) continue;
        snprintf(rest, sizeof rest, "%s", at + strlen(parts[i].openai));
        snprintf(at, room - (size_t)(at - name), "%s%s", parts[i].transformers, rest);
    }
}

static FILE *create(const char *dir, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    return f;
}

static void write_weights(const char *dir, const sn_gguf *g)
{
    char *header = NULL, name[160];
    size_t n_header, at = 0;
    FILE *h = open_memstream(&header, &n_header), *f = create(dir, "model.safetensors");
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        in_transformers(name, sizeof name, t->name);
        fprintf(h, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", i == 0 ? '{' : ',', name, t->type == SN_F16 ? "F16" : "F32");
        for (size_t d = 0; d < t->n_dims; d++) fprintf(h, "%s%zu", d > 0 ? "," : "", t->shape[d]);
        fprintf(h, "],\"data_offsets\":[%zu,%zu]}", at, at + t->n_bytes);
        at += t->n_bytes;
    }
    fputc('}', h);
    fclose(h);
    const uint64_t n = n_header;
    fwrite(&n, sizeof n, 1, f);
    fwrite(header, 1, n_header, f);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) fwrite(sn_gguf_tensor_at(g, i)->data, 1, sn_gguf_tensor_at(g, i)->n_bytes, f);
    assert_int_equal(fclose(f), 0);
    free(header);
}

/* Without the timestamps, which older folders do not list. */
static void write_words(const char *dir, const sn_gguf *g)
{
    const sn_kv *words = sn_gguf_find(g, "tokenizer.ggml.tokens");
    cJSON *map = cJSON_CreateObject();
    for (size_t i = 0; i < words->n - 1501; i++) {
        char *word = strndup(words->strings[i].p, words->strings[i].n);
        cJSON_AddNumberToObject(map, word, (double)i);
        free(word);
    }
    char *text = cJSON_PrintUnformatted(map);
    FILE *f = create(dir, "vocab.json");
    fputs(text, f);
    fclose(f);
    free(text);
    cJSON_Delete(map);
}

static void write_folder(const char *dir, const sn_gguf *g)
{
    write_weights(dir, g);
    write_words(dir, g);
    FILE *f = create(dir, "config.json");
    fprintf(f,
            "{\"model_type\":\"whisper\",\"vocab_size\":%zu,\"num_mel_bins\":80,\"d_model\":16,\"encoder_layers\":2,\"decoder_layers\":2,"
            "\"encoder_attention_heads\":2,\"decoder_attention_heads\":2,\"encoder_ffn_dim\":64,\"decoder_ffn_dim\":64,"
            "\"max_target_positions\":64}",
            sn_gguf_find(g, "tokenizer.ggml.tokens")->n);
    fclose(f);
    f = create(dir, "generation_config.json");
    fputs("{\"alignment_heads\":[[1,0],[1,1]]}", f);
    fclose(f);
}

/* Positions have 16 bits there and 32 here. */
static void same_values(const sn_tensor *x, const sn_tensor *y)
{
    const sn_type_info *of_x = sn_type_get(x->type), *of_y = sn_type_get(y->type);
    const size_t n = x->n_bytes / of_x->bytes;
    float *a = calloc(n, sizeof *a), *b = calloc(n, sizeof *b);
    assert_true(a != NULL && b != NULL && y->n_bytes == n * of_y->bytes);
    of_x->dequantize(a, x->data, n);
    of_y->dequantize(b, y->data, n);
    if (memcmp(a, b, n * sizeof *a) != 0) fail_msg("%s", x->name);
    if (strstr(x->name, "positional") == NULL) assert_int_equal(x->type, y->type);
    free(a);
    free(b);
}

static void same_contents(const sn_gguf *a, const sn_gguf *b)
{
    for (size_t i = 0; i < sn_gguf_n_kv(a); i++) {
        const sn_kv *x = sn_gguf_kv_at(a, i), *y;
        char key[80];
        snprintf(key, sizeof key, "%.*s", (int)x->key.n, x->key.p);
        if (strncmp(key, "general.", 8) == 0) continue;
        y = sn_gguf_find(b, key);
        if (y == NULL || y->type != x->type || y->n != x->n) fail_msg("%s", key);
        for (size_t e = 0; e < x->n && x->strings != NULL; e++)
            if (x->strings[e].n != y->strings[e].n || memcmp(x->strings[e].p, y->strings[e].p, x->strings[e].n) != 0)
                fail_msg("%s %zu", key, e);
        if (x->strings == NULL) assert_memory_equal(x->data, y->data, x->n * sn_kv_type_bytes(x->type == SN_KV_ARRAY ? x->elem : x->type));
    }
    assert_int_equal(sn_gguf_n_tensors(a), sn_gguf_n_tensors(b));
    for (size_t i = 0; i < sn_gguf_n_tensors(a); i++) {
        const sn_tensor *x = sn_gguf_tensor_at(a, i), *y = sn_gguf_tensor(b, x->name);
        if (y == NULL) fail_msg("%s", x->name);
        assert_int_equal(y->n_dims, x->n_dims);
        assert_memory_equal(y->shape, x->shape, x->n_dims * sizeof *x->shape);
        same_values(x, y);
    }
}

static const char *const whisper_files[] = {"config.json", "generation_config.json", "vocab.json", "model.safetensors"};

/* The model that transformers made and CTranslate2 wrote, as transformers would have written it: one GGUF comes of both. */
static void whisper_is_that_of_ctranslate2(void **state)
{
    (void)state;
    char dir[200];
    sn_err err = {0};
    sn_gguf *a = NULL, *b = NULL;
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    const char *ct2 = testing_temp("", 0), *own = testing_temp("", 0);
    assert_int_equal(testing_folder(dir, sizeof dir), 0);
    assert_int_equal(aud_convert_ct2("tests/golden/audio/whisper_tiny_f16", ct2, &err), SN_OK);
    assert_int_equal(sn_gguf_open(&a, ct2, &err), SN_OK);
    write_folder(dir, a);
    if (aud_convert_whisper(dir, own, &params, &err) != SN_OK || sn_gguf_open(&b, own, &err) != SN_OK) fail_msg("%s", err.msg);
    same_contents(a, b);
#define REFUSED(file, from, to, says) converted_refused(aud_convert_whisper, dir, whisper_files, 4, file, from, to, says)
    REFUSED("config.json", "\"d_model\":16", "\"d_model\":18", "want [18, 80, 3]");
    REFUSED("config.json", "\"d_model\":16", "\"d_model\":17", "config.json");
    REFUSED("config.json", "\"decoder_layers\":2", "\"decoder_layers\":1", "model.decoder.layers.1.");
    REFUSED("config.json", "\"decoder_layers\":2", "\"decoder_layers\":3", "decoder.layers.2.self_attn_layer_norm.weight is missing");
    REFUSED("config.json", "\"d_model\":16", "\"max_source_positions\":77,\"d_model\":16", "config.json");
    REFUSED("generation_config.json", "[1,1]", "[9,1]", "alignment_heads");
    REFUSED("vocab.json", "<|startoftranscript|>", "<|startofscript|>", "startoftranscript");
    REFUSED("vocab.json", "\"<|endoftext|>\":276", "\"<|endoftext|>\":1e9", "no word 276");
    REFUSED("model.safetensors", "model.encoder.conv1.bias", "model.encoder.conv1.bits", "encoder.conv1.bias is missing");
    converted_damaged(aud_convert_whisper, dir, whisper_files, 4, 120);
    sn_gguf_close(a);
    sn_gguf_close(b);
    assert_int_equal(testing_folder_remove(dir), 0);
}

/* ---- folders that are wrong ---- */

static const char *const files[] = {"config.json", "model.safetensors"};
#define N_FILES (sizeof files / sizeof *files)

static void refused(const char *file, const char *from, const char *to, const char *says)
{
    converted_refused(aud_convert, GOLDEN "ultravox", files, N_FILES, file, from, to, says);
}

static void wrong_folders_are_refused_by_name(void **state)
{
    (void)state;
    static const char config[] = "config.json", weights[] = "model.safetensors";
    refused(config, "\"d_model\": 16", "\"d_model\": 1e99", "config.json: audio_config: d_model");
    refused(config, "\"d_model\": 16", "\"d_model\": 18", "want [18, 80, 3]");
    refused(config, "\"encoder_attention_heads\": 2", "\"encoder_attention_heads\": 3", "make no sense");
    refused(config, "\"encoder_layers\": 3", "\"encoder_layers\": 2", "audio_tower.layers.2");
    refused(config, "\"encoder_layers\": 3", "\"encoder_layers\": 4", "layers.3.self_attn_layer_norm.weight is missing");
    refused(config, "\"stack_factor\": 8", "\"stack_factor\": 7", "want [112]");
    refused(config, "\"hidden_size\": 24", "\"hidden_size\": 25", "make no sense");
    refused(config, "\"max_source_positions\": 20", "\"max_source_positions\": 21", "embed_positions.weight: want [21, 16]");
    refused(config, "audio_config", "sound_config", "no audio_config");
    refused(config, "\"model_type\": \"ultravox\"", "\"model_type\": \"infravox\"", "infravox");
    refused(weights, "ln_mid", "ln_end", "multi_modal_projector.ln_mid.weight is missing");
    refused(weights, "\"BF16\"", "\"U16\" ", "stored as U16");
}

static void cut_and_corrupt_files_are_refused_or_converted(void **state)
{
    (void)state;
    converted_damaged(aud_convert, GOLDEN "voxtral", files, N_FILES, 300);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_those_of_llama_cpps_converter),
        cmocka_unit_test(whisper_is_that_of_ctranslate2),
        cmocka_unit_test(wrong_folders_are_refused_by_name),
        cmocka_unit_test(cut_and_corrupt_files_are_refused_or_converted),
    };
    return testing_main("audio convert", tests, sizeof tests / sizeof *tests, argc, argv);
}
