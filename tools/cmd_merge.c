/* senses merge: a text model and its adapters as one file. */
#include "command.h"
#include "models_path.h"
#include "output.h"
#include "rewrite.h"

#include <stdlib.h>

typedef struct {
    const char *base;
    senses_merge_result result;
} merge_job;

static void report(const cli_options *o, const senses_merge_result *r, double seconds)
{
    if (r->n_widened > 0)
        diag_note(o, "%s: %zu of %zu tensors became F16: their own type cannot be written here", o->output, r->n_widened, r->n_tensors);
    diag_note(o, "%s: %.1f MB of weights (%zu of %zu tensors changed) in %.1f s", o->output, (double)r->bytes_out / 1e6, r->n_changed,
              r->n_tensors, seconds);
}

static senses_status merge(cli_runtime *rt, const cli_rewrite *w, void *job, senses_error *err)
{
    const cli_options *o = rt->o;
    merge_job *j = job;
    const senses_merge_params p = {.progress = w->progress, .user = w->user};
    senses_lora *loras = must(calloc(o->n_lora, sizeof *loras));
    for (size_t i = 0; i < o->n_lora; i++) loras[i] = (senses_lora){o->lora[i].path, o->lora[i].scale};
    const senses_status status = senses_merge(rt->engine, j->base, loras, o->n_lora, o->output, &p, &j->result, err);
    free(loras);
    return status;
}

static int merge_file(const cli_options *o, const char *base)
{
    merge_job job = {.base = base};
    double seconds;
    const int status = rewrite_run(o, o->output, merge, &job, &seconds);
    if (status == EXIT_DONE) report(o, &job.result, seconds);
    return status;
}

static int run(const cli_options *o)
{
    if (o->n_lora == 0) return diag_usage("merge", "merge: no adapter was given: --lora FILE");
    if (o->output == NULL) return diag_usage("merge", "merge: no output file was given: -o OUT.gguf");
    char *base = models_resolve(o->model, MODEL_TEXT);
    if (base == NULL) return EXIT_FAILED;
    int status = merge_file(o, base);
    free(base);
    return status;
}

const cli_command cmd_merge = {
    .name = "merge",
    .operands = "",
    .summary = "make one model file of a text model and its adapters",
    .details =
        "Writes the text model (-m) with the LoRA adapters (--lora, once or more) added to its weights as one GGUF file (-o), which "
        "answers as the model does with the adapters, and needs them no more.\n"
        "Weights keep their types. Quantised ones are quantised again where an adapter changes them, which loses a little: where the "
        "original of 16 bits is there, merge into that and quantise then. A token embedding that is the output as well, but for an "
        "adapter, is written as two.",
    .examples = "senses merge -m model-f16.gguf --lora style.gguf -o styled-f16.gguf\n"
                "senses merge -m model-q8_0.gguf --lora style.gguf:0.5 --lora facts.gguf -o both-q8_0.gguf",
    .sets = SET_COMMON | SET_ENGINE | SET_TEXT | SET_LORA | SET_OUTPUT,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
