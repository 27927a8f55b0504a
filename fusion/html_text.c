/* html_text.c: see html_text.h. */
#include "html_text.h"

#include "../core/mem.h"
#include "../core/sha256.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void html_add_bytes(html_text *t, const char *s, size_t n)
{
    size_t need = 0;
    if (t->failed || !sn_add_ok(t->n, n, &need) || !sn_add_ok(need, 1, &need)) {
        t->failed = true;
        return;
    }
    if (need > t->room) {
        size_t room = need < 4096 ? 4096 : need;
        if (room < SIZE_MAX / 2) room += room / 2;
        char *data = realloc(t->data, room);
        if (data == NULL) {
            t->failed = true;
            return;
        }
        t->data = data;
        t->room = room;
    }
    memcpy(t->data + t->n, s, n);
    t->n += n;
    t->data[t->n] = '\0';
}

void html_add(html_text *t, const char *s)
{
    html_add_bytes(t, s, strlen(s));
}

/* For markup with numbers and names of our own in it; texts of a page go through html_add_escaped. */
void html_addf(html_text *t, const char *fmt, ...)
{
    char piece[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof piece)
        t->failed = true;
    else
        html_add_bytes(t, piece, (size_t)n);
}

/* Bytes of the UTF-8 character at s, 0 when there is none: no overlong form, no surrogate, nothing above U+10FFFF. */
static size_t character_bytes(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xC2 && s[0] < 0xE0 ? 2 : s[0] >= 0xE0 && s[0] < 0xF0 ? 3 : s[0] >= 0xF0 && s[0] < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0; /* also at the end of the string */
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;
    if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
    return n;
}

void html_add_escaped(html_text *t, const char *s)
{
    while (*s != '\0') {
        const unsigned char *c = (const unsigned char *)s;
        size_t n = character_bytes(c);
        bool control = *c < 0x20 || *c == 0x7F || (n == 2 && c[0] == 0xC2 && c[1] < 0xA0);
        if (n == 0)
            html_add(t, "\xEF\xBF\xBD");
        else if (control)
            html_add(t, " ");
        else if (*s == '&')
            html_add(t, "&amp;");
        else if (*s == '<')
            html_add(t, "&lt;");
        else if (*s == '>')
            html_add(t, "&gt;");
        else if (*s == '"')
            html_add(t, "&quot;");
        else if (*s == '\'')
            html_add(t, "&#39;");
        else
            html_add_bytes(t, s, n);
        s += n > 0 ? n : 1;
    }
}

void html_add_base64(html_text *t, const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16;
        if (i + 1 < n) v |= (uint32_t)b[i + 1] << 8;
        if (i + 2 < n) v |= b[i + 2];
        const char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < n ? digits[v >> 6 & 63] : '=',
                              i + 2 < n ? digits[v & 63] : '='};
        html_add_bytes(t, four, sizeof four);
    }
}

void html_add_csp_hash(html_text *t, const char *block, size_t n)
{
    sn_sha256 s;
    char hex[65];
    unsigned char digest[32];
    sn_sha256_init(&s);
    sn_sha256_add(&s, block, n);
    sn_sha256_hex(&s, hex);
    for (size_t i = 0; i < sizeof digest; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        digest[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    html_add(t, "'sha256-");
    html_add_base64(t, digest, sizeof digest);
    html_add(t, "'");
}
