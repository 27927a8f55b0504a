#include "media.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit.h"
#include "interrupt.h"
#include "output.h"
#include "page.h"
#include "progress.h"
#include "transcript.h"
#include "utf8.h"
#include "video.h"

enum { TEXT_LIMIT_BYTES = 64 << 20 };

/* ---- text files ---- */

static bool read_all(FILE *f, const char *path, cli_buffer *b)
{
    char block[65536];
    size_t n;
    struct stat st;
    buffer_add(b, "", 0);
    if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        diag_error("%s: is a folder, not a text file", input_name(path));
        return false;
    }
    while ((n = fread(block, 1, sizeof block, f)) > 0) {
        buffer_add(b, block, n);
        if (b->n <= TEXT_LIMIT_BYTES) continue;
        diag_error("%s: more than %d MB of text", input_name(path), TEXT_LIMIT_BYTES >> 20);
        return false;
    }
    if (!ferror(f)) return true;
    diag_error("%s: %s", input_name(path), strerror(errno));
    return false;
}

char *media_read_text(const char *path, size_t *n)
{
    static const char mark[] = "\xEF\xBB\xBF";
    cli_buffer b = {0};
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    if (f == NULL) {
        diag_error("%s: %s", path, strerror(errno));
        return NULL;
    }
    bool good = read_all(f, path, &b);
    if (!is_stdin) fclose(f);
    if (good && (memchr(b.data, '\0', b.n) != NULL || !utf8_valid(b.data, b.n))) {
        diag_error("%s: is not UTF-8 text", input_name(path));
        good = false;
    }
    if (!good) {
        free(b.data);
        return NULL;
    }
    size_t skip = b.n >= 3 && memcmp(b.data, mark, 3) == 0 ? 3 : 0;
    *n = b.n - skip;
    memmove(b.data, b.data + skip, *n + 1);
    return b.data;
}

/* ---- what goes into the prompt ---- */

static void put(cli_media *m, senses_medium medium)
{
    if (m->n == m->room) {
        m->room = m->room == 0 ? 8 : m->room * 2;
        m->list = must(realloc(m->list, m->room * sizeof *m->list));
    }
    m->list[m->n++] = medium;
}

/* Text between what stands before and behind it, unless the prompt is raw: then it is put in as it is. */
static void put_text(cli_media *m, const cli_options *o, const char *before, const char *text, size_t n)
{
    cli_buffer b = {0};
    while (!o->session.raw && n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) n--;
    if (!o->session.raw) buffer_add(&b, before, strlen(before));
    buffer_add(&b, text, n);
    if (!o->session.raw) buffer_add(&b, "\n\n", 2);
    put(m, (senses_medium){.text = b.data, .n_text = b.n});
}

/* What is read in a picture where no image encoder can show it. */
static bool add_page(cli_media *m, cli_runtime *rt, const char *path)
{
    size_t n_tokens;
    char *words = page_words(rt, path, &n_tokens);
    if (words == NULL) return false;
    diag_explain(rt->o, "%s: the page was read in %zu tokens; it goes to the model as text", input_name(path), n_tokens);
    put_text(m, rt->o, "The page in the picture:\n", words, strlen(words));
    free(words);
    return true;
}

static bool add_image(cli_media *m, cli_runtime *rt, const char *path)
{
    if (runtime_encoder(rt, SENSES_IMAGE) == NULL) return add_page(m, rt, path);
    senses_image *img = runtime_image(rt, path);
    if (img == NULL) return false;
    put(m, (senses_medium){.image = img});
    return true;
}

static bool add_text(cli_media *m, const cli_runtime *rt, const char *path)
{
    size_t n = 0;
    char *text = media_read_text(path, &n);
    if (text == NULL) return false;
    if (n == 0)
        diag_error("%s: is empty", input_name(path));
    else
        put_text(m, rt->o, "", text, n);
    free(text);
    return n > 0;
}

/* ---- recordings ---- */

