/* A test in progress as the etcd plug-ins see it, without nodes that anything could be run on:
 * members are told apart by loopback addresses. */
#ifndef ORDEAL_TESTS_ETCD_FIXTURE_H
#define ORDEAL_TESTS_ETCD_FIXTURE_H

#include "harness/workload.h"

enum { ETCD_FIXTURE_NODES = 5 };

struct etcd_fixture {
    struct plan plan;
    struct node nodes[ETCD_FIXTURE_NODES];
    struct history history;
    struct test test;
    uint16_t read_f, write_f, cas_f;
};

/* Nodes n1, n2 ... at 127.0.0.1, 127.0.0.2 ...; every option of etcd has its default but the
 * client's port. */
void etcd_fixture_init(struct etcd_fixture *fixture, uint32_t node_count, uint16_t client_port,
                       int64_t op_timeout_ns);
void etcd_fixture_set(struct etcd_fixture *fixture, const char *option, const char *value);
void etcd_fixture_free(struct etcd_fixture *fixture);

/* A client of one node, in memory as the harness makes it. */
void *etcd_fixture_open(struct etcd_fixture *fixture, uint32_t node);
void etcd_fixture_close(void *state);
/* Does one operation and returns it. */
struct op etcd_fixture_do(struct etcd_fixture *fixture, void *state, uint16_t f, struct value value,
                          struct arena *scratch);

#endif
