/* Queues whose values are distinct, first-in-first-out and without order: see
 * docs/linearizability.md. */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "checkers/linearizable/monitor_items.h"

#define NO_ITEM UINT32_MAX

struct queue {
    struct lin_items items;
    uint32_t *all;       /* every item */
    uint32_t *remaining; /* items that nobody is known to have removed, by the insertion's return */
    uint32_t remaining_count;
    uint32_t *inside; /* by gap: how many of those are certainly inside, if nobody removes them */
    uint32_t *spares; /* by gap: how many spares may have been used before or in it */
    int32_t *covered; /* by gap: how many of the others are certainly inside */
    uint32_t *empty_gap; /* by empty: the gap in which it saw so */
    uint32_t last_empty; /* the last of those gaps; 0: none */
};

static struct lin_item *item_at(const struct queue *q, uint32_t item)
{
    return &q->items.items[item];
}

static void *by_gap(struct queue *q)
{
    return arena_zalloc(&q->items.m->arena, ((size_t)q->items.events + 4) * sizeof(uint32_t));
}

static void sum_up(const struct queue *q, uint32_t *counts)
{
    for (uint32_t g = 1; g < q->items.events + 4; g++)
        counts[g] += counts[g - 1];
}

static void count_remaining(struct queue *q)
{
    struct lin_items *items = &q->items;
    struct arena *arena = &items->m->arena;
    q->all = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *q->all);
    uint32_t *some = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *some);
    q->inside = by_gap(q);
    q->spares = by_gap(q);
    for (uint32_t i = 0; i < items->count; i++) {
        q->all[i] = i;
        if (lin_item_removed(item_at(q, i)))
            continue;
        some[q->remaining_count++] = i;
        q->inside[item_at(q, i)->insert_return + 1]++;
    }
    q->remaining = lin_items_sort(items, some, q->remaining_count, LIN_MOMENT(insert_return));
    for (uint32_t i = 0; i < items->spare_count; i++)
        q->spares[items->m->problem->ops[items->spares[i]].invoked + 1]++;
    sum_up(q, q->inside);
    sum_up(q, q->spares);
}

/* The same as lin_items_cover, but without what remains. */
static void cover(struct queue *q)
{
    q->covered = lin_items_cover(&q->items);
    for (uint32_t g = 0; g <= q->items.events; g++)
        q->covered[g] -= (int32_t)q->inside[g];
}

static bool may_be_empty(const struct queue *q, uint32_t gap)
{
    return q->covered[gap] == 0 && q->inside[gap] <= q->spares[gap];
}

/* Keeps the first `count` of what remains. */
static void keep_remaining(struct queue *q, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < q->remaining_count; i++)
        lin_items_keep(&q->items, item_at(q, q->remaining[i]));
}

/* Values that leave no gap of the operation's window empty: one after the other, and of what
 * remains one more than could have been removed. */
static void keep_full(struct queue *q, uint32_t empty)
{
    struct lin_items *items = &q->items;
    const struct lin_op *op = &items->m->problem->ops[empty];
    uint32_t *sorted = lin_items_sort(items, q->all, items->count, LIN_MOMENT(insert_return));
    uint32_t at = 0, longest = NO_ITEM, most = 0;
    items->m->kept[empty] = 1;
    for (uint32_t g = op->invoked + 1; g <= op->returned;) {
        for (; at < items->count && item_at(q, sorted[at])->insert_return < g; at++)
            if (lin_item_removed(item_at(q, sorted[at])) &&
                (longest == NO_ITEM ||
                 item_at(q, sorted[at])->remove_invoke > item_at(q, longest)->remove_invoke))
                longest = sorted[at];
        if (q->covered[g] > 0) {
            lin_items_keep(items, item_at(q, longest));
            g = item_at(q, longest)->remove_invoke + 1;
        } else {
            most = q->spares[g] + 1 > most ? q->spares[g] + 1 : most;
            g++;
        }
    }
    keep_remaining(q, most);
}

