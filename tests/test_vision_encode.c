/* The families against transformers, from the file to the decoder's rows; tests/golden/make_vision_models.py,
 * make_vision_gemma_qwen.py, make_vision_llava.py and make_vision_qwen3vl.py made the references. */
#include "../core/mem.h"
#include "../vision/family.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIR "tests/golden/vision/"

typedef struct {
    sn_compute *compute;
    vis_model *model;
    vis_prepared prepared;
    float *rows; /* [prepared.n_tok, n_embd] */
} run;

static void run_open(run *r, const char *mmproj, sn_isa isa, size_t n_threads)
{
    sn_err err = {0};

    *r = (run){0};
    assert_int_equal(sn_compute_open(&r->compute, n_threads, isa, NULL), SN_OK);
    if (vis_model_open(&r->model, mmproj, r->compute, &err) != SN_OK) fail_msg("%s", err.msg);
}

static void run_picture(run *r, const char *picture, vis_fit fit)
{
    vis_image img;
    sn_err err = {0};

    vis_prepared_free(&r->prepared);
    free(r->rows);
    assert_int_equal(vis_image_load(&img, picture, NULL, NULL), SN_OK);
    if (vis_model_prepare(r->model, &img, fit, &r->prepared, &err) != SN_OK) fail_msg("%s", err.msg);
    r->rows = malloc(r->prepared.n_tok * vis_model_n_embd(r->model) * sizeof *r->rows);
    if (vis_model_encode(r->model, &r->prepared, r->rows, &err) != SN_OK) fail_msg("%s", err.msg);
    vis_image_free(&img);
}

static void run_close(run *r)
{
    vis_prepared_free(&r->prepared);
    free(r->rows);
    vis_model_close(r->model);
    sn_compute_close(r->compute);
}

/* in [3, n]: tile, index, value. */
static void check_input(const vis_prepared *p, const char *path)
{
    size_t shape[4], n_dims;
    float *in = testing_npy(path, shape, &n_dims);

    assert_int_equal(shape[0], 3);
    for (size_t i = 0; i < shape[1]; i++) {
        const size_t tile = (size_t)in[i], at = (size_t)in[shape[1] + i];
        const float want = in[2 * shape[1] + i];
        assert_true(tile < p->n_tiles && at < 3 * p->tile_w[tile] * p->tile_h[tile]);
        if (fabsf(p->pixels[tile][at] - want) > 1e-6f)
            fail_msg("%s: tile %zu value %zu is %g, want %g", path, tile, at, p->pixels[tile][at], want);
    }
    assert_int_equal((size_t)in[shape[1] - 1], p->n_tiles - 1); /* every tile was looked at */
    free(in);
}

/* Every `step`-th column of our rows against the stored ones: cosine in every row, and rms. */
static void check_rows(const float *rows, size_t n_tok, size_t n_embd, size_t step, const char *path, double max_rms)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(path, shape, &n_dims), *got = malloc(shape[0] * shape[1] * sizeof *got);
    double rms;

    assert_int_equal(shape[0], n_tok);
    assert_int_equal(shape[1], (n_embd + step - 1) / step);
    for (size_t i = 0; i < n_tok; i++) {
        double c;
        for (size_t k = 0; k < shape[1]; k++) got[i * shape[1] + k] = rows[i * n_embd + k * step];
        c = testing_cosine(got + i * shape[1], want + i * shape[1], shape[1]);
        if (!(c >= 0.9995)) fail_msg("%s: row %zu has a cosine of %.6f", path, i, c);
    }
    rms = testing_rms_rel(got, want, n_tok * shape[1]);
    if (!(rms <= max_rms)) fail_msg("%s: rms error %.6f", path, rms);
    free(got);
    free(want);
}

