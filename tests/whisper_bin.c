#include "whisper_bin.h"

#include "../audio/whisper.h"
#include "../core/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put(whisper_maker *m, const void *x, size_t n)
{
    if (m->n + n > m->cap) m->p = realloc(m->p, m->cap = 2 * (m->n + n));
    if (m->p == NULL) abort();
    memcpy(m->p + m->n, x, n);
    m->n += n;
}

static void put_u32(whisper_maker *m, uint32_t x)
{
    put(m, &x, 4);
}

void whisper_put_tensor(whisper_maker *m, const char *name, sn_type type, size_t rows, size_t cols, size_t taps)
{
    const size_t n = rows * cols * taps, shape[3] = {rows, cols, taps}, n_dims = taps > 1 ? 3 : cols > 1 ? 2 : 1;
    float *x = malloc(n * sizeof *x);
    uint16_t *h = malloc(n * sizeof *h);
    for (size_t i = 0; i < n; i++) {
        m->seed = m->seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)m->seed / 4294967296.0f;
        h[i] = sn_f32_to_f16(x[i]);
    }
    const void *data = type == SN_F16 ? (const void *)h : x;
    if (m->gguf != NULL && !m->data)
        sn_gguf_add_tensor(m->gguf, name, type, shape, n_dims);
    else if (m->gguf != NULL)
        sn_gguf_write_data(m->gguf, data, n * (type == SN_F16 ? 2 : 4));
    else {
        put_u32(m, (uint32_t)n_dims);
        put_u32(m, (uint32_t)strlen(name));
        put_u32(m, type);
        for (size_t d = n_dims; d-- > 0;) put_u32(m, (uint32_t)shape[d]);
        put(m, name, strlen(name));
        put(m, data, n * (type == SN_F16 ? 2 : 4));
    }
    m->n_tensors++;
    free(x);
    free(h);
}

static void put_linear(whisper_maker *m, const char *name, size_t n_out, size_t n_in, size_t taps, bool bias)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    whisper_put_tensor(m, full, SN_F16, n_out, n_in, taps);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) whisper_put_tensor(m, full, SN_F32, n_out, 1, 1);
}

static void put_norm(whisper_maker *m, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s.weight", name);
    whisper_put_tensor(m, full, SN_F32, WHISPER_BIN_D, 1, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    whisper_put_tensor(m, full, SN_F32, WHISPER_BIN_D, 1, 1);
}

void whisper_put_tensors(whisper_maker *m)
{
    static const char *const attn[] = {"query", "key", "value", "out"};
    char name[64];
    m->seed = 1;
    put_linear(m, "encoder.conv1", WHISPER_BIN_D, 80, 3, true);
    put_linear(m, "encoder.conv2", WHISPER_BIN_D, WHISPER_BIN_D, 3, true);
    whisper_put_tensor(m, "encoder.positional_embedding", SN_F32, AUD_N_AUDIO_CTX, WHISPER_BIN_D, 1);
    put_norm(m, "encoder.ln_post");
    put_linear(m, "decoder.token_embedding", WHISPER_BIN_VOCAB, WHISPER_BIN_D, 1, false);
    whisper_put_tensor(m, "decoder.positional_embedding", SN_F32, WHISPER_BIN_TEXT_CTX, WHISPER_BIN_D, 1);
    put_norm(m, "decoder.ln");
    for (int side = 0; side < 2; side++) {
        const char *s = side == 0 ? "encoder" : "decoder";
        for (int kind = 0; kind <= side; kind++) {
            for (int i = 0; i < 4; i++) {
                snprintf(name, sizeof name, "%s.blocks.0.%s.%s", s, kind == 0 ? "attn" : "cross_attn", attn[i]);
                put_linear(m, name, WHISPER_BIN_D, WHISPER_BIN_D, 1, i != 1);
            }
            snprintf(name, sizeof name, "%s.blocks.0.%s", s, kind == 0 ? "attn_ln" : "cross_attn_ln");
            put_norm(m, name);
        }
        snprintf(name, sizeof name, "%s.blocks.0.mlp_ln", s);
        put_norm(m, name);
        snprintf(name, sizeof name, "%s.blocks.0.mlp.0", s);
        put_linear(m, name, 4 * WHISPER_BIN_D, WHISPER_BIN_D, 1, true);
        snprintf(name, sizeof name, "%s.blocks.0.mlp.2", s);
        put_linear(m, name, WHISPER_BIN_D, 4 * WHISPER_BIN_D, 1, true);
    }
}

void whisper_bin_word(size_t i, char *w) /* 256 bytes, then letters */
{
    if (i < 256) {
        w[0] = (char)i;
        w[1] = '\0';
    } else {
        snprintf(w, 16, "w%u", (unsigned)i);
    }
}

/* A whole ggml-*.bin; *at_words and *at_tensors are where its parts begin. */
whisper_maker whisper_bin_make(size_t *at_words, size_t *at_tensors)
{
    static const uint32_t numbers[] = {
        WHISPER_BIN_VOCAB, AUD_N_AUDIO_CTX, WHISPER_BIN_D, 2, 1, WHISPER_BIN_TEXT_CTX, WHISPER_BIN_D, 2, 1, 80, 1};
    static float filters[80 * AUD_MEL_BINS];
    whisper_maker m = {0};
    char w[16];
    put_u32(&m, 0x67676d6c);
    put(&m, numbers, sizeof numbers);
    put_u32(&m, 80);
    put_u32(&m, AUD_MEL_BINS);
    for (size_t i = 0; i < 80; i++) filters[i * AUD_MEL_BINS + 2 * i + 1] = 0.02f;
    put(&m, filters, sizeof filters);
    *at_words = m.n;
    put_u32(&m, WHISPER_BIN_EOT);
    for (size_t i = 0; i < WHISPER_BIN_EOT; i++) {
        whisper_bin_word(i, w);
        put_u32(&m, i < 256 ? 1 : (uint32_t)strlen(w));
        put(&m, w, i < 256 ? 1 : strlen(w));
    }
    *at_tensors = m.n;
    whisper_put_tensors(&m);
    return m;
}

bool whisper_bin_write(const char *path)
{
    size_t at_words, at_tensors;
    whisper_maker m = whisper_bin_make(&at_words, &at_tensors);
    FILE *f = fopen(path, "wb");
    const bool written = f != NULL && fwrite(m.p, 1, m.n, f) == m.n;
    free(m.p);
    return f != NULL && fclose(f) == 0 && written;
}
