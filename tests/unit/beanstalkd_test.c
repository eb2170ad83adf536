/* The system beanstalkd: its protocol's answers, what they are taken for, and workers against a
 * server that answers as told. */
#include "workloads/systems/beanstalkd/beanstalkd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/line_server.h"
#include "tests/lib/test.h"
#include "workloads/queue_body.h"
#include "workloads/systems/common.h"

/* ---- Answers ---- */

static void answers_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum beanstalk_read read;
        enum beanstalk_word word;
        uint64_t number;
        const char *body;
    } cases[] = {
        {"INSERTED 12\r\n", BEANSTALK_WHOLE, BEANSTALK_INSERTED, 12, NULL},
        {"BURIED 3\r\n", BEANSTALK_WHOLE, BEANSTALK_BURIED, 3, NULL},
        {"BURIED\r\n", BEANSTALK_WHOLE, BEANSTALK_BURIED, 0, NULL},
        {"RESERVED 5 4\r\nbody\r\n", BEANSTALK_WHOLE, BEANSTALK_RESERVED, 5, "body"},
        {"RESERVED 5 0\r\n\r\n", BEANSTALK_WHOLE, BEANSTALK_RESERVED, 5, ""},
        {"RESERVED 5 4\r\n\r\n\r\n\r\n", BEANSTALK_WHOLE, BEANSTALK_RESERVED, 5, "\r\n\r\n"},
        {"OK 3\r\nabc\r\n", BEANSTALK_WHOLE, BEANSTALK_OK, 0, "abc"},
        {"USING q0\r\n", BEANSTALK_WHOLE, BEANSTALK_USING, 0, "q0"},
        {"TIMED_OUT\r\n", BEANSTALK_WHOLE, BEANSTALK_TIMED_OUT, 0, NULL},
        {"NOT_FOUND\r\nDELETED\r\n", BEANSTALK_WHOLE, BEANSTALK_NOT_FOUND, 0, NULL},
        {"", BEANSTALK_MORE, 0, 0, NULL},
        {"INSERTED 12", BEANSTALK_MORE, 0, 0, NULL},
        {"INSERTED 12\r", BEANSTALK_MORE, 0, 0, NULL},
        {"RESERVED 5 4\r\nbody\r", BEANSTALK_MORE, 0, 0, NULL},
        {"RESERVED 5 4\r\nbodys\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"RESERVED 5\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"RESERVED 5 4 1\r\nbody\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"RESERVED 5 99999999\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"INSERTED\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"INSERTED -1\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"INSERTED 99999999999999999999\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"INSERTED  1\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"INSERTED 1\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"DELETED 1\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"deleted\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"\r\n", BEANSTALK_NONSENSE, 0, 0, NULL},
        {"\n", BEANSTALK_NONSENSE, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct beanstalk_reply reply;
        enum beanstalk_read read =
            beanstalk_reply_read(cases[i].bytes, strlen(cases[i].bytes), &reply);
        if (read != cases[i].read)
            fail_msg("'%s' is read as %d", cases[i].bytes, (int)read);
        if (read != BEANSTALK_WHOLE)
            continue;
        assert_int_equal(reply.word, cases[i].word);
        assert_int_equal(reply.number, cases[i].number);
        assert_int_equal(reply.body == NULL, cases[i].body == NULL);
        if (cases[i].body != NULL) {
            assert_int_equal(reply.body_length, strlen(cases[i].body));
            assert_memory_equal(reply.body, cases[i].body, reply.body_length);
        }
    }
}

static void a_line_without_end_is_nonsense(void **state)
{
    (void)state;
    char much[300];
    struct beanstalk_reply reply;
    memset(much, 'A', sizeof much);
    assert_int_equal(beanstalk_reply_read(much, 200, &reply), BEANSTALK_MORE);
    assert_int_equal(beanstalk_reply_read(much, sizeof much, &reply), BEANSTALK_NONSENSE);
}

static void statistics_are_found_by_their_whole_name(void **state)
{
    (void)state;
    static const char stats[] = "---\nname: q0\ncurrent-jobs-ready: 7\ncurrent-jobs: x\nlast: 9";
    size_t length = strlen(stats);
    assert_int_equal(beanstalk_stat(stats, length, "current-jobs-ready"), 7);
    assert_int_equal(beanstalk_stat(stats, length, "last"), 9);
    assert_int_equal(beanstalk_stat(stats, length, "current-jobs"), -1);
    assert_int_equal(beanstalk_stat(stats, length, "jobs-ready"), -1);
    assert_int_equal(beanstalk_stat(stats, length, "current"), -1);
    assert_int_equal(beanstalk_stat(stats, length - 1, "last"), -1); /* it ends before its number */
}

/* ---- A test in which a worker can live ---- */

#define SET_UP                                                                                     \
    {"use q0", "USING q0\r\n"}, {"watch q0", "WATCHING 2\r\n"},                                    \
    {                                                                                              \
        "ignore default", "WATCHING 1\r\n"                                                         \
    }

static const char *const bodied[] = {"put ", NULL};

struct world {
    struct plan plan;
    struct node nodes[3];
    struct history history;
    struct test test;
    struct arena scratch;
    void *state;
    struct line_server server;
};

static void world_begin(struct world *world, const struct line_answer *script)
{
    static const char *const names[] = {"enqueue", "dequeue", "ack",  "nack",
                                        "extend",  "length",  "drain"};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 400 * NS_PER_MS}};
    for (uint32_t i = 0; i < 3; i++)
        world->nodes[i] = (struct node){.index = i, .address = "127.0.0.1"};
    line_server_start(&world->server, script, bodied);
    snprintf(port, sizeof port, "%u", (unsigned)world->server.port);
    json_set_text(world->plan.options.values, "beanstalkd.client-port", port);
    option_defaults(&world->plan.options, "beanstalkd", beanstalkd_options);
    history_init(&world->history);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = world->nodes, .node_count = 3, .history = &world->history};
    world->state = calloc(1, beanstalkd_queue_client.state_size);
    assert_ok(beanstalkd_queue_client.open(world->state, &world->test, 0, &err));
}

