/* The walk through a sound file's own structure, without decoding: fast, so that it sees many more files. */
#include "../../audio/sound.h"
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    aud_file f = {.fd = open(fuzz_file(0, data, n), O_RDONLY | O_CLOEXEC), .size = n};
    unsigned char head[64];
    sn_err err = {0};
    fuzz_said(aud_check_whole(&f, &err), &err);
    FUZZ_MUST(f.patch_n <= sizeof f.patch);
    FUZZ_MUST(aud_file_read(&f, 0, head, sizeof head) == (n < sizeof head ? n : sizeof head));
    close(f.fd);
    return 0;
}
