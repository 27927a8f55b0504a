/* decode.h: what the picture readers share with image.c. Private to vision/. */
#ifndef VISION_DECODE_H
#define VISION_DECODE_H

#include "vision.h"

#include <string.h>

typedef struct { /* a whole file; borrowed */
    const unsigned char *p;
    size_t n;
} vis_bytes;

typedef struct {     /* what a file says of its picture before anything is decoded */
    size_t w, h;     /* as stored, orientation not applied; 0 where only the decoder can tell */
    int orientation; /* 1..8, EXIF's (TIFF 6.0, tag 274) */
} vis_head;

typedef struct { /* decoded samples, 8 bits, interleaved: gray, gray+alpha, RGB, RGBA by n_ch */
    size_t w, h, n_ch;
    unsigned char *data; /* [h, w, n_ch]; sn_free */
    int orientation;     /* where only the decoder learns it (films); 0: the head's counts */
} vis_raster;

/* Takes over r->data, also on failure: RGB, on white, upright. *out is untouched on failure. */
sn_status vis_raster_to_image(vis_image *out, vis_raster *r, int orientation, sn_err *err);

/* Refuses sides of 0 or above VIS_MAX_SIDE, and more than max_pixels. */
sn_status vis_check_size(size_t w, size_t h, size_t max_pixels, sn_err *err);

/* check_*: walks the whole file, refuses what is truncated or damaged, and fills *head. Nothing is allocated. (check*.c) */
sn_status vis_check_png(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_jpeg(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_gif(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_bmp(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_tga(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_hdr(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_psd(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_pnm(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_webp(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_tiff(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_heif(vis_bytes f, vis_head *head, sn_err *err);
sn_status vis_check_movie(vis_bytes f, vis_head *head, sn_err *err); /* the size is left to the decoder */

bool vis_is_heif(vis_bytes f);  /* an ISO media file with a still's brand */
bool vis_is_movie(vis_bytes f); /* a container of films */

typedef struct {                     /* a sequential scan, or the first of a progressive picture, for jpeg_scan.c */
    const unsigned char *huffman[8]; /* DC 0-3, AC 4-7: 16 counts and the symbols; those in `needed` (a bit each) are there */
    unsigned needed;
    size_t n, n_units, row, interval; /* components; MCUs, in all and in a row; between restart markers, 0: none */
    bool dc_only;                     /* the first values of a progressive picture */
    struct {
        size_t n_blocks, dc, ac; /* blocks in an MCU; tables */
    } c[4];
} vis_jpeg_scan;
/* How many units of the scan `data` (entropy-coded, restart markers included) holds; *row_end: its bytes to the end of their last whole row. */
size_t vis_jpeg_scan_units(vis_bytes data, const vis_jpeg_scan *s, size_t *row_end);
/* Whether it holds every unit. */
bool vis_jpeg_scan_is_whole(vis_bytes data, const vis_jpeg_scan *s);

/* Decoders: *out is untouched on failure. head comes from the format's check. max_pixels binds where the head has no size. */
sn_status vis_decode_stb(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_pnm(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_bmp(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_webp(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_tiff(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_heif(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
sn_status vis_decode_movie(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);

/* Loads FFmpeg (core/ffmpeg.h), which a worker can no longer do. */
sn_status vis_av_ready(sn_err *err);

/* image_av.c: one coded picture, by libavcodec. extra: the codec's configuration (hvcC, av1C), or NULL. */
typedef enum { VIS_AV_WEBP, VIS_AV_TIFF, VIS_AV_BMP, VIS_AV_HEVC, VIS_AV_AV1 } vis_av_codec;
sn_status vis_av_decode(vis_raster *out, vis_av_codec codec, vis_bytes extra, vis_bytes data, size_t max_pixels, sn_err *err);

typedef struct {                   /* planar luma and chroma, 8 bits; borrowed */
    const unsigned char *plane[4]; /* Y, Cb, Cr, alpha or NULL */
    ptrdiff_t stride[4];           /* bytes from row to row */
    bool half_w, half_h;           /* chroma has one sample for two columns, rows */
    bool cosited;                  /* on the left one of the two (films); else between them (stills) */
    bool full;                     /* 0..255; else 16..235 and 16..240 */
    double kr, kb;                 /* luma's shares of red and blue */
} vis_yuv;
/* Fills r->data of r->w x r->h, r->n_ch 3 or 4. */
void vis_yuv_to_rgb(vis_raster *r, const vis_yuv *s);

/* The orientation in a TIFF structure (the payload of EXIF), 1 where it has none or a wrong one. Never fails. */
int vis_exif_orientation(const unsigned char *tiff, size_t n);

static inline uint32_t vis_be16(const unsigned char *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t vis_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint32_t vis_le16(const unsigned char *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}
static inline uint32_t vis_le32(const unsigned char *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

#endif
