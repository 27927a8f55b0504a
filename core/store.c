#include "store.h"

#include "mem.h"
#include "sha256.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_DIGITS 64
#define SUFFIX ".rows"
#define TEMP_PREFIX ".new-"
#define TEMP_MAX_AGE_S 3600 /* an older temporary has no writer any more */
#define ADDED ".added"      /* its length counts what was put since the last sweep: a byte for each ADDED_UNIT begun */
#define ADDED_UNIT 65536

typedef struct {
    char name[KEY_DIGITS + sizeof SUFFIX];
} entry_name;

/* What stands in front of an entry's values. Little-endian, as the values are. */
typedef struct {
    char magic[8];
    uint32_t version, head_bytes;
    uint64_t rows, cols;
    char key[KEY_DIGITS]; /* an entry that was given another name is not taken for that one */
    char sum[64];         /* SHA-256 of all before it and of the values */
} entry_head;
_Static_assert(sizeof(entry_head) == 160, "the head of an entry has no gaps");

struct sn_store {
    int dir;
    char *path; /* for messages */
    size_t max_bytes;
};

/* ---- the folder ---- */

/* Every folder of the path that is missing, private as the XDG specification wants it. */
static bool make_folders(const char *path)
{
    char *part = strdup(path);
    bool good = part != NULL;
    for (char *slash = good ? strchr(part + 1, '/') : NULL; slash != NULL && good; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        good = mkdir(part, 0700) == 0 || errno == EEXIST;
        *slash = '/';
    }
    good = good && (mkdir(part, 0700) == 0 || errno == EEXIST);
    const int why = errno;
    free(part);
    errno = why;
    return good;
}

sn_status sn_store_open(sn_store **out, const char *dir, size_t max_bytes, sn_err *err)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    sn_status status = SN_OK;
    struct stat st;
    if (dir[0] == '\0') return sn_fail(err, SN_EUSAGE, "a folder without a name");
    sn_store *s = calloc(1, sizeof *s);
    if (s == NULL || (s->path = strdup(dir)) == NULL) {
        free(s);
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    }
    s->max_bytes = max_bytes;
    s->dir = open(dir, flags);
    if (s->dir < 0 && errno == ENOENT && make_folders(dir)) s->dir = open(dir, flags);
    if (s->dir < 0 || fstat(s->dir, &st) != 0)
        status = sn_fail(err, SN_EIO, "%s: %m", dir);
    else if (st.st_uid != geteuid())
        status = sn_fail(err, SN_EUSAGE, "%s: belongs to another user", dir);
    else if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        status = sn_fail(err, SN_EUSAGE, "%s: other users may write to it", dir);
    if (status != SN_OK) {
        sn_store_close(s);
        return status;
    }
    *out = s;
    return SN_OK;
}

void sn_store_close(sn_store *s)
{
    if (s == NULL) return;
    if (s->dir >= 0) close(s->dir);
    free(s->path);
    free(s);
}

/* ---- entries ---- */

static entry_name name_of(const char *key)
{
    entry_name n;
    snprintf(n.name, sizeof n.name, "%.*s" SUFFIX, KEY_DIGITS, key);
    return n;
}

static bool is_entry_name(const char *name)
{
    return strspn(name, "0123456789abcdef") == KEY_DIGITS && strcmp(name + KEY_DIGITS, SUFFIX) == 0;
}

/* The one head that goes with these values under this key. */
static entry_head head_of(const char *key, size_t rows, size_t cols, const float *data, size_t n_bytes)
{
    entry_head h = {.magic = {'S', 'N', 'R', 'O', 'W', 'S', '\r', '\n'}, .version = 1, .head_bytes = sizeof h, .rows = rows, .cols = cols};
    sn_sha256 sum;
    char hex[65];
    memcpy(h.key, key, sizeof h.key);
    sn_sha256_init(&sum);
    sn_sha256_add(&sum, &h, offsetof(entry_head, sum));
    sn_sha256_add(&sum, data, n_bytes);
    sn_sha256_hex(&sum, hex);
    memcpy(h.sum, hex, sizeof h.sum);
    return h;
}

static bool value_bytes(size_t rows, size_t cols, size_t *n)
{
    return sn_mul_ok(rows, cols, n) && sn_mul_ok(*n, sizeof(float), n) && *n <= PTRDIFF_MAX - sizeof(entry_head);
}

