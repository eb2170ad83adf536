/* Windows: short pieces of a problem, from any state, as weaker problems.
 *
 * What lin_problem_weaken makes of a `begin` and an `until` under free supply, at the cost of the
 * piece and not of the whole: of optional operations that do the same only the first is kept, since
 * free supply repeats it at will. */
#ifndef ORDEAL_LINEARIZABLE_WINDOW_H
#define ORDEAL_LINEARIZABLE_WINDOW_H

#include "checkers/linearizable/budget.h"
#include "checkers/linearizable/problem.h"

struct lin_windows {
    const struct lin_problem *problem;
    uint32_t *firsts; /* of each class of optional operations the first, in order of invocation */
    uint32_t *longs;  /* required operations that take long */
    uint32_t first_count, long_count;
    void *block; /* the window made last */
    size_t block_bytes;
};

/* False: no memory. */
bool lin_windows_open(struct lin_windows *windows, const struct lin_problem *problem,
                      struct lin_budget *budget);
void lin_windows_close(struct lin_windows *windows, struct lin_budget *budget);

/* From position `begin` up to and including `until`. Lives until the next call. `source` of its
 * operations are the whole problem's. False: no memory. */
bool lin_windows_make(struct lin_windows *windows, uint32_t begin, uint32_t until,
                      struct lin_budget *budget, struct lin_problem *window);

/* Has some window that ends at `until` no order? Longer ones are tried at each further attempt (0,
 * 1, ...), and those of earlier attempts no more. Sets *begin when there is one. */
bool lin_windows_refute(struct lin_windows *windows, uint32_t until, uint32_t attempt,
                        struct lin_budget *budget, uint32_t *begin);

#endif