static void world_end(struct world *world)
{
    beanstalkd_queue_client.close(world->state);
    free(world->state);
    line_server_stop(&world->server);
    json_free(world->plan.options.values);
    history_free(&world->history);
    arena_free(&world->scratch);
}

static struct op ask(struct world *world, const char *f, struct value value)
{
    struct op op = {
        .f = (uint16_t)history_f(&world->history, f), .type = OP_INVOKE, .value = value};
    beanstalkd_queue_client.invoke(world->state, &world->test, &op, &world->scratch);
    return op;
}

/* {:queue "q0"}, with further entries where they are named. */
static struct value map(struct world *world, const char *a, int64_t one, const char *b, int64_t two)
{
    struct arena *scratch = &world->scratch;
    struct value items[6] = {value_keyword(scratch, "queue"), value_string(scratch, "q0")};
    size_t count = 2;
    if (a != NULL) {
        items[count++] = value_keyword(scratch, a);
        items[count++] = value_int(scratch, one);
    }
    if (b != NULL) {
        items[count++] = value_keyword(scratch, b);
        items[count++] = value_int(scratch, two);
    }
    return value_items(scratch, VALUE_MAP, items, count);
}

static struct op ask_queue(struct world *world, const char *f)
{
    return ask(world, f, map(world, NULL, 0, NULL, 0));
}

static void expect(struct op op, enum op_type type, const char *error)
{
    struct value value = value_is_pair(op.error) ? value_at(op.error, 0) : op.error;
    if (op.type != type || strcmp(value_as_text(value), error) != 0)
        fail_msg("outcome %d with %s, not %d with %s", (int)op.type, value_as_text(value),
                 (int)type, error);
}

/* "RESERVED 5 .." with the body of message 7. */
static const char *reserved(int job)
{
    static char texts[8][256];
    static int next;
    struct buf body = BUF_INIT;
    const struct queue_body of = {
        .message = 7, .producer = 1, .sequence = 2, .retry_ms = 2000, .queue = "q0"};
    queue_body_write(&of, 60, &body);
    char *text = texts[next++ % 8];
    snprintf(text, 256, "RESERVED %d %zu\r\n%s\r\n", job, body.length, body.data);
    buf_free(&body);
    return text;
}

/* ---- What replies are taken for ---- */

static void puts_are_sorted_soundly(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"INSERTED 5\r\n", OP_OK, ""},
        {"BURIED 5\r\n", OP_INFO, "buried"},
        {"JOB_TOO_BIG\r\n", OP_FAIL, "too-big"},
        {"DRAINING\r\n", OP_FAIL, "draining"},
        {"EXPECTED_CRLF\r\n", OP_FAIL, "bad-request"},
        {"OUT_OF_MEMORY\r\n", OP_FAIL, "out-of-memory"},
        {"INTERNAL_ERROR\r\n", OP_INFO, "internal-error"},
        {"DELETED\r\n", OP_INFO, "unexpected-reply"},
        {"nonsense\r\n", OP_INFO, "bad-reply"},
        {"-", OP_INFO, "connection-lost"},
        {"", OP_INFO, "timeout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line_answer script[] = {SET_UP, {"put ", cases[i].answer}, {NULL, NULL}};
        struct world world;
        world_begin(&world, script);
        expect(ask(&world, "enqueue", map(&world, "message", 7, NULL, 0)), cases[i].type,
               cases[i].error);
        assert_int_equal(line_server_asked(&world.server, "put "), 1); /* it is not sent again */
        world_end(&world);
    }
}

