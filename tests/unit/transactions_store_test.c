/* A store with one defect switched on is convicted of it, and of nothing that a weaker level
 * allows; with none it never is. Random seeds. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/checker.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_store.h"

enum { SEEDS = 12, RIGHT_SEEDS = 60 };

static struct json *judge(const struct store_options *options, const char *level,
                          enum verdict *verdict)
{
    struct history history;
    struct err err = ERR_INIT;
    store_run(options, &history);
    assert_ok(history_pair(&history, &err));
    const struct checker *checker = checker_find("transactions");
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    json_set_text(input.options.values, "transactions.level", level);
    option_defaults(&input.options, checker->name, checker->options);
    struct check_result result = {.details = json_object(), .anomalies = json_array()};
    checker->check(&input, &result);
    *verdict = result.verdict;
    json_set_text(result.details, "why", buf_text(&result.reason));
    json_free(result.anomalies);
    buf_free(&result.reason);
    json_free(input.options.values);
    history_free(&history);
    return result.details;
}

static struct store_options options_for(enum store_defect defect, uint64_t seed)
{
    return (struct store_options){.seed = seed,
                                  .txns = 400,
                                  .processes = 8,
                                  .keys = 6,
                                  .writes_per_key = 12,
                                  .mops_min = 1,
                                  .mops_max = 4,
                                  .unknown = 0.03,
                                  .failed = 0.05,
                                  .defect = defect};
}

static bool has(const struct json *details, const char *list, const char *name)
{
    for (const struct json *item = json_first(json_get(details, list)); item != NULL;
         item = json_next(item))
        if (strcmp(json_as_text(item, ""), name) == 0)
            return true;
    return false;
}

/* Convicted of an anomaly of the level, within a few seeds; never of one that `holds` rules out. */
static const struct {
    enum store_defect defect;
    const char *anomalies; /* at least one of these in most runs */
    const char *broken, *holds;
} expected[] = {
    {STORE_NO_READ_LOCK, "G2-item", "serializable", "strong-snapshot-isolation"},
    {STORE_LOST_UPDATE, "lost-update", "snapshot-isolation", "read-committed"},
    {STORE_STALE_SNAPSHOT, "G-single-item-realtime,G-single-item-process", "strict-serializable",
     "serializable"},
    {STORE_CLOCK_SKEW, "G-single-item-realtime,G-single-item-process", "strict-serializable",
     "serializable"},
    {STORE_FRACTURED_READ, "G-single-item", "consistent-view", "read-committed"},
    {STORE_LONG_FORK, "G-nonadjacent-item", "snapshot-isolation", "read-committed"},
    {STORE_DIRTY_READ, "G1a,G1b,G1c", "read-committed", NULL},
    {STORE_DIRTY_WRITE, "G0", "read-uncommitted", NULL},
    {STORE_ABORTED_STAYS, "G1a", "read-committed", "read-uncommitted"},
    {STORE_OWN_HIDDEN, "internal", "serializable", "read-uncommitted"},
    {STORE_DUPLICATE, "duplicate-elements", "read-uncommitted", NULL},
    {STORE_REORDERED, "incompatible-order", "read-committed", NULL},
    {STORE_LOST_COMMIT, "G-single-item-realtime,G-single-item-process", "strict-serializable",
     NULL},
};

static bool convicted(const struct json *details, const char *anomalies)
{
    struct arena arena = ARENA_INIT;
    const char **names;
    bool found = false;
    size_t count = text_split(&arena, anomalies, ',', &names);
    for (size_t i = 0; i < count; i++)
        found = found || has(details, "anomaly-types", names[i]);
    arena_free(&arena);
    return found;
}

static void test_defects(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        int caught = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            struct store_options options = options_for(expected[i].defect, seed);
            enum verdict verdict;
            struct json *details = judge(&options, "strict-serializable", &verdict);
            caught += verdict == VERDICT_INVALID && convicted(details, expected[i].anomalies) &&
                      (has(details, "not", expected[i].broken) ||
                       has(details, "also-not", expected[i].broken));
            if (expected[i].holds != NULL && (has(details, "not", expected[i].holds) ||
                                              has(details, "also-not", expected[i].holds)))
                fail_msg("%s, seed %d: convicted against %s: %s",
                         store_defect_names[expected[i].defect], (int)seed, expected[i].holds,
                         json_as_text(json_get(details, "why"), ""));
            json_free(details);
        }
        print_message("%s: %d of %d runs convicted\n", store_defect_names[expected[i].defect],
                      caught, SEEDS);
        assert_true(caught > SEEDS / 2);
    }
}

static void test_right(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < RIGHT_SEEDS; seed++) {
        struct store_options options = options_for(STORE_RIGHT, seed);
        enum verdict verdict;
        struct json *details = judge(&options, "strict-serializable", &verdict);
        if (verdict != VERDICT_VALID || json_count(json_get(details, "not")) > 0)
            fail_msg("seed %d: %s", (int)seed, json_as_text(json_get(details, "why"), ""));
        json_free(details);
    }
}

/* Every cycle of a long bad run is shown, edge by edge, without one that cannot be. */
static void test_long(void **state)
{
    (void)state;
    for (enum store_defect defect = STORE_NO_READ_LOCK; defect < STORE_DEFECTS; defect++) {
        struct store_options options = options_for(defect, 7);
        options.txns = 5000;
        options.processes = 20;
        enum verdict verdict;
        struct json *details = judge(&options, "strict-serializable", &verdict);
        assert_int_equal(verdict, VERDICT_INVALID);
        assert_null(strstr(json_as_text(json_get(details, "why"), ""), "cannot be shown"));
        json_free(details);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
