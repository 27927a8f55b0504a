/* sound_av.c: sound through FFmpeg: every container and codec that libsndfile has not, and the resampler.
 *
 * The input is hostile: demuxers and decoders are on a list each, bytes come through our own callbacks, and nothing can be
 * opened by name (playlists, references in MP4, subtitles). */
#include "../core/barren.h"
#include "../core/ffmpeg.h"
#include "../core/mem.h"
#include "sound.h"

#include <math.h>
#include <string.h>

#define IO_BUFFER 32768
/* A file that makes the demuxer hand out the same bytes again and again has no end: this many times its size is too much. */
#define MAX_REREAD 16
#define MAX_JUNK ((uint64_t)64 << 20) /* between two frames of a bare stream: tags with pictures are smaller */

static const char demuxers[] = "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,eac3,flac,flv,gsm,loas,m4v,matroska,webm,mov,mp3,"
                               "mpeg,mpegts,mpc,mpc8,ogg,oma,rm,tak,tta,voc,w64,wav,wv,xwma,3gp,mp4";
static const char decoders[] =
    "aac,aac_latm,ac3,eac3,adpcm_ima_wav,adpcm_ima_qt,adpcm_ms,adpcm_swf,adpcm_yamaha,alac,amrnb,amrwb,ape,atrac3,atrac3p,cook,dca,"
    "flac,g722,g723_1,g726,g729,gsm,gsm_ms,libgsm,libgsm_ms,libopencore_amrnb,libopencore_amrwb,libopus,libspeex,libvorbis,mp1float,"
    "mp1,mp2float,mp2,mp3float,mp3,mpc7,mpc8,nellymoser,opus,ra_144,ra_288,sipr,speex,tak,truespeech,tta,vorbis,wavpack,wmalossless,"
    "wmapro,wmav1,wmav2,wmavoice,pcm_alaw,pcm_mulaw,pcm_bluray,pcm_dvd,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_lxf,pcm_s16be,"
    "pcm_s16be_planar,pcm_s16le,pcm_s16le_planar,pcm_s24be,pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_s8_planar,pcm_u16be,pcm_u16le,"
    "pcm_u24be,pcm_u24le,pcm_u32be,pcm_u32le,pcm_u8";

typedef struct {
    const sn_ffmpeg *ff;
    aud_file *file;
    uint64_t at; /* of the virtual file */
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    int stream;
    int frame_at; /* samples of `frame` already given out */
    bool have_frame, draining;
    bool bare;                       /* a stream of frames without a container: junk between them is common */
    uint64_t n_good, n_bad, n_bytes; /* packets, and the bytes they held */
    double seconds;
    double given; /* seconds handed out */
    sn_barren barren;
    bool pages; /* Ogg: a page whose checksum is wrong is dropped without a word, but the last one tells the length */
} av;

static const char *av_text(const sn_ffmpeg *ff, int code, char *buf, size_t n)
{
    return ff->av_strerror(code, buf, n) == 0 ? buf : "unknown error";
}

static int io_read(void *user, uint8_t *dst, int n)
{
    av *d = user;
    size_t got = n > 0 ? aud_file_read(d->file, d->at, dst, (size_t)n) : 0;
    if (!sn_barren_go_on(&d->barren, dst, got, d->at, d->bare ? MAX_JUNK : 0)) return AVERROR_EOF;
    d->at += got;
    return got > 0 ? (int)got : AVERROR_EOF;
}

static int64_t io_seek(void *user, int64_t offset, int whence)
{
    av *d = user;
    int64_t base = 0, to;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE) return (int64_t)d->file->size;
    if (whence == SEEK_CUR) base = (int64_t)d->at;
    if (whence == SEEK_END) base = (int64_t)d->file->size;
    if (__builtin_add_overflow(base, offset, &to) || to < 0) return AVERROR(EINVAL);
    d->at = (uint64_t)to;
    return to;
}

static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    (void)s, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

