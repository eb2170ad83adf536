/* Identifiers: the cluster is asked for new ones, and never may give one twice.
 *
 *   generate nil -> identifier */
#include "harness/workload.h"
#include "workloads/workloads.h"

static struct generator *generator(struct test *test, struct arena *arena)
{
    return generator_repeat_op(arena, history_f(test->history, "generate"), value_nil());
}

/* What was forgotten in the last outage shows when there are more of them. */
static struct generator *final_generator(struct test *test, struct arena *arena)
{
    return generator_on_clients(
        arena, generator_limit(arena, 20 * test->node_count, generator(test, arena)));
}

static const struct word words[] = {
    {"generate", "null", "int | text", "an identifier that was never given before"},
    {.f = NULL},
};

static const char *const judged_by[] = {"unique-ids", "stats",  "availability",
                                        "crashes",    "faults", NULL};

const struct workload workload_unique_ids = {
    .name = "unique-ids",
    .summary = "asks for identifiers: is one ever given twice?",
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
