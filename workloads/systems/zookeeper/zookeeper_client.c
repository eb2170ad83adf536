/* Clients of ZooKeeper, one for each workload that it runs but locks and transactions.
 *
 *   register    /ordeal/r-K     its data as decimal text; cas by the version that was read with it
 *   set         /ordeal/s-K/E   a znode an element
 *   counter     /ordeal/c-K     read, and set at the version that was read, until that succeeds
 *   unique-ids  /ordeal/ids     set, which answers with the znode's new version
 *   monotonic   /ordeal/seq     the same; `last` is the version that is read
 *
 * Reads are as new as zookeeper.reads says. What is read only to be compared with at the leader
 * (cas, counters) need not be new. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"
#include "workloads/txn_work.h"

enum { PATH_MAX_BYTES = 96 };

struct zookeeper_worker {
    struct zookeeper_asker asker;
    int read_f, write_f, cas_f, add_f, next_f, last_f; /* -1: not in this run */
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct zookeeper_worker *worker = state;
    zookeeper_asker_init(&worker->asker, test, node);
    worker->read_f = history_find_f(test->history, "read");
    worker->write_f = history_find_f(test->history, "write");
    worker->cas_f = history_find_f(test->history, "cas");
    worker->add_f = history_find_f(test->history, "add");
    worker->next_f = history_find_f(test->history, "next");
    worker->last_f = history_find_f(test->history, "last");
    return ERR_NONE;
}

static void client_close(void *state)
{
    zookeeper_asker_close(&((struct zookeeper_worker *)state)->asker);
}

static void name_node(char path[PATH_MAX_BYTES], char kind, struct value key)
{
    snprintf(path, PATH_MAX_BYTES, ZOOKEEPER_ROOT "/%c-%" PRId64, kind, value_as_int(key));
}

static struct value found_value(const struct zookeeper_asker *asker, struct arena *scratch)
{
    return txn_parse_value(buf_text(&asker->data), asker->data.length, scratch);
}

/* What is at a path, as new as it is to be; `otherwise` where nothing is. False: op is complete. */
static bool look(struct zookeeper_asker *asker, const char *path, struct value otherwise,
                 struct value *value, struct op *op, struct arena *scratch)
{
    enum zookeeper_outcome outcome = zookeeper_freshen(asker);
    if (outcome == ZOOKEEPER_DONE)
        outcome = zookeeper_get(asker, path);
    if (outcome == ZOOKEEPER_NO_NODE)
        *value = otherwise;
    else if (outcome == ZOOKEEPER_DONE)
        *value = found_value(asker, scratch);
    else
        zookeeper_complete(asker, outcome, ZOOKEEPER_READS, op, scratch);
    return outcome == ZOOKEEPER_NO_NODE || outcome == ZOOKEEPER_DONE;
}

/* Whether it is there or not; nodes are never deleted. */
static enum zookeeper_outcome put(struct zookeeper_asker *asker, const char *path, const char *data)
{
    enum zookeeper_outcome outcome = zookeeper_set(asker, path, data, ZOOKEEPER_ANY_VERSION);
    if (outcome == ZOOKEEPER_NO_NODE)
        outcome = zookeeper_create(asker, path, data, ZOOKEEPER_LASTING);
    if (outcome == ZOOKEEPER_NODE_EXISTS)
        outcome = zookeeper_set(asker, path, data, ZOOKEEPER_ANY_VERSION);
    return outcome;
}

static void complete_change(const struct zookeeper_asker *asker, enum zookeeper_outcome outcome,
                            struct op *op, struct arena *scratch)
{
    if (outcome == ZOOKEEPER_DONE)
        op_ok(op);
    else
        zookeeper_complete(asker, outcome, ZOOKEEPER_CHANGES, op, scratch);
}

/* ---- Registers ---- */

