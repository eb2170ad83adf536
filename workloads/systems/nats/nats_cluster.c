/* A NATS cluster as one sees it from outside: its options and configuration, whether it serves, who
 * leads the stream, its version. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "workloads/http.h"
#include "workloads/systems/common.h"
#include "workloads/systems/nats/nats_system.h"

const struct option nats_options[] = {
    {.name = "replicas",
     .kind = OPTION_INT,
     .fallback = "3",
     .help = "copies of each message; no more than there are nodes"},
    {.name = "sync",
     .kind = OPTION_CHOICE,
     .fallback = "default",
     .choices = "default|always",
     .help =
         "sync_interval: what was acknowledged is synced minutes later, or before; always needs "
         "nats-server 2.10 (see nats.binary)"},
    {.name = "binary",
     .kind = OPTION_TEXT,
     .fallback = "",
     .help = "a nats-server on this machine to upload; default: the nodes' own"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-nats",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "4222", .help = "port for clients"},
    {.name = "peer-port", .kind = OPTION_INT, .fallback = "6222", .help = "port for servers"},
    {.name = "monitor-port",
     .kind = OPTION_INT,
     .fallback = "8222",
     .help = "port where servers tell how they are"},
    {.name = NULL},
};

static uint16_t port_of(const struct test *test, const char *name)
{
    return (uint16_t)option_int(&test->plan->options, name);
}

uint16_t nats_client_port(const struct test *test)
{
    return port_of(test, "nats.client-port");
}

uint16_t nats_peer_port(const struct test *test)
{
    return port_of(test, "nats.peer-port");
}

uint16_t nats_monitor_port(const struct test *test)
{
    return port_of(test, "nats.monitor-port");
}

uint32_t nats_replicas(const struct test *test)
{
    int64_t replicas = option_int(&test->plan->options, "nats.replicas");
    return replicas > test->node_count ? test->node_count : (uint32_t)replicas;
}

void nats_config(const struct test *test, uint32_t node, struct buf *text)
{
    const struct options *options = &test->plan->options;
    buf_printf(text, "server_name: \"%s\"\nlisten: \"0.0.0.0:%u\"\nhttp: \"0.0.0.0:%u\"\n",
               test->nodes[node].name, (unsigned)nats_client_port(test),
               (unsigned)nats_monitor_port(test));
    buf_printf(text, "jetstream {\n  store_dir: \"%s\"\n", option_text(options, "nats.data-dir"));
    if (strcmp(option_text(options, "nats.sync"), "always") == 0)
        buf_add_text(text, "  sync_interval: always\n");
    buf_add_text(text, "}\n");
    if (test->node_count == 1)
        return;
    buf_printf(text, "cluster {\n  name: ordeal\n  listen: \"0.0.0.0:%u\"\n  routes: [\n",
               (unsigned)nats_peer_port(test));
    for (uint32_t i = 0; i < test->node_count; i++) {
        const char *peer = node_peer_address(&test->nodes[i]);
        bool ipv6 = strchr(peer, ':') != NULL;
        buf_printf(text, "    \"nats://%s%s%s:%u\"\n", ipv6 ? "[" : "", peer, ipv6 ? "]" : "",
                   (unsigned)nats_peer_port(test));
    }
    buf_add_text(text, "  ]\n}\n");
}

/* ---- Monitoring ---- */

/* What a server says under a path; NULL and why: it says nothing. The caller frees it. */
static struct json *look(struct test *test, uint32_t node, const char *path, struct buf *why)
{
    struct http_client *http = NULL;
    struct http_reply reply = {.body = BUF_INIT};
    struct buf url = BUF_INIT;
    struct err err = ERR_INIT;
    struct json *json = NULL;
    if (http_open(&http, &err) != ERR_NONE) {
        buf_add_text(why, err.message);
        return NULL;
    }
    http_add_url(&url, node_address(&test->nodes[node]), nats_monitor_port(test), path);
    http_get(http, url.data, NS_PER_SECOND, &reply);
    if (reply.outcome != HTTP_REPLIED)
        buf_add_text(why, reply.detail);
    else if (json_parse(buf_text(&reply.body), reply.body.length, "reply", &json, NULL) != ERR_NONE)
        buf_printf(why, "HTTP status %d without a reply of NATS", reply.status);
    http_close(http);
    http_reply_free(&reply);
    buf_free(&url);
    return json;
}

static bool is_healthy(struct test *test, uint32_t node, struct buf *why_not)
{
    struct buf why = BUF_INIT;
    struct json *health = look(test, node, "/healthz", &why);
    bool healthy = strcmp(json_as_text(json_get(health, "status"), ""), "ok") == 0;
    if (!healthy)
        system_trouble(test, node,
                       health == NULL
                           ? buf_text(&why)
                           : json_as_text(json_get(health, "error"), "it is not healthy"),
                       why_not);
    json_free(health);
    buf_free(&why);
    return healthy;
}

/* ---- The stream ---- */

enum { STREAM_NOT_FOUND = 10059 };

