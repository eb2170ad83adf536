/* Schedules on a cluster in memory: at random with weights, scripted, triggered, several at once,
 * ramped, repeated; and what cannot be done refused. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/faults.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

/* A run of nothing but its faults. */
struct play {
    struct fake_control *fake;
    struct history history;
    struct watch *watch;
    struct schedule *schedule;
    struct faults *faults;
    struct buf log; /* "1.500 kill n2" and "2.500 start", a line each */
    uint32_t overlap_max;
    void (*between)(struct play *play); /* before every question: to have leaders elected */
};

static enum err_code play_plan(struct play *play, uint32_t nodes, const char *json, struct err *why)
{
    struct err err = ERR_INIT;
    *play = (struct play){.fake = fake_new(nodes), .log = BUF_INIT};
    struct plan *plan = &play->fake->plan;
    plan->arena = ARENA_INIT;
    plan->values = json_object();
    history_init(&play->history);
    play->fake->test.history = &play->history;
    fake_has_primaries(play->fake);
    fake_has_disks(play->fake);
    play->fake->primaries = 1;
    struct json *root;
    assert_ok(json_parse(json, strlen(json), "test", &root, &err));
    static const char *const defaults[][2] = {{"time-limit", "60s"},
                                              {"nemesis-interval", "10s"},
                                              {"nemesis-duration", "5s"},
                                              {"nemesis-overlap", "1"},
                                              {"nemesis", "none"}};
    for (size_t i = 0; i < 5; i++)
        json_set_text(plan->values, defaults[i][0], defaults[i][1]);
    for (const struct json *one = json_first(root); one != NULL; one = json_next(one))
        json_set(plan->values, json_key(one), json_copy(one));
    json_free(root);
    plan->seed = (uint64_t)json_as_int(json_get(plan->values, "seed"), 1);
    assert_ok(clock_parse_duration(plan_text(plan, "time-limit"), &plan->time_limit_ns, &err));
    if (schedule_read(plan, why) != ERR_NONE)
        return why->code;
    assert_ok(watch_open(&play->fake->test, NULL, NULL, &play->watch, &err));
    play->schedule = schedule_open(&play->fake->test, play->watch, &play->fake->arena);
    return schedule_check(play->schedule, why);
}

static void play_free(struct play *play)
{
    faults_close(play->faults);
    schedule_close(play->schedule);
    watch_close(play->watch);
    buf_free(&play->log);
    history_free(&play->history);
    json_free(play->fake->plan.values);
    arena_free(&play->fake->plan.arena);
    fake_free(play->fake);
}

static void record(struct play *play, struct generator_context *context, struct op *op)
{
    enum err_code code;
    op->type = OP_INFO;
    op->time_ns = context->now_ns = play->fake->now_ns;
    history_append(&play->history, op, &code);
    generator_update(schedule_generator(play->schedule), context, op);
}

static void do_op(struct play *play, struct generator_context *context,
                  const struct generator_op *given)
{
    struct op op = {.process = PROCESS_NEMESIS, .f = given->f, .value = given->value};
    record(play, context, &op);
    buf_printf(&play->log, "%.3f %s", (double)play->fake->now_ns / 1e9,
               play->history.f_names[op.f]);
    faults_do(play->faults, &op);
    if (!value_is_nil(op.error))
        value_print(op.error, &play->log);
    buf_add_char(&play->log, '\n');
    struct buf in_force = BUF_INIT;
    faults_print_in_force(play->faults, &in_force);
    uint32_t count = 0;
    for (const char *at = buf_text(&in_force); (at = strstr(at, " of ")) != NULL; at++)
        count++;
    play->overlap_max = count > play->overlap_max ? count : play->overlap_max;
    buf_free(&in_force);
    record(play, context, &op);
}

