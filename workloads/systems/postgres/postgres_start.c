/* Starting PostgreSQL: a new cluster, what was there before, and failing over.
 *
 * Who is the primary stands in the data directories (a standby has standby.signal), so nothing is
 * remembered between calls, and a call that failed half-way is simply made again. The first node
 * begins as the primary. When a primary does not run and postgres.failover=promote, starting it
 * again is what an operator, or a failover manager, does about it: the standby that got furthest is
 * promoted, the others follow it, and the old primary becomes a copy of it. Where commits wait for
 * standbys, that is done only if so many of these answer that one of them has everything. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/postgres/postgres.h"

enum { NOBODY = UINT32_MAX };

struct starting {
    struct test *test;
    enum postgres_place places[PLAN_NODES_MAX];
    node_set absent, running;
};

static enum err_code start_daemons(struct test *test, node_set nodes, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    const struct daemon_spec spec = {
        .name = POSTGRES_DAEMON, .argv = postgres_arguments(test, &arena), .log = POSTGRES_LOG};
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(nodes, i) && (code = daemon_start(test, i, &spec, err)) != ERR_NONE)
            err_wrap(err, "start " POSTGRES_DAEMON);
    arena_free(&arena);
    return code == ERR_NONE && nodes != 0
               ? system_watch(test, nodes, POSTGRES_DAEMON, POSTGRES_LOG, err)
               : code;
}

static enum err_code start_one(struct starting *starting, uint32_t node, struct err *err)
{
    enum err_code code = start_daemons(starting->test, NODE_SET(node), err);
    if (code != ERR_NONE)
        return code;
    starting->absent &= ~NODE_SET(node);
    starting->running |= NODE_SET(node);
    return ERR_NONE;
}

static uint32_t find_place(const struct starting *starting, node_set among,
                           enum postgres_place place)
{
    for (uint32_t i = 0; i < starting->test->node_count; i++)
        if (node_in(among, i) && starting->places[i] == place)
            return i;
    return NOBODY;
}

/* ---- A new cluster ---- */

static enum err_code found(struct starting *starting, struct err *err)
{
    uint32_t first = (uint32_t)__builtin_ctzll(starting->absent);
    enum err_code code = postgres_found(starting->test, first, err);
    if (code == ERR_NONE)
        code = start_one(starting, first, err);
    if (code == ERR_NONE)
        code = postgres_fill(starting->test, first, err);
    starting->places[first] = POSTGRES_PRIMARY;
    return code;
}

/* ---- Failing over ---- */

/* How far it got, in bytes of the log; 0: it does not say. */
static uint64_t received(struct test *test, uint32_t node)
{
    struct sql_reply reply = {.outcome = SQL_LOST};
    int64_t deadline_ns = clock_monotonic_ns() + NS_PER_SECOND;
    void *connection = postgres_connect_to(test, node, deadline_ns, &reply);
    uint64_t bytes = 0;
    if (connection != NULL) {
        postgres_driver.ask(connection,
                            "SELECT pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), "
                            "pg_last_wal_replay_lsn()), '0/0')",
                            deadline_ns, &reply);
        const char *cell = sql_cell(&reply, 0, 0);
        bytes = cell == NULL ? 0 : strtoull(cell, NULL, 10);
        postgres_driver.close(connection);
    }
    sql_reply_free(&reply);
    return bytes;
}

/* How many standbys have to answer: of those that do not, fewer than a commit waits for. */
static uint32_t answers_needed(const struct test *test)
{
    int64_t waited_for = option_int(&test->plan->options, "postgres.synchronous-standbys");
    return waited_for == 0 ? 1 : test->node_count - (uint32_t)waited_for;
}

