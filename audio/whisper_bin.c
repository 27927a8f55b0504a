/* whisper_bin.c: whisper.cpp's model files (models/convert-pt-to-ggml.py there says how they are written):
 *
 *   u32 magic "ggml" · i32 x 11 numbers · i32 n_mel, n_fft and f32 [n_mel, n_fft] filters · i32 n_words and, each, u32 length
 *   and bytes · to the end of the file tensors: i32 n_dims, name length, type · i32 dims, fastest first · name · data
 *
 * Nothing is aligned. The words of special tokens may be left out. */
#include <stdlib.h>

#include <string.h>

#include "../core/cursor.h"
#include "../core/mem.h"
#include "whisper.h"

#define MAX_FTYPE 4000 /* the type of most tensors + 1000 x the version of the quantisation; not needed to read them */

sn_status aud_whisper_hparams_check(const aud_whisper_hparams *hp, size_t n_audio_ctx, sn_err *err)
{
    const struct {
        const char *name;
        size_t value, min, max;
    } rules[] = {
        {"n_vocab", hp->n_vocab, 1, 200000},
        {"n_audio_ctx", n_audio_ctx, AUD_N_AUDIO_CTX, AUD_N_AUDIO_CTX},
        {"n_embd", hp->n_embd, 8, 8192},
        {"n_audio_head", hp->n_audio_head, 1, 256},
        {"n_audio_layer", hp->n_audio_layer, 1, 256},
        {"n_text_ctx", hp->n_text_ctx, 16, 8192},
        {"n_text_head", hp->n_text_head, 1, 256},
        {"n_text_layer", hp->n_text_layer, 1, 256},
        {"n_mels", hp->n_mel, 1, 512},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].value < rules[i].min || rules[i].value > rules[i].max)
            return sn_fail(err, SN_EFORMAT, "%s is %zu, not in %zu .. %zu", rules[i].name, rules[i].value, rules[i].min, rules[i].max);
    if (hp->n_embd % hp->n_audio_head != 0 || hp->n_embd % hp->n_text_head != 0)
        return sn_fail(err, SN_EFORMAT, "%zu and %zu heads do not divide a width of %zu", hp->n_audio_head, hp->n_text_head, hp->n_embd);
    return SN_OK;
}

static sn_status read_numbers(aud_whisper_file *f, sn_cursor *c, sn_err *err)
{
    aud_whisper_hparams *hp = &f->hp;
    hp->n_vocab = sn_cursor_u32(c, "n_vocab");
    const size_t n_audio_ctx = sn_cursor_u32(c, "n_audio_ctx");
    hp->n_embd = sn_cursor_u32(c, "n_audio_state");
    hp->n_audio_head = sn_cursor_u32(c, "n_audio_head");
    hp->n_audio_layer = sn_cursor_u32(c, "n_audio_layer");
    hp->n_text_ctx = sn_cursor_u32(c, "n_text_ctx");
    const size_t n_text_embd = sn_cursor_u32(c, "n_text_state");
    hp->n_text_head = sn_cursor_u32(c, "n_text_head");
    hp->n_text_layer = sn_cursor_u32(c, "n_text_layer");
    hp->n_mel = sn_cursor_u32(c, "n_mels");
    sn_cursor_u32_in(c, 0, MAX_FTYPE, "ftype");
    if (c->status != SN_OK) return c->status;
    sn_status st = aud_whisper_hparams_check(hp, n_audio_ctx, err);
    if (st != SN_OK) return st;
    if (n_text_embd != hp->n_embd)
        return sn_fail(err, SN_EFORMAT, "encoder and decoder differ in width: %zu and %zu", hp->n_embd, n_text_embd);
    return SN_OK;
}

static sn_status read_filters(aud_whisper_file *f, sn_cursor *c, sn_err *err)
{
    const size_t n_mel = sn_cursor_u32(c, "filters"), n_bin = sn_cursor_u32(c, "filters");
    if (c->status != SN_OK) return c->status;
    if (n_mel != f->hp.n_mel || n_bin != AUD_MEL_BINS)
        return sn_fail(err, SN_EFORMAT, "mel filters are %zu x %zu, want %zu x %d", n_mel, n_bin, f->hp.n_mel, AUD_MEL_BINS);
    const void *p = sn_cursor_array(c, n_mel * n_bin, sizeof(float), "mel filters");
    if (p == NULL) return c->status;
    f->filters = sn_alloc(n_mel * n_bin, sizeof(float));
    if (f->filters == NULL) return sn_fail(err, SN_ENOMEM, "no memory for the mel filters");
    memcpy(f->filters, p, n_mel * n_bin * sizeof(float));
    return SN_OK;
}

