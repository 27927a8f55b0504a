#include "../core/gguf.h"
#include "../core/mem.h"

#include "testing.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN "tests/golden/core/gguf_all.gguf"

/* ---- making files by hand ---- */

typedef struct {
    unsigned char b[16384];
    size_t n;
} file;

static void bytes(file *f, const void *p, size_t n)
{
    assert_true(f->n + n <= sizeof f->b);
    memcpy(f->b + f->n, p, n);
    f->n += n;
}

static void u32(file *f, uint32_t v)
{
    bytes(f, &v, sizeof v);
}

static void u64(file *f, uint64_t v)
{
    bytes(f, &v, sizeof v);
}

static void str(file *f, const char *s)
{
    u64(f, strlen(s));
    bytes(f, s, strlen(s));
}

static void head(file *f, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    f->n = 0;
    bytes(f, "GGUF", 4);
    u32(f, version);
    u64(f, n_tensors);
    u64(f, n_kv);
}

static void kv_u32(file *f, const char *key, uint32_t v)
{
    str(f, key);
    u32(f, SN_KV_U32);
    u32(f, v);
}

static void tensor(file *f, const char *name, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    str(f, name);
    u32(f, n_dims);
    for (uint32_t i = 0; i < n_dims && i < 8; i++) u64(f, dims[i]);
    u32(f, type);
    u64(f, offset);
}

static void data(file *f, size_t align, size_t n)
{
    static const unsigned char zeros[4096];
    bytes(f, zeros, (align - f->n % align) % align);
    bytes(f, zeros, n);
}

/* A file of one F32 tensor "t" with these dimensions at this offset, and 64 bytes of data. */
static void one_tensor(file *f, uint32_t n_dims, const uint64_t *dims, uint32_t type, uint64_t offset)
{
    head(f, 3, 1, 0);
    tensor(f, "t", n_dims, dims, type, offset);
    data(f, 32, 64);
}

/* Not by truncating to nothing, which makes some file systems flush at each close. */
static void rewrite(const char *path, const void *p, size_t n)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, 0), n);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    close(fd);
}

static sn_status try_open(const file *f, sn_err *err)
{
    static const char *path;
    sn_gguf *g = NULL;
    if (path == NULL) path = testing_temp("", 0);
    rewrite(path, f->b, f->n);
    sn_status status = sn_gguf_open(&g, path, err);
    if (status != SN_OK) {
        assert_null(g);
        assert_int_equal(err->code, status);
        assert_memory_equal(err->msg, path, strlen(path)); /* a message begins with the file's name and is one line */
        assert_null(strchr(err->msg, '\n'));
    }
    sn_gguf_close(g);
    return status;
}

/* The file must be refused with this code and a message that has this in it. */
#define REFUSED(f, code, part)                                                                                                             \
    do {                                                                                                                                   \
        sn_err err_ = {0};                                                                                                                 \
        assert_int_equal(try_open(f, &err_), code);                                                                                        \
        if (strstr(err_.msg, part) == NULL) fail_msg("\"%s\" does not say \"%s\"", err_.msg, part);                                        \
    } while (0)

static void accepted(const file *f)
{
    sn_err err = {0};
    if (try_open(f, &err) != SN_OK) fail_msg("refused: %s", err.msg);
}

static sn_gguf *golden(void)
{
    sn_gguf *g = NULL;
    sn_err err;
    if (sn_gguf_open(&g, GOLDEN, &err) != SN_OK) fail_msg("%s", err.msg);
    return g;
}

static void load_golden(file *f)
{
    FILE *in = fopen(GOLDEN, "rb");
    assert_non_null(in);
    f->n = fread(f->b, 1, sizeof f->b, in);
    fclose(in);
}

/* ---- reading ---- */

