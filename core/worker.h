/* worker.h: work on hostile bytes in a process of its own, which can do nothing else (sandbox.h) and hands its results back through
 * a pipe. What it sends is to be checked as if it stood in a file.
 *
 *   parent ── order ──▶ nursery ── fork ──▶ child: sandbox, work(out, arg) ── sn_worker_send ──▶ pipe ──▶ sn_worker_read: parent
 *
 * The child is forked by the nursery (nursery.h), a process of one thread that was there before the parent had a model or a medium: so the
 * child has none of them, and no lock that a thread of the parent held. Where there is no nursery the parent forks. Large results
 * go through shared memory, which the parent looks at after sn_worker_close. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "error.h"

/* Memory that the parent and the child both write, zeros at first; whoever has it open can neither shrink nor grow it. It counts as a file: a
 * limit on their size (RLIMIT_FSIZE) below n is SN_ELIMIT. */
typedef struct {
    int fd;
    unsigned char *data;
    size_t n;
} sn_shared;
sn_status sn_shared_open(sn_shared *out, size_t n, sn_err *err);
/* All but the first `keep` bytes are given back, and the descriptor is closed; what is kept is the caller's to munmap (whole pages of it). */
void sn_shared_close(sn_shared *s, size_t keep);

typedef struct {
    int fd;                        /* the input, which the child has as sn_worker_input; -1: none */
    const sn_shared *shared;       /* the child has it as sn_worker_shared; NULL: none */
    sn_status (*ready)(sn_err *e); /* opens what the work cannot open any more, once in a process; NULL: nothing */
    size_t memory_bytes;           /* that the work may take; 0: 1 GiB */
    double cpu_s;                  /* of processor time that it may take; 0: an hour */
    double wait_s;                 /* for the next bytes, then the child is ended; 0: two minutes */
} sn_worker_limits;

typedef struct sn_worker sn_worker;
typedef struct sn_worker_out sn_worker_out;
/* Runs in the child. Its status and message become those of sn_worker_read behind the last byte. */
typedef sn_status (*sn_worker_fn)(sn_worker_out *out, const void *arg, sn_err *err);

/* Before a process has threads, models or media: from here on it has a nursery, if it can have one. Done by the first sn_worker_start too. */
void sn_worker_prepare(void);
#define SN_WORKER_MAX_ARG 512
/* *arg is copied, and has no pointers, except to what is constant; at most SN_WORKER_MAX_ARG bytes. */
sn_status sn_worker_start(sn_worker **out, const sn_worker_limits *limits, sn_worker_fn work, const void *arg, size_t arg_bytes,
                          sn_err *err);
/* The next n bytes; *got < n only at the end of good work. Else the work's own error, or SN_EFORMAT: "the decoder crashed (signal 11)",
 * SN_ELIMIT: over a limit of time. */
sn_status sn_worker_read(sn_worker *w, void *dst, size_t n, size_t *got, sn_err *err);
/* Ends the child in any case, and waits for its end. */
void sn_worker_close(sn_worker *w);

/* In the child: hands n bytes to the parent, when it reads them. */
sn_status sn_worker_send(sn_worker_out *out, const void *data, size_t n, sn_err *err);
/* In the child: the input's descriptor, -1: none; the shared memory, NULL: none. */
int sn_worker_input(const sn_worker_out *out);
unsigned char *sn_worker_shared(const sn_worker_out *out, size_t *n);

#endif
