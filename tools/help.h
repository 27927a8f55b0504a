/* help.h: the option table and the list of commands as texts: help, man page, shell completion. */
#ifndef TOOLS_HELP_H
#define TOOLS_HELP_H

#include "command.h"

void help_program(void);                 /* senses help */
void help_command(const cli_command *c); /* senses COMMAND --help */
void help_man(void);                     /* the page senses(1), as man(7) macros */
bool help_completion(const char *shell); /* bash, zsh or fish; false: another shell */

#endif
