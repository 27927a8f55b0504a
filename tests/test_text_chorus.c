/* Sessions that write at the same time, each from a thread of its own, say bit for bit what each says alone. */
#include "../text/text.h"
#include "testing.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N_VOICES = 9, N_WRITTEN = 12 };

typedef struct {
    txt_session *session;
    txt_id prompt[3 * N_VOICES];
    size_t n_prompt, n_vocab;
    float *logits; /* [N_WRITTEN, n_vocab] */
    sn_status status;
    sn_err err;
} voice;

/* A prompt, and the likeliest tokens behind it. */
static void *say(void *arg)
{
    voice *v = arg;
    float *last = v->logits;
    v->status = txt_session_eval_ids(v->session, v->prompt, v->n_prompt, last, false, &v->err);
    txt_session_write(v->session, true);
    for (size_t i = 1; i < N_WRITTEN && v->status == SN_OK; i++) {
        txt_id best = 0;
        for (size_t k = 1; k < v->n_vocab; k++)
            if (last[k] > last[best]) best = (txt_id)k;
        last += v->n_vocab;
        v->status = txt_session_eval_ids(v->session, &best, 1, last, false, &v->err);
    }
    txt_session_write(v->session, false);
    return NULL;
}

static void open_voice(voice *v, txt_model *m, size_t i)
{
    v->n_vocab = txt_model_hparams(m)->n_vocab;
    v->n_prompt = 3 * i + 1;
    for (size_t k = 0; k < v->n_prompt; k++) v->prompt[k] = (txt_id)((7 * i + 3 * k + 1) % v->n_vocab);
    v->logits = calloc(N_WRITTEN * v->n_vocab, sizeof(float));
    assert_non_null(v->logits);
    if (txt_session_open(&v->session, m, 40 + i, &v->err) != SN_OK) fail_msg("%s", v->err.msg);
}

static txt_model *open_model(const char *path, sn_compute *c)
{
    txt_model *m = NULL;
    sn_err err = {0};
    if (txt_model_open(&m, path, c, &err) != SN_OK) fail_msg("%s", err.msg);
    return m;
}

/* All voices, at the same time or one after the other. */
static void say_all(voice v[N_VOICES], const char *path, sn_isa isa, size_t n_threads, bool at_once)
{
    sn_compute *c = NULL;
    sn_err err = {0};
    pthread_t threads[N_VOICES];
    if (sn_compute_open(&c, n_threads, isa, &err) != SN_OK) fail_msg("%s", err.msg);
    if (at_once) sn_compute_set_callers(c, N_VOICES);
    txt_model *m = open_model(path, c);
    for (size_t i = 0; i < N_VOICES; i++) open_voice(&v[i], m, i);
    for (size_t i = 0; i < N_VOICES; i++) {
        if (at_once)
            assert_int_equal(pthread_create(&threads[i], NULL, say, &v[i]), 0);
        else
            say(&v[i]);
    }
    for (size_t i = 0; i < N_VOICES; i++) {
        if (at_once) pthread_join(threads[i], NULL);
        if (v[i].status != SN_OK) fail_msg("%s: %s", path, v[i].err.msg);
        txt_session_close(v[i].session);
    }
    txt_model_close(m);
    sn_compute_close(c);
}

static void check(const char *path, sn_isa isa, size_t n_threads)
{
    voice alone[N_VOICES] = {{0}}, together[N_VOICES] = {{0}};
    say_all(alone, path, isa, 1, false);
    say_all(together, path, isa, n_threads, true);
    for (size_t i = 0; i < N_VOICES; i++) {
        if (memcmp(alone[i].logits, together[i].logits, N_WRITTEN * alone[i].n_vocab * sizeof(float)) != 0)
            fail_msg("%s, %s: voice %zu says something else among others", path, sn_isa_name(isa), i);
        free(alone[i].logits);
        free(together[i].logits);
    }
}

static void a_voice_says_the_same_among_others(void **state)
{
    (void)state;
    static const char *const names[] = {"llama3", "smollm", "gemma3", "qwen2vl", "granite"}; /* GQA, ties, windows, three axes, scales */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        snprintf(path, sizeof path, "tests/golden/text/llama_%s.gguf", names[i]);
        for (int isa = 0; isa < SN_ISA_COUNT; isa++)
            if (sn_isa_usable((sn_isa)isa)) check(path, (sn_isa)isa, 2);
    }
    const char *real = testing_model("smollm2-135m-instruct-q4_1.gguf"); /* quantised weights */
    for (int isa = SN_ISA_AVX2; real != NULL && isa < SN_ISA_COUNT; isa++)
        if (sn_isa_usable((sn_isa)isa)) check(real, (sn_isa)isa, 2);
}

/* An alone writer in a model that could hold more, and one that ends in the midst of the others. */
static void a_full_context_ends_one_voice_alone(void **state)
{
    (void)state;
    sn_compute *c = NULL;
    sn_err err = {0};
    float *logits = NULL;
    if (sn_compute_open(&c, 1, SN_ISA_BEST, &err) != SN_OK) fail_msg("%s", err.msg);
    sn_compute_set_callers(c, 3);
    txt_model *m = open_model("tests/golden/text/llama_llama3.gguf", c);
    txt_session *s = NULL;
    logits = calloc(txt_model_hparams(m)->n_vocab, sizeof(float));
    assert_int_equal(txt_session_open(&s, m, 2, &err), SN_OK);
    txt_session_write(s, true);
    for (int i = 0; i < 2; i++) assert_int_equal(txt_session_eval_ids(s, &(txt_id){1}, 1, logits, false, &err), SN_OK);
    assert_int_equal(txt_session_eval_ids(s, &(txt_id){1}, 1, logits, false, &err), SN_ELIMIT);
    assert_int_equal(txt_session_n_past(s), 2);
    txt_session_close(s); /* while it writes */
    free(logits);
    txt_model_close(m);
    sn_compute_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_voice_says_the_same_among_others),
        cmocka_unit_test(a_full_context_ends_one_voice_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
