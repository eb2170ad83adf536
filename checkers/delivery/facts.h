/* What was measured beside the verdicts: durations as quantiles, shares, backlog. */
#ifndef ORDEAL_DELIVERY_FACTS_H
#define ORDEAL_DELIVERY_FACTS_H

#include "harness/base/json.h"
#include "harness/history.h"

/* Durations in classes of about 3 %: 8 KiB however many there are. */
enum { QUANTILE_BITS = 5, QUANTILE_CLASSES = (64 - QUANTILE_BITS + 1) << QUANTILE_BITS };
struct durations {
    uint64_t count;
    int64_t least_ns, most_ns;
    uint32_t classes[QUANTILE_CLASSES];
};
void durations_add(struct durations *durations, int64_t ns);
/* The upper end of the class that this share of them does not exceed; 0 when there are none. */
int64_t durations_quantile(const struct durations *durations, double share);
/* {"count", "min-ns", "p50-ns", "p90-ns", "p99-ns", "max-ns"}; null when there are none. */
struct json *durations_json(const struct durations *durations);

struct consumer {
    int32_t process;
    uint64_t delivered, acked; /* acknowledgements that were accepted */
};

/* How long messages were there: those that were accepted, from then on (later by their delay) until
 * they may have ended or expired. So each is a lower bound, and the greatest is how old the oldest
 * message of the backlog was at least, at its oldest. */
struct backlog {
    struct durations ages;
    uint64_t unfinished;   /* not ended and not expired when the history ends */
    int64_t unfinished_ns; /* the oldest of them is so old at least */
};

struct facts {
    uint64_t enqueues[4], dequeues[4], drains[4], acks[4], nacks[4], extends[4]; /* by outcome;
                                                                            OP_INVOKE counts all */
    uint64_t deliveries, redeliveries, drained, empties, duplicates;
    struct durations latency; /* from the enqueue's invocation to the first delivery's completion */
    struct durations late;    /* of delayed messages: at least so long after their time */
    struct durations redelivery; /* at least so long after the lease was over */
    struct durations finish; /* from the enqueue's invocation to the completion of what ended it */
    struct backlog backlog;
    struct consumer *consumers; /* open addressing by process */
    uint32_t consumer_mask, consumer_count;
};

void facts_free(struct facts *facts);
void facts_consumed(struct facts *facts, int32_t process);
void facts_acked(struct facts *facts, int32_t process);
/* Once, when all is measured: it sorts the consumers. */
void facts_describe(struct facts *facts, struct json *details);

#endif
