/* What a family reads from an mmproj file, and that no file does harm: real files rewritten with other keys and tensors. */
#include "../core/file.h"
#include "../core/mem.h"
#include "../vision/family.h"
#include "testing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR "tests/golden/vision/"

/* One change to a file: a key set to a number, to a list, or (value NAN) left away; a tensor copied under a second name or left away. */
typedef struct {
    const char *key;
    double value;
    bool is_float;
    const int32_t *list; /* [n_list]; NULL: none */
    size_t n_list;
    const char *drop_tensor, *copy_from, *copy_to; /* prefixes: v.blk.1. */
} edit;

static const char *rewrite(const char *path, const edit *edits, size_t n_edits)
{
    const char *out = testing_temp("", 0);
    sn_gguf *g;
    sn_gguf_writer *w;
    const void *data[1024];
    size_t sizes[1024], n = 0;
    sn_err err = {0};

    assert_int_equal(sn_gguf_open(&g, path, NULL), SN_OK);
    assert_int_equal(sn_gguf_create(&w, out, NULL), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) {
        const sn_kv *kv = sn_gguf_kv_at(g, i);
        bool edited = false;
        for (size_t k = 0; k < n_edits; k++) edited |= edits[k].key && sn_str_eq(kv->key, edits[k].key);
        if (!edited) sn_gguf_set_kv(w, kv);
    }
    for (size_t k = 0; k < n_edits; k++) {
        if (!edits[k].key || isnan(edits[k].value)) continue;
        if (edits[k].list)
            sn_gguf_set_array(w, edits[k].key, SN_KV_I32, edits[k].list, edits[k].n_list);
        else if (edits[k].is_float)
            sn_gguf_set_f32(w, edits[k].key, (float)edits[k].value);
        else
            sn_gguf_set_u32(w, edits[k].key, (uint32_t)edits[k].value);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        bool drop = false;
        for (size_t k = 0; k < n_edits; k++)
            drop |= edits[k].drop_tensor && !strncmp(t->name, edits[k].drop_tensor, strlen(edits[k].drop_tensor));
        if (drop) continue;
        sn_gguf_add_tensor(w, t->name, t->type, t->shape, t->n_dims);
        data[n] = t->data;
        sizes[n++] = t->n_bytes;
        for (size_t k = 0; k < n_edits; k++) {
            char name[SN_MAX_NAME + 1];
            if (!edits[k].copy_from || strncmp(t->name, edits[k].copy_from, strlen(edits[k].copy_from))) continue;
            snprintf(name, sizeof name, "%s%s", edits[k].copy_to, t->name + strlen(edits[k].copy_from));
            sn_gguf_add_tensor(w, name, t->type, t->shape, t->n_dims);
            data[n] = t->data;
            sizes[n++] = t->n_bytes;
        }
    }
    for (size_t i = 0; i < n; i++) sn_gguf_write_data(w, data[i], sizes[i]);
    if (sn_gguf_finish(w, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_gguf_close(g);
    return out;
}

static sn_compute *compute(void)
{
    static sn_compute *c;

    if (!c) assert_int_equal(sn_compute_open(&c, 1, SN_ISA_BEST, NULL), SN_OK);
    return c;
}

static int close_compute(void **state)
{
    (void)state;
    sn_compute_close(compute());
    return 0;
}

/* The rows of small.png, cropped; free(). */
static float *encode(const char *mmproj, size_t *n)
{
    vis_model *m;
    vis_image img;
    vis_prepared p;
    float *rows;
    sn_err err = {0};

    if (vis_model_open(&m, mmproj, compute(), &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(vis_image_load(&img, DIR "small.png", NULL, NULL), SN_OK);
    assert_int_equal(vis_model_prepare(m, &img, VIS_FIT_CROP, &p, NULL), SN_OK);
    *n = p.n_tok * vis_model_n_embd(m);
    rows = malloc(*n * sizeof *rows);
    assert_int_equal(vis_model_encode(m, &p, rows, NULL), SN_OK);
    vis_prepared_free(&p);
    vis_image_free(&img);
    vis_model_close(m);
    return rows;
}

static bool same_rows(const char *a, const char *b)
{
    size_t n, n_b;
    float *x = encode(a, &n), *y = encode(b, &n_b);
    const bool same = n == n_b && !memcmp(x, y, n * sizeof *x);

    free(x);
    free(y);
    return same;
}

static void without_a_feature_layer_every_stored_block_runs(void **state)
{
    const edit none = {.key = "clip.vision.feature_layer", .value = NAN}, one = {.key = "clip.vision.feature_layer", .value = 1};
    const char *all = rewrite(DIR "llava15.gguf", &none, 1);

    (void)state;
    assert_true(same_rows(all, DIR "llava15.gguf")); /* 2 of 2 */
    assert_false(same_rows(rewrite(DIR "llava15.gguf", &one, 1), all));
}

static void a_last_block_that_is_a_copy_is_filler(void **state)
{
    const edit copy[] = {{.key = "clip.vision.feature_layer", .value = NAN},
                         {.key = "clip.vision.block_count", .value = 3},
                         {.copy_from = "v.blk.1.", .copy_to = "v.blk.2."}};
    const edit forced[] = {{.key = "clip.vision.feature_layer", .value = 3}, copy[1], copy[2]};
    const edit other[] = {copy[0], copy[1], {.copy_from = "v.blk.0.", .copy_to = "v.blk.2."}};

    (void)state;
    assert_true(same_rows(rewrite(DIR "llava15.gguf", copy, 3), DIR "llava15.gguf"));
    assert_false(same_rows(rewrite(DIR "llava15.gguf", forced, 3), DIR "llava15.gguf"));
    assert_false(same_rows(rewrite(DIR "llava15.gguf", other, 3), DIR "llava15.gguf"));
}

static void an_mlp_file_without_its_projector_type_is_llava(void **state)
{
    const edit no_type = {.key = "clip.projector_type", .value = NAN};

    (void)state;
    assert_true(same_rows(rewrite(DIR "llava15.gguf", &no_type, 1), DIR "llava15.gguf"));
}

static void families_are_told_by_their_projector(void **state)
{
    static const struct {
        const char *file, *family;
        size_t n_embd;
    } want[] = {{DIR "llava15.gguf", "llava", 64},
                {DIR "llavanext.gguf", "llava-next", 64},
                {DIR "smolvlm.gguf", "idefics3", 64},
                {DIR "internvl.gguf", "internvl", 40},
                {DIR "pixtral.gguf", "pixtral", 64},
                {DIR "mistral3.gguf", "pixtral", 40},
                {DIR "mobilevlm.gguf", "mobilevlm", 56},
                {DIR "mobilevlm_v2.gguf", "mobilevlm-v2", 48},
                {DIR "granite_vision.gguf", "granite-vision", 56},
                {DIR "llava_siglip.gguf", "llava", 40},
                {DIR "llavanext_siglip.gguf", "llava-next", 40},
                {DIR "qwen3vl.gguf", "qwen3vl", 72}};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        vis_model *m;
        assert_int_equal(vis_model_open(&m, want[i].file, compute(), NULL), SN_OK);
        assert_string_equal(vis_model_family(m), want[i].family);
        assert_int_equal(vis_model_n_embd(m), want[i].n_embd);
        assert_true(vis_model_bytes(m) > 1000);
        vis_model_close(m);
    }
}

static void a_fit_that_a_family_does_not_do_is_said(void **state)
{
    vis_model *m;
    vis_image img;
    vis_prepared p;
    sn_err err = {0};

    (void)state;
    assert_int_equal(vis_model_open(&m, DIR "smolvlm.gguf", compute(), NULL), SN_OK);
    assert_int_equal(vis_image_load(&img, DIR "small.png", NULL, NULL), SN_OK);
    assert_int_equal(vis_model_prepare(m, &img, VIS_FIT_CROP, &p, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "smolvlm.gguf: "));
    vis_image_free(&img);
    vis_model_close(m);
}

/* ---- other forms of the same weights ---- */

static bool is_block_matrix(const sn_tensor *t)
{
    return t->n_dims == 2 && t->type == SN_F16 && strcmp(t->name, "v.position_embd.weight");
}

/* The file with its matrices in `type`. */
static const char *quantise(const char *path, sn_type type)
{
    const char *out = testing_temp("", 0);
    const sn_type_info *info = sn_type_get(type);
    sn_gguf *g;
    sn_gguf_writer *w;

    assert_int_equal(sn_gguf_open(&g, path, NULL), SN_OK);
    assert_int_equal(sn_gguf_create(&w, out, NULL), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) sn_gguf_set_kv(w, sn_gguf_kv_at(g, i));
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        sn_gguf_add_tensor(w, t->name, is_block_matrix(t) ? type : t->type, t->shape, t->n_dims);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        if (is_block_matrix(t)) {
            const size_t n_bytes = t->n_values / info->block * info->bytes;
            float *values = malloc(t->n_values * sizeof *values);
            void *blocks = malloc(n_bytes);
            sn_type_get(t->type)->dequantize(values, t->data, t->n_values);
            info->quantize(blocks, values, t->n_values);
            sn_gguf_write_data(w, blocks, n_bytes);
            free(blocks);
            free(values);
        } else {
            sn_gguf_write_data(w, t->data, t->n_bytes);
        }
    }
    assert_int_equal(sn_gguf_finish(w, NULL), SN_OK);
    sn_gguf_close(g);
    return out;
}

static void quantised_weights_stay_near_the_dense_ones(void **state)
{
    static const struct {
        sn_type type;
        double cosine;
    } types[] = {{SN_Q8_0, 0.9995}, {SN_F32, 0.999999}, {SN_BF16, 0.9995}, {SN_Q4_0, 0.95}};
    size_t n;
    float *dense = encode(DIR "llava15.gguf", &n);

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        float *rows = encode(quantise(DIR "llava15.gguf", types[i].type), &n);
        const double c = testing_cosine(rows, dense, n);
        if (!(c >= types[i].cosine)) fail_msg("%s: cosine %.6f", sn_type_get(types[i].type)->name, c);
        free(rows);
    }
    free(dense);
}

/* The file with attn_q, attn_k and attn_v of each block as one attn_qkv. */
static const char *fuse_qkv(const char *path)
{
    static const char *const parts[] = {"attn_q", "attn_k", "attn_v"}, *const ends[] = {"weight", "bias"};
    const char *out = testing_temp("", 0);
    sn_gguf *g;
    sn_gguf_writer *w;
    char name[80];

    assert_int_equal(sn_gguf_open(&g, path, NULL), SN_OK);
    assert_int_equal(sn_gguf_create(&w, out, NULL), SN_OK);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) sn_gguf_set_kv(w, sn_gguf_kv_at(g, i));
    for (int pass = 0; pass < 2; pass++) { /* declare, then write */
        for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
            const sn_tensor *t = sn_gguf_tensor_at(g, i);
            if (strstr(t->name, ".attn_q.") || strstr(t->name, ".attn_k.") || strstr(t->name, ".attn_v.")) continue;
            if (pass)
                sn_gguf_write_data(w, t->data, t->n_bytes);
            else
                sn_gguf_add_tensor(w, t->name, t->type, t->shape, t->n_dims);
        }
        for (size_t i = 0; i < 2 * 2 * 3; i++) { /* block, end, part */
            const sn_tensor *t;
            snprintf(name, sizeof name, "v.blk.%zu.%s.%s", i / 6, parts[i % 3], ends[i / 3 % 2]);
            t = sn_gguf_tensor(g, name);
            assert_non_null(t);
            if (pass) {
                sn_gguf_write_data(w, t->data, t->n_bytes);
            } else if (i % 3 == 0) {
                snprintf(name, sizeof name, "v.blk.%zu.attn_qkv.%s", i / 6, ends[i / 3 % 2]);
                sn_gguf_add_tensor(w, name, t->type, (size_t[]){3 * t->shape[0], t->n_dims > 1 ? t->shape[1] : 0}, t->n_dims);
            }
        }
    }
    assert_int_equal(sn_gguf_finish(w, NULL), SN_OK);
    sn_gguf_close(g);
    return out;
}

