/* What the files of the system nats share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_NATS_H
#define ORDEAL_SYSTEMS_NATS_H

#include "harness/base/json.h"
#include "harness/option.h"
#include "harness/workload.h"

#define NATS_DAEMON "nats-server"
#define NATS_STREAM "ORDEAL" /* of the subjects "ordeal.>" */

extern const struct option nats_options[];
uint16_t nats_client_port(const struct test *test);
uint16_t nats_peer_port(const struct test *test);
uint16_t nats_monitor_port(const struct test *test);
/* Copies of each message: what was asked, or as many as there are nodes. */
uint32_t nats_replicas(const struct test *test);
void nats_config(const struct test *test, uint32_t node, struct buf *text);

/* ---- nats_ask.c: one connection, and what becomes of requests ---- */

struct nats_meaning {
    enum op_type type; /* OP_OK, OP_FAIL: certainly not done and never will be; else OP_INFO */
    const char *error; /* a keyword for the operation's error */
};
/* What JetStream's answer to a request that changes something means: its error's err_code, 0 when
 * there is no error in it. */
struct nats_meaning nats_error_meaning(int64_t err_code);

struct nats_asker {
    void *connection; /* libnats' natsConnection; NULL: not connected */
    char url[320];
};
enum nats_outcome { NATS_REPLIED, NATS_NOT_SENT, NATS_LOST };
struct nats_reply {
    enum nats_outcome outcome;
    const char *error; /* unless NATS_REPLIED: a keyword */
    char detail[160];
    struct json *json; /* of the answer; NULL when it is none. The caller frees it */
};
void nats_asker_init(struct nats_asker *asker, const struct test *test, uint32_t node);
void nats_asker_close(struct nats_asker *asker);
/* Sends one request and awaits its answer for at most `timeout_ns`, connecting included. Nothing is
 * sent twice, and no later answer is taken for another request's. After anything but NATS_REPLIED
 * the connection is closed, but for an answer that nobody listens. */
void nats_ask(struct nats_asker *asker, const char *subject, const char *data, int64_t timeout_ns,
              struct nats_reply *reply);
/* JetStream's err_code in an answer; 0: it tells no error, -1: no answer of JetStream's. */
int64_t nats_error_code(const struct json *json);

/* ---- nats_client.c ---- */

extern const struct client nats_set_client, nats_log_client, nats_ids_client, nats_monotonic_client;

/* ---- nats_cluster.c: hooks of `struct system` ---- */

bool nats_ready(struct test *test, struct buf *why_not);
enum err_code nats_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code nats_version(struct test *test, struct buf *version, struct err *err);

#endif
