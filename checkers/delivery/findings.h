/* What was found to break promises: each kind is one certain fact, and the table of promises
 * (promises.h) says which of them it breaks. */
#ifndef ORDEAL_DELIVERY_FINDINGS_H
#define ORDEAL_DELIVERY_FINDINGS_H

#include "harness/history.h"

enum finding_kind {
    FOUND_PHANTOM,       /* delivered though never sent, or before, or though it certainly failed */
    FOUND_WRONG_QUEUE,   /* delivered from another queue than it was sent to */
    FOUND_WRONG_BODY,    /* delivered with another body than it was sent with */
    FOUND_LOST,          /* accepted, never delivered, not left in the queue */
    FOUND_TWICE,         /* an at-most-once message delivered twice */
    FOUND_AFTER_ACK,     /* delivered after its acknowledgement was accepted */
    FOUND_ACKED_TWICE,   /* two deliveries' acknowledgements were accepted */
    FOUND_EARLY_OTHER,   /* delivered to a second consumer before the first's lease was over */
    FOUND_EARLY_SAME,    /* the same to the same consumer, or the first may have returned it */
    FOUND_EARLY_NACK,    /* delivered before the delay of its nack was over */
    FOUND_SAME_DELIVERY, /* one delivery handed to two consumers */
    FOUND_BEFORE_DELAY,  /* delivered before its delay was over */
    FOUND_AFTER_TTL,     /* delivered after its time to live was over */
    FOUND_EXPIRED_EARLY, /* gone before its time to live was over */
    FOUND_COUNT_LOW,     /* the broker counts fewer deliveries than were seen */
    FOUND_COUNT_HIGH,    /* the broker counts more than there can have been */
    FOUND_OVERTAKEN,     /* a later message of its stream came first */
    FOUND_STUCK,         /* deliverable, asked for, and not delivered */
    FOUND_VANISHED,      /* delivered, not acknowledged, and neither came again nor was left */
    FOUND_TWO_ENDS,      /* acknowledged and dead, or delivered again after it was dead */
    FOUND_STALE_ACCEPTED, /* a superseded delivery's ack, nack or extension was accepted */
    FOUND_KEY_TWICE,      /* two messages of one key lived at once */
    FINDING_KINDS,
};

enum { FINDING_EVENTS = 6, FINDING_EXAMPLES = 5 };

struct finding {
    enum finding_kind kind;
    uint32_t message;
    uint32_t events[FINDING_EVENTS]; /* what shows it; HISTORY_NONE ends */
    int64_t by_ns;                   /* how far off, at least; 0 where there is no such thing */
    uint32_t other;                  /* another message, HISTORY_NONE */
};

struct findings {
    uint64_t counts[FINDING_KINDS];
    struct finding examples[FINDING_KINDS][FINDING_EXAMPLES];
};

/* Counts it, and keeps it if it is among the first of its kind. `events` ends with HISTORY_NONE. */
void finding_add(struct findings *findings, const struct finding *finding);
static inline size_t finding_examples(const struct findings *findings, enum finding_kind kind)
{
    return findings->counts[kind] < FINDING_EXAMPLES ? (size_t)findings->counts[kind]
                                                     : FINDING_EXAMPLES;
}
/* "lost", "delivered-after-ack": the anomaly's kind. */
const char *finding_name(enum finding_kind kind);

#endif
