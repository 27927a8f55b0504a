/* store.h: matrices kept on disk under keys, within a size: what took long to make and can be made again.
 *
 * A folder with one file an entry (docs/formats.md). Any number of processes may use it at once, and end at any moment: an entry
 * is written to a temporary and renamed, and one that is not wholly as it was put is not believed, but removed. When there is too
 * much, what was used least lately goes. The folder is the user's alone (0700, files 0600): one that another user owns or may write
 * to is refused. */
#ifndef CORE_STORE_H
#define CORE_STORE_H

#include "error.h"

typedef struct sn_store sn_store;

/* Makes the folder, and those above it, where they are missing. */
sn_status sn_store_open(sn_store **out, const char *dir, size_t max_bytes, sn_err *err);
void sn_store_close(sn_store *s);

/* What was put under key (64 hexadecimal digits) as [rows, cols], into out. False: there is no such entry, or not of that shape, or
 * damaged; then out may hold anything. */
bool sn_store_get(sn_store *s, const char *key, size_t rows, size_t cols, float *out);
/* Keeps data [rows, cols] under key, whatever was there. A failure leaves nothing behind, and says why. */
sn_status sn_store_put(sn_store *s, const char *key, size_t rows, size_t cols, const float *data, sn_err *err);

#endif
