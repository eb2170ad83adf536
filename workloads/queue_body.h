/* What clients of queues have in common: bodies of messages, and the values of docs/delivery.md. */
#ifndef ORDEAL_WORKLOADS_QUEUE_BODY_H
#define ORDEAL_WORKLOADS_QUEUE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/value.h"

/* ---- What a message's body says ---- */

struct queue_body {
    int64_t message, producer, sequence;
    int64_t retry_ms; /* -1: not given */
    char queue[64];   /* a name without blanks */
};
/* Adds the body with its check sum, filled up to `size` bytes. */
void queue_body_write(const struct queue_body *body, size_t size, struct buf *out);
/* False when that is not, to the last byte, what queue_body_write would have written. */
bool queue_body_read(const char *text, size_t length, struct queue_body *body);

/* The body of an enqueue's value. */
void queue_body_of(struct value enqueue, size_t size, struct buf *out);

/* ---- Values ---- */

int64_t queue_number(struct value map, const char *name, int64_t otherwise);
/* The queue's name in the map; NULL when there is none that can be one. */
const char *queue_named(struct value map);
/* The map with further entries (keys and values, `count` in all) behind its own. */
struct value queue_extended(struct arena *scratch, struct value map, const struct value *more,
                            size_t count);

/* Someone holds a message; `id` is the broker's own name of it, or of its being held. */
struct queue_delivery {
    const char *text; /* the body as it came: one whose check sum is wrong is the :message */
    size_t length;
    const char *queue; /* whence it came */
    const char *id;
    int64_t delivery; /* from queue_next_delivery */
    int64_t count;    /* the broker's number of the delivery; 0: it says none */
};
struct value queue_delivery_value(const struct queue_delivery *delivery, struct arena *scratch);
/* Unique in this process: brokers must not be trusted to number their deliveries apart. */
int64_t queue_next_delivery(void);

/* Some deliveries, of which a drain's value is made. */
struct queue_taken {
    struct value *values;
    size_t count, capacity;
};
void queue_taken_add(struct queue_taken *taken, struct value value, struct arena *scratch);

/* {:queue Q :length N} */
struct value queue_length_value(struct value map, int64_t length, struct arena *scratch);

#endif
