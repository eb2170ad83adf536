/* Sets: elements are added, each once, and never removed; whole sets are read.
 *
 *   add  [set element]
 *   read [set nil]     -> [set #{element ...}]
 *
 * Several sets grow side by side, so that none becomes too large to be read within an operation's
 * time, and each of them sees every fault. */
#include "harness/workload.h"
#include "workloads/final_reads.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "sets",
     .kind = OPTION_INT,
     .fallback = "20",
     .help = "how many sets grow side by side; more of them stay smaller"},
    {.name = "read",
     .kind = OPTION_REAL,
     .fallback = "0.05",
     .help = "fraction of operations that read a set"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every set once more when everything was healed: shows elements that were lost"},
    {.name = "settle", .kind = OPTION_DURATION, .fallback = "0s", .help = FINAL_READS_SETTLE_HELP},
    {.name = NULL},
};

struct sets {
    uint16_t add_f, read_f;
    int64_t sets, next;
    double read;
};

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    struct sets *sets = state;
    if (prng_unit(prng) < sets->read) {
        int64_t set = (int64_t)prng_below(prng, (uint64_t)sets->sets);
        op->f = sets->read_f;
        op->value = value_pair(context->scratch, value_int(context->scratch, set), value_nil());
        return true;
    }
    op->f = sets->add_f;
    op->value = value_pair(context->scratch, value_int(context->scratch, sets->next % sets->sets),
                           value_int(context->scratch, sets->next));
    sets->next++;
    return true;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    const struct options *from = &test->plan->options;
    struct sets *sets = arena_zalloc(arena, sizeof *sets);
    sets->add_f = history_f(test->history, "add");
    sets->read_f = history_f(test->history, "read");
    sets->sets = option_int(from, "set.sets");
    if (sets->sets < 1)
        sets->sets = 1;
    sets->read = option_real(from, "set.read");
    return generator_function(arena, fill, sets, prng_stream(test->plan->seed, "workload"));
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    bool wanted = option_bool(&test->plan->options, "set.final-reads");
    return final_reads_of_pairs(arena, test->history, history_f(test->history, "read"), wanted,
                                option_duration_ns(&test->plan->options, "set.settle"));
}

static const struct word words[] = {
    {"add", "[SET ELEMENT]", "same", "adds it; elements are numbers, each added once"},
    {"read", "[SET null]", "[same [int*]]", "all elements of the set, in any order"},
    {.f = NULL},
};

static const char *const judged_by[] = {"set",     "set-full", "stats", "availability",
                                        "crashes", "faults",   NULL};

const struct workload workload_set = {
    .name = "set",
    .summary = "elements are added to sets: is everything there that was acknowledged?",
    .options = options,
    .checkers = judged_by,
    .keyed = true,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
