/* AMQP 0-9-1, as far as the benchmark needs it: a quorum queue, publisher confirms, a consumer with
 * as many unacknowledged as its pipeline is deep. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/queue_client.h"

enum { FRAME_METHOD = 1, FRAME_HEADER = 2, FRAME_BODY = 3, FRAME_END = 0xce, FRAME_HEAD = 7 };
enum { CONNECTION = 10, CHANNEL = 20, QUEUE = 50, BASIC = 60, CONFIRM = 85 };

struct payload {
    char bytes[512];
    size_t length;
};

static void number(struct payload *payload, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        payload->bytes[payload->length++] = (char)(value >> (8 * i));
}

static void text(struct payload *payload, const char *value, int length_bytes)
{
    size_t length = strlen(value);
    number(payload, length, length_bytes);
    memcpy(payload->bytes + payload->length, value, length);
    payload->length += length;
}

static struct payload method(uint32_t class_id, uint32_t method_id)
{
    struct payload payload = {.length = 0};
    number(&payload, class_id, 2);
    number(&payload, method_id, 2);
    return payload;
}

static void frame(struct bench_connection *connection, uint32_t type, uint32_t channel,
                  const char *bytes, size_t length)
{
    struct payload head = {.length = 0};
    number(&head, type, 1);
    number(&head, channel, 2);
    number(&head, length, 4);
    bench_put(&connection->out, head.bytes, head.length);
    bench_put(&connection->out, bytes, length);
    bench_put(&connection->out, "\xce", 1);
}

static uint64_t number_at(const char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

/* The next whole frame: its type, and its payload, which stays valid till the next fill. */
static int next_frame(struct bench_connection *connection, const char **bytes, size_t *length)
{
    struct bench_bytes *in = &connection->in;
    const char *begin = in->data + in->start;
    if (in->end - in->start < FRAME_HEAD)
        return 0;
    *length = number_at(begin + 3, 4);
    if (in->end - in->start < FRAME_HEAD + *length + 1)
        return 0;
    *bytes = begin + FRAME_HEAD;
    in->start += FRAME_HEAD + *length + 1;
    return (unsigned char)*begin;
}

static bool is_close(const char *bytes)
{
    uint64_t class_id = number_at(bytes, 2), method_id = number_at(bytes + 2, 2);
    return (class_id == CONNECTION && method_id == 50) || (class_id == CHANNEL && method_id == 40);
}

static uint64_t wait_method(struct bench_connection *connection, uint32_t class_id,
                            uint32_t method_id)
{
    const char *bytes;
    size_t length;
    bench_flush(connection);
    for (;;) {
        int type = next_frame(connection, &bytes, &length);
        if (type == 0) {
            bench_fill(connection);
            continue;
        }
        if (type == FRAME_METHOD && number_at(bytes, 2) == class_id &&
            number_at(bytes + 2, 2) == method_id)
            return length > 10 ? number_at(bytes + 4, 2) << 32 | number_at(bytes + 6, 4) : 0;
        if (type == FRAME_METHOD && is_close(bytes)) {
            fprintf(stderr, "queue_bench: amqp: refused: %.*s\n", (int)length - 7, bytes + 7);
            exit(1);
        }
    }
}

static void send_method(struct bench_connection *connection, uint32_t channel,
                        const struct payload *payload)
{
    frame(connection, FRAME_METHOD, channel, payload->bytes, payload->length);
}

static void log_in(struct bench_connection *connection)
{
    bench_put(&connection->out, "AMQP\0\0\x09\x01", 8);
    wait_method(connection, CONNECTION, 10);
    struct payload start = method(CONNECTION, 11);
    number(&start, 0, 4);
    text(&start, "PLAIN", 1);
    number(&start, 12, 4);
    memcpy(start.bytes + start.length, "\0guest\0guest", 12);
    start.length += 12;
    text(&start, "en_US", 1);
    send_method(connection, 0, &start);
    uint64_t tuned = wait_method(connection, CONNECTION, 30);
    struct payload tune = method(CONNECTION, 31);
    number(&tune, tuned >> 32, 2);
    number(&tune, tuned & 0xffffffff, 4);
    number(&tune, 0, 2);
    send_method(connection, 0, &tune);
    struct payload open = method(CONNECTION, 40);
    text(&open, "/", 1);
    number(&open, 0, 2);
    send_method(connection, 0, &open);
    wait_method(connection, CONNECTION, 41);
    struct payload channel = method(CHANNEL, 10);
    number(&channel, 0, 1);
    send_method(connection, 1, &channel);
    wait_method(connection, CHANNEL, 11);
}

