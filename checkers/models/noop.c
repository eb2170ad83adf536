/* A model that allows everything: the template for a model. */
#include <stddef.h>

#include "checkers/models/models.h"

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)op, (void)space, (void)problem;
    return true;
}

static void init(void *state)
{
    *(char *)state = 0;
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    (void)op;
    *(char *)next = *(const char *)state;
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)state, (void)space;
    buf_add_text(out, "anything may happen");
}

static bool is_pure(const struct model_op *op)
{
    (void)op;
    return true;
}

static const char *const functions[] = {NULL}; /* NULL at once: every function */

const struct model model_noop = {
    .name = "noop",
    .summary = "allows everything (the template for a model)",
    .functions = functions,
    .state_size = 1,
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
