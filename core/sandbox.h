/* sandbox.h: giving up, for good, all that a process does not need to turn the bytes it has into other bytes. */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "error.h"

#if defined(__SANITIZE_ADDRESS__)
#define SN_SANITIZED 1
#else
#define SN_SANITIZED 0
#endif

typedef struct {
    int keep[2];         /* descriptors that stay open, -1: none; all others are closed */
    size_t memory_bytes; /* of address space, beyond what the process has already */
    double cpu_s;        /* of processor time */
} sn_sandbox;

/* From here on the calling process, which must have one thread, can compute, take memory, and read and write its open descriptors:
 * no file can be opened, created or grown, no socket or process made, no program run, no signal sent to others, nothing made executable.
 * Asking for a file fails with EACCES, for libraries do so without need; any other call that is not on the list ends the process
 * with SIGSYS. Layers: resource limits, no_new_privs, Landlock where the kernel has it (landlock(7)), a seccomp filter (seccomp(2)).
 * SN_EIO where a layer but Landlock cannot be had; the process may then be partly locked, and should end. Under AddressSanitizer
 * address space is not limited, standard error stays open for its reports, and what is not on the list fails with EPERM. */
sn_status sn_sandbox_enter(const sn_sandbox *s, sn_err *err);

/* The layers that this kernel has, for people: "seccomp, Landlock (files, TCP, signals), limits". */
const char *sn_sandbox_layers(void);

#endif
