/* check_png.c: a walk over a PNG's chunks (ISO/IEC 15948), and what can be had of a truncated one: its pixels are inflated as far as they go, and the
 * whole rows (or, interlaced, the whole passes) become a file of their own. */
#include "../core/mem.h"
#include "decode.h"
#include "salvage.h"

#include <limits.h>
#include <zlib.h>

#define CUT "the file is cut short"

typedef struct {
    vis_head *head;
    unsigned char depth, colour;
    bool interlaced;
    size_t n_palette;
    bool ihdr, plte, trns, idat, idat_over, iend;
} png_state;

static bool png_ihdr(png_state *s, const unsigned char *d, size_t n)
{
    static const unsigned char depths[7] = {1 | 2 | 4 | 8 | 16, 0, 8 | 16, 1 | 2 | 4 | 8, 8 | 16, 0, 8 | 16}; /* by colour type */

    if (s->ihdr || n != 13) return false;
    s->ihdr = true;
    s->head->w = vis_be32(d);
    s->head->h = vis_be32(d + 4);
    s->depth = d[8];
    s->colour = d[9];
    s->interlaced = d[12];
    return s->colour < 7 && s->depth && !(s->depth & (s->depth - 1)) && (depths[s->colour] & s->depth) && d[10] == 0 && d[11] == 0 &&
           d[12] <= 1;
}

/* One chunk in the order the standard asks for; false when it is out of place or of a wrong length. */
static bool png_chunk(png_state *s, const unsigned char *type, const unsigned char *d, size_t n)
{
    if (!memcmp(type, "IHDR", 4)) return png_ihdr(s, d, n);
    if (!s->ihdr) return false;
    if (s->idat && memcmp(type, "IDAT", 4)) s->idat_over = true;
    if (!memcmp(type, "PLTE", 4)) {
        if (s->plte || s->idat || n == 0 || n % 3 || n > 768 || !(s->colour & 2)) return false;
        s->plte = true;
        s->n_palette = n / 3;
    } else if (!memcmp(type, "tRNS", 4)) {
        if (s->trns || s->idat || s->colour & 4) return false;
        if (s->colour == 3 ? !s->plte || n > s->n_palette : n != (s->colour == 0 ? 2u : 6u)) return false;
        s->trns = true;
    } else if (!memcmp(type, "IDAT", 4)) {
        if (s->idat_over || (s->colour == 3 && !s->plte)) return false;
        s->idat = true;
    } else if (!memcmp(type, "IEND", 4)) {
        if (n || !s->idat) return false;
        s->iend = true;
    } else if (!memcmp(type, "eXIf", 4)) {
        s->head->orientation = vis_exif_orientation(d, n);
    } else if (!(type[0] & 32)) {
        return false; /* an unknown chunk that says it is critical */
    }
    return true;
}

/* The chunks from *at on, which moves; to IEND, or to the first that is wrong. *cut: the file ended. */
static sn_status walk(png_state *s, vis_bytes f, size_t *at, bool *cut, sn_err *err)
{
    while (!s->iend) {
        size_t n;

        *cut = f.n - *at < 12;
        if (*cut) return sn_fail(err, SN_EFORMAT, "PNG: " CUT " (no IEND)");
        n = vis_be32(f.p + *at);
        *cut = n > f.n - *at - 12;
        if (*cut) return sn_fail(err, SN_EFORMAT, "PNG: " CUT " (in a chunk of %zu bytes)", n);
        if (crc32_z(0, f.p + *at + 4, n + 4) != vis_be32(f.p + *at + 8 + n))
            return sn_fail(err, SN_EFORMAT, "PNG: wrong checksum of the chunk at byte %zu", *at);
        if (!png_chunk(s, f.p + *at + 4, f.p + *at + 8, n))
            return sn_fail(err, SN_EFORMAT, "PNG: the chunk at byte %zu is malformed or out of place", *at);
        *at += n + 12;
    }
    return SN_OK;
}

sn_status vis_check_png(vis_bytes f, vis_head *head, sn_err *err)
{
    png_state s = {.head = head};
    size_t at = 8;
    bool cut;

    *head = (vis_head){0, 0, 1};
    return walk(&s, f, &at, &cut, err);
}

/* ---- what is left of a truncated one ---- */

/* Bytes of the filtered rows of a picture, or of a pass, of w x h. */
static size_t row_bytes(const png_state *s, size_t w)
{
    static const unsigned char channels[7] = {1, 0, 3, 1, 2, 0, 4};

    return 1 + (w * s->depth * channels[s->colour] + 7) / 8;
}

/* Adam7: where each pass begins and how far apart its pixels are; behind it, how far apart those known so far. */
static const struct {
    unsigned char x, y, step_x, step_y, known_x, known_y;
} passes[7] = {{0, 0, 8, 8, 8, 8}, {4, 0, 8, 8, 4, 8}, {0, 4, 4, 8, 4, 4}, {2, 0, 4, 4, 2, 4},
               {0, 2, 2, 4, 2, 2}, {1, 0, 2, 2, 1, 2}, {0, 1, 1, 2, 1, 1}};