/* To the end of the run; then everything is undone. */
static void play_run(struct play *play, const char *path)
{
    struct err err = ERR_INIT;
    struct arena scratch = ARENA_INIT;
    struct generator_context context = {
        .thread = GENERATOR_NEMESIS, .nemesis = true, .scratch = &scratch};
    struct generator *generator = generator_time_limit(
        &play->fake->arena, play->fake->plan.time_limit_ns, schedule_generator(play->schedule));
    assert_ok(faults_open(&play->fake->test, path, &play->faults, &err));
    struct faults_context follow = {.schedule = play->schedule, .watch = play->watch};
    faults_follow(play->faults, &follow);
    for (int steps = 0; steps < 100000; steps++) {
        struct generator_op op = {.not_before_ns = 0};
        if (play->between != NULL)
            play->between(play);
        context.now_ns = play->fake->now_ns;
        enum generator_answer answer = generator_next(generator, &context, &op);
        if (answer == GENERATOR_DONE)
            break;
        int64_t until_ns = op.not_before_ns;
        if (answer == GENERATOR_PENDING && play->between != NULL) { /* news may come */
            int64_t soon_ns = play->fake->now_ns + 10 * NS_PER_MS;
            until_ns = until_ns < soon_ns ? until_ns : soon_ns;
        }
        if (until_ns > play->fake->now_ns)
            play->fake->now_ns = until_ns;
        if (answer == GENERATOR_OP)
            do_op(play, &context, &op);
    }
    arena_free(&scratch);
}

static void expect_log(const struct play *play, const char *log)
{
    assert_string_equal(buf_text(&((struct play *)play)->log), log);
}

static void expect_refusal(const char *json, const char *message)
{
    struct play play;
    struct err err = ERR_INIT;
    assert_int_equal(play_plan(&play, 3, json, &err), ERR_CONFIG);
    assert_contains(err.message, message);
    play_free(&play);
}

static size_t count_of(const struct play *play, const char *word)
{
    size_t count = 0;
    for (const char *at = play->log.data; at != NULL && (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

/* ---- Again and again ---- */

static void the_same_seed_makes_the_same_timeline(void **state)
{
    (void)state;
    struct buf first = BUF_INIT;
    for (int i = 0; i < 3; i++) {
        struct play play;
        struct err err = ERR_INIT;
        assert_ok(play_plan(&play, 5,
                            i < 2 ? "{\"nemesis\": \"partition=2,kill,pause,power\", \"seed\": 7, "
                                    "\"nemesis-overlap\": \"3\", \"time-limit\": \"200s\"}"
                                  : "{\"nemesis\": \"partition=2,kill,pause,power\", \"seed\": 8, "
                                    "\"nemesis-overlap\": \"3\", \"time-limit\": \"200s\"}",
                            &err));
        play_run(&play, "schedule.jsonl");
        assert_true(play.log.length > 200);
        if (i == 0)
            buf_add_text(&first, play.log.data);
        else if (i == 1)
            assert_string_equal(play.log.data, first.data);
        else
            assert_string_not_equal(play.log.data, first.data);
        play_free(&play);
    }
    buf_free(&first);
}

static void weights_say_how_often(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 3,
                        "{\"nemesis\": \"kill=9,pause=1\", \"nemesis-interval\": \"4s\", "
                        "\"nemesis-duration\": \"1s\", \"time-limit\": \"3000s\"}",
                        &err));
    play_run(&play, "schedule.jsonl");
    size_t kills = count_of(&play, " kill"), pauses = count_of(&play, " pause");
    assert_in_range(kills, 500, 900);
    assert_in_range(pauses, 25, 150);
    assert_true(fake_is_whole(play.fake) || kills + pauses > 0);
    play_free(&play);
    /* In rounds each comes once a round, whatever the order. */
    assert_ok(play_plan(&play, 3, "{\"nemesis\": \"kill,pause\", \"time-limit\": \"400s\"}", &err));
    play_run(&play, "schedule.jsonl");
    kills = count_of(&play, " kill"), pauses = count_of(&play, " pause");
    assert_true(kills > 15 && kills <= pauses + 1 && pauses <= kills + 1);
    play_free(&play);
    expect_refusal("{\"nemesis\": \"kill=0\"}", "the weight of kill is not a number above 0");
    expect_refusal("{\"nemesis\": \"kill=2\", \"nemesis-order\": \"rounds\"}",
                   "weights are for nemesis-order=random");
}

static void several_are_in_force_at_once_but_not_those_that_clash(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 5,
                        "{\"nemesis\": \"partition,kill,pause\", \"nemesis-overlap\": \"4\", "
                        "\"time-limit\": \"600s\", \"nemesis-interval\": \"6s\"}",
                        &err));
    fake_set(play.fake, "kill.targets", "one");
    fake_set(play.fake, "pause.targets", "one");
    play_run(&play, "schedule.jsonl");
    assert_int_equal(play.overlap_max, 3); /* of four lanes: none is in force twice */
    assert_int_equal(count_of(&play, ":failed"), 0);
    play_free(&play);
    node_set a = 1, b = 2;
    assert_true(schedule_clash(&nemesis_kill, a, &nemesis_pause, a));
    assert_false(schedule_clash(&nemesis_kill, a, &nemesis_pause, b));
    assert_true(schedule_clash(&nemesis_kill, a, &nemesis_kill, b));
    assert_false(schedule_clash(&nemesis_partition, a | b, &nemesis_power, a));
    assert_true(schedule_clash(&nemesis_disk, a, &nemesis_partition, b)); /* it is alone */
    assert_false(schedule_clash(&nemesis_noop, a, &nemesis_kill, a));
    struct nemesis disks = {.name = "other", .hits = HITS_DISKS};
    assert_true(schedule_clash(&disks, a, &nemesis_power, b)); /* together more than a minority */
}

