/* tensor.h: the types that weights are stored in, and a view of a stored tensor. */
#ifndef CORE_TENSOR_H
#define CORE_TENSOR_H

#include "error.h"

/* The ids of ggml, as they stand in GGUF files. */
/* clang-format off */
typedef enum {
    SN_F32 = 0, SN_F16 = 1, SN_Q4_0 = 2, SN_Q4_1 = 3, SN_Q5_0 = 6, SN_Q5_1 = 7, SN_Q8_0 = 8, SN_Q8_1 = 9,
    SN_Q2_K = 10, SN_Q3_K = 11, SN_Q4_K = 12, SN_Q5_K = 13, SN_Q6_K = 14, SN_Q8_K = 15,
    SN_IQ2_XXS = 16, SN_IQ2_XS = 17, SN_IQ3_XXS = 18, SN_IQ1_S = 19, SN_IQ4_NL = 20, SN_IQ3_S = 21, SN_IQ2_S = 22, SN_IQ4_XS = 23,
    SN_I8 = 24, SN_I16 = 25, SN_I32 = 26, SN_I64 = 27, SN_F64 = 28, SN_IQ1_M = 29, SN_BF16 = 30, SN_TQ1_0 = 34, SN_TQ2_0 = 35,
    SN_MXFP4 = 39, SN_TYPE_MAX = 64
} sn_type;
/* clang-format on */

typedef struct {
    const char *name; /* "Q4_1" */
    size_t block;     /* values in a block: 1, 32 or 256 */
    size_t bytes;     /* of a block */
    /* dst[n] f32 = the values of n / block consecutive blocks; n a multiple of block. NULL: not a weight type. */
    void (*dequantize)(float *dst, const void *src, size_t n);
    /* The reverse, by round-to-nearest (no search); NULL where there is none. */
    void (*quantize)(void *dst, const float *src, size_t n);
} sn_type_info;

/* NULL for an id that is not known. */
const sn_type_info *sn_type_get(uint32_t id);

#define SN_MAX_DIMS 4
/* "[1024, 768]", for messages; cut where there is no room. */
void sn_shape_text(char *buf, size_t room, const size_t *shape, size_t n_dims);
#define SN_MAX_NAME 64

typedef struct {
    char name[SN_MAX_NAME + 1];
    sn_type type;
    size_t n_dims;
    size_t shape[SN_MAX_DIMS]; /* slowest axis first: a linear weight is [n_out, n_in]. (The file has them reversed.) */
    size_t n_values, n_bytes;
    const void *data; /* in the map, aligned to the file's alignment (>= 32 in practice, never assumed by kernels) */
} sn_tensor;

/* IEEE half and bfloat16 <-> float, round to nearest even; portable, used where speed does not matter. */
float sn_f16_to_f32(uint16_t h);
uint16_t sn_f32_to_f16(float f);
float sn_bf16_to_f32(uint16_t h);
uint16_t sn_f32_to_bf16(float f);

#endif
