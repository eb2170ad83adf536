/* Disque, by a server's binary that the user has: one server on each node, all alike. */
#include "workloads/systems/disque/disque.h"

#include <string.h>
#include <unistd.h>

#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/disque-server.log"

const struct option disque_options[] = {
    {.name = "binary",
     .kind = OPTION_TEXT,
     .fallback = "",
     .help = "the disque-server on this machine to upload; no package has it"},
    {.name = "replicate",
     .kind = OPTION_INT,
     .fallback = "3",
     .help = "copies of each job before it is acknowledged; no more than there are nodes"},
    {.name = "appendonly",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "keep jobs on disk; without, as Disque comes, a server that is killed forgets its "
             "copies"},
    {.name = "appendfsync",
     .kind = OPTION_CHOICE,
     .fallback = "always",
     .choices = "always|everysec|no",
     .help = "when that file is synced: before a job is acknowledged, or not"},
    {.name = "async",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .help = "add with ASYNC: acknowledged before anything is replicated"},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .fallback = "100ms",
     .help = "how long a dequeue waits for a job, which other nodes may have"},
    {.name = "body-size", .kind = OPTION_INT, .fallback = "100", .help = "bytes of a body"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-disque",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port",
     .kind = OPTION_INT,
     .fallback = "7711",
     .help = "port for clients; the cluster's bus is 10000 above"},
    {.name = NULL},
};

uint16_t disque_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "disque.client-port");
}

uint32_t disque_replicas(const struct test *test)
{
    int64_t replicas = option_int(&test->plan->options, "disque.replicate");
    return replicas > test->node_count ? test->node_count : (uint32_t)replicas;
}

static const char *binary_of(const struct plan *plan)
{
    return option_text(&plan->options, "disque.binary");
}

static enum err_code check(const struct plan *plan, struct err *err)
{
    const char *binary = binary_of(plan);
    if (*binary == '\0')
        return err_set(err, ERR_CONFIG,
                       "disque has no Debian package: build disque-server "
                       "(https://github.com/antirez/disque), and name it in disque.binary");
    if (access(binary, R_OK) == 0)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "disque.binary: there is no %s to read on this machine",
                   binary);
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    struct buf target = BUF_INIT;
    const char *binary = binary_of(test->plan);
    enum err_code code = system_check_data_dir(test, "disque.data-dir", err);
    if (code == ERR_NONE)
        code = system_check_range(test, "disque.client-port", 1, 55535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "disque.replicate", 1, 64, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "disque.body-size", 0, 8192, err);
    if (code == ERR_NONE)
        code = system_upload_path(binary, DISQUE_DAEMON, &target, err);
    if (code == ERR_NONE)
        code = system_upload(test, nodes, binary, target.data, "--version", err);
    buf_free(&target);
    return code;
}

/* ---- Starting ---- */

const char *const *disque_arguments(const struct test *test, const char *program,
                                    struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const char *const arguments[] = {
        program,
        "--port",
        option_text(options, "disque.client-port"),
        "--dir",
        option_text(options, "disque.data-dir"),
        "--appendonly",
        option_bool(options, "disque.appendonly") ? "yes" : "no",
        "--appendfsync",
        option_text(options, "disque.appendfsync"),
        NULL,
    };
    const char **copy = arena_alloc(arena, sizeof arguments);
    memcpy(copy, arguments, sizeof arguments);
    return copy;
}

static enum err_code start_one(struct test *test, uint32_t node, const char *program,
                               struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf word = BUF_INIT;
    const struct daemon_spec spec = {
        .name = DISQUE_DAEMON, .argv = disque_arguments(test, program, &arena), .log = LOG_PATH};
    buf_add_shell_word(&word, option_text(&test->plan->options, "disque.data-dir"));
    enum err_code code = test_shell(test, NODE_SET(node), err, "mkdir -p %s", word.data);
    if (code == ERR_NONE)
        code = daemon_start(test, node, &spec, err);
    buf_free(&word);
    arena_free(&arena);
    return code == ERR_NONE ? code : err_wrap(err, "start " DISQUE_DAEMON);
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    struct buf program = BUF_INIT;
    uint16_t port = disque_client_port(test);
    const struct system_ports ports = {"disque", port, (uint16_t)(port + 10000)};
    enum err_code code = system_absent(test, nodes, DISQUE_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_upload_path(binary_of(test->plan), DISQUE_DAEMON, &program, err);
    if (code == ERR_NONE)
        code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, program.data, err);
    if (code == ERR_NONE)
        code = system_watch(test, absent, DISQUE_DAEMON, LOG_PATH, err);
    buf_free(&program);
    return code;
}

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "disque.data-dir", err);
}

static const struct client *client(const char *workload)
{
    return strcmp(workload, "queue") == 0 ? &disque_queue_client : NULL;
}

/* What its documentation promises: an acknowledged job is delivered while one of its copies lives.
 * All that it says of order, of single delivery and of leases is "best effort", times are those of
 * its wall clock, and a job whose replication failed may be delivered at any later time. */
static const char *const defaults[] = {
    "delivery.declared=no-loss,no-phantom,at-least-once",
    "queue.at-most-once=0",
    "queue.expiring=0",
    "queue.prioritized=0",
    "queue.nack-delayed=0",
    NULL,
};
static const char *const daemons[] = {DISQUE_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_disque = {
    .name = "disque",
    .summary = "Disque, a replicated job queue, by a disque-server that you have (disque.binary)",
    .options = disque_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "disque.data-dir",
    .check = check,
    .install = install,
    .start = start,
    .ready = disque_ready,
    .wipe = wipe,
    .version = disque_version,
    .defaults = defaults,
    .client = client,
};
