/* The Whisper encoder against torch, row by row, on every instruction set (tests/golden/make_audio_front.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../audio/family.h"
#include "../core/mem.h"
#include "testing.h"

#define GOLDEN "tests/golden/audio/front_"

static sn_compute *compute(size_t n_threads, sn_isa isa)
{
    sn_compute *c;
    sn_err err = {0};
    if (sn_compute_open(&c, n_threads, isa, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static aud_model *model(sn_compute *c)
{
    aud_model *m;
    sn_err err = {0};
    if (aud_model_open(&m, GOLDEN "voxtral.gguf", c, &err) != SN_OK) fail_msg("%s", err.msg);
    return m;
}

/* formula_mel() of the script: [128, n_frame]. */
static float *formula_mel(size_t n_frame)
{
    float *x = malloc(128 * n_frame * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < 128; i++)
        for (size_t j = 0; j < n_frame; j++)
            x[i * n_frame + j] =
                (float)(0.5 * sin(0.37 * (double)i + 0.11 * (double)j * (double)(1 + i % 7)) + 0.25 * cos(0.05 * (double)j));
    return x;
}

static void run(sn_compute *c, const float *mel, size_t n_frame, size_t n_valid, float *out)
{
    sn_err err = {0};
    aud_model *m = model(c);
    if (aud_encoder_run(m->encoder, mel, n_frame, n_valid, out, &err) != SN_OK) fail_msg("%s", err.msg);
    aud_model_close(m);
}

static void states_equal_torch_on_every_instruction_set(void **state)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(GOLDEN "states.npy", shape, &n_dims), *mel = formula_mel(101); /* want [2, 51, 32] */
    float out[51 * 32];
    (void)state;
    assert_int_equal(n_dims, 3);
    for (int isa = 0; isa < SN_ISA_COUNT; isa++) {
        if (!sn_isa_usable((sn_isa)isa)) continue;
        sn_compute *c = compute(2, (sn_isa)isa);
        for (size_t k = 0; k < 2; k++) {
            run(c, mel, 101, k == 0 ? 51 : 30, out);
            for (size_t r = 0; r < 51; r++) assert_true(testing_cosine(out + r * 32, want + (k * 51 + r) * 32, 32) > 0.99995);
            assert_true(testing_rms_rel(out, want + k * 51 * 32, 51 * 32) < 2e-3);
        }
        sn_compute_close(c);
    }
    free(mel);
    free(want);
}

static void masked_keys_change_nothing(void **state)
{
    sn_compute *c = compute(1, SN_ISA_BEST);
    float *mel = formula_mel(101), a[51 * 32], b[51 * 32];
    (void)state;
    run(c, mel, 101, 30, a);
    for (size_t i = 0; i < 128; i++)
        for (size_t j = 61; j < 101; j++) mel[i * 101 + j] = 9; /* seen by rows 30 and up alone: row 29 ends at frame 60 */
    run(c, mel, 101, 30, b);
    assert_memory_equal(a, b, 30 * 32 * sizeof *a);
    assert_true(testing_max_abs(a + 30 * 32, b + 30 * 32, 32) > 1e-3);
    free(mel);
    sn_compute_close(c);
}

static void threads_and_repetition_change_nothing(void **state)
{
    sn_compute *c1 = compute(1, SN_ISA_BEST), *c3 = compute(3, SN_ISA_BEST);
    float *mel = formula_mel(2001), *a = malloc(1001 * 32 * sizeof *a), *b = malloc(1001 * 32 * sizeof *b);
    sn_err err = {0};
    aud_model *m = model(c3);
    (void)state;
    run(c1, mel, 2001, 1001, a);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(aud_encoder_run(m->encoder, mel, 2001, 1001, b, &err), SN_OK);
        assert_true(testing_max_abs(a, b, 1001 * 32) < 1e-5);
    }
    aud_model_close(m);
    free(mel);
    free(a);
    free(b);
    sn_compute_close(c1);
    sn_compute_close(c3);
}

static void lengths_out_of_range_are_refused(void **state)
{
    sn_compute *c = compute(1, SN_ISA_BEST);
    aud_model *m = model(c);
    float x[128] = {0}, out[32];
    sn_err err = {0};
    (void)state;
    assert_int_equal(aud_encoder_run(m->encoder, x, 0, 1, out, &err), SN_ELIMIT);
    assert_int_equal(aud_encoder_run(m->encoder, x, 3001, 1, out, &err), SN_ELIMIT);
    assert_int_equal(aud_encoder_run(m->encoder, x, 1, 0, out, &err), SN_EUSAGE);
    assert_int_equal(aud_encoder_run(m->encoder, x, 1, 2, out, &err), SN_EUSAGE);
    assert_int_equal(aud_encoder_run(m->encoder, x, 1, 1, out, &err), SN_OK);
    aud_model_close(m);
    sn_compute_close(c);
}

static void impossible_dimensions_are_refused(void **state)
{
    const aud_encoder_hparams good = {.n_mel = 80, .n_embd = 32, .n_head = 4, .n_layer = 2, .n_ff = 64, .n_ctx = 100, .eps = 1e-5f};
    aud_encoder_hparams bad[9];
    aud_encoder *e = NULL;
    sn_err err = {0};
    (void)state;
    for (size_t i = 0; i < 9; i++) bad[i] = good;
    bad[0].n_mel = 0;
    bad[1].n_embd = 1 << 20;
    bad[2].n_head = 5;
    bad[3].n_head = 0;
    bad[4].n_layer = 100000;
    bad[5].n_ff = 0;
    bad[6].n_ctx = SIZE_MAX;
    bad[7].eps = NAN;
    bad[8].eps = 0;
    for (size_t i = 0; i < 9; i++) assert_int_equal(aud_encoder_create(&e, &bad[i], NULL, &err), SN_EFORMAT);
    assert_int_equal(aud_encoder_create(&e, &good, NULL, &err), SN_OK);
    aud_encoder_destroy(e); /* without any weight bound */
    aud_encoder_destroy(NULL);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(states_equal_torch_on_every_instruction_set), cmocka_unit_test(masked_keys_change_nothing),
    cmocka_unit_test(threads_and_repetition_change_nothing),       cmocka_unit_test(lengths_out_of_range_are_refused),
    cmocka_unit_test(impossible_dimensions_are_refused),
};
TESTING_MAIN("audio_encoder", tests)
