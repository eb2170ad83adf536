/* The map from entries to places. */
#include "queue/runs.h"

#include <stdlib.h>

enum { SECTORS_BETWEEN = 128 };

void runs_begin(struct runs *runs, uint64_t next_index)
{
    runs->count = 0;
    runs->first = next_index;
    runs->last = next_index - 1;
    runs->cut = false;
}

static void add(struct runs *runs, uint64_t first, uint64_t sequence, uint32_t sector)
{
    if (runs->count == runs->capacity) {
        runs->capacity = runs->capacity == 0 ? 16 : runs->capacity * 2;
        runs->items = disk_allocate(runs->items, runs->capacity * sizeof *runs->items);
    }
    runs->items[runs->count++] =
        (struct run){.first = first, .sequence = sequence, .sector = sector};
    runs->cut = false;
}

static void cut_from(struct runs *runs, uint64_t from)
{
    runs->cut = true;
    while (runs->count > 0 && runs->items[runs->count - 1].first >= from)
        runs->count--;
    runs->last = from - 1;
    if (runs->count == 0)
        runs->first = from;
}

bool runs_apply(struct runs *runs, const struct frame *frame, uint64_t sequence, uint32_t sector)
{
    if (frame->kind == FRAME_CLOSE)
        return true;
    if (frame->kind == FRAME_RESET) {
        runs_begin(runs, frame->index + 1);
        return true;
    }
    if (frame->index == 0 || frame->index > runs->last + 1)
        return false;
    if (frame->index <= runs->last)
        cut_from(runs, frame->index);
    if (frame->count == 0)
        return true;
    const struct run *newest = runs->count > 0 ? &runs->items[runs->count - 1] : NULL;
    if (runs->cut || newest == NULL || newest->sequence != sequence ||
        sector - newest->sector >= SECTORS_BETWEEN)
        add(runs, frame->index, sequence, sector);
    runs->last += frame->count;
    return true;
}

const struct run *runs_find(const struct runs *runs, uint64_t index, uint64_t *limit)
{
    size_t low = 0, high = runs->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs->items[middle].first <= index)
            low = middle;
        else
            high = middle;
    }
    *limit = low + 1 < runs->count ? runs->items[low + 1].first : runs->last + 1;
    return &runs->items[low];
}

bool runs_may_drop(const struct runs *runs, uint64_t sequence, uint64_t index)
{
    if (runs->count == 0)
        return true;
    for (size_t i = 0; i < runs->count; i++)
        if (runs->items[i].sequence > sequence)
            return i == 0 || runs->items[i].first <= index + 1;
    return false;
}

void runs_drop(struct runs *runs, uint64_t sequence)
{
    size_t dropped = 0;
    while (dropped < runs->count && runs->items[dropped].sequence <= sequence)
        dropped++;
    for (size_t i = dropped; i < runs->count; i++)
        runs->items[i - dropped] = runs->items[i];
    runs->count -= dropped;
    runs->first = runs->count > 0 ? runs->items[0].first : runs->last + 1;
}

void runs_free(struct runs *runs)
{
    free(runs->items);
    *runs = (struct runs){.items = NULL};
}
