/* What the files of the system etcd share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_ETCD_H
#define ORDEAL_SYSTEMS_ETCD_H

#include "harness/option.h"
#include "harness/workload.h"

extern const struct option etcd_options[];
uint16_t etcd_client_port(const struct test *test);
uint16_t etcd_peer_port(const struct test *test);

/* ---- etcd_client.c ---- */

extern const struct client etcd_register_client;

/* What an error reply means for a request that changes something. */
struct etcd_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
/* `grpc_code` is the gateway's "code", -1 when there was none; `message` is "" when there was none.
 */
struct etcd_meaning etcd_error_meaning(int http_status, int grpc_code, const char *message);

/* ---- etcd_cluster.c: what can be asked and said without running anything on a node ---- */

/* The command line of a node's etcd, NULL at the end. */
const char *const *etcd_arguments(const struct test *test, uint32_t node, struct arena *arena);
/* The hooks of `struct system`. */
bool etcd_ready(struct test *test, struct buf *why_not);
enum err_code etcd_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code etcd_version(struct test *test, struct buf *version, struct err *err);

#endif
