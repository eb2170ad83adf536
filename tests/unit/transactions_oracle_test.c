/* The transactions checker agrees with the definitions: small random histories are judged by trying
 * every order (tests/lib/txn_small), and by the checker, level by level. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/checker.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_small.h"

struct judged {
    enum verdict verdict;
    struct json *details;
};

static struct judged judge(const struct small *small, bool registers, const char *level,
                           const char *promise)
{
    struct history history;
    struct err err = ERR_INIT;
    small_history(small, registers, &history);
    assert_ok(history_pair(&history, &err));
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    if (promise != NULL)
        json_set_text(input.options.values, promise, "true");
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
    history_free(&history);
    return (struct judged){result.verdict, result.details};
}

static bool lists(const struct json *list, const char *name)
{
    for (const struct json *item = json_first(list); item != NULL; item = json_next(item))
        if (strcmp(json_as_text(item, ""), name) == 0)
            return true;
    return false;
}

static bool rules_out(const struct judged *judged, const char *level)
{
    return lists(json_get(judged->details, "not"), level) ||
           lists(json_get(judged->details, "also-not"), level);
}

struct tally {
    uint64_t valid, invalid, open;
};

/* `exact`: the checker must find every breach; else it must only never find one that is none. */
static void compare(const struct small *small, bool registers, const struct judged *judged,
                    const char *level, bool holds, bool exact, struct tally *tally)
{
    bool convicted = rules_out(judged, level);
    if (convicted ? !holds : (holds || !exact)) {
        tally->valid += holds;
        tally->invalid += !holds;
        tally->open += !exact;
        return;
    }
    small_print(small, registers);
    struct buf out = BUF_INIT;
    json_print(judged->details, JSON_PRETTY, &out);
    fail_msg("%s: by definition it %s, by the checker it %s\n%s", level,
             holds ? "holds" : "does not hold", convicted ? "does not" : "does", buf_text(&out));
}

enum { LEVELS = 9, CASES = SANITIZED ? 8000 : 40000 };

static void test_levels(void **state)
{
    (void)state;
    struct tally tallies[LEVELS] = {{0}};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "transactions");
        struct small small;
        small_random(&prng, &small, false);
        struct judged judged = judge(&small, false, "strict-serializable", NULL);
        bool exact = !small_order_open(&small);
        const struct {
            const char *name;
            bool holds, exact;
        } levels[LEVELS] = {
            {"read-uncommitted", small_adya(&small, SMALL_READ_UNCOMMITTED), true},
            {"read-committed", small_adya(&small, SMALL_READ_COMMITTED), true},
            {"consistent-view", small_adya(&small, SMALL_CONSISTENT_VIEW), exact},
            {"snapshot-isolation", small_snapshot(&small, false, SMALL_ANY), exact},
            {"strong-session-snapshot-isolation", small_snapshot(&small, false, SMALL_SESSION),
             exact},
            {"strong-snapshot-isolation", small_snapshot(&small, false, SMALL_REAL_TIME), exact},
            {"serializable", small_serializable(&small, false, SMALL_ANY), true},
            {"strong-session-serializable", small_serializable(&small, false, SMALL_SESSION), true},
            {"strict-serializable", small_serializable(&small, false, SMALL_REAL_TIME), true},
        };
        for (int i = small_ordered(&small) ? 0 : 1; i < LEVELS; i++)
            compare(&small, false, &judged, levels[i].name, levels[i].holds, levels[i].exact,
                    &tallies[i]);
        json_free(judged.details);
    }
    /* Both verdicts must have come up often, or the comparison says little. */
    for (int i = 0; i < LEVELS; i++) {
        print_message("level %d: %llu hold, %llu do not, %llu with an open order\n", i,
                      (unsigned long long)tallies[i].valid, (unsigned long long)tallies[i].invalid,
                      (unsigned long long)tallies[i].open);
        assert_true(tallies[i].valid > CASES / 100);
        assert_true(tallies[i].invalid > CASES / 1000);
    }
}

/* Registers tell less: what is convicted must be wrong, and what is wrong convicted, but that a
 * value that nobody wrote may be what a key held at first. With a promise about keys only such
 * levels are compared as include it. */
