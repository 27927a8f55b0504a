#include "batch_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"

/* ---- what is wanted ---- */

static bool matches(const char *pattern, const char *path)
{
    return fnmatch(pattern, strchr(pattern, '/') != NULL ? path : path_base(path), 0) == 0;
}

static bool is_excluded(const cli_options *o, const char *path)
{
    for (size_t i = 0; i < o->n_globs; i++)
        if (o->globs[i].exclude && matches(o->globs[i].pattern, path)) return true;
    return false;
}

static bool is_included(const cli_options *o, const char *path)
{
    bool any = false;
    for (size_t i = 0; i < o->n_globs; i++) {
        if (o->globs[i].exclude) continue;
        if (matches(o->globs[i].pattern, path)) return true;
        any = true;
    }
    return !any;
}

static bool is_of_shard(const batch_walk *w, const char *path)
{
    return w->n_shards <= 1 || batch_id_of(path, strlen(path)).a % w->n_shards == w->shard;
}

/* ---- folders ---- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool read_names(batch_folder *f)
{
    DIR *d = opendir(f->path);
    size_t room = 0;
    if (d == NULL) return false;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (e == NULL) break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (f->n == room) {
            room = room == 0 ? 64 : room * 2;
            f->names = must(realloc(f->names, room * sizeof *f->names));
        }
        f->names[f->n++] = must(strdup(e->d_name));
    }
    int failed = errno;
    closedir(d);
    if (f->n > 0) qsort(f->names, f->n, sizeof *f->names, by_bytes);
    errno = failed;
    return failed == 0;
}

static void free_folder(batch_folder *f)
{
    for (size_t i = f->at; i < f->n; i++) free(f->names[i]);
    free(f->names);
    free(f->path);
}

/* Goes into the folder at w->path. False: it cannot be read, and that is the next thing to report. */
static bool enter(batch_walk *w, const struct stat *st)
{
    const uint64_t place[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
    if (!batch_set_add(&w->entered, batch_id_of(place, sizeof place))) {
        w->n_again++;
        return true;
    }
    batch_folder f = {.path = must(strdup(w->path.data))};
    if (!read_names(&f)) {
        w->error = strerror(errno);
        free_folder(&f);
        return false;
    }
    if (w->depth == w->room) {
        w->room = w->room == 0 ? 16 : w->room * 2;
        w->stack = must(realloc(w->stack, w->room * sizeof *w->stack));
    }
    w->stack[w->depth++] = f;
    return true;
}

/* ---- one name after another ---- */

static void set_path(batch_walk *w, const char *folder, const char *name)
{
    w->path.n = 0;
    if (folder != NULL) {
        buffer_add(&w->path, folder, strlen(folder));
        if (w->path.n > 0 && w->path.data[w->path.n - 1] != '/') buffer_add(&w->path, "/", 1);
    }
    buffer_add(&w->path, name, strlen(name));
}

/* "photos/" is the folder "photos", wherever it is given: its files have one name. */
static void trim_path(batch_walk *w)
{
    while (w->path.n > 1 && w->path.data[w->path.n - 1] == '/') w->path.data[--w->path.n] = '\0';
}

static bool next_line(batch_walk *w)
{
    int end = w->o->null_names ? '\0' : '\n';
    for (;;) {
        errno = 0;
        ssize_t n = getdelim(&w->line, &w->line_room, end, w->list);
        if (n < 0) {
            w->list_failed = ferror(w->list) != 0;
            if (w->list_failed) diag_error("%s: cannot be read: %s", input_name(w->o->files_from), strerror(errno));
            return false;
        }
        if (n > 0 && w->line[n - 1] == end) w->line[n - 1] = '\0';
        if (w->line[0] == '\0') continue;
        set_path(w, NULL, w->line);
        return true;
    }
}

/* The next name to look at into w->path; *given: a person named it, and wants to know if it is not there. */
static bool next_name(batch_walk *w, bool *given)
{
    while (w->depth > 0) {
        batch_folder *f = &w->stack[w->depth - 1];
        if (f->at == f->n) {
            free_folder(f);
            w->depth--;
            continue;
        }
        char *name = f->names[f->at++];
        set_path(w, f->path, name);
        free(name);
        *given = false;
        return true;
    }
    *given = true;
    if (w->operand < w->o->n_operands) {
        set_path(w, NULL, w->o->operands[w->operand++]);
    } else if (w->list == NULL || !next_line(w)) {
        return false;
    }
    trim_path(w);
    return true;
}

static void tell_folder(const batch_walk *w)
{
    if (w->folder == NULL) return;
    const char *slash = strrchr(w->path.data, '/');
    char *folder = slash == NULL           ? must(strdup("."))
                   : slash == w->path.data ? must(strdup("/"))
                                           : text_format("%.*s", (int)(slash - w->path.data), w->path.data);
    w->folder(w->user, folder);
    free(folder);
}

bool batch_walk_next(batch_walk *w)
{
    bool given;
    while (next_name(w, &given)) {
        struct stat st;
        const char *path = w->path.data;
        w->error = NULL;
        bool excluded = is_excluded(w->o, path);
        if (excluded && !given) continue; /* a folder that a person names, say ".", is meant */
        if (stat(path, &st) != 0) {
            int why = errno;
            if (!given && (why == ENOENT || why == ELOOP)) { /* a link that leads nowhere, or a file that has gone meanwhile */
                w->n_special++;
                continue;
            }
            if (!is_of_shard(w, path)) continue;
            w->error = strerror(why);
            return true;
        }
        if (S_ISDIR(st.st_mode)) {
            if (enter(w, &st)) continue;
            if (!is_of_shard(w, path)) continue;
            return true;
        }
        if (excluded || !is_included(w->o, path) || !is_of_shard(w, path)) continue;
        if (!S_ISREG(st.st_mode)) {
            w->n_special++;
            continue;
        }
        tell_folder(w);
        return true;
    }
    return false;
}

bool batch_walk_once(const cli_options *o)
{
    struct stat st;
    if (o->files_from == NULL) return false;
    return strcmp(o->files_from, "-") == 0 || (stat(o->files_from, &st) == 0 && !S_ISREG(st.st_mode));
}

bool batch_walk_open(batch_walk *w, const cli_options *o, size_t shard, size_t n_shards)
{
    *w = (batch_walk){.o = o, .shard = shard, .n_shards = n_shards};
    if (o->files_from == NULL) return true;
    w->list = strcmp(o->files_from, "-") == 0 ? stdin : fopen(o->files_from, "rbe");
    if (w->list != NULL) return true;
    diag_error("%s: cannot be opened: %s", o->files_from, strerror(errno));
    return false;
}

void batch_walk_close(batch_walk *w)
{
    while (w->depth > 0) free_folder(&w->stack[--w->depth]);
    free(w->stack);
    if (w->list != NULL && w->list != stdin) fclose(w->list);
    free(w->line);
    free(w->path.data);
    batch_set_free(&w->entered);
}