/* Asks JetStream through a node; the answer, for the caller to free, or NULL and why. */
static struct json *ask_jetstream(struct test *test, uint32_t node, const char *subject,
                                  const char *data, int64_t timeout_ns, struct buf *why)
{
    struct nats_asker asker;
    struct nats_reply reply;
    nats_asker_init(&asker, test, node);
    nats_ask(&asker, subject, data, timeout_ns, &reply);
    nats_asker_close(&asker);
    if (reply.outcome != NATS_REPLIED)
        buf_printf(why, "%s: JetStream: %s", test->nodes[node].name, reply.detail);
    else if (reply.json == NULL)
        buf_printf(why, "%s: JetStream answers nonsense", test->nodes[node].name);
    return reply.outcome == NATS_REPLIED ? reply.json : NULL;
}

/* As an application does when it comes up: the stream is made where it is not there. */
static bool make_stream(struct test *test, struct buf *why_not)
{
    char config[320];
    snprintf(config, sizeof config,
             "{\"name\":\"" NATS_STREAM "\",\"subjects\":[\"ordeal.>\"],\"num_replicas\":%u,"
             "\"storage\":\"file\",\"retention\":\"limits\",\"discard\":\"old\",\"max_msgs\":-1,"
             "\"max_bytes\":-1,\"max_age\":0,\"max_consumers\":-1}",
             nats_replicas(test));
    struct json *made = ask_jetstream(test, 0, "$JS.API.STREAM.CREATE." NATS_STREAM, config,
                                      2 * NS_PER_SECOND, why_not);
    if (made == NULL)
        return false;
    if (nats_error_code(made) != 0)
        buf_printf(why_not, "the stream cannot be made: %s",
                   json_as_text(json_get(json_get(made, "error"), "description"), "why?"));
    json_free(made);
    return false; /* to be looked at again */
}

/* It has a leader, and all its replicas are up to date. */
static bool stream_is_ready(struct test *test, struct buf *why_not)
{
    struct json *info =
        ask_jetstream(test, 0, "$JS.API.STREAM.INFO." NATS_STREAM, "", NS_PER_SECOND, why_not);
    if (info == NULL)
        return false;
    int64_t code = nats_error_code(info);
    if (code == STREAM_NOT_FOUND) {
        json_free(info);
        return make_stream(test, why_not);
    }
    const struct json *cluster = json_get(info, "cluster"),
                      *replicas = json_get(cluster, "replicas");
    size_t due = nats_replicas(test) - 1, current = 0;
    for (const struct json *one = json_first(replicas); one != NULL; one = json_next(one))
        current += json_as_bool(json_get(one, "current"), false) &&
                   !json_as_bool(json_get(one, "offline"), false);
    bool led = test->node_count == 1 || *json_as_text(json_get(cluster, "leader"), "") != '\0';
    bool ready = code == 0 && led && current == due;
    if (code != 0)
        buf_printf(why_not, "the stream: %s",
                   json_as_text(json_get(json_get(info, "error"), "description"), "an error"));
    else if (!ready)
        buf_printf(why_not, "the stream has %s leader, and %zu of %zu replicas up to date",
                   led ? "a" : "no", current, due);
    json_free(info);
    return ready;
}

bool nats_ready(struct test *test, struct buf *why_not)
{
    bool healthy = true;
    for (uint32_t i = 0; i < test->node_count; i++)
        healthy = is_healthy(test, i, why_not) && healthy;
    return healthy && stream_is_ready(test, why_not);
}

enum err_code nats_primaries(struct test *test, node_set *primaries, struct err *err)
{
    (void)err;
    *primaries = 0;
    struct buf why = BUF_INIT;
    for (uint32_t i = 0; i < test->node_count && *primaries == 0; i++) {
        struct json *info =
            ask_jetstream(test, i, "$JS.API.STREAM.INFO." NATS_STREAM, "", 300 * NS_PER_MS, &why);
        const char *leader = json_as_text(json_get(json_get(info, "cluster"), "leader"), "");
        for (uint32_t n = 0; n < test->node_count; n++)
            if (strcmp(test->nodes[n].name, leader) == 0 ||
                (test->node_count == 1 && info != NULL && nats_error_code(info) == 0))
                *primaries |= NODE_SET(n);
        json_free(info);
    }
    buf_free(&why);
    return ERR_NONE;
}

enum err_code nats_version(struct test *test, struct buf *version, struct err *err)
{
    struct buf why = BUF_INIT;
    struct json *varz = look(test, 0, "/varz", &why);
    const char *found = json_as_text(json_get(varz, "version"), NULL);
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "nats-server %s, JetStream R%u%s", found, nats_replicas(test),
                   strcmp(option_text(&test->plan->options, "nats.sync"), "always") == 0
                       ? ", sync always"
                       : "");
    else
        code = err_set(err, ERR_REMOTE, "%s does not tell its version: %s", test->nodes[0].name,
                       buf_text(&why));
    json_free(varz);
    buf_free(&why);
    return code;
}