/* The disk wants to be alone: it must not wait for ever while others take turns. */
static void nobody_waits_for_ever(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 5,
                        "{\"time-limit\": \"300s\", \"schedule\": ["
                        "{\"nemesis\": \"disk\", \"interval\": \"9s\", \"duration\": \"1s\"},"
                        "{\"nemesis\": \"partition,pause,noop\", \"overlap\": \"8\", "
                        "\"interval\": \"4s\", \"duration\": \"3900ms\"}]}",
                        &err));
    fake_set(play.fake, "disk.stage", "plain");
    play_run(&play, "schedule.jsonl");
    size_t disks = count_of(&play, " lose-disk"), pauses = count_of(&play, " pause");
    assert_in_range(disks, 10, 40);
    assert_in_range(pauses, 10, 100);
    play_free(&play);
}

static int64_t gap_before(const struct play *play, double at_s)
{
    double last = 0, before = 0;
    for (const char *line = play->log.data; line != NULL && *line != '\0';) {
        double time = strtod(line, NULL);
        if (strstr(line, " pause") != NULL && strstr(line, " pause") < strchr(line, '\n')) {
            before = last;
            last = time;
            if (time > at_s)
                break;
        }
        line = strchr(line, '\n') + 1;
    }
    return (int64_t)((last - before) * 1000);
}

static void ramps_grow(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 3,
                        "{\"nemesis\": \"pause\", \"nemesis-interval\": \"20s..2s\", "
                        "\"nemesis-duration\": \"1s\", \"time-limit\": \"300s\"}",
                        &err));
    play_run(&play, "schedule.jsonl");
    assert_in_range(gap_before(&play, 30), 12000, 26000);
    assert_in_range(gap_before(&play, 290), 1000, 5000);
    play_free(&play);
    /* A second one joins in when half of the time is over. */
    assert_ok(play_plan(&play, 3,
                        "{\"nemesis\": \"pause,partition\", \"nemesis-overlap\": \"1..3\", "
                        "\"time-limit\": \"90s\"}",
                        &err));
    play_run(&play, "schedule.jsonl");
    assert_int_equal(play.overlap_max, 2);
    play_free(&play);
    expect_refusal("{\"nemesis\": \"pause\", \"nemesis-interval\": \"20s..\"}",
                   "nemesis-interval: '' is not a duration");
    expect_refusal("{\"nemesis\": \"pause\", \"nemesis-interval\": \"20s..2s\"}",
                   "longer than the nemesis-interval");
    expect_refusal("{\"nemesis\": \"pause\", \"nemesis-overlap\": \"9\"}",
                   "nemesis-overlap: '9' is not 1 to 8");
}

/* ---- Scripted ---- */

static void a_script_is_done_as_written(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(
        &play, 3,
        "{\"schedule\": ["
        "{\"at\": \"2s\", \"nemesis\": \"kill\", \"set\": {\"targets\": \"n2\"}, \"for\": \"1s\"},"
        "{\"at\": \"1s\", \"nemesis\": \"partition\", \"set\": {\"shape\": \"one\"}, "
        "\"until\": \"5s\"},"
        "{\"at\": \"2500ms\", \"nemesis\": \"pause\", "
        "\"value\": \"{:targets :named, :nodes [\\\"n1\\\" \\\"n3\\\"]}\", \"for\": \"1s\"}]}",
        &err));
    play_run(&play, "script.jsonl");
    /* Starting what was killed is watched for a second, and what is due meanwhile waits. */
    expect_log(&play, "1.000 start-partition\n"
                      "2.000 kill\n"
                      "2.500 pause\n"
                      "3.000 start\n"
                      "4.000 resume\n"
                      "5.000 stop-partition\n");
    assert_true(fake_is_whole(play.fake));
    play_free(&play);
}

