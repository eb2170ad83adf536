/* What the promises of a queue mean, by brute force: every way in which the operations of a small
 * history can have taken effect is tried on an imaginary broker. A promise is broken if it is
 * broken in all of them. Written from docs/delivery.md ("What an operation means"), not from the
 * checker, and slow: it is what the checker is compared with.
 *
 * Times are small whole numbers ("ticks"); no two events have the same. All messages are in one
 * queue. */
#ifndef ORDEAL_TESTS_DELIVERY_ORACLE_H
#define ORDEAL_TESTS_DELIVERY_ORACLE_H

#include <stdbool.h>

#include "harness/history.h"

enum { ORACLE_OPS_MAX = 16, ORACLE_MESSAGES_MAX = 6, ORACLE_BATCH_MAX = 6, ORACLE_NONE = -1 };

enum oracle_f {
    ORACLE_ENQUEUE,
    ORACLE_DEQUEUE, /* ok: one message, or none */
    ORACLE_ACK,
    ORACLE_NACK,
    ORACLE_DEAD, /* a nack that makes it dead */
    ORACLE_EXTEND,
    ORACLE_DRAIN, /* ok: a batch of messages */
};

struct oracle_op {
    enum oracle_f f;
    int process;
    int from, to;          /* ticks; `to` is ignored where the outcome is OP_INFO */
    enum op_type outcome;  /* OP_INFO: it may take effect at any time from `from` on, or never */
    int message;           /* ORACLE_NONE: of an ok dequeue, that there was none */
    int token;             /* of a delivery or what settles it; ORACLE_NONE: not told */
    int count;             /* of a delivery; ORACLE_NONE: not told */
    int delay, ttl, retry; /* of an enqueue, a nack, an extension; ORACLE_NONE: not given */
    int producer, key;
    int batch[ORACLE_BATCH_MAX], batch_count;
};

/* Of which nothing is said yet. */
static inline struct oracle_op oracle_op_of(enum oracle_f f)
{
    return (struct oracle_op){.f = f,
                              .message = ORACLE_NONE,
                              .token = ORACLE_NONE,
                              .count = ORACLE_NONE,
                              .delay = ORACLE_NONE,
                              .ttl = ORACLE_NONE,
                              .retry = ORACLE_NONE,
                              .producer = ORACLE_NONE,
                              .key = ORACLE_NONE};
}

struct oracle_case {
    struct oracle_op ops[ORACLE_OPS_MAX];
    int op_count;
    int settle;     /* how long what is indeterminate may take; ORACLE_NONE: for ever */
    int stuck;      /* how long a message that is asked for may be undelivered */
    int end;        /* the last tick */
    long steps_max; /* then a search gives up; 0: never */
};

enum oracle_promise {
    ORACLE_NO_LOSS,
    ORACLE_NO_PHANTOM,
    ORACLE_AT_MOST_ONCE,
    ORACLE_AFTER_ACK,
    ORACLE_EXCLUSIVE,
    ORACLE_DELAY,
    ORACLE_TTL,
    ORACLE_RETRY,
    ORACLE_COUNT,
    ORACLE_ORDER,
    ORACLE_STUCK,
    ORACLE_DEAD_LETTER,
    ORACLE_FENCING,
    ORACLE_UNIQUE_KEY,
    ORACLE_EXACTLY_ONCE, /* that there are no two acknowledgements; the rest is ORACLE_NO_LOSS */
    ORACLE_PROMISES,
};
extern const char *const oracle_promise_names[ORACLE_PROMISES];

/* Whether no way of taking effect keeps the promise. *steps counts the work; where it comes to
 * steps_max the answer means nothing. */
bool oracle_broken(const struct oracle_case *one, enum oracle_promise promise, long *steps);

/* The same as a history for the checker, times in milliseconds, paired. */
void oracle_history(const struct oracle_case *one, struct history *history);

#endif
