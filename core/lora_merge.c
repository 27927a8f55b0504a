/* lora_merge.c: adapters added to the weights of a model's file: W + alpha / rank * B A, row by row. */
#include "lora.h"
#include "mem.h"
#include "quantize.h"
#include "rewrite.h"

#include <string.h>

enum { FEW = 256 }; /* values of a thin row that are widened at once: a multiple of every block */

/* One adapter's share in a matrix [n_out, n_in]: factor * left right. */
typedef struct {
    const sn_tensor *left; /* [n_out, rank] */
    float *right;          /* [rank, n_in]; owned */
    size_t rank;
    float factor;
} share;

typedef struct {
    share *shares; /* [n] */
    size_t n, n_in;
} change;

typedef struct {
    sn_rewrite file;
    sn_lora *loras; /* [n] */
    share *shares;  /* [n], scratch */
    size_t n;
    const sn_tensor *tied; /* the token embedding, where it needs a second tensor of its own for its part as the output; or NULL */
    senses_merge_result r;
} merge;

/* values[n] += factor * left[row] right[:, column .. column + n - 1] */
static void add_row(const share *s, size_t n_in, size_t row, size_t column, float *values, size_t n)
{
    const sn_type_info *type = sn_type_get(s->left->type);
    const unsigned char *left = (const unsigned char *)s->left->data + row * (s->rank / type->block * type->bytes);
    float some[FEW];
    for (size_t r0 = 0; r0 < s->rank; r0 += FEW) {
        const size_t few = s->rank - r0 < FEW ? s->rank - r0 : FEW;
        type->dequantize(some, left + r0 / type->block * type->bytes, few);
        for (size_t r = 0; r < few; r++) {
            const float by = s->factor * some[r];
            const float *right = s->right + (r0 + r) * n_in + column;
            for (size_t i = 0; i < n; i++) values[i] += by * right[i];
        }
    }
}

static void add_shares(const void *user, float *values, size_t first, size_t n)
{
    const change *c = user;
    for (size_t at = 0, some; at < n; at += some) {
        const size_t row = (first + at) / c->n_in, column = (first + at) % c->n_in;
        some = c->n_in - column < n - at ? c->n_in - column : n - at;
        for (size_t i = 0; i < c->n; i++) add_row(&c->shares[i], c->n_in, row, column, values + at, some);
    }
}

/* ---- what changes ---- */

static bool concerns(const sn_lora_pair *p, const sn_tensor *t, bool as_output)
{
    return p->base == t && p->tied_output == as_output && p->factor != 0;
}

static bool changes(const merge *m, const sn_tensor *t, bool as_output)
{
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->loras[i].n; k++)
            if (concerns(&m->loras[i].pairs[k], t, as_output)) return true;
    return false;
}

/* What a changed tensor is stored in. */
static sn_type type_of(const sn_tensor *t)
{
    return sn_quantize_best(t->type) != NULL ? t->type : SN_F16;
}

