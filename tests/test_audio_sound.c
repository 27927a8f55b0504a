/* Sound files to 16 kHz mono: levels against faster-whisper's decoder (tests/golden/make_audio_front.py), the resampler against
 * sines, headers written here, and damaged files. */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../audio/audio.h"
#include "../core/mem.h"
#include "../core/sandbox.h"
#include "testing.h"

static const char *const samples[] = {"samples/jfk.wav",   "samples/jfk.mp3",     "samples/newuser.flac",
                                      "samples/queue.ogg", "samples/silence.wav", "samples/testpattern.mp4"};
#define N_SAMPLES (sizeof samples / sizeof samples[0])

/* ---- helpers ---- */

/* All of it; sn_free. NULL, with the message in *err, when it is refused at any point. */
static float *decoded(const char *path, size_t *n, sn_err *err)
{
    aud_source *s;
    float *x = NULL;
    if (aud_source_open(&s, path, NULL, err) != SN_OK) return NULL;
    if (aud_source_read_all(s, (size_t)1 << 30, &x, n, err) != SN_OK) x = NULL;
    aud_source_close(s);
    return x;
}

static float *good(const char *path, size_t *n)
{
    sn_err err = {0};
    float *x = decoded(path, n, &err);
    if (!x) fail_msg("%s", err.msg);
    return x;
}

/* Refused with one line that begins with the file's name and says `part`. */
static void refused(const char *path, const char *part)
{
    sn_err err = {0};
    size_t n;
    float *x = decoded(path, &n, &err);
    if (x) fail_msg("%s: was taken (%zu samples)", path, n);
    assert_int_equal(strncmp(err.msg, path, strlen(path)), 0);
    assert_null(strchr(err.msg, '\n'));
    if (!strstr(err.msg, part)) fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
}

static unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    unsigned char *p = malloc(*n);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

static void put(unsigned char *p, uint32_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(v >> 8 * i);
}

/* A WAV header for n_bytes of data: format 1 (integers) or 3 (floats). */
static void wav_header(unsigned char *h, unsigned format, unsigned bits, uint32_t n_ch, uint32_t rate_hz, uint32_t n_bytes)
{
    memcpy(h, "RIFF....WAVEfmt ....", 20);
    put(h + 4, 36 + n_bytes, 4);
    put(h + 16, 16, 4);
    put(h + 20, format, 2);
    put(h + 22, n_ch, 2);
    put(h + 24, rate_hz, 4);
    put(h + 28, rate_hz * n_ch * bits / 8, 4);
    put(h + 32, n_ch * bits / 8, 2);
    put(h + 34, bits, 2);
    memcpy(h + 36, "data", 4);
    put(h + 40, n_bytes, 4);
}

/* n frames of n_ch floats as a temporary WAV file. */
static const char *float_wav(const float *x, size_t n, uint32_t n_ch, uint32_t rate_hz)
{
    size_t n_bytes = n * n_ch * 4;
    unsigned char *p = malloc(44 + n_bytes);
    assert_non_null(p);
    wav_header(p, 3, 32, n_ch, rate_hz, (uint32_t)n_bytes);
    memcpy(p + 44, x, n_bytes);
    const char *path = testing_temp(p, 44 + n_bytes);
    free(p);
    return path;
}

/* ---- what is read ---- */

static void samples_have_the_levels_of_the_reference(void **state)
{
    static const char *const names[] = {"jfk.mp3", "newuser.flac", "queue.ogg", "testpattern.mp4"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char path[128], golden[128];
        size_t shape[4], n_dims, n;
        snprintf(path, sizeof path, "samples/%s", names[i]);
        snprintf(golden, sizeof golden, "tests/golden/audio/front_level_%s.npy", names[i]);
        float *want = testing_npy(golden, shape, &n_dims), *x = good(path, &n);
        assert_int_equal((n - 3) / 1600, shape[0]);
        for (size_t k = 0; k < shape[0]; k++) {
            double sum = 0;
            for (size_t j = k * 1600; j < k * 1600 + 1600; j++) {
                double mean = ((double)x[j] + (double)x[j + 1] + (double)x[j + 2] + (double)x[j + 3]) / 4;
                sum += mean * mean;
            }
            assert_float_equal(sqrt(sum / 1600), want[k], 0.01 * want[k] + 2e-4);
        }
        free(want);
        sn_free(x);
    }
}

