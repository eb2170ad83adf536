/* Plans: defaults, one name for flags and files, and refusals that say what, where and what to do.
 */
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/nemesis.h"
#include "harness/plan.h"
#include "harness/system.h"
#include "harness/workload.h"
#include "tests/lib/test.h"

/* Flags as "--name", "value" pairs, NULL at the end; then resolves. */
static enum err_code plan_of(struct plan *plan, const char *const *flags, struct err *err)
{
    plan_init(plan);
    for (; flags[0] != NULL; flags += 2)
        if (plan_set(plan, flags[0] + 2, flags[1], flags[0], err) != ERR_NONE)
            return err->code;
    return plan_resolve(plan, err);
}

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_refusal(const char *const *flags, const char *part)
{
    struct plan plan;
    struct err err = ERR_INIT;
    assert_int_equal(plan_of(&plan, flags, &err), ERR_CONFIG);
    assert_contains(err.message, part);
    plan_free(&plan);
}

static void defaults_are_filled_in_and_names_resolved(void **state)
{
    (void)state;
    struct plan plan;
    struct err err = ERR_INIT;
    assert_ok(plan_of(&plan, FLAGS("--seed", "7"), &err));
    assert_string_equal(plan.system->name, "etcd");
    assert_string_equal(plan.workload->name, "register");
    assert_int_equal(plan.nemesis_count, 3);
    assert_true(plan.local);
    assert_int_equal(plan.node_count, 5);
    assert_int_equal(plan.concurrency, 10);
    assert_int_equal(plan.seed, 7);
    assert_true(plan.time_limit_ns == INT64_C(60000000000));
    assert_string_equal(plan.name, "etcd-register");
    assert_string_equal(option_text(&plan.options, "etcd.reads"), "linearizable");
    plan_free(&plan);
}

static void a_plan_resolves_to_itself(void **state)
{
    (void)state;
    struct plan plan, again;
    struct err err = ERR_INIT;
    assert_ok(plan_of(&plan,
                      FLAGS("--local", "3", "--nemesis", "kill,pause", "--rate", "12.5", "--set",
                            "etcd.reads=serializable", "--set", "kill.targets=one"),
                      &err));
    struct buf first = BUF_INIT, second = BUF_INIT;
    json_print(plan.values, JSON_PRETTY, &first);
    assert_ok(file_write("plan.json", first.data, first.length, &err));
    plan_init(&again);
    assert_ok(plan_read_file(&again, "plan.json", &err));
    assert_ok(plan_resolve(&again, &err));
    json_print(again.values, JSON_PRETTY, &second);
    assert_string_equal(first.data, second.data);
    assert_int_equal(plan.seed, again.seed); /* drawn once, kept */
    buf_free(&first);
    buf_free(&second);
    plan_free(&plan);
    plan_free(&again);
}

static void a_flag_replaces_what_the_file_says(void **state)
{
    (void)state;
    struct plan plan;
    struct err err = ERR_INIT;
    const char text[] =
        "{\"nodes\": [\"a\", \"b\"], \"rate\": 5, \"system\": \"noop\", \"workload\": \"noop\"}";
    assert_ok(file_write("plan.json", text, strlen(text), &err));
    plan_init(&plan);
    assert_ok(plan_read_file(&plan, "plan.json", &err));
    assert_ok(plan_set(&plan, "local", "4", "--local", &err));
    assert_ok(plan_resolve(&plan, &err));
    assert_true(plan.local);
    assert_int_equal(plan.node_count, 4);
    assert_true(plan.rate == 5);
    assert_int_equal(plan.nemesis_count, 0); /* noop has no daemons, so nothing is broken unasked */
    plan_free(&plan);
}

static void faults_are_judged_wherever_there_are_any(void **state)
{
    (void)state;
    struct plan plan;
    struct err err = ERR_INIT;
    const char *const *flags =
        FLAGS("--system", "noop", "--workload", "noop", "--nemesis", "partition");
    assert_ok(plan_of(&plan, flags, &err));
    assert_string_equal(plan_text(&plan, "checkers"), "stats,faults");
    plan_free(&plan);
    assert_ok(plan_of(&plan, FLAGS("--system", "noop", "--workload", "noop"), &err));
    assert_string_equal(plan_text(&plan, "checkers"), "stats");
    plan_free(&plan);
    assert_ok(plan_of(&plan, FLAGS("--nemesis", "kill"), &err));
    assert_string_equal(plan_text(&plan, "checkers"),
                        "stats,linearizable,availability,crashes,faults");
    plan_free(&plan);
}

