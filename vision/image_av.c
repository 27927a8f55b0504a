/* image_av.c: libavcodec for single coded pictures, libavformat for the first frame of a film, libswscale for their colours. Nothing is
 * opened but the bytes that are given: demuxers are on a list, and every other file or address they ask for is refused. */
#include "../core/barren.h"
#include "../core/mem.h"
#include "av.h"

#include <limits.h>

#define FILM_FORMATS "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,swf"
#define FILM_PACKETS 2000 /* read at most before the first picture must be there */

/* ---- frames to samples ---- */

typedef struct { /* formats that need no arithmetic: the high byte of each sample */
    enum AVPixelFormat fmt;
    unsigned char n_ch, step, at; /* bytes from sample to sample; the byte of a sample that counts */
} plain_format;

static const plain_format plain_formats[] = {
    {AV_PIX_FMT_GRAY8, 1, 1, 0},    {AV_PIX_FMT_YA8, 2, 1, 0},      {AV_PIX_FMT_RGB24, 3, 1, 0},    {AV_PIX_FMT_RGBA, 4, 1, 0},
    {AV_PIX_FMT_GRAY16LE, 1, 2, 1}, {AV_PIX_FMT_GRAY16BE, 1, 2, 0}, {AV_PIX_FMT_YA16LE, 2, 2, 1},   {AV_PIX_FMT_YA16BE, 2, 2, 0},
    {AV_PIX_FMT_RGB48LE, 3, 2, 1},  {AV_PIX_FMT_RGB48BE, 3, 2, 0},  {AV_PIX_FMT_RGBA64LE, 4, 2, 1}, {AV_PIX_FMT_RGBA64BE, 4, 2, 0},
};

static void copy_plain(vis_raster *r, const AVFrame *f, const plain_format *p)
{
    const size_t n = r->w * r->n_ch;
    unsigned char *dst = r->data;

    for (size_t y = 0; y < r->h; y++, dst += n) {
        const unsigned char *src = f->data[0] + (ptrdiff_t)y * f->linesize[0] + p->at;
        for (size_t x = 0; x < n; x++) dst[x] = src[x * p->step];
    }
}

static void copy_palette(vis_raster *r, const AVFrame *f)
{
    unsigned char *dst = r->data;

    for (size_t y = 0; y < r->h; y++) {
        const unsigned char *src = f->data[0] + (ptrdiff_t)y * f->linesize[0];
        for (size_t x = 0; x < r->w; x++, dst += 4) {
            uint32_t argb;
            memcpy(&argb, f->data[1] + (size_t)src[x] * 4, 4);
            dst[0] = (unsigned char)(argb >> 16);
            dst[1] = (unsigned char)(argb >> 8);
            dst[2] = (unsigned char)argb;
            dst[3] = (unsigned char)(argb >> 24);
        }
    }
}

/* The planes of a frame that yuv.c converts; false where it is of another kind. */
static bool as_yuv(vis_yuv *s, const AVFrame *f, const AVPixFmtDescriptor *desc)
{
    const bool planes = desc->flags & AV_PIX_FMT_FLAG_PLANAR && !(desc->flags & AV_PIX_FMT_FLAG_RGB) && desc->nb_components >= 3;
    const bool bt709 = f->colorspace == AVCOL_SPC_BT709, bt2020 = f->colorspace == AVCOL_SPC_BT2020_NCL;

    if (!planes || desc->comp[0].depth != 8 || desc->log2_chroma_w > 1 || desc->log2_chroma_h > 1 || !f->data[2]) return false;
    *s = (vis_yuv){.half_w = desc->log2_chroma_w, .half_h = desc->log2_chroma_h, .cosited = f->chroma_location == AVCHROMA_LOC_LEFT};
    s->full = f->color_range == AVCOL_RANGE_JPEG || !strncmp(desc->name, "yuvj", 4);
    s->kr = bt709 ? 0.2126 : bt2020 ? 0.2627 : 0.299;
    s->kb = bt709 ? 0.0722 : bt2020 ? 0.0593 : 0.114;
    for (int i = 0; i < 4; i++) {
        s->plane[i] = i < desc->nb_components ? f->data[i] : NULL;
        s->stride[i] = f->linesize[i];
    }
    return true;
}

