/* A dispenser of numbered tickets: each take answers the next number, from 1; a skip throws some
 * away. The state is the number of the last ticket. */
#include <string.h>

#include "harness/model.h"

enum { TAKE, SKIP };

/* op->a: the ticket that was answered, or how many are thrown away. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)space;
    struct value number = op->f == TAKE ? op->output : op->input;
    op->a = value_as_int(number);
    if ((op->f == SKIP || op->known) && !value_is_int(number)) {
        buf_add_text(problem, "a take answers a number, and a skip is of one");
        return false;
    }
    return true;
}

static void init(void *state)
{
    memset(state, 0, sizeof(int64_t));
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t last;
    memcpy(&last, state, sizeof last);
    if (op->f == TAKE && op->known && op->a != last + 1)
        return false;
    last += op->f == TAKE ? 1 : op->a;
    memcpy(next, &last, sizeof last);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)space;
    int64_t last;
    memcpy(&last, state, sizeof last);
    buf_printf(out, "the last ticket is %lld", (long long)last);
}

static bool is_pure(const struct model_op *op)
{
    return op->f == SKIP && op->a == 0;
}

static const char *const functions[] = {[TAKE] = "take", [SKIP] = "skip", NULL};

const struct model ORDEAL_MODEL = {
    .name = "tickets",
    .summary = "take answers the next number; skip throws some away",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
