/* The system disque: what its errors mean, and workers against a server that answers as told. */
#include "workloads/systems/disque/disque.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/line_server.h"
#include "tests/lib/test.h"
#include "workloads/queue_body.h"
#include "workloads/systems/systems.h"

static void only_what_is_certain_has_failed(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        enum op_type type;
        const char *error;
    } cases[] = {
        {"NOREPL Not enough reachable nodes for the requested replication level", OP_FAIL,
         "not-enough-nodes"},
        {"NOREPL Timeout reached before replicating to the requested number of nodes", OP_INFO,
         "not-replicated"},
        {"NOREPL job removed (expired?) before the requested replication level was achieved",
         OP_INFO, "not-replicated"},
        {"PAUSED Queue paused in input, try later", OP_FAIL, "paused"},
        {"LEAVING I'm leaving the cluster", OP_FAIL, "leaving"},
        {"NOJOB Job not known in the context of this node.", OP_FAIL, "not-found"},
        {"TOOLATE Half of job TTL already elapsed", OP_FAIL, "too-late"},
        {"BADID Invalid Job ID format.", OP_FAIL, "bad-id"},
        {"ERR syntax error", OP_FAIL, "bad-request"},
        {"ERR Internal error creating the job, check server logs", OP_INFO, "unexpected-reply"},
        {"", OP_INFO, "unexpected-reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct job_meaning meaning = disque_error_meaning(cases[i].message);
        assert_int_equal(meaning.type, cases[i].type);
        assert_string_equal(meaning.error, cases[i].error);
    }
}

/* ---- A test in which a worker can live ---- */

struct world {
    struct plan plan;
    struct node node;
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
    static const char *const bodied[] = {NULL};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 400 * NS_PER_MS},
        .node = {.address = "127.0.0.1"}};
    line_server_start(&world->server, script, bodied);
    snprintf(port, sizeof port, "%u", (unsigned)world->server.port);
    json_set_text(world->plan.options.values, "disque.client-port", port);
    option_defaults(&world->plan.options, "disque", disque_options);
    history_init(&world->history);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = &world->node, .node_count = 1, .history = &world->history};
    world->state = calloc(1, disque_queue_client.state_size);
    assert_ok(disque_queue_client.open(world->state, &world->test, 0, &err));
}

static void world_end(struct world *world)
{
    disque_queue_client.close(world->state);
    free(world->state);
    line_server_stop(&world->server);
    json_free(world->plan.options.values);
    history_free(&world->history);
    arena_free(&world->scratch);
}

/* A map of the queue q0 with one more number. */
static struct value map(struct world *world, const char *name, int64_t number)
{
    struct arena *scratch = &world->scratch;
    struct value items[] = {value_keyword(scratch, "queue"), value_string(scratch, "q0"),
                            value_keyword(scratch, name), value_int(scratch, number)};
    return value_items(scratch, VALUE_MAP, items, 4);
}

static struct op ask(struct world *world, const char *f, struct value value)
{
    struct op op = {
        .f = (uint16_t)history_f(&world->history, f), .type = OP_INVOKE, .value = value};
    disque_queue_client.invoke(world->state, &world->test, &op, &world->scratch);
    return op;
}

static void expect(struct op op, enum op_type type, const char *error)
{
    struct value value = value_is_pair(op.error) ? value_at(op.error, 0) : op.error;
    if (op.type != type || strcmp(value_as_text(value), error) != 0)
        fail_msg("outcome %d with %s, not %d with %s", (int)op.type, value_as_text(value),
                 (int)type, error);
}

static struct op ask_queue(struct world *world, const char *f)
{
    return ask(world, f, map(world, "count", 1));
}

/* One job as GETJOB answers it, with the body of message 7. */
static const char *one_job(void)
{
    static char text[256];
    struct buf body = BUF_INIT;
    const struct queue_body of = {
        .message = 7, .producer = 1, .sequence = 2, .retry_ms = 2000, .queue = "q0"};
    queue_body_write(&of, 60, &body);
    snprintf(text, sizeof text, "*1\r\n*3\r\n$2\r\nq0\r\n$4\r\nD-12\r\n$%zu\r\n%s\r\n", body.length,
             body.data);
    buf_free(&body);
    return text;
}

/* ---- Tests ---- */

