/* k_panel.c: quantised weights seen as codes and scales, and their packing into panels. */
#include "kernels.h"
#include "quant.h"

#include <stddef.h>
#include <string.h>

const k_format *k_format_get(sn_type type)
{
    static const k_format formats[SN_TYPE_MAX] = {
        [SN_Q4_0] = {K_FORMAT_Q4_0}, [SN_Q4_1] = {K_FORMAT_Q4_1}, [SN_Q5_0] = {K_FORMAT_Q5_0}, [SN_Q5_1] = {K_FORMAT_Q5_1},
        [SN_Q8_0] = {K_FORMAT_Q8_0}, [SN_Q4_K] = {K_FORMAT_Q4_K}, [SN_Q5_K] = {K_FORMAT_Q5_K}, [SN_Q6_K] = {K_FORMAT_Q6_K},
    };
    return (unsigned)type < SN_TYPE_MAX && formats[type].bits != 0 ? &formats[type] : NULL;
}

/* ---- reading 32 weights of a file row ----
 *
 * Whole models are packed when they are opened: `type` is known when this is compiled for k_panel_pack, and the codes are taken by eights. */
#define INLINE static inline __attribute__((always_inline))

INLINE void nibbles(uint8_t code[32], const uint8_t qs[16])
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

/* Bit i of qh is the fifth of code i. */
INLINE void fifth_bits(uint8_t code[32], const uint8_t qh[4])
{
    for (size_t i = 0; i < 4; i++) {
        uint64_t eight, bits = qh[i] * 0x0101010101010101u & 0x8040201008040201u; /* of byte j, bit j */
        memcpy(&eight, code + 8 * i, 8);
        bits = (bits + 0x7f7f7f7f7f7f7f7fu) | bits; /* bit 7 of each byte that is not zero; the eighth had it */
        eight |= (bits >> 7 & 0x0101010101010101u) << 4;
        memcpy(code + 8 * i, &eight, 8);
    }
}

/* Codes, and scales as the file has them. */
INLINE void read_32(k_block *b, sn_type type, const unsigned char *row, size_t index)
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
        for (size_t i = 0; i < 32; i++) b->code[i] = (uint8_t)q8_0.qs[i] ^ 0x80; /* + 128 */
    }
}

/* (qs[i] >> shift & mask) << up, 32 of them, or-ed into code. */
INLINE void or_bits(uint8_t code[32], const uint8_t *qs, size_t shift, uint8_t mask, size_t up)
{
    for (size_t i = 0; i < 32; i += 8) {
        uint64_t eight, from;
        memcpy(&eight, code + i, 8);
        memcpy(&from, qs + i, 8);
        eight |= (from >> shift & mask * 0x0101010101010101u) << up;
        memcpy(code + i, &eight, 8);
    }
}

INLINE void read_k4_k5(k_block *b, const uint8_t packed[12], const uint8_t *qs, size_t k)
{
    sn_k4_scale(packed, k, &b->scale[0], &b->scale_min);
    b->scale[1] = b->scale[0];
    or_bits(b->code, qs + k / 2 * 32, 4 * (k % 2), 15, 0);
}

/* A super-block is looked at where it lies: only its 32 of the 256 are read. Its numbers of 16 bits may stand anywhere. */
INLINE void read_256(k_block *b, sn_type type, const unsigned char *row, size_t index)
{
    const size_t super = index / 8, k = index % 8;
    const unsigned char *at = row + super * sn_type_get(type)->bytes;
    if (type == SN_Q6_K) {
        memcpy(&b->d_f16, at + offsetof(sn_block_q6_k, d), 2);
        memcpy(b->scale, at + offsetof(sn_block_q6_k, scales) + 2 * k, 2);
        or_bits(b->code, at + offsetof(sn_block_q6_k, ql) + k / 4 * 64 + k % 2 * 32, 4 * (k % 4 / 2), 15, 0);
        or_bits(b->code, at + offsetof(sn_block_q6_k, qh) + k / 4 * 32, 2 * (k % 4), 3, 4);
        return;
    }
    const bool five = type == SN_Q5_K;
    memcpy(&b->d_f16, at + (five ? offsetof(sn_block_q5_k, d) : offsetof(sn_block_q4_k, d)), 2);
    memcpy(&b->m_f16, at + (five ? offsetof(sn_block_q5_k, dmin) : offsetof(sn_block_q4_k, dmin)), 2);
    read_k4_k5(b, at + (five ? offsetof(sn_block_q5_k, scales) : offsetof(sn_block_q4_k, scales)),
               at + (five ? offsetof(sn_block_q5_k, qs) : offsetof(sn_block_q4_k, qs)), k);
    if (five) or_bits(b->code, at + offsetof(sn_block_q5_k, qh), k, 1, 4);
}

