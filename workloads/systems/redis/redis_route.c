/* Where a worker's commands go: as Redis' documentation tells client libraries.
 *
 * With Sentinel: a Sentinel is asked who the primary is, that of the worker's node first and others
 * when it does not answer; the server is asked whether it is one (ROLE), once a connection. What is
 * not connected any more is asked for again. In a cluster: the server that was last told to serve
 * the key's slot, else that of the worker's node; a redirection is followed. Nothing is ever sent
 * twice, but for a command that a server certainly did not run (MOVED). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "workloads/systems/redis/redis_system.h"

#define LOOK_NS (200 * NS_PER_MS)
enum { SLOTS = 16384, NOBODY = 0xff, HOPS_MAX = 5, WORD_ARRAY = 16 };

enum err_code redis_route_open(struct redis_route *route, struct test *test, uint32_t node,
                               struct err *err)
{
    const struct options *options = &test->plan->options;
    *route = (struct redis_route){.test = test, .node = node, .mode = redis_mode(test)};
    /* A little less than what the harness allows, for what happens around the request. */
    route->timeout_ns = test->plan->op_timeout_ns - test->plan->op_timeout_ns / 50;
    route->wait = option_int(options, "redis.wait");
    route->replica_reads = strcmp(option_text(options, "redis.reads"), "replica") == 0;
    if (route->mode == MODE_CLUSTER && (route->slots = malloc(SLOTS)) == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the slots of a cluster");
    if (route->slots != NULL)
        memset(route->slots, NOBODY, SLOTS);
    return ERR_NONE;
}

void redis_route_close(struct redis_route *route)
{
    for (uint32_t i = 0; i < PLAN_NODES_MAX; i++) {
        redis_close(route->servers[i]);
        redis_close(route->sentinels[i]);
    }
    free(route->slots);
    *route = (struct redis_route){.slots = NULL};
}

/* ---- Asking one server ---- */

static int64_t left_ns(const struct redis_route *route)
{
    return route->deadline_ns - clock_monotonic_ns();
}

static void complete(struct op *op, struct arena *scratch, enum op_type type, const char *error,
                     const char *detail)
{
    detail = *detail == '\0' ? NULL : detail;
    if (type == OP_FAIL)
        op_fail(op, scratch, error, detail);
    else
        op_info(op, scratch, error, detail);
}

static struct redis_client *client_of(struct redis_client **client, const struct node *node,
                                      uint16_t port)
{
    if (*client == NULL && redis_open(node_address(node), port, client, NULL) != ERR_NONE)
        *client = NULL;
    return *client;
}

static struct redis_client *server(struct redis_route *route, uint32_t node)
{
    return client_of(&route->servers[node], &route->test->nodes[node],
                     redis_server_port(route->test));
}

static void send_words(struct redis_client *client, const char *const *words, int64_t timeout_ns,
                       struct redis_reply *reply)
{
    size_t lengths[WORD_ARRAY], count = 0;
    for (; words[count] != NULL && count < WORD_ARRAY; count++)
        lengths[count] = strlen(words[count]);
    if (timeout_ns > 0)
        redis_ask(client, words, lengths, count, timeout_ns, reply);
    else
        *reply = (struct redis_reply){
            .outcome = REDIS_NOT_SENT, .error = "timeout", .detail = "no time was left to ask"};
}

/* ---- Finding the primary ---- */

/* The address that a Sentinel gives; false when it gives none, with the reason in `why`. */
static bool ask_sentinel(struct redis_route *route, uint32_t at, uint32_t *primary, char why[160])
{
    static const char *const words[] = {"SENTINEL", "get-master-addr-by-name", REDIS_GROUP, NULL};
    const struct node *node = &route->test->nodes[at];
    struct redis_reply reply;
    int64_t patience_ns = route->timeout_ns / 4, left = left_ns(route);
    struct redis_client *client =
        client_of(&route->sentinels[at], node, redis_sentinel_port(route->test));
    if (client == NULL)
        return false;
    send_words(client, words, left < patience_ns ? left : patience_ns, &reply);
    if (reply.outcome != REDIS_REPLIED) {
        snprintf(why, 160, "Sentinel of %.30s: %.100s", node->name, reply.detail);
        return false;
    }
    const char *ip = redis_text(redis_at(reply.value, 0), NULL);
    *primary = redis_node_of_ip(route->test, ip);
    snprintf(why, 160, "Sentinel of %.30s names %.60s", node->name, *ip == '\0' ? "nobody" : ip);
    return *primary != UINT32_MAX;
}

