/* rewrite.h: a GGUF file written again with some of its weights changed or in other types, a piece at a time: what quantising and
 * merging have in common. */
#ifndef CORE_REWRITE_H
#define CORE_REWRITE_H

#include "compute.h"
#include "gguf.h"

/* Zero-initialise, set the first group, and open. */
typedef struct {
    sn_compute *compute;
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes); /* may be NULL; false stops */
    void *user;
    size_t total; /* bytes of weights that will be read */

    sn_gguf *in;
    sn_gguf_writer *out; /* set between open and the first tensor, after sn_gguf_create */
    size_t done;
    unsigned char *bytes; /* a piece in the largest type */
    float *values;        /* a piece */
    bool *bad;            /* [threads] */
} sn_rewrite;

/* Opens the input, a whole model. Refuses an output that would replace it. */
sn_status sn_rewrite_open(sn_rewrite *w, const char *in_path, const char *out_path, sn_err *err);
/* SN_EUSAGE where the two are one file. */
sn_status sn_rewrite_apart(const char *in_path, const char *out_path, sn_err *err);

/* Changes values[n], of which the first is value `first` of its tensor. Called by many threads, on parts of one tensor. */
typedef void sn_rewrite_edit(const void *user, float *values, size_t first, size_t n);
/* Writes t as the next declared tensor, in `type`, edited where `edit` is not NULL. Weights that are no finite numbers, or too large
 * for the type, are refused, but where nothing changes. */
sn_status sn_rewrite_tensor(sn_rewrite *w, const sn_tensor *t, sn_type type, sn_rewrite_edit *edit, const void *user, sn_err *err);

/* status SN_OK: the output stands under its name, or why not. Otherwise it is gone; returns status. Closes everything. */
sn_status sn_rewrite_close(sn_rewrite *w, sn_status status, sn_err *err);

#endif
