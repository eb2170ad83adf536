/* What the files of the workloads queue and queue-keys share, and their tests see. */
#ifndef ORDEAL_WORKLOADS_QUEUE_H
#define ORDEAL_WORKLOADS_QUEUE_H

#include "harness/workload.h"

/* What is asked: from the options in force; nonsense in them is brought to the nearest sense. */
struct queue_mix {
    uint16_t enqueue_f, dequeue_f, ack_f, nack_f, extend_f, length_f, drain_f;
    int64_t queues;                                           /* "q0", "q1", ... */
    double enqueue, dequeue;                                  /* weights */
    double once, delayed, expiring, prioritized, spooled;     /* fractions of enqueues */
    double nack, crash, hold, extend;                         /* of deliveries; the rest: ack */
    double nack_delayed;                                      /* of nacks */
    int64_t lease_ms, delay_ms_max, ttl_ms_max, work_ms_mean; /* ms */
    int64_t backlog;                                          /* no more unfinished than that */
    bool keyed;
    int64_t key_uses; /* enqueues of one key, about */
    int64_t settle_ns, drain_ns_max;
};
void queue_mix_init(struct queue_mix *mix, const struct options *from, const char *owner,
                    struct history *history);

/* A delivery that a consumer has not dealt with yet. */
enum queue_deed { QUEUE_ACK, QUEUE_NACK, QUEUE_EXTEND };
struct queue_held {
    int64_t message, delivery, count, retry_ms;
    uint32_t queue;
    char id[64];
    enum queue_deed deed;
    int64_t due_ns;
};
/* False when nothing can be said about the delivery (a body that is none, an at-most-once job). */
bool queue_held_read(const struct queue_mix *mix, struct value delivery, struct queue_held *held);
struct value queue_held_value(const struct queue_held *held, struct arena *scratch);
struct value queue_name(uint32_t queue, struct arena *scratch);

/* Producers and consumers, each thread both. */
struct generator *queue_work(struct arena *arena, const struct queue_mix *mix, uint64_t seed);
/* Drains every queue through every node, and asks every node for the lengths. */
struct generator *queue_drain(struct arena *arena, const struct queue_mix *mix,
                              uint32_t node_count);

#endif
