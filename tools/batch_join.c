#include "batch_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "batch_record.h"
#include "command.h"

typedef struct {
    batch_set good, written; /* good: there is a record of it without an error */
    size_t n_records, n_failed;
    FILE *out;
    cJSON *fields; /* of a table: the keys of the records' data; NULL: lines of JSON are written */
} joining;

typedef void (*line_fn)(joining *j, const char *line, size_t n, const batch_record_facts *facts, const cJSON *record);

static void note_good(joining *j, const char *line, size_t n, const batch_record_facts *facts, const cJSON *record)
{
    (void)line, (void)n;
    if (j->fields != NULL) batch_csv_add_fields(j->fields, record);
    if (!facts->failed) batch_set_add(&j->good, facts->id);
}

static void put_once(joining *j, const char *line, size_t n, const batch_record_facts *facts, const cJSON *record)
{
    if (facts->failed && batch_set_has(&j->good, facts->id)) return;
    if (!batch_set_add(&j->written, facts->id)) return;
    j->n_records++;
    j->n_failed += facts->failed;
    if (j->fields != NULL)
        batch_csv_row(j->out, record, j->fields);
    else
        fwrite(line, 1, n, j->out);
}

/* fn for every line of a file of records. False: said; also for a torn last line, whose record would be lost. */
static bool each_record(joining *j, const char *path, line_fn fn)
{
    FILE *f = fopen(path, "rbe");
    char *line = NULL;
    size_t room = 0, n_line = 0;
    ssize_t n;
    bool good = f != NULL;
    if (f == NULL) diag_error("%s: cannot be opened: %s", path, strerror(errno));
    errno = 0;
    while (good && (n = getline(&line, &room, f)) > 0) {
        batch_record_facts facts;
        cJSON *record = NULL;
        n_line++;
        good = line[n - 1] == '\n' && batch_record_read(line, (size_t)n - 1, &facts, &record);
        if (good)
            fn(j, line, (size_t)n, &facts, record);
        else if (line[n - 1] != '\n' && batch_record_begins(line, (size_t)n))
            diag_error("%s: its last line is torn: run that batch again first, it goes on where it stopped", path);
        else
            diag_error("%s: line %zu is no record of a batch", path, n_line);
        cJSON_Delete(record);
    }
    if (good && ferror(f)) {
        diag_error("%s: cannot be read: %s", path, errno != 0 ? strerror(errno) : "an error");
        good = false;
    }
    free(line);
    if (f != NULL) fclose(f);
    return good;
}

static bool is_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static int write_joined(joining *j, const char *path, char *const *parts, size_t n)
{
    cli_outfile out = {.path = NULL};
    bool good = true;
    for (size_t i = 0; good && i < n; i++) good = each_record(j, parts[i], note_good);
    good = good && outfile_open(&out, path);
    j->out = out.f;
    if (good && j->fields != NULL) batch_csv_head(out.f, j->fields);
    for (size_t i = 0; good && i < n; i++) good = each_record(j, parts[i], put_once);
    if (good) good = outfile_commit(&out);
    outfile_abandon(&out);
    batch_set_free(&j->good);
    batch_set_free(&j->written);
    return good ? EXIT_DONE : EXIT_FAILED;
}

int batch_join(const cli_options *o, const char *path, char *const *parts, size_t n)
{
    joining j = {.fields = NULL};
    for (size_t i = 0; i < n; i++)
        if (is_same_file(path, parts[i])) return diag_usage("batch", "batch: --join would overwrite '%s', which it is to read", parts[i]);
    int status = write_joined(&j, path, parts, n);
    if (status == EXIT_DONE) diag_note(o, "%s: %zu records of %zu files, %zu of them failed", path, j.n_records, n, j.n_failed);
    return status;
}

int batch_write_csv(const cli_options *o, const char *from, const char *to)
{
    joining j = {.fields = json_object()};
    char *part = must(strdup(from));
    int status = write_joined(&j, to, &part, 1);
    free(part);
    cJSON_Delete(j.fields);
    if (status == EXIT_DONE) diag_explain(o, "%s: %zu records as a table", to, j.n_records);
    return status;
}
