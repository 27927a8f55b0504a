/* rewrite.h: commands that write one model file from others: progress, and an end that leaves nothing half written. */
#ifndef TOOLS_REWRITE_H
#define TOOLS_REWRITE_H

#include "runtime.h"

/* What a library call that writes a file takes for its progress. */
typedef struct {
    bool (*progress)(void *user, size_t done_bytes, size_t total_bytes);
    void *user;
} cli_rewrite;

/* Calls work(rt, w, job, err) with the engine open, showing progress under the name of the file `out`. An interrupt stops it, and its error is then
 * not said. Returns the exit status; *seconds: what it took. */
int rewrite_run(const cli_options *o, const char *out, senses_status (*work)(cli_runtime *, const cli_rewrite *, void *, senses_error *),
                void *job, double *seconds);

#endif
