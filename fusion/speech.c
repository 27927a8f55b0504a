/* speech.c: transcription through the public handles. */
#include "internal.h"

#include <stdlib.h>

senses_status senses_whisper_open(senses_whisper **out, senses_engine *e, const char *path, senses_error *err)
{
    senses_whisper *w = calloc(1, sizeof *w);
    if (w == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    sn_status st = fus_copy_path(&w->path, path, err);
    if (st == SN_OK) st = aud_whisper_open(&w->model, path, e->compute, err);
    if (st != SN_OK) {
        senses_whisper_close(w);
        return st;
    }
    *out = w;
    return SN_OK;
}

void senses_whisper_close(senses_whisper *w)
{
    if (w == NULL) return;
    aud_whisper_close(w->model);
    free(w->path);
    free(w);
}

bool senses_whisper_multilingual(const senses_whisper *w)
{
    return aud_whisper_multilingual(w->model);
}

/* Hands segments on in the public form. */
static void forward_segment(void *user, const aud_segment *s)
{
    const senses_transcribe_callbacks *cb = user;
    senses_segment out = {
        .start_s = s->start_s,
        .end_s = s->end_s,
        .text = s->text,
        .avg_log_prob = s->avg_log_prob,
        .no_speech_prob = s->no_speech_prob,
        .compression_ratio = s->compression_ratio,
        .temperature = s->temperature,
    };
    if (cb->segment) cb->segment(cb->user, &out);
}

static bool forward_progress(void *user, double done_s, double total_s)
{
    const senses_transcribe_callbacks *cb = user;
    return cb->progress == NULL || cb->progress(cb->user, done_s, total_s);
}

senses_status senses_transcribe(senses_whisper *w, const char *path, const senses_transcribe_params *p,
                                const senses_transcribe_callbacks *cb, const char **language, double *seconds, senses_error *err)
{
    aud_transcribe_params params;
    aud_transcribe_defaults(&params);
    params.language = p->language;
    params.translate = p->translate;
    params.word_timestamps = p->word_timestamps;
    params.condition_on_previous = !p->no_context;
    params.temperature = p->temperature;
    params.prompt = p->prompt;
    params.seed = p->seed;
    senses_transcribe_callbacks given = cb ? *cb : (senses_transcribe_callbacks){0};
    const aud_transcribe_callbacks forward = {.segment = forward_segment, .progress = forward_progress, .user = &given};

    aud_source *src = NULL;
    char partial[SN_PARTIAL_TEXT];
    sn_status st = aud_source_open(&src, path, &(aud_open_params){p->no_sandbox, p->timeout_s, p->accept_truncated}, err);
    if (st == SN_OK) st = aud_transcribe(w->model, src, &params, &forward, language, seconds, err);
    if (st == SN_OK) {
        sn_partial_text(partial, aud_source_partial(src));
        if (partial[0] != '\0' && given.partial) given.partial(given.user, partial);
    }
    aud_source_close(src);
    return st;
}
