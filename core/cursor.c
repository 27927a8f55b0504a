#include "cursor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void sn_cursor_init(sn_cursor *c, const void *data, size_t n, sn_err *err)
{
    *c = (sn_cursor){.base = data, .size = n, .err = err, .status = SN_OK};
}

sn_status sn_cursor_fail(sn_cursor *c, sn_status code, const char *fmt, ...)
{
    if (c->status != SN_OK) return c->status;
    char msg[sizeof c->err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    c->status = code;
    return sn_fail(c->err, code, "%s", msg);
}

const void *sn_cursor_bytes(sn_cursor *c, uint64_t n, const char *what)
{
    if (c->status != SN_OK) return NULL;
    if (n > sn_cursor_left(c)) {
        sn_cursor_fail(c, SN_EFORMAT, "%s at byte %zu: wants %llu bytes, %zu are left (truncated or corrupt file)", what, c->pos,
                       (unsigned long long)n, sn_cursor_left(c));
        return NULL;
    }
    const void *p = c->base + c->pos;
    c->pos += (size_t)n;
    return p;
}

const void *sn_cursor_array(sn_cursor *c, uint64_t n, size_t size, const char *what)
{
    if (c->status == SN_OK && n > sn_cursor_left(c) / size) {
        sn_cursor_fail(c, SN_EFORMAT, "%s at byte %zu: wants %llu items of %zu bytes, %zu bytes are left (truncated or corrupt file)", what,
                       c->pos, (unsigned long long)n, size, sn_cursor_left(c));
        return NULL;
    }
    return sn_cursor_bytes(c, n * size, what);
}

/* Copies n bytes to *value, which stays zero after a problem. */
static void take(sn_cursor *c, void *value, size_t n, const char *what)
{
    const void *p = sn_cursor_bytes(c, n, what);
    if (p != NULL) memcpy(value, p, n);
}

uint8_t sn_cursor_u8(sn_cursor *c, const char *what)
{
    uint8_t v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

uint16_t sn_cursor_u16(sn_cursor *c, const char *what)
{
    uint16_t v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

uint32_t sn_cursor_u32(sn_cursor *c, const char *what)
{
    uint32_t v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

uint64_t sn_cursor_u64(sn_cursor *c, const char *what)
{
    uint64_t v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

int32_t sn_cursor_i32(sn_cursor *c, const char *what)
{
    int32_t v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

float sn_cursor_f32(sn_cursor *c, const char *what)
{
    float v = 0;
    take(c, &v, sizeof v, what);
    return v;
}

uint32_t sn_cursor_u32_in(sn_cursor *c, uint32_t min, uint32_t max, const char *what)
{
    size_t at = c->pos;
    uint32_t v = sn_cursor_u32(c, what);
    if (c->status == SN_OK && (v < min || v > max))
        sn_cursor_fail(c, SN_EFORMAT, "%s at byte %zu: want %u to %u, file has %u", what, at, min, max, v);
    return c->status == SN_OK ? v : min;
}
