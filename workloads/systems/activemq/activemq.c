/* ActiveMQ, Debian's: one broker with KahaDB on each node, which know nothing of each other; each
 * queue is on one of them. It is spoken to over STOMP: Debian's package has no AMQP. */
#include "workloads/systems/activemq/activemq.h"

#include <string.h>

#include "harness/base/clock.h"
#include "workloads/systems/common.h"
#include "workloads/systems/systems.h"

#define LOG_PATH "/var/log/ordeal/activemq.log"
#define PROGRAM "/usr/share/activemq/bin/activemq.jar"
#define BASE "/etc/ordeal/activemq"

const struct option activemq_options[] = {
    {.name = "sync",
     .kind = OPTION_CHOICE,
     .fallback = "always",
     .choices = "always|periodic|never",
     .help = "journalDiskSyncStrategy: always, as it comes, is before a message is acknowledged, "
             "periodic once a second"},
    {.name = "wait",
     .kind = OPTION_DURATION,
     .fallback = "100ms",
     .help = "how long a dequeue waits for a message to be pushed"},
    {.name = "heap-mb", .kind = OPTION_INT, .fallback = "256", .help = "megabytes of Java's heap"},
    {.name = "body-size", .kind = OPTION_INT, .fallback = "100", .help = "bytes of a body"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-activemq",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port",
     .kind = OPTION_INT,
     .fallback = "61613",
     .help = "port for clients, which speak STOMP"},
    {.name = NULL},
};

uint16_t activemq_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "activemq.client-port");
}

/* ---- Installing and starting ---- */

static enum err_code install(struct test *test, node_set nodes, struct err *err)
{
    static const struct system_package package = {
        .system = "activemq",
        .packages = "activemq default-jre-headless",
        .probe = "test -e " PROGRAM " && java -version >/dev/null 2>&1",
    };
    const char *path = option_text(&test->plan->options, "activemq.data-dir");
    enum err_code code = system_check_data_dir(test, "activemq.data-dir", err);
    if (code == ERR_NONE && strpbrk(path, "\"<&$") != NULL)
        code = err_set(err, ERR_CONFIG,
                       "activemq.data-dir: '%s' cannot be said in its configuration", path);
    if (code == ERR_NONE)
        code = system_check_range(test, "activemq.client-port", 1, 65535, err);
    if (code == ERR_NONE)
        code = system_check_range(test, "activemq.heap-mb", 64, 1 << 20, err);
    /* One that fits the buffers of a connection is sent without waiting. */
    if (code == ERR_NONE)
        code = system_check_range(test, "activemq.body-size", 0, 8192, err);
    return code == ERR_NONE ? system_install(test, nodes, &package, err) : code;
}

/* Browsers are shown whole queues, so that lengths are what is there. */
void activemq_config(const struct test *test, uint32_t node, struct buf *out)
{
    const struct options *options = &test->plan->options;
    const char *directory = option_text(options, "activemq.data-dir");
    bool ipv6 = strchr(node_address(&test->nodes[node]), ':') != NULL;
    buf_printf(out,
               "<beans xmlns=\"http://www.springframework.org/schema/beans\""
               " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
               " xsi:schemaLocation=\"http://www.springframework.org/schema/beans"
               " http://www.springframework.org/schema/beans/spring-beans-2.0.xsd"
               " http://activemq.apache.org/schema/core"
               " http://activemq.apache.org/schema/core/activemq-core.xsd\">\n"
               "  <broker xmlns=\"http://activemq.apache.org/schema/core\" brokerName=\"%s\""
               " useJmx=\"false\" dataDirectory=\"%s\">\n"
               "    <destinationPolicy><policyMap><policyEntries>\n"
               "      <policyEntry queue=\">\" maxBrowsePageSize=\"100000\"/>\n"
               "    </policyEntries></policyMap></destinationPolicy>\n"
               "    <persistenceAdapter>\n"
               "      <kahaDB directory=\"%s/kahadb\" journalDiskSyncStrategy=\"%s\"/>\n"
               "    </persistenceAdapter>\n"
               "    <transportConnectors>\n"
               "      <transportConnector name=\"stomp\" uri=\"stomp://%s:%u\"/>\n"
               "    </transportConnectors>\n"
               "  </broker>\n"
               "</beans>\n",
               test->nodes[node].name, directory, directory, option_text(options, "activemq.sync"),
               ipv6 ? "[::]" : "0.0.0.0", (unsigned)activemq_client_port(test));
}

static const char log4j[] = "log4j.rootLogger=INFO, out\n"
                            "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
                            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
                            "log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n\n";

static enum err_code write_files(struct test *test, uint32_t node, struct err *err)
{
    struct buf config = BUF_INIT;
    activemq_config(test, node, &config);
    enum err_code code = test_write_file(test, node, BASE "/activemq.xml", config.data, 0644, err);
    if (code == ERR_NONE)
        code = test_write_file(test, node, BASE "/log4j.properties", log4j, 0644, err);
    buf_free(&config);
    return code;
}