static sn_status read_words(aud_whisper_file *f, sn_cursor *c, sn_err *err)
{
    const size_t n = sn_cursor_u32_in(c, 0, (uint32_t)f->hp.n_vocab, "number of words");
    for (size_t i = 0; i < n; i++) {
        const size_t len = sn_cursor_u32(c, "vocabulary");
        const void *p = sn_cursor_bytes(c, len, "vocabulary");
        if (c->status != SN_OK) return c->status;
        sn_status st = aud_vocab_add(&f->vocab, p, len, err);
        if (st != SN_OK) return st;
    }
    if (c->status != SN_OK) return c->status;
    /* The rule of whisper.cpp: multilingual models have one text token more (and large-v3 one language more). */
    aud_special special;
    f->hp.multilingual = f->hp.n_vocab >= 51865;
    sn_status st = aud_special_init(&special, f->hp.n_vocab, f->hp.multilingual ? 50257 : 50256, err);
    return st != SN_OK ? st : aud_vocab_finish(&f->vocab, &special, f->hp.n_vocab, err);
}

static sn_status read_tensor(sn_tensor *t, sn_cursor *c, size_t i)
{
    memset(t, 0, sizeof *t);
    const uint32_t n_dims = sn_cursor_u32_in(c, 1, SN_MAX_DIMS, "a tensor's dimensions");
    const uint32_t n_name = sn_cursor_u32_in(c, 1, SN_MAX_NAME, "length of a tensor's name");
    const uint32_t type = sn_cursor_u32(c, "a tensor's type");
    const sn_type_info *info = sn_type_get(type);
    if (info == NULL || info->dequantize == NULL) return sn_cursor_fail(c, SN_EFORMAT, "tensor %zu has type %u", i, (unsigned)type);
    t->type = (sn_type)type;
    t->n_dims = n_dims;
    t->n_values = 1;
    for (size_t d = n_dims; d-- > 0;) {
        t->shape[d] = sn_cursor_u32_in(c, 1, UINT32_MAX, "a dimension");
        if (!sn_mul_ok(t->n_values, t->shape[d], &t->n_values)) return sn_cursor_fail(c, SN_EFORMAT, "tensor %zu is too large", i);
    }
    const void *name = sn_cursor_bytes(c, n_name, "a tensor's name");
    if (name == NULL) return c->status;
    memcpy(t->name, name, n_name);
    if (t->shape[n_dims - 1] % info->block != 0)
        return sn_cursor_fail(c, SN_EFORMAT, "%s: %s cannot hold rows of %zu", t->name, info->name, t->shape[n_dims - 1]);
    t->data = sn_cursor_array(c, t->n_values / info->block, info->bytes, t->name);
    t->n_bytes = t->n_values / info->block * info->bytes; /* no overflow: they are in the map */
    return c->status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sn_tensor *)a)->name, ((const sn_tensor *)b)->name);
}

static sn_status read_tensors(aud_whisper_file *f, sn_cursor *c, sn_err *err)
{
    const size_t most = 12 + 15 * f->hp.n_audio_layer + 24 * f->hp.n_text_layer; /* more than a model has is refused */
    f->tensors = sn_alloc(most, sizeof *f->tensors);
    if (f->tensors == NULL) return sn_fail(err, SN_ENOMEM, "no memory for %zu tensors", most);
    while (sn_cursor_left(c) > 0) {
        if (f->n_tensors == most) return sn_fail(err, SN_EFORMAT, "there are more than the %zu tensors of the model", most);
        sn_status st = read_tensor(&f->tensors[f->n_tensors], c, f->n_tensors);
        if (st != SN_OK) return st;
        f->n_tensors++;
    }
    if (f->n_tensors > 1) qsort(f->tensors, f->n_tensors, sizeof *f->tensors, by_name);
    for (size_t i = 1; i < f->n_tensors; i++)
        if (by_name(&f->tensors[i - 1], &f->tensors[i]) == 0) return sn_fail(err, SN_EFORMAT, "%s stands there twice", f->tensors[i].name);
    return SN_OK;
}

sn_status aud_whisper_bin_read(aud_whisper_file *f, sn_err *err)
{
    sn_cursor c;
    sn_cursor_init(&c, f->map.data, f->map.size, err);
    sn_cursor_u32(&c, "magic");
    sn_status st = read_numbers(f, &c, err);
    if (st == SN_OK) st = read_filters(f, &c, err);
    if (st == SN_OK) st = read_words(f, &c, err);
    if (st == SN_OK) st = read_tensors(f, &c, err);
    return st;
}
