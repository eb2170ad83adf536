/* A client of Disque for the queue workload; each worker asks its own node.
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000} -> the same with :id
 *   dequeue {:queue "q0"} -> {:message 7 :queue "q0" :id "D-.." :delivery 19 :retry 2000} or nil
 *   ack, nack, extend: such a delivery
 *   length {:queue "q0"} -> {:queue "q0" :length 3}, the jobs that any node may yet deliver
 *   drain {:queue "q0"} -> [{:message 7 ..} ..], acknowledged
 *
 * Times are whole seconds, rounded up. A job is on several nodes and queued on one, which may be
 * another one a moment later: so the length counts the jobs that are on any node (JSCAN), each
 * once, and a drain is over only when no node has one, or it has failed.
 *
 * An acknowledgement of a job that the node does not know, or that is acknowledged already, is
 * answered by 0, and may be kept by the node to be spread: what comes of it is not known. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/queue_body.h"
#include "workloads/systems/disque/disque.h"

enum { DRAIN_AT_ONCE = 100, DRAIN_PAUSE_MS = 100 };

struct disque_worker {
    struct test *test;
    struct job_words words;                      /* to its own node */
    struct redis_client *others[PLAN_NODES_MAX]; /* to be looked at; NULL: not yet, or its own */
    uint32_t node;
    int enqueue_f, dequeue_f, ack_f, nack_f, extend_f, length_f, drain_f; /* -1: not in this run */
    int64_t timeout_ns, deadline_ns, wait_ms;
    size_t body_size;
    uint32_t replicas;
    bool async;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct disque_worker *worker = state;
    const struct options *options = &test->plan->options;
    worker->test = test;
    worker->node = node;
    worker->enqueue_f = history_find_f(test->history, "enqueue");
    worker->dequeue_f = history_find_f(test->history, "dequeue");
    worker->ack_f = history_find_f(test->history, "ack");
    worker->nack_f = history_find_f(test->history, "nack");
    worker->extend_f = history_find_f(test->history, "extend");
    worker->length_f = history_find_f(test->history, "length");
    worker->drain_f = history_find_f(test->history, "drain");
    worker->body_size = (size_t)option_int(options, "disque.body-size");
    worker->wait_ms = option_duration_ns(options, "disque.wait") / NS_PER_MS;
    worker->replicas = disque_replicas(test);
    worker->async = option_bool(options, "disque.async");
    /* A little less than what the harness allows, for what happens around the request. */
    worker->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return redis_open(node_address(&test->nodes[node]), disque_client_port(test),
                      &worker->words.redis, err);
}

static void client_close(void *state)
{
    struct disque_worker *worker = state;
    job_words_free(&worker->words);
    for (uint32_t i = 0; i < PLAN_NODES_MAX; i++)
        redis_close(worker->others[i]);
    memset(worker->others, 0, sizeof worker->others);
}

/* ---- What errors mean ---- */

