/* webp.c: WebP by libavcodec, which reads stills; the first frame of an animation is rewrapped as one (RFC 9649, section 2.7). How many rows of a
 * truncated one are there is found by trial: the bytes that are missing are made up in several ways, and the rows that come out the same depend on
 * none of them. */
#include "../core/mem.h"
#include "decode.h"
#include "salvage.h"

static void put_le32(unsigned char *p, size_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}

/* What belongs to the picture: something else may follow. */
static vis_bytes within(vis_bytes f)
{
    const size_t n = 8 + (size_t)vis_le32(f.p + 4);

    return (vis_bytes){f.p, n < f.n ? n : f.n};
}

/* The first ANMF chunk's content; false where the file is no animation. */
static bool first_frame(vis_bytes f, vis_bytes *frame)
{
    for (size_t at = 12; f.n - at >= 8;) {
        const size_t n = vis_le32(f.p + at + 4);
        if (n > f.n - at - 8) return false;
        if (!memcmp(f.p + at, "ANMF", 4) && n > 24) {
            *frame = (vis_bytes){f.p + at + 8, n};
            return true;
        }
        if (n + (n & 1) > f.n - at - 8) return false;
        at += 8 + n + (n & 1);
    }
    return false;
}

/* A frame's content (16 bytes of place, size and time, then its chunks) as a file of its own. */
static sn_status wrap_frame(unsigned char **out, size_t *n_out, vis_bytes frame, sn_err *err)
{
    const size_t n = 30 + frame.n - 16;
    unsigned char *p = sn_calloc(n, 1);

    if (!p) return sn_fail(err, SN_ENOMEM, "out of memory");
    memcpy(p, "RIFF", 4);
    put_le32(p + 4, n - 8);
    memcpy(p + 8, "WEBPVP8X", 8);
    put_le32(p + 16, 10);
    p[20] = !memcmp(frame.p + 16, "ALPH", 4) ? 0x10 : 0;
    memcpy(p + 24, frame.p + 6, 6); /* width and height less one, 24 bits each, as ANMF has them */
    memcpy(p + 30, frame.p + 16, frame.n - 16);
    *out = p;
    *n_out = n;
    return SN_OK;
}

/* Lays the frame at x, y on a transparent canvas of the animation's size. */
static sn_status on_canvas(vis_raster *r, const vis_head *head, size_t x, size_t y, sn_err *err)
{
    unsigned char *data;

    if (r->w == head->w && r->h == head->h) return SN_OK;
    if (x > head->w || r->w > head->w - x || y > head->h || r->h > head->h - y)
        return sn_fail(err, SN_EFORMAT, "WebP: a frame outside the picture");
    if (!(data = sn_calloc(head->w * head->h, 4)))
        return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", head->w, head->h);
    for (size_t row = 0; row < r->h; row++) {
        const unsigned char *s = r->data + row * r->w * r->n_ch;
        unsigned char *d = data + ((y + row) * head->w + x) * 4;
        for (size_t i = 0; i < r->w; i++, s += r->n_ch, d += 4) {
            memcpy(d, s, 3);
            d[3] = r->n_ch == 4 ? s[3] : 255;
        }
    }
    sn_free(r->data);
    *r = (vis_raster){head->w, head->h, 4, data, 0};
    return SN_OK;
}

sn_status vis_decode_webp(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    vis_bytes frame = {0}, file = within(f);
    unsigned char *own = NULL;
    vis_raster r = {0};
    size_t x = 0, y = 0;
    sn_status st = SN_OK;

    if (first_frame(file, &frame)) {
        x = 2 * (vis_le16(frame.p) | (size_t)frame.p[2] << 16);
        y = 2 * (vis_le16(frame.p + 3) | (size_t)frame.p[5] << 16);
        st = wrap_frame(&own, &file.n, frame, err);
        file.p = own;
    }
    if (st == SN_OK) st = vis_av_decode(&r, VIS_AV_WEBP, (vis_bytes){0}, file, max_pixels, err);
    if (st == SN_OK && r.n_ch < 3) st = sn_fail(err, SN_EFORMAT, "WebP: the picture is damaged");
    if (st == SN_OK) st = on_canvas(&r, head, x, y, err);
    sn_free(own);
    if (st == SN_OK)
        *out = r;
    else
        sn_free(r.data);
    return st;
}

/* ---- what is left of a truncated one ---- */

/* Bytes in place of those that are missing. */
static void make_up(unsigned char *p, size_t n, int way)
{
    uint32_t seed = 2463534242u;

    for (size_t i = 0; i < n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        p[i] = (unsigned char)(way == 0 ? 0 : way == 1 ? 255 : seed >> 24);
    }
}

/* Rows that the file out->file has in common with the raster. */
static size_t rows_in_common(const vis_salvage *out, const vis_raster *with, size_t most, size_t max_pixels)
{
    vis_raster r = {0};
    size_t rows = 0;

    if (vis_decode_webp(&r, (vis_bytes){out->file, out->n}, &out->head, max_pixels, NULL) != SN_OK) return 0;
    if (r.w == with->w && r.h == with->h && r.n_ch == with->n_ch)
        while (rows < most && !memcmp(r.data + rows * r.w * r.n_ch, with->data + rows * r.w * r.n_ch, r.w * r.n_ch)) rows++;
    sn_free(r.data);
    return rows;
}

/* An animation whose first frame is whole: that frame. */
static bool keep_first_frame(vis_salvage *out, vis_bytes f, const vis_bytes *frame)
{
    out->partial = (sn_partial){SN_FRAMES, 1, 0};
    if (!vis_salvage_copy(out, f, (size_t)(frame->p - f.p) + frame->n, 1)) return false;
    if (out->n % 2) out->file[out->n++] = 0;
    put_le32(out->file + 4, out->n - 8);
    return vis_check_webp((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

bool vis_salvage_webp(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    const size_t want = 8 + (size_t)vis_le32(f.p + 4);
    vis_raster first = {0};
    vis_bytes frame;
    size_t rows;

    if (want <= f.n) return false;
    if (first_frame(f, &frame)) return keep_first_frame(out, f, &frame);
    if (want / 64 > f.n || !vis_salvage_copy(out, f, f.n, want - f.n)) return false;
    out->n = want;
    make_up(out->file + f.n, want - f.n, 0);
    if (vis_check_webp((vis_bytes){out->file, want}, &out->head, NULL) != SN_OK) return false;
    if (vis_check_size(out->head.w, out->head.h, max_pixels, NULL) != SN_OK) return false;
    if (vis_decode_webp(&first, (vis_bytes){out->file, want}, &out->head, max_pixels, NULL) != SN_OK) return false;
    rows = first.h;
    for (int way = 1; way <= 2; way++) {
        make_up(out->file + f.n, want - f.n, way);
        rows = rows_in_common(out, &first, rows, max_pixels);
    }
    sn_free(first.data);
    out->rows = rows;
    return vis_salvage_rows(out, rows, out->head.h);
}
