/* safetensors.h: the weights of a Hugging Face folder (github.com/huggingface/safetensors, README "Format"): model.safetensors,
 * or the parts that model.safetensors.index.json names, mapped. What is returned lies inside the files and does not overlap; names
 * are unique. Messages begin with the file's name. */
#ifndef CORE_SAFETENSORS_H
#define CORE_SAFETENSORS_H

#include "tensor.h"

#define SN_SAFETENSOR_DIMS 5 /* a convolution over pictures and frames */

typedef struct {
    char *name;
    char dtype[16];                           /* as in the file: "BF16" */
    sn_type type;                             /* SN_F32, SN_F16 or SN_BF16; SN_TYPE_MAX for all others */
    size_t n_dims, shape[SN_SAFETENSOR_DIMS]; /* slowest axis first; n_dims is SN_SAFETENSOR_DIMS + 1 where there are more */
    size_t n_values, n_bytes;
    const unsigned char *data; /* of any alignment */
    size_t part;               /* which file it is in */
} sn_safetensor;

typedef struct sn_safetensors sn_safetensors;

sn_status sn_safetensors_open(sn_safetensors **out, const char *dir, sn_err *err);
void sn_safetensors_close(sn_safetensors *s);
size_t sn_safetensors_n(const sn_safetensors *s);
const sn_safetensor *sn_safetensors_at(const sn_safetensors *s, size_t i); /* in the order of the files' headers */
const char *sn_safetensors_path(const sn_safetensors *s, const sn_safetensor *t);
/* n bytes at p, of t's data, leave memory until they are touched again. */
void sn_safetensors_forget(const sn_safetensors *s, const sn_safetensor *t, const void *p, size_t n);

#endif
