/* A client of ActiveMQ for the queue workload, over STOMP 1.2: persistent messages whose receipts
 * are awaited, and acknowledgements of single messages.
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000}
 *   dequeue {:queue "q0"} -> {:message 7 :queue "q0" :id "4@9" :delivery 19 :retry 2000} or nil
 *   ack, nack: such a delivery
 *   length {:queue "q0"} -> {:queue "q0" :length 3}, what a browser sees, also what others hold
 *   drain {:queue "q0"} -> [{:message 7 ..} ..], acknowledged
 *
 * A queue is on one broker (system_node_of), whatever node a worker is of. STOMP knows no request
 * for a message: each dequeue subscribes, with room for one message, and unsubscribes when none
 * came in time. The subscription of a message lasts until it is acknowledged or given back, which
 * is to unsubscribe: a NACK would send it to the dead letters. The broker knows no leases: what is
 * held for as long as the message's :retry is given back, as a consumer's own time-out would.
 *
 * What other consumers hold a drain does not get, but a browser sees it: a drain is over only when
 * a browser sees nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/queue_body.h"
#include "workloads/systems/activemq/activemq.h"
#include "workloads/systems/common.h"

enum { HELD_MAX = 256, DRAIN_ROOM = 100, BROWSE_ROOM = 10000 };
static const int64_t drain_wait_ns = 200 * NS_PER_MS;

struct held {
    int64_t delivery, until_ns; /* it is given back then */
    uint64_t connection, subscription;
    uint32_t node;
    char ack[96]; /* what names it in an ACK, as the broker wrote it */
};

struct activemq_worker {
    struct test *test;
    struct stomp_link links[PLAN_NODES_MAX];
    struct held held[HELD_MAX];
    size_t held_count;
    int enqueue_f, dequeue_f, ack_f, nack_f, length_f, drain_f; /* -1: not in this run */
    int64_t timeout_ns, deadline_ns, wait_ns;
    size_t body_size;
    struct stomp_trouble trouble;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)node, (void)err;
    struct activemq_worker *worker = state;
    const struct options *options = &test->plan->options;
    worker->test = test;
    worker->enqueue_f = history_find_f(test->history, "enqueue");
    worker->dequeue_f = history_find_f(test->history, "dequeue");
    worker->ack_f = history_find_f(test->history, "ack");
    worker->nack_f = history_find_f(test->history, "nack");
    worker->length_f = history_find_f(test->history, "length");
    worker->drain_f = history_find_f(test->history, "drain");
    worker->body_size = (size_t)option_int(options, "activemq.body-size");
    worker->wait_ns = option_duration_ns(options, "activemq.wait");
    /* A little less than what the harness allows, for what happens around the request. */
    worker->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    for (uint32_t i = 0; i < test->node_count; i++)
        stomp_init(&worker->links[i], node_address(&test->nodes[i]), activemq_client_port(test));
    return ERR_NONE;
}

static void client_close(void *state)
{
    struct activemq_worker *worker = state;
    for (uint32_t i = 0; i < worker->test->node_count; i++)
        stomp_close(&worker->links[i]);
}

/* ---- Failing ---- */

/* Completes the operation by what befell its request. What only looks has failed in any case. */
enum effect { CHANGES, LOOKS, SENT_NOTHING };
static void complete(struct activemq_worker *worker, enum effect effect, struct op *op,
                     struct arena *scratch)
{
    const struct stream_trouble *trouble = &worker->trouble.stream;
    if (effect != CHANGES || trouble->outcome == STREAM_NOT_SENT)
        op_fail(op, scratch, trouble->error, trouble->detail);
    else
        op_info(op, scratch, trouble->error, trouble->detail);
}

/* ---- Frames ---- */

static void add_unsubscribe(struct buf *frames, uint64_t subscription, uint64_t receipt)
{
    buf_printf(frames, "UNSUBSCRIBE\nid:%" PRIu64 "\nreceipt:%" PRIu64 "\n\n", subscription,
               receipt);
    buf_add_char(frames, '\0');
}

static bool send_frames(struct activemq_worker *worker, struct stomp_link *link, struct buf *frames)
{
    bool sent = stomp_send(link, frames, worker->deadline_ns, &worker->trouble);
    buf_free(frames);
    return sent;
}

