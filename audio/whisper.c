/* whisper.c: a Whisper model file (ggml-*.bin or GGUF, docs/formats.md) opened and bound: every tensor that the model needs
 * is there once with the shape it must have, and nothing else is. */
#include "whisper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/mem.h"

/* ---- GGUF: numbers and words ---- */

static sn_status read_gguf_numbers(aud_whisper_file *f, size_t *eot, sn_err *err)
{
    const struct {
        const char *key;
        size_t *value;
    } keys[] = {
        {"whisper.encoder.mels_count", &f->hp.n_mel},          {"whisper.encoder.attention.head_count", &f->hp.n_audio_head},
        {"whisper.encoder.block_count", &f->hp.n_audio_layer}, {"whisper.encoder.embedding_length", &f->hp.n_embd},
        {"whisper.decoder.context_length", &f->hp.n_text_ctx}, {"whisper.decoder.attention.head_count", &f->hp.n_text_head},
        {"whisper.decoder.block_count", &f->hp.n_text_layer},  {"tokenizer.ggml.eos_token_id", eot},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint32_t v = 0;
        sn_status st = sn_gguf_u32(f->gguf, keys[i].key, 1, 1u << 20, &v, err);
        if (st != SN_OK) return st;
        *keys[i].value = v;
    }
    uint32_t n_audio_ctx, n_text_embd;
    sn_status st = sn_gguf_u32(f->gguf, "whisper.encoder.context_length", AUD_N_AUDIO_CTX, AUD_N_AUDIO_CTX, &n_audio_ctx, err);
    if (st == SN_OK)
        st = sn_gguf_u32(f->gguf, "whisper.decoder.embedding_length", (uint32_t)f->hp.n_embd, (uint32_t)f->hp.n_embd, &n_text_embd, err);
    if (st == SN_OK) st = sn_gguf_bool_or(f->gguf, "whisper.multilingual", f->hp.n_vocab >= 51865, &f->hp.multilingual, err);
    return st == SN_OK ? aud_whisper_hparams_check(&f->hp, n_audio_ctx, err) : st;
}

static sn_status read_gguf_heads(aud_whisper_file *f, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(f->gguf, "whisper.alignment_heads");
    if (kv == NULL) return SN_OK;
    if (kv->type != SN_KV_ARRAY || (kv->elem != SN_KV_I32 && kv->elem != SN_KV_U32) || kv->n % 2 != 0 || kv->n > 2 * AUD_MAX_HEADS)
        return sn_fail(err, SN_EFORMAT, "whisper.alignment_heads is not a list of (layer, head)");
    for (size_t i = 0; i < kv->n; i++) {
        const int64_t v = sn_kv_i64(kv, i);
        if (v < 0 || (size_t)v >= (i % 2 == 0 ? f->hp.n_text_layer : f->hp.n_text_head))
            return sn_fail(err, SN_EFORMAT, "whisper.alignment_heads names %lld, which the decoder has not", (long long)v);
        f->heads[i] = (int32_t)v;
    }
    f->n_heads = kv->n / 2;
    return SN_OK;
}

static sn_status read_gguf(aud_whisper_file *f, sn_err *err)
{
    sn_str arch;
    sn_status st = sn_gguf_str_or(f->gguf, "general.architecture", &arch, err);
    const sn_kv *words = sn_gguf_find(f->gguf, "tokenizer.ggml.tokens");
    size_t eot = 0;
    if (st != SN_OK) return st;
    if (!sn_str_eq(arch, "whisper"))
        return sn_fail(err, SN_EFORMAT, "general.architecture is \"%.*s\", not \"whisper\"", (int)(arch.n < 64 ? arch.n : 64),
                       arch.n > 0 ? arch.p : "");
    if (words == NULL || words->type != SN_KV_ARRAY || words->elem != SN_KV_STRING)
        return sn_fail(err, SN_EFORMAT, "tokenizer.ggml.tokens is not a list of strings");
    f->hp.n_vocab = words->n;
    st = read_gguf_numbers(f, &eot, err);
    if (st == SN_OK) st = read_gguf_heads(f, err);
    aud_special special = {0};
    if (st == SN_OK) st = aud_special_init(&special, f->hp.n_vocab, eot, err);
    for (size_t i = 0; st == SN_OK && i < eot; i++) st = aud_vocab_add_printable(&f->vocab, words->strings[i].p, words->strings[i].n, err);
    return st == SN_OK ? aud_vocab_finish(&f->vocab, &special, f->hp.n_vocab, err) : st;
}

/* ---- either kind ---- */

