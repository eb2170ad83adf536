/* Counters: incremented by small numbers and read.
 *
 *   add  [counter n]
 *   read [counter nil] -> [counter sum]
 *
 * What is not known of an outage (did it add or not?) widens what later reads of that counter may
 * tell: so there are several, and each has a share of that. */
#include "harness/workload.h"
#include "workloads/final_reads.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "counters", .kind = OPTION_INT, .fallback = "5", .help = "how many counters"},
    {.name = "read", .kind = OPTION_REAL, .fallback = "0.4", .help = "fraction of reads"},
    {.name = "most", .kind = OPTION_INT, .fallback = "5", .help = "increments are from 1 to this"},
    {.name = "decrement",
     .kind = OPTION_REAL,
     .fallback = "0",
     .help = "fraction of adds that subtract, where the system can"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every counter once more when everything was healed"},
    {.name = "settle", .kind = OPTION_DURATION, .fallback = "0s", .help = FINAL_READS_SETTLE_HELP},
    {.name = NULL},
};

struct counters {
    uint16_t add_f, read_f;
    int64_t counters, most;
    double read, decrement;
};

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    struct counters *counters = state;
    struct arena *scratch = context->scratch;
    struct value counter =
        value_int(scratch, (int64_t)prng_below(prng, (uint64_t)counters->counters));
    bool reads = prng_unit(prng) < counters->read;
    int64_t amount = prng_between(prng, 1, counters->most);
    if (prng_unit(prng) < counters->decrement)
        amount = -amount;
    op->f = reads ? counters->read_f : counters->add_f;
    op->value = value_pair(scratch, counter, reads ? value_nil() : value_int(scratch, amount));
    return true;
}

static int64_t at_least_one(const struct options *from, const char *name)
{
    int64_t value = option_int(from, name);
    return value < 1 ? 1 : value > INT32_MAX ? INT32_MAX : value;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    const struct options *from = &test->plan->options;
    struct counters *counters = arena_zalloc(arena, sizeof *counters);
    counters->add_f = history_f(test->history, "add");
    counters->read_f = history_f(test->history, "read");
    counters->counters = at_least_one(from, "counter.counters");
    counters->most = at_least_one(from, "counter.most");
    counters->read = option_real(from, "counter.read");
    counters->decrement = option_real(from, "counter.decrement");
    return generator_function(arena, fill, counters, prng_stream(test->plan->seed, "workload"));
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    bool wanted = option_bool(&test->plan->options, "counter.final-reads");
    return final_reads_of_pairs(arena, test->history, history_f(test->history, "read"), wanted,
                                option_duration_ns(&test->plan->options, "counter.settle"));
}

static const struct word words[] = {
    {"add", "[COUNTER AMOUNT]", "same", "changes it by so much, which may be negative"},
    {"read", "[COUNTER null]", "[same int]", "what it is; 0 for one that was never changed"},
    {.f = NULL},
};

static const char *const judged_by[] = {"counter", "stats",  "availability",
                                        "crashes", "faults", NULL};

const struct workload workload_counter = {
    .name = "counter",
    .summary = "counters are incremented and read: does every read lie between what it may?",
    .options = options,
    .checkers = judged_by,
    .keyed = true,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
