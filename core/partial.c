#include "partial.h"

#include <stdio.h>

void sn_partial_text(char dst[SN_PARTIAL_TEXT], const sn_partial *p)
{
    static const struct {
        const char *one, *many;
    } names[] = {[SN_ROWS] = {"row", "rows"},       [SN_PASSES] = {"pass", "passes"}, [SN_SCANS] = {"scan", "scans"},
                 [SN_FRAMES] = {"frame", "frames"}, [SN_SECONDS] = {"s", "s"},        [SN_BYTES] = {"byte", "bytes"}};
    const unsigned unit = (unsigned)p->unit;
    const int digits = unit == SN_SECONDS ? 2 : 0;

    dst[0] = '\0';
    if (unit == SN_WHOLE || unit >= sizeof names / sizeof *names) return;
    if (p->want > 0)
        snprintf(dst, SN_PARTIAL_TEXT, "%.*f of %.*f %s", digits, p->have, digits, p->want, names[unit].many);
    else if (p->have == 1 && unit != SN_SECONDS)
        snprintf(dst, SN_PARTIAL_TEXT, "the first %s", names[unit].one);
    else
        snprintf(dst, SN_PARTIAL_TEXT, "the first %.*f %s", digits, p->have, names[unit].many);
}
