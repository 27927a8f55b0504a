/* batch_journal.h: the output of a batch, which is also the memory of what is done. A record is one write of one line behind the others;
 * what was killed or lost its power in the middle leaves at most a torn last line, which is cut off the next time. */
#ifndef TOOLS_BATCH_JOURNAL_H
#define TOOLS_BATCH_JOURNAL_H

#include <sys/types.h>

#include "batch_set.h"
#include "output.h"

typedef struct {
    const char *name;       /* as it was given; borrowed */
    char *path, *lock_path; /* path NULL: standard output, nothing is remembered between runs */
    int fd, lock_fd;
    bool locked;
    off_t end;        /* of the last whole record */
    double synced_s;  /* when the disk was last told to keep what there is */
    bool unsynced;    /* something was written since */
    batch_set done;   /* records without an error */
    batch_set failed; /* records with one, unless they are to be tried again */
    size_t n_records; /* that were there */
    size_t n_others;  /* of them: of other settings */
} batch_journal;

/* path NULL or "-": standard output. Takes the lock, repairs the end, reads what is there. settings[n_settings]: those of this run.
 * False: said on standard error, nothing was changed but a torn end. */
bool batch_journal_open(batch_journal *j, const cli_options *o, const char *path, char (*settings)[17], size_t n_settings);
/* Deletes the record. False: said on standard error; what was written before is whole. */
bool batch_journal_add(batch_journal *j, cJSON *record, batch_id id);
/* Makes the disk keep what was written, when it is time: to be called now and then. False: said. */
bool batch_journal_keep(batch_journal *j);
/* The same at the end, and lets the lock go. False: said. */
bool batch_journal_close(batch_journal *j);

#endif
