#include "batch_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch_record.h"
#include "progress.h"

#define SYNC_EVERY_S 2.0

/* ---- the lock: a file beside the output that says who holds it. The system lets it go when that process ends, however. ---- */

static void say_locked(const batch_journal *j)
{
    char holder[256] = "";
    ssize_t n = pread(j->lock_fd, holder, sizeof holder - 1, 0);
    if (n > 0) holder[strcspn(holder, "\n")] = '\0';
    diag_error("%s: another run is writing to it%s%s", j->name, holder[0] != '\0' ? ": " : "", holder);
}

static void name_holder(const batch_journal *j)
{
    char host[256] = "?";
    gethostname(host, sizeof host - 1);
    char *line = text_format("process %ld on %s\n", (long)getpid(), host);
    /* only for a message: the lock is held also where this cannot be written, say on a full disk */
    if (ftruncate(j->lock_fd, 0) == 0 && pwrite(j->lock_fd, line, strlen(line), 0) < 0) errno = 0;
    free(line);
}

static bool take_lock(batch_journal *j, const cli_options *o)
{
    for (;;) {
        struct stat here, there;
        j->lock_fd = open(j->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (j->lock_fd < 0) {
            diag_error("%s: cannot be written: %s", j->lock_path, strerror(errno));
            return false;
        }
        if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) { /* a file system without locks */
                diag_note(o, "%s: cannot be locked (%s): see to it that no second run writes to it", j->name, strerror(errno));
                return true;
            }
            say_locked(j);
            return false;
        }
        if (fstat(j->lock_fd, &here) == 0 && stat(j->lock_path, &there) == 0 && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev) {
            name_holder(j);
            return j->locked = true;
        }
        close(j->lock_fd); /* its holder took it away while we waited to be let in */
    }
}

/* ---- what is there already ---- */

/* What a kill or the loss of power leaves: the beginning of a line, or zeros that were never written over. */
static bool is_torn(const char *line, size_t n, off_t at)
{
    return batch_record_begins(line, n) || (at > 0 && line[0] == '\0');
}

static bool cut_off(batch_journal *j, const cli_options *o, size_t n_line, off_t at)
{
    if (ftruncate(j->fd, at) != 0) {
        diag_error("%s: its torn end cannot be cut off: %s", j->name, strerror(errno));
        return false;
    }
    diag_note(o, "%s: line %zu was torn, and is cut off: that file is done again", j->name, n_line);
    j->unsynced = true;
    return true;
}

static void remember(batch_journal *j, const cli_options *o, const batch_record_facts *facts, char (*settings)[17], size_t n_settings)
{
    bool ours = strcmp(facts->settings, BATCH_NO_SETTINGS) == 0;
    j->n_records++;
    for (size_t i = 0; i < n_settings; i++) ours = ours || strcmp(facts->settings, settings[i]) == 0;
    if (!ours) j->n_others++;
    if (!facts->failed)
        batch_set_add(&j->done, facts->id);
    else if (!o->retry_failed)
        batch_set_add(&j->failed, facts->id);
}

static bool read_records(batch_journal *j, const cli_options *o, char (*settings)[17], size_t n_settings)
{
    int copy = dup(j->fd);
    FILE *f = copy < 0 ? NULL : fdopen(copy, "rb");
    char *line = NULL;
    size_t room = 0, n_line = 0;
    ssize_t n;
    bool good = f != NULL;
    errno = 0;
    while (good && (n = getline(&line, &room, f)) > 0) {
        batch_record_facts facts;
        bool whole = line[n - 1] == '\n';
        n_line++;
        if (whole && batch_record_read(line, (size_t)n - 1, &facts, NULL)) {
            remember(j, o, &facts, settings, n_settings);
            j->end += n;
            continue;
        }
        bool torn = (!whole || memchr(line, '\0', (size_t)n) != NULL) && is_torn(line, (size_t)n, j->end);
        if (!torn) diag_error("%s: line %zu is no record of a batch; the file is left as it is", j->name, n_line);
        good = torn && cut_off(j, o, n_line, j->end);
        break;
    }
    if (good && ferror(f)) {
        diag_error("%s: cannot be read: %s", j->name, strerror(errno));
        good = false;
    }
    free(line);
    if (f != NULL) fclose(f);
    return good;
}

