/* Folders of Hugging Face: 16 bits, the length of the index (0: there is none), the index, and model.safetensors. The length of a header is
 * put right where its upper half is not 0, so that its JSON is met. */
#include "../../core/safetensors.h"
#include "fuzz.h"

#include <stdio.h>
#include <unistd.h>

#define INDEX "model.safetensors.index.json"

static char folder[FUZZ_FOLDER], index_path[128], model_path[128];

static void remove_all(void)
{
    unlink(index_path);
    unlink(model_path);
    rmdir(folder);
}

static void put(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0) exit(1);
}

static void open_folder(void)
{
    fuzz_folder(folder);
    snprintf(index_path, sizeof index_path, "%s/" INDEX, folder);
    snprintf(model_path, sizeof model_path, "%s/model.safetensors", folder);
    atexit(remove_all);
}

static void look(const sn_safetensors *s)
{
    volatile unsigned sum = 0;
    for (size_t i = 0; i < sn_safetensors_n(s); i++) {
        const sn_safetensor *t = sn_safetensors_at(s, i);
        FUZZ_MUST(t->name != NULL && t->n_dims <= SN_SAFETENSOR_DIMS + 1 && strcmp(sn_safetensors_path(s, t), model_path) == 0);
        for (size_t k = 0; k < t->n_bytes; k++) sum = sum + t->data[k];
        for (size_t k = 0; k < i; k++) FUZZ_MUST(strcmp(sn_safetensors_at(s, k)->name, t->name) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (folder[0] == '\0') open_folder();
    if (n < 2) return 0;
    size_t n_index = data[0] | (size_t)data[1] << 8;
    if (n_index > n - 2) n_index = n - 2;
    const size_t n_model = n - 2 - n_index;
    unsigned char *model = malloc(n_model + 1);
    if (model == NULL) exit(1);
    memcpy(model, data + 2 + n_index, n_model);
    unsigned char *end = NULL; /* of the header: where what stands in its data's place is a line of zeros */
    if (n_model > 8 && model[7] != 0 && (end = memchr(model + 8, '\0', n_model - 8)) != NULL) {
        const uint64_t n_header = (uint64_t)(end - model - 8);
        memcpy(model, &n_header, sizeof n_header);
    }
    if (n_index > 0)
        put(index_path, data + 2, n_index);
    else
        unlink(index_path);
    put(model_path, model, n_model);
    sn_safetensors *s = NULL;
    sn_err err = {0};
    const sn_status st = sn_safetensors_open(&s, folder, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((st == SN_OK) == (s != NULL));
    if (st == SN_OK) look(s);
    sn_safetensors_close(s);
    free(model);
    return 0;
}