static bool unsubscribe(struct activemq_worker *worker, struct stomp_link *link,
                        uint64_t subscription)
{
    struct buf frames = BUF_INIT;
    uint64_t receipt = ++link->names;
    add_unsubscribe(&frames, subscription, receipt);
    return send_frames(worker, link, &frames) &&
           stomp_await_receipt(link, receipt, worker->deadline_ns, &worker->trouble);
}

/* With room for so many messages that are not acknowledged; 0: it could not be sent. */
static uint64_t subscribe(struct activemq_worker *worker, struct stomp_link *link,
                          const char *queue, int room, const char *headers)
{
    struct buf frames = BUF_INIT;
    uint64_t name = ++link->names;
    buf_printf(&frames,
               "SUBSCRIBE\nid:%" PRIu64 "\ndestination:/queue/%s\nactivemq.prefetchSize:%d\n%s\n",
               name, queue, room, headers);
    buf_add_char(&frames, '\0');
    return send_frames(worker, link, &frames) ? name : 0;
}

/* ---- What is held ---- */

static struct held *find_held(struct activemq_worker *worker, int64_t delivery)
{
    for (size_t i = 0; i < worker->held_count; i++)
        if (worker->held[i].delivery == delivery)
            return &worker->held[i];
    return NULL;
}

/* Gives back what is overdue, and forgets what the broker has taken back with its connection.
 * False, and the operation is complete: that failed. */
static bool give_back(struct activemq_worker *worker, struct op *op, struct arena *scratch)
{
    int64_t now_ns = clock_monotonic_ns();
    for (size_t i = worker->held_count; i-- > 0;) {
        struct held held = worker->held[i];
        struct stomp_link *link = &worker->links[held.node];
        bool ours = link->number == held.connection && link->stream.fd >= 0;
        if (ours && held.until_ns > now_ns && op->f != worker->drain_f)
            continue;
        worker->held[i] = worker->held[--worker->held_count];
        if (!ours || !stomp_is_connection(link, held.connection) ||
            unsubscribe(worker, link, held.subscription))
            continue;
        complete(worker, SENT_NOTHING, op, scratch); /* the operation itself was never begun */
        return false;
    }
    return true;
}

/* ---- Operations ---- */

static void do_enqueue(struct activemq_worker *worker, struct stomp_link *link, struct op *op,
                       struct arena *scratch)
{
    struct buf frames = BUF_INIT;
    uint64_t receipt = ++link->names;
    buf_printf(&frames, "SEND\ndestination:/queue/%s\npersistent:true\nreceipt:%" PRIu64 "\n\n",
               queue_named(op->value), receipt);
    queue_body_of(op->value, worker->body_size, &frames); /* it has no NUL */
    buf_add_char(&frames, '\0');
    if (send_frames(worker, link, &frames) &&
        stomp_await_receipt(link, receipt, worker->deadline_ns, &worker->trouble))
        op_ok(op);
    else
        complete(worker, CHANGES, op, scratch);
}

/* The next message of this subscription, whose ACK can be said; NULL in time: none came. What comes
 * of subscriptions that are over is the broker's again. False: see the trouble. */
static bool next_message(struct activemq_worker *worker, struct stomp_link *link,
                         uint64_t subscription, int64_t until_ns, struct stomp_frame *frame,
                         bool *came)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRIu64, subscription);
    for (*came = false; !*came && stomp_has(link, until_ns);) {
        if (!stomp_receive(link, worker->deadline_ns, frame, &worker->trouble))
            return false;
        *came = stomp_is(frame, "MESSAGE") && stomp_header_is(frame, "subscription", name);
    }
    struct stomp_text ack = *came ? stomp_header(frame, "ack") : (struct stomp_text){"", 0};
    if (ack.at != NULL && ack.length < sizeof((struct held *)NULL)->ack)
        return true;
    return stream_give_up(&link->stream, STREAM_LOST, "bad-reply",
                          "a message that cannot be acknowledged", &worker->trouble.stream);
}

static struct value delivery_of(const struct stomp_link *link, const struct stomp_frame *frame,
                                const char *queue, uint64_t subscription, struct arena *scratch)
{
    char name[64];
    snprintf(name, sizeof name, "%" PRIu64 "@%" PRIu64, subscription, link->number);
    const struct queue_delivery taken = {.text = frame->body.at,
                                         .length = frame->body.length,
                                         .queue = queue,
                                         .id = name,
                                         .delivery = queue_next_delivery()};
    return queue_delivery_value(&taken, scratch);
}

