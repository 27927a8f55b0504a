/* batch_walk.h: the files of a batch, one after another: those given, those of a list, and all below them that are folders. In an order
 * that depends on the names alone: the given order, and by bytes in a folder. One folder's names are held at a time, and those of the
 * folders above it. */
#ifndef TOOLS_BATCH_WALK_H
#define TOOLS_BATCH_WALK_H

#include <stdio.h>

#include "batch_set.h"
#include "options.h"
#include "output.h"

typedef struct {
    char *path;
    char **names; /* sorted */
    size_t n, at;
} batch_folder;

typedef struct {
    const cli_options *o;
    size_t shard, n_shards; /* shard < n_shards; n_shards 1: all */
    size_t operand;         /* the next one */
    FILE *list;
    bool list_failed; /* it cannot be read to its end */
    char *line;
    size_t line_room;
    batch_folder *stack;
    size_t depth, room;
    batch_set entered; /* folders by device and inode: each is read once, so that a loop of links ends */
    cli_buffer path;   /* of the file at hand */
    const char *error; /* why that file or folder cannot be taken; NULL: nothing is known against it */
    size_t n_special, n_again;
    void (*folder)(void *user, const char *path); /* may be NULL: told of each folder that holds files to be taken, once */
    void *user;
} batch_walk;

/* False: said on standard error. */
bool batch_walk_open(batch_walk *w, const cli_options *o, size_t shard, size_t n_shards);
/* Whether --files-from can be read once alone: standard input, a pipe. */
bool batch_walk_once(const cli_options *o);
/* The next file is w->path.data; false: there is none any more. */
bool batch_walk_next(batch_walk *w);
void batch_walk_close(batch_walk *w);

#endif
