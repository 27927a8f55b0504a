/* Key frames of films: which, when, and pixel for pixel what ffmpeg's own program shows; what is damaged is refused with one line.
 * tests/golden/video: made by tests/golden/make_video.sh. */
#include "../vision/vision.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

#define DIR "tests/golden/video/"
#define MAX 64

typedef struct {
    vis_image img[MAX];
    double t[MAX];
    size_t n, stop_at;
    bool sound;
} film_frames;

static bool keep(void *user, vis_image *img, double t_s)
{
    film_frames *f = user;
    assert_true(f->n < MAX);
    f->img[f->n] = *img;
    f->t[f->n++] = t_s;
    return f->n != f->stop_at;
}

static void drop(film_frames *f)
{
    for (size_t i = 0; i < f->n; i++) vis_image_free(&f->img[i]);
    *f = (film_frames){.n = 0};
}

static void read_film(film_frames *f, const char *name, size_t max_frames)
{
    char path[128];
    sn_err err = {0};
    snprintf(path, sizeof path, DIR "%s", name);
    *f = (film_frames){.n = 0};
    if (vis_video_load(path, &(vis_video_params){.max_frames = max_frames}, keep, f, &f->sound, &err) != SN_OK) fail_msg("%s", err.msg);
}

static void times_are(const film_frames *f, const double *want, size_t n, double tolerance)
{
    if (f->n != n) fail_msg("%zu frames, wanted %zu", f->n, n);
    for (size_t i = 0; i < n; i++)
        if (f->t[i] < want[i] - tolerance || f->t[i] > want[i] + tolerance)
            fail_msg("frame %zu at %.3f s, wanted %.3f", i, f->t[i], want[i]);
}

static void middle_is(const vis_image *img, int r, int g, int b)
{
    const unsigned char *p = img->rgb + (img->h / 2 * img->w + img->w / 2) * 3;
    if (abs(p[0] - r) > 6 || abs(p[1] - g) > 6 || abs(p[2] - b) > 6) fail_msg("%d %d %d, wanted %d %d %d", p[0], p[1], p[2], r, g, b);
}

static void every_scene_is_shown_when_it_begins(void **state)
{
    static const double cuts[] = {0, 2, 4};
    film_frames f;
    (void)state;
    read_film(&f, "cards.mp4", 8);
    times_are(&f, cuts, 3, 0.001);
    middle_is(&f.img[0], 255, 0, 0);
    middle_is(&f.img[1], 0, 128, 0);
    middle_is(&f.img[2], 255, 255, 255);
    assert_false(f.sound);
    drop(&f);
    read_film(&f, "sound.webm", 8);
    times_are(&f, cuts, 3, 0.11);
    assert_true(f.sound);
    drop(&f);
    read_film(&f, "cards.mpg", 8);
    times_are(&f, cuts, 3, 0.11);
    drop(&f);
    read_film(&f, "vfr.mp4", 8);
    times_are(&f, (const double[]){0, 6}, 2, 0.001);
    drop(&f);
}

static void the_budget_is_kept(void **state)
{
    film_frames f;
    (void)state;
    for (size_t max = 1; max <= 3; max++) {
        read_film(&f, "cards.mp4", max);
        assert_int_equal(f.n, max);
        assert_true(f.t[0] == 0);
        drop(&f);
    }
}

static void a_long_scene_gives_evenly_spaced_frames(void **state)
{
    film_frames f;
    (void)state;
    read_film(&f, "long.mp4", 6); /* a key every 5 s */
    times_are(&f, (const double[]){0, 15, 30, 45, 60, 75}, 6, 0.001);
    drop(&f);
    read_film(&f, "sparse.mp4", 2); /* one key alone: every frame is looked at */
    times_are(&f, (const double[]){0, 50}, 2, 0.001);
    drop(&f);
}

