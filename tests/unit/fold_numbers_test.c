/* The checkers counter, unique-ids and bank: against plain restatements of what they judge on many
 * small random histories, and against the defects of their models in other tools. */
#include <string.h>

#include "checkers/checkers.h"
#include "tests/lib/fold_random.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

enum { RUNS = 20000 };

static bool is_op(const struct history *history, uint32_t i, const char *f, enum op_type type)
{
    return history->type[i] == type && strcmp(history_f_name(history, i), f) == 0;
}

static int64_t int_of(const struct made_result *result, const char *key)
{
    return json_as_int(json_get(result->details, key), -1);
}

static void expect(const char *checker, struct history *history, const char *set,
                   enum verdict verdict, const char *reason)
{
    struct made_result result = made_check(checker_find(checker), history, NULL, set);
    if (result.verdict != verdict || strstr(result.reason, reason) == NULL)
        fail_msg("%s: %s: %s", checker, verdict_name(result.verdict), result.reason);
    made_result_free(&result);
    history_free(history);
    history_init(history);
}

/* ---- counter ---- */

static struct value ask_counter(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    (void)state;
    (void)arena;
    *f = prng_below(prng, 2) == 0 ? "read" : "add";
    return **f == 'r' ? value_nil() : value_int(NULL, prng_between(prng, -2, 4));
}

static struct value answer_counter(void *state, struct prng *prng, struct arena *arena,
                                   const char *f, struct value asked)
{
    int64_t *sum = state;
    (void)arena;
    if (*f == 'r')
        return value_int(NULL, *sum + (prng_below(prng, 10) == 0 ? prng_between(prng, -3, 3) : 0));
    *sum += value_as_int(asked);
    return asked;
}

/* Every choice of the adds that a read may or may not have seen, one by one. */
static bool read_is_possible(const struct history *history, uint32_t completion)
{
    int64_t certain = 0, maybe[32], low = 0, high = 0;
    int count = 0;
    for (uint32_t i = 0; i < completion; i++) {
        if (!is_op(history, i, "add", OP_INVOKE) || history_outcome(history, i) == OP_FAIL)
            continue;
        bool before = history_outcome(history, i) == OP_OK &&
                      history->partner[i] < history->partner[completion];
        if (before)
            certain += value_as_int(history->value[i]);
        else
            maybe[count++] = value_as_int(history->value[i]);
    }
    assert_true(count < 20);
    for (uint32_t choice = 0; choice < 1u << count; choice++) {
        int64_t sum = certain;
        for (int i = 0; i < count; i++)
            sum += choice >> i & 1 ? maybe[i] : 0;
        low = choice == 0 || sum < low ? sum : low;
        high = choice == 0 || sum > high ? sum : high;
    }
    int64_t read = value_as_int(history->value[completion]);
    return read >= low && read <= high;
}

static void counter_agrees_with_its_definition(void **state)
{
    (void)state;
    int invalid = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct prng prng = prng_stream(seed, "fold-counter");
        struct history history;
        int64_t sum = 0;
        struct fold_client client = {.ask = ask_counter,
                                     .answer = answer_counter,
                                     .state = &sum,
                                     .clients = 1 + (uint32_t)prng_below(&prng, 4),
                                     .ops = 1 + (uint32_t)prng_below(&prng, 12),
                                     .info_percent = 10,
                                     .fail_percent = 10};
        history_init(&history);
        fold_random(&prng, &client, &history);
        struct made_result result = made_check(checker_find("counter"), &history, NULL, NULL);
        int reads = 0, errors = 0;
        for (uint32_t i = 0; i < history.count; i++) {
            if (!is_op(&history, i, "read", OP_OK))
                continue;
            reads++;
            errors += !read_is_possible(&history, i);
        }
        enum verdict verdict = errors > 0   ? VERDICT_INVALID
                               : reads == 0 ? VERDICT_UNKNOWN
                                            : VERDICT_VALID;
        if (result.verdict != verdict || int_of(&result, "error-count") != errors)
            fail_msg("seed %d: %d errors: %s", (int)seed, errors, result.reason);
        invalid += errors > 0;
        made_result_free(&result);
        history_free(&history);
    }
    assert_true(invalid > RUNS / 50 && invalid < RUNS / 2);
}

static void a_counter_may_go_down(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "add", "5", OP_OK, "5");
    fold_op(&history, 0, "add", "-3", OP_OK, "-3");
    fold_op(&history, 0, "read", "nil", OP_OK, "2");
    expect("counter", &history, NULL, VERDICT_VALID, "1 reads");
    fold_op(&history, 0, "add", "5", OP_OK, "5");
    fold_event(&history, 1, OP_INVOKE, "add", "-3");
    fold_op(&history, 0, "read", "nil", OP_OK, "2");
    expect("counter", &history, NULL, VERDICT_VALID, "1 reads");
    fold_op(&history, 0, "add", "5", OP_OK, "5");
    fold_op(&history, 1, "add", "-3", OP_FAIL, "-3");
    fold_op(&history, 0, "read", "nil", OP_OK, "2");
    expect("counter", &history, NULL, VERDICT_INVALID, "1 of 1 reads");
    fold_op(&history, 0, "read", "nil", OP_OK, "9");
    expect("counter", &history, "counter.initial=9", VERDICT_VALID, "1 reads");
    fold_op(&history, 0, "read", "nil", OP_OK, "nil");
    expect("counter", &history, NULL, VERDICT_UNKNOWN, "no integer");
    fold_op(&history, 0, "add", "9223372036854775807", OP_OK, "9223372036854775807");
    fold_op(&history, 0, "add", "9223372036854775807", OP_OK, "9223372036854775807");
    fold_op(&history, 0, "read", "nil", OP_OK, "5");
    expect("counter", &history, NULL, VERDICT_INVALID, "");
    history_free(&history);
}

