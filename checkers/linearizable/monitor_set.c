/* Sets whose elements are added once: see docs/linearizability.md. Two kinds of histories: with
 * questions about single elements, and with reads of all of them when nothing is ever removed. */
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/monitor.h"

/* All that is about one element. */
struct element {
    uint32_t add, remove;  /* operations; LIN_NEVER: none */
    uint32_t first, count; /* its questions in `asked` */
    /* The gaps in which it is added and removed. */
    uint32_t add_gap, remove_gap;
    bool removed; /* the removal is in the order */
    uint32_t level;
};

struct set {
    struct lin_monitoring *m;
    struct element *elements;
    uint32_t element_count; /* of the table of values */
    uint32_t *asked;        /* questions (has, lacks) by element */
    uint32_t *reads;
    uint32_t read_count, events;
    bool removes;
};

static const struct lin_op *op_at(const struct set *s, uint32_t op)
{
    return &s->m->problem->ops[op];
}

static struct model_touch touch(const struct set *s, uint32_t op)
{
    return s->m->problem->model->touch(&op_at(s, op)->op);
}

static bool note(struct set *s, uint32_t op)
{
    struct model_touch touched = touch(s, op);
    struct element *element = touched.act == MODEL_LISTS ? NULL : &s->elements[touched.value];
    switch (touched.act) {
    case MODEL_INSERT:
        if (element->add != LIN_NEVER)
            return false;
        element->add = op;
        return true;
    case MODEL_REMOVE:
        if (element->remove != LIN_NEVER)
            return false;
        element->remove = op;
        s->removes = true;
        return true;
    case MODEL_HAS:
    case MODEL_LACKS:
        element->count++;
        return op_at(s, op)->op.known;
    case MODEL_LISTS:
        s->reads[s->read_count++] = op;
        return op_at(s, op)->op.known;
    default:
        return false;
    }
}

static bool collect(struct set *s)
{
    const struct lin_problem *problem = s->m->problem;
    struct arena *arena = &s->m->arena;
    s->events = problem->event_count;
    s->element_count = problem->space->values.count;
    s->elements = arena_alloc(arena, ((size_t)s->element_count + 1) * sizeof *s->elements);
    s->asked = arena_alloc(arena, ((size_t)problem->op_count + 1) * sizeof *s->asked);
    s->reads = arena_alloc(arena, ((size_t)problem->op_count + 1) * sizeof *s->reads);
    for (uint32_t e = 0; e < s->element_count; e++)
        s->elements[e] = (struct element){.add = LIN_NEVER, .remove = LIN_NEVER};
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (!note(s, i))
            return false;
    uint32_t total = 0;
    for (uint32_t e = 0; e < s->element_count; e++) {
        s->elements[e].first = total;
        total += s->elements[e].count;
        s->elements[e].count = 0;
    }
    for (uint32_t i = 0; i < problem->op_count; i++) {
        struct model_touch touched = touch(s, i);
        if (touched.act != MODEL_HAS && touched.act != MODEL_LACKS)
            continue;
        struct element *element = &s->elements[touched.value];
        s->asked[element->first + element->count++] = i;
    }
    return true;
}

static void keep(struct set *s, uint32_t op)
{
    if (op != LIN_NEVER)
        s->m->kept[op] = 1;
}

/* ---- Questions about single elements ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static uint32_t end_of(const struct set *s, uint32_t op)
{
    return op_at(s, op)->op.known ? op_at(s, op)->returned : s->events;
}

/* The element is added as late and removed as early as can be: then what saw it missing has the
 * most room. False: some question has none, or the two have none themselves. `removed`: with the
 * removal, which need not be when it is not known to have happened. */
static bool try_element(struct set *s, struct element *element, bool removed)
{
    bool seen = removed;
    uint32_t late = s->events, early = 0; /* gaps: of the last addition, of the first removal */
    for (uint32_t i = 0; i < element->count; i++) {
        uint32_t op = s->asked[element->first + i];
        if (touch(s, op).act != MODEL_HAS)
            continue;
        seen = true;
        late = least(late, op_at(s, op)->returned);
        early = most(early, op_at(s, op)->invoked + 1);
    }
    bool added = element->add != LIN_NEVER && (seen || op_at(s, element->add)->op.known);
    if (seen && element->add == LIN_NEVER)
        return false;
    element->removed = removed;
    element->add_gap = added ? s->events : s->events + 2; /* never */
    element->remove_gap = s->events + 1;
    if (added) {
        late = least(late, end_of(s, element->add));
        if (removed)
            late = least(late, end_of(s, element->remove));
        early = most(early, op_at(s, element->add)->invoked + 1);
        if (late < op_at(s, element->add)->invoked + 1)
            return false;
        element->add_gap = late;
    }
    if (removed) {
        element->remove_gap = most(early, op_at(s, element->remove)->invoked + 1);
        if (element->remove_gap > end_of(s, element->remove))
            return false;
        if (element->remove_gap < element->add_gap) /* there is room for both: in and out at once */
            element->add_gap = element->remove_gap;
    }
    for (uint32_t i = 0; i < element->count; i++) {
        uint32_t op = s->asked[element->first + i];
        if (touch(s, op).act == MODEL_LACKS && op_at(s, op)->invoked + 1 > element->add_gap &&
            op_at(s, op)->returned < element->remove_gap)
            return false;
    }
    return true;
}

