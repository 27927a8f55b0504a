/* The output of a batch that is gone on with: any bytes. What is no journal is left as it is; a journal keeps its whole records, and loses at
 * most a torn last line; and what it became is read again as the same. */
#include "../../tools/batch_journal.h"
#include "../../tools/batch_record.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char folder[FUZZ_FOLDER], path[128];

static void remove_all(void)
{
    unlink(path);
    rmdir(folder);
}

static void put(const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0) exit(1);
}

static size_t get(unsigned char *data, size_t room)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) exit(1);
    const size_t n = fread(data, 1, room, f);
    fclose(f);
    return n;
}

/* Opens and closes it; *n_records of it. What is said are whole lines without control characters. */
static bool open_once(size_t *n_records, bool retry)
{
    const cli_options o = {.retry_failed = retry};
    char settings[1][17] = {"0123456789abcdef"}, *said = NULL;
    size_t n_said = 0;
    FILE *usual = stderr;
    batch_journal j;
    stderr = open_memstream(&said, &n_said);
    if (stderr == NULL) exit(1);
    const bool good = batch_journal_open(&j, &o, path, settings, 1);
    *n_records = j.n_records;
    FUZZ_MUST(j.n_others <= j.n_records && j.done.n + j.failed.n <= j.n_records);
    FUZZ_MUST(batch_journal_close(&j));
    fclose(stderr);
    stderr = usual;
    FUZZ_MUST(good || n_said > 0);
    for (size_t i = 0; i < n_said; i++) FUZZ_MUST(said[i] == '\n' ? i + 1 == n_said : (unsigned char)said[i] >= 0x20);
    free(said);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (folder[0] == '\0') {
        fuzz_folder(folder);
        snprintf(path, sizeof path, "%s/out.jsonl", folder);
        atexit(remove_all);
    }
    if (n < 1) return 0;
    unsigned char *after = malloc(n + 1);
    if (after == NULL) exit(1);
    put(data + 1, n - 1);
    size_t first, second;
    const bool good = open_once(&first, data[0] & 1);
    const size_t left = get(after, n + 1);
    FUZZ_MUST(left <= n - 1 && memcmp(after, data + 1, left) == 0);
    FUZZ_MUST(good || left == n - 1);
    if (good) {
        FUZZ_MUST(left == 0 || after[left - 1] == '\n');
        FUZZ_MUST(memchr(data + 1 + left, '\n', n - 1 - left) == NULL || memchr(data + 1 + left, '\0', n - 1 - left) != NULL);
        FUZZ_MUST(open_once(&second, data[0] & 1) && first == second);
        FUZZ_MUST(get(after, n + 1) == left);
    }
    free(after);
    return 0;
}
