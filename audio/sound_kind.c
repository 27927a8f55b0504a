/* sound_kind.c: which files hold sound alone, by their first bytes. */
#include "audio.h"

#include <string.h>

/* The length in bytes of the MPEG audio frame (ISO 11172-3, 13818-3) whose header stands at p; 0: none does. */
static size_t mpeg_frame(const unsigned char *p)
{
    static const unsigned kbps[2][3][15] = {/* MPEG-1 and 2, layers I to III */
                                            {{0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
                                             {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
                                             {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}},
                                            {{0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
                                             {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
                                             {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}}};
    static const unsigned rates_hz[3] = {44100, 48000, 32000};
    unsigned version = p[1] >> 3 & 3, layer = 3 - (p[1] >> 1 & 3), bits = p[2] >> 4, rate = p[2] >> 2 & 3, pad = p[2] >> 1 & 1;

    if (p[0] != 0xFF || (p[1] & 0xE0) != 0xE0 || version == 1 || layer == 3 || bits == 0 || bits == 15 || rate == 3) return 0;
    unsigned hz = rates_hz[rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2), bps = kbps[version != 3][layer][bits] * 1000;
    if (layer == 0) return (12 * bps / hz + pad) * 4;
    return (layer == 2 && version != 3 ? 72 : 144) * bps / hz + pad;
}

/* The same of an AAC frame in ADTS (ISO 13818-7). */
static size_t adts_frame(const unsigned char *p)
{
    if (p[0] != 0xFF || (p[1] & 0xF6) != 0xF0 || (p[2] >> 2 & 15) > 12) return 0;
    return (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
}

/* The only frame, or two in a row: one header is only twelve fixed bits, which text in UTF-16 begins with as well. */
static bool frames_follow(const unsigned char *p, size_t n, size_t (*frame)(const unsigned char *))
{
    enum { HEADER = 6 };
    if (n < HEADER) return false;
    size_t length = frame(p);
    return length >= HEADER && (n == length || (n >= length + HEADER && frame(p + length) != 0));
}

bool aud_is_sound(const void *head, size_t n)
{
    static const struct {
        size_t n;
        const char *magic;
        size_t at, n2;
        const char *second;
    } kinds[] = {
        {4, "RIFF", 8, 4, "WAVE"}, {4, "RIFX", 8, 4, "WAVE"}, {4, "RF64", 8, 4, "WAVE"}, {8, "riff\x2e\x91\xcf\x11", 0, 0, ""},
        {4, "FORM", 8, 4, "AIFF"}, {4, "FORM", 8, 4, "AIFC"}, {4, ".snd", 0, 0, ""},     {4, "caff", 0, 0, ""},
        {4, "fLaC", 0, 0, ""},     {7, "NIST_1A", 0, 0, ""},  {3, "ID3", 0, 0, ""},      {5, "#!AMR", 0, 0, ""},
        {4, "MAC ", 0, 0, ""},     {3, "MP+", 0, 0, ""},      {4, "MPCK", 0, 0, ""},     {4, "TTA1", 0, 0, ""},
        {4, "wvpk", 0, 0, ""},     {4, "tBaK", 0, 0, ""},     {2, "\x0B\x77", 0, 0, ""}, {4, "\x7F\xFE\x80\x01", 0, 0, ""},
        {4, "EA3\x03", 0, 0, ""},  {4, "ea3\x03", 0, 0, ""},  {4, "RIFF", 8, 4, "XWMA"}, {19, "Creative Voice File", 0, 0, ""},
    };
    const unsigned char *p = head;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (n < kinds[i].n || n < kinds[i].at + kinds[i].n2) continue;
        if (memcmp(p, kinds[i].magic, kinds[i].n) == 0 && memcmp(p + kinds[i].at, kinds[i].second, kinds[i].n2) == 0) return true;
    }
    return frames_follow(p, n, mpeg_frame) || frames_follow(p, n, adts_frame);
}
