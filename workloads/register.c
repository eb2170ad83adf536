/* Registers: reads, writes and compare-and-sets of many keys, each used for a while by a group of
 * threads and then left behind, so that histories of one key stay short enough to be judged.
 *
 *   read  [key nil]        -> [key value]
 *   write [key value]
 *   cas   [key [old new]]
 *
 * Few distinct values make a compare-and-set match now and then; many would make every stale read
 * stand out, but hardly a cas succeed. */
#include "workloads/register.h"

#include <stdio.h>

#include "harness/workload.h"
#include "workloads/final_reads.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "values",
     .kind = OPTION_INT,
     .fallback = "5",
     .help = "distinct values that are written, from 0"},
    {.name = "ops-per-key",
     .kind = OPTION_INT,
     .fallback = "200",
     .help = "operations on a key before its group of threads takes the next one"},
    {.name = "threads-per-key",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "threads that share a key; 0: as many as there are nodes, at least 2"},
    {.name = "read", .kind = OPTION_REAL, .fallback = "1", .help = "weight of reads in the mix"},
    {.name = "write", .kind = OPTION_REAL, .fallback = "1", .help = "weight of writes"},
    {.name = "cas", .kind = OPTION_REAL, .fallback = "1", .help = "weight of compare-and-sets"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every key once more when everything was healed: shows writes that were lost"},
    {.name = "settle", .kind = OPTION_DURATION, .fallback = "0s", .help = FINAL_READS_SETTLE_HELP},
    {.name = NULL},
};

static double weight(const struct options *from, const char *name)
{
    double value = option_real(from, name);
    return value > 0 && value < 1e9 ? value : 0;
}

void register_mix_init(struct register_mix *mix, const struct options *from,
                       struct history *history)
{
    *mix = (struct register_mix){
        .read_f = history_f(history, "read"),
        .write_f = history_f(history, "write"),
        .cas_f = history_f(history, "cas"),
        .values = option_int(from, "register.values"),
        .read = weight(from, "register.read"),
        .write = weight(from, "register.write"),
    };
    mix->total = mix->read + mix->write + weight(from, "register.cas");
    if (mix->total <= 0) {
        mix->read = mix->write = 1;
        mix->total = 3;
    }
    if (mix->values < 1)
        mix->values = 1;
}

bool register_fill(void *state, struct prng *prng, const struct generator_context *context,
                   struct generator_op *op)
{
    const struct register_mix *mix = state;
    double choice = prng_unit(prng) * mix->total;
    if (choice < mix->read) {
        op->f = mix->read_f;
        op->value = value_nil();
        return true;
    }
    struct value value =
        value_int(context->scratch, (int64_t)prng_below(prng, (uint64_t)mix->values));
    op->f = mix->write_f;
    op->value = value;
    if (choice >= mix->read + mix->write) {
        struct value next =
            value_int(context->scratch, (int64_t)prng_below(prng, (uint64_t)mix->values));
        op->f = mix->cas_f;
        op->value = value_pair(context->scratch, value, next);
    }
    return true;
}

struct keys {
    struct register_mix mix;
    uint64_t seed;
    uint64_t operations;
};

/* The operations on one key. Each key draws from a stream of its own, so that what is asked of it
 * does not depend on which group comes to it first. */
static struct generator *make_key(void *state, struct arena *arena, uint64_t key)
{
    struct keys *keys = state;
    char name[48];
    snprintf(name, sizeof name, "workload/%llu", (unsigned long long)key);
    return generator_limit(
        arena, keys->operations,
        generator_function(arena, register_fill, &keys->mix, prng_stream(keys->seed, name)));
}

uint32_t register_threads(const struct test *test, const char *option)
{
    int64_t asked = option_int(&test->plan->options, option);
    int64_t threads = test->plan->concurrency;
    if (asked <= 0)
        asked = test->node_count > 2 ? test->node_count : 2;
    if (asked > threads)
        asked = threads;
    return asked < 1 ? 1 : (uint32_t)asked;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct keys *keys = arena_zalloc(arena, sizeof *keys);
    const struct options *from = &test->plan->options;
    register_mix_init(&keys->mix, from, test->history);
    keys->seed = test->plan->seed;
    int64_t operations = option_int(from, "register.ops-per-key");
    keys->operations = operations < 1 ? 1 : (uint64_t)operations;
    return generator_keys(arena, register_threads(test, "register.threads-per-key"), 0, make_key,
                          keys);
}

/* ---- Reading everything in the end ---- */

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    bool wanted = option_bool(&test->plan->options, "register.final-reads");
    return final_reads_of_pairs(arena, test->history, history_f(test->history, "read"), wanted,
                                option_duration_ns(&test->plan->options, "register.settle"));
}

static const struct word words[] = {
    {"read", "[KEY null]", "[same int?]", "the key's value, null when it has none"},
    {"write", "[KEY VALUE]", "same", "sets it"},
    {"cas", "[KEY [OLD NEW]]", "same", "sets it to NEW if it is OLD; fails if it is not"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "linearizable", "availability",
                                        "crashes", "faults",       NULL};

const struct workload workload_register = {
    .name = "register",
    .summary = "reads, writes and compare-and-sets of registers: are they linearizable?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
