/* Every format is read as Pillow reads it, upright and on white; whatever is damaged is refused with one line.
 * tests/golden/vision/files: made by tests/golden/make_vision_files.py with Pillow 12.0.0. */
#include "../core/mem.h"
#include "../vision/decode.h"
#include "testing.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#define FILES "tests/golden/vision/files/"

static unsigned char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    unsigned char *p;

    if (!f) fail_msg("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    p = malloc(*n ? *n : 1);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

/* Calls fn for each line of list.txt; returns their number. */
static size_t each_file(void (*fn)(const char *name, size_t w, size_t h, int tolerance))
{
    FILE *f = fopen(FILES "list.txt", "r");
    char name[64];
    size_t w, h, n = 0;
    int tolerance;

    assert_non_null(f);
    for (; fscanf(f, "%63s %zu %zu %d", name, &w, &h, &tolerance) == 4; n++) fn(name, w, h, tolerance);
    fclose(f);
    return n;
}

/* ---- good files ---- */

static void check_file(const char *name, size_t w, size_t h, int tolerance)
{
    char path[128], ref[140];
    vis_image img;
    sn_err err = {0};
    size_t n;
    unsigned char *want;
    int worst = 0;

    snprintf(path, sizeof path, FILES "%s", name);
    snprintf(ref, sizeof ref, "%s.rgb", path);
    if (vis_image_load(&img, path, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    want = read_file(ref, &n);
    if (img.w != w || img.h != h || n != w * h * 3) fail_msg("%s: %zux%zu, want %zux%zu", name, img.w, img.h, w, h);
    for (size_t i = 0; i < n; i++) {
        const int d = abs((int)img.rgb[i] - (int)want[i]);
        if (d > worst) worst = d;
    }
    if (worst > tolerance) fail_msg("%s: differs by %d levels, %d allowed", name, worst, tolerance);
    free(want);
    vis_image_free(&img);
}

static void every_format_equals_pillow(void **state)
{
    (void)state;
    assert_true(each_file(check_file) >= 81);
}

static void standard_input_equals_the_file(void **state)
{
    vis_image a, b;
    FILE *f;
    const int keep = dup(STDIN_FILENO);

    (void)state;
    assert_int_equal(vis_image_load(&a, FILES "rgb.png", NULL, NULL), SN_OK);
    f = popen("cat " FILES "rgb.png", "r"); /* a pipe, which cannot be mapped */
    assert_non_null(f);
    dup2(fileno(f), STDIN_FILENO);
    assert_int_equal(vis_image_load(&b, "-", NULL, NULL), SN_OK);
    dup2(keep, STDIN_FILENO);
    close(keep);
    pclose(f);
    assert_int_equal(a.w * a.h, b.w * b.h);
    assert_memory_equal(a.rgb, b.rgb, a.w * a.h * 3);
    vis_image_free(&a);
    vis_image_free(&b);
}

/* Of more than 256 MB, a hole behind the picture: such files are mapped, and the worker must see them. */
static void a_large_file_is_read(void **state)
{
    static const char *const names[] = {"rgb.png", "film.mp4", "lossy.webp"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        size_t n;
        vis_image a, b;
        sn_err err = {0};
        unsigned char *p;

        snprintf(path, sizeof path, FILES "%s", names[i]);
        p = read_file(path, &n);
        assert_int_equal(vis_image_load(&a, path, NULL, NULL), SN_OK);
        const char *large = testing_temp(p, n);
        if (i == 1) { /* a box to the end */
            FILE *f = fopen(large, "ab");
            assert_non_null(f);
            fwrite("\x14\0\0\0free", 1, 8, f);
            fclose(f);
        }
        assert_int_equal(truncate(large, i == 1 ? (off_t)n + 0x14000000 : 300000000), 0);
        if (vis_image_load(&b, large, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_true(a.w == b.w && a.h == b.h);
        assert_memory_equal(a.rgb, b.rgb, a.w * a.h * 3);
        vis_image_free(&a);
        vis_image_free(&b);
        unlink(large);
        free(p);
    }
}

/* ---- bad files ---- */

static void expect_refused(const void *bytes, size_t n, sn_status code, const char *part)
{
    vis_image img = {0};
    sn_err err = {0};
    const sn_status st = vis_image_decode(&img, bytes, n, "bad.file", NULL, &err);

    if (st == SN_OK) fail_msg("accepted; expected: %s", part);
    if (st != code || strncmp(err.msg, "bad.file: ", 10) || !strstr(err.msg, part) || strchr(err.msg, '\n'))
        fail_msg("%d \"%s\", expected %d \"%s\"", st, err.msg, code, part);
    assert_null(img.rgb);
}

static void wrong_kinds_are_named(void **state)
{
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", html[] = "<!DOCTYPE html><html></html>";

    (void)state;
    expect_refused(lfs, sizeof lfs - 1, SN_EFORMAT, "git-lfs");
    expect_refused(html, sizeof html - 1, SN_EFORMAT, "HTML");
    expect_refused("", 0, SN_EFORMAT, "empty");
    expect_refused("\1\2\3\4\5\6\7", 7, SN_EFORMAT, "not a picture");
}

static void a_missing_file_and_a_directory_are_named(void **state)
{
    vis_image img;
    sn_err err = {0};

    (void)state;
    assert_int_equal(vis_image_load(&img, "no/such.png", NULL, &err), SN_EIO);
    assert_non_null(strstr(err.msg, "no/such.png: "));
    assert_int_equal(vis_image_load(&img, "tests", NULL, &err), SN_EIO);
    assert_non_null(strstr(err.msg, "directory"));
}

static void the_pixel_limit_binds_before_decoding(void **state)
{
    unsigned char p6[] = "P6 60000 60000 255\n", pam[] = "P5\n65536 1\n255\n";
    const vis_load_params tight = {.max_pixels = 390};
    vis_image img;
    sn_err err = {0};

    (void)state;
    expect_refused(p6, sizeof p6, SN_EFORMAT, "cut short"); /* and never 10 GB */
    expect_refused(pam, sizeof pam, SN_EFORMAT, "PNM");
    assert_int_equal(vis_image_load(&img, FILES "rgb.png", &tight, &err), SN_ELIMIT); /* 23 x 17 = 391 */
    assert_non_null(strstr(err.msg, "rgb.png: 23x17 pixels are over the limit of 390"));
    assert_int_equal(vis_image_load(&img, FILES "film.mp4", &tight, &err), SN_ELIMIT);
    assert_int_equal(vis_image_load(&img, FILES "444.avif", &tight, &err), SN_ELIMIT);
    assert_int_equal(vis_image_load(&img, FILES "raw.tif", &tight, &err), SN_ELIMIT);
}

static void a_png_bomb_is_refused(void **state)
{
    size_t n;
    unsigned char *p = read_file(FILES "one.png", &n), *wide;
    vis_image img;

    (void)state;
    /* one.png says 1 x 1; a size of 65535 x 1000 over the same pixels needs a new checksum, which is what is wrong here */
    p[16] = 0, p[17] = 0, p[18] = 0xFF, p[19] = 0xFF;
    expect_refused(p, n, SN_EFORMAT, "checksum");
    free(p);
    wide = read_file(FILES "bomb.png", &n); /* 2 x 2 pixels that inflate to 64 MB */
    assert_true(vis_image_decode(&img, wide, n, "bomb", NULL, NULL) != SN_OK);
    free(wide);
}

/* Decoders fill the rest with gray: bytes taken out of the coded data, the end marker left in its place. */
static void a_jpeg_with_coded_data_missing_is_refused(void **state)
{
    static const char *const names[] = {"q95_444.jpg", "q90_420.jpg", "gray.jpg", "restart.jpg", "cmyk.jpg"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        size_t n;
        unsigned char *p;
        for (size_t gone = 40; gone <= 200; gone += 40) {
            snprintf(path, sizeof path, FILES "%s", names[i]);
            p = read_file(path, &n);
            memmove(p + n - 2 - gone, p + n - 2, 2);
            expect_refused(p, n - gone, SN_EFORMAT, "JPEG: coded data is missing");
            free(p);
        }
    }
}

static void tables_that_overrun_are_refused(void **state)
{
    size_t n;
    unsigned char *p = read_file(FILES "q95_444.jpg", &n), *dht = p;

    (void)state;
    while (dht < p + n && (dht[0] != 0xFF || dht[1] != 0xC4)) dht++;
    dht[5 + 7] = 255; /* codes of 8 bits: more than fit, and more than the segment has symbols for */
    expect_refused(p, n, SN_EFORMAT, "JPEG: a table is damaged");
    free(p);
}

static void orientations_out_of_range_are_upright(void **state)
{
    /* II*, directory at 8, one entry: 274, SHORT, 1 value */
    unsigned char t[26] = {'I', 'I', '*', 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0};

    (void)state;
    assert_int_equal(vis_exif_orientation(t, sizeof t), 6);
    for (size_t n = 0; n < 22; n++) assert_int_equal(vis_exif_orientation(t, n), 1); /* cut */
    for (int v = 0; v < 256; v++) {
        t[18] = (unsigned char)v;
        assert_int_equal(vis_exif_orientation(t, sizeof t), v >= 1 && v <= 8 ? v : 1);
    }
    t[18] = 6;
    t[14] = 2; /* two values */
    assert_int_equal(vis_exif_orientation(t, sizeof t), 1);
    t[14] = 1;
    t[12] = 2; /* text */
    assert_int_equal(vis_exif_orientation(t, sizeof t), 1);
    t[12] = 3;
    t[8] = t[9] = 255; /* 65535 entries */
    assert_int_equal(vis_exif_orientation(t, sizeof t), 6);
    memset(t + 4, 255, 4); /* a directory beyond the end */
    assert_int_equal(vis_exif_orientation(t, sizeof t), 1);
}

/* Files may end in slack that says nothing: a BMP's last padding, a TGA's footer, the last number of a plain PNM (which may lose digits). */
static size_t slack(const char *name)
{
    return strstr(name, ".bmp")                           ? 3
           : strstr(name, ".tga")                         ? 26
           : strstr(name, ".pnm")                         ? 3
           : strstr(name, ".tif") || strstr(name, ".mkv") ? (size_t)-1
                                                          : 0;
}

static void check_truncated(const char *name, size_t w, size_t h, int tolerance)
{
    char path[128];
    size_t n;
    unsigned char *p;

    (void)w, (void)h, (void)tolerance;
    snprintf(path, sizeof path, FILES "%s", name);
    p = read_file(path, &n);
    for (size_t cut = 0; cut < n; cut += 1 + (cut > 200 && cut + 40 < n ? n / 90 : 0)) {
        unsigned char *exact = malloc(cut ? cut : 1); /* of exactly this size, so that the sanitizer sees one byte too many */
        vis_image img = {0};
        sn_err err = {0};
        sn_status st;

        memcpy(exact, p, cut);
        st = vis_image_decode(&img, exact, cut, name, NULL, &err);
        if (st == SN_OK && n - cut > slack(name)) fail_msg("%s: cut to %zu of %zu bytes and taken as good", name, cut, n);
        if (st != SN_OK && (strncmp(err.msg, name, strlen(name)) || strchr(err.msg, '\n')))
            fail_msg("%s: no good message: %s", name, err.msg);
        vis_image_free(&img);
        free(exact);
    }
    free(p);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    each_file(check_truncated);
}

/* ---- what is there of a truncated one ---- */

enum { KINDS = 9 };
static const char *const kinds[KINDS] = {".jpg", ".png", ".gif", ".bmp", ".tga", ".hdr", ".pnm", ".webp", ".tif"};
static size_t n_parts[KINDS]; /* of which a part was had */
static size_t n_coarse;       /* interlaced and progressive ones, whole in size */

static vis_image load_part(const unsigned char *p, size_t n, const char *name, sn_status *st, sn_err *err)
{
    static const vis_load_params accept = {.accept_truncated = true};
    unsigned char *exact = malloc(n ? n : 1);
    vis_image img = {0};

    memcpy(exact, p, n);
    *st = vis_image_decode(&img, exact, n, name, &accept, err);
    free(exact);
    return img;
}

/* The part's rows are the whole one's, from the top or, where it is stored so, from the bottom; but for the last two, where colours that
 * are stored at half the size would be smoothed with the next. */
static bool is_part_of(const vis_image *part, const vis_image *whole, bool from_bottom)
{
    const size_t row = whole->w * 3, skip = part->h < whole->h ? 2 : 0;
    const unsigned char *from = whole->rgb + (from_bottom ? whole->h - part->h : 0) * row;

    if (part->w != whole->w || part->h > whole->h) return false;
    return part->h <= skip ||
           !memcmp(part->rgb + (from_bottom ? skip * row : 0), from + (from_bottom ? skip * row : 0), (part->h - skip) * row);
}

static void check_part(const char *name, size_t w, size_t h, int tolerance)
{
    char path[128];
    vis_image whole;
    size_t n;
    unsigned char *p;
    const bool turned = strstr(name, "exif") || strstr(name, "orientation");
    const bool from_bottom = !turned && (strstr(name, ".bmp") || strstr(name, ".tga")) && !strstr(name, "top_down");

    (void)w, (void)h, (void)tolerance;
    snprintf(path, sizeof path, FILES "%s", name);
    p = read_file(path, &n);
    assert_int_equal(vis_image_decode(&whole, p, n, name, NULL, NULL), SN_OK);
    assert_int_equal(whole.partial.unit, SN_WHOLE);
    for (size_t cut = 1; cut < n; cut += 1 + n / 150) {
        sn_status st;
        sn_err err = {0}, refused = {0};
        vis_image no = {0}, img = load_part(p, cut, name, &st, &err);
        const sn_status st_no = vis_image_decode(&no, p, cut, name, NULL, &refused);

        if (st != SN_OK) {
            if (st_no == SN_OK || strcmp(err.msg, refused.msg))
                fail_msg("%s cut to %zu: \"%s\", refused as \"%s\"", name, cut, err.msg, refused.msg);
        } else if (st_no != SN_OK) {
            char how_much[SN_PARTIAL_TEXT], says[200];
            sn_partial_text(how_much, &img.partial);
            snprintf(says, sizeof says, "%s: truncated: %s can be read", name, how_much);
            assert_string_equal(refused.msg, says);
            for (int k = 0; k < KINDS; k++) n_parts[k] += strstr(name, kinds[k]) != NULL;
            if (img.partial.unit == SN_ROWS && !turned) {
                assert_true((double)img.h == img.partial.have || strstr(name, ".gif"));
                if (!strstr(name, "progressive") && !is_part_of(&img, &whole, from_bottom))
                    fail_msg("%s cut to %zu: other pixels than the whole one's", name, cut);
            } else if (!turned) {
                assert_true(img.w == whole.w && img.h == whole.h);
                n_coarse += img.partial.unit == SN_PASSES || img.partial.unit == SN_SCANS;
            }
        }
        vis_image_free(&no);
        vis_image_free(&img);
    }
    vis_image_free(&whole);
    free(p);
}

static void put(unsigned char *p, size_t v, size_t n, bool big)
{
    for (size_t i = 0; i < n; i++) p[big ? n - 1 - i : i] = (unsigned char)(v >> 8 * i);
}

/* A TIFF whose description comes first: 23x17 RGB in strips of 4 rows, as they are or deflated. Returns its length. */
static size_t make_tiff(unsigned char *p, bool packed, bool big)
{
    enum { W = 23, H = 17, STRIPS = 5, ROW = W * 3 };
    const unsigned tags[][3] = {{256, 3, W}, {257, 3, H}, {258, 3, 0}, {259, 3, packed ? 8 : 1}, {262, 3, 2}, {273, 4, 0}, {277, 3, 3},
                                {278, 3, 4}, {279, 4, 0}, {284, 3, 1}};
    const size_t n_tags = sizeof tags / sizeof *tags, lists = 8 + 2 + n_tags * 12 + 4;
    size_t at = lists + 6 + STRIPS * 8;
    unsigned char rows[H * ROW];

    memset(p, 0, at);
    memcpy(p, big ? "MM\0*" : "II*\0", 4);
    put(p + 4, 8, 4, big);
    put(p + 8, n_tags, 2, big);
    for (size_t i = 0; i < n_tags; i++) {
        unsigned char *e = p + 10 + 12 * i;
        const bool list = tags[i][0] == 273 || tags[i][0] == 279, depths = tags[i][0] == 258;
        put(e, tags[i][0], 2, big);
        put(e + 2, tags[i][1], 2, big);
        put(e + 4, list ? STRIPS : depths ? 3 : 1, 4, big);
        if (list || depths)
            put(e + 8, lists + (depths ? 0 : tags[i][0] == 273 ? 6 : 6 + STRIPS * 4), 4, big);
        else
            put(e + 8, tags[i][2], 2, big);
    }
    for (int i = 0; i < 3; i++) put(p + lists + 2 * i, 8, 2, big);
    for (size_t i = 0; i < sizeof rows; i++) rows[i] = (unsigned char)(i * 7 + i / ROW * 31);
    for (size_t s = 0; s < STRIPS; s++) {
        const size_t n = (s + 1 < STRIPS ? 4 : H - 4 * (STRIPS - 1)) * ROW;
        uLongf size = n + 100;
        if (packed)
            assert_int_equal(compress(p + at, &size, rows + s * 4 * ROW, n), Z_OK);
        else
            memcpy(p + at, rows + s * 4 * ROW, size = n);
        put(p + lists + 6 + 4 * s, at, 4, big);
        put(p + lists + 6 + STRIPS * 4 + 4 * s, size, 4, big);
        at += size;
    }
    return at;
}

static void strips_of_a_truncated_tiff_are_kept(void **state)
{
    unsigned char p[4096];

    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        const size_t n = make_tiff(p, kind & 1, kind & 2);
        vis_image whole, img;
        sn_err err = {0};
        sn_status st;
        size_t seen[18] = {0};

        if (vis_image_decode(&whole, p, n, "whole", NULL, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_int_equal(whole.h, 17);
        for (size_t cut = 8; cut < n; cut++) {
            img = load_part(p, cut, "cut", &st, &err);
            assert_true(st != SN_OK || (img.partial.unit == SN_ROWS && img.h < 17 && is_part_of(&img, &whole, false)));
            if (st == SN_OK) seen[img.h]++;
            vis_image_free(&img);
        }
        for (size_t h = 1; h < 17; h++) assert_true(!(kind & 1) == (seen[h] > 0) || h % 4 == 0); /* single rows where they are not packed */
        assert_true(seen[4] && seen[8] && seen[12] && seen[16]);
        vis_image_free(&whole);
    }
}

static void a_part_of_a_truncated_picture_is_that_part_of_the_whole(void **state)
{
    (void)state;
    each_file(check_part);
    for (int k = 0; k < KINDS; k++)
        if (n_parts[k] < 15) fail_msg("of %s only %zu cuts gave a part", kinds[k], n_parts[k]);
    assert_true(n_coarse > 20);
}

static uint32_t rng(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void check_flipped(const char *name, size_t w, size_t h, int tolerance)
{
    char path[128];
    size_t n;
    unsigned char *p;
    uint32_t seed = 1;

    (void)w, (void)h, (void)tolerance;
    snprintf(path, sizeof path, FILES "%s", name);
    p = read_file(path, &n);
    for (int round = 0; round < 90; round++) {
        unsigned char *bad = malloc(n);
        vis_image img = {0};
        sn_err err = {0};
        const uint32_t n_flips = 1 + rng(&seed) % 8;
        const size_t reach = round % 2 ? n : n < 128 ? n : 128; /* half of them in the header */
        const vis_load_params how = {.accept_truncated = round % 3 == 0};
        const size_t left = how.accept_truncated ? n - n / (2 + rng(&seed) % 8) : n; /* and some truncated as well */

        memcpy(bad, p, n);
        for (uint32_t k = 0; k < n_flips; k++) bad[rng(&seed) % reach] = (unsigned char)rng(&seed);
        if (vis_image_decode(&img, bad, left, name, &how, &err) != SN_OK) {
            if (strncmp(err.msg, name, strlen(name)) || strchr(err.msg, '\n')) fail_msg("%s: no good message: %s", name, err.msg);
        } else {
            assert_true(img.w > 0 && img.h > 0 && img.w <= VIS_MAX_SIDE && img.h <= VIS_MAX_SIDE);
        }
        vis_image_free(&img);
        free(bad);
    }
    free(p);
}

static void a_damaged_file_never_does_harm(void **state)
{
    (void)state;
    each_file(check_flipped);
}

/* Readable or not: the same pixels, or the same words. */
static void compare_worker(const char *path, size_t *n)
{
    const vis_load_params here = {.no_sandbox = true};
    vis_image a = {0}, b = {0};
    sn_err err_a = {0}, err_b = {0};
    assert_int_equal(vis_image_load(&a, path, NULL, &err_a), vis_image_load(&b, path, &here, &err_b));
    if (!a.rgb) assert_string_equal(err_a.msg, err_b.msg);
    assert_true(a.w == b.w && a.h == b.h);
    if (a.rgb) assert_memory_equal(a.rgb, b.rgb, a.w * a.h * 3);
    *n += a.rgb != NULL;
    vis_image_free(&a);
    vis_image_free(&b);
}

static void compare_all(void)
{
    DIR *d = opendir(FILES);
    size_t n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, FILES "%s", e->d_name);
        compare_worker(path, &n);
    }
    closedir(d);
    assert_true(n > 20);
}

static void a_worker_gives_what_this_process_would(void **state)
{
    (void)state;
    compare_all();
}

static void a_limit_of_file_sizes_changes_nothing(void **state)
{
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max}), 0); /* no memory can be shared */
    compare_all();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static void a_pipe_beyond_the_limit_of_file_sizes_is_refused(void **state)
{
    struct rlimit before;
    vis_image img = {0};
    sn_err err = {0};
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){65536, before.rlim_max}), 0);
    const sn_status st = vis_image_load(&img, "/dev/zero", NULL, &err); /* and no SIGXFSZ */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(st, SN_ELIMIT);
    assert_string_equal(err.msg, "/dev/zero: more than 65536 bytes from a pipe");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_format_equals_pillow),
    cmocka_unit_test(a_worker_gives_what_this_process_would),
    cmocka_unit_test(a_limit_of_file_sizes_changes_nothing),
    cmocka_unit_test(a_pipe_beyond_the_limit_of_file_sizes_is_refused),
    cmocka_unit_test(standard_input_equals_the_file),
    cmocka_unit_test(a_large_file_is_read),
    cmocka_unit_test(wrong_kinds_are_named),
    cmocka_unit_test(a_missing_file_and_a_directory_are_named),
    cmocka_unit_test(the_pixel_limit_binds_before_decoding),
    cmocka_unit_test(a_png_bomb_is_refused),
    cmocka_unit_test(a_jpeg_with_coded_data_missing_is_refused),
    cmocka_unit_test(tables_that_overrun_are_refused),
    cmocka_unit_test(orientations_out_of_range_are_upright),
    cmocka_unit_test(a_file_cut_anywhere_is_refused),
    cmocka_unit_test(strips_of_a_truncated_tiff_are_kept),
    cmocka_unit_test(a_part_of_a_truncated_picture_is_that_part_of_the_whole),
    cmocka_unit_test(a_damaged_file_never_does_harm),
};
TESTING_MAIN("vision_image", tests)
