/* image.c: a picture file to upright 8-bit RGB. The kind is told by content; every kind is a row of `formats`: its check walks
 * the file and refuses damage before its decoder runs, and the size is held against the limits in between. What is only truncated is made
 * into a whole, smaller file first (salvage.h), if that is asked for; else it is refused, saying how much was there. */
#include "../core/file.h"
#include "../core/mem.h"
#include "../core/worker.h"
#include "decode.h"
#include "salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PIXELS ((size_t)VIS_MAX_SIDE * VIS_MAX_SIDE)
#define BLOCK 32
/* What a decoder may take: 16-bit RGBA twice and 8-bit RGBA as well a pixel is the most that the formats here need. */
#define BASE_BYTES ((size_t)1 << 30)
#define BYTES_PER_PIXEL 24
#define MAX_READ_BYTES (1 << 28)           /* larger files (films) are mapped; what is mapped must not shrink meanwhile */
#define HEAD_BYTES 65536                   /* tell a kind */
#define MAX_STREAM_BYTES ((size_t)1 << 30) /* of a pipe, which must be held in memory */

/* ---- kinds ---- */

static bool is_png(vis_bytes f)
{
    return f.n >= 8 && !memcmp(f.p, "\x89PNG\r\n\x1a\n", 8);
}
static bool is_jpeg(vis_bytes f)
{
    return f.n >= 3 && !memcmp(f.p, "\xFF\xD8\xFF", 3);
}
static bool is_gif(vis_bytes f)
{
    return f.n >= 6 && (!memcmp(f.p, "GIF87a", 6) || !memcmp(f.p, "GIF89a", 6));
}
static bool is_bmp(vis_bytes f)
{
    return f.n >= 18 && !memcmp(f.p, "BM", 2) && vis_le32(f.p + 14) >= 12 && vis_le32(f.p + 14) <= 256;
}
static bool is_pnm(vis_bytes f)
{
    return f.n >= 3 && f.p[0] == 'P' && f.p[1] >= '1' && f.p[1] <= '6' &&
           (f.p[2] == '#' || f.p[2] == ' ' || (f.p[2] >= '\t' && f.p[2] <= '\r'));
}
static bool is_hdr(vis_bytes f)
{
    return (f.n >= 11 && !memcmp(f.p, "#?RADIANCE\n", 11)) || (f.n >= 7 && !memcmp(f.p, "#?RGBE\n", 7));
}
static bool is_psd(vis_bytes f)
{
    return f.n >= 6 && !memcmp(f.p, "8BPS\0", 5);
}
static bool is_webp(vis_bytes f)
{
    return f.n >= 16 && !memcmp(f.p, "RIFF", 4) && !memcmp(f.p + 8, "WEBPVP8", 7);
}
static bool is_tiff(vis_bytes f)
{
    return f.n >= 8 && (!memcmp(f.p, "II*\0", 4) || !memcmp(f.p, "MM\0*", 4));
}
/* No magic number: a header whose every field makes sense. Asked last. */
static bool is_tga(vis_bytes f)
{
    const unsigned char *p = f.p;
    size_t kind;

    if (f.n < 18 || p[1] > 1 || (p[2] & ~8) < 1 || (p[2] & ~8) > 3 || p[17] & 0xC0) return false;
    kind = p[2] & 7;
    if ((kind == 1) != (p[1] == 1)) return false;
    if (p[1] == 1 && (vis_le16(p + 5) == 0 || (p[7] != 15 && p[7] != 16 && p[7] != 24 && p[7] != 32))) return false;
    if (p[1] == 0 && (p[3] | p[4] | p[5] | p[6])) return false;
    if (vis_le16(p + 12) == 0 || vis_le16(p + 14) == 0) return false;
    if (kind == 2) return p[16] == 15 || p[16] == 16 || p[16] == 24 || p[16] == 32;
    return p[16] == 8 || (kind == 3 && p[16] == 16);
}

typedef struct {
    const char *label;
    bool (*match)(vis_bytes f);
    sn_status (*check)(vis_bytes f, vis_head *head, sn_err *err);
    sn_status (*decode)(vis_raster *out, vis_bytes f, const vis_head *head, size_t max_pixels, sn_err *err);
    bool ffmpeg;            /* whether decode may need it */
    vis_salvage_fn salvage; /* NULL: a part of such a file shows nothing */
} format;

