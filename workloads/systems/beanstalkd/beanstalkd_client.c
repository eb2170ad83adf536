/* A client of beanstalkd for the queue workload.
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000}    put, TTR 2
 *   dequeue {:queue "q0"} -> {:message 7 :queue "q0" :id "5@9" :delivery 19 :retry 2000} or nil
 *   ack, nack, extend: such a delivery                                      delete, release, touch
 *   length {:queue "q0"} -> {:queue "q0" :length 3}
 *   drain {:queue "q0"} -> [{:message 7 ..} ..], all that was ready, deleted
 *
 * A queue is a tube, and a tube is on one server (system_node_of), whatever node a worker is
 * of. The protocol knows whole seconds: leases and delays are rounded up. What a connection has
 * reserved is ready again when the connection ends, and numbers of jobs may be given anew by a
 * server that lost them; so a delivery is named by its job and its connection ("5@9"), and what is
 * said of a delivery whose connection has ended is refused here. :priority p is 1000 - p, for the
 * smallest goes first; what is released goes back with 1000. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/queue_body.h"
#include "workloads/systems/beanstalkd/beanstalkd.h"
#include "workloads/systems/common.h"

enum { TUBES_MAX = 64, PRIORITY = 1000, DEFAULT_TTR_S = 60 };

struct beanstalkd_worker {
    struct test *test;
    struct beanstalk_link links[TUBES_MAX];
    size_t link_count;
    int enqueue_f, dequeue_f, ack_f, nack_f, extend_f, length_f, drain_f; /* -1: not in this run */
    int64_t timeout_ns, deadline_ns;
    size_t body_size;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)node, (void)err;
    struct beanstalkd_worker *worker = state;
    worker->test = test;
    worker->enqueue_f = history_find_f(test->history, "enqueue");
    worker->dequeue_f = history_find_f(test->history, "dequeue");
    worker->ack_f = history_find_f(test->history, "ack");
    worker->nack_f = history_find_f(test->history, "nack");
    worker->extend_f = history_find_f(test->history, "extend");
    worker->length_f = history_find_f(test->history, "length");
    worker->drain_f = history_find_f(test->history, "drain");
    worker->body_size = (size_t)option_int(&test->plan->options, "beanstalkd.body-size");
    /* A little less than what the harness allows, for what happens around the request. */
    worker->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return ERR_NONE;
}

static void client_close(void *state)
{
    struct beanstalkd_worker *worker = state;
    for (size_t i = 0; i < worker->link_count; i++)
        beanstalk_link_close(&worker->links[i]);
    worker->link_count = 0;
}

/* NULL: there are more tubes than anybody needs. */
static struct beanstalk_link *link_of(struct beanstalkd_worker *worker, const char *tube)
{
    for (size_t i = 0; i < worker->link_count; i++)
        if (strcmp(worker->links[i].tube, tube) == 0)
            return &worker->links[i];
    if (worker->link_count == TUBES_MAX)
        return NULL;
    struct beanstalk_link *link = &worker->links[worker->link_count++];
    uint32_t server = system_node_of(worker->test, tube);
    beanstalk_link_init(link, node_address(&worker->test->nodes[server]),
                        beanstalkd_client_port(worker->test), tube);
    return link;
}

/* ---- What replies mean ---- */

struct beanstalkd_meaning beanstalkd_meaning(enum beanstalkd_deed deed,
                                             const struct beanstalk_answer *answer)
{
    enum op_type unknown = deed == BEANSTALKD_LOOK ? OP_FAIL : OP_INFO;
    if (answer->outcome != BEANSTALK_REPLIED)
        return (struct beanstalkd_meaning){answer->outcome == BEANSTALK_UNSENT ? OP_FAIL : unknown,
                                           answer->trouble.error};
    switch (answer->reply.word) {
    case BEANSTALK_BAD_FORMAT:
    case BEANSTALK_UNKNOWN_COMMAND:
    case BEANSTALK_EXPECTED_CRLF:
        return (struct beanstalkd_meaning){OP_FAIL, "bad-request"};
    case BEANSTALK_JOB_TOO_BIG:
        return (struct beanstalkd_meaning){OP_FAIL, "too-big"};
    case BEANSTALK_DRAINING:
        return (struct beanstalkd_meaning){OP_FAIL, "draining"};
    case BEANSTALK_NOT_FOUND:
        return (struct beanstalkd_meaning){OP_FAIL, "not-found"};
    case BEANSTALK_OUT_OF_MEMORY:
        /* A job that is put is thrown away; one that is released is out of its lease already. */
        return (struct beanstalkd_meaning){deed == BEANSTALKD_PUT ? OP_FAIL : unknown,
                                           "out-of-memory"};
    case BEANSTALK_INTERNAL_ERROR:
        return (struct beanstalkd_meaning){unknown, "internal-error"};
    case BEANSTALK_BURIED:
        /* For lack of memory: the server has it, and gives it to nobody until it is kicked. */
        return (struct beanstalkd_meaning){unknown, "buried"};
    default:
        return (struct beanstalkd_meaning){unknown, "unexpected-reply"};
    }
}

