/* A set: add, remove, contains, and read, which lists all. Where an add or a remove answers true or
 * false, that says whether it changed the set; any other answer says nothing. The state is the
 * sequence of elements, ascending by number. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ADD, REMOVE, CONTAINS, READ };
enum { NO, YES, UNSAID = -1 };
#define NEVER INT64_C(-3) /* a list that no set is */

static int64_t said(const struct model_op *op)
{
    return op->known && value_kind(op->output) == VALUE_BOOL ? value_as_bool(op->output) : UNSAID;
}

/* The elements listed, each once, or NEVER when one of them is there twice. */
static int64_t listed(struct model_space *space, struct value list)
{
    int64_t number = words_of_bag(space, list);
    struct model_sequence items = model_sequence_of(space, number);
    for (uint32_t i = 1; i < items.count; i++)
        if (items.items[i] == items.items[i - 1])
            return NEVER;
    return number;
}

/* a: the element, or for a read the set; b: what was answered. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->b = said(op);
    if (op->f != READ) {
        op->a = value_table_id(&space->values, op->input);
        if (op->f == CONTAINS && op->known && op->b == UNSAID)
            return words_refuse(problem, "contains answers true or false", op->output);
        return true;
    }
    op->a = MODEL_ANY;
    if (!op->known)
        return true;
    if (!words_is_list(op->output))
        return words_refuse(problem, "a read answers a list or a set", op->output);
    op->a = listed(space, op->output);
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    int64_t number = word_at(state, 0);
    word_put(next, 0, number);
    if (op->f == READ)
        return op->a == MODEL_ANY || op->a == number;
    struct model_sequence set = model_sequence_of(space, number);
    size_t at = model_sequence_search(set, 1, op->a);
    bool there = at < set.count && set.items[at] == op->a;
    if (op->f == CONTAINS)
        return op->b == UNSAID || op->b == there;
    bool changes = op->f == ADD ? !there : there;
    if (op->b != UNSAID && op->b != changes)
        return false;
    return !changes || word_splice(space, next, number, at, there, &op->a, !there);
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the set is ");
    model_print_values(space, word_at(state, 0), out);
}

static bool is_pure(const struct model_op *op)
{
    return op->f == READ || op->f == CONTAINS || op->b == NO;
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a set begins with a list", initial);
    int64_t number = listed(space, initial);
    if (number == NEVER)
        return words_refuse(problem, "a set holds each element once", initial);
    word_put(state, 0, number);
    return true;
}

static struct model_touch touch(const struct model_op *op)
{
    struct model_touch touch = {.act = MODEL_OTHER, .value = op->a};
    if (op->f == READ)
        touch.act = op->a == NEVER ? MODEL_OTHER : MODEL_LISTS;
    else if (op->f == CONTAINS)
        touch.act = op->b == YES ? MODEL_HAS : MODEL_LACKS;
    else if (op->f == ADD)
        touch.act = op->b == NO ? MODEL_HAS : MODEL_INSERT;
    else if (op->b != UNSAID || !op->known)
        touch.act = op->b == NO ? MODEL_LACKS : MODEL_REMOVE;
    return touch;
}

static const char *const functions[] = {
    [ADD] = "add", [REMOVE] = "remove", [CONTAINS] = "contains", [READ] = "read", NULL};

const struct model model_set = {
    .name = "set",
    .summary = "add, remove and contains, and read, which lists all elements",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
    .container = MODEL_SET,
    .touch = touch,
};
