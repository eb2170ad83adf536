/* Transactions on ZooKeeper: lists that are appended to, and registers.
 *
 * Key k is the data of /ordeal/l-k (a list, its elements between spaces) or /ordeal/w-k (a
 * register), "" where there is nothing yet. All keys are read, one after the other; then one
 * transaction of ZooKeeper's own (multi) writes, on the condition that whatever was read has still
 * the version with which it was read. So it does not matter how old what was read is; what is too
 * old is refused, and read again. What only reads asks for the same, and is then true at one
 * moment, unless reads are to be local. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "workloads/systems/zookeeper/zookeeper_system.h"
#include "workloads/txn.h"
#include "workloads/txn_work.h"

enum { ATTEMPTS_MAX = 4 };

struct txn_client {
    struct zookeeper_asker asker;
    int txn_f; /* -1: the run has no such function */
    struct txn_work work;
};

static char *name_node(const struct txn_client *client, int64_t key, struct arena *scratch)
{
    return arena_printf(scratch, ZOOKEEPER_ROOT "/%c-%" PRId64, client->work.lists ? 'l' : 'w',
                        key);
}

/* Finds what is at a key, which is made where it is not there. */
static enum zookeeper_outcome find(struct txn_client *client, struct txn_touched *key,
                                   struct arena *scratch)
{
    struct zookeeper_asker *asker = &client->asker;
    const char *path = name_node(client, key->key, scratch);
    enum zookeeper_outcome outcome = zookeeper_get(asker, path);
    if (outcome == ZOOKEEPER_NO_NODE) {
        outcome = zookeeper_create(asker, path, "", ZOOKEEPER_LASTING);
        if (outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NODE_EXISTS)
            outcome = zookeeper_get(asker, path);
    }
    if (outcome != ZOOKEEPER_DONE)
        return outcome;
    key->revision = asker->version;
    if (asker->data.length == 0)
        key->found = txn_nothing(&client->work, scratch);
    else if (client->work.lists)
        key->found = txn_parse_list(buf_text(&asker->data), scratch);
    else
        key->found = txn_parse_value(buf_text(&asker->data), asker->data.length, scratch);
    return outcome;
}

/* Writes what is to be written, if all that was read is as it was. */
static enum zookeeper_outcome commit(struct txn_client *client, struct arena *scratch)
{
    struct zookeeper_change changes[TXN_TOUCHED_MAX];
    for (uint32_t i = 0; i < client->work.count; i++) {
        const struct txn_touched *key = &client->work.touched[i];
        struct buf text = BUF_INIT;
        if (key->written)
            txn_print(key->now, &text);
        changes[i] = (struct zookeeper_change){
            .path = name_node(client, key->key, scratch),
            .data = key->written ? arena_strndup(scratch, buf_text(&text), text.length) : NULL,
            .version = key->read ? (int32_t)key->revision : ZOOKEEPER_ANY_VERSION,
        };
        buf_free(&text);
    }
    return zookeeper_change(&client->asker, changes, client->work.count);
}

/* False: the operation is complete. */
static bool try_once(struct txn_client *client, struct value txn, struct value *done,
                     enum zookeeper_outcome *outcome, struct op *op, struct arena *scratch)
{
    for (uint32_t i = 0; i < client->work.count; i++) {
        *outcome = find(client, &client->work.touched[i], scratch);
        if (*outcome != ZOOKEEPER_DONE) {
            zookeeper_complete(&client->asker, *outcome, ZOOKEEPER_READS, op, scratch);
            return false;
        }
    }
    *done = txn_play(&client->work, txn, scratch);
    if (client->work.writes || client->asker.reads != ZOOKEEPER_LOCAL)
        *outcome = commit(client, scratch);
    return true;
}

static void txn_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct txn_client *client = state;
    struct value txn = txn_of(op->value), done = value_nil();
    enum zookeeper_outcome outcome = ZOOKEEPER_BAD_VERSION;
    if (op->f != client->txn_f || !txn_survey(&client->work, txn)) {
        op_fail(op, scratch, "unsupported",
                client->work.lists
                    ? "zookeeper takes txn [[:r k nil] [:append k v] ...] of integers"
                    : "zookeeper takes txn [[:r k nil] [:w k v] ...] of integers");
        return;
    }
    zookeeper_begin(&client->asker);
    /* What was refused was not done, and whatever was in its way is seen after the answer. */
    for (int i = 0; i < ATTEMPTS_MAX && outcome == ZOOKEEPER_BAD_VERSION; i++)
        if (!try_once(client, txn, &done, &outcome, op, scratch))
            return;
    if (outcome != ZOOKEEPER_DONE) {
        zookeeper_complete(&client->asker, outcome,
                           client->work.writes ? ZOOKEEPER_CHANGES : ZOOKEEPER_READS, op, scratch);
        return;
    }
    op->value = txn_done(op->value, done, scratch);
    op_ok(op);
}

/* ---- A client ---- */

static void open_client(struct txn_client *client, struct test *test, uint32_t node)
{
    zookeeper_asker_init(&client->asker, test, node);
    client->txn_f = history_find_f(test->history, "txn");
}

static enum err_code append_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct txn_client *client = state;
    open_client(client, test, node);
    client->work.lists = true;
    return ERR_NONE;
}

static enum err_code register_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct txn_client *client = state;
    open_client(client, test, node);
    client->work.lists = false;
    return ERR_NONE;
}

static void txn_close(void *state)
{
    zookeeper_asker_close(&((struct txn_client *)state)->asker);
}

const struct client zookeeper_append_client = {
    .state_size = sizeof(struct txn_client),
    .open = append_open,
    .invoke = txn_invoke,
    .close = txn_close,
};

const struct client zookeeper_txn_register_client = {
    .state_size = sizeof(struct txn_client),
    .open = register_open,
    .invoke = txn_invoke,
    .close = txn_close,
};
