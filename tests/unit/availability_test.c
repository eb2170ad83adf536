/* What succeeded during faults, and how long recovering took. */
#include <stdlib.h>
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

/* Events that are put in order of time before they become a history. */
struct draft {
    struct entry {
        int64_t at_ms;
        int32_t process;
        enum op_type type;
        const char *f, *error;
        int place;
    } entries[20000];
    int count;
    int32_t process;
};

static void put(struct draft *draft, int64_t at_ms, int32_t process, enum op_type type,
                const char *f, const char *error)
{
    draft->entries[draft->count] = (struct entry){at_ms, process, type, f, error, draft->count};
    draft->count++;
}

/* One operation every `every_ms`, each taking 5 ms. */
static void clients(struct draft *draft, const char *f, int64_t from_ms, int64_t to_ms,
                    int64_t every_ms, enum op_type outcome)
{
    for (int64_t at_ms = from_ms; at_ms < to_ms; at_ms += every_ms) {
        put(draft, at_ms, draft->process, OP_INVOKE, f, NULL);
        put(draft, at_ms + 5, draft->process++, outcome, f, NULL);
    }
}

static void nemesis(struct draft *draft, const char *f, int64_t asked_ms, int64_t done_ms,
                    const char *error)
{
    put(draft, asked_ms, PROCESS_NEMESIS, OP_INFO, f, NULL);
    put(draft, done_ms, PROCESS_NEMESIS, OP_INFO, f, error);
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->at_ms != y->at_ms ? (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms)
                                : x->place - y->place;
}

static struct made_result check(struct draft *draft)
{
    struct history history;
    history_init(&history);
    qsort(draft->entries, (size_t)draft->count, sizeof *draft->entries, by_time);
    for (int i = 0; i < draft->count; i++) {
        const struct entry *entry = &draft->entries[i];
        made_event(&history, entry->process, entry->type, entry->f, entry->at_ms, entry->error,
                   "why");
    }
    struct made_result result = made_check(&checker_availability, &history, NULL, NULL);
    history_free(&history);
    assert_int_equal(result.verdict, VERDICT_VALID);
    return result;
}

static int64_t number(const struct json *object, const char *name)
{
    return json_as_int(json_get(object, name), -1);
}

static const struct json *window(const struct made_result *result, size_t index)
{
    const struct json *found = json_at(json_get(result->details, "windows"), index);
    assert_non_null(found);
    return found;
}

static void without_anything_there_is_nothing_to_measure(void **state)
{
    (void)state;
    static struct draft draft;
    struct made_result result = check(&draft);
    assert_contains(result.reason, "nothing to measure: there are no client operations");
    made_result_free(&result);
    clients(&draft, "read", 0, 1000, 10, OP_OK);
    nemesis(&draft, "kill", 500, 510, "failed");
    result = check(&draft);
    assert_string_equal(result.reason, "nothing to measure: no fault took effect");
    made_result_free(&result);
    put(&draft, -1, PROCESS_NEMESIS, OP_INFO, "kill", NULL);
    result = check(&draft);
    assert_contains(result.reason, "the history has no times");
    made_result_free(&result);
}

/* 100 reads and 50 cas a second; from 10 s to 15 s a kill under which reads go on at half speed and
 * every cas fails; cas are back at 16.2 s. */
static void a_fault_is_measured(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "read", 0, 10000, 10, OP_OK);
    clients(&draft, "cas", 0, 9990, 20, OP_OK);
    nemesis(&draft, "kill", 10000, 10100, NULL);
    clients(&draft, "read", 10105, 14990, 20, OP_OK);
    clients(&draft, "cas", 10105, 14990, 20, OP_FAIL);
    nemesis(&draft, "start", 15000, 15200, NULL);
    clients(&draft, "read", 16200, 26000, 10, OP_OK);
    clients(&draft, "cas", 16200, 26000, 20, OP_OK);
    struct made_result result = check(&draft);
    const struct json *kill = window(&result, 0), *by_f = json_get(kill, "by-f");
    assert_string_equal(json_as_text(json_get(kill, "nemesis"), ""), "kill");
    assert_int_equal(number(kill, "fault"), 1);
    assert_int_equal(number(kill, "from-ns"), 10100 * NS_PER_MS);
    assert_int_equal(number(kill, "to-ns"), 15000 * NS_PER_MS);
    assert_int_equal(number(json_get(by_f, "read"), "count"), 245);
    assert_int_equal(number(json_get(by_f, "read"), "ok-count"), 245);
    assert_int_equal(number(json_get(by_f, "cas"), "ok-count"), 0);
    assert_int_equal(number(json_get(by_f, "cas"), "fail-count"), 245);
    assert_int_equal(json_count(json_get(kill, "missing")), 1);
    assert_string_equal(json_as_text(json_at(json_get(kill, "missing"), 0), ""), "cas");
    assert_float_equal(json_as_real(json_get(kill, "ok-rate"), 0), 50, 0.1);
    assert_float_equal(json_as_real(json_get(json_get(by_f, "cas"), "usual-ok-rate"), 0), 50, 4);
    assert_float_equal(json_as_real(json_get(result.details, "usual-ok-rate"), 0), 150, 10);
    assert_int_equal(number(kill, "longest-gap-ns"), 20 * NS_PER_MS);
    assert_int_equal(number(kill, "first-ok-after-ns"), 1205 * NS_PER_MS);
    assert_int_equal(number(kill, "recovered-after-ns"), 1205 * NS_PER_MS);
    assert_string_equal(result.reason,
                        "no cas succeeded during fault 1 (kill, 10.1-15.0 s); back to the usual "
                        "rate 1.205 s after an end at worst");
    made_result_free(&result);
}

