/* Daemons that died unasked. */
#include <signal.h>
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/clock.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

enum { NO = -1 };

static const char *under; /* what ordeal withheld from those that die from now on; NULL: nothing */

/* A death of etcd on n2 at 1.5 s: by a signal, or with a status, or neither. */
static void die(struct history *history, int signal, int status, bool asked, bool oom)
{
    struct arena arena = ARENA_INIT;
    struct value items[14];
    size_t count = 0;
    items[count++] = value_keyword(&arena, "node");
    items[count++] = value_string(&arena, "n2");
    items[count++] = value_keyword(&arena, "name");
    items[count++] = value_string(&arena, "etcd");
    if (signal != NO || status != NO) {
        items[count++] = value_keyword(&arena, signal != NO ? "signal" : "status");
        items[count++] = value_int(&arena, signal != NO ? signal : status);
    }
    items[count++] = value_keyword(&arena, "asked");
    items[count++] = value_bool(asked);
    items[count++] = value_keyword(&arena, "oom");
    items[count++] = value_bool(oom);
    if (under != NULL) {
        items[count++] = value_keyword(&arena, "under");
        items[count++] = value_keyword(&arena, under);
    }
    struct op op = {.type = OP_INFO,
                    .process = PROCESS_DAEMON,
                    .f = history_f(history, "exit"),
                    .value = value_items(&arena, VALUE_MAP, items, count),
                    .time_ns = 1500 * NS_PER_MS};
    enum err_code code = ERR_NONE;
    history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
    arena_free(&arena);
}