/* An error begins with its word. What is refused before a job is made, or looked up, is certain. */
struct job_meaning disque_error_meaning(const char *message)
{
    static const struct {
        const char *text;
        enum op_type type;
        const char *error;
    } rows[] = {
        {"NOREPL Not enough reachable nodes", OP_FAIL, "not-enough-nodes"},
        {"NOREPL", OP_INFO, "not-replicated"}, /* "may still be delivered later" */
        {"PAUSED", OP_FAIL, "paused"},
        {"MAXLEN", OP_FAIL, "full"},
        {"LEAVING", OP_FAIL, "leaving"},
        {"OOM", OP_FAIL, "out-of-memory"},
        {"LOADING", OP_FAIL, "loading"},
        {"NOJOB", OP_FAIL, "not-found"},
        {"TOOLATE", OP_FAIL, "too-late"},
        {"BADID", OP_FAIL, "bad-id"},
        {"NOAUTH", OP_FAIL, "not-authenticated"},
        {"ERR syntax", OP_FAIL, "bad-request"},
        {"ERR unknown command", OP_FAIL, "unsupported"},
        {"ERR wrong number of arguments", OP_FAIL, "bad-request"},
        {"ERR With RETRY set to 0", OP_FAIL, "bad-request"},
        {"ERR The specified DELAY", OP_FAIL, "bad-request"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (text_starts(message, rows[i].text))
            return (struct job_meaning){rows[i].type, rows[i].error};
    return (struct job_meaning){OP_INFO, "unexpected-reply"};
}

static const struct redis_value *ask(struct disque_worker *worker, enum job_effect effect,
                                     struct op *op, struct arena *scratch)
{
    int64_t left_ns = worker->deadline_ns - clock_monotonic_ns();
    return job_ask(&worker->words, effect, disque_error_meaning, left_ns > 0 ? left_ns : 1, op,
                   scratch);
}

/* ---- Adding ---- */

static void add_seconds(struct disque_worker *worker, struct value map, const char *name,
                        const char *word)
{
    int64_t ms = queue_number(map, name, -1);
    if (ms < 0)
        return;
    job_add(&worker->words, word);
    job_add_number(&worker->words, (ms + 999) / 1000);
}

static void do_enqueue(struct disque_worker *worker, struct op *op, struct arena *scratch)
{
    struct job_words *words = &worker->words;
    struct buf body = BUF_INIT;
    queue_body_of(op->value, worker->body_size, &body);
    job_begin(words, "ADDJOB");
    job_add(words, queue_named(op->value));
    job_add_bytes(words, body.data, body.length);
    buf_free(&body);
    /* It says that too few nodes have it before we give up. */
    job_add_number(words, worker->timeout_ns / NS_PER_MS * 9 / 10);
    job_add(words, "REPLICATE");
    job_add_number(words, queue_number(op->value, "retry", 1) == 0 ? 1 : worker->replicas);
    add_seconds(worker, op->value, "delay", "DELAY");
    add_seconds(worker, op->value, "retry", "RETRY");
    add_seconds(worker, op->value, "ttl", "TTL");
    if (worker->async)
        job_add(words, "ASYNC");
    const struct redis_value *reply = ask(worker, JOB_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    const char *id = redis_text(reply, NULL);
    if (redis_kind(reply) != REDIS_STATUS || !text_starts(id, "D-")) {
        job_bad_reply(JOB_CHANGES, op, scratch, id);
        return;
    }
    struct value more[] = {value_keyword(scratch, "id"), value_string(scratch, id)};
    op->value = queue_extended(scratch, op->value, more, 2);
    op_ok(op);
}

/* ---- Taking ---- */

/* Asks for jobs. NULL: the operation is complete. */
static const struct redis_value *get(struct disque_worker *worker, const char *queue, int64_t count,
                                     int64_t wait_ms, struct op *op, struct arena *scratch)
{
    struct job_words *words = &worker->words;
    job_begin(words, "GETJOB");
    if (wait_ms > 0) {
        job_add(words, "TIMEOUT");
        job_add_number(words, wait_ms);
    } else {
        job_add(words, "NOHANG");
    }
    job_add(words, "COUNT");
    job_add_number(words, count);
    job_add(words, "FROM");
    job_add(words, queue);
    const struct redis_value *reply = ask(worker, JOB_CHANGES, op, scratch);
    if (reply == NULL || redis_kind(reply) == REDIS_NIL || redis_kind(reply) == REDIS_ARRAY)
        return reply;
    job_bad_reply(JOB_CHANGES, op, scratch, "not jobs");
    return NULL;
}

/* False: it is no job, and the operation is complete. */
static bool taken(const struct redis_value *reply, size_t index, struct value *value, struct op *op,
                  struct arena *scratch)
{
    struct job job;
    if (!job_read(redis_at(reply, index), &job)) {
        job_bad_reply(JOB_CHANGES, op, scratch, "not a job");
        return false;
    }
    const struct queue_delivery delivery = {.text = job.body,
                                            .length = job.body_length,
                                            .queue = job.queue,
                                            .id = job.id,
                                            .delivery = queue_next_delivery()};
    *value = queue_delivery_value(&delivery, scratch);
    return true;
}

static void do_dequeue(struct disque_worker *worker, struct op *op, struct arena *scratch)
{
    const struct redis_value *reply =
        get(worker, queue_named(op->value), 1, worker->wait_ms, op, scratch);
    if (reply == NULL)
        return;
    if (redis_count(reply) == 0)
        op->value = value_nil();
    else if (!taken(reply, 0, &op->value, op, scratch))
        return;
    op_ok(op);
}

static void do_settle(struct disque_worker *worker, struct op *op, struct arena *scratch)
{
    bool acks = op->f == worker->ack_f, extends = op->f == worker->extend_f;
    if (!acks && !extends && queue_number(op->value, "delay", 0) > 0) {
        op_fail(op, scratch, "unsupported", "Disque's NACK knows no delay");
        return;
    }
    job_begin(&worker->words, acks ? "ACKJOB" : extends ? "WORKING" : "NACK");
    job_add(&worker->words, value_as_text(value_get(op->value, "id")));
    const struct redis_value *reply = ask(worker, JOB_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_INTEGER)
        job_bad_reply(JOB_CHANGES, op, scratch, "not a number");
    else if (extends || redis_integer(reply) > 0)
        op_ok(op);
    else if (acks)
        op_info(op, scratch, "not-known", "the node does not know the job, or knows it is done");
    else
        op_fail(op, scratch, "not-found", NULL);
}

/* ---- Looking at all nodes ---- */

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct ids {
    const char **texts;
    size_t count, capacity;
};

static void add_id(struct ids *ids, const char *text, struct arena *scratch)
{
    if (ids->count == ids->capacity) {
        size_t capacity = ids->capacity == 0 ? 64 : 2 * ids->capacity;
        const char **texts = arena_alloc(scratch, capacity * sizeof *texts);
        if (ids->count > 0)
            memcpy(texts, ids->texts, ids->count * sizeof *texts);
        ids->texts = texts;
        ids->capacity = capacity;
    }
    ids->texts[ids->count++] = arena_printf(scratch, "%s", text);
}

/* The ids of what a node has of this queue and may yet deliver. False, and the operation has
 * failed: it does not say. */
static bool look_at(struct disque_worker *worker, uint32_t node, const char *queue, struct ids *ids,
                    struct op *op, struct arena *scratch)
{
    static const char *const states[] = {"wait-repl", "active", "queued"};
    struct job_words *words = &worker->words;
    struct err err = ERR_INIT;
    if (node != worker->node && worker->others[node] == NULL &&
        redis_open(node_address(&worker->test->nodes[node]), disque_client_port(worker->test),
                   &worker->others[node], &err) != ERR_NONE) {
        op_fail(op, scratch, "out-of-memory", err.message);
        return false;
    }
    job_begin(words, "JSCAN");
    job_add(words, "0");
    job_add(words, "BUSYLOOP");
    job_add(words, "QUEUE");
    job_add(words, queue);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        job_add(words, "STATE");
        job_add(words, states[i]);
    }
    struct redis_client *own = words->redis;
    if (node != worker->node)
        words->redis = worker->others[node];
    const struct redis_value *reply = ask(worker, JOB_READS, op, scratch);
    words->redis = own;
    if (reply == NULL)
        return false;
    if (redis_count(reply) != 2 || redis_kind(redis_at(reply, 1)) != REDIS_ARRAY) {
        job_bad_reply(JOB_READS, op, scratch, "not a scan");
        return false;
    }
    for (size_t i = 0; i < redis_count(redis_at(reply, 1)); i++)
        add_id(ids, redis_text(redis_at(redis_at(reply, 1), i), NULL), scratch);
    return true;
}

/* How many jobs of a queue may yet be delivered by any node; false: the operation has failed. */
static bool count_jobs(struct disque_worker *worker, const char *queue, int64_t *count,
                       struct op *op, struct arena *scratch)
{
    struct ids ids = {.count = 0};
    for (uint32_t i = 0; i < worker->test->node_count; i++)
        if (!look_at(worker, i, queue, &ids, op, scratch))
            return false;
    if (ids.count > 0)
        qsort(ids.texts, ids.count, sizeof *ids.texts, compare_texts);
    *count = 0;
    for (size_t i = 0; i < ids.count; i++)
        *count += i == 0 || strcmp(ids.texts[i - 1], ids.texts[i]) != 0;
    return true;
}

static void do_length(struct disque_worker *worker, struct op *op, struct arena *scratch)
{
    int64_t count;
    if (!count_jobs(worker, queue_named(op->value), &count, op, scratch))
        return;
    op->value = queue_length_value(op->value, count, scratch);
    op_ok(op);
}

/* ---- Draining ---- */

/* Takes and acknowledges what the node has queued; false: the operation is complete. */
static bool empty_node(struct disque_worker *worker, const char *queue, struct queue_taken *all,
                       struct op *op, struct arena *scratch)
{
    for (;;) {
        const struct redis_value *reply = get(worker, queue, DRAIN_AT_ONCE, 0, op, scratch);
        size_t count = reply == NULL ? 0 : redis_count(reply), from = all->count;
        for (size_t i = 0; i < count; i++) {
            struct value value;
            if (!taken(reply, i, &value, op, scratch))
                return false;
            queue_taken_add(all, value, scratch);
        }
        if (reply == NULL || count == 0)
            return reply != NULL;
        job_begin(&worker->words, "ACKJOB");
        for (size_t i = from; i < all->count; i++)
            job_add(&worker->words, value_as_text(value_get(all->values[i], "id")));
        reply = ask(worker, JOB_CHANGES, op, scratch);
        if (reply == NULL)
            return false;
        if (redis_integer(reply) != (int64_t)count) {
            op_info(op, scratch, "not-acknowledged", "what was drained is not all acknowledged");
            return false;
        }
    }
}

static void do_drain(struct disque_worker *worker, struct op *op, struct arena *scratch)
{
    const char *queue = queue_named(op->value);
    struct queue_taken all = {.count = 0};
    for (int64_t left = 1; left > 0;) {
        if (!empty_node(worker, queue, &all, op, scratch) ||
            !count_jobs(worker, queue, &left, op, scratch))
            break;
        if (left > 0 && clock_monotonic_ns() + DRAIN_PAUSE_MS * NS_PER_MS >= worker->deadline_ns) {
            op_fail(op, scratch, "not-empty", "some node has jobs of it still");
            break;
        }
        if (left > 0)
            clock_sleep_ns(DRAIN_PAUSE_MS * NS_PER_MS);
        else
            op_ok(op);
    }
    if (op->type == OP_OK)
        op->value = value_items(scratch, VALUE_VECTOR, all.values, all.count);
    else if (all.count > 0)
        op->type = OP_INFO; /* what was taken before was taken */
}

/* ---- The client ---- */

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct disque_worker *worker = state;
    int f = op->f;
    bool names = queue_named(op->value) != NULL;
    worker->deadline_ns = clock_monotonic_ns() + worker->timeout_ns;
    if (names && f == worker->enqueue_f && value_is_int(value_get(op->value, "message")))
        do_enqueue(worker, op, scratch);
    else if (names && f == worker->dequeue_f)
        do_dequeue(worker, op, scratch);
    else if ((f == worker->ack_f || f == worker->nack_f || f == worker->extend_f) &&
             *value_as_text(value_get(op->value, "id")) != '\0')
        do_settle(worker, op, scratch);
    else if (names && f == worker->length_f)
        do_length(worker, op, scratch);
    else if (names && f == worker->drain_f)
        do_drain(worker, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "disque takes maps: enqueue {:message n :queue \"q\"}, dequeue {:queue \"q\"}, "
                "ack, nack and extend of a delivery, length and drain {:queue \"q\"}");
}

const struct client disque_queue_client = {
    .state_size = sizeof(struct disque_worker),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
