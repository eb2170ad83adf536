/* What the files of the system etcd share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_ETCD_H
#define ORDEAL_SYSTEMS_ETCD_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/http.h"

extern const struct option etcd_options[];
uint16_t etcd_client_port(const struct test *test);
uint16_t etcd_peer_port(const struct test *test);

/* ---- etcd_ask.c ---- */

/* What an error reply means for a request that changes something. */
struct etcd_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
/* `grpc_code` is the gateway's "code", -1 when there was none; `message` is "" when there was none.
 */
struct etcd_meaning etcd_error_meaning(int http_status, int grpc_code, const char *message);

/* One node's gateway, as a client asks it. */
struct etcd_asker {
    struct http_client *http;
    struct http_reply reply;
    struct buf request;
    struct buf put_url, range_url, txn_url;
    bool serializable;  /* how reads are asked for */
    int64_t timeout_ns; /* of one request */
};
enum err_code etcd_asker_open(struct etcd_asker *asker, const struct test *test, uint32_t node,
                              struct err *err);
void etcd_asker_close(struct etcd_asker *asker);
enum etcd_effect { ETCD_CHANGES, ETCD_READS };
/* Sends `request`. The parsed reply, for the caller to free, when it is a success; else NULL and
 * the operation is complete. */
struct json *etcd_ask(struct etcd_asker *asker, const char *url, enum etcd_effect effect,
                      struct op *op, struct arena *scratch);

/* ---- etcd_client.c: registers; etcd_txn.c: transactions; etcd_lock.c: locks ---- */

extern const struct client etcd_register_client, etcd_append_client, etcd_txn_register_client;
extern const struct client etcd_lock_client;

/* ---- etcd_cluster.c: what can be asked and said without running anything on a node ---- */

/* The command line of a node's etcd, NULL at the end: one of the `members` of a new cluster, or one
 * that was added to them (and is among them). */
enum etcd_birth { ETCD_FOUNDER, ETCD_JOINS };
const char *const *etcd_arguments(const struct test *test, uint32_t node, enum etcd_birth birth,
                                  node_set members, struct arena *arena);
/* Asks one node's gateway by POST; the parsed answer, for the caller to free, or ERR_REMOTE with
 * what it says instead. */
enum err_code etcd_ask_node(struct test *test, uint32_t node, const char *path, const char *body,
                            int64_t timeout_ns, struct json **answer, struct err *err);
/* etcd.c: starts the etcd of a node that was added to the others of `members`. */
enum err_code etcd_start_joining(struct test *test, uint32_t node, node_set members,
                                 struct err *err);

/* ---- etcd_members.c: hooks of `struct system` ---- */
enum err_code etcd_members(struct test *test, uint32_t node, node_set *members, struct err *err);
enum err_code etcd_remove(struct test *test, uint32_t node, uint32_t via, struct err *err);
enum err_code etcd_add(struct test *test, uint32_t node, uint32_t via, node_set members,
                       struct err *err);

/* The hooks of `struct system`. */
bool etcd_ready(struct test *test, struct buf *why_not);
enum err_code etcd_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code etcd_version(struct test *test, struct buf *version, struct err *err);

#endif
