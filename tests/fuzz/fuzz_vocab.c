/* Small GGUF files with a vocabulary, byte by byte: what a file says of its tokens, and its chat template's recognition. */
#include "../../text/text.h"
#include "fuzz.h"

static const char *const text = "The <|im_end|> \xc3\xa9t\xc3\xa9 \xff\x80 </s>12345 [INST] \n\n a\xe2\x96\x81 b";

/* What stands for a byte that the vocabulary lacks is the file's own choice. */
static void use(const txt_vocab *v, const sn_gguf *g)
{
    const sn_kv *kv = sn_gguf_find(g, "tokenizer.ggml.unknown_token_id");
    const int64_t unknown = kv != NULL ? sn_kv_i64(kv, 0) : 0;
    txt_ids plain = {0}, special = {0};
    sn_err err = {0};
    const size_t n = txt_vocab_n(v);
    fuzz_said(txt_tokenize(v, text, strlen(text), TXT_PLAIN, &plain, &err), &err);
    fuzz_said(txt_tokenize(v, text, strlen(text), TXT_PARSE_SPECIAL | TXT_ADD_BOS_EOS, &special, &err), &err);
    for (size_t i = 0; i < plain.n; i++) {
        FUZZ_MUST(plain.ids[i] >= 0 && (size_t)plain.ids[i] < n);
        FUZZ_MUST(plain.ids[i] == unknown || !txt_vocab_is_control(v, plain.ids[i]));
    }
    for (size_t i = 0; i < special.n; i++) FUZZ_MUST(special.ids[i] >= 0 && (size_t)special.ids[i] < n);
    FUZZ_MUST(txt_vocab_bos(v) >= TXT_NO_ID && txt_vocab_bos(v) < (txt_id)n);
    FUZZ_MUST(txt_vocab_eos(v) >= TXT_NO_ID && txt_vocab_eos(v) < (txt_id)n);
    for (size_t i = 0; i < n && i < 400; i++) {
        char piece[16];
        txt_piece(v, (txt_id)i, i & 1, piece, sizeof piece);
        txt_vocab_is_end(v, (txt_id)i);
    }
    txt_ids_free(&plain);
    txt_ids_free(&special);
}

static void render(const sn_gguf *g)
{
    const txt_chat_template *t = NULL;
    txt_parts parts = {0};
    sn_err err = {0};
    const txt_message m[] = {{TXT_SYSTEM, text, strlen(text)}, {TXT_USER, text, strlen(text)}};
    if (txt_chat_template_get(&t, g, NULL, &err) == SN_OK) fuzz_said(txt_chat_render(t, m, 2, true, &parts, &err), &err);
    txt_parts_free(&parts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    sn_gguf *g = NULL;
    txt_vocab *v = NULL;
    sn_err err = {0};
    if (sn_gguf_open(&g, fuzz_file(0, data, n), &err) != SN_OK) return 0;
    const sn_status st = txt_vocab_open(&v, g, &err);
    fuzz_said(st, &err);
    if (st == SN_OK) use(v, g);
    render(g);
    txt_vocab_close(v);
    sn_gguf_close(g);
    return 0;
}
