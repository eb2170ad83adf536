/* The values of a container's history: see monitor_items.h. */
#include "checkers/linearizable/monitor_items.h"

#include <string.h>

/* While collecting: where a value's item is, and a removal that came before its insertion. */
struct place {
    uint32_t insert, remove, second_remove;
    int64_t priority;
};

static void note(struct place *place, const struct model_touch *touch, uint32_t op)
{
    if (touch->act == MODEL_INSERT) {
        place->insert = op;
        place->priority = touch->priority;
    } else if (place->remove == LIN_NEVER) {
        place->remove = op;
    } else {
        place->second_remove = op;
    }
}

/* All that touches the value, however often. */
static void keep_value(struct lin_monitoring *m, int64_t value)
{
    for (uint32_t i = 0; i < m->problem->op_count; i++) {
        const struct lin_op *op = &m->problem->ops[i];
        struct model_touch touch = m->problem->model->touch(&op->op);
        if (touch.value == value && (touch.act == MODEL_INSERT || touch.act == MODEL_REMOVE))
            m->kept[i] = 1;
    }
}

static void add_item(struct lin_items *items, int64_t value, const struct place *place)
{
    const struct lin_op *ops = items->m->problem->ops;
    const struct lin_op *insert = &ops[place->insert];
    bool removed = place->remove != LIN_NEVER;
    if (!removed && !insert->op.known)
        return;
    struct lin_item *item = &items->items[items->count++];
    *item = (struct lin_item){.insert = place->insert,
                              .remove = place->remove,
                              .insert_invoke = insert->invoked,
                              .insert_return = insert->op.known ? insert->returned : items->events,
                              .remove_invoke = items->events + 1,
                              .remove_return = items->events + 2,
                              .value = value,
                              .priority = place->priority};
    if (!removed)
        return;
    const struct lin_op *remove = &ops[place->remove];
    item->remove_return = remove->returned;
    item->remove_invoke = remove->invoked > insert->invoked ? remove->invoked : insert->invoked;
    if (item->insert_return > remove->returned)
        item->insert_return = remove->returned;
}

static bool collect_ops(struct lin_items *items, struct place *places)
{
    const struct lin_problem *problem = items->m->problem;
    for (uint32_t i = 0; i < problem->op_count; i++) {
        const struct lin_op *op = &problem->ops[i];
        struct model_touch touch = problem->model->touch(&op->op);
        if (touch.act == MODEL_EMPTY && op->op.known)
            items->empties[items->empty_count++] = i;
        else if (touch.act == MODEL_REMOVE && !op->op.known)
            items->spares[items->spare_count++] = i;
        else if ((touch.act != MODEL_INSERT && touch.act != MODEL_REMOVE) ||
                 (touch.act == MODEL_INSERT && places[touch.value].insert != LIN_NEVER))
            return false;
        else
            note(&places[touch.value], &touch, i);
    }
    return true;
}

enum lin_monitored lin_items_collect(struct lin_items *items, struct lin_monitoring *m)
{
    const struct lin_problem *problem = m->problem;
    uint32_t values = problem->space->values.count;
    struct arena *arena = &m->arena;
    *items = (struct lin_items){.m = m, .events = problem->event_count};
    items->items = arena_alloc(arena, ((size_t)problem->op_count + 1) * sizeof *items->items);
    items->empties = arena_alloc(arena, ((size_t)problem->op_count + 1) * sizeof(uint32_t));
    items->spares = arena_alloc(arena, ((size_t)problem->op_count + 1) * sizeof(uint32_t));
    struct place *places = arena_alloc(arena, ((size_t)values + 1) * sizeof *places);
    memset(places, 0xff, ((size_t)values + 1) * sizeof *places); /* LIN_NEVER everywhere */
    if (!collect_ops(items, places))
        return LIN_DECLINED;
    for (uint32_t v = 0; v < values; v++) {
        struct place *place = &places[v];
        if (place->insert == LIN_NEVER && place->remove == LIN_NEVER)
            continue;
        bool removed = place->remove != LIN_NEVER;
        if (place->second_remove != LIN_NEVER ||
            (removed && (place->insert == LIN_NEVER || problem->ops[place->remove].returned <
                                                           problem->ops[place->insert].invoked))) {
            keep_value(m, v);
            return LIN_VIOLATED;
        }
        add_item(items, v, place);
    }
    return LIN_LINEARIZABLE;
}

static void keep_spares(struct lin_items *items)
{
    for (uint32_t i = 0; i < items->spare_count; i++)
        items->m->kept[items->spares[i]] = 1;
}

