/* The lattice of levels against the literature: of each level, by hand, the phenomena that its
 * definition proscribes and the levels that hold where it does, by a theorem or by definition; of
 * each anomaly what else is there where it is. What follows from these, closed over by code of its
 * own, must be what the product says, both ways, for every pair of a level and an anomaly. It was
 * written by somebody who had read Elle's table and ours: a slip of ours is seen here, a misreading
 * that all share is not.
 *
 * Sources, by the letter that stands with each line: A Adya (1999), chapters 3 and 4, and Adya,
 * Liskov, O'Neil (2000); B Bailis et al. (2013), figure 2; C Cerone, Bernardi, Gotsman (2015); G
 * Cerone, Gotsman (2016), theorem 10: snapshot isolation is that no cycle has its anti-dependencies
 * apart from each other; D Daudjee, Salem (2004, 2006), the same with the order of sessions, or of
 * real time; R Liu et al. (2018); E what Elle adds where the literature says nothing, by its
 * consistency_model.clj; W Biswas, Enea (2019), with sessions; O ours: by what an anomaly is. */
#include <stdio.h>
#include <string.h>

#include "checkers/transactions/levels.h"
#include "harness/base/text.h"
#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

/* A level, and by its definition: what it proscribes, and the levels that hold where it does. */
static const struct {
    const char *level, *proscribes, *weaker;
} definitions[] = {
    /* A: PL-1 is no G0; E: versions are written once, and in one order */
    {"read-uncommitted", "G0 duplicate-elements cyclic-versions", ""},
    /* A: PL-2 is no G1; the others are between it and PL-3 by figure 4-1 of the thesis */
    {"read-committed", "G1", "read-uncommitted"},
    {"cursor-stability", "G1 lost-update", "read-committed"}, /* A, B */
    {"monotonic-view", "G1", "read-committed"},               /* A: PL-2L */
    {"monotonic-snapshot-read", "G1", "read-committed"},      /* A: PL-MSR */
    {"consistent-view", "G1 G-single", "cursor-stability monotonic-view"},
    {"forward-consistent-view", "G1 GSIb", "consistent-view"},
    {"update-serializable", "G1", "forward-consistent-view"},
    {"repeatable-read", "G1 G2-item lost-update",
     "cursor-stability monotonic-atomic-view"}, /* +B */
    {"serializable", "G1 G2 internal predicate-read-miss no-serial-order",
     "repeatable-read update-serializable snapshot-isolation view-serializable"},
    {"strict-serializable", "G1 G1c-realtime G2-realtime no-serial-order-realtime",
     "serializable linearizable strong-session-serializable strong-snapshot-isolation "
     "strong-read-committed"},
    {"view-serializable", "", ""},
    {"linearizable", "", ""},
    /* B, C, R: atomic visibility and what is stronger; INT is the axiom that internal breaks */
    {"monotonic-atomic-view", "", "read-committed"},
    {"read-atomic", "internal G1a future-read", "monotonic-atomic-view"},
    {"update-atomic", "lost-update", "read-atomic"},
    {"causal-cerone", "internal G1a", "read-atomic"},
    {"prefix", "internal G1a", "causal-cerone"},
    {"parallel-snapshot-isolation", "internal G1a", "causal-cerone update-atomic"},
    /* A: PL-SI is no G1, no G-SI; G */
    {"snapshot-isolation", "G1 GSI G-nonadjacent internal no-snapshot-order",
     "forward-consistent-view monotonic-snapshot-read monotonic-atomic-view "
     "parallel-snapshot-isolation prefix"},
    /* D, E: the order of a session, or of real time, counts as a dependency */
    {"strong-session-read-uncommitted", "G0-process", "read-uncommitted"},
    {"strong-read-uncommitted", "G0-realtime", "strong-session-read-uncommitted"},
    {"strong-session-read-committed", "G1c-process",
     "read-committed strong-session-read-uncommitted"},
    {"strong-read-committed", "G1c-realtime",
     "strong-session-read-committed strong-read-uncommitted"},
    {"strong-session-snapshot-isolation",
     "internal G1-process G-nonadjacent-process no-snapshot-order-process",
     "snapshot-isolation strong-session-read-committed causal"},
    {"strong-snapshot-isolation",
     "internal G1-realtime G-nonadjacent-realtime no-snapshot-order-realtime",
     "strong-session-snapshot-isolation strong-read-committed"},
    {"strong-session-serializable", "G1-process G2-process no-serial-order-process",
     "serializable strong-session-snapshot-isolation"},
    /* W: each axiom has fewer ways to be broken than the next */
    {"session-read-committed", "read-committed-cycle future-read", "read-committed"},
    {"session-read-atomic", "fractured-read", "session-read-committed read-atomic"},
    {"causal", "causality-cycle", "session-read-atomic causal-cerone"},
};
enum { DEFINITIONS = sizeof definitions / sizeof definitions[0] };