static void do_cas(struct zookeeper_asker *asker, const char *path, struct value change,
                   struct op *op, struct arena *scratch)
{
    char text[24];
    enum zookeeper_outcome outcome = zookeeper_get(asker, path);
    if (outcome != ZOOKEEPER_DONE && outcome != ZOOKEEPER_NO_NODE) {
        zookeeper_complete(asker, outcome, ZOOKEEPER_READS, op, scratch);
        return;
    }
    if (outcome == ZOOKEEPER_NO_NODE ||
        !value_equal(found_value(asker, scratch), value_at(change, 0))) {
        op_fail(op, scratch, "cas-mismatch", NULL);
        return;
    }
    snprintf(text, sizeof text, "%" PRId64, value_as_int(value_at(change, 1)));
    complete_change(asker, zookeeper_set(asker, path, text, asker->version), op, scratch);
}

static void register_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct zookeeper_worker *worker = state;
    struct zookeeper_asker *asker = &worker->asker;
    struct value value = op->value, now;
    bool keyed = value_is_pair(value) && value_is_int(value_at(value, 0));
    struct value argument = keyed ? value_at(value, 1) : value_nil();
    char path[PATH_MAX_BYTES], text[24];
    zookeeper_begin(asker);
    name_node(path, 'r', keyed ? value_at(value, 0) : value_nil());
    if (keyed && op->f == worker->read_f) {
        if (!look(asker, path, value_nil(), &now, op, scratch))
            return;
        op->value = value_pair(scratch, value_at(value, 0), now);
        op_ok(op);
    } else if (keyed && op->f == worker->write_f && value_is_int(argument)) {
        snprintf(text, sizeof text, "%" PRId64, value_as_int(argument));
        complete_change(asker, put(asker, path, text), op, scratch);
    } else if (keyed && op->f == worker->cas_f && value_is_pair(argument) &&
               value_is_int(value_at(argument, 0)) && value_is_int(value_at(argument, 1))) {
        do_cas(asker, path, argument, op, scratch);
    } else {
        op_fail(op, scratch, "unsupported",
                "zookeeper takes read [k nil], write [k v] and cas [k [old new]]");
    }
}

/* ---- Sets ---- */

static void do_add(struct zookeeper_asker *asker, const char *set, struct value element,
                   struct op *op, struct arena *scratch)
{
    char path[2 * PATH_MAX_BYTES];
    snprintf(path, sizeof path, "%s/%" PRId64, set, value_as_int(element));
    enum zookeeper_outcome outcome = zookeeper_create(asker, path, "", ZOOKEEPER_LASTING);
    if (outcome == ZOOKEEPER_NO_NODE) {
        outcome = zookeeper_create(asker, set, "", ZOOKEEPER_LASTING);
        if (outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NODE_EXISTS)
            outcome = zookeeper_create(asker, path, "", ZOOKEEPER_LASTING);
    }
    complete_change(asker, outcome, op, scratch);
}

static void read_set(struct zookeeper_asker *asker, const char *path, struct op *op,
                     struct arena *scratch)
{
    enum zookeeper_outcome outcome = zookeeper_freshen(asker);
    if (outcome == ZOOKEEPER_DONE)
        outcome = zookeeper_children(asker, path);
    if (outcome != ZOOKEEPER_DONE && outcome != ZOOKEEPER_NO_NODE) {
        zookeeper_complete(asker, outcome, ZOOKEEPER_READS, op, scratch);
        return;
    }
    size_t count = outcome == ZOOKEEPER_DONE ? asker->name_count : 0;
    struct value *items = arena_alloc(scratch, (count + 1) * sizeof *items);
    const char *name = buf_text(&asker->names);
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1)
        items[i] = txn_parse_value(name, strlen(name), scratch);
    op->value = value_pair(scratch, value_at(op->value, 0),
                           value_items(scratch, VALUE_VECTOR, items, count));
    op_ok(op);
}

static void set_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct zookeeper_worker *worker = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value element = keyed ? value_at(op->value, 1) : value_nil();
    char path[PATH_MAX_BYTES];
    zookeeper_begin(&worker->asker);
    name_node(path, 's', keyed ? value_at(op->value, 0) : value_nil());
    if (keyed && op->f == worker->add_f && value_is_int(element))
        do_add(&worker->asker, path, element, op, scratch);
    else if (keyed && op->f == worker->read_f)
        read_set(&worker->asker, path, op, scratch);
    else
        op_fail(op, scratch, "unsupported", "zookeeper takes add [set n] and read [set nil]");
}

