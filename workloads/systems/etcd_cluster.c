/* An etcd cluster as one sees it from outside: its command lines, whether it serves, who leads. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/json.h"
#include "workloads/at_once.h"
#include "workloads/http.h"
#include "workloads/systems/base64.h"
#include "workloads/systems/etcd.h"

const struct option etcd_options[] = {
    {.name = "reads",
     .kind = OPTION_CHOICE,
     .fallback = "linearizable",
     .choices = "linearizable|serializable",
     .help = "serializable reads are answered by one member alone: stale ones are no bug of etcd"},
    {.name = "heartbeat-ms",
     .kind = OPTION_INT,
     .fallback = "100",
     .help = "milliseconds between a leader's heartbeats"},
    {.name = "election-ms",
     .kind = OPTION_INT,
     .fallback = "1000",
     .help = "milliseconds without a leader before an election; at least 5 heartbeats"},
    {.name = "snapshot-count",
     .kind = OPTION_INT,
     .fallback = "5000",
     .help = "committed entries between two snapshots"},
    {.name = "lock-ttl",
     .kind = OPTION_INT,
     .fallback = "5",
     .help =
         "seconds after which a lock is free whose holder does not reach etcd; its lease's time "
         "to live"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-etcd",
     .help = "where each node keeps its data; removed whole before a run"},
    {.name = "client-port", .kind = OPTION_INT, .fallback = "2379", .help = "port for clients"},
    {.name = "peer-port", .kind = OPTION_INT, .fallback = "2380", .help = "port for members"},
    {.name = NULL},
};

uint16_t etcd_client_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "etcd.client-port");
}

uint16_t etcd_peer_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "etcd.peer-port");
}

/* ---- The command line ---- */

static const char *url(struct arena *arena, const char *host, uint16_t port)
{
    struct buf text = BUF_INIT;
    http_add_url(&text, host, port, "");
    const char *copy = arena_strdup(arena, text.data);
    buf_free(&text);
    return copy;
}

/* etcd binds to numeric addresses only. Where the one its peers use is also the one that clients
 * use, that one is enough; else it listens on all. */
static const char *bind_host(const struct node *node)
{
    const char *peer = node_peer_address(node);
    struct in6_addr address;
    bool ipv4 = inet_pton(AF_INET, peer, &address) == 1;
    bool ipv6 = inet_pton(AF_INET6, peer, &address) == 1;
    if ((ipv4 || ipv6) && strcmp(peer, node_address(node)) == 0)
        return peer;
    return ipv6 ? "::" : "0.0.0.0";
}

static const char *initial_cluster(const struct test *test, node_set members, struct arena *arena)
{
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; i < test->node_count; i++) {
        if (!node_in(members, i))
            continue;
        buf_printf(&text, "%s%s=", text.length == 0 ? "" : ",", test->nodes[i].name);
        http_add_url(&text, node_peer_address(&test->nodes[i]), etcd_peer_port(test), "");
    }
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

const char *const *etcd_arguments(const struct test *test, uint32_t node, enum etcd_birth birth,
                                  node_set members, struct arena *arena)
{
    const struct options *options = &test->plan->options;
    const struct node *self = &test->nodes[node];
    const char *host = bind_host(self), *peer = node_peer_address(self);
    uint16_t client_port = etcd_client_port(test), peer_port = etcd_peer_port(test);
    const char *const arguments[] = {
        "etcd",
        "--name",
        self->name,
        "--data-dir",
        option_text(options, "etcd.data-dir"),
        "--listen-peer-urls",
        url(arena, host, peer_port),
        "--initial-advertise-peer-urls",
        url(arena, peer, peer_port),
        "--listen-client-urls",
        url(arena, host, client_port),
        "--advertise-client-urls",
        url(arena, peer, client_port),
        "--initial-cluster",
        initial_cluster(test, members, arena),
        "--initial-cluster-state", /* ignored when there is data, so a restart says the same */
        birth == ETCD_JOINS ? "existing" : "new",
        "--heartbeat-interval",
        option_text(options, "etcd.heartbeat-ms"),
        "--election-timeout",
        option_text(options, "etcd.election-ms"),
        "--snapshot-count",
        option_text(options, "etcd.snapshot-count"),
        "--logger",
        "zap",
        "--log-outputs",
        "stderr",
        NULL,
    };
    const char **copy = arena_alloc(arena, sizeof arguments);
    memcpy(copy, arguments, sizeof arguments);
    return copy;
}

/* ---- Asking all nodes at once ---- */

struct question {
    struct test *test;
    uint32_t node;
    const char *path, *body; /* body NULL: GET */
    int64_t timeout_ns;
    struct http_reply reply;
    struct json *answer; /* NULL unless status 200 and JSON */
};

static void *ask(void *state)
{
    struct question *question = state;
    struct http_reply *reply = &question->reply;
    struct http_client *client = NULL;
    struct err err = ERR_INIT;
    if (http_open(&client, &err) != ERR_NONE) {
        reply->outcome = HTTP_NOT_SENT;
        snprintf(reply->detail, sizeof reply->detail, "%.120s", err.message);
        return NULL;
    }
    struct buf text = BUF_INIT;
    http_add_url(&text, node_address(&question->test->nodes[question->node]),
                 etcd_client_port(question->test), question->path);
    if (question->body == NULL)
        http_get(client, text.data, question->timeout_ns, reply);
    else
        http_post_json(client, text.data, question->body, strlen(question->body),
                       question->timeout_ns, reply);
    http_close(client);
    buf_free(&text);
    struct json *json = NULL;
    if (reply->outcome == HTTP_REPLIED && reply->status == 200 &&
        json_parse(buf_text(&reply->body), reply->body.length, "reply", &json, NULL) == ERR_NONE)
        question->answer = json;
    return NULL;
}

