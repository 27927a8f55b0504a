/* senses logits: the model's scores for the next token. */
#include "command.h"
#include "media.h"
#include "npy.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

static int logits(cli_runtime *rt, const char *prompt)
{
    senses_error err = {0};
    senses_matrix scores = {.data = NULL};
    cli_media media = {.list = NULL};
    senses_session *s = NULL;
    bool good = false;
    if (media_load(&media, rt)) s = runtime_session(rt);
    if (s != NULL) {
        char *marked = media_prompt(&media, prompt);
        good = marked != NULL && senses_session_logits(s, marked, media.list, media.n, rt->o->all, &scores, &err) == SN_OK;
        if (!good && marked != NULL) runtime_say(rt, &err);
        free(marked);
    }
    good = good && npy_write(rt->o->output, &scores, !rt->o->all);
    senses_matrix_free(&scores);
    senses_session_close(s);
    media_free(&media);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    char *from_stdin = NULL;
    int status = EXIT_FAILED;
    if (o->output == NULL) return diag_usage("logits", "logits: no output file was given: -o OUT.npy");
    if (!runtime_stdin_once(o, "logits") || !runtime_fit_fits(o, "logits")) return EXIT_USAGE;
    if (strcmp(o->operands[0], "-") == 0) {
        size_t n;
        from_stdin = media_read_text("-", &n);
        if (from_stdin == NULL) return EXIT_FAILED;
    }
    runtime_init(&rt, o);
    if (runtime_pair(&rt)) status = logits(&rt, from_stdin != NULL ? from_stdin : o->operands[0]);
    runtime_close(&rt);
    free(from_stdin);
    return status;
}

const cli_command cmd_logits = {
    .name = "logits",
    .operands = "PROMPT",
    .summary = "write the scores of the next token",
    .details = "Writes the logits behind the prompt as a NumPy file: float32 [n_vocab], with --all [tokens, n_vocab]. <__media__> in "
               "PROMPT marks where "
               "each medium goes; PROMPT - is read from standard input.",
    .examples =
        "senses logits --raw -o next.npy \"The capital of France is\"\n"
        "senses logits -m llava.gguf --mmproj mmproj.gguf --image photo.jpg --raw -o next.npy \"USER: <__media__> What is it? ASSISTANT:\"",
    .sets = SET_COMMON | SET_CACHE | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER | SET_IMAGE | SET_MEDIA |
            SET_MEDIA_TEXT | SET_PROMPT | SET_RAW | SET_OUTPUT | SET_LOGITS,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no prompt was given",
    .run = run,
};
