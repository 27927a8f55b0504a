#include "batch_task.h"

#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "command.h"
#include "describe.h"
#include "progress.h"
#include "transcript.h"
#include "video.h"

const char *batch_type(senses_media_kind_t kind)
{
    static const char *const types[BATCH_KINDS] = {NULL, "image", "audio", "video"};
    return types[kind];
}

const char *batch_task(const cli_options *o, senses_media_kind_t kind)
{
    bool seen = kind == SENSES_MEDIA_IMAGE, heard = kind == SENSES_MEDIA_SOUND || kind == SENSES_MEDIA_VIDEO;
    bool any = o->task == NULL || strcmp(o->task, "auto") == 0;
    if (!seen && !heard) return NULL;
    if (!any && strcmp(o->task, "ask") == 0) return "ask";
    if (kind == SENSES_MEDIA_VIDEO && any) return "timeline";
    if (seen && (any || strcmp(o->task, "describe") == 0)) return "describe";
    if (heard && (any || strcmp(o->task, "transcribe") == 0)) return "transcribe";
    return NULL;
}

/* Whether the task looks at pictures. */
static bool looks(const char *task, senses_media_kind_t kind)
{
    return kind == SENSES_MEDIA_IMAGE || strcmp(task, "timeline") == 0;
}

static bool is_asking(const cli_options *o)
{
    return o->task != NULL && strcmp(o->task, "ask") == 0;
}

/* ---- models ---- */

static bool open_to_ask(cli_runtime *rt)
{
    if (!runtime_pair(rt)) return false;
    return (runtime_encoder(rt, SENSES_IMAGE) != NULL || runtime_reader(rt) != NULL) &&
           (runtime_encoder(rt, SENSES_AUDIO) != NULL || (runtime_whisper(rt) && runtime_language(rt)));
}

bool batch_open_models(cli_runtime *rt)
{
    if (!runtime_grammar(rt)) return false;
    if (is_asking(rt->o)) return open_to_ask(rt);
    if (batch_task(rt->o, SENSES_MEDIA_IMAGE) != NULL && !describe_open(rt, "a batch of pictures")) return false;
    return batch_task(rt->o, SENSES_MEDIA_SOUND) == NULL || (runtime_whisper(rt) && runtime_language(rt));
}

static bool add_model(cli_buffer *b, const char *path)
{
    senses_error err = {0};
    char hex[65];
    if (senses_file_sha256(path, hex, &err) != SN_OK) {
        diag_error("%s", err.msg);
        return false;
    }
    char *line = text_format("model %s\n", hex);
    buffer_add(b, line, strlen(line));
    free(line);
    return true;
}

static bool add_reader(cli_buffer *b, const cli_runtime *rt)
{
    return add_model(b, senses_encoder_path(rt->page_encoder)) && add_model(b, senses_text_path(rt->page_text));
}

/* A text model with what was put onto it, and all that its answers depend on. */
static bool add_asked(cli_buffer *b, const cli_runtime *rt)
{
    const cli_options *o = rt->o;
    const senses_session_params *s = &o->session;
    bool good = add_model(b, senses_text_path(rt->text));
    for (size_t i = 0; good && i < rt->n_encoders; i++) good = add_model(b, senses_encoder_path(rt->encoders[i]));
    for (size_t i = 0; good && i < o->n_lora; i++) {
        char *scale = text_format("scale %g\n", (double)o->lora[i].scale);
        good = add_model(b, o->lora[i].path);
        buffer_add(b, scale, strlen(scale));
        free(scale);
    }
    char *line = text_format("prompt %s\nsystem %s\ntemplate %s\nfit %s\npredict %zu context %zu %s precision %s\n"
                             "temp %g top-k %zu top-p %g min-p %g repeat %g seed %llu\n",
                             o->prompt != NULL ? o->prompt : "", s->system != NULL ? s->system : "\1",
                             s->chat_template != NULL ? s->chat_template : "", o->image_fit != NULL ? o->image_fit : "",
                             o->n_predict == CLI_UNSET ? (size_t)ANSWER_TOKENS : o->n_predict, s->n_ctx,
                             o->kv_type != NULL ? o->kv_type : "f16", o->precision != NULL ? o->precision : "int8", (double)s->temperature,
                             s->top_k, (double)s->top_p, (double)s->min_p, (double)s->repeat_penalty, (unsigned long long)s->seed);
    buffer_add(b, line, strlen(line));
    free(line);
    if (rt->grammar != NULL) buffer_add(b, rt->grammar, strlen(rt->grammar));
    return good;
}

