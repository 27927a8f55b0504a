/* quantize_mix.c: which tensor of a model gets which type. The mixes are llama.cpp's (src/llama-quant.cpp), so that a name means
 * the same file size and much the same quality here and there. */
#include "mem.h"
#include "quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { Q2_K_FILE = 10, Q3_K_S_FILE, Q3_K_M_FILE, Q3_K_L_FILE, Q4_K_S_FILE, Q4_K_M_FILE, Q5_K_S_FILE, Q5_K_M_FILE };

static const sn_mix mixes[] = {
    {"F32", 0, SN_F32},
    {"F16", 1, SN_F16},
    {"BF16", 32, SN_BF16},
    {"Q8_0", 7, SN_Q8_0},
    {"Q6_K", 18, SN_Q6_K},
    {"Q5_K_M", Q5_K_M_FILE, SN_Q5_K},
    {"Q5_K_S", Q5_K_S_FILE, SN_Q5_K},
    {"Q5_1", 9, SN_Q5_1},
    {"Q5_0", 8, SN_Q5_0},
    {"Q4_K_M", Q4_K_M_FILE, SN_Q4_K},
    {"Q4_K_S", Q4_K_S_FILE, SN_Q4_K},
    {"Q4_1", 3, SN_Q4_1},
    {"Q4_0", 2, SN_Q4_0},
    {"Q3_K_L", Q3_K_L_FILE, SN_Q3_K},
    {"Q3_K_M", Q3_K_M_FILE, SN_Q3_K},
    {"Q3_K_S", Q3_K_S_FILE, SN_Q3_K},
    {"Q2_K", Q2_K_FILE, SN_Q2_K},
};

const sn_mix *sn_mix_at(size_t i)
{
    return i < sizeof mixes / sizeof mixes[0] ? &mixes[i] : NULL;
}

const sn_mix *sn_mix_find(const char *name)
{
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++)
        if (strcasecmp(mixes[i].name, name) == 0) return &mixes[i];
    return NULL;
}

typedef enum { EMBEDDING, ATTENTION_V, ATTENTION_K, ATTENTION_OUTPUT, FFN_DOWN, OUTPUT, OTHER } part;

static part part_of(const char *name)
{
    static const struct {
        const char *piece;
        part part;
    } pieces[] = {{"attn_qkv.weight", ATTENTION_V}, {"attn_kv_b.weight", ATTENTION_V},        {"attn_v.weight", ATTENTION_V},
                  {"attn_k.weight", ATTENTION_K},   {"attn_output.weight", ATTENTION_OUTPUT}, {"ffn_down", FFN_DOWN}};
    static const char *const embeddings[] = {"token_embd.weight", "per_layer_token_embd.weight", "decoder.token_embedding.weight"};
    if (strcmp(name, "output.weight") == 0) return OUTPUT;
    for (size_t i = 0; i < sizeof embeddings / sizeof embeddings[0]; i++)
        if (strcmp(name, embeddings[i]) == 0) return EMBEDDING;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        if (strstr(name, pieces[i].piece) != NULL) return pieces[i].part;
    return OTHER;
}

/* Whether a tensor is a matrix that vectors are multiplied by: not what is added, normalises, convolves, or chooses experts. */
static bool is_weight(const sn_tensor *t)
{
    /* clang-format off */
    static const char *const kept[] = {
        "_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj", "pos_emb", "position_embd", "token_types",
        "ssm_conv1d", "shortconv.conv.weight", "attn_rel_b", ".rel_pos", ".patch_embd", ".patch_merger", "sam.neck.", "sam.net_",
        "time_mix_", "a.rvq.codebook", "mm.a.code_embd", "mm.row_embd", "mm.col_embd"};
    /* clang-format on */
    const size_t n = strlen(t->name);
    const bool experts = t->n_dims == 3 && strstr(t->name, "_exps") != NULL;
    if ((t->n_dims != 2 || t->shape[0] == 1) && !experts) return false;
    if (n < 6 || strcmp(t->name + n - 6, "weight") != 0) return false;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (strstr(t->name, kept[i]) != NULL) return false;
    return true;
}