/* Planar RGB and odd depths: by libswscale, into rows padded for its wide stores. */
static sn_status convert(const sn_ffmpeg *ff, vis_raster *r, const AVFrame *f, sn_err *err)
{
    const size_t stride = (r->w * r->n_ch + 63) / 64 * 64;
    const int matrix = f->colorspace == AVCOL_SPC_BT709        ? SWS_CS_ITU709
                       : f->colorspace == AVCOL_SPC_BT2020_NCL ? SWS_CS_BT2020
                                                               : SWS_CS_ITU601;
    struct SwsContext *sws =
        ff->sws_getContext(f->width, f->height, f->format, f->width, f->height, r->n_ch == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24,
                           SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, NULL, NULL, NULL);
    unsigned char *rows = sn_alloc(r->h + 1, stride);
    sn_status st = SN_OK;

    if (!sws || !rows) {
        st = sn_fail(err, SN_EUNSUPPORTED, "colours of format %s cannot be read", ff->av_get_pix_fmt_name(f->format));
    } else {
        ff->sws_setColorspaceDetails(sws, ff->sws_getCoefficients(matrix), f->color_range == AVCOL_RANGE_JPEG,
                                     ff->sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
        ff->sws_scale(sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, (uint8_t *const[4]){rows},
                      (const int[4]){(int)stride});
        for (size_t y = 0; y < r->h; y++) memcpy(r->data + y * r->w * r->n_ch, rows + y * stride, r->w * r->n_ch);
    }
    sn_free(rows);
    ff->sws_freeContext(sws);
    return st;
}

sn_status vis_av_frame_to_raster(const sn_ffmpeg *ff, vis_raster *out, const AVFrame *f, size_t max_pixels, sn_err *err)
{
    const AVPixFmtDescriptor *desc = ff->av_pix_fmt_desc_get(f->format);
    const plain_format *plain = NULL;
    vis_raster r = {.w = (size_t)f->width, .h = (size_t)f->height};
    vis_yuv yuv;
    sn_status st;

    if (!desc || f->width < 1 || f->height < 1) return sn_fail(err, SN_EFORMAT, "the picture is damaged");
    if ((st = vis_check_size(r.w, r.h, max_pixels, err)) != SN_OK) return st;
    for (size_t i = 0; i < sizeof plain_formats / sizeof *plain_formats; i++)
        if (plain_formats[i].fmt == f->format) plain = &plain_formats[i];
    r.n_ch = plain ? plain->n_ch : f->format == AV_PIX_FMT_PAL8 || desc->flags & AV_PIX_FMT_FLAG_ALPHA ? 4 : 3;
    if (!(r.data = sn_alloc(r.w * r.h, r.n_ch))) return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", r.w, r.h);
    if (plain)
        copy_plain(&r, f, plain);
    else if (f->format == AV_PIX_FMT_PAL8)
        copy_palette(&r, f);
    else if (as_yuv(&yuv, f, desc))
        vis_yuv_to_rgb(&r, &yuv);
    else
        st = convert(ff, &r, f, err);
    if (st == SN_OK)
        *out = r;
    else
        sn_free(r.data);
    return st;
}

/* ---- one coded picture ---- */

AVCodecContext *vis_av_new_decoder(const sn_ffmpeg *ff, const AVCodec *codec, size_t max_pixels)
{
    AVCodecContext *c = codec ? ff->avcodec_alloc_context3(codec) : NULL;

    if (!c) return NULL;
    c->thread_count = 1;
    c->max_pixels = (int64_t)max_pixels;
    c->err_recognition = AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER | AV_EF_EXPLODE;
    return c;
}

sn_status vis_av_ready(sn_err *err)
{
    const sn_ffmpeg *ff;

    return sn_ffmpeg_get(&ff, err);
}

/* A packet with the padding that libavcodec reads over. */
static AVPacket *new_packet(const sn_ffmpeg *ff, vis_bytes data)
{
    AVPacket *p = ff->av_packet_alloc();

    if (p && ff->av_new_packet(p, (int)data.n) < 0) ff->av_packet_free(&p);
    if (p) memcpy(p->data, data.p, data.n);
    return p;
}

sn_status vis_av_decode(vis_raster *out, vis_av_codec codec, vis_bytes extra, vis_bytes data, size_t max_pixels, sn_err *err)
{
    static const enum AVCodecID ids[] = {AV_CODEC_ID_WEBP, AV_CODEC_ID_TIFF, AV_CODEC_ID_BMP, AV_CODEC_ID_HEVC, AV_CODEC_ID_AV1};
    const sn_ffmpeg *ff;
    const AVCodec *c;
    AVCodecContext *ctx;
    AVPacket *packet;
    AVFrame *frame;
    sn_status st = sn_ffmpeg_get(&ff, err);

    if (st != SN_OK) return st;
    if (data.n > INT_MAX / 2) return sn_fail(err, SN_ELIMIT, "a coded picture of more than 1 GB");
    packet = new_packet(ff, data);
    frame = ff->av_frame_alloc();
    c = codec == VIS_AV_AV1 ? ff->avcodec_find_decoder_by_name("libdav1d") : ff->avcodec_find_decoder(ids[codec]);
    if (!c && codec == VIS_AV_AV1) c = ff->avcodec_find_decoder(AV_CODEC_ID_AV1);
    ctx = vis_av_new_decoder(ff, c, max_pixels);
    if (!c) {
        st = sn_fail(err, SN_EUNSUPPORTED, "libavcodec has no decoder for %s here", ff->avcodec_get_name(ids[codec]));
        goto done;
    }
    if (!ctx || !packet || !frame) {
        st = sn_fail(err, SN_ENOMEM, "out of memory");
        goto done;
    }
    if (extra.n && extra.n < INT_MAX / 2 && (ctx->extradata = ff->av_mallocz(extra.n + AV_INPUT_BUFFER_PADDING_SIZE))) {
        memcpy(ctx->extradata, extra.p, extra.n);
        ctx->extradata_size = (int)extra.n;
    }
    packet->flags |= AV_PKT_FLAG_KEY;
    if (codec == VIS_AV_TIFF) ctx->err_recognition = 0; /* it takes any tag it does not know for an error otherwise */
    if (ff->avcodec_open2(ctx, c, NULL) < 0 || ff->avcodec_send_packet(ctx, packet) < 0 || ff->avcodec_send_packet(ctx, NULL) < 0 ||
        ff->avcodec_receive_frame(ctx, frame) < 0 || frame->decode_error_flags)
        st = sn_fail(err, SN_EFORMAT, "the picture is damaged or cut short (%s)", ff->avcodec_get_name(ids[codec]));
    else
        st = vis_av_frame_to_raster(ff, out, frame, max_pixels, err);
done:
    ff->av_frame_free(&frame);
    ff->av_packet_free(&packet);
    ff->avcodec_free_context(&ctx);
    return st;
}

sn_status vis_decode_tiff(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    (void)head;
    return vis_av_decode(out, VIS_AV_TIFF, (vis_bytes){0}, f, max_pixels, err);
}

/* stb reads BMPs but those in run lengths. */
sn_status vis_decode_bmp(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    const uint32_t compression = vis_le32(f.p + 14) >= 40 ? vis_le32(f.p + 30) : 0;

    if (compression == 1 || compression == 2) return vis_av_decode(out, VIS_AV_BMP, (vis_bytes){0}, f, max_pixels, err);
    return vis_decode_stb(out, f, head, max_pixels, err);
}

/* ---- films ---- */

typedef struct {
    vis_bytes f;
    size_t at;
    sn_barren barren;
} reader;

static int read_bytes(void *opaque, uint8_t *buf, int n)
{
    reader *r = opaque;
    const size_t left = r->f.n - r->at, take = left < (size_t)n ? left : (size_t)n;

    if (take == 0) return AVERROR_EOF;
    memcpy(buf, r->f.p + r->at, take);
    if (!sn_barren_go_on(&r->barren, buf, take, r->at, 0)) return AVERROR_EOF;
    r->at += take;
    return (int)take;
}

static int64_t seek_bytes(void *opaque, int64_t offset, int whence)
{
    reader *r = opaque;

    if (whence == AVSEEK_SIZE) return (int64_t)r->f.n;
    if (whence == SEEK_CUR) offset += (int64_t)r->at;
    if (whence == SEEK_END) offset += (int64_t)r->f.n;
    if (offset < 0 || (uint64_t)offset > r->f.n) return AVERROR(EINVAL);
    r->at = (size_t)offset;
    return offset;
}

/* A film names no other file: whatever it asks for is not there. */
static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    (void)s, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(ENOENT);
}

