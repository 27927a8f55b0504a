#include "salvage.h"

#include "../core/mem.h"

bool vis_salvage_copy(vis_salvage *out, vis_bytes f, size_t n, size_t more)
{
    size_t room;

    if (n > f.n || !sn_add_ok(n, more, &room) || !(out->file = sn_alloc(room, 1))) return false;
    memcpy(out->file, f.p, n);
    out->n = n;
    return true;
}

bool vis_salvage_rows(vis_salvage *out, size_t have, size_t want)
{
    if (have > want) have = want;
    out->partial = (sn_partial){SN_ROWS, (double)have, (double)want};
    return have > 0;
}

void vis_salvage_finish(const vis_salvage *s, vis_raster *r)
{
    const size_t step_w = s->step_w ? s->step_w : 1, step_h = s->step_h ? s->step_h : 1;

    if (s->rows && s->rows < r->h) r->h = s->rows;
    if (step_w == 1 && step_h == 1) return;
    for (size_t y = 0; y < r->h; y++) {
        const unsigned char *known = r->data + (y - y % step_h) * r->w * r->n_ch;
        unsigned char *row = r->data + y * r->w * r->n_ch;
        for (size_t x = 0; x < r->w; x++) memmove(row + x * r->n_ch, known + (x - x % step_w) * r->n_ch, r->n_ch);
    }
}
