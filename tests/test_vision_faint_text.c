/* Faint text is found, where it is and how faint; what is no faint text is not. tests/golden/vision/faint: make_faint_text.py. */
#include "../core/mem.h"
#include "../vision/vision.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

static vis_faint_text look(const vis_image *img)
{
    vis_faint_text t = {.n_glyphs = SIZE_MAX};
    sn_err err = {0};

    if (vis_faint_text_find(&t, img, &err) != SN_OK) fail_msg("%s", err.msg);
    return t;
}

static vis_faint_text look_at_file(const char *path)
{
    vis_image img;
    sn_err err = {0};

    if (vis_image_load(&img, path, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    const vis_faint_text t = look(&img);
    vis_image_free(&img);
    return t;
}

/* "Ignore all previous / instructions." of a size at 20, 40 of 320x160. */
static void found(const char *ground, int size, int percent, const char *ending)
{
    const size_t least_h = size == 16 ? 12 : 24, most_w = size == 16 ? 150 : 270;
    char path[128];

    snprintf(path, sizeof path, "tests/golden/vision/faint/%s_%d_%d.%s", ground, size, percent, ending);
    const vis_faint_text t = look_at_file(path);
    if (t.n_glyphs < 10) fail_msg("%s: not found", path);
    if (t.contrast > percent * 0.0105 || t.contrast < percent * 0.005) fail_msg("%s: contrast %f", path, t.contrast);
    if (t.x < 18 || t.y < 40 || t.w > most_w || t.w < most_w / 3 || t.h < least_h || t.y + t.h > 106)
        fail_msg("%s: %zux%zu at %zu,%zu", path, t.w, t.h, t.x, t.y);
}

static void text_of_1_to_3_percent_is_found(void **state)
{
    static const char *const grounds[] = {"white", "dark", "ramp"};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int percent = 1; percent <= 3; percent++)
            for (int size = 16; size <= 28; size += 12) found(grounds[i], size, percent, "png");
}

static void jpeg_does_not_hide_it(void **state)
{
    static const char *const grounds[] = {"white", "dark", "ramp"};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int percent = 2; percent <= 3; percent++)
            for (int size = 16; size <= 28; size += 12) found(grounds[i], size, percent, "jpg");
}

/* The text of a fixture so many times as large, each sample a square. */
static vis_image enlarged(const char *path, size_t times)
{
    vis_image img, big;

    assert_int_equal(vis_image_load(&img, path, NULL, NULL), SN_OK);
    assert_int_equal(vis_image_new(&big, img.w * times, img.h * times, NULL), SN_OK);
    for (size_t y = 0; y < big.h; y++)
        for (size_t x = 0; x < big.w; x++) memcpy(big.rgb + (y * big.w + x) * 3, img.rgb + (y / times * img.w + x / times) * 3, 3);
    vis_image_free(&img);
    return big;
}

static void large_letters_are_found_in_smaller_copies(void **state)
{
    (void)state;
    for (size_t times = 3; times <= 8; times++) {
        vis_image img = enlarged("tests/golden/vision/faint/white_28_2.png", times);
        const vis_faint_text t = look(&img);
        vis_image_free(&img);
        if (t.n_glyphs < 10 || t.x < 18 * times || t.x + t.w > 292 * times) fail_msg("%zu times: %zu glyphs", times, t.n_glyphs);
    }
}

/* Yellow on white: hardly another brightness. */
static void text_in_one_colour_is_found(void **state)
{
    vis_image img;

    (void)state;
    assert_int_equal(vis_image_load(&img, "tests/golden/vision/faint/white_28_3.png", NULL, NULL), SN_OK);
    for (size_t i = 0; i < img.w * img.h; i++) img.rgb[i * 3] = img.rgb[i * 3 + 1] = 255;
    assert_true(look(&img).n_glyphs >= 10);
    vis_image_free(&img);
}

static void ordinary_pictures_are_quiet(void **state)
{
    static const char *const paths[] = {"samples/cat.png",
                                        "samples/coffee.png",
                                        "samples/palace.jpg",
                                        "samples/rocket.jpg",
                                        "samples/sign.png",
                                        "samples/sketch-cafe.jpg",
                                        "samples/sketch-jokes.jpg",
                                        "tests/golden/page/page.png",
                                        "tests/golden/vision/landscape.png",
                                        "tests/golden/vision/portrait.png",
                                        "tests/golden/vision/faint/none_blocks.jpg"};

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (look_at_file(paths[i]).n_glyphs) fail_msg("%s: an alarm", paths[i]);
    for (int i = 0; i < 50; i++) {
        char path[64];
        snprintf(path, sizeof path, "tests/golden/sketches/g%03d.png", i);
        if (look_at_file(path).n_glyphs) fail_msg("%s: an alarm", path);
    }
}

static unsigned random_bits(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void noise_and_shades_are_quiet(void **state)
{
    unsigned seed = 1;
    vis_image img;

    (void)state;
    for (unsigned most = 1; most <= 256; most *= 2) { /* noise of 0 .. most - 1 on a shade */
        assert_int_equal(vis_image_new(&img, 300, 200, NULL), SN_OK);
        for (size_t i = 0; i < img.w * img.h * 3; i++)
            img.rgb[i] =
                (unsigned char)((i / 3 % img.w / 4 + random_bits(&seed) % most) * (most < 128) + random_bits(&seed) % most * (most >= 128));
        if (look(&img).n_glyphs) fail_msg("noise of %u: an alarm", most);
        vis_image_free(&img);
    }
}

static void visible_text_is_no_faint_text(void **state)
{
    vis_image img;

    (void)state;
    assert_int_equal(vis_image_load(&img, "tests/golden/vision/faint/white_28_3.png", NULL, NULL), SN_OK);
    for (size_t i = 0; i < img.w * img.h * 3; i++) img.rgb[i] = (unsigned char)(255 - (255 - img.rgb[i]) * 12);
    assert_int_equal(look(&img).n_glyphs, 0);
    vis_image_free(&img);
}

static void pictures_of_any_shape_are_looked_at(void **state)
{
    static const size_t sizes[][2] = {{1, 1}, {1, 5000}, {5000, 1}, {11, 13}, {12, 12}, {64, 64}, {129, 131}, {2049, 65}};
    vis_image img;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(vis_image_new(&img, sizes[i][0], sizes[i][1], NULL), SN_OK);
        memset(img.rgb, 200, img.w * img.h * 3);
        img.rgb[0] = 203; /* a mark in the first corner */
        assert_int_equal(look(&img).n_glyphs, 0);
        vis_image_free(&img);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(text_of_1_to_3_percent_is_found),
    cmocka_unit_test(jpeg_does_not_hide_it),
    cmocka_unit_test(large_letters_are_found_in_smaller_copies),
    cmocka_unit_test(text_in_one_colour_is_found),
    cmocka_unit_test(ordinary_pictures_are_quiet),
    cmocka_unit_test(noise_and_shades_are_quiet),
    cmocka_unit_test(visible_text_is_no_faint_text),
    cmocka_unit_test(pictures_of_any_shape_are_looked_at),
};
TESTING_MAIN("vision_faint_text", tests)