static void values_of_every_type_are_read(void **state)
{
    (void)state;
    sn_gguf *g = golden();
    assert_int_equal(sn_gguf_version(g), 3);
    assert_int_equal(sn_gguf_n_kv(g), 27);
    assert_int_equal(sn_gguf_bytes(g), 1792);
    assert_string_equal(sn_gguf_path(g), GOLDEN);
    static const struct {
        const char *name;
        sn_kv_type type;
        double value;
    } cases[] = {{"UINT8", SN_KV_U8, 200},          {"INT8", SN_KV_I8, -100},          {"UINT16", SN_KV_U16, 60000},
                 {"INT16", SN_KV_I16, -30000},      {"UINT32", SN_KV_U32, 4000000000}, {"INT32", SN_KV_I32, -2000000000},
                 {"UINT64", SN_KV_U64, 0x1p63 + 5}, {"INT64", SN_KV_I64, -0x1p62},     {"FLOAT32", SN_KV_F32, 1.5},
                 {"FLOAT64", SN_KV_F64, -2.25}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char key[64];
        snprintf(key, sizeof key, "one.%s", cases[i].name);
        const sn_kv *one = sn_gguf_find(g, key);
        assert_non_null(one);
        assert_int_equal(one->type, cases[i].type);
        assert_int_equal(one->n, 1);
        assert_true(sn_kv_f64(one, 0) == cases[i].value);
        snprintf(key, sizeof key, "many.%s", cases[i].name);
        const sn_kv *many = sn_gguf_find(g, key);
        assert_non_null(many);
        assert_int_equal(many->type, SN_KV_ARRAY);
        assert_int_equal(many->elem, cases[i].type);
        assert_int_equal(many->n, 3);
        assert_true(sn_kv_f64(many, 0) == cases[i].value);
        assert_int_equal(sn_kv_i64(many, 1), 1);
        assert_int_equal(sn_kv_i64(many, 2), 0);
        if (cases[i].type != SN_KV_U64) assert_int_equal(sn_kv_i64(many, 0), (int64_t)cases[i].value);
    }
    assert_true(sn_kv_i64(sn_gguf_find(g, "one.UINT64"), 0) == INT64_MAX); /* clamped, as documented */
    const sn_kv *bools = sn_gguf_find(g, "many.bool");
    assert_int_equal(sn_kv_i64(bools, 0) * 100 + sn_kv_i64(bools, 1) * 10 + sn_kv_i64(bools, 2), 101);
    sn_gguf_close(g);
}

static void strings_are_read_in_place(void **state)
{
    (void)state;
    sn_gguf *g = golden();
    sn_err err;
    sn_str s;
    assert_int_equal(sn_gguf_str_or(g, "one.text", &s, &err), SN_OK);
    assert_true(sn_str_eq(s, "grüße, 世界"));
    assert_false(sn_str_eq(s, "grüße, 世"));
    assert_int_equal(sn_gguf_str_or(g, "one.empty", &s, &err), SN_OK);
    assert_int_equal(s.n, 0);
    assert_non_null(s.p);
    assert_int_equal(sn_gguf_str_or(g, "absent", &s, &err), SN_OK);
    assert_null(s.p);
    const sn_kv *kv = sn_gguf_find(g, "many.text");
    static const char *const want[] = {"a", "", "ccc", "naïve"};
    assert_int_equal(kv->n, 4);
    for (size_t i = 0; i < 4; i++) assert_true(sn_str_eq(kv->strings[i], want[i]));
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) { /* each key is found, at its own place */
        char key[64];
        const sn_kv *at = sn_gguf_kv_at(g, i);
        snprintf(key, sizeof key, "%.*s", (int)at->key.n, at->key.p);
        assert_ptr_equal(sn_gguf_find(g, key), at);
    }
    assert_null(sn_gguf_find(g, "one"));
    assert_null(sn_gguf_find(g, ""));
    sn_gguf_close(g);
}

static void tensors_have_the_slowest_axis_first(void **state)
{
    (void)state;
    sn_gguf *g = golden();
    assert_int_equal(sn_gguf_n_tensors(g), 7);
    const sn_tensor *t = sn_gguf_tensor(g, "four.weight");
    assert_non_null(t);
    assert_int_equal(t->type, SN_F16);
    assert_int_equal(t->n_dims, 4);
    assert_int_equal(t->shape[0] * 1000 + t->shape[1] * 100 + t->shape[2] * 10 + t->shape[3], 2132);
    assert_int_equal(t->n_values, 12);
    assert_int_equal(t->n_bytes, 24);
    float v[64];
    sn_type_get(t->type)->dequantize(v, t->data, 12);
    for (size_t i = 0; i < 12; i++) assert_true(v[i] == (float)i / 8);
    t = sn_gguf_tensor(g, "two.weight");
    assert_int_equal(t->shape[0], 3);
    assert_int_equal(t->shape[1], 4);
    sn_type_get(t->type)->dequantize(v, t->data, 12);
    assert_true(v[11] == 11.0f / 8);
    t = sn_gguf_tensor(g, "BF16.weight");
    sn_type_get(t->type)->dequantize(v, t->data, 64);
    assert_true(v[63] == 63.0f / 8 - 3);
    t = sn_gguf_tensor(g, "Q8_0.weight");
    assert_int_equal(t->n_bytes, 68);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++)
        assert_ptr_equal(sn_gguf_tensor(g, sn_gguf_tensor_at(g, i)->name), sn_gguf_tensor_at(g, i));
    assert_null(sn_gguf_tensor(g, "two"));
    sn_gguf_close(g);
}

