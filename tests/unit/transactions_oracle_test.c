/* The transactions checker agrees with the definitions: small random histories are judged by trying
 * every order (tests/lib/txn_small), and by the checker, level by level. */
#include <stdio.h>
#include <string.h>

#include "harness/checker.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_small.h"

struct judged {
    enum verdict verdict;
    struct json *details;
};

static struct judged judge(const struct small *small, const char *level)
{
    struct history history;
    struct err err = ERR_INIT;
    small_history(small, false, &history);
    assert_ok(history_pair(&history, &err));
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
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
static void compare(const struct small *small, const struct judged *judged, const char *level,
                    bool holds, bool exact, struct tally *tally)
{
    bool convicted = rules_out(judged, level);
    if (convicted ? !holds : (holds || !exact)) {
        tally->valid += holds;
        tally->invalid += !holds;
        tally->open += !exact;
        return;
    }
    small_print(small, false);
    struct buf out = BUF_INIT;
    json_print(judged->details, JSON_PRETTY, &out);
    fail_msg("%s: by definition it %s, by the checker it %s\n%s", level,
             holds ? "holds" : "does not hold", convicted ? "does not" : "does", buf_text(&out));
}

enum { LEVELS = 9, CASES = 60000 };

static void test_levels(void **state)
{
    (void)state;
    struct tally tallies[LEVELS] = {{0}};
    for (uint64_t seed = 0; seed < CASES; seed++) {
        struct prng prng = prng_stream(seed, "transactions");
        struct small small;
        small_random(&prng, &small, false);
        struct judged judged = judge(&small, "strict-serializable");
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
            compare(&small, &judged, levels[i].name, levels[i].holds, levels[i].exact, &tallies[i]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_levels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
