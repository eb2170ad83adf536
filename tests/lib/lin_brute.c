/* Brute force: see lin_brute.h. */
#include "tests/lib/lin_brute.h"

bool lin_brute_may_come_next(const struct lin_text_op *ops, size_t count, unsigned placed,
                             size_t next)
{
    for (size_t i = 0; i < count; i++) /* somebody else had returned before it was invoked? */
        if ((placed >> i & 1) == 0 && ops[i].outcome == OP_OK &&
            ops[i].completed < ops[next].invoked)
            return false;
    return true;
}

bool lin_brute_apply(const struct lin_text_op *op, int *value)
{
    switch (op->f) {
    case 'w':
        *value = op->a;
        return true;
    case 'r':
        return op->outcome != OP_OK || *value == op->a;
    case 'c':
        if (*value != op->a)
            return false;
        *value = op->b;
        return true;
    case 'a': /* the lock: nil is free, 0 is held */
        if (*value != LIN_TEXT_NIL)
            return false;
        *value = 0;
        return true;
    default:
        if (*value != 0)
            return false;
        *value = LIN_TEXT_NIL;
        return true;
    }
}

static bool try_all(const struct lin_text_op *ops, size_t count, unsigned placed, int value)
{
    bool done = true;
    for (size_t i = 0; i < count; i++)
        done = done && (ops[i].outcome != OP_OK || (placed >> i & 1) != 0);
    for (size_t i = 0; i < count && !done; i++) {
        int after = value;
        if ((placed >> i & 1) == 0 && ops[i].outcome != OP_FAIL &&
            lin_brute_may_come_next(ops, count, placed, i) && lin_brute_apply(&ops[i], &after))
            done = try_all(ops, count, placed | 1U << i, after);
    }
    return done;
}

bool lin_brute_valid(const struct lin_text_op *ops, size_t count)
{
    return try_all(ops, count, 0, LIN_TEXT_NIL);
}
