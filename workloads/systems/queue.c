/* ordeal-queue, the project's own job queue: uploaded, one server on each node. */
#include "workloads/systems/queue.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/queue.log"

/* ---- Installing ---- */

/* The server that is to be uploaded: named, or beside this program. */
static enum err_code find_binary(const struct test *test, struct buf *path, struct err *err)
{
    const char *named = option_text(&test->plan->options, "queue.binary");
    bool defective = *option_text(&test->plan->options, "queue.defect") != '\0';
    char program[PATH_MAX] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash = length > 0 ? strrchr(program, '/') : NULL;
    if (slash != NULL)
        *slash = '\0';
    if (*named != '\0')
        buf_add_text(path, named);
    else
        buf_printf(path, "%s/ordeal-queue%s", program, defective ? "-defective" : "");
    if (access(path->data, R_OK) == 0)
        return ERR_NONE;
    return err_set(err, ERR_UNSUPPORTED,
                   "the queue's server is not at %s: build it (make), or name it in queue.binary",
                   path->data);
}

static enum err_code locate(const struct test *test, struct buf *source, struct buf *target,
                            struct err *err)
{
    enum err_code code = find_binary(test, source, err);
    return code == ERR_NONE ? system_upload_path(source->data, QUEUE_DAEMON, target, err) : code;
}

static enum err_code check_options(const struct test *test, struct err *err)
{
    static const struct {
        const char *name;
        int64_t low, high;
    } ranges[] = {
        {"queue.client-port", 1, 65535},  {"queue.peer-port", 1, 65535},
        {"queue.election-ms", 50, 60000}, {"queue.snapshot-entries", 1, INT32_MAX},
        {"queue.body-size", 0, 1 << 20},
    };
    enum err_code code = system_check_data_dir(test, "queue.data-dir", err);
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && code == ERR_NONE; i++)
        code = system_check_range(test, ranges[i].name, ranges[i].low, ranges[i].high, err);
    return code;
}

/* With the flags that it will be given: a defect that there is not is told here. */
static enum err_code put(struct test *test, node_set nodes, const char *source, const char *target,
                         struct err *err)
{
    struct buf arguments = BUF_INIT;
    const char *defect = option_text(&test->plan->options, "queue.defect");
    if (*defect != '\0') {
        buf_add_text(&arguments, "--defect ");
        buf_add_shell_word(&arguments, defect);
    }
    buf_add_text(&arguments, " --version");
    enum err_code code = system_upload(test, nodes, source, target, arguments.data, err);
    buf_free(&arguments);
    return code;
}

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    struct buf source = BUF_INIT, target = BUF_INIT;
    enum err_code code = check_options(test, err);
    if (code == ERR_NONE)
        code = locate(test, &source, &target, err);
    if (code == ERR_NONE)
        code = put(test, nodes, source.data, target.data, err);
    buf_free(&source);
    buf_free(&target);
    return code;
}

/* ---- Starting ---- */

static enum err_code start_all(struct test *test, node_set nodes, const char *program,
                               enum queue_birth birth, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code code = ERR_NONE;
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++) {
        if (!node_in(nodes, i))
            continue;
        const struct daemon_spec spec = {
            .name = QUEUE_DAEMON,
            .argv = queue_arguments(test, i, program, birth, &arena),
            .log = LOG_PATH,
        };
        if ((code = daemon_start(test, i, &spec, err)) != ERR_NONE)
            err_wrap(err, "start " QUEUE_DAEMON);
    }
    arena_free(&arena);
    return code;
}

static enum err_code start_as(struct test *test, node_set nodes, enum queue_birth birth,
                              struct err *err)
{
    node_set absent;
    struct buf source = BUF_INIT, target = BUF_INIT;
    const struct system_ports ports = {"queue", queue_client_port(test), queue_peer_port(test)};
    enum err_code code = system_absent(test, nodes, QUEUE_DAEMON, &absent, err);
    if (code == ERR_NONE && absent != 0) {
        code = locate(test, &source, &target, err);
        if (code == ERR_NONE)
            code = system_check_ports(test, absent, &ports, err);
        if (code == ERR_NONE)
            code = start_all(test, absent, target.data, birth, err);
        if (code == ERR_NONE)
            code = system_watch(test, absent, QUEUE_DAEMON, LOG_PATH, err);
    }
    buf_free(&source);
    buf_free(&target);
    return code;
}

/* What has data is a member by that, whatever its command line says. */
static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    return start_as(test, nodes, QUEUE_FOUNDER, err);
}

enum err_code queue_start_joining(struct test *test, uint32_t node, struct err *err)
{
    return start_as(test, NODE_SET(node), QUEUE_JOINS, err);
}

/* ---- The rest ---- */

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "queue.data-dir", err);
}

static const struct client *client(const char *workload)
{
    bool runs = strcmp(workload, "queue") == 0 || strcmp(workload, "queue-keys") == 0;
    return runs ? &queue_client : NULL;
}

/* All that docs/queue.md promises, whatever breaks. Not `ttl`: without a leader its time stands
 * still, so that a job may live longer. The options async, fsync and fenced give up some of these,
 * and a run with them is convicted for it. */
static const char *const defaults[] = {
    "delivery.declared=no-loss,no-phantom,at-most-once,at-least-once,exactly-once,"
    "no-redelivery-after-ack,exclusive-lease,delay,retry,redelivery-count,order,no-stuck,"
    "dead-letter,fencing,unique-key",
    /* Only what damages disks makes it find one damaged; a loss of power does not. */
    "logs.pattern= error damaged ",
    "logs.excused-by=disk",
    NULL,
};
static const char *const daemons[] = {QUEUE_DAEMON, NULL};
static const struct log_mark log_marks[] = {
    {"election", " role role=(leader|candidate) "},
    {"start", " info started "},
    {NULL, NULL},
};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_queue = {
    .name = "queue",
    .summary = "ordeal-queue, the replicated job queue that comes with ordeal",
    .options = queue_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .log_marks = log_marks,
    .data_dir_option = "queue.data-dir",
    .install = install,
    .start = start,
    .ready = queue_ready,
    .wipe = wipe,
    .primaries = queue_primaries,
    .replace = queue_replace,
    .members = queue_members,
    .remove = queue_remove,
    .add = queue_add,
    .version = queue_version,
    .defaults = defaults,
    .client = client,
};