static void jobs_are_added_with_whole_seconds(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        {"ADDJOB", "+D-12\r\n"}, {"ADDJOB", "-NOREPL Timeout reached\r\n"}, {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct value retry[] = {value_keyword(&world.scratch, "retry"),
                            value_int(&world.scratch, 1001)};
    struct value message = queue_extended(&world.scratch, map(&world, "message", 7), retry, 2);
    struct op op = ask(&world, "enqueue", message);
    expect(op, OP_OK, "");
    assert_string_equal(value_as_text(value_get(op.value, "id")), "D-12");
    expect(ask(&world, "enqueue", message), OP_INFO, "not-replicated");
    assert_int_equal(line_server_asked(&world.server, "RETRY"), 2);
    assert_int_equal(line_server_asked(&world.server, "2\r\n"), 2);
    assert_int_equal(line_server_asked(&world.server, "REPLICATE"), 2);
    world_end(&world);
}

static void deliveries_are_told_apart(void **state)
{
    (void)state;
    const struct line_answer script[] = {{"GETJOB", one_job()},
                                         {"GETJOB", one_job()},
                                         {"GETJOB", "*-1\r\n"},
                                         {"GETJOB", "*0\r\n"},
                                         {"GETJOB", "+what\r\n"},
                                         {"GETJOB", "*1\r\n:1\r\n"},
                                         {"GETJOB", "-LEAVING it is\r\n"},
                                         {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op first = ask_queue(&world, "dequeue"), second = ask_queue(&world, "dequeue");
    expect(first, OP_OK, "");
    assert_int_equal(queue_number(first.value, "message", 0), 7);
    assert_string_equal(value_as_text(value_get(first.value, "id")), "D-12");
    assert_int_not_equal(queue_number(first.value, "delivery", 0),
                         queue_number(second.value, "delivery", 0));
    for (int i = 0; i < 2; i++) {
        struct op op = ask_queue(&world, "dequeue");
        expect(op, OP_OK, "");
        assert_true(value_is_nil(op.value));
    }
    expect(ask_queue(&world, "dequeue"), OP_INFO, "bad-reply");
    expect(ask_queue(&world, "dequeue"), OP_INFO, "bad-reply");
    expect(ask_queue(&world, "dequeue"), OP_FAIL, "leaving");
    world_end(&world);
}

static void what_an_ack_did_is_known_only_when_it_counts(void **state)
{
    (void)state;
    const struct line_answer script[] = {{"GETJOB", one_job()},
                                         {"ACKJOB", ":1\r\n"},
                                         {"ACKJOB", ":0\r\n"},
                                         {"NACK", ":1\r\n"},
                                         {"NACK", ":0\r\n"},
                                         {"WORKING", ":2\r\n"},
                                         {"WORKING", "-NOJOB not here\r\n"},
                                         {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct value delivery = ask_queue(&world, "dequeue").value;
    expect(ask(&world, "ack", delivery), OP_OK, "");
    expect(ask(&world, "ack", delivery), OP_INFO, "not-known"); /* the node may spread it */
    expect(ask(&world, "nack", delivery), OP_OK, "");
    expect(ask(&world, "nack", delivery), OP_FAIL, "not-found");
    expect(ask(&world, "extend", delivery), OP_OK, "");
    expect(ask(&world, "extend", delivery), OP_FAIL, "not-found");
    struct value delay[] = {value_keyword(&world.scratch, "delay"), value_int(&world.scratch, 5)};
    delivery = queue_extended(&world.scratch, delivery, delay, 2);
    expect(ask(&world, "nack", delivery), OP_FAIL, "unsupported");
    world_end(&world);
}

static void lengths_count_each_job_once(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        {"JSCAN", "*2\r\n$1\r\n0\r\n*3\r\n$3\r\nD-1\r\n$3\r\nD-2\r\n$3\r\nD-1\r\n"},
        {"JSCAN", "*1\r\n$1\r\n0\r\n"},
        {"JSCAN", "-ERR what\r\n"},
        {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op op = ask_queue(&world, "length");
    expect(op, OP_OK, "");
    assert_int_equal(queue_number(op.value, "length", 0), 2);
    expect(ask_queue(&world, "length"), OP_FAIL, "bad-reply");
    expect(ask_queue(&world, "length"), OP_FAIL, "unexpected-reply");
    world_end(&world);
}

#define NO_JOBS "*2\r\n$1\r\n0\r\n*0\r\n"
#define A_JOB "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nD-1\r\n"

static void a_drain_is_over_when_no_node_has_a_job(void **state)
{
    (void)state;
    const struct line_answer later[] = {
        {"GETJOB", "*-1\r\n"}, {"JSCAN", A_JOB},   {"GETJOB", one_job()}, {"ACKJOB", ":1\r\n"},
        {"GETJOB", "*-1\r\n"}, {"JSCAN", NO_JOBS}, {NULL, NULL}};
    struct world world;
    world_begin(&world, later);
    struct op op = ask_queue(&world, "drain");
    expect(op, OP_OK, "");
    assert_int_equal(value_count(op.value), 1);
    world_end(&world);
}

static void a_drain_that_leaves_jobs_has_not_drained(void **state)
{
    (void)state;
    struct line_answer script[32];
    size_t count = 0;
    for (int i = 0; i < 14; i++) {
        script[count++] = (struct line_answer){"GETJOB", "*-1\r\n"};
        script[count++] = (struct line_answer){"JSCAN", A_JOB};
    }
    script[count++] = (struct line_answer){NULL, NULL};
    struct world world;
    world_begin(&world, script);
    expect(ask_queue(&world, "drain"), OP_FAIL, "not-empty"); /* nothing was taken */
    world_end(&world);
    const struct line_answer broken[] = {{"GETJOB", one_job()}, {"ACKJOB", ":0\r\n"}, {NULL, NULL}};
    world_begin(&world, broken);
    expect(ask_queue(&world, "drain"), OP_INFO, "not-acknowledged");
    world_end(&world);
}

static void without_a_binary_the_plan_is_refused(void **state)
{
    (void)state;
    static const char *const binaries[] = {"", "/no/such/disque-server"};
    static const char *const says[] = {"name it in disque.binary", "/no/such/disque-server"};
    for (size_t i = 0; i < 2; i++) {
        struct plan plan = {.options = {.values = json_object()}};
        struct err err = ERR_INIT;
        json_set_text(plan.options.values, "disque.binary", binaries[i]);
        option_defaults(&plan.options, "disque", disque_options);
        assert_int_equal(system_disque.check(&plan, &err), ERR_CONFIG);
        assert_contains(err.message, says[i]);
        json_free(plan.options.values);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_certain_has_failed),
        cmocka_unit_test(jobs_are_added_with_whole_seconds),
        cmocka_unit_test(deliveries_are_told_apart),
        cmocka_unit_test(what_an_ack_did_is_known_only_when_it_counts),
        cmocka_unit_test(lengths_count_each_job_once),
        cmocka_unit_test(a_drain_is_over_when_no_node_has_a_job),
        cmocka_unit_test(a_drain_that_leaves_jobs_has_not_drained),
        cmocka_unit_test(without_a_binary_the_plan_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
