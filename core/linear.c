/* linear.c: the one matrix product. Weights are packed into panels at open; a product shares panels (and tiles of tokens) out
 * among the threads, each output being computed by one thread in one order. */
#include "linear.h"
#include "kernels.h"

#include <assert.h>
#include <string.h>

/* Panels a thread goes through tile by tile: they stay in its second-level cache. Of wide ones as floats it takes FEW_PANELS all the same, for all
 * tiles come from afar once a group (Zen 5, two threads: 1.1 to 1.3 times as fast with 4096 to 5632 values a row). */
enum { GROUP_BYTES = 256 << 10, FEW_PANELS = 3 };
enum { OWN_VALUES = 8192 }; /* of activations: as many are quantised by each thread sooner than waited for */

/* How a weight meets the kernels. */
typedef enum { INTEGER, ROUNDED, FLOAT, EXPANDED } method;

static bool is_float(sn_type type)
{
    return type == SN_F32 || type == SN_F16 || type == SN_BF16;
}

static method method_of(const k_ops *k, const sn_linear *w)
{
    if (is_float(w->type)) return w->rounded ? ROUNDED : FLOAT;
    return k->product_q[K_FINE][w->type] != NULL ? INTEGER : EXPANDED;
}

static k_grain grain_of(const k_ops *k, const sn_linear *w)
{
    return w->coarse && k->product_q[K_COARSE][w->type] != NULL ? K_COARSE : K_FINE;
}

static size_t panel_rows(const k_ops *k, const sn_linear *w)
{
    const method how = method_of(k, w);
    return how == INTEGER ? k->q_rows : how == ROUNDED ? k->i16_rows : k->f_rows;
}

static size_t row_bytes(sn_type type, size_t n_in)
{
    const sn_type_info *info = sn_type_get(type);
    return n_in / info->block * info->bytes;
}

