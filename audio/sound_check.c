/* sound_check.c: is the file as long as its container says? The libraries hand out what is there of a truncated recording
 * without a word, so each container's outer structure is walked here first. Contents stay the libraries' business. */
#include "sound.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 1000000 /* chunks or boxes: more is no sound file */

static uint64_t le(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

static uint64_t be(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}

static bool get(aud_file *f, uint64_t at, unsigned char *dst, size_t n)
{
    return aud_file_read(f, at, dst, n) == n;
}

/* want: bytes that it should have, 0: the file does not say. */
static sn_status cut(aud_file *f, uint64_t want, sn_err *err)
{
    f->cut = true;
    f->want = want;
    if (want == 0) return sn_fail(err, SN_EFORMAT, "is truncated: it ends in the middle of its sound");
    return sn_fail(err, SN_EFORMAT, "is truncated: %llu of %llu bytes are there", (unsigned long long)f->size, (unsigned long long)want);
}

/* What writers to a pipe put where the length would stand: nothing, all ones (FFmpeg), SoX's and arecord's largest. */
static bool is_streamed(uint64_t size)
{
    return size == 0 || size == 0xffffffff || size == 0x7ffff000 || size == 0x7fffff00 || size == 0x80000000;
}

/* Chunks of WAV (le), AIFF (be) and AVI: 4 bytes id, 4 bytes size, padded to even. `sound` is the id of the samples. */
static sn_status check_chunks(aud_file *f, bool big, const char *sound, sn_err *err)
{
    unsigned char h[12];
    uint64_t at = 12, ds64_data = 0, outer;
    bool found = false;

    if (!get(f, 0, h, 12)) return cut(f, 12, err);
    outer = 8 + (big ? be(h + 4, 4) : le(h + 4, 4));
    for (size_t step = 0; step < MAX_STEPS && get(f, at, h, 8); step++) {
        uint64_t size = big ? be(h + 4, 4) : le(h + 4, 4), left = f->size - at - 8;
        bool is_sound = memcmp(h, sound, 4) == 0;
        if (memcmp(h, "ds64", 4) == 0) {
            unsigned char d[16];
            if (!get(f, at + 8, d, 16)) return cut(f, at + 24, err);
            outer = 8 + le(d, 8);
            ds64_data = le(d + 8, 8);
        }
        if (is_sound && size == 0xffffffff && ds64_data != 0) size = ds64_data;
        if (is_sound && size != left && is_streamed(size) && (size != 0 || outer <= at + 8 || is_streamed(outer - 8))) {
            uint64_t whole = left < 0xfffffffe ? left : 0xfffffffe;
            f->patch_at = at + 4;
            f->patch_n = 4;
            for (size_t i = 0; i < 4; i++) f->patch[i] = (unsigned char)(whole >> 8 * (big ? 3 - i : i));
            return SN_OK;
        }
        if (size > left) return cut(f, size > UINT64_MAX - at - 8 ? UINT64_MAX : at + 8 + size, err);
        found = found || is_sound;
        at += 8 + size + (size & 1);
        if (found && outer > 8 && at >= outer) return SN_OK; /* what follows belongs to nobody */
    }
    if (!found) return sn_fail(err, SN_EFORMAT, "is truncated: its header stands, but no sound follows");
    /* Some writers count 8 bytes too many. */
    return !is_streamed(outer - 8) && outer > f->size + 8 ? cut(f, outer, err) : SN_OK;
}

static sn_status check_wav(aud_file *f, sn_err *err)
{
    return check_chunks(f, false, "data", err);
}

static sn_status check_rifx(aud_file *f, sn_err *err)
{
    return check_chunks(f, true, "data", err);
}

static sn_status check_aiff(aud_file *f, sn_err *err)
{
    return check_chunks(f, true, "SSND", err);
}

/* AVI: a file is one or more RIFF chunks end to end. */
static sn_status check_avi(aud_file *f, sn_err *err)
{
    unsigned char h[8];
    uint64_t at = 0;
    for (size_t step = 0; step < MAX_STEPS && get(f, at, h, 8) && memcmp(h, "RIFF", 4) == 0; step++) {
        uint64_t size = le(h + 4, 4);
        if (is_streamed(size)) return SN_OK;
        if (size > f->size - at - 8) return cut(f, at + 8 + size, err);
        at += 8 + size + (size & 1);
    }
    return SN_OK;
}

/* Sony Wave64: 16 bytes id, 8 bytes size that count themselves, padded to 8. */
static sn_status check_w64(aud_file *f, sn_err *err)
{
    unsigned char h[24];
    uint64_t at = 40;
    bool found = false;
    for (size_t step = 0; step < MAX_STEPS && get(f, at, h, 24); step++) {
        uint64_t size = le(h + 16, 8);
        if (size < 24) return sn_fail(err, SN_EFORMAT, "is corrupt: a chunk of %llu bytes", (unsigned long long)size);
        found = found || memcmp(h, "data", 4) == 0;
        if (size > f->size - at) return cut(f, size > UINT64_MAX - at ? UINT64_MAX : at + size, err);
        at += size + (8 - size % 8) % 8;
    }
    return found ? SN_OK : sn_fail(err, SN_EFORMAT, "is truncated: its header stands, but no sound follows");
}

/* FLAC: blocks of metadata in front of the frames, which say no lengths. */
static sn_status check_flac(aud_file *f, sn_err *err)
{
    unsigned char h[4] = {0};
    for (uint64_t at = 4; !(h[0] & 0x80); at += 4 + be(h + 1, 3))
        if (!get(f, at, h, 4) || be(h + 1, 3) > f->size - at - 4) return cut(f, at + 4 + be(h + 1, 3), err);
    return SN_OK;
}

static sn_status check_au(aud_file *f, sn_err *err)
{
    unsigned char h[12];
    if (!get(f, 0, h, 12)) return cut(f, 24, err);
    uint64_t offset = be(h + 4, 4), size = be(h + 8, 4);
    return size != 0xffffffff && offset + size > f->size ? cut(f, offset + size, err) : SN_OK;
}

/* Core Audio: 4 bytes id, 8 bytes size, -1 for "to the end" of the data chunk. */
static sn_status check_caf(aud_file *f, sn_err *err)
{
    unsigned char h[12];
    uint64_t at = 8;
    bool found = false;
    for (size_t step = 0; step < MAX_STEPS && get(f, at, h, 12); step++) {
        uint64_t size = be(h + 4, 8), left = f->size - at - 12;
        bool is_sound = memcmp(h, "data", 4) == 0;
        if (is_sound && size == UINT64_MAX) return SN_OK;
        if (size > left) return cut(f, size > UINT64_MAX - at - 12 ? UINT64_MAX : at + 12 + size, err);
        found = found || is_sound;
        at += 12 + size;
    }
    return found ? SN_OK : sn_fail(err, SN_EFORMAT, "is truncated: its header stands, but no sound follows");
}

/* Ogg: the last page ends where the file does (junk may follow) and is marked as a stream's last. */
static sn_status check_ogg(aud_file *f, sn_err *err)
{
    enum { PAGE_MAX = 27 + 255 + 255 * 255 };
    unsigned char h[27], lacing[255], tail[4096];
    uint64_t at = f->size, low = f->size > 2 * PAGE_MAX ? f->size - 2 * PAGE_MAX : 0;

    while (at > low) { /* backwards in overlapping pieces: the last "OggS" */
        uint64_t from = at > low + sizeof tail ? at - sizeof tail : low;
        size_t n = aud_file_read(f, from, tail, (size_t)(at - from));
        for (size_t i = n; i-- > 0;) {
            if (i + 4 > n || memcmp(tail + i, "OggS", 4) != 0) continue;
            uint64_t page = from + i, end = page + 27;
            if (!get(f, page, h, 27) || !get(f, end, lacing, h[26])) return cut(f, 0, err);
            end += h[26];
            for (size_t k = 0; k < h[26]; k++) end += lacing[k];
            if (end > f->size) return cut(f, 0, err);
            f->cut = (h[5] & 4) == 0;
            return f->cut ? sn_fail(err, SN_EFORMAT, "is truncated: its last Ogg page is not marked as the last") : SN_OK;
        }
        if (from == low) break;
        at = from + 3;
    }
    return sn_fail(err, SN_EFORMAT, "is truncated or corrupt: no Ogg page near its end");
}

/* MP4, QuickTime, 3GP: boxes end to end. */
static sn_status check_mp4(aud_file *f, sn_err *err)
{
    unsigned char h[16];
    uint64_t at = 0;
    bool moov = false;
    for (size_t step = 0; step < MAX_STEPS && get(f, at, h, 8); step++) {
        uint64_t size = be(h, 4), head = 8;
        if (size == 1) {
            if (!get(f, at + 8, h + 8, 8)) return cut(f, at + 16, err);
            size = be(h + 8, 8);
            head = 16;
        }
        moov = moov || memcmp(h + 4, "moov", 4) == 0;
        if (size == 0) break; /* to the end */
        if (size < head) return moov ? SN_OK : sn_fail(err, SN_EFORMAT, "is corrupt: a box of %llu bytes", (unsigned long long)size);
        if (size > f->size - at) return cut(f, size > UINT64_MAX - at ? UINT64_MAX : at + size, err);
        at += size;
    }
    return moov ? SN_OK : sn_fail(err, SN_EFORMAT, "is truncated: an MP4 file without its index (moov)");
}

/* An EBML number at *at: its value without the length mark, or all ones (UINT64_MAX) for "unknown". */
static bool ebml_number(aud_file *f, uint64_t *at, bool keep_mark, uint64_t *out)
{
    unsigned char b[8];
    size_t n = 1;
    if (!get(f, *at, b, 1) || b[0] == 0) return false;
    while (!(b[0] & (0x80 >> (n - 1)))) n++;
    if (!get(f, *at, b, n)) return false;
    uint64_t v = be(b, n), mark = (uint64_t)1 << 7 * n;
    *at += n;
    *out = keep_mark ? v : v - mark == mark - 1 ? UINT64_MAX : v - mark;
    return true;
}

/* Matroska and WebM: elements end to end. One of unknown size (the segment and clusters of a live recording) is walked into. */
static sn_status check_mkv(aud_file *f, sn_err *err)
{
    uint64_t at = 0, id, size;
    for (size_t step = 0; step < MAX_STEPS && at < f->size; step++) {
        uint64_t begin = at;
        if (!ebml_number(f, &at, true, &id) || !ebml_number(f, &at, false, &size))
            return f->size - begin < 12 ? cut(f, begin + 12, err) : SN_OK;
        if (size == UINT64_MAX) continue;
        if (at > f->size || size > f->size - at) return cut(f, at + size, err);
        at += size;
    }
    return SN_OK;
}

/* FLV: after the header, tags of 11 bytes and their data, each followed by its size again. */
static sn_status check_flv(aud_file *f, sn_err *err)
{
    unsigned char h[11];
    if (!get(f, 0, h, 9)) return cut(f, 9, err);
    uint64_t at = be(h + 5, 4) + 4;
    for (size_t step = 0; step < MAX_STEPS && at < f->size; step++) {
        if (!get(f, at, h, sizeof h)) return cut(f, 0, err);
        if ((h[0] & 0x1f) != 8 && (h[0] & 0x1f) != 9 && (h[0] & 0x1f) != 18) return SN_OK;
        at += 11 + be(h + 1, 3) + 4;
    }
    return at > f->size ? cut(f, 0, err) : SN_OK;
}

/* The number behind "\n<key> -i " in a NIST header, 0 when it is not there. */
static uint64_t nist_number(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* NIST SPHERE: a text header of 1024 bytes. Compressed files hold fewer bytes and pass. */
static sn_status check_nist(aud_file *f, sn_err *err)
{
    char h[1025] = {0};
    if (!get(f, 0, (unsigned char *)h, 1024)) return cut(f, 1024, err);
    uint64_t n = nist_number(h, "\nsample_count -i "), ch = nist_number(h, "\nchannel_count -i ");
    uint64_t bytes = nist_number(h, "\nsample_n_bytes -i ");
    if (strstr(h, "shorten") || n > (uint64_t)1 << 40 || ch > AUD_MAX_CHANNELS || bytes > 8) return SN_OK;
    return 1024 + n * ch * bytes > f->size ? cut(f, 1024 + n * ch * bytes, err) : SN_OK;
}

/* ASF: the header's file properties object tells the file's size. */
static sn_status check_asf(aud_file *f, sn_err *err)
{
    static const unsigned char properties[16] = {0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11,
                                                 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65};
    unsigned char h[92];
    uint64_t at = 30;
    for (size_t step = 0; step < 256 && get(f, at, h, 24); step++) {
        uint64_t size = le(h + 16, 8);
        if (memcmp(h, properties, 16) == 0) {
            if (!get(f, at, h, sizeof h)) return cut(f, at + sizeof h, err);
            uint64_t whole = le(h + 40, 8);
            bool broadcast = h[88] & 1;
            return !broadcast && whole > f->size ? cut(f, whole, err) : SN_OK;
        }
        if (size < 24 || size > f->size - at) break;
        at += size;
    }
    return SN_OK;
}

/* ---- bare streams of frames: MP3 and ADTS ---- */

/* Bytes of the MPEG audio frame that begins with h, 0 when none does (or its length cannot be told). ISO 11172-3, 2.4.2.3. */
static size_t mpeg_frame(const unsigned char *h)
{
    static const unsigned short kbps[5][15] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448}, /* MPEG-1 layer I */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},    /* layer II */
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},     /* layer III */
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},    /* MPEG-2 layer I */
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},         /* layers II, III */
    };
    static const unsigned hz[3] = {44100, 48000, 32000};
    unsigned version = h[1] >> 3 & 3, layer = 4 - (h[1] >> 1 & 3), rate = h[2] >> 4, freq = h[2] >> 2 & 3, pad = h[2] >> 1 & 1;
    if (h[0] != 0xff || (h[1] & 0xe0) != 0xe0 || version == 1 || layer == 4 || rate == 0 || rate == 15 || freq == 3) return 0;
    unsigned sample_hz = hz[freq] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
    unsigned bits = 1000u * kbps[version == 3 ? layer - 1 : layer == 1 ? 3 : 4][rate];
    if (layer == 1) return (12 * bits / sample_hz + pad) * 4;
    return (layer == 3 && version != 3 ? 72 : 144) * bits / sample_hz + pad;
}

