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

/* A copy of a file name that the handle owns. */
sn_status fus_copy_path(char **out, const char *path, sn_err *err);

#endif
