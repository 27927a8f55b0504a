/* batch_run.h: the run of a batch over its files. */
#ifndef TOOLS_BATCH_RUN_H
#define TOOLS_BATCH_RUN_H

#include <pthread.h>

#include "batch_journal.h"
#include "batch_task.h"
#include "batch_walk.h"

typedef struct {
    const cli_options *o;
    cli_runtime rt;       /* the models, with options of its own: the run itself says how far it is */
    pthread_mutex_t lock; /* of what follows, while files are worked on */
    char *latest;         /* the file that was taken last */
    batch_journal journal;
    batch_walk walk;
    size_t shard, n_shards;
    unsigned sidecars;              /* formats, 0: none */
    char settings[BATCH_KINDS][17]; /* by kind, "" where nothing is done */
    size_t n_total;                 /* files to look at; 0: not known */
    size_t n_done, n_failed, n_skipped, n_before, n_failed_before;
    size_t n_kind[BATCH_KINDS]; /* done or failed */
    double kind_s[BATCH_KINDS];
    double start_s, drawn_s;
    bool stopped; /* the output cannot be written on */
} batch_run;

/* All files. Status of the program. b->journal is open, b->settings and the rest are set. */
int batch_run_files(batch_run *b);

#endif
