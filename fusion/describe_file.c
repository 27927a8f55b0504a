/* describe_file.c: what is in a model file, for people and for programs. */
#include "../core/sha256.h"
#include "page_grammar.h"
#include "pair.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_STRING 200 /* bytes of a long string value that are shown */
#define DEFAULT_CTX 4096 /* positions that memory is told for, where the model has as many */
#define PROGRAM_BYTES                                                                                                                      \
    ((size_t)5 << 20)    /* resident in any run of text alone: measured. FFmpeg, where a medium needs it, takes some 28 MiB more */
#define SESSION_LOGITS 3 /* vectors of the vocabulary's size that a session holds */

static void add_string(cJSON *o, const char *name, const char *p, size_t n)
{
    char *z = malloc(n + 1);
    if (z == NULL) return;
    for (size_t i = 0; i < n; i++) z[i] = p[i] ? p[i] : ' ';
    z[n] = '\0';
    cJSON_AddStringToObject(o, name, z);
    free(z);
}

static void add_key(cJSON *o, const sn_gguf *g, const char *key, const char *name)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    if (kv == NULL) return;
    if (kv->type == SN_KV_STRING)
        add_string(o, name, kv->strings[0].p, kv->strings[0].n < SHOWN_STRING ? kv->strings[0].n : SHOWN_STRING);
    else if (kv->type == SN_KV_ARRAY)
        cJSON_AddNumberToObject(o, name, (double)kv->n);
    else
        cJSON_AddNumberToObject(o, name, sn_kv_f64(kv, 0));
}

/* The type that most bytes are of. */
static uint32_t largest(const size_t bytes[SN_TYPE_MAX])
{
    uint32_t best = 0;
    for (uint32_t id = 1; id < SN_TYPE_MAX; id++)
        if (bytes[id] > bytes[best]) best = id;
    return best;
}

/* Sizes and their share by weight type. */
static void add_weights(cJSON *o, const size_t bytes[SN_TYPE_MAX], size_t n_tensors, size_t n_values)
{
    size_t total = 0;
    for (size_t id = 0; id < SN_TYPE_MAX; id++) total += bytes[id];
    cJSON_AddNumberToObject(o, "tensors", (double)n_tensors);
    cJSON_AddNumberToObject(o, "params", (double)n_values);
    const sn_type_info *main_type = sn_type_get(largest(bytes));
    if (main_type) cJSON_AddStringToObject(o, "type", main_type->name);
    char line[256] = "";
    size_t used = 0;
    for (uint32_t id = 0; id < SN_TYPE_MAX; id++) {
        const sn_type_info *info = sn_type_get(id);
        if (bytes[id] == 0 || info == NULL || used + 32 > sizeof line) continue;
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %.1f%%", used ? ", " : "", info->name,
                                 100.0 * (double)bytes[id] / (double)total);
    }
    cJSON_AddStringToObject(o, "weights", line);
}

static void add_tensors(cJSON *o, const sn_gguf *g)
{
    size_t bytes[SN_TYPE_MAX] = {0}, values = 0;
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        if ((size_t)t->type < SN_TYPE_MAX) bytes[t->type] += t->n_bytes;
        values += t->n_values;
    }
    add_weights(o, bytes, sn_gguf_n_tensors(g), values);
}

/* "<arch>.<suffix>" under a name of its own. */
static void add_arch_key(cJSON *o, const sn_gguf *g, sn_str arch, const char *suffix, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, "%.*s.%s", (int)(arch.n < 40 ? arch.n : 40), arch.p ? arch.p : "", suffix);
    add_key(o, g, key, name);
}

/* The vocabulary of the decoder that writes pages begins with their tags. */
static bool writes_pages(const sn_gguf *g)
{
    const sn_kv *kv = sn_gguf_find(g, "tokenizer.ggml.tokens");
    if (kv == NULL || kv->type != SN_KV_ARRAY || kv->strings == NULL || kv->n != FUS_PAGE_N_TOKEN) return false;
    for (size_t i = 0; i < FUS_PAGE_N_TAG; i++)
        if (!sn_str_eq(kv->strings[i], fus_page_tags[i])) return false;
    return true;
}