static sn_type fallback(sn_type type, size_t n_in)
{
    const sn_type smaller = type == SN_Q4_K   ? SN_Q5_0
                            : type == SN_Q5_K ? SN_Q5_1
                            : type == SN_Q6_K ? SN_Q8_0
                                              : SN_Q4_0; /* of Q2_K and Q3_K */
    if (n_in % sn_type_get((uint32_t)type)->block == 0) return type;
    return sn_type_get((uint32_t)type)->block == 256 && n_in % 32 == 0 ? smaller : SN_F16;
}

typedef struct { /* what the rules ask about the model */
    uint32_t n_layer, n_expert, heads_per_kv;
    bool tied;                 /* the token embedding is the output matrix, too */
    size_t n_v, at_v, at_down; /* attention values and ffn_downs: how many, and how many were given a type */
} model;

/* The first and the last eighth of n layers, and every third between. (Encoders have no block_count under their own name: n is 0
 * there, and every layer is one of these.) */
static bool more_bits(size_t i, size_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static sn_type value_type(const sn_mix *mix, const model *m)
{
    const size_t i = m->at_v;
    sn_type type = mix->type;
    if (mix->file_type == Q2_K_FILE) type = m->heads_per_kv >= 4 ? SN_Q4_K : SN_Q3_K;
    if (mix->file_type == Q3_K_M_FILE) type = i < 2 ? SN_Q5_K : SN_Q4_K;
    if (mix->file_type == Q3_K_L_FILE) type = SN_Q5_K;
    if ((mix->file_type == Q4_K_M_FILE || mix->file_type == Q5_K_M_FILE) && more_bits(i, m->n_v)) type = SN_Q6_K;
    if (mix->file_type == Q4_K_S_FILE && i < 4) type = SN_Q5_K;
    if (m->n_layer == 80 && m->heads_per_kv > 1 && (type == SN_Q3_K || type == SN_Q4_K)) type = SN_Q5_K; /* small beside the others */
    return m->n_expert == 8 ? SN_Q8_0 : type;
}

static sn_type down_type(const sn_mix *mix, size_t i, size_t n)
{
    switch (mix->file_type) {
    case Q2_K_FILE: return SN_Q3_K;
    case Q3_K_M_FILE: return i < n / 16 ? SN_Q5_K : SN_Q4_K;
    case Q3_K_L_FILE: return SN_Q5_K;
    case Q4_K_S_FILE: return i < n / 8 ? SN_Q5_K : SN_Q4_K;
    case Q4_K_M_FILE:
    case Q5_K_M_FILE: return more_bits(i, n) ? SN_Q6_K : mix->type;
    default: return mix->type;
    }
}

static sn_type attention_output_type(const sn_mix *mix, const model *m)
{
    const uint32_t f = mix->file_type;
    if (m->n_expert == 8)
        return f == Q2_K_FILE || f == Q3_K_S_FILE || f == Q3_K_M_FILE || f == Q4_K_S_FILE || f == Q4_K_M_FILE ? SN_Q5_K : mix->type;
    return f == Q2_K_FILE ? SN_Q3_K : f == Q3_K_M_FILE ? SN_Q4_K : f == Q3_K_L_FILE ? SN_Q5_K : mix->type;
}

/* The type of a matrix before its shape is looked at. Counts attention values and ffn_downs. */
static sn_type weight_type(const sn_mix *mix, model *m, const sn_tensor *t, size_t layer)
{
    const part p = part_of(t->name);
    const size_t n_in = t->shape[t->n_dims - 1];
    sn_type type = mix->type;
    if (sn_type_get((uint32_t)mix->type)->block == 1) return mix->type;
    if (p == OUTPUT || (p == EMBEDDING && m->tied)) {
        if (n_in % sn_type_get((uint32_t)mix->type)->block != 0) return SN_Q8_0;
        return mix->type == SN_Q8_0 ? SN_Q8_0 : SN_Q6_K;
    }
    switch (p) {
    case ATTENTION_V:
        type = value_type(mix, m);
        m->at_v++;
        break;
    case ATTENTION_K: return m->n_expert == 8 ? SN_Q8_0 : mix->type;
    case FFN_DOWN:
        type = down_type(mix, m->n_expert > 1 ? layer : m->at_down, m->n_layer);
        m->at_down++;
        break;
    case ATTENTION_OUTPUT: return attention_output_type(mix, m);
    default: break;
    }
    return type;
}

/* Integer arch.key, or `absent`; the first of a list. Nothing here depends on it being right. */
static uint32_t arch_u32(const sn_gguf *g, sn_str arch, const char *key, uint32_t absent)
{
    char name[128];
    if (arch.n == 0 || arch.n > 64) return absent;
    snprintf(name, sizeof name, "%.*s.%s", (int)arch.n, arch.p, key);
    const sn_kv *kv = sn_gguf_find(g, name);
    if (kv == NULL || kv->n == 0 || kv->type == SN_KV_STRING || (kv->type == SN_KV_ARRAY && kv->elem == SN_KV_STRING)) return absent;
    const double v = sn_kv_f64(kv, 0);
    return v >= 0 && v <= 1e6 ? (uint32_t)v : absent;
}

static sn_status read_model(model *m, const sn_gguf *g, sn_err *err)
{
    sn_str arch;
    sn_status status = sn_gguf_str_or(g, "general.architecture", &arch, err);
    if (status != SN_OK) return status;
    const uint32_t heads = arch_u32(g, arch, "attention.head_count", 0), kv = arch_u32(g, arch, "attention.head_count_kv", heads);
    *m = (model){.n_layer = arch_u32(g, arch, "block_count", 0), .n_expert = arch_u32(g, arch, "expert_count", 0), .tied = true};
    m->heads_per_kv = kv > 0 ? heads / kv : 0;
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const part p = part_of(sn_gguf_tensor_at(g, i)->name);
        if (p == ATTENTION_V) m->n_v++;
        if (p == OUTPUT) m->tied = false;
    }
    return SN_OK;
}

