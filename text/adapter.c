/* adapter.c: LoRA adapters on a decoder: each pair is put behind the weight that it changes. */
#include "decoder.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { FEW = 256 }; /* values of an embedding row that are widened at once: a multiple of every block */

/* The weight of a layer that a tensor's name ends in. */
static const struct {
    const char *name;
    size_t at;
} parts[] = {{"attn_q", offsetof(txt_layer, q)},        {"attn_k", offsetof(txt_layer, k)},      {"attn_v", offsetof(txt_layer, v)},
             {"attn_output", offsetof(txt_layer, out)}, {"ffn_gate", offsetof(txt_layer, gate)}, {"ffn_up", offsetof(txt_layer, up)},
             {"ffn_down", offsetof(txt_layer, down)}};

/* The weight that is bound from the tensor `name`, or NULL. */
static sn_linear *find_linear(txt_model *m, const char *name)
{
    char want[SN_MAX_NAME + 1];
    if (strcmp(name, "output.weight") == 0) return &m->output;
    for (size_t il = 0; il < m->hp.n_layer; il++) {
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            snprintf(want, sizeof want, "blk.%zu.%s.weight", il, parts[i].name);
            if (strcmp(name, want) == 0) return (sn_linear *)(void *)((char *)&m->layers[il] + parts[i].at);
        }
    }
    return NULL;
}

static sn_linear *target_of(txt_model *m, const sn_lora_pair *p)
{
    return p->tied_output ? &m->output : find_linear(m, p->base->name);
}

static sn_status bind_half(sn_linear *w, const txt_model *m, const sn_gguf *g, const sn_tensor *t, size_t n_out, size_t n_in, sn_err *err)
{
    sn_status st = sn_linear_init(w, m->compute, t->type, n_out, n_in, t->data, NULL, err);
    if (st != SN_OK) {
        sn_wrap(err, "%s", t->name);
        return sn_wrap(err, "%s", sn_gguf_path(g));
    }
    if (w->packed != NULL) sn_gguf_forget(g, t);
    return SN_OK;
}

/* The embedding's B as [rank, n_embd]: a token adds rows of it, by the values of its row of A. */
static sn_status bind_embedding(txt_adapter *x, const txt_model *m, const sn_lora_pair *p, sn_err *err)
{
    const size_t d = m->hp.n_embd;
    const sn_type_info *type = sn_type_get(p->b->type);
    const char *path = sn_gguf_path(x->file.gguf);
    x->embd = p;
    x->embd_b = sn_alloc(p->rank * d, sizeof *x->embd_b);
    float *row = sn_alloc(p->rank, sizeof *row);
    if (x->embd_b == NULL || row == NULL) {
        sn_free(row);
        return sn_fail(err, SN_ENOMEM, "%s: out of memory (%zu values)", path, p->rank * d);
    }
    for (size_t i = 0; i < d; i++) {
        type->dequantize(row, (const char *)p->b->data + i * (p->rank / type->block * type->bytes), p->rank);
        for (size_t r = 0; r < p->rank; r++) x->embd_b[r * d + i] = row[r];
    }
    sn_free(row);
    return SN_OK;
}

static sn_status bind_pair(txt_adapter *x, txt_model *m, size_t i, sn_err *err)
{
    const sn_lora_pair *p = &x->file.pairs[i];
    const sn_gguf *g = x->file.gguf;
    if (p->embedding) return bind_embedding(x, m, p, err);
    const sn_linear *w = target_of(m, p);
    if (w == NULL)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: %s: %s is nothing that an adapter is applied to", sn_gguf_path(g), p->a->name,
                       p->base->name);
    x->pairs[i].scale = p->factor;
    sn_status st = bind_half(&x->pairs[i].a, m, g, p->a, p->rank, w->n_in, err);
    return st == SN_OK ? bind_half(&x->pairs[i].b, m, g, p->b, w->n_out, p->rank, err) : st;
}

static void adapter_free(txt_adapter *x)
{
    for (size_t i = 0; x->pairs != NULL && i < x->file.n; i++) {
        sn_linear_free(&x->pairs[i].a);
        sn_linear_free(&x->pairs[i].b);
    }
    sn_free(x->pairs);
    sn_free(x->embd_b);
    sn_lora_close(&x->file);
    sn_free(x);
}

sn_status txt_model_adapt(txt_model *m, const char *path, float scale, sn_err *err)
{
    txt_adapter *x = sn_calloc(1, sizeof *x), **at = &m->adapters;
    if (x == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    sn_status st = sn_lora_open(&x->file, path, m->gguf, scale, err);
    if (st == SN_OK && (x->pairs = sn_calloc(x->file.n, sizeof *x->pairs)) == NULL) st = sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    for (size_t i = 0; st == SN_OK && i < x->file.n; i++) st = bind_pair(x, m, i, err);
    if (st != SN_OK || scale == 0) {
        adapter_free(x);
        return st;
    }
    for (size_t i = 0; i < x->file.n; i++)
        if (!x->file.pairs[i].embedding) sn_linear_attach(target_of(m, &x->file.pairs[i]), &x->pairs[i]);
    while (*at != NULL) at = &(*at)->next;
    *at = x;
    return SN_OK;
}

void txt_adapters_free(txt_model *m)
{
    for (txt_adapter *x = m->adapters, *next; x != NULL; x = next) {
        next = x->next;
        adapter_free(x);
    }
    m->adapters = NULL;
}

size_t txt_adapters_bytes(const txt_model *m)
{
    size_t n = 0;
    for (const txt_adapter *x = m->adapters; x != NULL; x = x->next) {
        n += sizeof *x + x->file.n * (sizeof *x->pairs + sizeof *x->file.pairs);
        for (size_t i = 0; i < x->file.n; i++) n += sn_linear_bytes(&x->pairs[i].a) + sn_linear_bytes(&x->pairs[i].b);
        if (x->embd != NULL) n += x->embd->rank * m->hp.n_embd * sizeof(float);
    }
    return n;
}

void txt_adapters_embed(const txt_model *m, txt_id id, float *row)
{
    const size_t d = m->hp.n_embd;
    float some[FEW];
    for (const txt_adapter *x = m->adapters; x != NULL; x = x->next) {
        if (x->embd == NULL) continue;
        const size_t rank = x->embd->rank;
        const sn_type_info *type = sn_type_get(x->embd->a->type);
        const char *a = (const char *)x->embd->a->data + (size_t)id * (rank / type->block * type->bytes);
        for (size_t r0 = 0; r0 < rank; r0 += FEW) {
            const size_t n = rank - r0 < FEW ? rank - r0 : FEW;
            type->dequantize(some, a + r0 / type->block * type->bytes, n);
            for (size_t r = 0; r < n; r++) {
                const float by = x->embd->factor * some[r], *b = x->embd_b + (r0 + r) * d;
                for (size_t i = 0; i < d; i++) row[i] += by * b[i];
            }
        }
    }
}
