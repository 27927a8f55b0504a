/* heif.c: still pictures in ISO media files: AVIF and HEIC (ISO/IEC 23008-12, 14496-12). The primary item is one coded picture or a grid
 * of them, perhaps with a second picture as its alpha; the coded pictures go to image_av.c. Boxes are looked up in the file each
 * time; nothing is indexed. */
#include "../core/mem.h"
#include "decode.h"

#define TYPE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define MAX_TILES 1024
#define MAX_ITEMS 65536

/* The box at *at of `in`, its content in *box; moves on. False at the end and where a box reaches over it. */
static bool next_box(vis_bytes in, size_t *at, uint32_t *type, vis_bytes *box)
{
    const unsigned char *p = in.p + *at;
    const size_t left = in.n - *at;
    size_t size, head = 8;

    if (left < 8) return false;
    size = vis_be32(p);
    *type = vis_be32(p + 4);
    if (size == 1) {
        if (left < 16 || vis_be32(p + 8) != 0) return false; /* no picture has boxes of 4 GB */
        size = vis_be32(p + 12);
        head = 16;
    } else if (size == 0) {
        size = left;
    }
    if (size < head || size > left) return false;
    *box = (vis_bytes){p + head, size - head};
    *at += size;
    return true;
}

static bool find_box(vis_bytes in, uint32_t want, vis_bytes *box)
{
    uint32_t type;

    for (size_t at = 0; next_box(in, &at, &type, box);)
        if (type == want) return true;
    return false;
}

/* A reader of big-endian fields that stays at the end and says so. */
typedef struct {
    vis_bytes f;
    size_t at;
    bool bad;
} fields;

static uint64_t get(fields *r, size_t n_bytes)
{
    uint64_t v = 0;

    if (r->bad || n_bytes > 8 || r->f.n - r->at < n_bytes) {
        r->bad = true;
        return 0;
    }
    for (size_t i = 0; i < n_bytes; i++) v = v << 8 | r->f.p[r->at++];
    return v;
}

/* ---- items ---- */

typedef struct {
    vis_bytes file, meta; /* meta: behind its version and flags */
    vis_bytes ipco, ipma, iloc, iinf, iref, idat;
    uint32_t primary;
} heif;

static bool open_heif(heif *h, vis_bytes f)
{
    vis_bytes meta, iprp, pitm;
    fields r;

    *h = (heif){.file = f};
    if (!find_box(f, TYPE('m', 'e', 't', 'a'), &meta) || meta.n < 4) return false;
    h->meta = (vis_bytes){meta.p + 4, meta.n - 4};
    if (!find_box(h->meta, TYPE('i', 'p', 'r', 'p'), &iprp) || !find_box(iprp, TYPE('i', 'p', 'c', 'o'), &h->ipco) ||
        !find_box(iprp, TYPE('i', 'p', 'm', 'a'), &h->ipma) || !find_box(h->meta, TYPE('i', 'l', 'o', 'c'), &h->iloc) ||
        !find_box(h->meta, TYPE('i', 'i', 'n', 'f'), &h->iinf) || !find_box(h->meta, TYPE('p', 'i', 't', 'm'), &pitm))
        return false;
    if (!find_box(h->meta, TYPE('i', 'r', 'e', 'f'), &h->iref)) h->iref = (vis_bytes){NULL, 0};
    if (!find_box(h->meta, TYPE('i', 'd', 'a', 't'), &h->idat)) h->idat = (vis_bytes){NULL, 0};
    r = (fields){pitm, 0, false};
    h->primary = (uint32_t)get(&r, get(&r, 4) >> 24 ? 4 : 2);
    return !r.bad;
}

static uint32_t item_type(const heif *h, uint32_t id)
{
    fields r = {h->iinf, 0, false};
    size_t at;
    uint32_t type;
    vis_bytes box;

    get(&r, get(&r, 4) >> 24 ? 4 : 2);
    if (r.bad) return 0;
    for (at = r.at; next_box(h->iinf, &at, &type, &box);) {
        fields e = {box, 0, false};
        const uint64_t version = get(&e, 4) >> 24;
        if (type != TYPE('i', 'n', 'f', 'e') || version < 2) continue;
        if (get(&e, version == 2 ? 2 : 4) != id) continue;
        get(&e, 2); /* protection */
        type = (uint32_t)get(&e, 4);
        return e.bad ? 0 : type;
    }
    return 0;
}

