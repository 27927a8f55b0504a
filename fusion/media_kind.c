/* media_kind.c: what a file holds, by its content. */
#include "../core/sha256.h"
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_BYTES 65536

/* What a container that cannot be looked into most likely holds: reading it then says what is wrong with it. */
static senses_media_kind_t claimed_kind(const unsigned char *head, size_t n)
{
    static const char sound_brands[][5] = {"M4A ", "M4B ", "F4A "};
    if (n >= 4 && memcmp(head, "OggS", 4) == 0) return SENSES_MEDIA_SOUND;
    for (size_t i = 0; n >= 12 && memcmp(head + 4, "ftyp", 4) == 0 && i < sizeof sound_brands / sizeof sound_brands[0]; i++)
        if (memcmp(head + 8, sound_brands[i], 4) == 0) return SENSES_MEDIA_SOUND;
    return SENSES_MEDIA_VIDEO;
}

static senses_media_kind_t kind_of(const char *path, const unsigned char *head, size_t n)
{
    bool sound = false, moving = false;
    if (n == 0) return SENSES_MEDIA_NONE;
    if (aud_is_sound(head, n)) return SENSES_MEDIA_SOUND;
    vis_file_kind kind = vis_image_kind(head, n);
    bool real = n >= 4 && memcmp(head, ".RMF", 4) == 0; /* RealMedia: no film that vision reads, but it may have sound */
    if (kind == VIS_STILL) return SENSES_MEDIA_IMAGE;
    if (kind != VIS_FILM && !real) return SENSES_MEDIA_NONE;
    if (aud_container_streams(path, &sound, &moving, NULL) != SN_OK) return claimed_kind(head, n);
    return moving ? SENSES_MEDIA_VIDEO : sound ? SENSES_MEDIA_SOUND : SENSES_MEDIA_NONE;
}

senses_status senses_media_kind(const char *path, senses_media_kind_t *out, senses_error *err)
{
    struct stat st;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENXIO || errno == ENODEV)) { /* a socket, a device without a driver */
        *out = SENSES_MEDIA_NONE;
        return SN_OK;
    }
    if (fd < 0) return sn_fail(err, SN_EIO, "%s: cannot open: %s", path, strerror(errno));
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    unsigned char *head = regular ? malloc(HEAD_BYTES) : NULL;
    ssize_t got = head != NULL ? 1 : 0;
    for (; got > 0 && n < HEAD_BYTES; n += (size_t)got) {
        got = pread(fd, head + n, HEAD_BYTES - n, (off_t)n);
        if (got <= 0) break;
    }
    int failed = got < 0 ? errno : 0;
    close(fd);
    if (failed) {
        free(head);
        return sn_fail(err, SN_EIO, "%s: cannot be read: %s", path, strerror(failed));
    }
    if (regular && head == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    *out = regular ? kind_of(path, head, n) : SENSES_MEDIA_NONE;
    free(head);
    return SN_OK;
}

senses_status senses_file_sha256(const char *path, char hex[65], senses_error *err)
{
    return sn_sha256_file(path, hex, err);
}

void senses_sha256(const void *data, size_t n, char hex[65])
{
    sn_sha256 s;
    sn_sha256_init(&s);
    sn_sha256_add(&s, data, n);
    sn_sha256_hex(&s, hex);
}
