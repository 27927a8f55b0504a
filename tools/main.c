/* senses: the command line. Finds the command, reads its options, runs it, and turns what happened into an exit status. */
#include "command.h"
#include "help.h"
#include "interrupt.h"
#include "output.h"
#include "shrunk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const cli_command *const commands[] = {&cmd_describe, &cmd_transcribe, &cmd_ask,        &cmd_chat,     &cmd_sketch, &cmd_batch,
                                       &cmd_info,     &cmd_models,     &cmd_convert,    &cmd_quantize, &cmd_merge,  &cmd_tokenize,
                                       &cmd_encode,   &cmd_logits,     &cmd_perplexity, &cmd_bench,    NULL};

const cli_command *command_find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

/* A closed standard stream would be the next file that is opened, and results would be written into it. What takes its place
 * cannot be written (or read), so that it is noticed. */
static bool hold_standard_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

static int unknown_command(const char *name)
{
    const char *names[32] = {"help"};
    size_t n = 1;
    for (size_t i = 0; commands[i] != NULL && n + 1 < sizeof names / sizeof names[0]; i++) names[n++] = commands[i]->name;
    const char *near = options_nearest(name, names);
    if (name[0] == '-') return diag_usage(NULL, "unknown option '%s'; the command comes first: senses COMMAND [OPTION...]", name);
    if (near != NULL) return diag_usage(NULL, "unknown command '%s'; did you mean %s?", name, near);
    return diag_usage(NULL, "unknown command '%s'", name);
}

static int run_help(int argc, char **argv)
{
    bool man = argc == 1 && strcmp(argv[0], "--man") == 0;
    bool completion = argc == 2 && strcmp(argv[0], "--completion") == 0;
    if (argc == 0 || (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0)))
        help_program();
    else if (man)
        help_man();
    else if (completion && !help_completion(argv[1]))
        return diag_usage(NULL, "help: no completion for '%s'; there are bash, zsh and fish", argv[1]);
    else if (completion)
        return EXIT_DONE;
    else if (argc > 1)
        return diag_usage(NULL, "help: one command at a time: senses help COMMAND");
    else if (command_find(argv[0]) == NULL)
        return unknown_command(argv[0]);
    else
        help_command(command_find(argv[0]));
    return EXIT_DONE;
}

/* An option's value from the environment, unless it was given or the command does not take it. */
static bool read_variable(const cli_command *c, uint32_t set, const char *variable, const char *name, cli_options *o, char **problem)
{
    const char *value = getenv(variable);
    if ((c->sets & set) == 0 || value == NULL || value[0] == '\0' || options_default(o, name, value, problem)) return true;
    char *where = text_format("from the environment, %s: %s", variable, *problem);
    free(*problem);
    *problem = where;
    return false;
}

/* Command line first, then the environment. */
static bool read_options(const cli_command *c, cli_options *o, int argc, char **argv, char **problem)
{
    if (!options_parse(o, c->sets, argc, argv, problem)) return false;
    if ((c->sets & SET_CACHE) == 0) o->no_cache = true;
    return o->help || (read_variable(c, SET_ENGINE, "SENSES_ISA", "isa", o, problem) &&
                       read_variable(c, SET_CACHE, "SENSES_CACHE_SIZE", "cache-size", o, problem));
}

/* What the table cannot say by itself: operands, and options that exclude one another. */
static int check(const cli_command *c, const cli_options *o)
{
    if (o->quiet && o->verbose) return diag_usage(c->name, "%s: --quiet and --verbose exclude one another", c->name);
    if (o->n_operands < c->min_operands) return diag_usage(c->name, "%s: %s", c->name, c->operand_missing);
    if (o->n_operands > c->max_operands && c->max_operands == 0)
        return diag_usage(c->name, "%s: takes no argument, but '%s' was given", c->name, o->operands[0]);
    if (o->n_operands > c->max_operands)
        return diag_usage(c->name, "%s: '%s' is one argument too many (quote an argument that has spaces)", c->name,
                          o->operands[c->max_operands]);
    for (size_t i = 0; i < o->n_operands; i++)
        if (o->operands[i][0] == '\0') return diag_usage(c->name, "%s: an argument is empty", c->name);
    return EXIT_DONE;
}

/* Small models repeat themselves when nothing is said about sampling. Who sets a temperature, 0 included, or works without a
 * chat template, gets what the model says. */
static void choose_repeat_penalty(cli_options *o)
{
    if (options_given(o, "repeat-penalty")) return;
    o->session.repeat_penalty = options_given(o, "temp") || o->session.raw ? 1.0f : 1.1f;
}

/* Of the commands that take media. */
static void say_sandbox(const cli_command *c, const cli_options *o)
{
    if ((c->sets & (SET_IMAGE | SET_MEDIA | SET_SKETCH | SET_TRANSCRIBE)) == 0) return;
    if (o->no_sandbox)
        diag_note(o, "--no-sandbox: media are decoded in this process, with all its rights");
    else
        diag_explain(o, "sandbox of media decoders: %s", senses_sandbox());
}

static int run_command(const cli_command *c, int argc, char **argv)
{
    cli_options o;
    char *problem = NULL;
    int status = EXIT_DONE;
    options_init(&o);
    if (!read_options(c, &o, argc, argv, &problem)) {
        status = diag_usage(c->name, "%s: %s", c->name, problem);
    } else if (o.help) {
        help_command(c);
    } else {
        choose_repeat_penalty(&o);
        status = check(c, &o);
        if (status == EXIT_DONE) {
            say_sandbox(c, &o);
            status = c->run(&o);
        }
    }
    free(problem);
    options_free(&o);
    return status;
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        diag_usage(NULL, "no command was given");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        out_line("senses %s", SENSES_VERSION);
        out_line("sandbox of media decoders: %s", senses_sandbox());
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return run_help(argc - 2, argv + 2);
    const cli_command *c = command_find(argv[1]);
    return c != NULL ? run_command(c, argc - 2, argv + 2) : unknown_command(argv[1]);
}

int main(int argc, char **argv)
{
    if (!hold_standard_streams()) return EXIT_FAILED;
    interrupt_install();
    shrunk_install();
    int status = run(argc, argv);
    if (!out_finish() && status == EXIT_DONE) status = EXIT_FAILED;
    return status;
}