static sn_status take_share(share *s, const sn_lora_pair *p, const char *path, sn_err *err)
{
    const sn_tensor *right = p->embedding ? p->b : p->a; /* [n_in, rank] or [rank, n_in] */
    const size_t n_in = right->n_values / p->rank;
    float *values = sn_alloc(right->n_values, sizeof *values);
    *s = (share){.left = p->embedding ? p->a : p->b, .right = values, .rank = p->rank, .factor = p->factor};
    if (values == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory (%zu values)", path, right->n_values);
    sn_type_get(right->type)->dequantize(values, right->data, right->n_values);
    if (!p->embedding) return SN_OK;
    s->right = sn_alloc(right->n_values, sizeof *values);
    for (size_t r = 0; s->right != NULL && r < p->rank; r++)
        for (size_t i = 0; i < n_in; i++) s->right[r * n_in + i] = values[i * p->rank + r];
    sn_free(values);
    return s->right != NULL ? SN_OK : sn_fail(err, SN_ENOMEM, "%s: out of memory (%zu values)", path, right->n_values);
}

/* t with what is added to it, as the next tensor of the output. */
static sn_status write_changed(merge *m, const sn_tensor *t, bool as_output, sn_err *err)
{
    change c = {.shares = m->shares, .n_in = t->shape[t->n_dims - 1]};
    const char *last = "";
    sn_status status = SN_OK;
    for (size_t i = 0; i < m->n; i++) {
        for (size_t k = 0; status == SN_OK && k < m->loras[i].n; k++) {
            if (!concerns(&m->loras[i].pairs[k], t, as_output)) continue;
            last = sn_gguf_path(m->loras[i].gguf);
            status = take_share(&c.shares[c.n++], &m->loras[i].pairs[k], last, err);
        }
    }
    if (status == SN_OK) status = sn_rewrite_tensor(&m->file, t, type_of(t), add_shares, &c, err);
    if (status == SN_EFORMAT) sn_wrap(err, "with %s", last); /* which of the two holds it was not asked */
    for (size_t i = 0; i < c.n; i++) sn_free(c.shares[i].right);
    return status;
}

/* ---- the file ---- */

static void declare_tensor(merge *m, const sn_tensor *t, const char *name, bool changed)
{
    const sn_type type = changed ? type_of(t) : t->type;
    const sn_type_info *to = sn_type_get(type);
    sn_gguf_add_tensor(m->file.out, name, type, t->shape, t->n_dims);
    m->file.total += t->n_bytes;
    m->r.n_tensors++;
    m->r.n_changed += changed;
    m->r.n_widened += type != t->type;
    m->r.bytes_out += t->n_values / to->block * to->bytes;
}

static void declare(merge *m)
{
    const sn_gguf *g = m->file.in;
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) sn_gguf_set_kv(m->file.out, sn_gguf_kv_at(g, i));
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        declare_tensor(m, t, t->name, changes(m, t, false));
    }
    if (m->tied != NULL) declare_tensor(m, m->tied, "output.weight", changes(m, m->tied, true));
}

static sn_status write_tensors(merge *m, sn_err *err)
{
    const sn_gguf *g = m->file.in;
    sn_status status = SN_OK;
    for (size_t i = 0; status == SN_OK && i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        status = changes(m, t, false) ? write_changed(m, t, false, err) : sn_rewrite_tensor(&m->file, t, t->type, NULL, NULL, err);
    }
    if (status != SN_OK || m->tied == NULL) return status;
    if (changes(m, m->tied, true)) return write_changed(m, m->tied, true, err);
    return sn_rewrite_tensor(&m->file, m->tied, m->tied->type, NULL, NULL, err);
}

/* An embedding that is the output as well becomes two where only one of its parts changes, or both differently. */
static const sn_tensor *tied_apart(const merge *m)
{
    const sn_tensor *t = sn_gguf_tensor(m->file.in, "token_embd.weight");
    if (t == NULL || sn_gguf_tensor(m->file.in, "output.weight") != NULL) return NULL;
    return changes(m, t, false) || changes(m, t, true) ? t : NULL;
}

sn_status sn_lora_merge(sn_compute *c, const char *base_path, const senses_lora *loras, size_t n, const char *out_path,
                        const senses_merge_params *p, senses_merge_result *result, sn_err *err)
{
    merge m = {.file = {.compute = c, .progress = p->progress, .user = p->user}, .n = n};
    sn_status status = sn_rewrite_open(&m.file, base_path, out_path, err);
    if (status != SN_OK) goto done;
    m.loras = sn_calloc(n, sizeof *m.loras);
    m.shares = sn_calloc(n, sizeof *m.shares);
    if (m.loras == NULL || m.shares == NULL) status = sn_fail(err, SN_ENOMEM, "%s: out of memory", base_path);
    for (size_t i = 0; status == SN_OK && i < n; i++) {
        status = sn_rewrite_apart(loras[i].path, out_path, err);
        if (status == SN_OK) status = sn_lora_open(&m.loras[i], loras[i].path, m.file.in, loras[i].scale, err);
    }
    if (status == SN_OK) status = sn_gguf_create(&m.file.out, out_path, err);
    if (status != SN_OK) goto done;
    m.tied = tied_apart(&m);
    declare(&m);
    status = write_tensors(&m, err);
done:
    for (size_t i = 0; m.loras != NULL && i < n; i++) sn_lora_close(&m.loras[i]);
    sn_free(m.loras);
    sn_free(m.shares);
    *result = m.r;
    return sn_rewrite_close(&m.file, status, err);
}
