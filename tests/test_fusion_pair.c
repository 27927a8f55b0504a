/* test_fusion_pair.c: which encoder may go with which decoder: what published files hold of architecture, tokens and names, the right
 * pairs and the wrong ones. */
#include "../fusion/pair.h"
#include "text_gguf.h"

#define GOLDEN "tests/golden/fusion/"

typedef struct {
    const char *arch, *name, *tokens[3];
} decoder;

/* Of the published files: general.architecture, general.name, and those of their tokens that matter here. */
static const decoder vicuna = {"llama", "LLaMA v2", {NULL}}, llama3 = {"llama", "Meta Llama 3.1 8B Instruct", {"<|eot_id|>"}},
                     smolvlm = {"llama", "SmolVLM Instruct", {"<fake_token_around_image>", "<image>", "<global-img>"}},
                     smollm = {"llama", "SmolLM2 1.7B Instruct", {"<|im_start|>"}},
                     idefics3 = {"llama", "Idefics3 8B Llama3", {"<fake_token_around_image>", "<image>"}},
                     pixtral = {"llama", "Pixtral 12B", {"[IMG]", "[IMG_BREAK]", "[IMG_END]"}},
                     mistral_small = {"llama", "Mistral Small 3.1 24B Instruct 2503", {"[IMG]", "[IMG_END]", "[BEGIN_AUDIO]"}},
                     voxtral = {"llama", "Voxtral Mini 3B 2507", {"[IMG_END]", "[AUDIO]", "[BEGIN_AUDIO]"}},
                     qwen2vl = {"qwen2vl", "Qwen2 VL 7B Instruct", {"<|vision_start|>", "<|vision_end|>"}},
                     qwen25vl = {"qwen2vl", "Qwen2.5 VL 7B Instruct", {"<|vision_start|>", "<|vision_end|>"}},
                     qwen25vl_tuned = {"qwen2vl", "olmOCR 7B", {"<|vision_start|>", "<|vision_end|>"}},
                     qwen3vl = {"qwen3vl", "Qwen3 VL 4B Instruct", {"<|vision_start|>", "<|vision_end|>"}},
                     qwen25 = {"qwen2", "Qwen2.5 7B Instruct", {"<|vision_start|>", "<|vision_end|>"}},
                     internvl = {"qwen2", "InternVL3 2B", {"<img>", "</img>", "<IMG_CONTEXT>"}},
                     qwen2audio = {"qwen2", "Qwen2 Audio 7B Instruct", {"<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"}},
                     mobilevlm = {"llama", "MobileVLM-1.7B", {NULL}}, mobilevlm2 = {"llama", "MobileVLM_V2-1.7B", {NULL}},
                     granite_vision = {"granite", "Granite Vision 3.2 2b", {"<image>"}},
                     granite = {"granite", "Granite 3.1 2b Instruct", {NULL}},
                     gemma3 = {"gemma3", "Gemma 3 4b It", {"<start_of_image>", "<end_of_image>"}};

