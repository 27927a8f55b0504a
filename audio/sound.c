/* sound.c: any sound file as mono float32 at 16 kHz, in blocks.
 *
 *   path or stdin ─ aud_file ─ aud_check_whole ─ libsndfile, else FFmpeg (mono blocks) ─ resampler ─ aud_source_read
 *                             └──────────────── all in a worker, whose samples are a source's blocks ────────────────┘
 *
 * The kind is told by content. libsndfile has the plain formats (WAV, AIFF, AU, CAF, FLAC), FFmpeg all others and what
 * libsndfile refuses. Ogg is FFmpeg's too: libsndfile 1.2 loses memory on damaged Vorbis headers. */
#include "sound.h"
#include "../core/file.h"
#include "../core/mem.h"
#include "../core/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 8192          /* samples decoded at a time */
#define SAMPLE_MAX 32768.0f /* a float file in 16-bit scale still passes; beyond it a square would leave float's range */

struct aud_source {
    char *name; /* for messages */
    aud_file file;
    aud_decoder decoder;
    aud_resampler *resampler; /* NULL: none needed at this rate */
    size_t rate_hz;           /* of the present segment; 0 before the first block */
    uint64_t n_in, n_out;     /* samples in and out of the resampler in this segment */
    double heard_s;           /* decoded so far */
    sn_partial partial;       /* at the end */
    float *block;             /* [BLOCK] */
    float *ready;             /* [ready_cap], samples ready_at .. ready_n - 1 not yet read */
    size_t ready_cap, ready_at, ready_n;
    bool ended;
};

size_t aud_file_read(aud_file *f, uint64_t at, void *dst, size_t n)
{
    size_t done = 0;
    while (done < n && at + done < f->size) {
        ssize_t got = pread(f->fd, (char *)dst + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) f->failed = true;
        if (got <= 0) break;
        done += (size_t)got;
    }
    for (size_t i = 0; i < f->patch_n; i++) {
        uint64_t where = f->patch_at + i;
        if (where >= at && where - at < done) ((unsigned char *)dst)[where - at] = f->patch[i];
    }
    return done;
}

void aud_mix(float *dst, const float *src, size_t n, size_t n_ch)
{
    float share = 1 / (float)n_ch;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t c = 0; c < n_ch; c++) {
            float v = src[i * n_ch + c];
            sum += isfinite(v) ? fminf(fmaxf(v, -SAMPLE_MAX), SAMPLE_MAX) : 0;
        }
        dst[i] = n_ch == 1 ? sum : sum * share;
    }
}

sn_status aud_check_layout(size_t n_ch, size_t rate_hz, sn_err *err)
{
    if (n_ch < 1 || n_ch > AUD_MAX_CHANNELS) return sn_fail(err, SN_EUNSUPPORTED, "%zu channels: want 1 to %d", n_ch, AUD_MAX_CHANNELS);
    if (rate_hz < AUD_MIN_RATE_HZ || rate_hz > AUD_MAX_RATE_HZ)
        return sn_fail(err, SN_EUNSUPPORTED, "a sample rate of %zu Hz: want %d to %d", rate_hz, AUD_MIN_RATE_HZ, AUD_MAX_RATE_HZ);
    return SN_OK;
}

/* ---- the input as a file that can be read anywhere ---- */

static sn_status open_file(aud_file *f, const char *path, sn_err *err)
{
    struct stat st;
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return sn_fail(err, SN_EIO, "%s", strerror(errno));
    f->fd = fd;
    if (fstat(fd, &st) != 0) return sn_fail(err, SN_EIO, "%s", strerror(errno));
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || (S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) > 0)) {
        int copy; /* of a pipe, or of what is left of a file that was read from before: on disk, as hours of sound are large */
        sn_status status = sn_spool(&copy, fd, UINT64_MAX, true, err);
        if (status != SN_OK) return status;
        close(fd);
        f->fd = fd = copy;
        if (fstat(fd, &st) != 0) return sn_fail(err, SN_EIO, "%s", strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) return sn_fail(err, SN_EFORMAT, "is a directory, not a sound file");
    if (!S_ISREG(st.st_mode)) return sn_fail(err, SN_EFORMAT, "is neither a file nor a pipe");
    if (st.st_size == 0) return sn_fail(err, SN_EFORMAT, "is empty");
    f->size = (uint64_t)st.st_size;
    return SN_OK;
}

