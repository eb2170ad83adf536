/* Transactions that read a register and write it, as applications do that read a row, work out what
 * it becomes, and write that: two of them that read the same version must not both succeed.
 *
 *   txn [[:r 3 nil] [:w 3 7]] -> [[:r 3 6] [:w 3 7]]
 *
 * Keys are hot by Zipf's law, and make room for fresh ones. */
#include "harness/workload.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "key-count", .kind = OPTION_INT, .fallback = "5", .help = "keys in use at a time"},
    {.name = "key-dist-exponent",
     .kind = OPTION_REAL,
     .fallback = "1",
     .help = "the first key is drawn 2 to this power times as often as the second; 0: all alike"},
    {.name = "writes-per-key",
     .kind = OPTION_INT,
     .fallback = "20",
     .help = "writes of a key before a new one takes its place"},
    {.name = "final-reads",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "read every key once more when everything was healed: shows writes that were lost"},
    {.name = NULL},
};

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    struct txn_keys *keys = state;
    struct txn_key *key = txn_draw_key(keys, prng);
    struct value items[2] = {txn_read(context->scratch, key->key)};
    items[1] = txn_write(keys, key, context->scratch);
    op->f = keys->mix.txn_f;
    op->value = value_items(context->scratch, VALUE_VECTOR, items, 2);
    return true;
}

static int64_t bounded(const struct test *test, const char *name, int64_t high)
{
    int64_t value = option_int(&test->plan->options, name);
    return value < 1 ? 1 : value > high ? high : value;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct txn_keys *keys = arena_zalloc(arena, sizeof *keys);
    keys->mix = (struct txn_mix){
        .txn_f = history_f(test->history, "txn"),
        .write = "w",
        .key_count = (uint32_t)bounded(test, "lost-update.key-count", 10000),
        .key_writes = bounded(test, "lost-update.writes-per-key", INT64_MAX),
        .distribution = TXN_ZIPF,
        .base = 1,
        .exponent = option_real(&test->plan->options, "lost-update.key-dist-exponent"),
    };
    txn_keys_start(keys, arena);
    return generator_function(arena, fill, keys, prng_stream(test->plan->seed, "workload"));
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    return txn_final_reads(arena, test->history, &test->plan->options, "lost-update");
}

static const struct word words[] = {
    {"txn", "[[\"w\" KEY VALUE] | [\"r\" KEY null] ..]", "[([:w same same] | [:r same int?])..]",
     "a transaction; each read is answered by the value, null when there is none"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "transactions", "availability",
                                        "crashes", "faults",       NULL};

const struct workload workload_lost_update = {
    .name = "lost-update",
    .summary = "transactions that read a register and write it: is each based on the one before?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
