/* check.c: walks over picture files before a decoder sees them. The decoders take a damaged file for a shorter picture; here
 * it is refused. Each walk reads sizes and chunk lengths only, allocates nothing, and stops at the first thing wrong. Behind each: what can be
 * had of a file that is cut short (salvage.h). PNG, JPEG and GIF have files of their own. */
#include "../core/mem.h"
#include "decode.h"
#include "salvage.h"

#include <stdio.h>

#define CUT "the file is cut short"

sn_status vis_check_size(size_t w, size_t h, size_t max_pixels, sn_err *err)
{
    if (w == 0 || h == 0) return sn_fail(err, SN_EFORMAT, "a picture of %zux%zu pixels", w, h);
    if (w > VIS_MAX_SIDE || h > VIS_MAX_SIDE)
        return sn_fail(err, SN_ELIMIT, "%zux%zu pixels: a side is over the limit of %d", w, h, VIS_MAX_SIDE);
    if (h > max_pixels / w) return sn_fail(err, SN_ELIMIT, "%zux%zu pixels are over the limit of %zu", w, h, max_pixels);
    return SN_OK;
}

/* ---- BMP ---- */

/* Run lengths (BI_RLE8, BI_RLE4) from `at`: false when the file ends before the picture does. *rows: those that are whole, *end: behind the
 * last of them. */
static bool bmp_runs(vis_bytes f, size_t at, bool nibbles, size_t h, size_t *rows, size_t *end)
{
    for (*rows = 0, *end = at;;) {
        size_t n;

        if (at > f.n || f.n - at < 2) return *rows >= h; /* some leave the end mark away */
        n = f.p[at + 1];
        at += 2;
        if (f.p[at - 2]) continue; /* a run */
        if (n == 1) return true;
        if (n == 0) {
            ++*rows;
            *end = at;
        }
        if (n == 2) at += 2; /* a jump */
        if (n > 2) at += ((nibbles ? (n + 1) / 2 : n) + 1) / 2 * 2;
    }
}

typedef struct {
    size_t offset, row; /* of the pixels; bytes of a row, 0: run lengths */
    bool nibbles;
} bmp;

static sn_status bmp_header(bmp *b, vis_bytes f, vis_head *head, sn_err *err)
{
    uint32_t size, compression = 0, bits;

    if (f.n < 26) return sn_fail(err, SN_EFORMAT, "BMP: " CUT);
    b->offset = vis_le32(f.p + 10);
    size = vis_le32(f.p + 14);
    if (size == 12) { /* OS/2 */
        *head = (vis_head){vis_le16(f.p + 18), vis_le16(f.p + 20), 1};
        bits = vis_le16(f.p + 24);
    } else if (size >= 40 && f.n >= 54) {
        const uint32_t h = vis_le32(f.p + 22);
        *head = (vis_head){vis_le32(f.p + 18), h >> 31 ? 0u - h : h, 1}; /* negative: stored from the top */
        bits = vis_le16(f.p + 28);
        compression = vis_le32(f.p + 30);
    } else {
        return sn_fail(err, SN_EFORMAT, "BMP: the header is damaged");
    }
    b->nibbles = compression == 2;
    b->row = compression == 1 || compression == 2 ? 0 : (head->w * bits + 31) / 32 * 4;
    if (head->w == 0 || head->h == 0 || head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE) return SN_OK; /* refused by size */
    if (b->offset < 14 + size || b->offset > f.n) return sn_fail(err, SN_EFORMAT, "BMP: the pixels begin outside the file");
    return SN_OK;
}

sn_status vis_check_bmp(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t rows, end;
    bmp b;
    sn_status st = bmp_header(&b, f, head, err);

    if (st != SN_OK || head->w == 0 || head->h == 0 || head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE) return st;
    if (vis_le32(f.p + 14) >= 40 && (vis_le32(f.p + 30) == 1 || vis_le32(f.p + 30) == 2))
        return bmp_runs(f, b.offset, b.nibbles, head->h, &rows, &end) ? SN_OK : sn_fail(err, SN_EFORMAT, "BMP: " CUT);
    if (b.row * head->h > f.n - b.offset + 3) /* some writers leave the last row's padding away */
        return sn_fail(err, SN_EFORMAT, "BMP: " CUT ": %zu bytes of pixels, %zu needed", f.n - b.offset, b.row * head->h);
    return SN_OK;
}

