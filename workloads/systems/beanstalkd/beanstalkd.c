/* beanstalkd, Debian's: one server on each node, which know nothing of each other; each tube is on
 * one of them, as clients of several servers spread what they ask. */
#include "workloads/systems/beanstalkd/beanstalkd.h"

#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/beanstalkd.log"

const struct option beanstalkd_options[] = {
    {.name = "binlog",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "keep jobs on disk (-b); Debian's service comes without: a server that is killed "
             "forgets everything"},
    {.name = "fsync",
     .kind = OPTION_CHOICE,
     .fallback = "default",
     .choices = "default|always|off",
     .help = "when the binlog is synced: default is what the server does unless told (since 1.11 "
             "every 50 ms at the most, after what it acknowledged), always -f 0, off -F"},
    {.name = "body-size", .kind = OPTION_INT, .fallback = "100", .help = "bytes of a body"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-beanstalkd",
     .help = "where each node keeps its binlog; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "11300", .help = "port for clients"},
    {.name = NULL},
};

uint16_t beanstalkd_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "beanstalkd.client-port");
}

/* ---- Installing and starting ---- */

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "beanstalkd",
        .packages = "beanstalkd",
        .probe = "beanstalkd -v >/dev/null 2>&1",
    };
    enum err_code code = system_check_data_dir(test, "beanstalkd.data-dir", err);
    if (code == ERR_NONE)
        code = system_check_range(test, "beanstalkd.client-port", 1, 65535, err);
    /* One that fits the buffers of a connection is sent without waiting. */
    if (code == ERR_NONE)
        code = system_check_range(test, "beanstalkd.body-size", 0, 8192, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

const char *const *beanstalkd_arguments(const struct test *test, uint32_t node, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const char *fsync = option_text(options, "beanstalkd.fsync");
    bool ipv6 = strchr(node_address(&test->nodes[node]), ':') != NULL;
    const char **argv = arena_zalloc(arena, 16 * sizeof *argv);
    size_t count = 0;
    argv[count++] = "beanstalkd";
    argv[count++] = "-l";
    argv[count++] = ipv6 ? "::" : "0.0.0.0";
    argv[count++] = "-p";
    argv[count++] = option_text(options, "beanstalkd.client-port");
    if (!option_bool(options, "beanstalkd.binlog"))
        return argv;
    argv[count++] = "-b";
    argv[count++] = option_text(options, "beanstalkd.data-dir");
    if (strcmp(fsync, "default") != 0)
        argv[count++] = strcmp(fsync, "always") == 0 ? "-f0" : "-F";
    return argv;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const struct daemon_spec spec = {.name = BEANSTALKD_DAEMON,
                                     .argv = beanstalkd_arguments(test, node, &arena),
                                     .log = LOG_PATH};
    struct buf word = BUF_INIT;
    buf_add_shell_word(&word, option_text(&test->plan->options, "beanstalkd.data-dir"));
    enum err_code code = test_shell(test, NODE_SET(node), err, "mkdir -p %s", word.data);
    if (code == ERR_NONE)
        code = daemon_start(test, node, &spec, err);
    buf_free(&word);
    arena_free(&arena);
    return code == ERR_NONE ? code : err_wrap(err, "start " BEANSTALKD_DAEMON);
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    uint16_t port = beanstalkd_client_port(test);
    const struct system_ports ports = {"beanstalkd", port, port};
    enum err_code code = system_absent(test, nodes, BEANSTALKD_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    code = system_check_ports(test, absent, &ports, err);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    return code == ERR_NONE ? system_watch(test, absent, BEANSTALKD_DAEMON, LOG_PATH, err) : code;
}

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "beanstalkd.data-dir", err);
}

/* ---- What a server says of itself ---- */

/* Its version to `version`, or to `why` why not. */
static bool ask_version(struct test *test, uint32_t node, int64_t timeout_ns, struct buf *version,
                        struct buf *why)
{
    static const char request[] = "stats\r\n";
    struct beanstalk_link link;
    struct beanstalk_answer answer;
    beanstalk_link_init(&link, node_address(&test->nodes[node]), beanstalkd_client_port(test), "");
    beanstalk_ask(&link, request, strlen(request), clock_monotonic_ns() + timeout_ns, &answer);
    bool good = answer.outcome == BEANSTALK_REPLIED && answer.reply.word == BEANSTALK_OK;
    if (answer.outcome != BEANSTALK_REPLIED)
        buf_add_text(why, answer.trouble.detail);
    else if (!good)
        buf_add_text(why, beanstalk_word_name(answer.reply.word));
    else
        buf_add(version, answer.reply.body, answer.reply.body_length);
    /* version: "1.12" */
    const char *at = good ? strstr(buf_text(version), "\nversion: ") : NULL;
    if (at != NULL) {
        char text[32] = "";
        at += strlen("\nversion: ");
        at += *at == '"';
        memcpy(text, at, strcspn(at, "\"\r\n") < sizeof text - 1 ? strcspn(at, "\"\r\n") : 0);
        buf_clear(version);
        buf_add_text(version, text);
    } else if (good) {
        buf_clear(version);
        buf_add_text(version, "of unknown version");
    }
    beanstalk_link_close(&link);
    return good;
}

static bool ready(struct test *test, struct buf *why_not)
{
    bool all = true;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct buf version = BUF_INIT, why = BUF_INIT;
        if (!ask_version(test, i, NS_PER_SECOND, &version, &why)) {
            system_trouble(test, i, buf_text(&why), why_not);
            all = false;
        }
        buf_free(&version);
        buf_free(&why);
    }
    return all;
}

static enum err_code version(struct test *test, struct buf *text, struct err *err)
{
    const struct options *options = &test->plan->options;
    const char *fsync = option_text(options, "beanstalkd.fsync");
    struct buf found = BUF_INIT, why = BUF_INIT;
    enum err_code code = ERR_NONE;
    if (!ask_version(test, 0, 2 * NS_PER_SECOND, &found, &why))
        code = err_set(err, ERR_REMOTE, "%s does not tell its version: %s", test->nodes[0].name,
                       buf_text(&why));
    else
        buf_printf(text, "beanstalkd %s, %s", found.data,
                   !option_bool(options, "beanstalkd.binlog") ? "no binlog"
                   : strcmp(fsync, "always") == 0             ? "binlog, synced always"
                   : strcmp(fsync, "off") == 0                ? "binlog, never synced"
                                                              : "binlog, synced by default");
    buf_free(&found);
    buf_free(&why);
    return code;
}

/* ---- The system ---- */

static const struct client *client(const char *workload)
{
    return strcmp(workload, "queue") == 0 ? &beanstalkd_queue_client : NULL;
}

/* What its protocol says of jobs that are in the binlog. Not that a lease lasts: it ends with the
 * consumer's connection and with the server. It knows no time to live, and no job is at most once.
 * An operation of unknown outcome is settled soon after: its connection was reset. */
static const char *const defaults[] = {
    "delivery.declared=no-loss,no-phantom,at-least-once,exactly-once,no-redelivery-after-ack,delay",
    "delivery.settle=10s",
    "queue.at-most-once=0",
    "queue.expiring=0",
    NULL,
};
static const char *const daemons[] = {BEANSTALKD_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_beanstalkd = {
    .name = "beanstalkd",
    .summary = "beanstalkd, a work queue: servers side by side, each tube on one (Debian's)",
    .options = beanstalkd_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "beanstalkd.data-dir",
    .install = install,
    .start = start,
    .ready = ready,
    .wipe = wipe,
    .version = version,
    .defaults = defaults,
    .client = client,
};
