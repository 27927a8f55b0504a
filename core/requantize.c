/* requantize.c: a GGUF file with its weights in other types, a piece at a time. */
#include "file.h"
#include "mem.h"
#include "quant.h"
#include "quantize.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE ((size_t)1 << 20) /* values; a multiple of every block */

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

typedef struct { /* one piece of one tensor, for all threads */
    const unsigned char *src;
    unsigned char *dst;
    float *values;
    size_t n;
    const sn_type_info *from, *to;
    sn_quantize_fn quantize;
    float limit; /* of a magnitude that the new type can hold */
    bool *bad;   /* [n_parts]: a part has met a value over the limit, or no number */
} piece;

static void convert_part(void *arg, size_t part, size_t n_parts)
{
    const piece *p = arg;
    size_t begin, end;
    sn_share(p->n, 256, part, n_parts, &begin, &end);
    if (begin == end) return;
    p->from->dequantize(p->values + begin, p->src + begin / p->from->block * p->from->bytes, end - begin);
    for (size_t i = begin; i < end; i++) {
        if (fabsf(p->values[i]) <= p->limit) continue;
        p->bad[part] = true;
        return;
    }
    p->quantize(p->dst + begin / p->to->block * p->to->bytes, p->values + begin, end - begin);
}

typedef struct {
    sn_compute *compute;
    const sn_gguf *in;
    sn_gguf_writer *out;
    const sn_requantize_params *params;
    unsigned char *bytes; /* [PIECE] in the largest type */
    float *values;        /* [PIECE] */
    bool *bad;            /* [threads] */
    size_t done, total;   /* bytes of the input's weights */
} job;

/* Writes n_out bytes that n_in of the input became. */
static sn_status put(job *j, const void *out, size_t n_out, const void *in, size_t n_in, sn_err *err)
{
    sn_gguf_write_data(j->out, out, n_out);
    if (!sn_gguf_writable(j->out)) { /* a full disk is not for the end of the last tensor to find out */
        sn_gguf_writer *w = j->out;
        j->out = NULL;
        return sn_gguf_finish(w, err);
    }
    sn_gguf_forget_part(j->in, in, n_in);
    j->done += n_in;
    if (j->params->progress == NULL || j->params->progress(j->params->user, j->done, j->total)) return SN_OK;
    return sn_fail(err, SN_ECANCELLED, "%s: stopped", sn_gguf_path(j->in));
}

static sn_status copy_tensor(job *j, const sn_tensor *t, sn_err *err)
{
    sn_status status = SN_OK;
    for (size_t at = 0; at < t->n_bytes && status == SN_OK; at += PIECE) {
        const unsigned char *p = (const unsigned char *)t->data + at;
        const size_t n = t->n_bytes - at < PIECE ? t->n_bytes - at : PIECE;
        status = put(j, p, n, p, n, err);
    }
    return status;
}

static sn_status convert_tensor(job *j, const sn_tensor *t, sn_type type, sn_err *err)
{
    const sn_type_info *from = sn_type_get((uint32_t)t->type), *to = sn_type_get((uint32_t)type);
    const bool wide = type == SN_F32 || type == SN_BF16;
    for (size_t at = 0; at < t->n_values; at += PIECE) {
        piece p = {.n = t->n_values - at < PIECE ? t->n_values - at : PIECE,
                   .src = (const unsigned char *)t->data + at / from->block * from->bytes,
                   .dst = j->bytes,
                   .values = j->values,
                   .from = from,
                   .to = to,
                   .quantize = sn_quantize_best(type),
                   .limit = wide ? 3.3e38f : 65504.0f,
                   .bad = j->bad};
        memset(j->bad, 0, sn_compute_threads(j->compute) * sizeof *j->bad);
        sn_parallel(j->compute, convert_part, &p);
        for (size_t i = 0; i < sn_compute_threads(j->compute); i++)
            if (j->bad[i])
                return sn_fail(err, SN_EFORMAT, "%s: tensor %s holds a value that is no finite number, or too large for %s",
                               sn_gguf_path(j->in), t->name, to->name);
        sn_status status = put(j, j->bytes, p.n / to->block * to->bytes, p.src, p.n / from->block * from->bytes, err);
        if (status != SN_OK) return status;
    }
    return SN_OK;
}

static sn_status refuse_same_file(const char *in_path, const char *out_path, sn_err *err)
{
    struct stat in, out;
    if (stat(in_path, &in) != 0 || stat(out_path, &out) != 0) return SN_OK; /* opening it says why; a new file is another file */
    if (in.st_dev != out.st_dev || in.st_ino != out.st_ino) return SN_OK;
    return sn_fail(err, SN_EUSAGE, "%s: the output would replace the input; give it another name", out_path);
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

static sn_status write_all(job *j, const sn_type *types, sn_err *err)
{
    const size_t threads = sn_compute_threads(j->compute);
    sn_status status = SN_OK;
    j->bytes = sn_alloc(PIECE, sizeof(float));
    j->values = sn_alloc(PIECE, sizeof(float));
    j->bad = sn_calloc(threads, sizeof *j->bad);
    if (j->bytes == NULL || j->values == NULL || j->bad == NULL) status = sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(j->in));
    for (size_t i = 0; status == SN_OK && i < sn_gguf_n_tensors(j->in); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(j->in, i);
        status = types[i] == t->type ? copy_tensor(j, t, err) : convert_tensor(j, t, types[i], err);
    }
    sn_free(j->bytes);
    sn_free(j->values);
    sn_free(j->bad);
    return status;
}

sn_status sn_requantize(sn_compute *c, const char *in_path, const char *out_path, const sn_mix *mix, const sn_requantize_params *p,
                        senses_quantize_result *result, sn_err *err)
{
    sn_gguf *in = NULL;
    sn_gguf_writer *out = NULL;
    sn_type *types = NULL;
    senses_quantize_result r = {0};
    uint32_t n_parts;
    sn_status status = refuse_same_file(in_path, out_path, err);
    if (status == SN_OK) status = sn_gguf_open(&in, in_path, err);
    if (status != SN_OK) goto done;
    status = sn_gguf_u32_or(in, "split.count", 0, 65535, 0, &n_parts, err);
    if (status != SN_OK) goto done;
    if (n_parts > 1) {
        status = sn_fail(err, SN_EUNSUPPORTED, "%s: is one of %u parts of a model; join them first", in_path, (unsigned)n_parts);
        goto done;
    }
    types = sn_alloc(sn_gguf_n_tensors(in), sizeof *types);
    if (types == NULL) {
        status = sn_fail(err, SN_ENOMEM, "%s: out of memory", in_path);
        goto done;
    }
    status = sn_mix_types(mix, in, types, &r.n_fallback, err);
    if (status == SN_OK) status = plan(in, types, p, &r, err);
    if (status == SN_OK) status = sn_gguf_create(&out, out_path, err);
    if (status != SN_OK) goto done;
    declare(out, in, mix, types);
    job j = {.compute = c, .in = in, .out = out, .params = p, .total = r.bytes_in};
    status = write_all(&j, types, err);
    out = j.out;
    if (status != SN_OK) goto done;
    status = sn_gguf_finish(out, err);
    out = NULL;
done:
    *result = r;
    sn_gguf_abandon(out);
    sn_free(types);
    sn_gguf_close(in);
    return status;
}