/* The memory for activations is planned: all of what was promised is used, and no more. */
static void check_arena(const vis_model *m)
{
    if (m->arena.peak > m->arena.size || m->arena.peak + m->arena.size / 20 < m->arena.size)
        fail_msg("%s: %zu bytes promised, %zu used", vis_model_family(m), m->arena.size, m->arena.peak);
}

static void check_case(const char *family, const char *picture, vis_fit fit)
{
    char path[128];
    run r;

    snprintf(path, sizeof path, DIR "%s.gguf", family);
    run_open(&r, path, SN_ISA_BEST, 2);
    snprintf(path, sizeof path, DIR "%s.png", picture);
    run_picture(&r, path, fit);
    snprintf(path, sizeof path, DIR "%s_%s_in.npy", family, picture);
    check_input(&r.prepared, path);
    snprintf(path, sizeof path, DIR "%s_%s_rows.npy", family, picture);
    check_rows(r.rows, r.prepared.n_tok, vis_model_n_embd(r.model), 8, path,
               2e-5); /* float32 against float32: a GELU of the other kind is 1e-4 off */
    check_arena(r.model);
    run_close(&r);
}

static void llava15_equals_transformers(void **state)
{
    (void)state;
    check_case("llava15", "portrait", VIS_FIT_CROP);
}

static void llava15_pads_by_default_as_it_was_trained(void **state)
{
    run r;

    (void)state;
    run_open(&r, DIR "llava15.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "portrait.png", VIS_FIT_DEFAULT);
    check_input(&r.prepared, DIR "llava15_pad_in.npy");
    run_close(&r);
}

static void llavanext_equals_transformers(void **state)
{
    (void)state;
    check_case("llavanext", "landscape", VIS_FIT_DEFAULT);
    check_case("llavanext", "small", VIS_FIT_DEFAULT);
}

static void smolvlm_equals_transformers(void **state)
{
    (void)state;
    check_case("smolvlm", "landscape", VIS_FIT_DEFAULT);
}

static void pixtral_equals_transformers(void **state)
{
    (void)state;
    check_case("pixtral", "landscape", VIS_FIT_DEFAULT);
}

static void mistral3_equals_transformers(void **state)
{
    (void)state;
    check_case("mistral3", "landscape", VIS_FIT_DEFAULT);
    check_case("mistral3", "small", VIS_FIT_DEFAULT);
}

static void internvl_equals_transformers(void **state)
{
    (void)state;
    check_case("internvl", "landscape", VIS_FIT_DEFAULT);
}

/* 9 x 9 patches become 5 x 5 rows, 15 x 15 become 12 x 12. */
static void mobilevlm_equals_its_papers(void **state)
{
    (void)state;
    check_case("mobilevlm", "portrait", VIS_FIT_DEFAULT);
    check_case("mobilevlm", "small", VIS_FIT_DEFAULT);
    check_case("mobilevlm_v2", "portrait", VIS_FIT_DEFAULT);
    check_case("mobilevlm_v2", "small", VIS_FIT_DEFAULT);
}

static void llava_with_siglip_equals_transformers(void **state)
{
    (void)state;
    check_case("llava_siglip", "landscape", VIS_FIT_DEFAULT); /* stretched, not padded */
    check_case("llava_siglip", "portrait", VIS_FIT_DEFAULT);
    check_case("llavanext_siglip", "landscape", VIS_FIT_DEFAULT);
    check_case("llavanext_siglip", "portrait", VIS_FIT_DEFAULT);
}

static void features_of_two_layers_equal_transformers(void **state)
{
    (void)state;
    check_case("llava_layers", "portrait", VIS_FIT_DEFAULT); /* CLIP: the class row is dropped from both */
}

/* Four feature layers, not in their order; patches that do not fill the tile; SigLIP's GELU in a file that says it has none. */
static void granite_vision_equals_transformers(void **state)
{
    (void)state;
    check_case("granite_vision", "landscape", VIS_FIT_DEFAULT);
    check_case("granite_vision", "portrait", VIS_FIT_DEFAULT);
    check_case("granite_vision", "small", VIS_FIT_DEFAULT);
}

static void gemma3_equals_transformers(void **state)
{
    (void)state;
    check_case("gemma3", "landscape", VIS_FIT_DEFAULT);
}

static void qwen2vl_and_qwen25vl_equal_transformers(void **state)
{
    (void)state;
    check_case("qwen2vl", "landscape", VIS_FIT_DEFAULT); /* 26 x 17 rows: no multiple of a window */
    check_case("qwen25vl", "landscape", VIS_FIT_DEFAULT);
}

static void qwen3vl_equals_transformers(void **state)
{
    (void)state;
    check_case("qwen3vl", "portrait", VIS_FIT_DEFAULT); /* 7 x 7 learned positions over 32 x 56 patches */
    check_case("qwen3vl", "small", VIS_FIT_DEFAULT);    /* enlarged */
}

static void qwen_sizes_equal_transformers(void **state)
{
    size_t shape[4], n_dims;
    float *sizes = testing_npy(DIR "qwen_sizes.npy", shape, &n_dims);
    vis_image img;
    vis_prepared p;
    run r;

    (void)state;
    run_open(&r, DIR "qwen2vl.gguf", SN_ISA_BEST, 1);
    for (size_t i = 0; i < shape[0]; i++) {
        const float *s = sizes + 4 * i; /* w, h, and what they become */
        assert_int_equal(vis_image_new(&img, (size_t)s[0], (size_t)s[1], NULL), SN_OK);
        memset(img.rgb, 0, img.w * img.h * 3);
        assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
        if (p.tile_w[0] != (size_t)s[2] || p.tile_h[0] != (size_t)s[3])
            fail_msg("%zux%zu: %zux%zu, want %gx%g", img.w, img.h, p.tile_w[0], p.tile_h[0], s[2], s[3]);
        assert_int_equal(p.tiles[0].map_w, p.tile_w[0] / 28);
        assert_int_equal(p.tiles[0].map_h, p.tile_h[0] / 28);
        assert_int_equal(p.n_tok, p.tiles[0].map_w * p.tiles[0].map_h);
        vis_prepared_free(&p);
        vis_image_free(&img);
    }
    assert_int_equal(vis_image_new(&img, 201, 1, NULL), SN_OK);
    memset(img.rgb, 0, 201 * 3);
    assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_EUNSUPPORTED);
    vis_image_free(&img);
    free(sizes);
    run_close(&r);
}