/* ---- choosing the library ---- */

/* The kinds that libsndfile is asked first for: bytes at 0, and bytes at `at` (none: n2 0). */
static bool for_sndfile(const unsigned char *head, size_t n)
{
    static const struct {
        const char *magic;
        size_t n, at;
        const char *second;
        size_t n2;
    } kinds[] = {
        {"RIFF", 4, 8, "WAVE", 4}, {"RIFX", 4, 8, "WAVE", 4}, {"RF64", 4, 8, "WAVE", 4}, {"riff\x2e\x91\xcf\x11", 8, 0, "", 0},
        {"FORM", 4, 8, "AIFF", 4}, {"FORM", 4, 8, "AIFC", 4}, {".snd", 4, 0, "", 0},     {"caff", 4, 0, "", 0},
        {"fLaC", 4, 0, "", 0},     {"NIST_1A", 7, 0, "", 0},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (n < kinds[i].n || n < kinds[i].at + kinds[i].n2) continue;
        if (memcmp(head, kinds[i].magic, kinds[i].n) == 0 && memcmp(head + kinds[i].at, kinds[i].second, kinds[i].n2) == 0) return true;
    }
    return false;
}

static sn_status open_decoder(aud_source *s, sn_err *err)
{
    unsigned char head[512];
    size_t n = aud_file_read(&s->file, 0, head, sizeof head);
    bool plain = for_sndfile(head, n);
    sn_err why = {0};
    sn_status st = aud_check_whole(&s->file, &why);

    if (st != SN_OK && !(s->file.cut && s->file.accept_truncated)) return sn_fail(err, st, "%s", why.msg);
    if (plain && aud_sndfile_open(&s->decoder, &s->file, NULL) == SN_OK) return SN_OK;
    st = aud_av_open(&s->decoder, &s->file, err);
    if (st != SN_OK && st != SN_ENOMEM && s->file.cut) return sn_fail(err, SN_EFORMAT, "%s", why.msg); /* too little of it */
    if (st == SN_EUNSUPPORTED && !plain) {
        const char *kind = sn_guess_kind(head, n);
        if (kind) return sn_fail(err, SN_EFORMAT, "is not a sound file: it looks like %s", kind);
    }
    return st;
}

/* ---- reading ---- */

static sn_status make_room(aud_source *s, size_t n, sn_err *err)
{
    if (s->ready_at == s->ready_n) s->ready_at = s->ready_n = 0;
    return sn_grow((void **)&s->ready, &s->ready_cap, s->ready_n + n, sizeof *s->ready, err);
}

/* Ends the segment: what the resampler still holds, so that the segment's length is exactly ceil(n_in * 16000 / rate). */
static sn_status end_segment(aud_source *s, sn_err *err)
{
    size_t got = 0;
    sn_status st;
    if (!s->resampler) return SN_OK;
    uint64_t whole = s->n_in / s->rate_hz * AUD_RATE_HZ, rest = s->n_in % s->rate_hz * AUD_RATE_HZ;
    uint64_t want = whole + (rest + s->rate_hz - 1) / s->rate_hz;
    size_t room = aud_resampler_room(s->resampler, 0), lack = want > s->n_out ? (size_t)(want - s->n_out) : 0;
    if (lack > room) room = lack;
    if ((st = make_room(s, room, err)) != SN_OK) return st;
    if ((st = aud_resampler_run(s->resampler, NULL, 0, s->ready + s->ready_n, room, &got, err)) != SN_OK) return st;
    for (; got < lack; got++) s->ready[s->ready_n + got] = 0;
    s->ready_n += lack;
    aud_resampler_close(s->resampler);
    s->resampler = NULL;
    return SN_OK;
}

static sn_status begin_segment(aud_source *s, size_t rate_hz, sn_err *err)
{
    s->rate_hz = rate_hz;
    s->n_in = s->n_out = 0;
    return rate_hz == AUD_RATE_HZ ? SN_OK : aud_resampler_open(&s->resampler, rate_hz, err);
}