/* What is there, too, where an anomaly is. That a cycle of data is one with sessions, and that one
 * of real time (processes do one thing at a time), is not listed but made: see add_forms. */
static const struct {
    const char *anomaly, *also;
} consequences[] = {
    {"G0", "G1c"}, /* A: a cycle of overwrites is one of dependencies */
    {"G1a", "G1"}, /* A */
    {"G1b", "G1"}, /* A */
    {"G1c", "G1"}, /* A */
    {"G-single-item", "G-single G-nonadjacent-item"}, /* one is not next to another */
    {"G-single", "G-nonadjacent"},
    {"G-nonadjacent-item", "G-nonadjacent G2-item"},
    {"G-nonadjacent", "G2"}, /* A: G2 has one at least */
    {"G2-item", "G2"},       /* A: items, or predicates too */
    {"GSIa", "GSI"},         /* A: G-SI is either */
    {"GSIb", "GSI"},
    {"G-single", "GSIb"},                  /* A: a cycle of the DSG with one is in the SSG, too */
    {"incompatible-order", "G1a"},         /* E: one of the two was undone */
    {"dirty-update", "G1a"},               /* E */
    {"garbage-read", "G1a"},               /* O: nobody who committed wrote it */
    {"future-read", "G1c internal"},       /* E: a cycle of one; O: and not what it wrote before */
    {"lost-update", "write-skew G2-item"}, /* B */
    {"write-skew", "G2"},                  /* B */
    {"no-snapshot-order", "no-serial-order"}, /* O: a serial order has snapshots */
};

/* Kinds that have forms with processes and with real time. */
static const char *const with_forms[] = {
    "G0",
    "G1",
    "G1c",
    "G-single-item",
    "G-single",
    "G-nonadjacent-item",
    "G-nonadjacent",
    "G2-item",
    "G2",
    "no-serial-order",
    "no-snapshot-order",
};

enum { MOST = 64 };
static bool has_also[MOST][MOST];  /* [anomaly][what else is there] */
static bool holds_too[MOST][MOST]; /* [level][what holds where it does] */

static int anomaly_of(const char *name)
{
    int anomaly = anomaly_find(name);
    if (anomaly < 0)
        fail_msg("there is no anomaly '%s'", name);
    return anomaly;
}

static int level_of(const char *name)
{
    int level = level_find(name);
    if (level < 0)
        fail_msg("there is no level '%s'", name);
    return level;
}

static bool names_it(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static int anomaly_form(const char *name, const char *form)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", name, form);
    return anomaly_of(whole);
}

static bool is_with_forms(const char *name)
{
    for (size_t i = 0; i < sizeof with_forms / sizeof with_forms[0]; i++)
        if (strcmp(with_forms[i], name) == 0)
            return true;
    return false;
}

/* Data implies processes implies real time; and what one kind implies, its forms do. */
static void add_forms(void)
{
    static const char *const forms[] = {"", "-process", "-realtime"};
    for (size_t i = 0; i < sizeof with_forms / sizeof with_forms[0]; i++)
        for (int form = 0; form < 2; form++)
            has_also[anomaly_form(with_forms[i], forms[form])]
                    [anomaly_form(with_forms[i], forms[form + 1])] = true;
    for (size_t i = 0; i < sizeof consequences / sizeof consequences[0]; i++)
        for (size_t k = 0; k < sizeof with_forms / sizeof with_forms[0]; k++)
            if (is_with_forms(consequences[i].anomaly) &&
                names_it(consequences[i].also, with_forms[k]))
                for (int form = 1; form < 3; form++)
                    has_also[anomaly_form(consequences[i].anomaly, forms[form])]
                            [anomaly_form(with_forms[k], forms[form])] = true;
}

/* Reflexive and transitive. */
static void close_over(bool relation[MOST][MOST])
{
    for (int i = 0; i < MOST; i++)
        relation[i][i] = true;
    for (int k = 0; k < MOST; k++)
        for (int i = 0; i < MOST; i++)
            for (int j = 0; j < MOST; j++)
                relation[i][j] |= relation[i][k] && relation[k][j];
}

static void derive(void)
{
    memset(has_also, 0, sizeof has_also);
    memset(holds_too, 0, sizeof holds_too);
    for (size_t i = 0; i < sizeof consequences / sizeof consequences[0]; i++)
        for (int other = 0; other < ANOMALY_COUNT; other++)
            if (names_it(consequences[i].also, anomaly_name((enum anomaly)other)))
                has_also[anomaly_of(consequences[i].anomaly)][other] = true;
    add_forms();
    for (size_t i = 0; i < DEFINITIONS; i++)
        for (int other = 0; other < level_count(); other++)
            if (names_it(definitions[i].weaker, level_name(other)))
                holds_too[level_of(definitions[i].level)][other] = true;
    close_over(has_also);
    close_over(holds_too);
}

