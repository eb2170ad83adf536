/* Transactions that read and write registers, each value written once: less telling than
 * list-append, since a register forgets what was written before, but what most systems have.
 *
 *   txn [[:r 3 nil] [:w 3 2] [:r 7 nil]] -> [[:r 3 1] [:w 3 2] [:r 7 nil]]
 *
 * What may be concluded about the order of writes is for the checker to be told: see
 * transactions.linearizable-keys and its like. */
#include "harness/workload.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct txn_keys *keys = arena_zalloc(arena, sizeof *keys);
    txn_keys_init(keys, arena, &test->plan->options, "rw-register", "w", test->history);
    return generator_function(arena, txn_fill, keys, prng_stream(test->plan->seed, "workload"));
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    return txn_final_reads(arena, test->history, &test->plan->options, "rw-register");
}

static const struct word words[] = {
    {"txn", "[[\"w\" KEY VALUE] | [\"r\" KEY null] ..]", "[([:w same same] | [:r same int?])..]",
     "a transaction; each read is answered by the key's value (null when it has none), also by "
     "what the transaction itself wrote before"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "transactions", "availability",
                                        "crashes", "faults",       NULL};

const struct workload workload_rw_register = {
    .name = "rw-register",
    .summary = "transactions that read and write registers: which isolation is there?",
    .options = txn_options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
