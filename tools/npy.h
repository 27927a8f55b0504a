/* npy.h: a float32 matrix as a NumPy file (format 1.0, little-endian, C order). */
#ifndef TOOLS_NPY_H
#define TOOLS_NPY_H

#include <senses.h>

/* Writes shape [n] when flat (then the matrix is [1, n]), else [rows, cols], to `path` ("-": standard output), whole or not at
 * all. False: said on standard error. */
bool npy_write(const char *path, const senses_matrix *m, bool flat);

#endif
