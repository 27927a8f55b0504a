#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "interrupt.h"
#include "utf8.h"

enum { MESSAGE_BYTES = 4096 };

/* ---- memory ---- */

void *must(void *p)
{
    if (p != NULL) return p;
    fputs("senses: out of memory\n", stderr);
    exit(EXIT_FAILED);
}

static char *format_list(const char *fmt, va_list ap)
{
    char *s = NULL;
    return vasprintf(&s, fmt, ap) < 0 ? must(NULL) : s;
}

char *text_format(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_list(fmt, ap);
    va_end(ap);
    return s;
}

void buffer_add(cli_buffer *b, const void *bytes, size_t n)
{
    if (n > SIZE_MAX / 2 - b->n - 1) must(NULL);
    if (b->n + n + 1 > b->room) {
        size_t room = b->room < 128 ? 128 : b->room;
        while (room < b->n + n + 1) room *= 2;
        b->data = must(realloc(b->data, room));
        b->room = room;
    }
    if (n > 0) memcpy(b->data + b->n, bytes, n);
    b->n += n;
    b->data[b->n] = '\0';
}

/* ---- diagnostics ---- */

char *text_escape(const char *s)
{
    static const char hex[] = "0123456789abcdef";
    cli_buffer b = {0};
    size_t n = strlen(s);
    buffer_add(&b, "", 0);
    for (size_t i = 0; i < n && b.n < MESSAGE_BYTES - 16;) {
        uint32_t code = 0;
        size_t len = utf8_next(s + i, n - i, &code);
        unsigned char byte = (unsigned char)s[i];
        if (len == 0 || code < 0x20 || code == 0x7F) { /* tab and newline too: a message is one line */
            buffer_add(&b, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, 4);
            len = 1;
        } else if (!utf8_is_plain(code)) {
            char escaped[16];
            int n_escaped = snprintf(escaped, sizeof escaped, "\\u{%x}", (unsigned)code);
            buffer_add(&b, escaped, (size_t)n_escaped);
        } else {
            buffer_add(&b, s + i, len);
        }
        i += len;
    }
    return b.data;
}

/* A line on standard error; the prefix is coloured on a terminal that allows it. */
static void say(const char *prefix, const char *fmt, va_list ap)
{
    char *message = format_list(fmt, ap);
    char *line = text_escape(message);
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    bool colours = prefix[0] != '\0' && isatty(STDERR_FILENO) && (no_colour == NULL || no_colour[0] == '\0') && term != NULL &&
                   strcmp(term, "dumb") != 0;
    fflush(stdout);                                       /* what was said before stands before, where both go to one place */
    if (interrupt_line_open()) fputs("\r\033[K", stderr); /* in place of a progress bar, which is drawn again */
    if (colours)
        fprintf(stderr, "\033[31m%s\033[0m%s\n", prefix, line);
    else
        fprintf(stderr, "%s%s\n", prefix, line);
    free(line);
    free(message);
}

void diag_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("senses: ", fmt, ap);
    va_end(ap);
}

void diag_note(const cli_options *o, const char *fmt, ...)
{
    if (o->quiet) return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

void diag_explain(const cli_options *o, const char *fmt, ...)
{
    if (!o->verbose || o->quiet) return;
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

int diag_usage(const char *command, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("senses: ", fmt, ap);
    va_end(ap);
    if (command != NULL)
        fprintf(stderr, "Try 'senses %s --help'.\n", command);
    else
        fputs("Try 'senses help'.\n", stderr);
    return EXIT_USAGE;
}

const char *input_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

/* ---- standard output ---- */

bool out_text(const char *s, size_t n)
{
    if (!isatty(STDOUT_FILENO)) {
        fwrite(s, 1, n, stdout);
        return !ferror(stdout);
    }
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code = 0;
        len = utf8_next(s + i, n - i, &code);
        if (len > 0 && utf8_is_plain(code)) fwrite(s + i, 1, len, stdout);
        if (len == 0) len = 1;
    }
    return !ferror(stdout);
}

bool out_line(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_list(fmt, ap);
    va_end(ap);
    out_text(s, strlen(s));
    free(s);
    return out_text("\n", 1);
}

bool out_json(cJSON *object)
{
    char *line = must(cJSON_PrintUnformatted(object));
    cJSON_Delete(object);
    out_text(line, strlen(line));
    cJSON_free(line);
    out_text("\n", 1);
    return fflush(stdout) == 0;
}

bool out_finish(void)
{
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) failed = true;
    if (!failed) return true;
    if (errno == 0)
        diag_error("standard output: could not be written");
    else
        diag_error("standard output: %s", strerror(errno));
    return false;
}

/* ---- JSON ---- */

