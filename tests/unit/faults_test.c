/* Did the faults that were planned take effect, and were they undone? */
#include <string.h>

#include "checkers/checkers.h"
#include "harness/base/text.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/made_history.h"
#include "tests/lib/test.h"

static const char planned_both[] = "{\"nemesis\": [\"partition\", \"kill\"]}";

static void expect(struct history *history, const char *plan, enum verdict verdict,
                   const char *reason)
{
    struct made_result result = made_check(&checker_faults, history, plan, NULL);
    assert_string_equal(result.reason, reason);
    assert_int_equal(result.verdict, verdict);
    made_result_free(&result);
}

/* A beginning, one operation while it is in force, and an end. */
static void fault(struct history *history, const char *begin, int64_t from_ms, const char *error,
                  const char *end, int64_t to_ms)
{
    made_fault(history, begin, from_ms, error, "why");
    made_operation(history, 0, "read", from_ms + 1, OP_OK, to_ms);
    made_fault(history, end, to_ms, NULL, NULL);
}

static void without_faults_there_is_nothing_to_say(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    expect(&history, NULL, VERDICT_VALID, "no faults were asked for");
    expect(&history, "{}", VERDICT_VALID, "no faults were asked for");
    expect(&history, "{\"nemesis\": []}", VERDICT_VALID, "no faults were asked for");
    expect(&history, "{\"nemesis\": \"\"}", VERDICT_VALID, "no faults were asked for");
    expect(&history, "{\"nemesis\": \"none\"}", VERDICT_VALID, "no faults were asked for");
    history_free(&history);
}

static void faults_that_took_effect_are_counted(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fault(&history, "start-partition", 1000, NULL, "stop-partition", 3001);
    made_fault(&history, "kill", 4000, "failed", "n1: no route to host");
    fault(&history, "kill", 5000, NULL, "start", 6501);
    fault(&history, "kill", 7000, "not-verified", "start", 8000);
    struct made_result result = made_check(&checker_faults, &history, planned_both, NULL);
    assert_string_equal(result.reason,
                        "partition took effect once (2.0 s), kill took effect 1 of 3 "
                        "times (1.5 s), all undone");
    assert_int_equal(result.verdict, VERDICT_VALID);
    const struct json *kill = json_get(json_get(result.details, "by-nemesis"), "kill");
    assert_int_equal(json_as_int(json_get(kill, "tried-count"), -1), 3);
    assert_int_equal(json_as_int(json_get(kill, "in-force-count"), -1), 1);
    assert_int_equal(json_as_int(json_get(kill, "failed-count"), -1), 1);
    assert_int_equal(json_as_int(json_get(kill, "unverified-count"), -1), 1);
    assert_int_equal(json_as_int(json_get(kill, "in-force-ns"), -1), 1500000000);
    assert_int_equal(json_as_int(json_get(kill, "operation-count"), -1), 1);
    assert_string_equal(json_as_text(json_get(kill, "first-error"), ""), "n1: no route to host");
    made_result_free(&result);
    expect(&history, NULL, VERDICT_VALID,
           "partition took effect once (2.0 s), kill took effect 1 of 3 times (1.5 s), all undone");
    expect(&history, "{\"nemesis\": \"kill\"}", VERDICT_VALID,
           "kill took effect 1 of 3 times (1.5 s), all undone");
    history_free(&history);
}

static void faults_that_never_took_effect_make_the_run_unknown(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_fault(&history, "start-partition", 1000, "failed", "iptables is missing");
    made_fault(&history, "start-partition", 2000, "not-verified", "n1 still hears n2");
    made_fault(&history, "stop-partition", 3000, NULL, NULL);
    expect(&history, "{\"nemesis\": [\"partition\"]}", VERDICT_UNKNOWN,
           "no partition ever took effect (2 tried: iptables is missing)");
    expect(&history, "{\"nemesis\": \"kill\"}", VERDICT_UNKNOWN,
           "no kill was ever tried, though it was planned");
    expect(&history, "{\"nemesis\": \"kill,partition\"}", VERDICT_UNKNOWN,
           "no partition ever took effect (2 tried: iptables is missing)");
    expect(&history, "{\"nemesis\": [\"meteor\"]}", VERDICT_UNKNOWN,
           "no nemesis here is called meteor, which was planned");
    history_free(&history);
}

