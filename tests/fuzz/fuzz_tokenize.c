/* Any text through the tokenizers: plain text makes no control token and reads back as it was; so do parts, wherever they are cut. */
#include "../../text/text.h"
#include "fuzz.h"

#include <stdio.h>

static const char *const paths[] = {"tests/golden/text/vocab_spm.gguf", "tests/golden/text/bpe.gguf"};
static txt_vocab *vocabs[2];

static void open_vocabs(void)
{
    for (size_t i = 0; i < 2; i++) {
        sn_gguf *g = NULL;
        sn_err err = {0};
        if (sn_gguf_open(&g, paths[i], &err) != SN_OK || txt_vocab_open(&vocabs[i], g, &err) != SN_OK) {
            fputs(err.msg, stderr);
            exit(1);
        }
        sn_gguf_close(g);
    }
}

static void check_ids(const txt_vocab *v, const txt_ids *ids, bool plain)
{
    for (size_t i = 0; i < ids->n; i++) {
        FUZZ_MUST(ids->ids[i] >= 0 && (size_t)ids->ids[i] < txt_vocab_n(v));
        if (plain) FUZZ_MUST(!txt_vocab_is_control(v, ids->ids[i]));
    }
}

/* SentencePiece has a token for every byte, so nothing is lost but the blank that it puts in front (and its own sign for a blank). */
static void check_reads_back(const txt_vocab *v, const txt_ids *ids, const char *text, size_t n)
{
    if (memmem(text, n, "\xe2\x96\x81", 3) != NULL) return;
    char *back = malloc(n + 64);
    size_t at = 0;
    for (size_t i = 0; i < ids->n; i++) {
        FUZZ_MUST(at <= n + 32);
        at += txt_piece(v, ids->ids[i], false, back + at, n + 64 - at);
    }
    const size_t skip = txt_vocab_space_prefix(v) && n > 0 ? 1 : 0;
    FUZZ_MUST(at == n + skip && memcmp(back + skip, text, n) == 0);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (vocabs[0] == NULL) open_vocabs();
    if (n < 2 || n > 4096) return 0;
    char *text = malloc(n);
    n -= 2;
    memcpy(text, data + 2, n);
    const txt_vocab *v = vocabs[data[0] & 1];
    const size_t cut = n ? data[1] % (n + 1) : 0;
    txt_ids ids = {0}, special = {0}, parts = {0};
    sn_err err = {0};
    fuzz_said(txt_tokenize(v, text, n, TXT_PLAIN, &ids, &err), &err);
    check_ids(v, &ids, true);
    if (v == vocabs[0]) check_reads_back(v, &ids, text, n);
    fuzz_said(txt_tokenize(v, text, n, TXT_PARSE_SPECIAL | TXT_ADD_BOS_EOS, &special, &err), &err);
    check_ids(v, &special, false);
    const txt_part two[] = {{text, cut, false}, {text + cut, n - cut, false}};
    fuzz_said(txt_tokenize_parts(v, two, 2, &parts, &err), &err);
    check_ids(v, &parts, true);
    txt_ids_free(&ids);
    txt_ids_free(&special);
    txt_ids_free(&parts);
    free(text);
    return 0;
}
