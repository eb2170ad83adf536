/* What was measured beside the verdicts: durations as quantiles, shares, backlog. */
#ifndef ORDEAL_DELIVERY_FACTS_H
#define ORDEAL_DELIVERY_FACTS_H

#include "harness/base/json.h"
#include "harness/history.h"

/* Durations in classes of about 3 %: 2 KiB however many there are. */
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
    uint64_t delivered;
};

struct facts {
    uint64_t enqueues[4], dequeues[4], drains[4], acks[4], nacks[4], extends[4]; /* by outcome;
                                                                            OP_INVOKE counts all */
    uint64_t deliveries, redeliveries, drained, empties, duplicates;
    struct durations latency; /* from the enqueue's invocation to the first delivery's completion */
    struct durations late;    /* of delayed messages: at least so long after their time */
    struct durations redelivery; /* at least so long after the lease was over */
    struct consumer *consumers;  /* open addressing by process */
    uint32_t consumer_mask, consumer_count;
};

void facts_free(struct facts *facts);
void facts_consumed(struct facts *facts, int32_t process);
void facts_describe(const struct facts *facts, struct json *details);

#endif
