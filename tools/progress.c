#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "output.h"

double clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_start(cli_progress *p, const cli_options *o, const char *what)
{
    const char *term = getenv("TERM");
    bool able = term != NULL && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
    *p = (cli_progress){.on = able && !o->quiet, .what = what, .start_s = clock_s()};
}

static void draw(const cli_progress *p, double done_s, double total_s, double now_s)
{
    enum { WIDTH = 24 };
    double spent_s = now_s - p->start_s, rate = spent_s > 0 ? done_s / spent_s : 0;
    char *name = text_escape(p->what);
    if (total_s > 0) {
        double share = done_s < total_s ? done_s / total_s : 1;
        long left_s = rate > 0 ? (long)((total_s - done_s) / rate) : 0;
        char bar[WIDTH + 1];
        for (int i = 0; i < WIDTH; i++) bar[i] = i < (int)(share * WIDTH) ? '#' : '.';
        bar[WIDTH] = '\0';
        if (p->plain)
            fprintf(stderr, "\r\033[K[%s] %3.0f %%  %ld:%02ld left  %.30s", bar, share * 100, left_s / 60, left_s % 60, name);
        else
            fprintf(stderr, "\r\033[K[%s] %3.0f %%  %.1f times as fast as it plays, %ld:%02ld left  %.30s", bar, share * 100, rate,
                    left_s / 60, left_s % 60, name);
    } else {
        fprintf(stderr, "\r\033[K%.0f s done, %.1f times as fast as it plays  %.30s", done_s, rate, name);
    }
    fflush(stderr);
    free(name);
}

/* Whether a line is due: a short job shows none, and none is drawn more than ten times a second. */
static bool is_due(cli_progress *p)
{
    double now_s = clock_s();
    if (!p->on || now_s - p->start_s < 0.5 || now_s - p->last_s < 0.1) return false;
    interrupt_guard_line(true);
    p->shown = true;
    p->last_s = now_s;
    return true;
}

void progress_tokens(cli_progress *p, size_t n)
{
    if (!is_due(p)) return;
    char *name = text_escape(p->what);
    fprintf(stderr, "\r\033[K%zu tokens, %.0f a second  %.40s", n, (double)n / (p->last_s - p->start_s), name);
    fflush(stderr);
    free(name);
}

void progress_update(cli_progress *p, double done_s, double total_s)
{
    if (is_due(p)) draw(p, done_s, total_s, p->last_s);
}

void progress_clear(cli_progress *p)
{
    if (!p->shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    interrupt_guard_line(false);
    p->shown = false;
}