static enum err_code start_one(struct test *test, uint32_t node, struct err *err)
{
    struct arena arena = ARENA_INIT;
    const char *heap = option_text(&test->plan->options, "activemq.heap-mb");
    const char *const argv[] = {
        "java",
        arena_printf(&arena, "-Xmx%sm", heap),
        "-Dlog4j.configuration=file:" BASE "/log4j.properties",
        "-Dactivemq.home=/usr/share/activemq",
        "-Dactivemq.base=" BASE,
        "-Dactivemq.conf=" BASE,
        arena_printf(&arena, "-Dactivemq.data=%s",
                     option_text(&test->plan->options, "activemq.data-dir")),
        "-jar",
        PROGRAM,
        "start",
        "xbean:file:" BASE "/activemq.xml",
        NULL,
    };
    const struct daemon_spec spec = {.name = ACTIVEMQ_DAEMON, .argv = argv, .log = LOG_PATH};
    enum err_code code = write_files(test, node, err);
    if (code == ERR_NONE)
        code = daemon_start(test, node, &spec, err);
    arena_free(&arena);
    return code == ERR_NONE ? code : err_wrap(err, "start " ACTIVEMQ_DAEMON);
}

static enum err_code start(struct test *test, node_set nodes, struct err *err)
{
    node_set absent;
    struct buf word = BUF_INIT;
    uint16_t port = activemq_client_port(test);
    const struct system_ports ports = {"activemq", port, port};
    enum err_code code = system_absent(test, nodes, ACTIVEMQ_DAEMON, &absent, err);
    if (code != ERR_NONE || absent == 0)
        return code;
    buf_add_shell_word(&word, option_text(&test->plan->options, "activemq.data-dir"));
    code = system_check_ports(test, absent, &ports, err);
    if (code == ERR_NONE)
        code = test_shell(test, absent, err, "mkdir -p " BASE " %s", word.data);
    for (uint32_t i = 0; i < test->node_count && code == ERR_NONE; i++)
        if (node_in(absent, i))
            code = start_one(test, i, err);
    buf_free(&word);
    return code == ERR_NONE ? system_watch(test, absent, ACTIVEMQ_DAEMON, LOG_PATH, err) : code;
}

static enum err_code wipe(struct test *test, node_set nodes, struct err *err)
{
    return system_wipe_data_dir(test, nodes, "activemq.data-dir", err);
}

/* ---- What a broker says of itself ---- */

/* "ActiveMQ/5.17.2"; false, and why: it does not take a connection. */
static bool ask_version(struct test *test, uint32_t node, int64_t timeout_ns, struct buf *version,
                        struct buf *why)
{
    struct stomp_link link;
    struct stomp_trouble trouble;
    stomp_init(&link, node_address(&test->nodes[node]), activemq_client_port(test));
    bool good = stomp_ready(&link, clock_monotonic_ns() + timeout_ns, &trouble);
    buf_add_text(good ? version : why, good ? link.server : trouble.stream.detail);
    stomp_close(&link);
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
    struct buf found = BUF_INIT, why = BUF_INIT;
    enum err_code code = ERR_NONE;
    if (ask_version(test, 0, 2 * NS_PER_SECOND, &found, &why))
        buf_printf(text, "%s, KahaDB, synced %s", buf_text(&found),
                   option_text(&test->plan->options, "activemq.sync"));
    else
        code = err_set(err, ERR_REMOTE, "%s does not tell its version: %s", test->nodes[0].name,
                       buf_text(&why));
    buf_free(&found);
    buf_free(&why);
    return code;
}

/* ---- The system ---- */

static const struct client *client(const char *workload)
{
    return strcmp(workload, "queue") == 0 ? &activemq_queue_client : NULL;
}

/* What persistent messages promise: none that was acknowledged to its producer is lost, and what no
 * consumer acknowledged comes again. What is held, and for how long, is between the consumer and
 * itself; times, priorities and the like are not asked for. An operation of unknown outcome is
 * settled soon after: its connection was reset. */
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
static const char *const daemons[] = {ACTIVEMQ_DAEMON, NULL};
static const char *const log_paths[] = {LOG_PATH, NULL};

const struct system system_activemq = {
    .name = "activemq",
    .summary = "ActiveMQ over STOMP: brokers side by side, each queue on one (Debian's activemq)",
    .options = activemq_options,
    .daemons = daemons,
    .log_paths = log_paths,
    .data_dir_option = "activemq.data-dir",
    .install = install,
    .start = start,
    .ready = ready,
    .wipe = wipe,
    .version = version,
    .defaults = defaults,
    .client = client,
};