static void steps_that_cannot_be_done_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *steps, *message;
    } cases[] = {
        {"{\"at\": \"1s\", \"nemesis\": \"kil\"}",
         "schedule: step 1: there is no nemesis 'kil'; did you mean 'kill'?"},
        {"{\"at\": \"1s\", \"nemesis\": \"kill\", \"fro\": \"2s\"}",
         "step 1: a step has no member 'fro'; did you mean 'f"},
        {"{\"at\": \"1s\", \"nemesis\": \"kill\", \"set\": {\"targets\": \"n9\"}}",
         "step 1: nemesis kill: kill.targets: no node is called 'n9'"},
        {"{\"at\": \"1s\", \"nemesis\": \"kill\", \"set\": {\"target\": \"n1\"}}",
         "step 1: set: the nemesis kill has no option 'target'"},
        {"{\"at\": \"1s\", \"nemesis\": \"pause\", \"value\": \"{:targets :named, :nodes "
         "[\\\"n4\\\"]}\"}",
         "step 1: the cluster has no node 'n4'"},
        {"{\"at\": \"1s\", \"nemesis\": \"pause\", \"value\": \"{:targets\"}",
         "step 1: value: not EDN"},
        {"{\"at\": \"70s\", \"nemesis\": \"kill\"}", "the run has only a time-limit of 60s"},
        {"{\"at\": \"3s\", \"until\": \"2s\", \"nemesis\": \"kill\"}",
         "until 2s is not after at 3s"},
        {"{\"at\": \"3s\", \"when\": \"begun\", \"nemesis\": \"kill\"}", "say at or when"},
        {"{\"at\": \"1s\", \"nemesis\": \"kill,pause\"}", "with at or when it is one nemesis"},
        {"{\"when\": \"begun\", \"nemesis\": \"kill\"}", "say of which nemesis"},
        {"{\"when\": \"full-moon\", \"nemesis\": \"kill\"}", "'full-moon' is none of new-primary"},
        {"{\"at\": \"1s\", \"for\": \"2s\", \"nemesis\": \"pause\", \"set\": {\"targets\": "
         "\"n1\"}}, {\"at\": \"2s\", \"for\": \"2s\", \"nemesis\": \"kill\", \"set\": "
         "{\"targets\": \"n1+n2\"}}",
         "step 2: kill overlaps with pause of schedule: step 1, and both lay hands on the same"},
        {"{\"at\": \"1s\", \"for\": \"2s\", \"nemesis\": \"kill\", \"set\": {\"targets\": "
         "\"n1\"}}, {\"at\": \"2s\", \"nemesis\": \"kill\", \"set\": {\"targets\": \"n2\"}}",
         "a nemesis is not in force twice at a time"},
        {"", "schedule: it has 0 steps"},
        {"5", "a step is an object such as"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf json = BUF_INIT;
        buf_printf(&json, "{\"schedule\": [%s]}", cases[i].steps);
        expect_refusal(json.data, cases[i].message);
        buf_free(&json);
    }
}

static void files_are_named_with_their_lines(void **state)
{
    (void)state;
    static const char text[] = "[\n  {\"at\": \"1s\", \"nemesis\": \"kill\", \"for\": \"1s\"},\n\n"
                               "  {\"at\": \"5s\",\n   \"nemesis\": \"meteor\"}\n]\n";
    struct err err = ERR_INIT;
    assert_ok(file_write("faults.json", text, strlen(text), &err));
    expect_refusal("{\"schedule\": \"faults.json\"}",
                   "faults.json:4: step 2: there is no nemesis 'meteor'");
    expect_refusal("{\"schedule\": \"absent.json\"}", "absent.json: No such file");
    assert_ok(file_write("faults.json", "{}", 2, &err));
    expect_refusal("{\"schedule\": \"faults.json\"}", "a schedule is a JSON array of steps");
}

/* ---- Triggered ---- */

