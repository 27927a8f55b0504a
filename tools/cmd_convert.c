/* senses convert: a downloaded model folder as one GGUF file. */
#include "command.h"
#include "output.h"
#include "progress.h"
#include "runtime.h"

static int run(const cli_options *o)
{
    senses_error err = {0};
    if (o->output == NULL) return diag_usage("convert", "convert: no output file was given: -o OUT.gguf");
    double start_s = clock_s();
    if (senses_convert(o->operands[0], o->output, &err) != SN_OK) {
        diag_error("%s", err.msg);
        return EXIT_FAILED;
    }
    diag_note(o, "%s: written in %.1f s", o->output, clock_s() - start_s);
    return EXIT_DONE;
}

const cli_command cmd_convert = {
    .name = "convert",
    .operands = "DIR",
    .summary = "turn a model folder into a GGUF file",
    .details =
        "Reads a folder with a Whisper model in CTranslate2 form (model.bin, config.json, vocabulary) and writes it as one GGUF file.",
    .examples = "senses convert faster-whisper-tiny.en -o whisper-tiny.en.gguf",
    .sets = SET_COMMON | SET_OUTPUT,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no folder was given",
    .run = run,
};
