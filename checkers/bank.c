/* Money moves between accounts and never appears or vanishes: every successful `read` of all
 * accounts, {account balance}, sums up to the same total. An indeterminate `transfer` may or may
 * not have happened, and the total is the same either way.
 *
 * What was allocated is told by an option, or is what the first read tells: then one of two reads
 * that differ is wrong, and that is a violation whichever it is. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "checkers/folding/by_key.h"
#include "checkers/folding/fold.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"

enum { ANOMALIES_MAX = 8 };

enum problem {
    PROBLEM_KEY,
    PROBLEM_NIL,
    PROBLEM_TOTAL,
    PROBLEM_NEGATIVE,
    PROBLEM_COUNT,
    NO_PROBLEM
};

static const char *const problem_names[PROBLEM_COUNT] = {"unexpected-key", "nil-balance",
                                                         "wrong-total", "negative-value"};

typedef __int128 wide;

/* A read that is wrong, and how badly. */
struct error {
    uint32_t event;
    wide badness, total;
};

struct bank {
    const struct history *history;
    struct check_result *result;
    struct elements accounts;
    bool negative_is_fine, total_known;
    wide total;
    uint64_t reads, errors;
    struct errors {
        uint64_t count;
        struct error first, worst, last, lowest, highest;
    } by_problem[PROBLEM_COUNT];
    uint32_t first_error;
    enum problem first_problem;
};

/* The first read tells what accounts there are, and the total, if nobody else did. */
static void learn(struct bank *bank, struct value balances, wide sum)
{
    if (bank->accounts.count == 0)
        for (size_t i = 0; i < value_count(balances); i += 2)
            elements_add(&bank->accounts, value_at(balances, i));
    if (!bank->total_known) {
        bank->total_known = true;
        bank->total = sum;
    }
}

static enum problem judge_read(struct bank *bank, struct value balances, struct error *error)
{
    wide sum = 0, negative = 0;
    uint32_t strangers = 0, nils = 0;
    size_t count = value_count(balances);
    bool accounts_known = bank->accounts.count > 0;
    for (size_t i = 0; i < count; i += 2) {
        struct value balance = value_at(balances, i + 1);
        strangers +=
            accounts_known && elements_find(&bank->accounts, value_at(balances, i)) == ELEMENT_NONE;
        nils += value_is_nil(balance);
        wide amount = value_as_int(balance);
        sum += amount;
        negative += amount < 0 ? amount : 0;
    }
    error->total = sum;
    error->badness = 0;
    if (strangers > 0 || nils > 0) {
        error->badness = strangers > 0 ? strangers : nils;
        return strangers > 0 ? PROBLEM_KEY : PROBLEM_NIL;
    }
    learn(bank, balances, sum);
    if (sum != bank->total) {
        error->badness = sum > bank->total ? sum - bank->total : bank->total - sum;
        return PROBLEM_TOTAL;
    }
    error->badness = -negative;
    return negative < 0 && !bank->negative_is_fine ? PROBLEM_NEGATIVE : NO_PROBLEM;
}

static void take_error(struct bank *bank, enum problem problem, const struct error *error)
{
    struct errors *errors = &bank->by_problem[problem];
    if (bank->errors++ == 0) {
        bank->first_error = error->event;
        bank->first_problem = problem;
    }
    if (errors->count++ == 0)
        errors->first = errors->worst = errors->lowest = errors->highest = *error;
    if (error->badness > errors->worst.badness)
        errors->worst = *error;
    if (error->total < errors->lowest.total)
        errors->lowest = *error;
    if (error->total > errors->highest.total)
        errors->highest = *error;
    errors->last = *error;
    if (bank->errors > ANOMALIES_MAX)
        return;
    struct buf text = BUF_INIT;
    value_print(bank->history->value[error->event], &text);
    struct buf title = BUF_INIT;
    buf_printf(&title, "a read is wrong: %s", problem_names[problem]);
    if (problem == PROBLEM_TOTAL)
        buf_printf(&text, " sums up to %" PRId64 ", not to %" PRId64 ".", (int64_t)error->total,
                   (int64_t)bank->total);
    else if (problem == PROBLEM_NEGATIVE)
        buf_add_text(&text, " has a negative balance.");
    else
        buf_add_text(&text, problem == PROBLEM_NIL ? " has an account without a balance."
                                                   : " has an account that there is not.");
    check_anomaly(bank->result, problem_names[problem], buf_text(&title), buf_text(&text),
                  &error->event, 1);
    buf_free(&title);
    buf_free(&text);
}

/* Whether a read is a map from accounts to whole amounts (or to nothing). */
static bool is_balances(struct bank *bank, uint32_t event)
{
    struct value value = bank->history->value[event];
    bool good = value_kind(value) == VALUE_MAP && value_count(value) > 0;
    for (size_t i = 1; good && i < value_count(value); i += 2) {
        struct value balance = value_at(value, i);
        good = value_is_int(balance) || value_is_nil(balance);
    }
    if (!good)
        check_verdict(bank->result, VERDICT_UNKNOWN,
                      "event %" PRIu32 ": a read that is no map of whole balances", event);
    return good;
}

