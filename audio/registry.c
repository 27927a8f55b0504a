/* registry.c: the audio families, and what they share: reading an mmproj's Whisper encoder and making the spectrogram. */
#include "../core/bind.h"
#include "family.h"

#include <string.h>

static const aud_family *const families[] = {&aud_voxtral, &aud_ultravox, &aud_qwen2audio};
#define N_FAMILIES (sizeof families / sizeof families[0])

static sn_status find_family(const aud_family **out, const sn_gguf *g, sn_err *err)
{
    sn_str kind = {0};
    bool has_audio = false;
    if (sn_gguf_bool_or(g, "clip.has_audio_encoder", false, &has_audio, err) != SN_OK) return SN_EFORMAT;
    if (!has_audio) return sn_fail(err, SN_EUNSUPPORTED, "holds no audio encoder (clip.has_audio_encoder)");
    if (sn_gguf_str_or(g, "clip.audio.projector_type", &kind, err) != SN_OK) return SN_EFORMAT;
    if (!kind.p && sn_gguf_str_or(g, "clip.projector_type", &kind, err) != SN_OK) return SN_EFORMAT;
    if (!kind.p) return sn_fail(err, SN_EFORMAT, "clip.projector_type is missing");
    for (size_t i = 0; i < N_FAMILIES; i++) {
        if (!sn_str_eq(kind, families[i]->name)) continue;
        *out = families[i];
        return SN_OK;
    }
    return sn_fail(err, SN_EUNSUPPORTED, "audio projector \"%.*s\" is not one this program knows", (int)(kind.n < 64 ? kind.n : 64),
                   kind.p);
}

static sn_status read_hparams(aud_encoder_hparams *hp, const sn_gguf *g, sn_err *err)
{
    const struct {
        const char *key;
        uint32_t max;
        size_t *out;
    } want[] = {
        {"clip.audio.num_mel_bins", 512, &hp->n_mel},          {"clip.audio.embedding_length", 16384, &hp->n_embd},
        {"clip.audio.attention.head_count", 512, &hp->n_head}, {"clip.audio.block_count", 256, &hp->n_layer},
        {"clip.audio.feed_forward_length", 65536, &hp->n_ff},
    };
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        uint32_t v;
        if (sn_gguf_u32(g, want[i].key, 1, want[i].max, &v, err) != SN_OK) return SN_EFORMAT;
        *want[i].out = v;
    }
    if (sn_gguf_f32(g, "clip.audio.attention.layer_norm_epsilon", &hp->eps, err) != SN_OK) return SN_EFORMAT;
    const sn_tensor *t = sn_gguf_tensor(g, "a.position_embd.weight");
    if (!t || t->n_dims != 2) return sn_fail(err, SN_ESHAPE, "a.position_embd.weight: want [n_ctx,%zu], the file has none", hp->n_embd);
    hp->n_ctx = t->shape[0];
    return SN_OK;
}

static void bind_encoder(aud_model *m, sn_bind *b)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    aud_encoder_weights *w = aud_encoder_get_weights(m->encoder);
    size_t n = hp->n_embd;
    const size_t table[2] = {hp->n_ctx, n};

    aud_bind_conv(b, &w->conv1, n, hp->n_mel, "a.conv1d.1");
    aud_bind_conv(b, &w->conv2, n, n, "a.conv1d.2");
    sn_bind_f32(b, &w->positions, table, 2, false, "a.position_embd.weight");
    for (size_t i = 0; i < hp->n_layer; i++) {
        aud_encoder_block *k = &w->blocks[i];
        sn_bind_norm(b, &k->ln1, n, SN_BIAS_REQUIRED, "a.blk.%zu.ln1", i);
        sn_bind_linear(b, &k->q, n, n, SN_BIAS_REQUIRED, "a.blk.%zu.attn_q", i);
        sn_bind_linear(b, &k->k, n, n, SN_BIAS_NONE, "a.blk.%zu.attn_k", i);
        sn_bind_linear(b, &k->v, n, n, SN_BIAS_REQUIRED, "a.blk.%zu.attn_v", i);
        sn_bind_linear(b, &k->out, n, n, SN_BIAS_REQUIRED, "a.blk.%zu.attn_out", i);
        sn_bind_norm(b, &k->ln2, n, SN_BIAS_REQUIRED, "a.blk.%zu.ln2", i);
        sn_bind_linear(b, &k->fc1, hp->n_ff, n, SN_BIAS_REQUIRED, "a.blk.%zu.ffn_up", i);
        sn_bind_linear(b, &k->fc2, n, hp->n_ff, SN_BIAS_REQUIRED, "a.blk.%zu.ffn_down", i);
    }
    sn_bind_norm(b, &w->ln_post, n, SN_BIAS_REQUIRED, "a.post_ln");
}

/* Everything behind sn_gguf_open; `err` is without the file's name. */
static sn_status open_parts(aud_model *m, sn_err *err)
{
    aud_encoder_hparams hp = {0};
    sn_bind b;
    sn_status st;

    if ((st = find_family(&m->family, m->gguf, err)) != SN_OK) return st;
    if ((st = read_hparams(&hp, m->gguf, err)) != SN_OK) return st;
    hp.no_post_norm = m->family->no_post_norm;
    if ((st = aud_encoder_create(&m->encoder, &hp, m->compute, err)) != SN_OK) return st;
    if ((st = aud_mel_open(&m->mel, hp.n_mel, NULL, err)) != SN_OK) return st;
    if ((st = sn_bind_init(&b, m->gguf, m->compute, err)) != SN_OK) return st;
    bind_encoder(m, &b);
    m->family->open(m, &b);
    if ((st = sn_bind_done(&b)) != SN_OK) return st;
    return aud_encoder_prepare(m->encoder, err);
}

