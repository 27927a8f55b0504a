/* senses describe: a description of each image. */
#include "audit.h"
#include "command.h"
#include "describe.h"
#include "progress.h"

#include <stdlib.h>

static int describe_image(cli_runtime *rt, const char *path)
{
    description d = {.model = NULL};
    double start_s = clock_s();
    rt->partial = false;
    audit_clear(rt);
    if (!rt->o->json && rt->o->n_operands > 1) out_line("==> %s <==", input_name(path));
    int status = describe_picture(&d, rt, path, !rt->o->json);
    if (rt->o->json) {
        cJSON *j = answer_json(path, "image", "describe", d.model);
        if (status == EXIT_DONE)
            json_add_text(j, "text", d.answer.text.data, d.answer.text.n);
        else
            json_add_string(j, "error", rt->last.msg);
        answer_add_media(j, &d.answer);
        if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
        audit_add(j, rt);
        json_add_number(j, "tokens", (double)d.answer.n_ids);
        answer_add_draft(j, rt->o, &d.answer);
        json_add_decimal(j, "seconds", clock_s() - start_s, 3);
        out_json(j);
    }
    answer_free(&d.answer);
    return status;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    int status = EXIT_DONE;
    if (!runtime_stdin_once(o, "describe") || !runtime_fit_fits(o, "describe") || !runtime_grammar_once(o, "describe")) return EXIT_USAGE;
    runtime_init(&rt, o);
    if (!describe_open(&rt, o->operands[0])) {
        status = EXIT_FAILED;
    } else {
        for (size_t i = 0; i < o->n_operands && !ferror(stdout); i++) {
            if (i > 0 && !o->json) out_text("\n", 1);
            if (describe_image(&rt, o->operands[i]) != EXIT_DONE) status = EXIT_FAILED;
        }
    }
    runtime_close(&rt);
    return status;
}

const cli_command cmd_describe = {
    .name = "describe",
    .operands = "IMAGE...",
    .summary = "describe pictures",
    .details =
        "Writes a description of each image; with several, each is headed by its file name. A picture that cannot be read is reported, and "
        "the others are described all the same.\n"
        "With a vision model, the GGUF file of its text model (-m) and that of its image encoder (--mmproj), for example those of "
        "LLaVA-1.5 "
        "or SmolVLM, any picture is described.\n"
        "Without one the page reader that comes with senses says what stands on drawn, printed and shown pages, signs and documents, an "
        "element a line; photographs it cannot see. With -p, a text model alone (-m), or --grammar, --json-schema or --fields, that is "
        "what the text model is asked about.",
    .examples = "senses describe drawing.jpg\n"
                "senses describe -p \"What can be ordered here?\" menu.png\n"
                "senses describe -m llava-v1.5-7b-Q4_K.gguf --mmproj llava-v1.5-7b-mmproj-f16.gguf photo.jpg\n"
                "senses describe -m smolvlm.gguf --mmproj mmproj-smolvlm.gguf -p \"What does the sign say?\" --json *.png",
    .sets = SET_COMMON | SET_AUDIT | SET_CACHE | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_MMPROJ | SET_IMAGE | SET_PROMPT |
            SET_SAMPLING | SET_GRAMMAR | SET_RAW | SET_DESCRIBE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no image was given",
    .run = run,
};