/* Whether the server says on its present connection that it is a primary. */
static bool is_primary(struct redis_route *route, uint32_t node, char why[160])
{
    static const char *const words[] = {"ROLE", NULL};
    struct redis_client *client = server(route, node);
    struct redis_reply reply;
    const char *name = route->test->nodes[node].name;
    if (client == NULL)
        return false;
    send_words(client, words, left_ns(route), &reply);
    if (reply.outcome != REDIS_REPLIED) {
        snprintf(why, 160, "%.30s, the primary: %.100s", name, reply.detail);
        return false;
    }
    const struct redis_value *role = redis_at(reply.value, 0);
    snprintf(why, 160, "%.30s says '%.60s', not that it is the primary", name,
             redis_text(role == NULL ? reply.value : role, NULL));
    route->verified[node] = redis_connection(client);
    return strcmp(redis_text(role, NULL), "master") == 0;
}

static bool is_good(const struct redis_route *route, uint32_t node)
{
    const struct redis_client *client = route->servers[node];
    return client != NULL && route->verified[node] != 0 && redis_is_connected(client) &&
           redis_connection(client) == route->verified[node];
}

/* The node of the primary, connected; false: nobody is, and `why` says who said what. */
static bool find_primary(struct redis_route *route, uint32_t *primary, char why[160])
{
    uint32_t count = route->test->node_count, named;
    int64_t now_ns = clock_monotonic_ns();
    /* The node's own Sentinel is asked now and then whether there was a promotion; a real worker
     * beside it, cut off with it from the rest, would hear of it from nobody else. */
    bool looks = now_ns - route->looked_ns >= LOOK_NS;
    if (looks)
        route->looked_ns = now_ns;
    if (!looks || !ask_sentinel(route, route->node, &named, why))
        named = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++)
        if (is_good(route, i) && (named == UINT32_MAX || named == i)) {
            *primary = i;
            return true;
        }
    memset(route->verified, 0, sizeof route->verified);
    snprintf(why, 160, "out of memory");
    for (uint32_t i = 0; i < count && left_ns(route) > 0; i++)
        if (ask_sentinel(route, (route->node + i) % count, primary, why)) {
            bool is = is_primary(route, *primary, why);
            if (!is)
                route->verified[*primary] = 0;
            return is;
        }
    return false;
}

/* ---- Sending to one server ---- */

/* Sends the command; on NULL the operation is complete, and *moved tells whether that was because
 * the server said who would serve it. */
static const struct redis_value *send_to(struct redis_route *route, uint32_t node,
                                         const char *const *words, enum redis_effect effect,
                                         uint32_t *moved, struct op *op, struct arena *scratch)
{
    struct redis_reply reply;
    struct redis_client *client = server(route, node);
    enum op_type unknown = effect == REDIS_READS ? OP_FAIL : OP_INFO;
    *moved = UINT32_MAX;
    if (client == NULL) {
        op_fail(op, scratch, "out-of-memory", NULL);
        return NULL;
    }
    send_words(client, words, left_ns(route), &reply);
    if (reply.outcome != REDIS_REPLIED) {
        complete(op, scratch, reply.outcome == REDIS_NOT_SENT ? OP_FAIL : unknown, reply.error,
                 reply.detail);
        return NULL;
    }
    if (redis_kind(reply.value) != REDIS_ERROR)
        return reply.value;
    const char *message = redis_text(reply.value, NULL);
    uint16_t slot, port;
    char ip[64];
    if (route->slots != NULL && redis_moved(message, &slot, ip, &port)) {
        *moved = redis_node_of_ip(route->test, ip);
        if (*moved < NOBODY)
            route->slots[slot] = (uint8_t)*moved;
    }
    struct redis_meaning meaning = redis_error_meaning(message);
    complete(op, scratch, effect == REDIS_READS ? OP_FAIL : meaning.type, meaning.error, message);
    return NULL;
}

