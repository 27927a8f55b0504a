/* safetensors.c: u64 length of a JSON header, the header, the data. The header maps names to {dtype, shape, data_offsets}, offsets
 * from the data's beginning. */
#include "safetensors.h"

#include "file.h"
#include "json.h"
#include "mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_HEADER ((size_t)100 << 20) /* the reference implementation's limit */
#define MAX_PARTS 4096
#define MAX_TENSORS 200000
#define INDEX "model.safetensors.index.json"

typedef struct {
    char *path;
    sn_map map;
} part;

struct sn_safetensors {
    part *parts;
    sn_safetensor *tensors;
    size_t n_parts, cap_parts, n_tensors, cap_tensors;
};

/* A whole number in [0, 2^53], as JSON has them. */
static bool whole(const cJSON *v, size_t *out)
{
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0 && v->valuedouble <= 9007199254740992.0)) return false;
    *out = (size_t)v->valuedouble;
    return (double)*out == v->valuedouble;
}

static size_t dtype_bytes(const char *dtype)
{
    static const struct {
        const char *name;
        size_t bytes;
    } known[] = {{"F32", 4}, {"F16", 2},  {"BF16", 2}, {"F64", 8}, {"I64", 8}, {"I32", 4},     {"I16", 2},    {"I8", 1},
                 {"U8", 1},  {"BOOL", 1}, {"U16", 2},  {"U32", 4}, {"U64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, dtype) == 0) return known[i].bytes;
    return 0;
}

static sn_status read_entry(sn_safetensor *t, const cJSON *e, const sn_map *m, size_t data_at, const char *path, sn_err *err)
{
    const char *dtype = sn_json_str(sn_json_get(e, "dtype"));
    const cJSON *shape = sn_json_get(e, "shape"), *offsets = sn_json_get(e, "data_offsets"), *d;
    const size_t bytes = dtype == NULL ? 0 : dtype_bytes(dtype);
    size_t begin, end, want;
    if (bytes == 0)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: %.80s has a data type that is not known: %.20s", path, e->string, dtype ? dtype : "none");
    if (!cJSON_IsArray(shape) || !cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !whole(offsets->child, &begin) ||
        !whole(offsets->child->next, &end))
        return sn_fail(err, SN_EFORMAT, "%s: %.80s has no shape or place", path, e->string);
    snprintf(t->dtype, sizeof t->dtype, "%s", dtype);
    t->type = strcmp(dtype, "F32") == 0 ? SN_F32 : strcmp(dtype, "F16") == 0 ? SN_F16 : strcmp(dtype, "BF16") == 0 ? SN_BF16 : SN_TYPE_MAX;
    t->n_values = 1;
    cJSON_ArrayForEach(d, shape)
    {
        size_t n;
        if (!whole(d, &n) || !sn_mul_ok(t->n_values, n, &t->n_values))
            return sn_fail(err, SN_EFORMAT, "%s: %.80s has no sound shape", path, e->string);
        if (t->n_dims < SN_SAFETENSOR_DIMS) t->shape[t->n_dims] = n;
        if (t->n_dims <= SN_SAFETENSOR_DIMS) t->n_dims++;
    }
    if (!sn_mul_ok(t->n_values, bytes, &want) || begin > end || end - begin != want)
        return sn_fail(err, SN_EFORMAT, "%s: %.80s: its shape and its place in the file disagree", path, e->string);
    if (end > m->size - data_at) return sn_fail(err, SN_EFORMAT, "%s: %.80s ends behind the file's end: it is cut short", path, e->string);
    t->n_bytes = want;
    t->data = m->data + data_at + begin;
    t->name = strdup(e->string);
    return t->name == NULL ? sn_fail(err, SN_ENOMEM, "%s: out of memory", path) : SN_OK;
}

static int by_place(const void *a, const void *b)
{
    const sn_safetensor *x = *(sn_safetensor *const *)a, *y = *(sn_safetensor *const *)b;
    return x->data < y->data ? -1 : x->data > y->data;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(sn_safetensor *const *)a)->name, (*(sn_safetensor *const *)b)->name);
}

/* Pointers to tensors [first, n_tensors), sorted. */
static sn_safetensor **sorted(const sn_safetensors *s, size_t first, int (*order)(const void *, const void *))
{
    sn_safetensor **list = sn_alloc(s->n_tensors - first + 1, sizeof(sn_safetensor *));
    if (list == NULL) return NULL;
    for (size_t i = first; i < s->n_tensors; i++) list[i - first] = &s->tensors[i];
    qsort(list, s->n_tensors - first, sizeof *list, order);
    return list;
}

