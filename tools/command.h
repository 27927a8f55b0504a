/* command.h: what a command is. Each tools/cmd_NAME.c ends in one; main.c lists them. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "options.h"

/* Exit status of the program. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_SOME_FAILED = 3, EXIT_INTERRUPTED = 130 };

typedef struct {
    const char *name;
    const char *operands; /* as the usage line shows them, "" for none */
    const char *summary;  /* a few words: the list of commands */
    const char *details;  /* paragraphs for help and man page */
    const char *examples; /* one a line */
    uint32_t sets;        /* SET_*: options it takes */
    size_t min_operands, max_operands;
    const char *operand_missing; /* "no image was given" */
    int (*run)(const cli_options *o);
} cli_command;

extern const cli_command cmd_describe, cmd_transcribe, cmd_ask, cmd_chat, cmd_sketch, cmd_info, cmd_models, cmd_convert, cmd_quantize,
    cmd_batch, cmd_merge, cmd_tokenize, cmd_encode, cmd_logits, cmd_perplexity, cmd_bench;

/* All commands in the order of the help; NULL ends the list. */
extern const cli_command *const commands[];
const cli_command *command_find(const char *name);

#endif