static void test_registers(void **state)
{
    (void)state;
    static const struct {
        const char *promise, *level;
        enum small_order order;
        bool snapshot;
    } levels[] = {
        {NULL, "serializable", SMALL_ANY, false},
        {NULL, "snapshot-isolation", SMALL_ANY, true},
        {NULL, "strong-session-serializable", SMALL_SESSION, false},
        {NULL, "strong-snapshot-isolation", SMALL_REAL_TIME, true},
        {NULL, "strict-serializable", SMALL_REAL_TIME, false},
        {"transactions.wfr-keys", "serializable", SMALL_ANY, false},
        {"transactions.wfr-keys", "snapshot-isolation", SMALL_ANY, true},
        {"transactions.sequential-keys", "strong-session-serializable", SMALL_SESSION, false},
        {"transactions.linearizable-keys", "strict-serializable", SMALL_REAL_TIME, false},
    };
    enum { N = sizeof levels / sizeof levels[0] };
    uint64_t convicted[N] = {0}, wrong[N] = {0};
    for (uint64_t seed = 0; seed < CASES / 2; seed++) {
        struct prng prng = prng_stream(seed, "registers");
        struct small small;
        small_random(&prng, &small, true);
        for (int i = 0; i < N; i++) {
            if (i > 4 && seed % 3 != 0)
                continue;
            struct judged judged = judge(&small, true, levels[i].level, levels[i].promise);
            bool holds = levels[i].snapshot ? small_snapshot(&small, true, levels[i].order)
                                            : small_serializable(&small, true, levels[i].order);
            struct tally tally = {0};
            bool exact = levels[i].promise == NULL && !small_unwritten(&small);
            compare(&small, true, &judged, levels[i].level, holds, exact, &tally);
            convicted[i] += judged.verdict == VERDICT_INVALID;
            wrong[i] += !holds;
            json_free(judged.details);
        }
    }
    for (int i = 0; i < N; i++) {
        print_message("%s %s: %llu of %llu wrong ones convicted\n", levels[i].level,
                      levels[i].promise == NULL ? "" : levels[i].promise,
                      (unsigned long long)convicted[i], (unsigned long long)wrong[i]);
        assert_true(convicted[i] > wrong[i] * 4 / 5);
    }
}

/* Weak isolation is decided, in both directions. Only what a transaction's own writes tell is more
 * than the checker's read committed asks for. */
static void test_weak(void **state)
{
    (void)state;
    static const struct {
        const char *level;
        enum small_axiom axiom;
    } levels[] = {
        {"session-read-committed", SMALL_READ_COMMITTED_AXIOM},
        {"session-read-atomic", SMALL_READ_ATOMIC},
        {"causal", SMALL_CAUSAL},
    };
    struct tally tallies[3] = {{0}};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "weak");
        struct small small;
        small_random(&prng, &small, true);
        struct judged judged = judge(&small, true, "causal", NULL);
        bool unwritten = small_unwritten(&small); /* the checker lets one such value a key pass */
        bool own = lists(json_get(judged.details, "anomaly-types"), "internal");
        for (int i = 0; i < 3; i++)
            compare(&small, true, &judged, levels[i].level, small_axioms(&small, levels[i].axiom),
                    (i > 0 || !own) && !unwritten, &tallies[i]);
        json_free(judged.details);
    }
    for (int i = 0; i < 3; i++) {
        print_message("%s: %llu hold, %llu do not\n", levels[i].level,
                      (unsigned long long)tallies[i].valid, (unsigned long long)tallies[i].invalid);
        assert_true(tallies[i].valid > CASES / 100 && tallies[i].invalid > CASES / 100);
    }
}

/* Whether some order of commits explains all reads is decided, in both directions; only a value
 * that nobody wrote may be what a key held at first. More with ORDEAL_ORACLE_CASES=300000. */
static void test_orders(void **state)
{
    (void)state;
    static const struct {
        const char *level;
        enum small_order order;
        bool snapshot;
    } levels[] = {
        {"serializable", SMALL_ANY, false},
        {"snapshot-isolation", SMALL_ANY, true},
        {"strong-session-serializable", SMALL_SESSION, false},
        {"strong-session-snapshot-isolation", SMALL_SESSION, true},
        {"strict-serializable", SMALL_REAL_TIME, false},
        {"strong-snapshot-isolation", SMALL_REAL_TIME, true},
    };
    enum { N = sizeof levels / sizeof levels[0] };
    struct tally tallies[N] = {{0}};
    const char *asked = getenv("ORDEAL_ORACLE_CASES");
    uint64_t cases = asked == NULL ? CASES / 4 : strtoull(asked, NULL, 10);
    uint64_t by_order = 0;
    for (uint64_t seed = 0; seed < cases; seed++) {
        struct prng prng = prng_stream(seed, "orders");
        struct small small;
        small_random_blind(&prng, &small);
        bool unwritten = small_unwritten(&small);
        for (int i = 0; i < N; i++) {
            struct judged judged = judge(&small, true, levels[i].level, NULL);
            bool holds = levels[i].snapshot ? small_snapshot(&small, true, levels[i].order)
                                            : small_serializable(&small, true, levels[i].order);
            compare(&small, true, &judged, levels[i].level, holds, !unwritten, &tallies[i]);
            const struct json *types = json_get(judged.details, "anomaly-types");
            bool by = lists(types, "no-serial-order") || lists(types, "no-serial-order-process") ||
                      lists(types, "no-serial-order-realtime") ||
                      lists(types, "no-snapshot-order") ||
                      lists(types, "no-snapshot-order-process") ||
                      lists(types, "no-snapshot-order-realtime");
            by_order += by;
            assert_null(json_get(judged.details, "not-searched")); /* all of it was decided */
            json_free(judged.details);
        }
    }
    for (int i = 0; i < N; i++) {
        print_message("%s: %llu hold, %llu do not\n", levels[i].level,
                      (unsigned long long)tallies[i].valid, (unsigned long long)tallies[i].invalid);
        assert_true(tallies[i].valid > cases / 100 && tallies[i].invalid > cases / 100);
    }
    print_message("%llu convicted by the search for an order alone\n",
                  (unsigned long long)by_order);
    assert_true(by_order > cases / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_registers),
                                       cmocka_unit_test(test_weak), cmocka_unit_test(test_orders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
