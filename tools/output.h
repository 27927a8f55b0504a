/* output.h: all that the program says. Results go to standard output, diagnostics to standard error, and a named output file
 * is written whole or not at all. */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "options.h"

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* ---- memory ---- */
/* p, unless it is NULL: then the program ends with "out of memory" and status 1. For small things of the command line. */
void *must(void *p);
/* printf into malloc'ed memory. */
char *text_format(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A string that grows; start from {0}, free(data). data is NUL-terminated once something was added. */
typedef struct {
    char *data;
    size_t n, room;
} cli_buffer;
void buffer_add(cli_buffer *b, const void *bytes, size_t n);

/* ---- diagnostics: one line each on standard error, unsafe characters escaped ---- */
void diag_error(const char *fmt, ...) PRINTF_LIKE(1, 2);                         /* "senses: ..." */
void diag_note(const cli_options *o, const char *fmt, ...) PRINTF_LIKE(2, 3);    /* not under -q */
void diag_explain(const cli_options *o, const char *fmt, ...) PRINTF_LIKE(2, 3); /* only under -v */
/* The same line as diag_error, then the hint; returns EXIT_USAGE. command NULL: the program's own help. */
int diag_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Bytes as a line can show them: control characters and what is no UTF-8 become \xNN, other unsafe ones \u{N}. malloc'ed. */
char *text_escape(const char *s);
/* How messages call an input: "-" is standard input. */
const char *input_name(const char *path);

/* ---- standard output ---- */
/* Text as it is to a file or pipe; without control characters to a terminal. False once writing has failed. */
bool out_text(const char *s, size_t n);
bool out_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* One object on one line; deletes it. */
bool out_json(cJSON *object);
/* Flushes, and says on standard error what went wrong with standard output, if anything. True: all was written. */
bool out_finish(void);

/* ---- JSON: members from bytes that need not be UTF-8 (what is not becomes U+FFFD) ---- */
cJSON *json_object(void);
void json_add_text(cJSON *object, const char *key, const char *s, size_t n);
void json_add_string(cJSON *object, const char *key, const char *s); /* s NULL: null */
/* An element of an array, from a C string. */
void json_append_string(cJSON *array, const char *s);
void json_add_number(cJSON *object, const char *key, double x);
/* x rounded to so many decimals, written so. */
void json_add_decimal(cJSON *object, const char *key, double x, int decimals);
cJSON *json_add_array(cJSON *object, const char *key);

/* ---- a file that appears under its name only when it is complete ---- */
typedef struct {
    FILE *f;
    char *temp, *path; /* temp NULL: written directly (a device, a pipe, standard output) */
} cli_outfile;
/* path "-" is standard output. False: said on standard error. */
bool outfile_open(cli_outfile *out, const char *path);
/* Makes the file appear. False: said on standard error, nothing is left behind. Either way *out is closed. */
bool outfile_commit(cli_outfile *out);
/* Gives up: nothing is left behind. Harmless on a closed or zeroed *out. */
void outfile_abandon(cli_outfile *out);

#endif
