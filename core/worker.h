/* worker.h: work on hostile bytes in a process of its own, which can do nothing else (sandbox.h) and hands its results back through
 * a pipe. What it sends is to be checked as if it stood in a file.
 *
 *   parent ── fork ──▶ child: sandbox, work(out, arg) ── sn_worker_send ──▶ pipe ──▶ sn_worker_read: parent
 *
 * The child has the memory of the parent as it was, of which `arg` is part; large results go through memory that the parent mapped
 * MAP_SHARED before, and looks at after sn_worker_close. The program must not ignore SIGCHLD. */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include "error.h"

typedef struct {
    int fd;              /* the input: stays open in the child; -1: none, it is in memory */
    size_t memory_bytes; /* that the work may take; 0: 1 GiB */
    double cpu_s;        /* of processor time that it may take; 0: an hour */
    double wait_s;       /* for the next bytes, then the child is ended; 0: two minutes */
} sn_worker_limits;

typedef struct sn_worker sn_worker;
typedef struct sn_worker_out sn_worker_out;
/* Runs in the child. Its status and message become those of sn_worker_read behind the last byte. It must not touch what other threads
 * of the parent may have been using. */
typedef sn_status (*sn_worker_fn)(sn_worker_out *out, void *arg, sn_err *err);

sn_status sn_worker_start(sn_worker **out, const sn_worker_limits *limits, sn_worker_fn work, void *arg, sn_err *err);
/* The next n bytes; *got < n only at the end of good work. Else the work's own error, or SN_EFORMAT: "the decoder crashed (signal 11)",
 * SN_ELIMIT: over a limit of time. */
sn_status sn_worker_read(sn_worker *w, void *dst, size_t n, size_t *got, sn_err *err);
/* Ends the child in any case, and waits for its end. */
void sn_worker_close(sn_worker *w);

/* In the child: hands n bytes to the parent, when it reads them. */
sn_status sn_worker_send(sn_worker_out *out, const void *data, size_t n, sn_err *err);

#endif
