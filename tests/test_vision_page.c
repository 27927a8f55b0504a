/* The page reader's encoder against PyTorch (tests/golden/make_page.py), on every instruction set, and what a hostile file gets. */
#include "../core/mem.h"
#include "../vision/conv.h"
#include "../vision/family.h"
#include "../vision/reading_order.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIR "tests/golden/page/"

typedef struct {
    sn_compute *compute;
    vis_model *model;
    vis_prepared prepared;
    float *rows; /* [prepared.n_tok, n_embd] */
} run;

/* False where this CPU lacks the instruction set. */
static bool run_open(run *r, sn_isa isa, size_t n_threads)
{
    sn_err err = {0};
    vis_image img;

    *r = (run){0};
    if (!sn_isa_usable(isa)) return false;
    assert_int_equal(sn_compute_open(&r->compute, n_threads, isa, NULL), SN_OK);
    if (vis_model_open(&r->model, DIR "sketch-mmproj.gguf", r->compute, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(vis_image_load(&img, DIR "page.png", NULL, NULL), SN_OK);
    if (vis_model_prepare(r->model, &img, VIS_FIT_DEFAULT, &r->prepared, &err) != SN_OK) fail_msg("%s", err.msg);
    r->rows = malloc(r->prepared.n_tok * vis_model_n_embd(r->model) * sizeof *r->rows);
    if (vis_model_encode(r->model, &r->prepared, r->rows, &err) != SN_OK) fail_msg("%s", err.msg);
    vis_image_free(&img);
    return true;
}

static void run_close(run *r)
{
    vis_prepared_free(&r->prepared);
    free(r->rows);
    vis_model_close(r->model);
    sn_compute_close(r->compute);
}

static bool is_zero(const float *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (row[i] != 0) return false;
    return true;
}

static void the_picture_is_prepared_as_pillow_does(void **state)
{
    size_t shape[4], n_dims;
    float *in = testing_npy(DIR "in.npy", shape, &n_dims);
    run r;

    (void)state;
    assert_true(run_open(&r, SN_ISA_SCALAR, 1));
    assert_int_equal(r.prepared.tile_w[0], 96);
    assert_int_equal(r.prepared.tile_h[0], 160);
    assert_int_equal(r.prepared.n_tok, 240);
    for (size_t i = 0; i < shape[1]; i++) {
        const float want = in[2 * shape[1] + i], got = r.prepared.pixels[0][(size_t)in[shape[1] + i]];
        if (fabsf(got - want) > 1e-4f) fail_msg("value %g is %g, want %g", in[shape[1] + i], got, want);
    }
    free(in);
    run_close(&r);
}

static void rows_and_kept_frames_equal_pytorch(void **state)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(DIR "rows.npy", shape, &n_dims);

    (void)state;
    for (int isa = SN_ISA_SCALAR; isa < SN_ISA_COUNT; isa++) {
        run r;
        size_t n_kept = 0;
        if (!run_open(&r, (sn_isa)isa, 2)) continue;
        const size_t e = vis_model_n_embd(r.model);
        assert_int_equal(shape[0], r.prepared.n_tok);
        assert_int_equal(shape[1], e);
        for (size_t i = 0; i < shape[0]; i++) {
            if (is_zero(r.rows + i * e, e) != is_zero(want + i * e, e)) fail_msg("%s: row %zu is kept by one", sn_isa_name((sn_isa)isa), i);
            if (is_zero(want + i * e, e)) continue;
            const double cosine = testing_cosine(r.rows + i * e, want + i * e, e);
            if (!(cosine >= 0.9995)) fail_msg("%s: row %zu has a cosine of %.6f", sn_isa_name((sn_isa)isa), i, cosine);
            n_kept++;
        }
        assert_true(n_kept > 0 && n_kept < shape[0]);
        if (!(testing_rms_rel(r.rows, want, shape[0] * e) <= 1.4e-4)) /* it is 1.0e-4; GELUs of the other kind make it 1.9e-4 */
            fail_msg("%s: rms error %.6f", sn_isa_name((sn_isa)isa), testing_rms_rel(r.rows, want, shape[0] * e));
        if (r.model->arena.peak > r.model->arena.size || r.model->arena.peak + r.model->arena.size / 20 < r.model->arena.size)
            fail_msg("%zu bytes promised, %zu used", r.model->arena.size, r.model->arena.peak);
        run_close(&r);
    }
    free(want);
}

static void threads_do_not_change_the_rows(void **state)
{
    run a, b;

    (void)state;
    assert_true(run_open(&a, sn_isa_best(), 1));
    assert_true(run_open(&b, sn_isa_best(), 3));
    assert_memory_equal(a.rows, b.rows, a.prepared.n_tok * vis_model_n_embd(a.model) * sizeof(float));
    run_close(&a);
    run_close(&b);
}

static void the_longer_side_is_fitted_and_both_are_pairs_of_cells(void **state)
{
    static const size_t sizes[][4] = {{1, 1, 160, 160},    {65535, 1, 160, 32}, {1, 65535, 32, 160}, {160, 96, 160, 96},
                                      {640, 350, 160, 96}, {640, 316, 160, 64}, {7, 3, 160, 64}};
    run r;

    (void)state;
    assert_true(run_open(&r, sn_isa_best(), 2));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        vis_image img;
        vis_prepared p;
        assert_int_equal(vis_image_new(&img, sizes[i][0], sizes[i][1], NULL), SN_OK);
        memset(img.rgb, 77, img.w * img.h * 3);
        assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
        assert_int_equal(p.tile_w[0], sizes[i][2]);
        assert_int_equal(p.tile_h[0], sizes[i][3]);
        for (size_t k = 0; k < p.tile_w[0] * p.tile_h[0]; k++) assert_true(fabsf(p.pixels[0][k]) < 1e-6f); /* bare paper, no NaN */
        float *rows = malloc(p.n_tok * vis_model_n_embd(r.model) * sizeof *rows);
        assert_int_equal(vis_model_encode(r.model, &p, rows, NULL), SN_OK);
        free(rows);
        assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_CROP, &p, NULL), SN_EUSAGE);
        vis_image_free(&img);
        vis_prepared_free(&p);
    }
    run_close(&r);
}

