/* A counter: add a number, inc and dec by one (or by the value given), read the sum; 0 at first. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ADD, INC, DEC, INCREMENT, DECREMENT, READ };

/* a: what is added; for a read b: what it saw, when op->known. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)space;
    op->a = op->b = 0;
    if (op->f == READ) {
        if (op->known && !value_is_int(op->output))
            return words_refuse(problem, "a read of a counter answers an integer", op->output);
        op->b = value_as_int(op->output);
        return true;
    }
    bool plain = op->f != ADD && value_is_nil(op->input);
    if (!plain && !value_is_int(op->input))
        return words_refuse(problem, "what is added to a counter is an integer", op->input);
    op->a = plain ? 1 : value_as_int(op->input);
    if (op->f == DEC || op->f == DECREMENT)
        op->a = -op->a;
    return true;
}

static void init(void *state)
{
    word_put(state, 0, 0);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t sum = word_at(state, 0);
    word_put(next, 0, (int64_t)((uint64_t)sum + (uint64_t)op->a));
    return op->f != READ || !op->known || op->b == sum;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)space;
    buf_printf(out, "the counter is %lld", (long long)word_at(state, 0));
}

static bool is_pure(const struct model_op *op)
{
    return op->a == 0;
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    (void)space;
    if (!value_is_int(initial))
        return words_refuse(problem, "a counter begins with an integer", initial);
    word_put(state, 0, value_as_int(initial));
    return true;
}

static const char *const functions[] = {[ADD] = "add",
                                        [INC] = "inc",
                                        [DEC] = "dec",
                                        [INCREMENT] = "increment",
                                        [DECREMENT] = "decrement",
                                        [READ] = "read",
                                        NULL};

const struct model model_counter = {
    .name = "counter",
    .summary = "add, inc and dec, and read, which answers the sum",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
};
