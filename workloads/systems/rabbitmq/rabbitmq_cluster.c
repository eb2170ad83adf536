/* A RabbitMQ cluster as one sees it from outside: its options and files, whether it serves, who
 * leads. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "workloads/systems/rabbitmq/rabbitmq.h"

const struct option rabbitmq_options[] = {
    {.name = "queue-type",
     .kind = OPTION_CHOICE,
     .fallback = "quorum",
     .choices = "quorum|mirrored|classic",
     .help = "quorum queues keep what was confirmed; mirrored ones choose between mirrors, and "
             "classic ones are on one node"},
    {.name = "partition",
     .kind = OPTION_CHOICE,
     .fallback = "pause_minority",
     .choices = "ignore|autoheal|pause_minority",
     .help = "what brokers do about a partition; those that stay apart from the first node when it "
             "is over are restarted, as an operator would"},
    {.name = "confirms",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "wait for publisher confirms; without them messages may be lost"},
    {.name = "promote",
     .kind = OPTION_CHOICE,
     .fallback = "always",
     .choices = "always|when-synced",
     .help = "which mirrors may become the queue when it fails (ha-promote-on-failure)"},
    {.name = "net-ticktime",
     .kind = OPTION_INT,
     .fallback = "5",
     .help = "seconds after which a silent node is taken for lost (RabbitMQ's own default: 60)"},
    {.name = "body-size",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "bytes of a message's body, about"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-rabbitmq",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "5672", .help = "port for clients"},
    {.name = "peer-port", .kind = OPTION_INT, .fallback = "25672", .help = "port for brokers"},
    {.name = NULL},
};

uint16_t rabbitmq_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "rabbitmq.client-port");
}

uint16_t rabbitmq_peer_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "rabbitmq.peer-port");
}

/* ---- Files and environment ---- */

void rabbitmq_node_name(const struct test *test, uint32_t node, struct buf *out)
{
    buf_printf(out, "rabbit@%s", node_peer_address(&test->nodes[node]));
}

void rabbitmq_config(const struct test *test, uint32_t node, struct buf *out)
{
    (void)node;
    buf_printf(out,
               "listeners.tcp.default = %u\n"
               "loopback_users = none\n"
               "cluster_partition_handling = %s\n"
               "cluster_formation.peer_discovery_backend = classic_config\n",
               (unsigned)rabbitmq_client_port(test),
               option_text(&test->plan->options, "rabbitmq.partition"));
    for (uint32_t i = 0; i < test->node_count; i++) {
        buf_printf(out, "cluster_formation.classic_config.nodes.%u = ", i + 1);
        rabbitmq_node_name(test, i, out);
        buf_add_char(out, '\n');
    }
    /* Small nodes share a machine; alarms would stop publishers where nothing is wrong. */
    buf_printf(out, "vm_memory_high_watermark.absolute = 512MB\n"
                    "disk_free_limit.absolute = 20MB\n"
                    "log.file = false\n"
                    "log.console = true\n"
                    "log.console.level = info\n"
                    "load_definitions = " RABBITMQ_HOME "/definitions.json\n");
}

void rabbitmq_definitions(const struct test *test, struct buf *out)
{
    const struct options *options = &test->plan->options;
    bool mirrored = strcmp(option_text(options, "rabbitmq.queue-type"), "mirrored") == 0;
    buf_add_text(out, "{\"vhosts\":[{\"name\":\"/\"}],\n"
                      "\"users\":[{\"name\":\"guest\",\"password\":\"guest\",\"tags\":"
                      "\"administrator\"}],\n"
                      "\"permissions\":[{\"user\":\"guest\",\"vhost\":\"/\",\"configure\":\".*\","
                      "\"write\":\".*\",\"read\":\".*\"}],\n\"policies\":[");
    if (mirrored)
        buf_printf(out,
                   "{\"vhost\":\"/\",\"name\":\"mirrors\",\"pattern\":\"^q\",\"apply-to\":"
                   "\"queues\",\"priority\":0,\"definition\":{\"ha-mode\":\"all\",\"ha-sync-mode\":"
                   "\"automatic\",\"ha-promote-on-failure\":\"%s\"}}",
                   option_text(options, "rabbitmq.promote"));
    buf_add_text(out, "]}\n");
}

