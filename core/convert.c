/* convert.c: tensors of safetensors files as those of a GGUF, a piece at a time. */
#include "convert.h"

#include "mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((size_t)1 << 20) /* bytes */

struct sn_convert_source {
    const sn_safetensor *tensor;
    char *name; /* what rows call it */
    bool taken;
};

/* Run i of a tensor, `run` values side by side, begins `first + i * stride` values into its source. */
struct sn_convert_output {
    const sn_convert_source *from;
    const float *values; /* where `from` is NULL */
    char name[SN_MAX_NAME + 1];
    sn_type type;
    sn_edit edit;
    size_t n_dims, shape[SN_MAX_DIMS]; /* written */
    size_t n_runs, run, first, stride;
};

sn_status sn_convert_config(sn_convert *k, const char *dir, const sn_convert_params *params, sn_err *err)
{
    *k = (sn_convert){.dir = dir, .params = params, .err = err};
    if (asprintf(&k->config_path, "%s/config.json", dir) < 0) {
        k->config_path = NULL;
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", dir);
    }
    return sn_json_open(&k->json, k->config_path, err);
}

/* ---- names ---- */

/* The next word of a list, its length in *n; NULL behind the last. */
static const char *next_word(const char *list, size_t *n)
{
    list += strspn(list, " ");
    *n = strcspn(list, " ");
    return *n > 0 ? list : NULL;
}

bool sn_convert_listed(const char *list, const char *word)
{
    size_t n;
    for (const char *w = list; (w = next_word(w, &n)) != NULL; w += n)
        if (strncmp(w, word, n) == 0 && word[n] == '\0') return true;
    return false;
}

bool sn_convert_name_of(const void *user, char *name)
{
    const sn_convert_names *names = user;
    size_t n;
    bool kept = false;
    if (strncmp(name, "model.", 6) == 0) memmove(name, name + 6, strlen(name + 6) + 1);
    for (const char *w = names->keeps; (w = next_word(w, &n)) != NULL; w += n) kept = kept || strncmp(name, w, n) == 0;
    for (const char *w = names->skips; w != NULL && (w = next_word(w, &n)) != NULL; w += n)
        kept = kept && memmem(name, strlen(name), w, n) == NULL;
    for (const char *w = names->drops; w != NULL && (w = next_word(w, &n)) != NULL; w += n)
        for (char *p; (p = memmem(name, strlen(name), w, n)) != NULL;) memmove(p, p + n, strlen(p + n) + 1);
    return kept;
}

/* ---- sources ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sn_convert_source *)a)->name, ((const sn_convert_source *)b)->name);
}

static sn_convert_source *find(const sn_convert *k, const char *name)
{
    const sn_convert_source key = {.name = (char *)(uintptr_t)name};
    return bsearch(&key, k->sources, k->n_sources, sizeof *k->sources, by_name);
}

/* The type that most of the weights have is that of the first matrix that is stored in 16 bits. */
sn_status sn_convert_weights(sn_convert *k, bool (*name_of)(const void *user, char *name), const void *user)
{
    const sn_status st = sn_safetensors_open(&k->weights, k->dir, k->err);
    if (st != SN_OK) return st;
    const size_t n = sn_safetensors_n(k->weights);
    k->type = k->params->type;
    k->sources = sn_calloc(n, sizeof *k->sources);
    if (k->sources == NULL) return sn_fail(k->err, SN_ENOMEM, "%s: out of memory", k->dir);
    for (size_t i = 0; i < n; i++) {
        const sn_safetensor *t = sn_safetensors_at(k->weights, i);
        sn_convert_source *s = &k->sources[k->n_sources];
        *s = (sn_convert_source){.tensor = t, .name = strdup(t->name)};
        if (s->name == NULL) return sn_fail(k->err, SN_ENOMEM, "%s: out of memory", k->dir);
        if (!name_of(user, s->name)) {
            free(s->name);
            continue;
        }
        k->n_sources++;
        if (k->type == SN_TYPE_MAX && t->n_dims >= 2 && (t->type == SN_F16 || t->type == SN_BF16)) k->type = t->type;
    }
    if (k->type == SN_TYPE_MAX) k->type = SN_F16;
    qsort(k->sources, k->n_sources, sizeof *k->sources, by_name);
    for (size_t i = 1; i < k->n_sources; i++)
        if (by_name(&k->sources[i - 1], &k->sources[i]) == 0)
            return sn_fail(k->err, SN_EFORMAT, "%s: %.80s stands there twice", k->dir, k->sources[i].name);
    return SN_OK;
}

