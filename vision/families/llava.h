/* llava.h: what LLaVA-1.5, LLaVA-NeXT and those made in their likeness share. Private to vision/families. */
#ifndef VISION_FAMILIES_LLAVA_H
#define VISION_FAMILIES_LLAVA_H

#include "../family.h"

typedef struct {
    sn_linear fc1, fc2; /* mm.0 [n_embd, vit width], mm.2 [n_embd, n_embd] */
    float *newline;     /* [n_embd] or NULL: model.image_newline */
    size_t *grids;      /* [n_grids, 2]: w, h in pixels, of image_grid_pinpoints */
    size_t n_grids;
} llava_adapter;

/* Reads what the file says of the encoder into m->vit, to be bound by vit_bind: sizes, which blocks run, whose output is used. */
sn_status llava_read_vit(vis_model *m, sn_err *err);
/* One square, as the encoder was trained or as asked. n_tok: rows that it becomes. */
sn_status llava_prepare_square(const vis_model *m, const vis_image *img, vis_fit fit, size_t n_tok, vis_prepared *out, sn_err *err);
/* Opens the encoder, its projector and, where want_newline, model.image_newline. */
sn_status llava_open_adapter(vis_model *m, bool want_newline, sn_err *err);
void llava_close_adapter(vis_model *m);
/* out [n_patch, n_embd] = projector(ViT(pixels of tile i)), without the class row. Scratch: llava_scratch_bytes. */
void llava_encode_tile(vis_model *m, const vis_prepared *p, size_t i, float *out);
size_t llava_scratch_bytes(const vis_model *m);
bool llava_is_anyres(const sn_gguf *g);
/* How many layers' features the file asks for, side by side: 1 where it does not say. */
size_t llava_n_features(const sn_gguf *g);

/* ---- llavanext.c: the whole of it, for encoders that differ in what the file says alone ---- */
sn_status llavanext_open(vis_model *m, sn_err *err);
sn_status llavanext_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err);
sn_status llavanext_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err);

#endif