static bool add_heard(cli_buffer *b, const cli_runtime *rt)
{
    const cli_options *o = rt->o;
    char *line = text_format("language %s translate %d temp %g seed %llu\n", o->language != NULL ? o->language : "auto", o->translate,
                             (double)o->first_temperature, (unsigned long long)o->session.seed);
    buffer_add(b, line, strlen(line));
    free(line);
    return add_model(b, rt->whisper_path);
}

bool batch_settings(const cli_runtime *rt, senses_media_kind_t kind, char settings[17])
{
    const char *task = batch_task(rt->o, kind);
    cli_buffer b = {0};
    char hex[65];
    bool good = true, sight = kind == SENSES_MEDIA_IMAGE;
    settings[0] = '\0';
    if (task == NULL) return true;
    buffer_add(&b, task, strlen(task));
    buffer_add(&b, "\n", 1);
    if (rt->o->audit && looks(task, kind)) buffer_add(&b, "audit\n", 6);
    if (rt->o->accept_truncated) buffer_add(&b, "truncated\n", 10); /* a part is not done for who wants the whole */
    bool timeline = strcmp(task, "timeline") == 0;
    if (timeline) {
        char *frames = text_format("frames %zu\n", rt->o->max_frames);
        buffer_add(&b, frames, strlen(frames));
        free(frames);
        good = add_heard(&b, rt);
    }
    if (strcmp(task, "transcribe") == 0) {
        good = add_heard(&b, rt);
    } else if (good &&
               (timeline ? runtime_encoder(rt, SENSES_IMAGE) == NULL : strcmp(task, "describe") == 0 && describe_reader_is_enough(rt->o))) {
        good = add_reader(&b, rt);
    } else if (good && timeline) {
        good = add_asked(&b, rt);
    } else if (good) {
        good = add_asked(&b, rt);
        if (good && sight && runtime_encoder(rt, SENSES_IMAGE) == NULL) good = add_reader(&b, rt);
        if (good && !sight && runtime_encoder(rt, SENSES_AUDIO) == NULL) good = add_heard(&b, rt);
    }
    senses_sha256(b.data, b.n, hex);
    memcpy(settings, hex, 16);
    settings[16] = '\0';
    free(b.data);
    return good;
}

/* ---- one file ---- */

/* Takes over what was answered. */
static void take_answer(batch_result *r, cli_answer *a)
{
    size_t n = a->text.n;
    while (n > 0 && strchr(" \t\r\n", a->text.data[n - 1]) != NULL) n--;
    buffer_add(&r->text, a->text.data != NULL ? a->text.data : "", n);
    r->n_tokens = a->n_ids;
    answer_free(a);
}

static bool describe(batch_result *r, cli_runtime *rt, const char *path)
{
    description d = {.model = NULL};
    int status = describe_picture(&d, rt, path, false);
    take_answer(r, &d.answer);
    r->model = d.model;
    return status == EXIT_DONE;
}

static bool ask(batch_result *r, cli_runtime *rt, senses_media_kind_t kind, const char *path)
{
    const cli_medium medium = {kind == SENSES_MEDIA_IMAGE ? MEDIUM_IMAGE : MEDIUM_AUDIO, path};
    cli_media media = {.list = NULL};
    cli_answer a = {.ids = NULL};
    senses_session *s = NULL;
    int status = EXIT_FAILED;
    r->model = senses_text_path(rt->text);
    if (media_add(&media, rt, &medium)) s = runtime_session(rt);
    if (s != NULL) status = answer_get(&a, rt, s, rt->o->prompt, &media, false);
    take_answer(r, &a);
    senses_session_close(s);
    media_free(&media);
    return status == EXIT_DONE;
}

typedef struct {
    cli_runtime *rt;
    const char *path;
    transcript json, srt;
} hearing;

static void on_partial(void *user, const char *how_much)
{
    hearing *h = user;
    runtime_note_partial(h->rt, h->path, how_much);
}

static void on_segment(void *user, const senses_segment *s)
{
    hearing *h = user;
    transcript_segment(&h->json, s);
    transcript_segment(&h->srt, s);
}