static bool is_ggml_bin(const sn_map *m)
{
    return m->size >= 4 && memcmp(m->data, "lmgg", 4) == 0; /* "ggml" as a number */
}

static sn_status read_file(aud_whisper_file *f, sn_err *err)
{
    sn_status st = sn_map_open(&f->map, f->path, err);
    if (st != SN_OK) return st;
    if (is_ggml_bin(&f->map)) return aud_whisper_bin_read(f, err);
    if (f->map.size >= 4 && memcmp(f->map.data, "GGUF", 4) == 0) {
        sn_map_close(&f->map);
        st = sn_gguf_open(&f->gguf, f->path, err);
        return st == SN_OK ? read_gguf(f, err) : st;
    }
    const char *kind = sn_guess_kind(f->map.data, f->map.size);
    return sn_fail(err, SN_EFORMAT, "not a Whisper model (ggml-*.bin or GGUF)%s%s", kind == NULL ? "" : " but ", kind == NULL ? "" : kind);
}

static void file_free(aud_whisper_file *f)
{
    sn_free(f->filters);
    sn_free(f->tensors);
    aud_vocab_free(&f->vocab);
    sn_gguf_close(f->gguf);
    sn_map_close(&f->map);
}

static int name_against_tensor(const void *key, const void *tensor)
{
    return strcmp(key, ((const sn_tensor *)tensor)->name);
}

static const sn_tensor *file_tensor(const aud_whisper_file *f, const char *name)
{
    if (f->gguf != NULL) return sn_gguf_tensor(f->gguf, name);
    return f->n_tensors == 0 ? NULL : bsearch(name, f->tensors, f->n_tensors, sizeof *f->tensors, name_against_tensor);
}

/* ---- binding: as core/bind.h has it, but over the tensors of either kind of file ---- */
typedef struct {
    const aud_whisper_file *file;
    sn_compute *compute;
    size_t n_bound;
    sn_status status; /* the first problem sticks */
    sn_err *err;
} binder;

/* "<prefix><part>.<kind>" as a tensor of shape [n_out, n_in] (n_in 0: [n_out]), axes of 1 apart; NULL after a problem. */
static const sn_tensor *want(binder *b, const char *prefix, const char *part, const char *kind, size_t n_out, size_t n_in)
{
    char name[SN_MAX_NAME + 1];
    if (b->status != SN_OK) return NULL;
    snprintf(name, sizeof name, "%s%s%s", prefix, part, kind);
    const sn_tensor *t = file_tensor(b->file, name);
    if (t == NULL) {
        b->status = sn_fail(b->err, SN_ESHAPE, "%s is missing", name);
        return NULL;
    }
    const sn_type_info *info = sn_type_get(t->type);
    size_t rows = 0, cols = t->n_values;
    for (size_t d = 0; d < t->n_dims && rows == 0; d++)
        if (t->shape[d] != 1) rows = t->shape[d];
    if (rows == 0) rows = 1;
    cols /= rows;
    const bool blocks_fit = info != NULL && info->dequantize != NULL && t->shape[t->n_dims - 1] % info->block == 0;
    if (!blocks_fit || rows != n_out || cols != (n_in == 0 ? 1 : n_in) || t->n_values != n_out * (n_in == 0 ? 1 : n_in)) {
        b->status = sn_fail(b->err, SN_ESHAPE, "%s: want [%zu, %zu], file has %s of %zu values in rows of %zu", name, n_out,
                            n_in == 0 ? 1 : n_in, info == NULL ? "?" : info->name, t->n_values, t->shape[t->n_dims - 1]);
        return NULL;
    }
    b->n_bound++;
    return t;
}

/* The same as f32, from sn_alloc; NULL after a problem. */
static float *want_f32(binder *b, const char *prefix, const char *part, const char *kind, size_t n_out, size_t n_in)
{
    const sn_tensor *t = want(b, prefix, part, kind, n_out, n_in);
    if (t == NULL) return NULL;
    float *x = sn_alloc(t->n_values, sizeof *x);
    if (x == NULL)
        b->status = sn_fail(b->err, SN_ENOMEM, "no memory for %s", t->name);
    else
        sn_type_get(t->type)->dequantize(x, t->data, t->n_values);
    return x;
}

/* What was packed leaves the map: else a model would stand in memory twice. */
static void forget(const aud_whisper_file *f, const sn_tensor *t)
{
    if (f->gguf != NULL)
        sn_gguf_forget(f->gguf, t);
    else
        sn_map_forget(&f->map, t->data, t->n_bytes);
}

