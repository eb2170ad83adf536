/* A queue that keeps no order: dequeue takes any element, or answers nil from an empty queue. */
#include "checkers/models/bag.h"
#include "checkers/models/models.h"
#include "checkers/models/words.h"

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->a = MODEL_ANY;
    op->b = 0; /* one class for all */
    op->c = op->f;
    if (op->f == BAG_INSERT && value_is_nil(op->input))
        return words_refuse(problem, "what is enqueued is something", op->input);
    if (op->f == BAG_INSERT)
        op->a = value_table_id(&space->values, op->input);
    else if (op->known && op->f == BAG_LENGTH && !value_is_int(op->output))
        return words_refuse(problem, "a length is a number", op->output);
    else if (op->known)
        op->a = op->f == BAG_LENGTH ? words_count(op->output)
                                    : (int64_t)value_table_id(&space->values, op->output);
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a queue begins with a list", initial);
    init(state);
    for (size_t i = 0; i < value_count(initial); i++) {
        struct model_op op = {.c = BAG_INSERT};
        op.a = value_table_id(&space->values, value_at(initial, i));
        (void)bag_step(state, &op, space, state);
    }
    return true;
}

static const char *const functions[] = {
    [BAG_INSERT] = "enqueue", [BAG_REMOVE] = "dequeue", [BAG_LENGTH] = "length", NULL};

const struct model model_unordered_queue = {
    .name = "unordered-queue",
    .summary = "enqueue and dequeue in any order; nil from an empty queue",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = bag_step,
    .describe = bag_describe,
    .is_pure = bag_is_pure,
    .start = start,
    .container = MODEL_BAG,
    .touch = bag_touch,
    .replay = &bag_replay,
};