static bool add_sound(cli_media *m, cli_runtime *rt, const char *path)
{
    senses_error err = {0};
    senses_sound *sound = NULL;
    const senses_sound_params p = {.max_seconds = (double)rt->o->max_duration,
                                   .no_sandbox = rt->o->no_sandbox,
                                   .timeout_s = (double)rt->o->timeout,
                                   .accept_truncated = rt->o->accept_truncated};
    if (senses_sound_load(&sound, path, &p, &err) != SN_OK) {
        runtime_say(rt, &err);
        return false;
    }
    runtime_note_partial(rt, path, senses_sound_partial(sound));
    diag_note(rt->o, "%s: heard through the audio encoder %s", input_name(path),
              path_base(senses_encoder_path(runtime_encoder(rt, SENSES_AUDIO))));
    put(m, (senses_medium){.sound = sound});
    return true;
}

typedef struct {
    cli_runtime *rt;
    const char *path;
    transcript t;
    cli_progress progress;
} listening;

static void on_partial(void *user, const char *how_much)
{
    listening *l = user;
    progress_clear(&l->progress);
    runtime_note_partial(l->rt, l->path, how_much);
}

static void on_segment(void *user, const senses_segment *s)
{
    listening *l = user;
    transcript_segment(&l->t, s);
}

static bool on_progress(void *user, double done_s, double total_s)
{
    listening *l = user;
    progress_update(&l->progress, done_s, total_s);
    return runtime_go_on_hearing(l->rt, done_s, total_s);
}

static bool add_transcript(cli_media *m, cli_runtime *rt, const char *path)
{
    if (!runtime_whisper(rt)) return false;
    senses_error err = {0};
    listening l = {.rt = rt, .path = path};
    const char *language = NULL;
    double seconds = 0;
    senses_transcribe_params p = {.language = rt->o->language != NULL ? rt->o->language : "auto",
                                  .translate = rt->o->translate,
                                  .no_sandbox = rt->o->no_sandbox,
                                  .timeout_s = (double)rt->o->timeout,
                                  .accept_truncated = rt->o->accept_truncated};
    senses_transcribe_callbacks cb = {.segment = on_segment, .progress = on_progress, .user = &l, .partial = on_partial};
    transcript_begin(&l.t, transcript_find("json"));
    progress_start(&l.progress, rt->o, input_name(path));
    senses_status status = senses_transcribe(rt->whisper, path, &p, &cb, &language, &seconds, &err);
    progress_clear(&l.progress);
    if (status == SN_OK) {
        diag_note(rt->o, "%s: transcribed by %s, as no audio encoder was given; the transcript goes to the model as text", input_name(path),
                  path_base(rt->whisper_path));
        diag_explain(rt->o, "transcript (%.1f s, %s): %s", seconds, language != NULL ? language : "?", l.t.text.data);
        put_text(m, rt->o, "Transcript of the recording:\n", l.t.text.data, l.t.text.n);
    } else if (status == SN_ECANCELLED) {
        runtime_say_stopped(rt, path);
    } else {
        runtime_say(rt, &err);
    }
    transcript_free(&l.t);
    return status == SN_OK;
}

/* ---- videos ---- */

typedef struct {
    cli_media *m;
    cli_runtime *rt;
    const char *path;
    size_t n, n_shown; /* frames; those that reach the model */
    bool failed;
} showing;

/* Where no encoder sees, the page in a frame; a frame that shows none is passed over. */
static void show_page(showing *s, const senses_image *img, const char *time)
{
    size_t n_tokens;
    char *words = NULL;
    char *name = text_format("%s at %s", s->path, time), *before = text_format("Page in the video at %s:\n", time);
    if (!page_words_of(s->rt, name, img, &words, &n_tokens)) {
        s->failed = true;
    } else if (words == NULL) {
        diag_note(s->rt->o, "%s: no page to see in this frame; it is passed over", name);
    } else {
        put_text(s->m, s->rt->o, before, words, strlen(words));
        s->n_shown++;
    }
    free(words);
    free(before);
    free(name);
}

static bool on_frame(void *user, senses_image *img, double time_s)
{
    showing *s = user;
    char time[32];
    video_time(time, sizeof time, time_s);
    if (s->n++ == 0) runtime_note_partial(s->rt, s->path, senses_image_partial(img));
    if (!audit_frame(s->rt, s->path, time, img)) {
        senses_image_close(img);
        s->failed = true;
        return false;
    }
    if (runtime_encoder(s->rt, SENSES_IMAGE) == NULL) {
        show_page(s, img, time);
        senses_image_close(img);
    } else {
        char *before = text_format("Frame at %s:\n", time);
        put(s->m, (senses_medium){.text = before, .n_text = strlen(before)});
        put(s->m, (senses_medium){.image = img});
        s->n_shown++;
    }
    if (!s->failed && interrupt_seen()) {
        runtime_say_stopped(s->rt, s->path);
        s->failed = true;
    }
    return !s->failed;
}

