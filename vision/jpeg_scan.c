/* jpeg_scan.c: counts through the Huffman codes of a sequential JPEG scan (ITU-T T.81, annex F.2) without making a picture: decoders go on
 * with zeros where the data ends early, and the rest of the picture is gray. A fifth of the time that decoding takes. */
#include "decode.h"

#define LOOK 10 /* bits looked up at once; longer codes are searched */

typedef struct {
    uint16_t fast[1 << LOOK]; /* length << 8 | symbol; 0: a longer code */
    uint32_t limit[18];       /* first 16-bit value past the codes of each length */
    int32_t first[17];        /* index of a code = first + code */
    unsigned char symbols[256];
} table;

/* dht: 16 counts and the symbols, checked to lie in the file. False when the codes do not fit. */
static bool table_init(table *t, const unsigned char *dht)
{
    uint32_t code = 0, n = 0;

    memset(t, 0, sizeof *t);
    for (uint32_t len = 1; len <= 16; len++, code <<= 1) {
        t->first[len] = (int32_t)n - (int32_t)code;
        for (uint32_t i = 0; i < dht[len - 1]; i++, code++, n++) {
            if (code >> len) return false;
            t->symbols[n] = dht[16 + n];
            for (uint32_t k = 0; len <= LOOK && k < 1u << (LOOK - len); k++)
                t->fast[(code << (LOOK - len)) + k] = (uint16_t)(len << 8 | dht[16 + n]);
        }
        t->limit[len] = code << (16 - len);
    }
    t->limit[17] = UINT32_MAX;
    return true;
}

typedef struct { /* bits from the front; behind the data come zeros, which are counted */
    const unsigned char *p, *end;
    uint64_t buf;
    uint32_t n, n_past;
} bits;

static void refill(bits *b)
{
    while (b->n <= 56) {
        uint64_t v = 0;

        if (b->p < b->end && (b->p[0] != 0xFF || (b->end - b->p > 1 && b->p[1] == 0))) {
            v = b->p[0];
            b->p += b->p[0] == 0xFF ? 2 : 1;
        } else {
            b->n_past += 8;
        }
        b->buf |= v << (56 - b->n);
        b->n += 8;
    }
}

/* A code and the bits of the value behind it, which are skipped. Returns the symbol, or -1. mask: of the symbol, the value's length. */
static inline int skip_value(bits *b, const table *t, int mask)
{
    uint32_t len, symbol;

    if (b->n < 32) refill(b);
    len = t->fast[b->buf >> (64 - LOOK)];
    symbol = len & 255;
    len >>= 8;
    if (len == 0) {
        const uint32_t head = (uint32_t)(b->buf >> 48);
        for (len = LOOK + 1; head >= t->limit[len]; len++) continue;
        if (len > 16) return -1;
        symbol = t->symbols[(t->first[len] + (int32_t)(head >> (16 - len))) & 255];
    }
    len += symbol & (uint32_t)mask;
    b->buf <<= len;
    b->n -= len;
    return (int)symbol;
}

/* ac NULL: of the first scan of a progressive picture, the DC values alone. */
static bool skip_block(bits *b, const table *dc, const table *ac)
{
    const int first = skip_value(b, dc, 15);

    if (first < 0 || first > 15) return false;
    for (int k = ac ? 1 : 64; k < 64;) {
        const int s = skip_value(b, ac, 15);
        if (s < 0) return false;
        if (s == 0) break;
        k += (s >> 4) + 1;
    }
    return b->n >= b->n_past; /* what was used up was in the file */
}

/* Behind the restart marker that ends an interval; false when none comes. */
static bool next_interval(bits *b)
{
    const unsigned char *p = b->p;

    while (b->end - p >= 2 && (p[0] != 0xFF || p[1] == 0 || p[1] == 0xFF)) p++;
    if (b->end - p < 2 || p[1] < 0xD0 || p[1] > 0xD7) return false;
    *b = (bits){.p = p + 2, .end = b->end};
    return true;
}

/* Bytes of the data that are used up to where the bits are. */
static size_t used_bytes(const bits *b, const unsigned char *begin)
{
    const unsigned char *p = b->p;

    for (uint32_t ahead = (b->n - b->n_past) / 8; ahead > 0; ahead--) p -= p[-1] == 0 && p - begin >= 2 && p[-2] == 0xFF ? 2 : 1;
    return (size_t)(p - begin);
}

size_t vis_jpeg_scan_units(vis_bytes data, const vis_jpeg_scan *s, size_t *row_end)
{
    table tables[8];
    bits b = {.p = data.p, .end = data.p + data.n};
    size_t unit = 0;

    *row_end = 0;
    for (int i = 0; i < 8; i++)
        if (s->needed >> i & 1 && !table_init(&tables[i], s->huffman[i])) return 0;
    for (; unit < s->n_units; unit++) {
        if (s->interval && unit && unit % s->interval == 0 && !next_interval(&b)) return unit;
        for (size_t c = 0; c < s->n; c++)
            for (size_t i = 0; i < s->c[c].n_blocks; i++)
                if (!skip_block(&b, &tables[s->c[c].dc], s->dc_only ? NULL : &tables[4 + s->c[c].ac])) return unit;
        if ((unit + 1) % s->row == 0) *row_end = used_bytes(&b, data.p);
    }
    return unit;
}

bool vis_jpeg_scan_is_whole(vis_bytes data, const vis_jpeg_scan *s)
{
    size_t row_end;

    return vis_jpeg_scan_units(data, s, &row_end) == s->n_units;
}
