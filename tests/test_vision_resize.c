/* Resampling is Pillow's, bit for bit: checksums by tests/golden/make_vision_files.py, Pillow 12.0.0. */
#include "../core/mem.h"
#include "../vision/family.h"
#include "testing.h"

#include <string.h>

/* The noise that the script makes, too. */
static vis_image noise(size_t w, size_t h)
{
    vis_image img;

    assert_int_equal(vis_image_new(&img, w, h, NULL), SN_OK);
    for (size_t n = 0; n < w * h * 3; n++) {
        uint32_t i = (uint32_t)n * 2654435761u;
        i ^= i >> 15;
        i *= 2246822519u;
        img.rgb[n] = (unsigned char)(i ^ i >> 13);
    }
    return img;
}

static uint32_t crc32_of(const unsigned char *p, size_t n)
{
    uint32_t table[256], c = 0xFFFFFFFFu;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int k = 0; k < 8; k++) v = v & 1 ? 0xEDB88320u ^ v >> 1 : v >> 1;
        table[i] = v;
    }
    for (size_t i = 0; i < n; i++) c = table[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

static void every_size_and_filter_equals_pillow(void **state)
{
    static const char *names[] = {"bilinear", "bicubic", "lanczos"};
    FILE *f = fopen("tests/golden/vision/resize.txt", "r");
    size_t w, h, ow, oh, n = 0;
    char filter[16];
    uint32_t want;

    (void)state;
    assert_non_null(f);
    while (fscanf(f, "%zu %zu %zu %zu %15s %x", &w, &h, &ow, &oh, filter, &want) == 6) {
        vis_image img = noise(w, h), out;
        int k = 0;

        while (strcmp(names[k], filter)) k++;
        assert_int_equal(vis_resize(&out, &img, ow, oh, (vis_filter)k, NULL), SN_OK);
        assert_int_equal(out.w, ow);
        assert_int_equal(out.h, oh);
        if (crc32_of(out.rgb, ow * oh * 3) != want) fail_msg("%zux%zu -> %zux%zu %s differs from Pillow", w, h, ow, oh, filter);
        vis_image_free(&out);
        vis_image_free(&img);
        n++;
    }
    fclose(f);
    assert_true(n >= 38);
}

static void a_window_equals_the_same_part_of_the_whole(void **state)
{
    vis_image img = noise(151, 97), whole, part;
    const vis_window win = {.full_w = 90, .full_h = 133, .x = 17, .y = 40, .w = 31, .h = 52};

    (void)state;
    assert_int_equal(vis_resize(&whole, &img, 90, 133, VIS_BICUBIC, NULL), SN_OK);
    assert_int_equal(vis_resize_window(&part, &img, NULL, &win, VIS_BICUBIC, NULL), SN_OK);
    for (size_t y = 0; y < win.h; y++) assert_memory_equal(part.rgb + y * win.w * 3, whole.rgb + ((win.y + y) * 90 + win.x) * 3, win.w * 3);
    vis_image_free(&part);
    vis_image_free(&whole);
    vis_image_free(&img);
}

/* The picture at x, y of a canvas, made for real, against the canvas that is only described. */
static void check_canvas(size_t w, size_t h, vis_canvas cv, size_t ow, size_t oh)
{
    vis_image img = noise(w, h), made, want, got;

    assert_int_equal(vis_image_new(&made, cv.w, cv.h, NULL), SN_OK);
    for (size_t i = 0; i < cv.w * cv.h; i++) memcpy(made.rgb + 3 * i, cv.colour, 3);
    for (size_t y = 0; y < h; y++) memcpy(made.rgb + ((cv.y + y) * cv.w + cv.x) * 3, img.rgb + y * w * 3, w * 3);
    assert_int_equal(vis_resize(&want, &made, ow, oh, VIS_BICUBIC, NULL), SN_OK);
    assert_int_equal(vis_resize_window(&got, &img, &cv, &(vis_window){.full_w = ow, .full_h = oh, .w = ow, .h = oh}, VIS_BICUBIC, NULL),
                     SN_OK);
    assert_memory_equal(got.rgb, want.rgb, ow * oh * 3);
    vis_image_free(&got);
    vis_image_free(&want);
    vis_image_free(&made);
    vis_image_free(&img);
}

static void a_canvas_equals_pasting(void **state)
{
    (void)state;
    check_canvas(120, 50, (vis_canvas){.w = 120, .h = 120, .y = 35, .colour = {122, 116, 104}}, 48, 48);
    check_canvas(50, 120, (vis_canvas){.w = 120, .h = 120, .x = 35, .colour = {122, 116, 104}}, 48, 48);
    check_canvas(50, 48, (vis_canvas){.w = 50, .h = 50, .y = 1, .colour = {1, 2, 3}}, 50, 50);
    check_canvas(48, 50, (vis_canvas){.w = 50, .h = 50, .x = 1, .colour = {1, 2, 3}}, 200, 200);
}

static void extreme_shapes_need_little_memory(void **state)
{
    vis_image img = noise(65535, 1), out;
    const vis_window crop = {.full_w = (size_t)336 * 65535, .full_h = 336, .x = ((size_t)336 * 65535 - 336) / 2, .w = 336, .h = 336};
    const vis_canvas square = {.w = 65535, .h = 65535, .y = 32767, .colour = {9, 9, 9}};

    (void)state;
    assert_int_equal(vis_resize_window(&out, &img, NULL, &crop, VIS_BICUBIC, NULL), SN_OK); /* the whole would be 22 GB */
    vis_image_free(&out);
    assert_int_equal(
        vis_resize_window(&out, &img, &square, &(vis_window){.full_w = 336, .full_h = 336, .w = 336, .h = 336}, VIS_BICUBIC, NULL), SN_OK);
    assert_int_equal(out.rgb[0], 9);
    vis_image_free(&out);
    vis_image_free(&img);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_size_and_filter_equals_pillow),
    cmocka_unit_test(a_window_equals_the_same_part_of_the_whole),
    cmocka_unit_test(a_canvas_equals_pasting),
    cmocka_unit_test(extreme_shapes_need_little_memory),
};
TESTING_MAIN("vision_resize", tests)
