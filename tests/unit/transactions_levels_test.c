/* The lattice of isolation levels, edge by edge: of each level a small history that it rules out
 * and a level just below it allows. Levels of which the table says no more than of those that they
 * include are named, so that none is forgotten. */
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/levels.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

/* Adya (1999): G0. Two transactions whose writes to two keys are in opposite orders. */
#define DIRTY_WRITES                                                                               \
    "0 invoke [[:append 1 1] [:append 2 1]]\n1 invoke [[:append 1 2] [:append 2 2]]\n"             \
    "0 ok [[:append 1 1] [:append 2 1]]\n1 ok [[:append 1 2] [:append 2 2]]\n"                     \
    "2 [[:r 1 [1 2]] [:r 2 [2 1]]]"
/* Adya: G1a. */
#define ABORTED_READ "0 fail [[:append 1 1]]\n1 [[:r 1 [1]]]\n0 [[:append 1 2]]"
/* Berenson et al. (1995): P4. */
#define LOST_UPDATE                                                                                \
    "0 invoke [[:r 1 nil] [:append 1 1]]\n1 invoke [[:r 1 nil] [:append 1 2]]\n"                   \
    "0 ok [[:r 1 nil] [:append 1 1]]\n1 ok [[:r 1 nil] [:append 1 2]]"
/* Berenson et al.: A5A; Adya: G-single. */
#define READ_SKEW                                                                                  \
    "0 invoke [[:r 1 nil] [:r 2 nil]]\n1 [[:append 1 1] [:append 2 1]]\n"                          \
    "0 ok [[:r 1 [1]] [:r 2 nil]]"
/* Berenson et al.: A5B; Adya: G2-item. */
#define WRITE_SKEW                                                                                 \
    "0 invoke [[:r 1 nil] [:append 2 1]]\n1 invoke [[:r 2 nil] [:append 1 1]]\n"                   \
    "0 ok [[:r 1 nil] [:append 2 1]]\n1 ok [[:r 2 nil] [:append 1 1]]\n2 [[:r 1 [1]] [:r 2 [1]]]"
/* Sovran et al. (2011): what parallel snapshot isolation allows. */
#define LONG_FORK                                                                                  \
    "0 invoke [[:append 1 1]]\n1 invoke [[:append 2 1]]\n2 invoke [[:r 1 nil] [:r 2 nil]]\n"       \
    "3 invoke [[:r 1 nil] [:r 2 nil]]\n0 ok [[:append 1 1]]\n1 ok [[:append 2 1]]\n"               \
    "2 ok [[:r 1 [1]] [:r 2 nil]]\n3 ok [[:r 1 nil] [:r 2 [1]]]"
/* Cerone et al. (2015): INT. */
#define OWN_READS_DISAGREE "0 [[:r 1 [1]] [:r 1 [1 2]]]\n1 [[:append 1 1]]\n2 [[:append 1 2]]"
/* Daudjee and Salem (2004): what a session did before is missing; and (strong) what anybody did. */
#define OWN_WRITE_MISSING "0 [[:append 1 1]]\n0 [[:r 1 nil]]\n2 [[:r 1 [1]]]"
#define WRITE_MISSING "0 [[:append 1 1]]\n1 [[:r 1 nil]]\n2 [[:r 1 [1]]]"
#define OWN_WRITES_SWAPPED "0 [[:append 1 1]]\n0 [[:append 1 2]]\n1 [[:r 1 [2 1]]]"
#define WRITES_SWAPPED "0 [[:append 1 1]]\n1 [[:append 1 2]]\n2 [[:r 1 [2 1]]]"
#define READ_BEFORE_OWN_WRITE "0 [[:r 1 [1]]]\n0 [[:append 1 1]]"
#define READ_BEFORE_WRITE "0 [[:r 1 [1]]]\n1 [[:append 1 1]]"
/* Adya: G2, by predicate: each reads all there is, and inserts what the other does not see. */
#define PHANTOM                                                                                    \
    "init {1 0}\n0 invoke [[:rp :true nil] [:insert 2 0]]\n1 invoke [[:rp :true nil] [:insert 3 "  \
    "0]]\n0 ok [[:rp :true {1 0}] [:insert 2 0]]\n1 ok [[:rp :true {1 0}] [:insert 3 0]]"
/* Biswas and Enea (2019), figure 2: the second overwrites what the first wrote, and the third
 * observes the second and then the first; the first and then the second; or only one who
 * observed the second, and then the first. */
