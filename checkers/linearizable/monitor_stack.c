/* Stacks whose values are distinct, by decreasing: see docs/linearizability.md. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/linearizable/monitor_items.h"
#include "checkers/linearizable/monitor_tree.h"

#define NO_ITEM UINT32_MAX

/* One step of the order that is found. */
struct move {
    uint32_t item; /* NO_ITEM: an operation that saw the stack empty */
    uint32_t op;   /* LIN_NEVER: a pop that nobody is known to have done */
    uint32_t gap;
    bool pop;
};

/* Values whose zones leave no gap between them: they all lie within one of them. */
struct part {
    uint32_t begin, end; /* places */
    uint32_t pop;        /* not a part, but the end of one: the item that is popped; else NO_ITEM */
};

/* A search over some values, each of which is certainly inside for a while. A place is an index
 * into `set`, a segment one into `line`. */
struct search {
    const struct lin_items *items;
    struct arena *arena;
    const uint32_t *set; /* items by the return of their insertion */
    uint32_t count;
    uint32_t *line; /* the gaps at which zones begin or are over, ascending */
    uint32_t line_count;
    uint32_t *starts,
        *ends;             /* by place: the segments that its zone covers, the last not included */
    uint32_t *next;        /* by place: the way to the next that is left */
    uint8_t *flags;        /* by place */
    struct lin_tree cover; /* by segment: how many zones */
    struct lin_tree early, late, roots; /* by place */
    struct part *parts;
    uint32_t part_count, depth;
    struct part failed;
};
enum { EARLY = 1, LATE = 2, BOTH = 3, GONE = 4 };

struct stack {
    struct lin_items items;
    uint32_t *set, *by_out, set_count;
    uint32_t *empties, *empty_gaps; /* operations by gap */
    uint32_t empty_count, empties_placed;
    struct move *moves;
    uint32_t move_count;
    bool generous; /* what remains may be popped at any time after the first spare's invocation */
};

static struct lin_item *item_at(const struct stack *s, uint32_t item)
{
    return &s->items.items[item];
}

/* ---- The search ---- */

static const struct lin_item *place_at(const struct search *search, uint32_t place)
{
    return &search->items->items[search->set[place]];
}

/* Merges beginnings and ends of zones into one line. `by_out`: the same items by the invocation of
 * their removal. */
static void make_line(struct search *search, const uint32_t *by_out, uint32_t *place_of)
{
    uint32_t in = 0, out = 0, last = UINT32_MAX;
    for (uint32_t place = 0; place < search->count; place++)
        place_of[search->set[place]] = place;
    while (out < search->count) {
        const struct lin_item *leaves = &search->items->items[by_out[out]];
        uint32_t end = leaves->remove_invoke + 1;
        uint32_t start = in < search->count ? place_at(search, in)->insert_return + 1 : UINT32_MAX;
        uint32_t gap = start < end ? start : end;
        if (gap != last)
            search->line[search->line_count++] = gap;
        last = gap;
        if (start <= end)
            search->starts[in++] = search->line_count - 1;
        else
            search->ends[place_of[by_out[out++]]] = search->line_count - 1;
    }
}

static void open_search(struct search *search, const struct lin_items *items, const uint32_t *set,
                        const uint32_t *by_out, uint32_t count, uint32_t *place_of,
                        struct arena *arena)
{
    size_t places = (size_t)count + 1;
    *search = (struct search){.items = items, .arena = arena, .set = set, .count = count};
    search->line = arena_alloc(arena, 2 * places * sizeof(uint32_t));
    search->starts = arena_alloc(arena, places * sizeof(uint32_t));
    search->ends = arena_alloc(arena, places * sizeof(uint32_t));
    search->next = arena_alloc(arena, places * sizeof(uint32_t));
    search->flags = arena_zalloc(arena, places);
    search->parts = arena_alloc(arena, 2 * places * sizeof *search->parts);
    make_line(search, by_out, place_of);
    lin_tree_init(&search->cover, search->line_count + 1, 0, arena);
    lin_tree_init(&search->early, count, INT64_MAX, arena);
    lin_tree_init(&search->late, count, INT64_MAX, arena);
    lin_tree_init(&search->roots, count, 1, arena);
    for (uint32_t place = 0; place <= count; place++)
        search->next[place] = place;
    for (uint32_t place = 0; place < count; place++) {
        lin_tree_add(&search->cover, search->starts[place], search->ends[place], 1);
        lin_tree_set(&search->early, place, place_at(search, place)->insert_invoke);
        lin_tree_set(&search->late, place, -(int64_t)place_at(search, place)->remove_return);
    }
}

