/* RabbitMQ, Debian's rabbitmq-server, one broker on each node. */
#include "workloads/systems/rabbitmq/rabbitmq.h"

#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/rabbitmq.log"
#define EPMD_DAEMON "epmd" /* names brokers' ports to each other; faults leave it alone */

/* ---- Installing ---- */

static enum err_code check_options(const struct test *test, struct err *err)
{
    static const struct {
        const char *name;
        int64_t low, high;
    } ranges[] = {
        {"rabbitmq.client-port", 1, 65535},
        {"rabbitmq.peer-port", 1, 65535},
        {"rabbitmq.net-ticktime", 1, 3600},
        /* One that fits the buffers of a connection is sent without waiting. */
        {"rabbitmq.body-size", 0, 8192},
    };
    enum err_code code = system_check_data_dir(test, "rabbitmq.data-dir", err);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && code == ERR_NONE; i++)
        code = system_check_range(test, ranges[i].name, ranges[i].low, ranges[i].high, err);
    return code;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "RabbitMQ",
        .packages = "rabbitmq-server",
        .probe = "test -x " RABBITMQ_PROGRAMS "/rabbitmq-server",
    };
    enum err_code code = check_options(test, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

/* ---- Starting ---- */

static enum err_code write_files(struct test *test, uint32_t node, struct err *err)
{
    struct buf config = BUF_INIT, definitions = BUF_INIT;
    rabbitmq_config(test, node, &config);
    rabbitmq_definitions(test, &definitions);
    const struct {
        const char *path, *text;
        unsigned mode;
    } files[] = {
        {RABBITMQ_HOME "/rabbitmq.conf", config.data, 0644},
        {RABBITMQ_HOME "/definitions.json", definitions.data, 0644},
        {RABBITMQ_HOME "/enabled_plugins", "[].\n", 0644},
        {RABBITMQ_HOME "/advanced.config", "[].\n", 0644},
        /* The same on all nodes; who is in their network can be in their cluster. */
        {RABBITMQ_HOME "/.erlang.cookie", "ORDEALCOOKIE", 0400},
    };
    enum err_code code = ERR_NONE;
    for (size_t i = 0; i < sizeof files / sizeof *files && code == ERR_NONE; i++)
        code = test_write_file(test, node, files[i].path, files[i].text, files[i].mode, err);
    buf_free(&config);
    buf_free(&definitions);
    return code;
}

/* Erlang would start it by itself, and leave it behind. */
static enum err_code start_epmd(struct test *test, uint32_t node, struct err *err)
{
    static const char *const argv[] = {"epmd", NULL};
    const struct daemon_spec spec = {.name = EPMD_DAEMON, .argv = argv};
    enum daemon_state state = DAEMON_NONE;
    enum err_code code = daemon_status(test, node, EPMD_DAEMON, &state, err);
    if (code != ERR_NONE || state == DAEMON_RUNNING)
        return code;
    int status = 0; /* somebody else's will do */
    struct buf out = BUF_INIT;
    code = test_shell_output(test, node, &out, &status, err, "epmd -names");
    buf_free(&out);
    return code == ERR_NONE && status != 0 ? daemon_start(test, node, &spec, err) : code;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    struct arena arena = ARENA_INIT;
    static const char *const argv[] = {RABBITMQ_PROGRAMS "/rabbitmq-server", NULL};
    const struct daemon_spec spec = {
        .name = RABBITMQ_DAEMON,
        .argv = argv,
        .env = rabbitmq_environment(test, node, &arena),
        .log = LOG_PATH,
    };
    enum err_code code = write_files(test, node, err);
    if (code == ERR_NONE)
        code = start_epmd(test, node, err);
    if (code == ERR_NONE)
        code = daemon_start(test, node, &spec, err);
    arena_free(&arena);
    return code == ERR_NONE ? code : err_wrap(err, "start " RABBITMQ_DAEMON);
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    const struct system_ports ports = {"rabbitmq", rabbitmq_client_port(test),
                                       rabbitmq_peer_port(test)};
    enum err_code code = system_absent(test, nodes, RABBITMQ_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    if (code == ERR_NONE)
        code = test_shell(test, absent, err, "mkdir -p " RABBITMQ_HOME " /var/log/ordeal");
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    return code == ERR_NONE ? system_watch(test, absent, RABBITMQ_DAEMON, LOG_PATH, err) : code;
}

enum err_code rabbitmq_restart(struct test *test, node_set nodes, struct err *err)
{
    enum err_code code = daemon_stop(test, nodes, RABBITMQ_DAEMON, 10 * NS_PER_SECOND, err);
    return code == ERR_NONE ? start(test, nodes, err) : code;
}

/* ---- The rest ---- */

static enum err_code stop(struct test *test, node_set nodes, struct err *err)
{
    enum err_code code = daemon_stop(test, nodes, RABBITMQ_DAEMON, 5 * NS_PER_SECOND, err);
    return code == ERR_NONE ? daemon_stop(test, nodes, EPMD_DAEMON, NS_PER_SECOND, err) : code;
}

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "rabbitmq.data-dir", err);
}

static const struct client *client(const char *workload)
{
    return strcmp(workload, "queue") == 0 ? &rabbitmq_queue_client : NULL;
}

/* What the documentation promises for confirmed messages in quorum queues: none is lost, and what
 * was not acknowledged comes again. Nothing is promised of leases, delays and the like, which are
 * not asked for. An operation of unknown outcome has been settled soon after its connection's
 * end. */
static const char *const defaults[] = {
    "delivery.declared=no-loss,no-phantom,at-least-once",
    "delivery.settle=10s",
    "queue.at-most-once=0",
    "queue.delayed=0",
    "queue.expiring=0",
    "queue.prioritized=0",
    "queue.nack-delayed=0",
    "queue.hold=0",
    "queue.extend=0",
    "queue.queues=2",
    NULL,
};
static const char *const daemons[] = {RABBITMQ_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_rabbitmq = {
    .name = "rabbitmq",
    .summary = "RabbitMQ: quorum, mirrored and classic queues (Debian's rabbitmq-server)",
    .options = rabbitmq_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "rabbitmq.data-dir",
    .install = install,
    .start = start,
    .ready = rabbitmq_ready,
    .wipe = wipe,
    .stop = stop,
    .primaries = rabbitmq_primaries,
    .version = rabbitmq_version,
    .defaults = defaults,
    .client = client,
};