static void frames_equal_ffmpegs(void **state)
{
    static const struct {
        const char *name;
        size_t w, h;
        int tolerance;
    } films[] = {{"plain.mp4", 96, 64, 3}, {"turned.mp4", 64, 96, 3}, {"one_odd.mkv", 33, 17, 2}};
    film_frames f;
    (void)state;
    for (size_t i = 0; i < sizeof films / sizeof *films; i++) {
        char path[128];
        unsigned char want[96 * 64 * 3];
        const size_t n = films[i].w * films[i].h * 3;
        int worst = 0;
        snprintf(path, sizeof path, DIR "%s.rgb", films[i].name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        assert_int_equal(fread(want, 1, sizeof want, file), n);
        fclose(file);
        read_film(&f, films[i].name, 1);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.img[0].w, films[i].w);
        assert_int_equal(f.img[0].h, films[i].h);
        for (size_t k = 0; k < n; k++)
            if (abs(f.img[0].rgb[k] - want[k]) > worst) worst = abs(f.img[0].rgb[k] - want[k]);
        if (worst > films[i].tolerance) fail_msg("%s: differs by %d levels", films[i].name, worst);
        drop(&f);
    }
}

static void samples_become_square(void **state)
{
    film_frames f;
    (void)state;
    read_film(&f, "wide.mp4", 1);
    assert_int_equal(f.img[0].w, 120);
    assert_int_equal(f.img[0].h, 64);
    drop(&f);
    read_film(&f, "alpha.webm", 1);
    assert_int_equal(f.img[0].w, 64);
    drop(&f);
}

static void refused(const char *path, size_t max_pixels, sn_status want, const char *says)
{
    sn_err err = {0};
    bool sound;
    film_frames f = {.n = 0};
    const sn_status st = vis_video_load(path, &(vis_video_params){.max_pixels = max_pixels, .max_frames = 8}, keep, &f, &sound, &err);
    if (st != want || !strstr(err.msg, says) || strncmp(err.msg, path, strlen(path)) != 0 || strchr(err.msg, '\n'))
        fail_msg("%s: status %d, '%s'", path, (int)st, err.msg);
    assert_int_equal(f.n, 0);
    drop(&f);
}

static void what_is_no_video_is_refused(void **state)
{
    (void)state;
    refused(DIR "sound_only.m4a", 0, SN_EFORMAT, "no pictures");
    refused(DIR "cover.mp3", 0, SN_EFORMAT, "");
    refused(DIR "cover.m4a", 0, SN_EFORMAT, "no pictures");
    refused(DIR "make_video_is_not_here", 0, SN_EIO, "cannot open");
    refused("tests", 0, SN_EIO, "not a regular file");
    refused("/dev/null", 0, SN_EIO, "not a regular file");
    refused(testing_temp("", 0), 0, SN_EFORMAT, "not a video");
    refused("tests/test_vision_video.c", 0, SN_EFORMAT, "");
    refused(DIR "cards.mp4", 1000, SN_ELIMIT, "");
}