/* The item's bytes, which must lie in one piece. */
static bool item_data(const heif *h, uint32_t id, vis_bytes *out)
{
    fields r = {h->iloc, 0, false};
    const uint64_t version = get(&r, 4) >> 24, sizes = get(&r, 2);
    const size_t n_offset = sizes >> 12 & 15, n_length = sizes >> 8 & 15, n_base = sizes >> 4 & 15, n_index = version ? sizes & 15 : 0;
    const uint64_t n_items = get(&r, version < 2 ? 2 : 4);

    for (uint64_t i = 0; i < n_items && i < MAX_ITEMS && !r.bad; i++) {
        const uint64_t item = get(&r, version < 2 ? 2 : 4), method = version ? get(&r, 2) & 15 : 0, reference = get(&r, 2),
                       base = get(&r, n_base);
        const uint64_t n_extents = get(&r, 2);
        uint64_t offset = 0, length = 0;
        for (uint64_t k = 0; k < n_extents && !r.bad; k++) {
            get(&r, n_index);
            offset = get(&r, n_offset);
            length = get(&r, n_length);
        }
        if (r.bad || item != id) continue;
        const vis_bytes in = method == 1 ? h->idat : h->file;
        if (n_extents != 1 || method > 1 || reference != 0 || base > in.n || offset > in.n - base || length > in.n - base - offset)
            return false;
        *out = (vis_bytes){in.p + base + offset, length ? (size_t)length : (size_t)(in.n - base - offset)};
        return out->n > 0;
    }
    return false;
}

/* The item's property of one kind. */
static bool item_property(const heif *h, uint32_t id, uint32_t want, vis_bytes *out)
{
    fields r = {h->ipma, 0, false};
    const uint64_t full = get(&r, 4), n_items = get(&r, 4);

    for (uint64_t i = 0; i < n_items && i < MAX_ITEMS && !r.bad; i++) {
        const uint64_t item = get(&r, full >> 24 ? 4 : 2), n = get(&r, 1);
        for (uint64_t k = 0; k < n && !r.bad; k++) {
            uint64_t index = full & 1 ? get(&r, 2) & 0x7FFF : get(&r, 1) & 0x7F;
            uint32_t type = 0;
            vis_bytes box;
            if (item != id || index == 0) continue;
            for (size_t at = 0; index && next_box(h->ipco, &at, &type, &box);) index--;
            if (index || type != want) continue;
            *out = box;
            return true;
        }
    }
    return false;
}

/* The k-th item that `from` refers to in the way of `kind`; with from 0, the item that refers to `to`. 0: none. */
static uint32_t reference(const heif *h, uint32_t kind, uint32_t from, uint32_t to, size_t k)
{
    fields r = {h->iref, 0, false};
    const size_t wide = get(&r, 4) >> 24 ? 4 : 2;
    uint32_t type;
    vis_bytes box;

    for (size_t at = 4; h->iref.n >= 4 && next_box(h->iref, &at, &type, &box);) {
        fields e = {box, 0, false};
        const uint32_t source = (uint32_t)get(&e, wide);
        const uint64_t n = get(&e, 2);
        if (type != kind || (from && source != from)) continue;
        for (uint64_t i = 0; i < n && !e.bad; i++) {
            const uint32_t target = (uint32_t)get(&e, wide);
            if (e.bad) break;
            if (from ? i == k : target == to) return from ? target : source;
        }
    }
    return 0;
}

static bool item_size(const heif *h, uint32_t id, size_t *w, size_t *height)
{
    vis_bytes ispe;

    if (!item_property(h, id, TYPE('i', 's', 'p', 'e'), &ispe) || ispe.n < 12) return false;
    *w = vis_be32(ispe.p + 4);
    *height = vis_be32(ispe.p + 8);
    return true;
}

/* ---- the room's functions ---- */