static bool judge_element(struct set *s, struct element *element)
{
    bool known = element->remove != LIN_NEVER && op_at(s, element->remove)->op.known;
    if (!known && try_element(s, element, false))
        return true;
    if (element->remove != LIN_NEVER && try_element(s, element, true))
        return true;
    keep(s, element->add);
    keep(s, element->remove);
    for (uint32_t i = 0; i < element->count; i++)
        keep(s, s->asked[element->first + i]);
    return false;
}

/* Places in one gap: what saw it missing before it was added; the addition; what saw it; the
 * removal; what saw it missing afterwards. */
enum { BEFORE, ADD, INSIDE, REMOVE, AFTER, PLACES };

/* Sorted by gap, then element, then place, so that elements in one gap do not mix. */
struct ranked_op {
    uint64_t key;
    uint32_t op;
};

static int by_key(const void *a, const void *b)
{
    const struct ranked_op *one = a, *other = b;
    if (one->key != other->key)
        return one->key < other->key ? -1 : 1;
    return one->op < other->op ? -1 : 1;
}

static void schedule_op(struct ranked_op *keyed, uint32_t *count, uint32_t op, uint32_t gap,
                        uint32_t element, int place)
{
    keyed[*count] =
        (struct ranked_op){(uint64_t)gap << 35 | (uint64_t)element << 3 | (uint64_t)place, op};
    ++*count;
}

static void place_elements(struct set *s)
{
    struct ranked_op *keyed =
        arena_alloc(&s->m->arena, ((size_t)s->m->problem->op_count + 1) * sizeof *keyed);
    uint32_t count = 0;
    for (uint32_t e = 0; e < s->element_count; e++) {
        const struct element *element = &s->elements[e];
        if (element->add != LIN_NEVER && element->add_gap <= s->events)
            schedule_op(keyed, &count, element->add, element->add_gap, e, ADD);
        if (element->removed)
            schedule_op(keyed, &count, element->remove, element->remove_gap, e, REMOVE);
        for (uint32_t i = 0; i < element->count; i++) {
            uint32_t op = s->asked[element->first + i], gap = op_at(s, op)->invoked + 1;
            if (touch(s, op).act == MODEL_HAS)
                schedule_op(keyed, &count, op, most(gap, element->add_gap), e, INSIDE);
            else if (gap <= element->add_gap)
                schedule_op(keyed, &count, op, gap, e, BEFORE);
            else
                schedule_op(keyed, &count, op, most(gap, element->remove_gap), e, AFTER);
        }
    }
    qsort(keyed, count, sizeof *keyed, by_key);
    for (uint32_t i = 0; i < count; i++)
        lin_monitor_place(s->m, keyed[i].op);
}

static enum lin_monitored watch_elements(struct set *s)
{
    for (uint32_t e = 0; e < s->element_count; e++)
        if (!judge_element(s, &s->elements[e]))
            return LIN_VIOLATED;
    place_elements(s);
    return LIN_LINEARIZABLE;
}

/* ---- Reads of all elements, of a set that only grows ---- */

static struct model_sequence listed(const struct set *s, uint32_t read)
{
    return model_sequence_of(s->m->problem->space, touch(s, read).value);
}

/* Keeps the read, and the additions of all that it lists. */
static void keep_read(struct set *s, uint32_t read)
{
    struct model_sequence list = listed(s, read);
    keep(s, read);
    for (uint32_t i = 0; i < list.count; i++)
        keep(s, s->elements[list.items[i]].add);
}

/* Gives what is new in `list` its level. False: something of `before` is missing, or nobody added
 * what is new. */
static bool add_level(struct set *s, struct model_sequence before, struct model_sequence list,
                      uint32_t level)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        if (at < before.count && before.items[at] == list.items[i]) {
            at++;
            continue;
        }
        struct element *element = &s->elements[list.items[i]];
        if (element->add == LIN_NEVER)
            return false;
        element->level = level;
    }
    return at == before.count;
}

