/* whisper_bin.h: a small Whisper of random weights as whisper.cpp's ggml-*.bin, for tests; the same tensors for a GGUF. */
#ifndef TESTS_WHISPER_BIN_H
#define TESTS_WHISPER_BIN_H

#include "../core/gguf.h"

enum { WHISPER_BIN_D = 8, WHISPER_BIN_VOCAB = 51864, WHISPER_BIN_EOT = 50256, WHISPER_BIN_TEXT_CTX = 16 };

typedef struct {
    unsigned char *p;
    size_t n, cap;
    sn_gguf_writer *gguf; /* where not NULL, tensors are declared, or (data) written there instead */
    bool data;
    uint32_t seed;
    size_t n_tensors;
} whisper_maker;

/* A whole ggml-*.bin in m.p, to be freed; *at_words and *at_tensors are where its parts begin. */
whisper_maker whisper_bin_make(size_t *at_words, size_t *at_tensors);
void whisper_put_tensor(whisper_maker *m, const char *name, sn_type type, size_t rows, size_t cols, size_t taps);
void whisper_put_tensors(whisper_maker *m);
void whisper_bin_word(size_t i, char *w); /* of a vocabulary: 256 bytes, then letters; w has room for 16 */
/* The file at path; false where it cannot be written. */
bool whisper_bin_write(const char *path);

#endif
