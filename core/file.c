#include "file.h"

#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

sn_status sn_map_open(sn_map *m, const char *path, sn_err *err)
{
    sn_status status = SN_OK;
    struct stat st;
    void *data = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* non-blocking: a FIFO without a writer must not hang us */
    if (fd < 0) return sn_fail(err, SN_EIO, "%s: cannot open: %m", path);
    if (fstat(fd, &st) != 0) {
        status = sn_fail(err, SN_EIO, "%s: cannot stat: %m", path);
        goto done;
    }
    if (S_ISDIR(st.st_mode)) {
        status = sn_fail(err, SN_EIO, "%s: is a directory", path);
        goto done;
    }
    if (!S_ISREG(st.st_mode)) {
        status = sn_fail(err, SN_EIO, "%s: is not a regular file (it must be one to be mapped)", path);
        goto done;
    }
    if (st.st_size <= 0) {
        status = sn_fail(err, SN_EFORMAT, "%s: is empty", path);
        goto done;
    }
    if ((uintmax_t)st.st_size <= (uintmax_t)PTRDIFF_MAX) data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        status = sn_fail(err, SN_EIO, "%s: cannot map %" PRIdMAX " bytes: %m", path, (intmax_t)st.st_size);
        goto done;
    }
    *m = (sn_map){.data = data, .size = (size_t)st.st_size};
    sn_keep_from_forks(data, m->size, true);
done:
    close(fd);
    return status;
}

void sn_map_close(sn_map *m)
{
    if (m->data != NULL) munmap((void *)(uintptr_t)m->data, m->size); /* the cast drops const: munmap takes void * */
    *m = (sn_map){0};
}

void sn_map_forget(const sn_map *m, const void *p, size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), at = (size_t)((const unsigned char *)p - m->data);
    const size_t first = (at + page - 1) / page * page, last = (at + n) / page * page; /* whole pages inside; the map starts at one */
    if (first < last) madvise((void *)(uintptr_t)(m->data + first), last - first, MADV_DONTNEED);
}

/* A file without a name; -1 and errno. */
static int nameless(bool on_disk)
{
    FILE *t = on_disk ? tmpfile() : NULL;
    const int fd = t ? fcntl(fileno(t), F_DUPFD_CLOEXEC, 3) : memfd_create("senses", MFD_CLOEXEC);

    if (t) fclose(t);
    return fd;
}

static bool write_whole(int fd, const char *data, size_t n)
{
    while (n > 0) {
        const ssize_t put = write(fd, data, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        data += put;
        n -= (size_t)put;
    }
    return true;
}

static sn_status copy_stream(int to, int from, uint64_t most, sn_err *err)
{
    char block[65536];
    uint64_t n = 0;
    struct rlimit files;

    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < most) most = files.rlim_cur; /* writing more would be a signal */
    for (;;) {
        const ssize_t got = read(from, block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return sn_fail(err, SN_EIO, "cannot be read: %s", strerror(errno));
        if (got == 0) return SN_OK;
        if ((n += (uint64_t)got) > most) return sn_fail(err, SN_ELIMIT, "more than %" PRIu64 " bytes from a pipe", most);
        if (!write_whole(to, block, (size_t)got))
            return sn_fail(err, SN_EIO, "%" PRIu64 " bytes of a pipe cannot be held: %s", n, strerror(errno));
    }
}

sn_status sn_spool(int *out, int from, uint64_t most, bool on_disk, sn_err *err)
{
    const int fd = nameless(on_disk);
    sn_status st;

    if (fd < 0) return sn_fail(err, SN_EIO, "no file to hold a pipe: %s", strerror(errno));
    st = copy_stream(fd, from, most, err);
    if (st != SN_OK)
        close(fd);
    else
        *out = fd;
    return st;
}

/* ---- what a file looks like ---- */

typedef struct {
    size_t offset, n;
    const char *magic, *kind;
} signature;

static const signature signatures[] = {
    {0, 4, "GGUF", "a GGUF file"},
    {0, 4, "lmgg", "a whisper.cpp ggml model (.bin)"},
    {0, 4, "tjgg", "an old ggml model (GGJT, before GGUF)"},
    {0, 4, "fmgg", "an old ggml model (GGMF, before GGUF)"},
    {0, 4, "algg", "a ggml adapter of the time before GGUF"},
    {0, 19, "version https://git", "a git-lfs pointer, not the file itself (run: git lfs pull)"},
    {0, 4, "PK\3\4", "a zip archive"},
    {0, 3, "\x1f\x8b\x08", "a gzip archive"},
    {0, 4, "\x28\xb5\x2f\xfd", "a zstd archive"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "an xz archive"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7-Zip archive"},
    {0, 3, "BZh", "a bzip2 archive"},
    {257, 5, "ustar", "a tar archive"},
    {0, 8, "\x89PNG\r\n\x1a\n", "a PNG picture"},
    {0, 3, "\xff\xd8\xff", "a JPEG picture"},
    {0, 4, "GIF8", "a GIF picture"},
    {8, 4, "WEBP", "a WebP picture"},
    {0, 4, "II*\0", "a TIFF picture"},
    {0, 4, "MM\0*", "a TIFF picture"},
    {8, 4, "WAVE", "a WAV sound"},
    {8, 4, "AVI ", "an AVI video"},
    {0, 4, "fLaC", "a FLAC sound"},
    {0, 4, "OggS", "an Ogg file"},
    {0, 3, "ID3", "an MP3 sound"},
    {4, 7, "ftypavi", "an AVIF picture"},
    {4, 7, "ftyphei", "a HEIF picture"},
    {4, 4, "ftyp", "an MP4 file"},
    {0, 4, "\x1a\x45\xdf\xa3", "a Matroska or WebM file"},
    {0, 4, "%PDF", "a PDF document"},
    {0, 6, "\x93NUMPY", "a NumPy array"},
    {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
    {0, 4,
     "\x7f"
     "ELF",
     "a program"},
    {0, 2, "\x80\x02", "a Python pickle"},
};

static bool starts_with_word(const unsigned char *p, size_t n, const char *word)
{
    size_t len = strlen(word);
    return n >= len && strncasecmp((const char *)p, word, len) == 0;
}

/* Printable UTF-8 or at least no control bytes: what a person would call text. */
static bool looks_like_text(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((p[i] < 0x20 && strchr("\t\n\r\f\033", p[i]) == NULL) || p[i] == 0 || p[i] == 0x7f || p[i] >= 0xf8) return false;
    return n > 0;
}

const char *sn_guess_kind(const void *head, size_t n)
{
    const unsigned char *p = head;
    if (n > 4096) n = 4096;
    if (n == 0) return NULL;
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const signature *s = &signatures[i];
        if (s->offset + s->n <= n && memcmp(p + s->offset, s->magic, s->n) == 0) return s->kind;
    }
    /* safetensors: a 64-bit little-endian length, then JSON; no JSON header comes near 2^32 bytes */
    if (n >= 10 && p[8] == '{' && p[4] == 0 && p[5] == 0 && p[6] == 0 && p[7] == 0) return "a safetensors file";
    size_t skip = n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (skip < n && (p[skip] == ' ' || p[skip] == '\t' || p[skip] == '\r' || p[skip] == '\n')) skip++;
    if (starts_with_word(p + skip, n - skip, "<!doctype html") || starts_with_word(p + skip, n - skip, "<html")) return "an HTML page";
    if (!looks_like_text(p, n)) return NULL;
    if (skip < n && p[skip] == '{') return "a JSON text";
    return "a text file";
}

/* ---- writing ---- */

/* Where `path` leads to: through a link to its target, so that the link stays one. Malloc'ed; NULL when memory is out. */
static char *real_target(const char *path)
{
    char *target = realpath(path, NULL);
    return target != NULL ? target : strdup(path);
}

/* "DIR/.senses-<16 hex digits>.tmp" for a file of that directory, whatever its own name's length. */
static char *temp_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t dir = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    uint64_t id;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id) return NULL;
    char *temp = malloc(dir + 64);
    if (temp == NULL) return NULL;
    memcpy(temp, path, dir);
    snprintf(temp + dir, 64, ".senses-%016" PRIx64 ".tmp", id);
    return temp;
}