static void internvl_grids_equal_transformers(void **state)
{
    size_t shape[4], n_dims;
    float *grids = testing_npy(DIR "internvl_grids.npy", shape, &n_dims);
    run r;

    (void)state;
    run_open(&r, DIR "internvl.gguf", SN_ISA_BEST, 1);
    for (size_t i = 0; i < shape[0]; i++) {
        const float *g = grids + 4 * i; /* w, h, tiles across, tiles down */
        vis_image img;
        vis_prepared p;
        assert_int_equal(vis_image_new(&img, (size_t)g[0], (size_t)g[1], NULL), SN_OK);
        memset(img.rgb, 0, img.w * img.h * 3);
        assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
        if (p.grid_w != (size_t)g[2] || p.grid_h != (size_t)g[3])
            fail_msg("%zux%zu: %zux%zu tiles, want %gx%g", img.w, img.h, p.grid_w, p.grid_h, g[2], g[3]);
        vis_prepared_free(&p);
        vis_image_free(&img);
    }
    free(grids);
    run_close(&r);
}

static void markers_stand_where_the_processor_puts_them(void **state)
{
    run r;
    char want[80];

    (void)state;
    run_open(&r, DIR "smolvlm.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "small.png", VIS_FIT_DEFAULT); /* 260 x 200: 4 x 4 tiles and the whole */
    assert_int_equal(r.prepared.n_tiles, 17);
    assert_int_equal(r.prepared.grid_w, 4);
    assert_int_equal(r.prepared.grid_h, 4);
    assert_true(r.prepared.overview);
    for (size_t i = 0; i < 16; i++) {
        snprintf(want, sizeof want, "%s<fake_token_around_image><row_%zu_col_%zu>", i % 4 == 0 && i ? "\n" : "", i / 4 + 1, i % 4 + 1);
        assert_string_equal(r.prepared.tiles[i].before, want);
        assert_int_equal(r.prepared.tiles[i].n_tok, 64);
    }
    assert_string_equal(r.prepared.tiles[16].before, "\n\n<fake_token_around_image><global-img>");
    assert_string_equal(r.prepared.after, "<fake_token_around_image>");
    run_close(&r);
    run_open(&r, DIR "pixtral.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "small.png", VIS_FIT_DEFAULT); /* 17 x 13 patches, 12 breaks */
    assert_int_equal(r.prepared.n_tok, 17 * 13 + 12);
    assert_string_equal(r.prepared.after, "[IMG_END]");
    run_close(&r);
    run_open(&r, DIR "internvl.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "small.png", VIS_FIT_STRETCH);
    assert_int_equal(r.prepared.n_tiles, 1);
    assert_string_equal(r.prepared.tiles[0].before, "<img>");
    assert_string_equal(r.prepared.after, "</img>");
    run_close(&r);
    run_open(&r, DIR "gemma3.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "small.png", VIS_FIT_STRETCH);
    assert_int_equal(r.prepared.n_tok, 16);
    assert_string_equal(r.prepared.tiles[0].before, "\n\n<start_of_image>");
    assert_string_equal(r.prepared.after, "<end_of_image>\n\n");
    run_close(&r);
    run_open(&r, DIR "qwen25vl.gguf", SN_ISA_BEST, 1);
    run_picture(&r, DIR "small.png", VIS_FIT_DEFAULT);
    assert_string_equal(r.prepared.tiles[0].before, "<|vision_start|>");
    assert_string_equal(r.prepared.after, "<|vision_end|>");
    run_close(&r);
}

static void every_instruction_set_and_thread_count_agrees(void **state)
{
    static const char *const models[] = {DIR "llava15.gguf",      DIR "internvl.gguf",     DIR "pixtral.gguf",
                                         DIR "mistral3.gguf",     DIR "gemma3.gguf",       DIR "qwen25vl.gguf",
                                         DIR "mobilevlm.gguf",    DIR "mobilevlm_v2.gguf", DIR "granite_vision.gguf",
                                         DIR "llava_siglip.gguf", DIR "llava_layers.gguf", DIR "qwen3vl.gguf"};

    (void)state;
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        run a, b;
        run_open(&a, models[m], SN_ISA_SCALAR, 1);
        run_picture(&a, DIR "small.png", VIS_FIT_DEFAULT);
        for (int isa = SN_ISA_SCALAR; isa < SN_ISA_COUNT; isa++) {
            size_t n;
            if (!sn_isa_usable((sn_isa)isa)) continue;
            run_open(&b, models[m], (sn_isa)isa, 3);
            run_picture(&b, DIR "small.png", VIS_FIT_DEFAULT);
            n = a.prepared.n_tok * vis_model_n_embd(a.model);
            if (!(testing_rms_rel(b.rows, a.rows, n) <= 1e-4))
                fail_msg("%s: %s is off by %g", models[m], sn_isa_name((sn_isa)isa), testing_rms_rel(b.rows, a.rows, n));
            run_close(&b);
        }
        run_close(&a);
    }
}

static void extreme_pictures_are_encoded(void **state)
{
    static const char *const models[] = {DIR "llava15.gguf", DIR "llavanext.gguf", DIR "smolvlm.gguf", DIR "pixtral.gguf",
                                         DIR "internvl.gguf"};
    static const size_t sizes[][2] = {{1, 1}, {65535, 1}, {1, 65535}, {1, 300}, {3000, 2}};

    (void)state;
    for (size_t m = 0; m < 5; m++) {
        run r;
        run_open(&r, models[m], SN_ISA_BEST, 2);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            vis_image img;
            vis_prepared p;
            assert_int_equal(vis_image_new(&img, sizes[i][0], sizes[i][1], NULL), SN_OK);
            memset(img.rgb, 77, img.w * img.h * 3);
            assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
            assert_true(p.n_tok > 0 && p.n_tok < 6000);
            if (i == 1 && m != 2) { /* encoded, too, once */
                float *rows = malloc(p.n_tok * vis_model_n_embd(r.model) * sizeof *rows);
                assert_int_equal(vis_model_encode(r.model, &p, rows, NULL), SN_OK);
                assert_true(isfinite(rows[p.n_tok * vis_model_n_embd(r.model) - 1]));
                free(rows);
            }
            vis_prepared_free(&p);
            vis_image_free(&img);
        }
        run_close(&r);
    }
}

/* ---- real weights: DINOv2-small-shaped, 12 blocks (make_vision.py --dino) ---- */

static void a_real_vit_equals_onnxruntime(void **state)
{
    const char *path = testing_model("dinov2-small-internvl.gguf");

    (void)state;
    if (!path) testing_skip("the exported ViT is not there");
    for (int isa = SN_ISA_SCALAR; isa < SN_ISA_COUNT; isa++) {
        run r;
        sn_arena tmp;
        float *states;
        if (!sn_isa_usable((sn_isa)isa)) continue;
        run_open(&r, path, (sn_isa)isa, 0);
        run_picture(&r, "samples/cat.png", VIS_FIT_STRETCH);
        check_rows(r.rows, r.prepared.n_tok, 576, 1, DIR "dino_rows.npy", 2e-3);
        if (isa != (int)sn_isa_best()) { /* the rows show it; the states are for finding out where */
            run_close(&r);
            continue;
        }
        states = malloc(257 * 384 * sizeof *states); /* [257, 384]: the class row first */
        assert_int_equal(sn_arena_init(&tmp, vit_scratch_bytes(&r.model->vit, r.compute, 224, 224), NULL), SN_OK);
        vit_forward(&r.model->vit, r.compute, states, r.prepared.pixels[0], 224, 224, &tmp);
        check_rows(states, 257, 384, 4, DIR "dino_states.npy", 2e-3);
        sn_arena_free(&tmp);
        free(states);
        run_close(&r);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(llava15_equals_transformers),
    cmocka_unit_test(llava15_pads_by_default_as_it_was_trained),
    cmocka_unit_test(llavanext_equals_transformers),
    cmocka_unit_test(smolvlm_equals_transformers),
    cmocka_unit_test(pixtral_equals_transformers),
    cmocka_unit_test(mistral3_equals_transformers),
    cmocka_unit_test(internvl_equals_transformers),
    cmocka_unit_test(internvl_grids_equal_transformers),
    cmocka_unit_test(mobilevlm_equals_its_papers),
    cmocka_unit_test(llava_with_siglip_equals_transformers),
    cmocka_unit_test(features_of_two_layers_equal_transformers),
    cmocka_unit_test(granite_vision_equals_transformers),
    cmocka_unit_test(gemma3_equals_transformers),
    cmocka_unit_test(qwen2vl_and_qwen25vl_equal_transformers),
    cmocka_unit_test(qwen3vl_equals_transformers),
    cmocka_unit_test(qwen_sizes_equal_transformers),
    cmocka_unit_test(markers_stand_where_the_processor_puts_them),
    cmocka_unit_test(every_instruction_set_and_thread_count_agrees),
    cmocka_unit_test(extreme_pictures_are_encoded),
    cmocka_unit_test(a_real_vit_equals_onnxruntime),
};
TESTING_MAIN("vision_encode", tests)
