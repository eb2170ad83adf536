/* A binary heap of deadlines in the replicated time. Ties go to the smaller sequence number, so the
 * order in which deadlines come due depends on nothing but the deadlines and numbers themselves. */
#ifndef ORDEAL_QUEUE_STATE_HEAP_H
#define ORDEAL_QUEUE_STATE_HEAP_H

#include <stdbool.h>
#include <stdint.h>

/* At the head of whatever can wait for a deadline. */
struct timer {
    uint64_t sequence; /* unique in the state */
    uint32_t slot;     /* the heap's own: 0 when not waiting */
    uint32_t queue;    /* the owner's: number of the queue that it belongs to */
};

struct heap_slot {
    uint64_t deadline_ms;
    struct timer *timer;
};

struct heap {
    struct heap_slot *slots; /* from 1 */
    uint32_t count, capacity;
};

void heap_free(struct heap *heap);
/* Sets a timer, or moves it when it is already set. */
void heap_set(struct heap *heap, struct timer *timer, uint64_t deadline_ms);
/* Clears a timer; nothing happens when it is not set. */
void heap_clear(struct heap *heap, struct timer *timer);
/* The first to come due, or NULL. */
struct timer *heap_first(const struct heap *heap);
/* When the first comes due; UINT64_MAX when none is set. */
uint64_t heap_next_ms(const struct heap *heap);
/* When this one comes due; 0 when it is not set. */
uint64_t heap_deadline_ms(const struct heap *heap, const struct timer *timer);

#endif
