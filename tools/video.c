#include "video.h"

#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "audit.h"
#include "command.h"
#include "media.h"
#include "page.h"

typedef struct {
    cli_runtime *rt;
    const char *path;
    video_timeline *out;
    bool failed, shown; /* shown: a frame has come */
} watching;

void video_time(char *dst, size_t n, double time_s)
{
    const long long s = time_s > 0 && time_s < 1e9 ? (long long)time_s : 0;
    if (s >= 3600)
        snprintf(dst, n, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(dst, n, "%lld:%02lld", s / 60, s % 60);
}

/* ---- events ---- */

/* Takes the text over; it is put on one line. */
static void put(video_timeline *v, video_event e)
{
    size_t n = strlen(e.text);
    for (size_t i = 0; i < n; i++)
        if (strchr("\r\n\t", e.text[i]) != NULL) e.text[i] = ' ';
    while (n > 0 && e.text[n - 1] == ' ') e.text[--n] = '\0';
    size_t skip = strspn(e.text, " ");
    memmove(e.text, e.text + skip, n - skip + 1);
    if (v->n == v->room) {
        v->room = v->room == 0 ? 16 : v->room * 2;
        v->events = must(realloc(v->events, v->room * sizeof *v->events));
    }
    size_t at = v->n++;
    for (; at > 0 && v->events[at - 1].start_s > e.start_s; at--) v->events[at] = v->events[at - 1];
    v->events[at] = e;
}

void video_timeline_free(video_timeline *v)
{
    for (size_t i = 0; i < v->n; i++) free(v->events[i].text);
    free(v->events);
    *v = (video_timeline){.events = NULL};
}

/* ---- pictures ---- */

/* Takes the image over. NULL: said. */
static char *ask_caption(cli_runtime *rt, senses_image *img)
{
    const char *prompt = rt->o->prompt != NULL ? rt->o->prompt : "Describe this image.";
    senses_medium medium = {.image = img};
    cli_media media = {.list = &medium, .n = 1, .room = 1, .parts = (size_t[]){1}, .n_media = 1};
    cli_answer a = {.ids = NULL};
    senses_session *s = runtime_session(rt);
    char *text = NULL;
    if (s != NULL && answer_get(&a, rt, s, prompt, &media, false) == EXIT_DONE) text = text_format("%s", a.text.data);
    senses_session_close(s);
    senses_image_close(img);
    answer_free(&a);
    return text;
}

/* Takes the image over. *text stays NULL where there is no page. */
static bool read_caption(watching *w, senses_image *img, double time_s, char **text)
{
    char time[32];
    size_t n_tokens;
    video_time(time, sizeof time, time_s);
    char *name = text_format("%s at %s", w->path, time);
    bool good = page_words_of(w->rt, name, img, text, &n_tokens);
    if (good && *text == NULL) diag_note(w->rt->o, "%s: no page to see in this frame; it is passed over", name);
    free(name);
    senses_image_close(img);
    return good;
}

static bool on_frame(void *user, senses_image *img, double time_s)
{
    watching *w = user;
    char *text = NULL, time[32];
    video_time(time, sizeof time, time_s);
    if (!w->shown) runtime_note_partial(w->rt, w->path, senses_image_partial(img));
    w->shown = true;
    if (!audit_frame(w->rt, w->path, time, img)) {
        senses_image_close(img);
        w->failed = true;
        return false;
    }
    if (runtime_encoder(w->rt, SENSES_IMAGE) != NULL) {
        text = ask_caption(w->rt, img);
        w->failed = text == NULL;
    } else {
        w->failed = !read_caption(w, img, time_s, &text);
    }
    if (text != NULL) put(w->out, (video_event){.start_s = time_s, .end_s = time_s, .text = text});
    if (!w->failed && !runtime_go_on(w->rt)) {
        runtime_say_stopped(w->rt, w->path);
        w->failed = true;
    }
    return !w->failed;
}

/* ---- speech ---- */

static void on_segment(void *user, const senses_segment *s)
{
    watching *w = user;
    put(w->out, (video_event){s->start_s, s->end_s, true, text_format("%s", s->text)});
}

static bool on_progress(void *user, double done_s, double total_s)
{
    watching *w = user;
    return runtime_go_on_hearing(w->rt, done_s, total_s);
}

static void on_partial(void *user, const char *how_much)
{
    watching *w = user;
    runtime_note_partial(w->rt, w->path, how_much);
}

static bool listen(watching *w)
{
    senses_error err = {0};
    const cli_options *o = w->rt->o;
    senses_transcribe_params p = {.language = o->language,
                                  .translate = o->translate,
                                  .temperature = o->first_temperature,
                                  .seed = o->session.seed,
                                  .no_sandbox = o->no_sandbox,
                                  .timeout_s = (double)o->timeout,
                                  .accept_truncated = o->accept_truncated};
    senses_transcribe_callbacks cb = {.segment = on_segment, .progress = on_progress, .user = w, .partial = on_partial};
    if (!runtime_whisper(w->rt)) return false;
    senses_status status = senses_transcribe(w->rt->whisper, w->path, &p, &cb, &w->out->language, &w->out->duration_s, &err);
    if (status == SN_ECANCELLED)
        runtime_say_stopped(w->rt, w->path);
    else if (status != SN_OK)
        runtime_say(w->rt, &err);
    return status == SN_OK;
}

/* ---- all of it ---- */

bool video_timeline_make(cli_runtime *rt, const char *path, video_timeline *out)
{
    senses_error err = {0};
    senses_video_params p = {.max_frames = rt->o->max_frames,
                             .max_pixels = rt->o->max_pixels,
                             .no_sandbox = rt->o->no_sandbox,
                             .timeout_s = (double)rt->o->timeout,
                             .accept_truncated = rt->o->accept_truncated};
    watching w = {.rt = rt, .path = path, .out = out};
    bool sound = false;
    if (!runtime_encoders(rt) || (runtime_encoder(rt, SENSES_IMAGE) != NULL && !runtime_pair(rt))) return false;
    if (senses_video_frames(path, &p, on_frame, &w, &sound, &err) != SN_OK) {
        if (!w.failed) runtime_say(rt, &err);
        return false;
    }
    return !sound || listen(&w);
}

cJSON *video_timeline_json(const video_timeline *v)
{
    cJSON *list = must(cJSON_CreateArray());
    for (size_t i = 0; i < v->n; i++) {
        const video_event *e = &v->events[i];
        cJSON *one = json_object();
        json_add_decimal(one, e->speech ? "start" : "time", e->start_s, 3);
        if (e->speech) json_add_decimal(one, "end", e->end_s, 3);
        json_add_string(one, e->speech ? "speech" : "picture", e->text);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

void video_timeline_text(const video_timeline *v, cli_buffer *out)
{
    for (size_t i = 0; i < v->n; i++) {
        const video_event *e = &v->events[i];
        char from[32], to[32];
        video_time(from, sizeof from, e->start_s);
        video_time(to, sizeof to, e->end_s);
        char *line =
            e->speech ? text_format("[%s - %s] speech: %s\n", from, to, e->text) : text_format("[%s] picture: %s\n", from, e->text);
        buffer_add(out, line, strlen(line));
        free(line);
    }
}
