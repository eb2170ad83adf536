/* Choosing a monitor, and what comes of it: see monitor.h. */
#include "checkers/linearizable/monitor.h"

#include <stdlib.h>
#include <string.h>

/* What a monitor needs at most, by operation and by event; it is paid for beforehand. */
enum { BYTES_PER_OP = 300, BYTES_PER_EVENT = 48 };

typedef enum lin_monitored monitor_fn(struct lin_monitoring *m);

static monitor_fn *find_monitor(const struct model *model)
{
    static monitor_fn *const by_container[] = {[MODEL_NO_CONTAINER] = NULL,
                                               [MODEL_FIFO] = lin_monitor_fifo,
                                               [MODEL_LIFO] = lin_monitor_stack,
                                               [MODEL_BAG] = lin_monitor_bag,
                                               [MODEL_PRIORITY] = lin_monitor_priority,
                                               [MODEL_SET] = lin_monitor_set};
    return model->effect != NULL ? lin_monitor_register : by_container[model->container];
}

static bool begins_empty(const struct lin_problem *problem)
{
    _Alignas(16) unsigned char empty[MODEL_STATE_MAX] = {0};
    problem->model->init(empty);
    return memcmp(empty, problem->start, problem->model->state_size) == 0;
}

/* The operation at whose return the kept ones have no order left: the last of them to return. */
static uint32_t last_return(const struct lin_problem *problem, const uint8_t *kept)
{
    uint32_t last = LIN_NEVER;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (kept[i] && problem->ops[i].op.known &&
            (last == LIN_NEVER || problem->ops[i].returned > problem->ops[last].returned))
            last = i;
    return last;
}

static void *copy(const void *bytes, size_t size)
{
    void *copied = bytes == NULL ? NULL : malloc(size + 1);
    if (copied != NULL)
        memcpy(copied, bytes, size);
    return copied;
}

static bool fill(const struct lin_monitoring *m, enum lin_monitored monitored,
                 struct lin_answer *answer)
{
    const struct lin_problem *problem = m->problem;
    struct lin_answer filled = {.at = LIN_NEVER, .begin = LIN_NEVER, .decided_by = "monitor"};
    if (monitored == LIN_LINEARIZABLE) {
        filled.verdict = VERDICT_VALID;
        filled.order = copy(m->order, m->order_count * sizeof *m->order);
        filled.took = copy(m->took, m->order_count * sizeof *m->took);
        filled.order_count = m->order_count;
        if (filled.order == NULL || (m->took != NULL && filled.took == NULL)) {
            free(filled.order);
            free(filled.took);
            return false;
        }
    } else {
        filled.verdict = VERDICT_INVALID;
        filled.at = last_return(problem, m->kept);
        filled.kept = copy(m->kept, problem->op_count);
        if (filled.kept == NULL || filled.at == LIN_NEVER) {
            free(filled.kept);
            return false;
        }
    }
    *answer = filled;
    return true;
}

bool lin_monitor(const struct lin_problem *problem, struct lin_budget *budget,
                 struct lin_answer *answer)
{
    monitor_fn *monitor = find_monitor(problem->model);
    size_t cost = ((size_t)problem->op_count + 1) * BYTES_PER_OP +
                  ((size_t)problem->event_count + 1) * BYTES_PER_EVENT;
    if (monitor == NULL || problem->any_start ||
        (problem->model->effect == NULL && !begins_empty(problem)) || !lin_charge(budget, cost))
        return false;
    struct lin_monitoring m = {.problem = problem, .budget = budget, .arena = ARENA_INIT};
    m.order = arena_alloc(&m.arena, ((size_t)problem->op_count + 1) * sizeof *m.order);
    m.kept = arena_zalloc(&m.arena, (size_t)problem->op_count + 1);
    enum lin_monitored monitored = monitor(&m);
    bool decided = monitored != LIN_DECLINED && fill(&m, monitored, answer);
    arena_free(&m.arena);
    lin_discharge(budget, cost);
    return decided;
}

void lin_monitor_heart(const struct lin_problem *problem, const uint8_t *kept, uint32_t at,
                       struct arena *arena, struct lin_problem *heart)
{
    struct lin_weakening weakening = {.until = problem->ops[at].returned};
    weakening.choice = arena_alloc(arena, (size_t)problem->op_count + 1);
    for (uint32_t i = 0; i < problem->op_count; i++)
        weakening.choice[i] = kept[i] ? LIN_KEEP : LIN_DROP;
    lin_problem_weaken(problem, &weakening, arena, heart);
}
