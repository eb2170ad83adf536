/* How configurations came about: see trace.h. */
#include "checkers/linearizable/trace.h"

#include <string.h>

enum { SWEEP_MIN = 1 << 14 };

void lin_trace_init(struct lin_trace *trace, struct lin_budget *budget)
{
    *trace = (struct lin_trace){.budget = budget, .sweep_at = SWEEP_MIN};
}

void lin_trace_free(struct lin_trace *trace)
{
    lin_release(trace->budget, trace->steps, trace->capacity * sizeof *trace->steps);
    *trace = (struct lin_trace){.budget = trace->budget};
}

uint32_t lin_trace_add(struct lin_trace *trace, struct lin_step step)
{
    if (trace->count == trace->capacity) {
        if (trace->capacity >= UINT32_MAX / 4)
            return LIN_NONE;
        uint32_t capacity = trace->capacity == 0 ? 256 : trace->capacity * 2;
        struct lin_step *steps = lin_realloc(
            trace->budget, trace->steps, trace->capacity * sizeof *steps, capacity * sizeof *steps);
        if (steps == NULL)
            return LIN_NONE;
        trace->steps = steps;
        trace->capacity = capacity;
    }
    trace->steps[trace->count] = step;
    return trace->count++;
}

/* Parents come before children, so one pass down marks and one pass up moves. */
bool lin_trace_sweep(struct lin_trace *trace, struct lin_configs *set)
{
    if (trace->count < trace->sweep_at)
        return true;
    size_t size = (size_t)trace->count * sizeof(uint32_t), stride = set->shape->stride;
    uint32_t *moved = lin_realloc(trace->budget, NULL, 0, size);
    if (moved == NULL)
        return false;
    memset(moved, 0, size);
    for (uint32_t i = 0; i < set->count; i++) {
        const struct lin_config *config = lin_configs_at(set, stride, i);
        if (!config->dead && config->trace != LIN_NONE)
            moved[config->trace] = 1;
    }
    for (uint32_t i = trace->count; i-- > 0;)
        if (moved[i] && trace->steps[i].parent != LIN_NONE)
            moved[trace->steps[i].parent] = 1;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        if (!moved[i])
            continue;
        struct lin_step step = trace->steps[i];
        step.parent = step.parent == LIN_NONE ? LIN_NONE : moved[step.parent];
        trace->steps[kept] = step;
        moved[i] = kept++;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        struct lin_config *config = lin_configs_at(set, stride, i);
        if (config->trace != LIN_NONE)
            config->trace = config->dead ? LIN_NONE : moved[config->trace];
    }
    lin_release(trace->budget, moved, size);
    trace->count = kept;
    trace->sweep_at = kept * 2 > SWEEP_MIN ? kept * 2 : SWEEP_MIN;
    return true;
}
