/* What the files of the system queue share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_QUEUE_H
#define ORDEAL_SYSTEMS_QUEUE_H

#include "harness/option.h"
#include "harness/workload.h"
#include "workloads/job_words.h"
#include "workloads/queue_body.h"

#define QUEUE_DAEMON "ordeal-queue"

extern const struct option queue_options[];
uint16_t queue_client_port(const struct test *test);
uint16_t queue_peer_port(const struct test *test);

/* ---- queue_reply.c: what replies mean ---- */

struct job_meaning queue_error_meaning(const char *message);
/* "D-...-...:7" without the attempt, which goes to *attempt (0: none is named). */
size_t queue_id_length(const char *id, size_t length, int64_t *attempt);

/* ---- queue_client.c ---- */

extern const struct client queue_client;

/* ---- queue_cluster.c: what can be asked and said without running anything on a node ---- */

/* The command line of a node's server, NULL at the end; `program` is its path there. A founder is
 * one of a new cluster's first members; who joins waits to be added to an old one. */
enum queue_birth { QUEUE_FOUNDER, QUEUE_JOINS };
const char *const *queue_arguments(const struct test *test, uint32_t node, const char *program,
                                   enum queue_birth birth, struct arena *arena);
/* Asks one node; its answer, or ERR_REMOTE with what it says instead. */
enum err_code queue_ask(struct test *test, uint32_t node, const char *const *words,
                        int64_t timeout_ns, struct buf *answer, struct err *err);
/* queue.c: starts the server of a node that joins. */
enum err_code queue_start_joining(struct test *test, uint32_t node, struct err *err);

/* ---- queue_members.c: hooks of `struct system` ---- */
enum err_code queue_members(struct test *test, uint32_t node, node_set *members, struct err *err);
enum err_code queue_remove(struct test *test, uint32_t node, uint32_t via, struct err *err);
enum err_code queue_add(struct test *test, uint32_t node, uint32_t via, node_set members,
                        struct err *err);
/* The hooks of `struct system`. */
bool queue_ready(struct test *test, struct buf *why_not);
enum err_code queue_primaries(struct test *test, node_set *primaries, struct err *err);
enum err_code queue_replace(struct test *test, node_set nodes, struct err *err);
enum err_code queue_version(struct test *test, struct buf *version, struct err *err);

#endif
