/* Clients of JetStream, one for each workload that it runs.
 *
 *   set         subject "ordeal.s.K": an element is published; a read gets every message
 *   log         "ordeal.l.K": the offset is the message's sequence in the stream; so there are
 * holes unique-ids  "ordeal.ids": the sequence of what is published monotonic   "ordeal.seq": the
 * same
 *
 * Messages are got one after the other from the stream's leader ($JS.API.STREAM.MSG.GET with
 * next_by_subj). A leader that was deposed and does not know yet may answer, too: what it shows is
 * old, but was there. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/log.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/nats/nats_system.h"

enum { NO_MESSAGE = 10037 };

struct nats_worker {
    struct nats_asker asker;
    int read_f, add_f, append_f, poll_f, next_f; /* -1: not in this run */
    int64_t timeout_ns, deadline_ns;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct nats_worker *worker = state;
    nats_asker_init(&worker->asker, test, node);
    worker->read_f = history_find_f(test->history, "read");
    worker->add_f = history_find_f(test->history, "add");
    worker->append_f = history_find_f(test->history, "append");
    worker->poll_f = history_find_f(test->history, "poll");
    worker->next_f = history_find_f(test->history, "next");
    /* A little less than what the harness allows, for what happens around the request. */
    worker->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    return ERR_NONE;
}

static void client_close(void *state)
{
    nats_asker_close(&((struct nats_worker *)state)->asker);
}

static void complete(struct op *op, struct arena *scratch, enum op_type type, const char *error,
                     const char *detail)
{
    detail = detail == NULL || *detail == '\0' ? NULL : detail;
    if (type == OP_FAIL)
        op_fail(op, scratch, error, detail);
    else
        op_info(op, scratch, error, detail);
}

static const char *description(const struct json *json)
{
    return json_as_text(json_get(json_get(json, "error"), "description"), "");
}

/* ---- Publishing ---- */

/* The sequence of what was published; 0: the operation is complete. */
static int64_t publish(struct nats_worker *worker, const char *subject, int64_t number,
                       struct op *op, struct arena *scratch)
{
    char text[24];
    struct nats_reply reply;
    snprintf(text, sizeof text, "%" PRId64, number);
    nats_ask(&worker->asker, subject, text, worker->timeout_ns, &reply);
    if (reply.outcome != NATS_REPLIED) {
        complete(op, scratch, reply.outcome == NATS_NOT_SENT ? OP_FAIL : OP_INFO, reply.error,
                 reply.detail);
        return 0;
    }
    int64_t sequence = json_as_int(json_get(reply.json, "seq"), 0);
    const char *stream = json_as_text(json_get(reply.json, "stream"), "");
    struct nats_meaning meaning = nats_error_meaning(nats_error_code(reply.json));
    if (meaning.type != OP_OK)
        complete(op, scratch, meaning.type, meaning.error, description(reply.json));
    else if (sequence <= 0 || strcmp(stream, NATS_STREAM) != 0)
        op_info(op, scratch, "bad-reply", "not an acknowledgement of the stream");
    json_free(reply.json);
    return meaning.type == OP_OK && op->type != OP_INFO ? sequence : 0;
}

/* ---- Getting ---- */

struct message {
    int64_t sequence;
    struct value value;
};

/* What a message's data is: what nobody can have written is for the checker to see. */
static struct value parse_value(const char *text, size_t length, struct arena *scratch)
{
    long long integer = strtoll(text, NULL, 10);
    char plain[32];
    int plain_length = snprintf(plain, sizeof plain, "%lld", integer);
    if (length == (size_t)plain_length && memcmp(text, plain, length) == 0)
        return value_int(scratch, integer);
    return value_text(scratch, VALUE_STRING, text, length);
}

enum got { GOT_MESSAGE, GOT_END, GOT_NOTHING /* the operation is complete */ };

static enum got take_message(const struct json *json, const char *subject, struct message *message,
                             struct op *op, struct arena *scratch)
{
    const struct json *got = json_get(json, "message");
    const char *data = json_as_text(json_get(got, "data"), "");
    struct buf text = BUF_INIT;
    message->sequence = json_as_int(json_get(got, "seq"), 0);
    if (message->sequence <= 0 ||
        strcmp(json_as_text(json_get(got, "subject"), ""), subject) != 0 ||
        !base64_decode(data, strlen(data), &text)) {
        op_fail(op, scratch, "bad-reply", "not a message of the stream");
        buf_free(&text);
        return GOT_NOTHING;
    }
    message->value = parse_value(buf_text(&text), text.length, scratch);
    buf_free(&text);
    return GOT_MESSAGE;
}

/* The first message of the subject whose sequence is `from` or more. */
static enum got get(struct nats_worker *worker, const char *subject, int64_t from,
                    struct message *message, struct op *op, struct arena *scratch)
{
    char request[160];
    struct nats_reply reply;
    int64_t left_ns = worker->deadline_ns - clock_monotonic_ns();
    if (left_ns < NS_PER_MS) {
        op_fail(op, scratch, "timeout", "not all was read in time");
        return GOT_NOTHING;
    }
    snprintf(request, sizeof request, "{\"seq\":%" PRId64 ",\"next_by_subj\":\"%s\"}", from,
             subject);
    nats_ask(&worker->asker, "$JS.API.STREAM.MSG.GET." NATS_STREAM, request, left_ns, &reply);
    if (reply.outcome != NATS_REPLIED) {
        op_fail(op, scratch, reply.error, reply.detail);
        return GOT_NOTHING;
    }
    int64_t code = nats_error_code(reply.json);
    enum got got = GOT_NOTHING;
    if (code == 0)
        got = take_message(reply.json, subject, message, op, scratch);
    else if (code == NO_MESSAGE)
        got = GOT_END;
    else
        complete(op, scratch, OP_FAIL, "error-reply", description(reply.json));
    json_free(reply.json);
    return got;
}

