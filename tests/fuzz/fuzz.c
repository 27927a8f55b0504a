#include "fuzz.h"

#include "../../text/grammar_match.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

void fuzz_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: broken: %s\n", file, line, what);
    abort();
}

const char *fuzz_file(int slot, const void *data, size_t n)
{
    static int fds[4] = {-1, -1, -1, -1};
    static char paths[4][32];
    if (fds[slot] < 0) fds[slot] = memfd_create("fuzz", MFD_CLOEXEC);
    if (fds[slot] < 0 || ftruncate(fds[slot], 0) != 0 || pwrite(fds[slot], data, n, 0) != (ssize_t)n) {
        perror("fuzz_file");
        exit(1);
    }
    snprintf(paths[slot], sizeof paths[slot], "/proc/self/fd/%d", fds[slot]);
    return paths[slot];
}

void fuzz_folder(char folder[FUZZ_FOLDER])
{
    snprintf(folder, FUZZ_FOLDER, "%s/senses-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(folder) != NULL) return;
    perror(folder);
    exit(1);
}

void fuzz_said(sn_status status, const sn_err *err)
{
    if (status == SN_OK) return;
    const size_t n = strnlen(err->msg, sizeof err->msg);
    FUZZ_MUST(err->code == status);
    FUZZ_MUST(n > 0 && n < sizeof err->msg);
    for (size_t i = 0; i < n; i++) FUZZ_MUST((unsigned char)err->msg[i] >= 0x20 && err->msg[i] != 0x7f);
}

sn_compute *fuzz_compute(void)
{
    static sn_compute *c;
    if (c == NULL && sn_compute_open(&c, 1, SN_ISA_BEST, NULL) != SN_OK) exit(1);
    return c;
}

#define SHORTEST_MAX 65536

char *fuzz_shortest_text(const char *gbnf, size_t n)
{
    txt_grammar *g = NULL;
    automaton a = {0};
    sn_err err = {0};
    uint32_t at = STATE_DEAD;
    sn_status st = txt_grammar_open(&g, gbnf, n, &err);
    fuzz_said(st, &err);
    if (st == SN_OK) st = automaton_open(&a, g, &err);
    if (st == SN_OK) st = automaton_start(&a, &at, &err);
    fuzz_said(st, &err);
    char *text = NULL;
    const uint32_t cost = st == SN_OK ? a.states[at].cost : GRAMMAR_NEVER;
    if (st == SN_OK) FUZZ_MUST(at != STATE_DEAD && cost != GRAMMAR_NEVER);
    if (st == SN_OK && cost <= SHORTEST_MAX && (text = malloc(cost + 1)) == NULL) exit(1);
    size_t len = 0;
    for (unsigned char b; text && st == SN_OK && automaton_shortest(&a, at, &b);) {
        FUZZ_MUST(len < cost);
        text[len++] = (char)b;
        st = automaton_step(&a, at, b, &at, &err);
        FUZZ_MUST(st != SN_OK || a.states[at].cost == cost - len);
    }
    if (text && st == SN_OK) FUZZ_MUST(len == cost && automaton_may_end(&a, at));
    if (text) text[len] = '\0';
    if (st != SN_OK) free(text), text = NULL;
    automaton_close(&a);
    txt_grammar_close(g);
    return text;
}

/* ---- valid files with a few things changed ---- */

static uint64_t number(const fuzz_base *b, size_t at, size_t n_bytes)
{
    uint64_t v = 0;
    if (at + n_bytes <= b->n) memcpy(&v, b->data + at, n_bytes);
    return v;
}

static void add_place(fuzz_base *b, size_t at)
{
    if ((b->n_places & (b->n_places - 1)) == 0) b->places = realloc(b->places, (b->n_places ? 2 * b->n_places : 1) * sizeof *b->places);
    b->places[b->n_places++] = at;
}

/* Behind a value of a key whose type stands at `at`. Of a list only the first elements are places. */
static size_t value_end(fuzz_base *b, size_t at, uint32_t type)
{
    if (type == SN_KV_STRING) {
        add_place(b, at);
        return at + 8 + number(b, at, 8);
    }
    add_place(b, at);
    if (type != SN_KV_ARRAY) return at + sn_kv_type_bytes((sn_kv_type)type);
    const uint32_t elem = (uint32_t)number(b, at, 4);
    const uint64_t count = number(b, at + 4, 8);
    add_place(b, at + 4);
    at += 12;
    for (uint64_t i = 0; i < count && at < b->n; i++) {
        if (i < 8) add_place(b, at);
        at += elem == SN_KV_STRING ? 8 + number(b, at, 8) : sn_kv_type_bytes((sn_kv_type)elem);
    }
    return at;
}

static void find_places_gguf(fuzz_base *b)
{
    const uint64_t n_tensors = number(b, 8, 8), n_kv = number(b, 16, 8);
    size_t at = 24;
    for (size_t p = 4; p < 24; p += p == 4 ? 4 : 8) add_place(b, p);
    for (uint64_t i = 0; i < n_kv; i++) {
        add_place(b, at); /* the key's length, and its first letters */
        add_place(b, at + 8);
        at += 8 + number(b, at, 8);
        add_place(b, at);
        at = value_end(b, at + 4, (uint32_t)number(b, at, 4));
    }
    for (uint64_t i = 0; i < n_tensors; i++) {
        add_place(b, at);
        add_place(b, at + 8);
        at += 8 + number(b, at, 8);
        const uint64_t n_dims = number(b, at, 4);
        for (uint64_t k = 0; k < n_dims + 3; k++) add_place(b, at + (k == 0 ? 0 : 4 + 8 * (k - 1)));
        at += 4 + 8 * n_dims;
        add_place(b, at + 4);
        at += 12;
    }
    b->data_at = (at + 31) / 32 * 32;
}

static void find_places_bin(fuzz_base *b)
{
    for (size_t at = 4; at < 56; at += 4) add_place(b, at);
    size_t at = 56 + 4 * number(b, 48, 4) * number(b, 52, 4);
    const uint64_t n_words = number(b, at, 4);
    add_place(b, at);
    at += 4;
    for (uint64_t i = 0; i < n_words; i++) {
        if (i < 8) add_place(b, at);
        at += 4 + number(b, at, 4);
    }
    b->data_at = at;
    while (at + 12 < b->n) {
        const uint64_t n_dims = number(b, at, 4), type = number(b, at + 8, 4);
        size_t n_values = 1;
        for (size_t k = 0; k < 3 + n_dims; k++) add_place(b, at + 4 * k);
        for (size_t k = 0; k < n_dims; k++) n_values *= number(b, at + 12 + 4 * k, 4);
        add_place(b, at + 12 + 4 * n_dims);
        at += 12 + 4 * n_dims + number(b, at + 4, 4) + n_values * (type == SN_F32 ? 4 : 2);
    }
}

static void read_base(fuzz_base *b)
{
    FILE *f = fopen(b->path, "rb");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        perror(b->path);
        exit(1);
    }
    b->n = (size_t)ftell(f);
    rewind(f);
    b->data = malloc(b->n);
    if (b->data == NULL || fread(b->data, 1, b->n, f) != b->n) exit(1);
    fclose(f);
    if (memcmp(b->data, "GGUF", 4) == 0)
        find_places_gguf(b);
    else
        find_places_bin(b);
}

