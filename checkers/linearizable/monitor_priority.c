/* Priority queues whose values are distinct: see docs/linearizability.md. */
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/monitor_items.h"

#define NO_ITEM UINT32_MAX

struct priorities {
    struct lin_items items;
    uint32_t *order;     /* items by priority, the least first */
    uint32_t *next;      /* by gap: the way to the next gap in no zone so far; see find_free */
    uint32_t *gap;       /* by item: when it is removed */
    uint32_t *empty_gap; /* by empty */
    bool generous;       /* spares are without number: what remains may be removed at any time */
};

static struct lin_item *item_at(const struct priorities *p, uint32_t item)
{
    return &p->items.items[item];
}

/* The first gap from here on that no zone covers; events + 1 and more: none. Covered gaps point
 * onwards, and paths are halved on the way. */
static uint32_t find_free(const struct priorities *p, uint32_t gap)
{
    while (p->next[gap] != gap) {
        p->next[gap] = p->next[p->next[gap]];
        gap = p->next[gap];
    }
    return gap;
}

/* A spare may have removed what remains, from its invocation on. */
static uint32_t earliest(const struct priorities *p, const struct lin_item *item)
{
    if (lin_item_removed(item) || !p->generous)
        return item->remove_invoke;
    uint32_t spare = p->items.m->problem->ops[p->items.spares[0]].invoked;
    return spare > item->insert_invoke ? spare : item->insert_invoke;
}

static void cover(struct priorities *p, const struct lin_item *item)
{
    uint32_t last = earliest(p, item);
    for (uint32_t gap = find_free(p, item->insert_return + 1); gap <= last;
         gap = find_free(p, gap + 1))
        p->next[gap] = gap + 1;
}

/* Values of less priority than `bound` that leave no gap from `first` to `last` free, one after the
 * other. */
static void keep_cover(struct priorities *p, uint32_t first, uint32_t last, int64_t bound)
{
    struct lin_items *items = &p->items;
    uint32_t *sorted = lin_items_sort(items, p->order, items->count, LIN_MOMENT(insert_return));
    uint32_t at = 0, longest = NO_ITEM;
    for (uint32_t gap = first; gap <= last; gap = earliest(p, item_at(p, longest)) + 1) {
        for (; at < items->count && item_at(p, sorted[at])->insert_return < gap; at++) {
            const struct lin_item *item = item_at(p, sorted[at]);
            if (item->priority < bound &&
                (longest == NO_ITEM || earliest(p, item) > earliest(p, item_at(p, longest))))
                longest = sorted[at];
        }
        lin_items_keep(items, item_at(p, longest));
    }
}

/* Each value leaves in the first gap in which nothing of less priority is certainly inside. */
static bool find_gaps(struct priorities *p)
{
    struct lin_items *items = &p->items;
    const struct lin_op *ops = items->m->problem->ops;
    for (uint32_t gap = 0; gap < items->events + 4; gap++)
        p->next[gap] = gap;
    for (uint32_t i = 0, end; i < items->count; i = end) {
        int64_t priority = item_at(p, p->order[i])->priority;
        for (end = i; end < items->count && item_at(p, p->order[end])->priority == priority;
             end++) {
            const struct lin_item *item = item_at(p, p->order[end]);
            uint32_t gap = find_free(p, earliest(p, item) + 1);
            p->gap[p->order[end]] = gap;
            if (lin_item_removed(item) && gap > item->remove_return) {
                lin_items_keep(items, item);
                keep_cover(p, item->remove_invoke + 1, item->remove_return, priority);
                return false;
            }
        }
        for (uint32_t j = i; j < end; j++)
            cover(p, item_at(p, p->order[j]));
    }
    for (uint32_t i = 0; i < items->empty_count; i++) {
        const struct lin_op *op = &ops[items->empties[i]];
        p->empty_gap[i] = find_free(p, op->invoked + 1);
        if (p->empty_gap[i] > op->returned) {
            items->m->kept[items->empties[i]] = 1;
            keep_cover(p, op->invoked + 1, op->returned, INT64_MAX);
            return false;
        }
    }
    return true;
}

/* A removal at a time, for finding out which of them are needed. */
struct leaving {
    uint32_t gap, item;
    int64_t priority;
};

static int by_gap(const void *a, const void *b)
{
    const struct leaving *one = a, *other = b;
    if (one->gap != other->gap)
        return one->gap < other->gap ? -1 : 1;
    return (one->priority > other->priority) - (one->priority < other->priority);
}

/* After a generous search: gives spares to what had to go, as something of more priority left, or
 * the queue was seen empty, afterwards. False: there are not enough, in this way at least. */
