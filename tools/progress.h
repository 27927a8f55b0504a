/* progress.h: one line on a terminal that says how far a long job is. Nothing is shown elsewhere, or under -q. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "options.h"

typedef struct {
    bool shown, on;
    bool plain;       /* not seconds of media: no speed is shown */
    const char *what; /* borrowed: what is worked on */
    double start_s, last_s;
} cli_progress;

/* Seconds on a clock that never goes back. */
double clock_s(void);

void progress_start(cli_progress *p, const cli_options *o, const char *what);
/* done of total seconds of media; total < 0: unknown. Draws at most ten times a second. */
void progress_update(cli_progress *p, double done_s, double total_s);
/* n tokens of an answer whose length is not known. */
void progress_tokens(cli_progress *p, size_t n);
/* Takes the line away, before other output. */
void progress_clear(cli_progress *p);

#endif