/* At most `max` messages from a sequence on: how many, or -1: the operation is complete. */
static int64_t get_many(struct nats_worker *worker, const char *subject, int64_t from, int64_t max,
                        bool *end, struct message **all, struct op *op, struct arena *scratch)
{
    int64_t count = 0, capacity = 0;
    worker->deadline_ns = clock_monotonic_ns() + worker->timeout_ns;
    *all = NULL;
    *end = false;
    while (count < max) {
        struct message message;
        enum got got = get(worker, subject, from < 1 ? 1 : from, &message, op, scratch);
        if (got == GOT_NOTHING)
            return -1;
        *end = got == GOT_END;
        if (*end)
            break;
        if (count == capacity) {
            struct message *grown;
            capacity = capacity == 0 ? 64 : 2 * capacity;
            grown = arena_alloc(scratch, (size_t)capacity * sizeof *grown);
            if (count > 0)
                memcpy(grown, *all, (size_t)count * sizeof *grown);
            *all = grown;
        }
        (*all)[count++] = message;
        from = message.sequence + 1;
    }
    return count;
}

/* ---- Operations ---- */

static void print_subject(char subject[64], const char *kind, struct value number)
{
    snprintf(subject, 64, "ordeal.%s.%" PRId64, kind, value_as_int(number));
}

static void set_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct nats_worker *worker = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value set = keyed ? value_at(op->value, 0) : value_nil(),
                 element = keyed ? value_at(op->value, 1) : value_nil();
    char subject[64];
    print_subject(subject, "s", set);
    if (keyed && op->f == worker->add_f && value_is_int(element)) {
        if (publish(worker, subject, value_as_int(element), op, scratch) > 0)
            op_ok(op);
        return;
    }
    if (!keyed || op->f != worker->read_f) {
        op_fail(op, scratch, "unsupported", "nats takes add [set n] and read [set nil]");
        return;
    }
    struct message *all;
    bool end;
    int64_t count = get_many(worker, subject, 1, INT64_MAX, &end, &all, op, scratch);
    if (count < 0)
        return;
    struct value *items = arena_alloc(scratch, ((size_t)count + 1) * sizeof *items);
    for (int64_t i = 0; i < count; i++)
        items[i] = all[i].value;
    op->value = value_pair(scratch, set, value_items(scratch, VALUE_VECTOR, items, (size_t)count));
    op_ok(op);
}

static void do_poll(struct nats_worker *worker, const char *subject, int64_t max, struct op *op,
                    struct arena *scratch)
{
    struct message *all;
    bool end;
    int64_t from = value_as_int(value_get(op->value, "from"));
    int64_t count = get_many(worker, subject, from, max, &end, &all, op, scratch);
    if (count < 0)
        return;
    struct value *records = arena_alloc(scratch, ((size_t)count + 1) * sizeof *records);
    for (int64_t i = 0; i < count; i++)
        records[i] = value_pair(scratch, value_int(scratch, all[i].sequence), all[i].value);
    const struct value more[] = {
        value_keyword(scratch, "records"),
        value_items(scratch, VALUE_VECTOR, records, (size_t)count),
        value_keyword(scratch, "end"),
        value_bool(end),
    };
    op->value = log_extended(op->value, more, 4, scratch);
    op_ok(op);
}

static void log_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    struct nats_worker *worker = state;
    struct value log = value_get(op->value, "log"), value = value_get(op->value, "value");
    char subject[64];
    print_subject(subject, "l", log);
    if (op->f == worker->append_f && value_is_int(log) && value_is_int(value)) {
        int64_t sequence = publish(worker, subject, value_as_int(value), op, scratch);
        if (sequence == 0)
            return;
        const struct value more[] = {value_keyword(scratch, "offset"),
                                     value_int(scratch, sequence)};
        op->value = log_extended(op->value, more, 2, scratch);
        op_ok(op);
    } else if (op->f == worker->poll_f && value_is_int(log)) {
        do_poll(worker, subject, log_records(test), op, scratch);
    } else {
        op_fail(op, scratch, "unsupported",
                "nats takes append {:log n :value n} and poll {:log n :from n}");
    }
}

static void take_number(struct nats_worker *worker, const char *subject, struct op *op,
                        struct arena *scratch)
{
    int64_t sequence = publish(worker, subject, 0, op, scratch);
    if (sequence == 0)
        return;
    op->value = value_int(scratch, sequence);
    op_ok(op);
}

static void ids_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    take_number(state, "ordeal.ids", op, scratch);
}

static void monotonic_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct nats_worker *worker = state;
    if (op->f == worker->next_f)
        take_number(worker, "ordeal.seq", op, scratch);
    else
        op_fail(op, scratch, "unsupported", "of monotonic, nats takes next");
}

#define CLIENT(name, does)                                                                         \
    const struct client name = {.state_size = sizeof(struct nats_worker),                          \
                                .open = client_open,                                               \
                                .invoke = does,                                                    \
                                .close = client_close}
CLIENT(nats_set_client, set_invoke);
CLIENT(nats_log_client, log_invoke);
CLIENT(nats_ids_client, ids_invoke);
CLIENT(nats_monotonic_client, monotonic_invoke);
