/* interrupt.h: Ctrl-C and termination. The program ends at once with 130 (143) and leaves no temporary file; only an answer in a
 * chat is stopped softly. */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
/* The file to remove when the program is interrupted; NULL: none. False when the name is too long to be remembered. */
bool interrupt_guard_file(const char *path);
/* While a line on the terminal is unfinished, an interruption ends it first. */
void interrupt_guard_line(bool unfinished);
/* Soft: the first interruption is only noted (interrupt_seen), the second ends the program. Resets what was seen. */
void interrupt_soft(bool soft);
bool interrupt_seen(void);

#endif
