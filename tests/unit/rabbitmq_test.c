/* The client of RabbitMQ: what a broker's answers are taken for. The broker here is a script that
 * speaks just enough AMQP 0-9-1 for one client at a time. */
#include "tests/lib/test.h"

#ifndef ORDEAL_HAVE_LIBRABBITMQ

static void left_out(void **state)
{
    (void)state;
    test_skip("was built without librabbitmq");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(left_out)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "tests/lib/http_server.h"
#include "workloads/queue_body.h"
#include "workloads/systems/rabbitmq/rabbitmq.h"

/* ---- A broker ---- */

/* What it does when it is asked something on the channel: one step a request. */
enum act {
    ACT_ACK,      /* confirms */
    ACT_NACK,     /* refuses */
    ACT_RETURN,   /* returns the message, then confirms */
    ACT_EMPTY,    /* basic.get-empty */
    ACT_DELIVER,  /* basic.get-ok, with the body of message 7 */
    ACT_HALF,     /* the same without the body */
    ACT_QOS,      /* basic.qos-ok */
    ACT_LENGTH,   /* queue.declare-ok, 5 messages */
    ACT_NOT_HERE, /* channel.close 404 */
    ACT_SILENCE,
    ACT_HANG_UP,
};

struct broker {
    int listener;
    uint16_t port;
    pthread_t thread;
    const enum act *acts;
    size_t count, next;
    uint64_t published, delivered, settled; /* tags */
};

static bool get(int fd, void *data, size_t length)
{
    return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length;
}

static void put_frame(int fd, int type, int channel, const void *payload, size_t length)
{
    unsigned char head[7] = {(unsigned char)type, 0, (unsigned char)channel};
    uint32_t size = htonl((uint32_t)length);
    memcpy(head + 3, &size, 4);
    struct buf frame = BUF_INIT;
    buf_add(&frame, head, sizeof head);
    buf_add(&frame, payload, length);
    buf_add_char(&frame, (char)0xce);
    (void)!send(fd, frame.data, frame.length, MSG_NOSIGNAL);
    buf_free(&frame);
}

/* `arguments` is what follows the method's number. */
static void put_method(int fd, int channel, int class, int method, const void *arguments,
                       size_t length)
{
    unsigned char head[4] = {0, (unsigned char)class, 0, (unsigned char)method};
    struct buf payload = BUF_INIT;
    buf_add(&payload, head, sizeof head);
    buf_add(&payload, arguments, length);
    put_frame(fd, 1, channel, payload.data, payload.length);
    buf_free(&payload);
}

static void put_content(int fd, const char *body, size_t length, bool whole)
{
    unsigned char header[14] = {0, 60};
    header[11] = (unsigned char)length;
    put_frame(fd, 2, 1, header, sizeof header);
    if (whole)
        put_frame(fd, 3, 1, body, length);
}

static void add_tag(struct buf *out, uint64_t tag)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_add_char(out, (char)(tag >> shift & 0xff));
}

static void add_short_text(struct buf *out, const char *text)
{
    buf_add_char(out, (char)strlen(text));
    buf_add_text(out, text);
}

static void deliver(struct broker *broker, int fd, bool whole)
{
    struct buf ok = BUF_INIT, body = BUF_INIT;
    struct queue_body message = {.message = 7, .producer = 1, .sequence = 0, .retry_ms = 50};
    snprintf(message.queue, sizeof message.queue, "q0");
    queue_body_write(&message, 60, &body);
    add_tag(&ok, ++broker->delivered);
    buf_add_char(&ok, 0);
    add_short_text(&ok, "");
    add_short_text(&ok, "q0");
    buf_add(&ok, "\0\0\0\0", 4);
    put_method(fd, 1, 60, 71, ok.data, ok.length);
    put_content(fd, body.data, body.length, whole);
    buf_free(&ok);
    buf_free(&body);
}

static void confirm(struct broker *broker, int fd, int method)
{
    struct buf tag = BUF_INIT;
    add_tag(&tag, broker->published);
    buf_add_char(&tag, 0);
    put_method(fd, 1, 60, method, tag.data, tag.length);
    buf_free(&tag);
}

