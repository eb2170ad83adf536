/* Registers that are written once, and reads of a group of them at once: two reads must not tell
 * two writes in opposite orders, as replicas do that hear of them in different orders.
 *
 *   txn [[:w 5 1]]
 *   txn [[:r 4 nil] [:r 5 nil]] -> [[:r 4 nil] [:r 5 1]]
 *
 * A group's keys are written one right after the other, while others read the group again and
 * again: what decides is what reads see in the moments between two commits. */
#include "harness/workload.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "group-size",
     .kind = OPTION_INT,
     .fallback = "2",
     .help = "keys that are read at once; at most 32"},
    {.name = "reads-per-group",
     .kind = OPTION_INT,
     .fallback = "8",
     .help = "reads of a group, among its writes, before the next one takes its place"},
    {.name = "group-count", .kind = OPTION_INT, .fallback = "1", .help = "groups in use at a time"},
    {.name = NULL},
};

enum { GROUP_MAX = 32, GROUPS_MAX = 1000 };

struct groups {
    uint16_t txn_f;
    uint32_t count, size;
    int64_t reads, next;
    struct group {
        int64_t first; /* its keys are first .. first + size - 1 */
        int64_t written, reads;
    } * in_use;
};

static void start_group(struct groups *groups, struct group *group)
{
    *group = (struct group){.first = groups->next};
    groups->next += groups->size;
}

static struct value write_of(struct arena *scratch, int64_t key)
{
    const struct value micro[3] = {value_keyword(scratch, "w"), value_int(scratch, key),
                                   value_int(scratch, 1)};
    struct value write = value_items(scratch, VALUE_VECTOR, micro, 3);
    return value_items(scratch, VALUE_VECTOR, &write, 1);
}

/* In any order, so that no order of reading is a remedy. */
static struct value read_of(struct arena *scratch, const struct groups *groups, int64_t first,
                            struct prng *prng)
{
    struct value items[GROUP_MAX];
    for (uint32_t i = 0; i < groups->size; i++) {
        uint32_t at = (uint32_t)prng_below(prng, i + 1);
        items[i] = items[at];
        items[at] = txn_read(scratch, first + i);
    }
    return value_items(scratch, VALUE_VECTOR, items, groups->size);
}

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    struct groups *groups = state;
    struct group *group = &groups->in_use[prng_below(prng, groups->count)];
    int64_t writes_left = groups->size - group->written, reads_left = groups->reads - group->reads;
    op->f = groups->txn_f;
    if ((int64_t)prng_below(prng, (uint64_t)(writes_left + reads_left)) < writes_left) {
        op->value = write_of(context->scratch, group->first + group->written++);
    } else {
        op->value = read_of(context->scratch, groups, group->first, prng);
        group->reads++;
    }
    if (group->written == groups->size && group->reads == groups->reads)
        start_group(groups, group);
    return true;
}

static int64_t bounded(const struct test *test, const char *name, int64_t low, int64_t high)
{
    int64_t value = option_int(&test->plan->options, name);
    return value < low ? low : value > high ? high : value;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct groups *groups = arena_zalloc(arena, sizeof *groups);
    groups->txn_f = history_f(test->history, "txn");
    groups->size = (uint32_t)bounded(test, "long-fork.group-size", 2, GROUP_MAX);
    groups->count = (uint32_t)bounded(test, "long-fork.group-count", 1, GROUPS_MAX);
    groups->reads = bounded(test, "long-fork.reads-per-group", 1, INT32_MAX);
    groups->in_use = arena_zalloc(arena, groups->count * sizeof *groups->in_use);
    for (uint32_t i = 0; i < groups->count; i++)
        start_group(groups, &groups->in_use[i]);
    return generator_function(arena, fill, groups, prng_stream(test->plan->seed, "workload"));
}

static const struct word words[] = {
    {"txn", "[[\"w\" KEY VALUE] | [\"r\" KEY null] ..]", "[([:w same same] | [:r same int?])..]",
     "a transaction; each read is answered by the value, null when there is none"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "long-fork", "availability",
                                        "crashes", "faults",    NULL};

const struct workload workload_long_fork = {
    .name = "long-fork",
    .summary = "registers written once and read in groups: do reads agree on the order of writes?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .words = words,
};
