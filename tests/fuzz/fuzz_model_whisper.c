/* Speech recognisers, GGUF and whisper.cpp's .bin, with a few things changed: opening, and where that succeeds, the vocabulary. */
#include "../../audio/whisper.h"
#include "../whisper_bin.h"
#include "fuzz.h"

#include <stdio.h>
#include <unistd.h>

static fuzz_base bases[2];

static void make_bases(void)
{
    static char paths[2][64];
    sn_err err = {0};
    for (size_t i = 0; i < 2; i++) {
        snprintf(paths[i], sizeof paths[i], "/tmp/fuzz-whisper-%d-%zu", (int)getpid(), i);
        bases[i].path = paths[i];
    }
    if (aud_convert_ct2("tests/golden/audio/whisper_tiny_f16", paths[0], &err) != SN_OK || !whisper_bin_write(paths[1])) {
        fprintf(stderr, "no models to change: %s\n", err.msg);
        exit(1);
    }
    for (uint8_t i = 0; i < 2; i++) { /* now they are in memory */
        size_t n;
        free(fuzz_changed(bases, 2, &i, 1, &n));
        unlink(paths[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t n_file;
    if (bases[0].path == NULL) make_bases();
    unsigned char *file = fuzz_changed(bases, 2, data, n, &n_file);
    if (file == NULL) return 0;
    const char *path = fuzz_file(0, file, n_file);
    aud_whisper *w = NULL;
    aud_whisper_facts facts;
    bool is_bin;
    sn_err err = {0};
    fuzz_said(aud_whisper_bin_facts(&facts, &is_bin, path, &err), &err);
    const sn_status st = aud_whisper_open(&w, path, fuzz_compute(), &err);
    fuzz_said(st, &err);
    aud_whisper_close(w);
    free(file);
    return 0;
}
