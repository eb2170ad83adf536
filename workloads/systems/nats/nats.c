/* NATS with JetStream, Debian's nats-server: one server on each node, and one stream. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workloads/systems/common.h"
#include "workloads/systems/nats/nats_system.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/nats-server.log"
#define CONFIG_PATH "/etc/ordeal-nats.conf"

/* ---- Installing ---- */

static enum err_code check_options(const struct test *test, struct err *err)
{
    static const char *const ports[] = {"nats.client-port", "nats.peer-port", "nats.monitor-port"};
    enum err_code code = system_check_data_dir(test, "nats.data-dir", err);
    for (size_t i = 0; i < 3 && code == ERR_NONE; i++)
        code = system_check_range(test, ports[i], 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "nats.replicas", 1, 5, err);
    const char *path = option_text(&test->plan->options, "nats.data-dir");
    if (code == ERR_NONE && strpbrk(path, "\"\\\n") != NULL)
        code = err_set(err, ERR_CONFIG, "nats.data-dir: '%s' cannot be said in its configuration",
                       path);
    return code;
}

/* Where the server is on nodes: Debian's, or the one that is uploaded, named by what it holds. */
static enum err_code program_path(const struct test *test, struct buf *path, struct err *err)
{
    const char *binary = option_text(&test->plan->options, "nats.binary");
    if (*binary == '\0') {
        buf_add_text(path, "nats-server");
        return ERR_NONE;
    }
    enum err_code code = system_upload_path(binary, "nats-server", path, err);
    return code == ERR_NONE ? code : err_wrap(err, "nats.binary");
}

/* The option came with 2.10; an older server does not know the word. */
static enum err_code check_sync(struct test *test, node_set nodes, const char *path,
                                struct err *err)
{
    uint32_t culprit;
    struct buf script = BUF_INIT, says = BUF_INIT;
    if (strcmp(option_text(&test->plan->options, "nats.sync"), "always") != 0)
        return ERR_NONE;
    buf_printf(&script,
               "v=$(%s --version | sed 's/.*v//'); [ \"$(printf '2.10\\n%%s\\n' $v | sort -V | "
               "head -n 1)\" = 2.10 ] || { echo $v; exit 1; }",
               path);
    enum err_code code = system_examine(test, nodes, script.data, &culprit, &says, err);
    if (code == ERR_NONE && culprit != SYSTEM_HEALTHY)
        code = err_set(err, ERR_UNSUPPORTED,
                       "%s: nats.sync=always needs nats-server 2.10, and %s is there: name a newer "
                       "one in nats.binary",
                       test->nodes[culprit].name, buf_text(&says));
    buf_free(&script);
    buf_free(&says);
    return code;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "nats",
        .packages = "nats-server",
        .probe = "nats-server --version >/dev/null 2>&1",
    };
    struct buf path = BUF_INIT;
    enum err_code code = check_options(test, err);
    if (code == ERR_NONE)
        code = program_path(test, &path, err);
    if (code == ERR_NONE && *option_text(&test->plan->options, "nats.binary") != '\0')
        code = system_upload(test, nodes, option_text(&test->plan->options, "nats.binary"),
                             path.data, "--version", err);
    else if (code == ERR_NONE)
        code = system_install(test, nodes, &package, err);
    if (code == ERR_NONE)
        code = check_sync(test, nodes, path.data, err);
    buf_free(&path);
    return code;
}

/* ---- Starting ---- */

static enum err_code start_one(struct test *test, uint32_t node, const char *program,
                               struct err *err)
{
    struct buf config = BUF_INIT;
    const char *const argv[] = {program, "-c", CONFIG_PATH, NULL};
    const struct daemon_spec spec = {.name = NATS_DAEMON, .argv = argv, .log = LOG_PATH};
    nats_config(test, node, &config);
    enum err_code code = test_write_file(test, node, CONFIG_PATH, config.data, 0644, err);
    buf_free(&config);
    if (code == ERR_NONE && daemon_start(test, node, &spec, err) != ERR_NONE)
        code = err_wrap(err, "start " NATS_DAEMON);
    return code;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    struct buf path = BUF_INIT;
    const struct system_ports ports = {"nats", nats_client_port(test), nats_peer_port(test)};
    enum err_code code = system_absent(test, nodes, NATS_DAEMON, &absent, err);
    if (code == ERR_NONE && absent != 0) {
        code = program_path(test, &path, err);
        if (code == ERR_NONE)
            code = system_check_ports(test, absent, &ports, err);
        for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
            if (node_in(absent, i))
                code = start_one(test, i, path.data, err);
        if (code == ERR_NONE)
            code = system_watch(test, absent, NATS_DAEMON, LOG_PATH, err);
    }
    buf_free(&path);
    return code;
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "nats.data-dir", err);
}

static const struct client *client(const char *workload)
{
    if (strcmp(workload, "set") == 0)
        return &nats_set_client;
    if (strcmp(workload, "log") == 0)
        return &nats_log_client;
    if (strcmp(workload, "unique-ids") == 0)
        return &nats_ids_client;
    return strcmp(workload, "monotonic") == 0 ? &nats_monotonic_client : NULL;
}

/* A set is read message by message, which is slow; and a stream tells no time nor, reliably, its
 * newest number. */
static const char *const defaults[] = {"set.read=0.005", "monotonic.last=0", NULL};
static const char *const daemons[] = {NATS_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_nats = {
    .name = "nats",
    .summary = "NATS JetStream, a replicated log of messages (Debian's nats-server)",
    .options = nats_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "nats.data-dir",
    .install = install,
    .start = start,
    .ready = nats_ready,
    .wipe = wipe,
    .primaries = nats_primaries,
    .version = nats_version,
    .defaults = defaults,
    .client = client,
};
