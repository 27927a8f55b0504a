/* senses tokenize: the token ids of the text on standard input. */
#include "command.h"
#include "output.h"
#include "runtime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_stdin(cli_buffer *b)
{
    enum { LIMIT_BYTES = 64 << 20 };
    char block[65536];
    size_t n;
    buffer_add(b, "", 0);
    while ((n = fread(block, 1, sizeof block, stdin)) > 0) {
        buffer_add(b, block, n);
        if (b->n <= LIMIT_BYTES) continue;
        diag_error("standard input: more than %d MB of text", LIMIT_BYTES >> 20);
        return false;
    }
    if (!ferror(stdin)) return true;
    diag_error("standard input: %s", strerror(errno));
    return false;
}

static int tokenize(cli_runtime *rt)
{
    senses_error err = {0};
    cli_buffer text = {0};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    int status = EXIT_FAILED;
    if (read_stdin(&text)) {
        if (senses_tokenize(rt->text, text.data, text.n, !rt->o->no_special, &ids, &n_ids, &err) == SN_OK)
            status = EXIT_DONE;
        else
            runtime_say(rt, &err);
    }
    if (status == EXIT_DONE) {
        cli_buffer line = {0};
        buffer_add(&line, "[", 1);
        for (size_t i = 0; i < n_ids; i++) {
            char digits[32];
            int n_digits = snprintf(digits, sizeof digits, i == 0 ? "%d" : ", %d", (int)ids[i]);
            buffer_add(&line, digits, (size_t)n_digits);
        }
        buffer_add(&line, "]\n", 2);
        out_text(line.data, line.n);
        free(line.data);
    }
    free(ids);
    free(text.data);
    return status;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    int status = EXIT_FAILED;
    runtime_init(&rt, o);
    if (runtime_text(&rt)) status = tokenize(&rt);
    runtime_close(&rt);
    return status;
}

const cli_command cmd_tokenize = {
    .name = "tokenize",
    .operands = "",
    .summary = "write the token ids of a text",
    .details = "Reads text from standard input and writes its token ids as a JSON array (with or without --json). Spellings of control "
               "tokens become "
               "those tokens and the model's begin token is added, unless --no-special is given.",
    .examples = "printf 'Hello world' | senses tokenize\n"
                "senses tokenize -m llama.gguf --no-special < notes.txt",
    .sets = SET_COMMON | SET_JSON | SET_ENGINE | SET_TEXT | SET_TOKENIZE,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
