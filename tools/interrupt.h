/* interrupt.h: Ctrl-C and termination. The program ends at once with 130 (143) and leaves no temporary file; only an answer in a
 * chat, and what the library writes, are stopped softly. */
#ifndef TOOLS_INTERRUPT_H
#define TOOLS_INTERRUPT_H

#include <stdbool.h>

void interrupt_install(void);
/* The file to remove when the program is interrupted; NULL: none. False when the name is too long to be remembered. */
bool interrupt_guard_file(const char *path);
/* While a line on the terminal is unfinished, an interruption ends it first. */
void interrupt_guard_line(bool unfinished);
/* The guarded file and line seen to, by a signal handler that ends the program. */
void interrupt_leave(void);
bool interrupt_line_open(void);
/* Soft: the first interruption is only noted (interrupt_seen), the second ends the program. Resets what was seen. */
void interrupt_soft(bool soft);
bool interrupt_seen(void);
/* The same, and softly for every signal: for work that takes its own temporary file away when it is told to stop. */
void interrupt_orderly(bool orderly);
/* The same, but what is being worked on is finished first: interrupt_seen stays false, interrupt_status tells. */
void interrupt_finish(bool finish);
/* What the program ends with after the signal that was seen; 0: none was. */
int interrupt_status(void);

#endif