static void av_close(void *state)
{
    av *d = state;
    d->ff->av_frame_free(&d->frame);
    d->ff->av_packet_free(&d->packet);
    d->ff->avcodec_free_context(&d->codec);
    d->ff->avformat_close_input(&d->format);
    if (d->io) d->ff->av_freep(&d->io->buffer);
    d->ff->avio_context_free(&d->io);
    sn_free(d);
}

/* ---- opening ---- */

static sn_status lost(const av *d, sn_err *err)
{
    return sn_fail(err, SN_EFORMAT, "is truncated or corrupt: nothing but %s from byte %llu on", d->barren.n_zeros ? "zeros" : "junk",
                   (unsigned long long)d->barren.at);
}

static sn_status open_io(av *d, sn_err *err)
{
    uint8_t *buffer = d->ff->av_malloc(IO_BUFFER);
    d->format = d->ff->avformat_alloc_context();
    d->packet = d->ff->av_packet_alloc();
    d->frame = d->ff->av_frame_alloc();
    d->io = buffer ? d->ff->avio_alloc_context(buffer, IO_BUFFER, 0, d, io_read, NULL, io_seek) : NULL;
    if (!d->io) d->ff->av_free(buffer);
    if (!d->io || !d->format || !d->packet || !d->frame) return sn_fail(err, SN_ENOMEM, "out of memory");
    d->format->pb = d->io;
    d->format->io_open = refuse_open;
    return SN_OK;
}

static sn_status open_container(av *d, sn_err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    AVDictionary *options = NULL;
    int rc;

    d->ff->av_dict_set(&options, "format_whitelist", demuxers, 0);
    d->ff->av_dict_set(&options, "codec_whitelist", decoders, 0);
    d->ff->av_dict_set(&options, "protocol_whitelist", "none", 0);
    rc = d->ff->avformat_open_input(&d->format, NULL, NULL, &options); /* frees d->format when it fails */
    d->ff->av_dict_free(&options);
    if (rc == AVERROR(ENOMEM)) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (d->barren.lost && rc < 0) return lost(d, err);
    if (rc == AVERROR(EINVAL)) return sn_fail(err, SN_EUNSUPPORTED, "is of a kind that is not read as sound"); /* not on our list */
    if (rc < 0) return sn_fail(err, SN_EUNSUPPORTED, "cannot be read as sound: %s", av_text(d->ff, rc, text, sizeof text));
    d->bare = strcmp(d->format->iformat->name, "mp3") == 0 || strcmp(d->format->iformat->name, "aac") == 0;
    d->pages = strcmp(d->format->iformat->name, "ogg") == 0;
    rc = d->ff->avformat_find_stream_info(d->format, NULL);
    if (rc < 0) return sn_fail(err, SN_EFORMAT, "cannot be read as sound: %s", av_text(d->ff, rc, text, sizeof text));
    return SN_OK;
}

