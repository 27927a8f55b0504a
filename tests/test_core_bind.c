#include "../core/bind.h"

#include "testing.h"

#include <stdlib.h>
#include <string.h>

/* ---- a small model file, and a machine of one thread ---- */

static const char *path;
static sn_gguf *gguf;
static sn_compute *compute;

static void add(sn_gguf_writer *w, const char *name, sn_type type, size_t n_dims, size_t a, size_t b, size_t c)
{
    sn_gguf_add_tensor(w, name, type, (size_t[]){a, b, c}, n_dims);
}

static int open_model(void **state)
{
    (void)state;
    sn_gguf_writer *w = NULL;
    sn_err err;
    float values[96];
    unsigned char q8[68 * 2];
    for (size_t i = 0; i < 96; i++) values[i] = (float)i;
    path = testing_temp("", 0);
    if (sn_gguf_create(&w, path, &err) != SN_OK) return 1;
    add(w, "v.blk.0.attn_q.weight", SN_F32, 2, 3, 4, 0);
    add(w, "v.blk.0.attn_q.bias", SN_F32, 1, 3, 0, 0);
    add(w, "v.blk.0.ln.weight", SN_F16, 1, 4, 0, 0);
    add(w, "v.blk.0.ln.bias", SN_F32, 2, 1, 4, 0);
    add(w, "v.blk.1.attn_q.weight", SN_Q8_0, 2, 2, 32, 0);
    add(w, "conv.bias", SN_F32, 3, 5, 1, 1);
    add(w, "ids", SN_I32, 1, 4, 0, 0);
    sn_gguf_write_data(w, values, 48);
    sn_gguf_write_data(w, values, 12);
    sn_type_get(SN_F16)->quantize(q8, values, 4);
    sn_gguf_write_data(w, q8, 8);
    sn_gguf_write_data(w, values, 16);
    sn_type_get(SN_Q8_0)->quantize(q8, values, 64);
    sn_gguf_write_data(w, q8, 68);
    sn_gguf_write_data(w, values, 20);
    sn_gguf_write_data(w, values, 16);
    return sn_gguf_finish(w, &err) != SN_OK || sn_gguf_open(&gguf, path, &err) != SN_OK ||
           sn_compute_open(&compute, 1, SN_ISA_SCALAR, &err) != SN_OK;
}

static int close_model(void **state)
{
    (void)state;
    sn_compute_close(compute);
    sn_gguf_close(gguf);
    return 0;
}

static void begin(sn_bind *b, sn_err *err)
{
    *err = (sn_err){0};
    assert_int_equal(sn_bind_init(b, gguf, compute, err), SN_OK);
}

/* Ends the binding, which must have failed with this line behind the file's name. */
static void assert_refused(sn_bind *b, sn_status code, const char *line)
{
    char want[1200];
    snprintf(want, sizeof want, "%s: %s", path, line);
    assert_int_equal(sn_bind_done(b), code);
    assert_string_equal(b->err->msg, want);
}

/* ---- what is bound ---- */

static void weights_biases_and_norms_are_bound(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w, q;
    sn_norm ln;
    float *conv = NULL, *none = (float *)1, row[32];
    begin(&b, &err);
    sn_bind_linear(&b, &w, 3, 4, SN_BIAS_REQUIRED, "v.blk.%d.attn_q", 0);
    sn_bind_linear(&b, &q, 2, 32, SN_BIAS_OPTIONAL, "v.blk.%d.attn_q", 1);
    sn_bind_norm(&b, &ln, 4, SN_BIAS_REQUIRED, "v.blk.%d.ln", 0); /* its bias is [1, 4] in the file */
    sn_bind_f32(&b, &conv, (size_t[]){5}, 1, false, "conv.bias"); /* [5, 1, 1] in the file */
    sn_bind_f32(&b, &none, (size_t[]){5}, 1, true, "conv.scale");
    assert_true(sn_bind_has(&b, "v.blk.%d.ln.weight", 0));
    assert_false(sn_bind_has(&b, "v.blk.%d.ln.weight", 1));
    assert_non_null(sn_bind_unused(&b));
    assert_string_equal(sn_bind_unused(&b)->name, "ids");
    assert_int_equal(sn_bind_done(&b), SN_OK);
    assert_int_equal(w.n_out, 3);
    assert_int_equal(w.n_in, 4);
    assert_true(w.bias[2] == 2);
    sn_linear_row(row, &w, 2);
    assert_true(row[0] == 8 && row[3] == 11);
    assert_null(q.bias);
    sn_linear_row(row, &q, 1);
    assert_true(row[31] > 62.5f && row[31] < 63.5f);
    assert_int_equal(ln.n, 4);
    assert_true(ln.weight[3] == 3 && ln.bias[3] == 3);
    assert_true(conv[4] == 4);
    assert_null(none);
    sn_free(conv);
    sn_norm_free(&ln);
    sn_linear_free(&w);
    sn_linear_free(&q);
}

