/* Real servers on loopback ports with directories of their own, for tests. */
#ifndef ORDEAL_TESTS_QUEUE_CLUSTER_H
#define ORDEAL_TESTS_QUEUE_CLUSTER_H

#include "tests/queue/lib/redis.h"

#include <sys/types.h>

#define CLUSTER_FAKETIME "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"

enum { CLUSTER_MAX = 5, CLUSTER_EXTRA_MAX = 14 };

struct cluster {
    unsigned nodes, base_port;
    char directory[256];
    pid_t pids[CLUSTER_MAX + 1];          /* by node, from 1; 0: not running */
    const char *extra[CLUSTER_EXTRA_MAX]; /* further arguments of every server */
    const char *program;                  /* name of the binary; NULL: ordeal-queue */
    bool network;                         /* each in its own: see network.h */
    const char *clock;                    /* libfaketime's file; NULL: true time */
    const char *host;                     /* how peers call each other; NULL: 127.0.0.1 */
};

/* Starts all and waits until a leader answers. Fails the test otherwise. */
void cluster_open(struct cluster *cluster, unsigned nodes);
void cluster_open_quiet(struct cluster *cluster, unsigned nodes); /* does not wait */
/* Kills what runs, and removes the directories. */
void cluster_close(struct cluster *cluster);

void cluster_start(struct cluster *cluster, unsigned node);
/* Starts without waiting, with exactly these further arguments; returns the exit status when it
 * ended within the time, else -1. */
int cluster_try(struct cluster *cluster, unsigned node, int wait_ms);
void cluster_signal(struct cluster *cluster, unsigned node, int signal);
void cluster_kill(struct cluster *cluster, unsigned node); /* -9, and waits for its end */
int cluster_stop(struct cluster *cluster, unsigned node);  /* SIGTERM; the exit status */
void cluster_wipe(struct cluster *cluster, unsigned node);
void cluster_path(const struct cluster *cluster, unsigned node, char *path, size_t size);
unsigned cluster_port(const struct cluster *cluster, unsigned node);
unsigned cluster_peer_port(const struct cluster *cluster, unsigned node);
unsigned cluster_metrics_port(const struct cluster *cluster, unsigned node);

/* Waits until some running node can answer a read; which one leads then. */
unsigned cluster_leader(struct cluster *cluster);
/* Waits until `name:value` of INFO at this node is at least so much. */
void cluster_wait_info(struct cluster *cluster, unsigned node, const char *name, uint64_t value);
uint64_t cluster_info(struct cluster *cluster, unsigned node, const char *name);
uint64_t cluster_now_ms(void);

#endif