const char *const *rabbitmq_environment(const struct test *test, uint32_t node, struct arena *arena)
{
    struct buf name = BUF_INIT;
    rabbitmq_node_name(test, node, &name);
    const struct options *options = &test->plan->options;
    const char *data_dir = option_text(options, "rabbitmq.data-dir");
    const char *const variables[] = {
        "HOME=" RABBITMQ_HOME,
        "LANG=C.UTF-8",
        "RABBITMQ_USE_LONGNAME=true",
        arena_printf(arena, "RABBITMQ_NODENAME=%s", name.data),
        arena_printf(arena, "RABBITMQ_MNESIA_BASE=%s", data_dir),
        arena_printf(arena, "RABBITMQ_DIST_PORT=%u", (unsigned)rabbitmq_peer_port(test)),
        "RABBITMQ_CONF_ENV_FILE=" RABBITMQ_HOME "/none",
        "RABBITMQ_CONFIG_FILE=" RABBITMQ_HOME "/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE=" RABBITMQ_HOME "/advanced.config",
        "RABBITMQ_ENABLED_PLUGINS_FILE=" RABBITMQ_HOME "/enabled_plugins",
        "RABBITMQ_LOG_BASE=/var/log/ordeal",
        arena_printf(arena, "RABBITMQ_GENERATED_CONFIG_DIR=%s/config", data_dir),
        arena_printf(arena, "RABBITMQ_FEATURE_FLAGS_FILE=%s/feature-flags", data_dir),
        /* Schedulers that spin while they wait would take the processors of the other nodes. */
        arena_printf(arena,
                     "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel net_ticktime %lld +S 2:2 "
                     "+sbwt none +sbwtdcpu none +sbwtdio none",
                     (long long)option_int(options, "rabbitmq.net-ticktime")),
        NULL,
    };
    const char **copy = arena_alloc(arena, sizeof variables);
    memcpy(copy, variables, sizeof variables);
    buf_free(&name);
    return copy;
}

/* ---- Whether it serves ---- */

/* A broker answers once it has joined the cluster. They are one cluster if a queue that the first
 * one declares is known to the others, and a node that is cut off knows nothing new. */
static const int64_t ask_ns = 2 * NS_PER_SECOND;

static bool trouble(struct test *test, uint32_t node, const struct rabbit_reply *reply,
                    struct buf *why_not)
{
    buf_printf(why_not, "%s: %s%s%s", test->nodes[node].name,
               reply->error == NULL ? "" : reply->error, reply->error == NULL ? "" : ": ",
               reply->detail);
    return false;
}

static struct rabbit_link *link_to(const struct test *test, uint32_t node)
{
    return rabbit_link_new(node_address(&test->nodes[node]), rabbitmq_client_port(test));
}

/* Whether this node knows the queue "ordeal-ready", which another connection owns: if so it is told
 * that it is locked (405), else that there is none (404). */
enum { NOT_FOUND = 404, LOCKED = 405 };
static bool knows_ready(struct test *test, uint32_t node, bool *apart, struct buf *why_not)
{
    struct rabbit_link *link = link_to(test, node);
    const struct rabbit_reply *reply =
        rabbit_declare(link, "ordeal-ready", NULL, clock_monotonic_ns() + ask_ns);
    bool known = reply->outcome == RABBIT_CLOSED && reply->code == LOCKED;
    *apart = reply->outcome == RABBIT_CLOSED && reply->code == NOT_FOUND;
    if (*apart)
        buf_printf(why_not, "%s%s and %s are not in one cluster", why_not->length == 0 ? "" : "; ",
                   test->nodes[0].name, test->nodes[node].name);
    else if (!known)
        trouble(test, node, reply, why_not);
    rabbit_link_close(link);
    return known;
}

/* Brokers may stay apart when a partition is over: in ignore mode always, in the others where it
 * was so short that they were connected again before they noticed. They say so in their logs, and
 * wait for an operator who restarts a side; as one does here, when their own healing has had its
 * time.
 */
static const int64_t healing_ns = 20 * NS_PER_SECOND;

static void recover_by_hand(struct test *test, node_set apart)
{
    static int64_t apart_since_ns; /* hooks are called from one thread at a time */
    const char *mode = option_text(&test->plan->options, "rabbitmq.partition");
    int64_t now_ns = clock_monotonic_ns();
    if (apart == 0)
        apart_since_ns = 0;
    else if (apart_since_ns == 0)
        apart_since_ns = now_ns;
    int64_t patience_ns = strcmp(mode, "ignore") == 0 ? 0 : healing_ns;
    if (apart == 0 || now_ns < apart_since_ns + patience_ns)
        return;
    struct buf names = BUF_INIT;
    struct err err = ERR_INIT;
    test_print_nodes(test, apart, &names);
    test_log(test, "rabbitmq: %s stayed apart after a partition: restarted, as an operator would",
             buf_text(&names));
    if (rabbitmq_restart(test, apart, &err) != ERR_NONE)
        test_log(test, "rabbitmq: %s", err.message);
    apart_since_ns = 0;
    buf_free(&names);
}