void lin_items_keep(struct lin_items *items, const struct lin_item *item)
{
    uint8_t *kept = items->m->kept;
    bool gone = lin_item_removed(item) && items->m->problem->ops[item->remove].op.known;
    kept[item->insert] = 1;
    if (gone)
        kept[item->remove] = 1;
    else
        keep_spares(items);
}

int32_t *lin_items_cover(struct lin_items *items)
{
    size_t size = (size_t)items->events + 3;
    int32_t *covered = arena_zalloc(&items->m->arena, size * sizeof *covered);
    for (uint32_t i = 0; i < items->count; i++) {
        const struct lin_item *item = &items->items[i];
        if (item->insert_return >= item->remove_invoke)
            continue;
        covered[item->insert_return + 1]++;
        covered[item->remove_invoke + 1]--; /* at most events + 2 */
    }
    for (size_t g = 1; g < size; g++)
        covered[g] += covered[g - 1];
    return covered;
}

static uint32_t moment_of(const struct lin_items *items, uint32_t item, size_t moment)
{
    uint32_t at;
    memcpy(&at, (const char *)&items->items[item] + moment, sizeof at);
    return at;
}

uint32_t *lin_items_sort(struct lin_items *items, const uint32_t *some, uint32_t count,
                         size_t moment)
{
    struct arena *arena = &items->m->arena;
    uint32_t *first = arena_zalloc(arena, ((size_t)items->events + 4) * sizeof *first);
    uint32_t *sorted = arena_alloc(arena, ((size_t)count + 1) * sizeof *sorted);
    for (uint32_t i = 0; i < count; i++)
        first[moment_of(items, some[i], moment) + 1]++;
    for (uint32_t p = 1; p <= items->events + 3; p++)
        first[p] += first[p - 1];
    for (uint32_t i = 0; i < count; i++)
        sorted[first[moment_of(items, some[i], moment)]++] = some[i];
    return sorted;
}

void lin_items_give(struct lin_items *items, struct lin_item *item, uint32_t spare)
{
    const struct lin_op *op = &items->m->problem->ops[spare];
    item->remove = spare;
    item->remove_invoke = op->invoked > item->insert_invoke ? op->invoked : item->insert_invoke;
    item->remove_return = items->events;
}

void lin_schedule_init(struct lin_schedule *schedule, struct lin_items *items)
{
    size_t count = (size_t)items->m->problem->op_count + 1;
    struct arena *arena = &items->m->arena;
    *schedule = (struct lin_schedule){.items = items};
    schedule->ops = arena_alloc(arena, count * sizeof *schedule->ops);
    schedule->keys = arena_alloc(arena, count * sizeof *schedule->keys);
    schedule->took = arena_alloc(arena, count * sizeof *schedule->took);
}

void lin_schedule_add(struct lin_schedule *schedule, uint32_t op, int64_t took, uint32_t gap,
                      enum lin_phase phase)
{
    schedule->ops[schedule->count] = op;
    schedule->took[schedule->count] = took;
    schedule->keys[schedule->count++] = gap * LIN_PHASES + (uint32_t)phase;
}

void lin_items_place(struct lin_items *items, uint32_t op, int64_t took)
{
    struct lin_monitoring *m = items->m;
    if (m->took == NULL)
        m->took = arena_alloc(&m->arena, ((size_t)m->problem->op_count + 1) * sizeof *m->took);
    m->took[m->order_count] = m->problem->ops[op].op.known ? MODEL_ANY : took;
    m->order[m->order_count++] = op;
}

void lin_schedule_finish(struct lin_schedule *schedule)
{
    struct lin_items *items = schedule->items;
    size_t keys = ((size_t)items->events + 1) * LIN_PHASES;
    uint32_t *first = arena_zalloc(&items->m->arena, (keys + 1) * sizeof *first);
    uint32_t *sorted =
        arena_alloc(&items->m->arena, ((size_t)schedule->count + 1) * sizeof *sorted);
    for (uint32_t i = 0; i < schedule->count; i++)
        first[schedule->keys[i] + 1]++;
    for (size_t k = 1; k <= keys; k++)
        first[k] += first[k - 1];
    for (uint32_t i = 0; i < schedule->count; i++)
        sorted[first[schedule->keys[i]]++] = i;
    for (uint32_t i = 0; i < schedule->count; i++)
        lin_items_place(items, schedule->ops[sorted[i]], schedule->took[sorted[i]]);
}