static bool add_video(cli_media *m, cli_runtime *rt, const char *path)
{
    senses_error err = {0};
    senses_video_params p = {.max_frames = rt->o->max_frames,
                             .max_pixels = rt->o->max_pixels,
                             .no_sandbox = rt->o->no_sandbox,
                             .timeout_s = (double)rt->o->timeout,
                             .accept_truncated = rt->o->accept_truncated};
    showing s = {.m = m, .rt = rt, .path = path};
    bool sound = false;
    if (senses_video_frames(path, &p, on_frame, &s, &sound, &err) != SN_OK) {
        if (!s.failed) runtime_say(rt, &err);
        return false;
    }
    diag_note(rt->o, "%s: %zu key frame%s, %zu shown to the model%s", path, s.n, s.n == 1 ? "" : "s", s.n_shown,
              sound ? "" : "; there is no sound");
    if (sound) return runtime_encoder(rt, SENSES_AUDIO) != NULL ? add_sound(m, rt, path) : add_transcript(m, rt, path);
    if (s.n_shown > 0) return true;
    snprintf(err.msg, sizeof err.msg,
             "%s: no page to see in this video, and no sound; for other videos bring a vision model: -m FILE --mmproj FILE", path);
    runtime_say(rt, &err);
    return false;
}

/* ---- all kinds ---- */

static bool add(cli_media *m, cli_runtime *rt, const cli_medium *medium)
{
    switch (medium->kind) {
    case MEDIUM_IMAGE: return add_image(m, rt, medium->path);
    case MEDIUM_TEXT: return add_text(m, rt, medium->path);
    case MEDIUM_VIDEO: return add_video(m, rt, medium->path);
    case MEDIUM_AUDIO: break;
    }
    return runtime_encoder(rt, SENSES_AUDIO) != NULL ? add_sound(m, rt, medium->path) : add_transcript(m, rt, medium->path);
}

bool media_add(cli_media *m, cli_runtime *rt, const cli_medium *medium)
{
    const size_t before = m->n;
    if (!add(m, rt, medium)) return false;
    m->parts = must(realloc(m->parts, (m->n_media + 1) * sizeof *m->parts));
    m->parts[m->n_media++] = m->n - before;
    return true;
}

char *media_prompt(const cli_media *m, const char *prompt)
{
    static const char marker[] = SENSES_MEDIA_MARKER;
    cli_buffer b = {0};
    size_t n_markers = 0;
    for (const char *p = prompt; (p = strstr(p, marker)) != NULL; p += strlen(marker)) n_markers++;
    if (n_markers > m->n_media) {
        diag_error("the prompt has %zu %s markers, but %zu media were given", n_markers, marker, m->n_media);
        return NULL;
    }
    size_t medium = m->n_media - n_markers; /* those before it go in front */
    for (const char *at; (at = strstr(prompt, marker)) != NULL; prompt = at + strlen(marker)) {
        buffer_add(&b, prompt, (size_t)(at - prompt));
        for (size_t i = m->parts[medium++]; i > 0; i--) buffer_add(&b, marker, strlen(marker));
    }
    buffer_add(&b, prompt, strlen(prompt));
    return b.data;
}

bool media_load(cli_media *m, cli_runtime *rt)
{
    for (size_t i = 0; i < rt->o->n_media; i++)
        if (!media_add(m, rt, &rt->o->media[i])) return false;
    return true;
}

void media_clear(cli_media *m)
{
    for (size_t i = 0; i < m->n; i++) {
        senses_image_close((senses_image *)m->list[i].image);
        senses_sound_close((senses_sound *)m->list[i].sound);
        free((char *)m->list[i].text);
    }
    m->n = m->n_media = 0;
}

void media_free(cli_media *m)
{
    media_clear(m);
    free(m->list);
    free(m->parts);
    *m = (cli_media){.list = NULL};
}
