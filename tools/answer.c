#include "answer.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "interrupt.h"
#include "progress.h"

typedef struct {
    cli_answer *answer;
    cli_runtime *rt;
    bool stream, trim;
} listener;

static bool on_text(void *user, const char *utf8, size_t n)
{
    listener *l = user;
    while (l->trim && n > 0 && strchr(" \t\r\n", utf8[0]) != NULL) {
        utf8++;
        n--;
    }
    if (n == 0) return runtime_go_on(l->rt);
    l->trim = false;
    buffer_add(&l->answer->text, utf8, n);
    if (!l->stream) return runtime_go_on(l->rt);
    l->answer->line_open = utf8[n - 1] != '\n';
    return out_text(utf8, n) && fflush(stdout) == 0 && runtime_go_on(l->rt);
}

/* Room for the answer: what -n says. When nothing was said and a long prompt leaves less, a shorter answer will do. */
static senses_status take_prompt(const cli_options *o, senses_session *s, const char *prompt, const cli_media *media, senses_error *err)
{
    enum { LEAST_TOKENS = 32 };
    size_t room = o->n_predict == CLI_UNSET ? ANSWER_TOKENS : o->n_predict;
    senses_status status = senses_session_prompt(s, prompt, media->list, media->n, room, err);
    if (status == SN_ELIMIT && o->n_predict == CLI_UNSET)
        status = senses_session_prompt(s, prompt, media->list, media->n, LEAST_TOKENS, err);
    return status;
}

/* Ends the line that a streamed answer left open. */
static void end_line(cli_answer *a)
{
    if (a->line_open) out_text("\n", 1);
    a->line_open = false;
    fflush(stdout);
}

static void explain_notes(const cli_options *o, const senses_session *s)
{
    const char *notes = senses_session_notes(s);
    for (const char *end; notes != NULL && *notes != '\0'; notes = *end == '\n' ? end + 1 : end) {
        end = notes + strcspn(notes, "\n");
        if (end > notes) diag_explain(o, "%.*s", (int)(end - notes), notes);
    }
}

static int get(cli_answer *a, cli_runtime *rt, senses_session *s, const char *prompt, const cli_media *media, bool stream)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    listener l = {.answer = a, .rt = rt, .stream = stream, .trim = !o->session.raw && rt->grammar == NULL};
    size_t before = senses_session_n_past(s), proposed, accepted;
    senses_session_drafted(s, &proposed, &accepted);
    double start_s = clock_s();
    buffer_add(&a->text, "", 0);
    if (take_prompt(o, s, prompt, media, &err) != SN_OK) return runtime_say(rt, &err);
    double prompt_s = clock_s() - start_s;
    size_t n_prompt = senses_session_n_past(s) - before;
    explain_notes(o, s);
    if (*senses_session_framed_by(s) != '\0') diag_explain(o, "framed by %s", senses_session_framed_by(s));
    const char *notes = senses_session_notes(s);
    buffer_add(&a->notes, notes, strlen(notes));

    double answer_start_s = clock_s();
    size_t n_predict = o->n_predict == CLI_UNSET ? ANSWER_TOKENS : o->n_predict;
    senses_status status = senses_session_answer(s, n_predict, on_text, &l, &a->ids, &a->n_ids, &err);
    double answer_s = clock_s() - answer_start_s;
    a->seconds = prompt_s + answer_s;
    a->stopped = interrupt_seen();
    end_line(a);
    if (status != SN_OK && status != SN_ECANCELLED) return runtime_say(rt, &err);
    diag_explain(o, "prompt: %zu tokens in %.2f s (%.1f tokens/s); answer: %zu tokens in %.2f s (%.1f tokens/s)", n_prompt, prompt_s,
                 prompt_s > 0 ? (double)n_prompt / prompt_s : 0, a->n_ids, answer_s, answer_s > 0 ? (double)a->n_ids / answer_s : 0);
    senses_session_drafted(s, &a->n_proposed, &a->n_accepted);
    a->n_proposed -= proposed;
    a->n_accepted -= accepted;
    diag_explain(o, "context: %.1f MiB (%s)", (double)senses_session_bytes(s) / (1 << 20), o->kv_type != NULL ? o->kv_type : "f16");
    if (o->draft != NULL) diag_explain(o, "draft: %zu of %zu tokens accepted", a->n_accepted, a->n_proposed);
    return EXIT_DONE;
}

int answer_get(cli_answer *a, cli_runtime *rt, senses_session *s, const char *prompt, const cli_media *media, bool stream)
{
    char *marked = media_prompt(media, prompt);
    int status = marked != NULL ? get(a, rt, s, marked, media, stream) : EXIT_FAILED;
    free(marked);
    return status;
}

void answer_free(cli_answer *a)
{
    free(a->text.data);
    free(a->notes.data);
    free(a->ids);
    *a = (cli_answer){.ids = NULL};
}

void answer_add_media(cJSON *object, const cli_answer *a)
{
    if (a->notes.n == 0) return;
    cJSON *media = json_add_array(object, "media");
    size_t n;
    for (size_t at = 0; at < a->notes.n; at += n + 1) {
        const char *line = a->notes.data + at;
        const char *end = memchr(line, '\n', a->notes.n - at);
        n = end != NULL ? (size_t)(end - line) : a->notes.n - at;
        char *one = must(strndup(line, n));
        json_append_string(media, one);
        free(one);
    }
}

void answer_add_draft(cJSON *object, const cli_options *o, const cli_answer *a)
{
    if (o->draft == NULL) return;
    json_add_number(object, "draft_proposed", (double)a->n_proposed);
    json_add_number(object, "draft_accepted", (double)a->n_accepted);
}

cJSON *answer_json(const char *file, const char *type, const char *task, const char *model)
{
    cJSON *j = json_object();
    json_add_string(j, "file", file);
    json_add_string(j, "type", type);
    json_add_string(j, "task", task);
    json_add_string(j, "model", model != NULL ? path_base(model) : NULL);
    return j;
}