static void elect(struct play *play)
{
    /* n1 leads, from 3 s on nobody, from 4 s on n2, from 20 s on n3, from 21 s on n2 again */
    int64_t ms = play->fake->now_ns / NS_PER_MS;
    play->fake->primaries = ms < 3000 ? 1 : ms < 4000 ? 0 : ms < 20000 ? 2 : ms < 21000 ? 4 : 2;
    watch_tell(play->watch, play->fake->primaries, play->fake->now_ns);
}

static void elections_pull_the_trigger(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 3,
                        "{\"time-limit\": \"30s\", \"schedule\": ["
                        "{\"when\": \"new-primary\", \"delay\": \"50ms\", \"nemesis\": "
                        "\"partition\", \"set\": {\"shape\": \"primaries\"}, \"for\": \"500ms\", "
                        "\"times\": 0}]}",
                        &err));
    play.between = elect;
    play_run(&play, "trigger.jsonl");
    expect_log(&play, "4.050 start-partition\n4.550 stop-partition\n"
                      "20.050 start-partition\n20.550 stop-partition\n"
                      "21.050 start-partition\n21.550 stop-partition\n");
    play_free(&play);
    /* Once is once; and one that began waits for another. */
    assert_ok(play_plan(&play, 3,
                        "{\"time-limit\": \"30s\", \"schedule\": ["
                        "{\"when\": \"no-primary\", \"nemesis\": \"pause\", \"set\": "
                        "{\"targets\": \"n1\"}, \"for\": \"2s\"},"
                        "{\"when\": \"ended\", \"of\": \"pause\", \"delay\": \"1s\", \"nemesis\": "
                        "\"kill\", \"set\": {\"targets\": \"n1\"}, \"for\": \"1s\"}]}",
                        &err));
    play.between = elect;
    play_run(&play, "trigger.jsonl");
    expect_log(&play, "3.000 pause\n5.000 resume\n6.000 kill\n7.000 start\n");
    play_free(&play);
    struct fake_control *fake = fake_new(3);
    fake->plan.values = json_object();
    fake->plan.arena = ARENA_INIT;
    struct json *steps;
    static const char text[] = "[{\"when\": \"new-primary\", \"nemesis\": \"kill\"}]";
    assert_ok(json_parse(text, strlen(text), "t", &steps, &err));
    json_set(fake->plan.values, "schedule", steps);
    assert_int_equal(schedule_read(&fake->plan, &err), ERR_CONFIG);
    assert_contains(err.message, "the system fake cannot tell which nodes lead");
    json_free(fake->plan.values);
    arena_free(&fake->plan.arena);
    fake_free(fake);
}

/* ---- Repeated ---- */

/* What a schedule.jsonl says that must be the same when it is repeated. */
static void resolved(const char *path, struct buf *out)
{
    struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(file_read(path, 1 << 20, &text, &err));
    char *rest = text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        struct json *json = NULL;
        if (*line == '\0')
            continue;
        assert_ok(json_parse(line, strlen(line), path, &json, &err));
        buf_printf(out, "%s %s %s %" PRId64 " ", json_as_text(json_get(json, "phase"), ""),
                   json_as_text(json_get(json, "nemesis"), ""),
                   json_as_text(json_get(json, "value"), ""),
                   json_as_int(json_get(json, "asked-ns"), 0));
        json_print(json_get(json, "nodes"), JSON_COMPACT, out);
        buf_add_text(out, json_as_bool(json_get(json, "verified"), false) ? "\n" : " ?\n");
        json_free(json);
    }
    buf_free(&text);
}

