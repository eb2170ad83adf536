/* Clients of Redis, one for each workload that it runs.
 *
 *   register    "r:K"  GET, SET, and a script that compares and sets
 *   set         "s:K"  SADD, SMEMBERS
 *   counter     "c:K"  INCRBY, GET
 *   unique-ids  "ids"  INCR
 *   monotonic   "seq"  INCR, GET; TIME of the server that has it
 *   log         "l:K"  RPUSH, whose answer less one is the offset; LRANGE
 *
 * Every command is one step of one server, which runs them one after the other; what failures are
 * taken for is in redis_reply.c and redis_route.c. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workloads/log.h"
#include "workloads/systems/redis/redis_system.h"

struct redis_worker {
    struct redis_route route;
    int read_f, write_f, cas_f, add_f, last_f, time_f, append_f, poll_f; /* -1: not in this run */
    int64_t records;
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    struct redis_worker *worker = state;
    const struct history *history = test->history;
    worker->read_f = history_find_f(history, "read");
    worker->write_f = history_find_f(history, "write");
    worker->cas_f = history_find_f(history, "cas");
    worker->add_f = history_find_f(history, "add");
    worker->last_f = history_find_f(history, "last");
    worker->time_f = history_find_f(history, "time");
    worker->append_f = history_find_f(history, "append");
    worker->poll_f = history_find_f(history, "poll");
    return redis_route_open(&worker->route, test, node, err);
}

static void client_close(void *state)
{
    redis_route_close(&((struct redis_worker *)state)->route);
}

static void bad_reply(enum redis_effect effect, struct op *op, struct arena *scratch,
                      const char *what)
{
    if (effect == REDIS_READS)
        op_fail(op, scratch, "bad-reply", what);
    else
        op_info(op, scratch, "bad-reply", what);
}

static void unsupported(struct op *op, struct arena *scratch, const char *takes)
{
    op_fail(op, scratch, "unsupported", takes);
}

static void print_key(char key[48], const char *kind, struct value number)
{
    snprintf(key, 48, "%s:%" PRId64, kind, value_as_int(number));
}

static void print_number(char text[24], struct value number)
{
    snprintf(text, 24, "%" PRId64, value_as_int(number));
}

/* Completes a command that changed something, once enough replicas have it. */
static void changed(struct redis_worker *worker, struct op *op, struct value value,
                    struct arena *scratch)
{
    if (!redis_route_confirm(&worker->route, op, scratch))
        return;
    op->value = value;
    op_ok(op);
}

/* The number under a key, which is what GET tells; nil is `otherwise`. False: op is complete. */
static bool read_number(struct redis_worker *worker, const char *key, struct value otherwise,
                        struct value *number, struct op *op, struct arena *scratch)
{
    const char *const words[] = {"GET", key, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_READS, op, scratch);
    if (reply == NULL)
        return false;
    size_t length;
    const char *text = redis_text(reply, &length);
    *number = otherwise;
    if (redis_kind(reply) == REDIS_TEXT)
        *number = redis_parse_value(text, length, scratch);
    else if (redis_kind(reply) != REDIS_NIL) {
        bad_reply(REDIS_READS, op, scratch, "neither a text nor nil");
        return false;
    }
    return true;
}

/* ---- Registers ---- */

static void do_write(struct redis_worker *worker, const char *key, struct op *op,
                     struct arena *scratch)
{
    char value[24];
    print_number(value, value_at(op->value, 1));
    const char *const words[] = {"SET", key, value, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) == REDIS_STATUS && strcmp(redis_text(reply, NULL), "OK") == 0)
        changed(worker, op, op->value, scratch);
    else
        bad_reply(REDIS_CHANGES, op, scratch, "not OK");
}

static void do_cas(struct redis_worker *worker, const char *key, struct op *op,
                   struct arena *scratch)
{
    static const char script[] = "if redis.call('GET', KEYS[1]) == ARGV[1] then "
                                 "redis.call('SET', KEYS[1], ARGV[2]) return 1 end return 0";
    struct value change = value_at(op->value, 1);
    char old_value[24], new_value[24];
    print_number(old_value, value_at(change, 0));
    print_number(new_value, value_at(change, 1));
    const char *const words[] = {"EVAL", script, "1", key, old_value, new_value, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_INTEGER)
        bad_reply(REDIS_CHANGES, op, scratch, "not a number");
    else if (redis_integer(reply) == 1)
        changed(worker, op, op->value, scratch);
    else
        op_fail(op, scratch, "cas-mismatch", NULL);
}

