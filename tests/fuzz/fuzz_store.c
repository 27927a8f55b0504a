/* The cache of encoded media: whatever lies under an entry's name is believed only when it is wholly what was put there. */
#include "../../core/store.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
enum { ROWS = 3, COLS = 5 };

static char folder[FUZZ_FOLDER], entry[192];
static sn_store *store;
static unsigned char good[1024];
static size_t n_good;

static void remove_all(void)
{
    static char added[128];
    snprintf(added, sizeof added, "%s/.added", folder);
    unlink(entry);
    unlink(added);
    rmdir(folder);
    sn_store_close(store);
}

static void open_store(void)
{
    float rows[ROWS * COLS];
    sn_err err = {0};
    for (size_t i = 0; i < ROWS * COLS; i++) rows[i] = (float)i;
    fuzz_folder(folder);
    if (sn_store_open(&store, folder, 1 << 20, &err) != SN_OK) exit(1);
    snprintf(entry, sizeof entry, "%s/%s.rows", folder, KEY);
    atexit(remove_all);
    FILE *f;
    if (sn_store_put(store, KEY, ROWS, COLS, rows, &err) != SN_OK || (f = fopen(entry, "rb")) == NULL) exit(1);
    n_good = fread(good, 1, sizeof good, f);
    fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    float rows[ROWS * COLS] = {0};
    unsigned char bytes[sizeof good];
    if (store == NULL) open_store();
    if (n < 4 || n > sizeof bytes + 4) return 0;
    const size_t from = data[0] | data[1] << 8; /* the good entry with some of it written over, or cut, or longer */
    size_t n_bytes = n_good;
    memcpy(bytes, good, n_good);
    for (size_t i = 4; i < n; i++) bytes[(from + i - 4) % n_good] ^= data[i];
    if (data[2] & 1) n_bytes = data[3] * n_good / 255;
    FILE *f = fopen(entry, "wb");
    if (f == NULL || fwrite(bytes, 1, n_bytes, f) != n_bytes) exit(1);
    fclose(f);
    const bool same = n_bytes == n_good && memcmp(bytes, good, n_good) == 0;
    FUZZ_MUST(sn_store_get(store, KEY, ROWS, COLS, rows) == same);
    FUZZ_MUST((access(entry, F_OK) == 0) == same); /* what is not believed is removed */
    return 0;
}