static void what_straddles_the_edges_did_not_succeed_during_the_fault(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "read", 0, 1000, 10, OP_OK);
    put(&draft, 990, 7000, OP_INVOKE, "write", NULL); /* on its way when the fault begins */
    nemesis(&draft, "pause", 1000, 1010, NULL);
    put(&draft, 1012, 7000, OP_OK, "write", NULL);
    put(&draft, 1500, 7001, OP_INVOKE, "write", NULL); /* comes back after the end */
    put(&draft, 1600, 7002, OP_INVOKE, "write", NULL); /* never comes back */
    nemesis(&draft, "resume", 2000, 2010, NULL);
    put(&draft, 2005, 7001, OP_OK, "write", NULL);
    clients(&draft, "read", 2020, 4000, 10, OP_OK);
    struct made_result result = check(&draft);
    const struct json *pause = window(&result, 0), *by_f = json_get(pause, "by-f");
    const struct json *write = json_get(by_f, "write");
    assert_int_equal(number(write, "count"), 2);
    assert_int_equal(number(write, "ok-count"), 0);
    assert_int_equal(number(write, "late-ok-count"), 1);
    assert_int_equal(number(write, "info-count"), 1);
    assert_int_equal(number(json_get(by_f, "read"), "count"), 0); /* nobody even tried */
    assert_int_equal(number(pause, "longest-gap-ns"), 988 * NS_PER_MS);
    assert_int_equal(number(pause, "first-ok-after-ns"), 5 * NS_PER_MS);
    assert_contains(result.reason,
                    "no read and no write succeeded during fault 1 (pause, 1.0-2.0 s)");
    made_result_free(&result);
}

static void a_system_that_does_not_recover_is_told(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "read", 0, 5000, 10, OP_OK);
    nemesis(&draft, "kill", 5000, 5010, NULL);
    nemesis(&draft, "start", 6000, 6010, NULL);
    clients(&draft, "read", 6010, 8000, 50, OP_OK); /* a fifth of the usual rate */
    nemesis(&draft, "kill", 8000, 8010, NULL);
    clients(&draft, "read", 8020, 8100, 10, OP_OK);
    struct made_result result = check(&draft);
    assert_int_equal(json_kind(json_get(window(&result, 0), "recovered-after-ns")), JSON_NULL);
    assert_int_equal(number(window(&result, 0), "first-ok-after-ns"), 15 * NS_PER_MS);
    assert_int_equal(number(window(&result, 1), "to-ns"), 8095 * NS_PER_MS); /* never ended */
    assert_int_equal(json_kind(json_get(window(&result, 1), "first-ok-after-ns")), JSON_NULL);
    assert_contains(result.reason, "after 2 of 2 faults not before the next one or the end");
    made_result_free(&result);
}

static void faults_without_any_operations_are_told(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "create", 0, 100, 10, OP_OK); /* only ever at the beginning */
    clients(&draft, "read", 100, 2000, 10, OP_OK);
    nemesis(&draft, "kill", 1000, 1010, NULL);
    nemesis(&draft, "start", 1500, 1510, NULL);
    nemesis(&draft, "pause", 3000, 3010, NULL); /* the clients have stopped */
    nemesis(&draft, "resume", 4000, 4010, NULL);
    clients(&draft, "drain", 6000, 6100, 10, OP_OK); /* only ever at the end */
    struct made_result result = check(&draft);
    assert_int_equal(number(window(&result, 1), "operation-count"), 0);
    assert_int_equal(json_count(json_get(window(&result, 1), "missing")), 0);
    assert_contains(result.reason, "nothing was even tried during 1 of 2 faults; something of "
                                   "every function succeeded during the others");
    made_result_free(&result);
}

