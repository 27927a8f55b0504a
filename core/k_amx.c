/* k_amx.c: AMX: whole tiles of tokens by quantised weights, products of 16 x 32 by 32 x 16 bytes in one instruction. Floats rounded to 16 bits keep VNNI. */
#include "k_vec512.h"

#include "k_put.inc"

#include "k_vnni512.h"

enum { LANES = 16 };

typedef struct { /* as LDTILECFG reads it (Intel SDM, volume 1, chapter 18) */
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} tile_config;

#define Q_AMX
#include "k_quant.inc"

void k_init_amx(k_ops *k)
{
    quant_init(k);
}
