/* Encoded media that come from the cache are those that would have been encoded, bit for bit: for every family, in sessions, whatever
 * stands in the folder; and what decides the rows decides the key. */
#include "testing.h"

#include "../fusion/internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LLAVA "tests/golden/fusion/llava15_mmproj.gguf"
#define LLAVA_TEXT "tests/golden/fusion/llava15_text.gguf"
#define VOXTRAL "tests/golden/audio/front_voxtral.gguf"
#define LARGE "models/sketch-mmproj.gguf" /* too large to be hashed whole */
#define PICTURE "tests/golden/vision/landscape.png"
#define SPEECH "samples/jfk.wav"

static char top[4096], folder[4200];
static senses_engine *engine;

static int enter(void **state)
{
    (void)state;
    if (testing_folder(top, sizeof top) != 0) return 1;
    snprintf(folder, sizeof folder, "%s/media", top);
    return senses_engine_open(&engine, &(senses_engine_params){.threads = 1}, NULL) != SN_OK;
}

static int leave(void **state)
{
    (void)state;
    senses_engine_close(engine);
    return testing_folder_remove(top);
}

static senses_cache *cache(void)
{
    senses_cache *k = NULL;
    senses_error err = {0};
    if (senses_cache_open(&k, folder, 0, &err) != SN_OK) fail_msg("%s", err.msg);
    return k;
}

