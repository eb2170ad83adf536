/* A client of locks as ZooKeeper's documentation tells to make them.
 *
 *   acquire [k nil] -> [k {:fence r}]    release [k nil]
 *
 * Who wants the lock k makes an ephemeral sequential znode in /ordeal/lock-k and holds it once
 * there is none with a lower number; until then it watches the one before its own. The znode goes
 * with its session, which the library keeps alive.
 *
 * The fence is the transaction (zxid) that made the znode: numbers and zxids grow together, and
 * whoever held the lock before has a lower number. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"

/* What is left of an operation for withdrawing. */
static const int64_t withdraw_ns = 300 * NS_PER_MS;

enum { LOCK_BYTES = 64, PATH_BYTES = 256 };

struct lock_client {
    struct zookeeper_asker asker;
    int acquire_f, release_f;
    char held[PATH_BYTES]; /* the znode by which a lock is held; "": none is */
};

static enum err_code client_open(void *state, struct test *test, uint32_t node, struct err *err)
{
    (void)err;
    struct lock_client *client = state;
    zookeeper_asker_init(&client->asker, test, node);
    client->acquire_f = history_find_f(test->history, "acquire");
    client->release_f = history_find_f(test->history, "release");
    *client->held = '\0';
    return ERR_NONE;
}

/* What it holds at the end it has not released: it is held until the session expires, which is
 * later than any operation that is under way now. */
static void client_close(void *state)
{
    struct lock_client *client = state;
    if (*client->held != '\0')
        zookeeper_asker_abandon(&client->asker);
    else
        zookeeper_asker_close(&client->asker);
}

/* ---- Acquiring ---- */

/* Makes the znode; its path goes to `mine` and what made it to *fence. */
static enum zookeeper_outcome queue_up(struct lock_client *client, const char lock[LOCK_BYTES],
                                       char mine[PATH_BYTES], int64_t *fence)
{
    struct zookeeper_asker *asker = &client->asker;
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%.*s/n-", LOCK_BYTES, lock);
    enum zookeeper_outcome outcome =
        zookeeper_create(asker, path, "", ZOOKEEPER_EPHEMERAL_SEQUENCE);
    if (outcome == ZOOKEEPER_NO_NODE) {
        outcome = zookeeper_create(asker, lock, "", ZOOKEEPER_LASTING);
        if (outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NODE_EXISTS)
            outcome = zookeeper_create(asker, path, "", ZOOKEEPER_EPHEMERAL_SEQUENCE);
    }
    snprintf(mine, PATH_BYTES, "%s", buf_text(&asker->path));
    *fence = asker->created;
    return outcome;
}

/* Numbers have ten digits, so that they are in the order of the texts. The znode right before
 * `mine` goes to `before`, "" when it is the first; false: mine is not there. */
static bool find_place(const struct zookeeper_asker *asker, const char lock[LOCK_BYTES],
                       const char *mine, char before[PATH_BYTES])
{
    const char *name = buf_text(&asker->names), *best = NULL;
    const char *own = mine + strlen(lock) + 1;
    bool there = false;
    for (size_t i = 0; i < asker->name_count; i++, name += strlen(name) + 1) {
        int order = strcmp(name, own);
        there = there || order == 0;
        if (order < 0 && (best == NULL || strcmp(name, best) > 0))
            best = name;
    }
    *before = '\0';
    if (best != NULL)
        snprintf(before, PATH_BYTES, "%.*s/%.128s", LOCK_BYTES, lock, best);
    return there;
}

enum turn { TURN_MINE, TURN_LOST /* the znode is gone */, TURN_NEVER };

static enum turn await_turn(struct zookeeper_asker *asker, const char lock[LOCK_BYTES],
                            const char *mine)
{
    int64_t until_ns = asker->deadline_ns - withdraw_ns;
    while (clock_monotonic_ns() < until_ns) {
        char before[PATH_BYTES];
        enum zookeeper_outcome outcome = zookeeper_children(asker, lock);
        if (outcome != ZOOKEEPER_DONE)
            return TURN_NEVER;
        /* A server shows a session nothing older than what it showed it before. */
        if (!find_place(asker, lock, mine, before))
            return TURN_LOST;
        if (*before == '\0')
            return TURN_MINE;
        outcome = zookeeper_await(asker, before, until_ns);
        if (outcome != ZOOKEEPER_DONE && outcome != ZOOKEEPER_NO_NODE)
            return TURN_NEVER;
    }
    return TURN_NEVER;
}

static void do_acquire(struct lock_client *client, struct value key, struct op *op,
                       struct arena *scratch)
{
    struct zookeeper_asker *asker = &client->asker;
    char lock[LOCK_BYTES], mine[PATH_BYTES];
    int64_t fence;
    snprintf(lock, sizeof lock, ZOOKEEPER_ROOT "/lock-%" PRId64, value_as_int(key));
    enum zookeeper_outcome outcome = queue_up(client, lock, mine, &fence);
    if (outcome != ZOOKEEPER_DONE) {
        zookeeper_complete(asker, outcome, ZOOKEEPER_CHANGES, op, scratch);
        return;
    }
    enum turn turn = await_turn(asker, lock, mine);
    if (turn == TURN_MINE) {
        snprintf(client->held, sizeof client->held, "%s", mine);
        const struct value map[] = {value_keyword(scratch, "fence"), value_int(scratch, fence)};
        op->value = value_pair(scratch, key, value_items(scratch, VALUE_MAP, map, 2));
        op_ok(op);
        return;
    }
    if (turn == TURN_LOST) {
        op_fail(op, scratch, "session-expired", NULL);
        return;
    }
    /* Once its znode is gone it certainly never held the lock. */
    outcome = zookeeper_delete(asker, mine);
    if (outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NO_NODE)
        op_fail(op, scratch, "busy", NULL);
    else
        op_info(op, scratch, asker->error, asker->detail);
}

/* ---- Releasing ---- */

/* A release that ZooKeeper did not hear of will happen nevertheless, once the session has expired:
 * it is never failed. */
static void do_release(struct lock_client *client, struct op *op, struct arena *scratch)
{
    struct zookeeper_asker *asker = &client->asker;
    if (*client->held == '\0') {
        op_info(op, scratch, "not-held", NULL);
        return;
    }
    enum zookeeper_outcome outcome = zookeeper_delete(asker, client->held);
    *client->held = '\0';
    if (outcome == ZOOKEEPER_DONE || outcome == ZOOKEEPER_NO_NODE)
        op_ok(op);
    else
        op_info(op, scratch, asker->error, asker->detail);
}

static void client_invoke(void *state, struct test *test, struct op *op, struct arena *scratch)
{
    (void)test;
    struct lock_client *client = state;
    bool keyed = value_is_pair(op->value) && value_is_int(value_at(op->value, 0));
    zookeeper_begin(&client->asker);
    if (keyed && op->f == client->acquire_f)
        do_acquire(client, value_at(op->value, 0), op, scratch);
    else if (keyed && op->f == client->release_f)
        do_release(client, op, scratch);
    else
        op_fail(op, scratch, "unsupported", "zookeeper takes acquire [k nil] and release [k nil]");
}

const struct client zookeeper_lock_client = {
    .state_size = sizeof(struct lock_client),
    .open = client_open,
    .invoke = client_invoke,
    .close = client_close,
};
