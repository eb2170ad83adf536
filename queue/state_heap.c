/* See state_heap.h. */
#include "queue/state_heap.h"

#include <assert.h>
#include <stdlib.h>

#include "queue/state_base.h"

void heap_free(struct heap *heap)
{
    free(heap->slots);
    *heap = (struct heap){0};
}

static bool before(struct heap_slot a, struct heap_slot b)
{
    if (a.deadline_ms != b.deadline_ms)
        return a.deadline_ms < b.deadline_ms;
    return a.timer->sequence < b.timer->sequence;
}

static void place(struct heap *heap, uint32_t slot, struct heap_slot entry)
{
    heap->slots[slot] = entry;
    entry.timer->slot = slot;
}

static void settle(struct heap *heap, uint32_t slot, struct heap_slot entry)
{
    for (; slot > 1 && before(entry, heap->slots[slot / 2]); slot /= 2)
        place(heap, slot, heap->slots[slot / 2]);
    for (uint32_t child; (child = 2 * slot) <= heap->count; slot = child) {
        if (child < heap->count && before(heap->slots[child + 1], heap->slots[child]))
            child++;
        if (!before(heap->slots[child], entry))
            break;
        place(heap, slot, heap->slots[child]);
    }
    place(heap, slot, entry);
}

static void resize(struct heap *heap, uint32_t capacity)
{
    heap->slots = memory_resize(heap->slots, (capacity + 1ul) * sizeof *heap->slots);
    heap->capacity = capacity;
}

void heap_set(struct heap *heap, struct timer *timer, uint64_t deadline_ms)
{
    uint32_t slot = timer->slot;
    if (!slot) {
        assert(heap->count < UINT32_MAX / 2);
        if (heap->count == heap->capacity)
            resize(heap, heap->capacity + heap->capacity / 2 + 16);
        slot = ++heap->count;
    }
    settle(heap, slot, (struct heap_slot){deadline_ms, timer});
}

void heap_clear(struct heap *heap, struct timer *timer)
{
    uint32_t slot = timer->slot;
    if (!slot)
        return;
    timer->slot = 0;
    struct heap_slot last = heap->slots[heap->count--];
    if (last.timer != timer)
        settle(heap, slot, last);
    if (heap->capacity > 1024 && heap->count < heap->capacity / 4)
        resize(heap, heap->capacity / 2);
}

struct timer *heap_first(const struct heap *heap)
{
    return heap->count ? heap->slots[1].timer : NULL;
}

uint64_t heap_next_ms(const struct heap *heap)
{
    return heap->count ? heap->slots[1].deadline_ms : UINT64_MAX;
}

uint64_t heap_deadline_ms(const struct heap *heap, const struct timer *timer)
{
    return timer->slot ? heap->slots[timer->slot].deadline_ms : 0;
}
