/* model.c: opening a decoder: the family from a table, hyper-parameters checked against one another, tensors bound. */
#include "../core/nn.h"
#include "decoder.h"
#include "vocab_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ADDRESS(family) &family,
static const txt_family *const families[] = {TXT_FAMILIES(ADDRESS)};

/* Limits far above any model known, and low enough that no product of three of them overflows. */
enum {
    MAX_LAYERS = 1024,
    MAX_EMBD = 1 << 17,
    MAX_FF = 1 << 20,
    MAX_HEADS = 1 << 12,
    MAX_VOCAB = 1 << 24,
    MAX_CTX = 1 << 30,
    EMBED_FORGET = 64,
    NARROW = 512
};

const char *txt_arch_at(size_t i)
{
    return i < sizeof families / sizeof *families ? families[i]->arch : NULL;
}

static sn_status find_family(txt_model *m, sn_err *err)
{
    sn_str arch;
    sn_status st = sn_gguf_str_or(m->gguf, "general.architecture", &arch, err);
    if (st != SN_OK) return st;
    if (sn_gguf_find(m->gguf, "adapter.type") != NULL)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is an adapter for a model (a LoRA), not a model", sn_gguf_path(m->gguf));
    if (arch.p == NULL)
        return sn_fail(err, SN_EFORMAT, "%s: no general.architecture: not a model file of a kind known here", sn_gguf_path(m->gguf));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (sn_str_eq(arch, families[i]->arch)) m->family = families[i];
    if (m->family != NULL) return SN_OK;

    if (sn_str_eq(arch, "clip"))
        return sn_fail(err, SN_EUNSUPPORTED, "%s: is an encoder of pictures or sound (mmproj), not a text model", sn_gguf_path(m->gguf));
    char known[256] = "";
    size_t n = 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i == 0 ? "" : ", ", families[i]->arch);
    return sn_fail(err, SN_EUNSUPPORTED, "%s: general.architecture is \"%s\"; the text decoders known here are %s", sn_gguf_path(m->gguf),
                   txt_show(arch).s, known);
}

/* The family's own keys: "llama.block_count". A reader with a sticky status, so that a list of keys reads as one. */
typedef struct {
    const txt_model *m;
    char key[96];
    sn_status st;
    sn_err *err;
} keys;

static const char *key_name(keys *k, const char *name)
{
    snprintf(k->key, sizeof k->key, "%s.%s", k->m->family->arch, name);
    return k->key;
}

static size_t key_size(keys *k, const char *name, uint32_t min, uint32_t max)
{
    uint32_t v = 0;
    if (k->st == SN_OK) k->st = sn_gguf_u32(k->m->gguf, key_name(k, name), min, max, &v, k->err);
    return v;
}

static size_t key_size_or(keys *k, const char *name, uint32_t min, uint32_t max, size_t absent)
{
    uint32_t v = 0;
    if (k->st == SN_OK) k->st = sn_gguf_u32_or(k->m->gguf, key_name(k, name), min, max, (uint32_t)absent, &v, k->err);
    return v;
}

/* A number in [min, max]; `absent` NAN: the key must be there. */
static float key_float(keys *k, const char *name, float min, float max, float absent)
{
    float v = 0;
    if (k->st != SN_OK) return 0;
    if (isnan(absent))
        k->st = sn_gguf_f32(k->m->gguf, key_name(k, name), &v, k->err);
    else
        k->st = sn_gguf_f32_or(k->m->gguf, key_name(k, name), absent, &v, k->err);
    if (k->st == SN_OK && !(v >= min && v <= max))
        k->st = sn_fail(k->err, SN_EFORMAT, "%s: %s: want %g to %g, file has %g", sn_gguf_path(k->m->gguf), k->key, (double)min,
                        (double)max, (double)v);
    return v;
}

/* Linear position scaling, or none. What a family cannot do must not pass for plain RoPE: refused by its name. */
static void read_rope_scaling(keys *k, txt_arch *a)
{
    sn_str type = {0};
    if (k->st == SN_OK) k->st = sn_gguf_str_or(k->m->gguf, key_name(k, "rope.scaling.type"), &type, k->err);
    if (k->st != SN_OK) return;
    if (type.p != NULL && !sn_str_eq(type, "linear") && !sn_str_eq(type, "none")) {
        k->st = sn_fail(k->err, SN_EUNSUPPORTED, "%s: %s: \"%s\" is not supported; none, linear and llama3 (by rope_freqs) are",
                        sn_gguf_path(k->m->gguf), k->key, txt_show(type).s);
        return;
    }
    float factor = key_float(k, "rope.scaling.factor", 0, 1e6f, 0);
    a->rope_factor = factor > 0 && !sn_str_eq(type, "none") ? factor : 1; /* 0 stands for 1 in old files */
}

