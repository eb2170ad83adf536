/* Elements in classes of priority, with marks for removals that are not known: see bag.h. */
#include "checkers/models/bag.h"

#include "checkers/models/words.h"

enum { WIDTH = 2 };

static int64_t priority_at(struct model_sequence bag, size_t entry)
{
    return bag.items[entry * WIDTH];
}

static int64_t item_at(struct model_sequence bag, size_t entry)
{
    return bag.items[entry * WIDTH + 1];
}

/* The end of the first class. */
static size_t class_end(struct model_sequence bag)
{
    size_t end = 0, count = bag.count / WIDTH;
    while (end < count && priority_at(bag, end) == priority_at(bag, 0))
        end++;
    return end;
}

/* Drops the beginnings of the first class that are gone for certain; false: it cannot be. */
static bool settle(struct model_space *space, int64_t *number)
{
    struct model_sequence bag = model_sequence_of(space, *number);
    size_t end = class_end(bag), elements = 0, marks = 0, gone = 0;
    for (size_t i = 0; i < end; i++) {
        if (item_at(bag, i) != BAG_MARK) {
            elements++;
            continue;
        }
        if (++marks > elements)
            return false;
        if (marks == elements)
            gone = i + 1;
    }
    if (gone > 0)
        *number = model_spliced(space, *number, 0, gone * WIDTH, NULL, 0);
    return *number != MODEL_FULL;
}

/* Where a new element goes: into the last part of its class, ascending. */
static size_t place_of(struct model_sequence bag, int64_t priority, int64_t value)
{
    size_t at = model_sequence_search(bag, WIDTH, priority + 1);
    while (at > 0 && priority_at(bag, at - 1) == priority && item_at(bag, at - 1) > value)
        at--; /* a mark is less than any value */
    return at;
}

static bool take(struct model_space *space, int64_t *number, const struct model_op *op)
{
    struct model_sequence bag = model_sequence_of(space, *number);
    size_t end = class_end(bag);
    if (end == 0 || op->a == 0)
        return end == 0 && (op->a == 0 || op->a == MODEL_ANY);
    if (op->a == MODEL_ANY) {
        int64_t mark[] = {priority_at(bag, 0), BAG_MARK};
        *number = model_spliced(space, *number, end * WIDTH, 0, mark, WIDTH);
        return *number != MODEL_FULL && settle(space, number);
    }
    if (op->b != priority_at(bag, 0))
        return false;
    while (end > 0 && item_at(bag, end - 1) != op->a)
        end--; /* of equal ones the youngest: marks want old ones */
    if (end == 0)
        return false;
    *number = model_spliced(space, *number, (end - 1) * WIDTH, WIDTH, NULL, 0);
    return *number != MODEL_FULL && settle(space, number);
}

static int64_t length(struct model_sequence bag)
{
    int64_t elements = 0;
    for (size_t i = 0; i < bag.count / WIDTH; i++)
        elements += item_at(bag, i) == BAG_MARK ? -1 : 1;
    return elements;
}

bool bag_step(const void *state, const struct model_op *op, struct model_space *space, void *next)
{
    int64_t number = word_at(state, 0);
    struct model_sequence bag = model_sequence_of(space, number);
    bool good = true;
    if (op->c == BAG_INSERT) {
        int64_t entry[] = {op->b, op->a};
        number = model_spliced(space, number, place_of(bag, op->b, op->a) * WIDTH, 0, entry, WIDTH);
        good = number != MODEL_FULL;
    } else if (op->c == BAG_LENGTH) {
        good = op->a == MODEL_ANY || op->a == length(bag);
    } else {
        good = take(space, &number, op);
    }
    if (good)
        word_put(next, 0, number);
    return good;
}

void bag_describe(const void *state, const struct model_space *space, struct buf *out)
{
    struct model_sequence bag = model_sequence_of(space, word_at(state, 0));
    buf_add_text(out, "the queue is {");
    for (size_t i = 0; i < bag.count / WIDTH; i++) {
        if (i > 0)
            buf_add_char(out, ' ');
        if (item_at(bag, i) == BAG_MARK)
            buf_add_text(out, "(less one of these)");
        else
            value_print(value_table_value(&space->values, item_at(bag, i)), out);
    }
    buf_add_char(out, '}');
}

