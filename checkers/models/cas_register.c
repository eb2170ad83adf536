/* A register with compare-and-set: cas [old new] succeeds when the value is old, and leaves new. A
 * cas that failed did not happen and never will; that is no evidence of what the value was, since
 * systems also refuse for reasons of their own. The state is the value's number. */
#include <string.h>

#include "checkers/models/models.h"

enum { READ, WRITE, CAS };

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    if (op->f == CAS && !value_is_pair(op->input)) {
        buf_add_text(problem, "the value of a cas is [old new], not ");
        value_print(op->input, problem);
        return false;
    }
    op->a = op->b = MODEL_ANY;
    if (op->f == READ && op->known)
        op->a = value_table_id(&space->values, op->output);
    if (op->f == WRITE)
        op->b = value_table_id(&space->values, op->input);
    if (op->f == CAS) {
        op->a = value_table_id(&space->values, value_at(op->input, 0));
        op->b = value_table_id(&space->values, value_at(op->input, 1));
    }
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
    if (op->f != WRITE && op->a != MODEL_ANY && op->a != value)
        return false;
    if (op->f != READ)
        value = op->b;
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
    return op->f == READ || (op->f == CAS && op->a == op->b);
}

static struct model_effect effect(const struct model_op *op)
{
    return (struct model_effect){.needs = op->a, .leaves = is_pure(op) ? MODEL_ANY : op->b};
}

static const char *const functions[] = {[READ] = "read", [WRITE] = "write", [CAS] = "cas", NULL};

const struct model model_cas_register = {
    .name = "cas-register",
    .summary = "read, write and compare-and-set one value, nil at first",
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