static const format formats[] = {
    {"PNG", is_png, vis_check_png, vis_decode_stb, false, vis_salvage_png},
    {"JPEG", is_jpeg, vis_check_jpeg, vis_decode_stb, false, vis_salvage_jpeg},
    {"GIF", is_gif, vis_check_gif, vis_decode_stb, false, vis_salvage_gif},
    {"BMP", is_bmp, vis_check_bmp, vis_decode_bmp, true, vis_salvage_bmp},
    {"PNM", is_pnm, vis_check_pnm, vis_decode_pnm, false, vis_salvage_pnm},
    {"HDR", is_hdr, vis_check_hdr, vis_decode_stb, false, vis_salvage_hdr},
    {"PSD", is_psd, vis_check_psd, vis_decode_stb, false, NULL}, /* colour by colour */
    {"WebP", is_webp, vis_check_webp, vis_decode_webp, true, vis_salvage_webp},
    {"TIFF", is_tiff, vis_check_tiff, vis_decode_tiff, true, vis_salvage_tiff},
    {"HEIF", vis_is_heif, vis_check_heif, vis_decode_heif, true, NULL}, /* one coded picture */
    {"film", vis_is_movie, vis_check_movie, vis_decode_movie, true, vis_salvage_movie},
    {"TGA", is_tga, vis_check_tga, vis_decode_stb, false, vis_salvage_tga},
};

/* ---- samples to upright RGB ---- */

/* v over white with alpha a, in the fixed point of Pillow's Image.alpha_composite. */
static inline unsigned char on_white(uint32_t v, uint32_t a)
{
    const uint32_t t = v * a * 128 + 255 * (255 - a) * 128 + (0x80 << 7);
    return (unsigned char)(((t >> 8) + t) >> 8 >> 7);
}

/* Takes over r->data: RGB is used as it is, the rest is spread or squeezed into RGB. */
static sn_status to_rgb(vis_image *out, vis_raster *r, sn_err *err)
{
    const size_t n = r->w * r->h;
    const unsigned char *s = r->data;
    unsigned char *d;
    sn_status st;

    if (r->n_ch == 3) {
        *out = (vis_image){.w = r->w, .h = r->h, .rgb = r->data};
        r->data = NULL;
        return SN_OK;
    }
    if ((st = vis_image_new(out, r->w, r->h, err)) != SN_OK) return st;
    d = out->rgb;
    for (size_t i = 0; i < n; i++, s += r->n_ch, d += 3) {
        if (r->n_ch == 4) {
            for (int c = 0; c < 3; c++) d[c] = on_white(s[c], s[3]);
        } else {
            d[0] = d[1] = d[2] = r->n_ch == 2 ? on_white(s[0], s[1]) : s[0];
        }
    }
    return SN_OK;
}

/* Turns *img upright. With the picture's columns x and rows y, each EXIF value is a walk over the source by steps. */
static sn_status apply_orientation(vis_image *img, int orientation, sn_err *err)
{
    const bool turned = orientation >= 5;                                                             /* rows become columns */
    const bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8; /* of the source */
    const bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    vis_image up;
    sn_status st;

    if (orientation <= 1) return SN_OK;
    if ((st = vis_image_new(&up, turned ? img->h : img->w, turned ? img->w : img->h, err)) != SN_OK) return st;
    for (size_t by = 0; by < up.h; by += BLOCK) { /* in blocks, as one of the two sides goes across the rows */
        for (size_t bx = 0; bx < up.w; bx += BLOCK) {
            for (size_t y = by; y < by + BLOCK && y < up.h; y++) {
                for (size_t x = bx; x < bx + BLOCK && x < up.w; x++) {
                    const size_t u = turned ? y : x, v = turned ? x : y;
                    const size_t sx = flip_x ? img->w - 1 - u : u, sy = flip_y ? img->h - 1 - v : v;
                    memcpy(up.rgb + (y * up.w + x) * 3, img->rgb + (sy * img->w + sx) * 3, 3);
                }
            }
        }
    }
    vis_image_free(img);
    *img = up;
    return SN_OK;
}

