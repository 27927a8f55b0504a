/* prompt.h: one sequence of token ids and embedding rows, in the order given: what a decoder reads when media stand in its
 * prompt. Text that came from the user or from media never becomes a control token; only a template's framing and the marker
 * text of an encoder's family do. */
#ifndef FUSION_PROMPT_H
#define FUSION_PROMPT_H

#include "internal.h"

/* A medium made ready: cut and counted, not yet encoded. A picture, `sound` NULL, in tiles; or a sound. */
typedef struct {
    senses_encoder *encoder;
    vis_prepared tiles;
    const senses_sound *sound;
    size_t number;             /* in the prompt, from 1 */
    char cached[FUS_NOTE_MAX]; /* what the encoder's cache did for it, "" where there is none; after fus_prompt_embed */
} fus_medium;
void fus_medium_free(fus_medium *m);

/* A stretch of the sequence: ids, or n_rows rows of one medium's encoder output (row `first` on). */
typedef struct {
    size_t first_id, n_ids; /* into fus_prompt.ids */
    size_t medium, first, n_rows;
    size_t map_w, map_h; /* of a tile: see vis_tile */
} fus_chunk;

typedef struct {
    txt_ids ids;
    fus_chunk *chunks;
    size_t n_chunks, cap_chunks;
    size_t n_pos; /* positions in all: ids and rows */
    size_t n_rows;
} fus_prompt;
void fus_prompt_free(fus_prompt *p);

/* Lays out parts[n_parts] with the media at their marks: ids are tokenized stretch by stretch between the media, together with
 * the marker text that their families put around them. `add_bos`: the sequence starts a context. */
sn_status fus_prompt_build(fus_prompt *out, const txt_vocab *v, const txt_part *parts, size_t n_parts, const fus_medium *media,
                           size_t n_media, bool add_bos, sn_err *err);

/* What each chunk is to a decoder: runs[p->n_chunks]. */
void fus_prompt_runs(const fus_prompt *p, txt_run *runs);
/* Encodes the media and gives the whole sequence as rows *out [p->n_pos, txt_model_row_width]; sn_free it. */
sn_status fus_prompt_embed(const fus_prompt *p, const txt_model *m, fus_medium *media, size_t n_media, float **out, sn_err *err);

/* Growing text. */
typedef struct {
    char *p;
    size_t n, cap;
} fus_text;
void fus_text_free(fus_text *t);
sn_status fus_text_append(fus_text *t, const char *p, size_t n, sn_err *err); /* as data: TXT_MEDIA_MARK bytes become U+FFFD */
sn_status fus_text_append_mark(fus_text *t, sn_err *err);

#endif
