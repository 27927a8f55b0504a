#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sn_status sn_fail(sn_err *err, sn_status code, const char *fmt, ...)
{
    if (err == NULL) return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    err->code = code;
    return code;
}

sn_status sn_wrap(sn_err *err, const char *fmt, ...)
{
    if (err == NULL) return SN_EFORMAT;
    char context[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(context, sizeof context, fmt, ap);
    va_end(ap);
    if (n < 0) return err->code;
    size_t len = (size_t)n < sizeof context ? (size_t)n : sizeof context - 1;
    size_t keep = strlen(err->msg);
    if (keep > len && memcmp(err->msg, context, len) == 0 && err->msg[len] == ':') return err->code; /* it stands there already */
    size_t room = sizeof err->msg - 1; /* the context is worth more than the tail of the cause */
    if (len + 2 > room) return err->code;
    if (keep > room - len - 2) keep = room - len - 2;
    memmove(err->msg + len + 2, err->msg, keep);
    memcpy(err->msg, context, len);
    memcpy(err->msg + len, ": ", 2);
    err->msg[len + 2 + keep] = '\0';
    return err->code;
}
