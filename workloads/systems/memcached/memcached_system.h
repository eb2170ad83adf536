/* What the files of the system memcached share, and its tests see. */
#ifndef ORDEAL_SYSTEMS_MEMCACHED_H
#define ORDEAL_SYSTEMS_MEMCACHED_H

#include "harness/option.h"
#include "harness/workload.h"

#define MEMCACHED_DAEMON "memcached"

extern const struct option memcached_options[];
uint16_t memcached_client_port(const struct test *test);

/* ---- memcached_client.c ---- */

extern const struct client memcached_register_client, memcached_counter_client,
    memcached_ids_client;
/* What a server says its version is, asked through the client library; ERR_REMOTE: it does not. */
enum err_code memcached_ask_version(const struct test *test, uint32_t node, int64_t timeout_ns,
                                    struct buf *version, struct err *err);

#endif
