/* lora.h: LoRA adapters (Hu et al. 2021) in llama.cpp's GGUF files: for some matrices W of a model a pair of thin ones, A and B, with
 * W + alpha / rank * B A in the place of W. Here they are read, and merged into a model's file; linear.h applies them. */
#ifndef CORE_LORA_H
#define CORE_LORA_H

#include "compute.h"
#include "gguf.h"

/* Of a matrix [n_out, n_in]. */
typedef struct {
    const sn_tensor *base; /* the matrix, in the model's file */
    const sn_tensor *a,
        *b; /* [rank, n_in] and [n_out, rank]; of a token embedding [n_out, rank] and [n_in, rank], as rows of it are read */
    size_t rank;
    float factor;     /* of the product: alpha / rank * scale */
    bool embedding;   /* base is the token embedding: what tokens become on their way in */
    bool tied_output; /* base is the token embedding in its other part, as the output, which has no tensor of its own */
} sn_lora_pair;

typedef struct {
    sn_gguf *gguf;
    sn_lora_pair *pairs; /* [n] */
    size_t n;
} sn_lora;

/* Reads the file at `path` and checks it against the model it is to change: its kind and architecture, that every tensor of it has a
 * partner and a matrix in the model, that all shapes fit. Messages begin with its name. `scale` is the user's, on top of the file's. */
sn_status sn_lora_open(sn_lora *l, const char *path, const sn_gguf *base, float scale, sn_err *err);
void sn_lora_close(sn_lora *l);

/* Writes the model base_path with the adapters loras[n] added to its weights as out_path. Keys, names and types stay, but
 * for weights of types that nothing here can be stored in (IQ, MXFP4): these become F16 where they change. A token embedding that is
 * the output as well, but for an adapter, is written twice. Holds a few MB of weights at a time, and the A of a matrix as floats. */
sn_status sn_lora_merge(sn_compute *c, const char *base_path, const senses_lora *loras, size_t n, const char *out_path,
                        const senses_merge_params *p, senses_merge_result *result, sn_err *err);

#endif
