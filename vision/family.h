/* family.h: what a family of picture encoders is: one descriptor in families/ *.c and one line in registry.c; and the helpers that
 * families share. Private to vision/. */
#ifndef VISION_FAMILY_H
#define VISION_FAMILY_H

#include "../core/bind.h"
#include "vision.h"
#include "vit.h"

typedef struct vis_family vis_family;

struct vis_model {
    sn_gguf *gguf;
    sn_compute *compute;
    const vis_family *family;
    vit vit;
    size_t n_embd;  /* of the decoder: columns of the output */
    sn_arena arena; /* grows to the largest picture so far */
    void *adapter;  /* the family's own, made by its open, freed by its close */
};

struct vis_family {
    const char *name;
    sn_pairing pairing;
    /* An exact test of clip.projector_type (NULL, 0: the file has none). Two matches, or none, is an error. */
    bool (*match)(const sn_gguf *g, sn_str projector);
    /* Reads the hyper-parameters, binds every tensor, sets m->vit, m->n_embd and m->adapter. On failure close is called. */
    sn_status (*open)(vis_model *m, sn_err *err);
    void (*close)(vis_model *m);
    sn_status (*prepare)(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err);
    /* Rows of all tiles; scratch from m->arena, sized by the first line of the function through vis_reserve. */
    sn_status (*encode)(vis_model *m, const vis_prepared *p, float *out, sn_err *err);
};

/* Empties the arena and makes it at least `bytes` large. */
sn_status vis_reserve(vis_model *m, size_t bytes, sn_err *err);
/* Columns of the decoder: rows of the tensor `name`, which must have two axes (its exact shape is bound later). */
sn_status vis_tensor_rows(size_t *out, const sn_gguf *g, const char *name, sn_err *err);

/* ---- resize.c: resampling as a whole, of which a window is computed ---- */
typedef struct { /* a canvas of one colour, on which the picture lies at x, y */
    size_t w, h, x, y;
    unsigned char colour[3];
} vis_canvas;
typedef struct { /* the resampled whole is full_w x full_h; pixels [y, y + h) x [x, x + w) of it are wanted */
    size_t full_w, full_h, x, y, w, h;
} vis_window;
/* vis_resize of the picture on its canvas (NULL: of the picture), cut to the window, at the cost of the window. Bit for bit what
 * Pillow's paste, resize and crop give, without making the canvas or the whole. */
sn_status vis_resize_window(vis_image *out, const vis_image *in, const vis_canvas *canvas, const vis_window *win, vis_filter f,
                            sn_err *err);

/* ---- prepare.c ---- */
/* Makes room for n_tiles tiles of w x h pixels with n_tok rows each, all markers "", and notes the source's size. */
sn_status vis_prepared_init(vis_prepared *p, const vis_image *img, size_t n_tiles, size_t w, size_t h, size_t n_tok, sn_err *err);
/* pixels[i] = (v / 255 - mean) / std of the tile whose upper left corner is at x, y of img, as float [3, tile_h, tile_w]. */
void vis_prepared_fill(vis_prepared *p, size_t i, const vis_image *img, size_t x, size_t y, const vit_hparams *hp);
/* One square of image_px by VIS_FIT_PAD (mean colour), _CROP (the middle) or, else, stretched; bicubic. */
sn_status vis_fit_square(vis_image *out, const vis_image *img, vis_fit fit, const vit_hparams *hp, sn_err *err);
/* Sets a marker: a printf format; "" stays where nothing is set. */
sn_status vis_prepared_before(vis_prepared *p, size_t i, sn_err *err, const char *fmt, ...) SN_PRINTF(4, 5);
sn_status vis_prepared_after(vis_prepared *p, const char *text, sn_err *err);

/* y [n / s^2, s * s * n_embd] from x [n, n_embd], a map of side x side patches: blocks of s x s patches become one row, row by row
 * (pixel shuffle: HF Idefics3Connector.pixel_shuffle, InternVL's ps_version v2). s divides side. */
void vis_pixel_shuffle(float *y, const float *x, size_t side, size_t s, size_t n_embd);

#endif