static size_t adts_frame(const unsigned char *h)
{
    size_t n = (size_t)(h[3] & 3) << 11 | (size_t)h[4] << 3 | h[5] >> 5;
    return h[0] == 0xff && (h[1] & 0xf6) == 0xf0 && n >= 7 ? n : 0;
}

/* What the Xing/Info tag in the first frame, at `at`, declares: frames (its own not counted) and bytes from that frame on; 0
 * where it does not say. */
static void read_xing(aud_file *f, uint64_t at, const unsigned char *h, uint64_t *n_frame, uint64_t *n_byte)
{
    bool mpeg1 = (h[1] >> 3 & 3) == 3, mono = h[3] >> 6 == 3;
    unsigned char x[16];
    uint64_t tag = at + 4 + (mpeg1 ? (mono ? 17 : 32) : (mono ? 9 : 17));
    if (!get(f, tag, x, sizeof x) || (memcmp(x, "Xing", 4) != 0 && memcmp(x, "Info", 4) != 0)) return;
    if (x[7] & 1) *n_frame = be(x + 8, 4);
    if ((x[7] & 3) == 3) *n_byte = be(x + 12, 4);
}

/* Behind the ID3v2 tags that a stream may begin with. */
static uint64_t skip_id3(aud_file *f)
{
    unsigned char h[10];
    uint64_t at = 0;
    while (get(f, at, h, 10) && memcmp(h, "ID3", 3) == 0) {
        uint64_t size = (uint64_t)(h[6] & 127) << 21 | (uint64_t)(h[7] & 127) << 14 | (uint64_t)(h[8] & 127) << 7 | (h[9] & 127);
        at += 10 + size + (h[5] & 16 ? 10 : 0);
    }
    return at;
}