void k_block_read(k_block *b, sn_type type, const void *row, size_t index)
{
    const k_format *f = k_format_get(type);
    *b = (k_block){.min = 0};
    if (f->block == 32) {
        read_32(b, type, row, index);
    } else {
        read_256(b, type, row, index);
    }
    const float d = sn_f16_to_f32(b->d_f16), m = sn_f16_to_f32(b->m_f16);
    for (size_t h = 0; h < 2; h++) {
        b->d[h] = f->block == 32 ? d : d * (f->has_halves ? (float)(int8_t)b->scale[h] : (float)b->scale[h]);
    }
    b->min = f->block == 32 ? m : -m * (float)b->scale_min;
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

INLINE void put_word(unsigned char *p, uint32_t word)
{
    memcpy(p, &word, 4);
}

INLINE void pack_planes(unsigned char *p, size_t bits, const uint8_t code[32], size_t row, size_t R)
{
    const size_t plane = 4 * R;
    uint32_t word[8], fifth = 0, high[2] = {0, 0};
    memcpy(word, code, sizeof word);
    p += 4 * row;
    if (bits == 8) {
        for (size_t j = 0; j < 8; j++) put_word(p + j * plane, word[j]);
        return;
    }
    for (size_t j = 0; j < 4; j++) put_word(p + j * plane, (word[j] & 0x0f0f0f0f) | (word[j + 4] & 0x0f0f0f0f) << 4);
    for (size_t j = 0; j < 8 && bits > 4; j++) {
        fifth |= (word[j] >> 4 & 0x01010101) << j;
        high[j / 4] |= (word[j] >> 4 & 0x03030303) << (2 * (j % 4));
    }
    if (bits == 5) put_word(p + 4 * plane, fifth);
    if (bits == 6) {
        put_word(p + 4 * plane, high[0]);
        put_word(p + 5 * plane, high[1]);
    }
}

/* A row of the file beside its neighbours. */
INLINE void pack_row(unsigned char *p, sn_type type, const k_format f, const unsigned char *from, size_t row, size_t n_in, size_t R)
{
    for (size_t b = 0; b < n_in / K_Q_BLOCK; b++) {
        k_block v = {.min = 0};
        if (f.block == 32) {
            read_32(&v, type, from, b);
        } else {
            read_256(&v, type, from, b);
        }
        if (f.block == 32 || b % 8 == 0) {
            memcpy(p + 2 * row, &v.d_f16, 2);
            if (f.has_min) memcpy(p + 2 * (R + row), &v.m_f16, 2);
            p += (f.has_min ? 4 : 2) * R;
        }
        if (f.block == 256) {
            p[row] = v.scale[0];
            p[R + row] = f.has_min ? v.scale_min : v.scale[1];
            p += 2 * R;
        }
        pack_planes(p, f.bits, v.code, row, R);
        p += K_Q_BLOCK * f.bits / 8 * R;
    }
}

#define PACK(TYPE, ...)                                                                                                                    \
    case TYPE:                                                                                                                             \
        for (size_t r = 0; r < n_rows; r++) pack_row(panel, TYPE, (k_format){__VA_ARGS__}, from + r * row_bytes, r, n_in, R);              \
        break

void k_panel_pack(void *panel, sn_type type, const void *data, size_t n_rows, size_t n_in, size_t R)
{
    const sn_type_info *info = sn_type_get(type);
    const size_t row_bytes = n_in / info->block * info->bytes;
    const unsigned char *from = data;
    if (n_rows < R) memset(panel, 0, k_panel_bytes(type, n_in, R));
    switch (type) {
        PACK(SN_Q4_0, K_FORMAT_Q4_0);
        PACK(SN_Q4_1, K_FORMAT_Q4_1);
        PACK(SN_Q5_0, K_FORMAT_Q5_0);
        PACK(SN_Q5_1, K_FORMAT_Q5_1);
        PACK(SN_Q8_0, K_FORMAT_Q8_0);
        PACK(SN_Q4_K, K_FORMAT_Q4_K);
        PACK(SN_Q5_K, K_FORMAT_Q5_K);
        PACK(SN_Q6_K, K_FORMAT_Q6_K);
    default: break;
    }
}
