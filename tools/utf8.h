/* utf8.h: UTF-8 as the command line needs it: decoding with checks, and which characters may reach a terminal. */
#ifndef TOOLS_UTF8_H
#define TOOLS_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length in bytes of the character at s (n > 0 bytes are there) and its code point; 0 where the bytes are no UTF-8
 * (overlong forms, surrogates and values above 10FFFF are none). */
size_t utf8_next(const char *s, size_t n, uint32_t *code);
bool utf8_valid(const char *s, size_t n);

/* False for what could drive a terminal or disguise text: C0 but tab and newline, DEL, C1, bidirectional controls,
 * line and paragraph separators. */
bool utf8_is_plain(uint32_t code);

#endif