static struct json *error_json(const struct bank *bank, enum problem problem,
                               const struct error *error)
{
    struct json *json = json_object();
    json_set_text(json, "type", problem_names[problem]);
    if (problem == PROBLEM_TOTAL)
        json_set_int(json, "total", (int64_t)error->total);
    struct buf op = BUF_INIT;
    history_print_op(bank->history, error->event, &op);
    json_set_text(json, "op", buf_text(&op));
    json_set_int(json, "event", error->event);
    buf_free(&op);
    return json;
}

static void report(struct bank *bank)
{
    struct json *details = bank->result->details;
    json_set_int(details, "read-count", (int64_t)bank->reads);
    json_set_int(details, "error-count", (int64_t)bank->errors);
    if (bank->total_known)
        json_set_int(details, "total-amount", (int64_t)bank->total);
    json_set(details, "first-error",
             bank->errors == 0 ? json_null()
                               : error_json(bank, bank->first_problem,
                                            &bank->by_problem[bank->first_problem].first));
    struct json *errors = json_set(details, "errors", json_object());
    for (int i = 0; i < PROBLEM_COUNT; i++) {
        const struct errors *of = &bank->by_problem[i];
        if (of->count == 0)
            continue;
        struct json *json = json_set(errors, problem_names[i], json_object());
        json_set_int(json, "count", (int64_t)of->count);
        json_set(json, "first", error_json(bank, (enum problem)i, &of->first));
        json_set(json, "worst", error_json(bank, (enum problem)i, &of->worst));
        json_set(json, "last", error_json(bank, (enum problem)i, &of->last));
        if (i == PROBLEM_TOTAL) {
            json_set(json, "lowest", error_json(bank, (enum problem)i, &of->lowest));
            json_set(json, "highest", error_json(bank, (enum problem)i, &of->highest));
        }
    }
    if (bank->errors > 0)
        check_verdict(bank->result, VERDICT_INVALID,
                      "%" PRIu64 " of %" PRIu64 " reads are wrong; the first is %s", bank->errors,
                      bank->reads, problem_names[bank->first_problem]);
    if (bank->reads == 0)
        check_verdict(bank->result, VERDICT_UNKNOWN, "no read of the accounts ever succeeded");
    check_verdict(bank->result, VERDICT_VALID,
                  "%" PRIu64 " reads of %" PRIu32 " accounts, all with a total of %" PRId64,
                  bank->reads, bank->accounts.count, (int64_t)bank->total);
}

/* Accounts that an option names: a number N for 0 to N-1, or a vector. */
static bool take_accounts(struct bank *bank, const char *text, struct arena *arena)
{
    struct value accounts;
    struct err err = ERR_INIT;
    if (strcmp(text, "auto") == 0)
        return true;
    if (edn_parse_all(arena, text, strlen(text), &accounts, &err) != ERR_NONE ||
        !(value_is_int(accounts) || fold_is_collection(accounts))) {
        check_verdict(bank->result, VERDICT_UNKNOWN,
                      "bank.accounts: '%s' is neither a number nor a vector of accounts", text);
        return false;
    }
    for (int64_t i = 0; value_is_int(accounts) && i < value_as_int(accounts); i++)
        elements_add(&bank->accounts, value_int(arena, i));
    for (size_t i = 0; i < value_count(accounts); i++)
        elements_add(&bank->accounts, value_at(accounts, i));
    return true;
}

static bool take_total(struct bank *bank, const char *text)
{
    char *end;
    if (strcmp(text, "auto") == 0)
        return true;
    bank->total = strtoll(text, &end, 10);
    bank->total_known = end != text && *end == '\0';
    if (!bank->total_known)
        check_verdict(bank->result, VERDICT_UNKNOWN, "bank.total: '%s' is no number", text);
    return bank->total_known;
}

static void check_one(const struct check_input *input, struct check_result *result)
{
    const struct history *history = input->history;
    struct arena arena = ARENA_INIT;
    struct bank bank = {.history = history, .result = result};
    if (!fold_understands(input, result, (const char *const[]){"read", "transfer", NULL}))
        return;
    elements_init(&bank.accounts, &arena, 64);
    bank.negative_is_fine = option_bool(&input->options, "bank.negative-balances");
    if (take_accounts(&bank, option_text(&input->options, "bank.accounts"), &arena) &&
        take_total(&bank, option_text(&input->options, "bank.total"))) {
        int read = fold_f(input, "read");
        for (uint32_t i = 0; read >= 0 && i < history->count; i++) {
            struct error error = {.event = i};
            if (!fold_is(history, i, OP_OK, read) || !is_balances(&bank, i))
                continue;
            bank.reads++;
            enum problem problem = judge_read(&bank, history->value[i], &error);
            if (problem != NO_PROBLEM)
                take_error(&bank, problem, &error);
        }
        report(&bank);
    }
    arena_free(&arena);
}

static void check(const struct check_input *input, struct check_result *result)
{
    fold_check(input, result, check_one);
}

static const struct option options[] = {
    {.name = "total",
     .kind = OPTION_TEXT,
     .fallback = "auto",
     .help = "What all accounts hold together; auto: what the first read tells."},
    {.name = "accounts",
     .kind = OPTION_TEXT,
     .fallback = "auto",
     .help = "How many accounts there are (0 to N-1), or a vector of them; auto: those of the "
             "first read."},
    {.name = "negative-balances",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .help = "Whether a balance may be negative."},
    {.name = NULL},
};

const struct checker checker_bank = {
    .name = "bank",
    .summary = "every read of all accounts sums up to the same total",
    .options = options,
    .check = check,
};
