/* Sounds: the check of every container, and ten seconds of what the decoders make of it, mixed and resampled. */
#include "../../audio/audio.h"
#include "fuzz.h"

#include <math.h>

enum { BLOCK = 4096, MOST = 160000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static float block[BLOCK];
    aud_source *s = NULL;
    sn_err err = {0};
    sn_status st = aud_source_open(&s, fuzz_file(0, data, n), &(aud_open_params){.no_sandbox = true, .accept_truncated = n & 1}, &err);
    fuzz_said(st, &err);
    size_t got = 1;
    for (size_t all = 0; st == SN_OK && got > 0 && all < MOST; all += got) {
        st = aud_source_read(s, block, BLOCK, &got, &err);
        fuzz_said(st, &err);
        if (st != SN_OK) break;
        FUZZ_MUST(got <= BLOCK);
        for (size_t i = 0; i < got; i++) FUZZ_MUST(isfinite(block[i]));
    }
    aud_source_close(s);
    return 0;
}
