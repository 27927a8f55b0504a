/* senses info: what is in a model file. */
#include "command.h"
#include "models_path.h"
#include "output.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static int info(const cli_options *o, const char *name)
{
    senses_error err = {0};
    char *text = NULL;
    char *path = models_resolve(name, MODEL_ANY);
    if (path == NULL) return EXIT_FAILED;
    senses_status status = senses_describe_file(path, o->json, &text, &err);
    free(path);
    if (status != SN_OK) {
        diag_error("%s", err.msg);
        return EXIT_FAILED;
    }
    size_t n = strlen(text);
    if (o->n_operands > 1 && !o->json) out_line("==> %s <==", name);
    out_text(text, n);
    if (n == 0 || text[n - 1] != '\n') out_text("\n", 1);
    free(text);
    return EXIT_DONE;
}

static int run(const cli_options *o)
{
    int status = EXIT_DONE;
    for (size_t i = 0; i < o->n_operands && !ferror(stdout); i++) {
        if (i > 0 && !o->json) out_text("\n", 1);
        if (info(o, o->operands[i]) != EXIT_DONE) status = EXIT_FAILED;
    }
    return status;
}

const cli_command cmd_info = {
    .name = "info",
    .operands = "FILE|NAME...",
    .summary = "say what is in a model file",
    .details = "Writes what a model file holds: its kind, sizes, types, metadata and SHA-256. Reads GGUF and whisper.cpp's ggml-*.bin.",
    .examples = "senses info whisper-tiny.en\n"
                "senses info --json model.gguf",
    .sets = SET_COMMON | SET_JSON,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no model file was given",
    .run = run,
};