static void faults_that_were_not_undone_make_the_run_unknown(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_event(&history, 0, OP_INVOKE, "read", 1, NULL, NULL);
    made_fault(&history, "kill", 1000, NULL, NULL);
    made_fault(&history, "start", 2000, "failed", "etcd on n1 is exited");
    expect(&history, NULL, VERDICT_UNKNOWN,
           "fault 1 (kill, 1.0-2.0 s) was not seen to be undone: etcd on n1 is exited; the cluster "
           "may not have been whole again");
    made_fault(&history, "start", 9001, NULL, NULL); /* healed at last: it was in force till then */
    expect(&history, NULL, VERDICT_VALID, "kill took effect once (8.0 s), all undone");
    made_fault(&history, "pause", 9500, NULL, NULL);
    expect(&history, NULL, VERDICT_UNKNOWN,
           "fault 2 (pause, 9.5-9.5 s) was never ended; the cluster may not have been whole again");
    history_free(&history);
}

static void faults_that_hit_an_idle_system_tested_nothing(void **state)
{
    (void)state;
    static const char idle[] =
        "kill took effect, but no operation was in flight meanwhile, so it tested nothing";
    struct history history;
    history_init(&history);
    made_operation(&history, 0, "read", 10, OP_OK, 20);
    made_fault(&history, "kill", 1000, NULL, NULL);
    made_fault(&history, "start", 2000, NULL, NULL);
    made_operation(&history, 0, "read", 3000, OP_OK, 3010);
    expect(&history, NULL, VERDICT_UNKNOWN, idle);
    made_event(&history, 1, OP_INVOKE, "read", 3020, NULL, NULL); /* it hangs all the while */
    made_fault(&history, "kill", 4000, NULL, NULL);
    made_fault(&history, "start", 5001, NULL, NULL);
    made_event(&history, 1, OP_OK, "read", 6000, NULL, NULL);
    expect(&history, NULL, VERDICT_VALID, "kill took effect 2 times (2.0 s), all undone");
    history_free(&history);
}

static void a_history_that_ends_in_a_fault_is_unknown(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_event(&history, PROCESS_NEMESIS, OP_INFO, "kill", 1000, NULL, NULL);
    struct made_result result = made_check(&checker_faults, &history, NULL, NULL);
    assert_int_equal(result.verdict, VERDICT_UNKNOWN);
    assert_string_equal(result.reason,
                        "no kill ever took effect (1 tried: the history ends before the outcome)");
    assert_contains(json_as_text(json_at(json_get(result.details, "not-undone"), 0), ""),
                    "was begun, and the history ends before its outcome");
    made_result_free(&result);
    history_free(&history);
}

static void ends_without_beginnings_and_strangers_are_no_faults(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_fault(&history, "start", 1000, "failed", "nothing to start"); /* healing what was whole */
    expect(&history, NULL, VERDICT_VALID, "no faults were asked for");
    made_fault(&history, "bump-clock", 2000, NULL, NULL);
    expect(&history, NULL, VERDICT_UNKNOWN,
           "the history's faults have names that are not known here, such as bump-clock");
    expect(&history, "{\"nemesis\": []}", VERDICT_VALID, "no faults were asked for");
    history_free(&history);
}

static void histories_without_times_are_judged_too(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    made_fault(&history, "pause", -1, NULL, NULL);
    made_operation(&history, 0, "read", -1, OP_INFO, -1);
    expect(&history, NULL, VERDICT_UNKNOWN,
           "fault 1 (pause) was never ended; the cluster may not have been whole again");
    made_fault(&history, "resume", -1, NULL, NULL);
    expect(&history, NULL, VERDICT_VALID, "pause took effect once (0.0 s), all undone");
    history_free(&history);
}

/* The run may end before each that is drawn has had its turn. */
static void what_was_only_drawn_may_have_had_no_turn(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fault(&history, "kill", 1000, NULL, "start", 3001);
    expect(&history, "{\"nemesis\": \"kill,pause\"}", VERDICT_VALID,
           "kill took effect once (2.0 s), pause was never drawn, all undone");
    expect(&history, "{\"schedule\": [{\"nemesis\": \"kill=3,pause\"}]}", VERDICT_VALID,
           "kill took effect once (2.0 s), pause was never drawn, all undone");
    expect(&history, "{\"schedule\": [{\"nemesis\": \"kill,pause\"}, {\"nemesis\": \"pause\"}]}",
           VERDICT_UNKNOWN, "no pause was ever tried, though it was planned");
    expect(&history, "{\"schedule\": [{\"nemesis\": \"kill\"}, {\"nemesis\": \"pause,clock\"}]}",
           VERDICT_UNKNOWN,
           "none of the 2 nemeses to draw from (pause, ...) took effect while operations were in "
           "flight");
    made_fault(&history, "pause", 9000, NULL, NULL); /* when nobody asks anything any more */
    made_fault(&history, "resume", 9100, NULL, NULL);
    expect(&history, "{\"nemesis\": \"kill,pause\"}", VERDICT_VALID,
           "kill took effect once (2.0 s), pause took effect once (0.1 s, and met no operation), "
           "all undone");
    expect(&history, "{\"nemesis\": \"pause\"}", VERDICT_UNKNOWN,
           "pause took effect, but no operation was in flight meanwhile, so it tested nothing");
    made_fault(&history, "start-partition", 9500, "failed", "iptables is missing");
    expect(&history, "{\"nemesis\": \"kill,partition\"}", VERDICT_UNKNOWN,
           "no partition ever took effect (1 tried: iptables is missing)");
    history_free(&history);
}