/* ---- the plan ---- */

static sn_status add(sn_convert *k, const sn_convert_output *o)
{
    const sn_status st = sn_grow((void **)&k->outputs, &k->cap_outputs, k->n_outputs + 1, sizeof *k->outputs, k->err);
    if (st == SN_OK) k->outputs[k->n_outputs++] = *o;
    return st;
}

/* The shape that a row wants its source to have; sets the output's runs and, where it is another there, its shape. */
static size_t plan_runs(const sn_convert *k, sn_convert_output *o, size_t *want)
{
    size_t n = o->n_dims;
    memcpy(want, o->shape, n * sizeof *want);
    o->run = 1;
    for (size_t i = 1; i < n; i++) o->run *= o->shape[i];
    o->n_runs = o->shape[0];
    o->stride = o->run;
    if (o->edit == SN_EDIT_Q || o->edit == SN_EDIT_K || o->edit == SN_EDIT_V) {
        want[0] *= 3;
        o->first = (size_t)(o->edit - SN_EDIT_Q) * o->n_runs * o->run;
    } else if (o->edit == SN_EDIT_FRAME_1 || o->edit == SN_EDIT_FRAME_2) {
        want[4] = want[3];
        want[3] = want[2];
        want[2] = 2;
        n = 5;
        o->run = o->shape[2] * o->shape[3];
        o->n_runs = o->shape[0] * o->shape[1];
        o->stride = 2 * o->run;
        o->first = o->edit == SN_EDIT_FRAME_2 ? o->run : 0;
    } else if (o->edit == SN_EDIT_COLUMN) {
        n = 1;
    } else if (o->edit == SN_EDIT_ONE_ROW) {
        o->first = k->row * o->run;
        o->n_runs = 1;
        o->n_dims = 1;
        o->shape[0] = o->shape[1];
    }
    return n;
}

static bool same_shape(const sn_safetensor *t, const size_t *want, size_t n, bool more_rows)
{
    if (t->n_dims != n || (more_rows ? t->shape[0] < want[0] : t->shape[0] != want[0])) return false;
    for (size_t i = 1; i < n; i++)
        if (t->shape[i] != want[i]) return false;
    return true;
}

static sn_status add_row(sn_convert *k, const sn_convert_row *row, const size_t *extents, const char *from, const char *to)
{
    char name[128], have[64], needed[64];
    size_t want[SN_SAFETENSOR_DIMS];
    snprintf(name, sizeof name, "%s%s", from, row->from);
    sn_convert_source *s = find(k, name);
    if (s == NULL) return row->optional ? SN_OK : sn_fail(k->err, SN_ESHAPE, "%s: %s is missing", k->dir, name);
    const sn_safetensor *t = s->tensor;
    const char *path = sn_safetensors_path(k->weights, t);
    sn_convert_output o = {.from = s, .edit = row->edit};
    while (o.n_dims < SN_MAX_DIMS && row->dims[o.n_dims] != 0) {
        o.shape[o.n_dims] = extents[row->dims[o.n_dims]];
        o.n_dims++;
    }
    const size_t n_want = plan_runs(k, &o, want);
    if (t->type == SN_TYPE_MAX)
        return sn_fail(k->err, SN_EUNSUPPORTED, "%s: %s is stored as %s, want F32, F16 or BF16", path, name, t->dtype);
    if (!same_shape(t, want, n_want, row->edit == SN_EDIT_CUT || row->edit == SN_EDIT_ONE_ROW)) {
        sn_shape_text(needed, sizeof needed, want, n_want);
        sn_shape_text(have, sizeof have, t->shape, t->n_dims > SN_SAFETENSOR_DIMS ? SN_SAFETENSOR_DIMS : t->n_dims);
        return sn_fail(k->err, SN_ESHAPE, "%s: %s: want %s, file has %s", path, name, needed, have);
    }
    const bool wide = o.n_dims > 1 && o.edit != SN_EDIT_COLUMN;
    o.type = row->as == SN_AS_F32 || !wide                      ? SN_F32
             : row->as == SN_AS_F16                             ? SN_F16
             : row->as == SN_AS_F16_OR_F32 && k->type != SN_F16 ? SN_F32
                                                                : k->type;
    s->taken = true;
    k->total_bytes += o.n_runs * o.run * sn_type_get((uint32_t)t->type)->bytes;
    snprintf(o.name, sizeof o.name, "%s%s", to, row->to);
    return add(k, &o);
}

