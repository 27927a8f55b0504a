/* internal.h: what stands behind the opaque handles of senses.h. */
#ifndef FUSION_INTERNAL_H
#define FUSION_INTERNAL_H

#include "../audio/audio.h"
#include "../core/compute.h"
#include "../core/mem.h"
#include "../text/text.h"
#include "../vision/vision.h"

struct senses_engine {
    sn_compute *compute;
};

struct senses_image {
    vis_image pixels;
};

struct senses_sound {
    float *samples; /* [n] mono, AUD_RATE_HZ */
    size_t n;
};

struct senses_encoder { /* exactly one of vision and audio is set */
    char *path;
    vis_model *vision;
    aud_model *audio;
};

struct senses_text {
    char *path;
    txt_model *model;
};

struct senses_whisper {
    char *path;
    aud_whisper *model;
};

/* Chooses the next token of an answer by its logits [n], or TXT_NO_ID: the answer is over. */
typedef txt_id (*fus_choose_fn)(void *user, const float *logits, size_t n);
/* From now on fn chooses, and not the sampler and the vocabulary's end tokens. fn NULL: as before. */
void fus_session_set_choice(senses_session *s, fus_choose_fn fn, void *user);

/* A copy of a file name that the handle owns. */
sn_status fus_copy_path(char **out, const char *path, sn_err *err);

#endif
