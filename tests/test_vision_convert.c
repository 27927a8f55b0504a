/* Hugging Face folders' picture encoders against what llama.cpp's converter makes of them (tests/golden/make_convert_encoders.py), key by key and tensor
 * by tensor; and folders that are wrong. */
#include "../vision/vision.h"
#include "converted.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "tests/golden/convert_encoders/"

static void files_equal_those_of_llama_cpps_converter(void **state)
{
    (void)state;
    static const char *const families[] = {"llava",        "llavanext",      "smolvlm", "idefics3",       "pixtral",
                                           "mistral3",     "internvl",       "qwen2vl", "qwen25vl",       "gemma3",
                                           "llava_siglip", "granite_vision", "qwen3vl", "mistral3tekken", "internvlhf"};
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        char dir[128];
        snprintf(dir, sizeof dir, GOLDEN "%s", families[i]);
        converted_as_expected(vis_convert, dir);
    }
}

/* What was written is a model here: of its family, as wide as the decoder. */
static void files_open_as_models(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *family;
    } all[] = {{"llava", "llava"},
               {"llavanext", "llava-next"},
               {"smolvlm", "idefics3"},
               {"idefics3", "idefics3"},
               {"pixtral", "pixtral"},
               {"internvl", "internvl"},
               {"qwen2vl", "qwen2vl"},
               {"qwen25vl", "qwen25vl"},
               {"gemma3", "gemma3"},
               {"llava_siglip", "llava"},
               {"granite_vision", "granite-vision"},
               {"qwen3vl", "qwen3vl"},
               {"mistral3tekken", "pixtral"},
               {"internvlhf", "internvl"}};
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    sn_err err = {0};
    sn_compute *c = NULL;
    assert_int_equal(sn_compute_open(&c, 1, SN_ISA_BEST, &err), SN_OK);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char dir[128];
        vis_model *m = NULL;
        const char *out = testing_temp("", 0);
        snprintf(dir, sizeof dir, GOLDEN "%s", all[i].folder);
        if (vis_convert(dir, out, &params, &err) != SN_OK || vis_model_open(&m, out, c, &err) != SN_OK) fail_msg("%s: %s", dir, err.msg);
        assert_string_equal(vis_model_family(m), all[i].family);
        assert_int_equal(vis_model_n_embd(m), strcmp(all[i].folder, "smolvlm") == 0 ? 32 : strcmp(all[i].folder, "qwen3vl") == 0 ? 36 : 12);
        vis_model_close(m);
    }
    sn_compute_close(c);
}