/* The first audio stream; the others' packets are dropped by the demuxer. */
static sn_status pick_stream(av *d, sn_err *err)
{
    d->stream = -1;
    for (unsigned i = 0; i < d->format->nb_streams; i++) {
        AVStream *s = d->format->streams[i];
        if (d->stream < 0 && s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
            d->stream = (int)i;
        else
            s->discard = AVDISCARD_ALL;
    }
    if (d->stream < 0) return sn_fail(err, SN_EFORMAT, "holds no sound: no audio stream in it (%s)", d->format->iformat->name);
    return SN_OK;
}

static sn_status open_codec(av *d, sn_err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    AVStream *s = d->format->streams[d->stream];
    const AVCodec *codec = d->ff->avcodec_find_decoder(s->codecpar->codec_id);
    AVDictionary *options = NULL;
    int rc;

    if (!codec)
        return sn_fail(err, SN_EUNSUPPORTED, "holds sound of a codec without a decoder: %s",
                       d->ff->avcodec_get_name(s->codecpar->codec_id));
    d->codec = d->ff->avcodec_alloc_context3(codec);
    if (!d->codec) return sn_fail(err, SN_ENOMEM, "out of memory");
    rc = d->ff->avcodec_parameters_to_context(d->codec, s->codecpar);
    if (rc < 0) return sn_fail(err, SN_EFORMAT, "cannot be read as sound: %s", av_text(d->ff, rc, text, sizeof text));
    d->codec->pkt_timebase = s->time_base; /* lets the decoder drop the encoder's delay and padding */
    d->codec->thread_count = 1;
    d->ff->av_dict_set(&options, "codec_whitelist", decoders, 0);
    rc = d->ff->avcodec_open2(d->codec, codec, &options);
    d->ff->av_dict_free(&options);
    if (rc < 0)
        return sn_fail(err, SN_EUNSUPPORTED, "its %s sound cannot be decoded: %s", codec->name, av_text(d->ff, rc, text, sizeof text));
    d->seconds = s->duration > 0           ? (double)s->duration * av_q2d(s->time_base)
                 : d->format->duration > 0 ? (double)d->format->duration / AV_TIME_BASE
                                           : -1;
    return SN_OK;
}

/* ---- decoding ---- */

/* Whether what is wrong is that the file ends, and that is accepted. */
static bool ends_here(av *d)
{
    const int64_t read = d->io->pos - (d->io->buf_end - d->io->buf_ptr);
    if (!d->file->accept_truncated || (!d->barren.lost && (read < 0 || (uint64_t)read < d->file->size))) return false;
    d->file->cut = true;
    return true;
}

/* Notes a packet that does not decode. Between a bare stream's frames there may be tags and junk, and a stream may begin in
 * the middle; anywhere else it means damage. */
static sn_status bad_packet(av *d, int rc, sn_err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    d->n_bad++;
    if (rc == AVERROR(ENOMEM)) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (d->n_good == 0 && d->n_bad < 64) return SN_OK;
    if (ends_here(d)) return SN_OK;
    if (d->bare && d->n_bad <= 2 + d->n_good / 16) return SN_OK;
    return sn_fail(err, SN_EFORMAT, "is corrupt or truncated: %s", av_text(d->ff, rc, text, sizeof text));
}

/* One packet of our stream to the decoder, or the end. */
static sn_status feed(av *d, sn_err *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE];
    int rc;
    do {
        d->ff->av_packet_unref(d->packet);
        rc = d->ff->av_read_frame(d->format, d->packet);
        if (d->barren.lost && !ends_here(d)) return lost(d, err);
        sn_barren_end(&d->barren);
        if (rc == AVERROR_EOF || (rc < 0 && ends_here(d))) {
            if (d->io->error < 0) return sn_fail(err, SN_EIO, "cannot be read: %s", av_text(d->ff, d->io->error, text, sizeof text));
            d->draining = true;
            rc = d->ff->avcodec_send_packet(d->codec, NULL);
            return rc < 0 && rc != AVERROR_EOF ? bad_packet(d, rc, err) : SN_OK;
        }
        if (rc < 0) return sn_fail(err, SN_EFORMAT, "is corrupt or truncated: %s", av_text(d->ff, rc, text, sizeof text));
        d->n_bytes += (uint64_t)d->packet->size + 1;
        if (d->n_bytes / MAX_REREAD > d->file->size + 65536)
            return sn_fail(err, SN_EFORMAT, "is corrupt: the same bytes are sound again and again");
    } while (d->packet->stream_index != d->stream);
    if ((d->packet->flags & AV_PKT_FLAG_CORRUPT) && !d->bare && !ends_here(d))
        return sn_fail(err, SN_EFORMAT, "is truncated: it ends inside a packet of sound");
    rc = d->ff->avcodec_send_packet(d->codec, d->packet);
    d->ff->av_packet_unref(d->packet);
    if (rc < 0) return bad_packet(d, rc, err);
    d->n_good++;
    return SN_OK;
}

/* Whether all came that should have come. */
static sn_status check_end(const av *d, sn_err *err)
{
    if (d->n_good > 0 && d->n_bad > d->n_good) return sn_fail(err, SN_EFORMAT, "is corrupt: most of it does not decode");
    if (d->pages && d->given < d->seconds - 0.1)
        return sn_fail(err, SN_EFORMAT, "is corrupt: %.2f s of the %.2f s it declares", d->given, d->seconds);
    return SN_OK;
}

