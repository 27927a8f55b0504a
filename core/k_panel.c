/* k_panel.c: quantised weights seen as codes and scales, and their packing into panels. */
#include "kernels.h"
#include "quant.h"

#include <string.h>

const k_format *k_format_get(sn_type type)
{
    static const k_format formats[SN_TYPE_MAX] = {
        /*            block bits offset min   halves */
        [SN_Q4_0] = {32, 4, 8, false, false}, [SN_Q4_1] = {32, 4, 0, true, false},    [SN_Q5_0] = {32, 5, 16, false, false},
        [SN_Q5_1] = {32, 5, 0, true, false},  [SN_Q8_0] = {32, 8, 128, false, false}, [SN_Q4_K] = {256, 4, 0, true, false},
        [SN_Q5_K] = {256, 5, 0, true, false}, [SN_Q6_K] = {256, 6, 32, false, true},
    };
    return (unsigned)type < SN_TYPE_MAX && formats[type].bits != 0 ? &formats[type] : NULL;
}

/* ---- reading 32 weights of a file row ---- */

static void nibbles(uint8_t code[32], const uint8_t qs[16]) /* eight at a time */
{
    for (size_t i = 0; i < 16; i += 8) {
        uint64_t both, low, high;
        memcpy(&both, qs + i, 8);
        low = both & 0x0f0f0f0f0f0f0f0f;
        high = both >> 4 & 0x0f0f0f0f0f0f0f0f;
        memcpy(code + i, &low, 8);
        memcpy(code + i + 16, &high, 8);
    }
}

static void fifth_bits(uint8_t code[32], const uint8_t qh[4])
{
    for (size_t i = 0; i < 32; i++) code[i] |= (uint8_t)((qh[i / 8] >> (i % 8) & 1) << 4);
}

static void read_32(k_block *b, sn_type type, const unsigned char *row, size_t index)
{
    sn_block_q4_0 q4_0;
    sn_block_q4_1 q4_1;
    sn_block_q5_0 q5_0;
    sn_block_q5_1 q5_1;
    sn_block_q8_0 q8_0;
    switch (type) {
    case SN_Q4_0:
        memcpy(&q4_0, row + index * sizeof q4_0, sizeof q4_0);
        b->d_f16 = q4_0.d;
        nibbles(b->code, q4_0.qs);
        break;
    case SN_Q4_1:
        memcpy(&q4_1, row + index * sizeof q4_1, sizeof q4_1);
        b->d_f16 = q4_1.d;
        b->m_f16 = q4_1.m;
        nibbles(b->code, q4_1.qs);
        break;
    case SN_Q5_0:
        memcpy(&q5_0, row + index * sizeof q5_0, sizeof q5_0);
        b->d_f16 = q5_0.d;
        nibbles(b->code, q5_0.qs);
        fifth_bits(b->code, q5_0.qh);
        break;
    case SN_Q5_1:
        memcpy(&q5_1, row + index * sizeof q5_1, sizeof q5_1);
        b->d_f16 = q5_1.d;
        b->m_f16 = q5_1.m;
        nibbles(b->code, q5_1.qs);
        fifth_bits(b->code, q5_1.qh);
        break;
    default: /* SN_Q8_0 */
        memcpy(&q8_0, row + index * sizeof q8_0, sizeof q8_0);
        b->d_f16 = q8_0.d;
        memcpy(b->code, q8_0.qs, 32);
        for (size_t i = 0; i < 32; i++) b->code[i] ^= 0x80; /* + 128 */
    }
    b->d[0] = b->d[1] = sn_f16_to_f32(b->d_f16);
    b->min = sn_f16_to_f32(b->m_f16);
}

static void read_k4_k5(k_block *b, const uint8_t packed[12], const uint8_t qs[128], size_t k)
{
    uint8_t scales[8], minima[8];
    sn_k4_scales(packed, scales, minima);
    b->scale[0] = b->scale[1] = scales[k];
    b->scale_min = minima[k];
    for (size_t i = 0; i < 32; i++) b->code[i] = qs[k / 2 * 32 + i] >> (4 * (k % 2)) & 15;
    b->d[0] = b->d[1] = sn_f16_to_f32(b->d_f16) * (float)scales[k];
    b->min = -sn_f16_to_f32(b->m_f16) * (float)minima[k];
}