static void overlapping_faults_are_measured_apart(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "read", 0, 10000, 10, OP_OK);
    nemesis(&draft, "start-partition", 2000, 2010, NULL);
    nemesis(&draft, "kill", 3000, 3010, "not-verified");
    nemesis(&draft, "stop-partition", 4000, 4010, NULL);
    nemesis(&draft, "start", 6000, 6010, NULL);
    struct made_result result = check(&draft);
    assert_int_equal(json_count(json_get(result.details, "windows")), 2);
    assert_true(json_as_bool(json_get(window(&result, 0), "verified"), false));
    assert_false(json_as_bool(json_get(window(&result, 1), "verified"), true));
    assert_int_equal(number(json_get(json_get(window(&result, 1), "by-f"), "read"), "ok-count"),
                     299);
    assert_float_equal(json_as_real(json_get(result.details, "usual-ok-rate"), 0), 100, 1);
    assert_string_equal(result.reason, "something of every function succeeded during every fault; "
                                       "back to the usual rate 0 ns after an end at worst");
    made_result_free(&result);
}

static void many_silent_faults_are_told_in_a_few_words(void **state)
{
    (void)state;
    static struct draft draft;
    clients(&draft, "read", 0, 1000, 10, OP_OK);
    for (int i = 1; i <= 10; i++) {
        nemesis(&draft, "kill", i * 1000, i * 1000 + 10, NULL);
        clients(&draft, "read", i * 1000 + 20, i * 1000 + 400, 10, OP_FAIL);
        nemesis(&draft, "start", i * 1000 + 500, i * 1000 + 510, NULL);
        clients(&draft, "read", i * 1000 + 520, i * 1000 + 990, 10, OP_OK);
    }
    struct made_result result = check(&draft);
    assert_contains(result.reason, "fault 3 (kill, 3.0-3.5 s); the like in 7 more;");
    made_result_free(&result);
}

/* Counts per window must agree with counting by the definition, whatever the history. */
static void random_histories_agree_with_plain_counting(void **state)
{
    (void)state;
    static struct draft draft;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct prng prng = prng_stream(seed, "availability");
        draft.count = 0;
        static const char *const begins[] = {"kill", "pause", "start-partition"};
        static const char *const ends[] = {"start", "resume", "stop-partition"};
        int64_t from_ms[3], to_ms[3];
        for (int i = 0; i < 3; i++) {
            from_ms[i] = prng_between(&prng, 0, 500);
            to_ms[i] = from_ms[i] + prng_between(&prng, 2, 500);
            nemesis(&draft, begins[i], from_ms[i] - (from_ms[i] > 0), from_ms[i], NULL);
            nemesis(&draft, ends[i], to_ms[i], to_ms[i] + 5, NULL);
        }
        int64_t expected[3][2] = {{0}};
        for (int32_t process = 0; process < 300; process++) {
            int64_t at_ms = prng_between(&prng, 0, 1000), until_ms = at_ms;
            until_ms += prng_between(&prng, 1, 300);
            enum op_type outcome = prng_below(&prng, 2) == 0 ? OP_OK : OP_FAIL;
            put(&draft, at_ms, process, OP_INVOKE, "read", NULL);
            put(&draft, until_ms, process, outcome, "read", NULL);
            for (int i = 0; i < 3; i++) {
                bool invoked = at_ms >= from_ms[i] && at_ms <= to_ms[i];
                expected[i][0] += invoked;
                expected[i][1] += invoked && outcome == OP_OK && until_ms <= to_ms[i];
            }
        }
        struct made_result result = check(&draft);
        for (size_t w = 0; w < 3; w++) {
            const struct json *found = window(&result, w);
            const struct json *read = json_get(json_get(found, "by-f"), "read");
            for (int i = 0; i < 3; i++)
                if (strcmp(json_as_text(json_get(found, "f"), ""), begins[i]) == 0) {
                    assert_int_equal(json_as_int(json_get(read, "count"), 0), expected[i][0]);
                    assert_int_equal(json_as_int(json_get(read, "ok-count"), 0), expected[i][1]);
                }
        }
        made_result_free(&result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_anything_there_is_nothing_to_measure),
        cmocka_unit_test(a_fault_is_measured),
        cmocka_unit_test(what_straddles_the_edges_did_not_succeed_during_the_fault),
        cmocka_unit_test(a_system_that_does_not_recover_is_told),
        cmocka_unit_test(faults_without_any_operations_are_told),
        cmocka_unit_test(overlapping_faults_are_measured_apart),
        cmocka_unit_test(many_silent_faults_are_told_in_a_few_words),
        cmocka_unit_test(random_histories_agree_with_plain_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
