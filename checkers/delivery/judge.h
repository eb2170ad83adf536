/* The pass over a history that follows every message, and the settings it is judged by. Private to
 * the checker `delivery`. docs/delivery.md argues for each rule why a right queue never breaks it,
 * whatever happened to operations of unknown outcome. */
#ifndef ORDEAL_DELIVERY_JUDGE_H
#define ORDEAL_DELIVERY_JUDGE_H

#include "checkers/delivery/facts.h"
#include "checkers/delivery/findings.h"
#include "checkers/delivery/messages.h"
#include "checkers/delivery/queues.h"
#include "checkers/delivery/vocabulary.h"
#include "harness/checker.h"

struct settings {
    int64_t slack_ns;         /* clocks may differ by so much before it counts */
    int64_t settle_ns;        /* an operation of unknown outcome takes effect within this, or never;
                                 INT64_MAX: at any time */
    int64_t stuck_ns;         /* a deliverable message that is asked for so long is stuck */
    int64_t retry_ns;         /* the lease of messages that do not say; DURATION_NONE: unknown */
    struct value dead_letter; /* the queue of dead messages; nil: none */
};

enum { PROBLEMS_MAX = 20 };
struct problem {
    uint32_t event;
    uint32_t other; /* an earlier event it contradicts; HISTORY_NONE */
    const char *what;
};

/* A message that was overtaken: kept until it is known what may have taken it unseen. */
struct overtaken {
    uint32_t message, by;
    uint32_t from;    /* invocation of its first delivery */
    uint32_t arrived; /* completion of the other's */
};

/* How often something was there that could have broken a promise. */
enum tested {
    TESTED_ACCEPTED,    /* messages accepted */
    TESTED_DELIVERED,   /* deliveries */
    TESTED_ONCE,        /* deliveries of at-most-once messages */
    TESTED_ACKED,       /* acknowledged messages */
    TESTED_LEASED,      /* deliveries under a known lease */
    TESTED_REDELIVERED, /* redeliveries whose time was checked */
    TESTED_DELAYED,
    TESTED_TTL,
    TESTED_COUNTED,
    TESTED_ORDERED,
    TESTED_ENDED,  /* messages moved to the dead letters */
    TESTED_FENCED, /* acks, nacks and extensions of superseded deliveries */
    TESTED_KEYED,  /* messages sent with a key that was used before */
    TESTED_KINDS,
};

/* What the values of events said, kept a little while: most are asked for when an operation is
 * invoked and again when it completes. */
enum { ITEMS_KEPT = 64 };
struct kept_item {
    uint32_t event; /* + 1 */
    uint32_t index; /* within its value */
    struct item item;
};

struct judge {
    const struct history *history;
    struct kept_item kept[ITEMS_KEPT];
    struct settings settings;
    uint8_t *functions; /* enum queue_f by f */
    bool vectors;       /* messages are vectors themselves */
    bool lists;         /* a dequeue that asked for no number brought several */
    bool acks;          /* acknowledging is an operation of its own, also of plain messages */
    bool keys;          /* some message was sent with a key */
    bool timed;         /* every event has a time */
    int64_t healed_ns;  /* when the last fault was undone; INT64_MAX: one never was */
    struct messages messages;
    struct queues queues;
    struct findings findings;
    struct facts facts;
    uint64_t tested[TESTED_KINDS];
    struct overtaken *overtaken;
    uint32_t overtaken_count, overtaken_capacity;
    struct problem problems[PROBLEMS_MAX];
    uint64_t problem_count;
    uint64_t queue_operations;
    /* filled in at the end: messages that were accepted, and of those */
    uint64_t accepted;
    uint64_t expired;   /* never came, and may have expired */
    uint64_t undrained; /* never came, and no drain tells whether they are still there */
    uint64_t spent;   /* at most once, and may have been taken by an operation of unknown outcome */
    uint64_t excused; /* never came, but an operation of unknown outcome may have taken it */
    uint64_t unfinished; /* may have to come (again), and nobody waited long enough */
    uint64_t unseen;     /* should have come (again), but may have, unseen */
    struct finding undrained_example, excused_example, unfinished_example, unseen_example;
};

void judge_init(struct judge *judge, const struct history *history,
                const struct settings *settings);
void judge_free(struct judge *judge);
/* Reads the whole history. */
void judge_fold(struct judge *judge);
/* What is only known at the end: what never came. */
void judge_end(struct judge *judge);

/* ---- Shared by the parts ---- */
/* The message that the value of an event names (ITEM_WHOLE), or the index-th that it brings: good
 * until the next one is asked for. */
#define ITEM_WHOLE UINT32_MAX
const struct item *judge_item(struct judge *judge, uint32_t event, uint32_t index);
void judge_problem(struct judge *judge, uint32_t event, uint32_t other, const char *what);
static inline int64_t judge_time(const struct judge *judge, uint32_t event)
{
    return judge->history->time_ns[event];
}
static inline const struct terms *judge_terms(const struct judge *judge,
                                              const struct message *message)
{
    return &judge->messages.terms[message->terms];
}
/* The lease of a delivery; DURATION_NONE when nobody said. */
static inline int64_t judge_retry_ns(const struct judge *judge, const struct message *message)
{
    int64_t retry_ns = judge_terms(judge, message)->retry_ns;
    return retry_ns != DURATION_NONE ? retry_ns : judge->settings.retry_ns;
}
/* a + b without passing INT64_MAX, which stands for never. */
static inline int64_t later(int64_t a_ns, int64_t b_ns)
{
    if (a_ns == INT64_MIN)
        return a_ns;
    return a_ns > INT64_MAX - b_ns ? INT64_MAX : a_ns + b_ns;
}
/* Reports that `message` broke a promise, shown by these events (HISTORY_NONE are left out). */
void judge_found(struct judge *judge, enum finding_kind kind, uint32_t message, int64_t by_ns,
                 const uint32_t *events, size_t count);

#endif