/* What a run left: its schedule, and a plan with steps. */
static struct made_result check_run(struct history *history, const char *plan, const char *lines)
{
    struct err err = ERR_INIT;
    assert_ok(file_write("schedule.jsonl", lines, strlen(lines), &err));
    return made_check_stored(&checker_faults, history, plan, ".");
}

static void steps_that_never_took_effect_make_the_run_unknown(void **state)
{
    (void)state;
    static const char plan[] = "{\"schedule\": [{\"at\": \"1s\", \"nemesis\": \"kill\"}, "
                               "{\"when\": \"new-primary\", \"nemesis\": \"kill\"}]}";
    static const char first[] = "{\"fault\":1,\"phase\":\"begin\",\"nemesis\":\"kill\","
                                "\"verified\":true,\"step\":1,\"nodes\":[\"n1\",\"n2\"],"
                                "\"state\":{\"primary-hit\":true,\"in-flight\":4}}\n";
    struct history history;
    history_init(&history);
    fault(&history, "kill", 1000, NULL, "start", 3001);
    struct made_result result = check_run(&history, plan, first);
    assert_int_equal(result.verdict, VERDICT_UNKNOWN);
    assert_string_equal(result.reason, "step 2 of the schedule (kill) was never tried: what it "
                                       "waits for did not happen");
    const struct json *kill = json_get(json_get(result.details, "by-nemesis"), "kill");
    assert_int_equal(json_as_int(json_get(json_get(kill, "nodes"), "n2"), 0), 1);
    assert_int_equal(json_as_int(json_get(kill, "primary-hit-count"), 0), 1);
    assert_int_equal(json_as_int(json_get(kill, "in-flight-max"), 0), 4);
    made_result_free(&result);
    struct buf lines = BUF_INIT;
    buf_printf(&lines, "%s%s", first,
               "{\"fault\":2,\"phase\":\"begin\",\"nemesis\":\"kill\",\"verified\":false,"
               "\"step\":2,\"nodes\":[],\"error\":\"no route\"}\n");
    result = check_run(&history, plan, lines.data);
    assert_string_equal(result.reason, "step 2 of the schedule (kill) never took effect: no route");
    made_result_free(&result);
    buf_printf(&lines, "%s",
               "{\"fault\":3,\"phase\":\"begin\",\"nemesis\":\"kill\",\"verified\":true,"
               "\"step\":2,\"nodes\":[\"n1\"]}\n");
    result = check_run(&history, plan, lines.data);
    assert_int_equal(result.verdict, VERDICT_VALID);
    kill = json_get(json_get(result.details, "by-nemesis"), "kill");
    assert_int_equal(json_as_int(json_get(kill, "primary-unknown-count"), 0), 1);
    made_result_free(&result);
    buf_free(&lines);
    history_free(&history);
}

static void weights_and_files_are_names_too(void **state)
{
    (void)state;
    struct history history;
    history_init(&history);
    fault(&history, "kill", 1000, NULL, "start", 3001);
    fault(&history, "start-mine", 4000, NULL, "stop-mine", 5001);
    expect(&history, "{\"nemesis\": \"kill=3,./elsewhere/mine.so\"}", VERDICT_VALID,
           "kill took effect once (2.0 s), mine took effect once (1.0 s), all undone");
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_faults_there_is_nothing_to_say),
        cmocka_unit_test(faults_that_took_effect_are_counted),
        cmocka_unit_test(faults_that_never_took_effect_make_the_run_unknown),
        cmocka_unit_test(faults_that_were_not_undone_make_the_run_unknown),
        cmocka_unit_test(faults_that_hit_an_idle_system_tested_nothing),
        cmocka_unit_test(what_was_only_drawn_may_have_had_no_turn),
        cmocka_unit_test(a_history_that_ends_in_a_fault_is_unknown),
        cmocka_unit_test(ends_without_beginnings_and_strangers_are_no_faults),
        cmocka_unit_test(histories_without_times_are_judged_too),
        cmocka_unit_test(steps_that_never_took_effect_make_the_run_unknown),
        cmocka_unit_test(weights_and_files_are_names_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
