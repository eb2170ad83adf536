/* Linearizability of a few operations on a register or a lock by trying every order: the oracle of
 * the tests, with nothing in common with the searches. */
#ifndef ORDEAL_TESTS_LIN_BRUTE_H
#define ORDEAL_TESTS_LIN_BRUTE_H

#include "tests/lib/lin_text.h"

bool lin_brute_valid(const struct lin_text_op *ops, size_t count);

/* `placed`: a bit per operation. Had somebody else returned before `next` was invoked, who is not
 * placed? Then it may not come next. */
bool lin_brute_may_come_next(const struct lin_text_op *ops, size_t count, unsigned placed,
                             size_t next);
/* False: it may not happen when the value is `value`. */
bool lin_brute_apply(const struct lin_text_op *op, int *value);

#endif