/* A gap for every operation that saw the queue empty. */
static bool find_empty_gaps(struct queue *q)
{
    struct lin_items *items = &q->items;
    uint32_t *next = by_gap(q), events = items->events;
    next[events + 1] = events + 1;
    for (uint32_t g = events + 1; g-- > 0;)
        next[g] = may_be_empty(q, g) ? g : next[g + 1];
    q->empty_gap =
        arena_alloc(&items->m->arena, ((size_t)items->empty_count + 1) * sizeof *q->empty_gap);
    for (uint32_t i = 0; i < items->empty_count; i++) {
        const struct lin_op *op = &items->m->problem->ops[items->empties[i]];
        q->empty_gap[i] = next[op->invoked + 1];
        if (q->empty_gap[i] > op->returned) {
            keep_full(q, items->empties[i]);
            return false;
        }
        if (q->empty_gap[i] > q->last_empty)
            q->last_empty = q->empty_gap[i];
    }
    return true;
}

/* First in, first out: what was certainly inserted before a value that was removed was removed
 * before it, so of what remains enough must have been taken by spares in time. *latest becomes the
 * last invocation of an insertion whose value was removed. */
static bool find_debts(struct queue *q, uint32_t *latest)
{
    struct lin_items *items = &q->items;
    uint32_t *sorted = lin_items_sort(items, q->all, items->count, LIN_MOMENT(remove_return));
    uint32_t last = NO_ITEM;
    *latest = 0;
    for (uint32_t i = 0; i < items->count; i++) {
        const struct lin_item *item = item_at(q, sorted[i]);
        if (!lin_item_removed(item))
            break;
        if (last == NO_ITEM || item->insert_invoke > item_at(q, last)->insert_invoke)
            last = sorted[i];
        *latest = item_at(q, last)->insert_invoke;
        uint32_t owed = q->inside[*latest], paid = q->spares[item->remove_return];
        if (owed > paid) {
            lin_items_keep(items, item_at(q, last));
            keep_remaining(q, paid + 1);
            return false;
        }
    }
    return true;
}

/* Of what remains, the first ones were removed by spares, each by the next. */
static void pay(struct queue *q, uint32_t before)
{
    for (uint32_t i = 0; i < q->remaining_count; i++) {
        struct lin_item *item = item_at(q, q->remaining[i]);
        if (item->insert_return >= before)
            return;
        lin_items_give(&q->items, item, q->items.spares[i]);
    }
}

static bool prepare(struct queue *q, struct lin_monitoring *m, bool in_order,
                    enum lin_monitored *monitored)
{
    *q = (struct queue){.last_empty = 0};
    uint32_t before = 0;
    *monitored = lin_items_collect(&q->items, m);
    if (*monitored != LIN_LINEARIZABLE)
        return false;
    count_remaining(q);
    cover(q);
    *monitored = LIN_VIOLATED;
    if ((in_order && !find_debts(q, &before)) || !find_empty_gaps(q))
        return false;
    pay(q, q->last_empty > before ? q->last_empty : before);
    return true;
}

/* ---- Without order ---- */

static void schedule_item(struct lin_schedule *schedule, const struct lin_item *item)
{
    uint32_t gap = item->remove_invoke + 1;
    bool removed = lin_item_removed(item);
    if (removed && item->insert_return >= gap) { /* in and out at one moment */
        lin_schedule_add(schedule, item->insert, MODEL_ANY, gap, LIN_PHASE_REMOVE);
        lin_schedule_add(schedule, item->remove, item->value, gap, LIN_PHASE_REMOVE);
        return;
    }
    lin_schedule_add(schedule, item->insert, MODEL_ANY, item->insert_return, LIN_PHASE_INSERT);
    if (removed)
        lin_schedule_add(schedule, item->remove, item->value, gap, LIN_PHASE_REMOVE);
}

enum lin_monitored lin_monitor_bag(struct lin_monitoring *m)
{
    struct queue q;
    enum lin_monitored monitored;
    if (!prepare(&q, m, false, &monitored))
        return monitored;
    struct lin_schedule schedule;
    lin_schedule_init(&schedule, &q.items);
    for (uint32_t i = 0; i < q.items.count; i++)
        schedule_item(&schedule, item_at(&q, i));
    for (uint32_t i = 0; i < q.items.empty_count; i++)
        lin_schedule_add(&schedule, q.items.empties[i], MODEL_ANY, q.empty_gap[i], LIN_PHASE_EMPTY);
    lin_schedule_finish(&schedule);
    return LIN_LINEARIZABLE;
}