sn_status sn_convert_rows(sn_convert *k, const sn_convert_row *rows, const size_t *extents, const char *from, const char *to)
{
    sn_status st = SN_OK;
    for (const sn_convert_row *row = rows; st == SN_OK && row->from != NULL; row++) st = add_row(k, row, extents, from, to);
    return st;
}

sn_status sn_convert_values(sn_convert *k, const char *to, const float *values, size_t n)
{
    sn_convert_output o = {.values = values, .type = SN_F32, .n_dims = 1, .shape = {n}};
    snprintf(o.name, sizeof o.name, "%s", to);
    return add(k, &o);
}

sn_status sn_convert_all_taken(const sn_convert *k, const char *what)
{
    for (size_t i = 0; i < k->n_sources; i++)
        if (!k->sources[i].taken)
            return sn_fail(k->err, SN_EUNSUPPORTED, "%s: %.80s has no place in %s", sn_safetensors_path(k->weights, k->sources[i].tensor),
                           k->sources[i].tensor->name, what);
    return SN_OK;
}

/* ---- writing ---- */

/* Which run there is run r here: a head's halves are woven into one another. */
static size_t source_run(const sn_convert *k, const sn_convert_output *o, size_t r)
{
    const size_t at = o->edit == SN_EDIT_PAIRS ? r % k->head : 0;
    return o->edit == SN_EDIT_PAIRS ? r - at + at % 2 * (k->head / 2) + at / 2 : r;
}

/* n values, in another type. */
static sn_status change(const sn_convert *k, const sn_convert_output *o, const unsigned char *src, size_t n, float *values, void *packed)
{
    const sn_safetensor *t = o->from->tensor;
    const float limit = o->type == SN_F16 ? 65504.0f : 3.4028235e38f;
    sn_type_get((uint32_t)t->type)->dequantize(values, src, n);
    for (size_t i = 0; i < n; i++) {
        if (o->edit == SN_EDIT_PLUS_ONE) values[i] += 1;
        if (!(fabsf(values[i]) <= limit))
            return sn_fail(k->err, SN_EFORMAT, "%s: %s holds a value that is no finite number, or too large for %s",
                           sn_safetensors_path(k->weights, t), t->name, sn_type_get((uint32_t)o->type)->name);
    }
    sn_type_get((uint32_t)o->type)->quantize(packed, values, n);
    return SN_OK;
}

static sn_status report(sn_convert *k, const sn_safetensor *t, const unsigned char *p, size_t n, size_t taken)
{
    sn_safetensors_forget(k->weights, t, p, n);
    k->done_bytes += taken;
    if (k->params->progress == NULL || k->params->progress(k->params->user, k->done_bytes, k->total_bytes)) return SN_OK;
    return sn_fail(k->err, SN_ECANCELLED, "%s: stopped", k->dir);
}

/* n values that lie side by side. */
static sn_status write_values(sn_convert *k, sn_gguf_writer *w, const sn_convert_output *o, const unsigned char *src, size_t n,
                              float *values, void *packed)
{
    const sn_type type = o->from->tensor->type;
    const size_t bytes = sn_type_get((uint32_t)type)->bytes, most = PIECE / sizeof(float);
    sn_status st = SN_OK;
    for (size_t at = 0; at < n && st == SN_OK; at += most) {
        const size_t count = n - at < most ? n - at : most;
        if (type == o->type && o->edit != SN_EDIT_PLUS_ONE) {
            sn_gguf_write_data(w, src + at * bytes, count * bytes);
            continue;
        }
        st = change(k, o, src + at * bytes, count, values, packed);
        if (st == SN_OK) sn_gguf_write_data(w, packed, count * sn_type_get((uint32_t)o->type)->bytes);
    }
    return st;
}

