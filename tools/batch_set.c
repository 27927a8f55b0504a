#include "batch_set.h"

#include <senses.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

batch_id batch_id_of(const void *bytes, size_t n)
{
    char hex[65], half[17] = {0};
    batch_id id;
    senses_sha256(bytes, n, hex);
    memcpy(half, hex, 16);
    id.a = strtoull(half, NULL, 16);
    memcpy(half, hex + 16, 16);
    id.b = strtoull(half, NULL, 16);
    return id;
}

/* Where id is, or the empty slot where it belongs; room > n. */
static batch_id *find(const batch_set *s, batch_id id)
{
    size_t at = id.a & (s->room - 1);
    while ((s->slots[at].a | s->slots[at].b) != 0 && (s->slots[at].a != id.a || s->slots[at].b != id.b)) at = (at + 1) & (s->room - 1);
    return &s->slots[at];
}

bool batch_set_has(const batch_set *s, batch_id id)
{
    if (s->n == 0) return false;
    const batch_id *slot = find(s, id);
    return (slot->a | slot->b) != 0;
}

static void grow(batch_set *s)
{
    batch_set larger = {.n = s->n, .room = s->room == 0 ? 64 : s->room * 2};
    larger.slots = must(calloc(larger.room, sizeof *larger.slots));
    for (size_t i = 0; i < s->room; i++)
        if ((s->slots[i].a | s->slots[i].b) != 0) *find(&larger, s->slots[i]) = s->slots[i];
    free(s->slots);
    *s = larger;
}

bool batch_set_add(batch_set *s, batch_id id)
{
    if (s->n + s->n / 2 >= s->room) grow(s);
    batch_id *slot = find(s, id);
    if ((slot->a | slot->b) != 0) return false;
    *slot = id;
    s->n++;
    return true;
}

void batch_set_free(batch_set *s)
{
    free(s->slots);
    *s = (batch_set){.n = 0};
}
