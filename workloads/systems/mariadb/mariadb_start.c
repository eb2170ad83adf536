/* Starting MariaDB: a new cluster, members that come back, and a cluster of which none was left.
 *
 * Where a member runs, others join it by themselves. Where none does, the group has to be founded
 * again by the one that got furthest, as Galera's documentation says. */
#include <stdlib.h>
#include <string.h>

#include "workloads/systems/common.h"
#include "workloads/systems/mariadb/mariadb.h"

static enum err_code start_one(struct test *test, uint32_t node, enum mariadb_birth birth,
                               struct err *err)
{
    struct arena arena = ARENA_INIT;
    const struct daemon_spec spec = {.name = MARIADB_DAEMON,
                                     .argv = mariadb_arguments(test, node, birth, &arena),
                                     .log = MARIADB_LOG};
    enum err_code code = daemon_start(test, node, &spec, err);
    if (code != ERR_NONE)
        err_wrap(err, "start " MARIADB_DAEMON);
    arena_free(&arena);
    return code;
}

static enum err_code start_others(struct test *test, node_set nodes, struct err *err)
{
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(nodes, i))
            code = start_one(test, i, MARIADB_JOINS, err);
    return code == ERR_NONE && nodes != 0
               ? system_watch(test, nodes, MARIADB_DAEMON, MARIADB_LOG, err)
               : code;
}

/* The one that got furthest, of those that have data; test->node_count when none has. */
static enum err_code find_furthest(struct test *test, node_set nodes, uint32_t *furthest,
                                   struct err *err)
{
    int64_t committed = INT64_MIN;
    *furthest = test->node_count;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct mariadb_place place = {.committed = -1};
        if (!node_in(nodes, i))
            continue;
        enum err_code code = mariadb_look(test, i, &place, err);
        if (code != ERR_NONE)
            return code;
        if (place.has_data && place.committed > committed) {
            committed = place.committed;
            *furthest = i;
        }
    }
    return ERR_NONE;
}

static enum err_code found(struct test *test, node_set nodes, struct err *err)
{
    uint32_t first;
    enum err_code code = find_furthest(test, nodes, &first, err);
    bool is_new = code == ERR_NONE && first == test->node_count;
    if (is_new) {
        first = (uint32_t)__builtin_ctzll(nodes);
        code = mariadb_found(test, first, err);
    }
    if (code == ERR_NONE)
        code = start_one(test, first, MARIADB_FOUNDS, err);
    if (code == ERR_NONE)
        code = system_watch(test, NODE_SET(first), MARIADB_DAEMON, MARIADB_LOG, err);
    if (code == ERR_NONE)
        code = is_new ? mariadb_fill(test, first, err) : mariadb_await(test, first, err);
    return code == ERR_NONE ? start_others(test, nodes & ~NODE_SET(first), err) : code;
}

enum err_code mariadb_start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent, everywhere;
    const struct system_ports ports = {"mariadb", mariadb_port(test), mariadb_group_port(test)};
    enum err_code code = system_absent(test, nodes, MARIADB_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    if (code == ERR_NONE)
        code = system_absent(test, test_all_nodes(test), MARIADB_DAEMON, &everywhere, err);
    if (code != ERR_NONE)
        return code;
    bool some_run = everywhere != test_all_nodes(test);
    return some_run ? start_others(test, absent, err) : found(test, absent, err);
}
