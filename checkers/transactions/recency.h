/* Recency: how old what was read had become, at least.
 *
 * A read is stale when it does not show a write that was certainly there before the read's
 * transaction was invoked, and came after what it shows. A write was certainly there when its
 * transaction completed ok, or when one that had observed it did. So each age (from then to the
 * read's invocation) is a lower bound, whatever the isolation. These are facts, and no verdict: a
 * system may well promise less than reads of what is newest.
 *
 * Of lists their order tells what came after what was read. Of registers that a write came after
 * another is certain where it was invoked after the other was certainly there, or the other is the
 * initial value. Nothing is measured of keys whose lists contradict each other, nor where the
 * history has no times. */
#ifndef ORDEAL_TRANSACTIONS_RECENCY_H
#define ORDEAL_TRANSACTIONS_RECENCY_H

#include "checkers/durations.h"
#include "checkers/transactions/infer.h"

struct recency {
    uint64_t reads;        /* of what others wrote, by transactions that were ok */
    struct durations ages; /* of those that were stale */
    uint32_t txn, mop;     /* the oldest of these */
    uint32_t missed;       /* the event by which it was certain that there was something newer */
};

/* After the inference. */
void recency_of_lists(const struct inference *inference, struct recency *recency);
void recency_of_registers(const struct inference *inference, struct recency *recency);
/* {"read-count", "stale-count", "age", "oldest"}, "oldest" having "key", "read", "age-ns", "event"
 * (of the read) and "missed-event". */
struct json *recency_json(const struct recency *recency, const struct txns *txns);

#endif
