/* senses describe: a description of each image. */
#include "answer.h"
#include "command.h"
#include "output.h"
#include "progress.h"

#include <stdlib.h>

/* One image on a fresh session: its description does not depend on the images before it. */
static int answer_image(cli_answer *a, cli_runtime *rt, const char *path)
{
    const cli_medium medium = {MEDIUM_IMAGE, path};
    const char *prompt = rt->o->prompt != NULL ? rt->o->prompt : "Describe this image.";
    cli_media media = {.list = NULL};
    senses_session *s = NULL;
    int status = EXIT_FAILED;
    if (media_add(&media, rt, &medium)) s = runtime_session(rt);
    if (s != NULL) status = answer_get(a, rt, s, prompt, &media, !rt->o->json);
    senses_session_close(s);
    media_free(&media);
    return status;
}

static int describe_image(cli_runtime *rt, const char *path)
{
    cli_answer a = {.ids = NULL};
    double start_s = clock_s();
    if (!rt->o->json && rt->o->n_operands > 1) out_line("==> %s <==", input_name(path));
    int status = answer_image(&a, rt, path);
    if (rt->o->json) {
        cJSON *j = answer_json(path, "image", "describe", senses_text_path(rt->text));
        if (status == EXIT_DONE)
            json_add_text(j, "text", a.text.data, a.text.n);
        else
            json_add_string(j, "error", rt->last.msg);
        json_add_number(j, "tokens", (double)a.n_ids);
        json_add_decimal(j, "seconds", clock_s() - start_s, 3);
        out_json(j);
    }
    answer_free(&a);
    return status;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    int status = EXIT_DONE;
    if (!runtime_stdin_once(o, "describe")) return EXIT_USAGE;
    if (o->n_mmproj == 0) {
        runtime_say_no_vision(o->operands[0]);
        return EXIT_FAILED;
    }
    runtime_init(&rt, o);
    if (!runtime_text(&rt) || !runtime_encoders(&rt)) {
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
        "Writes a description of each image; with several, each is headed by its file name. Needs a vision model: the GGUF file of a text "
        "model (-m) and the GGUF file of its image encoder (--mmproj), for example those of LLaVA-1.5 or SmolVLM. A picture that "
        "cannot be read is reported, and the others are described all the same.",
    .examples = "senses describe -m llava-v1.5-7b-Q4_K.gguf --mmproj llava-v1.5-7b-mmproj-f16.gguf photo.jpg\n"
                "senses describe -m smolvlm.gguf --mmproj mmproj-smolvlm.gguf -p \"What does the sign say?\" --json *.png",
    .sets = SET_COMMON | SET_JSON | SET_ENGINE | SET_TEXT | SET_MMPROJ | SET_IMAGE | SET_PROMPT | SET_SAMPLING | SET_RAW | SET_DESCRIBE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no image was given",
    .run = run,
};
