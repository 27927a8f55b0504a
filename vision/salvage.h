/* salvage.h: what is there of a truncated picture. Each function makes a whole file of it, with fewer rows, which the format's own check has
 * passed: decoders see nothing that they would not see otherwise. Private to vision/. */
#ifndef VISION_SALVAGE_H
#define VISION_SALVAGE_H

#include "../core/partial.h"
#include "decode.h"

typedef struct {
    unsigned char *file; /* sn_free, also on failure */
    size_t n;
    vis_head head;         /* of that file */
    size_t rows;           /* of the decoded picture, those that count; 0: all */
    size_t step_w, step_h; /* only each so-many-th column and row is known (interlaced pictures); 0 and 1: all are */
    sn_partial partial;
} vis_salvage;

/* False: the file is not truncated, or nothing of it can be shown. max_pixels binds before memory is taken. */
typedef bool (*vis_salvage_fn)(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_png(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_jpeg(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_gif(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_bmp(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_tga(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_hdr(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_pnm(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_webp(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_tiff(vis_salvage *out, vis_bytes f, size_t max_pixels);
bool vis_salvage_movie(vis_salvage *out, vis_bytes f, size_t max_pixels);

/* Takes the first n bytes of f, with `more` bytes of room behind them, as the file to make. */
bool vis_salvage_copy(vis_salvage *out, vis_bytes f, size_t n, size_t more);
/* Rows that are there of those that should be. False: none. */
bool vis_salvage_rows(vis_salvage *out, size_t have, size_t want);
/* Crops and fills in what the decoder made of the file. */
void vis_salvage_finish(const vis_salvage *s, vis_raster *r);

#endif
