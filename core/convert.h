/* convert.h: the tensors of a Hugging Face folder in a GGUF file: other names, shapes and types, by tables of rows, a piece at a time.
 *
 * sn_convert_config, sn_convert_weights, then sn_convert_row for all tensors, sn_convert_write; sn_convert_close in any case. Messages begin with
 * the name of the file that is wrong. Memory does not grow with the weights. */
#ifndef CORE_CONVERT_H
#define CORE_CONVERT_H

#include "compute.h"
#include "config.h"
#include "gguf.h"
#include "safetensors.h"

typedef struct {
    sn_type type; /* of matrices: SN_F32, SN_F16 or SN_BF16; SN_TYPE_MAX: as the folder has them, F16 where that is F32 */
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes); /* may be NULL; false stops: SN_ECANCELLED */
    void *user;
} sn_convert_params;

typedef enum {
    SN_EDIT_NONE,
    SN_EDIT_PAIRS,    /* rotary pairs, half a head apart there, lie next to each other here */
    SN_EDIT_PLUS_ONE, /* 1 is added */
    SN_EDIT_CUT,      /* there may be more rows there */
    SN_EDIT_Q,        /* of queries, keys and values, one upon another there: the first third of the rows */
    SN_EDIT_K,        /* the second */
    SN_EDIT_V,        /* the last */
    SN_EDIT_FRAME_1,  /* of a convolution over two frames, [out, in, 2, h, w] there: what falls on the first */
    SN_EDIT_FRAME_2,  /* on the second */
    SN_EDIT_COLUMN,   /* a vector there, [n, 1] here */
    SN_EDIT_ONE_ROW,  /* a matrix there; here its row `row` as a vector */
} sn_edit;

typedef enum {
    SN_AS_MATRIX, /* the type of matrices where it has two axes or more, else F32 */
    SN_AS_F32,
    SN_AS_F16,
    SN_AS_F16_OR_F32, /* F16 where matrices are F16, else F32 */
} sn_as;

/* A tensor: `from` there is `to` here. dims: its axes, slowest first, each an index into the `extents` given; 0 ends them. */
typedef struct {
    const char *from, *to;
    unsigned char dims[SN_MAX_DIMS];
    sn_edit edit;
    sn_as as;
    bool optional;
} sn_convert_row;

typedef struct sn_convert_source sn_convert_source;
typedef struct sn_convert_output sn_convert_output;

typedef struct {
    const char *dir;
    const sn_convert_params *params;
    cJSON *json;                                       /* config.json */
    char *config_path;                                 /* of it */
    sn_type type;                                      /* of matrices, known behind sn_convert_weights */
    sn_status (*check)(const char *path, sn_err *err); /* of what was written, before it gets its name; NULL: none */
    size_t head, row;                                  /* what SN_EDIT_PAIRS and SN_EDIT_ONE_ROW ask for */
    sn_err *err;
    sn_safetensors *weights;
    sn_convert_source *sources; /* [n_sources] sorted by name */
    sn_convert_output *outputs; /* [n_outputs] in the order of the file */
    size_t n_sources, n_outputs, cap_outputs, done_bytes, total_bytes;
} sn_convert;

/* Opens config.json. *k is set up in any case. */
sn_status sn_convert_config(sn_convert *k, const char *dir, const sn_convert_params *params, sn_err *err);
/* Opens the weights. name_of changes a tensor's name in place (never to a longer one) to what rows call it; false: it is passed over. */
sn_status sn_convert_weights(sn_convert *k, bool (*name_of)(const void *user, char *name), const void *user);
/* A name_of that goes by three lists of words between blanks. */
typedef struct {
    const char *keeps; /* what a name begins with, behind a leading "model."; all others are passed over */
    const char *skips; /* what a name must not hold; NULL: nothing */
    const char *drops; /* what is taken out of it; NULL: nothing */
} sn_convert_names;
bool sn_convert_name_of(const void *names, char *name);
/* Whether a list of words between blanks has this one. */
bool sn_convert_listed(const char *list, const char *word);
/* Tensors of a table (a row without `from` ends it); `from` and `to` stand in front of its names. */
sn_status sn_convert_rows(sn_convert *k, const sn_convert_row *rows, const size_t *extents, const char *from, const char *to);
/* Whether its own reader takes what was written; `opens` opens it and closes it again. What that has no code for may be of use elsewhere. */
sn_status sn_convert_opens(const char *path, sn_status (*opens)(const char *path, sn_compute *c, sn_err *err), sn_err *err);
/* A tensor that no file holds: a vector of n values, which must live until sn_convert_write. */
sn_status sn_convert_values(sn_convert *k, const char *to, const float *values, size_t n);
/* SN_EUNSUPPORTED, with its name, where a tensor was not taken. what: "a llama model". */
sn_status sn_convert_all_taken(const sn_convert *k, const char *what);
/* The file: keys sets those it has, then all tensors follow. general.type: "model" or "mmproj". */
sn_status sn_convert_write(sn_convert *k, const char *path, const char *arch, const char *type,
                           sn_status (*keys)(void *user, sn_gguf_writer *w, sn_err *err), void *user);
void sn_convert_close(sn_convert *k);

#endif