static void version_2_is_read_and_others_are_refused_by_name(void **state)
{
    (void)state;
    file f;
    load_golden(&f);
    f.b[4] = 2;
    accepted(&f);
    f.b[4] = 1;
    REFUSED(&f, SN_EUNSUPPORTED, "GGUF version 1: want 2 or 3");
    f.b[4] = 4;
    REFUSED(&f, SN_EUNSUPPORTED, "GGUF version 4");
    memcpy(f.b + 4, "\0\0\0\3", 4);
    REFUSED(&f, SN_EUNSUPPORTED, "big-endian");
}

static void files_of_other_kinds_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *head, *part;
        size_t n;
    } cases[] = {
        {"version https://git-lfs.example/spec/v1\noid sha256:0\n", "git-lfs pointer", 0},
        {"<!DOCTYPE html><html>", "an HTML page", 0},
        {"PK\3\4aaaaaaaaaaaa", "a zip archive", 0},
        {"\x40\0\0\0\0\0\0\0{\"__metadata__\"", "a safetensors file", 23},
        {"\x1f\x8b\x08\0aaaa", "a gzip archive", 8},
        {"\x89PNG\r\n\x1a\naaaa", "a PNG picture", 12},
        {"\xff\xd8\xff\xe0zzzz", "a JPEG picture", 8},
        {"lmgg\1\0\0\0", "a whisper.cpp ggml model", 8},
        {"hello there\n", "a text file", 0},
        {"\1\2\3", "does not begin like one", 3},
        {"G", "a text file", 1},
        {"GGU", "a text file", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file f = {.n = 0};
        bytes(&f, cases[i].head, cases[i].n != 0 ? cases[i].n : strlen(cases[i].head));
        REFUSED(&f, SN_EFORMAT, cases[i].part);
    }
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    file f;
    load_golden(&f);
    size_t whole = f.n, least = whole;
    sn_gguf *g = golden();
    size_t last = sn_gguf_tensor(g, "id")->n_bytes; /* the last tensor; behind it there is padding alone */
    least = whole - (32 - last % 32);
    sn_gguf_close(g);
    for (f.n = 1; f.n < whole; f.n++) {
        sn_err err;
        sn_status status = try_open(&f, &err);
        if (f.n < least && status != SN_EFORMAT) fail_msg("cut at %zu of %zu: status %d", f.n, whole, (int)status);
        if (f.n >= least && status != SN_OK) fail_msg("cut in the padding at %zu: %s", f.n, err.msg);
    }
}

/* Reads all that an opened file offers, so that the sanitizers see every access. */
static double walk(const sn_gguf *g)
{
    double sum = 0;
    float *values = NULL;
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) {
        const sn_kv *kv = sn_gguf_kv_at(g, i);
        for (size_t k = 0; k < kv->n; k++)
            if (kv->strings != NULL)
                for (size_t j = 0; j < kv->strings[k].n; j++) sum += kv->strings[k].p[j];
            else
                sum += sn_kv_f64(kv, k) != 0 ? (double)(sn_kv_i64(kv, k) & 1) : 0;
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        const sn_type_info *info = sn_type_get(t->type);
        if (info->dequantize == NULL) continue;
        values = malloc(t->n_values * sizeof *values);
        assert_non_null(values);
        info->dequantize(values, t->data, t->n_values);
        sum += isnan(values[0]) ? 0 : 1;
        free(values);
    }
    return sum;
}