bool vis_is_heif(vis_bytes f)
{
    static const char brands[][5] = {"avif", "avis", "heic", "heix", "heim", "heis", "mif1", "msf1"};
    vis_bytes meta;

    if (f.n < 16 || memcmp(f.p + 4, "ftyp", 4)) return false;
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (!memcmp(f.p + 8, brands[i], 4)) return strcmp(brands[i] + 2, "f1") || find_box(f, TYPE('m', 'e', 't', 'a'), &meta);
    return false;
}

/* irot turns anticlockwise by 90 degrees each; imir then exchanges top and bottom (0) or left and right (1). */
static int orientation(const heif *h)
{
    static const int of[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}}; /* by turns; unmirrored, top and bottom, left and right */
    vis_bytes irot, imir;
    const int turns = item_property(h, h->primary, TYPE('i', 'r', 'o', 't'), &irot) && irot.n ? irot.p[0] & 3 : 0;
    const int mirror = item_property(h, h->primary, TYPE('i', 'm', 'i', 'r'), &imir) && imir.n ? 1 + (imir.p[0] & 1) : 0;

    return of[turns][mirror];
}

sn_status vis_check_heif(vis_bytes f, vis_head *head, sn_err *err)
{
    size_t at = 0;
    uint32_t type;
    vis_bytes box;
    heif h;

    while (next_box(f, &at, &type, &box)) continue;
    if (at != f.n) return sn_fail(err, SN_EFORMAT, "HEIF: the file is cut short: a box reaches over its end");
    if (!open_heif(&h, f)) return sn_fail(err, SN_EFORMAT, "HEIF: no still picture in it, or its description is damaged");
    *head = (vis_head){.orientation = orientation(&h)};
    if (!item_size(&h, h.primary, &head->w, &head->h)) return sn_fail(err, SN_EFORMAT, "HEIF: the picture's size is not given");
    return SN_OK;
}

/* One coded picture, of the size that its item says. */
static sn_status decode_item(vis_raster *out, const heif *h, uint32_t id, size_t max_pixels, sn_err *err)
{
    const uint32_t type = item_type(h, id);
    const bool av1 = type == TYPE('a', 'v', '0', '1');
    vis_bytes config, data;

    if (!av1 && type != TYPE('h', 'v', 'c', '1'))
        return sn_fail(err, SN_EUNSUPPORTED, "HEIF: pictures coded as \"%c%c%c%c\" are not read",
                       type >> 24 & 127 ? (int)(type >> 24 & 127) : '?', type >> 16 & 127 ? (int)(type >> 16 & 127) : '?',
                       type >> 8 & 127 ? (int)(type >> 8 & 127) : '?', type & 127 ? (int)(type & 127) : '?');
    if (!item_data(h, id, &data)) return sn_fail(err, SN_EFORMAT, "HEIF: the picture's data is not in the file in one piece");
    if (!item_property(h, id, av1 ? TYPE('a', 'v', '1', 'C') : TYPE('h', 'v', 'c', 'C'), &config))
        return sn_fail(err, SN_EFORMAT, "HEIF: the codec's configuration is missing");
    return vis_av_decode(out, av1 ? VIS_AV_AV1 : VIS_AV_HEVC, config, data, max_pixels, err);
}

static void paste(vis_raster *canvas, const vis_raster *tile, size_t x, size_t y)
{
    const size_t w = tile->w < canvas->w - x ? tile->w : canvas->w - x, h = tile->h < canvas->h - y ? tile->h : canvas->h - y;

    for (size_t row = 0; row < h; row++) memcpy(canvas->data + ((y + row) * canvas->w + x) * 3, tile->data + row * tile->w * 3, w * 3);
}

