/* pnm.c: PBM, PGM and PPM, plain (P1-P3) and raw (P4-P6), to 8 bits (netpbm's formats). Values are scaled to 255 as Pillow does. */
#include "../core/mem.h"
#include "decode.h"
#include "salvage.h"

#include <math.h>
#include <stdio.h>

typedef struct { /* reads a header and plain samples; past the end it stays there and `bad` is set */
    vis_bytes f;
    size_t at;
    bool bad;
} cursor;

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(cursor *c)
{
    while (c->at < c->f.n && (is_space(c->f.p[c->at]) || c->f.p[c->at] == '#')) {
        if (c->f.p[c->at] == '#')
            while (c->at < c->f.n && c->f.p[c->at] != '\n') c->at++;
        else
            c->at++;
    }
}

/* A decimal number of at most 6 digits; one_digit: the next digit alone (P1 needs no blanks between its bits). */
static uint32_t number(cursor *c, bool one_digit)
{
    uint32_t v = 0;
    size_t n = 0;

    skip_blanks(c);
    while (c->at < c->f.n && c->f.p[c->at] >= '0' && c->f.p[c->at] <= '9' && n < (one_digit ? 1 : 6)) {
        v = v * 10 + (uint32_t)(c->f.p[c->at++] - '0');
        n++;
    }
    if (n == 0) c->bad = true;
    return v;
}

typedef struct {
    char digit; /* '1'..'6' */
    size_t w, h, n_ch;
    uint32_t max;
    size_t data; /* where the samples begin */
} pnm;

/* Bytes that a row takes; plain samples: one digit each at least. */
static size_t row_bytes(const pnm *m)
{
    return m->digit == '4' ? (m->w + 7) / 8 : m->w * m->n_ch * (m->digit >= '5' && m->max > 255 ? 2 : 1);
}

static sn_status read_header(pnm *m, vis_bytes f, sn_err *err)
{
    cursor c = {f, 2, false};

    *m = (pnm){.digit = (char)f.p[1], .max = 1};
    m->n_ch = m->digit == '3' || m->digit == '6' ? 3 : 1;
    m->w = number(&c, false);
    m->h = number(&c, false);
    if (m->digit != '1' && m->digit != '4') m->max = number(&c, false);
    if (c.bad || m->w == 0 || m->h == 0 || m->w > VIS_MAX_SIDE || m->h > VIS_MAX_SIDE || m->max == 0 || m->max > 65535)
        return sn_fail(err, SN_EFORMAT, "the PNM header is damaged");
    m->data = c.at + 1; /* one blank ends the header */
    if (c.at >= f.n || !is_space(f.p[c.at])) return sn_fail(err, SN_EFORMAT, "the PNM file ends in its header");
    return SN_OK;
}

sn_status vis_check_pnm(vis_bytes f, vis_head *head, sn_err *err)
{
    pnm m;
    sn_status st = read_header(&m, f, err);

    if (st != SN_OK) return st;
    *head = (vis_head){m.w, m.h, 1};
    if (f.n - m.data < row_bytes(&m) * m.h)
        return sn_fail(err, SN_EFORMAT, "the PNM file is cut short: %zu bytes of pixels, %zu needed", f.n - m.data, row_bytes(&m) * m.h);
    return SN_OK;
}

/* Whole rows of plain samples; *end: behind them. False: a sample is none, or out of range. The last number of the file may be half of one. */
static bool plain_rows(const pnm *m, vis_bytes f, size_t *rows, size_t *end)
{
    cursor c = {f, m->data, false};
    const size_t row = m->w * m->n_ch;

    *rows = 0;
    *end = m->data;
    for (size_t n = 0; n < row * m->h;) {
        skip_blanks(&c);
        const uint32_t v = number(&c, m->digit == '1');
        if (c.bad) return c.at >= f.n;
        if (v > m->max) return false;
        if (c.at >= f.n && m->digit != '1' && n + 1 < row * m->h) return true;
        if (++n % row) continue;
        ++*rows;
        *end = c.at;
    }
    return true;
}

bool vis_salvage_pnm(vis_salvage *out, vis_bytes f, size_t max_pixels)
{
    char head[64];
    size_t rows, end, n;
    pnm m;

    if (read_header(&m, f, NULL) != SN_OK || vis_check_size(m.w, m.h, max_pixels, NULL) != SN_OK) return false;
    if (m.digit <= '3') {
        if (!plain_rows(&m, f, &rows, &end) || rows == m.h) return false;
    } else {
        rows = (f.n - m.data) / row_bytes(&m);
        end = m.data + rows * row_bytes(&m);
        if (rows >= m.h) return false;
    }
    n = (size_t)snprintf(head, sizeof head, m.digit == '1' || m.digit == '4' ? "P%c\n%zu %zu\n" : "P%c\n%zu %zu\n%u\n", m.digit, m.w, rows,
                         m.max);
    if (!vis_salvage_rows(out, rows, m.h) || !(out->file = sn_alloc(n + end - m.data, 1))) return false;
    memcpy(out->file, head, n);
    memcpy(out->file + n, f.p + m.data, end - m.data);
    out->n = n + end - m.data;
    return vis_check_pnm((vis_bytes){out->file, out->n}, &out->head, NULL) == SN_OK;
}

/* v of 0..max to 0..255, to the nearest, ties to even. */
static unsigned char scale(uint32_t v, uint32_t max)
{
    if (max == 255) return v > 255 ? 255 : (unsigned char)v;
    return v >= max ? 255 : (unsigned char)nearbyint((double)v / max * 255);
}

static bool read_plain(unsigned char *dst, const pnm *m, vis_bytes f)
{
    cursor c = {f, m->data, false};
    const size_t n = m->w * m->h * m->n_ch;

    for (size_t i = 0; i < n && !c.bad; i++) {
        const uint32_t v = number(&c, m->digit == '1');
        if (v > m->max) return false;
        dst[i] = m->digit == '1' ? (v ? 0 : 255) : scale(v, m->max);
    }
    return !c.bad;
}

static void read_raw(unsigned char *dst, const pnm *m, const unsigned char *p)
{
    const size_t n = m->w * m->h * m->n_ch;

    if (m->digit == '4') {
        for (size_t y = 0; y < m->h; y++, p += (m->w + 7) / 8)
            for (size_t x = 0; x < m->w; x++) *dst++ = p[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
    } else if (m->max > 255) {
        for (size_t i = 0; i < n; i++, p += 2) dst[i] = scale(vis_be16(p), m->max);
    } else {
        for (size_t i = 0; i < n; i++) dst[i] = scale(p[i], m->max);
    }
}

sn_status vis_decode_pnm(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    pnm m;
    unsigned char *data;
    sn_status st = read_header(&m, f, err);

    (void)max_pixels;
    if (st != SN_OK) return st;
    if (!(data = sn_alloc(head->w * head->h, m.n_ch)))
        return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", m.w, m.h);
    if (m.digit <= '3') {
        if (!read_plain(data, &m, f)) {
            sn_free(data);
            return sn_fail(err, SN_EFORMAT, "the PNM file is cut short or has a sample out of range");
        }
    } else {
        read_raw(data, &m, f.p + m.data);
    }
    *out = (vis_raster){m.w, m.h, m.n_ch, data, 0};
    return SN_OK;
}
