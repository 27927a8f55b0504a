/* compute.h: what a forward pass computes with: a persistent thread pool and the kernels of one instruction set. */
#ifndef CORE_COMPUTE_H
#define CORE_COMPUTE_H

#include "error.h"

typedef enum { SN_ISA_BEST = -1, SN_ISA_SCALAR, SN_ISA_AVX2, SN_ISA_AVX512, SN_ISA_AVX512_VNNI, SN_ISA_AMX, SN_ISA_COUNT } sn_isa;

const char *sn_isa_name(sn_isa isa); /* "scalar", "avx2", "avx512", "avx512-vnni", "amx" */
bool sn_isa_parse(const char *name, sn_isa *out);
bool sn_isa_usable(sn_isa isa); /* this CPU has it and this system saves its registers */
sn_isa sn_isa_best(void);

typedef struct sn_compute sn_compute;

/* n_threads 0: one per physical core. SN_EUNSUPPORTED when the CPU lacks `isa`. */
sn_status sn_compute_open(sn_compute **out, size_t n_threads, sn_isa isa, sn_err *err);
void sn_compute_close(sn_compute *c);
size_t sn_compute_threads(const sn_compute *c);
sn_isa sn_compute_isa(const sn_compute *c);

/* Runs fn(arg, part, n_parts) once for each part in 0..n_parts-1, n_parts = the number of threads, the caller being one of
 * them, and returns when all are done. Parts are fixed, though not who runs them (a part that no thread has begun is done by the
 * caller), so results do not depend on timing. Not reentrant; where several threads share c, the caller has the turn. */
void sn_parallel(sn_compute *c, void (*fn)(void *arg, size_t part, size_t n_parts), void *arg);

/* Several threads may share a compute, one at a time: who computes has the turn, from one end of a pass to the other. Not recursive.
 * sn_turn_take_last lets all go first that want it the other way: for passes that cost less, the more threads bring to them. */
void sn_turn_take(sn_compute *c);
void sn_turn_take_last(sn_compute *c);
void sn_turn_end(sn_compute *c);
/* How many threads will use c at once (1 when it is opened): models opened on c from now on are ready to take a token of each together.
 * At most SN_MAX_CALLERS. */
enum { SN_MAX_CALLERS = 16 };
void sn_compute_set_callers(sn_compute *c, size_t n);
size_t sn_compute_callers(const sn_compute *c);
/* Whether products may fall short of float32: those of float weights, and encoders' attention, round to 16 bits, and decoders take their activations with
 * 8 bits where weights are quantised (false when it is opened). To be set before weights are bound on c. */
void sn_compute_set_coarse(sn_compute *c, bool coarse);
bool sn_compute_coarse(const sn_compute *c);

/* The half-open share of part `part` of n items cut into n_parts, in multiples of `grain`. */
void sn_share(size_t n, size_t grain, size_t part, size_t n_parts, size_t *begin, size_t *end);

#endif
