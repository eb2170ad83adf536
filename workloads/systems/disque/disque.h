/* What the files of the system disque share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_DISQUE_H
#define ORDEAL_SYSTEMS_DISQUE_H

#include "harness/option.h"
#include "workloads/job_words.h"

#define DISQUE_DAEMON "disque-server"

extern const struct option disque_options[];
uint16_t disque_client_port(const struct test *test);
/* Copies of each job: what was asked, or as many as there are nodes. */
uint32_t disque_replicas(const struct test *test);
/* The command line of a server, NULL at the end; `program` is its path there. */
const char *const *disque_arguments(const struct test *test, const char *program,
                                    struct arena *arena);

/* ---- disque_cluster.c: hooks of `struct system` ---- */

bool disque_ready(struct test *test, struct buf *why_not);
enum err_code disque_version(struct test *test, struct buf *version, struct err *err);

/* ---- disque_client.c ---- */

struct job_meaning disque_error_meaning(const char *message);
extern const struct client disque_queue_client;

#endif