static senses_encoder *encoder(senses_engine *e, const char *path, senses_cache *k)
{
    senses_encoder *c = NULL;
    senses_error err = {0};
    if (senses_encoder_open(&c, e, path, &err) != SN_OK) fail_msg("%s", err.msg);
    if (senses_encoder_set_cache(c, k, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static senses_image *picture(void)
{
    senses_image *img = NULL;
    senses_error err = {0};
    if (senses_image_load(&img, PICTURE, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    return img;
}

static senses_sound *speech(void)
{
    senses_sound *s = NULL;
    senses_error err = {0};
    if (senses_sound_load(&s, SPEECH, 0, &err) != SN_OK) fail_msg("%s", err.msg);
    return s;
}

/* The rows of one of the two, with what the cache did ("" for none): "hit", "miss" ... must stand in it. */
static senses_matrix rows(senses_encoder *c, const senses_image *img, senses_image_fit fit, const senses_sound *snd, const char *did)
{
    senses_matrix m = {0};
    senses_error err = {0};
    const senses_status st = img ? senses_encode_image(c, img, fit, &m, &err) : senses_encode_sound(c, snd, &m, &err);
    if (st != SN_OK) fail_msg("%s", err.msg);
    const char *note = senses_encoder_cache_note(c);
    if (did[0] == '\0' ? note[0] != '\0' : strstr(note, did) == NULL) fail_msg("wanted \"%s\", the cache did \"%s\"", did, note);
    return m;
}

static void assert_same(const senses_matrix *a, const senses_matrix *b)
{
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_memory_equal(a->data, b->data, a->rows * a->cols * sizeof(float));
}

/* The rows are `want`, and the cache did that. */
static void check(senses_encoder *c, const senses_image *img, const senses_sound *snd, const char *did, const senses_matrix *want)
{
    senses_matrix m = rows(c, img, SENSES_FIT_DEFAULT, snd, did);
    if (want) assert_same(&m, want);
    senses_matrix_free(&m);
}

static size_t n_entries(void)
{
    size_t n = 0;
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* ---- the same rows ---- */

static void a_hit_equals_a_miss_in_every_family(void **state)
{
    (void)state;
    static const char *const files[] = {
        "tests/golden/vision/llava15.gguf",
        "tests/golden/vision/llavanext.gguf",
        "tests/golden/vision/smolvlm.gguf",
        "tests/golden/vision/internvl.gguf",
        "tests/golden/vision/pixtral.gguf",
        "tests/golden/vision/gemma3.gguf",
        "tests/golden/vision/qwen2vl.gguf",
        "tests/golden/vision/qwen25vl.gguf",
        LARGE,
        "tests/golden/audio/front_ultravox.gguf",
        VOXTRAL,
        "tests/golden/audio/front_qwen2audio.gguf",
    };
    const size_t n = sizeof files / sizeof *files;
    senses_image *img = picture();
    senses_sound *snd = speech();
    senses_cache *k = cache();
    for (size_t i = 0; i < n; i++) {
        senses_encoder *plain = encoder(engine, files[i], NULL), *c = encoder(engine, files[i], k);
        const bool image = senses_encoder_kind(c) == SENSES_IMAGE;
        senses_matrix want = rows(plain, image ? img : NULL, SENSES_FIT_DEFAULT, snd, "");
        check(c, image ? img : NULL, snd, "cache miss", &want);
        check(c, image ? img : NULL, snd, "cache hit", &want);
        senses_encoder_close(c);
        c = encoder(engine, files[i], k); /* as another run would open it */
        check(c, image ? img : NULL, snd, "cache hit", &want);
        senses_matrix_free(&want);
        senses_encoder_close(c);
        senses_encoder_close(plain);
    }
    assert_int_equal(n_entries(), n);
    senses_cache_close(k);
    senses_sound_close(snd);
    senses_image_close(img);
}

static void a_session_reads_the_same_with_and_without(void **state)
{
    (void)state;
    senses_error err = {0};
    senses_text *t = NULL;
    senses_image *img = picture();
    senses_cache *k = cache();
    senses_encoder *c = encoder(engine, LLAVA, NULL);
    senses_matrix logits[3] = {{0}};
    assert_int_equal(senses_text_open(&t, engine, LLAVA_TEXT, &err), SN_OK);
    for (size_t i = 0; i < 3; i++) {
        senses_session *s = NULL;
        const senses_medium media[2] = {{.image = img}, {.text = "and", .n_text = 3}};
        if (i == 1) assert_int_equal(senses_encoder_set_cache(c, k, &err), SN_OK);
        assert_int_equal(senses_session_open(&s, t, &c, 1, NULL, &err), SN_OK);
        if (senses_session_logits(s, "What is this?", media, 2, true, &logits[i], &err) != SN_OK) fail_msg("%s", err.msg);
        const char *notes = senses_session_notes(s);
        assert_non_null(strstr(notes, "-> 576 tokens"));
        assert_int_equal(strstr(notes, "\nimage 1: cache miss: encoded in ") != NULL, i == 1);
        assert_int_equal(strstr(notes, "\nimage 1: cache hit: not encoded again") != NULL, i == 2);
        assert_same(&logits[i], &logits[0]);
        senses_session_close(s);
    }
    for (size_t i = 0; i < 3; i++) senses_matrix_free(&logits[i]);
    senses_encoder_close(c);
    senses_text_close(t);
    senses_cache_close(k);
    senses_image_close(img);
}

/* ---- the key ---- */

static void whatever_changes_the_rows_changes_the_key(void **state)
{
    (void)state;
    senses_image *img = picture();
    senses_sound *snd = speech();
    senses_cache *k = cache();
    senses_encoder *c = encoder(engine, LLAVA, k), *ears = encoder(engine, VOXTRAL, k);
    check(c, img, NULL, "cache miss", NULL);
    check(ears, NULL, snd, "cache miss", NULL);
    for (int fit = SENSES_FIT_PAD; fit <= SENSES_FIT_STRETCH; fit++) { /* one of them is the default */
        senses_matrix m = rows(c, img, (senses_image_fit)fit, NULL, "cache");
        senses_matrix_free(&m);
    }
    assert_int_equal(n_entries(), 4);
    memset(img->pixels.rgb, 255, 3 * img->pixels.w * 8); /* some lines of the picture */
    check(c, img, NULL, "cache miss", NULL);
    snd->samples[snd->n - 1] += 0.001f;
    check(ears, NULL, snd, "cache miss", NULL);
    snd->n--;
    check(ears, NULL, snd, "cache miss", NULL);
    check(ears, NULL, snd, "cache hit", NULL);
    senses_encoder_close(c);
    senses_encoder_close(ears);

    senses_engine *scalar = NULL, *threads = NULL;
    assert_int_equal(senses_engine_open(&scalar, &(senses_engine_params){.threads = 1, .isa = "scalar"}, NULL), SN_OK);
    assert_int_equal(senses_engine_open(&threads, &(senses_engine_params){.threads = 3}, NULL), SN_OK);
    c = encoder(threads, LLAVA, k);
    check(c, img, NULL, "cache hit", NULL); /* the number of threads changes nothing */
    senses_encoder_close(c);
    c = encoder(scalar, LLAVA, k);
    if (strcmp(senses_engine_isa(engine), "scalar") != 0) check(c, img, NULL, "cache miss", NULL);
    senses_encoder_close(c);
    senses_engine_close(scalar);
    senses_engine_close(threads);
    senses_cache_close(k);
    senses_sound_close(snd);
    senses_image_close(img);
}

/* A copy of a file, into the test's own folder. */
static const char *copy_of(const char *path)
{
    static char copy[4200];
    char command[9000];
    snprintf(copy, sizeof copy, "%s/copy.gguf", top);
    snprintf(command, sizeof command, "cp '%s' '%s'", path, copy);
    assert_int_equal(system(command), 0);
    return copy;
}

/* Changes one bit of a weight in place, and puts the time of modification back. */
static void change(const char *path)
{
    struct stat st;
    unsigned char byte;
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    const off_t at = st.st_size * 2 / 3 + 1;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(futimens(fd, (const struct timespec[2]){st.st_atim, st.st_mtim}), 0);
    close(fd);
}

static void a_small_encoder_is_told_by_its_content(void **state)
{
    (void)state;
    senses_image *img = picture();
    senses_cache *k = cache();
    senses_encoder *c = encoder(engine, LLAVA, k);
    check(c, img, NULL, "cache miss", NULL);
    senses_encoder_close(c);
    const char *copy = copy_of(LLAVA);
    c = encoder(engine, copy, k);
    check(c, img, NULL, "cache hit", NULL); /* wherever it lies */
    change(copy);
    check(c, img, NULL, "cache off", NULL); /* it is mapped: what it is now, nobody can say */
    senses_error err = {0};
    assert_int_equal(senses_encoder_set_cache(c, k, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "has changed since it was opened"));
    check(c, img, NULL, "", NULL);
    senses_encoder_close(c);
    c = encoder(engine, copy, k);
    check(c, img, NULL, "cache miss", NULL);
    senses_encoder_close(c);
    assert_int_equal(n_entries(), 2);
    senses_cache_close(k);
    senses_image_close(img);
}

/* A file that has just been written is refused; some seconds later it is not. */
static senses_encoder *settled(const char *path, senses_cache *k)
{
    senses_encoder *c = NULL;
    senses_error err = {0};
    if (senses_encoder_open(&c, engine, path, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(senses_encoder_set_cache(c, k, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, "has changed just now"));
    for (int i = 0; i < 100 && senses_encoder_set_cache(c, k, &err) != SN_OK; i++) usleep(100000);
    return c;
}

static void a_large_encoder_is_told_by_the_time_of_its_change(void **state)
{
    (void)state;
    senses_image *img = picture();
    senses_cache *k = cache();
    const char *copy = copy_of(LARGE);
    senses_encoder *c = settled(copy, k);
    check(c, img, NULL, "cache miss", NULL);
    check(c, img, NULL, "cache hit", NULL);
    senses_encoder_close(c);
    change(copy); /* a bit that no sample meets */
    c = settled(copy, k);
    check(c, img, NULL, "cache miss", NULL);
    senses_encoder_close(c);
    senses_cache_close(k);
    senses_image_close(img);
}

/* ---- what may be in the way ---- */

/* Runs fn on the path of every entry. */
static void each_entry(void (*fn)(const char *path))
{
    char path[8400];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') fn(path);
    }
    closedir(d);
}

static void cut_short(const char *path)
{
    assert_int_equal(truncate(path, 1000), 0);
}

static void damaged_entries_are_encoded_anew(void **state)
{
    (void)state;
    void (*const damage[])(const char *) = {change, cut_short};
    senses_image *img = picture();
    senses_cache *k = cache();
    senses_encoder *c = encoder(engine, LLAVA, k);
    senses_matrix want = rows(c, img, SENSES_FIT_DEFAULT, NULL, "cache miss");
    for (size_t i = 0; i < 2; i++) {
        each_entry(damage[i]);
        check(c, img, NULL, "and kept", &want);
        check(c, img, NULL, "cache hit", &want);
    }
    senses_matrix_free(&want);
    senses_encoder_close(c);
    senses_cache_close(k);
    senses_image_close(img);
}

static void a_cache_that_cannot_keep_is_no_failure(void **state)
{
    (void)state;
    senses_image *img = picture();
    senses_cache *k = NULL;
    senses_error err = {0};
    assert_int_equal(senses_cache_open(&k, "/dev/null/media", 0, &err), SN_EIO);
    assert_int_equal(senses_cache_open(&k, folder, 4096, &err), SN_OK);
    senses_encoder *c = encoder(engine, LLAVA, k);
    senses_matrix want = rows(c, img, SENSES_FIT_DEFAULT, NULL, "not kept (");
    assert_non_null(strstr(senses_encoder_cache_note(c), "larger than half"));
    senses_cache_close(k);
    k = cache();
    assert_int_equal(senses_encoder_set_cache(c, k, &err), SN_OK);
    char command[4300];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    check(c, img, NULL, "not kept (", &want);
    assert_int_equal(senses_encoder_set_cache(c, NULL, &err), SN_OK);
    check(c, img, NULL, "", &want);
    senses_matrix_free(&want);
    senses_encoder_close(c);
    senses_cache_close(k);
    senses_cache_close(NULL);
    senses_image_close(img);
}

/* What a child that encodes has seen: 0 when its rows are `want`. */
static int encode_in_child(const senses_image *img, const senses_matrix *want)
{
    senses_engine *e = NULL;
    senses_encoder *c = NULL;
    senses_cache *k = NULL;
    if (senses_engine_open(&e, &(senses_engine_params){.threads = 1}, NULL) != SN_OK) return 1;
    if (senses_encoder_open(&c, e, LLAVA, NULL) != SN_OK || senses_cache_open(&k, folder, 0, NULL) != SN_OK) return 2;
    if (senses_encoder_set_cache(c, k, NULL) != SN_OK) return 3;
    for (int i = 0; i < 5; i++) {
        senses_matrix m = {0};
        if (senses_encode_image(c, img, SENSES_FIT_DEFAULT, &m, NULL) != SN_OK) return 4;
        if (m.rows != want->rows || memcmp(m.data, want->data, m.rows * m.cols * sizeof(float)) != 0) return 5;
        senses_matrix_free(&m);
    }
    if (strstr(senses_encoder_cache_note(c), "cache hit") == NULL) return 6;
    senses_encoder_close(c);
    senses_cache_close(k);
    senses_engine_close(e);
    return 0;
}

static void processes_share_it(void **state)
{
    (void)state;
    enum { N = 4 };
    pid_t pid[N];
    senses_image *img = picture();
    senses_encoder *c = encoder(engine, LLAVA, NULL);
    senses_matrix want = rows(c, img, SENSES_FIT_DEFAULT, NULL, "");
    for (int i = 0; i < N; i++) {
        pid[i] = fork();
        assert_true(pid[i] >= 0);
        if (pid[i] == 0) _exit(encode_in_child(img, &want));
    }
    for (int i = 0; i < N; i++) {
        int status;
        assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(n_entries(), 1);
    senses_matrix_free(&want);
    senses_encoder_close(c);
    senses_image_close(img);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(a_hit_equals_a_miss_in_every_family, enter, leave),
    cmocka_unit_test_setup_teardown(a_session_reads_the_same_with_and_without, enter, leave),
    cmocka_unit_test_setup_teardown(whatever_changes_the_rows_changes_the_key, enter, leave),
    cmocka_unit_test_setup_teardown(a_small_encoder_is_told_by_its_content, enter, leave),
    cmocka_unit_test_setup_teardown(a_large_encoder_is_told_by_the_time_of_its_change, enter, leave),
    cmocka_unit_test_setup_teardown(damaged_entries_are_encoded_anew, enter, leave),
    cmocka_unit_test_setup_teardown(a_cache_that_cannot_keep_is_no_failure, enter, leave),
    cmocka_unit_test_setup_teardown(processes_share_it, enter, leave),
};
TESTING_MAIN("fusion_cache", tests)
