/* requantize.c: a GGUF file with its weights in other types. */
#include "mem.h"
#include "quantize.h"
#include "rewrite.h"

sn_quantize_fn sn_quantize_best(sn_type type)
{
    switch (type) {
    case SN_F32:
    case SN_F16:
    case SN_BF16: return sn_type_get((uint32_t)type)->quantize;
    case SN_Q4_0: return sn_search_q4_0;
    case SN_Q4_1: return sn_search_q4_1;
    case SN_Q5_0: return sn_search_q5_0;
    case SN_Q5_1: return sn_search_q5_1;
    case SN_Q8_0: return sn_search_q8_0;
    case SN_Q2_K: return sn_search_q2_k;
    case SN_Q3_K: return sn_search_q3_k;
    case SN_Q4_K: return sn_search_q4_k;
    case SN_Q5_K: return sn_search_q5_k;
    case SN_Q6_K: return sn_search_q6_k;
    default: return NULL;
    }
}

static bool is_float(sn_type type)
{
    return type == SN_F32 || type == SN_F16 || type == SN_BF16;
}

/* What changes, counted; refuses what cannot be changed, or is not to be. */
static sn_status plan(const sn_gguf *g, sn_type *types, const sn_requantize_params *p, senses_quantize_result *r, sn_err *err)
{
    const sn_tensor *first = NULL;
    r->n_tensors = sn_gguf_n_tensors(g);
    for (size_t i = 0; i < r->n_tensors; i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        const sn_type_info *from = sn_type_get((uint32_t)t->type), *to = sn_type_get((uint32_t)types[i]);
        if (from->dequantize == NULL) types[i] = t->type; /* whole numbers are no weights */
        const bool changed = types[i] != t->type;
        r->bytes_in += t->n_bytes;
        r->bytes_out += changed ? t->n_values / to->block * to->bytes : t->n_bytes;
        if (!changed) continue;
        r->n_changed++;
        if (is_float(t->type) || is_float(types[i])) continue; /* the latter: what was lost is lost, but no more is */
        if (r->n_requantized++ == 0) first = t;
    }
    if (first == NULL || p->again) return SN_OK;
    return sn_fail(err, SN_EUSAGE, "%s: is quantised already (%s is %s); quantised again it loses more than the original would",
                   sn_gguf_path(g), first->name, sn_type_get((uint32_t)first->type)->name);
}

static bool is_key(const sn_kv *kv, const char *name)
{
    return sn_str_eq(kv->key, name);
}

static void declare(sn_gguf_writer *w, const sn_gguf *g, const sn_mix *mix, const sn_type *types)
{
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) {
        const sn_kv *kv = sn_gguf_kv_at(g, i);
        if (!is_key(kv, "general.file_type") && !is_key(kv, "general.quantization_version")) sn_gguf_set_kv(w, kv);
    }
    sn_gguf_set_u32(w, "general.quantization_version", 2);
    sn_gguf_set_u32(w, "general.file_type", mix->file_type);
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        sn_gguf_add_tensor(w, t->name, types[i], t->shape, t->n_dims);
    }
}

sn_status sn_requantize(sn_compute *c, const char *in_path, const char *out_path, const sn_mix *mix, const sn_requantize_params *p,
                        senses_quantize_result *result, sn_err *err)
{
    sn_rewrite w = {.compute = c, .progress = p->progress, .user = p->user};
    sn_type *types = NULL;
    senses_quantize_result r = {0};
    sn_status status = sn_rewrite_open(&w, in_path, out_path, err);
    if (status != SN_OK) goto done;
    types = sn_alloc(sn_gguf_n_tensors(w.in), sizeof *types);
    if (types == NULL) {
        status = sn_fail(err, SN_ENOMEM, "%s: out of memory", in_path);
        goto done;
    }
    status = sn_mix_types(mix, w.in, types, &r.n_fallback, err);
    if (status == SN_OK) status = plan(w.in, types, p, &r, err);
    if (status == SN_OK) status = sn_gguf_create(&w.out, out_path, err);
    if (status != SN_OK) goto done;
    declare(w.out, w.in, mix, types);
    w.total = r.bytes_in;
    for (size_t i = 0; status == SN_OK && i < sn_gguf_n_tensors(w.in); i++)
        status = sn_rewrite_tensor(&w, sn_gguf_tensor_at(w.in, i), types[i], NULL, NULL, err);
done:
    *result = r;
    sn_free(types);
    return sn_rewrite_close(&w, status, err);
}