static AVFormatContext *open_container(const sn_ffmpeg *ff, AVIOContext *io)
{
    AVFormatContext *fmt = ff->avformat_alloc_context();
    AVDictionary *options = NULL;
    int res;

    if (!fmt) return NULL;
    fmt->pb = io;
    fmt->io_open = refuse_open;
    fmt->flags |= AVFMT_FLAG_CUSTOM_IO;
    fmt->probesize = 5000000;
    fmt->max_analyze_duration = 2 * AV_TIME_BASE;
    fmt->max_probe_packets = 500;
    fmt->max_streams = 64;
    ff->av_dict_set(&options, "format_whitelist", FILM_FORMATS, 0);
    res = ff->avformat_open_input(&fmt, NULL, NULL, &options); /* frees fmt on failure */
    ff->av_dict_free(&options);
    if (res < 0) return NULL;
    return fmt;
}

/* The display matrix [a b; c d] (in 16.16) as an orientation: which way the picture's right and its top come to lie. */
static int matrix_orientation(const int32_t *m)
{
    const int32_t a = m[0], b = m[1], c = m[3], d = m[4];

    if (a == 0 && d == 0) return b > 0 ? (c < 0 ? 6 : 5) : (c > 0 ? 8 : 7);
    if (b == 0 && c == 0) return a > 0 ? (d < 0 ? 4 : 1) : (d < 0 ? 3 : 2);
    return 1;
}

