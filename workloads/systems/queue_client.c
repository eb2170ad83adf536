/* A client of ordeal-queue, over the Redis protocol.
 *
 * Operations are maps, as docs/delivery.md has them; times in them are milliseconds:
 *
 *   enqueue {:message 7 :queue "q0" :producer 3 :sequence 2 :retry 2000 ...} -> the same with :id
 *   dequeue {:queue "q0"} -> {:message 7 :queue "q0" :id "D-.." :delivery 19 :count 1 ..} or nil
 *   ack, nack, extend: such a delivery, with :delay, :dead, :retry as used
 *   length {:queue "q0"} -> {:queue "q0" :length 3 :ready 2 :delayed 1 :leased 0 :dead 0}
 *   peek {:queue "q0"} -> [{:message 7 ...} ...]
 *   drain {:queue "q0"} -> [{:message 7 ...} ...], all that was ready, acknowledged
 *
 * The length counts all that may yet be delivered; what is dead is beside it.
 *
 * :delivery is ours, for the broker must not be trusted to number its deliveries apart; :count is
 * the broker's attempt, which fences what is said about the delivery. A body whose check sum is
 * wrong is told as it came, as the :message. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/systems/queue.h"

enum { TAKE_MAX = 1000, DRAIN_AT_ONCE = 100 };

struct queue_client_state {
    struct job_words words;
    /* -1: not in this run */
    int enqueue_f, dequeue_f, ack_f, nack_f, extend_f, length_f, peek_f, drain_f;
    bool fenced, async;
    int64_t timeout_ns, wait_ms, key_ttl_ms;
    size_t body_size;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct queue_client_state *client = state;
    const struct options *options = &test->plan->options;
    client->enqueue_f = history_find_f(test->history, "enqueue");
    client->dequeue_f = history_find_f(test->history, "dequeue");
    client->ack_f = history_find_f(test->history, "ack");
    client->nack_f = history_find_f(test->history, "nack");
    client->extend_f = history_find_f(test->history, "extend");
    client->length_f = history_find_f(test->history, "length");
    client->peek_f = history_find_f(test->history, "peek");
    client->drain_f = history_find_f(test->history, "drain");
    client->fenced = option_bool(options, "queue.fenced");
    client->async = option_bool(options, "queue.async");
    client->wait_ms = option_duration_ns(options, "queue.wait") / NS_PER_MS;
    client->key_ttl_ms = option_duration_ns(options, "queue.key-ttl") / NS_PER_MS;
    client->body_size = (size_t)option_int(options, "queue.body-size");
    /* A little less than what the harness allows, for what happens around the request. */
    client->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return redis_open(node_address(&test->nodes[node]), queue_client_port(test),
                      &client->words.redis, err);
}

static void client_close(void *state)
{
    struct queue_client_state *client = state;
    job_words_free(&client->words);
}

/* ---- Requests ---- */