/* Of a file that was cut: in seconds, if it says how many there should be, else in bytes. */
static sn_partial how_much(const aud_source *s)
{
    const double declared_s = aud_source_seconds(s);
    if (!s->file.cut) return (sn_partial){0};
    if (declared_s > s->heard_s) return (sn_partial){SN_SECONDS, s->heard_s, declared_s};
    if (s->file.want > s->file.size) return (sn_partial){SN_BYTES, (double)s->file.size, (double)s->file.want};
    return (sn_partial){SN_SECONDS, s->heard_s, 0};
}

/* Decodes one block into `ready`, or sets `ended`. */
static sn_status fill(aud_source *s, sn_err *err)
{
    size_t got = 0, rate_hz = 0, n;
    sn_status st = s->decoder.ops->read(s->decoder.state, s->block, BLOCK, &got, &rate_hz, err);
    if (s->file.failed) return sn_fail(err, SN_EIO, "cannot be read to its end: the system reported an error");
    if (st != SN_OK) return st;
    if (got == 0) {
        s->ended = true;
        if (s->file.cut) s->partial = how_much(s);
        return end_segment(s, err);
    }
    if (rate_hz != s->rate_hz) {
        if (s->rate_hz != 0 && (st = end_segment(s, err)) != SN_OK) return st;
        if ((st = begin_segment(s, rate_hz, err)) != SN_OK) return st;
    }
    s->n_in += got;
    s->heard_s += (double)got / (double)rate_hz;
    if (!s->resampler) {
        if ((st = make_room(s, got, err)) != SN_OK) return st;
        memcpy(s->ready + s->ready_n, s->block, got * sizeof *s->ready);
        s->ready_n += got;
        return SN_OK;
    }
    n = aud_resampler_room(s->resampler, got);
    if ((st = make_room(s, n, err)) != SN_OK) return st;
    st = aud_resampler_run(s->resampler, s->block, got, s->ready + s->ready_n, n, &n, err);
    if (st != SN_OK) return st;
    s->ready_n += n;
    s->n_out += n;
    return SN_OK;
}

typedef struct {
    bool sound, moving;
} streams;

/* In the worker. */
static sn_status look_at_streams(sn_worker_out *out, const void *arg, sn_err *err)
{
    aud_file f = *(const aud_file *)arg;
    streams s = {0};
    sn_status st;
    f.fd = sn_worker_input(out);
    st = aud_av_streams(&f, &s.sound, &s.moving, err);
    return st == SN_OK ? sn_worker_send(out, &s, sizeof s, err) : st;
}

sn_status aud_container_streams(const char *path, bool *sound, bool *moving, sn_err *err)
{
    aud_file f = {.fd = -1};
    sn_worker *w = NULL;
    unsigned char got[sizeof(streams)];
    size_t n = 0;
    sn_status st = open_file(&f, path, err);
    if (st == SN_OK) st = sn_worker_start(&w, &(sn_worker_limits){.fd = f.fd, .ready = aud_av_ready}, look_at_streams, &f, sizeof f, err);
    if (st == SN_OK) st = sn_worker_read(w, got, sizeof got, &n, err);
    if (st == SN_OK && n != sizeof got) st = sn_fail(err, SN_EFORMAT, "the decoder gave no answer");
    sn_worker_close(w);
    if (f.fd >= 0) close(f.fd);
    if (st != SN_OK) return sn_wrap(err, "%s", path);
    *sound = got[offsetof(streams, sound)] != 0;
    *moving = got[offsetof(streams, moving)] != 0;
    return SN_OK;
}

static sn_status new_source(aud_source **out, const char *name, sn_err *err)
{
    aud_source *s = sn_calloc(1, sizeof *s);
    if (!s) return sn_fail(err, SN_ENOMEM, "%s: out of memory", name);
    s->file.fd = -1;
    s->name = strdup(name);
    s->block = sn_alloc(BLOCK, sizeof *s->block);
    if (!s->name || !s->block) {
        aud_source_close(s);
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", name);
    }
    *out = s;
    return SN_OK;
}

/* Opens the decoder of s->file and fills the first block: a file without sound is refused here. */
static sn_status begin(aud_source *s, sn_err *err)
{
    sn_status st = open_decoder(s, err);
    while (st == SN_OK && s->ready_n == 0 && !s->ended) st = fill(s, err);
    if (st == SN_OK && s->ready_n == 0) st = sn_fail(err, SN_EFORMAT, "holds no sound");
    return st;
}

