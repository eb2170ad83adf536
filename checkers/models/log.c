/* An append-only log: append a value, read all of them in order, ask for the length. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { APPEND, READ, LENGTH };

/* a: the value's number, the list's, or the length; MODEL_ANY when not known. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->a = MODEL_ANY;
    if (op->f == APPEND)
        op->a = value_table_id(&space->values, op->input);
    if (op->f == APPEND || !op->known)
        return true;
    if (op->f == LENGTH ? !value_is_int(op->output)
                        : !words_is_list(op->output) && !value_is_nil(op->output))
        return words_refuse(problem,
                            op->f == LENGTH ? "a length is a number" : "a read answers a list",
                            op->output);
    op->a = op->f == LENGTH ? words_count(op->output) : words_of_list(space, op->output);
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
    int64_t length = model_sequence_of(space, number).count;
    word_put(next, 0, number);
    if (op->f == APPEND)
        return word_splice(space, next, number, (size_t)length, 0, &op->a, 1);
    return op->a == MODEL_ANY || op->a == (op->f == LENGTH ? length : number);
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the log is ");
    model_print_values(space, word_at(state, 0), out);
}

static bool is_pure(const struct model_op *op)
{
    return op->f != APPEND;
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    if (!words_is_list(initial))
        return words_refuse(problem, "a log begins with a list", initial);
    word_put(state, 0, words_of_list(space, initial));
    return true;
}

static const char *const functions[] = {
    [APPEND] = "append", [READ] = "read", [LENGTH] = "length", NULL};

const struct model model_log = {
    .name = "log",
    .summary = "append, and read, which answers everything in order",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
};
