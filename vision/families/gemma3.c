/* gemma3.c: Gemma 3's eyes (Gemma Team 2025): SigLIP at one size, its patches averaged s x s to a row, normed, and brought to the
 * decoder's width by one matrix.
 *
 *   picture stretched to a square -> ViT, post_ln -> averages [n / s^2, vit n_embd] -> RMS norm -> mm.input_projection */
#include "../family.h"

#include "../../core/mem.h"

#include <string.h>

typedef struct {
    sn_norm norm;      /* mm.soft_emb_norm [vit n_embd] */
    sn_linear project; /* [n_embd, vit n_embd] */
    float *project_w;  /* its rows, owned */
    size_t pool;       /* s */
} gemma3_adapter;

static bool gemma3_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "gemma3");
}

/* The file holds the projection as trained, [vit n_embd, n_embd]: rows times it, where all else here is its transpose. */
static void bind_projection(vis_model *m, gemma3_adapter *a, sn_bind *b)
{
    const size_t d = m->vit.hp.n_embd, e = m->n_embd, shape[2] = {d, e};
    float *w = NULL; /* [vit n_embd, n_embd] */

    sn_bind_f32(b, &w, shape, 2, false, "mm.input_projection.weight");
    if (b->status == SN_OK && !(a->project_w = sn_alloc(d * e, sizeof *w))) b->status = sn_fail(b->err, SN_ENOMEM, "out of memory");
    if (b->status == SN_OK) {
        for (size_t i = 0; i < d; i++)
            for (size_t j = 0; j < e; j++) a->project_w[j * d + i] = w[i * e + j];
        b->status = sn_linear_init(&a->project, b->compute, SN_F32, e, d, a->project_w, NULL, b->err);
    }
    sn_free(w);
}

static sn_status gemma3_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    gemma3_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    const sn_tensor *t = sn_gguf_tensor(g, "mm.input_projection.weight");
    vit_hparams hp;
    uint32_t pool;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32_or(g, "clip.vision.projector.scale_factor", 1, 64, 4, &pool, err)) != SN_OK) return st; /* 4: not written */
    if (hp.image_px / hp.patch_px % pool)
        return sn_fail(err, SN_EFORMAT, "%s: averages of %u x %u do not divide %zu patches", sn_gguf_path(g), pool, pool,
                       hp.image_px / hp.patch_px);
    if (!t || t->n_dims != 2) return sn_fail(err, SN_ESHAPE, "%s: no matrix mm.input_projection.weight", sn_gguf_path(g));
    m->n_embd = t->shape[1];
    a->pool = pool;
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_GELU_TANH, .post_ln = true}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    vit_bind(&m->vit, &b);
    sn_bind_norm(&b, &a->norm, hp.n_embd, SN_BIAS_NONE, "mm.soft_emb_norm");
    bind_projection(m, a, &b);
    return sn_bind_done(&b);
}

static void gemma3_close(vis_model *m)
{
    gemma3_adapter *a = m->adapter;

    if (!a) return;
    sn_norm_free(&a->norm);
    sn_linear_free(&a->project);
    sn_free(a->project_w);
    sn_free(a);
    m->adapter = NULL;
}

/* HF Gemma3ImageProcessor without pan and scan, Gemma3Processor's text around the rows. */
static sn_status gemma3_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const gemma3_adapter *a = m->adapter;
    const vit_hparams *hp = &m->vit.hp;
    const size_t s = hp->image_px, side = s / hp->patch_px / a->pool;
    vis_image square = {0};
    sn_status st;

    if (fit != VIS_FIT_DEFAULT && fit != VIS_FIT_STRETCH)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder was trained on stretched pictures: no other fit can be chosen",
                       sn_gguf_path(m->gguf));
    if ((st = vis_prepared_init(out, img, 1, s, s, side * side, err)) != SN_OK) return st;
    if ((st = vis_resize(&square, img, s, s, VIS_BILINEAR, err)) == SN_OK) {
        vis_prepared_fill(out, 0, &square, 0, 0, hp);
        st = vis_prepared_before(out, 0, err, "\n\n<start_of_image>");
    }
    if (st == SN_OK) st = vis_prepared_after(out, "<end_of_image>\n\n", err);
    vis_image_free(&square);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* y [(side / s)^2, n_embd]: the averages of s x s patches of x [side * side, n_embd]. */
static void average(float *y, const float *x, size_t side, size_t s, size_t n_embd)
{
    const size_t n = side / s;

    for (size_t i = 0; i < n * n; i++, y += n_embd) {
        memset(y, 0, n_embd * sizeof *y);
        for (size_t p = 0; p < s * s; p++) {
            const float *row = x + ((i / n * s + p / s) * side + i % n * s + p % s) * n_embd;
            for (size_t j = 0; j < n_embd; j++) y[j] += row[j];
        }
        for (size_t j = 0; j < n_embd; j++) y[j] /= (float)(s * s);
    }
}

static sn_status gemma3_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const gemma3_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const size_t d = m->vit.hp.n_embd, s = m->vit.hp.image_px, side = s / m->vit.hp.patch_px, n_class = vit_n_class(&m->vit);
    const size_t n = side * side, n_out = p->n_tok;
    const size_t work = vis_max(vit_scratch_bytes(&m->vit, c, s, s), sn_linear_scratch_bytes(c, &a->project, n_out));
    const sn_status st = vis_reserve(m, sn_arena_cost_f32((n_class + n) * d) + sn_arena_cost_f32(n_out * d) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, (n_class + n) * d); /* [n, vit n_embd] */
    float *rows = sn_arena_f32(tmp, n_out * d);      /* [n / s^2, vit n_embd] */
    vit_forward(&m->vit, c, x, p->pixels[0], s, s, tmp);
    average(rows, x + n_class * d, side, a->pool, d);
    sn_rmsnorm(c, rows, rows, &a->norm, n_out, m->vit.hp.eps);
    sn_linear_apply(c, out, m->n_embd, rows, d, &a->project, n_out, tmp);
    return SN_OK;
}

extern const vis_family vis_gemma3;
const vis_family vis_gemma3 = {
    .name = "gemma3",
    .pairing = {.tokens = {"<start_of_image>", "<end_of_image>"}, .arch = "gemma3"}, /* whose pictures' rows see one another */
    .match = gemma3_match,
    .open = gemma3_open,
    .close = gemma3_close,
    .prepare = gemma3_prepare,
    .encode = gemma3_encode,
};
