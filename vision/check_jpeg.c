/* check_jpeg.c: a walk over a JPEG's markers (ITU-T T.81, annex B). Decoders fill what is missing with gray; here a file without
 * its end, without a scan for each component, or with restart intervals missing is refused, and so is one whose many scans
 * would keep a decoder busy for minutes. */
#include "decode.h"
#include "salvage.h"

#define CUT "JPEG: the file is cut short"
#define MAX_SCANS 1000
#define MAX_WORK 4000000000.0 /* pixels times scans */

typedef struct {
    size_t id, h, v, quantiser;
    bool scanned;
    unsigned char low[64]; /* progressive: bits of each coefficient still to come, 255: none has come */
} component;

typedef struct {
    size_t n, h_max, v_max;
    component c[4];
    bool progressive;
    const unsigned char *huffman[8]; /* tables seen so far: DC 0-3, AC 4-7; 16 counts, then the symbols */
    unsigned quantisers;             /* those seen so far, a bit each */
    size_t interval;                 /* MCUs between restart markers, 0: none */
} frame;

/* DHT: decoders count on codes that fit (stb_image writes past its tables where there are more than 256). */
static bool read_huffman(frame *fr, const unsigned char *d, size_t n)
{
    while (n) {
        size_t total = 0;

        if (n < 17 || d[0] & 0xEC) return false; /* class 0 or 1, table 0 to 3 */
        for (int i = 1; i <= 16; i++) total += d[i];
        if (total > 256 || n < 17 + total) return false;
        fr->huffman[(d[0] >> 4) * 4 + (d[0] & 3)] = d + 1;
        d += 17 + total;
        n -= 17 + total;
    }
    return true;
}

static bool read_quantisers(frame *fr, const unsigned char *d, size_t n)
{
    while (n) {
        const size_t size = 1 + (d[0] >> 4 ? 128 : 64);

        if (n < size || d[0] & 0xEC) return false;
        fr->quantisers |= 1u << (d[0] & 3);
        d += size;
        n -= size;
    }
    return true;
}

static sn_status read_frame(frame *fr, vis_head *head, unsigned marker, const unsigned char *d, size_t n, sn_err *err)
{
    if (fr->n) return sn_fail(err, SN_EFORMAT, "JPEG: two frames in one picture");
    if (marker > 0xC2) return sn_fail(err, SN_EUNSUPPORTED, "JPEG: a lossless, hierarchical or arithmetic-coded picture is not read");
    if (n < 6 || n != 6 + 3 * (size_t)d[5]) return sn_fail(err, SN_EFORMAT, "JPEG: the frame header is damaged");
    if (d[0] != 8) return sn_fail(err, SN_EUNSUPPORTED, "JPEG: %u bits a sample are not read", d[0]);
    if (d[5] != 1 && d[5] != 3 && d[5] != 4) return sn_fail(err, SN_EUNSUPPORTED, "JPEG: %u components are not read", d[5]);
    head->h = vis_be16(d + 1);
    head->w = vis_be16(d + 3);
    fr->n = d[5];
    fr->progressive = marker == 0xC2;
    for (size_t i = 0; i < fr->n; i++) {
        component *c = &fr->c[i];
        *c = (component){.id = d[6 + 3 * i], .h = d[7 + 3 * i] >> 4, .v = d[7 + 3 * i] & 15, .quantiser = d[8 + 3 * i]};
        memset(c->low, 255, sizeof c->low);
        if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->quantiser > 3)
            return sn_fail(err, SN_EFORMAT, "JPEG: a wrong sampling factor or table");
        if (c->h > fr->h_max) fr->h_max = c->h;
        if (c->v > fr->v_max) fr->v_max = c->v;
    }
    return SN_OK;
}

static size_t ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Whether what a component's scan needs has been read: its quantiser, and the Huffman tables for the coefficients it brings. `tables`: DC
 * and AC; `spectrum`: first and last coefficient and the bits before. Decoders read memory that was never written otherwise. */
static bool tables_defined(const frame *fr, const component *c, unsigned tables, const unsigned char *spectrum)
{
    const bool dc = fr->huffman[tables >> 4 & 3], ac = fr->huffman[4 + (tables & 3)];

    if (!(fr->quantisers >> c->quantiser & 1) || tables & 0xCC) return false;
    if (!fr->progressive) return dc && ac;
    return spectrum[0] == 0 ? dc || spectrum[2] >> 4 : ac;
}

