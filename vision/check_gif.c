/* check_gif.c: a walk over a GIF's blocks (GIF89a, W3C copy), and what can be had of a truncated one: its first frame, whole or, by counting
 * through the LZW codes, as many rows of it as are there. */
#include "../core/mem.h"
#include "decode.h"
#include "salvage.h"

#define CUT "GIF: the file is cut short"

/* Past the sub-blocks at *at; false when the file ends first. *n_bytes: their content. */
static bool skip_blocks(vis_bytes f, size_t *at, size_t *n_bytes)
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

typedef struct {
    size_t n_frames; /* whole ones */
    size_t end;      /* behind the last of them */
    size_t frame_at; /* the first frame's position and size; 0: it has not come */
    size_t codes_at; /* its code size and blocks */
    bool cut;        /* the file ended */
} walk_state;

static sn_status cut_short(walk_state *w, const char *more, sn_err *err)
{
    w->cut = true;
    return sn_fail(err, SN_EFORMAT, CUT "%s", more);
}

static sn_status walk(walk_state *w, vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 13, n;

    *w = (walk_state){0};
    if (f.n < 13) return sn_fail(err, SN_EFORMAT, CUT);
    *head = (vis_head){vis_le16(f.p + 6), vis_le16(f.p + 8), 1};
    if (f.p[10] & 128) at += (size_t)3 << ((f.p[10] & 7) + 1);
    for (;;) {
        if (at >= f.n) return cut_short(w, " (no trailer)", err);
        switch (f.p[at++]) {
        case 0x21: /* extension: a label, then blocks */
            at++;
            if (!skip_blocks(f, &at, &n)) return cut_short(w, "", err);
            break;
        case 0x2C: /* image: position, size, flags, its own colours, code size, blocks */
            if (f.n - at < 10) return cut_short(w, "", err);
            if (!w->frame_at) w->frame_at = at;
            at += 9 + (f.p[at + 8] & 128 ? (size_t)3 << ((f.p[at + 8] & 7) + 1) : 0);
            if (at >= f.n) return cut_short(w, "", err);
            if (!w->codes_at) w->codes_at = at;
            at++;
            if (!skip_blocks(f, &at, &n)) return cut_short(w, "", err);
            if (n == 0) return sn_fail(err, SN_EFORMAT, "GIF: a frame without pixels");
            w->n_frames++;
            w->end = at;
            break;
        case 0x3B:
            if (w->n_frames == 0) return sn_fail(err, SN_EFORMAT, "GIF: no frame");
            return SN_OK;
        default: return sn_fail(err, SN_EFORMAT, "GIF: an unknown block at byte %zu", at - 1);
        }
    }
}

sn_status vis_check_gif(vis_bytes f, vis_head *head, sn_err *err)
{
    walk_state w;

    return walk(&w, f, head, err);
}

/* ---- what is left of a truncated one ---- */

typedef struct {
    uint32_t length[4096]; /* pixels that each code stands for */
    uint32_t size, next, n_bits;
    uint32_t before; /* pixels of the last code; 0: none since the table was cleared */
    bool over, bad;
} lzw;

static void lzw_clear(lzw *z)
{
    z->next = (1u << z->size) + 2;
    z->n_bits = z->size + 1;
    z->before = 0;
}

/* The pixels of one code. */
static uint32_t lzw_take(lzw *z, uint32_t code)
{
    const uint32_t clear = 1u << z->size;
    uint32_t n;

    if (code == clear) lzw_clear(z);
    z->over = code == clear + 1;
    z->bad = code != clear && (code > z->next || (!z->before && code > clear + 1));
    if (code == clear || z->over || z->bad) return 0;
    n = code < clear ? 1 : code < z->next ? z->length[code] : z->before + 1;
    if (z->before && z->next < 4096) z->length[z->next++] = z->before + 1;
    if (z->next == 1u << z->n_bits && z->n_bits < 12) z->n_bits++;
    z->before = n;
    return n;
}

