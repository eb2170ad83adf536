/* The queues of a history: what may have taken messages out of each unseen, when it was drained,
 * and when it said that it was empty. Queue 0 is the unnamed one: an operation that names no queue
 * is about all of them. */
#ifndef ORDEAL_DELIVERY_QUEUES_H
#define ORDEAL_DELIVERY_QUEUES_H

#include "harness/history.h"

#define CAPACITY_UNBOUNDED INT64_MAX

/* A dequeue that nobody knows the answer of: it may have taken so many messages. */
struct taker {
    uint32_t invoked;
    int64_t at_ns;
    int64_t capacity; /* -1: it did not say how many it asked for */
};

struct drainer { /* the last drain of a process */
    int32_t process;
    uint32_t invoked, completed; /* completed: HISTORY_NONE unless ok */
};

struct queue {
    struct value name;
    struct taker *takers;
    uint32_t taker_count, taker_capacity;
    struct drainer *drainers;
    uint32_t drainer_count, drainer_capacity;
    uint32_t unsure_drain; /* invocation of the last drain of unknown outcome */
    uint32_t empty;        /* invocation of the last dequeue that was told: nothing here */
    int64_t length;        /* what it last said its length was; -1 */
    uint32_t length_asked; /* that operation's invocation */
};

struct queues {
    struct queue *items;
    uint32_t count, capacity;
};

void queues_init(struct queues *queues); /* with queue 0 */
void queues_free(struct queues *queues);
/* The number of the queue of this name, made on first use; nil is 0. */
uint32_t queues_get(struct queues *queues, struct value name);

void queue_taken(struct queue *queue, struct taker taker);
void queue_drained(struct queue *queue, struct drainer drainer);

/* From when to when the queue was drained for the last time by everybody who ever drained it:
 * whatever was ready at `from` was found by one of them. False when it never was, or when the last
 * drain of one of them did not end well. */
struct drained {
    uint32_t from, to; /* the first invocation, the last completion */
};
bool queue_last_drain(const struct queues *queues, uint32_t queue, struct drained *drained);
/* The last operation of unknown outcome that may have drained it; HISTORY_NONE. */
uint32_t queue_unsure_drain(const struct queues *queues, uint32_t queue);

#endif
