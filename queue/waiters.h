/* Who waits for jobs in which queue, first come, first served. In the leader's memory only. */
#ifndef ORDEAL_QUEUE_WAITERS_H
#define ORDEAL_QUEUE_WAITERS_H

#include "queue/command.h"

#include <stdbool.h>

struct request;
struct waiter_queue;

/* One place in one queue's line. */
struct waiter {
    struct waiter *next, *previous;
    struct waiter_queue *queue; /* NULL: in no line */
    struct request *request;
};

struct waiter_queue {
    struct waiter_queue *next, *dirty_next;
    struct waiter *first, *last;
    uint64_t taking; /* jobs asked for by takes that are not applied yet */
    bool dirty;
    uint32_t hash, length;
    char name[COMMAND_NAME_BYTES_MAX];
};

struct waiters {
    struct waiter_queue **buckets;
    uint32_t bucket_count, queue_count;
    struct waiter_queue *dirty;
};

void waiters_add(struct waiters *waiters, struct waiter *waiter, struct command_bytes queue,
                 bool in_front);
void waiters_remove(struct waiters *waiters, struct waiter *waiter);
/* NULL when nobody waits there nor is taking. */
struct waiter_queue *waiters_find(struct waiters *waiters, struct command_bytes queue);
struct waiter_queue *waiters_make(struct waiters *waiters, struct command_bytes queue);
/* To be looked at in this turn, when anybody waits there. */
void waiters_mark(struct waiters *waiters, struct command_bytes queue);
struct waiter_queue *waiters_next_dirty(struct waiters *waiters);
void waiters_tidy(struct waiters *waiters, struct waiter_queue *queue); /* frees an empty one */
void waiters_free(struct waiters *waiters);

#endif