static const char *kind_of(const sn_gguf *g, sn_str arch)
{
    bool image = false, audio = false;
    (void)sn_gguf_bool_or(g, "clip.has_vision_encoder", false, &image, NULL);
    (void)sn_gguf_bool_or(g, "clip.has_audio_encoder", false, &audio, NULL);
    if (sn_gguf_find(g, "adapter.type") != NULL) return "adapter";
    if (image) return "image encoder";
    if (audio) return "audio encoder";
    if (sn_str_eq(arch, "whisper")) return "speech model";
    if (writes_pages(g)) return "writer of pages";
    return sn_gguf_find(g, "tokenizer.ggml.model") ? "text model" : "unknown";
}

static void add_text(cJSON *o, const sn_gguf *g, sn_str arch)
{
    add_arch_key(o, g, arch, "context_length", "context");
    add_arch_key(o, g, arch, "block_count", "layers");
    add_arch_key(o, g, arch, "embedding_length", "embedding");
    add_arch_key(o, g, arch, "feed_forward_length", "feed_forward");
    add_arch_key(o, g, arch, "attention.head_count", "heads");
    add_arch_key(o, g, arch, "attention.head_count_kv", "kv_heads");
    add_key(o, g, "tokenizer.ggml.model", "tokenizer");
    add_key(o, g, "tokenizer.ggml.pre", "pre_tokenizer");
    add_key(o, g, "tokenizer.ggml.tokens", "vocabulary");
    const txt_chat_template *t = NULL;
    if (!sn_gguf_find(g, "tokenizer.ggml.model") || writes_pages(g)) return;
    const bool own = txt_framing_by_file(g), known = txt_chat_template_get(&t, g, NULL, NULL) == SN_OK;
    if (own || known) cJSON_AddStringToObject(o, "chat_template", own ? "the file's own" : "built in");
    if (known) cJSON_AddStringToObject(o, "built_in_template", txt_chat_template_name(t));
}

/* Of an adapter for a text model. */
static void add_adapter(cJSON *o, const sn_gguf *g)
{
    add_key(o, g, "adapter.type", "adapter");
    add_key(o, g, "adapter.lora.alpha", "alpha");
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        const char *half = strstr(t->name, ".weight.lora_b"); /* [n_out, rank] */
        if (half == NULL || t->n_dims > 2) continue;
        cJSON_AddNumberToObject(o, "rank", (double)t->shape[t->n_dims - 1]);
        return;
    }
}

static void add_encoder(cJSON *o, const sn_gguf *g)
{
    add_key(o, g, "clip.projector_type", "adapter");
    add_key(o, g, "clip.vision.projector_type", "adapter");
    add_key(o, g, "clip.vision.image_size", "image_size");
    add_key(o, g, "clip.vision.patch_size", "patch_size");
    add_key(o, g, "clip.vision.embedding_length", "embedding");
    add_key(o, g, "clip.vision.block_count", "layers");
    add_key(o, g, "clip.audio.num_mel_bins", "mel_bins");
    add_key(o, g, "clip.audio.embedding_length", "embedding");
    add_key(o, g, "clip.audio.block_count", "layers");
}

/* ---- what it goes with, and what it takes ---- */

typedef struct { /* "a, b, c" */
    char text[512];
    size_t n;
} list;

static void list_add(list *l, const char *word)
{
    const int n = snprintf(l->text + l->n, sizeof l->text - l->n, "%s%s", l->n ? ", " : "", word);
    if (n > 0 && (size_t)n < sizeof l->text - l->n) l->n += (size_t)n;
    l->text[l->n] = '\0';
}

/* Families of encoders that nothing in the decoder speaks against. */
static void add_encoders(cJSON *o, const txt_model *m, senses_medium_kind kind, const char *key)
{
    const txt_hparams *hp = txt_model_hparams(m);
    fus_decoder d = {.arch = {hp->arch, strlen(hp->arch)}, .vocab = txt_model_vocab(m)};
    const sn_pairing *p;
    const char *family;
    fus_reason why;
    list l = {.n = 0};
    fus_plain_name(d.name, txt_model_gguf(m));
    for (size_t i = 0; (family = fus_family_at(kind, i, &p)) != NULL; i++)
        if (fus_fits(kind, family, "", &d, &why)) list_add(&l, family);
    cJSON_AddStringToObject(o, key, l.n ? l.text : "none");
}

