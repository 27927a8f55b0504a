/* mel.c: the log-mel spectrogram of Whisper: Hann windows of 400 samples every 160, centred with reflection, power, Slaney's
 * mel filters, log10 floored at 1e-10.
 *
 * A real transform of 400 points is a complex one of 200 (even samples real, odd ones imaginary), 200 = 5 * 5 * 4 * 2, made in
 * Stockham's order, so there is no bit reversal. LANES frames go through it side by side: every inner loop runs over lanes and
 * becomes vector code without intrinsics. Doubles, because a bin may lie 80 dB below its frame's peak and still count. */
#include "../core/mem.h"
#include "audio.h"

#include <math.h>
#include <string.h>

#define N_BIN (AUD_N_FFT / 2 + 1) /* 201 */
#define N_HALF (AUD_N_FFT / 2)    /* 200 */
#define LANES 4
#define FLOOR 1e-10

typedef struct {
    double re[LANES], im[LANES];
} lane;

struct aud_mel {
    size_t n_mel;
    float *filter;                           /* [n_mel, N_BIN] */
    size_t *begin, *end;                     /* [n_mel]: the bins of a filter that are not zero */
    double window[AUD_N_FFT];                /* periodic Hann */
    double w_re[AUD_N_FFT], w_im[AUD_N_FFT]; /* exp(-2 pi i k / 400) */
};

/* Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, logarithmic above. */
static double mel_to_hz(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * (log(6.4) / 27));
}

static double hz_to_mel(double hz)
{
    return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * (27 / log(6.4));
}

/* Triangles between neighbours of n_mel + 2 equal steps in mel, each of area 1 in Hz: filter [n_mel, N_BIN]. */
static void make_slaney(float *filter, size_t n_mel)
{
    double top = hz_to_mel(AUD_RATE_HZ / 2.0);
    for (size_t i = 0; i < n_mel; i++) {
        double lo = mel_to_hz(top * (double)i / (double)(n_mel + 1));
        double mid = mel_to_hz(top * (double)(i + 1) / (double)(n_mel + 1));
        double hi = mel_to_hz(top * (double)(i + 2) / (double)(n_mel + 1));
        for (size_t k = 0; k < N_BIN; k++) {
            double hz = (double)k * AUD_RATE_HZ / AUD_N_FFT;
            double v = fmin((hz - lo) / (mid - lo), (hi - hz) / (hi - mid));
            filter[i * N_BIN + k] = v > 0 ? (float)(v * 2 / (hi - lo)) : 0;
        }
    }
}

static void make_tables(aud_mel *m)
{
    for (size_t k = 0; k < AUD_N_FFT; k++) {
        double turn = 2 * M_PI * (double)k / AUD_N_FFT;
        m->window[k] = 0.5 - 0.5 * cos(turn);
        m->w_re[k] = cos(turn);
        m->w_im[k] = -sin(turn);
    }
    for (size_t i = 0; i < m->n_mel; i++) {
        const float *f = m->filter + i * N_BIN;
        size_t b = 0, e = N_BIN;
        while (b < N_BIN && f[b] == 0) b++;
        while (e > b && f[e - 1] == 0) e--;
        m->begin[i] = b;
        m->end[i] = e;
    }
}

sn_status aud_mel_open(aud_mel **out, size_t n_mel, const float *filters, sn_err *err)
{
    if (n_mel == 0 || n_mel > 512) return sn_fail(err, SN_EFORMAT, "%zu mel bands: want 1 to 512", n_mel);
    aud_mel *m = sn_calloc(1, sizeof *m);
    if (!m) return sn_fail(err, SN_ENOMEM, "out of memory");
    m->n_mel = n_mel;
    m->filter = sn_calloc(n_mel * N_BIN, sizeof *m->filter);
    m->begin = sn_calloc(n_mel, sizeof *m->begin);
    m->end = sn_calloc(n_mel, sizeof *m->end);
    if (!m->filter || !m->begin || !m->end) {
        aud_mel_close(m);
        return sn_fail(err, SN_ENOMEM, "out of memory");
    }
    if (filters)
        memcpy(m->filter, filters, n_mel * N_BIN * sizeof *m->filter);
    else
        make_slaney(m->filter, n_mel);
    make_tables(m);
    *out = m;
    return SN_OK;
}

void aud_mel_close(aud_mel *m)
{
    if (!m) return;
    sn_free(m->filter);
    sn_free(m->begin);
    sn_free(m->end);
    sn_free(m);
}

/* One stage of Stockham's transform, radix R: x is read at stride m * s, y written at stride s, turned by exp(-2 pi i p k / (R m)).
 * `step` turns p * k into an index of the 400-entry table. */
