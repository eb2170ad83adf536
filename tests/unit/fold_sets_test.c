/* The checkers set, set-full and causal-reverse: against plain restatements of what they judge on
 * many small random histories, and against the defects of their models in other tools. */
#include <stdio.h>
#include <string.h>

#include "checkers/checkers.h"
#include "tests/lib/fold_random.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

enum { VALUES = 6, RUNS = 20000 };

static struct value ask_set(void *state, struct prng *prng, struct arena *arena, const char **f)
{
    (void)state;
    (void)arena;
    *f = prng_below(prng, 3) == 0 ? "read" : "add";
    return **f == 'r' ? value_nil() : value_int(NULL, (int64_t)prng_below(prng, VALUES));
}

/* Mostly what was added, with a little too much and too little of it. */
static struct value answer_set(void *state, struct prng *prng, struct arena *arena, const char *f,
                               struct value asked)
{
    uint32_t *added = state;
    if (*f != 'r') {
        *added |= 1u << value_as_int(asked);
        return asked;
    }
    struct value items[VALUES + 2];
    size_t count = 0;
    uint64_t exact = prng_below(prng, 3);
    for (int i = 0; i < VALUES; i++) {
        bool in = *added >> i & 1;
        if (exact == 0 && prng_below(prng, 8) == 0)
            in = !in;
        if (in)
            items[count++] = value_int(NULL, i);
    }
    if (prng_below(prng, 200) == 0 && count > 0)
        items[count++] = items[0];
    return value_items(arena, prng_below(prng, 2) == 0 ? VALUE_VECTOR : VALUE_SET, items, count);
}

static void random_set_history(uint64_t seed, const char *add, struct history *history)
{
    struct prng prng = prng_stream(seed, "fold-sets");
    uint32_t added = 0;
    struct fold_client client = {.ask = ask_set,
                                 .answer = answer_set,
                                 .state = &added,
                                 .clients = 1 + (uint32_t)prng_below(&prng, 4),
                                 .ops = 2 + (uint32_t)prng_below(&prng, 12),
                                 .info_percent = 10,
                                 .fail_percent = 10};
    history_init(history);
    history_f(history, "read");
    fold_random(&prng, &client, history);
    for (uint32_t f = 0; f < history->f_count; f++)
        if (strcmp(history->f_names[f], "add") == 0)
            history->f_names[f] = add;
}

static bool shows(const struct history *history, uint32_t read, int value)
{
    struct value items = history->value[read];
    for (size_t i = 0; i < value_count(items); i++)
        if (value_as_int(value_at(items, i)) == value)
            return true;
    return false;
}

static bool is_op(const struct history *history, uint32_t i, const char *f, enum op_type type)
{
    return history->type[i] == type && strcmp(history_f_name(history, i), f) == 0;
}

/* The first event that acknowledges an add of `value`, and the first invocation of one that did not
 * fail; HISTORY_NONE. */
static uint32_t acknowledged(const struct history *history, const char *add, int value)
{
    for (uint32_t i = 0; i < history->count; i++)
        if (is_op(history, i, add, OP_OK) && value_as_int(history->value[i]) == value)
            return i;
    return HISTORY_NONE;
}

static uint32_t attempted(const struct history *history, const char *add, int value)
{
    for (uint32_t i = 0; i < history->count; i++)
        if (is_op(history, i, add, OP_INVOKE) && value_as_int(history->value[i]) == value &&
            history_outcome(history, i) != OP_FAIL)
            return i;
    return HISTORY_NONE;
}

struct expected {
    enum verdict verdict;
    int lost, unexpected, stale, stable, never_read, duplicated;
};

static struct expected expect_set(const struct history *history)
{
    struct expected expected = {.verdict = VERDICT_VALID};
    uint32_t read = HISTORY_NONE, adds = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        read = is_op(history, i, "read", OP_OK) ? i : read;
        adds += is_op(history, i, "add", OP_INVOKE);
    }
    if (read == HISTORY_NONE) {
        expected.verdict = VERDICT_UNKNOWN;
        return expected;
    }
    for (int value = 0; value < VALUES; value++) {
        uint32_t known = acknowledged(history, "add", value);
        bool must = known != HISTORY_NONE && known < history->partner[read];
        expected.lost += must && !shows(history, read, value);
        expected.unexpected +=
            shows(history, read, value) && attempted(history, "add", value) > read;
    }
    expected.verdict = expected.lost + expected.unexpected > 0 ? VERDICT_INVALID
                       : adds == 0                             ? VERDICT_UNKNOWN
                                                               : VERDICT_VALID;
    return expected;
}

