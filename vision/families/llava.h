/* llava.h: what LLaVA-1.5 and LLaVA-NeXT share. Private to vision/families. */
#ifndef VISION_FAMILIES_LLAVA_H
#define VISION_FAMILIES_LLAVA_H

#include "../family.h"

typedef struct {
    sn_linear fc1, fc2; /* mm.0 [n_embd, vit n_embd], mm.2 [n_embd, n_embd] */
    float *newline;     /* [n_embd] or NULL: model.image_newline */
    size_t *grids;      /* [n_grids, 2]: w, h in pixels, of image_grid_pinpoints */
    size_t n_grids;
} llava_adapter;

/* Opens the encoder, its projector and, where want_newline, model.image_newline. */
sn_status llava_open_adapter(vis_model *m, bool want_newline, sn_err *err);
void llava_close_adapter(vis_model *m);
/* out [n_patch, n_embd] = projector(ViT(pixels of tile i)), without the class row. Scratch: llava_scratch_bytes. */
void llava_encode_tile(vis_model *m, const vis_prepared *p, size_t i, float *out);
size_t llava_scratch_bytes(const vis_model *m);
bool llava_is_anyres(const sn_gguf *g);

#endif
