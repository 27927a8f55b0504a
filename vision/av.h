/* av.h: what the files that read pictures through FFmpeg share. Private to vision/image_av.c and vision/video_av.c. */
#ifndef VISION_AV_H
#define VISION_AV_H

#include "../core/ffmpeg.h"
#include "decode.h"

/* A decoder that says nothing, stops at damage and keeps to one thread. NULL: codec is NULL, or out of memory. */
AVCodecContext *vis_av_new_decoder(const sn_ffmpeg *ff, const AVCodec *codec, size_t max_pixels);
/* A decoded frame as samples; *out is untouched on failure. */
sn_status vis_av_frame_to_raster(const sn_ffmpeg *ff, vis_raster *out, const AVFrame *f, size_t max_pixels, sn_err *err);
/* The same for a frame of a film: what it does not say of its colours is what players take for it. */
sn_status vis_av_film_to_raster(const sn_ffmpeg *ff, vis_raster *out, AVFrame *f, const AVStream *stream, size_t max_pixels, sn_err *err);

/* Opens what io reads as a film: only demuxers on our list, no other file; its streams are probed and their sizes held against the
 * limit, and *stream is the one with pictures (a cover is none). Close with avformat_close_input; io stays the caller's. */
sn_status vis_av_open_film(const sn_ffmpeg *ff, AVFormatContext **out, int *stream, AVIOContext *io, size_t max_pixels, sn_err *err);

#endif