static void judge_element(const struct history *history, int value, struct expected *expected)
{
    uint32_t known = acknowledged(history, "add", value), last_present = 0, last_absent = 0;
    bool present = false, absent = false, named = false, lost = false, stale = false;
    for (uint32_t i = 0; i < history->count; i++) {
        named |= is_op(history, i, "add", OP_INVOKE) && value_as_int(history->value[i]) == value;
        if (!is_op(history, i, "read", OP_OK))
            continue;
        uint32_t began = history->partner[i];
        if (!shows(history, i, value)) {
            absent = true;
            last_absent = began > last_absent ? began : last_absent;
            continue;
        }
        known = i < known ? i : known;
        present = true;
        last_present = began > last_present ? began : last_present;
    }
    if (!named)
        return; /* it can only be unexpected */
    for (uint32_t i = 0; i < history->count; i++) {
        if (!is_op(history, i, "read", OP_OK) || shows(history, i, value) ||
            history->partner[i] < known)
            continue;
        bool shown_later = false;
        for (uint32_t j = 0; j < history->count; j++)
            shown_later |= is_op(history, j, "read", OP_OK) && shows(history, j, value) &&
                           j > history->partner[i];
        lost |= !shown_later;
        stale = true;
    }
    bool stable = present && !lost && (stale || !absent || last_absent < last_present);
    expected->lost += lost;
    expected->stable += stable;
    expected->stale += stale && stable;
    expected->never_read += !lost && !stable;
}

static struct expected expect_set_full(const struct history *history, bool linearizable)
{
    struct expected expected = {.verdict = VERDICT_VALID};
    for (int value = 0; value < VALUES; value++) {
        judge_element(history, value, &expected);
        for (uint32_t i = 0; i < history->count; i++) {
            if (!is_op(history, i, "read", OP_OK))
                continue;
            int times = 0;
            for (size_t j = 0; j < value_count(history->value[i]); j++)
                times += value_as_int(value_at(history->value[i], j)) == value;
            expected.unexpected += times > 0 && attempted(history, "add", value) > i;
            expected.duplicated += times > 1;
        }
    }
    if (expected.lost + expected.unexpected + expected.duplicated > 0 ||
        (linearizable && expected.stale > 0))
        expected.verdict = VERDICT_INVALID;
    else if (expected.stable == 0)
        expected.verdict = VERDICT_UNKNOWN;
    return expected;
}

static int expect_causal(const struct history *history)
{
    int errors = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        bool wrong = false;
        for (int later = 0; is_op(history, i, "read", OP_OK) && later < VALUES; later++)
            for (int value = 0; shows(history, i, later) && value < VALUES; value++) {
                uint32_t began = attempted(history, "write", later);
                wrong |= began != HISTORY_NONE && !shows(history, i, value) &&
                         acknowledged(history, "write", value) < began;
            }
        errors += wrong;
    }
    return errors;
}

static int64_t count_of(const struct made_result *result, const char *key)
{
    return json_as_int(json_get(result->details, key), -1);
}

static void set_agrees_with_its_definition(void **state)
{
    (void)state;
    int verdicts[3] = {0, 0, 0};
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct history history;
        random_set_history(seed, "add", &history);
        struct made_result result = made_check(checker_find("set"), &history, NULL, NULL);
        struct expected expected = expect_set(&history);
        verdicts[expected.verdict]++;
        if (result.verdict != expected.verdict)
            fail_msg("seed %d: %s: %s", (int)seed, verdict_name(result.verdict), result.reason);
        if (json_get(result.details, "lost-count") != NULL) {
            assert_int_equal(count_of(&result, "lost-count"), expected.lost);
            assert_int_equal(count_of(&result, "unexpected-count"), expected.unexpected);
        }
        made_result_free(&result);
        history_free(&history);
    }
    for (int i = 0; i < 3; i++)
        assert_true(verdicts[i] > RUNS / 100);
}