/* A folder of transformers' own class gives the rows that the class gives, on every instruction set. */
static void rows_equal_transformers(void **state)
{
    (void)state;
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    static const sn_isa isas[] = {SN_ISA_SCALAR, SN_ISA_AVX2, SN_ISA_AVX512, SN_ISA_BEST};
    sn_err err = {0};
    size_t shape[2], n_dims;
    float *want = testing_npy(GOLDEN "internvlhf/rows.npy", shape, &n_dims);
    const char *out = testing_temp("", 0);
    if (vis_convert(GOLDEN "internvlhf", out, &params, &err) != SN_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        sn_compute *c = NULL;
        vis_model *m = NULL;
        vis_image img;
        vis_prepared p;
        double off = 0, all = 0;
        if (sn_compute_open(&c, 1, isas[i], &err) != SN_OK) continue; /* not this processor's */
        if (vis_model_open(&m, out, c, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_int_equal(vis_image_load(&img, "tests/golden/vision/landscape.png", NULL, &err), SN_OK);
        assert_int_equal(vis_model_prepare(m, &img, VIS_FIT_DEFAULT, &p, &err), SN_OK);
        assert_int_equal(p.n_tok, shape[0]);
        assert_int_equal(vis_model_n_embd(m), shape[1]);
        float *rows = malloc(shape[0] * shape[1] * sizeof *rows);
        assert_int_equal(vis_model_encode(m, &p, rows, &err), SN_OK);
        for (size_t k = 0; k < shape[0] * shape[1]; k++) {
            off += ((double)rows[k] - (double)want[k]) * ((double)rows[k] - (double)want[k]);
            all += (double)want[k] * (double)want[k];
        }
        if (!(sqrt(off / all) <= 1e-4)) fail_msg("isa %d: rms error %g", (int)isas[i], sqrt(off / all));
        free(rows);
        vis_prepared_free(&p);
        vis_image_free(&img);
        vis_model_close(m);
        sn_compute_close(c);
    }
    free(want);
}

static const char *const files[] = {"config.json", "preprocessor_config.json", "model.safetensors"};
#define N_FILES (sizeof files / sizeof *files)
static const char *const pixtral_files[] = {"config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json"};

static void refused(const char *family, const char *file, const char *from, const char *to, const char *says)
{
    char dir[128];
    snprintf(dir, sizeof dir, GOLDEN "%s", family);
    if (strcmp(family, "pixtral") == 0)
        converted_refused(vis_convert, dir, pixtral_files, N_FILES + 1, file, from, to, says);
    else
        converted_refused(vis_convert, dir, files, N_FILES, file, from, to, says);
}

static void wrong_folders_are_refused_by_name(void **state)
{
    (void)state;
    static const char config[] = "config.json", weights[] = "model.safetensors", processor[] = "preprocessor_config.json";
    refused("llava", config, "\"patch_size\": 8", "\"patch_size\": 1e99", "config.json: vision_config: patch_size");
    refused("llava", config, "\"patch_size\": 8", "\"patch_size\": 4",
            "model.safetensors: embeddings.patch_embedding.weight: want [16, 3, 4, 4]");
    refused("llava", config, "\"num_attention_heads\": 2, \"image", "\"num_attention_heads\": 3, \"image", "make no sense");
    refused("llava", config, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 6", "encoder.layers.4.");
    refused("llava", config, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 2", "has no place");
    refused("llava", config, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": -7", "vision_feature_layer");
    refused("llava", config, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [1, 2]", "linear_1.weight: want [12, 32]");
    refused("llava", config, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": []", "names no layer's output");
    refused("llava", config, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": 0", "names no layer's output");
    refused("llava", config, "\"vision_feature_layer\": -2", "\"vision_feature_layer\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
            "more than 16");
    refused("granite_vision", config, "[-3, -1, -2]", "[-3, -1, \"last\"]", "vision_feature_layer");
    refused("granite_vision", config, "[-3, -1, -2]", "[-3, -1, -5]", "vision_feature_layer");
    refused("granite_vision", config, "\"full\"", "\"default\"", "the first patch is dropped");
    refused("granite_vision", config, "\"patch_size\": 8", "\"patch_size\": 8, \"hidden_act\": \"gelu\"", "want gelu_pytorch_tanh");
    refused("granite_vision", config, "[68, 68]", "[68]", "image_grid_pinpoints");
    refused("granite_vision", weights, "embeddings.position_embedding", "embeddings.position_embeddinx", "position_embedd");
    refused("llava", config, "\"default\"", "\"full\"", "class row");
    refused("llava", config, "clip_vision_model", "siglip_vision_model", "the first patch is dropped");
    refused("llava", config, "clip_vision_model", "siglip2_vision_model", "siglip2_vision_model");
    refused("llava", config, "vision_config", "vision_setting", "no vision_config");
    refused("llava", config, "\"hidden_size\": 12", "\"hidden_size\": 14", "want [14");
    refused("llava", processor, "\"image_mean\": [", "\"image_mean\": [1, ", "image_mean is not three numbers");
    refused("llava", processor, "image_std", "image_stb", "image_std is not three numbers");
    refused("llava", weights, "vision_tower.vision_model.pre_layrnorm.bias", "vision_tower.vision_model.pre_layrnorm.bits",
            "pre_layrnorm.bits has no place");
    refused("llava", weights, "linear_1.weight", "linear_9.weight", "multi_modal_projector.linear_1.weight is missing");
    refused("llava", weights, "\"F16\"", "\"I16\"", "stored as I16");
    refused("llavanext", config, "[32, 64]", "[32, -1]", "image_grid_pinpoints");
    refused("idefics3", config, "\"scale_factor\": 2", "\"scale_factor\": 0", "scale_factor");
    refused("smolvlm", processor, "\"longest_edge\": 64", "\"longest_edge\": 1e200", "size.longest_edge");
    refused("pixtral", config, "\"silu\"", "\"relu\"", "relu");
    refused("pixtral", "tokenizer.json", "[IMG_BREAK]", "[IMG_PAUSE]", "[IMG_BREAK]");
    refused("pixtral", "tokenizer.json", "12", "20", "[IMG_BREAK]");
    refused("internvl", config, "\"downsample_ratio\": 0.5", "\"downsample_ratio\": 0", "downsample_ratio");
    refused("internvl", config, "\"max_dynamic_patch\": 6", "\"max_dynamic_patch\": -6", "max_dynamic_patch");
    refused("internvl", config, "\"gelu\"", "\"silu\"", "hidden_act is silu");
    refused("internvlhf", config, "\"layer_norm\"", "\"rms_norm\"", "norm_type is rms_norm");
    refused("internvlhf", config, "[32, 32]", "[32, 64]", "image_size is not one side");
    refused("internvlhf", config, "[8, 8]", "[8, 8, 8]", "patch_size is not one side");
    refused("internvlhf", config, "\"vision_feature_layer\": -1", "\"vision_feature_layer\": -2", "vision_feature_layer is not the last");
    refused("internvlhf", config, "strategy\": \"default\"", "strategy\": \"full\"", "class row is not dropped");
    refused("internvlhf", config, "\"projector_hidden_act\": \"gelu\"", "\"projector_hidden_act\": \"relu\"",
            "projector_hidden_act is relu");
    refused("internvlhf", processor, "\"max_patches\": 4", "\"max_patches\": 0.5", "max_patches is not a number of tiles");
    refused("qwen2vl", config, "\"temporal_patch_size\": 2", "\"temporal_patch_size\": 3", "temporal_patch_size");
    refused("qwen2vl", config, "\"mlp_ratio\": 2", "\"mlp_ratio\": 3", "want [48, 16]");
    refused("qwen25vl", config, "[0, 1, 2]", "[0, 2, 3]", "fullatt_block_indexes");
    refused("qwen3vl", config, "[0, 2]", "[0, 3]", "deepstack_visual_indexes");
    refused("qwen3vl", config, "[0, 2]", "[2, 0]", "deepstack_visual_indexes");
    refused("qwen3vl", config, "[0, 2]", "[0, 0.5]", "deepstack_visual_indexes");
    refused("qwen3vl", config, "[0, 2]", "[0]", "deepstack_merger_list.1.");
    refused("qwen3vl", config, "[0, 2]", "[0, 1, 2]", "deepstack_merger_list.2.");
    refused("qwen3vl", config, "\"num_position_embeddings\": 16", "\"num_position_embeddings\": 17", "no square");
    refused("qwen3vl", config, "\"temporal_patch_size\": 2", "\"temporal_patch_size\": 3", "temporal_patch_size");
    refused("qwen3vl", config, "gelu_pytorch_tanh", "relu", "want gelu_pytorch_tanh");
    refused("gemma3", processor, "\"image_seq_length\": 4", "\"image_seq_length\": 0", "image_seq_length");
    refused("gemma3", config, "\"model_type\": \"gemma3\"", "\"model_type\": \"gemma9\"", "gemma9");
}

static void cut_and_corrupt_files_are_refused_or_converted(void **state)
{
    (void)state;
    converted_damaged(vis_convert, GOLDEN "llava", files, N_FILES, 300);
    converted_damaged(vis_convert, GOLDEN "qwen25vl", files, N_FILES, 300);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_equal_those_of_llama_cpps_converter),
        cmocka_unit_test(files_open_as_models),
        cmocka_unit_test(rows_equal_transformers),
        cmocka_unit_test(wrong_folders_are_refused_by_name),
        cmocka_unit_test(cut_and_corrupt_files_are_refused_or_converted),
    };
    return testing_main("vision convert", tests, sizeof tests / sizeof *tests, argc, argv);
}
