/* Monitors: histories whose values are distinct, decided in about linear time.
 *
 * When every value is written or inserted once, what was read or removed says by which operation it
 * got there, and no search is needed: see docs/linearizability.md for each algorithm and why it is
 * right. A monitor declines what it does not understand (values that come twice, operations of
 * other kinds), and then a search decides. Nothing is believed on a monitor's word either: it gives
 * an order, which verify.h replays, or the few operations that already have none. */
#ifndef ORDEAL_LINEARIZABLE_MONITOR_H
#define ORDEAL_LINEARIZABLE_MONITOR_H

#include "checkers/linearizable/engine.h"

enum lin_monitored { LIN_DECLINED, LIN_LINEARIZABLE, LIN_VIOLATED };

struct lin_monitoring {
    const struct lin_problem *problem;
    struct lin_budget *budget;
    struct arena arena; /* for what ends with the monitor */
    /* LINEARIZABLE: op_count places each */
    uint32_t *order;
    int64_t *took; /* see struct lin_order; NULL when there are no such removals */
    uint32_t order_count;
    /* VIOLATED: per operation, whether it is one of those that have no order by themselves */
    uint8_t *kept;
};

enum lin_monitored lin_monitor_register(struct lin_monitoring *m);
enum lin_monitored lin_monitor_fifo(struct lin_monitoring *m);
enum lin_monitored lin_monitor_bag(struct lin_monitoring *m);
enum lin_monitored lin_monitor_stack(struct lin_monitoring *m);
enum lin_monitored lin_monitor_priority(struct lin_monitoring *m);
enum lin_monitored lin_monitor_set(struct lin_monitoring *m);

/* The monitor that suits the problem's model, if any. False: it declined, or there is none, and
 * `answer` is untouched. Of a VALID answer `took`, of an INVALID one `kept` and `at` are filled
 * too. */
bool lin_monitor(const struct lin_problem *problem, struct lin_budget *budget,
                 struct lin_answer *answer);
/* The problem of the kept operations alone, in the arena: weaker, since all operations that touch a
 * value are left out together. */
void lin_monitor_heart(const struct lin_problem *problem, const uint8_t *kept, uint32_t at,
                       struct arena *arena, struct lin_problem *heart);

static inline void lin_monitor_place(struct lin_monitoring *m, uint32_t op)
{
    m->order[m->order_count++] = op;
}

#endif
