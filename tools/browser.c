#include "browser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

#ifdef __APPLE__
#define OPENER "open"
#else
#define OPENER "xdg-open"
#endif

static void report_problem(int report, int problem)
{
    ssize_t n;
    do n = write(report, &problem, sizeof problem);
    while (n < 0 && errno == EINTR);
    _exit(n == (ssize_t)sizeof problem ? 0 : 1);
}

/* In a process of its own, away from this terminal. What keeps it from starting goes back through the pipe, which a start closes. */
static void start_opener(const char *path, int report)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    int away = nowhere < 0 ? -1 : fcntl(nowhere, F_DUPFD_CLOEXEC, 3); /* who was started without the first three has others there */
    int told = fcntl(report, F_DUPFD_CLOEXEC, 3);
    setsid();
    for (int fd = 0; fd <= 2 && away >= 0 && told >= 0; fd++) dup2(away, fd);
    execlp(OPENER, OPENER, path, (char *)NULL);
    report_problem(told >= 0 ? told : report, errno);
}

/* The process between: nobody has to wait for its child. */
static void start_apart(const char *path, int report)
{
    pid_t child = fork();
    if (child == 0) start_opener(path, report);
    if (child < 0) report_problem(report, errno);
    _exit(0);
}

/* What was reported; 0: nothing, it runs. */
static int read_problem(pid_t child, int report)
{
    int problem = 0;
    ssize_t n;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    do n = read(report, &problem, sizeof problem);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof problem ? problem : 0;
}

bool browser_show(const char *path)
{
    char *whole = realpath(path, NULL); /* an opener takes no name that begins with a dash */
    int ends[2], problem = 0;
    if (whole != NULL && pipe2(ends, O_CLOEXEC) == 0) {
        pid_t child = fork();
        if (child == 0) start_apart(whole, ends[1]);
        if (child < 0) problem = errno;
        close(ends[1]);
        if (child > 0) problem = read_problem(child, ends[0]);
        close(ends[0]);
    } else {
        problem = errno;
    }
    free(whole);
    if (problem == 0) return true;
    diag_error("%s: cannot be shown: %s", path, problem == ENOENT ? "there is no " OPENER " to find a browser with" : strerror(problem));
    return false;
}
