/* List-append by hand: each anomaly by its name, what it rules out, and how it is told. */
#include <string.h>

#include "tests/lib/test.h"
#include "tests/lib/txn_text.h"

static const struct {
    const char *name, *transactions, *set, *types;
    enum verdict verdict;
} cases[] = {
    {"a serial run", "0 [[:append 1 1]]\n1 [[:r 1 [1]] [:append 1 2]]\n0 [[:r 1 [1 2]]]", NULL, "",
     VERDICT_VALID},
    {"nothing observed", "0 [[:append 1 1]]\n1 [[:append 2 1]]", NULL, "", VERDICT_UNKNOWN},
    {"nothing at all", "", NULL, "", VERDICT_UNKNOWN},
    {"an aborted read", "0 fail [[:append 1 1]]\n1 [[:r 1 [1]]]\n0 [[:append 1 2]]",
     "level=read-committed", "G1a", VERDICT_INVALID},
    {"an aborted read is none of read uncommitted's",
     "0 fail [[:append 1 1]]\n1 [[:r 1 [1]]]\n0 [[:append 1 2]]", "level=read-uncommitted", "",
     VERDICT_VALID},
    {"an intermediate read", "0 [[:append 1 1] [:append 1 2]]\n1 [[:r 1 [1]]]\n2 [[:r 1 [1 2]]]",
     "level=read-committed", "G1b", VERDICT_INVALID},
    {"one's own intermediate state", "0 [[:append 1 1] [:r 1 [1]] [:append 1 2]]\n1 [[:r 1 [1 2]]]",
     NULL, "", VERDICT_VALID},
    {"dirty writes",
     "0 invoke [[:append 1 1] [:append 2 1]]\n1 invoke [[:append 1 2] [:append 2 2]]\n"
     "0 ok [[:append 1 1] [:append 2 1]]\n1 ok [[:append 1 2] [:append 2 2]]\n"
     "2 [[:r 1 [1 2]] [:r 2 [2 1]]]",
     "level=read-uncommitted", "G0", VERDICT_INVALID},
    {"a circle of information",
     "0 invoke [[:append 1 1] [:r 2 nil]]\n1 invoke [[:append 2 1] [:r 1 nil]]\n"
     "0 ok [[:append 1 1] [:r 2 [1]]]\n1 ok [[:append 2 1] [:r 1 [1]]]",
     "level=read-committed", "G1c", VERDICT_INVALID},
    {"a skewed read",
     "0 invoke [[:r 1 nil] [:r 2 nil]]\n1 [[:append 1 1] [:append 2 1]]\n0 ok [[:r 1 [1]] [:r 2 "
     "nil]]",
     "level=consistent-view", "G-single-item", VERDICT_INVALID},
    {"a skewed read is allowed by read committed",
     "0 invoke [[:r 1 nil] [:r 2 nil]]\n1 [[:append 1 1] [:append 2 1]]\n0 ok [[:r 1 [1]] [:r 2 "
     "nil]]",
     "level=read-committed", "", VERDICT_VALID},
    {"write skew",
     "0 invoke [[:r 1 nil] [:append 2 1]]\n1 invoke [[:r 2 nil] [:append 1 1]]\n"
     "0 ok [[:r 1 nil] [:append 2 1]]\n1 ok [[:r 2 nil] [:append 1 1]]\n2 [[:r 1 [1]] [:r 2 [1]]]",
     "level=serializable", "G2-item", VERDICT_INVALID},
    {"write skew is allowed by snapshot isolation",
     "0 invoke [[:r 1 nil] [:append 2 1]]\n1 invoke [[:r 2 nil] [:append 1 1]]\n"
     "0 ok [[:r 1 nil] [:append 2 1]]\n1 ok [[:r 2 nil] [:append 1 1]]\n2 [[:r 1 [1]] [:r 2 [1]]]",
     "level=snapshot-isolation", "", VERDICT_VALID},
    {"a long fork",
     "0 invoke [[:append 1 1]]\n1 invoke [[:append 2 1]]\n2 invoke [[:r 1 nil] [:r 2 nil]]\n"
     "3 invoke [[:r 1 nil] [:r 2 nil]]\n0 ok [[:append 1 1]]\n1 ok [[:append 2 1]]\n"
     "2 ok [[:r 1 [1]] [:r 2 nil]]\n3 ok [[:r 1 nil] [:r 2 [1]]]",
     "level=snapshot-isolation", "G-nonadjacent-item", VERDICT_INVALID},
    {"a long fork is allowed by parallel snapshot isolation",
     "0 invoke [[:append 1 1]]\n1 invoke [[:append 2 1]]\n2 invoke [[:r 1 nil] [:r 2 nil]]\n"
     "3 invoke [[:r 1 nil] [:r 2 nil]]\n0 ok [[:append 1 1]]\n1 ok [[:append 2 1]]\n"
     "2 ok [[:r 1 [1]] [:r 2 nil]]\n3 ok [[:r 1 nil] [:r 2 [1]]]",
     "level=parallel-snapshot-isolation", "", VERDICT_VALID},
    {"a lost update",
     "0 invoke [[:r 1 nil] [:append 1 1]]\n1 invoke [[:r 1 nil] [:append 1 2]]\n"
     "0 ok [[:r 1 nil] [:append 1 1]]\n1 ok [[:r 1 nil] [:append 1 2]]",
     "level=cursor-stability", "lost-update", VERDICT_INVALID},
    {"a stale read in real time", "0 [[:append 1 1]]\n1 [[:r 1 nil]]", NULL,
     "G-single-item-realtime", VERDICT_INVALID},
    {"a stale read is serializable", "0 [[:append 1 1]]\n1 [[:r 1 nil]]\n2 [[:r 1 [1]]]",
     "level=strong-session-serializable", "", VERDICT_VALID},
    {"not even one's own write", "0 [[:append 1 1]]\n0 [[:r 1 nil]]\n2 [[:r 1 [1]]]",
     "level=strong-session-serializable", "G-single-item-process", VERDICT_INVALID},
    {"own reads disagree", "0 [[:r 1 [1]] [:r 1 [1 2]]]\n1 [[:append 1 1]]\n2 [[:append 1 2]]",
     "level=none anomalies=internal", "internal", VERDICT_INVALID},
    {"own append is missing", "1 [[:append 1 1]]\n0 [[:append 1 2] [:r 1 [1]]]",
     "level=none anomalies=internal", "internal", VERDICT_INVALID},
    {"a future read", "0 [[:r 1 [1]] [:append 1 1]]", "level=read-committed", "future-read",
     VERDICT_INVALID},
    {"orders that contradict",
     "0 [[:append 1 1]]\n1 [[:append 1 2]]\n2 [[:r 1 [1 2]]]\n3 [[:r 1 [2 1 3]]]\n4 [[:append 1 "
     "3]]",
     "level=read-committed", "incompatible-order", VERDICT_INVALID},
    {"own appends in another order", "0 [[:append 1 1] [:append 1 2]]\n1 [[:r 1 [2 1]]]",
     "level=read-committed", "G1b incompatible-order", VERDICT_INVALID},
    {"an element twice", "0 [[:append 1 1]]\n1 [[:r 1 [1 1]]]", "level=read-uncommitted",
     "duplicate-elements", VERDICT_INVALID},
    {"an element of nobody", "0 [[:append 1 1]]\n1 [[:r 1 [7]]]\n2 [[:r 1 [7 1]]]",
     "level=read-committed", "garbage-read", VERDICT_INVALID},
    {"a dirty update", "0 fail [[:append 1 1]]\n1 [[:append 1 2]]\n2 [[:r 1 [1 2]]]",
     "level=none anomalies=dirty-update", "dirty-update", VERDICT_INVALID},
    {"an unknown one that was seen has happened",
     "0 info [[:append 1 1] [:append 2 1]]\n1 [[:r 1 [1]]]\n2 [[:r 2 nil] [:r 1 [1]]]",
     "level=serializable", "G-single-item", VERDICT_INVALID},
    {"an unknown one that was not seen says nothing",
     "0 info [[:append 1 1] [:append 2 1]]\n1 [[:r 2 nil]]\n2 [[:append 1 2]]\n3 [[:r 1 [2]]]",
     NULL, "", VERDICT_VALID},
    {"an unknown one may take effect late",
     "0 info [[:append 1 1]]\n1 [[:r 1 nil]]\n2 [[:r 1 [1]]]", NULL, "", VERDICT_VALID},
    {"appends that nobody read come last",
     "0 invoke [[:r 1 [1]] [:append 2 1]]\n1 invoke [[:append 1 2] [:r 2 nil]]\n2 [[:append 1 1]]\n"
     "0 ok [[:r 1 [1]] [:append 2 1]]\n1 ok [[:append 1 2] [:r 2 nil]]",
     "level=serializable", "G2-item", VERDICT_INVALID},
    {"the same element appended twice", "0 [[:append 1 1]]\n1 [[:append 1 1]]\n2 [[:r 1 [1]]]",
     NULL, "", VERDICT_UNKNOWN},
    {"no transactions", "0 [[:frob 1 1]]", NULL, "", VERDICT_UNKNOWN},
    {"no such level", "0 [[:append 1 1]]\n1 [[:r 1 [1]]]", "level=serialisable", "",
     VERDICT_UNKNOWN},
    {"nothing promised", "0 [[:append 1 1]]\n1 [[:r 1 [1]]]", "level=none", "", VERDICT_UNKNOWN},
    {"keys and elements may be anything",
     "0 [[:append :x \"a\"] [:append nil 1/3]]\n1 [[:r :x [\"a\"]] [:r nil [1/3]]]", NULL, "",
     VERDICT_VALID},
    {"two words for one value are two", "0 [[:append 1 :a]]\n1 [[:r 1 [\"a\"]]]\n2 [[:r 1 [:a]]]",
     "level=read-committed", "incompatible-order garbage-read", VERDICT_INVALID},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct txn_verdict verdict = txn_check(cases[i].transactions, cases[i].set);
        if (verdict.verdict != cases[i].verdict || strcmp(verdict.types, cases[i].types) != 0)
            fail_msg("%s: %s with '%s', not %s with '%s': %s", cases[i].name,
                     verdict_name(verdict.verdict), verdict.types, verdict_name(cases[i].verdict),
                     cases[i].types, verdict.reason);
        txn_verdict_free(&verdict);
    }
}