static const struct redis_value *ask_cluster(struct redis_route *route, const char *const *words,
                                             const char *key, enum redis_effect effect,
                                             struct op *op, struct arena *scratch)
{
    uint16_t slot = redis_slot(key, strlen(key));
    uint32_t node = route->slots[slot] == NOBODY ? route->node : route->slots[slot];
    for (int hop = 0; hop < HOPS_MAX; hop++) {
        uint32_t moved;
        route->served_by = node;
        const struct redis_value *value = send_to(route, node, words, effect, &moved, op, scratch);
        if (value == NULL && moved == UINT32_MAX)
            route->slots[slot] = NOBODY; /* whoever it was: ask anew */
        if (value != NULL || moved == UINT32_MAX)
            return value;
        node = moved;
    }
    return NULL; /* the last redirection is what the operation failed with */
}

static const struct redis_value *ask_primary(struct redis_route *route, const char *const *words,
                                             enum redis_effect effect, struct op *op,
                                             struct arena *scratch)
{
    uint32_t moved, primary;
    char why[160] = "";
    if (!find_primary(route, &primary, why)) {
        op_fail(op, scratch, "no-primary", why);
        return NULL;
    }
    route->served_by = primary;
    const struct redis_value *value = send_to(route, primary, words, effect, &moved, op, scratch);
    if (value != NULL && redis_connection(route->servers[primary]) != route->verified[primary]) {
        /* It went to a server that came up in this very moment, whose role nobody asked for. */
        complete(op, scratch, effect == REDIS_READS ? OP_FAIL : OP_INFO, "reconnected", "");
        value = NULL;
    }
    if (value == NULL)
        route->verified[primary] = 0;
    return value;
}

/* ---- One operation ---- */

const struct redis_value *redis_route_ask(struct redis_route *route, const char *const *words,
                                          const char *key, enum redis_effect effect, struct op *op,
                                          struct arena *scratch)
{
    uint32_t moved;
    route->deadline_ns = clock_monotonic_ns() + route->timeout_ns;
    route->served_by = route->node;
    const struct redis_value *value =
        route->mode == MODE_CLUSTER ? ask_cluster(route, words, key, effect, op, scratch)
        : route->mode == MODE_SINGLE || (effect == REDIS_READS && route->replica_reads)
            ? send_to(route, route->node, words, effect, &moved, op, scratch)
            : ask_primary(route, words, effect, op, scratch);
    if (value != NULL)
        route->connection = redis_connection(route->servers[route->served_by]);
    return value;
}

bool redis_route_confirm(struct redis_route *route, struct op *op, struct arena *scratch)
{
    char replicas[24], patience[24], detail[96];
    int64_t left_ms = left_ns(route) / NS_PER_MS * 9 / 10;
    struct redis_client *client = route->servers[route->served_by];
    struct redis_reply reply;
    if (route->wait <= 0)
        return true;
    if (left_ms < 1) {
        op_info(op, scratch, "not-replicated", "no time was left to wait for replicas");
        return false;
    }
    snprintf(replicas, sizeof replicas, "%" PRId64, route->wait);
    snprintf(patience, sizeof patience, "%" PRId64, left_ms);
    const char *const words[] = {"WAIT", replicas, patience, NULL};
    send_words(client, words, left_ns(route), &reply);
    /* On another connection nothing was written, and WAIT would wait for nothing. */
    bool good = reply.outcome == REDIS_REPLIED && redis_connection(client) == route->connection &&
                redis_kind(reply.value) == REDIS_INTEGER;
    if (good && redis_integer(reply.value) >= route->wait)
        return true;
    if (good)
        snprintf(detail, sizeof detail, "only %" PRId64 " replicas have it",
                 redis_integer(reply.value));
    else
        snprintf(detail, sizeof detail, "%.90s",
                 reply.outcome == REDIS_REPLIED ? redis_text(reply.value, NULL) : reply.detail);
    op_info(op, scratch, "not-replicated", detail);
    return false;
}