static void turn(const aud_mel *m, lane *y, const double *re, const double *im, size_t index)
{
    double c = m->w_re[index], d = m->w_im[index];
    for (size_t l = 0; l < LANES; l++) {
        y->re[l] = re[l] * c - im[l] * d;
        y->im[l] = re[l] * d + im[l] * c;
    }
}

static void stage2(const aud_mel *t, lane *y, const lane *x, size_t m, size_t s)
{
    size_t step = AUD_N_FFT / (2 * m);
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < s; q++) {
            const lane *a = x + q + s * p, *b = a + s * m;
            lane *o = y + q + s * 2 * p;
            double re[LANES], im[LANES];
            for (size_t l = 0; l < LANES; l++) {
                o->re[l] = a->re[l] + b->re[l];
                o->im[l] = a->im[l] + b->im[l];
                re[l] = a->re[l] - b->re[l];
                im[l] = a->im[l] - b->im[l];
            }
            turn(t, o + s, re, im, p * step);
        }
    }
}

static void stage4(const aud_mel *t, lane *y, const lane *x, size_t m, size_t s)
{
    size_t step = AUD_N_FFT / (4 * m);
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < s; q++) {
            const lane *a = x + q + s * p, *b = a + s * m, *c = b + s * m, *d = c + s * m;
            lane *o = y + q + s * 4 * p;
            double re[3][LANES], im[3][LANES];
            for (size_t l = 0; l < LANES; l++) {
                double ar = a->re[l] + c->re[l], ai = a->im[l] + c->im[l], br = a->re[l] - c->re[l], bi = a->im[l] - c->im[l];
                double cr = b->re[l] + d->re[l], ci = b->im[l] + d->im[l], dr = b->re[l] - d->re[l], di = b->im[l] - d->im[l];
                o->re[l] = ar + cr;
                o->im[l] = ai + ci;
                re[0][l] = br + di; /* (a - c) - i (b - d) */
                im[0][l] = bi - dr;
                re[1][l] = ar - cr;
                im[1][l] = ai - ci;
                re[2][l] = br - di;
                im[2][l] = bi + dr;
            }
            for (size_t k = 1; k < 4; k++) turn(t, o + s * k, re[k - 1], im[k - 1], p * k * step);
        }
    }
}

static void stage5(const aud_mel *t, lane *y, const lane *x, size_t m, size_t s)
{
    const double c1 = 0.30901699437494742410, c2 = -0.80901699437494742410; /* cos of 1/5 and 2/5 turn */
    const double s1 = 0.95105651629515357212, s2 = 0.58778525229247312917;  /* their sines */
    size_t step = AUD_N_FFT / (5 * m);
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < s; q++) {
            const lane *a = x + q + s * p, *b = a + s * m, *c = b + s * m, *d = c + s * m, *e = d + s * m;
            lane *o = y + q + s * 5 * p;
            double re[4][LANES], im[4][LANES];
            for (size_t l = 0; l < LANES; l++) {
                double br = b->re[l] + e->re[l], bi = b->im[l] + e->im[l], er = b->re[l] - e->re[l], ei = b->im[l] - e->im[l];
                double cr = c->re[l] + d->re[l], ci = c->im[l] + d->im[l], dr = c->re[l] - d->re[l], di = c->im[l] - d->im[l];
                double ur = a->re[l] + c1 * br + c2 * cr, ui = a->im[l] + c1 * bi + c2 * ci;
                double vr = a->re[l] + c2 * br + c1 * cr, vi = a->im[l] + c2 * bi + c1 * ci;
                double yr = s1 * er + s2 * dr, yi = s1 * ei + s2 * di, zr = s2 * er - s1 * dr, zi = s2 * ei - s1 * di;
                o->re[l] = a->re[l] + br + cr;
                o->im[l] = a->im[l] + bi + ci;
                re[0][l] = ur + yi;
                im[0][l] = ui - yr;
                re[1][l] = vr + zi;
                im[1][l] = vi - zr;
                re[2][l] = vr - zi;
                im[2][l] = vi + zr;
                re[3][l] = ur - yi;
                im[3][l] = ui + yr;
            }
            for (size_t k = 1; k < 5; k++) turn(t, o + s * k, re[k - 1], im[k - 1], p * k * step);
        }
    }
}

/* Sample i of the sound mirrored at its ends as often as needed (the end samples not repeated). */
static float reflected(const float *x, size_t n, ptrdiff_t i)
{
    ptrdiff_t last = (ptrdiff_t)n - 1;
    if (last == 0) return x[0];
    while (i < 0 || i > last) i = i < 0 ? -i : 2 * last - i;
    return x[i];
}

