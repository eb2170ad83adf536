/* Numbers that are to come back as they were sent: the least that a system can do, and what a new
 * client is tried on first.
 *
 *   echo n -> n */
#include "harness/workload.h"
#include "workloads/workloads.h"

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    op->f = *(uint16_t *)state;
    op->value = value_int(context->scratch, (int64_t)prng_below(prng, 1000000));
    return true;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    uint16_t *f = arena_alloc(arena, sizeof *f);
    *f = history_f(test->history, "echo");
    return generator_function(arena, fill, f, prng_stream(test->plan->seed, "workload"));
}

static const struct word words[] = {
    {"echo", "VALUE", "any", "says it back"},
    {.f = NULL},
};

static const char *const judged_by[] = {"echo", "stats", "availability", "crashes", "faults", NULL};

const struct workload workload_echo = {
    .name = "echo",
    .summary = "numbers are sent: do they come back as they are?",
    .checkers = judged_by,
    .generator = generator,
    .words = words,
};
