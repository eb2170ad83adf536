/* Folding checkers judge one object. Of histories whose values are said to be [key value] each
 * key's operations are judged by themselves, and the results put together as Jepsen does it:
 * "results" by key, and "failures", the keys that are not valid. (Nothing is guessed: a set may
 * hold pairs.) */
#ifndef ORDEAL_FOLDING_BY_KEY_H
#define ORDEAL_FOLDING_BY_KEY_H

#include "harness/checker.h"

typedef void check_one_fn(const struct check_input *input, struct check_result *result);

/* Calls `check_one` for the whole history, or for each key's. */
void fold_check(const struct check_input *input, struct check_result *result,
                check_one_fn *check_one);

#endif
