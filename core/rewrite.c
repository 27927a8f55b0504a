/* rewrite.c: tensors from one GGUF file into another. */
#include "rewrite.h"

#include "mem.h"
#include "quantize.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#define PIECE ((size_t)1 << 20) /* values; a multiple of every block */

typedef struct { /* one piece of one tensor, for all threads */
    const unsigned char *src;
    unsigned char *dst;
    float *values;
    size_t n;
    const sn_type_info *from, *to;
    sn_quantize_fn quantize;
    sn_rewrite_edit *edit; /* or NULL */
    const void *user;
    size_t first; /* which value of the tensor is the first here */
    float limit;  /* of a magnitude that the new type can hold */
    bool *bad;    /* [n_parts]: a part has met a value over the limit, or no number */
} piece;

static void convert_part(void *arg, size_t part, size_t n_parts)
{
    const piece *p = arg;
    size_t begin, end;
    sn_share(p->n, 256, part, n_parts, &begin, &end);
    if (begin == end) return;
    p->from->dequantize(p->values + begin, p->src + begin / p->from->block * p->from->bytes, end - begin);
    if (p->edit != NULL) p->edit(p->user, p->values + begin, p->first + begin, end - begin);
    for (size_t i = begin; i < end; i++) {
        if (fabsf(p->values[i]) <= p->limit) continue;
        p->bad[part] = true;
        return;
    }
    p->quantize(p->dst + begin / p->to->block * p->to->bytes, p->values + begin, end - begin);
}

/* Writes n_out bytes that n_in of the input became. */
static sn_status put(sn_rewrite *w, const void *out, size_t n_out, const void *in, size_t n_in, sn_err *err)
{
    sn_gguf_write_data(w->out, out, n_out);
    if (!sn_gguf_writable(w->out)) { /* a full disk is not for the end of the last tensor to find out */
        sn_gguf_writer *out_file = w->out;
        w->out = NULL;
        return sn_gguf_finish(out_file, err);
    }
    sn_gguf_forget_part(w->in, in, n_in);
    w->done += n_in;
    if (w->progress == NULL || w->progress(w->user, w->done, w->total)) return SN_OK;
    return sn_fail(err, SN_ECANCELLED, "%s: stopped", sn_gguf_path(w->in));
}

static sn_status copy_tensor(sn_rewrite *w, const sn_tensor *t, sn_err *err)
{
    sn_status status = SN_OK;
    for (size_t at = 0; at < t->n_bytes && status == SN_OK; at += PIECE) {
        const unsigned char *p = (const unsigned char *)t->data + at;
        const size_t n = t->n_bytes - at < PIECE ? t->n_bytes - at : PIECE;
        status = put(w, p, n, p, n, err);
    }
    return status;
}

static sn_status convert_tensor(sn_rewrite *w, const sn_tensor *t, sn_type type, sn_rewrite_edit *edit, const void *user, sn_err *err)
{
    const sn_type_info *from = sn_type_get((uint32_t)t->type), *to = sn_type_get((uint32_t)type);
    const bool wide = type == SN_F32 || type == SN_BF16;
    for (size_t at = 0; at < t->n_values; at += PIECE) {
        piece p = {.n = t->n_values - at < PIECE ? t->n_values - at : PIECE,
                   .src = (const unsigned char *)t->data + at / from->block * from->bytes,
                   .dst = w->bytes,
                   .values = w->values,
                   .from = from,
                   .to = to,
                   .quantize = sn_quantize_best(type),
                   .edit = edit,
                   .user = user,
                   .first = at,
                   .limit = wide ? 3.3e38f : 65504.0f,
                   .bad = w->bad};
        memset(w->bad, 0, sn_compute_threads(w->compute) * sizeof *w->bad);
        sn_parallel(w->compute, convert_part, &p);
        for (size_t i = 0; i < sn_compute_threads(w->compute); i++)
            if (w->bad[i])
                return sn_fail(err, SN_EFORMAT, "%s: tensor %s holds a value that is no finite number, or too large for %s",
                               sn_gguf_path(w->in), t->name, to->name);
        sn_status status = put(w, w->bytes, p.n / to->block * to->bytes, p.src, p.n / from->block * from->bytes, err);
        if (status != SN_OK) return status;
    }
    return SN_OK;
}

sn_status sn_rewrite_tensor(sn_rewrite *w, const sn_tensor *t, sn_type type, sn_rewrite_edit *edit, const void *user, sn_err *err)
{
    return type == t->type && edit == NULL ? copy_tensor(w, t, err) : convert_tensor(w, t, type, edit, user, err);
}

sn_status sn_rewrite_apart(const char *in_path, const char *out_path, sn_err *err)
{
    struct stat in, out;
    if (stat(in_path, &in) != 0 || stat(out_path, &out) != 0) return SN_OK; /* opening it says why; a new file is another file */
    if (in.st_dev != out.st_dev || in.st_ino != out.st_ino) return SN_OK;
    return sn_fail(err, SN_EUSAGE, "%s: the output would replace the input; give it another name", out_path);
}

sn_status sn_rewrite_open(sn_rewrite *w, const char *in_path, const char *out_path, sn_err *err)
{
    uint32_t n_parts = 0;
    sn_status status = sn_rewrite_apart(in_path, out_path, err);
    if (status == SN_OK) status = sn_gguf_open(&w->in, in_path, err);
    if (status == SN_OK) status = sn_gguf_u32_or(w->in, "split.count", 0, 65535, 0, &n_parts, err);
    if (status == SN_OK && n_parts > 1)
        status = sn_fail(err, SN_EUNSUPPORTED, "%s: is one of %u parts of a model; join them first", in_path, (unsigned)n_parts);
    if (status != SN_OK) return status;
    w->bytes = sn_alloc(PIECE, sizeof(float));
    w->values = sn_alloc(PIECE, sizeof(float));
    w->bad = sn_calloc(sn_compute_threads(w->compute), sizeof *w->bad);
    if (w->bytes == NULL || w->values == NULL || w->bad == NULL) status = sn_fail(err, SN_ENOMEM, "%s: out of memory", in_path);
    return status;
}

sn_status sn_rewrite_close(sn_rewrite *w, sn_status status, sn_err *err)
{
    if (status == SN_OK)
        status = sn_gguf_finish(w->out, err);
    else
        sn_gguf_abandon(w->out);
    sn_free(w->bytes);
    sn_free(w->values);
    sn_free(w->bad);
    sn_gguf_close(w->in);
    return status;
}
