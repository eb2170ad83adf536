/* etcd, Debian's etcd-server (3.4 or newer), one member on each node. */
#include "workloads/systems/etcd.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/etcd.log"

/* ---- Installing ---- */

/* Who ends with a lock in hand leaves it to its lease, which must outlive what others ask then. */
static enum err_code check_lock(const struct test *test, struct err *err)
{
    enum err_code code = system_check_range(test, "etcd.lock-ttl", 1, 3600, err);
    int64_t ttl_ns = option_int(&test->plan->options, "etcd.lock-ttl") * NS_PER_SECOND;
    bool locks = strcmp(test->plan->workload->name, "lock") == 0;
    if (code != ERR_NONE || !locks || ttl_ns * 2 / 3 >= test->plan->op_timeout_ns)
        return code;
    return err_set(err, ERR_CONFIG,
                   "etcd.lock-ttl: %lld s is too short for this op-timeout, of which it must be "
                   "one and a half times as long",
                   (long long)(ttl_ns / NS_PER_SECOND));
}

static enum err_code check_options(const struct test *test, struct err *err)
{
    enum err_code code = system_check_data_dir(test, "etcd.data-dir", err);
    if (code == ERR_NONE)
        code = system_check_range(test, "etcd.client-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "etcd.peer-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "etcd.heartbeat-ms", 1, 10000, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "etcd.snapshot-count", 1, INT32_MAX, err);
    if (code == ERR_NONE)
        code = check_lock(test, err);
    if (code != ERR_NONE)
        return code;
    /* etcd itself refuses less than five heartbeats and more than 50 s. */
    int64_t heartbeat_ms = option_int(&test->plan->options, "etcd.heartbeat-ms");
    return system_check_range(test, "etcd.election-ms", 5 * heartbeat_ms, 50000, err);
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "etcd", .packages = "etcd-server", .probe = "etcd --version >/dev/null 2>&1"};
    enum err_code code = check_options(test, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

/* ---- Starting ---- */

static enum err_code start_one(struct test *test, uint32_t node, enum etcd_birth birth,
                               node_set members, struct err *err)
{
    struct arena arena = ARENA_INIT;
    /* etcd 3.4 wants to be told that one knows what one does on such a machine; elsewhere it is
     * not looked at. */
    static const char *const environment[] = {"ETCD_UNSUPPORTED_ARCH=arm64", NULL};
    const struct daemon_spec spec = {
        .name = "etcd",
        .argv = etcd_arguments(test, node, birth, members, &arena),
        .env = environment,
        .log = LOG_PATH,
    };
    enum err_code code = daemon_start(test, node, &spec, err);
    if (code != ERR_NONE)
        code = err_wrap(err, "start etcd");
    arena_free(&arena);
    return code;
}

static enum err_code start_as(struct test *test, node_set nodes, enum etcd_birth birth,
                              node_set members, struct err *err)
{
    node_set absent;
    const struct system_ports ports = {"etcd", etcd_client_port(test), etcd_peer_port(test)};
    enum err_code code = system_absent(test, nodes, "etcd", &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, birth, members, err);
    return code == ERR_NONE ? system_watch(test, absent, "etcd", LOG_PATH, err) : code;
}

/* What has data is a member by that, whatever its command line says. */
static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    return start_as(test, nodes, ETCD_FOUNDER, test_all_nodes(test), err);
}

enum err_code etcd_start_joining(struct test *test, uint32_t node, node_set members,
                                 struct err *err)
{
    return start_as(test, NODE_SET(node), ETCD_JOINS, members, err);
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "etcd.data-dir", err);
}

static const struct client *client(const char *workload)
{
    if (strcmp(workload, "list-append") == 0)
        return &etcd_append_client;
    if (strcmp(workload, "rw-register") == 0 || strcmp(workload, "multi-register") == 0)
        return &etcd_txn_register_client;
    if (strcmp(workload, "lock") == 0)
        return &etcd_lock_client;
    return strcmp(workload, "register") == 0 ? &etcd_register_client : NULL;
}

/* Strict serializability is promised, which each key then has, too; who asks for less, because of
 * serializable reads, has nothing concluded from the order of keys in real time. */
static const char *const defaults[] = {"transactions.linearizable-keys=promised", NULL};

static const char *const daemons[] = {"etcd", NULL};
static const struct log_mark log_marks[] = {
    {"election", "became (leader|candidate) at term|lost leader"},
    {"start", "starting an etcd server"},
    {NULL, NULL},
};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_etcd = {
    .name = "etcd",
    .summary = "etcd, a consistent key-value store (Debian's etcd-server)",
    .options = etcd_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .log_marks = log_marks,
    .data_dir_option = "etcd.data-dir",
    .install = install,
    .start = start,
    .ready = etcd_ready,
    .wipe = wipe,
    .primaries = etcd_primaries,
    .members = etcd_members,
    .remove = etcd_remove,
    .add = etcd_add,
    .version = etcd_version,
    .defaults = defaults,
    .client = client,
};