static void wav_samples_are_exact(void **state)
{
    size_t n, n_file;
    unsigned char *file = slurp("samples/jfk.wav", &n_file);
    float *x = good("samples/jfk.wav", &n);
    (void)state;
    assert_int_equal(n, 176000);
    const unsigned char *data = file + n_file - 2 * n; /* it is the last chunk */
    for (size_t i = 0; i < n; i++) assert_true(x[i] * 32768 == (float)(int16_t)(data[2 * i] | data[2 * i + 1] << 8));
    free(file);
    sn_free(x);
}

static void blocks_of_any_size_give_the_same(void **state)
{
    static const size_t blocks[] = {1, 7, 1000, 8191};
    size_t n;
    float *x = good("samples/queue.ogg", &n), *y = calloc(n + 10000, sizeof *y);
    sn_err err = {0};
    (void)state;
    for (size_t b = 0; b < 4; b++) {
        aud_source *s;
        size_t at = 0, got;
        assert_int_equal(aud_source_open(&s, "samples/queue.ogg", NULL, &err), SN_OK);
        do {
            assert_int_equal(aud_source_read(s, y + at, blocks[b], &got, &err), SN_OK);
            at += got;
        } while (got == blocks[b]);
        assert_int_equal(at, n);
        assert_memory_equal(x, y, n * sizeof *x);
        assert_int_equal(aud_source_read(s, y, 5, &got, &err), SN_OK); /* the end stays the end */
        assert_int_equal(got, 0);
        aud_source_close(s);
    }
    free(y);
    sn_free(x);
}

static void seconds_are_as_declared(void **state)
{
    sn_err err = {0};
    aud_source *s;
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        size_t n;
        float *x = good(samples[i], &n);
        assert_int_equal(aud_source_open(&s, samples[i], NULL, &err), SN_OK);
        assert_float_equal(aud_source_seconds(s), (double)n / AUD_RATE_HZ, 0.1);
        aud_source_close(s);
        sn_free(x);
    }
}

static void a_pipe_and_a_file_on_standard_input_are_read(void **state)
{
    size_t n, n_std;
    float *x = good("samples/testpattern.mp4", &n);
    int saved = dup(0), ends[2];
    (void)state;
    for (int piped = 0; piped < 2; piped++) {
        pid_t child = 0;
        if (piped) {
            assert_int_equal(pipe(ends), 0);
            child = fork();
            if (child == 0) {
                close(ends[0]);
                size_t n_file;
                unsigned char *p = slurp("samples/testpattern.mp4", &n_file);
                size_t put_n = (size_t)write(ends[1], p, n_file);
                _exit(put_n != n_file);
            }
            close(ends[1]);
            dup2(ends[0], 0);
            close(ends[0]);
        } else {
            FILE *f = freopen("samples/testpattern.mp4", "rb", stdin);
            assert_non_null(f);
        }
        float *y = good("-", &n_std);
        assert_int_equal(n_std, n);
        assert_memory_equal(x, y, n * sizeof *x);
        sn_free(y);
        if (child) waitpid(child, NULL, 0);
    }
    dup2(saved, 0);
    close(saved);
    sn_free(x);
}

