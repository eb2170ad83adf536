/* The system activemq: STOMP's frames, and workers against a broker that answers as told. */
#include "workloads/systems/activemq/activemq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/line_server.h"
#include "tests/lib/test.h"
#include "workloads/queue_body.h"

/* ---- Frames ---- */

static enum stomp_read read_text(const char *text, size_t length, struct stomp_frame *frame)
{
    return stomp_frame_read(text, length, frame);
}
#define READ(text, frame) read_text(text, sizeof(text) - 1, frame)

static void frames_are_read(void **state)
{
    (void)state;
    struct stomp_frame frame;
    assert_int_equal(READ("\n\nMESSAGE\nid:1\nid:2\ncontent-length:3\n\na\0b\0more", &frame),
                     STOMP_WHOLE);
    assert_true(stomp_is(&frame, "MESSAGE"));
    assert_true(stomp_header_is(&frame, "id", "1")); /* the first counts */
    assert_false(stomp_header_is(&frame, "i", "1"));
    assert_null(stomp_header(&frame, "content").at);
    assert_int_equal(frame.body.length, 3);
    assert_int_equal(frame.length, 2 + 8 + 5 + 5 + 17 + 1 + 4);
    assert_int_equal(READ("RECEIPT\r\nreceipt-id:7\r\n\r\n\0", &frame), STOMP_WHOLE);
    assert_true(stomp_header_is(&frame, "receipt-id", "7"));
    assert_int_equal(READ("ERROR\n\nwhy\0", &frame), STOMP_WHOLE);
    assert_memory_equal(frame.body.at, "why", 3);
    assert_int_equal(frame.headers.length, 0);
}

static void frames_that_are_not_whole_or_none(void **state)
{
    (void)state;
    struct stomp_frame frame;
    assert_int_equal(READ("", &frame), STOMP_MORE);
    assert_int_equal(READ("\n\n", &frame), STOMP_MORE);
    assert_int_equal(READ("RECEIPT\nid:1\n", &frame), STOMP_MORE);
    assert_int_equal(READ("RECEIPT\nid:1\n\nbody", &frame), STOMP_MORE);
    assert_int_equal(READ("MESSAGE\ncontent-length:3\n\nab\0", &frame), STOMP_MORE);
    assert_int_equal(READ("MESSAGE\ncontent-length:1\n\nab\0", &frame), STOMP_NONSENSE);
    assert_int_equal(READ("MESSAGE\ncontent-length:-1\n\nab\0", &frame), STOMP_NONSENSE);
    assert_int_equal(READ("MESSAGE\ncontent-length:\n\nab\0", &frame), STOMP_NONSENSE);
    assert_int_equal(READ("MESSAGE\ncontent-length:9999999\n\nab\0", &frame), STOMP_NONSENSE);
    assert_int_equal(READ("MESSAGE\nno header\n\n\0", &frame), STOMP_NONSENSE);
    assert_int_equal(READ("MESS\0AGE\n\n\0", &frame), STOMP_NONSENSE);
    struct buf much = BUF_INIT;
    while (much.length < 20000)
        buf_add_text(&much, "long");
    assert_int_equal(stomp_frame_read(much.data, much.length, &frame), STOMP_NONSENSE);
    buf_free(&much);
}

/* ---- A test in which a worker can live ---- */

#define NUL LINE_SERVER_NUL
#define CONNECTED                                                                                  \
    {                                                                                              \
        "CONNECT", "CONNECTED\nversion:1.2\nserver:ActiveMQ/9\n\n" NUL "\n"                        \
    }
#define RECEIPT(n) "RECEIPT\nreceipt-id:" n "\n\n" NUL "\n"
#define MESSAGE(subscription, ack)                                                                 \
    "MESSAGE\nack:" ack "\nsubscription:" subscription "\n\nno body" NUL "\n"