/* ---- decoding in a worker ---- */

/* Seconds; samples in stretches, each with its length in front; a stretch of none, and how much of the file there was. */
static sn_status send_sound(sn_worker_out *out, aud_source *s, sn_err *err)
{
    const size_t none = 0;
    sn_status st = begin(s, err);
    double seconds = st == SN_OK ? aud_source_seconds(s) : 0;
    if (st == SN_OK) st = sn_worker_send(out, &seconds, sizeof seconds, err);
    while (st == SN_OK && s->ready_at < s->ready_n) {
        const size_t n = s->ready_n - s->ready_at;
        st = sn_worker_send(out, &n, sizeof n, err);
        if (st == SN_OK) st = sn_worker_send(out, s->ready + s->ready_at, n * sizeof *s->ready, err);
        s->ready_at = s->ready_n;
        while (st == SN_OK && s->ready_at == s->ready_n && !s->ended) st = fill(s, err);
    }
    if (st == SN_OK) st = sn_worker_send(out, &none, sizeof none, err);
    return st == SN_OK ? sn_worker_send(out, &s->partial, sizeof s->partial, err) : st;
}

/* In the worker. */
static sn_status run_job(sn_worker_out *out, const void *arg, sn_err *err)
{
    aud_source *s = NULL;
    sn_status st = new_source(&s, "sound", err);
    if (st != SN_OK) return st;
    s->file = *(const aud_file *)arg;
    s->file.fd = sn_worker_input(out);
    st = send_sound(out, s, err);
    aud_source_close(s);
    return st;
}

typedef struct {
    sn_worker *worker;
    double seconds;
    size_t left;         /* of the present stretch */
    sn_partial *partial; /* of the source */
    bool ended;
} remote;

/* n bytes that must come. */
static sn_status remote_take(remote *r, void *dst, size_t n, sn_err *err)
{
    size_t got;
    sn_status st = sn_worker_read(r->worker, dst, n, &got, err);
    if (st == SN_OK && got != n) st = sn_fail(err, SN_EFORMAT, "the decoder gave something that is no sound");
    return st;
}

static sn_status remote_read(void *state, float *dst, size_t n, size_t *got, size_t *rate_hz, sn_err *err)
{
    remote *r = state;
    sn_status st = SN_OK;
    *got = 0;
    *rate_hz = AUD_RATE_HZ;
    if (r->left == 0 && !r->ended) {
        if ((st = remote_take(r, &r->left, sizeof r->left, err)) != SN_OK) return st;
        if (r->left == 0) {
            r->ended = true;
            if ((st = remote_take(r, r->partial, sizeof *r->partial, err)) != SN_OK) return st;
        }
    }
    if (r->ended) return SN_OK;
    *got = n < r->left ? n : r->left;
    if ((st = remote_take(r, dst, *got * sizeof *dst, err)) != SN_OK) return st;
    r->left -= *got;
    aud_mix(dst, dst, *got, 1);
    return SN_OK;
}

static double remote_seconds(const void *state)
{
    const remote *r = state;
    return r->seconds;
}

static void remote_close(void *state)
{
    remote *r = state;
    sn_worker_close(r->worker);
    sn_free(r);
}

static const aud_decoder_ops remote_ops = {.read = remote_read, .seconds = remote_seconds, .close = remote_close};

static sn_status open_remote(aud_source *s, const aud_open_params *p, sn_err *err)
{
    /* FFmpeg: for whatever libsndfile leaves to it, and for resampling */
    const sn_worker_limits limits = {.fd = s->file.fd, .ready = aud_av_ready, .wait_s = p ? p->timeout_s : 0};
    remote *r = sn_calloc(1, sizeof *r);
    sn_status st;
    if (!r) return sn_fail(err, SN_ENOMEM, "out of memory");
    r->partial = &s->partial;
    st = sn_worker_start(&r->worker, &limits, run_job, &s->file, sizeof s->file, err);
    if (st == SN_OK) st = remote_take(r, &r->seconds, sizeof r->seconds, err);
    if (st != SN_OK) {
        remote_close(r);
        return st;
    }
    if (!isfinite(r->seconds)) r->seconds = -1;
    s->decoder = (aud_decoder){.ops = &remote_ops, .state = r};
    return SN_OK;
}