static bool give_spares(struct priorities *p)
{
    struct lin_items *items = &p->items;
    size_t most = (size_t)items->count + items->empty_count + 1;
    struct leaving *leaving = arena_alloc(&items->m->arena, most * sizeof *leaving);
    uint32_t count = 0, spare = 0;
    for (uint32_t i = 0; i < items->count; i++)
        leaving[count++] = (struct leaving){p->gap[i], i, item_at(p, i)->priority};
    for (uint32_t i = 0; i < items->empty_count; i++)
        leaving[count++] = (struct leaving){p->empty_gap[i], NO_ITEM, INT64_MAX};
    qsort(leaving, count, sizeof *leaving, by_gap);
    int64_t most_later = INT64_MIN;
    for (uint32_t i = count; i-- > 0;) {
        struct leaving *one = &leaving[i];
        bool remains = one->item != NO_ITEM && !lin_item_removed(item_at(p, one->item));
        if (remains && most_later <= one->priority)
            one->item = NO_ITEM; /* it may stay */
        else if (one->priority > most_later)
            most_later = one->priority;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t item = leaving[i].item;
        if (item == NO_ITEM || lin_item_removed(item_at(p, item)))
            continue;
        if (spare == items->spare_count ||
            items->m->problem->ops[items->spares[spare]].invoked >= leaving[i].gap)
            return false;
        lin_items_give(items, item_at(p, item), items->spares[spare++]);
    }
    return true;
}

static void schedule_all(struct priorities *p)
{
    struct lin_schedule schedule;
    lin_schedule_init(&schedule, &p->items);
    for (uint32_t i = 0; i < p->items.count; i++) {
        const struct lin_item *item = item_at(p, p->order[i]);
        uint32_t gap = p->gap[p->order[i]];
        bool removed = lin_item_removed(item), at_once = removed && item->insert_return >= gap;
        lin_schedule_add(&schedule, item->insert, MODEL_ANY, at_once ? gap : item->insert_return,
                         at_once ? LIN_PHASE_REMOVE : LIN_PHASE_INSERT);
        if (removed)
            lin_schedule_add(&schedule, item->remove, item->value, gap, LIN_PHASE_REMOVE);
    }
    for (uint32_t i = 0; i < p->items.empty_count; i++)
        lin_schedule_add(&schedule, p->items.empties[i], MODEL_ANY, p->empty_gap[i],
                         LIN_PHASE_EMPTY);
    lin_schedule_finish(&schedule);
}

/* Sorting needs what the comparison cannot be given. */
struct ranked {
    int64_t priority;
    uint32_t item;
};

static int by_priority(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;
    if (one->priority != other->priority)
        return one->priority < other->priority ? -1 : 1;
    return one->item < other->item ? -1 : 1;
}

static void sort_items(struct priorities *p)
{
    struct arena *arena = &p->items.m->arena;
    size_t count = (size_t)p->items.count + 1;
    struct ranked *ranked = arena_alloc(arena, count * sizeof *ranked);
    p->order = arena_alloc(arena, count * sizeof *p->order);
    for (uint32_t i = 0; i < p->items.count; i++)
        ranked[i] = (struct ranked){item_at(p, i)->priority, i};
    qsort(ranked, p->items.count, sizeof *ranked, by_priority);
    for (uint32_t i = 0; i < p->items.count; i++)
        p->order[i] = ranked[i].item;
}

static bool anything_remains(const struct priorities *p)
{
    for (uint32_t i = 0; i < p->items.count; i++)
        if (!lin_item_removed(item_at(p, i)))
            return true;
    return false;
}

enum lin_monitored lin_monitor_priority(struct lin_monitoring *m)
{
    struct priorities p = {.generous = false};
    enum lin_monitored collected = lin_items_collect(&p.items, m);
    if (collected != LIN_LINEARIZABLE)
        return collected;
    struct arena *arena = &m->arena;
    sort_items(&p);
    p.next = arena_alloc(arena, ((size_t)p.items.events + 4) * sizeof *p.next);
    p.gap = arena_alloc(arena, ((size_t)p.items.count + 1) * sizeof *p.gap);
    p.empty_gap = arena_alloc(arena, ((size_t)p.items.empty_count + 1) * sizeof *p.empty_gap);
    if (!find_gaps(&p)) {
        if (p.items.spare_count == 0 || !anything_remains(&p))
            return LIN_VIOLATED;
        /* Perhaps spares help: first if there were as many as wanted, then as many as there are. */
        memset(m->kept, 0, m->problem->op_count);
        p.generous = true;
        if (!find_gaps(&p))
            return LIN_VIOLATED;
        if (!give_spares(&p))
            return LIN_DECLINED;
    }
    schedule_all(&p);
    return LIN_LINEARIZABLE;
}
