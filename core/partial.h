/* partial.h: how much of a truncated medium was there. */
#ifndef CORE_PARTIAL_H
#define CORE_PARTIAL_H

#include <stddef.h>

typedef enum { SN_WHOLE, SN_ROWS, SN_PASSES, SN_SCANS, SN_FRAMES, SN_SECONDS, SN_BYTES } sn_part;

/* Plain numbers, as they come from a process that is not trusted. */
typedef struct {
    sn_part unit;      /* SN_WHOLE: nothing is missing */
    double have, want; /* want 0: the file does not say */
} sn_partial;

#define SN_PARTIAL_TEXT 80
/* "412 of 600 rows", "the first 3 scans", "2.50 of 10.00 s"; "" of what is whole. */
void sn_partial_text(char dst[SN_PARTIAL_TEXT], const sn_partial *p);

#endif
