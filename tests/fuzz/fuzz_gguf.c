/* GGUF files byte by byte: the reader, what it lets others read, and the description of a file. */
#include "fuzz.h"

static void look(const sn_gguf *g)
{
    volatile double sum = 0;
    for (size_t i = 0; i < sn_gguf_n_kv(g); i++) {
        const sn_kv *kv = sn_gguf_kv_at(g, i);
        for (size_t k = 0; k < kv->n; k++)
            if (kv->strings != NULL)
                sum = sum + (double)kv->strings[k].n + (kv->strings[k].n ? kv->strings[k].p[kv->strings[k].n - 1] : 0);
            else
                sum = sum + sn_kv_f64(kv, k) + (double)sn_kv_i64(kv, k);
    }
    for (size_t i = 0; i < sn_gguf_n_tensors(g); i++) {
        const sn_tensor *t = sn_gguf_tensor_at(g, i);
        const unsigned char *p = t->data;
        FUZZ_MUST(sn_gguf_tensor(g, t->name) == t);
        sum = sum + p[0] + p[t->n_bytes - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *path = fuzz_file(0, data, n);
    sn_gguf *g = NULL;
    sn_err err = {0};
    const sn_status st = sn_gguf_open(&g, path, &err);
    fuzz_said(st, &err);
    if (st == SN_OK) look(g);
    sn_gguf_close(g);
    for (int json = 0; json < 2; json++) {
        char *text = NULL;
        const sn_status told = senses_describe_file(path, &(senses_describe_params){.json = json}, &text, &err);
        fuzz_said(told, &err);
        FUZZ_MUST((told == SN_OK) == (text != NULL));
        if (text != NULL) FUZZ_MUST(json == 0 || strchr(text, '\n') == NULL || strchr(text, '\n')[1] == '\0');
        free(text);
    }
    return 0;
}
