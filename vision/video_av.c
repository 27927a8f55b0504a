/* video_av.c: a film's key frames through FFmpeg. A film is read twice from an open descriptor: once to look at its frames from afar,
 * once to decode those that were chosen. Of long films only the frames that are coded on their own are decoded, and not all of them, so
 * an hour of film takes seconds. Memory does not grow with length. The file is hostile: see av.h. */
#include "../core/barren.h"
#include "../core/mem.h"
#include "av.h"
#include "video.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IO_BUFFER 65536
#define MAX_LOOKS 4096
#define SHORT_S 60.0     /* up to here every frame is looked at */
#define SPARSE_S 600.0   /* up to here also where too few frames are coded on their own */
#define KEYS_LOOKED 512  /* of a long film */
#define MAX_FRAMES 50000 /* decoded in a pass */
#define MAX_REREAD 16    /* a file whose packets hold so many times its size goes round in circles */
#define MAX_ASPECT 8     /* of one sample; beyond, it is no aspect but damage */

typedef struct {
    const sn_ffmpeg *ff;
    int fd;
    uint64_t at, size;
    AVIOContext *io;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    AVStream *stream;
    bool accept_truncated, cut;          /* cut: it is, and that is accepted */
    bool keys_only, draining, whole_end; /* whole_end: the container's duration is that of its last packet */
    double start_s, duration_s;          /* negative: unknown */
    double next_key_s, packet_end_s;
    double t_s; /* of frame */
    size_t n_frames;
    uint64_t n_bytes;
    sn_barren barren;
} film;

/* ---- bytes ---- */