sn_status txt_read_rope_sections(txt_arch *a, const sn_gguf *g, const char *key, sn_err *err)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    size_t sum = 0;
    if (kv == NULL || kv->type != SN_KV_ARRAY || (kv->elem != SN_KV_I32 && kv->elem != SN_KV_U32) || kv->n < 3)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want an array of at least 3 integers", sn_gguf_path(g), key);
    for (size_t i = 0; i < kv->n; i++) {
        const int64_t n = sn_kv_i64(kv, i);
        if (n < 0 || n > (i < 3 ? (int64_t)(a->n_rot / 2) : 0))
            return sn_fail(err, SN_EFORMAT, "%s: %s: value %zu is %lld", sn_gguf_path(g), key, i, (long long)n);
        if (i < 3) a->rope_sections[i] = (size_t)n;
        sum += (size_t)n;
    }
    if (sum != a->n_rot / 2)
        return sn_fail(err, SN_EFORMAT, "%s: %s: want %zu pairs in all, file has %zu", sn_gguf_path(g), key, a->n_rot / 2, sum);
    return SN_OK;
}

static sn_status read_hparams(txt_model *m, sn_err *err)
{
    keys k = {.m = m, .err = err};
    txt_hparams *hp = &m->hp;
    snprintf(hp->arch, sizeof hp->arch, "%s", m->family->arch);
    hp->n_layer = key_size(&k, "block_count", 1, MAX_LAYERS);
    hp->n_embd = key_size(&k, "embedding_length", 1, MAX_EMBD);
    hp->n_ff = key_size(&k, "feed_forward_length", 1, MAX_FF);
    hp->n_ctx_train = key_size(&k, "context_length", 1, MAX_CTX);
    hp->n_head = key_size(&k, "attention.head_count", 1, MAX_HEADS);
    hp->n_head_kv = key_size_or(&k, "attention.head_count_kv", 1, MAX_HEADS, hp->n_head);
    if (k.st != SN_OK) return k.st;
    if (hp->n_head % hp->n_head_kv != 0)
        return sn_fail(err, SN_EFORMAT, "%s: %zu heads cannot share %zu heads of keys and values evenly", sn_gguf_path(m->gguf), hp->n_head,
                       hp->n_head_kv);
    if (sn_gguf_find(m->gguf, key_name(&k, "attention.key_length")) == NULL && hp->n_embd % hp->n_head != 0)
        return sn_fail(err, SN_EFORMAT, "%s: embedding_length %zu is not a multiple of %zu heads", sn_gguf_path(m->gguf), hp->n_embd,
                       hp->n_head);
    hp->d_head = key_size_or(&k, "attention.key_length", 1, SN_MAX_D_HEAD, hp->n_embd / hp->n_head);
    if (k.st == SN_OK && hp->d_head > SN_MAX_D_HEAD)
        return sn_fail(err, SN_ELIMIT, "%s: heads of %zu values; the limit is %d", sn_gguf_path(m->gguf), hp->d_head, SN_MAX_D_HEAD);
    size_t d_value = key_size_or(&k, "attention.value_length", 1, SN_MAX_D_HEAD, hp->d_head);
    if (k.st == SN_OK && d_value != hp->d_head)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: keys of %zu and values of %zu: want them alike", sn_gguf_path(m->gguf), hp->d_head,
                       d_value);
    if (key_size_or(&k, "expert_count", 0, UINT32_MAX, 0) > 0)
        return sn_fail(err, SN_EUNSUPPORTED, "%s: %s: a mixture of experts, which is not supported", sn_gguf_path(m->gguf), k.key);

    m->a =
        (txt_arch){.embd_scale = 1, .token_scale = 1, .logit_scale = 1, .attn_scale = 1.0f / sqrtf((float)hp->d_head), .global_every = 1};
    m->a.eps = key_float(&k, "attention.layer_norm_rms_epsilon", 0, 0.1f, NAN);
    m->a.n_rot = key_size_or(&k, "rope.dimension_count", 2, SN_MAX_D_HEAD, hp->d_head);
    m->a.rope_base = key_float(&k, "rope.freq_base", 1, 1e12f, 10000);
    read_rope_scaling(&k, &m->a);
    if (k.st != SN_OK) return k.st;
    if (m->a.n_rot % 2 != 0 || m->a.n_rot > hp->d_head)
        return sn_fail(err, SN_EFORMAT, "%s: %zu values rotate of heads of %zu: want an even number, no more", sn_gguf_path(m->gguf),
                       m->a.n_rot, hp->d_head);
    return m->family->read != NULL ? m->family->read(&m->a, hp, m->gguf, err) : SN_OK;
}

