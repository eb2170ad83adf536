/* A multiset (bag): add, remove one, count of an element, and read, which lists all. A remove that
 * answers false found none; else there was one. The state is a sequence of (element, count). */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ADD, REMOVE, CONTAINS, COUNT, READ };

/* Elements listed, as (element, count). */
static int64_t counted(struct model_space *space, struct value list)
{
    int64_t bag = words_of_bag(space, list), map = 0, before;
    struct model_sequence items = model_sequence_of(space, bag);
    for (uint32_t i = 0; i < items.count; i++) {
        if (!words_find(space, map, items.items[i], &before))
            before = 0;
        map = words_set(space, map, items.items[i], before + 1);
    }
    return map;
}

/* a: the element, or what was listed; b: how many were seen, MODEL_ANY when that is not said. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->b = MODEL_ANY;
    if (op->f != READ) {
        op->a = value_table_id(&space->values, op->input);
        if (!op->known || op->f == ADD)
            return true;
        bool truth = value_kind(op->output) == VALUE_BOOL;
        if (op->f == CONTAINS && !truth)
            return words_refuse(problem, "contains answers true or false", op->output);
        if (op->f == COUNT && !value_is_int(op->output))
            return words_refuse(problem, "a count is a number", op->output);
        if (op->f == COUNT)
            op->b = words_count(op->output);
        else if (truth)
            op->b = value_as_bool(op->output);
        return true;
    }
    op->a = MODEL_ANY;
    if (!op->known)
        return true;
    if (!words_is_list(op->output))
        return words_refuse(problem, "a read answers a list", op->output);
    op->a = counted(space, op->output);
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool put(struct model_space *space, void *next, int64_t map, int64_t element, int64_t count)
{
    int64_t number = words_set(space, map, element, count == 0 ? MODEL_ANY : count);
    if (number != MODEL_FULL)
        word_put(next, 0, number);
    return number != MODEL_FULL;
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    int64_t map = word_at(state, 0), count = 0;
    word_put(next, 0, map);
    if (op->f == READ)
        return op->a == MODEL_ANY || op->a == map;
    if (!words_find(space, map, op->a, &count))
        count = 0;
    if (op->f == ADD)
        return put(space, next, map, op->a, count + 1);
    if (op->f == COUNT)
        return op->b == MODEL_ANY || op->b == count;
    if (op->f == CONTAINS)
        return op->b == MODEL_ANY || op->b == (count > 0);
    if (op->b == 0)
        return count == 0;
    return count > 0 && put(space, next, map, op->a, count - 1);
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    struct model_sequence pairs = model_sequence_of(space, word_at(state, 0));
    buf_add_text(out, "the multiset is {");
    for (uint32_t i = 0; i < pairs.count; i += 2) {
        buf_add_text(out, i == 0 ? "" : ", ");
        value_print(value_table_value(&space->values, pairs.items[i]), out);
        buf_printf(out, " %lld times", (long long)pairs.items[i + 1]);
    }
    buf_add_char(out, '}');
}

static bool is_pure(const struct model_op *op)
{
    return op->f == READ || op->f == COUNT || op->f == CONTAINS || (op->f == REMOVE && op->b == 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a multiset begins with a list", initial);
    word_put(state, 0, counted(space, initial));
    return true;
}

static const char *const functions[] = {
    [ADD] = "add",     [REMOVE] = "remove", [CONTAINS] = "contains",
    [COUNT] = "count", [READ] = "read",     NULL};

const struct model model_multiset = {
    .name = "multiset",
    .summary = "add, remove, contains and count, and read, which lists all elements",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
};