/* Of the strings that a file lists under `key`: in the map, and the list of them. */
static size_t strings_bytes(const sn_gguf *g, const char *key)
{
    const sn_kv *kv = sn_gguf_find(g, key);
    size_t n = 0;
    if (kv == NULL || kv->type != SN_KV_ARRAY || kv->strings == NULL) return 0;
    for (size_t i = 0; i < kv->n; i++) n += sizeof(uint64_t) + kv->strings[i].n + sizeof kv->strings[i];
    return n;
}

/* Bytes of a run that fills a context of n_ctx. */
static void add_memory(cJSON *o, const txt_model *m, size_t n_ctx)
{
    const txt_hparams *hp = txt_model_hparams(m);
    if (n_ctx == 0) n_ctx = hp->n_ctx_train < DEFAULT_CTX ? hp->n_ctx_train : DEFAULT_CTX;
    const size_t session = txt_session_bytes(m, n_ctx, SN_F16);
    if (session == SIZE_MAX) return;
    const size_t weights = txt_model_bytes(m) + txt_model_mapped_bytes(m);
    const size_t cache = 2 * sizeof(uint16_t) * hp->n_layer * hp->n_head_kv * hp->d_head * n_ctx;
    const size_t work = session - cache + SESSION_LOGITS * sizeof(float) * hp->n_vocab;
    cJSON_AddNumberToObject(o, "memory_context", (double)n_ctx);
    cJSON_AddNumberToObject(o, "memory_weights", (double)weights);
    cJSON_AddNumberToObject(o, "memory_cache", (double)cache);
    const sn_gguf *g = txt_model_gguf(m);
    const size_t program = PROGRAM_BYTES + txt_vocab_bytes(txt_model_vocab(m)) + strings_bytes(g, "tokenizer.ggml.tokens") +
                           strings_bytes(g, "tokenizer.ggml.merges");
    cJSON_AddNumberToObject(o, "memory_work", (double)work);
    cJSON_AddNumberToObject(o, "memory_program", (double)program);
    cJSON_AddNumberToObject(o, "memory", (double)(weights + cache + work + program));
}

/* A file that cannot be run is described all the same. */
static void add_text_fit(cJSON *o, const char *path, const senses_describe_params *p)
{
    txt_model *m = NULL;
    if (txt_model_plan(&m, path, p->engine->compute, NULL) != SN_OK) return;
    add_encoders(o, m, SENSES_IMAGE, "image_encoders");
    add_encoders(o, m, SENSES_AUDIO, "audio_encoders");
    add_memory(o, m, p->n_ctx);
    txt_model_close(m);
}

/* Architectures of decoders that the family may have been trained with. */
static void add_decoders(cJSON *o, senses_medium_kind kind, const char *family)
{
    const sn_pairing *of = NULL, *p;
    const char *name, *arch;
    list archs = {.n = 0}, tokens = {.n = 0};
    for (size_t i = 0; (name = fus_family_at(kind, i, &p)) != NULL; i++)
        if (strcmp(name, family) == 0) of = p;
    if (of == NULL) return;
    for (size_t i = 0; (arch = txt_arch_at(i)) != NULL; i++)
        if (fus_arch_fits(kind, of, arch)) list_add(&archs, arch);
    for (size_t i = 0; i < sizeof of->tokens / sizeof *of->tokens; i++)
        if (of->tokens[i]) list_add(&tokens, of->tokens[i]);
    cJSON_AddStringToObject(o, "decoders", archs.text);
    if (tokens.n) cJSON_AddStringToObject(o, "decoders_with_tokens", tokens.text);
}

static void add_encoder_fit(cJSON *o, const char *path, const senses_describe_params *p)
{
    senses_encoder *c = NULL;
    if (senses_encoder_open(&c, p->engine, path, NULL) != SN_OK) return;
    const size_t bytes = c->vision ? vis_model_bytes(c->vision) : aud_model_bytes(c->audio);
    cJSON_AddStringToObject(o, "family", senses_encoder_family(c));
    cJSON_AddNumberToObject(o, "row_width", (double)senses_encoder_n_embd(c));
    add_decoders(o, senses_encoder_kind(c), senses_encoder_family(c));
    cJSON_AddNumberToObject(o, "memory_weights", (double)(bytes - c->state.bytes));
    senses_encoder_close(c);
}