static void test_words(void **state)
{
    (void)state;
    struct txn_verdict verdict = txn_check("2 [[:append 1 1] [:append 2 1]]\n"
                                           "0 invoke [[:r 1 nil] [:append 2 2]]\n"
                                           "1 invoke [[:r 2 nil] [:append 1 2]]\n"
                                           "0 ok [[:r 1 [1]] [:append 2 2]]\n"
                                           "1 ok [[:r 2 [1]] [:append 1 2]]\n"
                                           "2 [[:r 1 [1 2]] [:r 2 [1 2]]]",
                                           "dot=true");
    assert_int_equal(verdict.verdict, VERDICT_INVALID);
    assert_contains(verdict.reason, "not strict-serializable: G2-item (1)");
    const struct json *anomaly = json_at(verdict.anomalies, 0);
    assert_string_equal(json_as_text(json_get(anomaly, "kind"), ""), "G2-item");
    assert_contains(json_as_text(json_get(anomaly, "title"), ""), "write skew");
    const char *text = json_as_text(json_get(anomaly, "text"), "");
    assert_contains(text, "did not observe T2's append of 2 to key");
    assert_contains(text, "However, T2 < T1, because T2 did not observe T1's append of 2");
    assert_contains(text, "a contradiction!");
    const struct json *steps = json_get(anomaly, "steps");
    assert_int_equal(json_count(steps), 2);
    assert_string_equal(json_as_text(json_get(json_at(steps, 0), "type"), ""), "rw");
    assert_string_equal(json_as_text(json_get(json_at(steps, 0), "read"), ""), "[1]");
    assert_int_equal(json_count(json_get(anomaly, "transactions")), 2);
    assert_int_equal(json_count(json_get(anomaly, "events")), 4);
    assert_contains(json_as_text(json_get(anomaly, "dot"), ""),
                    "T1 -> T2 [label=\"rw\\lT1 did not");
    txn_verdict_free(&verdict);
}

