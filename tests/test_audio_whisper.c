/* Whisper files of three kinds, the vocabulary, and encoder and decoder against transformers (tests/golden/make_audio_whisper.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../audio/whisper.h"
#include "../core/mem.h"
#include "testing.h"
#include "whisper_bin.h"

#define GOLDEN "tests/golden/audio/"

/* ---- helpers ---- */

static sn_compute *compute(sn_isa isa)
{
    sn_compute *c;
    sn_err err = {0};
    if (sn_compute_open(&c, 2, isa, &err) != SN_OK) fail_msg("%s", err.msg);
    return c;
}

static unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    unsigned char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

/* The converted tiny model of a kind as a temporary file. */
static const char *converted(const char *kind)
{
    char dir[256];
    sn_err err = {0};
    const char *path = testing_temp("", 0);
    snprintf(dir, sizeof dir, GOLDEN "whisper_tiny_%s", kind);
    if (aud_convert_ct2(dir, path, &err) != SN_OK) fail_msg("%s", err.msg);
    return path;
}

static aud_whisper *opened(const char *path, sn_compute *c)
{
    aud_whisper *w;
    sn_err err = {0};
    if (aud_whisper_open(&w, path, c, &err) != SN_OK) fail_msg("%s", err.msg);
    return w;
}

static void refused(const char *path, sn_compute *c, const char *part)
{
    aud_whisper *w = NULL;
    sn_err err = {0};
    if (aud_whisper_open(&w, path, c, &err) == SN_OK) {
        aud_whisper_close(w);
        fail_msg("%s was opened", path);
    }
    assert_non_null(strstr(err.msg, path));
    if (strstr(err.msg, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", err.msg, part);
    assert_null(strchr(err.msg, '\n'));
}

/* The formula of make_audio_whisper.py: [80, 3000]. */
static float *synthetic_mel(void)
{
    float *x = malloc(80 * 3000 * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < 80; i++)
        for (int j = 0; j < 3000; j++) x[i * 3000 + j] = (float)(0.5 * sin(0.37 * i + 0.011 * j * (1 + i % 7)) + 0.25 * cos(0.05 * j));
    return x;
}

static float *states_of(aud_whisper *w, const float *mel)
{
    sn_err err = {0};
    float *states = malloc(AUD_N_AUDIO_CTX * w->file.hp.n_embd * sizeof *states);
    assert_non_null(states);
    if (aud_encoder_run(aud_whisper_encoder(w), mel, AUD_WINDOW_FRAMES, AUD_N_AUDIO_CTX, states, &err) != SN_OK) fail_msg("%s", err.msg);
    return states;
}

/* Rows every `row_step` of x [.., n] against a golden of the same width, worst cosine at least `least`. */
static void assert_rows(const char *name, const float *x, size_t row_step, size_t n, size_t col_step, double least)
{
    size_t shape[4], n_dims;
    float *want = testing_npy(name, shape, &n_dims), *got = malloc((n / col_step + 1) * sizeof *got);
    assert_int_equal(n_dims, 2);
    assert_int_equal(shape[1], (n + col_step - 1) / col_step);
    for (size_t r = 0; r < shape[0]; r++) {
        for (size_t i = 0; i < shape[1]; i++) got[i] = x[r * row_step * n + i * col_step];
        const double cosine = testing_cosine(got, want + r * shape[1], shape[1]);
        if (!(cosine >= least)) fail_msg("%s: row %zu has cosine %.7f", name, r, cosine);
    }
    free(want);
    free(got);
}

static float *logits_of(aud_whisper *w, const float *states, const int32_t *prompt, size_t n)
{
    aud_decoder d;
    sn_err err = {0};
    aud_decoder_row rows[32];
    float *x = malloc(n * w->file.hp.n_vocab * sizeof *x);
    assert_non_null(x);
    if (aud_decoder_init(&d, w, &err) != SN_OK) fail_msg("%s", err.msg);
    aud_decoder_set_window(&d, states);
    for (size_t i = 0; i < n; i++) rows[i] = (aud_decoder_row){.token = prompt[i], .seq = 0, .pos = (uint32_t)i};
    aud_decoder_run(&d, rows, n);
    aud_decoder_logits(&d, 0, n, x);
    aud_decoder_free(&d);
    return x;
}

/* ---- parity ---- */

static const int32_t tiny_prompt[] = {283, 40, 261, 277, 278, 281, 286, 70, 105};
#define N_TINY (sizeof tiny_prompt / sizeof *tiny_prompt)

static void tiny_parity(const char *kind, sn_isa isa)
{
    char name[256];
    sn_compute *c = compute(isa);
    aud_whisper *w = opened(converted(kind), c);
    float *mel = synthetic_mel(), *states = states_of(w, mel), *logits = logits_of(w, states, tiny_prompt, N_TINY);
    snprintf(name, sizeof name, GOLDEN "whisper_tiny_states_%s.npy", kind);
    assert_rows(name, states, 50, w->file.hp.n_embd, 1, 0.9999);
    snprintf(name, sizeof name, GOLDEN "whisper_tiny_logits_%s.npy", kind);
    assert_rows(name, logits, 1, w->file.hp.n_vocab, 4, 0.9999);
    free(mel);
    free(states);
    free(logits);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void states_and_logits_are_those_of_transformers(void **state)
{
    (void)state;
    tiny_parity("f16", SN_ISA_BEST);
}

static void eight_bit_weights_are_dequantised_by_their_scales(void **state)
{
    (void)state;
    tiny_parity("int8", SN_ISA_BEST);
}

static void every_instruction_set_gives_the_same(void **state)
{
    (void)state;
    for (int isa = 0; isa < SN_ISA_COUNT; isa++)
        if (sn_isa_usable((sn_isa)isa)) tiny_parity("f16", (sn_isa)isa);
}

static void tokens_one_by_one_give_what_they_give_at_once(void **state)
{
    (void)state;
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *w = opened(converted("f16"), c);
    const size_t n_vocab = w->file.hp.n_vocab;
    float *mel = synthetic_mel(), *states = states_of(w, mel), *want = logits_of(w, states, tiny_prompt, N_TINY);
    float *got = malloc(3 * n_vocab * sizeof *got);
    sn_err err = {0};
    aud_decoder d;
    assert_int_equal(aud_decoder_init(&d, w, &err), SN_OK);
    aud_decoder_set_window(&d, states);
    for (uint32_t i = 0; i < 5; i++) aud_decoder_run(&d, &(aud_decoder_row){tiny_prompt[i], 0, i}, 1);
    /* From here on three texts: the same rows go to the second and third, and other ones to the first. */
    assert_int_equal(aud_decoder_reserve(&d, 3, &err), SN_OK);
    aud_decoder_fork(&d, 3, 5);
    for (uint32_t i = 5; i < N_TINY; i++) {
        const aud_decoder_row rows[] = {{(int32_t)(50 + i), 0, i}, {tiny_prompt[i], 1, i}, {tiny_prompt[i], 2, i}};
        aud_decoder_run(&d, rows, 3);
    }
    aud_decoder_logits(&d, 0, 3, got);
    assert_true(testing_rms_rel(got + n_vocab, want + (N_TINY - 1) * n_vocab, n_vocab) < 1e-4);
    assert_true(testing_rms_rel(got + 2 * n_vocab, want + (N_TINY - 1) * n_vocab, n_vocab) < 1e-4);
    assert_true(testing_rms_rel(got, want + (N_TINY - 1) * n_vocab, n_vocab) > 1e-2);
    aud_decoder_free(&d);
    free(mel);
    free(states);
    free(want);
    free(got);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static const char *real_model(void)
{
    const char *path = testing_model("whisper-tiny.en.gguf");
    if (path == NULL) testing_skip("whisper-tiny.en.gguf is not there");
    return path;
}

static void real_states_and_logits_are_those_of_transformers(void **state)
{
    (void)state;
    static const int32_t prompt[] = {50257, 50363, 843, 523, 616};
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *w = opened(real_model(), c);
    aud_source *src;
    sn_err err = {0};
    size_t n;
    float *samples, *sound = calloc(AUD_WINDOW_SAMPLES, sizeof *sound), *mel = malloc(80 * AUD_WINDOW_FRAMES * sizeof *mel);
    if (aud_source_open(&src, GOLDEN "whisper_jfk.flac", NULL, &err) != SN_OK) fail_msg("%s", err.msg);
    assert_int_equal(aud_source_read_all(src, AUD_WINDOW_SAMPLES, &samples, &n, &err), SN_OK);
    aud_source_close(src);
    memcpy(sound, samples, n * sizeof *sound);
    assert_int_equal(aud_mel_log10(aud_whisper_mel(w), c, sound, AUD_WINDOW_SAMPLES, mel, AUD_WINDOW_FRAMES, &err), SN_OK);
    aud_mel_normalise(mel, 80, AUD_WINDOW_FRAMES, AUD_WINDOW_FRAMES, NULL);
    float *states = states_of(w, mel), *logits = logits_of(w, states, prompt, 5);
    memcpy(logits + w->file.hp.n_vocab, logits + 4 * w->file.hp.n_vocab, w->file.hp.n_vocab * sizeof *logits); /* the first and the last */
    assert_rows(GOLDEN "whisper_en_states.npy", states, 100, w->file.hp.n_embd, 1, 0.9995);
    assert_rows(GOLDEN "whisper_en_logits.npy", logits, 1, w->file.hp.n_vocab, 8, 0.9999);
    sn_free(samples);
    free(sound);
    free(mel);
    free(states);
    free(logits);
    aud_whisper_close(w);
    sn_compute_close(c);
}

/* ---- vocabulary ---- */

static void special_tokens_follow_the_text(void **state)
{
    (void)state;
    aud_special s;
    sn_err err = {0};
    assert_int_equal(aud_special_init(&s, 51864, 50256, &err), SN_OK); /* *.en */
    assert_int_equal(s.sot, 50257);
    assert_int_equal(s.no_speech, 50361);
    assert_int_equal(s.timestamp, 50363);
    assert_int_equal(aud_special_init(&s, 51866, 50257, &err), SN_OK); /* large-v3 */
    assert_int_equal(s.n_languages, 100);
    assert_int_equal(s.transcribe, 50360);
    assert_int_equal(s.timestamp, 50365);
    assert_int_not_equal(aud_special_init(&s, 50000, 50257, &err), SN_OK);
    assert_int_not_equal(aud_special_init(&s, 60000, 50257, &err), SN_OK);
    assert_int_not_equal(aud_special_init(&s, 1509, 0, &err), SN_OK);
}

static void languages_have_codes_and_names(void **state)
{
    (void)state;
    assert_int_equal(aud_language_find("de"), 2);
    assert_int_equal(aud_language_find("German"), 2);
    assert_int_equal(aud_language_find("yue"), 99);
    assert_int_equal(aud_language_find("xx"), -1);
    assert_string_equal(aud_language_code(0), "en");
    assert_null(aud_language_code(100));
}

static void ids_and_suppressed_tokens_are_the_references(void **state)
{
    (void)state;
    static const char *const texts[] = {"Hello, world!", "  It's 3.14 o'clock \u2014 d\u00e9j\u00e0 vu?", "\u266a la la \u266a",
                                        "tabs\tand\n\nnewlines  ", "\u4f60\u597d \U0001f600"};
    size_t shape[4], n_dims, at = 0;
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *w = opened(real_model(), c);
    sn_err err = {0};
    float *want = testing_npy(GOLDEN "whisper_en_ids.npy", shape, &n_dims);
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
        int32_t *ids;
        size_t n;
        char back[256] = "";
        assert_int_equal(aud_vocab_encode(&w->file.vocab, texts[t], strlen(texts[t]), &ids, &n, &err), SN_OK);
        for (size_t i = 0; i < n; i++, at++) {
            if ((float)ids[i] != want[at]) fail_msg("text %zu, token %zu: %d, want %g", t, i, (int)ids[i], (double)want[at]);
            const sn_str s = aud_vocab_bytes(&w->file.vocab, ids[i]);
            strncat(back, s.p, s.n);
        }
        assert_string_equal(back, texts[t]);
        assert_true(want[at++] == -1.0f);
        sn_free(ids);
    }
    free(want);
    want = testing_npy(GOLDEN "whisper_en_suppress.npy", shape, &n_dims);
    size_t n = 0;
    for (size_t i = 0; i < shape[0]; i++)
        if (!w->file.vocab.suppress[(size_t)want[i]]) fail_msg("token %g is not suppressed", (double)want[i]);
    for (size_t i = 0; i < w->file.hp.n_vocab; i++) n += w->file.vocab.suppress[i];
    assert_int_equal(n, shape[0] + 1); /* and <|notimestamps|>, which is a rule of its own there */
    free(want);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void control_tokens_cannot_be_spelt(void **state)
{
    (void)state;
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *w = opened(converted("f16"), c);
    const char *text = " <|endoftext|> the <|notimestamps|>";
    int32_t *ids;
    size_t n;
    sn_err err = {0};
    assert_int_equal(aud_vocab_encode(&w->file.vocab, text, strlen(text), &ids, &n, &err), SN_OK);
    assert_true(n > 10);
    for (size_t i = 0; i < n; i++) assert_true(ids[i] < w->file.vocab.special.eot);
    sn_free(ids);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static void text_is_always_clean_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {" Hello ", "Hello"},
        {"a\xE2\x99", "a\xEF\xBF\xBD\xEF\xBF\xBD"},                                               /* cut inside of a character */
        {"\xC0\xAF\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"}, /* overlong, surrogate */
        {"x\x1b[31my\x7f\xC2\x9Bz", "x[31myz"},                                                   /* control characters */
        {"\xF0\x9F\x98\x80\xF4\x90\x80\x80", "\xF0\x9F\x98\x80\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"  \n", ""},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(aud_text_clean(out, (const unsigned char *)cases[i].in, strlen(cases[i].in)), strlen(cases[i].out));
        assert_string_equal(out, cases[i].out);
    }
}

/* ---- ggml-*.bin: a small model of random weights, also as GGUF ---- */

static const char *make_gguf(void)
{
    const char *path = testing_temp("", 0);
    sn_err err = {0};
    whisper_maker m = {0};
    sn_str *words = calloc(WHISPER_BIN_VOCAB, sizeof *words);
    char *text = calloc(WHISPER_BIN_VOCAB, 16);
    for (size_t i = 0; i < WHISPER_BIN_VOCAB; i++) {
        whisper_bin_word(i < 256 ? 300 : i, text + 16 * i); /* bytes are spelt otherwise there; they do not matter here */
        words[i] = (sn_str){text + 16 * i, strlen(text + 16 * i)};
    }
    assert_int_equal(sn_gguf_create(&m.gguf, path, &err), SN_OK);
    sn_gguf_set_str(m.gguf, "general.architecture", "whisper", 7);
    sn_gguf_set_u32(m.gguf, "whisper.encoder.context_length", AUD_N_AUDIO_CTX);
    sn_gguf_set_u32(m.gguf, "whisper.encoder.embedding_length", WHISPER_BIN_D);
    sn_gguf_set_u32(m.gguf, "whisper.encoder.block_count", 1);
    sn_gguf_set_u32(m.gguf, "whisper.encoder.mels_count", 80);
    sn_gguf_set_u32(m.gguf, "whisper.encoder.attention.head_count", 2);
    sn_gguf_set_u32(m.gguf, "whisper.decoder.context_length", WHISPER_BIN_TEXT_CTX);
    sn_gguf_set_u32(m.gguf, "whisper.decoder.embedding_length", WHISPER_BIN_D);
    sn_gguf_set_u32(m.gguf, "whisper.decoder.block_count", 1);
    sn_gguf_set_u32(m.gguf, "whisper.decoder.attention.head_count", 2);
    sn_gguf_set_u32(m.gguf, "tokenizer.ggml.eos_token_id", WHISPER_BIN_EOT);
    sn_gguf_set_strs(m.gguf, "tokenizer.ggml.tokens", words, WHISPER_BIN_VOCAB);
    whisper_put_tensors(&m);
    m.data = true;
    whisper_put_tensors(&m);
    if (sn_gguf_finish(m.gguf, &err) != SN_OK) fail_msg("%s", err.msg);
    free(words);
    free(text);
    return path;
}

static void bin_and_gguf_of_one_model_agree_to_the_bit(void **state)
{
    (void)state;
    static const int32_t prompt[] = {50257, 50363, 300, 17};
    size_t at_words, at_tensors;
    whisper_maker m = whisper_bin_make(&at_words, &at_tensors);
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *a = opened(testing_temp(m.p, m.n), c), *b = opened(make_gguf(), c);
    float *mel = synthetic_mel(), *sa = states_of(a, mel), *sb = states_of(b, mel);
    float *la = logits_of(a, sa, prompt, 4), *lb = logits_of(b, sb, prompt, 4);
    assert_memory_equal(sa, sb, AUD_N_AUDIO_CTX * WHISPER_BIN_D * sizeof *sa);
    assert_memory_equal(la, lb, 4 * WHISPER_BIN_VOCAB * sizeof *la);
    assert_true(fabsf(la[100]) > 0);
    assert_false(aud_whisper_multilingual(a));
    assert_int_equal(a->file.vocab.space, ' ');
    free(mel), free(sa), free(sb), free(la), free(lb), free(m.p);
    aud_whisper_close(a);
    aud_whisper_close(b);
    sn_compute_close(c);
}

static void bin_with_wrong_numbers_is_refused(void **state)
{
    (void)state;
    size_t at_words, at_tensors;
    whisper_maker m = whisper_bin_make(&at_words, &at_tensors);
    sn_compute *c = compute(SN_ISA_BEST);
    static const struct {
        size_t at;
        uint32_t value;
        const char *part;
    } cases[] = {
        {4, 0, "n_vocab"},
        {4, 0xFFFFFFFF, "n_vocab"},
        {4, WHISPER_BIN_VOCAB + 1, "words"}, /* multilingual: one word more is wanted */
        {8, 1499, "n_audio_ctx"},
        {12, 16, "differ in width"},
        {16, 0, "n_audio_head"},
        {16, 3, "heads"},
        {20, 2, "encoder.blocks.1"},
        {20, 1000000, "n_audio_layer"},
        {24, 1u << 30, "n_text_ctx"},
        {32, 5, "heads"},
        {36, 0, "n_text_layer"},
        {40, 128, "mel filters"},
        {44, 99999, "ftype"},
        {48, 81, "mel filters"},
        {52, 257, "mel filters"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t old;
        memcpy(&old, m.p + cases[i].at, 4);
        memcpy(m.p + cases[i].at, &cases[i].value, 4);
        refused(testing_temp(m.p, m.n), c, cases[i].part);
        memcpy(m.p + cases[i].at, &old, 4);
    }
    free(m.p);
    sn_compute_close(c);
}

static void bin_with_broken_tensors_is_refused(void **state)
{
    (void)state;
    size_t at_words, at_tensors;
    whisper_maker m = whisper_bin_make(&at_words, &at_tensors);
    sn_compute *c = compute(SN_ISA_BEST);
    static const struct {
        size_t at; /* behind at_tensors: n_dims, name length, type, dims[3], name */
        uint32_t value;
        const char *part;
    } cases[] = {{0, 5, "dimensions"}, {0, 0, "dimensions"},        {4, 65, "name"}, {8, 99, "type"},
                 {12, 0, "dimension"}, {12, 0x80000000, "encoder"}, {16, 81, ""},    {24, 0x6f6f6f6f, "missing"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t old;
        memcpy(&old, m.p + at_tensors + cases[i].at, 4);
        memcpy(m.p + at_tensors + cases[i].at, &cases[i].value, 4);
        refused(testing_temp(m.p, m.n), c, cases[i].part);
        memcpy(m.p + at_tensors + cases[i].at, &old, 4);
    }
    /* One tensor twice, one too many, one too few. */
    const size_t n = m.n;
    whisper_put_tensor(&m, "decoder.ln.bias", SN_F32, WHISPER_BIN_D, 1, 1);
    refused(testing_temp(m.p, m.n), c, "twice");
    m.n = n;
    whisper_put_tensor(&m, "decoder.extra", SN_F32, WHISPER_BIN_D, 1, 1);
    refused(testing_temp(m.p, m.n), c, "tensors");
    m.n = n - 30; /* the last bias is whole no more */
    refused(testing_temp(m.p, m.n), c, "");
    free(m.p);
    sn_compute_close(c);
}

/* Opens what a hostile hand made of a file; anything but a crash is right, and a refusal is one line. */
static void survive(const unsigned char *p, size_t n, sn_compute *c)
{
    aud_whisper *w = NULL;
    sn_err err = {0};
    if (aud_whisper_open(&w, testing_temp(p, n), c, &err) == SN_OK)
        aud_whisper_close(w);
    else
        assert_true(err.msg[0] != '\0' && strchr(err.msg, '\n') == NULL);
}

static void survive_damage(unsigned char *p, size_t n, size_t dense, size_t n_random, sn_compute *c)
{
    uint32_t seed = 7;
    for (size_t i = 0; i < n; i += i < 64 ? 1 : 1 + n / 40) survive(p, i, c); /* cut anywhere */
    survive(p, n - 1, c);
    for (size_t i = 0; i < dense; i++) { /* one bit of each byte of the header */
        p[i] ^= (unsigned char)(1 << i % 8);
        survive(p, n, c);
        p[i] ^= (unsigned char)(1 << i % 8);
    }
    for (size_t i = 0; i < n_random; i++) {
        seed = seed * 1664525u + 1013904223u;
        const size_t at = (size_t)seed % n;
        const unsigned char old = p[at];
        p[at] = (unsigned char)(seed >> 8);
        survive(p, n, c);
        p[at] = old;
    }
}

static void damaged_bin_never_crashes(void **state)
{
    (void)state;
    size_t at_words, at_tensors;
    whisper_maker m = whisper_bin_make(&at_words, &at_tensors);
    sn_compute *c = compute(SN_ISA_BEST);
    survive_damage(m.p, m.n, 60, 40, c);
    for (size_t i = 0; i < 200; i++) { /* and the heads of the first tensors */
        m.p[at_tensors + i] ^= (unsigned char)(1 << i % 8);
        survive(m.p, m.n, c);
        m.p[at_tensors + i] ^= (unsigned char)(1 << i % 8);
    }
    free(m.p);
    sn_compute_close(c);
}

static void damaged_gguf_never_crashes(void **state)
{
    (void)state;
    size_t n;
    unsigned char *p = slurp(converted("f16"), &n);
    sn_compute *c = compute(SN_ISA_BEST);
    survive_damage(p, n, 1200, 300, c);
    free(p);
    sn_compute_close(c);
}

static void other_kinds_of_files_are_named(void **state)
{
    (void)state;
    sn_compute *c = compute(SN_ISA_BEST);
    refused(testing_temp("<!DOCTYPE html><html>", 21), c, "HTML");
    refused(testing_temp("version https://git-lfs.github.com/spec/v1\noid", 46), c, "git-lfs");
    refused(testing_temp("lmgg", 4), c, "");
    refused("/nonexistent/whisper.bin", c, "cannot open");
    refused("tests/golden/core/gguf_all.gguf", c, "whisper");
    sn_compute_close(c);
}

/* ---- CTranslate2 folders ---- */

static void damaged_ct2_never_crashes(void **state)
{
    (void)state;
    char dir[] = "/tmp/test-ct2-XXXXXX", path[128], vocabulary[128];
    size_t n, n_words;
    unsigned char *p = slurp(GOLDEN "whisper_tiny_int8/model.bin", &n), *v = slurp(GOLDEN "whisper_tiny_int8/vocabulary.json", &n_words);
    const char *out = testing_temp("old", 3);
    uint32_t seed = 11;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/model.bin", dir);
    snprintf(vocabulary, sizeof vocabulary, "%s/vocabulary.json", dir);
    for (size_t i = 0; i < 500; i++) {
        seed = seed * 1664525u + 1013904223u;
        const size_t at = i < 300 ? i : (size_t)seed % n;
        const unsigned char old = p[at];
        const size_t cut = i % 5 == 4 ? (size_t)(seed >> 3) % n : n;
        sn_err err = {0};
        p[at] ^= (unsigned char)(1 << (seed >> 29));
        for (int k = 0; k < 2; k++) {
            FILE *f = fopen(k == 0 ? path : vocabulary, "wb");
            assert_non_null(f);
            fwrite(k == 0 ? p : v, 1, k == 0 ? cut : i % 50 == 49 ? (size_t)(seed >> 5) % n_words : n_words, f);
            fclose(f);
        }
        const sn_status st = aud_convert_ct2(dir, out, &err);
        if (cut < n) assert_int_not_equal(st, SN_OK);
        if (st != SN_OK) assert_true(err.msg[0] != '\0' && strchr(err.msg, '\n') == NULL);
        p[at] = old;
    }
    unlink(path);
    unlink(vocabulary);
    rmdir(dir);
    free(p);
    free(v);
}

static void failed_conversion_leaves_the_old_file(void **state)
{
    (void)state;
    sn_err err = {0};
    size_t n;
    const char *out = testing_temp("old", 3);
    assert_int_not_equal(aud_convert_ct2("tests/golden/core", out, &err), SN_OK);
    assert_non_null(strstr(err.msg, "model.bin"));
    unsigned char *p = slurp(out, &n);
    assert_int_equal(n, 3);
    free(p);
}

static void conversion_keeps_the_alignment_heads(void **state)
{
    (void)state;
    sn_compute *c = compute(SN_ISA_BEST);
    aud_whisper *w = opened(converted("f16"), c);
    static const int32_t want[] = {1, 0, 1, 1};
    assert_int_equal(w->file.n_heads, 2);
    assert_memory_equal(w->file.heads, want, sizeof want);
    assert_int_equal(w->decoder.embed.type, SN_F16);
    assert_int_equal(w->file.vocab.special.n_languages, 2);
    aud_whisper_close(w);
    sn_compute_close(c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(states_and_logits_are_those_of_transformers),
    cmocka_unit_test(eight_bit_weights_are_dequantised_by_their_scales),
    cmocka_unit_test(every_instruction_set_gives_the_same),
    cmocka_unit_test(tokens_one_by_one_give_what_they_give_at_once),
    cmocka_unit_test(real_states_and_logits_are_those_of_transformers),
    cmocka_unit_test(special_tokens_follow_the_text),
    cmocka_unit_test(languages_have_codes_and_names),
    cmocka_unit_test(ids_and_suppressed_tokens_are_the_references),
    cmocka_unit_test(control_tokens_cannot_be_spelt),
    cmocka_unit_test(text_is_always_clean_utf8),
    cmocka_unit_test(bin_and_gguf_of_one_model_agree_to_the_bit),
    cmocka_unit_test(bin_with_wrong_numbers_is_refused),
    cmocka_unit_test(bin_with_broken_tensors_is_refused),
    cmocka_unit_test(damaged_bin_never_crashes),
    cmocka_unit_test(damaged_gguf_never_crashes),
    cmocka_unit_test(other_kinds_of_files_are_named),
    cmocka_unit_test(damaged_ct2_never_crashes),
    cmocka_unit_test(failed_conversion_leaves_the_old_file),
    cmocka_unit_test(conversion_keeps_the_alignment_heads),
};
TESTING_MAIN("audio_whisper", tests)
