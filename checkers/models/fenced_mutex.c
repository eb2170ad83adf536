/* A lock with fencing tokens: each acquire answers a fence, greater than any before it, so that a
 * store can refuse who lost the lock without noticing. The answer is {:client c :fence n} or the
 * fence alone; the owner is as in owner-aware-mutex. An acquire that does not tell its fence had
 * some fence greater than those before, which forbids nothing of those after. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ACQUIRE, RELEASE };
enum { HELD, OWNER, FENCE }; /* words of the state */
#define NO_FENCE INT64_MIN

/* a: the owner; b: the fence; c: whether it is told. */
static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    op->b = op->c = 0;
    bool bare = op->f == ACQUIRE && op->known && value_is_int(op->output);
    struct model_op who = *op;
    if (bare) /* an owner that is a number stands in the invocation */
        who.known = false;
    op->a = words_owner(&who, space);
    if (op->f != ACQUIRE || !op->known)
        return true;
    struct value fence =
        bare ? op->output
             : (value_kind(op->output) == VALUE_MAP ? value_get(op->output, "fence") : value_nil());
    if (bare && value_equal(op->input, op->output))
        return true; /* the invocation's value, repeated */
    if (!value_is_nil(fence) && !value_is_int(fence))
        return words_refuse(problem, "a fence is a number", fence);
    op->c = !value_is_nil(fence);
    op->b = value_as_int(fence);
    return true;
}

static void init(void *state)
{
    word_put(state, HELD, 0);
    word_put(state, OWNER, 0);
    word_put(state, FENCE, NO_FENCE);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    bool held = word_at(state, HELD) != 0;
    int64_t fence = word_at(state, FENCE);
    if (op->f == ACQUIRE ? held : !held || !words_same_owner(word_at(state, OWNER), op->a))
        return false;
    if (op->f == ACQUIRE && op->c != 0 && op->b <= fence)
        return false;
    word_put(next, HELD, !held);
    word_put(next, OWNER, held ? 0 : op->a);
    word_put(next, FENCE, op->f == ACQUIRE && op->c != 0 ? op->b : fence);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the lock is ");
    if (word_at(state, HELD) == 0)
        buf_add_text(out, "free");
    else
        buf_add_text(out, "held by ");
    if (word_at(state, HELD) != 0)
        words_print_owner(word_at(state, OWNER), space, out);
    if (word_at(state, FENCE) != NO_FENCE)
        buf_printf(out, ", the last fence told was %lld", (long long)word_at(state, FENCE));
}

static bool is_pure(const struct model_op *op)
{
    (void)op;
    return false;
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_fenced_mutex = {
    .name = "fenced-mutex",
    .summary = "a lock whose acquire answers an ever greater fence",
    .functions = functions,
    .state_size = 3 * sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