/* The vocabulary's size is said up to three times; all must agree, since ids index the embedding's rows. */
static sn_status read_vocab(txt_model *m, sn_err *err)
{
    sn_status st = txt_vocab_open(&m->vocab, m->gguf, err);
    if (st != SN_OK) return st;
    m->hp.n_vocab = txt_vocab_n(m->vocab);
    if (m->hp.n_vocab == 0 || m->hp.n_vocab > MAX_VOCAB)
        return sn_fail(err, SN_ELIMIT, "%s: %zu tokens; the limit is %d", sn_gguf_path(m->gguf), m->hp.n_vocab, MAX_VOCAB);
    keys k = {.m = m, .err = err};
    size_t said = key_size_or(&k, "vocab_size", 1, MAX_VOCAB, m->hp.n_vocab);
    if (k.st == SN_OK && said != m->hp.n_vocab)
        return sn_fail(err, SN_EFORMAT, "%s: %s is %zu, but the file lists %zu tokens", sn_gguf_path(m->gguf), k.key, said, m->hp.n_vocab);
    return k.st;
}

/* The axis that pair i turns with. */
static size_t pair_axis(const txt_arch *a, size_t i)
{
    if (a->sections_woven) return i < 3 * a->rope_sections[i % 3] ? i % 3 : 0;
    if (i < a->rope_sections[0]) return 0;
    return i < a->rope_sections[0] + a->rope_sections[1] ? 1 : 2;
}

/* inv_freq [n_axes, n_rot / 2] = theta^(-2i / n_rot), over the linear factor, over Llama 3's factor for that frequency. */
static sn_status make_inv_freq(txt_model *m, const float *factors, sn_err *err)
{
    const txt_arch *a = &m->a;
    const size_t n = a->n_rot / 2, n_sections = a->rope_sections[0] + a->rope_sections[1] + a->rope_sections[2];
    m->n_axes = n_sections > 0 ? 3 : 1;
    m->inv_freq = sn_calloc(m->n_axes * n, sizeof *m->inv_freq);
    if (a->window > 0) m->inv_freq_local = sn_calloc(m->n_axes * n, sizeof *m->inv_freq_local);
    if (m->inv_freq == NULL || (a->window > 0 && m->inv_freq_local == NULL))
        return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(m->gguf));
    for (size_t i = 0; i < n; i++) {
        const double f = factors != NULL ? (double)factors[i] : 1.0, power = -2.0 * (double)i / (double)a->n_rot;
        const size_t at = (m->n_axes > 1 ? pair_axis(a, i) : 0) * n + i;
        if (!(f >= 1e-6 && f <= 1e6))
            return sn_fail(err, SN_EFORMAT, "%s: rope_freqs.weight: value %zu is %g", sn_gguf_path(m->gguf), i, f);
        m->inv_freq[at] = (float)(pow((double)a->rope_base, power) / a->rope_factor / f);
        if (a->window > 0) m->inv_freq_local[at] = (float)pow((double)a->rope_base_local, power);
    }
    return SN_OK;
}

/* A narrow model is small and soon done, and strays further for the same error: no time is saved at its cost. Nor at that of the output matrix,
 * of which one row is asked for at a time, and which waits for memory anyway. */
static bool is_coarse(const txt_model *m)
{
    return sn_compute_coarse(m->compute) && m->hp.n_embd >= NARROW;
}

