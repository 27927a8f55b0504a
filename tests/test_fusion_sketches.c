/* The weights of models/ against PyTorch on drawn pages in fonts kept out of training (tests/golden/make_sketches.py): the adapter's
 * output and the greedy text. */
#include "testing.h"

#include "../fusion/page_read.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIR "tests/golden/sketches/"
#define MIN_COSINE 0.9995
#define N_SKETCH 50
#define MOST_TIED 2

typedef struct {
    senses_engine *engine;
    senses_text *text;
    senses_encoder *encoder;
    senses_reader *reader;
} eyes;

/* A checkout without the weights has nothing to hold to PyTorch. */
static void need_weights(void)
{
    static const char *const files[] = {"models/sketch.gguf", "models/sketch-mmproj.gguf"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (access(files[i], R_OK) != 0) testing_skip("needs the page reader's weights in models/");
}

/* False where this CPU lacks the instruction set. */
static bool eyes_open(eyes *e, const char *isa)
{
    senses_error err = {0};
    *e = (eyes){0};
    if (senses_engine_open(&e->engine, &(senses_engine_params){.isa = isa}, &err) != SN_OK) return false;
    if (senses_text_open(&e->text, e->engine, "models/sketch.gguf", &err) != SN_OK) fail_msg("%s", err.msg);
    if (senses_encoder_open(&e->encoder, e->engine, "models/sketch-mmproj.gguf", &err) != SN_OK) fail_msg("%s", err.msg);
    if (senses_reader_open(&e->reader, e->text, e->encoder, &err) != SN_OK) fail_msg("%s", err.msg);
    return true;
}

static void eyes_close(eyes *e)
{
    senses_reader_close(e->reader);
    senses_encoder_close(e->encoder);
    senses_text_close(e->text);
    senses_engine_close(e->engine);
}

static senses_image *sketch(const char *name)
{
    char path[128];
    senses_image *img = NULL;
    senses_error err = {0};
    snprintf(path, sizeof path, DIR "%s.png", name);
    if (senses_image_load(&img, path, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    return img;
}

/* want [n_kept, 1 + n_embd]: the number of each row that is not zero, and its values. */
static void check_rows(const senses_matrix *got, const float *want, size_t n_kept, const char *name)
{
    size_t n_rows = 0;
    for (size_t r = 0; r < got->rows; r++) {
        size_t k = 0;
        while (k < got->cols && got->data[r * got->cols + k] == 0) k++;
        n_rows += k < got->cols;
    }
    if (n_rows != n_kept) fail_msg("%s: %zu rows that show something, PyTorch has %zu", name, n_rows, n_kept);
    for (size_t i = 0; i < n_kept; i++) {
        const float *w = want + i * (got->cols + 1);
        const double cosine = testing_cosine(got->data + (size_t)w[0] * got->cols, w + 1, got->cols);
        if (!(cosine >= MIN_COSINE)) fail_msg("%s: row %zu: cosine %.6f", name, (size_t)w[0], cosine);
    }
}

static void check_adapter(const eyes *e, const char *name)
{
    char path[128];
    size_t shape[4], n_dims;
    senses_matrix got = {0};
    senses_error err = {0};
    snprintf(path, sizeof path, DIR "%s.npy", name);
    float *want = testing_npy(path, shape, &n_dims);
    senses_image *img = sketch(name);
    if (senses_encode_image(e->encoder, img, SENSES_FIT_DEFAULT, &got, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(shape[1], got.cols + 1);
    check_rows(&got, want, shape[0], name);
    senses_matrix_free(&got);
    senses_image_close(img);
    free(want);
}

/* The scalar kernels, the specification of the others, are held to PyTorch on a small model (test_vision_page.c): here five pictures would
 * take minutes, and one is read where there is nothing else. */
static void adapter_output_equals_pytorch(void **state)
{
    static const char *const names[] = {"g000", "g001", "g002", "g003", "g004"}, *const isas[] = {"avx2", "avx512", "avx512-vnni", "amx"};
    size_t n_run = 0;
    eyes e;
    (void)state;
    need_weights();
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        if (!eyes_open(&e, isas[k])) continue;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_adapter(&e, names[i]);
        eyes_close(&e);
        n_run++;
    }
    if (n_run > 0) return;
    assert_true(eyes_open(&e, "scalar"));
    check_adapter(&e, names[0]);
    eyes_close(&e);
}

typedef enum { SAME, TIED, OTHER } comparison;

/* want: the tokens in words, "~" behind one that is hardly ahead of the next best: from there on the text may be another. */
static comparison compare(const txt_ids *got, char **want)
{
    size_t n = 0;
    for (char *word; (word = strtok_r(NULL, " \n", want)) != NULL; n++) {
        if (n < got->n && got->ids[n] == atoi(word)) continue;
        return strchr(word, '~') ? TIED : OTHER;
    }
    return n == got->n ? SAME : OTHER;
}

/* One line of tokens.txt: the picture's name, with ~ where a frame is at the edge of being read, then the tokens. */
static comparison reads_as(eyes *e, char *line)
{
    senses_error err = {0};
    txt_ids ids = {0};
    bool cut;
    char *rest = NULL, *name = strtok_r(line, " \n", &rest);
    char *edge = strchr(name, '~');
    if (edge) *edge = '\0';
    senses_image *img = sketch(name);
    if (fus_reader_tokens(e->reader, img, 1, FUS_PAGE_MOST, &(fus_page_progress){0}, &ids, &cut, &err) != SN_OK) fail_msg("%s", err.msg);
    if (cut) fail_msg("%s: is cut", name);
    comparison c = compare(&ids, &rest);
    if (c == OTHER && edge) c = TIED;
    if (c != SAME) print_message("%s: reads otherwise than PyTorch%s\n", name, c == TIED ? ", from a tie on" : "");
    txt_ids_free(&ids);
    senses_image_close(img);
    return c;
}

static void greedy_text_equals_pytorch(void **state)
{
    static char line[8192];
    size_t n = 0, n_of[OTHER + 1] = {0};
    eyes e;
    (void)state;
    need_weights();
    FILE *f = fopen(DIR "tokens.txt", "r");
    assert_non_null(f);
    assert_true(eyes_open(&e, NULL));
    while (fgets(line, sizeof line, f)) {
        n++;
        n_of[reads_as(&e, line)]++;
    }
    fclose(f);
    eyes_close(&e);
    assert_int_equal(n, N_SKETCH);
    assert_int_equal(n_of[OTHER], 0);
    assert_true(n_of[TIED] <= MOST_TIED);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(adapter_output_equals_pytorch),
    cmocka_unit_test(greedy_text_equals_pytorch),
};
TESTING_MAIN("fusion_sketches", tests)
