/* bind.h: declarative, total binding of a file's tensors to a model's weights. A missing, mistyped or misshapen tensor fails
 * at open, with one line that says which, what is wanted and what the file has. The first problem wins (sticky). */
#ifndef CORE_BIND_H
#define CORE_BIND_H

#include "gguf.h"
#include "linear.h"

typedef struct {
    const sn_gguf *gguf;
    sn_compute *compute;
    bool coarse; /* of what is bound from now on (sn_linear) */
    bool plan;   /* sn_linear_plan in place of sn_linear_init: to be set after sn_bind_init */
    bool *used;  /* [n_tensors]: bound already */
    sn_status status;
    sn_err *err;
} sn_bind;

sn_status sn_bind_init(sn_bind *b, const sn_gguf *g, sn_compute *c, sn_err *err);

/* w [n_out, n_in] from "<name>.weight", and a bias [n_out] from "<name>.bias" as asked. `name` is a printf format. */
typedef enum { SN_BIAS_NONE, SN_BIAS_OPTIONAL, SN_BIAS_REQUIRED } sn_bias;
void sn_bind_linear(sn_bind *b, sn_linear *w, size_t n_out, size_t n_in, sn_bias bias, const char *name, ...) SN_PRINTF(6, 7);
/* A norm's weight [n] and, where `bias` asks for it, bias [n]; copied to f32. */
void sn_bind_norm(sn_bind *b, sn_norm *w, size_t n, sn_bias bias, const char *name, ...) SN_PRINTF(5, 6);
/* Any tensor dequantised to f32 (the caller sn_frees *out); shape must match exactly, `optional` gives NULL when absent.
 * A leading or trailing axis of 1 in the file is ignored. `name` is the full tensor name. */
void sn_bind_f32(sn_bind *b, float **out, const size_t *shape, size_t n_dims, bool optional, const char *name, ...) SN_PRINTF(6, 7);
/* The tensor itself, checked as above, in the map: for those who read single rows of it and want no packed copy. */
void sn_bind_tensor(sn_bind *b, const sn_tensor **out, const size_t *shape, size_t n_dims, const char *name, ...) SN_PRINTF(5, 6);
bool sn_bind_has(const sn_bind *b, const char *name, ...) SN_PRINTF(2, 3);
/* The first tensor that nothing was bound from, or NULL: for families that must leave none. */
const sn_tensor *sn_bind_unused(const sn_bind *b);
/* The first problem, wrapped with the file's name; releases b's own memory. What was bound until then is the caller's to free:
 * every output was set, to zeros where its tensor was not bound. */
sn_status sn_bind_done(sn_bind *b);

#endif
