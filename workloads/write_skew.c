/* Transactions that read two registers and write one of them: of two that saw both as they were at
 * first, one of which wrote the one and one the other, serializability allows only one. Snapshot
 * isolation allows both: write skew (Berenson et al., A Critique of ANSI SQL Isolation Levels,
 * 1995).
 *
 *   txn [[:r 6 nil] [:r 7 nil] [:w 7 1]] -> [[:r 6 nil] [:r 7 nil] [:w 7 1]]
 *
 * Each pair of keys is fresh, used by everyone for a while, and left behind: what a register held
 * at first is known, and so a single race is enough to tell. */
#include "harness/workload.h"
#include "workloads/txn.h"
#include "workloads/workloads.h"

static const struct option options[] = {
    {.name = "pair-count",
     .kind = OPTION_INT,
     .fallback = "1",
     .help = "pairs of keys in use at a time; few make races likely"},
    {.name = "txns-per-pair",
     .kind = OPTION_INT,
     .fallback = "6",
     .help = "transactions on a pair before a new one takes its place"},
    {.name = "read",
     .kind = OPTION_REAL,
     .fallback = "0.25",
     .help = "how many of them only read both keys (0 to 1)"},
    {.name = NULL},
};

enum { PAIRS_MAX = 1000 };

struct pairs {
    uint16_t txn_f;
    uint32_t count;
    int64_t txns_max, next;
    double read;
    struct pair {
        int64_t number, txns, written[2];
    } * in_use;
};

static struct value write_of(struct arena *scratch, int64_t key, int64_t value)
{
    const struct value items[3] = {value_keyword(scratch, "w"), value_int(scratch, key),
                                   value_int(scratch, value)};
    return value_items(scratch, VALUE_VECTOR, items, 3);
}

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    struct pairs *pairs = state;
    struct arena *scratch = context->scratch;
    struct pair *pair = &pairs->in_use[prng_below(prng, pairs->count)];
    int64_t key = 2 * pair->number;
    uint32_t side = (uint32_t)prng_below(prng, 2);
    struct value items[3] = {txn_read(scratch, key), txn_read(scratch, key + 1)};
    size_t length = 2;
    if (prng_unit(prng) >= pairs->read)
        items[length++] = write_of(scratch, key + side, ++pair->written[side]);
    op->f = pairs->txn_f;
    op->value = value_items(scratch, VALUE_VECTOR, items, length);
    if (++pair->txns >= pairs->txns_max)
        *pair = (struct pair){.number = pairs->next++};
    return true;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    const struct options *from = &test->plan->options;
    struct pairs *pairs = arena_zalloc(arena, sizeof *pairs);
    int64_t count = option_int(from, "write-skew.pair-count");
    int64_t txns = option_int(from, "write-skew.txns-per-pair");
    pairs->txn_f = history_f(test->history, "txn");
    pairs->count = (uint32_t)(count < 1 ? 1 : count > PAIRS_MAX ? PAIRS_MAX : count);
    pairs->txns_max = txns < 1 ? 1 : txns;
    pairs->read = option_real(from, "write-skew.read");
    pairs->in_use = arena_zalloc(arena, pairs->count * sizeof *pairs->in_use);
    for (uint32_t i = 0; i < pairs->count; i++)
        pairs->in_use[i].number = pairs->next++;
    return generator_function(arena, fill, pairs, prng_stream(test->plan->seed, "workload"));
}

static const struct word words[] = {
    {"txn", "[[\"w\" KEY VALUE] | [\"r\" KEY null] ..]", "[([:w same same] | [:r same int?])..]",
     "a transaction; each read is answered by the value, null when there is none"},
    {.f = NULL},
};

static const char *const judged_by[] = {"stats",   "transactions", "availability",
                                        "crashes", "faults",       NULL};

const struct workload workload_write_skew = {
    .name = "write-skew",
    .summary = "transactions that read two registers and write one: do both sides win?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .words = words,
};
