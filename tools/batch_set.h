/* batch_set.h: a set of things by a hash that is wide enough to stand for them: 16 bytes each, whatever they are. */
#ifndef TOOLS_BATCH_SET_H
#define TOOLS_BATCH_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first 128 bits of a SHA-256: also who makes file names with intent finds no two that are alike. */
typedef struct {
    uint64_t a, b;
} batch_id;
batch_id batch_id_of(const void *bytes, size_t n);

/* Start from {0}. */
typedef struct {
    batch_id *slots; /* a power of two of them; {0, 0} is empty */
    size_t n, room;
} batch_set;

bool batch_set_has(const batch_set *s, batch_id id);
/* False when it is in there already. */
bool batch_set_add(batch_set *s, batch_id id);
void batch_set_free(batch_set *s);

#endif
