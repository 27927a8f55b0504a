/* converted.h: what tests of conversions share: the listing that make_convert.py writes of a GGUF, folders with one file changed. */
#ifndef TESTS_CONVERTED_H
#define TESTS_CONVERTED_H

#include "../core/convert.h"

typedef sn_status converted_fn(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err);

/* Converts DIR, into one temporary file, and compares with DIR/expected.txt, line by line. */
void converted_as_expected(converted_fn *convert, const char *dir);
/* Converting a copy of DIR (its n files) with `from` become `to` (as long, where the file holds offsets) in one fails in one line that holds `says`; the
 * file of before stays. */
void converted_refused(converted_fn *convert, const char *dir, const char *const *files, size_t n, const char *file, const char *from,
                       const char *to, const char *says);
/* Copies of DIR with a file cut or a bit turned: refused in one line, or converted where nothing was lost; cut ones are always refused. */
void converted_damaged(converted_fn *convert, const char *dir, const char *const *files, size_t n, size_t rounds);

#endif
