/* ZooKeeper, Debian's zookeeper: one server on each node, an ensemble of all. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"
#include "workloads/systems/zookeeper/zookeeper_system.h"

#define LOG_PATH "/var/log/ordeal/zookeeper.log"
#define CONFIG_PATH "/etc/ordeal-zookeeper.cfg"

/* ---- Installing ---- */

/* Who ends with a lock in hand leaves it to its session, which must outlive what others ask then.
 */
static enum err_code check_sessions(const struct test *test, struct err *err)
{
    int64_t tick_ms = option_int(&test->plan->options, "zookeeper.tick-ms");
    int64_t session_ms = option_int(&test->plan->options, "zookeeper.session-ms");
    enum err_code code =
        system_check_range(test, "zookeeper.session-ms", 2 * tick_ms, 20 * tick_ms, err);
    bool locks = strcmp(test->plan->workload->name, "lock") == 0;
    if (code != ERR_NONE || !locks || session_ms * NS_PER_MS * 2 / 3 >= test->plan->op_timeout_ns)
        return code;
    return err_set(err, ERR_CONFIG,
                   "zookeeper.session-ms: %lld ms is too short for this op-timeout, of which it "
                   "must be one and a half times as long",
                   (long long)session_ms);
}

static enum err_code check_options(const struct test *test, struct err *err)
{
    static const struct {
        const char *name;
        int64_t low, high;
    } ranges[] = {
        {"zookeeper.client-port", 1, 65535}, {"zookeeper.peer-port", 1, 64535},
        {"zookeeper.tick-ms", 10, 60000},    {"zookeeper.init-limit", 1, 10000},
        {"zookeeper.sync-limit", 1, 10000},  {"zookeeper.heap-mb", 32, 1 << 20},
    };
    enum err_code code = system_check_data_dir(test, "zookeeper.data-dir", err);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && code == ERR_NONE; i++)
        code = system_check_range(test, ranges[i].name, ranges[i].low, ranges[i].high, err);
    const char *path = option_text(&test->plan->options, "zookeeper.data-dir");
    if (code == ERR_NONE && strpbrk(path, "\\\n=:#! ") != NULL)
        code = err_set(err, ERR_CONFIG,
                       "zookeeper.data-dir: '%s' cannot be said in its configuration", path);
    return code == ERR_NONE ? check_sessions(test, err) : code;
}

/* The class path, as one word of a shell. */
static void add_class_path(const struct test *test, struct buf *out)
{
    buf_add_shell_word(out, option_text(&test->plan->options, "zookeeper.class-path"));
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    struct buf probe = BUF_INIT;
    enum err_code code = check_options(test, err);
    buf_add_text(&probe, "{ command -v java >/dev/null 2>&1 && (IFS=:; for jar in $(echo ");
    add_class_path(test, &probe);
    buf_add_text(&probe, "); do [ -e \"$jar\" ] || exit 1; done); }");
    const struct system_package package = {
        .system = "zookeeper", .packages = "zookeeper", .probe = probe.data};
    if (code == ERR_NONE)
        code = system_install(test, nodes, &package, err);
    buf_free(&probe);
    return code;
}

/* ---- Starting ---- */

/* The number in its data directory is how a server knows who it is; a disk that lost power may have
 * lost it, too. */
static enum err_code write_files(struct test *test, uint32_t node, struct err *err)
{
    struct buf config = BUF_INIT, word = BUF_INIT;
    zookeeper_config(test, node, &config);
    buf_add_shell_word(&word, option_text(&test->plan->options, "zookeeper.data-dir"));
    enum err_code code = test_write_file(test, node, CONFIG_PATH, config.data, 0644, err);
    if (code == ERR_NONE)
        code = test_shell(test, NODE_SET(node), err, "mkdir -p %s && echo %u >%s/myid", word.data,
                          (unsigned)node + 1, word.data);
    buf_free(&config);
    buf_free(&word);
    return code;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    const struct options *options = &test->plan->options;
    char heap[32];
    snprintf(heap, sizeof heap, "-Xmx%lldm", (long long)option_int(options, "zookeeper.heap-mb"));
    const char *const argv[] = {"java",
                                heap,
                                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS",
                                option_bool(options, "zookeeper.force-sync")
                                    ? "-Dzookeeper.forceSync=yes"
                                    : "-Dzookeeper.forceSync=no",
                                "-cp",
                                option_text(options, "zookeeper.class-path"),
                                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                                CONFIG_PATH,
                                NULL};
    const struct daemon_spec spec = {.name = ZOOKEEPER_DAEMON, .argv = argv, .log = LOG_PATH};
    enum err_code code = write_files(test, node, err);
    if (code == ERR_NONE && daemon_start(test, node, &spec, err) != ERR_NONE)
        code = err_wrap(err, "start " ZOOKEEPER_DAEMON);
    return code;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    const struct system_ports ports = {"zookeeper", zookeeper_client_port(test),
                                       zookeeper_peer_port(test)};
    enum err_code code = system_absent(test, nodes, ZOOKEEPER_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    return code == ERR_NONE ? system_watch(test, absent, ZOOKEEPER_DAEMON, LOG_PATH, err) : code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "zookeeper.data-dir", err);
}

static const struct client *client(const char *workload)
{
    static const struct {
        const char *workload;
        const struct client *client;
    } clients[] = {
        {"register", &zookeeper_register_client},
        {"set", &zookeeper_set_client},
        {"counter", &zookeeper_counter_client},
        {"unique-ids", &zookeeper_ids_client},
        {"monotonic", &zookeeper_monotonic_client},
        {"lock", &zookeeper_lock_client},
        {"list-append", &zookeeper_append_client},
        {"rw-register", &zookeeper_txn_register_client},
        {"multi-register", &zookeeper_txn_register_client},
    };
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++)
        if (strcmp(clients[i].workload, workload) == 0)
            return clients[i].client;
    return NULL;
}

/* Transactions are checked by a majority, also those that only read: they happen at one moment, and
 * so does each of their keys; who asks for local reads has nothing concluded from that. */
static const char *const defaults[] = {"transactions.linearizable-keys=promised", NULL};
static const char *const daemons[] = {ZOOKEEPER_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_zookeeper = {
    .name = "zookeeper",
    .summary = "ZooKeeper, a replicated tree of small files (Debian's zookeeper)",
    .options = zookeeper_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "zookeeper.data-dir",
    .install = install,
    .start = start,
    .ready = zookeeper_ready,
    .wipe = wipe,
    .primaries = zookeeper_primaries,
    .version = zookeeper_version,
    .defaults = defaults,
    .client = client,
};
