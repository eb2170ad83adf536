/* What the files of the system rabbitmq share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_RABBITMQ_H
#define ORDEAL_SYSTEMS_RABBITMQ_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/systems/rabbitmq/rabbit_link.h"

#define RABBITMQ_DAEMON "rabbitmq"
#define RABBITMQ_PROGRAMS "/usr/lib/rabbitmq/bin"
#define RABBITMQ_HOME "/etc/ordeal/rabbitmq"

extern const struct option rabbitmq_options[];
uint16_t rabbitmq_client_port(const struct test *test);
uint16_t rabbitmq_peer_port(const struct test *test);

/* ---- rabbitmq_client.c ---- */

/* What a reply means for an operation that is not done. */
enum rabbitmq_deed { RABBITMQ_PUBLISH, RABBITMQ_TAKE, RABBITMQ_SETTLE, RABBITMQ_LOOK };
struct rabbitmq_meaning {
    enum op_type type; /* OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
struct rabbitmq_meaning rabbitmq_meaning(enum rabbitmq_deed deed, const struct rabbit_reply *reply);

extern const struct client rabbitmq_queue_client;

/* ---- rabbitmq_cluster.c: what can be asked and said without running anything on a node ---- */

/* "rabbit@10.0.0.1" */
void rabbitmq_node_name(const struct test *test, uint32_t node, struct buf *out);
/* The files of a node's broker. */
void rabbitmq_config(const struct test *test, uint32_t node, struct buf *out);
void rabbitmq_definitions(const struct test *test, struct buf *out);
/* The environment of the broker and of its tools, NULL at the end. */
const char *const *rabbitmq_environment(const struct test *test, uint32_t node,
                                        struct arena *arena);
/* rabbitmq.c: restarts the brokers of nodes that a partition left apart from the others. */
enum err_code rabbitmq_restart(struct test *test, node_set nodes, struct err *err);

/* The hooks of `struct system`. */
bool rabbitmq_ready(struct test *test, struct buf *why_not);
enum err_code rabbitmq_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code rabbitmq_version(struct test *test, struct buf *version, struct err *err);

#endif
