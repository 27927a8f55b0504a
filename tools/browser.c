#include "browser.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"

/* In a process of its own, away from this terminal. What keeps it from starting goes back through the pipe, which a start closes. */
static void start_opener(const char *path, int report)
{
    static const char *const openers[] = {"xdg-open", "open"};
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    int problem = 0;
    setsid();
    for (int fd = 0; fd <= 2 && nowhere >= 0; fd++) dup2(nowhere, fd);
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++) {
        execlp(openers[i], openers[i], path, (char *)NULL);
        if (problem == 0 || errno != ENOENT) problem = errno;
    }
    ssize_t written = write(report, &problem, sizeof problem);
    _exit(written == (ssize_t)sizeof problem ? 0 : 1);
}

bool browser_show(const char *path)
{
    char *whole = realpath(path, NULL); /* an opener takes no name that begins with a dash */
    int ends[2], problem = 0;
    pid_t child = -1;
    if (whole != NULL && pipe2(ends, O_CLOEXEC) == 0) {
        child = fork();
        if (child == 0) {
            if (fork() == 0) start_opener(whole, ends[1]); /* a grandchild: nobody has to wait for it */
            _exit(0);
        }
        if (child < 0) problem = errno;
        close(ends[1]);
        if (child > 0) {
            waitpid(child, NULL, 0);
            if (read(ends[0], &problem, sizeof problem) != (ssize_t)sizeof problem) problem = 0;
        }
        close(ends[0]);
    } else {
        problem = errno;
    }
    free(whole);
    if (problem == 0) return true;
    diag_error("%s: cannot be shown: %s", path, problem == ENOENT ? "there is no xdg-open to find a browser with" : strerror(problem));
    return false;
}