#define REGISTERS "0 [[:w 1 1]]\n1 [[:r 1 1] [:w 1 2] [:w 2 2]]\n"
#define BACK_TO_OVERWRITTEN REGISTERS "2 [[:r 2 2] [:r 1 1]]"
#define FRACTURED REGISTERS "2 [[:r 1 1] [:r 2 2]]"
#define NOT_CAUSAL REGISTERS "2 [[:r 2 2] [:w 3 3]]\n3 [[:r 3 3] [:r 1 1]]"

static const struct {
    const char *level, *below, *history, *anomaly;
} edges[] = {
    {"read-uncommitted", NULL, DIRTY_WRITES, "G0"},
    {"strong-session-read-uncommitted", "read-uncommitted", OWN_WRITES_SWAPPED, "G0-process"},
    {"strong-read-uncommitted", "strong-session-read-uncommitted", WRITES_SWAPPED, "G0-realtime"},
    {"read-committed", "read-uncommitted", ABORTED_READ, "G1a"},
    {"strong-session-read-committed", "read-committed", READ_BEFORE_OWN_WRITE, "G1c-process"},
    {"strong-session-read-committed", "strong-session-read-uncommitted", ABORTED_READ, "G1a"},
    {"strong-read-committed", "strong-session-read-committed", READ_BEFORE_WRITE, "G1c-realtime"},
    {"strong-read-committed", "strong-read-uncommitted", ABORTED_READ, "G1a"},
    {"cursor-stability", "read-committed", LOST_UPDATE, "lost-update"},
    {"read-atomic", "monotonic-atomic-view", OWN_READS_DISAGREE, "internal"},
    {"update-atomic", "read-atomic", LOST_UPDATE, "lost-update"},
    {"parallel-snapshot-isolation", "causal-cerone", LOST_UPDATE, "lost-update"},
    {"consistent-view", "cursor-stability", READ_SKEW, "G-single-item"},
    {"consistent-view", "monotonic-view", READ_SKEW, "G-single-item"},
    {"repeatable-read", "cursor-stability", WRITE_SKEW, "G2-item"},
    {"repeatable-read", "monotonic-atomic-view", WRITE_SKEW, "G2-item"},
    {"snapshot-isolation", "parallel-snapshot-isolation", LONG_FORK, "G-nonadjacent-item"},
    {"snapshot-isolation", "forward-consistent-view", LONG_FORK, "G-nonadjacent-item"},
    {"snapshot-isolation", "monotonic-snapshot-read", READ_SKEW, "G-single-item"},
    {"strong-session-snapshot-isolation", "snapshot-isolation", OWN_WRITE_MISSING,
     "G-single-item-process"},
    {"strong-snapshot-isolation", "strong-session-snapshot-isolation", WRITE_MISSING,
     "G-single-item-realtime"},
    {"serializable", "snapshot-isolation", WRITE_SKEW, "G2-item"},
    {"serializable", "repeatable-read", PHANTOM, "G2"},
    {"serializable", "update-serializable", WRITE_SKEW, "G2-item"},
    {"strong-session-serializable", "serializable", OWN_WRITE_MISSING, "G-single-item-process"},
    {"strong-session-serializable", "strong-session-snapshot-isolation", WRITE_SKEW, "G2-item"},
    {"strict-serializable", "strong-session-serializable", WRITE_MISSING, "G-single-item-realtime"},
    {"strict-serializable", "strong-snapshot-isolation", WRITE_SKEW, "G2-item"},
    {"session-read-committed", "read-committed", BACK_TO_OVERWRITTEN, "read-committed-cycle"},
    {"session-read-atomic", "session-read-committed", FRACTURED, "fractured-read"},
    {"causal", "session-read-atomic", NOT_CAUSAL, "causality-cycle"},
    {"strong-session-snapshot-isolation", "snapshot-isolation",
     "0 [[:w 1 1]]\n0 [[:r 1 nil]]\n1 [[:r 1 1]]", "causality-cycle"},
};

/* Their definitions say more than those of what they include, but nothing that reads of lists and
 * registers alone would show (docs/transactions.md). */
static const char *const no_more[] = {
    "view-serializable",
    "linearizable",
    "prefix",
    "causal-cerone",
    "monotonic-atomic-view",
    "monotonic-snapshot-read",
    "monotonic-view",
    "forward-consistent-view",
    "update-serializable",
};

