/* qwen2audio.c: Qwen2-Audio (Chu et al. 2024): a Whisper encoder with the padding masked, pairs of frames averaged before the
 * last layer norm, one matrix.
 *
 *   sound, cut or padded with zeros to one window of 30 s ─ spectrogram ─ encoder without its last norm -> [1500, n_audio]
 *   ─ mean of pairs -> [750, n_audio] ─ layer norm ─ fc -> [750, n_embd] ─ the sound's own rows
 *
 * With F = ceil(samples / 160) frames: H = (F - 1) / 2 + 1 keys are seen, (H - 2) / 2 + 1 rows come out. */
#include "../../core/nn.h"
#include "../family.h"

typedef struct {
    sn_linear fc;   /* [n_embd, n_audio], with bias; mm.a.fc; HF multi_modal_projector.linear */
    sn_arena arena; /* x [n_ctx, n_audio], the product's */
} qwen2audio;

static size_t window_samples(const aud_model *m)
{
    return aud_encoder_get_hparams(m->encoder)->n_ctx * 2 * AUD_HOP;
}

/* Rows behind the convolutions that stem from the sound itself. */
static size_t n_valid(const aud_model *m, size_t n_samples)
{
    size_t n = n_samples < window_samples(m) ? n_samples : window_samples(m);
    return ((n + AUD_HOP - 1) / AUD_HOP + 1) / 2;
}

static void qwen2audio_open(aud_model *m, sn_bind *b)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    qwen2audio *q = m->adapter = sn_calloc(1, sizeof *q);
    if (!q) {
        if (b->status == SN_OK) b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
        return;
    }
    m->n_embd = aud_bind_u32(b, "clip.audio.projection_dim", 65536);
    sn_bind_linear(b, &q->fc, m->n_embd, hp->n_embd, SN_BIAS_REQUIRED, "mm.a.fc");
    if (b->status == SN_OK)
        b->status = sn_arena_init(
            &q->arena, sn_arena_cost_f32(hp->n_ctx * hp->n_embd) + sn_linear_scratch_bytes(m->compute, &q->fc, hp->n_ctx / 2), b->err);
}

static void qwen2audio_close(aud_model *m)
{
    qwen2audio *q = m->adapter;
    sn_linear_free(&q->fc);
    sn_arena_free(&q->arena);
    sn_free(q);
}

static size_t qwen2audio_bytes(const aud_model *m)
{
    const qwen2audio *q = m->adapter;
    return q->arena.size + sn_linear_bytes(&q->fc);
}

static size_t qwen2audio_n_tok(const aud_model *m, size_t n_samples)
{
    return n_valid(m, n_samples) / 2;
}

static sn_status qwen2audio_spectrogram(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_frame, sn_err *err)
{
    size_t window = window_samples(m);
    *n_frame = window / AUD_HOP;
    return aud_padded_mel(m, samples, n_samples < window ? n_samples : window, window, out, err);
}

static sn_status qwen2audio_encode(aud_model *m, const float *mel, size_t n_frame, size_t n_samples, float *out, sn_err *err)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    qwen2audio *q = m->adapter;
    size_t n = hp->n_embd, rows = qwen2audio_n_tok(m, n_samples);

    if (rows == 0) return sn_fail(err, SN_EFORMAT, "%zu samples of sound are too few for this encoder", n_samples);
    sn_arena_reset(&q->arena, 0);
    float *x = sn_arena_f32(&q->arena, hp->n_ctx * n); /* [n_ctx, n_audio] */
    sn_status st = aud_encoder_run(m->encoder, mel, n_frame, n_valid(m, n_samples), x, err);
    if (st != SN_OK) return st;
    for (size_t r = 0; r < rows; r++) /* x [rows, n_audio] from here on */
        for (size_t i = 0; i < n; i++) x[r * n + i] = (x[2 * r * n + i] + x[(2 * r + 1) * n + i]) / 2;
    sn_layernorm(m->compute, x, x, &aud_encoder_get_weights(m->encoder)->ln_post, rows, hp->eps);
    sn_linear_apply(m->compute, out, m->n_embd, x, n, &q->fc, rows, &q->arena);
    return SN_OK;
}

const aud_family aud_qwen2audio = {
    .name = "qwen2a",
    .pairing = {.tokens = {"<|audio_bos|>", "<|audio_eos|>"}, .own = "<|AUDIO|>"},
    .before = "<|audio_bos|>",
    .after = "<|audio_eos|>",
    .no_post_norm = true,
    .open = qwen2audio_open,
    .close = qwen2audio_close,
    .bytes = qwen2audio_bytes,
    .n_tok = qwen2audio_n_tok,
    .spectrogram = qwen2audio_spectrogram,
    .encode = qwen2audio_encode,
};