/* The tiles that `grid` refers to, row by row, onto a canvas of head's size. */
static sn_status decode_grid(vis_raster *out, const heif *h, const vis_head *head, size_t max_pixels, sn_err *err)
{
    vis_bytes grid;
    vis_raster canvas = {head->w, head->h, 3, NULL, 0};
    size_t n_x, n_y, tile_w = 0, tile_h = 0;
    sn_status st = SN_OK;

    if (!item_data(h, h->primary, &grid) || grid.n < 8) return sn_fail(err, SN_EFORMAT, "HEIF: the grid is damaged");
    n_y = 1 + (size_t)grid.p[2];
    n_x = 1 + (size_t)grid.p[3];
    if (n_x * n_y > MAX_TILES) return sn_fail(err, SN_ELIMIT, "HEIF: a grid of %zu tiles", n_x * n_y);
    if (!(canvas.data = sn_alloc(head->w * head->h, 3)))
        return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", head->w, head->h);
    for (size_t i = 0; i < n_x * n_y && st == SN_OK; i++) {
        vis_raster tile = {0};
        const uint32_t id = reference(h, TYPE('d', 'i', 'm', 'g'), h->primary, 0, i);
        if ((st = decode_item(&tile, h, id, max_pixels, err)) != SN_OK) break;
        if (i == 0) {
            tile_w = tile.w;
            tile_h = tile.h;
        }
        if (tile.n_ch != 3 || tile.w != tile_w || tile.h != tile_h || tile_w * n_x < head->w || tile_h * n_y < head->h ||
            tile_w * (n_x - 1) >= head->w || tile_h * (n_y - 1) >= head->h)
            st = sn_fail(err, SN_EFORMAT, "HEIF: the grid's tiles do not cover the picture");
        else
            paste(&canvas, &tile, i % n_x * tile_w, i / n_x * tile_h);
        sn_free(tile.data);
    }
    if (st == SN_OK)
        *out = canvas;
    else
        sn_free(canvas.data);
    return st;
}

/* Gives an RGB picture the first channel of `mask` as its alpha. */
static sn_status add_alpha(vis_raster *r, const vis_raster *mask, sn_err *err)
{
    const size_t n = r->w * r->h;
    unsigned char *rgba;

    if (r->n_ch != 3 || mask->w != r->w || mask->h != r->h) return sn_fail(err, SN_EFORMAT, "HEIF: the alpha does not fit the picture");
    if (!(rgba = sn_alloc(n, 4))) return sn_fail(err, SN_ENOMEM, "no memory for a picture of %zux%zu pixels", r->w, r->h);
    for (size_t i = 0; i < n; i++) {
        memcpy(rgba + 4 * i, r->data + 3 * i, 3);
        rgba[4 * i + 3] = mask->data[i * mask->n_ch];
    }
    sn_free(r->data);
    r->data = rgba;
    r->n_ch = 4;
    return SN_OK;
}

static bool is_alpha(const heif *h, uint32_t id)
{
    static const char alpha[] = "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", alpha_hevc[] = "urn:mpeg:hevc:2015:auxid:1";
    vis_bytes aux;

    return id && item_property(h, id, TYPE('a', 'u', 'x', 'C'), &aux) &&
           ((aux.n >= 4 + sizeof alpha && !memcmp(aux.p + 4, alpha, sizeof alpha)) ||
            (aux.n >= 4 + sizeof alpha_hevc && !memcmp(aux.p + 4, alpha_hevc, sizeof alpha_hevc)));
}

sn_status vis_decode_heif(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err)
{
    vis_raster r = {0}, mask = {0};
    heif h;
    uint32_t aux;
    sn_status st;

    if (!open_heif(&h, f)) return sn_fail(err, SN_EFORMAT, "HEIF: its description is damaged");
    if (item_type(&h, h.primary) == TYPE('g', 'r', 'i', 'd'))
        st = decode_grid(&r, &h, head, max_pixels, err);
    else
        st = decode_item(&r, &h, h.primary, max_pixels, err);
    if (st == SN_OK && (r.w != head->w || r.h != head->h))
        st = sn_fail(err, SN_EFORMAT, "HEIF: the picture's size is said twice, differently");
    aux = reference(&h, TYPE('a', 'u', 'x', 'l'), 0, h.primary, 0);
    if (st == SN_OK && r.n_ch == 3 && is_alpha(&h, aux)) {
        st = decode_item(&mask, &h, aux, max_pixels, err);
        if (st == SN_OK) st = add_alpha(&r, &mask, err);
    }
    sn_free(mask.data);
    if (st == SN_OK)
        *out = r;
    else
        sn_free(r.data);
    return st;
}
