/* text.c: the text decoder as a public handle, and tokenization. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

senses_status senses_text_open(senses_text **out, senses_engine *e, const char *path, senses_error *err)
{
    senses_text *t = calloc(1, sizeof *t);
    if (t == NULL) return sn_fail(err, SN_ENOMEM, "%s: out of memory", path);
    t->engine = e;
    pthread_mutex_init(&t->lock, NULL);
    sn_status st = fus_copy_path(&t->path, path, err);
    if (st == SN_OK) st = txt_model_open(&t->model, path, e->compute, err);
    if (st != SN_OK) {
        senses_text_close(t);
        return st;
    }
    *out = t;
    return SN_OK;
}

senses_status senses_text_adapt(senses_text *t, const char *path, float scale, senses_error *err)
{
    return txt_model_adapt(t->model, path, scale, err);
}

void senses_text_close(senses_text *t)
{
    if (t == NULL) return;
    txt_trie_close(t->trie);
    pthread_mutex_destroy(&t->lock);
    txt_model_close(t->model);
    free(t->path);
    free(t);
}

sn_status fus_text_trie(senses_text *t, const txt_trie **out, sn_err *err)
{
    pthread_mutex_lock(&t->lock);
    sn_status st = t->trie ? SN_OK : txt_trie_open(&t->trie, txt_model_vocab(t->model), err);
    *out = t->trie;
    pthread_mutex_unlock(&t->lock);
    return st;
}

senses_status senses_grammar_from_schema(const char *json, char **gbnf, senses_error *err)
{
    return txt_grammar_from_schema(json, strlen(json), gbnf, err);
}

senses_status senses_grammar_from_fields(const char *fields, char **gbnf, senses_error *err)
{
    char *json = NULL;
    sn_status st = txt_schema_from_fields(fields, &json, err);
    if (st == SN_OK) st = txt_grammar_from_schema(json, strlen(json), gbnf, err);
    free(json);
    return st;
}

const char *senses_text_path(const senses_text *t)
{
    return t->path;
}

size_t senses_text_n_embd(const senses_text *t)
{
    return txt_model_hparams(t->model)->n_embd;
}

size_t senses_text_n_vocab(const senses_text *t)
{
    return txt_model_hparams(t->model)->n_vocab;
}

size_t senses_text_n_ctx_train(const senses_text *t)
{
    return txt_model_hparams(t->model)->n_ctx_train;
}

senses_status senses_tokenize(const senses_text *t, const char *text, size_t n, bool special, int32_t **ids, size_t *n_ids,
                              senses_error *err)
{
    txt_ids list = {0};
    unsigned flags = special ? TXT_PARSE_SPECIAL | TXT_ADD_BOS_EOS : TXT_PLAIN;
    sn_status st = txt_tokenize(txt_model_vocab(t->model), text, n, flags, &list, err);
    int32_t *copy = NULL;
    if (st == SN_OK && (copy = malloc((list.n + 1) * sizeof *copy)) == NULL) st = sn_fail(err, SN_ENOMEM, "out of memory");
    if (st == SN_OK) {
        if (list.n) memcpy(copy, list.ids, list.n * sizeof *copy);
        *ids = copy;
        *n_ids = list.n;
    }
    txt_ids_free(&list);
    return st;
}

size_t senses_token_text(const senses_text *t, int32_t id, char *buf, size_t cap)
{
    return txt_piece(txt_model_vocab(t->model), id, true, buf, cap);
}