static bool has_type(const char *types, const char *anomaly)
{
    const char *at = strstr(types, anomaly);
    size_t length = strlen(anomaly);
    while (at != NULL && ((at > types && at[-1] != ' ') || (at[length] != ' ' && at[length] != 0)))
        at = strstr(at + 1, anomaly);
    return at != NULL;
}

static struct txn_verdict check_at(const char *level, const char *history)
{
    char set[96];
    snprintf(set, sizeof set, "level=%s", level);
    return txn_check(history, set);
}

static void each_level_rules_out_what_the_next_weaker_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        struct txn_verdict at = check_at(edges[i].level, edges[i].history);
        if (at.verdict != VERDICT_INVALID || !has_type(at.types, edges[i].anomaly))
            fail_msg("%s: %s with '%s', not invalid with %s: %s", edges[i].level,
                     verdict_name(at.verdict), at.types, edges[i].anomaly, at.reason);
        txn_verdict_free(&at);
        if (edges[i].below == NULL)
            continue;
        struct txn_verdict below = check_at(edges[i].below, edges[i].history);
        if (below.verdict != VERDICT_VALID)
            fail_msg("%s should allow what %s rules out (%s), but says %s with '%s': %s",
                     edges[i].below, edges[i].level, edges[i].anomaly, verdict_name(below.verdict),
                     below.types, below.reason);
        txn_verdict_free(&below);
    }
}

static bool is_listed(int level)
{
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        if (level_find(edges[i].level) == level)
            return true;
    for (size_t i = 0; i < sizeof no_more / sizeof no_more[0]; i++)
        if (level_find(no_more[i]) == level)
            return true;
    return false;
}

static void no_level_is_forgotten(void **state)
{
    (void)state;
    for (int level = 0; level < level_count(); level++)
        if (!is_listed(level))
            fail_msg("%s: no history shows what it rules out", level_name(level));
}

/* A weaker level never rules out what a stronger one allows. */
static void levels_below_prohibit_no_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        if (edges[i].below == NULL)
            continue;
        anomaly_set above = levels_prohibit(UINT64_C(1) << level_find(edges[i].level));
        anomaly_set below = levels_prohibit(UINT64_C(1) << level_find(edges[i].below));
        if ((below & ~above) != 0 || below == above)
            fail_msg("%s is not weaker than %s", edges[i].below, edges[i].level);
    }
}

/* Cycles of weak levels tell who read what, and how it knew better. */
static const struct {
    const char *level, *history, *words;
} told[] = {
    {"session-read-committed", BACK_TO_OVERWRITTEN,
     "T2 < T1, because T3 read 1 of key 1, though it knew of T2 (T3 read T2's write of 2 to key "
     "2), which wrote that key, too: so T2's write came before T1's: a contradiction!"},
    {"session-read-atomic", FRACTURED, "T3 read 1 of key 1, though it knew of T2 (T3 read T2's"},
    {"session-read-atomic", "0 [[:w 1 1]]\n1 [[:r 1 1] [:w 1 2]]\n1 [[:r 1 1]]",
     "T3 read 1 of key 1, though it knew of T2 (process 1 did T2 before T3), which"},
    {"causal", NOT_CAUSAL,
     "T4 read 1 of key 1, though it knew of T2 (T3 read T2's write of 2 to key 2, T4 read T3's "
     "write of 3 to key 3), which"},
    {"causal", "0 [[:w 1 1] [:w 2 1]]\n1 [[:r 2 1] [:w 3 1]]\n2 [[:r 3 1] [:r 1 nil]]",
     "T1 read nil of key 1, though it knew of T2 (T3 read T2's write of 1 to key 2, T1 read T3's "
     "write of 1 to key 3), which wrote that key, too"},
};

static void weak_cycles_come_with_their_evidence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        struct txn_verdict verdict = check_at(told[i].level, told[i].history);
        if (verdict.verdict != VERDICT_INVALID || strstr(verdict.reason, told[i].words) == NULL)
            fail_msg("%s: not said: %s\nbut: %s", told[i].level, told[i].words, verdict.reason);
        txn_verdict_free(&verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_rules_out_what_the_next_weaker_allows),
        cmocka_unit_test(no_level_is_forgotten),
        cmocka_unit_test(levels_below_prohibit_no_more),
        cmocka_unit_test(weak_cycles_come_with_their_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