static void no_flipped_bit_of_a_header_does_harm(void **state)
{
    (void)state;
    file f;
    load_golden(&f);
    const char *path = testing_temp("", 0);
    size_t opened = 0, refused = 0;
    for (size_t bit = 0; bit < 8 * 1440; bit++) { /* the header, and the first of the data */
        sn_gguf *g = NULL;
        sn_err err;
        f.b[bit / 8] ^= (unsigned char)(1 << bit % 8);
        rewrite(path, f.b, f.n);
        if (sn_gguf_open(&g, path, &err) == SN_OK) {
            walk(g);
            opened++;
        } else {
            assert_memory_equal(err.msg, path, strlen(path));
            refused++;
        }
        sn_gguf_close(g);
        f.b[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(opened > 100 && refused > 100);
}

/* ---- headers that lie ---- */

static void counts_beyond_the_file_are_refused(void **state)
{
    (void)state;
    file f;
    static const uint64_t counts[] = {10, 1u << 20, UINT32_MAX, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        head(&f, 3, 0, counts[i]);
        REFUSED(&f, SN_EFORMAT, "cannot fit");
        head(&f, 3, counts[i], 0);
        REFUSED(&f, SN_EFORMAT, "cannot fit");
        head(&f, 3, 0, 1);
        str(&f, "a");
        u32(&f, SN_KV_ARRAY);
        u32(&f, SN_KV_STRING);
        u64(&f, counts[i]);
        REFUSED(&f, SN_EFORMAT, "strings cannot fit");
        head(&f, 3, 0, 1);
        str(&f, "a");
        u32(&f, SN_KV_ARRAY);
        u32(&f, SN_KV_F64);
        u64(&f, counts[i]);
        REFUSED(&f, SN_EFORMAT, "items of 8 bytes");
        head(&f, 3, 0, 1);
        u64(&f, counts[i]);
        data(&f, 1, 20);
        REFUSED(&f, SN_EFORMAT, i == 0 ? "want 1 to 65535 bytes without NUL" : "key at byte");
    }
}

static void keys_must_be_named_once_and_with_known_types(void **state)
{
    (void)state;
    file f;
    head(&f, 3, 0, 2);
    kv_u32(&f, "a.b", 1);
    kv_u32(&f, "a.c", 1);
    accepted(&f);
    head(&f, 3, 0, 2);
    kv_u32(&f, "a.b", 1);
    kv_u32(&f, "a.b", 1);
    REFUSED(&f, SN_EFORMAT, "key a.b stands there twice");
    head(&f, 3, 0, 1);
    kv_u32(&f, "", 1);
    data(&f, 1, 16);
    REFUSED(&f, SN_EFORMAT, "file has 0 bytes");
    head(&f, 3, 0, 1);
    str(&f, "a");
    u32(&f, 13);
    u64(&f, 0);
    REFUSED(&f, SN_EFORMAT, "key a: unknown value type 13");
    head(&f, 3, 0, 1);
    str(&f, "a");
    u32(&f, SN_KV_ARRAY);
    u32(&f, 77);
    u64(&f, 0);
    REFUSED(&f, SN_EFORMAT, "key a: unknown array type 77");
    head(&f, 3, 0, 1);
    str(&f, "a");
    u32(&f, SN_KV_ARRAY);
    u32(&f, SN_KV_ARRAY);
    u64(&f, 1);
    data(&f, 1, 64);
    REFUSED(&f, SN_EUNSUPPORTED, "key a: an array of arrays");
    head(&f, 3, 0, 1);
    str(&f, "a");
    u32(&f, SN_KV_BOOL);
    bytes(&f, "\2", 1);
    REFUSED(&f, SN_EFORMAT, "key a: want a bool of 0 or 1, file has 2");
}

static void a_key_has_at_most_65535_bytes(void **state)
{
    (void)state;
    static char key[65537];
    memset(key, 'k', sizeof key - 1);
    static const struct {
        size_t n;
        sn_status want;
    } cases[] = {{65535, SN_OK}, {65536, SN_EFORMAT}};
    for (size_t i = 0; i < 2; i++) {
        file f;
        sn_gguf *g = NULL;
        sn_err err;
        head(&f, 3, 0, 1);
        const char *path = testing_temp("", 0);
        FILE *out = fopen(path, "wb");
        assert_non_null(out);
        fwrite(f.b, 1, f.n, out);
        uint64_t n = cases[i].n;
        fwrite(&n, 1, 8, out);
        fwrite(key, 1, cases[i].n, out);
        fwrite("\4\0\0\0\1\0\0\0", 1, 8, out);
        fclose(out);
        assert_int_equal(sn_gguf_open(&g, path, &err), cases[i].want);
        sn_gguf_close(g);
    }
}

static void an_empty_array_is_an_array(void **state)
{
    (void)state;
    file f;
    sn_gguf *g = NULL;
    sn_err err;
    head(&f, 3, 0, 2);
    str(&f, "numbers");
    u32(&f, SN_KV_ARRAY);
    u32(&f, SN_KV_I32);
    u64(&f, 0);
    str(&f, "strings");
    u32(&f, SN_KV_ARRAY);
    u32(&f, SN_KV_STRING);
    u64(&f, 0);
    assert_int_equal(sn_gguf_open(&g, testing_temp(f.b, f.n), &err), SN_OK);
    assert_int_equal(sn_gguf_find(g, "numbers")->n, 0);
    assert_int_equal(sn_gguf_find(g, "strings")->n, 0);
    sn_gguf_close(g);
}

static void alignment_is_a_power_of_two_that_offsets_obey(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 4, 12, 33, 65536 * 2, UINT32_MAX};
    const uint64_t dims[] = {2};
    file f;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        head(&f, 3, 0, 1);
        kv_u32(&f, "general.alignment", bad[i]);
        REFUSED(&f, SN_EFORMAT, "key general.alignment: want a u32 power of two");
    }
    head(&f, 3, 0, 1);
    str(&f, "general.alignment");
    u32(&f, SN_KV_STRING);
    str(&f, "32");
    REFUSED(&f, SN_EFORMAT, "key general.alignment");
    for (uint32_t align = 8; align <= 64; align *= 2) {
        head(&f, 3, 1, 1);
        kv_u32(&f, "general.alignment", align);
        tensor(&f, "t", 1, dims, SN_F32, align);
        data(&f, align, align + 8);
        accepted(&f);
        f.n--;
        REFUSED(&f, SN_EFORMAT, "end beyond the file");
    }
    one_tensor(&f, 1, dims, SN_F32, 8);
    REFUSED(&f, SN_EFORMAT, "offset 8 is not a multiple of the alignment 32");
}