static void a_bias_that_is_not_asked_for_is_not_bound(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w;
    sn_norm ln;
    begin(&b, &err);
    sn_bind_linear(&b, &w, 3, 4, SN_BIAS_NONE, "v.blk.0.attn_q");
    sn_bind_norm(&b, &ln, 4, SN_BIAS_NONE, "v.blk.0.ln");
    assert_string_equal(sn_bind_unused(&b)->name, "v.blk.0.attn_q.bias");
    assert_int_equal(sn_bind_done(&b), SN_OK);
    assert_null(w.bias);
    assert_null(ln.bias);
    sn_linear_free(&w);
    sn_norm_free(&ln);
}

/* ---- what is refused ---- */

static void a_missing_weight_is_named_with_what_was_wanted(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w;
    begin(&b, &err);
    sn_bind_linear(&b, &w, 3, 4, SN_BIAS_NONE, "v.blk.%d.attn_k", 7);
    assert_refused(&b, SN_ESHAPE, "v.blk.7.attn_k.weight: want [3, 4], file has no such tensor");
    begin(&b, &err);
    sn_bind_linear(&b, &w, 2, 32, SN_BIAS_REQUIRED, "v.blk.1.attn_q");
    assert_refused(&b, SN_ESHAPE, "v.blk.1.attn_q.bias: want [2], file has no such tensor");
    assert_null(w.data);
    assert_null(w.packed);
}

static void another_shape_is_refused_with_both(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w;
    sn_norm ln;
    float *v = NULL;
    begin(&b, &err);
    sn_bind_linear(&b, &w, 4, 3, SN_BIAS_NONE, "v.blk.0.attn_q");
    assert_refused(&b, SN_ESHAPE, "v.blk.0.attn_q.weight: want [4, 3], file has F32 [3, 4]");
    begin(&b, &err);
    sn_bind_linear(&b, &w, 1, 12, SN_BIAS_NONE, "v.blk.0.attn_q");
    assert_refused(&b, SN_ESHAPE, "v.blk.0.attn_q.weight: want [1, 12], file has F32 [3, 4]");
    begin(&b, &err);
    sn_bind_norm(&b, &ln, 5, SN_BIAS_NONE, "v.blk.0.ln");
    assert_refused(&b, SN_ESHAPE, "v.blk.0.ln.weight: want [5], file has F16 [4]");
    assert_null(ln.weight);
    begin(&b, &err);
    sn_bind_f32(&b, &v, (size_t[]){2, 16, 2}, 3, true, "v.blk.1.attn_q.weight");
    assert_refused(&b, SN_ESHAPE, "v.blk.1.attn_q.weight: want [2, 16, 2], file has Q8_0 [2, 32]");
    assert_null(v);
}

static void a_type_without_weights_is_refused(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    float *v = NULL;
    begin(&b, &err);
    sn_bind_f32(&b, &v, (size_t[]){4}, 1, false, "ids");
    assert_refused(&b, SN_ESHAPE, "ids: want a type for weights, file has I32 [4]");
    assert_null(v);
}

static void the_first_problem_wins_and_later_outputs_are_empty(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w;
    sn_norm ln;
    float *v = (float *)1;
    memset(&w, 0xff, sizeof w);
    memset(&ln, 0xff, sizeof ln);
    begin(&b, &err);
    sn_bind_f32(&b, &v, (size_t[]){1}, 1, false, "absent.one");
    assert_null(v);
    sn_bind_linear(&b, &w, 3, 4, SN_BIAS_REQUIRED, "v.blk.0.attn_q");
    sn_bind_norm(&b, &ln, 4, SN_BIAS_REQUIRED, "v.blk.0.ln");
    sn_bind_f32(&b, &v, (size_t[]){5}, 1, false, "absent.two");
    assert_refused(&b, SN_ESHAPE, "absent.one: want [1], file has no such tensor");
    sn_linear_free(&w); /* what failed may be freed like what succeeded */
    sn_norm_free(&ln);
}

static void names_beyond_any_length_are_missing_names(void **state)
{
    (void)state;
    sn_bind b;
    sn_err err;
    sn_linear w;
    char name[400];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    begin(&b, &err);
    assert_false(sn_bind_has(&b, "%s", name));
    sn_bind_linear(&b, &w, 3, 4, SN_BIAS_NONE, "%s", name);
    assert_int_equal(sn_bind_done(&b), SN_ESHAPE);
}

#define WITH_MODEL(f) cmocka_unit_test_setup_teardown(f, open_model, close_model)
static const struct CMUnitTest tests[] = {
    WITH_MODEL(weights_biases_and_norms_are_bound),
    WITH_MODEL(a_bias_that_is_not_asked_for_is_not_bound),
    WITH_MODEL(a_missing_weight_is_named_with_what_was_wanted),
    WITH_MODEL(another_shape_is_refused_with_both),
    WITH_MODEL(a_type_without_weights_is_refused),
    WITH_MODEL(the_first_problem_wins_and_later_outputs_are_empty),
    WITH_MODEL(names_beyond_any_length_are_missing_names),
};
TESTING_MAIN("core_bind", tests)