sn_status vis_av_film_to_raster(const sn_ffmpeg *ff, vis_raster *out, AVFrame *f, const AVStream *stream, size_t max_pixels, sn_err *err)
{
    const int32_t *matrix = (const int32_t *)ff->av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
    sn_status st;

    if (f->chroma_location == AVCHROMA_LOC_UNSPECIFIED) f->chroma_location = AVCHROMA_LOC_LEFT;     /* MPEG-2's and its successors' */
    if (f->colorspace == AVCOL_SPC_UNSPECIFIED && f->height > 576) f->colorspace = AVCOL_SPC_BT709; /* what players take for HD */
    st = vis_av_frame_to_raster(ff, out, f, max_pixels, err);
    if (st == SN_OK && matrix) out->orientation = matrix_orientation(matrix);
    return st;
}

/* The stream's first picture. */
static sn_status first_picture(const sn_ffmpeg *ff, vis_raster *out, AVFormatContext *fmt, const AVStream *stream, size_t max_pixels,
                               sn_err *err)
{
    const AVCodec *codec = ff->avcodec_find_decoder(stream->codecpar->codec_id);
    AVCodecContext *ctx = vis_av_new_decoder(ff, codec, max_pixels);
    AVPacket *packet = ff->av_packet_alloc();
    AVFrame *frame = ff->av_frame_alloc();
    sn_status st = sn_fail(err, SN_EFORMAT, "no picture can be decoded from this film: damaged or cut short");
    bool found = false;

    if (!ctx || !packet || !frame || ff->avcodec_parameters_to_context(ctx, stream->codecpar) < 0) goto done;
    ctx->err_recognition = 0; /* a film may begin in the middle: the first whole picture counts */
    if (ff->avcodec_open2(ctx, codec, NULL) < 0) goto done;
    for (int i = 0; i < FILM_PACKETS && !found; i++) {
        const int res = ff->av_read_frame(fmt, packet);
        if (res >= 0 && packet->stream_index == stream->index) ff->avcodec_send_packet(ctx, packet);
        if (res < 0) ff->avcodec_send_packet(ctx, NULL);
        ff->av_packet_unref(packet);
        while (!found && ff->avcodec_receive_frame(ctx, frame) >= 0)
            found = !frame->decode_error_flags && !(frame->flags & AV_FRAME_FLAG_CORRUPT);
        if (res < 0) break;
    }
    if (!found) goto done;
    st = vis_av_film_to_raster(ff, out, frame, stream, max_pixels, err);
done:
    ff->av_frame_free(&frame);
    ff->av_packet_free(&packet);
    ff->avcodec_free_context(&ctx);
    return st;
}

