/* check.c: walks over picture files before a decoder sees them. The decoders take a damaged file for a shorter picture; here
 * it is refused. Each walk reads sizes and chunk lengths only, allocates nothing, and stops at the first thing wrong. */
#include "decode.h"

#define CUT "the file is cut short"

sn_status vis_check_size(size_t w, size_t h, size_t max_pixels, sn_err *err)
{
    if (w == 0 || h == 0) return sn_fail(err, SN_EFORMAT, "a picture of %zux%zu pixels", w, h);
    if (w > VIS_MAX_SIDE || h > VIS_MAX_SIDE)
        return sn_fail(err, SN_ELIMIT, "%zux%zu pixels: a side is over the limit of %d", w, h, VIS_MAX_SIDE);
    if (h > max_pixels / w) return sn_fail(err, SN_ELIMIT, "%zux%zu pixels are over the limit of %zu", w, h, max_pixels);
    return SN_OK;
}

/* ---- PNG (ISO/IEC 15948) ---- */

static void crc_table(uint32_t t[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        t[i] = c;
    }
}

static uint32_t crc(const uint32_t t[256], const unsigned char *p, size_t n)
{
    uint32_t c = 0xFFFFFFFFu;

    for (size_t i = 0; i < n; i++) c = t[(c ^ p[i]) & 255] ^ c >> 8;
    return ~c;
}