static void set_full_agrees_with_its_definition(void **state)
{
    (void)state;
    int verdicts[3] = {0, 0, 0}, stale = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct history history;
        bool linearizable = seed % 2 == 1;
        random_set_history(seed + RUNS, "add", &history);
        struct made_result result = made_check(checker_find("set-full"), &history, NULL,
                                               linearizable ? "set-full.linearizable=true" : NULL);
        struct expected expected = expect_set_full(&history, linearizable);
        verdicts[expected.verdict]++;
        stale += expected.stale > 0;
        if (result.verdict != expected.verdict)
            fail_msg("seed %d: %s: %s", (int)seed, verdict_name(result.verdict), result.reason);
        assert_int_equal(count_of(&result, "lost-count"), expected.lost);
        assert_int_equal(count_of(&result, "stable-count"), expected.stable);
        assert_int_equal(count_of(&result, "stale-count"), expected.stale);
        assert_int_equal(count_of(&result, "never-read-count"), expected.never_read);
        assert_int_equal(count_of(&result, "duplicated-count"), expected.duplicated);
        assert_int_equal(count_of(&result, "unexpected-count"), expected.unexpected);
        made_result_free(&result);
        history_free(&history);
    }
    for (int i = 0; i < 3; i++)
        assert_true(verdicts[i] > RUNS / 100);
    assert_true(stale > RUNS / 100);
}

static void causal_reverse_agrees_with_its_definition(void **state)
{
    (void)state;
    int invalid = 0;
    for (uint64_t seed = 0; seed < RUNS; seed++) {
        struct history history;
        random_set_history(seed + 2 * RUNS, "write", &history);
        struct made_result result =
            made_check(checker_find("causal-reverse"), &history, NULL, NULL);
        int errors = expect_causal(&history);
        invalid += errors > 0;
        if (count_of(&result, "error-count") != errors ||
            (result.verdict == VERDICT_INVALID) != (errors > 0))
            fail_msg("seed %d: %d errors expected: %s", (int)seed, errors, result.reason);
        made_result_free(&result);
        history_free(&history);
    }
    assert_true(invalid > RUNS / 100 && invalid < RUNS * 9 / 10);
}

/* ---- Defects of others, each a history (Jepsen's: jepsen_defects_test.c) ---- */

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

static void what_failed_is_not_there(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    for (int i = 0; i < 2; i++) {
        fold_op(&history, 0, "add", "1", OP_OK, "1");
        fold_op(&history, 0, "add", "2", OP_FAIL, "2");
        fold_op(&history, 0, "read", "nil", OP_OK, "[1 2]");
        expect(i == 0 ? "set" : "set-full", &history, NULL, VERDICT_INVALID, "1 element: 2");
        fold_op(&history, 0, "add", "1", OP_OK, "1");
        fold_op(&history, 0, "add", "2", OP_INFO, "2");
        fold_op(&history, 1, "read", "nil", OP_OK, "[1 2]");
        expect(i == 0 ? "set" : "set-full", &history, NULL, VERDICT_VALID, "");
    }
    history_free(&history);
}

static void a_last_read_misses_nothing_that_came_later(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    fold_event(&history, 1, OP_INVOKE, "read", "nil");
    fold_op(&history, 0, "add", "2", OP_OK, "2");
    fold_event(&history, 1, OP_OK, "read", "[1]");
    fold_op(&history, 0, "add", "3", OP_OK, "3");
    expect("set", &history, NULL, VERDICT_VALID, "none lost");
    history_free(&history);
}

/* Not lost: the read that shows it may have looked after the one that does not. */
static void a_read_that_overlaps_decides_nothing(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    for (int linearizable = 0; linearizable < 2; linearizable++) {
        fold_op(&history, 0, "add", "1", OP_OK, "1");
        fold_event(&history, 1, OP_INVOKE, "read", "nil");
        fold_op(&history, 2, "read", "nil", OP_OK, "[]");
        fold_event(&history, 1, OP_OK, "read", "[1]");
        if (linearizable)
            expect("set-full", &history, "set-full.linearizable=true", VERDICT_INVALID, "stale");
        else
            expect("set-full", &history, NULL, VERDICT_VALID, "1 stale on the way");
    }
    history_free(&history);
}