static void what_was_never_sent_has_failed(void **state)
{
    (void)state;
    static const struct line_answer no_tube[] = {{"use q0", "USING q0\r\n"},
                                                 {"watch q0", "OUT_OF_MEMORY\r\n"},
                                                 {"ignore", "WATCHING 1\r\n"},
                                                 {NULL, NULL}};
    static const struct line_answer closes[] = {{"use", "-"}, {NULL, NULL}};
    static const struct line_answer hangs[] = {{"", ""}, {NULL, NULL}};
    struct world world;
    const struct {
        const struct line_answer *script;
        const char *error;
    } cases[] = {{no_tube, "tube-refused"}, {closes, "connection-lost"}, {hangs, "timeout"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_begin(&world, cases[i].script);
        expect(ask(&world, "enqueue", map(&world, "message", 7, NULL, 0)), OP_FAIL, cases[i].error);
        assert_int_equal(line_server_asked(&world.server, "put "), 0);
        world_end(&world);
    }
    world_begin(&world, closes);
    line_server_stop(&world.server);
    expect(ask_queue(&world, "dequeue"), OP_FAIL, "connection-refused");
    line_server_start(&world.server, closes, bodied); /* to be ended */
    world_end(&world);
}

static void times_are_rounded_up(void **state)
{
    (void)state;
    static const struct line_answer script[] = {SET_UP, {"put ", "INSERTED 5\r\n"}, {NULL, NULL}};
    struct world world;
    char put[512];
    world_begin(&world, script);
    expect(ask(&world, "enqueue", map(&world, "message", 7, "retry", 1001)), OP_OK, "");
    line_server_last(&world.server, "put ", put);
    assert_contains(put, "put 1000 0 2 100\r\n"); /* priority, delay, time to run, size */
    struct value delayed = map(&world, "message", 8, "delay", 1);
    expect(ask(&world, "enqueue", delayed), OP_OK, "");
    line_server_last(&world.server, "put ", put);
    assert_contains(put, "put 1000 1 60 100\r\n");
    expect(ask(&world, "enqueue", map(&world, "message", 9, "priority", 3)), OP_OK, "");
    line_server_last(&world.server, "put ", put);
    assert_contains(put, "put 997 0 60 100\r\n");
    assert_int_equal(world.server.connections, 1);
    world_end(&world);
}

/* ---- Deliveries ---- */

static void deliveries_are_settled_by_their_own_connection(void **state)
{
    (void)state;
    const struct line_answer script[] = {SET_UP,
                                         {"reserve-with-timeout 0", reserved(5)},
                                         {"reserve-with-timeout 0", reserved(6)},
                                         {"reserve-with-timeout 0", "-"},
                                         {"touch 5\r\n", "TOUCHED\r\n"},
                                         {"release 5 1000 1\r\n", "RELEASED\r\n"},
                                         {"delete 5\r\n", "NOT_FOUND\r\n"},
                                         {"delete 6\r\n", "DELETED\r\n"},
                                         {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op first = ask_queue(&world, "dequeue"), second = ask_queue(&world, "dequeue");
    expect(first, OP_OK, "");
    assert_int_equal(queue_number(first.value, "message", 0), 7);
    assert_int_equal(queue_number(first.value, "retry", 0), 2000);
    assert_string_not_equal(value_as_text(value_get(first.value, "id")),
                            value_as_text(value_get(second.value, "id")));
    expect(ask(&world, "extend", first.value), OP_OK, "");
    struct value delay[] = {value_keyword(&world.scratch, "delay"), value_int(&world.scratch, 5)};
    expect(ask(&world, "nack", queue_extended(&world.scratch, first.value, delay, 2)), OP_OK, "");
    expect(ask(&world, "ack", first.value), OP_FAIL, "not-found");
    /* The connection ends; by another one job 6 may be another's. */
    expect(ask_queue(&world, "dequeue"), OP_INFO, "connection-lost");
    expect(ask(&world, "ack", second.value), OP_FAIL, "not-held");
    assert_int_equal(line_server_asked(&world.server, "delete 6"), 0);
    world_end(&world);
}

static void nothing_ready_is_nil(void **state)
{
    (void)state;
    static const struct line_answer script[] = {SET_UP,
                                                {"reserve", "TIMED_OUT\r\n"},
                                                {"reserve", "DEADLINE_SOON\r\n"},
                                                {"reserve", "OUT_OF_MEMORY\r\n"},
                                                {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    for (int i = 0; i < 2; i++) {
        struct op op = ask_queue(&world, "dequeue");
        expect(op, OP_OK, "");
        assert_true(value_is_nil(op.value));
    }
    expect(ask_queue(&world, "dequeue"), OP_INFO, "out-of-memory"); /* it may have been taken */
    world_end(&world);
}

static void lengths_count_all_that_may_come(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        SET_UP,
        {"stats-tube q0", "OK 98\r\n---\ncurrent-jobs-ready: 1\ncurrent-jobs-reserved: 2\n"
                          "current-jobs-delayed: 4\ncurrent-jobs-buried: 8\n\r\n"},
        {"stats-tube q0", "OK 4\r\n---\n\r\n"},
        {"stats-tube q0", "-"},
        {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op op = ask_queue(&world, "length");
    expect(op, OP_OK, "");
    assert_int_equal(queue_number(op.value, "length", 0), 15);
    expect(ask_queue(&world, "length"), OP_FAIL, "bad-reply");
    expect(ask_queue(&world, "length"), OP_FAIL, "connection-lost");
    world_end(&world);
}

static void a_drain_that_breaks_off_may_have_taken(void **state)
{
    (void)state;
    const struct line_answer whole[] = {SET_UP,
                                        {"reserve", reserved(5)},
                                        {"reserve", "TIMED_OUT\r\n"},
                                        {"delete", "DELETED\r\n"},
                                        {NULL, NULL}};
    const struct line_answer broken[] = {SET_UP,
                                         {"reserve", reserved(5)},
                                         {"reserve", "BAD_FORMAT\r\n"},
                                         {"delete", "DELETED\r\n"},
                                         {NULL, NULL}};
    struct world world;
    world_begin(&world, whole);
    struct op op = ask_queue(&world, "drain");
    expect(op, OP_OK, "");
    assert_int_equal(value_count(op.value), 1);
    world_end(&world);
    world_begin(&world, broken);
    expect(ask_queue(&world, "drain"), OP_INFO, "bad-request");
    world_end(&world);
}

static void tubes_have_one_server_each(void **state)
{
    (void)state;
    static const struct line_answer script[] = {{NULL, NULL}};
    struct world world;
    bool used[3] = {false};
    world_begin(&world, script);
    for (int i = 0; i < 3; i++) {
        char tube[8];
        snprintf(tube, sizeof tube, "q%d", i);
        used[system_node_of(&world.test, tube)] = true;
    }
    assert_true(used[0] && used[1] && used[2]);
    world_end(&world);
}

static void options_decide_the_command_line(void **state)
{
    (void)state;
    static const struct {
        const char *binlog, *fsync, *end;
    } cases[] = {{"false", "always", "11300"},
                 {"true", "default", "/var/lib/ordeal-beanstalkd"},
                 {"true", "always", "-f0"},
                 {"true", "off", "-F"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct plan plan = {.options = {.values = json_object()}};
        struct node node = {.address = "10.0.0.1"};
        struct test test = {.plan = &plan, .nodes = &node, .node_count = 1};
        struct arena arena = ARENA_INIT;
        json_set_text(plan.options.values, "beanstalkd.binlog", cases[i].binlog);
        json_set_text(plan.options.values, "beanstalkd.fsync", cases[i].fsync);
        option_defaults(&plan.options, "beanstalkd", beanstalkd_options);
        const char *const *argv = beanstalkd_arguments(&test, 0, &arena);
        size_t count = 0;
        while (argv[count] != NULL)
            count++;
        assert_string_equal(argv[count - 1], cases[i].end);
        json_free(plan.options.values);
        arena_free(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read),
        cmocka_unit_test(a_line_without_end_is_nonsense),
        cmocka_unit_test(statistics_are_found_by_their_whole_name),
        cmocka_unit_test(puts_are_sorted_soundly),
        cmocka_unit_test(what_was_never_sent_has_failed),
        cmocka_unit_test(times_are_rounded_up),
        cmocka_unit_test(deliveries_are_settled_by_their_own_connection),
        cmocka_unit_test(nothing_ready_is_nil),
        cmocka_unit_test(lengths_count_all_that_may_come),
        cmocka_unit_test(a_drain_that_breaks_off_may_have_taken),
        cmocka_unit_test(tubes_have_one_server_each),
        cmocka_unit_test(options_decide_the_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