typedef struct {
    vis_head *head;
    unsigned char depth, colour;
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

sn_status vis_check_png(vis_bytes f, vis_head *head, sn_err *err)
{
    uint32_t table[256];
    png_state s = {.head = head};
    size_t at = 8;

    crc_table(table);
    *head = (vis_head){0, 0, 1};
    while (!s.iend) {
        size_t n;

        if (f.n - at < 12) return sn_fail(err, SN_EFORMAT, "PNG: " CUT " (no IEND)");
        n = vis_be32(f.p + at);
        if (n > f.n - at - 12) return sn_fail(err, SN_EFORMAT, "PNG: " CUT " (in a chunk of %zu bytes)", n);
        if (crc(table, f.p + at + 4, n + 4) != vis_be32(f.p + at + 8 + n))
            return sn_fail(err, SN_EFORMAT, "PNG: wrong checksum of the chunk at byte %zu", at);
        if (!png_chunk(&s, f.p + at + 4, f.p + at + 8, n))
            return sn_fail(err, SN_EFORMAT, "PNG: the chunk at byte %zu is malformed or out of place", at);
        at += n + 12;
    }
    return SN_OK;
}

/* ---- GIF (GIF89a, W3C copy) ---- */

/* Past the sub-blocks at *at; false when the file ends first. *n_bytes: their content. */
static bool gif_blocks(vis_bytes f, size_t *at, size_t *n_bytes)
{
    *n_bytes = 0;
    while (*at < f.n) {
        const size_t n = f.p[*at];
        if (n > f.n - *at - 1) return false;
        *at += n + 1;
        if (n == 0) return true;
        *n_bytes += n;
    }
    return false;
}

sn_status vis_check_gif(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 13, n_images = 0, n;

    if (f.n < 13) return sn_fail(err, SN_EFORMAT, "GIF: " CUT);
    *head = (vis_head){vis_le16(f.p + 6), vis_le16(f.p + 8), 1};
    if (f.p[10] & 128) at += (size_t)3 << ((f.p[10] & 7) + 1);
    for (;;) {
        if (at >= f.n) return sn_fail(err, SN_EFORMAT, "GIF: " CUT " (no trailer)");
        switch (f.p[at++]) {
        case 0x21: /* extension: a label, then blocks */
            at++;
            if (!gif_blocks(f, &at, &n)) return sn_fail(err, SN_EFORMAT, "GIF: " CUT);
            break;
        case 0x2C: /* image: position, size, flags, its own colours, code size, blocks */
            if (f.n - at < 10) return sn_fail(err, SN_EFORMAT, "GIF: " CUT);
            at += 9 + (f.p[at + 8] & 128 ? (size_t)3 << ((f.p[at + 8] & 7) + 1) : 0) + 1;
            if (at > f.n || !gif_blocks(f, &at, &n)) return sn_fail(err, SN_EFORMAT, "GIF: " CUT);
            if (n == 0) return sn_fail(err, SN_EFORMAT, "GIF: a frame without pixels");
            n_images++;
            break;
        case 0x3B:
            if (n_images == 0) return sn_fail(err, SN_EFORMAT, "GIF: no frame");
            return SN_OK;
        default: return sn_fail(err, SN_EFORMAT, "GIF: an unknown block at byte %zu", at - 1);
        }
    }
}

/* ---- BMP ---- */

/* Run lengths (BI_RLE8, BI_RLE4) from `at`; false when the file ends before the picture does. */
static bool bmp_runs(vis_bytes f, size_t at, bool nibbles, size_t h)
{
    for (size_t y = 0;;) {
        size_t n;

        if (at > f.n || f.n - at < 2) return y >= h; /* some leave the end mark away */
        n = f.p[at + 1];
        at += 2;
        if (f.p[at - 2]) continue; /* a run */
        if (n == 1) return true;
        if (n == 0) y++;
        if (n == 2) at += 2; /* a jump */
        if (n > 2) at += ((nibbles ? (n + 1) / 2 : n) + 1) / 2 * 2;
    }
}

sn_status vis_check_bmp(vis_bytes f, vis_head *head, sn_err *err)
{
    uint32_t offset, size, compression = 0, bits;
    size_t row;

    if (f.n < 26) return sn_fail(err, SN_EFORMAT, "BMP: " CUT);
    offset = vis_le32(f.p + 10);
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
    if (head->w == 0 || head->h == 0 || head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE) return SN_OK; /* refused by size */
    if (offset < 14 + size || offset > f.n) return sn_fail(err, SN_EFORMAT, "BMP: the pixels begin outside the file");
    if (compression == 1 || compression == 2)
        return bmp_runs(f, offset, compression == 2, head->h) ? SN_OK : sn_fail(err, SN_EFORMAT, "BMP: " CUT);
    row = (head->w * bits + 31) / 32 * 4;
    if (row * head->h > f.n - offset + 3) /* some writers leave the last row's padding away */
        return sn_fail(err, SN_EFORMAT, "BMP: " CUT ": %zu bytes of pixels, %zu needed", f.n - offset, row * head->h);
    return SN_OK;
}

/* ---- TGA ---- */

sn_status vis_check_tga(vis_bytes f, vis_head *head, sn_err *err)
{
    const unsigned char *p = f.p;
    const size_t type = p[2] & 7, bytes = ((size_t)p[16] + 7) / 8;
    size_t at = 18 + (size_t)p[0] + (p[1] ? vis_le16(p + 5) * (((size_t)p[7] + 7) / 8) : 0), left;

    (void)type;
    *head = (vis_head){vis_le16(p + 12), vis_le16(p + 14), 1};
    left = head->w * head->h;
    if (!(p[2] & 8)) {
        if (at > f.n || left * bytes > f.n - at) return sn_fail(err, SN_EFORMAT, "TGA: " CUT);
        return SN_OK;
    }
    while (left) { /* packets: a count less one, bit 7 for a run of one value */
        size_t n, need;

        if (at >= f.n) return sn_fail(err, SN_EFORMAT, "TGA: " CUT);
        n = (f.p[at] & 127) + (size_t)1;
        need = 1 + (f.p[at] & 128 ? 1 : n) * bytes;
        if (need > f.n - at) return sn_fail(err, SN_EFORMAT, "TGA: " CUT);
        at += need;
        left -= n < left ? n : left; /* a last run may reach over the end */
    }
    return SN_OK;
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

sn_status vis_check_hdr(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 0;

    while (at + 1 < f.n && (f.p[at] != '\n' || f.p[at + 1] != '\n')) at++;
    at += 2;
    if (at > f.n || f.n - at < 3 || memcmp(f.p + at, "-Y ", 3)) return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    at += 3;
    *head = (vis_head){.orientation = 1};
    head->h = decimal(f, &at);
    if (f.n - at < 4 || memcmp(f.p + at, " +X ", 4)) return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    at += 4;
    head->w = decimal(f, &at);
    if (at >= f.n || f.p[at++] != '\n') return sn_fail(err, SN_EFORMAT, "HDR: the header is damaged");
    if (head->w < 8 || head->w >= 32768 || f.n - at < 4 || f.p[at] != 2 || f.p[at + 1] != 2 || f.p[at + 2] & 128) {
        if (head->w > VIS_MAX_SIDE || head->h > VIS_MAX_SIDE) return SN_OK;                 /* refused by size */
        if (f.n - at < head->w * head->h * 4) return sn_fail(err, SN_EFORMAT, "HDR: " CUT); /* flat pixels */
        return SN_OK;
    }
    for (size_t y = 0; y < head->h; y++)
        if (!hdr_scanline(f, &at, head->w)) return sn_fail(err, SN_EFORMAT, "HDR: " CUT " or damaged in row %zu", y);
    return SN_OK;
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