void vis_image_free(vis_image *img)
{
    if (img->mapped)
        munmap(img->rgb, img->mapped);
    else
        sn_free(img->rgb);
    *img = (vis_image){0};
}

static const format *find_format(vis_bytes f)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].match(f)) return &formats[i];
    return NULL;
}

vis_file_kind vis_image_kind(const void *head, size_t n)
{
    const format *fmt = find_format((vis_bytes){head, n});

    if (!fmt) return VIS_NO_PICTURE;
    return fmt->match == vis_is_movie ? VIS_FILM : VIS_STILL;
}

sn_status vis_raster_to_image(vis_image *out, vis_raster *r, int orientation, sn_err *err)
{
    vis_image img = {0};
    sn_status st = to_rgb(&img, r, err);

    sn_free(r->data);
    r->data = NULL;
    if (st == SN_OK) st = apply_orientation(&img, orientation, err);
    if (st == SN_OK)
        *out = img;
    else
        vis_image_free(&img);
    return st;
}

static sn_status decode_whole(vis_raster *out, vis_bytes f, const format *fmt, vis_head *head, size_t max_pixels, sn_err *err)
{
    sn_status st = fmt->check(f, head, err);

    if (st == SN_OK && fmt->check != vis_check_movie) st = vis_check_size(head->w, head->h, max_pixels, err);
    return st == SN_OK ? fmt->decode(out, f, head, max_pixels, err) : st;
}

/* Films say their size to their decoder alone. */
static bool is_small_enough(const vis_head *head, const format *fmt, size_t max_pixels)
{
    return fmt->check == vis_check_movie || vis_check_size(head->w, head->h, max_pixels, NULL) == SN_OK;
}

/* What is there of a file that was refused, if it is truncated. Otherwise `st` and *err stay. */
static sn_status decode_part(vis_raster *out, vis_bytes f, const format *fmt, vis_head *head, const vis_load_params *p, sn_partial *partial,
                             sn_status st, sn_err *err)
{
    vis_salvage s = {0};
    vis_raster part = {0};
    char how_much[SN_PARTIAL_TEXT];

    if (!fmt->salvage(&s, f, p->max_pixels) || !is_small_enough(&s.head, fmt, p->max_pixels) ||
        fmt->decode(&part, (vis_bytes){s.file, s.n}, &s.head, p->max_pixels, NULL) != SN_OK) {
        sn_free(s.file);
        return st;
    }
    sn_free(s.file);
    if (!p->accept_truncated) {
        sn_free(part.data);
        sn_partial_text(how_much, &s.partial);
        return sn_fail(err, SN_EFORMAT, "truncated: %s can be read", how_much);
    }
    vis_salvage_finish(&s, &part);
    *out = part;
    *head = s.head;
    *partial = s.partial;
    return SN_OK;
}

/* p->max_pixels is set. */
static sn_status decode(vis_image *out, vis_bytes f, const vis_load_params *p, sn_err *err)
{
    const format *fmt = find_format(f);
    vis_head head = {0, 0, 1};
    vis_raster raster = {0};
    sn_partial partial = {0};
    sn_status st;

    if (!fmt) {
        const char *kind = sn_guess_kind(f.p, f.n);
        if (f.n == 0) return sn_fail(err, SN_EFORMAT, "the file is empty");
        return kind ? sn_fail(err, SN_EFORMAT, "this is %s, not a picture", kind)
                    : sn_fail(err, SN_EFORMAT, "not a picture of a known kind");
    }
    st = decode_whole(&raster, f, fmt, &head, p->max_pixels, err);
    if (st == SN_EFORMAT && fmt->salvage) st = decode_part(&raster, f, fmt, &head, p, &partial, st, err);
    if (st == SN_OK) st = vis_raster_to_image(out, &raster, raster.orientation ? raster.orientation : head.orientation, err);
    if (st == SN_OK) out->partial = partial;
    return st;
}

