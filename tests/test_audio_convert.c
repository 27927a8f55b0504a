/* Hugging Face folders' sound encoders against what llama.cpp's converter makes of them (tests/golden/make_convert_encoders.py), key by key and tensor
 * by tensor; and folders that are wrong. */
#include "../audio/audio.h"
#include "converted.h"
#include "testing.h"

#define GOLDEN "tests/golden/convert_encoders/"

static void files_equal_those_of_llama_cpps_converter(void **state)
{
    (void)state;
    converted_as_expected(aud_convert, GOLDEN "ultravox");
    converted_as_expected(aud_convert, GOLDEN "voxtral");
    converted_as_expected(aud_convert, GOLDEN "qwen2audio");
}

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
        cmocka_unit_test(wrong_folders_are_refused_by_name),
        cmocka_unit_test(cut_and_corrupt_files_are_refused_or_converted),
    };
    return testing_main("audio convert", tests, sizeof tests / sizeof *tests, argc, argv);
}