/* A convolution, as it is defined, against the strips. */
static void a_convolution_equals_its_definition(void **state)
{
    enum { W = 300, H = 171, IN = 5, OUT = 3 };
    static float x[H * W * IN], w[OUT * 9 * IN], y[H * W * OUT];
    const float bias[OUT] = {0.5f, -1, 2};
    sn_compute *c;
    sn_arena tmp;

    (void)state;
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (float)((i * 7919) % 101) / 50 - 1;
    for (size_t i = 0; i < sizeof w / sizeof *w; i++) w[i] = (float)((i * 104729) % 97) / 50 - 1;
    assert_int_equal(sn_compute_open(&c, 2, SN_ISA_BEST, NULL), SN_OK);
    for (size_t stride = 1; stride <= 2; stride++) {
        vis_conv k = {.stride = stride};
        assert_int_equal(sn_linear_init(&k.w, c, SN_F32, OUT, 9 * IN, w, bias, NULL), SN_OK);
        assert_int_equal(sn_arena_init(&tmp, vis_conv_scratch_bytes(c, &k, W, H), NULL), SN_OK);
        for (size_t i = 0; i < sizeof y / sizeof *y; i++) y[i] = 1;
        vis_conv_apply(c, y, x, W, H, &k, true, &tmp);
        for (size_t i = 0; i < vis_conv_side(&k, W) * vis_conv_side(&k, H) * OUT; i++) {
            const size_t o = i % OUT, ox = i / OUT % vis_conv_side(&k, W) * stride, oy = i / OUT / vis_conv_side(&k, W) * stride;
            double sum = 1 + bias[o];
            for (size_t ky = 0; ky < 3; ky++)
                for (size_t kx = 0; kx < 3; kx++)
                    for (size_t ch = 0; ch < IN; ch++)
                        if (oy + ky >= 1 && oy + ky <= H && ox + kx >= 1 && ox + kx <= W)
                            sum += (double)x[((oy + ky - 1) * W + ox + kx - 1) * IN + ch] * w[o * 9 * IN + (ky * 3 + kx) * IN + ch];
            if (!(fabs(sum - y[i]) < 1e-4)) fail_msg("stride %zu, value %zu: %g, want %g", stride, i, y[i], sum);
        }
        assert_int_equal(tmp.peak, tmp.size);
        sn_arena_free(&tmp);
        sn_linear_free(&k.w);
    }
    sn_compute_close(c);
}

