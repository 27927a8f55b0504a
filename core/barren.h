/* barren.h: how far a demuxer may read on without finding anything. One that has lost its way, in a preallocated file of gigabytes say, looks
 * for the next packet to the file's end: for minutes, and some keep all that they passed. */
#ifndef CORE_BARREN_H
#define CORE_BARREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Zeros in a row: more than a packet has, but for uncompressed films of 8K where nothing is to be seen. */
#define SN_MAX_ZEROS ((uint64_t)64 << 20)

typedef struct {
    uint64_t n, n_zeros; /* bytes since the last packet; zeros since the last other byte or packet */
    uint64_t at;         /* where the present zeros began */
    bool lost;           /* for good */
} sn_barren;

/* A packet was found, or a block of samples is asked for. */
static inline void sn_barren_end(sn_barren *b)
{
    b->n = b->n_zeros = 0;
}

/* n bytes were read at `at`. False: this leads nowhere. max: of bytes of any kind between two packets; 0: what lies there may be others'. */
static inline bool sn_barren_go_on(sn_barren *b, const unsigned char *bytes, size_t n, uint64_t at, uint64_t max)
{
    const bool zeros = n > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0;

    if (!zeros || b->n_zeros == 0) b->at = at;
    b->n_zeros = zeros ? b->n_zeros + n : 0;
    b->n += n;
    if (b->n_zeros > SN_MAX_ZEROS || (max > 0 && b->n > max)) b->lost = true;
    return !b->lost;
}

#endif