static int io_read(void *user, uint8_t *dst, int n)
{
    film *f = user;
    ssize_t got;

    do got = pread(f->fd, dst, n > 0 ? (size_t)n : 0, (off_t)f->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return AVERROR(EIO);
    if (!sn_barren_go_on(&f->barren, dst, (size_t)got, f->at, 0)) return AVERROR_EOF;
    f->at += (uint64_t)got;
    return got > 0 ? (int)got : AVERROR_EOF;
}

static int64_t io_seek(void *user, int64_t offset, int whence)
{
    film *f = user;
    const int how = whence & ~AVSEEK_FORCE;
    int64_t to;

    if (how == AVSEEK_SIZE) return (int64_t)f->size;
    if (__builtin_add_overflow(how == SEEK_CUR ? (int64_t)f->at : how == SEEK_END ? (int64_t)f->size : 0, offset, &to) || to < 0)
        return AVERROR(EINVAL);
    f->at = (uint64_t)to;
    return to;
}

static bool read_at(const film *f, void *dst, size_t n, uint64_t at)
{
    return pread(f->fd, dst, n, (off_t)at) == (ssize_t)n;
}

static sn_status truncated(const film *f, uint64_t want, sn_err *err)
{
    return sn_fail(err, SN_EFORMAT, "truncated: %llu of %llu bytes are there", (unsigned long long)f->size, (unsigned long long)want);
}

static sn_status lost(const film *f, sn_err *err)
{
    return sn_fail(err, SN_EFORMAT, "truncated or damaged: nothing but zeros from byte %llu on", (unsigned long long)f->barren.at);
}

/* Holds the sizes that the file says of its parts against its own, where the container says any. *cut: it is shorter. */
static sn_status check_length(const film *f, bool *cut, sn_err *err)
{
    unsigned char b[16];

    if (!read_at(f, b, sizeof b, 0)) return sn_fail(err, SN_EFORMAT, "not a video: %llu bytes", (unsigned long long)f->size);
    if (!vis_is_movie((vis_bytes){b, sizeof b})) return SN_OK; /* left to the demuxers */
    *cut = !memcmp(b, "RIFF", 4) && vis_le32(b + 4) > f->size - 8;
    if (*cut) return truncated(f, vis_le32(b + 4) + 8ULL, err);
    if (memcmp(b + 4, "ftyp", 4)) return SN_OK;
    for (uint64_t at = 0; at < f->size;) {
        uint64_t size;

        memset(b, 0, sizeof b);
        *cut = !read_at(f, b, 8, at);
        if (*cut) return truncated(f, at + 8, err);
        size = vis_be32(b);
        if (size == 0) break;
        if (size == 1) size = read_at(f, b, 16, at) ? (uint64_t)vis_be32(b + 8) << 32 | vis_be32(b + 12) : 0;
        if (size < 8)
            return sn_fail(err, SN_EFORMAT, "damaged: a part of %llu bytes at byte %llu", (unsigned long long)size, (unsigned long long)at);
        *cut = size > f->size - at;
        if (*cut) return truncated(f, size < UINT64_MAX - at ? at + size : UINT64_MAX, err);
        at += size;
    }
    return SN_OK;
}

/* ---- opening ---- */

static void film_close(film *f)
{
    f->ff->av_frame_free(&f->frame);
    f->ff->av_packet_free(&f->packet);
    f->ff->avcodec_free_context(&f->codec);
    f->ff->avformat_close_input(&f->format);
    if (f->io) f->ff->av_freep(&f->io->buffer);
    f->ff->avio_context_free(&f->io);
}

static sn_status open_codec(film *f, size_t max_pixels, sn_err *err)
{
    const AVCodec *codec = f->ff->avcodec_find_decoder(f->stream->codecpar->codec_id);

    if (!codec)
        return sn_fail(err, SN_EUNSUPPORTED, "pictures of a codec without a decoder: %s",
                       f->ff->avcodec_get_name(f->stream->codecpar->codec_id));
    f->codec = vis_av_new_decoder(f->ff, codec, max_pixels);
    if (!f->codec || f->ff->avcodec_parameters_to_context(f->codec, f->stream->codecpar) < 0)
        return sn_fail(err, SN_ENOMEM, "out of memory");
    f->codec->err_recognition = 0; /* a film may begin in the middle */
    f->codec->pkt_timebase = f->stream->time_base;
    if (f->keys_only) f->codec->skip_frame = AVDISCARD_NONKEY;
    if (f->ff->avcodec_open2(f->codec, codec, NULL) < 0)
        return sn_fail(err, SN_EUNSUPPORTED, "its %s pictures cannot be decoded", codec->name);
    return SN_OK;
}

/* *f holds fd and size; film_close in any case. */
static sn_status film_open(film *f, size_t max_pixels, sn_err *err)
{
    uint8_t *buffer = f->ff->av_malloc(IO_BUFFER);
    int stream = 0;
    sn_status st;

    f->packet = f->ff->av_packet_alloc();
    f->frame = f->ff->av_frame_alloc();
    f->io = buffer ? f->ff->avio_alloc_context(buffer, IO_BUFFER, 0, f, io_read, NULL, io_seek) : NULL;
    if (!f->io) f->ff->av_free(buffer);
    if (!f->io || !f->packet || !f->frame) return sn_fail(err, SN_ENOMEM, "out of memory");
    if ((st = vis_av_open_film(f->ff, &f->format, &stream, f->io, max_pixels, err)) != SN_OK) return f->barren.lost ? lost(f, err) : st;
    f->stream = f->format->streams[stream];
    f->whole_end = !strncmp(f->format->iformat->name, "matroska", 8);
    f->start_s = f->format->start_time != AV_NOPTS_VALUE ? (double)f->format->start_time / AV_TIME_BASE : 0;
    f->duration_s = f->format->duration > 0 ? (double)f->format->duration / AV_TIME_BASE : -1;
    if (f->stream->duration > 0 && !f->whole_end) f->duration_s = (double)f->stream->duration * av_q2d(f->stream->time_base);
    for (unsigned i = 0; i < f->format->nb_streams && !f->whole_end; i++) /* not NONKEY: libavformat's MP4 demuxer then tells wrong times */
        if ((int)i != stream) f->format->streams[i]->discard = AVDISCARD_ALL;
    return open_codec(f, max_pixels, err);
}

/* ---- frames ---- */

static double seconds(const film *f, int64_t ts, const AVStream *s)
{
    return ts != AV_NOPTS_VALUE ? (double)ts * av_q2d(s->time_base) - f->start_s : -1;
}

/* Whether the packet is one to decode: of a long film only keys, and these so far apart that there are not too many. */
static bool wanted(film *f)
{
    const AVPacket *p = f->packet;
    const double t = seconds(f, p->pts != AV_NOPTS_VALUE ? p->pts : p->dts, f->stream);

    if (p->stream_index != f->stream->index) return false;
    if (!f->keys_only) return true;
    if (!(p->flags & AV_PKT_FLAG_KEY) || (t >= 0 && t < f->next_key_s)) return false;
    if (t >= 0 && f->duration_s > 0) f->next_key_s = t + f->duration_s / KEYS_LOOKED;
    return true;
}

static sn_status end_of_film(film *f, sn_err *err)
{
    if (f->io->error < 0) return sn_fail(err, SN_EIO, "cannot be read");
    if (f->whole_end && f->duration_s > 0 && f->packet_end_s < f->duration_s * 0.98 - 1) {
        if (!f->accept_truncated) return sn_fail(err, SN_EFORMAT, "truncated: %.2f of %.2f s are there", f->packet_end_s, f->duration_s);
        f->cut = true;
    }
    f->draining = true;
    f->ff->avcodec_send_packet(f->codec, NULL);
    return SN_OK;
}

/* Whether what is wrong is that the file ends, and that is accepted: from here on it is the film's end. */
static bool ends_here(film *f)
{
    const int64_t read = f->io->pos - (f->io->buf_end - f->io->buf_ptr);

    if (!f->accept_truncated || (!f->barren.lost && (read < 0 || (uint64_t)read < f->size))) return false;
    f->cut = true;
    return true;
}

/* One packet to the decoder, or the end. */
static sn_status feed(film *f, sn_err *err)
{
    int res;

    do {
        f->ff->av_packet_unref(f->packet);
        res = f->ff->av_read_frame(f->format, f->packet);
        if (f->barren.lost && !ends_here(f)) return lost(f, err);
        sn_barren_end(&f->barren);
        if (res == AVERROR_EOF || (res < 0 && ends_here(f))) return end_of_film(f, err);
        if (res < 0) return sn_fail(err, SN_EFORMAT, "damaged or truncated after %.2f s", f->t_s);
        f->n_bytes += (uint64_t)f->packet->size + 1;
        if (f->n_bytes / MAX_REREAD > f->size + 65536) return sn_fail(err, SN_EFORMAT, "damaged: the same bytes come again and again");
        const AVStream *s = f->format->streams[f->packet->stream_index];
        const double end = seconds(f, f->packet->pts, s) + (double)f->packet->duration * av_q2d(s->time_base);
        if (end > f->packet_end_s) f->packet_end_s = end;
    } while (!wanted(f));
    if (f->packet->flags & AV_PKT_FLAG_CORRUPT) {
        if (ends_here(f)) return end_of_film(f, err);
        return sn_fail(err, SN_EFORMAT, "truncated: it ends inside a picture after %.2f s", f->t_s);
    }
    res = f->ff->avcodec_send_packet(f->codec, f->packet);
    if (res == AVERROR(ENOMEM)) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (res < 0 && f->n_frames > 0) return sn_fail(err, SN_EFORMAT, "damaged: a picture after %.2f s does not decode", f->t_s);
    return SN_OK;
}

/* The next whole frame, or *end. What stands before the first whole one does not count: a film may begin in the middle. */
static sn_status film_next(film *f, bool *end, sn_err *err)
{
    for (*end = false;;) {
        const int res = f->ff->avcodec_receive_frame(f->codec, f->frame);

        if (res >= 0) {
            const bool whole = !f->frame->decode_error_flags && !(f->frame->flags & AV_FRAME_FLAG_CORRUPT);
            const int64_t ts = f->frame->pts != AV_NOPTS_VALUE ? f->frame->pts : f->frame->best_effort_timestamp;
            const double rate = av_q2d(f->stream->avg_frame_rate);
            if (!whole && f->n_frames == 0) continue;
            if (!whole) return sn_fail(err, SN_EFORMAT, "damaged: a picture after %.2f s does not decode whole", f->t_s);
            if (f->n_frames == MAX_FRAMES) return sn_fail(err, SN_ELIMIT, "more than %d pictures to look at", MAX_FRAMES);
            const double at = ts != AV_NOPTS_VALUE ? seconds(f, ts, f->stream) : (double)f->n_frames / (rate > 0 ? rate : 25);
            if (at > f->t_s) f->t_s = at; /* never back, and never before the start */
            f->n_frames++;
            return SN_OK;
        }
        if (res == AVERROR_EOF || f->draining) {
            *end = true;
            return f->n_frames > 0 ? SN_OK : sn_fail(err, SN_EFORMAT, "no picture can be decoded: damaged or cut short");
        }
        if (res != AVERROR(EAGAIN) && f->n_frames > 0) return sn_fail(err, SN_EFORMAT, "damaged after %.2f s", f->t_s);
        sn_status st = feed(f, err);
        if (st != SN_OK) return st;
    }
}

/* ---- first pass: looks ---- */

typedef struct {
    vis_look *list;
    size_t n;
    double gap_s; /* looks that differ little are so far apart */
    double end_s;
} look_list;

/* When the list is full every second one goes, and from then on they are taken half as often. */
static void put_look(look_list *l, const vis_look *look)
{
    if (l->n > 0) {
        const vis_look *last = &l->list[l->n - 1];
        if (look->t_s < last->t_s + l->gap_s && vis_look_difference(last, look) < VIS_LOOK_CUT / 2) return;
    }
    if (l->n == MAX_LOOKS) {
        for (size_t i = 0; i < l->n / 2; i++) l->list[i] = l->list[2 * i];
        l->n /= 2;
        l->gap_s *= 2;
    }
    l->list[l->n++] = *look;
}

static sn_status look_at(film *f, look_list *l, sn_err *err)
{
    struct SwsContext *sws = NULL;
    sn_status st;
    bool end;

    while ((st = film_next(f, &end, err)) == SN_OK && !end) {
        vis_look look = {.t_s = f->t_s, .ordinal = f->n_frames - 1};
        const AVFrame *p = f->frame;
        sws = f->ff->sws_getCachedContext(sws, p->width, p->height, p->format, VIS_LOOK_SIDE, VIS_LOOK_SIDE, AV_PIX_FMT_RGB24, SWS_AREA,
                                          NULL, NULL, NULL);
        if (!sws) {
            st = sn_fail(err, SN_EUNSUPPORTED, "its pictures of %dx%d cannot be scaled", p->width, p->height);
            break;
        }
        f->ff->sws_scale(sws, (const uint8_t *const *)p->data, p->linesize, 0, p->height, (uint8_t *const[4]){look.rgb},
                         (const int[4]){VIS_LOOK_SIDE * 3});
        put_look(l, &look);
    }
    f->ff->sws_freeContext(sws);
    l->end_s = f->duration_s > f->t_s && !f->cut ? f->duration_s : f->t_s;
    return st;
}

/* ---- second pass: pictures ---- */

/* Samples that are not square: the picture is made wider or higher, and loses nothing. */
static sn_status square(vis_image *img, AVRational aspect, bool turned, size_t max_pixels, sn_err *err)
{
    const double ratio = aspect.num > 0 && aspect.den > 0 ? av_q2d(turned ? av_inv_q(aspect) : aspect) : 1;
    vis_image out;
    sn_status st;

    if (ratio > MAX_ASPECT || ratio < 1.0 / MAX_ASPECT || (ratio > 0.999 && ratio < 1.001)) return SN_OK;
    const size_t w = ratio > 1 ? (size_t)((double)img->w * ratio + 0.5) : img->w;
    const size_t h = ratio < 1 ? (size_t)((double)img->h / ratio + 0.5) : img->h;
    if ((st = vis_check_size(w, h, max_pixels, err)) != SN_OK || (st = vis_resize(&out, img, w, h, VIS_BICUBIC, err)) != SN_OK) return st;
    vis_image_free(img);
    *img = out;
    return SN_OK;
}

static sn_status emit(film *f, const vis_video_params *p, const sn_partial *partial, vis_frame_fn fn, void *user, sn_err *err)
{
    const AVRational aspect = f->ff->av_guess_sample_aspect_ratio(f->format, f->stream, f->frame);
    vis_raster raster = {0};
    vis_image img;
    sn_status st = vis_av_film_to_raster(f->ff, &raster, f->frame, f->stream, p->max_pixels, err);

    if (st != SN_OK || (st = vis_raster_to_image(&img, &raster, raster.orientation, err)) != SN_OK) return st;
    if ((st = square(&img, aspect, raster.orientation >= 5, p->max_pixels, err)) != SN_OK) {
        vis_image_free(&img);
        return st;
    }
    img.partial = *partial;
    return fn(user, &img, f->t_s) ? SN_OK : sn_fail(err, SN_ECANCELLED, "stopped");
}

static sn_status show(film *f, const look_list *l, const size_t *picks, size_t n, const vis_video_params *p, const sn_partial *partial,
                      vis_frame_fn fn, void *user, sn_err *err)
{
    sn_status st = SN_OK;
    bool end = false;

    for (size_t i = 0; i < n && st == SN_OK && (st = film_next(f, &end, err)) == SN_OK && !end;)
        if (f->n_frames - 1 == l->list[picks[i]].ordinal) {
            st = emit(f, p, partial, fn, user, err);
            i++;
        }
    return st;
}

/* ---- both ---- */

/* Whether the film must be looked at again, every frame of it. */
static bool too_sparse(const film *f, const look_list *l, size_t max_frames)
{
    return f->keys_only && l->n < max_frames && l->end_s <= SPARSE_S;
}

static bool has_sound(const AVFormatContext *format)
{
    for (unsigned i = 0; i < format->nb_streams; i++)
        if (format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) return true;
    return false;
}

static sn_status look_through(film *f, look_list *l, const vis_video_params *p, bool *sound, sn_err *err)
{
    const film start = *f;
    sn_status st = film_open(f, p->max_pixels, err);

    if (st == SN_OK) *sound = has_sound(f->format);
    if (st == SN_OK && !f->keys_only && !(f->duration_s > 0 && f->duration_s <= SHORT_S)) {
        film_close(f);
        *f = start;
        f->keys_only = true;
        st = film_open(f, p->max_pixels, err);
    }
    if (st == SN_OK) st = look_at(f, l, err);
    if (st == SN_OK && too_sparse(f, l, p->max_frames)) {
        film_close(f);
        *f = start;
        l->n = 0;
        if ((st = film_open(f, p->max_pixels, err)) == SN_OK) st = look_at(f, l, err);
    }
    return st;
}

/* The first pass. A film that is cut, where that is accepted, and of which nothing can be seen, is refused for being cut. */
static sn_status look_for_scenes(film *f, look_list *l, const vis_video_params *p, bool *sound, sn_err *err)
{
    sn_err why = {0};
    bool cut = false;
    sn_status st = check_length(f, &cut, &why), found;

    if (st != SN_OK && !(cut && p->accept_truncated)) return sn_fail(err, st, "%s", why.msg);
    f->cut = cut;
    found = look_through(f, l, p, sound, err);
    return found == SN_EFORMAT && cut ? sn_fail(err, st, "%s", why.msg) : found;
}

/* How much of it there was, when it has been looked through. */
static sn_partial how_much(const film *f)
{
    if (!f->cut) return (sn_partial){0};
    return (sn_partial){SN_SECONDS, f->t_s, f->duration_s > f->t_s ? f->duration_s : 0};
}

sn_status vis_video_read(int fd, size_t size, const vis_video_params *p, vis_frame_fn fn, void *user, bool *sound, sn_err *err)
{
    vis_video_params limits = *p;
    look_list l = {.gap_s = 0.25};
    size_t *picks, n = 0;
    film f = {.fd = fd, .size = size, .accept_truncated = p->accept_truncated};
    sn_status st = sn_ffmpeg_get(&f.ff, err);

    if (st != SN_OK) return st;
    if (!limits.max_pixels) limits.max_pixels = VIS_MAX_PIXELS;
    l.list = sn_alloc(MAX_LOOKS, sizeof *l.list);
    picks = p->max_frames > 0 && p->max_frames <= VIS_MAX_KEY_FRAMES ? sn_alloc(p->max_frames, sizeof *picks) : NULL;
    if (!l.list || !picks) {
        st = sn_fail(err, l.list ? SN_EUSAGE : SN_ENOMEM, l.list ? "key frames: 1 to %d" : "out of memory", VIS_MAX_KEY_FRAMES);
    } else {
        st = look_for_scenes(&f, &l, &limits, sound, err);
        const bool keys_only = f.keys_only;
        const sn_partial partial = how_much(&f);
        film_close(&f);
        if (st == SN_OK && (n = vis_video_choose(l.list, l.n, l.end_s, p->max_frames, picks)) == 0)
            st = sn_fail(err, SN_ENOMEM, "out of memory");
        f = (film){.ff = f.ff, .fd = fd, .size = size, .accept_truncated = p->accept_truncated, .cut = f.cut, .keys_only = keys_only};
        if (st == SN_OK && (st = film_open(&f, limits.max_pixels, err)) == SN_OK)
            st = show(&f, &l, picks, n, &limits, &partial, fn, user, err);
        film_close(&f);
    }
    sn_free(picks);
    sn_free(l.list);
    return st;
}
