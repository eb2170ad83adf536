/* The gauge: bursts of numbered datagrams, to measure what the network does to packets.
 *
 * One side sends a burst under the number of a run; the other counts what arrives, and sends back
 * an echo of the first copy of each, by which the sender knows the round trip. Times are those of
 * reading in this process: what netfilter holds comes later than the card's own stamp. */
#ifndef ORDEAL_AGENT_GAUGE_H
#define ORDEAL_AGENT_GAUGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/agent/firewall.h"

enum {
    AGENTD_GAUGE_COUNT_MAX = 512,
    AGENTD_GAUGE_SIZE_MAX = 1400,
    AGENTD_GAUGE_RUNS = 512, /* that are remembered: of so many in a row, each */
};

struct agentd_gauge_run {
    uint64_t run; /* 0: free */
    /* Arrivals. */
    uint32_t unique, duplicates, highest;
    uint32_t overtaken; /* that came after one with a higher number */
    int64_t first_ns, last_ns;
    uint64_t bytes; /* of all but the first: what came between the two times */
    uint8_t seen[AGENTD_GAUGE_COUNT_MAX / 8];
    /* Echoes. */
    uint32_t echoes;
    int64_t trips_ns[AGENTD_GAUGE_COUNT_MAX];
};

struct agentd_gauge {
    uint16_t port; /* 0: not open */
    int fd, stop_fd, family;
    pthread_t thread;
    pthread_mutex_t lock; /* of the runs */
    struct agentd_gauge_run runs[AGENTD_GAUGE_RUNS];
};

/* Opens it when it is not. */
enum err_code agentd_gauge_open(struct agentd_gauge *gauge, struct err *err);
void agentd_gauge_close(struct agentd_gauge *gauge);

#endif
