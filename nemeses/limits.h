/* What the faults share that take resources from daemons: slow, memory, files. */
#ifndef ORDEAL_NEMESES_LIMITS_H
#define ORDEAL_NEMESES_LIMITS_H

#include "nemeses/daemons.h"

/* A kind of limit, as a nemesis has it. */
struct limits_kind {
    const char *what;    /* the agent's word: "cpu" */
    const char *word;    /* what the outcome says of those it hit: "slowed" */
    const char *targets; /* names of options: "slow.targets" */
    const char *value;
    const char *means; /* NULL: there is but one */
    int64_t low, high; /* of the value */
};

struct limits_state {
    struct daemons on;
    struct limit limit;
};

enum err_code limits_check(struct test *test, const struct limits_kind *kind, struct err *err);
struct value limits_choose(struct test *test, const struct limits_kind *kind, struct prng *prng,
                           struct arena *arena);
enum err_code limits_begin(struct test *test, const struct limits_kind *kind, struct fault *fault,
                           struct err *err);
/* Undoes it, and starts again those that did not survive it. */
enum err_code limits_end(struct test *test, struct fault *fault, struct err *err);

#endif
