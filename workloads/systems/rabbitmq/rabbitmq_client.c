/* A client of RabbitMQ for the queue workloads: publisher confirms, basic.get with explicit
 * acknowledgements.
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000}
 *   dequeue {:queue "q0"} -> {:message 7 :queue "q0" :id "5" :delivery 19 :retry 2000} or nil
 *   ack, nack: such a delivery
 *   length {:queue "q0"} -> {:queue "q0" :length 3}, those that nobody holds
 *   drain {:queue "q0"} -> [{:message 7 ..} ..], all that was there, acknowledged
 *
 * RabbitMQ knows no leases: a consumer holds what it was given until it settles it or its channel
 * ends. So the client keeps the :retry of messages itself: what it has held for so long it gives
 * back, as a consumer's own time-out would. Acknowledgements have no answer; they are ok when the
 * channel has taken them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/queue_body.h"
#include "workloads/systems/rabbitmq/rabbitmq.h"

/* ---- What replies mean ---- */

/* What the broker closes a channel for it says before or after it did something, depending on what
 * else fails with it, and a basic.nack tells of an internal error of the queue, some of whose
 * mirrors may have the message: neither is certain. */
struct rabbitmq_meaning rabbitmq_meaning(enum rabbitmq_deed deed, const struct rabbit_reply *reply)
{
    enum op_type unknown = deed == RABBITMQ_LOOK ? OP_FAIL : OP_INFO;
    switch (reply->outcome) {
    case RABBIT_NOT_SENT:
        return (struct rabbitmq_meaning){OP_FAIL, reply->error};
    case RABBIT_RETURNED:
        /* Said before any queue was given it. */
        return (struct rabbitmq_meaning){OP_FAIL, "unroutable"};
    case RABBIT_REFUSED:
        return (struct rabbitmq_meaning){unknown, "nacked"};
    case RABBIT_CLOSED:
        return (struct rabbitmq_meaning){unknown, "channel-closed"};
    case RABBIT_LOST:
        return (struct rabbitmq_meaning){unknown, reply->error};
    case RABBIT_DONE:
    case RABBIT_EMPTY:
        break;
    }
    return (struct rabbitmq_meaning){unknown, "unexpected-reply"};
}

static void complete(struct op *op, struct arena *scratch, enum rabbitmq_deed deed,
                     const struct rabbit_reply *reply)
{
    struct rabbitmq_meaning meaning = rabbitmq_meaning(deed, reply);
    const char *detail = *reply->detail == '\0' ? NULL : reply->detail;
    if (meaning.type == OP_FAIL)
        op_fail(op, scratch, meaning.error, detail);
    else
        op_info(op, scratch, meaning.error, detail);
}

/* ---- A client ---- */

enum { HELD_MAX = 4096, DRAIN_ACK = 64 };

struct held {
    int64_t delivery;
    uint64_t tag;
    int64_t until_ns; /* it is given back then */
};

struct rabbitmq_client {
    struct rabbit_link *link;
    uint64_t epoch; /* of what is held */
    struct held held[HELD_MAX];
    size_t held_count;
    int enqueue_f, dequeue_f, ack_f, nack_f, length_f, drain_f; /* -1: not in this run */
    enum rabbit_confirm confirm;
    int64_t timeout_ns, deadline_ns;
    size_t body_size;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct rabbitmq_client *client = state;
    const struct options *options = &test->plan->options;
    client->enqueue_f = history_find_f(test->history, "enqueue");
    client->dequeue_f = history_find_f(test->history, "dequeue");
    client->ack_f = history_find_f(test->history, "ack");
    client->nack_f = history_find_f(test->history, "nack");
    client->length_f = history_find_f(test->history, "length");
    client->drain_f = history_find_f(test->history, "drain");
    client->confirm = option_bool(options, "rabbitmq.confirms") ? RABBIT_CONFIRM : RABBIT_SEND_ONLY;
    client->body_size = (size_t)option_int(options, "rabbitmq.body-size");
    /* A little less than what the harness allows, for what happens around the request. */
    client->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    client->link = rabbit_link_new(node_address(&test->nodes[node]), rabbitmq_client_port(test));
    return ERR_NONE;
}

