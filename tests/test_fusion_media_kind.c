/* A file's kind is told by its content: of every kind that is read, whatever its name; text, drawings and special files are none. */
#include "testing.h"

#include "../fusion/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static senses_media_kind_t kind(const char *path)
{
    senses_media_kind_t k = 99;
    senses_error err = {0};
    if (senses_media_kind(path, &k, &err) != SN_OK) fail_msg("%s", err.msg);
    return k;
}

static senses_media_kind_t kind_of(const void *bytes, size_t n)
{
    return kind(testing_temp(bytes, n));
}
#define KIND(bytes) kind_of(bytes, sizeof(bytes) - 1)

static void samples_are_of_their_kind(void **state)
{
    static const char *const pictures[] = {"cat.png", "palace.jpg", "sketch-cafe.jpg"};
    static const char *const sounds[] = {"jfk.wav", "jfk.mp3", "newuser.flac", "queue.ogg"};
    char path[64];
    (void)state;
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        snprintf(path, sizeof path, "samples/%s", pictures[i]);
        assert_int_equal(kind(path), SENSES_MEDIA_IMAGE);
    }
    for (size_t i = 0; i < sizeof sounds / sizeof *sounds; i++) {
        snprintf(path, sizeof path, "samples/%s", sounds[i]);
        assert_int_equal(kind(path), SENSES_MEDIA_SOUND);
    }
    assert_int_equal(kind("samples/testpattern.mp4"), SENSES_MEDIA_VIDEO);
}

static void pictures_are_told_by_their_first_bytes(void **state)
{
    (void)state;
    assert_int_equal(KIND("\x89PNG\r\n\x1a\n"), SENSES_MEDIA_IMAGE);
    assert_int_equal(KIND("\xFF\xD8\xFF\xE0"), SENSES_MEDIA_IMAGE);
    assert_int_equal(KIND("GIF89a"), SENSES_MEDIA_IMAGE);
    assert_int_equal(KIND("RIFF\0\0\0\0WEBPVP8 "), SENSES_MEDIA_IMAGE);
    assert_int_equal(KIND("P6 1 1 255\nabc"), SENSES_MEDIA_IMAGE);
    assert_int_equal(KIND("\0\0\0\x18"
                          "ftypheic\0\0\0\0mif1heic"),
                     SENSES_MEDIA_IMAGE);
}

static void damaged_containers_are_what_they_claim_to_be(void **state)
{
    (void)state;
    assert_int_equal(KIND("\0\0\0\x18"
                          "ftypM4A \0\0\0\0mp42isom"),
                     SENSES_MEDIA_SOUND);
    assert_int_equal(KIND("\0\0\0\x18"
                          "ftypisom\0\0\0\0mp42isom"),
                     SENSES_MEDIA_VIDEO);
    assert_int_equal(KIND("OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), SENSES_MEDIA_SOUND);
    assert_int_equal(KIND("\x1A\x45\xDF\xA3\x01\0\0\0\0\0\0\x1F\0\0\0\0"), SENSES_MEDIA_VIDEO);
    assert_int_equal(KIND("RIFF\0\0\0\0AVI LIST\0\0\0\0"), SENSES_MEDIA_VIDEO);
    assert_int_equal(KIND("RIFF\0\0\0\0WAVEfmt "), SENSES_MEDIA_SOUND);
}

/* An MPEG frame without a tag needs a second one behind it: 128 kbit/s at 44100 Hz has 417 bytes. */
static void bare_frames_of_sound_need_a_second(void **state)
{
    unsigned char mp3[900] = {0xFF, 0xFB, 0x90, 0x44}, adts[64] = {0xFF, 0xF1, 0x50, 0x80, 0x03, 0xFF, 0xFC};
    (void)state;
    assert_int_equal(kind_of(mp3, sizeof mp3), SENSES_MEDIA_NONE);
    memcpy(mp3 + 417, mp3, 4);
    assert_int_equal(kind_of(mp3, sizeof mp3), SENSES_MEDIA_SOUND);
    assert_int_equal(kind_of(adts, sizeof adts), SENSES_MEDIA_NONE);
    memcpy(adts + 31, adts, 7);
    assert_int_equal(kind_of(adts, sizeof adts), SENSES_MEDIA_SOUND);
    assert_int_equal(KIND("\xFF\xFEh\0e\0l\0l\0o\0 \0w\0o\0r\0l\0d\0"), SENSES_MEDIA_NONE); /* UTF-16 */
}

static void what_is_no_medium_is_none(void **state)
{
    char folder[4096], fifo[4200];
    (void)state;
    assert_int_equal(KIND(""), SENSES_MEDIA_NONE);
    assert_int_equal(KIND("a text\n"), SENSES_MEDIA_NONE);
    assert_int_equal(KIND("<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), SENSES_MEDIA_NONE);
    assert_int_equal(KIND("%PDF-1.7\n"), SENSES_MEDIA_NONE);
    assert_int_equal(KIND("PK\3\4 an archive of some kind"), SENSES_MEDIA_NONE);
    assert_int_equal(kind("Makefile"), SENSES_MEDIA_NONE);
    assert_int_equal(kind("tests"), SENSES_MEDIA_NONE);
    assert_int_equal(kind("/dev/null"), SENSES_MEDIA_NONE);
    assert_int_equal(testing_folder(folder, sizeof folder), 0);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(kind(fifo), SENSES_MEDIA_NONE);
    assert_int_equal(testing_folder_remove(folder), 0);
}

static void a_missing_file_is_an_error(void **state)
{
    senses_media_kind_t k = SENSES_MEDIA_SOUND;
    senses_error err = {0};
    (void)state;
    assert_int_equal(senses_media_kind("samples/none", &k, &err), SN_EIO);
    assert_string_equal(err.msg, "samples/none: cannot open: No such file or directory");
    assert_int_equal(k, SENSES_MEDIA_SOUND);
}

static void a_sound_says_its_length(void **state)
{
    double s = 0;
    senses_error err = {0};
    (void)state;
    assert_int_equal(senses_sound_length("samples/jfk.wav", &s, &err), SN_OK);
    assert_true(s > 10.9 && s < 11.1);
    assert_int_equal(senses_sound_length("samples/cat.png", &s, &err), SN_EFORMAT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_of_their_kind),
        cmocka_unit_test(pictures_are_told_by_their_first_bytes),
        cmocka_unit_test(damaged_containers_are_what_they_claim_to_be),
        cmocka_unit_test(bare_frames_of_sound_need_a_second),
        cmocka_unit_test(what_is_no_medium_is_none),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test(a_sound_says_its_length),
    };
    return testing_main("fusion_media_kind", tests, sizeof tests / sizeof tests[0], argc, argv);
}