static void register_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct redis_worker *worker = state;
    struct value value = op->value, number;
    bool keyed = value_is_pair(value) && value_is_int(value_at(value, 0));
    struct value argument = keyed ? value_at(value, 1) : value_nil();
    char key[48];
    if (keyed)
        print_key(key, "r", value_at(value, 0));
    if (keyed && op->f == worker->read_f) {
        if (!read_number(worker, key, value_nil(), &number, op, scratch))
            return;
        op->value = value_pair(scratch, value_at(value, 0), number);
        op_ok(op);
    } else if (keyed && op->f == worker->write_f && value_is_int(argument)) {
        do_write(worker, key, op, scratch);
    } else if (keyed && op->f == worker->cas_f && value_is_pair(argument) &&
               value_is_int(value_at(argument, 0)) && value_is_int(value_at(argument, 1))) {
        do_cas(worker, key, op, scratch);
    } else {
        unsupported(op, scratch, "redis takes read [k nil], write [k v] and cas [k [old new]]");
    }
}

/* ---- Sets ---- */

static void read_set(struct redis_worker *worker, const char *key, struct op *op,
                     struct arena *scratch)
{
    const char *const words[] = {"SMEMBERS", key, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_READS, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_ARRAY) {
        bad_reply(REDIS_READS, op, scratch, "not an array");
        return;
    }
    size_t count = redis_count(reply), length;
    struct value *items = arena_alloc(scratch, (count + 1) * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        const char *text = redis_text(redis_at(reply, i), &length);
        items[i] = redis_parse_value(text, length, scratch);
    }
    op->value = value_pair(scratch, value_at(op->value, 0),
                           value_items(scratch, VALUE_VECTOR, items, count));
    op_ok(op);
}

static void set_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct redis_worker *worker = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value element = keyed ? value_at(op->value, 1) : value_nil();
    char key[48], text[24];
    if (keyed)
        print_key(key, "s", value_at(op->value, 0));
    if (keyed && op->f == worker->read_f) {
        read_set(worker, key, op, scratch);
    } else if (keyed && op->f == worker->add_f && value_is_int(element)) {
        print_number(text, element);
        const char *const words[] = {"SADD", key, text, NULL};
        const struct redis_value *reply =
            redis_route_ask(&worker->route, words, key, REDIS_CHANGES, op, scratch);
        if (reply != NULL && redis_kind(reply) == REDIS_INTEGER)
            changed(worker, op, op->value, scratch);
        else if (reply != NULL)
            bad_reply(REDIS_CHANGES, op, scratch, "not a number");
    } else {
        unsupported(op, scratch, "redis takes add [set n] and read [set nil]");
    }
}

/* ---- Counters, identifiers, sequences ---- */

/* What the number is after `by` was added. False: op is complete. */
static bool increment(struct redis_worker *worker, const char *key, struct value by, int64_t *sum,
                      struct op *op, struct arena *scratch)
{
    char text[24];
    print_number(text, by);
    const char *const words[] = {"INCRBY", key, text, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_CHANGES, op, scratch);
    if (reply == NULL)
        return false;
    *sum = redis_integer(reply);
    if (redis_kind(reply) == REDIS_INTEGER)
        return true;
    bad_reply(REDIS_CHANGES, op, scratch, "not a number");
    return false;
}

static void counter_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct redis_worker *worker = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value counter = keyed ? value_at(op->value, 0) : value_nil(), number;
    char key[48];
    int64_t sum;
    if (keyed)
        print_key(key, "c", counter);
    if (keyed && op->f == worker->read_f) {
        if (!read_number(worker, key, value_int(scratch, 0), &number, op, scratch))
            return;
        op->value = value_pair(scratch, counter, number);
        op_ok(op);
    } else if (keyed && op->f == worker->add_f && value_is_int(value_at(op->value, 1))) {
        if (increment(worker, key, value_at(op->value, 1), &sum, op, scratch))
            changed(worker, op, op->value, scratch);
    } else {
        unsupported(op, scratch, "redis takes add [counter n] and read [counter nil]");
    }
}

static void ids_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct redis_worker *worker = state;
    int64_t id;
    if (increment(worker, "ids", value_int(scratch, 1), &id, op, scratch))
        changed(worker, op, value_int(scratch, id), scratch);
}