static void a_pipe_beyond_the_limit_of_file_sizes_is_refused(void **state)
{
    struct rlimit before;
    const int saved = dup(0);
    int ends[2];
    size_t n;
    sn_err err = {.code = SN_OK};
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], (char[6000]){0}, 6000), 6000);
    close(ends[1]);
    dup2(ends[0], 0);
    close(ends[0]);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, before.rlim_max}), 0);
    float *x = decoded("-", &n, &err); /* and no SIGXFSZ */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    dup2(saved, 0);
    close(saved);
    assert_null(x);
    assert_int_equal(err.code, SN_ELIMIT);
    assert_string_equal(err.msg, "standard input: more than 4096 bytes from a pipe");
}

/* AddressSanitizer (of GCC 12) does not take the locks of its own malloc for a fork, as the C library does: a worker forked while another thread
 * allocates waits for ever. So there the threads decode themselves, which is what it can look at. */
static void *decode_often(void *arg)
{
    const char *path = arg;
    size_t n, total = 0;
    sn_err err = {0};
    for (int i = 0; i < 5; i++) {
        aud_source *s = NULL;
        float *x = NULL;
        if (aud_source_open(&s, path, &(aud_open_params){.no_sandbox = SN_SANITIZED}, &err) == SN_OK)
            aud_source_read_all(s, (size_t)1 << 30, &x, &n, &err);
        aud_source_close(s);
        total += x ? n : 0;
        sn_free(x);
    }
    return (void *)(uintptr_t)total;
}

static void threads_do_not_disturb_one_another(void **state)
{
    pthread_t t[N_SAMPLES];
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++)
        assert_int_equal(pthread_create(&t[i], NULL, decode_often, (void *)(uintptr_t)(const void *)samples[i]), 0);
    for (size_t i = 0; i < N_SAMPLES; i++) {
        void *total;
        size_t n;
        pthread_join(t[i], &total);
        sn_free(good(samples[i], &n));
        assert_int_equal((uintptr_t)total, 5 * n);
    }
}