static sn_status write_tensor(sn_convert *k, sn_gguf_writer *w, const sn_convert_output *o, float *values, void *packed)
{
    const sn_safetensor *t = o->from->tensor;
    const size_t bytes = sn_type_get((uint32_t)t->type)->bytes, stride = o->stride * bytes;
    const bool woven = o->edit == SN_EDIT_PAIRS, together = !woven && o->stride == o->run;
    const size_t unit = woven                ? k->head /* it is done when its last row is */
                        : PIECE / stride > 0 ? PIECE / stride
                                             : 1;
    const unsigned char *src = t->data + o->first * bytes;
    sn_status st = SN_OK;
    for (size_t r = 0; r < o->n_runs && st == SN_OK; r += unit) {
        const size_t n = o->n_runs - r < unit ? o->n_runs - r : unit;
        if (together) st = write_values(k, w, o, src + r * stride, n * o->run, values, packed);
        for (size_t i = 0; !together && i < n && st == SN_OK; i++)
            st = write_values(k, w, o, src + source_run(k, o, r + i) * stride, o->run, values, packed);
        if (st == SN_OK && !sn_gguf_writable(w)) return SN_OK; /* sn_gguf_finish says why */
        if (st == SN_OK) st = report(k, t, src + r * stride, ((n - 1) * o->stride + o->run) * bytes, n * o->run * bytes);
    }
    return st;
}

static void general_keys(const sn_convert *k, sn_gguf_writer *w, const char *arch, const char *type)
{
    const char *end = k->dir + strlen(k->dir);
    while (end > k->dir && end[-1] == '/') end--;
    const char *name = end;
    while (name > k->dir && name[-1] != '/') name--;
    sn_gguf_set_str(w, "general.architecture", arch, strlen(arch));
    sn_gguf_set_str(w, "general.type", type, strlen(type));
    sn_gguf_set_str(w, "general.name", name, (size_t)(end - name));
    sn_gguf_set_u32(w, "general.file_type", k->type == SN_F32 ? 0 : k->type == SN_F16 ? 1 : 32); /* llama.cpp's numbers */
    sn_gguf_set_u32(w, "general.quantization_version", 2);
}

sn_status sn_convert_write(sn_convert *k, const char *path, const char *arch, const char *type,
                           sn_status (*keys)(void *user, sn_gguf_writer *w, sn_err *err), void *user)
{
    sn_gguf_writer *w = NULL;
    float *values = sn_alloc(PIECE, 1);
    void *packed = sn_alloc(PIECE, 1);
    sn_status st =
        values == NULL || packed == NULL ? sn_fail(k->err, SN_ENOMEM, "%s: out of memory", k->dir) : sn_gguf_create(&w, path, k->err);
    if (st == SN_OK) {
        general_keys(k, w, arch, type);
        st = keys(user, w, k->err);
        for (size_t i = 0; i < k->n_outputs; i++)
            sn_gguf_add_tensor(w, k->outputs[i].name, k->outputs[i].type, k->outputs[i].shape, k->outputs[i].n_dims);
        for (size_t i = 0; i < k->n_outputs && st == SN_OK && sn_gguf_writable(w); i++) {
            if (k->outputs[i].from == NULL)
                sn_gguf_write_data(w, k->outputs[i].values, k->outputs[i].shape[0] * sizeof(float));
            else
                st = write_tensor(k, w, &k->outputs[i], values, packed);
        }
        if (st == SN_OK)
            st = sn_gguf_finish_checked(w, k->check, k->err);
        else
            sn_gguf_abandon(w);
    }
    sn_free(values);
    sn_free(packed);
    return st;
}

void sn_convert_close(sn_convert *k)
{
    for (size_t i = 0; i < k->n_sources; i++) free(k->sources[i].name);
    sn_free(k->sources);
    sn_free(k->outputs);
    sn_safetensors_close(k->weights);
    cJSON_Delete(k->json);
    free(k->config_path);
    *k = (sn_convert){0};
}

sn_status sn_convert_opens(const char *path, sn_status (*opens)(const char *path, sn_compute *c, sn_err *err), sn_err *err)
{
    sn_compute *c = NULL;
    sn_status st = sn_compute_open(&c, 1, SN_ISA_SCALAR, err); /* with which no weight is copied */
    if (st == SN_OK) st = opens(path, c, err);
    sn_compute_close(c);
    return st == SN_EUNSUPPORTED ? SN_OK : st;
}
