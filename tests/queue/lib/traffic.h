/* Clients of all nodes of a cluster, in threads, and what must be true of what they were told
 * whatever was done to the nodes meanwhile: nothing acknowledged is lost, nothing that may be
 * delivered once is delivered twice, and every node's counters conserve. */
#ifndef ORDEAL_TESTS_QUEUE_TRAFFIC_H
#define ORDEAL_TESTS_QUEUE_TRAFFIC_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/queue/lib/cluster.h"

enum traffic_kind { TRAFFIC_KEEPS, TRAFFIC_ONCE, TRAFFIC_TAKES, TRAFFIC_KINDS };

struct traffic;
struct traffic_worker {
    struct traffic *traffic;
    unsigned node;
    enum traffic_kind kind;
    char (*ids)[36];
    size_t count, capacity;
    pthread_t thread;
};

struct traffic {
    struct cluster *cluster;
    atomic_bool stop;
    atomic_ulong answered; /* adds and takes with an answer, of all */
    struct traffic_worker workers[CLUSTER_MAX * TRAFFIC_KINDS];
};

/* A producer of kept jobs, a producer and a consumer of at-most-once jobs for each node. */
void traffic_start(struct traffic *traffic, struct cluster *cluster);
/* Waits until so many more requests were answered: that faults met traffic is seen, not supposed.
 */
void traffic_wait(struct traffic *traffic, unsigned long answers);
/* Ends it, all nodes running and connected, and fails the test unless all is as promised. How many
 * jobs were acknowledged. */
size_t traffic_check(struct traffic *traffic);

#endif