static void memory_does_not_grow_with_length(void **state)
{
    const uint32_t n_bytes = 200u << 20; /* 1.8 hours; a hole in a file */
    unsigned char h[44];
    struct rusage before, after;
    sn_err err = {0};
    aud_source *s;
    float x[4096];
    size_t got, n = 0;
    (void)state;
    wav_header(h, 1, 16, 2, 8000, n_bytes);
    const char *path = testing_temp(h, sizeof h);
    assert_int_equal(truncate(path, 44 + (off_t)n_bytes), 0);
    getrusage(RUSAGE_SELF, &before);
    if (aud_source_open(&s, path, NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    do {
        assert_int_equal(aud_source_read(s, x, 4096, &got, &err), SN_OK);
        n += got;
    } while (got == 4096);
    aud_source_close(s);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(n, n_bytes / 4 * 2);
    assert_true(after.ru_maxrss - before.ru_maxrss < 32 * 1024);
}

/* ---- mixing and resampling ---- */

static void channels_are_averaged(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 6, 64};
    (void)state;
    for (size_t k = 0; k < 5; k++) {
        uint32_t n_ch = counts[k];
        float *x = malloc(1000 * n_ch * sizeof *x);
        size_t n;
        for (size_t i = 0; i < 1000 * n_ch; i++) x[i] = (float)((i * 7919) % 2001) / 1000 - 1;
        float *y = good(float_wav(x, 1000, n_ch, AUD_RATE_HZ), &n);
        assert_int_equal(n, 1000);
        for (size_t i = 0; i < 1000; i++) {
            double sum = 0;
            for (size_t c = 0; c < n_ch; c++) sum += (double)x[i * n_ch + c];
            assert_float_equal(y[i], sum / n_ch, 1e-6);
        }
        sn_free(y);
        free(x);
    }
}

static void values_that_are_no_number_become_silence(void **state)
{
    float x[64];
    size_t n;
    (void)state;
    for (size_t i = 0; i < 64; i++) x[i] = i % 4 == 0 ? NAN : i % 4 == 1 ? INFINITY : i % 4 == 2 ? -INFINITY : 0.25f;
    float *y = good(float_wav(x, 64, 1, AUD_RATE_HZ), &n);
    assert_int_equal(n, 64);
    for (size_t i = 0; i < 64; i++) assert_true(y[i] == (i % 4 == 3 ? 0.25f : 0));
    sn_free(y);
    for (size_t i = 0; i < 64; i++) x[i] = 3e38f; /* a finite sum of squares is left for the spectrogram */
    y = good(float_wav(x, 64, 1, AUD_RATE_HZ), &n);
    for (size_t i = 0; i < 64; i++) assert_true(y[i] <= 32768);
    sn_free(y);
}

/* Gain in dB of a sine of `hz` at `rate_hz`; NAN samples would show. */
static double gain_db(double hz, uint32_t rate_hz)
{
    size_t n_in = rate_hz, n;
    float *x = malloc(n_in * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n_in; i++) x[i] = 0.5f * (float)sin(2 * M_PI * hz * (double)i / rate_hz);
    float *y = good(float_wav(x, n_in, 1, rate_hz), &n);
    assert_int_equal(n, AUD_RATE_HZ);
    double sum = 0;
    for (size_t i = 2000; i < 14000; i++) sum += (double)y[i] * (double)y[i];
    free(x);
    sn_free(y);
    return 10 * log10(sum / 12000 / 0.125 + 1e-20);
}

/* ---- what is there of a truncated one ---- */

/* The beginning, sample for sample but for the last few, where a decoder or the resampler would look at what is missing. */
static void check_part(const char *path, size_t slack_s100, size_t want_parts)
{
    size_t n, n_file, n_parts = 0;
    float *whole = good(path, &n);
    unsigned char *p = slurp(path, &n_file);
    for (size_t cut = n_file / 16; cut < n_file; cut += n_file / 16) {
        const char *file = testing_temp(p, cut);
        aud_source *s;
        sn_err err = {0}, refused = {0};
        float *x = NULL;
        size_t got = 0;
        sn_status st;
        assert_null(decoded(file, &got, &refused));
        if (!strstr(refused.msg, "truncated")) fail_msg("%s cut to %zu: %s", path, cut, refused.msg);
        st = aud_source_open(&s, file, &(aud_open_params){.accept_truncated = true}, &err);
        if (st == SN_OK) {
            if (aud_source_read_all(s, (size_t)1 << 30, &x, &got, &err) != SN_OK) fail_msg("%s cut to %zu: %s", path, cut, err.msg);
            const sn_partial *part = aud_source_partial(s);
            assert_true(part->unit == SN_SECONDS || part->unit == SN_BYTES);
            if (part->unit == SN_SECONDS)
                assert_true(fabs(part->have - (double)got / AUD_RATE_HZ) < 0.1 && (part->want == 0 || part->want > part->have));
            if (part->unit == SN_BYTES) assert_true((size_t)part->have == cut && (size_t)part->want == n_file);
            assert_true(got <= n + 160 * slack_s100);
            const size_t slack = 160 * slack_s100;
            for (size_t i = 0; i + slack < got; i++)
                if (fabsf(x[i] - whole[i]) > 1e-6f) fail_msg("%s cut to %zu: sample %zu of %zu differs", path, cut, i, got);
            aud_source_close(s);
            n_parts += got > n / 20;
            sn_free(x);
        }
        unlink(file);
    }
    sn_free(whole);
    free(p);
    if (n_parts < want_parts) fail_msg("%s: only %zu of 15 cuts gave a part", path, n_parts);
}

static void the_beginning_of_a_truncated_sound_is_heard(void **state)
{
    (void)state;
    check_part("samples/jfk.wav", 1, 15);
    check_part("samples/newuser.flac", 2, 14);
    check_part("samples/jfk.mp3", 10, 15);
    check_part("samples/queue.ogg", 10, 12);
    check_part("tests/golden/audio/tone.opus", 10, 6); /* pages of a second: the last is whole or not there */
}

static void the_pass_band_is_flat_and_aliases_are_gone(void **state)
{
    static const uint32_t rates[] = {8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000};
    static const double pass[] = {50, 440, 1000, 3000, 3700, 5000, 6500, 7400}, stop[] = {8100, 8600, 9500, 11000, 14000, 20000, 40000};
    (void)state;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (size_t i = 0; i < sizeof pass / sizeof pass[0]; i++)
            if (pass[i] < 0.465 * rates[r]) assert_true(fabs(gain_db(pass[i], rates[r])) < 0.1);
        for (size_t i = 0; i < sizeof stop / sizeof stop[0]; i++)
            if (stop[i] < 0.5 * rates[r]) assert_true(gain_db(stop[i], rates[r]) < -60);
    }
}