/* ---- hostile files ---- */

typedef struct {     /* one change to the file */
    const char *key; /* set to `value`, or, NAN, left away */
    double value;
    bool is_float, is_nan;
    const char *also; /* set to `also_value`, or likewise left away */
    double also_value;
    const char *drop, *cut; /* a tensor left away; a tensor of which the last row is */
    const char *says;       /* what the message must name */
} edit;

static const char *rewrite(const edit *e)
{
    const char *out = testing_temp("", 0);
    sn_gguf *g;
    sn_gguf_writer *w;

    assert_int_equal(sn_gguf_open(&g, DIR "sketch-mmproj.gguf", NULL), SN_OK);
    assert_int_equal(sn_gguf_create(&w, out, NULL), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++)
        if (!e->key || !sn_str_eq(sn_gguf_kv_at(g, i)->key, e->key))
            if (!e->also || !sn_str_eq(sn_gguf_kv_at(g, i)->key, e->also)) sn_gguf_set_kv(w, sn_gguf_kv_at(g, i));
    if (e->also && !isnan(e->also_value)) sn_gguf_set_u32(w, e->also, (uint32_t)e->also_value);
    if (e->is_nan) sn_gguf_set_f32(w, e->key, NAN);
    if (e->key && !isnan(e->value)) {
        if (e->is_float)
            sn_gguf_set_f32(w, e->key, (float)e->value);
        else
            sn_gguf_set_u32(w, e->key, (uint32_t)e->value);
    }
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
            const sn_tensor *t = sn_gguf_tensor_at(g, i);
            size_t shape[SN_MAX_DIMS], n_bytes = t->n_bytes;
            if (e->drop && !strcmp(t->name, e->drop)) continue;
            memcpy(shape, t->shape, sizeof shape);
            if (e->cut && !strcmp(t->name, e->cut)) n_bytes -= n_bytes / shape[0]--;
            if (pass == 0)
                sn_gguf_add_tensor(w, t->name, t->type, shape, t->n_dims);
            else
                sn_gguf_write_data(w, t->data, n_bytes);
        }
    assert_int_equal(sn_gguf_finish(w, NULL), SN_OK);
    sn_gguf_close(g);
    return out;
}