typedef struct {
    const aud_mel *m;
    const float *samples;
    size_t n_samples, n_frame, ld;
    float *out;
} mel_job;

/* z [N_HALF]: frames first .. first + LANES - 1, windowed, even samples in re and odd ones in im. */
static void load_frames(const mel_job *j, lane *z, size_t first)
{
    for (size_t l = 0; l < LANES; l++) {
        float edge[AUD_N_FFT];
        size_t f = first + l < j->n_frame ? first + l : j->n_frame - 1;
        ptrdiff_t at = (ptrdiff_t)(f * AUD_HOP) - AUD_N_FFT / 2;
        const float *x = edge;
        if (at >= 0 && (size_t)at + AUD_N_FFT <= j->n_samples)
            x = j->samples + at;
        else
            for (size_t i = 0; i < AUD_N_FFT; i++) edge[i] = reflected(j->samples, j->n_samples, at + (ptrdiff_t)i);
        for (size_t i = 0; i < N_HALF; i++) {
            z[i].re[l] = x[2 * i] * j->m->window[2 * i];
            z[i].im[l] = x[2 * i + 1] * j->m->window[2 * i + 1];
        }
    }
}

/* power [N_BIN]: |X_k|^2 of the real frames whose packed transform is z [N_HALF]:
 * X_k = (Z_k + Z*_{200-k}) / 2 - i exp(-2 pi i k / 400) (Z_k - Z*_{200-k}) / 2. */
static void unpack_power(const aud_mel *m, double (*power)[LANES], const lane *z)
{
    for (size_t k = 0; k < N_BIN; k++) {
        const lane *a = z + k % N_HALF, *b = z + (N_HALF - k) % N_HALF;
        double c = m->w_re[k], d = m->w_im[k];
        for (size_t l = 0; l < LANES; l++) {
            double er = a->re[l] + b->re[l], ei = a->im[l] - b->im[l];
            double dr = a->im[l] + b->im[l], di = b->re[l] - a->re[l]; /* -i (Z_k - Z*) */
            double re = 0.5 * (er + dr * c - di * d), im = 0.5 * (ei + dr * d + di * c);
            power[k][l] = re * re + im * im;
        }
    }
}

static void mel_part(void *arg, size_t part, size_t n_parts)
{
    const mel_job *j = arg;
    const aud_mel *m = j->m;
    size_t begin, end;
    lane x[N_HALF], y[N_HALF];
    double power[N_BIN][LANES];

    sn_share(j->n_frame, LANES, part, n_parts, &begin, &end);
    for (size_t f = begin; f < end; f += LANES) {
        size_t n = end - f < LANES ? end - f : LANES;
        load_frames(j, x, f);
        stage5(m, y, x, 40, 1);
        stage5(m, x, y, 8, 5);
        stage4(m, y, x, 2, 25);
        stage2(m, x, y, 1, 100);
        unpack_power(m, power, x);
        for (size_t i = 0; i < m->n_mel; i++) {
            double sum[LANES] = {0};
            for (size_t k = m->begin[i]; k < m->end[i]; k++) {
                double w = m->filter[i * N_BIN + k];
                for (size_t l = 0; l < LANES; l++) sum[l] += w * power[k][l];
            }
            for (size_t l = 0; l < n; l++) j->out[i * j->ld + f + l] = log10f((float)(sum[l] > FLOOR ? sum[l] : FLOOR));
        }
    }
}

sn_status aud_mel_log10(const aud_mel *m, sn_compute *c, const float *samples, size_t n_samples, float *out, size_t ld, sn_err *err)
{
    mel_job j = {.m = m, .samples = samples, .n_samples = n_samples, .n_frame = n_samples / AUD_HOP, .ld = ld, .out = out};
    if (j.n_frame == 0) return sn_fail(err, SN_EUSAGE, "%zu samples are less than one frame of %d", n_samples, AUD_HOP);
    if (ld < j.n_frame) return sn_fail(err, SN_EUSAGE, "rows of %zu frames, %zu apart", j.n_frame, ld);
    sn_parallel(c, mel_part, &j);
    return SN_OK;
}

void aud_mel_normalise(float *x, size_t n_mel, size_t n_frame, size_t ld, const float *maximum)
{
    float top = maximum ? *maximum : -INFINITY;
    if (!maximum)
        for (size_t i = 0; i < n_mel; i++)
            for (size_t f = 0; f < n_frame; f++) top = x[i * ld + f] > top ? x[i * ld + f] : top;
    float floor = top - 8;
    for (size_t i = 0; i < n_mel; i++) {
        float *row = x + i * ld;
        for (size_t f = 0; f < n_frame; f++) row[f] = ((row[f] > floor ? row[f] : floor) + 4) / 4;
    }
}
