/* Image and audio encoders with a few things changed: opening, and where that succeeds, a small picture through them. */
#include "../../audio/audio.h"
#include "../../vision/vision.h"
#include "fuzz.h"

static fuzz_base bases[] = {
    {.path = "tests/golden/vision/llava15.gguf"},      {.path = "tests/golden/vision/llavanext.gguf"},
    {.path = "tests/golden/vision/internvl.gguf"},     {.path = "tests/golden/vision/gemma3.gguf"},
    {.path = "tests/golden/vision/qwen25vl.gguf"},     {.path = "tests/golden/vision/qwen2vl.gguf"},
    {.path = "tests/golden/vision/pixtral.gguf"},      {.path = "tests/golden/vision/smolvlm.gguf"},
    {.path = "tests/golden/page/sketch-mmproj.gguf"},  {.path = "tests/golden/audio/front_ultravox.gguf"},
    {.path = "tests/golden/audio/front_voxtral.gguf"}, {.path = "tests/golden/audio/front_qwen2audio.gguf"},
    {.path = "tests/golden/vision/qwen3vl.gguf"},      {.path = "tests/golden/vision/granite_vision.gguf"},
    {.path = "tests/golden/vision/mobilevlm.gguf"},    {.path = "tests/golden/vision/mobilevlm_v2.gguf"},
    {.path = "tests/golden/vision/llava_siglip.gguf"}, {.path = "tests/golden/vision/llavanext_siglip.gguf"},
    {.path = "tests/golden/vision/mistral3.gguf"},     {.path = "tests/golden/vision/llava_layers.gguf"},
};
enum { PIXELS_MAX = 150 * 150 }; /* of all tiles: larger ones take seconds, and tests/robust has them */

static void see(vis_model *m)
{
    unsigned char rgb[20 * 14 * 3];
    for (size_t i = 0; i < sizeof rgb; i++) rgb[i] = (unsigned char)(i * 37);
    vis_prepared p = {0};
    sn_err err = {0};
    sn_status st = vis_model_prepare(m, &(vis_image){.w = 20, .h = 14, .rgb = rgb}, VIS_FIT_DEFAULT, &p, &err);
    size_t n_pixels = 0;
    for (size_t i = 0; st == SN_OK && i < p.n_tiles; i++) n_pixels += p.tile_w[i] * p.tile_h[i];
    if (st == SN_OK && n_pixels <= PIXELS_MAX) {
        float *out = malloc(p.n_tok * vis_model_n_embd(m) * sizeof *out);
        st = vis_model_encode(m, &p, out, &err);
        free(out);
    }
    fuzz_said(st, &err);
    vis_prepared_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t n_file;
    unsigned char *file = fuzz_changed(bases, sizeof bases / sizeof *bases, data, n, &n_file);
    if (file == NULL) return 0;
    const char *path = fuzz_file(0, file, n_file);
    vis_model *eyes = NULL;
    aud_model *ears = NULL;
    sn_err err = {0};
    sn_status st = vis_model_open(&eyes, path, fuzz_compute(), &err);
    fuzz_said(st, &err);
    if (st == SN_OK && strcmp(vis_model_family(eyes), "idefics3") != 0) see(eyes); /* makes any picture large */
    vis_model_close(eyes);
    st = aud_model_open(&ears, path, fuzz_compute(), &err);
    fuzz_said(st, &err);
    if (st == SN_OK) FUZZ_MUST(aud_model_n_tok(ears, 1600) <= SIZE_MAX / sizeof(float) / aud_model_n_embd(ears));
    aud_model_close(ears);
    free(file);
    return 0;
}
