/* error.h: errors are values. The first cause is kept; callers put context in front of it and never replace it. */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include "../include/senses.h"

typedef senses_status sn_status;
typedef senses_error sn_err;

#if defined(__GNUC__)
#define SN_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define SN_PRINTF(fmt, args)
#endif

/* Records `code` and the formatted message in *err (err may be NULL) and returns `code`. */
sn_status sn_fail(sn_err *err, sn_status code, const char *fmt, ...) SN_PRINTF(3, 4);

/* Puts "context: " in front of the message in *err and returns its code (SN_EFORMAT where err is NULL). A
 * context that the message begins with already is not repeated. */
sn_status sn_wrap(sn_err *err, const char *fmt, ...) SN_PRINTF(2, 3);

#endif