sn_status aud_source_open(aud_source **out, const char *path, const aud_open_params *p, sn_err *err)
{
    aud_source *s = NULL;
    sn_status st = new_source(&s, strcmp(path, "-") == 0 ? "standard input" : path, err);
    if (st != SN_OK) return st;
    st = open_file(&s->file, path, err);
    s->file.accept_truncated = p && p->accept_truncated;
    if (st == SN_OK) st = p && p->no_sandbox ? begin(s, err) : open_remote(s, p, err);
    if (st != SN_OK) {
        sn_wrap(err, "%s", s->name);
        aud_source_close(s);
        return st;
    }
    *out = s;
    return SN_OK;
}

void aud_source_close(aud_source *s)
{
    if (!s) return;
    if (s->decoder.ops) s->decoder.ops->close(s->decoder.state);
    aud_resampler_close(s->resampler);
    if (s->file.fd >= 0) close(s->file.fd);
    sn_free(s->ready);
    sn_free(s->block);
    free(s->name);
    sn_free(s);
}

sn_status aud_source_read(aud_source *s, float *dst, size_t n, size_t *got, sn_err *err)
{
    *got = 0;
    while (*got < n) {
        size_t have = s->ready_n - s->ready_at, take = n - *got < have ? n - *got : have;
        if (take > 0) memcpy(dst + *got, s->ready + s->ready_at, take * sizeof *dst);
        s->ready_at += take;
        *got += take;
        if (*got == n || (s->ended && s->ready_at == s->ready_n)) break;
        if (s->ready_at == s->ready_n && fill(s, err) != SN_OK) return sn_wrap(err, "%s", s->name);
    }
    return SN_OK;
}

double aud_source_seconds(const aud_source *s)
{
    return s->decoder.ops->seconds(s->decoder.state);
}

const sn_partial *aud_source_partial(const aud_source *s)
{
    return &s->partial;
}

sn_status aud_source_read_all(aud_source *s, size_t max_samples, float **out, size_t *n, sn_err *err)
{
    float *all = NULL;
    size_t cap = 0, have = 0, got;
    sn_status st;
    do {
        st = sn_grow((void **)&all, &cap, have + BLOCK, sizeof *all, err);
        if (st == SN_OK) st = aud_source_read(s, all + have, BLOCK, &got, err);
        if (st != SN_OK) goto failed;
        have += got;
        if (have > max_samples) {
            st = sn_fail(err, SN_ELIMIT, "%s: more than %.0f s of sound", s->name, (double)max_samples / AUD_RATE_HZ);
            goto failed;
        }
    } while (got == BLOCK);
    *out = all;
    *n = have;
    return SN_OK;
failed:
    sn_free(all);
    return st;
}

/* ---- sound that is in memory already ---- */

typedef struct {
    const float *samples;
    size_t n, at;
} memory;

static sn_status memory_read(void *state, float *dst, size_t n, size_t *got, size_t *rate_hz, sn_err *err)
{
    memory *m = state;
    (void)err;
    *got = m->n - m->at < n ? m->n - m->at : n;
    *rate_hz = AUD_RATE_HZ;
    aud_mix(dst, m->samples + m->at, *got, 1);
    m->at += *got;
    return SN_OK;
}

static double memory_seconds(const void *state)
{
    const memory *m = state;
    return (double)m->n / AUD_RATE_HZ;
}

static const aud_decoder_ops memory_ops = {.read = memory_read, .seconds = memory_seconds, .close = sn_free};

sn_status aud_source_from_samples(aud_source **out, const float *samples, size_t n, sn_err *err)
{
    aud_source *s = NULL;
    sn_status st = new_source(&s, "sound in memory", err);
    memory *m = NULL;
    if (st != SN_OK) return st;
    m = sn_alloc(1, sizeof *m);
    if (!m) {
        aud_source_close(s);
        return sn_fail(err, SN_ENOMEM, "out of memory");
    }
    *m = (memory){.samples = samples, .n = n};
    s->decoder = (aud_decoder){.ops = &memory_ops, .state = m};
    *out = s;
    return SN_OK;
}