static void bind_layer(sn_bind *b, const txt_model *m, txt_layer *L, size_t il)
{
    const size_t d = m->hp.n_embd, n_q = m->hp.n_head * m->hp.d_head, n_kv = m->hp.n_head_kv * m->hp.d_head, n_ff = m->hp.n_ff;
    const sn_bias qkv = m->family->qkv_bias, other = m->family->linear_bias;
    const bool coarse = is_coarse(m);
    sn_bind_norm(b, &L->attn_norm, d, SN_BIAS_NONE, "blk.%zu.attn_norm", il);
    b->coarse = coarse;
    sn_bind_linear(b, &L->q, n_q, d, qkv, "blk.%zu.attn_q", il);
    b->coarse = false; /* keys and values meet every later token, and are the smallest of the products */
    sn_bind_linear(b, &L->k, n_kv, d, qkv, "blk.%zu.attn_k", il);
    sn_bind_linear(b, &L->v, n_kv, d, qkv, "blk.%zu.attn_v", il);
    b->coarse = coarse;
    sn_bind_linear(b, &L->out, d, n_q, other, "blk.%zu.attn_output", il);
    sn_bind_norm(b, &L->ffn_norm, d, SN_BIAS_NONE, "blk.%zu.ffn_norm", il);
    sn_bind_linear(b, &L->gate, n_ff, d, other, "blk.%zu.ffn_gate", il);
    sn_bind_linear(b, &L->up, n_ff, d, other, "blk.%zu.ffn_up", il);
    sn_bind_linear(b, &L->down, d, n_ff, other, "blk.%zu.ffn_down", il);
    if (m->family->qk_norm) {
        sn_bind_norm(b, &L->q_norm, m->hp.d_head, SN_BIAS_NONE, "blk.%zu.attn_q_norm", il);
        sn_bind_norm(b, &L->k_norm, m->hp.d_head, SN_BIAS_NONE, "blk.%zu.attn_k_norm", il);
    }
    if (m->family->post_norm) {
        sn_bind_norm(b, &L->attn_post_norm, d, SN_BIAS_NONE, "blk.%zu.post_attention_norm", il);
        sn_bind_norm(b, &L->ffn_post_norm, d, SN_BIAS_NONE, "blk.%zu.post_ffw_norm", il);
    }
}

static sn_status bind_tensors(txt_model *m, bool plan, sn_err *err)
{
    const size_t d = m->hp.n_embd, n_vocab = m->hp.n_vocab, n_freq = m->a.n_rot / 2;
    float *factors = NULL;
    sn_bind b;
    sn_status st = sn_bind_init(&b, m->gguf, m->compute, err);
    if (st != SN_OK) return st;
    b.plan = plan;
    sn_bind_tensor(&b, &m->embd, (size_t[]){n_vocab, d}, 2, "token_embd.weight");
    sn_bind_linear(&b, &m->output, n_vocab, d, SN_BIAS_OPTIONAL, "%s", sn_bind_has(&b, "output.weight") ? "output" : "token_embd");
    sn_bind_norm(&b, &m->out_norm, d, SN_BIAS_NONE, "output_norm");
    for (size_t il = 0; il < m->hp.n_layer; il++) bind_layer(&b, m, &m->layers[il], il);
    sn_bind_f32(&b, &factors, &n_freq, 1, true, "rope_freqs.weight");
    const sn_tensor *left = b.status == SN_OK ? sn_bind_unused(&b) : NULL;
    st = sn_bind_done(&b);
    if (st == SN_OK && left != NULL) /* a part of a graph that is not computed here: the answers would be wrong */
        st = sn_fail(err, SN_EUNSUPPORTED, "%s: %s: no such tensor in a model of kind \"%s\"", sn_gguf_path(m->gguf), left->name,
                     m->hp.arch);
    if (st != SN_OK) goto done;
    for (size_t i = 0; i < d; i++) m->out_norm.weight[i] *= m->a.logit_scale;
    st = make_inv_freq(m, factors, err);
done:
    sn_free(factors);
    return st;
}

static sn_status open_model(txt_model **out, const char *path, sn_compute *c, bool plan, sn_err *err)
{
    txt_model *m = sn_calloc(1, sizeof *m);
    if (m == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    m->compute = c;
    sn_status st = sn_gguf_open(&m->gguf, path, err);
    if (st != SN_OK) goto done;
    st = find_family(m, err);
    if (st == SN_OK) st = read_hparams(m, err);
    if (st == SN_OK) st = read_vocab(m, err);
    if (st == SN_OK && (m->layers = sn_calloc(m->hp.n_layer, sizeof *m->layers)) == NULL)
        st = sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(m->gguf));
    if (st == SN_OK) st = bind_tensors(m, plan, err);
done:
    if (st != SN_OK) {
        txt_model_close(m);
        return st;
    }
    *out = m;
    return SN_OK;
}

