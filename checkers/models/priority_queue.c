/* A priority queue: a removal takes an element of the least priority, or answers nil from an empty
 * queue. An element is an integer, which is its own priority, or [priority value]. Among equal
 * priorities any may come. */
#include "checkers/models/bag.h"
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ENQUEUE, DEQUEUE, INSERT, DELETE_MIN, LENGTH };

static bool find_priority(struct value element, int64_t *priority)
{
    struct value first = value_is_pair(element) ? value_at(element, 0) : element;
    *priority = value_as_int(first);
    return value_is_int(first);
}

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->a = MODEL_ANY;
    op->b = 0;
    op->c = op->f == LENGTH                       ? BAG_LENGTH
            : op->f == ENQUEUE || op->f == INSERT ? BAG_INSERT
                                                  : BAG_REMOVE;
    if (op->c != BAG_INSERT && !op->known)
        return true;
    if (op->c == BAG_LENGTH && !value_is_int(op->output))
        return words_refuse(problem, "a length is a number", op->output);
    struct value element = op->c == BAG_INSERT ? op->input : op->output;
    if (op->c == BAG_LENGTH) {
        op->a = words_count(op->output);
        return true;
    }
    bool empty = op->c == BAG_REMOVE && value_is_nil(element);
    if (!empty && !find_priority(element, &op->b))
        return words_refuse(
            problem, "an element of a priority queue is an integer or [priority value]", element);
    op->a = value_table_id(&space->values, element);
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    init(state);
    if (!words_is_list(initial))
        return words_refuse(problem, "a queue begins with a list", initial);
    for (size_t i = 0; i < value_count(initial); i++) {
        struct model_op op = {.f = ENQUEUE, .input = value_at(initial, i)};
        if (!prepare(&op, space, problem))
            return false;
        (void)bag_step(state, &op, space, state);
    }
    return true;
}

static const char *const functions[] = {
    [ENQUEUE] = "enqueue",       [DEQUEUE] = "dequeue", [INSERT] = "insert",
    [DELETE_MIN] = "delete-min", [LENGTH] = "length",   NULL};

const struct model model_priority_queue = {
    .name = "priority-queue",
    .summary = "enqueue (insert) and dequeue (delete-min), the least first; nil when empty",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = bag_step,
    .describe = bag_describe,
    .is_pure = bag_is_pure,
    .start = start,
    .container = MODEL_PRIORITY,
    .touch = bag_touch,
    .replay = &bag_replay,
};
