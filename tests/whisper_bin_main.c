/* whisper_bin_main: writes the small ggml-*.bin of whisper_bin.c to the file that is named, for tests/robust. */
#include "whisper_bin.h"

int main(int argc, char **argv)
{
    return argc == 2 && whisper_bin_write(argv[1]) ? 0 : 1;
}