/* From the first frame on, frame by frame: a last one that is cut, or less than declared, is a truncated file. Where the chain
 * breaks (a tag at the end, junk) the rest is the decoder's. */
static sn_status check_frames(aud_file *f, size_t (*length)(const unsigned char *), bool mp3, sn_err *err)
{
    unsigned char h[7];
    uint64_t at = skip_id3(f), begin = at, n = 0, n_frame = 0, n_byte = 0;
    bool in_frame = false;

    if (at > f->size) return cut(f, at, err);
    while (at < f->size) {
        size_t size = get(f, at, h, sizeof h) ? length(h) : 0;
        if (size == 0) break;
        if (n == 0 && mp3) read_xing(f, at, h, &n_frame, &n_byte);
        if (at + size > f->size && n == 0) return SN_OK; /* one alone may be chance */
        in_frame = at + size > f->size;
        if (in_frame) break;
        at += size;
        n++;
    }
    if (begin + n_byte > f->size) return cut(f, begin + n_byte, err);
    if (n > 0 && n < n_frame && (in_frame || f->size - at < sizeof h)) {
        f->cut = true;
        return sn_fail(err, SN_EFORMAT, "is truncated: %llu of %llu frames are there", (unsigned long long)n, (unsigned long long)n_frame);
    }
    return in_frame ? cut(f, 0, err) : SN_OK;
}