static void hold(struct activemq_worker *worker, uint32_t node, uint64_t subscription,
                 const struct stomp_frame *frame, struct value delivery)
{
    struct stomp_text ack = stomp_header(frame, "ack");
    int64_t lease_ms = queue_number(delivery, "retry", 60000);
    struct held *held = &worker->held[worker->held_count++];
    *held = (struct held){.delivery = queue_number(delivery, "delivery", 0),
                          .until_ns = clock_monotonic_ns() + lease_ms * NS_PER_MS,
                          .connection = worker->links[node].number,
                          .subscription = subscription,
                          .node = node};
    snprintf(held->ack, sizeof held->ack, "%.*s", (int)ack.length, ack.at);
}

static void do_dequeue(struct activemq_worker *worker, uint32_t node, struct op *op,
                       struct arena *scratch)
{
    struct stomp_link *link = &worker->links[node];
    struct stomp_frame frame;
    const char *queue = queue_named(op->value);
    if (worker->held_count == HELD_MAX) {
        op_fail(op, scratch, "holds-too-much", NULL);
        return;
    }
    int64_t until_ns = clock_monotonic_ns() + worker->wait_ns;
    uint64_t subscription = subscribe(worker, link, queue, 1, "ack:client-individual\n");
    bool came = false;
    bool good =
        subscription != 0 && next_message(worker, link, subscription, until_ns, &frame, &came);
    if (good && came) {
        op->value = delivery_of(link, &frame, queue, subscription, scratch);
        hold(worker, node, subscription, &frame, op->value);
        op_ok(op);
    } else if (good && unsubscribe(worker, link, subscription)) {
        op->value = value_nil(); /* what came meanwhile is the broker's again */
        op_ok(op);
    } else {
        complete(worker, CHANGES, op, scratch);
    }
}

/* All at once: a broker does what comes by one connection in its order, so that the receipt of the
 * last is one of all. */
static bool acknowledge(struct activemq_worker *worker, struct stomp_link *link,
                        const char *const *acks, size_t count)
{
    struct buf frames = BUF_INIT;
    uint64_t receipt = ++link->names;
    for (size_t i = 0; i < count; i++) {
        buf_printf(&frames, "ACK\nid:%s\n", acks[i]);
        if (i + 1 == count)
            buf_printf(&frames, "receipt:%" PRIu64 "\n", receipt);
        buf_add(&frames, "\n", 2); /* with its NUL */
    }
    return send_frames(worker, link, &frames) &&
           stomp_await_receipt(link, receipt, worker->deadline_ns, &worker->trouble);
}

static void do_settle(struct activemq_worker *worker, struct op *op, struct arena *scratch)
{
    struct held *found = find_held(worker, queue_number(op->value, "delivery", 0));
    if (found == NULL || !stomp_is_connection(&worker->links[found->node], found->connection)) {
        /* Nor can anybody else settle it: it is the broker's again. */
        op_fail(op, scratch, "not-held", NULL);
        return;
    }
    if (op->f == worker->nack_f && queue_number(op->value, "delay", 0) > 0) {
        op_fail(op, scratch, "unsupported", "what is given back has no delay");
        return;
    }
    struct held held = *found;
    struct stomp_link *link = &worker->links[held.node];
    *found = worker->held[--worker->held_count];
    bool acks = op->f == worker->ack_f;
    const char *const ack = held.ack;
    if (acks && !acknowledge(worker, link, &ack, 1)) {
        complete(worker, CHANGES, op, scratch);
        return;
    }
    /* An acknowledged message stays so, whatever becomes of the connection. */
    if (unsubscribe(worker, link, held.subscription) || acks)
        op_ok(op);
    else
        complete(worker, CHANGES, op, scratch);
}

/* How many messages a browser sees. False: see the trouble. */
static bool browse(struct activemq_worker *worker, struct stomp_link *link, const char *queue,
                   int64_t *count)
{
    struct stomp_frame frame;
    char name[32];
    uint64_t subscription = subscribe(worker, link, queue, BROWSE_ROOM, "ack:auto\nbrowser:true\n");
    snprintf(name, sizeof name, "%" PRIu64, subscription);
    *count = 0;
    for (bool end = false; !end;) {
        if (subscription == 0 ||
            !stomp_receive(link, worker->deadline_ns, &frame, &worker->trouble))
            return false;
        bool ours = stomp_is(&frame, "MESSAGE") && stomp_header_is(&frame, "subscription", name);
        end = ours && stomp_header_is(&frame, "browser", "end");
        *count += ours && !end;
    }
    return unsubscribe(worker, link, subscription);
}

