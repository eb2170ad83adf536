/* The queues of a history: see queues.h. */
#include "checkers/delivery/queues.h"

#include <stdio.h>
#include <stdlib.h>

static void reserve(void *array, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity)
        return;
    *capacity = *capacity == 0 ? 8 : *capacity * 2;
    void *memory = realloc(*(void **)array, *capacity * size);
    if (memory == NULL) {
        fprintf(stderr, "ordeal: out of memory for the queues of a history\n");
        abort();
    }
    *(void **)array = memory;
}

void queues_init(struct queues *queues)
{
    *queues = (struct queues){.items = NULL};
    queues_get(queues, value_nil());
}

void queues_free(struct queues *queues)
{
    for (uint32_t i = 0; i < queues->count; i++) {
        free(queues->items[i].takers);
        free(queues->items[i].drainers);
    }
    free(queues->items);
    *queues = (struct queues){.items = NULL};
}

uint32_t queues_get(struct queues *queues, struct value name)
{
    for (uint32_t i = 0; i < queues->count; i++)
        if (value_equal(queues->items[i].name, name))
            return i;
    reserve(&queues->items, queues->count, &queues->capacity, sizeof *queues->items);
    queues->items[queues->count] = (struct queue){.name = name,
                                                  .unsure_drain = HISTORY_NONE,
                                                  .empty = HISTORY_NONE,
                                                  .length = -1,
                                                  .length_asked = HISTORY_NONE};
    return queues->count++;
}

void queue_taken(struct queue *queue, struct taker taker)
{
    reserve(&queue->takers, queue->taker_count, &queue->taker_capacity, sizeof taker);
    queue->takers[queue->taker_count++] = taker;
}

void queue_drained(struct queue *queue, struct drainer drainer)
{
    for (uint32_t i = 0; i < queue->drainer_count; i++)
        if (queue->drainers[i].process == drainer.process) {
            queue->drainers[i] = drainer;
            return;
        }
    reserve(&queue->drainers, queue->drainer_count, &queue->drainer_capacity, sizeof drainer);
    queue->drainers[queue->drainer_count++] = drainer;
}

/* Widens `drained` by one queue's drainers; false when one of them did not end well. */
static bool add_drainers(const struct queue *queue, struct drained *drained)
{
    for (uint32_t i = 0; i < queue->drainer_count; i++) {
        const struct drainer *drainer = &queue->drainers[i];
        if (drainer->completed == HISTORY_NONE)
            return false;
        if (drained->from == HISTORY_NONE || drainer->invoked < drained->from)
            drained->from = drainer->invoked;
        if (drained->to == HISTORY_NONE || drainer->completed > drained->to)
            drained->to = drainer->completed;
    }
    return true;
}

/* What is said of all queues is said of each; what is said of one is nothing of all. */
bool queue_last_drain(const struct queues *queues, uint32_t queue, struct drained *drained)
{
    *drained = (struct drained){HISTORY_NONE, HISTORY_NONE};
    if (!add_drainers(&queues->items[0], drained))
        return false;
    if (queue != 0 && !add_drainers(&queues->items[queue], drained))
        return false;
    return drained->from != HISTORY_NONE;
}

uint32_t queue_unsure_drain(const struct queues *queues, uint32_t queue)
{
    uint32_t all = queues->items[0].unsure_drain, own = queues->items[queue].unsure_drain;
    if (queue == 0)
        for (uint32_t i = 1; i < queues->count; i++)
            if (queues->items[i].unsure_drain != HISTORY_NONE)
                return queues->items[i].unsure_drain;
    return own != HISTORY_NONE ? own : all;
}
