/* Jepsen's two checkers for queues, reproduced; and next to their blind spots what `delivery` says
 * of the same history (those that are defects: jepsen_defects_test.c). */
#include <string.h>

#include "checkers/checkers.h"
#include "harness/histories/history_edn.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static void read_edn(struct history *history, const char *text)
{
    struct source source;
    struct history_notes notes = {.format = "edn"};
    struct err err = ERR_INIT;
    history_init(history);
    source_open_text(&source, "test", text, strlen(text));
    assert_ok(history_edn_read(&source, history, &notes, &err));
}

static struct made_result run(const struct checker *checker, const char *text, const char *set)
{
    struct history history;
    read_edn(&history, text);
    struct made_result result = made_check(checker, &history, NULL, set);
    history_free(&history);
    return result;
}

static int64_t count(const struct made_result *result, const char *name)
{
    return json_as_int(json_get(result->details, name), -1);
}

#define OP(process, type, f, value)                                                                \
    "{:process " #process ", :type :" #type ", :f :" #f ", :value " #value "}\n"
#define ENQUEUE(process, value, outcome)                                                           \
    OP(process, invoke, enqueue, value) OP(process, outcome, enqueue, value)
#define DEQUEUE(process, value) OP(process, invoke, dequeue, nil) OP(process, ok, dequeue, value)

static void bags_are_compared_as_in_jepsen(void **state)
{
    (void)state;
    struct made_result result =
        run(&checker_total_queue,
            ENQUEUE(0, 1, ok) ENQUEUE(0, 2, ok) ENQUEUE(0, 3, info) ENQUEUE(1, 4, info)
                ENQUEUE(2, 5, ok) DEQUEUE(2, 1) DEQUEUE(2, 1) DEQUEUE(2, 3) DEQUEUE(2, 9)
                    OP(2, invoke, drain, nil) OP(2, ok, drain, [5 5]),
            NULL);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_string_equal(result.reason, "1 lost: 1 element: 2; 1 unexpected: 1 element: 9");
    assert_int_equal(count(&result, "attempt-count"), 5);
    assert_int_equal(count(&result, "acknowledged-count"), 3);
    assert_int_equal(count(&result, "ok-count"), 3);
    assert_int_equal(count(&result, "lost-count"), 1);
    assert_int_equal(count(&result, "unexpected-count"), 1);
    assert_int_equal(count(&result, "duplicated-count"), 2);
    assert_int_equal(count(&result, "recovered-count"), 1);
    made_result_free(&result);
}

static void its_blind_spots_are_told_and_delivery_has_none(void **state)
{
    (void)state;
    static const struct {
        const char *history;
        enum verdict total, delivery;
        const char *promise, *told;
    } cases[] = {
        /* what came out before it went in is valid there */
        {DEQUEUE(1, 1) ENQUEUE(0, 1, ok), VERDICT_VALID, VERDICT_INVALID,
         "delivery.promise=no-phantom", NULL},
        /* what a crashed dequeue may have taken is lost there */
        {ENQUEUE(0, 1, ok) OP(1, invoke, dequeue, nil) OP(1, info, dequeue, nil)
             OP(2, invoke, drain, nil) OP(2, ok, drain, []),
         VERDICT_INVALID, VERDICT_UNKNOWN, "delivery.promise=no-loss", "may have taken"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct made_result total = run(&checker_total_queue, cases[i].history, NULL);
        struct made_result ours = run(&checker_delivery, cases[i].history, cases[i].promise);
        assert_int_equal(total.verdict, cases[i].total);
        if (ours.verdict != cases[i].delivery)
            fail_msg("case %zu: %s", i, ours.reason);
        const char *told = json_as_text(json_at(json_get(total.details, "not-looked-at"), 0), NULL);
        if (cases[i].told == NULL)
            assert_null(told);
        else
            assert_contains(told, cases[i].told);
        made_result_free(&total);
        made_result_free(&ours);
    }
}

static void queue_takes_what_was_put_in(void **state)
{
    (void)state;
    struct made_result result =
        run(&checker_queue,
            OP(2, invoke, dequeue, nil) OP(1, invoke, enqueue, 1) OP(2, ok, dequeue, 1), NULL);
    assert_int_equal(result.verdict, VERDICT_VALID);
    assert_int_equal(count(&result, "final-queue-count"), 0);
    made_result_free(&result);
    result =
        run(&checker_queue, ENQUEUE(0, 1, ok) ENQUEUE(0, 3, ok) DEQUEUE(1, 1) DEQUEUE(1, 2), NULL);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_string_equal(json_as_text(json_get(result.details, "error"), ""), "can't dequeue 2");
    made_result_free(&result);
    result = run(&checker_queue, ENQUEUE(0, 1, ok) DEQUEUE(1, 1) DEQUEUE(1, 1), NULL);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    made_result_free(&result);
}

static void nothing_tested_is_unknown(void **state)
{
    (void)state;
    const struct checker *both[] = {&checker_queue, &checker_total_queue};
    for (size_t i = 0; i < 2; i++) {
        struct made_result result = run(both[i], OP(0, invoke, read, nil), NULL);
        assert_int_equal(result.verdict, VERDICT_UNKNOWN);
        assert_contains(result.reason, "nothing was tested");
        made_result_free(&result);
    }
}

/* NATS: messages are [process counter], a fetch brings several. */
static void vectors_are_messages(void **state)
{
    (void)state;
    static const char text[] = OP(0, invoke, publish, [0 1]) OP(0, ok, publish, [0 1])
        OP(0, invoke, publish, [0 2]) OP(0, ok, publish, [0 2]) OP(1, invoke, fetch, nil)
            OP(1, ok, fetch, [[0 1][0 2]]) OP(1, invoke, fetch, nil) OP(1, ok, fetch, [[0 9]]);
    struct history history;
    read_edn(&history, text);
    assert_true(history_rename_f(&history, "publish", "enqueue"));
    assert_true(history_rename_f(&history, "fetch", "dequeue"));
    struct made_result result = made_check(&checker_delivery, &history, NULL, NULL);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_contains(result.reason, "no-phantom: broken once: Message [0 9] was delivered");
    assert_int_equal(count(&result, "message-count"), 3);
    made_result_free(&result);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bags_are_compared_as_in_jepsen),
        cmocka_unit_test(its_blind_spots_are_told_and_delivery_has_none),
        cmocka_unit_test(queue_takes_what_was_put_in),
        cmocka_unit_test(nothing_tested_is_unknown),
        cmocka_unit_test(vectors_are_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