static void do_length(struct activemq_worker *worker, struct stomp_link *link, struct op *op,
                      struct arena *scratch)
{
    int64_t count;
    if (!browse(worker, link, queue_named(op->value), &count)) {
        complete(worker, LOOKS, op, scratch);
        return;
    }
    op->value = queue_length_value(op->value, count, scratch);
    op_ok(op);
}

/* Takes and acknowledges what comes until nothing does. False: see the trouble. */
static bool take_all(struct activemq_worker *worker, struct stomp_link *link, const char *queue,
                     struct queue_taken *all, struct arena *scratch)
{
    struct stomp_frame frame;
    uint64_t subscription = subscribe(worker, link, queue, DRAIN_ROOM, "ack:client-individual\n");
    if (subscription == 0)
        return false;
    /* Acknowledged when all that has come was read: a receipt passes over messages. */
    const char **acks = arena_alloc(scratch, DRAIN_ROOM * sizeof *acks);
    size_t count = 0;
    for (bool came = true; came && count < DRAIN_ROOM;) {
        if (!next_message(worker, link, subscription, clock_monotonic_ns() + drain_wait_ns, &frame,
                          &came))
            return false;
        if (!came)
            break;
        struct stomp_text ack = stomp_header(&frame, "ack");
        queue_taken_add(all, delivery_of(link, &frame, queue, subscription, scratch), scratch);
        acks[count++] = arena_printf(scratch, "%.*s", (int)ack.length, ack.at);
    }
    return (count == 0 || acknowledge(worker, link, acks, count)) &&
           unsubscribe(worker, link, subscription);
}

static void do_drain(struct activemq_worker *worker, struct stomp_link *link, struct op *op,
                     struct arena *scratch)
{
    const char *queue = queue_named(op->value);
    struct queue_taken all = {.count = 0};
    for (int64_t left = 1; left > 0;) {
        if (!take_all(worker, link, queue, &all, scratch)) {
            complete(worker, CHANGES, op, scratch);
            break;
        }
        if (!browse(worker, link, queue, &left)) {
            complete(worker, LOOKS, op, scratch);
            break;
        }
        if (left == 0)
            op_ok(op);
        else if (clock_monotonic_ns() + 2 * drain_wait_ns >= worker->deadline_ns) {
            op_fail(op, scratch, "not-empty", "others hold messages of it still");
            break;
        }
    }
    if (op->type == OP_OK)
        op->value = value_items(scratch, VALUE_VECTOR, all.values, all.count);
    else if (all.count > 0)
        op->type = OP_INFO; /* what was taken before was taken */
}

/* ---- The client ---- */

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    struct activemq_worker *worker = state;
    int f = op->f;
    const char *queue = queue_named(op->value);
    uint32_t node = queue == NULL ? 0 : system_node_of(test, queue);
    struct stomp_link *link = &worker->links[node];
    bool settles = f == worker->ack_f || f == worker->nack_f;
    bool sends = f == worker->enqueue_f && value_is_int(value_get(op->value, "message"));
    bool asks = f == worker->dequeue_f || f == worker->length_f || f == worker->drain_f;
    if (queue == NULL || !(settles || sends || asks)) {
        op_fail(op, scratch, "unsupported",
                "activemq takes maps: enqueue {:message n :queue \"q\"}, dequeue {:queue \"q\"}, "
                "ack and nack of a delivery, length and drain {:queue \"q\"}");
        return;
    }
    worker->deadline_ns = clock_monotonic_ns() + worker->timeout_ns;
    if (!give_back(worker, op, scratch))
        return;
    if (!settles && !stomp_ready(link, worker->deadline_ns, &worker->trouble))
        complete(worker, SENT_NOTHING, op, scratch);
    else if (settles)
        do_settle(worker, op, scratch);
    else if (sends)
        do_enqueue(worker, link, op, scratch);
    else if (f == worker->dequeue_f)
        do_dequeue(worker, node, op, scratch);
    else if (f == worker->length_f)
        do_length(worker, link, op, scratch);
    else
        do_drain(worker, link, op, scratch);
}

const struct client activemq_queue_client = {
    .state_size = sizeof(struct activemq_worker),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
