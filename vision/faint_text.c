/* faint_text.c: text that a person does not see and a model may read: glyphs that differ from what they stand on by half a percent to
 * five percent of full range.
 *
 *   plane ─ background and noise of each tile ─ marks: pixels off the background ─ glyphs: connected marks ─ lines of alike glyphs
 *
 * Each colour is looked at, in the picture and in copies of half the size and so on: letters of every size pass the range of heights.
 * What makes it text and not texture: marks stand out of the noise, their pieces have the size and the coverage of letters, and many of
 * one strength stand in a row on one base line. Near what can be seen nothing is looked for: codecs leave traces there. */
#include "../core/mem.h"
#include "vision.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILE 12
#define CELL 8          /* JPEG's blocks: so far visible edges leave traces */
#define LEAST 1.25      /* of 255: a mark's difference; text of 1 % is 2 or 3 levels from its background */
#define MOST 13.0       /* above, it is visible */
#define NOISE_RATIO 2.4 /* marks are so many times the noise */
#define MIN_HEIGHT 5    /* of a glyph */
#define MAX_HEIGHT 40
#define MIN_SIDE 64   /* of a copy */
#define LINE_GLYPHS 9 /* a line has at least so many */

/* ---- background ---- */

typedef struct {
    size_t w, h;          /* in tiles */
    float *level, *least; /* of each tile's middle: the background; the difference that makes a mark */
} tiles;

typedef struct {
    const vis_image *img;
    size_t channel;
    tiles t;
    signed char *marks;     /* [h, w]: difference from the background in eighths of a level; 0: no mark */
    unsigned char *visible; /* [cells_h, cells_w]: whether there is something to see */
    size_t cells_w, cells_h;
    uint32_t *stack; /* of the flood: places in the plane, of which a picture has fewer than 2^32 */
    size_t cap_stack;
    struct glyph *glyphs;
    size_t n_glyphs, cap_glyphs;
} search;

/* The share-th value of a histogram of n. */
static unsigned quantile(const uint32_t hist[256], uint32_t n, double share)
{
    const double want = share * n;
    uint32_t seen = 0;
    unsigned v = 0;

    for (; v < 255 && (seen += hist[v]) < want; v++) continue;
    return v;
}

/* Mean of the values within `reach` of the middle one, to fractions of a level. */
static float centre(const uint32_t hist[256], unsigned middle, unsigned reach)
{
    const unsigned from = middle > reach ? middle - reach : 0, to = middle + reach < 255 ? middle + reach : 255;
    double sum = 0, n = 0;

    for (unsigned v = from; v <= to; v++) {
        sum += (double)v * hist[v];
        n += hist[v];
    }
    return (float)(sum / n);
}

/* The values of a tile, or their differences from the background in eighths of a level without sign. */
static void count_tile(uint32_t hist[256], const search *s, bool differences, size_t tx, size_t ty)
{
    const size_t w = s->img->w, h = s->img->h;
    const size_t x1 = (tx + 1) * TILE < w ? (tx + 1) * TILE : w, y1 = (ty + 1) * TILE < h ? (ty + 1) * TILE : h;
    const unsigned char *plane = s->img->rgb + s->channel;

    for (size_t y = ty * TILE; y < y1; y++)
        for (size_t x = tx * TILE; x < x1; x++) hist[differences ? (size_t)abs(s->marks[y * w + x]) : plane[(y * w + x) * 3]]++;
}

/* Of a window of 3x3 tiles. Ink covers less than half of it, and of differences the nearer 60 % hold none. */
static void measure_window(search *s, const uint32_t hist[256], bool differences, size_t tile)
{
    uint32_t n = 0;

    for (unsigned v = 0; v < 256; v++) n += hist[v];
    if (differences) {
        const float noise = (float)quantile(hist, n, 0.6) / 8 / 0.84f; /* 0.84 sigma of a normal distribution */
        s->t.least[tile] = fmaxf((float)LEAST, (float)NOISE_RATIO * noise);
    } else {
        s->t.level[tile] = centre(hist, quantile(hist, n, 0.5), 1);
    }
}