static void amqp_open(struct bench_connection *connection, const char *queue, bool takes,
                      uint32_t pipeline)
{
    log_in(connection);
    struct payload declare = method(QUEUE, 10);
    number(&declare, 0, 2);
    text(&declare, queue, 1);
    number(&declare, 2, 1); /* durable */
    number(&declare, 1 + 12 + 1 + 4 + 6, 4);
    text(&declare, "x-queue-type", 1);
    number(&declare, 'S', 1);
    text(&declare, "quorum", 4);
    send_method(connection, 1, &declare);
    wait_method(connection, QUEUE, 11);
    if (!takes) {
        struct payload confirm = method(CONFIRM, 10);
        number(&confirm, 0, 1);
        send_method(connection, 1, &confirm);
        wait_method(connection, CONFIRM, 11);
        return;
    }
    struct payload prefetch = method(BASIC, 10);
    number(&prefetch, 0, 4);
    number(&prefetch, pipeline, 2);
    number(&prefetch, 0, 1);
    send_method(connection, 1, &prefetch);
    wait_method(connection, BASIC, 11);
    struct payload consume = method(BASIC, 20);
    number(&consume, 0, 2);
    text(&consume, queue, 1);
    text(&consume, "", 1);
    number(&consume, 0, 1);
    number(&consume, 0, 4);
    send_method(connection, 1, &consume);
    wait_method(connection, BASIC, 21);
}

static void amqp_add(struct bench_connection *connection, const char *queue, const char *body)
{
    struct payload publish = method(BASIC, 40), header = {.length = 0};
    number(&publish, 0, 2);
    text(&publish, "", 1);
    text(&publish, queue, 1);
    number(&publish, 0, 1);
    send_method(connection, 1, &publish);
    number(&header, BASIC, 2);
    number(&header, 0, 2);
    number(&header, BENCH_BODY, 8);
    number(&header, 0x1000, 2);
    number(&header, 2, 1); /* persistent */
    frame(connection, FRAME_HEADER, 1, header.bytes, header.length);
    frame(connection, FRAME_BODY, 1, body, BENCH_BODY);
}

/* A consumer is sent to without asking. */
static void amqp_take(struct bench_connection *connection, const char *queue)
{
    (void)connection;
    (void)queue;
}

static bool amqp_acknowledge(struct bench_connection *connection, const char *queue, const char *id)
{
    struct payload acknowledge = method(BASIC, 80);
    (void)queue;
    number(&acknowledge, strtoull(id, NULL, 10), 8);
    number(&acknowledge, 0, 1);
    send_method(connection, 1, &acknowledge);
    return false;
}

static enum bench_reply amqp_reply(struct bench_connection *connection, const char *queue)
{
    const char *bytes;
    size_t length;
    (void)queue;
    while (connection->acknowledged <= connection->tag) {
        int type = next_frame(connection, &bytes, &length);
        if (type == 0)
            return BENCH_MORE;
        if (type == FRAME_BODY)
            return BENCH_JOB;
        if (type != FRAME_METHOD || number_at(bytes, 2) != BASIC)
            continue;
        if (number_at(bytes + 2, 2) == 60) { /* deliver: header and body follow */
            snprintf(connection->id, BENCH_ID_MAX, "%llu",
                     (unsigned long long)number_at(bytes + 5 + (unsigned char)bytes[4], 8));
        } else if (number_at(bytes + 2, 2) == 80) { /* confirms, one or all up to it */
            uint64_t upto = number_at(bytes + 4, 8);
            connection->acknowledged = bytes[12] & 1 && upto > connection->acknowledged
                                           ? upto
                                           : connection->acknowledged + 1;
        } else {
            snprintf(connection->id, BENCH_ID_MAX, "a message was not taken");
            return BENCH_ERROR;
        }
    }
    connection->tag++;
    return BENCH_DONE;
}

const struct bench_protocol bench_amqp = {.name = "amqp",
                                          .pushes = true,
                                          .open = amqp_open,
                                          .add = amqp_add,
                                          .take = amqp_take,
                                          .acknowledge = amqp_acknowledge,
                                          .reply = amqp_reply};
