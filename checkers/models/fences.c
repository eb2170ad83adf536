/* The fences of a lock, whoever holds it: each acquire answers a number greater than any before it.
 * That is what a store needs that refuses who lost a lock without noticing, and all that a lock
 * with leases can keep. Whether two hold it at once is for `fenced-mutex` to say. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ACQUIRE, RELEASE };

/* a: the fence; b: whether it is told. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)space;
    op->a = op->b = 0;
    if (op->f != ACQUIRE || !op->known)
        return true;
    struct value fence = op->output;
    if (value_kind(fence) == VALUE_MAP)
        fence = value_get(fence, "fence");
    if (value_is_nil(fence) || (!value_is_int(fence) && value_equal(op->input, op->output)))
        return true; /* none is told, or the invocation's value is repeated */
    if (!value_is_int(fence))
        return words_refuse(problem, "a fence is a number", fence);
    op->a = value_as_int(fence);
    op->b = true;
    return true;
}

static void init(void *state)
{
    word_put(state, 0, INT64_MIN);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t last = word_at(state, 0);
    if (op->b && op->a <= last)
        return false;
    word_put(next, 0, op->b ? op->a : last);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)space;
    if (word_at(state, 0) == INT64_MIN)
        buf_add_text(out, "no fence was told yet");
    else
        buf_printf(out, "the last fence told was %lld", (long long)word_at(state, 0));
}

static bool is_pure(const struct model_op *op)
{
    return !op->b;
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_fences = {
    .name = "fences",
    .summary = "a lock whose acquire answers an ever greater fence, whoever else may hold it",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
