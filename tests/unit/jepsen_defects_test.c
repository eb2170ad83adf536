/* Defects of Jepsen's checkers for queues and sets, found while reading them: of each the smallest
 * history that shows it, what Jepsen says of it, and what is said here. Where a checker reproduces
 * Jepsen's verdict for those who compare (total-queue, queue) it tells what it does not look at,
 * and `delivery` judges it. The line numbers are of jepsen/src/jepsen/checker.clj, 0.3.14-SNAPSHOT.
 */
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "harness/histories/edn.h"
#include "tests/lib/fold_random.h"
#include "tests/lib/made_history.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static struct history history;

static int begin(void **state)
{
    (void)state;
    history_init(&history);
    return 0;
}

static int end(void **state)
{
    (void)state;
    history_free(&history);
    return 0;
}

static struct made_result expect(const struct checker *checker, const char *set,
                                 enum verdict verdict)
{
    struct made_result result = made_check(checker, &history, NULL, set);
    if (result.verdict != verdict)
        fail_msg("%s: %s: %s", checker->name, verdict_name(result.verdict), result.reason);
    return result;
}

static void expect_said(const struct checker *checker, const char *set, enum verdict verdict,
                        const char *reason)
{
    struct made_result result = expect(checker, set, verdict);
    assert_contains(result.reason, reason);
    made_result_free(&result);
}

/* Jepsen's verdict, and what its checker does not look at. */
static void expect_total(enum verdict verdict, const char *told)
{
    struct made_result result = expect(&checker_total_queue, NULL, verdict);
    const char *first = json_as_text(json_at(json_get(result.details, "not-looked-at"), 0), NULL);
    if (told == NULL)
        assert_null(first);
    else
        assert_contains(first, told);
    made_result_free(&result);
}

static void enqueue(const char *value, enum op_type outcome)
{
    fold_op(&history, 0, "enqueue", value, outcome, value);
}

static void dequeue(const char *value)
{
    fold_op(&history, 1, "dequeue", "nil", OP_OK, value);
}

/* set-full, checker.clj:585: its test for duplicates is inverted (times < 1), so that none is ever
 * reported: an element that one read shows twice is valid. */
static void set_full_finds_duplicates(void **state)
{
    (void)state;
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_OK, "[1 1]");
    expect_said(&checker_set_full, NULL, VERDICT_INVALID, "1 element: 1 twice in one read");
}

static void and_once_is_none(void **state)
{
    (void)state;
    fold_op(&history, 0, "add", "1", OP_OK, "1");
    fold_op(&history, 0, "read", "nil", OP_OK, "[1]");
    expect_said(&checker_set_full, NULL, VERDICT_VALID, "1 of 1 elements stable");
}

/* total-queue: what comes out twice is counted as :duplicated, and valid. */
static void duplicates_of_a_queue_are_convicted(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    dequeue("1");
    dequeue("1");
    expect_total(VERDICT_VALID, "1 values came out more often than they were sent");
    expect_said(&checker_delivery, "delivery.promise=at-most-once", VERDICT_INVALID,
                "Message 1 was delivered twice");
}

/* total-queue: a value whose enqueue certainly failed is :recovered when it comes out, and valid.
 */
static void what_failed_is_not_recovered(void **state)
{
    (void)state;
    enqueue("1", OP_FAIL);
    dequeue("1");
    expect_total(VERDICT_VALID, "1 values came out though their enqueue certainly failed");
    expect_said(&checker_delivery, "delivery.promise=no-phantom", VERDICT_INVALID,
                "Message 1 was delivered though it was not in the queue: its enqueue certainly");
}

/* total-queue throws over a drain of unknown outcome, and the whole test is :unknown: also what has
 * nothing to do with that drain. Here it is unknown for a reason, and what is certain is said. */
static void a_crashed_drain_is_no_crash(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    dequeue("2");
    fold_op(&history, 2, "drain", "nil", OP_INFO, "nil");
    expect_said(&checker_total_queue, NULL, VERDICT_UNKNOWN,
                "event 5: a drain of unknown outcome may have taken anything");
    expect_said(&checker_delivery, "delivery.promise=no-loss", VERDICT_UNKNOWN,
                "message 1, never came, and no complete drain at the end tells");
    expect_said(&checker_delivery, "delivery.promise=no-loss,no-phantom", VERDICT_INVALID,
                "Message 2 was delivered though it was not in the queue: it was never sent");
}

