/* replay.c: main of a fuzz target without libFuzzer: feeds it the named files, and those of the named folders. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static size_t n_fed;

static void feed(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (f == NULL || fstat(fileno(f), &st) != 0) {
        perror(path);
        exit(1);
    }
    const size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n > 0 ? n : 1); /* of the exact size: a byte too many is seen */
    if (data == NULL || fread(data, 1, n, f) != n) exit(1);
    fclose(f);
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    n_fed++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (d == NULL) {
            feed(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            feed(path);
        }
        closedir(d);
    }
    printf("%zu inputs\n", n_fed);
    return n_fed > 0 ? 0 : 1;
}
