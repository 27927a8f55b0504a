/* senses quantize: a model file with its weights in smaller types. */
#include "command.h"
#include "models_path.h"
#include "output.h"
#include "rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    const char *in, *out, *type;
    senses_quantize_result result;
} quantize_job;

static void report(const cli_options *o, const char *type, const senses_quantize_result *r, double seconds)
{
    const double before = (double)r->bytes_in / 1e6, after = (double)r->bytes_out / 1e6;
    if (r->n_requantized > 0)
        diag_note(o, "%s: %zu of %zu tensors were quantised before; they lose more than they would from the original", o->operands[0],
                  r->n_requantized, r->n_tensors);
    if (r->n_fallback > 0)
        diag_note(o, "%s: %zu of %zu tensors have rows that the blocks of %s do not fill, and got another type", o->operands[0],
                  r->n_fallback, r->n_tensors, type);
    diag_note(o, "%s: %.1f MB of weights became %.1f MB (%zu of %zu tensors) in %.1f s", o->operands[1], before, after, r->n_changed,
              r->n_tensors, seconds);
}

static int unknown_type(const char *type)
{
    cli_buffer all = {0};
    const char *name;
    for (size_t i = 0; (name = senses_quantize_type(i)) != NULL; i++) {
        if (i > 0) buffer_add(&all, " ", 1);
        buffer_add(&all, name, strlen(name));
    }
    buffer_add(&all, "", 1);
    int status = diag_usage("quantize", "quantize: '%s' is no type; there are %s", type, all.data);
    free(all.data);
    return status;
}

static bool known_type(const char *type)
{
    for (size_t i = 0; senses_quantize_type(i) != NULL; i++)
        if (strcasecmp(senses_quantize_type(i), type) == 0) return true;
    return false;
}

static senses_status work(cli_runtime *rt, const cli_rewrite *w, void *job, senses_error *err)
{
    static const char way[] = " (--allow-requantize does it all the same)";
    quantize_job *j = job;
    const senses_quantize_params p = {.allow_requantize = rt->o->allow_requantize, .progress = w->progress, .user = w->user};
    const senses_status status = senses_quantize(rt->engine, j->in, j->out, j->type, &p, &j->result, err);
    const size_t n = strlen(err->msg);
    if (status == SN_EUSAGE && j->result.n_requantized > 0 && !p.allow_requantize) snprintf(err->msg + n, sizeof err->msg - n, "%s", way);
    return status;
}

static int quantize(const cli_options *o, const char *in, const char *out, const char *type)
{
    quantize_job job = {.in = in, .out = out, .type = type};
    double seconds;
    const int status = rewrite_run(o, out, work, &job, &seconds);
    if (status == EXIT_DONE) report(o, type, &job.result, seconds);
    return status;
}

static int run(const cli_options *o)
{
    const char *type = o->operands[2];
    if (!known_type(type)) return unknown_type(type);
    char *in = models_resolve(o->operands[0], MODEL_ANY);
    if (in == NULL) return EXIT_FAILED;
    int status = quantize(o, in, o->operands[1], type);
    free(in);
    return status;
}

const cli_command cmd_quantize = {
    .name = "quantize",
    .operands = "IN OUT TYPE",
    .summary = "make a model file smaller",
    .details = "Writes the GGUF file IN (or the model of that name; a text model, an encoder or a Whisper) as OUT with its matrices in a "
               "smaller type. TYPE is F32, F16, "
               "BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, Q3_K_L, Q3_K_M, Q3_K_S or Q2_K, from large to "
               "small; _S, _M and _L say how many of the matrices that matter most get a larger one. Q4_K_M is a good choice; Q8_0 changes "
               "next to nothing.\n"
               "OUT appears when it is complete, and is the same whatever the number of threads. What is left alone: vectors, norms, "
               "positions, convolutions. Rows that the blocks of a type do not fill get the next type that fits.",
    .examples = "senses quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M\n"
                "senses quantize mmproj-f16.gguf mmproj-q8_0.gguf Q8_0",
    .sets = SET_COMMON | SET_ENGINE | SET_QUANTIZE,
    .min_operands = 3,
    .max_operands = 3,
    .operand_missing = "IN, OUT and TYPE are needed",
    .run = run,
};