/* Pixels in the sub-blocks behind the code size at `at`, to the end of the file; *last: where the sub-block begins that this cuts. 0: damaged. */
static size_t count_pixels(vis_bytes f, size_t at, size_t *last)
{
    lzw *z = f.p[at] >= 1 && f.p[at] <= 11 ? sn_calloc(1, sizeof *z) : NULL;
    uint32_t bits = 0, held = 0;
    size_t n = 0;

    if (!z) return 0;
    z->size = f.p[at];
    lzw_clear(z);
    for (*last = ++at; at < f.n && f.p[at] && !z->over && !z->bad; *last = at) {
        const size_t end = f.p[at] < f.n - at - 1 ? at + 1 + f.p[at] : f.n;
        const bool whole = f.p[at] <= f.n - at - 1;
        for (at++; at < end && !z->over && !z->bad; at++) {
            bits |= (uint32_t)f.p[at] << held;
            for (held += 8; held >= z->n_bits && !z->over && !z->bad;) {
                const uint32_t used = z->n_bits, code = bits & ((1u << used) - 1);
                bits >>= used;
                held -= used;
                n += lzw_take(z, code);
            }
        }
        if (!whole) break;
    }
    if (z->bad || z->over) n = 0; /* over: what was cut is not the picture, but it is not walked to here */
    sn_free(z);
    return n;
}

/* Interlaced rows come in four passes: every 8th, every 8th from the 4th, every 4th from the 2nd, the others. Keeps those that are whole of the n
 * rows that are there. False: none is. */
static bool keep_passes(vis_salvage *out, size_t n, size_t h)
{
    const size_t ends[3] = {(h + 7) / 8, (h + 7) / 8 + (h + 3) / 8, (h + 7) / 8 + (h + 3) / 8 + (h + 1) / 4};
    int i = 0;

    while (i < 3 && ends[i] <= n) i++;
    out->partial = (sn_partial){SN_PASSES, i, 4};
    out->step_h = (size_t)16 >> i;
    return i > 0;
}

/* The first frame, cut in its pixels. */
static bool keep_rows(vis_salvage *out, const walk_state *w, vis_bytes f, const vis_head *head)
{
    const unsigned char *frame = f.p + w->frame_at;
    const size_t top = vis_le16(frame + 2), width = vis_le16(frame + 4), height = vis_le16(frame + 6);
    const bool interlaced = frame[8] & 0x40;
    size_t last = 0, rows = width ? count_pixels(f, w->codes_at, &last) / width : 0;

    if (!vis_salvage_rows(out, rows, height)) return false;
    rows = (size_t)out->partial.have;
    if (interlaced && (top != 0 || height != head->h || !keep_passes(out, rows, height))) return false;
    if (!vis_salvage_copy(out, f, f.n, 2)) return false;
    if (last + 1 >= f.n)
        out->n = last;
    else
        out->file[last] = (unsigned char)(f.n - last - 1);
    memcpy(out->file + out->n, "\0\x3B", 2);
    out->n += 2;
    if (interlaced) return true;
    out->file[w->frame_at + 6] = (unsigned char)rows;
    out->file[w->frame_at + 7] = (unsigned char)(rows >> 8);
    if (top + rows < head->h) { /* below is nothing known */
        out->file[8] = (unsigned char)(top + rows);
        out->file[9] = (unsigned char)((top + rows) >> 8);
    }
    return true;
}

bool vis_salvage_gif(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    vis_head head;
    walk_state w;

    if (walk(&w, f, &head, NULL) == SN_OK || !w.cut || vis_check_size(head.w, head.h, max_pixels, NULL) != SN_OK) return false;
    if (w.n_frames > 0) {
        out->partial = (sn_partial){SN_FRAMES, (double)w.n_frames, 0};
        if (!vis_salvage_copy(out, f, w.end, 1)) return false;
        out->file[out->n++] = 0x3B;
    } else if (!w.codes_at || !keep_rows(out, &w, f, &head)) {
        return false;
    }
    return vis_check_gif((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}
