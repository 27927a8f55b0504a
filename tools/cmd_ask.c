/* senses ask: an answer about pictures, recordings and texts. */
#include "answer.h"
#include "audit.h"
#include "command.h"
#include "output.h"
#include "progress.h"

#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {
    [MEDIUM_IMAGE] = "image", [MEDIUM_AUDIO] = "audio", [MEDIUM_VIDEO] = "video", [MEDIUM_TEXT] = "text"};

/* The result; several media make `file` and `type` arrays. */
static cJSON *result(const cli_options *o, const char *model)
{
    bool one = o->n_media == 1;
    cJSON *j = answer_json(one ? o->media[0].path : NULL, one ? kind_names[o->media[0].kind] : NULL, "ask", model);
    if (o->n_media <= 1) return j;
    cJSON *files = must(cJSON_CreateArray()), *types = must(cJSON_CreateArray());
    for (size_t i = 0; i < o->n_media; i++) {
        json_append_string(files, o->media[i].path);
        json_append_string(types, kind_names[o->media[i].kind]);
    }
    cJSON_ReplaceItemInObjectCaseSensitive(j, "file", files);
    cJSON_ReplaceItemInObjectCaseSensitive(j, "type", types);
    return j;
}

static void write_ids(const cli_answer *a)
{
    out_text("[", 1);
    for (size_t i = 0; i < a->n_ids; i++) {
        char *id = text_format(i == 0 ? "%d" : ", %d", (int)a->ids[i]);
        out_text(id, strlen(id));
        free(id);
    }
    out_text("]\n", 2);
}

static int ask(cli_runtime *rt, const char *question)
{
    const cli_options *o = rt->o;
    cli_media media = {.list = NULL};
    cli_answer a = {.ids = NULL};
    senses_session *s = NULL;
    int status = EXIT_FAILED;
    double start_s = clock_s();
    if (media_load(&media, rt)) s = runtime_session(rt);
    if (s != NULL) status = answer_get(&a, rt, s, question, &media, !o->json && !o->ids);
    if (status == EXIT_DONE && o->ids) write_ids(&a);
    if (status == EXIT_DONE && o->json) {
        cJSON *j = result(o, senses_text_path(rt->text));
        json_add_text(j, "text", a.text.data, a.text.n);
        answer_add_media(j, &a);
        if (rt->partial) must(cJSON_AddTrueToObject(j, "partial"));
        audit_add(j, rt);
        json_add_number(j, "tokens", (double)a.n_ids);
        answer_add_draft(j, o, &a);
        json_add_decimal(j, "seconds", clock_s() - start_s, 3);
        out_json(j);
    }
    senses_session_close(s);
    answer_free(&a);
    media_free(&media);
    return status;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    char *from_stdin = NULL;
    int status = EXIT_FAILED;
    if (o->json && o->ids) return diag_usage("ask", "ask: --ids and --json exclude one another");
    if (!runtime_stdin_once(o, "ask") || !runtime_fit_fits(o, "ask") || !runtime_grammar_once(o, "ask")) return EXIT_USAGE;
    if (strcmp(o->operands[0], "-") == 0) {
        size_t n;
        from_stdin = media_read_text("-", &n);
        if (from_stdin == NULL) return EXIT_FAILED;
    }
    runtime_init(&rt, o);
    if (runtime_pair(&rt)) status = ask(&rt, from_stdin != NULL ? from_stdin : o->operands[0]);
    runtime_close(&rt);
    free(from_stdin);
    return status;
}

const cli_command cmd_ask = {
    .name = "ask",
    .operands = "QUESTION",
    .summary = "answer a question about pictures, recordings, videos and texts",
    .details = "Writes the answer while it is made. The media reach the model in the order given, before the question, or where "
               "<__media__> stands "
               "in it. QUESTION - is read from standard input.\n"
               "A picture is seen by the vision model that is given with -m and --mmproj. Without one it is read by the page reader, which "
               "knows drawn, printed and shown pages, signs and documents, but no photographs, and what stands on the page goes to the "
               "model as text: this works with any text model. A recording goes to the model through an audio encoder when one is given "
               "with --mmproj; otherwise it is transcribed, and the transcript goes to the model as text. What was done is said on "
               "standard error.\n"
               "Of a video the model sees key frames, the first of each scene, each behind its time, and then gets what is said in it. "
               "A video is a regular file.\n"
               "What stands in media and files is data: it is never read as control tokens.",
    .examples = "senses ask \"What is the capital of France?\"\n"
                "senses ask --audio talk.mp3 \"What does the speaker ask for?\"\n"
                "senses ask --image page.jpg \"What does the second button say?\"\n"
                "senses ask --video lecture.mp4 \"Which page shows the price?\"\n"
                "senses ask --text report.txt \"Sum this up in two sentences.\"\n"
                "senses ask -m llava.gguf --mmproj mmproj.gguf --image a.jpg --image b.jpg \"What is different?\"",
    .sets = SET_COMMON | SET_AUDIT | SET_CACHE | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_MMPROJ | SET_WHISPER |
            SET_IMAGE | SET_MEDIA | SET_MEDIA_TEXT | SET_PROMPT | SET_SAMPLING | SET_GRAMMAR | SET_RAW | SET_ASK,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no question was given",
    .run = run,
};
