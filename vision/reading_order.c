/* reading_order.c: lines of text are joined from left to right, then stacked (tools/train/README.md, "The graph, for the C program"). Text that
 * is not quite level wanders through rows of cells; a decoder that reads whole lines has little more to do than to copy. */
#include "reading_order.h"

#include <stdlib.h>

#define NONE ((size_t)-1)
#define ROW_COST 6 /* in frames: a cell is as high as four of them are wide, and text is mostly level */

typedef struct {
    vis_place at;
    size_t number; /* in the caller's list */
    size_t next;   /* of its line, or NONE */
} item;

typedef struct {
    size_t first, last; /* items */
    size_t n, sum_rows;
} line;

static int compare(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

static int by_frame(const void *a, const void *b)
{
    const item *x = a, *y = b;
    const int frames = compare(x->at.frame, y->at.frame);

    return frames ? frames : compare(x->at.row, y->at.row);
}

typedef struct {
    size_t mean_row, frame, line; /* `line` breaks ties: qsort alone does not keep equals in order */
} line_key;

static int by_row(const void *a, const void *b)
{
    const line_key *x = a, *y = b;
    const int rows = compare(x->mean_row, y->mean_row), frames = compare(x->frame, y->frame);

    return rows ? rows : frames ? frames : compare(x->line, y->line);
}

/* The line that the item goes on with, or NONE. */
static size_t nearest_line(const line *lines, size_t n_lines, const item *items, const item *it, size_t gap)
{
    size_t best = NONE, best_cost = NONE;

    for (size_t i = 0; i < n_lines; i++) {
        const vis_place *end = &items[lines[i].last].at;
        const size_t rows = it->at.row > end->row ? it->at.row - end->row : end->row - it->at.row;
        if (rows > 1 || it->at.frame <= end->frame || it->at.frame - end->frame > gap) continue;
        const size_t cost = it->at.frame - end->frame + ROW_COST * rows;
        if (cost < best_cost) best = i, best_cost = cost;
    }
    return best;
}

/* Lines of the items, which are sorted by frame; returns how many. */
static size_t join_lines(line *lines, item *items, size_t n, size_t gap)
{
    size_t n_lines = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t k = nearest_line(lines, n_lines, items, &items[i], gap);
        line *l = &lines[k == NONE ? n_lines : k];
        if (k == NONE)
            *l = (line){.first = i}, n_lines++;
        else
            items[l->last].next = i;
        l->last = i;
        l->n++;
        l->sum_rows += items[i].at.row;
    }
    return n_lines;
}

void vis_reading_order(size_t *order, const vis_place *places, size_t n, size_t gap, sn_arena *tmp)
{
    const size_t mark = sn_arena_mark(tmp);
    item *items = sn_arena_alloc(tmp, n * sizeof *items);
    line *lines = sn_arena_alloc(tmp, n * sizeof *lines);
    line_key *keys = sn_arena_alloc(tmp, n * sizeof *keys);
    size_t n_order = 0;

    for (size_t i = 0; i < n; i++) items[i] = (item){places[i], i, NONE};
    qsort(items, n, sizeof *items, by_frame);
    const size_t n_lines = join_lines(lines, items, n, gap);
    for (size_t i = 0; i < n_lines; i++)
        keys[i] = (line_key){(2 * lines[i].sum_rows + lines[i].n) / (2 * lines[i].n), items[lines[i].first].at.frame, i};
    qsort(keys, n_lines, sizeof *keys, by_row);
    for (size_t i = 0; i < n_lines; i++)
        for (size_t k = lines[keys[i].line].first; k != NONE; k = items[k].next) order[n_order++] = items[k].number;
    sn_arena_reset(tmp, mark);
}

size_t vis_reading_order_scratch_bytes(size_t n)
{
    return sn_arena_cost(n * sizeof(item)) + sn_arena_cost(n * sizeof(line)) + sn_arena_cost(n * sizeof(line_key));
}
