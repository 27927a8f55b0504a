/* batch_join.h: the outputs of several batches made one. */
#ifndef TOOLS_BATCH_JOIN_H
#define TOOLS_BATCH_JOIN_H

#include "options.h"

/* Every record of parts[n] into the file `path`, each once, in the order of the parts. Of records of the same file, content and settings
 * the first without an error counts. The file appears when it is whole. EXIT_FAILED: said on standard error. */
int batch_join(const cli_options *o, const char *path, char *const *parts, size_t n);
/* All records of the file `from` as a table in the file `to`. EXIT_FAILED: said. */
int batch_write_csv(const cli_options *o, const char *from, const char *to);

#endif
