/* senses transcribe: speech to text, while it is heard. */
#include "answer.h"
#include "command.h"
#include "output.h"
#include "progress.h"
#include "transcript.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

/* One recording on its way to one output. */
typedef struct {
    const cli_options *o;
    cli_runtime *rt;
    const char *path;
    transcript t;
    cli_progress progress;
    cli_outfile file; /* file.f NULL: standard output */
    bool failed;      /* the output cannot be written */
} listening;

/* ---- where the text goes ---- */

static const char *extension(const char *path)
{
    const char *base = path_base(path), *dot = strrchr(base, '.');
    return dot != NULL && dot != base ? dot : base + strlen(base);
}

static const transcript_format *choose_format(const cli_options *o)
{
    const transcript_format *by_name = NULL;
    if (o->json) return transcript_find("json");
    if (o->format != NULL) return transcript_find(o->format);
    if (o->output != NULL && extension(o->output)[0] == '.') by_name = transcript_find(extension(o->output) + 1);
    return by_name != NULL ? by_name : transcript_find("txt");
}

static bool to_stdout(const cli_options *o)
{
    return o->output == NULL || strcmp(o->output, "-") == 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* -o of one recording: the file itself, or FOLDER/NAME.FORMAT. malloc'ed. */
static char *output_path(const cli_options *o, const char *input, const char *format)
{
    if (!is_folder(o->output)) return must(strdup(o->output));
    const char *base = strcmp(input, "-") == 0 ? "stdin" : path_base(input);
    return text_format("%s/%.*s.%s", o->output, (int)(strlen(base) - strlen(extension(base))), base, format);
}

/* Nothing is overwritten that is read, and no two recordings go into one file: said before anything is computed. */
static int check_outputs(const cli_options *o, const char *format)
{
    int status = EXIT_DONE;
    if (to_stdout(o)) return EXIT_DONE;
    if (o->n_operands > 1 && !is_folder(o->output))
        return diag_usage("transcribe", "transcribe: with several recordings -o must be a folder that exists; '%s' is none", o->output);
    for (size_t i = 0; i < o->n_operands && status == EXIT_DONE; i++) {
        char *mine = output_path(o, o->operands[i], format);
        struct stat in, out;
        bool same = stat(o->operands[i], &in) == 0 && stat(mine, &out) == 0 && S_ISREG(out.st_mode) && in.st_dev == out.st_dev &&
                    in.st_ino == out.st_ino;
        if (same) status = diag_usage("transcribe", "transcribe: -o would overwrite the recording '%s'", o->operands[i]);
        for (size_t k = 0; k < i && status == EXIT_DONE; k++) {
            char *other = output_path(o, o->operands[k], format);
            if (strcmp(mine, other) == 0)
                status = diag_usage("transcribe", "transcribe: '%s' and '%s' would both be written to '%s'", o->operands[k], o->operands[i],
                                    mine);
            free(other);
        }
        free(mine);
    }
    return status;
}

static void drain(listening *l)
{
    if (l->file.f != NULL) {
        fwrite(l->t.out.data, 1, l->t.out.n, l->file.f);
        if (ferror(l->file.f)) l->failed = true;
    } else if (l->t.out.n > 0) {
        progress_clear(&l->progress);
        if (!out_text(l->t.out.data, l->t.out.n) || fflush(stdout) != 0) l->failed = true;
    }
    l->t.out.n = 0;
}

static void on_segment(void *user, const senses_segment *s)
{
    listening *l = user;
    transcript_segment(&l->t, s);
    drain(l);
}

static void on_partial(void *user, const char *how_much)
{
    listening *l = user;
    progress_clear(&l->progress);
    runtime_note_partial(l->rt, l->path, how_much);
}

static bool on_progress(void *user, double done_s, double total_s)
{
    listening *l = user;
    progress_update(&l->progress, done_s, total_s);
    return !l->failed;
}

/* ---- one recording ---- */

static cJSON *result(listening *l, const cli_runtime *rt, const char *path, const char *language, double length_s)
{
    cJSON *j = answer_json(path, "audio", "transcribe", rt->whisper_path);
    json_add_string(j, "language", language != NULL ? language : "");
    json_add_decimal(j, "duration", length_s, 3);
    json_add_text(j, "text", l->t.text.data, l->t.text.n);
    cJSON_AddItemToObject(j, "segments", cJSON_DetachItemFromObjectCaseSensitive(l->t.json, "segments"));
    if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
    return j;
}

static void put_json(listening *l, cJSON *j)
{
    char *line = must(cJSON_PrintUnformatted(j));
    cJSON_Delete(j);
    buffer_add(&l->t.out, line, strlen(line));
    buffer_add(&l->t.out, "\n", 1);
    cJSON_free(line);
    drain(l);
}

static int listen(listening *l, cli_runtime *rt, const char *path)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    const char *language = NULL;
    double length_s = 0, start_s = clock_s();
    const senses_transcribe_params p = {.language = o->language,
                                        .translate = o->translate,
                                        .temperature = o->first_temperature,
                                        .seed = o->session.seed,
                                        .no_sandbox = o->no_sandbox,
                                        .accept_truncated = o->accept_truncated};
    const senses_transcribe_callbacks cb = {.segment = on_segment, .progress = on_progress, .user = l, .partial = on_partial};
    rt->partial = false;
    progress_start(&l->progress, o, input_name(path));
    drain(l);
    senses_status status = senses_transcribe(rt->whisper, path, &p, &cb, &language, &length_s, &err);
    double spent_s = clock_s() - start_s;
    progress_clear(&l->progress);
    if (l->failed) return EXIT_FAILED; /* the output says itself why */
    cJSON *j = NULL;
    if (l->t.json != NULL && status == SN_OK) j = result(l, rt, path, language, length_s);
    if (l->t.json != NULL && status != SN_OK && l->file.f == NULL) {
        j = answer_json(path, "audio", "transcribe", rt->whisper_path);
        json_add_string(j, "error", err.msg);
    }
    if (j != NULL) {
        json_add_decimal(j, "seconds", spent_s, 3);
        put_json(l, j);
    }
    if (status != SN_OK) return runtime_say(rt, &err);
    diag_explain(o, "%s: %.1f s of sound (%s), %zu segments, in %.2f s: %.1f times as fast as it plays", input_name(path), length_s,
                 language != NULL ? language : "?", l->t.n_cues, spent_s, spent_s > 0 ? length_s / spent_s : 0);
    return EXIT_DONE;
}