/* Every cut of every container: refused with one line, or (where nothing tells the length) read up to there; never a crash. */
static void truncated_films_are_refused(void **state)
{
    static const struct {
        const char *name;
        bool tells; /* the container says how long it is */
    } films[] = {{"cards.mp4", true}, {"sound.webm", true}, {"cards.mpg", false}};
    (void)state;
    for (size_t i = 0; i < sizeof films / sizeof *films; i++) {
        unsigned char bytes[32768];
        char path[128];
        snprintf(path, sizeof path, DIR "%s", films[i].name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        const size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        for (size_t cut = 0; cut < n * 3 / 4; cut += n / 40) {
            const char *short_path = testing_temp(bytes, cut);
            film_frames f = {.n = 0};
            sn_err err = {0};
            bool sound;
            const sn_status st = vis_video_load(short_path, &(vis_video_params){.max_frames = 8}, keep, &f, &sound, &err);
            if (films[i].tells && st != SN_EFORMAT) fail_msg("%s cut at %zu: status %d", films[i].name, cut, (int)st);
            if (st != SN_OK) assert_true(err.msg[0] && !strchr(err.msg, '\n') && f.n == 0);
            drop(&f);
        }
    }
}

/* cards.mp4 with its index in front, as films for the web have it. Returns its length. */
static size_t index_first(unsigned char *out, const unsigned char *p, size_t n)
{
    size_t at = 0, moov = 0, mdat = 0, ftyp = 0, k;
    while (at + 8 <= n) {
        const size_t size = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        if (!memcmp(p + at + 4, "ftyp", 4)) ftyp = size;
        if (!memcmp(p + at + 4, "mdat", 4)) mdat = at;
        if (!memcmp(p + at + 4, "moov", 4)) moov = at;
        at += size;
    }
    assert_true(ftyp && mdat && moov > mdat);
    memcpy(out, p, ftyp);
    memcpy(out + ftyp, p + moov, n - moov);
    memcpy(out + ftyp + n - moov, p + ftyp, moov - ftyp);
    for (k = ftyp; memcmp(out + k, "stco", 4); k++) assert_true(k < ftyp + n - moov);
    for (size_t i = 0; i < out[k + 11]; i++) { /* offsets of chunks */
        unsigned char *o = out + k + 12 + 4 * i;
        const size_t v = ((size_t)o[2] << 8 | o[3]) + n - moov;
        o[2] = (unsigned char)(v >> 8);
        o[3] = (unsigned char)v;
    }
    return n;
}

static void the_beginning_of_a_truncated_film_is_seen(void **state)
{
    unsigned char bytes[32768], film[32768];
    size_t n_parts = 0, n_most = 0;
    FILE *file = fopen(DIR "cards.mp4", "rb");
    (void)state;
    assert_non_null(file);
    const size_t n = index_first(film, bytes, fread(bytes, 1, sizeof bytes, file));
    fclose(file);
    for (size_t cut = n / 20; cut <= n; cut += n / 20) {
        const char *path = testing_temp(film, cut);
        film_frames f = {.n = 0};
        sn_err err = {0};
        bool sound;
        const sn_status st = vis_video_load(path, &(vis_video_params){.max_frames = 8, .accept_truncated = true}, keep, &f, &sound, &err);
        if (st != SN_OK) {
            assert_true(f.n == 0 && strstr(err.msg, "truncated: "));
        } else if (cut < n) {
            for (size_t i = 0; i < f.n; i++) {
                assert_int_equal(f.img[i].partial.unit, SN_SECONDS);
                assert_true(f.img[i].partial.have >= f.t[i] && f.img[i].partial.want > f.img[i].partial.have);
            }
            n_parts++;
            n_most = f.n > n_most ? f.n : n_most;
        }
        drop(&f);
    }
    assert_true(n_parts >= 8 && n_most >= 2);
}

static void a_receiver_can_stop(void **state)
{
    film_frames f = {.stop_at = 2};
    sn_err err = {0};
    bool sound;
    (void)state;
    assert_int_equal(vis_video_load(DIR "cards.mp4", &(vis_video_params){.max_frames = 8}, keep, &f, &sound, &err), SN_ECANCELLED);
    assert_int_equal(f.n, 2);
    drop(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scene_is_shown_when_it_begins),
        cmocka_unit_test(the_budget_is_kept),
        cmocka_unit_test(a_long_scene_gives_evenly_spaced_frames),
        cmocka_unit_test(frames_equal_ffmpegs),
        cmocka_unit_test(samples_become_square),
        cmocka_unit_test(what_is_no_video_is_refused),
        cmocka_unit_test(truncated_films_are_refused),
        cmocka_unit_test(the_beginning_of_a_truncated_film_is_seen),
        cmocka_unit_test(a_receiver_can_stop),
    };
    return testing_main("vision/video", tests, sizeof tests / sizeof *tests, argc, argv);
}
