/* What the files of the system redis share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_REDIS_H
#define ORDEAL_SYSTEMS_REDIS_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/redis.h"

#define REDIS_SERVER "redis-server"
#define REDIS_SENTINEL "redis-sentinel"
#define REDIS_GROUP "ordeal" /* what Sentinels call the primary and its replicas */

enum redis_mode {
    MODE_SENTINEL, /* one primary, replicas, a Sentinel on each node that promotes one */
    MODE_CLUSTER,  /* Redis Cluster: slots over primaries, with replicas where nodes suffice */
    MODE_SINGLE,   /* one server on one node */
};

extern const struct option redis_options[];
enum redis_mode redis_mode(const struct test *test);
uint16_t redis_server_port(const struct test *test);
uint16_t redis_sentinel_port(const struct test *test);
/* Replicas of each primary of a cluster. */
uint32_t redis_cluster_replicas(const struct test *test);

/* ---- redis_config.c: what is written on nodes ---- */

/* The numeric address by which servers tell each other, and clients, about a node. */
enum err_code redis_node_ip(const struct test *test, uint32_t node, char ip[64], struct err *err);
/* The node of that address; UINT32_MAX when it is none. */
uint32_t redis_node_of_ip(const struct test *test, const char *ip);
enum err_code redis_server_config(const struct test *test, uint32_t node, struct buf *text,
                                  struct err *err);
enum err_code redis_sentinel_config(const struct test *test, uint32_t node, struct buf *text,
                                    struct err *err);

/* ---- redis_reply.c: what replies mean ---- */

struct redis_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
struct redis_meaning redis_error_meaning(const char *message);
/* The hash slot of a key. */
uint16_t redis_slot(const char *key, size_t length);
/* "MOVED 3999 10.0.0.1:6379": false when it is no such thing. */
bool redis_moved(const char *message, uint16_t *slot, char ip[64], uint16_t *port);
/* The value that a text is: what nobody can have written is for the checker to see. */
struct value redis_parse_value(const char *text, size_t length, struct arena *scratch);

/* ---- redis_route.c: where a worker's commands go ---- */

enum redis_effect { REDIS_CHANGES, REDIS_READS };
enum { REDIS_WORDS_MAX = 10 };

struct redis_route {
    struct test *test;
    uint32_t node; /* of the worker: the Sentinel or server that it asks first */
    enum redis_mode mode;
    struct redis_client *servers[PLAN_NODES_MAX], *sentinels[PLAN_NODES_MAX]; /* NULL: never used */
    uint64_t verified[PLAN_NODES_MAX]; /* the connection on which it was seen to be a primary */
    uint8_t *slots;                    /* of a cluster: who serves it, as last told */
    int64_t timeout_ns, deadline_ns, looked_ns;
    uint32_t served_by; /* the last command, on this connection */
    uint64_t connection;
    int64_t wait; /* replicas that must have a write before it counts; 0: none are asked for */
    bool replica_reads;
};
enum err_code redis_route_open(struct redis_route *route, struct test *test, uint32_t node,
                               struct err *err);
void redis_route_close(struct redis_route *route);
/* One operation's command about `key`. The reply, which is no error, until the next call; NULL when
 * the operation is complete: not done, or not known. */
const struct redis_value *redis_route_ask(struct redis_route *route, const char *const *words,
                                          const char *key, enum redis_effect effect, struct op *op,
                                          struct arena *scratch);
/* After a command that changed something: waits until as many replicas have it as must. False when
 * the operation is complete, being not known. */
bool redis_route_confirm(struct redis_route *route, struct op *op, struct arena *scratch);

/* ---- redis_client.c ---- */

extern const struct client redis_register_client, redis_set_client, redis_counter_client,
    redis_ids_client, redis_log_client, redis_monotonic_client;

/* ---- redis_topology.c: what can be asked without running anything on a node ---- */

/* Hooks of `struct system`. */
bool redis_ready(struct test *test, struct buf *why_not);
enum err_code redis_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code redis_version(struct test *test, struct buf *version, struct err *err);
/* Of the node's server, that are in touch with it; -1: it does not say. */
long redis_connected_replicas(struct test *test, uint32_t node);
/* Whether the servers know of no cluster yet. */
bool redis_is_fresh(struct test *test);

#endif