/* Holds the sizes that the file says of its pictures against the limit. */
static sn_status check_streams(const AVFormatContext *fmt, size_t max_pixels, sn_err *err)
{
    for (unsigned i = 0; i < fmt->nb_streams; i++) {
        const AVCodecParameters *p = fmt->streams[i]->codecpar;
        sn_status st;

        if (p->codec_type != AVMEDIA_TYPE_VIDEO || p->width <= 0 || p->height <= 0) continue;
        if ((st = vis_check_size((size_t)p->width, (size_t)p->height, max_pixels, err)) != SN_OK) return st;
    }
    return SN_OK;
}

/* Streams may need a look at their first packets before their codecs are known. One options entry a stream. */
static bool probe_streams(const sn_ffmpeg *ff, AVFormatContext *fmt, size_t max_pixels)
{
    const unsigned n = fmt->nb_streams;
    AVDictionary **options = sn_calloc(n + 1, sizeof *options);
    bool ok = false;

    if (!options) return false;
    for (unsigned i = 0; i < n; i++) {
        ff->av_dict_set_int(&options[i], "max_pixels", (int64_t)max_pixels, 0);
        ff->av_dict_set_int(&options[i], "threads", 1, 0);
    }
    ok = ff->avformat_find_stream_info(fmt, options) >= 0;
    for (unsigned i = 0; i < n; i++) ff->av_dict_free(&options[i]);
    sn_free(options);
    return ok;
}

static sn_status choose_stream(const sn_ffmpeg *ff, AVFormatContext *fmt, int *stream, size_t max_pixels, sn_err *err)
{
    sn_status st = check_streams(fmt, max_pixels, err);

    if (st != SN_OK) return st;
    if (!probe_streams(ff, fmt, max_pixels)) return sn_fail(err, SN_EFORMAT, "this film is damaged or cut short");
    *stream = ff->av_find_best_stream(fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (*stream < 0 || fmt->streams[*stream]->disposition & AV_DISPOSITION_ATTACHED_PIC)
        return sn_fail(err, SN_EFORMAT, "no pictures in this file: it is a sound, or damaged");
    return check_streams(fmt, max_pixels, err);
}

sn_status vis_av_open_film(const sn_ffmpeg *ff, AVFormatContext **out, int *stream, AVIOContext *io, size_t max_pixels, sn_err *err)
{
    AVFormatContext *fmt = open_container(ff, io);
    sn_status st = fmt ? choose_stream(ff, fmt, stream, max_pixels, err) : sn_fail(err, SN_EFORMAT, "this film is damaged or cut short");

    if (st == SN_OK)
        *out = fmt;
    else
        ff->avformat_close_input(&fmt);
    return st;
}

sn_status vis_decode_movie(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    reader r = {.f = f};
    const sn_ffmpeg *ff;
    unsigned char *buffer;
    AVIOContext *io;
    AVFormatContext *fmt = NULL;
    int stream;
    sn_status st = sn_ffmpeg_get(&ff, err);

    (void)head;
    if (st != SN_OK) return st;
    buffer = ff->av_malloc(65536);
    io = buffer ? ff->avio_alloc_context(buffer, 65536, 0, &r, read_bytes, NULL, seek_bytes) : NULL;
    if (!io) {
        ff->av_free(buffer);
        return sn_fail(err, SN_ENOMEM, "out of memory");
    }
    st = vis_av_open_film(ff, &fmt, &stream, io, max_pixels, err);
    if (st == SN_OK) st = first_picture(ff, out, fmt, fmt->streams[stream], max_pixels, err);
    if (st == SN_EFORMAT && r.barren.lost)
        sn_fail(err, st, "truncated or damaged: nothing but zeros from byte %llu on", (unsigned long long)r.barren.at);
    ff->avformat_close_input(&fmt);
    ff->av_freep(&io->buffer);
    ff->avio_context_free(&io);
    return st;
}
