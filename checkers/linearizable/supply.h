/* Optional operations as a supply: those that do the same are counted, not told apart.
 *
 * An optional operation never returns, so of two that do the same only "invoked yet?" matters: the
 * i-th use takes the i-th invoked, and a configuration need remember only how many it has used. A
 * class is the optional operations with the same (needs, leaves). */
#ifndef ORDEAL_LINEARIZABLE_SUPPLY_H
#define ORDEAL_LINEARIZABLE_SUPPLY_H

#include "checkers/linearizable/budget.h"
#include "checkers/linearizable/problem.h"

struct lin_class {
    int64_t needs, leaves;
    uint32_t *members; /* operations in the order of invocation */
    uint32_t member_count;
    uint32_t first;  /* position of the first invocation */
    uint32_t death;  /* the last position at which a use can help; LIN_NEVER: the end */
    uint32_t column; /* where configurations count its uses; classes that never meet share one */
};

struct lin_supplies {
    struct lin_class *classes;
    uint32_t count, columns;
    uint32_t *class_of; /* per operation; LIN_NEVER: required, or never of use */
    uint32_t *members;  /* the storage of the classes' members */
    uint32_t *by_death; /* class numbers by ascending death */
    bool capped;        /* a class has more members than a configuration can count */
    uint32_t op_count;
};

enum { LIN_SUPPLY_MAX = UINT16_MAX };

/* For a problem whose model has an effect. False: no memory. */
bool lin_supplies_make(struct lin_supplies *supplies, const struct lin_problem *problem,
                       struct lin_budget *budget);
void lin_supplies_free(struct lin_supplies *supplies, struct lin_budget *budget);

#endif
