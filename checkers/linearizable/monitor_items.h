/* The values of a container's history, each with the window of its insertion and of its removal. */
#ifndef ORDEAL_LINEARIZABLE_MONITOR_ITEMS_H
#define ORDEAL_LINEARIZABLE_MONITOR_ITEMS_H

#include "checkers/linearizable/monitor.h"

/* Moments. An operation invoked at position i that returned at position r may happen in the gaps
 * i + 1 .. r; gap g is the one before event g, and the last one is `events`, after all. Of what
 * never returned r is `events`. A removal that never was is after everything: invoked at
 * events + 1, returned at events + 2.
 *
 * Windows are narrowed to what follows at once: the insertion cannot be later than the removal,
 * nor the removal earlier than the insertion. Then the value is certainly inside in the gaps
 * insert_return + 1 .. remove_invoke (none, when the two overlap). */
struct lin_item {
    uint32_t insert, remove; /* operations; LIN_NEVER: not removed */
    uint32_t insert_invoke, insert_return;
    uint32_t remove_invoke, remove_return;
    int64_t value, priority;
};

struct lin_items {
    struct lin_monitoring *m;
    struct lin_item *items;
    uint32_t count;
    uint32_t events;   /* positions: see above */
    uint32_t *empties; /* operations that saw it empty, in the order of invocation */
    uint32_t empty_count;
    uint32_t *spares; /* removals that are not known to have happened, in the order of invocation */
    uint32_t spare_count;
};

/* LIN_LINEARIZABLE: collected. LIN_VIOLATED: a value was removed before it was inserted, twice, or
 * never inserted; that is kept. Of insertions that are not known to have happened those stay whose
 * value was removed: without the others there is only more freedom. */
enum lin_monitored lin_items_collect(struct lin_items *items, struct lin_monitoring *m);

static inline bool lin_item_removed(const struct lin_item *item)
{
    return item->remove != LIN_NEVER;
}

/* Keeps all that touches the value, and the removals that might have. While every value kept is
 * known to have been removed, once, spares took none of them, and are of no use to any order. */
void lin_items_keep(struct lin_items *items, const struct lin_item *item);

/* covered[g]: how many values of the first `count` are certainly inside in gap g; events + 1. */
int32_t *lin_items_cover(struct lin_items *items);

/* The items in the order of one of their moments; `moment` is an offset in struct lin_item. Equal
 * ones stay as they were. */
uint32_t *lin_items_sort(struct lin_items *items, const uint32_t *some, uint32_t count,
                         size_t moment);
#define LIN_MOMENT(field) offsetof(struct lin_item, field)

/* Spares taken in turn by values that nobody is known to have removed but somebody must have:
 * `item` is removed by `spare` from now on. */
void lin_items_give(struct lin_items *items, struct lin_item *item, uint32_t spare);

/* Orders by gaps. In one gap first the removals, each perhaps with its insertion right before it,
 * then the empties, then the other insertions; within each in the order of adding. */
enum lin_phase { LIN_PHASE_REMOVE, LIN_PHASE_EMPTY, LIN_PHASE_INSERT, LIN_PHASES };
struct lin_schedule {
    struct lin_items *items;
    uint32_t *ops, *keys;
    int64_t *took;
    uint32_t count;
};
void lin_schedule_init(struct lin_schedule *schedule, struct lin_items *items);
void lin_schedule_add(struct lin_schedule *schedule, uint32_t op, int64_t took, uint32_t gap,
                      enum lin_phase phase);
void lin_schedule_finish(struct lin_schedule *schedule);

/* One after the other, for monitors that find the order itself. */
void lin_items_place(struct lin_items *items, uint32_t op, int64_t took);

#endif
