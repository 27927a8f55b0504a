#include "batch_sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "utf8.h"

static const struct {
    const char *name;
    unsigned bit;
} names[] = {{"txt", SIDECAR_TXT}, {"json", SIDECAR_JSON}, {"srt", SIDECAR_SRT}, {"xmp", SIDECAR_XMP}};
enum { N_NAMES = sizeof names / sizeof names[0] };

unsigned batch_sidecar_formats(const char *list)
{
    unsigned all = 0;
    if (list[0] == '\0') return SIDECAR_USUAL;
    for (;;) {
        size_t n = strcspn(list, ","), i = 0;
        while (i < N_NAMES && (strlen(names[i].name) != n || memcmp(names[i].name, list, n) != 0)) i++;
        if (i == N_NAMES) return 0;
        all |= names[i].bit;
        if (list[n] == '\0') return all;
        list += n + 1;
    }
}

/* ---- contents ---- */

static void add(cli_buffer *b, const char *s)
{
    buffer_add(b, s, strlen(s));
}

/* Text as XML 1.0 can hold it. */
static void add_xml(cli_buffer *b, const char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len) {
        uint32_t code = 0;
        len = utf8_next(s + i, n - i, &code);
        if (len == 0 || (code < 0x20 && code != '\t' && code != '\n') || code == 0xFFFE || code == 0xFFFF)
            add(b, "\xEF\xBF\xBD");
        else if (code == '&')
            add(b, "&amp;");
        else if (code == '<')
            add(b, "&lt;");
        else if (code == '>')
            add(b, "&gt;");
        else
            buffer_add(b, s + i, len);
        if (len == 0) len = 1;
    }
}

/* Adobe's XMP specification, part 1: the text as dc:description. */
static void add_xmp(cli_buffer *b, const cli_buffer *text)
{
    add(b, "<?xpacket begin=\"\xEF\xBB\xBF\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n"
           "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\n"
           " <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\n"
           "  <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\">\n"
           "   <dc:description>\n    <rdf:Alt>\n     <rdf:li xml:lang=\"x-default\">");
    add_xml(b, text->data, text->n);
    add(b, "</rdf:li>\n    </rdf:Alt>\n   </dc:description>\n  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end=\"w\"?>\n");
}

static cli_buffer content(unsigned format, const batch_result *r, const cJSON *record)
{
    cli_buffer b = {0};
    buffer_add(&b, "", 0);
    if (format == SIDECAR_XMP) {
        add_xmp(&b, &r->text);
    } else if (format == SIDECAR_SRT) {
        buffer_add(&b, r->srt.data, r->srt.n);
    } else if (format == SIDECAR_JSON) {
        char *json = must(cJSON_PrintUnformatted(record));
        add(&b, json);
        add(&b, "\n");
        cJSON_free(json);
    } else {
        buffer_add(&b, r->text.data, r->text.n);
        if (b.n > 0) add(&b, "\n");
    }
    return b;
}

/* ---- files ---- */

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return fsync(fd) == 0 || errno == EINVAL;
}

/* Gives the file its name, which nothing may have yet; 0 or an errno. */
static int name_new(const char *temp, const char *path)
{
    if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    if (link(temp, path) != 0) return errno; /* a file system without that flag */
    unlink(temp);
    return 0;
}

/* A temporary beside it, then its name. 0 or an errno; EEXIST: it is there already. */
static int put_file(const char *path, const cli_buffer *b, bool overwrite)
{
    const char *slash = strrchr(path, '/');
    char *temp = text_format("%.*s.senses-XXXXXX", slash == NULL ? 0 : (int)(slash - path + 1), path);
    mode_t mask = umask(0);
    umask(mask);
    int fd = mkostemp(temp, O_CLOEXEC), failed = fd < 0 ? errno : 0;
    if (fd >= 0) {
        bool guarded = interrupt_guard_file(temp);
        if (!write_all(fd, b->data, b->n) || fchmod(fd, 0666 & ~mask) != 0) failed = errno;
        if (close(fd) != 0 && !failed) failed = errno;
        if (!failed && !overwrite) failed = name_new(temp, path);
        if (!failed && overwrite && rename(temp, path) != 0) failed = errno;
        if (failed) unlink(temp);
        if (guarded) interrupt_guard_file(NULL);
    }
    free(temp);
    return failed;
}

/* Whether what is there may be written over. */
static bool may_replace(const cli_options *o, const char *path)
{
    senses_media_kind_t kind;
    struct stat st;
    if (lstat(path, &st) != 0) return true;
    return o->overwrite && S_ISREG(st.st_mode) && senses_media_kind(path, &kind, NULL) == SN_OK && kind == SENSES_MEDIA_NONE;
}

static int write_one(const cli_options *o, unsigned format, const char *path, const batch_result *r, const cJSON *record)
{
    cli_buffer b = content(format, r, record);
    int failed = may_replace(o, path) ? put_file(path, &b, o->overwrite) : EEXIST;
    free(b.data);
    if (failed == EEXIST) diag_explain(o, "%s: is there already, and stays", path);
    return failed == EEXIST ? 0 : failed;
}

sidecar_status batch_sidecar_write(const cli_options *o, unsigned formats, const char *path, const batch_result *r, const cJSON *record,
                                   char **problem)
{
    if (formats == SIDECAR_USUAL) formats = r->segments != NULL ? SIDECAR_SRT : SIDECAR_TXT;
    if (r->srt.data == NULL) formats &= ~(unsigned)SIDECAR_SRT;
    for (size_t i = 0; i < N_NAMES; i++) {
        if ((formats & names[i].bit) == 0) continue;
        char *to = text_format("%s.%s", path, names[i].name);
        int failed = write_one(o, names[i].bit, to, r, record);
        if (failed) *problem = text_format("%s: cannot be written: %s", to, strerror(failed));
        free(to);
        if (failed == ENOSPC || failed == EDQUOT || failed == EFBIG || failed == EROFS || failed == EIO) return SIDECAR_FULL;
        if (failed) return SIDECAR_FAILED;
    }
    return SIDECAR_DONE;
}