#define BROWSED(subscription) "MESSAGE\nsubscription:" subscription "\n\nx" NUL "\n"
#define BROWSED_ALL(subscription) "MESSAGE\nbrowser:end\nsubscription:" subscription "\n\n" NUL "\n"
#define THE_REST                                                                                   \
    {                                                                                              \
        "", ""                                                                                     \
    } /* a request comes as many lines: one of them is answered */

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
    static const char *const names[] = {"enqueue", "dequeue", "ack", "nack", "length", "drain"};
    static const char *const bodied[] = {NULL};
    struct err err = ERR_INIT;
    char port[16];
    *world = (struct world){
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = 600 * NS_PER_MS},
        .node = {.name = "n1", .address = "127.0.0.1"}};
    line_server_start(&world->server, script, bodied);
    snprintf(port, sizeof port, "%u", (unsigned)world->server.port);
    json_set_text(world->plan.options.values, "activemq.client-port", port);
    json_set_text(world->plan.options.values, "activemq.sync", "periodic");
    option_defaults(&world->plan.options, "activemq", activemq_options);
    history_init(&world->history);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = &world->node, .node_count = 1, .history = &world->history};
    world->state = calloc(1, activemq_queue_client.state_size);
    assert_ok(activemq_queue_client.open(world->state, &world->test, 0, &err));
}

static void world_end(struct world *world)
{
    activemq_queue_client.close(world->state);
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
    activemq_queue_client.invoke(world->state, &world->test, &op, &world->scratch);
    return op;
}

static struct op ask_queue(struct world *world, const char *f)
{
    struct value items[] = {
        value_keyword(&world->scratch, "queue"), value_string(&world->scratch, "q0"),
        value_keyword(&world->scratch, "message"), value_int(&world->scratch, 7)};
    return ask(world, f, value_items(&world->scratch, VALUE_MAP, items, 4));
}

static void expect(struct op op, enum op_type type, const char *error)
{
    struct value value = value_is_pair(op.error) ? value_at(op.error, 0) : op.error;
    if (op.type != type || strcmp(value_as_text(value), error) != 0)
        fail_msg("outcome %d with %s, not %d with %s", (int)op.type, value_as_text(value),
                 (int)type, error);
}

/* ---- Tests ---- */

static void a_send_is_ok_by_its_receipt_alone(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        enum op_type type;
        const char *error;
    } cases[] = {
        {RECEIPT("1"), OP_OK, ""},
        {RECEIPT("2"), OP_INFO, "bad-reply"}, /* another's */
        {"ERROR\nmessage:no\n\n" NUL, OP_INFO, "error-frame"},
        {"nonsense\n\n" NUL, OP_INFO, "bad-reply"},
        {"-", OP_INFO, "connection-lost"},
        {"", OP_INFO, "timeout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line_answer script[] = {
            CONNECTED, {"SEND", cases[i].answer}, THE_REST, {NULL, NULL}};
        struct world world;
        world_begin(&world, script);
        expect(ask_queue(&world, "enqueue"), cases[i].type, cases[i].error);
        assert_int_equal(line_server_asked(&world.server, "SEND"), 1); /* it is not sent again */
        while (i == 0 && line_server_asked(&world.server, "persistent:true") == 0)
            clock_sleep_ns(NS_PER_MS); /* it is answered before it was read to its end */
        world_end(&world);
    }
}

static void what_was_never_sent_has_failed(void **state)
{
    (void)state;
    static const struct line_answer refuses[] = {
        {"CONNECT", "ERROR\nmessage:go away\n\n" NUL}, THE_REST, {NULL, NULL}};
    static const struct line_answer hangs[] = {THE_REST, {NULL, NULL}};
    struct world world;
    world_begin(&world, refuses);
    expect(ask_queue(&world, "enqueue"), OP_FAIL, "error-frame");
    assert_int_equal(line_server_asked(&world.server, "SEND"), 0);
    world_end(&world);
    world_begin(&world, hangs);
    expect(ask_queue(&world, "dequeue"), OP_FAIL, "timeout");
    line_server_stop(&world.server);
    expect(ask_queue(&world, "enqueue"), OP_FAIL, "connection-refused");
    line_server_start(&world.server, hangs, world.server.bodied); /* to be ended */
    world_end(&world);
}

static void deliveries_are_acknowledged_or_given_back(void **state)
{
    (void)state;
    static const struct line_answer script[] = {CONNECTED,
                                                {"SUBSCRIBE", MESSAGE("1", "ID\\c1")},
                                                {"ACK", RECEIPT("2")},
                                                {"UNSUBSCRIBE", RECEIPT("3")},
                                                /* what was pushed to the one before is not its */
                                                {"SUBSCRIBE", MESSAGE("1", "x") MESSAGE("4", "y")},
                                                {"UNSUBSCRIBE", RECEIPT("5")},
                                                THE_REST,
                                                {NULL, NULL}};
    struct world world;
    char ack[512];
    world_begin(&world, script);
    struct op first = ask_queue(&world, "dequeue");
    expect(first, OP_OK, "");
    assert_string_equal(value_as_text(value_get(first.value, "message")), "no body");
    expect(ask(&world, "ack", first.value), OP_OK, "");
    line_server_last(&world.server, "id:ID", ack);
    assert_string_equal(ack, "id:ID\\c1\n"); /* as the broker wrote it */
    expect(ask(&world, "ack", first.value), OP_FAIL, "not-held");
    struct op second = ask_queue(&world, "dequeue");
    expect(second, OP_OK, "");
    expect(ask(&world, "nack", second.value), OP_OK, "");
    assert_int_equal(line_server_asked(&world.server, "ACK"), 1);
    assert_int_equal(line_server_asked(&world.server, "NACK"), 0); /* to the dead letters */
    world_end(&world);
}