static bool read_all(int fd, void *to, size_t n)
{
    for (char *p = to; n > 0;) {
        const ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t n)
{
    for (const char *p = from; n > 0;) {
        const ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

/* A regular file of this user and of this size: no size is ever taken from a file. */
static bool is_ours(int fd, size_t n_bytes)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_size >= 0 && (uint64_t)st.st_size == n_bytes;
}

bool sn_store_get(sn_store *s, const char *key, size_t rows, size_t cols, float *out)
{
    const entry_name n = name_of(key);
    size_t n_bytes;
    entry_head have;
    if (!value_bytes(rows, cols, &n_bytes)) return false;
    const int fd = openat(s->dir, n.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno != ELOOP) return false;
    bool good = fd >= 0 && is_ours(fd, sizeof have + n_bytes) && read_all(fd, &have, sizeof have) && read_all(fd, out, n_bytes);
    if (good) {
        const entry_head want = head_of(key, rows, cols, out, n_bytes);
        good = memcmp(&have, &want, sizeof want) == 0;
    }
    if (good) (void)futimens(fd, NULL); /* used now, for the sweep; where it cannot be noted, it only goes sooner */
    if (fd >= 0) close(fd);
    if (!good) (void)unlinkat(s->dir, n.name, 0);
    return good;
}

/* ---- keeping within the size ---- */

typedef struct {
    struct timespec used;
    size_t bytes;
    entry_name n;
} kept;

static int by_age(const void *a, const void *b)
{
    const kept *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->n.name, y->n.name);
}

/* All entries and their bytes on disk; temporaries whose writer was killed are removed on the way. Other files are not ours. */
static kept *list_entries(const sn_store *s, size_t *n, size_t *total)
{
    kept *list = NULL;
    size_t cap = 0;
    const time_t now = time(NULL);
    const int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL && fd >= 0) close(fd);
    *n = *total = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        struct stat st;
        const bool is_temp = strncmp(e->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0;
        if ((!is_temp && !is_entry_name(e->d_name)) || fstatat(s->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (is_temp && st.st_mtim.tv_sec < now - TEMP_MAX_AGE_S) (void)unlinkat(s->dir, e->d_name, 0);
        if (is_temp) continue;
        if (sn_grow((void **)&list, &cap, *n + 1, sizeof *list, NULL) != SN_OK) break;
        kept *k = &list[(*n)++];
        *k = (kept){.used = st.st_mtim, .bytes = ((size_t)st.st_size + 4095) / 4096 * 4096, .n = name_of(e->d_name)};
        *total += k->bytes;
    }
    if (d != NULL) closedir(d);
    return list;
}

/* Removes what was used least lately until at most `target` bytes are left. */
static void sweep(const sn_store *s, size_t target)
{
    size_t n, total;
    kept *list = list_entries(s, &n, &total);
    if (total > target) qsort(list, n, sizeof *list, by_age);
    for (size_t i = 0; i < n && total > target; i++) {
        (void)unlinkat(s->dir, list[i].n.name, 0);
        total -= list[i].bytes;
    }
    sn_free(list);
}

/* Before `need` bytes are put. Looking through the folder takes time, so it is done only when a sixteenth of the limit has come in
 * since the last time, by whatever process: each appends to the length of one file, which needs no lock. A sweep leaves an eighth of the
 * limit free, so that what comes in until the next one is within it. */
static void make_room(const sn_store *s, size_t need)
{
    static const char units[512];
    const int fd = openat(s->dir, ADDED, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    bool counted = fd >= 0;
    struct stat st;
    for (size_t left = need / ADDED_UNIT + 1; left > 0 && counted;) {
        const size_t n = left < sizeof units ? left : sizeof units;
        counted = write_all(fd, units, n);
        left -= n;
    }
    const bool due = !counted || fstat(fd, &st) != 0 || (uint64_t)st.st_size > s->max_bytes / 16 / ADDED_UNIT;
    if (due && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)) { /* locked: another process is at it */
        sweep(s, s->max_bytes - s->max_bytes / 8 - need);
        if (fd >= 0) (void)!ftruncate(fd, 0); /* where that fails, the next one sweeps again */
    }
    if (fd >= 0) close(fd);
}

static sn_status write_entry(const sn_store *s, const char *temp, const entry_head *h, const float *data, size_t n_bytes, sn_err *err)
{
    const int fd = openat(s->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return sn_fail(err, SN_EIO, "%s: %m", s->path);
    const bool written = write_all(fd, h, sizeof *h) && write_all(fd, data, n_bytes);
    const int why = errno;
    /* Not synced: what a power cut makes of it, its sum finds out. */
    if (close(fd) == 0 && written) return SN_OK;
    errno = written ? errno : why;
    return sn_fail(err, SN_EIO, "%s: %m", s->path);
}

sn_status sn_store_put(sn_store *s, const char *key, size_t rows, size_t cols, const float *data, sn_err *err)
{
    const entry_name n = name_of(key);
    char temp[64];
    uint64_t id;
    size_t n_bytes;
    struct rlimit most;
    if (!value_bytes(rows, cols, &n_bytes) || n_bytes + sizeof(entry_head) > s->max_bytes / 2)
        return sn_fail(err, SN_ELIMIT, "%s: larger than half of all that may be kept", s->path);
    const size_t total = n_bytes + sizeof(entry_head);
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY && most.rlim_cur < total) /* writing would be a signal */
        return sn_fail(err, SN_ELIMIT, "%s: larger than a file may become here", s->path);
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id) return sn_fail(err, SN_EIO, "%s: %m", s->path);
    snprintf(temp, sizeof temp, TEMP_PREFIX "%016" PRIx64, id);
    make_room(s, total);
    const entry_head h = head_of(key, rows, cols, data, n_bytes);
    sn_status status = write_entry(s, temp, &h, data, n_bytes, err);
    if (status == SN_OK && renameat(s->dir, temp, s->dir, n.name) != 0) status = sn_fail(err, SN_EIO, "%s: %m", s->path);
    if (status != SN_OK) (void)unlinkat(s->dir, temp, 0);
    return status;
}
