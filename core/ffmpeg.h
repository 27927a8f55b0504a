/* ffmpeg.h: FFmpeg's functions, from libraries that are opened when a medium needs them: with all that they need in turn they are over a
 * hundred, and to load them takes longer than all else that a command without media does. */
#ifndef CORE_FFMPEG_H
#define CORE_FFMPEG_H

#include "error.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>

/* X(library, function) */
#define SN_FFMPEG_FUNCTIONS(X)                                                                                                             \
    X(avutil, av_dict_free)                                                                                                                \
    X(avutil, av_dict_set)                                                                                                                 \
    X(avutil, av_dict_set_int)                                                                                                             \
    X(avutil, av_frame_alloc)                                                                                                              \
    X(avutil, av_frame_free)                                                                                                               \
    X(avutil, av_free)                                                                                                                     \
    X(avutil, av_freep)                                                                                                                    \
    X(avutil, av_get_packed_sample_fmt)                                                                                                    \
    X(avutil, av_get_pix_fmt_name)                                                                                                         \
    X(avutil, av_log_set_level)                                                                                                            \
    X(avutil, av_malloc)                                                                                                                   \
    X(avutil, av_mallocz)                                                                                                                  \
    X(avutil, av_opt_set_double)                                                                                                           \
    X(avutil, av_opt_set_int)                                                                                                              \
    X(avutil, av_pix_fmt_desc_get)                                                                                                         \
    X(avutil, av_sample_fmt_is_planar)                                                                                                     \
    X(avutil, av_strerror)                                                                                                                 \
    X(avcodec, av_new_packet)                                                                                                              \
    X(avcodec, av_packet_alloc)                                                                                                            \
    X(avcodec, av_packet_free)                                                                                                             \
    X(avcodec, av_packet_unref)                                                                                                            \
    X(avcodec, avcodec_alloc_context3)                                                                                                     \
    X(avcodec, avcodec_find_decoder)                                                                                                       \
    X(avcodec, avcodec_find_decoder_by_name)                                                                                               \
    X(avcodec, avcodec_free_context)                                                                                                       \
    X(avcodec, avcodec_get_name)                                                                                                           \
    X(avcodec, avcodec_open2)                                                                                                              \
    X(avcodec, avcodec_parameters_to_context)                                                                                              \
    X(avcodec, avcodec_receive_frame)                                                                                                      \
    X(avcodec, avcodec_send_packet)                                                                                                        \
    X(avformat, av_find_best_stream)                                                                                                       \
    X(avformat, av_guess_sample_aspect_ratio)                                                                                              \
    X(avformat, av_read_frame)                                                                                                             \
    X(avformat, av_stream_get_side_data)                                                                                                   \
    X(avformat, avformat_alloc_context)                                                                                                    \
    X(avformat, avformat_close_input)                                                                                                      \
    X(avformat, avformat_find_stream_info)                                                                                                 \
    X(avformat, avformat_open_input)                                                                                                       \
    X(avformat, avio_alloc_context)                                                                                                        \
    X(avformat, avio_context_free)                                                                                                         \
    X(swresample, swr_alloc_set_opts2)                                                                                                     \
    X(swresample, swr_convert)                                                                                                             \
    X(swresample, swr_free)                                                                                                                \
    X(swresample, swr_get_out_samples)                                                                                                     \
    X(swresample, swr_init)                                                                                                                \
    X(swscale, sws_freeContext)                                                                                                            \
    X(swscale, sws_getCachedContext)                                                                                                       \
    X(swscale, sws_getCoefficients)                                                                                                        \
    X(swscale, sws_getContext)                                                                                                             \
    X(swscale, sws_scale)                                                                                                                  \
    X(swscale, sws_setColorspaceDetails)

typedef struct { /* pointers of the types that the headers declare */
#define SN_FFMPEG_FIELD(library, function) __typeof__(function) *function;
    SN_FFMPEG_FUNCTIONS(SN_FFMPEG_FIELD)
#undef SN_FFMPEG_FIELD
} sn_ffmpeg;

/* The first call opens the libraries, of the major versions of the headers, for the rest of the process, and makes them quiet; it and
 * all others give the same table, or the same error: SN_EIO, "FFmpeg cannot be loaded: libavutil.so.57: ...". A sandboxed worker can
 * open nothing: call it before the worker is started. */
sn_status sn_ffmpeg_get(const sn_ffmpeg **out, sn_err *err);

#endif
