/* voxtral.c: Voxtral (Mistral AI, 2025): a Whisper encoder, four frames side by side, two matrices with a GELU between.
 *
 *   sound, padded with zeros to whole windows of 30 s ─ ONE spectrogram (one maximum) ─ windows of 3000 frames
 *   window ─ encoder -> [1500, n_audio] ─ stack of 4 -> [375, 4 * n_audio] ─ mlp.1 ─ GELU (erf) ─ mlp.2 -> [375, n_embd]
 *
 * Follows transformers' VoxtralForConditionalGeneration: no average pooling, no mask over the padding. All windows' rows stand
 * behind one [BEGIN_AUDIO]. */
#include "../../core/nn.h"
#include "../family.h"

typedef struct {
    sn_linear fc1; /* [n_hidden, stack * n_audio]; mm.a.mlp.1; HF multi_modal_projector.linear_1 */
    sn_linear fc2; /* [n_embd, n_hidden]; mm.a.mlp.2; HF linear_2 */
    size_t stack;
    sn_arena arena; /* x [n_ctx, n_audio], hidden [n_ctx / stack, n_hidden], mel [n_mel, 2 * n_ctx], the products' */
} voxtral;

static size_t window_rows(const aud_model *m)
{
    const voxtral *v = m->adapter;
    return aud_encoder_get_hparams(m->encoder)->n_ctx / v->stack;
}

static size_t window_samples(const aud_model *m)
{
    return aud_encoder_get_hparams(m->encoder)->n_ctx * 2 * AUD_HOP;
}

static size_t n_windows(const aud_model *m, size_t n_samples)
{
    return n_samples / window_samples(m) + (n_samples % window_samples(m) != 0);
}

static sn_status plan_arena(aud_model *m, sn_err *err)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    voxtral *v = m->adapter;
    size_t rows = window_rows(m);
    size_t a = sn_linear_scratch_bytes(m->compute, &v->fc1, rows), b = sn_linear_scratch_bytes(m->compute, &v->fc2, rows);
    return sn_arena_init(&v->arena,
                         sn_arena_cost_f32(hp->n_ctx * hp->n_embd) + sn_arena_cost_f32(rows * v->fc1.n_out) +
                             sn_arena_cost_f32(hp->n_mel * 2 * hp->n_ctx) + (a > b ? a : b),
                         err);
}

static void voxtral_open(aud_model *m, sn_bind *b)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    voxtral *v = m->adapter = sn_calloc(1, sizeof *v);
    if (!v) {
        if (b->status == SN_OK) b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
        return;
    }
    v->stack = aud_bind_u32(b, "clip.audio.projector.stack_factor", 64);
    m->n_embd = aud_bind_u32(b, "clip.audio.projection_dim", 65536);
    if (b->status == SN_OK && hp->n_ctx % v->stack != 0)
        b->status = sn_fail(b->err, SN_EFORMAT, "a stack factor of %zu does not divide %zu positions", v->stack, hp->n_ctx);
    size_t n_hidden = aud_bind_rows(b, "mm.a.mlp.1.weight");
    sn_bind_linear(b, &v->fc1, n_hidden, v->stack * hp->n_embd, SN_BIAS_NONE, "mm.a.mlp.1");
    sn_bind_linear(b, &v->fc2, m->n_embd, n_hidden, SN_BIAS_NONE, "mm.a.mlp.2");
    if (b->status == SN_OK) b->status = plan_arena(m, b->err);
}

static void voxtral_close(aud_model *m)
{
    voxtral *v = m->adapter;
    sn_linear_free(&v->fc1);
    sn_linear_free(&v->fc2);
    sn_arena_free(&v->arena);
    sn_free(v);
}

static size_t voxtral_bytes(const aud_model *m)
{
    const voxtral *v = m->adapter;
    return v->arena.size + sn_linear_bytes(&v->fc1) + sn_linear_bytes(&v->fc2);
}

static size_t voxtral_n_tok(const aud_model *m, size_t n_samples)
{
    return n_windows(m, n_samples) * window_rows(m);
}

static sn_status voxtral_spectrogram(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_frame, sn_err *err)
{
    size_t n_padded = n_windows(m, n_samples) * window_samples(m);
    *n_frame = n_padded / AUD_HOP;
    return aud_padded_mel(m, samples, n_samples, n_padded, out, err);
}

static sn_status voxtral_encode(aud_model *m, const float *mel, size_t n_frame, size_t n_samples, float *out, sn_err *err)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    voxtral *v = m->adapter;
    size_t n = hp->n_embd, rows = window_rows(m), window = 2 * hp->n_ctx, n_hidden = v->fc1.n_out;

    sn_arena_reset(&v->arena, 0);
    float *x = sn_arena_f32(&v->arena, hp->n_ctx * n);          /* [n_ctx, n_audio]; read as [rows, stack * n_audio] */
    float *hidden = sn_arena_f32(&v->arena, rows * n_hidden);   /* [rows, n_hidden] */
    float *piece = sn_arena_f32(&v->arena, hp->n_mel * window); /* [n_mel, 2 * n_ctx] */
    for (size_t w = 0; w < n_windows(m, n_samples); w++) {
        aud_cut_mel(piece, mel, hp->n_mel, n_frame, w * window, window, 0);
        sn_status st = aud_encoder_run(m->encoder, piece, window, hp->n_ctx, x, err);
        if (st != SN_OK) return st;
        sn_linear_apply(m->compute, hidden, n_hidden, x, v->stack * n, &v->fc1, rows, &v->arena);
        sn_activate(m->compute, hidden, rows * n_hidden, SN_ACT_GELU_ERF);
        sn_linear_apply(m->compute, out + w * rows * m->n_embd, m->n_embd, hidden, n_hidden, &v->fc2, rows, &v->arena);
    }
    return SN_OK;
}

const aud_family aud_voxtral = {
    .name = "voxtral",
    .pairing = {.tokens = {"[BEGIN_AUDIO]"}, .named = "voxtral"}, /* other Mistral vocabularies have the token too */
    .before = "[BEGIN_AUDIO]",
    .after = "",
    .open = voxtral_open,
    .close = voxtral_close,
    .bytes = voxtral_bytes,
    .n_tok = voxtral_n_tok,
    .spectrogram = voxtral_spectrogram,
    .encode = voxtral_encode,
};
