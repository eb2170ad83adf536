/* Why an operation cannot be placed, in words, with the operations that forbid it. */
#ifndef ORDEAL_LINEARIZABLE_EXPLAIN_H
#define ORDEAL_LINEARIZABLE_EXPLAIN_H

#include "checkers/linearizable/shrink.h"
#include "harness/base/json.h"

struct lin_case {
    const struct history *history;
    const struct lin_problem *problem;
    uint32_t at; /* the operation at whose return no order is left */
    const struct lin_heart *heart;
    const uint8_t *possible; /* states just before it: see lin_frontier_options.watched; or NULL */
    const uint32_t *partial; /* operations in the longest order of what came before its return, or
                                NULL */
    const int64_t *partial_took; /* as struct lin_order has it; or NULL */
    uint32_t partial_count;
    bool keyed;
    struct value key;
    const uint32_t *events; /* the key's client events */
    uint32_t event_count;
};

struct lin_explanation {
    char *title, *text;
    uint32_t *events; /* ascending */
    size_t event_count;
    struct json *fields; /* what the anomaly gets besides: "key", "op", "missed" ... */
};

void lin_explain(const struct lin_case *found, struct lin_explanation *explanation);
void lin_explanation_free(struct lin_explanation *explanation);

/* "the read of 3 by process 4", for reasons. `event` is the invocation. */
void lin_name_op(const struct history *history, const struct lin_problem *problem, uint32_t op,
                 struct buf *out);

#endif