/* ---- First in, first out ---- */

/* Two values of which one certainly came first and the other certainly left first. */
static bool find_swapped(struct queue *q)
{
    struct lin_items *items = &q->items;
    /* By position p: of the values whose insertion was invoked at p or later, the one that
     * certainly left first. */
    uint32_t *best = by_gap(q), positions = items->events + 3;
    memset(best, 0xff, ((size_t)positions + 1) * sizeof *best);
    for (uint32_t i = 0; i < items->count; i++)
        best[item_at(q, i)->insert_invoke] = i;
    for (uint32_t p = positions; p-- > 0;) {
        uint32_t later = best[p + 1];
        if (later != NO_ITEM && (best[p] == NO_ITEM || item_at(q, later)->remove_return <
                                                           item_at(q, best[p])->remove_return))
            best[p] = later;
    }
    for (uint32_t i = 0; i < items->count; i++) {
        uint32_t later = best[item_at(q, i)->insert_return + 1];
        if (later == NO_ITEM || item_at(q, later)->remove_return >= item_at(q, i)->remove_invoke)
            continue;
        lin_items_keep(items, item_at(q, i));
        lin_items_keep(items, item_at(q, later));
        return true;
    }
    return false;
}

/* The order of the values in one segment, a time between two gaps in which the queue is empty. */
struct segments {
    struct queue *q;
    uint32_t *of;    /* by item: its segment */
    uint32_t *first; /* by segment: where its items begin in the lists below */
    uint32_t count;
    uint32_t *in_invoke, *in_return, *out_invoke, *out_return; /* items by each moment */
    uint8_t *flags;                                            /* by item: how far it is */
    uint32_t *order;                                           /* items */
    uint32_t *ready;
};
enum { MAY_ENTER = 1, MAY_LEAVE = 2, MAY_BOTH = 3, DONE = 4 };

static uint32_t *sort_segments(struct segments *s, size_t moment)
{
    struct lin_items *items = &s->q->items;
    struct arena *arena = &items->m->arena;
    uint32_t *sorted = lin_items_sort(items, s->q->all, items->count, moment);
    uint32_t *parted = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *parted);
    uint32_t *at = arena_alloc(arena, ((size_t)s->count + 1) * sizeof *at);
    memcpy(at, s->first, (size_t)s->count * sizeof *at);
    for (uint32_t i = 0; i < items->count; i++)
        parted[at[s->of[sorted[i]]]++] = sorted[i];
    return parted;
}

/* The gaps in which somebody saw the queue empty part the values: those that certainly were not
 * inside before it, and the others. */
static void make_segments(struct segments *s, struct queue *q)
{
    struct lin_items *items = &q->items;
    struct arena *arena = &items->m->arena;
    uint32_t *before = by_gap(q);
    *s = (struct segments){.q = q};
    for (uint32_t i = 0; i < items->empty_count; i++)
        before[q->empty_gap[i]] = 1;
    sum_up(q, before);
    s->count = before[items->events] + 1;
    s->of = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *s->of);
    s->first = arena_zalloc(arena, ((size_t)s->count + 2) * sizeof *s->first);
    for (uint32_t i = 0; i < items->count; i++) {
        s->of[i] = before[item_at(q, i)->remove_invoke];
        s->first[s->of[i] + 1]++;
    }
    for (uint32_t i = 0; i < s->count; i++)
        s->first[i + 1] += s->first[i];
    s->in_invoke = sort_segments(s, LIN_MOMENT(insert_invoke));
    s->in_return = sort_segments(s, LIN_MOMENT(insert_return));
    s->out_invoke = sort_segments(s, LIN_MOMENT(remove_invoke));
    s->out_return = sort_segments(s, LIN_MOMENT(remove_return));
    s->flags = arena_zalloc(arena, (size_t)items->count + 1);
    s->order = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *s->order);
    s->ready = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *s->ready);
}