/* Numbers that code is wrong about. */
static const uint64_t odd[] = {
    0,
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    12,
    31,
    32,
    33,
    63,
    64,
    65,
    100,
    127,
    128,
    255,
    256,
    257,
    1000,
    1024,
    4095,
    4096,
    4097,
    32767,
    32768,
    65535,
    65536,
    65537,
    1000000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x100000000,
    0x7FFFFFFFFFFFFFFF,
    0x8000000000000000,
    UINT64_MAX,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0x00000001,
    0x7F7FFFFF,
    0xBF800000,
    0x3F800000,
    0x7C007C00,
    0x7E007E00,
    UINT64_MAX / 2,
    UINT64_MAX / 4 + 1,
};

enum { SET_ODD, SET_NUMBER, SWAP, ADD, BYTE, CUT, DATA, DATA_ALL, N_CHANGE };

/* One change: how, how many bytes, which place (16 bits), a value (32 bits). */
static void change(const fuzz_base *b, unsigned char *file, size_t *n, const uint8_t *c)
{
    const unsigned how = c[0] % N_CHANGE;
    const size_t width = (size_t)1 << c[1] % 4, which = (size_t)(c[2] | c[3] << 8);
    uint64_t v = 0;
    memcpy(&v, c + 4, 4);
    const size_t at = b->places[which % b->n_places], other = b->places[v % b->n_places];
    if (how == CUT) {
        *n = (v & 1) ? at : *n - v % *n;
        return;
    }
    if (how == BYTE) {
        file[(which | (v & 0xFF) << 16) % *n] = (unsigned char)(v >> 8);
        return;
    }
    if (how == DATA || how == DATA_ALL) { /* values of tensors */
        const uint32_t bits = (uint32_t)odd[(v >> 16) % (sizeof odd / sizeof *odd)];
        const size_t room = *n - b->data_at, count = how == DATA ? 1 : room / 4;
        for (size_t i = 0; room >= 4 && i < count; i++)
            memcpy(file + b->data_at + (which * 4 * (v % 977 + 1) + 4 * i) % (room / 4 * 4), &bits, 4);
        return;
    }
    if (at + width > *n || other + width > *n) return;
    if (how == SET_ODD) v = odd[v % (sizeof odd / sizeof *odd)];
    if (how == SWAP) memcpy(&v, b->data + other, width);
    if (how == ADD) {
        uint64_t old = 0;
        memcpy(&old, file + at, width);
        v = old + (uint64_t)(int64_t)(int8_t)c[4];
    }
    memcpy(file + at, &v, width);
}

unsigned char *fuzz_changed(fuzz_base *bases, size_t n_bases, const uint8_t *input, size_t n_input, size_t *n)
{
    if (n_input < 1) return NULL;
    fuzz_base *b = &bases[input[0] % n_bases];
    if (b->data == NULL) read_base(b);
    unsigned char *file = malloc(b->n);
    if (file == NULL) exit(1);
    memcpy(file, b->data, b->n);
    *n = b->n;
    for (size_t i = 1, k = 0; i + FUZZ_CHANGE <= n_input && k < 8 && *n > b->data_at; i += FUZZ_CHANGE, k++) change(b, file, n, input + i);
    return file;
}