static void hostile_files_are_refused_by_name(void **state)
{
    static const edit edits[] = {
        {.drop = "v.stem.0.weight", .says = "v.stem.0.weight"},
        {.drop = "v.stem.res.0.1.bias", .says = "v.stem.res.0.1.bias"},
        {.drop = "v.stem.fine.0.0.weight", .says = "v.stem.fine.0.0.weight"},
        {.drop = "v.blk.0.ln1.weight", .says = "v.blk.0.ln1"},
        {.drop = "v.position_embd.weight", .says = "v.position_embd"},
        {.drop = "mm.0.weight", .says = "mm.0.weight"},
        {.drop = "v.stem.norm.bias", .says = "v.stem.norm"},
        {.drop = "mm.stem_head.bias", .says = "mm.stem_head"},
        {.drop = "mm.2.weight", .says = "mm.2.weight"},
        {.drop = "mm.col_embd.weight", .says = "mm.col_embd"},
        {.cut = "v.stem.1.weight", .says = "v.stem.1.weight"},
        {.cut = "v.stem.down.bias", .says = "v.stem.down.bias"},
        {.cut = "mm.char_head.weight", .says = "mm.char_head.weight"},
        {.cut = "mm.kind_head.weight", .says = "mm.kind_head.weight"},
        {.cut = "mm.kind_embd.weight", .says = "mm.kind_embd.weight"},
        {.cut = "mm.row_embd.weight", .says = "mm.row_embd.weight"},
        {.cut = "mm.0.weight", .says = "mm.0"},
        {.cut = "v.position_embd.weight", .says = "v.position_embd"},
        {.key = "clip.vision.page.stem_channels", .value = 0, .says = "stem_channels"},
        {.key = "clip.vision.page.stem_channels", .value = 4294967295.0, .says = "stem_channels"},
        {.key = "clip.vision.page.stem_channels", .value = 64, .says = "v.stem.2"},
        {.key = "clip.vision.page.stem_blocks", .value = 4000000000.0, .says = "stem_blocks"},
        {.key = "clip.vision.page.stem_fine_blocks", .value = 2, .says = "v.stem.fine.1.0"},
        {.key = "clip.vision.page.stem_fine_blocks", .value = 65, .says = "stem_fine_blocks"},
        {.key = "clip.vision.page.stem_blocks", .value = 2, .says = "v.stem.res.1.0"},
        {.key = "clip.vision.page.stem_blocks", .value = NAN, .says = "stem_blocks"},
        {.key = "clip.vision.page.frames", .value = 0, .says = "frames"},
        {.key = "clip.vision.page.frames", .value = 5, .says = "mm.stem_head"},
        {.key = "clip.vision.page.classes", .value = 1, .says = "classes"},
        {.key = "clip.vision.page.classes", .value = 4000000000.0, .says = "classes"},
        {.key = "clip.vision.page.kinds", .value = 18, .says = "kinds"},
        {.key = "clip.vision.page.keep", .value = 2, .is_float = true, .says = "keep"},
        {.key = "clip.vision.page.keep", .value = -1, .is_float = true, .says = "keep"},
        {.key = "clip.vision.page.keep", .value = NAN, .is_nan = true, .says = "keep"},
        {.key = "clip.vision.page.sure", .value = 2, .is_float = true, .says = "sure"},
        {.key = "clip.vision.page.gap", .value = 0, .says = "gap"},
        {.key = "clip.vision.page.gap", .value = NAN, .says = "gap"},
        {.key = "clip.vision.page.frames", .value = 64, .also = "clip.vision.page.classes", .also_value = 65, .says = "64 times 65"},
        {.key = "clip.vision.image_size", .value = 2048, .also = "clip.vision.page.stem_channels", .also_value = 4096, .says = "scratch"},
        {.key = "clip.vision.patch_size", .value = 8, .says = "cells of 8"},
        {.key = "clip.vision.image_size", .value = 176, .says = "image_size"},
        {.key = "clip.vision.image_size", .value = 4096, .says = "image_size"},
        {.key = "clip.vision.image_size", .value = 192, .says = "v.position_embd"},
        {.key = "clip.vision.embedding_length", .value = 64, .says = "v.stem.down"},
        {.key = "clip.vision.attention.head_count", .value = 5, .says = "heads"},
        {.key = "clip.vision.block_count", .value = 2, .says = "v.blk.1"},
        {.key = "clip.vision.feed_forward_length", .value = 64, .says = "ffn_up"},
    };
    sn_compute *c;

    (void)state;
    assert_int_equal(sn_compute_open(&c, 1, SN_ISA_BEST, NULL), SN_OK);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const char *path = rewrite(&edits[i]);
        vis_model *m = NULL;
        sn_err err = {0};
        if (vis_model_open(&m, path, c, &err) == SN_OK) fail_msg("case %zu (%s) was opened", i, edits[i].says);
        if (!strstr(err.msg, edits[i].says) || strncmp(err.msg, path, strlen(path))) fail_msg("case %zu: %s", i, err.msg);
    }
    sn_compute_close(c);
}