static void lengths_are_exact_at_every_rate(void **state)
{
    static const uint32_t rates[] = {1000, 7999, 8000, 11025, 16000, 22050, 37800, 44100, 48000, 96000, 192000, 768000};
    static const size_t lengths[] = {1, 2, 100, 4097, 30011};
    float *x = calloc(30011, sizeof *x);
    (void)state;
    for (size_t i = 0; i < 30011; i++) x[i] = 0.1f;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
            size_t n;
            float *y = good(float_wav(x, lengths[k], 1, rates[r]), &n);
            assert_int_equal(n, (lengths[k] * AUD_RATE_HZ + rates[r] - 1) / rates[r]);
            sn_free(y);
        }
    }
    free(x);
}

/* The end is not lost in the filter: a constant stays one up to its last samples. */
static void the_tail_is_flushed(void **state)
{
    float *x = malloc(44100 * sizeof *x);
    size_t n;
    (void)state;
    for (size_t i = 0; i < 44100; i++) x[i] = (float)sin(2 * M_PI * 100 * (double)i / 44100);
    float *y = good(float_wav(x, 44100, 1, 44100), &n);
    for (size_t i = 0; i < n; i++) {
        size_t edge = i < n - 1 - i ? i : n - 1 - i; /* the filter sees mirrored samples there */
        assert_float_equal(y[i], sin(2 * M_PI * 100 * (double)i / AUD_RATE_HZ), edge < 128 ? 0.2 : 1e-3);
    }
    free(x);
    sn_free(y);
}

/* ---- headers ---- */

static void layouts_out_of_range_are_refused(void **state)
{
    static const struct {
        uint32_t n_ch, rate_hz;
        const char *says;
    } bad[] = {{65, 16000, "65 channels"}, {300, 16000, "300 channels"}, {1, 999, "999 Hz"}, {2, 768001, "768001 Hz"}};
    static float x[3000];
    (void)state;
    for (size_t i = 0; i < 4; i++) refused(float_wav(x, 10, bad[i].n_ch, bad[i].rate_hz), bad[i].says);
}

static void headers_of_streams_are_read_to_the_end(void **state)
{
    static const uint32_t sizes[] = {0, 0xffffffff, 0x7ffff000, 0x80000000};
    size_t n;
    unsigned char *p = malloc(44 + 32000);
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        for (int riff = 0; riff < 2; riff++) {
            wav_header(p, 1, 16, 1, AUD_RATE_HZ, sizes[i]);
            put(p + 4, riff ? 0xffffffff : sizes[i] + (sizes[i] < 0xffffff00 ? 36 : 0), 4);
            for (size_t k = 0; k < 16000; k++) put(p + 44 + 2 * k, (uint32_t)k, 2);
            float *x = good(testing_temp(p, 44 + 32000), &n);
            assert_int_equal(n, 16000);
            for (size_t k = 0; k < n; k++) assert_true(x[k] * 32768 == (float)k);
            sn_free(x);
        }
    }
    free(p);
}

static void an_odd_size_is_a_truncated_file_and_not_a_stream(void **state)
{
    static const uint32_t sizes[] = {32001, 32002, 40000, 0x7fffffff, 0xfffffff0};
    unsigned char *p = calloc(44 + 32000, 1);
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        wav_header(p, 1, 16, 1, AUD_RATE_HZ, sizes[i]);
        refused(testing_temp(p, 44 + 32000), "truncated");
    }
    free(p);
}