static uint32_t flag(struct segments *s, uint32_t item, uint8_t flag, uint32_t ready)
{
    s->flags[item] |= flag;
    if (s->flags[item] == MAY_BOTH)
        s->ready[ready++] = item;
    return ready;
}

/* Takes a value that none left must precede, neither in entering nor in leaving, again and again.
 */
static bool order_segment(struct segments *s, uint32_t segment)
{
    const struct queue *q = s->q;
    uint32_t end = s->first[segment + 1], begin = s->first[segment], ready = 0;
    uint32_t a = begin, b = begin, c = begin, d = begin;
    for (uint32_t placed = begin; placed < end; placed++) {
        while (s->flags[s->in_return[b]] & DONE)
            b++;
        while (s->flags[s->out_return[d]] & DONE)
            d++;
        uint32_t in = item_at(q, s->in_return[b])->insert_return;
        uint32_t out = item_at(q, s->out_return[d])->remove_return;
        for (; a < end && item_at(q, s->in_invoke[a])->insert_invoke < in; a++)
            ready = flag(s, s->in_invoke[a], MAY_ENTER, ready);
        for (; c < end && item_at(q, s->out_invoke[c])->remove_invoke < out; c++)
            ready = flag(s, s->out_invoke[c], MAY_LEAVE, ready);
        if (ready == 0)
            return false;
        uint32_t item = s->ready[--ready];
        s->flags[item] |= DONE;
        s->order[placed] = item;
    }
    return true;
}

static uint32_t at_least(uint32_t gap, uint32_t least)
{
    return gap > least ? gap : least;
}

/* Enters and leaves in this order, each as early as can be. */
static void place_segment(struct segments *s, uint32_t segment, uint32_t gap)
{
    struct lin_items *items = &s->q->items;
    uint32_t end = s->first[segment + 1], in = s->first[segment], out = in;
    uint32_t entered = gap, left = gap;
    while (out < end) {
        const struct lin_item *enters = in < end ? item_at(s->q, s->order[in]) : NULL;
        const struct lin_item *leaves = item_at(s->q, s->order[out]);
        uint32_t next_in =
            enters == NULL ? UINT32_MAX : at_least(enters->insert_invoke + 1, entered);
        uint32_t next_out = at_least(leaves->remove_invoke + 1, left);
        if (in == out || next_in <= next_out) {
            lin_items_place(items, enters->insert, MODEL_ANY);
            entered = next_in;
            left = at_least(left, in == out ? next_in : left);
            in++;
            continue;
        }
        if (lin_item_removed(leaves))
            lin_items_place(items, leaves->remove, leaves->value);
        left = next_out;
        out++;
    }
}

enum lin_monitored lin_monitor_fifo(struct lin_monitoring *m)
{
    struct queue q;
    enum lin_monitored monitored;
    if (!prepare(&q, m, true, &monitored))
        return monitored;
    if (find_swapped(&q))
        return LIN_VIOLATED;
    struct segments s;
    make_segments(&s, &q);
    /* Empties in the order of their gaps. */
    struct lin_items *items = &q.items;
    uint32_t *head = by_gap(&q),
             *next = arena_alloc(&m->arena, ((size_t)items->empty_count + 1) * sizeof *next);
    for (uint32_t i = items->empty_count; i-- > 0;) {
        next[i] = head[q.empty_gap[i]];
        head[q.empty_gap[i]] = i + 1;
    }
    uint32_t gap = 0;
    for (uint32_t segment = 0; segment < s.count; segment++) {
        if (!order_segment(&s, segment))
            return LIN_DECLINED; /* cannot be: no two are swapped */
        place_segment(&s, segment, gap);
        for (gap++; gap <= items->events && head[gap] == 0; gap++)
            ;
        for (uint32_t e = gap <= items->events ? head[gap] : 0; e != 0; e = next[e - 1])
            lin_items_place(items, items->empties[e - 1], MODEL_ANY);
    }
    return LIN_LINEARIZABLE;
}
