/* senses describe: a description of each image. */
#include "answer.h"
#include "command.h"
#include "output.h"
#include "page.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

/* What the picture shows, in words. */
typedef struct {
    cli_answer answer;
    const char *model; /* who says so */
} description;

/* One image on a fresh session: its description does not depend on the images before it. */
static int ask_model(description *d, cli_runtime *rt, const char *path)
{
    const cli_medium medium = {MEDIUM_IMAGE, path};
    const char *prompt = rt->o->prompt != NULL ? rt->o->prompt : "Describe this image.";
    cli_media media = {.list = NULL};
    senses_session *s = NULL;
    int status = EXIT_FAILED;
    d->model = senses_text_path(rt->text);
    if (media_add(&media, rt, &medium)) s = runtime_session(rt);
    if (s != NULL) status = answer_get(&d->answer, rt, s, prompt, &media, !rt->o->json);
    senses_session_close(s);
    media_free(&media);
    return status;
}

static int read_words(description *d, cli_runtime *rt, const char *path)
{
    char *words = page_words(rt, path, &d->answer.n_ids);
    d->model = runtime_reader_path(rt);
    if (words == NULL) return EXIT_FAILED;
    size_t n = strlen(words);
    while (n > 0 && words[n - 1] == '\n') n--;
    buffer_add(&d->answer.text, words, n);
    if (!rt->o->json) out_line("%.*s", (int)n, words);
    free(words);
    return EXIT_DONE;
}

/* Nothing was said that only a text model can do. */
static bool reader_is_enough(const cli_options *o)
{
    return o->n_mmproj == 0 && o->model == NULL && o->n_lora == 0 && o->prompt == NULL;
}

static int describe_image(cli_runtime *rt, const char *path)
{
    description d = {.model = NULL};
    double start_s = clock_s();
    rt->partial = false;
    if (!rt->o->json && rt->o->n_operands > 1) out_line("==> %s <==", input_name(path));
    int status = reader_is_enough(rt->o) ? read_words(&d, rt, path) : ask_model(&d, rt, path);
    if (rt->o->json) {
        cJSON *j = answer_json(path, "image", "describe", d.model);
        if (status == EXIT_DONE)
            json_add_text(j, "text", d.answer.text.data, d.answer.text.n);
        else
            json_add_string(j, "error", rt->last.msg);
        answer_add_media(j, &d.answer);
        if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
        json_add_number(j, "tokens", (double)d.answer.n_ids);
        json_add_decimal(j, "seconds", clock_s() - start_s, 3);
        out_json(j);
    }
    answer_free(&d.answer);
    return status;
}

/* What all images need: missing, it is said once. */
static bool open_models(cli_runtime *rt)
{
    const cli_options *o = rt->o;
    if (!reader_is_enough(o) && (!runtime_text(rt) || !runtime_eyes(rt, o->operands[0]))) return false;
    return runtime_encoder(rt, SENSES_IMAGE) != NULL || runtime_reader(rt) != NULL;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    int status = EXIT_DONE;
    if (!runtime_stdin_once(o, "describe") || !runtime_fit_fits(o, "describe")) return EXIT_USAGE;
    runtime_init(&rt, o);
    if (!open_models(&rt)) {
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
        "element a line; photographs it cannot see. With -p, or a text model alone (-m), that is what the text model is asked about.",
    .examples = "senses describe drawing.jpg\n"
                "senses describe -p \"What can be ordered here?\" menu.png\n"
                "senses describe -m llava-v1.5-7b-Q4_K.gguf --mmproj llava-v1.5-7b-mmproj-f16.gguf photo.jpg\n"
                "senses describe -m smolvlm.gguf --mmproj mmproj-smolvlm.gguf -p \"What does the sign say?\" --json *.png",
    .sets = SET_COMMON | SET_CACHE | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_MMPROJ | SET_IMAGE | SET_PROMPT | SET_SAMPLING |
            SET_RAW | SET_DESCRIBE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no image was given",
    .run = run,
};
