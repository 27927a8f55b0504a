/* CTranslate2 folders: the vocabulary and the configuration, JSON of any content, and a model.bin with some bytes changed. The input: two
 * lengths of 16 bits, vocabulary.json, config.json, then changes of model.bin: a place of 24 bits and a byte. Empty parts are as they were. */
#include "../../audio/audio.h"
#include "fuzz.h"

#include <stdio.h>
#include <unistd.h>

#define GOLDEN "tests/golden/audio/whisper_tiny_int8/"
typedef struct {
    const char *name;
    unsigned char *data;
    size_t n;
    char path[128];
} part;
static part parts[] = {{.name = "vocabulary.json"}, {.name = "config.json"}, {.name = "model.bin"}};
static char folder[FUZZ_FOLDER], out[128];

static void remove_all(void)
{
    for (size_t i = 0; i < 3; i++) unlink(parts[i].path);
    unlink(out);
    rmdir(folder);
}

static void put(const part *p, const void *data, size_t n)
{
    FILE *f = fopen(p->path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0) exit(1);
}

static void read_parts(void)
{
    fuzz_folder(folder);
    atexit(remove_all);
    snprintf(out, sizeof out, "%s/out.gguf", folder);
    for (size_t i = 0; i < 3; i++) {
        char from[128];
        snprintf(from, sizeof from, GOLDEN "%s", parts[i].name);
        snprintf(parts[i].path, sizeof parts[i].path, "%s/%s", folder, parts[i].name);
        FILE *f = fopen(from, "rb");
        parts[i].data = malloc(1 << 20);
        if (f == NULL || (parts[i].n = fread(parts[i].data, 1, 1 << 20, f)) == 0) exit(1);
        fclose(f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static unsigned char model[1 << 20];
    sn_err err = {0};
    if (parts[0].data == NULL) read_parts();
    if (n < 4) return 0;
    size_t at = 4;
    for (size_t i = 0; i < 2; i++) {
        size_t len = data[2 * i] | data[2 * i + 1] << 8;
        if (len > n - at) len = n - at;
        put(&parts[i], len ? data + at : parts[i].data, len ? len : parts[i].n);
        at += len;
    }
    memcpy(model, parts[2].data, parts[2].n);
    for (; at + 4 <= n; at += 4) model[(data[at] | data[at + 1] << 8 | (size_t)(data[at + 2] & 3) << 16) % parts[2].n] = data[at + 3];
    put(&parts[2], model, parts[2].n);
    const sn_status st = aud_convert_ct2(folder, out, &err);
    fuzz_said(st, &err);
    FUZZ_MUST((access(out, F_OK) == 0) == (st == SN_OK));
    unlink(out);
    return 0;
}
