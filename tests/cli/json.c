/* json.c: a strict reader of JSON lines for the end-to-end tests, independent of the library that writes them (RFC 8259).
 *   json [--array] [MEMBER...]    every line of standard input is one object (array) that has these members at its top level
 *   json --print MEMBER           writes the member's text as it stands, a line each
 * Exit 1 when a line is not so, or there is none. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { DEPTH = 64, MEMBERS = 64 };

typedef struct {
    const char *p, *end;
    const char *keys[MEMBERS], *values[MEMBERS]; /* of the top level */
    size_t key_len[MEMBERS], value_len[MEMBERS], n_keys;
} reader;

static bool value(reader *r, int depth);

static void blanks(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t')) r->p++;
}

static bool take(reader *r, char c)
{
    if (r->p >= r->end || *r->p != c) return false;
    r->p++;
    return true;
}

/* One character of UTF-8; overlong forms and surrogates are refused. */
static bool utf8(reader *r)
{
    unsigned char c = (unsigned char)*r->p;
    int more = c < 0x80 ? 0 : c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xF0 && c < 0xF5 ? 3 : -1;
    if (more < 0 || r->end - r->p <= more || c < 0x20) return false;
    unsigned char next = more > 0 ? (unsigned char)r->p[1] : 0;
    if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) || (c == 0xF0 && next < 0x90) || (c == 0xF4 && next > 0x8F)) return false;
    for (int i = 1; i <= more; i++)
        if (((unsigned char)r->p[i] & 0xC0) != 0x80) return false;
    r->p += more + 1;
    return true;
}

static bool string(reader *r)
{
    if (!take(r, '"')) return false;
    while (r->p < r->end && *r->p != '"') {
        if (*r->p != '\\') {
            if (!utf8(r)) return false;
            continue;
        }
        r->p++;
        if (r->p >= r->end || strchr("\"\\/bfnrtu", *r->p) == NULL) return false;
        if (*r->p++ != 'u') continue;
        for (int i = 0; i < 4; i++, r->p++)
            if (r->p >= r->end || strchr("0123456789abcdefABCDEF", *r->p) == NULL) return false;
    }
    return take(r, '"');
}

static bool digits(reader *r)
{
    const char *start = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return r->p > start;
}

static bool number(reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !digits(r)) return false;
    if (take(r, '.') && !digits(r)) return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '+')) take(r, '-');
        return digits(r);
    }
    return true;
}

static bool word(reader *r, const char *w)
{
    size_t n = strlen(w);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, w, n) != 0) return false;
    r->p += n;
    return true;
}

static bool member(reader *r, int depth)
{
    const char *key = r->p + 1;
    blanks(r);
    key = r->p + 1;
    if (!string(r)) return false;
    size_t key_len = (size_t)(r->p - key) - 1;
    blanks(r);
    if (!take(r, ':')) return false;
    blanks(r);
    const char *start = r->p;
    if (!value(r, depth)) return false;
    if (depth > 2 || r->n_keys == MEMBERS) return true;
    r->keys[r->n_keys] = key;
    r->key_len[r->n_keys] = key_len;
    r->values[r->n_keys] = start;
    r->value_len[r->n_keys++] = (size_t)(r->p - start);
    return true;
}

static bool list(reader *r, int depth, char open, char close)
{
    if (!take(r, open)) return false;
    blanks(r);
    if (take(r, close)) return true;
    do {
        blanks(r);
        if (!(open == '{' ? member(r, depth + 1) : value(r, depth + 1))) return false;
        blanks(r);
    } while (take(r, ','));
    return take(r, close);
}

static bool value(reader *r, int depth)
{
    if (depth > DEPTH || r->p >= r->end) return false;
    switch (*r->p) {
    case '{': return list(r, depth, '{', '}');
    case '[': return list(r, depth, '[', ']');
    case '"': return string(r);
    case 't': return word(r, "true");
    case 'f': return word(r, "false");
    case 'n': return word(r, "null");
    default: return number(r);
    }
}

static long find(const reader *r, const char *name)
{
    for (size_t i = 0; i < r->n_keys; i++)
        if (r->key_len[i] == strlen(name) && memcmp(r->keys[i], name, r->key_len[i]) == 0) return (long)i;
    return -1;
}

static bool check_line(const char *line, size_t n, bool array, bool print, int n_names, char **names)
{
    reader r = {.p = line, .end = line + n};
    if (n == 0 || line[0] != (array ? '[' : '{') || !value(&r, 1) || r.p != r.end) {
        fprintf(stderr, "json: not one %s on the line, wrong at byte %ld\n", array ? "array" : "object", (long)(r.p - line));
        return false;
    }
    for (int i = 0; i < n_names; i++) {
        long at = find(&r, names[i]);
        if (at < 0) {
            fprintf(stderr, "json: no member \"%s\"\n", names[i]);
            return false;
        }
        if (print) printf("%.*s\n", (int)r.value_len[at], r.values[at]);
    }
    return true;
}

int main(int argc, char **argv)
{
    bool array = argc > 1 && strcmp(argv[1], "--array") == 0, print = argc > 1 && strcmp(argv[1], "--print") == 0;
    int first = array || print ? 2 : 1;
    char *line = NULL;
    size_t room = 0, lines = 0;
    bool good = true;
    for (ssize_t n; good && (n = getline(&line, &room, stdin)) > 0; lines++) {
        good = line[n - 1] == '\n' && check_line(line, (size_t)n - 1, array, print, argc - first, argv + first);
        if (line[n - 1] != '\n') fprintf(stderr, "json: the last line has no end\n");
    }
    free(line);
    return good && lines > 0 ? 0 : 1;
}