static void nothing_tested_is_unknown(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_FAIL, "nil");
    fold_op(&history, 0, "read", "nil", OP_INFO, "nil");
    expect("set", &history, NULL, VERDICT_UNKNOWN, "never read");
    expect("set-full", &history, NULL, VERDICT_UNKNOWN, "no element was ever read for good");
    expect("causal-reverse", &history, NULL, VERDICT_UNKNOWN, "no read");
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    fold_op(&history, 0, "remove", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_OK, "[]");
    expect("set", &history, NULL, VERDICT_UNKNOWN, "process 0 did remove");
    fold_op(&history, 0, "read", "nil", OP_OK, "7");
    expect("set", &history, NULL, VERDICT_UNKNOWN, "told no collection");
    history_free(&history);
}

/* As Jepsen's independent checkers: each key by itself, with the whole history's event numbers. */
static void keys_are_judged_by_themselves(void **state)
{
    (void)state;
    struct history history;
    struct err err = ERR_INIT;
    history_init(&history);
    fold_op(&history, 0, "write", "[3 1]", OP_OK, "[3 1]");
    fold_op(&history, 0, "write", "[3 2]", OP_OK, "[3 2]");
    fold_op(&history, 0, "write", "[4 1]", OP_OK, "[4 1]");
    fold_op(&history, 0, "read", "[4 nil]", OP_OK, "[4 #{1}]");
    fold_op(&history, 0, "read", "[3 nil]", OP_OK, "[3 #{2}]");
    assert_ok(history_pair(&history, &err));
    struct check_input input = {.history = &history, .keyed = KEYED_YES};
    input.options.values = json_object();
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker_find("causal-reverse")->check(&input, &result);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_contains(buf_text(&result.reason), "key 3: 1 of 1 reads");
    assert_int_equal(json_as_int(json_get(result.details, "key-count"), 0), 2);
    assert_int_equal(json_as_int(json_get(result.details, "keys-invalid"), 0), 1);
    assert_string_equal(json_as_text(json_at(json_get(result.details, "failures"), 0), ""), "3");
    const struct json *valid =
        json_get(json_get(json_get(result.details, "results"), "4"), "valid");
    assert_true(json_as_bool(valid, false));
    const struct json *events = json_get(json_at(result.anomalies, 0), "events");
    static const int64_t expected[] = {1, 2, 9}; /* completed, then invoked, then read */
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_as_int(json_at(events, i), -1), expected[i]);
    buf_free(&result.reason);
    json_free(result.details);
    json_free(result.anomalies);
    json_free(input.options.values);
    history_free(&history);
    history_init(&history);
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    assert_ok(history_pair(&history, &err));
    input.options.values = json_object();
    result = (struct check_result){.details = json_object(), .anomalies = json_array()};
    checker_find("set")->check(&input, &result);
    assert_int_equal(result.verdict, VERDICT_UNKNOWN);
    assert_contains(buf_text(&result.reason), "not [key value]");
    buf_free(&result.reason);
    json_free(result.details);
    json_free(result.anomalies);
    json_free(input.options.values);
    history_free(&history);
}

static void ranges_are_short(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    for (int i = 0; i < 10; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", i);
        fold_op(&history, 0, "add", value, OP_OK, value);
    }
    fold_op(&history, 0, "read", "nil", OP_OK, "[0 1 2 3 6 8 9 \"x\"]");
    struct made_result result = made_check(checker_find("set"), &history, NULL, NULL);
    assert_string_equal(json_as_text(json_get(result.details, "ok"), ""), "#{0..3 6 8 9}");
    assert_string_equal(json_as_text(json_get(result.details, "lost"), ""), "#{4 5 7}");
    assert_string_equal(json_as_text(json_get(result.details, "unexpected"), ""), "#{\"x\"}");
    made_result_free(&result);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_agrees_with_its_definition),
        cmocka_unit_test(set_full_agrees_with_its_definition),
        cmocka_unit_test(causal_reverse_agrees_with_its_definition),
        cmocka_unit_test(what_failed_is_not_there),
        cmocka_unit_test(a_last_read_misses_nothing_that_came_later),
        cmocka_unit_test(a_read_that_overlaps_decides_nothing),
        cmocka_unit_test(nothing_tested_is_unknown),
        cmocka_unit_test(keys_are_judged_by_themselves),
        cmocka_unit_test(ranges_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
