/* ultravox.c: Ultravox (Fixie.ai, 2024): a Whisper encoder on the sound's own length, eight frames side by side, a gated MLP
 * between RMS norms.
 *
 *   sound, padded with zeros to whole frames ─ ONE spectrogram (one maximum) ─ pieces of 3000 frames
 *   piece ─ encoder -> [rows, n_audio] ─ zeros up to a multiple of 8, stack -> [rows / 8, 8 * n_audio]
 *         ─ RMS norm ─ mlp.1 -> (a, g) ─ a * silu(g) ─ RMS norm ─ mlp.2 -> [ceil(frames / 16), n_embd]
 *
 * A first piece keeps its own length. A last piece behind a full one is padded with 0.0 to 3000 frames and the keys of the
 * padding are masked, but the last row may hold frames from it (fixie-ai/ultravox, ultravox_processing.py). */
#include "../../core/nn.h"
#include "../family.h"

#include <string.h>

#define NORM_EPS 1e-6f /* not in the file; UltravoxProjector's */
#define MIN_SAMPLES (2 * AUD_HOP)

typedef struct {
    sn_norm norm_pre; /* [stack * n_audio]; mm.a.norm_pre; HF multi_modal_projector.ln_pre */
    sn_linear fc1;    /* [2 * n_hidden, stack * n_audio]; mm.a.mlp.1; HF linear_1 */
    sn_norm norm_mid; /* [n_hidden]; mm.a.norm_mid; HF ln_mid */
    sn_linear fc2;    /* [n_embd, n_hidden]; mm.a.mlp.2; HF linear_2 */
    size_t stack, n_hidden;
    sn_arena arena; /* x [max_rows * stack, n_audio], both [max_rows, 2 n_hidden], mid [max_rows, n_hidden], mel, the products' */
} ultravox;

static size_t n_frames(size_t n_samples)
{
    return n_samples < MIN_SAMPLES ? MIN_SAMPLES / AUD_HOP : (n_samples + AUD_HOP - 1) / AUD_HOP;
}

static size_t max_rows(const aud_model *m)
{
    const ultravox *u = m->adapter;
    return (aud_encoder_get_hparams(m->encoder)->n_ctx + u->stack - 1) / u->stack;
}

/* Rows of a piece with n_frame frames of its own: ceil(frames / (2 stack)). */
static size_t piece_rows(const aud_model *m, size_t n_frame)
{
    const ultravox *u = m->adapter;
    return (n_frame + 2 * u->stack - 1) / (2 * u->stack);
}

static sn_status plan_arena(aud_model *m, sn_err *err)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    ultravox *u = m->adapter;
    size_t rows = max_rows(m);
    size_t a = sn_linear_scratch_bytes(m->compute, &u->fc1, rows), b = sn_linear_scratch_bytes(m->compute, &u->fc2, rows);
    return sn_arena_init(&u->arena,
                         sn_arena_cost_f32(rows * u->stack * hp->n_embd) + sn_arena_cost_f32(rows * 2 * u->n_hidden) +
                             sn_arena_cost_f32(rows * u->n_hidden) + sn_arena_cost_f32(hp->n_mel * 2 * hp->n_ctx) + (a > b ? a : b),
                         err);
}

static void ultravox_open(aud_model *m, sn_bind *b)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    ultravox *u = m->adapter = sn_calloc(1, sizeof *u);
    if (!u) {
        if (b->status == SN_OK) b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
        return;
    }
    u->stack = aud_bind_u32(b, "clip.audio.projector.stack_factor", 64);
    m->n_embd = aud_bind_u32(b, "clip.audio.projection_dim", 65536);
    size_t n_both = aud_bind_rows(b, "mm.a.mlp.1.weight");
    u->n_hidden = n_both / 2;
    if (b->status == SN_OK && n_both % 2 != 0)
        b->status = sn_fail(b->err, SN_ESHAPE, "mm.a.mlp.1.weight: %zu rows are not a value and a gate", n_both);
    sn_bind_norm(b, &u->norm_pre, u->stack * hp->n_embd, SN_BIAS_NONE, "mm.a.norm_pre");
    sn_bind_linear(b, &u->fc1, n_both, u->stack * hp->n_embd, SN_BIAS_NONE, "mm.a.mlp.1");
    sn_bind_norm(b, &u->norm_mid, u->n_hidden, SN_BIAS_NONE, "mm.a.norm_mid");
    sn_bind_linear(b, &u->fc2, m->n_embd, u->n_hidden, SN_BIAS_NONE, "mm.a.mlp.2");
    if (b->status == SN_OK) b->status = plan_arena(m, b->err);
}