static size_t pass_bytes(const png_state *s, int i)
{
    const size_t w = (s->head->w + passes[i].step_x - 1 - passes[i].x) / passes[i].step_x;
    const size_t h = (s->head->h + passes[i].step_y - 1 - passes[i].y) / passes[i].step_y;

    return w && h ? row_bytes(s, w) * h : 0;
}

/* Inflates what the IDAT chunks from `at` on hold, the last one cut, into raw [n]; *got bytes. False: damage, not the file's end. */
static bool inflate_idats(vis_bytes f, size_t at, unsigned char *raw, size_t n, size_t *got)
{
    z_stream z = {.next_out = raw, .avail_out = (uInt)n};
    int res = Z_OK;

    if (inflateInit(&z) != Z_OK) return false;
    while (res == Z_OK && z.avail_out && at < f.n && f.n - at > 8 && !memcmp(f.p + at + 4, "IDAT", 4)) {
        const size_t size = vis_be32(f.p + at), left = f.n - at - 8;

        z.next_in = (Bytef *)(uintptr_t)(f.p + at + 8); /* zlib does not write there */
        z.avail_in = (uInt)(size < left ? size : left);
        while (z.avail_in && z.avail_out && (res = inflate(&z, Z_SYNC_FLUSH)) == Z_OK) continue;
        if (size >= left || left - size < 4) break;
        at += 12 + size;
    }
    *got = n - z.avail_out;
    inflateEnd(&z);
    return res == Z_OK || res == Z_BUF_ERROR || (res == Z_STREAM_END && *got == n);
}

static void put_be32(unsigned char *p, size_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* A chunk at the end of out->file, whose n bytes are in place. */
static void close_chunk(vis_salvage *out, const char *type, size_t n)
{
    unsigned char *p = out->file + out->n;

    put_be32(p, n);
    memcpy(p + 4, type, 4);
    put_be32(p + 8 + n, crc32_z(0, p + 4, n + 4));
    out->n += 12 + n;
}

/* All in front of the pixels, of another height, and raw [n] as the pixels. */
static bool rebuild(vis_salvage *out, vis_bytes f, size_t first_idat, const unsigned char *raw, size_t n, size_t h)
{
    uLongf packed = compressBound(n);

    if (packed > INT_MAX || !vis_salvage_copy(out, f, first_idat, packed + 24)) return false;
    put_be32(out->file + 20, h); /* IHDR comes first: the walk has seen to that */
    put_be32(out->file + 29, crc32_z(0, out->file + 12, 17));
    if (compress2(out->file + out->n + 8, &packed, raw, n, 1) != Z_OK) return false;
    close_chunk(out, "IDAT", packed);
    close_chunk(out, "IEND", 0);
    return vis_check_png((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* The whole passes of `got` bytes; the rest becomes 0, which the known pixels will cover. */
static bool keep_passes(vis_salvage *out, const png_state *s, unsigned char *raw, size_t n, size_t got)
{
    size_t whole = 0;
    int i = 0;

    for (; i < 7 && pass_bytes(s, i) <= got - whole; i++) whole += pass_bytes(s, i);
    out->partial = (sn_partial){SN_PASSES, i, 7};
    if (i == 0) return false;
    out->step_w = passes[i - 1].known_x;
    out->step_h = passes[i - 1].known_y;
    memset(raw + whole, 0, n - whole);
    return true;
}

bool vis_salvage_png(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    vis_head head = {0, 0, 1};
    png_state s = {.head = &head};
    size_t at = 8, first, n = 0, got;
    unsigned char *raw;
    bool cut = false, good;

    if (walk(&s, f, &at, &cut, NULL) == SN_OK || !cut || !s.ihdr || (s.colour == 3 && !s.plte)) return false;
    if (vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    for (first = 8; first + 8 <= f.n && memcmp(f.p + first + 4, "IDAT", 4); first += 12 + (size_t)vis_be32(f.p + first))
        if (first >= at) return false;
    if (first + 8 > f.n) return false;
    if (s.interlaced)
        for (int i = 0; i < 7; i++) n += pass_bytes(&s, i);
    else
        n = row_bytes(&s, head.w) * head.h;
    if (n > INT_MAX || !(raw = sn_alloc(n, 1))) return false;
    good = inflate_idats(f, first, raw, n, &got);
    if (good && s.interlaced) {
        good = keep_passes(out, &s, raw, n, got) && rebuild(out, f, first, raw, n, head.h);
    } else if (good) {
        const size_t rows = got / row_bytes(&s, head.w);
        good = vis_salvage_rows(out, rows, head.h) && rebuild(out, f, first, raw, rows * row_bytes(&s, head.w), rows);
    }
    sn_free(raw);
    return good;
}