static int transcribe(cli_runtime *rt, const char *path, const transcript_format *format)
{
    const cli_options *o = rt->o;
    listening l = {.o = o, .rt = rt, .path = path};
    char *to = to_stdout(o) ? NULL : output_path(o, path, format->name);
    int status = EXIT_FAILED;
    if (to == NULL && o->n_operands > 1 && strcmp(format->name, "json") != 0) out_line("==> %s <==", input_name(path));
    if (to == NULL || outfile_open(&l.file, to)) {
        transcript_begin(&l.t, format);
        status = listen(&l, rt, path);
        if (l.file.f != NULL && (status == EXIT_DONE || l.failed) && !outfile_commit(&l.file)) status = EXIT_FAILED;
        outfile_abandon(&l.file);
        if (status == EXIT_DONE && to != NULL) diag_note(o, "%s: written", to);
        transcript_free(&l.t);
    }
    free(to);
    return status;
}

/* ---- the command ---- */

static int run(const cli_options *o)
{
    cli_runtime rt;
    if (o->json && o->format != NULL && strcmp(o->format, "json") != 0)
        return diag_usage("transcribe", "transcribe: --json and --format %s exclude one another", o->format);
    const transcript_format *format = choose_format(o);
    bool headed = strcmp(format->name, "txt") == 0, lines = strcmp(format->name, "json") == 0;
    if (o->n_operands > 1 && to_stdout(o) && !headed && !lines)
        return diag_usage("transcribe", "transcribe: several recordings as %s need a folder to be written to: -o FOLDER", format->name);
    if (!runtime_stdin_once(o, "transcribe")) return EXIT_USAGE;
    int status = check_outputs(o, format->name);
    if (status != EXIT_DONE) return status;
    runtime_init(&rt, o);
    if (!runtime_whisper(&rt) || !runtime_language(&rt)) {
        status = EXIT_FAILED;
    } else {
        for (size_t i = 0; i < o->n_operands && !ferror(stdout); i++) {
            if (i > 0 && headed && to_stdout(o)) out_text("\n", 1);
            if (transcribe(&rt, o->operands[i], format) != EXIT_DONE) status = EXIT_FAILED;
        }
    }
    runtime_close(&rt);
    return status;
}

const cli_command cmd_transcribe = {
    .name = "transcribe",
    .operands = "AUDIO...",
    .summary = "write down what is said in recordings",
    .details = "Writes speech as text while it is heard; recordings of any length, also the sound of a video. Several recordings are each "
               "headed by "
               "their file name. With -o the text goes to a file, which appears when it is complete; when -o is a folder, each recording "
               "gets a file of its own in it.\n"
               "The default model, whisper-tiny.en, is small and hears English; --whisper base hears many languages.",
    .examples = "senses transcribe talk.mp3\n"
                "senses transcribe -f srt -o film.srt film.mp4\n"
                "senses transcribe --whisper base -l de --translate interview.ogg\n"
                "senses transcribe --json *.wav > talks.jsonl",
    .sets = SET_COMMON | SET_JSON | SET_ENGINE | SET_PRECISION | SET_WHISPER | SET_OUTPUT | SET_TRANSCRIBE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no recording was given",
    .run = run,
};
