/* The messages of a history and what is kept of each while it is read: 48 bytes, and at most 16 for
 * finding it by its name.
 *
 * Names that are small integers are found in an array, all others in a hash table. What many
 * messages have in common is kept once: the terms they were sent on, and the stream they belong to
 * (queue, producer, key and priority, within which order is promised). */
#ifndef ORDEAL_DELIVERY_MESSAGES_H
#define ORDEAL_DELIVERY_MESSAGES_H

#include "harness/history.h"

enum message_flag {
    MESSAGE_REFUSED = 1 << 0,    /* its enqueue certainly failed */
    MESSAGE_ACCEPTED = 1 << 1,   /* its enqueue was acknowledged */
    MESSAGE_AMBIGUOUS = 1 << 2,  /* sent more than once: nothing is judged of it */
    MESSAGE_DUPLICATE = 1 << 3,  /* the broker answered with an earlier message: not kept itself */
    MESSAGE_LAST_ALONE = 1 << 4, /* its latest delivery began after all others were over */
    MESSAGE_DEAD = 1 << 5,       /* it was certainly moved to the dead letters */
    MESSAGE_PLAIN = 1 << 6,      /* delivery is acknowledgement */
    MESSAGE_PEEKED = 1 << 8,     /* it was seen without being delivered */
    MESSAGE_DRAINED = 1 << 9,    /* a drain brought it */
    MESSAGE_PHANTOM = 1 << 10,   /* it came though it was not there: nothing else is judged of it */
    MESSAGE_UNJUDGED = MESSAGE_AMBIGUOUS | MESSAGE_PHANTOM,
};

/* Events are indices into the history, HISTORY_NONE where there is none. */
struct message {
    struct value name;
    uint32_t enqueue;    /* invocation of the (last) attempt to send it */
    uint32_t stream;     /* into streams */
    uint32_t terms;      /* into terms */
    uint32_t from, to;   /* its latest delivery: invocation and completion; of deliveries at the
                            same time the earliest invocation. Before the first: `from` is the
                            invocation of the last peek that showed it */
    uint32_t acked;      /* completion of the first acknowledgement that was accepted */
    uint32_t ending;     /* invocation of the first operation that may have ended it */
    uint32_t hold;       /* what nacks and extends did to its lease; into holds */
    uint16_t deliveries; /* certain ones; these three stop at UINT16_MAX */
    uint16_t asked;      /* operations invoked that brought it or will */
    uint16_t attempt;    /* the highest number that the broker gave one */
    uint16_t flags;
};

/* What shortened or lengthened the lease of a message's latest delivery. */
struct hold {
    int64_t floor_ns;      /* it cannot have ended before; INT64_MIN: no telling */
    int64_t ceiling_ns;    /* it must have ended by then; INT64_MAX: no telling */
    int64_t open_delay_ns; /* for so long an operation ... */
    uint32_t open_until;   /* ... that may take effect until this event may still set it */
    uint32_t floor_from;   /* the floor holds for deliveries invoked after this event */
    uint32_t sole;         /* the operation that is the only one open; HISTORY_NONE */
    uint32_t dead;         /* completion of the nack that made it dead; HISTORY_NONE */
    uint32_t arrived;      /* completion of the first delivery, where it tells more of when the
                              message was sent than its enqueue does; HISTORY_NONE */
    bool by_nack;          /* the floor is a nack's delay */
    bool returned;         /* a nack may have given the lease back */
};

struct terms {
    int64_t delay_ns, ttl_ns, retry_ns; /* DURATION_NONE: not said */
};

struct stream {
    struct value producer, key;
    int64_t priority;
    uint32_t queue;   /* into queues */
    uint32_t newest;  /* of its messages that were delivered, the one sent last: its enqueue */
    uint32_t which;   /* that message */
    uint32_t arrived; /* the completion of the delivery that made it so */
};

struct messages {
    struct arena arena;
    struct message **pages;
    uint32_t count, page_count;
    uint32_t *dense; /* by name, for integers below dense_size: number + 1 */
    uint32_t dense_size;
    uint32_t *slots; /* open addressing, all other names: number + 1 */
    uint32_t slot_mask, slot_used;
    struct stream *streams;
    uint32_t stream_count, stream_capacity;
    struct terms *terms;
    uint32_t terms_count, terms_capacity;
    struct hold *holds;
    uint32_t hold_count, hold_capacity;
    uint32_t *stream_slots, *terms_slots;
    uint32_t stream_mask, terms_mask;
    uint32_t stream_cache[64], terms_cache; /* the last found */
    uint64_t bytes;                         /* allocated in all */
};

enum { MESSAGE_PAGE_BITS = 12, MESSAGE_PAGE = 1 << MESSAGE_PAGE_BITS };

/* `expected` messages will be sent, about. */
void messages_init(struct messages *messages, uint32_t expected);
void messages_free(struct messages *messages);

static inline struct message *message_at(const struct messages *messages, uint32_t number)
{
    return &messages->pages[number >> MESSAGE_PAGE_BITS][number & (MESSAGE_PAGE - 1)];
}
/* The number of the message of this name, HISTORY_NONE when there is none. */
uint32_t messages_find(const struct messages *messages, struct value name);
/* Finds or makes it; a new one has never been sent. */
uint32_t messages_get(struct messages *messages, struct value name);

uint32_t messages_terms(struct messages *messages, struct terms terms);
uint32_t messages_stream(struct messages *messages, uint32_t queue, struct value producer,
                         struct value key, int64_t priority);
/* The message's hold, made when it has none: *fresh then says that its bounds are to be filled in.
 */
struct hold *messages_hold(struct messages *messages, struct message *message, bool *fresh);

#endif
