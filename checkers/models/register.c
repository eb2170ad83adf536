/* A register: read gives the value last written; nil before the first write. The state is the
 * value's number. */
#include <string.h>

#include "checkers/models/models.h"

enum { READ, WRITE };

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)problem;
    struct value value = op->f == READ ? op->output : op->input;
    op->a = op->f == READ && !op->known ? MODEL_ANY : value_table_id(&space->values, value);
    return true;
}

static void init(void *state)
{
    memset(state, 0, sizeof(int64_t)); /* nil */
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t value;
    memcpy(&value, state, sizeof value);
    if (op->f == READ && op->a != MODEL_ANY && op->a != value)
        return false;
    if (op->f == WRITE)
        value = op->a;
    memcpy(next, &value, sizeof value);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    int64_t value;
    memcpy(&value, state, sizeof value);
    buf_add_text(out, "the value is ");
    value_print(value_table_value(&space->values, value), out);
}

static bool is_pure(const struct model_op *op)
{
    return op->f == READ;
}

static struct model_effect effect(const struct model_op *op)
{
    if (op->f == READ)
        return (struct model_effect){.needs = op->a, .leaves = MODEL_ANY};
    return (struct model_effect){.needs = MODEL_ANY, .leaves = op->a};
}

static const char *const functions[] = {[READ] = "read", [WRITE] = "write", NULL};

const struct model model_register = {
    .name = "register",
    .summary = "read and write one value, nil at first",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .effect = effect,
    .holds_value = true,
};