static bool is_one_cluster(struct test *test, struct rabbit_link *first, struct buf *why_not)
{
    const struct rabbit_reply *reply =
        rabbit_declare(first, "ordeal-ready", "exclusive", clock_monotonic_ns() + ask_ns);
    if (reply->outcome != RABBIT_DONE)
        return trouble(test, 0, reply, why_not);
    node_set apart = 0;
    for (uint32_t i = 1; i < test->node_count; i++) {
        bool is_apart;
        if (!knows_ready(test, i, &is_apart, why_not) && !is_apart)
            return false;
        apart |= is_apart ? NODE_SET(i) : 0;
    }
    recover_by_hand(test, apart);
    return apart == 0;
}

/* The workload's queues; they are there already after a fault. */
static bool declare_queues(struct test *test, struct rabbit_link *first, struct buf *why_not)
{
    char name[64];
    snprintf(name, sizeof name, "%s.queues", test->plan->workload->name);
    if (json_get(test->plan->options.values, name) == NULL)
        return true;
    int64_t queues = option_int(&test->plan->options, name);
    const char *type = option_text(&test->plan->options, "rabbitmq.queue-type");
    type = strcmp(type, "quorum") == 0 ? type : "classic";
    for (int64_t i = 0; i < queues; i++) {
        snprintf(name, sizeof name, "q%lld", (long long)i);
        const struct rabbit_reply *reply =
            rabbit_declare(first, name, type, clock_monotonic_ns() + 2 * ask_ns);
        if (reply->outcome != RABBIT_DONE)
            return trouble(test, 0, reply, why_not);
    }
    return true;
}

bool rabbitmq_ready(struct test *test, struct buf *why_not)
{
    struct rabbit_link *first = link_to(test, 0);
    bool ready = is_one_cluster(test, first, why_not) && declare_queues(test, first, why_not);
    rabbit_link_close(first);
    return ready;
}

enum err_code rabbitmq_version(struct test *test, struct buf *version, struct err *err)
{
    struct rabbit_link *link = link_to(test, 0);
    const struct rabbit_reply *reply = rabbit_connect(link, clock_monotonic_ns() + ask_ns);
    const struct options *options = &test->plan->options;
    enum err_code code = ERR_NONE;
    if (reply->outcome == RABBIT_DONE)
        buf_printf(version, "RabbitMQ %s, %s queues, %s", rabbit_link_version(link),
                   option_text(options, "rabbitmq.queue-type"),
                   option_text(options, "rabbitmq.partition"));
    else
        code = err_set(err, ERR_REMOTE, "%s: %s", test->nodes[0].name, reply->detail);
    rabbit_link_close(link);
    return code;
}

/* ---- Who leads ---- */

/* The nodes of the queues' leaders, as one broker knows them; asked through the broker's own tools,
 * for AMQP does not tell. */
static const char leaders_script[] =
    "timeout 4 env %s " RABBITMQ_PROGRAMS "/rabbitmqctl -q --timeout 3 eval "
    "'[io:format(\"~s~n\", [case amqqueue:get_pid(Q) of {_, N} -> N; P -> node(P) end]) || "
    "Q <- rabbit_amqqueue:list()].' 2>/dev/null";

static node_set nodes_named(const struct test *test, const char *text)
{
    node_set set = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct buf name = BUF_INIT;
        rabbitmq_node_name(test, i, &name);
        buf_add_char(&name, '\n');
        if (strstr(text, name.data) != NULL)
            set |= NODE_SET(i);
        buf_free(&name);
    }
    return set;
}

enum err_code rabbitmq_primaries(struct test *test, node_set *primaries, struct err *err)
{
    enum err_code code = ERR_NONE;
    *primaries = 0;
    for (uint32_t i = 0; i < test->node_count && *primaries == 0; i++) {
        struct arena arena = ARENA_INIT;
        struct buf environment = BUF_INIT, out = BUF_INIT;
        int status = 0;
        for (const char *const *one = rabbitmq_environment(test, i, &arena); *one != NULL; one++) {
            buf_add_shell_word(&environment, *one);
            buf_add_char(&environment, ' ');
        }
        code = test_shell_output(test, i, &out, &status, err, leaders_script, environment.data);
        if (code == ERR_NONE && status == 0)
            *primaries = nodes_named(test, buf_text(&out));
        buf_free(&environment);
        buf_free(&out);
        arena_free(&arena);
    }
    return *primaries != 0 ? ERR_NONE : code;
}