/* False: it hangs up. */
static bool act(struct broker *broker, int fd)
{
    static const char declared[] = "\2q0\0\0\0\5\0\0\0\0";
    static const char returned[] = "\1\x38\10NO_ROUTE\0\2q0";
    static const char closed[] = "\1\x94\11NOT_FOUND\0\0\0\0";
    enum act step = broker->next < broker->count ? broker->acts[broker->next++] : ACT_HANG_UP;
    switch (step) {
    case ACT_RETURN:
        put_method(fd, 1, 60, 50, returned, sizeof returned - 1);
        put_content(fd, "body", 4, true);
        confirm(broker, fd, 80);
        return true;
    case ACT_ACK:
        confirm(broker, fd, 80);
        return true;
    case ACT_NACK:
        confirm(broker, fd, 120);
        return true;
    case ACT_EMPTY:
        put_method(fd, 1, 60, 72, "\0", 1);
        return true;
    case ACT_DELIVER:
    case ACT_HALF:
        deliver(broker, fd, step == ACT_DELIVER);
        return true;
    case ACT_QOS:
        put_method(fd, 1, 60, 11, "", 0);
        return true;
    case ACT_LENGTH:
        put_method(fd, 1, 50, 11, declared, sizeof declared - 1);
        return true;
    case ACT_NOT_HERE:
        put_method(fd, 1, 20, 40, closed, sizeof closed - 1);
        return true;
    case ACT_SILENCE:
        return true;
    case ACT_HANG_UP:
        break;
    }
    return false;
}

/* Answers what opens a connection; what the script is about is told by `act`. */
static bool answer(struct broker *broker, int fd, int class, int method)
{
    static const char tune[] = "\0\0\0\2\0\0\0\0";
    switch (class * 1000 + method) {
    case 10011: /* connection.start-ok */
        put_method(fd, 0, 10, 30, tune, 8);
        return true;
    case 10031: /* tune-ok */
        return true;
    case 10040: /* open */
        put_method(fd, 0, 10, 41, "\0", 1);
        return true;
    case 20010: /* channel.open */
        broker->published = broker->delivered = 0;
        put_method(fd, 1, 20, 11, "\0\0\0\0", 4);
        return true;
    case 85010: /* confirm.select */
        put_method(fd, 1, 85, 11, "", 0);
        return true;
    case 60040: /* publish: its content comes first */
        broker->published++;
        return true;
    case 60080: /* ack */
    case 60120: /* nack */
        broker->settled++;
        return true; /* neither has an answer */
    default:
        return act(broker, fd);
    }
}

static void serve(struct broker *broker, int fd)
{
    char greeting[8];
    static const char start[] = "\0\x09\0\0\0\0\0\0\0\5PLAIN\0\0\0\5en_US";
    if (!get(fd, greeting, sizeof greeting))
        return;
    put_method(fd, 0, 10, 10, start, sizeof start - 1);
    for (;;) {
        unsigned char head[7], payload[1024];
        uint32_t size;
        if (!get(fd, head, sizeof head))
            return;
        memcpy(&size, head + 3, 4);
        size = ntohl(size);
        if (size + 1 > sizeof payload || !get(fd, payload, size + 1))
            return;
        bool goes_on = true;
        if (head[0] == 1)
            goes_on = answer(broker, fd, payload[1], payload[3]);
        else if (head[0] == 3) /* a published body is whole */
            goes_on = act(broker, fd);
        if (!goes_on)
            return;
    }
}

static void *run(void *state)
{
    struct broker *broker = state;
    for (int fd; (fd = accept(broker->listener, NULL, NULL)) >= 0;) {
        serve(broker, fd);
        close(fd);
    }
    return NULL;
}

/* ---- The client ---- */

struct world {
    struct broker broker;
    struct plan plan;
    struct node node;
    struct history history;
    struct test test;
    struct arena scratch;
    void *client;
};

enum { TIMEOUT_MS = 250 };