static void a_stored_schedule_is_repeated_exactly(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    struct buf first = BUF_INIT, second = BUF_INIT;
    assert_ok(play_plan(&play, 5,
                        "{\"nemesis\": \"partition,kill,pause,power\", \"seed\": 3, "
                        "\"time-limit\": \"300s\", \"nemesis-overlap\": \"2\"}",
                        &err));
    play_run(&play, "first.jsonl");
    resolved("first.jsonl", &first);
    play_free(&play);
    assert_true(strstr(first.data, ":isolated") != NULL && strstr(first.data, ":killed") != NULL);
    /* Others lead by now, and the seed is another. */
    assert_ok(play_plan(
        &play, 5, "{\"replay\": \"first.jsonl\", \"seed\": 99, \"time-limit\": \"300s\"}", &err));
    play.fake->primaries = 8;
    play_run(&play, "second.jsonl");
    resolved("second.jsonl", &second);
    assert_string_equal(second.data, first.data);
    assert_null(json_get(play.fake->plan.values, "replay")); /* the plan keeps the steps */
    assert_true(json_count(json_get(play.fake->plan.values, "schedule")) > 10);
    play_free(&play);
    buf_free(&first);
    buf_free(&second);
    /* A smaller cluster has not all of the nodes. */
    expect_refusal("{\"replay\": \"first.jsonl\", \"time-limit\": \"300s\"}",
                   "the cluster has no node 'n");
    expect_refusal("{\"replay\": \"first.jsonl\", \"time-limit\": \"20s\"}",
                   "the run has only a time-limit of 20s");
}

static void what_hits_others_than_then_is_not_the_same(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    /* A nemesis that does not know how to repeat resolves anew: noop hits nobody. */
    assert_ok(play_plan(&play, 3,
                        "{\"schedule\": [{\"at\": \"1s\", \"nemesis\": \"noop\", \"value\": "
                        "\":nothing\", \"done\": \":nothing\", \"hit\": [\"n1\"], \"for\": "
                        "\"1s\"}]}",
                        &err));
    play_run(&play, "other.jsonl");
    assert_int_equal(count_of(&play,
                              "[:not-verified \"there was nothing to do; but not the same as "
                              "then, which hit n1\"]"),
                     1);
    play_free(&play);
    static const char cut[] = "{\"fault\": 1, \"phase\": \"begin\"}\n";
    assert_ok(file_write("cut.jsonl", cut, strlen(cut), &err));
    expect_refusal("{\"replay\": \"cut.jsonl\"}", "cut.jsonl:1: it has no 'nemesis'");
    static const char failed[] =
        "{\"fault\":1,\"phase\":\"begin\",\"nemesis\":\"kill\",\"asked-ns\":1,\"asked\":\":a\","
        "\"value\":\"nil\",\"nodes\":[],\"error\":\"no\"}\n";
    assert_ok(file_write("failed.jsonl", failed, strlen(failed), &err));
    expect_refusal("{\"replay\": \"failed.jsonl\"}", "no fault of it took effect");
}

static void the_state_of_the_cluster_is_written_down(void **state)
{
    (void)state;
    struct play play;
    struct err err = ERR_INIT;
    assert_ok(play_plan(&play, 3,
                        "{\"time-limit\": \"30s\", \"schedule\": ["
                        "{\"at\": \"1s\", \"nemesis\": \"pause\", \"set\": {\"targets\": \"n1\"}, "
                        "\"for\": \"1s\"},"
                        "{\"at\": \"5s\", \"nemesis\": \"pause\", \"set\": {\"targets\": \"n1\"}, "
                        "\"for\": \"1s\"}]}",
                        &err));
    play.between = elect;
    play_run(&play, "state.jsonl");
    struct json *faults = faults_json(play.faults);
    const struct json *one = json_get(json_at(faults, 0), "state");
    assert_true(json_as_bool(json_get(one, "primary-hit"), false));
    assert_string_equal(json_as_text(json_at(json_get(one, "primaries"), 0), ""), "n1");
    assert_in_range(json_as_int(json_get(one, "seen-before-ns"), -1), 0, 10 * NS_PER_MS);
    one = json_get(json_at(faults, 1), "state");
    assert_false(json_as_bool(json_get(one, "primary-hit"), true));
    assert_int_equal(json_as_int(json_get(json_at(faults, 1), "step"), 0), 2);
    json_free(faults);
    play_free(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_makes_the_same_timeline),
        cmocka_unit_test(weights_say_how_often),
        cmocka_unit_test(several_are_in_force_at_once_but_not_those_that_clash),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(ramps_grow),
        cmocka_unit_test(a_script_is_done_as_written),
        cmocka_unit_test(steps_that_cannot_be_done_are_refused),
        cmocka_unit_test(files_are_named_with_their_lines),
        cmocka_unit_test(elections_pull_the_trigger),
        cmocka_unit_test(a_stored_schedule_is_repeated_exactly),
        cmocka_unit_test(what_hits_others_than_then_is_not_the_same),
        cmocka_unit_test(the_state_of_the_cluster_is_written_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
