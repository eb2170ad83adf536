/* How configurations came about: a tree of steps, so that a survivor can show its order. */
#ifndef ORDEAL_LINEARIZABLE_TRACE_H
#define ORDEAL_LINEARIZABLE_TRACE_H

#include "checkers/linearizable/configs.h"

struct lin_step {
    uint32_t parent; /* LIN_NONE: the beginning */
    uint32_t what;   /* an operation, or LIN_STEP_CLASS | a class of the supply */
    uint32_t event;  /* the position of the return for whose sake it was taken */
};
#define LIN_STEP_CLASS (UINT32_C(1) << 31)

struct lin_trace {
    struct lin_budget *budget;
    struct lin_step *steps;
    uint32_t count, capacity;
    uint32_t sweep_at; /* steps at which unreachable ones are swept out */
};

void lin_trace_init(struct lin_trace *trace, struct lin_budget *budget);
void lin_trace_free(struct lin_trace *trace);
/* The number of the new step; LIN_NONE: no memory. */
uint32_t lin_trace_add(struct lin_trace *trace, struct lin_step step);
/* When it has grown enough: forgets what leads to no configuration of `set`, and renumbers. False:
 * no memory. */
bool lin_trace_sweep(struct lin_trace *trace, struct lin_configs *set);

#endif
