/* A lock without owners: acquire when it is free, release when it is held. */
#include <string.h>

#include "checkers/models/models.h"

enum { ACQUIRE, RELEASE };
enum { FREE, HELD };

static bool prepare(struct model_op *op, struct model_space *space, struct buf *problem)
{
    (void)space, (void)problem;
    op->a = op->f == ACQUIRE ? FREE : HELD;
    op->b = op->f == ACQUIRE ? HELD : FREE;
    return true;
}

static void init(void *state)
{
    int64_t lock = FREE;
    memcpy(state, &lock, sizeof lock);
}

static bool step(const void *state, const struct model_op *op, struct model_space *space,
                 void *next)
{
    (void)space;
    int64_t lock;
    memcpy(&lock, state, sizeof lock);
    if (lock != op->a)
        return false;
    memcpy(next, &op->b, sizeof op->b);
    return true;
}

static void describe(const void *state, const struct model_space *space, struct buf *out)
{
    (void)space;
    int64_t lock;
    memcpy(&lock, state, sizeof lock);
    buf_add_text(out, lock == FREE ? "the lock is free" : "the lock is held");
}

static bool is_pure(const struct model_op *op)
{
    (void)op;
    return false;
}

static struct model_effect effect(const struct model_op *op)
{
    return (struct model_effect){.needs = op->a, .leaves = op->b};
}

static const char *const functions[] = {[ACQUIRE] = "acquire", [RELEASE] = "release", NULL};

const struct model model_mutex = {
    .name = "mutex",
    .summary = "a lock: acquire and release in turn",
    .functions = functions,
    .state_size = sizeof(int64_t),
    .prepare = prepare,
    .init = init,
    .step = step,
    .describe = describe,
    .is_pure = is_pure,
    .effect = effect,
};