static void read_time(struct redis_worker *worker, struct op *op, struct arena *scratch)
{
    static const char *const words[] = {"TIME", NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, "seq", REDIS_READS, op, scratch);
    long long seconds, micros;
    if (reply == NULL)
        return;
    if (redis_count(reply) != 2 ||
        sscanf(redis_text(redis_at(reply, 0), NULL), "%lld", &seconds) != 1 ||
        sscanf(redis_text(redis_at(reply, 1), NULL), "%lld", &micros) != 1) {
        bad_reply(REDIS_READS, op, scratch, "not a time");
        return;
    }
    op->value = value_int(scratch, seconds * 1000000 + micros);
    op_ok(op);
}

static void monotonic_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct redis_worker *worker = state;
    struct value number;
    int64_t next;
    if (op->f == worker->time_f) {
        read_time(worker, op, scratch);
    } else if (op->f == worker->last_f) {
        if (!read_number(worker, "seq", value_int(scratch, 0), &number, op, scratch))
            return;
        op->value = number;
        op_ok(op);
    } else if (increment(worker, "seq", value_int(scratch, 1), &next, op, scratch)) {
        changed(worker, op, value_int(scratch, next), scratch);
    }
}

/* ---- Logs ---- */

static void do_append(struct redis_worker *worker, const char *key, struct op *op,
                      struct arena *scratch)
{
    char text[24];
    print_number(text, value_get(op->value, "value"));
    const char *const words[] = {"RPUSH", key, text, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_CHANGES, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_INTEGER) {
        bad_reply(REDIS_CHANGES, op, scratch, "not a number");
        return;
    }
    const struct value more[] = {value_keyword(scratch, "offset"),
                                 value_int(scratch, redis_integer(reply) - 1)};
    changed(worker, op, log_extended(op->value, more, 2, scratch), scratch);
}

static void do_poll(struct redis_worker *worker, const char *key, struct op *op,
                    struct arena *scratch)
{
    char from_text[24], to_text[24];
    int64_t from = value_as_int(value_get(op->value, "from"));
    snprintf(from_text, sizeof from_text, "%" PRId64, from);
    snprintf(to_text, sizeof to_text, "%" PRId64, from + worker->records - 1);
    const char *const words[] = {"LRANGE", key, from_text, to_text, NULL};
    const struct redis_value *reply =
        redis_route_ask(&worker->route, words, key, REDIS_READS, op, scratch);
    if (reply == NULL)
        return;
    if (redis_kind(reply) != REDIS_ARRAY) {
        bad_reply(REDIS_READS, op, scratch, "not an array");
        return;
    }
    size_t count = redis_count(reply), length;
    struct value *records = arena_alloc(scratch, (count + 1) * sizeof *records);
    for (size_t i = 0; i < count; i++) {
        const char *text = redis_text(redis_at(reply, i), &length);
        records[i] = value_pair(scratch, value_int(scratch, from + (int64_t)i),
                                redis_parse_value(text, length, scratch));
    }
    const struct value more[] = {
        value_keyword(scratch, "records"), value_items(scratch, VALUE_VECTOR, records, count),
        value_keyword(scratch, "end"), value_bool((int64_t)count < worker->records)};
    op->value = log_extended(op->value, more, 4, scratch);
    op_ok(op);
}

static void log_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    struct redis_worker *worker = state;
    struct value log = value_get(op->value, "log");
    char key[48];
    print_key(key, "l", log);
    worker->records = log_records(test);
    if (op->f == worker->append_f && value_is_int(log) &&
        value_is_int(value_get(op->value, "value")))
        do_append(worker, key, op, scratch);
    else if (op->f == worker->poll_f && value_is_int(log) &&
             value_is_int(value_get(op->value, "from")))
        do_poll(worker, key, op, scratch);
    else
        unsupported(op, scratch, "redis takes append {:log n :value n} and poll {:log n :from n}");
}

#define CLIENT(name, does)                                                                         \
    const struct client name = {.state_size = sizeof(struct redis_worker),                         \
                                .open = client_open,                                               \
                                .invoke = does,                                                    \
                                .close = client_close}
CLIENT(redis_register_client, register_invoke);
CLIENT(redis_set_client, set_invoke);
CLIENT(redis_counter_client, counter_invoke);
CLIENT(redis_ids_client, ids_invoke);
CLIENT(redis_log_client, log_invoke);
CLIENT(redis_monotonic_client, monotonic_invoke);
