/* testing.h: the little that our tests add to cmocka: case names on the command line, .npy references, temporary files. */
#ifndef TESTS_TESTING_H
#define TESTS_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* Runs the cases: all, or those whose names are given; --list prints the names. Returns the exit status for main. */
int testing_main(const char *group, const struct CMUnitTest *tests, size_t n, int argc, char **argv);
#define TESTING_MAIN(group, tests)                                                                                                         \
    int main(int argc, char **argv)                                                                                                        \
    {                                                                                                                                      \
        return testing_main(group, tests, sizeof(tests) / sizeof(tests)[0], argc, argv);                                                   \
    }

/* A float32 little-endian C-order .npy; fails the test when it cannot be read. shape has room for 4; free() the result. */
float *testing_npy(const char *path, size_t *shape, size_t *n_dims);
/* cosine of two vectors; the largest |a-b|; rms(a-b)/rms(b) */
double testing_cosine(const float *a, const float *b, size_t n);
double testing_max_abs(const float *a, const float *b, size_t n);
double testing_rms_rel(const float *a, const float *b, size_t n);
/* log of the sum of exp(x); KL(softmax(want) || softmax(got)) */
double testing_log_sum_exp(const float *x, size_t n);
double testing_divergence(const float *want, const float *got, size_t n);
/* Writes n bytes to a new temporary file and returns its name (static until the next call but 7). Removed at exit. */
const char *testing_temp(const void *bytes, size_t n);
/* A new folder under $TMPDIR, and its end with all that is in it; 0, or what a setup or teardown returns for a failure. */
int testing_folder(char *path, size_t room);
int testing_folder_remove(const char *path);
/* The directory of fetched models for tests that need real weights ($SENSES_HOME/models), NULL (and the case should call
 * testing_skip) when the file is not there; under REQUIRE=1 a missing file fails instead. */
const char *testing_model(const char *file);
/* Ends the case as skipped, saying why; under REQUIRE=1 it fails. */
void testing_skip(const char *why);

#endif