static void complete(enum beanstalkd_deed deed, const struct beanstalk_answer *answer,
                     struct op *op, struct arena *scratch)
{
    struct beanstalkd_meaning meaning = beanstalkd_meaning(deed, answer);
    const char *detail = answer->outcome == BEANSTALK_REPLIED
                             ? beanstalk_word_name(answer->reply.word)
                             : answer->trouble.detail;
    if (meaning.type == OP_FAIL)
        op_fail(op, scratch, meaning.error, detail);
    else
        op_info(op, scratch, meaning.error, detail);
}

static void ask(struct beanstalkd_worker *worker, struct beanstalk_link *link, const char *request,
                struct beanstalk_answer *answer)
{
    beanstalk_ask(link, request, strlen(request), worker->deadline_ns, answer);
}

static bool says(const struct beanstalk_answer *answer, enum beanstalk_word word)
{
    return answer->outcome == BEANSTALK_REPLIED && answer->reply.word == word;
}

/* Nothing was ready: the second is said to who holds what is soon taken from it. */
static bool says_nothing(const struct beanstalk_answer *answer)
{
    return says(answer, BEANSTALK_TIMED_OUT) || says(answer, BEANSTALK_DEADLINE_SOON);
}

/* ---- Operations ---- */

static int64_t whole_seconds(int64_t ms)
{
    return ms <= 0 ? 0 : (ms + 999) / 1000;
}

static void do_enqueue(struct beanstalkd_worker *worker, struct beanstalk_link *link, struct op *op,
                       struct arena *scratch)
{
    struct buf body = BUF_INIT, request = BUF_INIT;
    struct beanstalk_answer answer;
    int64_t ttr_s = whole_seconds(queue_number(op->value, "retry", DEFAULT_TTR_S * 1000)),
            priority = queue_number(op->value, "priority", 0);
    priority = priority < 0 ? 0 : priority > PRIORITY ? PRIORITY : priority;
    queue_body_of(op->value, worker->body_size, &body);
    buf_printf(&request, "put %" PRId64 " %" PRId64 " %" PRId64 " %zu\r\n", PRIORITY - priority,
               whole_seconds(queue_number(op->value, "delay", 0)), ttr_s, body.length);
    buf_add(&request, body.data, body.length);
    buf_add_text(&request, "\r\n");
    beanstalk_ask(link, request.data, request.length, worker->deadline_ns, &answer);
    if (says(&answer, BEANSTALK_INSERTED))
        op_ok(op);
    else
        complete(BEANSTALKD_PUT, &answer, op, scratch);
    buf_free(&body);
    buf_free(&request);
}

static struct value taken(const struct beanstalk_link *link, const struct beanstalk_reply *reply,
                          struct arena *scratch)
{
    char id[64];
    snprintf(id, sizeof id, "%" PRIu64 "@%" PRIu64, reply->number, link->number);
    const struct queue_delivery delivery = {.text = reply->body,
                                            .length = reply->body_length,
                                            .queue = link->tube,
                                            .id = id,
                                            .delivery = queue_next_delivery()};
    return queue_delivery_value(&delivery, scratch);
}

static void do_dequeue(struct beanstalkd_worker *worker, struct beanstalk_link *link, struct op *op,
                       struct arena *scratch)
{
    struct beanstalk_answer answer;
    ask(worker, link, "reserve-with-timeout 0\r\n", &answer);
    if (says(&answer, BEANSTALK_RESERVED))
        op->value = taken(link, &answer.reply, scratch);
    else if (says_nothing(&answer))
        op->value = value_nil();
    else
        complete(BEANSTALKD_TAKE, &answer, op, scratch);
    if (says(&answer, BEANSTALK_RESERVED) || says_nothing(&answer))
        op_ok(op);
}