static size_t div_up(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- open and close ---- */

static size_t packed_panel_bytes(const k_ops *k, const sn_linear *w)
{
    switch (method_of(k, w)) {
    case INTEGER: return k_panel_bytes(w->type, w->n_in, w->panel_rows);
    case ROUNDED: return k_i16_bytes(w->n_in, w->panel_rows);
    default: return row_bytes(w->type, w->n_in) * w->panel_rows;
    }
}

/* Whether the kernels take another order of the weights than the file has. */
static bool is_packed(const k_ops *k, const sn_linear *w)
{
    const method how = method_of(k, w);
    return how == ROUNDED || (w->panel_rows > 1 && how != EXPANDED);
}

/* [n_rows, n_in] values of `size` bytes to [n_in, R], a cache line of each row at a time; the rows that are not there are zeros. */
static void interleave(void *panel, const void *data, size_t n_rows, size_t n_in, size_t size, size_t R)
{
    enum { STEP = 16 };
    unsigned char *to = panel;
    const unsigned char *from = data;
    if (n_rows < R) memset(panel, 0, n_in * R * size);
    for (size_t k0 = 0; k0 < n_in; k0 += STEP) {
        const size_t k1 = min_size(n_in, k0 + STEP);
        for (size_t r = 0; r < n_rows; r++) {
            if (size == 2) {
                for (size_t k = k0; k < k1; k++) memcpy(to + (k * R + r) * 2, from + (r * n_in + k) * 2, 2);
            } else {
                for (size_t k = k0; k < k1; k++) memcpy(to + (k * R + r) * 4, from + (r * n_in + k) * 4, 4);
            }
        }
    }
}

typedef struct {
    const k_ops *k;
    sn_linear *w;
} pack_job;

static void pack_part(void *arg, size_t part, size_t n_parts)
{
    const pack_job *j = arg;
    sn_linear *w = j->w;
    const size_t R = w->panel_rows, bytes = packed_panel_bytes(j->k, w), row = row_bytes(w->type, w->n_in);
    size_t begin, end;
    sn_share(div_up(w->n_out, R), 1, part, n_parts, &begin, &end);
    for (size_t p = begin; p < end; p++) {
        unsigned char *panel = (unsigned char *)w->packed + p * bytes;
        const unsigned char *rows = (const unsigned char *)w->data + p * R * row;
        const size_t n_rows = min_size(R, w->n_out - p * R);
        switch (method_of(j->k, w)) {
        case INTEGER: k_panel_pack(panel, w->type, rows, n_rows, w->n_in, R); break;
        case ROUNDED: k_i16_panel_pack(j->k, panel, w->type, rows, row, n_rows, w->n_in); break;
        default: interleave(panel, rows, n_rows, w->n_in, sn_type_get(w->type)->bytes, R); break;
        }
    }
}

sn_status sn_linear_plan(sn_linear *w, const sn_compute *c, sn_type type, size_t n_out, size_t n_in, const void *data, sn_err *err)
{
    const k_ops *k = sn_compute_ops(c);
    const sn_type_info *info = sn_type_get((uint32_t)type);
    *w = (sn_linear){.type = type, .n_out = n_out, .n_in = n_in, .rounded = is_float(type) && sn_compute_coarse(c), .data = data};
    if (info == NULL || info->dequantize == NULL) {
        return sn_fail(err, SN_EUNSUPPORTED, "weights of type %s cannot be multiplied", info != NULL ? info->name : "unknown");
    }
    if (n_out == 0 || n_in == 0 || n_in % info->block != 0) {
        return sn_fail(err, SN_EFORMAT, "a %s weight of [%zu, %zu]: rows must be whole blocks of %zu", info->name, n_out, n_in,
                       info->block);
    }
    w->panel_rows = panel_rows(k, w);
    if (is_packed(k, w) && !sn_mul_ok(div_up(n_out, w->panel_rows), packed_panel_bytes(k, w), &w->packed_bytes))
        return sn_fail(err, SN_ENOMEM, "a weight of [%zu, %zu] is too large", n_out, n_in);
    return SN_OK;
}

sn_status sn_linear_init(sn_linear *w, sn_compute *c, sn_type type, size_t n_out, size_t n_in, const void *data, const float *bias,
                         sn_err *err)
{
    const k_ops *k = sn_compute_ops(c);
    sn_status st = sn_linear_plan(w, c, type, n_out, n_in, data, err);
    if (st != SN_OK) return st;
    if (w->packed_bytes > 0) {
        w->packed = sn_alloc_streamed(w->packed_bytes);
        if (w->packed == NULL) return sn_fail(err, SN_ENOMEM, "out of memory (%zu bytes of weights)", w->packed_bytes);
        sn_keep_from_forks(w->packed, w->packed_bytes, true);
        sn_parallel(c, pack_part, &(pack_job){k, w});
    }
    if (bias != NULL) {
        w->bias = sn_alloc(n_out, sizeof(float));
        if (w->bias == NULL) {
            sn_linear_free(w);
            return sn_fail(err, SN_ENOMEM, "out of memory (%zu biases)", n_out);
        }
        memcpy(w->bias, bias, n_out * sizeof(float));
    }
    return SN_OK;
}

void sn_linear_free(sn_linear *w)
{
    sn_keep_from_forks(w->packed, w->packed_bytes, false);
    sn_free(w->packed);
    sn_free(w->bias);
    *w = (sn_linear){.data = NULL};
}

size_t sn_linear_bytes(const sn_linear *w)
{
    return w->packed_bytes + (w->bias != NULL ? w->n_out * sizeof(float) : 0);
}

size_t sn_linear_mapped_bytes(const sn_linear *w)
{
    return w->packed_bytes > 0 ? 0 : row_bytes(w->type, w->n_in) * w->n_out;
}

void sn_linear_attach(sn_linear *w, sn_low_rank *d)
{
    sn_low_rank **at = &w->added;
    assert(d->a.n_in == w->n_in && d->b.n_out == w->n_out && d->a.n_out == d->b.n_in);
    while (*at != NULL) at = &(*at)->next;
    *at = d;
}

/* ---- the product ---- */

typedef struct {
    const k_ops *k;
    const sn_linear *w;
    float *y;
    const float *x;
    size_t ldy, ldx, n;
    bool add;
    method how;
    unsigned char *tiles; /* all of x as tiles; one copy a thread where `own_tiles` */
    bool own_tiles;
    unsigned char *panels; /* FLOAT, EXPANDED: group_bytes a thread, panels as f32 */
    size_t tiles_bytes, group, group_bytes, n_panels, panel_bytes;
} product;

/* The weights themselves go to the kernels, which take integers. */
static bool is_whole(const product *p)
{
    return p->how == INTEGER || p->how == ROUNDED;
}

static size_t tile_tokens(const product *p)
{
    return p->how == INTEGER ? p->k->q_tile : p->how == ROUNDED ? p->k->i16_tile : p->k->f_tile;
}

/* Tokens in the tile that starts at token t. */
static size_t tile_at(const product *p, size_t t)
{
    const size_t rest = p->n - t, most = tile_tokens(p);
    return rest >= most ? most : p->how == INTEGER ? min_size(rest, K_FEW) : rest;
}

static size_t token_bytes(const product *p)
{
    switch (p->how) {
    case INTEGER: return k_tile_bytes(k_format_get(p->w->type), grain_of(p->k, p->w), 1, p->w->n_in);
    case ROUNDED: return k_i16_bytes(p->w->n_in, 1);
    default: return p->w->n_in * sizeof(float);
    }
}

static void make_tiles(const product *p, unsigned char *tiles, size_t begin, size_t end)
{
    const size_t n_in = p->w->n_in, bytes = token_bytes(p);
    const k_format *f = k_format_get(p->w->type);
    for (size_t t = begin; t < end; t += tile_at(p, t)) {
        const size_t n_tok = tile_at(p, t);
        unsigned char *tile = tiles + t * bytes;
        const float *x = p->x + t * p->ldx;
        switch (p->how) {
        case INTEGER: p->k->quantize[grain_of(p->k, p->w)](tile, x, p->ldx, n_tok, n_in, f); break;
        case ROUNDED: k_i16_tile(p->k, tile, x, p->ldx, n_tok, n_in); break;
        default: p->k->tile_f((float *)(void *)tile, x, p->ldx, n_tok, n_in); break;
        }
    }
}

static void tiles_part(void *arg, size_t part, size_t n_parts)
{
    const product *p = arg;
    size_t begin, end;
    sn_share(p->n, tile_tokens(p), part, n_parts, &begin, &end);
    make_tiles(p, p->tiles, begin, end);
}

static const unsigned char *panel_at(const product *p, size_t i)
{
    const unsigned char *base = p->w->packed != NULL ? p->w->packed : p->w->data;
    return base + i * p->panel_bytes;
}

/* Panel i of a float or expanded weight as f32 [n_in, R]; `row` has room for n_in floats. */
static void widen_panel(const product *p, float *dst, float *row, size_t i)
{
    const size_t R = p->w->panel_rows, n_in = p->w->n_in;
    const unsigned char *src = panel_at(p, i);
    switch (p->w->type) {
    case SN_F32: memcpy(dst, src, n_in * R * sizeof(float)); return;
    case SN_F16: p->k->f16_to_f32(dst, src, n_in * R); return;
    case SN_BF16: p->k->bf16_to_f32(dst, src, n_in * R); return;
    default: break;
    }
    const size_t n_rows = min_size(R, p->w->n_out - i * R);
    if (n_rows < R) memset(dst, 0, n_in * R * sizeof(float));
    for (size_t r = 0; r < n_rows; r++) {
        sn_type_get(p->w->type)->dequantize(row, src + r * (p->panel_bytes / R), n_in);
        for (size_t k = 0; k < n_in; k++) dst[k * R + r] = row[k];
    }
}

/* Panels g .. stop - 1, for the kernels that take floats; row: see widen_panel. */
static void widen_group(const product *p, float *wide, size_t g, size_t stop)
{
    const size_t values = p->w->n_in * p->w->panel_rows;
    float *row = wide + p->group * values;
    for (size_t i = g; i < stop; i++) widen_panel(p, wide + (i - g) * values, row, i);
}

/* Panel i by a tile of n_tok tokens; wide: the panel as floats, where it is taken so. */
static void multiply(const product *p, const k_dest *to, size_t i, const float *wide, const unsigned char *tile, size_t n_tok)
{
    const size_t n_in = p->w->n_in;
    switch (p->how) {
    case INTEGER: p->k->product_q[grain_of(p->k, p->w)][p->w->type](to, panel_at(p, i), tile, n_in, n_tok); break;
    case ROUNDED: p->k->product_i16(to, panel_at(p, i), tile, n_in, n_tok); break;
    default: p->k->product_f(to, wide, (const float *)(const void *)tile, n_tok, n_in, n_tok); break;
    }
}

static k_dest dest_at(const product *p, size_t t, size_t panel)
{
    const size_t row = panel * p->w->panel_rows;
    return (k_dest){p->y + t * p->ldy + row, p->ldy, min_size(p->w->panel_rows, p->w->n_out - row),
                    p->w->bias != NULL ? p->w->bias + row : NULL, p->add};
}

/* The threads in a grid: `across` of them share the panels and n_parts / across the tokens, so that the largest share is least. */
static size_t grid_across(const product *p, size_t n_parts)
{
    const size_t n_tiles = div_up(p->n, tile_tokens(p));
    size_t best = n_parts, least = SIZE_MAX;
    for (size_t across = n_parts; across > 0; across--) {
        if (n_parts % across != 0) continue;
        const size_t most = div_up(p->n_panels, across) * div_up(n_tiles, n_parts / across);
        if (most < least) {
            least = most;
            best = across;
        }
    }
    return best;
}

static void product_part(void *arg, size_t part, size_t n_parts)
{
    const product *p = arg;
    const size_t across = grid_across(p, n_parts), bytes = token_bytes(p);
    size_t first, last, begin, end;
    sn_share(p->n_panels, 1, part % across, across, &first, &last);
    sn_share(p->n, tile_tokens(p), part / across, n_parts / across, &begin, &end);
    const unsigned char *tiles = p->tiles + (p->own_tiles ? part * p->tiles_bytes : 0);
    if (p->own_tiles) make_tiles(p, p->tiles + part * p->tiles_bytes, begin, end);
    float *wide = (float *)(void *)(p->panels + part * p->group_bytes);

    for (size_t g = first; g < last; g += p->group) {
        const size_t stop = min_size(last, g + p->group);
        if (!is_whole(p)) widen_group(p, wide, g, stop);
        for (size_t t = begin; t < end; t += tile_at(p, t)) {
            const size_t n_tok = tile_at(p, t);
            const unsigned char *tile = tiles + t * bytes;
            for (size_t i = g; i < stop; i++) {
                const k_dest to = dest_at(p, t, i);
                multiply(p, &to, i, wide + (i - g) * p->w->n_in * p->w->panel_rows, tile, n_tok);
            }
        }
    }
}

/* Few tokens by float weights: they are streamed as they are stored. */
static void stream_part(void *arg, size_t part, size_t n_parts)
{
    const product *p = arg;
    k_stream_f *f = p->w->type == SN_F32 ? p->k->stream_f32 : p->w->type == SN_F16 ? p->k->stream_f16 : p->k->stream_bf16;
    size_t first, last;
    sn_share(p->n_panels, 1, part, n_parts, &first, &last);
    for (size_t i = first; i < last; i++) {
        for (size_t t = 0, n_tok; t < p->n; t += n_tok) {
            const k_dest to = dest_at(p, t, i);
            n_tok = min_size(tile_at(p, t), K_FEW);
            f(&to, panel_at(p, i), p->x + t * p->ldx, p->ldx, p->w->n_in, n_tok);
        }
    }
}

static bool is_streamed(const product *p)
{
    return p->how == FLOAT && p->n <= K_FEW;
}

/* Sets p's sizes; returns the scratch a product needs. */
static size_t plan(product *p, size_t n_threads)
{
    const sn_linear *w = p->w;
    p->how = method_of(p->k, w);
    const size_t wide_bytes = w->n_in * w->panel_rows * sizeof(float);
    p->n_panels = div_up(w->n_out, w->panel_rows);
    p->panel_bytes = w->packed != NULL ? packed_panel_bytes(p->k, w) : row_bytes(w->type, w->n_in) * w->panel_rows;
    p->own_tiles = is_whole(p) && (p->n == 1 || (p->n <= K_FEW && p->n * w->n_in <= OWN_VALUES));
    p->tiles_bytes = sn_arena_cost(p->n * token_bytes(p));
    if (is_streamed(p)) return 0;
    if (is_whole(p)) {
        p->group = GROUP_BYTES / p->panel_bytes + 1;
        return sn_arena_cost(p->tiles_bytes * (p->own_tiles ? n_threads : 1));
    }
    p->group = min_size(p->n_panels, max_size(FEW_PANELS, GROUP_BYTES / wide_bytes + 1));
    p->group_bytes = sn_arena_cost(p->group * wide_bytes + w->n_in * sizeof(float));
    return p->tiles_bytes + sn_arena_cost(n_threads * p->group_bytes);
}

static void apply(sn_compute *c, product *p, sn_arena *tmp)
{
    const size_t n_threads = sn_compute_threads(c), mark = sn_arena_mark(tmp);
    p->k = sn_compute_ops(c);
    assert(p->w->panel_rows == panel_rows(p->k, p->w)); /* bound for another instruction set */
    if (p->n == 0) return;
    plan(p, n_threads);
    if (is_streamed(p)) {
        sn_parallel(c, stream_part, p);
        return;
    }
    p->tiles = sn_arena_alloc(tmp, p->tiles_bytes * (p->own_tiles ? n_threads : 1));
    p->panels = !is_whole(p) ? sn_arena_alloc(tmp, n_threads * p->group_bytes) : p->tiles;
    if (!p->own_tiles) sn_parallel(c, tiles_part, p);
    sn_parallel(c, product_part, p);
    sn_arena_reset(tmp, mark);
}

/* y += scale * B (A x) of each adapter, in their order. */
static void apply_added(sn_compute *c, const product *p, sn_arena *tmp)
{
    for (const sn_low_rank *l = p->w->added; l != NULL; l = l->next) {
        const size_t rank = l->a.n_out, mark = sn_arena_mark(tmp);
        float *h = sn_arena_f32(tmp, p->n * rank); /* [n, rank] */
        product down = {.w = &l->a, .y = h, .x = p->x, .ldy = rank, .ldx = p->ldx, .n = p->n};
        product up = {.w = &l->b, .y = p->y, .x = h, .ldy = p->ldy, .ldx = rank, .n = p->n, .add = true};
        apply(c, &down, tmp);
        for (size_t i = 0; i < p->n * rank; i++) h[i] *= l->scale;
        apply(c, &up, tmp);
        sn_arena_reset(tmp, mark);
    }
}

void sn_linear_apply(sn_compute *c, float *y, size_t ldy, const float *x, size_t ldx, const sn_linear *w, size_t n, sn_arena *tmp)
{
    product p = {.w = w, .y = y, .x = x, .ldy = ldy, .ldx = ldx, .n = n};
    apply(c, &p, tmp);
    apply_added(c, &p, tmp);
}

void sn_linear_add(sn_compute *c, float *y, size_t ldy, const float *x, size_t ldx, const sn_linear *w, size_t n, sn_arena *tmp)
{
    product p = {.w = w, .y = y, .x = x, .ldy = ldy, .ldx = ldx, .n = n, .add = true};
    apply(c, &p, tmp);
    apply_added(c, &p, tmp);
}

/* Of up to n rows: few take their tiles once a thread. */
static size_t product_bytes(const sn_compute *c, const sn_linear *w, size_t n)
{
    size_t most = 0;
    for (size_t few = 1; few <= n && few <= K_FEW; few++)
        most = max_size(most, plan(&(product){.k = sn_compute_ops(c), .w = w, .n = few}, sn_compute_threads(c)));
    return max_size(most, plan(&(product){.k = sn_compute_ops(c), .w = w, .n = n}, sn_compute_threads(c)));
}

size_t sn_linear_scratch_bytes(const sn_compute *c, const sn_linear *w, size_t n)
{
    if (n == 0) return 0;
    size_t most = product_bytes(c, w, n);
    for (const sn_low_rank *l = w->added; l != NULL; l = l->next)
        most = max_size(most, sn_arena_cost_f32(n * l->a.n_out) + max_size(product_bytes(c, &l->a, n), product_bytes(c, &l->b, n)));
    return most;
}

void sn_linear_row(float *dst, const sn_linear *w, size_t row)
{
    assert(row < w->n_out);
    sn_type_get(w->type)->dequantize(dst, (const unsigned char *)w->data + row * row_bytes(w->type, w->n_in), w->n_in);
}

void sn_norm_free(sn_norm *w)
{
    sn_free(w->weight);
    sn_free(w->bias);
    *w = (sn_norm){.n = 0};
}
