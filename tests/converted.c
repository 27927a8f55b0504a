/* converted.c: see converted.h. */
#include "converted.h"

#include "../core/sha256.h"
#include "testing.h"

#include <stdlib.h>
#include <string.h>

static char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) fail_msg("%s", path);
    char *p = malloc(1 << 20);
    assert_non_null(p);
    *n = fread(p, 1, (1 << 20) - 1, f);
    p[*n] = '\0';
    fclose(f);
    return p;
}

static void spill(const char *folder, const char *name, const void *p, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static sn_status run(converted_fn *convert, const char *dir, const char *out, sn_err *err)
{
    const sn_convert_params params = {.type = SN_TYPE_MAX};
    *err = (sn_err){0};
    return convert(dir, out, &params, err);
}

/* ---- what a file holds, in the words of expected.txt ---- */

static void hash_strings(sn_sha256 *h, const sn_kv *kv)
{
    for (size_t i = 0; i < kv->n; i++) {
        const uint64_t n = kv->strings[i].n;
        sn_sha256_add(h, &n, sizeof n);
        sn_sha256_add(h, kv->strings[i].p, kv->strings[i].n);
    }
}

static void key_line(FILE *f, const sn_kv *kv)
{
    char hex[65];
    sn_sha256 h;
    fprintf(f, "key %.*s ", (int)kv->key.n, kv->key.p);
    if (kv->type == SN_KV_STRING) {
        fprintf(f, "string ");
        for (size_t i = 0; i < kv->strings[0].n; i++) fprintf(f, "%02x", (unsigned char)kv->strings[0].p[i]);
    } else if (kv->type == SN_KV_ARRAY) {
        sn_sha256_init(&h);
        if (kv->elem == SN_KV_STRING)
            hash_strings(&h, kv);
        else
            sn_sha256_add(&h, kv->data, kv->n * sn_kv_type_bytes(kv->elem));
        sn_sha256_hex(&h, hex);
        fprintf(f, "list %d %zu %s", (int)kv->elem, kv->n, hex);
    } else {
        fprintf(f, "number %d ", (int)kv->type);
        for (size_t i = 0; i < sn_kv_type_bytes(kv->type); i++) fprintf(f, "%02x", ((const unsigned char *)kv->data)[i]);
    }
    fputc('\n', f);
}

static void tensor_line(FILE *f, const sn_tensor *t)
{
    char hex[65];
    sn_sha256 h;
    sn_sha256_init(&h);
    sn_sha256_add(&h, t->data, t->n_bytes);
    sn_sha256_hex(&h, hex);
    fprintf(f, "tensor %s %d ", t->name, (int)t->type);
    for (size_t i = t->n_dims; i-- > 0;) fprintf(f, "%zu%s", t->shape[i], i > 0 ? "x" : " ");
    fprintf(f, "%s\n", hex);
}

/* Every line of `lines` stands in `others`, which begins with a line's end. */
static void all_there(const char *dir, char *lines, const char *others, const char *says)
{
    char *save = NULL;
    for (char *line = strtok_r(lines, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char whole[4096];
        snprintf(whole, sizeof whole, "\n%s\n", line);
        if (strstr(others, whole) == NULL) fail_msg("%s: %s: %s", dir, says, line);
    }
}

void converted_as_expected(converted_fn *convert, const char *dir)
{
    char path[256], *have = NULL, *expected = NULL;
    size_t n, n_have;
    sn_err err;
    sn_gguf *g = NULL;
    const char *out = testing_temp("", 0);
    snprintf(path, sizeof path, "%s/expected.txt", dir);
    if (run(convert, dir, out, &err) != SN_OK || sn_gguf_open(&g, out, &err) != SN_OK) fail_msg("%s", err.msg);
    FILE *f = open_memstream(&have, &n_have);
    fputc('\n', f);
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++)
        if (!sn_str_eq(sn_gguf_kv_at(g, i)->key, "general.name")) key_line(f, sn_gguf_kv_at(g, i));
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) tensor_line(f, sn_gguf_tensor_at(g, i));
    fclose(f);
    char *want = slurp(path, &n);
    if (asprintf(&expected, "\n%s", want) < 0) fail();
    all_there(dir, want, have, "not there");
    all_there(dir, have, expected, "not expected");
    sn_gguf_close(g);
    free(have);
    free(want);
    free(expected);
}

static void copy_folder(const char *from, const char *const *files, size_t n_files, char *dir, size_t room)
{
    assert_int_equal(testing_folder(dir, room), 0);
    for (size_t i = 0; i < n_files; i++) {
        char path[256];
        size_t n;
        snprintf(path, sizeof path, "%s/%s", from, files[i]);
        char *p = slurp(path, &n);
        spill(dir, files[i], p, n);
        free(p);
    }
}

void converted_refused(converted_fn *convert, const char *source, const char *const *files, size_t n_files, const char *file,
                       const char *from, const char *to, const char *says)
{
    char dir[200], path[256];
    size_t n, n_kept;
    sn_err err;
    const char *out = testing_temp("old", 3);
    copy_folder(source, files, n_files, dir, sizeof dir);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    char *p = slurp(path, &n), *changed = NULL, *at = memmem(p, n, from, strlen(from));
    size_t n_changed;
    if (at == NULL) fail_msg("%s has no %s", file, from);
    FILE *f = open_memstream(&changed, &n_changed);
    fwrite(p, 1, (size_t)(at - p), f);
    fputs(to, f);
    fwrite(at + strlen(from), 1, n - (size_t)(at - p) - strlen(from), f);
    fclose(f);
    spill(dir, file, changed, n_changed);
    if (run(convert, dir, out, &err) == SN_OK) fail_msg("%s -> %s was converted", from, to);
    if (strstr(err.msg, says) == NULL || strchr(err.msg, '\n') != NULL) fail_msg("%s -> %s: %s", from, to, err.msg);
    char *kept = slurp(out, &n_kept);
    assert_string_equal(kept, "old");
    free(kept);
    free(p);
    free(changed);
    assert_int_equal(testing_folder_remove(dir), 0);
}

void converted_damaged(converted_fn *convert, const char *source, const char *const *files, size_t n_files, size_t rounds)
{
    char dir[200], path[256];
    uint32_t seed = 5;
    sn_err err;
    const char *out = testing_temp("old", 3);
    copy_folder(source, files, n_files, dir, sizeof dir);
    for (size_t i = 0; i < rounds; i++) {
        const char *file = files[i % n_files];
        size_t n;
        snprintf(path, sizeof path, "%s/%s", source, file);
        char *p = slurp(path, &n);
        seed = seed * 1664525u + 1013904223u;
        const bool cut = i / n_files % 3 == 0;
        const size_t at = i / n_files % 3 == 1 ? (seed >> 8) % 2000 % n : (seed >> 8) % n; /* often in a header */
        if (!cut) p[at] = (char)(p[at] ^ (1 << (seed >> 29)));
        spill(dir, file, p, cut ? at : n);
        const sn_status st = run(convert, dir, out, &err);
        if (cut) assert_int_not_equal(st, SN_OK);
        if (st != SN_OK) assert_true(err.msg[0] != '\0' && strchr(err.msg, '\n') == NULL);
        free(p);
        p = slurp(path, &n);
        spill(dir, file, p, n);
        free(p);
    }
    assert_int_equal(run(convert, dir, out, &err), SN_OK);
    assert_int_equal(testing_folder_remove(dir), 0);
}