static void put_le(unsigned char *p, size_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = (unsigned char)(v >> 8 * i);
}

/* Stored from the bottom, as most are, it is the lower part that is there. */
bool vis_salvage_bmp(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    vis_head head;
    size_t rows, end;
    bmp b;
    bool small, down;

    if (vis_check_bmp(f, &head, NULL) == SN_OK || bmp_header(&b, f, &head, NULL) != SN_OK) return false;
    if (vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    small = vis_le32(f.p + 14) == 12;
    down = !small && f.p[25] & 0x80;
    if (b.row) {
        rows = (f.n - b.offset) / b.row;
        end = b.offset + rows * b.row;
    } else if (small || bmp_runs(f, b.offset, b.nibbles, head.h, &rows, &end)) {
        return false;
    }
    if (!vis_salvage_rows(out, rows, head.h) || !vis_salvage_copy(out, f, end, 2)) return false;
    if (!b.row) memcpy(out->file + end, "\0\1", 2); /* the end mark */
    out->n += b.row ? 0 : 2;
    put_le(out->file + (small ? 20 : 22), down ? 0 - rows : rows, small ? 2 : 4);
    return vis_check_bmp((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* ---- TGA ---- */

/* *rows: those that are whole, *end: behind the last of them. */
static bool tga_is_whole(vis_bytes f, vis_head *head, size_t *rows, size_t *end)
{
    const unsigned char *p = f.p;
    const size_t bytes = ((size_t)p[16] + 7) / 8;
    size_t at = 18 + (size_t)p[0] + (p[1] ? vis_le16(p + 5) * (((size_t)p[7] + 7) / 8) : 0), left;

    *head = (vis_head){vis_le16(p + 12), vis_le16(p + 14), 1};
    *rows = 0;
    *end = at;
    if (at > f.n) return false;
    if (!(p[2] & 8)) {
        *rows = (f.n - at) / (head->w * bytes);
        *end = at + (*rows < head->h ? *rows : head->h) * head->w * bytes;
        return *rows >= head->h;
    }
    for (left = head->w * head->h; left;) { /* packets: a count less one, bit 7 for a run of one value */
        size_t n, need;

        if (at >= f.n) return false;
        n = (f.p[at] & 127) + (size_t)1;
        need = 1 + (f.p[at] & 128 ? 1 : n) * bytes;
        if (need > f.n - at) return false;
        at += need;
        left -= n < left ? n : left; /* a last run may reach over the end */
        *rows = head->h - (left + head->w - 1) / head->w;
        *end = at;
    }
    return true;
}

sn_status vis_check_tga(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t rows, end;

    return tga_is_whole(f, head, &rows, &end) ? SN_OK : sn_fail(err, SN_EFORMAT, "TGA: " CUT);
}

bool vis_salvage_tga(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    vis_head head;
    size_t rows, end;

    if (tga_is_whole(f, &head, &rows, &end) || vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    if (!vis_salvage_rows(out, rows, head.h) || !vis_salvage_copy(out, f, end, 0)) return false;
    put_le(out->file + 14, rows, 2);
    return vis_check_tga((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* ---- Radiance HDR ---- */

/* A decimal number at *at; 0 when there is none. */
static size_t decimal(vis_bytes f, size_t *at)
{
    size_t v = 0;

    while (*at < f.n && f.p[*at] == ' ') ++*at;
    for (int i = 0; i < 6 && *at < f.n && f.p[*at] >= '0' && f.p[*at] <= '9'; i++) v = v * 10 + (size_t)(f.p[(*at)++] - '0');
    return v;
}

/* One scanline's four planes of run lengths; false when it does not add up. */
static bool hdr_scanline(vis_bytes f, size_t *at, size_t w)
{
    if (f.n - *at < 4 || f.p[*at] != 2 || f.p[*at + 1] != 2 || vis_be16(f.p + *at + 2) != w) return false;
    *at += 4;
    for (int plane = 0; plane < 4; plane++) {
        for (size_t x = 0; x < w;) {
            size_t n, need;
            if (*at >= f.n) return false;
            n = f.p[*at];
            need = n > 128 ? 2 : n + 1;
            if (n > 128) n -= 128;
            if (n == 0 || n > w - x || need > f.n - *at) return false;
            x += n;
            *at += need;
        }
    }
    return true;
}

typedef struct {
    size_t size_at, data; /* "-Y"; where the pixels begin */
    bool flat;            /* four bytes a pixel; else run lengths */
} hdr;

static sn_status hdr_header(hdr *m, vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 0;

    while (at + 1 < f.n && (f.p[at] != '\n' || f.p[at + 1] != '\n')) at++;
    at += 2;
    if (at > f.n || f.n - at < 3 || memcmp(f.p + at, "-Y ", 3)) return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    m->size_at = at;
    at += 3;
    *head = (vis_head){.orientation = 1};
    head->h = decimal(f, &at);
    if (f.n - at < 4 || memcmp(f.p + at, " +X ", 4)) return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    at += 4;
    head->w = decimal(f, &at);
    if (at >= f.n || f.p[at++] != '\n') return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    m->data = at;
    m->flat = head->w < 8 || head->w >= 32768 || f.n - at < 4 || f.p[at] != 2 || f.p[at + 1] != 2 || f.p[at + 2] & 128;
    return SN_OK;
}

sn_status vis_check_hdr(vis_bytes f, vis_head *head, sn_err *err)
{
    hdr m;
    size_t at;
    sn_status st = hdr_header(&m, f, head, err);

    if (st != SN_OK) return st;
    at = m.data;
    if (m.flat) {
        if (head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE) return SN_OK; /* refused by size */
        return f.n - at < head->w * head->h * 4 ? sn_fail(err, SN_EFORMAT, "HDR: " CUT) : SN_OK;
    }
    for (size_t y = 0; y < head->h; y++)
        if (!hdr_scanline(f, &at, head->w)) return sn_fail(err, SN_EFORMAT, "HDR: " CUT " or damaged in row %zu", y);
    return SN_OK;
}

bool vis_salvage_hdr(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    char size[32];
    vis_head head;
    hdr m;
    size_t rows = 0, end, n;

    if (vis_check_hdr(f, &head, NULL) == SN_OK || hdr_header(&m, f, &head, NULL) != SN_OK) return false;
    if (vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    end = m.data;
    if (m.flat) {
        rows = (f.n - end) / (head.w * 4);
        end += rows * head.w * 4;
    } else {
        for (size_t at = end; rows < head.h && hdr_scanline(f, &at, head.w); rows++) end = at;
        if (f.n - end > head.w * 4 * 2 + 4) return false; /* a row takes no more: this one is damaged */
    }
    n = (size_t)snprintf(size, sizeof size, "-Y %zu +X %zu\n", rows, head.w);
    if (!vis_salvage_rows(out, rows, head.h) || !(out->file = sn_alloc(m.size_at + n + end - m.data, 1))) return false;
    memcpy(out->file, f.p, m.size_at);
    memcpy(out->file + m.size_at, size, n);
    memcpy(out->file + m.size_at + n, f.p + m.data, end - m.data);
    out->n = m.size_at + n + end - m.data;
    return vis_check_hdr((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* ---- PSD: the flattened picture at its end ---- */

sn_status vis_check_psd(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 26, n_ch, depth, rows, need = 0;

    if (f.n < 26) return sn_fail(err, SN_EFORMAT, "PSD: " CUT);
    if (vis_be16(f.p + 4) != 1) return sn_fail(err, SN_EUNSUPPORTED, "PSD: version %u (large documents) is not read", vis_be16(f.p + 4));
    n_ch = vis_be16(f.p + 12);
    *head = (vis_head){vis_be32(f.p + 18), vis_be32(f.p + 14), 1};
    depth = vis_be16(f.p + 22);
    for (int section = 0; section < 3; section++) { /* colour modes, resources, layers */
        if (f.n - at < 4 || vis_be32(f.p + at) > f.n - at - 4) return sn_fail(err, SN_EFORMAT, "PSD: " CUT);
        at += 4 + (size_t)vis_be32(f.p + at);
    }
    if (n_ch == 0 || n_ch > 56 || head->w == 0 || head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE || f.n - at < 2)
        return sn_fail(err, SN_EFORMAT, "PSD: the header is damaged");
    rows = n_ch * head->h;
    at += 2;
    if (vis_be16(f.p + at - 2) == 1) { /* packed bits: a table with the bytes of every row in front */
        if (rows * 2 > f.n - at) return sn_fail(err, SN_EFORMAT, "PSD: " CUT);
        for (size_t i = 0; i < rows; i++) need += vis_be16(f.p + at + 2 * i);
        need += rows * 2;
    } else {
        need = rows * head->w * (depth / 8);
    }
    if (need > f.n - at) return sn_fail(err, SN_EFORMAT, "PSD: " CUT ": %zu bytes of pixels, %zu needed", f.n - at, need);
    return SN_OK;
}

/* ---- WebP (RFC 9649) ---- */

sn_status vis_check_webp(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 12, end;
    bool pixels = false;

    *head = (vis_head){0, 0, 1};
    end = 8 + (size_t)vis_le32(f.p + 4);
    if (end > f.n) return sn_fail(err, SN_EFORMAT, "WebP: " CUT ": %zu bytes, %zu needed", f.n, end);
    while (end >= at + 8) {
        const unsigned char *c = f.p + at, *d = c + 8;
        const size_t n = vis_le32(c + 4);

        if (n > end - at - 8) return sn_fail(err, SN_EFORMAT, "WebP: a chunk reaches over the end");
        if (!memcmp(c, "VP8X", 4) && n >= 10) {
            head->w = 1 + (vis_le16(d + 4) | (size_t)d[6] << 16);
            head->h = 1 + (vis_le16(d + 7) | (size_t)d[9] << 16);
        } else if (!memcmp(c, "VP8 ", 4) && n >= 10) {
            if (!head->w) *head = (vis_head){vis_le16(d + 6) & 0x3FFF, vis_le16(d + 8) & 0x3FFF, head->orientation};
            pixels = true;
        } else if (!memcmp(c, "VP8L", 4) && n >= 5) {
            const uint32_t bits = vis_le32(d + 1);
            if (!head->w) *head = (vis_head){1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), head->orientation};
            pixels = true;
        } else if (!memcmp(c, "ANMF", 4) && n > 24) {
            pixels = true;
        } else if (!memcmp(c, "EXIF", 4)) {
            const bool prefixed = n > 6 && !memcmp(d, "Exif\0\0", 6); /* not meant to be there, but often is */
            head->orientation = vis_exif_orientation(prefixed ? d + 6 : d, prefixed ? n - 6 : n);
        }
        at += 8 + n + (n & 1);
    }
    if (!pixels || head->w == 0) return sn_fail(err, SN_EFORMAT, "WebP: no picture in it");
    return SN_OK;
}

/* ---- TIFF 6.0: the first picture ---- */

typedef struct {
    vis_bytes f;
    uint32_t (*u16)(const unsigned char *), (*u32)(const unsigned char *);
    const unsigned char *tag; /* [12] of the directory */
} tiff_entry;

/* Value i of an entry of SHORT or LONG; false when it has none or they lie outside the file. */
static bool tiff_value(const tiff_entry *e, size_t i, size_t *out)
{
    const uint32_t type = e->u16(e->tag + 2), count = e->u32(e->tag + 4);
    const size_t size = type == 3 ? 2 : type == 4 ? 4 : 0;
    const unsigned char *p = e->tag + 8;

    if (size == 0 || i >= count) return false;
    if (size * count > 4) {
        const size_t at = e->u32(p);
        if (at > e->f.n || size * count > e->f.n - at) return false;
        p = e->f.p + at;
    }
    *out = size == 2 ? e->u16(p + 2 * i) : e->u32(p + 4 * i);
    return true;
}

/* Strips or tiles inside the file; false when one is not. */
static bool tiff_pieces(const tiff_entry *offsets, const tiff_entry *counts)
{
    const uint32_t n = offsets->u32(offsets->tag + 4);
    size_t at, size;

    for (size_t i = 0; i < n; i++)
        if (!tiff_value(offsets, i, &at) || !tiff_value(counts, i, &size) || at > offsets->f.n || size > offsets->f.n - at) return false;
    return n > 0;
}

sn_status vis_check_tiff(vis_bytes f, vis_head *head, sn_err *err)
{
    const bool little = f.p[0] == 'I';
    tiff_entry e = {f, little ? vis_le16 : vis_be16, little ? vis_le32 : vis_be32, NULL}, offsets = e, counts = e;
    const size_t ifd = e.u32(f.p + 4);
    size_t n, v;

    *head = (vis_head){0, 0, vis_exif_orientation(f.p, f.n)};
    if (ifd < 8 || ifd > f.n - 2 || (n = e.u16(f.p + ifd)) > (f.n - ifd - 2) / 12) return sn_fail(err, SN_EFORMAT, "TIFF: " CUT);
    for (size_t i = 0; i < n; i++) {
        e.tag = f.p + ifd + 2 + 12 * i;
        switch (e.u16(e.tag)) {
        case 256: head->w = tiff_value(&e, 0, &v) ? v : 0; break;
        case 257: head->h = tiff_value(&e, 0, &v) ? v : 0; break;
        case 273:
        case 324: offsets.tag = e.tag; break;
        case 279:
        case 325: counts.tag = e.tag; break;
        default: break;
        }
    }
    if (!offsets.tag || !counts.tag || !tiff_pieces(&offsets, &counts))
        return sn_fail(err, SN_EFORMAT, "TIFF: " CUT ": pixels outside the file");
    return SN_OK;
}

/* The entry of a tag, without `tag` where there is none. */
static tiff_entry tiff_find(tiff_entry e, size_t ifd, size_t n, uint32_t tag)
{
    for (size_t i = 0; i < n; i++) {
        e.tag = e.f.p + ifd + 2 + 12 * i;
        if (e.u16(e.tag) == tag) return e;
    }
    e.tag = NULL;
    return e;
}

static size_t tiff_number(tiff_entry e, size_t otherwise)
{
    size_t v;

    return e.tag && tiff_value(&e, 0, &v) ? v : otherwise;
}

/* Writes value i of an entry into the copy of its file. */
static bool tiff_set(vis_salvage *out, const tiff_entry *e, size_t i, size_t v)
{
    const size_t count = e->u32(e->tag + 4), size = e->u16(e->tag + 2) == 3 ? 2 : 4;
    const size_t at = (size * count > 4 ? e->u32(e->tag + 8) : (size_t)(e->tag + 8 - e->f.p)) + i * size;

    if (i >= count || at > out->n || size > out->n - at) return false;
    for (size_t b = 0; b < size; b++) out->file[at + (e->u16 == vis_le16 ? b : size - 1 - b)] = (unsigned char)(v >> 8 * b);
    return true;
}

/* The pieces in front of the first that is not all there, row by row, and what is there of that one where a row's bytes are known. Those behind
 * it are made to be the first one again: nothing asks for them, as the picture's height is made that of the rows that are whole. */
bool vis_salvage_tiff(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    const bool little = f.p[0] == 'I';
    const tiff_entry e = {f, little ? vis_le16 : vis_be16, little ? vis_le32 : vis_be32, NULL};
    const size_t ifd = e.u32(f.p + 4);
    size_t n, whole = 0, rows, more = 0, at, size;
    vis_head head;

    if (ifd < 8 || ifd > f.n - 2 || (n = e.u16(f.p + ifd)) > (f.n - ifd - 2) / 12 || vis_check_tiff(f, &head, NULL) == SN_OK) return false;
    const tiff_entry height = tiff_find(e, ifd, n, 257), tile_w = tiff_find(e, ifd, n, 322);
    const tiff_entry offsets = tiff_find(e, ifd, n, tile_w.tag ? 324 : 273), counts = tiff_find(e, ifd, n, tile_w.tag ? 325 : 279);
    const size_t piece_h = tiff_number(tiff_find(e, ifd, n, tile_w.tag ? 323 : 278), head.h), piece_w = tiff_number(tile_w, head.w);
    const bool packed = tiff_number(tiff_find(e, ifd, n, 259), 1) != 1;

    if (!height.tag || !offsets.tag || !counts.tag || tiff_number(tiff_find(e, ifd, n, 284), 1) != 1) return false;
    if (vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK || piece_h == 0 || piece_w == 0) return false;
    const size_t n_pieces = e.u32(offsets.tag + 4);
    while (whole < n_pieces && tiff_value(&offsets, whole, &at) && tiff_value(&counts, whole, &size) && at <= f.n && size <= f.n - at)
        whole++;
    rows = whole / ((head.w + piece_w - 1) / piece_w);
    rows = rows > head.h / piece_h ? head.h : rows * piece_h;
    if (!packed && !tile_w.tag && rows < head.h && tiff_value(&offsets, whole, &at) && tiff_value(&counts, whole, &size) && at <= f.n) {
        const size_t left = head.h - rows < piece_h ? head.h - rows : piece_h, row = size / left;
        more = row ? (f.n - at) / row : 0;
        size = more * row;
    }
    if (!vis_salvage_rows(out, rows + more, head.h) || !vis_salvage_copy(out, f, f.n, 0)) return false;
    if (more && !tiff_set(out, &counts, whole, size)) return false;
    for (size_t i = whole + (more > 0); i < n_pieces; i++)
        if (!tiff_value(&offsets, 0, &at) || !tiff_set(out, &offsets, i, at) || !tiff_set(out, &counts, i, 1)) return false;
    return tiff_set(out, &height, 0, rows + more) && vis_check_tiff((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* ---- films: containers whose first frame is asked for ---- */

bool vis_is_movie(vis_bytes f)
{
    static const struct {
        size_t at, n;
        const char *magic;
    } kinds[] = {{4, 4, "ftyp"},
                 {4, 4, "moov"},
                 {4, 4, "mdat"},
                 {4, 4, "wide"},
                 {4, 4, "free"},
                 {0, 4, "\x1A\x45\xDF\xA3"},
                 {8, 4, "AVI "},
                 {0, 4, "\x00\x00\x01\xBA"},
                 {0, 3, "FLV"},
                 {0, 4, "OggS"},
                 {0, 8, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"}};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (f.n >= 16 && !memcmp(f.p + kinds[i].at, kinds[i].magic, kinds[i].n)) return true;
    return f.n > 188 * 2 && f.p[0] == 0x47 && f.p[188] == 0x47 && f.p[376] == 0x47; /* MPEG transport packets */
}

sn_status vis_check_movie(vis_bytes f, vis_head *head, sn_err *err)
{
    *head = (vis_head){0, 0, 1};
    if (!memcmp(f.p, "RIFF", 4) && vis_le32(f.p + 4) > f.n - 8) return sn_fail(err, SN_EFORMAT, "AVI: " CUT);
    if (memcmp(f.p + 4, "ftyp", 4)) return SN_OK;
    for (size_t at = 0; at < f.n;) { /* the boxes of an ISO media file follow each other to its end */
        uint64_t size;

        if (f.n - at < 8) return sn_fail(err, SN_EFORMAT, "MP4: " CUT);
        size = vis_be32(f.p + at);
        if (size == 0) break;
        if (size == 1) size = f.n - at >= 16 ? (uint64_t)vis_be32(f.p + at + 8) << 32 | vis_be32(f.p + at + 12) : 0;
        if (size < 8 || size > f.n - at)
            return sn_fail(err, SN_EFORMAT, "MP4: " CUT ": a part of %llu bytes at byte %zu", (unsigned long long)size, at);
        at += (size_t)size;
    }
    return SN_OK;
}

/* The last part is made as long as what is there of it. Whether a picture is in there the decoder will say. */
bool vis_salvage_movie(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    size_t at = 0, size;
    uint64_t want;

    (void)max_pixels;
    if (vis_check_movie(f, &out->head, NULL) == SN_OK || !vis_salvage_copy(out, f, f.n, 0)) return false;
    if (!memcmp(f.p, "RIFF", 4)) {
        want = 8 + (uint64_t)vis_le32(f.p + 4);
        put_le(out->file + 4, f.n - 8, 4);
    } else {
        while (f.n - at >= 8 && (size = vis_be32(f.p + at)) >= 8 && size <= f.n - at) at += size;
        if (at == 0 || f.n - at < 8) {
            want = at + 8;
            out->n = at;
        } else if (vis_be32(f.p + at) == 1) {
            if (f.n - at < 16) return false;
            want = at + ((uint64_t)vis_be32(f.p + at + 8) << 32 | vis_be32(f.p + at + 12));
            for (int i = 0; i < 8; i++) out->file[at + 8 + (size_t)i] = (unsigned char)((uint64_t)(f.n - at) >> (56 - 8 * i));
        } else {
            want = at + vis_be32(f.p + at);
            for (int i = 0; i < 4; i++) out->file[at + (size_t)i] = (unsigned char)((f.n - at) >> (24 - 8 * i));
        }
    }
    out->partial = (sn_partial){SN_BYTES, (double)f.n, (double)want};
    return want > f.n && vis_check_movie((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}
