/* html_text.h: a text that grows, and what HTML asks of the things put into it: escapes, base64, hashes. */
#ifndef FUSION_HTML_TEXT_H
#define FUSION_HTML_TEXT_H

#include "../core/error.h"

/* Start from {0}; free(data). When memory runs out the text stays as it is and `failed` says so: one look at the end is enough. */
typedef struct {
    char *data; /* NUL-terminated once something was added */
    size_t n, room;
    bool failed;
} html_text;

void html_add(html_text *t, const char *s);
void html_add_bytes(html_text *t, const char *s, size_t n);
void html_addf(html_text *t, const char *fmt, ...) SN_PRINTF(2, 3);
/* s as the content of an element or of an attribute in double quotes: never markup. What is no UTF-8 becomes U+FFFD, a control
 * character a space. */
void html_add_escaped(html_text *t, const char *s);
void html_add_base64(html_text *t, const void *bytes, size_t n);
/* 'sha256-...' as a Content-Security-Policy names an inline block, quotes included. */
void html_add_csp_hash(html_text *t, const char *block, size_t n);

#endif