/* The scan header: marks its components, and describes what the scan must hold. */
static sn_status read_scan(frame *fr, const vis_head *head, const unsigned char *d, size_t n, vis_jpeg_scan *s, sn_err *err)
{
    const unsigned char *spectrum;

    if (!fr->n) return sn_fail(err, SN_EFORMAT, "JPEG: a scan in front of the frame header");
    if (n < 1 || d[0] < 1 || d[0] > fr->n || n != 4 + 2 * (size_t)d[0]) return sn_fail(err, SN_EFORMAT, "JPEG: a scan header is damaged");
    *s = (vis_jpeg_scan){.n = d[0], .interval = fr->interval};
    s->row = ceil_div(head->w, 8 * fr->h_max);
    s->n_units = s->row * ceil_div(head->h, 8 * fr->v_max);
    spectrum = d + 1 + 2 * s->n;
    if (spectrum[0] > 63 || spectrum[1] > 63) return sn_fail(err, SN_EFORMAT, "JPEG: a scan header is damaged");
    for (size_t k = 0; k < s->n; k++) {
        component *c = fr->c;
        const unsigned tables = d[2 + 2 * k];

        while (c < fr->c + fr->n && c->id != d[1 + 2 * k]) c++;
        if (c == fr->c + fr->n) return sn_fail(err, SN_EFORMAT, "JPEG: a scan of a component that is not there");
        if (!tables_defined(fr, c, tables, spectrum)) return sn_fail(err, SN_EFORMAT, "JPEG: a scan whose tables are not in the file");
        c->scanned = true;
        for (unsigned i = spectrum[0]; i <= spectrum[1]; i++) c->low[i] = spectrum[2] & 15;
        s->c[k].n_blocks = s->n == 1 ? 1 : c->h * c->v;
        s->c[k].dc = tables >> 4 & 3;
        s->c[k].ac = tables & 3;
        s->needed |= 1u << s->c[k].dc | 16u << s->c[k].ac;
        if (s->n > 1) continue;
        s->row = ceil_div(ceil_div(head->w * c->h, fr->h_max), 8);
        s->n_units = s->row * ceil_div(ceil_div(head->h * c->v, fr->v_max), 8);
    }
    memcpy(s->huffman, fr->huffman, sizeof s->huffman);
    s->dc_only = fr->progressive && spectrum[0] == 0 && spectrum[1] == 0 && spectrum[2] >> 4 == 0;
    if (s->dc_only) s->needed &= 15;
    return SN_OK;
}

/* Entropy-coded bytes from *at to the next marker that is not a restart; counts those. False at the end of the file. */
static bool skip_entropy(vis_bytes f, size_t *at, size_t *n_restarts)
{
    *n_restarts = 0;
    for (;;) {
        const unsigned char *p = *at < f.n ? memchr(f.p + *at, 0xFF, f.n - *at) : NULL;
        size_t i;

        if (!p || (i = (size_t)(p - f.p) + 1) >= f.n) return false;
        if (f.p[i] >= 0xD0 && f.p[i] <= 0xD7)
            ++*n_restarts;
        else if (f.p[i] != 0 && f.p[i] != 0xFF) {
            *at = i - 1;
            return true;
        }
        *at = f.p[i] == 0xFF ? i : i + 1;
    }
}

/* At the marker's first byte; fill bytes in front of it are skipped. Returns the marker, 0 when there is none. */
static unsigned next_marker(vis_bytes f, size_t *at)
{
    if (*at >= f.n || f.p[*at] != 0xFF) return 0;
    while (*at < f.n && f.p[*at] == 0xFF) ++*at;
    return *at < f.n ? f.p[(*at)++] : 0;
}

/* Whether every component was scanned, in a progressive picture to the last bit of its 64 coefficients. */
static bool is_complete(const frame *fr)
{
    for (size_t i = 0; i < fr->n; i++) {
        if (!fr->c[i].scanned) return false;
        for (int k = 0; fr->progressive && k < 64; k++)
            if (fr->c[i].low[k]) return false;
    }
    return true;
}

typedef struct { /* how far the walk came */
    frame fr;
    size_t height_at;           /* of the frame header's height */
    size_t whole_end, n_scans;  /* behind the last whole scan; how many there are */
    size_t scan_at, data_at;    /* the present scan's marker and its coded data */
    vis_jpeg_scan scan;         /* it */
    bool cut, cut_in_scan, all; /* the file ended, in a scan's data; that scan has all components */
} walk_state;

/* Progressive scans are held to their restart markers only: to count through one takes the coefficients of those before it. */
static sn_status check_scan(walk_state *w, vis_bytes f, size_t *at, const vis_head *head, const unsigned char *d, size_t n, sn_err *err)
{
    const size_t begin = *at;
    const frame before = w->fr;
    size_t n_restarts;
    sn_status st = read_scan(&w->fr, head, d, n, &w->scan, err);

    if (st != SN_OK) return st;
    w->data_at = begin;
    w->all = w->scan.n == w->fr.n;
    if (!skip_entropy(f, at, &n_restarts)) {
        w->cut = w->cut_in_scan = true;
        w->fr = before;
        return sn_fail(err, SN_EFORMAT, CUT " (no end-of-image marker)");
    }
    if (*at == begin || (w->scan.interval && n_restarts + 1 < ceil_div(w->scan.n_units, w->scan.interval)) ||
        (!w->fr.progressive && !vis_jpeg_scan_is_whole((vis_bytes){f.p + begin, *at - begin}, &w->scan)))
        return sn_fail(err, SN_EFORMAT, "JPEG: coded data is missing or damaged");
    w->whole_end = *at;
    if (++w->n_scans > MAX_SCANS || (double)w->n_scans * (double)head->w * (double)head->h > MAX_WORK)
        return sn_fail(err, SN_ELIMIT, "JPEG: more than %zu scans", w->n_scans - 1);
    return SN_OK;
}

