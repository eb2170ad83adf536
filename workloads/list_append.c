/* Transactions that read lists and append to them: the strongest test of isolation there is, since
 * a list tells the order of all that was written to it (Kingsbury and Alvaro, Elle, 2020).
 *
 *   txn [[:r 3 nil] [:append 3 2] [:r 7 nil]] -> [[:r 3 [1]] [:append 3 2] [:r 7 []]] */
#include "harness/workload.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static struct generator *generator(struct test *test, struct arena *arena)
{
    struct txn_keys *keys = arena_zalloc(arena, sizeof *keys);
    txn_keys_init(keys, arena, &test->plan->options, "list-append", "append", test->history);
    return generator_function(arena, txn_fill, keys, prng_stream(test->plan->seed, "workload"));
}

static struct generator *final_generator(struct test *test, struct arena *arena)
{
    return txn_final_reads(arena, test->history, &test->plan->options, "list-append");
}

static const struct word words[] = {
    {"txn", "[[\"append\" KEY VALUE] | [\"r\" KEY null] ..]",
     "[([:append same same] | [:r same [int*]?])..]",
     "a transaction; each read is answered by the key's list (null or [] when it has none), also "
     "of what the transaction itself appended before"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "transactions", "availability",
                                        "crashes", "faults",       NULL};

const struct workload workload_list_append = {
    .name = "list-append",
    .summary = "transactions that read lists and append to them: which isolation is there?",
    .options = txn_options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
    .words = words,
};
