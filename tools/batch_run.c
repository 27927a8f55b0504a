#include "batch_run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch_record.h"
#include "batch_sidecar.h"
#include "command.h"
#include "interrupt.h"
#include "progress.h"

/* ---- how far it is ---- */

static void format_time(char *buf, size_t n, double s)
{
    long whole = (long)s;
    snprintf(buf, n, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
}

/* A bar on a terminal, else a line a minute. */
static void show_progress(batch_run *b)
{
    enum { WIDTH = 24 };
    const char *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
    double now_s = clock_s(), spent_s = now_s - b->start_s;
    size_t n = b->n_done + b->n_failed + b->n_skipped + b->n_before;
    if (b->o->quiet || now_s - b->drawn_s < (terminal ? 0.1 : 60)) return;
    b->drawn_s = now_s;
    double a_minute = spent_s > 0 ? (double)(b->n_done + b->n_failed) / spent_s * 60 : 0;
    char left[80] = "", of[40] = "", bar[WIDTH + 4] = "";
    if (b->n_total > 0) {
        size_t rest = b->n_total > n ? b->n_total - n : 0;
        char time[64];
        format_time(time, sizeof time, n > 0 ? spent_s / (double)n * (double)rest : 0);
        snprintf(left, sizeof left, ", %s left", n > 0 ? time : "?");
        snprintf(of, sizeof of, " of %zu", b->n_total);
        for (size_t i = 0; i < WIDTH; i++) bar[i + 1] = n < b->n_total && i >= WIDTH * n / b->n_total ? '.' : '#';
        bar[0] = '[', bar[WIDTH + 1] = ']', bar[WIDTH + 2] = ' ';
    }
    char failed[40] = "";
    if (b->n_failed > 0) snprintf(failed, sizeof failed, ", %zu failed", b->n_failed);
    if (!terminal) {
        diag_note(b->o, "%zu%s files, %.1f a minute%s%s", n, of, a_minute, left, failed);
        return;
    }
    char *name = text_escape(b->latest != NULL ? path_base(b->latest) : "");
    interrupt_guard_line(true);
    fprintf(stderr, "\r\033[K%s%zu%s, %.1f a minute%s%s  %.20s", bar, n, of, a_minute, left, failed, name);
    fflush(stderr);
    free(name);
}

static void clear_progress(void)
{
    if (!interrupt_line_open()) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    interrupt_guard_line(false);
}

static void summarise(const batch_run *b)
{
    static const char *const names[BATCH_KINDS] = {NULL, "pictures", "sounds", "videos"};
    cli_buffer line = {0};
    char *head = text_format("%zu done, %zu failed, %zu skipped", b->n_done, b->n_failed, b->n_skipped);
    buffer_add(&line, head, strlen(head));
    free(head);
    if (b->n_before > 0) {
        char *part = b->n_failed_before > 0 ? text_format(", %zu before (%zu of them failed)", b->n_before, b->n_failed_before)
                                            : text_format(", %zu before", b->n_before);
        buffer_add(&line, part, strlen(part));
        free(part);
    }
    for (int k = 0; k < BATCH_KINDS; k++) {
        char time[64];
        if (b->n_kind[k] == 0 || names[k] == NULL) continue;
        format_time(time, sizeof time, b->kind_s[k]);
        char *part = text_format("; %s: %zu in %s", names[k], b->n_kind[k], time);
        buffer_add(&line, part, strlen(part));
        free(part);
    }
    diag_note(b->o, "%s", line.data);
    free(line.data);
}

/* ---- one file ---- */

/* One of those who work: o->parallel of them, each on a file of its own. */
typedef struct {
    batch_run *b;
    cli_runtime rt; /* the models of b->rt, with what belongs to the file at hand */
    pthread_t thread;
} batch_hand;

/* While a file is worked on, which may take hours. Who finds the run busy has nothing to wait for. */
static void tick(void *user)
{
    batch_run *b = user;
    if (pthread_mutex_trylock(&b->lock) != 0) return;
    show_progress(b);
    if (!batch_journal_keep(&b->journal)) b->stopped = true;
    pthread_mutex_unlock(&b->lock);
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ino == b->st_ino;
}

static void add_result(cJSON *j, batch_result *r, const cli_runtime *rt)
{
    json_add_text(j, "text", r->text.data, r->text.n);
    cJSON *data = rt->grammar != NULL && r->segments == NULL && r->timeline == NULL ? cJSON_ParseWithLength(r->text.data, r->text.n) : NULL;
    if (data != NULL) cJSON_AddItemToObject(j, "data", data);
    if (r->duration_s >= 0) {
        json_add_string(j, "language", r->language != NULL ? r->language : "");
        json_add_decimal(j, "duration", r->duration_s, 3);
    } else if (r->timeline == NULL) {
        json_add_number(j, "tokens", (double)r->n_tokens);
    }
    if (r->segments != NULL) cJSON_AddItemReferenceToObject(j, "segments", r->segments);
    if (r->timeline != NULL) cJSON_AddItemReferenceToObject(j, "timeline", r->timeline);
    if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
}

/* Appends what became of a file. problem NULL: it is done. The lock is held, as in all that follows with a batch_run. */
static void put_record(batch_run *b, cJSON *j, batch_id id, const char *settings, double spent_s, const char *problem)
{
    json_add_decimal(j, "seconds", spent_s, 3);
    if (problem != NULL) json_add_string(j, "error", problem);
    json_add_string(j, "settings", settings);
    if (problem == NULL)
        b->n_done++;
    else
        b->n_failed++;
    if (!batch_journal_add(&b->journal, j, id)) b->stopped = true;
}

/* A file or folder that cannot even be looked at. */
static void put_unreadable(batch_run *b, const char *path, const char *problem)
{
    batch_id id = batch_record_id(path, NULL, BATCH_NO_SETTINGS);
    if (batch_set_has(&b->journal.failed, id)) {
        b->n_before++;
        b->n_failed_before++;
        return;
    }
    diag_error("%s", problem);
    put_record(b, batch_record(path, NULL, NULL, NULL, NULL), id, BATCH_NO_SETTINGS, 0, problem);
}

static bool is_done_before(batch_run *b, batch_id id)
{
    bool done = batch_set_has(&b->journal.done, id), failed = batch_set_has(&b->journal.failed, id);
    if (!done && !failed) return false;
    b->n_before++;
    b->n_failed_before += !done;
    return true;
}

/* Writes what is wanted beside the file. False: no record may say that it is done, for the run ends. */
static bool put_sidecars(batch_run *b, const char *path, const batch_result *r, const cJSON *record, char **problem)
{
    if (b->sidecars == 0) return true;
    sidecar_status status = batch_sidecar_write(b->o, b->sidecars, path, r, record, problem);
    if (status == SIDECAR_DONE) return true;
    diag_error("%s%s", *problem, status == SIDECAR_FULL ? "; run it again when there is room" : "");
    return status != SIDECAR_FULL;
}

/* What was done, into the output and beside the file. r is as batch_do left it. */
static void put_result(batch_hand *h, const char *path, senses_media_kind_t kind, const char *sha256, batch_result *r, double spent_s,
                       char **problem)
{
    batch_run *b = h->b;
    batch_id id = batch_record_id(path, sha256, b->settings[kind]);
    bool goes_on = true;
    cJSON *j = batch_record(path, sha256, batch_type(kind), batch_task(b->o, kind), r->model);
    if (*problem == NULL) {
        add_result(j, r, &h->rt);
        goes_on = put_sidecars(b, path, r, j, problem);
    }
    if (goes_on) {
        put_record(b, j, id, b->settings[kind], spent_s, *problem);
        b->n_kind[kind]++;
        b->kind_s[kind] += spent_s;
    } else {
        cJSON_Delete(j);
        b->stopped = true;
    }
}

static void do_file(batch_hand *h, const char *path, senses_media_kind_t kind, const struct stat *before, const char *sha256)
{
    batch_run *b = h->b;
    struct stat after = {0};
    batch_result r = {.model = NULL};
    double start_s = clock_s();
    diag_explain(b->o, "%s: %s", path, batch_task(b->o, kind));
    bool good = batch_do(&r, &h->rt, kind, path);
    char *problem = good ? NULL : must(strdup(h->rt.last.msg));
    if (good && (stat(path, &after) != 0 || !is_unchanged(before, &after))) {
        problem = text_format("%s: changed while it was read", path);
        diag_error("%s", problem);
    }
    double spent_s = clock_s() - start_s;
    pthread_mutex_lock(&b->lock);
    put_result(h, path, kind, sha256, &r, spent_s, &problem);
    pthread_mutex_unlock(&b->lock);
    free(problem);
    batch_result_free(&r);
}

/* What is to be done with a file; error: what the walk has against it, or NULL. */
static void look_at(batch_hand *h, const char *path, const char *error)
{
    batch_run *b = h->b;
    senses_error err = {0};
    senses_media_kind_t kind = SENSES_MEDIA_NONE;
    struct stat before = {0};
    char sha256[65], *problem = NULL;
    bool skipped = false, done = false;
    if (error != NULL)
        problem = text_format("%s: %s", path, error);
    else if (senses_media_kind(path, &kind, &err) != SN_OK)
        problem = must(strdup(err.msg));
    else if (batch_task(b->o, kind) == NULL)
        skipped = true;
    else if (stat(path, &before) != 0)
        problem = text_format("%s: it has gone", path);
    else if (senses_file_sha256(path, sha256, &err) != SN_OK)
        problem = must(strdup(err.msg));

    pthread_mutex_lock(&b->lock);
    if (problem != NULL)
        put_unreadable(b, path, problem);
    else if (skipped)
        b->n_skipped++;
    else
        done = is_done_before(b, batch_record_id(path, sha256, b->settings[kind]));
    pthread_mutex_unlock(&b->lock);
    if (skipped)
        diag_explain(b->o, "%s: skipped: %s", path, kind == SENSES_MEDIA_NONE ? "no picture, sound or video" : "not for this task");
    if (problem == NULL && !skipped && !done) do_file(h, path, kind, &before, sha256);
    free(problem);
}

/* The next file, malloc'ed, and what is known against it, likewise; NULL: there is none, or the run ends. */
static char *take_file(batch_run *b, char **error)
{
    char *path = NULL;
    *error = NULL;
    tick(b);
    pthread_mutex_lock(&b->lock);
    if (!b->stopped && interrupt_status() == 0 && batch_walk_next(&b->walk)) {
        path = must(strdup(b->walk.path.data));
        if (b->walk.error != NULL) *error = must(strdup(b->walk.error));
        free(b->latest);
        b->latest = must(strdup(path));
    }
    pthread_mutex_unlock(&b->lock);
    return path;
}

static void *work(void *hand)
{
    batch_hand *h = hand;
    char *error;
    for (char *path; (path = take_file(h->b, &error)) != NULL;) {
        look_at(h, path, error);
        free(path);
        free(error);
    }
    return NULL;
}

/* ---- all files ---- */

/* Each hand has the models in common, and a reader of its own. */
static void hand_init(batch_hand *h, batch_run *b)
{
    *h = (batch_hand){.b = b, .rt = b->rt};
    h->rt.reader = NULL;
    h->rt.tick = tick;
    h->rt.tick_user = b;
}

static void work_all(batch_run *b)
{
    batch_hand *hands = must(calloc(b->o->parallel, sizeof *hands));
    size_t n = 0;
    for (size_t i = 0; i < b->o->parallel; i++) hand_init(&hands[i], b);
    while (n + 1 < b->o->parallel && pthread_create(&hands[n].thread, NULL, work, &hands[n]) == 0) n++; /* fewer will do */
    work(&hands[n]);
    for (size_t i = 0; i < n; i++) pthread_join(hands[i].thread, NULL);
    for (size_t i = 0; i <= n; i++) senses_reader_close(hands[i].rt.reader);
    free(hands);
}

int batch_run_files(batch_run *b)
{
    batch_walk *w = &b->walk;
    b->start_s = b->drawn_s = clock_s();
    pthread_mutex_init(&b->lock, NULL);
    interrupt_finish(true);
    bool opened = batch_walk_open(w, b->o, b->shard, b->n_shards);
    if (opened) work_all(b);
    clear_progress();
    b->n_skipped += w->n_special + w->n_again;
    bool failed = !opened || b->stopped || w->list_failed, interrupted = interrupt_status() != 0;
    batch_walk_close(w);
    pthread_mutex_destroy(&b->lock);
    free(b->latest);
    summarise(b);
    if (failed) return EXIT_FAILED;
    if (interrupted) return EXIT_INTERRUPTED;
    return b->n_failed + b->n_failed_before > 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}