static vis_load_params with_limits(const vis_load_params *p)
{
    vis_load_params all = p ? *p : (vis_load_params){0};

    if (!all.max_pixels) all.max_pixels = VIS_MAX_PIXELS;
    if (all.max_pixels > MAX_PIXELS) all.max_pixels = MAX_PIXELS;
    return all;
}

sn_status vis_image_decode(vis_image *out, const void *bytes, size_t n, const char *name, const vis_load_params *p, sn_err *err)
{
    const vis_load_params all = with_limits(p);

    return decode(out, (vis_bytes){bytes, n}, &all, err) == SN_OK ? SN_OK : sn_wrap(err, "%s", name);
}

/* ---- the file, as a descriptor or as bytes ---- */

/* n bytes at the beginning; less where the file has become shorter. */
static sn_status read_bytes(int fd, unsigned char *dst, size_t n, size_t *got, sn_err *err)
{
    for (*got = 0; *got < n;) {
        const ssize_t more = pread(fd, dst + *got, n - *got, (off_t)*got);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return sn_fail(err, SN_EIO, "cannot read: %s", strerror(errno));
        if (more == 0) break;
        *got += (size_t)more;
    }
    return SN_OK;
}

/* All bytes of a file: read, or mapped where it is large. */
typedef struct {
    vis_bytes bytes;
    void *data;
    bool mapped;
} held;

static sn_status hold(held *h, int fd, size_t n, sn_err *err)
{
    sn_status st = SN_OK;

    *h = (held){.bytes = {NULL, n}, .mapped = n > MAX_READ_BYTES};
    if (h->mapped) {
        h->data = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (h->data == MAP_FAILED) return sn_fail(err, SN_EIO, "cannot map %zu bytes: %s", n, strerror(errno));
    } else if (!(h->data = sn_alloc(n, 1))) {
        return sn_fail(err, SN_ENOMEM, "out of memory (%zu bytes)", n);
    } else if ((st = read_bytes(fd, h->data, n, &h->bytes.n, err)) != SN_OK) {
        sn_free(h->data);
    }
    h->bytes.p = h->data;
    return st;
}

static void let_go(held *h)
{
    if (h->mapped)
        munmap(h->data, h->bytes.n);
    else
        sn_free(h->data);
}

static sn_status decode_here(vis_image *out, int fd, size_t n, const vis_load_params *p, sn_err *err)
{
    held h;
    sn_status st = hold(&h, fd, n, err);

    if (st != SN_OK) return st;
    st = decode(out, h.bytes, p, err);
    let_go(&h);
    return st;
}

/* ---- decoding in a worker ---- */

typedef struct {
    size_t n; /* of the file */
    vis_load_params params;
} job;

typedef struct { /* what the worker says of the pixels, which lie in the shared memory, or follow where there is none */
    size_t w, h;
    sn_partial partial;
} result;

static size_t whole_pages(size_t n)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (n + page - 1) / page * page;
}

static sn_status run_job(sn_worker_out *out, const void *arg, sn_err *err)
{
    const job *j = arg;
    result r = {0};
    vis_image img;
    size_t room;
    unsigned char *pixels = sn_worker_shared(out, &room);
    sn_status st = decode_here(&img, sn_worker_input(out), j->n, &j->params, err);

    if (st != SN_OK) return st;
    r = (result){img.w, img.h, img.partial};
    if (pixels && img.w * img.h * 3 > room) return sn_fail(err, SN_ELIMIT, "%zu x %zu pixels are too many", img.w, img.h);
    if (pixels) memcpy(pixels, img.rgb, img.w * img.h * 3);
    st = sn_worker_send(out, &r, sizeof r, err);
    return st == SN_OK && !pixels ? sn_worker_send(out, img.rgb, img.w * img.h * 3, err) : st;
}

