/* senses info: what is in a model file. */
#include "command.h"
#include "models_path.h"
#include "output.h"
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

static int info(cli_runtime *rt, const char *name)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    char *text = NULL;
    char *path = models_resolve(name, MODEL_ANY);
    if (path == NULL) return EXIT_FAILED;
    const senses_describe_params p = {.json = o->json, .engine = rt->engine, .n_ctx = o->session.n_ctx};
    senses_status status = senses_describe_file(path, &p, &text, &err);
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
    cli_runtime rt;
    int status = EXIT_DONE;
    runtime_init(&rt, o);
    if (!runtime_engine(&rt)) status = EXIT_FAILED;
    for (size_t i = 0; i < o->n_operands && !ferror(stdout); i++) {
        if (i > 0 && !o->json) out_text("\n", 1);
        if (info(&rt, o->operands[i]) != EXIT_DONE) status = EXIT_FAILED;
    }
    runtime_close(&rt);
    return status;
}

const cli_command cmd_info = {
    .name = "info",
    .operands = "FILE|NAME...",
    .summary = "say what is in a model file",
    .details =
        "Writes what a model file holds: its kind, sizes, types, metadata and SHA-256. Reads GGUF and whisper.cpp's ggml-*.bin.\n"
        "Also what it can be paired with: of a text model the families of encoders that nothing in it speaks against, of an encoder the "
        "width of its rows and the architectures and tokens of decoders. And the memory that it takes, in bytes: weights, keys and values "
        "of a context of -c tokens, and what is worked with.",
    .examples = "senses info whisper-tiny.en\n"
                "senses info -c 32768 model.gguf\n"
                "senses info --json model.gguf",
    .sets = SET_COMMON | SET_JSON | SET_INFO | SET_ENGINE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no model file was given",
    .run = run,
};