/* The next frame with samples in it, or have_frame false at the end. */
static sn_status next_frame(av *d, sn_err *err)
{
    d->have_frame = false;
    for (;;) {
        int rc = d->ff->avcodec_receive_frame(d->codec, d->frame);
        if (rc == AVERROR_EOF) return check_end(d, err);
        if (rc == 0 && d->frame->nb_samples > 0) {
            sn_status st = d->frame->ch_layout.nb_channels > 0 && d->frame->sample_rate > 0
                               ? aud_check_layout((size_t)d->frame->ch_layout.nb_channels, (size_t)d->frame->sample_rate, err)
                               : sn_fail(err, SN_EFORMAT, "is corrupt: sound without a sample rate");
            d->frame_at = 0;
            d->have_frame = true;
            return st;
        }
        if (rc == AVERROR(EAGAIN)) {
            if (d->draining) return check_end(d, err);
            rc = 0;
            sn_status st = feed(d, err);
            if (st != SN_OK) return st;
        }
        if (rc < 0) {
            sn_status st = bad_packet(d, rc, err);
            if (st != SN_OK) return st;
        }
    }
}

/* Sample i of channel c of a frame, full scale 1. The layout is told by the packed format and whether it is planar. */
static float sample_of(const AVFrame *f, enum AVSampleFormat packed, bool planar, size_t c, size_t i)
{
    const uint8_t *p = f->extended_data[planar ? c : 0];
    size_t k = planar ? i : i * (size_t)f->ch_layout.nb_channels + c;
    switch (packed) { /* the library aligns its frames for these types */
    case AV_SAMPLE_FMT_U8: return ((float)p[k] - 128) / 128;
    case AV_SAMPLE_FMT_S16: return (float)((const int16_t *)(const void *)p)[k] / 32768;
    case AV_SAMPLE_FMT_S32: return (float)((const int32_t *)(const void *)p)[k] / 2147483648.0f;
    case AV_SAMPLE_FMT_S64: return (float)((const int64_t *)(const void *)p)[k] / 9223372036854775808.0f;
    case AV_SAMPLE_FMT_FLT: return ((const float *)(const void *)p)[k];
    case AV_SAMPLE_FMT_DBL: return (float)((const double *)(const void *)p)[k];
    default: return 0;
    }
}

static sn_status av_read(void *state, float *dst, size_t n, size_t *got, size_t *rate_hz, sn_err *err)
{
    av *d = state;
    *got = 0;
    while (!d->have_frame || d->frame_at >= d->frame->nb_samples) {
        sn_status st = next_frame(d, err);
        if (st != SN_OK || !d->have_frame) return st;
    }
    const AVFrame *f = d->frame;
    size_t n_ch = (size_t)f->ch_layout.nb_channels, left = (size_t)(f->nb_samples - d->frame_at);
    enum AVSampleFormat packed = d->ff->av_get_packed_sample_fmt((enum AVSampleFormat)f->format);
    bool planar = d->ff->av_sample_fmt_is_planar((enum AVSampleFormat)f->format) == 1;
    float one[AUD_MAX_CHANNELS];

    *got = n < left ? n : left;
    *rate_hz = (size_t)f->sample_rate;
    for (size_t i = 0; i < *got; i++) {
        for (size_t c = 0; c < n_ch; c++) one[c] = sample_of(f, packed, planar, c, (size_t)d->frame_at + i);
        aud_mix(dst + i, one, 1, n_ch);
    }
    d->frame_at += (int)*got;
    d->given += (double)*got / f->sample_rate;
    return SN_OK;
}

static double av_seconds(const void *state)
{
    const av *d = state;
    return d->seconds;
}

static const aud_decoder_ops av_ops = {.read = av_read, .seconds = av_seconds, .close = av_close};

sn_status aud_av_ready(sn_err *err)
{
    const sn_ffmpeg *ff;
    return sn_ffmpeg_get(&ff, err);
}