static uint32_t next_left(const struct search *search, uint32_t place)
{
    while (search->next[place] != place) {
        search->next[place] = search->next[search->next[place]];
        place = search->next[place];
    }
    return place;
}

/* The first place in the range whose zone does not begin before `segment`. */
static uint32_t first_from(const struct search *search, uint32_t begin, uint32_t end,
                           uint32_t segment)
{
    while (begin < end) {
        uint32_t middle = begin + (end - begin) / 2;
        if (search->starts[middle] < segment)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* What is left in the range falls apart where no zone covers the line. The first part is to be
 * looked at first, so it comes last. */
static void split(struct search *search, uint32_t begin, uint32_t end)
{
    uint32_t before = search->part_count;
    for (uint32_t place = next_left(search, begin); place < end;) {
        uint32_t gap =
            lin_tree_find(&search->cover, search->starts[place], search->line_count + 1, 0);
        uint32_t stop = first_from(search, place, end, gap);
        search->parts[search->part_count++] = (struct part){place, stop, NO_ITEM};
        place = next_left(search, stop);
    }
    for (uint32_t i = before, j = search->part_count; i + 1 < j; i++) {
        struct part kept = search->parts[--j];
        search->parts[j] = search->parts[i];
        search->parts[i] = kept;
    }
}

static void mark(struct search *search, struct lin_tree *tree, uint8_t flag,
                 const struct part *part, int64_t bound)
{
    for (;;) {
        uint32_t place = lin_tree_find(tree, part->begin, part->end, bound);
        if (place == LIN_TREE_NONE)
            return;
        lin_tree_set(tree, place, INT64_MAX);
        search->flags[place] |= flag;
        if (search->flags[place] == BOTH)
            lin_tree_set(&search->roots, place, 0);
    }
}

/* A value that can be pushed before any other of the part must have been, and popped after any
 * other must have been. It does not matter which of several. */
static uint32_t find_root(struct search *search, const struct part *part)
{
    uint32_t gap =
        lin_tree_find(&search->cover, search->starts[part->begin], search->line_count + 1, 0);
    int64_t first = place_at(search, part->begin)->insert_return;
    int64_t last = (int64_t)search->line[gap] - 1; /* the last invocation of a removal */
    mark(search, &search->early, EARLY, part, first - 1);
    mark(search, &search->late, LATE, part, -(last + 1));
    return lin_tree_find(&search->roots, part->begin, part->end, 0);
}

static void take_out(struct search *search, uint32_t place)
{
    lin_tree_add(&search->cover, search->starts[place], search->ends[place], -1);
    lin_tree_set(&search->early, place, INT64_MAX);
    lin_tree_set(&search->late, place, INT64_MAX);
    lin_tree_set(&search->roots, place, 1);
    search->flags[place] |= GONE;
    search->next[place] = place + 1;
}

static void note_move(struct stack *s, uint32_t item, bool pop)
{
    if (s == NULL)
        return;
    uint32_t op = pop ? item_at(s, item)->remove : item_at(s, item)->insert;
    s->moves[s->move_count++] = (struct move){.item = item, .op = op, .pop = pop};
}

/* Where the stack is empty: what was seen so before this gap. */
static void note_empties(struct stack *s, uint32_t gap)
{
    for (;
         s != NULL && s->empties_placed < s->empty_count && s->empty_gaps[s->empties_placed] < gap;
         s->empties_placed++)
        s->moves[s->move_count++] =
            (struct move){.item = NO_ITEM, .op = s->empties[s->empties_placed]};
}

/* `told`: who gets the moves; NULL: nobody. False: `failed` is a part without a root. */
static bool run(struct search *search, struct stack *told)
{
    split(search, 0, search->count);
    while (search->part_count > 0) {
        struct part part = search->parts[--search->part_count];
        if (part.pop != NO_ITEM) {
            note_move(told, part.pop, true);
            search->depth--;
            continue;
        }
        uint32_t root = find_root(search, &part);
        if (root == LIN_TREE_NONE) {
            search->failed = part;
            return false;
        }
        if (search->depth++ == 0)
            note_empties(told, search->line[search->starts[part.begin]]);
        note_move(told, search->set[root], false);
        take_out(search, root);
        search->parts[search->part_count++] = (struct part){0, 0, search->set[root]};
        split(search, part.begin, part.end);
    }
    note_empties(told, UINT32_MAX);
    return true;
}

/* ---- Few values that have no order ---- */

struct shrinking {
    struct stack *s;
    uint32_t *set, *by_out, count; /* have none */
    uint32_t *try_set, *try_out;
    uint8_t *chosen; /* by item */
    uint32_t *place_of;
    uint64_t work, work_max;
};

static void choose(struct shrinking *shrinking, uint32_t *set, uint32_t *by_out, uint32_t *count)
{
    uint32_t sets = 0, outs = 0;
    for (uint32_t i = 0; i < shrinking->count; i++) {
        if (shrinking->chosen[shrinking->set[i]])
            set[sets++] = shrinking->set[i];
        if (shrinking->chosen[shrinking->by_out[i]])
            by_out[outs++] = shrinking->by_out[i];
    }
    *count = sets;
}

/* Do the chosen values have an order? If not they are what is left, and of them only the part that
 * has none. */
static bool keeps_failing(struct shrinking *shrinking)
{
    struct arena arena = ARENA_INIT;
    struct search search;
    uint32_t count;
    choose(shrinking, shrinking->try_set, shrinking->try_out, &count);
    shrinking->work += count + 16;
    open_search(&search, &shrinking->s->items, shrinking->try_set, shrinking->try_out, count,
                shrinking->place_of, &arena);
    bool failed = count > 0 && !run(&search, NULL);
    if (failed) {
        memset(shrinking->chosen, 0, shrinking->s->items.count);
        for (uint32_t p = search.failed.begin; p < search.failed.end; p++)
            shrinking->chosen[shrinking->try_set[p]] = (search.flags[p] & GONE) == 0;
        choose(shrinking, shrinking->set, shrinking->by_out, &shrinking->count);
    }
    arena_free(&arena);
    return failed;
}

/* Leaves out ever smaller pieces, as long as there is work left to spend. */
static void shrink(struct shrinking *shrinking)
{
    const struct lin_budget *budget = shrinking->s->items.m->budget;
    for (uint32_t size = shrinking->count / 2; size > 0;) {
        bool smaller = false;
        for (uint32_t from = 0; from < shrinking->count; from += size) {
            if (shrinking->work > shrinking->work_max || lin_late(budget))
                return;
            for (uint32_t i = from; i < shrinking->count && i < from + size; i++)
                shrinking->chosen[shrinking->set[i]] = 0;
            if (keeps_failing(shrinking)) {
                smaller = true;
                break;
            }
            for (uint32_t i = 0; i < shrinking->count; i++)
                shrinking->chosen[shrinking->set[i]] = 1;
        }
        uint32_t half = shrinking->count / 2;
        size = smaller ? (size < half ? size : half) : size / 2;
        size = size == 0 && smaller && shrinking->count > 1 ? 1 : size;
    }
}

static void keep_few(struct stack *s, const struct search *search)
{
    struct arena *arena = &s->items.m->arena;
    size_t items = (size_t)s->items.count + 1, set = (size_t)s->set_count + 1;
    struct shrinking shrinking = {.s = s, .work_max = 60 * (uint64_t)items + 1000000};
    shrinking.chosen = arena_zalloc(arena, items);
    shrinking.place_of = arena_alloc(arena, items * sizeof(uint32_t));
    shrinking.set = arena_alloc(arena, set * sizeof(uint32_t));
    shrinking.by_out = arena_alloc(arena, set * sizeof(uint32_t));
    shrinking.try_set = arena_alloc(arena, set * sizeof(uint32_t));
    shrinking.try_out = arena_alloc(arena, set * sizeof(uint32_t));
    memcpy(shrinking.set, s->set, s->set_count * sizeof(uint32_t));
    memcpy(shrinking.by_out, s->by_out, s->set_count * sizeof(uint32_t));
    shrinking.count = s->set_count;
    for (uint32_t p = search->failed.begin; p < search->failed.end; p++)
        shrinking.chosen[s->set[p]] = (search->flags[p] & GONE) == 0;
    choose(&shrinking, shrinking.set, shrinking.by_out, &shrinking.count);
    shrink(&shrinking);
    for (uint32_t i = 0; i < shrinking.count; i++)
        lin_items_keep(&s->items, item_at(s, shrinking.set[i]));
}

/* ---- Who saw it empty ---- */

static void keep_cover(struct stack *s, uint32_t empty)
{
    const struct lin_op *op = &s->items.m->problem->ops[empty];
    uint32_t at = 0, longest = NO_ITEM;
    s->items.m->kept[empty] = 1;
    for (uint32_t gap = op->invoked + 1; gap <= op->returned;
         gap = item_at(s, longest)->remove_invoke + 1) {
        for (; at < s->set_count && item_at(s, s->set[at])->insert_return < gap; at++)
            if (longest == NO_ITEM ||
                item_at(s, s->set[at])->remove_invoke > item_at(s, longest)->remove_invoke)
                longest = s->set[at];
        lin_items_keep(&s->items, item_at(s, longest));
    }
}

/* A gap in no zone for each, and the operations in the order of these gaps. */
static bool find_empty_gaps(struct stack *s)
{
    struct lin_items *items = &s->items;
    struct arena *arena = &items->m->arena;
    int32_t *covered = lin_items_cover(items);
    size_t gaps = (size_t)items->events + 4, count = (size_t)items->empty_count + 1;
    uint32_t *next = arena_alloc(arena, gaps * sizeof *next);
    uint32_t *first = arena_zalloc(arena, gaps * sizeof *first);
    next[items->events + 1] = items->events + 1;
    for (uint32_t g = items->events + 1; g-- > 0;)
        next[g] = covered[g] == 0 ? g : next[g + 1];
    s->empties = arena_alloc(arena, count * sizeof *s->empties);
    s->empty_gaps = arena_alloc(arena, count * sizeof *s->empty_gaps);
    s->empty_count = items->empty_count;
    for (uint32_t i = 0; i < items->empty_count; i++) {
        const struct lin_op *op = &items->m->problem->ops[items->empties[i]];
        uint32_t gap = next[op->invoked + 1];
        if (gap > op->returned) {
            keep_cover(s, items->empties[i]);
            return false;
        }
        first[gap + 1]++;
    }
    for (size_t g = 1; g < gaps; g++)
        first[g] += first[g - 1];
    for (uint32_t i = 0; i < items->empty_count; i++) {
        uint32_t gap = next[items->m->problem->ops[items->empties[i]].invoked + 1];
        s->empties[first[gap]] = items->empties[i];
        s->empty_gaps[first[gap]++] = gap;
    }
    return true;
}

/* ---- The whole ---- */

/* The values that are certainly inside for a while; the others are pushed and popped at once. */
static void choose_set(struct stack *s)
{
    struct lin_items *items = &s->items;
    uint32_t *some = arena_alloc(&items->m->arena, ((size_t)items->count + 1) * sizeof *some);
    s->set_count = 0;
    for (uint32_t i = 0; i < items->count; i++)
        if (item_at(s, i)->insert_return < item_at(s, i)->remove_invoke)
            some[s->set_count++] = i;
    s->set = lin_items_sort(items, some, s->set_count, LIN_MOMENT(insert_return));
    s->by_out = lin_items_sort(items, some, s->set_count, LIN_MOMENT(remove_invoke));
}

static bool try_all(struct stack *s)
{
    struct arena *arena = &s->items.m->arena;
    choose_set(s);
    s->move_count = s->empties_placed = 0;
    if (!find_empty_gaps(s))
        return false;
    struct search search;
    uint32_t *place_of = arena_alloc(arena, ((size_t)s->items.count + 1) * sizeof *place_of);
    open_search(&search, &s->items, s->set, s->by_out, s->set_count, place_of, arena);
    if (run(&search, s))
        return true;
    keep_few(s, &search);
    return false;
}

static uint32_t invoked(const struct stack *s, const struct move *move)
{
    if (move->op == LIN_NEVER)
        return item_at(s, move->item)->remove_invoke;
    return s->items.m->problem->ops[move->op].invoked;
}

/* Adds what is pushed and popped at once, by gaps. */
static void merge_free(struct stack *s)
{
    struct lin_items *items = &s->items;
    struct arena *arena = &items->m->arena;
    uint32_t *some = arena_alloc(arena, ((size_t)items->count + 1) * sizeof *some);
    struct move *moves =
        arena_alloc(arena, ((size_t)items->count * 2 + items->empty_count + 1) * sizeof *moves);
    uint32_t free_count = 0, at = 0, count = 0, gap = 0;
    for (uint32_t i = 0; i < items->count; i++)
        if (item_at(s, i)->insert_return >= item_at(s, i)->remove_invoke)
            some[free_count++] = i;
    uint32_t *sorted = lin_items_sort(items, some, free_count, LIN_MOMENT(remove_invoke));
    for (uint32_t i = 0; i <= s->move_count; i++) {
        if (i < s->move_count)
            gap = invoked(s, &s->moves[i]) + 1 > gap ? invoked(s, &s->moves[i]) + 1 : gap;
        for (; at < free_count &&
               (i == s->move_count || item_at(s, sorted[at])->remove_invoke + 1 < gap);
             at++) {
            const struct lin_item *item = item_at(s, sorted[at]);
            moves[count++] = (struct move){.item = sorted[at], .op = item->insert};
            moves[count++] = (struct move){.item = sorted[at], .op = item->remove, .pop = true};
        }
        if (i < s->move_count)
            moves[count++] = s->moves[i];
    }
    s->moves = moves;
    s->move_count = count;
}

/* After a generous search: of the pops that nobody is known to have done those are needed after
 * which something below was popped, or the stack seen empty. Sets each move's gap to the latest it
 * can have. */
static void drop_pops(struct stack *s)
{
    uint32_t events = s->items.events, latest = events, lowest = UINT32_MAX;
    uint32_t *pushed =
        arena_alloc(&s->items.m->arena, ((size_t)s->items.count + 1) * sizeof *pushed);
    for (uint32_t i = 0; i < s->move_count; i++)
        if (s->moves[i].item != NO_ITEM && !s->moves[i].pop)
            pushed[s->moves[i].item] = i + 1;
    for (uint32_t i = s->move_count; i-- > 0;) {
        struct move *move = &s->moves[i];
        uint32_t below = move->item == NO_ITEM ? 0 : pushed[move->item];
        if (move->pop && move->op == LIN_NEVER && lowest > below) {
            move->item = NO_ITEM; /* it stays inside */
            move->pop = false;
            continue;
        }
        if (move->pop || move->item == NO_ITEM)
            lowest = below < lowest ? below : lowest;
        if (move->op != LIN_NEVER) {
            const struct lin_op *op = &s->items.m->problem->ops[move->op];
            latest = op->op.known && op->returned < latest ? op->returned : latest;
        }
        move->gap = latest;
    }
}

static bool place_moves(struct stack *s)
{
    struct lin_items *items = &s->items;
    uint32_t spare = 0;
    for (uint32_t i = 0; i < s->move_count; i++) {
        struct move *move = &s->moves[i];
        int64_t took = move->item == NO_ITEM ? MODEL_ANY : item_at(s, move->item)->value;
        if (move->op == LIN_NEVER && move->item == NO_ITEM)
            continue;
        if (move->op == LIN_NEVER) {
            if (spare == items->spare_count ||
                items->m->problem->ops[items->spares[spare]].invoked >= move->gap)
                return false;
            move->op = items->spares[spare++];
        }
        lin_items_place(items, move->op, move->pop ? took : MODEL_ANY);
    }
    return true;
}

/* From now on what remains may be popped by the first spare. */
static bool be_generous(struct stack *s)
{
    struct lin_items *items = &s->items;
    if (items->spare_count == 0)
        return false;
    uint32_t first = items->m->problem->ops[items->spares[0]].invoked;
    for (uint32_t i = 0; i < items->count; i++) {
        struct lin_item *item = item_at(s, i);
        if (lin_item_removed(item))
            continue;
        item->remove_invoke = first > item->insert_invoke ? first : item->insert_invoke;
        s->generous = true;
    }
    memset(items->m->kept, 0, items->m->problem->op_count);
    return s->generous;
}

enum lin_monitored lin_monitor_stack(struct lin_monitoring *m)
{
    struct stack s = {.generous = false};
    enum lin_monitored collected = lin_items_collect(&s.items, m);
    if (collected != LIN_LINEARIZABLE)
        return collected;
    s.moves = arena_alloc(&m->arena,
                          ((size_t)s.items.count * 2 + s.items.empty_count + 1) * sizeof *s.moves);
    /* First as if no spare had popped anything; then as if there were as many as wanted. */
    if (!try_all(&s)) {
        uint8_t *kept = arena_alloc(&m->arena, (size_t)m->problem->op_count + 1);
        memcpy(kept, m->kept, m->problem->op_count);
        if (!be_generous(&s)) {
            memcpy(m->kept, kept, m->problem->op_count);
            return LIN_VIOLATED;
        }
        if (!try_all(&s))
            return LIN_VIOLATED;
    }
    merge_free(&s);
    drop_pops(&s);
    return place_moves(&s) ? LIN_LINEARIZABLE : LIN_DECLINED;
}
