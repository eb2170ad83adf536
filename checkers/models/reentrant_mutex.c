/* A lock that its owner may take again: it is free once it was released as often as acquired. The
 * owner is the operation's value, :client or :owner in it, else the process. */
#include "checkers/models/models.h"
#include "checkers/models/words.h"

enum { ACQUIRE, RELEASE };
enum { HOLDS, OWNER }; /* words of the state: how often it is held, and by whom */

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)problem;
    op->a = words_owner(op, space);
    return true;
}

static void init(void *state)
{
    word_put(state, HOLDS, 0);
    word_put(state, OWNER, 0);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t holds = word_at(state, HOLDS), owner = word_at(state, OWNER);
    if (holds == 0 ? op->f == RELEASE : !words_same_owner(owner, op->a))
        return false;
    holds += op->f == ACQUIRE ? 1 : -1;
    word_put(next, HOLDS, holds);
    word_put(next, OWNER, holds == 0 ? 0 : op->f == ACQUIRE && holds == 1 ? op->a : owner);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    buf_add_text(out, "the lock is ");
    if (word_at(state, HOLDS) == 0) {
        buf_add_text(out, "free");
        return;
    }
    buf_printf(out, "held %lld times by ", (long long)word_at(state, HOLDS));
    words_print_owner(word_at(state, OWNER), space, out);
}

static bool is_pure(const struct model_op *op)
{
    (void)op;
    return false;
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_reentrant_mutex = {
    .name = "reentrant-mutex",
    .summary = "a lock that its owner may acquire again",
    .functions = functions,
    .state_size = 2 * sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
};