static sn_status measure(search *s, bool differences, sn_err *err)
{
    const size_t w = s->t.w, h = s->t.h;
    uint32_t(*hist)[256] = sn_calloc(w * 3, sizeof *hist); /* three rows of tiles */

    if (!hist) return sn_fail(err, SN_ENOMEM, "out of memory");
    for (size_t ty = 0; ty <= h; ty++) {
        uint32_t(*row)[256] = hist + ty % 3 * w;
        memset(row, 0, w * sizeof *row);
        for (size_t tx = 0; ty < h && tx < w; tx++) count_tile(row[tx], s, differences, tx, ty);
        for (size_t tx = 0; ty > 0 && tx < w; tx++) {
            uint32_t window[256] = {0};
            for (size_t k = 0; k < 3; k++)
                for (size_t x = tx > 0 ? tx - 1 : 0; x <= tx + 1 && x < w; x++)
                    for (unsigned v = 0; v < 256; v++) window[v] += hist[k * w + x][v];
            measure_window(s, window, differences, (ty - 1) * w + tx);
        }
    }
    sn_free(hist);
    return SN_OK;
}

/* ---- marks ---- */

/* Where row (or column) i lies between the middles of tiles: the first of two, and the share of the second. */
static size_t between(size_t i, size_t n_tiles, float *share)
{
    const float at = ((float)i + 0.5f) / TILE - 0.5f;
    const size_t k = at > 0 ? (size_t)at : 0;

    *share = at > 0 && k + 1 < n_tiles ? at - (float)k : 0;
    return k < n_tiles ? k : n_tiles - 1;
}

/* Differences from the background, which is a plane between the middles of tiles. */
static sn_status subtract(search *s, sn_err *err)
{
    const size_t w = s->img->w, tw = s->t.w;
    float *share = sn_alloc(w, sizeof *share), *level = sn_alloc(tw + 1, sizeof *level); /* of columns; of the row, at each tile */
    uint32_t *tile = sn_alloc(w, sizeof *tile);
    sn_status st = share && level && tile ? SN_OK : sn_fail(err, SN_ENOMEM, "out of memory");

    for (size_t x = 0; st == SN_OK && x < w; x++) tile[x] = (uint32_t)between(x, tw, &share[x]);
    for (size_t y = 0; st == SN_OK && y < s->img->h; y++) {
        const unsigned char *p = s->img->rgb + y * w * 3 + s->channel;
        signed char *marks = s->marks + y * w;
        float down;
        const size_t ty = between(y, s->t.h, &down);
        const float *above = s->t.level + ty * tw, *below = ty + 1 < s->t.h ? above + tw : above;
        for (size_t i = 0; i < tw; i++) level[i] = above[i] + (below[i] - above[i]) * down;
        level[tw] = level[tw - 1];
        for (size_t x = 0; x < w; x++) {
            const float *l = level + tile[x];
            const float d = ((float)p[x * 3] - (l[0] + (l[1] - l[0]) * share[x])) * 8;
            marks[x] = (signed char)(d >= 127 ? 127 : d <= -127 ? -127 : d < 0 ? d - 0.5f : d + 0.5f);
        }
    }
    sn_free(tile);
    sn_free(level);
    sn_free(share);
    return st;
}

/* Leaves the marks alone. */
static void mark_row(search *s, size_t y)
{
    const size_t w = s->img->w;
    const float *least = s->t.least + y / TILE * s->t.w;
    unsigned char *visible = s->visible + y / CELL * s->cells_w;
    signed char *marks = s->marks + y * w;

    for (size_t x = 0; x < w; x++) {
        const int size = abs(marks[x]);
        const float limit = least[x / TILE];
        if (size > MOST * 8) visible[x / CELL] = 1;
        if (size > MOST * 8 || (float)size < limit * 8) marks[x] = 0;
    }
}

/* ---- glyphs ---- */

struct glyph {
    size_t x0, y0, x1, y1; /* the last ones included */
    float contrast;        /* mean difference, of 255 */
    size_t line;           /* index + 1; 0: none */
};

