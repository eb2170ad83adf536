/* Asks for operations that mean nothing, as fast as the workers take them: the template for a
 * workload, and the load by which the harness itself is measured. */
#include "harness/workload.h"
#include "workloads/workloads.h"

struct state {
    uint16_t f;
};

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    (void)context;
    op->f = ((struct state *)state)->f;
    op->value = value_int(NULL, (int64_t)prng_below(prng, 5));
    return true;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct state *state = arena_alloc(arena, sizeof *state);
    state->f = history_f(test->history, "noop");
    return generator_function(arena, fill, state, prng_stream(test->plan->seed, "workload"));
}

static const char *const judged_by[] = {"stats", NULL};

const struct workload workload_noop = {
    .name = "noop",
    .summary = "operations that mean nothing (the template for a workload)",
    .checkers = judged_by,
    .generator = generator,
};
