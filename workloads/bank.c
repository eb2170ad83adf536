/* Money that moves between accounts: however transfers race, all accounts together always hold the
 * same.
 *
 *   read                                  -> {0 12, 1 13 ...}
 *   transfer {:from 0, :to 1, :amount 3}
 *
 * There are few accounts, and some of them are in most transfers, by Zipf's law. */
#include <math.h>

#include "harness/workload.h"
#include "workloads/workloads.h"

enum { ACCOUNTS_MAX = 1000 };

static const struct option options[] = {
    {.name = "accounts", .kind = OPTION_INT, .fallback = "8", .help = "how many, from 0"},
    {.name = "total",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "what they hold together, spread evenly at first"},
    {.name = "max-transfer", .kind = OPTION_INT, .fallback = "5", .help = "the most at a time"},
    {.name = "zipf",
     .kind = OPTION_REAL,
     .fallback = "0.5",
     .help = "account 0 moves 2 to this power times as often as account 1; 0: all alike"},
    {.name = "read", .kind = OPTION_REAL, .fallback = "1", .help = "weight of reads in the mix"},
    {.name = "transfer", .kind = OPTION_REAL, .fallback = "1", .help = "weight of transfers"},
    {.name = NULL},
};

struct bank {
    uint16_t read_f, transfer_f;
    int64_t accounts, amount_max;
    double read_share;
    double shares[ACCOUNTS_MAX]; /* of all draws those of accounts up to this one */
};

static int64_t draw_account(const struct bank *bank, struct prng *prng)
{
    double drawn = prng_unit(prng) * bank->shares[bank->accounts - 1];
    int64_t account = 0;
    while (account < bank->accounts - 1 && bank->shares[account] <= drawn)
        account++;
    return account;
}

static bool fill(void *state, struct prng *prng, const struct generator_context *context,
                 struct generator_op *op)
{
    const struct bank *bank = state;
    struct arena *scratch = context->scratch;
    if (prng_unit(prng) < bank->read_share) {
        op->f = bank->read_f;
        return true;
    }
    int64_t from = draw_account(bank, prng), to = draw_account(bank, prng);
    if (from == to)
        to = (from + 1) % bank->accounts;
    const struct value items[] = {
        value_keyword(scratch, "from"),
        value_int(scratch, from),
        value_keyword(scratch, "to"),
        value_int(scratch, to),
        value_keyword(scratch, "amount"),
        value_int(scratch, prng_between(prng, 1, bank->amount_max)),
    };
    op->f = bank->transfer_f;
    op->value = value_items(scratch, VALUE_MAP, items, sizeof items / sizeof *items);
    return true;
}

static double weight(const struct options *from, const char *name)
{
    double value = option_real(from, name);
    return value > 0 && value < 1e9 ? value : 0;
}

static struct generator *generator(struct test *test, struct arena *arena)
{
    const struct options *from = &test->plan->options;
    struct bank *bank = arena_zalloc(arena, sizeof *bank);
    int64_t accounts = option_int(from, "bank.accounts");
    double read = weight(from, "bank.read"), transfer = weight(from, "bank.transfer"), sum = 0;
    bank->read_f = history_f(test->history, "read");
    bank->transfer_f = history_f(test->history, "transfer");
    bank->accounts = accounts < 2 ? 2 : accounts > ACCOUNTS_MAX ? ACCOUNTS_MAX : accounts;
    bank->amount_max = option_int(from, "bank.max-transfer");
    bank->amount_max = bank->amount_max < 1 ? 1 : bank->amount_max;
    bank->read_share = read + transfer > 0 ? read / (read + transfer) : 0.5;
    for (int64_t i = 0; i < bank->accounts; i++)
        bank->shares[i] = sum += pow((double)i + 1, -option_real(from, "bank.zipf"));
    return generator_function(arena, fill, bank, prng_stream(test->plan->seed, "workload"));
}

/* What is there when everything was healed. */
static struct generator *final_generator(struct test *test, struct arena *arena)
{
    return generator_on_clients(
        arena,
        generator_limit(arena, 1,
                        generator_repeat_op(arena, history_f(test->history, "read"), value_nil())));
}

static const char *const judged_by[] = {"stats", "bank", "availability", "crashes", "faults", NULL};

const struct workload workload_bank = {
    .name = "bank",
    .summary = "transfers between accounts, and reads of all: is the total always the same?",
    .options = options,
    .checkers = judged_by,
    .generator = generator,
    .final_generator = final_generator,
};
