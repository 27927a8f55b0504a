/* cursor.h: reading a mapped file from front to back. Every read is checked against what is left; the first problem sticks,
 * and later reads give zeros, so that a parser may read a whole header and ask once. */
#ifndef CORE_CURSOR_H
#define CORE_CURSOR_H

#include "error.h"

typedef struct {
    const unsigned char *base;
    size_t size, pos;
    sn_status status;
    sn_err *err; /* may be NULL */
} sn_cursor;

/* Reads n bytes at data, which are borrowed. */
void sn_cursor_init(sn_cursor *c, const void *data, size_t n, sn_err *err);
static inline size_t sn_cursor_left(const sn_cursor *c)
{
    return c->size - c->pos;
}
/* Records the first problem; later ones are dropped. Returns the status that stands. */
sn_status sn_cursor_fail(sn_cursor *c, sn_status code, const char *fmt, ...) SN_PRINTF(3, 4);

/* Little-endian values, unaligned. `what` names the value in the message when the file ends inside it. */
uint8_t sn_cursor_u8(sn_cursor *c, const char *what);
uint16_t sn_cursor_u16(sn_cursor *c, const char *what);
uint32_t sn_cursor_u32(sn_cursor *c, const char *what);
uint64_t sn_cursor_u64(sn_cursor *c, const char *what);
int32_t sn_cursor_i32(sn_cursor *c, const char *what);
float sn_cursor_f32(sn_cursor *c, const char *what);
/* n bytes in place, or NULL (also for n of 0 after a problem). */
const void *sn_cursor_bytes(sn_cursor *c, uint64_t n, const char *what);
/* n items of `size` bytes: the product is checked. */
const void *sn_cursor_array(sn_cursor *c, uint64_t n, size_t size, const char *what);
/* A u32 that must lie in [min, max]: the message says which value is out of it. Gives min after a problem. */
uint32_t sn_cursor_u32_in(sn_cursor *c, uint32_t min, uint32_t max, const char *what);

#endif