static void test_lattice(void **state)
{
    (void)state;
    struct txn_verdict verdict =
        txn_check("0 [[:append 1 1]]\n0 [[:r 1 nil]]\n2 [[:r 1 [1]]]", NULL);
    const struct json *not = json_get(verdict.details, "not");
    assert_int_equal(json_count(not ), 1);
    assert_string_equal(json_as_text(json_at(not, 0), ""), "strong-session-snapshot-isolation");
    assert_int_equal(json_count(json_get(verdict.details, "also-not")), 3);
    txn_verdict_free(&verdict);
}

/* Many who did not see many appends that nobody read: auxiliary nodes stand for the edges. */
static void test_many_unseen(void **state)
{
    (void)state;
    struct buf text = BUF_INIT;
    enum { N = 40 };
    for (int i = 0; i < N; i++)
        buf_printf(&text, "%d invoke [[:r 1 nil] [:append 1 %d]]\n", i, i);
    for (int i = 0; i < N; i++)
        buf_printf(&text, "%d ok [[:r 1 nil] [:append 1 %d]]\n", i, i);
    struct txn_verdict verdict = txn_check(buf_text(&text), "level=serializable");
    assert_int_equal(verdict.verdict, VERDICT_INVALID);
    assert_contains(verdict.types, "G2-item");
    txn_verdict_free(&verdict);
    buf_clear(&text); /* one who appends and read nothing is before nobody, least of all itself */
    for (int i = 0; i < N; i++)
        buf_printf(&text, "%d [[:append 1 %d]]\n", i, i);
    buf_add_text(&text, "0 [[:append 2 1]]\n1 [[:r 2 [1]]]");
    verdict = txn_check(buf_text(&text), NULL);
    assert_int_equal(verdict.verdict, VERDICT_VALID);
    txn_verdict_free(&verdict);
    buf_free(&text);
}

/* The order of a register's versions follows from real time only where that is promised. */
static void test_promised_keys(void **state)
{
    (void)state;
    static const struct {
        const char *set;
        enum verdict verdict;
    } promises[] = {
        {"orders=false", VERDICT_VALID}, /* nobody knows which write came first */
        {NULL, VERDICT_INVALID},         /* but neither can have */
        {"linearizable-keys=promised", VERDICT_INVALID},
        {"linearizable-keys=promised level=strong-session-serializable", VERDICT_VALID},
        {"linearizable-keys=true level=strong-session-serializable", VERDICT_INVALID},
    };
    for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++) {
        struct txn_verdict verdict =
            txn_check("0 [[:w 1 1]]\n2 [[:w 1 2]]\n1 [[:r 1 1]]", promises[i].set);
        if (verdict.verdict != promises[i].verdict)
            fail_msg("%s: %s", promises[i].set, verdict.reason);
        txn_verdict_free(&verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),         cmocka_unit_test(test_words),
        cmocka_unit_test(test_lattice),       cmocka_unit_test(test_many_unseen),
        cmocka_unit_test(test_promised_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