static txt_vocab *vocab_of(const decoder *d)
{
    const char *list[5] = {"<s>", "a"};
    uint32_t n = 2;
    for (size_t i = 0; i < 3 && d->tokens[i]; i++) list[n++] = d->tokens[i];
    gg g;
    gg_begin(&g);
    gg_str(&g, "tokenizer.ggml.model", "llama", 5);
    gg_strs(&g, "tokenizer.ggml.tokens", list, n);
    gg_array(&g, "tokenizer.ggml.token_type", SN_KV_I32, n);
    for (uint32_t i = 0; i < n; i++) gg_u32(&g, i == 1 ? 1 : 3);
    sn_gguf *file = gg_open(&g);
    sn_err err = {0};
    txt_vocab *v = NULL;
    if (txt_vocab_open(&v, file, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_close(file);
    return v;
}

static void plain_name(char out[FUS_NAME_MAX], const char *name)
{
    gg g;
    gg_begin(&g);
    gg_str(&g, "general.name", name, strlen(name));
    sn_gguf *file = gg_open(&g);
    fus_plain_name(out, file);
    sn_gguf_close(file);
}

/* why "": they must fit; else they must not, and this is said. */
static void check(senses_medium_kind kind, const char *family, const char *encoder, const decoder *of, const char *why)
{
    fus_decoder d = {.arch = {of->arch, strlen(of->arch)}, .vocab = vocab_of(of)};
    fus_reason said = {""};
    char name[FUS_NAME_MAX];
    plain_name(d.name, of->name);
    plain_name(name, encoder);
    const bool fits = fus_fits(kind, family, name, &d, &said);
    txt_vocab_close((txt_vocab *)d.vocab);
    if (fits != (*why == '\0')) fail_msg("%s with %s: %s", family, of->name, fits ? "accepted" : said.text);
    if (!fits && !strstr(said.text, why)) fail_msg("%s with %s: %s", family, of->name, said.text);
}

static void right_pairs_are_never_refused(void **state)
{
    (void)state;
    const decoder *const without_tokens[] = {&vicuna, &llama3, &smollm, &qwen25, &mistral_small};
    for (size_t i = 0; i < sizeof without_tokens / sizeof *without_tokens; i++) {
        check(SENSES_IMAGE, "llava", "openai/clip-vit-large-patch14-336", without_tokens[i], "");
        check(SENSES_IMAGE, "llava-next", "vit-large336-custom", without_tokens[i], "");
        check(SENSES_AUDIO, "ultravox", "Ultravox v0_5", without_tokens[i], "");
    }
    check(SENSES_AUDIO, "ultravox", "Ultravox v0_6 Gemma 3 27b", &gemma3, "");
    check(SENSES_IMAGE, "idefics3", "SmolVLM Instruct", &smolvlm, "");
    check(SENSES_IMAGE, "idefics3", "Idefics3 8B Llama3", &idefics3, "");
    check(SENSES_IMAGE, "pixtral", "Pixtral 12B", &pixtral, "");
    check(SENSES_IMAGE, "pixtral", "Mistral Small 3.1 24B Instruct 2503", &mistral_small, "");
    check(SENSES_AUDIO, "voxtral", "Voxtral Mini 3B 2507", &voxtral, "");
    check(SENSES_IMAGE, "qwen2vl", "Qwen2 VL 7B Instruct", &qwen2vl, "");
    check(SENSES_IMAGE, "qwen25vl", "Qwen2.5 VL 7B Instruct", &qwen25vl, "");
    check(SENSES_IMAGE, "qwen2vl", "", &qwen25vl_tuned, ""); /* a tuned model's name says nothing */
    check(SENSES_IMAGE, "qwen25vl", "", &qwen25vl_tuned, "");
    check(SENSES_IMAGE, "qwen25vl", "qwen2vl-tuned", &(decoder){"qwen2vl", "qwen2vl-tuned", {"<|vision_start|>", "<|vision_end|>"}}, "");
    check(SENSES_IMAGE, "qwen3vl", "Qwen3 VL 4B Instruct", &qwen3vl, "");
    check(SENSES_IMAGE, "internvl", "InternVL3 2B", &internvl, "");
    check(SENSES_IMAGE, "mobilevlm", "openai/clip-vit-large-patch14-336", &mobilevlm, "");
    check(SENSES_IMAGE, "mobilevlm-v2", "openai/clip-vit-large-patch14-336", &mobilevlm2, "");
    check(SENSES_IMAGE, "mobilevlm-v2", "clip", &vicuna, ""); /* what the first converters called all of Llama's kin */
    check(SENSES_IMAGE, "granite-vision", "siglip-model", &granite_vision, "");
    check(SENSES_AUDIO, "ultravox", "Ultravox", &granite, "");
    check(SENSES_IMAGE, "gemma3", "Gemma 3 4b It", &gemma3, "");
    check(SENSES_AUDIO, "qwen2a", "Qwen2 Audio 7B Instruct", &qwen2audio, "");
}

static void wrong_pairs_are_refused_with_the_reason(void **state)
{
    (void)state;
    check(SENSES_IMAGE, "llava", "clip", &smolvlm, "the family idefics3: it has their token <fake_token_around_image>");
    check(SENSES_IMAGE, "llava", "clip", &internvl, "<IMG_CONTEXT>");
    check(SENSES_IMAGE, "llava", "clip", &gemma3, "the architecture gemma3");
    check(SENSES_IMAGE, "llava", "clip", &qwen2vl, "the architecture qwen2vl");
    check(SENSES_IMAGE, "llava-next", "clip", &pixtral, "the family pixtral, by its name");
    check(SENSES_IMAGE, "llava", "clip", &mobilevlm, "the family mobilevlm, by its name");
    check(SENSES_IMAGE, "mobilevlm", "clip", &mobilevlm2, "the family mobilevlm-v2, by its name");
    check(SENSES_IMAGE, "mobilevlm-v2", "clip", &mobilevlm, "the family mobilevlm, by its name");
    check(SENSES_IMAGE, "mobilevlm", "clip", &smolvlm, "<fake_token_around_image>");
    check(SENSES_IMAGE, "granite-vision", "siglip-model", &vicuna, "not of the architecture granite");
    check(SENSES_IMAGE, "llava-next", "siglip-model", &granite_vision, "the architecture granite");
    check(SENSES_IMAGE, "idefics3", "SmolVLM", &smollm, "has not the token <fake_token_around_image>");
    check(SENSES_IMAGE, "gemma3", "Gemma 3", &vicuna, "<start_of_image>");
    check(SENSES_IMAGE, "pixtral", "Pixtral", &llama3, "[IMG_END]");
    check(SENSES_IMAGE, "internvl", "InternVL3", &qwen25, "<img>");
    check(SENSES_IMAGE, "qwen25vl", "Qwen2.5 VL 7B", &qwen25, "not of the architecture qwen2vl");
    check(SENSES_IMAGE, "qwen2vl", "Qwen2 VL 7B", &qwen25vl, "the family qwen25vl, by its name");
    check(SENSES_IMAGE, "qwen25vl", "Qwen2.5 VL 7B", &qwen2vl, "the family qwen2vl, by its name");
    check(SENSES_IMAGE, "qwen3vl", "Qwen3 VL 4B", &qwen25vl, "not of the architecture qwen3vl");
    check(SENSES_IMAGE, "qwen25vl", "Qwen2.5 VL 7B", &qwen3vl, "not of the architecture qwen2vl");
    check(SENSES_IMAGE, "llava", "clip", &qwen3vl, "the architecture qwen3vl");
    check(SENSES_AUDIO, "ultravox", "Ultravox", &qwen2audio, "<|AUDIO|>");
    check(SENSES_AUDIO, "ultravox", "Ultravox", &voxtral, "the family voxtral, by its name");
    check(SENSES_AUDIO, "voxtral", "Voxtral", &llama3, "[BEGIN_AUDIO]");
    check(SENSES_AUDIO, "qwen2a", "Qwen2 Audio", &qwen25, "<|audio_bos|>");
}

static void files_of_one_width_and_two_families_are_no_pair(void **state)
{
    (void)state;
    senses_error err = {0};
    senses_engine *e = NULL;
    senses_text *t = NULL;
    senses_encoder *c = NULL;
    senses_session *s = NULL;
    assert_int_equal(senses_engine_open(&e, &(senses_engine_params){.threads = 1}, &err), SN_OK);
    assert_int_equal(senses_text_open(&t, e, GOLDEN "smolvlm_text.gguf", &err), SN_OK);
    assert_int_equal(senses_encoder_open(&c, e, GOLDEN "llava15_mmproj.gguf", &err), SN_OK);
    assert_int_equal(senses_encoder_n_embd(c), senses_text_n_embd(t));
    assert_int_equal(senses_pair_check(t, c, &err), SN_EUSAGE);
    assert_int_equal(senses_session_open(&s, t, &c, 1, NULL, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "llava15_mmproj.gguf: an encoder (image, llava)"));
    assert_non_null(strstr(err.msg, "smolvlm_text.gguf is a text model (llama)"));
    senses_encoder_close(c);
    assert_int_equal(senses_encoder_open(&c, e, GOLDEN "smolvlm_mmproj.gguf", &err), SN_OK);
    assert_int_equal(senses_pair_check(t, c, &err), SN_OK);
    senses_encoder_close(c);
    assert_int_equal(senses_encoder_open(&c, e, "tests/golden/vision/gemma3.gguf", &err), SN_OK);
    assert_int_equal(senses_pair_check(t, c, &err), SN_ESHAPE);
    assert_non_null(strstr(err.msg, "gemma3.gguf: an encoder (image, gemma3) whose rows have width 40"));
    assert_non_null(strstr(err.msg, "smolvlm_text.gguf is a text model (llama) of width 64"));
    senses_encoder_close(c);
    senses_text_close(t);
    senses_engine_close(e);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(right_pairs_are_never_refused),
    cmocka_unit_test(wrong_pairs_are_refused_with_the_reason),
    cmocka_unit_test(files_of_one_width_and_two_families_are_no_pair),
};
TESTING_MAIN("fusion_pair", tests)