static void chunks_around_the_sound_are_skipped(void **state)
{
    unsigned char p[12 + 18 + 24 + 8 + 2000 + 14];
    size_t n;
    (void)state;
    wav_header(p, 1, 16, 1, AUD_RATE_HZ, 2000);
    memmove(p + 30, p + 12, 24); /* fmt behind a chunk of odd length, with its pad byte */
    memcpy(p + 12, "junk\x09\0\0\0jjjjjjjjj", 18);
    memcpy(p + 54, "data", 4);
    put(p + 58, 2000, 4);
    memset(p + 62, 1, 2000);
    memcpy(p + 2062, "LIST\x06\0\0\0INFOab", 14);
    put(p + 4, sizeof p - 8, 4);
    float *x = good(testing_temp(p, sizeof p), &n);
    assert_int_equal(n, 1000);
    assert_true(x[0] == 257.0f / 32768 && x[999] == x[0]);
    sn_free(x);
    refused(testing_temp(p, sizeof p - 1), "truncated");
    refused(testing_temp(p, sizeof p - 14), "truncated"); /* the outer size still counts the chunk */
}

static void a_file_without_sound_is_refused(void **state)
{
    unsigned char h[44];
    (void)state;
    wav_header(h, 1, 16, 1, AUD_RATE_HZ, 0);
    refused(testing_temp(h, 44), "holds no sound");
    refused(testing_temp(h, 40), "truncated");
    refused(testing_temp("", 0), "is empty");
}

