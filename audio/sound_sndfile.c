/* sound_sndfile.c: sound through libsndfile. The only file that includes it. */
#include "../core/barren.h"
#include "../core/mem.h"
#include "sound.h"

#include <sndfile.h>

#define BLOCK_FRAMES 4096

typedef struct {
    SNDFILE *snd;
    aud_file *file;
    sf_count_t at;             /* position of the virtual file */
    sf_count_t n_frame, n_got; /* declared (0: not), decoded so far */
    size_t n_ch, rate_hz;
    float *frames; /* [BLOCK_FRAMES, n_ch] */
    sn_barren barren;
} sndfile;

static sf_count_t vio_size(void *user)
{
    const sndfile *d = user;
    return (sf_count_t)d->file->size;
}

static sf_count_t vio_seek(sf_count_t offset, int whence, void *user)
{
    sndfile *d = user;
    sf_count_t base = whence == SEEK_CUR ? d->at : whence == SEEK_END ? (sf_count_t)d->file->size : 0, to;
    if (__builtin_add_overflow(base, offset, &to) || to < 0) return -1;
    d->at = to;
    return to;
}

static sf_count_t vio_read(void *dst, sf_count_t n, void *user)
{
    sndfile *d = user;
    sf_count_t got = n > 0 ? (sf_count_t)aud_file_read(d->file, (uint64_t)d->at, dst, (size_t)n) : 0;
    if (!sn_barren_go_on(&d->barren, dst, (size_t)got, (uint64_t)d->at, 0)) return 0;
    d->at += got;
    return got;
}

static sf_count_t vio_write(const void *src, sf_count_t n, void *user)
{
    (void)src, (void)n, (void)user;
    return 0;
}

static sf_count_t vio_tell(void *user)
{
    const sndfile *d = user;
    return d->at;
}

static void sndfile_close(void *state)
{
    sndfile *d = state;
    if (d->snd) sf_close(d->snd);
    sn_free(d->frames);
    sn_free(d);
}

static double sndfile_seconds(const void *state)
{
    const sndfile *d = state;
    return d->n_frame > 0 ? (double)d->n_frame / (double)d->rate_hz : -1;
}

static sn_status sndfile_read(void *state, float *dst, size_t n, size_t *got, size_t *rate_hz, sn_err *err)
{
    sndfile *d = state;
    *rate_hz = d->rate_hz;
    *got = 0;
    sf_count_t want = n < BLOCK_FRAMES ? (sf_count_t)n : BLOCK_FRAMES;
    sn_barren_end(&d->barren);
    sf_count_t have = sf_readf_float(d->snd, d->frames, want);
    if (d->barren.lost && !d->file->accept_truncated)
        return sn_fail(err, SN_EFORMAT, "is truncated or corrupt: nothing but zeros from byte %llu on", (unsigned long long)d->barren.at);
    const bool at_end = d->barren.lost || d->at >= (sf_count_t)d->file->size;
    const bool ended = have < want && d->n_got + have < d->n_frame && at_end;
    if (sf_error(d->snd) != SF_ERR_NO_ERROR && !ended)
        return sn_fail(err, SN_EFORMAT, "is corrupt after %.1f s: %s", (double)d->n_got / (double)d->rate_hz, sf_strerror(d->snd));
    if (have < 0 || have > want) return sn_fail(err, SN_EFORMAT, "is corrupt");
    d->n_got += have;
    if (have < want && d->n_got < d->n_frame) {
        if (!d->file->accept_truncated)
            return sn_fail(err, SN_EFORMAT, "is truncated: %.2f of %.2f s are there", (double)d->n_got / (double)d->rate_hz,
                           (double)d->n_frame / (double)d->rate_hz);
        d->file->cut = true;
    }
    aud_mix(dst, d->frames, (size_t)have, d->n_ch);
    *got = (size_t)have;
    return SN_OK;
}

static const aud_decoder_ops sndfile_ops = {.read = sndfile_read, .seconds = sndfile_seconds, .close = sndfile_close};

sn_status aud_sndfile_open(aud_decoder *out, aud_file *f, sn_err *err)
{
    SF_VIRTUAL_IO vio = {vio_size, vio_seek, vio_read, vio_write, vio_tell};
    SF_INFO info = {0};
    sndfile *d = sn_calloc(1, sizeof *d);
    sn_status st = SN_OK;

    if (!d) return sn_fail(err, SN_ENOMEM, "out of memory");
    d->file = f;
    d->snd = sf_open_virtual(&vio, SFM_READ, &info, d);
    int codec = info.format & SF_FORMAT_SUBMASK;
    if (!d->snd) /* sf_strerror(NULL) would read a variable that all threads share */
        st = sn_fail(err, SN_EUNSUPPORTED, "libsndfile does not know it");
    else if (codec >= SF_FORMAT_MPEG_LAYER_I && codec <= SF_FORMAT_MPEG_LAYER_III)
        st = sn_fail(err, SN_EUNSUPPORTED, "MPEG audio is FFmpeg's: libsndfile keeps the encoder's delay and guesses the length");
    else
        st = aud_check_layout((size_t)info.channels, (size_t)info.samplerate, err);
    if (st == SN_OK) {
        d->n_ch = (size_t)info.channels;
        d->rate_hz = (size_t)info.samplerate;
        d->n_frame = info.frames > 0 && info.frames < SF_COUNT_MAX ? info.frames : 0;
        d->frames = sn_alloc(BLOCK_FRAMES * d->n_ch, sizeof *d->frames);
        if (!d->frames) st = sn_fail(err, SN_ENOMEM, "out of memory");
    }
    if (st != SN_OK) {
        sndfile_close(d);
        return st;
    }
    *out = (aud_decoder){.ops = &sndfile_ops, .state = d};
    return SN_OK;
}
