/* senses_page.c: the encoder of this project's own page reader (tools/train/README.md, "The graph, for the C program").
 *
 *   grey x [h, w] --stem: 3 x 3 convolutions, four of them with stride 2--> cells [gh, gw, d], a cell being 16 x 16 pixels
 *   --positions, blocks of the ViT, norm--> x [gh * gw, d]
 *   --heads (letters on the cells, too): characters, element type, start of an element, as probabilities--> soft symbols s [gh * gw, d]
 *   --of each frame that shows a character, in reading order, MLP--> rows [gh * gw * 4, n_embd]
 *
 * A cell has four frames side by side. Most of a page is bare paper: only frames that show something become rows, mostly a row a
 * character. The rows behind them are zeros, and the reader leaves such rows away: the number of rows is known from the picture's size
 * alone, as for every family, and the decoder still reads only what is there. */
#include "../family.h"

#include "../../core/mem.h"
#include "../conv.h"
#include "../reading_order.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CELL_PX 16 /* what four convolutions of stride 2 make of the picture */
#define STEM_0 32  /* channels of the first two convolutions: in no key, as the trained graph has them */
#define STEM_1 64
#define MAX_SIDE_PX 2048 /* of image_size: guards against absurd files, far above the trained 800 */
#define AROUND 8         /* pixels to each side of one that are its surroundings */
#define BATCH 256        /* kept frames that go through the adapter at once */
#define MAX_CHANNELS 4096
#define MAX_STEM_BLOCKS 64
#define MAX_FRAMES 64
#define MAX_CLASSES 4096
#define MAX_CHARS 4096                      /* of frames times classes */
#define MAX_SCRATCH_BYTES ((size_t)1 << 30) /* for the largest picture; the trained one takes some 40 MB */
#define MAX_KINDS 1024
#define MAX_HIDDEN 65536

typedef struct { /* clip.vision.page.*, checked */
    size_t n_channel, n_fine, n_block, n_frame, n_class, n_kind, n_hidden;
    size_t gap;       /* frames from a character to the next of its line, at most */
    float keep, sure; /* a frame that shows less than keep is not kept; one that shows sure or more always is */
} page_hparams;

typedef struct {
    page_hparams hp;
    vis_conv stem[3];                     /* v.stem.0 to .2: 1 -> 32 -> 64 -> C, stride 2 */
    vis_conv *fine;                       /* [2 * n_fine]: v.stem.fine.N.0 and .1, 64 -> 64 */
    vis_conv *res;                        /* [2 * n_block]: v.stem.res.N.0 and .1, C -> C */
    vis_conv down;                        /* v.stem.down: C -> d, stride 2 */
    float *pos;                           /* [side * side, d]: v.position_embd */
    sn_norm stem_norm;                    /* v.stem.norm [d] */
    sn_linear stem_head, char_head;       /* [n_frame * n_class, d]: of what the stem saw, and of x */
    sn_linear kind_head, start;           /* [n_kind, d], [1, d] */
    sn_linear char_embd, kind_embd, free; /* [d, 3 * n_class], [d, n_kind + 1], [d, d] */
    float *row_embd, *col_embd;           /* [side, d], [side * n_frame, d] */
    sn_linear fc1, fc2;                   /* mm.0 [n_hidden, d], mm.2 [n_embd, n_hidden] */
} page_adapter;

static bool page_match(const sn_gguf *g, sn_str projector)
{
    (void)g;
    return sn_str_eq(projector, "senses_page");
}

/* ---- open and close ---- */

static sn_status read_probability(float *p, const sn_gguf *g, const char *key, sn_err *err)
{
    const sn_status st = sn_gguf_f32_or(g, key, 0, p, err);

    if (st != SN_OK || (*p >= 0 && *p <= 1)) return st; /* NaN is none */
    return sn_fail(err, SN_EFORMAT, "%s: %s: want a probability, file has %g", sn_gguf_path(g), key, (double)*p);
}