static void ultravox_close(aud_model *m)
{
    ultravox *u = m->adapter;
    sn_norm_free(&u->norm_pre);
    sn_norm_free(&u->norm_mid);
    sn_linear_free(&u->fc1);
    sn_linear_free(&u->fc2);
    sn_arena_free(&u->arena);
    sn_free(u);
}

static size_t ultravox_bytes(const aud_model *m)
{
    const ultravox *u = m->adapter;
    return u->arena.size + sn_linear_bytes(&u->fc1) + sn_linear_bytes(&u->fc2);
}

static size_t ultravox_n_tok(const aud_model *m, size_t n_samples)
{
    size_t n_frame = n_frames(n_samples), window = 2 * aud_encoder_get_hparams(m->encoder)->n_ctx;
    return n_frame / window * piece_rows(m, window) + piece_rows(m, n_frame % window);
}

static sn_status ultravox_spectrogram(aud_model *m, const float *samples, size_t n_samples, float **out, size_t *n_frame, sn_err *err)
{
    *n_frame = n_frames(n_samples);
    return aud_padded_mel(m, samples, n_samples, *n_frame * AUD_HOP, out, err);
}

/* x [rows, stack * n_audio] -> out [rows, n_embd]; x is changed. */
static void project(aud_model *m, float *x, size_t rows, float *out)
{
    ultravox *u = m->adapter;
    size_t mark = sn_arena_mark(&u->arena), n_stacked = u->stack * aud_encoder_get_hparams(m->encoder)->n_embd, n = u->n_hidden;
    float *both = sn_arena_f32(&u->arena, rows * 2 * n); /* [rows, (value, gate), n_hidden] */
    float *mid = sn_arena_f32(&u->arena, rows * n);      /* [rows, n_hidden] */

    sn_rmsnorm(m->compute, x, x, &u->norm_pre, rows, NORM_EPS);
    sn_linear_apply(m->compute, both, 2 * n, x, n_stacked, &u->fc1, rows, &u->arena);
    for (size_t r = 0; r < rows; r++) {
        memcpy(mid + r * n, both + r * 2 * n + n, n * sizeof *mid);
        sn_swiglu(m->compute, mid + r * n, both + r * 2 * n, n);
    }
    sn_rmsnorm(m->compute, mid, mid, &u->norm_mid, rows, NORM_EPS);
    sn_linear_apply(m->compute, out, m->n_embd, mid, n, &u->fc2, rows, &u->arena);
    sn_arena_reset(&u->arena, mark);
}

static sn_status ultravox_encode(aud_model *m, const float *mel, size_t n_frame, size_t n_samples, float *out, sn_err *err)
{
    const aud_encoder_hparams *hp = aud_encoder_get_hparams(m->encoder);
    ultravox *u = m->adapter;
    size_t window = 2 * hp->n_ctx;
    (void)n_samples;

    sn_arena_reset(&u->arena, 0);
    float *x = sn_arena_f32(&u->arena, max_rows(m) * u->stack * hp->n_embd); /* [max_rows * stack, n_audio] */
    float *piece = sn_arena_f32(&u->arena, hp->n_mel * window);              /* [n_mel, <= window] */
    for (size_t first = 0; first < n_frame; first += window) {
        size_t own = n_frame - first < window ? n_frame - first : window; /* frames with sound in them */
        size_t n = first == 0 ? own : window, rows = piece_rows(m, own), encoded = (n + 1) / 2;
        aud_cut_mel(piece, mel, hp->n_mel, n_frame, first, n, 0);
        sn_status st = aud_encoder_run(m->encoder, piece, n, (own + 1) / 2, x, err);
        if (st != SN_OK) return st;
        if (encoded < rows * u->stack) memset(x + encoded * hp->n_embd, 0, (rows * u->stack - encoded) * hp->n_embd * sizeof *x);
        project(m, x, rows, out);
        out += rows * m->n_embd;
    }
    return SN_OK;
}

const aud_family aud_ultravox = {
    .name = "ultravox",
    .before = "",
    .after = "",
    .open = ultravox_open,
    .close = ultravox_close,
    .bytes = ultravox_bytes,
    .n_tok = ultravox_n_tok,
    .spectrogram = ultravox_spectrogram,
    .encode = ultravox_encode,
};