static void wrong_kinds_are_named(void **state)
{
    static const char html[] = "<!DOCTYPE html><html><body>404</body></html>";
    static const char lfs[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1";
    (void)state;
    refused(testing_temp(html, sizeof html - 1), "HTML");
    refused(testing_temp(lfs, sizeof lfs - 1), "git-lfs");
    refused(testing_temp(png, sizeof png - 1), "PNG");
    refused("Makefile", "text");
    refused("samples", "directory");
    refused("no/such/file.wav", "No such file");
    refused("/dev/zero", "neither a file nor a pipe");
}

/* Lists and scripts that would have FFmpeg open other files. */
static void nothing_else_is_opened(void **state)
{
    static const char *const texts[] = {
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsamples/jfk.mp3\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile samples/jfk.wav\n",
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"></MPD>",
        "[playlist]\nFile1=samples/jfk.wav\n",
        "1\n00:00:00,000 --> 00:00:01,000\nHello\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) refused(testing_temp(texts[i], strlen(texts[i])), "not");
}

/* ---- damage ---- */

static uint32_t next(uint32_t *seed) /* xorshift32 */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void truncated_files_are_refused(void **state)
{
    uint32_t seed = 1;
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        size_t n, cuts[40];
        unsigned char *p = slurp(samples[i], &n);
        for (size_t k = 0; k < 40; k++) cuts[k] = k < 8 ? n - 1 - k : k < 16 ? n * (k - 7) / 10 : 1 + next(&seed) % (n - 1);
        for (size_t k = 0; k < 40; k++) {
            const char *path = testing_temp(p, cuts[k]);
            refused(path, "");
            unlink(path);
        }
        free(p);
    }
}

/* Where the last of the pieces that begin with the `n_magic` bytes at `magic` begins. */
static size_t last_piece(const unsigned char *p, size_t n, const unsigned char *magic, size_t n_magic)
{
    size_t at = n - n_magic;
    while (at > 0 && memcmp(p + at, magic, n_magic) != 0) at--;
    assert_true(at > 0);
    return at;
}

/* Cut between two pieces nothing is malformed: only what the file declares tells. */
static void files_cut_between_pieces_are_refused(void **state)
{
    size_t n, at = 0;
    (void)state;
    unsigned char *p = slurp("samples/queue.ogg", &n);
    refused(testing_temp(p, last_piece(p, n, (const unsigned char *)"OggS", 4)), "not marked as the last");
    free(p);
    p = slurp("samples/newuser.flac", &n);
    refused(testing_temp(p, last_piece(p, n, (const unsigned char *)"\xff\xf8", 2)), "truncated");
    free(p);
    p = slurp("samples/jfk.mp3", &n);
    size_t first = 10 + ((size_t)p[8] << 7 | p[9]); /* behind the ID3v2 tag */
    assert_int_equal(p[first], 0xff);
    refused(testing_temp(p, last_piece(p, n, p + first, 2)), "truncated");
    free(p);
    p = slurp("samples/testpattern.mp4", &n);
    while (memcmp(p + at + 4, "mdat", 4) != 0) at += (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
    refused(testing_temp(p, at), "truncated");
    free(p);
}

/* A page whose checksum is wrong is dropped by the library without a word. */
static void an_ogg_file_that_lost_a_page_is_refused(void **state)
{
    size_t n;
    unsigned char *p = slurp("samples/queue.ogg", &n);
    (void)state;
    p[30000] ^= 1;
    refused(testing_temp(p, n), "corrupt");
    free(p);
}

static void flipped_bits_never_do_harm(void **state)
{
    uint32_t seed = 7;
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        size_t n;
        unsigned char *p = slurp(samples[i], &n), *q = malloc(n);
        for (size_t k = 0; k < 60; k++) {
            size_t reach = k % 3 == 0 ? 64 : k % 3 == 1 ? 4096 : n; /* headers first */
            memcpy(q, p, n);
            for (size_t f = 0; f <= k % 7; f++) q[next(&seed) % (reach < n ? reach : n)] ^= (unsigned char)(1u << next(&seed) % 8);
            const char *path = testing_temp(q, n);
            sn_err err = {0};
            size_t got = 0;
            float *x = decoded(path, &got, &err);
            if (x)
                for (size_t j = 0; j < got; j++) assert_true(isfinite(x[j]));
            else
                assert_int_equal(strncmp(err.msg, path, strlen(path)), 0);
            assert_null(strchr(err.msg, '\n'));
            sn_free(x);
            unlink(path);
        }
        free(p);
        free(q);
    }
}

static void random_bytes_behind_every_magic_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } magic[] = {{"", 0},
                 {"RIFF\xff\xff\0\0WAVEfmt ", 16},
                 {"fLaC\0\0\0\x22", 8},
                 {"OggS\0\2", 6},
                 {"\xff\xfb", 2},
                 {"ID3\4\0\0\0\0\0\0", 10},
                 {"\0\0\0\x18"
                  "ftypmp42",
                  12},
                 {"\x1a\x45\xdf\xa3\x84", 5},
                 {"FORM\0\0\1\0AIFF", 12},
                 {".snd\0\0\0\x18", 8},
                 {"caff\0\1\0\0", 8},
                 {"FLV\1\5\0\0\0\x09", 9},
                 {"NIST_1A\n   1024\n", 16},
                 {"riff\x2e\x91\xcf\x11", 8},
                 {"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 8},
                 {"#!AMR\n", 6}};
    uint32_t seed = 3;
    unsigned char p[20000];
    (void)state;
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++) {
        for (size_t k = 0; k < sizeof p; k++) p[k] = (unsigned char)next(&seed);
        memcpy(p, magic[i].bytes, magic[i].n);
        const char *path = testing_temp(p, sizeof p);
        sn_err err = {0};
        size_t n;
        float *x = decoded(path, &n, &err);
        if (magic[i].n != 6 || magic[i].bytes[0] != '#') assert_null(x); /* any bytes are AMR */
        sn_free(x);
    }
}

/* ---- the rest of the interface ---- */