/* What the worker says, and the end of its work. */
static sn_status take_result(vis_image *out, sn_worker *w, const sn_shared *shared, size_t max_pixels, sn_err *err)
{
    result r = {0};
    size_t got = 0, more;
    unsigned char rest;
    vis_image img = {0};
    sn_status st = sn_worker_read(w, &r, sizeof r, &got, err);

    if (st == SN_OK && got != sizeof r) st = sn_fail(err, SN_EFORMAT, "the decoder gave something that is no picture");
    if (st == SN_OK) st = vis_check_size(r.w, r.h, max_pixels, err);
    if (st == SN_OK && !shared && (st = vis_image_new(&img, r.w, r.h, err)) == SN_OK) {
        st = sn_worker_read(w, img.rgb, r.w * r.h * 3, &got, err);
        if (st == SN_OK && got != r.w * r.h * 3) st = sn_fail(err, SN_EFORMAT, "the decoder gave half a picture");
    }
    if (st == SN_OK) st = sn_worker_read(w, &rest, 1, &more, err);
    if (st == SN_OK && more != 0) st = sn_fail(err, SN_EFORMAT, "the decoder gave more than a picture");
    if (st != SN_OK) {
        vis_image_free(&img);
        return st;
    }
    *out = shared ? (vis_image){.rgb = shared->data, .mapped = whole_pages(r.w * r.h * 3)} : img;
    out->w = r.w;
    out->h = r.h;
    out->partial = r.partial;
    return SN_OK;
}

/* The kind, told here by the first bytes, decides what the worker must have open. */
static sn_status find_needs(sn_worker_limits *limits, int fd, sn_err *err)
{
    unsigned char *head = sn_alloc(HEAD_BYTES, 1);
    size_t n = 0;
    const format *fmt = NULL;
    sn_status st = head ? read_bytes(fd, head, HEAD_BYTES, &n, err) : sn_fail(err, SN_ENOMEM, "out of memory");

    if (st == SN_OK) fmt = find_format((vis_bytes){head, n});
    if (fmt && fmt->ffmpeg) limits->ready = vis_av_ready;
    sn_free(head);
    return st;
}

/* The pixels come through memory that both map, which is the worker's alone until it has ended. */
static sn_status decode_apart(vis_image *out, int fd, size_t n, const vis_load_params *p, sn_err *err)
{
    const job j = {n, *p};
    sn_shared shared;
    sn_worker_limits limits = {
        .fd = fd, .memory_bytes = BASE_BYTES + p->max_pixels * BYTES_PER_PIXEL + n, .cpu_s = p->timeout_s, .wait_s = p->timeout_s};
    sn_worker *w = NULL;
    sn_status st = find_needs(&limits, fd, err);

    if (st != SN_OK) return st;
    if (sn_shared_open(&shared, whole_pages(p->max_pixels * 3), NULL) == SN_OK) limits.shared = &shared;
    st = sn_worker_start(&w, &limits, run_job, &j, sizeof j, err);
    if (st == SN_OK) st = take_result(out, w, limits.shared, p->max_pixels, err);
    sn_worker_close(w);
    if (limits.shared) sn_shared_close(&shared, st == SN_OK ? out->mapped : 0);
    return st;
}

sn_status vis_image_load(vis_image *out, const char *path, const vis_load_params *p, sn_err *err)
{
    const bool is_stdin = !strcmp(path, "-");
    const char *name = is_stdin ? "standard input" : path;
    const vis_load_params all = with_limits(p);
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC), copy = -1;
    struct stat info;
    sn_status st = SN_OK;

    if (fd < 0 || fstat(fd, &info) != 0) {
        st = sn_fail(err, SN_EIO, "cannot open: %s", strerror(errno));
    } else if (S_ISDIR(info.st_mode)) {
        st = sn_fail(err, SN_EIO, "is a directory");
    } else if (is_stdin || !S_ISREG(info.st_mode)) {
        st = sn_spool(&copy, fd, MAX_STREAM_BYTES, false, err);
        if (st == SN_OK && fstat(copy, &info) != 0) st = sn_fail(err, SN_EIO, "cannot read: %s", strerror(errno));
    }
    if (st == SN_OK) {
        const int file = copy >= 0 ? copy : fd;
        st = all.no_sandbox ? decode_here(out, file, (size_t)info.st_size, &all, err)
                            : decode_apart(out, file, (size_t)info.st_size, &all, err);
    }
    if (copy >= 0) close(copy);
    if (fd >= 0 && !is_stdin) close(fd);
    return st == SN_OK ? SN_OK : sn_wrap(err, "%s", name);
}
