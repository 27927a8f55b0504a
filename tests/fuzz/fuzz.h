/* fuzz.h: what the fuzz targets share. A target is a file fuzz_NAME.c that defines LLVMFuzzerTestOneInput and takes any bytes whatever; it
 * aborts where a promise is broken. `make fuzz` links it with libFuzzer, `make test` with replay.c, which feeds it corpus/NAME. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "../../core/compute.h"
#include "../../core/gguf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A promise of the code under test. */
#define FUZZ_MUST(what)                                                                                                                    \
    do {                                                                                                                                   \
        if (!(what)) fuzz_broken(#what, __FILE__, __LINE__);                                                                               \
    } while (0)
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* The bytes as a file that has no name in any folder: a path by which it can be opened, until the next call with this slot (0 .. 3). */
const char *fuzz_file(int slot, const void *data, size_t n);
/* A new empty folder, in memory where there is /dev/shm; the target removes it. */
#define FUZZ_FOLDER 64
void fuzz_folder(char folder[FUZZ_FOLDER]);
/* A status and its message are a pair: SN_OK, or one line that says what is wrong. */
void fuzz_said(sn_status status, const sn_err *err);
/* One thread, kept for the process. */
sn_compute *fuzz_compute(void);

/* The shortest text of a grammar that was read (malloc'ed, NUL-terminated), at most 64 kB of it; NULL: longer, or too ambiguous. It must be as
 * long as its cost says, and a text of the grammar. */
char *fuzz_shortest_text(const char *gbnf, size_t n);

/* ---- valid files with a few things changed ----
 * A model's file is too large to find anything in it by changing bytes blindly, and too large for a corpus. So the input of a target that
 * opens models says what is to be changed in which valid file: a byte that chooses the file, then changes of FUZZ_CHANGE bytes each. */
typedef struct {
    const char *path;
    unsigned char *data; /* of the file; read at the first use */
    size_t n;
    size_t *places; /* [n_places]: where numbers of the header stand: lengths, types, values, dimensions, offsets */
    size_t n_places;
    size_t data_at; /* where the tensors' data begins */
} fuzz_base;
#define FUZZ_CHANGE 8
/* The changed file, to be freed; *n its size. NULL: the input says nothing. */
unsigned char *fuzz_changed(fuzz_base *bases, size_t n_bases, const uint8_t *input, size_t n_input, size_t *n);

#endif
