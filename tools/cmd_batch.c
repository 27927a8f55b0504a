/* senses batch: every media file below the paths, a record each, gone on with where it was left. */
#include "batch_join.h"
#include "batch_plan.h"
#include "batch_run.h"
#include "batch_sidecar.h"
#include "command.h"
#include "interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "I/N" with 1 <= I <= N. */
static bool parse_shard(const char *s, size_t *shard, size_t *n_shards)
{
    char *end = NULL;
    if (s[0] < '1' || s[0] > '9') return false;
    unsigned long i = strtoul(s, &end, 10);
    if (*end != '/' || end[1] < '1' || end[1] > '9') return false;
    unsigned long n = strtoul(end + 1, &end, 10);
    if (*end != '\0' || i > n || n > 1000000) return false;
    *shard = i - 1;
    *n_shards = n;
    return true;
}

static bool to_stdout(const cli_options *o)
{
    return o->output == NULL || strcmp(o->output, "-") == 0;
}

/* What the options say together. */
static int check(const cli_options *o, batch_run *b)
{
    bool asks = o->task != NULL && strcmp(o->task, "ask") == 0;
    b->n_shards = 1;
    if (o->n_operands == 0 && o->files_from == NULL) return diag_usage("batch", "batch: no file or folder was given");
    if (asks && o->prompt == NULL) return diag_usage("batch", "batch: --task ask needs a question: -p TEXT");
    if (o->shard != NULL && !parse_shard(o->shard, &b->shard, &b->n_shards))
        return diag_usage("batch", "batch: --shard: '%s' is not I/N with I from 1 to N", o->shard);
    if (o->null_names && o->files_from == NULL) return diag_usage("batch", "batch: -0 is for --files-from");
    if (o->csv != NULL && to_stdout(o)) return diag_usage("batch", "batch: --csv needs -o: the table is made of all its records");
    if (o->csv != NULL && strcmp(o->csv, o->output) == 0) return diag_usage("batch", "batch: -o and --csv are one file");
    if (o->overwrite && o->sidecar == NULL) return diag_usage("batch", "batch: --overwrite is for --sidecar");
    b->sidecars = o->sidecar != NULL ? batch_sidecar_formats(o->sidecar) : 0;
    if (o->sidecar != NULL && b->sidecars == 0)
        return diag_usage("batch", "batch: --sidecar: '%s' is no list of txt, json, srt and xmp", o->sidecar);
    return runtime_fit_fits(o, "batch") && runtime_grammar_once(o, "batch") ? EXIT_DONE : EXIT_USAGE;
}

/* ---- before the work: how many files there are, and whether what is wanted beside them can be written ---- */

typedef struct {
    batch_set seen;
    bool failed;
} folder_check;

static void check_folder(void *user, const char *path)
{
    folder_check *c = user;
    if (c->failed || !batch_set_add(&c->seen, batch_id_of(path, strlen(path)))) return;
    if (access(path, W_OK) == 0) return;
    diag_error("%s: nothing can be written beside the files in it: %s", path, strerror(errno));
    c->failed = true;
}

static bool count_files(batch_run *b)
{
    batch_walk w;
    folder_check c = {.failed = false};
    if (batch_walk_once(b->o)) return true;
    bool good = batch_walk_open(&w, b->o, b->shard, b->n_shards);
    w.folder = b->sidecars != 0 ? check_folder : NULL;
    w.user = &c;
    while (good && !c.failed && batch_walk_next(&w)) b->n_total++;
    good = good && !c.failed && !w.list_failed;
    batch_walk_close(&w);
    batch_set_free(&c.seen);
    return good;
}

static bool find_settings(batch_run *b)
{
    for (int k = 0; k < BATCH_KINDS; k++)
        if (!batch_settings(&b->rt, (senses_media_kind_t)k, b->settings[k])) return false;
    return true;
}

static int work(batch_run *b)
{
    const cli_options *o = b->o;
    int status = EXIT_FAILED;
    bool ready = count_files(b) && batch_open_models(&b->rt) && find_settings(b);
    if (ready && batch_journal_open(&b->journal, o, o->output, b->settings, BATCH_KINDS)) {
        if (b->journal.n_others > 0)
            diag_note(o, "%s: %zu of its %zu records were made with other models or options: they stay, and their files are done anew",
                      o->output, b->journal.n_others, b->journal.n_records);
        status = batch_run_files(b);
    }
    if (!batch_journal_close(&b->journal)) status = EXIT_FAILED;
    if (o->csv != NULL && (status == EXIT_DONE || status == EXIT_SOME_FAILED) && batch_write_csv(o, o->output, o->csv) != EXIT_DONE)
        status = EXIT_FAILED;
    return status;
}

static int run(const cli_options *o)
{
    batch_run b = {.o = o, .journal = {.fd = -1, .lock_fd = -1}};
    if (o->join != NULL) {
        if (o->n_operands == 0) return diag_usage("batch", "batch: --join: no file to join was given");
        return batch_join(o, o->join, o->operands, o->n_operands);
    }
    int status = check(o, &b);
    if (status != EXIT_DONE) return status;
    cli_options inner = *o;
    inner.quiet = !o->verbose; /* what a single command would say of each file is in the records */
    runtime_init(&b.rt, &inner);
    status = o->dry_run ? batch_plan(&b) : work(&b);
    runtime_close(&b.rt);
    return status;
}

const cli_command cmd_batch = {
    .name = "batch",
    .operands = "PATH...",
    .summary = "whole folders of pictures and recordings",
    .details =
        "Takes every picture, recording and video below the paths, told by content, and writes one line of JSON for each: what is seen in "
        "a "
        "picture, what is said in a recording or a video. A file that fails has its line with \"error\", and the others are done all the "
        "same.\n"
        "With -o nothing is lost and nothing done twice: stopped at any moment and however, the same command goes on where it was. Ctrl-C "
        "finishes the file at hand and stops; a second one stops at once. Only one run can write to an output at a time.\n"
        "Several machines share the work with --shard 1/4, --shard 2/4, ..., each with an output of its own; --join makes them one.\n"
        "The status is 0 when all is done, 3 when some files failed, 1 when the batch could not go on, and 130 when it was interrupted.",
    .examples = "senses batch -o results.jsonl photos/ recordings/\n"
                "senses batch -o menus.jsonl --task ask -p \"What is the cheapest dish?\" menus/\n"
                "senses batch -o cards.jsonl --csv cards.csv --fields \"name, phone?, mail?\" --task describe cards/\n"
                "senses batch -o all.jsonl --sidecar=txt,xmp --exclude '.*' --timeout 600 ~/Pictures\n"
                "find / -name '*.wav' -print0 | senses batch -o talks.jsonl --task transcribe --files-from - -0\n"
                "senses batch --join all.jsonl part-1.jsonl part-2.jsonl",
    .sets = SET_COMMON | SET_AUDIT | SET_CACHE | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER | SET_IMAGE |
            SET_PROMPT | SET_SAMPLING | SET_GRAMMAR | SET_BATCH,
    .min_operands = 0,
    .max_operands = SIZE_MAX,
    .operand_missing = "no file or folder was given",
    .run = run,
};
