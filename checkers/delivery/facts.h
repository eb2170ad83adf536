/* What was measured beside the verdicts: durations as quantiles, shares, backlog. */
#ifndef ORDEAL_DELIVERY_FACTS_H
#define ORDEAL_DELIVERY_FACTS_H

#include "checkers/delivery/backlog.h"
#include "checkers/durations.h"
#include "harness/base/json.h"
#include "harness/history.h"

struct consumer {
    int32_t process;
    uint64_t delivered, acked; /* acknowledgements that were accepted */
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