static void bind_linear(binder *b, sn_linear *w, size_t n_out, size_t n_in, bool biased, const char *prefix, const char *part)
{
    const sn_tensor *t = want(b, prefix, part, ".weight", n_out, n_in);
    float *bias = biased ? want_f32(b, prefix, part, ".bias", n_out, 0) : NULL;
    if (b->status == SN_OK) b->status = sn_linear_init(w, b->compute, t->type, n_out, n_in, t->data, bias, b->err);
    if (b->status == SN_OK && w->packed != NULL) forget(b->file, t);
    sn_free(bias);
}

static void bind_norm(binder *b, sn_norm *w, size_t n, const char *prefix, const char *part)
{
    w->n = n;
    w->weight = want_f32(b, prefix, part, ".weight", n, 0);
    w->bias = want_f32(b, prefix, part, ".bias", n, 0);
}

static void bind_encoder(binder *b, aud_encoder_weights *e, const aud_whisper_hparams *hp)
{
    const size_t d = hp->n_embd;
    bind_linear(b, &e->conv1, d, 3 * hp->n_mel, true, "encoder.", "conv1");
    bind_linear(b, &e->conv2, d, 3 * d, true, "encoder.", "conv2");
    e->positions = want_f32(b, "encoder.", "positional_embedding", "", AUD_N_AUDIO_CTX, d);
    bind_norm(b, &e->ln_post, d, "encoder.", "ln_post");
    for (size_t il = 0; il < hp->n_audio_layer; il++) {
        aud_encoder_block *L = &e->blocks[il];
        char p[SN_MAX_NAME];
        snprintf(p, sizeof p, "encoder.blocks.%zu.", il);
        bind_norm(b, &L->ln1, d, p, "attn_ln");
        bind_linear(b, &L->q, d, d, true, p, "attn.query");
        bind_linear(b, &L->k, d, d, false, p, "attn.key");
        bind_linear(b, &L->v, d, d, true, p, "attn.value");
        bind_linear(b, &L->out, d, d, true, p, "attn.out");
        bind_norm(b, &L->ln2, d, p, "mlp_ln");
        bind_linear(b, &L->fc1, 4 * d, d, true, p, "mlp.0");
        bind_linear(b, &L->fc2, d, 4 * d, true, p, "mlp.2");
    }
}

static void bind_decoder(binder *b, aud_decoder_weights *w, const aud_whisper_hparams *hp)
{
    const size_t d = hp->n_embd;
    bind_linear(b, &w->embed, hp->n_vocab, d, false, "decoder.", "token_embedding");
    w->positions = want_f32(b, "decoder.", "positional_embedding", "", hp->n_text_ctx, d);
    bind_norm(b, &w->ln, d, "decoder.", "ln");
    for (size_t il = 0; il < hp->n_text_layer; il++) {
        aud_decoder_block *L = &w->blocks[il];
        char p[SN_MAX_NAME];
        snprintf(p, sizeof p, "decoder.blocks.%zu.", il);
        bind_norm(b, &L->ln1, d, p, "attn_ln");
        bind_linear(b, &L->q, d, d, true, p, "attn.query");
        bind_linear(b, &L->k, d, d, false, p, "attn.key");
        bind_linear(b, &L->v, d, d, true, p, "attn.value");
        bind_linear(b, &L->out, d, d, true, p, "attn.out");
        bind_norm(b, &L->ln2, d, p, "cross_attn_ln");
        bind_linear(b, &L->cq, d, d, true, p, "cross_attn.query");
        bind_linear(b, &L->ck, d, d, false, p, "cross_attn.key");
        bind_linear(b, &L->cv, d, d, true, p, "cross_attn.value");
        bind_linear(b, &L->cout, d, d, true, p, "cross_attn.out");
        bind_norm(b, &L->ln3, d, p, "mlp_ln");
        bind_linear(b, &L->fc1, 4 * d, d, true, p, "mlp.0");
        bind_linear(b, &L->fc2, d, 4 * d, true, p, "mlp.2");
    }
}