static sn_status describe_gguf(cJSON *o, const char *path, const senses_describe_params *p, sn_err *err)
{
    sn_gguf *g = NULL;
    sn_status st = sn_gguf_open(&g, path, err);
    if (st != SN_OK) return st;
    sn_str arch = {0};
    (void)sn_gguf_str_or(g, "general.architecture", &arch, NULL);
    cJSON_AddStringToObject(o, "kind", kind_of(g, arch));
    cJSON_AddStringToObject(o, "format", sn_gguf_version(g) == 2 ? "GGUF v2" : "GGUF v3");
    cJSON_AddNumberToObject(o, "bytes", (double)sn_gguf_bytes(g));
    add_key(o, g, "general.architecture", "architecture");
    add_key(o, g, "general.name", "name");
    add_key(o, g, "general.license", "licence");
    add_tensors(o, g);
    add_text(o, g, arch);
    add_adapter(o, g);
    add_encoder(o, g);
    if (p->engine && sn_str_eq(arch, "clip"))
        add_encoder_fit(o, path, p);
    else if (p->engine && sn_gguf_find(g, "tokenizer.ggml.model"))
        add_text_fit(o, path, p);
    sn_gguf_close(g);
    return SN_OK;
}

static sn_status describe(cJSON *o, const char *path, const senses_describe_params *p, sn_err *err)
{
    aud_whisper_facts f;
    bool is_bin = false;
    sn_status st = aud_whisper_bin_facts(&f, &is_bin, path, err);
    if (st != SN_OK) return st;
    if (!is_bin) return describe_gguf(o, path, p, err);
    cJSON_AddStringToObject(o, "kind", "speech model");
    cJSON_AddStringToObject(o, "format", "whisper.cpp ggml");
    cJSON_AddNumberToObject(o, "bytes", (double)f.n_bytes);
    cJSON_AddStringToObject(o, "architecture", "whisper");
    add_weights(o, f.type_bytes, f.n_tensors, f.n_values);
    cJSON_AddNumberToObject(o, "layers", (double)(f.n_audio_layer + f.n_text_layer));
    cJSON_AddNumberToObject(o, "embedding", (double)f.n_embd);
    cJSON_AddNumberToObject(o, "mel_bins", (double)f.n_mel);
    cJSON_AddNumberToObject(o, "vocabulary", (double)f.n_vocab);
    return SN_OK;
}

/* "key: value" lines. */
static char *as_lines(const cJSON *o)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (f == NULL) return NULL;
    for (const cJSON *v = o->child; v; v = v->next) {
        if (cJSON_IsString(v))
            fprintf(f, "%s: %s\n", v->string, v->valuestring);
        else if (fabs(v->valuedouble) < 0x1p63 && v->valuedouble == trunc(v->valuedouble))
            fprintf(f, "%s: %" PRId64 "\n", v->string, (int64_t)v->valuedouble);
        else
            fprintf(f, "%s: %g\n", v->string, v->valuedouble);
    }
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

senses_status senses_describe_file(const char *path, const senses_describe_params *p, char **text, senses_error *err)
{
    cJSON *o = cJSON_CreateObject();
    sn_status st = o ? SN_OK : sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    if (st == SN_OK) st = describe(o, path, p, err);
    char sha256[65];
    if (st == SN_OK) st = sn_sha256_file(path, sha256, err);
    if (st == SN_OK) cJSON_AddStringToObject(o, "sha256", sha256);
    if (st == SN_OK) add_string(o, "file", path, strlen(path));
    char *made = NULL;
    if (st == SN_OK) {
        char *z = p->json ? cJSON_PrintUnformatted(o) : as_lines(o);
        made = z ? strdup(z) : NULL;
        if (made == NULL) st = sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
        if (p->json)
            cJSON_free(z);
        else
            free(z);
    }
    cJSON_Delete(o);
    if (st == SN_OK) *text = made;
    return st;
}