/* A container that is open; close with av_close. */
static sn_status open_av(av **out, aud_file *f, sn_err *err)
{
    const sn_ffmpeg *ff;
    sn_status st = sn_ffmpeg_get(&ff, err);
    av *d = st == SN_OK ? sn_calloc(1, sizeof *d) : NULL;
    if (st != SN_OK) return st;
    if (!d) return sn_fail(err, SN_ENOMEM, "out of memory");
    d->ff = ff;
    d->file = f;
    st = open_io(d, err);
    if (st == SN_OK) st = open_container(d, err);
    if (st == SN_OK)
        *out = d;
    else
        av_close(d);
    return st;
}

sn_status aud_av_open(aud_decoder *out, aud_file *f, sn_err *err)
{
    av *d;
    sn_status st = open_av(&d, f, err);
    if (st != SN_OK) return st;
    st = pick_stream(d, err);
    if (st == SN_OK) st = open_codec(d, err);
    if (st != SN_OK) {
        av_close(d);
        return st;
    }
    *out = (aud_decoder){.ops = &av_ops, .state = d};
    return SN_OK;
}

sn_status aud_av_streams(aud_file *f, bool *sound, bool *moving, sn_err *err)
{
    av *d;
    sn_status st = open_av(&d, f, err);
    if (st != SN_OK) return st;
    *sound = *moving = false;
    for (unsigned i = 0; i < d->format->nb_streams; i++) {
        const AVStream *s = d->format->streams[i];
        if (s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) *sound = true;
        if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(s->disposition & AV_DISPOSITION_ATTACHED_PIC)) *moving = true;
    }
    av_close(d);
    return SN_OK;
}

/* ---- resampling ---- */

struct aud_resampler {
    const sn_ffmpeg *ff;
    SwrContext *swr;
};

sn_status aud_resampler_open(aud_resampler **out, size_t rate_hz, sn_err *err)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    aud_resampler *r = sn_calloc(1, sizeof *r);
    if (!r) return sn_fail(err, SN_ENOMEM, "out of memory");
    sn_status st = sn_ffmpeg_get(&r->ff, err);
    if (st != SN_OK) {
        sn_free(r);
        return st;
    }
    int rc = r->ff->swr_alloc_set_opts2(&r->swr, &mono, AV_SAMPLE_FMT_FLT, AUD_RATE_HZ, &mono, AV_SAMPLE_FMT_FLT, (int)rate_hz, 0, NULL);
    /* A Kaiser window (beta 9: stop band below -80 dB) of 256 taps at the lower rate: flat to 7.5 kHz, closed at 8. */
    if (rc >= 0) rc = r->ff->av_opt_set_int(r->swr, "filter_size", 256, 0);
    if (rc >= 0) rc = r->ff->av_opt_set_double(r->swr, "cutoff", 0.97, 0);
    if (rc >= 0) rc = r->ff->swr_init(r->swr);
    if (rc < 0) {
        aud_resampler_close(r);
        return sn_fail(err, SN_ENOMEM, "no resampler from %zu Hz", rate_hz);
    }
    *out = r;
    return SN_OK;
}

void aud_resampler_close(aud_resampler *r)
{
    if (!r) return;
    r->ff->swr_free(&r->swr);
    sn_free(r);
}

size_t aud_resampler_room(const aud_resampler *r, size_t n_in)
{
    int n = r->ff->swr_get_out_samples(r->swr, (int)n_in);
    return n > 0 ? (size_t)n : 0;
}

sn_status aud_resampler_run(aud_resampler *r, const float *src, size_t n_in, float *dst, size_t room, size_t *n_out, sn_err *err)
{
    const uint8_t *in[1] = {(const uint8_t *)src};
    uint8_t *out[1] = {(uint8_t *)dst};
    int n = r->ff->swr_convert(r->swr, out, (int)room, src ? in : NULL, (int)n_in);
    if (n < 0) return sn_fail(err, SN_ENOMEM, "the resampler failed");
    *n_out = (size_t)n;
    return SN_OK;
}
