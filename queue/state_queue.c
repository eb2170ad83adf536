/* Queues: found by name, numbered for their jobs, forgotten when empty for long. See state_inner.h.
 */
#include "queue/state_inner.h"

#include <assert.h>
#include <stdlib.h>

#include "queue/state_base.h"

uint64_t queue_name_hash(struct command_bytes name)
{
    return table_hash(2, name.data, name.length);
}

struct queue *queue_find(const struct state *state, struct command_bytes name)
{
    return table_find(&state->names, queue_name_hash(name), &name);
}

struct queue *queue_find_again(struct state *state, struct command_bytes name)
{
    struct queue *last = state->queue_found;
    if (!last || last->length != name.length || memcmp(last->name, name.data, name.length) != 0)
        state->queue_found = queue_find(state, name);
    return state->queue_found;
}

static uint32_t number_take(struct state *state)
{
    if (state->free_count)
        return state->free_numbers[--state->free_count];
    if (state->queue_count == state->queue_capacity) {
        state->queue_capacity = state->queue_capacity * 2 + 16;
        size_t capacity = state->queue_capacity;
        state->queues = memory_resize(state->queues, capacity * sizeof *state->queues);
        state->free_numbers =
            memory_resize(state->free_numbers, capacity * sizeof *state->free_numbers);
    }
    return state->queue_count++;
}

struct queue *queue_obtain(struct state *state, struct command_bytes name)
{
    uint64_t hash = queue_name_hash(name);
    struct queue *queue = table_find(&state->names, hash, &name);
    if (queue)
        return queue;
    queue = memory_zeroed(sizeof *queue + name.length);
    memcpy(queue->name, name.data, name.length);
    queue->length = name.length;
    queue->hash = hash;
    queue->number = number_take(state);
    state->queues[queue->number] = queue;
    table_insert(&state->names, hash, queue, &name);
    return queue;
}

bool queue_is_idle(const struct queue *queue, uint64_t keys)
{
    const struct state_counters *counters = &queue->counters;
    return !(counters->ready | counters->delayed | counters->leased | counters->dead | keys |
             queue->length_max | queue->leased_max | queue->pause);
}

static void idle_append(struct state *state, struct queue *queue)
{
    queue->idle_previous = state->idle_last;
    queue->idle_next = NULL;
    *(state->idle_last ? &state->idle_last->idle_next : &state->idle_first) = queue;
    state->idle_last = queue;
}

static void idle_unlink(struct state *state, struct queue *queue)
{
    *(queue->idle_previous ? &queue->idle_previous->idle_next : &state->idle_first) =
        queue->idle_next;
    *(queue->idle_next ? &queue->idle_next->idle_previous : &state->idle_last) =
        queue->idle_previous;
}

void queue_settle(struct state *state, struct queue *queue)
{
    bool idle = queue_is_idle(queue, queue->keys);
    if (idle == queue->idle)
        return;
    queue->idle = idle;
    if (idle) {
        queue->idle_since_ms = state->time_ms;
        idle_append(state, queue);
    } else {
        idle_unlink(state, queue);
    }
}

void queue_free(struct state *state, struct queue *queue)
{
    if (queue->idle)
        idle_unlink(state, queue);
    table_remove(&state->names, queue->hash, queue);
    if (state->queue_found == queue)
        state->queue_found = NULL;
    state->queues[queue->number] = NULL;
    state->free_numbers[state->free_count++] = queue->number;
    free(queue);
}

void queue_forget_idle(struct state *state)
{
    uint64_t patience_ms = state->config[CONFIG_QUEUE_IDLE_MS];
    while (state->idle_first && state->idle_first->idle_since_ms + patience_ms <= state->time_ms)
        queue_free(state, state->idle_first);
}

void queue_touch(struct state *state, struct queue *queue)
{
    if (queue->touched)
        return;
    queue->touched = true;
    if (state->touched_count == state->touched_capacity) {
        state->touched_capacity = state->touched_capacity * 2 + 16;
        state->touched =
            memory_resize(state->touched, state->touched_capacity * sizeof *state->touched);
    }
    state->touched[state->touched_count++] = queue->number;
}

bool queue_gives(const struct queue *queue)
{
    if (queue->pause & PAUSE_OUT)
        return false;
    return !queue->leased_max || queue->counters.leased < queue->leased_max;
}