/* To the end-of-image marker, or the first thing wrong. */
static sn_status walk(walk_state *w, vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 2;
    sn_status st;

    *w = (walk_state){0};
    *head = (vis_head){0, 0, 1};
    for (;;) {
        const size_t marker_at = at;
        const unsigned marker = next_marker(f, &at);
        const unsigned char *d;
        size_t n;

        w->cut = at >= f.n;
        if (marker == 0) return sn_fail(err, SN_EFORMAT, at >= f.n ? CUT : "JPEG: no marker where one is due, at byte %zu", at);
        if (marker == 0xD9) return SN_OK;
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD7)) continue; /* without a length */
        n = f.n - at < 2 ? SIZE_MAX : vis_be16(f.p + at);
        w->cut = n > f.n - at;
        if (w->cut || n < 2) return sn_fail(err, SN_EFORMAT, CUT);
        d = f.p + at + 2;
        at += n;
        n -= 2;
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
            if ((st = read_frame(&w->fr, head, marker, d, n, err)) != SN_OK) return st;
            w->height_at = (size_t)(d + 1 - f.p);
        } else if ((marker == 0xC4 && !read_huffman(&w->fr, d, n)) || (marker == 0xDB && !read_quantisers(&w->fr, d, n))) {
            return sn_fail(err, SN_EFORMAT, "JPEG: a table is damaged");
        } else if (marker == 0xDD && n >= 2) {
            w->fr.interval = vis_be16(d);
        } else if (marker == 0xE1 && n > 6 && !memcmp(d, "Exif\0\0", 6)) {
            head->orientation = vis_exif_orientation(d + 6, n - 6);
        } else if (marker == 0xDA) {
            w->scan_at = marker_at;
            if ((st = check_scan(w, f, &at, head, d, n, err)) != SN_OK) return st;
        }
    }
}

sn_status vis_check_jpeg(vis_bytes f, vis_head *head, sn_err *err)
{
    walk_state w;
    sn_status st = walk(&w, f, head, err);

    if (st != SN_OK) return st;
    if (!w.fr.n) return sn_fail(err, SN_EFORMAT, "JPEG: no picture in it");
    return is_complete(&w.fr) ? SN_OK : sn_fail(err, SN_EFORMAT, "JPEG: coded data is missing");
}

/* ---- what is left of a truncated one ---- */

/* Whether the scans so far give a picture, if a coarse one. */
static bool has_picture(const frame *fr)
{
    for (size_t i = 0; i < fr->n; i++)
        if (!fr->c[i].scanned || (fr->progressive && fr->c[i].low[0] == 255)) return false;
    return fr->n > 0;
}

/* Cut in the scan that brings all components: the rows in front of the cut, as a picture of that height. */
static bool keep_rows(vis_salvage *out, const walk_state *w, vis_bytes f, const vis_head *head)
{
    vis_bytes data = {f.p + w->data_at, f.n - w->data_at};
    size_t row_end, rows;

    if (w->n_scans > 0 || !w->all || (w->fr.progressive && !w->scan.dc_only)) return false;
    if (data.n > 0 && data.p[data.n - 1] == 0xFF) data.n--; /* half a pair */
    rows = vis_jpeg_scan_units(data, &w->scan, &row_end) / w->scan.row * 8 * (w->scan.n > 1 ? w->fr.v_max : 1);
    if (!vis_salvage_rows(out, rows, head->h) || !vis_salvage_copy(out, f, w->data_at + row_end, 2)) return false;
    rows = (size_t)out->partial.have;
    out->file[w->height_at] = (unsigned char)(rows >> 8);
    out->file[w->height_at + 1] = (unsigned char)rows;
    return true;
}

bool vis_salvage_jpeg(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    vis_head head;
    walk_state w;

    if (walk(&w, f, &head, NULL) == SN_OK || !w.cut || vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    if (has_picture(&w.fr)) {
        out->partial =
            w.fr.progressive ? (sn_partial){SN_SCANS, (double)w.n_scans, 0} : (sn_partial){SN_ROWS, (double)head.h, (double)head.h};
        if (!vis_salvage_copy(out, f, w.whole_end, 2)) return false;
    } else if (!w.cut_in_scan || !keep_rows(out, &w, f, &head)) {
        return false;
    }
    memcpy(out->file + out->n, "\xFF\xD9", 2);
    out->n += 2;
    return walk(&w, (vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK && has_picture(&w.fr);
}
