#include "batch_run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
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
    char *name = text_escape(path_base(b->walk.path.data));
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

/* While a file is worked on, which may take hours. */
static void tick(void *user)
{
    batch_run *b = user;
    show_progress(b);
    if (!batch_journal_keep(&b->journal)) b->stopped = true;
}

/* ---- one file ---- */

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

/* Appends what became of a file. problem NULL: it is done. */
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

static void do_file(batch_run *b, const char *path, senses_media_kind_t kind)
{
    senses_error err = {0};
    struct stat before = {0}, after = {0};
    char sha256[65];
    if (stat(path, &before) != 0 || senses_file_sha256(path, sha256, &err) != SN_OK) {
        put_unreadable(b, path, err.msg[0] != '\0' ? err.msg : "it has gone");
        return;
    }
    batch_id id = batch_record_id(path, sha256, b->settings[kind]);
    if (is_done_before(b, id)) return;
    diag_explain(b->o, "%s: %s", path, batch_task(b->o, kind));
    batch_result r = {.model = NULL};
    double start_s = clock_s();
    bool good = batch_do(&r, &b->rt, kind, path), goes_on = true;
    char *problem = good ? NULL : must(strdup(b->rt.last.msg));
    if (good && (stat(path, &after) != 0 || !is_unchanged(&before, &after))) {
        problem = text_format("%s: changed while it was read", path);
        diag_error("%s", problem);
    }
    double spent_s = clock_s() - start_s;
    cJSON *j = batch_record(path, sha256, batch_type(kind), batch_task(b->o, kind), r.model);
    if (r.looked) audit_add(j, &b->rt);
    if (problem == NULL) {
        add_result(j, &r, &b->rt);
        goes_on = put_sidecars(b, path, &r, j, &problem);
    }
    if (goes_on) {
        put_record(b, j, id, b->settings[kind], spent_s, problem);
        b->n_kind[kind]++;
        b->kind_s[kind] += spent_s;
    } else {
        cJSON_Delete(j);
        b->stopped = true;
    }
    free(problem);
    batch_result_free(&r);
}

static void look_at(batch_run *b)
{
    const batch_walk *w = &b->walk;
    senses_error err = {0};
    senses_media_kind_t kind = SENSES_MEDIA_NONE;
    const char *path = w->path.data;
    if (w->error != NULL) {
        char *problem = text_format("%s: %s", path, w->error);
        put_unreadable(b, path, problem);
        free(problem);
    } else if (senses_media_kind(path, &kind, &err) != SN_OK) {
        put_unreadable(b, path, err.msg);
    } else if (batch_task(b->o, kind) == NULL) {
        diag_explain(b->o, "%s: skipped: %s", path, kind == SENSES_MEDIA_NONE ? "no picture, sound or video" : "not for this task");
        b->n_skipped++;
    } else {
        do_file(b, path, kind);
    }
}

int batch_run_files(batch_run *b)
{
    batch_walk *w = &b->walk;
    b->start_s = b->drawn_s = clock_s();
    bool opened = batch_walk_open(w, b->o, b->shard, b->n_shards);
    b->rt.tick = tick;
    b->rt.tick_user = b;
    interrupt_finish(true);
    while (opened && !b->stopped && interrupt_status() == 0 && batch_walk_next(w)) {
        tick(b);
        if (!b->stopped) look_at(b);
    }
    clear_progress();
    b->n_skipped += w->n_special + w->n_again;
    bool failed = !opened || b->stopped || w->list_failed, interrupted = interrupt_status() != 0;
    batch_walk_close(w);
    summarise(b);
    if (failed) return EXIT_FAILED;
    if (interrupted) return EXIT_INTERRUPTED;
    return b->n_failed + b->n_failed_before > 0 ? EXIT_SOME_FAILED : EXIT_DONE;
}