static void without_thresholds_every_frame_has_a_row(void **state)
{
    const edit none = {.key = "clip.vision.page.keep", .value = NAN, .also = "clip.vision.page.sure", .also_value = NAN};
    vis_model *m;
    vis_image img;
    vis_prepared p;
    sn_compute *c;

    (void)state;
    assert_int_equal(sn_compute_open(&c, 1, SN_ISA_BEST, NULL), SN_OK);
    assert_int_equal(vis_model_open(&m, rewrite(&none), c, NULL), SN_OK);
    assert_int_equal(vis_image_load(&img, DIR "page.png", NULL, NULL), SN_OK);
    assert_int_equal(vis_model_prepare(m, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
    const size_t e = vis_model_n_embd(m);
    float *rows = malloc(p.n_tok * e * sizeof *rows);
    assert_int_equal(vis_model_encode(m, &p, rows, NULL), SN_OK);
    for (size_t i = 0; i < p.n_tok; i++) assert_false(is_zero(rows + i * e, e));
    free(rows);
    vis_prepared_free(&p);
    vis_image_free(&img);
    vis_model_close(m);
    sn_compute_close(c);
}

static void light_on_dark_is_prepared_as_dark_on_light(void **state)
{
    vis_image img;
    vis_prepared p;
    run r;

    (void)state;
    assert_true(run_open(&r, sn_isa_best(), 1));
    assert_int_equal(vis_image_load(&img, DIR "page.png", NULL, NULL), SN_OK);
    for (size_t i = 0; i < img.w * img.h * 3; i++) img.rgb[i] = (unsigned char)(255 - img.rgb[i]);
    assert_int_equal(vis_model_prepare(r.model, &img, VIS_FIT_DEFAULT, &p, NULL), SN_OK);
    for (size_t i = 0; i < 3 * p.tile_w[0] * p.tile_h[0]; i++) /* but for a level of grey, by rounding */
        if (!(fabsf(p.pixels[0][i] - r.prepared.pixels[0][i]) < 0.05f))
            fail_msg("pixel %zu: %g, want %g", i, (double)p.pixels[0][i], (double)r.prepared.pixels[0][i]);
    vis_prepared_free(&p);
    vis_image_free(&img);
    run_close(&r);
}

static void a_moved_picture_repeats_its_edges(void **state)
{
    enum { BY = 5 };
    run r;

    (void)state;
    assert_true(run_open(&r, sn_isa_best(), 1));
    const size_t w = r.prepared.tile_w[0], h = r.prepared.tile_h[0], n = 3 * w * h;
    const float *moved = r.prepared.pixels[0];
    float *old = malloc(n * sizeof *old);
    memcpy(old, moved, n * sizeof *old);
    vis_prepared_shift(&r.prepared, BY);
    for (size_t i = 0; i < n; i++) {
        const size_t x = i % w, y = i / w % h, from_x = x < BY ? 0 : x - BY, from_y = y < BY ? 0 : y - BY;
        if (moved[i] != old[i / (w * h) * w * h + from_y * w + from_x]) fail_msg("plane %zu, pixel %zu, %zu", i / (w * h), x, y);
    }
    free(old);
    run_close(&r);
}

static void places_are_read_line_by_line(void **state)
{
    size_t shape[4], n_dims, n_cases = 0;
    float *golden = testing_npy(DIR "order.npy", shape, &n_dims);
    const float *cases = golden, *row = cases + shape[1], *frame = row + shape[1], *want = frame + shape[1];

    (void)state;
    for (size_t at = 0, n; at < shape[1]; at += n, n_cases++) {
        vis_place places[1024];
        size_t order[1024];
        sn_arena tmp;
        for (n = 0; at + n < shape[1] && cases[at + n] == cases[at]; n++)
            places[n] = (vis_place){(size_t)row[at + n], (size_t)frame[at + n]};
        assert_int_equal(sn_arena_init(&tmp, vis_reading_order_scratch_bytes(n), NULL), SN_OK);
        vis_reading_order(order, places, n, 10, &tmp);
        for (size_t i = 0; i < n; i++)
            if (order[i] != (size_t)want[at + i]) fail_msg("case %g: number %zu is %zu, want %g", cases[at], i, order[i], want[at + i]);
        assert_int_equal(tmp.peak, tmp.size);
        sn_arena_free(&tmp);
    }
    assert_true(n_cases > 8);
    free(golden);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_picture_is_prepared_as_pillow_does),   cmocka_unit_test(rows_and_kept_frames_equal_pytorch),
    cmocka_unit_test(threads_do_not_change_the_rows),           cmocka_unit_test(the_longer_side_is_fitted_and_both_are_pairs_of_cells),
    cmocka_unit_test(a_convolution_equals_its_definition),      cmocka_unit_test(hostile_files_are_refused_by_name),
    cmocka_unit_test(without_thresholds_every_frame_has_a_row), cmocka_unit_test(places_are_read_line_by_line),
    cmocka_unit_test(a_moved_picture_repeats_its_edges),        cmocka_unit_test(light_on_dark_is_prepared_as_dark_on_light),
};
TESTING_MAIN("vision_page", tests)