static void begin(struct world *world, const enum act *acts, size_t count)
{
    *world = (struct world){
        .broker = {.listener = socket(AF_INET, SOCK_STREAM, 0), .acts = acts, .count = count},
        .plan = {.options = {.values = json_object()}, .op_timeout_ns = TIMEOUT_MS * NS_PER_MS},
        .node = {.name = "n1", .address = "127.0.0.1"},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(world->broker.listener, (void *)&address, length), 0);
    assert_int_equal(listen(world->broker.listener, 8), 0);
    assert_int_equal(getsockname(world->broker.listener, (void *)&address, &length), 0);
    assert_int_equal(pthread_create(&world->broker.thread, NULL, run, &world->broker), 0);
    char port[16];
    snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    json_set_text(world->plan.options.values, "rabbitmq.client-port", port);
    option_defaults(&world->plan.options, "rabbitmq", rabbitmq_options);
    history_init(&world->history);
    static const char *const names[] = {"enqueue", "dequeue", "ack", "nack", "length", "drain"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        history_f(&world->history, names[i]);
    world->test = (struct test){
        .plan = &world->plan, .nodes = &world->node, .node_count = 1, .history = &world->history};
    struct err err = ERR_INIT;
    world->client = calloc(1, rabbitmq_queue_client.state_size);
    assert_int_equal(rabbitmq_queue_client.open(world->client, &world->test, 0, &err), ERR_NONE);
}

static void end(struct world *world)
{
    rabbitmq_queue_client.close(world->client);
    free(world->client);
    shutdown(world->broker.listener, SHUT_RDWR);
    pthread_join(world->broker.thread, NULL);
    close(world->broker.listener);
    history_free(&world->history);
    json_free(world->plan.options.values);
    arena_free(&world->scratch);
}

static struct value entry(struct world *world, const char *name, struct value value,
                          struct value map)
{
    struct value more[] = {value_keyword(&world->scratch, name), value};
    return queue_extended(&world->scratch, map, more, 2);
}

static struct op ask(struct world *world, const char *f, struct value value, enum op_type type,
                     const char *error)
{
    struct op op = {.type = OP_INVOKE, .f = history_f(&world->history, f), .value = value};
    struct buf text = BUF_INIT;
    rabbitmq_queue_client.invoke(world->client, &world->test, &op, &world->scratch);
    value_print(op.error, &text);
    if (op.type != type || strncmp(text.data, error, strlen(error)) != 0)
        fail_msg("%s: %s %s, not %s %s", f, op_type_name(op.type), text.data, op_type_name(type),
                 error);
    buf_free(&text);
    return op;
}

static struct value on_queue(struct world *world)
{
    return entry(world, "queue", value_string(&world->scratch, "q0"), value_nil());
}

static void enqueue(struct world *world, enum op_type type, const char *error)
{
    ask(world, "enqueue", entry(world, "message", value_int(NULL, 7), on_queue(world)), type,
        error);
}

#define BEGIN(world, ...)                                                                          \
    static const enum act acts[] = {__VA_ARGS__};                                                  \
    struct world world;                                                                            \
    begin(&world, acts, sizeof acts / sizeof *acts)

/* ---- Tests ---- */

static void a_publish_is_what_its_confirmation_says(void **state)
{
    (void)state;
    BEGIN(world, ACT_ACK, ACT_RETURN, ACT_ACK, ACT_NACK, ACT_NOT_HERE, ACT_SILENCE, ACT_HANG_UP,
          ACT_ACK);
    enqueue(&world, OP_OK, "nil");
    enqueue(&world, OP_FAIL, ":unroutable"); /* no queue was given it */
    enqueue(&world, OP_OK, "nil");
    enqueue(&world, OP_INFO, ":nacked"); /* mirrors may have it */
    enqueue(&world, OP_INFO, "[:channel-closed \"404 NOT_FOUND\"]");
    enqueue(&world, OP_INFO, "[:timeout");
    enqueue(&world, OP_INFO, "[:connection-lost");
    enqueue(&world, OP_OK, "nil");
    end(&world);
}

static void deliveries_are_held_until_they_are_settled(void **state)
{
    (void)state;
    BEGIN(world, ACT_EMPTY, ACT_DELIVER, ACT_QOS, ACT_DELIVER, ACT_QOS, ACT_LENGTH);
    assert_true(value_is_nil(ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value));
    struct value first = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    assert_int_equal(value_as_int(value_get(first, "message")), 7);
    assert_int_equal(value_as_int(value_get(first, "retry")), 50);
    ask(&world, "ack", first, OP_OK, "nil");
    ask(&world, "ack", first, OP_FAIL, ":not-held");
    struct value second = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    ask(&world, "nack", second, OP_OK, "nil");
    struct value length = ask(&world, "length", on_queue(&world), OP_OK, "nil").value;
    assert_int_equal(value_as_int(value_get(length, "length")), 5);
    assert_int_equal(world.broker.settled, 2);
    end(&world);
}

/* Tags are numbered by channel: an old one must never be said on a new one. */
static void what_came_by_another_channel_cannot_be_settled(void **state)
{
    (void)state;
    BEGIN(world, ACT_DELIVER, ACT_HANG_UP, ACT_DELIVER);
    struct value first = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    enqueue(&world, OP_INFO, "[:connection-lost");
    ask(&world, "ack", first, OP_FAIL, ":not-held");
    struct value second = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    ask(&world, "ack", first, OP_FAIL, ":not-held");
    assert_string_equal(value_as_text(value_get(first, "id")),
                        value_as_text(value_get(second, "id")));
    assert_int_equal(world.broker.settled, 0);
    end(&world);
}

static void what_is_overdue_is_given_back_first(void **state)
{
    (void)state;
    BEGIN(world, ACT_DELIVER, ACT_QOS, ACT_EMPTY);
    struct value first = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    clock_sleep_ns(60 * NS_PER_MS); /* longer than its lease of 50 ms */
    ask(&world, "dequeue", on_queue(&world), OP_OK, "nil");
    assert_int_equal(world.broker.settled, 1);
    ask(&world, "ack", first, OP_FAIL, ":not-held");
    end(&world);
}

static void what_is_not_answered_is_not_known(void **state)
{
    (void)state;
    BEGIN(world, ACT_HALF, ACT_NOT_HERE, ACT_DELIVER, ACT_SILENCE, ACT_NOT_HERE, ACT_DELIVER,
          ACT_NOT_HERE);
    ask(&world, "dequeue", on_queue(&world), OP_INFO, "[:timeout");
    ask(&world, "dequeue", on_queue(&world), OP_INFO, "[:channel-closed");
    struct value first = ask(&world, "dequeue", on_queue(&world), OP_OK, "nil").value;
    ask(&world, "ack", first, OP_INFO, "[:timeout");
    ask(&world, "length", on_queue(&world), OP_FAIL, "[:channel-closed"); /* only looked */
    ask(&world, "drain", on_queue(&world), OP_INFO, "[:channel-closed");
    end(&world);
}

static void drains_acknowledge_all(void **state)
{
    (void)state;
    BEGIN(world, ACT_DELIVER, ACT_DELIVER, ACT_EMPTY, ACT_QOS);
    struct value all = ask(&world, "drain", on_queue(&world), OP_OK, "nil").value;
    assert_int_equal(value_count(all), 2);
    assert_int_equal(world.broker.settled, 2);
    end(&world);
}

static void what_was_never_sent_has_failed(void **state)
{
    (void)state;
    BEGIN(world, ACT_ACK);
    char port[16];
    snprintf(port, sizeof port, "%u", http_free_port());
    json_set_text(world.plan.options.values, "rabbitmq.client-port", port);
    struct err err = ERR_INIT;
    rabbitmq_queue_client.close(world.client);
    memset(world.client, 0, rabbitmq_queue_client.state_size);
    assert_int_equal(rabbitmq_queue_client.open(world.client, &world.test, 0, &err), ERR_NONE);
    enqueue(&world, OP_FAIL, "[:connect-failed");
    ask(&world, "dequeue", on_queue(&world), OP_FAIL, "[:connect-failed");
    ask(&world, "drain", on_queue(&world), OP_FAIL, "[:connect-failed");
    ask(&world, "enqueue", value_nil(), OP_FAIL, "[:unsupported");
    end(&world);
}

static void files_say_what_was_chosen(void **state)
{
    (void)state;
    BEGIN(world, ACT_ACK);
    struct buf text = BUF_INIT;
    json_set_text(world.plan.options.values, "rabbitmq.partition", "autoheal");
    json_set_text(world.plan.options.values, "rabbitmq.queue-type", "mirrored");
    rabbitmq_config(&world.test, 0, &text);
    assert_non_null(strstr(text.data, "cluster_partition_handling = autoheal\n"));
    assert_non_null(strstr(text.data, "classic_config.nodes.1 = rabbit@127.0.0.1\n"));
    buf_clear(&text);
    rabbitmq_definitions(&world.test, &text);
    assert_non_null(strstr(text.data, "\"ha-mode\":\"all\""));
    struct json *json = NULL;
    assert_int_equal(json_parse(text.data, text.length, "definitions", &json, NULL), ERR_NONE);
    json_free(json);
    buf_free(&text);
    end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_is_what_its_confirmation_says),
        cmocka_unit_test(deliveries_are_held_until_they_are_settled),
        cmocka_unit_test(what_came_by_another_channel_cannot_be_settled),
        cmocka_unit_test(what_is_overdue_is_given_back_first),
        cmocka_unit_test(what_is_not_answered_is_not_known),
        cmocka_unit_test(drains_acknowledge_all),
        cmocka_unit_test(what_was_never_sent_has_failed),
        cmocka_unit_test(files_say_what_was_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
