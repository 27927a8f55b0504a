/* reading_order.h: characters found on a page, put in the order a reader meets them. Private to vision/. */
#ifndef VISION_READING_ORDER_H
#define VISION_READING_ORDER_H

#include "../core/mem.h"

#include <stddef.h>

typedef struct { /* of one character: a row of cells, and the frame in it */
    size_t row, frame;
} vis_place;

/* order [n]: the numbers of the places as they are read. A place goes on with a line that ends up to `gap` frames to its left, in its own row
 * or one beside it: the line whose end is nearest, a row counting as six frames. Lines follow each other by their mean rows, then by where
 * they begin. Scratch comes from `tmp` and is given back. */
void vis_reading_order(size_t *order, const vis_place *places, size_t n, size_t gap, sn_arena *tmp);
size_t vis_reading_order_scratch_bytes(size_t n);

#endif
