/* The table of what rules out what, whole: of every anomaly the levels that it rules out, and the
 * weakest of them. Written down apart from the table, from what it names as its sources; but for
 * what Elle does not look for (garbage-read, the cycles and orders of sessions, and the levels by
 * Biswas and Enea) these are the sets that Elle's lattice gives, too. */
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/levels.h"
#include "harness/base/text.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

static const struct {
    const char *anomalies, *weakest, *ruled_out;
} rows[] = {
    {"G0 duplicate-elements cyclic-versions", "read-uncommitted",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation parallel-snapshot-isolation prefix "
     "causal-cerone update-atomic read-atomic causal session-read-atomic session-read-committed "
     "update-serializable forward-consistent-view consistent-view repeatable-read "
     "cursor-stability monotonic-view monotonic-snapshot-read monotonic-atomic-view "
     "strong-read-committed strong-session-read-committed read-committed strong-read-uncommitted "
     "strong-session-read-uncommitted read-uncommitted"},
    {"G0-process", "strong-session-read-uncommitted",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation strong-read-committed strong-session-read-committed "
     "strong-read-uncommitted strong-session-read-uncommitted"},
    {"G0-realtime", "strong-read-uncommitted",
     "strict-serializable strong-snapshot-isolation strong-read-committed strong-read-uncommitted"},
    {"G1c G1 G1a G1b future-read incompatible-order dirty-update garbage-read", "read-committed",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation parallel-snapshot-isolation prefix "
     "causal-cerone update-atomic read-atomic causal session-read-atomic session-read-committed "
     "update-serializable forward-consistent-view consistent-view repeatable-read "
     "cursor-stability monotonic-view monotonic-snapshot-read monotonic-atomic-view "
     "strong-read-committed strong-session-read-committed read-committed"},
    {"G1c-process", "strong-session-read-committed",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation strong-read-committed strong-session-read-committed"},
    {"G1c-realtime", "strong-read-committed",
     "strict-serializable strong-snapshot-isolation strong-read-committed"},
    {"G-single-item", "consistent-view repeatable-read",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation update-serializable "
     "forward-consistent-view consistent-view repeatable-read"},
    {"G-single-item-process G-single-process G-nonadjacent-item-process G-nonadjacent-process "
     "G1-process no-snapshot-order-process",
     "strong-session-snapshot-isolation",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation"},
    {"G-single-item-realtime G-single-realtime G-nonadjacent-item-realtime G-nonadjacent-realtime "
     "G1-realtime no-snapshot-order-realtime",
     "strong-snapshot-isolation", "strict-serializable strong-snapshot-isolation"},
    {"G-single", "consistent-view",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation update-serializable "
     "forward-consistent-view consistent-view"},
    {"G-nonadjacent-item", "snapshot-isolation repeatable-read",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation repeatable-read"},
    {"G-nonadjacent GSIa GSI no-snapshot-order", "snapshot-isolation",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation"},
    {"G2-item", "repeatable-read",
     "strict-serializable strong-session-serializable serializable repeatable-read"},
    {"G2-item-process G2-process no-serial-order-process", "strong-session-serializable",
     "strict-serializable strong-session-serializable"},
    {"G2-item-realtime G2-realtime no-serial-order-realtime", "strict-serializable",
     "strict-serializable"},
    {"G2 write-skew predicate-read-miss no-serial-order", "serializable",
     "strict-serializable strong-session-serializable serializable"},
    {"GSIb", "forward-consistent-view",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation update-serializable "
     "forward-consistent-view"},
    {"internal", "read-atomic",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation parallel-snapshot-isolation prefix "
     "causal-cerone update-atomic read-atomic causal session-read-atomic"},
    {"lost-update", "update-atomic cursor-stability",
     "strict-serializable strong-session-serializable serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation snapshot-isolation parallel-snapshot-isolation "
     "update-atomic update-serializable forward-consistent-view consistent-view repeatable-read "
     "cursor-stability"},
    {"read-committed-cycle", "session-read-committed",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation causal session-read-atomic session-read-committed"},
    {"fractured-read", "session-read-atomic",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation causal session-read-atomic"},
    {"causality-cycle", "causal",
     "strict-serializable strong-session-serializable strong-snapshot-isolation "
     "strong-session-snapshot-isolation causal"},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static level_set levels_of(const char *text)
{
    struct arena arena = ARENA_INIT;
    const char **names;
    level_set set = 0;
    size_t count = text_split(&arena, text, ' ', &names);
    for (size_t i = 0; i < count; i++) {
        int level = level_find(names[i]);
        if (level < 0)
            fail_msg("there is no level '%s'", names[i]);
        set |= UINT64_C(1) << level;
    }
    arena_free(&arena);
    return set;
}

static void compare(const char *anomaly, const char *what, level_set is, level_set should)
{
    for (int level = 0; level < level_count(); level++)
        if ((is ^ should) >> level & 1)
            fail_msg("%s: %s %s %s", anomaly, what, is >> level & 1 ? "should not have" : "lacks",
                     level_name(level));
}

/* Both ways: what an anomaly rules out, and what a level finds wrong. */
static void test_row(size_t row, int anomaly)
{
    const char *name = anomaly_name((enum anomaly)anomaly);
    anomaly_set set = UINT64_C(1) << anomaly;
    level_set ruled_out = levels_of(rows[row].ruled_out), weakest = levels_of(rows[row].weakest);
    compare(name, "ruled out", levels_impossible(set), ruled_out);
    compare(name, "weakest", levels_weakest(levels_impossible(set)), weakest);
    for (int level = 0; level < level_count(); level++) {
        bool prohibited = (levels_prohibit(UINT64_C(1) << level) & set) != 0;
        if (prohibited != (ruled_out >> level & 1))
            fail_msg("%s %s %s", level_name(level), prohibited ? "forbids" : "allows", name);
    }
}

static void every_anomaly_rules_out_what_its_sources_say(void **state)
{
    (void)state;
    anomaly_set seen = 0;
    for (size_t row = 0; row < ROWS; row++) {
        struct arena arena = ARENA_INIT;
        const char **names;
        size_t count = text_split(&arena, rows[row].anomalies, ' ', &names);
        for (size_t i = 0; i < count; i++) {
            int anomaly = anomaly_find(names[i]);
            assert_true(anomaly >= 0);
            test_row(row, anomaly);
            seen |= UINT64_C(1) << anomaly;
        }
        arena_free(&arena);
    }
    for (int anomaly = 0; anomaly < ANOMALY_COUNT; anomaly++)
        if ((seen >> anomaly & 1) == 0)
            fail_msg("%s is in no row", anomaly_name((enum anomaly)anomaly));
}

static struct txn_verdict check_at(const char *level, const char *history)
{
    char set[96];
    snprintf(set, sizeof set, "level=%s", level);
    return txn_check(history, set);
}

/* One after the other, each seeing all that was done before: lists and registers. */
static const char *const in_order[] = {
    "0 [[:append 1 1] [:r 2 nil]]\n1 [[:r 1 [1]] [:append 1 2]]\n0 [[:r 1 [1 2]] [:append 2 1]]\n"
    "1 [[:r 2 [1]] [:r 1 [1 2]]]",
    "0 [[:w 1 1] [:r 2 nil]]\n1 [[:r 1 1] [:w 1 2]]\n0 [[:r 1 2] [:w 2 1]]\n1 [[:r 2 1] [:r 1 2]]",
};

/* All that can be asked for. Lone levels that rule out nothing promise nothing. */
static void every_level_allows_one_after_the_other(void **state)
{
    (void)state;
    for (int level = 0; level < level_count(); level++)
        for (size_t i = 0; i < 2; i++) {
            const char *name = level_name(level);
            if (level_undecided(name) != NULL || levels_prohibit(UINT64_C(1) << level) == 0)
                continue;
            struct txn_verdict verdict = check_at(name, in_order[i]);
            if (verdict.verdict != VERDICT_VALID)
                fail_msg("%s: %s", name, verdict.reason);
            txn_verdict_free(&verdict);
        }
}

/* They are not judged as something else, nor is their name called unknown. */
static void what_is_not_decided_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *level, *nearest;
    } refused[] = {
        {"prefix", "snapshot-isolation"},
        {"dbcop-repeatable-read", "session-read-atomic"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct txn_verdict verdict = check_at(refused[i].level, in_order[1]);
        assert_int_equal(verdict.verdict, VERDICT_UNKNOWN);
        assert_non_null(strstr(verdict.reason, "is not decided"));
        assert_non_null(strstr(verdict.reason, refused[i].nearest));
        txn_verdict_free(&verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_anomaly_rules_out_what_its_sources_say),
        cmocka_unit_test(every_level_allows_one_after_the_other),
        cmocka_unit_test(what_is_not_decided_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