/* Takes the connected marks of one sign at (x, y) off the plane. */
static sn_status flood(search *s, size_t x, size_t y, struct glyph *g, size_t *area, sn_err *err)
{
    const size_t w = s->img->w, h = s->img->h;
    const bool dark = s->marks[y * w + x] < 0;
    size_t n = 1;
    double sum = 0;
    sn_status st = sn_grow((void **)&s->stack, &s->cap_stack, 1, sizeof *s->stack, err);

    if (st != SN_OK) return st;
    *g = (struct glyph){x, y, x, y, 0, 0};
    *area = 0;
    s->stack[0] = (uint32_t)(y * w + x);
    sum = abs(s->marks[y * w + x]);
    s->marks[y * w + x] = 0;
    while (n > 0) {
        const size_t at = s->stack[--n], px = at % w, py = at / w;
        ++*area;
        g->x0 = px < g->x0 ? px : g->x0;
        g->x1 = px > g->x1 ? px : g->x1;
        g->y1 = py > g->y1 ? py : g->y1;
        if ((st = sn_grow((void **)&s->stack, &s->cap_stack, n + 8, sizeof *s->stack, err)) != SN_OK) return st;
        for (size_t ny = py > 0 ? py - 1 : 0; ny <= py + 1 && ny < h; ny++)
            for (size_t nx = px > 0 ? px - 1 : 0; nx <= px + 1 && nx < w; nx++) {
                signed char *m = &s->marks[ny * w + nx];
                if (*m == 0 || (*m < 0) != dark) continue;
                sum += abs(*m);
                *m = 0;
                s->stack[n++] = (uint32_t)(ny * w + nx);
            }
    }
    g->contrast = (float)(sum / 8 / (double)*area * (dark ? -1 : 1));
    return SN_OK;
}

/* Whether something can be seen in the glyph's cells or beside them. */
static bool is_near_visible(const search *s, const struct glyph *g)
{
    const size_t cx0 = g->x0 / CELL, cy0 = g->y0 / CELL;

    for (size_t cy = cy0 > 0 ? cy0 - 1 : 0; cy <= g->y1 / CELL + 1 && cy < s->cells_h; cy++)
        for (size_t cx = cx0 > 0 ? cx0 - 1 : 0; cx <= g->x1 / CELL + 1 && cx < s->cells_w; cx++)
            if (s->visible[cy * s->cells_w + cx]) return true;
    return false;
}

/* Letters, or a few that run into one another; strokes, neither filled boxes nor threads. */
static bool is_glyph(const search *s, const struct glyph *g, size_t area)
{
    const size_t w = g->x1 - g->x0 + 1, h = g->y1 - g->y0 + 1;
    const double fill = (double)area / (double)(w * h);
    const float least = s->t.least[(g->y0 + g->y1) / 2 / TILE * s->t.w + (g->x0 + g->x1) / 2 / TILE];

    return h >= MIN_HEIGHT && h <= MAX_HEIGHT && w <= 6 * h && h <= 12 * w && fill > 0.12 && (fill < 0.9 || h >= 3 * w) &&
           fabsf(g->contrast) > 1.15f * least && !is_near_visible(s, g);
}

static sn_status find_glyphs(search *s, sn_err *err)
{
    sn_status st = SN_OK;

    for (size_t y = 0; y < s->img->h; y++)
        for (size_t x = 0; x < s->img->w; x++) {
            struct glyph g;
            size_t area;
            if (s->marks[y * s->img->w + x] == 0) continue;
            if ((st = flood(s, x, y, &g, &area, err)) != SN_OK) return st;
            if (!is_glyph(s, &g, area)) continue;
            if ((st = sn_grow((void **)&s->glyphs, &s->cap_glyphs, s->n_glyphs + 1, sizeof *s->glyphs, err)) != SN_OK) return st;
            s->glyphs[s->n_glyphs++] = g;
        }
    return SN_OK;
}

/* ---- lines ---- */

#define BAND 16 /* rows */

typedef struct {
    size_t last;                /* glyph */
    size_t n_glyphs, n_aligned; /* those that stand or end as high as the one before */
    size_t next;                /* line + 1 of the same band; 0: none */
    double sum;                 /* of contrasts */
} line;

typedef struct {
    line *lines;
    size_t n_lines, cap_lines;
    size_t *bands, n_bands; /* lines + 1 by the middle row of their last glyphs */
} line_list;

