/* Redis, Debian's redis-server: with Sentinel, as a cluster, or one server. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/redis/redis_system.h"
#include "workloads/systems/systems.h"

#define SERVER_LOG "/var/log/ordeal/redis-server.log"
#define SENTINEL_LOG "/var/log/ordeal/redis-sentinel.log"

/* ---- Installing ---- */

static enum err_code check_options(const struct test *test, struct err *err)
{
    static const struct {
        const char *name;
        int64_t low, high;
    } ranges[] = {
        {"redis.client-port", 1, 55535},
        {"redis.peer-port", 1, 65535},
        {"redis.min-replicas", 0, 64},
        {"redis.min-replicas-lag", 0, INT32_MAX},
        {"redis.wait", 0, 64},
        {"redis.down-after-ms", 50, INT32_MAX},
        {"redis.failover-ms", 100, INT32_MAX},
        {"redis.cluster-replicas", -1, 20},
    };
    uint32_t count = test->node_count, replicas = redis_cluster_replicas(test);
    enum redis_mode mode = redis_mode(test);
    enum err_code code = system_check_data_dir(test, "redis.data-dir", err);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && code == ERR_NONE; i++)
        code = system_check_range(test, ranges[i].name, ranges[i].low, ranges[i].high, err);
    if (code != ERR_NONE)
        return code;
    if (mode == MODE_SINGLE && count != 1)
        return err_set(err, ERR_CONFIG,
                       "redis.mode=single is one server: it takes one node, not %u", count);
    if (mode == MODE_CLUSTER && count < 3 * (1 + replicas))
        return err_set(err, ERR_CONFIG,
                       "redis.mode=cluster with %u replicas a primary needs %u nodes, not %u: "
                       "a cluster has at least three primaries",
                       replicas, 3 * (1 + replicas), count);
    if (mode != MODE_SENTINEL &&
        strcmp(option_text(&test->plan->options, "redis.reads"), "replica") == 0)
        return err_set(err, ERR_CONFIG, "redis.reads=replica is for redis.mode=sentinel");
    if (redis_server_port(test) == redis_sentinel_port(test))
        return err_set(err, ERR_CONFIG, "redis.client-port and redis.peer-port are the same");
    return ERR_NONE;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "redis",
        .packages = "redis-server",
        .probe = "redis-server --version >/dev/null 2>&1 && redis-cli --version >/dev/null 2>&1",
    };
    enum err_code code = check_options(test, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

/* ---- Starting ---- */

/* Writes a configuration where there is none: what is there was rewritten by the server. */
static enum err_code write_config(struct test *test, uint32_t node, const char *name,
                                  const struct buf *text, struct err *err)
{
    struct buf directory = BUF_INIT, words = BUF_INIT;
    buf_add_shell_word(&directory, option_text(&test->plan->options, "redis.data-dir"));
    buf_add_shell_word(&words, buf_text(text));
    enum err_code code = test_shell(test, NODE_SET(node), err,
                                    "mkdir -p %s && cd %s && { [ -s %s ] || { printf %%s %s >.new "
                                    "&& sync .new && mv .new %s && sync .; }; }",
                                    directory.data, directory.data, name, words.data, name);
    buf_free(&directory);
    buf_free(&words);
    return code;
}

static enum err_code start_daemon(struct test *test, uint32_t node, const char *name,
                                  const char *file, bool sentinel, const char *log, struct err *err)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", option_text(&test->plan->options, "redis.data-dir"), file);
    const char *const argv[] = {"redis-server", path, sentinel ? "--sentinel" : NULL, NULL};
    const struct daemon_spec spec = {.name = name, .argv = argv, .log = log};
    if (daemon_start(test, node, &spec, err) != ERR_NONE)
        return err_wrap(err, "start %s", name);
    return ERR_NONE;
}

typedef enum err_code config_fn(const struct test *test, uint32_t node, struct buf *text,
                                struct err *err);

/* Those of the nodes on which this daemon does not run. */
static enum err_code start_absent(struct test *test, node_set nodes, const char *name,
                                  const char *file, config_fn *config, const char *log,
                                  struct err *err)
{
    node_set absent;
    bool sentinel = strcmp(name, REDIS_SENTINEL) == 0;
    const uint16_t server = redis_server_port(test);
    const struct system_ports ports = {"redis", sentinel ? redis_sentinel_port(test) : server,
                                       sentinel ? redis_sentinel_port(test)
                                                : (uint16_t)(server + 10000)};
    enum err_code code = system_absent(test, nodes, name, &absent, err);
    if (code == ERR_NONE && absent != 0)
        code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        struct buf text = BUF_INIT;
        if (!node_in(absent, i))
            continue;
        code = config(test, i, &text, err);
        if (code == ERR_NONE)
            code = write_config(test, i, file, &text, err);
        if (code == ERR_NONE)
            code = start_daemon(test, i, name, file, sentinel, log, err);
        buf_free(&text);
    }
    return code == ERR_NONE && absent != 0 ? system_watch(test, absent, name, log, err) : code;
}

/* As its documentation has it: redis-cli spreads the slots over servers that know of none. */
static enum err_code make_cluster(struct test *test, struct err *err)
{
    struct buf command = BUF_INIT;
    char ip[64];
    enum err_code code = ERR_NONE;
    buf_add_text(&command, "redis-cli --cluster create");
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        code = redis_node_ip(test, i, ip, err);
        buf_printf(&command, " %s:%u", ip, (unsigned)redis_server_port(test));
    }
    if (code == ERR_NONE)
        code = test_shell(test, NODE_SET(0), err, "%s --cluster-replicas %u --cluster-yes 2>&1",
                          command.data, redis_cluster_replicas(test));
    buf_free(&command);
    return code;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    enum redis_mode mode = redis_mode(test);
    enum err_code code =
        start_absent(test, nodes, REDIS_SERVER, "redis.conf", redis_server_config, SERVER_LOG, err);
    if (code == ERR_NONE && mode == MODE_SENTINEL)
        code = start_absent(test, nodes, REDIS_SENTINEL, "sentinel.conf", redis_sentinel_config,
                            SENTINEL_LOG, err);
    /* Only of servers that never were in a cluster: which all are, before the run. */
    if (code == ERR_NONE && mode == MODE_CLUSTER && nodes == test_all_nodes(test) &&
        redis_is_fresh(test))
        code = make_cluster(test, err);
    return code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "redis.data-dir", err);
}

static const struct client *client(const char *workload)
{
    static const struct {
        const char *workload;
        const struct client *client;
    } clients[] = {
        {"register", &redis_register_client}, {"set", &redis_set_client},
        {"counter", &redis_counter_client},   {"unique-ids", &redis_ids_client},
        {"log", &redis_log_client},           {"monotonic", &redis_monotonic_client},
    };
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
        if (strcmp(workload, clients[i].workload) == 0)
            return clients[i].client;
    return NULL;
}

static const char *const daemons[] = {REDIS_SERVER, REDIS_SENTINEL, NULL};
static const char *const log_paths[] = {SERVER_LOG, SENTINEL_LOG, NULL};

const struct system system_redis = {
    .name = "redis",
    .summary = "Redis: replication with Sentinel, a cluster, or one server (Debian's redis-server)",
    .options = redis_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "redis.data-dir",
    .install = install,
    .start = start,
    .ready = redis_ready,
    .wipe = wipe,
    .primaries = redis_primaries,
    .version = redis_version,
    .client = client,
};