/* Tensors [first, n_tensors) lie one behind the other from `data` to `end`, as the format has it: none on another, and nothing between them. */
static sn_status check_places(const sn_safetensors *s, size_t first, const unsigned char *data, const unsigned char *end, const char *path,
                              sn_err *err)
{
    sn_status st = SN_OK;
    sn_safetensor **list = sorted(s, first, by_place);
    if (list == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    const sn_safetensor *last = NULL; /* that has bytes */
    for (size_t i = 0; i < s->n_tensors - first && st == SN_OK; i++) {
        if (list[i]->n_bytes == 0) continue;
        if (last != NULL && last->data + last->n_bytes > list[i]->data)
            st = sn_fail(err, SN_EFORMAT, "%s: %.80s and %.80s lie on each other", path, last->name, list[i]->name);
        else if (list[i]->data != data)
            st = sn_fail(err, SN_EFORMAT, "%s: %zu bytes in front of %.80s are no tensor's", path, (size_t)(list[i]->data - data),
                         list[i]->name);
        last = list[i];
        data = last->data + last->n_bytes;
    }
    if (st == SN_OK && data != end) st = sn_fail(err, SN_EFORMAT, "%s: its last %zu bytes are no tensor's", path, (size_t)(end - data));
    sn_free(list);
    return st;
}

static sn_status check_names(const sn_safetensors *s, const char *dir, sn_err *err)
{
    sn_status st = SN_OK;
    sn_safetensor **list = sorted(s, 0, by_name);
    if (list == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    for (size_t i = 1; i < s->n_tensors && st == SN_OK; i++)
        if (strcmp(list[i - 1]->name, list[i]->name) == 0)
            st = sn_fail(err, SN_EFORMAT, "%s: %.80s stands there twice", dir, list[i]->name);
    sn_free(list);
    return st;
}

/* The tensors of a mapped part. */
static sn_status read_part(sn_safetensors *s, size_t index, sn_err *err)
{
    const part *p = &s->parts[index];
    uint64_t n = 0;
    cJSON *header = NULL;
    const size_t first = s->n_tensors;
    if (p->map.size >= sizeof n) memcpy(&n, p->map.data, sizeof n);
    if (n < 2 || n > MAX_HEADER || n > p->map.size - sizeof n) {
        const char *kind = sn_guess_kind(p->map.data, p->map.size);
        if (kind != NULL && strstr(kind, "safetensors") == NULL)
            return sn_fail(err, SN_EFORMAT, "%s: is no safetensors file but %s", p->path, kind);
        return sn_fail(err, SN_EFORMAT, "%s: is no safetensors file, or cut short", p->path);
    }
    sn_status st = sn_json_parse(&header, p->map.data + sizeof n, (size_t)n, p->path, err);
    const cJSON *e;
    if (st == SN_OK && !cJSON_IsObject(header)) st = sn_fail(err, SN_EFORMAT, "%s: its header is no JSON object", p->path);
    cJSON_ArrayForEach(e, header)
    {
        if (st != SN_OK) break;
        if (strcmp(e->string, "__metadata__") == 0) continue;
        if (s->n_tensors == MAX_TENSORS) st = sn_fail(err, SN_ELIMIT, "%s: has too many tensors", p->path);
        if (st == SN_OK) st = sn_grow((void **)&s->tensors, &s->cap_tensors, s->n_tensors + 1, sizeof *s->tensors, err);
        if (st != SN_OK) break;
        s->tensors[s->n_tensors] = (sn_safetensor){.part = index};
        st = read_entry(&s->tensors[s->n_tensors], e, &p->map, sizeof n + (size_t)n, p->path, err);
        if (st == SN_OK) s->n_tensors++;
    }
    cJSON_Delete(header);
    if (st != SN_OK) return st;
    return check_places(s, first, p->map.data + sizeof n + (size_t)n, p->map.data + p->map.size, p->path, err);
}

static sn_status add_part(sn_safetensors *s, const char *dir, const char *name, sn_err *err)
{
    if (strchr(name, '/') != NULL || strstr(name, "..") != NULL || name[0] == '\0')
        return sn_fail(err, SN_EFORMAT, "%s: names a file outside its folder: %.80s", dir, name);
    if (s->n_parts == MAX_PARTS) return sn_fail(err, SN_ELIMIT, "%s: has too many parts", dir);
    for (size_t i = 0; i < s->n_parts; i++)
        if (strcmp(s->parts[i].path + strlen(dir) + 1, name) == 0) return SN_OK;
    sn_status st = sn_grow((void **)&s->parts, &s->cap_parts, s->n_parts + 1, sizeof *s->parts, err);
    if (st != SN_OK) return st;
    part *p = &s->parts[s->n_parts];
    *p = (part){0};
    if (asprintf(&p->path, "%s/%s", dir, name) < 0) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    s->n_parts++;
    return SN_OK;
}

/* Every tensor that the index names must be there. */
static sn_status check_index(const sn_safetensors *s, const cJSON *weights, const char *dir, sn_err *err)
{
    sn_status st = SN_OK;
    const cJSON *w;
    sn_safetensor **list = sorted(s, 0, by_name);
    if (list == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    cJSON_ArrayForEach(w, weights)
    {
        const sn_safetensor key = {.name = w->string}, *pkey = &key;
        if (bsearch(&pkey, list, s->n_tensors, sizeof *list, by_name) != NULL) continue;
        st = sn_fail(err, SN_ESHAPE, "%s/%s: %.80s is missing", dir, sn_json_str(w), w->string);
        break;
    }
    sn_free(list);
    return st;
}

static int part_order(const void *a, const void *b)
{
    return strcmp(((const part *)a)->path, ((const part *)b)->path);
}

/* The names of the parts: those of the index, else all model*.safetensors. */
static sn_status list_parts(sn_safetensors *s, const char *dir, const cJSON *weights, sn_err *err)
{
    sn_status st = SN_OK;
    const cJSON *w;
    cJSON_ArrayForEach(w, weights)
    {
        if (st == SN_OK)
            st = sn_json_str(w) ? add_part(s, dir, sn_json_str(w), err)
                                : sn_fail(err, SN_EFORMAT, "%s/" INDEX ": weight_map is not a map of names", dir);
    }
    if (weights == NULL) {
        DIR *d = opendir(dir);
        if (d == NULL) return sn_fail(err, SN_EIO, "%s: cannot open: %m", dir);
        for (const struct dirent *f; st == SN_OK && (f = readdir(d)) != NULL;) {
            const size_t n = strlen(f->d_name);
            if (strncmp(f->d_name, "model", 5) == 0 && n > 12 && strcmp(f->d_name + n - 12, ".safetensors") == 0)
                st = add_part(s, dir, f->d_name, err);
        }
        closedir(d);
    }
    if (st == SN_OK && s->n_parts == 0) st = sn_fail(err, SN_EFORMAT, "%s: has no model.safetensors", dir);
    if (st == SN_OK) qsort(s->parts, s->n_parts, sizeof *s->parts, part_order);
    return st;
}

sn_status sn_safetensors_open(sn_safetensors **out, const char *dir, sn_err *err)
{
    cJSON *index = NULL;
    sn_safetensors *s = sn_calloc(1, sizeof *s);
    if (s == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    sn_status st = sn_json_open_in(&index, dir, INDEX, err);
    const cJSON *weights = sn_json_get(index, "weight_map");
    if (st == SN_OK && index != NULL && !cJSON_IsObject(weights)) st = sn_fail(err, SN_EFORMAT, "%s/" INDEX ": has no weight_map", dir);
    if (st == SN_OK) st = list_parts(s, dir, weights, err);
    for (size_t i = 0; st == SN_OK && i < s->n_parts; i++) {
        st = sn_map_open(&s->parts[i].map, s->parts[i].path, err);
        if (st == SN_OK) st = read_part(s, i, err);
    }
    if (st == SN_OK) st = check_names(s, dir, err);
    if (st == SN_OK && weights != NULL) st = check_index(s, weights, dir, err);
    cJSON_Delete(index);
    if (st == SN_OK)
        *out = s;
    else
        sn_safetensors_close(s);
    return st;
}

void sn_safetensors_close(sn_safetensors *s)
{
    if (s == NULL) return;
    for (size_t i = 0; i < s->n_tensors; i++) free(s->tensors[i].name);
    for (size_t i = 0; i < s->n_parts; i++) {
        sn_map_close(&s->parts[i].map);
        free(s->parts[i].path);
    }
    sn_free(s->tensors);
    sn_free(s->parts);
    sn_free(s);
}

size_t sn_safetensors_n(const sn_safetensors *s)
{
    return s->n_tensors;
}

const sn_safetensor *sn_safetensors_at(const sn_safetensors *s, size_t i)
{
    return &s->tensors[i];
}

const char *sn_safetensors_path(const sn_safetensors *s, const sn_safetensor *t)
{
    return s->parts[t->part].path;
}

void sn_safetensors_forget(const sn_safetensors *s, const sn_safetensor *t, const void *p, size_t n)
{
    sn_map_forget(&s->parts[t->part].map, p, n);
}
