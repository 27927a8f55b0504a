/* senses convert: a downloaded model folder as one GGUF file. */
#include "command.h"
#include "output.h"
#include "rewrite.h"

static senses_status convert(cli_runtime *rt, const cli_rewrite *w, void *job, senses_error *err)
{
    (void)job;
    const cli_options *o = rt->o;
    const senses_convert_params p = {.type = o->convert_type, .mmproj_path = o->convert_mmproj, .progress = w->progress, .user = w->user};
    return senses_convert(o->operands[0], o->output, &p, err);
}

static int run(const cli_options *o)
{
    double seconds;
    const char *first = o->output != NULL ? o->output : o->convert_mmproj;
    if (first == NULL) return diag_usage("convert", "convert: no output file was given: -o OUT.gguf");
    const int status = rewrite_run(o, first, convert, NULL, &seconds);
    if (status != EXIT_DONE) return status;
    diag_note(o, "%s: written in %.1f s", first, seconds);
    if (o->output != NULL && o->convert_mmproj != NULL) diag_note(o, "%s: written with it", o->convert_mmproj);
    return status;
}

const cli_command cmd_convert = {
    .name = "convert",
    .operands = "DIR",
    .summary = "turn a model folder into a GGUF file",
    .details =
        "Reads the text model of a Hugging Face folder (config.json, *.safetensors, tokenizer.json or tokenizer.model) and writes "
        "it as one GGUF file, with the names and keys that llama.cpp's converter gives: Llama, Vicuna, Mistral, TinyLlama, SmolLM 1 to 3, "
        "Granite, Qwen 2 to 3, Gemma 3, and the decoder inside an image or audio model of these.\n"
        "With --mmproj FILE it writes the model's image or audio encoder as well, or alone where there is no -o: LLaVA-1.5 and "
        "LLaVA-NeXT (llava-hf), Granite Vision, Idefics3 and SmolVLM, Pixtral and Mistral 3, InternVL, Qwen2-VL to Qwen3-VL, Gemma 3, "
        "Ultravox, Voxtral, Qwen2-Audio. There are both files or none.\n"
        "A Whisper folder, Hugging Face's or CTranslate2's (model.bin, config.json, vocabulary), becomes a Whisper GGUF.\n"
        "Weights pass through in pieces: memory does not grow with the model.",
    .examples = "senses convert SmolLM2-135M-Instruct -o smollm2-135m.gguf\n"
                "senses convert Llama-3.2-1B --type f16 -o llama-3.2-1b-f16.gguf\n"
                "senses convert SmolVLM-256M-Instruct -o smolvlm.gguf --mmproj mmproj-smolvlm.gguf\n"
                "senses convert faster-whisper-tiny.en -o whisper-tiny.en.gguf",
    .sets = SET_COMMON | SET_OUTPUT | SET_CONVERT,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no folder was given",
    .run = run,
};
