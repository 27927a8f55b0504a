/* file.h: reading a file by mapping it, holding what comes through a stream, and writing a file so that it appears whole or not at all. */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include "error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* A whole regular file, mapped read-only and shared between processes. */
typedef struct {
    const unsigned char *data;
    size_t size;
} sn_map;

/* Fails with one line naming the file when it cannot be opened, is not a regular file, or is empty. */
sn_status sn_map_open(sn_map *m, const char *path, sn_err *err);
void sn_map_close(sn_map *m);
/* Lets go of the memory that n bytes at p, inside m, take in this process; they are read again from the file when touched. */
void sn_map_forget(const sn_map *m, const void *p, size_t n);

/* What is left of the stream `from` as a file without a name, which can be read anywhere: in memory, or where it is on_disk in the folder for
 * temporary files. More than `most` bytes, or than the limit of file sizes (RLIMIT_FSIZE, which counts memory too), is SN_ELIMIT. *out is the
 * caller's to close. */
sn_status sn_spool(int *out, int from, uint64_t most, bool on_disk, sn_err *err);

/* What a file that is not the wanted kind looks like, for messages: "a git-lfs pointer (run git lfs pull)", "an HTML page",
 * "a zip archive", "a safetensors file", "text", "a JPEG picture", ...; NULL when it looks like nothing known. */
const char *sn_guess_kind(const void *head, size_t n);

/* An output file: bytes go to a temporary beside `path`; commit renames it (fsynced), discard removes it, and so does a commit
 * that fails, for instance because the disk is full: ask for errors there, not at each write. A link is followed; "-" (standard
 * output) and devices are written to directly. One of commit and discard must be called; both release everything. */
typedef struct {
    FILE *stream;
    char *name;        /* as given, for messages */
    char *path, *temp; /* where the bytes end up, and where they are until then; NULL where they go there directly */
} sn_out;

sn_status sn_out_open(sn_out *o, const char *path, sn_err *err);
sn_status sn_out_commit(sn_out *o, sn_err *err);
void sn_out_discard(sn_out *o);

#endif