typedef struct {
    unsigned long layer;
    size_t tensor;
} place;

static int by_layer(const void *a, const void *b)
{
    const place *p = a, *q = b;
    if (p->layer != q->layer) return p->layer < q->layer ? -1 : 1;
    return p->tensor < q->tensor ? -1 : p->tensor > q->tensor;
}

sn_status sn_mix_types(const sn_mix *mix, const sn_gguf *g, sn_type *types, size_t *n_fallback, sn_err *err)
{
    const size_t n = sn_gguf_n_tensors(g);
    model m;
    sn_status status = read_model(&m, g, err);
    if (status != SN_OK) return status;
    place *places = sn_alloc(n, sizeof *places);
    if (places == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", sn_gguf_path(g));
    for (size_t i = 0; i < n; i++) {
        const char *blk = strstr(sn_gguf_tensor_at(g, i)->name, "blk.");
        places[i] = (place){.layer = blk != NULL ? strtoul(blk + 4, NULL, 10) : 0, .tensor = i};
    }
    qsort(places, n, sizeof *places, by_layer); /* the rules count layers, and a file may hold them in any order */
    *n_fallback = 0;
    for (size_t i = 0; i < n; i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, places[i].tensor);
        sn_type *type = &types[places[i].tensor];
        *type = t->type;
        if (!is_weight(t)) continue;
        const sn_type wanted = weight_type(mix, &m, t, places[i].layer);
        *type = fallback(wanted, t->shape[t->n_dims - 1]);
        if (*type != wanted) ++*n_fallback;
    }
    sn_free(places);
    return SN_OK;
}
