/* convert.h: what the files that convert a Hugging Face folder's picture encoder share. */
#ifndef VISION_CONVERT_H
#define VISION_CONVERT_H

#include "../core/convert.h"

/* The axes of tensors. */
typedef enum {
    X_END,   /* ends the axes */
    X_ONE,   /* 1 */
    X_RGB,   /* 3 */
    X_PATCH, /* pixels along a patch */
    X_EMBD,
    X_FF,
    X_TEXT, /* what the decoder takes */
    X_PLACES,
    X_PLACES_CLASS, /* with the class row */
    X_MERGED,       /* patches side by side in front of the projector */
    X_TRIPLE,       /* queries, keys and values */
    X_FEATURES,     /* layers' features side by side in front of it */
    X_VOCAB,        /* the decoder's */
    N_EXTENTS
} vis_extent;

typedef struct {
    size_t image_px, patch_px, n_embd, n_ff, n_layer, n_head, merge;
    double eps;
} vis_convert_shape;

typedef struct vis_conversion vis_conversion;

/* What a folder calls the sizes of its encoder; all else has one name everywhere. */
typedef struct {
    const char *model_types; /* of config.json, between blanks */
    const char *part_types;  /* that vision_config may have; NULL: any */
    const char *projector;   /* clip.projector_type */
    sn_convert_names names;
    const char *n_embd, *n_ff, *n_layer, *n_head; /* keys of vision_config */
    const char *layer;                            /* "encoder.layers." */
    const sn_convert_row *whole, *in_layer;
    vis_convert_shape defaults; /* what a configuration may leave out, as transformers fills it in; 0: it must be there */
    /* What is the family's own: reads its part of the configuration, sets k->merge and extents; problems stick in a config. */
    void (*read)(vis_conversion *k);
    void (*keys)(vis_conversion *k, sn_gguf_writer *w); /* but those that all have */
} vis_convert_family;

#define VIS_CONVERT_MAX_FEATURES 16

struct vis_conversion {
    sn_convert core;
    sn_config whole, part; /* config.json with text_config in front; its vision_config alone */
    cJSON *preprocessor, *processor;
    const vis_convert_family *family;
    vis_convert_shape shape;
    size_t n_run, n_text;                       /* blocks that are converted; the decoder's width */
    size_t n_projection;                        /* clip.vision.projection_dim: n_text but in CLIP's and SigLIP's own files */
    int32_t features[VIS_CONVERT_MAX_FEATURES]; /* [n_features] clip.vision.feature_layer; Qwen3-VL: blocks, from 0 */
    size_t n_features;
    /* Tensors that each feature has, set by `read`: of the i-th <feature_from>i. there, <feature_to>features[i]. here; NULL: none */
    const sn_convert_row *in_feature;
    const char *feature_from, *feature_to;
    size_t extents[N_EXTENTS];
};

const vis_convert_family *vis_convert_family_find(const char *model_type, const char *part_type); /* NULL: none */
/* The value that processor_config.json, or else preprocessor_config.json, has for the key. */
const cJSON *vis_convert_processor(const vis_conversion *k, const char *key);
/* The id of a special token; 0, and the problem sticks, where there is none. */
size_t vis_convert_token(vis_conversion *k, const char *text);

#endif