/* One answer a node, in their order; questions_free gives them back. */
static struct question *ask_all(struct test *test, const char *path, const char *body,
                                int64_t timeout_ns)
{
    struct question *questions = calloc(test->node_count, sizeof *questions);
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        questions[i].test = test;
        questions[i].node = i;
        questions[i].path = path;
        questions[i].body = body;
        questions[i].timeout_ns = timeout_ns;
    }
    if (questions != NULL)
        at_once(questions, sizeof *questions, test->node_count, ask);
    return questions;
}

static void questions_free(struct question *questions, uint32_t count)
{
    for (uint32_t i = 0; questions != NULL && i < count; i++) {
        json_free(questions[i].answer);
        http_reply_free(&questions[i].reply);
    }
    free(questions);
}

/* "n2: connection refused", "n3: etcdserver: no leader" */
static void print_trouble(const struct question *question, struct buf *out)
{
    const struct http_reply *reply = &question->reply;
    buf_printf(out, "%s: ", question->test->nodes[question->node].name);
    if (reply->outcome != HTTP_REPLIED) {
        buf_add_text(out, reply->detail);
        return;
    }
    struct json *json = NULL;
    if (json_parse(buf_text(&reply->body), reply->body.length, "reply", &json, NULL) != ERR_NONE)
        json = NULL;
    const char *message = json_as_text(json_get(json, "error"), NULL);
    if (message != NULL)
        buf_add_text(out, message);
    else
        buf_printf(out, "HTTP status %d without a reply of etcd", reply->status);
    json_free(json);
}

enum err_code etcd_ask_node(struct test *test, uint32_t node, const char *path, const char *body,
                            int64_t timeout_ns, struct json **answer, struct err *err)
{
    struct question question = {
        .test = test, .node = node, .path = path, .body = body, .timeout_ns = timeout_ns};
    struct buf trouble = BUF_INIT;
    ask(&question);
    *answer = question.answer;
    if (question.answer == NULL)
        print_trouble(&question, &trouble);
    enum err_code code =
        question.answer != NULL ? ERR_NONE : err_set(err, ERR_REMOTE, "%s", buf_text(&trouble));
    buf_free(&trouble);
    http_reply_free(&question.reply);
    return code;
}

/* ---- Hooks ---- */

bool etcd_ready(struct test *test, struct buf *why_not)
{
    struct buf body = BUF_INIT;
    buf_add_text(&body, "{\"key\":\"");
    base64_add(&body, "ordeal/ready", strlen("ordeal/ready"));
    buf_add_text(&body, "\"}");
    /* A linearizable read through each node: there is a leader, and all of them reach it. */
    struct question *questions = ask_all(test, "/v3/kv/range", body.data, NS_PER_SECOND);
    bool ready = questions != NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count; i++) {
        if (json_kind(json_get(questions[i].answer, "header")) == JSON_OBJECT)
            continue;
        if (!ready)
            buf_add_text(why_not, "; ");
        ready = false;
        print_trouble(&questions[i], why_not);
    }
    questions_free(questions, test->node_count);
    buf_free(&body);
    return ready;
}

static uint64_t number(const struct json *object, const char *key)
{
    /* The gateway writes 64-bit numbers as text. */
    return strtoull(json_as_text(json_get(object, key), "0"), NULL, 10);
}

enum err_code etcd_primaries(struct test *test, node_set *primaries, struct err *err)
{
    struct question *questions = ask_all(test, "/v3/maintenance/status", "{}", 300 * NS_PER_MS);
    if (questions == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for asking etcd who leads");
    node_set leaders = 0;
    uint64_t newest_term = 0;
    for (uint32_t i = 0; i < test->node_count; i++) {
        const struct json *status = questions[i].answer;
        uint64_t leader = number(status, "leader"), term = number(status, "raftTerm");
        if (leader == 0 || leader != number(json_get(status, "header"), "member_id"))
            continue;
        /* A deposed leader that does not know yet claims an older term. */
        if (term < newest_term)
            continue;
        leaders = NODE_SET(i) | (term == newest_term ? leaders : 0);
        newest_term = term;
    }
    questions_free(questions, test->node_count);
    *primaries = leaders;
    return ERR_NONE;
}

enum err_code etcd_version(struct test *test, struct buf *version, struct err *err)
{
    struct question *questions = ask_all(test, "/version", NULL, 2 * NS_PER_SECOND);
    const char *found = NULL;
    for (uint32_t i = 0; questions != NULL && i < test->node_count && found == NULL; i++)
        found = json_as_text(json_get(questions[i].answer, "etcdserver"), NULL);
    enum err_code code = ERR_NONE;
    if (found != NULL)
        buf_printf(version, "etcd %s", found);
    else
        code = err_set(err, ERR_REMOTE, "no node told its version of etcd");
    questions_free(questions, test->node_count);
    return code;
}