static void every_way_to_die_has_its_verdict(void **state)
{
    (void)state;
    static const struct {
        int signal, status;
        bool asked, oom;
        enum verdict verdict, allowed;
        const char *reason;
    } ways[] = {
        {SIGKILL, NO, true, false, VERDICT_VALID, VERDICT_VALID, "no daemon died unasked"},
        {NO, 0, true, false, VERDICT_VALID, VERDICT_VALID, "no daemon died unasked"},
        {SIGSEGV, NO, false, false, VERDICT_INVALID, VERDICT_VALID,
         "etcd on n2 was killed by SIGSEGV at 1.500 s, and nobody had asked it to"},
        {SIGABRT, NO, false, false, VERDICT_INVALID, VERDICT_VALID, "SIGABRT"},
        {SIGBUS, NO, false, false, VERDICT_INVALID, VERDICT_VALID, "SIGBUS"},
        {SIGILL, NO, false, false, VERDICT_INVALID, VERDICT_VALID, "SIGILL"},
        {SIGFPE, NO, false, false, VERDICT_INVALID, VERDICT_VALID, "SIGFPE"},
        {NO, 2, false, false, VERDICT_INVALID, VERDICT_VALID, "exited with status 2 at"},
        {NO, 1, false, false, VERDICT_INVALID, VERDICT_VALID, "exited with status 1 at"},
        {NO, 0, false, false, VERDICT_UNKNOWN, VERDICT_VALID, "exited with status 0 at"},
        {SIGKILL, NO, false, true, VERDICT_UNKNOWN, VERDICT_UNKNOWN, "no memory left"},
        {SIGKILL, NO, false, false, VERDICT_UNKNOWN, VERDICT_UNKNOWN, "killed by SIGKILL"},
        {SIGTERM, NO, false, false, VERDICT_UNKNOWN, VERDICT_UNKNOWN, "killed by SIGTERM"},
        {999, NO, false, false, VERDICT_UNKNOWN, VERDICT_UNKNOWN, "killed by signal 999"},
        {NO, NO, false, false, VERDICT_UNKNOWN, VERDICT_UNKNOWN, "how was not recorded"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct history history;
        history_init(&history);
        die(&history, ways[i].signal, ways[i].status, ways[i].asked, ways[i].oom);
        struct made_result result = made_check(&checker_crashes, &history, NULL, NULL);
        assert_int_equal(result.verdict, ways[i].verdict);
        assert_contains(result.reason, ways[i].reason);
        assert_int_equal(json_count(result.anomalies), ways[i].asked ? 0 : 1);
        made_result_free(&result);
        result = made_check(&checker_crashes, &history, NULL, "crashes.allow=true");
        assert_int_equal(result.verdict, ways[i].allowed);
        if (ways[i].allowed == VERDICT_VALID && !ways[i].asked)
            assert_contains(result.reason, "1 death that nobody asked for, as crashes.allow");
        made_result_free(&result);
        history_free(&history);
    }
}

static void who_dies_of_a_limit_has_not_crashed(void **state)
{
    (void)state;
    static const struct {
        const char *under;
        int signal, status;
        bool oom;
        enum verdict verdict;
        const char *reason;
    } ways[] = {
        {"memory", SIGKILL, NO, true, VERDICT_VALID, "but for those that limits of ordeal's"},
        {"memory", NO, 2, false, VERDICT_VALID, "but for those"},
        {"memory", SIGABRT, NO, false, VERDICT_VALID, "but for those"},
        {"files", NO, 1, false, VERDICT_VALID, "but for those"},
        {"memory-hog", SIGKILL, NO, true, VERDICT_VALID, "but for those"},
        {"memory", SIGSEGV, NO, false, VERDICT_UNKNOWN, "while ordeal withheld memory from it"},
        {"files", SIGBUS, NO, false, VERDICT_UNKNOWN, "while ordeal withheld files from it"},
        {"disk", NO, 1, false, VERDICT_VALID, "but for those"},
        {"disk", SIGABRT, NO, false, VERDICT_VALID, "but for those"},
        {"disk", SIGBUS, NO, false, VERDICT_VALID, "but for those"},
        {"disk", SIGSEGV, NO, false, VERDICT_UNKNOWN, "while ordeal withheld disk from it"},
        {"damage", NO, 1, false, VERDICT_VALID, "but for those"},
        {"damage", SIGABRT, NO, false, VERDICT_VALID, "but for those"},
        {"damage", SIGSEGV, NO, false, VERDICT_INVALID, "SIGSEGV"},
        {"disk", SIGKILL, NO, true, VERDICT_UNKNOWN, "its node had no memory left"},
        /* These excuse nothing. */
        {"cpu", NO, 2, false, VERDICT_INVALID, "exited with status 2"},
        {"cpu", SIGSEGV, NO, false, VERDICT_INVALID, "SIGSEGV"},
        {"memory-hog", NO, 2, false, VERDICT_INVALID, "exited with status 2"},
        {"files", SIGKILL, NO, true, VERDICT_UNKNOWN, "its node had no memory left"},
        {"memory", SIGKILL, NO, false, VERDICT_UNKNOWN, "SIGKILL"},
        {"memory", NO, 0, false, VERDICT_UNKNOWN, "exited with status 0"},
        {"nonsense", NO, 2, false, VERDICT_INVALID, "exited with status 2"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct history history;
        history_init(&history);
        under = ways[i].under;
        die(&history, ways[i].signal, ways[i].status, false, ways[i].oom);
        under = NULL;
        struct made_result result = made_check(&checker_crashes, &history, NULL, NULL);
        assert_int_equal(result.verdict, ways[i].verdict);
        assert_contains(result.reason, ways[i].reason);
        made_result_free(&result);
        history_free(&history);
    }
}

static void the_worst_death_decides(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    die(&history, NO, 0, false, false);
    die(&history, SIGKILL, NO, true, false);
    die(&history, SIGSEGV, NO, false, false);
    struct made_result result = made_check(&checker_crashes, &history, NULL, NULL);
    assert_int_equal(result.verdict, VERDICT_INVALID);
    assert_contains(result.reason, "SIGSEGV");
    const struct json *by_cause = json_get(result.details, "by-cause");
    assert_int_equal(json_as_int(json_get(by_cause, "asked"), 0), 1);
    assert_int_equal(json_as_int(json_get(by_cause, "exit"), 0), 1);
    assert_int_equal(json_as_int(json_get(by_cause, "crash"), 0), 1);
    const struct json *crash = json_at(result.anomalies, 1);
    assert_int_equal(json_as_int(json_at(json_get(crash, "events"), 0), -1), 2);
    assert_string_equal(json_as_text(json_get(crash, "kind"), ""), "crash");
    assert_string_equal(json_as_text(json_get(crash, "title"), ""), "etcd died on n2");
    assert_contains(json_as_text(json_get(crash, "text"), ""), "etcd.log of n2 (under nodes/n2");
    made_result_free(&result);
    history_free(&history);
}

static void a_daemon_that_dies_all_day_does_not_flood_the_report(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    for (int i = 0; i < 1000; i++)
        die(&history, NO, 1, false, false);
    struct made_result result = made_check(&checker_crashes, &history, NULL, NULL);
    assert_int_equal(json_count(result.anomalies), 100);
    assert_int_equal(json_as_int(json_get(result.details, "unasked-count"), 0), 1000);
    made_result_free(&result);
    history_free(&history);
}

static void other_events_are_no_deaths(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_operation(&history, 0, "exit", 1, OP_OK, 2);
    made_event(&history, PROCESS_DAEMON, OP_INFO, "started", 3, NULL, NULL);
    struct made_result result = made_check(&checker_crashes, &history, NULL, NULL);
    assert_int_equal(result.verdict, VERDICT_VALID);
    assert_string_equal(result.reason, "no daemon died unasked");
    made_result_free(&result);
    made_event(&history, PROCESS_DAEMON, OP_INFO, "exit", -1, NULL, NULL); /* says nothing */
    result = made_check(&checker_crashes, &history, NULL, NULL);
    assert_int_equal(result.verdict, VERDICT_UNKNOWN);
    assert_string_equal(result.reason, "a daemon on an unnamed node died, and how was not "
                                       "recorded, and nobody had asked it to");
    made_result_free(&result);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_die_has_its_verdict),
        cmocka_unit_test(who_dies_of_a_limit_has_not_crashed),
        cmocka_unit_test(the_worst_death_decides),
        cmocka_unit_test(a_daemon_that_dies_all_day_does_not_flood_the_report),
        cmocka_unit_test(other_events_are_no_deaths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