static void dimensions_that_lie_are_refused(void **state)
{
    (void)state;
    file f;
    const uint64_t huge = (uint64_t)1 << 62;
    static const uint64_t fits[4] = {2, 2, 2, 2};
    one_tensor(&f, 4, fits, SN_F32, 0);
    accepted(&f);
    one_tensor(&f, 0, fits, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "tensor t: want 1 to 4 dimensions, file has 0");
    one_tensor(&f, 5, (uint64_t[]){1, 1, 1, 1, 1}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "file has 5");
    one_tensor(&f, UINT32_MAX, (uint64_t[8]){1}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "file has 4294967295");
    one_tensor(&f, 2, (uint64_t[]){2, 0}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "tensor t: axis 1 has a length of 0");
    one_tensor(&f, 2, (uint64_t[]){huge, huge}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "values overflows");
    one_tensor(&f, 4, (uint64_t[]){1 << 16, 1 << 16, 1 << 16, 1 << 16}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "values overflows");
    one_tensor(&f, 1, (uint64_t[]){huge}, SN_F32, 0); /* 2^64 bytes: the product is 0 when it is not checked */
    REFUSED(&f, SN_EFORMAT, "bytes overflows");
    one_tensor(&f, 1, (uint64_t[]){UINT64_MAX}, SN_I8, 0);
    REFUSED(&f, SN_EFORMAT, "bytes overflows");
    one_tensor(&f, 1, (uint64_t[]){17}, SN_F32, 0);
    REFUSED(&f, SN_EFORMAT, "tensor t: its 68 bytes at");
    one_tensor(&f, 2, (uint64_t[]){16, 2}, SN_Q8_0, 0);
    REFUSED(&f, SN_EFORMAT, "rows of 16 values cannot be made of Q8_0 blocks of 32");
    one_tensor(&f, 1, fits, 4, 0);
    REFUSED(&f, SN_EUNSUPPORTED, "tensor t: unknown type 4");
    one_tensor(&f, 1, fits, UINT32_MAX, 0);
    REFUSED(&f, SN_EUNSUPPORTED, "tensor t: unknown type 4294967295");
    one_tensor(&f, 1, fits, SN_F32, 64);
    REFUSED(&f, SN_EFORMAT, "end beyond the file");
    one_tensor(&f, 1, fits, SN_F32, UINT64_MAX - 31);
    REFUSED(&f, SN_EFORMAT, "end beyond the file");
}

static void tensors_must_have_one_name_each_and_lie_apart(void **state)
{
    (void)state;
    const uint64_t dims[] = {9}; /* 36 bytes */
    char name[70];
    file f;
    head(&f, 3, 2, 0);
    tensor(&f, "b", 1, dims, SN_F32, 64);
    tensor(&f, "a", 1, dims, SN_F32, 0);
    data(&f, 32, 128);
    accepted(&f);
    head(&f, 3, 2, 0);
    tensor(&f, "b", 1, dims, SN_F32, 32);
    tensor(&f, "a", 1, dims, SN_F32, 0);
    data(&f, 32, 128);
    REFUSED(&f, SN_EFORMAT, "tensors a and b overlap");
    for (uint64_t n = 32; n <= 33; n++) { /* up to the other's first byte, and on it */
        head(&f, 3, 2, 0);
        tensor(&f, "a", 1, &n, SN_I8, 0);
        tensor(&f, "b", 1, dims, SN_F32, 32);
        data(&f, 32, 128);
        if (n == 32)
            accepted(&f);
        else
            REFUSED(&f, SN_EFORMAT, "tensors a and b overlap");
    }
    head(&f, 3, 2, 0);
    tensor(&f, "a", 1, dims, SN_F32, 0);
    tensor(&f, "a", 1, dims, SN_F32, 64);
    data(&f, 32, 128);
    REFUSED(&f, SN_EFORMAT, "tensor a stands there twice");
    memset(name, 'n', sizeof name);
    name[64] = '\0';
    head(&f, 3, 1, 0);
    tensor(&f, name, 1, dims, SN_F32, 0);
    data(&f, 32, 64);
    accepted(&f);
    name[64] = 'n';
    name[65] = '\0';
    head(&f, 3, 1, 0);
    tensor(&f, name, 1, dims, SN_F32, 0);
    data(&f, 32, 64);
    REFUSED(&f, SN_EFORMAT, "want a name of 1 to 64 bytes without NUL, file has 65 bytes");
    head(&f, 3, 1, 0);
    tensor(&f, "", 1, dims, SN_F32, 0);
    data(&f, 32, 64);
    REFUSED(&f, SN_EFORMAT, "file has 0 bytes");
}