static void out_release(sn_out *o)
{
    free(o->name);
    free(o->path);
    free(o->temp);
    *o = (sn_out){0};
}

sn_status sn_out_open(sn_out *o, const char *path, sn_err *err)
{
    sn_out out = {0};
    sn_status status = SN_OK;
    struct stat st;
    int fd = -1;
    if (strcmp(path, "-") == 0) {
        *o = (sn_out){.stream = stdout};
        return SN_OK;
    }
    out.name = strdup(path);
    out.path = real_target(path);
    if (out.name == NULL || out.path == NULL) {
        status = sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
        goto done;
    }
    bool exists = stat(out.path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode)) {
        status = sn_fail(err, SN_EIO, "%s: is a directory", path);
        goto done;
    }
    if (exists && !S_ISREG(st.st_mode)) { /* a device or a FIFO is written to, never replaced */
        fd = open(out.path, O_WRONLY | O_CLOEXEC);
    } else {
        out.temp = temp_name(out.path);
        if (out.temp != NULL) fd = open(out.temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        status = sn_fail(err, SN_EIO, "%s: cannot create: %m", path);
        goto done;
    }
    out.stream = fdopen(fd, "wb");
    if (out.stream == NULL) {
        status = sn_fail(err, SN_ENOMEM, "%s: cannot create: %m", path);
        close(fd);
        if (out.temp != NULL) unlink(out.temp);
        goto done;
    }
    *o = out;
done:
    if (status != SN_OK) out_release(&out);
    return status;
}

/* The rename itself survives a power cut only when the directory is synced; where that cannot be done, the file still stands. */
static void sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    if (dir == NULL) return;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

sn_status sn_out_commit(sn_out *o, sn_err *err)
{
    const char *name = o->name != NULL ? o->name : "standard output";
    sn_status status = SN_OK;
    bool earlier = ferror(o->stream) != 0; /* a write failed before: its errno is gone */
    if (fflush(o->stream) != 0 || (o->temp != NULL && !earlier && fsync(fileno(o->stream)) != 0))
        status = sn_fail(err, SN_EIO, "%s: cannot write: %m", name);
    else if (earlier)
        status = sn_fail(err, SN_EIO, "%s: cannot write: some of it was lost (is the disk full?)", name);
    if (o->path != NULL && fclose(o->stream) != 0 && status == SN_OK) status = sn_fail(err, SN_EIO, "%s: cannot write: %m", name);
    if (o->temp != NULL && status == SN_OK && rename(o->temp, o->path) != 0)
        status = sn_fail(err, SN_EIO, "%s: cannot move the finished file into place: %m", name);
    if (o->temp != NULL && status != SN_OK) unlink(o->temp);
    if (o->temp != NULL && status == SN_OK) sync_directory(o->path);
    out_release(o);
    return status;
}

void sn_out_discard(sn_out *o)
{
    if (o->stream != NULL && o->path != NULL) fclose(o->stream);
    if (o->temp != NULL) unlink(o->temp);
    out_release(o);
}
