/* nursery.h: the process that workers are forked from (worker.h). It has one thread and nothing of what its parent took up since, and does
 * nothing but wait for orders. Its children are its parent's, which waits for them (CLONE_PARENT). Neither sends a signal at its end, and
 * only a wait with __WALL sees them: a program that uses the library and waits for any child of its own meets none of them. */
#ifndef CORE_NURSERY_H
#define CORE_NURSERY_H

#include "worker.h"

#include <stddef.h>
#include <sys/types.h>

#define SN_NURSERY_SLOTS 256 /* orders at the same time; more are not taken */

typedef struct {
    sn_worker_limits limits; /* its fd and shared memory are the child's */
    sn_worker_fn work;
    int pipe_fd, shared_fd; /* back to the parent; -1: none */
    size_t shared_bytes;
    int slot; /* the nursery's own */
    bool has_input, has_shared;
    _Alignas(max_align_t) unsigned char arg[SN_WORKER_MAX_ARG];
} sn_order;

/* What comes first through the pipe. */
typedef struct {
    pid_t pid; /* of the child; 0: there is none, and err says why */
    sn_err err;
} sn_birth;

/* Carries an order out, in the child: does not return. */
_Noreturn void sn_worker_child(const sn_order *order);
/* The signals of a process that its parent's handlers mean nothing to, and in which what is to end the parent does nothing. */
void sn_worker_reset_signals(void);

/* Starts the nursery of this process, if there is none yet and this is its only thread. */
void sn_nursery_prepare(void);
/* Hands over an order and its descriptors. False: there is no nursery, fork yourself. True: sn_nursery_settle must follow. */
bool sn_nursery_order(sn_order *order);
/* Once the birth was told, or is not waited for any longer. Then the number of the child that told nothing and is to be waited for; 0: there is
 * none, nor will there be. */
pid_t sn_nursery_settle(const sn_order *order, bool told);

#endif