static int by_left(const void *a, const void *b)
{
    const struct glyph *p = a, *q = b;

    if (p->x0 != q->x0) return p->x0 < q->x0 ? -1 : 1;
    return p->y0 < q->y0 ? -1 : p->y0 > q->y0;
}

static size_t apart(size_t a, size_t b)
{
    return a > b ? a - b : b - a;
}

static size_t height(const struct glyph *g)
{
    return g->y1 - g->y0 + 1;
}

static bool is_aligned(const struct glyph *a, const struct glyph *b)
{
    const size_t h = height(a) > height(b) ? height(a) : height(b), slack = h / 8 > 1 ? h / 8 : 1;

    return apart(a->y1, b->y1) <= slack;
}

/* Whether b may follow a on its line. */
static bool follows(const struct glyph *a, const struct glyph *b)
{
    const size_t ha = height(a), hb = height(b), high = ha > hb ? ha : hb, low = ha < hb ? ha : hb;
    const size_t top = a->y0 > b->y0 ? a->y0 : b->y0, bottom = a->y1 < b->y1 ? a->y1 : b->y1;
    const float ratio = b->contrast / a->contrast; /* of one sign */

    return b->x0 + 2 > a->x1 && b->x0 <= a->x1 + 1 + high * 3 / 2 && high * 2 <= low * 5 && bottom >= top &&
           (bottom - top + 1) * 2 >= low && ratio > 0.55f && ratio < 1.8f;
}

/* The nearest line that g may follow, and what points to it in its band; NULL: none. Lines that ended too far to the left are let go. */
static size_t *find_line(line_list *l, const struct glyph *glyphs, const struct glyph *g)
{
    const size_t middle = (g->y0 + g->y1) / 2 / BAND, reach = MAX_HEIGHT / BAND;
    size_t *best = NULL, best_x = 0;

    for (size_t b = middle > reach ? middle - reach : 0; b <= middle + reach && b < l->n_bands; b++)
        for (size_t *at = &l->bands[b]; *at;) {
            const line *candidate = &l->lines[*at - 1];
            const struct glyph *last = &glyphs[candidate->last];
            if (last->x1 + 2 * MAX_HEIGHT < g->x0) {
                *at = candidate->next;
                continue;
            }
            if (follows(last, g) && last->x1 + 1 > best_x) {
                best = at;
                best_x = last->x1 + 1;
            }
            at = &l->lines[*at - 1].next;
        }
    return best;
}

static sn_status make_lines(line_list *l, search *s, sn_err *err)
{
    l->n_bands = s->img->h / BAND + 1;
    if (!(l->bands = sn_calloc(l->n_bands, sizeof *l->bands))) return sn_fail(err, SN_ENOMEM, "out of memory");
    if (s->n_glyphs > 0) qsort(s->glyphs, s->n_glyphs, sizeof *s->glyphs, by_left);
    for (size_t i = 0; i < s->n_glyphs; i++) {
        struct glyph *g = &s->glyphs[i];
        size_t *at = find_line(l, s->glyphs, g), *band = &l->bands[(g->y0 + g->y1) / 2 / BAND], k;
        if (at) {
            k = *at - 1;
            *at = l->lines[k].next;
            l->lines[k].n_aligned += is_aligned(&s->glyphs[l->lines[k].last], g);
        } else {
            sn_status st = sn_grow((void **)&l->lines, &l->cap_lines, l->n_lines + 1, sizeof *l->lines, err);
            if (st != SN_OK) return st;
            k = l->n_lines++;
            l->lines[k] = (line){0};
        }
        l->lines[k].last = i;
        l->lines[k].n_glyphs++;
        l->lines[k].sum += fabsf(g->contrast);
        l->lines[k].next = *band;
        *band = k + 1;
        g->line = k + 1;
    }
    return SN_OK;
}

static bool is_text(const line *l)
{
    return l->n_glyphs >= LINE_GLYPHS && l->n_aligned * 5 >= (l->n_glyphs - 1) * 3;
}