static sn_status read_page_hparams(page_hparams *hp, const sn_gguf *g, sn_err *err)
{
    uint32_t channels, fine, blocks, frames, classes, gap;
    const sn_kv *kinds = sn_gguf_find(g, "clip.vision.page.kinds");
    sn_status st;

    if ((st = sn_gguf_u32(g, "clip.vision.page.stem_channels", 1, MAX_CHANNELS, &channels, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(g, "clip.vision.page.stem_fine_blocks", 0, MAX_STEM_BLOCKS, &fine, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(g, "clip.vision.page.stem_blocks", 0, MAX_STEM_BLOCKS, &blocks, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(g, "clip.vision.page.frames", 1, MAX_FRAMES, &frames, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(g, "clip.vision.page.classes", 2, MAX_CLASSES, &classes, err)) != SN_OK) return st;
    if ((st = sn_gguf_u32(g, "clip.vision.page.gap", 1, MAX_SIDE_PX, &gap, err)) != SN_OK) return st;
    if ((st = read_probability(&hp->keep, g, "clip.vision.page.keep", err)) != SN_OK) return st;
    if ((st = read_probability(&hp->sure, g, "clip.vision.page.sure", err)) != SN_OK) return st;
    if (frames * classes > MAX_CHARS)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.page.frames times classes: want up to %d, file has %u times %u", sn_gguf_path(g),
                       MAX_CHARS, frames, classes);
    if (!kinds || kinds->type != SN_KV_ARRAY || kinds->elem != SN_KV_STRING || kinds->n < 1 || kinds->n > MAX_KINDS)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.page.kinds: want an array of 1 to %d strings", sn_gguf_path(g), MAX_KINDS);
    if ((st = vis_tensor_rows(&hp->n_hidden, g, "mm.0.weight", err)) != SN_OK) return st;
    if (hp->n_hidden > MAX_HIDDEN)
        return sn_fail(err, SN_EFORMAT, "%s: mm.0.weight: %zu rows are more than this program takes", sn_gguf_path(g), hp->n_hidden);
    hp->n_channel = channels;
    hp->n_fine = fine;
    hp->n_block = blocks;
    hp->n_frame = frames;
    hp->n_class = classes;
    hp->n_kind = kinds->n;
    hp->gap = gap;
    return SN_OK;
}

static sn_status check_sizes(const vit_hparams *hp, const sn_gguf *g, sn_err *err)
{
    if (hp->patch_px != CELL_PX)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: cells of %zu pixels; the stem makes cells of %d", sn_gguf_path(g), hp->patch_px, CELL_PX);
    if (hp->image_px % (2 * CELL_PX) || hp->image_px > MAX_SIDE_PX)
        return sn_fail(err, SN_EFORMAT, "%s: clip.vision.image_size: want a multiple of %d up to %d, file has %zu", sn_gguf_path(g),
                       2 * CELL_PX, MAX_SIDE_PX, hp->image_px);
    return SN_OK;
}

/* What the largest picture takes beside the products' own scratch, as if nothing were used twice. No product overflows: all are bounded. */
static sn_status check_scratch(const vit_hparams *hp, const page_hparams *a, size_t n_embd, const sn_gguf *g, sn_err *err)
{
    const size_t side = hp->image_px / CELL_PX, n = side * side; /* cells, which have 4 places at stride 8, 16 at 4, 64 at 2 */
    const size_t stem = 64 * STEM_0 + 2 * 16 * STEM_1 + 2 * 4 * a->n_channel;
    const size_t blocks = 7 * hp->n_embd + hp->n_ff;
    const size_t heads = a->n_frame * (a->n_class + 32) + a->n_kind; /* 32: what orders a frame */
    const size_t batch = BATCH * (2 * hp->n_embd + 3 * a->n_class + a->n_kind + a->n_hidden + n_embd);
    const size_t bytes = (n * (stem + blocks + heads) + batch) * sizeof(float);
    if (bytes <= MAX_SCRATCH_BYTES) return SN_OK;
    return sn_fail(err, SN_ELIMIT, "%s: a page of %zux%zu pixels takes %zu MB of scratch: more than the limit of %zu", sn_gguf_path(g),
                   hp->image_px, hp->image_px, bytes >> 20, MAX_SCRATCH_BYTES >> 20);
}

/* n pairs of convolutions of `channels` each, <name>.0.0, <name>.0.1, <name>.1.0 .. */
static void bind_pairs(vis_conv *pairs, size_t n, size_t channels, const char *name, sn_bind *b)
{
    char full[SN_MAX_NAME];

    for (size_t i = 0; i < 2 * n; i++) {
        snprintf(full, sizeof full, "%s.%zu.%zu", name, i / 2, i % 2);
        vis_conv_bind(&pairs[i], b, channels, channels, 1, full);
    }
}

static void bind_stem(page_adapter *a, size_t d, sn_bind *b)
{
    const size_t n = a->hp.n_channel;

    vis_conv_bind(&a->stem[0], b, STEM_0, 1, 2, "v.stem.0");
    vis_conv_bind(&a->stem[1], b, STEM_1, STEM_0, 2, "v.stem.1");
    vis_conv_bind(&a->stem[2], b, n, STEM_1, 2, "v.stem.2");
    bind_pairs(a->fine, a->hp.n_fine, STEM_1, "v.stem.fine", b);
    bind_pairs(a->res, a->hp.n_block, n, "v.stem.res", b);
    vis_conv_bind(&a->down, b, d, n, 2, "v.stem.down");
}

static void bind_adapter(page_adapter *a, size_t d, size_t n_side, size_t n_embd, sn_bind *b)
{
    const page_hparams *hp = &a->hp;
    const size_t n_char = hp->n_frame * hp->n_class, pos[2] = {n_side * n_side, d}, row[2] = {n_side, d};
    const size_t col[2] = {n_side * hp->n_frame, d};

    sn_bind_f32(b, &a->pos, pos, 2, false, "v.position_embd.weight");
    sn_bind_norm(b, &a->stem_norm, d, SN_BIAS_REQUIRED, "v.stem.norm");
    sn_bind_linear(b, &a->stem_head, n_char, d, SN_BIAS_REQUIRED, "mm.stem_head");
    sn_bind_linear(b, &a->char_head, n_char, d, SN_BIAS_REQUIRED, "mm.char_head");
    sn_bind_linear(b, &a->kind_head, hp->n_kind, d, SN_BIAS_REQUIRED, "mm.kind_head");
    sn_bind_linear(b, &a->start, 1, d, SN_BIAS_REQUIRED, "mm.start_head");
    sn_bind_linear(b, &a->char_embd, d, 3 * hp->n_class, SN_BIAS_NONE, "mm.char_embd");
    sn_bind_linear(b, &a->kind_embd, d, hp->n_kind + 1, SN_BIAS_NONE, "mm.kind_embd");
    sn_bind_linear(b, &a->free, d, d, SN_BIAS_REQUIRED, "mm.free");
    sn_bind_f32(b, &a->row_embd, row, 2, false, "mm.row_embd.weight");
    sn_bind_f32(b, &a->col_embd, col, 2, false, "mm.col_embd.weight");
    sn_bind_linear(b, &a->fc1, hp->n_hidden, d, SN_BIAS_REQUIRED, "mm.0");
    sn_bind_linear(b, &a->fc2, n_embd, hp->n_hidden, SN_BIAS_REQUIRED, "mm.2");
}

static sn_status page_open(vis_model *m, sn_err *err)
{
    const sn_gguf *g = m->gguf;
    page_adapter *a = m->adapter = sn_calloc(1, sizeof *a);
    vit_hparams hp;
    sn_bind b;
    sn_status st;

    if (!a) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    if ((st = vit_read_hparams(&hp, g, err)) != SN_OK) return st;
    if ((st = check_sizes(&hp, g, err)) != SN_OK) return st;
    if ((st = read_page_hparams(&a->hp, g, err)) != SN_OK) return st;
    if ((st = vis_tensor_rows(&m->n_embd, g, "mm.2.weight", err)) != SN_OK) return st;
    if ((st = check_scratch(&hp, &a->hp, m->n_embd, g, err)) != SN_OK) return st;
    a->fine = sn_calloc(2 * a->hp.n_fine, sizeof *a->fine);
    a->res = sn_calloc(2 * a->hp.n_block, sizeof *a->res);
    if (!a->fine || !a->res) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    m->vit = (vit){.hp = hp, .n_run = hp.n_layer, .opt = {.act = SN_ACT_GELU_ERF, .post_ln = true, .no_patches = true}};
    if ((st = sn_bind_init(&b, g, m->compute, err)) != SN_OK) return st;
    bind_stem(a, hp.n_embd, &b);
    vit_bind(&m->vit, &b);
    bind_adapter(a, hp.n_embd, hp.image_px / CELL_PX, m->n_embd, &b);
    return sn_bind_done(&b);
}

static void page_close(vis_model *m)
{
    page_adapter *a = m->adapter;

    if (!a) return;
    sn_linear *linears[] = {&a->stem[0].w, &a->stem[1].w, &a->stem[2].w, &a->down.w, &a->stem_head, &a->char_head, &a->kind_head,
                            &a->start,     &a->char_embd, &a->kind_embd, &a->free,   &a->fc1,       &a->fc2};
    sn_norm_free(&a->stem_norm);
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) sn_linear_free(linears[i]);
    for (size_t i = 0; a->fine && i < 2 * a->hp.n_fine; i++) sn_linear_free(&a->fine[i].w);
    for (size_t i = 0; a->res && i < 2 * a->hp.n_block; i++) sn_linear_free(&a->res[i].w);
    sn_free(a->fine);
    sn_free(a->res);
    sn_free(a->pos);
    sn_free(a->row_embd);
    sn_free(a->col_embd);
    sn_free(a);
    m->adapter = NULL;
}

/* ---- prepare ---- */

/* What a side of `px` pixels becomes: a whole number of pairs of cells, the longer side image_px. */
static size_t fitted_side(size_t px, size_t longer, size_t image_px)
{
    return vis_max(1, (2 * image_px * px + 2 * CELL_PX * longer) / (4 * CELL_PX * longer)) * 2 * CELL_PX;
}

/* Whether strokes are lighter than what is around them: the third moment of what x [h, w] has over the mean of the square around each
 * pixel (cut at the edges). Paper is even; strokes are few, and far from it to one side. sums: room for w values. */
static bool is_light_on_dark(const float *x, size_t w, size_t h, double *sums)
{
    double third = 0;

    memset(sums, 0, w * sizeof *sums); /* of each column: the rows of the square */
    for (size_t y = 0, first = 0, next = 0; y < h; y++) {
        for (; next < h && next <= y + AROUND; next++)
            for (size_t i = 0; i < w; i++) sums[i] += (double)x[next * w + i];
        for (; first + AROUND < y; first++)
            for (size_t i = 0; i < w; i++) sums[i] -= (double)x[first * w + i];
        double sum = 0;
        for (size_t i = 0, left = 0, right = 0; i < w; i++) {
            for (; right < w && right <= i + AROUND; right++) sum += sums[right];
            for (; left + AROUND < i; left++) sum -= sums[left];
            const double d = (double)x[y * w + i] - sum / (double)((next - first) * (right - left));
            third += d * d * d;
        }
    }
    return third > 0;
}

/* Pillow's grey, then mean 0 and deviation 1 over the picture; bare paper stays near 0 as there is 16 in the variance. Light strokes on a
 * dark ground become dark ones, which are what the encoder has seen most. All three planes of the tile are the same. */
static void fill_grey(vis_prepared *p, const vis_image *img, double *sums)
{
    const size_t n = img->w * img->h;
    float *x = p->pixels[0];
    double sum = 0, squares = 0;

    for (size_t i = 0; i < n; i++) {
        const unsigned char *v = img->rgb + 3 * i;
        const unsigned g = (19595u * v[0] + 38470u * v[1] + 7471u * v[2] + 32768u) >> 16;
        sum += g;
        squares += g * g; /* whole numbers far below 2^53: exact */
        x[i] = (float)g;
    }
    const double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
    const float scale = (float)(1 / sqrt(fmax(variance, 0) + 16));
    for (size_t i = 0; i < n; i++) x[i] = (float)(x[i] - mean) * scale;
    if (is_light_on_dark(x, img->w, img->h, sums))
        for (size_t i = 0; i < n; i++) x[i] = -x[i];
    memcpy(x + n, x, n * sizeof *x);
    memcpy(x + 2 * n, x, n * sizeof *x);
}

static sn_status page_prepare(const vis_model *m, const vis_image *img, vis_fit fit, vis_prepared *out, sn_err *err)
{
    const size_t longer = vis_max(img->w, img->h), image_px = m->vit.hp.image_px;
    const size_t w = fitted_side(img->w, longer, image_px), h = fitted_side(img->h, longer, image_px);
    const size_t n_frame = ((const page_adapter *)m->adapter)->hp.n_frame;
    vis_image fitted = {0};
    double *sums; /* [w] */
    sn_status st;

    if (fit != VIS_FIT_DEFAULT)
        return sn_fail(err, SN_EUSAGE, "%s: this encoder keeps the picture's aspect: no other fit can be chosen", sn_gguf_path(m->gguf));
    if ((st = vis_prepared_init(out, img, 1, w, h, (w / CELL_PX) * (h / CELL_PX) * n_frame, err)) != SN_OK) return st;
    sums = sn_alloc(w, sizeof *sums);
    st = sums ? vis_resize(&fitted, img, w, h, VIS_BILINEAR, err) : sn_fail(err, SN_ENOMEM, "out of memory");
    if (st == SN_OK) fill_grey(out, &fitted, sums);
    vis_image_free(&fitted);
    sn_free(sums);
    if (st != SN_OK) vis_prepared_free(out);
    return st;
}

/* ---- encode ---- */

typedef struct {        /* of one picture */
    size_t w, h;        /* pixels */
    size_t n_x, n_y, n; /* cells across, down, in all */
} page_size;

static page_size size_of(const vis_prepared *p)
{
    const size_t n_x = p->tile_w[0] / CELL_PX, n_y = p->tile_h[0] / CELL_PX;

    return (page_size){p->tile_w[0], p->tile_h[0], n_x, n_y, n_x * n_y};
}

/* x [h, w, channels] = relu(x + conv(relu(conv(x)))), n times; y is room for one more of it. */
static void residual_pairs(sn_compute *c, float *x, float *y, size_t w, size_t h, const vis_conv *pairs, size_t n, sn_arena *tmp)
{
    for (size_t i = 0; i < 2 * n; i += 2) {
        const size_t n_x = h * w * pairs[i].w.n_out;
        vis_conv_apply(c, y, x, w, h, &pairs[i], false, tmp);
        sn_activate(c, y, n_x, SN_ACT_RELU);
        vis_conv_apply(c, x, y, w, h, &pairs[i + 1], true, tmp);
        sn_activate(c, x, n_x, SN_ACT_RELU);
    }
}

/* cells [n, d] of pixels [h, w]. */
static void stem_forward(const page_adapter *a, sn_compute *c, float *cells, const float *pixels, page_size s, sn_arena *tmp)
{
    const size_t C = a->hp.n_channel, w2 = s.w / 2, h2 = s.h / 2, w4 = s.w / 4, h4 = s.h / 4, w8 = s.w / 8, h8 = s.h / 8;
    const size_t mark = sn_arena_mark(tmp);
    float *x8 = sn_arena_f32(tmp, h8 * w8 * C); /* [h / 8, w / 8, C] */
    const size_t behind_x8 = sn_arena_mark(tmp);
    float *x4 = sn_arena_f32(tmp, h4 * w4 * STEM_1); /* [h / 4, w / 4, 64] */
    const size_t behind_x4 = sn_arena_mark(tmp);
    float *x2 = sn_arena_f32(tmp, h2 * w2 * STEM_0); /* [h / 2, w / 2, 32] */

    vis_conv_apply(c, x2, pixels, s.w, s.h, &a->stem[0], false, tmp);
    sn_activate(c, x2, h2 * w2 * STEM_0, SN_ACT_RELU);
    vis_conv_apply(c, x4, x2, w2, h2, &a->stem[1], false, tmp);
    sn_activate(c, x4, h4 * w4 * STEM_1, SN_ACT_RELU);
    sn_arena_reset(tmp, behind_x4);
    residual_pairs(c, x4, sn_arena_f32(tmp, h4 * w4 * STEM_1), w4, h4, a->fine, a->hp.n_fine, tmp);
    sn_arena_reset(tmp, behind_x4);
    vis_conv_apply(c, x8, x4, w4, h4, &a->stem[2], false, tmp);
    sn_activate(c, x8, h8 * w8 * C, SN_ACT_RELU);
    sn_arena_reset(tmp, behind_x8);
    residual_pairs(c, x8, sn_arena_f32(tmp, h8 * w8 * C), w8, h8, a->res, a->hp.n_block, tmp);
    sn_arena_reset(tmp, behind_x8);
    vis_conv_apply(c, cells, x8, w8, h8, &a->down, false, tmp);
    sn_activate(c, cells, s.n * a->down.w.n_out, SN_ACT_RELU);
    sn_arena_reset(tmp, mark);
}

/* Of the most that any of n convolutions takes. */
static size_t pairs_scratch_bytes(const sn_compute *c, const vis_conv *pairs, size_t n, size_t w, size_t h)
{
    size_t most = 0;

    for (size_t i = 0; i < 2 * n; i++) most = vis_max(most, vis_conv_scratch_bytes(c, &pairs[i], w, h));
    return most;
}

static size_t stem_scratch_bytes(const page_adapter *a, const sn_compute *c, page_size s)
{
    const size_t C = a->hp.n_channel, w2 = s.w / 2, h2 = s.h / 2, w4 = s.w / 4, h4 = s.h / 4, w8 = s.w / 8, h8 = s.h / 8;
    const size_t x8 = sn_arena_cost_f32(h8 * w8 * C), x4 = sn_arena_cost_f32(h4 * w4 * STEM_1), x2 = sn_arena_cost_f32(h2 * w2 * STEM_0);
    const size_t at_2 = x2 + vis_max(vis_conv_scratch_bytes(c, &a->stem[0], s.w, s.h), vis_conv_scratch_bytes(c, &a->stem[1], w2, h2));
    const size_t at_4 = vis_max(x4 + pairs_scratch_bytes(c, a->fine, a->hp.n_fine, w4, h4), vis_conv_scratch_bytes(c, &a->stem[2], w4, h4));
    const size_t at_8 = vis_max(x8 + pairs_scratch_bytes(c, a->res, a->hp.n_block, w8, h8), vis_conv_scratch_bytes(c, &a->down, w8, h8));

    return x8 + vis_max(x4 + vis_max(at_2, at_4), at_8);
}

typedef struct {
    const page_hparams *hp;
    float *chars, *kinds; /* [n, n_frame, n_class], [n, n_kind + 1]: of cells; logits, made probabilities */
    const float *start;   /* [n]: logits */
    size_t n;             /* cells */
} symbols_job;

/* Probabilities in place; the start's behind the kinds'. */
static void symbols_part(void *arg, size_t part, size_t n_parts)
{
    const symbols_job *j = arg;
    const size_t n_frame = j->hp->n_frame, n_class = j->hp->n_class, n_kind = j->hp->n_kind;
    size_t begin, end;

    sn_share(j->n, 1, part, n_parts, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *t = j->kinds + i * (n_kind + 1);
        sn_softmax(t, n_kind);
        t[n_kind] = 1 / (1 + expf(-j->start[i]));
        for (size_t f = 0; f < n_frame; f++) sn_softmax(j->chars + (i * n_frame + f) * n_class, n_class);
    }
}

static size_t n_mass(const page_hparams *hp, page_size s)
{
    return (s.n_y + 2) * (s.n_x * hp->n_frame + 2);
}

/* masses [n_y + 2, n_f + 2]: how surely each frame shows a character, with a border of zeros. */
static void frame_masses(const page_hparams *hp, float *masses, const float *chars, page_size s)
{
    const size_t n_f = s.n_x * hp->n_frame;

    memset(masses, 0, n_mass(hp, s) * sizeof *masses);
    for (size_t y = 0; y < s.n_y; y++)
        for (size_t f = 0; f < n_f; f++) masses[(y + 1) * (n_f + 2) + f + 1] = 1 - chars[(y * n_f + f) * hp->n_class]; /* class 0: none */
}

/* The place of one character may be shared out among neighbouring frames: a frame that is not sure is one only if it shows more than those
 * on both sides (its peak), and is kept only if it also shows more than the six above and below. */
static bool is_peak(const page_hparams *hp, const float *m)
{
    return m[0] >= hp->keep && (m[0] >= hp->sure || (m[0] > m[-1] && m[0] > m[1]));
}

static bool is_kept(const page_hparams *hp, const float *m, size_t stride)
{
    if (!is_peak(hp, m)) return false;
    if (m[0] >= hp->sure) return true;
    for (int k = -1; k <= 1; k++)
        if (!(m[0] > m[k - (ptrdiff_t)stride]) || !(m[0] > m[k + (ptrdiff_t)stride])) return false;
    return true;
}

/* The frames that become rows, row of cells by row: those that are kept, and the first of a cell where an element begins and no frame is
 * at its peak. places [n * n_frame]; returns how many there are. */
static size_t keep_frames(const page_hparams *hp, const float *masses, const float *kinds, page_size s, vis_place *places)
{
    const size_t stride = s.n_x * hp->n_frame + 2;
    size_t n = 0;

    for (size_t cell = 0; cell < s.n; cell++) {
        const size_t y = cell / s.n_x, first = cell % s.n_x * hp->n_frame;
        const float *m = masses + (y + 1) * stride + first + 1;
        bool any = false;
        for (size_t f = 0; f < hp->n_frame; f++) {
            any = any || is_peak(hp, m + f);
            if (is_kept(hp, m + f, stride)) places[n++] = (vis_place){y, first + f};
        }
        if (!any && kinds[cell * (hp->n_kind + 1) + hp->n_kind] >= hp->keep) places[n++] = (vis_place){y, first};
    }
    return n;
}

typedef struct {   /* of up to BATCH kept frames */
    float *x;      /* [BATCH, d]: features of their cells */
    float *chars;  /* [BATCH, 3 * n_class]: of the frame on the left, the frame, the one on the right */
    float *kinds;  /* [BATCH, n_kind + 1] */
    float *s;      /* [BATCH, d] */
    float *hidden; /* [BATCH, n_hidden] */
} frame_batch;

/* What is known of one kept frame, as input i of the batch; frames beyond a row of cells are zeros. */
static void gather_frame(const page_hparams *hp, frame_batch *b, size_t i, const float *x, const float *chars, const float *kinds, size_t d,
                         page_size s, vis_place at)
{
    const size_t n_class = hp->n_class, n_f = s.n_x * hp->n_frame, cell = at.row * s.n_x + at.frame / hp->n_frame;
    float *c = b->chars + i * 3 * n_class;

    memcpy(b->x + i * d, x + cell * d, d * sizeof *x);
    memcpy(b->kinds + i * (hp->n_kind + 1), kinds + cell * (hp->n_kind + 1), (hp->n_kind + 1) * sizeof *kinds);
    memset(c, 0, 3 * n_class * sizeof *c);
    const size_t from = at.frame == 0, to = at.frame + 1 == n_f ? 2 : 3;
    memcpy(c + from * n_class, chars + (at.row * n_f + at.frame + from - 1) * n_class, (to - from) * n_class * sizeof *c);
}

/* out [n, n_embd]: rows of up to BATCH frames, of which the batch has b->x, b->chars and b->kinds; order: their numbers in `places`. */
static void adapt_frames(const vis_model *m, float *out, const frame_batch *b, const vis_place *places, const size_t *order, size_t n,
                         sn_arena *tmp)
{
    const page_adapter *a = m->adapter;
    const page_hparams *hp = &a->hp;
    sn_compute *c = m->compute;
    const size_t d = m->vit.hp.n_embd;

    sn_linear_apply(c, b->s, d, b->x, d, &a->free, n, tmp);
    sn_linear_add(c, b->s, d, b->chars, 3 * hp->n_class, &a->char_embd, n, tmp);
    sn_linear_add(c, b->s, d, b->kinds, hp->n_kind + 1, &a->kind_embd, n, tmp);
    for (size_t i = 0; i < n; i++) {
        const float *row = a->row_embd + places[order[i]].row * d, *col = a->col_embd + places[order[i]].frame * d;
        for (size_t k = 0; k < d; k++) b->s[i * d + k] += row[k] + col[k];
    }
    sn_linear_apply(c, b->hidden, hp->n_hidden, b->s, d, &a->fc1, n, tmp);
    sn_activate(c, b->hidden, n * hp->n_hidden, SN_ACT_GELU_ERF);
    sn_linear_apply(c, out, m->n_embd, b->hidden, hp->n_hidden, &a->fc2, n, tmp);
}

/* out [n * n_frame, n_embd] from what the stem saw in the cells [n, d] and from their features x [n, d]: rows of the kept frames in reading order, then zeros. */
static void adapter_forward(const vis_model *m, float *out, const float *seen, const float *x, page_size size, sn_arena *tmp)
{
    const page_adapter *a = m->adapter;
    const page_hparams *hp = &a->hp;
    sn_compute *c = m->compute;
    const size_t d = m->vit.hp.n_embd, e = m->n_embd, n = size.n, n_char = hp->n_frame * hp->n_class, n_kind = hp->n_kind;
    float *chars = sn_arena_f32(tmp, n * n_char);       /* [n, n_frame, n_class] */
    float *kinds = sn_arena_f32(tmp, n * (n_kind + 1)); /* [n, n_kind + 1] */
    float *start = sn_arena_f32(tmp, n);                /* [n, 1] */
    float *masses = sn_arena_f32(tmp, n_mass(hp, size));
    vis_place *places = sn_arena_alloc(tmp, n * hp->n_frame * sizeof *places); /* [n_kept] */
    size_t *order = sn_arena_alloc(tmp, n * hp->n_frame * sizeof *order);      /* [n_kept] */
    frame_batch b = {
        .x = sn_arena_f32(tmp, BATCH * d),
        .chars = sn_arena_f32(tmp, BATCH * 3 * hp->n_class),
        .kinds = sn_arena_f32(tmp, BATCH * (n_kind + 1)),
        .s = sn_arena_f32(tmp, BATCH * d),
        .hidden = sn_arena_f32(tmp, BATCH * hp->n_hidden),
    };

    sn_linear_apply(c, chars, n_char, seen, d, &a->stem_head, n, tmp);
    sn_linear_add(c, chars, n_char, x, d, &a->char_head, n, tmp);
    sn_linear_apply(c, kinds, n_kind + 1, x, d, &a->kind_head, n, tmp);
    sn_linear_apply(c, start, 1, x, d, &a->start, n, tmp);
    sn_parallel(c, symbols_part, &(symbols_job){hp, chars, kinds, start, n});
    memset(out, 0, n * hp->n_frame * e * sizeof *out);
    frame_masses(hp, masses, chars, size);
    const size_t n_kept = keep_frames(hp, masses, kinds, size, places);
    vis_reading_order(order, places, n_kept, hp->gap, tmp);
    for (size_t at = 0; at < n_kept; at += BATCH) {
        const size_t n_now = n_kept - at < BATCH ? n_kept - at : BATCH;
        for (size_t i = 0; i < n_now; i++) gather_frame(hp, &b, i, x, chars, kinds, d, size, places[order[at + i]]);
        adapt_frames(m, out + at * e, &b, places, order + at, n_now, tmp);
    }
}

static size_t adapter_scratch_bytes(const vis_model *m, page_size size)
{
    const page_adapter *a = m->adapter;
    const page_hparams *hp = &a->hp;
    const sn_linear *cells[] = {&a->stem_head, &a->char_head, &a->kind_head, &a->start},
                    *frames[] = {&a->char_embd, &a->kind_embd, &a->free, &a->fc1, &a->fc2};
    const size_t n = size.n, d = m->vit.hp.n_embd;
    size_t linear = 0;

    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) linear = vis_max(linear, sn_linear_scratch_bytes(m->compute, cells[i], n));
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        linear = vis_max(linear, sn_linear_scratch_bytes(m->compute, frames[i], BATCH));
    return sn_arena_cost_f32(n * hp->n_frame * hp->n_class) + sn_arena_cost_f32(n * (hp->n_kind + 1)) + sn_arena_cost_f32(n) +
           sn_arena_cost_f32(n_mass(hp, size)) + sn_arena_cost(n * hp->n_frame * sizeof(vis_place)) +
           sn_arena_cost(n * hp->n_frame * sizeof(size_t)) + 2 * sn_arena_cost_f32(BATCH * d) + sn_arena_cost_f32(BATCH * 3 * hp->n_class) +
           sn_arena_cost_f32(BATCH * (hp->n_kind + 1)) + sn_arena_cost_f32(BATCH * hp->n_hidden) +
           vis_max(linear, vis_reading_order_scratch_bytes(n * hp->n_frame));
}

static sn_status page_encode(vis_model *m, const vis_prepared *p, float *out, sn_err *err)
{
    const page_adapter *a = m->adapter;
    sn_compute *c = m->compute;
    sn_arena *tmp = &m->arena;
    const page_size s = size_of(p);
    const size_t d = m->vit.hp.n_embd, n_side = m->vit.hp.image_px / CELL_PX;
    const size_t work =
        vis_max(stem_scratch_bytes(a, c, s), vis_max(vit_blocks_scratch_bytes(&m->vit, c, s.n), adapter_scratch_bytes(m, s)));
    const sn_status st = vis_reserve(m, 2 * sn_arena_cost_f32(s.n * d) + work, err);

    if (st != SN_OK) return st;
    float *x = sn_arena_f32(tmp, s.n * d);    /* [n, d] */
    float *seen = sn_arena_f32(tmp, s.n * d); /* [n, d] */
    stem_forward(a, c, x, p->pixels[0], s, tmp);
    sn_layernorm(c, seen, x, &a->stem_norm, s.n, m->vit.hp.eps);
    for (size_t y = 0; y < s.n_y; y++) sn_add(c, x + y * s.n_x * d, a->pos + y * n_side * d, s.n_x * d); /* the table's upper left */
    vit_blocks(&m->vit, c, x, s.n_x, s.n_y, tmp);
    adapter_forward(m, out, seen, x, s, tmp);
    return SN_OK;
}

extern const vis_family vis_senses_page;
const vis_family vis_senses_page = {
    .name = "senses_page",
    .pairing = {.tokens = {"<wave>"}, .own = "<wave>"},
    .match = page_match,
    .open = page_open,
    .close = page_close,
    .prepare = page_prepare,
    .encode = page_encode,
};
