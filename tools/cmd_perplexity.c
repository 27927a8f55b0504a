/* senses perplexity: how well a text model foretells a text. */
#include "answer.h"
#include "command.h"
#include "media.h"
#include "output.h"
#include "progress.h"

#include <stdlib.h>

static bool show(void *user, size_t done, size_t total, double perplexity)
{
    (void)perplexity;
    progress_update(user, (double)done, (double)total);
    return true;
}

static void report(const cli_options *o, const char *model, const senses_perplexity_result *r, double seconds)
{
    const char *name = input_name(o->operands[0]);
    if (!o->json) {
        out_line("PPL = %.4f +/- %.5f", r->perplexity, r->error);
        diag_note(o, "%s: %zu tokens, %zu windows of %zu, %zu tokens scored, %.1f s", name, r->n_tokens, r->n_chunks, r->n_ctx, r->n_scored,
                  seconds);
        return;
    }
    cJSON *j = answer_json(o->operands[0], "text", "perplexity", model);
    json_add_decimal(j, "perplexity", r->perplexity, 6);
    json_add_decimal(j, "error", r->error, 6);
    json_add_number(j, "context", (double)r->n_ctx);
    json_add_number(j, "windows", (double)r->n_chunks);
    json_add_number(j, "tokens", (double)r->n_tokens);
    json_add_number(j, "scored", (double)r->n_scored);
    json_add_decimal(j, "seconds", seconds, 3);
    out_json(j);
}

static int measure(cli_runtime *rt, const char *text, size_t n)
{
    const cli_options *o = rt->o;
    senses_error err = {0};
    senses_perplexity_result r;
    cli_progress progress;
    const char *path = o->operands[0];
    const double start_s = clock_s();
    progress_start(&progress, o, input_name(path));
    progress.plain = true;
    const senses_perplexity_params p = {.n_ctx = o->session.n_ctx, .progress = show, .user = &progress};
    const senses_status st = senses_perplexity(rt->text, text, n, &p, &r, &err);
    progress_clear(&progress);
    if (st == SN_OK) {
        report(o, senses_text_path(rt->text), &r, clock_s() - start_s);
        return EXIT_DONE;
    }
    if (st == SN_EUSAGE)
        diag_error("%s: %s", input_name(path), err.msg);
    else
        runtime_say(rt, &err);
    return EXIT_FAILED;
}

static int run(const cli_options *o)
{
    cli_runtime rt;
    int status = EXIT_FAILED;
    size_t n = 0;
    char *text = media_read_text(o->operands[0], &n);
    if (text == NULL) return EXIT_FAILED;
    runtime_init(&rt, o);
    if (runtime_text(&rt)) status = measure(&rt, text, n);
    runtime_close(&rt);
    free(text);
    return status;
}

const cli_command cmd_perplexity = {
    .name = "perplexity",
    .operands = "FILE",
    .summary = "measure how well a text model foretells a text",
    .details =
        "Writes the perplexity of a text file under a text model, and its standard error: the smaller, the better the model foretells the "
        "text. Only figures of one text, one vocabulary and one -c can be compared, as those of a model and of its quantised files.\n"
        "As llama-perplexity has it: windows of -c tokens, the token of the beginning in front of each where the model has one; of each "
        "window the second half is scored. What fills no window at the end is left out; FILE - is standard input.",
    .examples = "senses perplexity samples/alice.txt\n"
                "senses perplexity -m model-q4_k_m.gguf -c 2048 --json book.txt",
    .sets = SET_COMMON | SET_JSON | SET_ENGINE | SET_TEXT | SET_LORA | SET_PRECISION | SET_PERPLEXITY,
    .min_operands = 1,
    .max_operands = 1,
    .operand_missing = "no text file was given",
    .run = run,
};
