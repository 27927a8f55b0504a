/* k_amx.c: AMX: products of 16 x 32 by 32 x 16 values in one instruction.
 *
 * Float weights that meet many rows at once: of bfloat16s. A value is split into two bfloat16s, high + low, which hold 16 of its bits (an F16 weight whole), and a product is high * high + high * low
 * + low * high, summed in float32: what is left out is 2^-17 of it. Quantised weights: of bytes, in k_amx_quant.inc. */
#include "k_vec512.h"

#include "k_put.inc"

#include "k_vnni512.h"

enum { STEP = 32, LANES = 16, TILE = LANES * 64, TOKENS = 2 * LANES, ROWS = 2 * LANES };

/* Sixteen floats as high and low. */
INLINE void split(__m256i *high, __m256i *low, vf x)
{
    const __m256bh h = _mm512_cvtneps_pbh(x);
    *high = (__m256i)h;
    *low = (__m256i)_mm512_cvtneps_pbh(vf_sub(x, vf_load_bf16(high)));
}

/* For each 32 values of the rows: [n_tok, 32] high, [n_tok, 32] low. */
static void matrix_tile(void *tile, const float *x, size_t ldx, size_t n_tok, size_t n_in)
{
    unsigned char *to = tile;
    for (size_t k = 0; k < n_in; k += STEP, to += 2 * n_tok * 64) {
        for (size_t t = 0; t < n_tok; t++) {
            const float *from = x + t * ldx + k;
            for (size_t half = 0; half < 2; half++) {
                const size_t done = k + half * LANES, n = n_in > done ? n_in - done : 0;
                const vf v = n >= LANES ? vf_load(from + half * LANES) : n > 0 ? vf_load_n(from + half * LANES, n) : vf_set1(0);
                __m256i high, low;
                split(&high, &low, v);
                _mm256_storeu_si256((__m256i *)(void *)(to + t * 64 + half * 32), high);
                _mm256_storeu_si256((__m256i *)(void *)(to + (n_tok + t) * 64 + half * 32), low);
            }
        }
    }
}

/* Two values of a row side by side. */
INLINE __m512i pair(__m256i even, __m256i odd)
{
    return _mm512_or_si512(_mm512_cvtepu16_epi32(even), _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
}

/* rows [n_k, 32] of a float panel, n_k <= 32, as four tiles: high of its first and last 16 columns, low of them. */
static void matrix_panel(void *panel, const float *rows, size_t n_k)
{
    unsigned char *to = panel;
    for (size_t k = 0; k < STEP; k += 2, to += 64) {
        for (size_t c = 0; c < 2; c++) {
            const vf even = k < n_k ? vf_load(rows + k * ROWS + c * LANES) : vf_set1(0);
            const vf odd = k + 1 < n_k ? vf_load(rows + (k + 1) * ROWS + c * LANES) : vf_set1(0);
            __m256i high[2], low[2];
            split(&high[0], &low[0], even);
            split(&high[1], &low[1], odd);
            _mm512_storeu_si512(to + c * TILE, pair(high[0], high[1]));
            _mm512_storeu_si512(to + (2 + c) * TILE, pair(low[0], low[1]));
        }
    }
}

typedef struct { /* as LDTILECFG reads it (Intel SDM, volume 1, chapter 18) */
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_config;

/* Registers 0 .. 3 are the sums of 16 tokens by 16 columns, 4 and 5 hold tokens, 6 and 7 columns. */
static void configure(size_t first, size_t second)
{
    tile_config c = {.palette = 1};
    const size_t rows[8] = {first, first, second, second, first, second, LANES, LANES};
    for (size_t i = 0; i < 8; i++) {
        c.rows[i] = (uint8_t)rows[i];
        c.bytes[i] = rows[i] > 0 ? 64 : 0;
    }
    _tile_loadconfig(&c);
}

/* Both halves of the tokens, `a` and `a2`, by both halves of the columns at b; second: there is another half. */
#define MULTIPLY(second)                                                                                                                   \
    do {                                                                                                                                   \
        _tile_dpbf16ps(0, 4, 6);                                                                                                           \
        _tile_dpbf16ps(1, 4, 7);                                                                                                           \
        if (second) {                                                                                                                      \
            _tile_dpbf16ps(2, 5, 6);                                                                                                       \
            _tile_dpbf16ps(3, 5, 7);                                                                                                       \
        }                                                                                                                                  \
    } while (0)

INLINE void steps(const unsigned char *b, const unsigned char *a, size_t n_step, size_t n_tok, bool second)
{
    for (size_t s = 0; s < n_step; s++, b += 4 * TILE, a += 2 * n_tok * 64) {
        const unsigned char *low = a + n_tok * 64;
        _tile_loadd(4, a, 64);
        if (second) _tile_loadd(5, a + TILE, 64);
        _tile_loadd(6, b + 2 * TILE, 64);
        _tile_loadd(7, b + 3 * TILE, 64);
        MULTIPLY(second);
        _tile_loadd(6, b, 64);
        _tile_loadd(7, b + TILE, 64);
        MULTIPLY(second);
        _tile_loadd(4, low, 64);
        if (second) _tile_loadd(5, low + TILE, 64);
        MULTIPLY(second);
    }
}

static void product_m(const k_dest *to, const void *panel, const void *tile, size_t n_in, size_t n_tok)
{
    const size_t first = n_tok < LANES ? n_tok : LANES, second = n_tok - first, n_step = (n_in + STEP - 1) / STEP;
    _Alignas(64) float sums[TOKENS][ROWS];
    configure(first, second);
    _tile_zero(0);
    _tile_zero(1);
    if (second > 0) {
        _tile_zero(2);
        _tile_zero(3);
        steps(panel, tile, n_step, n_tok, true);
        _tile_stored(2, sums[LANES], sizeof *sums);
        _tile_stored(3, sums[LANES] + LANES, sizeof *sums);
    } else {
        steps(panel, tile, n_step, n_tok, false);
    }
    _tile_stored(0, sums[0], sizeof *sums);
    _tile_stored(1, sums[0] + LANES, sizeof *sums);
    _tile_release();
    for (size_t t = 0; t < n_tok; t++) {
        const vf sum[2] = {vf_load(sums[t]), vf_load(sums[t] + LANES)};
        put(to, t, sum, 2);
    }
}

#define Q_AMX
#include "k_quant.inc"

void k_init_amx(k_ops *k)
{
    quant_init(k);
    k->m_tile = TOKENS;
    k->matrix_tile = matrix_tile;
    k->matrix_panel = matrix_panel;
    k->product_m = product_m;
}
