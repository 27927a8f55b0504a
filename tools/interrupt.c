#include "interrupt.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A signal handler has no other way to know things than variables of the program. */
static char guarded_file[4096];
static volatile sig_atomic_t file_guarded, line_guarded, soft_mode, finishing, seen;

enum { AT_ONCE, SOFT_INT, SOFT_ALL };

void interrupt_leave(void)
{
    if (file_guarded) unlink(guarded_file);
    if (line_guarded) (void)!write(STDERR_FILENO, "\n", 1);
}

static void on_signal(int sig)
{
    if (!seen && (soft_mode == SOFT_ALL || (soft_mode == SOFT_INT && sig == SIGINT))) {
        seen = sig;
        return;
    }
    interrupt_leave();
    _exit(128 + sig);
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct sigaction inherited;
    if (sigaction(SIGHUP, NULL, &inherited) == 0 && inherited.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL); /* nohup stays nohup */
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigemptyset(&usual.sa_mask);
    signal(SIGXFSZ, SIG_IGN);         /* a file that may not grow is an error of the write */
    sigaction(SIGPIPE, &usual, NULL); /* a reader that has gone ends us quietly, whatever our parent ignores */
}

bool interrupt_guard_file(const char *path)
{
    file_guarded = 0;
    if (path == NULL) return true;
    size_t n = strlen(path);
    if (n >= sizeof guarded_file) return false;
    memcpy(guarded_file, path, n + 1);
    file_guarded = 1;
    return true;
}

void interrupt_guard_line(bool unfinished)
{
    line_guarded = unfinished;
}

void interrupt_soft(bool soft)
{
    seen = 0;
    soft_mode = soft ? SOFT_INT : AT_ONCE;
}

bool interrupt_line_open(void)
{
    return line_guarded != 0;
}

bool interrupt_seen(void)
{
    return seen != 0 && !finishing;
}

void interrupt_finish(bool finish)
{
    interrupt_orderly(finish);
    finishing = finish;
}

void interrupt_orderly(bool orderly)
{
    seen = 0;
    soft_mode = orderly ? SOFT_ALL : AT_ONCE;
}

int interrupt_status(void)
{
    return seen != 0 ? 128 + seen : 0;
}