static void a_fused_qkv_equals_its_parts(void **state)
{
    size_t n;
    float *apart = encode(DIR "llava15.gguf", &n), *fused = encode(fuse_qkv(DIR "llava15.gguf"), &n);

    (void)state;
    assert_true(testing_rms_rel(fused, apart, n) < 1e-5);
    free(apart);
    free(fused);
}

/* ---- hostile files ---- */

static void expect_refused(const char *path, const edit *e)
{
    const char *bad = rewrite(path, e, 1);
    const char *what = e->key ? e->key : e->drop_tensor;
    vis_model *m = NULL;
    sn_err err = {0};

    if (vis_model_open(&m, bad, compute(), &err) == SN_OK) fail_msg("%s: accepted with another %s (%g)", path, what, e->value);
    if (strncmp(err.msg, bad, strlen(bad)) || strchr(err.msg, '\n')) fail_msg("no good message: %s", err.msg);
    assert_null(m);
}

static void absurd_numbers_are_refused(void **state)
{
    static const char *const files[] = {DIR "llava15.gguf",      DIR "llavanext.gguf", DIR "smolvlm.gguf",      DIR "internvl.gguf",
                                        DIR "pixtral.gguf",      DIR "mistral3.gguf",  DIR "gemma3.gguf",       DIR "qwen2vl.gguf",
                                        DIR "qwen25vl.gguf",     DIR "mobilevlm.gguf", DIR "mobilevlm_v2.gguf", DIR "granite_vision.gguf",
                                        DIR "llava_siglip.gguf", DIR "qwen3vl.gguf"};
    static const char *const keys[] = {"clip.vision.image_size",          "clip.vision.patch_size",  "clip.vision.embedding_length",
                                       "clip.vision.feed_forward_length", "clip.vision.block_count", "clip.vision.attention.head_count"};
    static const double values[] = {0, 4294967295.0, 2147483648.0, 65537, NAN};

    (void)state;
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        for (size_t k = 0; k < 6; k++)
            for (size_t v = 0; v < 5; v++) {
                const bool unread = k == 3 && v == 3 && strstr(files[f], "/qwen2") != NULL; /* its width is the tensor's */
                if (!unread) expect_refused(files[f], &(edit){.key = keys[k], .value = values[v]});
            }
        expect_refused(files[f], &(edit){.key = "clip.vision.attention.head_count", .value = 7}); /* does not divide */
        expect_refused(files[f], &(edit){.key = "clip.vision.attention.layer_norm_epsilon", .value = -1, .is_float = true});
        expect_refused(files[f], &(edit){.key = "clip.vision.attention.layer_norm_epsilon", .value = INFINITY, .is_float = true});
        expect_refused(files[f], &(edit){.key = "clip.vision.image_mean", .value = 1});
        expect_refused(files[f], &(edit){.key = "clip.vision.image_std", .value = NAN});
        expect_refused(files[f], &(edit){.key = "clip.vision.block_count", .value = 17});
        expect_refused(files[f], &(edit){.key = "clip.has_vision_encoder", .value = NAN});
    }
    expect_refused(DIR "llava15.gguf", &(edit){.key = "clip.vision.feature_layer", .value = 3});
    expect_refused(DIR "llava15.gguf", &(edit){.key = "clip.vision.feature_layer", .value = 4294967295.0});
    expect_refused(DIR "llava15.gguf", &(edit){.key = "clip.projector_type", .value = 7});
    expect_refused(DIR "llavanext.gguf", &(edit){.key = "clip.vision.image_grid_pinpoints", .value = 336});
    expect_refused(DIR "smolvlm.gguf", &(edit){.key = "clip.vision.projector.scale_factor", .value = 0});
    expect_refused(DIR "smolvlm.gguf", &(edit){.key = "clip.vision.projector.scale_factor", .value = 3});
    expect_refused(DIR "smolvlm.gguf", &(edit){.key = "clip.vision.preproc_image_size", .value = 1e9});
    expect_refused(DIR "internvl.gguf", &(edit){.key = "clip.vision.preproc_max_tiles", .value = 1e6});
    expect_refused(DIR "internvl.gguf", &(edit){.key = "clip.vision.preproc_min_tiles", .value = 13});
    expect_refused(DIR "pixtral.gguf", &(edit){.key = "clip.use_silu", .value = NAN});
    expect_refused(DIR "gemma3.gguf", &(edit){.key = "clip.vision.projector.scale_factor", .value = 0});
    expect_refused(DIR "gemma3.gguf", &(edit){.key = "clip.vision.projector.scale_factor", .value = 3}); /* of 8 patches a side */
    expect_refused(DIR "qwen25vl.gguf", &(edit){.key = "clip.vision.n_wa_pattern", .value = 0});
    expect_refused(DIR "qwen3vl.gguf", &(edit){.key = "clip.vision.is_deepstack_layers", .value = 1});
    expect_refused(DIR "qwen3vl.gguf", &(edit){.key = "clip.vision.spatial_merge_size", .value = 0});
    expect_refused(DIR "qwen3vl.gguf", &(edit){.key = "clip.vision.spatial_merge_size", .value = 3});
    expect_refused(DIR "qwen3vl.gguf", &(edit){.key = "clip.vision.image_min_pixels", .value = 4294967295.0});
    expect_refused(DIR "qwen3vl.gguf", &(edit){.key = "clip.vision.image_max_pixels", .value = 100}); /* less than the least */
    expect_refused(DIR "qwen25vl.gguf", &(edit){.key = "clip.vision.n_wa_pattern", .value = NAN});
}

