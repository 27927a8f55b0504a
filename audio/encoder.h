/* encoder.h: the weights of a Whisper encoder, for who binds them: whisper.c (a Whisper file) and the families (an mmproj).
 *
 *   aud_encoder_create(&e, &hparams, compute, err)   checks the hparams; weights are all zero, blocks [n_layer] are there
 *   w = aud_encoder_get_weights(e)                   fill every field with sn_linear_init / sn_bind_*; e owns them from then on
 *   aud_encoder_prepare(e, err)                      once all are bound: plans the scratch arena; after it nothing is allocated
 *   aud_encoder_run(e, ...)
 *   aud_encoder_destroy(e)                           at any point after create, also when binding failed half-way
 */
#ifndef AUDIO_ENCODER_H
#define AUDIO_ENCODER_H

#include "../core/bind.h"
#include "../core/linear.h"
#include "audio.h"

typedef struct {       /* names: OpenAI's / GGUF's (Whisper files) / GGUF's (mmproj) */
    sn_norm ln1;       /* weight, bias [n_embd]; attn_ln */
    sn_linear q, k, v; /* [n_embd, n_embd]; attn.{query,key,value}; k has no bias */
    sn_linear out;     /* [n_embd, n_embd]; attn.out */
    sn_norm ln2;       /* weight, bias [n_embd]; mlp_ln */
    sn_linear fc1;     /* [n_ff, n_embd]; mlp.0 */
    sn_linear fc2;     /* [n_embd, n_ff]; mlp.2 */
} aud_encoder_block;

typedef struct {
    sn_linear conv1;           /* [n_embd, n_mel * 3], column c * 3 + tap: the order in every file; with bias */
    sn_linear conv2;           /* [n_embd, n_embd * 3], likewise */
    float *positions;          /* [n_ctx, n_embd], from sn_alloc; owned */
    aud_encoder_block *blocks; /* [n_layer] */
    sn_norm ln_post;           /* weight, bias [n_embd]; free of use where a family applies its own */
} aud_encoder_weights;

/* SN_EFORMAT names the value that is out of range (n_head must divide n_embd, n_layer 1..256, n_mel 1..512, ...). */
sn_status aud_encoder_create(aud_encoder **out, const aud_encoder_hparams *hp, sn_compute *c, sn_err *err);
aud_encoder_weights *aud_encoder_get_weights(aud_encoder *e);
sn_status aud_encoder_prepare(aud_encoder *e, sn_err *err);
void aud_encoder_destroy(aud_encoder *e);
size_t aud_encoder_bytes(const aud_encoder *e); /* memory of its own: packed weights, norms, positions, scratch */

/* conv weight [n_out, n_ch, 3] of F32, F16 or BF16 from "<name>.weight" and its bias [n_out] from "<name>.bias": as a linear of
 * n_ch * 3 columns. Sticky like sn_bind_linear. */
void aud_bind_conv(sn_bind *b, sn_linear *w, size_t n_out, size_t n_ch, const char *name);

#endif