/* A duration, which the queue reads as seconds. */
static void add_seconds(struct queue_client_state *client, int64_t ms)
{
    char text[32];
    ms = ms < 0 ? 0 : ms;
    snprintf(text, sizeof text, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
    job_add(&client->words, text);
}

/* Sends the words. NULL when the operation is complete: not done, or not known. */
static const struct redis_value *ask(struct queue_client_state *client, enum job_effect effect,
                                     struct op *op, struct arena *scratch)
{
    return job_ask(&client->words, effect, queue_error_meaning, client->timeout_ns, op, scratch);
}

/* ---- Values ---- */

static bool is_true(struct value map, const char *name)
{
    struct value value = value_get(map, name);
    return value_kind(value) == VALUE_BOOL && value_as_bool(value);
}

static const char *queue_of(struct value map)
{
    return value_as_text(value_get(map, "queue"));
}

/* ---- enqueue ---- */

static void add_option(struct queue_client_state *client, struct value map, const char *name,
                       const char *word)
{
    if (!value_is_int(value_get(map, name)))
        return;
    job_add(&client->words, word);
    add_seconds(client, queue_number(map, name, 0));
}

/* An id of our own tells whether the queue took this message or had its key already. */
static void own_id(int64_t message, char text[64])
{
    static atomic_llong run; /* not two alike, should one process run several tests */
    if (atomic_load(&run) == 0)
        atomic_store(&run, clock_wall_ns());
    snprintf(text, 64, "D-%016llx-%016llx", (unsigned long long)atomic_load(&run),
             (unsigned long long)message);
}

static void enqueue_words(struct queue_client_state *client, struct value map, const char *id)
{
    struct buf text = BUF_INIT;
    queue_body_of(map, client->body_size, &text);
    job_begin(&client->words, "ADDJOB");
    job_add(&client->words, queue_of(map));
    job_add_bytes(&client->words, text.data, text.length);
    buf_free(&text);
    /* The queue says "unknown", with the id, before we give up. */
    job_add_number(&client->words, client->timeout_ns / NS_PER_MS * 9 / 10);
    add_option(client, map, "delay", "DELAY");
    add_option(client, map, "retry", "RETRY");
    add_option(client, map, "ttl", "TTL");
    if (value_is_int(value_get(map, "priority"))) {
        job_add(&client->words, "PRI");
        job_add_number(&client->words, queue_number(map, "priority", 0));
    }
    struct value key = value_get(map, "key");
    if (value_kind(key) == VALUE_STRING) {
        job_add(&client->words, "KEY");
        job_add(&client->words, value_as_text(key));
        job_add(&client->words, "KEYTTL");
        add_seconds(client, client->key_ttl_ms);
        job_add(&client->words, "ID");
        job_add(&client->words, id);
    }
    if (is_true(map, "spool"))
        job_add(&client->words, "SPOOL");
    else if (client->async)
        job_add(&client->words, "ASYNC");
}

static void do_enqueue(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    struct value map = op->value;
    char own[64];
    own_id(queue_number(map, "message", 0), own);
    enqueue_words(client, map, own);
    const struct redis_value *reply = ask(client, JOB_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    const char *text = redis_text(reply, NULL);
    size_t length = strcspn(text, " ");
    if (redis_kind(reply) != REDIS_STATUS || !text_starts(text, "D-") || text[length] != ' ') {
        job_bad_reply(JOB_CHANGES, op, scratch, text);
        return;
    }
    bool keyed = value_kind(value_get(map, "key")) == VALUE_STRING;
    bool duplicate = keyed && (length != strlen(own) || memcmp(text, own, length) != 0);
    struct value more[] = {
        value_keyword(scratch, "id"),
        value_text(scratch, VALUE_STRING, text, length),
        value_keyword(scratch, "duplicate"),
        value_bool(true),
    };
    op->value = queue_extended(scratch, map, more, duplicate ? 4 : 2);
    op_ok(op);
}

/* ---- dequeue ---- */

/* [queue id body ... "attempt" n ...]; false when it is no such thing. */
static bool read_job(const struct redis_value *value, struct arena *scratch, bool delivered,
                     struct value *read)
{
    struct job job;
    int64_t attempt;
    if (!job_read(value, &job))
        return false;
    size_t id_length = queue_id_length(job.id, job.id_length, &attempt);
    attempt = job_counter(value, "attempt", attempt);
    const struct queue_delivery delivery = {
        .text = job.body,
        .length = job.body_length,
        .queue = job.queue,
        .id = arena_printf(scratch, "%.*s", (int)id_length, job.id),
        .delivery = delivered ? queue_next_delivery() : 0,
        .count = attempt,
    };
    *read = queue_delivery_value(&delivery, scratch);
    if (!delivered) { /* seen: its message, its queue, its id */
        struct value seen[6];
        for (size_t i = 0; i < 6; i++)
            seen[i] = value_at(*read, i);
        *read = value_items(scratch, VALUE_MAP, seen, 6);
    }
    return true;
}

/* A vector of jobs, or the one. */
static bool read_jobs(const struct redis_value *reply, struct arena *scratch, bool delivery,
                      bool vector, struct value *value)
{
    size_t count = redis_count(reply);
    struct value *jobs = arena_alloc(scratch, (count + 1) * sizeof *jobs);
    for (size_t i = 0; i < count; i++)
        if (!read_job(redis_at(reply, i), scratch, delivery, &jobs[i]))
            return false;
    *value = count == 1 && !vector ? jobs[0] : value_items(scratch, VALUE_VECTOR, jobs, count);
    return true;
}

static void dequeue_words(struct queue_client_state *client, struct value queue, int64_t count,
                          int64_t wait_ms)
{
    job_begin(&client->words, "GETJOB");
    if (wait_ms > 0) {
        job_add(&client->words, "TIMEOUT");
        job_add_number(&client->words, wait_ms);
    } else {
        job_add(&client->words, "NOHANG");
    }
    job_add(&client->words, "COUNT");
    job_add_number(&client->words, count);
    job_add(&client->words, "WITHCOUNTERS");
    job_add(&client->words, "FENCED");
    job_add(&client->words, "FROM");
    job_add(&client->words, value_as_text(queue));
}

static void do_dequeue(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    int64_t count = queue_number(op->value, "count", 1);
    count = count < 1 ? 1 : count > TAKE_MAX ? TAKE_MAX : count;
    dequeue_words(client, value_get(op->value, "queue"), count,
                  queue_number(op->value, "timeout", client->wait_ms));
    const struct redis_value *reply = ask(client, JOB_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    enum redis_kind kind = redis_kind(reply);
    if (kind == REDIS_NIL || (kind == REDIS_ARRAY && redis_count(reply) == 0)) {
        op->value = value_nil();
        op_ok(op);
    } else if (kind == REDIS_ARRAY && read_jobs(reply, scratch, true, count > 1, &op->value)) {
        op_ok(op);
    } else {
        job_bad_reply(JOB_CHANGES, op, scratch, "not jobs");
    }
}

/* ---- ack, nack, extend ---- */

static void add_id(struct queue_client_state *client, struct value delivery)
{
    char text[128];
    const char *id = value_as_text(value_get(delivery, "id"));
    int64_t attempt = queue_number(delivery, "count", 0);
    if (client->fenced && attempt > 0)
        snprintf(text, sizeof text, "%.90s:%" PRId64, id, attempt);
    else
        snprintf(text, sizeof text, "%.90s", id);
    job_add(&client->words, text);
}

static void do_settle(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    bool extends = op->f == client->extend_f;
    job_begin(&client->words, extends ? "WORKING" : op->f == client->ack_f ? "ACKJOB" : "NACK");
    add_id(client, op->value);
    if (extends && queue_number(op->value, "retry", 0) > 0) {
        add_seconds(client, queue_number(op->value, "retry", 0));
    } else if (op->f == client->nack_f && is_true(op->value, "dead")) {
        job_add(&client->words, "DEAD");
    } else if (op->f == client->nack_f && queue_number(op->value, "delay", 0) > 0) {
        job_add(&client->words, "DELAY");
        add_seconds(client, queue_number(op->value, "delay", 0));
    }
    const struct redis_value *reply = ask(client, JOB_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_INTEGER)
        job_bad_reply(JOB_CHANGES, op, scratch, "not a number");
    else if (!extends && redis_integer(reply) == 0)
        op_fail(op, scratch, "not-found", NULL); /* nor is it there to be so later */
    else
        op_ok(op);
}

/* ---- drain ---- */

/* Acknowledges these deliveries in one command; at-most-once jobs need none. False: op is complete.
 */
static bool drain_ack(struct queue_client_state *client, struct value jobs, struct op *op,
                      struct arena *scratch)
{
    job_begin(&client->words, "ACKJOB");
    for (size_t i = 0; i < value_count(jobs); i++)
        if (queue_number(value_at(jobs, i), "retry", -1) != 0)
            add_id(client, value_at(jobs, i));
    int64_t asked = (int64_t)client->words.count - 1;
    if (asked == 0)
        return true;
    const struct redis_value *reply = ask(client, JOB_CHANGES, op, scratch);
    if (reply == NULL) {
        op->type = OP_INFO; /* something was taken, whatever became of this request */
        return false;
    }
    if (redis_kind(reply) == REDIS_INTEGER && redis_integer(reply) == asked)
        return true;
    op_info(op, scratch, "not-acknowledged", "what was drained is not all acknowledged");
    return false;
}

static void do_drain(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    int64_t deadline_ns = clock_monotonic_ns() + client->timeout_ns,
            patience_ns = client->timeout_ns;
    struct value queue = value_get(op->value, "queue"), *all = NULL;
    size_t count = 0;
    for (struct value jobs;; client->timeout_ns = deadline_ns - clock_monotonic_ns()) {
        dequeue_words(client, queue, DRAIN_AT_ONCE, 0);
        const struct redis_value *reply =
            client->timeout_ns > 0 ? ask(client, JOB_CHANGES, op, scratch) : NULL;
        if (client->timeout_ns <= 0)
            op_info(op, scratch, "timeout", "not drained in time");
        else if (reply != NULL && redis_count(reply) == 0)
            op_ok(op);
        else if (reply != NULL && !read_jobs(reply, scratch, true, true, &jobs))
            job_bad_reply(JOB_CHANGES, op, scratch, "not jobs");
        else if (reply != NULL && drain_ack(client, jobs, op, scratch)) {
            struct value *more = arena_alloc(scratch, (count + value_count(jobs)) * sizeof *more);
            for (size_t i = 0; i < count + value_count(jobs); i++)
                more[i] = i < count ? all[i] : value_at(jobs, i - count);
            all = more;
            count += value_count(jobs);
            continue;
        }
        break;
    }
    client->timeout_ns = patience_ns;
    if (op->type == OP_OK)
        op->value = value_items(scratch, VALUE_VECTOR, all, count);
    else if (count > 0)
        op->type = OP_INFO; /* a refusal later on does not undo what was taken before */
}

/* ---- length, peek ---- */

static void do_length(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    static const char *const names[] = {"ready", "delayed", "leased", "dead"};
    int64_t numbers[4] = {0};
    job_begin(&client->words, "QSTAT");
    job_add(&client->words, queue_of(op->value));
    const struct redis_value *reply = ask(client, JOB_READS, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_ARRAY && redis_kind(reply) != REDIS_NIL) {
        job_bad_reply(JOB_READS, op, scratch, "not a queue's numbers");
        return;
    }
    for (size_t i = 0; i + 1 < redis_count(reply); i += 2)
        for (size_t n = 0; n < 4; n++)
            if (strcmp(redis_text(redis_at(reply, i), NULL), names[n]) == 0)
                numbers[n] = redis_integer(redis_at(reply, i + 1));
    struct value items[] = {
        value_keyword(scratch, "queue"),   value_get(op->value, "queue"),
        value_keyword(scratch, "length"),  value_int(scratch, numbers[0] + numbers[1] + numbers[2]),
        value_keyword(scratch, "ready"),   value_int(scratch, numbers[0]),
        value_keyword(scratch, "delayed"), value_int(scratch, numbers[1]),
        value_keyword(scratch, "leased"),  value_int(scratch, numbers[2]),
        value_keyword(scratch, "dead"),    value_int(scratch, numbers[3]),
    };
    op->value = value_items(scratch, VALUE_MAP, items, sizeof items / sizeof *items);
    op_ok(op);
}

static void do_peek(struct queue_client_state *client, struct op *op, struct arena *scratch)
{
    job_begin(&client->words, "QPEEK");
    job_add(&client->words, queue_of(op->value));
    job_add_number(&client->words, queue_number(op->value, "count", 10));
    const struct redis_value *reply = ask(client, JOB_READS, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) == REDIS_ARRAY && read_jobs(reply, scratch, false, true, &op->value))
        op_ok(op);
    else
        job_bad_reply(JOB_READS, op, scratch, "not jobs");
}

/* ---- The client ---- */

static bool names_queue(struct value map)
{
    const char *name = queue_of(map);
    return *name != '\0' && strlen(name) < 64 && strpbrk(name, " \t\n") == NULL;
}

static bool names_delivery(struct value map)
{
    return *value_as_text(value_get(map, "id")) != '\0';
}

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct queue_client_state *client = state;
    int f = op->f;
    if (f == client->enqueue_f && names_queue(op->value) &&
        value_is_int(value_get(op->value, "message")))
        do_enqueue(client, op, scratch);
    else if (f == client->dequeue_f && names_queue(op->value))
        do_dequeue(client, op, scratch);
    else if ((f == client->ack_f || f == client->nack_f || f == client->extend_f) &&
             names_delivery(op->value))
        do_settle(client, op, scratch);
    else if (f == client->length_f && names_queue(op->value))
        do_length(client, op, scratch);
    else if (f == client->peek_f && names_queue(op->value))
        do_peek(client, op, scratch);
    else if (f == client->drain_f && names_queue(op->value))
        do_drain(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported",
                "queue takes maps: enqueue {:message n :queue \"q\"}, dequeue {:queue \"q\"}, "
                "ack, nack, extend {:id ..}, length, peek and drain {:queue \"q\"}");
}

const struct client queue_client = {
    .state_size = sizeof(struct queue_client_state),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