/* Attention takes time by the square of them, and the file says how large a picture is made. */
static void too_many_patches_are_refused_before_they_are_cut(void **state)
{
    const edit most[] = {{.key = "clip.vision.image_min_pixels", .value = 1u << 28},
                         {.key = "clip.vision.image_max_pixels", .value = 1u << 28}};
    const char *bad = rewrite(DIR "qwen3vl.gguf", most, 2);
    vis_model *m;
    vis_image img;
    vis_prepared p = {0};
    sn_err err = {0};

    (void)state;
    if (vis_model_open(&m, bad, compute(), &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(vis_image_load(&img, DIR "small.png", NULL, NULL), SN_OK);
    assert_int_equal(vis_model_prepare(m, &img, VIS_FIT_DEFAULT, &p, &err), SN_ELIMIT);
    if (strncmp(err.msg, bad, strlen(bad)) || !strstr(err.msg, "at most 65536")) fail_msg("%s", err.msg);
    assert_null(p.pixels);
    vis_image_free(&img);
    vis_model_close(m);
}

static void absurd_lists_of_feature_layers_are_refused(void **state)
{
    static const char *const key = "clip.vision.feature_layer";
    static const int32_t behind_the_last[] = {1, 3, 6, 5}, negative[] = {1, 3, -1, 5}, lowest[] = {INT32_MIN, 5},
                         many[17] = {1, 2, 3, 4, 5}, fewer[] = {1, 5}, more[] = {1, 2, 3, 4, 5}, one[] = {5}, two_of_one[] = {1, 2};

    (void)state;
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = behind_the_last, .n_list = 4});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = negative, .n_list = 4});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = lowest, .n_list = 2});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = many, .n_list = 17});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = many, .n_list = 0});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = fewer, .n_list = 2}); /* not what the projector takes */
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = more, .n_list = 5});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .list = one, .n_list = 1});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .value = NAN});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = key, .value = 5});
    expect_refused(DIR "granite_vision.gguf", &(edit){.key = "clip.vision.image_grid_pinpoints", .list = fewer, .n_list = 2});
    expect_refused(DIR "llava15.gguf", &(edit){.key = key, .list = two_of_one, .n_list = 2});
    expect_refused(DIR "llavanext.gguf", &(edit){.key = key, .list = two_of_one, .n_list = 2});
    expect_refused(DIR "mobilevlm.gguf", &(edit){.key = key, .list = two_of_one, .n_list = 2});
}

