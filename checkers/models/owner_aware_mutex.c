/* A lock that knows its owner: acquire when it is free, release by who holds it. The owner is the
 * operation's value, :client or :owner in it, else the process. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ACQUIRE, RELEASE };
enum { HELD, OWNER }; /* words of the state */

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)problem;
    op->a = words_owner(op, space);
    return true;
}

static void init(void *state)
{
    word_put(state, HELD, 0);
    word_put(state, OWNER, 0);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    bool held = word_at(state, HELD) != 0;
    if (op->f == ACQUIRE ? held : !held || !words_same_owner(word_at(state, OWNER), op->a))
        return false;
    word_put(next, HELD, !held);
    word_put(next, OWNER, held ? 0 : op->a);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the lock is ");
    if (word_at(state, HELD) == 0) {
        buf_add_text(out, "free");
        return;
    }
    buf_add_text(out, "held by ");
    words_print_owner(word_at(state, OWNER), space, out);
}

static bool is_pure(const struct model_op *op)
{
    (void)op;
    return false;
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_owner_aware_mutex = {
    .name = "owner-aware-mutex",
    .summary = "a lock: acquire, and release by the one who holds it",
    .functions = functions,
    .state_size = 2 * sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