/* ---- unique-ids ---- */

static struct value ask_id(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    (void)state, (void)prng, (void)arena;
    *f = "generate";
    return value_nil();
}

static struct value answer_id(void *state, struct prng *prng, struct arena *arena, const char *f,
                              struct value asked)
{
    (void)state, (void)f, (void)asked;
    int64_t id = prng_between(prng, -50, 50);
    uint64_t form = prng_below(prng, 4);
    if (form == 0)
        return value_string(arena, id % 2 == 0 ? "a" : "b");
    return form == 1 ? value_int(arena, id * INT64_C(1000000007)) : value_int(arena, id);
}

static void unique_ids_agree_with_their_definition(void **state)
{
    (void)state;
    int invalid = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct prng prng = prng_stream(seed, "fold-ids");
        struct history history;
        struct fold_client client = {.ask = ask_id,
                                     .answer = answer_id,
                                     .clients = 3,
                                     .ops = 1 + (uint32_t)prng_below(&prng, 12),
                                     .info_percent = 10,
                                     .fail_percent = 10};
        history_init(&history);
        fold_random(&prng, &client, &history);
        struct made_result result = made_check(checker_find("unique-ids"), &history, NULL, NULL);
        int duplicated = 0, ok = 0;
        for (uint32_t i = 0; i < history.count; i++) {
            int before = 0;
            ok += history.type[i] == OP_OK;
            for (uint32_t j = 0; history.type[i] == OP_OK && j < i; j++)
                before +=
                    history.type[j] == OP_OK && value_equal(history.value[i], history.value[j]);
            duplicated += before == 1;
        }
        enum verdict verdict = duplicated > 0 ? VERDICT_INVALID
                               : ok == 0      ? VERDICT_UNKNOWN
                                              : VERDICT_VALID;
        if (result.verdict != verdict || int_of(&result, "duplicated-count") != duplicated ||
            int_of(&result, "acknowledged-count") != ok)
            fail_msg("seed %d: %d: %s", (int)seed, duplicated, result.reason);
        invalid += duplicated > 0;
        made_result_free(&result);
        history_free(&history);
    }
    assert_true(invalid > RUNS / 50 && invalid < RUNS * 3 / 4);
}

static void identifiers_are_told_apart_as_values(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "generate", "nil", OP_OK, "1");
    fold_op(&history, 0, "generate", "nil", OP_OK, "1.0");
    fold_op(&history, 0, "generate", "nil", OP_OK, "\"a\"");
    fold_op(&history, 0, "generate", "nil", OP_OK, ":a");
    fold_op(&history, 0, "generate", "nil", OP_INFO, "1");
    expect("unique-ids", &history, NULL, VERDICT_VALID, "4 identifiers");
    fold_op(&history, 0, "generate", "nil", OP_OK, "[1 {:a 2}]");
    fold_op(&history, 0, "generate", "nil", OP_OK, "(1 {:a 2})");
    expect("unique-ids", &history, NULL, VERDICT_INVALID, "1 identifiers");
    fold_op(&history, 0, "generate", "nil", OP_OK, "nil");
    expect("unique-ids", &history, NULL, VERDICT_UNKNOWN, "told no identifier");
    history_free(&history);
}

/* ---- bank ---- */

enum { ACCOUNTS = 4, TOTAL = 20 };

static struct value ask_bank(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    (void)state;
    *f = prng_below(prng, 2) == 0 ? "read" : "transfer";
    if (**f == 'r')
        return value_nil();
    struct value items[] = {value_keyword(arena, "from"),   value_int(NULL, 0),
                            value_keyword(arena, "to"),     value_int(NULL, 1),
                            value_keyword(arena, "amount"), value_int(NULL, 1)};
    return value_items(arena, VALUE_MAP, items, 6);
}

static struct value answer_bank(void *state, struct prng *prng, struct arena *arena, const char *f,
                                struct value asked)
{
    (void)state;
    if (*f != 'r')
        return asked;
    struct value items[2 * ACCOUNTS + 2];
    int64_t left = TOTAL + (prng_below(prng, 12) == 0 ? 1 : 0);
    size_t count = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        int64_t part = i + 1 == ACCOUNTS ? left : (int64_t)prng_below(prng, (uint64_t)left / 2 + 1);
        if (prng_below(prng, 40) == 0)
            part = -part;
        left -= part;
        items[count++] = value_int(NULL, prng_below(prng, 80) == 0 ? 9 : i);
        items[count++] = prng_below(prng, 80) == 0 ? value_nil() : value_int(NULL, part);
    }
    return value_items(arena, VALUE_MAP, items, count);
}