static void client_close(void *state)
{
    struct rabbitmq_client *client = state;
    rabbit_link_close(client->link);
    client->link = NULL;
}

/* ---- What is held ---- */

/* What came by an earlier channel is the broker's again. */
static void notice_epoch(struct rabbitmq_client *client)
{
    if (client->epoch != rabbit_link_epoch(client->link))
        client->held_count = 0;
    client->epoch = rabbit_link_epoch(client->link);
}

static void hold(struct rabbitmq_client *client, int64_t delivery, uint64_t tag, int64_t retry_ms)
{
    int64_t lease_ns = retry_ms > 0 ? retry_ms * NS_PER_MS : INT64_MAX / 2;
    client->held[client->held_count++] = (struct held){
        .delivery = delivery, .tag = tag, .until_ns = clock_monotonic_ns() + lease_ns};
}

static struct held *find_held(struct rabbitmq_client *client, int64_t delivery)
{
    for (size_t i = 0; i < client->held_count; i++)
        if (client->held[i].delivery == delivery)
            return &client->held[i];
    return NULL;
}

/* Gives back what is overdue by then. False, and the operation is complete, when that failed. */
static bool give_back(struct rabbitmq_client *client, int64_t by_ns, struct op *op,
                      struct arena *scratch)
{
    uint64_t tags[HELD_MAX];
    size_t count = 0, kept = 0;
    notice_epoch(client);
    for (size_t i = 0; i < client->held_count; i++) {
        if (client->held[i].until_ns <= by_ns)
            tags[count++] = client->held[i].tag;
        else
            client->held[kept++] = client->held[i];
    }
    client->held_count = kept;
    if (count == 0)
        return true;
    struct rabbit_reply *reply =
        rabbit_settle(client->link, tags, count, RABBIT_REQUEUE, client->deadline_ns);
    if (reply->outcome == RABBIT_DONE)
        return true;
    /* The operation itself was never begun. */
    op_fail(op, scratch, "connection-lost", "before it was asked");
    return false;
}

/* ---- Operations ---- */

static void do_enqueue(struct rabbitmq_client *client, struct op *op, struct arena *scratch)
{
    struct buf body = BUF_INIT;
    queue_body_of(op->value, client->body_size, &body);
    struct rabbit_reply *reply = rabbit_publish(client->link, queue_named(op->value), body.data,
                                                body.length, client->confirm, client->deadline_ns);
    buf_free(&body);
    if (reply->outcome == RABBIT_DONE)
        op_ok(op);
    else
        complete(op, scratch, RABBITMQ_PUBLISH, reply);
}

/* The delivery that the reply brings. */
static struct value taken(struct rabbitmq_client *client, const char *queue,
                          const struct rabbit_reply *reply, struct arena *scratch)
{
    char id[32];
    snprintf(id, sizeof id, "%llu", (unsigned long long)reply->tag);
    struct queue_delivery delivery = {.text = buf_text(&reply->body),
                                      .length = reply->body.length,
                                      .queue = queue,
                                      .id = id,
                                      .delivery = queue_next_delivery()};
    struct value value = queue_delivery_value(&delivery, scratch);
    notice_epoch(client);
    hold(client, delivery.delivery, reply->tag, queue_number(value, "retry", 0));
    return value;
}

static void do_dequeue(struct rabbitmq_client *client, struct op *op, struct arena *scratch)
{
    const char *queue = queue_named(op->value);
    if (client->held_count == HELD_MAX) {
        op_fail(op, scratch, "holds-too-much", NULL);
        return;
    }
    struct rabbit_reply *reply = rabbit_get(client->link, queue, client->deadline_ns);
    if (reply->outcome == RABBIT_DONE)
        op->value = taken(client, queue, reply, scratch);
    else if (reply->outcome == RABBIT_EMPTY)
        op->value = value_nil();
    else
        complete(op, scratch, RABBITMQ_TAKE, reply);
    if (reply->outcome == RABBIT_DONE || reply->outcome == RABBIT_EMPTY)
        op_ok(op);
}