/* ---- Counters ---- */

/* Adds at the version that was read, again and again: what was refused was not done, and the answer
 * to what was refused comes after whatever was in its way. */
static enum zookeeper_outcome add_number(struct zookeeper_asker *asker, const char *path,
                                         int64_t number)
{
    for (;;) {
        char text[24];
        enum zookeeper_outcome outcome = zookeeper_get(asker, path);
        if (outcome == ZOOKEEPER_NO_NODE) {
            snprintf(text, sizeof text, "%" PRId64, number);
            outcome = zookeeper_create(asker, path, text, ZOOKEEPER_LASTING);
            if (outcome != ZOOKEEPER_NODE_EXISTS)
                return outcome;
            continue;
        }
        if (outcome != ZOOKEEPER_DONE)
            return outcome == ZOOKEEPER_UNKNOWN ? ZOOKEEPER_NOT_SENT : outcome;
        snprintf(text, sizeof text, "%lld",
                 strtoll(buf_text(&asker->data), NULL, 10) + (long long)number);
        outcome = zookeeper_set(asker, path, text, asker->version);
        if (outcome != ZOOKEEPER_BAD_VERSION || clock_monotonic_ns() >= asker->deadline_ns)
            return outcome;
    }
}

static void counter_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct zookeeper_worker *worker = state;
    struct zookeeper_asker *asker = &worker->asker;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    struct value counter = keyed ? value_at(op->value, 0) : value_nil(), now;
    struct value number = keyed ? value_at(op->value, 1) : value_nil();
    char path[PATH_MAX_BYTES];
    zookeeper_begin(asker);
    name_node(path, 'c', counter);
    if (keyed && op->f == worker->read_f) {
        if (!look(asker, path, value_int(scratch, 0), &now, op, scratch))
            return;
        op->value = value_pair(scratch, counter, now);
        op_ok(op);
    } else if (keyed && op->f == worker->add_f && value_is_int(number)) {
        complete_change(asker, add_number(asker, path, value_as_int(number)), op, scratch);
    } else {
        op_fail(op, scratch, "unsupported",
                "zookeeper takes add [counter n] and read [counter nil]");
    }
}

/* ---- Numbers ---- */

/* Each change of a znode gives it its next version. */
static void take_number(struct zookeeper_asker *asker, const char *path, struct op *op,
                        struct arena *scratch)
{
    enum zookeeper_outcome outcome = put(asker, path, "");
    if (outcome == ZOOKEEPER_DONE)
        op->value = value_int(scratch, asker->version);
    complete_change(asker, outcome, op, scratch);
}

static void ids_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct zookeeper_worker *worker = state;
    zookeeper_begin(&worker->asker);
    take_number(&worker->asker, ZOOKEEPER_ROOT "/ids", op, scratch);
}

static void monotonic_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct zookeeper_worker *worker = state;
    struct zookeeper_asker *asker = &worker->asker;
    struct value ignored;
    zookeeper_begin(asker);
    if (op->f == worker->next_f) {
        take_number(asker, ZOOKEEPER_ROOT "/seq", op, scratch);
    } else if (op->f == worker->last_f) {
        asker->version = -1; /* less than any, where it is not there */
        if (!look(asker, ZOOKEEPER_ROOT "/seq", value_nil(), &ignored, op, scratch))
            return;
        op->value = value_int(scratch, asker->version);
        op_ok(op);
    } else {
        op_fail(op, scratch, "unsupported", "of monotonic, zookeeper takes next and last");
    }
}

#define CLIENT(name, does)                                                                         \
    const struct client name = {.state_size = sizeof(struct zookeeper_worker),                     \
                                .open = client_open,                                               \
                                .invoke = does,                                                    \
                                .close = client_close}
CLIENT(zookeeper_register_client, register_invoke);
CLIENT(zookeeper_set_client, set_invoke);
CLIENT(zookeeper_counter_client, counter_invoke);
CLIENT(zookeeper_ids_client, ids_invoke);
CLIENT(zookeeper_monotonic_client, monotonic_invoke);
