#include "shrunk.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"

/* /proc/self/maps, read through a small buffer: nothing is allocated in a signal handler. */
typedef struct {
    int fd;
    char buf[512];
    ssize_t n, at;
} reader;

/* The next byte, or -1. */
static int next(reader *r)
{
    if (r->at == r->n) {
        r->n = read(r->fd, r->buf, sizeof r->buf);
        r->at = 0;
    }
    return r->n > 0 ? (unsigned char)r->buf[r->at++] : -1;
}

static uintptr_t next_hex(reader *r, int *stop)
{
    static const char digits[] = "0123456789abcdef";
    uintptr_t v = 0;
    const char *d;
    while ((*stop = next(r)) > 0 && (d = strchr(digits, *stop)) != NULL) v = v * 16 + (uintptr_t)(d - digits);
    return v;
}

/* The file whose mapping holds `address`: lines of "first-behind mode offset device inode   /path". False: none. */
static bool mapped_file(uintptr_t address, char *name, size_t room)
{
    reader r = {.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    bool found = false;
    if (r.fd < 0) return false;
    for (int c = 0; c >= 0 && !found;) {
        const uintptr_t first = next_hex(&r, &c), behind = next_hex(&r, &c);
        size_t n = 0;
        while (c >= 0 && c != '\n') {
            c = next(&r);
            if (c >= 0 && c != '\n' && (n > 0 || c == '/') && n + 1 < room) name[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
        }
        name[n] = '\0';
        found = n > 0 && address >= first && address < behind;
    }
    close(r.fd);
    return found;
}

static void say(const char *text)
{
    for (size_t n = strlen(text); n > 0;) {
        const ssize_t put = write(STDERR_FILENO, text, n);
        if (put <= 0) return;
        text += put;
        n -= (size_t)put;
    }
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    char name[4096];
    if (info->si_code == BUS_ADRERR && mapped_file((uintptr_t)info->si_addr, name, sizeof name)) {
        interrupt_leave();
        say("senses: ");
        say(name);
        say(": was cut short by another program while it was in use\n");
        _exit(1);
    }
    signal(sig, SIG_DFL); /* our own mistake: it is not to look like anything else */
    raise(sig);
}

void shrunk_install(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}