/* ---- getters ---- */

static void integers_are_taken_from_any_width_and_held_to_their_range(void **state)
{
    (void)state;
    sn_gguf *g = golden();
    sn_err err;
    uint32_t v = 7;
    assert_int_equal(sn_gguf_u32(g, "one.UINT8", 200, 200, &v, &err), SN_OK);
    assert_int_equal(v, 200);
    assert_int_equal(sn_gguf_u32(g, "one.UINT16", 0, UINT32_MAX, &v, &err), SN_OK);
    assert_int_equal(v, 60000);
    assert_int_equal(sn_gguf_u32(g, "one.UINT32", 0, UINT32_MAX, &v, &err), SN_OK);
    assert_true(v == 4000000000u);
    v = 7;
    assert_int_equal(sn_gguf_u32(g, "one.UINT8", 201, 300, &v, &err), SN_EFORMAT);
    assert_string_equal(err.msg, GOLDEN ": key one.UINT8: want an integer from 201 to 300, file has 200");
    assert_int_equal(sn_gguf_u32(g, "one.UINT8", 0, 199, &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_u32(g, "one.INT8", 0, UINT32_MAX, &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_u32(g, "one.UINT64", 0, UINT32_MAX, &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_u32(g, "one.FLOAT32", 0, 10, &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_u32(g, "one.true", 0, 10, &v, &err), SN_EFORMAT);
    assert_string_equal(err.msg, GOLDEN ": key one.true: want an integer from 0 to 10, file has the bool true");
    assert_int_equal(sn_gguf_u32(g, "many.UINT8", 0, 300, &v, &err), SN_EFORMAT);
    assert_string_equal(err.msg, GOLDEN ": key many.UINT8: want an integer from 0 to 300, file has an array of 3 u8");
    assert_int_equal(sn_gguf_u32_or(g, "one.text", 0, 300, 5, &v, &err), SN_EFORMAT);
    assert_string_equal(err.msg, GOLDEN ": key one.text: want an integer from 0 to 300, file has the string \"grüße, 世界\"");
    assert_int_equal(sn_gguf_u32(g, "absent", 0, 300, &v, &err), SN_EFORMAT);
    assert_string_equal(err.msg, GOLDEN ": key absent: want an integer from 0 to 300, file has no such key");
    assert_int_equal(v, 7);
    assert_int_equal(sn_gguf_u32_or(g, "absent", 0, 300, 5, &v, &err), SN_OK);
    assert_int_equal(v, 5);
    sn_gguf_close(g);
}

static void floats_bools_and_strings_refuse_other_types(void **state)
{
    (void)state;
    sn_gguf *g = golden();
    sn_err err;
    float v = 7;
    bool b = false;
    sn_str s;
    assert_int_equal(sn_gguf_f32(g, "one.FLOAT32", &v, &err), SN_OK);
    assert_true(v == 1.5f);
    assert_int_equal(sn_gguf_f32_or(g, "one.FLOAT64", 3, &v, &err), SN_OK);
    assert_true(v == -2.25f);
    assert_int_equal(sn_gguf_f32_or(g, "absent", 3, &v, &err), SN_OK);
    assert_true(v == 3);
    assert_int_equal(sn_gguf_f32(g, "absent", &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_f32_or(g, "one.UINT8", 3, &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_f32(g, "many.FLOAT32", &v, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_bool_or(g, "one.true", false, &b, &err), SN_OK);
    assert_true(b);
    assert_int_equal(sn_gguf_bool_or(g, "one.false", true, &b, &err), SN_OK);
    assert_false(b);
    assert_int_equal(sn_gguf_bool_or(g, "absent", true, &b, &err), SN_OK);
    assert_true(b);
    assert_int_equal(sn_gguf_bool_or(g, "one.UINT8", true, &b, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_str_or(g, "one.true", &s, &err), SN_EFORMAT);
    assert_int_equal(sn_gguf_str_or(g, "many.text", &s, &err), SN_EFORMAT);
    sn_gguf_close(g);
}

static void floats_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    const double bad[] = {NAN, INFINITY, -INFINITY, 1e300};
    for (size_t i = 0; i < 4; i++) {
        file f;
        sn_gguf *g = NULL;
        sn_err err;
        float v;
        head(&f, 3, 0, 1);
        str(&f, "x");
        u32(&f, SN_KV_F64);
        bytes(&f, &bad[i], 8);
        assert_int_equal(sn_gguf_open(&g, testing_temp(f.b, f.n), &err), SN_OK);
        assert_int_equal(sn_gguf_f32(g, "x", &v, &err), SN_EFORMAT);
        assert_non_null(strstr(err.msg, "want a finite float"));
        (void)sn_kv_i64(sn_gguf_find(g, "x"), 0);
        sn_gguf_close(g);
    }
}

/* ---- writing ---- */

static sn_gguf_writer *writer(const char *path)
{
    sn_gguf_writer *w = NULL;
    sn_err err;
    if (sn_gguf_create(&w, path, &err) != SN_OK) fail_msg("%s", err.msg);
    return w;
}

static void assert_same_file(const char *path, const file *want)
{
    file have;
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    have.n = fread(have.b, 1, sizeof have.b, in);
    fclose(in);
    assert_int_equal(have.n, want->n);
    assert_memory_equal(have.b, want->b, want->n);
}

static void a_copied_file_is_the_gguf_packages_byte_for_byte(void **state)
{
    (void)state;
    static const size_t steps[] = {SIZE_MAX, 1, 7}; /* whole tensors, and data in small pieces */
    for (size_t k = 0; k < 3; k++) {
        file want;
        sn_err err;
        sn_gguf *g = golden();
        const char *path = testing_temp("old", 3);
        sn_gguf_writer *w = writer(path);
        for (size_t i = 0; i < sn_gguf_n_kv(g); i++) sn_gguf_set_kv(w, sn_gguf_kv_at(g, i));
        for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
            const sn_tensor *t = sn_gguf_tensor_at(g, i);
            sn_gguf_add_tensor(w, t->name, t->type, t->shape, t->n_dims);
        }
        for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
            const sn_tensor *t = sn_gguf_tensor_at(g, i);
            for (size_t at = 0; at < t->n_bytes;) {
                size_t n = t->n_bytes - at < steps[k] ? t->n_bytes - at : steps[k];
                sn_gguf_write_data(w, (const char *)t->data + at, n);
                at += n;
            }
        }
        assert_same_file(path, &(file){.b = "old", .n = 3}); /* nothing is there before the end */
        assert_int_equal(sn_gguf_finish(w, &err), SN_OK);
        load_golden(&want);
        assert_same_file(path, &want);
        sn_gguf_close(g);
    }
}

static void what_the_setters_write_the_getters_read(void **state)
{
    (void)state;
    sn_err err;
    sn_gguf *g = NULL;
    const char *path = testing_temp("", 0);
    sn_gguf_writer *w = writer(path);
    const int32_t numbers[] = {-1, 2, 3};
    const sn_str words[] = {{"ab", 2}, {"", 0}};
    const float values[] = {1, 2, 3, 4, 5, 6};
    sn_gguf_set_u32(w, "u", 5);
    sn_gguf_set_i32(w, "i", -5);
    sn_gguf_set_f32(w, "f", 0.5f);
    sn_gguf_set_bool(w, "b", true);
    sn_gguf_set_str(w, "s", "text", 4);
    sn_gguf_set_strs(w, "ss", words, 2);
    sn_gguf_set_strs(w, "none", NULL, 0);
    sn_gguf_set_array(w, "a", SN_KV_I32, numbers, 3);
    sn_gguf_add_tensor(w, "t", SN_F32, (size_t[]){2, 3}, 2);
    sn_gguf_write_data(w, values, sizeof values);
    assert_int_equal(sn_gguf_finish(w, &err), SN_OK);
    assert_int_equal(sn_gguf_open(&g, path, &err), SN_OK);
    assert_int_equal(sn_kv_i64(sn_gguf_find(g, "u"), 0), 5);
    assert_int_equal(sn_kv_i64(sn_gguf_find(g, "i"), 0), -5);
    assert_true(sn_kv_f64(sn_gguf_find(g, "f"), 0) == 0.5);
    assert_int_equal(sn_gguf_find(g, "b")->type, SN_KV_BOOL);
    assert_true(sn_str_eq(sn_gguf_find(g, "s")->strings[0], "text"));
    assert_true(sn_str_eq(sn_gguf_find(g, "ss")->strings[0], "ab"));
    assert_int_equal(sn_gguf_find(g, "none")->n, 0);
    assert_int_equal(sn_kv_i64(sn_gguf_find(g, "a"), 0), -1);
    const sn_tensor *t = sn_gguf_tensor(g, "t");
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_memory_equal(t->data, values, sizeof values);
    sn_gguf_close(g);
}

/* Ends w, which must have failed with this in its message, and the old file must stand. */
static void assert_flunked(sn_gguf_writer *w, const char *path, const char *part)
{
    sn_err err = {0};
    assert_int_equal(sn_gguf_finish(w, &err), SN_EUSAGE);
    assert_non_null(strstr(err.msg, part));
    assert_memory_equal(err.msg, path, strlen(path));
    assert_same_file(path, &(file){.b = "old", .n = 3});
}

static sn_status has_a_key(const char *path, sn_err *err)
{
    sn_gguf *g = NULL;
    sn_status st = sn_gguf_open(&g, path, err);
    if (st == SN_OK && sn_gguf_find(g, "wanted") == NULL) st = sn_fail(err, SN_EFORMAT, "%s: has no key that is wanted", path);
    sn_gguf_close(g);
    return st;
}

static void what_is_written_is_checked_before_it_has_a_name(void **state)
{
    const char *path = testing_temp("old", 3);
    char want[600];
    sn_err err = {0};
    sn_gguf_writer *w = writer(path);
    (void)state;
    sn_gguf_set_u32(w, "other", 1);
    assert_int_equal(sn_gguf_finish_checked(w, has_a_key, &err), SN_EFORMAT);
    snprintf(want, sizeof want, "%s: would be no model that can be used: has no key that is wanted", path);
    assert_string_equal(err.msg, want);
    assert_same_file(path, &(file){.b = "old", .n = 3});
    w = writer(path);
    sn_gguf_set_u32(w, "wanted", 1);
    assert_int_equal(sn_gguf_finish_checked(w, has_a_key, &err), SN_OK);
    assert_int_equal(has_a_key(path, &err), SN_OK);
}

static void a_writers_first_mistake_sticks_and_the_old_file_stays(void **state)
{
    (void)state;
    const char *path = testing_temp("old", 3);
    const size_t shape[] = {8};
    sn_gguf_writer *w = writer(path);
    sn_gguf_set_u32(w, "a", 1);
    sn_gguf_set_u32(w, "a", 2);
    sn_gguf_set_u32(w, "", 2);
    assert_flunked(w, path, "a second key a");
    w = writer(path);
    sn_gguf_add_tensor(w, "t", SN_F32, shape, 1);
    sn_gguf_add_tensor(w, "t", SN_F32, shape, 1);
    assert_flunked(w, path, "a second tensor t");
    w = writer(path);
    sn_gguf_add_tensor(w, "t", SN_Q8_0, shape, 1);
    assert_flunked(w, path, "tensor t");
    w = writer(path);
    sn_gguf_add_tensor(w, "t", SN_F32, (size_t[]){SIZE_MAX / 2, 8}, 2);
    assert_flunked(w, path, "tensor t");
    w = writer(path);
    sn_gguf_add_tensor(w, "t", SN_F32, shape, 1);
    sn_gguf_write_data(w, "abcd", 4);
    assert_flunked(w, path, "data is missing from tensor t");
    w = writer(path);
    sn_gguf_write_data(w, "abcd", 4);
    assert_flunked(w, path, "more data than the tensors declared");
    w = writer(path);
    sn_gguf_add_tensor(w, "t", SN_F32, shape, 1);
    sn_gguf_write_data(w, "abcd", 4);
    sn_gguf_set_u32(w, "late", 1);
    assert_flunked(w, path, "too late for key late");
    w = writer(path);
    sn_gguf_abandon(w);
    sn_gguf_abandon(NULL);
    assert_same_file(path, &(file){.b = "old", .n = 3});
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(values_of_every_type_are_read),
    cmocka_unit_test(strings_are_read_in_place),
    cmocka_unit_test(tensors_have_the_slowest_axis_first),
    cmocka_unit_test(version_2_is_read_and_others_are_refused_by_name),
    cmocka_unit_test(files_of_other_kinds_are_named),
    cmocka_unit_test(a_file_cut_anywhere_is_refused),
    cmocka_unit_test(no_flipped_bit_of_a_header_does_harm),
    cmocka_unit_test(counts_beyond_the_file_are_refused),
    cmocka_unit_test(keys_must_be_named_once_and_with_known_types),
    cmocka_unit_test(a_key_has_at_most_65535_bytes),
    cmocka_unit_test(an_empty_array_is_an_array),
    cmocka_unit_test(alignment_is_a_power_of_two_that_offsets_obey),
    cmocka_unit_test(dimensions_that_lie_are_refused),
    cmocka_unit_test(tensors_must_have_one_name_each_and_lie_apart),
    cmocka_unit_test(integers_are_taken_from_any_width_and_held_to_their_range),
    cmocka_unit_test(floats_bools_and_strings_refuse_other_types),
    cmocka_unit_test(floats_that_are_not_finite_are_refused),
    cmocka_unit_test(a_copied_file_is_the_gguf_packages_byte_for_byte),
    cmocka_unit_test(what_the_setters_write_the_getters_read),
    cmocka_unit_test(what_is_written_is_checked_before_it_has_a_name),
    cmocka_unit_test(a_writers_first_mistake_sticks_and_the_old_file_stays),
};
TESTING_MAIN("core_gguf", tests)