static bool on_progress(void *user, double done_s, double total_s)
{
    hearing *h = user;
    return runtime_go_on_hearing(h->rt, done_s, total_s);
}

static bool transcribe(batch_result *r, cli_runtime *rt, const char *path)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    hearing h = {.rt = rt, .path = path};
    const senses_transcribe_params p = {.language = o->language,
                                        .translate = o->translate,
                                        .temperature = o->first_temperature,
                                        .seed = o->session.seed,
                                        .no_sandbox = o->no_sandbox,
                                        .timeout_s = (double)o->timeout,
                                        .accept_truncated = o->accept_truncated};
    const senses_transcribe_callbacks cb = {.segment = on_segment, .progress = on_progress, .user = &h, .partial = on_partial};
    transcript_begin(&h.json, transcript_find("json"));
    transcript_begin(&h.srt, transcript_find("srt"));
    r->model = rt->whisper_path;
    double length_s = -1; /* what is too long by its own word is not heard at all */
    if (o->max_duration > 0 && senses_sound_length(path, &length_s, NULL) == SN_OK) runtime_go_on_hearing(rt, 0, length_s);
    senses_status status = rt->too_long ? SN_ECANCELLED : senses_transcribe(rt->whisper, path, &p, &cb, &r->language, &r->duration_s, &err);
    if (status == SN_ECANCELLED)
        runtime_say_stopped(rt, path);
    else if (status != SN_OK)
        runtime_say(rt, &err);
    buffer_add(&r->text, h.json.text.data, h.json.text.n);
    buffer_add(&r->srt, h.srt.out.data, h.srt.out.n);
    r->segments = cJSON_DetachItemFromObjectCaseSensitive(h.json.json, "segments");
    transcript_free(&h.json);
    transcript_free(&h.srt);
    return status == SN_OK;
}

/* What is seen of a film and what is heard of it, in the order of time. */
static bool timeline(batch_result *r, cli_runtime *rt, const char *path)
{
    video_timeline v = {.events = NULL};
    transcript srt = {.format = NULL};
    bool good = video_timeline_make(rt, path, &v);
    transcript_begin(&srt, transcript_find("srt"));
    for (size_t i = 0; good && i < v.n; i++) {
        if (!v.events[i].speech) continue;
        const senses_segment s = {.start_s = v.events[i].start_s, .end_s = v.events[i].end_s, .text = v.events[i].text};
        transcript_segment(&srt, &s);
    }
    r->model = runtime_encoder(rt, SENSES_IMAGE) != NULL ? senses_text_path(rt->text) : runtime_reader_path(rt);
    video_timeline_text(&v, &r->text);
    while (r->text.n > 0 && r->text.data[r->text.n - 1] == '\n') r->text.n--;
    buffer_add(&r->text, "", 0);
    r->timeline = video_timeline_json(&v);
    if (v.language != NULL) {
        r->language = v.language;
        r->duration_s = v.duration_s;
        buffer_add(&r->srt, srt.out.data, srt.out.n);
    }
    transcript_free(&srt);
    video_timeline_free(&v);
    return good;
}

bool batch_do(batch_result *r, cli_runtime *rt, senses_media_kind_t kind, const char *path)
{
    const char *task = batch_task(rt->o, kind);
    bool good;
    r->duration_s = -1;
    rt->partial = rt->timed_out = rt->too_long = false;
    audit_clear(rt);
    r->looked = looks(task, kind);
    rt->deadline_s = rt->o->timeout > 0 ? clock_s() + (double)rt->o->timeout : 0;
    rt->last = (senses_error){.code = SN_OK};
    if (strcmp(task, "ask") == 0)
        good = ask(r, rt, kind, path);
    else if (strcmp(task, "describe") == 0)
        good = describe(r, rt, path);
    else if (strcmp(task, "timeline") == 0)
        good = timeline(r, rt, path);
    else
        good = transcribe(r, rt, path);
    if (good && rt->timed_out) { /* an answer that was stopped is none */
        runtime_say_stopped(rt, path);
        good = false;
    }
    rt->deadline_s = 0;
    return good;
}

void batch_result_free(batch_result *r)
{
    free(r->text.data);
    free(r->srt.data);
    cJSON_Delete(r->segments);
    cJSON_Delete(r->timeline);
    *r = (batch_result){.model = NULL};
}