static void do_settle(struct beanstalkd_worker *worker, struct beanstalk_link *link, struct op *op,
                      struct arena *scratch)
{
    uint64_t job, connection;
    char request[96];
    struct beanstalk_answer answer;
    enum beanstalk_word due = BEANSTALK_DELETED;
    if (sscanf(value_as_text(value_get(op->value, "id")), "%" SCNu64 "@%" SCNu64, &job,
               &connection) != 2 ||
        !beanstalk_link_is(link, connection)) {
        op_fail(op, scratch, "not-held", "its connection has ended");
        return;
    }
    if (op->f == worker->ack_f) {
        snprintf(request, sizeof request, "delete %" PRIu64 "\r\n", job);
    } else if (op->f == worker->nack_f) {
        due = BEANSTALK_RELEASED;
        snprintf(request, sizeof request, "release %" PRIu64 " %d %" PRId64 "\r\n", job, PRIORITY,
                 whole_seconds(queue_number(op->value, "delay", 0)));
    } else {
        due = BEANSTALK_TOUCHED;
        snprintf(request, sizeof request, "touch %" PRIu64 "\r\n", job);
    }
    ask(worker, link, request, &answer);
    if (says(&answer, due))
        op_ok(op);
    else
        complete(BEANSTALKD_SETTLE, &answer, op, scratch);
}

static void do_length(struct beanstalkd_worker *worker, struct beanstalk_link *link, struct op *op,
                      struct arena *scratch)
{
    static const char *const states[] = {"current-jobs-ready", "current-jobs-reserved",
                                         "current-jobs-delayed", "current-jobs-buried"};
    char request[96];
    struct beanstalk_answer answer;
    int64_t length = 0;
    snprintf(request, sizeof request, "stats-tube %s\r\n", link->tube);
    ask(worker, link, request, &answer);
    if (!says(&answer, BEANSTALK_OK)) {
        complete(BEANSTALKD_LOOK, &answer, op, scratch);
        return;
    }
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        int64_t one = beanstalk_stat(answer.reply.body, answer.reply.body_length, states[i]);
        if (one < 0) {
            op_fail(op, scratch, "bad-reply", states[i]);
            return;
        }
        length += one;
    }
    op->value = queue_length_value(op->value, length, scratch);
    op_ok(op);
}

/* Takes one after the other until nothing is ready, deleting each. */
static void do_drain(struct beanstalkd_worker *worker, struct beanstalk_link *link, struct op *op,
                     struct arena *scratch)
{
    struct queue_taken all = {.count = 0};
    struct beanstalk_answer answer;
    char request[96];
    for (;;) {
        ask(worker, link, "reserve-with-timeout 0\r\n", &answer);
        if (says_nothing(&answer))
            break;
        if (says(&answer, BEANSTALK_RESERVED)) {
            queue_taken_add(&all, taken(link, &answer.reply, scratch), scratch);
            snprintf(request, sizeof request, "delete %" PRIu64 "\r\n", answer.reply.number);
            ask(worker, link, request, &answer);
            if (says(&answer, BEANSTALK_DELETED))
                continue;
        }
        complete(BEANSTALKD_TAKE, &answer, op, scratch);
        if (all.count > 0)
            op->type = OP_INFO; /* what was taken before was taken */
        return;
    }
    op->value = value_items(scratch, VALUE_VECTOR, all.values, all.count);
    op_ok(op);
}

/* ---- The client ---- */

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct beanstalkd_worker *worker = state;
    int f = op->f;
    const char *tube = queue_named(op->value);
    struct beanstalk_link *link = tube == NULL ? NULL : link_of(worker, tube);
    worker->deadline_ns = clock_monotonic_ns() + worker->timeout_ns;
    if (link != NULL && f == worker->enqueue_f && value_is_int(value_get(op->value, "message")))
        do_enqueue(worker, link, op, scratch);
    else if (link != NULL && f == worker->dequeue_f)
        do_dequeue(worker, link, op, scratch);
    else if (link != NULL && (f == worker->ack_f || f == worker->nack_f || f == worker->extend_f) &&
             value_kind(value_get(op->value, "id")) == VALUE_STRING)
        do_settle(worker, link, op, scratch);
    else if (link != NULL && f == worker->length_f)
        do_length(worker, link, op, scratch);
    else if (link != NULL && f == worker->drain_f)
        do_drain(worker, link, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "beanstalkd takes maps: enqueue {:message n :queue \"q\"}, dequeue {:queue \"q\"}, "
                "ack, nack and extend of a delivery, length and drain {:queue \"q\"}");
}

const struct client beanstalkd_queue_client = {
    .state_size = sizeof(struct beanstalkd_worker),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
