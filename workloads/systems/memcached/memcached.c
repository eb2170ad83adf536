/* memcached, Debian's: one server on each node, which know nothing of each other; clients spread
 * keys over them. What a server held is gone with it: that is no bug of a cache. */
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/memcached/memcached_system.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/memcached.log"

const struct option memcached_options[] = {
    {.name = "memory",
     .kind = OPTION_INT,
     .fallback = "64",
     .help = "megabytes of each server; what was used least makes room when they are full"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "11211", .help = "port for clients"},
    {.name = NULL},
};

uint16_t memcached_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "memcached.client-port");
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "memcached",
        .packages = "memcached",
        .probe = "memcached -V >/dev/null 2>&1",
    };
    enum err_code code = system_check_range(test, "memcached.client-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "memcached.memory", 1, 1 << 20, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    const struct options *options = &test->plan->options;
    const char *const argv[] = {"memcached",
                                "-u",
                                "nobody",
                                "-l",
                                strchr(node_address(&test->nodes[node]), ':') == NULL ? "0.0.0.0"
                                                                                      : "::",
                                "-U",
                                "0",
                                "-p",
                                option_text(options, "memcached.client-port"),
                                "-m",
                                option_text(options, "memcached.memory"),
                                NULL};
    const struct daemon_spec spec = {.name = MEMCACHED_DAEMON, .argv = argv, .log = LOG_PATH};
    if (daemon_start(test, node, &spec, err) != ERR_NONE)
        return err_wrap(err, "start " MEMCACHED_DAEMON);
    return ERR_NONE;
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    uint16_t port = memcached_client_port(test);
    const struct system_ports ports = {"memcached", port, port};
    enum err_code code = system_absent(test, nodes, MEMCACHED_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    return code == ERR_NONE ? system_watch(test, absent, MEMCACHED_DAEMON, LOG_PATH, err) : code;
}

static bool ready(struct test *test, struct buf *why_not)
{
    bool all = true;
    struct buf version = BUF_INIT;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct err err = ERR_INIT;
        if (memcached_ask_version(test, i, NS_PER_SECOND, &version, &err) == ERR_NONE)
            continue;
        buf_printf(why_not, "%s%s", all ? "" : "; ", err.message);
        all = false;
    }
    buf_free(&version);
    return all;
}

static enum err_code version(struct test *test, struct buf *text, struct err *err)
{
    return memcached_ask_version(test, 0, 2 * NS_PER_SECOND, text, err);
}

/* It keeps nothing on disks. */
static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    (void)test, (void)nodes, (void)err;
    return ERR_NONE;
}

static const struct client *client(const char *workload)
{
    if (strcmp(workload, "register") == 0)
        return &memcached_register_client;
    if (strcmp(workload, "counter") == 0)
        return &memcached_counter_client;
    return strcmp(workload, "unique-ids") == 0 ? &memcached_ids_client : NULL;
}

static const char *const daemons[] = {MEMCACHED_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_memcached = {
    .name = "memcached",
    .summary = "memcached, a cache that forgets when it is killed (Debian's memcached)",
    .options = memcached_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .install = install,
    .start = start,
    .ready = ready,
    .wipe = wipe,
    .version = version,
    .client = client,
};
