/* convert_whisper.c: a Hugging Face Whisper folder as a Whisper GGUF (docs/formats.md). */
#include "../core/convert.h"

#include "../core/mem.h"
#include "whisper.h"

#include <stdio.h>
#include <string.h>

#define STAMP_ROOM 16 /* of "<|30.00|>" */

typedef enum { X_END, X_TAPS, X_MEL, X_EMBD, X_FF, X_FF_TEXT, X_PLACES, X_PLACES_TEXT, X_VOCAB, N_EXTENTS } extent;

typedef struct {
    sn_convert core;
    sn_config config;
    aud_whisper_hparams hp;
    size_t extents[N_EXTENTS];
    cJSON *tokenizer, *vocab, *added; /* tokenizer.json; vocab.json and added_tokens.json where there is none */
    sn_str *words;                    /* [n_vocab], in the JSON or in `stamps` */
    char *stamps;                     /* [n_vocab, STAMP_ROOM]: names that the folder leaves out */
    size_t eot, n_heads;
    int32_t heads[2 * AUD_MAX_HEADS];
} conversion;

/* clang-format off */
#define VECTOR(from, to, n) {from, to, {n}, SN_EDIT_NONE, SN_AS_F32, false}
#define WEIGHT(from, to, rows, cols) {from ".weight", to ".weight", {rows, cols}, SN_EDIT_NONE, SN_AS_MATRIX, false}
#define LINEAR(from, to, rows, cols) WEIGHT(from, to, rows, cols), VECTOR(from ".bias", to ".bias", rows)
#define NORM(from, to) VECTOR(from ".weight", to ".weight", X_EMBD), VECTOR(from ".bias", to ".bias", X_EMBD)
#define CONV(name, in) \
    {"encoder." name ".weight", "encoder." name ".weight", {X_EMBD, in, X_TAPS}, SN_EDIT_NONE, SN_AS_MATRIX, false}, \
    VECTOR("encoder." name ".bias", "encoder." name ".bias", X_EMBD)
#define PLACES(side, n) \
    {side ".embed_positions.weight", side ".positional_embedding", {n, X_EMBD}, SN_EDIT_NONE, SN_AS_F32, false}
#define ATTENTION(from, to) \
    LINEAR(from ".q_proj", to ".query", X_EMBD, X_EMBD), WEIGHT(from ".k_proj", to ".key", X_EMBD, X_EMBD), \
    LINEAR(from ".v_proj", to ".value", X_EMBD, X_EMBD), LINEAR(from ".out_proj", to ".out", X_EMBD, X_EMBD)
#define BLOCK(ff) \
    NORM("self_attn_layer_norm", "attn_ln"), ATTENTION("self_attn", "attn"), NORM("final_layer_norm", "mlp_ln"), \
    LINEAR("fc1", "mlp.0", ff, X_EMBD), LINEAR("fc2", "mlp.2", X_EMBD, ff)

static const sn_convert_row whole[] = {
    CONV("conv1", X_MEL), CONV("conv2", X_EMBD), PLACES("encoder", X_PLACES), NORM("encoder.layer_norm", "encoder.ln_post"),
    WEIGHT("decoder.embed_tokens", "decoder.token_embedding", X_VOCAB, X_EMBD), PLACES("decoder", X_PLACES_TEXT),
    NORM("decoder.layer_norm", "decoder.ln"), {0}};
static const sn_convert_row encoder_block[] = {BLOCK(X_FF), {0}};
static const sn_convert_row decoder_block[] = {
    BLOCK(X_FF_TEXT), NORM("encoder_attn_layer_norm", "cross_attn_ln"), ATTENTION("encoder_attn", "cross_attn"), {0}};
/* clang-format on */

/* proj_out is the token embedding once more. */
static const sn_convert_names names = {"encoder. decoder.", NULL, NULL};

/* ---- configuration ---- */