static enum err_code promote_one(struct starting *starting, uint32_t *primary, struct err *err)
{
    struct test *test = starting->test;
    uint64_t furthest = 0;
    uint32_t answers = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        uint64_t bytes = 0;
        if (node_in(starting->running, i) && starting->places[i] == POSTGRES_STANDBY)
            bytes = received(test, i);
        answers += bytes > 0;
        if (bytes > furthest) {
            furthest = bytes;
            *primary = i;
        }
    }
    if (answers < answers_needed(test)) /* what was acknowledged may be with the others alone */
        *primary = NOBODY;
    if (*primary == NOBODY)
        return ERR_NONE;
    test_log(test, "%s: promoted: of the standbys that answer it got furthest",
             test->nodes[*primary].name);
    enum err_code code = postgres_promote(test, *primary, err);
    if (code != ERR_NONE)
        return code;
    starting->places[*primary] = POSTGRES_PRIMARY;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (i != *primary && node_in(starting->running, i) &&
            starting->places[i] == POSTGRES_STANDBY && received(test, i) > 0)
            code = postgres_follow(test, i, *primary, err);
    return code;
}

/* ---- Starting again ---- */

/* The primary that the others are to follow; it runs, or is the next to be started. */
static enum err_code settle_primary(struct starting *starting, uint32_t *primary, struct err *err)
{
    const char *failover = option_text(&starting->test->plan->options, "postgres.failover");
    *primary = find_place(starting, starting->running, POSTGRES_PRIMARY);
    if (*primary == NOBODY && strcmp(failover, "promote") == 0) {
        enum err_code code = promote_one(starting, primary, err);
        if (code != ERR_NONE)
            return code;
    }
    if (*primary == NOBODY)
        *primary = find_place(starting, starting->absent, POSTGRES_PRIMARY);
    if (*primary != NOBODY && node_in(starting->absent, *primary))
        return start_one(starting, *primary, err);
    return ERR_NONE;
}

static enum err_code start_standbys(struct starting *starting, uint32_t primary, struct err *err)
{
    struct test *test = starting->test;
    node_set ready = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(starting->absent, i))
            continue;
        enum err_code code = ERR_NONE;
        if (starting->places[i] != POSTGRES_STANDBY && primary == NOBODY)
            return err_set(err, ERR_REMOTE, "%s: there is no primary to copy", test->nodes[i].name);
        if (starting->places[i] != POSTGRES_STANDBY)
            code = postgres_copy(test, i, primary, err);
        if (code != ERR_NONE)
            return code;
        ready |= NODE_SET(i);
    }
    return start_daemons(test, ready, err);
}

static enum err_code look_at_all(struct starting *starting, struct err *err)
{
    struct test *test = starting->test;
    enum daemon_state states[PLAN_NODES_MAX];
    enum err_code code = daemon_states(test, test_all_nodes(test), POSTGRES_DAEMON, states, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (states[i] == DAEMON_RUNNING || states[i] == DAEMON_PAUSED)
            starting->running |= NODE_SET(i);
        code = postgres_look(test, i, &starting->places[i], err);
    }
    return code;
}

static bool is_new(const struct starting *starting)
{
    return find_place(starting, test_all_nodes(starting->test), POSTGRES_PRIMARY) == NOBODY &&
           find_place(starting, test_all_nodes(starting->test), POSTGRES_STANDBY) == NOBODY;
}

enum err_code postgres_start(struct test *test, node_set nodes, struct err *err)
{
    struct starting starting = {.test = test};
    uint32_t primary = NOBODY;
    const struct system_ports ports = {"postgres", postgres_port(test), postgres_port(test)};
    enum err_code code = system_absent(test, nodes, POSTGRES_DAEMON, &starting.absent, err);
    if (code != ERR_NONE || starting.absent == 0)
        return code;
    code = look_at_all(&starting, err);
    if (code == ERR_NONE)
        code = system_check_ports(test, starting.absent, &ports, err);
    if (code == ERR_NONE && is_new(&starting))
        code = found(&starting, err);
    if (code == ERR_NONE)
        code = settle_primary(&starting, &primary, err);
    return code == ERR_NONE ? start_standbys(&starting, primary, err) : code;
}
