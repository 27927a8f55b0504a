/* senses convert: a downloaded model folder as one GGUF file. */
#include "command.h"
#include "output.h"
#include "rewrite.h"

static senses_status convert(cli_runtime *rt, const cli_rewrite *w, void *job, senses_error *err)
{
    (void)job;
    const cli_options *o = rt->o;
    const senses_convert_params p = {.type = o->convert_type, .progress = w->progress, .user = w->user};
    return senses_convert(o->operands[0], o->output, &p, err);
}

static int run(const cli_options *o)
{
    double seconds;
    if (o->output == NULL) return diag_usage("convert", "convert: no output file was given: -o OUT.gguf");
    const int status = rewrite_run(o, o->output, convert, NULL, &seconds);
    if (status == EXIT_DONE) diag_note(o, "%s: written in %.1f s", o->output, seconds);
    return status;
}

const cli_command cmd_convert = {
    .name = "convert",
    .operands = "DIR",
    .summary = "turn a model folder into a GGUF file",
    .details = "Reads the text model of a Hugging Face folder (config.json, *.safetensors, tokenizer.json or tokenizer.model) and writes "
               "it as one GGUF "
               "file, with the names and keys that llama.cpp's converter gives: Llama, Vicuna, Mistral, TinyLlama, SmolLM 1 to 3, Granite, "
               "Qwen 2 to 3, "
               "Gemma 3, and the decoder inside an image or audio model of these.\n"
               "A folder with a Whisper model in CTranslate2 form (model.bin, config.json, vocabulary) becomes a Whisper GGUF.\n"
               "Weights pass through in pieces: memory does not grow with the model.",
    .examples = "senses convert SmolLM2-135M-Instruct -o smollm2-135m.gguf\n"
                "senses convert Llama-3.2-1B --type f16 -o llama-3.2-1b-f16.gguf\n"
                "senses convert faster-whisper-tiny.en -o whisper-tiny.en.gguf",
    .sets = SET_COMMON | SET_OUTPUT | SET_CONVERT,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no folder was given",
    .run = run,
};
