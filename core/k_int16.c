/* k_int16.c: the panels and tiles of values rounded to 16 bits; see kernels.h. */
#include "kernels.h"
#include "quant.h"

#include <string.h>

/* n values of a float type from value `first` of a row on, as floats. */
static void widen(const k_ops *k, float *to, sn_type type, const unsigned char *row, size_t first, size_t n)
{
    switch (type) {
    case SN_F16: k->f16_to_f32(to, row + 2 * first, n); break;
    case SN_BF16: k->bf16_to_f32(to, row + 2 * first, n); break;
    default: memcpy(to, row + 4 * first, n * sizeof *to); break;
    }
}

/* The block at p: n_rows rows of the n codes (an odd n gets a zero) as pairs beside those of their neighbours. Pairs have the size of floats, and the
 * transposition looks at no value. */
static void put_block(const k_ops *k, unsigned char *p, const float *d, int16_t code[][K_I16_BLOCK], size_t n_rows, size_t n)
{
    if (n % 2 != 0)
        for (size_t r = 0; r < n_rows; r++) code[r][n] = 0;
    memcpy(p, d, n_rows * sizeof *d);
    k->tile_f((float *)(void *)(p + n_rows * sizeof *d), (const float *)(const void *)code, K_I16_BLOCK / 2, n_rows, (n + 1) / 2);
}

void k_i16_panel_pack(const k_ops *k, void *panel, sn_type type, const void *data, size_t row_bytes, size_t n_rows, size_t n_in)
{
    const size_t R = k->i16_rows;
    unsigned char *p = panel;
    for (size_t first = 0, n; first < n_in; first += n, p += k_i16_bytes(n, R)) {
        float value[K_I16_BLOCK], d[K_MAX_ROWS] = {0};
        int16_t code[K_MAX_ROWS][K_I16_BLOCK];
        n = n_in - first < K_I16_BLOCK ? n_in - first : K_I16_BLOCK;
        if (n_rows < R) memset(code, 0, sizeof code);
        for (size_t r = 0; r < n_rows; r++) {
            widen(k, value, type, (const unsigned char *)data + r * row_bytes, first, n);
            d[r] = k->round_i16(code[r], value, n);
        }
        put_block(k, p, d, code, R, n);
    }
}

void k_i16_tile(const k_ops *k, void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in)
{
    unsigned char *p = tile;
    for (size_t first = 0, n; first < n_in; first += n, p += k_i16_bytes(n, n_tok)) {
        float d[K_MAX_TILE];
        int16_t code[K_MAX_TILE][K_I16_BLOCK];
        n = n_in - first < K_I16_BLOCK ? n_in - first : K_I16_BLOCK;
        for (size_t t = 0; t < n_tok; t++) d[t] = k->round_i16(code[t], x + t * ldx + first, n);
        put_block(k, p, d, code, n_tok, n);
    }
}
