/* whisper_keys.c: what folders of every kind have to say of a Whisper, as the keys of docs/formats.md. */
#include "../core/json.h"
#include "whisper.h"

#include <string.h>

void aud_whisper_set_keys(sn_gguf_writer *w, const aud_whisper_words *v, const aud_whisper_hparams *hp)
{
    sn_gguf_set_u32(w, "whisper.encoder.context_length", AUD_N_AUDIO_CTX);
    sn_gguf_set_u32(w, "whisper.encoder.embedding_length", (uint32_t)hp->n_embd);
    sn_gguf_set_u32(w, "whisper.encoder.block_count", (uint32_t)hp->n_audio_layer);
    sn_gguf_set_u32(w, "whisper.encoder.mels_count", (uint32_t)hp->n_mel);
    sn_gguf_set_u32(w, "whisper.encoder.attention.head_count", (uint32_t)hp->n_audio_head);
    sn_gguf_set_u32(w, "whisper.decoder.context_length", (uint32_t)hp->n_text_ctx);
    sn_gguf_set_u32(w, "whisper.decoder.embedding_length", (uint32_t)hp->n_embd);
    sn_gguf_set_u32(w, "whisper.decoder.block_count", (uint32_t)hp->n_text_layer);
    sn_gguf_set_u32(w, "whisper.decoder.attention.head_count", (uint32_t)hp->n_text_head);
    sn_gguf_set_bool(w, "whisper.multilingual", hp->multilingual);
    if (v->n_heads > 0) sn_gguf_set_array(w, "whisper.alignment_heads", SN_KV_I32, v->heads, 2 * v->n_heads);
    sn_gguf_set_str(w, "tokenizer.ggml.model", "gpt2", 4);
    sn_gguf_set_str(w, "tokenizer.ggml.pre", "gpt-2", 5);
    sn_gguf_set_strs(w, "tokenizer.ggml.tokens", v->words, v->n);
    sn_gguf_set_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)v->eot);
}

sn_status aud_whisper_find_eot(const sn_str *words, size_t n, size_t *eot, sn_err *err)
{
    for (*eot = 0; *eot < n && !sn_str_eq(words[*eot], "<|endoftext|>");) ++*eot;
    aud_special s;
    sn_status st = aud_special_init(&s, n, *eot, err);
    if (st != SN_OK) return st;
    const struct {
        int32_t id;
        const char *word;
    } known[] = {{s.sot, "<|startoftranscript|>"}, {s.transcribe, "<|transcribe|>"}, {s.no_timestamps, "<|notimestamps|>"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!sn_str_eq(words[known[i].id], known[i].word))
            return sn_fail(err, SN_EFORMAT, "the vocabulary has no %s at %d", known[i].word, (int)known[i].id);
    return SN_OK;
}

sn_status aud_whisper_read_heads(int32_t heads[2 * AUD_MAX_HEADS], size_t *n_heads, const char *dir, const char *name,
                                 const aud_whisper_hparams *hp, sn_err *err)
{
    cJSON *root = NULL;
    *n_heads = 0;
    sn_status st = sn_json_open_in(&root, dir, name, err);
    if (st != SN_OK) return st;
    const cJSON *pair;
    cJSON_ArrayForEach(pair, sn_json_get(root, "alignment_heads"))
    {
        const cJSON *layer = cJSON_GetArrayItem(pair, 0), *head = cJSON_GetArrayItem(pair, 1);
        const bool fits = cJSON_IsNumber(layer) && cJSON_IsNumber(head) && layer->valuedouble >= 0 && head->valuedouble >= 0 &&
                          layer->valuedouble < (double)hp->n_text_layer && head->valuedouble < (double)hp->n_text_head;
        if (!fits || *n_heads == AUD_MAX_HEADS) {
            st = sn_fail(err, SN_EFORMAT, "%s/%s: alignment_heads is not a list of (layer, head) of this model", dir, name);
            break;
        }
        heads[2 * *n_heads] = layer->valueint;
        heads[2 * *n_heads + 1] = head->valueint;
        ++*n_heads;
    }
    cJSON_Delete(root);
    return st;
}