/* By the definitions: some level that holds where this one does proscribes what is there, too. */
static bool is_ruled_out(int level, int anomaly)
{
    for (size_t i = 0; i < DEFINITIONS; i++)
        for (int other = 0;
             holds_too[level][level_of(definitions[i].level)] && other < ANOMALY_COUNT; other++)
            if (has_also[anomaly][other] &&
                names_it(definitions[i].proscribes, anomaly_name((enum anomaly)other)))
                return true;
    return false;
}

static void compare(const char *anomaly, const char *what, level_set is, level_set should)
{
    for (int level = 0; level < level_count(); level++)
        if ((is ^ should) >> level & 1)
            fail_msg("%s: %s %s %s", anomaly, what, is >> level & 1 ? "should not have" : "lacks",
                     level_name(level));
}

/* Both ways: what an anomaly rules out, and what a level finds wrong. */
static void test_anomaly(int anomaly)
{
    const char *name = anomaly_name((enum anomaly)anomaly);
    anomaly_set set = UINT64_C(1) << anomaly;
    level_set ruled_out = 0, weakest = 0;
    for (int level = 0; level < level_count(); level++)
        if (is_ruled_out(level, anomaly))
            ruled_out |= UINT64_C(1) << level;
    for (int level = 0; level < level_count(); level++) {
        bool has_weaker = false;
        for (int other = 0; other < level_count(); other++)
            has_weaker |= other != level && holds_too[level][other] && (ruled_out >> other & 1);
        if ((ruled_out >> level & 1) && !has_weaker)
            weakest |= UINT64_C(1) << level;
    }
    if (ruled_out == 0)
        fail_msg("%s rules out nothing", name);
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
    derive();
    for (int anomaly = 0; anomaly < ANOMALY_COUNT; anomaly++)
        test_anomaly(anomaly);
}

static void every_anomaly_entails_what_its_sources_say(void **state)
{
    (void)state;
    derive();
    for (int anomaly = 0; anomaly < ANOMALY_COUNT; anomaly++)
        for (int other = 0; other < ANOMALY_COUNT; other++) {
            bool implied = anomaly_implied(UINT64_C(1) << anomaly) >> other & 1;
            bool implying = anomaly_implying(UINT64_C(1) << other) >> anomaly & 1;
            if (implied != has_also[anomaly][other] || implying != implied)
                fail_msg("%s %s %s", anomaly_name((enum anomaly)anomaly),
                         implied ? "entails" : "does not entail",
                         anomaly_name((enum anomaly)other));
        }
}

/* Of two levels the weaker is left, of two that have nothing to do with each other both. */
static void every_level_includes_what_its_sources_say(void **state)
{
    (void)state;
    derive();
    for (int level = 0; level < level_count(); level++)
        for (int other = 0; other < level_count(); other++) {
            level_set both = UINT64_C(1) << level | UINT64_C(1) << other;
            bool includes = (levels_weakest(both) >> level & 1) == 0;
            if (level != other && includes != holds_too[level][other])
                fail_msg("%s %s %s", level_name(level), includes ? "includes" : "does not include",
                         level_name(other));
        }
}

/* Each once, under the name that the product gives it, and with no word that means nothing. */
static void every_level_is_defined(void **state)
{
    (void)state;
    for (int level = 0; level < level_count(); level++) {
        int times = 0;
        for (size_t i = 0; i < DEFINITIONS; i++)
            times += strcmp(definitions[i].level, level_name(level)) == 0;
        if (times != 1)
            fail_msg("%s is defined %d times", level_name(level), times);
    }
    struct arena arena = ARENA_INIT;
    const char **names;
    for (size_t i = 0; i < DEFINITIONS; i++) {
        size_t count = text_split(&arena, definitions[i].proscribes, ' ', &names);
        for (size_t k = 0; definitions[i].proscribes[0] != '\0' && k < count; k++)
            anomaly_of(names[k]);
        count = text_split(&arena, definitions[i].weaker, ' ', &names);
        for (size_t k = 0; definitions[i].weaker[0] != '\0' && k < count; k++)
            assert_string_equal(level_name(level_of(names[k])), names[k]);
    }
    for (size_t i = 0; i < sizeof consequences / sizeof consequences[0]; i++) {
        size_t count = text_split(&arena, consequences[i].also, ' ', &names);
        for (size_t k = 0; k < count; k++)
            anomaly_of(names[k]);
    }
    arena_free(&arena);
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
        cmocka_unit_test(every_anomaly_entails_what_its_sources_say),
        cmocka_unit_test(every_level_includes_what_its_sources_say),
        cmocka_unit_test(every_level_is_defined),
        cmocka_unit_test(every_level_allows_one_after_the_other),
        cmocka_unit_test(what_is_not_decided_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