static sn_status read_shape(conversion *k, sn_err *err)
{
    sn_config *c = &k->config;
    const size_t places = sn_config_count(c, "max_source_positions", AUD_N_AUDIO_CTX, 1u << 20);
    aud_whisper_hparams *hp = &k->hp;
    *hp = (aud_whisper_hparams){.n_vocab = sn_config_count(c, "vocab_size", 51865, 1u << 24),
                                .n_mel = sn_config_count(c, "num_mel_bins", 80, 1024),
                                .n_embd = sn_config_count(c, "d_model", 384, 1u << 20),
                                .n_audio_head = sn_config_count(c, "encoder_attention_heads", 6, 4096),
                                .n_audio_layer = sn_config_count(c, "encoder_layers", 4, 512),
                                .n_text_ctx = sn_config_count(c, "max_target_positions", 448, 1u << 20),
                                .n_text_head = sn_config_count(c, "decoder_attention_heads", 6, 4096),
                                .n_text_layer = sn_config_count(c, "decoder_layers", 4, 512)};
    hp->multilingual = hp->n_vocab >= 51865;
    const size_t extents[N_EXTENTS] = {[X_TAPS] = 3,
                                       [X_MEL] = hp->n_mel,
                                       [X_EMBD] = hp->n_embd,
                                       [X_FF] = sn_config_count(c, "encoder_ffn_dim", 1536, 1u << 20),
                                       [X_FF_TEXT] = sn_config_count(c, "decoder_ffn_dim", 1536, 1u << 20),
                                       [X_PLACES] = places,
                                       [X_PLACES_TEXT] = hp->n_text_ctx,
                                       [X_VOCAB] = hp->n_vocab};
    memcpy(k->extents, extents, sizeof extents);
    if (c->status != SN_OK) return c->status;
    if (sn_config_get(c, "quantization_config") != NULL)
        return sn_config_fail(c, SN_EUNSUPPORTED, "its weights are quantised already; convert the original");
    if (cJSON_IsFalse(sn_config_get(c, "tie_word_embeddings")))
        return sn_config_fail(c, SN_EUNSUPPORTED, "the output is not the token embedding");
    const sn_status st = aud_whisper_hparams_check(hp, places, err);
    if (st != SN_OK) sn_wrap(err, "%s", k->core.config_path);
    return st;
}

/* ---- vocabulary ---- */

static void set_word(conversion *k, const cJSON *id, const char *text)
{
    if (text != NULL && cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble < (double)k->hp.n_vocab)
        k->words[(size_t)id->valuedouble] = (sn_str){text, strlen(text)};
}

static sn_status open_words(conversion *k, sn_err *err)
{
    const cJSON *w;
    sn_status st = sn_json_open_in(&k->tokenizer, k->core.dir, "tokenizer.json", err);
    if (st == SN_OK && k->tokenizer == NULL) {
        st = sn_json_open_in(&k->vocab, k->core.dir, "vocab.json", err);
        if (st == SN_OK) st = sn_json_open_in(&k->added, k->core.dir, "added_tokens.json", err);
    }
    if (st != SN_OK) return st;
    if (k->tokenizer == NULL && k->vocab == NULL)
        return sn_fail(err, SN_EFORMAT, "%s: has neither tokenizer.json nor vocab.json", k->core.dir);
    const cJSON *maps[] = {sn_json_get(sn_json_get(k->tokenizer, "model"), "vocab"), k->vocab, k->added};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
        cJSON_ArrayForEach(w, sn_json_object(maps[i]))
        {
            set_word(k, w, w->string);
        }
    }
    cJSON_ArrayForEach(w, sn_json_get(k->tokenizer, "added_tokens"))
    {
        set_word(k, sn_json_get(w, "id"), sn_json_str(sn_json_get(w, "content")));
    }
    return SN_OK;
}