static void samples_in_memory_are_a_source(void **state)
{
    float x[20000], *y;
    sn_err err = {0};
    aud_source *s;
    size_t n;
    (void)state;
    for (size_t i = 0; i < 20000; i++) x[i] = (float)i / 20000;
    x[5] = NAN;
    assert_int_equal(aud_source_from_samples(&s, x, 20000, &err), SN_OK);
    assert_float_equal(aud_source_seconds(s), 1.25, 1e-9);
    assert_int_equal(aud_source_read_all(s, 20000, &y, &n, &err), SN_OK);
    assert_int_equal(n, 20000);
    assert_true(y[5] == 0);
    x[5] = 0;
    assert_memory_equal(x, y, sizeof x);
    sn_free(y);
    aud_source_close(s);
}

static void read_all_holds_its_limit(void **state)
{
    sn_err err = {0};
    aud_source *s;
    float *x = NULL;
    size_t n;
    (void)state;
    assert_int_equal(aud_source_open(&s, "samples/jfk.wav", NULL, &err), SN_OK);
    assert_int_equal(aud_source_read_all(s, 175999, &x, &n, &err), SN_ELIMIT);
    assert_null(x);
    assert_int_equal(strncmp(err.msg, "samples/jfk.wav: ", 17), 0);
    aud_source_close(s);
    aud_source_close(NULL);
}

static void a_worker_gives_what_this_process_would(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        size_t n_a, n_b;
        float *a = good(samples[i], &n_a), *b = NULL;
        aud_source *s;
        sn_err err = {0};
        if (aud_source_open(&s, samples[i], &(aud_open_params){.no_sandbox = true}, &err) != SN_OK) fail_msg("%s", err.msg);
        assert_int_equal(aud_source_read_all(s, (size_t)1 << 30, &b, &n_b, &err), SN_OK);
        aud_source_close(s);
        assert_int_equal(n_a, n_b);
        assert_memory_equal(a, b, n_a * sizeof *a);
        sn_free(a);
        sn_free(b);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(samples_have_the_levels_of_the_reference),
    cmocka_unit_test(a_worker_gives_what_this_process_would),
    cmocka_unit_test(wav_samples_are_exact),
    cmocka_unit_test(blocks_of_any_size_give_the_same),
    cmocka_unit_test(seconds_are_as_declared),
    cmocka_unit_test(a_pipe_and_a_file_on_standard_input_are_read),
    cmocka_unit_test(a_pipe_beyond_the_limit_of_file_sizes_is_refused),
    cmocka_unit_test(threads_do_not_disturb_one_another),
    cmocka_unit_test(memory_does_not_grow_with_length),
    cmocka_unit_test(channels_are_averaged),
    cmocka_unit_test(values_that_are_no_number_become_silence),
    cmocka_unit_test(the_pass_band_is_flat_and_aliases_are_gone),
    cmocka_unit_test(lengths_are_exact_at_every_rate),
    cmocka_unit_test(the_tail_is_flushed),
    cmocka_unit_test(layouts_out_of_range_are_refused),
    cmocka_unit_test(headers_of_streams_are_read_to_the_end),
    cmocka_unit_test(an_odd_size_is_a_truncated_file_and_not_a_stream),
    cmocka_unit_test(chunks_around_the_sound_are_skipped),
    cmocka_unit_test(a_file_without_sound_is_refused),
    cmocka_unit_test(wrong_kinds_are_named),
    cmocka_unit_test(nothing_else_is_opened),
    cmocka_unit_test(truncated_files_are_refused),
    cmocka_unit_test(the_beginning_of_a_truncated_sound_is_heard),
    cmocka_unit_test(files_cut_between_pieces_are_refused),
    cmocka_unit_test(an_ogg_file_that_lost_a_page_is_refused),
    cmocka_unit_test(flipped_bits_never_do_harm),
    cmocka_unit_test(random_bytes_behind_every_magic_are_refused),
    cmocka_unit_test(samples_in_memory_are_a_source),
    cmocka_unit_test(read_all_holds_its_limit),
};
TESTING_MAIN("audio_sound", tests)