sn_status aud_model_open(aud_model **out, const char *path, sn_compute *c, sn_err *err)
{
    aud_model *m = sn_calloc(1, sizeof *m);
    sn_status st;
    if (!m) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    m->compute = c;
    st = sn_gguf_open(&m->gguf, path, err);
    if (st == SN_OK) {
        st = open_parts(m, err);
        if (st != SN_OK && (!err || strncmp(err->msg, path, strlen(path)) != 0)) sn_wrap(err, "%s", path);
    }
    if (st != SN_OK) {
        aud_model_close(m);
        return st;
    }
    *out = m;
    return SN_OK;
}

void aud_model_close(aud_model *m)
{
    if (!m) return;
    if (m->adapter) m->family->close(m);
    aud_encoder_destroy(m->encoder);
    aud_mel_close(m->mel);
    sn_gguf_close(m->gguf);
    sn_free(m);
}

const char *aud_model_family(const aud_model *m)
{
    return m->family->name;
}

size_t aud_model_n_embd(const aud_model *m)
{
    return m->n_embd;
}

size_t aud_model_bytes(const aud_model *m)
{
    return sn_gguf_bytes(m->gguf) + aud_encoder_bytes(m->encoder) + m->family->bytes(m);
}

size_t aud_model_n_tok(const aud_model *m, size_t n_samples)
{
    return m->family->n_tok(m, n_samples);
}

const char *aud_model_before(const aud_model *m)
{
    return m->family->before;
}

const char *aud_model_after(const aud_model *m)
{
    return m->family->after;
}

static sn_status check_length(size_t n_samples, sn_err *err)
{
    if (n_samples == 0) return sn_fail(err, SN_EFORMAT, "holds no sound");
    if (n_samples > AUD_MAX_SAMPLES)
        return sn_fail(err, SN_ELIMIT, "%.0f s of sound: an audio encoder takes an hour at most", (double)n_samples / AUD_RATE_HZ);
    return SN_OK;
}

sn_status aud_model_mel(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_mel, size_t *n_frame, sn_err *err)
{
    sn_status st = check_length(n_samples, err);
    sn_turn_take(m->compute);
    if (st == SN_OK) st = m->family->spectrogram(m, samples, n_samples, out, n_frame, err);
    sn_turn_end(m->compute);
    if (st == SN_OK) *n_mel = aud_encoder_get_hparams(m->encoder)->n_mel;
    return st;
}

sn_status aud_model_encode(aud_model *m, const float *samples, size_t n_samples, float *out, sn_err *err)
{
    float *mel = NULL; /* [n_mel, n_frame] */
    size_t n_mel, n_frame;
    sn_status st = aud_model_mel(m, samples, n_samples, &mel, &n_mel, &n_frame, err);
    sn_turn_take(m->compute);
    if (st == SN_OK) st = m->family->encode(m, mel, n_frame, n_samples, out, err);
    sn_turn_end(m->compute);
    sn_free(mel);
    return st;
}

sn_status aud_padded_mel(aud_model *m, const float *samples, size_t n_samples, size_t n_padded, float **out, sn_err *err)
{
    size_t n_mel = aud_encoder_get_hparams(m->encoder)->n_mel, n_frame = n_padded / AUD_HOP;
    sn_status st = SN_ENOMEM;
    float *padded = sn_alloc(n_padded, sizeof *padded);
    float *mel = sn_alloc(n_mel * n_frame, sizeof *mel); /* [n_mel, n_frame] */

    if (padded && mel) {
        memcpy(padded, samples, n_samples * sizeof *padded);
        memset(padded + n_samples, 0, (n_padded - n_samples) * sizeof *padded);
        st = aud_mel_log10(m->mel, m->compute, padded, n_padded, mel, n_frame, err);
        if (st == SN_OK) aud_mel_normalise(mel, n_mel, n_frame, n_frame, NULL);
    } else {
        sn_fail(err, SN_ENOMEM, "out of memory for the spectrogram");
    }
    sn_free(padded);
    if (st != SN_OK) {
        sn_free(mel);
        return st;
    }
    *out = mel;
    return SN_OK;
}

void aud_cut_mel(float *dst, const float *mel, size_t n_mel, size_t n_frame, size_t first, size_t n, float pad)
{
    size_t have = first >= n_frame ? 0 : n_frame - first < n ? n_frame - first : n;
    for (size_t i = 0; i < n_mel; i++) {
        memcpy(dst + i * n, mel + i * n_frame + first, have * sizeof *dst);
        for (size_t f = have; f < n; f++) dst[i * n + f] = pad;
    }
}

size_t aud_bind_u32(sn_bind *b, const char *key, uint32_t max)
{
    uint32_t v = 1;
    if (b->status == SN_OK) b->status = sn_gguf_u32(b->gguf, key, 1, max, &v, b->err);
    return b->status == SN_OK ? v : 1;
}

size_t aud_bind_rows(sn_bind *b, const char *tensor)
{
    const sn_tensor *t = sn_gguf_tensor(b->gguf, tensor);
    if (b->status != SN_OK) return 1;
    if (t && t->n_dims == 2 && t->shape[0] <= 65536) return t->shape[0];
    b->status = sn_fail(b->err, SN_ESHAPE, "%s: want a matrix, the file has %s", tensor, t ? "another shape" : "no such tensor");
    return 1;
}
