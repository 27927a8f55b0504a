/* batch_task.h: what is done with one file of a batch, by its kind. */
#ifndef TOOLS_BATCH_TASK_H
#define TOOLS_BATCH_TASK_H

#include "answer.h"

typedef struct {
    const char *model; /* who says so; borrowed from the runtime */
    cli_buffer text;
    cJSON *segments; /* of speech; NULL: there is none */
    cJSON *timeline; /* of a video seen and heard; NULL: it is none */
    cli_buffer srt;  /* the same as subtitles */
    const char *language;
    double duration_s; /* of the sound; negative: there is none */
    bool looked;       /* at pictures */
    size_t n_tokens;   /* of a description or an answer */
} batch_result;

enum { BATCH_KINDS = SENSES_MEDIA_VIDEO + 1 };

/* "describe", "transcribe", "timeline" (of a video, both) or "ask": what --task means for files of this kind; NULL: nothing, they are skipped. */
const char *batch_task(const cli_options *o, senses_media_kind_t kind);
/* How records call a kind; NULL for none. */
const char *batch_type(senses_media_kind_t kind);
/* All models that the task may need, before the first file. False: said on standard error. */
bool batch_open_models(cli_runtime *rt);
/* What decides a result besides the file: the models' contents and the options, as 16 hexadecimal digits; "" where there is no task.
 * After batch_open_models. False: said. */
bool batch_settings(const cli_runtime *rt, senses_media_kind_t kind, char settings[17]);
/* Does it. *r must be zeroed; batch_result_free in any case. False: said, and kept in rt->last. */
bool batch_do(batch_result *r, cli_runtime *rt, senses_media_kind_t kind, const char *path);
void batch_result_free(batch_result *r);

#endif