static void what_cannot_be_meant_is_refused(void **state)
{
    (void)state;
    expect_refusal(FLAGS("--system", "ectd"), "did you mean 'etcd'");
    expect_refusal(FLAGS("--workload", "registry"), "did you mean 'register'");
    expect_refusal(FLAGS("--nemesis", "partition,parition"), "did you mean 'partition'");
    expect_refusal(FLAGS("--nemesis", "kill,kill"), "named twice");
    expect_refusal(FLAGS("--checkers", "stat"), "did you mean 'stats'");
    expect_refusal(FLAGS("--concurrency", "0"), "multiple such as 2n");
    expect_refusal(FLAGS("--concurrency", "n"), "multiple such as 2n");
    expect_refusal(FLAGS("--local", "65"), "1 to 64");
    expect_refusal(FLAGS("--nodes", ","), "0 are named");
    expect_refusal(FLAGS("--rate", "-1"), "rate");
    expect_refusal(FLAGS("--rate", "fast"), "--rate: 'fast' is not a number");
    expect_refusal(FLAGS("--time-limit", "5 apples"), "--time-limit: '5 apples' is not a duration");
    expect_refusal(FLAGS("--nemesis-duration", "20s"), "longer than the nemesis-interval");
    expect_refusal(FLAGS("--name", "../x"), "cannot name a directory");
    expect_refusal(FLAGS("--set", "etcd.reads"), "OWNER.OPTION=VALUE");
    expect_refusal(FLAGS("--set", "etcd.reeds=x"), "did you mean 'reads'");
    expect_refusal(FLAGS("--set", "etcd.reads=x"), "linearizable|serializable");
    expect_refusal(FLAGS("--set", "redis.reads=x"), "'redis' is no system");
    expect_refusal(FLAGS("--keyed", "maybe"), "guess|yes|no");
    expect_refusal(FLAGS("--checkers", "logs", "--set", "logs.pattern=panic: a(b"),
                   "logs.pattern: 'panic: a(b' is no extended regular expression: Unmatched (");
    expect_refusal(FLAGS("--checkers", "logs", "--set", "logs.pattern=[a"), "[a' is no extended");
}

static void stopping_needs_a_checker_that_can_watch(void **state)
{
    (void)state;
    struct plan plan;
    struct err err = ERR_INIT;
    expect_refusal(FLAGS("--system", "queue", "--workload", "queue", "--stop-on-violation", "true"),
                   "stop-on-violation: only the checkers linearizable and transactions");
    assert_ok(plan_of(&plan, FLAGS("--stop-on-violation", "true"), &err));
    assert_true(plan.stop_on_violation);
    plan_free(&plan);
}