static void nothing_in_time_is_nil(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        CONNECTED,
        {"UNSUBSCRIBE", MESSAGE("1", "late") RECEIPT("2")}, /* it is the broker's again */
        {"UNSUBSCRIBE", "-"},
        THE_REST,
        {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op op = ask_queue(&world, "dequeue");
    expect(op, OP_OK, "");
    assert_true(value_is_nil(op.value));
    expect(ask_queue(&world, "dequeue"), OP_INFO, "connection-lost");
    world_end(&world);
}

static void lengths_are_what_a_browser_sees(void **state)
{
    (void)state;
    static const struct line_answer script[] = {
        CONNECTED,
        {"SUBSCRIBE", BROWSED("1") BROWSED("1") BROWSED("9") BROWSED_ALL("1")},
        {"UNSUBSCRIBE", RECEIPT("2")},
        {"SUBSCRIBE", "-"},
        THE_REST,
        {NULL, NULL}};
    struct world world;
    world_begin(&world, script);
    struct op op = ask_queue(&world, "length");
    expect(op, OP_OK, "");
    assert_int_equal(queue_number(op.value, "length", 0), 2);
    expect(ask_queue(&world, "length"), OP_FAIL, "connection-lost"); /* it only looked */
    world_end(&world);
}

static void a_drain_is_over_when_a_browser_sees_nothing(void **state)
{
    (void)state;
    static const struct line_answer whole[] = {CONNECTED,
                                               {"SUBSCRIBE", MESSAGE("1", "a")},
                                               {"ACK", RECEIPT("2")},
                                               {"UNSUBSCRIBE", RECEIPT("3")},
                                               {"SUBSCRIBE", BROWSED_ALL("4")},
                                               {"UNSUBSCRIBE", RECEIPT("5")},
                                               THE_REST,
                                               {NULL, NULL}};
    static const struct line_answer held[] = {CONNECTED,
                                              {"SUBSCRIBE", ""},
                                              {"UNSUBSCRIBE", RECEIPT("2")},
                                              {"SUBSCRIBE", BROWSED("3") BROWSED_ALL("3")},
                                              {"UNSUBSCRIBE", RECEIPT("4")},
                                              THE_REST,
                                              {NULL, NULL}};
    struct world world;
    world_begin(&world, whole);
    struct op op = ask_queue(&world, "drain");
    expect(op, OP_OK, "");
    assert_int_equal(value_count(op.value), 1);
    world_end(&world);
    world_begin(&world, held);
    expect(ask_queue(&world, "drain"), OP_FAIL, "not-empty"); /* others hold it */
    world_end(&world);
}

static void the_configuration_says_when_to_sync(void **state)
{
    (void)state;
    static const struct line_answer script[] = {{NULL, NULL}};
    struct world world;
    struct buf config = BUF_INIT;
    world_begin(&world, script);
    activemq_config(&world.test, 0, &config);
    assert_contains(config.data, "journalDiskSyncStrategy=\"periodic\"");
    assert_contains(config.data, "directory=\"/var/lib/ordeal-activemq/kahadb\"");
    assert_contains(config.data, "brokerName=\"n1\"");
    buf_free(&config);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read),
        cmocka_unit_test(frames_that_are_not_whole_or_none),
        cmocka_unit_test(a_send_is_ok_by_its_receipt_alone),
        cmocka_unit_test(what_was_never_sent_has_failed),
        cmocka_unit_test(deliveries_are_acknowledged_or_given_back),
        cmocka_unit_test(nothing_in_time_is_nil),
        cmocka_unit_test(lengths_are_what_a_browser_sees),
        cmocka_unit_test(a_drain_is_over_when_a_browser_sees_nothing),
        cmocka_unit_test(the_configuration_says_when_to_sync),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