static sn_status bind_all(aud_whisper *w, sn_err *err)
{
    const aud_whisper_hparams *hp = &w->file.hp;
    const aud_encoder_hparams ehp = {.n_mel = hp->n_mel,
                                     .n_embd = hp->n_embd,
                                     .n_head = hp->n_audio_head,
                                     .n_layer = hp->n_audio_layer,
                                     .n_ff = 4 * hp->n_embd,
                                     .n_ctx = AUD_N_AUDIO_CTX,
                                     .eps = 1e-5f};
    binder b = {.file = &w->file, .compute = w->compute, .err = err};
    sn_status st = aud_encoder_create(&w->encoder, &ehp, w->compute, err);
    if (st != SN_OK) return st;
    w->decoder.blocks = sn_calloc(hp->n_text_layer, sizeof *w->decoder.blocks);
    if (w->decoder.blocks == NULL) return sn_fail(err, SN_ENOMEM, "no memory for %zu layers", hp->n_text_layer);
    bind_encoder(&b, aud_encoder_get_weights(w->encoder), hp);
    bind_decoder(&b, &w->decoder, hp);
    if (w->file.gguf != NULL && file_tensor(&w->file, "mel_filters") != NULL)
        w->file.filters = want_f32(&b, "", "mel_filters", "", hp->n_mel, AUD_MEL_BINS);
    if (b.status != SN_OK) return b.status;
    const size_t n = w->file.gguf != NULL ? sn_gguf_n_tensors(w->file.gguf) : w->file.n_tensors;
    if (n != b.n_bound) return sn_fail(err, SN_ESHAPE, "there are %zu tensors, the model has %zu", n, b.n_bound);
    st = aud_encoder_prepare(w->encoder, err);
    return st == SN_OK ? aud_mel_open(&w->mel, hp->n_mel, w->file.filters, err) : st;
}

sn_status aud_whisper_bin_facts(aud_whisper_facts *out, bool *is_bin, const char *path, sn_err *err)
{
    aud_whisper_file f = {.path = path};
    sn_status st = sn_map_open(&f.map, path, err);
    if (st != SN_OK) return st;
    *is_bin = is_ggml_bin(&f.map);
    if (*is_bin) st = aud_whisper_bin_read(&f, err);
    if (st != SN_OK) sn_wrap(err, "%s", path);
    if (*is_bin && st == SN_OK) {
        *out = (aud_whisper_facts){.n_bytes = f.map.size,
                                   .n_vocab = f.hp.n_vocab,
                                   .n_mel = f.hp.n_mel,
                                   .n_embd = f.hp.n_embd,
                                   .n_audio_layer = f.hp.n_audio_layer,
                                   .n_text_layer = f.hp.n_text_layer,
                                   .n_tensors = f.n_tensors};
        for (size_t i = 0; i < f.n_tensors; i++) {
            out->n_values += f.tensors[i].n_values;
            out->type_bytes[f.tensors[i].type] += f.tensors[i].n_bytes;
        }
    }
    file_free(&f);
    return st;
}

sn_status aud_whisper_open(aud_whisper **out, const char *path, sn_compute *c, sn_err *err)
{
    aud_whisper *w = sn_calloc(1, sizeof *w);
    char *copy = strdup(path);
    if (w == NULL || copy == NULL) {
        free(copy);
        sn_free(w);
        return sn_fail(err, SN_ENOMEM, "%s: no memory", path);
    }
    w->path = copy;
    w->file.path = copy;
    w->compute = c;
    sn_status st = read_file(&w->file, err);
    if (st == SN_OK) st = bind_all(w, err);
    if (st == SN_OK && sn_compute_callers(c) > 1) st = aud_chorus_open(&w->chorus, w, err);
    if (st != SN_OK) {
        if (err != NULL && strncmp(err->msg, path, strlen(path)) != 0) sn_wrap(err, "%s", path);
        aud_whisper_close(w);
        return st;
    }
    *out = w;
    return SN_OK;
}

void aud_whisper_close(aud_whisper *w)
{
    if (w == NULL) return;
    aud_mel_close(w->mel);
    aud_encoder_destroy(w->encoder);
    aud_chorus_close(w->chorus);
    aud_decoder_weights_free(&w->decoder, w->file.hp.n_text_layer);
    file_free(&w->file);
    free(w->path);
    sn_free(w);
}

bool aud_whisper_multilingual(const aud_whisper *w)
{
    return w->file.hp.multilingual;
}

size_t aud_whisper_bytes(const aud_whisper *w)
{
    return aud_encoder_bytes(w->encoder) + aud_chorus_bytes(w->chorus) + aud_decoder_weights_bytes(&w->decoder, w->file.hp.n_text_layer) +
           w->file.vocab.cap_bytes + w->file.vocab.cap * sizeof(uint32_t) + w->file.vocab.n_slots * sizeof(int32_t) +
           w->file.n_tensors * sizeof(sn_tensor);
}

aud_encoder *aud_whisper_encoder(aud_whisper *w)
{
    return w->encoder;
}

const aud_mel *aud_whisper_mel(const aud_whisper *w)
{
    return w->mel;
}
