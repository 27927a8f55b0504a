/* sound.h: what sound.c shares with the libraries behind it: the input as bytes anywhere in a file, decoders that give mono
 * blocks, and the resampler. */
#ifndef AUDIO_SOUND_H
#define AUDIO_SOUND_H

#include "audio.h"

#define AUD_MAX_CHANNELS 64
#define AUD_MIN_RATE_HZ 1000
#define AUD_MAX_RATE_HZ 768000

/* An open regular file. Reads are positional, so that a descriptor may be shared. */
typedef struct {
    int fd;
    uint64_t size;
    bool failed;                /* a read went wrong: the decoders only see an early end */
    bool accept_truncated, cut; /* cut: it is truncated, and `want` bytes long if that is known (0: not) */
    uint64_t want;
    uint64_t patch_at; /* patch_n bytes are read as `patch` there: a streamed header's size, once it is known */
    size_t patch_n;
    unsigned char patch[4];
} aud_file;

/* n bytes from `at`; less at the end of the file only (or with f->failed set). */
size_t aud_file_read(aud_file *f, uint64_t at, void *dst, size_t n);

/* Walks the container's own structure: SN_EFORMAT, and f->cut, when the file ends before it says it does. Containers that say nothing
 * pass. Sets f's patch where the header was written before the length was known and the rest of the file is the sound. */
sn_status aud_check_whole(aud_file *f, sn_err *err);

/* n frames of interleaved samples [n, n_ch] (dst may be src) to their mean; NaN and infinity become 0. */
void aud_mix(float *dst, const float *src, size_t n, size_t n_ch);
sn_status aud_check_layout(size_t n_ch, size_t rate_hz, sn_err *err);

typedef struct {
    /* Up to n mono samples, all at *rate_hz, which may change from call to call; *got is 0 at the end only. Where a truncated file is
     * accepted its end is the end, and the decoder sets the file's `cut`. */
    sn_status (*read)(void *state, float *dst, size_t n, size_t *got, size_t *rate_hz, sn_err *err);
    double (*seconds)(const void *state); /* negative: unknown */
    void (*close)(void *state);
} aud_decoder_ops;

typedef struct {
    const aud_decoder_ops *ops;
    void *state;
} aud_decoder;

/* Loads FFmpeg (core/ffmpeg.h), which a worker can no longer do. */
sn_status aud_av_ready(sn_err *err);
/* SN_EUNSUPPORTED when the library does not know the kind; f must outlive the decoder. Messages are without the file's name. */
sn_status aud_sndfile_open(aud_decoder *out, aud_file *f, sn_err *err);
sn_status aud_av_open(aud_decoder *out, aud_file *f, sn_err *err);

/* Whether a container has streams of sound, and of moving pictures. */
sn_status aud_av_streams(aud_file *f, bool *sound, bool *moving, sn_err *err);

/* Mono, rate_hz to AUD_RATE_HZ, in blocks. */
typedef struct aud_resampler aud_resampler;
sn_status aud_resampler_open(aud_resampler **out, size_t rate_hz, sn_err *err);
void aud_resampler_close(aud_resampler *r);
/* Room that the next aud_resampler_run of n_in samples may need. */
size_t aud_resampler_room(const aud_resampler *r, size_t n_in);
/* src NULL: what is still inside. */
sn_status aud_resampler_run(aud_resampler *r, const float *src, size_t n_in, float *dst, size_t room, size_t *n_out, sn_err *err);

#endif