static const char *bank_problem(struct value read)
{
    int64_t sum = 0;
    bool nil = false, negative = false;
    for (size_t i = 0; i < value_count(read); i += 2) {
        if (value_as_int(value_at(read, i)) >= ACCOUNTS)
            return "unexpected-key";
        nil |= value_is_nil(value_at(read, i + 1));
        sum += value_as_int(value_at(read, i + 1));
        negative |= value_as_int(value_at(read, i + 1)) < 0;
    }
    return nil ? "nil-balance" : sum != TOTAL ? "wrong-total" : negative ? "negative-value" : NULL;
}

static void bank_agrees_with_its_definition(void **state)
{
    (void)state;
    static const char *const problems[] = {"unexpected-key", "nil-balance", "wrong-total",
                                           "negative-value"};
    int seen[4] = {0};
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct prng prng = prng_stream(seed, "fold-bank");
        struct history history;
        struct fold_client client = {.ask = ask_bank,
                                     .answer = answer_bank,
                                     .clients = 3,
                                     .ops = 1 + (uint32_t)prng_below(&prng, 12),
                                     .info_percent = 10,
                                     .fail_percent = 10};
        history_init(&history);
        fold_random(&prng, &client, &history);
        /* the total is told by half of them: by the others the first read that is whole tells it,
           which may be a wrong one: then the verdict is the same if two reads differ */
        struct made_result result =
            made_check(checker_find("bank"), &history, NULL, "bank.accounts=4");
        struct made_result told = made_check(checker_find("bank"), &history, NULL, "bank.total=20");
        int counts[4] = {0}, errors = 0, reads = 0;
        for (uint32_t i = 0; i < history.count; i++) {
            if (!is_op(&history, i, "read", OP_OK))
                continue;
            const char *problem = bank_problem(history.value[i]);
            reads++;
            errors += problem != NULL;
            for (int j = 0; j < 4 && problem != NULL; j++)
                counts[j] += strcmp(problem, problems[j]) == 0;
        }
        bool keys_told = counts[0] == 0; /* else the first read may have taught a wrong account */
        enum verdict verdict = errors > 0  ? VERDICT_INVALID
                               : reads > 0 ? VERDICT_VALID
                                           : VERDICT_UNKNOWN;
        if (keys_told && (told.verdict != verdict || int_of(&told, "error-count") != errors))
            fail_msg("seed %d: %d errors: %s", (int)seed, errors, told.reason);
        for (int j = 0; j < 4; j++) {
            seen[j] += counts[j] > 0;
            const struct json *of = json_get(json_get(told.details, "errors"), problems[j]);
            if (keys_told)
                assert_int_equal(json_as_int(json_get(of, "count"), 0), counts[j]);
        }
        if (errors == 0)
            assert_int_equal(result.verdict, verdict);
        made_result_free(&result);
        made_result_free(&told);
        history_free(&history);
    }
    for (int j = 0; j < 4; j++)
        assert_true(seen[j] > 100);
}

static void two_reads_that_differ_are_a_violation(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "read", "nil", OP_OK, "{0 5, 1 5}");
    fold_op(&history, 0, "transfer", "{:from 0 :to 1 :amount 3}", OP_INFO, "nil");
    fold_op(&history, 1, "read", "nil", OP_OK, "{0 2, 1 8}");
    expect("bank", &history, NULL, VERDICT_VALID, "total of 10");
    fold_op(&history, 0, "read", "nil", OP_OK, "{0 5, 1 5}");
    fold_op(&history, 1, "read", "nil", OP_OK, "{0 2, 1 5}");
    expect("bank", &history, NULL, VERDICT_INVALID, "1 of 2 reads");
    fold_op(&history, 0, "read", "nil", OP_OK, "{0 12, 1 -2}");
    expect("bank", &history, NULL, VERDICT_INVALID, "negative-value");
    fold_op(&history, 0, "read", "nil", OP_OK, "{0 12, 1 -2}");
    expect("bank", &history, "bank.negative-balances=true", VERDICT_VALID, "");
    fold_op(&history, 0, "deposit", "3", OP_OK, "3");
    fold_op(&history, 0, "read", "nil", OP_OK, "{0 12, 1 -2}");
    expect("bank", &history, NULL, VERDICT_UNKNOWN, "did deposit");
    fold_op(&history, 0, "read", "nil", OP_OK, "[1 2]");
    expect("bank", &history, NULL, VERDICT_UNKNOWN, "no map");
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counter_agrees_with_its_definition),
        cmocka_unit_test(a_counter_may_go_down),
        cmocka_unit_test(unique_ids_agree_with_their_definition),
        cmocka_unit_test(identifiers_are_told_apart_as_values),
        cmocka_unit_test(bank_agrees_with_its_definition),
        cmocka_unit_test(two_reads_that_differ_are_a_violation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