/* The steps of a file are in the plan, which then needs no file; the latest word counts. */
static void a_schedule_is_kept_in_the_plan(void **state)
{
    (void)state;
    static const char steps[] = "[{\"at\": \"5s\", \"nemesis\": \"kill\", \"for\": \"1s\"},\n"
                                "{\"nemesis\": \"pause=2,partition\", \"overlap\": \"1..2\"}]";
    struct plan plan;
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    assert_ok(file_write("steps.json", steps, strlen(steps), &err));
    assert_ok(plan_of(&plan, FLAGS("--nemesis", "power", "--schedule", "steps.json"), &err));
    assert_int_equal(plan.step_count, 2);
    assert_int_equal(plan.nemesis_count, 3);
    assert_null(json_get(plan.values, "nemesis"));
    json_print(plan.values, JSON_PRETTY, &text);
    plan_free(&plan);
    assert_ok(file_write("kept.json", text.data, text.length, &err));
    assert_int_equal(unlink("steps.json"), 0);
    plan_init(&plan);
    assert_ok(plan_read_file(&plan, "kept.json", &err));
    assert_ok(plan_resolve(&plan, &err));
    assert_int_equal(plan.step_count, 2);
    struct buf again = BUF_INIT;
    json_print(plan.values, JSON_PRETTY, &again);
    assert_string_equal(again.data, text.data);
    plan_free(&plan);
    /* A flag replaces the schedule, and the options of what is not used any more are dropped. */
    plan_init(&plan);
    assert_ok(plan_read_file(&plan, "kept.json", &err));
    assert_ok(plan_set(&plan, "schedule", "other.json", "--schedule", &err));
    static const char other[] = "[{\"at\": \"5s\", \"nemesis\": \"noop\"}]";
    assert_ok(file_write("other.json", other, strlen(other), &err));
    assert_ok(plan_resolve(&plan, &err));
    assert_int_equal(plan.nemesis_count, 1);
    assert_null(json_get(plan.options.values, "kill.targets"));
    plan_free(&plan);
    plan_init(&plan);
    assert_ok(plan_read_file(&plan, "kept.json", &err));
    assert_ok(plan_set(&plan, "nemesis", "partition,kill=2", "--nemesis", &err));
    assert_int_equal(plan_resolve(&plan, &err), ERR_CONFIG); /* pause.targets is nobody's now */
    assert_contains(err.message, "pause.targets: 'pause' is no system");
    plan_free(&plan);
    buf_free(&again);
    buf_free(&text);
    /* A bad step of a plan is named by the plan's own lines. */
    static const char bad[] = "{\n\"schedule\": [\n{\"at\": \"1s\",\n\"nemesis\": \"kil\"}]}";
    assert_ok(file_write("bad.json", bad, strlen(bad), &err));
    plan_init(&plan);
    assert_ok(plan_read_file(&plan, "bad.json", &err));
    assert_int_equal(plan_resolve(&plan, &err), ERR_CONFIG);
    assert_contains(err.message, "bad.json:3: step 1: there is no nemesis 'kil'");
    plan_free(&plan);
}

static void promises_reach_the_checker_that_judges_them(void **state)
{
    (void)state;
    struct plan plan;
    struct err err = ERR_INIT;
    assert_ok(
        plan_of(&plan, FLAGS("--checkers", "stats,delivery", "--promise", "no-loss,order"), &err));
    assert_string_equal(option_text(&plan.options, "delivery.promise"), "no-loss,order");
    assert_string_equal(option_text(&plan.options, "delivery.declared"), "no-loss,no-phantom");
    plan_free(&plan);
    expect_refusal(FLAGS("--promise", "no-loss"), "promise: the checker delivery, which judges it");
    expect_refusal(FLAGS("--checkers", "delivery", "--promise", "no-loss,no-los"),
                   "delivery.promise: 'no-los' is none of declared|all|none|no-loss|");
    expect_refusal(FLAGS("--checkers", "delivery", "--promise", "no-loss,"),
                   "delivery.promise: '' is none of");
}

static void expect_bad_file(const char *text, const char *part)
{
    struct plan plan;
    struct err err = ERR_INIT;
    assert_ok(file_write("bad.json", text, strlen(text), &err));
    plan_init(&plan);
    assert_int_equal(plan_read_file(&plan, "bad.json", &err), ERR_CONFIG);
    assert_contains(err.message, part);
    plan_free(&plan);
}

static void bad_files_are_refused_with_line_and_field(void **state)
{
    (void)state;
    expect_bad_file("{\"system\": \"etcd\",\n \"rates\": 5}",
                    "bad.json:2: a plan has no field 'rates'; did you mean 'rate'?");
    expect_bad_file("{\"system\": \"etcd\",\n\n \"rate\": [1]}", "bad.json:3: rate must be");
    expect_bad_file("{\"system\": \"etcd\"\n \"rate\": 5}", "bad.json:2:2: not JSON");
    expect_bad_file("[1]", "a plan is a JSON object");
    expect_bad_file("{\"set\": {\"etcd.reads\": {}}}", "bad.json:1: set: etcd.reads");
    struct plan plan;
    struct err err = ERR_INIT;
    plan_init(&plan);
    assert_int_equal(plan_read_file(&plan, "absent.json", &err), ERR_CONFIG);
    assert_contains(err.message, "absent.json: No such file");
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_filled_in_and_names_resolved),
        cmocka_unit_test(a_plan_resolves_to_itself),
        cmocka_unit_test(a_flag_replaces_what_the_file_says),
        cmocka_unit_test(faults_are_judged_wherever_there_are_any),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(stopping_needs_a_checker_that_can_watch),
        cmocka_unit_test(a_schedule_is_kept_in_the_plan),
        cmocka_unit_test(promises_reach_the_checker_that_judges_them),
        cmocka_unit_test(bad_files_are_refused_with_line_and_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