sn_status txt_model_open(txt_model **out, const char *path, sn_compute *c, sn_err *err)
{
    return open_model(out, path, c, false, err);
}

sn_status txt_model_plan(txt_model **out, const char *path, sn_compute *c, sn_err *err)
{
    return open_model(out, path, c, true, err);
}

static void layer_free(txt_layer *L)
{
    sn_norm_free(&L->attn_norm);
    sn_linear_free(&L->q);
    sn_linear_free(&L->k);
    sn_linear_free(&L->v);
    sn_linear_free(&L->out);
    sn_norm_free(&L->ffn_norm);
    sn_linear_free(&L->gate);
    sn_linear_free(&L->up);
    sn_linear_free(&L->down);
    sn_norm_free(&L->q_norm);
    sn_norm_free(&L->k_norm);
    sn_norm_free(&L->attn_post_norm);
    sn_norm_free(&L->ffn_post_norm);
}

void txt_model_close(txt_model *m)
{
    if (m == NULL) return;
    for (size_t il = 0; m->layers != NULL && il < m->hp.n_layer; il++) layer_free(&m->layers[il]);
    sn_free(m->layers);
    txt_chorus_close(m->chorus);
    txt_adapters_free(m);
    sn_linear_free(&m->output);
    sn_norm_free(&m->out_norm);
    sn_free(m->inv_freq);
    sn_free(m->inv_freq_local);
    txt_vocab_close(m->vocab);
    sn_gguf_close(m->gguf);
    sn_free(m);
}

const txt_hparams *txt_model_hparams(const txt_model *m)
{
    return &m->hp;
}

const txt_vocab *txt_model_vocab(const txt_model *m)
{
    return m->vocab;
}

const sn_gguf *txt_model_gguf(const txt_model *m)
{
    return m->gguf;
}

size_t txt_model_bytes(const txt_model *m)
{
    size_t n = sizeof *m + m->hp.n_layer * sizeof *m->layers + sn_linear_bytes(&m->output);
    n += (m->a.window > 0 ? 2 : 1) * m->n_axes * (m->a.n_rot / 2) * sizeof(float) + m->hp.n_embd * sizeof(float); /* inv_freq, out_norm */
    for (size_t il = 0; il < m->hp.n_layer; il++) {
        const txt_layer *L = &m->layers[il];
        const sn_linear *all[] = {&L->q, &L->k, &L->v, &L->out, &L->gate, &L->up, &L->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) n += sn_linear_bytes(all[i]);
        n += (L->attn_norm.n + L->ffn_norm.n + L->q_norm.n + L->k_norm.n + L->attn_post_norm.n + L->ffn_post_norm.n) * sizeof(float);
    }
    return n + txt_adapters_bytes(m) + txt_chorus_bytes(m->chorus);
}

size_t txt_model_mapped_bytes(const txt_model *m)
{
    size_t n = sn_linear_mapped_bytes(&m->output);
    for (size_t il = 0; il < m->hp.n_layer; il++) {
        const txt_layer *L = &m->layers[il];
        const sn_linear *all[] = {&L->q, &L->k, &L->v, &L->out, &L->gate, &L->up, &L->down};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) n += sn_linear_mapped_bytes(all[i]);
    }
    return n;
}

size_t txt_model_row_width(const txt_model *m)
{
    return (1 + m->a.n_deep) * m->hp.n_embd;
}

void txt_model_embed(const txt_model *m, const txt_id *ids, size_t n, float *out)
{
    const sn_type_info *type = sn_type_get(m->embd->type);
    const size_t row_bytes = m->hp.n_embd / type->block * type->bytes;
    for (size_t i = 0; i < n; i++) {
        type->dequantize(out + i * m->hp.n_embd, (const char *)m->embd->data + (size_t)ids[i] * row_bytes, m->hp.n_embd);
        txt_adapters_embed(m, ids[i], out + i * m->hp.n_embd);
        /* A touched row brings the 64 KB around it into the process: a prompt would keep the table resident beside its packed twin. */
        if (i % EMBED_FORGET == EMBED_FORGET - 1) sn_gguf_forget(m->gguf, m->embd);
    }
    for (size_t i = 0; m->a.token_scale != 1 && i < n * m->hp.n_embd; i++) out[i] *= m->a.token_scale;
}