static void a_missing_tensor_is_named(void **state)
{
    static const struct {
        const char *file, *tensor;
    } drops[] = {{DIR "llava15.gguf", "v.blk.1.attn_q.weight"},
                 {DIR "llava15.gguf", "mm.2.weight"},
                 {DIR "llava15.gguf", "v.position_embd.weight"},
                 {DIR "llava15.gguf", "v.class_embd"},
                 {DIR "smolvlm.gguf", "mm.model.fc.weight"},
                 {DIR "smolvlm.gguf", "v.post_ln.weight"},
                 {DIR "internvl.gguf", "mm.model.mlp.0.bias"},
                 {DIR "internvl.gguf", "v.patch_embd.weight"},
                 {DIR "pixtral.gguf", "v.blk.0.ffn_gate.weight"},
                 {DIR "pixtral.gguf", "v.token_embd.img_break"},
                 {DIR "mistral3.gguf", "mm.patch_merger.weight"},
                 {DIR "mistral3.gguf", "mm.input_norm.weight"},
                 {DIR "gemma3.gguf", "mm.input_projection.weight"},
                 {DIR "gemma3.gguf", "mm.soft_emb_norm.weight"},
                 {DIR "qwen2vl.gguf", "v.patch_embd.weight.1"},
                 {DIR "qwen2vl.gguf", "mm.0.weight"},
                 {DIR "qwen25vl.gguf", "v.blk.2.ffn_gate.weight"},
                 {DIR "mobilevlm.gguf", "mm.model.mlp.3.weight"},
                 {DIR "mobilevlm.gguf", "mm.model.mb_block.1.block.0.0.weight"},
                 {DIR "mobilevlm.gguf", "mm.model.mb_block.1.block.1.fc1.bias"},
                 {DIR "mobilevlm.gguf", "mm.model.mb_block.2.block.1.fc1.weight"},
                 {DIR "mobilevlm.gguf", "mm.model.mb_block.2.block.2.1.bias"},
                 {DIR "mobilevlm_v2.gguf", "mm.model.mlp.0.bias"},
                 {DIR "mobilevlm_v2.gguf", "mm.model.peg.0.weight"},
                 {DIR "granite_vision.gguf", "v.blk.4.ffn_up.weight"},
                 {DIR "granite_vision.gguf", "mm.0.weight"},
                 {DIR "qwen3vl.gguf", "v.position_embd.weight"},
                 {DIR "qwen3vl.gguf", "v.patch_embd.weight.1"},
                 {DIR "qwen3vl.gguf", "v.post_ln.bias"},
                 {DIR "qwen3vl.gguf", "v.deepstack.0.norm.bias"},
                 {DIR "qwen3vl.gguf", "v.deepstack.2.fc1.weight"},
                 {DIR "qwen3vl.gguf", "v.deepstack.2.fc2.weight"},
                 {DIR "qwen3vl.gguf", "mm.2.weight"}};

    (void)state;
    for (size_t i = 0; i < sizeof drops / sizeof *drops; i++)
        expect_refused(drops[i].file, &(edit){.drop_tensor = drops[i].tensor, .value = NAN});
}