static sn_status check_mp3(aud_file *f, sn_err *err)
{
    return check_frames(f, mpeg_frame, true, err);
}

static sn_status check_adts(aud_file *f, sn_err *err)
{
    return check_frames(f, adts_frame, false, err);
}

/* ---- which container ---- */

typedef struct {
    const char *magic;
    size_t at, n;
    const char *second; /* more bytes at 8, or NULL */
    sn_status (*check)(aud_file *f, sn_err *err);
} container;

static const container containers[] = {
    {"RIFF", 0, 4, "WAVE", check_wav},
    {"RIFX", 0, 4, "WAVE", check_rifx},
    {"RF64", 0, 4, "WAVE", check_wav},
    {"RIFF", 0, 4, "AVI ", check_avi},
    {"riff\x2e\x91\xcf\x11", 0, 8, NULL, check_w64},
    {"FORM", 0, 4, "AIFF", check_aiff},
    {"FORM", 0, 4, "AIFC", check_aiff},
    {".snd", 0, 4, NULL, check_au},
    {"caff", 0, 4, NULL, check_caf},
    {"fLaC", 0, 4, NULL, check_flac},
    {"OggS", 0, 4, NULL, check_ogg},
    {"ftyp", 4, 4, NULL, check_mp4},
    {"moov", 4, 4, NULL, check_mp4},
    {"mdat", 4, 4, NULL, check_mp4},
    {"\x1a\x45\xdf\xa3", 0, 4, NULL, check_mkv},
    {"\x30\x26\xb2\x75\x8e\x66\xcf\x11", 0, 8, NULL, check_asf},
    {"FLV\x01", 0, 4, NULL, check_flv},
    {"NIST_1A", 0, 7, NULL, check_nist},
    {"ID3", 0, 3, NULL, check_mp3},
};

sn_status aud_check_whole(aud_file *f, sn_err *err)
{
    unsigned char head[16] = {0};
    size_t n = aud_file_read(f, 0, head, sizeof head);
    for (size_t i = 0; i < sizeof containers / sizeof containers[0]; i++) {
        const container *c = &containers[i];
        if (n < c->at + c->n || memcmp(head + c->at, c->magic, c->n) != 0) continue;
        if (c->second && (n < 12 || memcmp(head + 8, c->second, 4) != 0)) continue;
        return c->check(f, err);
    }
    if (adts_frame(head)) return check_adts(f, err);
    return mpeg_frame(head) ? check_mp3(f, err) : SN_OK;
}
