/* What is written on the nodes of a Redis: its options and configuration files, as its
 * documentation tells operators to write them. Both kinds of file are rewritten by the servers
 * themselves when roles change, and so are written once and then left alone. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "workloads/systems/redis/redis_system.h"

const struct option redis_options[] = {
    {.name = "mode",
     .kind = OPTION_CHOICE,
     .fallback = "sentinel",
     .choices = "sentinel|cluster|single",
     .help =
         "sentinel: a primary with replicas, and a Sentinel on each node that promotes one when "
         "the primary is gone; cluster: Redis Cluster; single: one server, on one node"},
    {.name = "appendonly",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .help = "keep an append-only file; without (as Debian ships it) a restart finds a snapshot, "
             "or nothing"},
    {.name = "appendfsync",
     .kind = OPTION_CHOICE,
     .fallback = "everysec",
     .choices = "always|everysec|no",
     .help = "when that file is synced: before a write is acknowledged, or not"},
    {.name = "min-replicas",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "a primary refuses writes with fewer good replicas (min-replicas-to-write)"},
    {.name = "min-replicas-lag",
     .kind = OPTION_INT,
     .fallback = "10",
     .help = "seconds of silence after which a replica is no good one (min-replicas-max-lag)"},
    {.name = "wait",
     .kind = OPTION_INT,
     .fallback = "0",
     .help = "replicas that must have a write before it counts as acknowledged (WAIT)"},
    {.name = "reads",
     .kind = OPTION_CHOICE,
     .fallback = "primary",
     .choices = "primary|replica",
     .help = "replica: each worker reads from the server of its node: stale, and no bug of Redis"},
    {.name = "down-after-ms",
     .kind = OPTION_INT,
     .fallback = "2000",
     .help = "a primary silent for so long is replaced (down-after-milliseconds; of a cluster "
             "cluster-node-timeout)"},
    {.name = "failover-ms",
     .kind = OPTION_INT,
     .fallback = "6000",
     .help = "Sentinel's failover-timeout: a failover that failed is tried again after twice that"},
    {.name = "cluster-replicas",
     .kind = OPTION_INT,
     .fallback = "-1",
     .help = "replicas of each primary of a cluster; -1: one where there are six nodes or more"},
    {.name = "data-dir",
     .kind = OPTION_TEXT,
     .fallback = "/var/lib/ordeal-redis",
     .help = "where each node keeps its data and configuration; removed whole before a run"},
    {.name = "client-port",
     .kind = OPTION_INT,
     .fallback = "6379",
     .help = "port of servers; a cluster's bus is 10000 above"},
    {.name = "peer-port", .kind = OPTION_INT, .fallback = "26379", .help = "port of Sentinels"},
    {.name = NULL},
};

enum redis_mode redis_mode(const struct test *test)
{
    const char *mode = option_text(&test->plan->options, "redis.mode");
    return strcmp(mode, "cluster") == 0  ? MODE_CLUSTER
           : strcmp(mode, "single") == 0 ? MODE_SINGLE
                                         : MODE_SENTINEL;
}

uint16_t redis_server_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "redis.client-port");
}

uint16_t redis_sentinel_port(const struct test *test)
{
    return (uint16_t)option_int(&test->plan->options, "redis.peer-port");
}

uint32_t redis_cluster_replicas(const struct test *test)
{
    int64_t asked = option_int(&test->plan->options, "redis.cluster-replicas");
    return asked >= 0 ? (uint32_t)asked : test->node_count >= 6 ? 1 : 0;
}

/* ---- Addresses ---- */

enum err_code redis_node_ip(const struct test *test, uint32_t node, char ip[64], struct err *err)
{
    const char *peer = node_peer_address(&test->nodes[node]);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int status = getaddrinfo(peer, NULL, &hints, &found);
    if (status == 0)
        status = getnameinfo(found->ai_addr, found->ai_addrlen, ip, 64, NULL, 0, NI_NUMERICHOST);
    if (found != NULL)
        freeaddrinfo(found);
    if (status == 0)
        return ERR_NONE;
    return err_set(err, ERR_CONFIG, "%s: the address %s of its peers means nothing here (%s)",
                   test->nodes[node].name, peer, gai_strerror(status));
}

uint32_t redis_node_of_ip(const struct test *test, const char *ip)
{
    char own[64];
    for (uint32_t i = 0; i < test->node_count; i++)
        if (redis_node_ip(test, i, own, NULL) == ERR_NONE && strcmp(own, ip) == 0)
            return i;
    return UINT32_MAX;
}

/* ---- Files ---- */

enum err_code redis_server_config(const struct test *test, uint32_t node, struct buf *text,
                                  struct err *err)
{
    const struct options *options = &test->plan->options;
    enum redis_mode mode = redis_mode(test);
    char ip[64], first[64];
    enum err_code code = redis_node_ip(test, node, ip, err);
    if (code == ERR_NONE)
        code = redis_node_ip(test, 0, first, err);
    if (code != ERR_NONE)
        return code;
    buf_printf(text, "port %u\nbind * -::*\nprotected-mode no\ndir %s\n",
               (unsigned)redis_server_port(test), option_text(options, "redis.data-dir"));
    buf_printf(text, "appendonly %s\nappendfsync %s\n",
               option_bool(options, "redis.appendonly") ? "yes" : "no",
               option_text(options, "redis.appendfsync"));
    /* A replica that waits five seconds for others to join it only makes the start slow. */
    buf_printf(text, "repl-diskless-sync-delay 0\nmin-replicas-to-write %" PRId64 "\n",
               option_int(options, "redis.min-replicas"));
    buf_printf(text, "min-replicas-max-lag %" PRId64 "\n",
               option_int(options, "redis.min-replicas-lag"));
    if (mode == MODE_CLUSTER)
        buf_printf(text,
                   "cluster-enabled yes\ncluster-config-file nodes.conf\n"
                   "cluster-node-timeout %" PRId64 "\ncluster-announce-ip %s\n",
                   option_int(options, "redis.down-after-ms"), ip);
    else if (mode == MODE_SENTINEL)
        buf_printf(text, "replica-announce-ip %s\n", ip);
    if (mode == MODE_SENTINEL && node != 0)
        buf_printf(text, "replicaof %s %u\n", first, (unsigned)redis_server_port(test));
    return ERR_NONE;
}

enum err_code redis_sentinel_config(const struct test *test, uint32_t node, struct buf *text,
                                    struct err *err)
{
    const struct options *options = &test->plan->options;
    char ip[64], first[64];
    enum err_code code = redis_node_ip(test, node, ip, err);
    if (code == ERR_NONE)
        code = redis_node_ip(test, 0, first, err);
    if (code != ERR_NONE)
        return code;
    buf_printf(text, "port %u\nbind * -::*\nprotected-mode no\ndir %s\nsentinel announce-ip %s\n",
               (unsigned)redis_sentinel_port(test), option_text(options, "redis.data-dir"), ip);
    buf_printf(text, "sentinel monitor " REDIS_GROUP " %s %u %u\n", first,
               (unsigned)redis_server_port(test), (unsigned)(test->node_count / 2 + 1));
    buf_printf(text, "sentinel down-after-milliseconds " REDIS_GROUP " %" PRId64 "\n",
               option_int(options, "redis.down-after-ms"));
    buf_printf(text,
               "sentinel failover-timeout " REDIS_GROUP " %" PRId64
               "\nsentinel parallel-syncs " REDIS_GROUP " 1\n",
               option_int(options, "redis.failover-ms"));
    return ERR_NONE;
}
