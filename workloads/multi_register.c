/* Several registers read and written in one transaction. A group of registers is used for a while
 * by a group of threads and then left behind, so that histories of one group stay short enough to
 * be judged; each register is in a transaction at most once.
 *
 *   txn [group [[:r 3 nil] [:w 4 1]]] -> [group [[:r 3 0] [:w 4 1]]]
 *
 * Registers are numbered across groups: those of group g are g n .. g n + n - 1. Values are few, as
 * in the workload `register`, but judged are whole transactions, as if each happened at one moment:
 * strict serializability, of which other checkers see no more than what unique values show. */
#include <stdio.h>

#include "harness/workload.h"
#include "workloads/final_reads.h"
#include "workloads/register.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "registers",
     .kind = OPTION_INT,
     .fallback = "3",
     .help = "registers of a group; at most 16"},
    {.name = "values",
     .kind = OPTION_INT,
     .fallback = "5",
     .help = "distinct values that are written, from 0"},
    {.name = "ops-per-group",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "transactions on a group before its threads take the next one"},
    {.name = "threads-per-group",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "threads that share a group; 0: as many as there are nodes, at least 2"},
    {.name = "read",
     .kind = OPTION_REAL,
     .fallback = "1",
     .help = "weight of transactions that only read"},
    {.name = "write",
     .kind = OPTION_REAL,
     .fallback = "1",
     .help = "weight of those that only write"},
    {.name = "both", .kind = OPTION_REAL, .fallback = "1", .help = "weight of those that do both"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every group once more when everything was healed: shows writes that were lost"},
    {.name = NULL},
};

enum { REGISTERS_MAX = 16 };

struct groups {
    uint16_t txn_f;
    uint32_t registers;
    int64_t values;
    double read, write, total;
    uint64_t seed, operations;
};

/* One group, of which transactions are drawn. */
struct group {
    const struct groups *groups;
    int64_t first; /* its first register */
};

static struct value write_of(struct arena *scratch, int64_t number, int64_t value)
{
    const struct value micro[3] = {value_keyword(scratch, "w"), value_int(scratch, number),
                                   value_int(scratch, value)};
    return value_items(scratch, VALUE_VECTOR, micro, 3);
}

/* Some of the registers, one at least, in any order. */
static uint32_t draw_registers(const struct groups *groups, struct prng *prng,
                               int64_t drawn[REGISTERS_MAX])
{
    for (uint32_t i = 0; i < groups->registers; i++) {
        uint32_t at = (uint32_t)prng_below(prng, i + 1);
        drawn[i] = drawn[at];
        drawn[at] = i;
    }
    return 1 + (uint32_t)prng_below(prng, groups->registers);
}

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    const struct group *group = state;
    const struct groups *groups = group->groups;
    int64_t drawn[REGISTERS_MAX];
    struct value micros[REGISTERS_MAX];
    uint32_t count = draw_registers(groups, prng, drawn);
    double choice = prng_unit(prng) * groups->total;
    for (uint32_t i = 0; i < count; i++) {
        int64_t number = group->first + drawn[i];
        int64_t value = (int64_t)prng_below(prng, (uint64_t)groups->values);
        bool coin = prng_below(prng, 2) == 0;
        bool reads = choice < groups->read || (choice >= groups->read + groups->write && coin);
        micros[i] =
            reads ? txn_read(context->scratch, number) : write_of(context->scratch, number, value);
    }
    op->f = groups->txn_f;
    op->value = value_items(context->scratch, VALUE_VECTOR, micros, count);
    return true;
}

static struct generator *make_group(void *state, struct arena *arena, uint64_t key)
{
    const struct groups *groups = state;
    struct group *group = arena_zalloc(arena, sizeof *group);
    char name[48];
    *group = (struct group){.groups = groups, .first = (int64_t)key * groups->registers};
    snprintf(name, sizeof name, "workload/%llu", (unsigned long long)key);
    return generator_limit(arena, groups->operations,
                           generator_function(arena, fill, group, prng_stream(groups->seed, name)));
}

/* ---- Options ---- */

static double weight(const struct options *from, const char *name)
{
    double value = option_real(from, name);
    return value > 0 && value < 1e9 ? value : 0;
}

static int64_t bounded(const struct options *from, const char *name, int64_t low, int64_t high)
{
    int64_t value = option_int(from, name);
    return value < low ? low : value > high ? high : value;
}

static struct groups *make_groups(struct test *test, struct arena *arena)
{
    const struct options *from = &test->plan->options;
    struct groups *groups = arena_zalloc(arena, sizeof *groups);
    *groups = (struct groups){
        .txn_f = history_f(test->history, "txn"),
        .registers = (uint32_t)bounded(from, "multi-register.registers", 1, REGISTERS_MAX),
        .values = bounded(from, "multi-register.values", 1, INT32_MAX),
        .read = weight(from, "multi-register.read"),
        .write = weight(from, "multi-register.write"),
        .seed = test->plan->seed,
        .operations = (uint64_t)bounded(from, "multi-register.ops-per-group", 1, INT64_MAX),
    };
    groups->total = groups->read + groups->write + weight(from, "multi-register.both");
    if (groups->total <= 0) {
        groups->read = groups->write = 1;
        groups->total = 3;
    }
    return groups;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    uint32_t threads = register_threads(test, "multi-register.threads-per-group");
    return generator_keys(arena, threads, 0, make_group, make_groups(test, arena));
}

/* ---- Reading everything in the end ---- */

struct last_reads {
    struct groups *groups;
    int64_t left; /* groups left - 1 down to 0 are still to be read */
};

static bool read_group(void *state, struct prng *prng, const struct generator_context *context,
                       struct generator_op *op)
{
    (void)prng;
    struct last_reads *reads = state;
    struct value micros[REGISTERS_MAX];
    uint32_t count = reads->groups->registers;
    if (reads->left == 0)
        return false;
    int64_t group = --reads->left;
    for (uint32_t i = 0; i < count; i++)
        micros[i] = txn_read(context->scratch, group * count + i);
    op->f = reads->groups->txn_f;
    op->value = value_pair(context->scratch, value_int(context->scratch, group),
                           value_items(context->scratch, VALUE_VECTOR, micros, count));
    return true;
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    struct last_reads *reads = arena_zalloc(arena, sizeof *reads);
    bool wanted = option_bool(&test->plan->options, "multi-register.final-reads");
    reads->groups = make_groups(test, arena);
    reads->left = wanted ? final_reads_keys(test->history, final_reads_key_of_pair) : 0;
    return generator_on_clients(
        arena, generator_function(arena, read_group, reads, prng_stream(0, "unused")));
}

static const struct word words[] = {
    {"txn", "[GROUP [[\"w\" KEY VALUE] | [\"r\" KEY null] ..]]",
     "[same [([:w same same] | [:r same int?])..]]",
     "a transaction on keys of a group, none of them twice; each read is answered by the value, "
     "null when there is none"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "linearizable", "availability",
                                        "crashes", "faults",       NULL};
static const char *const defaults[] = {"linearizable.model=multi-register", NULL};

const struct workload workload_multi_register = {
    .name = "multi-register",
    .summary = "several registers in one transaction: does each happen at one moment?",
    .options = options,
    .checkers = judged_by,
    .defaults = defaults,
    .keyed = true,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
