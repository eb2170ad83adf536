/* What must only grow: numbers of a sequence, and the cluster's own time stamps.
 *
 *   next nil -> n   takes the next number of a sequence
 *   last nil -> n   the newest number that was taken, without taking one
 *   time nil -> t   a time stamp of the cluster
 *
 * Which of them there are is up to the system; their weights are options. */
#include "harness/workload.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "next", .kind = OPTION_REAL, .fallback = "1", .help = "weight of taking a number"},
    {.name = "last",
     .kind = OPTION_REAL,
     .fallback = "0.5",
     .help = "weight of asking for the newest number"},
    {.name = "time",
     .kind = OPTION_REAL,
     .fallback = "0",
     .help = "weight of asking for the time; not every system tells one"},
    {.name = NULL},
};

static double weight(const struct options *from, const char *name)
{
    double value = option_real(from, name);
    return value > 0 && value < 1e9 ? value : 0;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    static const char *const names[] = {"next", "last", "time"};
    const struct options *from = &test->plan->options;
    double weights[] = {weight(from, "monotonic.next"), weight(from, "monotonic.last"),
                        weight(from, "monotonic.time")};
    struct generator *parts[3];
    for (size_t i = 0; i < 3; i++)
        parts[i] = generator_repeat_op(arena, history_f(test->history, names[i]), value_nil());
    if (weights[0] + weights[1] + weights[2] <= 0)
        weights[0] = 1;
    return generator_mix(arena, parts, weights, 3, prng_stream(test->plan->seed, "workload"));
}

/* What was lost in the last outage shows when there is another number. */
static struct generator *final_generator(struct test *test, struct arena *arena)
{
    bool wanted = weight(&test->plan->options, "monotonic.next") > 0;
    struct generator *again =
        generator_repeat_op(arena, history_f(test->history, wanted ? "next" : "time"), value_nil());
    return generator_on_clients(arena, generator_limit(arena, 4 * test->node_count, again));
}

static const struct word words[] = {
    {"next", "null", "int", "takes the next number of a sequence"},
    {"last", "null", "int", "the newest number that was taken, 0 when none was"},
    {"time", "null", "int", "the system's time"},
    {.f = NULL},
};

static const char *const judged_by[] = {"monotonic", "stats",  "availability",
                                        "crashes",   "faults", NULL};

const struct workload workload_monotonic = {
    .name = "monotonic",
    .summary = "numbers of a sequence and time stamps: do they only grow?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