/* Adds what is text to *out, in pixels of a picture `scale` times as large. */
static void add_lines(vis_faint_text *out, const line_list *l, const search *s, size_t scale)
{
    size_t x0 = SIZE_MAX, y0 = SIZE_MAX, x1 = 0, y1 = 0, n = 0;
    double sum = 0;

    for (size_t i = 0; i < s->n_glyphs; i++) {
        const struct glyph *g = &s->glyphs[i];
        if (!is_text(&l->lines[g->line - 1])) continue;
        n++;
        sum += fabsf(g->contrast);
        x0 = g->x0 < x0 ? g->x0 : x0;
        y0 = g->y0 < y0 ? g->y0 : y0;
        x1 = g->x1 > x1 ? g->x1 : x1;
        y1 = g->y1 > y1 ? g->y1 : y1;
    }
    if (n <= out->n_glyphs) return;
    *out = (vis_faint_text){n, x0 * scale, y0 * scale, (x1 + 1 - x0) * scale, (y1 + 1 - y0) * scale, sum / (double)n / 255};
}

/* ---- planes and copies ---- */

static sn_status look_at_plane(vis_faint_text *out, const vis_image *img, size_t channel, size_t scale, sn_err *err)
{
    search s = {.img = img, .channel = channel, .t = {(img->w + TILE - 1) / TILE, (img->h + TILE - 1) / TILE, NULL, NULL}};
    line_list l = {0};
    sn_status st = SN_OK;

    s.cells_w = (img->w + CELL - 1) / CELL;
    s.cells_h = (img->h + CELL - 1) / CELL;
    s.t.level = sn_alloc(s.t.w * s.t.h, sizeof *s.t.level);
    s.t.least = sn_alloc(s.t.w * s.t.h, sizeof *s.t.least);
    s.marks = sn_alloc(img->w * img->h, 1);
    s.visible = sn_calloc(s.cells_w * s.cells_h, 1);
    if (!s.t.level || !s.t.least || !s.marks || !s.visible) st = sn_fail(err, SN_ENOMEM, "out of memory");
    if (st == SN_OK) st = measure(&s, false, err);
    if (st == SN_OK) st = subtract(&s, err);
    if (st == SN_OK) st = measure(&s, true, err);
    for (size_t y = 0; st == SN_OK && y < img->h; y++) mark_row(&s, y);
    if (st == SN_OK) st = find_glyphs(&s, err);
    if (st == SN_OK) st = make_lines(&l, &s, err);
    if (st == SN_OK) add_lines(out, &l, &s, scale);
    sn_free(l.bands);
    sn_free(l.lines);
    sn_free(s.glyphs);
    sn_free(s.stack);
    sn_free(s.visible);
    sn_free(s.marks);
    sn_free(s.t.least);
    sn_free(s.t.level);
    return st;
}

/* Half the size; an odd last row or column is left out. */
static sn_status halve(vis_image *out, const vis_image *in, sn_err *err)
{
    const size_t row = in->w * 3;
    sn_status st = vis_image_new(out, in->w / 2, in->h / 2, err);

    for (size_t y = 0; st == SN_OK && y < out->h; y++) {
        const unsigned char *p = in->rgb + 2 * y * row;
        unsigned char *d = out->rgb + y * out->w * 3;
        for (size_t x = 0; x < out->w * 3; x++) {
            const size_t at = x / 3 * 6 + x % 3;
            d[x] = (unsigned char)((p[at] + p[at + 3] + p[at + row] + p[at + row + 3] + 2) / 4);
        }
    }
    return st;
}

sn_status vis_faint_text_find(vis_faint_text *out, const vis_image *img, sn_err *err)
{
    vis_faint_text found = {0};
    vis_image copy = {0}, half;
    sn_status st = SN_OK;

    for (size_t scale = 1; st == SN_OK; scale *= 2) {
        const vis_image *in = scale == 1 ? img : &copy;
        for (size_t c = 0; c < 3 && st == SN_OK; c++) st = look_at_plane(&found, in, c, scale, err);
        if (in->w / 2 < MIN_SIDE || in->h / 2 < MIN_SIDE || st != SN_OK || (st = halve(&half, in, err)) != SN_OK) break;
        vis_image_free(&copy);
        copy = half;
    }
    vis_image_free(&copy);
    if (st == SN_OK) *out = found;
    return st;
}