cJSON *json_object(void)
{
    return must(cJSON_CreateObject());
}

/* s as UTF-8 without U+0000, which a C string cannot hold. malloc'ed. */
static char *json_utf8(const char *s, size_t n)
{
    cli_buffer b = {0};
    buffer_add(&b, "", 0);
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code = 0;
        len = utf8_next(s + i, n - i, &code);
        bool good = len > 0 && code != 0;
        buffer_add(&b, good ? s + i : "\xEF\xBF\xBD", good ? len : 3);
        if (len == 0) len = 1;
    }
    return b.data;
}

void json_add_text(cJSON *object, const char *key, const char *s, size_t n)
{
    char *text = json_utf8(s, n);
    must(cJSON_AddStringToObject(object, key, text));
    free(text);
}

void json_add_string(cJSON *object, const char *key, const char *s)
{
    if (s == NULL)
        must(cJSON_AddNullToObject(object, key));
    else
        json_add_text(object, key, s, strlen(s));
}

void json_append_string(cJSON *array, const char *s)
{
    char *text = json_utf8(s, strlen(s));
    cJSON_AddItemToArray(array, must(cJSON_CreateString(text)));
    free(text);
}

void json_add_number(cJSON *object, const char *key, double x)
{
    must(cJSON_AddNumberToObject(object, key, isfinite(x) ? x : 0));
}

void json_add_decimal(cJSON *object, const char *key, double x, int decimals)
{
    char *digits = text_format("%.*f", decimals, isfinite(x) ? x : 0);
    must(cJSON_AddRawToObject(object, key, digits));
    free(digits);
}

cJSON *json_add_array(cJSON *object, const char *key)
{
    return must(cJSON_AddArrayToObject(object, key));
}

/* ---- output files ---- */

/* A device or a pipe, say /dev/stdout, is written to; replacing it would be wrong. */
static bool outfile_is_direct(const char *path)
{
    struct stat st;
    return strcmp(path, "-") == 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

static FILE *open_direct(const char *path)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDOUT_FILENO) : open(path, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? NULL : fdopen(fd, "wb");
}

/* The rights the file would have had, had it been opened plainly. */
static void set_rights(int fd, const char *path)
{
    struct stat st;
    mode_t mask = umask(0);
    umask(mask);
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
    if (fchmod(fd, mode) != 0) return; /* some file systems know no rights */
}

bool outfile_open(cli_outfile *out, const char *path)
{
    *out = (cli_outfile){.path = NULL};
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        diag_error("%s: is a folder", path);
        return false;
    }
    char *real = realpath(path, NULL); /* through a symbolic link, to the file itself */
    out->path = real != NULL && strcmp(path, "-") != 0 ? real : must(strdup(path));
    if (out->path != real) free(real);
    if (outfile_is_direct(path)) {
        out->f = open_direct(path);
    } else {
        out->temp = text_format("%s.XXXXXX", out->path);
        int fd = mkostemp(out->temp, O_CLOEXEC);
        if (fd >= 0 && !interrupt_guard_file(out->temp)) {
            close(fd);
            unlink(out->temp);
            fd = -1;
            errno = ENAMETOOLONG;
        }
        if (fd >= 0) set_rights(fd, out->path);
        out->f = fd < 0 ? NULL : must(fdopen(fd, "wb"));
    }
    if (out->f != NULL) return true;
    diag_error("%s: cannot be written: %s", path, strerror(errno));
    free(out->temp);
    free(out->path);
    *out = (cli_outfile){.path = NULL};
    return false;
}

bool outfile_commit(cli_outfile *out)
{
    int failed = 0;
    errno = 0;
    if (fflush(out->f) != 0 || ferror(out->f)) failed = errno != 0 ? errno : EIO;
    if (!failed && out->temp != NULL && fsync(fileno(out->f)) != 0 && errno != EINVAL && errno != EROFS) failed = errno;
    if (fclose(out->f) != 0 && !failed) failed = errno;
    out->f = NULL;
    if (!failed && out->temp != NULL && rename(out->temp, out->path) != 0) failed = errno;
    if (failed)
        diag_error("%s: %s", strcmp(out->path, "-") == 0 ? "standard output" : out->path, strerror(failed));
    else if (out->temp != NULL)
        interrupt_guard_file(NULL);
    if (!failed) {
        free(out->temp);
        out->temp = NULL;
    }
    outfile_abandon(out);
    return !failed;
}

void outfile_abandon(cli_outfile *out)
{
    if (out->f != NULL) fclose(out->f);
    if (out->temp != NULL) {
        unlink(out->temp);
        interrupt_guard_file(NULL);
    }
    free(out->temp);
    free(out->path);
    *out = (cli_outfile){.path = NULL};
}
