/* senses describe: a description of each image. */
#include "audit.h"
#include "command.h"
#include "describe.h"
#include "progress.h"
#include "video.h"

#include <stdlib.h>
#include <string.h>

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

/* What its key frames show and what is said in it. */
static int describe_video(cli_runtime *rt, const char *path)
{
    video_timeline v = {.events = NULL};
    cli_buffer text = {0};
    double start_s = clock_s();
    rt->partial = false;
    audit_clear(rt);
    if (!rt->o->json && rt->o->n_operands > 1) out_line("==> %s <==", path);
    bool good = video_timeline_make(rt, path, &v);
    video_timeline_text(&v, &text);
    while (text.n > 0 && text.data[text.n - 1] == '\n') text.n--;
    if (rt->o->json) {
        cJSON *j = answer_json(path, "video", "describe",
                               runtime_encoder(rt, SENSES_IMAGE) != NULL ? senses_text_path(rt->text) : runtime_reader_path(rt));
        if (good)
            json_add_text(j, "text", text.data != NULL ? text.data : "", text.n);
        else
            json_add_string(j, "error", rt->last.msg);
        cJSON_AddItemToObject(j, "timeline", video_timeline_json(&v));
        if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
        audit_add(j, rt);
        json_add_decimal(j, "seconds", clock_s() - start_s, 3);
        out_json(j);
    } else if (good) {
        out_line("%.*s", (int)text.n, text.data != NULL ? text.data : "");
    }
    free(text.data);
    video_timeline_free(&v);
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int describe_file(cli_runtime *rt, const char *path)
{
    senses_media_kind_t kind = SENSES_MEDIA_NONE;
    bool video = strcmp(path, "-") != 0 && senses_media_kind(path, &kind, NULL) == SN_OK && kind == SENSES_MEDIA_VIDEO;
    return video ? describe_video(rt, path) : describe_image(rt, path);
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
            if (describe_file(&rt, o->operands[i]) != EXIT_DONE) status = EXIT_FAILED;
        }
    }
    runtime_close(&rt);
    return status;
}

const cli_command cmd_describe = {
    .name = "describe",
    .operands = "FILE...",
    .summary = "describe pictures and videos",
    .details =
        "Writes a description of each image; with several, each is headed by its file name. A picture that cannot be read is reported, and "
        "the others are described all the same. Of a video its key frames (--max-frames) are described, each with its time, and what is "
        "said "
        "between them is written (--whisper).\n"
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
    .sets = SET_COMMON | SET_AUDIT | SET_CACHE | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER |
            SET_IMAGE | SET_PROMPT | SET_SAMPLING | SET_GRAMMAR | SET_RAW | SET_DESCRIBE,
    .min_operands = 1,
    .max_operands = SIZE_MAX,
    .operand_missing = "no image was given",
    .run = run,
};