/* Older folders do not list the timestamps: they are the last, 20 ms apart. */
static sn_status read_words(conversion *k, sn_err *err)
{
    const size_t n = k->hp.n_vocab;
    k->words = sn_calloc(n, sizeof *k->words);
    k->stamps = sn_calloc(n, STAMP_ROOM);
    if (k->words == NULL || k->stamps == NULL) return sn_fail(err, SN_ENOMEM, "%s: no memory for %zu words", k->core.dir, n);
    sn_status st = open_words(k, err);
    for (size_t i = 0; i < n && st == SN_OK; i++) {
        char *stamp = k->stamps + i * STAMP_ROOM;
        if (k->words[i].p != NULL) continue;
        if (n < AUD_N_TIMESTAMPS || i < n - AUD_N_TIMESTAMPS) {
            st = sn_fail(err, SN_EFORMAT, "%s: the vocabulary has no word %zu", k->core.dir, i);
            continue;
        }
        snprintf(stamp, STAMP_ROOM, "<|%.2f|>", 0.02 * (double)(i - (n - AUD_N_TIMESTAMPS)));
        k->words[i] = (sn_str){stamp, strlen(stamp)};
    }
    if (st == SN_OK && (st = aud_whisper_find_eot(k->words, n, &k->eot, err)) != SN_OK) sn_wrap(err, "%s", k->core.dir);
    return st;
}

/* ---- the file ---- */

static sn_status plan_side(conversion *k, const char *side, size_t n_layer, const sn_convert_row *block)
{
    char from[48], to[48];
    sn_status st = SN_OK;
    for (size_t il = 0; il < n_layer && st == SN_OK; il++) {
        snprintf(from, sizeof from, "%s.layers.%zu.", side, il);
        snprintf(to, sizeof to, "%s.blocks.%zu.", side, il);
        st = sn_convert_rows(&k->core, block, k->extents, from, to);
    }
    return st;
}

static sn_status plan(conversion *k)
{
    sn_status st = sn_convert_rows(&k->core, whole, k->extents, "", "");
    if (st == SN_OK) st = plan_side(k, "encoder", k->hp.n_audio_layer, encoder_block);
    if (st == SN_OK) st = plan_side(k, "decoder", k->hp.n_text_layer, decoder_block);
    return st == SN_OK ? sn_convert_all_taken(&k->core, "a Whisper model") : st;
}

static sn_status write_keys(void *user, sn_gguf_writer *w, sn_err *err)
{
    const conversion *k = user;
    (void)err;
    aud_whisper_set_keys(w, &(aud_whisper_words){k->words, k->hp.n_vocab, k->eot, k->heads, k->n_heads}, &k->hp);
    return SN_OK;
}

static sn_status opens(const char *path, sn_compute *c, sn_err *err)
{
    aud_whisper *m = NULL;
    const sn_status st = aud_whisper_open(&m, path, c, err);
    aud_whisper_close(m);
    return st;
}

static sn_status is_whisper(const char *path, sn_err *err)
{
    return sn_convert_opens(path, opens, err);
}

sn_status aud_convert_whisper(const char *dir, const char *out_path, const sn_convert_params *params, sn_err *err)
{
    conversion k = {0};
    sn_status st = sn_convert_config(&k.core, dir, params, err);
    k.config = (sn_config){.path = k.core.config_path, .root = k.core.json, .err = err};
    if (st == SN_OK) st = read_shape(&k, err);
    if (st == SN_OK) st = sn_convert_weights(&k.core, sn_convert_name_of, &names);
    if (st == SN_OK) st = plan(&k);
    if (st == SN_OK) st = read_words(&k, err);
    if (st == SN_OK) st = aud_whisper_read_heads(k.heads, &k.n_heads, dir, "generation_config.json", &k.hp, err);
    k.core.check = is_whisper;
    if (st == SN_OK) st = sn_convert_write(&k.core, out_path, "whisper", "model", write_keys, &k);
    sn_free(k.words);
    sn_free(k.stamps);
    cJSON_Delete(k.tokenizer);
    cJSON_Delete(k.vocab);
    cJSON_Delete(k.added);
    sn_convert_close(&k.core);
    return st;
}