static void read_256(k_block *b, sn_type type, const unsigned char *row, size_t index)
{
    const size_t super = index / 8, k = index % 8;
    sn_block_q4_k q4;
    sn_block_q5_k q5;
    sn_block_q6_k q6;
    switch (type) {
    case SN_Q4_K:
        memcpy(&q4, row + super * sizeof q4, sizeof q4);
        b->d_f16 = q4.d;
        b->m_f16 = q4.dmin;
        read_k4_k5(b, q4.scales, q4.qs, k);
        break;
    case SN_Q5_K:
        memcpy(&q5, row + super * sizeof q5, sizeof q5);
        b->d_f16 = q5.d;
        b->m_f16 = q5.dmin;
        read_k4_k5(b, q5.scales, q5.qs, k);
        for (size_t i = 0; i < 32; i++) b->code[i] |= (uint8_t)((q5.qh[i] >> k & 1) << 4);
        break;
    default: /* SN_Q6_K */
        memcpy(&q6, row + super * sizeof q6, sizeof q6);
        b->d_f16 = q6.d;
        b->scale[0] = (uint8_t)q6.scales[2 * k];
        b->scale[1] = (uint8_t)q6.scales[2 * k + 1];
        for (size_t i = 0; i < 32; i++) {
            const int low = q6.ql[k / 4 * 64 + k % 2 * 32 + i] >> (4 * (k % 4 / 2)) & 15;
            const int high = q6.qh[k / 4 * 32 + i] >> (2 * (k % 4)) & 3;
            b->code[i] = (uint8_t)(low | high << 4);
        }
        for (size_t h = 0; h < 2; h++) b->d[h] = sn_f16_to_f32(b->d_f16) * (float)q6.scales[2 * k + h];
    }
}

void k_block_read(k_block *b, sn_type type, const void *row, size_t index)
{
    *b = (k_block){.min = 0};
    if (k_format_get(type)->block == 32) {
        read_32(b, type, row, index);
    } else {
        read_256(b, type, row, index);
    }
}

/* ---- panels ----
 *
 * For each block of 32 (b), with R rows side by side, "word" j of a row being its codes 4j .. 4j + 3 in 4 bytes:
 *
 *   types of 32     d f16[R] | m f16[R] where has_min | planes
 *   K types         before b % 8 == 0: d f16[R] | dmin f16[R] where has_min
 *                   scale u8[R] | minimum u8[R]  (Q6_K: scale of the first half i8[R], of the second i8[R]) | planes
 *
 *   planes, 8 bits  8 of [R words]: word j of every row
 *   4, 5, 6 bits    4 of [R words]: word j in the low nibbles, word j + 4 in the high ones
 *     + 5 bits      1 of [R words]: bit j of a byte is the fifth bit of word j
 *     + 6 bits      2 of [R words]: bits 2j, 2j + 1 of the first are the high pair of word j, of the second of word j + 4
 */
static size_t planes_bytes(const k_format *f, size_t R)
{
    return K_Q_BLOCK * f->bits / 8 * R;
}

size_t k_panel_bytes(sn_type type, size_t n_in, size_t R)
{
    const k_format *f = k_format_get(type);
    const size_t halves = (f->has_min ? 4 : 2) * R, n_blk = n_in / K_Q_BLOCK;
    if (f->block == 32) return n_blk * (halves + planes_bytes(f, R));
    return n_blk / 8 * halves + n_blk * (2 * R + planes_bytes(f, R));
}

static void put_word(unsigned char *p, uint32_t word)
{
    memcpy(p, &word, 4);
}

static void pack_planes(unsigned char *p, const k_format *f, const uint8_t code[32], size_t row, size_t R)
{
    const size_t plane = 4 * R;
    uint32_t word[8], fifth = 0, high[2] = {0, 0};
    memcpy(word, code, sizeof word);
    p += 4 * row;
    if (f->bits == 8) {
        for (size_t j = 0; j < 8; j++) put_word(p + j * plane, word[j]);
        return;
    }
    for (size_t j = 0; j < 4; j++) put_word(p + j * plane, (word[j] & 0x0f0f0f0f) | (word[j + 4] & 0x0f0f0f0f) << 4);
    for (size_t j = 0; j < 8; j++) {
        fifth |= (word[j] >> 4 & 0x01010101) << j;
        high[j / 4] |= (word[j] >> 4 & 0x03030303) << (2 * (j % 4));
    }
    if (f->bits == 5) put_word(p + 4 * plane, fifth);
    if (f->bits == 6) {
        put_word(p + 4 * plane, high[0]);
        put_word(p + 5 * plane, high[1]);
    }
}

void k_panel_pack(void *panel, sn_type type, const void *data, size_t n_rows, size_t n_in, size_t R)
{
    const k_format *f = k_format_get(type);
    const sn_type_info *info = sn_type_get(type);
    const size_t row_bytes = n_in / info->block * info->bytes;
    unsigned char *p = panel;
    memset(panel, 0, k_panel_bytes(type, n_in, R));
    for (size_t b = 0; b < n_in / K_Q_BLOCK; b++) {
        unsigned char *d = p, *m = p + 2 * R;
        const bool has_d = f->block == 32 || b % 8 == 0;
        if (has_d) p += (f->has_min ? 4 : 2) * R;
        unsigned char *scale = p;
        if (f->block == 256) p += 2 * R;
        for (size_t r = 0; r < n_rows; r++) {
            k_block v;
            k_block_read(&v, type, (const unsigned char *)data + r * row_bytes, b);
            if (has_d) memcpy(d + 2 * r, &v.d_f16, 2);
            if (has_d && f->has_min) memcpy(m + 2 * r, &v.m_f16, 2);
            if (f->block == 256) {
                scale[r] = v.scale[0];
                scale[R + r] = f->has_min ? v.scale_min : v.scale[1];
            }
            pack_planes(p, f, v.code, r, R);
        }
        p += planes_bytes(f, R);
    }
}
