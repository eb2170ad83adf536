/* A semaphore: acquire takes permits while there are enough, release gives taken ones back. The
 * value is a number of permits, or {:permits n}; anything else is one permit. There is one permit
 * at first, or as many as linearizable.initial says. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ACQUIRE, RELEASE };
enum { TAKEN, FREE }; /* words of the state */

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)space;
    struct value count =
        value_kind(op->input) == VALUE_MAP ? value_get(op->input, "permits") : op->input;
    op->a = value_is_int(count) ? value_as_int(count) : 1;
    return op->a >= 0 || words_refuse(problem, "a number of permits is 0 or more", count);
}

static void init(void *state)
{
    word_put(state, TAKEN, 0);
    word_put(state, FREE, 1);
}

static bool start(void *state, struct value initial, struct model_space *space, struct buf *problem)
{
    (void)space;
    init(state);
    if (!value_is_int(initial) || value_as_int(initial) < 0)
        return words_refuse(problem, "a semaphore begins with a number of permits", initial);
    word_put(state, FREE, value_as_int(initial));
    return true;
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t taken = word_at(state, TAKEN), unused = word_at(state, FREE);
    int64_t moved = op->f == ACQUIRE ? op->a : -op->a;
    if (moved > unused || -moved > taken)
        return false;
    word_put(next, TAKEN, taken + moved);
    word_put(next, FREE, unused - moved);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)space;
    buf_printf(out, "the semaphore is at %lld permits taken, %lld free",
               (long long)word_at(state, TAKEN), (long long)word_at(state, FREE));
}

static bool is_pure(const struct model_op *op)
{
    return op->a == 0;
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_semaphore = {
    .name = "semaphore",
    .summary = "acquire and release permits, of which there are linearizable.initial (1)",
    .functions = functions,
    .state_size = 2 * sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .start = start,
};
