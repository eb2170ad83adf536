/* The judge of linearizations: replays one, knowing nothing of how it was found. */
#ifndef ORDEAL_LINEARIZABLE_VERIFY_H
#define ORDEAL_LINEARIZABLE_VERIFY_H

#include "checkers/linearizable/problem.h"

/* True when `order` is a linearization of the problem (which begins in the model's first state). */
struct lin_order {
    const uint32_t *ops;
    const int64_t *took; /* by place in the order: what model_replay calls `took`; or NULL */
    uint32_t count;
};
bool lin_verify_order(const struct lin_problem *problem, const struct lin_order *order);
bool lin_verify(const struct lin_problem *problem, const uint32_t *order, uint32_t count);

#endif