/* Reads lie one within the other. Level 2k is that of the k-th different list, and what is new in
 * it was added on the level before. */
static bool make_levels(struct set *s, uint32_t *levels, uint32_t *last)
{
    struct ranked_op *sorted =
        arena_alloc(&s->m->arena, ((size_t)s->read_count + 1) * sizeof *sorted);
    struct model_sequence before = {.count = 0};
    for (uint32_t e = 0; e < s->element_count; e++)
        s->elements[e].level = LIN_NEVER;
    for (uint32_t i = 0; i < s->read_count; i++)
        sorted[i] = (struct ranked_op){listed(s, s->reads[i]).count, s->reads[i]};
    qsort(sorted, s->read_count, sizeof *sorted, by_key);
    *last = 0;
    for (uint32_t i = 0; i < s->read_count; i++) {
        struct model_sequence list = listed(s, sorted[i].op);
        if (list.items != before.items && (list.count > 0 || before.count > 0)) {
            *last += 2;
            if (!add_level(s, before, list, *last - 1)) {
                keep_read(s, sorted[i].op);
                if (i > 0)
                    keep_read(s, sorted[i - 1].op);
                return false;
            }
        }
        levels[sorted[i].op] = *last;
        before = list;
    }
    for (uint32_t e = 0; e < s->element_count; e++)
        if (s->elements[e].add != LIN_NEVER)
            levels[s->elements[e].add] = s->elements[e].level != LIN_NEVER ? s->elements[e].level
                                         : op_at(s, s->elements[e].add)->op.known ? *last + 1
                                                                                  : LIN_NEVER;
    return true;
}

static void keep_read_of(struct set *s, const uint32_t *levels, uint32_t level)
{
    for (uint32_t i = 0; i < s->read_count; i++)
        if (levels[s->reads[i]] == level) {
            keep_read(s, s->reads[i]);
            return;
        }
}

/* `lower` was invoked after `higher` had returned, but must come first: the reads that say so. */
static void keep_levels(struct set *s, const uint32_t *levels, uint32_t lower, uint32_t higher)
{
    keep(s, lower);
    keep(s, higher);
    keep_read_of(s, levels, levels[lower] + levels[lower] % 2);
    keep_read_of(s, levels, levels[higher] - levels[higher] % 2);
}

static bool place_levels(struct set *s, const uint32_t *levels, uint32_t last)
{
    const struct lin_problem *problem = s->m->problem;
    size_t count = (size_t)last + 3;
    uint32_t *first = arena_zalloc(&s->m->arena, count * sizeof *first);
    uint32_t total = 0, latest = LIN_NEVER, newest = LIN_NEVER;
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (levels[i] != LIN_NEVER) {
            first[levels[i] + 1]++;
            total++;
        }
    for (size_t level = 1; level < count; level++)
        first[level] += first[level - 1];
    for (uint32_t i = 0; i < problem->op_count; i++)
        if (levels[i] != LIN_NEVER)
            s->m->order[first[levels[i]]++] = i;
    s->m->order_count = total;
    for (uint32_t i = 0; i < total; i++) {
        uint32_t op = s->m->order[i];
        if (i > 0 && levels[op] != levels[s->m->order[i - 1]])
            latest = newest;
        if (latest != LIN_NEVER && op_at(s, op)->op.known &&
            op_at(s, op)->returned < op_at(s, latest)->invoked) {
            keep_levels(s, levels, latest, op);
            return false;
        }
        if (newest == LIN_NEVER || op_at(s, op)->invoked > op_at(s, newest)->invoked)
            newest = op;
    }
    return true;
}

static enum lin_monitored watch_reads(struct set *s)
{
    uint32_t *levels =
        arena_alloc(&s->m->arena, ((size_t)s->m->problem->op_count + 1) * sizeof *levels);
    uint32_t last;
    if (!make_levels(s, levels, &last) || !place_levels(s, levels, last))
        return LIN_VIOLATED;
    return LIN_LINEARIZABLE;
}

enum lin_monitored lin_monitor_set(struct lin_monitoring *m)
{
    struct set s = {.m = m};
    if (!collect(&s))
        return LIN_DECLINED;
    if (s.read_count == 0)
        return watch_elements(&s);
    for (uint32_t e = 0; e < s.element_count; e++)
        if (s.elements[e].count > 0)
            return LIN_DECLINED;
    return s.removes ? LIN_DECLINED : watch_reads(&s);
}