static void do_settle(struct rabbitmq_client *client, struct op *op, struct arena *scratch)
{
    struct held *held = find_held(client, queue_number(op->value, "delivery", 0));
    if (held == NULL) {
        /* Nor can anybody else settle it: its channel is gone, or it was given back. */
        op_fail(op, scratch, "not-held", NULL);
        return;
    }
    uint64_t tag = held->tag;
    *held = client->held[--client->held_count];
    enum rabbit_settle how = op->f == client->ack_f ? RABBIT_ACK : RABBIT_REQUEUE;
    struct rabbit_reply *reply = rabbit_settle(client->link, &tag, 1, how, client->deadline_ns);
    if (reply->outcome == RABBIT_DONE)
        op_ok(op);
    else
        complete(op, scratch, RABBITMQ_SETTLE, reply);
}

static void do_length(struct rabbitmq_client *client, struct op *op, struct arena *scratch)
{
    struct rabbit_reply *reply =
        rabbit_declare(client->link, queue_named(op->value), NULL, client->deadline_ns);
    if (reply->outcome == RABBIT_DONE) {
        op->value = queue_length_value(op->value, reply->ready, scratch);
        op_ok(op);
    } else {
        complete(op, scratch, RABBITMQ_LOOK, reply);
    }
}

/* Takes one after the other until nothing is left, acknowledging as it goes. */
static void do_drain(struct rabbitmq_client *client, struct op *op, struct arena *scratch)
{
    const char *queue = queue_named(op->value);
    struct queue_taken all = {.count = 0};
    uint64_t tags[DRAIN_ACK];
    size_t pending = 0;
    for (;;) {
        struct rabbit_reply *reply = rabbit_get(client->link, queue, client->deadline_ns);
        enum rabbit_outcome got = reply->outcome;
        if (got == RABBIT_DONE) {
            queue_taken_add(&all, taken(client, queue, reply, scratch), scratch);
            client->held_count--; /* it is acknowledged here */
            tags[pending++] = reply->tag;
        }
        if (pending == DRAIN_ACK || (got == RABBIT_EMPTY && pending > 0)) {
            reply = rabbit_settle(client->link, tags, pending, RABBIT_ACK, client->deadline_ns);
            pending = 0;
        }
        if (reply->outcome != RABBIT_DONE && reply->outcome != RABBIT_EMPTY) {
            complete(op, scratch, RABBITMQ_TAKE, reply);
            if (all.count > 0)
                op->type = OP_INFO; /* what was taken before was taken */
            return;
        }
        if (got == RABBIT_EMPTY)
            break;
    }
    op->value = value_items(scratch, VALUE_VECTOR, all.values, all.count);
    op_ok(op);
}

/* ---- The client ---- */

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct rabbitmq_client *client = state;
    int f = op->f;
    bool names = queue_named(op->value) != NULL;
    client->deadline_ns = clock_monotonic_ns() + client->timeout_ns;
    int64_t by_ns = f == client->drain_f ? INT64_MAX : clock_monotonic_ns();
    if (!give_back(client, by_ns, op, scratch))
        return;
    if (f == client->enqueue_f && names && value_is_int(value_get(op->value, "message")))
        do_enqueue(client, op, scratch);
    else if (f == client->dequeue_f && names)
        do_dequeue(client, op, scratch);
    else if ((f == client->ack_f || f == client->nack_f) &&
             value_is_int(value_get(op->value, "delivery")))
        do_settle(client, op, scratch);
    else if (f == client->length_f && names)
        do_length(client, op, scratch);
    else if (f == client->drain_f && names)
        do_drain(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "rabbitmq takes maps: enqueue {:message n :queue \"q\"}, dequeue {:queue \"q\"}, "
                "ack and nack of a delivery, length and drain {:queue \"q\"}");
}

const struct client rabbitmq_queue_client = {
    .state_size = sizeof(struct rabbitmq_client),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