static void other_files_are_named(void **state)
{
    vis_model *m = NULL;
    sn_err err = {0};

    (void)state;
    assert_true(vis_model_open(&m, "no/such.gguf", compute(), &err) != SN_OK);
    assert_non_null(strstr(err.msg, "no/such.gguf"));
    assert_true(vis_model_open(&m, "tests/golden/text/llama_smollm.gguf", compute(), &err) != SN_OK);
    assert_non_null(strstr(err.msg, "no encoder (mmproj) file"));
    assert_true(vis_model_open(&m, DIR "small.png", compute(), &err) != SN_OK);
    assert_null(m);
}

/* Every byte of a file's head in turn made something else: opened or refused, and encoded where it opens. */
static void a_damaged_head_never_does_harm(void **state)
{
    sn_map map;
    unsigned char *bad;
    uint32_t s = 99;

    (void)state;
    assert_int_equal(sn_map_open(&map, DIR "llava15.gguf", NULL), SN_OK);
    bad = malloc(map.size);
    for (int round = 0; round < 400; round++) {
        vis_model *m = NULL;
        sn_err err = {0};
        const char *path;
        memcpy(bad, map.data, map.size);
        for (int k = 0; k < 2; k++) {
            s = s * 1664525u + 1013904223u;
            bad[(s >> 8) % 3800] = (unsigned char)(s >> 3);
        }
        path = testing_temp(bad, map.size);
        if (vis_model_open(&m, path, compute(), &err) == SN_OK)
            vis_model_close(m);
        else if (strncmp(err.msg, path, strlen(path)) || strchr(err.msg, '\n'))
            fail_msg("no good message: %s", err.msg);
        unlink(path);
    }
    free(bad);
    sn_map_close(&map);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(families_are_told_by_their_projector),
    cmocka_unit_test(without_a_feature_layer_every_stored_block_runs),
    cmocka_unit_test(a_last_block_that_is_a_copy_is_filler),
    cmocka_unit_test(an_mlp_file_without_its_projector_type_is_llava),
    cmocka_unit_test(a_fit_that_a_family_does_not_do_is_said),
    cmocka_unit_test(quantised_weights_stay_near_the_dense_ones),
    cmocka_unit_test(a_fused_qkv_equals_its_parts),
    cmocka_unit_test(absurd_numbers_are_refused),
    cmocka_unit_test(too_many_patches_are_refused_before_they_are_cut),
    cmocka_unit_test(absurd_lists_of_feature_layers_are_refused),
    cmocka_unit_test(a_missing_tensor_is_named),
    cmocka_unit_test(other_files_are_named),
    cmocka_unit_test_teardown(a_damaged_head_never_does_harm, close_compute),
};
TESTING_MAIN("vision_model", tests)