bool bag_is_pure(const struct model_op *op)
{
    return op->c == BAG_LENGTH || (op->c == BAG_REMOVE && op->a == 0);
}

struct model_touch bag_touch(const struct model_op *op)
{
    struct model_touch touch = {.act = MODEL_OTHER, .value = op->a, .priority = op->b};
    if (op->c == BAG_INSERT)
        touch.act = MODEL_INSERT;
    else if (op->c == BAG_REMOVE)
        touch.act = op->a == 0 ? MODEL_EMPTY : MODEL_REMOVE;
    return touch;
}

/* ---- In place: how often each value is there, and a heap of the priorities of all ---- */

struct heap {
    struct arena *arena;
    int64_t *priorities;
    uint32_t *there;      /* by the value's number */
    int64_t *priority_of; /* likewise; a value always has the same */
    size_t count, capacity, value_count;
};

static void swap(int64_t *a, int64_t *b)
{
    int64_t kept = *a;
    *a = *b;
    *b = kept;
}

static void heap_add(struct heap *heap, int64_t priority, int64_t value)
{
    heap->there[value]++;
    heap->priority_of[value] = priority;
    if (heap->count == heap->capacity) {
        int64_t *grown = arena_alloc(heap->arena, heap->capacity * 2 * sizeof *grown);
        memcpy(grown, heap->priorities, heap->count * sizeof *grown);
        heap->priorities = grown;
        heap->capacity *= 2;
    }
    size_t at = heap->count++;
    heap->priorities[at] = priority;
    for (; at > 0 && heap->priorities[(at - 1) / 2] > priority; at = (at - 1) / 2)
        swap(&heap->priorities[at], &heap->priorities[(at - 1) / 2]);
}

static void heap_take(struct heap *heap)
{
    heap->priorities[0] = heap->priorities[--heap->count];
    size_t at = 0, child;
    while ((child = 2 * at + 1) < heap->count) {
        if (child + 1 < heap->count && heap->priorities[child + 1] < heap->priorities[child])
            child++;
        if (heap->priorities[at] <= heap->priorities[child])
            return;
        swap(&heap->priorities[at], &heap->priorities[child]);
        at = child;
    }
}

static void *replay_open(struct arena *arena, const struct model_space *space, const void *state)
{
    struct heap *heap = arena_alloc(arena, sizeof *heap);
    *heap = (struct heap){.arena = arena, .capacity = 64, .value_count = space->values.count};
    heap->priorities = arena_alloc(arena, heap->capacity * sizeof *heap->priorities);
    heap->there = arena_zalloc(arena, (heap->value_count + 1) * sizeof *heap->there);
    heap->priority_of = arena_alloc(arena, (heap->value_count + 1) * sizeof *heap->priority_of);
    struct model_sequence bag = model_sequence_of(space, word_at(state, 0));
    for (size_t i = 0; i < bag.count / WIDTH; i++)
        heap_add(heap, priority_at(bag, i), item_at(bag, i));
    return heap;
}

static bool replay_apply(void *object, const struct model_op *op, int64_t took)
{
    struct heap *heap = object;
    if (op->c == BAG_INSERT) {
        heap_add(heap, op->b, op->a);
        return true;
    }
    if (op->c == BAG_LENGTH)
        return op->a == MODEL_ANY || op->a == (int64_t)heap->count;
    int64_t value = op->a == MODEL_ANY ? took : op->a;
    if (value == MODEL_ANY || heap->count == 0)
        return value == 0 && heap->count == 0;
    if (value == 0 || (size_t)value >= heap->value_count || heap->there[value] == 0 ||
        heap->priority_of[value] != heap->priorities[0])
        return false;
    heap->there[value]--;
    heap_take(heap);
    return true;
}

static void replay_describe(const void *object, const struct model_space *space, struct buf *out)
{
    const struct heap *heap = object;
    int64_t some[WORDS_SHOWN];
    size_t shown = 0;
    for (size_t value = 0; value < heap->value_count && shown < WORDS_SHOWN; value++)
        for (uint32_t i = 0; i < heap->there[value] && shown < WORDS_SHOWN; i++)
            some[shown++] = (int64_t)value;
    buf_add_text(out, "the queue is, in no order, ");
    words_print_some(space, some, heap->count, out);
}

const struct model_replay bag_replay = {
    .open = replay_open, .apply = replay_apply, .describe = replay_describe};