/* The name of a new file is kept by its folder. */
static void sync_folder(const char *path)
{
    char *copy = must(strdup(path));
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && fsync(fd) != 0) errno = 0; /* some file systems cannot: the records are synced all the same */
    if (fd >= 0) close(fd);
    free(copy);
}

static bool open_file(batch_journal *j)
{
    struct stat st;
    j->fd = open(j->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (j->fd < 0) {
        diag_error("%s: cannot be written: %s", j->name, strerror(errno));
        return false;
    }
    if (fstat(j->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        if (st.st_size == 0) sync_folder(j->path);
        return true;
    }
    diag_error("%s: is no regular file, and a batch goes on where it was left; for a pipe leave -o out", j->name);
    return false;
}

bool batch_journal_open(batch_journal *j, const cli_options *o, const char *path, char (*settings)[17], size_t n_settings)
{
    *j = (batch_journal){.name = path, .fd = -1, .lock_fd = -1, .synced_s = clock_s()};
    if (path == NULL || strcmp(path, "-") == 0) return true;
    char *real = realpath(path, NULL); /* two names of one file have one lock */
    j->path = real != NULL ? real : must(strdup(path));
    j->lock_path = text_format("%s.lock", j->path);
    struct stat st;
    if (stat(j->path, &st) == 0 && !S_ISREG(st.st_mode)) { /* before a lock file is made beside a device */
        diag_error("%s: is no regular file, and a batch goes on where it was left; for a pipe leave -o out", j->name);
        return false;
    }
    return take_lock(j, o) && open_file(j) && read_records(j, o, settings, n_settings);
}

/* ---- writing ---- */

static bool sync_now(batch_journal *j)
{
    j->synced_s = clock_s();
    if (!j->unsynced) return true;
    j->unsynced = false;
    if (fdatasync(j->fd) == 0 || errno == EINVAL || errno == EROFS) return true;
    diag_error("%s: the disk did not keep it: %s", j->name, strerror(errno));
    return false;
}

bool batch_journal_keep(batch_journal *j)
{
    return !j->unsynced || clock_s() - j->synced_s < SYNC_EVERY_S || sync_now(j);
}

/* One write; what a full disk took of it is taken back. */
static bool append(batch_journal *j, const char *line, size_t n)
{
    ssize_t wrote = write(j->fd, line, n);
    if (wrote >= 0 && (size_t)wrote == n) {
        j->end += (off_t)n;
        j->unsynced = true;
        return true;
    }
    int why = wrote < 0 ? errno : 0;
    if (wrote > 0) { /* the rest is asked for, to learn the reason */
        ssize_t rest = write(j->fd, line + wrote, n - (size_t)wrote);
        if (rest >= 0 && (size_t)(wrote + rest) == n) {
            j->end += (off_t)n;
            return j->unsynced = true;
        }
        if (rest < 0) why = errno;
        if (ftruncate(j->fd, j->end) != 0) why = errno;
    }
    diag_error("%s: cannot be written on: %s; the records in it are whole: run it again when there is room", j->name,
               why != 0 ? strerror(why) : "only a part of a record was taken");
    return false;
}

bool batch_journal_add(batch_journal *j, cJSON *record, batch_id id)
{
    batch_set_add(cJSON_HasObjectItem(record, "error") ? &j->failed : &j->done, id);
    if (j->path == NULL) return out_json(record);
    char *json = must(cJSON_PrintUnformatted(record));
    char *line = text_format("%s\n", json);
    bool good = append(j, line, strlen(line));
    free(line);
    cJSON_free(json);
    cJSON_Delete(record);
    return good && batch_journal_keep(j);
}

bool batch_journal_close(batch_journal *j)
{
    bool good = j->fd < 0 || sync_now(j);
    if (j->fd >= 0) close(j->fd);
    if (j->locked) unlink(j->lock_path); /* still locked: nobody else was let in */
    if (j->lock_fd >= 0) close(j->lock_fd);
    free(j->path);
    free(j->lock_path);
    batch_set_free(&j->done);
    batch_set_free(&j->failed);
    *j = (batch_journal){.fd = -1, .lock_fd = -1};
    return good;
}