/* It throws, too, over a drain that says :exhausted, as clients of Disque's do (jepsen#282). */
static void an_exhausted_drain_is_an_empty_one(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    dequeue("1");
    fold_op(&history, 2, "drain", "nil", OP_OK, ":exhausted");
    expect_total(VERDICT_VALID, NULL);
    expect_said(&checker_delivery, "delivery.promise=no-loss", VERDICT_VALID, "1 promises kept");
}

static void and_tells_what_is_lost(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    fold_op(&history, 2, "drain", "nil", OP_OK, ":exhausted");
    expect_total(VERDICT_INVALID, NULL);
    expect_said(&checker_delivery, "delivery.promise=no-loss", VERDICT_INVALID,
                "Message 1 was accepted and never delivered");
}

/* queue: an enqueue counts from its invocation on, also when it failed. */
static void what_failed_is_not_in_the_queue(void **state)
{
    (void)state;
    enqueue("1", OP_FAIL);
    dequeue("1");
    expect_said(&checker_queue, NULL, VERDICT_VALID, "1 dequeues took what had been put in");
    expect_said(&checker_delivery, "delivery.promise=no-phantom", VERDICT_INVALID,
                "its enqueue certainly failed");
}

/* queue: it ignores drains, so what a drain took may be taken again, */
static void what_was_drained_is_gone(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    fold_op(&history, 2, "drain", "nil", OP_OK, "[1]");
    dequeue("1");
    expect_said(&checker_queue, NULL, VERDICT_VALID, "1 dequeues took what had been put in");
    expect_said(&checker_delivery, "delivery.promise=at-most-once", VERDICT_INVALID,
                "Message 1 was delivered twice");
    expect_said(&checker_delivery, "delivery.promise=no-redelivery-after-ack", VERDICT_INVALID,
                "Message 1 was delivered after its acknowledgement");
}

/* and a drain may bring what was never there. */
static void a_drain_brings_nothing_new(void **state)
{
    (void)state;
    enqueue("1", OP_OK);
    dequeue("1");
    fold_op(&history, 2, "drain", "nil", OP_OK, "[2]");
    expect_said(&checker_queue, NULL, VERDICT_VALID, "1 dequeues took what had been put in");
    expect_said(&checker_total_queue, NULL, VERDICT_INVALID, "1 unexpected: 1 element: 2");
    expect_said(&checker_delivery, "delivery.promise=no-phantom", VERDICT_INVALID,
                "it was never sent");
}

/* The results of total-queue hold multisets, which its results.edn prints as sets with a member
 * twice: no EDN reader takes them. Here they are vectors, and read back with every member. */
static void results_with_multisets_are_edn(void **state)
{
    (void)state;
    struct arena arena = ARENA_INIT;
    struct err err = ERR_INIT;
    struct value results;
    enum verdict verdict;
    enqueue("1", OP_OK);
    enqueue("1", OP_OK);
    dequeue("2");
    dequeue("2");
    assert_ok(history_pair(&history, &err));
    struct check_input input = {.history = &history, .limits = {.threads = 1}};
    input.options.values = json_object();
    struct json *json = check_all((const char *const[]){"total-queue"}, 1, &input, &verdict);
    char *text = sample_render(&(struct run){.results = json, .history = &history}, "edn", NULL);
    assert_ok(edn_parse_all(&arena, text, strlen(text), &results, &err));
    static const struct {
        const char *key;
        int64_t value;
    } lists[] = {{"lost", 1}, {"unexpected", 2}};
    for (size_t i = 0; i < 2; i++) {
        struct value list = value_get(value_get(results, "total-queue"), lists[i].key);
        assert_int_equal(value_count(list), 2);
        assert_int_equal(value_as_int(value_at(list, 0)), lists[i].value);
        assert_int_equal(value_as_int(value_at(list, 1)), lists[i].value);
    }
    free(text);
    json_free(json);
    json_free(input.options.values);
    arena_free(&arena);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(set_full_finds_duplicates),
        TEST(and_once_is_none),
        TEST(duplicates_of_a_queue_are_convicted),
        TEST(what_failed_is_not_recovered),
        TEST(a_crashed_drain_is_no_crash),
        TEST(an_exhausted_drain_is_an_empty_one),
        TEST(and_tells_what_is_lost),
        TEST(what_failed_is_not_in_the_queue),
        TEST(what_was_drained_is_gone),
        TEST(a_drain_brings_nothing_new),
        TEST(results_with_multisets_are_edn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
