#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A message is one line for certain: names out of files and of files may hold anything. Control characters become "\\x0a". */
static void make_line(char *msg, size_t room)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = strlen(msg);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)msg[i];
        if (c >= 0x20 && c != 0x7f) continue;
        if (i + 4 >= room) {
            msg[i] = '\0';
            return;
        }
        const size_t keep = n - i - 1 < room - i - 5 ? n - i - 1 : room - i - 5; /* of what stands behind */
        memmove(msg + i + 4, msg + i + 1, keep);
        memcpy(msg + i, (const char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
        n = i + 4 + keep;
        msg[n] = '\0';
        i += 3;
    }
}

sn_status sn_fail(sn_err *err, sn_status code, const char *fmt, ...)
{
    if (err == NULL) return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    make_line(err->msg, sizeof err->msg);
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
    make_line(context, sizeof context);
    size_t len = strlen(context);
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
