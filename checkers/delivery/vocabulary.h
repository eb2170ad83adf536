/* The operations of queues, as histories write them: which function an event is of, and which
 * messages it names, with all that it says of them. docs/delivery.md has the vocabulary.
 *
 * Two shapes are read. A *told* message is a map ({:message 7 :queue "q" :delivery "x" ...}); being
 * delivered and being acknowledged are two operations there. A *plain* one is the value itself, as
 * in Jepsen's tests: `dequeue -> 7` is delivery and acknowledgement in one. */
#ifndef ORDEAL_DELIVERY_VOCABULARY_H
#define ORDEAL_DELIVERY_VOCABULARY_H

#include "harness/history.h"

enum queue_f {
    QUEUE_OTHER, /* not of this vocabulary */
    QUEUE_ENQUEUE,
    QUEUE_DEQUEUE,
    QUEUE_DRAIN,
    QUEUE_ACK,
    QUEUE_NACK,
    QUEUE_EXTEND,
    QUEUE_PEEK,
    QUEUE_LENGTH,
};
enum queue_f queue_f_of(const char *name);

enum { DURATION_NONE = -1 }; /* not given */

/* One message as an operation names it. Values are nil, numbers DURATION_NONE, where not given. */
struct item {
    struct value message;
    struct value queue, producer, key, body, delivery, id;
    int64_t count, priority;
    int64_t delay_ns, ttl_ns, retry_ns;
    bool plain; /* the value itself, not a map */
    bool dead, duplicate;
    const char *problem; /* why it is no message; NULL when it is one */
};

/* Reads one message: a map that tells it, or the plain value. */
void item_fill(struct item *item, struct value value);
static inline struct item item_read(struct value value)
{
    struct item item;
    item_fill(&item, value);
    return item;
}

/* How many messages the value of a completed dequeue, drain or peek holds: 0 for nil and for
 * keywords such as :empty and :exhausted. A vector is a list of messages, unless `vectors`
 * (messages themselves are vectors, as in NATS' tests) and it holds no vector and no map. */
size_t items_count_list(struct value value, bool vectors);
static inline size_t items_count(struct value value, bool vectors)
{
    return value_is_nil(value) ? 0 : value_is_small(value) ? 1 : items_count_list(value, vectors);
}
/* The value of one of them. */
struct value items_at(struct value value, bool vectors, size_t index);

/* Whether a dequeue that completed so was told that nothing is there: ok with nothing, or fail with
 * a value or an error such as :empty or :exhausted. */
bool says_empty(const struct history *history, uint32_t completion, bool vectors);

/* A number that the map gives under this name, -1 when it gives none. */
int64_t item_number(struct value map, const char *name);

#endif
