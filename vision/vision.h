/* vision.h: picture files to upright RGB, preprocessing as the reference processors do it, the ViT, and the families that turn
 * a picture into rows of a decoder's width. */
#ifndef VISION_VISION_H
#define VISION_VISION_H

#include "../core/compute.h"
#include "../core/convert.h"
#include "../core/gguf.h"
#include "../core/pairing.h"
#include "../core/partial.h"

/* ---- image.c: decoding ---- */
typedef struct {
    size_t w, h;        /* pixels, upright: EXIF orientation applied */
    unsigned char *rgb; /* [h, w, 3] sRGB, alpha composited on white; free with vis_image_free */
    size_t mapped;      /* bytes mapped at rgb; 0: it is from sn_alloc */
    sn_partial partial; /* how much of the file, or of the film, was there */
} vis_image;
#define VIS_MAX_SIDE 65535
#define VIS_MAX_PIXELS 100000000 /* unless another limit is given */
typedef struct {
    size_t max_pixels; /* refused above before memory is taken; default 100e6 */
    bool no_sandbox;   /* vis_image_load decodes in this process */
    double timeout_s;  /* of the decoder in its own; 0: core/worker.h's */
    bool accept_truncated;
} vis_load_params;
/* A picture file, or the first frame of a video; "-" is standard input. Type by content. Corrupt files are refused, and so are truncated ones,
 * unless accept_truncated says that what is there of them will do: then partial says how much that was, and a picture has fewer rows, is coarse,
 * or (MP4 and animations) is whole all the same. This process reads the bytes, and a worker (core/worker.h) makes the picture of them. */
sn_status vis_image_load(vis_image *out, const char *path, const vis_load_params *p, sn_err *err);
/* Decodes in the calling process. */
sn_status vis_image_decode(vis_image *out, const void *bytes, size_t n, const char *name, const vis_load_params *p, sn_err *err);
/* Of what kind a file is that begins with these bytes (64 KiB are enough): a still, a container of films, or neither. */
typedef enum { VIS_NO_PICTURE, VIS_STILL, VIS_FILM } vis_file_kind;
vis_file_kind vis_image_kind(const void *head, size_t n);
void vis_image_free(vis_image *img);
/* A picture of w x h pixels, not initialised. */
sn_status vis_image_new(vis_image *out, size_t w, size_t h, sn_err *err);

/* ---- video_av.c: key frames of films ---- */
#define VIS_MAX_KEY_FRAMES 1024
typedef struct {
    size_t max_pixels; /* as of a picture */
    size_t max_frames; /* 1 to VIS_MAX_KEY_FRAMES */
    bool no_sandbox;   /* of vis_video_load: as of a picture */
    double timeout_s;
    bool accept_truncated; /* each frame's `partial` says how much of the film was there */
} vis_video_params;
/* A key frame, upright and of square samples, and its time from the film's start, in order of time. The picture is the callee's:
 * vis_image_free. False stops with SN_ECANCELLED. */
typedef bool (*vis_frame_fn)(void *user, vis_image *img, double t_s);
/* Reads a regular file of `size` bytes from an open descriptor (its offset stays), and does nothing else. *sound: whether it has an audio stream; may be
 * set also on failure. Damage is found before the first frame comes. Truncated (unless accepted) and corrupt films are refused. */
sn_status vis_video_read(int fd, size_t size, const vis_video_params *p, vis_frame_fn fn, void *user, bool *sound, sn_err *err);
/* The same of a file, in a worker (core/worker.h). */
sn_status vis_video_load(const char *path, const vis_video_params *p, vis_frame_fn fn, void *user, bool *sound, sn_err *err);

/* ---- resize.c: Pillow's resampling on 8-bit RGB, bit for bit ---- */
typedef enum { VIS_BILINEAR, VIS_BICUBIC, VIS_LANCZOS } vis_filter;
sn_status vis_resize(vis_image *out, const vis_image *in, size_t w, size_t h, vis_filter f, sn_err *err);

/* ---- faint_text.c: what looks like text and hardly differs from what it stands on ---- */
typedef struct {
    size_t n_glyphs;   /* in lines that look like text; 0: there are none */
    size_t x, y, w, h; /* of all these lines, in pixels */
    double contrast;   /* mean difference from what is around, of full range */
} vis_faint_text;
/* Looks for horizontal lines of it in *img and in smaller copies. SN_ENOMEM. */
sn_status vis_faint_text_find(vis_faint_text *out, const vis_image *img, sn_err *err);

/* ---- families (registry.c, families/ *.c) ---- */
typedef struct vis_model vis_model;
typedef enum { VIS_FIT_DEFAULT, VIS_FIT_PAD, VIS_FIT_CROP, VIS_FIT_STRETCH } vis_fit; /* --image-fit */
sn_status vis_model_open(vis_model **out, const char *path, sn_compute *c, sn_err *err);
void vis_model_close(vis_model *m);
const char *vis_model_family(const vis_model *m);
size_t vis_model_n_embd(const vis_model *m);
/* Family i, with what it knows of its decoders; NULL behind the last. */
const char *vis_family_at(size_t i, const sn_pairing **pairing);
size_t vis_model_bytes(const vis_model *m);

/* What a picture becomes: tiles in the order they enter the prompt, each with the marker text in front of its rows, and text
 * behind the last. Marker text is framing: control tokens in it are parsed. */
typedef struct {
    char *before;        /* "" for none */
    size_t n_tok;        /* rows of this tile */
    size_t map_w, map_h; /* its rows lie in a map of the picture, row by row, and decoders may place them by it; 0: they do not */
} vis_tile;
typedef struct {
    vis_tile *tiles;
    size_t n_tiles, n_tok; /* n_tok: the sum */
    char *after;
    size_t grid_w, grid_h; /* tiles across and down, for the message; 1 x 1 without tiling */
    bool overview;
    /* the prepared input: tile i is float [3, h_i, w_i] at pixels[i], owned */
    float **pixels;
    size_t *tile_w, *tile_h;
    size_t src_w, src_h; /* of the picture */
} vis_prepared;
/* Cuts, resizes and normalises. Free with vis_prepared_free. */
sn_status vis_model_prepare(vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err);
void vis_prepared_free(vis_prepared *p);
/* Moves the picture in each of its tiles right and down, less than a side; its edges are repeated. */
void vis_prepared_shift(vis_prepared *p, size_t px);
/* out [p->n_tok, n_embd], caller-owned; tiles one behind the other. */
sn_status vis_model_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err);

/* ---- conversion (convert.c, convert_families.c) ---- */
/* Whether a model of this model_type, as config.json has it, has a picture encoder that is converted. */
bool vis_converts(const char *model_type);
/* The picture encoder and projector of a Hugging Face folder as an mmproj GGUF, with the keys, names and values of llama.cpp's converter. Weights
 * pass through in pieces. SN_EUNSUPPORTED: another family, or weights of another type; SN_ESHAPE: a tensor is missing, or of another shape
 * than config.json says; SN_EFORMAT: a file is cut short, or says what makes no sense. */
sn_status vis_convert(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err);

#endif
